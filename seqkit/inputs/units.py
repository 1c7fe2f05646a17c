"""Units of running text, predicted one after the other: words, characters or byte pairs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from seqkit.errors import DataError, ModelError
from seqkit.inputs.acts import RecordActs
from seqkit.inputs.arrays import Indexer, TypeTable
from seqkit.inputs.base import NO_SOURCES, Documents, Sources
from seqkit.inputs.building import build_indexer, pretrained_table
from seqkit.inputs.lookup import LookupBatch, LookupInput, lookup_batch, restore_indexer
from seqkit.inputs.segmentation import Units
from seqkit.inputs.vocabulary import UNKNOWN
from seqkit.records import TextRecord

UNIT_NAMES = {"word": "words", "char": "characters", "bpe": "byte pairs", "act": "act types and slots"}


def target_text(record: TextRecord, field: str) -> str:
    """The text of a record that is to be predicted.

    Args:
        record: the record.
        field: the field that holds the text; ``text`` is also the record's own.

    Returns:
        The text.

    Raises:
        DataError: there is no such field, or it holds something else.
    """
    found = record.fields.get(field)
    if found is None and field == "text" and (record.text or not record.fields):
        return record.text
    if isinstance(found, str):
        return found
    what = f"found {found!r:.40}" if field in record.fields else f"the fields are {', '.join(map(repr, record.fields))}"
    raise DataError(f"expected a text in field {field!r}, {what}", file=record.file, line=record.line)


def _learned_text(record: TextRecord, field: str, acts: RecordActs | None) -> str:
    """The text of a record as it is learned: with symbols for the values of its dialogue act."""
    text = target_text(record, field)
    return text if acts is None else acts.delexicalise(text, record)


def _acts_of(settings: Any) -> RecordActs | None:
    """The dialogue acts that texts are written from; None where they are from something else."""
    field = getattr(settings.data, "act", "")
    if not field:
        return None

    def act(record: TextRecord) -> str:
        found = record.fields.get(field)
        if isinstance(found, str):
            return found
        raise DataError(
            f"expected a dialogue act in field {field!r}, found {found!r:.40}", file=record.file, line=record.line
        )

    return RecordActs(settings.acts, act)


def make_units(data: Any, texts: Iterable[str], sources: Sources) -> Units:
    """What texts are split into.

    Args:
        data: which units.
        texts: the training texts, from which byte pairs are learned.
        sources: a model that is started from, whose byte pairs are taken.

    Returns:
        The units.
    """
    if data.unit != "bpe":
        return Units.char() if data.unit == "char" else Units.word(data.split_kind)
    before = getattr(getattr(sources.start, "input", None), "units", None)
    return before if isinstance(before, Units) and before.kind == "bpe" else Units.train_bpe(texts, data.bpe_size)


def window_batch(table: TypeTable, window: NDArray[np.int32]) -> LookupBatch:
    """Some steps of parallel streams as a batch.

    Args:
        table: what is known of the streams' types.
        window: the type of every unit that is read, [B, T].

    Returns:
        The batch, on the CPU.
    """
    tokens = table.batch(window, np.full(len(window), window.shape[1], dtype=np.int64))
    return lookup_batch(table, tokens)


class UnitInput(LookupInput):
    """Texts as sequences of units: the end of a text comes first, as what stands before its first unit.

    Args:
        settings: the settings of the model.
        units: text ↔ units.
        indexer: units → ids.
        vectors: the table of pretrained vectors, [N, E], or None.

    Attributes:
        end: the id of the unit that ends a text.
        field: the field of a record that holds its text.
        acts: the dialogue acts that the texts say, where these are read; otherwise None.
    """

    fields = ("text",)

    def __init__(self, settings: Any, units: Units, indexer: Indexer, vectors: Tensor | None = None) -> None:
        super().__init__(settings, indexer, vectors)
        self.units = units
        self.field = getattr(settings.data, "target", "text")
        self.acts = _acts_of(settings)
        self.end = indexer.words.index(indexer.normalise(settings.data.end))

    @classmethod
    def build(cls, settings: Any, records: Sequence[TextRecord], sources: Sources) -> UnitInput:
        """See `Input.build`."""
        data = settings.data
        field = getattr(data, "target", "text")
        acts = _acts_of(settings)
        texts = [_learned_text(record, field, acts) for record in records]
        units = make_units(data, texts, sources)
        counts = Counter(unit for text in texts for unit in units.split(text))
        if not counts:
            raise DataError(f"all texts in field {field!r} of the training data are empty")
        return cls.of_counts(settings, units, counts, sources)

    @classmethod
    def of_counts(
        cls, settings: Any, units: Units, counts: Mapping[str, int], sources: Sources = NO_SOURCES
    ) -> UnitInput:
        """The input for training data of which only counts are known.

        Args:
            settings: the settings of the model.
            units: text ↔ units.
            counts: how often each unit occurs.
            sources: what else the model is made from.

        Returns:
            The input; the end of a text is in its vocabulary, whatever the limits.
        """
        least = settings.data.min_count
        kept = {unit: max(least, counts.get(unit, 0)) for unit in units.inventory()}
        types = {**counts, **kept, settings.data.end: sum(counts.values()) + least}
        return cls(settings, units, build_indexer(settings.data, types, sources), pretrained_table(sources))

    @classmethod
    def restore(cls, settings: Any, documents: Documents) -> UnitInput:
        """See `Input.restore`."""
        indexer = restore_indexer(settings.data, documents)
        if indexer.normalise(settings.data.end) not in indexer.words:
            raise ModelError(f"{documents.place}: words.json: the end of a text is missing")
        units = Units.from_json(documents["units.json"])
        return cls(settings, units, indexer, documents.weight("input.embedding.vectors"))

    def units_of(self, records: Sequence[Any]) -> list[Sequence[str]]:
        """See `LookupInput.units_of`."""
        end = self.settings.data.end
        return [[end, *self.units.split(_learned_text(record, self.field, self.acts))] for record in records]

    def documents(self) -> dict[str, Any]:
        """See `Input.documents`."""
        return {**super().documents(), "units.json": self.units.to_json()}

    def ids_of(self, prompt: str) -> list[int]:
        """The ids of a prompt's units.

        Args:
            prompt: a text.

        Returns:
            One id per unit.

        Raises:
            DataError: one of the units is unknown to the model.
        """
        units: list[str] = []
        for number, line in enumerate(prompt.split("\n") if self.settings.data.end == "\n" else [prompt]):
            units += [self.settings.data.end] * (number > 0) + self.units.split(line)
        ids = self.indexer.words.indices(map(self.indexer.normalise, units))
        unknown = list(dict.fromkeys(unit for unit, index in zip(units, ids, strict=True) if index == UNKNOWN))
        if unknown:
            shown = ", ".join(map(repr, unknown[:5])) + (", …" if len(unknown) > 5 else "")
            raise DataError(f"the prompt has {UNIT_NAMES[self.units.kind]} that the model does not know: {shown}")
        return ids
