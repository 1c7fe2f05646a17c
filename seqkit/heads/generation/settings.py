"""Settings of a generator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from seqkit.config.recipes import override
from seqkit.config.sections import Cell, Layers, Positive, Section, Settings, Size, TrainingSettings, Weight
from seqkit.heads.language_model.settings import WIDEST_BEAM, SamplingOptions, UnitEncoderSettings, check_tied
from seqkit.inputs.audio_settings import AudioSettings
from seqkit.inputs.frame_settings import FrameSettings
from seqkit.inputs.settings import ActSettings, EvaluationOptions, UnitDataSettings, UnitEmbeddingSettings


class GenerateDataSettings(UnitDataSettings):
    """What a generator reads: the text that it writes and the fields that it is written from."""

    end: ClassVar[str] = "\n\n"
    """no unit of a text is spelled so"""
    unit: Literal["word", "char", "bpe"] = "char"
    """unit of prediction: words, characters, or byte pairs (BPE) learned from the data"""
    target: str = "text"
    """field, or column of a table, with the text to generate"""
    condition: str = ""
    """fields to generate the text from, between commas; field:label, :vector, :text, :frames or :act sets its kind"""

    @property
    def act(self) -> str:
        """The field with a dialogue act; empty if there is none."""
        kinds = [part.strip().rpartition(":") for part in self.condition.split(",")]
        return next((name for name, _, kind in kinds if kind == "act"), "")

    @model_validator(mode="after")
    def _one_act(self) -> GenerateDataSettings:
        if [part.strip().rpartition(":")[2] for part in self.condition.split(",") if ":" in part].count("act") > 1:
            raise ValueError("condition: one field may be a dialogue act, not several")
        if self.act and self.digits:
            raise ValueError("a condition that is a dialogue act needs digits false: symbols for values have numbers")
        return self

    def conditions(self, rows: Sequence[Mapping[str, Any]]) -> list[str]:
        """The fields that texts are written from: those named, perhaps with a kind, or all that can be.

        What says which part of a recording or an array is read is none.

        Args:
            rows: the fields of each record, at least one record's.

        Returns:
            Their names.
        """
        if self.condition:
            return self.condition.split(",")
        from seqkit.formats.manifest import segment_fields
        from seqkit.inputs.conditions import can_be_written

        others = (self.target, "text", "tokens", *segment_fields(rows[0]))
        names = [name for name in rows[0] if name not in others]
        names = [name for name in names if name == name.strip() != "" and not set(name) & set(",:")]
        return [name for name in names if all(can_be_written(row.get(name)) for row in rows)]


class GenerateEncoderSettings(UnitEncoderSettings):
    """The shared encoder, writing from left to right."""

    direction: Literal["forward", "backward", "both"] = "forward"
    """reading direction: a generator reads forward; the others are refused"""
    layers: Layers = 1
    """layers on top of each other"""
    cell: Literal[Cell, "sc_lstm"] = "lstm"  # type: ignore[assignment]
    """recurrent cell; sc_lstm: that of Wen et al. 2015, which a condition of kind act is a part of the state of"""


class GenerateHeadSettings(Section):
    """The generation head and the encoder of the condition."""

    tied: bool = False
    """the output layer shares the embedding table (Press & Wolf 2017)"""
    label_size: Size = 32
    """size of a label's vector in the condition"""
    vector_size: Size = 64
    """size that a numeric vector is projected to"""
    text_hidden: Size = 64
    """hidden size, in each direction, of the encoder of a condition that is a text or a sequence of vectors"""
    pool: Literal["mean", "max", "last", "attention", "concat"] = "mean"
    """pooling of that encoder's outputs"""
    reading: Weight = 1.0
    """weight of what it costs the cell sc_lstm not to say an act, or all of it at once"""
    attention: Literal["none", "dot", "general", "additive"] = "none"
    """every step looks at that encoder's outputs, too: dot, general (Luong 2015) or additive (Bahdanau 2015)"""


class GenerateSettings(Settings):
    """All settings of a generator."""

    task: Literal["generate"] = "generate"
    """shape of the task"""
    data: GenerateDataSettings = GenerateDataSettings()
    """data"""
    audio: AudioSettings = AudioSettings()
    """features of recordings, where the condition is one"""
    frames: FrameSettings = FrameSettings()
    """sequences of vectors in the condition"""
    acts: ActSettings = ActSettings()
    """dialogue acts in the condition"""
    embedding: UnitEmbeddingSettings = UnitEmbeddingSettings()
    """embedding"""
    encoder: GenerateEncoderSettings = GenerateEncoderSettings()
    """encoder"""
    head: GenerateHeadSettings = GenerateHeadSettings()
    """head"""
    training: TrainingSettings = TrainingSettings()
    """training"""

    @model_validator(mode="after")
    def _future_unseen(self) -> GenerateSettings:
        if self.encoder.direction != "forward":
            raise ValueError("encoder.direction: text is written from left to right, so a generator needs forward")
        return self

    @model_validator(mode="after")
    def _acts_are_read(self) -> GenerateSettings:
        if not self.data.act:
            wanted = "set data.condition to a dialogue act (--condition FIELD:act)"
            if self.encoder.cell == "sc_lstm":
                raise ValueError(f"encoder.cell sc_lstm is for dialogue acts: {wanted}, or take another cell")
            if changed := self.acts.changed():
                raise ValueError(f"acts.{changed[0]} is for dialogue acts: {wanted}, or leave it out")
        elif self.encoder.cell == "sc_lstm" and self.encoder.layers > 1:
            raise ValueError("encoder.cell sc_lstm needs layers 1: it has one dialogue act to read")
        return self

    def complete(self, dataset: Any) -> GenerateSettings:
        """See `Settings.complete`: the field of the text; text that is tokenised already is split at spaces."""
        tree: dict[str, str] = {}
        if dataset.target and self.data.target == type(self)().data.target:
            tree["target"] = dataset.target
        if dataset.card is not None and dataset.card.source_unit == "act" and not self.data.condition:
            tree["condition"] = f"{dataset.card.source}:act"
        if self.data.unit == "word" and self.data.splitter == "auto" and dataset.has_tokens:
            tree["splitter"] = "spaces"
        return override(self, {"data": tree})

    def complete_by(self, records: Sequence[Any]) -> GenerateSettings:
        """See `Settings.complete_by`: the condition is of all fields that every record has and that can be one."""
        if self.data.condition:
            return self
        found = self.data.conditions([record.fields for record in records])
        return override(self, {"data": {"condition": ",".join(found) or "none"}})

    @model_validator(mode="after")
    def _output_fits(self) -> GenerateSettings:
        check_tied(self.head.tied, self.embedding)
        return self


class GenerateOptions(SamplingOptions):
    """Options of writing texts from conditions."""

    length: Positive = 500
    """maximal number of units"""
    acrostic: str = ""
    """initials of the lines, one character for each"""
    length_penalty: Annotated[float, Field(ge=0.0, le=10.0, allow_inf_nan=False)] = 1.0
    """beam search ranks by log p / units to the power of this, at most 10; 0 prefers short texts"""
    rerank: Literal["slots", "none"] = "slots"
    """of dialogue acts: slots: of the texts that are found, those with the fewest slot errors come first"""

    @model_validator(mode="after")
    def _one_beginning(self) -> GenerateOptions:
        if self.prompt and self.acrostic:
            raise ValueError("prompt and acrostic exclude each other")
        if self.beam < 2 and self.length_penalty != 1.0:
            raise ValueError("length_penalty needs beam above 1, whose texts it ranks")
        return self


class GenerateEvaluation(EvaluationOptions):
    """Options of evaluation."""

    beam: Annotated[int, Field(ge=0, le=WIDEST_BEAM)] = 0
    """texts that are compared are found by beam search of this width; 0: the most probable unit of each step"""
    length_penalty: Annotated[float, Field(ge=0.0, le=10.0, allow_inf_nan=False)] = 1.0
    """beam search ranks by log p / units to the power of this, at most 10; 0 prefers short texts"""
    rerank: Literal["slots", "none"] = "slots"
    """of dialogue acts: slots: of the texts that are found, those with the fewest slot errors come first"""
    top: Annotated[int, Field(ge=1, le=WIDEST_BEAM)] = 1
    """of dialogue acts: also score so many of the best texts of each together; with a beam"""

    @model_validator(mode="after")
    def _several_need_a_beam(self) -> GenerateEvaluation:
        if self.top > max(1, self.beam):
            raise ValueError("top needs a beam at least as wide")
        if self.beam < 2 and self.length_penalty != 1.0:
            raise ValueError("length_penalty needs beam above 1, whose texts it ranks")
        return self
