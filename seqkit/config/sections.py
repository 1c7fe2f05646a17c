"""The sections of settings that several tasks share: embedding, encoder, training, and what is read."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

__all__ = [
    "Count",
    "DataSettings",
    "EmbeddingSettings",
    "EncoderSettings",
    "Layers",
    "Positive",
    "Probability",
    "Rate",
    "Section",
    "Size",
    "SizeOrNone",
    "TrainingSettings",
    "Weight",
]

Probability = Annotated[float, Field(ge=0.0, lt=1.0)]
_MOST = 2**31 - 1
_LARGEST = 1_000_000
"""of a size that several weights are as long as: no machine has memory for more"""
Positive = Annotated[int, Field(ge=1, le=_MOST)]
Count = Annotated[int, Field(ge=0, le=_MOST)]
Size = Annotated[int, Field(ge=1, le=_LARGEST)]
SizeOrNone = Annotated[int, Field(ge=0, le=_LARGEST)]
Layers = Annotated[int, Field(ge=1, le=100)]
Rate = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
Weight = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]


class Section(BaseModel):
    """A section: unknown names are faults, values do not change after construction, text is never cut or coerced."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, validate_default=True)

    @field_validator("*", mode="before")
    @classmethod
    def _truth_is_no_number(cls, value: object, info: ValidationInfo) -> object:
        if isinstance(value, bool) and cls.model_fields[str(info.field_name)].annotation in (int, float):
            raise ValueError(f"expected a number, found {str(value).lower()}")
        return value


class DataSettings(Section):
    """What is read, and how text becomes words and words become entries of a vocabulary."""

    splitter: Literal["words", "english", "spaces", "characters"] = "words"
    """how raw text is split into tokens"""
    lowercase: bool = True
    """fold case in the word vocabulary (characters keep theirs)"""
    digits: bool = True
    """write every digit of a word as 0 in the word vocabulary"""
    min_count: Positive = 1
    """words seen fewer times in training are unknown"""
    max_words: Count = 0
    """at most so many words in the vocabulary; 0 for no limit"""


class EmbeddingSettings(Section):
    """How a word becomes a vector."""

    word_size: SizeOrNone = 100
    """size of the trained word vectors; 0 for none"""
    vectors: str = ""
    """file of given word vectors: GloVe, word2vec or fastText"""
    vectors_limit: Count = 0
    """read only so many vectors from the start of the file (most frequent first); 0 for all"""
    vectors_join: Literal["concat", "sum"] = "sum"
    """add the trained word vector to the given one (word_size is then that of the given ones), or put it beside"""
    one_hot: bool = False
    """a word is a vector with a one in its own place, as long as the vocabulary, instead of a trained one"""
    chars: Literal["cnn", "lstm", "none"] = "cnn"
    """character features of a word"""
    char_size: Size = 30
    """size of a character's vector"""
    char_features: Annotated[int, Field(ge=2, le=_LARGEST)] = 50
    """size of the character features of a word"""
    char_kernel: Annotated[int, Field(ge=1, le=100)] = 3
    """width of a character filter"""
    char_dropout: Probability = 0.0
    """dropout on characters' vectors"""
    dropout: Probability = 0.33
    """dropout on words' vectors, one mask a sentence"""
    word_dropout: Probability = 0.05
    """probability that a word is taken for unknown while training"""
    type_dropout: Probability = 0.0
    """probability that a word has no vector at all wherever it stands in a batch (Merity et al. 2018)"""


class EncoderSettings(Section):
    """The shared recurrent encoder."""

    cell: Literal[
        "lstm",
        "gru",
        "rnn_tanh",
        "rnn_relu",
        "irnn",
        "rnn_linear",
        "lstm_peephole",
        "lstm_coupled",
        "lstm_depth",
        "gru_simple",
        "clockwork",
        "mingru",
        "minlstm",
        "running_sum",
    ] = "lstm"
    """recurrent cell"""
    hidden: Size = 200
    """size of the state of one direction"""
    layers: Layers = 1
    """levels on top of each other"""
    direction: Literal["forward", "backward", "both"] = "both"
    """reading direction"""
    concat: Literal["layerwise", "final"] = "layerwise"
    """where the two directions are concatenated: after every layer, or once, after two independent stacks"""
    dropout: Probability = 0.33
    """dropout on every level's output"""
    last_dropout: Annotated[float, Field(lt=1.0, allow_inf_nan=False)] = -1.0
    """dropout on the top level's output; negative: the same as dropout"""
    weight_dropout: Probability = 0.0
    """dropout on the recurrent weights, one mask a batch (Wan et al. 2013, Merity et al. 2018)"""
    init: Literal["auto", "orthogonal", "identity", "xavier", "uniform"] = "auto"
    """recurrent weights at the beginning; uniform: all weights; auto: orthogonal, and identity for irnn"""
    init_gain: Rate = 1.0
    """factor on the recurrent weights at the beginning"""
    forget_bias: Annotated[float, Field(allow_inf_nan=False)] = 1.0
    """bias of the forget gates at the beginning"""
    variational: bool = True
    """one dropout mask a sequence instead of one a step"""
    skip: Literal["none", "residual", "highway", "dense"] = "none"
    """connections around or past the levels"""


class TrainingSettings(Section):
    """The training loop."""

    epochs: Positive = 30
    """passes over the training data at most"""
    batch_size: Positive = 32
    """sentences a batch"""
    batch_tokens: Count = 0
    """tokens a batch instead of sentences; 0 for batch-size"""
    equal_lengths: bool = False
    """batches of exactly equal sentence lengths: no padding, but some batches are small"""
    optimizer: Literal["sgd", "adam", "adamw"] = "adam"
    """optimiser"""
    lr: Rate = 2e-3
    """learning rate at the start (after warm-up)"""
    momentum: Probability = 0.0
    """momentum of sgd"""
    weight_decay: Weight = 0.0
    """weight decay (decoupled with adamw, an L2 penalty otherwise)"""
    schedule: Literal["constant", "inverse", "cosine", "plateau", "step"] = "constant"
    """learning rate over time; inverse: lr / (1 + decay · epoch); cosine: to zero; plateau: or step: by a factor"""
    warmup: Weight = 0.0
    """epochs of linear warm-up from zero"""
    decay: Weight = 0.05
    """rate of the inverse schedule"""
    plateau_factor: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.5
    """factor on the learning rate at a plateau"""
    plateau_patience: Count = 2
    """epochs without improvement before a plateau is declared"""
    step_after: Count = 4
    """epochs at the full rate before the step schedule begins"""
    step_factor: Annotated[float, Field(gt=0.0, le=1.0)] = 0.5
    """factor on the learning rate at every epoch of the step schedule"""
    clip: Weight = 5.0
    """largest gradient norm (or value: clip_by); 0 for no clipping"""
    clip_by: Literal["norm", "value"] = "norm"
    """what clip limits: the norm of the whole gradient, or each of its numbers"""
    patience: Count = 0
    """stop after so many epochs without a better score on dev; 0 to run all epochs"""
    average: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """decay of an exponential moving average of the weights, used for dev scores and the saved model; 0 for none"""
    asgd_patience: Count = 0
    """once the dev score has been no better for so many epochs, average the weights from there on; 0 for never"""
    init_from: str = ""
    """directory of a model whose embedding, encoder and vocabulary to start from"""
    freeze: Count = 0
    """epochs in which what was taken from that model thaws from the top down, the embedding last; 0: at once"""
    time_limit: Weight = 0.0
    """minutes after which training ends with the best model so far; 0 for no limit"""
    checkpoint_minutes: Weight = 0.0
    """also write a checkpoint every so many minutes, not only after each epoch; 0 for epochs only"""
    on_nan: Literal["stop", "skip"] = "stop"
    """at a loss or gradient that is not finite: end with a message, or leave the batch out and count it"""
    deterministic: bool = False
    """the same settings, data, machine and threads give the same weights to the last bit, also on a GPU"""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """arithmetic of the encoder: auto is bf16 on a GPU that has it, fp32 elsewhere; CRF and loss stay in fp32"""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 1
    """seed of everything random"""

    @model_validator(mode="after")
    def _one_average(self) -> TrainingSettings:
        if self.average and self.asgd_patience:
            raise ValueError("expected one of average and asgd_patience, found both")
        return self

    @model_validator(mode="after")
    def _no_clock(self) -> TrainingSettings:
        if self.deterministic and self.time_limit:
            raise ValueError("expected no time_limit beside deterministic: how far a run comes depends on the machine")
        return self

    @model_validator(mode="after")
    def _something_to_clip(self) -> TrainingSettings:
        if self.clip_by == "value" and not self.clip:
            raise ValueError("expected clip_by value only beside a clip above 0, found 0")
        return self

    @model_validator(mode="after")
    def _frozen_part(self) -> TrainingSettings:
        if self.freeze and not self.init_from:
            raise ValueError("expected freeze only beside init_from, found no model to start from")
        return self

    @model_validator(mode="after")
    def _warmup_fits(self) -> TrainingSettings:
        if self.schedule == "cosine" and self.warmup >= self.epochs:
            raise ValueError(f"expected fewer epochs of warm-up than epochs ({self.epochs}), found {self.warmup:g}")
        return self
