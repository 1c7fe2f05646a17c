"""Scores of predicted numbers: mean squared error, and how they correlate with the right ones."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from seqkit.metrics.classification import LeftOut
from seqkit.metrics.ranking import Ranking
from seqkit.metrics.scores import figure, plural, text_table


@dataclass(frozen=True)
class RegressionBaseline:
    """The scores of a simpler model on the same records.

    Args:
        name: the kind of model.
        mse: its mean squared error.
        pearson: its correlation with the right numbers.
        spearman: that of the ranks.
    """

    name: str
    mse: float
    pearson: float
    spearman: float


@dataclass(frozen=True)
class RegressionReport:
    """How good predicted numbers are.

    Args:
        sentences: how many records were scored.
        tokens: the number of their tokens.
        mse: the mean of (predicted − right)².
        pearson: Pearson's correlation of predicted and right numbers; 0 where either are all the same.
        spearman: that of their ranks, ties having their mean rank.
        baseline: the scores of a simpler model, where one was trained, or why there is none.
        unit: what a record is called.
        ranking: see `seqkit.metrics.ranking.Ranking`, where candidates are ranked.
    """

    sentences: int
    tokens: int
    mse: float
    pearson: float
    spearman: float
    baseline: RegressionBaseline | LeftOut | None = None
    unit: str = "text"
    ranking: Ranking | None = None

    @property
    def left_out(self) -> dict[str, str]:
        """What `to_json` leaves out, by its key: a line that says what, and why."""
        return {"baseline": self.baseline.reason} if isinstance(self.baseline, LeftOut) else {}

    def to_json(self) -> dict[str, Any]:
        """The report as a JSON object: ``sentences``, ``tokens``, ``mse``, ``pearson``, ``spearman``, ``baseline``."""
        names = ("sentences", "tokens", "mse", "pearson", "spearman")
        found: dict[str, Any] = {name: getattr(self, name) for name in names}
        if self.ranking is not None:
            found |= self.ranking.to_json()
        if isinstance(self.baseline, RegressionBaseline):
            found["baseline"] = asdict(self.baseline)
        return found | ({"left_out": self.left_out} if self.left_out else {})

    def render(self, width: int = 80) -> str:
        """The report as a table of text.

        Args:
            width: columns of the terminal.

        Returns:
            Lines without a final line ending.
        """
        rows: list[Any] = [self, *([self.baseline] if isinstance(self.baseline, RegressionBaseline) else [])]
        cells = [
            [
                getattr(row, "name", "this model"),
                *(figure(name, getattr(row, name)) for name in ("mse", "pearson", "spearman")),
            ]
            for row in rows
        ]
        head = ["", "mean squared error", "Pearson", "Spearman"]
        parts = [text_table([head, [], *cells], width=width), f"scores of {plural(self.sentences, self.unit)}"]
        return "\n\n".join(
            [*parts, *([textwrap.fill(self.ranking.render(), max(width, 20))] if self.ranking is not None else [])]
        )


def pearson(first: Sequence[float], second: Sequence[float]) -> float:
    r"""Pearson's correlation, :math:`\sum (x - \bar x)(y - \bar y) / \sqrt{\sum (x - \bar x)^2 \sum (y - \bar y)^2}`.

    Args:
        first: x.
        second: y, as many.

    Returns:
        The correlation, from −1 to 1; 0 where x or y are all the same, which has none.
    """
    x, y = (_unit(np.asarray(values, dtype=np.float64)) for values in (first, second))
    return float(np.clip(x @ y, -1.0, 1.0)) if len(x) else 0.0


def spearman(first: Sequence[float], second: Sequence[float]) -> float:
    """Spearman's correlation: Pearson's of the ranks, where equal numbers have the mean of their ranks.

    Args:
        first: numbers.
        second: as many others.

    Returns:
        The correlation, from −1 to 1; see `pearson`.
    """
    return pearson(_ranks(first), _ranks(second))


def _unit(values: Any) -> Any:
    """Numbers without their mean, of length 1; zeros of equal numbers."""
    if not len(values) or values.min() == values.max():
        return np.zeros(len(values))
    # A power of two changes no digit, and no sum overflows; the mean that is left is that of the rounding.
    values = np.ldexp(values, -int(np.frexp(np.abs(values).max())[1]))
    values = values - values.mean()
    values = values - values.mean()
    values = values / np.abs(values).max()  # only now, when no offset takes digits, so that no square underflows
    norm = math.sqrt(float(values @ values))
    return values / norm if norm > 0 else np.zeros(len(values))


def _ranks(values: Sequence[float]) -> list[float]:
    _, inverse, counts = np.unique(np.asarray(values, dtype=np.float64), return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    means = last - (counts - 1) / 2.0
    return [float(rank) for rank in means[inverse.reshape(-1)]]


def regression_report(
    gold: Sequence[float],
    predicted: Sequence[float],
    *,
    tokens: int = 0,
    baseline: RegressionBaseline | LeftOut | None = None,
    unit: str = "text",
) -> RegressionReport:
    """Compare predicted numbers with the right ones.

    Args:
        gold: the right numbers.
        predicted: the predicted ones.
        tokens: the number of tokens of all records.
        baseline: the scores of a simpler model, or why there is none.
        unit: what a record is called.

    Returns:
        The report.

    Raises:
        ValueError: there are not as many predicted numbers as right ones.

    Examples:
        >>> report = regression_report([1, 2, 4], [1, 2, 3])
        >>> round(report.mse, 2), round(report.pearson, 2), round(report.spearman, 2)
        (0.33, 0.98, 1.0)
    """
    if len(gold) != len(predicted):
        raise ValueError(f"expected numbers for {plural(len(gold), unit)}, found {len(predicted)}")
    errors = [(right - guess) ** 2 for right, guess in zip(gold, predicted, strict=True)]
    mse = math.fsum(errors) / max(1, len(errors))
    correlations = pearson(gold, predicted), spearman(gold, predicted)
    return RegressionReport(len(gold), tokens, mse, *correlations, baseline, unit)
