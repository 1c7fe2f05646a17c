"""Published data sets of labelled texts: tables and objects that differ only in which field is what."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import Any, NamedTuple

from seqkit.formats.format import Format, ReadOptions
from seqkit.formats.jsonl import JSONL
from seqkit.formats.tables import CSV
from seqkit.formats.text import Line, Lines, is_blank
from seqkit.records import Sentence, TextRecord


class _Fields(NamedTuple):
    """Which fields are what.

    Attributes:
        text: those of the text, which are joined by spaces.
        label: that of the label.
    """

    text: tuple[str, ...]
    label: str


class _Published(NamedTuple):
    """The files of a data set.

    Attributes:
        name: what users call their format.
        base: the format that they are in.
        fields: which fields are what; of several, the first that a file has.
        columns: the columns of a table whose first row may lack their names.
        source: where they are described.
    """

    name: str
    base: Format
    fields: tuple[_Fields, ...]
    columns: tuple[str, ...]
    source: str


_PUBLISHED = (
    _Published(
        "ag-news",
        CSV,
        (_Fields(("Title", "Description"), "Class Index"),),
        ("Class Index", "Title", "Description"),
        "Zhang, Zhao and LeCun (2015), https://arxiv.org/abs/1509.01626",
    ),
    _Published(
        "dbpedia",
        CSV,
        (_Fields(("Title", "Content"), "Class Index"),),
        ("Class Index", "Title", "Content"),
        "Zhang, Zhao and LeCun (2015), https://arxiv.org/abs/1509.01626",
    ),
    _Published(
        "imdb",
        CSV,
        (_Fields(("review",), "sentiment"),),
        ("review", "sentiment"),
        "Maas et al. (2011), https://ai.stanford.edu/~amaas/data/sentiment/",
    ),
    _Published(
        "amazon",
        JSONL,
        (_Fields(("reviewText",), "overall"), _Fields(("text",), "rating")),
        (),
        "https://amazon-reviews-2023.github.io/, https://cseweb.ucsd.edu/~jmcauley/datasets/amazon_v2/",
    ),
    _Published(
        "yelp",
        JSONL,
        (_Fields(("text",), "stars"),),
        (),
        "https://business.yelp.com/data/resources/open-dataset/",
    ),
)


def _read(of: _Published, lines: Iterable[Line], name: str, options: ReadOptions) -> Iterator[Sentence | TextRecord]:
    """The texts, in whose fields text and label have the names that are asked for."""
    assert of.base.texts is not None
    fields = of.fields[0]
    if of.base is JSONL:
        first, lines = _first_object(lines)
        fields = _fields_of(of, first if options.head is None else options.head)
    asked = _own(of, fields, options)
    for record in of.base.texts(lines, name, replace(asked, split=None)):
        values, label, text = record.fields, options.label or "label", record.text
        if asked.text != options.text:
            parts = [values.pop(each, "") for each in fields.text]
            text = " ".join(parts) if len(parts) > 1 else text
        if label not in values and fields.label in values:
            value = values.pop(fields.label)
            values = {label: value.strip() if isinstance(value, str) else value, **values}
        yield options.record(text, {**values, options.text: text}, name, record.line)


def _own(of: _Published, fields: _Fields, options: ReadOptions) -> ReadOptions:
    """The options with the names that the files have, except where others of their columns are asked for."""
    return replace(
        options,
        columns=options.columns or of.columns or None,
        text=fields.text[0] if options.text == "text" else options.text,
        label=fields.label if options.label == "label" else options.label,
    )


def _fields_of(of: _Published, names: Collection[Any]) -> _Fields:
    """Those of the fields that an object has: text and label, or the text at least."""
    known = [each for each in of.fields if each.text[0] in names]
    return next((each for each in known if each.label in names), (known or of.fields)[0])


def _first_object(lines: Iterable[Line]) -> tuple[dict[str, Any], Iterator[Line]]:
    """The first object, empty if the line is none; and all lines."""
    lines, before = iter(lines), []
    for number, line in lines:
        before.append((number, line))
        if not is_blank(line):
            break
    try:
        found = json.loads(before[-1][1]) if before else {}
    except (ValueError, RecursionError):  # which the reader says better
        found = {}
    return (found if isinstance(found, dict) else {}), chain(before, lines)


def _head(of: _Published, lines: Lines, name: str) -> tuple[Sequence[Any] | None, bool]:
    if of.base.head is not None:
        return of.base.head(lines, name)
    first, rest = _first_object(lines)
    return list(first), not all(is_blank(line) for _, line in rest)


def _usual_head(of: _Published, lines: Sequence[Line], name: str, options: ReadOptions) -> Sequence[Any] | None:
    if of.base.head is None:
        return list(_first_object(lines)[0])
    return of.base.usual_head(lines, name, _own(of, of.fields[0], options))


PUBLISHED = tuple(
    replace(
        each.base,
        name=each.name,
        content="labelled texts",
        source=each.source,
        suffixes=(),
        recognise=lambda sample: False,
        describe=lambda sample, given: (given, ""),
        sentences=None,
        texts=partial(_read, each),
        has_label=lambda lines, label: True,
        head=partial(_head, each),
        usual_head=partial(_usual_head, each),
        write=None,
        write_texts=None,
        label_columns_vary=False,
    )
    for each in _PUBLISHED
)
