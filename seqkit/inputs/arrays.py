"""Sentences → integer arrays, made once; arrays → the numbers of one batch.

A word costs its look-ups once per distinct spelling (form), not once per occurrence: the arrays hold, for every
token, the number of its form, and a table that gives each form's entry in every vocabulary and its characters.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from seqkit.inputs.vocabulary import UNKNOWN, Normaliser, Vocabulary

__all__ = ["CharacterGroup", "Indexer", "TokenArrays", "TokenBatch", "TypeIds", "TypeRows", "TypeTable"]

Integers = NDArray[np.int64]

_GROUP_CHARACTERS = 1 << 18
"""the largest padded area of a group of words, in characters: bounds the memory of character features"""


@dataclass(frozen=True, slots=True)
class CharacterGroup:
    """Words of similar length as characters.

    Attributes:
        characters: indices padded with 0, [U_g, L_g].
        lengths: the words' lengths in characters, [U_g].
    """

    characters: Integers
    lengths: Integers


@dataclass(frozen=True, slots=True)
class TokenBatch:
    """The numbers of one batch of sentences.

    Attributes:
        types: the distinct types of the batch, ordered by length, [U].
        index: the position in `types` of every token, [B, T]; 0 past a sentence's end.
        lengths: tokens in each sentence, [B].
    """

    types: Integers
    index: Integers
    lengths: Integers


@dataclass(frozen=True, slots=True)
class TypeTable:
    """What is known of every distinct form.

    Attributes:
        words: index in the word vocabulary, [U].
        vectors: index in the vocabulary of given vectors, [U].
        characters: the characters' indices, one form after the other.
        bounds: where each form's characters begin, [U + 1].
    """

    words: Integers
    vectors: Integers
    characters: Integers
    bounds: Integers

    def by_length(self, types: Integers) -> Integers:
        """The same types in the order of their lengths in characters, the order that `groups` needs."""
        lengths = self.bounds[types + 1] - self.bounds[types]
        return types[np.argsort(lengths, kind="stable")]

    def groups(self, types: Integers) -> Iterator[CharacterGroup]:
        """Cut types, ordered by length, into groups in which little is padding.

        Args:
            types: numbers of types, ordered by length, [U].

        Yields:
            The groups, in order.
        """
        lengths = self.bounds[types + 1] - self.bounds[types]  # [U]
        begin = 0
        while begin < len(types):
            limit = 2 * lengths[begin] + 4
            end = int(np.searchsorted(lengths, limit, side="right"))
            end = min(end, begin + max(1, _GROUP_CHARACTERS // int(limit)))
            part = lengths[begin:end]  # [U_g]
            columns = np.arange(max(int(part[-1]), 1))  # [L_g]
            positions = self.bounds[types[begin:end], None] + columns  # [U_g, L_g]
            inside = columns < part[:, None]  # [U_g, L_g]
            if len(self.characters):
                characters = np.where(inside, self.characters[np.minimum(positions, len(self.characters) - 1)], 0)
            else:
                characters = np.zeros(inside.shape, dtype=np.int64)
            yield CharacterGroup(characters, part)
            begin = end

    def batch(self, matrix: NDArray[np.int32], lengths: Integers) -> TokenBatch:
        """Number the types of a matrix of tokens anew, each distinct form once.

        Args:
            matrix: the form of every token, [B, T]; anything past a row's end.
            lengths: tokens in each row, [B].

        Returns:
            The tokens as positions among the batch's own distinct types.
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
    """Word → number, in the order in which they first came: a word that is asked for is numbered."""

    def __missing__(self, form: str) -> int:
        """Number a new word."""
        self[form] = number = len(self)
        return number

    def of(self, sentences: Sequence[Sequence[str]]) -> TypeRows:
        """The numbers of all tokens.

        Args:
            sentences: the tokens of each sentence; a sentence may be empty.

        Returns:
            As many sentences and tokens as given.
        """
        offsets = np.zeros(len(sentences) + 1, dtype=np.int64)
        np.cumsum([len(tokens) for tokens in sentences], out=offsets[1:])
        tokens = chain.from_iterable(sentences)
        return TypeRows(np.fromiter(map(self.__getitem__, tokens), np.int32, int(offsets[-1])), offsets)


@dataclass(frozen=True, slots=True)
class TypeRows:
    """Sentences as numbers of types.

    Attributes:
        types: the form of every token, one sentence after the other, [N].
        offsets: where each sentence begins, [S + 1].
    """

    types: NDArray[np.int32]
    offsets: Integers

    @property
    def lengths(self) -> Integers:
        """Tokens in each sentence, [S]."""
        return np.diff(self.offsets)

    def padded(self, values: NDArray[np.int32], rows: Integers) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
        """Lay one value a token out as a matrix.

        Args:
            values: one value a token, one sentence after the other, [N].
            rows: numbers of sentences, [B].

        Returns:
            The values, [B, T], 0 past a sentence's end, and where a token stands, [B, T].
        """
        lengths = self.offsets[rows + 1] - self.offsets[rows]  # [B]
        columns = np.arange(int(lengths.max(initial=0)))  # [T]
        inside = columns < lengths[:, None]  # [B, T]
        matrix = np.zeros(inside.shape, dtype=values.dtype)  # [B, T]
        matrix[inside] = values[(self.offsets[rows, None] + columns)[inside]]
        return matrix, inside


@dataclass(frozen=True, slots=True)
class TokenArrays(TypeRows):
    """Sentences as numbers of types, and what is known of these.

    Attributes:
        table: what is known of the types.
    """

    table: TypeTable

    def batch(self, rows: Integers) -> TokenBatch:
        """Collect some sentences into one batch.

        Args:
            rows: numbers of sentences, [B].

        Returns:
            Their tokens as positions among the batch's own distinct types.
        """
        matrix, _ = self.padded(self.types, rows)  # [B, T]
        return self.table.batch(matrix, self.offsets[rows + 1] - self.offsets[rows])


class Indexer:
    """Words → numbers by the vocabularies of a model.

    Args:
        words: the vocabulary of the trained word table.
        characters: the vocabulary of characters.
        vectors: the vocabulary of the given vectors; None where there are none. A form is looked up as it is spelled,
            in lower case, normalised, and in lower case without punctuation at its ends, in this order.
        normalise: applied to a word before `words` is asked.
    """

    def __init__(
        self, words: Vocabulary, characters: Vocabulary, vectors: Vocabulary | None, normalise: Normaliser
    ) -> None:
        self.words = words
        self.characters = characters
        self.vectors = vectors
        self.normalise = normalise

    def __call__(self, sentences: Sequence[Sequence[str]]) -> TokenArrays:
        """Turn tokenised sentences into arrays.

        Args:
            sentences: the tokens of each sentence; a sentence may be empty.

        Returns:
            The arrays, as many sentences and tokens as given.
        """
        numbers = TypeIds()
        rows = numbers.of(sentences)
        return TokenArrays(rows.types, rows.offsets, self.table(list(numbers)))

    def table(self, types: Sequence[str]) -> TypeTable:
        """Look every distinct form up in every vocabulary.

        Args:
            types: distinct words.

        Returns:
            The table, one row a form.
        """
        words = self.words.indices([self.normalise(form) for form in types])
        vectors = [self._vector(form) for form in types] if self.vectors is not None else [0] * len(types)
        bounds = np.zeros(len(types) + 1, dtype=np.int64)
        np.cumsum([len(form) for form in types], out=bounds[1:])
        characters = np.array(self.characters.indices("".join(types)), dtype=np.int64)
        return TypeTable(np.array(words, dtype=np.int64), np.array(vectors, dtype=np.int64), characters, bounds)

    def _vector(self, form: str) -> int:
        """The given vector of a form: under the first of its spellings that has one."""
        assert self.vectors is not None
        lower = form.lower()
        for spelling in (form, lower, self.normalise(form), _bare(lower)):
            if spelling in self.vectors:
                return self.vectors.index(spelling)
        return UNKNOWN


def _bare(word: str) -> str:
    """A word without what stands around its letters and digits: ``#`` of a hashtag, ``.`` of an abbreviation.

    Two loops and no regular expression: on a long run of punctuation one that is bound to the end takes quadratic time.
    """
    begin, end = 0, len(word)
    while begin < end and not word[begin].isalnum():
        begin += 1
    while end > begin and not word[end - 1].isalnum():
        end -= 1
    return word[begin:end]
