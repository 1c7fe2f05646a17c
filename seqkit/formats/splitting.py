"""Raw text → tokens with their character offsets, by pre-tokenizers of the library `tokenizers`.

A splitter is a list of regular expressions in the `tokenizers` serialisation, so that every program that runs a saved
model (Python, the host of an exported model, anything else that uses the library) splits text exactly as in training.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from functools import cache
from itertools import islice, pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from seqkit.errors import ModelError, shown
from seqkit.formats.writers import clean

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tokenizers.pre_tokenizers import PreTokenizer

_FLAG = re.compile("[\U0001f1e6-\U0001f1ff]{2}")
_LIKE_A_FLAG = "\u2500\u0301"
"""a mark and an accent, split like a flag: \\X finds the end of a flag by counting all letters of flags before it"""

# The parts below are in Oniguruma's syntax, which the library uses: \p{L} is any letter, \p{M} a combining mark, \p{N}
# a digit of any script, \p{Lu} a capital, \p{P} punctuation, and \X a character with all that combines with it. What
# may be long is bounded or unambiguous, so that time grows only with the text's length.
_SPACELESS = r"\p{Han}\p{Hiragana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_JOINERS = r"\x{ad}\x{200c}\x{200d}"  # a soft hyphen and joiners are part of the word they stand in
_ANY_LETTER, _ANY_NUMBER = r"\p{L}", r"\p{N}"
_LETTER, _NUMBER = rf"[\p{{L}}&&[^{_SPACELESS}]]", r"[\p{N}&&[^\p{Han}]]"
_SPACELESS_CHARACTER = rf"[\p{{L}}&&[{_SPACELESS}]][\p{{M}}\x{{200c}}\x{{200d}}]*"
_EMOTICON = r"(?<![\p{L}\p{N}(])(?:[:;=]['’]?[-o^]?[)(DPp/\\|*]|<3)(?![^\s\p{P}])"
_SAME_MARK_AGAIN = r"(?:[.?!…]{2,}|([\p{P}=~^+|<>$`])\1*)(?![\p{M}\x{200d}])"
_CHARACTER = r"(?!\s)\X"
_ENGLISH_CLITIC = r"(?:[nN]['’][tT]|['’](?:[sS]|[rR][eE]|[vV][eE]|[lL][lL]|[dD]|[mM])|(?<=\p{N})[aApP][mM])$"
_ELIDED = (
    r"(?:[ldjmtsncLDJMTSNC]|(?:[qQ]|(?:[jJ]us|[lL]ors|[pP]uis|[qQ]uoi)q)[uU]|[uU]n|[dDnN]?[eE]ll|[dDnN]?[aA]ll|[sScC][uo]ll|"
    r"[qQ]ue(?:st|ll)|[bB]ell|[sS]ant|[cC]om|[dD]ov|[gG]l|[mM]ezz|[aA]nch|[nN]essun|[cC]iascun|[tT]utt|QU|UN|DELL|ALL)['’]"
)
_ELISION = rf"^{_ELIDED}(?=[{_ANY_LETTER}{_ANY_NUMBER}])"


def _expressions(letter: str, number: str, outside_addresses: str, others: tuple[str, ...]) -> dict[str, str]:
    """The expressions of the kinds that know words.

    Args:
        letter: the letters of which words consist, in a character class.
        number: the digits.
        outside_addresses: what ends a web address, beside white space and quotes, in a character class.
        others: what else is a token.

    Returns:
        Kind → expression.
    """
    in_word = rf"[{letter}\p{{M}}{number}_{_JOINERS}]"
    in_name = rf"[{_ANY_LETTER}\p{{M}}{_ANY_NUMBER}_{_JOINERS}]"
    no_more_word = rf"(?!{in_word})"
    addresses = (
        rf'(?:https?://|ftp://|www\.)[^\s<>"{outside_addresses}]*[^\s<>"\p{{P}}{outside_addresses}]/?',
        rf"[{letter}{number}_.+-]{{1,64}}@{in_word}+(?:[.-]{in_word}+)*",
        rf"[@\#][\p{{L}}_]{in_name}*",  # a name or a topic of social media
    )
    letters_and_full_stops = rf"(?:{letter}\p{{M}}*\.){{2,}}(?:{letter}{no_more_word})?"  # U.S., e.g., U.S.A
    abbreviations = (
        r"(?:Mrs?|Ms|Mx|Drs?|Prof|Sts?|Jr|Sr|Inc|Corp|Ltd|LTD|Co|Cos|Bros|Gov|Sen|Reps?|Gen|Col|Lt|Capt|Sgt|Rev|Hon|"
        rf"Ft|Mt|Ave|Blvd|Jan|Feb|Aug|Sept?|Oct|Nov|Dec|vs|etc|Etc)\.{no_more_word}",
        r"(?:No|Nos|Mar|Apr|Jun|Jul|Fig|Vol|pp)\.(?=\s+\p{N})",
        r"[A-HJ-Z]\.(?=\s+\p{Lu})",  # an initial
    )
    clitic_alone = rf"['’](?:[sS]|[rR][eE]|[vV][eE]|[lL][lL]|[dD]|[mM]){no_more_word}"
    elided_alone = rf"(?<![{letter}\p{{M}}{number}'’]){_ELIDED}(?!\S)"
    word = (
        rf"{in_word}+(?:"
        rf"(?:[.'’·\x{{5f3}}\x{{5f4}}-]|(?<=\p{{N}})[,:/](?=\p{{N}})|(?<=\p{{Lu}})&(?=\p{{Lu}})){in_word}+"
        r")*"
    )
    begin, end = (*addresses, _EMOTICON, letters_and_full_stops), (word, *others, _SAME_MARK_AGAIN, _CHARACTER)
    return {
        "words": "|".join([*begin, *end]),
        "english": "|".join([*begin, *abbreviations, clitic_alone, *end]),
        "elision": "|".join([*begin, elided_alone, *end]),
    }


def _matches(pattern: str) -> dict[str, Any]:
    """Keep what matches, drop the rest: every pattern here matches everything but white space."""
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Removed", "invert": True}


def _then_cut(pattern: str, part: str) -> dict[str, Any]:
    """Keep what matches, and cut a part off it."""
    cut = {"type": "Split", "pattern": {"Regex": part}, "behavior": "Isolated", "invert": False}
    return {"type": "Sequence", "pretokenizers": [_matches(pattern), cut]}


_NOW = _expressions(_LETTER, _NUMBER, _SPACELESS, (_SPACELESS_CHARACTER,))
_FIRST = _expressions(_ANY_LETTER, _ANY_NUMBER, "", ())
SPLITTERS: dict[str, dict[str, Any]] = {
    "words": _matches(_NOW["words"]),
    "english": _then_cut(_NOW["english"], _ENGLISH_CLITIC),
    "elision": _then_cut(_NOW["elision"], _ELISION),
    "spaces": _matches(r"\S+"),
    "characters": _matches(_CHARACTER),
}
"""kind → its pre-tokenizer, in the serialisation of `tokenizers`."""
_EARLIER: dict[str, dict[str, Any]] = {
    "words": _matches(_FIRST["words"]),
    "english": _then_cut(_FIRST["english"], _ENGLISH_CLITIC),
}
"""the same of earlier models, which made each clause of a script without spaces one token"""


@dataclass(frozen=True)
class Splitter:
    """Splits a text into tokens.

    White space (as defined by Unicode) separates tokens; every other character is in exactly one token.

    - ``words``: words, numbers and punctuation of any script. Apostrophes, hyphens and full stops inside a word do not
      split it (``state-of-the-art``, ``l'eau``), nor do separators inside a number (``1,000.50``, ``12:30``). Web and
      mail addresses, ``@name``, ``#topic``, letters with full stops (``U.S.``) and emoticons are one token; so is a
      repeated mark (``...``, ``!!``). Emoji and accents are not split. Han, Hiragana, Thai, Lao, Khmer and Burmese
      have no spaces between words: each character is a token, with its combining marks. Katakana, which writes loan
      words, Latin words and numbers among them stay whole, and so do Korean words; Tibetan is split into syllables.
    - ``english``: the same, with abbreviations (``Mr.``) and the Penn Treebank's clitics: ``do`` ``n't``, ``Ann``
      ``'s``. Hyphenated words are not split, as in the Penn Treebank and the CoNLL corpora.
    - ``elision``: as ``words``, with the elided words of French, Italian and Catalan: ``l'`` ``homme``, ``qu'`` ``il``,
      ``dell'`` ``acqua``; ``aujourd'hui`` and ``dit-il`` stay whole.
    - ``spaces``: tokens are separated by white space alone.
    - ``characters``: every character is a token, with its combining marks, also of Latin words and numbers.

    Args:
        kind: one of these names.
        is_earlier: split as models did that were saved before ``words`` and ``english`` knew scripts without spaces.

    Raises:
        ValueError: there is no such kind.

    Examples:
        >>> text = "Ada didn't pay $1,000.50."
        >>> [text[start:end] for start, end in Splitter("english").split(text)]
        ['Ada', 'did', "n't", 'pay', '$', '1,000.50', '.']
    """

    kind: str = "words"
    is_earlier: bool = field(default=False, repr=False)

    def __post_init__(self) -> None:
        """Check the kind."""
        if self.kind not in SPLITTERS:
            raise ValueError(f"unknown splitter {self.kind!r}; choose from {', '.join(SPLITTERS)}")
        if self.is_earlier and self.kind not in _EARLIER:
            raise ValueError(f"splitter {self.kind!r} has no earlier form")

    def split(self, text: str) -> list[tuple[int, int]]:
        """Split a text into tokens.

        Args:
            text: any string, also one with lone surrogates.

        Returns:
            Start and end of each token in `text`, in characters (code points), in order.
        """
        pre_tokenizer = _pre_tokenizer(self.kind, self.is_earlier)
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
        return {"kind": self.kind, "pre_tokenizer": _serialised(self.kind, self.is_earlier)}

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
        for splitter in (*map(cls, SPLITTERS), *(cls(kind, is_earlier=True) for kind in _EARLIER)):
            if value == splitter.to_json():
                return splitter
        raise ModelError(f"splitter: not one of seqkit's own ({', '.join(SPLITTERS)}): {shown(value)}")


class Choice(NamedTuple):
    """A kind of splitter, and why it was chosen, as a sentence for the user."""

    kind: str
    reason: str


_SAMPLE = 2000
"""sentences read to choose a splitter"""
_CLEARLY = 0.001
"""share of the tokens by which another kind has to be better than ``words``: less may be a few odd tokens"""
_GLUED = re.compile(r"\w[,;:?!)]+")
_ALONE = re.compile(r"[,;:?!)]+")


def choose_splitter(sentences: Iterable[tuple[str, Sequence[tuple[int, int]]]], name: str = "train") -> Choice:
    """Find the kind of splitter that agrees best with given tokens.

    Agreement is the share of the given tokens that a kind finds with both ends exact. Where the text is only the tokens
    joined by spaces, it says how many of them a kind leaves whole: ``n't`` and ``'s`` speak for ``english``, ``l'`` and
    ``qu'`` for ``elision``. There ``spaces`` is right by construction, and is chosen only if marks are part of the
    words before them.

    Args:
        sentences: text, and start and end of each token in it; no more than the first 2,000 are read.
        name: what the sentences are called in the reason.

    Returns:
        The kind, ``words`` unless another one is clearly better, and the reason.
    """
    sample = list(islice(sentences, _SAMPLE))
    gold = sum(len(tokens) for _, tokens in sample)
    if not gold:
        return Choice("words", f"raw text is split by 'words', because {name} has no tokens")
    is_joined = all(
        end + 1 == start and text[end] == " " for text, tokens in sample for (_, end), (start, _) in pairwise(tokens)
    )
    kinds = list(SPLITTERS)
    if is_joined:
        words = [text[start:end] for text, tokens in sample for start, end in tokens]
        if sum(map(bool, map(_GLUED.search, words))) > sum(map(bool, map(_ALONE.fullmatch, words))):
            return Choice("spaces", f"raw text is split by 'spaces', because marks are part of the words of {name}")
        kinds.remove("spaces")
    agreement = {kind: _agreement(Splitter(kind), sample) / gold for kind in kinds}
    best = max(kinds, key=lambda kind: (agreement[kind] > agreement["words"] + _CLEARLY) * agreement[kind])
    found = f"{'leaves' if is_joined else 'finds'} {agreement[best]:.1%} of the tokens of {name}"
    beside = "" if best == "words" else f" ('words': {agreement['words']:.1%})"
    return Choice(best, f"raw text is split by {best!r}, which {found}{' whole' if is_joined else ''}{beside}")


def _agreement(splitter: Splitter, sentences: Sequence[tuple[str, Sequence[tuple[int, int]]]]) -> int:
    """How many of the given tokens a splitter finds."""
    return sum(len(set(splitter.split(text)) & set(tokens)) for text, tokens in sentences)


_LONGEST_SAMPLE = 200_000
"""characters read to guess from raw text"""
_LEAST_ELIDED = 0.01
"""share of words; French has about 0.05, Italian and Catalan 0.03, Spanish, English and German next to none"""
_WITHOUT_SPACES = re.compile("[\u0e01-\u0eff\u1000-\u109f\u1780-\u17ff\u3041-\u309f\u3400-\u9fff\U00020000-\U0003ffff]")
_LEAST_WITHOUT_SPACES = 0.1
"""share of the characters that are letters of scripts without spaces, by which they are worth a word"""
_ANY_WORD = re.compile(r"[^\W\d_]+")
_ELIDED_WORD = re.compile(r"(?<![\w'’])(?:[ldjmtsnc]|qu|un|[dn]?ell|[dn]?all)['’](?=[^\W\d_])", re.IGNORECASE)
_ELIDING = frozenset(
    ("le", "la", "les", "des", "et", "est", "une", "dans", "il", "che", "di", "non", "per", "con", "del", "els", "amb")
)
_OTHERS = frozenset(
    ("the", "of", "and", "to", "is", "in", "that", "it", "der", "die", "das", "und", "ist", "het", "een")
)


def choose_splitter_for_text(text: str) -> Choice:
    """Guess the kind of splitter from raw text alone.

    Args:
        text: any text; no more than its first 200,000 characters are read.

    Returns:
        ``elision`` for French, Italian or Catalan, otherwise ``words``, and the reason.
    """
    sample = text[:_LONGEST_SAMPLE]
    words = _ANY_WORD.findall(sample.lower())
    elided = len(_ELIDED_WORD.findall(sample))
    eliding, others = (sum(word in known for word in words) for known in (_ELIDING, _OTHERS))
    if words and elided >= _LEAST_ELIDED * len(words) and eliding > others:
        share = f"{elided / len(words):.1%}"
        return Choice("elision", f"raw text is split by 'elision', because {share} of its words are like l' or qu'")
    how = "the splitter for text of any language"
    if len(_WITHOUT_SPACES.findall(sample)) > _LEAST_WITHOUT_SPACES * len(sample):
        how = "a token for every character of a script without spaces between words"
    return Choice("words", f"raw text is split by 'words', {how}")


def _serialised(kind: str, is_earlier: bool) -> dict[str, Any]:
    return (_EARLIER if is_earlier else SPLITTERS)[kind]


@cache
def _pre_tokenizer(kind: str, is_earlier: bool) -> PreTokenizer:
    from tokenizers import Tokenizer
    from tokenizers.models import BPE

    # The library reads a pre-tokenizer only as part of a complete tokenizer.
    whole = json.loads(Tokenizer(BPE()).to_str()) | {"pre_tokenizer": _serialised(kind, is_earlier)}
    pre_tokenizer: PreTokenizer = Tokenizer.from_str(json.dumps(whole)).pre_tokenizer
    return pre_tokenizer
