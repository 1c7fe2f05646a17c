"""Lines of text that are read while they are still being written, as a pipe or a terminal gives them."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from seqkit.errors import DataError
from seqkit.formats.text import BYTE_ORDER_MARK, OTHER_ENCODING, PART_BYTES, foreign, in_utf_8, opened

_LINE_END = re.compile("\r\n|\r|\n")
_BORDERS = (b" ", b"\t", b"\r", b"\n")
_ENOUGH = 8
"""bytes from which UTF-16 is told"""
_PAUSE = 0.01
"""seconds until a pipe that does not wait is asked again"""


class Piece(NamedTuple):
    """A part of a line, which ends after a space or tab, or with the line.

    Attributes:
        line: the line's number, from 1.
        text: the part, without the line ending.
        ended: whether the line ends with it.
    """

    line: int
    text: str
    ended: bool


def read_pieces(path: str | Path, encoding: str = "") -> Iterator[Piece]:
    r"""The text of a file, or of standard input for ``-``, as it comes: no word waits for more than its end.

    As in `seqkit.formats.text.Lines`, only ``\n``, ``\r\n`` and ``\r`` end a line.

    Args:
        path: the file, or ``-``.
        encoding: the text's encoding; by default UTF-8.

    Yields:
        The parts of all lines, in order; the last one ends a line.

    Raises:
        DataError: the file cannot be read or is in another encoding; what comes before the fault is given first.
    """
    name = "<stdin>" if str(path) == "-" else str(path)
    cutter = _Cutter(name)
    with opened(path, buffering=0) as raw:
        word: list[bytes] = []  # the start of one whose end has not come
        for data in _parts(in_utf_8(raw, name, encoding)):
            cut = max(map(data.rfind, _BORDERS)) + 1
            if cut:
                found = b"".join([*word, data[:cut]])
                known = cutter.knows(found)
                yield from cutter.pieces(found if known else b"")
                word = [] if known else [found]
            word.append(data[cut:])
        yield from cutter.pieces(b"".join(word))
    if cutter.place:
        yield Piece(cutter.line, "", ended=True)


def whole_lines(pieces: Iterator[Piece]) -> Iterator[Piece]:
    """The same, each line in one piece.

    Args:
        pieces: the parts of lines.

    Yields:
        The lines.
    """
    parts: list[str] = []
    for piece in pieces:
        parts.append(piece.text)
        if piece.ended:
            yield piece._replace(text="".join(parts))
            parts = []


def _parts(stream: Any) -> Iterator[bytes]:
    """What is there, as soon as it is."""
    while True:
        data: bytes | None = stream.read(PART_BYTES)
        if data is None:  # a non-blocking pipe that has nothing
            time.sleep(_PAUSE)
        elif data:
            yield data
        else:
            return


class _Cutter:
    """Cuts bytes, which end between two words, into parts of lines.

    Args:
        name: what messages call the file.

    Attributes:
        line: the number of the line that has not ended.
        place: how many of its bytes have come.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._started = self._returned = False  # whether anything has come, and the last was \r
        self.line, self.place = 1, 0

    def knows(self, data: bytes) -> bool:
        """Whether it is clear that a file is text in UTF-8: with zeros that takes some more characters."""
        return self._started or b"\0" not in data or len(data) >= _ENOUGH

    def pieces(self, raw: bytes) -> Iterator[Piece]:
        """The parts of lines in some bytes.

        Args:
            raw: the bytes.

        Yields:
            The parts.

        Raises:
            DataError: the bytes are not UTF-8; the words before the fault come first.
        """
        if raw and not self._started:
            self._started = True
            if other := "" if raw.startswith(BYTE_ORDER_MARK) else foreign(raw):
                raise DataError(f"expected UTF-8 text, found {other}", file=self._name, line=1)
            raw = raw.removeprefix(BYTE_ORDER_MARK)
        try:
            yield from self._cut(raw.decode("utf-8"))
        except UnicodeDecodeError as error:
            begin = max(raw.rfind(border, 0, error.start) for border in _BORDERS) + 1
            yield from self._cut(raw[:begin].decode("utf-8"))
            found = f"byte 0x{raw[error.start]:02x} at position {self.place + error.start - begin}{OTHER_ENCODING}"
            raise DataError(f"expected UTF-8 text, found {found}", file=self._name, line=self.line) from None

    def _cut(self, text: str) -> Iterator[Piece]:
        if self._returned and text.startswith("\n"):
            text = text[1:]
            self._returned = False
        self._returned = text.endswith("\r") if text else self._returned
        *ended, last = _LINE_END.split(text)
        for part in ended:
            yield Piece(self.line, part, ended=True)
            self.line, self.place = self.line + 1, 0
        if last:
            yield Piece(self.line, last, ended=False)
            self.place += len(last.encode())
