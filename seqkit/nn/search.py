"""Generating a sequence symbol by symbol: sampling, greedy search and beam search with any model that has a state."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn import functional

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
    generator: torch.Generator | Sequence[torch.Generator] | None = None,
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
        generator: the source of randomness, on the CPU, of all sequences or of each; torch's default one by default.

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
            drawn_from = [generator[row] for row in active] if isinstance(generator, Sequence) else generator
            q = q / to_device(_exponential(q.shape, drawn_from), q.device)  # [A, V]
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
    Of equally likely prefixes those of a likelier one before it, and of the symbols with lower ids, come first. The
    search itself is on the CPU, and the device is waited for once a symbol, for a few numbers of each prefix. Sequences
    do not influence each other.

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
    lengths = [length] * len(first) if isinstance(length, int) else list(length)
    _check_least(0, *(("length", each) for each in lengths), ("ends", ends), ("a length penalty", length_penalty))
    _check_least(1, ("a beam", beam))
    searches = [_Search(most, beam, length_penalty) for most in lengths]
    running = [row for row, search in enumerate(searches) if search.live]
    last, device = first, first.device
    if len(running) < len(first):
        index = to_device(torch.tensor(running, dtype=torch.int64), device)
        last, state = first[index], select_rows(state, index)
    scores = torch.zeros(len(running), dtype=torch.float64)  # [L]; in float64, so that long sums do not tie
    for position in range(max(lengths, default=0)):
        prefixes = [tokens for search in searches for tokens in search.live]
        if not prefixes:
            break
        log_probabilities, state = step(last, state)  # [L, V]
        penalties = [0.0] * len(prefixes) if penalty is None else penalty(state).tolist()
        permitted = _restrict(log_probabilities.float(), allowed, position, prefixes)  # [L, V]
        # One more than a beam of each prefix: one of them may be the end.
        gained, symbols, closing = _read(permitted, beam + 1, end)  # [L, K], [L, K], [L]
        closes = torch.tensor([ends > 0 and tokens.count(end) + 1 == ends for tokens in prefixes])  # [L]
        totals = (scores.unsqueeze(1) + gained).masked_fill_(
            closes.unsqueeze(1) & (symbols == end), -torch.inf
        )  # [L, K]
        closing = (scores + closing).masked_fill_(~closes, -torch.inf)  # [L]
        kept: list[tuple[Tensor, Tensor, Tensor]] = []  # of each sequence scores, prefixes and symbols, [L'] each
        begin = 0
        for search in searches:
            own = slice(begin, begin + len(search.live))
            if search.live:
                best, parents, chosen = search.advance(totals[own], symbols[own], closing[own].tolist(), penalties[own])
                kept.append((best, parents + begin, chosen))
            begin = own.stop
        scores, rows, following = (torch.cat(parts) for parts in zip(*kept, strict=True))  # [L'] each
        last, state = to_device(following, device), select_rows(state, to_device(rows, device))
    return [[one for _, one in search.found] for search in searches]


class _Search:
    """The search for continuations of one sequence.

    Args:
        length: see `beam_search`, as the others.
        beam: the number of prefixes to keep.
        length_penalty: α.

    Attributes:
        live: the prefixes that may still lead to one of the best continuations.
        found: the best continuations so far, the best first, each with its rank.
    """

    def __init__(self, length: int, beam: int, length_penalty: float) -> None:
        self.length = length
        self.beam = beam
        self.length_penalty = length_penalty
        self.live: list[list[int]] = [[]] if length else []
        self.found = [] if length else [_ranked(Continuation([], 0.0, False), length_penalty)]
        self._count = 0

    def advance(
        self, totals: Tensor, symbols: Tensor, closing: Sequence[float], penalties: Sequence[float]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Go on by one symbol.

        Args:
            totals: the scores of the likeliest symbols after each live prefix, [L, K]; not of an end that is the last.
            symbols: which they are, int64 [L, K].
            closing: the score of each live prefix with its last end; −∞ where no end is the last.
            penalties: what is subtracted from what each prefix ends as.

        Returns:
            The scores of the prefixes that are live now, the live prefix that each goes on from, and their last
            symbols, [L'] each. Of equal scores those of the better prefix come first.
        """
        self._count += 1
        width = totals.shape[1]
        for tokens, score, penalty in zip(self.live, closing, penalties, strict=True):
            if score > -torch.inf:
                self.found.append(_ranked(Continuation(tokens, score, True), self.length_penalty, penalty))
        self.found = _best(self.found, self.beam)
        best, places = (
            part[: self.beam] for part in totals.flatten().sort(descending=True, stable=True)
        )  # [beam] each
        bound = self.found[-1][0] if len(self.found) == self.beam else -torch.inf
        worst = self.length_penalty * math.log(self._count) - bound
        kept = best.neg().clamp_(min=0).log_() < worst  # [beam], as in `_ranked`; false also for -inf: not allowed
        best, places = best[kept], places[kept]  # [L'] each
        parents, chosen = places // width, symbols.flatten()[places]  # [L'] each
        pairs = zip(parents.tolist(), chosen.tolist(), strict=True)
        self.live = [[*self.live[parent], symbol] for parent, symbol in pairs]
        if self._count < self.length:
            return best, parents, chosen
        for tokens, score, parent in zip(self.live, best.tolist(), parents.tolist(), strict=True):
            self.found.append(_ranked(Continuation(tokens, score, False), self.length_penalty, penalties[parent]))
        self.found, self.live = _best(self.found, self.beam), []
        return best[:0], parents[:0], chosen[:0]


def _likeliest(scores: Tensor, count: int) -> Tensor:
    """The likeliest symbols of each row, the likeliest first; of equally likely ones those with lower ids, everywhere.

    Only a part of the symbols is compared: as many blocks as symbols are looked for, those with the largest maxima.

    Args:
        scores: float32 [N, V].
        count: K, if there are so many symbols.

    Returns:
        Their ids, int64 [N, K].
    """
    words, device = scores.shape[1], scores.device
    size = 1 << (words // count).bit_length() // 2  # with which about as many symbols are compared as blocks
    blocks = words // size
    if blocks <= count:
        return _first(scores, torch.arange(words, device=device), count)
    peaks = scores[:, : blocks * size].unflatten(1, (blocks, size)).amax(2)  # [N, blocks]
    best = _first(peaks, torch.arange(blocks, device=device), count)  # [N, K]
    ids = (best.unsqueeze(2) * size + torch.arange(size, device=device)).flatten(1)  # [N, K · size]
    rest = torch.arange(blocks * size, words, device=device).expand(len(ids), -1)  # [N, what fills no block]
    ids = torch.cat([ids, rest], 1)
    return _first(scores.gather(1, ids), ids, count)


def _first(scores: Tensor, ids: Tensor, count: int) -> Tensor:
    """Of numbers [N, M] the ids, [N, M] or [M], of the largest, and of equal ones the lowest, int64 [N, count]."""
    # The bits of a float as an integer that is as large as it, in front of those of the id: no two are equal.
    bits = (scores + 0.0).view(torch.int32)  # [N, M]; without a negative zero
    order = bits ^ ((bits >> 31) & 0x7FFFFFFF)  # [N, M]
    keys = (order.long() << 32) - ids  # [N, M]
    return -keys.topk(min(count, keys.shape[1]), 1).values & 0xFFFFFFFF


def _read(scores: Tensor, count: int, end: int) -> tuple[Tensor, Tensor, Tensor]:
    """What a beam search reads of log-probabilities, in one copy: of each row the likeliest symbols, and of the end.

    Args:
        scores: float32 [N, V].
        count: K, if there are so many symbols.
        end: the symbol that ends a sequence.

    Returns:
        On the CPU: the log-probabilities of the likeliest symbols, float64 [N, K], the symbols, int64 [N, K], and the
        log-probability of the end, float64 [N].
    """
    if scores.device.type == "mps":  # which compares 32 bits of an integer
        scores = scores.cpu()
    ids = _likeliest(scores, count)  # [N, K]
    wanted = scores.gather(1, functional.pad(ids, (0, 1), value=end))  # [N, K + 1]
    # Floats as the integers of the same bits; float64 only here, since not every device has it.
    found = torch.cat([wanted.view(torch.int32), ids.int()], 1).cpu()  # [N, 2 K + 1]
    values = found[:, : wanted.shape[1]].contiguous().view(torch.float32).double()  # [N, K + 1]
    return values[:, :-1], found[:, wanted.shape[1] :].long(), values[:, -1]


def _exponential(shape: torch.Size, generator: torch.Generator | Sequence[torch.Generator] | None) -> Tensor:
    """Numbers from the exponential distribution with mean 1, [A, V], of each row by a generator of its own if given."""
    found = torch.empty(shape)
    if not isinstance(generator, Sequence):
        return found.exponential_(generator=generator)
    for row, own in zip(found, generator, strict=True):
        row.exponential_(generator=own)
    return found


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
