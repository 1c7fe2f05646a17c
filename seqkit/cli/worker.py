"""A process that predicts blocks for another one, which writes the results: ``seqkit … predict --workers N``.

On its standard input come the job and then blocks, on its standard output go answers, the first of which says whether
the model could be loaded. It ends where its input does: whatever ended the other process, no worker outlives it.
"""

from __future__ import annotations

import os
import threading
import traceback
from queue import SimpleQueue
from typing import IO

from seqkit.cli.faults import describe
from seqkit.cli.jobs import Answer, Job, answer, prepare
from seqkit.cli.messages import read_block, read_message, write_answer
from seqkit.formats.blocks import Block

__all__ = ["main"]


def main() -> None:
    """Answer until there is nothing more to answer."""
    # Streams of its own: nothing that a library prints gets among the answers, and nothing waits for sys.stdin.
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    blocks: SimpleQueue[Block] = SimpleQueue()
    try:
        about, _ = read_message(requests)
        threading.Thread(target=_receive, args=(requests, blocks), daemon=True).start()
        try:
            work = prepare(Job(**about))
        except Exception as error:
            fault = describe(error)
            if fault is None:
                raise
            write_answer(answers, Answer(b"", [], fault))
            return
        write_answer(answers, Answer(b"", [], None))
        while True:
            write_answer(answers, answer(work, blocks.get()))
    except (EOFError, BrokenPipeError):  # nobody is there any more
        os._exit(0)


def _receive(requests: IO[bytes], blocks: SimpleQueue[Block]) -> None:
    """Read blocks, and end the process as soon as no more will come, also in the middle of one."""
    try:
        while True:
            blocks.put(read_block(requests))
    except EOFError:
        os._exit(0)
    except BaseException:  # or the other thread would wait for ever
        traceback.print_exc()
        os._exit(1)
