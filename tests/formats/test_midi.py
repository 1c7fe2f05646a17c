from __future__ import annotations

import io
import random
import sys
from fractions import Fraction
from pathlib import Path

import mido
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from seqkit.errors import DataError, SeqkitError
from seqkit.formats.midi import MOST_FRAMES, read_midi, write_midi
from seqkit.formats.piano import KEYS, LOWEST, key_name, key_number


def save(path: Path, *tracks: list[tuple[int, int, int, int]], ticks: int = 8, type: int = 1, **end: int) -> Path:
    """A file of notes, each a channel, a number, when it begins and when it ends, in ticks."""
    made = []
    for notes in tracks:
        events = [(begin, 1, channel, note) for channel, note, begin, _ in notes]
        events += [(ended, 0, channel, note) for channel, note, _, ended in notes if ended >= 0]
        track, before = mido.MidiTrack(), 0
        for time, on, channel, note in sorted(events):
            track.append(mido.Message("note_on", channel=channel, note=note, velocity=64 * on, time=time - before))
            before = time
        track.append(mido.MetaMessage("end_of_track", time=max(0, end.get("end", 0) - before)))
        made.append(track)
    mido.MidiFile(type=type, ticks_per_beat=ticks, tracks=made).save(str(path))
    return path


def message(path: Path, **how: int) -> str:
    with pytest.raises(DataError) as caught:
        read_midi(path).frames(**how)
    return str(caught.value)


class TestReading:
    def test_by_hand(self, tmp_path: Path) -> None:
        file = save(tmp_path / "a.mid", [(0, 60, 0, 8), (0, 64, 4, 16)], [(3, 21, 14, 16)], ticks=8)
        piece = read_midi(file)
        found = piece.frames(frames_per_quarter=2)
        expected = np.zeros((4, KEYS), np.uint8)
        expected[:2, 60 - LOWEST] = expected[1:, 64 - LOWEST] = 1
        expected[3, 0] = 1  # in the middle of the last frame: from 3.5 to 4
        assert found.dtype == np.uint8
        np.testing.assert_array_equal(found, expected)
        assert (piece.tempo, piece.left_out, piece.shape) == (120.0, {}, (8, KEYS))
        assert piece.read().dtype == np.float32

    @settings(max_examples=60)
    @given(st.integers(0, 2**32), st.integers(1, 12), st.integers(1, 50), st.booleans())
    def test_a_key_is_on_where_a_note_sounds_in_the_middle(
        self, tmp_path_factory: pytest.TempPathFactory, seed: int, frames: int, ticks: int, by_ticks: bool
    ) -> None:
        draw = random.Random(seed)
        notes = []
        for channel in (0, 5):  # notes of one channel and key do not overlap
            for key in draw.sample(range(LOWEST, LOWEST + KEYS), 4):
                places = sorted(draw.sample(range(200), 6))
                notes += [(channel, key, *places[at : at + 2]) for at in (0, 2, 4)]
        file = save(tmp_path_factory.getbasetemp() / "drawn.mid", notes, ticks=ticks, end=draw.randrange(250))
        found = read_midi(file).frames(**({"ticks": ticks} if by_ticks else {"frames_per_quarter": frames}))
        size = Fraction(ticks) if by_ticks else Fraction(ticks, frames)  # of a frame
        expected: list[set[int]] = [set() for _ in found]
        for _, key, begin, end in notes:
            near = range(int(begin / size), min(int(end / size) + 1, len(found)))
            for frame in [at for at in near if begin < (at + Fraction(1, 2)) * size <= end] or [int(begin // size)]:
                expected[frame].add(key - LOWEST)
        assert [set(np.flatnonzero(row).tolist()) for row in found] == expected

    def test_what_is_left_out_is_counted(self, tmp_path: Path) -> None:
        notes = [(9, 40, 0, 4), (9, 41, 0, 4), (0, 20, 0, 4), (0, 109, 0, 4), (0, 127, 0, 4), (0, 60, 4, -1)]
        found = read_midi(save(tmp_path / "a.mid", notes, end=12))
        assert found.frames(2).sum(1).tolist() == [0, 1, 1]
        assert found.left_out == {
            "notes of drums (channel 10) left out": 2,
            "notes outside the keys of a piano (A0 to C8) left out": 3,
            "notes without an end held to the end of their track": 1,
        }

    def test_a_note_that_is_struck_again_goes_on(self, tmp_path: Path) -> None:
        file = save(tmp_path / "a.mid", [(0, 60, 0, -1), (0, 60, 4, 8)], end=16)
        found = read_midi(file)
        assert found.frames(2)[:, 60 - LOWEST].tolist() == [1, 1, 0, 0]
        assert found.left_out == {}

    def test_a_note_in_the_middle_of_no_frame_has_the_one_in_which_it_begins(self, tmp_path: Path) -> None:
        file = save(tmp_path / "a.mid", [(0, 60, 13, 15), (0, 62, 8, 8)], ticks=8)
        found = read_midi(file).frames(frames_per_quarter=1)
        assert np.argwhere(found).tolist() == [[1, 39], [1, 41]]

    def test_silence_at_both_ends_stays(self, tmp_path: Path) -> None:
        found = read_midi(save(tmp_path / "a.mid", [(0, 60, 8, 16)], end=32)).frames(frames_per_quarter=1)
        assert found.sum(1).tolist() == [0, 1, 0, 0]

    def test_tempo(self, tmp_path: Path) -> None:
        track = mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=750_000), mido.MetaMessage("end_of_track", time=8)])
        mido.MidiFile(type=0, ticks_per_beat=8, tracks=[track]).save(str(tmp_path / "a.mid"))
        assert read_midi(tmp_path / "a.mid").tempo == 80.0

    def test_seconds_need_ticks(self, tmp_path: Path) -> None:
        file = save(tmp_path / "a.mid", [(0, 60, 0, 8)], ticks=-(25 << 8) + 40)  # 25 pictures a second of 40 ticks
        assert message(file) == f"{file}: its clock counts seconds, not quarter notes, of which frames are made"
        assert len(read_midi(file).frames(ticks=4)) == 2

    def test_pieces_of_their_own(self, tmp_path: Path) -> None:
        file = save(tmp_path / "a.mid", [(0, 60, 0, 8)], [(0, 60, 0, 8)], type=2)
        what = "expected a MIDI file of type 0 or 1, found type 2, whose tracks are pieces of their own"
        assert message(file) == f"{file}: {what}"
        assert len(read_midi(save(tmp_path / "b.mid", [(0, 60, 0, 8)], type=2)).frames()) == 4

    def test_nothing(self, tmp_path: Path) -> None:
        file = save(tmp_path / "a.mid", [])
        assert message(file) == f"{file}: the piece is empty"
        file = save(tmp_path / "a.mid", [], ticks=8, end=3)
        assert message(file, frames_per_quarter=1) == f"{file}: the piece is shorter than a frame"

    def test_too_long(self, tmp_path: Path) -> None:
        file = save(tmp_path / "a.mid", [(0, 60, 0, 8)], ticks=1, end=MOST_FRAMES + 1)
        told = "expected at most 262,144 frames, found 262,145; fewer frames a quarter note make it shorter"
        assert message(file, frames_per_quarter=1) == f"{file}: {told}"
        assert len(read_midi(file).frames(ticks=2)) == MOST_FRAMES // 2 + 1

    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            (b"", "it ends too early"),
            (b"RIFF0000WAVE", "MThd not found. Probably not a MIDI file"),
            (b"MThd\0\0\0\6\0\1\0\1\0\10", "it ends too early"),
            (b"MThd\0\0\0\6\0\1\0\1\0\10MTrk\xff\xff\xff\xff" + b"\xff" * 5000, "a number of thousands of bytes"),
        ],
    )
    def test_damaged(self, content: bytes, reason: str, tmp_path: Path) -> None:
        file = tmp_path / "a.mid"
        file.write_bytes(content)
        assert message(file) == f"{file}: not a MIDI file, or a damaged one: {reason}"

    def test_missing(self, tmp_path: Path) -> None:
        file = tmp_path / "a.mid"
        assert message(file) == f"{file}: cannot be read: No such file or directory"

    @pytest.mark.parametrize("how", [{"frames_per_quarter": 0}, {"frames_per_quarter": 481}, {"ticks": -1}])
    def test_bad_resolution(self, how: dict[str, int], tmp_path: Path) -> None:
        piece = read_midi(save(tmp_path / "a.mid", [(0, 60, 0, 8)]))
        with pytest.raises(ValueError, match="expected 1 to 480 frames a quarter note, found"):
            piece.frames(**how)

    def test_time_without_end(self, tmp_path: Path) -> None:
        file = tmp_path / "a.mid"
        content = b"\xff" * 9 + b"\x7f\x90\x3c\x40"
        file.write_bytes(b"MThd\0\0\0\6\0\0\0\1\0\10MTrk\0\0\0" + bytes([len(content)]) + content)
        told = "not a MIDI file, or a damaged one: a piece of thousands of years"
        assert message(file) == f"{file}: {told}"

    def test_without_mido(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "mido", None)
        with pytest.raises(SeqkitError) as caught:
            read_midi(tmp_path / "a.mid")
        assert str(caught.value) == 'reading MIDI files needs mido: pip install "seqkit-nlp[midi]"'


class TestWriting:
    @settings(max_examples=100)
    @given(
        arrays.arrays(np.uint8, st.tuples(st.integers(1, 12), st.just(KEYS)), elements=st.integers(0, 1)),
        st.integers(1, 96),
        st.floats(4, 1000),
    )
    def test_round_trip(
        self, tmp_path_factory: pytest.TempPathFactory, roll: np.ndarray, frames: int, tempo: float
    ) -> None:
        file = tmp_path_factory.getbasetemp() / "round.mid"
        write_midi(file, roll, frames_per_quarter=frames, tempo=tempo)
        found = read_midi(file)
        np.testing.assert_array_equal(found.frames(frames_per_quarter=frames), roll)
        assert found.tempo == pytest.approx(tempo, rel=1e-4)
        assert found.left_out == {}

    def test_held_notes_are_joined(self, tmp_path: Path) -> None:
        roll = np.zeros((5, KEYS), bool)
        roll[[0, 1, 3, 4], 39] = roll[1:3, 43] = True
        write_midi(tmp_path / "a.mid", roll, frames_per_quarter=2, tempo=100)
        events = [m for m in mido.MidiFile(str(tmp_path / "a.mid")).tracks[0] if not m.is_meta]
        found = [(m.type, m.note, m.time) for m in events]
        assert found == [
            ("note_on", 60, 0),
            ("note_on", 64, 240),
            ("note_off", 60, 240),
            ("note_off", 64, 240),
            ("note_on", 60, 0),
            ("note_off", 60, 480),
        ]

    @pytest.mark.parametrize("roll", [np.zeros(88), np.zeros((2, 87)), np.full((1, 88), 0.5)])
    def test_other_arrays(self, roll: np.ndarray, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match=r"expected zeros and ones of shape \[N, 88\], found an array of shape"):
            write_midi(tmp_path / "a.mid", roll)

    @pytest.mark.parametrize("how", [{"frames_per_quarter": 0}, {"frames_per_quarter": 481}, {"tempo": 3}])
    def test_other_numbers(self, how: dict[str, int], tmp_path: Path) -> None:
        with pytest.raises(ValueError, match=r"expected 1 to 480 frames and tempo 4 to 1,000, found"):
            write_midi(tmp_path / "a.mid", np.zeros((1, 88)), **how)

    def test_a_folder_that_is_missing(self, tmp_path: Path) -> None:
        file = tmp_path / "a" / "a.mid"
        with pytest.raises(DataError) as caught:
            write_midi(file, np.zeros((1, 88)))
        assert str(caught.value) == f"{file}: cannot be written: No such file or directory"


class TestKeys:
    def test_names_and_numbers_are_inverse(self) -> None:
        for key in range(KEYS):
            assert key_number(key_name(key)) == key_number(str(key + LOWEST)) == key
        assert [key_name(key) for key in (0, 1, 2, 3)] == ["A0", "A#0", "B0", "C1"]

    @pytest.mark.parametrize("name", ["", "H4", "C", "C9", "G#0", "20", "109", "-1", "²", "C44"])
    def test_no_key(self, name: str) -> None:
        with pytest.raises(DataError) as caught:
            key_number(name)
        expected = f"expected a key from A0 to C8, or from 21 to 108 as MIDI numbers them, found {name!r}"
        assert str(caught.value) == expected


def test_a_file_of_one_kind_in_memory_is_what_mido_reads(tmp_path: Path) -> None:
    """What other programs read is what was written."""
    write_midi(tmp_path / "a.mid", np.eye(KEYS))
    file = mido.MidiFile(file=io.BytesIO((tmp_path / "a.mid").read_bytes()))
    assert (file.type, len(file.tracks), file.ticks_per_beat) == (0, 1, 480)
    assert file.length == pytest.approx(88 / 4 * 0.5)
