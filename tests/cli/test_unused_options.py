"""Options that would change nothing are refused, not ignored."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

Run = Callable[..., Any]


def described(folder: Path, task: str, input: str | None = "frames") -> Path:
    """What a model's folder has for those who look which task it is of."""
    folder.mkdir()
    settings = {"task": task, **({"input": input} if input else {})}
    (folder / "config.json").write_text(json.dumps({"settings": settings}), encoding="utf-8")
    return folder


def last(result: Any) -> str:
    assert result.status != 0
    return str(result.err.splitlines()[-1])


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    rows = []
    for number in range(6):
        np.save(tmp_path / f"{number}.npy", np.full((5, 2), number % 2, dtype=np.float32))
        rows.append(json.dumps({"frames": f"{number}.npy", "label": "ab"[number % 2]}) + "\n")
    (tmp_path / "m.jsonl").write_text("".join(rows), encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("task", "flags", "message"),
    [
        ("transcribe", ["--times"], "--times needs --output-format jsonl; text does not show it."),
        ("transcribe", ["--nbest=3"], "--nbest needs --output-format jsonl; text does not show it."),
        (
            "tag",
            ["--probs", "--output-format=textgrid"],
            "--probs needs --output-format jsonl; textgrid does not show it.",
        ),
        ("transcribe", ["--lm-weight=2"], "--lm-weight needs a language model, --lm"),
        ("transcribe", ["--length-bonus=-1"], "--length-bonus needs a language model, --lm"),
        ("classify", ["--frames=x"], "--frames names a field of manifests, and 0.npy has none: it is read as npy."),
        (
            "classify",
            ["--columns=x,y"],
            "--columns names the columns of tables, and 0.npy has none: it is read as npy.",
        ),
    ],
)
def test_of_prediction(
    task: str, flags: list[str], message: str, frames: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(frames)
    model = described(frames / "model", task)
    assert last(run(task, "predict", "0.npy", "-m", model, *flags)) == f"error: {message}"


def test_of_prediction_from_words(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("x.jsonl").write_text('{"text": "a b"}\n', encoding="utf-8")
    model = described(tmp_path / "model", "tag", None)
    told = "--columns names the columns of tables, and x.jsonl has none: it is read as jsonl."
    assert last(run("tag", "predict", "x.jsonl", "-m", model, "--columns=x,y")) == f"error: {told}"
    told = "--probs needs --output-format conll or jsonl; inline does not show it."
    assert last(run("tag", "predict", "x.jsonl", "-m", model, "--probs", "--output-format=inline")) == f"error: {told}"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--lm-weight=2"], "--lm-weight needs a language model, --lm"),
        (["--tune", "--lm=x", "--length-bonus=1"], "--tune finds --length-bonus; leave one of them out"),
    ],
)
def test_of_evaluation(flags: list[str], message: str, frames: Path, run: Run) -> None:
    model = described(frames / "model", "transcribe")
    assert last(run("transcribe", "evaluate", frames / "m.jsonl", "-m", model, *flags)) == f"error: {message}"


@pytest.mark.parametrize("flags", [["--features=mfcc"], ["--set=audio.bins=20"]])
def test_of_features_where_there_are_arrays(flags: list[str], frames: Path, run: Run) -> None:
    result = run("classify", "train", frames / "m.jsonl", "-o", frames / "out", "--quiet", "--device=cpu", *flags)
    name = {"--features=mfcc": "features"}.get(flags[0], "bins")
    told = f"audio.{name} is for recordings, and these sequences are arrays; leave it out"
    assert last(result) == f"error: {told}"


def test_of_frame_rates_where_there_are_recordings(tmp_path: Path, run: Run) -> None:
    soundfile = pytest.importorskip("soundfile")
    rows = []
    for number in range(4):
        soundfile.write(tmp_path / f"{number}.wav", np.sin(np.arange(1600) / (number + 2)), 8000)
        rows.append(json.dumps({"audio": f"{number}.wav", "labels": ["a", "b"][number % 2 :][:1] * 18}) + "\n")
    (tmp_path / "m.jsonl").write_text("".join(rows), encoding="utf-8")
    flags = ["-o", tmp_path / "out", "--quiet", "--device=cpu", "--hidden=4", "--epochs=1", "--layers=1"]
    told = (
        "data.frame_rate is for arrays, and these sequences are recordings; of recordings it follows from audio.shift"
    )
    assert last(run("tag", "train", tmp_path / "m.jsonl", *flags, "--frame-rate=50")) == f"error: {told}"
    assert run("tag", "train", tmp_path / "m.jsonl", *flags).status == 0
    result = run("tag", "predict", tmp_path / "0.wav", "-m", tmp_path / "out", "--quiet", "--frame-rate=50")
    told = "frame_rate is for arrays; this model reads recordings, which tell it themselves"
    assert last(result) == f"error: {told}"
