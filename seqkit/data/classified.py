"""The record of a prediction for a whole text: its labels and their probabilities; and how it is written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TextIO

from seqkit.data.class_codec import SEPARATOR
from seqkit.data.sentence import Sentence
from seqkit.data.writers import clean, to_json
from seqkit.errors import DataError

__all__ = ["CLASS_WRITERS", "ClassifiedText", "format_tsv", "write_classified"]


@dataclass(slots=True)
class ClassifiedText:
    """A text with its predicted label, or labels.

    Args:
        sentence: the input, as it was read.
        labels: the predicted labels, the most probable first; exactly one unless a text may have several.
        probs: label → probability, all labels, the most probable first.
        multi: whether a text may have several labels: then the probabilities do not sum to 1.
    """

    sentence: Sentence
    labels: list[str]
    probs: dict[str, float]
    multi: bool = False

    @property
    def label(self) -> str:
        """The label; of several all of them, joined by `SEPARATOR`."""
        return SEPARATOR.join(self.labels)

    def to_json(self, top: int | None = None) -> dict[str, Any]:
        """The record as a JSON object.

        Args:
            top: so many of the most probable labels under ``probs``; all by default.

        Returns:
            ``text``, ``label`` (a list where a text may have several) and ``probs``.
        """
        probs = {label: round(prob, 6) for label, prob in list(self.probs.items())[:top]}
        return {"text": self.sentence.text, "label": self.labels if self.multi else self.label, "probs": probs}


def format_tsv(record: ClassifiedText, top: int | None = None) -> str:
    r"""One prediction as ``label<TAB>probability<TAB>text``.

    Several labels stand in one column with `SEPARATOR` between them, and so do their probabilities. The text comes last
    and as it was given, tabs included.

    Args:
        record: the prediction.
        top: so many of the most probable labels instead of the predicted ones.

    Returns:
        One line, with its ``\n``.

    Raises:
        DataError: the text holds a line break, or a label a tab or line break.
    """
    sentence = record.sentence
    labels = record.labels if top is None else list(record.probs)[:top]
    label = SEPARATOR.join(labels)
    if any(mark in sentence.text for mark in "\n\r") or any(mark in label for mark in "\n\r\t"):
        message = "expected texts without line breaks, found one with them; --output-format jsonl can hold it"
        raise DataError(message, file=sentence.file or None, line=sentence.line or None)
    probs = SEPARATOR.join(f"{record.probs[each]:.4f}" for each in labels)
    return clean(f"{label}\t{probs}\t{sentence.text}\n")


def _format_jsonl(record: ClassifiedText, top: int | None = None) -> str:
    return to_json(record.to_json(top)) + "\n"


CLASS_WRITERS: Mapping[str, Callable[[ClassifiedText, int | None], str]] = {"tsv": format_tsv, "jsonl": _format_jsonl}
"""output format → prediction and number of labels to text"""


def write_classified(
    records: Iterable[ClassifiedText], stream: TextIO, output_format: str, top: int | None = None
) -> int:
    """Write predictions, each as soon as it comes.

    Args:
        records: the predictions.
        stream: a text stream in UTF-8.
        output_format: one of `CLASS_WRITERS`.
        top: so many of the most probable labels.

    Returns:
        How many were written.

    Raises:
        DataError: the format cannot hold a text; or there is no such format.
    """
    if output_format not in CLASS_WRITERS:
        raise DataError(f"expected an output format among {', '.join(CLASS_WRITERS)}, found {output_format!r}")
    form = CLASS_WRITERS[output_format]
    count = 0
    for record in records:
        stream.write(form(record, top))
        count += 1
    return count
