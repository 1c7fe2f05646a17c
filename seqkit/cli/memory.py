"""Memory along a long prediction: what is free goes back to the system before it becomes much."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from pathlib import Path

__all__ = ["bound_kernels", "memory_returner"]

_SLACK = 96 << 20
"""bytes that may be in use or free beyond what there was at first"""

_KERNELS = 64
"""more than the sizes of one block; a smaller number costs time"""

_STATUS = Path("/proc/self/statm")


def bound_kernels() -> None:
    """Keep few of the kernels that oneDNN makes for every size of a batch; to be called before the first is made.

    It keeps 1,024 of them by default, each with memory of its own, and a stream has ever new sizes.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", str(_KERNELS))


def memory_returner() -> Callable[[], None]:
    """Make a function that gives free memory back where much of it has come together.

    glibc keeps what is freed between blocks that are in use, and every batch has other sizes, so that a process would
    grow along an endless pipe without holding anything. Giving all back at once costs the time of asking for it again,
    so it is done only as it becomes much.

    Returns:
        The function, to be called now and then; it does nothing where the system's memory works in another way.
    """
    try:
        trim = ctypes.CDLL(None).malloc_trim
        most = _resident() + _SLACK
    except (AttributeError, OSError, TypeError):  # not glibc, not Linux, Windows
        return lambda: None

    def give_back() -> None:
        if _resident() > most:
            trim(0)

    return give_back


def _resident() -> int:
    """Bytes of this process that are in memory."""
    return int(_STATUS.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
