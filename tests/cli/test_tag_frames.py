"""`seqkit tag` on sequences of vectors."""

from __future__ import annotations

import json
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seqkit.cli.main import main

from .conftest import Run

ROWS: list[dict[str, Any]] = [
    {"frames": f"{name}.npy", "labels": [{"start": 2, "end": 5, "label": "a"}, {"start": 6, "end": 9, "label": "b"}]}
    for name in ("one", "two", "three", "four")
]


def write(folder: Path) -> Path:
    """Four arrays of ten frames, of which the labels can be read off."""
    shapes = np.zeros((10, 2), np.float32)
    shapes[2:5, 0] = shapes[6:9, 1] = 1
    for row in ROWS:
        np.save(folder / row["frames"], shapes)
    path = folder / "train.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
    return path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The data."""
    return write(tmp_path)


FLAGS = ["--hidden=8", "--epochs=40", "--patience=0", "--lr=0.03", "--dropout=0", "--batch-size=2", "--frame-rate=10"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that has learned them, trained once."""
    place = tmp_path_factory.mktemp("model")
    assert main(["tag", "train", str(write(tmp_path_factory.mktemp("data"))), "-o", str(place), "--quiet", *FLAGS]) == 0
    return place


def test_what_is_learned_is_told(run: Run, data: Path, tmp_path: Path) -> None:
    result = run("tag", "train", data, "-o", tmp_path / "told", "--hidden=2", "--epochs=1")
    assert "learning a label for each frame from field 'labels': O, a, b" in result.lines
    assert "the runs of field 'labels' are read in frames (--times)" in result.lines


def test_from_data_to_every_output(run: Run, data: Path, model: Path, tmp_path: Path) -> None:
    result = run("tag", "evaluate", data, "-m", model, "--json", "-", "--quiet", "--tolerance", 0.1)
    scores = json.loads(result.out)
    assert (scores["accuracy"], scores["runs"]["near"]["f1"], scores["tolerance"]) == (1.0, 1.0, 0.1)

    result = run("tag", "predict", data, "-m", model, "--quiet")
    answers = [json.loads(line) for line in result.out.splitlines()]
    assert [answer["frames"] for answer in answers] == [row["frames"] for row in ROWS]
    assert [[(run["start"], run["end"], run["label"]) for run in answer["labels"]] for answer in answers] == [
        [(2, 5, "a"), (6, 9, "b")]
    ] * 4

    one = tmp_path / "one.npy"
    result = run("tag", "predict", one, "-m", model, "--quiet", "--output-format", "audacity")
    assert (result.status, result.out) == (0, "0.200000\t0.500000\ta\n0.600000\t0.900000\tb\n")
    result = run("tag", "predict", one, "-m", model, "--quiet", "--output-format", "audacity", "--frame-rate", 100)
    assert result.out == "0.020000\t0.050000\ta\n0.060000\t0.090000\tb\n"

    result = run("tag", "predict", data, "-m", model, "--quiet", "--output-format", "textgrid")
    told = "a file of this format holds one record, and there are several; --output-dir DIR"
    assert (result.status, result.out, result.err) == (1, "", f"error: {told}\n")
    folder = tmp_path / "grids"
    grids = ["-m", model, "--quiet", "--output-format", "textgrid", "--output-dir", folder]
    result = run("tag", "predict", data, data, *grids)
    assert (result.status, result.out, result.err) == (0, "", "")
    names = sorted(path.name for path in folder.iterdir())
    assert names == sorted(f"{name}{more}.TextGrid" for name in ("one", "two", "three", "four") for more in ("", "-2"))
    assert "xmax = 1 \n" in (folder / "one.TextGrid").read_text(encoding="utf-8")
    result = run("tag", "predict", one, *grids)
    assert result.err == f"error: {folder / 'one.TextGrid'}: cannot be written: File exists\n"


def test_errors_and_a_picture_of_confusions(run: Run, data: Path, model: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="needs the extra plots")
    wrong = [{**row, "labels": ["a"] * 4 + ["b"] * 6} for row in ROWS[:1]]
    path = data.with_name("wrong.jsonl")
    path.write_text(json.dumps(wrong[0]) + "\n", encoding="utf-8")
    errors, picture = tmp_path / "errors", tmp_path / "confusion.png"
    result = run("tag", "evaluate", path, "-m", model, "--errors", errors, "--confusion", picture, "--quiet")
    assert result.status == 0, result.err
    assert errors.read_text(encoding="utf-8") == (
        "one.npy\t0.000\t0.200\ta\tO\none.npy\t0.400\t0.500\tb\ta\none.npy\t0.500\t0.600\tb\tO\none.npy\t0.900\t1.000\tb\tO\n"
    )
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            ["--output-format", "conll"],
            "Invalid value for '--output-format': this model's are jsonl, textgrid, audacity, found 'conll'.",
        ),
        (["--output-dir", "x"], "--output-dir is for textgrid and audacity."),
        (["--nbest", "2"], "--nbest is for words; the model reads sequences of vectors."),
    ],
)
def test_flags_that_do_not_fit(run: Run, model: Path, flags: list[str], message: str) -> None:
    result = run("tag", "predict", "-m", model, *flags)
    assert result.status == 2
    assert result.lines[-1] == f"error: {message}"


def test_frames_without_a_rate_have_no_seconds(run: Run, data: Path, tmp_path: Path) -> None:
    place = tmp_path / "unknown"
    assert run("tag", "train", data, "-o", place, "--quiet", *FLAGS[:-1]).status == 0
    result = run("tag", "predict", tmp_path / "one.npy", "-m", place, "--output-format", "textgrid", "--quiet")
    told = "it is not known how many frames a second the arrays have, so runs have no times in seconds"
    assert result.err == f"error: {tmp_path / 'one.npy'}: {told}; --frame-rate N says it\n"

    seconds = [[{**run, "start": run["start"] / 10, "end": run["end"] / 10} for run in row["labels"]] for row in ROWS]
    rows = [{**row, "labels": labels} for row, labels in zip(ROWS, seconds, strict=True)]
    timed = data.with_name("seconds.jsonl")
    timed.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    flags = ["-m", place, "--json", "-", "--quiet"]
    result = run("tag", "evaluate", timed, *flags, "--times", "seconds")
    unknown = "the runs are in seconds, and the frames a second of the arrays are not known; --frame-rate N says them"
    assert result.err == f"error: {timed}:1: 'one.npy': {unknown}\n"
    found = json.loads(run("tag", "evaluate", timed, *flags, "--times", "seconds", "--frame-rate", 10).out)
    assert (found["accuracy"], found["runs"]["exact"]["f1"], found["frame_rate"]) == (1.0, 1.0, 10.0)
    assert (found["runs"]["tolerance"], found["runs"]["unit"]) == (0.05, "seconds")


def test_a_rate_of_arrays_is_not_for_recordings(run: Run, tmp_path: Path) -> None:
    soundfile = pytest.importorskip("soundfile", reason="needs the extra audio")
    rows = [
        {"audio": f"{n}.wav", "labels": [{"start": 0.1, "end": 0.2, "label": label}]} for n, label in enumerate("abab")
    ]
    for row in rows:
        soundfile.write(tmp_path / str(row["audio"]), np.zeros(4000), 8000)
    file = tmp_path / "train.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    assert run("tag", "train", file, "-o", tmp_path / "m", "--hidden=2", "--epochs=1", "--quiet").status == 0
    result = run("tag", "evaluate", file, "-m", tmp_path / "m", "--split", "all", "--frame-rate", "50", "--quiet")
    told = "frame_rate is for arrays; this model reads recordings, which tell it themselves"
    assert (result.status, result.err) == (1, f"error: {told}\n")


@pytest.mark.parametrize("flag", ["--target", "--label", "--label-column"])
def test_the_field_of_the_labels_has_three_flags(run: Run, data: Path, flag: str, tmp_path: Path) -> None:
    content = data.read_text(encoding="utf-8").replace('"labels"', '"phones"')
    path = data.with_name("phones.jsonl")
    path.write_text(content, encoding="utf-8")
    place = tmp_path / "other"
    result = run("tag", "train", path, "-o", place, flag, "phones", "--hidden=2", "--epochs=1", "--quiet")
    assert result.status == 0, result.err
    assert run("tag", "evaluate", path, "-m", place, "--quiet").status == 0
    assert '"phones": [' in run("tag", "predict", path, "-m", place, "--quiet").out


def test_a_label_at_fault_is_told_with_its_line(run: Run, data: Path, tmp_path: Path) -> None:
    rows = [*ROWS[:2], {**ROWS[2], "labels": [{"start": 2, "end": 11, "label": "a"}]}, ROWS[3]]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    result = run("tag", "train", data, "-o", tmp_path / "m", "--quiet")
    told = "run 1, 2 to 11 frames, goes beyond the 10 frames of the sequence"
    assert (result.status, result.err) == (1, f"error: {data}:3: 'three.npy': {told}\n")


def test_labels_in_a_table(run: Run, data: Path, model: Path) -> None:
    table = data.with_name("table.csv")
    cells = [json.dumps(labels).replace('"', '""') for labels in (ROWS[0]["labels"], list("OOaaaObbbO"))]
    table.write_text("frames,labels\n" + "".join(f'one.npy,"{cell}"\n' for cell in cells), encoding="utf-8")
    result = run("tag", "evaluate", table, "-m", model, "--json", "-", "--quiet")
    assert result.status == 0, result.err
    assert json.loads(result.out)["accuracy"] == 1.0


def test_a_textgrid_is_as_long_as_its_recording(run: Run, tmp_path: Path) -> None:
    """Though no frame ends with it: the windows lie inside, and what is left over belongs to the last one."""
    pytest.importorskip("soundfile", reason="needs the extra audio")
    pytest.importorskip("kaldi_native_fbank", reason="needs the extra audio")
    rows = []
    for name in ("a", "b"):
        samples = np.sin(np.arange(1637) * (0.1 if name == "a" else 0.5)) * 9000
        with wave.open(str(tmp_path / f"{name}.wav"), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(8000)
            file.writeframes(samples.astype("<i2").tobytes())
        rows.append({"audio": f"{name}.wav", "labels": [{"start": 0, "end": 0.1, "label": name}]})
    manifest = tmp_path / "train.jsonl"
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    place = tmp_path / "model"
    flags = ["--hidden=2", "--epochs=1", "--set=audio.bins=10", "--quiet"]
    result = run("tag", "train", manifest, "-o", place, *flags)
    assert result.status == 0, result.err
    grid = run("tag", "predict", tmp_path / "a.wav", "-m", place, "--quiet", "--output-format", "textgrid").out
    assert grid.count("xmax = 0.204625 \n") == 3
    (answer,) = map(json.loads, run("tag", "predict", tmp_path / "a.wav", "-m", place, "--quiet").out.splitlines())
    assert (answer["audio"], answer["unit"]) == (str(tmp_path / "a.wav"), "seconds")
