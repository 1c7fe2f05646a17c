"""What is wrong with the labels of a split as a whole: near-duplicates, nothing to learn, an order that hides some."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

_FEWEST_SORTED = 20
"""texts from which on their order is judged"""

_INVISIBLE = {"Cf", "Cc", "Zs", "Zl", "Zp"}
"""Unicode categories of characters that nobody sees in a label"""

_LIKE_O = {"0", "\u041e", "\u043e", "\u039f", "\u03bf"}
"""zero, and the Cyrillic and Greek letters, that look like the label ``O`` of tokens outside of spans"""


def near_duplicates(counts: Mapping[str, int]) -> Iterator[tuple[str, str]]:
    """Labels that are most likely meant to be the same.

    Args:
        counts: label → how often it occurs.

    Yields:
        The rarer label, and what is wrong with it and what to do.
    """
    groups: dict[str, list[str]] = {}
    for label in sorted(counts, key=lambda label: (-counts[label], label)):
        same = "o" if "O" in counts and label in _LIKE_O else _folded(label)
        groups.setdefault(same, []).append(label)
    for usual, *others in groups.values():
        for rare in others:
            how = _difference(rare, usual)
            told = f"label {rare!r} ({counts[rare]:,}) differs from {usual!r} ({counts[usual]:,}) only in {how}"
            yield rare, f"{told}; spell both the same"


def _folded(label: str) -> str:
    return _visible(unicodedata.normalize("NFKC", label)).casefold()


def _visible(label: str) -> str:
    return "".join(char for char in label if unicodedata.category(char) not in _INVISIBLE)


def _difference(one: str, other: str) -> str:
    if _LIKE_O & {one, other}:
        return "a character that looks like the letter O"
    if unicodedata.normalize("NFC", one) == unicodedata.normalize("NFC", other):
        return "Unicode normal form"
    if _visible(one) == _visible(other):
        return "blanks or invisible characters"
    if one.casefold() == other.casefold():
        return "case"
    if unicodedata.normalize("NFKC", one) == unicodedata.normalize("NFKC", other):
        return "width"
    return "spelling that nobody sees"


def nothing_to_learn(counts: Mapping[str, int], what: str) -> str:
    """What is wrong if all labels are the same.

    Args:
        counts: label → how often it occurs.
        what: what has a label.

    Returns:
        What is wrong and what to do; empty if there are several labels, or none.
    """
    if len(counts) != 1:
        return ""
    ((label, count),) = counts.items()
    found = f"every {what} has the label {label!r} ({count:,} in all), so there is nothing to learn"
    return f"{found}; --target or --label names another column"


def sorted_by_label(labels: Sequence[str]) -> str:
    """What is wrong if texts are sorted by their labels and the last tenth is held out.

    Args:
        labels: the label of each text, in order.

    Returns:
        What is wrong and what to do; empty if they are in no such order.
    """
    kinds = Counter(labels)
    changes = sum(before != after for before, after in pairwise(labels))
    if len(labels) < max(_FEWEST_SORTED, 5 * len(kinds)) or len(kinds) < 2 or changes >= 2 * len(kinds):
        return ""
    last = sorted(set(labels[len(labels) - max(1, len(labels) // 10) :]))
    shown = ", ".join(map(repr, last[:3])) + (", …" if len(last) > 3 else "")
    held_out = f"the last tenth, which is held out as dev, has only {shown} of {len(kinds)} labels"
    return f"the texts are sorted by label: {held_out}; shuffle the lines, or give a dev file"
