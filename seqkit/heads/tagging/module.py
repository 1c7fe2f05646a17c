"""Many to many, aligned: one tag per token, by a linear-chain CRF or by a softmax with constrained decoding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from seqkit.nn.auxiliary import AuxiliaryLanguageModel
from seqkit.nn.chain import working_type
from seqkit.nn.crf import CRF
from seqkit.nn.label_search import JudgedLabels, LabelUnits, label_beam_search, sequences_together
from seqkit.nn.parts import row_parts, workspace
from seqkit.nn.sequences import check_padded, token_mask
from seqkit.nn.softmax import IGNORED, linear_cross_entropy

MOST_TAGS = 8192
"""tags of a CRF: the scores of transitions grow with their square, and take 3 GB of memory in training at so many"""


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
        marginals: p(tag of token t = k | sentence), [B, T, K], if probabilities were requested and tags depend on each
            other.
        chosen: p(the best tag of token t | sentence), [B, T], if probabilities were requested and tags are independent.
        alternatives: the n best tag sequences, int64 [B, n, T], if more than one was requested.
        alternative_log_probs: ln p(sequence | sentence) of each, [B, n]; -inf if there are fewer legal ones.
    """

    tags: Tensor
    marginals: Tensor | None = None
    chosen: Tensor | None = None
    alternatives: Tensor | None = None
    alternative_log_probs: Tensor | None = None


class TaggingHead(nn.Module):
    r"""Scores of tags from an encoder's outputs, and decoding of tag sequences.

    With a CRF the loss is :math:`-\log p(y | x)` of whole sequences, otherwise the cross-entropy of each token.
    Decoding and probabilities are exact in both cases: a softmax tagger whose tags constrain each other is a CRF whose
    transitions all have score zero, and so n-best sequences and span probabilities come from the same recursions. No
    illegal sequence is ever predicted. Where all sequences are legal, a softmax tagger decides on each token by itself,
    on a part of the tokens at a time if there are many tags: its memory grows with K, and not with K² or T · K.

    Args:
        input_size: D of the encoder.
        num_tags: K.
        crf: learn scores of transitions between tags.
        moves: the tags that may begin a sentence, bool [K], the legal transitions, bool [K, K], and the tags that may
            end it, bool [K]; None if all are legal.
        auxiliary: an auxiliary language-modelling loss for training.
        auxiliary_weight: its weight.
        transitions: whether there is a table of transitions, [K, K]; only where tags are independent, and need none, it
            may be missing.

    Attributes:
        crf: what sequences of tags score; None without that table.
        independent: whether each token's tag is chosen by itself.
        late: whether `decode` is given the encoder's outputs, which are fewer numbers than their scores.
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
        transitions: bool = True,
    ) -> None:
        super().__init__()
        self.emission = nn.Linear(input_size, num_tags)
        nn.init.xavier_uniform_(self.emission.weight)
        nn.init.zeros_(self.emission.bias)
        start, transition, end = moves if moves is not None else (None, None, None)
        self.independent = not crf and moves is None
        has_table = transitions or not self.independent
        self.crf = CRF(num_tags, start=start, transition=transition, end=end, trainable=crf) if has_table else None
        self.learns_transitions = crf
        self.num_tags = num_tags
        self.late = self.independent and num_tags > input_size
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
        if self.late:
            layer, features = self.emission, outputs.flatten(0, 1)  # [B · T, D]
            with torch.autocast(outputs.device.type, enabled=False):
                total = linear_cross_entropy(features.float(), layer.weight, layer.bias, tags.flatten())
        elif self.crf is not None and self.learns_transitions:
            emissions = self.emissions(outputs)  # [B, T, K]
            likelihood = self.crf.log_likelihood(emissions, tags.clamp(min=0), lengths)  # [B]
            # A sentence with an unknown tag has no likelihood, and replacing the tag by another one would be wrong.
            total = -likelihood.masked_fill(((tags == IGNORED) & token_mask(lengths, tags)).any(1), 0.0).sum()
        else:
            scores, targets = self.emissions(outputs).flatten(0, 1), tags.flatten()  # [B · T, K], [B · T]
            total = functional.cross_entropy(scores, targets, ignore_index=IGNORED, reduction="sum")
        if self.auxiliary is not None and words is not None:
            total = total + self.auxiliary_weight * self.auxiliary(outputs, lengths, words)
        loss: Tensor = total / max(1, outputs.shape[0])
        return loss

    def score(self, outputs: Tensor) -> Tensor:
        """What `decode` decides by.

        Args:
            outputs: the encoder's outputs, [B, T, D].

        Returns:
            Scores of tags, [B, T, K]; if there are more tags than features and they are `late`, the outputs themselves.
        """
        return outputs.float() if self.late else self.emissions(outputs)

    @torch.no_grad()
    def decode(self, scores: Tensor, lengths: Tensor, *, probabilities: bool = False, nbest: int = 1) -> DecodedTags:
        """Choose the best tags.

        Args:
            scores: what `score` gave, [B, T, K] or [B, T, D].
            lengths: tokens in each sentence, int64 [B], on the CPU.
            probabilities: also compute the marginal probabilities.
            nbest: also compute the n best sequences, if n is more than one.

        Returns:
            The tags, and the other results requested.

        Raises:
            ValueError: `scores` are not what `score` gives, or the lengths do not fit them.
        """
        if self.independent:
            return self._decode_each(scores, lengths, probabilities, nbest)
        assert self.crf is not None
        best = self.crf.viterbi(scores, lengths)[0]  # [B, T]
        marginals = self.crf.marginals(scores, lengths) if probabilities else None  # [B, T, K]
        if nbest <= 1:
            return DecodedTags(best, marginals)
        exact = scores.double() if scores.device.type != "mps" else scores  # large scores differ by little
        alternatives, weights = self.crf.nbest(exact, lengths, nbest)  # [B, n, T], [B, n]
        log_probs = (weights - self.crf.normalizer(exact, lengths).unsqueeze(1)).clamp(max=0.0)  # [B, n]
        return DecodedTags(best, marginals, None, alternatives, log_probs)

    @torch.no_grad()
    def decode_lagged(self, scores: Tensor, lengths: Tensor, lag: int, classes: Tensor) -> Tensor:
        """Choose the tags that a stream gives, see `seqkit.nn.lag.LaggedViterbi`.

        Args:
            scores: what `score` gave of tags that depend on each other, [B, T, K].
            lengths: tokens in each sentence, int64 [B], on the CPU.
            lag: how many further tokens are seen before a tag is decided.
            classes: the class of each tag, of which that is decided, int64 [K], on the CPU.

        Returns:
            A tag of each token's class, int64 [B, T], on the CPU, 0 past a sentence's end.

        Raises:
            ValueError: `scores` are not what `score` gives, or the lengths do not fit them.
        """
        assert self.crf is not None  # tags that are independent need not wait
        check_padded(scores, lengths, self.num_tags, "emissions")
        scores = scores.cpu()
        tags = torch.zeros(scores.shape[:2], dtype=torch.int64)  # [B, T]
        stream = self.crf.lagged(lag, scores.dtype, classes)
        together = max(1, workspace(scores.device) // (scores.element_size() * self.num_tags**2))
        for length in lengths.unique().tolist():
            for rows in (lengths == length).nonzero().squeeze(1).split(together):  # [R]
                tags[rows, :length] = torch.cat([stream.accept(scores[rows, :length]), stream.finish()], 1)
        return tags

    def _decode_each(self, scores: Tensor, lengths: Tensor, probabilities: bool, nbest: int) -> DecodedTags:
        """See `decode`: every token by itself; the n best sequences are made of each token's n best tags."""
        columns = self.emission.in_features if self.late else self.num_tags
        check_padded(scores, lengths, columns, "outputs" if self.late else "emissions")
        shape, inside = scores.shape[:2], token_mask(lengths, scores)  # [B, T]
        count = min(nbest, self.num_tags)  # m
        flat, exact = scores.flatten(0, 1), working_type(scores.device)  # [N, D or K]
        tags = torch.zeros(len(flat), dtype=torch.int64, device=flat.device)  # [N]
        peak, normalizer = (torch.zeros(len(flat), dtype=exact, device=flat.device) for _ in range(2))  # [N] each
        values, numbers = flat.new_zeros(len(flat), count), tags.new_zeros(len(flat), count)  # [N, m] each
        for part, found in row_parts(flat, self.emission, scored=not self.late):  # [n, K]
            tags[part] = found.argmax(1)
            if probabilities or nbest > 1:
                peak[part] = found.amax(1).to(exact)
                normalizer[part] = found.to(exact).logsumexp(1)
            if nbest > 1:
                values[part], numbers[part] = found.topk(count)
        tags, peak, normalizer = tags.view(shape), peak.view(shape), normalizer.view(shape)  # [B, T] each
        tags.masked_fill_(~inside, 0)
        chosen = (peak - normalizer).exp().masked_fill(~inside, 0.0).to(scores.dtype) if probabilities else None
        if nbest <= 1:
            return DecodedTags(tags, None, chosen)
        values, numbers = values.view(*shape, count), numbers.view(*shape, count)  # [B, T, m] each
        ranks, weights = CRF(count, trainable=False).to(scores.device).nbest(values.to(normalizer), lengths, nbest)
        alternatives = numbers.transpose(1, 2).gather(1, ranks)  # [B, n, T]
        alternatives = alternatives.masked_fill(~inside[:, None] | weights.isneginf()[:, :, None], 0)
        total = normalizer.masked_fill(~inside, 0.0).sum(1, keepdim=True)  # [B, 1]
        return DecodedTags(tags, None, chosen, alternatives, (weights - total).clamp(max=0.0))

    @torch.no_grad()
    def search(
        self, scores: Tensor, lengths: Tensor, model: LabelUnits, *, weight: float, beam: int, nbest: int = 1
    ) -> list[list[JudgedLabels]]:
        """Choose the best tags together with a language model, see `seqkit.nn.label_search`.

        Args:
            scores: what `score` gave of independent tags, [B, T, K] or [B, T, D].
            lengths: tokens in each sentence, int64 [B], on the CPU.
            model: the language model.
            weight: its weight.
            beam: how many sequences of tags are kept at each token.
            nbest: how many of each sentence are returned, at most `beam`.

        Returns:
            The best ones of each of the B sentences, best first.

        Raises:
            ValueError: the tags depend on each other, or `scores` are not what `score` gives.
        """
        if not self.independent:
            raise ValueError("a language model beside tags that depend on each other is not searched with")
        check_padded(scores, lengths, self.emission.in_features if self.late else self.num_tags, "scores")
        found: list[list[JudgedLabels]] = [[] for _ in range(len(lengths))]
        for rows in lengths.argsort(stable=True).split(sequences_together(beam, model, self.num_tags)):

            def log_probabilities(numbers: Tensor, step: int, rows: Tensor = rows) -> Tensor:
                given = scores[rows[numbers], step]  # [N, D or K]
                emissions = self.emissions(given) if self.late else given  # [N, K]
                return emissions.to(working_type(scores.device)).log_softmax(1)

            each = label_beam_search(log_probabilities, lengths[rows], model, weight=weight, beam=beam, nbest=nbest)
            for row, best in zip(rows.tolist(), each, strict=True):
                found[row] = best
        return found

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
        check_padded(emissions, lengths, self.num_tags, "emissions")
        if not segments:
            return emissions.new_zeros(0)
        assert self.crf is not None  # tags that are independent mark no spans
        passes = self.crf.forward_backward(emissions, lengths)
        log_probabilities: Tensor = self.crf.segment_log_probability(passes, emissions, segments)  # [N]
        return log_probabilities.exp()
