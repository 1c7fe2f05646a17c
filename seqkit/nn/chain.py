"""Sums over all tag sequences of a chain: the forward-backward recursions beneath `seqkit.nn.crf`.

A chain gives the tag sequence y₁…y_T the score start[y₁] + Σₜ emissions[t, yₜ] + Σₜ transitions[yₜ₋₁, yₜ] + end[y_T].

The sums are computed with scaled probabilities (Rabiner 1989, section V.A): a step is one small matrix product, and
expected counts of transitions are one large one, so that no [B, K, K] is ever created. Each row is checked for a loss
by underflow, and rows that fail (scores some hundreds apart) are computed again in log space. On CUDA, where reading
the result of the check would synchronise CPU and GPU in every training step, sums and counts are computed in log space
from the start.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from seqkit.nn.sequences import running_sum, to_device, token_mask

# Scaled probabilities are renormalised every few steps only: float64 holds 1e±308, and a step shrinks by far less.
_RENORMALISE_EVERY = 4
# What underflows is less than 1e-290 (1e-308 times at most K a step since the last renormalisation, on either side).
# If the product of the forward and backward vectors is at least this large, the share lost is under 1e-90.
_LEAST_MASS = 1e-200
# Bytes of workspace for one step over [B, K, K]; larger batches are processed in parts. A CPU is fastest in its cache.
_CPU_WORKSPACE = 2**20
_GPU_WORKSPACE = 2**26
_CHECKED = ("cpu", "mps")
"""kinds of devices on which scaled probabilities are tried first"""


class Chain(NamedTuple):
    """Scores of a batch of non-empty rows in the working precision: float64 if the device supports it.

    Args:
        emissions: [B, T, K], zero past a row's end.
        start: [K], -inf where illegal, as the next two.
        transitions: [K, K], from → to.
        end: [K].
        lengths: [B] int64 on the CPU, each in 1…T, the longest T.
        equal: whether all lengths are T, which makes masking unnecessary.
    """

    emissions: Tensor
    start: Tensor
    transitions: Tensor
    end: Tensor
    lengths: Tensor
    equal: bool

    def last(self) -> tuple[Tensor, Tensor]:
        """Each row's last step and its number, [B] each: an index of time-first tensors [T, B, …]."""
        last = to_device(self.lengths - 1, self.emissions.device)
        return last, torch.arange(len(last), device=last.device)

    def mask(self) -> Tensor:
        """[B, T], true within a row's length."""
        return token_mask(self.lengths, self.emissions)

    def fitting(self, size: int) -> int:
        """How many tensors of so many scores fit the workspace, at least one."""
        allowed = _CPU_WORKSPACE if self.emissions.device.type == "cpu" else _GPU_WORKSPACE
        return max(1, allowed // (size * self.emissions.element_size()))

    def parts(self, size: int) -> list[tuple[slice, Chain]]:
        """Parts of the rows that fit the workspace at `size` scores a row, none shortened, with their place."""
        batch, rows = len(self.emissions), self.fitting(size)
        cuts = [slice(begin, begin + rows) for begin in range(0, batch or 1, rows)]
        return [(cut, self._replace(emissions=self.emissions[cut], lengths=self.lengths[cut])) for cut in cuts]

    def exact_parts(self, rows: Tensor) -> list[tuple[slice, Chain]]:
        """The `parts` of some rows, int64 [N] on the CPU, for recursions in log space."""
        subset = self._replace(
            emissions=self.emissions[to_device(rows, self.emissions.device)], lengths=self.lengths[rows]
        )
        return subset.parts(2 * self.transitions.numel())


class _Scaled(NamedTuple):
    """Forward and backward variables as probabilities, each [B, K] with a scale of its own, and their products.

    Time comes first. Values past a row's end are finite and have no meaning.
    """

    alpha: Tensor  # [T, B, K], forward, emission included
    beta: Tensor  # [T, B, K], backward, emission not included
    gamma: Tensor  # [T, B, K], backward, emission included
    alpha_scale: Tensor  # [T, B], log of the divisor of alpha
    beta_scale: Tensor  # [T, B], log of the divisor of beta
    weight: Tensor  # [K, K], exp(transitions), divided by its maximum
    unary: Tensor  # [T, B, K], alpha · beta
    mass: Tensor  # [T, B], its sum
    pair_mass: Tensor  # [T - 1, B], the sum of alpha without emission · gamma: the same between two steps
    normalizer: Tensor  # [B], log Z
    sound: Tensor  # [B], whether underflow lost nothing significant


def working_type(device: torch.device) -> torch.dtype:
    """The precision for sums over sequences: float64, or float32 on Apple's GPUs, which have no float64."""
    return torch.float32 if device.type == "mps" else torch.float64


def _finite(scores: Tensor) -> Tensor:
    """Scores clamped to the least finite number, so that subtracting one from -inf never gives NaN."""
    return scores.clamp(min=torch.finfo(scores.dtype).min)


def _reversal(chain: Chain) -> tuple[Callable[[Tensor], Tensor], Tensor]:
    """A function that reverses each row of [T, B, …] within its length; each step's distance from the end, [T, B]."""
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
    start_peak, peak, end_peak = (_finite(scores.amax()) for scores in (chain.start, chain.transitions, chain.end))
    weight = (chain.transitions - peak).exp()  # [K, K]
    weights = torch.stack((weight, weight.t()))  # [2, K, K]

    before, after = torch.empty_like(emissions), torch.empty_like(emissions)  # [2, T, B, K]
    before[0, 0] = (chain.start - start_peak).exp()
    before[1, 0] = (chain.end - end_peak).exp()
    scales = emissions.new_ones(2, steps, batch, 1)
    tiny = torch.finfo(emissions.dtype).tiny
    previous = after[:, 0]  # [2, B, K]
    unbound = zip(emissions.unbind(1), before.unbind(1), after.unbind(1), strict=True)
    for step, (emission, left, right) in enumerate(unbound):
        if step:
            torch.bmm(previous, weights, out=left)
        torch.mul(left, emission, out=right)
        if step % _RENORMALISE_EVERY == 0:
            right /= torch.amax(right, 2, keepdim=True, out=scales[:, step]).clamp_(min=tiny)
        previous = right

    logs = scales.clamp_(min=tiny).log_().squeeze(3)  # [2, T, B]
    divided = running_sum(logs, 1)
    # beta at a step equals gamma before that step's own emission and division.
    divided_before = reverse(divided[1] - logs[1])  # [T, B]
    raised = running_sum(peaks, 0)  # [T, B]
    time = torch.arange(steps, device=raised.device)[:, None]  # [T, 1]
    alpha, beta, gamma = after[0], reverse(before[1]), reverse(after[1])  # [T, B, K]
    alpha_scale = divided[0] + raised + start_peak + time * peak  # [T, B]
    beta_scale = divided_before + (raised[-1] - raised) + end_peak + to_device(mirror, raised.device) * peak  # [T, B]

    unary = alpha * beta  # [T, B, K]
    mass = unary.sum(2)  # [T, B]
    pair_mass = (before[0, 1:] * gamma[1:]).sum(2)  # [T - 1, B]
    # The comparison is false for NaN, so that log space decides whether a NaN remains.
    sound = mass >= _LEAST_MASS  # [T, B]
    sound[1:] &= pair_mass >= _LEAST_MASS
    if not chain.equal:
        sound |= ~chain.mask().t()
    last = chain.last()
    log_z = mass[last].log() + alpha_scale[last] + beta_scale[last]  # [B]
    return _Scaled(alpha, beta, gamma, alpha_scale, beta_scale, weight, unary, mass, pair_mass, log_z, sound.all(0))


def _exact_variables(chain: Chain) -> tuple[Tensor, Tensor, Tensor]:
    """The same recursions in log space: slower, and correct for all scores; see `log_variables`."""
    reverse, _ = _reversal(chain)
    emissions = chain.emissions.transpose(0, 1)  # [T, B, K]
    both = torch.stack((emissions, reverse(emissions)), 1)  # [T, 2, B, K]
    transitions = torch.stack((chain.transitions.t(), chain.transitions))[:, None]  # [2, 1, K, K], to, from
    before, after = torch.empty_like(both), torch.empty_like(both)  # [T, 2, B, K]
    before[0] = torch.stack((chain.start, chain.end))[:, None]
    for step, (emission, left, right) in enumerate(zip(both, before, after, strict=True)):
        if step:
            paths = after[step - 1][:, :, None] + transitions  # [2, B, K, K], to, from
            # On CUDA the cumulative sum is one kernel, `logsumexp` eight; elsewhere it may be slow, or missing.
            left.copy_(paths.logcumsumexp(3)[..., -1] if paths.is_cuda else paths.logsumexp(3))
        torch.add(left, emission, out=right)
    normalizer = (after[:, 0][chain.last()] + chain.end).logsumexp(1)  # [B]
    return after[:, 0].transpose(0, 1), reverse(before[:, 1]).transpose(0, 1), normalizer


class ExpectedCounts(NamedTuple):
    """Expected counts: p(yₜ = j) and, in factorised form, Σₜ p(yₜ₋₁ = i, yₜ = j) of each row."""

    marginals: Tensor  # [B, T, K], zero past a row's end
    # The sum over t of row b is weight[i, j] · Σₜ alpha[t, b, i] · share[t, b] · gamma[t, b, j].
    alpha: Tensor  # [T - 1, B, K], of all steps but the last; [T - 1, 0, K], as the next two, if all rows are exact
    gamma: Tensor  # [T - 1, B, K], of all steps but the first
    share: Tensor  # [T - 1, B], zero past a row's end
    weight: Tensor  # [K, K]
    # The rows computed in log space (whose share is zero) and their sums.
    exact_rows: Tensor  # [N]
    exact_pairs: Tensor  # [N, K, K]


def expected_counts(chain: Chain) -> tuple[Tensor, ExpectedCounts]:
    """Expected counts of tags and transitions.

    Args:
        chain: the scores.

    Returns:
        log Z [B], -inf where no sequence is legal, and the counts, zero there.
    """
    if chain.emissions.device.type not in _CHECKED:
        return _expect_unchecked(chain)
    scaled = _scaled_variables(chain)
    share, pair_share = 1 / scaled.mass, 1 / scaled.pair_mass  # [T, B] and [T - 1, B]
    rows = scaled.sound.new_empty(0, dtype=torch.int64)  # [N], those to compute in log space
    pairs = chain.transitions.new_empty(0, *chain.transitions.shape)  # [N, K, K]
    unsound = (~scaled.sound).cpu().nonzero().squeeze(1)  # [N]
    all_sound = not len(unsound)
    if not (all_sound and chain.equal):
        keep = (chain.mask() & scaled.sound[:, None]).t()  # [T, B]
        share, pair_share = torch.where(keep, share, 0), torch.where(keep[1:], pair_share, 0)
    marginals = scaled.unary.mul_(share[:, :, None]).transpose(0, 1)  # [B, T, K]
    if not all_sound:
        rows = to_device(unsound, rows.device)
        pairs = pairs.new_empty(len(rows), *pairs.shape[1:])
        for cut, part in chain.exact_parts(unsound):
            scaled.normalizer[rows[cut]], marginals[rows[cut]], pairs[cut] = _exact_expect(part)
    counts = ExpectedCounts(marginals, scaled.alpha[:-1], scaled.gamma[1:], pair_share, scaled.weight, rows, pairs)
    return scaled.normalizer, counts


def _expect_unchecked(chain: Chain) -> tuple[Tensor, ExpectedCounts]:
    """The same in log space, without reading any value from the device."""
    parts = [_exact_expect(part) for _, part in chain.parts(2 * chain.transitions.numel())]
    normalizer, marginals, pairs = map(torch.cat, zip(*parts, strict=True))
    rows = torch.arange(len(pairs), device=pairs.device)  # [B]
    none = marginals[:0].transpose(0, 1)  # [T, 0, K]
    weight = torch.zeros_like(chain.transitions)  # [K, K]
    return normalizer, ExpectedCounts(marginals, none[1:], none[1:], none[1:, :, 0], weight, rows, pairs)


def _exact_expect(chain: Chain) -> tuple[Tensor, Tensor, Tensor]:
    """log Z [B], marginals [B, T, K] and summed pair marginals [B, K, K] in log space."""
    alpha, beta, normalizer = _exact_variables(chain)
    batch, steps, _ = alpha.shape
    # A row without any legal sequence has log Z = -inf; its probabilities become zeros rather than NaN.
    floor = normalizer.masked_fill(normalizer.isneginf(), 0)[:, None, None]  # [B, 1, 1]
    inside = chain.mask()[:, :, None]  # [B, T, 1]
    probabilities = torch.where(inside, (alpha + beta - floor).exp(), 0)  # [B, T, K]
    ahead = torch.where(inside, chain.emissions + beta - floor, -torch.inf)[:, :, None]  # [B, T, 1, K]
    pairs = torch.zeros_like(chain.transitions).repeat(batch, 1, 1)  # [B, K, K]
    size = chain.fitting(pairs.numel() or 1)
    for begin in range(1, steps, size):
        part, before = slice(begin, begin + size), slice(begin - 1, min(steps, begin + size) - 1)
        pairs += (alpha[:, before, :, None] + chain.transitions + ahead[:, part]).exp_().sum(1)
    return normalizer, probabilities, pairs


class _LogNormalizer(torch.autograd.Function):
    """log Z, whose gradients are expected counts: the autograd graph does not grow with the length of a row."""

    @staticmethod
    def forward(ctx: Any, emissions: Tensor, *others: Any) -> Tensor:
        chain = Chain(emissions, *others)
        normalizer, counts = expected_counts(chain)
        ctx.save_for_backward(*counts, *chain.last())
        return normalizer

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        marginals, alpha, gamma, share, weight, exact_rows, exact_pairs, last, rows = ctx.saved_tensors
        emissions = marginals * gradient[:, None, None]  # [B, T, K]
        transitions = torch.zeros_like(weight)  # [K, K]
        if alpha.shape[1]:
            right = gamma * (share * gradient)[:, :, None]  # [T - 1, B, K]
            torch.mul(alpha.flatten(0, 1).t() @ right.flatten(0, 1), weight, out=transitions)
        if len(exact_rows):
            transitions += torch.einsum("n,nij->ij", gradient[exact_rows], exact_pairs)
        return emissions, emissions[:, 0].sum(0), transitions, emissions[rows, last].sum(0), None, None


def log_normalizer(chain: Chain) -> Tensor:
    """log Z of each row, with gradients to emissions, start, transitions and end.

    Args:
        chain: the scores.

    Returns:
        [B]; -inf where no sequence is legal.
    """
    result: Tensor = _LogNormalizer.apply(*chain)  # type: ignore[no-untyped-call]
    return result


def log_variables(chain: Chain) -> tuple[Tensor, Tensor, Tensor]:
    """Forward and backward variables.

    Args:
        chain: the scores.

    Returns:
        alpha [B, T, K], log of the summed weight of all paths to a tag, its emission included; beta [B, T, K], of all
        paths from there on, its emission not included; log Z [B]. Both are -inf past a row's end, and may be if a tag's
        probability is under 1e-90.
    """
    scaled = _scaled_variables(chain)
    alpha = (scaled.alpha.log() + scaled.alpha_scale[:, :, None]).transpose(0, 1)  # [B, T, K]
    beta = (scaled.beta.log() + scaled.beta_scale[:, :, None]).transpose(0, 1)  # [B, T, K]
    unsound = (~scaled.sound).cpu().nonzero().squeeze(1)  # [N]
    if len(unsound):
        rows = to_device(unsound, alpha.device)  # [N]
        for cut, part in chain.exact_parts(unsound):
            alpha[rows[cut]], beta[rows[cut]], scaled.normalizer[rows[cut]] = _exact_variables(part)
    outside = ~chain.mask()[:, :, None]  # [B, T, 1]
    return alpha.masked_fill(outside, -torch.inf), beta.masked_fill(outside, -torch.inf), scaled.normalizer
