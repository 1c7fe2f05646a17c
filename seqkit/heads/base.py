"""What a network predicts: targets, loss, decoding to records, and the report and metric it is judged by."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from seqkit.errors import SettingsError
from seqkit.inputs.arrays import Integers, TypeRows
from seqkit.inputs.base import Documents, Input
from seqkit.nn.attention import Memory
from seqkit.nn.encoder import Encoder
from seqkit.nn.network import Encoded
from seqkit.nn.recurrent import State
from seqkit.nn.softmax import IGNORED

_Kind = TypeVar("_Kind", bound="Head")
MOST_NAMED = 100
"""labels that a model card names at most"""


class Loss(NamedTuple):
    """The loss of a batch.

    Attributes:
        mean: a scalar with gradient.
        units: what it is the mean of: sentences, texts, units of text.
    """

    mean: Tensor
    units: int


class Start(NamedTuple):
    """What an encoder begins with.

    Attributes:
        state: the state of every layer; None for zeros.
        features: what joins the input of every step, [B, C], or None.
        memory: what every step can look at, for `Head.look`, or None.
    """

    state: tuple[State, ...] | None = None
    features: Tensor | None = None
    memory: Memory | None = None


class Targets(Protocol):
    """What is to be learned of all training records."""

    def collate(self, rows: Integers) -> Any:
        """The targets of some records, on the CPU."""


class Report(Protocol):
    """How good predictions are."""

    @property
    def sentences(self) -> int:
        """How many sentences, texts or lines were scored."""

    def to_json(self) -> dict[str, Any]:
        """The figures under the keys of ``--json``, with ``sentences`` and ``tokens`` (or units)."""

    def render(self, width: int) -> str:
        """The figures as a table of at most so many columns."""


class RecordTargets:
    """One target a record.

    Args:
        values: [S] or [S, K].
    """

    def __init__(self, values: Integers) -> None:
        self.values = values

    def collate(self, rows: Integers) -> Tensor:
        """See `Targets.collate`: int64 [B] or [B, K]."""
        return torch.from_numpy(self.values[rows])

    def ids(self) -> list[list[int]]:
        """The ids of each record's labels: one."""
        return [[value] for value in self.values.tolist()]


class LabelSetTargets:
    """Several labels a record, or none.

    Args:
        rows: the ids of each record's labels.
        size: K, the number of labels.
    """

    def __init__(self, rows: Sequence[Sequence[int]], size: int) -> None:
        values = np.array([value for row in rows for value in row], dtype=np.int32)
        self.rows = TypeRows(values, np.cumsum([0, *map(len, rows)], dtype=np.int64))
        self.size = size

    def collate(self, rows: Integers) -> Tensor:
        """See `Targets.collate`: zeros and ones, bool [B, K]."""
        matrix, inside = self.rows.padded(self.rows.types, rows)  # [B, L] each
        found = torch.zeros(len(rows), self.size, dtype=torch.bool)
        number, place = np.nonzero(inside)
        found[number, matrix[number, place]] = True
        return found

    def ids(self) -> list[list[int]]:
        """The ids of each record's labels."""
        values, offsets = self.rows.types.tolist(), self.rows.offsets.tolist()
        return [values[begin:end] for begin, end in pairwise(offsets)]


class StepTargets:
    """One target a step.

    Args:
        rows: the targets of each record.
    """

    def __init__(self, rows: Sequence[Sequence[int]]) -> None:
        values = np.array([value for row in rows for value in row], dtype=np.int32)
        self.rows = TypeRows(values, np.cumsum([0, *map(len, rows)], dtype=np.int64))

    def collate(self, rows: Integers) -> Tensor:
        """See `Targets.collate`: int64 [B, T], `IGNORED` past the end of each record."""
        matrix, inside = self.rows.padded(self.rows.types, rows)  # [B, T] each
        return torch.from_numpy(np.where(inside, matrix, IGNORED).astype(np.int64))


class Head(ABC):
    """What a network predicts.

    A subclass is made from training records (`build`) or from the documents of a saved model (`restore`); `make_module`
    then makes its trainable part, which reads the encoder's outputs.

    Attributes:
        has_labels: whether predictions have `labels`, by which a faster precision can be checked.
        has_start: whether it says what the encoder begins with; see `conditions` and `start`.
        scores_steps: whether `score` gives numbers of each step, and not of each record.
        drops_outputs: whether it drops features of the encoder's outputs itself.
        parts: what predictions consist of, for messages, in the plural.
        training_only: how the names of weights begin that only training needs; empty for none.
        baseline_scores: the dataclass of the scores of its `baseline`, if it has one.
        encoder_options: further arguments of `seqkit.nn.encoder.Encoder`, which `make_start` may set.
        module: the trainable part.
    """

    has_labels: bool = False
    has_start: bool = False
    drops_outputs: bool = False
    scores_steps: bool = False
    parts: str = "labels"
    training_only: str = ""
    baseline_scores: Any = None
    encoder_options: Mapping[str, Any] = {}
    module: Any

    @classmethod
    @abstractmethod
    def build(cls: type[_Kind], settings: Any, records: Sequence[Any], input: Input) -> _Kind:
        """Learn from training records what there is to predict.

        Args:
            settings: the settings of the model.
            records: the training records.
            input: what the network reads.

        Returns:
            The head, without its module.

        Raises:
            DataError: there is nothing to learn.
        """

    @classmethod
    @abstractmethod
    def restore(cls: type[_Kind], settings: Any, documents: Documents, input: Input) -> _Kind:
        """Make the head of a saved model.

        Args:
            settings: the settings of the model.
            documents: what `documents` gave.
            input: what the network reads.

        Returns:
            The head, without its module.

        Raises:
            ModelError: a document is missing or malformed.
        """

    @abstractmethod
    def documents(self) -> dict[str, Any]:
        """File name → JSON value of all that `restore` reads."""

    def make_start(self) -> int:
        """Make what `start` needs; called before the encoder is made.

        Returns:
            How many features it adds to the input of every step; by default none.
        """
        return 0

    @abstractmethod
    def make_module(self, encoder: Encoder, inputs: nn.Module, *, training: bool) -> nn.Module:
        """Make the trainable part, which is kept as `module`.

        Args:
            encoder: the encoder, whose `output_size` is read.
            inputs: the input's module, whose weights may be shared.
            training: whether it is to be trained, and so needs what only training needs.

        Returns:
            The module.
        """

    @abstractmethod
    def targets(self, records: Sequence[Any]) -> Targets | None:
        """What is to be learned of some records; None where the input says it.

        Args:
            records: the records.

        Returns:
            The targets.

        Raises:
            DataError: a record has none.
        """

    def conditions(self, records: Sequence[Any]) -> Targets:
        """What the encoder begins with, as arrays: see `start`."""
        raise NotImplementedError  # pragma: no cover - every head with `has_start` overrides it

    def start(self, condition: Any, size: int) -> Start:
        """What the encoder begins with.

        Args:
            condition: what `conditions` collated for the batch, on the network's device.
            size: B.

        Returns:
            States and features.
        """
        raise NotImplementedError  # pragma: no cover - every head with `has_start` overrides it

    def look(self, outputs: Tensor, memory: Memory) -> Tensor:
        """What the head reads of a batch whose steps can look at something.

        Args:
            outputs: the encoder's outputs, [B, T, D].
            memory: what `start` gave.

        Returns:
            [B, T, D].
        """
        raise NotImplementedError  # pragma: no cover - every head whose `start` gives a memory overrides it

    @abstractmethod
    def loss(self, encoded: Encoded, targets: Any) -> Loss:
        """The training loss.

        Args:
            encoded: a batch.
            targets: what `targets` collated for it, on the network's device.

        Returns:
            The loss.
        """

    @abstractmethod
    def score(self, encoded: Encoded) -> Tensor:
        """What `decode` decides by: numbers of each step, [B, T, …], if the head `scores_steps`, else [B, …]."""

    def sound(self, scores: Tensor, lengths: Tensor) -> Tensor:
        """Whether `decode` can decide by some scores: weights that are finite, but huge, may give others.

        Args:
            scores: see `decode`.
            lengths: see `decode`.

        Returns:
            Of each record whether its scores are finite, bool [B], on the device of the scores.
        """
        return scores.reshape(len(scores), -1).abs().amax(1) < torch.inf

    @abstractmethod
    def decode(self, scores: Tensor, lengths: Tensor, records: Sequence[Any], options: Any) -> Sequence[Any]:
        """Decide.

        Args:
            scores: what `score` gave for B records, perhaps of several batches.
            lengths: steps of each, int64 [B], on the CPU.
            records: the records.
            options: an object of the task's options class.

        Returns:
            One prediction per record, with `to_json`; counted are its ``units``, or the tokens of its ``sentence``.
        """

    @abstractmethod
    def empty(self, record: Any, options: Any) -> Any:
        """The prediction for a record without a step.

        Args:
            record: the record.
            options: see `decode`.

        Returns:
            The prediction.
        """

    def stream(self, options: Any) -> Any:
        """What decides on one sequence after the other in chunks, for `seqkit.model.streaming.Stream`.

        Args:
            options: see `decode`.

        Returns:
            An object with a method `accept`, what `score` gave for the next steps, [1, t, …], → a list of the answers
            that are now certain, and `finish`, → a list of those that are left at the end of a sequence; what comes
            then begins another one. Both are also told the input's `extent` at the end of a sequence, see
            `seqkit.inputs.base.Input.stream`. Its `to_json` makes an object of an answer, and `lag` is how many steps
            an answer waits for others.

        Raises:
            SettingsError: nothing is certain before a sequence has ended, by default or with these options.
        """
        raise SettingsError("what this model predicts cannot be streamed: it is about the whole of what is read")

    def labels(self, answer: Any) -> Sequence[Hashable]:
        """The labels of a prediction, if it has any."""
        return []

    def gold(self, records: Sequence[Any], **options: Any) -> list[list[str]]:
        """The right labels of records.

        Args:
            records: the records.
            **options: those of evaluation: where the labels are, by default where the model learned them.

        Returns:
            The labels of each record; those unknown to the model are kept, and count as errors.

        Raises:
            DataError: a record has none.
        """
        raise NotImplementedError  # pragma: no cover - every head of labels overrides it

    def learned(self, records: Sequence[Any]) -> Iterator[Sequence[str]]:
        """What is learned from records: checked of every split before training, and what a checkpoint is for.

        Args:
            records: the records.

        Yields:
            Of each record its tokens or its text, and its labels, as strings. A head without `gold` overrides it.

        Raises:
            DataError: a record has not what is learned.
        """
        for record, labels in zip(records, self.gold(records), strict=True):
            yield record.tokens or [record.text]
            yield labels

    @abstractmethod
    def report(self, gold: Sequence[Sequence[str]], answers: Sequence[Any], baseline: Any = None) -> Any:
        """Compare predictions with what is right.

        Args:
            gold: the right labels of each record.
            answers: the predictions.
            baseline: the scores of a simpler model, as the head's report takes them.

        Returns:
            A `Report`.
        """

    @abstractmethod
    def dev_scores(self, report: Any) -> dict[str, float]:
        """The scores that are shown after an epoch; the first decides which epoch is best, the greater the better."""

    def baseline(self, arrays: Any, targets: Any, dev: Sequence[Any]) -> Callable[[Sequence[Any]], Any] | None:
        """A simpler model to compare with.

        Args:
            arrays: the training records.
            targets: their targets.
            dev: the dev records.

        Returns:
            A function records → the scores that `report` takes; None where there is no baseline.
        """
        return None

    def recorded(self, scores: Mapping[str, Any]) -> Any:
        """The baseline's scores as a model's report has them, as `report` takes them; None where there are none."""
        kind = self.baseline_scores
        return kind(**scores) if kind is not None and set(scores) == set(kind.__dataclass_fields__) else None

    def notes(self, records: Sequence[Any], targets: Any) -> list[str]:
        """Lines for the user: what is learned."""
        return []

    def unknown(self, gold: Sequence[Sequence[str]]) -> list[str]:
        """The gold labels that the model cannot predict, sorted."""
        return []

    def unknown_slots(self, records: Sequence[Any]) -> list[str]:
        """Of dialogue acts that are read: each of their slots that training lacks, as a person calls it."""
        return []

    def error(self, gold: Sequence[str], answer: Any) -> str:
        """What ``evaluate --errors`` writes of a prediction; nothing where it is right."""
        return ""

    def usage(self) -> str:
        """Flags of the command that uses the model, for the model card."""
        return ""

    def description(self) -> list[str]:
        """Lines of the model card: what the model predicts."""
        return []


def some(labels: Sequence[str], most: int = 50) -> str:
    """The first labels, for a person.

    Args:
        labels: all labels.
        most: so many are named.

    Returns:
        Their names; if there are more, with the number of all.
    """
    rest = f", … ({len(labels):,} in all)" if len(labels) > most else ""
    return ", ".join(labels[:most]) + rest
