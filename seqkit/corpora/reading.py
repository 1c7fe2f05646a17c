"""The records of a data set as a task reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from seqkit.config.recipes import override
from seqkit.config.sections import Settings
from seqkit.corpora.dataset import Dataset, Splits, held_out_rows
from seqkit.corpora.label_columns import note_on_numbers, read_notation
from seqkit.corpora.label_faults import sorted_by_label
from seqkit.corpora.numbers import AS_NUMBERS, are_numbers, labels_in
from seqkit.corpora.text_labels import refuse_header, refuse_no_labels
from seqkit.errors import DataError, SettingsError
from seqkit.formats.format import Description
from seqkit.formats.manifest import all_sequences
from seqkit.records import SplitFunction

_AnySettings = TypeVar("_AnySettings", bound=Settings)


def training_data(dataset: Dataset, settings: Settings) -> Dataset:
    """A data set as training reads it.

    Args:
        dataset: the data set.
        settings: those of training.

    Returns:
        The data set, read as the settings describe it, with dev in train as well where they say so.

    Raises:
        SettingsError: dev is to be in train as well, but is a split of its own.
    """
    found = dataset.described(settings.description())
    if not settings.training.on_dev:
        return found
    if not found.held_out:
        raise SettingsError(f"training.on_dev is for dev that is held out of train, and {found.name} has a dev split")
    return replace(found, dev_in_train=True)


def read_splits(
    dataset: Dataset,
    kind: str,
    data: Any,
    splitter: SplitFunction | None,
    splits: Sequence[str] | None = None,
    label: str | None = None,
    *,
    numbers: bool = False,
) -> Splits[Any]:
    """Read some splits.

    Args:
        dataset: the data set.
        kind: what it holds, see `seqkit.tasks.Task.records`; all but ``lines``.
        data: the data settings, which name the fields.
        splitter: raw text → token offsets.
        splits: which; by default train, dev and test as far as there are any.
        label: the field or column of the label, instead of the one that the settings name; what is held out as dev does
            not depend on it.
        numbers: whether the label of a text is a number, of which all may differ.

    Returns:
        The records of each split, in the file's order.

    Raises:
        DataError: a split cannot be read, there is nothing in it, or train has no labels that can be learned.
    """
    found: Splits[Any]
    if kind == "frames":
        return dataset.read_frames(
            splits,
            field=data.frames,
            label=getattr(data, "label", ""),  # by which dev was held out in training, whatever is asked for now
            speaker=getattr(data, "speaker", ""),
        )
    if kind == "sentences":
        found = dataset.read_sentences(splitter, splits)
        if getattr(data, "scheme", "none") != "none":
            in_memory = any(split.content is not None for split in dataset.splits.values())
            rewritten = read_notation(list(found.records.values()), label or data.target, copy=in_memory)
            found.notes.extend(rewritten)
            found.notes.extend(note_on_numbers(found.records.get("train", []), label or data.target))
    elif kind in ("texts", "pairs"):
        text, field = getattr(data, "text", "text"), str(label or getattr(data, "label", "label"))
        found = in_pairs(dataset, data).read_texts(splitter, splits, text=text, label=field)
        if found.records.get("train") and "dev" in found.records and not numbers:
            train, dev = found.records["train"], found.records["dev"]
            if getattr(dataset.splits.get("train") or dataset.splits.get("all"), "file", None) is None:
                refuse_header(train, field)
            found.notes.extend(refuse_no_labels(train, dev, field, source_of(dataset, "train")))
            if are_numbers(labels_in(train, field)):
                found.notes.append(AS_NUMBERS)
            labels: list[Any] = [record.fields.get(field) for record in (*train, *dev)] if dataset.held_out else []
            if all(isinstance(each, str) for each in labels) and (order := sorted_by_label(labels)):
                found.notes.append(f"warning: {order}")
    else:
        choose = partial(_held_out_of_sequences, data=data)
        source, target = getattr(data, "source", ""), str(label or data.target)
        if source:  # a text and what is written from it
            found = dataset.read_texts(None, splits, text=source, label=target)
        else:
            found = dataset.read_texts(None, splits, text=data.target, label=None, choose=choose)
    for split, records in found.records.items():
        if not any(record.text or record.fields for record in records):
            what = "sentences" if kind == "sentences" else "texts"
            raise DataError(f"no {what} found", file=source_of(dataset, split))
    return found


def in_pairs(dataset: Dataset, data: Any) -> Dataset:
    """A data set whose texts come in pairs, if the data settings name a second text."""
    return dataset.described(Description(second=getattr(data, "second", "")))


def _held_out_of_sequences(records: Sequence[Any], data: Any) -> tuple[set[int], str] | None:
    """Which texts are held out as dev that are written from sequences of vectors; None where they are not."""
    rows = [record.fields for record in records]
    if any(all_sequences(rows, name.strip().removesuffix(":frames")) for name in data.conditions(rows)):
        return held_out_rows([None] * len(rows), [row.get("speaker") for row in rows], len(rows))
    return None


def with_splitter(settings: _AnySettings, dataset: Dataset) -> tuple[_AnySettings, list[str]]:
    """Choose how raw text is split into tokens where the settings leave it open.

    Args:
        settings: the settings.
        dataset: the training data.

    Returns:
        The settings, and a line for the user if there was a choice.

    Raises:
        DataError: the data cannot be read.
    """
    data: Any = settings.data
    if getattr(data, "splitter", "") != "auto":
        return settings, []
    if "word" not in (getattr(data, "unit", "word"), getattr(data, "unit_read", "")):
        return override(settings, {"data": {"splitter": "words"}}), []
    kind = settings.row.records
    spaced = hasattr(data, "source")
    of_texts = kind in ("texts", "pairs")
    text = getattr(data, "text" if of_texts or kind == "lines" else "source" if spaced else "target", "text")
    label = data.label if of_texts else data.target if spaced else None
    choice = in_pairs(dataset, data).choose_splitter(kind, text, label, spaced=spaced)
    return override(settings, {"data": {"splitter": choice.kind}}), [choice.reason]


def source_of(dataset: Dataset, split: str) -> object:
    """What messages call a split: its file, or its name."""
    source = dataset.splits.get(split) or dataset.splits.get("all")
    return (source.file if source is not None else None) or f"{dataset.name} {split}"
