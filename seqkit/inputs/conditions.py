"""What a text is generated from ↔ numbers: fields of a record that are labels, vectors of numbers, or texts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqkit.errors import DataError, ModelError, shown
from seqkit.inputs.vocabulary import LabelVocabulary, Vocabulary
from seqkit.records import Sentence

__all__ = ["KINDS", "ConditionBatch", "ConditionCodec", "ConditionField", "can_be_written", "parse_fields"]

KINDS = ("label", "vector", "text")
Split = Callable[[str], list[str]]
Value = int | NDArray[np.float32] | list[int]
"""what a field says as numbers: a label's number, a vector [F], or the numbers of a text's units"""

_MOST_LABELS = 100
_GREATEST, _LEAST = float(np.finfo(np.float32).max), float(np.finfo(np.float32).tiny)
"""what a mean and a scale may be for float32 to hold them"""
_DEEPEST = 64
"""lists in lists that numpy takes"""


class ConditionBatch(NamedTuple):
    """What one field says of B texts.

    Attributes:
        kind: one of `KINDS`.
        values: labels int64 [B], vectors float32 [B, F], or units int64 [B, T], padded with 0.
        lengths: of texts how many units each has, int64 [B]; otherwise None.
    """

    kind: str
    values: NDArray[Any]
    lengths: NDArray[np.int64] | None


@dataclass(frozen=True)
class ConditionField:
    """One field and how it is written in numbers.

    Args:
        name: the field.
        kind: one of `KINDS`.
        labels: its labels, of kind ``label``.
        mean: what each number is on average, of kind ``vector``.
        scale: how far each usually is from that.
        units: the units of its texts, of kind ``text``.
    """

    name: str
    kind: str
    labels: LabelVocabulary | None = None
    mean: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()
    units: Vocabulary | None = None


class ConditionCodec:
    """The fields of a record that a text is generated from ↔ numbers.

    Args:
        fields: the fields, in order; none where a text is generated from nothing.
        split: cuts a text into units.
    """

    def __init__(self, fields: Sequence[ConditionField], split: Split) -> None:
        self.fields = tuple(fields)
        self.split = split

    @classmethod
    def build(cls, sentences: Sequence[Sentence], asked: Sequence[tuple[str, str]], split: Split) -> ConditionCodec:
        """Learn from training data what the fields say.

        A field of numbers is a vector; one of strings is a label where there are few different ones (at most a hundred,
        and each twice on average), otherwise a text.

        Args:
            sentences: the training texts with their fields.
            asked: the fields' names, each with its kind or ``""`` to find that out; see `parse_fields`.
            split: cuts a text into units.

        Returns:
            The codec.

        Raises:
            DataError: a field is missing somewhere, or its values are not all of one kind and size.
        """
        return cls([_learn(sentences, name, kind, split) for name, kind in asked], split)

    def encode(self, values: Mapping[str, Any], file: str = "", line: int = 0) -> tuple[Value, ...]:
        """What one record says.

        Args:
            values: field → a string, a number, or for vectors a list (of lists) of numbers or an array.
            file: where the record came from, for messages.
            line: its line.

        Returns:
            One value a field.

        Raises:
            DataError: a field is missing, a vector has another size, a label was never seen in training, or a value is
                of another kind.
        """
        place: dict[str, Any] = {"file": file or None, "line": line or None}
        return tuple(self._encode(field, _value(values, field.name, place), place) for field in self.fields)

    def _encode(self, field: ConditionField, value: Any, place: dict[str, Any]) -> Value:
        if field.kind == "vector":
            vector = _vector(value, field.name, place)
            if len(vector) != len(field.mean):
                message = f"expected a vector of {len(field.mean)} numbers as {field.name!r}, found {len(vector)}"
                raise DataError(message, **place)
            return vector
        string = _string(value, field.name, place)
        if field.labels is not None:
            if string not in field.labels:
                known = ", ".join(field.labels.labels[:8]) + (", …" if len(field.labels) > 8 else "")
                raise DataError(f"expected a {field.name!r} seen in training ({known}), found {string!r}", **place)
            return field.labels.index(string)
        assert field.units is not None
        return field.units.indices(self.split(string))

    def batch(self, encoded: Sequence[tuple[Value, ...]]) -> list[ConditionBatch]:
        """Put records together.

        Args:
            encoded: what `encode` gave for each of B records.

        Returns:
            One batch a field.
        """
        found: list[ConditionBatch] = []
        for number, field in enumerate(self.fields):
            column: list[Any] = [record[number] for record in encoded]
            if field.kind == "label":
                found.append(ConditionBatch("label", np.array(column, dtype=np.int64), None))
            elif field.kind == "vector":
                values = np.stack(column) if column else np.zeros((0, len(field.mean)), dtype=np.float32)
                found.append(ConditionBatch("vector", values, None))
            else:
                lengths = np.array([len(units) for units in column], dtype=np.int64)  # [B]
                values = np.zeros((len(column), int(lengths.max(initial=0))), dtype=np.int64)  # [B, T]
                for row, units in enumerate(column):
                    values[row, : len(units)] = units
                found.append(ConditionBatch("text", values, lengths))
        return found

    def describe(self) -> list[str]:
        """One line a field: its name, its kind and how much there is of it."""
        lines = []
        for field in self.fields:
            if field.labels is not None:
                lines.append(f"{field.name}: one of {len(field.labels)} labels")
            elif field.units is not None:
                lines.append(f"{field.name}: a text of {len(field.units) - 2:,} different units")
            else:
                lines.append(f"{field.name}: a vector of {len(field.mean)} numbers")
        return lines

    def to_json(self) -> dict[str, Any]:
        """The codec as a JSON object; see `from_json`."""
        trees: list[dict[str, Any]] = []
        for field in self.fields:
            tree: dict[str, Any] = {"name": field.name, "kind": field.kind}
            if field.labels is not None:
                tree |= field.labels.to_json()
            elif field.units is not None:
                tree |= field.units.to_json()
            else:
                tree |= {"mean": list(field.mean), "scale": list(field.scale)}
            trees.append(tree)
        return {"fields": trees}

    @classmethod
    def from_json(cls, value: object, split: Split) -> ConditionCodec:
        """Read what `to_json` gave.

        Args:
            value: a parsed JSON value.
            split: cuts a text into units.

        Returns:
            The codec.

        Raises:
            ModelError: `value` is something else.
        """
        trees = value.get("fields") if isinstance(value, dict) else None
        if not isinstance(trees, list):
            raise ModelError(f"conditions: expected a JSON object with a list 'fields', found {type(value).__name__}")
        return cls([_field_from_json(tree) for tree in trees], split)


def parse_fields(text: str) -> list[tuple[str, str]]:
    """Read a list of fields, ``form,title:text``.

    Args:
        text: names separated by commas, each with ``:label``, ``:vector`` or ``:text`` behind it or not.

    Returns:
        Names with kinds, ``""`` where none is said; none for a blank string.

    Raises:
        DataError: a name is empty or stands twice, or a kind is none of `KINDS`.
    """
    found: list[tuple[str, str]] = []
    for part in text.split(",") if text.strip() else ():
        name, _, kind = part.strip().rpartition(":") if ":" in part else (part.strip(), "", "")
        if kind not in ("", *KINDS):
            raise DataError(f"expected a condition's kind among {', '.join(KINDS)}, found {kind!r} in {text!r}")
        if not name or name in dict(found):
            raise DataError(f"expected different fields separated by commas as the condition, found {text!r}")
        found.append((name, kind))
    return found


def can_be_written(value: Any) -> bool:
    """Whether a field may be part of a condition.

    Args:
        value: what the field holds.

    Returns:
        True for a string, a number, and lists (of lists) of numbers.
    """
    write = _vector if _is_vector(value) else _string
    try:
        write(value, "", {})
    except DataError:
        return False
    return True


def _value(values: Mapping[str, Any], name: str, place: dict[str, Any]) -> Any:
    value = values.get(name)
    if value is None:
        found = ", ".join(repr(key) for key, given in values.items() if given is not None) or "none"
        raise DataError(f"expected a field {name!r} in the condition, found {found}", **place)
    return value


def _is_vector(value: Any) -> bool:
    return isinstance(value, list | tuple | np.ndarray)


def _vector(value: Any, name: str, place: dict[str, Any]) -> NDArray[np.float32]:
    """Numbers, whatever their nesting, as one vector."""
    expected = f"expected a list of numbers as {name!r}"
    if not _is_vector(value) or not _may_be_numbers(value):
        raise DataError(f"{expected}, found {shown(value, 40)}", **place)
    try:
        array = np.asarray(value)
    except ValueError:
        raise DataError(f"{expected}, found lists of different lengths", **place) from None
    if array.dtype.kind not in "iuf":
        raise DataError(f"{expected}, found {shown(value, 40)}" if array.size else f"{expected}, found none", **place)
    with np.errstate(over="ignore"):  # what float32 cannot hold is not finite, and told below
        vector = array.astype(np.float32).ravel()
    if not np.isfinite(vector).all():
        raise DataError(f"{expected}, found one that is not finite", **place)
    if not len(vector):
        raise DataError(f"{expected}, found none", **place)
    return vector


def _may_be_numbers(value: Any, depth: int = 0) -> bool:
    """Whether lists hold no strings, all of which numpy would make as wide as the longest one."""
    if isinstance(value, np.ndarray) or depth == _DEEPEST:
        return True
    kinds = set(map(type, value))
    if str in kinds:
        return False
    return not kinds <= {list, tuple} or all(_may_be_numbers(each, depth + 1) for each in value)


def _string(value: Any, name: str, place: dict[str, Any]) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    raise DataError(f"expected a string as {name!r}, found {shown(value, 40)}", **place)


def _learn(sentences: Sequence[Sentence], name: str, kind: str, split: Split) -> ConditionField:
    rows = []
    for sentence in sentences:
        place: dict[str, Any] = {"file": sentence.file or None, "line": sentence.line or None}
        rows.append((_value(sentence.fields, name, place), place))
    if kind == "vector" or (not kind and rows and _is_vector(rows[0][0])):
        return _learn_vector(rows, name)
    strings = [_string(value, name, place) for value, place in rows]
    different = set(strings)
    few = len(different) <= _MOST_LABELS and 2 * len(different) <= len(strings)
    if kind == "label" or (not kind and few):
        return ConditionField(name, "label", labels=LabelVocabulary.build(strings))
    counts = Counter(unit for string in strings for unit in split(string))
    # What was seen once stands for what was never seen, which a reader has to have met too.
    least = 2 if max(counts.values(), default=0) > 1 else 1
    return ConditionField(name, "text", units=Vocabulary.build(counts, least))


def _learn_vector(rows: Sequence[tuple[Any, dict[str, Any]]], name: str) -> ConditionField:
    if not rows:
        raise DataError(f"expected at least one record with a vector {name!r}, found none")
    vectors = [_vector(value, name, place) for value, place in rows]
    for vector, (_, place) in zip(vectors, rows, strict=True):
        if len(vector) != len(vectors[0]):
            expected = f"expected a vector of {len(vectors[0])} numbers as {name!r}, as in the first record"
            raise DataError(f"{expected}, found {len(vector)}", **place)
    matrix = np.stack(vectors).astype(np.float64)  # [N, F]
    scale = matrix.std(0)  # [F]
    # A number that never changes tells nothing, and must not be magnified where it does change once.
    scale[scale <= max(1e-6 * np.abs(matrix).max(), _LEAST)] = max(float(scale.max()), 1e-6)
    return ConditionField(name, "vector", mean=tuple(matrix.mean(0).tolist()), scale=tuple(scale.tolist()))


def _field_from_json(tree: object) -> ConditionField:
    tree = tree if isinstance(tree, dict) else {}
    name, kind = tree.get("name"), tree.get("kind")
    if not isinstance(name, str) or kind not in KINDS:
        raise ModelError(f"conditions: expected a field's name and its kind, found {shown(name)} and {shown(kind)}")
    if kind == "label":
        return ConditionField(name, kind, labels=LabelVocabulary.from_json({"labels": tree.get("labels")}))
    if kind == "text":
        return ConditionField(name, kind, units=Vocabulary.from_json({"words": tree.get("words")}))
    mean, scale = tree.get("mean"), tree.get("scale")
    numbers = [*mean, *scale] if isinstance(mean, list) and isinstance(scale, list) else [None]
    sizes_fit = isinstance(mean, list) and isinstance(scale, list) and len(mean) == len(scale) > 0
    if not sizes_fit or not all(isinstance(number, float | int) and abs(number) <= _GREATEST for number in numbers):
        raise ModelError(f"conditions: expected mean and scale of {shown(name)} as lists of numbers of one length")
    assert isinstance(mean, list) and isinstance(scale, list)
    if min(scale) < _LEAST:
        raise ModelError(f"conditions: expected positive scales of {shown(name)}, found {min(scale)}")
    return ConditionField(name, kind, mean=tuple(map(float, mean)), scale=tuple(map(float, scale)))
