"""One family of errors: everything that a user can cause is a `SeqkitError`.

The command line renders these as one line, ``error: …``, and exits with status 1; nothing else reaches a user as
a traceback. A message says what was expected and what was found, with ``file:line`` where there is a file.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

_NO_MEMORY = re.compile(
    "out of memory|can't allocate memory|ALLOC_FAILED|bad_alloc|bad allocation"
    "|could not (create|execute) a primitive(?! desc)|could not create a memory object"
)
"""what torch says of memory of the processor, for which it raises nothing narrower, and the libraries beneath it; the
last ones are oneDNN's, whose descriptors fail for other reasons"""

NOT_FINITE = "training diverged (try a smaller --lr), the weights are damaged, or a given number is too large"
"""why finite weights may give something that is no number"""

_LONGEST = 1_000
"""characters of faults that are told together"""

_LONGEST_MESSAGE = 2_000
"""characters of a message: what it quotes, a cell or a name, may be as long as a file"""


class SeqkitError(Exception):
    """A fault that a user can cause and mend.

    Args:
        message: what was expected and what was found; of a very long one the middle is left out.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(shortened(message))


class DataError(SeqkitError):
    """A fault in a data file, a vectors file or a data set's card.

    Args:
        message: what was expected and what was found.
        file: the file's name as the user gave it; None or empty if there is none.
        line: the line in that file, counted from 1; None or 0 if it is not about one line.

    Attributes:
        reason: the message without file and line, for one that names them in another way.
    """

    def __init__(self, message: str, *, file: object = None, line: int | None = None) -> None:
        where = "" if not file else f"{file}:{line}: " if line else f"{file}: "
        super().__init__(where + message)
        self.file = file or None
        self.line = line or None
        self.reason = shortened(message)


class SettingsError(SeqkitError):
    """A setting, recipe or flag whose value cannot be used."""


class ModelError(SeqkitError):
    """A model directory that is missing, damaged or of another format version."""


class TrainingError(SeqkitError):
    """A training run that cannot start or go on (an output directory in use, a loss that is not finite)."""


def no_such_file(path: object) -> str:
    """What to say of a file that another file names, relative to its folder, and that is not there.

    Args:
        path: the file.

    Returns:
        The message.
    """
    folder = os.path.dirname(os.path.abspath(str(path)))
    return f"cannot be read: No such file or directory; looked for in {shown(folder, 300)}"


@contextmanager
def file_errors(what: str, file: object = None) -> Iterator[None]:
    """Turn the system's error about a file inside the context into a `DataError`.

    Args:
        what: what is not possible, such as ``cannot be read``.
        file: the file.

    Yields:
        Once.

    Raises:
        DataError: there was such an error; the message ends with the system's reason.
    """
    try:
        yield
    except OSError as error:
        raise DataError(f"{what}: {error.strerror or error}", file=file) from None


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that there was too little memory, of the processor or of a GPU.

    Args:
        error: the exception.

    Returns:
        Whether less at a time might go well.
    """
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and _NO_MEMORY.search(str(error)) is not None
    )


_UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF)


def describe(error: Exception) -> str | None:
    """What to say of an exception that a user can cause or mend.

    Args:
        error: the exception.

    Returns:
        One line; None of what is a fault of the program, whose traceback should be seen.
    """
    if isinstance(error, SeqkitError):
        return str(error)
    if is_out_of_memory(error):
        return "out of memory; try a smaller --batch-tokens, --batch-size or --hidden"
    if isinstance(error, OSError):
        reason = error.strerror or str(error)
        if error.filename is not None:
            return f"{error.filename}: {reason}"
        return f"standard output cannot be written: {reason}" if error.errno in _UNWRITABLE else reason
    return None


def shortened(message: str) -> str:
    """A message, without its middle where it is very long."""
    return message if len(message) <= _LONGEST_MESSAGE else f"{message[: _LONGEST_MESSAGE - 100]} … {message[-97:]}"


def shown(value: object, most: int = 80) -> str:
    """The beginning of a value, on one line.

    Args:
        value: what was found; of an exception its message.
        most: characters.

    Returns:
        What a message says of it.

    Examples:
        >>> shown([1, 2, 3] * 99, 12)
        '[1, 2, 3, 1,…'
    """
    try:
        text = " ".join((str(value) or type(value).__name__ if isinstance(value, Exception) else repr(value)).split())
    except (ValueError, RecursionError):  # a number of thousands of digits, lists a thousand deep
        text = f"a {type(value).__name__}"
    return text if len(text) <= most else text[:most] + "…"


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint for a name that does not exist.

    Args:
        name: the name.
        known: the names that exist.

    Returns:
        ``; did you mean …?`` with the one most like it; empty if none is.
    """
    import difflib  # which help texts need not wait for

    found = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {found[0]!r}?" if found else ""


def listed(faults: Sequence[str], most: int = 8) -> str:
    """Faults that were found together as one message.

    Args:
        faults: what each says.
        most: so many are named, or fewer if they are long, and the others are counted.

    Returns:
        The message.

    Examples:
        >>> listed(["a: expected 1, found 2", "b: unknown field", "c: unknown field"], 2)
        'a: expected 1, found 2; b: unknown field; and 1 more'
    """
    named = [fault if len(fault) <= _LONGEST else fault[:_LONGEST] + "…" for fault in faults[:most]]
    while len(named) > 1 and sum(map(len, named)) > _LONGEST:
        named.pop()
    rest = [f"and {len(faults) - len(named):,} more"] if len(faults) > len(named) else []
    return "; ".join([*named, *rest])
