"""Inputs of any size → blocks of bytes that begin and end between two sentences.

A block can be read by another process than the one that cut it, and before or after any other block: it knows the
number of its first line, and what the first row of its file said of all that follow. Files are cut in the same places
whoever cuts them.
"""

from __future__ import annotations

import os
import re
import select
import stat
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from seqkit.errors import DataError
from seqkit.formats.columns import width_of
from seqkit.formats.tables import read_rows
from seqkit.formats.text import BYTE_ORDER_MARK, Lines

__all__ = ["BLOCK_BYTES", "Block", "Part", "cut", "part_lines"]

BLOCK_BYTES = 1 << 19
"""how much is predicted together: 50,000 to 100,000 tokens of most files"""
_PATIENCE = 0.05
"""seconds after its first bytes in which a pipe may go on to fill a block"""

_END = rb"(?:\r?\n|\r(?=[^\n]))"  # of a line; of a \r that is the last byte one cannot tell
_LINE = re.compile(_END)
_BLANK_LINE = re.compile(_END + rb"[ \t]*" + _END)
_WINDOW = 4096


@dataclass(frozen=True, slots=True)
class Part:
    """Some sentences of one input.

    Attributes:
        name: the input's name, for messages.
        format: its format.
        first: the number of the first line.
        head: of all but an input's first part, what its first row said: the width of columns and whether tabs are
            between them (``conll``), the cells (``tsv``, ``csv``), or None.
        data: the lines as they stand in the input.
    """

    name: str
    format: str
    first: int
    head: Sequence[Any] | None
    data: bytes


Block = Sequence[Part]


def part_lines(part: Part) -> Lines:
    """The numbered lines of a part.

    Args:
        part: the part.

    Returns:
        The lines, decoded as they are asked for.
    """
    return Lines([part.data], part.name, part.first)


def cut(inputs: Iterable[tuple[str, str]], size: int = BLOCK_BYTES) -> Iterator[Block]:
    """Cut inputs into blocks; small ones are put together.

    A block of a pipe ends early where nothing more comes for the moment, so that whoever writes to it slowly sees
    answers. (Windows cannot tell of a pipe, only of a terminal: there blocks of pipes are always full.)

    Args:
        inputs: names of files, or ``-`` for standard input, and their formats.
        size: bytes a block, more only where one sentence is longer.

    Yields:
        The blocks, in order.

    Raises:
        DataError: an input cannot be read; what could be read of it is given before.
    """
    block: list[Part] = []
    total = 0
    fault: DataError | None = None
    parts = (found for file, format in inputs for found in _parts(file, format, size))
    while True:
        try:
            found = next(parts, None)
        except DataError as error:
            found, fault = None, error
        if found is None:
            break
        part, waited_for = found
        if block and total + len(part.data) > size:
            yield block
            block, total = [], 0
        block.append(part)
        total += len(part.data)
        if waited_for or total >= size // 2:
            yield block
            block, total = [], 0
    if block:
        yield block
    if fault is not None:
        raise fault


def _parts(file: str, format: str, size: int) -> Iterator[tuple[Part, bool]]:
    """The parts of one input, each with whether it ended early because nothing more came."""
    name, line, head = "<stdin>" if file == "-" else file, 1, None
    try:
        with _opened(file) as stream:
            for data, waited_for in _pieces(stream, format, name, size):
                yield Part(name, format, line, head, data), waited_for
                if line == 1:
                    head = _first_row(data, format, name)[0]
                line += data.count(b"\n") + data.count(b"\r") - data.count(b"\r\n")
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror or error}", file=name) from None


def _opened(file: str) -> AbstractContextManager[Any]:
    """A stream whose ``read`` gives what is there and waits only where there is nothing."""
    if file == "-":
        # Unbuffered: a thread that waits in a buffered read would keep the process from ending.
        return nullcontext(getattr(sys.stdin.buffer, "raw", sys.stdin.buffer))
    return open(file, "rb", buffering=0)


def _pieces(stream: Any, format: str, name: str, size: int) -> Iterator[tuple[bytes, bool]]:
    """A stream's bytes, cut after sentences; the first row with a cell is in the first piece."""
    pending = _is_pending(stream)
    buffer = bytearray()
    first, more = True, True
    while more:
        wanted, end = size, 0
        while more and end == 0:
            more = _fill(buffer, stream, wanted, pending)
            end = _last_end(buffer, format, first) if more else len(buffer)
            if first and more and not _first_row(bytes(buffer[:end]), format, name)[1]:
                end = 0
            waited_for = more and len(buffer) < wanted
            wanted = max(wanted, 2 * len(buffer))  # so that a long sentence is not looked through again and again
        if end:
            yield bytes(buffer[:end]), waited_for
        del buffer[:end]
        first = False


def _fill(buffer: bytearray, stream: Any, wanted: int, pending: Callable[[float], bool] | None) -> bool:
    """Read until there are so many bytes or nothing more comes for the moment; False at the stream's end."""
    until = None
    while len(buffer) < wanted:
        if until is not None and pending is not None and not pending(until - time.monotonic()):
            return True
        data = stream.read(wanted - len(buffer))
        if data is None:  # a pipe that was told not to wait, and has nothing
            time.sleep(0.01)
            continue
        if not data:
            return False
        buffer += data
        until = until or time.monotonic() + _PATIENCE
    return True


def _is_pending(stream: Any) -> Callable[[float], bool] | None:
    """How to ask a stream whether more comes within some seconds; None of a file, which has all it will have."""
    try:
        if stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            return None
    except (AttributeError, OSError, ValueError):  # no file of the system at all
        return None

    def pending(seconds: float) -> bool:
        try:
            return bool(select.select([stream], [], [], max(0.0, seconds))[0])
        except (OSError, ValueError):  # Windows: neither pipe nor terminal can be asked; a terminal gives lines
            return not stream.isatty()

    return pending


# --- where sentences end -----------------------------------------------------------------------------------------


def _last_end(data: bytearray, format: str, first: bool) -> int:
    """Where the last sentence that is certainly over ends; 0 where none is."""
    if format == "csv":
        return _last_row_end(bytes(data), first)
    pattern = _BLANK_LINE if format in ("conll", "conllu") else _LINE
    window = _WINDOW
    while True:
        begin = max(0, len(data) - window)
        ends = [match.end() for match in pattern.finditer(data, begin)]
        if ends or begin == 0:
            return ends[-1] if ends else 0
        window *= 8


def _last_row_end(data: bytes, first: bool) -> int:
    """The end of the last row: a line within quotes may end without ending one; of a faulty row its first lines."""
    position = len(BYTE_ORDER_MARK) if first and data.startswith(BYTE_ORDER_MARK) else 0
    end, all_read = 0, False

    def lines() -> Iterator[tuple[int, str]]:
        nonlocal position, all_read
        for number, raw in enumerate(data[position:].splitlines(keepends=True), start=1):
            following = position + len(raw)
            if raw.endswith(b"\n") or (raw.endswith(b"\r") and following < len(data)):
                position = following
                yield number, raw.rstrip(b"\r\n").decode("latin-1")  # quotes and commas are the same bytes as in UTF-8
        all_read = True

    try:
        for _ in read_rows(lines(), "", "csv"):
            end = position
    except DataError:
        return end if all_read else position  # at the end: a row that goes on
    return end


def _first_row(data: bytes, format: str, name: str) -> tuple[Sequence[Any] | None, bool]:
    """What the first row says of the others, and whether that is known; a fault is left to who reads it."""
    lines = Lines([data], name)
    try:
        if format == "conll":
            width = width_of(lines)
            return width, width is not None
        if format in ("tsv", "csv"):
            _, cells = next(read_rows(lines, name, format), (0, None))
            return cells, cells is not None
    except DataError:
        pass
    return None, True
