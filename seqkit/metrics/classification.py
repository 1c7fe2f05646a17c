"""How well predicted labels of texts agree with gold ones: accuracy, and precision, recall and F1 of each label."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from seqkit.metrics.scores import SCORE_COLUMNS, Score, macro_average, plural, score_head, score_row

__all__ = ["Baseline", "ClassificationReport", "classification_report"]


@dataclass(frozen=True)
class Baseline:
    """What a simpler classifier reaches on the same texts.

    Args:
        name: what it is.
        accuracy: the share of texts that it labels right, between 0 and 1.
        macro_f1: its mean F1 over labels.
    """

    name: str
    accuracy: float
    macro_f1: float


@dataclass(frozen=True)
class ClassificationReport:
    """The scores of one classifier on one set of texts.

    Args:
        sentences: how many texts were scored.
        tokens: how many tokens they have.
        accuracy: the share of texts whose label is right (whose labels are, all of them), between 0 and 1.
        per_label: the score of every label that occurs among gold or predicted ones, by name.
        micro: all labels together, where a text may have several; None where it has one, as this is the accuracy then.
        baseline: what a simpler classifier reaches, where one was trained.
    """

    sentences: int
    tokens: int
    accuracy: float
    per_label: dict[str, Score] = field(default_factory=dict)
    micro: Score | None = None
    baseline: Baseline | None = None

    @property
    def score(self) -> float:
        """The one number a classifier is judged by: accuracy, or micro F1 where a text may have several labels."""
        return self.accuracy if self.micro is None else self.micro.f1

    @property
    def macro(self) -> Score:
        """The plain mean over labels, seldom ones counting as much as frequent ones."""
        return macro_average(list(self.per_label.values()))

    def to_json(self) -> dict[str, Any]:
        """The report as a JSON object.

        Returns:
            ``sentences``, ``tokens``, ``accuracy``, ``macro_f1`` and ``per_label``; where a text may have several
            labels also ``micro_f1``; where a baseline was trained also ``baseline`` with its ``name``, ``accuracy``
            and ``macro_f1``.
        """
        report: dict[str, Any] = {
            "sentences": self.sentences,
            "tokens": self.tokens,
            "accuracy": self.accuracy,
            "macro_f1": self.macro.f1,
        }
        if self.micro is not None:
            report["micro_f1"] = self.micro.f1
        report["per_label"] = {label: asdict(score) for label, score in self.per_label.items()}
        if self.baseline is not None:
            report["baseline"] = asdict(self.baseline)
        return report

    def render(self, width: int = 80) -> str:
        """The report as a table of text.

        Args:
            width: columns of the terminal; longer labels are cut.

        Returns:
            Lines without a line ending at the end: a row a label, then the averages, then accuracy, beside that of the
            baseline where there is one.
        """
        averages = [("macro avg", self.macro)]
        if self.micro is not None:
            averages.insert(0, ("micro avg", self.micro))
        names = [*self.per_label, *(name for name, _ in averages)]
        first = max(len("micro avg"), min(max(map(len, names)), width - SCORE_COLUMNS))
        lines = [score_head(first), ""]
        lines += [score_row(label, score, first) for label, score in self.per_label.items()]
        lines += ["", *(score_row(name, score, first) for name, score in averages), ""]
        if self.baseline is not None:
            both = (Baseline("this model", self.accuracy, self.macro.f1), self.baseline)
            first = max(first, *(len(each.name) for each in both))
            lines += [f"{'':{first}}   accuracy  macro f1", ""]
            lines += [f"{each.name:{first}}  {each.accuracy:9.4f} {each.macro_f1:9.4f}" for each in both]
            lines += [""]
        of = "" if self.micro is None else " with every label right"
        closing = f"accuracy {self.accuracy:.4f} of {plural(self.sentences, 'text')}{of}"
        return "\n".join(lines + textwrap.wrap(closing, max(width, 20)))


def classification_report(
    gold: Sequence[Sequence[str]],
    predicted: Sequence[Sequence[str]],
    *,
    multi: bool = False,
    tokens: int = 0,
    baseline: Baseline | None = None,
) -> ClassificationReport:
    """Compare predicted labels with gold ones.

    Args:
        gold: the right labels of each text; a label that the model never saw counts as missed.
        predicted: a classifier's labels.
        multi: whether a text may have several labels, or none.
        tokens: how many tokens the texts have.
        baseline: what a simpler classifier reaches on them.

    Returns:
        The report.

    Raises:
        ValueError: the numbers of texts differ.

    Examples:
        >>> report = classification_report([["x"], ["y"], ["y"]], [["x"], ["x"], ["y"]])
        >>> round(report.accuracy, 2), round(report.macro.f1, 2), report.per_label["y"].precision
        (0.67, 0.67, 1.0)
    """
    if len(gold) != len(predicted):
        raise ValueError(f"expected labels for {len(gold)} texts, found {len(predicted)}")
    pairs = [(set(right), set(guess)) for right, guess in zip(gold, predicted, strict=True)]
    correct = Counter(label for right, guess in pairs for label in right & guess)
    guessed = Counter(label for _, guess in pairs for label in guess)
    wanted = Counter(label for right, _ in pairs for label in right)
    per_label = {
        label: Score.of_counts(correct[label], guessed[label], wanted[label]) for label in sorted(guessed | wanted)
    }
    return ClassificationReport(
        len(gold),
        tokens,
        sum(right == guess for right, guess in pairs) / max(1, len(pairs)),
        per_label,
        Score.of_counts(correct.total(), guessed.total(), wanted.total()) if multi else None,
        baseline,
    )
