"""Whether the labels of texts can be labels: not the texts themselves, numbers of rows, or names of columns."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from seqkit.corpora.numbers import AS_NUMBERS, are_numbers, labels_in
from seqkit.errors import DataError
from seqkit.formats.tables import names_of_columns
from seqkit.records import LABEL_SEPARATOR

_FEWEST_LABELS = 4
"""fewer different labels than these say nothing of the whole column"""
_FEWEST_TEXTS = 10
"""fewer texts than these may all have labels of their own"""
_MOST_DIFFERENT = 0.5
"""share of the labels that may be different from all others, as in a few examples for each of many labels"""
_LEAST_KNOWN = 0.5
"""share of the texts of dev whose labels occur in train, if there is anything to be learned"""
_JOINTS = "#,;"
"""signs that other programs write between several labels of one text, such as doccano in a table"""
_WAY_OUT = (
    "--columns text,label if the text stands first in a table without names of columns; otherwise "
    "--set data.text=NAME --set data.label=NAME (or --text NAME --label NAME)"
)


def refuse_no_labels(train: Sequence[Any], dev: Sequence[Any], label: str, source: object) -> list[str]:
    """See that labels can be learned from texts.

    Two things are surely wrong. First, fewer different texts than labels, far fewer or with the longer labels, because
    no label then follows from a text: the two are confused. Second, most labels occurring once while those of dev do
    not occur at all: free text, or numbers of rows. A few examples for each of many labels are neither, since dev has
    the same labels.

    Args:
        train: the records to learn from.
        dev: those to choose the best epoch by.
        label: the field of the label.
        source: what messages call the records.

    Returns:
        Warnings for the user, of what is unusual.

    Raises:
        DataError: they cannot be labels.
    """
    some = [record for record in train if record.text]  # what is no text, such as frames, is not compared
    rows = [_labels(record, label) for record in some]
    different = {each for row in rows for each in row}
    texts, sets = {record.text for record in some}, set(rows)
    total = sum(map(len, rows))
    longer = (
        sum(len(each) for row in rows for each in row) * len(some) > sum(len(record.text) for record in some) * total
    )
    confused = len(sets) >= 2 * len(texts) or (len(sets) > len(texts) and 2 * len(sets) > len(some) and longer)
    if len(sets) >= _FEWEST_LABELS and confused:
        found = f"{len(sets):,} different labels for {len(texts):,} different texts of {len(some):,}"
        raise DataError(f"the texts look like labels and the labels like texts ({found}); {_WAY_OUT}", file=source)
    warnings = _joined(different)
    if total < _FEWEST_TEXTS or len(different) <= _MOST_DIFFERENT * total:
        return warnings
    known = sum(bool(different & {*_labels(record, label)}) for record in dev)
    found = f"{len(different):,} different labels for {len(some):,} texts"
    if known >= _LEAST_KNOWN * len(dev):
        return [*warnings, f"warning: {found}, fewer than two examples for most"]
    message = f"the field {label!r} does not look like a label: {found}, and {known:,} of {len(dev):,} texts of dev "
    way_out = AS_NUMBERS if are_numbers(labels_in(some, label)) else _WAY_OUT
    raise DataError(f"{message}have one of them; {way_out}", file=source)


def _joined(labels: Collection[str]) -> list[str]:
    """A warning of labels that look like several in one: a part of them is a label by itself."""
    for sign in _JOINTS:
        found = sorted(
            label
            for label in labels
            if sign in label.strip(sign) and any(part.strip() in labels for part in label.split(sign))
        )
        if found:
            read = f"the label {found[0]!r} looks like several with {sign} between them and is read as one"
            return [f"warning: {read}; several labels stand with {LABEL_SEPARATOR} between them, or as a list in JSON"]
    return []


def refuse_header(records: Sequence[Any], label: str) -> None:
    """See that the first of records from Python is not the row with the names of the columns.

    Args:
        records: the records.
        label: the field of the label.

    Raises:
        DataError: it is.
    """
    first = records[0]
    value = first.fields.get(label)
    names = names_of_columns([value, first.text]) if isinstance(value, str) else None
    if names and all(record.fields.get(label) != value for record in records[1:]):
        found = f"the first text and its label look like names of columns: {first.text}, {value}"
        raise DataError(f"{found}; leave them out", file=first.file, line=first.line)


def _labels(record: Any, label: str) -> tuple[str, ...]:
    """The labels of a text, several from a list or from a string with ``|`` between them."""
    value = record.fields.get(label, "")
    return tuple(value) if isinstance(value, list | tuple) else tuple(map(str.strip, str(value).split(LABEL_SEPARATOR)))
