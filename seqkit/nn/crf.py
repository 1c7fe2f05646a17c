"""A linear-chain conditional random field: scores, likelihood, best sequences and probabilities of tag sequences.

A sentence x of T tokens with tags y has

    score(x, y) = start[y₁] + Σₜ emissions[t, yₜ] + Σₜ transitions[yₜ₋₁, yₜ] + end[y_T]
    log p(y | x) = score(x, y) - log Z(x),    Z(x) = Σ exp(score(x, y')) over all legal y'
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor, nn

from seqkit.nn.chain import Chain, log_normalizer, log_variables, marginals, working_type
from seqkit.nn.device import to_device
from seqkit.nn.masks import length_mask
from seqkit.nn.viterbi import best_paths, n_best_paths

__all__ = ["CRF", "ForwardBackward"]

_Moves: TypeAlias = tuple[Tensor, Tensor, Tensor]


class ForwardBackward(NamedTuple):
    """Forward and backward variables of a batch, as logarithms in float64; -inf past a row's end.

    Args:
        alpha: [B, T, K], log of the summed weight of all ways to reach a tag, its emission included.
        beta: [B, T, K], log of the summed weight of all ways to go on from a tag, its emission not included.
        normalizer: [B], log Z.
    """

    alpha: Tensor
    beta: Tensor
    normalizer: Tensor


class CRF(nn.Module):
    """A linear-chain conditional random field (Lafferty, McCallum and Pereira 2001) over emissions [B, T, K].

    Constraints are no parameters: an illegal move scores -inf whatever was learnt, so that no method ever gives it any
    probability. Rows of length zero have score and log-likelihood 0 and no tags. Whatever stands past a row's end
    changes nothing. Sums are computed in float64 (float32 on devices without it), also under autocast, and maxima in
    the type of the results: float32, or float64 where the emissions are float64.

    Args:
        num_tags: K.
        start: bool [K], the tags that a sentence may begin with; by default all.
        transition: bool [K, K], from → to, the legal moves; by default all.
        end: bool [K], the tags that a sentence may end with; by default all.
        trainable: false leaves all legal moves at a score of zero, to decode a softmax tagger under constraints.

    Raises:
        ValueError: `num_tags` is not positive, or a constraint has another shape or type.
    """

    start_transitions: Tensor | None
    transitions: Tensor | None
    end_transitions: Tensor | None
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
        for name, legal, shape in (
            ("start", start, (num_tags,)),
            ("transition", transition, (num_tags, num_tags)),
            ("end", end, (num_tags,)),
        ):
            if legal is not None and (legal.shape != shape or legal.dtype != torch.bool):
                found = f"{legal.dtype} of shape {list(legal.shape)}"
                raise ValueError(f"expected {name} as torch.bool of shape {list(shape)}, found {found}")
            plural = "transitions" if name == "transition" else name
            # Which moves are legal is known where scores have no memory yet: see seqkit.model.restoring.
            legal = torch.ones(shape, dtype=torch.bool, device="cpu") if legal is None else legal.clone()
            self.register_buffer(f"legal_{plural}", legal)
            scores = "transitions" if name == "transition" else f"{name}_transitions"
            if trainable:
                self.register_parameter(scores, nn.Parameter(torch.empty(shape)))
            else:
                self.register_parameter(scores, None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the scores of all moves anew, uniform between -0.1 and 0.1."""
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -0.1, 0.1)

    def extra_repr(self) -> str:
        """K, and how many of the K² moves are legal."""
        return f"num_tags={self.num_tags}, legal_moves={int(self.legal_transitions.sum())}"

    def score(self, emissions: Tensor, tags: Tensor, lengths: Tensor) -> Tensor:
        """Score of the given tag sequences.

        Args:
            emissions: [B, T, K] scores.
            tags: [B, T] int64, each in 0…K-1; anything past a row's end.
            lengths: [B] int64 on the CPU, each in 0…T.

        Returns:
            [B]; -inf for an illegal sequence.

        Raises:
            ValueError: a shape, type, length or tag is not as said above.
        """
        self._check(emissions, lengths)
        return self._score(emissions, tags, lengths, self._moves(emissions)).to(_result_type(emissions))

    def normalizer(self, emissions: Tensor, lengths: Tensor) -> Tensor:
        """log Z, the logarithm of the summed exp(score) of all legal tag sequences.

        Args:
            emissions: [B, T, K] scores.
            lengths: [B] int64 on the CPU, each in 0…T.

        Returns:
            [B]; 0 for an empty row, -inf where no sequence is legal.

        Raises:
            ValueError: a shape, type or length is not as said above.
        """
        self._check(emissions, lengths)
        return self._normalizer(emissions, lengths, self._moves(emissions)).to(_result_type(emissions))

    def log_likelihood(self, emissions: Tensor, tags: Tensor, lengths: Tensor) -> Tensor:
        """log p(tags | emissions) in nats, a sum over each row's tokens.

        Args:
            emissions: [B, T, K] scores.
            tags: [B, T] int64, each in 0…K-1; anything past a row's end.
            lengths: [B] int64 on the CPU, each in 0…T.

        Returns:
            [B], at most 0; 0 for an empty row, -inf (with finite gradients) where the tags are illegal.

        Raises:
            ValueError: a shape, type, length or tag is not as said above.
        """
        self._check(emissions, lengths)
        # Subtracted before rounding to float32: of a long sentence both are large and nearly equal.
        moves = self._moves(emissions)
        score = self._score(emissions, tags, lengths, moves)
        normalizer = self._normalizer(emissions, lengths, moves)
        # Where nothing is legal at all the score is -inf already, and -inf - -inf would be NaN.
        difference = score - normalizer.masked_fill(normalizer.isneginf(), 0)
        return difference.to(_result_type(emissions))

    @torch.no_grad()
    def viterbi(self, emissions: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """The best legal tag sequence of each row (Viterbi 1967).

        Args:
            emissions: [B, T, K] scores.
            lengths: [B] int64 on the CPU, each in 0…T.

        Returns:
            tags [B, T] int64, zero past a row's end, and their scores [B]. Where no sequence is legal the score is
            -inf and the tags are zeros.

        Raises:
            ValueError: a shape, type or length is not as said above.
        """
        self._check(emissions, lengths)
        chain, filled = _chain(emissions, lengths, self._moves(emissions, _result_type(emissions)))
        tags = torch.zeros(emissions.shape[:2], dtype=torch.int64, device=emissions.device)  # [B, T]
        scores = emissions.new_zeros(len(emissions), dtype=_result_type(emissions))  # [B]
        if len(filled):
            best, best_scores = best_paths(chain)
            keep = ~best_scores.isneginf()[:, None]  # [B', 1]
            if not chain.equal:
                keep = chain.mask() & keep  # [B', T']
            tags[filled, : best.shape[1]] = best.masked_fill_(~keep, 0)
            scores[filled] = best_scores.to(scores.dtype)
        return tags, scores

    @torch.no_grad()
    def nbest(self, emissions: Tensor, lengths: Tensor, n: int) -> tuple[Tensor, Tensor]:
        """The n best legal tag sequences of each row, best first.

        Args:
            emissions: [B, T, K] scores.
            lengths: [B] int64 on the CPU, each in 0…T.
            n: how many, at least 1.

        Returns:
            tags [B, n, T] int64, zero past a row's end, and their scores [B, n], descending. Where there are fewer
            than n legal sequences the rest has score -inf and tags of zero; an empty row has one, of score 0.

        Raises:
            ValueError: a shape, type or length is not as said above, or n is less than 1.
        """
        self._check(emissions, lengths)
        if n < 1:
            raise ValueError(f"expected n of at least 1, found {n}")
        chain, filled = _chain(emissions, lengths, self._moves(emissions))
        batch, steps, _ = emissions.shape
        tags = torch.zeros(batch, n, steps, dtype=torch.int64, device=emissions.device)
        scores = torch.full((batch, n), -torch.inf, dtype=_result_type(emissions), device=emissions.device)
        scores[:, 0] = 0
        if len(filled):
            best, best_scores = n_best_paths(chain, n)
            keep = chain.mask()[:, None, :] & ~best_scores.isneginf()[:, :, None]  # [B', n, T']
            tags[filled, :, : best.shape[2]] = best.masked_fill_(~keep, 0)
            scores[filled] = best_scores.to(scores.dtype)
        return tags, scores

    @torch.no_grad()
    def marginals(self, emissions: Tensor, lengths: Tensor) -> Tensor:
        """Probability of each tag at each token, all legal sequences considered.

        Args:
            emissions: [B, T, K] scores.
            lengths: [B] int64 on the CPU, each in 0…T.

        Returns:
            [B, T, K], summing to 1 over the tags; zero past a row's end and where no sequence is legal.

        Raises:
            ValueError: a shape, type or length is not as said above.
        """
        self._check(emissions, lengths)
        chain, filled = _chain(emissions, lengths, self._moves(emissions))
        result = torch.zeros_like(emissions, dtype=_result_type(emissions))  # [B, T, K]
        if len(filled):
            found = marginals(chain)
            result[filled, : found.shape[1]] = found.to(result.dtype)
        return result

    @torch.no_grad()
    def forward_backward(self, emissions: Tensor, lengths: Tensor) -> ForwardBackward:
        """Forward and backward variables, for `segment_log_probability`.

        Args:
            emissions: [B, T, K] scores.
            lengths: [B] int64 on the CPU, each in 0…T.

        Returns:
            alpha [B, T, K], beta [B, T, K] and normalizer [B]. ``exp(alpha + beta - normalizer)`` are the marginals;
            alpha and beta may be -inf where a marginal is under 1e-90.

        Raises:
            ValueError: a shape, type or length is not as said above.
        """
        self._check(emissions, lengths)
        chain, filled = _chain(emissions, lengths, self._moves(emissions))
        dtype = chain.emissions.dtype
        alpha = torch.full_like(emissions, -torch.inf, dtype=dtype)  # [B, T, K]
        beta = torch.full_like(emissions, -torch.inf, dtype=dtype)
        normalizer = emissions.new_zeros(len(emissions), dtype=dtype)  # [B]
        if len(filled):
            steps = chain.emissions.shape[1]
            alpha[filled, :steps], beta[filled, :steps], normalizer[filled] = log_variables(chain)
        return ForwardBackward(alpha, beta, normalizer)

    @torch.no_grad()
    def segment_log_probability(
        self, variables: ForwardBackward, emissions: Tensor, segments: Sequence[tuple[int, int, Sequence[int]]]
    ) -> Tensor:
        """Exact log-probability that consecutive tokens carry exactly the given tags, whatever the others carry.

        log p = alpha[first, y₁] + Σ (transitions[yₖ₋₁, yₖ] + emissions[first + k - 1, yₖ]) + beta[last, yₙ] - log Z

        Args:
            variables: of `forward_backward`, of the same emissions.
            emissions: [B, T, K] scores.
            segments: N of (row, first token, tags), each with at least one tag.

        Returns:
            [N]; -inf where the tags are illegal or reach past the row's end, and perhaps where p is under 1e-90.

        Raises:
            ValueError: a segment has no tags, or does not lie within the batch.
        """
        batch, steps, count = emissions.shape
        for row, first, tags in segments:
            if not (tags and 0 <= row < batch and first >= 0 and first + len(tags) <= steps):
                expected = f"one or more tags within [{batch}, {steps}]"
                raise ValueError(f"expected a segment of {expected}, found {len(tags)} at row {row}, token {first}")
            if min(tags) < 0 or max(tags) >= count:
                raise ValueError(f"expected tags from 0 to {count - 1}, found {min(tags)} to {max(tags)}")
        device, dtype = emissions.device, variables.alpha.dtype
        # All segments stand in one line of M tokens; a segment's sum is gathered by its number.
        places = [
            (number, row, first + offset, tag, tags[offset - 1] if offset else -1)
            for number, (row, first, tags) in enumerate(segments)
            for offset, tag in enumerate(tags)
        ]
        table = torch.tensor(places, dtype=torch.int64).reshape(-1, 5).t().to(device)
        number, row, step, tag, before = table  # [M] each
        opens = before < 0  # [M]
        closes = torch.cat((opens[1:], opens.new_ones(min(len(opens), 1))))  # [M]
        alpha = variables.alpha[row, step, tag]  # [M]
        inner = emissions[row, step, tag].to(dtype) + self._moves(emissions)[1][before, tag]  # [M]
        # A tag that cannot be reached, or that stands past the row's end (where emissions may be NaN), rules it out.
        terms = torch.where(opens | alpha.isneginf(), alpha, inner)  # [M]
        terms = terms + torch.where(closes, variables.beta[row, step, tag], 0)
        sums = terms.new_zeros(len(segments)).index_add_(0, number, terms)  # [N]
        normalizer = variables.normalizer[row[opens]]  # [N]
        return (sums - normalizer.masked_fill(normalizer.isneginf(), 0)).to(_result_type(emissions))

    def _check(self, emissions: Tensor, lengths: Tensor) -> None:
        if emissions.dim() != 3 or emissions.shape[2] != self.num_tags:
            raise ValueError(f"expected emissions of shape [B, T, {self.num_tags}], found {list(emissions.shape)}")
        batch, steps, _ = emissions.shape
        if lengths.shape != (batch,) or lengths.dtype != torch.int64 or lengths.device.type != "cpu":
            found = f"{lengths.dtype} of shape {list(lengths.shape)} on {lengths.device.type}"
            raise ValueError(f"expected lengths as torch.int64 of shape [{batch}] on cpu, found {found}")
        if batch and not 0 <= int(lengths.min()) <= int(lengths.max()) <= steps:
            found = f"{int(lengths.min())} to {int(lengths.max())}"
            raise ValueError(f"expected lengths from 0 to {steps}, found {found}")

    def _moves(self, emissions: Tensor, dtype: torch.dtype | None = None) -> _Moves:
        """Scores of start [K], transitions [K, K] and end [K] in the working precision, -inf where illegal."""
        dtype = working_type(emissions.device) if dtype is None else dtype
        return (
            _constrained(self.start_transitions, self.legal_start, dtype),
            _constrained(self.transitions, self.legal_transitions, dtype),
            _constrained(self.end_transitions, self.legal_end, dtype),
        )

    def _normalizer(self, emissions: Tensor, lengths: Tensor, moves: _Moves) -> Tensor:
        chain, filled = _chain(emissions, lengths, moves)
        if len(filled) == len(lengths) > 0:
            return log_normalizer(chain)
        result = emissions.new_zeros(len(lengths), dtype=chain.emissions.dtype)  # [B]
        return result.index_copy(0, filled, log_normalizer(chain)) if len(filled) else result

    def _score(self, emissions: Tensor, tags: Tensor, lengths: Tensor, moves: _Moves) -> Tensor:
        batch, steps, count = emissions.shape
        if tags.shape != (batch, steps) or tags.dtype != torch.int64:
            found = f"{tags.dtype} of shape {list(tags.shape)}"
            raise ValueError(f"expected tags as torch.int64 of shape {[batch, steps]}, found {found}")
        if not batch or not steps:
            return emissions.new_zeros(batch, dtype=moves[0].dtype)
        mask = to_device(length_mask(lengths, steps), emissions.device)  # [B, T]
        tags = tags.masked_fill(~mask, 0)
        # Elsewhere than on the CPU this would wait for the device; there indexing itself fails.
        if tags.device.type == "cpu" and not 0 <= int(tags.min()) <= int(tags.max()) < count:
            raise ValueError(f"expected tags from 0 to {count - 1}, found {int(tags.min())} to {int(tags.max())}")
        start, transitions, end = moves
        into = torch.cat((start[tags[:, :1]], transitions.flatten()[tags[:, :-1] * count + tags[:, 1:]]), 1)  # [B, T]
        terms = emissions.gather(2, tags[:, :, None]).squeeze(2) + into  # [B, T]
        last = to_device((lengths - 1).clamp(min=0), emissions.device)  # [B]
        final = end[tags.gather(1, last[:, None]).squeeze(1)]  # [B]
        return torch.where(mask, terms, 0).sum(1) + torch.where(mask[:, 0], final, 0)


def _constrained(scores: Tensor | None, legal: Tensor, dtype: torch.dtype) -> Tensor:
    """Scores of moves, [K] or [K, K], zero where none are learned and -inf where a move is illegal."""
    known = torch.zeros_like(legal, dtype=dtype) if scores is None else scores.to(dtype)
    return known.masked_fill(~legal, -torch.inf)


def _result_type(emissions: Tensor) -> torch.dtype:
    return torch.float64 if emissions.dtype == torch.float64 else torch.float32


def _chain(emissions: Tensor, lengths: Tensor, moves: _Moves) -> tuple[Chain, Tensor]:
    """The non-empty rows, cut to the longest of them, and their indices [B'] on the device of the emissions."""
    filled = lengths.nonzero().squeeze(1)  # [B']
    rows = to_device(filled, emissions.device)
    if len(filled) < len(lengths):
        emissions, lengths = emissions[rows], lengths[filled]
    steps = int(lengths.max()) if len(lengths) else 0
    emissions = emissions[:, :steps].to(moves[0].dtype)
    equal = bool((lengths == steps).all())
    if not equal:
        # Chosen, not multiplied: padding may hold anything, NaN too.
        emissions = torch.where(to_device(length_mask(lengths, steps), rows.device)[:, :, None], emissions, 0)
    return Chain(emissions, *moves, lengths, equal), rows
