"""Exceptions that a user can cause or mend, as the one line that is said of them."""

from __future__ import annotations

import errno

from seqkit.errors import SeqkitError

__all__ = ["describe"]

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def describe(error: Exception) -> str | None:
    """What to say of an exception.

    Args:
        error: the exception.

    Returns:
        What was expected and what was found; None of what is a fault of the program, whose traceback should be seen.
    """
    if isinstance(error, SeqkitError):
        return str(error)
    if isinstance(error, OSError):
        reason = error.strerror or str(error)
        if error.filename is not None:
            return f"{error.filename}: {reason}"
        return f"standard output cannot be written: {reason}" if error.errno in _FULL else reason
    if isinstance(error, MemoryError):
        return "expected enough memory, found too little"
    # torch raises nothing narrower for memory of the processor
    if isinstance(error, RuntimeError) and any(
        words in str(error) for words in ("out of memory", "can't allocate memory")
    ):
        return "expected enough memory, found too little; try a smaller --batch-tokens, --batch-size or --hidden"
    return None
