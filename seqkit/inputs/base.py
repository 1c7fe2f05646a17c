"""What a network reads: records → arrays, made once → batches → vectors [B, T, I]. The one place where that happens."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from seqkit.errors import DataError, ModelError, SettingsError, shown
from seqkit.formats.json_values import as_object
from seqkit.records import Sentence, SplitFunction, TextRecord

_Kind = TypeVar("_Kind", bound="Input")


class Documents:
    """The JSON files of a model directory, parsed.

    Args:
        parsed: file name → content.
        place: the directory, for messages.
        weights: the saved weights.
    """

    def __init__(self, parsed: Mapping[str, Any], place: str, weights: Mapping[str, Tensor] | None = None) -> None:
        self.parsed = parsed
        self.place = place
        self.weights = weights or {}

    def __contains__(self, name: str) -> bool:
        """Whether the model has such a file."""
        return name in self.parsed

    def __getitem__(self, name: str) -> Any:
        """The content of one file.

        Args:
            name: its name.

        Returns:
            A JSON value.

        Raises:
            ModelError: the model has no such file.
        """
        if name not in self.parsed:
            raise ModelError(self.missing(name))
        return self.parsed[name]

    def weight(self, name: str) -> Tensor | None:
        """A saved weight without its values, for a table whose size no document holds; None where there is none."""
        return self.weights[name].to("meta") if name in self.weights else None

    def missing(self, name: str) -> str:
        """The message that a file is missing."""
        return f"{self.place}: {name} is missing among the model's files: {', '.join(sorted(self.parsed))}"


@dataclass(frozen=True)
class Sources:
    """What a model is made from beside its training data.

    Args:
        vectors: pretrained word vectors, a `seqkit.inputs.pretrained.Vectors`.
        start: a model whose embedding, encoder and vocabularies come first, a `seqkit.model.base.Model`.
        context: contextual string embeddings, a `seqkit.inputs.context.ContextFeatures`.
        features: the file beside the checkpoint for what is made of recordings, which may not be there yet.
        resumes: whether an earlier run goes on, so that what it left there is used.
    """

    vectors: Any = None
    start: Any = None
    context: Any = None
    features: Path | None = None
    resumes: bool = False


NO_SOURCES = Sources()


class Input(ABC):
    """What a network reads.

    A subclass is made from training records (`build`) or from the documents of a saved model (`restore`).

    Attributes:
        reads_tokens: whether raw text is split into tokens first, as ``data.splitter`` says.
        fields: the fields of which a request has one (see `seqkit.model.base.Predictor.answer`); none for any fields.
        optional_fields: those that it may have beside that one.
    """

    fields: tuple[str, ...] = ()
    optional_fields: tuple[str, ...] = ()
    reads_tokens: bool = False

    @property
    def split(self) -> SplitFunction | None:
        """Raw text → tokens, of an input that reads tokens."""
        return None

    @classmethod
    @abstractmethod
    def build(cls: type[_Kind], settings: Any, records: Sequence[Any], sources: Sources) -> _Kind:
        """Learn from training records what there is to read: vocabularies, statistics.

        Args:
            settings: the settings of the model.
            records: the training records.
            sources: what else the model is made from.

        Returns:
            The input.

        Raises:
            DataError: there is nothing to learn from.
            SettingsError: settings do not fit each other.
        """

    @classmethod
    @abstractmethod
    def restore(cls: type[_Kind], settings: Any, documents: Documents) -> _Kind:
        """Make the input of a saved model.

        Args:
            settings: the settings of the model.
            documents: what `documents` gave.

        Returns:
            The input.

        Raises:
            ModelError: a document is missing or malformed.
        """

    @abstractmethod
    def documents(self) -> dict[str, Any]:
        """File name → JSON value of all that `restore` reads."""

    @property
    def dropout(self) -> float:
        """The probability of dropping a feature of the vectors that the encoder reads."""
        return 0.0

    @abstractmethod
    def module(self) -> nn.Module:
        """A new module batch → vectors [B, T, I], with I as its `output_size`."""

    @abstractmethod
    def arrays(self, records: Sequence[Any]) -> Any:
        """Records as arrays of numbers, from which `collate` makes batches.

        Args:
            records: S records.

        Returns:
            An object with `lengths`, the steps of each record, an array int64 [S].
        """

    @abstractmethod
    def collate(self, arrays: Any, rows: NDArray[np.int64]) -> Any:
        """Some records as one batch.

        Args:
            arrays: what `arrays` gave.
            rows: numbers of records, [B].

        Returns:
            The batch, on the CPU: an object with `lengths`, the steps of each record, int64 [B], and a method `to` that
            gives the same on a device, where only the lengths stay on the CPU.
        """

    def training_batch(self, arrays: Any, rows: NDArray[np.int64], targets: Any) -> Any:
        """Some records as one batch of training, which may be changed at random.

        Args:
            arrays: what `arrays` gave.
            rows: numbers of records, [B].
            targets: what is learned of all records, see `seqkit.heads.base.Head.targets`.

        Returns:
            See `collate`, which this is by default.
        """
        return self.collate(arrays, rows)

    def cached(self, module: nn.Module) -> Any:
        """The same input for prediction over many chunks, which may keep what one chunk has in common with the next.

        Args:
            module: the module that reads the batches; it must not be trained meanwhile.

        Returns:
            An object with `arrays` and `collate`, for one thread at a time; by default the input itself.
        """
        return self

    def stream(self, module: nn.Module) -> Any:
        """What reads one sequence after the other in chunks, for `seqkit.model.streaming.Stream`.

        Args:
            module: the module that reads batches; it must not be trained meanwhile.

        Returns:
            An object with a method `accept`, the next part of a sequence → vectors [1, t, I] on the module's device,
            where t may be 0, and `finish`, → the vectors that are left at its end; what comes then begins another one.
            Its `delay` is how many further units of the input a step waits for, and `extent` how long the sequence was
            that was finished last, for heads that need to know it; otherwise None.

        Raises:
            SettingsError: the input cannot be read in chunks; by default none can.
        """
        raise SettingsError("what this model reads cannot be streamed: it has to be whole")

    @property
    def surveys(self) -> bool:
        """Whether what is read of a record depends on others given with it, so that `surveyed` sees all first."""
        return False

    def surveyed(self: _Kind, records: Sequence[Any]) -> _Kind:
        """The same input for records that say something of each other, such as those of the same speaker.

        Args:
            records: all records of a split, a file or a call.

        Returns:
            An object with `arrays` and `collate`, for these records or some of them; by default the input itself.

        Raises:
            DataError: one cannot be read.
        """
        return self

    def check(self, records: Sequence[Any]) -> int:
        """See that records can be read whose content is read only when it is needed.

        Args:
            records: the records.

        Returns:
            A checksum of that content; 0 where there is none.

        Raises:
            DataError: one cannot be read.
        """
        return 0

    def settle(self, file: Path) -> None:
        """Keep what was made of the training data and is needed again, now that training begins.

        Args:
            file: the file beside the checkpoint for it, see `Sources.features`.

        Raises:
            ModelError: it cannot be written.
        """
        return

    def lengths(self, records: Sequence[Any]) -> list[int]:
        """Steps of each record."""
        return list(map(int, self.arrays(records).lengths))

    def record(self, given: Any) -> Any:
        """What a user of a model gives, as a record.

        Args:
            given: a text, the fields of a record, or a record.

        Returns:
            The record.

        Raises:
            DataError: it is something else.
        """
        if isinstance(given, str):
            return TextRecord(given)
        if isinstance(given, Mapping) and given:
            found = as_object(given)
            text = found.get("text")
            return TextRecord(text if isinstance(text, str) else "", found)
        if isinstance(given, (TextRecord, Sentence)) and isinstance(given.text, str):
            return given
        raise DataError(f"a record must be a text or a mapping of its fields, found {shown(given)}")

    def facts(self, records: Sequence[Any]) -> tuple[dict[str, Any], list[str]]:
        """What is known of the training records.

        Args:
            records: the training records.

        Returns:
            What the model's report keeps of it, and lines for the user.
        """
        return {}, []

    def description(self) -> list[str]:
        """Lines of the model card."""
        return []
