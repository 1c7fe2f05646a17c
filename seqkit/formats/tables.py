"""Tables, tab- or comma-separated, with named columns: one text per row."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from seqkit.errors import DataError, shown
from seqkit.formats.format import Format, ReadOptions, Sample
from seqkit.formats.text import BYTE_ORDER_MARK, Line, Lines, is_blank
from seqkit.records import Sentence, TextRecord

_COLUMN = {"tsv": "tab-separated column", "csv": "comma-separated column"}
_LONGEST_CELL = 2**31 - 1
"""in characters, the most that the module csv accepts on every platform; its own limit would refuse a long text"""


class Row(NamedTuple):
    """One row of a table.

    Attributes:
        line: the line it starts at, counted from 1.
        cells: its cells by name, in the order of the columns.
    """

    line: int
    cells: dict[str, str]


def read_table(lines: Iterable[Line], name: str, format: str, options: ReadOptions) -> Iterator[Row]:
    """Read a table of texts.

    A first row with the names of the text and the label names the columns. Without such a row there are two columns,
    the label and the text.

    Args:
        lines: numbered lines; blank ones are skipped.
        name: the file's name, for messages.
        format: ``tsv``, whose cells are between tabs as they are, or ``csv``, whose cells may be quoted.
        options: the columns of the text and the label; without a label a table may contain texts alone. With the cells
            of the first row as head, the first line is a row like the others.

    Yields:
        The rows after the one with the names.

    Raises:
        DataError: a column has no name, a row is wider or narrower than the first, or its quotes are faulty.
    """
    if not all(isinstance(cell, str) for cell in options.head or ()):
        raise DataError(f"a head must be the cells of the first row, found {shown(options.head)}", file=name)
    columns = None if options.head is None else _columns(options.head, name, 1, options)[0]
    for line, cells in table_rows(lines, name, format):
        if columns is None:
            columns, named = _columns(cells, name, line, options)
            if named:
                continue
        if len(cells) != len(columns):
            expected = f"{_count(len(columns), _COLUMN[format])} ({', '.join(columns)})"
            raise DataError(f"expected {expected}, found {len(cells)}", file=name, line=line)
        yield Row(line, dict(zip(columns, cells, strict=True)))


def table_rows(lines: Iterable[Line], name: str, format: str) -> Iterator[tuple[int, list[str]]]:
    """Read the rows of a table, of which any one may have the columns' names.

    Args:
        lines: numbered lines; blank ones are skipped, but not rows of empty cells.
        name: the file's name, for messages.
        format: ``tsv`` or ``csv``, see `read_table`.

    Returns:
        An iterator over the line that each row starts at, and its cells; while iterating, `DataError` for faulty
        quotes.
    """
    if format == "csv":
        return _csv_rows(lines, name)
    return ((number, line.split("\t")) for number, line in lines if "\t" in line or not is_blank(line))


def _csv_rows(lines: Iterable[Line], name: str) -> Iterator[tuple[int, list[str]]]:
    first = last = 0

    def fed() -> Iterator[str]:
        """The lines with their endings, which count within quotes; the lines between two calls are one row."""
        nonlocal first, last
        for number, line in lines:
            first, last = first or number, number
            yield line + "\n"

    rows = csv.reader(fed(), strict=True)
    while True:
        first = 0
        limit = csv.field_size_limit(_LONGEST_CELL)  # which is one for the whole process
        try:
            cells = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            reason = "a quote is not closed" if str(error) == "unexpected end of data" else str(error)
            raise DataError(f"invalid CSV: {reason}", file=name, line=first or last) from None
        finally:
            csv.field_size_limit(limit)
        blank = not cells or (len(cells) == 1 and cells[0] != "" and is_blank(cells[0]))
        if not blank:  # a single empty cell was written in quotes: an empty text
            yield first, cells


def _columns(cells: Sequence[str], name: str, line: int, options: ReadOptions) -> tuple[list[str], bool]:
    """The names of the columns, and whether the first row has these names and no text."""
    text, label = options.text, options.label or "label"
    labelled = options.label is not None
    found = list(cells)
    if text in found and (label in found or not labelled):
        repeated = next((column for column, times in Counter(found).items() if times > 1), None)
        if repeated is not None:
            raise DataError(f"several columns are named {repeated!r}", file=name, line=line)
        return found, True
    # A label or a text is hardly ever called so: this is a row of names, and reading it as a text would go unnoticed.
    known = {text.casefold(), label.casefold()}
    if len(found) > 1 and any(cell.strip().casefold() in known for cell in found):
        wanted = f"{text!r} and {label!r}" if labelled else repr(text)
        names = ", ".join(map(repr, found))
        raise DataError(f"expected columns named {wanted}, found {names}", file=name, line=line)
    if len(found) == 2:
        return [label, text], False
    if len(found) == 1 and not labelled:
        return [text], False
    expected = f"expected 2 columns (label and text) or a header with {text!r} and {label!r}"
    raise DataError(f"{expected}, found {_count(len(found))} and no such header", file=name, line=line)


def _count(count: int, kind: str = "column") -> str:
    return f"{count} {kind}" if count == 1 else f"{count} {kind}s"


def _read_texts(format: str, lines: Iterable[Line], name: str, options: ReadOptions) -> Iterator[Sentence | TextRecord]:
    for line, cells in read_table(lines, name, format, options):
        yield options.record(cells[options.text], dict(cells), name, line)


def _first_row(format: str, lines: Lines, name: str) -> tuple[list[str] | None, bool]:
    cells = next((cells for _, cells in table_rows(lines, name, format)), None)
    return cells, cells is not None


def _checked_first_row(format: str, lines: Iterable[Line], name: str, options: ReadOptions) -> list[str] | None:
    line, cells = next(table_rows(lines, name, format), (0, None))
    if cells is not None:
        _columns(cells, name, line, options)
    return cells


def _last_row_end(data: bytearray, first: bool) -> int:
    """The end of the last row, in which quotes may contain line ends; of a faulty row its first lines."""
    whole = bytes(data)
    position = len(BYTE_ORDER_MARK) if first and whole.startswith(BYTE_ORDER_MARK) else 0
    end, all_read = 0, False

    def lines() -> Iterator[Line]:
        nonlocal position, all_read
        for number, raw in enumerate(whole[position:].splitlines(keepends=True), start=1):
            following = position + len(raw)
            if raw.endswith(b"\n") or (raw.endswith(b"\r") and following < len(whole)):
                position = following
                yield number, raw.rstrip(b"\r\n").decode("latin-1")  # quotes and commas are the same bytes as in UTF-8
        all_read = True

    try:
        for _ in _csv_rows(lines(), ""):
            end = position
    except DataError:
        return end if all_read else position  # at the end: a row that is not complete
    return end


def _recognise(sample: Sample) -> bool:
    return sample.suffix == ".tsv" or (bool(sample.rows) and all("\t" in row for row in sample.rows))


def _table(name: str) -> Format:
    return Format(
        name,
        "labelled texts",
        texts=partial(_read_texts, name),
        has_label=lambda lines, label: True,
        head=partial(_first_row, name),
        usual_head=partial(_checked_first_row, name),
    )


TSV = replace(_table("tsv"), usual_suffixes=(".tsv",), recognise=_recognise)
CSV = replace(_table("csv"), suffixes=(".csv",), last_end=_last_row_end)
