"""Opening files whose names come from elsewhere."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

__all__ = ["open_regular"]


def open_regular(path: Path) -> BinaryIO:
    """Open a file for reading, if it is a regular one: for a writer to a pipe one would wait, and a device has no end.

    Args:
        path: the file.

    Returns:
        The stream.

    Raises:
        OSError: it cannot be opened, or is of another kind.
    """
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except ValueError as error:  # a NUL in its name
        raise OSError(errno.EINVAL, str(error)) from None
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "expected a regular file, found another kind")
    return open(handle, "rb")
