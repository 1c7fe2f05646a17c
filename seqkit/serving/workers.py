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

    def answers(self, requests: Iterator[Any]) -> Iterator[Answer]:
        """Have requests answered; may be called again once the answers before have ended or are closed.

        Args:
            requests: the requests; no more than a few a worker are held at a time.

        Yields:
            The answers, in the order of the requests.

        Raises:
            SeqkitError: the requests end in a fault, or a process ended.
        """
        call = _Call(requests, self._workers)
        try:
            while (found := call.answer()) is not None:
                if isinstance(found, BaseException):
                    raise found
                yield found
        finally:
            call.end()


class _Call:
    """Requests, each taken by the first worker that is free, and their answers until it is their turn.

    Args:
        requests: the requests.
        workers: the processes.
    """

    def __init__(self, requests: Iterator[Any], workers: list[_Worker]) -> None:
        self._requests, self._workers = requests, workers
        self._source = threading.Lock()
        self._changed = threading.Condition()
        self._answers: dict[int, Answer | BaseException | None] = {}  # None after the last one
        self._taken, self._turn = 0, -1
        self._ended = False  # whether no more requests are taken
        for worker in workers:
            threading.Thread(target=self._serve, args=(worker,), daemon=True).start()

    def answer(self) -> Answer | BaseException | None:
        """Wait for the next answer, or for the fault in its place; None after the last one."""
        with self._changed:
            self._turn += 1
            self._changed.notify_all()
            while self._turn not in self._answers:
                if not self._changed.wait(_LOOK):
                    for worker in self._workers:  # one that waits for a request when it ends is missed by nobody else
                        worker.check_running()
            return self._answers.pop(self._turn)

    def end(self) -> None:
        """Take no more requests; a thread that is waiting for one, or for an answer, ends when that is there."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _serve(self, worker: _Worker) -> None:
        """Give one worker a request after the other."""
        found: Answer | BaseException | None
        most = _IN_FLIGHT * len(self._workers)
        while True:
            with self._source:
                with self._changed:
                    self._changed.wait_for(lambda: self._ended or self._taken < self._turn + most)
                number, found = self._taken, None
                self._taken += 1
                try:
                    request = None if self._ended else next(self._requests, None)
                except BaseException as error:  # which is raised by whoever waits for the answers
                    request, found = None, error
                if request is None or self._ended:
                    self._ended = True
                    self._put(number, found)
                    return
            try:
                found = worker.ask(request)
            except BaseException as error:
                found = error
            self._put(number, found)

    def _put(self, number: int, found: Answer | BaseException | None) -> None:
        with self._changed:
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
        self._asked = threading.Lock()  # a request of an earlier call may not be answered yet
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
            with self._asked:
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
