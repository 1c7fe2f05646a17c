"""Data sets from Python objects instead of files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from itertools import chain
from numbers import Integral
from typing import Any

from seqkit.corpora.dataset import Dataset
from seqkit.corpora.frames import rows
from seqkit.corpora.resolve import split_named
from seqkit.corpora.split import Split
from seqkit.errors import DataError, shown
from seqkit.formats.format import ReadOptions
from seqkit.formats.json_values import as_json, as_object
from seqkit.formats.manifest import row_frames
from seqkit.formats.objects import label_string, object_text
from seqkit.records import FrameRecord, Sentence, TextRecord, refuse_one

_FEWEST = 4
"""pairs from which on their order is checked"""
_OF_VECTORS = '; for sequences of vectors the settings need "input": "frames"'


def from_items(
    kind: str,
    train: Any,
    dev: Any = None,
    test: Any = None,
    label: str = "label",
    texts: tuple[str, str] = ("sentence1", "sentence2"),
) -> Dataset:
    """A data set from Python objects of the kind that a task learns from.

    Args:
        kind: ``sentences``, pairs of tokens and labels; ``texts``, pairs of a text (or its tokens) and a label (or a
            list of labels), in this order; ``pairs``, two texts and a label, ``(text, text, label)`` or ``((text,
            text), label)``; ``fields``, mappings with a text and other fields; ``lines`` of text; or
            ``frames``, sequences of vectors: an array, a tensor or a list of frames, alone or in a pair with its label,
            or all of them, an array [S, N, F] and S labels. Of every kind items may be mappings, and are read as the
            objects of a JSON Lines file are (see `seqkit.formats.jsonl`); so are the rows of tables (see
            `seqkit.corpora.frames.rows`).
        train: the training items; or a mapping split → its items, such as a ``DatasetDict``.
        dev: items to choose the best epoch by; without them the last tenth of train is held out.
        test: items to report on.
        label: the field or column of the labels of pairs.
        texts: the fields of the two texts, where these come in pairs.

    Returns:
        The data set.

    Raises:
        DataError: an item is of another kind, there is a single one instead of several, or a split is given twice.

    Examples:
        >>> pairs = [(["Ada", "slept"], ["PER", "O"]), (["Paris", "slept"], ["LOC", "O"])]
        >>> from_items("sentences", pairs, dev=pairs).sentences("train")[0].columns
        {'label': ['PER', 'O']}
        >>> rows = {"train": [{"text": "so good", "stars": 5}], "test": [{"text": "so bad", "stars": 1}]}
        >>> from_items("texts", rows, label="stars").texts("test", label="stars")[0].fields
        {'text': 'so bad', 'stars': '1'}
    """
    name, make = _KINDS[kind]
    if kind == "pairs":
        make = partial(_pair_of_texts, texts=texts)
    given = {"train": train, "dev": dev, "test": test}
    not_taken: list[str] = []
    if has_splits(train):
        found, not_taken = _splits_of(train, name)
        twice = [split for split in found if split != "train" and given[split] is not None]
        if twice:
            raise DataError(f"{name}: {twice[0]} is given twice, among the data and beside it")
        given |= {"train": None, **found}
    splits = {}
    for split, items in given.items():
        if items is None:
            continue
        refuse_one(items, f"{name} {split}")
        items = _pairs_of_arrays(items) if kind == "frames" else items
        content = _records(items, make, label, f"{name} {split}")
        if has_splits(train) and split == "test" and kind in ("texts", "pairs") and _has_no_labels(content, label):
            not_taken.append(f"test, in which no row has a {label!r}")
            continue
        splits[split] = Split(content=content)
    if kind == "texts" and "train" in splits:
        _refuse_swapped(splits["train"].content or [], label, f"{name} train")
    notes = [f"{name}: not taken: {', '.join(not_taken)}"] if not_taken else []
    return Dataset(name, splits, notes=notes, not_taken=not_taken)


def has_splits(given: Any) -> bool:
    """Whether an object is a mapping split → items, and not items themselves.

    Args:
        given: the object.

    Returns:
        True if a key is the name of a split and all values are several items.
    """
    if not isinstance(given, Mapping) or not any(isinstance(key, str) and split_named(key) for key in given):
        return False
    several = ("__iter__", "__getitem__")
    return not any(
        isinstance(items, str | bytes | Mapping) or not any(hasattr(items, name) for name in several)
        for items in given.values()
        if items is not None
    )


def _splits_of(given: Mapping[Any, Any], name: str) -> tuple[dict[str, Any], list[str]]:
    """The items of each split, and the keys that are no split."""
    found: dict[str, Any] = {}
    keys: dict[str, str] = {}
    others = []
    for key, items in given.items():
        split = split_named(str(key))
        if split is None:
            others.append(str(key))
            continue
        if split in found:
            raise DataError(f"{name}: {keys[split]!r} and {key!r} are both {split}; leave one of them out")
        found[split], keys[split] = items, str(key)
    return found, others


def _records(items: Any, make: Callable[[Any, str], Any], label: str, place: str) -> list[Any]:
    content = []
    for number, item in enumerate(rows(items), start=1):
        try:
            record = make(item, label)
        except (ValueError, DataError) as error:
            hint = "" if make is _sequence or not _has_sequence(item) else _OF_VECTORS
            raise DataError(f"{error}{hint}", file=place, line=number) from None
        record.file, record.line = place, number
        content.append(record)
    return content


def _has_sequence(item: Any) -> bool:
    """Whether an item is, or has, a sequence of vectors: an array or a tensor, or lists of numbers."""
    values = item.values() if isinstance(item, Mapping) else item if isinstance(item, tuple) else ()
    return any(map(_is_vectors, (item, *values)))


def _is_vectors(value: Any) -> bool:
    if getattr(value, "ndim", 0) == 2:
        return True
    first = value[0] if isinstance(value, list | tuple) and value else None
    return isinstance(first, list | tuple) and bool(first) and isinstance(first[0], int | float)


def _has_no_labels(content: list[Any], label: str) -> bool:
    return bool(content) and all(
        isinstance(record, TextRecord) and record.fields.get(label, 0) is None for record in content
    )


def _refuse_swapped(content: list[Any], label: str, place: str) -> None:
    """See that pairs are (text, label): labels that nearly all differ beside texts that hardly do are the texts."""
    pairs = [record for record in content if isinstance(record, Sentence)]
    texts = {record.text for record in pairs}
    labels = {str(record.fields.get(label)) for record in pairs}
    if len(pairs) >= _FEWEST and 2 * len(texts) <= len(pairs) and 10 * len(labels) >= 9 * len(pairs):
        counts = f"{len(pairs):,} pairs have {len(texts):,} different texts and {len(labels):,} different labels"
        raise DataError(f"{counts}: give pairs as (text, label), not (label, text)", file=place)


def _record_of_line(line: Any, label: str) -> TextRecord:
    if isinstance(line, Mapping):
        return TextRecord(object_text(as_object(line), ReadOptions()).text)
    if not isinstance(line, str):
        raise ValueError(f"expected a line of text, found {shown(line)}")
    return TextRecord(str.__str__(line))


def _record_of_fields(fields: Any, label: str) -> TextRecord:
    if not isinstance(fields, Mapping):
        raise ValueError(f"expected a mapping of fields, found {shown(fields)}")
    found = as_object(fields)
    text = found.get("text")
    return TextRecord(text if isinstance(text, str) else "", found)


def _sentence_of_pair(pair: Any, label: str) -> Sentence | TextRecord:
    if isinstance(pair, Mapping):
        return _record_of_fields(pair, label)
    try:
        tokens, labels = pair
    except (TypeError, ValueError):
        raise ValueError(f"expected a pair (tokens, labels), found {shown(pair)}{_hint(pair)}") from None
    if isinstance(tokens, str) or isinstance(labels, str):
        raise ValueError("expected sequences of strings, found one string")
    tokens, labels = as_json(tokens), as_json(labels)
    if not isinstance(tokens, list) or not isinstance(labels, list):
        raise ValueError(f"expected a pair (tokens, labels), found {shown(pair)}")
    if len(tokens) != len(labels):
        raise ValueError(f"expected as many labels as tokens, found {len(labels)} labels for {len(tokens)} tokens")
    labels = [str(each) if type(each) is int else each for each in labels]
    odd = [item for item in chain(tokens, labels) if not isinstance(item, str) or not item]
    if odd:
        raise ValueError(f"tokens and labels must be non-empty strings, found {shown(odd[0])}")
    return Sentence.from_tokens(tokens, {label: labels})


def _hint(sentence: Any) -> str:
    """What to do with a list of pairs (token, label), such as NLTK has for a sentence."""
    if isinstance(sentence, list) and sentence and all(isinstance(each, tuple) and len(each) == 2 for each in sentence):
        return "; zip(*sentence) makes one of pairs (token, label)"
    return ""


def _sentence_of_text(pair: Any, name: str) -> Sentence | TextRecord:
    if isinstance(pair, Mapping):
        row = _record_of_fields(pair, name)
        if isinstance(row.fields.get("text"), list) and "tokens" not in row.fields:  # as in a pair
            row.fields["tokens"] = row.fields.pop("text")
        return row
    try:
        text, label = map(as_json, [] if isinstance(pair, str) else pair)
    except (TypeError, ValueError):
        raise ValueError(f"expected a pair (text, label), found {shown(pair)}") from None
    if not isinstance(text, str | list):
        hint = "; the text comes first" if isinstance(label, str) else ""
        raise ValueError(f"expected a pair (text, label), found {shown(pair)}{hint}")
    odd = [item for item in text if not isinstance(item, str) or not item] if isinstance(text, list) else []
    if odd:
        raise ValueError(f"texts and tokens must be strings, and tokens not empty, found {shown(odd[0])}")
    sentence = Sentence([], text, []) if isinstance(text, str) else Sentence.from_tokens(text)
    sentence.fields = {name: label_string(label, name)}
    return sentence


def _pair_of_texts(item: Any, name: str, texts: tuple[str, str]) -> TextRecord:
    """The fields of two texts and their label."""
    if isinstance(item, Mapping):
        return _record_of_fields(item, name)
    parts = [] if isinstance(item, str) else list(item) if hasattr(item, "__iter__") else []
    if len(parts) == 2 and not isinstance(parts[0], str) and hasattr(parts[0], "__iter__"):
        parts = [*parts[0], parts[1]]
    if len(parts) != 3:
        raise ValueError(f"expected (text, text, label), found {shown(item)}")
    return TextRecord("", dict(zip((*texts, name), map(as_json, parts), strict=True)))


def _pairs_of_arrays(items: Any) -> Any:
    """The pairs of an array [S, N, F] and S labels; other items as they are."""
    if not isinstance(items, tuple | list) or len(items) != 2 or getattr(items[0], "ndim", 0) != 3:
        return items
    sequences, labels = items
    if not hasattr(labels, "__len__") or isinstance(labels, str | Mapping):
        raise DataError(f"expected an array [sequences, frames, features] and a list of labels, found {shown(labels)}")
    if len(labels) != len(sequences):
        raise DataError(f"expected as many labels as sequences, found {len(labels):,} for {len(sequences):,}")
    return zip(sequences, labels, strict=True)


def _sequence(item: Any, label: str) -> FrameRecord | TextRecord:
    if isinstance(item, FrameRecord):
        return replace(item)  # whose place is set
    if hasattr(item, "read") and hasattr(item, "shape"):
        return FrameRecord(item)
    if isinstance(item, Mapping):
        return TextRecord("", {str(key): value for key, value in item.items()})  # which field it is is not known yet
    fields: dict[str, Any] = {}
    if isinstance(item, tuple | list) and len(item) == 2 and _is_pair(*item):
        item, given = item
        fields = {label: as_json(given)}
    return row_frames({**fields, "frames": item}, "frames")


def _is_pair(sequence: Any, label: Any) -> bool:
    """Whether two objects are a sequence and its label, and not a sequence of two frames."""
    if isinstance(label, str | bool | Integral | None) or not hasattr(label, "__len__"):
        return isinstance(sequence, list | tuple) or hasattr(sequence, "__array__")
    if getattr(sequence, "ndim", 0) == 2:
        return True
    first = next(iter(sequence), None) if hasattr(sequence, "__iter__") else None
    return hasattr(first, "__len__") or all(isinstance(each, str | Mapping) for each in label)


_KINDS: dict[str, tuple[str, Callable[[Any, str], Any]]] = {
    "sentences": ("pairs", _sentence_of_pair),
    "texts": ("texts", _sentence_of_text),
    "pairs": ("pairs", _record_of_fields),
    "fields": ("records", _record_of_fields),
    "lines": ("lines", _record_of_line),
    "frames": ("sequences", _sequence),
}
"""kind of items → what messages call the data set, and what makes a record of one"""
