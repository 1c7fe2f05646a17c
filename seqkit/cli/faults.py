"""Exceptions that a user can cause or mend, as the one line that is said of them."""

from __future__ import annotations

import errno

from seqkit.errors import SeqkitError, is_out_of_memory

__all__ = ["describe"]

_UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF)


def describe(error: Exception) -> str | None:
    """What to say of an exception.

    Args:
        error: the exception.

    Returns:
        What was expected and what was found; None of what is a fault of the program, whose traceback should be seen.
    """
    if isinstance(error, SeqkitError):
        return str(error)
    if is_out_of_memory(error):
        return "expected enough memory, found too little; try a smaller --batch-tokens, --batch-size or --hidden"
    if isinstance(error, OSError):
        reason = error.strerror or str(error)
        if error.filename is not None:
            return f"{error.filename}: {reason}"
        return f"standard output cannot be written: {reason}" if error.errno in _UNWRITABLE else reason
    return None
