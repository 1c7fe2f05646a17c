"""Sampling and beam search against the enumeration of all sequences of a small model with a state."""

from __future__ import annotations

import math
from collections import Counter
from itertools import product
from typing import Any, ClassVar

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from seqkit.nn.search import (
    Continuation,
    SearchState,
    Step,
    _likeliest,
    beam_search,
    filter_probabilities,
    sample,
    select_rows,
)

SYMBOLS, END = 4, 0


def chain(seed: int = 0) -> Tensor:
    """log p(next | last, whether the sum so far is odd), [2, V, V]."""
    return torch.randn(2, SYMBOLS, SYMBOLS, generator=torch.Generator().manual_seed(seed)).log_softmax(2)


def markov(table: Tensor) -> Step:
    """A model that goes by the last symbol and by its state, the sum of all symbols: rows must stay together."""

    def step(last: Tensor, state: SearchState) -> tuple[Tensor, SearchState]:
        ((sums,),) = state
        sums = sums + last
        return table[sums % 2, last], ((sums,),)

    return step


def initial(count: int = 1) -> SearchState:
    return ((start(count),),)


def start(count: int = 1) -> Tensor:
    return torch.zeros(count, dtype=torch.int64)


def searched_one(step: Step, state: SearchState, first: Tensor, **options: Any) -> list[Continuation]:
    (found,) = beam_search(step, state, first, **options)
    return found


def enumerate_all(table: Tensor, length: int, ends: int = 1) -> dict[tuple[tuple[int, ...], bool], float]:
    """Every continuation and its log-probability, by trying all strings: the oracle of this file."""
    found = {}
    for string in product(range(SYMBOLS), repeat=length):
        stops = [position for position, symbol in enumerate(string) if symbol == END]
        cut = stops[ends - 1] + 1 if ends and len(stops) >= ends else length
        path = string[:cut]
        before = (END, *path)
        score = sum(float(table[sum(before[: i + 1]) % 2, before[i], path[i]]) for i in range(cut))
        ended = cut < length or (ends > 0 and len(stops) >= ends)
        found[(path[:-1] if ended else path, ended)] = score
    return found


@pytest.mark.parametrize("ends", [0, 1, 2])
@pytest.mark.parametrize("length", [1, 3])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_wide_beam_finds_all_sequences_in_their_order(seed: int, length: int, ends: int) -> None:
    table = chain(seed)
    expected = enumerate_all(table, length, ends)
    found = searched_one(markov(table), initial(), start(), end=END, length=length, beam=200, ends=ends)
    assert {(tuple(one.tokens), one.ended): one.log_prob for one in found} == pytest.approx(expected, abs=1e-5)
    assert len(found) == len(expected)
    assert [one.log_prob for one in found] == sorted((one.log_prob for one in found), reverse=True)
    assert sum(math.exp(one.log_prob) for one in found) == pytest.approx(1.0, abs=1e-5)


@given(seed=st.integers(0, 1000), beam=st.integers(1, 4))
@settings(max_examples=40, deadline=None)
def test_a_narrow_beam_gives_true_scores_of_different_sequences_and_never_beats_the_best(seed: int, beam: int) -> None:
    table = chain(seed)
    expected = enumerate_all(table, 4)
    found = searched_one(markov(table), initial(), start(), end=END, length=4, beam=beam)
    assert 1 <= len(found) <= beam
    assert len({(tuple(one.tokens), one.ended) for one in found}) == len(found)
    for one in found:
        assert one.log_prob == pytest.approx(expected[tuple(one.tokens), one.ended], abs=1e-5)
    assert found[0].log_prob <= max(expected.values()) + 1e-5


@pytest.mark.parametrize("penalty", [0.5, 1.0, 2.0])
def test_a_length_penalty_ranks_by_what_a_symbol_costs(penalty: float) -> None:
    table = chain(4)
    expected = enumerate_all(table, 4)
    found = searched_one(markov(table), initial(), start(), end=END, length=4, beam=500, length_penalty=penalty)
    ranks = [one.log_prob / (len(one.tokens) + one.ended) ** penalty for one in found]
    assert ranks == sorted(ranks, reverse=True)
    assert {(tuple(one.tokens), one.ended): one.log_prob for one in found} == pytest.approx(expected, abs=1e-5)


def test_a_length_penalty_finds_long_sequences_where_the_likeliest_is_short() -> None:
    rows = [[0.3, 0.7, 0.0, 0.0], [0.0, 0.0, 0.6, 0.4], [0.0, 0.0, 0.4, 0.6], [1.0, 0.0, 0.0, 0.0]]
    table = torch.tensor([rows, rows]).log()
    options = {"end": END, "length": 9, "beam": 3}
    assert searched_one(markov(table), initial(), start(), **options)[0].tokens == []
    best = searched_one(markov(table), initial(), start(), length_penalty=1.0, **options)[0]
    assert best.tokens == [1, 2, 3]
    assert best.log_prob == pytest.approx(math.log(0.7 * 0.6 * 0.6))


@pytest.mark.parametrize("penalty", [1000.0, 1e300, 1e308])
def test_no_length_penalty_is_too_great(penalty: float) -> None:
    table = chain(4)
    expected = enumerate_all(table, 4)
    found = searched_one(markov(table), initial(), start(), end=END, length=4, beam=500, length_penalty=penalty)
    assert {(tuple(one.tokens), one.ended): one.log_prob for one in found} == pytest.approx(expected, abs=1e-5)
    if penalty == 1000.0:  # the longest come first, and of one length the likeliest
        ranks = [(len(one.tokens) + one.ended, one.log_prob) for one in found]
        assert ranks == sorted(ranks, reverse=True)


def test_a_sequence_that_is_certain_comes_first() -> None:
    rows = [[0.0, 1.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]]
    table = torch.tensor([rows, rows]).log()
    for penalty in (0.0, 1.0):
        (best,) = searched_one(markov(table), initial(), start(), end=END, length=9, beam=1, length_penalty=penalty)
        assert (best.tokens, best.log_prob, best.ended) == ([1], 0.0, True)


def test_a_beam_sees_past_the_greedy_choice() -> None:
    odds = [[0.0, 0.6, 0.4, 0.0], [0.5, 0.0, 0.0, 0.5], [1.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]]
    table = torch.tensor([odds, odds]).log()
    greedy = sample(markov(table), initial(), start(), end=END, length=5, temperature=0)
    assert greedy[0].tokens == [1]
    best = searched_one(markov(table), initial(), start(), end=END, length=5, beam=2)[0]
    assert best.tokens == [2]
    assert best.log_prob == pytest.approx(math.log(0.4))
    assert best.ended


def test_a_beam_stops_once_nothing_can_improve() -> None:
    table = torch.tensor([[[0.9, 0.1, 0.0, 0.0]] * SYMBOLS] * 2).log()
    calls = []
    model = markov(table)

    def counted(last: Tensor, state: SearchState) -> tuple[Tensor, SearchState]:
        calls.append(len(last))
        return model(last, state)

    found = searched_one(counted, initial(), start(), end=END, length=1000, beam=2)
    assert [one.tokens for one in found] == [[], [1]]
    assert len(calls) == 2


def test_samples_have_the_frequencies_of_the_model() -> None:
    table = chain(3)
    count = 20_000
    generator = torch.Generator().manual_seed(1)
    drawn = sample(markov(table), initial(count), start(count), end=END, length=3, generator=generator)
    expected = enumerate_all(table, 3)
    seen = Counter((tuple(one.tokens), one.ended) for one in drawn)
    for key, log_prob in expected.items():
        assert seen[key] / count == pytest.approx(math.exp(log_prob), abs=0.015)
    for one in drawn[:50]:
        assert one.log_prob == pytest.approx(expected[tuple(one.tokens), one.ended], abs=1e-5)


@pytest.mark.parametrize(
    "options", [{"temperature": 0}, {"top_k": 1}, {"temperature": 1e-6}, {"top_p": 1e-9}, {"top_p": 1e-44}]
)
def test_greedy_follows_the_likeliest_symbol_and_scores_without_temperature(options: dict) -> None:
    table = chain(5)
    path, last, score = [], END, 0.0
    for _ in range(4):
        odds = table[sum(path) % 2, last]
        symbol = int(odds.argmax())
        score += float(odds[symbol])
        if symbol == END:
            break
        path.append(symbol)
        last = symbol
    (found,) = sample(markov(table), initial(), start(), end=END, length=4, **options)
    assert found.tokens == path
    assert found.log_prob == pytest.approx(score, abs=1e-5)


def test_a_seed_repeats_itself() -> None:
    options = {"end": END, "length": 10, "temperature": 0.9}
    draw = [
        sample(markov(chain()), initial(5), start(5), generator=torch.Generator().manual_seed(s), **options)
        for s in (1, 1, 2)
    ]
    assert draw[0] == draw[1] != draw[2]


def test_inner_ends_stay_and_the_last_one_goes() -> None:
    rows = [[-5.0, 0, -5, -5], [0.0, -5, -5, -5], [0.0] * 4, [0.0] * 4]  # 0 → 1 → 0 → 1 …
    table = torch.tensor([rows, rows]).log_softmax(2)
    options = {"end": END, "temperature": 0.0}
    assert sample(markov(table), initial(), start(), length=9, ends=2, **options)[0][::2] == ([1, END, 1], True)
    assert sample(markov(table), initial(), start(), length=5, ends=0, **options)[0][::2] == ([1, 0, 1, 0, 1], False)
    assert sample(markov(table), initial(), start(), length=1, ends=1, **options)[0][::2] == ([1], False)
    assert sample(markov(table), initial(), start(), length=0, **options) == [Continuation([], 0.0, False)]


def never_twice(count: int, histories: list[list[int]]) -> Tensor:
    """Allows no symbol twice in a sequence; the end always."""
    assert all(len(history) == count for history in histories)
    mask = torch.ones(len(histories), SYMBOLS, dtype=torch.bool)
    for row, history in enumerate(histories):
        mask[row, history] = False
    mask[:, END] = True
    return mask


def test_what_is_not_allowed_is_never_chosen_and_scores_stay_those_of_the_model() -> None:
    table = chain(7)
    expected = enumerate_all(table, 5)
    generator = torch.Generator().manual_seed(0)
    drawn = sample(markov(table), initial(300), start(300), end=END, length=5, allowed=never_twice, generator=generator)
    found = searched_one(markov(table), initial(), start(), end=END, length=5, beam=100, allowed=never_twice)
    for one in (*drawn, *found):
        assert len(set(one.tokens)) == len(one.tokens)
        assert one.log_prob == pytest.approx(expected[tuple(one.tokens), one.ended], abs=1e-5)
    possible = {key for key in expected if len(set(key[0])) == len(key[0])}
    assert {(tuple(one.tokens), one.ended) for one in found} == possible


def test_one_mask_for_all_sequences_and_none() -> None:
    only = torch.tensor([False, False, True, False])
    (found,) = sample(markov(chain()), initial(), start(), end=END, length=3, allowed=lambda count, histories: only)
    assert found.tokens == [2, 2, 2]
    free = sample(markov(chain()), initial(), start(), end=END, length=3, temperature=0, allowed=lambda c, h: None)
    assert free == sample(markov(chain()), initial(), start(), end=END, length=3, temperature=0)


def test_where_nothing_may_be_next() -> None:
    def nothing(count: int, histories: list[list[int]]) -> Tensor:
        return torch.full((SYMBOLS,), count < 1)

    with pytest.raises(ValueError, match=r"^no symbol is allowed at position 2$"):
        sample(markov(chain()), initial(), start(), end=END, length=3, ends=0, allowed=nothing)
    (found,) = searched_one(markov(chain()), initial(), start(), end=END, length=3, beam=1, allowed=nothing)[:1]
    assert (found.tokens, found.ended) == ([], True)


@given(
    seed=st.integers(0, 1000),
    temperature=st.sampled_from([0.0, 0.3, 1.0, 4.0]),
    top_k=st.integers(0, 6),
    top_p=st.sampled_from([0.2, 0.7, 1.0]),
)
@settings(max_examples=80, deadline=None)
def test_filtered_probabilities(seed: int, temperature: float, top_k: int, top_p: float) -> None:
    scores = torch.randn(3, 5, generator=torch.Generator().manual_seed(seed))
    scores[0, 2] = -torch.inf
    found = filter_probabilities(scores, temperature, top_k, top_p)
    assert found.sum(1).tolist() == pytest.approx([1.0] * 3, abs=1e-5)
    assert found[0, 2] == 0
    for row, kept in zip(scores, found, strict=True):
        full = torch.eye(5)[row.argmax()] if temperature == 0 else (row / temperature).softmax(0)
        ranked = full.sort(descending=True).indices.tolist()[: top_k or 5]
        mass, nucleus = 0.0, []
        for index in ranked:
            if mass >= top_p * float(full[ranked].sum()) - 1e-6 and nucleus:
                break
            nucleus.append(index)
            mass += float(full[index])
        expected = torch.zeros(5)
        expected[nucleus] = full[nucleus] / full[nucleus].sum()
        assert kept.tolist() == pytest.approx(expected.tolist(), abs=1e-5)


@pytest.mark.parametrize("options", [{}, {"top_k": 2}, {"top_p": 0.99}])
def test_no_temperature_is_too_small_or_too_great(options: dict[str, Any]) -> None:
    scores = torch.tensor([[0.0, -1.0, -torch.inf]])
    for cold in (5e-324, 1e-46):
        assert filter_probabilities(scores, cold, **options).tolist() == [[1.0, 0.0, 0.0]]
    for hot in (1e39, 1e308):
        assert filter_probabilities(scores, hot, **options).tolist() == [[0.5, 0.5, 0.0]]


def test_equally_likely_symbols_go_by_their_numbers() -> None:
    assert filter_probabilities(torch.zeros(1, 4), top_k=2).tolist() == [[0.5, 0.5, 0.0, 0.0]]
    assert filter_probabilities(torch.zeros(1, 4), top_p=0.5).tolist() == [[0.5, 0.5, 0.0, 0.0]]


@pytest.mark.parametrize("top_p", [1e-9, 1e-44, 1e-46, 5e-324])
def test_the_likeliest_symbol_is_kept_however_small_top_p(top_p: float) -> None:
    scores = torch.tensor([[-1.0, 0.0, -torch.inf], [0.0, 0.0, 0.0]])
    assert filter_probabilities(scores, top_p=top_p).tolist() == [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]


def test_rows_of_a_state() -> None:
    state = ((torch.arange(3), torch.arange(3) * 10), (torch.eye(3),))
    chosen = select_rows(state, torch.tensor([2, 2, 0, 1]))
    assert chosen[0][1].tolist() == [20, 20, 0, 10]
    assert chosen[1][0].shape == (4, 3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": -1.0}, "expected a temperature of at least 0, found -1.0"),
        ({"temperature": math.nan}, "expected a temperature of at least 0, found nan"),
        ({"top_k": -1}, "expected top_k of at least 0, found -1"),
        ({"top_p": 0.0}, "expected top_p in 0 < p ≤ 1, found 0.0"),
        ({"top_p": 1.5}, "expected top_p in 0 < p ≤ 1, found 1.5"),
        ({"length": -1}, "expected length of at least 0, found -1"),
        ({"ends": -1}, "expected ends of at least 0, found -1"),
    ],
)
def test_arguments_outside_their_range(options: dict, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        sample(markov(chain()), initial(), start(), **({"end": END, "length": 3} | options))
    assert str(caught.value) == message


@given(
    seed=st.integers(0, 1000),
    beam=st.integers(1, 6),
    lengths=st.lists(st.integers(0, 6), max_size=6),
    ends=st.integers(0, 2),
    length_penalty=st.sampled_from([0.0, 0.6, 1.0]),
)
@settings(max_examples=60, deadline=None)
def test_several_searches_at_once_find_what_each_does_alone(
    seed: int, beam: int, lengths: list[int], ends: int, length_penalty: float
) -> None:
    table = chain(seed)
    sums = torch.arange(len(lengths))  # they begin in different states
    given: dict[str, Any] = {"end": END, "beam": beam, "ends": ends, "length_penalty": length_penalty}
    together = beam_search(markov(table), ((sums,),), start(len(lengths)), length=lengths, **given)
    for row, (length, found) in enumerate(zip(lengths, together, strict=True)):
        assert found == searched_one(markov(table), ((sums[row : row + 1],),), start(), length=length, **given)


def test_each_sequence_is_drawn_to_its_own_length() -> None:
    table, lengths = chain(5), [3, 0, 7, 1]
    drawn = sample(markov(table), initial(4), start(4), end=END, length=lengths, ends=0, temperature=0)
    for found, length in zip(drawn, lengths, strict=True):
        (alone,) = sample(markov(table), initial(), start(), end=END, length=length, ends=0, temperature=0)
        assert found == alone and len(found.tokens) == length


@given(
    seed=st.integers(0, 1000),
    words=st.one_of(st.integers(1, 40), st.integers(100, 3000)),
    count=st.integers(1, 12),
    values=st.integers(1, 40),
)
@settings(max_examples=150, deadline=None)
def test_the_likeliest_symbols_are_those_of_a_sort(seed: int, words: int, count: int, values: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    odd = torch.tensor([-torch.inf, -0.0, 0.0, 1e-45, -1e-45, -3e38, 3e38])
    several = torch.cat([odd, torch.randn(values, generator=generator)])  # so that many are equal
    scores = several[torch.randint(len(several), (3, words), generator=generator)]
    expected = scores.sort(dim=1, descending=True, stable=True).indices[:, :count]
    assert torch.equal(_likeliest(scores, count), expected)


def searched_in_full(table: Tensor, beam: int, length: int, ends: int) -> list[Continuation]:
    """A beam search that looks at every symbol: of equal scores those of the better prefix and lower ids are first."""
    live: list[tuple[float, tuple[int, ...]]] = [(0.0, ())]
    found: list[Continuation] = []

    def note(tokens: tuple[int, ...], score: float, ended: bool) -> None:
        found.append(Continuation(list(tokens), score, ended))
        found.sort(key=lambda one: -one.log_prob)
        del found[beam:]

    for count in range(1, length + 1):
        longer: list[tuple[float, tuple[int, ...]]] = []
        for score, tokens in live:
            odds = table[sum(tokens) % 2, tokens[-1] if tokens else END].tolist()
            is_last = ends > 0 and tokens.count(END) + 1 == ends
            if is_last and odds[END] > -math.inf:
                note(tokens, score + odds[END], True)
            order = sorted(range(len(odds)), key=lambda symbol: -odds[symbol])
            longer += [(score + odds[symbol], (*tokens, symbol)) for symbol in order if symbol != END or not is_last]
        longer.sort(key=lambda one: one[0], reverse=True)
        bound = found[-1].log_prob if len(found) == beam else -math.inf
        live = [one for one in longer[:beam] if one[0] > bound]
        if count == length:
            for score, tokens in live:
                note(tokens, score, False)
    return found


@given(
    seed=st.integers(0, 10_000),
    words=st.integers(2, 300),
    beam=st.integers(1, 6),
    length=st.integers(1, 5),
    ends=st.integers(0, 2),
    values=st.sampled_from([3, 1000]),
)
@settings(max_examples=150, deadline=None)
def test_a_beam_finds_what_one_that_looks_at_all_symbols_finds(
    seed: int, words: int, beam: int, length: int, ends: int, values: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    several = torch.cat([torch.tensor([-torch.inf]), -torch.rand(values, generator=generator) - 0.01])  # often equal
    table = several[torch.randint(len(several), (2, words, words), generator=generator)]
    options = {"end": END, "length": length, "beam": beam, "ends": ends}
    expected = searched_in_full(table, beam, length, ends)
    assert searched_one(markov(table), initial(), start(), **options) == expected


@given(seed=st.integers(0, 1000), words=st.integers(2, 200))
@settings(max_examples=50, deadline=None)
def test_a_beam_of_one_takes_the_symbols_that_greedy_search_takes(seed: int, words: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    table = -torch.randint(1, 4, (2, words, words), generator=generator).float()  # of which most are equal
    options = {"end": END, "length": 6, "ends": 0}
    greedy = sample(markov(table), initial(), start(), temperature=0, **options)
    assert searched_one(markov(table), initial(), start(), beam=1, **options) == greedy


def test_a_penalty_ranks_what_was_found_and_does_not_change_its_probability() -> None:
    table = chain(3)

    def penalty(state: SearchState) -> Tensor:
        return state[0][0] * 0.7  # the sum of all symbols that were read

    plain = searched_one(markov(table), initial(), start(), end=END, length=4, beam=300)
    found = searched_one(markov(table), initial(), start(), end=END, length=4, beam=300, penalty=penalty)
    ended = [one for one in found if one.ended]  # of the others the last symbol was not read
    assert {(*one.tokens, one.log_prob) for one in found} == {(*one.tokens, one.log_prob) for one in plain}
    assert ended == sorted(ended, key=lambda one: 0.7 * sum(one.tokens) - one.log_prob)
    assert found != plain


def test_beams_that_cannot_be() -> None:
    with pytest.raises(ValueError, match=r"^expected a beam of at least 1, found 0$"):
        searched_one(markov(chain()), initial(), start(), end=END, length=3, beam=0)
    with pytest.raises(ValueError, match=r"^expected a length penalty of at least 0, found -1$"):
        searched_one(markov(chain()), initial(), start(), end=END, length=3, beam=1, length_penalty=-1)


@pytest.mark.parametrize("odd", [math.nan, math.inf])
def test_a_step_that_gives_no_numbers_is_refused(odd: float) -> None:
    table = chain().clone()
    table[:, :, 2] = odd
    with pytest.raises(ValueError, match=r"^no symbol is allowed at position 1$"):
        sample(markov(table), initial(), start(), end=END, length=3)


# --- devices ------------------------------------------------------------------------------------------------------


def drawn_by_torch(table: Tensor, count: int, length: int, seed: int, **options: Any) -> list[list[int]]:
    """Symbols as `torch.multinomial` draws them on the CPU, without an end."""
    generator = torch.Generator().manual_seed(seed)
    step, state, last = markov(table), initial(count), start(count)
    columns = []
    for _ in range(length):
        scores, state = step(last, state)
        last = filter_probabilities(scores, **options).multinomial(1, generator=generator).squeeze(1)
        columns.append(last)
    return torch.stack(columns, 1).tolist()


@given(
    seed=st.integers(0, 1000),
    count=st.integers(1, 5),
    temperature=st.sampled_from([0.5, 1.0, 3.0]),
    top_k=st.integers(0, 3),
    top_p=st.sampled_from([0.6, 1.0]),
)
@settings(max_examples=60, deadline=None)
def test_what_is_drawn_is_what_torch_draws_on_a_cpu(
    seed: int, count: int, temperature: float, top_k: int, top_p: float
) -> None:
    """So a seed gives the symbols that it always gave, on whatever device the probabilities are."""
    table, options = chain(seed), {"temperature": temperature, "top_k": top_k, "top_p": top_p}
    expected = drawn_by_torch(table, count, 20, seed, **options)
    generator = torch.Generator().manual_seed(seed)
    found = sample(
        markov(table), initial(count), start(count), end=END, length=20, ends=0, generator=generator, **options
    )
    assert [one.tokens for one in found] == expected


class _Away(Tensor):
    """Stands for numbers on a GPU: whatever has to read them is counted."""

    waits: ClassVar[Counter[str]] = Counter()
    sizes: ClassVar[list[int]] = []
    READS = ("cpu", "item", "tolist", "numpy", "nonzero", "__bool__", "__float__", "__int__")

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        if name == "__get__" or name not in cls.READS:
            return super().__torch_function__(func, types, args, kwargs)
        cls.waits[name] += 1
        with torch._C.DisableTorchFunctionSubclass():
            found = func(*args, **(kwargs or {}))
            cls.sizes.append(args[0].numel())
            return found.clone().as_subclass(Tensor) if isinstance(found, Tensor) else found


def away(step: Step) -> Step:
    """A model on a GPU."""

    def moved(last: Tensor, state: SearchState) -> tuple[Tensor, SearchState]:
        scores, after = step(last.as_subclass(Tensor), state)
        return scores.as_subclass(_Away), after

    return moved


@pytest.mark.parametrize("options", [{}, {"top_k": 2}, {"top_p": 0.7, "temperature": 2.0}, {"temperature": 0}])
def test_drawing_waits_for_the_device_once_a_symbol(options: dict[str, Any]) -> None:
    """And what is read is two numbers a sequence, not the probabilities of all symbols."""
    table = chain(3)
    rows: list[int] = []

    def step(last: Tensor, state: SearchState) -> tuple[Tensor, SearchState]:
        rows.append(len(last))
        return markov(table)(last, state)

    drawn = {"end": END, "length": 12, "allowed": lambda count, rows: torch.arange(SYMBOLS) != 1, **options}
    expected = sample(step, initial(6), start(6), generator=torch.Generator().manual_seed(1), **drawn)
    rows.clear()
    _Away.waits.clear()
    _Away.sizes.clear()
    found = sample(away(step), initial(6), start(6), generator=torch.Generator().manual_seed(1), **drawn)
    assert found == expected
    assert _Away.waits == {"cpu": len(rows)}
    assert _Away.sizes == [2 * count for count in rows]


def test_a_beam_waits_for_the_device_once_a_symbol() -> None:
    table, calls = chain(3), Counter[str]()

    def step(last: Tensor, state: SearchState) -> tuple[Tensor, SearchState]:
        calls["steps"] += 1
        return markov(table)(last, state)

    mask = torch.arange(SYMBOLS) != 1
    searched = {"end": END, "length": 6, "beam": 3}
    expected = searched_one(markov(table), initial(), start(), allowed=lambda count, rows: mask, **searched)
    _Away.waits.clear()
    there = mask.as_subclass(_Away)
    found = searched_one(away(step), initial(), start(), allowed=lambda count, rows: there, **searched)
    assert found == expected
    assert _Away.waits == {"cpu": calls["steps"]}


def test_a_beam_reads_a_few_numbers_of_each_prefix_from_the_device() -> None:
    """The likeliest symbols with their probabilities, and that of the end, and not those of all symbols."""
    table = torch.randn(2, 500, 500, generator=torch.Generator().manual_seed(0)).log_softmax(2)
    _Away.sizes.clear()
    beam_search(away(markov(table)), initial(4), start(4), end=END, length=6, beam=3)
    assert _Away.sizes[:2] == [4 * (2 * 4 + 1), 12 * (2 * 4 + 1)]
    assert max(_Away.sizes) == _Away.sizes[1]
