"""Every option of frames and of recordings trains; every pooling and loss of a classifier of frames does."""

from __future__ import annotations

import json
import math
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import numpy as np
import pytest

from seqkit.config import parse_settings
from seqkit.inputs.audio_settings import AudioSettings
from seqkit.inputs.frame_settings import FrameSettings
from seqkit.model.loading import load
from seqkit.training.run import run

NUMBERS: dict[str, dict[str, Any]] = {
    "stack": {"stack": 3},
    "stride": {"stack": 3, "stride": 2},
    "convolutions": {"convolutions": 2, "channels": 4},
    "channels": {"convolutions": 1, "channels": 3},
    "kernel": {"convolutions": 1, "channels": 4, "kernel": 7},
    "causal": {"convolutions": 1, "channels": 4, "causal": True},
    "dropout": {"dropout": 0.5},
    "noise": {"noise": 0.5},
    "offset": {"offset": 0.5},
    "warp": {"warp": 0.2, "spectrum": "logmel"},
    "time_masks": {"time_masks": 2},
    "time_mask": {"time_masks": 1, "time_mask": 3},
    "feature_masks": {"feature_masks": 2},
    "feature_mask": {"feature_masks": 1, "feature_mask": 100},
    "rate": {"rate": 4000, "bins": 8},
    "window": {"window": 40.0},
    "shift": {"shift": 5.0},
    "bins": {"bins": 10},
    "coefficients": {"features": "mfcc", "coefficients": 5},
    "low_frequency": {"low_frequency": 100.0},
    "high_frequency": {"high_frequency": 3000.0},
    "pre_emphasis": {"pre_emphasis": 0.0},
    "deltas": {"deltas": 2},
    "delta_width": {"deltas": 1, "delta_width": 3},
}
"""option → settings in which it is another than by default"""


def options(section: str, kind: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every option of a section, with each of its values if there are only a few."""
    for name, field in kind.model_fields.items():
        if get_origin(field.annotation) is Literal:
            beside = {"warp": 0.2} if name == "spectrum" else {}
            yield from ((section, {name: value, **beside}) for value in get_args(field.annotation) if value)
        else:
            yield section, NUMBERS[name]


FRAMES = list(options("frames", FrameSettings))
AUDIO = [*options("audio", AudioSettings), ("frames", {"warp": 0.2})]


def named(value: Any) -> str:
    return "-".join(f"{key}={each}" for key, each in value.items()) if isinstance(value, dict) else str(value)


@pytest.fixture(scope="module")
def arrays(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sequences of two kinds, in which ones follow zeros or the other way round; each frame has a label, too."""
    folder = tmp_path_factory.mktemp("arrays")
    rng = np.random.default_rng(1)
    for split, count in (("train", 12), ("dev", 4)):
        rows = []
        for number in range(count):
            size = int(rng.integers(4, 9))
            labels = ["up" if (place < size // 2) == bool(number % 2) else "O" for place in range(size)]
            frames = [[float(label == "up"), float(place)] for place, label in enumerate(labels)]
            kind = ["first", "last"][number % 2]
            several = "|".join([kind, "long"] if size > 6 else [kind])
            rows.append(
                {"frames": frames, "labels": labels, "label": kind, "kinds": several, "speaker": f"s{number % 3}"}
            )
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two tones, low and high, one after the other."""
    folder = tmp_path_factory.mktemp("recordings")
    for split, count in (("train", 6), ("dev", 2)):
        rows = []
        for number in range(count):
            time = np.arange(1600) / 8000
            tone = np.where(time < 0.1, np.sin(2 * np.pi * 300 * time), np.sin(2 * np.pi * (900 + 50 * number) * time))
            with wave.open(str(folder / f"{split}{number}.wav"), "wb") as file:
                file.setnchannels(1)
                file.setsampwidth(2)
                file.setframerate(8000)
                file.writeframes((tone * 10_000).astype("<i2").tobytes())
            runs = [{"start": 0, "end": 0.1, "label": "low"}, {"start": 0.1, "end": 0.2, "label": "high"}]
            rows.append({"audio": f"{split}{number}.wav", "labels": runs, "label": str(number % 2)})
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


def trained(task: str, folder: Path, output: Path, **sections: Any) -> Any:
    """A report on dev after one epoch; the reloaded model has the same."""
    tree: dict[str, Any] = {"encoder": {"hidden": 4}, "training": {"epochs": 1, "batch_size": 4}}
    settings = parse_settings({"task": task, "input": "frames", **tree, **sections}, "test")
    found = run(settings, output, folder, quiet=True)
    assert math.isfinite(found.reports["dev"].accuracy)
    assert load(output).evaluate(folder, "dev").report == found.reports["dev"]
    return found


@pytest.mark.parametrize(("section", "values"), FRAMES, ids=named)
def test_every_option_of_frames_trains(section: str, values: dict[str, Any], arrays: Path, tmp_path: Path) -> None:
    trained("tag", arrays, tmp_path / "model", **{section: values})


@pytest.mark.parametrize(("section", "values"), AUDIO, ids=named)
def test_every_option_of_recordings_trains(
    section: str, values: dict[str, Any], recordings: Path, tmp_path: Path
) -> None:
    pytest.importorskip("soundfile", reason="needs the extra audio")
    pytest.importorskip("kaldi_native_fbank", reason="needs the extra audio")
    sections = {"audio": {"bins": 20}, "frames": {}}
    trained("tag", recordings, tmp_path / "model", **sections | {section: {**sections[section], **values}})


@pytest.mark.parametrize("pool", ["mean", "max", "last", "attention", "concat"])
@pytest.mark.parametrize("multi", [False, True])
def test_a_classifier_of_frames_with_every_pooling(pool: str, multi: bool, arrays: Path, tmp_path: Path) -> None:
    head = {"pool": pool, "multi_label": multi, "class_weights": "balanced" if pool == "mean" else "none"}
    found = trained("classify", arrays, tmp_path / "model", head=head, data={"label": "kinds"} if multi else {})
    answers = list(found.model.predict([{"frames": [[0.0, 1.0], [1.0, 0.0]]}, {"frames": [[0.5, 0.5]]}]))
    for answer in answers:
        assert set(answer.probs) == ({"first", "last", "long"} if multi else {"first", "last"})
        assert multi or sum(answer.probs.values()) == pytest.approx(1)


def test_a_classifier_of_frames_learns_what_comes_first(arrays: Path, tmp_path: Path) -> None:
    tree = {"encoder": {"hidden": 8}, "training": {"epochs": 20, "batch_size": 4, "lr": 0.02}}
    settings = parse_settings({"task": "classify", "input": "frames", **tree}, "test")
    assert run(settings, tmp_path / "model", arrays, quiet=True).reports["dev"].accuracy == 1.0
