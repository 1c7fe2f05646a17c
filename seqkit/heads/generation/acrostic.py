"""Acrostics, poems whose lines begin with given characters: which units may come next."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from seqkit.errors import DataError
from seqkit.heads.generation.verse import LINE_ENDS
from seqkit.inputs.vocabulary import Vocabulary


class Acrostic:
    """Which units may come next in a text whose lines begin with given characters, as `search.Allowed`.

    The first unit of the n-th line begins with the n-th character; the text may end when every
    character has a complete line, and more lines may follow. When only just enough units are left for the missing
    lines, lines are as short as possible.

    Args:
        characters: one per line.
        vocabulary: the units.
        end: the unit that ends a text.
        length: the largest number of units, with the end.
        writable: which units may be used at all, bool [V].

    Raises:
        DataError: there are no characters, no unit begins with one of them, no unit ends a line, or the lines do not
            fit.
    """

    def __init__(self, characters: str, vocabulary: Vocabulary, end: int, length: int, writable: Tensor) -> None:
        words = vocabulary.words
        self.end = end
        self.length = length
        self.writable = writable.clone()
        self.writable[end] = False
        self.closing = torch.tensor([word[-1:] in LINE_ENDS and word != "" for word in words]) & self.writable  # [V]
        # A unit that both begins and ends a line would be taken for its end only.
        opening = self.writable & ~self.closing  # [V]
        self.initials = [torch.tensor([word.startswith(each) for word in words]) & opening for each in characters]
        if not characters:
            raise DataError("the acrostic is empty")
        for character, begins in zip(characters, self.initials, strict=True):
            if not begins.any():
                raise DataError(f"no unit of the model begins with {character!r}, as the acrostic needs")
        if not self.closing.any():
            raise DataError(f"an acrostic needs a model of texts with lines, which end with one of {LINE_ENDS!r}")
        if length < self.needed(0) + 1:
            needed = f"{len(characters)} lines need at least {self.needed(0) + 1} units"
            raise DataError(f"the acrostic does not fit: {needed}, and the greatest length is {length}")

    def needed(self, lines: int) -> int:
        """The smallest number of units of the missing lines after so many lines have begun."""
        return 2 * (len(self.initials) - lines)

    def __call__(self, count: int, histories: Sequence[Sequence[int]]) -> Tensor:
        """Which units may be next.

        Args:
            count: the number of units in each text.
            histories: the units of N texts.

        Returns:
            Bool [N, V].
        """
        left = self.length - count - 1  # without the end
        return torch.stack([self._row(history, left) for history in histories])  # [N, V]

    def _row(self, history: Sequence[int], left: int) -> Tensor:
        closed = int(self.closing[torch.tensor(history, dtype=torch.int64)].sum())
        if closed >= len(self.initials):
            row = self.writable.clone()
            row[self.end] = True
            return row
        if not history or self.closing[history[-1]]:
            return self.initials[closed]
        # Within a line of the acrostic: it ends now if the others would not fit otherwise.
        return self.closing if left <= self.needed(closed + 1) + 1 else self.writable
