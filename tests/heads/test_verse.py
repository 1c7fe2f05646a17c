from __future__ import annotations

import pytest

from seqkit.heads.generation.verse import LINE_ENDS, line_lengths


@pytest.mark.parametrize(
    ("text", "lengths"),
    [
        ("", []),
        ("ab", [2]),
        ("ab\ncd\n", [2, 2]),
        ("\u767d\u65e5\uff0c\u4f9d\u5c71\u76e1\u3002", [2, 3]),
        ("a\uff1f\uff01b", [1, 0, 1]),
        ("ab\u3002\nabc\uff01\n", [2, 3]),  # a mark and a line break are one end
        ("ab\u3002\n\nc\n\nd", [2, 0, 1, 0, 1]),
        ("a, b. c?", [8]),  # only full-width marks are ends of lines of verse
    ],
)
def test_lengths_of_lines(text: str, lengths: list[int]) -> None:
    assert line_lengths(text) == lengths
    assert sum(lengths) == len([character for character in text if character not in LINE_ENDS])
