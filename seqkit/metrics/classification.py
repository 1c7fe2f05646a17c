"""Scores of a classifier: accuracy, and precision, recall and F1 of each label."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from seqkit.metrics.ranking import Ranking
from seqkit.metrics.scores import LabelReport, Score, plural, score_labels, text_table


@dataclass(frozen=True)
class Baseline:
    """The scores of a simpler classifier on the same texts.

    Args:
        name: the kind of classifier.
        accuracy: the share of texts that it labels correctly, between 0 and 1.
        macro_f1: its mean F1 over labels.
    """

    name: str
    accuracy: float
    macro_f1: float


@dataclass(frozen=True)
class LeftOut:
    """In place of the scores of a simpler classifier: that there is none.

    Args:
        reason: a line that says why.
    """

    reason: str


@dataclass(frozen=True)
class ClassificationReport(LabelReport):
    """The scores of a classifier on a set of texts.

    Args:
        sentences: the number of texts that were scored.
        tokens: the number of their tokens.
        accuracy: the share of texts whose label is correct (with several labels: all of them), between 0 and 1.
        per_label: label → score, of every label among the gold or predicted ones.
        micro: all labels together, where a text may have several; None where it has one: then it equals the accuracy.
        baseline: the scores of a simpler classifier, where one was trained, or why there is none.
        loss: the mean of −ln p of the gold labels, in nats, where it is known.
        unit: what a text is called.
        ranking: how candidates are ranked within their groups, where that is asked for.
    """

    micro: Score | None = None
    baseline: Baseline | LeftOut | None = None
    loss: float | None = None
    unit: str = "text"
    ranking: Ranking | None = None

    @property
    def score(self) -> float:
        """The score that selects the best model: accuracy, or micro F1 where a text may have several labels."""
        return self.accuracy if self.micro is None else self.micro.f1

    @property
    def left_out(self) -> dict[str, str]:
        """See `LabelReport.left_out`; also the baseline."""
        baseline = {"baseline": self.baseline.reason} if isinstance(self.baseline, LeftOut) else {}
        return {**super().left_out, **baseline}

    def to_json(self) -> dict[str, Any]:
        """The report as a JSON object.

        Returns:
            ``sentences``, ``tokens``, ``accuracy``, ``macro_f1`` and ``per_label``; where a text may have several
            labels also ``micro_f1``; where a baseline was trained also ``baseline`` with its ``name``, ``accuracy``
            and ``macro_f1``; where it is known ``loss``; where candidates are ranked ``map``, ``mrr`` and ``ranking``;
            and ``left_out``, as in every report on labels (see `LabelReport.left_out`).
        """
        micro = {} if self.micro is None else {"micro_f1": self.micro.f1}
        baseline = {"baseline": asdict(self.baseline)} if isinstance(self.baseline, Baseline) else {}
        loss = {} if self.loss is None else {"loss": self.loss}
        ranked = {} if self.ranking is None else self.ranking.to_json()
        return self._json({"macro_f1": self.macro.f1, **micro, **loss}) | ranked | baseline

    def render(self, width: int = 80) -> str:
        """The report as a table of text.

        Args:
            width: columns of the terminal; longer labels are cut.

        Returns:
            Lines without a final line ending: a row per label, the averages, the baseline where there is one, and the
            accuracy.
        """
        table = self._table({"micro avg": self.micro, "macro avg": self.macro}, width)
        parts = [table]
        if isinstance(self.baseline, Baseline):
            head = [" " * table.index("  precision"), " accuracy", "macro f1"]  # at least as wide as the names above
            both = (Baseline("this model", self.accuracy, self.macro.f1), self.baseline)
            rows = [[one.name, f"{one.accuracy:.4f}", f"{one.macro_f1:.4f}"] for one in both]
            parts.append(text_table([head, [], *rows]))
        scope = "" if self.micro is None else " with every label right"
        closing = f"accuracy {self.accuracy:.4f} of {plural(self.sentences, self.unit)}{scope}"
        ranked = [] if self.ranking is None else [textwrap.fill(self.ranking.render(), max(width, 20))]
        return "\n\n".join([*parts, textwrap.fill(closing, max(width, 20)), *ranked])


def classification_report(
    gold: Sequence[Sequence[str]],
    predicted: Sequence[Sequence[str]],
    *,
    multi: bool = False,
    tokens: int = 0,
    baseline: Baseline | LeftOut | None = None,
    loss: float | None = None,
    unit: str = "text",
) -> ClassificationReport:
    """Compare predicted labels with gold ones.

    Args:
        gold: the gold labels of each text; a label that the model never saw counts as missed.
        predicted: the labels that a classifier predicted.
        multi: whether a text may have several labels, or none.
        tokens: the number of tokens of all texts.
        baseline: the scores of a simpler classifier on the same texts, or why there is none.
        loss: the mean of −ln p of the gold labels, where it is known.
        unit: what a text is called.

    Returns:
        The report.

    Raises:
        ValueError: there are not as many predicted texts as gold ones.

    Examples:
        >>> report = classification_report([["x"], ["y"], ["y"]], [["x"], ["x"], ["y"]])
        >>> round(report.accuracy, 2), round(report.macro.f1, 2), report.per_label["y"].precision
        (0.67, 0.67, 1.0)
    """
    if len(gold) != len(predicted):
        raise ValueError(f"expected labels for {plural(len(gold), 'text')}, found {len(predicted)}")
    pairs = [(set(right), set(guess)) for right, guess in zip(gold, predicted, strict=True)]
    per_label, micro = score_labels(
        Counter(label for right, guess in pairs for label in right & guess),
        Counter(label for _, guess in pairs for label in guess),
        Counter(label for right, _ in pairs for label in right),
    )
    accuracy = sum(right == guess for right, guess in pairs) / max(1, len(pairs))
    return ClassificationReport(len(gold), tokens, accuracy, per_label, micro if multi else None, baseline, loss, unit)
