"""Pre-trained word vectors: GloVe text, word2vec text and binary, fastText ``.vec``, each also gzipped.

The formats as their makers write them: GloVe (https://nlp.stanford.edu/projects/glove/) has one word and its values a
line; word2vec (https://code.google.com/archive/p/word2vec/) and fastText (https://fasttext.cc/docs/en/format.html)
put a line with the number of words and of values before that; binary word2vec follows each word and a space by
little-endian float32 values.
"""

from __future__ import annotations

import gzip
import io
import os
import re
import stat
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import IO, NoReturn

import numpy as np
import numpy.typing as npt

from seqkit.errors import DataError

__all__ = ["Vectors", "read_vectors"]

_BLOCK = 1024
"""Lines converted by one call into NumPy: enough to hide the call's cost, few enough to stay in cache."""
_CHUNK = 1 << 20
"""Bytes that a binary file is read by."""
_LONGEST_WORD = 1 << 20
"""Bytes after which a binary file without a space, or a line without an end, is taken for something else."""
_LONGEST_VALUE = 64
"""Bytes that a value as text may take, the space before it among them."""
_DENSEST = 1 << 10
"""Bytes that a byte of a gzip file may stand for."""
_MOST_BYTES = 1 << 40
"""Of any file, unpacked."""
_MOST_VALUES = 1 << 20
"""of a vector, where a file has none by whose length it could be judged"""
_ENTRY = re.compile(rb"[^ ]+")
_FOREIGN = {
    b"PK\x03\x04": "a zip archive (unpack it first)",
    b"\xba\x16\x4f\x2f": "a fastText model (its vectors stand in the .vec file)",
    b"\x80\x04": "a Python pickle",
    b"\x80\x02": "a Python pickle",
}


@dataclass(frozen=True)
class Vectors:
    """Words and one vector for each.

    Args:
        words: N different words, in the order of the file.
        matrix: [N, D] float32, one row a word.
    """

    words: list[str]
    matrix: npt.NDArray[np.float32]

    @property
    def size(self) -> int:
        """D, the number of values of a vector."""
        return int(self.matrix.shape[1])

    def __len__(self) -> int:
        """N, the number of words."""
        return len(self.words)


def read_vectors(path: str | Path, *, limit: int | None = None) -> Vectors:
    """Read a file of word vectors; which format it has is seen from its first bytes.

    In text formats a word may hold spaces, as some of GloVe's 840B do: the values are counted from the right. Text has
    to be UTF-8; a binary file's words are decoded with replacement, since word2vec cuts long words at a byte. Where a
    word stands twice the first one counts.

    Args:
        path: the file.
        limit: read the first so many vectors of the file only (files list frequent words first).

    Returns:
        The vectors, in the order of the file.

    Raises:
        DataError: the file cannot be read, is in no known format, is cut short, or holds a line with another number
            of values or a value that is not a finite number.
    """
    try:
        stream, most = _open(path)
        with stream:
            return _read(stream, _Reader(path, limit), most)
    except EOFError:
        raise DataError("expected a whole gzip file, found one cut short", file=path) from None
    except zlib.error as error:
        raise DataError(f"expected a whole gzip file, found a damaged one ({error})", file=path) from None
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror or error}", file=path) from None


def _open(path: str | Path) -> tuple[IO[bytes], int]:
    """The file's bytes, unpacked, and how many there may be at most."""
    with open(path, "rb") as stream:
        magic = stream.read(4)
        size = os.fstat(stream.fileno()).st_size if stat.S_ISREG(os.fstat(stream.fileno()).st_mode) else _MOST_BYTES
    for start, kind in _FOREIGN.items():
        if magic.startswith(start):
            raise DataError(f"expected vectors as text, word2vec binary or either gzipped, found {kind}", file=path)
    if magic.startswith(b"\x1f\x8b"):
        return io.BufferedReader(gzip.open(path), _CHUNK), min(size * _DENSEST, _MOST_BYTES)
    return open(path, "rb", buffering=_CHUNK), min(size, _MOST_BYTES)


class _Reader:
    """What a file is asked for, and what has been kept so far."""

    def __init__(self, path: str | Path, limit: int | None) -> None:
        self.path = path
        self.limit = limit
        self.kept: dict[str, None] = {}  # ordered, and quick to ask for a word that stands twice
        self.values = bytearray()  # grows in place: joining arrays at the end would hold every value twice
        self.read = 0

    @property
    def done(self) -> bool:
        return self.limit is not None and self.read >= self.limit

    def fault(self, message: str, line: int | None = None) -> NoReturn:
        raise DataError(message, file=self.path, line=line)

    def vectors(self, size: int, expected: int | None) -> Vectors:
        """All that was kept, once the file's own count of its vectors agrees."""
        if expected is not None and not self.done and self.read != expected:
            self.fault(f"expected {expected} vectors, as the first line says, found {self.read}")
        matrix = np.frombuffer(self.values, dtype="<f4").astype(np.float32, copy=False).reshape(-1, size)
        return Vectors(list(self.kept), matrix)


def _read(stream: IO[bytes], reader: _Reader, most: int) -> Vectors:
    first = stream.readline(_LONGEST_WORD).removeprefix(b"\xef\xbb\xbf")
    fields = _fields(first)
    if not fields:
        reader.fault("expected a word and its values, found none", 1)
    if len(first) >= _LONGEST_WORD and not first.endswith(b"\n"):
        reader.fault(f"expected a word and its values, found a line of more than {_LONGEST_WORD} bytes", 1)
    if len(fields) == 2 and all(entry.isdigit() and len(entry) < 19 for entry in fields):
        count, size = int(fields[0]), int(fields[1])
        if size == 0:
            reader.fault("expected at least 1 value a vector, found 0", 1)
        if size > (most if count else _MOST_VALUES):
            reader.fault(f"expected vectors that fit in at most {most} bytes, found {size} values a vector", 1)
        sample = stream.read(_CHUNK)
        if _is_binary(sample, size):
            return _read_binary(stream, sample, reader, count, size)
        return _read_text(_lines(sample, stream, reader, size, 2), reader, size, first_line=2, expected=count)
    size = len(fields) - 1
    if size == 0 or not _all_numbers(fields[1:]):
        found = first[:40].decode("utf-8", "replace").strip()
        reader.fault(f"expected a word and its values, or the numbers of words and values, found {found!r}", 1)
    return _read_text(_lines(first, stream, reader, size, 1), reader, size, first_line=1, expected=None)


def _lines(start: bytes, stream: IO[bytes], reader: _Reader, size: int, number: int) -> Iterator[bytes]:
    r"""The lines of `start`, the first of which has a number, and what follows it. Only ``\n`` ends a line."""
    longest = _LONGEST_WORD + size * _LONGEST_VALUE  # more is never read at once, however small it is packed
    *whole, rest = start.split(b"\n")
    yield from whole
    line = rest + stream.readline(longest) if rest else stream.readline(longest)
    for place in count(number + len(whole)):
        if not line:
            return
        if len(line) >= longest and not line.endswith(b"\n"):
            reader.fault(f"expected a word and {size} values, found a line of more than {longest} bytes", place)
        yield line
        line = stream.readline(longest)


# --- text ---------------------------------------------------------------------------------------------------------


def _read_text(lines: Iterator[bytes], reader: _Reader, size: int, *, first_line: int, expected: int | None) -> Vectors:
    block: list[bytes] = []  # the values of the next vectors to keep
    numbers: list[int] = []  # and the lines they stand in, for messages
    for number, raw in enumerate(lines, first_line):
        if reader.done:
            break
        line = raw.strip(b" \r\n")
        if not line:
            continue
        spelled, _, values = line.partition(b" ")
        if values.count(b" ") != size - 1 or raw.startswith(b" "):
            spelled, values = _split_carefully(raw, reader, size, number)
        try:
            word = spelled.decode("utf-8")
        except UnicodeDecodeError as error:
            reader.fault(f"expected UTF-8 text, found byte 0x{spelled[error.start]:02x} in a word", number)
        reader.read += 1
        if word not in reader.kept:
            reader.kept[word] = None
            block.append(values)
            numbers.append(number)
            if len(block) == _BLOCK:
                reader.values += _numbers(block, numbers, reader, size).data
                block, numbers = [], []
    if block:
        reader.values += _numbers(block, numbers, reader, size).data
    return reader.vectors(size, expected)


def _split_carefully(raw: bytes, reader: _Reader, size: int, number: int) -> tuple[bytes, bytes]:
    """A line that is not word, space, values: another separator, a word with spaces in it, or a fault."""
    line = raw.rstrip(b" \t\r\n").replace(b"\t", b" ")
    fields = _fields(line)
    if len(fields) == size and line.startswith(b" "):
        reader.fault(f"expected a word before {size} values, found none", number)
    if len(fields) - 1 < size or (len(fields) - 1 > size and _all_numbers(fields[1:])):
        reader.fault(f"expected {size} values, found {len(fields) - 1}", number)
    begin = [match.start() for match in _ENTRY.finditer(line)][-size]
    return line[:begin].strip(b" "), b" ".join(fields[-size:])  # what is left of the values, spelled as it is


def _numbers(block: list[bytes], numbers: list[int], reader: _Reader, size: int) -> npt.NDArray[np.float32]:
    """The values of several lines, [len(block) · size] float32."""
    text = b" ".join(block)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # before NumPy 2.3 text that is no number only warns
            array = np.fromstring(text, dtype="<f4", sep=" ")
    except (ValueError, DeprecationWarning, RuntimeWarning):
        array = np.empty(0, dtype="<f4")
    # "1-2" reads as two numbers and two spaces as one: neither may make up for the other
    if array.size == len(block) * size and b"  " not in text and bool(np.isfinite(array).all()):
        return array
    rows = [_row(values, reader, size, number) for values, number in zip(block, numbers, strict=True)]
    return np.concatenate(rows)


def _row(values: bytes, reader: _Reader, size: int, number: int) -> npt.NDArray[np.float32]:
    """The values of one line [size], read with care to say what is wrong."""
    fields = values.split()
    if len(fields) != size:
        reader.fault(f"expected {size} values, found {len(fields)}", number)
    row = np.empty(size, dtype="<f4")
    for index, entry in enumerate(fields):
        value = _number(entry)
        if value is None or not abs(value) <= float(np.finfo(np.float32).max):
            reader.fault(f"expected finite numbers, found {entry.decode('utf-8', 'replace')!r}", number)
        row[index] = value
    return row


def _number(entry: bytes) -> float | None:
    try:
        return None if b"_" in entry else float(entry)  # Python alone reads 1_0 as a number
    except ValueError:
        return None


def _fields(line: bytes) -> list[bytes]:
    """What spaces and tabs part; other white space may be part of a word."""
    return [entry for entry in line.strip(b"\r\n").replace(b"\t", b" ").split(b" ") if entry]


def _all_numbers(fields: list[bytes]) -> bool:
    return all(_number(entry) is not None for entry in fields)


# --- binary -------------------------------------------------------------------------------------------------------


def _is_binary(sample: bytes, size: int) -> bool:
    """Whether float32 values, not numbers as text, follow the first word's space."""
    line, newline, _ = sample.partition(b"\n")
    fields = _fields(line)
    # a newline may be a byte of a value, so what stands before it has to look like a whole line: text takes at least a
    # digit and a space a value
    if len(fields) < 2 or (newline and len(line) < 2 * size) or not _all_numbers(fields[-1:]):
        return True
    return any(byte < 32 for entry in fields[1:] for byte in entry)


def _read_binary(stream: IO[bytes], buffer: bytes, reader: _Reader, count: int, size: int) -> Vectors:
    position = 0
    for row in range(count):
        if reader.done:
            break
        space = buffer.find(b" ", position)
        while space < 0 or len(buffer) < space + 1 + 4 * size:
            if space < 0 and len(buffer) - position > _LONGEST_WORD:
                reader.fault("expected words and float32 values, found no space between them")
            more = _at_least(stream, space + 1 + 4 * size - len(buffer) if space >= 0 else 1)
            if not more:
                reader.fault(f"expected {count} vectors, as the first line says, found {row}")
            buffer, position = buffer[position:] + more, 0
            space = buffer.find(b" ")
        end = space + 1 + 4 * size
        word = buffer[position:space].lstrip(b"\n").decode("utf-8", "replace")
        reader.read += 1
        if word not in reader.kept:
            values = np.frombuffer(buffer, dtype="<f4", count=size, offset=space + 1)
            if not np.isfinite(values).all():
                reader.fault(f"expected finite numbers, found others in the vector of {word!r}")
            reader.kept[word] = None
            reader.values += values.data
        position = end
    return reader.vectors(size, count)


def _at_least(stream: IO[bytes], wanted: int) -> bytes:
    """So many bytes or a little more, fewer at the end; what a header promises is never asked for at once."""
    pieces: list[bytes] = []
    while wanted > 0 and (piece := stream.read(_CHUNK)):
        pieces.append(piece)
        wanted -= len(piece)
    return b"".join(pieces)
