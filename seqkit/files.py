"""Files whose names come from outside, files that other processes may be using, and files that are written whole."""

from __future__ import annotations

import errno
import os
import re
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from seqkit.errors import ModelError

# On Windows some names are devices, with any extension.
_PLAIN_NAME = re.compile(r"(?!(?i:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\.|$))[A-Za-z0-9_-][A-Za-z0-9_.-]{0,99}")
_PAUSE = 0.05
"""seconds between two tries for a lock, or for a file that a reader has open on Windows"""
_NO_LINK = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def is_plain_name(name: str) -> bool:
    """Whether a name is that of a file in the folder itself, on any system."""
    return _PLAIN_NAME.fullmatch(name) is not None


def open_regular(path: Path) -> BinaryIO:
    """Open a file for reading if it is a regular one: a pipe would wait for its writer, and a device has no end.

    Args:
        path: the file.

    Returns:
        The stream.

    Raises:
        OSError: it cannot be opened or is not a regular file.
    """
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except ValueError as error:  # a NUL in its name
        raise OSError(errno.EINVAL, str(error)) from None
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "not a regular file")
    return open(handle, "rb")


# --- writing ------------------------------------------------------------------------------------------------------


def aside(path: Path) -> Path:
    """Where a file stands while it is being written."""
    return path.with_name(path.name + ".part")


def create(path: Path, content: bytes) -> None:
    """Write a new file and flush it to the disk; whatever had its name is removed, and no link is followed.

    Args:
        path: the file.
        content: its bytes.

    Raises:
        OSError: it cannot be written; nothing is left of it.
    """
    path.unlink(missing_ok=True)
    try:
        with open(path, "xb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
    except OSError:
        with suppress(OSError):
            path.unlink(missing_ok=True)
        raise


def flush(path: Path) -> None:
    """See that the content of a file outlives a loss of power.

    Args:
        path: the file.

    Raises:
        OSError: it cannot be opened for writing, as Windows demands, or not flushed.
    """
    with open(path, "r+b") as stream:
        os.fsync(stream.fileno())


def rename(source: Path, target: Path) -> None:
    """Give a file another name; a file of that name is replaced, and is there until then.

    Args:
        source: the file.
        target: its new name, on the same file system.

    Raises:
        OSError: it cannot be renamed.
        PermissionError: the same, where somebody has the file open for long on Windows.
    """
    for patience in range(40, -1, -1):
        try:
            os.replace(source, target)
            return
        except PermissionError:
            if os.name != "nt" or not patience:
                raise
            time.sleep(_PAUSE)  # Windows does not replace a file while somebody reads it


def write_atomically(path: Path, content: bytes, keep: Path | None = None) -> None:
    """Write a file aside, flush it to the disk and rename it, so that a reader finds the old or the new one whole.

    Args:
        path: the file; a link of its name is replaced, and not followed.
        content: its bytes.
        keep: where the old file goes, in the same directory; it is replaced. For a moment there is none at `path`, and
            the old one is there.

    Raises:
        ModelError: it cannot be written.
    """
    part = aside(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        create(part, content)
        if keep is not None:
            with suppress(FileNotFoundError):
                rename(path, keep)
        rename(part, path)
        flush_names(path.parent)
    except OSError as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise ModelError(f"{path}: cannot be written: {error.strerror or error}") from None


def flush_names(directory: Path) -> None:
    """See that renamings outlive a loss of power, where the system lets a directory be flushed.

    Args:
        directory: in which files were created or renamed.
    """
    with suppress(OSError):
        handle = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


# --- locks --------------------------------------------------------------------------------------------------------


@contextmanager
def locked(path: Path, busy: Callable[[int], object] = lambda handle: time.sleep(_PAUSE)) -> Iterator[int]:
    """Hold a lock; it ends with its process, however that ends.

    Where the file system has no locks, the file is only opened.

    Args:
        path: the lock file, which exists only while the lock is held; one left by a killed process means nothing.
        busy: called with the open file while another holds the lock; raises, or else it is tried again. By default a
            short pause.

    Yields:
        The file's descriptor.

    Raises:
        OSError: the file cannot be written.
    """
    handle = _open_locked(path, busy)
    try:
        yield handle
    finally:
        with suppress(OSError):  # the folder may be gone; Windows does not remove an open file
            if _is_at(handle, path):  # and not another's file in a folder that was created again
                path.unlink()  # before the lock ends, or the next holder's file would be removed
        os.close(handle)


def _open_locked(path: Path, busy: Callable[[int], object]) -> int:
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | _NO_LINK, 0o644)
        try:
            about = os.fstat(handle)
            if not stat.S_ISREG(about.st_mode) or about.st_nlink > 1 or path.is_symlink():
                raise OSError(errno.ELOOP, f"{path.name} is a link or no regular file")  # whose target is not ours
            if not take_lock(handle):
                busy(handle)
            elif _is_at(handle, path):  # its holder may have removed it between our opening and locking it
                return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)


def _is_at(handle: int, path: Path) -> bool:
    """Whether an open file is the one at a path."""
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path))
    except FileNotFoundError:
        return False


def take_lock(handle: int) -> bool:
    """Lock an open file, if nobody else has; where there are no locks, nobody has.

    Args:
        handle: its descriptor.

    Returns:
        Whether nobody else holds the lock.
    """
    from filelock import lock_descriptor

    try:
        return lock_descriptor(handle, blocking=False)
    except PermissionError:
        return False
    except OSError:
        return True  # a file system without locks is no reason to stop
