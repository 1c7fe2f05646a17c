"""A language model of words beside a transcriber says of a text what it says of it by itself, whatever spells it."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable

import pytest

from seqkit.config import override, parse_assignments
from seqkit.errors import SettingsError
from seqkit.formats.splitting import SPLITTERS
from seqkit.heads.language_model.settings import LmSettings
from seqkit.inputs.segmentation import Units
from seqkit.inputs.streams import Corpus
from seqkit.inputs.vocabulary import LabelVocabulary
from seqkit.model.fusion import fused
from seqkit.model.language_model import LanguageModel
from seqkit.model.ngram_model import NgramLanguageModel
from seqkit.model.scoring import UnitPredictor

SAID = ["It didn't rain today.", "the dog, the cat", "ça été ñandú 日本", "l'ΟΔΟΣ über 1984", "ΟΔΟΣ ΟΔΟΣΑ rain"]
SAID = [*SAID, "e.g. a dog"] * 2
WORDS = [
    *{word for text in SAID for word in text.split()},
    "THE",
    "dog.",
    "2024",
    "RAIN",
    "didn",
    "a'",
    "x",
    "日",
    "né",
]


def counted(units: Units, *assignments: str) -> NgramLanguageModel:
    settings = override(LmSettings(), parse_assignments(["head.ngram=3", *assignments]))
    return NgramLanguageModel.count(settings, units, Corpus.read(SAID, units))


def texts(seed: int, count: int = 12) -> list[str]:
    draw = random.Random(seed)
    return [" ".join(draw.choices(WORDS, k=draw.randrange(5))) for _ in range(count)]


def spoken(given: Iterable[str], unit: str) -> tuple[Units, LabelVocabulary]:
    """A transcriber's units, of which byte pairs are hardly longer than bytes, and its symbols."""
    given = list(given)
    kinds = {"char": Units.char, "word": Units.word, "bpe": lambda: Units.train_bpe(given, 262)}
    units = kinds[unit]()
    return units, LabelVocabulary(sorted({symbol for text in given for symbol in units.split(text)}))


def fused_log_prob(model: UnitPredictor, units: Units, symbols: LabelVocabulary, text: str) -> tuple[float, int]:
    """ln p of a text, and its length, as the search adds them up."""
    language_model = fused(model, units, symbols, "LM")
    state, total, size = language_model.start(), 0.0, 0
    for symbol in units.split(text):
        (scored,) = language_model.scores([state], [symbols.index(symbol) + 1])
        state, total, size = scored.state, total + scored.log_prob, size + scored.units
    (end,) = language_model.ends([state])
    return total + end.log_prob, size + end.units


@pytest.mark.parametrize("unit", ["char", "bpe", "word"])
@pytest.mark.parametrize("splitter", SPLITTERS)
@pytest.mark.parametrize("changes", [[], ["data.lowercase=true", "data.digits=true"], ["data.min_count=3"]])
def test_words_are_those_that_the_language_model_reads_itself(unit: str, splitter: str, changes: list[str]) -> None:
    model = counted(Units.word(splitter), *changes)
    given = texts(len(unit))
    units, symbols = spoken(given, unit)
    charge = -math.log(len(model.input.indexer.words))
    same = model.input.units == units  # the symbols are the language model's units, and none is charged for
    for text, scored in zip(given, model.predict(given), strict=True):
        log_prob, size = fused_log_prob(model, units, symbols, text)
        expected = scored.log_prob + (0 if same else charge * scored.unknown)
        assert (text, log_prob, size) == (text, pytest.approx(expected, abs=1e-4), scored.units - 1)


@pytest.mark.parametrize("unit", ["char", "bpe"])
def test_a_network_of_words(unit: str) -> None:
    settings = override(LmSettings(), parse_assignments(["encoder.hidden=8", "data.lowercase=true"]))
    units = Units.word("words")
    model = LanguageModel.of_counts(settings, units, Corpus.read(SAID, units).counts())
    given = texts(7, 8)
    for text, scored in zip(given, model.predict(given), strict=True):
        log_prob, size = fused_log_prob(model, *spoken(given, unit), text)
        charge = -math.log(len(model.input.indexer.words)) * scored.unknown
        assert (text, log_prob, size) == (text, pytest.approx(scored.log_prob + charge, abs=1e-4), scored.units - 1)


def test_a_beginning_is_charged_as_soon_as_no_known_word_begins_so() -> None:
    model = counted(Units.word("words"), "data.lowercase=true")
    units, symbols = spoken([*SAID, "TODAY. DOQ todaq."], "char")
    language_model = fused(model, units, symbols, "LM")
    charge = -math.log(len(model.input.indexer.words))
    for text, charges in {"TODAY.": 0, "ΟΔΟΣΑ": 0, "DOQ": 1, "todaq.": 1, "dog.": 0}.items():
        state, total = language_model.start(), 0.0
        for symbol in text:
            (scored,) = language_model.scores([state], [symbols.index(symbol) + 1])
            state, total = scored.state, total + scored.log_prob
            assert total == 0.0 or (charges and total == pytest.approx(charge))
        assert total == pytest.approx(charge * charges)


def test_other_units_are_refused() -> None:
    units, symbols = spoken(SAID, "char")
    with pytest.raises(SettingsError) as caught:
        fused(counted(Units.train_bpe(SAID, 262), "data.unit=bpe"), units, symbols, "LM")
    told = "a language model of unit bpe does not fit a transcriber of unit char; train one with --unit char or"
    assert str(caught.value) == f"LM: {told} --unit word"
