"""The lines of a text: where one ends, and how long each is."""

from __future__ import annotations

import re

LINE_ENDS = "\uff0c\u3002\uff01\uff1f\n"
"""ends of a line of verse: full-width comma, full stop, exclamation mark, question mark, and a line break"""

_LINE = re.compile(f"[^{LINE_ENDS}]*(?:[{LINE_ENDS[:-1]}]\\n?|\\n)|[^{LINE_ENDS}]+")


def line_lengths(text: str) -> list[int]:
    r"""The number of characters in each line of a text.

    Args:
        text: the text; a line ends with one of `LINE_ENDS`, or with a mark and the line break after it.

    Returns:
        One number per line, without the characters that end it.

    Examples:
        >>> line_lengths("To be\nor not to be")
        [5, 12]
    """
    return [len(line.rstrip(LINE_ENDS)) for line in _LINE.findall(text)]
