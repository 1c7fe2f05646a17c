"""The classification task for the training loop: texts and labels → batches, losses and dev scores."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqkit.config import BATCH_TOKENS, ClassifySettings, Settings, override
from seqkit.corpora.dataset import Dataset
from seqkit.corpora.from_python import from_texts
from seqkit.devices import precision_context
from seqkit.errors import DataError
from seqkit.formats.splitting import Splitter
from seqkit.heads.classification.module import ClassificationHead
from seqkit.inputs.pretrained import Vectors
from seqkit.metrics.classification import Baseline, ClassificationReport, classification_report
from seqkit.model.base import Model
from seqkit.model.classifier import Classifier
from seqkit.model.memory import BatchTokens
from seqkit.nn.device import to_device
from seqkit.records import ClassifiedText, Sentence, labels_of_text
from seqkit.training.baseline import TfidfBaseline
from seqkit.training.progress import Progress
from seqkit.training.task import TrainingTask, digest, recorded_baseline
from seqkit.training.transfer import adopt, load_start
from seqkit.training.words import batch_tensors, epoch_batches, given_vectors, labelled, vector_coverage

__all__ = ["ClassificationTask", "baseline_of", "evaluate_texts", "gold_classes", "score_texts"]

Integers = NDArray[np.int64]

_SHOWN = 12
"""labels that are told at the start"""


class ClassificationTask(TrainingTask):
    """Trains a classifier, and beside it the baseline.

    Args:
        settings: what to build and how to train it.
        train: training texts.
        dev: texts to choose the best epoch by.
        vectors: given word vectors.
        device: where to train.
        start: a model whose vocabularies come first.

    Attributes:
        model: the model; its network is what the loop trains.
        metric: the score on dev that is maximised.

    Raises:
        DataError: there is nothing to learn, or a label is missing.
    """

    settings: ClassifySettings
    model: Classifier

    def __init__(
        self,
        settings: ClassifySettings,
        train: Sequence[Sentence],
        dev: Sequence[Sentence],
        vectors: Vectors | None,
        device: torch.device,
        start: Model | None = None,
    ) -> None:
        data, multi = settings.data, settings.head.multi_label
        labels = [labels_of_text(sentence, data.label, multi) for sentence in train]
        super().__init__(settings, Classifier.build(settings, train, labels, vectors, start).to(device))
        self.metric = "micro_f1" if multi else "accuracy"
        self.dev = dev
        self._labels = labels
        self._arrays = self.model.indexer([sentence.tokens for sentence in train])
        self._forms = list(dict.fromkeys(token for sentence in train for token in sentence.tokens))
        self.size = len(train)
        self._targets = self.model.codec.encode(labels)  # [S] or [S, K]
        dev_labels = [self.model.codec.labels_of(sentence) for sentence in dev]
        self.checksum = digest([*labelled(train, labels), *labelled(dev, dev_labels)], vectors)

    @classmethod
    def complete(cls, settings: Settings, dataset: Dataset) -> Settings:
        """See `TrainingTask.complete`: the field of the label."""
        assert isinstance(settings, ClassifySettings)
        if dataset.target and settings.data.label == ClassifySettings().data.label:
            return override(settings, {"data": {"label": dataset.target}})
        return settings

    @classmethod
    def from_items(cls, train: Iterable[Any], dev: Iterable[Any] | None, test: Iterable[Any] | None) -> Dataset:
        """See `TrainingTask.from_items`: pairs of a text (or its tokens) and a label (or a list of labels)."""
        return from_texts(train, dev, test)

    @classmethod
    def prepare(
        cls, settings: Settings, dataset: Dataset, device: torch.device, progress: Progress
    ) -> ClassificationTask:
        """See `TrainingTask.prepare`."""
        assert isinstance(settings, ClassifySettings)
        data, multi = settings.data, settings.head.multi_label
        splitter = Splitter(data.splitter).split
        # The test split is not used before the end, where a fault in it would come too late.
        parts = {
            name: dataset.texts(name, splitter, text=data.text, label=data.label)
            for name in ("train", "dev", "test")
            if dataset.has(name)
        }
        for name, part in parts.items():
            if not any(sentence.tokens for sentence in part):
                raise DataError("expected at least one text, found none", file=_place(dataset, name))
            for sentence in part:
                labels_of_text(sentence, data.label, multi)
        for note in dataset.notes:
            progress.say(note)
        told = (f"{name} {len(part):,} texts, {sum(map(len, part)):,} tokens" for name, part in parts.items())
        progress.say(f"{dataset.name}: {', '.join(told)}")
        vectors, completed = given_vectors(settings)
        start = load_start(completed)
        task = cls(adopt(completed, start), parts["train"], parts["dev"], vectors, device, start)
        task.start_from(start, progress)
        progress.say(_label_note(task.model.codec.labels.labels, task._labels, multi))
        for note in _header_note(task._labels):
            progress.say(note)
        if vectors is not None:
            progress.say(vector_coverage(task.model, task.model.indexer, parts["train"], vectors))
        return task

    def batches(self, epoch: int) -> Sequence[Integers | None]:
        """See `TrainingTask.batches`: the numbers of each batch's texts."""
        return epoch_batches(self._arrays.lengths, self.settings.training, epoch, self.share)

    def loss(self, batch: Integers) -> tuple[Tensor, int, int]:
        """See `TrainingTask`; the units are texts."""
        head, device = self.network.head, self.model.device
        assert isinstance(head, ClassificationHead)
        targets = to_device(torch.from_numpy(self._targets[batch]), device)  # [B] or [B, K]
        types, index, lengths = batch_tensors(self._arrays, batch, device)
        with precision_context(self.settings.training.precision, device):
            outputs = self.network(types, index, lengths).outputs  # [B, T, D]
            loss = head.loss(outputs, lengths, targets)
        return loss, len(batch), int(lengths.sum())

    def evaluate(self) -> dict[str, float]:
        """See `TrainingTask`."""
        report = evaluate_texts(self.model, self.dev, batch_tokens=self.batch_tokens)
        scores = {"accuracy": report.accuracy, "macro_f1": report.macro.f1}
        return scores if report.micro is None else {"micro_f1": report.micro.f1, **scores}

    def reports(self, dataset: Dataset) -> dict[str, ClassificationReport]:
        """See `TrainingTask.reports`; with the scores of the baseline, which is trained here."""
        data, codec, splitter = self.settings.data, self.model.codec, self.model.splitter.split
        splits = {
            split: dataset.texts(split, splitter, text=data.text, label=data.label)
            for split in ("dev", "test")
            if dataset.has(split)
        }
        baseline = None
        if self.settings.head.baseline:
            dev = splits["dev"]
            labels = [codec.labels_of(sentence) for sentence in dev]
            baseline = TfidfBaseline(codec, self._train_tokens(), self._labels, _tokens(dev), labels)
        found = {}
        for split, texts in splits.items():
            labels = [codec.labels_of(sentence) for sentence in texts]
            beside = None if baseline is None else baseline.score(_tokens(texts), labels)
            found[split] = evaluate_texts(self.model, texts, batch_tokens=self.batch_tokens, baseline=beside)
        return found

    def _train_tokens(self) -> Iterator[list[str]]:
        """The tokens of each training text, of which nothing but arrays is kept: types are numbered as they appear."""
        for begin, end in pairwise(self._arrays.offsets):
            yield [self._forms[form] for form in self._arrays.types[begin:end]]


def gold_classes(model: Classifier, sentences: Iterable[Sentence], label: str | None = None) -> list[list[str]]:
    """The gold labels of texts; those that the model never saw are kept, and count as errors.

    Args:
        model: a classifier.
        sentences: texts with labels.
        label: the field of the label; the model's by default.

    Returns:
        The labels of each text.

    Raises:
        DataError: a text lacks its label.
    """
    field = model.codec.label if label is None else label
    return [labels_of_text(sentence, field, model.codec.multi) for sentence in sentences]


def score_texts(
    model: Classifier,
    gold: Sequence[Sequence[str]],
    predicted: Sequence[ClassifiedText],
    baseline: Baseline | None = None,
) -> ClassificationReport:
    """Compare predictions with gold labels; see `seqkit.metrics.classification.classification_report`."""
    tokens = sum(len(record.sentence) for record in predicted)
    chosen = [record.labels for record in predicted]
    return classification_report(gold, chosen, multi=model.codec.multi, tokens=tokens, baseline=baseline)


def evaluate_texts(
    model: Classifier,
    sentences: Sequence[Sentence],
    *,
    batch_tokens: int | BatchTokens = BATCH_TOKENS,
    baseline: Baseline | None = None,
) -> ClassificationReport:
    """Predict texts that have labels, and score the predictions.

    Args:
        model: a classifier.
        sentences: texts with the model's label field.
        batch_tokens: tokens a batch.
        baseline: what a simpler classifier reaches on them.

    Returns:
        The report.

    Raises:
        DataError: a text lacks its label.
    """
    gold = gold_classes(model, sentences)
    return score_texts(model, gold, list(model.predict(sentences, batch_tokens=batch_tokens)), baseline)


def baseline_of(model: Classifier, data: str, split: str, sentences: int) -> Baseline | None:
    """What the baseline reached on a split when the model was trained.

    Args:
        model: a classifier.
        data: the data set's name.
        split: the split.
        sentences: how many texts it has.

    Returns:
        Its scores; None where the model was trained without one, on other data, or has no report of that split.
    """
    return recorded_baseline(Baseline, model, data, split, sentences)


def _label_note(labels: Sequence[str], rows: Sequence[Sequence[str]], multi: bool) -> str:
    """What is learned: how many texts have each label."""
    counts = {label: 0 for label in labels}
    for row in rows:
        for label in row:
            counts[label] += 1
    shown = ", ".join(f"{label} ({count:,})" for label, count in list(counts.items())[:_SHOWN])
    rest = f", … ({len(counts)} in all)" if len(counts) > _SHOWN else ""
    return f"learning {'any number of labels' if multi else 'one label'} a text: {shown}{rest}"


def _header_note(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """A warning where the first row looks like the names of columns."""
    first = list(rows[0]) if rows else []
    if len(rows) > 2 and len(first) == 1 and not any(first[0] in row for row in rows[1:]):
        yield (
            f"warning: only the first text has the label {first[0]!r}; if that line names the columns, say which are "
            "meant: --set data.label=NAME --set data.text=NAME"
        )


def _place(dataset: Dataset, split: str) -> object:
    file = dataset.splits[split].file if split in dataset.splits else None
    return file or f"{dataset.name} {split}"


def _tokens(sentences: Iterable[Sentence]) -> list[list[str]]:
    return [sentence.tokens for sentence in sentences]
