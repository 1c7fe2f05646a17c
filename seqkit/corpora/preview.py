"""What a task would learn from a data set: the first records as they would be read, and the labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from seqkit.config.recipes import override
from seqkit.corpora.dataset import Dataset
from seqkit.corpora.reading import read_splits, with_splitter
from seqkit.corpora.sequences import labels_of
from seqkit.errors import shown
from seqkit.formats.schemes import detect_scheme, invalid_moves
from seqkit.formats.schemes import spans as read_spans
from seqkit.formats.splitting import Splitter
from seqkit.formats.writers import aligned, short_cell
from seqkit.records import FrameRecord, labels_of_text
from seqkit.tasks import Task

_RECORDS = 3
_TOKENS = 12
_LABELS = 40
_FIELDS = 20


@dataclass(slots=True)
class Preview:
    """What a task would learn.

    Args:
        task: the task's name.
        target: the label column, or the field of the label or text.
        sizes: split → how many records.
        header: the names of the table's columns.
        rows: the first records of train as they would be read, a row a token or a record.
        scheme: how the labels of tokens mark spans; ``none`` if they do not.
        labels: label → how many tokens or texts; for a span scheme, kind → spans.
        broken: the share of labels that break the scheme.
        notes: what reading the data says.
    """

    task: str
    target: str
    sizes: dict[str, int] = field(default_factory=dict)
    header: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    scheme: str = "none"
    labels: dict[str, int] = field(default_factory=dict)
    broken: float = 0.0
    notes: list[str] = field(default_factory=list)

    def render(self) -> str:
        """The table of records and the list of labels.

        Returns:
            Lines, each ending in a line feed.
        """
        sizes = ", ".join(f"{split} {size:,}" for split, size in self.sizes.items())
        learned = f" from {shown(self.target)}" if self.target else ""
        header = [short_cell(name) for name in self.header]
        lines = [f"seqkit {self.task} would learn{learned}; {sizes}", "", aligned([header, *self.rows]).rstrip()]
        if self.labels:
            what = "labels" if self.scheme == "none" else f"spans ({self.scheme})"
            counted = [f"  {short_cell(label)}  {count:,}" for label, count in islice(self.labels.items(), _LABELS)]
            lines += ["", f"{what}: {len(self.labels):,}", *counted]
            lines += [f"  … {len(self.labels) - _LABELS:,} more"] * (len(self.labels) > _LABELS)
        if self.broken:
            lines.append(f"labels that break the scheme: {self.broken:.2%}")
        return "\n".join(lines) + "\n\n"


def preview(
    dataset: Dataset,
    task: Task,
    target: str | None = None,
    text: str = "text",
    frames: str = "",
    *,
    regression: bool = False,
) -> Preview:
    """What a task would learn from a data set with its default settings.

    Args:
        dataset: the data set.
        task: the task.
        target: the label column, or the field of the label (`classify`) or of the text (`generate`).
        text: the field of the text (`classify`).
        frames: the field of a sequence of vectors; empty for the usual ones.
        regression: the labels of texts are numbers.

    Returns:
        The preview.

    Raises:
        DataError: the task cannot learn from it; the message says why.
    """
    dataset.refuse_untrainable()
    settings = settings_of(dataset, task, target, text, frames)
    if settings.row.records == "frames":
        return _of_sequences(dataset, settings)
    task, name = settings.row, _learned_field(settings)
    dataset = dataset.described(settings.description())
    settings, choice = with_splitter(settings, dataset)
    splitter = Splitter(settings.data.splitter).split
    if task.records == "lines":
        return _of_lines(dataset, task, splitter, choice)
    found = read_splits(dataset, task.records, settings.data, splitter, numbers=regression)
    train = found.records["train"]
    learned = Preview(task.name, str(getattr(settings.data, name)), notes=[*found.notes, *choice])
    learned.sizes = {split: len(records) for split, records in found.records.items()}
    if task.records == "sentences":
        _add_columns(learned, train, settings.data.scheme)
    elif task.records in ("texts", "pairs"):
        _add_texts(learned, train)
        learned.labels = {} if regression else learned.labels
    else:
        fields = list(dict.fromkeys(key for record in train[:_RECORDS] for key in record.fields))
        learned.header = fields = fields[:_FIELDS]
        learned.rows = [[_cell(record.fields.get(key, "")) for key in fields] for record in train[:_RECORDS]]
    return learned


def settings_of(dataset: Dataset, task: Task, target: str | None = None, text: str = "text", frames: str = "") -> Any:
    """The settings with which a task would learn from a data set by default.

    Args:
        dataset: the data set.
        task: the task.
        target: see `preview`, as the next ones.
        text: the field of the text.
        frames: the field of a sequence of vectors.

    Returns:
        The settings.

    Raises:
        SettingsError: the task does not read such data.
    """
    if (frames or dataset.has_frames) and task.records != "fields":  # which has fields of any kind
        task = task.of("frames", f"seqkit {task.name}")
    elif dataset.second and task.records == "texts":
        task = task.of("pair", f"seqkit {task.name}")
    settings: Any = task.settings_class()(task=task.name)
    name, given = _learned_field(settings), dict[str, str]()
    if hasattr(settings.data, "source"):  # of several texts the second is written, where it is not said which
        target = target or dataset.target or "".join(dataset.columns[1:2])
        given = {} if text == "text" else {"source": text}
    changes = {name: target, **given} if target and name else given
    if task.records in ("texts", "pairs"):
        changes["text"] = text
    if task.records == "pairs":
        changes["second"] = dataset.second
    if task.records == "frames":
        changes["frames"] = frames
    return override(settings, {"data": changes}).complete(dataset)


def _learned_field(settings: Any) -> str:
    """The data setting that names what is learned; empty where nothing is named."""
    return next((name for name in ("label", "target") if hasattr(settings.data, name)), "")


def _of_sequences(dataset: Dataset, settings: Any) -> Preview:
    name = _learned_field(settings)
    found = read_splits(dataset, "frames", settings.data, None)
    train = found.records["train"]
    learned = Preview(settings.task, str(getattr(settings.data, name, "")), notes=list(found.notes))
    learned.sizes = {split: len(records) for split, records in found.records.items()}
    learned.header = ["sequence", *([learned.target] if learned.target else [])]
    for record in train[:_RECORDS]:
        cells = [short_cell(record.text)]
        learned.rows.append([*cells, *([short_cell(record.fields.get(learned.target, ""))] if learned.target else [])])
    if name == "label":
        learned.labels = _counted(label for record in train for label in labels_of(record, learned.target))
    return learned


def _of_lines(dataset: Dataset, task: Task, splitter: Any, choice: Sequence[str]) -> Preview:
    learned = Preview(task.name, "", header=["line", "units"], notes=[*dataset.notes, *choice])
    for split in ("train", "dev", "test"):
        if dataset.has(split):
            learned.sizes[split] = sum(1 for _ in dataset.lines(split))
    for number, line in enumerate(islice(dataset.lines("train"), _RECORDS), 1):
        learned.rows.append([str(number), short_cell(" · ".join(line[start:end] for start, end in splitter(line)))])
    return learned


def _add_columns(learned: Preview, train: Sequence[Any], scheme: str) -> None:
    columns = [sentence.column(learned.target) for sentence in train if sentence.tokens]
    if not learned.target and columns:
        learned.target = next(name for name, labels in train[0].columns.items() if labels is columns[0])
    learned.scheme = detect_scheme(columns) if scheme == "auto" else scheme
    learned.header = ["token", "label"]
    for sentence in train[:_RECORDS]:
        pairs = zip(sentence.tokens, sentence.column(learned.target), strict=True) if sentence.tokens else ()
        learned.rows += [[short_cell(token), short_cell(label)] for token, label in islice(pairs, _TOKENS)]
        learned.rows += [["…", ""]] * (len(sentence.tokens) > _TOKENS) + [["", ""]]
    if learned.scheme == "none":
        learned.labels = _counted(label for labels in columns for label in labels)
        return
    learned.labels = _counted(span.label for labels in columns for span in read_spans(labels, learned.scheme))
    total = sum(map(len, columns))
    learned.broken = sum(len(list(invalid_moves(labels, learned.scheme))) for labels in columns) / max(1, total)


def _add_texts(learned: Preview, train: Sequence[Any]) -> None:
    several = any(isinstance(record.fields.get(learned.target), list) for record in train)
    labels = [labels_of_text(record, learned.target, several) for record in train]
    learned.header = ["label", "text"]
    shown = zip(labels[:_RECORDS], train, strict=False)
    learned.rows = [[short_cell(", ".join(each)), short_cell(record.text)] for each, record in shown]
    learned.labels = _counted(label for each in labels for label in each)


def _cell(value: Any) -> str:
    return short_cell(value.text if isinstance(value, FrameRecord) else value)


def _counted(labels: Any) -> dict[str, int]:
    return dict(sorted(Counter(labels).items(), key=lambda item: (-item[1], item[0])))
