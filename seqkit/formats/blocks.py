"""Inputs of any size → blocks of bytes that start and end between two sentences.

A block can be read by another process than the one that cut it, and before or after any other block: it has the number
of its first line, and what the first row of its file says about all rows. A file is cut at the same places whichever
process cuts it.
"""

from __future__ import annotations

import os
import select
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any

from seqkit.errors import DataError
from seqkit.formats.format import Description, Format
from seqkit.formats.manifest import beside
from seqkit.formats.registry import FORMATS
from seqkit.formats.text import Lines, Part, in_utf_8, opened

BLOCK_BYTES = 1 << 19
"""how much is predicted together: 50,000 to 100,000 tokens of most files"""
_PATIENCE = 0.05
"""seconds after its first bytes in which a pipe may continue to fill a block"""


Block = Sequence[Part]


def cut(inputs: Iterable[tuple[str, Description]], size: int = BLOCK_BYTES) -> Iterator[Block]:
    """Cut inputs into blocks; small inputs share one.

    A block of a pipe ends early if nothing more comes for the moment, so that a slow writer sees answers. (Windows
    cannot tell whether a pipe has more, only whether a terminal has: there blocks of pipes are always full.)

    Args:
        inputs: names of files, or ``-`` for standard input, and how they are to be read; the formats are named.
        size: bytes per block, more only if one sentence is longer.

    Yields:
        The blocks, in order.

    Raises:
        DataError: an input cannot be read; blocks with everything before the fault come first.
    """
    block: list[Part] = []
    total = 0
    parts = (found for file, description in inputs for found in _parts(file, description, size))
    try:
        for part, waited_for in parts:
            if block and total + len(part.data) > size:
                yield block
                block, total = [], 0
            block.append(part)
            total += len(part.data)
            if waited_for or total >= size // 2:
                yield block
                block, total = [], 0
    except DataError:
        if block:
            yield block
        raise
    if block:
        yield block


def _parts(file: str, description: Description, size: int) -> Iterator[tuple[Part, bool]]:
    """The parts of one input, and of each whether it ended early because nothing more came."""
    name, line, head, form = "<stdin>" if file == "-" else file, 1, None, FORMATS[description.format]
    known = description.columns, description.token_column, description.comment_rows, description.text, description.below
    second = description.second
    if form.opens:
        if file == "-":
            raise DataError(f"{form.content} cannot come from standard input; name the file", file=name)
        yield Part(name, form.name, 1, None, b"", *known, second), False
        return
    if form.frames is not None and beside(file) is not None:  # whose rows are counted from the first record on
        size = max(size, os.path.getsize(file))
    with opened(file, buffering=0) as raw:
        stream = in_utf_8(raw, name, "" if form.binary else description.encoding)
        for data, waited_for in _pieces(stream, form, name, size):
            yield Part(name, form.name, line, head, data, *known, second), waited_for
            if line == 1:
                head = _first_row(data, form, name)[0]
            line += data.count(b"\n") + data.count(b"\r") - data.count(b"\r\n")


def _pieces(stream: Any, format: Format, name: str, size: int) -> Iterator[tuple[bytes, bool]]:
    """A stream's bytes, cut after sentences; the first row is in the first piece."""
    pending = _is_pending(stream)
    buffer = bytearray()
    first, more = True, True
    fault: Exception | None = None
    while more:
        wanted, end = size, 0
        while more and end == 0:
            try:
                more = _fill(buffer, stream, wanted, pending)
            except Exception as error:  # also of damaged compressed data; the records before it come first
                more, fault = False, error
                del buffer[format.last_end(buffer, first) :]
            end = format.last_end(buffer, first) if more else len(buffer)
            if first and more and not _first_row(bytes(buffer[:end]), format, name)[1]:
                end = 0
            waited_for = more and len(buffer) < wanted
            wanted = max(wanted, 2 * len(buffer))  # so that a long sentence is not searched again and again
        if end:
            yield bytes(buffer[:end]), waited_for
        del buffer[:end]
        first = False
    if fault is not None:
        raise fault


def _fill(buffer: bytearray, stream: Any, wanted: int, pending: Callable[[float], bool] | None) -> bool:
    """Read until there are as many bytes as wanted or nothing more comes for now; False at the stream's end."""
    until = None
    while len(buffer) < wanted:
        if until is not None and pending is not None and not pending(until - time.monotonic()):
            return True
        data = stream.read(wanted - len(buffer))
        if data is None:  # a non-blocking pipe that has nothing
            time.sleep(0.01)
            continue
        if not data:
            return False
        buffer += data
        until = until or time.monotonic() + _PATIENCE
    return True


def _is_pending(stream: Any) -> Callable[[float], bool] | None:
    """How to ask a stream whether more comes within some seconds; None for a file, which does not grow."""
    try:
        if stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            return None
    except (AttributeError, OSError, ValueError):  # not a file of the system
        return None

    def pending(seconds: float) -> bool:
        try:
            return bool(select.select([stream], [], [], max(0.0, seconds))[0])
        except (OSError, ValueError):  # Windows: neither pipe nor terminal can be asked; a terminal gives lines
            return not stream.isatty()

    return pending


def _first_row(data: bytes, format: Format, name: str) -> tuple[Sequence[Any] | None, bool]:
    """What the first row says about all rows, and whether that is known; a fault is left to the reader."""
    with suppress(DataError):
        if format.head is not None:
            return format.head(Lines([data], name), name)
    return None, True
