"""The processes that one ``torchrun`` starts: which of them this is, and how they are joined."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta

__all__ = ["joined", "local_rank", "rank", "world_size"]

_PATIENCE = timedelta(days=30)
"""how long one process waits for another: nobody who pipes results into a pager should be cut off"""


def rank() -> int:
    """The number of this process among all; 0 where it is alone, and of the one that writes."""
    return int(os.environ.get("RANK", "0")) if world_size() > 1 else 0


def local_rank() -> int:
    """The number of this process among those of its machine."""
    return int(os.environ.get("LOCAL_RANK", "0")) if world_size() > 1 else 0


def world_size() -> int:
    """How many processes there are."""
    return int(os.environ.get("WORLD_SIZE", "1"))


@contextmanager
def joined() -> Iterator[None]:
    """Join the processes for messages in the memory of the processor (gloo).

    Yields:
        Nothing.
    """
    import torch.distributed

    torch.distributed.init_process_group("gloo", timeout=_PATIENCE)
    try:
        yield
    finally:
        with suppress(RuntimeError):  # of one whose partners ended before
            torch.distributed.destroy_process_group()
