"""Precision, recall and F1, and rows of the tables that show them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["SCORE_COLUMNS", "Score", "macro_average", "plural", "score_head", "score_row"]

SCORE_COLUMNS = 41
"""columns that the numbers of a row take"""


@dataclass(frozen=True)
class Score:
    """Precision, recall and F1, each between 0 and 1, of one label or of all.

    Args:
        precision: the share of the predicted ones that are right; 0 where nothing is predicted.
        recall: the share of the gold ones that are found; 0 where there are none.
        f1: the harmonic mean of the two, 2 · precision · recall / (precision + recall); 0 where both are.
        support: how many gold ones there are.
    """

    precision: float
    recall: float
    f1: float
    support: int

    @classmethod
    def of_counts(cls, correct: int, predicted: int, gold: int) -> Score:
        """The score of so many correct ones among so many predicted and gold ones."""
        precision = correct / predicted if predicted else 0.0
        recall = correct / gold if gold else 0.0
        return cls(precision, recall, 2 * correct / (predicted + gold) if correct else 0.0, gold)


def macro_average(scores: Sequence[Score]) -> Score:
    """The plain mean over labels, seldom ones counting as much as frequent ones.

    Args:
        scores: one score a label.

    Returns:
        The means; the support is that of all.
    """
    count = max(len(scores), 1)
    precision, recall, f1 = (
        sum(getattr(score, name) for score in scores) / count for name in ("precision", "recall", "f1")
    )
    return Score(precision, recall, f1, sum(score.support for score in scores))


def score_head(first: int) -> str:
    """The first line of a table of scores.

    Args:
        first: how wide the column of names is.

    Returns:
        The line.
    """
    return f"{'':{first}}  precision    recall        f1   support"


def score_row(name: str, score: Score, first: int) -> str:
    """One line of a table of scores.

    Args:
        name: what is scored, cut where it is too long.
        score: its score.
        first: how wide the column of names is.

    Returns:
        The line.
    """
    shown = name if len(name) <= first else name[: first - 1] + "…"
    return f"{shown:{first}}  {score.precision:9.4f} {score.recall:9.4f} {score.f1:9.4f} {score.support:9d}"


def plural(count: int, noun: str) -> str:
    """A number of things in words.

    Args:
        count: how many.
        noun: what one is called.

    Returns:
        For example ``1 token``, ``1,234 tokens``.
    """
    return f"{count:,} {noun}" + ("" if count == 1 else "s")
