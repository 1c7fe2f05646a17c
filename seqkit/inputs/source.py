"""The text that another one is written from: its units, as words are read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from seqkit.errors import DataError
from seqkit.inputs.acts import KnownActs, RecordActs
from seqkit.inputs.arrays import Indexer
from seqkit.inputs.base import Documents, Sources
from seqkit.inputs.building import build_embedding, build_indexer, pretrained_table
from seqkit.inputs.factors import Factors, refuse_field
from seqkit.inputs.lookup import LookupInput, LookupModule, restore_indexer
from seqkit.inputs.segmentation import Units
from seqkit.inputs.units import make_units
from seqkit.records import Sentence, TextRecord


class SourceInput(LookupInput):
    """The units of a text that is translated.

    Args:
        settings: the settings of the model.
        units: text ↔ units.
        indexer: units → ids.
        vectors: the table of pretrained vectors, [N, E], or None.
        factors: what stands beside every word, or None.

    Attributes:
        field: the field of a record that holds the text.
        acts: what is read of dialogue acts, where the texts are such; otherwise None.
        known: what training has seen of them.
    """

    def __init__(
        self,
        settings: Any,
        units: Units,
        indexer: Indexer,
        vectors: Tensor | None = None,
        factors: Factors | None = None,
    ) -> None:
        super().__init__(settings, indexer, vectors)
        self.units = units
        self.factors = factors
        self.field: str = settings.data.source
        self.acts = RecordActs(settings.acts, self._act) if settings.data.unit_read == "act" else None
        self.known = None if self.acts is None else KnownActs(indexer.words, indexer.normalise)
        self.fields = (self.field,) if self.field == "text" else (self.field, "text")
        self.optional_fields = () if factors is None else (*factors.words,)

    @classmethod
    def build(cls, settings: Any, records: Sequence[TextRecord], sources: Sources) -> SourceInput:
        """See `Input.build`."""
        data = settings.data
        if data.unit_read == "act":
            input = cls(settings, Units.word(), build_indexer(data, {}, sources))
            assert input.acts is not None
            rows = [input.acts.units(record) for record in records]
            counts = Counter(unit for row in rows for unit in row)
            for type in {row[0] for row in rows}:  # of which none is unknown, however rare
                counts[type] = max(counts[type], data.min_count)
            return cls(settings, input.units, build_indexer(data, counts, sources), pretrained_table(sources))
        texts = [source_text(record, data.source) for record in records]
        read = [*texts, *(target_texts(record, data.target)[0] for record in records)] if data.shared else texts
        units = make_units(data.model_copy(update={"unit": data.unit_read}), read, sources)
        counts = Counter(unit for text in read for unit in units.split(text))
        if not any(map(units.split, texts)):
            raise DataError(f"all texts in field {data.source!r} of the training data are empty")
        kept = {unit: max(data.min_count, counts.get(unit, 0)) for unit in units.inventory()}
        if data.shared:
            kept[data.end] = sum(counts.values()) + data.min_count
        factors = Factors.build(data.factor_fields, records, data.min_count) if data.factor_fields else None
        indexer = build_indexer(data, {**counts, **kept}, sources)
        return cls(settings, units, indexer, pretrained_table(sources), factors)

    @classmethod
    def restore(cls, settings: Any, documents: Documents) -> SourceInput:
        """See `Input.restore`."""
        units = Units.from_json(documents["units.json"])
        indexer, vectors = restore_indexer(settings.data, documents), documents.weight("input.embedding.vectors")
        fields, factors = settings.data.factor_fields, None
        if fields:
            factors = Factors.from_json(documents["factors.json"], fields, documents.place)
        return cls(settings, units, indexer, vectors, factors)

    def module(self) -> LookupModule:
        """See `Input.module`."""
        if self.factors is None:
            return super().module()
        embedding = build_embedding(self.settings.embedding, self.indexer, self._vectors)
        return self.factors.module(embedding, self.settings.embedding.factor_size)

    def units_of(self, records: Sequence[Any]) -> list[Sequence[str]]:
        """See `LookupInput.units_of`."""
        if self.acts is not None and self.known is not None:
            found: list[Sequence[str]] = []
            for record in records:
                units = self.acts.units(record)
                self.known.check(units, file=record.file, line=record.line)
                found.append(units)
            return found
        return [self.units.split(source_text(record, self.field)) for record in records]

    def unknown_slots(self, record: Any) -> list[str]:
        """What training lacks of the slots of a record's dialogue act, see `seqkit.inputs.acts.KnownActs.unknown`."""
        return [] if self.acts is None or self.known is None else self.known.unknown(self.acts.units(record))

    def features_of(self, records: Sequence[Any]) -> Tensor | None:
        """See `LookupInput.features_of`: the ids of factors."""
        return None if self.factors is None else self.factors.ids(records, self.lengths(records))

    def _act(self, record: TextRecord | Sentence) -> str:
        return source_text(record, self.field)

    def texts(self, record: TextRecord | Sentence, field: str) -> list[str]:
        """The right texts of a record, as they are learned: of a dialogue act with symbols for its values.

        Args:
            record: the record.
            field: see `target_texts`.

        Returns:
            At least one text.
        """
        found = target_texts(record, field)
        return found if self.acts is None else [self.acts.delexicalise(text, record) for text in found]

    def documents(self) -> dict[str, Any]:
        """See `Input.documents`."""
        factors = {} if self.factors is None else {"factors.json": self.factors.to_json()}
        return {**super().documents(), "units.json": self.units.to_json(), **factors}


def source_text(record: TextRecord | Sentence, field: str) -> str:
    """The text of a record that is to be translated.

    Args:
        record: the record.
        field: the field that holds it; the record's own text where it has no such field, as a line of plain text.

    Returns:
        The text.

    Raises:
        DataError: there is no such field and no text, or the field holds something else.
    """
    found = record.fields.get(field)
    if isinstance(found, str):
        return found
    if found is None and (record.text or not record.fields or set(record.fields) == {"text"}):
        return record.text
    refuse_field(record, field, "a text")


def target_texts(record: TextRecord | Sentence, field: str) -> list[str]:
    """The right texts of a record.

    Args:
        record: the record.
        field: the field that holds one text or a list of several.

    Returns:
        At least one text.

    Raises:
        DataError: there is no such field, or it holds something else.
    """
    found = record.fields.get(field)
    texts = found if isinstance(found, list) else [found]
    if texts and all(isinstance(text, str) for text in texts):
        return [*texts]
    refuse_field(record, field, "a text, or a list of several,")
