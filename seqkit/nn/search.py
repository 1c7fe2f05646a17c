"""Generating a sequence symbol by symbol: sampling, greedy search and beam search with any model that has a state."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from seqkit.nn.sequences import running_sum, to_device


class RowState(Protocol):
    """The state of a model for some sequences, of a kind of its own."""

    def select(self, index: Tensor) -> RowState:
        """The state of some of the sequences, int64 [M]; repetitions are allowed."""


SearchState = Any
"""the state of a model: tuples of tensors whose first dimension is the sequence, or a `RowState`"""
Step = Callable[[Tensor, SearchState], tuple[Tensor, SearchState]]
"""the last symbol of each of N sequences, int64 [N], and their state → log p(next symbol) [N, V] and the state after"""
Penalty = Callable[[SearchState], Tensor]
"""the state of N sequences → how much worse each is than its probability says, at least 0, [N], on the CPU"""
Allowed = Callable[[int, list[list[int]]], "Tensor | None"]
"""the number of symbols so far, and those of each of N sequences → the allowed ones, bool [N, V] or [V]; None: all"""


class Continuation(NamedTuple):
    """One generated sequence.

    Attributes:
        tokens: its symbols, without the final end symbol.
        log_prob: log p of all of them and of that end symbol under the model, in nats; temperature and restrictions of
            the next symbol do not change it.
        ended: whether it ended with the end symbol, and not at the maximum length.
    """

    tokens: list[int]
    log_prob: float
    ended: bool


def select_rows(state: SearchState, index: Tensor) -> SearchState:
    """Select the state of some sequences.

    Args:
        state: the state of N sequences.
        index: which of them, int64 [M]; repetitions are allowed.

    Returns:
        The state of M sequences.
    """
    if not isinstance(state, tuple):
        return state.select(index)
    return tuple(tuple(part[index] for part in layer) for layer in state)


def filter_probabilities(
    log_probabilities: Tensor, temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0
) -> Tensor:
    r"""Sharpen or flatten distributions, then keep only their most likely symbols.

    .. math:: q_v \propto p_v^{1 / \tau} \quad \text{for } v \text{ among the most likely, 0 elsewhere}

    The most likely symbols are the first `top_k` (Fan, Lewis & Dauphin 2018), and of these the fewest that together
    have a probability of at least `top_p` (the nucleus: Holtzman et al. 2020). Of equally likely symbols the one with
    the lower id comes first.

    Args:
        log_probabilities: log p, normalised or not, [N, V]; −∞ for symbols that are not allowed.
        temperature: τ; with 0 the most likely symbol has all the probability.
        top_k: the maximum number of symbols to keep; 0 for all.
        top_p: the minimum probability to keep, in 0 < p ≤ 1.

    Returns:
        q, [N, V], float32, each row summing to 1.

    Raises:
        ValueError: an argument is outside its range.
    """
    _check_filter(temperature, top_k, top_p)
    scores = log_probabilities.float()  # [N, V]
    scores = scores - scores.amax(1, keepdim=True)  # [N, V]; so that no score overflows
    if temperature == 0 or top_k == 1:
        return torch.zeros_like(scores).scatter_(1, scores.argmax(1, keepdim=True), 1.0)  # [N, V]
    # In float32 smaller and larger temperatures become 0 and ∞, and −∞ / ∞ is NaN; these limits have the same effect.
    limits = torch.finfo(torch.float32)
    probabilities = (scores / min(max(temperature, limits.tiny), limits.max)).softmax(1)  # [N, V]
    if top_k == 0 and top_p == 1.0:
        return probabilities
    ranked, order = probabilities.sort(dim=1, descending=True, stable=True)  # [N, V]
    if 0 < top_k < ranked.shape[1]:
        ranked[:, top_k:] = 0.0
        ranked /= ranked.sum(1, keepdim=True)  # [N, V]
    if top_p < 1.0:
        before = running_sum(ranked, 1) - ranked  # [N, V]: the probability of all symbols that are more likely
        before[:, 0] = -1.0  # the first one is always kept, even where top_p is 0 in float32
        ranked = ranked.masked_fill(before >= top_p, 0.0)  # [N, V]
    kept = torch.zeros_like(ranked).scatter_(1, order, ranked)  # [N, V]
    return kept / kept.sum(1, keepdim=True)  # [N, V]


@torch.no_grad()
def sample(
    step: Step,
    state: SearchState,
    first: Tensor,
    *,
    end: int,
    length: int | Sequence[int],
    ends: int = 1,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    allowed: Allowed | None = None,
    generator: torch.Generator | None = None,
) -> list[Continuation]:
    """Draw one continuation of each of N sequences.

    Random numbers are drawn on the CPU, so that a seed gives the same symbols on every device, but for rounding: the
    symbol with the largest :math:`p / e` is taken, each e drawn from the exponential distribution with mean 1, as
    `torch.multinomial` does. The device is waited for once a symbol. Sequences that have ended need no further
    computation.

    Args:
        step: the model.
        state: its state before the first symbol, for N sequences.
        first: the first symbols, int64 [N]; they are not part of the result.
        end: the symbol that ends a sequence (or a line of it).
        length: the maximum number of symbols to draw, for all sequences or for each, ends included.
        ends: the number of end symbols after which a sequence stops; earlier ones are among its tokens. 0: it stops at
            `length` only.
        temperature: see `filter_probabilities`; 0 always selects the most likely symbol.
        top_k: see `filter_probabilities`.
        top_p: see `filter_probabilities`.
        allowed: the symbols that may be next; called with the sequences that have not ended yet.
        generator: the source of randomness, on the CPU; torch's default generator by default.

    Returns:
        One continuation a sequence, in order.

    Raises:
        ValueError: an argument is outside its range, or no symbol is allowed next.
    """
    _check_filter(temperature, top_k, top_p)
    lengths = [length] * len(first) if isinstance(length, int) else list(length)
    _check_least(0, *(("length", each) for each in {*lengths, 0}), ("ends", ends))
    tokens: list[list[int]] = [[] for _ in range(len(first))]
    scores = [0.0] * len(first)
    ended = [False] * len(first)
    active = list(range(len(first)))  # A rows
    last = first
    if not all(lengths):
        active = [row for row, most in enumerate(lengths) if most]
        index = to_device(torch.tensor(active, dtype=torch.int64), first.device)  # [A]
        last, state = last[index], select_rows(state, index)
    for count in range(max(lengths, default=0)):
        if not active:
            break
        log_probabilities, state = step(last, state)  # [A, V]
        log_probabilities = log_probabilities.float()  # [A, V]
        choices = _restrict(log_probabilities, allowed, count, [tokens[row] for row in active])  # [A, V]
        q = filter_probabilities(choices, temperature, top_k, top_p)  # [A, V]
        if temperature:
            q = q / to_device(torch.empty(q.shape).exponential_(generator=generator), q.device)  # [A, V]
        drawn = q.argmax(1)  # [A]
        gained = log_probabilities.gather(1, drawn.unsqueeze(1)).squeeze(1)  # [A]
        # NaN where no symbol is allowed, and if a damaged model gives no numbers.
        gained = torch.where(choices.amax(1).isfinite(), gained, torch.nan)  # [A]
        # Both are read at once: floats as the integers of the same bits.
        found = torch.stack([drawn.int(), gained.view(torch.int32)]).cpu()  # [2, A]
        gains = found[1].view(torch.float32).tolist()
        if any(map(math.isnan, gains)):
            raise ValueError(f"no symbol is allowed at position {count + 1}")
        kept: list[int] = []
        for position, (row, token) in enumerate(zip(active, found[0].tolist(), strict=True)):
            scores[row] += gains[position]
            ended[row] = token == end and ends > 0 and tokens[row].count(end) + 1 == ends
            if not ended[row]:
                tokens[row].append(token)
                if count + 1 < lengths[row]:
                    kept.append(position)
        active = [active[position] for position in kept]
        last = drawn
        if len(kept) < len(drawn):
            index = to_device(torch.tensor(kept, dtype=torch.int64), first.device)  # [A']
            last, state = last[index], select_rows(state, index)
    return [Continuation(*parts) for parts in zip(tokens, scores, ended, strict=True)]


@torch.no_grad()
def beam_search(
    step: Step,
    state: SearchState,
    first: Tensor,
    *,
    end: int,
    length: int | Sequence[int],
    beam: int,
    ends: int = 1,
    length_penalty: float = 0.0,
    allowed: Allowed | None = None,
    penalty: Penalty | None = None,
) -> list[list[Continuation]]:
    r"""Search for the most likely continuations of each of N sequences.

    The `beam` most likely prefixes of each length are kept, and every end that one of them can reach is considered. The
    search of a sequence stops when no prefix can lead to one of the `beam` best continuations any more, since further
    symbols never make a sequence more likely. It is exact if `beam` is at least the number of prefixes of each length.
    The search itself is on the CPU, and the device is waited for once a symbol. Sequences do not influence each other.

    The most likely sequences are often short. With a length penalty α > 0 the best sequence has the largest
    :math:`\log p / n^\alpha` with n symbols, ends included (Wu et al. 2016, "Google's neural machine translation
    system", with a simpler denominator); a prefix is then dropped if it is already worse than what was found.

    Args:
        step: the model.
        state: its state before the first symbol, for N sequences.
        first: the first symbols, int64 [N].
        end: the symbol that ends a sequence (or a line of it).
        length: the maximum number of symbols, of all or of each, ends included; sequences of that length are results
            even without an end.
        beam: the number of prefixes to keep, and the maximum number of continuations to return, of each.
        ends: the number of end symbols after which a sequence stops. 0: it stops at `length` only.
        length_penalty: α; 0 for the most likely sequence, 1 for the most likely per symbol.
        allowed: the symbols that may be next.
        penalty: what is subtracted from :math:`\log p / n^\alpha` of a continuation, by the state that its last symbol
            was predicted from; it never grows with further symbols.

    Returns:
        Of each sequence different continuations, the best first; none if no first symbol is allowed.

    Raises:
        ValueError: an argument is outside its range.
    """
    count = len(first)
    lengths = [length] * count if isinstance(length, int) else list(length)
    _check_least(0, *(("length", each) for each in lengths), ("ends", ends), ("a length penalty", length_penalty))
    _check_least(1, ("a beam", beam))
    nothing = _ranked(Continuation([], 0.0, False), length_penalty)
    found: list[list[tuple[float, Continuation]]] = [[] if most else [nothing] for most in lengths]
    live: list[list[list[int]]] = [[[]] if most else [] for most in lengths]  # of each sequence its prefixes
    scores = torch.zeros(sum(map(len, live)), dtype=torch.float64)  # [L]; in float64, so that long sums do not tie
    if not all(lengths):
        started = to_device(
            torch.tensor([row for row, most in enumerate(lengths) if most], dtype=torch.int64), first.device
        )
        first, state = first[started], select_rows(state, started)
    last = first
    for position in range(max(lengths, default=0)):
        if not len(scores):
            break
        prefixes = list(chain.from_iterable(live))
        log_probabilities, state = step(last, state)  # [L, V]
        penalties = [0.0] * len(prefixes) if penalty is None else penalty(state).tolist()
        permitted = _restrict(log_probabilities, allowed, position, prefixes)  # [L, V]
        totals = scores.unsqueeze(1) + permitted.cpu().double()  # [L, V]; in this order: not every device has float64
        closing = totals[:, end].tolist()
        closes = [ends > 0 and tokens.count(end) + 1 == ends for tokens in prefixes]
        totals[torch.tensor(closes, dtype=torch.bool), end] = -torch.inf
        best, places = _best_of_each(totals, list(map(len, live)), beam)  # of each sequence [K]
        rows: list[int] = []
        begin = 0
        kept_scores: list[Tensor] = []
        symbols: list[int] = []
        for number, own in enumerate(live):
            if not own:
                continue
            for row, tokens in enumerate(own, begin):
                if closes[row] and closing[row] > -torch.inf:
                    one = Continuation(tokens, closing[row], True)
                    found[number].append(_ranked(one, length_penalty, penalties[row]))
            found[number] = _best(found[number], beam)
            bound = found[number][-1][0] if len(found[number]) == beam else -torch.inf
            worst = length_penalty * math.log(position + 1) - bound
            kept = (
                best[number].neg().clamp_(min=0).log_() < worst
            )  # [K], as in `_ranked`; false also for -inf: not allowed
            chosen, where = best[number][kept], places[number][kept].tolist()  # [K']
            begin += len(own)
            live[number] = [[*prefixes[place // totals.shape[1]], place % totals.shape[1]] for place in where]
            if position + 1 == lengths[number]:
                parts = zip(live[number], chosen.tolist(), where, strict=True)
                ranked = [
                    _ranked(Continuation(tokens, score, False), length_penalty, penalties[place // totals.shape[1]])
                    for tokens, score, place in parts
                ]
                found[number] = _best([*found[number], *ranked], beam)
                live[number] = []
                continue
            kept_scores.append(chosen)
            rows += [place // totals.shape[1] for place in where]
            symbols += [place % totals.shape[1] for place in where]
        scores = torch.cat(kept_scores) if kept_scores else scores[:0]  # [L']
        if not len(scores):
            break
        last = to_device(torch.tensor(symbols, dtype=torch.int64), first.device)  # [L']
        state = select_rows(state, to_device(torch.tensor(rows, dtype=torch.int64), first.device))
    return [[one for _, one in each] for each in found]


def _best_of_each(totals: Tensor, sizes: Sequence[int], beam: int) -> tuple[dict[int, Tensor], dict[int, Tensor]]:
    """The best symbols after the prefixes of each sequence.

    Args:
        totals: the score of each symbol after each prefix, [L, V].
        sizes: how many of the prefixes are those of each sequence.
        beam: how many symbols at most.

    Returns:
        Of each sequence with prefixes the best scores, [K], and their places in the flattened totals, [K].
    """
    width = totals.shape[1]
    some = [number for number, size in enumerate(sizes) if size]
    # Of each prefix no more symbols are needed than of all its sequence.
    values, symbols = totals.topk(min(beam, width), 1)  # [L, K]
    best: dict[int, Tensor] = {}
    places: dict[int, Tensor] = {}
    begin = 0
    for number in some:
        own = slice(begin, begin + sizes[number])
        chosen = values[own].flatten().topk(min(beam, sizes[number] * values.shape[1]))  # [K]
        row = torch.arange(begin, begin + sizes[number]).unsqueeze(1) * width  # [rows, 1]
        best[number], places[number] = chosen.values, (symbols[own] + row).flatten()[chosen.indices]
        begin += sizes[number]
    return best, places


def _best(found: list[tuple[float, Continuation]], count: int) -> list[tuple[float, Continuation]]:
    return sorted(found, key=itemgetter(0), reverse=True)[:count]


def _ranked(one: Continuation, length_penalty: float, penalty: float = 0.0) -> tuple[float, Continuation]:
    """With -log(-log p / n^α), which ranks as log p / n^α does, without a power that overflows."""
    units = max(1, len(one.tokens) + one.ended)
    if penalty:
        worth = penalty - one.log_prob * math.exp(-length_penalty * math.log(units))
        return (-math.log(worth) if worth > 0 else math.inf), one
    return (length_penalty * math.log(units) - math.log(-one.log_prob) if one.log_prob < 0 else math.inf), one


def _restrict(log_probabilities: Tensor, allowed: Allowed | None, count: int, prefixes: list[list[int]]) -> Tensor:
    """Log-probabilities [N, V] with −∞ for every symbol that is not allowed."""
    mask = None if allowed is None else allowed(count, list(prefixes))  # [N, V] or [V]
    if mask is None:
        return log_probabilities
    return log_probabilities.masked_fill(~to_device(mask, log_probabilities.device), -torch.inf)


def _check_filter(temperature: float, top_k: int, top_p: float) -> None:
    _check_least(0, ("a temperature", temperature), ("top_k", top_k))
    if not 0.0 < top_p <= 1.0:
        raise ValueError(f"expected top_p in 0 < p ≤ 1, found {top_p}")


def _check_least(least: int, *values: tuple[str, float]) -> None:
    for name, value in values:
        if not least <= value < torch.inf:
            raise ValueError(f"expected {name} of at least {least}, found {value}")
