"""Prediction by several processes of this machine: blocks go out to them, answers are put in order again."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace

from seqkit.cli.jobs import Answer, Job
from seqkit.cli.messages import read_answer, write_block, write_message
from seqkit.errors import SeqkitError
from seqkit.formats.blocks import Block

__all__ = ["started_workers"]

_START = "import sys; sys.path[:] = sys.argv[1:]; from seqkit.cli.worker import main; main()"
_LOOK = 0.2
"""seconds between two looks at whether all processes are there; nor can a longer wait be interrupted on Windows"""
_IN_FLIGHT = 3
"""blocks a worker that are taken from the input before their results are written"""


@contextmanager
def started_workers(job: Job, count: int) -> Iterator[Crew]:
    """Start processes that have loaded the model and wait for blocks.

    They are new interpreters, not copies of this one, which therefore need not know torch.

    Args:
        job: what they do.
        count: how many.

    Yields:
        The processes, which end with the context.

    Raises:
        SeqkitError: a process could not start, could not load the model, or ended.
    """
    workers: list[_Worker] = []
    try:
        for place in range(count):
            workers.append(_Worker(replace(job, place=place, share=count), f"worker process {place + 1} of {count}"))
        for worker in workers:
            worker.wait()
        yield Crew(workers)
    finally:
        for worker in workers:
            worker.end()


class Crew:
    """Processes that answer blocks.

    Args:
        workers: the processes.
    """

    def __init__(self, workers: list[_Worker]) -> None:
        self._workers = workers
        self._room = threading.Semaphore(_IN_FLIGHT * len(workers))
        self._source = threading.Lock()
        self._changed = threading.Condition()
        self._answers: dict[int, Answer | BaseException] = {}
        self._taken = 0
        self._ended = False  # whether the input is

    def answers(self, blocks: Iterator[Block]) -> Iterator[Answer]:
        """Have blocks answered.

        Args:
            blocks: the blocks; no more than a few a worker are held at a time.

        Yields:
            The answers, in the order of the blocks.

        Raises:
            SeqkitError: the blocks end in a fault, or a process ended.
        """
        for worker in self._workers:
            threading.Thread(target=self._serve, args=(worker, blocks), daemon=True).start()
        number = 0
        while True:
            with self._changed:
                while number not in self._answers:
                    if self._ended and number >= self._taken:
                        return
                    if not self._changed.wait(_LOOK):
                        self._refuse_ended()
                found = self._answers.pop(number)
            if isinstance(found, BaseException):
                raise found
            yield found
            self._room.release()
            number += 1

    def _refuse_ended(self) -> None:
        """See that all processes are there: one that waits for a block when it ends is missed by nobody else."""
        for worker in self._workers:
            worker.refuse_ended()

    def _serve(self, worker: _Worker, blocks: Iterator[Block]) -> None:
        """Give one worker a block after the other."""
        while True:
            self._room.acquire()
            with self._source:
                if self._ended:
                    return
                number, block, fault = self._taken, None, None
                try:
                    block = next(blocks)
                except StopIteration:
                    pass
                except BaseException as error:  # which is raised by whoever waits for the answers
                    fault = error
                self._taken += block is not None or fault is not None
                self._ended = block is None
            if block is None:
                self._put(number, fault)
                return
            found: Answer | BaseException
            try:
                found = worker.ask(block)
            except BaseException as error:
                found = error
            self._put(number, found)

    def _put(self, number: int, found: Answer | BaseException | None) -> None:
        with self._changed:
            if found is not None:
                self._answers[number] = found
            self._changed.notify_all()


class _Worker:
    """One process.

    Args:
        job: what it does.
        name: what messages call it.
    """

    def __init__(self, job: Job, name: str) -> None:
        self._name = name
        self._process = subprocess.Popen(
            [sys.executable, "-c", _START, *sys.path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # Ctrl-C is for the process that writes: the others end with it.
            start_new_session=True,
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._requests, self._answers = self._process.stdin, self._process.stdout
        with suppress(OSError):  # of a process that ended at once, which `wait` sees
            write_message(self._requests, asdict(job))

    def wait(self) -> None:
        """Wait until the model is loaded."""
        try:
            fault = read_answer(self._answers).fault
        except EOFError:
            raise self._gone() from None
        if fault is not None:
            raise SeqkitError(fault)

    def ask(self, block: Block) -> Answer:
        """Have a block answered."""
        try:
            write_block(self._requests, block)
            return read_answer(self._answers)
        except (EOFError, OSError):
            raise self._gone() from None

    def refuse_ended(self) -> None:
        """See that the process goes on."""
        if self._process.poll() is not None:
            raise self._gone()

    def end(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()
        self._process.wait()
        for stream in (self._requests, self._answers):
            with suppress(OSError):  # of what could not be sent any more
                stream.close()

    def _gone(self) -> SeqkitError:
        status = self._process.wait()
        if status >= 0:
            return SeqkitError(f"expected {self._name} to go on, found it ended with status {status}")
        name = signal.Signals(-status).name if -status in set(signal.Signals) else f"signal {-status}"
        hint = "; the machine may have too little memory" if name == "SIGKILL" else ""
        return SeqkitError(f"expected {self._name} to go on, found it ended by {name}{hint}")
