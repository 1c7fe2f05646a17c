"""Batches: every sentence with a token in exactly one, budgets kept, lengths near, the order reproducible."""

from __future__ import annotations

import time
from itertools import pairwise, product
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from seqkit.inputs import batching
from seqkit.inputs.batching import Integers, length_batches, training_batches

length_lists = st.lists(st.one_of(st.integers(0, 5), st.integers(0, 200)), max_size=120)
random_lengths = settings(max_examples=100, deadline=None, derandomize=True)


def as_lists(batches: list[Integers]) -> list[list[int]]:
    return [batch.tolist() for batch in batches]


def check_partition(batches: list[Integers], lengths: list[int]) -> None:
    rows = [row for batch in as_lists(batches) for row in batch]
    assert sorted(rows) == [row for row, length in enumerate(lengths) if length > 0]
    assert all(len(batch) for batch in batches)
    assert all(batch.dtype == np.int64 for batch in batches)


def check_budget(batches: list[Integers], lengths: list[int], budget: int) -> None:
    for batch in as_lists(batches):
        assert len(batch) == 1 or len(batch) * max(lengths[row] for row in batch) <= budget


@given(length_lists, st.integers(1, 300))
@example([], 1)
@example([0, 0], 1)
@example([7, 0, 7], 6)  # both longer than the budget
@random_lengths
def test_prediction_batches(lengths: list[int], budget: int) -> None:
    batches = length_batches(np.array(lengths, dtype=np.int64), budget)
    check_partition(batches, lengths)
    check_budget(batches, lengths, budget)
    order = [lengths[row] for batch in as_lists(batches) for row in batch]
    assert order == sorted(order)


@given(st.dictionaries(st.integers(1, 60), st.integers(1, 90), min_size=1, max_size=7), st.integers(1, 3000))
@random_lengths
def test_prediction_batches_are_the_cheapest_of_all(counts: dict[int, int], budget: int) -> None:
    steps = sorted(counts)

    def cost(run: tuple[int, ...]) -> float:
        tokens = sum(counts[length] for length in run) * run[-1]
        if len(run) > 1 and tokens > budget:
            return np.inf
        overhead = batching._BATCH_TOKENS + batching._STEP_TOKENS * run[-1]
        return -(-tokens // budget) * overhead + tokens * (batching._MASKING if len(run) > 1 else 1.0)

    ways = []
    for cuts in product([False, True], repeat=len(steps) - 1):
        runs = [[steps[0]]]
        for length, cut in zip(steps[1:], cuts, strict=True):
            runs.append([length]) if cut else runs[-1].append(length)
        ways.append(sum(cost(tuple(run)) for run in runs))
    found = batching._cheapest_runs(np.array(steps), np.array([counts[length] for length in steps]), budget)
    bounds = np.cumsum([0, *(size for size, _ in found)]).tolist()
    rows = [length for length in steps for _ in range(counts[length])]
    taken = [tuple(sorted(set(rows[begin:end]))) for begin, end in pairwise(bounds)]
    assert sum(map(cost, taken)) == pytest.approx(min(ways))
    assert [run[-1] for run in taken] == [length for _, length in found]


@given(length_lists, st.integers(1, 40), st.integers(0, 300), st.integers(0, 99))
@random_lengths
def test_training_batches(lengths: list[int], size: int, budget: int, seed: int) -> None:
    options: dict[str, Any] = {"batch_size": size, "batch_tokens": budget, "seed": (seed, 1)}
    batches = training_batches(np.array(lengths, dtype=np.int64), **options)
    check_partition(batches, lengths)
    if budget:
        check_budget(batches, lengths, budget)
    else:
        assert all(len(batch) <= size for batch in batches)
        assert sum(len(batch) < size for batch in batches) <= 1 + len(lengths) // (50 * size)
    again = training_batches(np.array(lengths, dtype=np.int64), **options)
    assert as_lists(again) == as_lists(batches)


@given(st.lists(st.integers(1, 9), max_size=50), st.integers(1, 60))
@example([5] * 8, 20)  # a batch may have just as many tokens as the budget
@random_lengths
def test_training_batches_are_as_large_as_the_budget_allows(lengths: list[int], budget: int) -> None:
    """Where all sentences are in one pool, the shortest one of the next batch does not fit into a batch."""
    batches = training_batches(np.array(lengths, dtype=np.int64), batch_size=1, batch_tokens=budget)
    by_length = sorted(
        [sorted(lengths[row] for row in batch) for batch in as_lists(batches)],
        key=lambda batch: (batch[-1], batch[0], -len(batch)),
    )
    for batch, following in pairwise(by_length):
        assert batch[-1] <= following[0] and (len(batch) + 1) * following[0] > budget


@pytest.mark.parametrize("budget", [0, 600])
def test_batches_are_near_equal_in_length_and_in_random_order(budget: int) -> None:
    generator = np.random.default_rng(0)
    lengths = generator.integers(1, 60, 4000)
    batches = training_batches(lengths, batch_size=20, batch_tokens=budget)
    tokens = int(lengths.sum())
    area = sum(len(batch) * int(lengths[batch].max()) for batch in batches)
    assert area < 1.06 * tokens  # cut at random it would be 1.9
    longest = np.array([lengths[batch].max() for batch in batches])
    assert abs(np.corrcoef(longest[:-1], longest[1:])[0, 1]) < 0.2


def test_another_epoch_has_other_batches() -> None:
    lengths = np.full(300, 5)
    epochs = [as_lists(training_batches(lengths, batch_size=10, seed=(1, epoch))) for epoch in (0, 1)]
    assert epochs[0] != epochs[1]
    assert {frozenset(batch) for batch in epochs[0]} != {frozenset(batch) for batch in epochs[1]}


def test_the_number_of_sentences_costs_no_more_than_in_proportion() -> None:
    lengths = np.random.default_rng(0).integers(1, 60, 500_000)
    began = time.perf_counter()
    batches = length_batches(lengths, 500)
    assert time.perf_counter() - began < 5.0
    assert sum(len(batch) for batch in batches) == len(lengths)


@pytest.mark.parametrize(("size", "budget"), [(0, 0), (-1, 0), (8, -1)])
def test_training_batches_need_a_size(size: int, budget: int) -> None:
    with pytest.raises(ValueError) as caught:
        training_batches(np.array([1, 2]), batch_size=size, batch_tokens=budget)
    message = f"batch_size or batch_tokens must be at least 1, found {size} and {budget}"
    assert str(caught.value) == message


@pytest.mark.parametrize("budget", [0, -5])
def test_prediction_batches_need_a_budget(budget: int) -> None:
    with pytest.raises(ValueError) as caught:
        length_batches(np.array([1, 2]), budget)
    assert str(caught.value) == f"batch_tokens must be at least 1, found {budget}"


@given(lengths=st.lists(st.integers(0, 6), max_size=60), size=st.integers(1, 5))
def test_batches_of_equal_lengths(lengths: list[int], size: int) -> None:
    sizes = np.array(lengths, dtype=np.int64)
    batches = training_batches(sizes, batch_size=size, equal=True, seed=(3,))
    assert all(len(set(sizes[batch])) == 1 and len(batch) <= size for batch in batches)
    assert sorted(row for batch in batches for row in batch) == [row for row, length in enumerate(lengths) if length]
