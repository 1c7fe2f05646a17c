"""CoNLL files: columns of tokens and labels, a blank line after each sentence."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain, takewhile
from pathlib import Path
from typing import Any, NamedTuple

from seqkit.errors import DataError, shown
from seqkit.formats.columns import (
    DOCUMENT_BORDERS,
    DOCUMENT_START,
    TEXT,
    Width,
    cells_of,
    describe_columns,
    ends_sentence,
    has_labels_first,
    header,
    is_marked,
    is_told,
    needs_text,
    split_row,
    starts_document,
    token_place,
    width_of,
)
from seqkit.formats.format import DEFAULTS, UNDESCRIBED, Format, ReadOptions, Sample
from seqkit.formats.schemes import detect_scheme
from seqkit.formats.text import Line, Lines, is_blank, last_blank_line_end
from seqkit.formats.writers import clean, label_columns, refuse_breaks, rows
from seqkit.records import Sentence

Layouts = Mapping[int, Sequence[str]]
"""Of a format whose columns are known by their number: the number, and the names."""

_SUFFIXES = (".conll", ".iob", ".iob1", ".iob2", ".iobes", ".bio", ".bioes", ".col", ".ner", ".pos")
"""extensions of files that are in this format unless they look like CoNLL-U"""
_LONGEST_HEAD = 10_000
"""how many lines that start with ``#`` are kept until a row tells whether they are comments or tokens"""
_WIDEST = 1_000_000
"""columns that a request may say there are"""
_INSTEAD = "a .jsonl file"
_SAMPLED = 400
"""lines by which it is known how a file will be described"""
_BLANK_AT_CELL_END = re.compile(r"^ | (?=[\t\n]|$)|(?<=\t) ", re.MULTILINE)
_NO_LABELS = "expected at least 2 columns (token and label), found {}"
_COMMENTS = "rows that start with '#', read as comments"
_BLANKS = "rows with spaces around a label, which were removed"
_BESIDE_OTHERS = f"rows {DOCUMENT_START!r} beside other rows of a sentence, read as tokens"


def read_conll(
    lines: Iterable[Line], name: str, options: ReadOptions = DEFAULTS, layouts: Layouts | None = None
) -> Iterator[Sentence]:
    """Read token columns: one token per line, a blank line after each sentence.

    Cells are separated by tabs or, in a row without a tab, by spaces; spaces around a label and blanks at the end of a
    row do not count. The token is in the first column, or in one named ``word``, ``form`` or ``token``. A first row of
    such names is one of names. Comments are skipped: lines at the start of a sentence that start with ``#`` and are not
    as wide as the file, read ``# name = value`` or have an address (``#`` is a token too). So are rows whose first cell
    is ``-DOCSTART-``, which start a document: those that stand alone between blank lines, are not as wide as the file,
    or have ``-X-`` as another cell. Elsewhere this is a token. All rows after a comment ``# text = …`` are tokens; a
    line that starts with ``#`` is such a row if the text starts with its first cell.

    Args:
        lines: numbered lines; those of a `Lines` are read in blocks, which is several times as fast.
        name: the file's name, for messages.
        options: the columns' names; whether the label columns may be missing; whether ``#`` as the first cell always
            makes a comment; as head the width of the file and its columns' names, for lines that do not start it.
        layouts: the names of the columns that the format may have.

    Yields:
        Sentences with all columns, including that of the tokens; without any if there are only tokens.

    Raises:
        DataError: a row has more or fewer columns than the first, or an empty cell; there is no label column.
    """
    blocks = lines.blocks() if isinstance(lines, Lines) else ((number, [line]) for number, line in lines)
    if options.head is None:
        blocks, head, _ = _with_head(blocks, options.columns)
    else:
        head = _known_head(options.head, name)
    width, names = (head[0], head[1]), _column_names(head, options, layouts, name)
    where = token_place(names, options.token_column, name)
    known = options.columns is not None or layouts is not None or len(head) > 2
    comments = where > 0 or options.comment_rows
    rules = _Rules(name, width, names, where, known, options.allow_unlabelled, comments, options.left_out)
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


def _known_head(head: Sequence[Any], name: str) -> Sequence[Any]:
    """What `_with_head` found at the start of a file, as a request has it."""
    names = head[2:]
    counted = list(map(type, head[:2])) == [int, bool] and 0 < head[0] <= _WIDEST
    if not counted or (names and (len(names) != head[0] or not all(isinstance(each, str) for each in names))):
        raise DataError(f"a head must be a number of columns and true for tabs, found {shown(head)}", file=name)
    return head


class _Rules(NamedTuple):
    """What all rows of a file must be like."""

    file: str
    width: Width
    names: list[str]
    where: int
    named: bool
    allow_unlabelled: bool
    comments: bool
    left_out: Counter[str]


def _runs(blocks: Iterable[tuple[int, list[str]]]) -> Iterator[tuple[int, list[str]]]:
    """Lines between empty ones, with the number of the first; at the end of a block also between other lines that end a
    sentence: a complete sentence does not wait for more, which may never end or have a fault."""  # noqa: D205, D209
    run: list[str] = []
    first = 0
    told: bool | None = None  # whether a comment says the tokens of the run; None until it matters
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
                run, told = [], None
            begin = end + 1
        kept = next((size for size, line in enumerate(reversed(lines[begin:]), 1) if ends_sentence(line)), 0)
        if 0 < kept < len(run):
            if told is None and not is_blank(run[-kept]):
                told = any(line.startswith(TEXT) for line in takewhile(_starts_with_sign, run))
            if is_blank(run[-kept]) or not told:
                yield first, run[:-kept]
                first, run, told = first + len(run) - kept, run[-kept:], None
    if run:
        yield first, run


def _starts_with_sign(line: str) -> bool:
    return line.startswith("#")


def _plain_columns(run: list[str], separator: str, width: int, allow_unlabelled: bool) -> list[list[str]] | None:
    """The cells of a run, column by column, if nothing about it needs a closer look, as in most runs."""
    text = "\n".join(run)
    if text.startswith(("#", DOCUMENT_START)) or f"\n{DOCUMENT_START}" in text:
        return None
    if separator == " ":
        if "\t" in text or (width == 1 and not allow_unlabelled):
            return None
    elif width == 1 or (" " in text and _BLANK_AT_CELL_END.search(text)):
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
    """The sentences of lines, row by row: runs of spaces, blank lines, comments, starts of documents, faults."""
    sentence: list[list[str]] = []
    begin = documents = 0
    text: str | None = None  # the tokens as a comment says them
    for number, line in chain(lines, [(0, "")]):
        document = line.startswith(DOCUMENT_START) and starts_document(line)
        if is_blank(line) or (document and _is_no_token(line, text is not None, rules)):
            told = text is not None
            if sentence and (told or len(sentence) > 1 or not documents):
                rules.left_out.update({_BESIDE_OTHERS: documents} if documents and not told else {})
                yield _sentence([list(column) for column in zip(*sentence, strict=True)], rules, begin)
            sentence, documents, text = [], 0, None
            continue
        if not sentence:
            if line.startswith("#") and _is_comment(line, text, rules):
                text = line[len(TEXT) :] if text is None and line.startswith(TEXT) else text
                continue
            begin = number
        row = cells_of(line, rules.width[0])
        if " " in line and "\t" in line:
            plain = [cell if place == rules.where else cell.strip(" ") for place, cell in enumerate(row)]
            if plain != row:
                rules.left_out[_BLANKS] += 1
                row = plain
        _check_row(row, rules, number)
        sentence.append(row)
        documents += document


def _is_no_token(line: str, told: bool, rules: _Rules) -> bool:
    """Whether a row that starts a document is certainly no token: it has not the width of the file, or an empty cell,
    or the cells of such a row."""  # noqa: D205, D209
    return width_of(line) != rules.width or "" in cells_of(line) or (not told and ends_sentence(line))


def _usual_head(lines: Sequence[Line], name: str, options: ReadOptions) -> Width | None:
    """How wide most rows of a file are; None if the columns' names tell."""
    found = [line for _, line in lines if not is_blank(line) and not line.startswith(("#", DOCUMENT_START))]
    if options.columns is not None or not found:
        return None
    ((usual, _),) = Counter(map(width_of, found)).most_common(1)
    if usual[0] == 1:
        raise DataError(_NO_LABELS.format(usual[0]), file=name, line=lines[0][0])
    return usual


def _with_head(
    blocks: Iterable[tuple[int, list[str]]], given: Sequence[str] | None = None
) -> tuple[Iterator[tuple[int, list[str]]], Sequence[Any], bool]:
    """All lines from the first row on; how wide this is, and the names if it has names; and whether no further line can
    change that.

    Lines that start with ``#``, or a document, may be no rows: they count only if the file has no others, or none for
    long.
    """  # noqa: D205
    iterator = iter(blocks)
    head: list[tuple[int, list[str]]] = []  # a pipe cannot be read twice, and may be endless
    found = with_tab = ""
    place = comments = 0
    told = False  # whether a comment says the tokens of the sentence
    for number, lines in iterator:
        before = comments
        for index, line in enumerate(lines):
            if is_blank(line):
                told = False
                continue
            if not line.startswith("#") and not starts_document(line):
                found, place = line, index
                break
            told = told or line.startswith(TEXT)
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
    width, tabs = width_of(found or with_tab)
    cells = cells_of(found)
    names = () if told else header(cells)
    if found and not told and (names or cells == list(given or ())):  # a row of names is no row of a sentence
        number, lines = head.pop()
        head += [(number, [*lines[:place], ""]), (number + place + 1, lines[place + 1 :])]
    return chain((block for block in head if block[1]), iterator), (width, tabs, *names), known


def _is_comment(line: str, text: str | None, rules: _Rules) -> bool:
    if width_of(line) != rules.width or ("\t" not in line and " = " in line):
        return True
    if is_told(text, line):
        return False
    if line.startswith(DOCUMENT_BORDERS):
        return True
    if is_marked(line) and (rules.comments or "://" in line):
        rules.left_out[_COMMENTS] += 1
        return True
    return False


def _column_names(head: Sequence[Any], options: ReadOptions, layouts: Layouts | None, file: str) -> list[str]:
    width, names = head[0], list(head[2:])
    if options.columns is not None:
        names = list(options.columns)
    elif not names and layouts is not None:
        names = list(layouts.get(width) or layouts[max(layouts)])
    elif not names:
        return [str(index) for index in range(width)]
    if twice := [name for name, times in Counter(names).items() if times > 1]:
        raise DataError(f"several columns are named {twice[0]!r}", file=file)
    return names[:width] if options.allow_unlabelled else names


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
        return len(tabs) == 1 and (blank_inside or not (prose or has_labels_first(found)))
    cells = [split_row(row) for row in found]
    if sample.suffix == ".tsv" or len(cells) == 1 or len(cells[0]) == 1 or len({len(row) for row in cells}) > 1:
        return False
    pairs = zip(sample.lines, [*sample.lines[1:], ""], strict=True)
    sentences = sum(is_blank(following) and not is_blank(line) for line, following in pairs)
    in_sentences = blank_inside and len(cells) >= 2 * sentences
    return in_sentences or detect_scheme([[row[-1] for row in cells]]) != "none"


def _write(sentences: Sequence[Sentence]) -> str:
    """All columns, tab-separated, in the order of the source or, if only that is clear, the tokens first, or told."""
    in_order = all(list(each.columns.values())[:1] == [each.tokens] for each in sentences)
    misread = None
    for tokens_first, told in ((False, _never), (True, _never), (True, needs_text), (True, bool)):
        if in_order and tokens_first and told is _never:
            continue
        content = _written(sentences, tokens_first, told)
        misread = _misread(content, sentences)
        if misread is None:
            return content
    assert misread is not None
    message = f"columns would not be read back as these tokens and labels; use {_INSTEAD}"
    raise DataError(message, file=misread.file, line=misread.line)


def _never(columns: Sequence[Sequence[str]]) -> bool:
    return False


def _written(sentences: Sequence[Sentence], tokens_first: bool, told: Callable[[Sequence[Sequence[str]]], bool]) -> str:
    """The content of a file; `told` says of the columns of a sentence whether a comment has to say the tokens."""
    written = []
    for sentence in sentences:
        columns, tokens = _all_columns(sentence, tokens_first), sentence.tokens
        block, lines = rows(columns), len(tokens) + 1
        if tokens and told(columns):
            block, lines = f"{TEXT}{' '.join(tokens)}\n{block}", lines + 1
        refuse_breaks(block, len(tokens) * (len(columns) - 1), lines, sentence, _INSTEAD)
        written.append(clean(block))
    return "".join(written)


def _all_columns(sentence: Sentence, tokens_first: bool) -> list[list[str]]:
    columns = list(sentence.columns.values())
    if not tokens_first and any(column is sentence.tokens for column in columns):
        return columns
    return [sentence.tokens, *(column for column in columns if column is not sentence.tokens)]


def _misread(content: str, sentences: Sequence[Sentence]) -> Sentence | None:
    """The first sentence whose columns are not read as they were written: rows of one width, no token mistaken for
    something else, the tokens found in their column."""  # noqa: D205, D209
    first = content.split("\n", _SAMPLED)[:_SAMPLED]
    description, _ = describe_columns(Sample(Path(), "", first, first), UNDESCRIBED)
    options = ReadOptions(allow_unlabelled=True).of(description)
    read = read_conll(Lines([content.encode()], ""), "", options)
    for sentence in sentences:
        if not sentence.tokens:
            continue
        found = None
        with suppress(DataError):
            found = next(read, None)
        labels = [list(map(clean, column)) for column in label_columns(sentence).values()]
        if found is None or found.tokens != list(map(clean, sentence.tokens)):
            return sentence
        if list(label_columns(found).values()) != labels:
            return sentence
    return None


CONLL = Format(
    "conll",
    "tokens with labels",
    source="https://www.clips.uantwerpen.be/conll2003/ner/",
    usual_suffixes=_SUFFIXES,
    recognise=_recognise,
    describe=describe_columns,
    sentences=read_conll,
    write=_write,
    head=lambda lines, name: _with_head(lines.blocks())[1:],
    usual_head=_usual_head,
    last_end=last_blank_line_end,
    row_per_token=True,
    has_tokens=True,
)
