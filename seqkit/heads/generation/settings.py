"""Settings of a generator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from seqkit.config.recipes import override
from seqkit.config.sections import Layers, Positive, Section, Settings, Size, TrainingSettings
from seqkit.heads.language_model.settings import SamplingOptions, UnitEncoderSettings, check_tied
from seqkit.inputs.audio_settings import AudioSettings
from seqkit.inputs.frame_settings import FrameSettings
from seqkit.inputs.settings import UnitDataSettings, UnitEmbeddingSettings


class GenerateDataSettings(UnitDataSettings):
    """What a generator reads: the text that it writes and the fields that it is written from."""

    end: ClassVar[str] = "\n\n"
    """no unit of a text is spelled so"""
    unit: Literal["word", "char", "bpe"] = "char"
    """unit of prediction: words, characters, or byte pairs (BPE) learned from the data"""
    target: str = "text"
    """field, or column of a table, with the text to generate"""
    condition: str = ""
    """fields to generate the text from, separated by commas; field:label, :vector, :text or :frames sets its kind"""

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

    def complete(self, dataset: Any) -> GenerateSettings:
        """See `Settings.complete`: the field of the text; text that is tokenised already is split at spaces."""
        tree: dict[str, str] = {}
        if dataset.target and self.data.target == type(self)().data.target:
            tree["target"] = dataset.target
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

    @model_validator(mode="after")
    def _one_beginning(self) -> GenerateOptions:
        if self.prompt and self.acrostic:
            raise ValueError("prompt and acrostic exclude each other")
        return self
