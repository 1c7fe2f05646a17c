"""A text as one long stream of units, which need not fit in memory, and the windows that a language model reads."""

from __future__ import annotations

import tempfile
from array import array
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from seqkit.errors import DataError
from seqkit.inputs.units import Units

__all__ = ["END", "Corpus", "Streams", "window_bounds"]

Integers = NDArray[np.int32]

END = "\n"
"""the unit that ends a line"""

_MEMORY_UNITS = 1 << 24
"""a corpus of more units is kept in a file"""


class Corpus:
    """A text as a stream of numbers: line after line, the unit `END` after each.

    Args:
        numbers: the form of every unit, [N]; form 0 is `END`. Possibly mapped from a file.
        types: the distinct units (types), in the order of their first occurrence, `END` before all others.
        lines: how many lines were read.
    """

    def __init__(self, numbers: Integers, types: list[str], lines: int) -> None:
        self.numbers = numbers
        self.types = types
        self.lines = lines

    @classmethod
    def read(
        cls,
        lines: Iterable[str],
        units: Units,
        *,
        memory_units: int = _MEMORY_UNITS,
        directory: str | Path | None = None,
    ) -> Corpus:
        """Cut lines into units and number them, one line at a time.

        A line without a unit counts only where units are characters: a blank line of a verse is part of it, one
        between the paragraphs of a text of words is not.

        In memory are one line, the numbers of `memory_units` units and the distinct units; a long line is cut into
        units piece by piece (see `Units.pieces`).

        Args:
            lines: the text, without line ends.
            units: what cuts a line.
            memory_units: a corpus with more units is kept in a temporary file, which goes when the corpus goes.
            directory: where that file is made; by default where temporary files go.

        Returns:
            The corpus; its distinct units have to fit in memory, its stream does not.

        Raises:
            DataError: the temporary file cannot be written.
        """
        numbers = {END: 0}
        buffer = array("i")
        file: IO[bytes] | None = None
        kept = spilled = 0
        try:
            for line in lines:
                before = spilled + len(buffer)
                for piece in units.pieces(line):
                    buffer.extend(numbers.setdefault(unit, len(numbers)) for unit in units.split(piece))
                    if len(buffer) >= memory_units:
                        file = file or tempfile.TemporaryFile(dir=directory, prefix="seqkit-")  # noqa: SIM115
                        buffer.tofile(file)
                        spilled += len(buffer)
                        buffer = array("i")
                if spilled + len(buffer) > before or units.kind == "char":
                    buffer.append(0)
                    kept += 1
            if file is None:
                return cls(np.array(buffer, dtype=np.int32), list(numbers), kept)
            buffer.tofile(file)
            file.flush()
        except OSError as error:
            raise DataError(f"the corpus cannot be kept in a temporary file: {error.strerror or error}") from None
        with file:  # the mapping has a handle of its own
            mapped = np.memmap(file, dtype=np.int32, mode="r", shape=(spilled + len(buffer),))
        return cls(mapped, list(numbers), kept)

    def counts(self) -> Counter[str]:
        """How often every distinct unit occurs."""
        totals = np.zeros(len(self.types), dtype=np.int64)  # [U]
        for begin in range(0, len(self.numbers), _MEMORY_UNITS):
            totals += np.bincount(self.numbers[begin : begin + _MEMORY_UNITS], minlength=len(self.types))
        return Counter({form: int(count) for form, count in zip(self.types, totals, strict=True) if count})

    def streams(self, batch: int) -> Streams:
        """Cut the corpus into equally long streams, to be read side by side.

        Args:
            batch: B, how many; at most one a unit.

        Returns:
            The streams.
        """
        return Streams(self.numbers, max(1, min(batch, len(self.numbers))))

    def __len__(self) -> int:
        """N, how many units there are, ends of lines included."""
        return len(self.numbers)


class Streams:
    """A corpus cut into B streams of M units; fewer than B units at its end are left over where N is no multiple.

    Args:
        numbers: the form of every unit, [N].
        batch: B, at most N.

    Attributes:
        length: M, units in each stream.
    """

    def __init__(self, numbers: Integers, batch: int) -> None:
        self.length = len(numbers) // batch
        self._targets = numbers[: batch * self.length].reshape(batch, self.length)  # [B, M], a view
        # What stands before each stream: the end of a line before the first, the unit left of it before the others.
        self._first = np.append(np.zeros(1, np.int32), self._targets[:-1, -1:].ravel())[:batch]  # [B]

    @property
    def batch(self) -> int:
        """B, how many streams there are."""
        return len(self._first)

    def window(self, begin: int, end: int) -> tuple[Integers, Integers]:
        """Some steps of every stream.

        Args:
            begin: the first step.
            end: the step after the last, at most M.

        Returns:
            What goes in and what is to be predicted, types, [B, T] each: the unit to predict is the next input.
        """
        targets = np.array(self._targets[:, begin:end])  # [B, T]
        before = self._first if begin == 0 else self._targets[:, begin - 1]  # [B]
        return np.concatenate([before[:, None], targets[:, :-1]], axis=1), targets


def window_bounds(
    length: int, window: int, *, variable: bool = False, seed: tuple[int, ...] = (0,)
) -> list[tuple[int, int]]:
    """Cut the steps of streams into the windows through which gradients flow.

    A variable window (Merity, Keskar & Socher 2018) is drawn anew each time: from a normal distribution around `window`
    (around half of it once in twenty), standard deviation 5, at least 5. So no unit is always at a window's end.

    Args:
        length: steps in each stream.
        window: steps in a window; the last one may have fewer.
        variable: whether lengths vary.
        seed: the same seed gives the same windows; an epoch's number belongs in it.

    Returns:
        Begin and end of each window, in order, nothing left out.

    Raises:
        ValueError: `window` is not positive.
    """
    if window < 1:
        raise ValueError(f"expected a window of at least 1 step, found {window}")
    generator = np.random.default_rng(seed)
    bounds = []
    begin = 0
    while begin < length:
        steps = window
        if variable:
            mean = window if generator.random() < 0.95 else window / 2
            steps = max(5, int(generator.normal(mean, 5)))
        end = min(length, begin + steps)
        bounds.append((begin, end))
        begin = end
    return bounds
