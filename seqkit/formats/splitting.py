"""Raw text → tokens with their character offsets, by pre-tokenizers of the library `tokenizers`.

A splitter is a list of regular expressions in the `tokenizers` serialisation, so whatever runs a saved model (Python,
an exported model's host, any other program that uses the library) cuts text exactly as its training did.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from seqkit.errors import ModelError, shown

if TYPE_CHECKING:
    from tokenizers.pre_tokenizers import PreTokenizer

__all__ = ["SPLITTERS", "Splitter"]

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_FLAG = re.compile("[\U0001f1e6-\U0001f1ff]{2}")
_LIKE_A_FLAG = "\u2500\u0301"
"""a mark and an accent, cut like a flag: the end of a flag \\X finds by counting all letters of flags before it"""

# The parts below are in Oniguruma's syntax, which the library uses: \p{L} is any letter, \p{M} a combining mark, \p{N}
# a digit of any script, \p{Lu} a capital, \p{P} punctuation, and \X a character with all that combines with it. What
# may be long is bounded or cannot be read in two ways, so that time grows with the text's length alone.
_IN_WORD = r"[\p{L}\p{M}\p{N}_\x{ad}\x{200c}\x{200d}]"  # a soft hyphen and joiners are part of the word they stand in
_NO_MORE_WORD = rf"(?!{_IN_WORD})"
_ADDRESSES = (
    r'(?:https?://|ftp://|www\.)[^\s<>"]*[^\s<>"\p{P}]/?',
    rf"[\p{{L}}\p{{N}}_.+-]{{1,64}}@{_IN_WORD}+(?:[.-]{_IN_WORD}+)*",
    rf"[@\#][\p{{L}}_]{_IN_WORD}*",  # a name or a topic of social media
)
_EMOTICON = r"(?<![\p{L}\p{N}(])(?:[:;=]['’]?[-o^]?[)(DPp/\\|*]|<3)(?![^\s\p{P}])"
_LETTERS_AND_FULL_STOPS = rf"(?:\p{{L}}\p{{M}}*\.){{2,}}(?:\p{{L}}{_NO_MORE_WORD})?"  # U.S., e.g., U.S.A
_ABBREVIATIONS = (
    r"(?:Mrs?|Ms|Mx|Drs?|Prof|Sts?|Jr|Sr|Inc|Corp|Ltd|LTD|Co|Cos|Bros|Gov|Sen|Reps?|Gen|Col|Lt|Capt|Sgt|Rev|Hon|Ft|Mt|"
    rf"Ave|Blvd|Jan|Feb|Aug|Sept?|Oct|Nov|Dec|vs|etc|Etc)\.{_NO_MORE_WORD}",
    r"(?:No|Nos|Mar|Apr|Jun|Jul|Fig|Vol|pp)\.(?=\s+\p{N})",
    r"[A-HJ-Z]\.(?=\s+\p{Lu})",  # an initial
)
_CLITIC_ALONE = rf"['’](?:[sS]|[rR][eE]|[vV][eE]|[lL][lL]|[dD]|[mM]){_NO_MORE_WORD}"
_WORD = (
    rf"{_IN_WORD}+(?:"
    rf"(?:[.'’·\x{{5f3}}\x{{5f4}}-]|(?<=\p{{N}})[,:/](?=\p{{N}})|(?<=\p{{Lu}})&(?=\p{{Lu}})){_IN_WORD}+"
    r")*"
)
_SAME_MARK_AGAIN = r"(?:[.?!…]{2,}|([\p{P}=~^+|<>$`])\1*)(?![\p{M}\x{200d}])"
_CHARACTER = r"(?!\s)\X"
_ENGLISH_CLITIC = r"(?:[nN]['’][tT]|['’](?:[sS]|[rR][eE]|[vV][eE]|[lL][lL]|[dD]|[mM])|(?<=\p{N})[aApP][mM])$"

_WORDS = (*_ADDRESSES, _EMOTICON, _LETTERS_AND_FULL_STOPS, _WORD, _SAME_MARK_AGAIN, _CHARACTER)
_ENGLISH = (
    *_ADDRESSES,
    _EMOTICON,
    _LETTERS_AND_FULL_STOPS,
    *_ABBREVIATIONS,
    _CLITIC_ALONE,
    _WORD,
    _SAME_MARK_AGAIN,
    _CHARACTER,
)


def _matches(pattern: str) -> dict[str, Any]:
    """Keep what matches, drop the rest: every pattern here matches all but white space."""
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Removed", "invert": True}


SPLITTERS: dict[str, dict[str, Any]] = {
    "words": _matches("|".join(_WORDS)),
    "english": {
        "type": "Sequence",
        "pretokenizers": [
            _matches("|".join(_ENGLISH)),
            {"type": "Split", "pattern": {"Regex": _ENGLISH_CLITIC}, "behavior": "Isolated", "invert": False},
        ],
    },
    "spaces": _matches(r"\S+"),
    "characters": _matches(_CHARACTER),
}
"""kind → its pre-tokenizer, in the serialisation of `tokenizers`."""


class Splitter:
    """Cuts a text into tokens.

    White space (as Unicode has it) parts tokens and belongs to none; every other character is in exactly one token.

    - ``words``: words, numbers and punctuation of any script that puts spaces between words. Apostrophes, hyphens and
      full stops inside a word do not part it (``state-of-the-art``, ``l'eau``), nor do separators inside a number
      (``1,000.50``, ``12:30``). Web and mail addresses, ``@name``, ``#topic``, letters with full stops (``U.S.``) and
      emoticons are one token; so is a mark repeated (``...``, ``!!``). Emoji and accents stay whole.
    - ``english``: the same, with abbreviations (``Mr.``) and the Penn Treebank's clitics: ``do`` ``n't``, ``Ann``
      ``'s``. Hyphenated words stay whole, as in the Penn Treebank and the CoNLL corpora.
    - ``spaces``: white space alone parts tokens.
    - ``characters``: every character by itself, with what combines with it, for scripts without spaces.

    Args:
        kind: one of these names.

    Raises:
        ValueError: there is no such kind.

    Examples:
        >>> text = "Ada didn't pay $1,000.50."
        >>> [text[start:end] for start, end in Splitter("english").split(text)]
        ['Ada', 'did', "n't", 'pay', '$', '1,000.50', '.']
    """

    def __init__(self, kind: str = "words") -> None:
        if kind not in SPLITTERS:
            raise ValueError(f"expected a splitter of {', '.join(SPLITTERS)}, found {kind!r}")
        self.kind = kind
        self._pre_tokenizer: PreTokenizer | None = None

    def split(self, text: str) -> list[tuple[int, int]]:
        """Where the tokens of a text stand.

        Args:
            text: any string, also one with lone surrogates.

        Returns:
            Start and end of each token in `text`, in characters (code points), in order.
        """
        if self._pre_tokenizer is None:
            self._pre_tokenizer = _load(SPLITTERS[self.kind])
        if not text.isascii():
            text = _FLAG.sub(_LIKE_A_FLAG, text)
        try:
            return [offsets for _, offsets in self._pre_tokenizer.pre_tokenize_str(text)]
        except UnicodeEncodeError:  # the library takes UTF-8, which has no surrogates; one character stands for one
            text = _LONE_SURROGATE.sub("\ufffd", text)
            return [offsets for _, offsets in self._pre_tokenizer.pre_tokenize_str(text)]

    def to_json(self) -> dict[str, Any]:
        """The splitter as a JSON object.

        Returns:
            ``kind``, and as ``pre_tokenizer`` what `tokenizers` reads from the field of that name in a
            ``tokenizer.json``.
        """
        return {"kind": self.kind, "pre_tokenizer": SPLITTERS[self.kind]}

    @classmethod
    def from_json(cls, value: object) -> Splitter:
        """Read what `to_json` gave.

        Only expressions that a seqkit has written are taken: of others a short text can keep the library busy for
        hours, or end the process. One that changes has to be kept here beside the new one, so that a model goes on
        splitting as it did when it was trained.

        Args:
            value: a parsed JSON value.

        Returns:
            The splitter.

        Raises:
            ModelError: `value` is something else, or a pre-tokenizer that is none of seqkit's.
        """
        if not isinstance(value, dict) or set(value) != {"kind", "pre_tokenizer"}:
            names = list(value)[:8] if isinstance(value, dict) else []
            found = (", ".join(map(shown, names)) or "nothing") if isinstance(value, dict) else type(value).__name__
            raise ModelError(f"splitter: expected a JSON object with 'kind', 'pre_tokenizer', found {found}")
        kind, serialised = value["kind"], value["pre_tokenizer"]
        if not isinstance(kind, str) or not isinstance(serialised, dict):
            raise ModelError("splitter: expected a name as 'kind' and a JSON object as 'pre_tokenizer'")
        if serialised != SPLITTERS.get(kind):
            known = ", ".join(SPLITTERS)
            raise ModelError(f"splitter: expected expressions of seqkit's own ({known}), found others as {shown(kind)}")
        return cls(kind)

    def __eq__(self, other: object) -> bool:
        """Whether both cut every text alike."""
        return self.kind == other.kind if isinstance(other, Splitter) else NotImplemented

    def __hash__(self) -> int:
        """A hash that agrees with equality."""
        return hash(self.kind)

    def __repr__(self) -> str:
        """The kind, for debugging."""
        return f"Splitter({self.kind!r})"

    def __getstate__(self) -> dict[str, Any]:
        """What a copy or another process needs."""
        return {"kind": self.kind}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore a copy."""
        self.kind = state["kind"]
        self._pre_tokenizer = None


def _load(serialised: dict[str, Any]) -> PreTokenizer:
    from tokenizers import Tokenizer
    from tokenizers.models import BPE

    # the library reads a pre-tokenizer only as part of a whole tokenizer
    whole = json.loads(Tokenizer(BPE()).to_str())
    whole["pre_tokenizer"] = serialised
    pre_tokenizer: PreTokenizer = Tokenizer.from_str(json.dumps(whole)).pre_tokenizer
    return pre_tokenizer
