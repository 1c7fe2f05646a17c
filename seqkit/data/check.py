"""What is wrong with a data set, every fault of it, and what there is in it: ``seqkit data check`` and ``data stats``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from seqkit.data.columns import read_conll, read_conllu, split_row
from seqkit.data.dataset import Dataset, Split
from seqkit.data.fetch import is_intact
from seqkit.data.formats import Splitter, detect_format, read_sentences
from seqkit.data.jsonl import read_jsonl
from seqkit.data.labels import detect_scheme, invalid_moves
from seqkit.data.labels import spans as read_spans
from seqkit.data.sentence import Sentence
from seqkit.data.text import decode_lines, is_blank
from seqkit.errors import DataError

__all__ = ["Problem", "SplitStatistics", "check", "statistics"]

Line = tuple[int, str]

_STRAY_LABELS = 0.05  # up to this share of labels outside a scheme are faults; with more the column has another meaning


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One fault of a data set.

    Args:
        file: the file, or the split's name where there is none.
        line: the line, counted from 1 (in data without files the sentence); 0 for the whole file.
        message: what was expected and what was found.
    """

    file: str
    line: int
    message: str

    def __str__(self) -> str:
        """``file:line: message``."""
        return f"{self.file}:{self.line}: {self.message}" if self.line else f"{self.file}: {self.message}"


def check(dataset: Dataset, target: str | None = None) -> list[Problem]:
    """Find every fault of a data set.

    Looked for: lines that are not UTF-8, rows of the wrong width or without a token, files without a sentence, label
    sequences that their scheme does not allow, labels of dev or test that train never shows, sentences that stand in
    two splits, and files that are not those of the data set's card.

    Args:
        dataset: the data set.
        target: the label column; by default the card's, or the last one.

    Returns:
        The faults, split by split and line by line.

    Raises:
        DataError: a file cannot be opened, is in a format without sentences, or there is no such column.
    """
    problems: list[Problem] = []
    contents: dict[str, list[Sentence]] = {}
    cut: set[tuple[str, int]] = set()
    for name, split in dataset.splits.items():
        contents[name] = _read_all(dataset, name, split, problems, cut)
        problems.extend(_checksum_problems(dataset, split))
    problems.extend(_label_problems(dataset, contents, dataset.target if target is None else target, cut))
    problems.extend(_shared_sentences(contents))
    order = {_name(dataset, name): place for place, name in enumerate(dataset.splits)}
    return sorted(problems, key=lambda problem: (order.get(problem.file, -1), problem.line, problem.message))


def _name(dataset: Dataset, split: str) -> str:
    file = dataset.splits[split].file
    return f"{dataset.name} {split}" if file is None else str(file)


def _checksum_problems(dataset: Dataset, split: Split) -> Iterator[Problem]:
    for file in dataset.card.files if dataset.card is not None else ():
        if split.file is not None and split.file.name == file.name and not is_intact(split.file, file):
            yield Problem(str(split.file), 0, f"expected SHA-256 {file.sha256} as on the card, found another file")


def _read_all(
    dataset: Dataset, name: str, split: Split, problems: list[Problem], cut: set[tuple[str, int]]
) -> list[Sentence]:
    """All sentences that can be read; what cannot be read becomes problems, and `cut` names sentences it fell into."""
    if split.content is not None or split.file is None:
        found = split.content or []
    else:
        format = split.format or detect_format_anyhow(split.file)
        columns = dataset.card.columns if dataset.card is not None and dataset.card.columns else None
        lines = _read_lines(split.file, problems)
        found = _read_around_faults(lines, str(split.file), format, columns, problems, cut)
    if not any(sentence.tokens for sentence in found):
        problems.append(Problem(_name(dataset, name), 0, "expected at least one sentence, found none"))
    return found


def detect_format_anyhow(path: Path) -> str:
    """A file's format, also where its first lines are not UTF-8.

    Args:
        path: the file.

    Returns:
        One of `seqkit.data.formats.FORMATS`.

    Raises:
        DataError: the file cannot be read.
    """
    try:
        return detect_format(path)
    except DataError as error:
        if error.line is None:
            raise
        return "conll"


def _read_lines(path: Path, problems: list[Problem]) -> list[Line]:
    """Every line of a file, with U+FFFD where it is not UTF-8."""
    lines: list[Line] = []
    try:
        with open(path, "rb") as stream:
            for raw in stream:
                try:
                    decoded = list(decode_lines([raw], str(path)))
                except DataError as error:
                    problems.append(_problem(error, str(path), len(lines) + (error.line or 1)))
                    decoded = list(decode_lines([raw.decode("utf-8", "replace").encode()], str(path)))
                lines.extend((len(lines) + place, text) for place, (_, text) in enumerate(decoded, start=1))
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror or error}", file=path) from None
    return lines


def _problem(error: DataError, file: str, line: int) -> Problem:
    return Problem(file, line, str(error).removeprefix(f"{error.file}:{error.line}: "))


def _read_around_faults(
    lines: list[Line],
    name: str,
    format: str,
    columns: Sequence[str] | None,
    problems: list[Problem],
    cut: set[tuple[str, int]],
) -> list[Sentence]:
    """Read with the ordinary readers, and start again behind each line that they refuse."""
    if format == "conll" and columns is None:
        columns = [str(index) for index in range(_usual_width(lines))]
        unnamed = f" ({', '.join(columns)})"
    else:
        unnamed = "\0"
    read = _reader(format, name, columns)
    sentences: list[Sentence] = []
    start = 0
    while start < len(lines):
        try:
            for sentence in read(lines[place] for place in range(start, len(lines))):
                sentences.append(sentence)
            break
        except DataError as error:
            if error.line is None:
                raise
            problem = _problem(error, name, error.line)
            problems.append(Problem(name, problem.line, problem.message.replace(unnamed, "")))
            start = error.line  # line numbers count from 1, so this is the place of the next line
            if format == "conllu":  # token numbers make the rest of the sentence unreadable
                while start < len(lines) and not is_blank(lines[start][1]):
                    start += 1
            cut.add((name, start + 1))
    return sentences


def _reader(format: str, name: str, columns: Sequence[str] | None) -> Callable[[Iterator[Line]], Iterator[Sentence]]:
    if format == "conll":
        return lambda lines: read_conll(lines, name, columns=columns)
    if format == "conllu":
        return lambda lines: read_conllu(lines, name)
    if format == "jsonl":
        return lambda lines: read_jsonl(lines, name, _default_splitter())
    split: Splitter | None = _default_splitter() if format == "text" else None
    list(chain(read_sentences("-", format, splitter=split)) if format in ("tsv", "csv") else ())
    return lambda lines: iter([])


def _default_splitter() -> Splitter:
    from seqkit.data.splitting import Splitter as Words

    return Words("words").split
