"""What a file format is: how its files are recognised, read, cut into blocks and written."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from seqkit.errors import DataError, shortened
from seqkit.formats.text import Line, Lines, last_line_end
from seqkit.records import FrameRecord, Sentence, SplitFunction, TextPair, TextRecord

_WORD = re.compile(r"[^ \t]+")


def split_at_spaces(text: str) -> list[tuple[int, int]]:
    """Split a text at ASCII spaces and tabs, nothing else.

    Args:
        text: the text.

    Returns:
        Start and end of each token.
    """
    return [match.span() for match in _WORD.finditer(text)]


OnSpanBorder = Literal["refuse", "widen", "narrow"]
"""what becomes of a span that starts or ends inside a token: a fault; or it takes the whole token, or leaves it out"""


@dataclass(frozen=True, slots=True)
class Description:
    """How files are to be read, as a user, a card or the files themselves say.

    Args:
        format: a name of `seqkit.formats.registry.FORMATS`; empty to recognise it.
        columns: the names of the columns of a file, in order; empty for those that the file or its format has.
        token_column: the column of the tokens, a name or a position from 0; empty for the format's.
        encoding: the encoding of text files; empty for UTF-8.
        span_borders: see `OnSpanBorder`.
        comment_rows: whether rows whose first cell is ``#`` are comments at the start of a sentence, however wide.
        text: the field of the texts, for prediction; empty for that of the model.
        target: the column that is learned by default; empty for the format's, or the last one.
        below: the folder in which the files were found, for prediction; empty where they were named.
        second: the field of the second text of each record, where texts come in pairs.
        text_first: whether of two columns without names the first is the text, and the other what is learned of it.
    """

    format: str = ""
    columns: tuple[str, ...] = ()
    token_column: str = ""
    encoding: str = ""
    span_borders: OnSpanBorder = "refuse"
    comment_rows: bool = False
    text: str = ""
    target: str = ""
    below: str = ""
    second: str = ""
    text_first: bool = False


UNDESCRIBED = Description()


def column_names(text: str) -> tuple[str, ...]:
    """Names of columns, as they stand in a flag or setting: ``id, token, ner``.

    Args:
        text: the names, separated by commas; empty for none.

    Returns:
        The names.
    """
    return tuple(name.strip() for name in text.split(",")) if text else ()


@dataclass(frozen=True, slots=True)
class Sample:
    """The first lines of a file, from which its format is recognised.

    Args:
        path: the file.
        suffix: the extension of the file's name, in lower case; see `seqkit.formats.text.data_suffix`.
        lines: the lines.
        rows: those that are neither blank nor a comment; all that are not blank if there are only comments.
        texts: whether a file of texts is expected, not one of sentences with labels for tokens.
    """

    path: Path
    suffix: str
    lines: Sequence[str]
    rows: Sequence[str]
    texts: bool = False


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How records are read; each format uses the options that concern it.

    Args:
        split: splits raw text into tokens. None: at spaces in a file of sentences; not at all in a file of texts.
        columns: the names of a column file's columns, in order; by default those of the format, or ``"0"``, ``"1"``, ….
        allow_unlabelled: whether a column file may have tokens alone, like input for prediction.
        text: the field of the text.
        label: the field of the label; None if no label is needed.
        head: what the first row of the file says about all rows, for lines from its middle; see `Format.head`.
        token_column: the column of the tokens, a name or a position from 0; by default the format's.
        span_borders: what becomes of a span that starts or ends inside a token.
        comment_rows: whether rows whose first cell is ``#`` are comments at the start of a sentence, however wide.
        frames: the field of a sequence of vectors; empty for the usual ones.
        rows_before: of sequences of vectors in an array beside the file, how many rows come before these lines.
        faults: receives what is wrong with sequences of vectors, which are left out then; None to raise it.
        second: the field of the second text, where texts come in pairs; empty for single texts.
        text_first: whether of two columns without names the first is the text.
        encoding: the encoding of files that are read beside the one that is given; empty for UTF-8.
        left_out: what a reader leaves out or changes → how often, which the user is told; see `notes_on`.
    """

    split: SplitFunction | None = None
    columns: Sequence[str] | None = None
    allow_unlabelled: bool = False
    text: str = "text"
    label: str | None = None
    head: Sequence[Any] | None = None
    token_column: str = ""
    span_borders: OnSpanBorder = "refuse"
    comment_rows: bool = False
    frames: str = ""
    rows_before: int = 0
    faults: list[DataError] | None = None
    second: str = ""
    text_first: bool = False
    encoding: str = ""
    left_out: Counter[str] = field(default_factory=Counter)

    def of(self, description: Description) -> ReadOptions:
        """These options for files of a description.

        Args:
            description: how the files are to be read.

        Returns:
            The options.
        """
        return replace(
            self,
            columns=description.columns or self.columns,
            token_column=description.token_column,
            span_borders=description.span_borders,
            comment_rows=description.comment_rows,
            second=description.second or self.second,
            text_first=description.text_first,
            encoding=description.encoding,
        )

    def record(self, text: str, fields: dict[str, Any], file: str, line: int) -> Sentence | TextRecord:
        """A text with its fields, cut into tokens if there is a function that splits it.

        Args:
            text: the text.
            fields: the fields of its row.
            file: the file's name.
            line: the line it starts at.

        Returns:
            The record; a `TextPair` where texts come in pairs.

        Raises:
            DataError: there is no second text.
        """
        if self.second:
            return self._pair(text, fields, file, line)
        record = TextRecord(text, fields, file, line)
        return record if self.split is None else record.cut(self.split)

    def _pair(self, text: str, fields: dict[str, Any], file: str, line: int) -> TextPair:
        if self.second not in fields:
            found = ", ".join(map(repr, fields)) or "none"
            message = f"expected the fields {self.text!r} and {self.second!r}, found {found}; {NAME_PAIR}"
            raise DataError(message, file=file, line=line)
        split = self.split or split_at_spaces
        first, second = (TextRecord(each).cut(split) for each in (text, fields[self.second]))
        pair = TextPair.of(first, second, (self.text, self.second))
        pair.fields, pair.file, pair.line = fields, file, line
        return pair


NAME_PAIR = "--text FIELD --text FIELD names those of the two texts"
"""what to do where the fields of a pair are not found"""
DEFAULTS = ReadOptions()


def notes_on(file: object, left_out: Counter[str]) -> list[str]:
    """What the user should know about a file that was read.

    Args:
        file: what notes call the file.
        left_out: what was left out or changed → how often, such as ``blank lines left out``.

    Returns:
        A line for each.
    """
    return [shortened(f"{file}: {what}: {times:,}") for what, times in left_out.items()]


@dataclass(frozen=True, slots=True)
class Format:
    """One file format.

    Args:
        name: what users call it.
        content: what its files contain, for messages.
        source: where the format is defined: an address or a citation.
        suffixes: the file name extensions that identify it.
        usual_suffixes: further extensions of its files, which files of another format may have, too.
        recognise: whether the first lines of a file look like this format.
        specific: whether `recognise` is sure, so that it goes before the extension of the file's name.
        describe: from the first lines of a file in this format, how it is to be read where the user has not said it.
            Returns the description, and a note for the user if it was a guess.
        target: the column that a tagger learns by default; empty for the last one.
        sentences: reads lines of the named file as sentences; None if its files contain none.
        texts: reads lines of the named file as texts with fields; None if its files contain none.
        frames: reads lines of the named file, or the file itself, as sequences of vectors; None if it contains none.
        rows: reads lines of the named file as rows that may name sequences of vectors, each with its line; None if it
            has no rows.
        has_label: whether lines have a label for a whole text, in the field named; None if they cannot have one.
        evidence: what in the first lines shows the format where the file's extension does not, for the note on it;
            empty if there is nothing to say.
        write: sentences → content of a file; None if the format cannot be written.
        write_texts: texts with fields → content of a file; None if it cannot hold them.
        head: from the first lines of the named file, what the first row says about all rows (the width, the names of
            columns), and whether these lines are enough to know it; None if it says nothing.
        usual_head: the same from all lines of a file that may have faults; raises if all rows would be faulty.
        last_end: where the last record of some bytes ends, 0 if none certainly does; told whether the bytes start the
            file.
        row_per_token: whether each token has a row of its own.
        numbered: whether rows are numbered, so that after a faulty one the rest of its sentence is faulty too.
        line_per_record: whether every line is a record, a blank line too.
        has_tokens: whether the text comes as tokens with spaces between them.
        blank_lines: whether a language model of words predicts the end of a blank line, too.
        binary: whether files are no text: a reader takes `seqkit.formats.text.Lines.whole`.
        opens: whether a reader opens the named file itself, and is given no lines.
        whole: whether a file with these lines is one value, so that after a fault nothing more of it can be read.
        label_columns_vary: whether a record alone does not tell which label columns all have; see
            `seqkit.corpora.label_columns.settle_columns`.
        companions: extensions of files beside one in this format that belong to it and are not read on their own.
    """

    name: str
    content: str
    source: str = ""
    suffixes: tuple[str, ...] = ()
    usual_suffixes: tuple[str, ...] = ()
    recognise: Callable[[Sample], bool] = lambda sample: False
    specific: bool = False
    describe: Callable[[Sample, Description], tuple[Description, str]] = lambda sample, given: (given, "")
    target: str = ""
    sentences: Callable[[Iterable[Line], str, ReadOptions], Iterator[Sentence]] | None = None
    texts: Callable[[Iterable[Line], str, ReadOptions], Iterator[Sentence | TextRecord]] | None = None
    frames: Callable[[Iterable[Line], str, ReadOptions], Iterator[FrameRecord]] | None = None
    rows: Callable[[Iterable[Line], str, ReadOptions], Iterator[tuple[int, Any]]] | None = None
    has_label: Callable[[Iterable[Line], str], bool] | None = None
    evidence: Callable[[Sample], str] = lambda sample: ""
    write: Callable[[Sequence[Sentence]], str] | None = None
    write_texts: Callable[[Sequence[TextRecord]], str] | None = None
    head: Callable[[Lines, str], tuple[Sequence[Any] | None, bool]] | None = None
    usual_head: Callable[[Sequence[Line], str, ReadOptions], Sequence[Any] | None] = lambda lines, name, options: None
    last_end: Callable[[bytearray, bool], int] = last_line_end
    row_per_token: bool = False
    numbered: bool = False
    line_per_record: bool = False
    has_tokens: bool = False
    blank_lines: bool = False
    binary: bool = False
    opens: bool = False
    whole: Callable[[Sequence[Line]], bool] = lambda lines: False
    label_columns_vary: bool = False
    companions: tuple[str, ...] = ()
