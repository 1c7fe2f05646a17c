"""Two processes that train together, as two threads of one: what one sends the other gets."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist

from seqkit.torchrun import Launch
from seqkit.training.distribution import Group

_PATIENCE = 60.0
"""seconds that one waits for the other before it is a fault"""


class Pair(Group):
    """One of them; see `together`."""

    def __init__(self, rank: int, device: torch.device, barrier: threading.Barrier, sent: list[Any]) -> None:
        super().__init__(Launch(rank, 2), device)
        self._barrier = barrier
        self._messages = sent

    def _sent(self, function: Callable[..., Any], *arguments: Any) -> None:
        tensor = arguments[0]
        self._messages[self.rank] = tensor.clone()
        self._barrier.wait(_PATIENCE)
        first, second = self._messages
        tensor.copy_(first + second if function is dist.all_reduce else self._messages[arguments[1]])
        self._barrier.wait(_PATIENCE)


def together(work: Callable[[Pair], Any], device: str = "cpu") -> list[Any]:
    """Let both do their work at the same time.

    Args:
        work: what each does.
        device: where it computes.

    Returns:
        What each has found; the fault of the first that has one is raised.
    """
    barrier = threading.Barrier(2)
    sent: list[Any] = [None, None]
    found: list[Any] = [None, None]
    faults: list[BaseException] = []

    def begin(rank: int) -> None:
        try:
            found[rank] = work(Pair(rank, torch.device(device), barrier, sent))
        except BaseException as error:
            faults.append(error)
            barrier.abort()

    threads = [threading.Thread(target=begin, args=(rank,)) for rank in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if faults:
        raise faults[0]
    return found
