"""What a person sees of a run: a bar on a terminal, plain lines elsewhere; always on standard error."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import TracebackType
from typing import Any

from seqkit.terminal import one_line, progress_bar, tell


class Progress:
    """Messages and, on a terminal, a bar over the batches of an epoch.

    Args:
        quiet: say nothing.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> Progress:
        """Start the bar where standard error is a terminal."""
        if not self.quiet and sys.stderr.isatty():
            from rich.progress import TextColumn, TimeElapsedColumn, TimeRemainingColumn

            note = TextColumn("{task.fields[note]}", markup=False)
            self._bar = progress_bar(note, TimeElapsedColumn(), TimeRemainingColumn(), transient=True)
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = self._task = None

    def say(self, message: str) -> None:
        """Write one line."""
        if self.quiet:
            return
        if self._bar is not None:
            self._bar.console.print(one_line(message), markup=False, highlight=False, emoji=False)
        else:
            tell(message)

    def epoch(self, title: str, total: int, done: int = 0) -> Callable[[str], None]:
        """Begin an epoch of so many batches.

        Args:
            title: what stands before the bar.
            total: the number of batches.
            done: how many of them are done already.

        Returns:
            What to call after each batch, with a short note.
        """
        if self._bar is None:
            return lambda note: None
        if self._task is not None:
            self._bar.remove_task(self._task)
        task = self._task = self._bar.add_task(one_line(title), total=total, completed=done, note="")
        return lambda note: self._bar.update(task, advance=1, note=one_line(note))
