"""`seqkit transcribe show` and `seqkit tag show`: pictures, and their numbers."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import seqkit
from seqkit.cli.main import main
from seqkit.formats.manifest import row_frames
from seqkit.heads.transcription.settings import TranscribeSettings
from seqkit.model.transcriber import Transcriber

from .conftest import Run

matplotlib_image = pytest.importorskip("matplotlib.image", reason="needs the extra plots")

LETTERS = "abc"
TINY = ["--hidden=16", "--layers=1", "--dropout=0", "--device=cpu", "--threads=1", "--quiet", "--set=training.lr=0.03"]
TINY += ["--set=training.batch_size=4", "--patience=0"]


def write(folder: Path, count: int = 24) -> Path:
    """Letters, each a few frames of a feature of its own with silence around them: a manifest of arrays."""
    draw = np.random.default_rng(4)
    rows = []
    for number in range(count):
        text = "".join(draw.choice(list(LETTERS), int(draw.integers(2, 5))))
        frames, runs = [np.zeros((2, 3))], []
        for letter in text:
            start = sum(map(len, frames))
            frames += [np.tile(np.eye(3)[LETTERS.index(letter)], (int(draw.integers(3, 6)), 1)), np.zeros((2, 3))]
            runs.append({"start": start, "end": start + len(frames[-2]), "label": letter})
        array = np.concatenate(frames)
        np.save(folder / f"{number}.npy", (array + draw.normal(0, 0.05, array.shape)).astype(np.float32))
        rows.append({"frames": f"{number}.npy", "text": text, "labels": runs, "speaker": f"s{number % 2}"})
    path = folder / "train.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("letters"))


@pytest.fixture(scope="module")
def listener(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A transcriber of steps of two frames, which normalises by speaker."""
    pytest.importorskip("jiwer", reason="needs the extra scores")
    place = tmp_path_factory.mktemp("models") / "listener"
    flags = ["--epochs=12", "--stack=2", "--set=frames.normalize=speaker", "--set=data.frame_rate=50"]
    flags += ["--set=frames.time_masks=0", "--set=frames.feature_masks=0"]
    assert main(["transcribe", "train", str(data), "-o", str(place), *TINY, *flags]) == 0
    return place


@pytest.fixture(scope="module")
def tagger(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("models") / "tagger"
    assert main(["tag", "train", str(data), "-o", str(place), *TINY, "--epochs=4"]) == 0
    return place


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def rows(data: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in data.read_text(encoding="utf-8").splitlines()]


def colours(path: Path) -> int:
    """How many different colours a picture has."""
    picture = (255 * matplotlib_image.imread(path)[..., :3]).astype(np.int64)
    assert min(picture.shape[:2]) > 300
    return len(np.unique(picture @ [1, 256, 65536]))


def test_numbers_of_a_transcription_are_those_of_the_model(
    data: Path, listener: Path, run: Run, tmp_path: Path
) -> None:
    picture, numbers = tmp_path / "a.png", tmp_path / "a.json"
    flags = ["-m", listener, "--device", "cpu"]
    result = run("transcribe", "show", data, *flags, "-o", picture, "--json", numbers, "--record", 4)
    assert (result.status, result.out, result.err) == (0, "", "")
    assert colours(picture) > 100
    found = read(numbers)
    asked = [*flags, "--times", "--output-format", "jsonl", "--quiet"]
    predicted = [json.loads(line) for line in run("transcribe", "predict", data, *asked).out.splitlines()][3]
    assert (found["sequence"], found["unit"]) == ("3.npy", "seconds")
    assert found["found"] == predicted["text"]
    assert found["right"] == rows(data)[3]["text"]
    assert len(found["symbols"]) == len(predicted["symbols"]) >= 2
    for one, other in zip(found["symbols"], predicted["symbols"], strict=True):
        assert one == {**other, "posterior": pytest.approx(other["posterior"], abs=1e-5)}
    assert found["columns"] == [None, *LETTERS]
    posteriors = np.array(found["posteriors"])
    assert posteriors.sum(1) == pytest.approx(np.ones(len(posteriors)), abs=1e-5)
    frames = len(np.load(data.parent / "3.npy"))
    middles = [(first + min(first + 2, frames)) / 2 / 50 for first in range(0, frames, 2)]
    assert found["times"] == pytest.approx(middles)
    # From the network's own layers, with the statistics of the speaker computed here.
    model = seqkit.load(listener, device="cpu")
    same = [np.load(data.parent / row["frames"]) for row in rows(data) if row["speaker"] == "s1"]
    spoken = np.concatenate(same).astype(np.float64)
    frames = ((np.load(data.parent / "3.npy") - spoken.mean(0)) / spoken.std(0)).astype(np.float32)
    record = model.input.record(frames)
    batch = model.input.collate(model.input.arrays([record]), np.array([0]))
    batch.frames[0] = torch.from_numpy(frames)  # not normalised again
    model.network.eval()
    with torch.inference_mode():
        encoded = model.encode(batch)
        expected = model.head.module.output(encoded.outputs[0]).softmax(-1).numpy()  # [T, K + 1]
    assert posteriors == pytest.approx(expected, abs=2e-4)
    for symbol in found["symbols"]:
        column = posteriors[:, found["columns"].index(symbol["symbol"])]
        steps = [symbol["start"] <= time <= symbol["end"] for time in found["times"]]
        assert column[steps].max() == pytest.approx(symbol["posterior"], abs=1e-6)


def test_a_stretch_of_a_transcription(data: Path, listener: Path, run: Run, tmp_path: Path) -> None:
    flags = ["-m", listener, "-o", tmp_path / "a.png", "--json", "-", "--threads", 1]
    whole = json.loads(run("transcribe", "show", data, *flags).out)
    part = json.loads(run("transcribe", "show", data, *flags, "--start", 0.1, "--end", 0.3).out)
    kept = [place for place, time in enumerate(whole["times"]) if 0.08 <= time <= 0.3]  # of frames 5 to 14
    assert part["times"] == [whole["times"][place] for place in kept]
    assert part["posteriors"] == [whole["posteriors"][place] for place in kept]
    assert part["found"] == whole["found"]
    assert part["symbols"] == [each for each in whole["symbols"] if each["end"] > 0.1 and each["start"] < 0.3]
    length = round(len(np.load(data.parent / "0.npy")) / 50, 6)
    result = run("transcribe", "show", data, *flags, "--start", 9)
    told = f"{data}:1: '0.npy': expected --start before its end, {length:g} seconds, found 9"
    assert (result.status, result.err) == (1, f"error: {told}\n")


def test_byte_pairs_are_spelled(run: Run, tmp_path: Path) -> None:
    pytest.importorskip("jiwer", reason="needs the extra scores")
    rows = [{"frames": np.eye(3)[[0, 1, 2, 0, 1, 2]].tolist(), "text": "éü"}]
    tree = {"data": {"unit": "bpe", "bpe_size": 257}, "encoder": {"hidden": 4, "layers": 1}}
    model = Transcriber.build(TranscribeSettings.model_validate(tree), [row_frames(row) for row in rows])
    with torch.no_grad():
        for parameter in model.network.parameters():
            parameter.normal_(0, 3, generator=torch.Generator().manual_seed(3))
    model.save(tmp_path / "model")
    manifest = tmp_path / "a.jsonl"
    manifest.write_text(json.dumps(rows[0]) + "\n", encoding="utf-8")
    flags = ["-m", tmp_path / "model", "-o", tmp_path / "a.png", "--json", tmp_path / "a.json", "--threads", 1]
    assert run("transcribe", "show", manifest, *flags).status == 0
    found = read(tmp_path / "a.json")
    assert found["columns"] == [None, *model.head.names]
    assert "<0xC3>" in found["columns"]
    assert found["symbols"]
    assert "".join(each["symbol"] for each in found["symbols"]) == found["found"]


def test_of_a_long_sequence_the_beginning_is_drawn(tagger: Path, listener: Path, run: Run, tmp_path: Path) -> None:
    np.save(tmp_path / "long.npy", np.zeros((1600, 3), np.float32))
    picture = tmp_path / "a.png"
    for command, model, places in (
        ("tag", tagger, "frames 0 to 1,500 of 1,600"),
        ("transcribe", listener, "seconds 0 to 30 of 32"),
    ):
        flags = [tmp_path / "long.npy", "-m", model, "-o", picture, "--json", tmp_path / "a.json"]
        result = run(command, "show", *flags)
        told = f"{picture}: {places} are drawn; --start and --end choose others\n"
        assert (result.status, result.err) == (0, told)
    assert len(read(tmp_path / "a.json")["times"]) == 800  # the numbers are those of all
    assert run("transcribe", "show", *flags, "--start", 28).err == ""


def test_runs_that_are_found_and_right_ones(data: Path, tagger: Path, run: Run, tmp_path: Path) -> None:
    picture, numbers = tmp_path / "a.png", tmp_path / "a.json"
    flags = ["-m", tagger, "-o", picture, "--json", numbers]
    assert run("tag", "show", data, *flags, "--record", 2).status == 0
    assert colours(picture) > 100
    found = read(numbers)
    predicted = run("tag", "predict", data, "-m", tagger, "--quiet").out.splitlines()
    assert found["found"] == json.loads(predicted[1])["labels"]
    assert (found["unit"], found["right"]) == ("frames", rows(data)[1]["labels"])
    part = [run for run in found["right"] if run["end"] > 4 and run["start"] < 9]
    assert run("tag", "show", data, *flags, "--record", 2, "--start", 4, "--end", 9).status == 0
    assert read(numbers)["right"] == part
    assert run("tag", "show", data.parent / "1.npy", *flags).status == 0
    assert read(numbers) == {**found, "sequence": str(data.parent / "1.npy"), "right": None}
    other = tmp_path / "other.jsonl"
    frames = np.load(data.parent / "1.npy").tolist()
    other.write_text(json.dumps({"frames": frames, "phones": rows(data)[1]["labels"]}) + "\n", encoding="utf-8")
    assert run("tag", "show", other, *flags, "--target", "phones").status == 0
    assert read(numbers)["right"] == found["right"]


def test_flags_and_files_at_fault(
    data: Path, tagger: Path, listener: Path, run: Run, tmp_path: Path, pos_model: Path
) -> None:
    picture = tmp_path / "a.png"
    usual = [data, "-m", tagger, "-o", picture]
    faults: list[tuple[int, list[Any], str]] = [
        (
            2,
            [data, "-m", tagger, "-o", "a.jpg"],
            "Invalid value for '--output': expected FILE.png, found 'a.jpg'",
        ),
        (2, [*usual, "--start", "3", "--end", "3"], "--end must be after --start, found 3.0."),
        (2, [*usual, "--end", "0"], "--end must be after --start, found 0.0."),
        (2, [*usual, "--record", "0"], "Invalid value for '--record': expected at least 1, found 0"),
        (1, [*usual, "--record", "99"], f"{data}: expected --record to be one of its 24 sequences, found 99"),
        (
            2,
            [data, "-m", pos_model, "-o", picture],
            "show draws sequences of vectors, and this model reads sentences.",
        ),
        (
            1,
            [*usual, "--target", "tones"],
            f"{data}:1: '0.npy': expected a field 'tones' with labels, found 'text', 'labels', 'speaker'; "
            "--target names another one",
        ),
        (1, [*usual, "--json", data], f"{data}: cannot be written as --json: this command reads it"),
        (
            1,
            [*usual, "--json", data.parent / "0.npy"],
            f"{data.parent / '0.npy'}: cannot be written as --json: this command reads it",
        ),
        (
            1,
            [*usual, "--json", tagger / "config.json"],
            f"{tagger / 'config.json'}: cannot be written as --json: this command reads it",
        ),
        (1, [*usual, "--json", picture], f"{picture}: cannot be written as --json: -o writes it, too"),
    ]
    for status, flags, told in faults:
        result = run("tag", "show", *flags)
        assert (result.status, result.lines[-1]) == (status, f"error: {told}")
    result = run("tag", "show", "-", *usual[1:])
    assert (result.status, result.err) == (1, "error: <stdin>: it has no sequence\n")
    assert not picture.exists()
    result = run("transcribe", "show", data, "-m", listener, "-o", picture, "--target", "labels")
    assert result.lines[-1].startswith(f"error: {data}:1: '0.npy': expected a text in field 'labels', found ")
    assert run("transcribe", "show", data, "-m", tagger, "-o", picture).status == 1  # another task's


def test_without_matplotlib(
    data: Path, tagger: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    result = run("tag", "show", data, "-m", tagger, "-o", tmp_path / "a.png")
    told = "a picture of a sequence needs matplotlib, which is not installed: pip install 'seqkit-nlp[plots]'"
    assert (result.status, result.err) == (1, f"error: {told}\n")


def test_the_card_names_the_verb_only_where_it_is_one(tagger: Path, pos_model: Path) -> None:
    told = "seqkit tag show -m THIS_FOLDER FILE -o picture.png"
    assert told in (tagger / "README.md").read_text(encoding="utf-8").splitlines()
    assert "show" not in (pos_model / "README.md").read_text(encoding="utf-8")
