"""Tables, tab-, comma- or semicolon-separated, with named columns: one text per row."""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

from seqkit.errors import DataError, shown
from seqkit.formats.format import NAME_PAIR, Description, Format, ReadOptions, Sample
from seqkit.formats.manifest import frames_of_rows, has_frames
from seqkit.formats.text import BYTE_ORDER_MARK, Line, Lines, is_blank, last_line_end
from seqkit.formats.writers import clean
from seqkit.records import LABEL_SEPARATOR, FrameRecord, Sentence, TextRecord

_COLUMN = {
    "tsv": "tab-separated column",
    "csv": "comma-separated column",
    "csv-semicolon": "semicolon-separated column",
    "csv-tab": "tab-separated column",
}
_DELIMITERS = {"csv": ",", "csv-semicolon": ";", "csv-tab": "\t"}
_QUOTED = "https://www.rfc-editor.org/rfc/rfc4180"
_UNQUOTED = "https://www.iana.org/assignments/media-types/text/tab-separated-values"
_USUAL_NAMES = {
    "text": "text texts sentence sentences review reviews reviewtext comment comments commenttext content contents "
    "message messages tweet tweets document documents body description phrase question utterance query headline title "
    "article post statement input kommentar nachricht satz rezension inhalt texte commentaire avis phrases texto "
    "comentario reseña mensaje v2",
    "label": "label labels class classes classindex target targets sentiment category categories topic topics tag tags "
    "intent intents polarity rating ratings stars score overall emotion emotions output kategorie klasse bewertung "
    "thema stimmung classe catégorie étiquette clase categoría etiqueta sentimiento airlinesentiment v1",
}
_KIND_OF_NAME = {name: kind for kind, names in _USUAL_NAMES.items() for name in names.split()}
"""what columns are often called, in small letters without spaces and other signs → what they contain"""
_LONGEST_CELL = 1 << 24
"""in characters; the module csv, which takes 4 bytes for each, reads to the end of the file if a quote is not closed"""
_LONGEST_NAME = 40
_SEPARATOR = re.compile(r'"?sep=.?"?[,;\t]*', re.IGNORECASE)
"""a first line that tells Excel what separates the cells, which the rows tell, too"""
_PROBABILITY = re.compile(r"[01]\.[0-9]+")
"""no name of a column, but what stands beside a label that was predicted"""
_PREDICTED = re.compile(r"[^\t]+\t[01]\.[0-9]{4}(?:\|[01]\.[0-9]{4})*|\t")
"""label and probability, several, or none"""
_FEWEST_ROWS = 10
"""rows without names from which on the first one is compared with the others"""


class NoNamesError(DataError):
    """The first row of a table names a file, and no columns."""


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

    A first row with the names of the text and the label names the columns. Without such a row the columns are those
    that the options name, or two: the label and the text. In rows as ``seqkit classify predict`` writes them (label,
    probability, text, in this order) the text may have tabs.

    Args:
        lines: numbered lines; blank ones are skipped.
        name: the file's name, for messages.
        format: ``tsv``, whose cells are between tabs as they are, or one of those whose cells may be quoted (RFC 4180, https://www.rfc-editor.org/rfc/rfc4180).
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
        if len(cells) > len(columns) and format == "tsv":
            cells = _with_whole_text(cells, columns, options)
        if len(cells) != len(columns):
            expected = f"{_count(len(columns), _COLUMN[format])} ({', '.join(columns)})"
            raise DataError(f"expected {expected}, found {len(cells)}", file=name, line=line)
        yield Row(line, dict(zip(columns, cells, strict=True)))


def _with_whole_text(cells: list[str], columns: Sequence[str], options: ReadOptions) -> list[str]:
    """A row; one with label, probability and text, as ``seqkit classify predict`` writes it, may have tabs in this."""
    predicted = len(columns) == 3 and columns[2] == options.text and _PREDICTED.fullmatch("\t".join(cells[:2]))
    return [*cells[:2], "\t".join(cells[2:])] if predicted else cells


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
    if format in _DELIMITERS:
        return _csv_rows(lines, name, _DELIMITERS[format])
    return ((number, line.split("\t")) for number, line in lines if "\t" in line or not is_blank(line))


def _csv_rows(lines: Iterable[Line], name: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    first = last = 0

    def fed() -> Iterator[str]:
        """The lines with their endings, which count within quotes; the lines between two calls are one row."""
        nonlocal first, last
        for number, line in lines:
            if number == 1 and _SEPARATOR.fullmatch(line):
                continue
            first, last = first or number, number
            yield line + "\n"

    rows = csv.reader(fed(), strict=True, delimiter=delimiter)
    while True:
        first = 0
        limit = csv.field_size_limit(_LONGEST_CELL)  # which is one for the whole process
        try:
            cells = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            reason = "a quote is not closed" if str(error) == "unexpected end of data" else str(error)
            if reason.startswith("field larger"):
                reason = f"a cell has more than {_LONGEST_CELL:,} characters, or a quote is not closed"
            raise DataError(f"invalid CSV: {reason}", file=name, line=first or last) from None
        finally:
            csv.field_size_limit(limit)
        blank = not cells or (len(cells) == 1 and cells[0] != "" and is_blank(cells[0]))
        if not blank:  # a single empty cell was written in quotes: an empty text
            yield first, cells


def names_of_columns(cells: Sequence[str]) -> tuple[str, str] | None:
    """Whether a row looks like names of columns: one often has texts, another labels.

    Args:
        cells: the row.

    Returns:
        The name of the text and that of the label; None for other rows.
    """
    found: dict[str, str] = {}
    if any(map(_PROBABILITY.fullmatch, cells)):
        return None
    for cell in cells:
        kind = _KIND_OF_NAME.get(re.sub(r"[\W_]+", "", cell.casefold())) if len(cell) <= _LONGEST_NAME else None
        if kind:
            found.setdefault(kind, cell.strip())
    return (found["text"], found["label"]) if len(found) == 2 else None


def which_is_which(text: str, label: str, *, text_first: bool = False) -> str:
    """What a message says of the flags that name the fields of the text and the label, or of what is translated."""
    if text_first:
        return f"say which is which: --source {text} --target {label}"
    flags = f"--set data.text={text} --set data.label={label} (or --text {text} --label {label})"
    return f"say which is which: {flags}"


def _columns(cells: Sequence[str], name: str, line: int, options: ReadOptions) -> tuple[list[str], bool]:
    """The names of the columns, and whether the first row has these names and no text."""
    text, label = options.text, options.label or "label"
    labelled = options.label is not None
    texts = [text, *filter(None, [options.second])]
    found = [cell.strip() for cell in cells]
    if options.columns:
        return _named_columns(found, name, line, options)
    if set(texts) <= set(found) and (label in found or not labelled):
        return _refuse_repeated([cell or str(place) for place, cell in enumerate(found)], name, line), True
    # A label or a text is hardly ever called so: this is a row of names, and reading it as a text would go unnoticed.
    known = {each.casefold() for each in (*texts, label)}
    wanted = " and ".join(map(repr, [*texts, label] if labelled else texts))
    likely = names_of_columns(found)
    what_to_do = _what_to_do(found, likely, options, named=bool(known & {cell.casefold() for cell in found}))
    if len(found) > 1 and any(cell.casefold() in known for cell in found):
        names = ", ".join(map(repr, found))
        raise DataError(f"expected columns named {wanted}, found {names}{what_to_do}", file=name, line=line)
    if likely:
        looks_like = f"the first row looks like names of columns: {', '.join(found)}"
        raise DataError(looks_like + what_to_do, file=name, line=line)
    if len(found) == len(texts) + 1 and (labelled or not options.second):
        return [*texts, label] if options.text_first else [label, *texts], False
    if len(found) == len(texts) and not labelled:
        return texts, False
    if options.second:
        columns = [label, *texts] if labelled else texts
        expected = f"expected {len(columns)} columns ({', '.join(columns)}) or a header with {wanted}"
    else:
        order = f"{text} and {label}" if options.text_first else "label and text"
        expected = f"expected 2 columns ({order}) or a header with {text!r} and {label!r}"
    raise DataError(
        f"{expected}, found {_count(len(found))} and no such header{what_to_do if len(found) > 1 else ''}",
        file=name,
        line=line,
    )


def _what_to_do(found: Sequence[str], likely: tuple[str, str] | None, options: ReadOptions, *, named: bool) -> str:
    """What a message about the first row says of the flags that name the columns; `named` if the row has names."""
    if options.second:
        return f"; {NAME_PAIR}, --label FIELD that of the label; --columns NAME,… names the columns"
    if options.label is not None and (likely or named):
        return f"; {which_is_which(*(likely or ('NAME', 'NAME')), text_first=options.text_first)}"
    names = dict(zip(likely, (options.text, "label"), strict=True)) if likely else {}
    columns = ",".join(names.get(cell, cell) for cell in found) if likely else "NAME,…"
    header = ""
    if not likely and options.label is not None:
        which = which_is_which("NAME", "NAME", text_first=options.text_first)
        header = f"; if the first row has names, {which}"
    return f"; --columns {columns} names them{header}"


def _named_columns(found: list[str], name: str, line: int, options: ReadOptions) -> tuple[list[str], bool]:
    """The columns that the user, or the format, names: the first row may have these names, in any order, or others."""
    columns = list(options.columns or ())
    for field in (options.text, options.second or None, options.label):
        if field is not None and field not in columns:
            raise DataError(f"expected {field!r} among the columns, found {', '.join(columns)}", file=name)
    spelled = {column.casefold(): column for column in columns}
    if {cell.casefold() for cell in found} >= spelled.keys():
        return _refuse_repeated([spelled.get(cell.casefold(), cell) for cell in found], name, line), True
    _refuse_repeated(columns, name, line)
    if len(found) == len(columns) and names_of_columns(found):
        options.left_out[f"the first row ({', '.join(found)}) is taken for names of columns, not for a text"] += 1
        return columns, True
    return columns, False


def _refuse_repeated(columns: list[str], name: str, line: int) -> list[str]:
    repeated = next((column for column, times in Counter(columns).items() if times > 1), None)
    if repeated is not None:
        raise DataError(f"several columns are named {repeated!r}", file=name, line=line)
    return columns


def _count(count: int, kind: str = "column") -> str:
    return f"{count} {kind}" if count == 1 else f"{count} {kind}s"


def _read_texts(format: str, lines: Iterable[Line], name: str, options: ReadOptions) -> Iterator[Sentence | TextRecord]:
    label = options.label or "label"
    labels: Counter[str] = Counter()
    start: tuple[int, str, str] | None = None
    for line, cells in read_table(lines, name, format, options):
        if label in cells:
            cells[label] = cells[label].strip()  # a blank at its end would make another label
            labels[cells[label]] += 1
        start = start or (line, cells[options.text], cells.get(label, ""))
        yield options.record(cells[options.text], cells, name, line)
    if start is not None and options.label is not None and options.head is None:
        _note_names(*start, labels, options)


def _note_names(line: int, text: str, label: str, labels: Counter[str], options: ReadOptions) -> None:
    """Say that the first row may have names if it is the only one with a label of its own."""
    alone = labels.total() >= _FEWEST_ROWS and [each for each, times in labels.items() if times == 1] == [label]
    if line == 1 and alone and 0 < len(text) <= _LONGEST_NAME:
        found = f"the first row is read as the text {text!r}, the only one with the label {label!r}"
        options.left_out[f"{found}; if these are names of columns, {which_is_which(text, label)}; such first rows"] += 1


def _first_row(format: str, lines: Lines, name: str) -> tuple[list[str] | None, bool]:
    cells = next((cells for _, cells in table_rows(lines, name, format)), None)
    return cells, cells is not None


def _checked_first_row(format: str, lines: Iterable[Line], name: str, options: ReadOptions) -> list[str] | None:
    line, cells = next(table_rows(lines, name, format), (0, None))
    if cells is not None:
        _columns(cells, name, line, options)
    return cells


def _last_row_end(delimiter: str, data: bytearray, first: bool) -> int:
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
        for _ in _csv_rows(lines(), "", delimiter):
            end = position
    except DataError:
        return end if all_read else position  # at the end: a row that is not complete
    return end


def _recognise(sample: Sample) -> bool:
    return sample.suffix == ".tsv" or (bool(sample.rows) and all("\t" in row for row in sample.rows))


def _with_delimiter(sample: Sample, given: Description) -> tuple[Description, str]:
    """Whether semicolons separate the cells, as where the comma is the decimal sign."""
    ranks = {format: _rank(sample, delimiter) for format, delimiter in _DELIMITERS.items()}
    best = max(ranks, key=lambda format: ranks[format])  # the first of equal ones
    if best == "csv":
        return given, ""
    sign = {"csv-semicolon": "semicolons", "csv-tab": "tabs"}[best]
    return replace(given, format=best), f"{sign} separate the columns, read as format {best}"


def _with_quotes(sample: Sample, given: Description) -> tuple[Description, str]:
    """Whether the cells between tabs are quoted, as all of the first row are then."""
    cells = sample.rows[0].split("\t") if sample.rows else []
    if not all(len(cell) > 1 and cell[0] == cell[-1] == '"' for cell in cells) or len(cells) < 2:
        return given, ""
    return replace(given, format="csv-tab"), "the cells are quoted, read as format csv-tab"


def _rank(sample: Sample, delimiter: str) -> tuple[bool, int, int]:
    """How much the first rows look like a table.

    It has rows of one width, few blanks after the sign, as running text has them, and a column of few different cells.
    """
    rows: list[list[str]] = []
    with suppress(DataError):  # the last row of the sample may not be complete
        rows.extend(cells for _, cells in _csv_rows(enumerate(sample.lines, start=1), "", delimiter))
    width = len(rows[0]) if rows else 0
    if width < 2 or any(len(cells) != width for cells in rows):
        return False, 0, 0
    blanks = sum(cell.startswith(" ") for cells in rows for cell in cells)
    return True, -blanks, -min(len(set(column)) for column in zip(*rows, strict=True))


def named_rows(format: str, lines: Iterable[Line], name: str, options: ReadOptions) -> Iterator[tuple[int, Any]]:
    """Read the rows of a table that name sequences of vectors; the first row names the columns.

    Args:
        format: see `table_rows`.
        lines: numbered lines.
        name: the file's name.
        options: the names of the columns, where no row has them; of a part of a file the first row as head.

    Yields:
        The cells of each row by name, and its line.

    Raises:
        NoNamesError: the first row has no names.
        DataError: a row is faulty.
    """
    columns = list(options.columns or options.head or ())
    for line, cells in table_rows(lines, name, format):
        if not columns:
            columns = _refuse_repeated([cell.strip() for cell in cells], name, line)
            if any(has_frames({"frames": cell}) for cell in columns):
                found = ", ".join(columns)
                message = f"expected a first row with the names of the columns, such as frames, found {found}"
                raise NoNamesError(f"{message}; --columns names them", file=name, line=line)
            continue
        if line == 1 and [cell.strip() for cell in cells] == columns:
            continue
        if len(cells) != len(columns):
            expected = f"{_count(len(columns), _COLUMN[format])} ({', '.join(columns)})"
            raise DataError(f"expected {expected}, found {len(cells)}", file=name, line=line)
        yield line, dict(zip(columns, cells, strict=True))


def table_frames(format: str, lines: Iterable[Line], name: str, options: ReadOptions) -> Iterator[FrameRecord]:
    """Read the sequences of vectors that the rows of a table name; see `named_rows`.

    Args:
        format: see `table_rows`.
        lines: numbered lines.
        name: the file's name.
        options: also the field of the sequence.

    Returns:
        An iterator over the sequences.

    Raises:
        DataError: while iterating: anything wrong with a row.
    """
    return frames_of_rows(named_rows(format, lines, name, options), name, options)


# --- writing ------------------------------------------------------------------------------------------------------


def _write(format: str, records: Sequence[TextRecord]) -> str:
    """A first row of names, and a row for each text."""
    names = list(dict.fromkeys(name for record in records for name in record.fields))
    if "" in names:
        first = next(record for record in records if "" in record.fields)
        message = f"{format} cannot hold a field without a name; give it one, or use a .jsonl file"
        raise DataError(message, file=first.file, line=first.line)
    table = [[_cell(record, name, format) for name in names] for record in records]
    if format == "tsv":
        content = "".join("\t".join(cells) + "\n" for cells in [names, *table])
    else:
        stream = io.StringIO()
        csv.writer(stream, delimiter=_DELIMITERS[format], lineterminator="\n").writerows([names, *table])
        content = stream.getvalue()
    content = clean(content)
    _refuse_misread(content, format, records, names, table)
    return content


def _cell(record: TextRecord, name: str, format: str) -> str:
    """The value of a field as a cell; several labels with ``|`` between them."""
    value: Any = record.fields.get(name)
    if isinstance(value, str):
        return value
    if isinstance(value, int | float):
        return json.dumps(value)
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        joined = LABEL_SEPARATOR.join(value)
        if (joined.split(LABEL_SEPARATOR) if joined else []) == value:
            return joined
    found = f"found {shown(value)}" if name in record.fields else "found none"
    raise DataError(
        f"{format} cannot hold the field {name!r} of this text: expected a string or a number, {found}; "
        "--output-format jsonl can",
        file=record.file,
        line=record.line,
    )


def _refuse_misread(
    content: str, format: str, records: Sequence[TextRecord], names: Sequence[str], table: Sequence[Sequence[str]]
) -> None:
    """Check that every row is read back as it was written: no line break, tab or carriage return is mistaken."""
    lines = iter(table_rows(Lines([content.encode()], ""), "", format))
    for record, cells in zip([None, *records], [names, *table], strict=True):
        try:
            _, found = next(lines, (0, None))
        except DataError:
            found = None
        if found != list(map(clean, cells)):
            where = {"file": record.file, "line": record.line} if record else {}
            message = f"{format} cannot hold this text: a tab or a line break in it would be read as the end of a cell"
            raise DataError(f"{message}; --output-format jsonl can", **where)  # type: ignore[arg-type]


def _table(name: str) -> Format:
    return Format(
        name,
        "labelled texts",
        source=_QUOTED if name in _DELIMITERS else _UNQUOTED,
        texts=partial(_read_texts, name),
        frames=partial(table_frames, name),
        rows=partial(named_rows, name),
        has_label=lambda lines, label: True,
        head=partial(_first_row, name),
        usual_head=partial(_checked_first_row, name),
        write_texts=partial(_write, name),
        last_end=partial(_last_row_end, _DELIMITERS[name]) if name in _DELIMITERS else last_line_end,
    )


TSV = replace(_table("tsv"), usual_suffixes=(".tsv",), recognise=_recognise, describe=_with_quotes)
CSV = replace(_table("csv"), suffixes=(".csv",), describe=_with_delimiter)
SEMICOLONS = _table("csv-semicolon")
TABS = _table("csv-tab")
PARALLEL = replace(
    _table("tsv"),
    name="parallel",
    content="pairs of texts",
    source="a text and its translation a row, parted by a tab, as https://tatoeba.org/downloads has them",
    describe=lambda sample, given: (replace(given, columns=given.columns or ("source", "target")), ""),
    target="target",
    write_texts=None,
)
"""text and translation, from which the one is generated from the other"""
