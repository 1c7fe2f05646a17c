"""The sample for translation: sentences in English and in Tolari, an invented language of another order.

A Tolari sentence has the place first, then subject, object and verb. Its adjectives follow their noun. Every noun is of
one of three classes, whose vowel (a, o, u) stands at the end of the article, the noun and its adjectives; -m
marks the plural of all of them, -n the object. The verb agrees with class and number of the subject; ``ne`` denies it.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import NamedTuple

from seqkit.corpora.samples.grammar import distinct
from seqkit.records import TextRecord


class _Noun(NamedTuple):
    """A noun: English singular and plural, the stem in Tolari, and the vowel of its class."""

    one: str
    several: str
    stem: str
    vowel: str


_ANIMATE = (
    _Noun("cat", "cats", "mir", "a"),
    _Noun("dog", "dogs", "bal", "o"),
    _Noun("child", "children", "pilt", "a"),
    _Noun("teacher", "teachers", "sedor", "u"),
    _Noun("sailor", "sailors", "navar", "o"),
    _Noun("woman", "women", "elen", "a"),
    _Noun("man", "men", "toros", "o"),
    _Noun("bird", "birds", "fliv", "u"),
    _Noun("goat", "goats", "kebr", "a"),
    _Noun("doctor", "doctors", "held", "u"),
)
_THINGS = (
    _Noun("boat", "boats", "lod", "a"),
    _Noun("house", "houses", "dom", "o"),
    _Noun("apple", "apples", "mel", "u"),
    _Noun("book", "books", "kni", "a"),
    _Noun("lamp", "lamps", "svet", "o"),
    _Noun("key", "keys", "klav", "u"),
    _Noun("knife", "knives", "noz", "o"),
    _Noun("letter", "letters", "pism", "a"),
)
_PLACES = (
    _Noun("garden", "gardens", "hort", "u"),
    _Noun("kitchen", "kitchens", "kuk", "a"),
    _Noun("harbour", "harbours", "port", "o"),
    _Noun("street", "streets", "ulit", "a"),
    _Noun("forest", "forests", "lesk", "u"),
    _Noun("market", "markets", "merk", "o"),
)
_ADJECTIVES = {
    "old": "var",
    "young": "jun",
    "red": "rud",
    "white": "bel",
    "small": "mik",
    "tall": "vis",
    "quiet": "tih",
    "new": "nov",
}
_VERBS = {
    "see": ("sees", "saw", "vid"),
    "find": ("finds", "found", "tre"),
    "paint": ("paints", "painted", "mal"),
    "carry": ("carries", "carried", "por"),
    "want": ("wants", "wanted", "hot"),
    "sell": ("sells", "sold", "prod"),
    "hide": ("hides", "hid", "kri"),
}
_NUMBERS = {"two": "du", "three": "tri", "four": "kvar"}
_PREPOSITIONS = {"in": "vi", "near": "pri", "behind": "za"}


class _Phrase(NamedTuple):
    """A noun with what belongs to it, in both languages, and how what agrees with it ends."""

    english: str
    tolari: str
    ending: str
    several: bool


def translations(sizes: Mapping[str, int], seed: int) -> dict[str, list[TextRecord]]:
    """Write pairs of sentences.

    Args:
        sizes: split → number of pairs.
        seed: seed of the generator.

    Returns:
        Split → records with fields ``english`` and ``tolari``; no sentence occurs twice.
    """
    seen: set[object] = set()
    corpus: dict[str, list[TextRecord]] = {}
    for split, size in sizes.items():
        draw = random.Random(f"{seed} {split}")
        pairs = distinct(lambda draw=draw: _sentence(draw), lambda pair: pair["english"], size, seen)  # type: ignore[misc]
        corpus[split] = [TextRecord("", dict(pair)) for pair in pairs]
    return corpus


def _sentence(draw: random.Random) -> dict[str, str]:
    subject = _noun_phrase(draw, _ANIMATE)
    object = _noun_phrase(draw, _THINGS if draw.random() < 0.7 else _ANIMATE, accusative=True)
    verb = draw.choice(list(_VERBS))
    third, past, stem = _VERBS[verb]
    is_past, is_denied = draw.random() < 0.4, draw.random() < 0.25
    if is_denied:
        helper = "did" if is_past else "do" if subject.several else "does"
        english = f"{helper} not {verb}"
    else:
        english = past if is_past else verb if subject.several else third
    tolari = f"{'ne ' if is_denied else ''}{stem}{'al' if is_past else 'e'}{subject.ending}"
    first, last = "", ""
    if draw.random() < 0.4:
        preposition = draw.choice(list(_PREPOSITIONS))
        place = _noun_phrase(draw, _PLACES)
        first, last = f"{_PREPOSITIONS[preposition]} {place.tolari} ", f" {preposition} {place.english}"
    return {
        "english": f"{subject.english} {english} {object.english}{last} .",
        "tolari": f"{first}{subject.tolari} {object.tolari} {tolari} .",
    }


def _noun_phrase(draw: random.Random, nouns: tuple[_Noun, ...], *, accusative: bool = False) -> _Phrase:
    noun = draw.choice(nouns)
    several = draw.random() < 0.4
    number = draw.choice(list(_NUMBERS)) if several and draw.random() < 0.5 else ""
    is_known = draw.random() < 0.6 or (several and not number)
    adjectives = draw.sample(list(_ADJECTIVES), draw.choice([0, 0, 1, 1, 2]))
    ending = noun.vowel + ("m" if several else "")
    case = ending + ("n" if accusative else "")
    words = [*([number] if number else []), *adjectives, noun.several if several else noun.one]
    article = "the" if is_known else "" if number else "an" if words[0][0] in "aeiou" else "a"
    english = " ".join(filter(None, [article, *words]))
    followers = [_ADJECTIVES[adjective] + case for adjective in adjectives]
    tolari = [*([f"l{ending}"] if is_known else []), *([_NUMBERS[number]] if number else []), noun.stem + case]
    return _Phrase(english, " ".join([*tolari, *followers]), ending, several)
