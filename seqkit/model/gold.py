"""What a model is scored on: the records of a split, with what is right."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import chain
from typing import Any

from seqkit.corpora.dataset import Dataset
from seqkit.corpora.reading import read_splits, source_of
from seqkit.errors import DataError
from seqkit.inputs.segmentation import Units
from seqkit.inputs.streams import Corpus
from seqkit.records import digest


def read_gold(model: Any, dataset: Dataset, split: str, options: Mapping[str, Any]) -> tuple[Any, list[str]]:
    """Read a split as a model's task reads it.

    Args:
        model: the model, a `seqkit.model.base.Predictor`.
        dataset: the data.
        split: ``train``, ``dev``, ``test``, or ``all`` for a lone file.
        options: those of evaluation.

    Returns:
        The records, of a language model a `Corpus`, and lines for the user.

    Raises:
        DataError: the split cannot be read, or there is nothing in it.
    """
    dataset = replace(dataset, dev_in_train=model.settings.training.on_dev)
    if model.task.records == "lines":
        text = model.settings.data.text
        corpus, lines = read_corpus(dataset, split, model.input.units, text)
        left_out = notes_on_blank_lines(dataset, {split: lines - corpus.lines})
        notes: list[str] = []
        if dataset.held_out and split == "dev":
            train = sum(1 for _ in dataset.lines("train", text))
            notes = [dataset.held_out_note(train + (0 if dataset.dev_in_train else lines), "lines")]
        return corpus, [*dataset.notes, *dataset.notes_on_lines(formats=False), *notes, *left_out]
    data, label = model.settings.data, options.get("label") or options.get("target")
    if getattr(getattr(model.head, "codec", None), "scheme", "") == "none":  # it was trained on labels as they are
        data = data.model_copy(update={"scheme": "none"})
    numbers = model.settings.predicts == "regression"
    found = read_splits(dataset, model.task.records, data, model.input.split, [split], label, numbers=numbers)
    return found.records[split], found.notes


def checksum(model: Any, records: Any, **options: Any) -> int:
    """A checksum of what a model is scored on: what is read, and what is right.

    Args:
        model: the model.
        records: see `read_gold`.
        **options: those of evaluation.

    Returns:
        The checksum; 0 for a head without a baseline, which needs none.
    """
    if isinstance(records, Corpus):
        return records.checksum()
    read = (getattr(record, "tokens", ()) or [record.text] for record in records)
    return digest(chain(read, model.head.gold(records, **options))) if model.head.baseline_scores else 0


def read_corpus(dataset: Dataset, split: str, units: Units, text: str = "text") -> tuple[Corpus, int]:
    """Read one split as a stream of units.

    Args:
        dataset: the data.
        split: ``train``, ``dev``, ``test``, or ``all`` for a lone file.
        units: what splits a line.
        text: the field of the text, where records have fields.

    Returns:
        The corpus, and how many lines were read, blank ones too.

    Raises:
        DataError: it cannot be read, or there is no text in it.
    """
    count = 0

    def counted() -> Iterator[str]:
        nonlocal count
        for line in dataset.lines(split, text):
            count += 1
            yield line

    corpus = Corpus.read(counted(), units, blank_lines=dataset.blank_lines)
    if len(corpus.types) == 1:  # of ends of lines alone nothing can be learned
        raise DataError("no text found", file=source_of(dataset, split))
    return corpus, count


def notes_on_blank_lines(dataset: Dataset, left_out: Mapping[str, int]) -> list[str]:
    """What to tell the user about blank lines that are no part of a corpus.

    Args:
        dataset: the data.
        left_out: split → how many there are.

    Returns:
        A line for the user, or none.
    """
    counts = ", ".join(f"{split} {count:,}" for split, count in left_out.items() if count)
    return [f"{dataset.name}: blank lines left out: {counts}"] if counts else []
