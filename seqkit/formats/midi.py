"""Pieces of music: MIDI files ↔ frames of the 88 keys of a piano. They need mido, which the extra ``midi`` installs.

Definition of the files: https://midi.org/standard-midi-files; channel 10 has the drums in General MIDI,
https://midi.org/general-midi.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seqkit.errors import DataError, file_errors, is_out_of_memory, shown
from seqkit.formats.format import Format, ReadOptions
from seqkit.formats.piano import FRAMES_PER_QUARTER, KEYS, LOWEST, MOST_PER_QUARTER
from seqkit.formats.text import Line
from seqkit.records import FrameRecord
from seqkit.resources import extra

MIDI_SUFFIXES = (".mid", ".midi")
TEMPO = 120.0
"""quarter notes a minute, where a file does not say it"""
MOST_FRAMES = 1 << 18
"""a piece of 9 hours; a damaged file of a few bytes may ask for any number of frames"""

_MOST_TICKS = 1 << 40
"""so that ten digits more fit in 64 bits"""
_DRUMS = 9
"""channel 10, counted from 0"""
_VELOCITY = 80
_LONG_NUMBER = re.compile(rb"[\x80-\xff]{4096}")
"""a number of so many bytes, which mido would read in quadratic time; texts are never without a space for so long"""


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """A piece of music that was read, a `seqkit.records.VectorSource` of frames of keys.

    Args:
        notes: key, counted from 0 at A0, beginning and end in ticks of every note, int64 [M, 3].
        length: ticks of the piece.
        ticks: a quarter note in ticks; 0 where the file's clock counts seconds instead.
        tempo: quarter notes a minute at its beginning.
        left_out: what is not in the notes, or was guessed → how often.
        file: where it is from, for messages.
    """

    notes: NDArray[np.int64]
    length: int
    ticks: int
    tempo: float = TEMPO
    left_out: dict[str, int] = field(default_factory=dict)
    file: str = ""

    @property
    def silence(self) -> str:
        """Why there is nothing to hear: the message that no note is left; empty where there is one."""
        if len(self.notes):
            return ""
        without = "; ".join(f"{what}: {count:,}" for what, count in self.left_out.items())
        return f"no note is left in this piece ({without})" if without else "there is no note in this piece"

    def frames(self, frames_per_quarter: int = FRAMES_PER_QUARTER, *, ticks: int = 0) -> NDArray[np.uint8]:
        """The keys that sound.

        A key is on in a frame if a note of any channel sounds in its middle; a note that sounds in the middle of none
        has the one in which it begins. How a key is struck is not in such frames: neither its strength, nor whether a
        note goes on or is repeated. The pedal, bends and the instruments are not read.

        Args:
            frames_per_quarter: how many frames a quarter note has.
            ticks: instead of that, how many ticks of the file's clock a frame has; 0 for none.

        Returns:
            1 for a key that sounds, [N, 88].

        Raises:
            DataError: there are too many frames, none, or the file's clock counts no quarter notes.
            ValueError: `frames_per_quarter` or `ticks` is not positive, or beyond all use.
        """
        over, under = self._scale(frames_per_quarter, ticks)
        length = self._length(over, under)
        keys, began, ended = self.notes.T  # [M] each
        first, end = _boundary(began, over, under), _boundary(ended, over, under)  # [M] each
        within = began * over // under  # [M]
        first, end = np.where(first < end, first, within), np.where(first < end, end, within + 1)
        changes = np.zeros((length + 1, KEYS), np.int32)
        np.add.at(changes, (first, keys), 1)
        np.subtract.at(changes, (end, keys), 1)
        np.cumsum(changes, axis=0, out=changes)
        return (changes[:-1] > 0).astype(np.uint8)

    def count(self, frames_per_quarter: int = FRAMES_PER_QUARTER) -> int:
        """How many frames `frames` gives.

        Args:
            frames_per_quarter: how many of them a quarter note has.

        Returns:
            N.

        Raises:
            DataError: see `frames`.
        """
        return self._length(*self._scale(frames_per_quarter, 0))

    @property
    def shape(self) -> tuple[int, int]:
        """See `seqkit.records.VectorSource`."""
        return self.count(), KEYS

    def read(self) -> NDArray[np.float32]:
        """See `seqkit.records.VectorSource`."""
        return self.frames().astype(np.float32)

    def _scale(self, frames_per_quarter: int, ticks: int) -> tuple[int, int]:
        """A time in frames is that in ticks × the first ÷ the second."""
        if not (1 <= frames_per_quarter <= MOST_PER_QUARTER and 0 <= ticks < _MOST_TICKS):
            message = f"expected 1 to {MOST_PER_QUARTER} frames a quarter note"
            raise ValueError(f"{message}, found {frames_per_quarter} and {ticks} ticks")
        if not (self.ticks or ticks):
            raise DataError("its clock counts seconds, not quarter notes, of which frames are made", file=self.file)
        return (1, ticks) if ticks else (frames_per_quarter, self.ticks)

    def _length(self, over: int, under: int) -> int:
        last = int(self.notes[:, 1].max(initial=-1)) * over // under + 1  # of a note that is shorter than a frame
        found = max(int(_boundary(self.length, over, under)), last)
        if not found:
            raise DataError("the piece is shorter than a frame", file=self.file)
        if found > MOST_FRAMES:
            hint = "fewer frames a quarter note make it shorter"
            raise DataError(f"expected at most {MOST_FRAMES:,} frames, found {found:,}; {hint}", file=self.file)
        return found


# --- reading ------------------------------------------------------------------------------------------------------


def read_midi(path: str | Path) -> Piece:
    """Read a piece.

    Args:
        path: a MIDI file of type 0 or 1.

    Returns:
        Its notes, those of drums (channel 10) and outside the keys of a piano left out and counted.

    Raises:
        DataError: the file cannot be read, is damaged, or is empty.
        SeqkitError: mido is not installed.
    """
    mido = extra("mido", "midi", "reading MIDI files")
    with file_errors("cannot be read", path):
        content = Path(path).read_bytes()
    damaged = "not a MIDI file, or a damaged one"
    if _LONG_NUMBER.search(content):
        raise DataError(f"{damaged}: a number of thousands of bytes", file=path)
    try:
        file = mido.MidiFile(file=io.BytesIO(content))
    except Exception as error:  # mido does not wrap those of decoding
        if is_out_of_memory(error):
            raise
        reason = "it ends too early" if isinstance(error, EOFError) else shown(error)
        raise DataError(f"{damaged}: {reason}", file=path) from None
    if file.type not in (0, 1) and len(file.tracks) > 1:
        message = f"expected a MIDI file of type 0 or 1, found type {file.type}, whose tracks are pieces of their own"
        raise DataError(message, file=path)
    return _piece(file, str(path))


def _piece(file: Any, path: str) -> Piece:
    notes: list[tuple[int, int, int]] = []
    drums = outside = unclosed = length = 0
    tempo = 0.0
    for track in file.tracks:
        time = 0
        sounding: dict[tuple[int, int], int] = {}  # channel and key → when it began
        for message in track:
            time += message.time
            if time > _MOST_TICKS:
                raise DataError("not a MIDI file, or a damaged one: a piece of thousands of years", file=path)
            if message.type == "set_tempo" and not tempo:
                tempo = 60_000_000 / max(1, message.tempo)
            if message.type not in ("note_on", "note_off"):
                continue
            key, struck = message.note - LOWEST, message.type == "note_on" and message.velocity > 0
            if message.channel == _DRUMS or not 0 <= key < KEYS:
                drums += struck and message.channel == _DRUMS
                outside += struck and message.channel != _DRUMS
                continue
            began = sounding.pop((message.channel, key), None)
            if began is not None:
                notes.append((key, began, time))
            if struck:
                sounding[message.channel, key] = time
        notes += [(key, began, time) for (_, key), began in sounding.items()]
        unclosed += len(sounding)
        length = max(length, time)
    if not (notes or length):
        raise DataError("the piece is empty", file=path)
    counted = {
        "notes of drums (channel 10) left out": drums,
        "notes outside the keys of a piano (A0 to C8) left out": outside,
        "notes without an end held to the end of their track": unclosed,
    }
    left_out = {what: count for what, count in counted.items() if count}
    found = np.array(notes, np.int64).reshape(-1, 3)
    return Piece(found, length, max(0, file.ticks_per_beat), tempo or TEMPO, left_out, path)


def _boundary(ticks: Any, over: int, under: int) -> Any:
    """The boundary of frames that is next to a time; of two the later one."""
    return (2 * ticks * over + under) // (2 * under)


def midi_frames(lines: Iterable[Line], name: str, options: ReadOptions) -> Iterator[FrameRecord]:
    """A piece as frames of keys; it has no label.

    Args:
        lines: not read.
        name: the file.
        options: count what is left out.

    Yields:
        The one sequence.
    """
    piece = read_midi(name)
    options.left_out.update(piece.left_out)
    yield FrameRecord(piece, "frames", name, {}, name)


MIDI = Format(
    "midi",
    "a piece of music",
    "https://midi.org/standard-midi-files",
    suffixes=MIDI_SUFFIXES,
    frames=midi_frames,
    binary=True,
    opens=True,
)


# --- writing ------------------------------------------------------------------------------------------------------


def write_midi(
    path: str | Path, frames: ArrayLike, *, frames_per_quarter: int = FRAMES_PER_QUARTER, tempo: float = TEMPO
) -> None:
    """Write a piece for the piano, which `read_midi` and `Piece.frames` read back as the same frames.

    A key that is on in consecutive frames is one note: frames of zeros and ones do not tell a long note from
    repeated ones.

    Args:
        path: the file to write.
        frames: zeros and ones, [N, 88].
        frames_per_quarter: how many frames are a quarter note.
        tempo: quarter notes a minute, 4 to 1,000.

    Raises:
        DataError: the file cannot be written.
        SeqkitError: mido is not installed.
        ValueError: the frames or numbers are others.
    """
    roll = np.asarray(frames)
    if roll.ndim != 2 or roll.shape[1] != KEYS or not np.isin(roll, (0, 1)).all():
        raise ValueError(f"expected zeros and ones of shape [N, {KEYS}], found an array of shape {list(roll.shape)}")
    if not 1 <= frames_per_quarter <= MOST_PER_QUARTER or not 4 <= tempo <= 1_000:
        raise ValueError(
            f"expected 1 to {MOST_PER_QUARTER} frames and tempo 4 to 1,000, found {frames_per_quarter} and {tempo}"
        )
    mido = extra("mido", "midi", "writing MIDI files")
    ticks = MOST_PER_QUARTER // frames_per_quarter
    track = mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=round(60_000_000 / tempo))])
    before = 0
    for frame, key, struck in _changes(roll):
        kind, velocity = ("note_on", _VELOCITY) if struck else ("note_off", 0)
        track.append(mido.Message(kind, note=key + LOWEST, velocity=velocity, time=(frame - before) * ticks))
        before = frame
    track.append(mido.MetaMessage("end_of_track", time=(len(roll) - before) * ticks))
    content = io.BytesIO()
    mido.MidiFile(type=0, ticks_per_beat=ticks * frames_per_quarter, tracks=[track]).save(file=content)
    with file_errors("cannot be written", path):
        Path(path).write_bytes(content.getvalue())


def _changes(roll: NDArray[Any]) -> Iterator[tuple[int, int, bool]]:
    """Frame, key and whether it is struck or released there, in order; in a frame releases come first."""
    padded = np.pad(roll.astype(np.int8), ((1, 1), (0, 0)))  # [N + 2, 88]
    changes = np.diff(padded, axis=0)  # [N + 1, 88]
    found = [
        (int(frame), bool(changes[frame, key] > 0), int(key)) for frame, key in zip(*np.nonzero(changes), strict=True)
    ]
    yield from ((frame, key, struck) for frame, struck, key in sorted(found))
