"""The conditions of generated texts ↔ numbers: fields of a record: labels, vectors, texts, dialogue acts, frames."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from seqkit.errors import DataError, ModelError, shown
from seqkit.formats.arrays import ArraySource
from seqkit.formats.dialogue_act import parse_act
from seqkit.formats.manifest import all_sequences, row_frames
from seqkit.inputs.acts import Acts, KnownActs
from seqkit.inputs.base import NO_SOURCES, Documents
from seqkit.inputs.frame_settings import FrameDataSettings
from seqkit.inputs.frames import FrameInput
from seqkit.inputs.vocabulary import LabelVocabulary, Vocabulary
from seqkit.nn.condition import ConditionInput, FieldInput, FrameSequences, TextUnits
from seqkit.records import FrameRecord, Sentence

KINDS = ("label", "vector", "text", "frames", "act")
Split = Callable[[str], list[str]]
Value = int | NDArray[np.float32] | list[int] | FrameRecord
"""a field as numbers: the id of a label, a vector [F], the ids of the units of a text or a dialogue act, or a sequence
that is not read yet"""

_MOST_LABELS = 100
_GREATEST, _LEAST = float(np.finfo(np.float32).max), float(np.finfo(np.float32).tiny)
"""the largest mean and the smallest scale in float32"""
_DEEPEST = 64
"""nested lists that numpy accepts"""


@dataclass(frozen=True)
class ConditionField:
    """One field, with what was learned of it from the training data.

    Args:
        name: the field.
        kind: one of `KINDS`.
        labels: its labels, for kind ``label``.
        mean: the mean of each number, for kind ``vector``.
        scale: the standard deviation of each number.
        units: the units of its texts, for kind ``text``, or of its dialogue acts, for kind ``act``.
        frames: what reads its sequences of vectors, for kind ``frames``.
        acts: what reads its dialogue acts, for kind ``act``.
    """

    name: str
    kind: str
    labels: LabelVocabulary | None = None
    mean: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()
    units: Vocabulary | None = None
    frames: FrameInput | None = None
    acts: Acts | None = None

    @cached_property
    def known(self) -> KnownActs | None:
        """What training has seen of dialogue acts, for kind ``act``."""
        return None if self.acts is None or self.units is None else KnownActs(self.units)

    def describe(self) -> str:
        """What is read, for the model card and for training."""
        if self.labels is not None:
            return f"{self.name}: one of {len(self.labels)} labels"
        if self.acts is not None and self.units is not None:
            return f"{self.name}: a dialogue act of {len(self.units) - 2:,} different types and slots"
        if self.units is not None:
            return f"{self.name}: a text of {len(self.units) - 2:,} different units"
        if self.frames is not None:
            recording = "" if self.frames.acoustics is None else "a recording as "
            return f"{self.name}: {recording}a sequence of vectors of {self.frames.size} numbers"
        return f"{self.name}: a vector of {len(self.mean)} numbers"

    def to_json(self) -> dict[str, Any]:
        """The field as a JSON object."""
        strings = self.units if self.labels is None else self.labels
        if self.frames is not None:
            learned = self.frames.documents()["frames.json"]
        else:
            learned = {"mean": list(self.mean), "scale": list(self.scale)} if strings is None else strings.to_json()
        return {"name": self.name, "kind": self.kind, **learned}


class ConditionCodec:
    """The fields of a record from which a text is generated ↔ numbers.

    Args:
        fields: the fields, in order; empty if texts are generated without a condition.
        split: splits a text into units.
    """

    def __init__(self, fields: Sequence[ConditionField], split: Split) -> None:
        self.fields = tuple(fields)
        self.split = split

    @classmethod
    def build(
        cls, sentences: Sequence[Sentence], asked: Sequence[tuple[str, str]], split: Split, settings: Any
    ) -> ConditionCodec:
        """Learn kinds, labels, means and units of the fields from training data.

        A field of numbers is a vector, and one of lists of numbers is a sequence of vectors (frames), as is one of
        names of array files and recordings. Another field of strings is a label if there are few different ones (at
        most a hundred, each twice on average), otherwise a text.

        Args:
            sentences: the training texts with their fields.
            asked: the names of the fields, each with its kind or ``""`` to find it out; see `parse_fields`.
            split: splits a text into units.
            settings: the settings of the model; sequences of vectors are read as its ``frames`` and ``audio`` say.

        Returns:
            The codec.

        Raises:
            DataError: a record lacks a field, or the values of a field differ in kind or size.
        """
        return cls([_learn(sentences, name, kind, split, settings) for name, kind in asked], split)

    def encode(self, values: Mapping[str, Any], file: str = "", line: int = 0) -> tuple[Value, ...]:
        """Convert one record.

        Args:
            values: field → a string, a number, or for vectors a list (of lists) of numbers or an array; for sequences
                of vectors a list of vectors, an array [N, F], or in a record that came from a file the name of another
                one, relative to it. There what was opened takes the place of the name, and is not opened again.
            file: where the record came from; empty for one that may name no files.
            line: its line.

        Returns:
            One value per field.

        Raises:
            DataError: a field is missing, a vector has another size, a label is not in the training data, or a value is
                of another kind.
        """
        with _placed(file, line):
            return tuple(self._encode(field, values, file, line) for field in self.fields)

    def _encode(self, field: ConditionField, values: Mapping[str, Any], file: str, line: int) -> Value:
        if field.frames is not None:
            found = _sequence(values, field.name, file, line)
            field.frames.lengths([found])  # which are of the right kind and size, then
            return found
        value = _value(values, field.name)
        if field.kind == "vector":
            return _vector(value, field.name, len(field.mean))
        string = _string(value, field.name)
        if field.units is not None:
            if field.acts is None:
                return field.units.indices(self.split(string))
            read = field.acts.units(parse_act(string))
            assert field.known is not None
            field.known.check(read)
            return field.units.indices(read)
        assert field.labels is not None
        if string not in field.labels:
            known = ", ".join(field.labels.labels[:8]) + (", …" if len(field.labels) > 8 else "")
            raise DataError(f"expected a {field.name!r} seen in training ({known}), found {string!r}")
        return field.labels.index(string)

    def unknown_slots(self, values: Mapping[str, Any]) -> list[str]:
        """What training lacks of the slots of a record's dialogue act; see `seqkit.inputs.acts.KnownActs.unknown`.

        Args:
            values: see `encode`, which takes them.

        Returns:
            For each such slot what it is.
        """
        return [
            unknown
            for field in self.fields
            if field.acts is not None and field.known is not None
            for unknown in field.known.unknown(
                field.acts.units(parse_act(_string(_value(values, field.name), field.name)))
            )
        ]

    def batch(self, encoded: Sequence[tuple[Value, ...]]) -> ConditionInput:
        """Make batches of records.

        Args:
            encoded: what `encode` returned for each of B records.

        Returns:
            One batch per field, on the CPU.
        """
        found: list[FieldInput] = []
        for number, field in enumerate(self.fields):
            column: list[Any] = [record[number] for record in encoded]
            if field.kind == "label":
                found.append(torch.tensor(column, dtype=torch.int64))  # [B]
            elif field.kind == "vector":
                vectors = np.array(column, dtype=np.float32).reshape(len(column), len(field.mean))  # [B, F]
                found.append(torch.from_numpy(vectors))
            elif field.frames is not None:
                batch = field.frames.collate(field.frames.arrays(column), np.arange(len(column)))
                found.append(FrameSequences(batch.frames, batch.frame_lengths))
            else:
                lengths = np.array([len(units) for units in column], dtype=np.int64)  # [B]
                values = np.zeros((len(column), int(lengths.max(initial=0))), dtype=np.int64)  # [B, T]
                for row, units in enumerate(column):
                    values[row, : len(units)] = units
                found.append(TextUnits(torch.from_numpy(values), torch.from_numpy(lengths)))
        return tuple(found)

    def learned(self, values: Sequence[Value]) -> list[str]:
        """What a record says, for a checksum.

        Args:
            values: what `encode` returned for it.

        Returns:
            One string a field.

        Raises:
            DataError: a sequence of vectors cannot be read, or has numbers that are not finite.
        """
        found: list[str] = []
        for field, value in zip(self.fields, values, strict=True):
            if field.frames is not None:
                found.append(str(field.frames.check([value])))  # type: ignore[list-item]
            else:
                found.append(value.tobytes().hex() if isinstance(value, np.ndarray) else repr(value))
        return found

    def describe(self) -> list[str]:
        """What is read of each field, for the model card and for training."""
        return [field.describe() for field in self.fields]

    def to_json(self) -> dict[str, Any]:
        """The codec as a JSON object; see `from_json`."""
        return {"fields": [field.to_json() for field in self.fields]}

    @classmethod
    def from_json(cls, value: object, split: Split, settings: Any) -> ConditionCodec:
        """Read what `to_json` gave.

        Args:
            value: a parsed JSON value.
            split: splits a text into units.
            settings: the settings of the model.

        Returns:
            The codec.

        Raises:
            ModelError: `value` is something else.
        """
        trees = value.get("fields") if isinstance(value, dict) else None
        if not isinstance(trees, list):
            raise ModelError(f"conditions: expected a JSON object with a list 'fields', found {type(value).__name__}")
        return cls([_field_from_json(tree, settings) for tree in trees], split)


def parse_fields(text: str) -> list[tuple[str, str]]:
    """Read a list of fields, ``form,title:text``.

    Args:
        text: names separated by commas, each optionally followed by ``:label`` or another of `KINDS`.

    Returns:
        Names with kinds, ``""`` for a name without one; empty for a blank string.

    Raises:
        DataError: a name is empty or occurs twice, or a kind is unknown.
    """
    found: list[tuple[str, str]] = []
    for part in text.split(",") if text.strip() else ():
        name, _, kind = part.strip().rpartition(":") if ":" in part else (part.strip(), "", "")
        if kind not in ("", *KINDS):
            raise DataError(f"the kind of a condition must be one of {', '.join(KINDS)}, found {kind!r} in {text!r}")
        if not name or name in dict(found):
            raise DataError(f"the condition must be different fields separated by commas, found {text!r}")
        found.append((name, kind))
    return found


def can_be_written(value: Any) -> bool:
    """Whether a value may be part of a condition.

    Args:
        value: the value of a field.

    Returns:
        True for a string, a number, and lists (of lists) of numbers; that these are finite is seen where they are read.
    """
    if isinstance(value, FrameRecord):
        return True
    try:
        (_array if _is_vector(value) else _string)(value, "")
    except DataError:
        return False
    return True


@contextmanager
def _placed(file: str, line: int) -> Iterator[None]:
    """Add to messages where a record came from."""
    try:
        yield
    except DataError as error:
        if file and str(error).startswith(f"{file}:"):
            raise
        raise DataError(str(error), file=file, line=line) from None


def _value(values: Mapping[str, Any], name: str) -> Any:
    value = values.get(name)
    if value is None:
        found = ", ".join(repr(key) for key, given in values.items() if given is not None) or "none"
        raise DataError(f"expected a field {name!r} in the condition, found {found}")
    return value


def _sequence(values: Mapping[str, Any], name: str, file: str, line: int) -> FrameRecord:
    """The sequence of vectors in a field, which is not read yet."""
    value = _value(values, name)
    if isinstance(value, FrameRecord):
        if file and not value.file:
            value.file, value.line = file, line
        return value
    if hasattr(value, "__array__") and not isinstance(value, np.ndarray):
        value = np.asarray(value)
    if isinstance(value, np.ndarray) and value.ndim == 2 and value.dtype.kind in "biuf":  # perhaps not in memory
        found = FrameRecord(ArraySource(value), name)
    else:
        value = list(value) if isinstance(value, tuple) else value
        try:
            found = row_frames({**values, name: value}, name, Path(file).parent if file else None, file, line)
        except DataError as error:
            named = repr(name) in str(error) or f'"{name}"' in str(error)
            raise DataError(str(error) if named else f"{error} (field {name!r})") from None
    found.name, found.file, found.line = found.name or name, file, line
    found.fields = {key: each for key, each in values.items() if key != name}
    if file and isinstance(values, MutableMapping):
        values[name] = found
    return found


def _is_vector(value: Any) -> bool:
    return isinstance(value, list | tuple | np.ndarray)


def _array(value: Any, name: str) -> NDArray[Any]:
    """Numbers in any nesting as an array."""
    expected = f"expected a list of numbers as {name!r}"
    if isinstance(value, FrameRecord) and isinstance(value.source, ArraySource):
        value = value.source.read()
    try:
        array = np.asarray(value) if _is_vector(value) and _may_be_numbers(value) else None
    except ValueError:
        raise DataError(f"{expected}, found lists of different lengths") from None
    if array is None or (array.size and array.dtype.kind not in "iuf"):
        raise DataError(f"{expected}, found {shown(value, 40)}")
    if not array.size:
        raise DataError(f"{expected}, found an empty list")
    return array


def _vector(value: Any, name: str, size: int | None = None) -> NDArray[np.float32]:
    """Numbers in any nesting as one vector, of a size if it is known."""
    array = _array(value, name)
    with np.errstate(over="ignore"):  # what is too large for float32 becomes infinite
        vector = array.astype(np.float32).ravel()
    if not np.isfinite(vector).all():
        raise DataError(f"expected a list of numbers as {name!r}, found one that is not finite in float32")
    if size is not None and len(vector) != size:
        raise DataError(f"expected a vector of {size} numbers as {name!r}, found {len(vector)}")
    return vector


def _may_be_numbers(value: Any, depth: int = 0) -> bool:
    """Whether lists contain no strings, all of which numpy would make as wide as the longest one."""
    if isinstance(value, np.ndarray) or depth == _DEEPEST:
        return True
    kinds = set(map(type, value))
    if str in kinds:
        return False
    return not kinds <= {list, tuple} or all(_may_be_numbers(each, depth + 1) for each in value)


def _string(value: Any, name: str) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    raise DataError(f"expected a string as {name!r}, found {shown(value, 40)}")


def _learn(sentences: Sequence[Sentence], name: str, kind: str, split: Split, settings: Any) -> ConditionField:
    if kind == "frames" or (not kind and all_sequences((sentence.fields for sentence in sentences), name)):
        return _learn_frames(sentences, name, settings)
    if kind == "vector" or (not kind and sentences and _is_vector(sentences[0].fields.get(name))):
        return _learn_vector(sentences, name)
    strings: list[str] = []
    for sentence in sentences:
        with _placed(sentence.file, sentence.line):
            strings.append(_string(_value(sentence.fields, name), name))
    different = len(set(strings))
    if kind == "label" or (not kind and different <= min(_MOST_LABELS, len(strings) // 2)):
        return ConditionField(name, "label", labels=LabelVocabulary.build(strings))
    if kind == "act":
        acts = Acts(settings.acts)
        counts = Counter[str]()
        for sentence, string in zip(sentences, strings, strict=True):
            counts.update(acts.units(parse_act(string, file=sentence.file, line=sentence.line)))
        return ConditionField(name, kind, units=Vocabulary.build(counts), acts=acts)
    counts = Counter(unit for string in strings for unit in split(string))
    # Units that occur once are replaced by the unknown unit, so that it is trained, too.
    least = 2 if max(counts.values(), default=0) > 1 else 1
    return ConditionField(name, "text", units=Vocabulary.build(counts, least))


class _FrameSettings(NamedTuple):
    """The settings by which sequences of vectors are read: those of a model whose input they are not."""

    audio: Any
    frames: Any
    data: FrameDataSettings = FrameDataSettings()

    @classmethod
    def of(cls, settings: Any) -> _FrameSettings:
        """Those of a model."""
        return cls(settings.audio, settings.frames)


def _learn_frames(sentences: Sequence[Sentence], name: str, settings: Any) -> ConditionField:
    if not sentences:
        raise DataError(f"no training records with a sequence of vectors {name!r}")
    records: list[FrameRecord] = []
    for sentence in sentences:
        with _placed(sentence.file, sentence.line):
            records.append(_sequence(sentence.fields, name, sentence.file, sentence.line))
    return ConditionField(name, "frames", frames=FrameInput.build(_FrameSettings.of(settings), records, NO_SOURCES))


def _learn_vector(sentences: Sequence[Sentence], name: str) -> ConditionField:
    if not sentences:
        raise DataError(f"no training records with a vector {name!r}")
    vectors: list[NDArray[np.float32]] = []
    for sentence in sentences:
        with _placed(sentence.file, sentence.line):
            size = len(vectors[0]) if vectors else None  # as in the first record
            vectors.append(_vector(_value(sentence.fields, name), name, size))
    matrix = np.stack(vectors).astype(np.float64)  # [N, F]
    scale = matrix.std(0)  # [F]
    # A number that is constant in training has no information, and must not be magnified if it changes later.
    scale[scale <= max(1e-6 * np.abs(matrix).max(), _LEAST)] = max(float(scale.max()), 1e-6)
    return ConditionField(name, "vector", mean=tuple(matrix.mean(0).tolist()), scale=tuple(scale.tolist()))


def _field_from_json(tree: object, settings: Any) -> ConditionField:
    tree = tree if isinstance(tree, dict) else {}
    name, kind = tree.get("name"), tree.get("kind")
    if not isinstance(name, str) or kind not in KINDS:
        raise ModelError(f"conditions: expected a field's name and its kind, found {shown(name)} and {shown(kind)}")
    if kind == "label":
        return ConditionField(name, kind, labels=LabelVocabulary.from_json({"labels": tree.get("labels")}))
    if kind == "text":
        return ConditionField(name, kind, units=Vocabulary.from_json({"words": tree.get("words")}))
    if kind == "act":
        units = Vocabulary.from_json({"words": tree.get("words")})
        return ConditionField(name, kind, units=units, acts=Acts(settings.acts))
    if kind == "frames":
        documents = Documents({"frames.json": tree}, f"conditions: {shown(name)}")
        return ConditionField(name, kind, frames=FrameInput.restore(_FrameSettings.of(settings), documents))
    mean, scale = _numbers(tree.get("mean")), _numbers(tree.get("scale"))
    if len(mean) != len(scale) or not mean:
        raise ModelError(f"conditions: mean and scale of {shown(name)} must be lists of numbers of equal length")
    if min(scale) < _LEAST:
        raise ModelError(f"conditions: scales of {shown(name)} must be positive, found {min(scale)}")
    return ConditionField(name, kind, mean=mean, scale=scale)


def _numbers(value: object) -> tuple[float, ...]:
    """A list of numbers in float32's range; empty if it is something else."""
    if isinstance(value, list) and all(isinstance(each, float | int) and abs(each) <= _GREATEST for each in value):
        return tuple(map(float, value))
    return ()
