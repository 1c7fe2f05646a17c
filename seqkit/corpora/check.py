"""Finding every fault of a data set."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import cast

import numpy as np

from seqkit.corpora.dataset import Dataset, Split
from seqkit.corpora.fetch import is_intact
from seqkit.corpora.label_columns import accepted, read_notation, settle_columns
from seqkit.corpora.label_faults import near_duplicates, nothing_to_learn, sorted_by_label
from seqkit.corpora.text_labels import refuse_no_labels
from seqkit.errors import DataError, shortened
from seqkit.formats.arrays import attach_arrays
from seqkit.formats.format import Description, Format, ReadOptions
from seqkit.formats.registry import (
    FORMATS,
    describe,
    described_sentences,
    described_texts,
    sentence_reader,
    text_reader,
)
from seqkit.formats.schemes import detect_scheme, invalid_moves
from seqkit.formats.splitting import Splitter
from seqkit.formats.text import Line, Lines, foreign, in_utf_8, is_blank, opened
from seqkit.records import LABEL_SEPARATOR, Sentence, labels_of_text
from seqkit.tasks import TASKS

_STRAY_LABELS = 0.05  # up to this share of labels outside a scheme are faults; with more, the column is something else
_READ_BYTES = 1 << 16
_ADD = "; correct it or add it to train"
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
        where = f"{self.file}:{self.line}: " if self.line else f"{self.file}: " if self.file else ""
        return where + self.message


_Row = tuple[int, Sentence, "list[str] | None"]
"""the line of a sentence, the sentence and its labels"""


@dataclass(slots=True)
class _Content:
    """What could be read of one split.

    Args:
        file: what problems call it.
        sentences: the sentences that could be read.
        row_per_token: whether each token has a line of its own.
        label_columns_vary: see `seqkit.formats.format.Format`.
        refused: whether a file is in a format of other records.
        torn: lines that a sentence starts at only because the line before could not be read.
        complete: whether every line could be read.
        labels_vary: see `Format.label_columns_vary`.
    """

    file: str
    sentences: list[Sentence] = field(default_factory=list)
    row_per_token: bool = False
    label_columns_vary: bool = False
    refused: bool = False
    torn: set[tuple[str, int]] = field(default_factory=set)
    complete: bool = True
    labels_vary: bool = False

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
        if not self.row_per_token:
            return line
        others = sentence.conllu.other_rows if sentence.conllu is not None else []
        before = [bisect_right(others, place, key=itemgetter(0)) for place in (0, token)]
        return line + token + before[1] - before[0]


def check(dataset: Dataset, target: str | None = None, task: str | None = None, text: str = "text") -> list[Problem]:
    """Find every fault of a data set.

    Faults are lines that are not UTF-8, rows of the wrong width or without a token, files without a sentence, label
    sequences that their scheme does not allow, labels that differ only in case, width or what nobody sees, labels of
    dev or test that do not occur in train, sentences that occur in two splits, texts sorted by label of which the last
    tenth is held out, labels of texts that cannot be labels, and files that are not those of the data set's card.

    Args:
        dataset: the data set.
        target: the label column; by default the card's, else ``upos`` in CoNLL-U and the last one elsewhere. For
            labelled texts the field of the label, by default the card's or ``label``; several labels of a text are a
            list in JSON, or have ``|`` between them.
        task: the task that is to learn from it; by default what the data are labelled for.
        text: for labelled texts the field of the text.

    Returns:
        The faults, split by split and line by line.

    Raises:
        DataError: a file cannot be opened, is in a format without sentences, or there is no such column.
    """
    problems: list[Problem] = []
    contents: dict[str, _Content] = {}
    label = dataset.label_field(target, _first_format(dataset))
    if task is not None:
        label = (target or dataset.target or "label") if TASKS[task].records == "texts" else None
    for name, split in dataset.splits.items():
        contents[name] = _read(dataset, name, split, label, text, problems)
        problems.extend(_checksum_problems(dataset, split))
    refused = list(_no_labels(contents, label))  # of which every one in dev would be new
    problems.extend(refused)
    if not refused and (task is None or TASKS[task].records in ("sentences", "texts")):
        problems.extend(_label_problems(dataset, contents, target, label))
    # If something is generated from a condition, the same words for another condition are another item.
    conditional = dataset.card is not None and TASKS[dataset.card.task].records == "fields"
    problems.extend(_shared_sentences(contents, conditional))
    names = [name for split, content in contents.items() for name in (*_files(dataset.splits[split]), content.file)]
    order = {name: place for place, name in enumerate(names)}
    return sorted(problems, key=lambda problem: (order.get(problem.file, len(order)), problem.line, problem.message))


def _files(split: Split) -> list[str]:
    return [str(path) for path in split.files()] if split.file is not None else []


def _first_format(dataset: Dataset) -> str | None:
    """The format of the first file, also of one that is not UTF-8 throughout."""
    split = next(iter(dataset.splits.values()))
    if split.file is None:
        return None
    file = split.files()[0]
    lines = _read_lines(file, split.description.encoding, [])
    return describe(file, split.description, lines=lines)[0].format


def label_column(
    dataset: Dataset, sentence: Sentence, target: str | None, label: str | None, several: bool
) -> list[str] | None:
    """The labels of one sentence in the column that a data set is about.

    Args:
        dataset: the data set.
        sentence: one of its sentences.
        target: the column; by default the card's, else ``upos`` in CoNLL-U and the last one elsewhere.
        label: for labelled texts the field of the label, see `Dataset.label_field`.
        several: see `has_several`.

    Returns:
        One label per token, or the labels of the whole text; None if there are no labels and no column was named.

    Raises:
        DataError: the sentence has no such column.
    """
    if label is not None:
        return labels_of_text(sentence, label, several or isinstance(sentence.fields.get(label), list))
    wanted = target or dataset.target
    return sentence.column(wanted) if wanted or sentence.columns else None


def _checksum_problems(dataset: Dataset, split: Split) -> Iterator[Problem]:
    for file in dataset.card.files if dataset.card is not None else ():
        if split.file is not None and split.file.name == file.name and not is_intact(split.file, file):
            yield Problem(str(split.file), 0, f"not the file of the card, whose SHA-256 is {file.sha256}")


def _read(dataset: Dataset, name: str, split: Split, label: str | None, text: str, problems: list[Problem]) -> _Content:
    """Read one split; `label` is the field of the label in a data set of labelled texts, `text` that of the text."""
    content = _Content(str(split.file or f"{dataset.name} {name}"))
    if split.file is None:
        split_words = Splitter("words").split
        if label is not None:
            content.sentences = dataset.texts(name, split_words, text=text, label=label)
        else:
            content.sentences = dataset.sentences(name, split_words)
    else:
        for file in split.files():
            _read_file(
                file, split.description, ReadOptions(Splitter("words").split, text=text, label=label), content, problems
            )
    if not any(sentence.tokens for sentence in content.sentences) and not content.refused:
        problems.append(Problem(content.file, 0, "no sentences found"))
    content.sentences, _ = accepted(content.sentences, content.file)
    if content.label_columns_vary and label is None:
        settle_columns(content.sentences)
    return content


def _read_file(
    file: Path, given: Description, options: ReadOptions, content: _Content, problems: list[Problem]
) -> None:
    before, count = len(problems), len(content.sentences)
    undecoded: list[Problem] = []
    lines = _read_lines(file, given.encoding, undecoded)
    description = describe(file, given, texts=options.label is not None, lines=lines)[0]
    form = FORMATS[description.format]
    content.row_per_token = form.row_per_token
    content.label_columns_vary |= form.label_columns_vary
    problems += undecoded if not (form.binary or form.whole(lines)) else []
    options = options.of(description)
    if form.binary or form.whole(lines):
        try:
            whole = (described_sentences if options.label is None else described_texts)(file, description, options)
            content.sentences += cast("Iterator[Sentence]", whole)
        except DataError as error:
            content.complete = False
            problems.append(_problem(error, str(error.file or file), error.line or 0))
        return
    _read_around_faults(lines, form, str(file), options, content, problems)
    content.complete &= len(problems) == before
    if len(problems) == before and not form.row_per_token:
        read = content.sentences[count:]
        try:  # a record's arrays may be all that distinguishes it from another; a blank line is not a record
            attach_arrays([one for one in read if not (form.line_per_record and is_blank(one.text))], file)
        except DataError as error:
            problems.append(Problem(str(file), 0, str(error)))


def _read_lines(path: Path, encoding: str, problems: list[Problem]) -> list[Line]:
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
    lines: list[Line], form: Format, file: str, options: ReadOptions, content: _Content, problems: list[Problem]
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
                if label is not None:
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
            if looked_at > _MOST_READINGS * len(lines):  # after a quote that is not closed all lines are one row
                message = f"too many quotes are not closed; the lines from {start + 1} on were not checked"
                problems.append(Problem(file, error.line, message))
                return


def has_several(sentences: Iterable[Sentence], field: str | None) -> bool:
    """Whether strings hold several labels of a text, with ``|`` between them: one of these also stands alone.

    Args:
        sentences: the texts of the first split, which is train where there is one.
        field: the field of the label; None for sentences whose tokens have labels.

    Returns:
        Whether they do.
    """
    names = {str(sentence.fields.get(field)) for sentence in sentences} if field is not None else set()
    return any(LABEL_SEPARATOR in name and names & {*map(str.strip, name.split(LABEL_SEPARATOR))} for name in names)


def label_scheme(dataset: Dataset, target: str | None, label: str | None) -> str:
    """How the labels of a data set mark spans; ``auto`` if that has to be detected.

    Args:
        dataset: the data set.
        target: the label column, if one was named.
        label: for labelled texts the field of the label.

    Returns:
        The scheme.
    """
    if label is not None:
        return "none"
    return dataset.scheme if target in (None, dataset.target) else "auto"


def _label_problems(
    dataset: Dataset, contents: dict[str, _Content], target: str | None, label: str | None
) -> Iterator[Problem]:
    several = has_several(next(iter(contents.values())).sentences, label)
    wanted = target or dataset.target
    if label is None and all(wanted or sentence.columns for part in contents.values() for _, sentence in part.lines()):
        read_notation([content.sentences for content in contents.values()], wanted)
    labels = {
        split: [(line, each, label_column(dataset, each, target, label, several)) for line, each in content.lines()]
        for split, content in contents.items()
    }
    given = label_scheme(dataset, target, label)
    known = "train" if labels.get("train") else next(iter(labels), "")
    scheme = _scheme([column for _, _, column in labels.get(known, []) if column]) if given == "auto" else given
    # A label may be in lines of train that could not be read: then those have to be repaired first.
    sure = "train" in contents and contents["train"].complete
    trained = {name for _, _, column in labels["train"] for name in column or ()} if sure else set()
    yield from _inventory_problems(contents, labels, known, label is not None, dataset.held_out)
    for split, rows in labels.items():
        content = contents[split]
        new: Counter[str] = Counter()
        where: dict[str, tuple[str, int]] = {}
        for line, sentence, column in rows:
            for token, reason in (
                invalid_moves(column or (), scheme) if (sentence.file, line) not in content.torn else ()
            ):
                repair = "; data convert --scheme repairs it" if "may not" in reason else "; correct it"
                yield Problem(content.file_of(sentence), content.line_of(line, sentence, token), reason + repair)
            for token, name in enumerate(column or ()) if trained and split != "train" else ():
                if name not in trained:
                    new[name] += 1
                    where.setdefault(name, (content.file_of(sentence), content.line_of(line, sentence, token)))
        for name, count in new.items():
            yield Problem(*where[name], f"label {name!r} does not occur in train ({count} in {split}){_ADD}")


def _inventory_problems(
    contents: dict[str, _Content], labels: dict[str, list[_Row]], known: str, of_texts: bool, held_out: bool
) -> Iterator[Problem]:
    """What is wrong with the labels as a whole."""
    first: dict[str, tuple[str, int]] = {}
    counts: Counter[str] = Counter()
    for split, rows in labels.items():
        content = contents[split]
        for line, sentence, column in rows:
            for token, name in enumerate(column or ()):
                counts[name] += 1
                if name not in first:
                    place = line if of_texts else content.line_of(line, sentence, token)
                    first[name] = content.file_of(sentence), place
    for name, message in near_duplicates(counts):
        yield Problem(*first[name], message)
    rows = labels.get(known, [])
    learned = Counter(name for _, _, column in rows for name in column or ())
    alone = nothing_to_learn(learned, "text" if of_texts else "token") if len(rows) > 1 else ""
    single = [column[0] for _, _, column in rows if column and len(column) == 1]
    order = sorted_by_label(single) if of_texts and held_out and len(single) == len(rows) else ""
    for message in filter(None, (alone, order)):
        yield Problem(contents[known].file, 0, message)


def _no_labels(contents: dict[str, _Content], label: str | None) -> Iterator[Problem]:
    """Whether what can be read of train has labels that can be learned; dev is held out of it where there is none."""
    train = contents.get("train") or contents.get("all")
    if label is None or train is None or not train.sentences:
        return
    cut = len(train.sentences) - max(1, len(train.sentences) // 10)
    dev = contents["dev"].sentences if "dev" in contents else train.sentences[cut:]
    known = train.sentences if "dev" in contents else train.sentences[:cut]
    try:
        refuse_no_labels(known, dev, label, "")
    except DataError as error:
        yield Problem(train.file, 0, str(error))


def _scheme(sequences: Sequence[Sequence[str]]) -> str:
    """The label scheme, even if a few labels are outside every scheme."""
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
            where = (split, f"{content.file_of(sentence)}:{line}")
            earlier = first.setdefault((*sentence.tokens, _condition(sentence, conditional)), where)
            if earlier[0] != split:
                message = f"the sentence is also in {earlier[0]}, at {earlier[1]}; remove one"
                yield Problem(content.file_of(sentence), line, message)


def _condition(sentence: Sentence, conditional: bool) -> str:
    """What distinguishes two records of the same words: vectors; if texts are generated from fields, all of them."""
    fields = {
        name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in sentence.fields.items()
    }
    distinct = fields if conditional else {name: value for name, value in fields.items() if _is_vector(value)}
    return repr(sorted(distinct.items()))


def _is_vector(value: object) -> bool:
    return isinstance(value, list) and value != [] and isinstance(value[0], (int, float, list))
