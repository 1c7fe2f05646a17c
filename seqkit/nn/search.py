"""Choosing a sequence one symbol at a time: sampling, greedy choice and beam search over any model with a state."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = [
    "Allowed",
    "Continuation",
    "SearchState",
    "Step",
    "beam_search",
    "filter_probabilities",
    "sample",
    "select_rows",
]

SearchState = tuple[tuple[Tensor, ...], ...]
"""what a model remembers: tensors whose first dimension is the sequence"""
Step = Callable[[Tensor, SearchState], tuple[Tensor, SearchState]]
"""the last symbol of each of N sequences, int64 [N], and their state → log p(next symbol) [N, V] and the state after"""
Allowed = Callable[[int, list[list[int]]], "Tensor | None"]
"""how many symbols were chosen, and those of each of N sequences → which may be next, bool [N, V] or [V]; None: all"""


class Continuation(NamedTuple):
    """One sequence that was found.

    Attributes:
        tokens: its symbols, without the end that closes it.
        log_prob: log p of all of them under the model, in nats, of that end too; neither temperature nor any choice of
            what may be next changes it.
        ended: whether the end was reached, and not only the greatest length.
    """

    tokens: list[int]
    log_prob: float
    ended: bool


def select_rows(state: SearchState, index: Tensor) -> SearchState:
    """The state of some sequences.

    Args:
        state: the state of N sequences.
        index: which of them, int64 [M], repeated at will.

    Returns:
        The state of M sequences.
    """
    return tuple(tuple(part[index] for part in layer) for layer in state)


def filter_probabilities(
    log_probabilities: Tensor, temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0
) -> Tensor:
    r"""Sharpen or flatten distributions, then keep their likeliest symbols only.

    .. math:: q_v \propto p_v^{1 / \tau} \quad \text{for } v \text{ among the likeliest, 0 elsewhere}

    The likeliest are the `top_k` first (Fan, Lewis & Dauphin 2018), and of these the fewest that together have a
    probability of at least `top_p` (the nucleus: Holtzman et al. 2020). Of equally likely symbols the one of the lower
    number goes first.

    Args:
        log_probabilities: log p, normalised or not, [N, V]; −∞ for what must not be chosen.
        temperature: τ; 0 puts everything on the likeliest symbol.
        top_k: how many symbols are kept at most; 0 for all.
        top_p: how much probability is kept at least, in 0 < p ≤ 1.

    Returns:
        q, [N, V], float32, each row summing to 1.

    Raises:
        ValueError: an argument is outside its range.
    """
    _validate_filter(temperature, top_k, top_p)
    scores = log_probabilities.float()  # [N, V]
    scores = scores - scores.amax(1, keepdim=True)  # [N, V]; so that no score overflows
    greedy = temperature == 0 or top_k == 1
    if greedy:
        return torch.zeros_like(scores).scatter_(1, scores.argmax(1, keepdim=True), 1.0)  # [N, V]
    # In float32 a smaller or greater number is 0 or ∞, and what must not be chosen −∞ / ∞; these are as good as those.
    limits = torch.finfo(torch.float32)
    probabilities = (scores / min(max(temperature, limits.tiny), limits.max)).softmax(1)  # [N, V]
    if top_k == 0 and top_p == 1.0:
        return probabilities
    ranked, order = probabilities.sort(dim=1, descending=True, stable=True)  # [N, V]
    if 0 < top_k < ranked.shape[1]:
        ranked[:, top_k:] = 0.0
        ranked /= ranked.sum(1, keepdim=True)  # [N, V]
    if top_p < 1.0:
        before = ranked.cumsum(1) - ranked  # [N, V]: the probability of all that is likelier
        before[:, 0] = 0.0  # whatever rounding says, the first one is kept
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
    length: int,
    ends: int = 1,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    allowed: Allowed | None = None,
    generator: torch.Generator | None = None,
) -> list[Continuation]:
    """Draw one continuation of each of N sequences.

    The draws are made on the CPU, so that a seed gives the same symbols wherever the model runs. A sequence that has
    ended costs nothing more.

    Args:
        step: the model.
        state: its state before the first symbol is fed, of N sequences.
        first: the symbols to begin with, int64 [N]; they are no part of the result.
        end: the symbol that ends a sequence (or a line of it).
        length: the greatest number of symbols drawn, ends included.
        ends: at the how many-th end a sequence stops; those before it stay among its tokens. 0: only `length` stops it.
        temperature: see `filter_probabilities`; 0 always takes the likeliest symbol.
        top_k: see `filter_probabilities`.
        top_p: see `filter_probabilities`.
        allowed: which symbols may be next; it is asked for the sequences that have not ended yet.
        generator: the source of randomness, on the CPU; torch's own by default.

    Returns:
        One continuation a sequence, in order.

    Raises:
        ValueError: an argument is outside its range, or no symbol may be next.
    """
    _validate_filter(temperature, top_k, top_p)
    _validate_lengths(length, ends)
    tokens: list[list[int]] = [[] for _ in range(len(first))]
    scores = [0.0] * len(first)
    ended = [False] * len(first)
    active = list(range(len(first)))
    last = first
    for count in range(length):
        if not active:
            break
        log_probabilities, state = step(last, state)  # [A, V]
        log_probabilities = log_probabilities.float().cpu()  # [A, V]
        choices = _restrict(log_probabilities, allowed, count, [tokens[row] for row in active])  # [A, V]
        if not bool((choices > -torch.inf).any(1).all()):
            raise ValueError(f"expected a symbol that may be next, found none at symbol {count + 1}")
        probabilities = filter_probabilities(choices, temperature, top_k, top_p)  # [A, V]
        drawn = probabilities.multinomial(1, generator=generator)  # [A, 1]
        gained = log_probabilities.gather(1, drawn).squeeze(1).tolist()
        going_on: list[int] = []
        for position, (row, token) in enumerate(zip(active, drawn.squeeze(1).tolist(), strict=True)):
            scores[row] += gained[position]
            if token == end and ends and tokens[row].count(end) + 1 == ends:
                ended[row] = True
                continue
            tokens[row].append(token)
            going_on.append(position)
        active = [active[position] for position in going_on]
        kept = torch.tensor(going_on, dtype=torch.int64)  # [A']
        last = drawn.squeeze(1)[kept].to(first.device)  # [A']
        if len(kept) < len(drawn):
            state = select_rows(state, kept.to(first.device))
    return [Continuation(*found) for found in zip(tokens, scores, ended, strict=True)]


@torch.no_grad()
def beam_search(
    step: Step,
    state: SearchState,
    first: Tensor,
    *,
    end: int,
    length: int,
    beam: int,
    ends: int = 1,
    length_penalty: float = 0.0,
    allowed: Allowed | None = None,
) -> list[Continuation]:
    r"""Search for the likeliest continuations of one sequence.

    The `beam` likeliest beginnings of each length are kept; every end that one of them can reach is looked at. The
    search stops where no beginning can lead to one of the `beam` best continuations any more, since more symbols never
    make a sequence likelier. It is exact where `beam` is no less than the number of beginnings of a length.

    The likeliest sequences are often short ones. With a length penalty α > 0 the best is what has the largest
    :math:`\log p / n^\alpha` with n symbols, ends included (Wu et al. 2016, "Google's neural machine translation
    system", with a simpler denominator); a beginning is then given up where it is worse already than what was found.

    Args:
        step: the model.
        state: its state before the first symbol is fed, of one sequence.
        first: the symbol to begin with, int64 [1].
        end: the symbol that ends a sequence (or a line of it).
        length: the greatest number of symbols, ends included; what has not ended by then is a result too.
        beam: how many beginnings are kept, and how many continuations are returned at most.
        ends: at the how many-th end a sequence stops. 0: only `length` stops it.
        length_penalty: α; 0 for the likeliest as a whole, 1 for the likeliest a symbol.
        allowed: which symbols may be next.

    Returns:
        Different continuations, the best first; none where no symbol may begin.

    Raises:
        ValueError: an argument is outside its range, or `first` is not one symbol.
    """
    _validate_lengths(length, ends)
    if beam < 1:
        raise ValueError(f"expected a beam of at least 1, found {beam}")
    if not 0.0 <= length_penalty < float("inf"):
        raise ValueError(f"expected a length penalty of at least 0, found {length_penalty}")
    if first.shape != (1,):
        raise ValueError(f"expected one sequence to begin with, found shape {list(first.shape)}")
    found: list[Continuation] = []
    live: list[list[int]] = [[]]
    scores = torch.zeros(1, dtype=torch.float64)  # [L]; in float64, so that long sums do not tie
    last = first
    for count in range(length):
        log_probabilities, state = step(last, state)  # [L, V]
        log_probabilities = log_probabilities.cpu().double()  # [L, V]; in this order, as not every device has float64
        totals = scores.unsqueeze(1) + _restrict(log_probabilities, allowed, count, live)  # [L, V]
        for row, tokens in enumerate(live):
            if ends and tokens.count(end) + 1 == ends:
                if float(totals[row, end]) > -torch.inf:
                    found.append(Continuation(tokens, float(totals[row, end]), True))
                totals[row, end] = -torch.inf
        found = _best(found, beam, length_penalty)
        scores, places = totals.flatten().topk(min(beam, totals.numel()))  # [L']
        bound = _rank(found[-1], length_penalty) if len(found) == beam else -torch.inf
        kept = scores / (count + 1) ** length_penalty > bound  # [L']; also false where nothing may be next
        scores, places = scores[kept], places[kept]  # [L']
        rows, symbols = places // totals.shape[1], places % totals.shape[1]  # [L']
        live = [[*live[row], symbol] for row, symbol in zip(rows.tolist(), symbols.tolist(), strict=True)]
        if not live:
            break
        last = symbols.to(first.device)  # [L']
        state = select_rows(state, rows.to(first.device))
    found += [Continuation(tokens, score, False) for tokens, score in zip(live, scores.tolist(), strict=True)]
    return _best(found, beam, length_penalty)


def _best(found: list[Continuation], count: int, length_penalty: float) -> list[Continuation]:
    return sorted(found, key=lambda one: -_rank(one, length_penalty))[:count]


def _rank(one: Continuation, length_penalty: float) -> float:
    units = max(1, len(one.tokens) + one.ended)
    return one.log_prob / float(units**length_penalty)


def _restrict(log_probabilities: Tensor, allowed: Allowed | None, count: int, histories: Sequence[list[int]]) -> Tensor:
    """Log-probabilities [N, V] with −∞ for every symbol that may not be next."""
    mask = None if allowed is None else allowed(count, list(histories))  # [N, V] or [V]
    return log_probabilities if mask is None else log_probabilities.masked_fill(~mask.cpu(), -torch.inf)


def _validate_filter(temperature: float, top_k: int, top_p: float) -> None:
    if not 0.0 <= temperature < float("inf"):
        raise ValueError(f"expected a temperature of at least 0, found {temperature}")
    if top_k < 0:
        raise ValueError(f"expected top_k of at least 0, found {top_k}")
    if not 0.0 < top_p <= 1.0:
        raise ValueError(f"expected top_p in 0 < p ≤ 1, found {top_p}")


def _validate_lengths(length: int, ends: int) -> None:
    if length < 0 or ends < 0:
        raise ValueError(f"expected length and ends of at least 0, found {length} and {ends}")
