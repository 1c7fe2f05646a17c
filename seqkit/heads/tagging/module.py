"""Many to many, aligned: one tag per token, by a linear-chain CRF or by a softmax with constrained decoding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from seqkit.nn.auxiliary import AuxiliaryLanguageModel
from seqkit.nn.crf import CRF
from seqkit.nn.sequences import check_padded, token_mask
from seqkit.nn.softmax import IGNORED


class TagSegment(NamedTuple):
    """Consecutive tokens and their tags.

    Attributes:
        row: the sentence's position in the batch.
        first: the first token.
        tags: one tag for each token.
    """

    row: int
    first: int
    tags: Sequence[int]


class DecodedTags(NamedTuple):
    """The result of `TaggingHead.decode`.

    Attributes:
        tags: the best tag of every token, int64 [B, T], 0 past a sentence's end.
        marginals: p(tag of token t = k | sentence), [B, T, K], if probabilities were requested.
        alternatives: the n best tag sequences, int64 [B, n, T], if more than one was requested.
        alternative_log_probs: ln p(sequence | sentence) of each, [B, n]; -inf if there are fewer legal ones.
    """

    tags: Tensor
    marginals: Tensor | None = None
    alternatives: Tensor | None = None
    alternative_log_probs: Tensor | None = None


class TaggingHead(nn.Module):
    r"""Scores of tags from an encoder's outputs, and decoding of tag sequences.

    With a CRF the loss is :math:`-\log p(y | x)` of whole sequences, otherwise the cross-entropy of each token.
    Decoding and probabilities are exact in both cases: a softmax tagger is a CRF whose transitions all have score
    zero, and so constraints, n-best sequences and span probabilities come from the same recursions. No illegal
    sequence is ever predicted.

    Args:
        input_size: D of the encoder.
        num_tags: K.
        crf: learn scores of transitions between tags.
        moves: the tags that may begin a sentence, bool [K], the legal transitions, bool [K, K], and the tags that may
            end it, bool [K]; None if all are legal.
        auxiliary: an auxiliary language-modelling loss for training.
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
        self.learns_transitions = crf
        self.independent = not crf and moves is None
        self.auxiliary = auxiliary
        self.auxiliary_weight = auxiliary_weight

    def emissions(self, outputs: Tensor) -> Tensor:
        """Scores of tags, in float32 also under mixed precision.

        Args:
            outputs: the encoder's outputs, [B, T, D].

        Returns:
            One score per token and tag, [B, T, K].
        """
        with torch.autocast(outputs.device.type, enabled=False):
            emissions: Tensor = self.emission(outputs.float())  # [B, T, K]
        return emissions

    def loss(self, outputs: Tensor, lengths: Tensor, tags: Tensor, words: Tensor | None = None) -> Tensor:
        """The training loss: negative log-likelihood in nats, summed over tokens, the mean over sentences.

        Args:
            outputs: the encoder's outputs, [B, T, D].
            lengths: tokens in each sentence, int64 [B], on the CPU.
            tags: the gold tags, int64 [B, T], `IGNORED` past a sentence's end and for labels that training has not
                seen.
            words: id of each token's word, int64 [B, T], for the auxiliary loss.

        Returns:
            A scalar.
        """
        emissions = self.emissions(outputs)  # [B, T, K]
        if self.learns_transitions:
            likelihood = self.crf.log_likelihood(emissions, tags.clamp(min=0), lengths)  # [B]
            # A sentence with an unknown tag has no likelihood, and replacing the tag by another one would be wrong.
            total = -likelihood.masked_fill(((tags == IGNORED) & token_mask(lengths, tags)).any(1), 0.0).sum()
        else:
            scores, targets = emissions.flatten(0, 1), tags.flatten()  # [B · T, K], [B · T]
            total = functional.cross_entropy(scores, targets, ignore_index=IGNORED, reduction="sum")
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
            probabilities: also compute the marginal probabilities.
            nbest: also compute the n best sequences, if n is more than one.

        Returns:
            The tags, and the other results requested.

        Raises:
            ValueError: `emissions` are not scores of tags, or the lengths do not fit them.
        """
        if self.independent:
            check_padded(emissions, lengths, self.crf.num_tags, "emissions")
            best = emissions.argmax(2).masked_fill(~token_mask(lengths, emissions), 0)  # [B, T]
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
        """The exact probability that consecutive tokens have exactly the given tags, with any tags around them.

        Args:
            emissions: scores of tags, [B, T, K].
            lengths: tokens in each sentence, int64 [B], on the CPU.
            segments: N segments of tokens with their tags.

        Returns:
            Probabilities, [N].

        Raises:
            ValueError: `emissions` are not scores of tags, or the lengths do not fit them.
        """
        check_padded(emissions, lengths, self.crf.num_tags, "emissions")
        if not segments:
            return emissions.new_zeros(0)
        passes = self.crf.forward_backward(emissions, lengths)
        log_probabilities: Tensor = self.crf.segment_log_probability(passes, emissions, segments)  # [N]
        return log_probabilities.exp()
