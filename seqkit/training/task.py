"""What is common to the tasks that the training loop trains."""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from seqkit.config import BATCH_TOKENS, OTHER_FILES, Settings, parse_settings
from seqkit.corpora.dataset import Dataset
from seqkit.devices import softmax_products, training_arithmetic
from seqkit.inputs.pretrained import Vectors
from seqkit.model.base import Model
from seqkit.model.memory import BatchTokens
from seqkit.nn.network import Network
from seqkit.nn.softmax import Softmax
from seqkit.training.distribution import ALONE, Group
from seqkit.training.loop import Trainer
from seqkit.training.progress import Progress
from seqkit.training.transfer import describe, thawing_groups, transfer

__all__ = ["Report", "TrainingTask", "digest", "digest_network", "recorded_baseline"]

_Scores = TypeVar("_Scores")
MOST_NAMED = 32
"""sentences of a batch that a message names at most"""


class Report(Protocol):
    """How well a model does on a split."""

    @property
    def sentences(self) -> int:
        """How many sentences, texts or lines were scored."""

    def to_json(self) -> dict[str, Any]:
        """The figures, under the keys that ``--json`` has."""

    def render(self, width: int) -> str:
        """The figures as a table of so many columns at most."""


class TrainingTask:
    """A model in training: what `seqkit.training.loop.Trainer` and `seqkit.training.run.run` ask of a task.

    Args:
        settings: what was built and how it is trained.
        model: the model; its network is what the loop trains.

    Attributes:
        metric: the score on dev that is maximised, a key of what `evaluate` gives.
        size: the number of training sentences.
        checksum: of all data that training depends on.
        share: which rows of every batch are computed here; the others are another process's.
        batch_tokens: tokens of a batch that is scored; once memory made them fewer they stay so.
        divisible: whether several processes can share the work.
    """

    metric: str
    size: int
    checksum: int
    share = slice(None)
    divisible = True

    def __init__(self, settings: Settings, model: Model) -> None:
        self.settings = settings
        self.model = model
        self.batch_tokens = BatchTokens(BATCH_TOKENS)
        self._thawing: list[frozenset[str]] = []
        self._rounds = False
        for module in model.network.modules():
            if isinstance(module, Softmax) and module.adaptive is None:
                module.products = softmax_products(settings.training.precision, model.device)
                self._rounds = module.products is not None

    @property
    def network(self) -> Network:
        """What is trained."""
        return self.model.network

    @classmethod
    def complete(cls, settings: Settings, dataset: Dataset) -> Settings:
        """Fill in what a data set's card says and the settings leave open; nothing by default."""
        return settings

    @classmethod
    def from_items(cls, train: Iterable[Any], dev: Iterable[Any] | None, test: Iterable[Any] | None) -> Dataset:
        """A data set from Python objects; each task says what its items are.

        Args:
            train: the training items.
            dev: items to choose the best epoch by; without them the last tenth of train is held out.
            test: items to report on.

        Returns:
            The data set.

        Raises:
            DataError: an item is of another form.
        """
        raise NotImplementedError  # pragma: no cover - every task overrides it

    @classmethod
    def prepare(cls, settings: Settings, dataset: Dataset, device: torch.device, progress: Progress) -> TrainingTask:
        """Read the data and build the task; torch's random generator has been seeded.

        Args:
            settings: complete settings.
            dataset: the data.
            device: where to train.
            progress: where messages go.

        Returns:
            The task, its model initialised.

        Raises:
            SeqkitError: the data, the vectors or the settings cannot be used.
        """
        raise NotImplementedError  # pragma: no cover - every task overrides it

    def batches(self, epoch: int) -> Sequence[Any]:
        """This process's shares of an epoch's batches, in their order, reproducibly; None for an empty one."""
        raise NotImplementedError  # pragma: no cover - every task overrides it

    def loss(self, batch: Any) -> tuple[Tensor, int, int]:
        """The loss of a batch, a scalar with gradient; how many units it is the mean of; how many tokens it has."""
        raise NotImplementedError  # pragma: no cover - every task overrides it

    def evaluate(self) -> dict[str, float]:
        """Scores on dev; under `metric` the one to maximise."""
        raise NotImplementedError  # pragma: no cover - every task overrides it

    def reports(self, dataset: Dataset) -> dict[str, Any]:
        """Score the finished model: split → its `Report`, dev and, where there is one, test."""
        raise NotImplementedError  # pragma: no cover - every task overrides it

    def divided(self, batch: Any, count: int) -> Sequence[Any]:
        """A batch in so many parts, or fewer where it is smaller, for each of which `loss` can be asked in turn.

        Args:
            batch: one of `batches`; by default numbers of sentences, [B].
            count: how many parts.

        Returns:
            The parts, none of them empty.
        """
        return [part for part in np.array_split(batch, count) if len(part)]

    def named(self, batch: Any) -> str:
        """What messages call a batch: by default its sentences, counted from 1 in the order of the training data."""
        numbers = sorted(int(row) + 1 for row in batch)
        shown = ", ".join(map(str, numbers[:MOST_NAMED])) + (", …" if len(numbers) > MOST_NAMED else "")
        return f"training sentence{'s' if len(numbers) > 1 else ''} {shown}"

    def fit(self, output: Path, progress: Progress, group: Group = ALONE, *, resume: bool) -> dict[str, Any]:
        """Train the model.

        Args:
            output: where ``train.jsonl`` and ``checkpoint/`` go.
            progress: where messages go.
            group: the processes that train together.
            resume: go on from the checkpoint in `output`, if there is one.

        Returns:
            What the report says of the training.

        Raises:
            Interrupted: Ctrl-C or SIGTERM came; a checkpoint has been written.
        """
        self.share = group.share
        self.batch_tokens = BatchTokens(BATCH_TOKENS, progress.say)
        trainer = Trainer(self, self.settings.training, output, progress, group)
        if resume and trainer.resume():
            progress.say(f"resuming at epoch {trainer.epoch + 1}, step {trainer.step}")
        if self._rounds:
            progress.say("precision auto: fp32, but bf16 for the products in the gradient of the softmax over words")
        began = time.monotonic()
        with training_arithmetic(self.settings.training.precision, self.model.device):
            trainer.run()
        progress.say(f"best epoch {trainer.best_epoch}, {(time.monotonic() - began) / 60:.1f} minutes")
        spent = sum(line["seconds"] + line["dev_seconds"] for line in trainer.history)
        return {"best_epoch": trainer.best_epoch, "epochs": trainer.epoch, "seconds": spent}

    def start_from(self, start: Model | None, progress: Progress) -> None:
        """Take embedding and encoder of another model.

        Args:
            start: the model, with whose vocabularies this task's model was built; None for nothing.
            progress: where it is said what was taken.
        """
        if start is None:
            return
        self.checksum = digest_network(start.network, start.indexer.words.words, self.checksum)
        taken = transfer(start, self.model)
        self._thawing = thawing_groups(taken)
        progress.say(describe(start, self.model, taken))

    def frozen(self, epoch: int) -> frozenset[str]:
        """The names of the network's parameters that are not trained in an epoch.

        Args:
            epoch: counted from 0.

        Returns:
            Of what was taken from another model: all at first, then less and less, from the top down, until after
            ``training.freeze`` epochs nothing is left.
        """
        epochs = self.settings.training.freeze
        if epoch >= epochs:
            return frozenset()
        thawed = epoch * len(self._thawing) // epochs
        return frozenset[str]().union(*self._thawing[thawed:])

    def state(self) -> dict[str, Tensor]:
        """What the task carries from batch to batch, for a checkpoint; nothing by default."""
        return {}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Take up what `state` gave; of nothing, begin anew."""

    def fingerprint(self) -> dict[str, Any]:
        """What must agree for a checkpoint to be taken up: everything but how long to train, and the data."""
        tree = self.settings.model_dump(mode="json")
        # The files may be moved meanwhile: what is in them counts.
        for section, name in OTHER_FILES:
            tree[section].pop(name, None)
        tree["head"].pop("baseline", None)  # is only reported
        training = tree["training"]
        training.pop("on_nan")  # how to go on may well be chosen when it happens
        length = {name: training.pop(name) for name in ("epochs", "time_limit", "patience", "checkpoint_minutes")}
        if training["schedule"] == "cosine":  # which depends on it; otherwise one may well train on for longer
            training["epochs"] = length["epochs"]
        flat = {
            f"{section}.{key}": value
            for section, values in tree.items()
            if isinstance(values, dict)
            for key, value in values.items()
        }
        return {
            "task": self.settings.task,
            **flat,
            "training sentences": self.size,
            "checksum of the data": self.checksum,
        }

    def before(self, name: str) -> Any:
        """See `seqkit.training.loop.Task.before`: a setting's default."""
        section, _, key = name.partition(".")
        defaults = parse_settings({"task": self.settings.task}, "defaults")
        return getattr(getattr(defaults, section, None), key, None)


def recorded_baseline(kind: type[_Scores], model: Model, data: str, split: str, sentences: int) -> _Scores | None:
    """What the baseline reached on a split when a model was trained.

    Args:
        kind: the class of its scores, a dataclass of numbers and a name.
        model: the model.
        data: the data set's name.
        split: the split.
        sentences: how many sentences, texts or lines it has.

    Returns:
        Its scores; None where the model was trained without one, on other data, or has no report of that split.
    """
    report = model.report
    scores = report.get("scores", {}).get(split, {}) if report.get("data", {}).get("name") == data else {}
    found = scores.get("baseline") if scores.get("sentences") == sentences else None
    if not isinstance(found, dict) or set(found) != {field.name for field in fields(kind)}:  # type: ignore[arg-type]
        return None
    return kind(**found)


def digest_network(network: Network, words: Sequence[str], start: int) -> int:
    """A checksum of the embedding and the encoder that a run takes from elsewhere.

    Args:
        network: the network.
        words: its vocabulary.
        start: a checksum of what came before.

    Returns:
        The checksum.
    """
    found = digest([words], start=start)
    for name, tensor in network.state_dict().items():
        if name.startswith(("embedding.", "encoder.")):
            found = zlib.crc32(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().data, found)
    return found


def digest(rows: Iterable[Sequence[str]], vectors: Vectors | None = None, start: int = 0) -> int:
    """A checksum of the strings and the given vectors that a run depends on.

    Args:
        rows: tokens, labels and whatever else.
        vectors: given word vectors.
        start: a checksum of what came before.

    Returns:
        The checksum.
    """
    found = start
    for row in rows:
        found = zlib.crc32("\t".join(row).encode("utf-8", "surrogatepass") + b"\n", found)
    if vectors is not None:
        found = zlib.crc32(np.ascontiguousarray(vectors.matrix).data, digest([vectors.words], start=found))
    return found
