"""Formats whose sentences have a column of arguments for each of their predicates: CoNLL-2009, CoNLL-2012 (OntoNotes).

The arguments are no labels that every sentence has, and are left out. Names and other entities of CoNLL-2012 stand in
brackets, ``(ORG*``, ``*``, ``*)``; they become IOB2, of entities within others only the outermost.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import chain
from typing import NamedTuple

from seqkit.errors import DataError, shown
from seqkit.formats.columns import DOCUMENT_BORDERS, token_place
from seqkit.formats.format import DEFAULTS, Format, ReadOptions, Sample
from seqkit.formats.schemes import from_spans
from seqkit.formats.text import Line, is_blank, last_blank_line_end
from seqkit.records import Sentence

_CELL = re.compile(r"[^ \t]+")
_BRACKETS = re.compile(r"(?:\([^()*\s]+|\*|\))+")
_BRACKET = re.compile(r"\([^()*\s]+|\)")
_OUTSIDE = ("*", "-", "_")


class _Layout(NamedTuple):
    """Which columns a format has.

    Args:
        columns: the names of those that all sentences have.
        last: the name of the last one, after those of the arguments; empty if there is none.
        ids: the column that counts the tokens, and the number of the first.
        tabs: whether cells stand between tabs, and not between runs of spaces.
        entities: the column of entities in brackets; empty if there is none.
    """

    columns: tuple[str, ...]
    last: str
    ids: tuple[int, int]
    tabs: bool
    entities: str


_CONLL2009 = _Layout(
    (
        *("id", "form", "lemma", "plemma", "pos", "ppos", "feat", "pfeat"),
        *("head", "phead", "deprel", "pdeprel", "fillpred", "pred"),
    ),
    last="",
    ids=(0, 1),
    tabs=True,
    entities="",
)
_CONLL2012 = _Layout(
    ("document", "part", "id", "word", "pos", "parse", "lemma", "frameset", "sense", "speaker", "ner"),
    last="coreference",
    ids=(2, 0),
    tabs=False,
    entities="ner",
)


def _cells(line: str, layout: _Layout) -> list[str]:
    if layout.tabs and "\t" in line:
        return line.rstrip(" \t").split("\t")
    return _CELL.findall(line)


def _read(layout: _Layout, lines: Iterable[Line], name: str, options: ReadOptions = DEFAULTS) -> Iterator[Sentence]:
    where = token_place(layout.columns, options.token_column, name)
    place, start = layout.ids
    sentence: list[list[str]] = []
    begin = 0
    for number, line in chain(lines, [(0, "")]):
        if is_blank(line) or line.startswith(DOCUMENT_BORDERS):
            if sentence:
                yield _sentence(sentence, layout, where, (name, begin), options.left_out)
                sentence = []
            continue
        if line.startswith("#"):
            continue
        row = _cells(line, layout)
        if len(row) < len(layout.columns) or (sentence and len(row) != len(sentence[0])):
            expected = f"at least {len(layout.columns)}" if not sentence else str(len(sentence[0]))
            other = " like the first row of the sentence" if sentence else ""
            raise DataError(f"expected {expected} columns{other}, found {len(row)}", file=name, line=number)
        if "" in row:
            raise DataError(f"column {row.index('') + 1} is empty", file=name, line=number)
        if row[place] != str(len(sentence) + start):
            message = f"expected token id {len(sentence) + start}, found {shown(row[place])}"
            raise DataError(message, file=name, line=number)
        begin = begin if sentence else number
        sentence.append(row)


def _sentence(
    rows: list[list[str]], layout: _Layout, where: int, place: tuple[str, int], left_out: Counter[str]
) -> Sentence:
    file, line = place
    cells = [list(column) for column in zip(*rows, strict=True)]
    columns = dict(zip(layout.columns, cells, strict=False))
    arguments = len(cells) - len(layout.columns)
    if layout.last and arguments:
        columns[layout.last] = cells[-1]
        arguments -= 1
    if arguments:
        left_out["columns of arguments of predicates left out"] += arguments
    if layout.entities:
        columns[layout.entities] = _entities(columns[layout.entities], place, left_out)
    sentence = Sentence.from_tokens(cells[where], columns, file=file, line=line)
    columns[layout.columns[where]] = sentence.tokens  # the same list, by which writers recognise that column
    return sentence


def _entities(cells: Sequence[str], place: tuple[str, int], left_out: Counter[str]) -> list[str]:
    """The labels in IOB2 of entities in brackets."""
    file, line = place
    spans: list[tuple[int, int, str]] = []
    depth, first, kind = 0, 0, ""
    for index, cell in enumerate(cells):
        if cell in _OUTSIDE:
            continue
        if not _BRACKETS.fullmatch(cell):
            message = f"expected an entity in brackets, such as (ORG*, * or *), found {shown(cell)}"
            raise DataError(message, file=file, line=line + index)
        for bracket in _BRACKET.findall(cell):
            depth += 1 if bracket != ")" else -1
            if depth < 0:
                raise DataError(f"{shown(cell)} ends an entity that does not begin", file=file, line=line + index)
            if bracket == ")" and depth == 0:
                spans.append((first, index + 1, kind))
            elif bracket != ")" and depth == 1:
                first, kind = index, bracket[1:]
            elif bracket != ")":
                left_out["entities within others left out"] += 1
    if depth:
        raise DataError(f"the entity {kind} does not end in its sentence", file=file, line=line + first)
    found: list[tuple[int, int, str]] = []
    for span in spans:
        if found and span[0] < found[-1][1]:  # a second one of the same token
            left_out["entities within others left out"] += 1
        else:
            found.append(span)
    return from_spans(found, len(cells), "iob2")


def _rows(sample: Sample, layout: _Layout) -> list[list[str]]:
    return [_cells(row, layout) for row in sample.rows if not row.startswith("#")]


def _is_conll2009(sample: Sample) -> bool:
    rows = _rows(sample, _CONLL2009)
    return bool(rows) and all(
        len(row) >= len(_CONLL2009.columns)
        and row[0].isdecimal()
        and row[8].lstrip("-").isdecimal()
        and row[9].lstrip("-").isdecimal()
        and row[12] in ("_", "Y")
        for row in rows
    )


def _is_conll2012(sample: Sample) -> bool:
    rows = _rows(sample, _CONLL2012)
    begun = any(line.startswith(DOCUMENT_BORDERS) for line in sample.lines)
    return (
        (begun or sample.suffix.endswith("_conll"))
        and bool(rows)
        and all(len(row) > len(_CONLL2012.columns) and row[1].isdecimal() and row[2].isdecimal() for row in rows)
    )


CONLL2009 = Format(
    "conll2009",
    "tokens with labels",
    source="https://ufal.mff.cuni.cz/conll2009-st/task-description.html",
    suffixes=(".conll09", ".conll2009"),
    recognise=_is_conll2009,
    specific=True,
    target="pos",
    sentences=partial(_read, _CONLL2009),
    last_end=last_blank_line_end,
    row_per_token=True,
    numbered=True,
    has_tokens=True,
)
CONLL2012 = Format(
    "conll2012",
    "tokens with labels",
    source="https://conll.cemantix.org/2012/data.html",
    suffixes=(".gold_conll", ".auto_conll", ".v4_gold_conll", ".v4_auto_conll", ".v9_gold_conll", ".v9_auto_conll"),
    recognise=_is_conll2012,
    specific=True,
    target="ner",
    sentences=partial(_read, _CONLL2012),
    last_end=last_blank_line_end,
    row_per_token=True,
    numbered=True,
    has_tokens=True,
)
