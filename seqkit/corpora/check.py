"""Finding every fault of a data set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np

from seqkit.corpora.check_written import with_acts, written_problems
from seqkit.corpora.dataset import Dataset
from seqkit.corpora.faulty import Content, Problem, Problems, first_format, read_content
from seqkit.corpora.fetch import is_intact
from seqkit.corpora.label_columns import label_scheme, labels_of_splits
from seqkit.corpora.label_faults import near_duplicates, nothing_to_learn, sorted_by_label
from seqkit.corpora.numbers import AS_NUMBERS, are_numbers, as_number, labels_in
from seqkit.corpora.preview import settings_of
from seqkit.corpora.reading import read_splits
from seqkit.corpora.sequences import check_sequences, problem_of
from seqkit.corpora.split import Split
from seqkit.corpora.text_labels import refuse_no_labels
from seqkit.errors import DataError, SeqkitError, shown
from seqkit.formats.format import ReadOptions
from seqkit.formats.schemes import detect_scheme, invalid_moves
from seqkit.records import FrameRecord, Sentence, TextPair, control_fault
from seqkit.tasks import TASKS

_STRAY_LABELS = 0.05  # up to this share of labels outside a scheme are faults; with more, the column is something else
_ADD = "; correct it or add it to train"
_Row = tuple[int, Sentence, "list[str] | None"]
"""the line of a sentence, the sentence and its labels"""


def check(
    dataset: Dataset,
    target: str | None = None,
    task: str | None = None,
    text: str = "text",
    notes: list[str] | None = None,
    frames: str = "",
    refusals: Callable[[Any, Mapping[str, Sequence[Any]]], Iterable[SeqkitError]] | None = None,
    *,
    regression: bool = False,
) -> list[Problem]:
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
        notes: receives lines for the user on how the data were read.
        frames: for sequences of vectors the field of the sequence; see `check_sequences`.
        refusals: what finds all that training refuses of sequences of vectors, see `seqkit.model.trial.refusals`.
        regression: the labels of texts are numbers; by default that is so where they look like such.

    Returns:
        The faults, split by split and line by line; of more than 10,000 the first that were found, and how many more.

    Raises:
        DataError: a file cannot be opened, is in a format without sentences, or there is no such column.
    """
    is_pair = not frames and not dataset.has_frames and (task == "translate" or (task is None and dataset.in_parallel))
    if is_pair:
        found = Problems()
        for split in dataset.splits.values():
            found.extend(_checksum_problems(dataset, split))
        written_problems(dataset, target, text, refusals, [] if notes is None else notes, found)
        places = {name: place for place, name in enumerate(n for part in dataset.splits.values() for n in _files(part))}
        listed = found.listed(lambda one: (places.get(one.file, len(places)), one.line, one.message))
        return list(dict.fromkeys(listed))
    wanted = None if task is None else TASKS[task]
    if frames or dataset.reads_frames(named=text != "text" or (wanted is not None and wanted.records == "fields")):
        settings = None if wanted is None else settings_of(dataset, wanted, target, text, frames)
        learned = None if settings is None or refusals is None else partial(refusals, settings)
        label = target if settings is None else settings.label if settings.row.learned == "labels" else ""
        checked = Problems()
        for split in dataset.splits.values():
            checked.extend(_checksum_problems(dataset, split))
        if settings is not None and settings.row.records == "fields":  # with sequences in any of the fields
            learned = None
        checked.extend(check_sequences(dataset, frames, label, [] if notes is None else notes, learned))
        if settings is not None and learned is None:
            checked.extend(_refused_texts(dataset, settings, refusals, [] if notes is None else notes))
        return list(dict.fromkeys(checked))
    problems = Problems()
    contents: dict[str, Content] = {}
    label = dataset.label_field(target, first_format(dataset))
    if task is not None:
        label = (target or dataset.target or "label") if TASKS[task].records == "texts" else None
    told = list[str]() if notes is None else notes
    splitter = dataset.splitter("sentences" if label is None else "texts", text, label, told)
    options, content = ReadOptions(splitter, text=text, label=label), None
    for name, split in dataset.splits.items():
        contents[name] = content = read_content(dataset, name, options, content, problems)
        problems.extend(_checksum_problems(dataset, split))
    told += content.notes if content is not None else ()
    numeric = label is not None and (regression or _has_numbers(contents, label))
    if numeric and not regression:
        told.append(AS_NUMBERS)
    # Of labels that cannot be learned every one in dev would be new.
    refused = list(_no_numbers(contents, label) if numeric and label else _no_labels(contents, label))
    problems.extend(refused)
    if not refused and not numeric and (task is None or TASKS[task].records in ("sentences", "texts")):
        problems.extend(_label_problems(dataset, contents, target, label, told))
    # If something is generated from a condition, the same words for another condition are another item.
    learner = wanted or (None if dataset.card is None else TASKS[dataset.card.task])
    conditional = learner is not None and learner.records == "fields"
    problems.extend(_shared_sentences(contents, conditional))
    if wanted is not None and wanted.records == "fields":
        known = set(map(str, problems))
        refused = list(_refused_texts(dataset, settings_of(dataset, wanted, target), refusals, told))
        problems.extend(problem for problem in refused if str(problem) not in known)
    names = [name for split, content in contents.items() for name in (*_files(dataset.splits[split]), content.file)]
    order = {name: place for place, name in enumerate(names)}
    return problems.listed(lambda problem: (order.get(problem.file, len(order)), problem.line, problem.message))


def _refused_texts(
    dataset: Dataset, settings: Any, refusals: Callable[..., Any] | None, notes: list[str]
) -> Iterator[Problem]:
    """What training refuses of texts that are written from fields."""
    if refusals is None or settings.row.records != "fields":
        return
    try:
        parts = read_splits(dataset, "fields", settings.data, None).records
    except DataError as error:
        yield problem_of(error)
        return
    yield from map(problem_of, refusals(with_acts(settings, parts, notes), parts))


def _files(split: Split) -> list[str]:
    return [str(path) for path in split.files()] if split.file is not None else []


def _checksum_problems(dataset: Dataset, split: Split) -> Iterator[Problem]:
    for file in dataset.card.files if dataset.card is not None else ():
        if split.file is not None and split.file.name == file.name and not is_intact(split.file, file):
            yield Problem(str(split.file), 0, f"not the file of the card, whose SHA-256 is {file.sha256}")


def _label_problems(
    dataset: Dataset, contents: dict[str, Content], target: str | None, label: str | None, notes: list[str]
) -> Iterator[Problem]:
    if label is None:
        yield from _control_problems(contents, target or dataset.target)
    found = {split: [sentence for _, sentence in content.lines()] for split, content in contents.items()}
    columns, said = labels_of_splits(dataset, found, target, label)
    notes += said
    labels = {
        split: [(*row, column) for row, column in zip(content.lines(), columns[split], strict=True)]
        for split, content in contents.items()
    }
    unlabelled = [row for rows in labels.values() for row in rows if row[2] is None]
    if len(unlabelled) < sum(map(len, labels.values())):
        for split, rows in labels.items():
            for line, sentence, column in rows:
                if column is None:
                    message = "the tokens have no labels, which those of others have; label them, or leave it out"
                    yield Problem(contents[split].file_of(sentence), line, message)
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


def _control_problems(contents: dict[str, Content], target: str) -> Iterator[Problem]:
    """Labels of tokens with control characters; their sentences are not looked at any further."""
    for content in contents.values():
        for place, sentence in enumerate(content.sentences):
            labels: Sequence[str] = ()
            with suppress(DataError):  # of a column that is not there
                labels = sentence.columns[sentence.column_name(target)]
            if not control_fault(labels):
                continue
            token, fault = next((token, fault) for token, one in enumerate(labels) if (fault := control_fault([one])))
            line = sentence.line or place + 1
            yield Problem(content.file_of(sentence), content.line_of(line, sentence, token), fault)
            content.sentences[place] = Sentence([], "", [])
            content.complete = False


def _inventory_problems(
    contents: dict[str, Content], labels: dict[str, list[_Row]], known: str, of_texts: bool, held_out: bool
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


def _has_numbers(contents: dict[str, Content], label: str) -> bool:
    train = contents.get("train") or contents.get("all")
    return train is not None and are_numbers(labels_in(train.sentences, label))


def _no_numbers(contents: dict[str, Content], label: str) -> Iterator[Problem]:
    """Labels that are no numbers, where they should be."""
    for content in contents.values():
        for line, sentence in content.lines():
            value = sentence.fields.get(label)
            if as_number(value) is None:
                message = f"expected a number in field {label!r}, found {shown(value)}"
                yield Problem(content.file_of(sentence), line, message)


def _no_labels(contents: dict[str, Content], label: str | None) -> Iterator[Problem]:
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


def _shared_sentences(contents: dict[str, Content], conditional: bool) -> Iterator[Problem]:
    first: dict[tuple[str, ...], tuple[str, str]] = {}
    for split, content in contents.items():
        for line, sentence in content.lines():
            where = (split, f"{content.file_of(sentence)}:{line}")
            earlier = first.setdefault((*sentence.tokens, _condition(sentence, conditional)), where)
            if earlier[0] != split:
                what = "pair" if isinstance(sentence, TextPair) else "sentence"
                message = f"the {what} is also in {earlier[0]}, at {earlier[1]}; remove one"
                yield Problem(content.file_of(sentence), line, message)


def _condition(sentence: Sentence, conditional: bool) -> str:
    """What distinguishes two records of the same words: vectors; if texts are generated from fields, all of them."""
    fields = {name: _as_read(value) for name, value in sentence.fields.items()}
    distinct = fields if conditional else {name: value for name, value in fields.items() if _is_vector(value)}
    border = sentence.border if isinstance(sentence, TextPair) else 0  # the same words may be another pair
    return repr((border, sorted(distinct.items())))


def _as_read(value: Any) -> Any:
    """A value with the numbers of an array, also of one that is read when it is needed."""
    value = value.source.read() if isinstance(value, FrameRecord) else value
    return value.tolist() if isinstance(value, np.ndarray) else value


def _is_vector(value: object) -> bool:
    return isinstance(value, list) and value != [] and isinstance(value[0], (int, float, list))
