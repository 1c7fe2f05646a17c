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
from seqkit.files import locked, take_lock

LOCK = ".seqkit.lock"
"""is in the output directory while a run writes there; left over from a run that was killed, it means nothing"""


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
    with locked(output / LOCK, lambda handle: _refuse(handle, output)) as handle:
        os.truncate(handle, 0)
        os.write(handle, json.dumps({"process": os.getpid(), "host": socket.gethostname()}).encode("ascii"))
        yield


def see_free(output: Path) -> None:
    """Check that no run holds the lock of a directory, which need not exist.

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
