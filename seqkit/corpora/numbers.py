"""Labels of texts that are numbers, of which nearly all may differ: how they are known, and what they are like."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from seqkit.records import Sentence, TextRecord

AS_NUMBERS = "nearly all labels are numbers; --regression learns them as such"
_NEARLY_ALL = 0.95
"""share of the labels that are numbers"""
_FEWEST = 20
"""different numbers up to which they may stand for classes, as one to five stars do"""
_FRACTIONS = 0.1
"""share of numbers that are no whole ones from which on they stand for no classes"""
_DIFFERENT = 0.5
"""share of whole numbers that are different from which on they stand for no classes"""
_QUANTILES = (0.0, 0.25, 0.5, 0.75, 1.0)


def as_number(value: Any) -> float | None:
    """A label as a number; None if it is none, or not finite."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        found = math.nan if "_" in str(value) else float(value)  # to Python 1_000 is a number
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def are_numbers(labels: Sequence[Any]) -> bool:
    """Whether labels are numbers to be predicted rather than names of classes.

    Args:
        labels: the label of each text.

    Returns:
        Whether nearly all are numbers, more than twenty different ones, and a tenth of them no whole numbers or half of
        them different.
    """
    found = [number for label in labels if (number := as_number(label)) is not None]
    different = set(found)
    if not labels or len(found) < _NEARLY_ALL * len(labels) or len(different) <= _FEWEST:
        return False
    fractions = sum(not number.is_integer() for number in found)
    return fractions >= _FRACTIONS * len(found) or len(different) > _DIFFERENT * len(found)


def labels_in(records: Sequence[Sentence | TextRecord], field: str) -> list[Any]:
    """The labels of texts as they are in their fields."""
    return [record.fields.get(field) for record in records]


def number_statistics(labels: Sequence[Any]) -> dict[str, float]:
    """What numbers are like.

    Args:
        labels: the label of each text; those that are no numbers do not count.

    Returns:
        ``mean``, and the quantiles ``0%``, ``25%``, ``50%``, ``75%`` and ``100%``; empty if there are no numbers.
    """
    found = sorted(number for label in labels if (number := as_number(label)) is not None)
    if not found:
        return {}
    quantiles = {f"{share:.0%}": found[round(share * (len(found) - 1))] for share in _QUANTILES}
    return {"mean": math.fsum(number / len(found) for number in found), **quantiles}
