"""The embedded sample corpora: sentences written by a grammar, with the troubles of real text left in.

The grammar stands in ``datasets/sample/grammar.toml``: word lists by part of speech, and phrases over them from several
domains. Names are shared between people, places, companies and clubs, and between names and ordinary words; a few
sentences do not say which reading is meant. Dev and test use words, made-up names and phrases that train never shows.
The same seed gives the same corpus on every platform and Python version.
"""

from __future__ import annotations

import random
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, TypeVar

from seqkit.data.sentence import Sentence
from seqkit.errors import DataError
from seqkit.resources import resource_dir

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["GENERATORS", "Grammar", "generate", "read_grammar"]

#: Sample → its label column. In the grammar the sample's name is the phrase that a sentence starts from.
GENERATORS: Mapping[str, str] = {"sample-ner": "ner", "sample-pos": "upos"}

_LONG_LIST = 24  # words a list needs before some of them are kept out of train
_KEPT_OUT_WORD = 5  # every fifth word of a long list, and
_KEPT_OUT_PHRASE = 8  # every eighth sentence pattern, appear in dev and test only
_LOWERED_CHAT = 0.4  # share of chat lines typed without capitals
_HEADLINES = 0.03  # share of news lines set in capitals

T = TypeVar("T")


class Row(NamedTuple):
    """One token of a sample: its part of speech, and its entity label in IOB2."""

    token: str
    upos: str
    ner: str


class Item(NamedTuple):
    """One element of a phrase: a word with its tag, a symbol, or the start or end of an entity."""

    kind: str
    value: str
    tag: str = ""


@dataclass(frozen=True, slots=True)
class Grammar:
    """Word lists and phrases.

    Args:
        words: list name → its words, with their part of speech.
        phrases: phrase name → its alternatives, each a weight and its items.
    """

    words: Mapping[str, tuple[str, tuple[str, ...]]]
    phrases: Mapping[str, tuple[tuple[int, tuple[Item, ...]], ...]]


def read_grammar(path: str | Path) -> Grammar:
    """Read and check a grammar; the file's head says how it is written.

    Args:
        path: the TOML file.

    Returns:
        The grammar.

    Raises:
        DataError: the file cannot be read, a word has no tag, or a phrase names a symbol that is not there.
    """
    try:
        content = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise DataError(f"expected a grammar, found: {error}", file=path) from None
    tags = {word: tag for tag, words in content["tags"].items() for word in words.split()}
    words = {
        name: (tag, tuple(text.split())) for tag, lists in content["words"].items() for name, text in lists.items()
    }
    phrases = {}
    for name, alternatives in content["phrases"].items():
        parsed = []
        for text in alternatives:
            weight, body = re.fullmatch(r"(?:(\d+): )?(.*)", text).groups()  # type: ignore[union-attr]
            parsed.append((int(weight or 1), tuple(_item(piece, tags, path) for piece in body.split())))
        phrases[name] = tuple(parsed)
    known = {*words, *phrases, *_MADE_UP}
    for name, parsed_phrases in phrases.items():
        for _, items in parsed_phrases:
            for item in items:
                if item.kind == "symbol" and item.value not in known:
                    raise DataError(f"expected a word list or phrase, found <{item.value}> in {name!r}", file=path)
    return Grammar(words, phrases)


def _item(piece: str, tags: Mapping[str, str], path: str | Path) -> Item:
    if piece == "]":
        return Item("close", "")
    if piece.startswith("["):
        return Item("open", piece[1:])
    word, _, tag = piece.partition("/")
    if word.startswith("<") and word.endswith(">"):
        return Item("symbol", word[1:-1], tag)
    if tag:
        return Item("word", word, tag)
    if piece.lower() not in tags:
        raise DataError(f"expected a part of speech for {piece!r}, found none in [tags]", file=path)
    return Item("word", piece, tags[piece.lower()])


@lru_cache(maxsize=1)
def _embedded() -> Grammar:
    return read_grammar(resource_dir("datasets") / "sample" / "grammar.toml")


def generate(name: str, sizes: Mapping[str, int], *, seed: int = 0) -> dict[str, list[Sentence]]:
    """Write a sample corpus.

    Args:
        name: a name of `GENERATORS`.
        sizes: split → number of sentences; ``train`` is written without the words and phrases kept for the others.
        seed: seed of the generator.

    Returns:
        Split → sentences with columns ``word`` and the sample's label column; no sentence occurs twice.

    Raises:
        DataError: there is no such sample.
    """
    if name not in GENERATORS:
        raise DataError(f"expected a sample ({', '.join(GENERATORS)}), found {name!r}")
    grammar = _embedded()
    column = GENERATORS[name]
    seen: set[tuple[str, ...]] = set()
    corpus = {}
    for split, size in sizes.items():
        writer = _Writer(grammar, name, random.Random(f"{seed} {split}"), whole=split != "train")
        sentences: list[Sentence] = []
        while len(sentences) < size:
            rows = writer.write()
            tokens = [row.token for row in rows]
            if tuple(tokens) not in seen:
                seen.add(tuple(tokens))
                labels = [row.ner if column == "ner" else row.upos for row in rows]
                sentences.append(Sentence.from_tokens(tokens, {"word": list(tokens), column: labels}))
        corpus[split] = sentences
    return corpus


class _Writer:
    """Expands a grammar's phrases into sentences.

    Args:
        grammar: the grammar.
        start: the phrase whose alternatives are the domains.
        rng: the source of chance.
        whole: whether all of the grammar may be used; otherwise some words and sentence patterns are left out.
    """

    def __init__(self, grammar: Grammar, start: str, rng: random.Random, *, whole: bool) -> None:
        self._grammar = grammar
        self._rng = rng
        self._words = {
            name: (tag, words if whole or len(words) < _LONG_LIST else _without_every(words, _KEPT_OUT_WORD))
            for name, (tag, words) in grammar.words.items()
        }
        self._start = start
        patterns = {item.value for _, items in grammar.phrases[start] for item in items}
        self._phrases = {
            name: _without_every(phrases, _KEPT_OUT_PHRASE) if name in patterns and not whole else phrases
            for name, phrases in grammar.phrases.items()
        }

    def write(self) -> list[Row]:
        """Write one sentence."""
        domain = self._choose(self._start)[0].value
        rows = self._expand(domain)
        rows = [self._article(row, rows[place + 1 : place + 2]) for place, row in enumerate(rows)]
        if domain == "chat" and self._rng.random() < _LOWERED_CHAT:
            return [row._replace(token=row.token.lower()) for row in rows]
        if domain == "news" and self._rng.random() < _HEADLINES:
            return [row._replace(token=row.token.upper()) for row in rows]
        first = next(place for place, row in enumerate(rows) if row.upos != "PUNCT")
        rows[first] = rows[first]._replace(token=rows[first].token[:1].upper() + rows[first].token[1:])
        return rows

    def _expand(self, symbol: str) -> list[Row]:
        if symbol in _MADE_UP:
            tag, write = _MADE_UP[symbol]
            return [Row(write(self._rng), tag, "O")]
        if symbol in self._words:
            tag, words = self._words[symbol]
            return [Row(_pick(self._rng, words), tag, "O")]
        rows: list[Row] = []
        entity, start = "", 0
        for item in self._choose(symbol):
            if item.kind == "open":
                entity, start = item.value, len(rows)
            elif item.kind == "close":
                for place in range(start, len(rows)):
                    rows[place] = rows[place]._replace(ner=("B-" if place == start else "I-") + entity)
            elif item.kind == "word":
                rows.append(Row(item.value, item.tag, "O"))
            else:
                made = self._expand(item.value)
                rows.extend([row._replace(upos=item.tag) for row in made] if item.tag else made)
        return rows

    def _choose(self, symbol: str) -> tuple[Item, ...]:
        phrases = self._phrases[symbol]
        left = self._rng.random() * sum(weight for weight, _ in phrases)
        for weight, items in phrases:
            left -= weight
            if left < 0:
                return items
        return phrases[-1][1]

    @staticmethod
    def _article(row: Row, following: Sequence[Row]) -> Row:
        if row.upos != "DET" or row.token.lower() not in ("a", "an") or not following:
            return row
        vowel = following[0].token[:1].lower() in "aeiou"
        return row._replace(token=row.token[:1] + ("n" if vowel else ""))


def _pick(rng: random.Random, items: Sequence[T]) -> T:
    # `Random.choice` is not promised to stay the same from one Python version to the next; `Random.random` is.
    return items[int(rng.random() * len(items))]


def _without_every(items: Sequence[T], step: int) -> tuple[T, ...]:
    return tuple(item for place, item in enumerate(items) if place % step != step - 1)


# Names and words made up on the spot. Endings hint at the kind, as they do in real names, and are shared, as they are.
_ONSETS = (
    "b",
    "br",
    "c",
    "ch",
    "d",
    "dr",
    "f",
    "g",
    "gr",
    "h",
    "j",
    "k",
    "l",
    "m",
    "n",
    "p",
    "pr",
    "r",
    "s",
    "st",
    "t",
    "v",
)
_VOWELS = ("a", "a", "e", "e", "i", "o", "o", "u", "ai", "ea", "ou")
_CODAS = ("l", "m", "n", "n", "r", "r", "s", "t", "x", "rn", "nd", "lk", "sk")


def _syllables(rng: random.Random, count: int) -> str:
    parts = []
    for place in range(count):
        closed = place + 1 == count or rng.random() < 0.3
        parts.append(_pick(rng, _ONSETS) + _pick(rng, _VOWELS) + (_pick(rng, _CODAS) if closed else ""))
    return "".join(parts)


def _named(endings: str) -> Callable[[random.Random], str]:
    choices = endings.replace("-", "").split(",")

    def write(rng: random.Random) -> str:
        return (_syllables(rng, 1 + int(rng.random() * 2)) + _pick(rng, choices)).capitalize()

    return write


def _number(rng: random.Random) -> str:
    kind = rng.random()
    if kind < 0.15:
        return str(1900 + int(rng.random() * 130))  # looks like a year, and is none
    if kind < 0.35:
        return f"{1 + int(rng.random() * 98)},{int(rng.random() * 10)}00"
    return str(2 + int(rng.random() * (98 if kind < 0.7 else 900)))


_MADE_UP: Mapping[str, tuple[str, Callable[[random.Random], str]]] = {
    "made-up-first": ("PROPN", _named(",a,o,ia,en,in,el,an")),
    "made-up-last": ("PROPN", _named(",son,man,ez,ov,ski,er,ini,ton,ford,ley,a,o")),
    "made-up-place": ("PROPN", _named(",ton,ford,ville,burg,ham,stad,mouth,ley,ia,a,port")),
    "made-up-firm": ("PROPN", _named(",tron,ix,co,soft,ia,a,ex,ford,son,o")),
    "made-up-noun": ("NOUN", lambda rng: _syllables(rng, 2)),
    "made-up-past": ("VERB", lambda rng: _syllables(rng, 1) + "ed"),
    "initial": ("PROPN", lambda rng: _pick(rng, "ABCDEFGHJKLMNPRSTW") + "."),
    "number": ("NUM", _number),
    "digit": ("NUM", lambda rng: str(2 + int(rng.random() * 28))),
    "score": ("NUM", lambda rng: f"{int(rng.random() * 6)}-{int(rng.random() * 6)}"),
    "day": ("NUM", lambda rng: str(1 + int(rng.random() * 31))),
    "year": ("NUM", lambda rng: str(1700 + int(rng.random() * 330))),
}
