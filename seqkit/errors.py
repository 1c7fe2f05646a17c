"""One family of errors: everything that a user can cause is a `SeqkitError`.

The command line renders these as one line, ``error: …``, and exits with status 1; nothing else reaches a user as
a traceback. A message says what was expected and what was found, with ``file:line`` where there is a file.
"""

from __future__ import annotations

__all__ = ["DataError", "ModelError", "SeqkitError", "SettingsError", "TrainingError"]


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
