from __future__ import annotations

import math
import os
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqkit.ngram.counting import count_ngrams, find_keys
from seqkit.ngram.kneser_ney import KneserNey, Level, discounts

END = 1
BEGIN = "begin"
Gram = tuple[object, ...]


# --- the oracle: dictionaries, straight from the equations --------------------------------------------------------


class Slow:
    """Interpolated modified Kneser-Ney over lists of lines, one probability at a time."""

    def __init__(self, lines: list[list[int]], order: int, size: int) -> None:
        self.size = size
        whole = [[BEGIN, *line, END] for line in lines]
        occurrences: list[Counter[Gram]] = []
        for n in range(1, order + 1):
            grams = (tuple(line[i : i + n]) for line in whole for i in range(len(line) - n + 1))
            occurrences.append(Counter(gram for gram in grams if gram != (BEGIN,)))
        self.counts: list[dict[Gram, int]] = []
        for n in range(1, order + 1):
            before: dict[Gram, set[object]] = defaultdict(set)
            if n < order:
                for gram in occurrences[n]:
                    before[gram[1:]].add(gram[0])
            real = occurrences[n - 1].items()
            self.counts.append({g: count if g[0] == BEGIN or n == order else len(before[g]) for g, count in real})
        self.amounts = [discounts(np.array(list(part.values()) or [0])) for part in self.counts]

    def probability(self, unit: int, history: Gram) -> float:
        counts, amounts = self.counts[len(history)], self.amounts[len(history)]
        lower = self.probability(unit, history[1:]) if history else 1.0 / (self.size - 1)
        followers = {gram: count for gram, count in counts.items() if gram[:-1] == history}
        total = sum(followers.values())
        if not total:
            return lower
        own = followers.get((*history, unit), 0)
        left = sum(amounts[min(count, 3)] for count in followers.values())
        return float((own - amounts[min(own, 3)] + left * lower) / total)

    def steps(self, line: list[int], order: int) -> list[float]:
        whole: list[object] = [BEGIN, *line, END]
        return [
            math.log(self.probability(int(str(whole[i])), tuple(whole[max(0, i - order + 1) : i])))
            for i in range(1, len(whole))
        ]


def stream(lines: list[list[int]]) -> np.ndarray:
    return np.array([unit for line in lines for unit in (*line, END)])


SIZE = 7
LINES = st.lists(st.lists(st.integers(2, SIZE - 1), max_size=7), min_size=1, max_size=12)


@given(train=LINES, test=LINES, order=st.integers(1, 5))
def test_every_probability_is_that_of_the_equations(train: list[list[int]], test: list[list[int]], order: int) -> None:
    slow, fast = Slow(train, order, SIZE), KneserNey.fit(stream(train), order, SIZE, END)
    for lines in (train, test):
        expected = [step for line in lines for step in slow.steps(line, order)]
        assert fast.log_probabilities(stream(lines)) == pytest.approx(expected, abs=1e-5)


def test_on_a_larger_text_whose_discounts_are_estimated() -> None:
    draw = np.random.default_rng(1)
    lines = [(2 + (draw.zipf(1.6, draw.integers(1, 15)) % 40)).tolist() for _ in range(300)]
    slow, fast = Slow(lines[:250], 3, 42), KneserNey.fit(stream(lines[:250]), 3, 42, END)
    usual = [0.0, 0.5, 1.0, 1.5]
    assert all(amounts.tolist() != usual for amounts in slow.amounts[1:])
    expected = [step for line in lines[250:] for step in slow.steps(line, 3)]
    assert fast.log_probabilities(stream(lines[250:])) == pytest.approx(expected, abs=1e-5)


@given(train=LINES, history=st.lists(st.integers(1, SIZE - 1), min_size=1, max_size=7), order=st.integers(1, 6))
def test_distributions_sum_to_one_and_agree_with_the_steps(
    train: list[list[int]], history: list[int], order: int
) -> None:
    model = KneserNey.fit(stream(train), order, SIZE, END)
    padded = np.array([[-1, -1, END, *history], [-1] * len(history) + [-1, -1, END]])
    found = model.distributions(padded)
    assert np.exp(found).sum(1) == pytest.approx([1.0, 1.0], abs=1e-5)
    assert found[:, 0].tolist() == [-math.inf, -math.inf]
    assert np.isfinite(found[:, 1:]).all()
    for unit in range(1, SIZE):
        assert model.log_probabilities(np.array([*history, unit]))[-1] == pytest.approx(found[0, unit], abs=1e-9)
        assert model.log_probabilities(np.array([unit]))[0] == pytest.approx(found[1, unit], abs=1e-9)


@given(train=LINES, place=st.integers(0, 40), order=st.integers(1, 5))
def test_a_text_may_be_scored_in_parts(train: list[list[int]], place: int, order: int) -> None:
    whole = stream(train)
    model = KneserNey.fit(whole, order, SIZE, END)
    before = np.array([END, *whole[:place]])[-max(1, order - 1) :]
    parts = [model.log_probabilities(whole[:place]), model.log_probabilities(whole[place:], before)]
    assert np.concatenate(parts).tolist() == model.log_probabilities(whole).tolist()


def test_by_hand() -> None:
    """Two lines, "a b" and "a"; ^ begins and $ ends a line, and there is an unknown unit that never occurs.

    Bigrams: ^a 2, ab 1, a$ 1, b$ 1, so that D1 = 1 − 2 · 3/5 · 1/3 = 0.6. What stands before: of a only ^, of b only a,
    of $ both a and b, so that D1 = 1 − 2 · 2/4 · 1/2 = 0.5. Nothing is seen three times: D2 is the fall-back, 1.
    """
    a, b, unknown = 2, 3, 4
    model = KneserNey.fit(np.array([a, b, END, a, END]), 2, 5, END)
    left = (0.5 + 0.5 + 1.0) / 4
    end, one, none = (2 - 1.0) / 4 + left / 4, (1 - 0.5) / 4 + left / 4, left / 4
    after = {unit: np.exp(model.distributions(np.array([[unit]])))[0] for unit in (END, a, unknown)}
    assert after[unknown] == pytest.approx([0, end, one, one, none])
    assert after[a] == pytest.approx([0, 0.2 + 0.6 * end, 0.6 * one, 0.2 + 0.6 * one, 0.6 * none])
    assert after[END] == pytest.approx([0, 0.5 * end, 0.5 + 0.5 * one, 0.5 * one, 0.5 * none])


# --- counting -----------------------------------------------------------------------------------------------------


def test_counts_are_of_what_stands_before_but_where_a_line_begins() -> None:
    one, two, three = count_ngrams(np.array([2, 3, 1, 2, 3, 1, 3, 1]), 3, 4, END)
    assert one.counts.tolist() == [0, 1, 1, 2]  # $ after b; a after ^; b after a and ^
    keys = [1 * 4 + 2, 1 * 4 + 3, 2 * 4 + 3, 3 * 4 + 1]  # ^a, ^b, ab, b$
    assert (two.keys.tolist(), two.counts.tolist()) == (keys, [2, 1, 1, 2])  # ab after ^; b$ after a and ^
    assert (three.keys.tolist(), three.counts.tolist()) == (
        [0 * 4 + 3, 1 * 4 + 1, 2 * 4 + 1],
        [2, 1, 2],
    )  # ^ab, ^b$, ab$
    assert (two.suffixes.tolist(), three.suffixes.tolist()) == ([2, 3, 3, 1], [2, 3, 3])


def test_no_order_is_longer_than_the_longest_line() -> None:
    assert len(count_ngrams(np.array([2, 1, 3, 1]), 20, 4, END)) == 3
    assert KneserNey.fit(np.array([1]), 5, 2, END).name == "2-gram Kneser-Ney"


def test_large_vocabularies_and_high_orders_fit_in_a_key() -> None:
    size = 3_000_000
    numbers = np.arange(2, 2002) * 1499  # 75 bits, were five of them put side by side
    numbers[-1] = END
    model = KneserNey.fit(numbers, 5, size, END)
    assert model.order == 5
    steps = model.log_probabilities(numbers)
    assert np.exp(steps[10:]).min() > 0.2
    assert np.exp(model.log_probabilities(numbers[::-1][1:])).max() < 0.01


def test_keys_are_found_or_not() -> None:
    keys = np.array([2, 5, 9])
    assert find_keys(keys, np.array([5, 1, 9, 10, 2, 6])).tolist() == [1, -1, 2, -1, 0, -1]
    assert find_keys(keys[:0], np.array([5])).tolist() == [-1]


@pytest.mark.parametrize(
    ("numbers", "order", "fault"),
    [
        ([2, 1], 0, "expected an order of at least 1, found 0"),
        ([], 2, "expected 1 to 2,147,483,646 units, found 0"),
        ([2, 4, 1], 2, "expected units of 0 to 3, found 1 to 4"),
        ([2, -1, 1], 2, "expected units of 0 to 3, found -1 to 2"),
        ([2, 0, 1], 2, "unit 0 is padding and must not occur in the text"),
    ],
)
def test_faults_of_texts(numbers: list[int], order: int, fault: str) -> None:
    with pytest.raises(ValueError) as caught:
        KneserNey.fit(np.array(numbers, dtype=np.int64), order, 4, END)
    assert str(caught.value) == fault


# --- discounts ----------------------------------------------------------------------------------------------------


def test_discounts_are_those_of_the_formula() -> None:
    counts = np.repeat([1, 2, 3, 4, 9], [100, 40, 20, 10, 5])
    ratio = 100 / 180
    expected = [0, 1 - 2 * ratio * 40 / 100, 2 - 3 * ratio * 20 / 40, 3 - 4 * ratio * 10 / 20]
    assert discounts(counts) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ([0], [0, 0.5, 1, 1.5]),
        ([1, 1, 1], [0, 0.5, 1, 1.5]),  # nothing was seen twice: 1 would be taken off all
        ([5, 7, 7], [0, 0.5, 1, 1.5]),
        ([1, 2, 3, 3, 3, 4], [0, 1 - 2 / 3, 1, 3 - 4 / 9]),  # D2 would be negative
        ([1, 1, 2], [0, 0.5, 1, 1.5]),  # D2 would be 2, so that nothing would be left of a count of 2
    ],
)
def test_degenerate_discounts_are_half_the_count(counts: list[int], expected: list[float]) -> None:
    found = discounts(np.array(counts))
    assert found == pytest.approx(expected)
    assert all(0 < found[count] < count for count in (1, 2, 3))


# --- arrays that are no model -------------------------------------------------------------------------------------


def broken(**changes: object) -> list[Level]:
    levels = KneserNey.fit(np.array([2, 3, 1, 2, 1]), 2, 4, END).levels
    parts = [{name: getattr(level, name).copy() for name in ("keys", "probability", "backoff")} for level in levels]
    for name, value in changes.items():
        parts[int(name[-1]) - 1][name[:-1]] = np.array(value, dtype=np.int64 if "keys" in name else np.float32)
    return [Level(**part) for part in parts]


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"keys1": [0, 1, 2]}, "expected 3 and 3 numbers at order 1, found 4 and 4"),
        ({"keys1": [0, 1, 3, 2]}, "expected all units and an end of a line among them, found 4 and 1"),
        ({"keys2": [6, 6, 9, 11]}, "the keys of order 2 are not ascending numbers from 0 to 15"),
        ({"keys2": [-6, 6, 9, 11]}, "the keys of order 2 are not ascending numbers from 0 to 15"),
        ({"keys2": [6, 9, 11, 16]}, "the keys of order 2 are not ascending numbers from 0 to 15"),
        ({"keys2": []}, "the keys of order 2 are not ascending numbers from 0 to 15"),
        ({"backoff1": []}, "expected 4 and 4 numbers at order 1, found 4 and 0"),
        ({"backoff2": [1.0]}, "expected 4 and 0 numbers at order 2, found 4 and 1"),
        ({"probability2": [0.5] * 3}, "expected 4 and 0 numbers at order 2, found 3 and 0"),
        ({"probability1": [0, 0.5, 0, 0.5]}, "order 1 has probabilities outside 0 < p ≤ 1"),
        ({"probability2": [1, math.nan, 1, 1]}, "order 2 has probabilities outside 0 < p ≤ 1"),
        ({"backoff1": [1, 1, 1, 1.1]}, "order 1 has probabilities outside 0 < p ≤ 1"),
    ],
)  # fmt: skip
def test_arrays_that_do_not_fit_are_refused(changes: dict[str, object], fault: str) -> None:
    with pytest.raises(ValueError) as caught:
        KneserNey(END, broken(**changes))
    assert str(caught.value) == fault


def test_no_model_is_no_model() -> None:
    with pytest.raises(ValueError, match=r"^there are no n-grams of order 1$"):
        KneserNey(END, [])


# --- the Penn Treebank --------------------------------------------------------------------------------------------


def test_the_penn_treebank_gives_the_figure_of_the_literature() -> None:
    """Mikolov's 141.2 on the test part: 10,000 words, the ends of lines among them, no cut-offs."""
    places = [Path(folder) / "ptb" for folder in os.environ.get("SEQKIT_DATA", "").split(os.pathsep) if folder]
    found = [place for place in places if (place / "test.txt").is_file()]
    if not found:
        pytest.skip("ptb is in no folder of $SEQKIT_DATA")
    numbers: dict[str, int] = {"\n": END}
    texts = {}
    for split in ("train", "test"):
        words = (found[0] / f"{split}.txt").read_text(encoding="utf-8").replace("\n", " \n ").split(" ")
        texts[split] = np.array([numbers.setdefault(word, len(numbers) + 1) for word in words if word])
    assert (len(numbers), len(texts["test"])) == (10_000, 82_430)
    model = KneserNey.fit(texts["train"], 5, len(numbers) + 1, END)
    assert math.exp(-model.log_probabilities(texts["test"]).mean()) == pytest.approx(141.2, abs=1.0)
