"""Strings ↔ integers: the words (or characters) of an embedding, the labels of a head, and how words are normalised."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from seqkit.errors import ModelError, shown

__all__ = ["PAD", "UNKNOWN", "LabelVocabulary", "Normaliser", "Vocabulary"]

PAD = 0
"""The index that stands past a sentence's end."""
UNKNOWN = 1
"""The index of every string that the vocabulary does not hold."""

_RESERVED = ("<pad>", "<unk>")
_DIGIT = re.compile(r"\d")


@dataclass(frozen=True)
class Normaliser:
    """Folds spellings together before a vocabulary is built or asked.

    Args:
        lowercase: fold case.
        digits: write every decimal digit, of any script, as ``0``: ``1984`` and ``2024`` are one word.

    Examples:
        >>> Normaliser(lowercase=True, digits=True)("MP3-42")
        'mp0-00'
    """

    lowercase: bool = False
    digits: bool = False

    def __call__(self, word: str) -> str:
        """One word, normalised.

        Args:
            word: as it stands in the text.

        Returns:
            The word to look up.
        """
        if self.lowercase:
            word = word.lower()
        if self.digits and not word.isalpha():  # isalpha is cheaper than a search, and true of most words
            word = _DIGIT.sub("0", word)
        return word


class Vocabulary:
    """A frozen list of strings; index 0 pads, index 1 is every unknown string.

    The two are reserved by position, not by spelling: a token of a text that is spelled ``<unk>`` is the unknown
    string, and one spelled ``<pad>`` is a word like any other, never padding.

    Args:
        words: the strings from index 2 on, each once.

    Raises:
        ValueError: a string stands twice.

    Examples:
        >>> vocabulary = Vocabulary(["the", "cat"])
        >>> vocabulary.indices(["the", "dog"])
        [2, 1]
    """

    __slots__ = ("_index", "words")

    def __init__(self, words: Iterable[str]) -> None:
        self.words = (*_RESERVED, *words)
        self._index = {word: index for index, word in enumerate(self.words) if index >= len(_RESERVED)}
        if len(self._index) + len(_RESERVED) != len(self.words):
            raise ValueError(f"expected every word once, found {shown(_first_repeated(self.words[2:]))} twice")
        self._index[_RESERVED[UNKNOWN]] = UNKNOWN  # even where a file lists it as a word

    @classmethod
    def build(cls, counts: Mapping[str, int], min_count: int = 1, max_size: int | None = None) -> Vocabulary:
        """Choose the words worth an index.

        Args:
            counts: how often each string occurs, as `collections.Counter` gives it.
            min_count: strings that occur less often stay unknown.
            max_size: at most so many strings, the two reserved ones not counted.

        Returns:
            The vocabulary, the most frequent string first and equally frequent ones in the order of their code points,
            so that equal counts always give equal indices.
        """
        kept = [word for word, count in counts.items() if count >= min_count and word != _RESERVED[UNKNOWN]]
        kept.sort(key=lambda word: (-counts[word], word))
        return cls(kept[:max_size])

    def index(self, word: str) -> int:
        """The index of a string, `UNKNOWN` where the vocabulary does not hold it."""
        return self._index.get(word, UNKNOWN)

    def indices(self, words: Iterable[str]) -> list[int]:
        """The indices of several strings, in their order; see `index`."""
        find = self._index.get
        return [find(word, UNKNOWN) for word in words]

    def to_json(self) -> dict[str, list[str]]:
        """The vocabulary as a JSON object; see `from_json`."""
        return {"words": list(self.words)}

    @classmethod
    def from_json(cls, value: object) -> Vocabulary:
        """Read what `to_json` gave.

        Args:
            value: a parsed JSON value.

        Returns:
            The vocabulary, equal to the one written.

        Raises:
            ModelError: `value` is something else.
        """
        words = _strings(value, "vocabulary", "words")
        if tuple(words[: len(_RESERVED)]) != _RESERVED:
            expected, found = " and ".join(_RESERVED), shown(words[: len(_RESERVED)])
            raise ModelError(f"vocabulary: expected {expected} at the start of 'words', found {found}")
        try:
            return cls(words[len(_RESERVED) :])
        except ValueError as error:
            raise ModelError(f"vocabulary: {error}") from None

    def __getitem__(self, index: int) -> str:
        """The string at an index."""
        return self.words[index]

    def __contains__(self, word: object) -> bool:
        """Whether a string has an index of its own (padding and unknown are none)."""
        return isinstance(word, str) and self.index(word) != UNKNOWN

    def __iter__(self) -> Iterator[str]:
        """The strings in the order of their indices, the two reserved ones first."""
        return iter(self.words)

    def __len__(self) -> int:
        """How many indices there are, the two reserved ones among them: the rows of an embedding."""
        return len(self.words)

    def __eq__(self, other: object) -> bool:
        """Whether every string has the same index in both."""
        return self.words == other.words if isinstance(other, Vocabulary) else NotImplemented

    def __hash__(self) -> int:
        """A hash that agrees with equality."""
        return hash(self.words)

    def __repr__(self) -> str:
        """The size, for debugging."""
        return f"Vocabulary({len(self)} strings)"


class LabelVocabulary:
    """A frozen list of labels. Nothing is reserved: a head scores real labels only.

    Args:
        labels: the labels in the order of their indices, each once.

    Raises:
        ValueError: a label stands twice.

    Examples:
        >>> LabelVocabulary.build(["O", "B-PER", "O"]).indices(["B-PER", "B-LOC"])
        [0, -1]
    """

    __slots__ = ("_index", "labels")

    def __init__(self, labels: Iterable[str]) -> None:
        self.labels = tuple(labels)
        self._index = {label: index for index, label in enumerate(self.labels)}
        if len(self._index) != len(self.labels):
            raise ValueError(f"expected every label once, found {shown(_first_repeated(self.labels))} twice")

    @classmethod
    def build(cls, labels: Iterable[str]) -> LabelVocabulary:
        """Collect the labels of a training set.

        Args:
            labels: labels, repeated at will.

        Returns:
            The vocabulary, in the order of code points, so that the order of a file does not matter.
        """
        return cls(sorted(set(labels)))

    def index(self, label: str) -> int:
        """The index of a label, -1 where it was never seen: such a label can be missed but not predicted."""
        return self._index.get(label, -1)

    def indices(self, labels: Iterable[str]) -> list[int]:
        """The indices of several labels, in their order; see `index`."""
        find = self._index.get
        return [find(label, -1) for label in labels]

    def to_json(self) -> dict[str, list[str]]:
        """The labels as a JSON object; see `from_json`."""
        return {"labels": list(self.labels)}

    @classmethod
    def from_json(cls, value: object) -> LabelVocabulary:
        """Read what `to_json` gave.

        Args:
            value: a parsed JSON value.

        Returns:
            The labels, equal to those written.

        Raises:
            ModelError: `value` is something else, or lists no label.
        """
        labels = _strings(value, "label vocabulary", "labels")
        if not labels:
            raise ModelError("label vocabulary: expected at least one label, found none")
        try:
            return cls(labels)
        except ValueError as error:
            raise ModelError(f"label vocabulary: {error}") from None

    def __getitem__(self, index: int) -> str:
        """The label at an index."""
        return self.labels[index]

    def __contains__(self, label: object) -> bool:
        """Whether a label has an index."""
        return label in self._index

    def __iter__(self) -> Iterator[str]:
        """The labels in the order of their indices."""
        return iter(self.labels)

    def __len__(self) -> int:
        """How many labels there are."""
        return len(self.labels)

    def __eq__(self, other: object) -> bool:
        """Whether every label has the same index in both."""
        return self.labels == other.labels if isinstance(other, LabelVocabulary) else NotImplemented

    def __hash__(self) -> int:
        """A hash that agrees with equality."""
        return hash(self.labels)

    def __repr__(self) -> str:
        """The labels, for debugging."""
        return f"LabelVocabulary({list(self.labels)})"


def _first_repeated(words: Iterable[str]) -> str | None:
    seen: set[str] = set()
    for word in words:
        if word in seen:
            return word
        seen.add(word)
    return None


def _strings(value: object, what: str, name: str) -> list[str]:
    """The list of strings under the only name of a JSON object, or a `ModelError`."""
    if not isinstance(value, dict):
        raise ModelError(f"{what}: expected a JSON object with {name!r}, found {type(value).__name__}")
    if set(value) != {name}:
        found = ", ".join(map(shown, list(value)[:8])) or "nothing"
        raise ModelError(f"{what}: expected a JSON object with {name!r}, found {found}")
    strings = value[name]
    if not isinstance(strings, list):
        raise ModelError(f"{what}: expected {name!r} to be a list of strings, found {type(strings).__name__}")
    for index, string in enumerate(strings):
        if not isinstance(string, str):
            raise ModelError(f"{what}: expected {name!r} to be a list of strings, found {shown(string)} at {index}")
    return strings
