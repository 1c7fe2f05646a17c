"""A process that answers requests: what it has to know, what it does, its threads and its memory."""

from __future__ import annotations

import ctypes
import gc
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from seqkit.errors import describe
from seqkit.terminal import tell

Answer = dict[str, Any]
"""what a model answers; with ``fault``, a line, where that is all there is to say"""


@dataclass(frozen=True, slots=True)
class Job:
    """What a process that answers requests has to know; all of it can be written as JSON.

    Args:
        task: the task that the model has to be of.
        model: the model's directory.
        options: options of prediction.
        output_format: how answers to blocks are written.
        batch_tokens: tokens per batch.
        precision: arithmetic of the network.
        quiet: print errors only.
        device: where to compute, as the user said.
        threads: processor threads; None for all cores.
        share: how many worker processes share them; a process of ``torchrun`` has as many for itself.
        place: the number of this process, by which several get a GPU each.
    """

    task: str
    model: str
    options: Mapping[str, Any]
    output_format: str
    batch_tokens: int
    precision: str
    quiet: bool
    device: str
    threads: int | None
    share: int = 1
    place: int = 0


def open_model(job: Job) -> Callable[[Mapping[str, Any]], Answer]:
    """Make this process ready to answer, on a GPU of its own if there are several.

    Args:
        job: what to do.

    Returns:
        A function request → answer. A fault that a user can cause is an answer, too.
    """
    bound_kernels()
    prepare_torch(job.threads, job.share)
    from seqkit.devices import spread
    from seqkit.model.loading import load

    device = spread(job.device, job.place) if job.place else job.device
    model = load(job.model, device, task=job.task)
    pipeline = model.pipeline(
        batch_tokens=job.batch_tokens,
        precision=job.precision,
        say=say(job.quiet, job.place),
        options=model.options(job.options),
    )
    give_back = memory_returner()

    def answer(request: Mapping[str, Any]) -> Answer:
        try:
            found: Answer = model.answer(request, pipeline)
        except Exception as error:
            fault = describe(error)
            if fault is None:
                raise
            return {"fault": fault}
        give_back()
        return found

    return answer


def say(quiet: bool, place: int = 0) -> Callable[[str], None]:
    """What prints a line on standard error.

    Args:
        quiet: print nothing.
        place: the number of this process: of how each predicts, the first tells for all.

    Returns:
        The function.
    """

    def told(line: str) -> None:
        if not (quiet or (place and line.startswith("precision"))):
            tell(line)

    return told


def write_message(stream: IO[bytes], message: Any) -> None:
    """Send a message to another process: a line of JSON.

    Args:
        stream: where to.
        message: anything of JSON's types.
    """
    stream.write(json.dumps(message).encode("ascii") + b"\n")
    stream.flush()


def read_message(stream: IO[bytes]) -> Any:
    """Wait for a message.

    Args:
        stream: where from.

    Returns:
        What `write_message` was given.

    Raises:
        EOFError: the stream ends before the message does.
    """
    line = stream.readline()
    if not line.endswith(b"\n"):
        raise EOFError
    return json.loads(line)


# --- threads and memory ---------------------------------------------------------------------------------------------

_SLACK = 96 << 20
"""bytes that may be in use or free beyond what there was at first"""

_KERNELS = 64
"""more than the sizes of one block; a smaller number costs time"""

_STATUS = Path("/proc/self/statm")


def prepare_torch(threads: int | None, share: int = 1) -> None:
    """Settings of the process that all commands which compute share.

    Args:
        threads: processor threads; None leaves torch's choice.
        share: how many processes share them.
    """
    import numpy as np
    import torch

    if share > 1:
        threads = max(1, (threads or torch.get_num_threads()) // share)
    if threads is not None:
        torch.set_num_threads(threads)
    for kind in (np.float32, np.float64):
        np.finfo(kind)  # once asked, NumPy 1 does not look again, and warn of the zeros that it would find from here on
    torch.set_flush_denormal(True)
    gc.freeze()  # what torch brings with it stays: a third of a second, each time that garbage is looked for there


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
