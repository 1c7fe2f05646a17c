"""Many to one: a label, or several, for a whole text."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from itertools import repeat
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from seqkit.formats.writers import clean
from seqkit.heads.base import MOST_NAMED, Head, LabelSetTargets, Loss, RecordTargets, some
from seqkit.heads.classification.baseline import TfidfBaseline, TooLargeError, notes_on_dev, tokens_of
from seqkit.heads.classification.labels import ClassCodec
from seqkit.heads.classification.module import ClassificationHead
from seqkit.heads.classification.pooling import build_pooling, nothing
from seqkit.heads.classification.settings import MOST_PROBS, ClassifyOptions, ClassifySettings
from seqkit.inputs.base import Documents, Input
from seqkit.metrics.classification import Baseline, ClassificationReport, LeftOut, classification_report
from seqkit.nn.encoder import Encoder
from seqkit.nn.network import Encoded
from seqkit.nn.parts import most_score
from seqkit.records import LABEL_SEPARATOR, ClassifiedText, Sentence, labels_of_text
from seqkit.terminal import markdown

_LEAST = 1e-12
"""probability below which a label counts as so probable, so that the mean loss is finite"""
_SHOWN = 12
"""labels that are shown at the start of training"""


class Classification(Head):
    """A label, or several, for every text.

    Args:
        settings: the settings of the model.
        codec: labels ↔ ids.
        weights: weights of the labels in the loss, [K]; None where all errors count the same.
    """

    has_labels = True
    baseline_scores = Baseline
    module: ClassificationHead

    def __init__(self, settings: ClassifySettings, codec: ClassCodec, weights: Tensor | None = None) -> None:
        self.settings = settings
        self.codec = codec
        self._weights = weights

    @classmethod
    def build(cls, settings: ClassifySettings, records: Sequence[Sentence], input: Input) -> Classification:
        """See `Head.build`."""
        data, head = settings.data, settings.head
        labels = [labels_of_text(record, data.label, head.multi_label) for record in records]
        codec = ClassCodec.build(labels, head.multi_label, getattr(data, "text", ""), data.label)
        balanced = head.class_weights == "balanced"
        return cls(settings, codec, torch.from_numpy(codec.balanced_weights(labels)) if balanced else None)

    @classmethod
    def restore(cls, settings: ClassifySettings, documents: Documents, input: Input) -> Classification:
        """See `Head.restore`."""
        return cls(settings, ClassCodec.from_json(documents["labels.json"]))

    def documents(self) -> dict[str, Any]:
        """See `Head.documents`."""
        return {"labels.json": self.codec.to_json()}

    def make_module(self, encoder: Encoder, inputs: nn.Module, *, training: bool) -> ClassificationHead:
        """See `Head.make_module`."""
        head = self.settings.head
        self.module = ClassificationHead(
            build_pooling(self.settings, encoder),
            len(self.codec.labels),
            multi_label=self.codec.multi,
            weights=self._weights,
            hidden=head.hidden,
            dropout=head.dropout,
        )
        return self.module

    def targets(self, records: Sequence[Sentence]) -> RecordTargets | LabelSetTargets:
        """See `Head.targets`."""
        rows = self.codec.encode(self.gold(records))
        if self.codec.multi:
            return LabelSetTargets(rows, len(self.codec.labels))
        return RecordTargets(np.array([row[0] for row in rows], dtype=np.int64))

    def loss(self, encoded: Encoded, targets: Tensor) -> Loss:
        """See `Head.loss`; the units are texts, or pairs of them."""
        return Loss(self.module.loss(encoded.outputs, encoded.lengths, targets), len(targets))

    def score(self, encoded: Encoded) -> Tensor:
        """See `Head.score` and `ClassificationHead.score`, [B, K] or [B, D']."""
        return self.module.score(encoded.outputs, encoded.lengths)

    def sound(self, scores: Tensor, lengths: Tensor) -> Tensor:
        """See `Head.sound`."""
        if self.module.late:
            return most_score(scores, self.module.output) < torch.inf
        return super().sound(scores, lengths)

    def decode(
        self, scores: Tensor, lengths: Tensor, records: Sequence[Sentence], options: ClassifyOptions
    ) -> list[ClassifiedText]:
        """See `Head.decode`."""
        found: list[ClassifiedText] = []
        for part in self.module.probabilities(scores):  # [n, K]
            texts = records[len(found) : len(found) + len(part)]
            found += map(self._answer, texts, *self._likeliest(part, texts, options), repeat(options))
        return found

    def _likeliest(
        self, probabilities: Tensor, records: Sequence[Sentence], options: ClassifyOptions
    ) -> tuple[list[list[float]], list[list[int]], Sequence[float]]:
        """Of each text the most probable labels, with their probabilities: all, unless there are very many.

        Args:
            probabilities: of all labels, [n, K].
            records: the texts.
            options: those of prediction.

        Returns:
            The probabilities and the ids of labels, the most probable first, and what the others have together, where
            that is asked for.
        """
        least = (probabilities > 0.5).sum(1) if self.codec.multi else None  # [n]; these are what is predicted
        count = min(max(MOST_PROBS, options.most) if self.has_loss else options.most, probabilities.shape[1])
        if least is not None and len(least):
            count = max(count, int(least.max()))
        if count == 1:
            ranks = probabilities.argmax(1, keepdim=True)  # [n, 1]
        elif probabilities.shape[1] > MOST_PROBS:  # not all of them are to be sorted
            ranks = probabilities.topk(count).indices.sort(1).values  # [n, count], equal ones in the order of labels
            ranks = ranks.gather(1, probabilities.gather(1, ranks).argsort(dim=1, descending=True, stable=True))
        else:
            ranks = probabilities.argsort(dim=1, descending=True, stable=True)[:, :count]  # [n, count]
        rest: Sequence[float] = [0.0] * len(ranks)
        if options.scored is not None and least is None and count < probabilities.shape[1]:
            ranks = self._with_scored(probabilities, ranks, records, *options.scored)  # [n, count + 2]
            rest = probabilities.scatter(1, ranks, 0.0).sum(1, dtype=torch.float64).tolist()
        values, numbers = probabilities.gather(1, ranks).tolist(), ranks.tolist()
        if least is None:
            return values, numbers, rest
        sizes = least.clamp(min=options.most).tolist()
        return (
            [row[:size] for row, size in zip(values, sizes, strict=True)],
            [row[:size] for row, size in zip(numbers, sizes, strict=True)],
            rest,
        )

    def _with_scored(
        self, probabilities: Tensor, ranks: Tensor, records: Sequence[Sentence], field: str, positive: str
    ) -> Tensor:
        """The ids of the most probable labels, and of those whose probabilities a report needs however small they are.

        Args:
            probabilities: of all labels, [n, K].
            ranks: the ids of the most probable labels, [n, C].
            records: the texts.
            field: the field of the right label.
            positive: the label of relevant candidates, or an empty string.

        Returns:
            [n, C + 2], the most probable first; some stand there twice.
        """
        right = [row[0] for row in self.codec.encode(self.gold(records, label=field))]
        found = torch.tensor([right, self.codec.labels.indices([positive]) * len(right)]).T  # [n, 2]
        found = torch.where(found < 0, ranks[:, :1], found.to(ranks))  # of an unknown label there is no probability
        found = found.gather(1, probabilities.gather(1, found).argsort(dim=1, descending=True))
        return torch.cat([ranks, found], 1)

    def _answer(
        self, record: Sentence, values: list[float], ranks: list[int], rest: float, options: ClassifyOptions
    ) -> ClassifiedText:
        labels = self.codec.labels
        probs = {labels[index]: value for index, value in zip(ranks, values, strict=True)}
        left_out = len(labels) - len(probs)
        return ClassifiedText(record, self.codec.choose(probs), probs, self.codec.multi, options.top, left_out, rest)

    @torch.inference_mode()
    def empty(self, record: Sentence, options: ClassifyOptions) -> ClassifiedText:
        """See `Head.empty`: what the pooled vector zero gives."""
        return self.decode(*nothing(self.settings, self.module), [record], options)[0]

    def labels(self, answer: ClassifiedText) -> Sequence[Hashable]:
        """See `Head.labels`."""
        return [frozenset(answer.labels)]

    def gold(self, records: Sequence[Sentence], **options: Any) -> list[list[str]]:
        """See `Head.gold`."""
        field = options.get("label") or self.codec.label
        return [labels_of_text(record, field, self.codec.multi) for record in records]

    def report(
        self, gold: Sequence[Sequence[str]], answers: Sequence[ClassifiedText], baseline: Baseline | None = None
    ) -> ClassificationReport:
        """See `Head.report` and `seqkit.metrics.classification.classification_report`."""
        tokens = sum(len(answer.sentence) for answer in answers)
        chosen = [answer.labels for answer in answers]
        loss = None
        if self.has_loss and not self.codec.multi:
            right = [answer.probs.get(label, 0.0) for (label,), answer in zip(gold, answers, strict=True)]
            loss = -sum(math.log(max(p, _LEAST)) for p in right) / max(1, len(right))
        return classification_report(
            gold,
            chosen,
            multi=self.codec.multi,
            tokens=tokens,
            baseline=baseline,
            loss=loss,
            unit=self.settings.row.record,
        )

    def dev_scores(self, report: ClassificationReport) -> dict[str, float]:
        """See `Head.dev_scores`."""
        scores = {"accuracy": report.accuracy, "macro_f1": report.macro.f1}
        scores |= {} if report.loss is None else {"loss": report.loss}
        if report.ranking is not None:
            scores = {**report.ranking.scores, **scores}
        return scores if report.micro is None else {"micro_f1": report.micro.f1, **scores}

    @property
    def has_loss(self) -> bool:
        """Whether all probabilities are needed: of few records many epochs get the same dev accuracy, and the loss
        tells more; and candidates are ranked by them."""  # noqa: D205, D209
        return self.settings.row.records in ("frames", "pairs") or bool(self.settings.data.group)

    def baseline(
        self, arrays: Any, targets: RecordTargets | LabelSetTargets, dev: Sequence[Sentence]
    ) -> Callable[[Sequence[Sentence]], Baseline | LeftOut] | None:
        """See `Head.baseline`: TF-IDF and logistic regression on the same tokens; none where there are no tokens.

        Where it would take too much memory or time, what stands for its scores says so.
        """
        if not (self.settings.head.baseline and hasattr(arrays, "tokens")):
            return None
        try:
            model = TfidfBaseline(self.codec, arrays.tokens(), targets.ids(), _tokens(dev), self.gold(dev))
        except TooLargeError as error:
            left_out = LeftOut(str(error))
            return lambda records: left_out
        return lambda records: model.score(_tokens(records), self.gold(records))

    def notes(self, records: Sequence[Sentence], targets: Any) -> list[str]:
        """See `Head.notes`: how many texts have each label; and a warning where the first row looks like a header."""
        rows = self.gold(records)
        counts = Counter(label for row in rows for label in row)
        shown = some([f"{label} ({counts[label]:,})" for label in self.codec.labels], _SHOWN)
        many = "any number of labels" if self.codec.multi else "one label"
        notes = [f"learning {many} per {self.settings.row.record}: {shown}"]
        notes += notes_on_dev(self.settings)
        first = rows[0]
        if len(rows) > 2 and len(first) == 1 and counts[first[0]] == 1:
            notes.append(
                f"warning: only the first text has the label {first[0]!r}; if that line names the columns, say which "
                "to use: --set data.label=NAME --set data.text=NAME"
            )
        return notes

    def unknown(self, gold: Sequence[Sequence[str]]) -> list[str]:
        """See `Head.unknown`."""
        return sorted({label for row in gold for label in row} - set(self.codec.labels))

    def error(self, gold: Sequence[str], answer: ClassifiedText) -> str:
        """See `Head.error`: one line, also of a text of several."""
        if set(gold) == set(answer.labels):
            return ""
        text = " ".join(answer.sentence.text.splitlines())
        return clean(f"{LABEL_SEPARATOR.join(gold)}\t{answer.label}\t{text}\n")

    def description(self) -> list[str]:
        """See `Head.description`."""
        kind = f"{'several labels' if self.codec.multi else 'one label'} per {self.settings.row.record}"
        labels = [markdown(label) for label in self.codec.labels.labels]
        return [f"- Labels ({kind}): {some(labels, MOST_NAMED)}"]


def _tokens(records: Sequence[Sentence]) -> list[Any]:
    return list(map(tokens_of, records))
