"""fastText: one text per line with its labels among the words, ``__label__pos a fine film``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from seqkit.errors import DataError
from seqkit.formats.format import DEFAULTS, Format, ReadOptions, Sample
from seqkit.formats.text import Line, is_blank
from seqkit.formats.writers import clean
from seqkit.records import Sentence, TextRecord

_LABEL = re.compile(r"(?<![^ \t])__label__([^ \t]*)[ \t]*")
_AT_AN_END = re.compile(r"""[ \t]*__label__[^ \t,;"]+(?:[ \t]|$)|.*[ \t]__label__[^ \t,;"]+[ \t]*$""")
_LEAST_LABELLED = 0.9
"""share of the first lines that have a label, by which a file is recognised"""


def read_fasttext(lines: Iterable[Line], name: str, options: ReadOptions) -> Iterator[Sentence | TextRecord]:
    """Read one text per line, without the labels that stand before, after or in it.

    Args:
        lines: numbered lines; blank ones are skipped.
        name: the file's name, for messages.
        options: the fields that text and label are to have.

    Yields:
        The texts; the label in the fields of each is a string, or a list if there are several or none.
    """
    label = options.label or "label"
    for number, line in lines:
        if is_blank(line):
            continue
        labels = _LABEL.findall(line)
        text = _LABEL.sub("", line).strip(" \t")
        yield options.record(text, {label: labels[0] if len(labels) == 1 else labels, options.text: text}, name, number)


def _recognise(sample: Sample) -> bool:
    labelled = sum(_AT_AN_END.match(row) is not None for row in sample.rows)
    return labelled > 0 and labelled >= _LEAST_LABELLED * len(sample.rows)


def _write(records: Sequence[TextRecord]) -> str:
    written = []
    for number, record in enumerate(records, start=1):
        fields = dict(record.fields)
        labels = fields.pop("label", [])
        text = fields.pop("text", None)
        labels = [labels] if isinstance(labels, str) else labels
        where = {"file": record.file, "line": record.line}
        if fields:
            message = f"fasttext holds a text and its labels, no other fields, found {', '.join(map(repr, fields))}"
            raise DataError(f"{message}; --output-format jsonl can", **where)  # type: ignore[arg-type]
        if not isinstance(text, str) or not isinstance(labels, list) or not all(isinstance(one, str) for one in labels):
            raise DataError("expected a text, and strings for labels", **where)  # type: ignore[arg-type]
        line = clean(" ".join([*(f"__label__{label}" for label in labels), text]))
        found = next(iter(read_fasttext([(number, line)], "", DEFAULTS)), None)
        given = [clean(label) for label in labels]
        if any(end in line for end in "\n\r") or found is None or _of(found) != (given, clean(text)):
            message = "fasttext cannot hold a label with a space, or a text with a line break or a space at its end"
            raise DataError(f"{message}; --output-format jsonl can", **where)  # type: ignore[arg-type]
        written.append(line + "\n")
    return "".join(written)


def _of(record: Sentence | TextRecord) -> tuple[list[str], str]:
    labels = record.fields["label"]
    return ([labels] if isinstance(labels, str) else labels), record.text


FASTTEXT = Format(
    "fasttext",
    "labelled texts",
    source="https://fasttext.cc/docs/en/supervised-tutorial.html",
    recognise=_recognise,
    specific=True,
    texts=read_fasttext,
    has_label=lambda lines, label: True,
    write_texts=_write,
)
