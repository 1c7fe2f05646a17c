"""Prediction where memory does not suffice: fewer tokens at a time, nothing lost, nothing given twice."""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from seqkit.errors import DataError, is_out_of_memory
from seqkit.records import Sentence

__all__ = ["BatchTokens", "fitted"]

_Record = TypeVar("_Record")

_SHOWN = 40
"""characters of a text that messages show"""


def _warn(message: str) -> None:
    warnings.warn(message, RuntimeWarning, stacklevel=2)


class BatchTokens:
    """Tokens a batch, halved when memory does not suffice. For one thread at a time.

    Args:
        size: how many at first.
        say: is told of every halving; by default a warning is.

    Attributes:
        size: how many.
    """

    def __init__(self, size: int, say: Callable[[str], None] | None = None) -> None:
        self.size = size
        self._say = say or _warn
        self._most: int | None = None  # tokens that are worked on together, of several batches

    @classmethod
    def of(cls, given: int | BatchTokens) -> BatchTokens:
        """What a user of a model gives: the number at first, or one that has been halved where that was needed.

        Args:
            given: the one or the other.

        Returns:
            The latter.
        """
        return given if isinstance(given, BatchTokens) else cls(given)

    def halve(self, part: Sequence[Sentence]) -> None:
        """Take fewer tokens from now on.

        Args:
            part: the sentences that did not fit.

        Raises:
            DataError: it is one sentence, which cannot be divided.
        """
        total = sum(max(1, len(sentence)) for sentence in part)
        if len(part) == 1:
            text = part[0].text
            shown = f"{text[:_SHOWN]}…" if len(text) > _SHOWN else text
            expected = f"expected enough memory for one sentence of {total:,} tokens"
            message = f"{expected}, {shown!r}, found too little"
            raise DataError(message, file=part[0].file or None, line=part[0].line or None)
        tried = min(self.size, total)
        self._most = total // 2
        self.size = max(1, tried // 2)
        self._say(f"out of memory with batches of {tried:,} tokens; going on with {self.size:,}")

    def divide(self, sentences: Sequence[Sentence]) -> list[Sequence[Sentence]]:
        """Cut sentences into parts that can be worked on together.

        Args:
            sentences: the sentences.

        Returns:
            The parts, in order; a sentence that is longer than a part may be is one by itself.
        """
        if self._most is None:
            return [sentences]
        parts: list[list[Sentence]] = []
        room = 0
        for sentence in sentences:
            size = max(1, len(sentence))
            if size > room:
                parts.append([])
                room = self._most
            parts[-1].append(sentence)
            room -= size
        return list(parts)


def fitted(
    chunk: Sequence[Sentence],
    batch_tokens: BatchTokens,
    predict: Callable[[Sequence[Sentence], int], Sequence[_Record]],
) -> Iterator[tuple[Sentence, _Record]]:
    """Predict sentences, fewer at a time where memory does not suffice for all.

    Args:
        chunk: the sentences.
        batch_tokens: tokens a batch; halved where that is needed.
        predict: some of the sentences, and tokens a batch, → a record each.

    Yields:
        Every sentence with its record, in order.

    Raises:
        DataError: a sentence does not fit by itself; those before it have been given.
    """
    waiting = deque([chunk])
    while waiting:
        part, *others = batch_tokens.divide(waiting.popleft())
        waiting.extendleft(reversed(others))
        found = _attempted(predict, part, batch_tokens.size)
        if found is None:
            batch_tokens.halve(part)
            waiting.appendleft(part)
        else:
            yield from zip(part, found, strict=True)


def _attempted(
    predict: Callable[[Sequence[Sentence], int], Sequence[_Record]], part: Sequence[Sentence], size: int
) -> Sequence[_Record] | None:
    """The records; None where memory did not suffice, all that was computed being free again."""
    try:
        return predict(part, size)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
    return None
