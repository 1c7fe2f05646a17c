"""Files whose names come from elsewhere, and files that other processes may be busy with."""

from __future__ import annotations

import errno
import os
import re
import stat
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

__all__ = ["close_locked", "is_plain_name", "locked", "open_locked", "open_regular", "take_lock"]

# To Windows some names are devices, whatever comes after a full stop.
_PLAIN_NAME = re.compile(r"(?!(?i:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\.|$))[A-Za-z0-9_-][A-Za-z0-9_.-]{0,99}")
_PAUSE = 0.05
"""seconds between two tries for a lock"""


def is_plain_name(name: str) -> bool:
    """Whether a name is that of a file in the folder itself, on any system."""
    return _PLAIN_NAME.fullmatch(name) is not None


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


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock, waiting for it; it ends with its process, however that ends.

    Args:
        path: the file that stands for it, which is there only as long as it is held.

    Yields:
        Nothing.

    Raises:
        OSError: the file cannot be written.
    """
    handle = open_locked(path, lambda handle: time.sleep(_PAUSE))
    try:
        yield
    finally:
        close_locked(handle, path)


def open_locked(path: Path, busy: Callable[[int], object]) -> int:
    """Open and lock a file, which whoever holds it may remove in between; the lock ends with its process.

    Where the file system knows no locks, it is opened only.

    Args:
        path: the file.
        busy: called with the open file where another holds the lock; raises, or else it is tried again.

    Returns:
        A file descriptor, to be closed.

    Raises:
        OSError: the file cannot be written.
    """
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            if not take_lock(handle):
                busy(handle)
            else:
                with suppress(FileNotFoundError):
                    if os.path.samestat(os.fstat(handle), os.stat(path)):
                        return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)


def close_locked(handle: int, path: Path) -> None:
    """Let go of what `open_locked` gave, and remove the file.

    Args:
        handle: its descriptor.
        path: the file.
    """
    with suppress(OSError):  # the directory may be gone; Windows removes no open file
        if os.path.samestat(os.fstat(handle), os.stat(path)):  # and not another's in a directory made again
            path.unlink()  # before it is let go, or the next one's would be removed
    os.close(handle)


def take_lock(handle: int) -> bool:
    """Lock an open file, if nobody else has; where there are no locks, nobody has.

    Args:
        handle: its descriptor.

    Returns:
        Whether nobody else holds the lock.
    """
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:
        pass  # a file system without locks is no reason not to work
    return True
