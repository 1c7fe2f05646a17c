"""A language model as a part of another model: what it says of texts, in the symbols or labels that are predicted."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from seqkit.corpora.dataset import Dataset
from seqkit.devices import precision_context
from seqkit.errors import SettingsError, shown
from seqkit.inputs.segmentation import Units
from seqkit.inputs.units import UNIT_NAMES
from seqkit.inputs.vocabulary import UNKNOWN, LabelVocabulary
from seqkit.model.base import Evaluation, Model
from seqkit.model.ngram_model import NgramLanguageModel
from seqkit.model.pipeline import not_finite
from seqkit.model.scoring import UnitPredictor
from seqkit.model.writing import UnitWriter
from seqkit.nn.ctc_search import LanguageModel, SymbolModel, WordModel
from seqkit.nn.label_search import LabelUnits
from seqkit.nn.search import SearchState

_REMEMBERED = 4096
"""beginnings of texts of which the state of a network is kept"""


class FusedModel(Model):
    """A model whose predictions a language model may be a part of: see `FusedOptions` and ``evaluate --tune``.

    Args:
        settings: see `Model`.
        input: see `Model`.
        head: see `Model`.
        network: see `Model`.
        report: see `Model`.

    Attributes:
        weighed: the options that ``--tune`` finds.
    """

    weighed: ClassVar[Sequence[str]] = ("lm_weight",)

    def __init__(self, settings: Any, input: Any, head: Any, network: Any, report: dict[str, Any]) -> None:
        super().__init__(settings, input, head, network, report)
        self._language_models: dict[str, Any] = {}

    @abstractmethod
    def over(self, model: UnitPredictor, place: str) -> Any:
        """A language model over what is predicted, as the head's search takes it.

        Args:
            model: the language model.
            place: what messages call it.

        Returns:
            The language model.

        Raises:
            SettingsError: it does not fit.
        """

    @abstractmethod
    def tuned(self, dataset: Dataset, given: Mapping[str, Any], pipeline: Any) -> dict[str, float]:
        """Find on dev what the best scores are reached with.

        Args:
            dataset: the data.
            given: the other options of evaluation.
            pipeline: what predicts; None for a new one.

        Returns:
            The options that are `weighed`.
        """

    def options(self, given: Mapping[str, Any]) -> Any:
        """See `Predictor.options`; the language model that they name is read once."""
        found: Any = super().options(given)
        return found.with_model(self._language_model(found.lm)) if found.lm else found

    def _language_model(self, place: str) -> Any:
        if place not in self._language_models:
            from seqkit.model.loading import load

            model: Any = load(place, task="lm")
            if not isinstance(model, UnitPredictor):
                raise SettingsError(f"{place}: expected a language model of text, found one of {model.task.content}")
            self._language_models[place] = self.over(model, place)
        return self._language_models[place]

    def evaluate(self, data: Any, split: str | None = None, *, pipeline: Any = None, **options: Any) -> Evaluation:
        """See `Predictor.evaluate`; with ``tune``, what a language model is weighed by is first found on dev."""
        if not options.get("tune"):
            return super().evaluate(data, split, pipeline=pipeline, **options)
        if not options.get("lm"):
            raise SettingsError("tune needs a language model, --lm")
        given = {name: value for name, value in options.items() if name != "tune"}
        dataset = self._dataset(data, given)
        flags = [f"--{name.replace('_', '-')}" for name in self.weighed]
        if self.settings.training.on_dev and dataset.held_out:
            how = f"tune on a model without it, and give what was found as {' and '.join(flags)}"
            raise SettingsError(f"tune: dev may have been trained on (training.on_dev); {how}")
        scored = dataset.evaluation_split(split)
        if scored == "all":
            raise SettingsError("tune needs dev beside what is scored: give a folder or data set that has both")
        best = self.tuned(dataset, given, pipeline)
        found = self.evaluate(dataset, split, pipeline=pipeline, **given | best)
        chosen = " ".join(f"{flag} {best[name]:g}" for flag, name in zip(flags, self.weighed, strict=True))
        same = ", the split that is scored here" if scored == "dev" else ""
        return found._replace(notes=[*found.notes, f"tuned on dev{same}: {chosen}"], tuned=best)


def fused(model: UnitPredictor, units: Units, symbols: LabelVocabulary, place: str) -> LanguageModel:
    """A language model over the symbols of a transcriber.

    Args:
        model: the language model: of the same units, or of words, which are found in what is transcribed as the
            language model finds them in a text: between spaces, and then by its own splitter.
        units: text ↔ symbols of the transcriber.
        symbols: symbol ↔ id − 1.
        place: what messages call the language model.

    Returns:
        The language model.

    Raises:
        SettingsError: its units are others.
    """
    theirs = model.input.units
    if theirs == units:
        return _of_symbols(model, symbols)
    if theirs.kind == "word":
        return _of_words(model, units, symbols)
    raise SettingsError(
        f"{place}: a language model of unit {theirs.kind} does not fit a transcriber of unit {units.kind}; train one "
        f"with --unit {units.kind}" + ("" if units.kind == "word" else " or --unit word")
    )


def _id(model: UnitPredictor, unit: str) -> int:
    indexer = model.input.indexer
    return int(indexer.words.index(indexer.normalise(unit)))


def over_labels(model: UnitPredictor, labels: Sequence[str], place: str) -> LabelUnits:
    """A language model over the labels of a tagger.

    Args:
        model: the language model, of characters or of words.
        labels: the labels, by their ids.
        place: what messages call the language model.

    Returns:
        The language model, computed in fp32 in whatever precision the tagger is.

    Raises:
        SettingsError: a label is not one unit of the language model, or one that it does not know.
    """
    units = model.input.units
    if units.kind == "bpe":
        what = "a language model of unit bpe does not fit a tagger, of which every label has to be one unit"
        raise SettingsError(f"{place}: {what}; train one with --unit char or --unit word")
    apart = [label for label in labels if units.split(label) != [label]]
    if apart:
        other = "word" if units.kind == "char" else "char"
        raise SettingsError(
            f"{place}: every label of the tagger has to be one unit of the language model, whose units are "
            f"{UNIT_NAMES[units.kind]}, unlike {_some(apart)}; where labels are {UNIT_NAMES[other]}, train one with "
            f"--unit {other}"
        )
    known = [_id(model, label) for label in labels]
    unknown = [label for label, unit in zip(labels, known, strict=True) if unit == UNKNOWN]
    if unknown:
        raise SettingsError(
            f"{place}: the language model does not know {len(unknown):,} of the {len(labels):,} labels of the tagger: "
            f"{_some(unknown)}; train it on a text in which they occur, with data.min_count 1"
        )
    writer, state, last = _reading(model)

    def step(last: Tensor, state: SearchState) -> tuple[Tensor, SearchState]:
        with precision_context("fp32", last.device):
            found, after = writer.step(last, state)  # [N, V]
        if bool(found.amax().isnan()):
            raise not_finite(f"{place}: what the language model computes", "fp32")
        return found, after

    return LabelUnits(step, state, last, torch.tensor(known, device=last.device), model.input.end)


def _some(labels: Sequence[str]) -> str:
    return ", ".join(map(shown, labels[:5])) + (", …" if len(labels) > 5 else "")


def _reading(model: UnitPredictor) -> tuple[UnitWriter, SearchState, Tensor]:
    """What reads units, its state before the unit that stands before a text, and that unit, int64 [1]."""
    writer, starts = model.writing([model.input.end], None)
    return writer, *starts([0])


def _of_symbols(model: UnitPredictor, symbols: LabelVocabulary) -> LanguageModel:
    writer, state, last = _reading(model)
    units = [UNKNOWN, *(_id(model, symbol) for symbol in symbols.labels)]
    return SymbolModel(writer.step, state, last, units, model.input.end)


def _of_words(model: UnitPredictor, units: Units, symbols: LabelVocabulary) -> LanguageModel:
    space = units.separator  # after a symbol that is a word
    spelling: Any = ["", *(units.spelling(symbol + space) for symbol in symbols.labels)]
    known, normalise, split = model.input.indexer.words, model.input.indexer.normalise, model.input.units.split
    if isinstance(model, NgramLanguageModel):
        score, context = _ngram_score(model), model.kneser_ney.order - 1
    else:
        score, context = _network_score(model), None
    vocabulary = frozenset(known.words[UNKNOWN + 1 :])
    unknown = -float(np.log(max(2, len(known))))  # one of the unknown words, all equally probable
    return WordModel(
        score,
        spelling,
        context=context,
        vocabulary=vocabulary,
        unknown=unknown,
        words=lambda text: [normalise(word) for word in split(text)],
    )


def _ngram_score(model: NgramLanguageModel) -> Callable[[tuple[str, ...], str | None], float]:
    def score(before: tuple[str, ...], word: str | None) -> float:
        history = [model.input.end, *(_id(model, each) for each in before)][-max(1, model.kneser_ney.order - 1) :]
        following = np.array([model.input.end if word is None else _id(model, word)])
        found: float = model.kneser_ney.log_probabilities(following, np.array(history))[0]
        return float(found)

    return score


def _network_score(model: UnitPredictor) -> Callable[[tuple[str, ...], str | None], float]:
    writer, starts = model.writing([model.input.end], None)

    @lru_cache(_REMEMBERED)
    def after(before: tuple[str, ...]) -> tuple[list[float], SearchState]:
        if before:
            state, last = after(before[:-1])[1], torch.tensor([_id(model, before[-1])])
        else:
            state, last = starts([0])
        with torch.inference_mode():
            found, state = writer.step(last, state)
        return found[0].tolist(), state

    def score(before: tuple[str, ...], word: str | None) -> float:
        return after(before)[0][model.input.end if word is None else _id(model, word)]

    return score
