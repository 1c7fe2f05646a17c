"""Labels of frames: as a field of a record has them, one a frame or as runs, and the times of frames."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal, NamedTuple

from seqkit.errors import shown
from seqkit.formats.audio import AudioFile
from seqkit.formats.json_text import objects
from seqkit.formats.schemes import from_spans, spans
from seqkit.records import FrameRecord, control_fault

Unit = Literal["frames", "seconds"]
_ROUNDING = 1e-6
"""share of a frame by which a time may be off by rounding alone"""


class Run(NamedTuple):
    """Consecutive frames of one label.

    Args:
        start: the first frame.
        end: one past the last frame.
        label: their label, of spans without a prefix.
    """

    start: int
    end: int
    label: str


@dataclass(frozen=True)
class Clock:
    """When frames are: frame n is the window of time that begins n / rate seconds after the first one does.

    A time belongs to the frame whose middle is nearest, so that the border of two frames lies halfway between their
    middles; the first frame begins with the sequence, and the last one ends with it.

    Args:
        rate: frames a second.
        window: the length of a frame's window in seconds.
    """

    rate: float
    window: float

    def frame(self, seconds: float) -> int:
        """The first frame whose middle is not before a time; it may be negative, or beyond the sequence."""
        return math.ceil((seconds - self.window / 2) * self.rate - _ROUNDING)

    def seconds(self, frame: int, frames: int, duration: float) -> float:
        """When a frame begins.

        Args:
            frame: the frame; of N frames the end is where frame N would begin.
            frames: N.
            duration: the length of the sequence in seconds.

        Returns:
            The time in seconds.
        """
        if frame in (0, frames):
            return duration if frame else 0.0
        return (frame - 0.5) / self.rate + self.window / 2

    def duration(self, frames: int, seconds: float | None = None) -> float:
        """The length of a sequence in seconds, which is known of a recording; else until its last frame ends."""
        return (frames - 1) / self.rate + self.window if seconds is None else seconds


def duration(record: FrameRecord, clock: Clock) -> float:
    """The length of a sequence in seconds; of an array until its last frame ends."""
    source = record.source
    if isinstance(source, AudioFile):
        return source.seconds
    return clock.duration(len(record))


# --- reading ------------------------------------------------------------------------------------------------------


@dataclass
class LabelReader:
    """Reads the labels of frames: a list with a label for each frame, or a list of runs.

    A run is ``{"start": …, "end": …, "label": …}``, the end exclusive; further fields of it are not read. Runs need not
    be sorted. Frames that no run covers have the label `outside`. A run in seconds covers the frames whose middle it
    covers, perhaps none; it may go beyond the end of its sequence by the length of a frame, as rounding may.

    Args:
        field: the field of the labels.
        unit: what the numbers of runs are.
        outside: the label of what no run covers.
        scheme: how labels of frames mark runs as spans: ``iob1``, ``iob2`` or ``bioes``; ``none``: each frame has the
            label of its run.
        clock: when frames are; None where that is not known.

    Attributes:
        runs: how many runs were read.
        short: how many of them cover no frame.
        joined: how many begin where another one of the same label ends, so that no label shows the border.
    """

    field: str
    unit: Unit
    outside: str = "O"
    scheme: str = "none"
    clock: Clock | None = None
    runs: int = 0
    short: int = 0
    joined: int = 0

    def __call__(self, record: FrameRecord) -> list[str]:
        """Read the labels of a sequence whose number of frames is known.

        Args:
            record: the sequence.

        Returns:
            One label a frame.

        Raises:
            DataError: there is no such field, or what it holds are no labels of the frames.
        """
        values = field_values(record, self.field)
        count = len(record)
        if not values or isinstance(values[0], Mapping):
            found = self._runs(record, values)
            if self.scheme != "none":
                return from_spans(found, count, self.scheme)
            labels = [self.outside] * count
            for start, end, label in found:
                labels[start:end] = [label] * (end - start)
            return labels
        known: set[str] = set()
        labels = []
        for value in values:
            label = value if type(value) is str and value in known else self._label(record, value)
            known.add(label)
            labels.append(label)
        if len(labels) != count:
            expected = f"expected {count:,} labels in field {self.field!r}, one a frame, found {len(labels):,}"
            raise record.fault(expected)
        return labels

    def _runs(self, record: FrameRecord, values: Sequence[Any]) -> list[Run]:
        """The runs of a record in frames, sorted."""
        read: list[tuple[float, float, str]] = []
        length = self._length(record) if values else 0
        for number, value in enumerate(values, start=1):
            if not isinstance(value, Mapping) or not {"start", "end", "label"} <= set(value):
                expected = f"run {number}: expected an object with start, end and label, found {shown(value)}"
                raise record.fault(expected)
            start, end = (self._time(record, number, name, value[name]) for name in ("start", "end"))
            label = self._label(record, value["label"], f"run {number}: ")
            if not 0 <= start < end:
                what = "begins before the sequence" if start < 0 else "does not end after its start"
                raise record.fault(f"run {number}, {start:g} to {end:g} {self.unit}, {what}")
            if end > length + self._room:
                hint = "; --times frames reads frames" if self.unit == "seconds" and end == int(end) else ""
                beyond = f"goes beyond the {length:g} {self.unit} of the sequence{hint}"
                raise record.fault(f"run {number}, {start:g} to {end:g} {self.unit}, {beyond}")
            read.append((start, end, label))
        read.sort()
        before = (0.0, 0.0, "")
        found: list[Run] = []
        for run in read:
            if run[0] < before[1] - self._room * _ROUNDING:
                places = " and ".join(f"{start:g} to {end:g}" for start, end, _ in (before, run))
                raise record.fault(f"two runs overlap: {places} {self.unit}")
            self.joined += run[0] == before[1] and run[2] == before[2] and self.scheme == "none"
            before = run
            first, last = self._frames(run, len(record))
            if first < last:
                found.append(Run(first, last, run[2]))
            else:
                self.short += 1
        self.runs += len(read)
        return found

    @property
    def _room(self) -> float:
        """By how much a run may go beyond the end."""
        return 1 / self.clock.rate if self.unit == "seconds" and self.clock is not None else 0.0

    def _length(self, record: FrameRecord) -> float:
        """Of the whole sequence, as runs measure it."""
        if self.unit == "frames":
            return len(record)
        if self.clock is None:
            told = "the runs are in seconds, and the frames a second of the arrays are not known"
            raise record.fault(f"{told}; --frame-rate N says them")
        return duration(record, self.clock)

    def _frames(self, run: tuple[float, float, str], count: int) -> tuple[int, int]:
        if self.unit == "frames" or self.clock is None:
            return int(run[0]), int(run[1])
        return max(0, self.clock.frame(run[0])), min(count, self.clock.frame(run[1]))

    def _time(self, record: FrameRecord, number: int, name: str, value: Any) -> float:
        sound = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e15  # NaN is not
        if not sound:
            raise record.fault(f"run {number}: expected a number as {name}, found {shown(value)}")
        if self.unit == "frames" and value != int(value):
            told = f"run {number}: expected a frame, a whole number, as {name}, found {value:g}"
            raise record.fault(f"{told}; --times seconds reads seconds")
        return float(value)

    def _label(self, record: FrameRecord, value: Any, place: str = "") -> str:
        if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e15:
            value = json.dumps(value)
        if not isinstance(value, str) or not value:
            expected = f"{place}expected a label in field {self.field!r}"
            raise record.fault(f"{expected}, found {shown(value) if value != '' else 'an empty one'}")
        if fault := control_fault([value]):
            raise record.fault(f"{place}{fault}")
        return str(value)

    def notes(self) -> list[str]:
        """Lines for the user: what became of the runs that were read."""
        notes = []
        if self.runs:
            notes.append(f"the runs of field {self.field!r} are read in {self.unit} (--times)")
        if self.short:
            notes.append(f"{self.short:,} of the {self.runs:,} runs are so short that they label no frame")
        if self.joined:
            touch = f"{self.joined:,} runs begin where one of the same label ends, and are learned as one with it"
            notes.append(f"{touch}; --scheme iob2 keeps them apart")
        return notes


def field_values(record: FrameRecord, field: str) -> Sequence[Any]:
    """What the field of the labels holds.

    Args:
        record: the sequence.
        field: the field.

    Returns:
        A list, whose items are not looked at.

    Raises:
        DataError: there is no such field, or it holds something else.
    """
    if field not in record.fields:
        found = ", ".join(map(repr, record.fields)) or "none"
        raise record.fault(f"expected a field {field!r} with labels, found {found}; --target names another one")
    value = record.fields[field]
    if isinstance(value, str) and value.lstrip().startswith("["):  # a cell of a table
        ((_, value),) = objects([(record.line, value)], record.file, "lines")
    if hasattr(value, "tolist"):
        value = value.tolist()
    if not isinstance(value, list | tuple):
        expected = "expected a list of labels, one a frame, or of runs with start, end and label"
        raise record.fault(f"{expected} in field {field!r}, found {shown(value)}")
    return value


def unit_of(records: Sequence[FrameRecord], field: str) -> Unit:
    """What the numbers of runs are, where nobody says it.

    Args:
        records: the training records.
        field: the field of the labels.

    Returns:
        Seconds of recordings, and of arrays if some number has a fraction; otherwise frames.
    """
    if records and isinstance(records[0].source, AudioFile):
        return "seconds"
    for record in records:
        value = record.fields.get(field)
        values = field_values(record, field) if isinstance(value, str | list | tuple) and value else ()
        for run in values:
            if not isinstance(run, Mapping):
                break
            times = (run.get("start"), run.get("end"))
            if any(isinstance(time, float) and math.isfinite(time) and time != int(time) for time in times):
                return "seconds"
    return "frames"


# --- runs of labels -----------------------------------------------------------------------------------------------


def runs_of(labels: Sequence[str], scheme: str = "none") -> list[Run]:
    """The runs that labels of frames make.

    Args:
        labels: one label a frame.
        scheme: how they mark spans.

    Returns:
        The spans; where labels mark none, consecutive frames of the same label, which cover all.
    """
    if scheme != "none":
        return [Run(*span) for span in spans(labels, scheme)]
    found: list[Run] = []
    start = 0
    for label, same in groupby(labels):
        end = start + sum(1 for _ in same)
        found.append(Run(start, end, label))
        start = end
    return found


def to_steps(labels: Sequence[str], step: int, scheme: str) -> list[str]:
    """Labels of frames → labels of steps, of which step t stands for the frames from t · step to the next one's.

    Args:
        labels: one label a frame.
        step: frames from one step to the next, which may read more than these.
        scheme: how labels mark spans.

    Returns:
        The label of frame t · step + step // 2 for each step t, of the last frame where there is none; of spans, which
        have to begin and end anew, the span of that frame.
    """
    if step == 1:
        return list(labels)
    count = len(labels)
    middles = [min(first + step // 2, count - 1) for first in range(0, count, step)]
    if scheme == "none":
        return [labels[middle] for middle in middles]
    found = []
    for start, end, label in spans(labels, scheme):
        # The steps whose middle frame is in it; the last one's may be nearer than in the others.
        first, last = (_steps_before(frame, step, middles) for frame in (start, end))
        if first < last:
            found.append((first, last, label))
    return from_spans(found, len(middles), scheme)


def _steps_before(frame: int, step: int, middles: Sequence[int]) -> int:
    """How many steps have their middle before a frame."""
    number = min(max(0, -(-(frame - step // 2) // step)), len(middles))
    while number < len(middles) and middles[number] < frame:  # the last step may be shorter
        number += 1
    return number


def to_frames(labels: Sequence[str], step: int, count: int, scheme: str) -> list[str]:
    """Labels of steps → labels of frames, the other way round.

    Args:
        labels: one label a step.
        step: frames from one step to the next.
        count: how many frames there are.
        scheme: how labels mark spans.

    Returns:
        The label of its step for each frame; of spans with the prefixes of longer ones.
    """
    if step == 1:
        return list(labels)
    if scheme == "none":
        return [label for label in labels for _ in range(step)][:count]
    longer = [(start * step, min(end * step, count), label) for start, end, label in spans(labels, scheme)]
    return from_spans(longer, count, scheme)
