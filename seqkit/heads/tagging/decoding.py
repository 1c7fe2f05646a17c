"""What a tagging head decides → records with labels, spans and probabilities."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from itertools import chain

import torch
from torch import Tensor

from seqkit.heads.tagging.labels import TagCodec
from seqkit.heads.tagging.module import TaggingHead, TagSegment
from seqkit.records import Sentence, TaggedSentence, TaggedSpan

__all__ = ["TagDecoder"]


class TagDecoder:
    """Tags of a head → labels of a file.

    Args:
        head: scores and chooses tags.
        codec: tags → labels and spans.
    """

    def __init__(self, head: TaggingHead, codec: TagCodec) -> None:
        self.head = head
        self.codec = codec

    def records(
        self, batch: Sequence[Sentence], emissions: Tensor, lengths: Tensor, *, probs: bool, spans: bool, nbest: int
    ) -> list[TaggedSentence]:
        """Decide on the labels of a batch.

        Args:
            batch: B sentences.
            emissions: scores of tags, [B, T, K].
            lengths: tokens in each sentence, int64 [B], on the CPU.
            probs: also the probabilities of labels and spans.
            spans: also the spans.
            nbest: also so many best label sequences, if more than one.

        Returns:
            One record a sentence.
        """
        decoded = self.head.decode(emissions, lengths, probabilities=probs, nbest=nbest)
        sizes = lengths.tolist()
        rows = [tags[:size] for tags, size in zip(decoded.tags.tolist(), sizes, strict=True)]
        marks_spans = self.codec.encoding != "none"
        results = [
            TaggedSentence(sentence, self.codec.decode(tags), marks_spans=marks_spans)
            for sentence, tags in zip(batch, rows, strict=True)
        ]
        if decoded.marginals is not None:
            values = self._token_probs(decoded.marginals, decoded.tags)
            for result, row, size in zip(results, values, sizes, strict=True):
                result.probs = row[:size]
            self._divide_touching(results, rows, emissions, lengths)
        if spans:
            self._add_spans(results, rows, emissions, lengths, probs)
        if decoded.alternatives is not None and decoded.alternative_log_probs is not None:
            options, weights = decoded.alternatives.tolist(), decoded.alternative_log_probs.tolist()
            for result, paths, likelihood, size in zip(results, options, weights, sizes, strict=True):
                pairs = zip(paths, likelihood, strict=True)
                # Of a long sentence the probability may be too small for a number, but it is a sequence all the same.
                result.alternatives = [
                    (self.codec.decode(path[:size]), math.exp(value)) for path, value in pairs if value > -math.inf
                ]
        return results

    def _token_probs(self, marginals: Tensor, tags: Tensor) -> list[list[float]]:
        """The probability of each token's written label: the sum over the tags that are written alike."""
        classes = torch.from_numpy(self.codec.classes).to(tags.device)  # [K]
        alike = classes[tags].unsqueeze(2) == classes  # [B, T, K]
        values: list[list[float]] = (marginals * alike).sum(2).clamp(max=1.0).tolist()
        return values

    def _divide_touching(
        self, results: list[TaggedSentence], rows: list[list[int]], emissions: Tensor, lengths: Tensor
    ) -> None:
        """IOB1 writes a beginning as ``B`` or ``I`` by the tag before it: the probability of the one written."""
        if self.codec.scheme != "iob1":
            return
        known = {tag: self.codec.touching(tag) for tag in set(chain.from_iterable(rows))}
        places: list[tuple[int, int]] = []
        segments: list[TagSegment] = []
        for number, tags in enumerate(rows):
            for last in range(1, len(tags)):
                places += [(number, last)] * len(known[tags[last]])
                segments += [TagSegment(number, last - 1, pair) for pair in known[tags[last]]]
        if not segments:
            return
        touching: Counter[tuple[int, int]] = Counter()
        for place, value in zip(
            places, self.head.segment_probabilities(emissions, lengths, segments).tolist(), strict=True
        ):
            touching[place] += value
        for (number, last), value in touching.items():
            result = results[number]
            assert result.probs is not None
            chosen = value if result.labels[last].startswith("B") else result.probs[last] - value
            result.probs[last] = min(max(chosen, 0.0), 1.0)

    def _add_spans(
        self, results: list[TaggedSentence], rows: list[list[int]], emissions: Tensor, lengths: Tensor, probs: bool
    ) -> None:
        segments: list[TagSegment] = []
        for number, (result, tags) in enumerate(zip(results, rows, strict=True)):
            sentence = result.sentence
            for first, last, label in self.codec.spans(tags):
                start, end = sentence.offsets[first][0], sentence.offsets[last - 1][1]
                result.spans.append(TaggedSpan(start, end, label, sentence.text[start:end], first, last))
                if probs:
                    segments.append(TagSegment(number, first, tags[first:last]))
        if segments:
            values = iter(self.head.segment_probabilities(emissions, lengths, segments).clamp(max=1.0).tolist())
            for result in results:
                for span in result.spans:
                    span.prob = next(values)
