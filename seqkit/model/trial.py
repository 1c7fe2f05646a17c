"""What training would refuse of some records, found by the code of training, and not only the first."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from seqkit.errors import DataError, SeqkitError
from seqkit.inputs.base import NO_SOURCES, Input
from seqkit.resources import imported

_MOST_BUILT = 20
"""how often a model of texts is tried at most: after a record that it refuses it is tried without it"""


def refusals(settings: Any, parts: Mapping[str, Sequence[Any]]) -> Iterator[SeqkitError]:
    """Read records as a model reads them that is to learn from them, without its network.

    Args:
        settings: the settings of the model.
        parts: split → its records; what is neither dev nor test is learned from.

    Yields:
        The faults: of sequences of vectors all, of texts that are written from fields the first ones.
    """
    new = [record for split in ("dev", "test") for record in parts.get(split, ())]
    train = [record for split, records in parts.items() if split not in ("dev", "test") for record in records]
    task, faults, input = settings.row, list[DataError](), None
    if task.records == "frames":
        input = _reader(settings, train)
        train, new = (_sound(input, records, faults) for records in (train, new))
    yield from faults
    if not train:
        return
    try:
        settings = settings.complete_by(train)
        if input is not None:
            faults, head = [], task.head_class(settings)
            train = [record for record in train if _can_be_learned(head, settings, record, input, faults)]
            yield from faults
        input, head, train, faults = _built(settings, train, input)
        yield from faults
    except SeqkitError as error:
        yield error
        return
    for record in (*train, *new) if head is not None else ():
        try:
            deque(head.learned([record]), maxlen=0)
        except DataError as error:
            yield error
    for record in train if head is not None else ():
        try:
            head.targets([record])
        except DataError as error:
            yield error


def _reader(settings: Any, records: Sequence[Any]) -> Input | None:
    """What reads sequences of vectors as the first that can be read is."""
    for record in records:
        try:
            found: Input = imported(settings.row.input).build(settings, [record], NO_SOURCES)
        except DataError:
            continue
        return found
    return None


def _sound(input: Input | None, records: Sequence[Any], faults: list[DataError]) -> list[Any]:
    """The records that can be read."""
    found: list[Any] = []
    for record in records:
        try:
            if input is not None:
                input.check([record])
            found.append(record)
        except DataError as error:
            faults.append(error)
    return found


def _can_be_learned(head: Any, settings: Any, record: Any, input: Any, faults: list[DataError]) -> bool:
    """Whether a record has what is learned; that a single one is too little to learn from is no fault of it."""
    try:
        head.build(settings, [record], input)
    except DataError as error:
        if error.file:
            faults.append(error)
        return not error.file
    return True


def _built(settings: Any, records: list[Any], input: Any) -> tuple[Any, Any, list[Any], list[DataError]]:
    """Input and head, the records that they were built from, and the faults of others."""
    task, faults = settings.row, list[DataError]()
    for _ in range(_MOST_BUILT):
        try:
            made = input or imported(task.input).build(settings, records, NO_SOURCES)
            return made, task.head_class(settings).build(settings, records, made), records, faults
        except DataError as error:
            faults.append(error)
            others = [one for one in records if not error.line or (one.file, one.line) != (str(error.file), error.line)]
            if not others or len(others) == len(records):
                return input, None, records, faults
            records = others
    return input, None, records, [*faults, DataError("there may be more such faults; check again without these")]
