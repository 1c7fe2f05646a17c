"""Lines of token columns → `Sentence` records: CoNLL files of any width, and CoNLL-U."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import NamedTuple

from seqkit.errors import DataError
from seqkit.formats.text import Lines, is_blank
from seqkit.records import Sentence, align

__all__ = ["CONLLU_COLUMNS", "Width", "read_conll", "read_conllu", "split_row", "width_of"]

CONLLU_COLUMNS = ("form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")
"""The columns of a CoNLL-U file after its first, the token's number."""

Width = tuple[int, bool]
"""How many columns rows have, and whether tabs stand between them."""

_TOKEN_COLUMNS = frozenset({"word", "form", "token"})
_DOCUMENT_START = "-DOCSTART-"
_RANGE = re.compile(r"[0-9]{1,9}-([0-9]{1,9})")
_EMPTY_NODE = re.compile(r"[0-9]{1,9}\.[0-9]{1,9}")
_LONGEST_HEAD = 10_000
"""Lines that begin with ``#`` kept until a row tells whether they are comments or tokens."""


def split_row(line: str) -> list[str]:
    """Cut a row at its tabs, or where it has none at its spaces.

    Args:
        line: the row, without its line ending.

    Returns:
        The cells; of a row with tabs exactly as they stand, even empty.
    """
    if "\t" in line:
        return line.split("\t")
    return [cell for cell in line.split(" ") if cell]


def read_conll(
    lines: Iterable[tuple[int, str]],
    name: str,
    *,
    columns: Sequence[str] | None = None,
    allow_unlabelled: bool = False,
    width: Width | None = None,
) -> Iterator[Sentence]:
    """Read token columns: a token a line, a blank line after each sentence.

    Cells stand between tabs, or in a row without a tab between spaces. The token is in the first column, or in one
    named ``word``, ``form`` or ``token``. ``-DOCSTART-`` rows are left out, and so are comments: lines that begin with
    ``#`` at the start of a sentence and are not as wide as the file, or read ``# name = value`` (``#`` is a token too).

    Args:
        lines: numbered lines; those of a `Lines` are read in blocks, which is several times as fast.
        name: the file's name, for messages.
        columns: the columns' names, in order; by default ``"0"``, ``"1"``, ….
        allow_unlabelled: whether the label columns may be missing.
        width: that of the file, for lines that do not begin it; by default that of the first row.

    Yields:
        Sentences with all columns, that of the tokens among them; without any where there are only tokens.

    Raises:
        DataError: a row has more or fewer columns than the first, or an empty cell; there is no label column.
    """
    blocks = lines.blocks() if isinstance(lines, Lines) else _one_by_one(lines)
    if width is None:
        blocks, width, _ = _with_width(blocks)
    names = _column_names(width, columns, allow_unlabelled)
    where = next((index for index, column in enumerate(names) if column.lower() in _TOKEN_COLUMNS), 0)
    rules = _Rules(name, width, names, where, columns is not None, allow_unlabelled)
    if not isinstance(lines, Lines):  # no more of them is read than is needed
        yield from _read_rows(((number, line) for number, (line,) in blocks), rules)
        return
    separator = "\t" if width[1] else " "
    for first, run in _runs(blocks):
        cells = _plain_columns(run, separator, len(names), allow_unlabelled)
        if cells is None:
            yield from _read_rows(enumerate(run, first), rules)
        else:
            yield _sentence(cells, rules, first)


class _Rules(NamedTuple):
    """What all rows of a file have to be like."""

    file: str
    width: Width
    names: list[str]
    where: int
    named: bool
    allow_unlabelled: bool


def _one_by_one(lines: Iterable[tuple[int, str]]) -> Iterator[tuple[int, list[str]]]:
    return ((number, [line]) for number, line in lines)


def _runs(blocks: Iterable[tuple[int, list[str]]]) -> Iterator[tuple[int, list[str]]]:
    """Lines between empty ones, with the number of the first; at the end of what came together also between others
    that end a sentence: what is whole has not to wait for more, of which there may be no end, or a fault."""  # noqa: D205, D209
    run: list[str] = []
    first = 0
    for number, lines in blocks:
        begin = 0
        while True:
            try:
                end = lines.index("", begin)
            except ValueError:
                end = len(lines)
            if begin < end:
                first = first if run else number + begin
                run += lines[begin:end]
            if end == len(lines):
                break
            if run:
                yield first, run
                run = []
            begin = end + 1
        kept = next((size for size, line in enumerate(reversed(lines[begin:]), 1) if _ends_sentence(line)), 0)
        if 0 < kept < len(run):
            yield first, run[:-kept]
            first, run = first + len(run) - kept, run[-kept:]
    if run:
        yield first, run


def _ends_sentence(line: str) -> bool:
    return is_blank(line) or line.startswith(_DOCUMENT_START)


def _plain_columns(run: list[str], separator: str, width: int, allow_unlabelled: bool) -> list[list[str]] | None:
    """The cells of a run, column by column, if nothing about it needs a closer look; most runs are like that."""
    text = "\n".join(run)
    if text.startswith(("#", _DOCUMENT_START)) or f"\n{_DOCUMENT_START}" in text:
        return None
    if (separator == " " and "\t" in text) or (width == 1 and not allow_unlabelled):
        return None
    # The line endings become cells of their own: where all of them are in their places every row has its width.
    cells = text.replace("\n", f"{separator}\n{separator}").split(separator)
    step = width + 1
    if len(cells) != step * len(run) - 1 or "" in cells or cells[width::step].count("\n") != len(run) - 1:
        return None
    return [cells[column::step] for column in range(width)]


def _sentence(cells: list[list[str]], rules: _Rules, first: int) -> Sentence:
    labels = dict(zip(rules.names, cells, strict=True)) if len(cells) > 1 else {}
    sentence = Sentence.from_tokens(cells[rules.where], labels, file=rules.file, line=first)
    if labels:
        labels[rules.names[rules.where]] = sentence.tokens  # the same list, by which writers know that column
    return sentence


def _read_rows(lines: Iterable[tuple[int, str]], rules: _Rules) -> Iterator[Sentence]:
    """The sentences of lines, row by row: runs of spaces, blank lines, comments, faults."""
    rows: list[list[str]] = []
    begin = 0
    for number, line in chain(lines, [(0, "")]):
        if _ends_sentence(line):
            if rows:
                yield _sentence([list(column) for column in zip(*rows, strict=True)], rules, begin)
                rows = []
            continue
        if not rows:
            if line.startswith("#") and _is_comment(line, rules.width):
                continue
            begin = number
        row = split_row(line)
        _check_row(row, rules, number)
        rows.append(row)


def width_of(lines: Lines) -> Width | None:
    """How wide a file is, if that can be told from its first lines.

    Args:
        lines: the first lines of a file.

    Returns:
        The width; None where all of these lines may be comments.
    """
    _, width, known = _with_width(lines.blocks())
    return width if known else None


def _with_width(
    blocks: Iterable[tuple[int, list[str]]],
) -> tuple[Iterator[tuple[int, list[str]]], Width, bool]:
    """All lines, from the first on; how wide the first row is; and whether no further line could make it another one.

    Lines that begin with ``#`` may be comments: they count only where the file has no others, or none for long.
    """
    iterator = iter(blocks)
    head: list[tuple[int, list[str]]] = []  # what a pipe gives cannot be read twice; it may be without end
    found = with_tab = ""
    comments = 0
    for number, lines in iterator:
        before = comments
        for line in lines:
            if is_blank(line) or line.startswith(_DOCUMENT_START):
                continue
            if not line.startswith("#"):
                found = line
                break
            with_tab = with_tab or (line if "\t" in line else "")
            comments += 1
        if found or comments > before:
            head.append((number, lines))
        elif head and head[-1][1] != [""]:
            head.append((number, [""]))  # one parts sentences as well as many do
        if found or (with_tab and comments >= _LONGEST_HEAD):
            break
        if comments >= _LONGEST_HEAD:  # so many in a row are comments
            head.clear()
            comments = 0
    known = bool(found) or (bool(with_tab) and comments >= _LONGEST_HEAD)
    found = found or with_tab
    return chain(head, iterator), (len(split_row(found)), "\t" in found), known


def _is_comment(line: str, width: Width) -> bool:
    spaced = "\t" not in line
    return (len(split_row(line)), not spaced) != width or (spaced and " = " in line)


def _column_names(width: Width, columns: Sequence[str] | None, allow_unlabelled: bool) -> list[str]:
    if columns is None:
        return [str(index) for index in range(width[0])]
    return list(columns[: width[0]] if allow_unlabelled else columns)


def _check_row(row: list[str], rules: _Rules, number: int) -> None:
    names, file = rules.names, rules.file
    if len(names) == 1 and not rules.allow_unlabelled:
        raise DataError(f"expected at least 2 columns (token and label), found {len(row)}", file=file, line=number)
    if len(row) != len(names):
        raise DataError(f"expected {_count(names, rules.named)}, found {len(row)}", file=file, line=number)
    if "" in row:
        index = row.index("")
        what = "token" if index == rules.where else "label"
        raise DataError(f"expected a {what} in column {index + 1}, found nothing", file=file, line=number)


def _count(names: list[str], named: bool) -> str:
    number = "1 column" if len(names) == 1 else f"{len(names)} columns"
    return f"{number} ({', '.join(names)})" if named else number


def read_conllu(lines: Iterable[tuple[int, str]], name: str) -> Iterator[Sentence]:
    """Read CoNLL-U (https://universaldependencies.org/format.html).

    The words are the tokens. Multiword ranges (``3-4``) and empty nodes (``8.1``) are none, and are kept in
    `Sentence.other_rows` for writing back. The text is the comment ``# text = …`` where the words stand in it one after
    another; otherwise (``del`` for the words ``de el``) it is put together from the words and ``SpaceAfter=No``.

    Args:
        lines: numbered lines.
        name: the file's name, for messages.

    Yields:
        Sentences with the columns `CONLLU_COLUMNS`.

    Raises:
        DataError: a row has other than 10 columns, an empty one, or an id out of order; a range begins at another word
            than the next, or within another range.
    """
    rows: list[list[str]] = []
    others: list[tuple[int, str]] = []
    comments: list[str] = []
    first = covered = 0  # the line of the first word; the last word of a range
    for number, line in chain(lines, [(0, "")]):
        if is_blank(line):
            if rows:
                yield _conllu_sentence(rows, others, comments, name, first)
            covered = 0
            rows, others, comments = [], [], []  # also of a block without words, which is no sentence
            continue
        if line.startswith("#"):
            comments.append(line[1:])
            continue
        row = line.split("\t")
        if len(row) != 10:
            raise DataError(f"expected 10 columns between tabs, found {len(row)}", file=name, line=number)
        if "" in row:
            expected = "a word" if not row[1] else "a value or _"
            raise DataError(
                f"expected {expected} in column {2 if not row[1] else row.index('') + 1}, found nothing",
                file=name,
                line=number,
            )
        if row[0] == str(len(rows) + 1):
            first = first if rows else number
            rows.append(row)
        elif _EMPTY_NODE.fullmatch(row[0]):
            others.append((len(rows), line))
        elif row[0].startswith(f"{len(rows) + 1}-") and len(rows) >= covered and _range_end(row[0]) > len(rows):
            covered = _range_end(row[0])
            others.append((len(rows), line))
        else:
            raise DataError(f"expected token number {len(rows) + 1}, found {row[0]!r}", file=name, line=number)


def _range_end(text: str) -> int:
    """The last token of a multiword range, ``3-4``; 0 where this is none."""
    found = _RANGE.fullmatch(text)
    return int(found[1]) if found else 0


def _conllu_sentence(
    rows: list[list[str]], others: list[tuple[int, str]], comments: list[str], name: str, line: int
) -> Sentence:
    cells = [list(column) for column in zip(*rows, strict=True)][1:]
    columns = dict(zip(CONLLU_COLUMNS, cells, strict=True))
    words, misc = columns["form"], columns["misc"]
    text = next((comment[len(" text = ") :] for comment in comments if comment.startswith(" text = ")), None)
    offsets = None if text is None else align(words, text)
    if text is not None and offsets is not None:
        sentence = Sentence(words, text, offsets, columns, comments, file=name, line=line)
    else:
        space_after = ["SpaceAfter=No" not in each for each in misc]
        for _, other in others:
            _space_in_range(other.split("\t"), words, space_after)
        sentence = Sentence.from_tokens(words, columns, space_after=space_after, file=name, line=line)
        columns["form"] = sentence.tokens  # the same list, by which writers know that column
        sentence.comments = comments
    sentence.other_rows = others
    return sentence


def _space_in_range(row: list[str], words: list[str], space_after: list[bool]) -> None:
    """Take over a multiword range's spacing: none within ``don't``, for it is its words joined, but ``de el``."""
    first, _, last = row[0].partition("-")
    if not last or int(last) > len(words):
        return
    inside = range(int(first) - 1, int(last))
    spaced = "".join(words[index] for index in inside) != row[1]
    for index in inside:
        space_after[index] = spaced
    space_after[inside[-1]] = "SpaceAfter=No" not in row[9]
