"""The settings of each task: the shared sections with its own defaults, and the sections that only it has."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from seqkit.config.sections import (
    Count,
    DataSettings,
    EmbeddingSettings,
    EncoderSettings,
    Layers,
    Positive,
    Probability,
    Rate,
    Section,
    Size,
    SizeOrNone,
    TrainingSettings,
    Weight,
)

__all__ = [
    "SETTINGS",
    "ClassifySettings",
    "GenerateSettings",
    "LmSettings",
    "Settings",
    "TagSettings",
]


class Settings(Section):
    """All settings of a model and its training, a section for each part; each task has a class of its own."""

    task: str
    """shape of the task"""
    data: DataSettings
    """data"""
    embedding: EmbeddingSettings
    """embedding"""
    encoder: EncoderSettings
    """encoder"""
    head: Section
    """head"""
    training: TrainingSettings
    """training"""

    @property
    def ngram(self) -> int:
        """The order of an n-gram model, of the settings of such a one; 0 where there is a network."""
        return 0

    @property
    def kind(self) -> str:
        """What the classes of models and of their training are found by: the task, or ``ngram``."""
        return "ngram" if self.ngram else self.task

    @model_validator(mode="after")
    def _some_input(self) -> Settings:
        embedding = self.embedding
        if not (embedding.word_size or embedding.one_hot or embedding.vectors or embedding.chars != "none"):
            raise ValueError("embedding: expected word_size > 0, one_hot, vectors or chars, found none of them")
        return self


# --- tag ----------------------------------------------------------------------------------------------------------


class TagDataSettings(DataSettings):
    """What a tagger reads."""

    target: Annotated[str, Field(coerce_numbers_to_str=True)] = ""
    """label column: a name (upos, ner, …) or a position, negative from the end; default: CoNLL-U's upos or the last"""
    scheme: Literal["auto", "iob1", "iob2", "bioes", "none"] = "auto"
    """how the labels mark spans; auto looks at them, none takes each label for itself"""


class TagEmbeddingSettings(EmbeddingSettings):
    """How a tagger's word becomes a vector."""

    context: str = ""
    """directory of a character language model whose states at a word's borders are features of the word"""


class TagHeadSettings(Section):
    """The tagging head."""

    crf: bool = True
    """conditional random field over the label sequence; without it a softmax a token"""
    lm_loss: Weight = 0.0
    """weight of an auxiliary language model loss: each direction predicts the next word (Rei 2017); 0: none"""
    lm_loss_words: Annotated[int, Field(ge=2, le=1_000_000)] = 1000
    """vocabulary of the auxiliary language model: the most frequent words"""


class TagSettings(Settings):
    """All settings of a tagger."""

    task: Literal["tag"] = "tag"
    """shape of the task"""
    data: TagDataSettings = TagDataSettings()
    """data"""
    embedding: TagEmbeddingSettings = TagEmbeddingSettings()
    """embedding"""
    encoder: EncoderSettings = EncoderSettings()
    """encoder"""
    head: TagHeadSettings = TagHeadSettings()
    """head"""
    training: TrainingSettings = TrainingSettings()
    """training"""

    @model_validator(mode="after")
    def _neighbours_unseen(self) -> TagSettings:
        if self.head.lm_loss and _meets_below_the_top(self.encoder):
            reason = "where directions meet after every level, both halves have seen the words that they are to predict"
            raise ValueError(
                f"head.lm_loss: expected encoder.concat final, one layer or one direction, found layerwise: {reason}"
            )
        return self


# --- classify -----------------------------------------------------------------------------------------------------


class ClassifyDataSettings(DataSettings):
    """What a classifier reads."""

    text: str = "text"
    """field that holds the text"""
    label: str = "label"
    """field that holds the label"""


class ClassifyHeadSettings(Section):
    """The classification head."""

    pool: Literal["mean", "max", "last", "attention", "concat"] = "max"
    """how the encoder's outputs become one vector; concat: last, max and mean side by side"""
    multi_label: bool = False
    """a text may have several labels or none, each decided for itself"""
    class_weights: Literal["none", "balanced"] = "none"
    """balanced: errors on rare labels count more, in inverse proportion to their frequency"""
    dropout: Probability = 0.0
    """dropout on the pooled vector"""
    baseline: bool = True
    """also train TF-IDF and logistic regression, and report both"""


class ClassifyTrainingSettings(TrainingSettings):
    """The training loop, with a classifier's defaults."""

    epochs: Positive = 10
    """passes over the training data at most"""
    lr: Rate = 1e-3
    """learning rate at the start (after warm-up)"""
    patience: Count = 4
    """stop after so many epochs without a better score on dev; 0 to run all epochs"""


class ClassifyEmbeddingSettings(EmbeddingSettings):
    """How a classifier's word becomes a vector."""

    chars: Literal["cnn", "lstm", "none"] = "none"
    """character features of a word"""


class ClassifySettings(Settings):
    """All settings of a classifier."""

    task: Literal["classify"] = "classify"
    """shape of the task"""
    data: ClassifyDataSettings = ClassifyDataSettings()
    """data"""
    embedding: ClassifyEmbeddingSettings = ClassifyEmbeddingSettings()
    """embedding"""
    encoder: EncoderSettings = EncoderSettings()
    """encoder"""
    head: ClassifyHeadSettings = ClassifyHeadSettings()
    """head"""
    training: ClassifyTrainingSettings = ClassifyTrainingSettings()
    """training"""

    @model_validator(mode="after")
    def _label_unread(self) -> ClassifySettings:
        if self.data.label == self.data.text:
            raise ValueError(f"data.label: expected another field than data.text, found {self.data.text!r} for both")
        return self


# --- lm -----------------------------------------------------------------------------------------------------------

Order = Annotated[int, Field(ge=0, le=20)]
"""how many units an n-gram has at most"""


class UnitDataSettings(DataSettings):
    """What a model that writes text reads: the units of the text."""

    unit: Literal["word", "char", "bpe"] = "word"
    """what is predicted one after the other: words, characters, or byte pairs that are learned from the data"""
    bpe_size: Annotated[int, Field(ge=257, le=1_000_000)] = 4000
    """so many byte-pair units at most"""
    lowercase: bool = False
    """fold case"""
    digits: bool = False
    """write every digit as 0"""

    @model_validator(mode="after")
    def _bytes_have_no_case(self) -> UnitDataSettings:
        # A byte pair is spelled in letters that stand for bytes: in lower case they would stand for others.
        if self.unit == "bpe" and self.lowercase:
            raise ValueError("expected lowercase only beside unit word or char, found it beside bpe")
        return self


class UnitEmbeddingSettings(EmbeddingSettings):
    """How a unit of text becomes a vector."""

    word_size: SizeOrNone = 200
    """size of the trained vectors; 0 for none"""
    chars: Literal["cnn", "lstm", "none"] = "none"
    """character features of a word"""
    dropout: Probability = 0.0
    """dropout on the units' vectors, one mask a sequence"""
    word_dropout: Probability = 0.0
    """probability that a unit is taken for unknown while training"""
    type_dropout: Probability = 0.0
    """probability that a unit has no vector at all wherever it stands in a batch (Merity et al. 2018)"""


class UnitEncoderSettings(EncoderSettings):
    """The shared encoder, reading from left to right."""

    layers: Layers = 2
    """levels on top of each other"""
    direction: Literal["forward", "backward", "both"] = "forward"
    """reading direction; both needs encoder.concat final"""
    concat: Literal["layerwise", "final"] = "final"
    """where the two directions are concatenated: after every layer, or once, after two independent stacks"""
    dropout: Probability = 0.0
    """dropout on every level's output"""


class LmHeadSettings(Section):
    """The language model's head."""

    tied: bool = False
    """the output layer is the embedding's table (Press & Wolf 2017)"""
    cutoffs: tuple[Positive, ...] = ()
    """adaptive softmax: borders between frequent, rarer and rarest words; none for a full softmax"""
    ar: Weight = 0.0
    """weight of activation regularisation (AR, Merity et al. 2018): a penalty on large outputs"""
    tar: Weight = 0.0
    """weight of temporal activation regularisation (TAR, Merity et al. 2018): a penalty on changes between steps"""
    ngram: Order = 0
    """a Kneser-Ney model of n-grams up to this order instead of a network; 0 for the network"""
    baseline: Order = 5
    """also fit a Kneser-Ney model of this order, and report both; 0 for none"""


class LmTrainingSettings(TrainingSettings):
    """The training loop over a stream of text."""

    epochs: Positive = 13
    """passes over the training data at most"""
    batch_size: Positive = 20
    """streams that are read side by side"""
    bptt: Positive = 35
    """length of truncated back-propagation through time (BPTT), in units; the state is carried on"""
    variable_bptt: bool = False
    """draw the BPTT length of every step around --bptt, one time in twenty around half of it (Merity et al. 2018)"""
    clip: Weight = 0.25
    """largest gradient norm (or value: clip_by); 0 for no clipping"""
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
    data: UnitDataSettings = UnitDataSettings()
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
    def ngram(self) -> int:
        """See `Settings.ngram`."""
        return self.head.ngram

    @model_validator(mode="after")
    def _future_unseen(self) -> LmSettings:
        encoder = self.encoder
        where = "encoder.direction: expected forward, or both with encoder.concat final"
        if encoder.direction == "backward":
            raise ValueError(f"{where}, found backward: it has seen the words that a language model is to predict")
        if _meets_below_the_top(encoder):
            raise ValueError(
                f"{where}, found both with layerwise: above the first level both directions have seen the words that a "
                "language model is to predict"
            )
        return self

    @model_validator(mode="after")
    def _output_fits(self) -> LmSettings:
        _tied_to_a_table(self.head.tied, self.embedding)
        if self.head.tied and self.head.cutoffs:
            raise ValueError("head.tied: expected no cutoffs beside it, found an adaptive softmax")
        if list(self.head.cutoffs) != sorted(set(self.head.cutoffs)):
            raise ValueError(f"head.cutoffs: expected numbers that grow, found {list(self.head.cutoffs)}")
        return self

    @model_validator(mode="after")
    def _counts_from_nothing(self) -> LmSettings:
        given = {"training.init_from": self.training.init_from, "embedding.vectors": self.embedding.vectors}
        found = [name for name, value in given.items() if value]
        if self.head.ngram and found:
            raise ValueError(
                f"head.ngram: expected it alone, since counts start from nothing, found {found[0]} beside it"
            )
        return self


# --- generate -----------------------------------------------------------------------------------------------------


class GenerateDataSettings(UnitDataSettings):
    """What a generator reads: the text that it writes and the fields that it is written from."""

    unit: Literal["word", "char", "bpe"] = "char"
    """what is predicted one after the other: words, characters, or byte pairs that are learned from the data"""
    target: str = "text"
    """field that holds the text to be written"""
    condition: str = ""
    """fields to write it from, separated by commas; field:label, field:vector or field:text says what one is"""


class GenerateEncoderSettings(UnitEncoderSettings):
    """The shared encoder, writing from left to right."""

    layers: Layers = 1
    """levels on top of each other"""


class GenerateHeadSettings(Section):
    """The generation head and the encoder of the condition."""

    tied: bool = False
    """the output layer is the embedding's table (Press & Wolf 2017)"""
    label_size: Size = 32
    """size of a label's vector in the condition"""
    vector_size: Size = 64
    """size that a numeric vector is projected to"""
    text_hidden: Size = 64
    """size of the state, in each direction, of the encoder that reads a text in the condition"""
    pool: Literal["mean", "max", "last", "attention", "concat"] = "mean"
    """how the outputs of that encoder become one vector"""


class GenerateSettings(Settings):
    """All settings of a generator."""

    task: Literal["generate"] = "generate"
    """shape of the task"""
    data: GenerateDataSettings = GenerateDataSettings()
    """data"""
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
            found = self.encoder.direction
            raise ValueError(
                f"encoder.direction: expected forward, found {found}: text is written from left to right, "
                "and what comes later is not there yet"
            )
        return self

    @model_validator(mode="after")
    def _output_fits(self) -> GenerateSettings:
        _tied_to_a_table(self.head.tied, self.embedding)
        return self


SETTINGS: dict[str, type[Settings]] = {
    "tag": TagSettings,
    "classify": ClassifySettings,
    "lm": LmSettings,
    "generate": GenerateSettings,
}
"""task → its settings"""


def _meets_below_the_top(encoder: EncoderSettings) -> bool:
    """Whether a level above the first reads both directions."""
    return encoder.direction == "both" and encoder.layers > 1 and encoder.concat == "layerwise"


def _tied_to_a_table(tied: bool, embedding: EmbeddingSettings) -> None:
    """See that the table which embedding and output layer are to share is all there is of a word's vector."""
    if tied and embedding.one_hot:
        raise ValueError("head.tied: expected embedding.one_hot false, found true: there is no table to share")
    if tied and not embedding.word_size:
        raise ValueError("head.tied: expected embedding.word_size > 0 to share, found 0")
    if tied and embedding.vectors and embedding.vectors_join == "sum":
        raise ValueError(
            "head.tied: expected embedding.vectors_join concat, found sum: the table is then a correction of the given "
            "vectors, and no output layer"
        )
