"""Data sets from Python objects instead of files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from seqkit.corpora.dataset import Dataset, Split
from seqkit.errors import DataError
from seqkit.records import Sentence, TextRecord, refuse_one

Items = Iterable[Any] | None


def from_items(kind: str, train: Items, dev: Items = None, test: Items = None, label: str = "label") -> Dataset:
    """A data set from Python objects of the kind that a task learns from.

    Args:
        kind: ``sentences``, pairs of tokens and labels; ``texts``, pairs of a text (or its tokens) and a label (or a
            list of labels); ``fields``, mappings with a text and other fields; or ``lines`` of text.
        train: the training items.
        dev: items to choose the best epoch by; without them the last tenth of train is held out.
        test: items to report on.
        label: the field or column that labels are kept in.

    Returns:
        The data set.

    Raises:
        DataError: an item is of another kind, or there is a single one instead of several.
    """
    name, make = _KINDS[kind]
    splits = {}
    for split, items in (("train", train), ("dev", dev), ("test", test)):
        if items is None:
            continue
        refuse_one(items, f"{name} {split}")
        content = []
        for number, item in enumerate(items, start=1):
            try:
                record = make(item, label)
            except ValueError as error:
                raise DataError(str(error), file=f"{name} {split}", line=number) from None
            record.file, record.line = f"{name} {split}", number
            content.append(record)
        splits[split] = Split(content=content)
    return Dataset(name, splits)


def _record_of_line(line: Any, label: str) -> TextRecord:
    if not isinstance(line, str):
        raise ValueError(f"expected a line of text, found {line!r:.80}")
    return TextRecord(line)


def _record_of_fields(fields: Any, label: str) -> TextRecord:
    if not isinstance(fields, Mapping):
        raise ValueError(f"expected a mapping of fields, found {fields!r:.80}")
    text = fields.get("text")
    return TextRecord(text if isinstance(text, str) else "", dict(fields))


def _sentence_of_pair(pair: Any, label: str) -> Sentence:
    try:
        tokens, labels = pair
    except (TypeError, ValueError):
        raise ValueError(f"expected a pair (tokens, labels), found {pair!r:.80}") from None
    if isinstance(tokens, str) or isinstance(labels, str):
        raise ValueError("expected sequences of strings, found one string")
    tokens, labels = list(tokens), list(labels)
    if len(tokens) != len(labels):
        raise ValueError(f"expected as many labels as tokens, found {len(labels)} labels for {len(tokens)} tokens")
    odd = [item for item in (*tokens, *labels) if not isinstance(item, str) or not item]
    if odd:
        raise ValueError(f"tokens and labels must be non-empty strings, found {odd[0]!r}")
    return Sentence.from_tokens(tokens, {label: labels})


def _sentence_of_text(pair: Any, name: str) -> Sentence:
    try:
        text, label = (pair["text"], pair["label"]) if isinstance(pair, Mapping) else pair
        label = label if isinstance(label, str) else list(label)
        text = text if isinstance(text, str) else list(text)
    except (TypeError, ValueError, KeyError):
        raise ValueError(f"expected a pair (text, label), found {pair!r:.80}") from None
    tokens, labels = ([] if isinstance(text, str) else text), ([] if isinstance(label, str) else label)
    odd = [item for item in (*tokens, *labels) if not isinstance(item, str)] + [""] * ("" in tokens)
    if odd:
        raise ValueError(f"texts, tokens and labels must be strings, and tokens not empty, found {odd[0]!r}")
    sentence = Sentence([], text, []) if isinstance(text, str) else Sentence.from_tokens(text)
    sentence.fields = {name: label}
    return sentence


_KINDS: dict[str, tuple[str, Callable[[Any, str], Any]]] = {
    "sentences": ("pairs", _sentence_of_pair),
    "texts": ("texts", _sentence_of_text),
    "fields": ("records", _record_of_fields),
    "lines": ("lines", _record_of_line),
}
"""kind of items → what messages call the data set, and what makes a record of one"""
