"""One to many: a text, unit by unit, from labels, numbers, other texts and sequences of vectors."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from seqkit.errors import SettingsError
from seqkit.heads.base import Loss, Start
from seqkit.heads.generation.module import GenerationHead
from seqkit.heads.generation.settings import GenerateSettings
from seqkit.heads.language_model.head import UnitHead
from seqkit.inputs.arrays import Integers
from seqkit.inputs.base import Documents
from seqkit.inputs.conditions import ConditionCodec, Value, parse_fields
from seqkit.inputs.segmentation import Units
from seqkit.inputs.units import UnitInput
from seqkit.inputs.vocabulary import UNKNOWN
from seqkit.nn.attention import Attention, Memory
from seqkit.nn.condition import Condition, ConditionInput, FramePart, LabelPart, Part, TextPart, TextUnits, VectorPart
from seqkit.nn.encoder import Encoder
from seqkit.nn.network import Encoded
from seqkit.nn.recurrent.semantic import SemanticLSTM, reading_cost
from seqkit.nn.sequences import to_device
from seqkit.terminal import code, markdown, one_line


class Conditions:
    """What records are generated from, as arrays.

    Args:
        codec: fields ↔ numbers.
        encoded: what its `encode` gave for each record.
    """

    def __init__(self, codec: ConditionCodec, encoded: Sequence[tuple[Value, ...]]) -> None:
        self.codec = codec
        self.encoded = encoded

    def collate(self, rows: Integers) -> ConditionInput:
        """See `seqkit.heads.base.Targets.collate`: one input a field."""
        return self.codec.batch([self.encoded[row] for row in rows])


class Generation(UnitHead):
    """A text from a condition.

    Args:
        settings: the settings of the model.
        input: the units of the texts.
        codec: what a text is generated from ↔ numbers.
    """

    has_start = True
    module: GenerationHead

    def __init__(self, settings: GenerateSettings, input: UnitInput, codec: ConditionCodec) -> None:
        super().__init__(settings, input)
        self.codec = codec
        self._condition: Condition | None = None
        # The field that is a part of the first state, and joins nothing else.
        alone = settings.encoder.cell == "sc_lstm"
        self._given = next((place for place, field in enumerate(codec.fields) if alone and field.acts), None)
        self._cell: SemanticLSTM | None = None

    @classmethod
    def build(cls, settings: GenerateSettings, records: Sequence[Any], input: Any) -> Generation:
        """See `Head.build`."""
        asked = [] if settings.data.condition == "none" else parse_fields(settings.data.condition)
        if settings.data.target in [name for name, _ in asked]:
            fields = f"both have {settings.data.target!r}"
            raise SettingsError(f"data.condition and data.target must be different fields, {fields}")
        if settings.frames.normalize == "speaker":
            raise SettingsError(
                "frames.normalize is speaker, but conditions are not read speaker by speaker; "
                "use --set frames.normalize=sequence, or data"
            )
        codec = ConditionCodec.build(records, asked, _condition_units(input.units).split, settings)
        _refuse_unused(settings, codec)
        return cls(settings, input, codec)

    @classmethod
    def restore(cls, settings: GenerateSettings, documents: Documents, input: Any) -> Generation:
        """See `Head.restore`."""
        split = _condition_units(input.units).split
        return cls(settings, input, ConditionCodec.from_json(documents["conditions.json"], split, settings))

    def documents(self) -> dict[str, Any]:
        """See `Head.documents`."""
        return {"conditions.json": self.codec.to_json()}

    def make_start(self) -> int:
        """See `Head.make_start`: the module of the condition, if a text is generated from something."""
        head, embedding = self.settings.head, self.settings.embedding
        cell = self.settings.encoder.cell
        encoder: Any = {
            "cell": "lstm" if cell == "sc_lstm" else cell,
            "hidden_size": head.text_hidden,
            "pooling": head.pool,
        }
        parts: list[Part] = []
        for field in self.codec.fields:
            if field.labels is not None:
                parts.append(LabelPart(len(field.labels), head.label_size))
            elif self._given is not None and field.acts is not None and field.units is not None:
                self.encoder_options = {"act_size": len(field.units)}
            elif field.units is not None:
                size = embedding.word_size or head.text_hidden
                parts.append(TextPart(len(field.units), size, dropout=embedding.dropout, **encoder))
            elif field.frames is not None:
                parts.append(FramePart(field.frames.module().layer, dropout=field.frames.dropout, **encoder))
            else:
                # Of the codec, and so known also where weights have no memory yet.
                mean, scale = (torch.tensor(numbers, device="cpu") for numbers in (field.mean, field.scale))  # [F] each
                parts.append(VectorPart(mean, scale, head.vector_size))
        # Its dropout is that of the steps' inputs, which it joins; the first state always has the whole condition.
        self._condition = Condition(parts) if parts else None
        return 0 if self._condition is None else self._condition.output_size

    def make_module(self, encoder: Encoder, inputs: nn.Module, *, training: bool) -> GenerationHead:
        """See `Head.make_module`."""
        self._embedding = inputs.embedding
        first = encoder.layers[0]
        self._cell = first if isinstance(first, SemanticLSTM) else None
        self.module = GenerationHead(
            encoder.output_size,
            len(self.input.indexer.words),
            self._condition,
            encoder.layers,
            attention=self._attention(encoder.output_size),
            tied_size=self.settings.embedding.word_size if self.settings.head.tied else None,
        )
        return self.module

    def _attention(self, query_size: int) -> Attention | None:
        """What looks at the texts and sequences of vectors in the condition."""
        head = self.settings.head
        if head.attention == "none":
            return None
        fields = [field for place, field in enumerate(self.codec.fields) if place != self._given]
        if not any(field.units is not None or field.frames is not None for field in fields):
            raise SettingsError("head.attention looks at texts and sequences of vectors, and no condition is one")
        size = 2 * head.text_hidden  # both directions of their encoders
        try:
            return Attention(query_size, size, kind=head.attention)
        except ValueError as error:
            raise SettingsError(f"head.attention: {error}") from None

    def look(self, outputs: Tensor, memory: Memory) -> Tensor:
        """See `Head.look`."""
        return self.module.look(outputs, memory)

    def conditions(self, records: Sequence[Any]) -> Conditions:
        """See `Head.conditions`."""
        encoded = [self.codec.encode(record.fields, record.file, record.line) for record in records]
        return Conditions(self.codec, encoded)

    def unknown_slots(self, records: Sequence[Any]) -> list[str]:
        """See `Head.unknown_slots`."""
        return [each for record in records for each in self.codec.unknown_slots(record.fields)]

    def learned(self, records: Sequence[Any]) -> Iterator[Sequence[str]]:
        """See `Head.learned`: the texts and what they are written from."""
        yield from super().learned(records)
        for values in self.conditions(records).encoded:
            yield self.codec.learned(values)

    def start(self, condition: ConditionInput, size: int) -> Start:
        """See `Head.start`."""
        device = self.module.initial.bias[0].device
        moved = tuple(
            to_device(part, device) if isinstance(part, torch.Tensor) else part.to(device) for part in condition
        )
        if self._given is None:
            return self.module.begin(moved, size)
        texts = moved[self._given]
        assert isinstance(texts, TextUnits)
        given = torch.zeros(size, self.encoder_options["act_size"], device=device)  # [B, F]
        given.scatter_(1, texts.units, 1.0)[:, : UNKNOWN + 1] = 0.0  # without padding, and what nothing was learned of
        return self.module.begin(moved[: self._given] + moved[self._given + 1 :], size, given)

    def loss(self, encoded: Encoded, targets: None) -> Loss:
        """See `Head.loss`; the units are those of the texts, ends included."""
        mean = self.module.loss(encoded.outputs, self.following(encoded), self.table)
        units = int(encoded.lengths.sum())
        acts = None if self._cell is None else self._cell.take_acts()  # [B, T + 1, F]
        if acts is not None:
            mean = mean + self.settings.head.reading * reading_cost(acts, encoded.lengths) / units
        return Loss(mean, units)

    def notes(self, records: Sequence[Any], targets: Any) -> list[str]:
        """See `Head.notes`."""
        sources = self.codec.describe() or ["nothing: the same for all texts"]
        acts = self.input.acts
        on_acts = acts.notes(records) if acts is not None else []
        return [*(f"generating from {source}" for source in sources), *on_acts, *super().notes(records, targets)]

    def usage(self) -> str:
        """See `Head.usage`."""
        return " ".join(f"--condition {one_line(shlex.quote(field.name))}=…" for field in self.codec.fields)

    def description(self) -> list[str]:
        """See `Head.description`."""
        lines = [f"- From {markdown(source)}" for source in self.codec.describe()]
        return [*lines, f"- Writes: {code(self.settings.data.target)}, unit {self.input.units.kind}"]


def _condition_units(units: Units) -> Units:
    """What a text in a condition is split into: as the generated texts, but words where those are byte pairs."""
    return Units.word("words") if units.kind == "bpe" else units


def _refuse_unused(settings: GenerateSettings, codec: ConditionCodec) -> None:
    """Refuse settings of sequences of vectors that do nothing to a condition."""
    sequences = [field.frames for field in codec.fields if field.frames is not None]
    for name in settings.audio.changed():
        if all(each.acoustics is None for each in sequences):
            raise SettingsError(f"audio.{name} is for recordings, and no condition is one; leave it out")
    for name in settings.frames.changed():
        if not sequences:
            raise SettingsError(f"frames.{name} is for sequences of vectors, and no condition is one; leave it out")
        if name in ("warp", "spectrum"):
            raise SettingsError(f"frames.{name} is not for conditions, whose spectrum is not moved; leave it out")
