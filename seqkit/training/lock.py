"""One run at a time in an output directory: a lock that ends with its process, however that ends."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

from seqkit.errors import TrainingError
from seqkit.files import close_locked, open_locked, take_lock

__all__ = ["LOCK", "held", "see_free"]

LOCK = ".seqkit.lock"
"""stands in the output directory while a run writes there; left over from a run that was killed, it means nothing"""


@contextmanager
def held(output: Path) -> Iterator[None]:
    """Hold the lock of an output directory.

    Args:
        output: the directory, which exists.

    Yields:
        Nothing; at the end the file is removed.

    Raises:
        TrainingError: another run holds it.
        OSError: the directory cannot be written.
    """
    path = output / LOCK
    handle = open_locked(path, lambda handle: _refuse(handle, path))
    try:
        os.truncate(handle, 0)
        os.write(handle, json.dumps({"process": os.getpid(), "host": socket.gethostname()}).encode("ascii"))
        yield
    finally:
        close_locked(handle, path)


def see_free(output: Path) -> None:
    """See that no run holds the lock of a directory, which need not exist.

    Args:
        output: the directory.

    Raises:
        TrainingError: a run holds it.
    """
    try:
        handle = os.open(output / LOCK, os.O_RDWR)
    except OSError:
        return
    try:
        if not take_lock(handle):
            _refuse(handle, output / LOCK)
    finally:
        os.close(handle)


def _refuse(handle: int, path: Path) -> NoReturn:
    found = f"found one in use by {_holder(handle)}"
    raise TrainingError(f"{path.parent}: expected an output directory that no other run writes to, {found}")


def _holder(handle: int) -> str:
    """Who holds a lock, as far as it says."""
    with suppress(OSError, ValueError, TypeError, KeyError, OverflowError):
        os.lseek(handle, 0, os.SEEK_SET)
        who = json.loads(os.read(handle, 1000))
        return f"process {int(who['process'])} on {str(who['host'])[:100]!r}"
    return "another process"
