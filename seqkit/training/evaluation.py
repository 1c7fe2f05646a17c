"""A model's predictions against gold labels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from seqkit.config import BATCH_TOKENS
from seqkit.formats.schemes import convert, detect_scheme, is_label
from seqkit.metrics.tagging import TaggingReport, tagging_report
from seqkit.model.memory import BatchTokens
from seqkit.model.tagger import Tagger
from seqkit.records import Sentence, TaggedSentence

__all__ = ["evaluate", "gold_labels", "label_column", "score"]


def label_column(sentences: Iterable[Sentence], target: str) -> list[list[str]]:
    """One label column of some sentences.

    Args:
        sentences: the sentences; one without tokens needs no columns.
        target: the column, see `Sentence.column`.

    Returns:
        One label a token for each sentence.

    Raises:
        DataError: a sentence lacks the column.
    """
    return [sentence.column(target) if sentence.tokens else [] for sentence in sentences]


def gold_labels(model: Tagger, sentences: Sequence[Sentence], target: str | None = None) -> list[list[str]]:
    """The gold labels of sentences in the scheme that the model writes.

    Labels that the model never saw are kept as they are: they count as errors.

    Args:
        model: a tagger.
        sentences: sentences with labels.
        target: the label column; the model's by default.

    Returns:
        One label a token for each sentence.

    Raises:
        DataError: a sentence lacks the column.
    """
    column = model.codec.target if target is None else target
    labels = label_column(sentences, column)
    if model.codec.scheme == "none":
        return labels
    # A label of no scheme at all is an error of any tagger's, and must not hide which scheme the others are in.
    marked = [[label if is_label(label, "bioes") else "O" for label in row] for row in labels]
    found = detect_scheme(marked)
    if found in ("none", model.codec.scheme):
        return labels
    converted = [convert(row, found, model.codec.scheme) for row in marked]
    return [
        [new if label == mark else label for label, mark, new in zip(*rows, strict=True)]
        for rows in zip(labels, marked, converted, strict=True)
    ]


def score(model: Tagger, gold: Sequence[Sequence[str]], predicted: Sequence[TaggedSentence]) -> TaggingReport:
    """Compare predictions with gold labels; see `seqkit.metrics.tagging_report`."""
    return tagging_report(gold, [record.labels for record in predicted], model.codec.scheme)


def evaluate(
    model: Tagger, sentences: Sequence[Sentence], *, batch_tokens: int | BatchTokens = BATCH_TOKENS
) -> TaggingReport:
    """Predict sentences that have labels, and score the predictions.

    Args:
        model: a tagger.
        sentences: sentences with the model's label column.
        batch_tokens: tokens a batch.

    Returns:
        The report.

    Raises:
        DataError: a sentence lacks the column.
    """
    gold = gold_labels(model, sentences)
    return score(model, gold, list(model.predict(sentences, spans=False, batch_tokens=batch_tokens)))
