"""Tables of numbers: one sequence of vectors a file, a frame a row, its numbers between commas, tabs or spaces."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seqkit.errors import DataError, shown
from seqkit.formats.text import Line, is_blank, read_lines


class NumberTable:
    """A sequence of vectors in a text file, read when it is needed.

    Rows that are blank or start with ``#`` are left out, and so is a first row without any number, which names the
    columns. Between semicolons a comma is the decimal sign.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @cached_property
    def shape(self) -> tuple[int, int]:
        """[N, F], for which the file is read once."""
        count = size = 0
        for row in number_rows(read_lines(self.path), str(self.path)):
            count, size = count + 1, len(row)
        return count, size

    def read(self) -> NDArray[np.float32]:
        """The vectors, float32 [N, F].

        Returns:
            The vectors.

        Raises:
            DataError: the file cannot be read, or a row has something else than as many numbers as the first.
        """
        rows = list(number_rows(read_lines(self.path), str(self.path)))
        with np.errstate(over="ignore"):
            return np.array(rows, dtype=np.float64).reshape(len(rows), -1 if rows else 0).astype(np.float32)


def number_rows(lines: Iterable[Line], name: str) -> Iterator[list[float]]:
    """The rows of a table of numbers.

    Args:
        lines: numbered lines.
        name: the file's name, for messages.

    Yields:
        Its numbers.

    Raises:
        DataError: a cell is no number, or rows differ in length.
    """
    delimiter: str | None = None
    size = 0
    first = True
    for number, line in lines:
        if is_blank(line) or line.startswith("#"):
            continue
        if first:
            delimiter = next((each for each in "\t;," if each in line), None)
        cells = line.rstrip(" ").split(delimiter)
        if delimiter == ";":
            cells = [cell.replace(",", ".") for cell in cells]
        values = list(map(number_of, cells))
        is_header, first = first and all(value is None for value in values), False
        if is_header:
            size = len(cells)
            continue
        place = next((place for place, value in enumerate(values) if value is None), None)
        if place is not None:
            raise DataError(
                f"expected a number in column {place + 1}, found {shown(cells[place])}", file=name, line=number
            )
        if size and len(cells) != size:
            raise DataError(
                f"expected {size:,} numbers, as in the first row, found {len(cells):,}", file=name, line=number
            )
        size = len(cells)
        yield [value for value in values if value is not None]


def number_of(cell: str) -> float | None:
    """The number in a cell; None of anything else. Unlike Python, no format has underscores in numbers."""
    try:
        return None if "_" in cell else float(cell)
    except ValueError:
        return None
