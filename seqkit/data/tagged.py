"""The record of a prediction: a sentence, its predicted labels and the spans that they mark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from seqkit.data.labels import spans as read_spans
from seqkit.data.sentence import Sentence

__all__ = ["TaggedSentence", "TaggedSpan"]


@dataclass(slots=True)
class TaggedSpan:
    """One labelled span; ``sentence.text[start:end] == text``.

    Args:
        start: its first character in the sentence's text.
        end: one past its last character.
        label: its kind, without a prefix.
        text: what it covers.
        first_token: its first token's index.
        last_token: one past its last token's index.
        prob: the probability of exactly this span with this label, where it was asked for.
    """

    start: int
    end: int
    label: str
    text: str
    first_token: int
    last_token: int
    prob: float | None = None


@dataclass(slots=True)
class TaggedSentence:
    """A sentence with one predicted label a token.

    Args:
        sentence: the input, as it was read.
        labels: one label a token.
        probs: the probability of each token's label, where it was asked for.
        spans: the spans that the labels mark; none for labels that mark no spans.
        alternatives: the n best label sequences, the best first, each with its probability, where they were asked for.
    """

    sentence: Sentence
    labels: list[str]
    probs: list[float] | None = None
    spans: list[TaggedSpan] = field(default_factory=list)
    alternatives: list[tuple[list[str], float]] | None = None

    @classmethod
    def from_labels(
        cls,
        sentence: Sentence,
        labels: Sequence[str],
        scheme: str,
        *,
        probs: Sequence[float] | None = None,
        alternatives: list[tuple[list[str], float]] | None = None,
    ) -> TaggedSentence:
        """Make the record, reading the spans off the labels.

        Args:
            sentence: the input.
            labels: one label a token.
            scheme: the labels' scheme; with ``none`` there are no spans.
            probs: the probability of each token's label.
            alternatives: the n best label sequences with their probabilities.

        Returns:
            The record; its spans have no probabilities yet.

        Raises:
            ValueError: there are more or fewer labels or probabilities than tokens.
        """
        for name, given in (("labels", labels), ("probabilities", probs)):
            if given is not None and len(given) != len(sentence.tokens):
                raise ValueError(f"expected {len(sentence.tokens)} {name}, one a token, found {len(given)}")
        text, offsets = sentence.text, sentence.offsets
        found: list[TaggedSpan] = []
        for first, last, label in read_spans(labels, scheme):
            start, end = offsets[first][0], offsets[last - 1][1]
            found.append(TaggedSpan(start, end, label, text[start:end], first, last))
        return cls(sentence, list(labels), None if probs is None else list(probs), found, alternatives)
