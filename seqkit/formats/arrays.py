"""Arrays of numbers (``.npy``) beside a file of records: one row per record."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format
from numpy.typing import NDArray

from seqkit.errors import DataError
from seqkit.records import Sentence, TextRecord

_HEADERS = {(1, 0): format.read_array_header_1_0, (2, 0): format.read_array_header_2_0}
"""version of an ``.npy`` file → what reads its header; arrays of numbers have no other version"""


def attach_arrays(records: Sequence[Sentence | TextRecord], path: Path) -> None:
    """Give each record of a file its row of the arrays beside the file, as a field.

    Beside ``train.jsonl`` an array file ``train.image.npy`` has the field ``image`` of every record, in order.

    Args:
        records: the records; changed in place.
        path: the file that they came from.

    Raises:
        DataError: an array cannot be read, is not of numbers, or does not have one row per record.
    """
    for file in sorted(path.parent.glob("*.npy")):
        stem, _, field = file.stem.rpartition(".")
        if stem != path.stem or not field:
            continue
        array = load_array(file)
        if array.ndim < 1 or len(array) != len(records):
            found = f"{len(array)}" if array.ndim else "a single number"
            raise DataError(f"expected {len(records)} rows, one per record of {path.name}, found {found}", file=file)
        rows = array[:, None] if array.ndim == 1 else array  # one number per record is a vector of one
        for record, row in zip(records, rows, strict=True):
            record.fields[field] = row


def load_array(file: Path) -> NDArray[Any]:
    """Read an array of numbers; nothing in the file is executed.

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
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror or error}", file=file) from None
    except Exception as error:  # numpy does not wrap the errors of reading a header
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise DataError(f"not an array of numbers (.npy): {reason}", file=file) from None
    if array.dtype.kind not in "iuf":
        raise DataError(f"not an array of numbers (.npy): its type is {array.dtype}", file=file)
    return array


def _refuse_cut_short(stream: BinaryIO, size: int) -> None:
    """Check that the numbers are there: numpy allocates memory for all that the header promises before it reads any."""
    shape, _, dtype = _HEADERS[format.read_magic(stream)](stream)
    promised, found = math.prod(shape) * dtype.itemsize, size - stream.tell()
    if promised > found:
        raise ValueError(f"it has {found} of the {promised} bytes of numbers that its header promises")
    stream.seek(0)
