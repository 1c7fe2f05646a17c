"""The samples for tagging: entities and parts of speech in sentences of several domains.

Names are shared by people, places, companies and clubs, and by names and ordinary words; a few sentences are ambiguous.
Dev and test use words, made-up names and phrases that do not occur in train.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import NamedTuple

from seqkit.corpora.samples.grammar import Drawer, distinct, embedded, pick
from seqkit.records import Sentence

_LOWERED_CHAT = 0.4  # share of chat lines typed without capitals
_HEADLINES = 0.03  # share of news lines set in capitals


class Row(NamedTuple):
    """One token of a sample: its part of speech, and its entity label in IOB2."""

    token: str
    upos: str
    ner: str


def generate(start: str, column: str, sizes: Mapping[str, int], seed: int) -> dict[str, list[Sentence]]:
    """Write a sample for tagging.

    Args:
        start: the phrase of the grammar that a sentence starts from.
        column: the label column: ``ner`` or ``upos``.
        sizes: split → number of sentences; ``train`` is written without the words and phrases kept for the others.
        seed: seed of the generator.

    Returns:
        Split → sentences with columns ``word`` and the label column; no sentence occurs twice.

    Raises:
        DataError: there are not so many different sentences.
    """
    grammar = embedded("grammar.toml", frozenset(MADE_UP))
    seen: set[Hashable] = set()
    corpus: dict[str, list[Sentence]] = {}
    for split, size in sizes.items():
        writer = _Writer(grammar, start, random.Random(f"{seed} {split}"), whole=split != "train")
        corpus[split] = []
        for rows in distinct(writer.write, lambda rows: tuple(row.token for row in rows), size, seen):
            tokens = [row.token for row in rows]
            labels = [row.ner if column == "ner" else row.upos for row in rows]
            sentence = Sentence.from_tokens(tokens, {column: labels})
            sentence.columns = {"word": sentence.tokens, **sentence.columns}
            corpus[split].append(sentence)
    return corpus


class _Writer(Drawer):
    """Expands a grammar's phrases into tagged sentences; its start is the phrase whose alternatives are the domains."""

    def write(self) -> list[Row]:
        """Write one sentence."""
        domain = self.choose(self.start)[0].value
        rows = self._rows(domain)
        rows = [self._article(row, rows[place + 1 : place + 2]) for place, row in enumerate(rows)]
        if domain == "chat" and self.rng.random() < _LOWERED_CHAT:
            return [row._replace(token=row.token.lower()) for row in rows]
        if domain == "news" and self.rng.random() < _HEADLINES:
            return [row._replace(token=row.token.upper()) for row in rows]
        first = next(place for place, row in enumerate(rows) if row.upos != "PUNCT")
        rows[first] = rows[first]._replace(token=rows[first].token[:1].upper() + rows[first].token[1:])
        return rows

    def _rows(self, symbol: str) -> list[Row]:
        if symbol in MADE_UP:
            tag, write = MADE_UP[symbol]
            return [Row(write(self.rng), tag, "O")]
        found = self.word(symbol)
        if found is not None:
            tag, word = found
            return [Row(word, tag, "O")]
        rows: list[Row] = []
        entity, start = "", 0
        for item in self.choose(symbol):
            if item.kind == "open":
                entity, start = item.value, len(rows)
            elif item.kind == "close":
                for place in range(start, len(rows)):
                    rows[place] = rows[place]._replace(ner=("B-" if place == start else "I-") + entity)
            elif item.kind == "word":
                rows.append(Row(item.value, item.tag, "O"))
            else:
                made = self._rows(item.value)
                rows.extend([row._replace(upos=item.tag) for row in made] if item.tag else made)
        return rows

    @staticmethod
    def _article(row: Row, following: Sequence[Row]) -> Row:
        if row.upos != "DET" or row.token.lower() not in ("a", "an") or not following:
            return row
        vowel = following[0].token[:1].lower() in "aeiou"
        return row._replace(token=row.token[:1] + ("n" if vowel else ""))


# Made-up names and words. Their endings suggest the kind, and are shared by several kinds, as in real names.
_ONSETS = tuple("b br c ch d dr f g gr h j k l m n p pr r s st t v".split())  # noqa: SIM905
_VOWELS = ("a", "a", "e", "e", "i", "o", "o", "u", "ai", "ea", "ou")
_CODAS = ("l", "m", "n", "n", "r", "r", "s", "t", "x", "rn", "nd", "lk", "sk")


def _syllables(rng: random.Random, count: int) -> str:
    parts = []
    for place in range(count):
        closed = place + 1 == count or rng.random() < 0.3
        parts.append(pick(rng, _ONSETS) + pick(rng, _VOWELS) + (pick(rng, _CODAS) if closed else ""))
    return "".join(parts)


def _named(endings: str) -> Callable[[random.Random], str]:
    choices = endings.replace("-", "").split(",")

    def write(rng: random.Random) -> str:
        return (_syllables(rng, 1 + int(rng.random() * 2)) + pick(rng, choices)).capitalize()

    return write


def _number(rng: random.Random) -> str:
    kind = rng.random()
    if kind < 0.15:
        return str(1900 + int(rng.random() * 130))  # looks like a year, but is not one
    if kind < 0.35:
        return f"{1 + int(rng.random() * 98)},{int(rng.random() * 10)}00"
    return str(2 + int(rng.random() * (98 if kind < 0.7 else 900)))


#: Symbols of the grammar for made-up words → their part of speech, and a function that makes them up.
MADE_UP: Mapping[str, tuple[str, Callable[[random.Random], str]]] = {
    "made-up-first": ("PROPN", _named(",a,o,ia,en,in,el,an")),
    "made-up-last": ("PROPN", _named(",son,man,ez,ov,ski,er,ini,ton,ford,ley,a,o")),
    "made-up-place": ("PROPN", _named(",ton,ford,ville,burg,ham,stad,mouth,ley,ia,a,port")),
    "made-up-firm": ("PROPN", _named(",tron,ix,co,soft,ia,a,ex,ford,son,o")),
    "made-up-noun": ("NOUN", lambda rng: _syllables(rng, 2)),
    "made-up-past": ("VERB", lambda rng: _syllables(rng, 1) + "ed"),
    "initial": ("PROPN", lambda rng: pick(rng, "ABCDEFGHJKLMNPRSTW") + "."),
    "number": ("NUM", _number),
    "digit": ("NUM", lambda rng: str(2 + int(rng.random() * 28))),
    "score": ("NUM", lambda rng: f"{int(rng.random() * 6)}-{int(rng.random() * 6)}"),
    "day": ("NUM", lambda rng: str(1 + int(rng.random() * 31))),
    "year": ("NUM", lambda rng: str(1700 + int(rng.random() * 330))),
}
