"""The processes of one ``torchrun``: the rank of this one, and how they are connected."""

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

_PATIENCE = timedelta(days=30)
"""how long a process waits for another one, which evaluates on a large dev set, or prints to a pager; a process that
has exited is noticed at once"""

_VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


class Launch(NamedTuple):
    """How this process was started.

    Attributes:
        rank: its number, from 0.
        size: the number of processes, on all machines.
        local_rank: its number on this machine.
        local_size: the number of processes on this machine.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1

    @classmethod
    def from_environment(cls) -> Launch:
        """Read the variables that ``torchrun`` sets; without them there is only this process.

        Returns:
            The numbers.

        Raises:
            SettingsError: a variable is missing or has another form.
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
        """The command that starts such processes."""
        if self.size == 1:
            return "seqkit"
        nodes = "" if self.size == self.local_size else f"--nnodes {self.size // self.local_size} … "
        return f"torchrun {nodes}--nproc-per-node {self.local_size} -m seqkit"

    def device(self, name: str) -> torch.device:
        """The device of this process: several on a machine have a GPU each.

        Args:
            name: see `seqkit.devices.choose_device`.

        Returns:
            The device.

        Raises:
            SettingsError: there is no such device, or the processes cannot share it.
        """
        import torch  # only when it is needed: help texts need no torch

        from seqkit.devices import choose_device

        device = choose_device(name)
        if self.size == 1 or device.type == "cpu":
            return device
        if device.type == "mps":
            raise SettingsError("several processes need the device cpu or cuda, found mps")
        count = torch.cuda.device_count()
        if ":" not in name and self.local_size <= count:
            return torch.device("cuda", self.local_rank)
        if self.local_size == 1:
            return device
        found = f"{self.local_size} processes need a GPU each, found"
        if ":" in name:
            raise SettingsError(f"{found} only {name}; use --device cuda, and CUDA_VISIBLE_DEVICES to choose GPUs")
        raise SettingsError(f"{found} {count}; start fewer, or use --device cpu")


@contextmanager
def process_group(backend: str = "gloo") -> Iterator[None]:
    """Connect the processes, until this one exits; with one process, do nothing.

    Args:
        backend: the backend of `torch.distributed.init_process_group`.

    Yields:
        Nothing.

    Raises:
        SeqkitError: the processes cannot connect.
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
            raise SeqkitError(f"cannot connect the {size} processes: {error}") from None
        atexit.register(dist.destroy_process_group)
    try:
        yield
    except BaseException:
        atexit.unregister(dist.destroy_process_group)  # it might wait for the others, which wait for this process
        raise


def first_to_tell() -> bool:
    """Whether this is the first of the processes that has an error to print; the others print nothing.

    Returns:
        True also if the other processes cannot be asked.
    """
    try:
        if Launch.from_environment().size == 1:
            return True
        host, port, attempt = (os.environ.get(name, "0") for name in (*_VARIABLES[4:], "TORCHELASTIC_RESTART_COUNT"))
        from torch.distributed import TCPStore  # type: ignore[attr-defined]

        patience = timedelta(seconds=5)
        store = TCPStore(host, int(port), is_master=False, timeout=patience, wait_for_workers=False)
        return int(store.add(f"seqkit errors in attempt {attempt}", 1)) == 1
    except (RuntimeError, SettingsError):
        return True
