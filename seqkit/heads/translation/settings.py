"""Settings of translation."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, PrivateAttr, model_validator

from seqkit.config.recipes import override
from seqkit.config.sections import (
    Cell,
    Count,
    Elsewhere,
    EncoderSettings,
    Layers,
    Options,
    Positive,
    Probability,
    Rate,
    Section,
    Settings,
    Size,
    SizeOrNone,
    TrainingSettings,
    Weight,
)
from seqkit.errors import SettingsError
from seqkit.inputs.audio_settings import AudioSettings
from seqkit.inputs.frame_settings import FrameDataSettings, WholeFrameSettings
from seqkit.inputs.settings import ActSettings, EvaluationOptions, UnitDataSettings, UnitEmbeddingSettings

if TYPE_CHECKING:
    import torch

_WIDEST = 1_000
"""bound of --beam and --nbest"""
_NARROWEST = 0.1
"""window of local attention, in steps: of a narrower one all weights vanish"""
_LANGUAGE = re.compile("[a-z]{2,3}")


class TranslateDataSettings(UnitDataSettings):
    """What is translated, and into which units."""

    end: ClassVar[str] = "\n\n"
    """no unit of a text is spelled so"""
    source: str = "source"
    """field, column or parallel file with the text that is read"""
    target: str = "target"
    """field, column or parallel file with the text to write; of several references training takes the first"""
    unit: Literal["word", "char", "bpe"] = "word"
    """unit of what is written: words, characters, or byte pairs (BPE) learned from the data"""
    source_unit: Literal["same", "word", "char", "bpe", "act"] = "same"
    """unit of what is read; act: the slots of dialogue acts, type(slot=value;slot=value)  [same: as unit]"""
    shared: bool = False
    """one vocabulary, and one table of vectors, for what is read and what is written"""
    factors: str = ""
    """fields with a word for each word that is read, such as its part of speech, separated by commas"""

    @property
    def factor_fields(self) -> tuple[str, ...]:
        """The fields of factors."""
        return tuple(filter(None, map(str.strip, self.factors.split(","))))

    @property
    def unit_read(self) -> str:
        """The unit of what is read."""
        return self.unit if self.source_unit == "same" else self.source_unit

    @model_validator(mode="after")
    def _two_texts(self) -> TranslateDataSettings:
        if self.source == self.target:
            raise ValueError(f"source and target must be different fields, both are {self.source!r}")
        if twice := {self.source, self.target} & {*self.factor_fields}:
            raise ValueError(f"factors stand beside what is read, and {twice.pop()!r} is the source or the target")
        if self.shared and self.unit_read != self.unit:
            raise ValueError(f"shared needs one unit, and source_unit is {self.unit_read}, unit {self.unit}")
        fields = self.factor_fields
        if fields and self.unit_read != "word":
            raise ValueError(f"factors need words to be read, and source_unit is {self.unit_read}")
        if len({*fields}) < len(fields):
            raise ValueError(f"factors must be different fields, found {self.factors!r}")
        if self.unit_read == "act" and self.digits:
            raise ValueError("source_unit act needs digits false: symbols for values have numbers")
        return self


class TranslateEncoderSettings(EncoderSettings):
    """The shared recurrent encoder, with the defaults of translation."""

    hidden: Size = 256
    """size of the state of one direction"""
    dropout: Probability = 0.3
    """dropout on every layer's output"""
    variational: bool = False
    """one dropout mask a sequence instead of one per step"""


class TranslateEmbeddingSettings(UnitEmbeddingSettings):
    """How a unit of what is read becomes a vector."""

    word_size: SizeOrNone = 256
    """size of the trained vectors; 0 for none"""
    factor_size: Size = 32
    """size of the vector of each of data.factors"""
    dropout: Probability = 0.3
    """dropout on unit vectors, one mask per sequence"""


class TranslateHeadSettings(Section):
    """The decoder."""

    cell: Literal["same", Cell, "sc_lstm"] = "same"
    """recurrent cell; sc_lstm: that of Wen et al. 2015, given a dialogue act  [same: that of the encoder]"""
    hidden: Size = 512
    """size of the state"""
    layers: Layers = 1
    """layers on top of each other"""
    size: Size = 256
    """size of the vectors of what was written"""
    attention: Literal["dot", "general", "additive"] = "general"
    """energy: dot (needs equal sizes), general (Luong et al. 2015) or additive (Bahdanau et al. 2015)"""
    heads: Positive = 1
    """attention heads"""
    window: Annotated[float, Field(ge=0.0, le=1e6, allow_inf_nan=False)] = 0.0
    """local attention (Luong et al. 2015): twice the standard deviation, in steps, around a predicted place; 0: none"""
    coverage: Weight = 0.0
    """weight of the coverage loss (See et al. 2017), for which energies also read what was looked at; 0 for neither"""
    feeding: bool = True
    """input feeding: the decoder's output joins its next input (Luong et al. 2015); without it training is faster"""
    copy_source: bool = False
    """units of the source may be copied (pointer-generator, See et al. 2017)"""
    tied: bool = False
    """the output layer shares the vectors of what was written (Press & Wolf 2017)"""
    dropout: Probability = 0.3
    """dropout on the vectors of what was written, between layers, and before the output layer"""
    attention_dropout: Probability = 0.0
    """dropout on attention weights"""
    word_dropout: Probability = 0.0
    """probability that a unit that was written is read as the unknown unit in training"""
    smoothing: Probability = 0.1
    """label smoothing (Szegedy et al. 2016)"""
    reading: Weight = 1.0
    """weight of what it costs the cell sc_lstm not to say an act, or all of it at once"""
    sampling: Probability = 0.0
    """scheduled sampling (Bengio et al. 2015): in training, probability of reading the decoder's own best unit"""

    @model_validator(mode="after")
    def _fit_together(self) -> TranslateHeadSettings:
        if self.copy_source and self.smoothing:
            raise ValueError("copy_source needs smoothing 0: what is copied has no distribution to smooth")
        if 0 < self.window < _NARROWEST:
            raise ValueError(f"window must be 0 or at least {_NARROWEST}, found {self.window:g}")
        if self.copy_source and self.sampling:
            raise ValueError("copy_source needs sampling 0: sampling reads what is written, and not what is copied")
        if self.coverage and self.attention != "additive":
            raise ValueError("coverage needs attention additive")
        if self.cell == "sc_lstm" and self.layers > 1:
            raise ValueError("cell sc_lstm needs layers 1: it has one dialogue act to read")
        return self


class TranslateTrainingSettings(TrainingSettings):
    """The training loop, with the defaults of translation."""

    epochs: Positive = 20
    """maximal number of passes over the training data"""
    batch_size: Positive = 64
    """texts per batch"""
    batch_tokens: Count = 0
    """units per batch instead, of both sides; 0 for batch_size"""
    lr: Rate = 1e-3
    """learning rate at the start (after warm-up)"""
    schedule: Literal["constant", "inverse", "cosine", "plateau", "step"] = "cosine"
    """learning rate over time; inverse: lr / (1 + decay · epoch); cosine: to zero; plateau: or step: by a factor"""
    clip: Weight = 1.0
    """clip the gradient's norm (or values: clip_by) to this; 0 for no clipping"""


class TranslateSettings(Settings):
    """All settings of translation."""

    task: Literal["translate"] = "translate"
    """shape of the task"""
    data: TranslateDataSettings = TranslateDataSettings()
    """data"""
    acts: ActSettings = ActSettings()
    """dialogue acts, where data.source_unit is act"""
    embedding: TranslateEmbeddingSettings = TranslateEmbeddingSettings()
    """embedding"""
    encoder: TranslateEncoderSettings = TranslateEncoderSettings()
    """encoder"""
    head: TranslateHeadSettings = TranslateHeadSettings()
    """head"""
    training: TranslateTrainingSettings = TranslateTrainingSettings()
    """training"""

    def description(self) -> Any:
        """See `Settings.description`; of two columns without names the first is what is read."""
        return replace(super().description(), text_first=True)

    @property
    def label(self) -> str:
        """See `Settings.label`: of pairs the second is the target."""
        return self.data.target

    def complete(self, dataset: Any) -> TranslateSettings:
        """See `Settings.complete`: which field is which, where a data set has two; text that is tokenised already."""
        usual = type(self)().data
        names = [*dataset.columns]
        tree: dict[str, str] = {}
        source, target = self.data.source, self.data.target
        card = dataset.card
        if card is not None and card.source and source in (usual.source, card.source):
            tree = {"source": card.source}
            if target == usual.target:
                tree["target"] = card.target
            if card.source_unit and self.data.source_unit == usual.source_unit:
                tree["source_unit"] = card.source_unit
        if names and not {source, target} <= set(names):
            if target == usual.target:
                target = dataset.target if dataset.target in names and dataset.target != source else target
            if target not in names and source in names and target == usual.target and len(names) == 2:
                target = names[1 - names.index(source)]
            if source not in names and target in names and source == usual.source and len(names) == 2:
                source = names[1 - names.index(target)]
            if not {source, target} <= set(names) and (source, target) == (usual.source, usual.target):
                first, second, *_ = [*names, *names]
                flags = f"--source {first} --target {second}"
                raise SettingsError(f"{dataset.name} has the texts {', '.join(names)}; say what to translate: {flags}")
            if len(names) > 2 and target == usual.target and target not in names:
                others = [name for name in names if name != source]
                told = f"{dataset.name} has the texts {', '.join(names)}; say which to write"
                raise SettingsError(f"{told}: --target {' or --target '.join(others)}")
            tree = {"source": source, "target": target}
        if self.data.unit == "word" and self.data.splitter == "auto" and dataset.has_tokens:
            tree["splitter"] = "spaces"
        return override(self, {"data": tree}) if tree else self

    @model_validator(mode="after")
    def _acts_are_read(self) -> TranslateSettings:
        if self.data.unit_read != "act" and (changed := self.acts.changed()):
            raise ValueError(f"acts.{changed[0]} is for dialogue acts: set data.source_unit to act, or leave it out")
        if self.data.unit_read != "act" and self.head.cell == "sc_lstm":
            raise ValueError(
                "head.cell sc_lstm is for dialogue acts: set data.source_unit to act, or take another cell"
            )
        if self.head.cell != "sc_lstm" and "reading" in self.head.changed():
            raise ValueError("head.reading is for head.cell sc_lstm: leave it out")
        return self

    @model_validator(mode="after")
    def _one_mask_a_sequence(self) -> TranslateSettings:
        in_order = self.head.feeding or self.head.coverage or self.head.sampling
        if self.encoder.variational and self.head.layers > 1 and in_order:
            raise ValueError(
                "encoder.variational needs head.layers 1, or all steps at once: head.feeding false, without coverage "
                "and sampling"
            )
        return self

    @model_validator(mode="after")
    def _factors_are_read(self) -> TranslateSettings:
        if not self.data.factor_fields and "factor_size" in self.embedding.changed():
            raise ValueError("embedding.factor_size is for factors: name their fields in data.factors, or leave it out")
        return self

    @model_validator(mode="after")
    def _shared_table(self) -> TranslateSettings:
        if self.data.shared:
            embedding = self.embedding
            if embedding.one_hot or embedding.vectors or embedding.word_size != self.head.size:
                raise ValueError(
                    "data.shared needs trained vectors of one size: embedding.word_size equal to head.size, and "
                    "neither one_hot nor vectors"
                )
        return self


class TranslateFrameDataSettings(FrameDataSettings):
    """What is read, and into which units of text it is written."""

    end: ClassVar[str] = TranslateDataSettings.end
    shared: ClassVar[bool] = False
    target: str = "text"
    """field of the text to write; of several references training takes the first"""
    unit: Literal["word", "char", "bpe"] = "char"
    """unit of what is written: words, characters, or byte pairs (BPE) learned from the data"""
    bpe_size: Annotated[int, Field(ge=257, le=1_000_000)] = 500
    """maximal number of byte-pair units"""
    lowercase: bool = False
    """lower-case the text"""
    digits: bool = False
    """replace every digit by 0"""
    min_count: Positive = 1
    """units that occur fewer times in training are unknown"""
    max_words: Count = 0
    """maximal size of the vocabulary; 0 for no limit"""

    @property
    def split_kind(self) -> str:
        """How texts are split into words: at spaces."""
        return "spaces"


class TranslateFramesHeadSettings(TranslateHeadSettings):
    """The decoder, with the defaults for sequences of vectors."""

    copy_source: bool = False
    """not of sequences of vectors: there are no units to copy"""

    @model_validator(mode="after")
    def _nothing_to_copy(self) -> TranslateFramesHeadSettings:
        if self.copy_source or self.cell == "sc_lstm":
            name = "copy_source" if self.copy_source else "cell sc_lstm"
            raise ValueError(f"{name} is for texts, not for sequences of vectors")
        return self


class TranslateFramesSettings(Settings):
    """All settings of texts from sequences of vectors."""

    task: Literal["translate"] = "translate"
    """shape of the task"""
    input: Literal["frames"] = "frames"
    """what is read"""
    data: TranslateFrameDataSettings = TranslateFrameDataSettings()
    """data"""
    audio: AudioSettings = AudioSettings()
    """features of recordings"""
    frames: WholeFrameSettings = WholeFrameSettings()
    """frames"""
    encoder: TranslateEncoderSettings = TranslateEncoderSettings()
    """encoder"""
    head: TranslateFramesHeadSettings = TranslateFramesHeadSettings()
    """head"""
    training: TranslateTrainingSettings = TranslateTrainingSettings()
    """training"""


class TranslateSearch(Section):
    """How translations are searched for, in prediction and in evaluation."""

    beam: Annotated[int, Field(ge=1, le=_WIDEST)] = 5
    """beam search of this width; 1: the most probable unit of each step (greedy)"""
    length_penalty: Annotated[float, Field(ge=0.0, le=10.0, allow_inf_nan=False)] = 1.0
    """beam search ranks by log p / units to the power of this, at most 10; 0 prefers short texts"""
    coverage_penalty: Annotated[float, Field(ge=0.0, le=100.0, allow_inf_nan=False)] = 0.0
    """weight of the penalty on parts of the source that nothing looked at (Wu et al. 2016)"""
    max_ratio: Annotated[float, Field(ge=0.0, le=1_000.0, allow_inf_nan=False)] = 0.0
    """at most so many units for each unit of the source, and ten more  [default: the most in the training data]"""
    replace_unknown: bool = False
    """write the source's unit that attention points to where the unknown unit is the most probable"""
    dictionary: Elsewhere = ""
    """translations of units that the model does not know, for replace_unknown: lines of source, tab, target"""
    ensemble: Elsewhere = ""
    """further models, directories between commas, whose probabilities are averaged with the model's (also -m A,B)"""
    rerank: Literal["slots", "none"] = "slots"
    """of dialogue acts: slots: of the texts that are found, those with the fewest slot errors come first"""


class TranslateOptions(TranslateSearch, Options):
    """Options of prediction."""

    nbest: Annotated[int, Field(ge=1, le=_WIDEST)] = 1
    """texts of each source, the best first (jsonl); the default beam becomes as wide"""
    sample: bool = False
    """draw texts at random instead of searching"""
    temperature: Weight = 1.0
    """of drawing; below 1: likely units become likelier; above 1: less so"""
    top_k: Count = 0
    """draw from the N most probable units only  [default: all]"""
    top_p: Annotated[float, Field(gt=0.0, le=1.0, allow_inf_nan=False)] = 1.0
    """draw from the most probable units that together have this probability  [default: all]"""
    seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    """the same seed draws the same texts"""
    prefix: str = ""
    """how every text begins"""
    detokenize: str = ""
    """write running text instead of tokens between spaces, by the rules of this language: en, de, … (sacremoses)"""
    attention: bool = False
    """also write how much each unit looks at each of the source (jsonl)"""
    shown_in: ClassVar[Mapping[str, Sequence[str]]] = {"nbest": ("jsonl",), "attention": ("jsonl",)}
    _scored: str = PrivateAttr(default="")
    _others: Sequence[Any] = PrivateAttr(default=())
    _words: Mapping[str, str] = PrivateAttr(default_factory=dict)
    _drawn: Counter[str] = PrivateAttr(default_factory=Counter)

    @model_validator(mode="after")
    def _search_or_sampling(self) -> TranslateOptions:
        if not self.sample and (self.temperature, self.top_k, self.top_p, self.seed) != (1.0, 0, 1.0, None):
            raise ValueError("temperature, top_k, top_p and seed are for sample")
        of_beams = ("beam", "length_penalty", "coverage_penalty")
        changed = [name for name in of_beams if getattr(self, name) != type(self).model_fields[name].default]
        if self.sample and changed:
            raise ValueError(f"{changed[0]} is for searching, and sample draws texts at random")
        if self.width == 1 and set(changed) & set(of_beams[1:]):
            raise ValueError(f"{changed[-1]} ranks the texts of a beam, and beam 1 has a single one")
        if self.dictionary and not self.replace_unknown:
            raise ValueError("dictionary is for replace_unknown")
        if "beam" in changed and self.beam < self.nbest:
            raise ValueError(f"a beam of {self.beam} finds no {self.nbest} texts; widen it to {self.nbest}")
        if self.detokenize and not _LANGUAGE.fullmatch(self.detokenize):
            raise ValueError(f"detokenize needs a language as en or de, found {self.detokenize!r}")
        return self

    def generator(self, name: str) -> torch.Generator:
        """The source of randomness for a text, whatever is drawn beside it.

        Args:
            name: what the text is written from; of equal ones each has its own.

        Returns:
            A generator on the CPU.
        """
        import torch

        found = torch.Generator()
        if self.seed is None:
            found.seed()
            return found
        self._drawn[name] += 1
        spelled = f"{self.seed} {self._drawn[name]} {name}".encode("utf-8", "surrogatepass")
        return found.manual_seed(int.from_bytes(hashlib.sha256(spelled).digest()[:7], "big"))

    @property
    def width(self) -> int:
        """Prefixes that the search keeps."""
        return max(self.beam, self.nbest)

    @property
    def scored(self) -> str:
        """The field of the right text, where its log-probability is wanted, too; otherwise empty."""
        return self._scored

    @property
    def others(self) -> Sequence[Any]:
        """Further models whose probabilities are averaged with the model's."""
        return self._others

    @property
    def words(self) -> Mapping[str, str]:
        """Unit of the source → what is written for it where the model does not know."""
        return self._words

    def for_scores(self, field: str) -> TranslateOptions:
        """The options with what scores need: the log-probability of the right text in some field."""
        found = self.model_copy()
        found._scored = field
        return found

    def with_models(self, others: Sequence[Any], words: Mapping[str, str]) -> TranslateOptions:
        """The options with further models, each a `seqkit.model.translator.Translator`, and a dictionary."""
        found = self.model_copy()
        found._others, found._words = others, words
        return found


class TranslateEvaluation(TranslateSearch, EvaluationOptions):
    """Options of evaluation."""

    target: str | None = None
    """field of the right text, or of several  [default: the model's]"""
    top: Annotated[int, Field(ge=1, le=_WIDEST)] = 1
    """of dialogue acts: also score so many of the best texts of each together"""
    bleu_tokens: Literal["auto", "none", "13a", "char", "intl", "zh"] = "auto"
    """how BLEU cuts texts into words (sacrebleu)  [auto: none where punctuation is apart from words, else 13a]"""
