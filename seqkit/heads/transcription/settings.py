"""Settings of transcription."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import Field, PrivateAttr, model_validator

from seqkit.config.sections import (
    GREATEST,
    Count,
    Elsewhere,
    EncoderSettings,
    Layers,
    Positive,
    Probability,
    Rate,
    Section,
    Settings,
    TrainingSettings,
    Weight,
)
from seqkit.heads.fusion import FusedOptions, changed, refuse_without_model
from seqkit.inputs.audio_settings import AudioSettings
from seqkit.inputs.frame_settings import FrameDataSettings, WholeFrameSettings
from seqkit.inputs.settings import EvaluationOptions

_KINDS = ("char", "word", "bpe")
_WEIGHTS = ("lm_weight", "length_bonus")
Bonus = Annotated[float, Field(ge=-GREATEST, le=GREATEST, allow_inf_nan=False)]


class TranscribeDataSettings(FrameDataSettings):
    """What is transcribed, and into which units."""

    target: str = "text"
    """field that holds the text"""
    unit: str = "char"
    """unit of the text: char, word, bpe, or a field with symbols between spaces, such as phones"""
    bpe_size: Annotated[int, Field(ge=257, le=1_000_000)] = 500
    """maximal number of byte-pair units"""

    @property
    def field(self) -> str:
        """The field of the text."""
        return self.target if self.unit in _KINDS else self.unit

    @property
    def kind(self) -> str:
        """The kind of its units: ``char``, ``word`` or ``bpe``."""
        return self.unit if self.unit in _KINDS else "word"


class TranscribeHeadSettings(Section):
    """The transcription head: connectionist temporal classification (CTC, Graves et al. 2006)."""

    dropout: Probability = 0.0
    """dropout on the encoder's outputs, beside that of the encoder"""


class TranscribeEncoderSettings(EncoderSettings):
    """The shared recurrent encoder, with the defaults of transcription."""

    layers: Layers = 3
    """layers on top of each other"""
    skip: Literal["none", "residual", "highway", "dense"] = "residual"
    """connections around the layers: without them three layers take longer to learn anything"""


class TranscribeFrameSettings(WholeFrameSettings):
    """What is done with frames before the encoder, with the defaults of transcription."""

    time_masks: Count = 2
    """stretches of time that are masked in training (SpecAugment, Park et al. 2019)"""
    feature_masks: Count = 1
    """bands of features that are masked in training"""
    feature_mask: Positive = 2
    """greatest width of such a band in features"""


class TranscribeTrainingSettings(TrainingSettings):
    """The training loop, with the defaults of transcription."""

    epochs: Positive = 60
    """maximal number of passes over the training data"""
    batch_size: Positive = 16
    """sequences per batch"""
    lr: Rate = 1e-3
    """learning rate at the start (after warm-up)"""
    schedule: Literal["constant", "inverse", "cosine", "plateau", "step"] = "cosine"
    """learning rate over time; inverse: lr / (1 + decay · epoch); cosine: to zero; plateau: or step: by a factor"""
    warmup: Weight = 0.5
    """epochs of linear warm-up from zero"""


class TranscribeSettings(Settings):
    """All settings of transcription."""

    task: Literal["transcribe"] = "transcribe"
    """shape of the task"""
    input: Literal["frames"] = "frames"
    """what is read"""
    data: TranscribeDataSettings = TranscribeDataSettings()
    """data"""
    audio: AudioSettings = AudioSettings()
    """features of recordings"""
    frames: TranscribeFrameSettings = TranscribeFrameSettings()
    """frames"""
    encoder: TranscribeEncoderSettings = TranscribeEncoderSettings()
    """encoder"""
    head: TranscribeHeadSettings = TranscribeHeadSettings()
    """head"""
    training: TranscribeTrainingSettings = TranscribeTrainingSettings()
    """training"""


class TranscribeOptions(FusedOptions):
    """Options of prediction."""

    beam: Annotated[int, Field(ge=0, le=10_000)] = 0
    """prefixes that beam search keeps; 0: the best symbol of each step, or 20 where --lm or --nbest needs it"""
    nbest: Annotated[int, Field(ge=1, le=10_000)] = 1
    """texts of each sequence, the best first (jsonl)"""
    lm: Elsewhere = ""
    """language model, a directory of seqkit lm: n-grams or a network, of words or of the units that are transcribed"""
    lm_weight: Weight = 0.5
    """weight of the language model's log-probability"""
    length_bonus: Bonus = 0.0
    """what each unit of the language model adds to the score: words or symbols"""
    times: bool = False
    """also write when each symbol was said, and its posterior probability (jsonl)"""
    streams: ClassVar[bool] = True
    shown_in: ClassVar[Mapping[str, Sequence[str]]] = {"nbest": ("jsonl",), "times": ("jsonl",)}
    _scored: str = PrivateAttr(default="")
    _drawn: bool = PrivateAttr(default=False)
    _pairs: Sequence[tuple[float, float]] = PrivateAttr(default=())

    @model_validator(mode="after")
    def _searches(self) -> TranscribeOptions:
        if (self.lm or self.nbest > 1) and self.beam == 1:
            raise ValueError("beam must be more than 1 for lm and nbest")
        refuse_without_model(self, _WEIGHTS)
        return self

    @property
    def width(self) -> int:
        """Prefixes that the search keeps; 0 where the best path is taken."""
        return self.beam or (max(20, self.nbest) if self.lm or self.nbest > 1 else 0)

    @property
    def scored(self) -> str:
        """The field of the right text, where its loss is wanted, too, as evaluation does; otherwise empty."""
        return self._scored

    @property
    def drawn(self) -> bool:
        """Whether the posteriors of all symbols at every step are wanted, too, as a picture has them."""
        return self._drawn

    @property
    def pairs(self) -> Sequence[tuple[float, float]]:
        """Weights of the language model and bonuses for length by which texts are wanted, instead of all else."""
        return self._pairs

    def for_pairs(self, pairs: Sequence[tuple[float, float]]) -> TranscribeOptions:
        """The options with several weights of the language model and bonuses for length, which are to be tried."""
        found = self.model_copy()
        found._pairs = pairs
        return found

    def for_picture(self) -> TranscribeOptions:
        """The options with what a picture has: times, and posteriors at every step."""
        found = self.model_copy(update={"times": True})
        found._drawn = True
        return found

    def for_output(self, output_format: str | None) -> TranscribeOptions:
        """See `Options.for_output`: evaluation wants no times."""
        return self if output_format is not None else self.model_copy(update={"times": False})

    def for_scores(self, field: str) -> TranscribeOptions:
        """The options with what scores need: the loss of the right text in some field."""
        found = self.for_output(None)
        found._scored = field
        return found


class TranscribeEvaluation(EvaluationOptions):
    """Options of evaluation."""

    target: str | None = None
    """field of the text  [default: the model's]"""
    beam: Annotated[int, Field(ge=0, le=10_000)] = 0
    """prefixes that beam search keeps; 0: the best symbol of each step, or 20 where --lm needs it"""
    lm: Elsewhere = ""
    """language model, a directory of seqkit lm: n-grams or a network, of words or of the units that are transcribed"""
    lm_weight: Weight = 0.5
    """weight of the language model's log-probability"""
    length_bonus: Bonus = 0.0
    """what each unit of the language model adds to the score: words or symbols"""
    tune: bool = False
    """first find the --lm-weight and --length-bonus that make the fewest word errors on dev"""

    @model_validator(mode="after")
    def _weighs(self) -> TranscribeEvaluation:
        if self.tune and (given := changed(self, _WEIGHTS)):
            raise ValueError(f"tune finds {given[0]}; leave one of them out")
        refuse_without_model(self, _WEIGHTS)
        return self
