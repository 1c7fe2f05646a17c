"""The classifier: a raw text or its tokens → a label, or several, with their probabilities."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from seqkit.config.sections import Options
from seqkit.errors import DataError, SettingsError, shown
from seqkit.heads.base import some
from seqkit.heads.classification.head import Classification
from seqkit.heads.classification.regression import Regression
from seqkit.inputs.words import WordInput
from seqkit.metrics.ranking import ranking
from seqkit.model.base import Evaluation, Model


class Classifier(Model):
    """A classifier: one label per text, or several, or a number. See `Model`; its `predict` takes ``top``."""

    input: WordInput
    head: Classification | Regression

    def classify(self, text: str | Sequence[Any] | Mapping[str, Any]) -> Any:
        """Classify one text, or a pair of texts.

        Args:
            text: raw text, which the model's splitter splits, a list of tokens, or a mapping with either; of a model of
                pairs two of these, or a mapping with both under the names of their fields.

        Returns:
            The text with its label, or labels, and the probabilities of all, a `ClassifiedText`; or with its number, a
            `RatedText`.

        Raises:
            DataError: it is something else, or the list holds several texts.
        """
        if self.task.records != "pairs":
            self._refuse_texts(text, "classify")
        return next(self.predict([text]))

    def options(self, given: Mapping[str, Any]) -> Options:
        """See `Predictor.options`."""
        found = super().options(given)
        if isinstance(self.head, Regression) and getattr(found, "top", None) is not None:
            raise SettingsError("options: top is for labels, and this model predicts a number")
        return found

    def evaluate_records(
        self, records: Any, *, baseline: Any = None, pipeline: Any = None, **options: Any
    ) -> Evaluation:
        """See `Predictor.evaluate_records`; with MAP and MRR, where candidates are ranked."""
        data: Any = self.settings.data
        group, positive = options.get("group") or data.group, options.get("positive") or data.positive
        if not group:
            if positive:
                raise SettingsError("positive says which candidates are relevant, and needs group")
            return super().evaluate_records(records, baseline=baseline, pipeline=pipeline, **options)
        groups = [group_of(record, group) for record in records]
        positive = self._positive(positive)
        gold = self.head.gold(records, **options)
        # With the probabilities of all labels, and not only of the predicted one.
        answers = list((pipeline or self.pipeline())(records, self.options({}).for_output("jsonl")))
        found = Evaluation(self.head.report(gold, answers, baseline), gold, answers)
        if isinstance(self.head, Regression):
            relevant = [float(value) > 0 for (value,) in found.gold]
            scores = [answer.value for answer in found.answers]
        else:
            relevant = [positive in labels for labels in found.gold]
            scores = [log_odds(answer.probs, positive) for answer in found.answers]
        ranked = ranking(groups, relevant, scores, group, positive)
        return found._replace(report=replace(found.report, ranking=ranked))

    def _positive(self, given: str) -> str:
        """The label of relevant candidates: the one that is named or, of two, the last in the order of code points."""
        if isinstance(self.head, Regression):
            if given:
                raise SettingsError(
                    "positive names a label, and this model predicts a number: those above 0 are relevant"
                )
            return ""
        if self.head.codec.multi:
            raise SettingsError("group is for models of one label, by whose probability candidates can be ranked")
        labels = self.head.codec.labels.labels
        if given and given not in labels:
            raise SettingsError(f"positive: expected a label among {some(labels)}, found {shown(given)}")
        if not given and len(labels) != 2:
            raise SettingsError(f"positive: say which of the labels is that of relevant candidates: {some(labels)}")
        return given or str(labels[-1])


def group_of(record: Any, field: str) -> Any:
    """The value by which candidates are ranked together.

    Args:
        record: a candidate.
        field: the field of the group.

    Returns:
        The value, which may be a key.

    Raises:
        DataError: the candidate has no such field, or its value is no string or number.
    """
    value = record.fields.get(field)
    if isinstance(value, str | int | float):
        return value
    found = shown(value) if field in record.fields else f"the fields {', '.join(map(repr, record.fields)) or 'none'}"
    message = (
        f"expected a string or a number in field {field!r}, by which candidates are ranked together, found {found}"
    )
    raise DataError(message, file=record.file, line=record.line)


def log_odds(probs: Mapping[str, float], label: str) -> float:
    """How much more probable a label is than all others: ln p − ln (1 − p), also where p is 1 in single precision.

    Args:
        probs: label → probability.
        label: the label.

    Returns:
        The log odds.
    """
    others = math.fsum(value for other, value in probs.items() if other != label)
    return math.log(max(probs.get(label, 0.0), _LEAST)) - math.log(max(others, _LEAST))


_LEAST = 1e-300
"""probability below which logarithms would be infinite"""
