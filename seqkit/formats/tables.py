"""Rows of cells, tab- or comma-separated, with names for their columns: labelled texts, one a row."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from seqkit.errors import DataError
from seqkit.formats.text import is_blank

__all__ = ["Row", "read_rows", "read_table", "table_columns"]

Line = tuple[int, str]

_LONGEST_CELL = 2**31 - 1
"""in characters, the most that the module csv can be told on every platform; its own limit would refuse a long text"""


class Row(NamedTuple):
    """One row of a table.

    Attributes:
        line: the line that it begins at, counted from 1.
        cells: its cells by name, in the order of the columns.
    """

    line: int
    cells: dict[str, str]


def read_table(
    lines: Iterable[Line],
    name: str,
    format: str,
    *,
    text: str = "text",
    label: str = "label",
    labelled: bool = True,
    columns: Sequence[str] | None = None,
) -> Iterator[Row]:
    """Read a table of texts.

    A first row that holds the names `text` and `label` names the columns. Without such a row there are two columns,
    the label and the text.

    Args:
        lines: numbered lines; blank ones are skipped.
        name: the file's name, for messages.
        format: ``tsv``, whose cells stand between tabs as they are, or ``csv``, whose cells may be quoted.
        text: the column of the text.
        label: the column of the label.
        labelled: whether there has to be a label: otherwise a table may hold texts alone.
        columns: the names of all columns, where they are known: then the first row is one like the others.

    Yields:
        The rows after the one with the names.

    Raises:
        DataError: a column is not named, a row is wider or narrower than the first, or its quotes are faulty.
    """
    for line, cells in read_rows(lines, name, format):
        if columns is None:
            columns, named = table_columns(cells, name, line, text=text, label=label, labelled=labelled)
            if named:
                continue
        if len(cells) != len(columns):
            between = "tabs" if format == "tsv" else "commas"
            expected = f"expected {_columns(len(columns))} ({', '.join(columns)}) between {between}"
            raise DataError(f"{expected}, found {len(cells)}", file=name, line=line)
        yield Row(line, dict(zip(columns, cells, strict=True)))


def read_rows(lines: Iterable[Line], name: str, format: str) -> Iterator[tuple[int, list[str]]]:
    """Cut lines into cells.

    Args:
        lines: numbered lines; blank ones are skipped, but a row of empty cells is one like the others.
        name: the file's name, for messages.
        format: ``tsv`` or ``csv``.

    Returns:
        An iterator over the line that a row begins at, and its cells.

    Raises:
        DataError: while iterating: quotes are faulty (``csv``).
    """
    if format == "csv":
        return _csv_rows(lines, name)
    return ((number, line.split("\t")) for number, line in lines if "\t" in line or not is_blank(line))


def _csv_rows(lines: Iterable[Line], name: str) -> Iterator[tuple[int, list[str]]]:
    first = last = 0

    def fed() -> Iterator[str]:
        """The lines with their endings, which count within quotes; what is between two calls is one row."""
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
            found = "an open quote at its end" if str(error) == "unexpected end of data" else str(error)
            raise DataError(f"expected comma-separated cells, found {found}", file=name, line=first or last) from None
        finally:
            csv.field_size_limit(limit)
        blank = not cells or (len(cells) == 1 and cells[0] != "" and is_blank(cells[0]))
        if not blank:  # one empty cell was written in quotes: a text without a word
            yield first, cells


def table_columns(
    cells: Sequence[str], name: str, line: int, *, text: str = "text", label: str = "label", labelled: bool = True
) -> tuple[list[str], bool]:
    """What the first row of a table says of its columns.

    Args:
        cells: the cells of the first row.
        name: the file's name, for messages.
        line: the row's line.
        text: the column of the text.
        label: the column of the label.
        labelled: whether there has to be a label.

    Returns:
        The names of the columns, and whether the row holds these names and no text.

    Raises:
        DataError: a column is not named, or two have the same name.
    """
    found = list(cells)
    if text in found and (label in found or not labelled):
        repeated = next((column for column, times in Counter(found).items() if times > 1), None)
        if repeated is not None:
            raise DataError(f"expected each column's name once, found {repeated!r} twice", file=name, line=line)
        return found, True
    # A label or a text is hardly ever called so: this is a row of names, and reading it as a text would go unnoticed.
    known = {text.casefold(), label.casefold()}
    if len(found) > 1 and any(cell.strip().casefold() in known for cell in found):
        wanted = f"{text!r} and {label!r}" if labelled else repr(text)
        shown = ", ".join(map(repr, found))
        raise DataError(f"expected columns named {wanted}, found {shown}", file=name, line=line)
    if len(found) == 2:
        return [label, text], False
    if len(found) == 1 and not labelled:
        return [text], False
    expected = f"expected 2 columns (label and text) or a first row with the names {text!r} and {label!r}"
    raise DataError(f"{expected}, found {_columns(len(found))} without these names", file=name, line=line)


def _columns(count: int) -> str:
    return "1 column" if count == 1 else f"{count} columns"
