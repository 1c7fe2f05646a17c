"""Settings of a classifier."""

from __future__ import annotations

from typing import Any, Literal, cast

from pydantic import PrivateAttr, model_validator

from seqkit.config.recipes import override
from seqkit.config.sections import (
    Count,
    EncoderSettings,
    Options,
    Positive,
    Probability,
    Rate,
    Section,
    Settings,
    Size,
    SizeOrNone,
    TrainingSettings,
)
from seqkit.inputs.audio_settings import AudioSettings
from seqkit.inputs.frame_settings import FrameDataSettings, WholeFrameSettings
from seqkit.inputs.settings import DataSettings, EmbeddingSettings, EvaluationOptions


class ClassifyDataSettings(DataSettings):
    """What a classifier reads."""

    text: str = "text"
    """field that holds the text"""
    label: str = "label"
    """field that holds the label"""
    group: str = ""
    """field whose value candidates of one ranking share, of which MAP and MRR are told; empty for no ranking"""
    positive: str = ""
    """label of the candidates that are relevant, where group is set  [default: the last of two labels]"""


class ClassifyPairDataSettings(ClassifyDataSettings):
    """What a classifier of pairs of texts reads."""

    text: str = "sentence1"
    """field that holds the text; of pairs that of the first, given twice for both"""
    second: str = "sentence2"
    """field that holds the second text"""

    @model_validator(mode="after")
    def _two_texts(self) -> ClassifyPairDataSettings:
        if not self.text or not self.second or self.text == self.second:
            raise ValueError(f"text and second must be two different fields, found {self.text!r} and {self.second!r}")
        return self


class ClassifyHeadSettings(Section):
    """The classification head."""

    pool: Literal["mean", "max", "last", "attention", "concat"] = "max"
    """how the encoder's outputs become one vector; concat: last, max and mean side by side"""
    multi_label: bool = False
    """a text may have several labels or none"""
    regression: bool = False
    """the label is a number, which is predicted: least squares instead of probabilities"""
    hidden: SizeOrNone = 0
    """size of a layer with ReLU between the pooled vector and the scores; 0 for none"""
    class_weights: Literal["none", "balanced"] = "none"
    """balanced: weight the loss of each label by its inverse frequency"""
    dropout: Probability = 0.0
    """dropout on the pooled vector"""
    baseline: bool = True
    """also train a baseline, TF-IDF with logistic regression (ridge regression of numbers), and report both"""

    @model_validator(mode="after")
    def _numbers_are_no_labels(self) -> ClassifyHeadSettings:
        if self.regression and (self.multi_label or self.class_weights != "none"):
            name = "multi_label" if self.multi_label else "class_weights"
            raise ValueError(f"regression excludes {name}, which is for labels")
        return self


class ClassifyPairHeadSettings(ClassifyHeadSettings):
    """The classification head over pairs of texts."""

    pool: Literal["mean", "max", "last", "attention", "concat"] = "concat"
    """how the outputs for each text become one vector; concat: last, max and mean side by side"""
    dropout: Probability = 0.3
    """dropout on the pooled vectors"""
    join: Literal["concat", "attention"] = "attention"
    """how both texts become one vector, [u; v; |u − v|; u ⊙ v]; attention: after the words of each saw the other's"""
    hidden: SizeOrNone = 200
    """size of a layer with ReLU between the pooled vectors and the scores; 0 for none"""


class ClassifyTrainingSettings(TrainingSettings):
    """The training loop, with a classifier's defaults."""

    epochs: Positive = 10
    """maximal number of passes over the training data"""
    lr: Rate = 1e-3
    """learning rate at the start (after warm-up)"""
    patience: Count = 4
    """early stopping: stop after so many epochs without a better dev score; 0 to run all epochs"""


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

    @property
    def predicts(self) -> str:
        """See `Settings.predicts`."""
        return "regression" if self.head.regression else ""

    @model_validator(mode="after")
    def _label_unread(self) -> ClassifySettings:
        if self.data.label == getattr(self.data, "second", None):
            raise ValueError(f"data.label and data.second must be different fields, both are {self.data.label!r}")
        if self.data.label == self.data.text:
            raise ValueError(f"data.label and data.text must be different fields, both are {self.data.text!r}")
        return self

    def complete(self, dataset: Any) -> ClassifySettings:
        """See `Settings.complete`: the field of the label."""
        is_default = self.data.label == type(self)().data.label
        return override(self, {"data": {"label": dataset.target}}) if dataset.target and is_default else self


class ClassifyPairEmbeddingSettings(ClassifyEmbeddingSettings):
    """How a word of a pair of texts becomes a vector."""

    match: bool = True
    """a feature of each word beside its vector: whether the other text has the word, too"""
    dropout: Probability = 0.2
    """dropout on word vectors, one mask a text"""
    word_dropout: Probability = 0.0
    """probability that a word is replaced by the unknown word in training"""


class PairEncoderSettings(EncoderSettings):
    """The shared recurrent encoder, with defaults for pairs of texts."""

    hidden: Size = 100
    """size of the state of one direction"""
    skip: Literal["none", "residual", "highway", "dense"] = "residual"
    """connections around the layers; without them attention finds the same word in the other text less surely"""
    dropout: Probability = 0.2
    """dropout on every layer's output"""


class ClassifyPairTrainingSettings(ClassifyTrainingSettings):
    """The training loop, with the defaults of a classifier of pairs of texts."""

    epochs: Positive = 30
    """maximal number of passes over the training data"""
    lr: Rate = 2e-3
    """learning rate at the start (after warm-up)"""
    patience: Count = 8
    """early stopping: stop after so many epochs without a better dev score; 0 to run all epochs"""


class ClassifyPairSettings(ClassifySettings):
    """All settings of a classifier of pairs of texts."""

    input: Literal["pair"] = "pair"
    """what is read"""
    data: ClassifyPairDataSettings = ClassifyPairDataSettings()
    """data"""
    embedding: ClassifyPairEmbeddingSettings = ClassifyPairEmbeddingSettings()
    """embedding"""
    encoder: PairEncoderSettings = PairEncoderSettings()
    """encoder"""
    head: ClassifyPairHeadSettings = ClassifyPairHeadSettings()
    """head"""
    training: ClassifyPairTrainingSettings = ClassifyPairTrainingSettings()
    """training"""

    def complete(self, dataset: Any) -> ClassifyPairSettings:
        """See `Settings.complete`: also the fields of the texts."""
        found = cast("ClassifyPairSettings", super().complete(dataset))
        usual = type(self)().data
        texts = dataset.card.texts if dataset.card is not None else ()
        if texts and (self.data.text, self.data.second) == (usual.text, usual.second):
            found = override(found, {"data": dict(zip(("text", "second"), texts, strict=True))})
        return found


class ClassifyFrameDataSettings(FrameDataSettings):
    """What a classifier of sequences of vectors reads."""

    label: str = "label"
    """field that holds the label"""
    group: str = ""
    """field whose value candidates of one ranking share, of which MAP and MRR are told; empty for no ranking"""
    positive: str = ""
    """label of the candidates that are relevant, where group is set  [default: the last of two labels]"""


class ClassifyFramesTrainingSettings(ClassifyTrainingSettings):
    """The training loop, with the defaults of a classifier of sequences of vectors."""

    epochs: Positive = 60
    """maximal number of passes over the training data"""
    patience: Count = 15
    """early stopping: stop after so many epochs without a better dev score; 0 to run all epochs"""


class ClassifyFramesSettings(Settings):
    """All settings of a classifier of sequences of vectors."""

    task: Literal["classify"] = "classify"
    """shape of the task"""
    input: Literal["frames"] = "frames"
    """what is read"""
    data: ClassifyFrameDataSettings = ClassifyFrameDataSettings()
    """data"""
    audio: AudioSettings = AudioSettings()
    """features of recordings"""
    frames: WholeFrameSettings = WholeFrameSettings()
    """frames"""
    encoder: EncoderSettings = EncoderSettings()
    """encoder"""
    head: ClassifyHeadSettings = ClassifyHeadSettings()
    """head"""
    training: ClassifyFramesTrainingSettings = ClassifyFramesTrainingSettings()
    """training"""

    @property
    def predicts(self) -> str:
        """See `Settings.predicts`."""
        return "regression" if self.head.regression else ""


MOST_PROBS = 1000
"""labels with their probabilities in an answer, unless more are asked for"""


class ClassifyOptions(Options):
    """Options of prediction."""

    top: Positive | None = None
    """the N most probable labels  [default: the predicted one (tsv), with probabilities all, up to 1,000 (jsonl)]"""
    _most: int = PrivateAttr(default=MOST_PROBS)

    @property
    def most(self) -> int:
        """How many of the most probable labels an answer has; more of them where more are predicted."""
        return self.top or self._most

    def for_output(self, output_format: str | None) -> ClassifyOptions:
        """See `Options.for_output`: rows, and the scores of evaluation, need only what is predicted."""
        found = self.model_copy()
        found._most = 1 if output_format in (None, "tsv") else MOST_PROBS
        return found


class ClassifyEvaluation(EvaluationOptions):
    """Options of evaluation."""

    label: str | None = None
    """field of the label  [default: the model's]"""
    group: str | None = None
    """field whose value candidates of one ranking share: tells MAP and MRR  [default: the model's]"""
    positive: str | None = None
    """label of the candidates that are relevant  [default: the model's, or the last of two labels]"""
