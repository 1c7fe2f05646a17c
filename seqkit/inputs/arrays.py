"""Sentences → integer arrays, made once; arrays → the ids of one batch.

A word is looked up once per type (distinct spelling), not once per occurrence: the arrays have the type of every token,
and a table has the ids of each type in every vocabulary, and its characters.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqkit.inputs.vocabulary import UNKNOWN, Normaliser, Vocabulary

Integers = NDArray[np.int64]

_GROUP_CHARACTERS = 1 << 18
"""the largest padded area of a group of words, in characters: limits the memory of character features"""


class CharacterGroup(NamedTuple):
    """Words of similar length as characters.

    Attributes:
        characters: ids of characters, padded with 0, [U_g, L_g].
        lengths: the words' lengths in characters, [U_g].
    """

    characters: Integers
    lengths: Integers


@dataclass(frozen=True, slots=True)
class TokenBatch:
    """One batch of sentences.

    Attributes:
        types: the types in the batch, each once, ordered by length, [U].
        index: every token's position in `types`, [B, T]; 0 past a sentence's end.
        lengths: tokens in each sentence, [B].
    """

    types: Integers
    index: Integers
    lengths: Integers


class TypeTable(NamedTuple):
    """The ids of every word type.

    Attributes:
        words: ids in the word vocabulary, [U].
        vectors: ids in the vocabulary of pretrained vectors, [U].
        characters: ids of the characters, one type after the other.
        bounds: where each type's characters begin, [U + 1].
        spellings: the types themselves.
    """

    words: Integers
    vectors: Integers
    characters: Integers
    bounds: Integers
    spellings: Sequence[str] = ()

    def by_length(self, types: Integers) -> Integers:
        """Types ordered by their lengths in characters, as `groups` needs them."""
        lengths = self.bounds[types + 1] - self.bounds[types]
        return types[np.argsort(lengths, kind="stable")]

    def groups(self, types: Integers) -> Iterator[CharacterGroup]:
        """Cut types into groups with little padding.

        Args:
            types: types, ordered by length, [U].

        Yields:
            The groups, in order.
        """
        lengths = self.bounds[types + 1] - self.bounds[types]  # [U]
        flat = self.characters if len(self.characters) else np.zeros(1, dtype=np.int64)  # all types may be empty
        begin = 0
        while begin < len(types):
            limit = 2 * lengths[begin] + 4
            end = int(np.searchsorted(lengths, limit, side="right"))
            end = min(end, begin + max(1, _GROUP_CHARACTERS // int(limit)))
            part = lengths[begin:end]  # [U_g]
            columns = np.arange(max(int(part[-1]), 1))  # [L_g]
            positions = self.bounds[types[begin:end], None] + columns  # [U_g, L_g]
            inside = columns < part[:, None]  # [U_g, L_g]
            yield CharacterGroup(np.where(inside, flat[np.minimum(positions, len(flat) - 1)], 0), part)
            begin = end

    def batch(self, matrix: NDArray[np.int32], lengths: Integers) -> TokenBatch:
        """Make a batch, in which each type is once.

        Args:
            matrix: the type of every token, [B, T]; any values past a row's end.
            lengths: tokens in each row, [B].

        Returns:
            The batch.
        """
        inside = np.arange(matrix.shape[1]) < lengths[:, None]  # [B, T]
        distinct, inverse = np.unique(matrix[inside], return_inverse=True)  # [U], [tokens]
        ordered = self.by_length(distinct.astype(np.int64))  # [U]
        rank = np.empty(len(ordered), dtype=np.int64)  # [U]
        rank[np.searchsorted(distinct, ordered)] = np.arange(len(ordered))
        positions = np.zeros(matrix.shape, dtype=np.int64)  # [B, T]
        positions[inside] = rank[inverse]
        return TokenBatch(ordered, positions, lengths)


class TypeIds(dict[str, int]):
    """Word → id, in the order of first occurrence: a new word gets the next id when it is looked up."""

    def __missing__(self, word: str) -> int:
        """Give a new word its id."""
        self[word] = number = len(self)
        return number

    def of(self, sentences: Sequence[Sequence[str]]) -> TypeRows:
        """The ids of all tokens.

        Args:
            sentences: the tokens of each sentence; a sentence may be empty.

        Returns:
            As many sentences and tokens.
        """
        offsets = np.cumsum([0, *map(len, sentences)], dtype=np.int64)
        tokens = chain.from_iterable(sentences)
        return TypeRows(np.fromiter(map(self.__getitem__, tokens), np.int32, int(offsets[-1])), offsets)


@dataclass(frozen=True, slots=True)
class TypeRows:
    """Sentences as types.

    Attributes:
        types: the type of every token, one sentence after the other, [N].
        offsets: where each sentence begins, [S + 1].
        features: further features of every token, a tensor [N, C], or None.
    """

    types: NDArray[np.int32]
    offsets: Integers
    features: Any = field(default=None, kw_only=True)

    @property
    def lengths(self) -> Integers:
        """Tokens in each sentence, [S]."""
        return np.diff(self.offsets)

    def padded(self, values: NDArray[np.int32], rows: Integers) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
        """Arrange one value per token as a matrix.

        Args:
            values: one value per token, one sentence after the other, [N].
            rows: which sentences, [B].

        Returns:
            The values, 0 past a sentence's end, [B, T], and where there is a token, [B, T].
        """
        lengths = self.offsets[rows + 1] - self.offsets[rows]  # [B]
        columns = np.arange(int(lengths.max(initial=0)))  # [T]
        inside = columns < lengths[:, None]  # [B, T]
        matrix = np.zeros(inside.shape, dtype=values.dtype)  # [B, T]
        matrix[inside] = values[(self.offsets[rows, None] + columns)[inside]]
        return matrix, inside


@dataclass(frozen=True, slots=True)
class TokenArrays(TypeRows):
    """Sentences as types, with the table of these.

    Attributes:
        table: the ids of the types.
    """

    table: TypeTable

    def tokens(self) -> Iterator[list[str]]:
        """The tokens of each sentence."""
        for begin, end in pairwise(self.offsets):
            yield [self.table.spellings[number] for number in self.types[begin:end]]

    def batch(self, rows: Integers) -> TokenBatch:
        """Make a batch of some sentences.

        Args:
            rows: which sentences, [B].

        Returns:
            The batch.
        """
        matrix, _ = self.padded(self.types, rows)  # [B, T]
        return self.table.batch(matrix, self.offsets[rows + 1] - self.offsets[rows])


@dataclass(eq=False)
class Indexer:
    """Words → ids in the vocabularies of a model.

    Args:
        words: the vocabulary of the trained word embedding.
        characters: the vocabulary of characters.
        vectors: the vocabulary of the pretrained vectors; None without them. A word is looked up as it is spelled, in
            lower case, normalised, and in lower case without punctuation at its ends, in this order.
        normalise: applied to a word before it is looked up in `words`.
    """

    words: Vocabulary
    characters: Vocabulary
    vectors: Vocabulary | None
    normalise: Normaliser

    def __call__(self, sentences: Sequence[Sequence[str]]) -> TokenArrays:
        """Convert tokenised sentences to arrays.

        Args:
            sentences: the tokens of each sentence; a sentence may be empty.

        Returns:
            The arrays, with as many sentences and tokens.
        """
        ids = TypeIds()
        rows = ids.of(sentences)
        return TokenArrays(rows.types, rows.offsets, self.table(list(ids)))

    def table(self, types: Sequence[str]) -> TypeTable:
        """Look up word types in every vocabulary.

        Args:
            types: different words.

        Returns:
            The table, one row per type.
        """
        words = self.words.indices(map(self.normalise, types))
        vectors = [0] * len(types) if self.vectors is None else [self._vector(word, self.vectors) for word in types]
        characters = np.array(self.characters.indices("".join(types)), dtype=np.int64)
        bounds = np.cumsum([0, *map(len, types)], dtype=np.int64)
        return TypeTable(np.array(words, dtype=np.int64), np.array(vectors, dtype=np.int64), characters, bounds, types)

    def _vector(self, word: str, vectors: Vocabulary) -> int:
        """The id of a word's pretrained vector: that of its first spelling that has one."""
        lower = word.lower()
        for spelling in (word, lower, self.normalise(word), _bare(lower)):
            if (found := vectors.index(spelling)) != UNKNOWN:
                return found
        return UNKNOWN


def _bare(word: str) -> str:
    """A word from its first to its last letter or digit: without ``#`` of a hashtag, ``.`` of an abbreviation.

    Without a regular expression: one that is bound to the end takes quadratic time on a long run of punctuation.
    """
    if word.isalnum():
        return word
    kept = [place for place, character in enumerate(word) if character.isalnum()]
    return word[kept[0] : kept[-1] + 1] if kept else ""
