"""Settings of a classifier."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal, cast

from pydantic import PrivateAttr, field_validator, model_validator

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
from seqkit.errors import shown
from seqkit.inputs.audio_settings import AudioSettings
from seqkit.inputs.frame_settings import FrameDataSettings, WholeFrameSettings
from seqkit.inputs.settings import DataSettings, EmbeddingSettings, EvaluationOptions


def as_text(value: object) -> object:
    """A label that is written as a number, as TOML and Python may have it, as text; anything else as it is."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def check_ranking(
    group: str, positive: str, *, multi: bool, numbers: bool, named: Callable[[str], str] = "data.{}".format
) -> None:
    """See that settings of a ranking fit each other, and what is predicted.

    Args:
        group: the field of the groups; empty for no ranking.
        positive: the label of relevant candidates, or the least number of one; empty for the default.
        multi: whether a text may have several labels.
        numbers: whether a number is predicted.
        named: what messages call an option.

    Raises:
        ValueError: they do not.
    """
    if positive and not group:
        raise ValueError(f"{named('positive')} says which candidates are relevant, and needs {named('group')}")
    if group and multi:
        raise ValueError(
            f"{named('group')} is for models of one label, by whose probability candidates can be ranked, and not "
            "for several (multi_label)"
        )
    if numbers and positive and threshold(positive) is None:
        raise ValueError(
            f"{named('positive')}: where numbers are predicted it is the least one that makes a candidate relevant; "
            f"expected a number, found {shown(positive)}"
        )


def threshold(positive: str) -> float | None:
    """The number from which on candidates are relevant; None for what is no number."""
    try:
        found = math.nan if "_" in positive else float(positive)  # to Python 1_000 is a number
    except ValueError:
        return None
    return found if math.isfinite(found) else None


class ClassifyDataSettings(DataSettings):
    """What a classifier reads."""

    text: str = "text"
    """field that holds the text"""
    label: str = "label"
    """field that holds the label"""
    group: str = ""
    """field whose value candidates of one ranking share, of which MAP and MRR are told; empty for no ranking"""
    positive: str = ""
    """label of relevant candidates, or the least relevant number  [default: of two labels the last one; above 0]"""

    _number_as_text = field_validator("positive", mode="before")(as_text)


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

    @model_validator(mode="after")
    def _ranking(self) -> ClassifySettings:
        data, head = self.data, self.head
        check_ranking(data.group, data.positive, multi=head.multi_label, numbers=head.regression)
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
    """label of relevant candidates, or the least relevant number  [default: of two labels the last one; above 0]"""

    _number_as_text = field_validator("positive", mode="before")(as_text)


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

    @model_validator(mode="after")
    def _ranking(self) -> ClassifyFramesSettings:
        data, head = self.data, self.head
        check_ranking(data.group, data.positive, multi=head.multi_label, numbers=head.regression)
        return self

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
    _scored: tuple[str, str] | None = PrivateAttr(default=None)

    @property
    def most(self) -> int:
        """How many of the most probable labels an answer has; more of them where more are predicted."""
        return self.top or self._most

    @property
    def scored(self) -> tuple[str, str] | None:
        """See `for_report`; None where nothing is scored."""
        return self._scored

    def for_report(self, label: str, positive: str = "") -> ClassifyOptions:
        """These options for answers that are scored by probabilities.

        Args:
            label: the field of the right label, whose probability every answer has, however small it is.
            positive: the label of relevant candidates, likewise.

        Returns:
            The options.
        """
        found = self.model_copy()
        found._scored = (label, positive)
        return found

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
    """label of relevant candidates, or the least relevant number  [default: the model's, the last of two, above 0]"""

    _number_as_text = field_validator("positive", mode="before")(as_text)
