"""A linear-chain conditional random field: scores, likelihood, best sequences and probabilities of tag sequences.

A sentence x of T tokens with tags y has

    score(x, y) = start[y₁] + Σₜ emissions[t, yₜ] + Σₜ transitions[yₜ₋₁, yₜ] + end[y_T]
    log p(y | x) = score(x, y) - log Z(x),    Z(x) = Σ exp(score(x, y')) over all legal y'
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from seqkit.nn.chain import Chain, expected_counts, log_normalizer, log_variables, working_type
from seqkit.nn.lag import LaggedViterbi
from seqkit.nn.sequences import check_padded, to_device, token_mask
from seqkit.nn.viterbi import best_paths, n_best_paths, search


class ForwardBackward(NamedTuple):
    """Forward and backward variables of a batch, as logarithms in float64; -inf past a row's end.

    Args:
        alpha: [B, T, K], log of the summed weight of all paths to a tag, its emission included.
        beta: [B, T, K], log of the summed weight of all paths from a tag on, its emission not included.
        normalizer: [B], log Z.
    """

    alpha: Tensor
    beta: Tensor
    normalizer: Tensor


class CRF(nn.Module):
    """A linear-chain conditional random field (Lafferty, McCallum and Pereira 2001) over emissions [B, T, K].

    Constraints are not parameters: an illegal transition always scores -inf, whatever the parameters are, so that it
    never has any probability. Rows of length zero have score and log-likelihood 0 and no tags. Values past a row's end
    have no influence. Sums are computed in float64 (float32 on devices without it), also under autocast, and maxima in
    the type of the results: float32, or float64 if the emissions are float64.

    Args:
        num_tags: K.
        start: bool [K], the tags that may begin a sentence; by default all.
        transition: bool [K, K], from → to, the legal transitions; by default all.
        end: bool [K], the tags that may end a sentence; by default all.
        trainable: false leaves all legal transitions at a score of zero, to decode a softmax tagger under constraints.

    Raises:
        ValueError: `num_tags` is not positive, or a constraint has a wrong shape or type.
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
        for name, scores, legal, shape in (
            ("start", "start_transitions", start, (num_tags,)),
            ("transitions", "transitions", transition, (num_tags, num_tags)),
            ("end", "end_transitions", end, (num_tags,)),
        ):
            if legal is not None and (legal.shape != shape or legal.dtype != torch.bool):
                found = f"{legal.dtype} of shape {list(legal.shape)}"
                raise ValueError(f"expected {name} as torch.bool of shape {list(shape)}, found {found}")
            # On the CPU even if parameters are created on the meta device: constraints are not loaded, but known.
            legal = torch.ones(shape, dtype=torch.bool, device="cpu") if legal is None else legal.clone()
            self.register_buffer(f"legal_{name}", legal)
            self.register_parameter(scores, nn.Parameter(torch.empty(shape).uniform_(-0.1, 0.1)) if trainable else None)
        self._legal = int(self.legal_transitions.sum())  # here, as on the meta device there are no numbers

    def extra_repr(self) -> str:
        """K, and how many of the K² transitions are legal."""
        return f"num_tags={self.num_tags}, legal_transitions={self._legal}"

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
        check_padded(emissions, lengths, self.num_tags, "emissions")
        scores = self._scores(working_type(emissions.device))
        return self._score(emissions, tags, lengths, scores).to(_result_type(emissions))

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
        chain, rows = self._chain(emissions, lengths)
        return _among_all(log_normalizer(chain), rows, lengths.shape, 0).to(_result_type(emissions))

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
        chain, rows = self._chain(emissions, lengths)
        normalizer = _among_all(log_normalizer(chain), rows, lengths.shape, 0)
        score = self._score(emissions, tags, lengths, (chain.start, chain.transitions, chain.end))
        # Subtracted before rounding to float32: of a long sentence both are large and nearly equal. If no sequence is
        # legal, the score is -inf already, and -inf - -inf would be NaN.
        difference = score - normalizer.masked_fill(normalizer.isneginf(), 0)
        return difference.to(_result_type(emissions))

    @torch.no_grad()
    def largest_score(self) -> Tensor:
        """The largest magnitude of a learned score of a start, a transition or an end; a scalar, 0 without any."""
        learned = [scores.flatten() for scores in self.parameters()]
        return torch.cat(learned).abs().max() if learned else self.legal_end.new_zeros((), dtype=torch.float32)

    @torch.no_grad()
    def viterbi(self, emissions: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """The best legal tag sequence of each row (Viterbi 1967).

        Args:
            emissions: [B, T, K] scores.
            lengths: [B] int64 on the CPU, each in 0…T.

        Returns:
            tags [B, T] int64, zero past a row's end, and their scores [B]. If no sequence is legal, the score is -inf
            and the tags are zeros.

        Raises:
            ValueError: a shape, type or length is not as said above.
        """
        chain, rows = self._chain(emissions, lengths, _result_type(emissions))
        tags, scores = search(best_paths, chain)  # [B', T'], [B']
        keep = ~scores.isneginf()[:, None]  # [B', 1]
        if not chain.equal:
            keep = chain.mask() & keep  # [B', T']
        tags = _among_all(tags.masked_fill_(~keep, 0), rows, emissions.shape[:2], 0)  # [B, T]
        return tags, _among_all(scores.to(_result_type(emissions)), rows, lengths.shape, 0)

    @torch.no_grad()
    def lagged(self, lag: int, dtype: torch.dtype = torch.float32, classes: Tensor | None = None) -> LaggedViterbi:
        """What decides the tag of a step when so many further steps have been seen.

        Args:
            lag: how many, at least 0.
            dtype: of the emissions.
            classes: see `LaggedViterbi`, on the CPU.

        Returns:
            It, on the CPU: a step is too little work for another device.
        """
        start, transitions, end = (scores.cpu() for scores in self._scores(dtype))
        return LaggedViterbi(start, transitions, end, lag, classes)

    @torch.no_grad()
    def nbest(self, emissions: Tensor, lengths: Tensor, n: int) -> tuple[Tensor, Tensor]:
        """The n best legal tag sequences of each row, best first.

        Args:
            emissions: [B, T, K] scores.
            lengths: [B] int64 on the CPU, each in 0…T.
            n: how many, at least 1.

        Returns:
            tags [B, n, T] int64, zero past a row's end, and their scores [B, n], descending. If there are fewer than n
            legal sequences, the rest has score -inf and tags of zero; an empty row has one, of score 0.

        Raises:
            ValueError: a shape, type or length is not as said above, or n is less than 1.
        """
        if n < 1:
            raise ValueError(f"expected n of at least 1, found {n}")
        chain, rows = self._chain(emissions, lengths)
        # No more than there are sequences, K^T'; no larger power than is needed is computed.
        most = min(n, self.num_tags ** min(chain.emissions.shape[1], n.bit_length()))
        found, found_scores = search(partial(n_best_paths, n=most), chain)  # [B', N, T'], [B', N], N = most
        keep = chain.mask()[:, None, :] & ~found_scores.isneginf()[:, :, None]  # [B', N, T']
        shape = (len(lengths), n, emissions.shape[1])
        tags = _among_all(found.masked_fill_(~keep, 0), rows, shape, 0)  # [B, n, T]
        scores = _among_all(found_scores, rows, shape[:2], -torch.inf)  # [B, n]
        scores[:, 0].masked_fill_(to_device(lengths == 0, scores.device), 0)
        return tags, scores.to(_result_type(emissions))

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
        chain, rows = self._chain(emissions, lengths)
        marginals = expected_counts(chain)[1].marginals.to(_result_type(emissions))  # [B', T', K]
        return _among_all(marginals, rows, emissions.shape, 0)

    @torch.no_grad()
    def forward_backward(self, emissions: Tensor, lengths: Tensor) -> ForwardBackward:
        """Forward and backward variables, for `segment_log_probability`.

        Args:
            emissions: [B, T, K] scores.
            lengths: [B] int64 on the CPU, each in 0…T.

        Returns:
            alpha [B, T, K], beta [B, T, K] and normalizer [B]. ``exp(alpha + beta - normalizer)`` are the marginals;
            alpha and beta may be -inf if a marginal is under 1e-90.

        Raises:
            ValueError: a shape, type or length is not as said above.
        """
        chain, rows = self._chain(emissions, lengths)
        *variables, normalizer = log_variables(chain)
        alpha, beta = (_among_all(values, rows, emissions.shape, -torch.inf) for values in variables)
        return ForwardBackward(alpha, beta, _among_all(normalizer, rows, lengths.shape, 0))

    @torch.no_grad()
    def segment_log_probability(
        self, variables: ForwardBackward, emissions: Tensor, segments: Sequence[tuple[int, int, Sequence[int]]]
    ) -> Tensor:
        """Exact log-probability that consecutive tokens have exactly the given tags, with any tags around them.

        log p = alpha[first, y₁] + Σ (transitions[yₖ₋₁, yₖ] + emissions[first + k - 1, yₖ]) + beta[last, yₙ] - log Z

        Args:
            variables: the result of `forward_backward` for the same emissions.
            emissions: [B, T, K] scores.
            segments: N of (row, first token, tags), each with at least one tag.

        Returns:
            [N]; -inf if the tags are illegal or extend past the row's end, and possibly if p is under 1e-90.

        Raises:
            ValueError: a segment has no tags, or does not lie within the batch.
        """
        batch, steps, count = emissions.shape
        for row, first, tags in segments:
            if not (tags and 0 <= row < batch and first >= 0 and first + len(tags) <= steps):
                found = f"found {len(tags)} at row {row}, token {first}"
                raise ValueError(f"expected a segment of one or more tags within [{batch}, {steps}], {found}")
            if min(tags) < 0 or max(tags) >= count:
                raise ValueError(f"expected tags from 0 to {count - 1}, found {min(tags)} to {max(tags)}")
        # All segments in one sequence of M tokens; the terms of each segment are summed by its number.
        places = [
            (number, row, first + offset, tag, tags[offset - 1] if offset else -1)
            for number, (row, first, tags) in enumerate(segments)
            for offset, tag in enumerate(tags)
        ]
        table = torch.tensor(places, dtype=torch.int64).reshape(-1, 5)  # [M, 5]
        number, row, step, tag, before = to_device(table.t().contiguous(), emissions.device)  # each [M]
        opens = before < 0  # [M]
        closes = torch.cat((opens[1:], opens.new_ones(min(len(opens), 1))))  # [M]
        alpha = variables.alpha[row, step, tag]  # [M]
        inner = emissions[row, step, tag].to(alpha.dtype) + self._scores(alpha.dtype)[1][before, tag]  # [M]
        # A tag that cannot be reached or lies past the row's end (where emissions may be NaN) has probability zero.
        terms = torch.where(opens | alpha.isneginf(), alpha, inner)  # [M]
        terms = terms + torch.where(closes, variables.beta[row, step, tag], 0)
        sums = terms.new_zeros(len(segments)).index_add_(0, number, terms)  # [N]
        rows = torch.tensor([row for row, _, _ in segments], dtype=torch.int64)  # [N]
        normalizer = variables.normalizer[to_device(rows, emissions.device)]  # [N]
        return (sums - normalizer.masked_fill(normalizer.isneginf(), 0)).to(_result_type(emissions))

    def _scores(self, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
        """Scores of start [K], transitions [K, K] and end [K], zero if not learned and -inf if illegal."""
        return (
            _constrained(self.start_transitions, self.legal_start, dtype),
            _constrained(self.transitions, self.legal_transitions, dtype),
            _constrained(self.end_transitions, self.legal_end, dtype),
        )

    def _chain(self, emissions: Tensor, lengths: Tensor, dtype: torch.dtype | None = None) -> tuple[Chain, Tensor]:
        """The non-empty rows, cut to the longest of them, and their indices [B'] on the device of the emissions."""
        check_padded(emissions, lengths, self.num_tags, "emissions")
        dtype = working_type(emissions.device) if dtype is None else dtype
        filled = lengths.nonzero().squeeze(1)  # [B']
        rows = to_device(filled, emissions.device)
        if len(filled) < len(lengths):
            emissions, lengths = emissions[rows], lengths[filled]
        if not len(filled):  # one step of no rows
            emissions = emissions.new_zeros(0, 1, self.num_tags)
        emissions = emissions[:, : int(lengths.max()) if len(lengths) else 1].to(dtype)  # [B', T', K]
        equal = bool((lengths == emissions.shape[1]).all())
        if not equal:
            # Selected, not multiplied: padding may hold any value, even NaN.
            emissions = torch.where(token_mask(lengths, emissions)[:, :, None], emissions, 0)
        return Chain(emissions, *self._scores(dtype), lengths, equal), rows

    def _score(self, emissions: Tensor, tags: Tensor, lengths: Tensor, scores: Sequence[Tensor]) -> Tensor:
        start, transitions, end = scores
        batch, steps, count = emissions.shape
        if tags.shape != (batch, steps) or tags.dtype != torch.int64:
            found = f"{tags.dtype} of shape {list(tags.shape)}"
            raise ValueError(f"expected tags as torch.int64 of shape {[batch, steps]}, found {found}")
        if not batch or not steps:
            return start.new_zeros(batch)
        mask = token_mask(lengths, emissions)  # [B, T]
        tags = tags.masked_fill(~mask, 0)
        # On other devices than the CPU this would wait for the device; there indexing itself fails.
        if tags.device.type == "cpu" and not 0 <= int(tags.min()) <= int(tags.max()) < count:
            raise ValueError(f"expected tags from 0 to {count - 1}, found {int(tags.min())} to {int(tags.max())}")
        into = torch.cat((start[tags[:, :1]], transitions.flatten()[tags[:, :-1] * count + tags[:, 1:]]), 1)  # [B, T]
        terms = emissions.gather(2, tags[:, :, None]).squeeze(2) + into  # [B, T]
        last = to_device((lengths - 1).clamp(min=0), emissions.device)  # [B]
        final = end[tags.gather(1, last[:, None]).squeeze(1)]  # [B]
        return torch.where(mask, terms, 0).sum(1) + torch.where(mask[:, 0], final, 0)


def _constrained(scores: Tensor | None, legal: Tensor, dtype: torch.dtype) -> Tensor:
    known = torch.zeros_like(legal, dtype=dtype) if scores is None else scores.to(dtype)
    return known.masked_fill(~legal, -torch.inf)


def _result_type(emissions: Tensor) -> torch.dtype:
    return torch.float64 if emissions.dtype == torch.float64 else torch.float32


def _among_all(values: Tensor, rows: Tensor, shape: tuple[int, ...], empty: float) -> Tensor:
    """Values of the non-empty rows, [B', …], among those of all rows, of the given shape, with `empty` elsewhere."""
    if values.shape == shape:
        return values
    result = values.new_full(shape, empty)
    place: tuple[Tensor | slice, ...] = (rows, *map(slice, values.shape[1:]))
    result[place] = values
    return result
