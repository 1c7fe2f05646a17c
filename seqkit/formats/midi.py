"""Pieces of music: MIDI files ↔ frames of the 88 keys of a piano. They need mido, which the extra ``midi`` installs.

Definition of the files: https://midi.org/standard-midi-files; channel 10 has the drums in General MIDI,
https://midi.org/general-midi.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seqkit.errors import DataError, file_errors, is_out_of_memory, shown
from seqkit.resources import extra

KEYS = 88
"""of a piano, from A0 to C8"""
LOWEST = 21
"""the MIDI number of the lowest of them"""
FRAMES_PER_QUARTER = 4
TEMPO = 120.0
"""quarter notes a minute, where a file does not say it"""
MOST_FRAMES = 1 << 18
"""a piece of 9 hours; a damaged file of a few bytes may ask for any number of frames"""

_NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
_KEY = re.compile(r"([A-Ga-g])([#b]?)(-?[0-9])")
_DRUMS = 9
"""channel 10, counted from 0"""
_TICKS = 480
"""a quarter note in a file that is written, or nearly so"""
_VELOCITY = 80
_LONG_NUMBER = re.compile(rb"[\x80-\xff]{4096}")
"""a number of so many bytes, which mido would read in quadratic time; texts are never without a space for so long"""


class Piece(NamedTuple):
    """What was read of a piece.

    Attributes:
        frames: 1 for a key that sounds, uint8 [N, 88].
        tempo: quarter notes a minute at its beginning.
        drums: how many notes of drums were left out.
        outside: how many other notes were left out, since a piano has no such key.
        unclosed: how many notes have no end of their own, and last to the end of their track.
    """

    frames: NDArray[np.uint8]
    tempo: float = TEMPO
    drums: int = 0
    outside: int = 0
    unclosed: int = 0

    def notes(self) -> list[str]:
        """What a user should know: see `notes_on`."""
        return notes_on(self.drums, self.outside, self.unclosed)


def notes_on(drums: int, outside: int, unclosed: int) -> list[str]:
    """What a user should know of one or several pieces.

    Args:
        drums: see `Piece`.
        outside: see `Piece`.
        unclosed: see `Piece`.

    Returns:
        Lines, none where everything is in the frames.
    """
    counted = (
        (drums, "of drums (channel 10) left out"),
        (outside, "outside the keys of a piano (A0 to C8) left out"),
        (unclosed, "without an end, held to the end of the track"),
    )
    return [f"{count:,} note{'s'[: count != 1]} {what}" for count, what in counted if count]


def key_name(key: int) -> str:
    """The name of a key.

    Args:
        key: its number, counted from 0 at A0.

    Returns:
        The note and the octave.

    Examples:
        >>> key_name(0), key_name(39), key_name(87)
        ('A0', 'C4', 'C8')
    """
    octave, note = divmod(key + LOWEST, 12)
    return f"{_NAMES[note]}{octave - 1}"


def key_number(name: str) -> int:
    """The number of a key, counted from 0 at A0.

    Args:
        name: the note and the octave, or the number that MIDI gives the key, 21 to 108.

    Returns:
        The number.

    Raises:
        DataError: there is no such key.

    Examples:
        >>> key_number("A0"), key_number("Db4"), key_number("60")
        (0, 40, 39)
    """
    found = _KEY.fullmatch(name)
    number = -1
    if found is not None:
        sharp = {"": 0, "#": 1, "b": -1}[found[2]]
        number = _NAMES.index(found[1].upper()) + sharp + 12 * (int(found[3]) + 1)
    elif re.fullmatch("[0-9]{1,3}", name):
        number = int(name)
    if not LOWEST <= number < LOWEST + KEYS:
        raise DataError(f"expected a key from A0 to C8, or from 21 to 108 as MIDI numbers them, found {shown(name)}")
    return number - LOWEST


# --- reading ------------------------------------------------------------------------------------------------------


def read_midi(path: str | Path, *, frames_per_quarter: int = FRAMES_PER_QUARTER, ticks: int = 0) -> Piece:
    """Read a piece.

    A key is on in a frame if a note of any channel sounds in its middle; a note that sounds in the middle of none has
    the one in which it begins.
    How a key is struck is not in such frames: neither its strength, nor whether a note goes on or is repeated. The
    pedal, bends and the instruments are not read.

    Args:
        path: a MIDI file of type 0 or 1.
        frames_per_quarter: how many frames a quarter note has.
        ticks: instead of that, how many ticks of the file's clock a frame has; 0 for none.

    Returns:
        The frames, and what was left out.

    Raises:
        DataError: the file cannot be read, is damaged, or has no frames.
        SeqkitError: mido is not installed.
        ValueError: `frames_per_quarter` or `ticks` is not positive.
    """
    if frames_per_quarter < 1 or ticks < 0:
        raise ValueError(f"expected at least one frame a quarter note, found {frames_per_quarter} and {ticks} ticks")
    mido = extra("mido", "midi", "reading MIDI files")
    with file_errors("cannot be read", path):
        content = Path(path).read_bytes()
    try:
        if _LONG_NUMBER.search(content):
            raise ValueError("a number of thousands of bytes")
        file = mido.MidiFile(file=io.BytesIO(content))
    except Exception as error:  # mido does not wrap those of decoding
        if is_out_of_memory(error):
            raise
        reason = "it ends too early" if isinstance(error, EOFError) else shown(error)
        raise DataError(f"not a MIDI file, or a damaged one: {reason}", file=path) from None
    if file.type not in (0, 1) and len(file.tracks) > 1:
        message = f"expected a MIDI file of type 0 or 1, found type {file.type}, whose tracks are pieces of their own"
        raise DataError(message, file=path)
    if file.ticks_per_beat < 1 and not ticks:
        raise DataError("its clock counts seconds, not quarter notes; say how many ticks a frame has", file=path)
    # a time in frames is that in ticks × over ÷ under
    over, under = (1, ticks) if ticks else (frames_per_quarter, file.ticks_per_beat)
    return _piece(file, over, under, path)


def _piece(file: Any, over: int, under: int, path: str | Path) -> Piece:
    notes: list[tuple[int, int, int]] = []  # key, first frame, the one after the last
    counts = {"drums": 0, "outside": 0, "unclosed": 0}
    tempo, length = 0.0, 0
    for track in file.tracks:
        time = 0
        sounding: dict[tuple[int, int], int] = {}  # channel and note → when it began
        for message in track:
            time += message.time
            if message.type == "set_tempo" and not tempo:
                tempo = 60_000_000 / max(1, message.tempo)
            if message.type not in ("note_on", "note_off"):
                continue
            key, struck = message.note - LOWEST, message.type == "note_on" and message.velocity > 0
            if message.channel == _DRUMS or not 0 <= key < KEYS:
                counts["drums" if message.channel == _DRUMS else "outside"] += struck
                continue
            began = sounding.pop((message.channel, key), None)
            if began is not None:
                notes.append((key, *_frames(began, time, over, under)))
            if struck:
                sounding[message.channel, key] = time
        notes += [(key, *_frames(began, time, over, under)) for (_, key), began in sounding.items()]
        counts["unclosed"] += len(sounding)
        length = max(length, _boundary(time, over, under))
    length = max([length, *(end for _, _, end in notes)])
    if not length:
        raise DataError("expected a piece of at least one frame, found an empty one", file=path)
    if length > MOST_FRAMES:
        hint = "fewer frames a quarter note make it shorter"
        raise DataError(f"expected at most {MOST_FRAMES:,} frames, found {length:,}; {hint}", file=path)
    return Piece(_filled(notes, length), tempo or TEMPO, **counts)


def _frames(began: int, ended: int, over: int, under: int) -> tuple[int, int]:
    """The first frame of a note, and the one after its last."""
    first, end = _boundary(began, over, under), _boundary(ended, over, under)
    if first < end:
        return first, end
    first = began * over // under
    return first, first + 1


def _boundary(ticks: int, over: int, under: int) -> int:
    """The boundary of frames that is next to a time; of two the later one."""
    return (2 * ticks * over + under) // (2 * under)


def _filled(notes: list[tuple[int, int, int]], length: int) -> NDArray[np.uint8]:
    """Notes → frames, in time linear in both, however long the notes are and however many sound at once."""
    changes = np.zeros((length + 1, KEYS), np.int32)
    if notes:
        keys, first, end = np.array(notes, np.int64).T
        np.add.at(changes, (first, keys), 1)
        np.subtract.at(changes, (end, keys), 1)
    return (np.cumsum(changes[:-1], axis=0, dtype=np.int32) > 0).astype(np.uint8)


# --- writing ------------------------------------------------------------------------------------------------------


def write_midi(
    path: str | Path, frames: ArrayLike, *, frames_per_quarter: int = FRAMES_PER_QUARTER, tempo: float = TEMPO
) -> None:
    """Write a piece for the piano, which `read_midi` reads back as the same frames.

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
    if not 1 <= frames_per_quarter <= _TICKS or not 4 <= tempo <= 1_000:
        raise ValueError(f"expected 1 to {_TICKS} frames and tempo 4 to 1,000, found {frames_per_quarter} and {tempo}")
    mido = extra("mido", "midi", "writing MIDI files")
    ticks = _TICKS // frames_per_quarter
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
