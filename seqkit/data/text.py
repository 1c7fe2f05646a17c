"""Bytes → lines of text: UTF-8 with or without a byte-order mark, any line ending, faults named by file and line."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from seqkit.errors import DataError

__all__ = ["decode_lines", "is_blank", "read_lines"]

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_FOREIGN = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16", b"\x1f\x8b": "a gzip file (unpack it first)"}
"""first bytes → what begins with them and is often taken for text; none of them is UTF-8"""


def decode_lines(stream: Iterable[bytes], name: str, first: int = 1) -> Iterator[tuple[int, str]]:
    r"""Decode a binary stream line by line.

    Only ``\n``, ``\r\n`` and ``\r`` end a line: other Unicode line separators are ordinary characters of a token.

    Args:
        stream: binary lines, as iterating over a binary file gives them.
        name: what error messages call the stream.
        first: the number of the stream's first line; only line 1 of a file may begin with a byte-order mark.

    Yields:
        The line's number and its text without the line ending.

    Raises:
        DataError: a line is not UTF-8.
    """
    number = first - 1
    for raw in stream:
        if number == 0 and raw.startswith(_BYTE_ORDER_MARK):
            raw = raw[len(_BYTE_ORDER_MARK) :]
            if not raw:  # a file of nothing but the mark has no line
                continue
        elif number == 0 and raw[:2] in _FOREIGN:
            raise DataError(f"expected UTF-8 text, found {_FOREIGN[raw[:2]]}", file=name, line=1)
        raw = raw[:-2] if raw.endswith(b"\r\n") else raw[:-1] if raw.endswith((b"\n", b"\r")) else raw
        for part in raw.split(b"\r") if b"\r" in raw else (raw,):
            number += 1
            try:
                yield number, part.decode("utf-8")
            except UnicodeDecodeError as error:
                found = f"byte 0x{part[error.start]:02x} at position {error.start}"
                raise DataError(f"expected UTF-8 text, found {found}", file=name, line=number) from None


def read_lines(path: str | Path) -> Iterator[tuple[int, str]]:
    """Decode a file, or standard input for ``-``, line by line; see `decode_lines`.

    Args:
        path: the file, or ``-``.

    Yields:
        The line's number, counted from 1, and its text without the line ending.

    Raises:
        DataError: the file cannot be read or is not UTF-8.
    """
    if str(path) == "-":
        yield from decode_lines(sys.stdin.buffer, "<stdin>")
        return
    try:
        with open(path, "rb") as stream:
            yield from decode_lines(stream, str(path))
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror or error}", file=path) from None


def is_blank(line: str) -> bool:
    """Whether a line has nothing but ASCII spaces and tabs; other white space may well be a token.

    Args:
        line: the line, without its ending.

    Returns:
        Whether it is blank.
    """
    return not line.strip(" \t")
