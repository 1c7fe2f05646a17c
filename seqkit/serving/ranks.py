"""The processes of one ``torchrun``, on one machine or several: each answers its share of the requests.

Every process makes the same requests and answers every N-th; the first has the answers of all, in their order. Messages
go through torch.distributed (gloo), whatever device computes.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from seqkit.errors import DataError, SeqkitError, describe
from seqkit.formats.format import Description
from seqkit.serving.process import Answer, Job, open_model
from seqkit.torchrun import Launch, process_group

if TYPE_CHECKING:
    from torch import Tensor

Inputs = list[tuple[str, Description, int]]
"""names of files, how they are read, and their sizes"""

_AHEAD = 2
"""answers that a process may have waiting for the first one"""


@contextmanager
def joined_ranks(
    job: Job, find: Callable[[], Inputs], requests: Callable[[Inputs], Iterator[Any]], launch: Launch
) -> Iterator[Iterator[Answer]]:
    """Join the processes, each with the model loaded.

    Args:
        job: what to do.
        find: finds the files, their formats and sizes, which have to be the same in all processes; raises whatever is
            wrong with them on this machine.
        requests: makes the requests.
        launch: which of the processes this is.

    Yields:
        The answers to all requests in order, in the first process; in every other one nothing, but it works all the
        same.

    Raises:
        SeqkitError: a process could not find its input or load the model, has another input than the first, or ended.
    """
    with process_group():
        own = _share(replace(job, place=launch.local_rank), find, requests, launch)
        if launch.rank:
            yield _sent(own)
            return
        sources = [own, *(_received(rank, launch.size) for rank in range(1, launch.size))]
        ready = [next(source) for source in sources]
        for one in ready:
            if one["fault"] is not None:
                raise SeqkitError(one["fault"])
        _refuse_different([one["input"] for one in ready])
        yield _in_turn(sources)


def _refuse_different(inputs: list[list[tuple[str, dict[str, Any], int]]]) -> None:
    """See that every process has the same files: of others each would take another share."""
    first = inputs[0]
    for number, own in enumerate(inputs, 1):
        if len(own) != len(first):
            raise SeqkitError(f"process {number} was given {len(own)} files and process 1 {len(first)}")
        for (file, form, size), (_, other_form, other_size) in zip(first, own, strict=True):
            if (form, size) != (other_form, other_size):
                told = f"process 1 of {len(inputs)} has {form['format']} of {size:,} bytes"
                other = f"process {number} has {other_form['format']} of {other_size:,} bytes"
                raise DataError(f"{told}, {other}; all need the same file", file=file)


def _share(
    job: Job, find: Callable[[], Inputs], requests: Callable[[Inputs], Iterator[Any]], launch: Launch
) -> Iterator[Answer]:
    """What one process has to say: whether all went well before the first request, then the answers to its own."""
    try:
        found, answer = find(), open_model(job)
    except Exception as error:
        fault = describe(error)
        if fault is None:
            raise
        yield {"fault": fault}
        return
    described = [(file, asdict(description), size) for file, description, size in found]
    yield {"fault": None, "input": json.loads(json.dumps(described))}
    try:
        for number, request in enumerate(requests(found)):
            if number % launch.size == launch.rank:
                yield answer(request)
    except SeqkitError as error:  # of making requests
        yield {"fault": str(error)}


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
        send(bytearray(json.dumps(found), "ascii"), _AHEAD)
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
            raise SeqkitError(f"process {source + 1} of {processes} exited") from None
        yield json.loads(content.numpy().tobytes())
