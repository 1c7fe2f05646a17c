"""Ctrl-C, SIGTERM and a closed terminal (SIGHUP) while training: a flag that is looked at between steps."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_ENDS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
"""signals that ask for an end; Windows has no SIGHUP"""


class Interrupted(KeyboardInterrupt):
    """Training was interrupted by a signal; a checkpoint has been written.

    Args:
        number: the signal; 0 for one that another process got.
    """

    def __init__(self, number: int = 0) -> None:
        super().__init__()
        self.number = number or signal.SIGINT


class Signals:
    """Which signal asked for an end.

    Attributes:
        number: the signal, 0 for none.
    """

    def __init__(self) -> None:
        self.number = 0
        self._raises = False

    def __bool__(self) -> bool:
        """Whether a signal came."""
        return bool(self.number)

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Note signals instead of ending; a second one ends at once. Signals reach the main thread alone.

        One that whoever started the process has it ignore, as ``nohup`` and shells do for what runs in the background,
        stays ignored.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def note(number: int, frame: FrameType | None) -> None:
            if self.number:
                raise KeyboardInterrupt
            self.number = number
            if self._raises:
                raise Interrupted(number)

        heeded = (n for n in _ENDS if signal.getsignal(n) not in (signal.SIG_IGN, None))
        before = {number: signal.signal(number, note) for number in heeded}
        try:
            yield
        finally:
            for number, handler in before.items():
                if signal.getsignal(number) is note:  # and not ignored meanwhile, for the time that an end takes
                    signal.signal(number, handler)

    @contextmanager
    def raised(self) -> Iterator[None]:
        """End at the first signal, too: for what takes long and can be done again.

        Yields:
            Nothing.

        Raises:
            Interrupted: a signal came, or had come.
        """
        self._raises = True
        try:
            if self.number:
                raise Interrupted(self.number)
            yield
        finally:
            self._raises = False
