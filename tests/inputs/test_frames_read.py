"""Reading sequences of vectors for a network: when numbers are read, and what is refused."""

from __future__ import annotations

import json
import math
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from seqkit.config import override, parse_settings
from seqkit.corpora.resolve import resolve
from seqkit.errors import DataError
from seqkit.formats import arrays
from seqkit.formats.arrays import ArrayFile, ArraySource
from seqkit.formats.audio import AudioFile
from seqkit.heads.generation.settings import GenerateSettings
from seqkit.inputs.base import NO_SOURCES
from seqkit.inputs.frames import FrameInput
from seqkit.model.classifier import Classifier
from seqkit.model.generator import Generator
from seqkit.nn.condition import FramePart
from seqkit.records import FrameRecord, TextRecord

SETTINGS = parse_settings({"task": "classify", "input": "frames"}, "settings")


def record(numbers: Any, line: int) -> FrameRecord:
    return FrameRecord(ArraySource(np.array(numbers, dtype=np.float32)), file="train.jsonl", line=line)


def fault(records: list[FrameRecord]) -> str:
    with pytest.raises(DataError) as caught:
        FrameInput.build(SETTINGS, records, NO_SOURCES)
    return str(caught.value)


def test_faults_name_the_record(tmp_path: Path) -> None:
    good = record([[1, 2], [3, 4]], 1)
    np.save(tmp_path / "a.npy", np.ones((2, 2), np.float32))
    named = FrameRecord(ArraySource(ArrayFile(tmp_path / "a.npy")), name="a.npy", file="train.jsonl", line=3)
    (tmp_path / "a.npy").unlink()
    spoken = FrameRecord(AudioFile(tmp_path / "a.wav"), key="audio", name="a.wav", file="train.jsonl", line=4)
    for other, expected in (
        (record([[1, 2, 3]], 2), "train.jsonl:2: expected 2 features a frame, as in training, found 3"),
        (record(np.zeros((0, 2)), 2), "train.jsonl:2: the sequence has no frames"),
        (named, "train.jsonl:3: 'a.npy': cannot be read: No such file or directory"),
        (spoken, "train.jsonl:4: 'a.wav': expected an array of frames, as the model was trained on, found a recording"),
    ):
        assert fault([good, other]) == expected
    assert fault([record(np.zeros((3, 0)), 1)]) == "train.jsonl:1: the frames have no features"


def test_a_file_that_became_shorter_is_no_crash(tmp_path: Path) -> None:
    file = tmp_path / "a.npy"
    for array in (np.ones((3000, 2)), np.ones((3, 1000, 2))):
        np.save(file, array)
        where = ArrayFile(file, "2" if array.ndim == 3 else "")
        header = arrays._array_header(file)
        file.write_bytes(file.read_bytes()[:500])
        arrays._kept_header.cache_clear()
        with pytest.raises(DataError) as caught:
            where.read()
        assert str(caught.value).startswith(f"{file}: not an array of numbers (.npy): it has ")
        assert header.shape == array.shape


def test_a_file_that_has_changed_since_its_length_was_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.npy"
    for row, (before, after) in enumerate(
        (((7, 2), (9, 2)), ((7, 2), (5, 2)), ((7, 2), (7, 3)), ((7,), (8,)), ((7, 2), (14,)), ((7, 2), (2, 7, 2)))
    ):
        np.save(file, np.ones(before))
        given = FrameRecord(ArraySource(ArrayFile(file)), name="a.npy", file="train.jsonl", line=1 + row)
        input = FrameInput.build(SETTINGS, [given], NO_SOURCES)
        arrays = input.arrays([given])
        np.save(file, np.ones(after))
        expected = (
            f"train.jsonl:{1 + row}: 'a.npy': expected an array of shape {list(before)}, found {list(after)}: the file "
            "has changed meanwhile"
        )
        for read in (lambda: input.collate(arrays, np.array([0])), lambda: list(input.parts(given))):  # noqa: B023
            with pytest.raises(DataError) as caught:
                read()
            assert str(caught.value) == expected


def test_a_recording_has_the_frames_that_each_model_makes_of_it(tmp_path: Path) -> None:
    soundfile = pytest.importorskip("soundfile")
    file = tmp_path / "a.wav"
    numbers = np.random.default_rng(1)

    def save(samples: int) -> None:
        soundfile.write(file, (0.1 * numbers.normal(size=samples)).astype(np.float32), 8000)

    save(4000)
    given = FrameRecord(AudioFile(file), key="audio", name="a.wav", file="train.jsonl", line=4)
    inputs = [
        FrameInput.build(override(SETTINGS, {"audio": {"shift": shift}}), [given], NO_SOURCES) for shift in (10, 20, 5)
    ]
    fresh = {shift: 1 + (4000 - 200) // (8 * shift) for shift in (10, 20, 5)}
    for _ in range(2):
        for shift, input in zip(fresh, inputs, strict=True):
            assert input.lengths([given]) == [fresh[shift]]
            arrays = input.arrays([given])
            batch = input.collate(arrays, np.array([0]))
            assert batch.lengths.tolist() == batch.frame_lengths.tolist() == [fresh[shift]]
            assert np.array_equal(batch.frames[0], (input.read(given)))
    mixed = [(input, input.arrays([given])) for input in inputs]
    for shift, (input, arrays) in zip(fresh, mixed, strict=True):
        assert input.collate(arrays, np.array([0])).lengths.tolist() == [fresh[shift]]
    save(3000)
    with pytest.raises(DataError) as caught:
        input.collate(arrays, np.array([0]))
    assert str(caught.value) == (
        f"train.jsonl:4: 'a.wav': expected {fresh[5]} frames, found {1 + (3000 - 200) // 40}: the file has changed "
        "meanwhile"
    )


@pytest.mark.parametrize("kind", ["<f4", ">f4", "<f2", ">f8", "|i1", ">i2", "<u8", "|b1"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_every_type_and_order_of_numbers(tmp_path: Path, kind: str, order: Any) -> None:
    draw = np.random.default_rng(1)
    whole = np.asarray(draw.integers(0, 2, (4, 5, 3)).astype(kind), order=order)
    np.save(tmp_path / "a.npy", whole)
    np.savez_compressed(tmp_path / "a.npz", x=whole[1])
    np.save(tmp_path / "one.npy", np.asarray(whole[2], order=order))
    for place, expected in (
        (ArrayFile(tmp_path / "a.npy", "3"), whole[3]),
        (ArrayFile(tmp_path / "a.npz", "x"), whole[1]),
        (ArrayFile(tmp_path / "one.npy"), whole[2]),
    ):
        found = ArraySource(place).read()
        assert (found.dtype, found.shape) == (np.float32, (5, 3))
        assert found.tolist() == expected.astype(np.float32).tolist()


@pytest.mark.parametrize("layout", ["files", "beside", "archive"])
def test_a_manifest_loads_no_numbers(tmp_path: Path, layout: str) -> None:
    count, shape = 60, (500, 40)
    one = np.ones(shape, np.float32)
    rows: list[dict[str, Any]] = [{"label": "x"} for _ in range(count)]
    if layout == "files":
        for row in range(count):
            np.save(tmp_path / f"{row}.npy", one)
            rows[row]["frames"] = f"{row}.npy"
    elif layout == "beside":
        np.save(tmp_path / "train.frames.npy", np.stack([one] * count))
    else:
        np.savez(tmp_path / "all.npz", **{str(row): one for row in range(count)})
        for row in range(count):
            rows[row]["frames"] = f"all.npz#{row}"
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    resolve(tmp_path).read_frames(["train"])  # what is imported or kept once
    tracemalloc.start()
    records = resolve(tmp_path).read_frames(["train"]).records["train"]
    input = FrameInput(SETTINGS, 40)
    found = input.arrays(records)
    batch = input.collate(found, np.array([3, 5]))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert batch.frames.shape == (2, 500, 40)
    assert set(found.lengths.tolist()) == {500}
    assert peak < count * one.nbytes / 4


@pytest.mark.parametrize("convolutions", [0, 2])
def test_dropout_is_on_the_vectors_that_the_encoder_reads(convolutions: int) -> None:
    """Whole features of a sequence are zero, whatever makes them, with the probability of the setting."""
    changes = {"dropout": 0.4, "normalize": "none", "convolutions": convolutions, "channels": 400, "stack": 2}
    given = [record(np.random.default_rng(row).uniform(1, 2, (8, 400)), row) for row in range(6)]
    for row, each in enumerate(given):
        each.fields["label"] = "ab"[row % 2]
    model = Classifier.build(override(SETTINGS, {"frames": changes, "encoder": {"hidden": 2}}), given)
    seen: list[torch.Tensor] = []
    model.network.encoder.register_forward_pre_hook(lambda module, values: seen.append(values[0].detach()))
    batch = model.input.collate(model.input.arrays(given), np.arange(6))
    for training in (True, False):
        torch.manual_seed(1)
        model.network.train(training)(batch)
    dropped, kept = seen  # [B, T, I] each
    alive = dropped.ne(0).any(1, keepdim=True) | kept.eq(0).all(1, keepdim=True)  # [B, 1, I]
    torch.testing.assert_close(dropped, torch.where(alive, kept / 0.6, 0))
    used = kept.ne(0).any(1)  # [B, I]
    assert float(alive[:, 0][used].float().mean()) == pytest.approx(0.6, abs=5 * math.sqrt(0.24 / int(used.sum())))


def test_dropout_is_on_sequences_that_are_conditions() -> None:
    texts = [TextRecord("ab", {"text": "ab", "moves": np.ones((4, 3)) * row, "row": "x"}) for row in range(4)]
    settings = override(GenerateSettings(), {"data": {"condition": "moves"}, "frames": {"dropout": 0.25}})
    model = Generator.build(settings, texts)
    assert [part.dropout for part in model.network.modules() if isinstance(part, FramePart)] == [0.25]
