"""Settings of a tagger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, PrivateAttr, model_validator

from seqkit.config.recipes import override
from seqkit.config.sections import (
    LARGEST,
    Count,
    Elsewhere,
    EncoderSettings,
    Options,
    Positive,
    Rate,
    Section,
    Settings,
    TrainingSettings,
    Weight,
)
from seqkit.heads.fusion import FusedOptions, changed, refuse_without_model
from seqkit.inputs.audio_settings import AudioSettings
from seqkit.inputs.frame_settings import FrameDataSettings, FrameSettings
from seqkit.inputs.settings import DataSettings, EmbeddingSettings, EvaluationOptions

Beam = Annotated[int, Field(ge=1, le=10_000)]


class TagDataSettings(DataSettings):
    """What a tagger reads."""

    target: Annotated[str, Field(coerce_numbers_to_str=True)] = ""
    """label column: a name, or a position from 0, or from -1 at the end  [default: upos in CoNLL-U, else the last]"""
    scheme: Literal["auto", "iob1", "iob2", "bioes", "none"] = "auto"
    """how the labels mark spans; auto: detected from them; none: there are no spans"""


class TagEmbeddingSettings(EmbeddingSettings):
    """How a tagger's words become vectors."""

    context: Elsewhere = ""
    """contextual string embeddings: directory of a character language model (Akbik et al. 2018)"""


class TagHeadSettings(Section):
    """The tagging head."""

    crf: bool = True
    """conditional random field over the label sequence instead of a softmax for each token"""
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
    def _future_unseen(self) -> TagSettings:
        if self.head.lm_loss and self.encoder.concatenates_below_the_last_layer:
            raise ValueError(
                "head.lm_loss: needs encoder.concat final, one layer or one direction; with layerwise, upper layers "
                "have seen the words that they are to predict"
            )
        return self

    def complete(self, dataset: Any) -> TagSettings:
        """See `Settings.complete`: label column and scheme."""
        tree: dict[str, str] = {}
        if not self.data.target and dataset.target:
            tree["target"] = dataset.target
        if self.data.scheme == "auto" and self.data.target in ("", dataset.target):
            tree["scheme"] = dataset.scheme
        return override(self, {"data": tree})


class TagFrameDataSettings(FrameDataSettings):
    """What a tagger of frames reads."""

    target: str = "labels"
    """field of the labels: a list with one a frame, or a list of runs, objects with start, end and label"""
    times: Literal["auto", "frames", "seconds"] = "auto"
    """what start and end of runs are; auto: seconds of recordings and where they have fractions, otherwise frames"""
    outside: Annotated[str, Field(min_length=1)] = "O"
    """label of frames that no run covers"""
    scheme: Literal["auto", "iob1", "iob2", "bioes", "none"] = "auto"
    """how labels of frames mark spans; auto: detected from lists, none for runs; of runs: how they are marked"""


class TagFramesHeadSettings(Section):
    """The tagging head of sequences of vectors."""

    crf: bool = True
    """conditional random field over the label sequence instead of a softmax for each step"""


class TagFramesTrainingSettings(TrainingSettings):
    """The training loop, with the defaults of a tagger of sequences of vectors."""

    epochs: Positive = 60
    """maximal number of passes over the training data"""
    lr: Rate = 1e-3
    """learning rate at the start (after warm-up)"""
    patience: Count = 15
    """early stopping: stop after so many epochs without a better dev score; 0 to run all epochs"""


class TagFramesSettings(Settings):
    """All settings of a tagger of sequences of vectors."""

    task: Literal["tag"] = "tag"
    """shape of the task"""
    input: Literal["frames"] = "frames"
    """what is read"""
    data: TagFrameDataSettings = TagFrameDataSettings()
    """data"""
    audio: AudioSettings = AudioSettings()
    """features of recordings"""
    frames: FrameSettings = FrameSettings()
    """frames"""
    encoder: EncoderSettings = EncoderSettings()
    """encoder"""
    head: TagFramesHeadSettings = TagFramesHeadSettings()
    """head"""
    training: TagFramesTrainingSettings = TagFramesTrainingSettings()
    """training"""

    def complete_by(self, records: Sequence[Any]) -> TagFramesSettings:
        """See `Settings.complete_by`: what the numbers of runs are."""
        if self.data.times != "auto":
            return self
        from seqkit.formats.runs import unit_of  # all formats, for which help texts need not wait

        return override(self, {"data": {"times": unit_of(records, self.data.target)}})


class TagOptions(FusedOptions):
    """Options of prediction."""

    probs: bool = False
    """also the probability of every label (conll), and of every span (jsonl)"""
    nbest: Annotated[int, Field(ge=1, le=1000)] = 1
    """the N best label sequences with the probability of each; at most 1,000"""
    lag: Annotated[int, Field(ge=0, le=LARGEST)] | None = None
    """of labels that depend on each other, decide each N tokens later  [default: at the end; with --stream 8]"""
    lm: Elsewhere = ""
    """language model, a directory of seqkit lm: n-grams or a network, each label one of its units; needs --no-crf"""
    lm_weight: Weight = 0.5
    """weight of the language model's log-probability"""
    beam: Beam = 20
    """sequences of labels that the search keeps with --lm"""
    streams: ClassVar[bool] = True
    shown_in: ClassVar[Mapping[str, Sequence[str]]] = {"probs": ("conll", "jsonl")}
    _spans: bool = PrivateAttr(default=True)

    @model_validator(mode="after")
    def _of_whole_sentences(self) -> TagOptions:
        if self.lag is not None and self.nbest > 1:
            raise ValueError("nbest: the best sequences of labels are those of whole sentences, which lag excludes")
        _refuse_beside_model(self)
        if self.lm and self.probs:
            raise ValueError("probs: there are none of labels that are searched for with a language model, lm")
        return self

    @property
    def width(self) -> int:
        """Sequences of labels that the search keeps."""
        return max(self.beam, self.nbest)

    @property
    def spans(self) -> bool:
        """Whether the answer has spans: no option, but a matter of how it is written."""
        return self._spans

    def for_output(self, output_format: str | None) -> TagOptions:
        """See `Options.for_output`: columns show no spans."""
        found = self.model_copy()
        found._spans = output_format not in (None, "conll")
        return found


class TagEvaluation(EvaluationOptions):
    """Options of evaluation."""

    target: str | None = None
    """label column  [default: the model's]"""
    lag: Annotated[int, Field(ge=0, le=LARGEST)] | None = None
    """score the labels as a stream gives them, each decided N tokens later, and tell how many that changes"""
    lm: Elsewhere = ""
    """language model, a directory of seqkit lm: n-grams or a network, each label one of its units; needs --no-crf"""
    lm_weight: Weight = 0.5
    """weight of the language model's log-probability"""
    beam: Beam = 20
    """sequences of labels that the search keeps with --lm"""
    tune: bool = False
    """first find the --lm-weight with the best score on dev"""

    @model_validator(mode="after")
    def _weighs(self) -> TagEvaluation:
        _refuse_beside_model(self)
        if self.tune and changed(self, ["lm_weight"]):
            raise ValueError("tune finds lm_weight; leave one of them out")
        return self


class TagFramesOptions(Options):
    """Options of prediction of sequences of vectors."""

    probs: bool = False
    """also the probability of every run, the mean of the marginal probabilities of its label over its frames"""
    frame_rate: Weight = 0.0
    """frames a second of arrays, for times in seconds  [default: the model's]"""
    lag: Annotated[int, Field(ge=0, le=LARGEST)] | None = None
    """of labels that depend on each other, decide each N steps later  [default: at the end; in a stream 8]"""
    streams: ClassVar[bool] = True
    shown_in: ClassVar[Mapping[str, Sequence[str]]] = {"probs": ("jsonl",)}


class TagFramesEvaluation(EvaluationOptions):
    """Options of evaluation on sequences of vectors."""

    target: str | None = None
    """field of the labels  [default: the model's]"""
    times: Literal["auto", "frames", "seconds"] | None = None
    """what start and end of runs are  [default: as in training]"""
    frame_rate: Weight = 0.0
    """frames a second of arrays, for runs and tolerance in seconds  [default: the model's]"""
    tolerance: Weight | None = None
    """by how much both ends of a run may be off: seconds, or frames of unknown rate  [default: 0.05, or 5 frames]"""
    lag: Annotated[int, Field(ge=0, le=LARGEST)] | None = None
    """score the labels as a stream gives them, each decided N steps later, and tell how many that changes"""


def _refuse_beside_model(options: TagOptions | TagEvaluation) -> None:
    refuse_without_model(options, ("lm_weight", "beam"))
    if options.lm and options.lag is not None:
        raise ValueError("lag: a search with a language model, lm, needs the whole sentence, which lag excludes")
