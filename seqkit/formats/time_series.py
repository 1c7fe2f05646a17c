"""Files ``.ts`` of the archives of time series of UEA and UCR: a sequence a line, its dimensions between colons.

Source: https://www.aeon-toolkit.org/en/stable/examples/datasets/data_loading.html, https://timeseriesclassification.com
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqkit.errors import DataError, shown
from seqkit.formats.arrays import ArraySource
from seqkit.formats.format import Format, ReadOptions, Sample
from seqkit.formats.manifest import made
from seqkit.formats.number_tables import number_of
from seqkit.formats.text import Line, is_blank, read_lines
from seqkit.records import FrameRecord

_HEADER = ("@problemname", "@timestamps", "@classlabel", "@targetlabel", "@univariate", "@data")


@dataclass(slots=True)
class _Header:
    """What the lines before the data say.

    Attributes:
        labels: the labels there are; empty where they are not listed.
        is_labelled: whether each sequence has a label, or a target.
        dimensions: features a frame; 0 where it is not said.
        is_equal: whether all sequences have the same length.
    """

    labels: list[str] = field(default_factory=list)
    is_labelled: bool = False
    dimensions: int = 0
    is_equal: bool = False


def time_series_frames(lines: Iterable[Line], name: str, options: ReadOptions) -> Iterator[FrameRecord]:
    """Read the sequences of a file ``.ts``, with their label in the field ``label``.

    Args:
        lines: not read: a part of a file lacks what its first lines say.
        name: the file.
        options: not used.

    Yields:
        The sequences.

    Raises:
        DataError: anything wrong with the file; also a missing value, or time stamps.
    """
    rest = ((number, line.strip()) for number, line in read_lines(name) if not is_blank(line))
    rest = ((number, line) for number, line in rest if line and not line.startswith("#"))
    header = _read_header(rest, name)
    length = -1
    for count, (number, line) in enumerate(rest, start=1):
        try:
            values, fields = _sequence(line, header, length)
        except ValueError as error:
            reason = f"sequence {count:,}: {error}"
            if options.faults is None:
                raise DataError(reason, file=name, line=number) from None
            options.faults.append(DataError(reason, file=name, line=number))
            continue
        length = len(values)
        yield made(lambda values=values: ArraySource(values), "frames", "", fields, name, number)  # type: ignore[misc]


def _read_header(lines: Iterator[Line], name: str) -> _Header:
    found = _Header()
    for number, line in lines:
        tag, *values = line.split()
        tag = tag.lower()
        yes = values[:1] == ["true"] or (bool(values) and values[0].lower() == "true")
        if tag == "@data":
            return found
        if not tag.startswith("@"):
            raise DataError(f"expected a line @data before the sequences, found {shown(line)}", file=name, line=number)
        if tag == "@timestamps" and yes:
            message = "sequences with time stamps are not read; write values at equal distances, with @timeStamps false"
            raise DataError(message, file=name, line=number)
        if tag in ("@dimension", "@dimensions"):
            digits = values[0] if values else ""
            if not (digits.isascii() and digits.isdecimal() and len(digits) < 10 and int(digits)):
                raise DataError(f"expected a number of dimensions, found {shown(line)}", file=name, line=number)
            found.dimensions = int(digits)
        elif tag == "@univariate" and yes:
            found.dimensions = 1
        elif tag == "@equallength":
            found.is_equal = yes
        elif tag == "@classlabel":
            found.is_labelled, found.labels = yes, values[1:]
        elif tag == "@targetlabel":
            found.is_labelled = yes
    raise DataError("expected a line @data and sequences after it, found none", file=name)


def _sequence(line: str, header: _Header, length: int) -> tuple[NDArray[np.float32], dict[str, Any]]:
    """The vectors [N, F] of a line, and its label; of so many frames as the one before it, where all have as many."""
    dimensions = line.split(":")
    fields: dict[str, Any] = {}
    if header.is_labelled:
        fields["label"] = label = dimensions.pop().strip()
        if header.labels and label not in header.labels:
            known = ", ".join(header.labels[:20]) + (", …" if len(header.labels) > 20 else "")
            raise ValueError(f"expected one of the labels of @classLabel ({known}), found {shown(label)}")
    if header.dimensions and len(dimensions) != header.dimensions:
        raise ValueError(f"expected {header.dimensions:,} dimensions, found {len(dimensions):,}")
    if not dimensions:
        raise ValueError("expected numbers before the label, found none")
    cells = [dimension.split(",") for dimension in dimensions]
    for place, each in enumerate(cells, start=1):
        if len(each) != len(cells[0]):
            expected = f"expected {len(cells[0]):,} numbers in every dimension, as in the first"
            raise ValueError(f"{expected}, found {len(each):,} in dimension {place}")
    if header.is_equal and length >= 0 and len(cells[0]) != length:
        raise ValueError(f"expected {length:,} frames, as @equalLength says, found {len(cells[0]):,}")
    values = [[number_of(cell) for cell in each] for each in cells]
    if any(value is None or value != value for value in chain.from_iterable(values)):
        _refuse_cell(cells, values)
    with np.errstate(over="ignore"):
        return np.array(values, dtype=np.float64).T.astype(np.float32), fields


def _refuse_cell(cells: list[list[str]], values: list[list[float | None]]) -> None:
    for dimension, row in enumerate(values, start=1):
        for frame, value in enumerate(row, start=1):
            if value is None or value != value:
                cell, where = cells[dimension - 1][frame - 1].strip(), f"in dimension {dimension}, frame {frame}"
                if cell == "?" or value is not None:
                    raise ValueError(f"a value is missing {where}; fill it in, or leave the sequence out")
                raise ValueError(f"expected a number, found {shown(cell)} {where}")


def _recognise(sample: Sample) -> bool:
    lines = [line.strip().lower() for line in sample.lines if not is_blank(line) and not line.lstrip().startswith("#")]
    lines = [line for line in lines if line]
    tags = {line.split()[0] for line in lines if line.startswith("@")}
    return bool(lines) and lines[0].startswith("@") and len(tags.intersection(_HEADER)) > 1


TIME_SERIES = Format(
    "ts",
    "time series of the UEA and UCR archives",
    "https://www.aeon-toolkit.org/en/stable/examples/datasets/data_loading.html",
    suffixes=(".ts",),
    recognise=_recognise,
    specific=True,
    frames=time_series_frames,
    opens=True,
)
