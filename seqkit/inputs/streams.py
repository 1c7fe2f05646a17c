"""A text as one long stream of units, which need not fit in memory, and the windows that a language model reads."""

from __future__ import annotations

import tempfile
import zlib
from array import array
from collections import Counter
from collections.abc import Iterable
from typing import IO

import numpy as np
from numpy.typing import NDArray

from seqkit.errors import DataError, file_errors, shown
from seqkit.inputs.segmentation import Units
from seqkit.records import digest

Integers = NDArray[np.int32]

END = "\n"
"""the unit at the end of a line"""

_MEMORY_UNITS = 1 << 24
"""a longer corpus is kept in a temporary file"""


class Corpus:
    """A text as a stream of unit types: line after line, the unit `END` after each.

    Args:
        numbers: the type of every unit, [N]; type 0 is `END`. Possibly mapped from a file.
        types: the different units, in the order of their first occurrence, `END` before all others.
        lines: the number of lines.
    """

    def __init__(self, numbers: Integers, types: list[str], lines: int) -> None:
        self.numbers = numbers
        self.types = types
        self.lines = lines

    @classmethod
    def read(cls, lines: Iterable[str], units: Units, *, blank_lines: bool = False) -> Corpus:
        """Split lines into units, one line at a time.

        A line without units counts if units are characters: a blank line of a poem is part of it, one between the
        paragraphs of a text of words is not, unless the text is always counted with them, as WikiText is.

        Only one line, 2²⁴ units of the stream and the different units are in memory: a longer stream is kept in a
        temporary file, which is deleted with the corpus, and a long line is split piece by piece (see `Units.pieces`).

        Args:
            lines: the text, without line ends.
            units: how to split a line.
            blank_lines: whether lines without units count, whatever the units are.

        Returns:
            The corpus; its different units have to fit in memory, its stream does not.

        Raises:
            DataError: a line is no text, or the temporary file cannot be written.
        """
        numbers = {END: 0}
        buffer = array("i")
        file: IO[bytes] | None = None
        kept = spilled = 0
        all_count = blank_lines or units.kind == "char"
        with file_errors("the corpus cannot be kept in a temporary file"):
            for line in lines:
                if not isinstance(line, str):
                    raise DataError(f"a line must be a text, found {shown(line)}")
                before = spilled + len(buffer)
                for piece in units.pieces(line):
                    buffer.extend(numbers.setdefault(unit, len(numbers)) for unit in units.split(piece))
                    if len(buffer) >= _MEMORY_UNITS:
                        file = file or tempfile.TemporaryFile(prefix="seqkit-")  # noqa: SIM115
                        buffer.tofile(file)
                        spilled += len(buffer)
                        buffer = array("i")
                if spilled + len(buffer) > before or all_count:
                    buffer.append(0)
                    kept += 1
            if file is None:
                return cls(np.array(buffer, dtype=np.int32), list(numbers), kept)
            buffer.tofile(file)
            file.flush()
        with file:  # the mapping has a handle of its own
            mapped = np.memmap(file, dtype=np.int32, mode="r", shape=(spilled + len(buffer),))
        return cls(mapped, list(numbers), kept)

    def counts(self) -> Counter[str]:
        """How often each unit occurs."""
        totals = np.zeros(len(self.types), dtype=np.int64)  # [U]
        for begin in range(0, len(self.numbers), _MEMORY_UNITS):
            totals += np.bincount(self.numbers[begin : begin + _MEMORY_UNITS], minlength=len(self.types))
        return Counter({unit: int(count) for unit, count in zip(self.types, totals, strict=True) if count})

    def checksum(self, start: int = 0) -> int:
        """A checksum of the text, and of what came before."""
        found = digest([self.types], start)
        for begin in range(0, len(self), _MEMORY_UNITS):
            found = zlib.crc32(np.ascontiguousarray(self.numbers[begin : begin + _MEMORY_UNITS]).data, found)
        return found

    def streams(self, batch: int) -> Streams:
        """Cut the corpus into streams of equal length, to be read in parallel.

        Args:
            batch: the number of streams, B; a shorter corpus has one stream per unit.

        Returns:
            The streams.
        """
        return Streams(self.numbers, max(1, min(batch, len(self.numbers))))

    def __len__(self) -> int:
        """The number of units with ends of lines, N."""
        return len(self.numbers)


class Streams:
    """A corpus cut into B streams of M units; the last N mod B units are left out.

    Args:
        numbers: the type of every unit, [N].
        batch: the number of streams, B, at most N.

    Attributes:
        length: the number of units in each stream, M.
    """

    def __init__(self, numbers: Integers, batch: int) -> None:
        self.length = len(numbers) // batch
        self._targets = numbers[: batch * self.length].reshape(batch, self.length)  # [B, M], a view
        # The unit before each stream: the end of a line before the first, the last unit of the one before otherwise.
        self._first = np.append(np.zeros(1, np.int32), self._targets[:-1, -1:].ravel())[:batch]  # [B]

    @property
    def batch(self) -> int:
        """The number of streams, B."""
        return len(self._first)

    def window(self, begin: int, end: int) -> tuple[Integers, Integers]:
        """Some steps of every stream.

        Args:
            begin: the first step.
            end: the step after the last, at most M.

        Returns:
            The types to read and the types to predict, [B, T] each: the unit to predict is the next input.
        """
        targets = np.array(self._targets[:, begin:end])  # [B, T]
        before = self._first if begin == 0 else self._targets[:, begin - 1]  # [B]
        return np.concatenate([before[:, None], targets[:, :-1]], axis=1), targets


def window_bounds(
    length: int, window: int, *, variable: bool = False, seed: tuple[int, ...] = (0,)
) -> list[tuple[int, int]]:
    """Cut the steps of streams into windows for truncated backpropagation through time (BPTT).

    The lengths of variable windows (Merity, Keskar & Socher 2018) are drawn from a normal distribution with the mean
    `window` (half of it with probability 0.05), standard deviation 5, at least 5: no unit is always at a window's end.

    Args:
        length: steps in each stream.
        window: steps in a window; the last window may be shorter.
        variable: whether lengths vary.
        seed: the same seed gives the same windows; it should contain the number of the epoch.

    Returns:
        Begin and end of each window, in order; every step is in one.

    Raises:
        ValueError: `window` is not positive.
    """
    if window < 1:
        raise ValueError(f"the BPTT window must be at least 1 step, found {window}")
    generator = np.random.default_rng(seed)
    bounds = []
    begin = 0
    while begin < length:
        steps = window
        if variable:
            mean = window if generator.random() < 0.95 else window / 2
            steps = max(5, int(generator.normal(mean, 5)))
        bounds.append((begin, min(length, begin + steps)))
        begin += steps
    return bounds
