"""The classifier: a raw text or its tokens → a label, or several, with their probabilities."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from seqkit.config.sections import Options
from seqkit.errors import DataError, SettingsError, shown
from seqkit.heads.base import some
from seqkit.heads.classification.head import Classification
from seqkit.heads.classification.regression import Regression
from seqkit.heads.classification.settings import check_ranking, threshold
from seqkit.inputs.words import WordInput
from seqkit.metrics.ranking import Ranking, ranking, told_relevant
from seqkit.model.base import Evaluation, Model
from seqkit.records import ClassifiedText


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
        self.check_evaluation(options)
        head, (group, positive) = self.head, self._ranking(options)
        field = options.get("label") or self.settings.label
        gold = head.gold(records, **options)
        candidates = self._candidates(records, gold, field, group, positive) if group else None
        asked: Any = self.options({}).for_output("jsonl" if group else None)
        if isinstance(head, Classification) and (group or head.has_loss):
            asked = asked.for_report(field, str(candidates.positive) if candidates else "")
        answers = list((pipeline or self.pipeline())(records, asked))
        found = Evaluation(head.report(gold, answers, baseline), gold, answers)
        if candidates is None:
            return found
        if isinstance(head, Regression):
            ranked = candidates.ranking([answer.value for answer in answers])
        else:
            ranked = candidates.ranking([log_odds(answer, str(candidates.positive)) for answer in answers])
        return found._replace(report=replace(found.report, ranking=ranked))

    def check_evaluation(self, options: Mapping[str, Any], named: Callable[[str], str] = str) -> None:
        """See `Predictor.check_evaluation`: of those of ranking."""
        head, (group, positive) = self.head, self._ranking(options)
        numbers = isinstance(head, Regression)
        multi = not isinstance(head, Regression) and head.codec.multi
        try:
            check_ranking(group, positive, multi=multi, numbers=numbers, named=named)
        except ValueError as error:
            raise SettingsError(str(error)) from None
        if isinstance(head, Regression) or not group:
            return
        labels = head.codec.labels.labels
        if positive and positive not in labels:
            raise SettingsError(f"{named('positive')}: expected a label among {some(labels)}, found {shown(positive)}")
        if not positive and len(labels) != 2:
            raise SettingsError(
                f"{named('positive')}: say which of the labels is that of relevant candidates: {some(labels)}"
            )

    def check_splits(self, parts: Mapping[str, Sequence[Any]]) -> None:
        """See `Predictor.check_splits`: whether candidates can be ranked, and those of dev in at least one group."""
        self.check_evaluation({}, "data.{}".format)
        group, positive = self._ranking({})
        for split in ("dev", "test") if group else ():
            if not parts.get(split):
                continue
            records = parts[split]
            gold = self.head.gold(records)
            candidates = self._candidates(records, gold, self.settings.label, group, positive)
            found = candidates.ranking([0.0] * len(records))
            if split == "dev" and not found.groups:
                raise DataError(
                    "data.group has candidates of dev ranked, by which the best epoch is chosen, and "
                    f"{found.told_unscored()}",
                    file=records[0].file,
                )

    def _ranking(self, options: Mapping[str, Any]) -> tuple[str, str]:
        """The field of the groups, and what says which candidates are relevant: options, or else settings."""
        data: Any = self.settings.data
        return options.get("group") or data.group, options.get("positive") or data.positive

    def _candidates(
        self, records: Sequence[Any], gold: Sequence[Sequence[str]], field: str, group: str, positive: str
    ) -> _Candidates:
        """Records as candidates; relevant are those of the label that is named or, of two, of the one that sorts last.

        Of numbers it is the least of a relevant candidate; where none is given, all above 0 are relevant.
        """
        if isinstance(self.head, Regression):
            least = threshold(positive)
            return _Candidates(records, gold, field, group, "" if least is None else least, numbers=True)
        label = positive or str(self.head.codec.labels.labels[-1])
        return _Candidates(records, gold, field, group, label, numbers=False)


class _Candidates:
    """Candidates of a ranking: in which group each is, and whether it is relevant.

    Args:
        records: the candidates.
        gold: the right label of each, or its number.
        field: the field of these.
        group: the field of the groups.
        positive: see `seqkit.metrics.ranking.Ranking`.
        numbers: whether they have numbers, and no labels.

    Raises:
        DataError: a candidate is in no group; or their numbers make all of them relevant, or none.
    """

    def __init__(
        self,
        records: Sequence[Any],
        gold: Sequence[Sequence[str]],
        field: str,
        group: str,
        positive: str | float,
        *,
        numbers: bool,
    ) -> None:
        self.groups = [group_of(record, group) for record in records]
        self.group, self.positive = group, positive
        if not numbers:
            self.relevant = [positive in labels for labels in gold]
            return
        values = [float(value) for (value,) in gold]
        self.relevant = [value >= positive if isinstance(positive, float) else value > 0 for value in values]
        if values and len(set(self.relevant)) == 1:
            told, found = told_relevant(positive), f"{min(values):.15g} to {max(values):.15g}"
            every = self.relevant[0]
            raise DataError(
                f"{'no candidate is irrelevant' if every else 'no candidate is relevant'}: "
                f"{'every' if every else 'no'} number in field {field!r} is {told}, they are {found}; "
                "--positive X (data.positive) makes those of at least X relevant",
                file=records[0].file,
            )

    def ranking(self, scores: Sequence[float]) -> Ranking:
        """How good they are ranked.

        Args:
            scores: what each is ranked by, the greatest first.

        Returns:
            See `seqkit.metrics.ranking.ranking`.
        """
        return ranking(self.groups, self.relevant, scores, self.group, self.positive)


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


def log_odds(answer: ClassifiedText, label: str) -> float:
    """How much more probable a label is than all others: ln p − ln (1 − p), also where p is 1 in single precision.

    Args:
        answer: the probabilities of labels, that of `label` among them.
        label: the label.

    Returns:
        The log odds.
    """
    others = math.fsum([answer.rest, *(value for other, value in answer.probs.items() if other != label)])
    return math.log(max(answer.probs.get(label, 0.0), _LEAST)) - math.log(max(others, _LEAST))


_LEAST = 1e-300
"""probability below which logarithms would be infinite"""
