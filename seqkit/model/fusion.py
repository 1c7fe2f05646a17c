"""A language model beside transcription: what it says of texts, in the symbols that are transcribed."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from seqkit.errors import SettingsError
from seqkit.inputs.segmentation import Units
from seqkit.inputs.vocabulary import UNKNOWN, LabelVocabulary
from seqkit.model.ngram_model import NgramLanguageModel
from seqkit.model.scoring import UnitPredictor
from seqkit.nn.ctc_search import LanguageModel, SymbolModel, WordModel
from seqkit.nn.search import SearchState

_REMEMBERED = 4096
"""beginnings of texts of which the state of a network is kept"""


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


def _of_symbols(model: UnitPredictor, symbols: LabelVocabulary) -> LanguageModel:
    writer, starts = model.writing([model.input.end], None)
    state, last = starts([0])
    units = [UNKNOWN, *(_id(model, symbol) for symbol in symbols.labels)]
    step: Any = writer.step
    return SymbolModel(step, state, last, units, model.input.end)


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
