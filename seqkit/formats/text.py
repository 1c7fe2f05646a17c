"""Bytes → lines of text: UTF-8 with or without a byte-order mark, any line ending, faults named by file and line."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from seqkit.errors import DataError

__all__ = ["BYTE_ORDER_MARK", "Lines", "is_blank", "read_lines"]

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_FOREIGN = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16", b"\x1f\x8b": "a gzip file (unpack it first)"}
"""first bytes → what begins with them and is often taken for text; none of them is UTF-8"""
_PART_BYTES = 1 << 18
"""how much is read and decoded at once"""


class Lines:
    r"""The numbered lines of a binary stream, one at a time or, several times as fast, in blocks.

    Only ``\n``, ``\r\n`` and ``\r`` end a line: other Unicode line separators are ordinary characters of a token.

    Args:
        stream: parts of the stream, each but the last with a line ending at its end, as iterating over a binary file
            gives them.
        name: what error messages call the stream.
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
        """Runs of lines, as many as came together.

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
                lines = _cut(raw.decode("utf-8"))
            except UnicodeDecodeError:
                yield from self._until_fault(raw, number)
            if lines:  # a file of nothing but the mark has no line
                yield number, lines
                number += len(lines)

    def _until_fault(self, raw: bytes, number: int) -> Iterator[tuple[int, list[str]]]:
        """Lines before the one that cannot be decoded, then the fault."""
        lines = raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        for place, line in enumerate(lines, number):
            try:
                yield place, [line.decode("utf-8")]
            except UnicodeDecodeError as error:
                found = f"byte 0x{line[error.start]:02x} at position {error.start}"
                raise DataError(f"expected UTF-8 text, found {found}", file=self._name, line=place) from None


def _cut(text: str) -> list[str]:
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    lines = text.split("\n")
    if not lines[-1]:  # what follows the last line ending
        lines.pop()
    return lines


def read_lines(path: str | Path) -> Lines:
    """The lines of a file, or of standard input for ``-``, decoded as they are asked for; see `Lines`.

    Args:
        path: the file, or ``-``.

    Returns:
        The lines; asking for them raises `DataError` where the file cannot be read or is not UTF-8.
    """
    if str(path) == "-":
        return Lines(_parts(sys.stdin.buffer), "<stdin>")
    return Lines(_file_parts(path), str(path))


def _file_parts(path: str | Path) -> Iterator[bytes]:
    try:
        with open(path, "rb") as stream:
            yield from _parts(stream)
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror or error}", file=path) from None


def _parts(stream: BinaryIO) -> Iterator[bytes]:
    """Whole lines, as many as there are to be had without waiting for more."""
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
    """Whether a line has nothing but ASCII spaces and tabs; other white space may well be a token.

    Args:
        line: the line, without its ending.

    Returns:
        Whether it is blank.
    """
    return not line.strip(" \t")
