"""A linear-chain conditional random field: the joint score of a label sequence, its likelihood, the best sequences.

A sentence of tokens 1…T with tags y scores

    score(x, y) = start[y₁] + Σₜ emission[t, yₜ] + Σₜ transition[yₜ₋₁, yₜ] + end[y_T]

and p(y | x) = exp(score(x, y) − log Z(x)), where Z sums exp(score) over all legal tag sequences.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

__all__ = ["CRF", "ForwardBackward"]

# Scaled probabilities are renormalised every few steps only: float64 holds 1e±308, and a step shrinks by far less.
_RENORMALISE_EVERY = 4
# A row whose forward and backward vectors meet in less than this may have lost paths to underflow. What underflows is
# under 1e-296 (1e-308 times at most K per unnormalised step), so above it the lost share is under 1e-90.
_LEAST_MASS = 1e-200
# The workspace of one step of a recursion over [B, K, K], in bytes; larger batches go through in parts.
_WORKSPACE = 64 * 2**20


class ForwardBackward(NamedTuple):
    """Log-space forward and backward variables of a batch.

    Args:
        alpha: [B, T, K], log of the summed weight of all ways to reach a tag at a step, its emission included.
        beta: [B, T, K], log of the summed weight of all ways to go on from there, its emission not included.
        normalizer: [B], log Z.
    """

    alpha: Tensor
    beta: Tensor
    normalizer: Tensor


class _Chain(NamedTuple):
    """What the recursions read, in the working precision (float64 where the device has it)."""

    emissions: Tensor  # [B, T, K], zero past a row's end
    start: Tensor  # [K], -inf where illegal
    transitions: Tensor  # [K, K]
    end: Tensor  # [K]
    lengths: Tensor  # [B] on the CPU, all of them in 1…T
    equal: bool  # whether every row is T long

    def mask(self) -> Tensor:
        """[B, T], true within a row's length."""
        batch, steps, _ = self.emissions.shape
        if self.equal:
            return torch.ones(batch, steps, dtype=torch.bool, device=self.emissions.device)
        return _mask(self.lengths, steps).to(self.emissions.device)

    def rows(self, index: Tensor) -> _Chain:
        """The chain of some rows only."""
        lengths = self.lengths[index.cpu()]
        return self._replace(emissions=self.emissions[index], lengths=lengths)


class _Sums(NamedTuple):
    """Result of a forward-backward pass: all that the likelihood, its gradient and the marginals need."""

    normalizer: Tensor  # [B]
    marginals: Tensor  # [B, T, K], zero past a row's end
    # Σₜ p(yₜ₋₁ = i, yₜ = j) of row b is weight[i, j] · Σₜ left[t, b, i] · right[t, b, j]; no [B, K, K] is ever made.
    left: Tensor  # [T - 1, B, K]
    right: Tensor  # [T - 1, B, K]
    weight: Tensor  # [K, K]
    # The same sums as [N, K, K] for the N rows that needed log space (their left and right are zero), or None.
    exact_rows: Tensor | None  # [N]
    exact_pairs: Tensor | None  # [N, K, K]


def _mask(lengths: Tensor, steps: int) -> Tensor:
    """[B, T], true within a row's length."""
    return torch.arange(steps, device=lengths.device) < lengths[:, None]


def _precision(emissions: Tensor) -> torch.dtype:
    # Apple's GPUs have no float64.
    return torch.float32 if emissions.device.type == "mps" else torch.float64


def _peak(scores: Tensor) -> Tensor:
    """The largest score, finite even if all are -inf, so that subtracting it never gives NaN."""
    return scores.amax().clamp(min=torch.finfo(scores.dtype).min)


class _Scaled(NamedTuple):
    """Forward and backward variables as scaled probabilities, each in its own scale; time first."""

    prior: Tensor  # [T, B, K] forward, emission of the step not included
    alpha: Tensor  # [T, B, K] forward, included
    beta: Tensor  # [T, B, K] backward, not included
    gamma: Tensor  # [T, B, K] backward, included
    alpha_scale: Tensor  # [T, B], log of what alpha was divided by
    beta_scale: Tensor  # [T, B], log of what beta was divided by
    weight: Tensor  # [K, K], exp(transitions)


def _scaled_recursion(chain: _Chain) -> _Scaled:
    """Forward and backward recursion in one loop of small matrix products (Rabiner 1989, section V.A).

    The backward recursion is the forward one over the reversed sentence with transposed transitions, so both run as
    one batched product a step.
    """
    batch, steps, tags = chain.emissions.shape
    device, dtype = chain.emissions.device, chain.emissions.dtype
    time = torch.arange(steps)[:, None]  # [T, 1]
    mirror = time.flip(0).expand(steps, batch) if chain.equal else chain.lengths - 1 - time  # [T, B]
    mirror = torch.where(mirror >= 0, mirror, time)
    flat = (mirror * batch + torch.arange(batch)).flatten().to(device)  # [T * B], its own inverse

    peaks = chain.emissions.amax(2)  # [B, T]
    weights = (chain.emissions - peaks[:, :, None]).exp_().transpose(0, 1).contiguous()  # [T, B, K]
    both = torch.stack((weights, weights.view(-1, tags)[flat].view_as(weights)), dim=1)  # [T, 2, B, K]
    start_peak, move_peak, end_peak = _peak(chain.start), _peak(chain.transitions), _peak(chain.end)
    weight = (chain.transitions - move_peak).exp()  # [K, K]
    moves = torch.stack((weight, weight.t()))  # [2, K, K]

    before, after = torch.empty_like(both), torch.empty_like(both)  # [T, 2, B, K]
    scales = torch.ones(steps, 2, batch, 1, device=device, dtype=dtype)
    before[0, 0] = (chain.start - start_peak).exp()
    before[0, 1] = (chain.end - end_peak).exp()
    tiny = torch.finfo(dtype).tiny
    for step, (emission, left, right, scale) in enumerate(
        zip(both.unbind(0), before.unbind(0), after.unbind(0), scales.unbind(0), strict=True)
    ):
        if step:
            torch.bmm(last, moves, out=left)
        torch.mul(left, emission, out=right)
        if step % _RENORMALISE_EVERY == 0:
            torch.amax(right, 2, keepdim=True, out=scale).clamp_(min=tiny)
            right.div_(scale)
        last = right

    logs = scales.log_().cumsum_(0).squeeze(3)  # [T, 2, B]
    raised = peaks.t().cumsum(0)  # [T, B]
    time = time.to(device)
    alpha_scale = logs[:, 0] + raised + start_peak + time * move_peak
    mirrored = mirror.to(device)
    # Past the sums of the mirrored order: everything strictly after a step, and the moves between.
    after_scale = torch.cat((torch.zeros_like(logs[:1]), logs[:-1]))[:, 1]  # [T, B]: beta is one division behind gamma
    beta_scale = after_scale.flatten()[flat].view(steps, batch) + raised[-1] - raised + end_peak + mirrored * move_peak
    return _Scaled(
        prior=before[:, 0],
        alpha=after[:, 0],
        beta=before[:, 1].reshape(-1, tags)[flat].view(steps, batch, tags),
        gamma=after[:, 1].reshape(-1, tags)[flat].view(steps, batch, tags),
        alpha_scale=alpha_scale,
        beta_scale=beta_scale,
        weight=weight,
    )


def _log_recursion(chain: _Chain) -> tuple[Tensor, Tensor, Tensor]:
    """The same recursions in log space: slower, and free of underflow whatever the scores.

    Returns:
        alpha [B, T, K], beta [B, T, K] and the normalizer [B]; see `ForwardBackward`.
    """
    emissions, lengths = chain.emissions, chain.lengths.to(chain.emissions.device)
    steps = emissions.shape[1]
    alphas = [chain.start + emissions[:, 0]]  # [B, K]
    for step in range(1, steps):
        alphas.append((alphas[-1][:, :, None] + chain.transitions).logsumexp(1) + emissions[:, step])
    end = chain.end.expand_as(alphas[0])  # [B, K]
    betas = [end]
    for step in range(steps - 1, 0, -1):
        ahead = (emissions[:, step] + betas[-1])[:, None, :]  # [B, 1, K]
        beta = (chain.transitions + ahead).logsumexp(2)  # [B, K]
        betas.append(torch.where((step < lengths)[:, None], beta, end))
    alpha, beta = torch.stack(alphas, 1), torch.stack(betas[::-1], 1)  # [B, T, K]
    last = alpha[torch.arange(len(lengths), device=alpha.device), lengths - 1]  # [B, K]
    return alpha, beta, (last + chain.end).logsumexp(1)


def _row_mass(chain: _Chain, scaled: _Scaled, mask: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Where the forward and backward vectors meet.

    Returns:
        alpha · beta [T, B, K], its sum [T, B] and prior · gamma [T - 1, B], and which rows [B] lost nothing.
    """
    unary = scaled.alpha * scaled.beta  # [T, B, K]
    mass = unary.sum(2)  # [T, B]
    meeting = (scaled.prior[1:] * scaled.gamma[1:]).sum(2)  # [T - 1, B]
    sound = mass >= _LEAST_MASS
    sound[1:] &= meeting >= _LEAST_MASS
    return unary, mass, meeting, (sound | ~mask.t()).all(0)


def _sums(chain: _Chain) -> _Sums:
    """Normalizer, marginals and pair marginals of a batch."""
    batch, _, tags = chain.emissions.shape
    device = chain.emissions.device
    mask = chain.mask()  # [B, T]
    scaled = _scaled_recursion(chain)
    unary, mass, meeting, sound = _row_mass(chain, scaled, mask)
    keep = mask & sound[:, None]  # [B, T]
    marginals = (unary / mass[:, :, None]).transpose(0, 1)  # [B, T, K]
    right = scaled.gamma[1:] / meeting[:, :, None]  # [T - 1, B, K]
    left = scaled.alpha[:-1]
    last = (chain.lengths - 1).to(device)
    rows = torch.arange(batch, device=device)
    normalizer = mass[last, rows].log() + scaled.alpha_scale[last, rows] + _peak(chain.end)  # [B]
    everything = bool(sound.all())
    if not (everything and chain.equal):
        marginals = torch.where(keep[:, :, None], marginals, 0)
        right = torch.where(keep.t()[1:, :, None], right, 0)
        left = torch.where(keep.t()[1:, :, None], left, 0)
    if everything:
        return _Sums(normalizer, marginals, left, right, scaled.weight, None, None)
    exact_rows = (~sound).nonzero().squeeze(1)  # [N]
    part = max(1, _WORKSPACE // (3 * tags * tags * chain.emissions.element_size()))
    pairs = []
    marginals = marginals.contiguous()
    for chunk in exact_rows.split(part):
        few = chain.rows(chunk)
        alpha, beta, total = _log_recursion(few)
        # A row without any legal path has log Z = -inf, and gradients of zero rather than NaN.
        floor = torch.where(total.isneginf(), 0, total)[:, None]  # [n, 1]
        inside = few.mask()  # [n, T]
        normalizer[chunk] = total
        marginals[chunk] = torch.where(inside[:, :, None], (alpha + beta - floor[:, :, None]).exp(), 0)
        pair = torch.zeros(len(chunk), tags, tags, device=device, dtype=alpha.dtype)
        for step in range(1, alpha.shape[1]):
            ahead = few.emissions[:, step] + beta[:, step] - floor  # [n, K]
            joint = (alpha[:, step - 1, :, None] + chain.transitions + ahead[:, None, :]).exp()  # [n, K, K]
            pair += torch.where(inside[:, step, None, None], joint, 0)
        pairs.append(pair)
    return _Sums(normalizer, marginals, left, right, scaled.weight, exact_rows, torch.cat(pairs))


class _Normalizer(torch.autograd.Function):
    """log Z whose gradient is the marginals, so that no autograd graph grows with the sentence."""

    @staticmethod
    def forward(
        ctx: Any, emissions: Tensor, start: Tensor, transitions: Tensor, end: Tensor, lengths: Tensor, equal: bool
    ) -> Tensor:
        sums = _sums(_Chain(emissions, start, transitions, end, lengths, equal))
        ctx.save_for_backward(*sums[1:])
        ctx.last = (lengths - 1).to(emissions.device)
        return sums.normalizer

    @staticmethod
    @torch.autograd.function.once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        marginals, left, right, weight, exact_rows, exact_pairs = ctx.saved_tensors
        tags = weight.shape[0]
        emissions = marginals * gradient[:, None, None]  # [B, T, K]
        rows = torch.arange(len(gradient), device=gradient.device)
        pairs = left.reshape(-1, tags).t() @ (right * gradient[:, None]).reshape(-1, tags)  # [K, K]
        transitions = pairs * weight
        if exact_rows is not None:
            transitions = transitions + torch.einsum("n,nij->ij", gradient[exact_rows], exact_pairs)
        return emissions, emissions[:, 0].sum(0), transitions, emissions[rows, ctx.last].sum(0), None, None


class CRF(nn.Module):
    """A linear-chain conditional random field (Lafferty, McCallum and Pereira 2001) over [B, T, K] emissions.

    Constraints are kept apart from the parameters: an illegal move scores -inf whatever was learnt, so that no
    method ever gives it any probability.

    Rows of length zero have log-likelihood 0 and no tags. What stands past a row's end never matters.
    Everything is computed in float64 inside (float32 on devices without it), also under autocast; results come in
    float32, or in float64 where the emissions are.

    Args:
        num_tags: K.
        start: bool [K], the tags that a sentence may begin with; all of them by default.
        transition: bool [K, K], from → to, the moves that are legal.
        end: bool [K], the tags that a sentence may end with.
        trainable: false keeps all scores of moves at zero, for constrained decoding of a softmax tagger.

    Raises:
        ValueError: a size or shape is not as said above.
    """

    start_transitions: Tensor
    transitions: Tensor
    end_transitions: Tensor
    legal_start: Tensor
    legal_transitions: Tensor
    legal_end: Tensor

    def __init__(
        self,
        num_tags: int,
        *,
        start: Tensor | None = None,
        transition: Tensor | None = None,
        end: Tensor | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__()
        if num_tags < 1:
            raise ValueError(f"expected at least one tag, found num_tags={num_tags}")
        self.num_tags = num_tags
        scores = {"start_transitions": (num_tags,), "transitions": (num_tags, num_tags), "end_transitions": (num_tags,)}
        for name, shape in scores.items():
            if trainable:
                setattr(self, name, nn.Parameter(torch.empty(shape)))
            else:
                self.register_buffer(name, torch.zeros(shape), persistent=False)
        legal = {"legal_start": start, "legal_transitions": transition, "legal_end": end}
        for (name, given), shape in zip(legal.items(), scores.values(), strict=True):
            if shape[0] and given is not None and (tuple(given.shape) != shape or given.dtype != torch.bool):
                found = f"{given.dtype} of shape {list(given.shape)}"
                raise ValueError(f"expected {name} as torch.bool of shape {list(shape)}, found {found}")
            self.register_buffer(name, torch.ones(shape, dtype=torch.bool) if given is None else given.clone())
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the scores of moves anew: uniform between -0.1 and 0.1."""
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -0.1, 0.1)

    def _moves(self, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
        """Start [K], transition [K, K] and end [K] scores, -inf where illegal."""
        start = self.start_transitions.to(dtype).masked_fill(~self.legal_start, -torch.inf)
        transitions = self.transitions.to(dtype).masked_fill(~self.legal_transitions, -torch.inf)
        end = self.end_transitions.to(dtype).masked_fill(~self.legal_end, -torch.inf)
        return start, transitions, end

    def _check(self, emissions: Tensor, lengths: Tensor) -> None:
        if emissions.dim() != 3 or emissions.shape[2] != self.num_tags:
            raise ValueError(f"expected emissions of shape [B, T, {self.num_tags}], found {list(emissions.shape)}")
        batch, steps, _ = emissions.shape
        if lengths.shape != (batch,) or lengths.dtype != torch.int64 or lengths.device.type != "cpu":
            found = f"{lengths.dtype} of shape {list(lengths.shape)} on {lengths.device}"
            raise ValueError(f"expected lengths as torch.int64 of shape [{batch}] on the CPU, found {found}")
        if batch and (int(lengths.min()) < 0 or int(lengths.max()) > steps):
            found = f"{int(lengths.min())} to {int(lengths.max())}"
            raise ValueError(f"expected lengths from 0 to {steps}, found {found}")

    def score(self, emissions: Tensor, tags: Tensor, lengths: Tensor) -> Tensor:
        """Score of given tag sequences, -inf for an illegal one.

        Args:
            emissions: [B, T, K] scores.
            tags: [B, T] int64.
            lengths: [B] int64 on the CPU.

        Returns:
            [B] scores.

        Raises:
            ValueError: a shape does not fit, or a tag is not in 0…K-1.
        """
        self._check(emissions, lengths)
        return self._score(emissions, tags, lengths).to(_result_type(emissions))

    def _score(self, emissions: Tensor, tags: Tensor, lengths: Tensor) -> Tensor:
        batch, steps, count = emissions.shape
        if tags.shape != (batch, steps) or tags.dtype != torch.int64:
            found = f"{tags.dtype} of shape {list(tags.shape)}"
            raise ValueError(f"expected tags as torch.int64 of shape {[batch, steps]}, found {found}")
        dtype = _precision(emissions)
        if not batch or not steps:
            return emissions.new_zeros(batch, dtype=dtype)
        mask = _mask(lengths, steps).to(emissions.device)  # [B, T]
        tags = tags.masked_fill(~mask, 0)
        if not tags.is_cuda and (int(tags.min()) < 0 or int(tags.max()) >= count):
            found = f"{int(tags.min())} to {int(tags.max())}"
            raise ValueError(f"expected tags from 0 to {count - 1}, found {found}")
        start, transitions, end = self._moves(dtype)
        unary = emissions.gather(2, tags[:, :, None]).squeeze(2).to(dtype)  # [B, T]
        moves = transitions.flatten()[tags[:, :-1] * count + tags[:, 1:]]  # [B, T - 1]
        unary = unary + torch.cat((start[tags[:, :1]], moves), 1)
        last = (lengths - 1).clamp(min=0).to(emissions.device)
        total = torch.where(mask, unary, 0).sum(1)  # [B]
        return total + torch.where(mask[:, 0], end[tags.gather(1, last[:, None]).squeeze(1)], 0)

    def normalizer(self, emissions: Tensor, lengths: Tensor) -> Tensor:
        """log Z, the logarithm of the summed exp(score) of all legal tag sequences.

        Args:
            emissions: [B, T, K] scores.
            lengths: [B] int64 on the CPU.

        Returns:
            [B]; 0 for a row of length zero, -inf where there is no legal sequence.

        Raises:
            ValueError: a shape does not fit.
        """
        self._check(emissions, lengths)
        return self._normalizer(emissions, lengths).to(_result_type(emissions))

    def _chain(self, emissions: Tensor, lengths: Tensor) -> tuple[_Chain, Tensor | None]:
        """The non-empty rows as a chain, cut to the longest; with their indices where some rows are empty."""
        dtype = _precision(emissions)
        kept = None
        if len(lengths) and int(lengths.min()) == 0:
            filled = lengths.nonzero().squeeze(1)  # [B']
            kept = filled.to(emissions.device)
            emissions, lengths = emissions[kept], lengths[filled]
        steps = int(lengths.max()) if len(lengths) else 0
        emissions = emissions[:, :steps].to(dtype)
        equal = bool((lengths == steps).all())
        if not equal:
            emissions = torch.where(_mask(lengths, steps).to(emissions.device)[:, :, None], emissions, 0)
        return _Chain(emissions, *self._moves(dtype), lengths, equal), kept

    def _normalizer(self, emissions: Tensor, lengths: Tensor) -> Tensor:
        chain, kept = self._chain(emissions, lengths)
        if not len(chain.lengths):
            return emissions.new_zeros(len(lengths), dtype=chain.start.dtype)
        total: Tensor = _Normalizer.apply(*chain)  # type: ignore[no-untyped-call]
        return total if kept is None else total.new_zeros(len(lengths)).index_copy(0, kept, total)

    def log_likelihood(self, emissions: Tensor, tags: Tensor, lengths: Tensor) -> Tensor:
        """log p(tags | emissions) = score - log Z of each row.

        Args:
            emissions: [B, T, K] scores.
            tags: [B, T] int64.
            lengths: [B] int64 on the CPU.

        Returns:
            [B], at most 0; -inf where the given tags are illegal (gradients are finite still).

        Raises:
            ValueError: a shape does not fit, or a tag is not in 0…K-1.
        """
        self._check(emissions, lengths)
        difference = self._score(emissions, tags, lengths) - self._normalizer(emissions, lengths)
        return difference.to(_result_type(emissions))


def _result_type(emissions: Tensor) -> torch.dtype:
    return torch.float64 if emissions.dtype == torch.float64 else torch.float32
