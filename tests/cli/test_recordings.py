"""Recordings on the command line: their rates, segments and names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seqkit.cli.main import main

from .conftest import Run

soundfile = pytest.importorskip("soundfile", reason="needs the extra audio")
pytest.importorskip("kaldi_native_fbank", reason="needs the extra audio")

QUICK = ["--hidden=2", "--epochs=1", "--dropout=0", "--set", "audio.bins=5"]


def tone(number: int, rate: int = 8000, seconds: float = 0.2) -> np.ndarray:
    noise = np.random.default_rng(number).normal(0, 0.01, round(seconds * rate))
    return np.sin(np.arange(round(seconds * rate)) * (0.1 + 0.3 * (number % 2))) / 2 + noise


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def recordings(folder: Path, rates: list[int]) -> Path:
    folder.mkdir(exist_ok=True)
    for number, rate in enumerate(rates):
        soundfile.write(folder / f"{number}.wav", tone(number, rate), rate)
    rows = [{"audio": f"{number}.wav", "label": "ab"[number % 2]} for number in range(len(rates))]
    return write_rows(folder / "all.jsonl", rows)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tones")
    data = recordings(folder, [8000] * 8)
    assert main(["classify", "train", str(data), "-o", str(folder / "model"), "--quiet", *QUICK]) == 0
    return folder / "model"


# --- rates --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rates", "usual", "shown"),
    [
        ([16000, 8000, 8000, 8000], 8000, "8,000 Hz (3), 16,000 Hz (1)"),
        ([8000, 8000, 16000, 16000], 16000, "8,000 Hz (2), 16,000 Hz (2)"),
    ],
)
def test_recordings_are_read_at_the_rate_that_most_have(
    run: Run, tmp_path: Path, rates: list[int], usual: int, shown: str
) -> None:
    train = recordings(tmp_path / "train", rates)
    dev = recordings(tmp_path / "dev", [11025, 11025])
    for split, path in (("train", train), ("dev", dev)):
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        write_rows(tmp_path / f"{split}.jsonl", [{**row, "audio": f"{split}/{row['audio']}"} for row in rows])
        path.unlink()
    result = run("classify", "train", tmp_path, "-o", tmp_path / "m", *QUICK)
    read = f"recordings at {shown} are read at {usual:,} Hz, as most have; --set audio.rate=N changes this\n"
    assert result.status == 0 and read in result.err
    assert f"input       recordings, read at {usual:,} Hz\n" in run("info", tmp_path / "m").out
    assert json.loads(run("info", tmp_path / "m", "--json").out)["frames"] == {"features": 5, "rate": usual}
    chosen = run("classify", "train", tmp_path, "-o", tmp_path / "n", *QUICK, "--set", "audio.rate=8000")
    assert f"recordings at {shown} are read at 8,000 Hz, as audio.rate says\n" in chosen.err


def test_rates_are_counted(run: Run, tmp_path: Path) -> None:
    data = recordings(tmp_path, [16000, 8000, 8000])
    table = [line.split() for line in run("data", "stats", data).out.splitlines()]
    assert ["at", "8,000", "Hz", "2"] in table and ["at", "16,000", "Hz", "1"] in table
    told = "all: 3 sequences, 6,400 samples at 8,000 Hz (2), 16,000 Hz (1)\n"
    assert told in run("data", "check", data).err


# --- segments -----------------------------------------------------------------------------------------------------


def test_segments_are_as_good_as_recordings_of_their_own(run: Run, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "whole.wav", np.concatenate([tone(number) for number in range(8)]), 8000)
    whole, _ = soundfile.read(tmp_path / "whole.wav")
    for number in range(8):
        soundfile.write(tmp_path / f"{number}.wav", whole[number * 1600 : (number + 1) * 1600], 8000)
    labels = ["ab"[number % 2] for number in range(8)]
    cut = [{"audio": f"{number}.wav", "label": label} for number, label in enumerate(labels)]
    times = [(number / 5, (number + 1) / 5) for number in range(8)]
    pairs = {
        "cut": cut,
        "times": [{**row, "audio": "whole.wav", "start": a, "end": b} for row, (a, b) in zip(cut, times, strict=True)],
        "nemo": [
            {**row, "audio": "whole.wav", "offset": a, "duration": 0.2} for row, (a, _) in zip(cut, times, strict=True)
        ],
    }
    predicted = {}
    for name, rows in pairs.items():
        data = write_rows(tmp_path / f"{name}.jsonl", rows)
        trained = run("classify", "train", data, "-o", tmp_path / name, *QUICK)
        assert trained.status == 0
        assert ("segments read" in trained.err) == (name != "cut")
        found = run("classify", "predict", data, "-m", tmp_path / name, "--output-format=jsonl", "--quiet")
        answers = [json.loads(line) for line in found.out.splitlines()]
        where = ("audio", "start", "end", "offset", "duration")
        assert [{key: answer.pop(key) for key in where if key in answer} for answer in answers] == [
            {key: row[key] for key in where if key in row} for row in rows
        ]
        predicted[name] = answers
    assert predicted["cut"] == predicted["times"] == predicted["nemo"]
    assert (
        f"{tmp_path / 'times.jsonl'}: segments read, 'start' and 'end' in seconds: 8\n"
        in run("data", "check", tmp_path / "times.jsonl").err
    )


# --- names --------------------------------------------------------------------------------------------------------


def names(run: Run, model: Path, *files: object) -> list[str]:
    """The names in both outputs of ``predict``, which are the same."""
    table, objects = (
        run("classify", "predict", *files, "-m", model, f"--output-format={form}", "--quiet")
        for form in ("tsv", "jsonl")
    )
    found = [line.split("\t")[-1] for line in table.out.splitlines()]
    rows = [json.loads(line) for line in objects.out.splitlines()]
    assert table.status == 0 and [row["audio"] for row in rows] == found
    return found


def test_predictions_name_files_as_they_were_given(
    run: Run, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    given = ["s1/rec.wav", "s2/rec.wav", "./s1/rec.wav", "s#3/in/rec.wav", str(tmp_path / "s1" / "rec.wav")]
    for name in given:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(name, tone(1), 8000)
    assert names(run, model, *given) == given
    write_rows(Path("s1/all.jsonl"), [{"audio": "rec.wav"}, {"audio": "../s2/rec.wav"}])
    assert names(run, model, "s1/all.jsonl") == ["rec.wav", "../s2/rec.wav"]
    Path("s1/all.jsonl").unlink()
    assert names(run, model, tmp_path) == ["s#3/in/rec.wav", "s1/rec.wav", "s2/rec.wav"]
    assert names(run, model, ".") == ["s#3/in/rec.wav", "s1/rec.wav", "s2/rec.wav"]
    assert names(run, model, "s1/", "s2") == ["s1/rec.wav", "s2/rec.wav"]
    Path("s2/rec.wav").write_bytes(b"no sound")
    for place, file in (("s2", "s2/rec.wav"), ("s2/rec.wav", "s2/rec.wav")):
        found = run("classify", "predict", place, "-m", model, "--quiet")
        assert found.err.startswith(f"error: {file}: not a recording that can be read: ")


def test_a_folder_is_read_once(run: Run, model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "all"
    data = recordings(folder, [8000] * 3)
    for foreign in ("notes.txt", ".DS_Store", "README", "Makefile.am", "model.bin"):
        (folder / foreign).write_text("some notes\nabout it\n")
    assert names(run, model, folder) == ["0.wav", "1.wav", "2.wav"]
    (folder / "1.wav").write_bytes(b"")
    told = run("classify", "predict", folder, "-m", model).err
    others = ".DS_Store, 0.wav, 1.wav, 2.wav, Makefile.am and 3 more"
    assert told.startswith(f"{folder}: 1 file read, not {others}\n")
    data.unlink()
    (folder / "1.wav").unlink()
    assert names(run, model, folder) == ["0.wav", "2.wav"]
    told = run("classify", "predict", folder, "-m", model).err
    assert told.startswith(f"{folder}: 2 files read, not .DS_Store, Makefile.am, README, model.bin, notes.txt\n")
    for number in (0, 2):
        (folder / f"{number}.wav").unlink()
    refused = run("classify", "predict", folder, "-m", model)
    none = "no sequences of vectors in this folder: no manifest, array, recording or piece"
    assert (refused.status, refused.err) == (1, f"error: {folder}: {none}\n")
