"""Precision, recall and F1 of labels, and tables of text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from seqkit.terminal import one_line

MOST_LABELS = 1000
"""labels whose own scores a report keeps; averages are always of all"""
_MOST_ROWS = 100
"""labels in a printed table"""
_LEAST = 9
"""columns that the names of a table keep on a narrow terminal"""
_ERROR_RATES = ("wer", "cer")
"""scores that are shown in percent"""


@dataclass(frozen=True)
class Score:
    """Precision, recall and F1, each between 0 and 1, of one label or of all.

    Args:
        precision: the share of the predicted ones that are correct; 0 where nothing is predicted.
        recall: the share of the gold ones that are found; 0 where there are none.
        f1: the harmonic mean of the two, 2 · precision · recall / (precision + recall); 0 where both are.
        support: the number of gold ones.
    """

    precision: float
    recall: float
    f1: float
    support: int

    @classmethod
    def of_counts(cls, correct: int, predicted: int, gold: int) -> Score:
        """The score from the numbers of correct, predicted and gold ones."""
        precision = correct / predicted if predicted else 0.0
        recall = correct / gold if gold else 0.0
        return cls(precision, recall, 2 * correct / (predicted + gold) if correct else 0.0, gold)


def score_labels(correct: Counter[str], predicted: Counter[str], gold: Counter[str]) -> tuple[dict[str, Score], Score]:
    """Score labels by how often each occurs.

    Args:
        correct: label → how often it is predicted and correct.
        predicted: label → how often it is predicted.
        gold: label → how often it is a gold label.

    Returns:
        The score of every label that is predicted or gold, in the order of code points, and the micro average.
    """
    labels = sorted(predicted | gold)
    per_label = {label: Score.of_counts(correct[label], predicted[label], gold[label]) for label in labels}
    return per_label, Score.of_counts(correct.total(), predicted.total(), gold.total())


@dataclass(frozen=True)
class LabelReport:
    """What the reports on predicted labels have in common.

    Args:
        sentences: the number of sentences or texts that were scored.
        tokens: the number of their tokens.
        accuracy: the share of correct predictions, between 0 and 1.
        per_label: label → score, of every label among the gold or predicted ones.
    """

    sentences: int
    tokens: int
    accuracy: float
    per_label: dict[str, Score] = field(default_factory=dict)

    @property
    def macro(self) -> Score:
        """The unweighted mean over labels: rare labels count as much as frequent ones."""
        scores = list(self.per_label.values())
        count = max(len(scores), 1)
        precision, recall, f1 = (
            sum(getattr(score, name) for score in scores) / count for name in ("precision", "recall", "f1")
        )
        return Score(precision, recall, f1, sum(score.support for score in scores))

    @property
    def left_out(self) -> dict[str, str]:
        """What `to_json` leaves out, by its key: a line that says what, and why."""
        more = len(self.per_label) - MOST_LABELS
        if more <= 0:
            return {}
        kept = f"scores are kept of the {MOST_LABELS:,} most frequent labels of {len(self.per_label):,}"
        return {"per_label": f"{kept}; accuracy and averages are of all"}

    def _most_frequent(self, most: int) -> dict[str, Score]:
        """The labels with the most gold ones, in the order of code points."""
        if len(self.per_label) <= most:
            return self.per_label
        ranked = sorted(self.per_label, key=lambda label: (-self.per_label[label].support, label))
        return {label: self.per_label[label] for label in sorted(ranked[:most])}

    def _json(self, averages: dict[str, Any]) -> dict[str, Any]:
        """The keys of every such report, with `averages` before the labels."""
        counts = {"sentences": self.sentences, "tokens": self.tokens, "accuracy": self.accuracy}
        per_label = {label: asdict(score) for label, score in self._most_frequent(MOST_LABELS).items()}
        left_out = {"left_out": self.left_out} if self.left_out else {}
        return {**counts, **averages, "per_label": per_label, **left_out}

    def _table(self, averages: dict[str, Score | None], width: int) -> str:
        """A table with a row per label, the most frequent ones if there are many, and one per average not None."""
        head = ["", "precision", "  recall", "      f1", " support"]
        labels = [_row(name, score) for name, score in self._most_frequent(_MOST_ROWS).items()]
        if (more := len(self.per_label) - len(labels)) > 0:
            labels += [[], [f"… {more:,} rarer labels", "", "", "", ""]]
        means = [_row(name, score) for name, score in averages.items() if score is not None]
        return text_table([head, [], *labels, [], *means], width=width)


def _row(name: str, score: Score) -> list[str]:
    return [name, f"{score.precision:.4f}", f"{score.recall:.4f}", f"{score.f1:.4f}", str(score.support)]


def text_table(rows: Sequence[Sequence[str]], names: int = 1, width: int | None = None) -> str:
    """A table as text.

    Args:
        rows: the cells of each line, the headings first; all of the same length, but for empty rows, which give empty
            lines.
        names: the number of columns at the left that hold text; the others hold numbers and are aligned to the right.
        width: columns of the terminal: in a wider table the first column is cut.

    Returns:
        Lines without a final line ending.
    """
    rows = [list(map(one_line, row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(*filter(None, rows), strict=True)]
    if width is not None:
        widths[0] = min(widths[0], max(_LEAST, width - sum(widths[1:]) - 2 * len(widths[1:])))
    lines = []
    for row in rows:
        cells = []
        for column, (cell, size) in enumerate(zip(row, widths, strict=False)):
            shown = cell if len(cell) <= size else f"{cell[: size - 1]}…"
            cells.append(shown.ljust(size) if column < names else shown.rjust(size))
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def shown_score(name: str, value: float) -> str:
    """A score as progress lines show it.

    Args:
        name: what it is called.
        value: the score.

    Returns:
        An error rate in percent, as tables have it, such as ``5.03 %``; any other score as `figure` gives it.
    """
    return f"{100 * value:.2f} %" if name in _ERROR_RATES else figure(name, value)


def figure(name: str, value: float) -> str:
    """A score in digits.

    Args:
        name: what it is called.
        value: the score.

    Returns:
        Four decimals; of a mean squared error, which is as large or small as the data make it, six significant digits.
    """
    return f"{value:.6g}" if name == "mse" else f"{value:.4f}"


def plural(count: int, noun: str) -> str:
    """A number of things in words.

    Args:
        count: how many there are.
        noun: what one of them is called.

    Returns:
        For example ``1 token``, ``1,234 tokens``.
    """
    return f"{count:,} {noun}" + ("" if count == 1 else "s")
