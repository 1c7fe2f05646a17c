"""Strings ↔ ids: the words (or characters) of an embedding, the labels of a head, and how words are normalised."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, TypeVar

from seqkit.errors import ModelError, shown

PAD = 0
"""the id of padding past a sentence's end"""
UNKNOWN = 1
"""the id of every string that is not in the vocabulary"""

_DIGIT = re.compile(r"\d")
_Kind = TypeVar("_Kind", bound="_Strings")


@dataclass(frozen=True)
class Normaliser:
    """Maps several spellings of a word to one, before a vocabulary is built or words are looked up.

    Args:
        lowercase: convert to lower case.
        digits: replace every decimal digit, of any script, by ``0``: ``1984`` and ``2024`` are one word.

    Examples:
        >>> Normaliser(lowercase=True, digits=True)("MP3-42")
        'mp0-00'
    """

    lowercase: bool = False
    digits: bool = False

    def __call__(self, word: str) -> str:
        """Normalise one word.

        Args:
            word: the word as it is in the text.

        Returns:
            The word to look up.
        """
        if self.lowercase:
            word = word.lower()
        if self.digits and not word.isalpha():  # isalpha is cheaper than a search, and true of most words
            word = _DIGIT.sub("0", word)
        return word


class _Strings:
    """A frozen list of different strings; the id of a string is its position.

    Args:
        strings: the strings after the reserved ones, each once.

    Attributes:
        _name: the key of the list in a JSON object, also for messages.
        _reserved: strings at its beginning that have an id and cannot be looked up.
        _missing: the id of a string that is not in the list.
        _strings: the strings in the order of their ids.
        _index: string → id.
    """

    _name: ClassVar[str]
    _reserved: ClassVar[tuple[str, ...]] = ()
    _missing: ClassVar[int] = -1

    def __init__(self, strings: Iterable[str]) -> None:
        self._strings = (*self._reserved, *strings)
        first = len(self._reserved)
        self._index = {string: index for index, string in enumerate(self._strings) if index >= first}
        if len(self._index) + first != len(self._strings):
            twice = next(string for string, count in Counter(self._strings[first:]).items() if count > 1)
            raise ValueError(f"expected every {self._name[:-1]} once, found {shown(twice)} twice")

    def index(self, string: str) -> int:
        """The id of one string; see `indices`."""
        return self._index.get(string, self._missing)

    def indices(self, strings: Iterable[str]) -> list[int]:
        """The ids of several strings, in their order; of an unknown word `UNKNOWN`, of an unknown label -1."""
        find, missing = self._index.get, self._missing
        return [find(string, missing) for string in strings]

    def to_json(self) -> dict[str, list[str]]:
        """The strings as a JSON object; see `from_json`."""
        return {self._name: list(self._strings)}

    @classmethod
    def from_json(cls: type[_Kind], value: object) -> _Kind:
        """Read what `to_json` gave.

        Args:
            value: a parsed JSON value.

        Returns:
            An equal vocabulary.

        Raises:
            ModelError: `value` is something else, or the list is empty.
        """
        try:
            return cls(cls._checked(value))
        except ValueError as error:
            raise ModelError(f"{cls._name}: {error}") from None

    @classmethod
    def _checked(cls, value: object) -> list[str]:
        """The strings of a JSON object without the reserved ones, or a ValueError."""
        if not isinstance(value, dict) or set(value) != {cls._name}:
            raise ValueError(f"expected a JSON object with {cls._name!r} only, found {shown(value)}")
        strings = value[cls._name]
        if not isinstance(strings, list):
            raise ValueError(f"expected a list of strings, found {type(strings).__name__}")
        for index, string in enumerate(strings):
            if not isinstance(string, str):
                raise ValueError(f"expected a list of strings, found {shown(string)} at {index}")
        if not strings:
            raise ValueError("the list is empty")
        first = len(cls._reserved)
        if tuple(strings[:first]) != cls._reserved:
            raise ValueError(f"expected {' and '.join(cls._reserved)} at the beginning, found {shown(strings[:first])}")
        return strings[first:]

    def __getitem__(self, index: int) -> str:
        """The string with an id."""
        return self._strings[index]

    def __contains__(self, string: object) -> bool:
        """Whether a string has an id of its own (padding and unknown strings have none)."""
        return isinstance(string, str) and self.index(string) != self._missing

    def __iter__(self) -> Iterator[str]:
        """The strings in the order of their ids; in a `Vocabulary` the two reserved ones come first."""
        return iter(self._strings)

    def __len__(self) -> int:
        """The number of ids, in a `Vocabulary` with the two reserved ones: the rows of an embedding."""
        return len(self._strings)

    def __eq__(self, other: object) -> bool:
        """Whether both give every string the same id."""
        return self._strings == other._strings if isinstance(other, type(self)) else NotImplemented

    def __hash__(self) -> int:
        """A hash that agrees with equality."""
        return hash(self._strings)


class Vocabulary(_Strings):
    """A frozen list of words or other strings; id 0 is padding, id 1 every unknown string.

    The two are reserved by position, not by spelling: a token of a text that is spelled ``<unk>`` is the unknown
    string, and one spelled ``<pad>`` is a word like any other, never padding.

    Args:
        words: the strings from id 2 on, each once.

    Raises:
        ValueError: a string occurs twice.

    Examples:
        >>> vocabulary = Vocabulary(["the", "cat"])
        >>> vocabulary.indices(["the", "dog"])
        [2, 1]
    """

    _name = "words"
    _reserved = ("<pad>", "<unk>")
    _missing = UNKNOWN

    def __init__(self, words: Iterable[str]) -> None:
        super().__init__(words)
        self._index[self._reserved[UNKNOWN]] = UNKNOWN  # even if a file lists it as a word

    @classmethod
    def build(cls, counts: Mapping[str, int], min_count: int = 1, max_size: int | None = None) -> Vocabulary:
        """Choose the strings that get an id.

        Args:
            counts: how often each string occurs, as in `collections.Counter`.
            min_count: strings that occur less often stay unknown.
            max_size: the largest number of strings, without the two reserved ones.

        Returns:
            The vocabulary, the most frequent string first and equally frequent ones in the order of their code points,
            so that equal counts always give equal ids.
        """
        kept = [word for word, count in counts.items() if count >= min_count and word != cls._reserved[UNKNOWN]]
        kept.sort(key=lambda word: (-counts[word], word))
        return cls(kept[:max_size])

    @property
    def words(self) -> tuple[str, ...]:
        """The strings in the order of their ids, the two reserved ones first."""
        return self._strings

    def __repr__(self) -> str:
        """The size, for debugging."""
        return f"Vocabulary({len(self)} strings)"


class LabelVocabulary(_Strings):
    """A frozen list of labels. No id is reserved: a head scores real labels only; others can be missed, not predicted.

    Args:
        labels: the labels in the order of their ids, each once.

    Raises:
        ValueError: a label occurs twice.

    Examples:
        >>> LabelVocabulary.build(["O", "B-PER", "O"]).indices(["B-PER", "B-LOC"])
        [0, -1]
    """

    _name = "labels"

    @classmethod
    def build(cls, labels: Iterable[str]) -> LabelVocabulary:
        """Collect the labels of a training set.

        Args:
            labels: labels, with repetitions.

        Returns:
            The vocabulary, in the order of code points, so that the order of a file does not matter.
        """
        return cls(sorted(set(labels)))

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels in the order of their ids."""
        return self._strings

    def __repr__(self) -> str:
        """The labels, for debugging."""
        return f"LabelVocabulary({list(self.labels)})"
