from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from seqkit.config import override
from seqkit.errors import DataError, ModelError
from seqkit.formats.arrays import ArrayFile, ArraySource
from seqkit.formats.audio import AudioFile
from seqkit.formats.midi import Piece, read_midi, write_midi
from seqkit.formats.piano import KEYS
from seqkit.heads.frame_model.settings import FrameModelSettings
from seqkit.inputs.base import NO_SOURCES, Documents
from seqkit.inputs.keys import KeyInput
from seqkit.records import FrameRecord


def rolls(seed: int, count: int, keys: int, longest: int = 30) -> list[np.ndarray]:
    draw = np.random.default_rng(seed)
    return [(draw.random((draw.integers(1, longest), keys)) < 0.3).astype(np.float32) for _ in range(count)]


def record(roll: Any, **about: Any) -> FrameRecord:
    return FrameRecord(ArraySource(np.asarray(roll)), **about)


def made(keys: int, *settings: str) -> KeyInput:
    tree: dict[str, dict[str, Any]] = {}
    for each in settings:
        place, value = each.split("=")
        section, name = place.split(".")
        tree.setdefault(section, {})[name] = int(value)
    return KeyInput.build(override(FrameModelSettings(), tree), [record(np.zeros((1, keys)))], NO_SOURCES)


def fault(input: KeyInput, given: FrameRecord) -> str:
    with pytest.raises(DataError) as caught:
        input.read(given)
    return str(caught.value)


@pytest.mark.parametrize("keys", [1, 7, 8, 9, 88])
def test_windows_are_slices_of_the_sequences(keys: int) -> None:
    draw = random.Random(keys)
    for seed in range(10):
        parts = rolls(seed, 5, keys)
        input = made(keys)
        arrays = input.arrays(list(map(record, parts)))
        assert arrays.lengths.tolist() == list(map(len, parts))
        rows = np.array(draw.choices(range(5), k=draw.randrange(1, 6)))
        begin = draw.randrange(20)
        end = begin + draw.randrange(1, 20)
        batch = input.window(arrays, rows, begin, end)
        for place, row in enumerate(rows):
            expected = parts[row][begin:end]
            assert int(batch.lengths[place]) == len(expected)
            assert batch.frames[place, : len(expected)].tolist() == expected.tolist()
            assert not batch.frames[place, len(expected) :].any()
            if len(expected):
                before = parts[row][begin - 1] if begin else np.zeros(keys)
                assert batch.previous[place].tolist() == before.tolist()
        whole = input.collate(arrays, rows)
        assert whole.lengths.tolist() == [len(parts[row]) for row in rows]


def test_the_encoder_reads_the_frame_before_each() -> None:
    input = made(3)
    roll = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1]])
    arrays = input.arrays([record(roll)])
    read = input.module()(input.collate(arrays, np.array([0])))
    assert read.tolist() == [[[0, 0, 0], [1, 0, 0], [0, 1, 0]]]
    later = input.module()(input.window(arrays, np.array([0]), 2, 3))
    assert later.tolist() == [[[0, 1, 0]]]


def test_transposed_sequences_keep_their_notes() -> None:
    input = made(12)
    roll = np.zeros((4, 12))
    roll[[0, 1, 2], [3, 5, 9]] = 1
    arrays = input.arrays([record(roll), record(np.zeros((2, 12)))])
    assert [arrays.room(0), arrays.room(1)] == [(3, 2), (0, 0)]
    for shift in range(-3, 3):
        batch = input.window(arrays, np.array([0]), 0, 4, np.array([shift]))
        assert torch.nonzero(batch.frames[0]).tolist() == [[0, 3 + shift], [1, 5 + shift], [2, 9 + shift]]
        later = input.window(arrays, np.array([0]), 2, 4, np.array([shift]))
        assert torch.nonzero(later.previous).tolist() == [[0, 5 + shift]]


def test_what_is_not_on_or_off_is_refused() -> None:
    input = made(2)
    half = record([[0, 1], [0.5, 1]], name="a.npy", file="train.jsonl", line=3)
    assert fault(input, half) == "train.jsonl:3: 'a.npy': expected zeros and ones, found 0.5 in frame 1, key 0"
    assert "found nan in frame 0, key 1" in fault(input, record([[0, np.nan]]))
    assert fault(input, record(np.zeros((2, 3)))) == "expected 2 keys a frame, as in training, found 3"
    assert fault(input, record(np.zeros((0, 2)))) == "the sequence has no frames"
    recording = FrameRecord(object(), name="a.wav")
    assert fault(input, recording) == "'a.wav': expected frames of keys that are on or off, found a recording"
    with pytest.raises(DataError) as untrainable:
        KeyInput.build(FrameModelSettings(), [replace(recording, fields={"text": "yes"})], NO_SOURCES)
    ways = "--unit char makes a language model of the texts beside the sequences, and `seqkit transcribe` learns from"
    assert str(untrainable.value).endswith(
        f"'a.wav': expected frames of keys that are on or off, found a recording; {ways} recordings"
    )
    texts = record([[2.0, 0]], fields={"text": "yes"})
    assert fault(input, texts).endswith("; --unit char makes a language model of the texts beside the sequences")
    for given, message in (
        (record(np.zeros((1, 10_001))), "expected at most 10,000 keys a frame, found 10,001"),
        (record(np.zeros((1, 0))), "the frames have no keys"),
        (recording, "'a.wav': expected frames of keys that are on or off, found a recording"),
        (FrameRecord(AudioFile(Path("a.wav"))), "expected frames of keys that are on or off, found a recording"),
    ):
        with pytest.raises(DataError) as caught:
            KeyInput.build(FrameModelSettings(), [given], NO_SOURCES)
        assert str(caught.value) == message


def test_a_piece_may_be_as_long_as_its_own_resolution_allows(tmp_path: Path) -> None:
    quarters = 70_000
    long = Piece(np.array([[40, 0, 480 * quarters]]), 480 * quarters, 480, file="long.mid")
    given = FrameRecord(long, name="long.mid", file="train.jsonl", line=2)
    for per_quarter in (1, 3):
        settings = override(FrameModelSettings(), {"data": {"frames_per_quarter": per_quarter}})
        input = KeyInput.build(settings, [given], NO_SOURCES)
        assert input.keys == KEYS
        assert input.lengths([given]) == input.arrays([given]).lengths.tolist() == [per_quarter * quarters]
    expected = "expected at most 262,144 frames, found 280,000; fewer frames a quarter note make it shorter"
    with pytest.raises(DataError) as caught:
        KeyInput.build(FrameModelSettings(), [given], NO_SOURCES)
    assert str(caught.value) == f"train.jsonl:2: 'long.mid': {expected}"


def test_faults_of_files_name_them_once(tmp_path: Path) -> None:
    write_midi(tmp_path / "a.mid", np.ones((2, KEYS), np.uint8))
    piece = replace(read_midi(tmp_path / "a.mid"), ticks=0)
    np.save(tmp_path / "a.npy", np.ones((2, KEYS)))
    array = ArraySource(ArrayFile(tmp_path / "a.npy"))
    (tmp_path / "a.npy").unlink()
    input = made(KEYS)
    for source, name, message in (
        (piece, "a.mid", "its clock counts seconds, not quarter notes, of which frames are made"),
        (array, "a.npy", "cannot be read: No such file or directory"),
    ):
        file = tmp_path / name
        assert fault(input, FrameRecord(source, name=name, file="train.jsonl", line=2)) == (
            f"train.jsonl:2: {name!r}: {message}"
        )
        assert fault(input, FrameRecord(source, name=name, file=str(file))) == f"{file}: {message}"


def test_pieces_are_read_at_the_resolution_of_the_settings(tmp_path: Path) -> None:
    roll = rolls(1, 1, KEYS)[0]
    write_midi(tmp_path / "a.mid", roll, frames_per_quarter=2)
    piece = read_midi(tmp_path / "a.mid")
    assert made(KEYS, "data.frames_per_quarter=2").read(FrameRecord(piece)).tolist() == roll.tolist()
    input = made(KEYS, "data.frames_per_quarter=4")
    assert input.read(input.record(piece)).tolist() == np.repeat(roll, 2, axis=0).tolist()


def test_what_users_give() -> None:
    input = made(2)
    for given in ([[0, 1]], ((0, 1),), np.array([[0, 1]]), torch.tensor([[0, 1]]), record([[0, 1]])):
        assert input.read(input.record(given)).tolist() == [[0, 1]]
    assert input.fields == ("frames",)
    named = KeyInput(override(FrameModelSettings(), {"data": {"frames": "roll"}}), 2)
    assert named.fields == ("frames", "roll")
    for reader, field in ((input, "frames"), (named, "frames"), (named, "roll")):
        assert reader.read(reader.record({field: [[0, 1]]})).tolist() == [[0, 1]]
    with pytest.raises(DataError) as caught:
        input.record(7)
    assert str(caught.value) == "a record must be an array of frames [N, K], or a mapping with one, found 7"


def test_the_checksum_is_of_the_frames() -> None:
    input = made(9)
    parts = rolls(4, 3, 9)
    known = input.check(list(map(record, parts)))
    assert known == input.check(list(map(record, parts)))
    assert known != input.check([record(parts[0]), record(parts[2]), record(parts[1])])
    parts[1][0, 8] = 1 - parts[1][0, 8]
    assert known != input.check(list(map(record, parts)))


@pytest.mark.parametrize("tree", [None, {}, {"keys": 0}, {"keys": True}, {"keys": "88"}, {"keys": 10_001}])
def test_a_damaged_document(tree: object) -> None:
    with pytest.raises(ModelError) as caught:
        KeyInput.restore(FrameModelSettings(), Documents({"frames.json": tree}, "model"))
    assert str(caught.value) == f'model: frames.json: expected {{"keys": N}}, found {tree!r}'
