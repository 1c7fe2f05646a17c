"""Conditions that are sequences of vectors: what is one, how it is read and when, and what is refused."""

from __future__ import annotations

import json
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from seqkit.config import override
from seqkit.corpora.resolve import resolve
from seqkit.errors import DataError, ModelError
from seqkit.formats.arrays import ArraySource
from seqkit.formats.manifest import row_frames
from seqkit.heads.generation.settings import GenerateSettings
from seqkit.inputs.conditions import ConditionCodec, can_be_written
from seqkit.nn.condition import FrameSequences
from seqkit.records import FrameRecord, TextRecord

SETTINGS = GenerateSettings()
FIELD = " (field 'move')"
LISTS = [[[1, 2], [3, 4], [5, 7]], [[0, 0.5]]]


def records(values: list[Any], file: str = "") -> list[Any]:
    return [TextRecord("x", {"move": value}, file, line) for line, value in enumerate(values, start=1 if file else 0)]


def codec(values: list[Any], file: str = "", kind: str = "", settings: Any = SETTINGS) -> ConditionCodec:
    return ConditionCodec.build(records(values, file), [("move", kind)], str.split, settings)


def message(call: Any, *arguments: Any, **options: Any) -> str:
    with pytest.raises((DataError, ModelError)) as caught:
        call(*arguments, **options)
    return str(caught.value)


def batch(made: ConditionCodec, values: list[Any], file: str = "") -> FrameSequences:
    encoded = [made.encode(record.fields, record.file, record.line) for record in records(values, file)]
    (found,) = made.batch(encoded)
    assert isinstance(found, FrameSequences)
    return found


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (LISTS, "frames"),
        ([tuple(map(tuple, value)) for value in LISTS], "frames"),
        ([list(map(np.array, value)) for value in LISTS], "frames"),
        ([np.array(value) for value in LISTS], "frames"),
        ([FrameRecord(ArraySource(np.array(value))) for value in LISTS], "frames"),
        ([[1, 2], [3, 4]], "vector"),
        ([np.arange(3)] * 2, "vector"),
        ([[[[1, 2]], [[3, 4]]]] * 2, "vector"),
        ([np.ones((2, 2, 2))] * 2, "vector"),
        (["up.npy", "down.npx"], "text"),
        (["go to sleep.wav"] * 2 + ["go home"] * 2, "label"),
    ],
)
def test_kinds_are_found_by_the_values(values: list[Any], kind: str) -> None:
    assert codec(values).fields[0].kind == kind


def test_names_of_files_are_sequences(tmp_path: Path) -> None:
    np.save(tmp_path / "one.npy", np.array(LISTS[0]))
    np.savez(tmp_path / "all.npz", two=np.array(LISTS[1]))
    made = codec(["one.npy", "all.npz#two"], str(tmp_path / "train.jsonl"))
    assert [field.kind for field in made.fields] == ["frames"]
    assert made.describe() == ["move: a sequence of vectors of 2 numbers"]


@pytest.mark.parametrize("named", [False, True])
def test_batches_are_the_numbers_padded_with_zeros(named: bool, tmp_path: Path) -> None:
    values: list[Any] = LISTS
    file = str(tmp_path / "train.jsonl") if named else ""
    if named:
        np.save(tmp_path / "one.npy", np.array(LISTS[0], dtype=np.float64))
        np.save(tmp_path / "two.npy", np.array(LISTS[1], dtype=np.float16))
        values = ["one.npy", "two.npy"]
    found = batch(codec(values, file), values, file)
    assert found.frames.dtype == torch.float32
    assert found.frames.tolist() == [LISTS[0], [LISTS[1][0], [0, 0], [0, 0]]]
    assert found.lengths.tolist() == [3, 1]


def test_statistics_are_those_of_all_frames_and_lie_in_the_layer() -> None:
    (field,) = codec(LISTS).fields
    assert field.frames is not None
    layer = field.frames.module().layer
    every = np.concatenate([np.array(value, dtype=np.float64) for value in LISTS])
    torch.testing.assert_close(layer.mean, torch.tensor(every.mean(0), dtype=torch.float32))
    torch.testing.assert_close(layer.scale, torch.tensor(1 / every.std(0), dtype=torch.float32))


def test_settings_of_frames_apply() -> None:
    settings = override(SETTINGS, {"frames": {"stack": 3, "stride": 2, "normalize": "sequence", "dropout": 0.25}})
    (field,) = codec(LISTS, settings=settings).fields
    assert field.frames is not None
    layer = field.frames.module().layer
    assert layer.output_size == 6
    assert layer.steps(5) == 3
    (found, other) = batch(codec(LISTS, settings=settings), LISTS).frames.double().numpy()
    assert found.mean(0) == pytest.approx([0, 0], abs=1e-6)
    assert found.std(0) == pytest.approx([1, 1], abs=1e-6)
    assert not other.any()


def test_nothing_is_read_before_a_batch_needs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = [f"{row}.npy" for row in range(4)]
    for row, name in enumerate(values):
        np.save(tmp_path / name, np.full((row + 1, 2), row))
    file = str(tmp_path / "train.jsonl")
    made = codec(values, file)
    read: list[tuple[int, int]] = []
    original = ArraySource.read
    monkeypatch.setattr(ArraySource, "read", lambda self: (read.append(self.shape), original(self))[1])
    encoded = [made.encode(record.fields, file, 1) for record in records(values, file)]
    assert read == []
    made.batch(encoded[2:3])
    assert read == [(3, 2)]


def test_of_an_array_of_sequences_beside_a_file_nothing_is_read_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = "".join(json.dumps({"text": "ab"}) + "\n" for _ in range(3))
    (tmp_path / "train.jsonl").write_text(rows, encoding="utf-8")
    numbers = np.arange(24, dtype=np.float32).reshape(3, 4, 2)
    np.save(tmp_path / "train.move.npy", numbers)
    np.save(tmp_path / "train.image.npy", numbers[:, 0])
    train = resolve(tmp_path / "train.jsonl").texts("all", text="text", label=None)
    assert all(can_be_written(value) for value in train[1].fields.values())
    made = ConditionCodec.build(train, [("move", ""), ("image", "")], str.split, SETTINGS)
    assert [field.kind for field in made.fields] == ["frames", "vector"]
    asked = ConditionCodec.build(train, [("move", "vector")], str.split, SETTINGS)  # as of arrays of images
    (values,) = asked.encode(train[1].fields)
    assert isinstance(values, np.ndarray) and values.tolist() == numbers[1].ravel().tolist()
    with monkeypatch.context() as patched:
        patched.setattr(ArraySource, "read", lambda self: pytest.fail("read too early"))
        encoded = [made.encode(one.fields, one.file, one.line) for one in train]
    found, vectors = made.batch(encoded)
    assert isinstance(found, FrameSequences) and isinstance(vectors, torch.Tensor)
    assert torch.equal(found.frames, torch.from_numpy(numbers))
    assert torch.equal(vectors, torch.from_numpy(numbers[:, 0]))
    numbers[2, 1] = np.inf
    np.save(tmp_path / "train.move.npy", numbers)
    told = message(made.batch, encoded)
    assert told.startswith(f"{tmp_path / 'train.jsonl'}:3: 'train.move.npy#2': expected finite numbers, found inf ")


def sound(path: Path, samples: int, rate: int = 8000) -> None:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes((1000 * np.sin(np.arange(samples))).astype("<i2").tobytes())


def test_recordings_become_features_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("soundfile")
    pytest.importorskip("kaldi_native_fbank")
    from seqkit.inputs.acoustics import Acoustics

    sound(tmp_path / "a.wav", 800)
    sound(tmp_path / "b.wav", 400)
    file = str(tmp_path / "train.jsonl")
    rows = records(["a.wav", "b.wav"], file)
    computed: list[int] = []
    original = Acoustics.__call__
    monkeypatch.setattr(Acoustics, "__call__", lambda self, given: (computed.append(1), original(self, given))[1])
    settings = override(SETTINGS, {"audio": {"features": "mfcc"}})
    made = ConditionCodec.build(rows, [("move", "")], str.split, settings)
    assert made.describe() == ["move: a recording as a sequence of vectors of 13 numbers"]
    for _ in range(3):
        encoded = [made.encode(row.fields, row.file, row.line) for row in rows]
        assert made.learned(encoded[0]) != made.learned(encoded[1])
        (found,) = made.batch(encoded)
        assert isinstance(found, FrameSequences)
    assert len(computed) == 2
    assert found.frames.shape == (2, 8, 13)
    assert found.lengths.tolist() == [8, 3]
    assert made.to_json() == {"fields": [{"name": "move", "kind": "frames", "features": 13, "rate": 8000}]}
    array = message(made.encode, {"move": LISTS[0]})
    assert array == "'move': expected a recording, as the model was trained on, found an array of frames"


def test_what_is_read_from_json_encodes_alike() -> None:
    made = codec(LISTS)
    assert made.to_json() == {"fields": [{"name": "move", "kind": "frames", "features": 2, "rate": None}]}
    again = ConditionCodec.from_json(json.loads(json.dumps(made.to_json())), str.split, SETTINGS)
    assert torch.equal(batch(again, LISTS).frames, batch(made, LISTS).frames)
    tree = {"fields": [{"name": "move", "kind": "frames", "features": 0, "rate": None}]}
    assert message(ConditionCodec.from_json, tree, str.split, SETTINGS) == (
        'conditions: \'move\': frames.json: expected {"features": N, "rate": N or null}, '
        "found {'name': 'move', 'kind': 'frames', 'features': 0, 'rate': None}"
    )


def test_what_a_checksum_is_of_are_the_numbers() -> None:
    made = codec(LISTS)

    def learned(value: Any) -> list[str]:
        return made.learned(made.encode({"move": value}))

    assert learned(LISTS[0]) == learned(np.array(LISTS[0], dtype=np.float64))
    assert learned(LISTS[0]) != learned([[1, 2], [3, 4], [5, 6]])


@pytest.mark.parametrize(
    "value",
    [[[1, 2], [3]], [[1, "2"]], [[1, 2], None], [], np.zeros((1, 2, 3)), np.array([["a", "b"]]), 7, "a.npy", {"a": 1}],
    ids=str,
)
def test_what_a_request_must_not_say_is_what_a_manifest_without_files_must_not(value: Any) -> None:
    told = message(row_frames, {"move": value}, "move")
    expected = told if '"move"' in told else told + FIELD
    assert message(codec(LISTS).encode, {"move": value}) == expected


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        (None, "expected a field 'move' in the condition, found none"),
        ([[1, 2, 3]], "'move': expected 2 features a frame, as in training, found 3"),
        ([1, 2], "'move': expected 2 features a frame, as in training, found 1"),
        ([[]], "'move': expected 2 features a frame, as in training, found 0"),
        (np.zeros((0, 2)), "'move': the sequence has no frames"),
    ],
    ids=str,
)
def test_sequences_of_another_size(value: Any, fault: str) -> None:
    assert message(codec(LISTS).encode, {"move": value}) == fault
    assert message(codec(LISTS).encode, {"move": value}, "d.jsonl", 7) == f"d.jsonl:7: {fault}"


@pytest.mark.parametrize(
    "value",
    ["none.npy", "cube.npy", "all.npz", "all.npz#c", "a.txt", "x" * 300 + ".npy", "a\0.npy", [[1, "2"]], ""],
    ids=lambda value: repr(value)[:20],
)
def test_what_a_record_of_a_file_must_not_say_is_what_a_manifest_must_not(value: Any, tmp_path: Path) -> None:
    np.save(tmp_path / "cube.npy", np.ones((2, 2, 3)))
    np.savez(tmp_path / "all.npz", a=np.ones((2, 2)), b=np.ones((2, 2)))
    file = str(tmp_path / "train.jsonl")
    told = message(row_frames, {"move": value}, "move", tmp_path, file, 7)
    assert told.startswith(f"{file}:7: ")
    expected = told if '"move"' in told else told + FIELD
    assert message(codec(LISTS).encode, {"move": value}, file, 7) == expected


def test_what_is_found_when_numbers_are_read_names_the_record() -> None:
    made = codec(LISTS)
    values = made.encode({"move": [[1, 2], [1, float("nan")]]}, "d.jsonl", 3)
    for told in (message(made.batch, [values]), message(made.learned, values)):
        assert told.startswith("d.jsonl:3: 'move': expected finite numbers, found nan in frame 1, feature 1")


def test_training_data_that_differ_or_lack_the_field() -> None:
    assert message(codec, [LISTS[0], [[1]]], "d.jsonl") == (
        "d.jsonl:2: 'move': expected 2 features a frame, as in training, found 1"
    )
    assert message(codec, [LISTS[0], None], "d.jsonl") == (
        "d.jsonl:2: expected a field 'move' in the condition, found none"
    )
    told = message(codec, [LISTS[0], "x"], "d.jsonl")
    assert told.startswith("d.jsonl:2: 'x': expected the name of an array") and told.endswith(FIELD)
    assert message(codec, [], kind="frames") == "no training records with a sequence of vectors 'move'"


def test_records_of_files_keep_what_was_opened_and_others_are_left_alone() -> None:
    of_a_file, other = {"move": LISTS[0]}, {"move": LISTS[0]}
    made = codec(LISTS)
    (opened,) = made.encode(of_a_file, "d.jsonl", 1)
    made.encode(other)
    assert of_a_file["move"] is opened and made.encode(of_a_file, "d.jsonl", 1) == (opened,)
    assert other == {"move": LISTS[0]}


@pytest.mark.parametrize("value", [LISTS[0], np.ones((2, 2)), "a.npy", FrameRecord(None)], ids=str)
def test_sequences_can_be_a_condition(value: Any) -> None:
    assert can_be_written(value)
