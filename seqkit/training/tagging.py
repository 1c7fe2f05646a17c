"""The tagging task for the training loop: sentences and labels → batches, losses and dev scores."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqkit.build import form_batch
from seqkit.config import Settings
from seqkit.data.batching import training_batches
from seqkit.data.sentence import Sentence
from seqkit.data.vectors import Vectors
from seqkit.devices import precision_context
from seqkit.errors import DataError
from seqkit.heads.tagging import IGNORED, TaggingHead
from seqkit.model import Model
from seqkit.training.evaluation import evaluate, label_column

__all__ = ["TaggingTask"]

Integers = NDArray[np.int64]


class TaggingTask:
    """Trains a tagger.

    Args:
        settings: what to build and how to train it.
        train: training sentences.
        dev: sentences to choose the best epoch by.
        vectors: given word vectors.
        device: where to train.

    Attributes:
        model: the model; its network is what the loop trains.
        metric: the score on dev that is maximised.

    Raises:
        DataError: there is nothing to learn, or a column is missing.
    """

    def __init__(
        self,
        settings: Settings,
        train: Sequence[Sentence],
        dev: Sequence[Sentence],
        vectors: Vectors | None,
        device: torch.device,
    ) -> None:
        data = settings.data
        labels = label_column(train, data.target)
        self.model = Model.build(settings, train, labels, vectors).to(device)
        self.network = self.model.network
        self.settings = settings
        self.dev = dev
        self.metric = "accuracy" if self.model.codec.encoding == "none" else "f1"
        self._arrays = self.model.indexer([sentence.tokens for sentence in train])
        self._tags = _flat(self.model.codec.encode(row) for row in labels)
        # The vectors' file may be moved meanwhile: what is in it counts.
        self._digest = _digest([*_strings(train, labels), *_strings(dev, label_column(dev, data.target))], vectors)
        for name, sentences in (("training", train), ("dev", dev)):
            if not any(sentence.tokens for sentence in sentences):
                raise DataError(f"expected {name} sentences with tokens, found none")

    @property
    def size(self) -> int:
        """The number of training sentences."""
        return len(self._arrays.lengths)

    def batches(self, epoch: int) -> Sequence[Integers]:
        """See `seqkit.training.loop.Task`: the numbers of each batch's sentences."""
        training = self.settings.training
        return training_batches(
            self._arrays.lengths,
            batch_size=training.batch_size,
            batch_tokens=training.batch_tokens,
            equal=training.equal_lengths,
            seed=(training.seed & 0xFFFFFFFF, epoch),
        )

    def loss(self, batch: Integers) -> tuple[Tensor, int, int]:
        """See `seqkit.training.loop.Task`; the units are sentences."""
        head, device = self.network.head, self.model.device
        assert isinstance(head, TaggingHead)
        tokens = self._arrays.batch(batch)
        matrix, inside = self._arrays.padded(self._tags, batch)  # [B, T]
        matrix[~inside] = IGNORED
        tags = torch.from_numpy(matrix).long().to(device)  # [B, T]
        lengths = torch.from_numpy(tokens.lengths)  # [B]
        with precision_context(self.settings.training.precision, device):
            forms = form_batch(self._arrays.table, tokens.forms).to(device)
            index = torch.from_numpy(tokens.index).to(device)  # [B, T]
            outputs = self.network(forms, index, lengths).outputs  # [B, T, D]
            loss = head.loss(outputs, lengths, tags, forms.words[index])
        return loss, len(batch), int(tokens.lengths.sum())

    def evaluate(self) -> dict[str, float]:
        """See `seqkit.training.loop.Task`."""
        report = evaluate(self.model, self.dev)
        scores = {"accuracy": report.accuracy}
        return scores if report.default is None else {"f1": report.default.f1, **scores}

    def fingerprint(self) -> dict[str, Any]:
        """See `seqkit.training.loop.Task`: everything but how long to train, and a checksum of the data."""
        tree = self.settings.model_dump(mode="json")
        del tree["embedding"]["vectors"]
        training = tree["training"]
        length = {name: training.pop(name) for name in ("epochs", "time_limit", "patience", "checkpoint_minutes")}
        if training["schedule"] == "cosine":  # which depends on it; otherwise one may well train on for longer
            training["epochs"] = length["epochs"]
        flat = {
            f"{section}.{key}": value
            for section, values in tree.items()
            if isinstance(values, dict)
            for key, value in values.items()
        }
        return {**flat, "training sentences": len(self._arrays.lengths), "checksum of the data": self._digest}


def _strings(sentences: Sequence[Sentence], labels: Sequence[Sequence[str]]) -> Iterator[Sequence[str]]:
    for sentence, row in zip(sentences, labels, strict=True):
        yield sentence.tokens
        yield row


def _digest(rows: Iterable[Sequence[str]], vectors: Vectors | None = None, start: int = 0) -> int:
    """A checksum of the words, the labels and the given vectors that a run depends on."""
    digest = start
    for row in rows:
        digest = zlib.crc32("\t".join(row).encode("utf-8", "surrogatepass") + b"\n", digest)
    if vectors is not None:
        digest = zlib.crc32(np.ascontiguousarray(vectors.matrix).data, _digest([vectors.words], start=digest))
    return digest


def _flat(rows: Any) -> NDArray[np.int32]:
    return np.array([value for row in rows for value in row], dtype=np.int32)
