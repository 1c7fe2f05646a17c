"""Files of sentences → `Sentence` records, one at a time, whatever the format.

============  ========================================================================================
``conll``     columns, a blank line after each sentence; see `seqkit.formats.columns.read_conll`
``conllu``    CoNLL-U; see `seqkit.formats.columns.read_conllu`
``jsonl``     one JSON object a sentence; see `seqkit.formats.jsonl.read_jsonl`
``text``      one sentence a line, cut into tokens by a splitter
``tokens``    one sentence a line, tokens between spaces
``tsv, csv``  a label and a text a row, which `read_texts` reads; no files of sentences for a tagger
============  ========================================================================================
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from seqkit.errors import DataError
from seqkit.formats.blocks import Part, part_lines
from seqkit.formats.columns import Width, read_conll, read_conllu, split_row
from seqkit.formats.jsonl import read_jsonl, read_jsonl_texts
from seqkit.formats.schemes import detect_scheme
from seqkit.formats.tables import read_table, table_columns
from seqkit.formats.text import is_blank, read_lines
from seqkit.records import Sentence

__all__ = [
    "FORMATS",
    "SUFFIXES",
    "Splitter",
    "detect_format",
    "is_pipe",
    "part_sentences",
    "part_texts",
    "read_sentences",
    "read_texts",
    "table_texts",
]

FORMATS = ("conll", "conllu", "tsv", "csv", "jsonl", "text", "tokens")

Splitter = Callable[[str], list[tuple[int, int]]]
"""Text → start and end of each token, in characters."""

_COLUMN_SUFFIXES = frozenset({".conll", ".iob", ".iob1", ".iob2", ".iobes", ".bio", ".bioes", ".col", ".ner", ".pos"})
SUFFIXES = {".conllu": "conllu", ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl", ".csv": "csv"}
"""The extensions that tell a format by themselves."""

_LINES_LOOKED_AT = 400  # enough for many sentences, little enough to be free
_WORD = re.compile(r"[^ \t]+")


def detect_format(path: str | Path) -> str:
    """Tell a file's format by its extension, and by its first lines where that does not tell.

    Args:
        path: the file; not ``-``, whose format has to be said.

    Returns:
        One of `FORMATS`; never ``tokens``, which cannot be told from ``text``.

    Raises:
        DataError: the file cannot be read or is not UTF-8, or `path` is ``-`` or another pipe.
    """
    if str(path) == "-":
        raise DataError(f"expected the format of standard input to be named, one of {', '.join(FORMATS)}")
    suffix = Path(path).suffix.lower()
    if suffix in SUFFIXES:
        return SUFFIXES[suffix]
    if is_pipe(path):  # what is looked at would be lost to its reader
        raise DataError("expected a file, found a pipe or device, whose format cannot be looked up", file=path)
    lines = [line for _, line in islice(read_lines(path), _LINES_LOOKED_AT)]
    return _detect_content(lines, suffix)


def is_pipe(path: str | Path) -> bool:
    """Whether a path is something that can be read only once: a pipe, a socket or a device.

    Args:
        path: the path.

    Returns:
        False for files and folders, and where there is nothing.
    """
    place = Path(path)
    return place.exists() and not place.is_file() and not place.is_dir()


def _detect_content(lines: Sequence[str], suffix: str) -> str:
    rows = [line for line in lines if not is_blank(line)]
    if rows and rows[0].startswith("{") and rows[0].rstrip(" \t").endswith("}"):
        return "jsonl"
    bare = [row for row in rows if not row.startswith(("# ", "-DOCSTART-"))] or rows
    if bare and all(row.count("\t") == 9 and row[0].isdigit() for row in bare):
        return "conllu"
    if suffix in _COLUMN_SUFFIXES:
        return "conll"
    if not bare:
        return "tsv" if suffix == ".tsv" else "text"
    tabs = {row.count("\t") for row in bare}
    blank_inside = any(is_blank(line) for line in lines)
    if 0 not in tabs:
        # A text beside its label has spaces in it; a token beside its label hardly ever does.
        prose = sum(" " in row for row in bare) > len(bare) / 4
        return "conll" if len(tabs) == 1 and (blank_inside or not prose) else "tsv"
    if suffix == ".tsv":
        return "tsv"
    cells = [split_row(row) for row in bare]
    if len(cells) > 1 and len({len(row) for row in cells}) == 1 and len(cells[0]) > 1:
        sentences = sum(
            is_blank(line) and not is_blank(before) for before, line in zip(lines, [*lines[1:], ""], strict=True)
        )
        in_sentences = blank_inside and len(cells) >= 2 * sentences
        if in_sentences or detect_scheme([[row[-1] for row in cells]]) != "none":
            return "conll"
    return "text"


def read_sentences(
    path: str | Path,
    format: str | None = None,
    *,
    columns: Sequence[str] | None = None,
    splitter: Splitter | None = None,
    allow_unlabelled: bool = False,
) -> Iterator[Sentence]:
    """Read a file of sentences, one record at a time.

    Args:
        path: the file, or ``-`` for standard input, whose format has to be said.
        format: one of `FORMATS`; by default what `detect_format` finds.
        columns: the names of a ``conll`` file's columns, in order; by default ``"0"``, ``"1"``, ….
        splitter: cuts raw text into tokens, for ``text`` and for ``jsonl`` without tokens; by default cuts at spaces.
        allow_unlabelled: whether a ``conll`` file may have tokens alone, as input for prediction has.

    Returns:
        An iterator over the sentences, in the file's order. In ``text`` and ``tokens`` every line is one, an empty line
        a sentence without tokens.

    Raises:
        DataError: the format is unknown or holds no sentences; while iterating, whatever is wrong with the file.
    """
    format = detect_format(path) if format is None else format
    name = "<stdin>" if str(path) == "-" else str(path)
    return _sentences(read_lines(path), name, format, splitter, columns=columns, allow_unlabelled=allow_unlabelled)


def part_sentences(part: Part, splitter: Splitter) -> Iterator[Sentence]:
    """Read a part of an input of sentences, in which a ``conll`` file may have tokens alone; see `read_sentences`.

    Args:
        part: the part.
        splitter: cuts raw text into tokens.

    Returns:
        An iterator over the sentences, the same ones that reading the whole gives at this place.

    Raises:
        DataError: the format holds no sentences; while iterating, whatever is wrong with the part.
    """
    width = None if part.head is None else (int(part.head[0]), bool(part.head[1]))
    return _sentences(part_lines(part), part.name, part.format, splitter, allow_unlabelled=True, width=width)


def _sentences(
    lines: Iterable[tuple[int, str]],
    name: str,
    format: str,
    splitter: Splitter | None,
    *,
    columns: Sequence[str] | None = None,
    allow_unlabelled: bool,
    width: Width | None = None,
) -> Iterator[Sentence]:
    if format in ("tsv", "csv"):
        found = "labelled texts, one a line"
        raise DataError(f"expected columns of tokens and labels, found {found}", file=name)
    if format == "conll":
        return read_conll(lines, name, columns=columns, allow_unlabelled=allow_unlabelled, width=width)
    if format == "conllu":
        return read_conllu(lines, name)
    if format == "jsonl":
        return read_jsonl(lines, name, splitter or _split_at_spaces)
    if format == "text":
        return _read_text(lines, name, splitter or _split_at_spaces)
    if format == "tokens":
        return _read_text(lines, name, _split_at_spaces)
    raise DataError(f"expected a format among {', '.join(FORMATS)}, found {format!r}")


def read_texts(
    path: str | Path,
    format: str | None = None,
    *,
    text: str = "text",
    label: str | None = "label",
    splitter: Splitter | None = None,
) -> Iterator[Sentence]:
    """Read a file of texts that have labels or other fields, one record at a time.

    Args:
        path: the file, or ``-`` for standard input, whose format has to be said.
        format: ``tsv``, ``csv`` or ``jsonl``, and where no label is needed also ``text`` or ``tokens``, of which every
            line that is not blank is a record with the only field ``text``; by default what `detect_format` finds,
            ``tsv`` where the name ends so.
        text: the column or key of the text.
        label: the column or key of the label; None where a record needs none. A ``tsv`` or ``csv`` file whose first row
            does not name its columns has the label and the text, in this order.
        splitter: cuts the text into tokens; by default cuts at spaces.

    Returns:
        An iterator over the texts, in the file's order. The `fields` of each are its cells or its JSON object; the
        label among them is a string, or a list of strings where JSON has a list.

    Raises:
        DataError: the file is in another format; while iterating, whatever is wrong with the file.
    """
    if format is None:
        format = "tsv" if Path(path).suffix.lower() == ".tsv" else detect_format(path)
    name = "<stdin>" if str(path) == "-" else str(path)
    return _texts(read_lines(path), name, format, splitter or _split_at_spaces, text=text, label=label)


def part_texts(part: Part, splitter: Splitter, text: str = "text") -> Iterator[Sentence]:
    """Read a part of an input of texts that need no label; see `read_texts`.

    Args:
        part: the part.
        splitter: cuts the text into tokens.
        text: the column or key of the text.

    Returns:
        An iterator over the texts, the same ones that reading the whole gives at this place; of ``text`` and ``tokens``
        every line is one.

    Raises:
        DataError: the format holds no texts; while iterating, whatever is wrong with the part.
    """
    if part.format in ("text", "tokens"):
        return part_sentences(part, splitter)
    columns = None
    if part.head is not None:
        columns, _ = table_columns(part.head, part.name, 1, text=text, labelled=False)
    return _texts(part_lines(part), part.name, part.format, splitter, text=text, label=None, columns=columns)


def _texts(
    lines: Iterable[tuple[int, str]],
    name: str,
    format: str,
    splitter: Splitter,
    *,
    text: str,
    label: str | None,
    columns: Sequence[str] | None = None,
) -> Iterator[Sentence]:
    if format == "jsonl":
        return read_jsonl_texts(lines, name, splitter, text=text, label=label)
    if format in ("tsv", "csv"):
        return table_texts(lines, name, format, splitter, text=text, label=label, columns=columns)
    if format in ("text", "tokens") and label is None:
        lines = ((number, line) for number, line in lines if not is_blank(line))
        return _records(_read_text(lines, name, splitter))
    if format not in FORMATS:
        raise DataError(f"expected a format among tsv, csv, jsonl, found {format!r}")
    found = "columns of tokens and labels" if format in ("conll", "conllu") else "lines without labels"
    raise DataError(f"expected labelled texts (a .tsv, .csv or .jsonl file), found {found}", file=name)


def table_texts(
    lines: Iterable[tuple[int, str]],
    name: str,
    format: str,
    splitter: Splitter,
    *,
    text: str = "text",
    label: str | None = "label",
    columns: Sequence[str] | None = None,
) -> Iterator[Sentence]:
    """Read rows of texts with their labels; see `read_texts` and `seqkit.formats.tables.read_table`.

    Args:
        lines: numbered lines.
        name: the file's name, for messages.
        format: ``tsv`` or ``csv``.
        splitter: cuts the text into tokens.
        text: the column of the text.
        label: the column of the label, or None where there need not be one.
        columns: the names of all columns, where they are known already.

    Yields:
        One sentence a row.

    Raises:
        DataError: whatever is wrong with the rows.
    """
    named = "label" if label is None else label
    rows = read_table(lines, name, format, text=text, label=named, labelled=label is not None, columns=columns)
    for line, cells in rows:
        whole = cells[text]
        offsets = splitter(whole)
        tokens = [whole[start:end] for start, end in offsets]
        yield Sentence(tokens, whole, offsets, file=name, line=line, fields=dict(cells))


def _split_at_spaces(text: str) -> list[tuple[int, int]]:
    """Cut at ASCII spaces and tabs, nothing else."""
    return [match.span() for match in _WORD.finditer(text)]


def _records(sentences: Iterable[Sentence]) -> Iterator[Sentence]:
    for sentence in sentences:
        sentence.fields = {"text": sentence.text}
        yield sentence


def _read_text(lines: Iterable[tuple[int, str]], name: str, splitter: Splitter) -> Iterator[Sentence]:
    for number, text in lines:
        offsets = splitter(text)
        yield Sentence([text[start:end] for start, end in offsets], text, offsets, file=name, line=number)
