"""Arrays of numbers: ``.npy`` and ``.npz`` files (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html).

Beside a file of records an array has one row per record; of sequences of vectors an array is one of them, or several.
"""

from __future__ import annotations

import math
import os
import zipfile
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
from numpy.lib import format
from numpy.typing import NDArray

from seqkit.errors import DataError, shown
from seqkit.records import FrameRecord, Sentence, TextRecord

_HEADERS = {(1, 0): format.read_array_header_1_0, (2, 0): format.read_array_header_2_0}
"""version of an ``.npy`` file → what reads its header; arrays of numbers have no other version"""
_NUMBERS = "biuf"
"""kinds of NumPy's types that are numbers, truth values among them"""


def attach_arrays(records: Sequence[Sentence | TextRecord], path: Path) -> None:
    """Give each record of a file its row of the arrays beside the file, as a field.

    Beside ``train.jsonl`` an array file ``train.image.npy`` has the field ``image`` of every record, in order. The rows
    of an array [records, frames, features] are sequences of vectors, which are read when they are needed.

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
        sequences = [
            FrameRecord(ArraySource(row), field, f"{file.name}#{row.member}") for row in array_files(file) if row.member
        ]
        rows: Any = sequences or load_array(file)
        dimensions = 3 if sequences else rows.ndim
        if not dimensions or len(rows) != len(records):
            found = f"{len(rows)}" if dimensions else "a single number"
            raise DataError(f"expected {len(records)} rows, one per record of {path.name}, found {found}", file=file)
        for record, row in zip(records, rows[:, None] if dimensions == 1 else rows, strict=True):
            record.fields[field] = row  # of one number per record a vector of one


def load_array(file: Path, *, mapped: bool = False) -> NDArray[Any]:
    """Read an array of numbers; nothing in the file is executed.

    Args:
        file: an ``.npy`` file.
        mapped: whether its numbers are read from the file only where they are looked at.

    Returns:
        The array.

    Raises:
        DataError: it cannot be read or is not of numbers.
    """
    try:
        with open(file, "rb") as stream:
            shape, dtype = _header(stream, file.stat().st_size)
            if mapped and dtype.kind in _NUMBERS and 0 not in shape:  # objects and empty arrays cannot be mapped
                array: NDArray[Any] = np.load(file, mmap_mode="r", allow_pickle=False)
            else:
                stream.seek(0)
                array = np.load(stream, allow_pickle=False)
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror or error}", file=file) from None
    except Exception as error:  # numpy does not wrap the errors of reading a header
        raise DataError(f"not an array of numbers (.npy): {_reason(error)}", file=file) from None
    if array.dtype.kind not in (_NUMBERS if mapped else "iuf"):
        raise DataError(f"not an array of numbers (.npy): its type is {array.dtype}", file=file)
    return array


def write_array(file: Path, array: NDArray[Any]) -> None:
    """Write an array.

    Args:
        file: an ``.npy`` file.
        array: numbers.

    Raises:
        DataError: it cannot be written.
    """
    try:
        with open(file, "wb") as stream:
            format.write_array(stream, array, allow_pickle=False)
    except OSError as error:
        raise DataError(f"cannot be written: {error.strerror or error}", file=file) from None


def _header(stream: Any, size: int) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and type of an array of which there are so many bytes; a ValueError unless all of them are there.

    NumPy allocates memory for all that the header promises before it reads any.

    Raises:
        ValueError: fewer are there.
    """
    shape, _, dtype = _HEADERS[format.read_magic(stream)](stream)
    promised, found = math.prod(shape) * dtype.itemsize, size - stream.tell()
    if promised > found:
        raise ValueError(f"it has {found} of the {promised} bytes of numbers that its header promises")
    return shape, dtype


# --- sequences of vectors -----------------------------------------------------------------------------------------


class ArraySource:
    """A sequence of vectors in an array, read when it is needed.

    Args:
        array: the vectors, [N, F] or [N], each a number; or where they lie, see `ArrayFile`.
    """

    __slots__ = ("_array", "shape")

    def __init__(self, array: NDArray[Any] | ArrayFile) -> None:
        self._array = array
        self.shape = _frames_of(array.shape if isinstance(array, np.ndarray) else array.header()[0])

    def read(self) -> NDArray[np.float32]:
        """The vectors, float32 [N, F]."""
        array = self._array if isinstance(self._array, np.ndarray) else self._array.read()
        return np.ascontiguousarray(array, dtype=np.float32).reshape(self.shape)


class ArrayFile(NamedTuple):
    """An array in a file: all of an ``.npy`` file, one of its rows, or a member of an ``.npz`` file.

    Attributes:
        path: the file.
        member: the name of the member, or the number of the row; empty for the whole file.
    """

    path: Path
    member: str = ""

    def header(self) -> tuple[tuple[int, ...], np.dtype[Any]]:
        """Shape and type, without the numbers.

        Returns:
            Both.

        Raises:
            DataError: the file cannot be read, has no such array, or one of something else than numbers.
        """
        if self.path.suffix.lower() == ".npz":
            return _archive(self.path).header(self.member)
        array = self._mapped()
        return (array.shape[1:] if self.member else array.shape), array.dtype

    def read(self) -> NDArray[Any]:
        """The numbers; of an ``.npy`` file only these are read.

        Returns:
            The array.

        Raises:
            DataError: see `header`.
        """
        if self.path.suffix.lower() == ".npz":
            return _archive(self.path).read(self.member)
        array = self._mapped()
        return np.array(array[int(self.member)] if self.member else array)

    def _mapped(self) -> NDArray[Any]:
        found = load_array(self.path, mapped=True)
        if self.member and (not self.member.isdecimal() or found.ndim < 2 or int(self.member) >= len(found)):
            rows = len(found) if found.ndim > 1 else 0
            raise DataError(f"no row {self.member!r}: it has {rows} rows, counted from 0", file=self.path)
        return found


def array_files(path: Path) -> Iterator[ArrayFile]:
    """The sequences of vectors in a file: the members of an ``.npz`` file, the rows of an array [S, N, F], or one.

    Args:
        path: the file.

    Yields:
        Where each lies, in order.

    Raises:
        DataError: the file cannot be read.
    """
    if path.suffix.lower() == ".npz":
        yield from (ArrayFile(path, name) for name in _archive(path).names())
    elif len(ArrayFile(path).header()[0]) == 3:
        yield from (ArrayFile(path, str(row)) for row in range(ArrayFile(path).header()[0][0]))
    else:
        yield ArrayFile(path)


def _frames_of(shape: tuple[int, ...]) -> tuple[int, int]:
    """[N, F] of an array; of [N], which has one number a frame, F is 1."""
    if len(shape) not in (1, 2):
        hint = "; name one of its rows as FILE#ROW" if len(shape) == 3 else ""
        raise ValueError(f"expected vectors [frames, features], found an array of shape {list(shape)}{hint}")
    return shape[0], shape[1] if len(shape) == 2 else 1


class _Archive:
    """The members of an ``.npz`` file, which is opened once. For one process.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = Lock()
        self._headers: dict[str, tuple[tuple[int, ...], np.dtype[Any]]] = {}
        try:
            self._zip = zipfile.ZipFile(path)
        except OSError as error:
            raise DataError(f"cannot be read: {error.strerror or error}", file=path) from None
        except Exception as error:  # zipfile does not wrap all errors of reading a directory
            raise DataError(f"not an archive of arrays (.npz): {_reason(error)}", file=path) from None

    def names(self) -> list[str]:
        """The names of the members, in their order."""
        return [name.removesuffix(".npy") for name in self._zip.namelist() if name.endswith(".npy")]

    def header(self, name: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
        """Shape and type of a member."""
        if name not in self._headers:
            self._headers[name] = self._opened(name, lambda stream, shape, dtype: (shape, dtype))
        return self._headers[name]

    def read(self, name: str) -> NDArray[Any]:
        """The numbers of a member."""

        def read(stream: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
            stream.seek(0)
            found: NDArray[Any] = format.read_array(stream, allow_pickle=False)
            return found

        found: NDArray[Any] = self._opened(name, read)
        return found

    def _opened(self, name: str, use: Any) -> Any:
        """What a function makes of a member, told its shape and type, which are checked."""
        member = f"{name}.npy"
        if member not in self._zip.NameToInfo:
            known = ", ".join(self.names()[:5]) or "none"
            raise DataError(
                f"no array {shown(name)}; it has {known}{', …' if len(self.names()) > 5 else ''}", file=self.path
            )
        try:
            with self._lock, self._zip.open(member) as stream:
                shape, dtype = _header(stream, self._zip.NameToInfo[member].file_size)
                if dtype.kind not in _NUMBERS:
                    raise ValueError(f"its type is {dtype}")
                return use(stream, shape, dtype)
        except Exception as error:  # neither numpy nor zipfile wraps all errors of damaged files
            raise DataError(f"{shown(name)} is not an array of numbers: {_reason(error)}", file=self.path) from None


def _reason(error: Exception) -> str:
    return str(error).partition("\n")[0] or type(error).__name__


def _archive(path: Path) -> _Archive:
    try:
        state = path.stat()
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror or error}", file=path) from None
    return _kept_archive(path, state.st_mtime_ns, state.st_size, os.getpid())


@lru_cache(maxsize=8)
def _kept_archive(path: Path, changed: int, size: int, process: int) -> _Archive:
    return _Archive(path)
