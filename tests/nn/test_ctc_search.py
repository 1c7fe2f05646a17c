"""Prefix beam search against enumeration of all paths, also with language models of symbols and of words."""

from __future__ import annotations

import gc
import itertools
import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from seqkit.nn.ctc import BLANK, align, greedy, log_likelihood
from seqkit.nn.ctc_search import Hypothesis, LanguageModel, Scored, SymbolModel, WordModel, _Prefix, prefix_beam_search
from seqkit.nn.search import SearchState

Text = tuple[int, ...]
WIDE = 10_000


def every_text(values: Tensor) -> dict[Text, float]:
    """ln p of every text that some path through [T, K + 1] spells: the oracle of this file."""
    steps, size = values.shape
    rows, found = values.tolist(), defaultdict(list)
    for path in itertools.product(range(size), repeat=steps):
        text = tuple(symbol for symbol, _ in itertools.groupby(path) if symbol != BLANK)
        found[text].append(sum(row[symbol] for row, symbol in zip(rows, path, strict=True)))
    return {text: math.log(sum(map(math.exp, scores))) for text, scores in found.items()}


def some(seed: int, steps: int, symbols: int, scale: float = 1.5) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(steps, symbols + 1, generator=generator, dtype=torch.float64) * scale).log_softmax(1)


def assert_same(found: Sequence[Hypothesis], expected: Sequence[Hypothesis]) -> None:
    assert [one.symbols for one in found] == [one.symbols for one in expected]
    assert [one.units for one in found] == [one.units for one in expected]
    for one, other in zip(found, expected, strict=True):
        assert (one.score, one.ctc, one.lm) == pytest.approx((other.score, other.ctc, other.lm))


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("bonus", [0.0, 0.7])
def test_the_best_texts_are_those_of_enumeration(seed: int, bonus: float) -> None:
    values = some(seed, seed % 6, 1 + seed % 3)
    expected = [
        Hypothesis(text, ctc + bonus * len(text), ctc, 0.0, len(text)) for text, ctc in every_text(values).items()
    ]
    expected.sort(key=lambda one: -one.score)
    assert_same(prefix_beam_search(values, beam=WIDE, threshold=-math.inf, nbest=WIDE, bonus=bonus), expected)
    assert_same(prefix_beam_search(values, beam=WIDE, threshold=-math.inf, nbest=3, bonus=bonus), expected[:3])


class Unread:
    """A language model by a table of bigrams that gives the end a probability, step by step as the protocol says."""

    def __init__(self, symbols: int, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        # One unit more than symbols: the end, and another place for each symbol than its id.
        self.size = symbols + 2
        self.table = torch.randn(self.size, self.size, generator=generator, dtype=torch.float64).log_softmax(1)
        self.units = [0, *range(symbols, 0, -1)]
        self.end = symbols + 1
        self.calls: list[int] = []

    def log_prob(self, text: Text) -> float:
        units = [self.end, *(self.units[symbol] for symbol in text), self.end]
        return sum(self.table[before, unit].item() for before, unit in itertools.pairwise(units))

    def step(self, last: Tensor, state: SearchState) -> tuple[Tensor, SearchState]:
        """A network whose state counts what it has read, and checks it."""
        ((count, sums), *_) = state
        assert count.shape == last.shape
        self.calls.append(len(last))
        return self.table[last], ((count + 1, sums + last),)

    def model(self) -> SymbolModel:
        state: SearchState = ((torch.zeros(1), torch.zeros(1, dtype=torch.int64)),)
        return SymbolModel(self.step, state, torch.tensor([self.end]), self.units, self.end)


@pytest.mark.parametrize("seed", range(30))
def test_with_a_model_of_symbols_the_best_texts_are_those_of_enumeration(seed: int) -> None:
    values, table = some(seed, seed % 6, 1 + seed % 3), Unread(1 + seed % 3, seed)
    weight, bonus = 0.2 * (seed % 5), 0.5 * (seed % 3)
    expected = [
        Hypothesis(text, ctc + weight * table.log_prob(text) + bonus * len(text), ctc, table.log_prob(text), len(text))
        for text, ctc in every_text(values).items()
    ]
    expected.sort(key=lambda one: -one.score)
    found = prefix_beam_search(
        values, beam=WIDE, threshold=-math.inf, nbest=WIDE, model=table.model(), weight=weight, bonus=bonus
    )
    assert_same(found, expected)


def test_a_network_reads_each_prefix_once_and_many_together() -> None:
    table = Unread(3, 0)
    found = prefix_beam_search(some(1, 5, 3), beam=WIDE, threshold=-math.inf, nbest=WIDE, model=table.model(), weight=1)
    assert sum(table.calls) == len({one.symbols for one in found})
    assert len(table.calls) <= 6


SPELLING = ["?", "a", "b", " "]


def word_score(history: tuple[str, ...], word: str | None) -> float:
    """A made-up model that looks at two words."""
    return (
        -0.1 * len(word or "") - (1.0 if word in history else 0.3) - 0.2 * len(history) - (0.5 if word is None else 0)
    )


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("context", [None, 2, 0])
def test_with_a_model_of_words_the_best_texts_are_those_of_enumeration(seed: int, context: int | None) -> None:
    values, weight, bonus = some(seed, seed % 6, 3), 0.4 * (seed % 4), 0.6 * (seed % 3)
    vocabulary, unknown = {"a", "ab", "b"}, -2.0
    expected = []
    for text, ctc in every_text(values).items():
        words = "".join(SPELLING[symbol] for symbol in text).split()
        lm = 0.0
        for place, word in enumerate([*words, None]):
            history = words[:place] if context is None else words[max(0, place - context) : place]
            lm += word_score(tuple(history), word) + (unknown if word is not None and word not in vocabulary else 0)
        expected.append(Hypothesis(text, ctc + weight * lm + bonus * len(words), ctc, lm, len(words)))
    expected.sort(key=lambda one: -one.score)
    model = WordModel(word_score, SPELLING, context=context, vocabulary=vocabulary, unknown=unknown)
    found = prefix_beam_search(
        values, beam=WIDE, threshold=-math.inf, nbest=WIDE, model=model, weight=weight, bonus=bonus
    )
    # Texts that differ only in the number of their spaces may have the same score.
    assert [one.score for one in found] == pytest.approx([one.score for one in expected])
    by_text = {one.symbols: one for one in expected}
    assert_same(found, [by_text[one.symbols] for one in found])


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("fusion", [False, True])
def test_what_is_spelled_alike_is_one_text(seed: int, fusion: bool) -> None:
    def spelled(symbols: Text) -> str:
        return " ".join("".join(SPELLING[symbol] for symbol in symbols).split())

    values, weight, bonus = some(seed, seed % 6, 3), 0.4, 0.6
    parts = defaultdict(list)
    for text, ctc in every_text(values).items():
        parts[spelled(text)].append(math.exp(ctc))
    expected = {}
    for text, probabilities in parts.items():
        words = text.split()
        lm = sum(word_score(tuple(words[:place]), word) for place, word in enumerate([*words, None]))
        ctc = math.log(sum(probabilities))
        expected[text] = (ctc + weight * lm + bonus * len(words), ctc, lm) if fusion else (ctc, ctc, 0.0)
    given: dict[str, Any] = {"model": WordModel(word_score, SPELLING), "weight": weight, "bonus": bonus}
    for nbest in (WIDE, 2):
        found = prefix_beam_search(
            values, beam=WIDE, threshold=-math.inf, nbest=nbest, text=spelled, **(given if fusion else {})
        )
        assert len(found) == min(nbest, len(expected))
        for one in found:
            assert (one.score, one.ctc, one.lm) == pytest.approx(expected[spelled(one.symbols)])
        best = sorted((score for score, *_ in expected.values()), reverse=True)
        assert [one.score for one in found] == pytest.approx(best[:nbest])


def test_impossible_texts_that_are_spelled_alike() -> None:
    found = prefix_beam_search(
        some(5, 5, 3), beam=WIDE, threshold=-math.inf, nbest=WIDE, model=Forbidding(), weight=1.0, text=len
    )
    assert [len(one.symbols) % 2 for one in found] == [0, 0, 0, 1, 1, 1]
    assert not any(math.isnan(one.score) for one in found)


def test_what_has_no_spaces_is_read_in_parts() -> None:
    asked: list[str] = []

    def characters(text: str) -> list[str]:
        asked.append(text)
        return list(text)

    model = WordModel(lambda history, word: -1.0, ["", "日", "本", "日本" * 100], context=1, words=characters)
    state, total, units = model.start(), 0.0, 0
    for symbol in (1, 2, 2, 1, 1, 3, 2) * 40:
        (scored,) = model.scores([state], [symbol])
        state, total, units = scored.state, total + scored.log_prob, units + scored.units
    (end,) = model.ends([state])
    assert (total + end.log_prob, units + end.units) == (-40 * 206.0 - 1, 40 * 206)
    assert max(map(len, asked)) == 128


def test_pieces_of_words_may_hold_spaces() -> None:
    asked: list[tuple[tuple[str, ...], str | None]] = []

    def listed(history: tuple[str, ...], word: str | None) -> float:
        asked.append((history, word))
        return -1.0

    model = WordModel(listed, ["", " the", " ca", "t", "n go "])
    state, total, units = model.start(), 0.0, 0
    for symbol in (1, 2, 3, 2, 4):
        (scored,) = model.scores([state], [symbol])
        state, total, units = scored.state, total + scored.log_prob, units + scored.units
    (end,) = model.ends([state])
    assert asked == [
        ((), "the"), (("the",), "cat"), (("the", "cat"), "can"), (("the", "cat", "can"), "go"),
        (("the", "cat", "can", "go"), None),
    ]  # fmt: skip
    assert (total, units, end.log_prob, end.units) == (-4.0, 4, -1.0, 0)


@pytest.mark.parametrize("unknown", [-3.0, -math.inf])
def test_unknown_words_are_charged_once_and_as_soon_as_they_are_certain(unknown: float) -> None:
    def read(*symbols: int) -> list[float]:
        state, found = model.start(), []
        for symbol in symbols:
            (scored,) = model.scores([state], [symbol])
            state = scored.state
            found.append(scored.log_prob)
        return [*found, model.ends([state])[0].log_prob]

    def one(history: tuple[str, ...], word: str | None) -> float:
        return -1.0

    model = WordModel(one, ["", "a", "b", " ", "a b"], vocabulary={"ab", "bab"}, unknown=unknown)
    assert read(1, 2, 3) == [0.0, 0.0, -1.0, -1.0]
    assert read(1, 1, 2, 3, 2) == [0.0, unknown, 0.0, -1.0, 0.0, unknown - 2.0]  # "aab b"
    assert read(1, 3, 3, 2, 2) == [0.0, unknown - 1.0, 0.0, 0.0, unknown, -2.0]  # "a  bb"
    assert read(4, 1, 1) == [unknown - 1.0, 0.0, unknown, -2.0]  # "a baa"
    assert read(1, 1, 4, 1, 2) == [0.0, unknown, -1.0, 0.0, 0.0, -2.0]  # "aaa bab"
    model = WordModel(one, ["", "a", "b", " "], unknown=unknown)
    assert read(1, 1, 3, 2) == [0.0, 0.0, -1.0, 0.0, -2.0]


@pytest.mark.parametrize("seed", range(10))
def test_pruning_finds_nothing_better_and_loses_probability_only(seed: int) -> None:
    values = some(seed, 30, 5, 3.0)
    texts = prefix_beam_search(values, beam=8, threshold=-5.0, top=3, nbest=8)
    exact = log_likelihood(
        values.expand(len(texts), -1, -1), torch.full((len(texts),), 30), padded([one.symbols for one in texts])
    )
    assert all(one.ctc <= full + 1e-9 for one, full in zip(texts, exact.tolist(), strict=True))
    assert [one.score for one in texts] == sorted((one.score for one in texts), reverse=True)
    assert len({one.symbols for one in texts}) == len(texts) == 8
    wide = prefix_beam_search(values, beam=100, threshold=-math.inf)[0]
    assert wide.score >= texts[0].score - 1e-9
    assert wide.score == pytest.approx(exact.max().item(), abs=0.5)


def padded(texts: Sequence[Text]) -> Tensor:
    width = max(map(len, texts))
    return torch.tensor([[*text, *[BLANK] * (width - len(text))] for text in texts], dtype=torch.int64)


def test_a_sure_network_is_read_as_its_best_path() -> None:
    values = some(3, 400, 6, 40.0)
    (best,) = prefix_beam_search(values, beam=4)
    (path,) = greedy(values[None], torch.tensor([400]))
    assert list(best.symbols) == path.symbols
    assert align(values[None], torch.tensor([400]), padded([best.symbols])) == [path]


def test_a_beam_of_one_and_symbols_that_are_all_pruned() -> None:
    values = some(4, 12, 4)
    assert len(prefix_beam_search(values, beam=1, nbest=5)) == 1
    silent = prefix_beam_search(values, threshold=0.5)
    assert_same(silent, [Hypothesis((), values[:, 0].sum().item(), values[:, 0].sum().item(), 0.0, 0)])


def test_the_empty_recording() -> None:
    table = Unread(3, 1)
    nothing = torch.zeros(0, 4)
    assert_same(prefix_beam_search(nothing, nbest=4), [Hypothesis((), 0.0, 0.0, 0.0, 0)])
    (found,) = prefix_beam_search(nothing, model=table.model(), weight=0.5, bonus=1.0)
    assert_same([found], [Hypothesis((), 0.5 * table.log_prob(()), 0.0, table.log_prob(()), 0)])


class Forbidding:
    """A language model under which only texts of an even number of symbols can end, and none has symbol 2."""

    def start(self) -> int:
        return 0

    def scores(self, states: Sequence[int], symbols: Sequence[int]) -> list[Scored]:
        return [
            Scored(-math.inf if symbol == 2 else -1.0, 1, state + 1)
            for state, symbol in zip(states, symbols, strict=True)
        ]

    def ends(self, states: Sequence[int]) -> list[Scored]:
        return [Scored(-math.inf if state % 2 else -1.0, 0, None) for state in states]


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_what_a_language_model_excludes(weight: float) -> None:
    model: LanguageModel = Forbidding()
    found = prefix_beam_search(some(5, 5, 3), beam=WIDE, threshold=-math.inf, nbest=WIDE, model=model, weight=weight)
    assert not any(math.isnan(one.score) for one in found)
    if weight:
        assert len(found[0].symbols) % 2 == 0
        assert not any(2 in one.symbols for one in found)
        assert all((one.score == -math.inf) == (len(one.symbols) % 2 == 1) for one in found)
    else:
        expected = prefix_beam_search(some(5, 5, 3), beam=WIDE, threshold=-math.inf, nbest=WIDE)
        assert [(one.symbols, one.score) for one in found] == [(one.symbols, one.score) for one in expected]


def test_probabilities_of_zero() -> None:
    values = torch.tensor([[0.0, 1.0, 0.0], [0.5, 0.5, 0.0], [0.0, 1.0, 0.0]]).log()
    found = prefix_beam_search(values, nbest=9, threshold=-math.inf)
    assert_same(found, [Hypothesis(text, math.log(0.5), math.log(0.5), 0.0, len(text)) for text in ((1,), (1, 1))])


def test_pruned_prefixes_are_let_go() -> None:
    """What is kept grows with the text, and not with the steps."""

    def alive() -> int:
        gc.collect()
        return sum(type(one) is _Prefix for one in gc.get_objects())

    counts = []

    class Counting(Forbidding):
        def ends(self, states: Sequence[int]) -> list[Scored]:
            counts.append(alive())
            return [Scored(0.0, 0, None) for _ in states]

    prefix_beam_search(some(6, 600, 5, 3.0), beam=6, model=Counting())
    assert counts[0] <= 600 + 6 * 10
    assert alive() == 0


def test_long_texts() -> None:
    values = torch.full((30_000, 3), -30.0)
    values[::2, 1] = values[1::2, 0] = 0.0
    (found,) = prefix_beam_search(values, beam=2)
    assert found.symbols == (1,) * 15_000


@pytest.mark.parametrize("wrong", [{"beam": 0}, {"nbest": 0}, {"top": -1}])
def test_wrong_arguments(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError) as caught:
        prefix_beam_search(some(0, 2, 2), **wrong)
    numbers = {"beam": 20, "nbest": 1, "top": 0, **wrong}
    assert str(caught.value) == (
        "expected beam and nbest of at least 1 and top of at least 0, "
        f"found {numbers['beam']}, {numbers['nbest']} and {numbers['top']}"
    )
    with pytest.raises(ValueError) as caught:
        prefix_beam_search(torch.zeros(1, 2, 3))
    assert str(caught.value) == "expected log-probabilities of shape [T, K + 1], found [1, 2, 3]"
