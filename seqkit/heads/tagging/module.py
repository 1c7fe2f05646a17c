"""Many to many, aligned: one tag a token, by a linear-chain CRF or by a softmax with constrained decoding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from seqkit.nn.auxiliary import AuxiliaryLanguageModel
from seqkit.nn.crf import CRF
from seqkit.nn.device import to_device
from seqkit.nn.masks import length_mask

__all__ = ["DecodedTags", "TagSegment", "TaggingHead"]

IGNORED = -1
"""the target of a token that has no tag of the model: padding, or a label never seen in training"""


class TagSegment(NamedTuple):
    """A run of tokens and the tags that they carry.

    Attributes:
        row: the sentence's position in the batch.
        first: the first token.
        tags: one tag a token of the run.
    """

    row: int
    first: int
    tags: Sequence[int]


class DecodedTags(NamedTuple):
    """What `TaggingHead.decode` finds.

    Attributes:
        tags: the best tag of every token, int64 [B, T], 0 past a sentence's end.
        marginals: p(tag of token t = k | sentence), [B, T, K], if probabilities were asked for.
        alternatives: the n best tag sequences, int64 [B, n, T], if more than one was asked for.
        alternative_log_probs: ln p(sequence | sentence) of each, [B, n]; -inf where there are fewer legal ones.
    """

    tags: Tensor
    marginals: Tensor | None = None
    alternatives: Tensor | None = None
    alternative_log_probs: Tensor | None = None


class TaggingHead(nn.Module):
    r"""Scores of tags from an encoder's outputs, and how a sequence of tags is chosen.

    With a CRF the loss is :math:`-\log p(y | x)` of whole sequences, otherwise a cross-entropy a token. Decoding and
    probabilities are exact either way: a softmax tagger is a CRF whose moves all score zero, so that constraints,
    n-best and span probabilities come from the same recursions. No illegal sequence is ever emitted.

    Args:
        input_size: D of the encoder.
        num_tags: K.
        crf: learn scores of moves between tags.
        moves: which tags may begin a sentence, bool [K], follow one another, bool [K, K], and end it, bool [K]; None
            where all may.
        auxiliary: a language-modelling objective that is learned beside the tags while training.
        auxiliary_weight: its weight.
    """

    def __init__(
        self,
        input_size: int,
        num_tags: int,
        *,
        crf: bool = True,
        moves: tuple[Tensor, Tensor, Tensor] | None = None,
        auxiliary: AuxiliaryLanguageModel | None = None,
        auxiliary_weight: float = 0.0,
    ) -> None:
        super().__init__()
        self.emission = nn.Linear(input_size, num_tags)
        nn.init.xavier_uniform_(self.emission.weight)
        nn.init.zeros_(self.emission.bias)
        start, transition, end = moves if moves is not None else (None, None, None)
        self.crf = CRF(num_tags, start=start, transition=transition, end=end, trainable=crf)
        self.learns_moves = crf
        self.independent = not crf and moves is None
        self.auxiliary = auxiliary
        self.auxiliary_weight = auxiliary_weight

    def emissions(self, outputs: Tensor) -> Tensor:
        """Scores of tags, in float32 also under mixed precision.

        Args:
            outputs: the encoder's outputs, [B, T, D].

        Returns:
            One score a token and tag, [B, T, K].
        """
        with torch.autocast(outputs.device.type, enabled=False):
            emissions: Tensor = self.emission(outputs.float())  # [B, T, K]
        return emissions

    def _check(self, emissions: Tensor) -> None:
        if emissions.dim() != 3 or emissions.shape[2] != self.crf.num_tags:
            expected = f"expected scores of tags, [B, T, {self.crf.num_tags}]"
            raise ValueError(f"{expected}, as `emissions` gives them, found {list(emissions.shape)}")

    def loss(self, outputs: Tensor, lengths: Tensor, tags: Tensor, words: Tensor | None = None) -> Tensor:
        """The training loss: negative log-likelihood in nats, summed over tokens, the mean over sentences.

        Args:
            outputs: the encoder's outputs, [B, T, D].
            lengths: tokens in each sentence, int64 [B], on the CPU.
            tags: the right tags, int64 [B, T], `IGNORED` past a sentence's end.
            words: index of each token's word, int64 [B, T], which the language-modelling objective needs.

        Returns:
            A scalar.
        """
        emissions = self.emissions(outputs)  # [B, T, K]
        if self.learns_moves:
            likelihood = self.crf.log_likelihood(emissions, tags.clamp(min=0), lengths)  # [B]
            # A sentence with an unknown tag has no likelihood, and another tag in its place would be wrong.
            total = -likelihood.masked_fill(((tags == IGNORED) & _inside(lengths, tags)).any(1), 0.0).sum()
        else:
            total = _cross_entropy(emissions, tags)
        if self.auxiliary is not None and words is not None:
            total = total + self.auxiliary_weight * self.auxiliary(outputs, lengths, words)
        loss: Tensor = total / max(1, outputs.shape[0])
        return loss

    @torch.no_grad()
    def decode(self, emissions: Tensor, lengths: Tensor, *, probabilities: bool = False, nbest: int = 1) -> DecodedTags:
        """Choose the best tags.

        Args:
            emissions: scores of tags, [B, T, K].
            lengths: tokens in each sentence, int64 [B], on the CPU.
            probabilities: also give the marginal probabilities.
            nbest: also give so many best sequences, if more than one.

        Returns:
            The tags, and what else was asked for.

        Raises:
            ValueError: these are no scores of tags.
        """
        self._check(emissions)
        if self.independent:
            best = emissions.argmax(2).masked_fill(~_inside(lengths, emissions), 0)  # [B, T]
        else:
            best = self.crf.viterbi(emissions, lengths)[0]  # [B, T]
        marginals = self.crf.marginals(emissions, lengths) if probabilities else None  # [B, T, K]
        if nbest <= 1:
            return DecodedTags(best, marginals)
        exact = emissions.double() if emissions.device.type != "mps" else emissions  # large scores differ by little
        alternatives, scores = self.crf.nbest(exact, lengths, nbest)  # [B, n, T], [B, n]
        log_probs = (scores - self.crf.normalizer(exact, lengths).unsqueeze(1)).clamp(max=0.0)  # [B, n]
        return DecodedTags(best, marginals, alternatives, log_probs)

    @torch.no_grad()
    def segment_probabilities(self, emissions: Tensor, lengths: Tensor, segments: Sequence[TagSegment]) -> Tensor:
        """The exact probability that runs of tokens carry exactly the given tags, whatever stands around them.

        Args:
            emissions: scores of tags, [B, T, K].
            lengths: tokens in each sentence, int64 [B], on the CPU.
            segments: N runs of tokens with their tags.

        Returns:
            Probabilities, [N].

        Raises:
            ValueError: these are no scores of tags.
        """
        self._check(emissions)
        if not segments:
            return emissions.new_zeros(0)
        passes = self.crf.forward_backward(emissions, lengths)
        log_probabilities: Tensor = self.crf.segment_log_probability(passes, emissions, segments)  # [N]
        return log_probabilities.exp()


def _inside(lengths: Tensor, like: Tensor) -> Tensor:
    """Where a token stands, bool [B, T], on the device of `like` [B, T, …]."""
    return to_device(length_mask(lengths, like.shape[1]), like.device)


def _cross_entropy(scores: Tensor, targets: Tensor) -> Tensor:
    return functional.cross_entropy(scores.flatten(0, 1), targets.flatten(), ignore_index=IGNORED, reduction="sum")
