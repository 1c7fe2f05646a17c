"""Arrays of numbers: ``.npy`` and ``.npz`` files (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html).

Beside a file of records an array has one row per record; of sequences of vectors an array is one of them, or several.
"""

from __future__ import annotations

import math
import os
import stat
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.lib import format
from numpy.typing import NDArray

from seqkit.errors import DataError, shown
from seqkit.files import open_regular
from seqkit.records import FrameRecord, Sentence, TextRecord

_HEADERS = {(1, 0): format.read_array_header_1_0, (2, 0): format.read_array_header_2_0}
"""version of an ``.npy`` file → what reads its header; arrays of numbers have no other version"""
_NUMBERS = "biuf"
"""kinds of NumPy's types that are numbers, truth values among them"""
_LONGEST = 1 << 48
"""of a dimension of an array, which another of 0 may make any"""
_MOST_DEFLATED = 1_100
"""bytes that a byte of a compressed member can stand for, with some to spare (https://www.rfc-editor.org/rfc/rfc1951)"""


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
        with open_regular(file) as stream:
            _header(stream, file.stat().st_size)
            stream.seek(0)
            array: NDArray[Any] = np.load(stream, allow_pickle=False)
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror or error}", file=file) from None
    except Exception as error:  # numpy does not wrap the errors of reading a header
        raise DataError(f"not an array of numbers (.npy): {_reason(error)}", file=file) from None
    if array.dtype.kind not in "iuf":
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


class _Header(NamedTuple):
    """What the header of an array says.

    Attributes:
        shape: its shape.
        dtype: the type of its numbers.
        by_column: whether its first index changes fastest (Fortran's order).
        begin: the place of its first number.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    by_column: bool
    begin: int


def _header(stream: Any, length: int) -> _Header:
    """The header of an array of which there are so many bytes; a ValueError unless all of them are there.

    NumPy allocates memory for all that the header promises before it reads any.

    Raises:
        ValueError: fewer are there.
    """
    shape, by_column, dtype = _HEADERS[format.read_magic(stream)](stream)
    if not all(type(size) is int and 0 <= size <= _LONGEST for size in shape):
        raise ValueError(f"its shape is {shown(list(shape))}")
    begin = stream.tell()
    promised, found = math.prod(shape) * dtype.itemsize, length - begin
    if promised > found:
        raise ValueError(f"it has {found} of the {promised} bytes of numbers that its header promises")
    return _Header(shape, dtype, by_column, begin)


def _refuse_no_numbers(dtype: np.dtype[Any]) -> None:
    if dtype.kind in _NUMBERS:
        return
    hint = "; save sequences of different lengths as members of an .npz file" if dtype.kind == "O" else ""
    raise ValueError(f"its type is {dtype}{hint}")


# --- sequences of vectors -----------------------------------------------------------------------------------------


class ArraySource:
    """A sequence of vectors in an array, read when it is needed.

    Args:
        array: the vectors, [N, F] or [N], each a number; or where they lie, see `ArrayFile`.
        segment: the first vector that is read and the one after the last; by default all.

    Raises:
        ValueError: the array has another shape, or the segment goes beyond its end.
        DataError: the file cannot be read.
    """

    __slots__ = ("_array", "_known", "_segment", "shape")

    def __init__(self, array: NDArray[Any] | ArrayFile, segment: tuple[int, int] | None = None) -> None:
        self._array = array
        self._known = array.shape
        self.shape = _frames_of(self._known)
        self._segment = segment
        if segment is not None:
            begin, end = segment
            if end > self.shape[0]:
                raise ValueError(f"its segment, {begin:,} to {end:,} frames, goes beyond its {self.shape[0]:,} frames")
            self.shape = (end - begin, self.shape[1])

    def read(self) -> NDArray[np.float32]:
        """The vectors, float32 [N, F]; a number beyond those of float32 becomes infinite.

        Returns:
            The vectors.

        Raises:
            DataError: the file cannot be read.
        """
        if self._segment is not None:
            return np.concatenate(list(self.parts(max(1, self.shape[0]))))
        return self._vectors(
            self._array if isinstance(self._array, np.ndarray) else self._unchanged(self._array).read()
        )

    def parts(self, most: int) -> Iterator[NDArray[np.float32]]:
        """The vectors part by part; of an ``.npy`` file no more than that is in memory.

        Args:
            most: vectors of a part.

        Yields:
            float32 [n, F], together what `read` gives.

        Raises:
            DataError: the file cannot be read.
        """
        array = self._array
        if isinstance(array, np.ndarray):
            yield from map(self._vectors, _slices(array, most, self._segment))
        else:
            yield from map(self._vectors, self._unchanged(array).parts(most, self._segment))

    def _unchanged(self, array: ArrayFile) -> ArrayFile:
        """The file, refused if its array has another shape than when it was opened."""
        if (shape := array.shape) != self._known:
            changed = f"found {list(shape)}: the file has changed meanwhile"
            raise DataError(f"expected an array of shape {list(self._known)}, {changed}", file=array.path)
        return array

    def _vectors(self, array: NDArray[Any]) -> NDArray[np.float32]:
        with np.errstate(over="ignore"):
            return np.ascontiguousarray(array, dtype=np.float32).reshape(len(array), self.shape[1])


class ArrayFile(NamedTuple):
    """An array in a file: all of an ``.npy`` file, one of its rows, or a member of an ``.npz`` file.

    Attributes:
        path: the file.
        member: the name of the member, or the number of the row; empty for the whole file.
    """

    path: Path
    member: str = ""

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape, without reading the numbers.

        Raises:
            DataError: the file cannot be read, has no such array, or one of something else than numbers.
        """
        if _is_archive(self.path):
            return _archive(self.path).header(self.member).shape
        shape = _array_header(self.path).shape
        return shape[1:] if self._row(shape) is not None else shape

    def read(self) -> NDArray[Any]:
        """The numbers; of an ``.npy`` file no others are read.

        Nothing is mapped into memory: pages that were read would count as used, and a file that is cut short
        meanwhile would end the process.

        Returns:
            The array.

        Raises:
            DataError: see `shape`.
        """
        if _is_archive(self.path):
            return _archive(self.path).read(self.member)
        header = _array_header(self.path)
        row = self._row(header.shape)
        try:
            with open_regular(self.path) as stream:
                if row is None:
                    shape = header.shape[::-1] if header.by_column else header.shape
                    found = _numbers(stream, header, header.begin, shape)
                    return found.T if header.by_column else found
                if header.by_column and len(header.shape) > 1:  # the numbers of a row lie apart
                    whole = np.memmap(stream, header.dtype, "r", header.begin, header.shape, "F")
                    return np.array(whole[row])
                shape = header.shape[1:]
                return _numbers(stream, header, header.begin + row * math.prod(shape) * header.dtype.itemsize, shape)
        except OSError as error:
            raise DataError(f"cannot be read: {error.strerror or error}", file=self.path) from None

    def parts(self, most: int, segment: tuple[int, int] | None = None) -> Iterator[NDArray[Any]]:
        """The numbers part by part; of an ``.npy`` file only those of a part are read, if rows lie one after another.

        Args:
            most: rows of a part, along the first dimension.
            segment: the first row that is read and the one after the last; by default all.

        Yields:
            The parts.

        Raises:
            DataError: see `shape`.
        """
        header = None if _is_archive(self.path) else _array_header(self.path)
        if header is None or header.by_column:
            yield from _slices(self.read(), most, segment)
            return
        row = self._row(header.shape)
        shape = header.shape if row is None else header.shape[1:]
        size = math.prod(shape[1:]) * header.dtype.itemsize
        begin = header.begin + (row or 0) * shape[0] * size
        try:
            with open_regular(self.path) as stream:
                first, end = segment or (0, shape[0])
                for place in range(first, end, most):
                    count = min(most, end - place)
                    yield _numbers(stream, header, begin + place * size, (count, *shape[1:]))
        except OSError as error:
            raise DataError(f"cannot be read: {error.strerror or error}", file=self.path) from None

    def _row(self, shape: tuple[int, ...]) -> int | None:
        """The number of the row; None for the whole array."""
        if not self.member:
            return None
        rows = shape[0] if len(shape) > 1 else 0
        row = int(self.member) if self.member.isascii() and self.member.isdecimal() and len(self.member) < 20 else rows
        if row >= rows:
            there = f"it has {rows:,}, counted from 0" if rows else f"it is an array of shape {list(shape)}"
            raise DataError(f"no row {shown(self.member)}: {there}", file=self.path)
        return row


def _slices(array: NDArray[Any], most: int, segment: tuple[int, int] | None = None) -> Iterator[NDArray[Any]]:
    first, end = segment or (0, len(array))
    return (array[begin : min(begin + most, end)] for begin in range(first, end, most))


def _numbers(stream: BinaryIO, header: _Header, begin: int, shape: tuple[int, ...]) -> NDArray[Any]:
    found = np.empty(math.prod(shape), header.dtype)
    stream.seek(begin)
    if found.nbytes and stream.readinto(found.view(np.uint8)) < found.nbytes:  # type: ignore[attr-defined]
        raise OSError("the file is shorter than it was")
    return found.reshape(shape)


def array_files(path: Path, left_out: Counter[str] | None = None) -> Iterator[ArrayFile]:
    """The sequences of vectors in a file: the members of an ``.npz`` file, the rows of an array [S, N, F], or one.

    Args:
        path: the file.
        left_out: receives how many members of an archive are no arrays.

    Yields:
        Where each lies, in order.

    Raises:
        DataError: the file cannot be read, two members have the same name, or all rows are empty, of which a short
            header can tell any number.
    """
    if _is_archive(path):
        names, others = _archive(path).names()
        if left_out is not None and others:
            left_out["members that are no arrays left out"] += others
        yield from (ArrayFile(path, name) for name in names)
    elif len(shape := ArrayFile(path).shape) == 3:
        if 0 in shape[1:]:
            raise DataError(
                f"expected sequences with frames and features, found an array of shape {list(shape)}", file=path
            )
        yield from (ArrayFile(path, str(row)) for row in range(shape[0]))
    else:
        yield ArrayFile(path)


def _frames_of(shape: tuple[int, ...]) -> tuple[int, int]:
    """[N, F] of an array; of [N], which has one number a frame, F is 1."""
    if len(shape) not in (1, 2):
        raise ValueError(f"expected an array [frames, features], found one of shape {list(shape)}")
    return shape[0], shape[1] if len(shape) == 2 else 1


def unsound(frames: NDArray[np.float32], first: int = 0) -> str:
    """What is wrong with the numbers of a sequence.

    Args:
        frames: its vectors, [N, F], or some of them.
        first: the number of the first of them.

    Returns:
        A message about the first that is no finite number or beyond all use; empty if there is none.
    """
    with np.errstate(invalid="ignore"):
        sound = np.abs(frames) < LARGEST  # NaN is not, either
    if sound.all():
        return ""
    frame, feature = np.argwhere(~sound)[0].tolist()
    value, where = frames[frame, feature], f"in frame {first + frame}, feature {feature}, counted from 0"
    if value == value and np.isfinite(value):
        return f"expected numbers below {LARGEST:g}, found {value:g} {where}"
    return f"expected finite numbers, found {value:g} {where}"


LARGEST = 1e30
"""of a number that is read: far beyond any use, and squares of it are still finite in float64"""


def _is_archive(path: Path) -> bool:
    return path.suffix.lower() == ".npz"


class _Archive:
    """The members of an ``.npz`` file, which is opened once. For one process.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = Lock()
        self._headers: dict[str, _Header] = {}
        try:
            self._zip = zipfile.ZipFile(path)
        except OSError as error:
            raise DataError(f"cannot be read: {error.strerror or error}", file=path) from None
        except Exception as error:  # zipfile does not wrap all errors of reading a directory
            raise DataError(f"not an archive of arrays (.npz): {_reason(error)}", file=path) from None

    def names(self) -> tuple[list[str], int]:
        """The names of the arrays, in their order, and how many members are something else."""
        members = [name for name in self._zip.namelist() if not name.endswith("/")]
        names = [name.removesuffix(".npy") for name in members if name.endswith(".npy")]
        name, times = next(iter(Counter(names).most_common(1)), ("", 1))
        if times > 1:
            raise DataError(f"{times} arrays are called {shown(name)}", file=self.path)
        return names, len(members) - len(names)

    def header(self, name: str) -> _Header:
        """What the header of a member says."""
        if name not in self._headers:
            self._headers[name] = self._opened(name, lambda stream, header: header)
        return self._headers[name]

    def read(self, name: str) -> NDArray[Any]:
        """The numbers of a member."""

        def read(stream: Any, header: _Header) -> NDArray[Any]:
            stream.seek(0)
            found: NDArray[Any] = format.read_array(stream, allow_pickle=False)
            return found

        found: NDArray[Any] = self._opened(name, read)
        return found

    def _opened(self, name: str, use: Any) -> Any:
        """What a function makes of a member, told its header, which is checked."""
        about = self._zip.NameToInfo.get(f"{name}.npy")
        if about is None:
            names, _ = self.names()
            known = ", ".join(map(shown, names[:5])) or "none"
            raise DataError(f"no array {shown(name)}; it has {known}{', …' if len(names) > 5 else ''}", file=self.path)
        try:
            if about.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise ValueError("it is compressed in a way that NumPy does not use")
            if about.file_size > _MOST_DEFLATED * (about.compress_size + 1):
                raise ValueError(f"{about.compress_size} bytes cannot hold {about.file_size}")
            with self._lock, self._zip.open(about) as stream:
                header = _header(stream, about.file_size)
                _refuse_no_numbers(header.dtype)
                return use(stream, header)
        except Exception as error:  # neither numpy nor zipfile wraps all errors of damaged files
            raise DataError(f"not an array of numbers: {_reason(error)}", file=f"{self.path}#{name}") from None


def _reason(error: Exception) -> str:
    return str(error).partition("\n")[0] or type(error).__name__


def _state(path: Path) -> tuple[int, int]:
    """What changes when a file does."""
    try:
        found = path.stat()
    except (OSError, ValueError) as error:  # ValueError: a name that no system takes
        raise DataError(f"cannot be read: {getattr(error, 'strerror', None) or error}", file=path) from None
    if not stat.S_ISREG(found.st_mode):  # opening a pipe would wait for ever
        raise DataError("cannot be read: not a regular file", file=path)
    return found.st_mtime_ns, found.st_size


def _archive(path: Path) -> _Archive:
    return _kept_archive(path, *_state(path), os.getpid())


@lru_cache(maxsize=8)
def _kept_archive(path: Path, changed: int, size: int, process: int) -> _Archive:
    return _Archive(path)


def _array_header(path: Path) -> _Header:
    return _kept_header(path, *_state(path))


@lru_cache(maxsize=64)
def _kept_header(path: Path, changed: int, size: int) -> _Header:
    try:
        with open_regular(path) as stream:
            header = _header(stream, size)
        _refuse_no_numbers(header.dtype)
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror or error}", file=path) from None
    except Exception as error:  # numpy does not wrap the errors of reading a header
        raise DataError(f"not an array of numbers (.npy): {_reason(error)}", file=path) from None
    return header
