"""What a file format is: how its files are recognised, read, cut into blocks and written."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from seqkit.formats.text import Line, Lines, last_line_end
from seqkit.records import Sentence, SplitFunction, TextRecord

_WORD = re.compile(r"[^ \t]+")


def split_at_spaces(text: str) -> list[tuple[int, int]]:
    """Split a text at ASCII spaces and tabs, nothing else.

    Args:
        text: the text.

    Returns:
        Start and end of each token.
    """
    return [match.span() for match in _WORD.finditer(text)]


@dataclass(frozen=True, slots=True)
class Sample:
    """The first lines of a file, from which its format is recognised.

    Args:
        suffix: the extension of the file's name, in lower case.
        lines: the lines.
        rows: those that are neither blank nor a comment; all that are not blank if there are only comments.
    """

    suffix: str
    lines: Sequence[str]
    rows: Sequence[str]


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How records are read; each format uses the options that concern it.

    Args:
        split: splits raw text into tokens. None: at spaces in a file of sentences; not at all in a file of texts.
        columns: the names of a column file's columns, in order; by default ``"0"``, ``"1"``, ….
        allow_unlabelled: whether a column file may have tokens alone, like input for prediction.
        text: the field of the text.
        label: the field of the label; None if no label is needed.
        head: what the first row of the file says about all rows, for lines from its middle; see `Format.head`.
    """

    split: SplitFunction | None = None
    columns: Sequence[str] | None = None
    allow_unlabelled: bool = False
    text: str = "text"
    label: str | None = None
    head: Sequence[Any] | None = None

    def record(self, text: str, fields: dict[str, Any], file: str, line: int) -> Sentence | TextRecord:
        """A text with its fields, cut into tokens if there is a function that splits it.

        Args:
            text: the text.
            fields: the fields of its row.
            file: the file's name.
            line: the line it starts at.

        Returns:
            The record.
        """
        record = TextRecord(text, fields, file, line)
        return record if self.split is None else record.cut(self.split)


DEFAULTS = ReadOptions()


@dataclass(frozen=True, slots=True)
class Format:
    """One file format.

    Args:
        name: what users call it.
        content: what its files contain, for messages.
        suffixes: the file name extensions that identify it.
        usual_suffixes: further extensions of its files, which files of another format may have, too.
        recognise: whether the first lines of a file look like this format.
        sentences: reads lines of the named file as sentences; None if its files contain none.
        texts: reads lines of the named file as texts with fields; None if its files contain none.
        has_label: whether lines have a label for a whole text, in the field named; None if they cannot have one.
        write: sentences → content of a file; None if the format cannot be written.
        head: from the first lines of the named file, what the first row says about all rows (the width, the names of
            columns), and whether these lines are enough to know it; None if it says nothing.
        usual_head: the same from all lines of a file that may have faults; raises if all rows would be faulty.
        last_end: where the last record of some bytes ends, 0 if none certainly does; told whether the bytes start the
            file.
        row_per_token: whether each token has a row of its own.
        numbered: whether rows are numbered, so that after a faulty one the rest of its sentence is faulty too.
        line_per_record: whether every line is a record, a blank line too.
        has_tokens: whether the text comes as tokens with spaces between them.
    """

    name: str
    content: str
    suffixes: tuple[str, ...] = ()
    usual_suffixes: tuple[str, ...] = ()
    recognise: Callable[[Sample], bool] = lambda sample: False
    sentences: Callable[[Iterable[Line], str, ReadOptions], Iterator[Sentence]] | None = None
    texts: Callable[[Iterable[Line], str, ReadOptions], Iterator[Sentence | TextRecord]] | None = None
    has_label: Callable[[Iterable[Line], str], bool] | None = None
    write: Callable[[Sequence[Sentence]], str] | None = None
    head: Callable[[Lines, str], tuple[Sequence[Any] | None, bool]] | None = None
    usual_head: Callable[[Sequence[Line], str, ReadOptions], Sequence[Any] | None] = lambda lines, name, options: None
    last_end: Callable[[bytearray, bool], int] = last_line_end
    row_per_token: bool = False
    numbered: bool = False
    line_per_record: bool = False
    has_tokens: bool = False
