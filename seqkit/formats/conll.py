"""CoNLL files: columns of tokens and labels, a blank line after each sentence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import chain
from typing import Any, NamedTuple

from seqkit.errors import DataError, shown
from seqkit.formats.format import DEFAULTS, Format, ReadOptions, Sample
from seqkit.formats.schemes import detect_scheme
from seqkit.formats.text import Line, Lines, is_blank, last_blank_line_end
from seqkit.formats.writers import clean, refuse_breaks, rows
from seqkit.records import Sentence

Width = tuple[int, bool]
"""How many columns rows have, and whether they are separated by tabs."""

_SUFFIXES = (".conll", ".iob", ".iob1", ".iob2", ".iobes", ".bio", ".bioes", ".col", ".ner", ".pos")
"""extensions of files that are in this format unless they look like CoNLL-U"""
_TOKEN_COLUMNS = frozenset({"word", "form", "token"})
_DOCUMENT_START = "-DOCSTART-"
_LONGEST_HEAD = 10_000
"""how many lines that start with ``#`` are kept until a row tells whether they are comments or tokens"""
_WIDEST = 1_000_000
"""columns that a request may say there are"""
_INSTEAD = "a .jsonl file"
_NO_LABELS = "expected at least 2 columns (token and label), found {}"


def split_row(line: str) -> list[str]:
    """Split a row at its tabs or, if it has none, at its spaces.

    Args:
        line: the row, without its line ending.

    Returns:
        The cells; those between tabs exactly as they are, even empty.
    """
    if "\t" in line:
        return line.split("\t")
    return [cell for cell in line.split(" ") if cell]


def read_conll(lines: Iterable[Line], name: str, options: ReadOptions = DEFAULTS) -> Iterator[Sentence]:
    """Read token columns: one token per line, a blank line after each sentence.

    Cells are separated by tabs or, in a row without a tab, by spaces. The token is in the first column, or in one named
    ``word``, ``form`` or ``token``. ``-DOCSTART-`` rows are skipped, and so are comments: lines at the start of a
    sentence that start with ``#`` and are not as wide as the file, or read ``# name = value`` (``#`` is a token too).

    Args:
        lines: numbered lines; those of a `Lines` are read in blocks, which is several times as fast.
        name: the file's name, for messages.
        options: the columns' names; whether the label columns may be missing; as head the width of the file, for lines
            that do not start it.

    Yields:
        Sentences with all columns, including that of the tokens; without any if there are only tokens.

    Raises:
        DataError: a row has more or fewer columns than the first, or an empty cell; there is no label column.
    """
    blocks = lines.blocks() if isinstance(lines, Lines) else ((number, [line]) for number, line in lines)
    if options.head is None:
        blocks, width, _ = _with_width(blocks)
    else:
        width = _known_width(options.head, name)
    names = _column_names(width, options)
    where = token_place(names, options.token_column, name)
    rules = _Rules(name, width, names, where, options.columns is not None, options.allow_unlabelled)
    if not isinstance(lines, Lines):  # no more of them is read than is needed
        yield from _read_rows(((number, line) for number, (line,) in blocks), rules)
        return
    separator = "\t" if width[1] else " "
    for first, run in _runs(blocks):
        cells = _plain_columns(run, separator, len(names), options.allow_unlabelled)
        if cells is None:
            yield from _read_rows(enumerate(run, first), rules)
        else:
            yield _sentence(cells, rules, first)


def token_place(names: Sequence[str], token_column: str, file: str = "") -> int:
    """Which column holds the tokens.

    Args:
        names: the names of the columns, in order.
        token_column: what the user said: a name, or a position from 0 (negative from the end); empty for the column
            named ``word``, ``form`` or ``token``, or else the first.
        file: the file's name, for messages.

    Returns:
        Its position.

    Raises:
        DataError: there is no such column.
    """
    if not token_column:
        return next((index for index, column in enumerate(names) if column.lower() in _TOKEN_COLUMNS), 0)
    if token_column in names:
        return names.index(token_column)
    with suppress(ValueError):
        place = int(token_column)
        if -len(names) <= place < len(names):
            return place % len(names)
    raise DataError(f"no token column {token_column!r}; the columns are {', '.join(names)}", file=file)


def _known_width(head: Sequence[Any], name: str) -> Width:
    """What `_with_width` found at the start of a file, as a request has it."""
    if list(map(type, head)) != [int, bool] or not 0 < head[0] <= _WIDEST:
        raise DataError(f"a head must be a number of columns and true for tabs, found {shown(head)}", file=name)
    return head[0], head[1]


class _Rules(NamedTuple):
    """What all rows of a file must be like."""

    file: str
    width: Width
    names: list[str]
    where: int
    named: bool
    allow_unlabelled: bool


def _runs(blocks: Iterable[tuple[int, list[str]]]) -> Iterator[tuple[int, list[str]]]:
    """Lines between empty ones, with the number of the first; at the end of a block also between other lines that end a
    sentence: a complete sentence does not wait for more, which may never end or have a fault."""  # noqa: D205, D209
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
    """The cells of a run, column by column, if nothing about it needs a closer look, as in most runs."""
    text = "\n".join(run)
    if text.startswith(("#", _DOCUMENT_START)) or f"\n{_DOCUMENT_START}" in text:
        return None
    if (separator == " " and "\t" in text) or (width == 1 and not allow_unlabelled):
        return None
    # The line endings become cells of their own: if all of them are in their places, every row has its width.
    cells = text.replace("\n", f"{separator}\n{separator}").split(separator)
    step = width + 1
    if len(cells) != step * len(run) - 1 or "" in cells or cells[width::step].count("\n") != len(run) - 1:
        return None
    return [cells[column::step] for column in range(width)]


def _sentence(cells: list[list[str]], rules: _Rules, first: int) -> Sentence:
    labels = dict(zip(rules.names, cells, strict=True)) if len(cells) > 1 else {}
    sentence = Sentence.from_tokens(cells[rules.where], labels, file=rules.file, line=first)
    if labels:
        labels[rules.names[rules.where]] = sentence.tokens  # the same list, by which writers recognise that column
    return sentence


def _read_rows(lines: Iterable[Line], rules: _Rules) -> Iterator[Sentence]:
    """The sentences of lines, row by row: runs of spaces, blank lines, comments, faults."""
    sentence: list[list[str]] = []
    begin = 0
    for number, line in chain(lines, [(0, "")]):
        if _ends_sentence(line):
            if sentence:
                yield _sentence([list(column) for column in zip(*sentence, strict=True)], rules, begin)
                sentence = []
            continue
        if not sentence:
            if line.startswith("#") and _is_comment(line, rules.width):
                continue
            begin = number
        row = split_row(line)
        _check_row(row, rules, number)
        sentence.append(row)


def _usual_width(lines: Sequence[Line], name: str, options: ReadOptions) -> Width | None:
    """How wide most rows of a file are; None if the columns' names tell."""
    found = [line for _, line in lines if not is_blank(line) and not line.startswith(("#", _DOCUMENT_START))]
    widths = [len(split_row(row)) for row in found]
    if options.columns is not None or not widths:
        return None
    ((usual, _),) = Counter(widths).most_common(1)
    if usual == 1:
        raise DataError(_NO_LABELS.format(usual), file=name, line=lines[0][0])
    return usual, "\t" in found[widths.index(usual)]


def _with_width(
    blocks: Iterable[tuple[int, list[str]]],
) -> tuple[Iterator[tuple[int, list[str]]], Width, bool]:
    """All lines from the first on; how wide the first row is; and whether no further line can change that.

    Lines that start with ``#`` may be comments: they count only if the file has no others, or none for long.
    """
    iterator = iter(blocks)
    head: list[tuple[int, list[str]]] = []  # a pipe cannot be read twice, and may be endless
    found = with_tab = ""
    comments = 0
    for number, lines in iterator:
        before = comments
        for line in lines:
            if _ends_sentence(line):
                continue
            if not line.startswith("#"):
                found = line
                break
            with_tab = with_tab or (line if "\t" in line else "")
            comments += 1
        if found or comments > before:
            head.append((number, lines))
        elif head and head[-1][1] != [""]:
            head.append((number, [""]))  # one separates sentences as well as many do
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


def _column_names(width: Width, options: ReadOptions) -> list[str]:
    if options.columns is None:
        return [str(index) for index in range(width[0])]
    return list(options.columns[: width[0]] if options.allow_unlabelled else options.columns)


def _check_row(row: list[str], rules: _Rules, number: int) -> None:
    names, file = rules.names, rules.file
    if len(names) == 1 and not rules.allow_unlabelled:
        raise DataError(_NO_LABELS.format(len(row)), file=file, line=number)
    if len(row) != len(names):
        expected = "1 column" if len(names) == 1 else f"{len(names)} columns"
        named = f" ({', '.join(names)})" if rules.named else ""
        raise DataError(f"expected {expected}{named}, found {len(row)}", file=file, line=number)
    if "" in row:
        index = row.index("")
        what = "token" if index == rules.where else "label"
        raise DataError(f"empty {what} in column {index + 1}", file=file, line=number)


# --- recognising and writing --------------------------------------------------------------------------------------


def _recognise(sample: Sample) -> bool:
    found = sample.rows
    if sample.suffix in _SUFFIXES or not found or (sample.texts and sample.suffix == ".tsv"):
        return sample.suffix in _SUFFIXES
    blank_inside = any(map(is_blank, sample.lines))
    tabs = {row.count("\t") for row in found}
    if 0 not in tabs:
        # A text beside its label has spaces in it; a token beside its label hardly ever does.
        prose = sum(" " in row for row in found) > len(found) / 4
        return len(tabs) == 1 and (blank_inside or not prose)
    cells = [split_row(row) for row in found]
    if sample.suffix == ".tsv" or len(cells) == 1 or len(cells[0]) == 1 or len({len(row) for row in cells}) > 1:
        return False
    pairs = zip(sample.lines, [*sample.lines[1:], ""], strict=True)
    sentences = sum(is_blank(following) and not is_blank(line) for line, following in pairs)
    in_sentences = blank_inside and len(cells) >= 2 * sentences
    return in_sentences or detect_scheme([[row[-1] for row in cells]]) != "none"


def _write(sentences: Sequence[Sentence]) -> str:
    """All columns, tab-separated, in the order that the source has them."""
    written = []
    for sentence in sentences:
        columns, tokens = _all_columns(sentence), len(sentence.tokens)
        block = rows(columns)
        refuse_breaks(block, tokens * (len(columns) - 1), tokens + 1, sentence, _INSTEAD)
        written.append(clean(block))
    content = "".join(written)
    _refuse_misread(content, sentences)
    return content


def _all_columns(sentence: Sentence) -> list[list[str]]:
    columns = list(sentence.columns.values())
    return columns if any(column is sentence.tokens for column in columns) else [sentence.tokens, *columns]


def _refuse_misread(content: str, sentences: Sequence[Sentence]) -> None:
    """Check that columns are read as they were written: rows of one width, no token mistaken for something else."""
    read = read_conll(Lines([content.encode()], ""), "", ReadOptions(allow_unlabelled=True))
    for sentence in sentences:
        if not sentence.tokens:
            continue
        found = None
        with suppress(DataError):
            found = next(read, None)
        written = [list(map(clean, column)) for column in _all_columns(sentence)]
        if found is None or (list(found.columns.values()) or [found.tokens]) != written:
            message = f"columns would not be read back as these tokens and labels; use {_INSTEAD}"
            raise DataError(message, file=sentence.file, line=sentence.line)


CONLL = Format(
    "conll",
    "tokens with labels",
    usual_suffixes=_SUFFIXES,
    recognise=_recognise,
    sentences=read_conll,
    write=_write,
    head=lambda lines, name: _with_width(lines.blocks())[1:],
    usual_head=_usual_width,
    last_end=last_blank_line_end,
    row_per_token=True,
    has_tokens=True,
)
