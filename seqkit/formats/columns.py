"""What the first lines of a file of columns tell: the columns' names, which one holds the tokens, what is a comment."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

from seqkit.errors import DataError
from seqkit.formats.format import Description, Sample
from seqkit.formats.notation import detect_notation
from seqkit.formats.schemes import detect_scheme, is_label
from seqkit.formats.text import is_blank

Width = tuple[int, bool]
"""How many columns rows have, and whether they are separated by tabs."""

DOCUMENT_START = "-DOCSTART-"
"""first cell of a row that starts a document, as in CoNLL-2003 (https://www.clips.uantwerpen.be/conll2003/ner/)"""
TEXT = "# text = "
"""comment with the tokens of its sentence, as in CoNLL-U (https://universaldependencies.org/format.html): the rows
after it are tokens, whatever they look like, and a line that starts with # is one if the text starts with it"""
_NO_LABELS_OF_TOKENS = frozenset({"-X-", DOCUMENT_START})
"""further cells of a row that starts a document and is no token, whatever stands beside it"""
TOKEN_COLUMNS = frozenset({"word", "words", "token", "tokens", "form"})
"""names of the column of the tokens, in any case"""
_LABEL_COLUMNS = frozenset(
    {"tag", "tags", "label", "labels", "ner", "ner_tag", "ner_tags", "iob", "bio", "entity", "pos", "pos_tag"}
    | {"pos_tags", "upos", "xpos", "chunk", "chunk_tag", "chunk_tags", "lemma", "deprel"}
)
"""names of further columns, by which a first row is recognised as one of names"""
DOCUMENT_BORDERS = ("#begin document", "#end document")
"""comments of OntoNotes, which other files have too"""
MARK = re.compile(r"#+(?: |$)")
"""the first cell of a comment as wide as the file; ``#tag`` is a token"""
_NUMBER = re.compile(r"[0-9]{1,9}")
_QUANTITY = re.compile(r"[+-]?[0-9]*[.,]?[0-9]+(?:[eE][+-]?[0-9]+)?")
_NARROWEST = 3
"""columns of a file that has tokens, labels and something else"""
_ENOUGH = 2
"""rows after the first one of their sentence, by which a column of numbers is recognised"""
_SOME = 8
"""the same, where the cells vary, but are repeated"""
_AMPLE = 30
"""the same, where nothing else has to speak for it"""
_MANY = 10
"""rows that have all usual labels"""
_OF_TEXTS_TOO = ("", ".tsv", ".txt")
"""extensions of files that may have texts and their labels, too"""
_FEWEST_TEXTS = 4
"""rows from which on labels are told from words by how often they are repeated"""
_LIKELY = 100
"""tokens of a sentence from which on it is clear whether all look like labels"""
_LIKE_A_LABEL = re.compile(r"[BIESLUMWObieslumwo]|[BIESLUMWbieslumw][-_:].+|.+[-_:][BIESLUMWbieslumw]", re.DOTALL)
"""a token that could be the label of a span, in any of the notations of `seqkit.formats.notation`"""
_UNLIKE_TOKENS = re.compile(r"#|\ufeff|[^\0]\0[^\0]\0|\0[^\0]\0[^\0]|PK\x03|PAR1|BZh|%PDF-")
"""starts of a first row that make a comment, or, at the start of a file, another kind of it (`seqkit.formats.text`)"""
_RARE = 0.05
"""the greatest share of sentences that do not have the form of the others"""


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


def cells_of(line: str, width: int = 1) -> list[str]:
    """Split a row without what is blank at its end.

    Args:
        line: the row, without its line ending.
        width: how many cells are kept even if they are blank.

    Returns:
        The cells; see `split_row`.
    """
    cells = split_row(line)
    while len(cells) > width and is_blank(cells[-1]):
        cells.pop()
    return cells


def width_of(line: str) -> Width:
    """How wide a row is, blank cells at its end not counted."""
    return len(cells_of(line)), "\t" in line


def starts_document(line: str) -> bool:
    """Whether the first cell of a row is that of one that starts a document; it may be a token, too."""
    return line.startswith(DOCUMENT_START) and split_row(line)[0] == DOCUMENT_START


def ends_sentence(line: str) -> bool:
    """Whether a line certainly stands between two sentences: it is blank, or has the cells of a document's start."""
    if not line.startswith(DOCUMENT_START):
        return is_blank(line)
    first, *others = split_row(line)
    return first == DOCUMENT_START and not _NO_LABELS_OF_TOKENS.isdisjoint(others)


def header(cells: Sequence[str]) -> tuple[str, ...]:
    """The names of columns, if a file's first row has them.

    Args:
        cells: the cells of the first row.

    Returns:
        The names, a position for one that is empty; nothing if this is no row of names.
    """
    names = [cell.strip(" ").casefold() for cell in cells]
    tokens = [name for name in names if name in TOKEN_COLUMNS]
    if len(tokens) != 1 or not _LABEL_COLUMNS & {*names}:
        return ()
    return tuple(cell.strip(" ") or str(place) for place, cell in enumerate(cells))


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
        return next((index for index, column in enumerate(names) if column.lower() in TOKEN_COLUMNS), 0)
    if token_column in names:
        return names.index(token_column)
    with suppress(ValueError):
        place = int(token_column)
        if -len(names) <= place < len(names):
            return place % len(names)
    raise DataError(f"no token column {token_column!r}; the columns are {', '.join(names)}", file=file)


def has_labels_first(rows: Sequence[str]) -> bool:
    """Whether rows of two cells are labels and texts of a word each, not tokens and labels: few first cells, repeated.

    Args:
        rows: rows without blank lines between them.

    Returns:
        Whether they are.
    """
    cells = [row.split("\t") for row in rows]
    if len(cells) < _FEWEST_TEXTS or any(len(row) != 2 for row in cells):
        return False
    first, second = (len({row[place] for row in cells}) for place in (0, 1))
    return 2 * first <= second


def may_have_texts(sample: Sample) -> bool:
    """Whether rows could be tokens with labels as well as labels with texts: neither blank lines nor a name tell."""
    pairs = len(sample.rows) >= _FEWEST_TEXTS and all(row.count("\t") == 1 for row in sample.rows)
    return pairs and sample.suffix in _OF_TEXTS_TOO and not any(map(is_blank, sample.lines))


class Rows(NamedTuple):
    """The rows of a sample that are as wide as most.

    Attributes:
        sentences: the rows of each sentence, without those marked as comments.
        marked: rows at the start of a sentence whose first cell is ``#``.
        names: the names in the first row, if it has names.
        texts: of each sentence the tokens as a comment before it says them, see `TEXT`; None if there is none.
    """

    sentences: list[list[list[str]]]
    marked: list[list[str]]
    names: tuple[str, ...]
    texts: list[str | None]

    def columns(self, place: int) -> list[list[str]]:
        """The cells of one column, sentence by sentence."""
        return [[row[place] for row in sentence] for sentence in self.sentences]


class _Found(NamedTuple):
    """One row of a sample: the number of its sentence, whether it may be a comment before it, and the text."""

    width: Width
    cells: list[str]
    sentence: int
    begins: bool
    text: str | None


def sampled(lines: Iterable[str]) -> Rows:
    """Find the rows in the first lines of a file.

    Args:
        lines: the lines.

    Returns:
        The rows.
    """
    found: list[_Found] = []
    number, starts, text = 0, True, None
    for line in lines:
        if is_blank(line) or (text is None and ends_sentence(line)):
            number, starts, text = number + 1, True, None
        elif starts and text is None and line.startswith(TEXT):
            text = line[len(TEXT) :]
        else:
            told = text is not None and not (starts and line.startswith("#") and not is_told(text, line))
            if told or not (line.startswith(DOCUMENT_BORDERS) or starts_document(line)):
                cells = [cell.strip(" ") for cell in cells_of(line)]
                starts = starts and not told
                found.append(_Found(width_of(line), cells, number, starts, text))
                starts = starts and line.startswith("#")
    widths = Counter(row.width for row in found if not row.cells[0].startswith("#"))
    if not widths:
        return Rows([], [], (), [])
    ((usual, _),) = widths.most_common(1)
    first = next(row for row in found if not row.cells[0].startswith("#"))
    names = header(first.cells) if first.text is None else ()
    sentences: dict[int, list[list[str]]] = {}
    texts: dict[int, str | None] = {}
    marked = []
    for row in found:
        if row.width != usual or (names and row is first):
            continue
        if not (row.begins and MARK.match(row.cells[0])):
            sentences.setdefault(row.sentence, []).append(row.cells)
            texts.setdefault(row.sentence, row.text)
        elif not any("://" in cell or cell == "=" for cell in row.cells):  # which is a comment anyway
            marked.append(row.cells)
    return Rows([*sentences.values()], marked, names, [*texts.values()])


def is_told(text: str | None, line: str) -> bool:
    """Whether a line that starts with ``#`` is the first row of a sentence, and no further comment before it.

    Args:
        text: the tokens as a comment before it says them, see `TEXT`; None if there is none.
        line: the line, as wide as rows are.

    Returns:
        Whether the text starts with its token.
    """
    return text is not None and ("\t" in line or " = " not in line) and text.startswith(cells_of(line)[0])


def told_place(rows: Rows) -> int | None:
    """Where the tokens are if comments say which these are.

    Args:
        rows: rows of one width.

    Returns:
        The position of the first column that has the tokens of every such comment, one after another; None if there are
        no such comments, or no such column.
    """
    told = [(sentence, text) for sentence, text in zip(rows.sentences, rows.texts, strict=True) if text is not None]
    width = len(rows.sentences[0][0]) if told else 0
    return next(
        (place for place in range(width) if all(_follow([row[place] for row in some], text) for some, text in told)),
        None,
    )


def _follow(cells: Sequence[str], text: str) -> bool:
    """Whether cells stand one after another at the start of a text, with nothing but white space between them."""
    place = 0
    for cell in cells:
        while not text.startswith(cell, place):
            if place >= len(text) or not text[place].isspace():
                return False
            place += 1
        place += len(cell)
    return True


def needs_text(columns: Sequence[Sequence[str]]) -> bool:
    """Whether rows of a sentence may be read as something else than tokens, unless a comment says these, see `TEXT`.

    They start with what starts a comment, a document or another kind of file, look like the names of columns, or the
    tokens like labels or, if there are further columns than one of labels, like numbers or names of documents.

    Args:
        columns: the cells of a sentence, column by column, that of the tokens first.

    Returns:
        Whether they may.
    """
    tokens = columns[0]
    first = tokens[0]
    if DOCUMENT_START in tokens or _UNLIKE_TOKENS.match(first):
        return True
    cells = [column[0].strip(" ").casefold() for column in columns]
    if not TOKEN_COLUMNS.isdisjoint(cells) and (header(cells) or not TOKEN_COLUMNS.isdisjoint(cells[1:])):
        return True
    prefixed = len(first) < 2 or first[1] in "-_:" or first[-2] in "-_:"
    if prefixed and all(map(_LIKE_A_LABEL.fullmatch, tokens[:_LIKELY])):
        return True
    if len(columns) < _NARROWEST:
        return False
    numbers = [int(token) for token in tokens[:2] if _NUMBER.fullmatch(token)]
    counts = len(numbers) == len(tokens[:2]) and numbers[-1] - numbers[0] == len(numbers) - 1
    return counts or (len(tokens) > 1 and first == tokens[1])


def describe_columns(sample: Sample, given: Description) -> tuple[Description, str]:
    """What the first lines tell that the user has not said; see `seqkit.formats.format.Format.describe`."""
    rows = sampled(sample.lines)
    notes = []
    found = given
    if rows.names and not given.columns:
        found = replace(found, columns=rows.names)
        notes.append(f"the first row names the columns: {', '.join(rows.names)}")
    width = len(rows.sentences[0][0]) if rows.sentences else 0
    named = any(name.lower() in TOKEN_COLUMNS for name in found.columns)
    if width and not named and not given.token_column and len(found.columns) in (0, width):
        told = told_place(rows)
        place = guessed_place(rows) if told is None else told
        if place:
            column = found.columns[place] if found.columns else str(place)
            found = replace(found, token_column=column)
            notes.append(f"the tokens are in column {_which(found, place)}; --token-column overrides this")
    unsaid = not given.target and len(found.columns) in (0, width)
    labels = _labels_before_the_last(rows) if unsaid else None
    if labels is not None:
        found = replace(found, target=found.columns[labels] if found.columns else str(labels))
        notes.append(f"the labels are in column {_which(found, labels)}, which marks spans; --target overrides this")
    if _are_comments(rows):
        found = replace(found, comment_rows=True)
        notes.append("rows that start with '#' are comments: their cells are no labels of other rows")
    return found, "; ".join(notes)


def _which(description: Description, place: int) -> str:
    return repr(description.columns[place]) if description.columns else f"{place} (counted from 0)"


def _labels_before_the_last(rows: Rows) -> int | None:
    """Where the labels are if another column marks spans and the last one cannot be meant.

    It has numbers, or names of annotators or documents, which are the same all through a sentence.
    """
    width = len(rows.sentences[0][0]) if rows.sentences else 0
    if width < _NARROWEST:
        return None
    last = rows.columns(-1)
    cells = {cell for column in last for cell in column}
    if "O" in cells or marks_spans(last) or not (_is_constant(last) or all(map(_QUANTITY.fullmatch, cells))):
        return None
    return next((place for place in range(width - 2, -1, -1) if marks_spans(rows.columns(place))), None)


def is_marked(line: str) -> bool:
    """Whether the first cell of a row is that of a comment."""
    return MARK.match(line.partition("\t" if "\t" in line else " ")[0]) is not None


def _are_comments(rows: Rows) -> bool:
    """Whether no cell of the marked rows is a label elsewhere, nor could be one."""
    if not rows.marked or not rows.sentences:
        return False
    width = len(rows.marked[0])
    known = [{cell for column in rows.columns(place) for cell in column} for place in range(width)]
    many = sum(map(len, rows.sentences)) >= _MANY
    spans_last = detect_scheme(rows.columns(-1)) != "none"
    for first, *cells in rows.marked:
        if any(cell in (first, "#") or cell in known[place] for place, cell in enumerate(cells, start=1)):
            return False
        no_span = spans_last and not is_label(cells[-1], "bioes") if cells else False
        if not (no_span or any(" " in cell for cell in cells) or (many and len(cells) > 1)):
            return False
    return True


def guessed_place(rows: Rows) -> int:
    """Where the tokens are, as far as the cells themselves tell.

    Not in columns of numbers that count tokens or sentences, nor of one name for a whole document; and not in one of
    labels that mark spans if the next one has none. The first column, unless there is enough that speaks against it.

    Args:
        rows: rows of one width, at least one.

    Returns:
        The position.
    """
    width = len(rows.sentences[0][0])
    place = 0
    while place < width - 2 and (is_numbered(rows.columns(place)) or _is_constant(rows.columns(place))):
        place += 1
    counted = place > 0
    if place + 1 < width and marks_spans(rows.columns(place)) and not marks_spans(rows.columns(place + 1)):
        place += 1
    return place if not counted or _is_varied(rows, place) else 0


def is_numbered(columns: Sequence[Sequence[str]]) -> bool:
    """Whether cells count: 0, 1, … or 1, 2, … in each sentence, or through all of them.

    Args:
        columns: the cells of one column, sentence by sentence.

    Returns:
        Whether they do, in enough rows.
    """
    if not _has_enough(columns, _ENOUGH):
        return False
    runs: list[tuple[int, int]] = []  # first and last number
    for column in columns:
        if all(map(_NUMBER.fullmatch, column)):
            first, *_ = numbers = [int(cell) for cell in column]
            if numbers == list(range(first, first + len(numbers))):
                runs.append((first, numbers[-1]))
    starts = Counter(first for first, _ in runs)
    running = sum(first == before + 1 for (_, before), (first, _) in pairwise(runs))
    regular = max(starts[0], starts[1], running + 1 if runs and runs[0][0] in (0, 1) else 0)
    return regular >= (1 - _RARE) * len(columns)


def _is_constant(columns: Sequence[Sequence[str]]) -> bool:
    several = [column for column in columns if len(column) > 1]  # a single cell says nothing
    alike = sum(len({*column}) == 1 for column in several)
    return _has_enough(columns, _ENOUGH + 1) and alike >= (1 - _RARE) * len(several)


def _has_enough(columns: Sequence[Sequence[str]], enough: int) -> bool:
    return sum(map(len, columns)) - len(columns) >= enough


def _is_varied(rows: Rows, place: int) -> bool:
    """Whether a column varies as tokens do: more than the last one, unless very many rows speak for it."""
    other = -1 if place + 1 < len(rows.sentences[0][0]) else place - 1  # one of labels
    cells, last = ({cell for column in rows.columns(each) for cell in column} for each in (place, other))
    total = sum(map(len, rows.sentences))
    varied = len(cells) > len(last) and (2 * len(cells) >= total or _has_enough(rows.sentences, _SOME))  # type: ignore[arg-type]
    return len(cells) > 1 and (varied or _has_enough(rows.sentences, _AMPLE))  # type: ignore[arg-type]


def marks_spans(columns: Sequence[Sequence[str]]) -> bool:
    """Whether all cells are labels with a prefix and a kind, or ``O``, in enough rows.

    Args:
        columns: the cells of one column, sentence by sentence.

    Returns:
        Whether they are.
    """
    if sum(map(len, columns)) <= _ENOUGH or not any(len(cell) > 2 for column in columns for cell in column):
        return False
    if detect_scheme(columns) != "none":
        return True
    notation = detect_notation(columns)
    return notation is not None and not notation.name.startswith("IO")
