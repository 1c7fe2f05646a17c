"""Features of recordings in a file: made once, taken up again, and never those of something else."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqkit
from seqkit.errors import DataError, ModelError, TrainingError
from seqkit.inputs import feature_store
from seqkit.inputs.feature_store import FeatureStore
from seqkit.inputs.frames import FrameInput
from seqkit.training.checkpoint import features_file

SETTINGS = {"window": 25}


def recordings(folder: Path, count: int = 4) -> dict[Path, np.ndarray]:
    draw = np.random.default_rng(count)
    found = {}
    for row in range(count):
        file = folder / f"{row}.wav"
        file.write_bytes(bytes(row + 1))
        found[file] = draw.normal(size=(row * 2, 3)).astype(np.float32)
    return found


def filled(folder: Path, file: Path, **options: Any) -> tuple[FeatureStore, dict[Path, np.ndarray]]:
    store = FeatureStore(SETTINGS, 3, file, **options)
    known = recordings(folder)
    for path, features in known.items():
        store.add(path, features)
    return store, known


def assert_kept(store: FeatureStore, known: dict[Path, np.ndarray]) -> None:
    for path, features in known.items():
        found = store.get(path)
        assert found is not None
        assert found.dtype == np.float32
        assert found.tolist() == features.tolist()


def test_features_are_there_before_and_after_they_have_got_their_file(tmp_path: Path) -> None:
    file = tmp_path / "run" / "checkpoint" / "features.bin"
    store, known = filled(tmp_path, file)
    assert_kept(store, known)
    assert not file.parent.parent.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.wav", "1.wav", "2.wav", "3.wav"]
    store.settle(file)
    assert_kept(store, known)
    assert [path.name for path in file.parent.iterdir()] == ["features.bin"]
    later = FeatureStore(SETTINGS, 3, file, take_up=True)
    assert_kept(later, known)
    state = file.stat()
    later.settle(file)  # nothing is new
    assert file.stat().st_ino == state.st_ino


def test_of_other_settings_or_recordings_nothing_is_taken(tmp_path: Path) -> None:
    file = tmp_path / "features.bin"
    store, known = filled(tmp_path, file)
    store.settle(file)
    changed, removed, *others = known
    changed.write_bytes(b"others")
    removed.unlink()
    for other in (
        FeatureStore({"window": 20}, 3, file, take_up=True),
        FeatureStore(SETTINGS, 4, file, take_up=True),
        FeatureStore(SETTINGS, 3, file),
        FeatureStore(SETTINGS, 3, tmp_path / "none", take_up=True),
        FeatureStore(SETTINGS, 3, tmp_path, take_up=True),
    ):
        assert [other.get(path) for path in known] == [None] * 4
    again = FeatureStore(SETTINGS, 3, file, take_up=True)
    assert [again.get(path) is None for path in known] == [True, True, False, False]
    again.add(changed, np.ones((1, 3), np.float32))
    again.settle(file)
    assert_kept(again, {changed: np.ones((1, 3)), **{path: known[path] for path in others}})


def test_any_damage_is_found(tmp_path: Path) -> None:
    file = tmp_path / "features.bin"
    store, known = filled(tmp_path, file)
    store.settle(file)
    whole = file.read_bytes()
    draw = random.Random(1)
    for _ in range(400):
        content = bytearray(whole)
        kind = draw.randrange(3)
        if kind == 0:
            content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        elif kind == 1:
            del content[draw.randrange(len(content)) :]
        else:
            content[draw.randrange(len(content)) :] = draw.randbytes(draw.randrange(60))
        file.write_bytes(content)
        damaged = FeatureStore(SETTINGS, 3, file, take_up=True)
        for path, features in known.items():
            found = damaged.get(path)
            assert found is None or found.tolist() == features.tolist()


class Killed(BaseException):
    """The end of a process."""


@pytest.mark.parametrize("end", [OSError("no"), Killed()])
@pytest.mark.parametrize("call", ["fsync", "rename", "flush_names", "write"])
def test_whenever_writing_ends_the_file_is_the_old_one_or_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: BaseException, call: str
) -> None:
    file = tmp_path / "features.bin"
    store, known = filled(tmp_path, file)
    store.settle(file)
    before = file.read_bytes()
    more = FeatureStore(SETTINGS, 3, file, take_up=True)
    extra = tmp_path / "more.wav"
    extra.write_bytes(b"x")
    more.add(extra, np.ones((2, 3), np.float32))

    def ends(*_: Any, **__: Any) -> Any:
        raise end

    places: dict[str, tuple[Any, str]] = {
        "fsync": (os, "fsync"),
        "rename": (feature_store, "rename"),
        "flush_names": (feature_store, "flush_names"),
        "write": (FeatureStore, "_content"),
    }
    with monkeypatch.context() as patch:
        patch.setattr(*places[call], ends)
        if isinstance(end, OSError):
            with pytest.raises(ModelError) as caught:
                more.settle(file)
            assert str(caught.value) == f"{file}: cannot be written: no"
            assert not file.with_name("features.bin.part").exists()
        else:
            with pytest.raises(Killed):
                more.settle(file)
    if call != "flush_names":
        assert file.read_bytes() == before
    assert_kept(FeatureStore(SETTINGS, 3, file, take_up=True), known)
    last, _ = filled(tmp_path, file, take_up=True)  # what a killed process left is no obstacle
    last.settle(file)
    assert_kept(last, known)


def test_where_features_cannot_be_kept_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(feature_store.tempfile, "TemporaryFile", full)
    with pytest.raises(DataError) as caught:
        filled(tmp_path, tmp_path / "features.bin")
    expected = "its features cannot be kept while training: No space left on device"
    assert str(caught.value) == f"{tmp_path / '0.wav'}: {expected}"


# --- in training --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    soundfile = pytest.importorskip("soundfile", reason="needs the extra audio")
    pytest.importorskip("kaldi_native_fbank", reason="needs the extra audio")
    folder = tmp_path_factory.mktemp("spoken")
    rows = []
    for row in range(12):
        tone = np.sin(np.arange(1600 + 100 * row) * (0.1 if row % 2 else 0.5))
        soundfile.write(folder / f"{row}.wav", tone, 8000)
        rows.append(f'{{"audio": "{row}.wav", "label": "{"low" if row % 2 else "high"}"}}\n')
    (folder / "train.jsonl").write_text("".join(rows[:8]))
    (folder / "dev.jsonl").write_text("".join(rows[8:10]))
    (folder / "test.jsonl").write_text("".join(rows[10:]))
    return folder


def settings(epochs: int) -> dict[str, Any]:
    training = {"epochs": epochs, "batch_size": 4}
    return {"task": "classify", "input": "frames", "encoder": {"hidden": 4}, "training": training}


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    made: list[int] = []
    original = feature_store.FeatureStore.add

    def add(self: FeatureStore, recording: Path, frames: Any, segment: Any) -> None:
        made.append(len(frames))
        original(self, recording, frames, segment)

    monkeypatch.setattr(feature_store.FeatureStore, "add", add)
    return lambda: len(made)


def test_features_are_made_once_and_taken_up(
    spoken: Path, tmp_path: Path, counted: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = seqkit.train(settings(3), tmp_path / "whole", spoken, device="cpu")
    assert counted() == 12
    run = tmp_path / "run"
    seqkit.train(settings(2), run, spoken, device="cpu")
    assert counted() == 24
    assert features_file(run).is_file()
    monkeypatch.setattr(FrameInput, "_features", lambda *_: pytest.fail("features are made again"))
    resumed = seqkit.train(settings(3), run, spoken, device="cpu", resume=True)
    assert counted() == 24
    for name, tensor in whole.weights().items():
        assert tensor.equal(resumed.weights()[name])


def test_damaged_features_are_made_again(spoken: Path, tmp_path: Path, counted: Callable[[], int]) -> None:
    run = tmp_path / "run"
    seqkit.train(settings(1), run, spoken, device="cpu")
    content = bytearray(features_file(run).read_bytes())
    content[200] ^= 1
    features_file(run).write_bytes(content)
    seqkit.train(settings(2), run, spoken, device="cpu", resume=True)
    assert counted() == 13


def test_a_run_that_was_killed_before_its_first_checkpoint_is_no_obstacle(spoken: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    seqkit.train(settings(1), run, spoken, device="cpu")
    kept = features_file(run).read_bytes()
    for resume in (True, False):
        for path in (path for path in run.rglob("*") if path.is_file()):
            path.unlink()
        features_file(run).write_bytes(kept)
        features_file(run).with_name("features.bin.part").write_bytes(b"half")
        seqkit.train(settings(1), run, spoken, device="cpu", resume=resume)
        assert not features_file(run).with_name("features.bin.part").exists() or resume
    with pytest.raises(TrainingError):
        seqkit.train(settings(1), run, spoken, device="cpu")
    seqkit.train(settings(1), run, spoken, device="cpu", force=True)


def test_recordings_that_changed_are_other_data(spoken: Path, tmp_path: Path) -> None:
    import shutil

    import soundfile

    data = tmp_path / "data"
    shutil.copytree(spoken, data)
    seqkit.train(settings(1), tmp_path / "run", data, device="cpu")
    soundfile.write(data / "3.wav", np.sin(np.arange(1900) * 0.2), 8000)
    with pytest.raises(TrainingError) as caught:
        seqkit.train(settings(2), tmp_path / "run", data, device="cpu", resume=True)
    assert "checksum of the data" in str(caught.value)


def test_segments_of_a_recording_are_kept_each(tmp_path: Path) -> None:
    file = tmp_path / "features"
    store, known = filled(tmp_path, file)
    path = next(iter(known))
    segments = {(0.0, 0.5): np.ones((2, 3), np.float32), (0.5, 1.0): np.zeros((1, 3), np.float32)}
    for segment, features in segments.items():
        store.add(path, features, segment)
    for reader in (store, None):
        if reader is None:
            store.settle(file)
            reader = FeatureStore(SETTINGS, 3, file, take_up=True)
        assert_kept(reader, known)
        for segment, features in segments.items():
            found = reader.get(path, segment)
            assert found is not None and found.tolist() == features.tolist()
        assert reader.get(path, (0.0, 1.0)) is None
