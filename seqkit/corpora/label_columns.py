"""The label columns of a whole split: which there are, which one is learned by default, how its labels are written."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from seqkit.errors import shortened
from seqkit.formats.notation import Notation, detect_notation
from seqkit.formats.spans import SPANS
from seqkit.records import LABEL_SEPARATOR, Sentence, labels_of_text

if TYPE_CHECKING:
    from seqkit.corpora.dataset import Dataset

OF_SPANS = frozenset({"spans", "entities"})
_NUMBER_AS_LABEL = re.compile(r"(?:[A-Z]-)?[0-9]+")
_FEWEST_NUMBERS = 2
"""different labels from which on there is something to learn"""
"""fields that become this column"""
_USUAL = frozenset({"labels", "label", "tags", "ner_tags", SPANS})
"""names of columns that are learned rather than others"""
_NUMBERS_AS_LABELS = re.compile(r"tags?$|labels?$|^(ner|pos|upos|chunk)", re.IGNORECASE)
"""names of columns of whole numbers that may be labels, and not ids or offsets"""


def settle_columns(sentences: Sequence[Sentence]) -> None:
    """Give all sentences of a split the same label columns, the one that is learned by default last.

    A JSON object alone does not tell which of its lists are labels: a column is one that every sentence has. Where some
    sentences have spans the others have none, that is ``O`` for every token. Whole numbers are ids or offsets, unless
    the column is called after labels.

    Args:
        sentences: the sentences, which are changed.
    """
    some = [sentence for sentence in sentences if sentence.tokens]
    if any(SPANS in sentence.columns and sentence.fields.keys() & OF_SPANS for sentence in some):
        for sentence in some:
            sentence.columns.setdefault(SPANS, ["O"] * len(sentence.tokens))
    known = [name for name in some[0].columns if all(name in sentence.columns for sentence in some)] if some else []
    labels = [name for name in known if not _are_numbers(name, some)]
    ordered = sorted(known, key=lambda name: (name in labels, name in _USUAL and name in labels))
    for sentence in some:
        sentence.columns = {name: sentence.columns[name] for name in ordered}


def accepted(records: Sequence[Any], source: object) -> tuple[list[Any], list[str]]:
    """The records that an annotator accepted, where a tool such as Prodigy wrote an ``answer`` into each.

    Args:
        records: the records of a split.
        source: what notes call it.

    Returns:
        The records without those that were rejected or ignored, and a note that counts these.
    """
    answers = Counter(record.fields.get("answer") for record in records if isinstance(record.fields.get("answer"), str))
    if answers.total() < len(records) or not answers.keys() <= {"accept", "reject", "ignore"}:
        return list(records), []
    kept = [record for record in records if record.fields["answer"] == "accept"]
    left_out = [f"{answers[answer]:,} with answer {answer!r}" for answer in ("reject", "ignore") if answers[answer]]
    return kept, [f"{source}: left out {' and '.join(left_out)}"] if left_out else []


def _are_numbers(name: str, sentences: Sequence[Sentence]) -> bool:
    if _NUMBERS_AS_LABELS.search(name):
        return False
    return all(label.lstrip("-").isdigit() for sentence in sentences for label in sentence.columns[name])


def read_notation(splits: Sequence[list[Sentence]], target: str, *, copy: bool = False) -> list[str]:
    """Rewrite the labels of one column as `seqkit.formats.schemes` has them.

    Each split may be in a notation of its own. One that is too small to tell is in that of another one, if this has all
    of its labels.

    Args:
        splits: the sentences of each split, whose column is replaced.
        target: the column, see `Sentence.column`.
        copy: leave the sentences as they are, and put rewritten ones into the lists instead.

    Returns:
        Notes for the user, in which notation the labels were; none if they are as they were.
    """
    labelled = [[sentence for sentence in sentences if sentence.tokens] for sentences in splits]
    found = [detect_notation(sentence.column(target) for sentence in some) for some in labelled]
    known = next(filter(None, found), None)
    notes: dict[str, str] = {}
    for sentences, some, own in zip(splits, labelled, found, strict=True):
        notation = own or known
        if notation is None or (own is None and not _fits(notation, some, target)):
            continue
        for place, sentence in enumerate(sentences if copy else ()):
            sentences[place] = replace(sentence, columns=dict(sentence.columns)) if sentence.tokens else sentence
        for sentence in (sentence for sentence in sentences if sentence.tokens):
            name = sentence.column_name(target)
            sentence.columns[name] = notation.read(sentence.columns[name])
        if own is not None:
            notes.setdefault(notation.name, shortened(f"the labels mark spans in {notation.name}: {notation.example}"))
    return list(notes.values())


def note_on_numbers(sentences: Sequence[Sentence], target: str) -> list[str]:
    """Say that labels are numbers, which mostly stand for names, and do not mark spans.

    Args:
        sentences: the sentences to learn from.
        target: the column, see `Sentence.column`.

    Returns:
        A note for the user; none if there are other labels, or only one.
    """
    found = {label for sentence in sentences if sentence.tokens for label in sentence.column(target)}
    numbers = sorted(label for label in found if label != "O")
    if len(found) < _FEWEST_NUMBERS or not numbers or not all(map(_NUMBER_AS_LABEL.fullmatch, numbers)):
        return []
    some = ", ".join(numbers[:3]) + (", …" if len(numbers) > 3 else "")
    what_for = "" if "O" in found else ": only labels such as B-PER and O mark spans and are scored as such"
    told = f"the labels are numbers ({some}); if they stand for names, put the names in their place{what_for}"
    return [shortened(told)]


def _fits(notation: Notation, sentences: Sequence[Sentence], target: str) -> bool:
    return all(notation.labels.keys() >= {*sentence.column(target)} for sentence in sentences)


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


def labels_of_splits(
    dataset: Dataset, splits: Mapping[str, Sequence[Sentence]], target: str | None, label: str | None
) -> tuple[dict[str, list[list[str] | None]], list[str]]:
    """The labels of each sentence in the column that a data set is about.

    Args:
        dataset: the data set.
        splits: split → its sentences, whose labels of spans are rewritten; see `read_notation`. The first one tells
            whether strings hold several labels of a text.
        target: the column; by default the card's, else ``upos`` in CoNLL-U and the last one elsewhere.
        label: for labelled texts the field of the label, see `Dataset.label_field`.

    Returns:
        Split → one label per token, or the labels of the whole text, of each sentence; None if there are no labels and
        no column was named. And notes for the user.

    Raises:
        DataError: a sentence has no such column.
    """
    if label is not None:
        several = _has_several(next(iter(splits.values()), ()), label)
        return {
            split: [labels_of_text(each, label, several or isinstance(each.fields.get(label), list)) for each in some]
            for split, some in splits.items()
        }, []
    wanted, notes = target or dataset.target, []
    if all(wanted or sentence.columns for some in splits.values() for sentence in some if sentence.tokens):
        notes = read_notation([list(some) for some in splits.values()], wanted)
    return {
        split: [sentence.column(wanted) if wanted or sentence.columns else None for sentence in some]
        for split, some in splits.items()
    }, notes


def _has_several(sentences: Iterable[Sentence], field: str) -> bool:
    """Whether strings hold several labels of a text, with ``|`` between them: one of these also stands alone."""
    names = {str(sentence.fields.get(field)) for sentence in sentences}
    return any(LABEL_SEPARATOR in name and names & {*map(str.strip, name.split(LABEL_SEPARATOR))} for name in names)
