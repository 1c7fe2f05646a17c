"""Bytes → lines of text: compressed or not, UTF-8 or another encoding, any line ending, faults with file and line."""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import re
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from seqkit.errors import DataError, file_errors

Line = tuple[int, str]
"""A line's number, counted from 1, and its text without the line ending."""

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_UTF_16 = "UTF-16; --encoding utf-16 reads it"
_FOREIGN = {
    b"\xff\xfe": _UTF_16,
    b"\xfe\xff": _UTF_16,
    b"PK\x03\x04": "a zip file or a document of an office program; unpack it, or save it as text or CSV, first",
    b"\xd0\xcf\x11\xe0": "a document of an office program; save it as text or CSV first",
    b"PAR1": "a Parquet file; from Python, seqkit.train takes the table that pandas reads from it",
    b"%PDF-": "a PDF file; extract its text first",
    **dict.fromkeys((b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd"), "compressed data; unpack it first"),
}
"""first bytes → the files that start with them and are often mistaken for text"""


def _recording(kind: str, suffix: str) -> str:
    return f"a recording ({kind}); give it as a file whose name ends in {suffix}, or its raw samples with --stream"


_FOREIGN_START = {
    re.compile(rb"(RIFF|RF64|RIFX).{4}WAVE", re.DOTALL): _recording("WAV", ".wav"),
    re.compile(rb"FORM.{4}AIF[FC]", re.DOTALL): _recording("AIFF", ".aiff"),
    re.compile(rb"fLaC\0"): _recording("FLAC", ".flac"),
    re.compile(rb"OggS\0"): _recording("Ogg", ".ogg"),
    re.compile(rb"\.snd\0"): _recording("AU", ".au"),
    re.compile(rb"ID3[\x02-\x04]|\xff[\xfb\xf3\xf2\xfa]"): _recording("MP3", ".mp3"),
    re.compile(rb"\x93NUMPY"): "an array of numbers; give it as a file whose name ends in .npy",
    re.compile(rb"PK\x03\x04.{26}[^\0]{1,200}?\.npy", re.DOTALL): "arrays; give them as a file whose name ends in .npz",
    re.compile(rb"MThd\0"): "a piece of music (MIDI); give it as a file whose name ends in .mid",
    re.compile(rb"(?:[^\0]\0){2}"): "UTF-16 without a byte-order mark; --encoding utf-16-le reads it",
    re.compile(rb"(?:\0[^\0]){2}"): "UTF-16 without a byte-order mark; --encoding utf-16-be reads it",
}
"""the same; of UTF-16 the first two characters of a text whose letters are Latin"""
COMPRESSED_SUFFIXES = (".gz", ".bz2", ".xz", ".zst")
PART_BYTES = 1 << 18
"""how much is read and decoded at once"""
_PACKED_BYTES = 1 << 10
"""how much is unpacked at once: of Zstandard data up to 30,000 times as much"""
_END = rb"(?:\r?\n|\r(?=[^\n]))"  # of a line; after a \r that is the last byte a \n may follow
_LINE_END = re.compile(_END)
_BLANK_LINE = re.compile(_END + rb"[ \t]*" + _END)
_WINDOW = 4096
_NO_ENCODINGS_OF_FILES = frozenset({"idna", "punycode", "unicode-escape", "raw-unicode-escape"})
OTHER_ENCODING = " (try --encoding latin-1)"


class Lines:
    r"""The numbered lines of a binary stream, one at a time or, several times as fast, in blocks.

    Only ``\n``, ``\r\n`` and ``\r`` end a line: other Unicode line separators are ordinary characters of a token.

    Args:
        stream: parts of the stream, each but the last with a line ending at its end, like those of a binary file.
        name: what messages call the stream.
        first: the number of the stream's first line; only line 1 of a file may begin with a byte-order mark.
    """

    def __init__(self, stream: Iterable[bytes], name: str, first: int = 1) -> None:
        self._stream = stream
        self._name = name
        self._first = first

    def __iter__(self) -> Iterator[tuple[int, str]]:
        """Each line's number and its text without the line ending.

        Yields:
            Number and text.

        Raises:
            DataError: a line is not UTF-8.
        """
        for first, lines in self.blocks():
            yield from enumerate(lines, first)

    def whole(self) -> bytes:
        """All bytes, for a format that has no lines."""
        return b"".join(self._stream)

    def blocks(self) -> Iterator[tuple[int, list[str]]]:
        """Consecutive lines, as many as came together.

        Yields:
            The number of the first line, and the lines without their endings, at least one.

        Raises:
            DataError: a line is not UTF-8.
        """
        number = self._first
        for part in self._stream:
            raw = part
            if number == 1 and raw.startswith(BYTE_ORDER_MARK):
                raw = raw[len(BYTE_ORDER_MARK) :]
            elif number == 1 and (other := foreign(raw)):
                raise DataError(f"expected UTF-8 text, found {other}", file=self._name, line=1)
            try:
                lines, fault = _cut(raw.decode("utf-8")), None
            except UnicodeDecodeError as error:  # the lines before it come first
                begin = max(raw.rfind(b"\n", 0, error.start), raw.rfind(b"\r", 0, error.start)) + 1
                lines = _cut(raw[:begin].decode("utf-8"))
                found = f"byte 0x{raw[error.start]:02x} at position {error.start - begin}{OTHER_ENCODING}"
                fault = DataError(f"expected UTF-8 text, found {found}", file=self._name, line=number + len(lines))
            if lines:  # a file of nothing but the mark has no line
                yield number, lines
                number += len(lines)
            if fault is not None:
                raise fault


def _cut(text: str) -> list[str]:
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    lines = text.split("\n")
    if not lines[-1]:  # what follows the last line ending
        lines.pop()
    return lines


def foreign(raw: bytes) -> str:
    """What a file is that starts like no text in UTF-8.

    Args:
        raw: its first bytes.

    Returns:
        What it is and what to do; empty for any other.
    """
    found = next((what for start, what in _FOREIGN_START.items() if start.match(raw)), "")
    return found or next((what for start, what in _FOREIGN.items() if raw.startswith(start)), "")


@dataclass(frozen=True, slots=True)
class Part:
    """Some records of one input.

    Attributes:
        name: the input's name, for messages.
        format: its format.
        first: the number of the first line.
        head: what the first row of the input says about all rows, see `Format.head`; None for its first
            part.
        data: the lines as they are in the input, in UTF-8.
        columns: the names of its columns, where they are known.
        token_column: the column of its tokens, where it is known.
        comment_rows: whether rows whose first cell is ``#`` are comments.
        text: the field of its texts, where it is said.
        below: the folder in which the input was found, which the names of its records do without.
        second: the field of the second text of each record, where texts come in pairs and it is said.
    """

    name: str
    format: str
    first: int
    head: Sequence[Any] | None
    data: bytes
    columns: Sequence[str] = ()
    token_column: str = ""
    comment_rows: bool = False
    text: str = ""
    below: str = ""
    second: str = ""

    def lines(self) -> Lines:
        """The numbered lines, decoded when they are read."""
        return Lines([self.data], self.name, self.first)


def read_lines(path: str | Path, encoding: str = "") -> Lines:
    """The lines of a file, or of standard input for ``-``, decoded when they are read; see `Lines`.

    Args:
        path: the file, compressed or not, or ``-``.
        encoding: the text's encoding; by default UTF-8.

    Returns:
        The lines; reading them raises `DataError` if the file cannot be read or is in another encoding.
    """
    name = "<stdin>" if str(path) == "-" else str(path)
    return Lines(_file_parts(path, name, encoding), name)


def _file_parts(path: str | Path, name: str, encoding: str) -> Iterator[bytes]:
    with opened(path) as stream:
        yield from _parts(in_utf_8(stream, name, encoding))


@contextmanager
def opened(path: str | Path, buffering: int = -1) -> Iterator[BinaryIO]:
    """Open a file for reading its bytes, unpacked if it is compressed (gzip, bzip2, xz, Zstandard).

    Args:
        path: the file, or ``-`` for standard input. What can be read only once, such as a pipe, is not unpacked.
        buffering: as for `open`, of what is not compressed.

    Yields:
        A binary stream.

    Raises:
        DataError: the file cannot be read, or its compressed data are damaged.
    """
    if str(path) == "-":
        # Unbuffered for a thread: one that waits in a buffered read would prevent the process from ending.
        with file_errors("cannot be read", "<stdin>"):
            yield getattr(sys.stdin.buffer, "raw", sys.stdin.buffer) if buffering == 0 else sys.stdin.buffer
        return
    with file_errors("cannot be read", path):
        unpack = _unpacker(path)
        try:
            with open(path, "rb", buffering) if unpack is None else unpack(path) as stream:
                yield stream
        except (*_DAMAGED, *_zstandard_errors()) as error:
            raise DataError(f"the compressed data are damaged: {error}", file=path) from None


_DAMAGED: tuple[type[Exception], ...] = (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile)


def _zstandard_errors() -> tuple[type[Exception], ...]:
    library = sys.modules.get("zstandard")
    return () if library is None else (library.ZstdError,)


def _unpacker(path: str | Path) -> Callable[[str | Path], Any] | None:
    """What opens a compressed file, by its first bytes; None for a file that is not compressed."""
    if not Path(path).is_file():
        return None
    with open(path, "rb") as stream:
        start = stream.read(6)
    known = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open, b"\x28\xb5\x2f\xfd": _open_zstandard}
    return next((cast("Any", unpack) for first, unpack in known.items() if start.startswith(first)), None)


def _open_zstandard(path: str | Path) -> Any:
    try:
        import zstandard
    except ModuleNotFoundError:
        message = "Zstandard data need the package zstandard: pip install 'seqkit-nlp[zstd]'"
        raise DataError(message, file=path) from None
    return io.BufferedReader(_Zstandard(path, zstandard.ZstdDecompressor()))


class _Zstandard(io.RawIOBase):
    """The content of Zstandard frames, which the library's own reader does not check for their end."""

    def __init__(self, path: str | Path, library: Any) -> None:
        self._file, self._library = open(path, "rb"), library  # noqa: SIM115
        self._frame: Any = None
        self._packed = self._found = b""

    def readable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._file.fileno()

    def close(self) -> None:
        self._file.close()
        super().close()

    def readinto(self, buffer: Any) -> int:
        while not self._found:
            self._packed = self._packed or self._file.read(_PACKED_BYTES)
            if not self._packed:
                if self._frame is not None:
                    raise EOFError("the file ends before the end of a frame")
                return 0
            self._frame = self._frame or self._library.decompressobj()
            self._found = self._frame.decompress(self._packed)
            self._packed = b""
            if self._frame.eof:
                self._packed, self._frame = self._frame.unused_data, None
        size = min(len(buffer), len(self._found))
        buffer[:size] = self._found[:size]
        self._found = self._found[size:]
        return size


def data_suffix(path: str | Path) -> str:
    """The extension of a file's name that tells its format, in lower case: of ``train.conll.gz`` ``.conll``."""
    place = Path(path)
    return (Path(place.stem) if place.suffix.lower() in COMPRESSED_SUFFIXES else place).suffix.lower()


class _Utf8Stream:
    """A stream of text in another encoding, read as UTF-8 without a byte-order mark."""

    def __init__(self, stream: BinaryIO, name: str, encoding: str) -> None:
        self._stream, self._name, self._encoding = stream, name, encoding
        self._decoder = codecs.getincrementaldecoder(known_encoding(encoding))()
        self._started = False
        self._line = 1
        self._fault = self._last = ""
        self.fileno = stream.fileno

    def read(self, size: int) -> bytes | None:
        """As much as is there; None if there is nothing for the moment, nothing at the end."""
        while not self._fault:
            raw: bytes | None = self._stream.read(size)
            if raw is None:
                return None
            before = self._decoder.getstate()
            try:
                text = self._decoder.decode(raw, final=not raw)
            except UnicodeError as error:
                self._fault = getattr(error, "reason", "") or str(error)
                self._decoder.setstate(before)
                text = self._until_fault(raw)
            ends = text.count("\n") + text.count("\r") - text.count("\r\n")
            self._line += ends - (self._last == "\r" and text.startswith("\n"))
            self._last = text[-1:] or self._last
            if text and not self._started:
                text, self._started = text.removeprefix("\ufeff"), True
            if text or not (raw or self._fault):
                return text.encode("utf-8", "replace")
        message = f"the text is not in the encoding {self._encoding} ({self._fault}); --encoding names another"
        raise DataError(message, file=self._name, line=self._line)

    def _until_fault(self, raw: bytes) -> str:
        """What can be decoded: the lines before a fault come first."""
        found: list[str] = []
        with suppress(UnicodeError):
            found.extend(self._decoder.decode(raw[place : place + 1]) for place in range(len(raw)))
        return "".join(found)

    read1 = read


def in_utf_8(stream: BinaryIO, name: str, encoding: str) -> BinaryIO:
    """A binary stream of text as one of UTF-8.

    Args:
        stream: the stream.
        name: what messages call it.
        encoding: the encoding's name; empty for UTF-8, whose bytes are passed on as they are.

    Returns:
        The stream, which can be read from. What comes before a fault of the encoding is read first.

    Raises:
        DataError: there is no such encoding.
    """
    known = known_encoding(encoding) if encoding else "utf-8"
    return stream if known in ("utf-8", "utf-8-sig") else cast("BinaryIO", _Utf8Stream(stream, name, known))


def known_encoding(encoding: str) -> str:
    """The name of a text encoding, as Python knows it.

    Args:
        encoding: what the user called it.

    Returns:
        Its name.

    Raises:
        DataError: there is no such encoding of text.
    """
    try:
        found = codecs.lookup(encoding).name
        "".encode(encoding)  # refuses those that are not of text, such as zlib
    except (LookupError, ValueError):
        found = ""
    if not found or found in _NO_ENCODINGS_OF_FILES:
        raise DataError(f"unknown encoding {encoding!r}; utf-8, utf-16, latin-1 and cp1252 are usual ones")
    return found


def _parts(stream: BinaryIO) -> Iterator[bytes]:
    """Complete lines, as many as are available without waiting for more."""
    pieces: list[bytes] = []
    while piece := stream.read1(PART_BYTES):  # type: ignore[attr-defined]  # every buffered stream has it
        cut = piece.rfind(b"\n") + 1
        if not cut:
            pieces.append(piece)
            continue
        yield b"".join([*pieces, piece[:cut]])
        pieces = [piece[cut:]]
    rest = b"".join(pieces)
    if rest:
        yield rest


def is_blank(line: str) -> bool:
    """Whether a line has only ASCII spaces and tabs; other white space may be a token.

    Args:
        line: the line, without its ending.

    Returns:
        Whether it is blank.
    """
    return not line.strip(" \t")


def last_line_end(data: bytearray, first: bool) -> int:
    """Where the last line ends that is certainly complete.

    Args:
        data: some bytes of a file.
        first: whether they start the file, which makes no difference.

    Returns:
        The position after its end; 0 if there is no such line.
    """
    return _last_match_end(_LINE_END, data)


def last_blank_line_end(data: bytearray, first: bool) -> int:
    """Where the last blank line ends; see `last_line_end`."""
    return _last_match_end(_BLANK_LINE, data)


def _last_match_end(pattern: re.Pattern[bytes], data: bytearray) -> int:
    window = _WINDOW
    while True:
        begin = max(0, len(data) - window)
        ends = [match.end() for match in pattern.finditer(data, begin)]
        if ends or begin == 0:
            return ends[-1] if ends else 0
        window *= 8
