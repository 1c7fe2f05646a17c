"""Pretrained word vectors: GloVe text, word2vec text and binary, fastText ``.vec``, each also gzipped.

GloVe (https://nlp.stanford.edu/projects/glove/) has one word and its values per line; word2vec
(https://code.google.com/archive/p/word2vec/) and fastText (https://fasttext.cc/docs/en/format.html) start with a header
line, the number of words and the size of a vector; binary word2vec has, for each word, the word, a space and
little-endian float32 values.
"""

from __future__ import annotations

import gzip
import io
import os
import re
import stat
import sys
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from typing import IO, NoReturn

import numpy as np
import numpy.typing as npt

from seqkit.errors import DataError, file_errors

_BLOCK = 1024
"""lines converted by one call into NumPy: enough to hide the call's cost, few enough to stay in cache"""
_CHUNK = 1 << 20
"""bytes read at once"""
_LONGEST_WORD = 1 << 20
"""bytes; with a longer word, or without the end of a line, a file is something else"""
_LONGEST_VALUE = 64
"""bytes of a value as text, with the space before it"""
_DENSEST = 1 << 10
"""the highest compression rate of gzip"""
_MOST_BYTES = 1 << 40
"""bytes of any file, unpacked"""
_MOST_VALUES = 1 << 20
"""the largest size of a vector in a file that has no vectors"""
_ENTRY = re.compile(rb"[^ ]+")
_FOREIGN = {
    b"PK\x03\x04": "a zip archive (unpack it first)",
    b"\xba\x16\x4f\x2f": "a fastText model (its vectors are in the .vec file)",
    b"\x80\x04": "a Python pickle",
    b"\x80\x02": "a Python pickle",
}


@dataclass(frozen=True)
class Vectors:
    """Pretrained vectors: words, and one vector for each.

    Args:
        words: N different words, in the order of the file.
        matrix: the vectors, one row per word, float32 [N, D].
    """

    words: list[str]
    matrix: npt.NDArray[np.float32]

    @property
    def size(self) -> int:
        """The size of a vector, D."""
        return int(self.matrix.shape[1])

    def __len__(self) -> int:
        """The number of words, N."""
        return len(self.words)


def read_vectors(path: str | Path, *, limit: int | None = None) -> Vectors:
    """Read a file of pretrained vectors; its format is recognised from its first bytes.

    In text formats a word may contain spaces, as in GloVe's 840B: the values are counted from the right. Text must be
    UTF-8; the words of a binary file are decoded with replacement, since word2vec cuts long words within a character.
    If a word occurs twice, the first vector counts.

    Args:
        path: the file.
        limit: read only this many vectors, from the beginning of the file (files list frequent words first).

    Returns:
        The vectors, in the order of the file.

    Raises:
        DataError: the file cannot be read, has an unknown format, is cut short, or has a line with another number of
            values or with a value that is not a finite number.
    """
    reader = _Reader(path, limit)
    try:
        with io.BufferedReader(io.FileIO(path), _CHUNK) as stream:
            status = os.fstat(stream.fileno())
            most = min(status.st_size, _MOST_BYTES) if stat.S_ISREG(status.st_mode) else _MOST_BYTES
            start = stream.peek(4)
            for magic, kind in _FOREIGN.items():
                if start.startswith(magic):
                    reader.fault(f"expected vectors as text or word2vec binary, gzipped or not, found {kind}")
            if not start.startswith(b"\x1f\x8b"):
                return _read(stream, reader, most)
            with io.BufferedReader(gzip.GzipFile(fileobj=stream), _CHUNK) as unpacked:
                return _read(unpacked, reader, min(most * _DENSEST, _MOST_BYTES))
    except EOFError:
        reader.fault("the gzip file is cut short")
    except zlib.error as error:
        reader.fault(f"the gzip file is damaged ({error})")
    except OSError as error:
        reader.fault(f"cannot be read: {error.strerror or error}")


class _Reader:
    """What to read, and the vectors read so far."""

    def __init__(self, path: str | Path, limit: int | None) -> None:
        self.path = path
        self.limit = sys.maxsize if limit is None else limit
        self.kept: dict[str, None] = {}  # ordered, and fast to ask for a word that occurs twice
        self.values = bytearray()  # grows in place: joining arrays at the end would hold every value twice
        self.read = 0

    def fault(self, message: str, line: int | None = None) -> NoReturn:
        raise DataError(message, file=self.path, line=line) from None

    def vectors(self, size: int, expected: int | None) -> Vectors:
        """All that was kept, if the header has the right number of vectors."""
        if expected is not None and self.read < self.limit and self.read != expected:
            self.fault(f"expected {expected} vectors, as the first line says, found {self.read}")
        matrix = np.frombuffer(self.values, dtype="<f4").astype(np.float32, copy=False).reshape(-1, size)
        return Vectors(list(self.kept), matrix)


def _read(stream: IO[bytes], reader: _Reader, most: int) -> Vectors:
    """Read a stream of at most so many bytes."""
    first = stream.readline(_LONGEST_WORD).removeprefix(b"\xef\xbb\xbf")
    fields = _fields(first)
    if not fields:
        reader.fault("expected a word and its values, found an empty line" if first else "the file is empty", 1)
    if len(first) >= _LONGEST_WORD and not first.endswith(b"\n"):
        reader.fault(f"expected a word and its values, found a line of more than {_LONGEST_WORD} bytes", 1)
    if len(fields) == 2 and all(entry.isdigit() and len(entry) < 19 for entry in fields):
        count, size = int(fields[0]), int(fields[1])
        if size == 0:
            reader.fault("the size of a vector must be at least 1, found 0", 1)
        if size > (most if count else _MOST_VALUES):
            reader.fault(f"vectors of size {size} do not fit in a file of {most} bytes", 1)
        line = stream.readline(_CHUNK)
        if _is_binary(line, size):
            return _read_binary(stream, line, reader, count, size)
        entries = _entries(_lines(line, stream, reader, size, 2), reader, size)
    else:
        count, size = None, len(fields) - 1
        if size == 0 or not _all_numbers(fields[1:]):
            found = first[:40].decode("utf-8", "replace").strip()
            reader.fault(f"expected a word and its values, or a header of two numbers, found {found!r}", 1)
        entries = _entries(_lines(first, stream, reader, size, 1), reader, size)
    while block := list(islice(entries, _BLOCK)):
        reader.values += _numbers(block, reader, size).data
    return reader.vectors(size, count)


# --- text ---------------------------------------------------------------------------------------------------------


def _lines(
    line: bytes, stream: IO[bytes], reader: _Reader, size: int, first_number: int
) -> Iterator[tuple[int, bytes]]:
    r"""Numbered lines: the given one, whose end may be missing, and those after it. Only ``\n`` ends a line."""
    longest = _LONGEST_WORD + size * _LONGEST_VALUE  # no more is read at once, however small it is packed
    if not line.endswith(b"\n"):
        line += stream.readline(longest)
    for number in count(first_number):
        if not line:
            return
        if len(line) >= longest and not line.endswith(b"\n"):
            reader.fault(f"expected a word and {size} values, found a line of more than {longest} bytes", number)
        yield number, line
        line = stream.readline(longest)


def _entries(lines: Iterator[tuple[int, bytes]], reader: _Reader, size: int) -> Iterator[tuple[int, bytes]]:
    """The line number and the values of each vector to keep; its word is added to the reader."""
    for number, raw in lines:
        if reader.read >= reader.limit:
            return
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
            yield number, values


def _split_carefully(raw: bytes, reader: _Reader, size: int, number: int) -> tuple[bytes, bytes]:
    """Word and values of a line with another separator or with spaces in the word; or an error."""
    line = raw.rstrip(b" \t\r\n").replace(b"\t", b" ")
    fields = _fields(line)
    if len(fields) == size and line.startswith(b" "):
        reader.fault(f"the word before the {size} values is missing", number)
    if len(fields) - 1 < size or (len(fields) - 1 > size and _all_numbers(fields[1:])):
        reader.fault(f"expected {size} values, found {len(fields) - 1}", number)
    begin = [match.start() for match in _ENTRY.finditer(line)][-size]
    return line[:begin].strip(b" "), b" ".join(fields[-size:])  # the word's own spaces are kept


def _numbers(block: list[tuple[int, bytes]], reader: _Reader, size: int) -> npt.NDArray[np.float32]:
    """The values of several lines, float32 [len(block) · size]."""
    text = b" ".join([values for _, values in block])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # before NumPy 2.3 text that is not a number only warns
            array = np.fromstring(text, dtype="<f4", sep=" ")
    except (ValueError, DeprecationWarning, RuntimeWarning):
        array = np.empty(0, dtype="<f4")
    # "1-2" reads as two numbers and two spaces as one: neither may make up for the other
    if array.size == len(block) * size and b"  " not in text and bool(np.isfinite(array).all()):
        return array
    return np.concatenate([_row(values, reader, size, number) for number, values in block])


def _row(line: bytes, reader: _Reader, size: int, number: int) -> npt.NDArray[np.float32]:
    """The values of one line, float32 [size], read one by one to say what is wrong."""
    fields = line.split()
    if len(fields) != size:
        reader.fault(f"expected {size} values, found {len(fields)}", number)
    values = [_number(entry) for entry in fields]
    for entry, value in zip(fields, values, strict=True):
        if value is None or not abs(value) <= float(np.finfo(np.float32).max):
            reader.fault(f"expected finite numbers, found {entry.decode('utf-8', 'replace')!r}", number)
    return np.array(values, dtype="<f4")


def _number(entry: bytes) -> float | None:
    try:
        return None if b"_" in entry else float(entry)  # only Python reads 1_0 as a number
    except ValueError:
        return None


def _fields(line: bytes) -> list[bytes]:
    """What is between spaces and tabs; other white space may be part of a word."""
    return [entry for entry in line.strip(b"\r\n").replace(b"\t", b" ").split(b" ") if entry]


def _all_numbers(fields: list[bytes]) -> bool:
    return all(_number(entry) is not None for entry in fields)


# --- binary -------------------------------------------------------------------------------------------------------


def _is_binary(sample: bytes, size: int) -> bool:
    """Whether the first word is followed by float32 values, not by numbers as text."""
    line = sample.removesuffix(b"\n")
    fields = _fields(line)
    # a newline may be a byte of a value, so a whole line of text must have all its values
    if len(fields) < 2 or (line != sample and len(fields) <= size) or not _all_numbers(fields[-1:]):
        return True
    return any(byte < 32 for entry in fields[1:] for byte in entry)


def _read_binary(stream: IO[bytes], start: bytes, reader: _Reader, count: int, size: int) -> Vectors:
    buffer = bytearray(start)  # read chunk by chunk: a damaged header may promise any size
    position = 0
    while reader.read < min(count, reader.limit):
        space = buffer.find(b" ", position)
        end = space + 1 + 4 * size
        if space < 0 or len(buffer) < end:
            if space < 0 and len(buffer) - position > _LONGEST_WORD:
                reader.fault("expected words and float32 values, found no space after a word")
            more = stream.read(_CHUNK)
            if not more:
                break
            del buffer[:position]
            buffer += more
            position = 0
            continue
        word = buffer[position:space].lstrip(b"\n").decode("utf-8", "replace")
        reader.read += 1
        if word not in reader.kept:
            values = buffer[space + 1 : end]
            if not np.isfinite(np.frombuffer(values, dtype="<f4")).all():
                reader.fault(f"the vector of {word!r} has values that are not finite")
            reader.kept[word] = None
            reader.values += values
        position = end
    return reader.vectors(size, count)


def write_vectors(vectors: Vectors, path: str | Path) -> None:
    """Write pretrained vectors to a file that `read_vectors` and the setting ``embedding.vectors`` can read.

    The format is word2vec's binary one, which keeps every float32 value as it is: reading gives equal vectors.

    Args:
        vectors: the vectors.
        path: the file; an existing one is replaced.

    Raises:
        DataError: the file cannot be written; a word is empty, contains a space or begins with a line break, so that it
            could not be read back, or cannot be encoded in UTF-8; a value is not finite.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_vectors(Vectors(["the", "cat"], np.eye(2, dtype=np.float32)), f"{folder}/two.bin")
        ...     read_vectors(f"{folder}/two.bin").words
        ['the', 'cat']
    """
    for word, row in zip(vectors.words, vectors.matrix, strict=True):
        if not word or " " in word or word.startswith("\n"):
            message = f"words must not be empty, contain a space or begin with a line break, found {word!r}"
            raise DataError(message, file=path)
        if not np.isfinite(row).all():
            raise DataError(f"the vector of {word!r} has values that are not finite", file=path)
    try:
        # word2vec writes a line break after each vector; here it is before each word: no text begins like that.
        spelled = [b"\n" + word.encode("utf-8") + b" " for word in vectors.words]
        with file_errors("cannot be written", path), open(path, "wb") as stream:
            stream.write(f"{len(vectors)} {vectors.size}\n".encode("ascii"))
            for start, row in zip(spelled, np.ascontiguousarray(vectors.matrix, dtype="<f4"), strict=True):
                stream.write(start + row.tobytes())
    except UnicodeEncodeError as error:
        raise DataError(f"the word {error.object!r} cannot be encoded in UTF-8", file=path) from None
