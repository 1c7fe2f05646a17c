r"""What a person is shown: a text from a file, a model or the environment cannot command the terminal.

Control characters move the cursor, clear the screen, set the clipboard, or print over what stands there (ECMA-48,
https://ecma-international.org/publications-and-standards/standards/ecma-48/); bidirectional overrides and isolates show
a text in another order than it has (https://www.unicode.org/reports/tr9/, and CVE-2021-42574). Both are shown as
escapes, such as ``\x1b`` and ``\u202e``. Results that programs read (predictions, converted files, JSON) stay as they
are, and are not written with the functions here.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn

_UNSHOWN = re.compile("[\0-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""C0 and C1 controls, DEL, separators of lines and paragraphs, bidirectional overrides and isolates, lone surrogates"""
_UNSHOWN_BUT_LINES = re.compile(_UNSHOWN.pattern.replace("\0-", "\0-\x09\x0b-"))

_PLAIN = re.compile(r"(?:[^\W_]|(?<=[^\W_])_(?=[^\W_])|[+(),:-])+(?: (?:[^\W_]|(?<=[^\W_])_(?=[^\W_])|[+(),:-])+)*")
"""words that are themselves in Markdown"""


def printable(text: str) -> str:
    r"""A text of several lines for a person.

    Args:
        text: any text.

    Returns:
        The text with escapes for what is no visible character, other than ``\n``; what is escaped already stays.

    Examples:
        >>> print(printable("red: \x1b[31m, right to left: \u202e"))
        red: \x1b[31m, right to left: \u202e
    """
    return text if text.isascii() and text.isprintable() else _UNSHOWN_BUT_LINES.sub(_escape, text)


def one_line(text: object) -> str:
    r"""A text for a person that is to stay on its line: a name, a label, a cell of a table, a note.

    Args:
        text: any text, or what has one.

    Returns:
        The text with escapes for what is no visible character, ``\n`` too.

    Examples:
        >>> print(one_line("two\nlines"))
        two\nlines
    """
    found = str(text)
    return found if found.isascii() and found.isprintable() else _UNSHOWN.sub(_escape, found)


def code(text: object) -> str:
    """A text as a code span in Markdown, where nothing of it means anything.

    See https://spec.commonmark.org/0.31.2/#code-spans.

    Args:
        text: any text.

    Returns:
        The span, on one line.

    Examples:
        >>> print(code("ner"), code("a`b"))
        `ner` ``a`b``
    """
    found = one_line(text)
    fence = "`" * (1 + max(map(len, re.findall("`+", found)), default=0))
    space = " " if not found.strip() or found[:1] == "`" or found[-1:] == "`" else ""
    return f"{fence}{space}{found}{space}{fence}"


def markdown(text: object) -> str:
    """A text in Markdown: as it is, or as a code span where a part of it might be taken for a mark or a link.

    Args:
        text: any text.

    Returns:
        The text, on one line.

    Examples:
        >>> print(markdown("LOC"), markdown("[LOC](x)"))
        LOC `[LOC](x)`
    """
    found = one_line(text)
    return found if _PLAIN.fullmatch(found) else code(found)


def _escape(found: re.Match[str]) -> str:
    # Those beyond ASCII as TOML and JSON have them, so that settings that are shown can be read back.
    mark = found[0]
    return mark.encode("unicode_escape").decode() if mark.isascii() else f"\\u{ord(mark):04x}"


def tell(line: object) -> None:
    """Write a line to standard error: a note, a warning, progress.

    Args:
        line: the line.
    """
    print(one_line(line), file=sys.stderr, flush=True)


def show(text: str) -> None:
    """Write a result for a person, such as a table, to standard output.

    Args:
        text: its lines, without a final line ending.
    """
    print(printable(text), flush=True)


class Screen:
    """A stream for messages, whoever writes them, that escapes what is no visible character.

    It may not be writable: of a full disk under a log a run takes no notice.

    Args:
        stream: the stream.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        """Write, if it can be done."""
        with suppress(OSError):
            self.stream.write(printable(text))
        return len(text)

    def flush(self) -> None:
        """Flush, if it can be done."""
        with suppress(OSError):
            self.stream.flush()

    def __getattr__(self, name: str) -> Any:
        """What is the same as in the stream."""
        return getattr(self.stream, name)


@contextmanager
def screened_errors() -> Iterator[None]:
    """See that nothing reaches standard error but through a `Screen`.

    Yields:
        Nothing.
    """
    before = sys.stderr
    sys.stderr = Screen(before)
    try:
        yield
    finally:
        sys.stderr = before


def progress_bar(*columns: ProgressColumn, **options: Any) -> Progress:
    """A bar on standard error, which rich draws with control characters of its own: texts in it have to be `one_line`.

    Args:
        *columns: what stands after a task's name and its bar.
        **options: of `rich.progress.Progress`.

    Returns:
        The bar, to be used as a context.
    """
    from rich.console import Console  # which help texts need not wait for
    from rich.progress import BarColumn, Progress, TextColumn

    stream = sys.stderr.stream if isinstance(sys.stderr, Screen) else sys.stderr
    name = TextColumn("{task.description}", markup=False)
    # What others write to the streams meanwhile is not rich's to interpret.
    options = {"console": Console(file=stream), "redirect_stdout": False, "redirect_stderr": False, **options}
    return Progress(name, BarColumn(), *columns, **options)
