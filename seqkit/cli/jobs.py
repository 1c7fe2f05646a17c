"""Prediction block by block, in whatever process: what is to be done, the function that does it, and what it gives."""

from __future__ import annotations

import importlib
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TextIO

from seqkit.cli.faults import describe
from seqkit.cli.memory import bound_kernels, memory_returner
from seqkit.formats.blocks import Block

__all__ = ["Answer", "Counts", "Job", "Work", "answer", "prepare"]

Counts = list[int]
"""records, tokens, and a third number that a command may use"""

Work = Callable[[Block, TextIO, Counts], None]
"""predicts a block, writes the results, and counts"""


@dataclass(frozen=True, slots=True)
class Job:
    """What a process that predicts has to know; all of it can be written as JSON.

    Args:
        command: the module of the command, whose function ``work(job)`` loads the model and returns the work.
        model: the model's directory.
        options: the command's own options.
        device: where to compute, as the user said.
        threads: processor threads; None for all cores.
        share: how many worker processes share them; a process of ``torchrun`` has as many for itself.
        place: the number of this process, by which several get a GPU each.
    """

    command: str
    model: str
    options: Mapping[str, Any]
    device: str
    threads: int | None
    share: int = 1
    place: int = 0


class Answer(NamedTuple):
    """What a block gave.

    Attributes:
        text: the results in UTF-8, of a faulty block those before the fault.
        counts: how much was predicted.
        fault: what is wrong with the block, or None.
    """

    text: bytes
    counts: Counts
    fault: str | None


def prepare(job: Job) -> Work:
    """Make a process ready to predict, on a GPU of its own if there are several.

    Args:
        job: what is to be done.

    Returns:
        The function that does it.
    """
    bound_kernels()
    if job.place and job.device in ("auto", "cuda"):
        from seqkit.devices import spread

        job = replace(job, device=spread(job.device, job.place))
    work: Work = importlib.import_module(job.command).work(job)
    give_back = memory_returner()

    def work_and_give_back(block: Block, stream: TextIO, counts: Counts) -> None:
        work(block, stream, counts)
        give_back()

    return work_and_give_back


def answer(work: Work, block: Block) -> Answer:
    """Predict one block.

    Args:
        work: what to do.
        block: the block.

    Returns:
        The results; a fault that a user can cause is one.
    """
    stream = io.StringIO()
    counts = [0, 0, 0]
    fault = None
    try:
        work(block, stream, counts)
    except Exception as error:
        fault = describe(error)
        if fault is None:
            raise
    return Answer(stream.getvalue().encode("utf-8", "backslashreplace"), counts, fault)
