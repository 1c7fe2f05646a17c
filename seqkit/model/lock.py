"""One writer at a time in a model's directory: a lock that ends with its process, however that ends."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import NoReturn

from seqkit.errors import TrainingError
from seqkit.files import locked, take_lock

LOCK = ".seqkit.lock"
"""is in the directory while a run or a model is written there; left over from a process that was killed, it means
nothing"""
_HELD: ContextVar[tuple[Path, ...]] = ContextVar("_HELD", default=())
"""directories whose lock this thread holds: a run does while it saves its model"""


@contextmanager
def held(output: Path, patience: float = 0.0) -> Iterator[None]:
    """Hold the lock of a directory.

    Args:
        output: the directory, which exists.
        patience: seconds to wait for another process.

    Yields:
        Nothing; at the end the file is removed.

    Raises:
        TrainingError: another process holds it.
        OSError: the directory cannot be written.
    """
    until = time.monotonic() + patience

    def wait(handle: int) -> None:
        if time.monotonic() >= until:
            _refuse(handle, output)
        time.sleep(0.05)

    with locked(output / LOCK, wait) as handle:
        os.truncate(handle, 0)
        os.write(handle, json.dumps({"process": os.getpid(), "host": socket.gethostname()}).encode("ascii"))
        before = _HELD.set((*_HELD.get(), output.resolve()))
        try:
            yield
        finally:
            _HELD.reset(before)


def holds(output: Path) -> bool:
    """Whether this thread holds the lock of a directory."""
    return output.resolve() in _HELD.get()


def see_free(output: Path) -> None:
    """Check that no run holds the lock of a directory, which need not exist.

    Args:
        output: the directory.

    Raises:
        TrainingError: a run holds it.
    """
    try:
        handle = os.open(output / LOCK, os.O_RDWR | getattr(os, "O_NONBLOCK", 0))
    except OSError:
        return
    try:
        if not take_lock(handle):
            _refuse(handle, output)
    finally:
        os.close(handle)


def _refuse(handle: int, output: Path) -> NoReturn:
    holder = "another process"
    with suppress(OSError, ValueError, TypeError, KeyError, OverflowError):
        os.lseek(handle, 0, os.SEEK_SET)
        who = json.loads(os.read(handle, 1000))
        holder = f"process {int(who['process'])} on {str(who['host'])[:100]!r}"
    raise TrainingError(f"{output}: the output directory is in use by {holder}")
