"""MIDI files with bytes of a stranger: frames of zeros and ones, or a `DataError`."""

from __future__ import annotations

import io
import random
from pathlib import Path

import mido
import numpy as np
from harness import fuzz, put

from seqkit.errors import DataError
from seqkit.formats.midi import MOST_FRAMES, read_midi, write_midi
from seqkit.formats.piano import KEYS

WORDS = (
    *(b"MThd", b"MTrk", b"\0\0\0\6", b"\xff\x2f\0", b"\xff\x51\3", b"\xff\x58\4", b"\xff\x59\2", b"\xff\x7f", b"\xf0"),
    *(b"\xf7", b"\x90\x3c\x40", b"\x80\x3c\0", b"\x99", b"\xff\xff\xff\x7f", b"\x81\0", b"\xc0", b"\xf8", b"\xe7\x28"),
)


def test_bytes_of_pieces(tmp_path: Path) -> None:
    file = tmp_path / "a.mid"
    write_midi(file, np.eye(KEYS)[::9])
    seeds = [file.read_bytes()]
    other = mido.MidiFile(type=1, ticks_per_beat=96)
    for channel in (0, 9):
        track = mido.MidiTrack([mido.MetaMessage("track_name", name="x"), mido.MetaMessage("key_signature", key="D")])
        track += [mido.Message("sysex", data=[1, 2]), mido.Message("pitchwheel", pitch=9, time=300)]
        track += [mido.Message("note_on", channel=channel, note=note, time=note) for note in (5, 60, 60, 127)]
        other.tracks.append(track)
    content = io.BytesIO()
    other.save(file=content)
    seeds.append(content.getvalue())

    def read(content: bytes, draw: random.Random) -> None:
        put(file, content)
        how = {"ticks": draw.choice((1, 7))} if draw.random() < 0.3 else {"frames_per_quarter": draw.choice((1, 4, 24))}
        try:
            piece = read_midi(file)
            frames = piece.frames(**how)
        except DataError as error:
            assert str(error).startswith(f"{file}: ")
            raise
        assert 1 <= len(frames) <= MOST_FRAMES
        assert frames.shape[1:] == (KEYS,)
        assert frames.max() <= 1
        assert piece.tempo > 0

    # A few bytes may say that a piece is long: its frames are allowed.
    fuzz("midi", read, seeds=seeds, words=WORDS, multiple=8_000_000)
