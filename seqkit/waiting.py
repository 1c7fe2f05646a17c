"""Long calls of compiled code, during which Python looks at no signal: made in a thread that the main one waits for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

_Result = TypeVar("_Result")
_LOOK = 0.2
"""seconds after which Windows, where a signal ends no wait, looks for one"""

_left: list[threading.Thread] = []


def interruptible(call: Callable[[], _Result]) -> _Result:
    """Call a function so that Ctrl-C and SIGTERM act at once, whatever it is in the midst of.

    It has to give up the interpreter's lock meanwhile, as numpy, scikit-learn and tokenizers do, and no state of torch
    that belongs to a thread, such as `torch.inference_mode`, reaches it. What a signal interrupts is not stopped, only
    left alone; see `is_left`.

    Args:
        call: the function; away from the main thread, which alone gets signals, it is called directly.

    Returns:
        What it returns; what it raises is raised here.
    """
    if threading.current_thread() is not threading.main_thread():
        return call()
    found: list[_Result] = []
    faults: list[BaseException] = []
    done = threading.Event()

    def work() -> None:
        try:
            found.append(call())
        except BaseException as error:  # whatever it is, it is raised where it is waited for
            faults.append(error)
        finally:
            done.set()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while not done.wait(_LOOK):
            pass
    except BaseException:
        _left.append(thread)
        raise
    thread.join()
    if faults:
        raise faults.pop()
    return found.pop()


def is_left() -> bool:
    """Whether a call that was interrupted still runs: then the interpreter cannot end without waiting for it, or worse.

    Compiled code that comes back to an interpreter that has ended takes the process down with another status.
    """
    return any(thread.is_alive() for thread in _left)
