"""Bytes → lines of text: UTF-8 with or without a byte-order mark, any line ending, faults with file and line."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from seqkit.errors import DataError, file_errors

Line = tuple[int, str]
"""A line's number, counted from 1, and its text without the line ending."""

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_FOREIGN = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16", b"\x1f\x8b": "a gzip file (unpack it first)"}
"""first bytes → the files that start with them and are often mistaken for text; none of them is UTF-8"""
_PART_BYTES = 1 << 18
"""how much is read and decoded at once"""
_END = rb"(?:\r?\n|\r(?=[^\n]))"  # of a line; after a \r that is the last byte a \n may follow
_LINE_END = re.compile(_END)
_BLANK_LINE = re.compile(_END + rb"[ \t]*" + _END)
_WINDOW = 4096


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
            elif number == 1 and raw[:2] in _FOREIGN:
                raise DataError(f"expected UTF-8 text, found {_FOREIGN[raw[:2]]}", file=self._name, line=1)
            try:
                lines, fault = _cut(raw.decode("utf-8")), None
            except UnicodeDecodeError as error:  # the lines before it come first
                begin = max(raw.rfind(b"\n", 0, error.start), raw.rfind(b"\r", 0, error.start)) + 1
                lines = _cut(raw[:begin].decode("utf-8"))
                found = f"byte 0x{raw[error.start]:02x} at position {error.start - begin}"
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


@dataclass(frozen=True, slots=True)
class Part:
    """Some records of one input.

    Attributes:
        name: the input's name, for messages.
        format: its format.
        first: the number of the first line.
        head: what the first row of the input says about all rows, see `Format.head`; None for its first
            part.
        data: the lines as they are in the input.
    """

    name: str
    format: str
    first: int
    head: Sequence[Any] | None
    data: bytes

    def lines(self) -> Lines:
        """The numbered lines, decoded when they are read."""
        return Lines([self.data], self.name, self.first)


def read_lines(path: str | Path) -> Lines:
    """The lines of a file, or of standard input for ``-``, decoded when they are read; see `Lines`.

    Args:
        path: the file, or ``-``.

    Returns:
        The lines; reading them raises `DataError` if the file cannot be read or is not UTF-8.
    """
    name = "<stdin>" if str(path) == "-" else str(path)
    return Lines(_file_parts(path, name), name)


def _file_parts(path: str | Path, name: str) -> Iterator[bytes]:
    with (
        file_errors("cannot be read", name),
        nullcontext(sys.stdin.buffer) if str(path) == "-" else open(path, "rb") as stream,
    ):
        yield from _parts(stream)


def _parts(stream: BinaryIO) -> Iterator[bytes]:
    """Complete lines, as many as are available without waiting for more."""
    pieces: list[bytes] = []
    while piece := stream.read1(_PART_BYTES):  # type: ignore[attr-defined]  # every buffered stream has it
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
