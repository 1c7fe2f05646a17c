"""Prediction by the processes of one ``torchrun``, on one machine or several: each takes its share of the blocks.

Every process cuts the same files in the same places and predicts every N-th block; the first writes the results of all
in their order. Messages go through torch.distributed (gloo), whatever device computes.
"""

from __future__ import annotations

import io
import json
import os
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from seqkit.cli.faults import describe
from seqkit.cli.jobs import Answer, Job, answer, prepare
from seqkit.cli.messages import read_answer, write_answer
from seqkit.errors import DataError, SeqkitError
from seqkit.formats.blocks import cut
from seqkit.torchrun import Launch, joined

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["joined_ranks"]

_AHEAD = 2
"""answers that a process may have waiting for the first one"""


@contextmanager
def joined_ranks(job: Job, find: Callable[[], list[tuple[str, str]]], launch: Launch) -> Iterator[Iterator[Answer]]:
    """Join the processes, each with the model loaded.

    Args:
        job: what to do.
        find: finds the files and their formats, and whatever is wrong with them on this machine.
        launch: which of the processes this is.

    Yields:
        The answers to all blocks in order, in the first process; in every other one nothing, but it works all the same.

    Raises:
        SeqkitError: a process could not read a file or load the model, has another file than the first, or ended.
    """
    with joined():
        own = _share(replace(job, place=launch.local_rank), find, launch)
        if launch.rank:
            yield _sent(own)
            return
        sources = [own, *(_received(rank, launch.size) for rank in range(1, launch.size))]
        found = [next(source) for source in sources]
        for one in found:
            if one.fault is not None:
                raise SeqkitError(one.fault)
        _refuse_different([json.loads(one.text) for one in found])
        yield _in_turn(sources)


def _refuse_different(sizes: list[list[tuple[str, int]]]) -> None:
    """See that every process has the same files: of others each would take another share."""
    for number, own in enumerate(sizes, 1):
        for (file, expected), (_, found) in zip(sizes[0], own, strict=True):
            if found != expected:
                told = f"expected {expected:,} bytes, as process 1 of {len(sizes)} has"
                raise DataError(f"{told}, found {found:,} in process {number}", file=file)


def _share(job: Job, find: Callable[[], list[tuple[str, str]]], launch: Launch) -> Iterator[Answer]:
    """What one process has to say: whether all went well before the first block, then the answers to its blocks."""
    try:
        inputs, work = find(), prepare(job)
    except Exception as error:
        fault = describe(error)
        if fault is None:
            raise
        yield Answer(b"", [], fault)
        return
    yield Answer(json.dumps([(file, os.path.getsize(file)) for file, _ in inputs]).encode("ascii"), [], None)
    try:
        for number, block in enumerate(cut(inputs)):
            if number % launch.size == launch.rank:
                yield answer(work, block)
    except SeqkitError as error:  # of cutting
        yield Answer(b"", [], str(error))


def _in_turn(sources: list[Iterator[Answer]]) -> Iterator[Answer]:
    """The first answer of every process, the second of every process, and so on."""
    while sources:
        for source in list(sources):
            found = next(source, None)
            if found is None:
                sources.remove(source)
            else:
                yield found


# --- messages -----------------------------------------------------------------------------------------------------


def _sent(answers: Iterator[Answer]) -> Iterator[Answer]:
    """Send answers to the first process instead of giving them."""
    import torch
    import torch.distributed

    sent: deque[list[tuple[Any, Tensor]]] = deque()

    def send(content: bytearray, ahead: int) -> None:
        size = torch.tensor([len(content)])  # [1]
        parts = [size, torch.frombuffer(content, dtype=torch.uint8)] if content else [size]  # [bytes]
        try:
            # What is being sent needs its memory until it has been taken; meanwhile the next block is worked on.
            sent.append([(torch.distributed.isend(part, 0), part) for part in parts])
            while len(sent) > ahead:
                for request, _ in sent.popleft():
                    request.wait()
        except RuntimeError:  # gloo has nothing narrower
            raise BrokenPipeError from None  # the first process has ended, and says why if there is something to say

    for found in answers:
        stream = io.BytesIO()
        write_answer(stream, found)
        send(bytearray(stream.getvalue()), _AHEAD)
    send(bytearray(), 0)
    yield from ()


def _received(source: int, processes: int) -> Iterator[Answer]:
    """The answers of another process."""
    import torch
    import torch.distributed

    while True:
        try:
            size = torch.zeros(1, dtype=torch.int64)  # [1]
            torch.distributed.recv(size, source)
            if not int(size):
                return
            content = torch.empty(int(size), dtype=torch.uint8)  # [bytes]
            torch.distributed.recv(content, source)
        except RuntimeError:
            expected = f"expected process {source + 1} of {processes} to go on"
            raise SeqkitError(f"{expected}, found it ended") from None
        yield read_answer(io.BytesIO(content.numpy().tobytes()))
