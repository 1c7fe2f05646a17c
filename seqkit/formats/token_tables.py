"""Tables of tokens with a header, comma- or tab-separated, in which a column tells the sentence.

So are the copies of the Groningen Meaning Bank (https://gmb.let.rug.nl/) that are passed on as tables: ``Sentence
#,Word,POS,Tag``. A sentence goes on while its cell is empty, or the same.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from seqkit.errors import DataError, shown
from seqkit.formats.columns import TOKEN_COLUMNS
from seqkit.formats.format import DEFAULTS, Format, ReadOptions, Sample
from seqkit.formats.tables import table_rows
from seqkit.formats.text import Line, Lines, is_blank
from seqkit.records import Sentence

_SENTENCE = re.compile(r"sent(ence)?s?[ _.-]*(#|ids?|idx|index|no|nr|num|number)?", re.IGNORECASE)
_TARGET = re.compile(r"(ner|iob|bio|entity)?[ _-]?(tag|label)s?|ner|iob|bio|entity", re.IGNORECASE)
_BLANKS = "labels with spaces around them, which were removed"


class _Columns(NamedTuple):
    """Which column is what, by position.

    Args:
        sentence: that of the sentence.
        token: that of the tokens.
        labels: name → position of the others and of the tokens, the one that is learned by default last.
        width: how many there are.
    """

    sentence: int
    token: int
    labels: dict[str, int]
    width: int


def _separator(line: str) -> str:
    return "tsv" if "\t" in line else "csv"


def _columns(cells: Sequence[str], token_column: str = "", file: str = "") -> _Columns | None:
    """Which column is what by their names; None if this is not the first row of such a table."""
    names = [cell.strip(" ") for cell in cells]
    sentence = next((place for place, name in enumerate(names) if _SENTENCE.fullmatch(name)), None)
    token = next((place for place, name in enumerate(names) if name.casefold() in TOKEN_COLUMNS), None)
    if token_column and sentence is not None:
        if token_column not in names:
            raise DataError(f"no token column {token_column!r}; the columns are {', '.join(names)}", file=file, line=1)
        token = names.index(token_column)
    if sentence is None or token is None or token == sentence:
        return None
    if twice := [name for name, times in Counter(filter(None, names)).items() if times > 1]:
        raise DataError(f"several columns are named {twice[0]!r}", file=file, line=1)
    found = {name: place for place, name in enumerate(names) if name and place != sentence}
    if targets := [name for name, place in found.items() if _TARGET.fullmatch(name) and place != token]:
        found[targets[-1]] = found.pop(targets[-1])
    return _Columns(sentence, token, found, len(names))


def read_token_table(lines: Iterable[Line], name: str, options: ReadOptions = DEFAULTS) -> Iterator[Sentence]:
    """Read a table of tokens.

    Args:
        lines: numbered lines; blank ones are skipped.
        name: the file's name, for messages.
        options: the columns' names, if the first row has other ones; the column of the tokens; as head the cells of the
            first row, for lines that do not start the file.

    Yields:
        Sentences with all columns but that of the sentence, the last of ``tag``, ``label``, ``ner`` at the end.

    Raises:
        DataError: no column tells the sentence or the token, a row is wider or narrower than the first, a token or
            label is empty, or quotes are faulty.
    """
    head = options.head
    if not all(isinstance(cell, str) for cell in head or ()):
        raise DataError(f"a head must be the cells of the first row, found {shown(head)}", file=name)
    columns = None if head is None else _known(options.columns or head[1:], name, 1, options)
    separator = None if head is None else str(head[0])
    rows: list[list[str]] = []
    begin, current = 0, ""
    for line, cells in _all_rows(lines, name, separator):
        if columns is None:
            columns = _known(options.columns or cells, name, line, options)
            continue
        if len(cells) != columns.width:
            raise DataError(f"expected {columns.width} columns, found {len(cells)}", file=name, line=line)
        sentence = cells[columns.sentence].strip(" ")
        if rows and sentence and sentence != current:
            yield _sentence(rows, columns, name, begin)
            rows = []
        begin = begin if rows else line
        current = sentence or current
        rows.append(_checked(cells, columns, name, line, options.left_out))
    if rows and columns is not None:
        yield _sentence(rows, columns, name, begin)


def _all_rows(lines: Iterable[Line], name: str, separator: str | None) -> Iterator[tuple[int, list[str]]]:
    iterator = iter(lines)
    for number, line in iterator:
        if not is_blank(line):
            yield from table_rows(_from(number, line, iterator), name, separator or _separator(line))


def _from(number: int, line: str, following: Iterator[Line]) -> Iterator[Line]:
    yield number, line
    yield from following


def _known(cells: Sequence[str], name: str, line: int, options: ReadOptions) -> _Columns:
    found = _columns(cells, options.token_column, name)
    if found is None:
        expected = (
            "expected a first row that names a column of sentences and one of words, such as 'sentence_id,word,tag'"
        )
        raise DataError(f"{expected}, found {shown(','.join(cells))}", file=name, line=line)
    return found


def _checked(cells: Sequence[str], columns: _Columns, name: str, line: int, left_out: Counter[str]) -> list[str]:
    """The cells of a row by `_Columns.labels`, without spaces around labels."""
    found = []
    for column, place in columns.labels.items():
        cell = cells[place] if place == columns.token else cells[place].strip(" ")
        if cell != cells[place]:
            left_out[_BLANKS] += 1
        if not cell:
            what = "token" if place == columns.token else "label"
            raise DataError(f"empty {what} in column {column!r}", file=name, line=line)
        found.append(cell)
    return found


def _sentence(rows: list[list[str]], columns: _Columns, name: str, line: int) -> Sentence:
    labels = dict(zip(columns.labels, [list(column) for column in zip(*rows, strict=True)], strict=True))
    tokens = next(column for column, place in columns.labels.items() if place == columns.token)
    sentence = Sentence.from_tokens(labels[tokens], labels, file=name, line=line)
    labels[tokens] = sentence.tokens  # the same list, by which writers recognise that column
    return sentence


def _first_row(lines: Iterable[Line], name: str) -> list[str] | None:
    """The separator and the cells of the first row, which has the names."""
    for number, line in lines:
        if not is_blank(line):
            separator = _separator(line)
            _, cells = next(table_rows([(number, line)], name, separator), (0, []))
            return [separator, *cells]
    return None


def _head(lines: Lines, name: str) -> tuple[list[str] | None, bool]:
    found = _first_row(lines, name)
    return found, found is not None


def _usual_head(lines: Sequence[Line], name: str, options: ReadOptions) -> list[str] | None:
    found = _first_row(lines, name)
    if found is not None:
        _known(options.columns or found[1:], name, 1, options)
    return found


def _recognise(sample: Sample) -> bool:
    if sample.texts or next(iter(sample.rows), "").startswith(("{", "[")):  # JSON has commas, too
        return False
    try:
        found = _first_row(enumerate(sample.lines, 1), "")
        return found is not None and len(found) > 2 and _columns(found[1:]) is not None
    except DataError:
        return False


TOKEN_TABLE = Format(
    "token-table",
    "tokens with labels",
    source="https://www.kaggle.com/datasets/abhinavwalia95/entity-annotated-corpus",
    recognise=_recognise,
    specific=True,
    sentences=read_token_table,
    head=_head,
    usual_head=_usual_head,
    last_end=lambda data, first: 0,
    has_tokens=True,
)
