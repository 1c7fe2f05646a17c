"""One family of errors: everything that a user can cause is a `SeqkitError`.

The command line renders these as one line, ``error: …``, and exits with status 1; nothing else reaches a user as
a traceback. A message says what was expected and what was found, with ``file:line`` where there is a file.
"""

from __future__ import annotations

import errno
import re

__all__ = ["DataError", "ModelError", "SeqkitError", "SettingsError", "TrainingError", "is_out_of_memory"]

_NO_MEMORY = re.compile(
    "out of memory|can't allocate memory|ALLOC_FAILED|bad_alloc|bad allocation"
    "|could not (create|execute) a primitive(?! desc)|could not create a memory object"
)
"""what torch says of memory of the processor, for which it raises nothing narrower, and the libraries beneath it; the
last ones are oneDNN's, whose descriptors fail for other reasons"""


class SeqkitError(Exception):
    """A fault that a user can cause and mend."""


class DataError(SeqkitError):
    """A fault in a data file, a vectors file or a data set's card.

    Args:
        message: what was expected and what was found.
        file: the file's name as the user gave it, if there is one.
        line: the line in that file, counted from 1.
    """

    def __init__(self, message: str, *, file: object = None, line: int | None = None) -> None:
        where = "" if file is None else f"{file}: " if line is None else f"{file}:{line}: "
        super().__init__(where + message)
        self.file = file
        self.line = line


class SettingsError(SeqkitError):
    """A setting, recipe or flag whose value cannot be used."""


class ModelError(SeqkitError):
    """A model directory that is missing, damaged or of another format version."""


class TrainingError(SeqkitError):
    """A training run that cannot start or go on (an output directory in use, a loss that is not finite)."""


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
