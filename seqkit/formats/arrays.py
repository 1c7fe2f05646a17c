"""Arrays of numbers (``.npy``) that lie beside a file of records: a row a record."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format
from numpy.typing import NDArray

from seqkit.errors import DataError
from seqkit.records import Sentence

__all__ = ["attach_arrays", "load_array"]

_HEADERS = {(1, 0): format.read_array_header_1_0, (2, 0): format.read_array_header_2_0}
"""version of an ``.npy`` file → what reads its header; arrays of numbers have no other"""


def attach_arrays(sentences: Sequence[Sentence], path: Path) -> list[Sentence]:
    """Give each record of a file its row of the arrays that lie beside the file.

    Beside ``train.jsonl`` an array file ``train.image.npy`` has the field ``image`` of every record, in order.

    Args:
        sentences: the records.
        path: the file that they came from.

    Returns:
        The same records, changed in place.

    Raises:
        DataError: an array cannot be read, is not of numbers, or has not one row a record.
    """
    for file in sorted(path.parent.glob("*.npy")):
        stem, _, field = file.stem.rpartition(".")
        if stem != path.stem or not field:
            continue
        array = load_array(file)
        if array.ndim < 1 or len(array) != len(sentences):
            found = f"{len(array)}" if array.ndim else "a single number"
            raise DataError(f"expected {len(sentences)} rows, one a record of {path.name}, found {found}", file=file)
        rows = array[:, None] if array.ndim == 1 else array  # a number a record is a vector of one
        for sentence, row in zip(sentences, rows, strict=True):
            sentence.fields[field] = row
    return list(sentences)


def load_array(file: Path) -> NDArray[Any]:
    """Read an array of numbers; nothing in the file can execute.

    Args:
        file: an ``.npy`` file.

    Returns:
        The array.

    Raises:
        DataError: it cannot be read or is not of numbers.
    """
    try:
        with open(file, "rb") as stream:
            _refuse_cut_short(stream, file.stat().st_size)
            array: NDArray[Any] = np.load(stream, allow_pickle=False)
    except Exception as error:  # numpy lets through whatever reading a header ends in
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise DataError(f"expected an array of numbers (.npy), found {reason}", file=file) from None
    if array.dtype.kind not in "iuf":
        raise DataError(f"expected an array of numbers (.npy), found {array.dtype}", file=file)
    return array


def _refuse_cut_short(stream: BinaryIO, size: int) -> None:
    """See that the numbers are there: room for all that the header promises is made before the first is read."""
    shape, _, dtype = _HEADERS[format.read_magic(stream)](stream)
    promised, found = math.prod(shape) * dtype.itemsize, size - stream.tell()
    if promised > found:
        raise ValueError(f"{found} bytes of numbers, of {promised} that its header says")
    stream.seek(0)
