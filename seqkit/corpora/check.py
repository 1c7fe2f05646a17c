"""What is wrong with a data set, every fault of it."""

from __future__ import annotations

import tempfile
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from operator import itemgetter
from pathlib import Path

import numpy as np

from seqkit.corpora.dataset import Dataset, Split
from seqkit.corpora.fetch import is_intact
from seqkit.errors import DataError, shortened
from seqkit.formats.arrays import attach_arrays
from seqkit.formats.columns import read_conll, read_conllu, split_row
from seqkit.formats.jsonl import read_jsonl, read_jsonl_texts
from seqkit.formats.registry import detect_format, read_sentences, table_texts
from seqkit.formats.schemes import detect_scheme, invalid_moves
from seqkit.formats.splitting import Splitter
from seqkit.formats.tables import read_rows, table_columns
from seqkit.formats.text import Lines, is_blank
from seqkit.records import Sentence, labels_of_text

__all__ = ["Problem", "check", "label_column"]

Line = tuple[int, str]

_STRAY_LABELS = (
    0.05  # up to this share of labels outside a scheme are faults; with more, the column means another thing
)

_MOST_READINGS = 20
"""so often a file is read, on average: after a fault what follows it is read again"""


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One fault of a data set.

    Args:
        file: the file; for data without files the data set and the split.
        line: the line, counted from 1 (in data without files the sentence); 0 for the whole file.
        message: what was expected and what was found; of a very long one the middle is left out.
    """

    file: str
    line: int
    message: str

    def __post_init__(self) -> None:
        """Shorten the message: a label that it names may be as long as the file."""
        object.__setattr__(self, "message", shortened(self.message))

    def __str__(self) -> str:
        """``file:line: message``."""
        return f"{self.file}:{self.line}: {self.message}" if self.line else f"{self.file}: {self.message}"


@dataclass(slots=True)
class _Content:
    """What could be read of one split.

    Args:
        file: what problems call it.
        sentences: the sentences that could be read.
        row_a_token: whether each token has a line of its own.
        torn: lines that a sentence begins at only because the line before it could not be read.
        whole: whether every line could be read.
    """

    file: str
    sentences: list[Sentence] = field(default_factory=list)
    row_a_token: bool = False
    torn: set[int] = field(default_factory=set)
    whole: bool = True

    def lines(self) -> Iterator[tuple[int, Sentence]]:
        """Each sentence that is not empty, with the line it begins at, or its number where it came from no file."""
        for number, sentence in enumerate(self.sentences, start=1):
            if sentence.tokens:
                yield sentence.line or number, sentence

    def line_of(self, line: int, sentence: Sentence, token: int) -> int:
        """The line that one token of a sentence stands at."""
        if not self.row_a_token:
            return line
        before = [bisect_right(sentence.other_rows, place, key=itemgetter(0)) for place in (0, token)]
        return line + token + before[1] - before[0]


def check(dataset: Dataset, target: str | None = None) -> list[Problem]:
    """Find every fault of a data set.

    Looked for: lines that are not UTF-8, rows of the wrong width or without a token, files without a sentence, label
    sequences that their scheme does not allow, labels of dev or test that train never shows, sentences that stand in
    two splits, and files that are not those of the data set's card.

    Args:
        dataset: the data set.
        target: the label column; by default the card's, else ``upos`` in CoNLL-U and the last one elsewhere. Of
            labelled texts the field of the label, by default the card's or ``label``.

    Returns:
        The faults, split by split and line by line.

    Raises:
        DataError: a file cannot be opened, is in a format without sentences, or there is no such column.
    """
    problems: list[Problem] = []
    contents: dict[str, _Content] = {}
    first = next(iter(dataset.splits.values()))
    known = _detect_format(first.file, _read_lines(first.file, [])) if first.file is not None else None
    label = dataset.label_field(target, first.format or known)
    for name, split in dataset.splits.items():
        contents[name] = _read(dataset, name, split, label, problems)
        problems.extend(_checksum_problems(dataset, split))
    problems.extend(_label_problems(dataset, contents, target))
    # Where something is written from a condition, the same words for another condition are another item.
    conditional = dataset.card is not None and dataset.card.task == "generate"
    problems.extend(_shared_sentences(contents, conditional))
    order = {content.file: place for place, content in enumerate(contents.values())}
    return sorted(problems, key=lambda problem: (order[problem.file], problem.line, problem.message))


def label_column(dataset: Dataset, sentence: Sentence, target: str | None = None) -> list[str] | None:
    """The labels of one sentence in the column that a data set is about.

    Args:
        dataset: the data set.
        sentence: one of its sentences.
        target: the column; by default the card's, else ``upos`` in CoNLL-U and the last one elsewhere. Of
            labelled texts the field of the label, by default the card's or ``label``.

    Returns:
        One label a token, or the labels of the whole text; None where there are no labels and no column was asked for.

    Raises:
        DataError: the sentence has no such column.
    """
    label = dataset.label_field(target)
    if label is not None:
        return _labels_of(sentence, label)
    wanted = target or dataset.target
    if not wanted and not sentence.columns:
        return None
    return sentence.column(wanted)


def _checksum_problems(dataset: Dataset, split: Split) -> Iterator[Problem]:
    for file in dataset.card.files if dataset.card is not None else ():
        if split.file is not None and split.file.name == file.name and not is_intact(split.file, file):
            yield Problem(str(split.file), 0, f"expected the card's SHA-256 {file.sha256}, found another file")


def _read(dataset: Dataset, name: str, split: Split, label: str | None, problems: list[Problem]) -> _Content:
    """Read one split; `label` is the field of the label in a data set of labelled texts."""
    if split.file is None:
        whole = (split.content or []) if label is None else dataset.texts(name, Splitter("words").split, label=label)
        content = _Content(f"{dataset.name} {name}", whole)
    else:
        before = len(problems)
        lines = _read_lines(split.file, problems)
        format = split.format or _detect_format(split.file, lines)
        content = _Content(str(split.file), row_a_token=format in ("conll", "conllu"))
        columns = dataset.card.columns if dataset.card is not None and dataset.card.columns else None
        if format in ("text", "tokens") and label is None:
            content.sentences = list(_read_text(lines, content.file, format))
        else:
            _read_around_faults(lines, format, columns, label, content, problems)
        content.whole = len(problems) == before
        if content.whole and "conll" not in format:
            _attach_arrays(content, split.file, format, problems)
    if not any(sentence.tokens for sentence in content.sentences):
        problems.append(Problem(content.file, 0, "expected at least one sentence, found none"))
    return content


def _attach_arrays(content: _Content, file: Path, format: str, problems: list[Problem]) -> None:
    """Give records what lies beside their file, which may be all that tells two of them apart."""
    lines = format in ("text", "tokens")  # of which a blank one is no record
    try:
        attach_arrays([one for one in content.sentences if not (lines and is_blank(one.text))], file)
    except DataError as error:
        problems.append(Problem(content.file, 0, str(error)))


def _read_text(lines: Sequence[Line], name: str, format: str) -> Iterator[Sentence]:
    """Lines of text or tokens, which have no faults beyond their encoding."""
    split = Splitter("words" if format == "text" else "spaces").split
    for number, text in lines:
        offsets = split(text)
        yield Sentence([text[start:end] for start, end in offsets], text, offsets, file=name, line=number)


def _read_lines(path: Path, problems: list[Problem]) -> list[Line]:
    """Every line of a file, with U+FFFD where it is not UTF-8."""
    lines: list[Line] = []
    try:
        with open(path, "rb") as stream:
            for raw in stream:
                first = len(lines) + 1
                try:
                    decoded = list(Lines([raw], str(path), first))
                except DataError as error:
                    problems.append(_problem(error, str(path), error.line or first))
                    decoded = list(Lines([raw.decode("utf-8", "replace").encode()], str(path), first))
                lines += decoded
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror or error}", file=path) from None
    return lines


def _detect_format(path: Path, lines: Sequence[Line]) -> str:
    """A file's format, also where its first lines are not UTF-8."""
    try:
        return detect_format(path)
    except DataError:
        # What cannot be decoded is told to the user; a mended copy tells the format.
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / path.name
            copy.write_text("".join(f"{text}\n" for _, text in lines), encoding="utf-8")
            return detect_format(copy)


def _problem(error: DataError, file: str, line: int) -> Problem:
    return Problem(file, line, str(error).removeprefix(f"{error.file}:{error.line}: "))


def _read_around_faults(
    lines: list[Line],
    format: str,
    columns: Sequence[str] | None,
    label: str | None,
    content: _Content,
    problems: list[Problem],
) -> None:
    """Read with the ordinary readers, and start again behind each line that they refuse."""
    made_up_names = "\0"  # occurs in no message
    if format == "conll" and columns is None:
        columns = [str(index) for index in range(_usual_width(lines))]
        made_up_names = f" ({', '.join(columns)})"
        if len(columns) == 1:
            message = "expected at least 2 columns (token and label), found 1"
            problems.append(Problem(content.file, lines[0][0], message))
            return
    if label is None:
        read = _reader(format, content.file, columns)
    else:
        try:
            read = _text_reader(lines, format, content.file, label)
        except DataError as error:  # without names for the columns every row would be faulty
            problems.append(_problem(error, content.file, error.line or 1))
            return
    start = looked_at = 0

    def following() -> Iterator[Line]:
        nonlocal looked_at
        for place in range(start, len(lines)):
            looked_at += 1
            yield lines[place]

    while start < len(lines):
        try:
            for sentence in read(following()):
                content.sentences.append(sentence)
            return
        except DataError as error:
            if error.line is None:
                raise
            problem = _problem(error, content.file, error.line)
            problems.append(Problem(content.file, problem.line, problem.message.replace(made_up_names, "")))
            start = error.line  # lines count from 1, so this is the place of the one after it
            while format == "conllu" and start < len(lines) and not is_blank(lines[start][1]):
                start += 1  # with a number missing the rest of the sentence would be faulty too
            if content.row_a_token:
                content.torn.add(start + 1)
            if looked_at > _MOST_READINGS * len(lines):  # open quotes, behind each of which all lines are one row
                message = f"expected quotes that end, found too many open ones to look at the lines from {start + 1} on"
                problems.append(Problem(content.file, problem.line, message))
                return


def _usual_width(lines: Sequence[Line]) -> int:
    """How many columns most rows have."""
    rows = (line for _, line in lines if not is_blank(line) and not line.startswith(("#", "-DOCSTART-")))
    counts = Counter(len(split_row(row)) for row in rows)
    return counts.most_common(1)[0][0] if counts else 2


def _reader(format: str, name: str, columns: Sequence[str] | None) -> Callable[[Iterator[Line]], Iterator[Sentence]]:
    if format == "conll":
        return lambda lines: read_conll(lines, name, columns=columns)
    if format == "conllu":
        return lambda lines: read_conllu(lines, name)
    if format == "jsonl":
        return lambda lines: read_jsonl(lines, name, Splitter("words").split)
    return lambda lines: read_sentences(name, format)  # which says why it holds no sentences


def _text_reader(
    lines: Sequence[Line], format: str, name: str, label: str
) -> Callable[[Iterator[Line]], Iterator[Sentence]]:
    """A reader of labelled texts that may begin at any row, and that refuses labels which are no label."""
    splitter = Splitter("words").split
    columns: list[str] = []
    head = 0  # the line of the names
    if format != "jsonl":
        for line, cells in islice(read_rows(iter(lines), name, format), 1):
            columns, named = table_columns(cells, name, line, label=label)
            head = line if named else 0

    def read(rows: Iterator[Line]) -> Iterator[Sentence]:
        rows = (row for row in rows if row[0] != head)
        if format == "jsonl":
            texts = read_jsonl_texts(rows, name, splitter, label=label)
        else:
            texts = table_texts(rows, name, format, splitter, label=label, columns=columns)
        for sentence in texts:
            _labels_of(sentence, label)
            yield sentence

    return read


def _labels_of(sentence: Sentence, field: str) -> list[str]:
    return labels_of_text(sentence, field, isinstance(sentence.fields.get(field), list))


def _label_problems(dataset: Dataset, contents: dict[str, _Content], target: str | None) -> Iterator[Problem]:
    labels = {
        split: [(line, sentence, label_column(dataset, sentence, target)) for line, sentence in content.lines()]
        for split, content in contents.items()
    }
    given = dataset.scheme if target in (None, dataset.target) else "auto"
    if dataset.label_field(target) is not None:
        given = "none"
    known = "train" if labels.get("train") else next(iter(labels), "")
    scheme = _scheme([column for _, _, column in labels.get(known, []) if column]) if given == "auto" else given
    # A label may stand in lines of train that could not be read: then those are to be mended first.
    sure = "train" in contents and contents["train"].whole
    trained = {label for _, _, column in labels["train"] for label in column or ()} if sure else set()
    for split, rows in labels.items():
        content = contents[split]
        new: Counter[str] = Counter()
        where: dict[str, int] = {}
        for line, sentence, column in rows:
            for token, reason in invalid_moves(column or (), scheme) if line not in content.torn else ():
                yield Problem(content.file, content.line_of(line, sentence, token), reason)
            for token, label in enumerate(column or ()) if trained and split != "train" else ():
                if label not in trained:
                    new[label] += 1
                    where.setdefault(label, content.line_of(line, sentence, token))
        for label, count in new.items():
            message = f"expected labels that train has, found {label!r} ({count} in {split}, none in train)"
            yield Problem(content.file, where[label], message)


def _scheme(sequences: Sequence[Sequence[str]]) -> str:
    """The label scheme, also where a few labels are outside every scheme."""
    scheme = detect_scheme(sequences)
    if scheme != "none":
        return scheme
    counts = Counter(label for sequence in sequences for label in sequence)
    stray = {label for label in counts if label != "O" and detect_scheme([[label], ["B-X"]]) == "none"}
    spans = sum(count for label, count in counts.items() if label != "O")
    if sum(counts[label] for label in stray) > _STRAY_LABELS * spans:
        return "none"
    return detect_scheme([["O" if label in stray else label for label in sequence] for sequence in sequences])


def _shared_sentences(contents: dict[str, _Content], conditional: bool) -> Iterator[Problem]:
    first: dict[tuple[str, ...], tuple[str, str]] = {}
    for split, content in contents.items():
        for line, sentence in content.lines():
            where = (split, f"{content.file}:{line}")
            earlier = first.setdefault((*sentence.tokens, _condition(sentence, conditional)), where)
            if earlier[0] != split:
                yield Problem(content.file, line, f"the sentence also stands in {earlier[0]}, at {earlier[1]}")


def _condition(sentence: Sentence, conditional: bool) -> str:
    """What tells apart two records of the same words: a vector, and where texts are written from fields all of them."""
    fields = {
        name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in sentence.fields.items()
    }
    vectors = {
        name: value
        for name, value in fields.items()
        if isinstance(value, list) and value and isinstance(value[0], (int, float, list))
    }
    return repr(sorted((fields if conditional else vectors).items()))
