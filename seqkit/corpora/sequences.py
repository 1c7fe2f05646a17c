"""Sequences of vectors: finding the faults of a data set, and counting it."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from seqkit.corpora.dataset import Dataset
from seqkit.corpora.faulty import Problem, Problems
from seqkit.corpora.label_faults import near_duplicates, nothing_to_learn
from seqkit.corpora.split import add_layout
from seqkit.errors import DataError, SeqkitError
from seqkit.formats.arrays import unsound
from seqkit.formats.audio import AudioFile, shown_rates
from seqkit.formats.format import Description, ReadOptions, notes_on
from seqkit.formats.registry import FORMATS, described_frames
from seqkit.formats.runs import field_values
from seqkit.formats.tables import NoNamesError
from seqkit.formats.text import Line, read_lines
from seqkit.formats.writers import short_cell
from seqkit.metrics.scores import plural, text_table
from seqkit.records import LABEL_SEPARATOR, FrameRecord, labels_of_text

_QUANTILES = (0.0, 0.5, 0.9, 1.0)


# --- faults -------------------------------------------------------------------------------------------------------


Refusals = Callable[[Mapping[str, Sequence[FrameRecord]]], Iterable[SeqkitError]]
"""split → its sequences → what training refuses of them"""


def check_sequences(
    dataset: Dataset, key: str, target: str | None, notes: list[str], refusals: Refusals | None = None
) -> list[Problem]:
    """Find every fault of a data set of sequences of vectors.

    Faults are rows and files that cannot be read, numbers that are not finite, sequences without frames or with
    another number of features than the first, recordings beside arrays, labels that are missing, differ only in case,
    width or what nobody sees, or do not occur in train, and sequences that occur in two splits.

    Args:
        dataset: the data set.
        key: the field of the sequence; empty for the usual ones.
        target: the field of the label; by default the card's, or ``label``; empty where labels do not matter.
        notes: receives lines for the user on how the data were read, and how much there is.
        refusals: what training refuses, instead of what is wrong with numbers for any task.

    Returns:
        The faults, split by split and line by line; of more than 10,000 the first that were found, and how many more.
    """
    problems = Problems()
    label = target or (dataset.card.target if dataset.card is not None else "") or "label"
    found: dict[str, list[FrameRecord]] = {}
    files: list[str] = []
    for name, split in dataset.splits.items():
        found[name] = []
        if split.content is not None:
            found[name] = dataset.read_all_frames(name, key, problems)
            files.append(f"{dataset.name} {name}")
            continue
        left_out: Counter[str] = Counter()
        add_layout(notes, split.located(texts=True))
        for file, description, _ in split.located(texts=True):
            files.append(str(file))
            options = ReadOptions(frames=key, left_out=left_out)
            found[name] += _readable(file, description, options, problems)
        notes += notes_on(split.file, left_out)
        if not found[name] and not problems.total:
            problems.append(Problem(str(split.file), 0, split.nothing_found))
    problems.extend(_content_problems(found, notes, is_checked=refusals is None))
    told = list(map(problem_of, refusals(found))) if refusals is not None else []
    if target != "":
        told += _label_problems(found, label, given=target is not None, is_checked=refusals is None)
    problems.extend(dict.fromkeys(told))
    order = {name: place for place, name in enumerate(files)}
    return problems.listed(lambda problem: (order.get(problem.file, len(order)), problem.line, problem.message))


def problem_of(error: SeqkitError) -> Problem:
    """An error as a fault of a data set.

    Args:
        error: the error.

    Returns:
        The fault.
    """
    if not isinstance(error, DataError):
        return Problem("", 0, str(error))
    return Problem(str(error.file or ""), error.line or 0, error.reason)


def _readable(file: Path, description: Description, options: ReadOptions, problems: Problems) -> list[FrameRecord]:
    """The sequences of a file that can be read, around those that cannot."""
    form, name = FORMATS[description.format], str(file)
    faults: list[DataError] = []
    options = replace(options, faults=faults).of(description)
    found: list[FrameRecord] = []
    if form.rows is None or form.frames is None:
        try:
            found.extend(described_frames(file, description, options))
        except DataError as error:
            problems.append(problem_of(error))
        problems.extend(map(problem_of, faults))
        return found
    lines: list[Line] = []
    try:
        lines.extend(read_lines(file, description.encoding))
    except DataError as error:
        problems.append(problem_of(error))
    start = broken = 0

    def following() -> Iterator[Line]:
        return (lines[place] for place in range(start, len(lines)))

    while start < len(lines) or not lines:
        known = replace(options, rows_before=len(found) + len(faults) + broken)
        if start:
            known = replace(known, columns=_columns(form.rows, lines, name, options))
        try:
            found.extend(form.frames(following(), name, known))
            break
        except DataError as error:
            problems.append(problem_of(error))
            if error.line is None or form.name == "json" or problems.is_full or isinstance(error, NoNamesError):
                break
            start, broken = error.line, broken + 1
    problems.extend(map(problem_of, faults))
    return found


def _columns(rows: Any, lines: list[Line], name: str, options: ReadOptions) -> Sequence[str] | None:
    """The names of the columns of a table, which only its first row has."""
    try:
        _, first = next(rows(iter(lines), name, options))
    except (DataError, StopIteration):
        return options.columns
    return tuple(first) if isinstance(first, dict) else options.columns


def _content_problems(found: dict[str, list[FrameRecord]], notes: list[str], *, is_checked: bool) -> Iterator[Problem]:
    """What is wrong with the vectors, all of which are read; or only which are there twice."""
    seen: dict[bytes, tuple[str, str]] = {}
    first: FrameRecord | None = None
    size = 0
    for split, records in found.items():
        total = 0
        rates: Counter[int] = Counter()
        for record in records:
            first = first or record
            is_audio = isinstance(record.source, AudioFile)
            if is_audio != isinstance(first.source, AudioFile):
                if not is_checked:
                    continue
                kinds = ("a recording", "an array of frames")
                wanted, got = kinds if not is_audio else kinds[::-1]
                yield problem_of(record.fault(f"expected {wanted}, as the first sequence is, found {got}"))
                continue
            try:
                frames = record.source.read(record.source.rate) if is_audio else record.source.read()
            except DataError as error:
                if is_checked:
                    yield problem_of(error if is_audio else record.fault_of(error))
                continue
            digest = hashlib.blake2b(frames.tobytes(), digest_size=16).digest()
            where = f"{record.file}:{record.line}" if record.line else record.text
            earlier = seen.setdefault(digest, (split, where))
            if earlier[0] != split and len(frames):
                yield problem_of(record.fault(f"the sequence is also in {earlier[0]}, at {earlier[1]}; remove one"))
            total += len(frames)
            if is_audio:
                rates[record.source.rate] += 1
                continue
            size = size or frames.shape[1]
            if not is_checked:
                continue
            if not len(frames):
                yield problem_of(record.fault("the sequence has no frames"))
            elif not frames.shape[1]:
                yield problem_of(record.fault("the frames have no features"))
            elif frames.shape[1] != size:
                expected = f"expected {size} features a frame, as the first sequence has"
                yield problem_of(record.fault(f"{expected}, found {frames.shape[1]}"))
            elif fault := unsound(frames):
                yield problem_of(record.fault(fault))
        of_sound = first is not None and isinstance(first.source, AudioFile)
        content = plural(total, "sample") if of_sound else f"{plural(total, 'frame')} of {plural(size, 'feature')}"
        at = f" at {shown_rates(rates)}" if rates else ""
        notes.append(f"{split}: {plural(len(records), 'sequence')}, {content}{at}")


def _label_problems(
    found: dict[str, list[FrameRecord]], label: str, *, given: bool, is_checked: bool
) -> Iterator[Problem]:
    """What is wrong with the labels, if there are any; or only with all of them together."""
    if not (given and is_checked) and not any(
        label in record.fields for records in found.values() for record in records
    ):
        return
    labels: dict[str, Counter[str]] = {split: Counter() for split in found}
    where: dict[tuple[str, str], FrameRecord] = {}
    for split, records in found.items():
        if is_checked and records and not any(label in record.fields for record in records):
            yield Problem(records[0].file, 0, f"no sequence has a label in the field {label!r}, as others have")
            continue
        for record in records:
            try:
                names = labels_of(record, label)
            except DataError as error:
                if is_checked:
                    yield problem_of(error)
                continue
            labels[split].update(names)
            for name in names:
                where.setdefault((split, name), record)
    counts = sum(labels.values(), Counter[str]())
    for name, message in near_duplicates(counts):
        yield problem_of(next(where[split, name] for split in found if (split, name) in where).fault(message))
    known = "train" if "train" in found else next(iter(found), "")
    # Runs of a single label are learned beside the frames that no run covers.
    has_runs = any(_are_runs(_of_cell(record, label)) for record in found.get(known, ()))
    if not has_runs and (message := nothing_to_learn(labels.get(known, Counter()), "sequence")):
        yield Problem(found[known][0].file if found[known] else "", 0, message)
    for split, counted in labels.items():
        for name, count in counted.items() if known == "train" and split != "train" and labels["train"] else ():
            if name not in labels["train"]:
                message = f"label {name!r} does not occur in train ({count} in {split}); correct it or add it to train"
                yield problem_of(where[split, name].fault(message))


def _of_cell(record: FrameRecord, field: str) -> Any:
    """What a field holds; of a cell of a table the list in it, if it is one."""
    value = record.fields.get(field)
    if isinstance(value, str) and value.lstrip().startswith("["):
        with suppress(DataError):  # it is a label that begins so
            return field_values(record, field)
    return value


def _are_runs(value: Any) -> bool:
    """Whether these are the runs of the frames of a sequence."""
    return isinstance(value, list) and len(value) > 0 and all(isinstance(each, dict) for each in value)


def labels_of(record: FrameRecord, field: str) -> list[str]:
    """The labels of a sequence: its own, or those of its frames or runs, each once.

    Args:
        record: the sequence.
        field: the field of the label.

    Returns:
        The labels.

    Raises:
        DataError: it has none, or something else.
    """
    value = _of_cell(record, field)
    if _are_runs(value):
        return list(dict.fromkeys(str(each.get("label")) for each in value))
    if isinstance(value, list) and value is not record.fields.get(field):
        return list(dict.fromkeys(map(str, value)))
    return labels_of_text(record, field, isinstance(value, list) or LABEL_SEPARATOR in str(value))


# --- counting -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SequenceStatistics:
    """The numbers of one split of sequences of vectors.

    Args:
        sequences: how many there are.
        frames: frames of all together; 0 of recordings, of which they depend on the settings.
        features: numbers of a frame; 0 of recordings.
        seconds: of all recordings together; None of arrays.
        lengths: frames of a sequence, or seconds of a recording: the mean and quantiles from ``0%`` to ``100%``.
        speakers: different values of the field ``speaker``.
        labels: label → sequences that have it.
        rates: samples a second → recordings that have them; empty of arrays.
    """

    sequences: int
    frames: int
    features: int
    seconds: float | None
    lengths: dict[str, float]
    speakers: int
    labels: dict[str, int] = field(default_factory=dict)
    rates: dict[int, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The numbers as JSON holds them."""
        return asdict(self)


def sequence_statistics(
    dataset: Dataset, key: str = "", target: str | None = None
) -> tuple[dict[str, SequenceStatistics], list[str]]:
    """Count the sequences, frames and labels of a data set; of arrays and recordings only the headers are read.

    Args:
        dataset: the data set; a held-out dev split is counted like any other.
        key: the field of the sequence; empty for the usual ones.
        target: the field of the label; by default the card's, or ``label``.

    Returns:
        Split → numbers, and what the user should know: what was held out.

    Raises:
        DataError: a file has a fault, or no sequence has such a label.
    """
    names = ["all"] if "all" in dataset.splits else [name for name in ("train", "dev", "test") if dataset.has(name)]
    label = target or (dataset.card.target if dataset.card is not None else "") or "label"
    read = dataset.read_frames(names, field=key, label=label, speaker="speaker")
    return {
        split: _count(records, label, given=target is not None) for split, records in read.records.items()
    }, read.notes


def _count(records: Sequence[FrameRecord], label: str, *, given: bool) -> SequenceStatistics:
    lengths: list[float] = []
    features, seconds = 0, None
    rates: Counter[int] = Counter()
    for record in records:
        if isinstance(record.source, AudioFile):
            lengths.append(record.source.samples / record.source.rate)
            seconds = (seconds or 0.0) + lengths[-1]
            rates[record.source.rate] += 1
        else:
            count, features = record.source.shape
            lengths.append(float(count))
    lengths.sort()
    quantiles = {f"{share:.0%}": lengths[round(share * (len(lengths) - 1))] for share in _QUANTILES if lengths}
    counts = Counter(name for record in records if given or label in record.fields for name in labels_of(record, label))
    return SequenceStatistics(
        sequences=len(records),
        frames=0 if seconds is not None else int(sum(lengths)),
        features=features if seconds is None else 0,
        seconds=seconds,
        lengths={"mean": sum(lengths) / max(1, len(lengths)), **quantiles},
        speakers=len({str(record.fields["speaker"]) for record in records if "speaker" in record.fields}),
        labels=dict(sorted(counts.items(), key=lambda item: (-item[1], item[0]))),
        rates=dict(sorted(rates.items())),
    )


def render_sequences(found: dict[str, SequenceStatistics], *, most: int = 40) -> str:
    """The numbers as a table of text.

    Args:
        found: split → numbers.
        most: how many labels to show; the others are added up.

    Returns:
        Lines, each ending in a line feed.
    """
    parts = list(found.values())
    is_audio = any(part.seconds is not None for part in parts)
    rows = [["", *found], ["sequences", *(f"{part.sequences:,}" for part in parts)]]
    if is_audio:
        rows.append(["seconds", *(f"{part.seconds or 0:,.1f}" for part in parts)])
        rates = sorted({rate for part in parts for rate in part.rates})
        rows += [[f"  at {rate:,} Hz", *(f"{part.rates.get(rate, 0):,}" for part in parts)] for rate in rates]
    else:
        rows.append(["frames", *(f"{part.frames:,}" for part in parts)])
        rows.append(["features", *(f"{part.features:,}" for part in parts)])
    if any(part.speakers for part in parts):
        rows.append(["speakers", *(f"{part.speakers:,}" for part in parts)])
    unit = "seconds" if is_audio else "frames"
    digits = 2 if is_audio else 0
    rows.append([f"{unit} per sequence", *(f"{part.lengths['mean']:.{max(1, digits)}f}" for part in parts)])
    for name in (f"{share:.0%}" for share in _QUANTILES):
        rows.append(
            [f"  {name} quantile", *(f"{part.lengths.get(name, 0):.{2 if is_audio else 0}f}" for part in parts)]
        )
    totals = sum((Counter(part.labels) for part in parts), Counter[str]())
    shown = sorted(totals, key=lambda label: (-totals[label], label))
    if totals:
        rows.append(["labels", *("" for _ in parts)])
    for label in shown[:most]:
        rows.append([f"  {short_cell(label)}", *(f"{part.labels.get(label, 0):,}" for part in parts)])
    if rest := shown[most:]:
        rows.append([f"  {len(rest)} more", *(f"{sum(part.labels.get(each, 0) for each in rest):,}" for part in parts)])
    return text_table(rows) + "\n"
