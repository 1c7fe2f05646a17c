"""The tagging task for the training loop: sentences and labels → batches, losses and dev scores."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqkit.config import Settings, TagSettings, override
from seqkit.corpora.dataset import Dataset
from seqkit.corpora.from_python import from_pairs
from seqkit.devices import precision_context
from seqkit.errors import DataError
from seqkit.formats.schemes import is_label
from seqkit.formats.splitting import Splitter
from seqkit.heads.tagging.labels import TagCodec
from seqkit.heads.tagging.module import IGNORED, TaggingHead
from seqkit.inputs.pretrained import Vectors
from seqkit.metrics.tagging import TaggingReport
from seqkit.model.base import Model
from seqkit.model.context import ContextFeatures
from seqkit.model.language_model import LanguageModel
from seqkit.model.loading import load_as
from seqkit.model.streaming import gather_context
from seqkit.model.tagger import Tagger
from seqkit.nn.device import to_device
from seqkit.records import Sentence
from seqkit.training.evaluation import evaluate, label_column
from seqkit.training.progress import Progress
from seqkit.training.task import TrainingTask, digest, digest_network
from seqkit.training.transfer import adopt, load_start
from seqkit.training.words import batch_tensors, epoch_batches, given_vectors, labelled, vector_coverage

__all__ = ["TaggingTask"]

Integers = NDArray[np.int64]


class TaggingTask(TrainingTask):
    """Trains a tagger.

    Args:
        settings: what to build and how to train it.
        train: training sentences.
        dev: sentences to choose the best epoch by.
        vectors: given word vectors.
        device: where to train.
        start: a model whose vocabularies come first.
        context: further features of every word.

    Attributes:
        model: the model; its network is what the loop trains.
        metric: the score on dev that is maximised.

    Raises:
        DataError: there is nothing to learn, or a column is missing.
    """

    settings: TagSettings
    model: Tagger

    def __init__(
        self,
        settings: TagSettings,
        train: Sequence[Sentence],
        dev: Sequence[Sentence],
        vectors: Vectors | None,
        device: torch.device,
        start: Model | None = None,
        context: ContextFeatures | None = None,
    ) -> None:
        data = settings.data
        labels = label_column(train, data.target)
        super().__init__(settings, Tagger.build(settings, train, labels, vectors, start, context).to(device))
        self.dev = dev
        self.metric = "accuracy" if self.model.codec.encoding == "none" else "f1"
        self._arrays = self.model.indexer([sentence.tokens for sentence in train])
        self.size = len(self._arrays.lengths)
        self._tags = _flat(self.model.codec.encode(row) for row in labels)
        # Frozen, so that they are computed once; kept in half precision, as given vectors are.
        self._context = None if context is None else context(train).half()  # [N, C]
        self.checksum = digest([*labelled(train, labels), *labelled(dev, label_column(dev, data.target))], vectors)
        if context is not None:
            self.checksum = digest_network(context.network, context.indexer.words.words, self.checksum)
        for name, sentences in (("training", train), ("dev", dev)):
            if not any(sentence.tokens for sentence in sentences):
                raise DataError(f"expected {name} sentences with tokens, found none")

    @classmethod
    def complete(cls, settings: Settings, dataset: Dataset) -> Settings:
        """See `TrainingTask.complete`: the label column and the scheme."""
        assert isinstance(settings, TagSettings)
        tree: dict[str, Any] = {}
        if not settings.data.target and dataset.target:
            tree["target"] = dataset.target
        asks_other_column = settings.data.target not in ("", dataset.target)
        if settings.data.scheme == "auto" and dataset.scheme != "auto" and not asks_other_column:
            tree["scheme"] = dataset.scheme
        return override(settings, {"data": tree})

    @classmethod
    def from_items(cls, train: Iterable[Any], dev: Iterable[Any] | None, test: Iterable[Any] | None) -> Dataset:
        """See `TrainingTask.from_items`: pairs of tokens and labels."""
        return from_pairs(train, dev, test)

    @classmethod
    def prepare(cls, settings: Settings, dataset: Dataset, device: torch.device, progress: Progress) -> TaggingTask:
        """See `TrainingTask.prepare`."""
        assert isinstance(settings, TagSettings)
        splitter = Splitter(settings.data.splitter).split
        # The test split is not used before the end, where a fault in it would come too late.
        parts = {name: dataset.sentences(name, splitter) for name in ("train", "dev", "test") if dataset.has(name)}
        for name, part in parts.items():
            _check_labelled(dataset, name, part, settings.data.target)
        train_set, dev_set = parts["train"], parts["dev"]
        for note in dataset.notes:
            progress.say(note)
        told = (f"{name} {len(part):,} sentences, {sum(map(len, part)):,} tokens" for name, part in parts.items())
        progress.say(f"{dataset.name}: {', '.join(told)}")
        vectors, completed = given_vectors(settings)
        start = load_start(completed)
        completed = adopt(completed, start)
        context = None
        if completed.embedding.context:
            context = ContextFeatures.of(load_as(LanguageModel, completed.embedding.context))
        task = cls(completed, train_set, dev_set, vectors, device, start, context)
        task.start_from(start, progress)
        for line in _label_notes(task.model.codec, train_set[0], settings.data.target):
            progress.say(line)
        if vectors is not None:
            progress.say(vector_coverage(task.model, task.model.indexer, train_set, vectors))
        return task

    def batches(self, epoch: int) -> Sequence[Integers | None]:
        """See `TrainingTask.batches`: the numbers of each batch's sentences."""
        return epoch_batches(self._arrays.lengths, self.settings.training, epoch, self.share)

    def loss(self, batch: Integers) -> tuple[Tensor, int, int]:
        """See `TrainingTask`; the units are sentences."""
        head, device = self.network.head, self.model.device
        assert isinstance(head, TaggingHead)
        matrix, inside = self._arrays.padded(self._tags, batch)  # [B, T]
        matrix[~inside] = IGNORED
        tags = to_device(torch.from_numpy(matrix).long(), device)  # [B, T]
        types, index, lengths = batch_tensors(self._arrays, batch, device)
        with precision_context(self.settings.training.precision, device):
            features = None
            if self._context is not None:
                features = gather_context(self._context, self._arrays.offsets, batch)  # [B, T, C]
            outputs = self.network(types, index, lengths, features=features).outputs  # [B, T, D]
            loss = head.loss(outputs, lengths, tags, types.words[index])
        return loss, len(batch), int(lengths.sum())

    def evaluate(self) -> dict[str, float]:
        """See `TrainingTask`."""
        report = evaluate(self.model, self.dev, batch_tokens=self.batch_tokens)
        scores = {"accuracy": report.accuracy}
        return scores if report.default is None else {"f1": report.default.f1, **scores}

    def reports(self, dataset: Dataset) -> dict[str, TaggingReport]:
        """See `TrainingTask.reports`."""
        splitter = self.model.splitter.split
        splits = [split for split in ("dev", "test") if dataset.has(split)]
        return {
            split: evaluate(self.model, dataset.sentences(split, splitter), batch_tokens=self.batch_tokens)
            for split in splits
        }


def _label_notes(codec: TagCodec, sentence: Sentence, target: str) -> Iterator[str]:
    """What is learned: which column, in which scheme; and a warning where span labels will be taken as plain ones."""
    labels = codec.tags.labels
    column = f"column {target!r}" if target in sentence.columns or not sentence.columns else "the last column"
    if codec.encoding != "none":
        kinds = sorted({label[2:] for label in labels if label != "O"})
        yield f"learning spans from {column}, marked by {codec.scheme}: {', '.join(kinds)}"
        return
    shown = ", ".join(labels[:8]) + (f", … ({len(labels)} in all)" if len(labels) > 8 else "")
    yield f"learning a label a token from {column}: {shown}"
    odd = [label for label in labels if not is_label(label, "bioes")]
    if 0 < len(odd) < len(labels) / 2 and any(label[:2] in ("B-", "S-") for label in labels):
        yield (
            f"warning: {odd[0]!r} is a label of no span scheme, so that every label is taken for itself; "
            "`seqkit data check` says where it stands"
        )


def _check_labelled(dataset: Dataset, split: str, sentences: Sequence[Sentence], target: str) -> None:
    """See that there is something to learn from or to score, and a label for all of it."""
    labelled = [sentence for sentence in sentences if sentence.tokens]
    if not labelled:
        file = dataset.splits[split].file if split in dataset.splits else None
        raise DataError("expected at least one sentence, found none", file=file or f"{dataset.name} {split}")
    for sentence in labelled:
        sentence.column(target)


def _flat(rows: Any) -> NDArray[np.int32]:
    return np.array([value for row in rows for value in row], dtype=np.int32)
