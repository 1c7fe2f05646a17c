"""Poems whose lines begin with given characters: which units may come next, so that they always do."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from seqkit.errors import DataError
from seqkit.heads.generation.verse import LINE_ENDS
from seqkit.inputs.vocabulary import Vocabulary

__all__ = ["Acrostic"]


class Acrostic:
    """Which units may follow a beginning of a text whose lines spell given characters, as `search.Allowed` asks.

    The first unit of the n-th line begins with the n-th character; the text does not end before there are as many
    lines and the last one is complete, and further lines may follow. Where so few units are left that the missing lines
    would not fit in any more, lines are as short as they can be.

    Args:
        characters: one a line.
        vocabulary: the units.
        end: the unit that ends a text.
        length: the greatest number of units, the end included.
        writable: which units may be written at all, bool [V].

    Raises:
        DataError: there is no character, one begins no unit, no unit ends a line, or the lines do not fit.
    """

    def __init__(self, characters: str, vocabulary: Vocabulary, end: int, length: int, writable: Tensor) -> None:
        words = vocabulary.words
        self.end = end
        self.length = length
        self.writable = writable.clone()
        self.writable[end] = False
        self.closing = torch.tensor([word[-1:] in LINE_ENDS and word != "" for word in words]) & self.writable  # [V]
        self.initials: list[Tensor] = []
        # A unit that is a line's beginning and its end at once would be taken for the latter.
        opening = self.writable & ~self.closing  # [V]
        for character in characters:
            begins = torch.tensor([word.startswith(character) for word in words]) & opening  # [V]
            if not bool(begins.any()):
                raise DataError(f"expected characters that the model knows as acrostic, found {character!r}")
            self.initials.append(begins)
        if not characters:
            raise DataError("expected at least one character as acrostic, found none")
        if not bool(self.closing.any()):
            raise DataError(f"expected a model whose texts have lines, found none that end with one of {LINE_ENDS!r}")
        if length < self.needed(0) + 1:
            found = f"found a greatest length of {length}"
            raise DataError(f"expected room for {len(characters)} lines of two units and an end, {found}")

    def needed(self, lines: int) -> int:
        """The fewest units of the lines that are missing where so many have begun."""
        return 2 * (len(self.initials) - lines)

    def __call__(self, count: int, histories: Sequence[Sequence[int]]) -> Tensor:
        """Which units may be next.

        Args:
            count: how many units each text has.
            histories: the units of N texts.

        Returns:
            Bool [N, V].
        """
        left = self.length - count - 1  # without the end
        rows = [self._row(history, left) for history in histories]
        return torch.stack(rows)  # [N, V]

    def _row(self, history: Sequence[int], left: int) -> Tensor:
        closed = int(self.closing[torch.tensor(history, dtype=torch.int64)].sum())
        at_start = not history or bool(self.closing[history[-1]])
        if at_start and closed < len(self.initials):
            return self.initials[closed]
        if closed >= len(self.initials):
            row = self.writable.clone()
            row[self.end] = True
            return row
        # In a line of the acrostic: it is closed now where the others would not fit otherwise.
        return self.closing if left <= self.needed(closed + 1) + 1 else self.writable
