"""Sums and maxima over all tag sequences of a chain: the recursions beneath `seqkit.nn.crf`.

A chain gives the tag sequence y₁…y_T the score start[y₁] + Σₜ emissions[t, yₜ] + Σₜ transitions[yₜ₋₁, yₜ] + end[y_T].

The sums run as scaled probabilities (Rabiner 1989, section V.A): a step is one small matrix product, and expected
counts of moves are one large one, so that no [B, K, K] is ever made. Each row is checked for what underflow can have
lost, and a row that fails (scores some hundreds apart) is done again in log space. Maxima are taken in log space.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

__all__ = ["Chain", "best_paths", "length_mask", "log_normalizer", "log_variables", "marginals", "n_best_paths"]

# Scaled probabilities are renormalised every few steps only: float64 holds 1e±308, and a step shrinks by far less.
_RENORMALISE_EVERY = 4
# What underflows is worth less than 1e-290 (1e-308 times at most K a step since the last renormalisation, on either
# side). Where the forward and backward vectors meet in at least this much, the share lost is under 1e-90.
_LEAST_MASS = 1e-200
# Bytes of workspace for one step over [B, K, K]; larger batches go through in parts. A CPU is fastest within its cache.
_CPU_WORKSPACE = 2**20
_GPU_WORKSPACE = 2**26


class Chain(NamedTuple):
    """Scores of a batch of non-empty rows in the working precision: float64 where the device has it.

    Args:
        emissions: [B, T, K], zero past a row's end.
        start: [K], -inf where illegal, as the next two.
        transitions: [K, K], from → to.
        end: [K].
        lengths: [B] int64 on the CPU, each in 1…T, the longest T.
        equal: whether all lengths are T, which saves the masking.
    """

    emissions: Tensor
    start: Tensor
    transitions: Tensor
    end: Tensor
    lengths: Tensor
    equal: bool

    def last(self) -> Tensor:
        """[B], each row's last step, on the device of the scores."""
        return (self.lengths - 1).to(self.emissions.device)

    def mask(self) -> Tensor:
        """[B, T], true within a row's length."""
        return length_mask(self.lengths, self.emissions.shape[1]).to(self.emissions.device)

    def rows(self, index: Tensor) -> Chain:
        """The chain of some rows only, none of them shortened."""
        return self._replace(emissions=self.emissions[index], lengths=self.lengths[index.cpu()])

    def parts(self, width: int = 1) -> list[Tensor]:
        """Row numbers in parts whose [rows, width, K, K] workspace is small enough."""
        batch, _, tags = self.emissions.shape
        allowed = _CPU_WORKSPACE if self.emissions.device.type == "cpu" else _GPU_WORKSPACE
        size = max(1, allowed // (width * tags * tags * self.emissions.element_size()))
        return list(torch.arange(batch, device=self.emissions.device).split(size))


def length_mask(lengths: Tensor, steps: int) -> Tensor:
    """[B, T], true within a row's length, on the device of `lengths`."""
    return torch.arange(steps, device=lengths.device) < lengths[:, None]


class _Scaled(NamedTuple):
    """Forward and backward variables as probabilities, each [B, K] of them in a scale of its own; time first.

    Garbage past a row's end.
    """

    prior: Tensor  # [T, B, K], forward, emission of the step not included
    alpha: Tensor  # [T, B, K], forward, emission included
    beta: Tensor  # [T, B, K], backward, emission not included
    gamma: Tensor  # [T, B, K], backward, emission included
    alpha_scale: Tensor  # [T, B], log of what alpha was divided by
    beta_scale: Tensor  # [T, B], log of what beta was divided by
    weight: Tensor  # [K, K], exp(transitions), divided by its maximum


def _peak(scores: Tensor) -> Tensor:
    """The largest score; finite even if all are -inf, so that subtracting it never gives NaN."""
    return scores.amax().clamp(min=torch.finfo(scores.dtype).min)


def _scaled_variables(chain: Chain) -> _Scaled:
    """Forward and backward recursion in one loop.

    The backward recursion is the forward one over the reversed row with transposed transitions, so that both are one
    batched product a step.
    """
    batch, steps, tags = chain.emissions.shape
    time = torch.arange(steps)[:, None]  # [T, 1]
    # Reverses each row within its length: row t * B + b of a [T * B, …] is exchanged with ((T_b - 1 - t) * B + b).
    mirror = chain.lengths - 1 - time  # [T, B]
    mirror = mirror if chain.equal else torch.where(mirror >= 0, mirror, time)
    flip = (mirror * batch + torch.arange(batch)).flatten().to(chain.emissions.device)  # [T * B]

    peaks = chain.emissions.amax(2, keepdim=True)  # [B, T, 1]
    forward = (chain.emissions - peaks).exp_().transpose(0, 1)  # [T, B, K]
    peaks = peaks.squeeze(2).t()  # [T, B]
    backward = forward.reshape(-1, tags).index_select(0, flip).view(steps, batch, tags)
    emissions = torch.stack((forward, backward), 1)  # [T, 2, B, K]
    start_peak, move_peak, end_peak = _peak(chain.start), _peak(chain.transitions), _peak(chain.end)
    weight = (chain.transitions - move_peak).exp()  # [K, K]
    moves = torch.stack((weight, weight.t()))  # [2, K, K]

    before, after = torch.empty_like(emissions), torch.empty_like(emissions)  # [T, 2, B, K]
    before[0, 0] = (chain.start - start_peak).exp()
    before[0, 1] = (chain.end - end_peak).exp()
    scales = emissions.new_ones(steps, 2, batch, 1)
    tiny = torch.finfo(emissions.dtype).tiny
    previous = after[0]  # [2, B, K]
    for step, (emission, left, right) in enumerate(zip(emissions.unbind(), before.unbind(), after.unbind(), strict=True)):
        if step:
            torch.bmm(previous, moves, out=left)
        torch.mul(left, emission, out=right)
        if step % _RENORMALISE_EVERY == 0:
            right /= torch.amax(right, 2, keepdim=True, out=scales[step]).clamp_(min=tiny)
        previous = right

    logs = scales.clamp_(min=tiny).log_().squeeze(3)  # [T, 2, B]
    divided = logs.cumsum(0)  # [T, 2, B]
    raised = peaks.cumsum(0)  # [T, B]
    time, mirror = time.to(raised.device), mirror.to(raised.device)
    alpha_scale = divided[:, 0] + raised + start_peak + time * move_peak
    # beta at a step is what gamma is before that step's own emission and division.
    divided_before = (divided - logs)[:, 1].flatten().index_select(0, flip).view(steps, batch)  # [T, B]
    beta_scale = divided_before + (raised[-1] - raised) + end_peak + mirror * move_peak
    beta = before[:, 1].reshape(-1, tags).index_select(0, flip).view(steps, batch, tags)
    gamma = after[:, 1].reshape(-1, tags).index_select(0, flip).view(steps, batch, tags)
    return _Scaled(before[:, 0], after[:, 0], beta, gamma, alpha_scale, beta_scale, weight)


def _exact_variables(chain: Chain) -> tuple[Tensor, Tensor, Tensor]:
    """The same recursions in log space: slower, and right whatever the scores; see `log_variables`."""
    steps = chain.emissions.shape[1]
    alphas = [chain.start + chain.emissions[:, 0]]  # [B, K] each
    for step in range(1, steps):
        alphas.append((alphas[-1][:, :, None] + chain.transitions).logsumexp(1) + chain.emissions[:, step])
    end = chain.end.expand_as(alphas[0])  # [B, K]
    last = chain.last()  # [B]
    betas = [end]
    for step in range(steps - 1, 0, -1):
        ahead = (chain.emissions[:, step] + betas[-1])[:, None, :]  # [B, 1, K]
        betas.append(torch.where((step <= last)[:, None], (chain.transitions + ahead).logsumexp(2), end))
    alpha, beta = torch.stack(alphas, 1), torch.stack(betas[::-1], 1)  # [B, T, K]
    final = alpha[torch.arange(len(last), device=last.device), last] + end  # [B, K]
    return alpha, beta, final.logsumexp(1)


class _Meeting(NamedTuple):
    """Where the scaled forward and backward variables meet."""

    unary: Tensor  # [T, B, K], alpha · beta
    mass: Tensor  # [T, B], the sum of it
    pair_mass: Tensor  # [T - 1, B], the sum of prior · gamma: the same, between two steps
    normalizer: Tensor  # [B], log Z
    sound: Tensor  # [B], whether underflow lost nothing worth speaking of


def _meet(chain: Chain, scaled: _Scaled, mask: Tensor) -> _Meeting:
    unary = scaled.alpha * scaled.beta  # [T, B, K]
    mass = unary.sum(2)  # [T, B]
    pair_mass = (scaled.prior[1:] * scaled.gamma[1:]).sum(2)  # [T - 1, B]
    # Written so that NaN is not sound either: log space then says whether it stays.
    lost = ~(mass >= _LEAST_MASS)  # [T, B]
    lost[1:] |= ~(pair_mass >= _LEAST_MASS)
    at_end = chain.last(), torch.arange(mass.shape[1], device=mass.device)
    normalizer = mass[at_end].log() + scaled.alpha_scale[at_end] + scaled.beta_scale[at_end]  # [B]
    return _Meeting(unary, mass, pair_mass, normalizer, ~(lost & mask.t()).any(0))


class _Counts(NamedTuple):
    """Expected counts: p(yₜ = j) and, kept factorised, Σₜ p(yₜ₋₁ = i, yₜ = j) of each row."""

    marginals: Tensor  # [B, T, K], zero past a row's end
    # The sum over t of row b is weight[i, j] · Σₜ left[t, b, i] · right[t, b, j].
    left: Tensor  # [T - 1, B, K]
    right: Tensor  # [T - 1, B, K]
    weight: Tensor  # [K, K]
    # The rows done in log space (their left and right are zero) and their sums as they are.
    exact_rows: Tensor  # [N]
    exact_pairs: Tensor  # [N, K, K]


def _expect(chain: Chain) -> tuple[Tensor, _Counts]:
    """log Z [B] and expected counts."""
    tags = len(chain.start)
    mask = chain.mask()  # [B, T]
    scaled = _scaled_variables(chain)
    unary, mass, pair_mass, normalizer, sound = _meet(chain, scaled, mask)
    unary /= mass[:, :, None]
    left, right = scaled.alpha[:-1], scaled.gamma[1:] / pair_mass[:, :, None]  # [T - 1, B, K]
    all_sound = bool(sound.all())
    if not (all_sound and chain.equal):
        keep = (mask & sound[:, None]).t()[:, :, None]  # [T, B, 1]
        unary, left, right = (torch.where(inside, x, 0) for inside, x in ((keep, unary), (keep[1:], left), (keep[1:], right)))
    probabilities = unary.transpose(0, 1)  # [B, T, K]
    exact_rows = (~sound).nonzero().squeeze(1) if not all_sound else mask.new_empty(0, dtype=torch.int64)  # [N]
    exact_pairs = unary.new_zeros(len(exact_rows), tags, tags)
    if not all_sound:
        subset = chain.rows(exact_rows)
        for part in subset.parts():
            rows = exact_rows[part]
            normalizer[rows], probabilities[rows], exact_pairs[part] = _exact_expect(subset.rows(part))
    return normalizer, _Counts(probabilities, left, right, scaled.weight, exact_rows, exact_pairs)


def _exact_expect(chain: Chain) -> tuple[Tensor, Tensor, Tensor]:
    """log Z [B], marginals [B, T, K] and summed pair marginals [B, K, K] in log space."""
    alpha, beta, normalizer = _exact_variables(chain)
    # A row without any legal sequence has log Z = -inf; its probabilities come out as zeros rather than NaN.
    floor = normalizer.masked_fill(normalizer.isneginf(), 0)[:, None]  # [B, 1]
    mask = chain.mask()  # [B, T]
    probabilities = torch.where(mask[:, :, None], (alpha + beta - floor[:, :, None]).exp(), 0)  # [B, T, K]
    pairs = torch.zeros_like(chain.transitions).repeat(len(alpha), 1, 1)  # [B, K, K]
    for step in range(1, alpha.shape[1]):
        ahead = (chain.emissions[:, step] + beta[:, step] - floor)[:, None, :]  # [B, 1, K]
        joint = (alpha[:, step - 1, :, None] + chain.transitions + ahead).exp_()  # [B, K, K]
        pairs += torch.where(mask[:, step, None, None], joint, 0)
    return normalizer, probabilities, pairs


class _LogNormalizer(torch.autograd.Function):
    """log Z, whose gradients are expected counts: no autograd graph grows with the row."""

    @staticmethod
    def forward(ctx: Any, emissions: Tensor, *others: Any) -> Tensor:
        chain = Chain(emissions, *others)
        normalizer, counts = _expect(chain)
        ctx.save_for_backward(*counts, chain.last())
        return normalizer

    @staticmethod
    @torch.autograd.function.once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        marginals, left, right, weight, exact_rows, exact_pairs, last = ctx.saved_tensors
        tags = len(weight)
        emissions = marginals * gradient[:, None, None]  # [B, T, K]
        pairs = left.reshape(-1, tags).t() @ (right * gradient[:, None]).reshape(-1, tags)  # [K, K]
        transitions = pairs * weight
        if len(exact_rows):
            transitions += torch.einsum("n,nij->ij", gradient[exact_rows], exact_pairs)
        at_end = emissions[torch.arange(len(last), device=last.device), last]  # [B, K]
        return emissions, emissions[:, 0].sum(0), transitions, at_end.sum(0), None, None


def log_normalizer(chain: Chain) -> Tensor:
    """log Z of each row, with gradients to emissions, start, transitions and end.

    Args:
        chain: the scores.

    Returns:
        [B]; -inf where no sequence is legal.
    """
    result: Tensor = _LogNormalizer.apply(*chain)  # type: ignore[no-untyped-call]
    return result


def marginals(chain: Chain) -> Tensor:
    """p(yₜ = j) of each row.

    Args:
        chain: the scores.

    Returns:
        [B, T, K], zero past a row's end and where no sequence is legal.
    """
    return _expect(chain)[1].marginals


def log_variables(chain: Chain) -> tuple[Tensor, Tensor, Tensor]:
    """Forward and backward variables.

    Args:
        chain: the scores.

    Returns:
        alpha [B, T, K], log of the summed weight of all ways to reach a tag, its emission included; beta [B, T, K],
        of all ways to go on from there, its emission not included; log Z [B]. Both are -inf past a row's end, and
        may be where a tag's probability is under 1e-90.
    """
    mask = chain.mask()  # [B, T]
    scaled = _scaled_variables(chain)
    normalizer, sound = _meet(chain, scaled, mask)[3:]
    alpha = (scaled.alpha.log() + scaled.alpha_scale[:, :, None]).transpose(0, 1)  # [B, T, K]
    beta = (scaled.beta.log() + scaled.beta_scale[:, :, None]).transpose(0, 1)  # [B, T, K]
    if not bool(sound.all()):
        exact_rows = (~sound).nonzero().squeeze(1)
        subset = chain.rows(exact_rows)
        for part in subset.parts():
            rows = exact_rows[part]
            alpha[rows], beta[rows], normalizer[rows] = _exact_variables(subset.rows(part))
    outside = ~mask[:, :, None]  # [B, T, 1]
    return alpha.masked_fill(outside, -torch.inf), beta.masked_fill(outside, -torch.inf), normalizer


def best_paths(chain: Chain) -> tuple[Tensor, Tensor]:
    """The best tag sequence of each row (Viterbi 1967).

    Args:
        chain: the scores.

    Returns:
        tags [B, T] int64, zero past a row's end, and their scores [B]. Where no sequence is legal the score is -inf and
        the tags mean nothing.
    """
    parts = [_best_paths(chain.rows(part)) for part in chain.parts()]
    tags, scores = (torch.cat(pieces) for pieces in zip(*parts, strict=True))
    return tags if chain.equal else tags.masked_fill(~chain.mask(), 0), scores


def _best_paths(chain: Chain) -> tuple[Tensor, Tensor]:
    # Rows stand last: the maximum over the tag before is then over contiguous [K * B] vectors, about three times as
    # fast. Only scores are kept; the way back asks again which tag before was best, for one tag a row instead of K.
    batch, steps, tags = chain.emissions.shape
    scores = chain.emissions.permute(1, 2, 0).contiguous()  # [T, K, B], emissions at first
    last = chain.last()  # [B]
    scores[0] += chain.start[:, None]
    moves = chain.transitions[:, :, None]  # [K, K, 1]
    work = scores.new_empty(tags, tags, batch)
    best = scores.new_empty(tags, batch)
    each = scores.unbind()  # T of [K, B]
    for step in range(1, steps):
        torch.amax(torch.add(each[step - 1][:, None], moves, out=work), 0, out=best)
        each[step].add_(best)
    final = scores[last, :, torch.arange(batch, device=last.device)] + chain.end  # [B, K]
    totals, tag = final.max(1)  # [B]
    path = [tag]
    for step in range(steps - 2, -1, -1):
        before = (each[step] + chain.transitions.index_select(1, path[-1])).argmax(0)  # [B]
        # Until a row's own last step is reached the final tag is carried along.
        path.append(before if chain.equal else torch.where(step < last, before, tag))
    return torch.stack(path[::-1], 1), totals


def n_best_paths(chain: Chain, n: int) -> tuple[Tensor, Tensor]:
    """The n best tag sequences of each row, best first.

    Args:
        chain: the scores.
        n: how many.

    Returns:
        tags [B, n, T] int64, zero past a row's end, and their scores [B, n], descending; -inf, with tags of zero, where
        there are fewer than n legal sequences.
    """
    parts = [_n_best_paths(chain.rows(part), n) for part in chain.parts(n)]
    tags, scores = (torch.cat(pieces) for pieces in zip(*parts, strict=True))
    keep = chain.mask()[:, None, :] & ~scores.isneginf()[:, :, None]  # [B, n, T]
    return tags.masked_fill(~keep, 0), scores


def _n_best_paths(chain: Chain, n: int) -> tuple[Tensor, Tensor]:
    batch, steps, tags = chain.emissions.shape
    last = chain.last()[:, None, None]  # [B, 1, 1]
    scores = chain.emissions.new_full((batch, tags, n), -torch.inf)  # best n ways to each tag
    scores[:, :, 0] = chain.start + chain.emissions[:, 0]
    stay = torch.arange(tags * n, device=scores.device).view(tags, n)  # [K, n]
    pointers = []  # [B, K, n] each: which of the K · n ways of the step before
    moves = chain.transitions.t()[:, :, None]  # [to, from, 1]
    for step in range(1, steps):
        ways = (scores[:, None] + moves).flatten(2)  # [B, to, from * n]
        ahead, pointer = ways.topk(n, 2)  # [B, K, n]
        ahead = ahead + chain.emissions[:, step, :, None]
        inside = step <= last  # [B, 1, 1]
        scores = torch.where(inside, ahead, scores)
        pointers.append(torch.where(inside, pointer, stay))
    totals, position = (scores + chain.end[:, None]).flatten(1).topk(n, 1)  # [B, n]
    path = [position]
    for pointer in reversed(pointers):
        path.append(pointer.flatten(1).gather(1, path[-1]))
    return torch.stack(path[::-1], 2) // n, totals
