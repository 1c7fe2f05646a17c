"""Several processes that train one network together, as ``torchrun`` starts them; a process alone is a group of one.

Every process computes the same list of batches, the gradient of its share of each, and, from the sum of all gradients,
the same step: what one process would do with the whole batch. The first process alone evaluates, writes and tells.
"""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from seqkit import torchrun
from seqkit.errors import TrainingError
from seqkit.torchrun import Launch
from seqkit.training.serialising import packed, unpacked

Tensors = dict[str, Tensor]


class ProcessLost(TrainingError):
    """Another process of the group has ended, and why is its own to tell."""


class Together(NamedTuple):
    """A step as all processes see it.

    Attributes:
        loss: the mean over all units, a scalar.
        units: how many units, in all shares.
        tokens: how many tokens, in all shares.
        asked: of every flag, whether any process raised it.
    """

    loss: Tensor
    units: int
    tokens: int
    asked: tuple[bool, ...]


class Group:
    """The processes that train together, seen from one of them. In a group of one nothing is sent and all is as it was.

    Every method is called by all processes, in the same order. What is found out about a step goes over the processors
    and not over GPUs, for which nobody waits.

    Args:
        launch: which of the processes this one is.
        device: where it computes.
    """

    def __init__(self, launch: Launch, device: torch.device) -> None:
        self.rank, self.size, self._local_rank, _ = launch
        self.device = device
        self.is_first = self.rank == 0
        self.share = slice(self.rank, None, self.size)
        """which rows of a batch are this process's"""

    # --- a step ------------------------------------------------------------------------------------------------

    def add_up(
        self, parameters: Sequence[nn.Parameter], loss: Tensor, units: int, tokens: int, asked: Sequence[bool]
    ) -> Together:
        """Turn the gradients of the shares into that of the batch, in place, and learn what the others found.

        Args:
            parameters: what is trained; their gradients are of the mean over this share's units.
            loss: this mean, a scalar.
            units: of this share; 0 where it is empty, and there are no gradients then.
            tokens: of this share.
            asked: flags.

        Returns:
            The loss of the batch and what else is known of it. A parameter without a gradient in any process is left
            without one.

        Raises:
            ProcessLost: another process has ended.
        """
        if self.size == 1:
            return Together(loss.detach(), units, tokens, tuple(asked))
        found = [parameter.grad is not None for parameter in parameters]
        sums = [int(value) for value in self._sums([units, tokens, *asked, *found])]
        total, all_tokens, flags, counts = sums[0], sums[1], sums[2 : 2 + len(asked)], sums[2 + len(asked) :]
        parts = [torch.zeros_like(one) if one.grad is None else one.grad for one in parameters]
        # One buffer for all: a message a parameter would cost more than the sums.
        flat = torch.cat([part.reshape(-1) for part in (*parts, loss.detach().to(self.device))])  # [P + 1]
        self._sent(dist.all_reduce, flat.mul_(units))
        flat.div_(max(1, total))
        pieces = flat[:-1].split([parameter.numel() for parameter in parameters])
        for parameter, piece, count in zip(parameters, pieces, counts, strict=True):
            parameter.grad = piece.view_as(parameter) if count else None
        # Not a view, which would keep the buffer for as long as somebody keeps the loss.
        return Together(flat[-1].clone(), total, all_tokens, tuple(map(bool, flags)))

    # --- between steps -----------------------------------------------------------------------------------------

    def any(self, flag: bool) -> bool:
        """Whether any process raises a flag; and none goes on before all have come here.

        Args:
            flag: this process's.

        Returns:
            The same in every process.

        Raises:
            ProcessLost: another process has ended.
        """
        return flag if self.size == 1 else self._sums([flag])[0] > 0

    def tell(self, value: Any, tensors: Tensors | None = None) -> tuple[Any, Tensors]:
        """Give all processes what the first one has.

        Args:
            value: anything of JSON's types; of the others it does not matter.
            tensors: the same.

        Returns:
            The first process's value and tensors; the latter on the CPU, where they come from another process.

        Raises:
            ProcessLost: another process has ended.
        """
        if self.size == 1:
            return value, tensors or {}
        content = packed(tensors or {}, {"value": json.dumps(value)}) if self.is_first else b""
        told, strings = unpacked(self._from(0, content))
        return json.loads(strings["value"]), told

    def collect(self, tensors: Tensors) -> list[Tensors]:
        """Give all processes what each one has.

        Args:
            tensors: this process's.

        Returns:
            Every process's, in order.

        Raises:
            ProcessLost: another process has ended.
        """
        if self.size == 1:
            return [tensors]
        return [unpacked(self._from(rank, packed(tensors, {})))[0] for rank in range(self.size)]

    @contextmanager
    def in_turn(self) -> Iterator[None]:
        """Let one process of each machine go first, which may have to download what the others then find."""
        if self._local_rank:
            self.any(False)
        yield
        if not self._local_rank:
            self.any(False)

    # --- messages ----------------------------------------------------------------------------------------------

    def _sums(self, values: Sequence[float]) -> list[float]:
        vector = torch.tensor(values, dtype=torch.float64)  # on the CPU
        self._sent(dist.all_reduce, vector)
        return vector.tolist()

    def _from(self, rank: int, content: bytes) -> bytes:
        """The bytes that one process has."""
        length = torch.tensor([len(content)])
        self._sent(dist.broadcast, length, rank)
        if rank != self.rank:
            content = bytes(int(length))
        buffer = torch.from_numpy(np.frombuffer(content, np.uint8).copy())
        self._sent(dist.broadcast, buffer, rank)
        return buffer.numpy().tobytes()

    def _sent(self, function: Callable[..., Any], *arguments: Any) -> None:
        try:
            function(*arguments)
        except RuntimeError as error:
            # torchrun ends this one, too, as soon as it sees it: let there be time to say why.
            with suppress(ValueError):  # in a thread
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
            reason = re.sub(r"^\[\S+\] |\. .*", "", str(error).splitlines()[0])  # without source line and advice
            raise ProcessLost(f"one of the {self.size} processes that train together is gone: {reason}") from None


ALONE = Group(Launch(), torch.device("cpu"))
"""one process, to which it does not matter where it computes"""


@contextmanager
def training_group(device: str) -> Iterator[Group]:
    """Join the processes that ``torchrun`` started beside this one, until this one ends.

    Args:
        device: see `Launch.device`.

    Yields:
        The group.

    Raises:
        SettingsError: there is no such device, or the processes cannot share it.
        SeqkitError: they do not find each other.
    """
    launch = Launch.from_environment()
    place = launch.device(device)
    if place.type == "cuda" and launch.size > 1:
        torch.cuda.set_device(place)
    with torchrun.process_group("cpu:gloo,cuda:nccl" if place.type == "cuda" else "gloo"):
        yield Group(launch, place)
