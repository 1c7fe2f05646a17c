"""Reading files that have faults: the records that can be read, and what is wrong in which line."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Any, cast

from seqkit.corpora.dataset import Dataset
from seqkit.corpora.label_columns import accepted, settle_columns
from seqkit.corpora.split import add_layout, in_layout_of
from seqkit.errors import DataError, shortened
from seqkit.formats.arrays import attach_arrays
from seqkit.formats.format import Description, Format, ReadOptions, notes_on
from seqkit.formats.parallel_files import PARALLEL_FILES, parallel_file, refuse_unknown_texts, uneven
from seqkit.formats.registry import (
    FORMATS,
    describe,
    described_sentences,
    described_texts,
    sentence_reader,
    text_reader,
)
from seqkit.formats.text import Line, Lines, foreign, in_utf_8, is_blank, opened
from seqkit.records import LABEL_SEPARATOR, Sentence, labels_of_text

_READ_BYTES = 1 << 16
_MOST_PROBLEMS = 10_000
_MOST_CHARACTERS = 4_000_000
"""of all faults together: a message may be long"""
_MOST_READINGS = 20
"""how often a file is read at most: after a fault what follows it is read again"""


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One fault of a data set.

    Args:
        file: the file; for data without files the data set and the split; empty for the data set as a whole.
        line: the line, counted from 1 (in data without files the sentence); 0 for the whole file.
        message: what is wrong; the middle of a very long one is omitted.
    """

    file: str
    line: int
    message: str

    def __post_init__(self) -> None:
        """Shorten the message: a label in it may be as long as the file."""
        object.__setattr__(self, "message", shortened(self.message))

    def __str__(self) -> str:
        """``file:line: message``."""
        where = f"{self.file}:{self.line}: " if self.line else f"{self.file}: "
        return where + self.message if self.file else self.message


class Problems(list[Problem]):
    """The faults of a data set, the first ones of very many: each row of a large file may have one."""

    def __init__(self) -> None:
        super().__init__()
        self.total = self._characters = 0

    @property
    def is_full(self) -> bool:
        """Whether no more faults are listed."""
        return len(self) >= _MOST_PROBLEMS or self._characters >= _MOST_CHARACTERS

    def append(self, problem: Problem) -> None:
        """Add a fault; one of a line beyond measure is only counted.

        Args:
            problem: the fault.
        """
        self.total += 1
        if not problem.line or not self.is_full:
            self._characters += len(problem.file) + len(problem.message)
            super().append(problem)

    def fault(self, error: DataError) -> None:
        """Add a fault that was raised; see `append`.

        Args:
            error: the fault.
        """
        self.append(Problem(str(error.file or ""), error.line or 0, error.reason))

    def end(self, file: str, line: int, message: str) -> None:
        """Add that a file is not checked any further, which is always listed.

        Args:
            file: the file.
            line: the line.
            message: what to say.
        """
        self.total += 1
        super().append(Problem(file, line, message))

    def extend(self, problems: Iterable[Problem]) -> None:
        """Add faults; see `append`.

        Args:
            problems: the faults.
        """
        for problem in problems:
            self.append(problem)

    def listed(self, order: Callable[[Problem], Any]) -> list[Problem]:
        """The faults in order, and how many more there are.

        Args:
            order: the key of a fault.

        Returns:
            The faults.
        """
        more = self.total - len(self)
        rest = [Problem("", 0, f"and {more:,} more fault{'s' if more > 1 else ''}, not listed")] if more else []
        return [*sorted(self, key=order), *rest]


@dataclass(slots=True)
class Content:
    """What could be read of one split.

    Args:
        file: what problems call it.
        sentences: the sentences that could be read.
        row_per_token: the files in which each token has a line of its own.
        layout: how the first file is read.
        label_columns_vary: see `seqkit.formats.format.Format`.
        refused: whether a file is in a format of other records.
        torn: lines that a sentence starts at only because the line before could not be read.
        complete: whether every line could be read.
        notes: what the user should know of how this split and those before it were read.
    """

    file: str
    sentences: list[Sentence] = field(default_factory=list)
    row_per_token: set[str] = field(default_factory=set)
    layout: Description | None = None
    label_columns_vary: bool = False
    refused: bool = False
    torn: set[tuple[str, int]] = field(default_factory=set)
    complete: bool = True
    notes: list[str] = field(default_factory=list)

    def lines(self) -> Iterator[tuple[int, Sentence]]:
        """Each sentence that is not empty, with the line it starts at, or its number if it came from no file."""
        for number, sentence in enumerate(self.sentences, start=1):
            if sentence.tokens:
                yield sentence.line or number, sentence

    def file_of(self, sentence: Sentence) -> str:
        """What problems of a sentence call its file."""
        return sentence.file or self.file

    def line_of(self, line: int, sentence: Sentence, token: int) -> int:
        """The line of one token of a sentence."""
        if sentence.file not in self.row_per_token:
            return line
        others = sentence.conllu.other_rows if sentence.conllu is not None else []
        before = [bisect_right(others, place, key=itemgetter(0)) for place in (0, token)]
        return line + token + before[1] - before[0]


def first_format(dataset: Dataset) -> str | None:
    """The format of the first file, also of one that is not UTF-8 throughout.

    Args:
        dataset: the data set.

    Returns:
        The format; None if there is no file, or it can be read only once.
    """
    split = next(iter(dataset.splits.values()))
    if split.file is None or split.is_pipe:
        return None
    file = split.files()[0]
    lines = _read_lines(file, split.description.encoding, Problems())
    return describe(file, split.description, lines=lines)[0].format


def read_content(
    dataset: Dataset,
    name: str,
    options: ReadOptions,
    before: Content | None,
    problems: Problems,
    *,
    labelled: bool = True,
) -> Content:
    """Read what can be read of one split.

    Args:
        dataset: the data set.
        name: the split.
        options: what splits raw text; in a data set of labelled texts the fields of text and label.
        before: what was read of the split before this one, which has the layout of the first file; None if it is the
            first.
        problems: receives the faults of its lines.
        labelled: whether the field of the label holds labels, and no text.

    Returns:
        Its records.
    """
    split, label = dataset.splits[name], options.label
    options = replace(options, left_out=Counter())
    content = Content(str(split.file or f"{dataset.name} {name}"))
    if before is not None:
        content.layout, content.notes = before.layout, before.notes
    if split.file is not None:
        for file in split.files():
            _read_file(file, split.description, options, content, problems, labelled)
    elif label is not None:
        content.sentences = dataset.texts(name, options.split, text=options.text, label=label)
    else:
        content.sentences = dataset.sentences(name, options.split)
    if not any(sentence.tokens for sentence in content.sentences) and not content.refused:
        problems.append(Problem(content.file, 0, "no sentences found"))
    content.sentences, said = accepted(content.sentences, content.file)
    content.notes += [*said, *(notes_on(content.file, options.left_out) if content.complete else ())]
    if content.label_columns_vary and label is None:
        settle_columns(content.sentences)
    return content


def _read_file(
    file: Path, given: Description, options: ReadOptions, content: Content, problems: Problems, labelled: bool
) -> None:
    before, count = problems.total, len(content.sentences)
    undecoded = Problems()
    lines = _read_lines(file, given.encoding, undecoded)
    description, notes = describe(file, given, texts=options.label is not None, lines=lines)
    description = in_layout_of(content.layout, description)
    add_layout(content.notes, [(file, description, notes)])
    content.layout = content.layout or description
    form = FORMATS[description.format]
    if form.row_per_token:
        content.row_per_token.add(str(file))
    content.label_columns_vary |= form.label_columns_vary
    if not (form.binary or form.whole(lines)):
        problems.extend(undecoded)
        problems.total += undecoded.total - len(undecoded)
    options = options.of(description)
    if form.binary or form.whole(lines):
        try:
            whole = (described_sentences if options.label is None else described_texts)(file, description, options)
            content.sentences += cast("Iterator[Sentence]", whole)
        except DataError as error:
            content.complete = False
            problems.append(_problem(error, str(error.file or file), error.line or 0))
        return
    if form.name == PARALLEL_FILES.name:
        _read_beside(file, lines, options, content, problems)
    else:
        _read_around_faults(lines, form, str(file), options, content, problems, labelled)
    content.complete &= problems.total == before
    if problems.total == before and not form.row_per_token:
        read = content.sentences[count:]
        try:  # a record's arrays may be all that distinguishes it from another; a blank line is not a record
            attach_arrays([one for one in read if not (form.line_per_record and is_blank(one.text))], file)
        except DataError as error:
            problems.append(Problem(str(file), 0, str(error)))


def _read_beside(file: Path, lines: list[Line], options: ReadOptions, content: Content, problems: Problems) -> None:
    """Read parallel files as far as all have lines, each with its own faults."""
    words = tuple(options.columns or ())
    refuse_unknown_texts(options, str(file))
    columns: dict[str, list[Line]] = {}
    for word in words:
        path = parallel_file(file, words, word)
        try:
            columns[word] = lines if path == file else _read_lines(path, options.encoding, problems)
        except DataError as error:
            problems.append(_problem(error, str(path), error.line or 0))
            content.refused, content.complete = True, False
            return
    shortest = min(map(len, columns.values()))
    if lacking := [word for word, each in columns.items() if len(each) == shortest < max(map(len, columns.values()))]:
        names = [parallel_file(file, words, word).name for word in lacking]
        problems.append(Problem(str(file), shortest + 1, uneven(names)))
    for number, row in enumerate(zip(*columns.values(), strict=False), start=1):
        texts = {word: line[1] for word, line in zip(columns, row, strict=True)}
        content.sentences.append(cast("Sentence", options.record(texts[options.text], texts, str(file), number)))


def _read_lines(path: Path, encoding: str, problems: Problems) -> list[Line]:
    """Every line of a file, with U+FFFD for what is not UTF-8."""
    lines: list[Line] = []
    with opened(path) as stream:
        text = in_utf_8(stream, str(path), encoding)
        for raw in text if text is stream else iter(partial(text.read, _READ_BYTES), b""):
            first = len(lines) + 1
            try:
                decoded = list(Lines([raw], str(path), first))
            except DataError as error:
                if first == 1 and foreign(raw):  # of which every line would be faulty
                    raise
                problems.append(_problem(error, str(path), error.line or first))
                decoded = list(Lines([raw.decode("utf-8", "replace").encode()], str(path), first))
            lines += decoded
    return lines


def _problem(error: DataError, file: str, line: int) -> Problem:
    where = f"{error.file}:{error.line}: " if error.line else f"{error.file}: "
    return Problem(file, line, str(error).removeprefix(where))


def _read_around_faults(
    lines: list[Line],
    form: Format,
    file: str,
    options: ReadOptions,
    content: Content,
    problems: Problems,
    labelled: bool,
) -> None:
    """Read with the ordinary readers, and start again after each line that they refuse."""
    label = options.label
    try:
        reader = sentence_reader(form.name, file) if label is None else text_reader(form.name, file, label)
        options = replace(options, head=form.usual_head(lines, file, options))
    except DataError as error:
        if label is None and error.line is None:
            raise
        problems.append(_problem(error, file, error.line or 0))  # without the head every row would be faulty
        content.refused = True
        return
    start = looked_at = 0

    def following() -> Iterator[Line]:
        nonlocal looked_at
        for place in range(start, len(lines)):
            looked_at += 1
            yield lines[place]

    while start < len(lines):
        # A table's own first row, unlike that of columns, is not like the others.
        known = options if start or form.row_per_token else replace(options, head=None)
        try:
            for sentence in reader(following(), file, known):
                if label is not None and labelled:
                    value = sentence.fields.get(label)
                    labels_of_text(sentence, label, isinstance(value, list) or LABEL_SEPARATOR in str(value))
                content.sentences.append(sentence)
            return
        except DataError as error:
            if error.line is None:
                raise
            problems.append(_problem(error, file, error.line))
            start = error.line  # lines count from 1, so this is the place of the one after it
            while form.numbered and start < len(lines) and not is_blank(lines[start][1]):
                start += 1
            if form.row_per_token:
                content.torn.add((file, start + 1))
            # After a quote that is not closed all lines are one row, which would be read again and again.
            many = "quotes are not closed" if looked_at > _MOST_READINGS * len(lines) else ""
            if many or problems.is_full:
                problems.end(
                    file, error.line, f"too many {many or 'faults'}; the lines from {start + 1} on were not checked"
                )
                return
