"""What a training learns from: a model, its batches and their loss; of records and of streams of text."""

from __future__ import annotations

import zlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqkit.config import BATCH_TOKENS, Settings
from seqkit.devices import precision_context, softmax_products
from seqkit.heads.base import Report
from seqkit.inputs.batching import training_batches
from seqkit.model.base import Model
from seqkit.model.gold import checksum
from seqkit.model.pipeline import BatchSize
from seqkit.nn.sequences import to_device
from seqkit.nn.softmax import Softmax
from seqkit.records import digest

Integers = NDArray[np.int64]
MOST_NAMED = 32
"""records of a batch that a message names at most"""


class Computed(NamedTuple):
    """What was computed of a batch.

    Attributes:
        loss: a scalar with gradient.
        units: what it is the mean of.
        tokens: how many tokens were read; of sequences of vectors frames.
        carried: what the next batch begins with.
    """

    loss: Tensor
    units: int
    tokens: int
    carried: Any = None


class Learner(ABC):
    """A model in training: what `seqkit.training.trainer.Trainer` asks for.

    Args:
        model: the model; its network is what is trained.
        size: the number of training records.
        checksum: of all data that training depends on.

    Attributes:
        facts: what the model's report keeps of the training data.
        thawing: groups of parameters that are frozen at first, in the order in which they thaw.
        batch_size: tokens per batch in evaluation; once memory made them fewer they stay so.
        rounds: whether the softmax over the vocabulary rounds products in its gradient.
    """

    def __init__(self, model: Model, size: int, checksum: int) -> None:
        self.model = model
        self.settings: Settings = model.settings
        self.size = size
        self.checksum = checksum
        self.facts: dict[str, Any] = {}
        self.thawing: list[frozenset[str]] = []
        self.batch_size = BatchSize(BATCH_TOKENS, task=self.settings.row)
        products = softmax_products(self.settings.training.precision, model.device)
        self.rounds = False
        for module in model.network.modules():
            if isinstance(module, Softmax) and module.adaptive is None:
                module.products = products
                self.rounds = products is not None

    @property
    def unit(self) -> str:
        """What messages call what is read, of which the speed is told."""
        return self.settings.row.unit

    @property
    def network(self) -> torch.nn.Module:
        """What is trained."""
        return self.model.network

    @abstractmethod
    def batches(self, epoch: int, share: slice) -> Sequence[Any]:
        """This process's shares of an epoch's batches, in their order, reproducibly; None for an empty one."""

    @abstractmethod
    def compute(self, batch: Any, carried: Any) -> Computed:
        """The loss of a batch.

        Args:
            batch: one of `batches`.
            carried: what the batch before gave to begin with; None at first.

        Returns:
            See `Computed`.
        """

    @abstractmethod
    def divide(self, batch: Any, count: int) -> Sequence[Any]:
        """A batch in so many parts, or fewer where it is smaller, none of them empty."""

    @abstractmethod
    def name(self, batch: Any) -> str:
        """What messages call a batch: which records it has, counted from 1 in the order of the training data."""

    def join(self, carried: Sequence[Any]) -> Any:
        """What parts of a batch gave to begin with, as that of the whole."""
        return carried[0]

    def pack(self, carried: Any) -> dict[str, Tensor]:
        """What is carried from batch to batch, for a checkpoint."""
        return {}

    def unpack(self, tensors: Mapping[str, Tensor]) -> Any:
        """What `pack` was given."""
        return None

    @abstractmethod
    def evaluate(self) -> dict[str, float]:
        """Scores on dev; the first decides which epoch is best, the greater the better."""

    @abstractmethod
    def reports(self, dataset: Any) -> dict[str, Report]:
        """Score the finished model: split → its report, dev and, where there is one, test."""

    def frozen(self, epoch: int) -> frozenset[str]:
        """The names of the network's parameters that are not trained in an epoch.

        Args:
            epoch: counted from 0.

        Returns:
            Of what was taken from another model: all at first, then less and less, from the last layer down, until
            after ``training.freeze`` epochs nothing is left.
        """
        epochs = self.settings.training.freeze
        if epoch >= epochs:
            return frozenset()
        thawed = epoch * len(self.thawing) // epochs
        return frozenset[str]().union(*self.thawing[thawed:])

    def fingerprint(self) -> dict[str, Any]:
        """What must agree for a checkpoint to be taken up: everything but how long to train, and the data."""
        tree = self.settings.model_dump(mode="json")
        # The files may be moved meanwhile: what is in them counts.
        for section, name in self.settings.elsewhere():
            tree[section].pop(name)
        tree["head"].pop("baseline", None)  # is only reported
        training = tree["training"]
        training.pop("on_nan")  # how to go on may well be chosen when it happens
        length = {name: training.pop(name) for name in ("epochs", "time_limit", "patience", "checkpoint_minutes")}
        if training["schedule"] == "cosine":  # which depends on it; otherwise one may well train on for longer
            training["epochs"] = length["epochs"]
        sections = {section: values for section, values in tree.items() if isinstance(values, dict)}
        flat = {f"{section}.{key}": value for section, values in sections.items() for key, value in values.items()}
        return {"task": tree["task"], **flat, "training records": self.size, "checksum of the data": self.checksum}

    def default(self, name: str) -> Any:
        """What a part of the fingerprint is for checkpoints that are older than it: a setting's default."""
        section, _, key = name.partition(".")
        return getattr(getattr(type(self.settings).model_validate({}), section, None), key, None)


class RecordLearner(Learner):
    """Learns from records, a few at a time.

    Args:
        model: the model.
        train: the training records.
        dev: the records to choose the best epoch by.
        read: reads splits of a data set.
        start: a checksum of what else training depends on.
    """

    def __init__(self, model: Model, train: Sequence[Any], dev: Sequence[Any], read: Any, start: int = 0) -> None:
        rows = (strings for part in (train, dev) for strings in model.head.learned(part))
        super().__init__(model, len(train), digest(rows, start))
        self.dev = dev
        self.read = read
        with precision_context("fp32", model.device):  # a frozen network's features, as in prediction
            self.arrays = model.input.surveyed(train).arrays(train)
        self.targets = model.head.targets(train)
        self.conditions = model.head.conditions(train) if model.head.has_start else None

    def batches(self, epoch: int, share: slice) -> Sequence[Integers | None]:
        """See `Learner.batches`: the numbers of each batch's records."""
        training = self.settings.training
        batches = training_batches(
            self.arrays.lengths,
            written=getattr(self.targets, "written", None),
            batch_size=training.batch_size,
            batch_tokens=training.batch_tokens,
            equal=training.equal_lengths,
            seed=(training.seed & 0xFFFFFFFF, epoch),
        )
        return [part if len(part) else None for part in (batch[share] for batch in batches)]

    def compute(self, batch: Integers, carried: Any = None) -> Computed:
        """See `Learner.compute`."""
        model = self.model
        targets: Any = None if self.targets is None else self.targets.collate(batch)
        if isinstance(targets, Tensor):
            targets = to_device(targets, model.device)
        elif targets is not None:
            targets = targets.to(model.device)
        condition = None if self.conditions is None else self.conditions.collate(batch)
        vectors = model.input.training_batch(self.arrays, batch, self.targets).to(model.device)
        with precision_context(self.settings.training.precision, model.device):
            mean, units = model.head.loss(model.encode(vectors, condition), targets)
        read = getattr(vectors, "frame_lengths", vectors.lengths)  # several frames may become one step
        return Computed(mean, units, int(read.sum()))

    def divide(self, batch: Integers, count: int) -> Sequence[Integers]:
        """See `Learner.divide`."""
        return [part for part in np.array_split(batch, count) if len(part)]

    def name(self, batch: Integers) -> str:
        """See `Learner.name`."""
        numbers = sorted(int(row) + 1 for row in batch)
        shown = ", ".join(map(str, numbers[:MOST_NAMED])) + (", …" if len(numbers) > MOST_NAMED else "")
        return f"training {self.settings.row.record}{'s' if len(numbers) > 1 else ''} {shown}"

    def evaluate(self) -> dict[str, float]:
        """See `Learner.evaluate`."""
        report = self.model.dev_report(self.dev, self.model.pipeline(size=self.batch_size))
        scores: dict[str, float] = self.model.head.dev_scores(report)
        return scores

    def reports(self, dataset: Any) -> dict[str, Report]:
        """See `Learner.reports`; with the scores of the baseline, which is trained here."""
        splits = self.read(dataset, [split for split in ("dev", "test") if dataset.has(split)])
        self.facts["checksums"] = {split: checksum(self.model, records) for split, records in splits.items()}
        baseline = self.model.head.baseline(self.arrays, self.targets, splits["dev"])
        pipeline = self.model.pipeline(size=self.batch_size)
        return {
            split: self.model.evaluate_records(
                records, baseline=None if baseline is None else baseline(records), pipeline=pipeline
            ).report
            for split, records in splits.items()
        }


def digest_network(network: torch.nn.Module, words: Sequence[str], start: int) -> int:
    """A checksum of the input and the encoder that a run takes from elsewhere.

    Args:
        network: the network.
        words: its vocabulary.
        start: a checksum of what came before.

    Returns:
        The checksum.
    """
    found = digest([words], start)
    for name, tensor in network.state_dict().items():
        if name.startswith(("input.", "encoder.")):
            found = zlib.crc32(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().data, found)
    return found
