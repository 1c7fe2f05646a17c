"""The generation task for the training loop: texts and conditions → batches, losses and dev scores."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqkit.config import BATCH_TOKENS, GenerateSettings, Settings, override
from seqkit.corpora.dataset import Dataset, Split
from seqkit.devices import precision_context
from seqkit.errors import DataError
from seqkit.heads.generation.verse import line_lengths
from seqkit.inputs.conditions import can_be_written
from seqkit.inputs.pretrained import Vectors
from seqkit.inputs.vocabulary import UNKNOWN
from seqkit.metrics.generation import GenerationReport
from seqkit.metrics.perplexity import PerplexityReport
from seqkit.model.base import Model
from seqkit.model.generation import target_text
from seqkit.model.generator import Encoded, Generator
from seqkit.model.memory import BatchTokens
from seqkit.records import Sentence
from seqkit.training.progress import Progress
from seqkit.training.task import TrainingTask, digest
from seqkit.training.transfer import adopt, load_start
from seqkit.training.words import epoch_batches, given_vectors

__all__ = ["GenerationTask", "evaluate_generator", "read_records"]

Integers = NDArray[np.int64]


class GenerationTask(TrainingTask):
    """Trains a generator: every step is given the right unit before it.

    Args:
        settings: what to build and how to train it; the fields of the condition are named.
        parts: train, dev and, where there is one, test.
        vectors: given vectors of units.
        device: where to train.
        start: a model whose vocabularies come first.

    Raises:
        DataError: there is nothing to learn, or a field is missing or cannot be used.
    """

    settings: GenerateSettings
    model: Generator
    metric = "score"

    def __init__(
        self,
        settings: GenerateSettings,
        parts: Mapping[str, Sequence[Sentence]],
        vectors: Vectors | None,
        device: torch.device,
        start: Model | None = None,
    ) -> None:
        train = parts["train"]
        super().__init__(settings, Generator.build(settings, train, vectors, start).to(device))
        self.parts = parts
        self.size = len(train)
        # What is wrong with dev and test is found now, not after training.
        encoded = {name: _encoded(self.model, part) for name, part in parts.items()}
        self._encoded = encoded["train"]
        texts = {name: [target_text(one, settings.data.target) for one in part] for name, part in parts.items()}
        self._arrays = self.model.arrays(texts["train"])
        learned = [zip(texts[name], encoded[name], strict=True) for name in ("train", "dev")]
        self.checksum = digest(([text, *_strings(one)] for part in learned for text, one in part), vectors)

    @classmethod
    def from_items(cls, train: Iterable[Any], dev: Iterable[Any] | None, test: Iterable[Any] | None) -> Dataset:
        """See `TrainingTask.from_items`: mappings with the text and the fields of the condition."""
        given = {name: items for name, items in (("train", train), ("dev", dev), ("test", test)) if items is not None}
        return Dataset("records", {name: Split(content=_records(name, items)) for name, items in given.items()})

    @classmethod
    def prepare(cls, settings: Settings, dataset: Dataset, device: torch.device, progress: Progress) -> GenerationTask:
        """See `TrainingTask.prepare`."""
        assert isinstance(settings, GenerateSettings)
        target = settings.data.target
        splits = [name for name in ("train", "dev", "test") if dataset.has(name)]
        parts = {name: read_records(dataset, name, target) for name in splits}
        for note in dataset.notes:
            progress.say(note)
        progress.say(f"{dataset.name}: {', '.join(f'{name} {len(part):,} texts' for name, part in parts.items())}")
        found = [] if settings.data.condition else _shared(parts["train"], target)
        if not settings.data.condition:
            settings = override(settings, {"data": {"condition": ",".join(found) or "none"}})
        vectors, complete = given_vectors(settings)
        start = load_start(complete)
        try:
            task = cls(adopt(complete, start), parts, vectors, device, start)
        except DataError as error:
            if any(repr(name) in str(error) for name in found):  # of which the user may never have heard
                hint = f"found as condition: {', '.join(found)}; --condition names others, or none"
                raise DataError(f"{error} ({hint})") from None
            raise
        task.start_from(start, progress)
        for line in task.model.codec.describe() or ["nothing: the same for all texts"]:
            progress.say(f"written from {line}")
        progress.say(f"vocabulary: {len(task.model.indexer.words) - 2:,} units")
        return task

    def batches(self, epoch: int) -> Sequence[Integers | None]:
        """See `TrainingTask.batches`: the numbers of each batch's texts."""
        return epoch_batches(self._arrays.lengths, self.settings.training, epoch, self.share)

    def loss(self, batch: Integers) -> tuple[Tensor, int, int]:
        """See `TrainingTask.loss`; the units are those of the texts, ends included."""
        model = self.model
        with precision_context(self.settings.training.precision, model.device):
            given = model.batch(self._arrays, batch, self._encoded)
            loss = model.head.loss(model.outputs(given), given.targets, model.table)
        units = int(given.lengths.sum())
        return loss, units, units

    def evaluate(self) -> dict[str, float]:
        """See `TrainingTask.evaluate`."""
        report = _prediction(self.model, self.parts["dev"], self.batch_tokens, "fp32")
        return {"score": report.score, "perplexity": report.perplexity}

    def reports(self, dataset: Dataset) -> dict[str, GenerationReport]:
        """See `TrainingTask.reports`."""
        return {
            name: evaluate_generator(self.model, part, batch_tokens=self.batch_tokens)
            for name, part in self.parts.items()
            if name != "train"
        }


def read_records(dataset: Dataset, split: str, target: str) -> list[Sentence]:
    """Read one split as records of a text and the fields that it is written from.

    Args:
        dataset: the data.
        split: ``train``, ``dev``, ``test``, or ``all`` for a lone file.
        target: the field of the text.

    Returns:
        The records, in the file's order.

    Raises:
        DataError: it cannot be read, or there is nothing in it.
    """
    records = dataset.texts(split, _whole, text=target, label=None)
    if not records:
        source = dataset.splits.get(split) or dataset.splits.get("all")
        file = source.file if source is not None else None
        raise DataError("expected at least one text, found none", file=file or f"{dataset.name} {split}")
    return records


def evaluate_generator(
    model: Generator,
    records: Sequence[Sentence],
    *,
    batch_tokens: int | BatchTokens = BATCH_TOKENS,
    precision: str = "fp32",
) -> GenerationReport:
    """Score a model on texts: how it foretells them, and how what it writes greedily compares with them.

    Args:
        model: a generator.
        records: the texts with their fields.
        batch_tokens: units a batch; a longer text is a batch of its own.
        precision: arithmetic of the network in foretelling, ``fp32``, ``bf16`` or ``auto``.

    Returns:
        The report.

    Raises:
        DataError: a field is missing or cannot be used.
    """
    prediction = _prediction(model, records, batch_tokens, precision)
    units = [model.units.split(target_text(one, model.settings.data.target)) for one in records]
    right = [model.units.join(map(model.indexer.normalise, row)) for row in units]
    # What is longer than all right texts is wrong, however long it goes on.
    length = max(map(len, units), default=0) + 2
    written = model.generate([one.fields for one in records], temperature=0, length=length)
    pairs = list(zip(right, written, strict=True))
    alike = sum(found.ended and line_lengths(found.text) == line_lengths(text) for text, found in pairs)
    return GenerationReport(
        prediction,
        exact=sum(found.ended and found.text == text for text, found in pairs),
        alike=alike if any(len(line_lengths(text)) > 1 for text in right) else None,
        ended=sum(found.ended for found in written),
    )


def _prediction(
    model: Generator, records: Sequence[Sentence], batch_tokens: int | BatchTokens, precision: str
) -> PerplexityReport:
    scored = model.log_probs(records, batch_tokens=batch_tokens, precision=precision)
    total = sum(log_prob for log_prob, _ in scored)
    target = model.settings.data.target
    arrays = model.arrays([target_text(one, target) for one in records])
    unknown = int((arrays.table.words[arrays.types] == UNKNOWN).sum())
    return PerplexityReport(total, sum(count for _, count in scored), len(records), unknown, model.units.kind)


def _encoded(model: Generator, records: Sequence[Sentence]) -> list[Encoded]:
    return [model.codec.encode(one.fields, one.file, one.line) for one in records]


def _strings(encoded: Encoded) -> Iterator[str]:
    for value in encoded:
        yield value.tobytes().hex() if isinstance(value, np.ndarray) else json.dumps(value)


def _shared(records: Sequence[Sentence], target: str) -> list[str]:
    """The fields that every record has and that can be a condition, beside the text itself."""
    names = [name for name in records[0].fields if name not in (target, "text", "tokens")]
    names = [name for name in names if name == name.strip() != "" and not set(name) & set(",:")]  # as in a list of them
    return [name for name in names if all(can_be_written(one.fields.get(name)) for one in records)]


def _whole(text: str) -> list[tuple[int, int]]:
    """A text is cut into units by the model: for the reader it is one token."""
    return [(0, len(text))] if text else []


def _records(name: str, items: Iterable[Any]) -> list[Sentence]:
    records = []
    for number, item in enumerate(items, start=1):
        if not isinstance(item, Mapping):
            place = f"records {name}"
            raise DataError(f"expected a mapping of fields, found {item!r:.80}", file=place, line=number)
        fields = dict(item)
        text = fields.get("text", "")
        records.append(Sentence([], text if isinstance(text, str) else "", [], fields=fields, line=number))
    return records
