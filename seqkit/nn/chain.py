"""Sums over all tag sequences of a chain: the forward-backward recursions beneath `seqkit.nn.crf`.

A chain gives the tag sequence y₁…y_T the score start[y₁] + Σₜ emissions[t, yₜ] + Σₜ transitions[yₜ₋₁, yₜ] + end[y_T].

The sums run as scaled probabilities (Rabiner 1989, section V.A): a step is one small matrix product, and expected
counts of moves are one large one, so that no [B, K, K] is ever made. Each row is checked for what underflow can have
lost, and a row that fails (scores some hundreds apart) is done again in log space. With CUDA, where looking at the
check would halt CPU and GPU in every training step, sums and counts are computed in log space from the start.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from seqkit.nn.device import to_device
from seqkit.nn.masks import length_mask

__all__ = ["Chain", "log_normalizer", "log_variables", "marginals", "working_type"]

# Scaled probabilities are renormalised every few steps only: float64 holds 1e±308, and a step shrinks by far less.
_RENORMALISE_EVERY = 4
# What underflows is worth less than 1e-290 (1e-308 times at most K a step since the last renormalisation, on either
# side). Where the forward and backward vectors meet in at least this much, the share lost is under 1e-90.
_LEAST_MASS = 1e-200
# Bytes of workspace for one step over [B, K, K]; larger batches go through in parts. A CPU is fastest within its cache.
_CPU_WORKSPACE = 2**20
_GPU_WORKSPACE = 2**26
_CHECKED = ("cpu", "mps")
"""kinds of devices on which scaled probabilities are tried first"""


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
        return to_device(self.lengths - 1, self.emissions.device)

    def mask(self) -> Tensor:
        """[B, T], true within a row's length."""
        return to_device(length_mask(self.lengths, self.emissions.shape[1]), self.emissions.device)

    def rows(self, index: Tensor) -> Chain:
        """The chain of some rows only, none of them shortened."""
        return self._replace(emissions=self.emissions[index], lengths=self.lengths[index.cpu()])

    def parts(self, moves: int = 0) -> list[Tensor]:
        """Row numbers in parts whose workspace for [rows, moves], by default [rows, K, K], is small enough."""
        batch, _, tags = self.emissions.shape
        allowed = _CPU_WORKSPACE if self.emissions.device.type == "cpu" else _GPU_WORKSPACE
        size = max(1, allowed // ((moves or tags * tags) * self.emissions.element_size()))
        return list(torch.arange(batch, device=self.emissions.device).split(size))


class _Scaled(NamedTuple):
    """Forward and backward variables as probabilities, each [B, K] of them in a scale of its own; time first.

    Past a row's end they are finite and mean nothing.
    """

    prior: Tensor  # [T, B, K], forward, emission of the step not included
    alpha: Tensor  # [T, B, K], forward, emission included
    beta: Tensor  # [T, B, K], backward, emission not included
    gamma: Tensor  # [T, B, K], backward, emission included
    alpha_scale: Tensor  # [T, B], log of what alpha was divided by
    beta_scale: Tensor  # [T, B], log of what beta was divided by
    weight: Tensor  # [K, K], exp(transitions), divided by its maximum


def working_type(device: torch.device) -> torch.dtype:
    """The precision that sums over sequences need, where the device has it: Apple's GPUs have no float64."""
    return torch.float32 if device.type == "mps" else torch.float64


def _finite(scores: Tensor) -> Tensor:
    """Scores raised to the least finite number, so that subtracting one from -inf never gives NaN."""
    return scores.clamp(min=torch.finfo(scores.dtype).min)


def _reversal(chain: Chain) -> tuple[Callable[[Tensor], Tensor], Tensor]:
    """What reverses the steps of [T, B, …], each row's within its length; and their numbers from its end, [T, B]."""
    batch, steps, _ = chain.emissions.shape
    time = torch.arange(steps)[:, None]  # [T, 1]
    mirror = chain.lengths - 1 - time  # [T, B]
    if chain.equal:
        return lambda values: values.flip(0), mirror
    mirror = torch.where(mirror >= 0, mirror, time)
    flip = to_device((mirror * batch + torch.arange(batch)).flatten(), chain.emissions.device)  # [T * B]

    def reverse(values: Tensor) -> Tensor:
        return values.reshape(steps * batch, -1).index_select(0, flip).view(values.shape)

    return reverse, mirror


def _scaled_variables(chain: Chain) -> _Scaled:
    """Forward and backward recursion in one loop.

    The backward recursion is the forward one over the reversed row with transposed transitions, so that both are one
    batched product a step.
    """
    batch, steps, tags = chain.emissions.shape
    reverse, mirror = _reversal(chain)
    peaks = _finite(chain.emissions.amax(2, keepdim=True))  # [B, T, 1]
    emissions = chain.emissions.new_empty(2, steps, batch, tags)
    torch.sub(chain.emissions.transpose(0, 1), peaks.transpose(0, 1), out=emissions[0]).exp_()
    emissions[1] = reverse(emissions[0])
    peaks = peaks.squeeze(2).t()  # [T, B]
    start_peak, move_peak, end_peak = (_finite(scores.amax()) for scores in (chain.start, chain.transitions, chain.end))
    weight = (chain.transitions - move_peak).exp()  # [K, K]
    moves = torch.stack((weight, weight.t()))  # [2, K, K]

    before, after = torch.empty_like(emissions), torch.empty_like(emissions)  # [2, T, B, K]
    before[0, 0] = (chain.start - start_peak).exp()
    before[1, 0] = (chain.end - end_peak).exp()
    scales = emissions.new_ones(2, steps, batch, 1)
    tiny = torch.finfo(emissions.dtype).tiny
    previous = after[:, 0]  # [2, B, K]
    unbound = zip(emissions.unbind(1), before.unbind(1), after.unbind(1), strict=True)
    for step, (emission, left, right) in enumerate(unbound):
        if step:
            torch.bmm(previous, moves, out=left)
        torch.mul(left, emission, out=right)
        if step % _RENORMALISE_EVERY == 0:
            right /= torch.amax(right, 2, keepdim=True, out=scales[:, step]).clamp_(min=tiny)
        previous = right

    logs = scales.clamp_(min=tiny).log_().squeeze(3)  # [2, T, B]
    divided = logs.cumsum(1)
    # beta at a step is what gamma is before that step's own emission and division.
    divided_before = reverse(divided[1] - logs[1])  # [T, B]
    raised = peaks.cumsum(0)  # [T, B]
    time = torch.arange(steps, device=raised.device)[:, None]  # [T, 1]
    return _Scaled(
        prior=before[0],
        alpha=after[0],
        beta=reverse(before[1]),
        gamma=reverse(after[1]),
        alpha_scale=divided[0] + raised + start_peak + time * move_peak,
        beta_scale=divided_before + (raised[-1] - raised) + end_peak + to_device(mirror, raised.device) * move_peak,
        weight=weight,
    )


def _exact_variables(chain: Chain) -> tuple[Tensor, Tensor, Tensor]:
    """The same recursions in log space: slower, and right whatever the scores; see `log_variables`."""
    reverse, _ = _reversal(chain)
    emissions = chain.emissions.transpose(0, 1)  # [T, B, K]
    both = torch.stack((emissions, reverse(emissions)), 1)  # [T, 2, B, K]
    moves = torch.stack((chain.transitions.t(), chain.transitions))[:, None]  # [2, 1, K, K], to, from
    before, after = torch.empty_like(both), torch.empty_like(both)  # [T, 2, B, K]
    before[0] = torch.stack((chain.start, chain.end))[:, None]
    for step, (emission, left, right) in enumerate(zip(both, before, after, strict=True)):
        if step:
            ways = after[step - 1][:, :, None] + moves  # [2, B, K, K], to, from
            # On CUDA the cumulative sum is one kernel, `logsumexp` eight; elsewhere it may be slow, or not be there.
            left.copy_(ways.logcumsumexp(3)[..., -1] if ways.is_cuda else ways.logsumexp(3))
        torch.add(left, emission, out=right)
    alpha = after[:, 0].transpose(0, 1)  # [B, T, K]
    beta = reverse(before[:, 1]).transpose(0, 1)  # [B, T, K]
    last = chain.last()  # [B]
    final = alpha[torch.arange(len(last), device=last.device), last] + chain.end  # [B, K]
    return alpha, beta, final.logsumexp(1)


class _Meeting(NamedTuple):
    """Where the scaled forward and backward variables meet."""

    unary: Tensor  # [T, B, K], alpha · beta
    mass: Tensor  # [T, B], the sum of it
    pair_mass: Tensor  # [T - 1, B], the sum of prior · gamma: the same, between two steps
    normalizer: Tensor  # [B], log Z
    sound: Tensor  # [B], whether underflow lost nothing worth speaking of


def _meet(chain: Chain, scaled: _Scaled) -> _Meeting:
    unary = scaled.alpha * scaled.beta  # [T, B, K]
    mass = unary.sum(2)  # [T, B]
    pair_mass = (scaled.prior[1:] * scaled.gamma[1:]).sum(2)  # [T - 1, B]
    # Asked so that NaN is not sound either: log space then says whether it stays.
    sound = mass >= _LEAST_MASS  # [T, B]
    sound[1:] &= pair_mass >= _LEAST_MASS
    if not chain.equal:
        sound |= ~chain.mask().t()
    at_end = chain.last(), torch.arange(mass.shape[1], device=mass.device)
    normalizer = mass[at_end].log() + scaled.alpha_scale[at_end] + scaled.beta_scale[at_end]  # [B]
    return _Meeting(unary, mass, pair_mass, normalizer, sound.all(0))


class _Counts(NamedTuple):
    """Expected counts: p(yₜ = j) and, kept factorised, Σₜ p(yₜ₋₁ = i, yₜ = j) of each row."""

    marginals: Tensor  # [B, T, K], zero past a row's end
    # The sum over t of row b is weight[i, j] · Σₜ alpha[t, b, i] · share[t, b] · gamma[t, b, j].
    alpha: Tensor  # [T - 1, B, K], of all steps but the last; [T - 1, 0, K], as the next two, if no row is done so
    gamma: Tensor  # [T - 1, B, K], of all steps but the first
    share: Tensor  # [T - 1, B], zero past a row's end
    weight: Tensor  # [K, K]
    # The rows done in log space (whose share is zero) and their sums as they are.
    exact_rows: Tensor  # [N]
    exact_pairs: Tensor  # [N, K, K]


def _expect(chain: Chain) -> tuple[Tensor, _Counts]:
    """log Z [B] and expected counts."""
    if chain.emissions.device.type not in _CHECKED:
        return _expect_unseen(chain)
    tags = len(chain.start)
    scaled = _scaled_variables(chain)
    unary, mass, pair_mass, normalizer, sound = _meet(chain, scaled)
    all_sound = bool(sound.all())
    share, pair_share = 1 / mass, 1 / pair_mass  # [T, B] and [T - 1, B]
    if not (all_sound and chain.equal):
        keep = (chain.mask() & sound[:, None]).t()  # [T, B]
        share, pair_share = torch.where(keep, share, 0), torch.where(keep[1:], pair_share, 0)
    unary *= share[:, :, None]
    marginals = unary.transpose(0, 1)  # [B, T, K]
    exact_rows = sound.new_empty(0, dtype=torch.int64) if all_sound else (~sound).nonzero().squeeze(1)  # [N]
    exact_pairs = unary.new_zeros(len(exact_rows), tags, tags)
    if not all_sound:
        subset = chain.rows(exact_rows)
        for part in subset.parts():
            rows = exact_rows[part]
            normalizer[rows], marginals[rows], exact_pairs[part] = _exact_expect(subset.rows(part))
    counts = _Counts(marginals, scaled.alpha[:-1], scaled.gamma[1:], pair_share, scaled.weight, exact_rows, exact_pairs)
    return normalizer, counts


def _expect_unseen(chain: Chain) -> tuple[Tensor, _Counts]:
    """The same without a look at any number of the device."""
    batch, _, tags = chain.emissions.shape
    size = max(1, _GPU_WORKSPACE // (2 * tags * tags * chain.emissions.element_size()))
    cuts = [slice(begin, begin + size) for begin in range(0, batch, size)]
    parts = [chain._replace(emissions=chain.emissions[cut], lengths=chain.lengths[cut]) for cut in cuts]
    normalizer, marginals, pairs = map(torch.cat, zip(*map(_exact_expect, parts), strict=True))
    rows = torch.arange(batch, device=pairs.device)  # [B]
    none = marginals[:0].transpose(0, 1)  # [T, 0, K]
    weight = torch.zeros_like(chain.transitions)  # [K, K]
    return normalizer, _Counts(marginals, none[1:], none[1:], none[1:, :, 0], weight, rows, pairs)


def _exact_expect(chain: Chain) -> tuple[Tensor, Tensor, Tensor]:
    """log Z [B], marginals [B, T, K] and summed pair marginals [B, K, K] in log space."""
    alpha, beta, normalizer = _exact_variables(chain)
    batch, steps, tags = alpha.shape
    # A row without any legal sequence has log Z = -inf; its probabilities come out as zeros rather than NaN.
    floor = normalizer.masked_fill(normalizer.isneginf(), 0)[:, None, None]  # [B, 1, 1]
    inside = chain.mask()[:, :, None]  # [B, T, 1]
    probabilities = torch.where(inside, (alpha + beta - floor).exp(), 0)  # [B, T, K]
    ahead = torch.where(inside, chain.emissions + beta - floor, -torch.inf)[:, :, None]  # [B, T, 1, K]
    pairs = torch.zeros_like(chain.transitions).repeat(batch, 1, 1)  # [B, K, K]
    allowed = _CPU_WORKSPACE if alpha.device.type == "cpu" else _GPU_WORKSPACE
    size = max(1, allowed // (batch * tags * tags * alpha.element_size()))
    for begin in range(1, steps, size):
        part, before = slice(begin, begin + size), slice(begin - 1, min(steps, begin + size) - 1)
        pairs += (alpha[:, before, :, None] + chain.transitions + ahead[:, part]).exp_().sum(1)
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
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        marginals, alpha, gamma, share, weight, exact_rows, exact_pairs, last = ctx.saved_tensors
        tags = len(weight)
        emissions = marginals * gradient[:, None, None]  # [B, T, K]
        transitions = torch.zeros_like(weight)  # [K, K]
        if alpha.shape[1]:
            right = gamma * (share * gradient)[:, :, None]  # [T - 1, B, K]
            torch.mul(alpha.reshape(-1, tags).t() @ right.view(-1, tags), weight, out=transitions)
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
    scaled = _scaled_variables(chain)
    normalizer, sound = _meet(chain, scaled)[3:]
    alpha = (scaled.alpha.log() + scaled.alpha_scale[:, :, None]).transpose(0, 1)  # [B, T, K]
    beta = (scaled.beta.log() + scaled.beta_scale[:, :, None]).transpose(0, 1)  # [B, T, K]
    if not bool(sound.all()):
        exact_rows = (~sound).nonzero().squeeze(1)
        subset = chain.rows(exact_rows)
        for part in subset.parts():
            rows = exact_rows[part]
            alpha[rows], beta[rows], normalizer[rows] = _exact_variables(subset.rows(part))
    outside = ~chain.mask()[:, :, None]  # [B, T, 1]
    return alpha.masked_fill(outside, -torch.inf), beta.masked_fill(outside, -torch.inf), normalizer
