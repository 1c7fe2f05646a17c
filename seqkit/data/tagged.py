"""The record of a prediction: a sentence, its predicted labels and the spans that they mark."""

from __future__ import annotations

from dataclasses import dataclass, field

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
        marks_spans: whether labels such as these mark spans: a sentence of ``O`` alone does not show it.
    """

    sentence: Sentence
    labels: list[str]
    probs: list[float] | None = None
    spans: list[TaggedSpan] = field(default_factory=list)
    alternatives: list[tuple[list[str], float]] | None = None
    marks_spans: bool = False
