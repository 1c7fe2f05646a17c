"""Many to one: a number for a whole text, a pair of texts or a sequence of vectors."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from seqkit.errors import DataError, ModelError, shown
from seqkit.formats.writers import clean
from seqkit.heads.base import Head, Loss
from seqkit.heads.classification.baseline import RidgeBaseline, TooLargeError, notes_on_dev, tokens_of
from seqkit.heads.classification.module import RegressionHead
from seqkit.heads.classification.pooling import build_pooling, nothing
from seqkit.heads.classification.settings import ClassifyOptions, ClassifySettings
from seqkit.inputs.arrays import Integers
from seqkit.inputs.base import Documents, Input
from seqkit.metrics.classification import LeftOut
from seqkit.metrics.regression import RegressionBaseline, RegressionReport, regression_report
from seqkit.nn.encoder import Encoder
from seqkit.nn.network import Encoded
from seqkit.records import RatedText, Sentence, labels_of_text, number_text

_LARGEST = 1e30
"""beyond which squares of numbers are not finite in the arithmetic of training"""
_LEAST = 1e-150
"""standard deviation below which squares of errors would be 0 or lose digits"""


class NumberTargets:
    """One number a record.

    Args:
        values: the numbers, [S].
    """

    def __init__(self, values: np.ndarray[Any, np.dtype[np.float32]]) -> None:
        self.values = values

    def collate(self, rows: Integers) -> Tensor:
        """See `seqkit.heads.base.Targets.collate`: float32 [B]."""
        return torch.from_numpy(self.values[rows])


class Regression(Head):
    """A number for every text.

    Args:
        settings: the settings of the model.
        label: the field of the number.
        mean: the mean of the training numbers.
        deviation: their standard deviation.
    """

    baseline_scores = RegressionBaseline
    parts = "numbers"
    module: RegressionHead

    def __init__(self, settings: ClassifySettings, label: str, mean: float, deviation: float) -> None:
        self.settings = settings
        self.label = label
        self.mean = mean
        self.deviation = deviation

    @classmethod
    def build(cls, settings: ClassifySettings, records: Sequence[Sentence], input: Input) -> Regression:
        """See `Head.build`."""
        label = settings.data.label
        values = np.array([number_of(record, label) for record in records], dtype=np.float64)
        deviation = float(values.std()) if len(values) else 0.0
        if deviation < _LEAST or values.min() == values.max():
            only = f"only {values.min():g}" if len(values) else "none"
            if len(values) and values.min() < values.max():
                only += f" to {values.max():g}, whose squares are 0 to a computer"
            raise DataError(f"expected different numbers in field {label!r} of the training data, found {only}")
        return cls(settings, label, float(values.mean()), deviation)

    @classmethod
    def restore(cls, settings: ClassifySettings, documents: Documents, input: Input) -> Regression:
        """See `Head.restore`."""
        tree = documents["labels.json"]
        tree = tree if isinstance(tree, dict) else {}
        label, mean, deviation = (tree.get(name) for name in ("label", "mean", "deviation"))
        numbers = [each for each in (mean, deviation) if isinstance(each, float) and abs(each) <= _LARGEST]
        if not isinstance(label, str) or len(numbers) != 2 or numbers[1] <= 0:
            found = f"{shown(label)}, {shown(mean)} and {shown(deviation)}"
            expected = "expected label (a string), mean and deviation (numbers)"
            raise ModelError(f"labels: {expected}, found {found}")
        return cls(settings, label, *numbers)

    def documents(self) -> dict[str, Any]:
        """See `Head.documents`."""
        return {"labels.json": {"label": self.label, "mean": self.mean, "deviation": self.deviation}}

    def make_module(self, encoder: Encoder, inputs: nn.Module, *, training: bool) -> RegressionHead:
        """See `Head.make_module`."""
        head = self.settings.head
        pooling = build_pooling(self.settings, encoder)
        self.module = RegressionHead(pooling, self.mean, self.deviation, hidden=head.hidden, dropout=head.dropout)
        return self.module

    def targets(self, records: Sequence[Sentence]) -> NumberTargets:
        """See `Head.targets`: the standardised numbers."""
        values = np.array([number_of(record, self.label) for record in records], dtype=np.float64)
        return NumberTargets(((values - self.mean) / self.deviation).astype(np.float32))

    def loss(self, encoded: Encoded, targets: Tensor) -> Loss:
        """See `Head.loss`; the units are texts."""
        return Loss(self.module.loss(encoded.outputs, encoded.lengths, targets), len(targets))

    def score(self, encoded: Encoded) -> Tensor:
        """See `Head.score`: the numbers, [B, 1]."""
        return self.module.score(encoded.outputs, encoded.lengths)

    def decode(
        self, scores: Tensor, lengths: Tensor, records: Sequence[Sentence], options: ClassifyOptions
    ) -> list[RatedText]:
        """See `Head.decode`."""
        return [RatedText(record, value) for record, value in zip(records, scores[:, 0].tolist(), strict=True)]

    def empty(self, record: Sentence, options: ClassifyOptions) -> RatedText:
        """See `Head.empty`."""
        return self.decode(*nothing(self.settings, self.module), [record], options)[0]

    def gold(self, records: Sequence[Sentence], **options: Any) -> list[list[str]]:
        """See `Head.gold`: the numbers as they are in the data."""
        field = options.get("label") or self.label
        for record in records:
            number_of(record, field)
        return [labels_of_text(record, field) for record in records]

    def report(
        self, gold: Sequence[Sequence[str]], answers: Sequence[RatedText], baseline: Any = None
    ) -> RegressionReport:
        """See `Head.report` and `seqkit.metrics.regression.regression_report`."""
        return regression_report(
            [float(value) for (value,) in gold],
            [answer.value for answer in answers],
            tokens=sum(len(answer.sentence) for answer in answers),
            baseline=baseline,
            unit=self.settings.row.record,
        )

    def dev_scores(self, report: RegressionReport) -> dict[str, float]:
        """See `Head.dev_scores`: the correlation says nothing where all numbers are the same, the error always does."""
        ranked = {} if report.ranking is None else report.ranking.scores
        return {**ranked, "pearson": report.pearson, "spearman": report.spearman, "mse": report.mse}

    def baseline(
        self, arrays: Any, targets: NumberTargets, dev: Sequence[Sentence]
    ) -> Callable[[Sequence[Sentence]], RegressionBaseline | LeftOut] | None:
        """See `Head.baseline`: TF-IDF and ridge regression; none where there are no tokens."""
        if not (self.settings.head.baseline and hasattr(arrays, "tokens")):
            return None
        try:
            known = [tokens_of(record) for record in dev], [number_of(record, self.label) for record in dev]
            values = targets.values.astype(np.float64) * self.deviation + self.mean
            model = RidgeBaseline(list(arrays.tokens()), values.tolist(), *known)
        except TooLargeError as error:
            left_out = LeftOut(str(error))
            return lambda records: left_out
        return lambda records: model.score(
            [tokens_of(record) for record in records], [number_of(record, self.label) for record in records]
        )

    def notes(self, records: Sequence[Sentence], targets: Any) -> list[str]:
        """See `Head.notes`."""
        found = f"mean {self.mean:.4g}, standard deviation {self.deviation:.4g}"
        return [f"learning a number per {self.settings.row.record}: {found}", *notes_on_dev(self.settings)]

    def error(self, gold: Sequence[str], answer: RatedText) -> str:
        """See `Head.error`: all of them, as no number is exactly right."""
        text = " ".join(answer.sentence.text.splitlines())
        return clean(f"{gold[0]}\t{number_text(answer.value)}\t{text}\n")

    def description(self) -> list[str]:
        """See `Head.description`."""
        return [
            f"- A number per {self.settings.row.record} (in training mean {self.mean:.4g}, "
            f"standard deviation {self.deviation:.4g})"
        ]


def number_of(record: Any, field: str) -> float:
    """The number that a record has as its label.

    Args:
        record: the record.
        field: the field of the label.

    Returns:
        The number.

    Raises:
        DataError: there is none, or it is not finite, or too large.
    """
    (label,) = labels_of_text(record, field)
    try:
        value = math.nan if "_" in label else float(label)  # to Python 1_000 is a number
    except ValueError:
        value = math.nan
    if not abs(value) <= _LARGEST:
        wanted = f"a number of at most {_LARGEST:g}" if math.isfinite(value) else "a number"
        message = f"expected {wanted} in field {field!r}, found {shown(label)}"
        raise DataError(message, file=record.file, line=record.line)
    return value
