"""Features of recordings, made once and kept in a file, so that a corpus need not fit into memory.

They are made while the data are checked, before a run may write to its directory: into a file without a name, which is
gone when the process ends, however it ends. Once the directory is the run's, they are written beside its checkpoint,
aside and renamed, and a run that goes on takes them up if the recordings and the settings are the same.
"""

from __future__ import annotations

import json
import os
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqkit.errors import DataError, ModelError
from seqkit.files import aside, flush_names, open_regular, rename

Floats = NDArray[np.float32]

_MAGIC = b"seqkit features 1\n"
_END = 12
"""bytes at the end: the length of the index before them, and its checksum"""
_LARGEST_INDEX = 1 << 30


class _Entry(NamedTuple):
    """Where the features of a recording lie.

    Attributes:
        begin: their place in the file.
        frames: how many frames there are.
        checksum: of their bytes.
    """

    begin: int
    frames: int
    checksum: int


class FeatureStore:
    """Features of recordings in a file. For one process.

    Args:
        settings: all that features depend on beside the recordings, as JSON has it.
        size: features a frame.
        file: where they will be kept, on whose disk they are from the beginning; None for any.
        take_up: whether the file that is there is used.
    """

    def __init__(self, settings: Any, size: int, file: Path | None = None, *, take_up: bool = False) -> None:
        self._key = json.dumps([settings, size], sort_keys=True)
        self._size = size
        self._lock = Lock()
        self._file = file
        self._new: dict[str, _Entry] = {}
        self._old: dict[str, _Entry] = {}
        self._checked: set[str] = set()
        self._made: BinaryIO | None = None
        self._kept: BinaryIO | None = None
        if file is not None and take_up:
            self._take_up(file)

    def __del__(self) -> None:
        """Close the files."""
        for stream in (self._made, self._kept):
            if stream is not None:
                stream.close()

    def get(self, recording: Path, segment: object = None) -> Floats | None:
        """The features of a recording.

        Args:
            recording: its file.
            segment: what part of it is meant; None for all.

        Returns:
            float32 [N, F]; None if they are not kept, the file has changed since, or they are damaged.
        """
        name = _identity(recording, segment)
        if name in self._new and self._made is not None:
            return self._read(self._made, self._new[name])
        if name not in self._old or self._kept is None:
            return None
        found = self._read(self._kept, self._old[name])
        if name not in self._checked:
            if found is None or zlib.crc32(found.data) != self._old[name].checksum:
                del self._old[name]
                return None
            self._checked.add(name)
        return found

    def add(self, recording: Path, frames: Floats, segment: object = None) -> None:
        """Keep the features of a recording.

        Args:
            recording: its file.
            frames: [N, F].
            segment: what part of it they are of; None for all.

        Raises:
            DataError: they cannot be written.
        """
        try:
            if self._made is None:
                self._made = _unnamed(self._file)
            with self._lock:
                begin = self._made.seek(0, os.SEEK_END)
                self._made.write(frames.data)
                self._made.flush()
        except OSError as error:
            message = f"its features cannot be kept while training: {error.strerror or error}"
            raise DataError(message, file=recording) from None
        self._new[_identity(recording, segment)] = _Entry(begin, len(frames), zlib.crc32(frames.data))

    def settle(self, file: Path) -> None:
        """Write what is kept to a file, unless it is all there, and read it from there from now on.

        Whenever the process ends in here, the file is the old one or the new one, or not there.

        Args:
            file: the file.

        Raises:
            ModelError: it cannot be written.
        """
        if not self._new:
            return
        part = aside(file)
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            part.unlink(missing_ok=True)
            with open(part, "xb") as stream:
                for data in self._content():
                    stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            self._close()
            rename(part, file)
            flush_names(file.parent)
        except OSError as error:
            with suppress(OSError):
                part.unlink(missing_ok=True)
            raise ModelError(f"{file}: cannot be written: {error.strerror or error}") from None
        self._take_up(file)

    def _content(self) -> Iterator[bytes]:
        """All of the file: features, and an index at the end. Damaged ones are left out, to be made again."""
        yield _MAGIC
        index: dict[str, _Entry] = {}
        place = len(_MAGIC)
        for stream, entries in ((self._kept, self._old), (self._made, self._new)):
            for name, entry in entries.items() if stream is not None else ():
                found = self._read(stream, entry)
                if found is not None and zlib.crc32(found.data) == entry.checksum:
                    index[name] = entry._replace(begin=place)
                    place += found.nbytes
                    yield found.tobytes()
        tail = json.dumps({"key": self._key, "recordings": index}).encode("ascii")
        yield tail + len(tail).to_bytes(8, "little") + zlib.crc32(tail).to_bytes(4, "little")

    def _take_up(self, file: Path) -> None:
        """Use a file that was written; one that is damaged or of other settings is no use."""
        self._close()
        try:
            stream = open_regular(file)
        except OSError:
            return
        with suppress(OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, MemoryError):
            size = stream.seek(0, os.SEEK_END)
            stream.seek(max(0, size - _END))
            end = stream.read(_END)
            length = int.from_bytes(end[:8], "little")
            if size >= _END + length + len(_MAGIC) and length <= _LARGEST_INDEX:
                stream.seek(size - _END - length)
                tail = stream.read(length)
                if zlib.crc32(tail) == int.from_bytes(end[8:], "little"):
                    index = json.loads(tail)
                    if index["key"] == self._key:
                        self._old = {name: _Entry(*map(int, entry)) for name, entry in index["recordings"].items()}
                        self._kept = stream
                        return
        stream.close()

    def _read(self, stream: BinaryIO | None, entry: _Entry) -> Floats | None:
        """Features from a file; None where it is too short."""
        assert stream is not None
        frames = np.empty((entry.frames, self._size), dtype=np.float32)
        data = frames.data.cast("B") if frames.size else memoryview(bytearray())
        if hasattr(os, "preadv"):  # which moves no place that another process shares after a fork
            done = os.preadv(stream.fileno(), [data], entry.begin) if len(data) else 0
        else:
            with self._lock:
                stream.seek(entry.begin)
                done = stream.readinto(data)  # type: ignore[attr-defined]
        return frames if done == len(data) else None

    def _close(self) -> None:
        self.__del__()
        self._made = self._kept = None
        self._new, self._old, self._checked = {}, {}, set()


def _identity(recording: Path, segment: object) -> str:
    """What names a recording, or a part of it, and changes with it."""
    try:
        state = os.stat(recording)
    except (OSError, ValueError):  # which reading it tells
        return ""
    part = "" if segment is None else f"\t{segment}"
    return f"{os.path.abspath(recording)}\t{state.st_size}\t{state.st_mtime_ns}{part}"


def _unnamed(beside: Path | None) -> BinaryIO:
    """A file without a name, on the disk where features are kept at last if it can be there."""
    places = [] if beside is None else [folder for folder in beside.parents if folder.is_dir()][:1]
    for place in places:
        with suppress(OSError):
            return tempfile.TemporaryFile(dir=place)
    return tempfile.TemporaryFile()
