"""Settings of a language model."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from seqkit.config.recipes import override
from seqkit.config.sections import (
    Count,
    EncoderSettings,
    Layers,
    Options,
    Positive,
    Probability,
    Section,
    Settings,
    TrainingSettings,
    Weight,
)
from seqkit.inputs.settings import EmbeddingSettings, EvaluationOptions, UnitDataSettings, UnitEmbeddingSettings

DYNAMIC_WINDOW = 20
"""units between two steps of dynamic evaluation"""
MOST_TEXTS, WIDEST_BEAM = 10_000, 1_000
"""bounds of --count and --beam"""

Order = Annotated[int, Field(ge=0, le=20)]
"""maximal length of an n-gram"""


class UnitEncoderSettings(EncoderSettings):
    """The shared encoder, reading from left to right."""

    layers: Layers = 2
    """layers on top of each other"""
    direction: Literal["forward", "backward", "both"] = "forward"
    """reading direction: forward, or both if encoder.concat is final; backward is refused"""
    concat: Literal["layerwise", "final"] = "final"
    """where the two directions are concatenated: after every layer, or once, after two independent stacks"""
    dropout: Probability = 0.0
    """dropout on every layer's output"""


class LmDataSettings(UnitDataSettings):
    """What a language model of text reads."""

    text: str = "text"
    """field, or column of a table, with the text"""


class LmHeadSettings(Section):
    """The language model's head."""

    tied: bool = False
    """the output layer shares the embedding table (Press & Wolf 2017)"""
    cutoffs: tuple[Positive, ...] = ()
    """adaptive softmax: ranks that separate frequent from rarer words; none for a full softmax"""
    ar: Weight = 0.0
    """weight of activation regularisation (AR, Merity et al. 2018): a penalty on large outputs"""
    tar: Weight = 0.0
    """weight of temporal activation regularisation (TAR, Merity et al. 2018): a penalty on changes between steps"""
    ngram: Order = 0
    """a Kneser-Ney model of this order instead of a network; 0 for the network"""
    baseline: Order = 5
    """also fit a Kneser-Ney model of this order, and report both; 0 for none"""


class LmTrainingSettings(TrainingSettings):
    """The training loop over a stream of text."""

    epochs: Positive = 13
    """maximal number of passes over the training data"""
    batch_size: Positive = 20
    """parallel streams of text"""
    bptt: Positive = 35
    """length of truncated back-propagation through time (BPTT), in units; the state is carried on"""
    variable_bptt: bool = False
    """draw the BPTT length of every step around --bptt, one time in twenty around half of it (Merity et al. 2018)"""
    clip: Weight = 0.25
    """clip the gradient's norm (or values: clip_by) to this; 0 for no clipping"""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """arithmetic: auto is bf16 on a GPU that has it, fp32 on a CPU but for the softmax's gradient where it has bf16"""

    @model_validator(mode="after")
    def _reads_streams(self) -> LmTrainingSettings:
        if self.batch_tokens or self.equal_lengths:
            found = "batch_tokens" if self.batch_tokens else "equal_lengths"
            raise ValueError(f"{found} is not for a language model, whose batch is batch_size streams of bptt units")
        return self


class LmSettings(Settings):
    """All settings of a language model."""

    task: Literal["lm"] = "lm"
    """shape of the task"""
    data: LmDataSettings = LmDataSettings()
    """data"""
    embedding: UnitEmbeddingSettings = UnitEmbeddingSettings()
    """embedding"""
    encoder: UnitEncoderSettings = UnitEncoderSettings()
    """encoder"""
    head: LmHeadSettings = LmHeadSettings()
    """head"""
    training: LmTrainingSettings = LmTrainingSettings()
    """training"""

    @property
    def kind(self) -> str:
        """See `Settings.kind`."""
        return "ngram" if self.head.ngram else ""

    def complete(self, dataset: Any) -> LmSettings:
        """See `Settings.complete`: text that is tokenised already is split at spaces."""
        tokenised = dataset.has_tokens and self.data.splitter == "auto"
        return override(self, {"data": {"splitter": "spaces"}}) if tokenised else self

    @model_validator(mode="after")
    def _future_unseen(self) -> LmSettings:
        encoder = self.encoder
        if encoder.direction == "backward":
            raise ValueError("encoder.direction: a language model reads forward, or both with encoder.concat final")
        if encoder.concatenates_below_the_last_layer:
            raise ValueError(
                "encoder.direction: both needs encoder.concat final in a language model; with layerwise, upper layers "
                "have seen the words that they are to predict"
            )
        return self

    @model_validator(mode="after")
    def _output_fits(self) -> LmSettings:
        check_tied(self.head.tied, self.embedding)
        if self.head.tied and self.head.cutoffs:
            raise ValueError("head.tied and head.cutoffs exclude each other")
        if list(self.head.cutoffs) != sorted(set(self.head.cutoffs)):
            raise ValueError(f"head.cutoffs: must increase, found {list(self.head.cutoffs)}")
        return self

    @model_validator(mode="after")
    def _counts_from_nothing(self) -> LmSettings:
        given = {"training.init_from": self.training.init_from, "embedding.vectors": self.embedding.vectors}
        found = [name for name, value in given.items() if value]
        if self.head.ngram and found:
            raise ValueError(f"head.ngram and {found[0]} exclude each other: n-grams are counted from the text alone")
        return self


class SamplingOptions(Options):
    """Options of writing text."""

    prompt: str = ""
    """how every text begins"""
    count: Annotated[int, Field(ge=1, le=MOST_TEXTS)] = 1
    """how many texts, at most 10,000"""
    length: Positive = 200
    """maximal number of units"""
    temperature: Weight = 1.0
    """below 1: likely units become likelier; above 1: less so; 0: always the likeliest"""
    top_k: Count = 0
    """sample from the N most probable units only  [default: all]"""
    top_p: Annotated[float, Field(gt=0.0, le=1.0, allow_inf_nan=False)] = 1.0
    """nucleus sampling: from the most probable units that together have this probability  [default: all]"""
    beam: Annotated[int, Field(ge=0, le=WIDEST_BEAM)] = 0
    """beam search of this width, at least --count and at most 1,000, instead of sampling; 0: sampling"""
    seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    """the same seed gives the same texts"""

    @model_validator(mode="after")
    def _search_or_sampling(self) -> SamplingOptions:
        if self.beam and (self.temperature, self.top_k, self.top_p) != (1.0, 0, 1.0):
            raise ValueError("beam excludes temperature, top_k and top_p, which are for sampling")
        if self.beam and self.count > WIDEST_BEAM:
            raise ValueError(f"beam finds at most {WIDEST_BEAM:,} texts, and count is {self.count:,}")
        return self


class LmSampling(SamplingOptions):
    """Options of writing lines."""

    lines: Count = 1
    """stop at the end of so many lines; 0: only --length stops"""


class LmEvaluation(EvaluationOptions):
    """Options of evaluation."""

    dynamic: Annotated[float, Field(ge=0.0, allow_inf_nan=False)] = 0.0
    """dynamic evaluation: learning rate of a gradient step after each window  [default: none]"""
    window: Positive | None = None
    """units computed together; changes the result of dynamic evaluation only  [default: 256, dynamic: 20]"""

    @model_validator(mode="before")
    @classmethod
    def _window_of_dynamic_evaluation(cls, given: Any) -> Any:
        # It belongs to the result, and so is told with it.
        dynamic = isinstance(given, dict) and given.get("dynamic") and given.get("window") is None
        return {**given, "window": DYNAMIC_WINDOW} if dynamic else given


def check_tied(tied: bool, embedding: EmbeddingSettings) -> None:
    """Check that embedding and output layer can share one table.

    Args:
        tied: whether they do.
        embedding: how units become vectors.

    Raises:
        ValueError: there is no such table.
    """
    if tied and embedding.one_hot:
        raise ValueError("head.tied: with embedding.one_hot there is no table to share")
    if tied and not embedding.word_size:
        raise ValueError("head.tied: needs embedding.word_size > 0")
    if tied and embedding.vectors and embedding.vectors_join == "sum":
        raise ValueError(
            "head.tied: needs embedding.vectors_join concat; with sum the table is only a correction of the pretrained "
            "vectors"
        )
