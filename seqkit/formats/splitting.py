"""Raw text → tokens with their character offsets, by pre-tokenizers of the library `tokenizers`.

A splitter is a list of regular expressions in the `tokenizers` serialisation, so that every program that runs a saved
model (Python, the host of an exported model, anything else that uses the library) splits text exactly as in training.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from seqkit.errors import ModelError, shown
from seqkit.formats.writers import clean

if TYPE_CHECKING:
    from tokenizers.pre_tokenizers import PreTokenizer

_FLAG = re.compile("[\U0001f1e6-\U0001f1ff]{2}")
_LIKE_A_FLAG = "\u2500\u0301"
"""a mark and an accent, split like a flag: \\X finds the end of a flag by counting all letters of flags before it"""

# The parts below are in Oniguruma's syntax, which the library uses: \p{L} is any letter, \p{M} a combining mark, \p{N}
# a digit of any script, \p{Lu} a capital, \p{P} punctuation, and \X a character with all that combines with it. What
# may be long is bounded or unambiguous, so that time grows only with the text's length.
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

_END = (_WORD, _SAME_MARK_AGAIN, _CHARACTER)
_WORDS = (*_ADDRESSES, _EMOTICON, _LETTERS_AND_FULL_STOPS, *_END)
_ENGLISH = (*_ADDRESSES, _EMOTICON, _LETTERS_AND_FULL_STOPS, *_ABBREVIATIONS, _CLITIC_ALONE, *_END)


def _matches(pattern: str) -> dict[str, Any]:
    """Keep what matches, drop the rest: every pattern here matches everything but white space."""
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


@dataclass(frozen=True)
class Splitter:
    """Splits a text into tokens.

    White space (as defined by Unicode) separates tokens; every other character is in exactly one token.

    - ``words``: words, numbers and punctuation of any script with spaces between words. Apostrophes, hyphens and full
      stops inside a word do not split it (``state-of-the-art``, ``l'eau``), nor do separators inside a number
      (``1,000.50``, ``12:30``). Web and mail addresses, ``@name``, ``#topic``, letters with full stops (``U.S.``) and
      emoticons are one token; so is a repeated mark (``...``, ``!!``). Emoji and accents are not split.
    - ``english``: the same, with abbreviations (``Mr.``) and the Penn Treebank's clitics: ``do`` ``n't``, ``Ann``
      ``'s``. Hyphenated words are not split, as in the Penn Treebank and the CoNLL corpora.
    - ``spaces``: tokens are separated by white space alone.
    - ``characters``: every character is a token, with its combining marks, for scripts without spaces.

    Args:
        kind: one of these names.

    Raises:
        ValueError: there is no such kind.

    Examples:
        >>> text = "Ada didn't pay $1,000.50."
        >>> [text[start:end] for start, end in Splitter("english").split(text)]
        ['Ada', 'did', "n't", 'pay', '$', '1,000.50', '.']
    """

    kind: str = "words"

    def __post_init__(self) -> None:
        """Check the kind."""
        if self.kind not in SPLITTERS:
            raise ValueError(f"unknown splitter {self.kind!r}; choose from {', '.join(SPLITTERS)}")

    def split(self, text: str) -> list[tuple[int, int]]:
        """Split a text into tokens.

        Args:
            text: any string, also one with lone surrogates.

        Returns:
            Start and end of each token in `text`, in characters (code points), in order.
        """
        pre_tokenizer = _pre_tokenizer(self.kind)
        if not text.isascii():
            text = _FLAG.sub(_LIKE_A_FLAG, text)
        try:
            return [offsets for _, offsets in pre_tokenizer.pre_tokenize_str(text)]
        except UnicodeEncodeError:  # the library takes UTF-8, which has no surrogates; replaced one by one
            text = clean(text)
            return [offsets for _, offsets in pre_tokenizer.pre_tokenize_str(text)]

    def to_json(self) -> dict[str, Any]:
        """The splitter as a JSON object.

        Returns:
            ``kind``, and as ``pre_tokenizer`` what `tokenizers` reads from the field of that name in a
            ``tokenizer.json``.
        """
        return {"kind": self.kind, "pre_tokenizer": SPLITTERS[self.kind]}

    @classmethod
    def from_json(cls, value: object) -> Splitter:
        """Read what `to_json` returns.

        Only expressions that seqkit has written are accepted: other short texts can keep the library busy for hours, or
        crash the process. When an expression changes, the old one has to be kept here beside the new one, so that a
        model splits text as it did in training.

        Args:
            value: a parsed JSON value.

        Returns:
            The splitter.

        Raises:
            ModelError: `value` is something else, or has a pre-tokenizer that is not seqkit's.
        """
        found = next((kind for kind in SPLITTERS if value == cls(kind).to_json()), None)
        if found is None:
            raise ModelError(f"splitter: not one of seqkit's own ({', '.join(SPLITTERS)}): {shown(value)}")
        return cls(found)


@cache
def _pre_tokenizer(kind: str) -> PreTokenizer:
    from tokenizers import Tokenizer
    from tokenizers.models import BPE

    # The library reads a pre-tokenizer only as part of a complete tokenizer.
    whole = json.loads(Tokenizer(BPE()).to_str()) | {"pre_tokenizer": SPLITTERS[kind]}
    pre_tokenizer: PreTokenizer = Tokenizer.from_str(json.dumps(whole)).pre_tokenizer
    return pre_tokenizer
