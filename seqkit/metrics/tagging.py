"""How well predicted labels agree with gold ones: accuracy, and precision, recall and F1 of spans as seqeval has them.

Two rules say which spans a label sequence holds. seqeval's *default* mode follows conlleval, the script of the CoNLL
shared tasks (Tjong Kim Sang and Buchholz, 2000): an ``I-X`` that continues nothing opens a span. In *strict* mode only
spans that are well formed in the labels' scheme count. The two differ only where a sequence breaks its scheme.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from seqkit.metrics.scores import SCORE_COLUMNS, Score, macro_average, plural, score_head, score_row

__all__ = ["Score", "TaggingReport", "tagging_report"]

_PREFIXES = {"iob1": "BI", "iob2": "BI", "bioes": "BIES"}
_Spans = set[tuple[int, str, int, int]]  # sentence, label, first token, last token


@dataclass(frozen=True)
class TaggingReport:
    """The scores of one tagger on one set of sentences.

    Args:
        scheme: ``iob1``, ``iob2`` or ``bioes``, or ``none`` where each token's label stands alone.
        sentences: how many sentences were scored.
        tokens: how many tokens.
        accuracy: the share of tokens whose label is right, between 0 and 1.
        per_label: the score of every label of a span (every label of a token where the scheme is ``none``), by name.
        default: spans by the CoNLL rules, all labels together (micro average); none where the scheme is ``none``.
        strict: spans by the scheme's own rules, all labels together; none where the scheme is ``none``.
    """

    scheme: str
    sentences: int
    tokens: int
    accuracy: float
    per_label: dict[str, Score] = field(default_factory=dict)
    default: Score | None = None
    strict: Score | None = None

    @property
    def score(self) -> float:
        """The one number a tagger is judged by: F1 of spans by the CoNLL rules, or accuracy where there are none."""
        return self.accuracy if self.default is None else self.default.f1

    @property
    def macro(self) -> Score:
        """The plain mean over labels, seldom ones counting as much as frequent ones."""
        return macro_average(list(self.per_label.values()))

    def to_json(self) -> dict[str, Any]:
        """The report as a JSON object.

        Returns:
            ``scheme``, ``sentences``, ``tokens``, ``accuracy`` and ``per_label``; for a span scheme also ``mode``,
            ``precision``, ``recall`` and ``f1`` (micro averages), and as ``strict`` these three by the scheme's own
            rules.
        """
        report: dict[str, Any] = {
            "scheme": self.scheme,
            "sentences": self.sentences,
            "tokens": self.tokens,
            "accuracy": self.accuracy,
        }
        if self.default is not None and self.strict is not None:
            report |= {"mode": "default"} | _without_support(self.default) | {"strict": _without_support(self.strict)}
        report["per_label"] = {label: asdict(score) for label, score in self.per_label.items()}
        return report

    def render(self, width: int = 80) -> str:
        """The report as a table of text.

        Args:
            width: columns of the terminal; longer labels are cut.

        Returns:
            Lines without a line ending at the end: a row a label, then the averages, then accuracy.
        """
        averages = [("macro avg", self.macro)]
        if self.default is not None:
            averages.insert(0, ("micro avg", self.default))
        if self.strict is not None and self.strict != self.default:
            averages.append(("strict", self.strict))
        names = [*self.per_label, *(name for name, _ in averages)]
        first = max(len("micro avg"), min(max(map(len, names)), width - SCORE_COLUMNS))

        lines = [score_head(first), ""]
        lines += [score_row(label, score, first) for label, score in self.per_label.items()]
        lines += ["", *(score_row(name, score, first) for name, score in averages), ""]
        rules = "" if self.default is None else f", spans by the CoNLL rules, labels in {self.scheme.upper()}"
        closing = f"accuracy {self.accuracy:.4f} of {plural(self.tokens, 'token')}"
        closing += f" in {plural(self.sentences, 'sentence')}{rules}"
        return "\n".join(lines + textwrap.wrap(closing, max(width, 20)))


def tagging_report(
    gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]], scheme: str = "none"
) -> TaggingReport:
    """Compare predicted labels with gold ones.

    Args:
        gold: the right labels, one list a sentence.
        predicted: a tagger's labels, as many a sentence.
        scheme: the scheme that both are written in: ``iob1``, ``iob2``, ``bioes``, or ``none``. A label that has none
            of its prefixes is no part of a span, and still counts in the accuracy.

    Returns:
        The report.

    Raises:
        ValueError: the numbers of sentences or of labels differ, or the scheme is unknown.

    Examples:
        >>> report = tagging_report([["B-PER", "I-PER", "O"]], [["B-PER", "O", "B-LOC"]], "iob2")
        >>> report.score, round(report.accuracy, 2)
        (0.0, 0.33)
    """
    if scheme != "none" and scheme not in _PREFIXES:
        raise ValueError(f"expected a scheme of none, {', '.join(_PREFIXES)}, found {scheme!r}")
    if len(gold) != len(predicted):
        raise ValueError(f"expected labels for {len(gold)} sentences, found {len(predicted)}")
    for index, (right, guess) in enumerate(zip(gold, predicted, strict=True)):
        if len(right) != len(guess):
            raise ValueError(f"expected {len(right)} labels for sentence {index}, found {len(guess)}")
    tokens = sum(map(len, gold))
    correct = sum(
        label == guess
        for right, guesses in zip(gold, predicted, strict=True)
        for label, guess in zip(right, guesses, strict=True)
    )
    accuracy = correct / tokens if tokens else 0.0
    if scheme == "none":
        return TaggingReport(scheme, len(gold), tokens, accuracy, _token_scores(gold, predicted))
    gold_default, gold_strict = _spans(gold, scheme)
    predicted_default, predicted_strict = _spans(predicted, scheme)
    return TaggingReport(
        scheme,
        len(gold),
        tokens,
        accuracy,
        _span_scores(gold_default, predicted_default),
        _micro(gold_default, predicted_default),
        _micro(gold_strict, predicted_strict),
    )


def _token_scores(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> dict[str, Score]:
    from sklearn.metrics import precision_recall_fscore_support

    labels = sorted({label for sequences in (gold, predicted) for sequence in sequences for label in sequence})
    if not labels:
        return {}
    index = {label: number for number, label in enumerate(labels)}  # comparing integers, not strings, saves most of it
    right = [index[label] for sequence in gold for label in sequence]
    guess = [index[label] for sequence in predicted for label in sequence]
    columns = precision_recall_fscore_support(right, guess, labels=range(len(labels)), zero_division=0.0)
    rows = zip(labels, *columns, strict=True)
    return {label: Score(float(p), float(r), float(f), int(support)) for label, p, r, f, support in rows}


def _spans(sequences: Sequence[Sequence[str]], scheme: str) -> tuple[_Spans, _Spans]:
    """The spans by the CoNLL rules and by the scheme's own rules.

    seqeval reads several times slower by a scheme's rules, so it does so only where a sequence breaks its scheme; on
    all others the two readings agree.
    """
    from seqeval.metrics.sequence_labeling import get_entities
    from seqeval.scheme import IOB1, IOB2, IOBES, Tokens

    rules = {"iob1": IOB1, "iob2": IOB2, "bioes": IOBES}[scheme]
    default: _Spans = set()
    strict: _Spans = set()
    legal = _Moves(scheme)
    tolerated = _Cleaner("BIES")
    allowed = _Cleaner(_PREFIXES[scheme])
    for index, sequence in enumerate(sequences):
        spans = {(index, label, first, last) for label, first, last in get_entities(tolerated(sequence))}
        default |= spans
        cleaned = allowed(sequence)
        if cleaned == list(sequence) and legal(cleaned):
            strict |= spans
        else:
            entities = Tokens(cleaned, rules, sent_id=index).entities
            strict |= {(index, entity.tag, entity.start, entity.end - 1) for entity in entities}
    return default, strict


class _Cleaner(dict[str, str]):
    """label → itself, or ``O`` where it is none of the scheme's; each distinct label is looked at once."""

    def __init__(self, prefixes: str) -> None:
        super().__init__()
        self.prefixes = prefixes

    def __missing__(self, label: str) -> str:
        # A bare prefix has the empty kind; a hyphen has to have a kind after it.
        begins = label != "" and label[0] in self.prefixes and label[1:2] in ("-", "")
        well_formed = begins and label[1:] != "-"
        self[label] = label if well_formed else "O"
        return self[label]

    def __call__(self, sequence: Sequence[str]) -> list[str]:
        return [self[label] for label in sequence]


class _Moves(dict[tuple[str, str], bool]):
    """(label, next label) → whether the scheme allows it; each distinct pair is looked at once."""

    def __init__(self, scheme: str) -> None:
        super().__init__()
        self.scheme = scheme

    def __missing__(self, pair: tuple[str, str]) -> bool:
        (before, label), (after, next_label) = ((part[0], part[2:]) for part in pair)
        if self.scheme == "iob1":  # B- parts two neighbouring spans of one label, and stands nowhere else
            legal = after != "B" or (before != "O" and label == next_label)
        elif self.scheme == "iob2":
            legal = after != "I" or (before in "BI" and label == next_label)
        else:
            is_open = before in "BI"
            legal = (after in "IE") == is_open and (not is_open or label == next_label)
        self[pair] = legal
        return legal

    def __call__(self, sequence: list[str]) -> bool:
        return all(self[pair] for pair in zip(["O", *sequence], [*sequence, "O"], strict=True))


def _span_scores(gold: _Spans, predicted: _Spans) -> dict[str, Score]:
    counts: dict[str, list[int]] = {}  # label → correct, predicted, gold
    for position, spans in enumerate((gold & predicted, predicted, gold)):
        for _, label, _, _ in spans:
            counts.setdefault(label, [0, 0, 0])[position] += 1
    return {label: Score.of_counts(*counts[label]) for label in sorted(counts)}


def _micro(gold: _Spans, predicted: _Spans) -> Score:
    return Score.of_counts(len(gold & predicted), len(predicted), len(gold))


def _without_support(score: Score) -> dict[str, float]:
    return {"precision": score.precision, "recall": score.recall, "f1": score.f1}
