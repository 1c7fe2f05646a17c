"""Grammars that samples are written from: word lists, phrases over them, and drawing from both.

A grammar is a TOML file. In a phrase, ``<name>`` is a word list or another phrase, everything else is a word,
and ``3: …`` makes a phrase three times as likely as one without a number. With a table ``[tags]`` every word has a part
of speech: ``word/TAG`` gives it, ``[tags]`` gives it for frequent words, and ``[PER … ]`` marks an entity.
With a list ``domains`` a symbol ``<part>`` is ``film-part`` in the domain ``film``, if there is such a list or phrase.
"""

from __future__ import annotations

import random
import re
from bisect import bisect_right
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple, TypeVar

from seqkit.errors import DataError
from seqkit.resources import resource_dir
from seqkit.toml import read_toml

_LONG_LIST = 24  # how many words a list needs before some of them are kept out of train
_KEPT_OUT_WORD = 5  # every fifth word of a long list, and
_KEPT_OUT_PHRASE = 8  # every eighth sentence pattern, occur in dev and test only
_PATIENCE = 10_000  # how many repeated texts in a row mean that there are no others

T = TypeVar("T")


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
        domains: what the names of some lists and phrases begin with.
    """

    words: Mapping[str, tuple[str, tuple[str, ...]]]
    phrases: Mapping[str, tuple[tuple[int, tuple[Item, ...]], ...]]
    domains: tuple[str, ...] = ()


def read_grammar(path: str | Path, given: Collection[str] = ()) -> Grammar:
    """Read and check a grammar.

    Args:
        path: the TOML file.
        given: symbols that are not expanded by the grammar.

    Returns:
        The grammar.

    Raises:
        DataError: the file cannot be read, a word lacks a tag, or a phrase has an unknown symbol.
    """
    try:
        content = read_toml(Path(path))
    except (OSError, ValueError) as error:
        raise DataError(f"invalid grammar: {error}", file=path) from None
    tags = None
    if "tags" in content:
        tags = {word: tag for tag, words in content["tags"].items() for word in words.split()}
    lists = content["words"] if tags is not None else {"": content["words"]}
    words = {name: (tag, tuple(text.split())) for tag, group in lists.items() for name, text in group.items()}
    phrases = {}
    for name, alternatives in content["phrases"].items():
        parsed = []
        for text in alternatives:
            weight, body = re.fullmatch(r"(?:(\d+): )?(.*)", text).groups()  # type: ignore[union-attr]
            parsed.append((int(weight or 1), tuple(_item(piece, tags, path) for piece in body.split())))
        phrases[name] = tuple(parsed)
    domains = tuple(content.get("domains", ()))
    known = {*words, *phrases, *given}
    for name, parsed_phrases in phrases.items():
        own = [domain for domain in domains if name.startswith(f"{domain}-")] or domains
        for _, items in parsed_phrases:
            for item in items:
                if item.kind != "symbol" or item.value in known:
                    continue
                if not own or any(f"{domain}-{item.value}" not in known for domain in own):
                    raise DataError(f"no word list or phrase for <{item.value}> in {name!r}", file=path)
    return Grammar(words, phrases, domains)


def _item(piece: str, tags: Mapping[str, str] | None, path: str | Path) -> Item:
    if tags is not None and piece == "]":
        return Item("close", "")
    if tags is not None and piece.startswith("["):
        return Item("open", piece[1:])
    word, _, tag = (piece, "", "") if tags is None else piece.partition("/")
    if word.startswith("<") and word.endswith(">"):
        return Item("symbol", word[1:-1], tag)
    if tag or tags is None:
        return Item("word", word, tag)
    if piece.lower() not in tags:
        raise DataError(f"no part of speech for {piece!r} in [tags]", file=path)
    return Item("word", piece, tags[piece.lower()])


@lru_cache(maxsize=4)
def embedded(file: str, given: frozenset[str] = frozenset()) -> Grammar:
    """A grammar that comes with seqkit.

    Args:
        file: its name in ``datasets/sample``.
        given: symbols that are not expanded by the grammar.

    Returns:
        The grammar, read once.
    """
    return read_grammar(resource_dir("datasets") / "sample" / file, given)


class Drawer:
    """Draws words and phrases from a grammar.

    Args:
        grammar: the grammar.
        start: the phrase whose alternatives name the kinds of sentences.
        rng: the random number generator.
        whole: whether to use the whole grammar; otherwise some words and sentence patterns are left out.
    """

    def __init__(self, grammar: Grammar, start: str, rng: random.Random, *, whole: bool) -> None:
        self.start = start
        self.rng = rng
        self.domain = ""  # of the symbols
        self._domains = grammar.domains
        self._words = {
            name: (tag, words if whole or len(words) < _LONG_LIST else _without_every(words, _KEPT_OUT_WORD))
            for name, (tag, words) in grammar.words.items()
        }
        patterns = {item.value for _, items in grammar.phrases[start] for item in items}
        self._phrases = {
            name: _without_every(phrases, _KEPT_OUT_PHRASE) if name in patterns and not whole else phrases
            for name, phrases in grammar.phrases.items()
        }

    def word(self, symbol: str) -> tuple[str, str] | None:
        """Draw from a word list.

        Args:
            symbol: the list's name.

        Returns:
            A tag and a word; None if there is no such list.
        """
        found = self._words.get(symbol)
        return None if found is None else (found[0], pick(self.rng, found[1]))

    def choose(self, symbol: str) -> tuple[Item, ...]:
        """Draw one of a phrase's alternatives.

        Args:
            symbol: the phrase's name.

        Returns:
            The alternative's items.
        """
        phrases = self._phrases[symbol]
        place = self.rng.random() * sum(weight for weight, _ in phrases)
        ends = list(accumulate(weight for weight, _ in phrases))
        return phrases[min(bisect_right(ends, place), len(phrases) - 1)][1]

    def expand(self, symbol: str) -> list[str]:
        """Write a phrase out.

        Args:
            symbol: a word list or a phrase, of the current domain or of all.

        Returns:
            Its words.
        """
        own = f"{self.domain}-{symbol}"
        symbol = own if own in self._words or own in self._phrases else symbol
        found = self.word(symbol)
        if found is not None:
            return [found[1]]
        words: list[str] = []
        for item in self.choose(symbol):
            words.extend(self.expand(item.value) if item.kind == "symbol" else [item.value])
        return words

    def enter_domain(self) -> str:
        """Draw the domain of the symbols from now on."""
        self.domain = pick(self.rng, self._domains)
        return self.domain


def distinct(write: Callable[[], T], key: Callable[[T], Hashable], size: int, seen: set[Hashable]) -> list[T]:
    """Write until there are enough different items.

    Args:
        write: writes one item.
        key: what makes it different from others.
        size: how many.
        seen: the keys of earlier items; changed.

    Returns:
        The items, in the order in which they were written.

    Raises:
        DataError: there are not so many different ones.
    """
    found: list[T] = []
    repeated = 0
    while len(found) < size:
        item = write()
        if key(item) in seen:
            repeated += 1
            if repeated == _PATIENCE:
                raise DataError(f"the grammar has only {len(found):,} of {size:,} different texts")
            continue
        repeated = 0
        seen.add(key(item))
        found.append(item)
    return found


def pick(rng: random.Random, items: Sequence[T]) -> T:
    """Draw one item, the same one on every platform and Python version.

    Args:
        rng: the random number generator.
        items: what to draw from, not empty.

    Returns:
        One of them.
    """
    # `Random.choice` is not promised to stay the same from one Python version to the next; `Random.random` is.
    return items[int(rng.random() * len(items))]


def shuffled(rng: random.Random, items: Sequence[T]) -> list[T]:
    """Put items in a random order, the same one on every platform and Python version.

    Args:
        rng: the random number generator.
        items: the items.

    Returns:
        All of them.
    """
    return [item for _, _, item in sorted((rng.random(), place, item) for place, item in enumerate(items))]


def _without_every(items: Sequence[T], step: int) -> tuple[T, ...]:
    return tuple(item for place, item in enumerate(items) if place % step != step - 1)
