"""Several processes of this machine: requests go out to them, answers are put in order again."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from typing import Any

from seqkit.errors import SeqkitError
from seqkit.serving.process import Answer, Job, read_message, write_message

_START = "import sys; sys.path[:] = sys.argv[1:]; from seqkit.serving.worker import main; main()"
_LOOK = 0.2
"""seconds between two looks at whether all processes are there; nor can a longer wait be interrupted on Windows"""
_IN_FLIGHT = 3
"""requests a worker that are taken from the input before their answers are given"""


@contextmanager
def started_workers(job: Job, count: int) -> Iterator[Crew]:
    """Start processes that have loaded the model and wait for requests.

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
    """Processes that answer requests.

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

    def answers(self, requests: Iterator[Any]) -> Iterator[Answer]:
        """Have requests answered.

        Args:
            requests: the requests; no more than a few a worker are held at a time.

        Yields:
            The answers, in the order of the requests.

        Raises:
            SeqkitError: the requests end in a fault, or a process ended.
        """
        for worker in self._workers:
            threading.Thread(target=self._serve, args=(worker, requests), daemon=True).start()
        number = 0
        while True:
            with self._changed:
                while number not in self._answers:
                    if self._ended and number >= self._taken:
                        return
                    if not self._changed.wait(_LOOK):
                        self._check_running()
                found = self._answers.pop(number)
            if isinstance(found, BaseException):
                raise found
            yield found
            self._room.release()
            number += 1

    def _check_running(self) -> None:
        """See that all processes are there: one that waits for a request when it ends is missed by nobody else."""
        for worker in self._workers:
            worker.check_running()

    def _serve(self, worker: _Worker, requests: Iterator[Any]) -> None:
        """Give one worker a request after the other."""
        while True:
            self._room.acquire()
            with self._source:
                if self._ended:
                    return
                number, request, fault = self._taken, None, None
                try:
                    request = next(requests)
                except StopIteration:
                    pass
                except BaseException as error:  # which is raised by whoever waits for the answers
                    fault = error
                self._taken += request is not None or fault is not None
                self._ended = request is None
            if request is None:
                self._put(number, fault)
                return
            found: Answer | BaseException
            try:
                found = worker.ask(request)
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
            fault = read_message(self._answers)["fault"]
        except EOFError:
            raise self._gone() from None
        if fault is not None:
            raise SeqkitError(fault)

    def ask(self, request: Any) -> Answer:
        """Have a request answered."""
        try:
            write_message(self._requests, request)
            found: Answer = read_message(self._answers)
            return found
        except (EOFError, OSError):
            raise self._gone() from None

    def check_running(self) -> None:
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
            return SeqkitError(f"{self._name} exited with status {status}")
        name = signal.Signals(-status).name if -status in set(signal.Signals) else f"signal {-status}"
        hint = "; the machine may be out of memory" if name == "SIGKILL" else ""
        return SeqkitError(f"{self._name} was ended by {name}{hint}")
