"""Scores of a tagger: accuracy, and precision, recall and F1 of spans as in seqeval.

Two sets of rules say which spans a label sequence contains. seqeval's *default* mode follows conlleval, the script of
the CoNLL shared tasks (Tjong Kim Sang and Buchholz, 2000): an ``I-X`` that continues nothing starts a span. In *strict*
mode only spans that are well formed in the labels' scheme count. The two differ only where a sequence breaks its
scheme.
"""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from seqkit.formats.schemes import SCHEMES, invalid_moves, is_label
from seqkit.metrics.scores import LabelReport, Score, plural, score_labels

_Spans = set[tuple[int, str, int, int]]  # sentence, label, first token, last token


@dataclass(frozen=True)
class LagReport:
    """What it changes to decide labels while their sentence, or sequence of vectors, is still going on.

    Args:
        lag: how many further steps are seen before a label is decided.
        differing: the share of labels that are others than those decided at the end.
        without: the scores of the latter, a `TaggingReport` or a `seqkit.metrics.frames.FrameTaggingReport`.
        step: what a step is called.
        record: what is labelled.
    """

    lag: int
    differing: float
    without: Any
    step: str = "token"
    record: str = "sentence"

    def to_json(self) -> dict[str, Any]:
        """The report as a JSON object: ``lag``, ``lag_differing``, and the scores ``without_lag``."""
        found = self.without.to_json()
        scores = {name: found[name] for name in ("accuracy", "precision", "recall", "f1", "runs") if name in found}
        return {"lag": self.lag, "lag_differing": self.differing, "without_lag": scores}

    def render(self) -> str:
        """The report in a sentence."""
        scores = ", ".join(f"{name} {value:.4f}" for name, value in self.without.summary.items())
        share = f"{self.differing:.3%} of the labels differ from those decided at the end of the {self.record}"
        return f"each label decided {plural(self.lag, self.step)} later: {share} ({scores})"


@dataclass(frozen=True)
class TaggingReport(LabelReport):
    """The scores of a tagger on a set of sentences.

    Args:
        sentences: the number of sentences that were scored.
        tokens: the number of their tokens.
        accuracy: the share of tokens whose label is correct, between 0 and 1.
        per_label: label → score: of the labels of spans, or of the labels of tokens where the scheme is ``none``.
        scheme: ``iob1``, ``iob2`` or ``bioes``, or ``none`` where each token has a label of its own.
        default: spans by the CoNLL rules, all labels together (micro average); None where the scheme is ``none``.
        strict: spans by the scheme's own rules, all labels together; None where the scheme is ``none``.
        lag: what the labels have to do with those of whole sentences, where they were decided earlier.
    """

    scheme: str = "none"
    default: Score | None = None
    strict: Score | None = None
    lag: LagReport | None = None

    @property
    def score(self) -> float:
        """The score that selects the best model: F1 of spans by the CoNLL rules, or accuracy where there are none."""
        return self.accuracy if self.default is None else self.default.f1

    @property
    def summary(self) -> dict[str, float]:
        """The scores in a line, by their names."""
        return {"accuracy": self.accuracy} | ({} if self.default is None else {"F1": self.default.f1})

    def to_json(self) -> dict[str, Any]:
        """The report as a JSON object.

        Returns:
            ``scheme``, ``sentences``, ``tokens``, ``accuracy`` and ``per_label``; for a span scheme also ``mode``,
            ``precision``, ``recall`` and ``f1`` (micro averages), and as ``strict`` these three by the scheme's own
            rules; and what `LagReport.to_json` gives.
        """
        averages: dict[str, Any] = {}
        if self.default is not None and self.strict is not None:
            averages = {"mode": "default", **_without_support(self.default), "strict": _without_support(self.strict)}
        lag = {} if self.lag is None else self.lag.to_json()
        return {"scheme": self.scheme, **self._json(averages), **lag}

    def render(self, width: int = 80) -> str:
        """The report as a table of text.

        Args:
            width: columns of the terminal; longer labels are cut.

        Returns:
            Lines without a final line ending: a row per label, the averages, and the accuracy.
        """
        strict = None if self.strict == self.default else self.strict
        table = self._table({"micro avg": self.default, "macro avg": self.macro, "strict": strict}, width)
        rules = "" if self.default is None else f", spans by the CoNLL rules, labels in {self.scheme.upper()}"
        counts = f"{plural(self.tokens, 'token')} in {plural(self.sentences, 'sentence')}"
        closing = f"accuracy {self.accuracy:.4f} of {counts}{rules}"
        closings = [closing] if self.lag is None else [closing, self.lag.render()]
        return "\n\n".join([table, *(textwrap.fill(each, max(width, 20)) for each in closings)])


def tagging_report(
    gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]], scheme: str = "none"
) -> TaggingReport:
    """Compare predicted labels with gold ones.

    Args:
        gold: the gold labels, one list per sentence.
        predicted: the labels that a tagger predicted, as many per sentence.
        scheme: the scheme of both: ``iob1``, ``iob2``, ``bioes``, or ``none``. A label without one of the scheme's
            prefixes is not part of a span, but still counts in the accuracy.

    Returns:
        The report.

    Raises:
        ValueError: there are not as many predicted sentences or labels as gold ones, or the scheme is unknown.

    Examples:
        >>> report = tagging_report([["B-PER", "I-PER", "O"]], [["B-PER", "O", "B-LOC"]], "iob2")
        >>> report.score, round(report.accuracy, 2)
        (0.0, 0.33)
    """
    if scheme not in SCHEMES:
        raise ValueError(f"unknown scheme {scheme!r}; known: none, {', '.join(SCHEMES[:-1])}")
    if len(gold) != len(predicted):
        raise ValueError(f"expected labels for {plural(len(gold), 'sentence')}, found {len(predicted)}")
    for index, (right, guess) in enumerate(zip(gold, predicted, strict=True)):
        if len(right) != len(guess):
            raise ValueError(f"sentence {index}: expected {plural(len(right), 'label')}, found {len(guess)}")
    flat_gold, flat_predicted = (list(chain.from_iterable(labels)) for labels in (gold, predicted))
    matching = [label for label, guess in zip(flat_gold, flat_predicted, strict=True) if label == guess]
    counts = (len(gold), len(flat_gold), len(matching) / max(1, len(flat_gold)))
    if scheme == "none":
        per_label, _ = score_labels(Counter(matching), Counter(flat_predicted), Counter(flat_gold))
        return TaggingReport(*counts, per_label)
    gold_default, gold_strict = _spans(gold, scheme)
    predicted_default, predicted_strict = _spans(predicted, scheme)
    per_label, default = _score_spans(predicted_default, gold_default)
    _, strict = _score_spans(predicted_strict, gold_strict)
    return TaggingReport(*counts, per_label, scheme, default, strict)


def _score_spans(predicted: _Spans, gold: _Spans) -> tuple[dict[str, Score], Score]:
    return score_labels(*(Counter(label for _, label, _, _ in spans) for spans in (gold & predicted, predicted, gold)))


def _spans(sequences: Sequence[Sequence[str]], scheme: str) -> tuple[_Spans, _Spans]:
    """The spans by the CoNLL rules and by the scheme's own rules.

    seqeval is several times slower with a scheme's own rules, so they are used only where a sequence breaks its scheme;
    on all other sequences the two results agree.
    """
    from seqeval.metrics.sequence_labeling import get_entities
    from seqeval.scheme import IOB1, IOB2, IOBES, Tokens

    rules = {"iob1": IOB1, "iob2": IOB2, "bioes": IOBES}[scheme]
    default: _Spans = set()
    strict: _Spans = set()
    for index, sequence in enumerate(sequences):
        spans = {(index, label, first, last) for label, first, last in get_entities(_cleaned(sequence, "bioes"))}
        default |= spans
        if invalid_moves(sequence, scheme):
            entities = Tokens(_cleaned(sequence, scheme), rules, sent_id=index).entities
            strict |= {(index, entity.tag, entity.start, entity.end - 1) for entity in entities}
        else:
            strict |= spans
    return default, strict


def _cleaned(sequence: Sequence[str], scheme: str) -> list[str]:
    """The labels, with ``O`` in place of those that are not in the scheme."""
    return [label if is_label(label, scheme) else "O" for label in sequence]


def _without_support(score: Score) -> dict[str, float]:
    return {"precision": score.precision, "recall": score.recall, "f1": score.f1}
