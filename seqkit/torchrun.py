"""The processes that one ``torchrun`` starts: which of them this is, and how they are joined."""

from __future__ import annotations

import atexit
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from seqkit.errors import SeqkitError, SettingsError

if TYPE_CHECKING:
    import torch

__all__ = ["Launch", "first_to_tell", "joined"]

_PATIENCE = timedelta(days=30)
"""how long a process waits for another, busy with a large dev set, or with results that somebody reads page by page;
one that has ended is noticed at once"""

_VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


class Launch(NamedTuple):
    """How this process was started.

    Attributes:
        rank: its number, from 0.
        size: how many processes there are, on all machines.
        local_rank: its number on this machine.
        local_size: how many there are on this machine.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1

    @classmethod
    def from_environment(cls) -> Launch:
        """What ``torchrun`` says in the environment; a process alone where it says nothing.

        Returns:
            The numbers.

        Raises:
            SettingsError: only some of what belongs together is there.
        """
        if os.environ.get("WORLD_SIZE", "1") in ("", "1"):
            return cls()
        for name in ("WORLD_SIZE", *_VARIABLES):
            value = os.environ.get(name, "")
            if not (value and (value.isdecimal() or name == "MASTER_ADDR")):
                raise SettingsError(f"expected {name} as torchrun sets it, found {value!r}")
        return cls(*(int(os.environ[name]) for name in _VARIABLES[:4]))

    @property
    def command(self) -> str:
        """How such processes are started."""
        if self.size == 1:
            return "seqkit"
        nodes = "" if self.size == self.local_size else f"--nnodes {self.size // self.local_size} … "
        return f"torchrun {nodes}--nproc-per-node {self.local_size} -m seqkit"

    def device(self, name: str) -> torch.device:
        """The device of this process: of several on a machine each has a GPU of its own.

        Args:
            name: see `seqkit.devices.choose_device`.

        Returns:
            The device.

        Raises:
            SettingsError: there is no such device, or the processes cannot share it.
        """
        import torch  # not before it is needed: help texts do without

        from seqkit.devices import choose_device

        device = choose_device(name)
        if self.size == 1 or device.type == "cpu":
            return device
        if device.type == "mps":
            raise SettingsError(f"expected the device cpu or cuda for several processes, found {device.type}")
        if ":" in name:
            if self.local_size > 1:
                expected = f"expected --device cuda for {self.local_size} processes, which take a GPU each"
                raise SettingsError(f"{expected}, found {name!r}; CUDA_VISIBLE_DEVICES says which they may take")
            return device
        count = torch.cuda.device_count()
        if self.local_size > count:
            expected = f"expected a GPU for each of {self.local_size} processes"
            raise SettingsError(f"{expected}, found {count}; start fewer, or use --device cpu")
        return torch.device("cuda", self.local_rank)


@contextmanager
def joined(backend: str = "gloo") -> Iterator[None]:
    """Join the processes, until this one ends; a process alone has nobody to join.

    Args:
        backend: what messages go over; see `torch.distributed.init_process_group`.

    Yields:
        Nothing.

    Raises:
        SeqkitError: the processes do not find each other.
    """
    size = Launch.from_environment().size
    if size == 1:
        yield
        return
    import torch.distributed as dist

    if not dist.is_initialized():
        try:
            dist.init_process_group(backend, timeout=_PATIENCE)
        except (RuntimeError, ValueError) as error:
            raise SeqkitError(f"expected to join {size} processes, found: {error}") from None
        atexit.register(dist.destroy_process_group)
    try:
        yield
    except BaseException:
        atexit.unregister(dist.destroy_process_group)  # it might wait for the others, who wait for this process
        raise


def first_to_tell() -> bool:
    """Whether this process is the first of those started together that has a fault to tell; the others keep silent.

    Returns:
        True also where there is nobody to ask.
    """
    try:
        if Launch.from_environment().size == 1:
            return True
        host, port, attempt = (os.environ.get(name, "0") for name in (*_VARIABLES[4:], "TORCHELASTIC_RESTART_COUNT"))
        from torch.distributed import TCPStore  # type: ignore[attr-defined]

        patience = timedelta(seconds=5)
        store = TCPStore(host, int(port), is_master=False, timeout=patience, wait_for_workers=False)
        return int(store.add(f"seqkit faults told in attempt {attempt}", 1)) == 1
    except (RuntimeError, SettingsError):
        return True
