"""A process that answers requests of another one: ``seqkit … predict --workers N``.

On its standard input come the job and then requests, on its standard output go answers, the first of which says whether
the model could be loaded. It ends where its input does: whatever ended the other process, no worker outlives it.
"""

from __future__ import annotations

import os
import sys
import threading
import traceback
from queue import SimpleQueue
from typing import IO, Any

from seqkit.errors import describe
from seqkit.serving.process import Job, open_model, read_message, write_message
from seqkit.terminal import Screen


def main() -> None:
    """Answer until there is nothing more to answer."""
    # Streams of its own: nothing that a library prints gets among the answers, and nothing waits for sys.stdin.
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    sys.stderr = Screen(sys.stderr)
    waiting: SimpleQueue[Any] = SimpleQueue()
    try:
        job = Job(**read_message(requests))
        threading.Thread(target=_receive, args=(requests, waiting), daemon=True).start()
        try:
            answer = open_model(job)
        except Exception as error:
            fault = describe(error)
            if fault is None:
                raise
            write_message(answers, {"fault": fault})
            return
        write_message(answers, {"fault": None})
        while True:
            write_message(answers, answer(waiting.get()))
    except (EOFError, BrokenPipeError):  # nobody is there any more
        os._exit(0)


def _receive(requests: IO[bytes], waiting: SimpleQueue[Any]) -> None:
    """Read requests, and end the process as soon as no more will come, also in the middle of one."""
    try:
        while True:
            waiting.put(read_message(requests))
    except EOFError:
        os._exit(0)
    except BaseException:  # or the other thread would wait for ever
        traceback.print_exc()
        os._exit(1)
