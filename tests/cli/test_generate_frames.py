"""``seqkit generate`` from sequences of vectors, at the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seqkit.errors import DataError
from seqkit.formats.manifest import row_frames

Run = Callable[..., Any]  # the fixture `run`

MOVES = {"up": [[0.0, 1], [1, 1], [3, 1]], "down": [[0.0, 1], [-1, 1], [-3, 1], [-6, 1]]}
TINY = ["--hidden=16", "--epochs=25", "--lr=0.02", "--batch-size=8", "--set=embedding.word_size=8"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("movements")
    np.savez(folder / "moves.npz", **{name: np.array(move) for name, move in MOVES.items()})
    np.save(folder / "up.npy", np.array(MOVES["up"]))
    for split, count in (("train", 16), ("dev", 2), ("test", 4)):
        made = [{"move": f"moves.npz#{name}", "text": name} for name in list(MOVES) * (count // 2)]
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in made), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def model(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from seqkit.cli.main import main

    output = tmp_path_factory.mktemp("models") / "m"
    arguments = ["generate", "train", str(data), "-o", str(output), "--condition", "move", *TINY]
    assert main([*arguments, "--set", "frames.stack=2", "--quiet"]) == 0
    return output


def test_what_is_read_is_said(data: Path, tmp_path: Path, run: Run) -> None:
    flags = [flag for flag in TINY if not flag.startswith("--epochs")]
    result = run("generate", "train", data, "-o", tmp_path / "m", *flags, "--epochs=1")
    assert result.status == 0
    assert "generating from move: a sequence of vectors of 2 numbers" in result.err
    dry = run("generate", "train", data, "--dry-run", "--set", "frames.convolutions=1", "--quiet")
    assert dry.status == 0
    assert 'condition = "move"' in dry.out and "(layer): FrameLayer(" in dry.out


@pytest.mark.parametrize(
    ("condition", "setting", "message"),
    [
        ("move", "audio.bins=30", "audio.bins is for recordings, and no condition is one; leave it out"),
        ("text2", "audio.rate=8000", "audio.rate is for recordings, and no condition is one; leave it out"),
        ("text2", "frames.stack=2", "frames.stack is for sequences of vectors, and no condition is one; leave it out"),
        ("move", "frames.warp=0.2", "frames.warp is not for conditions, whose spectrum is not moved; leave it out"),
        (
            "move",
            "frames.spectrum=mfcc",
            "frames.spectrum is not for conditions, whose spectrum is not moved; leave it out",
        ),
        (
            "move",
            "frames.normalize=speaker",
            "frames.normalize is speaker, but conditions are not read speaker by speaker; "
            "use --set frames.normalize=sequence, or data",
        ),
    ],
)
def test_settings_that_would_do_nothing(
    condition: str, setting: str, message: str, data: Path, tmp_path: Path, run: Run
) -> None:
    for split in ("train", "dev"):
        rows = [json.loads(line) for line in (data / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()]
        made = [{**row, "move": str(data / row["move"]), "text2": row["text"]} for row in rows]
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in made), encoding="utf-8")
    arguments = ["generate", "train", tmp_path, "-o", tmp_path / "m", *TINY, "--condition", condition, "--quiet"]
    result = run(*arguments, "--set", setting)
    assert (result.status, result.lines) == (1, [f"error: {message}"])
    assert not (tmp_path / "m").exists()


def test_segments_are_read_and_are_no_conditions(data: Path, tmp_path: Path, run: Run) -> None:
    """Rows that name parts of one array learn what rows with an array each learn."""
    np.save(tmp_path / "all.npy", np.concatenate([MOVES["up"], MOVES["down"]]))
    ends = {"up": {"start": 0, "end": 3}, "down": {"start": 3, "end": 7}}
    np.savez(tmp_path / "moves.npz", **{name: np.array(move) for name, move in MOVES.items()})
    weights, flags = [], [flag for flag in TINY if not flag.startswith("--epochs")]
    for kind in ("whole", "parts"):
        folder = tmp_path / kind
        folder.mkdir()
        for split in ("train", "dev"):
            content = (data / f"{split}.jsonl").read_text(encoding="utf-8")
            rows = [{**json.loads(line), "move": f"../{json.loads(line)['move']}"} for line in content.splitlines()]
            if kind == "parts":
                rows = [{**row, "move": "../all.npy", **ends[row["text"]]} for row in rows]
            (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        result = run("generate", "train", folder, "-o", tmp_path / f"{kind}-model", *flags, "--epochs=1")
        told = [line for line in result.lines if line.startswith("generating from")]
        assert told == ["generating from move: a sequence of vectors of 2 numbers"], result.err
        weights.append((tmp_path / f"{kind}-model" / "weights.safetensors").read_bytes())
    assert weights[0] == weights[1]


def test_evaluation_and_info(data: Path, model: Path, run: Run) -> None:
    scores = json.loads(run("generate", "evaluate", data, "-m", model, "--json", "-").out)
    assert (scores["split"], scores["sentences"], scores["exact_match"]) == ("test", 4, 1.0)
    info = run("info", model)
    assert info.status == 0
    assert any(line.split() == ["condition", "move", "(frames)"] for line in info.out.splitlines())


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("{folder}/up.npy", "up"),
        ("{folder}/moves.npz#down", "down"),
        (json.dumps(MOVES["down"]), "down"),
        (" " + json.dumps(MOVES["up"]), "up"),
    ],
)
def test_sampling(value: str, text: str, data: Path, model: Path, run: Run) -> None:
    condition = f"move={value.replace('{folder}', str(data))}"
    result = run("generate", "sample", "-m", model, "--condition", condition, "--temperature", 0)
    assert (result.status, result.out, result.err) == (0, f"{text}\n", "")


@pytest.mark.parametrize("name", ["none.npy", "moves.npz", "moves.npz#left", "train.jsonl"])
def test_files_that_cannot_be_sampled_from(name: str, data: Path, model: Path, run: Run) -> None:
    with pytest.raises(DataError) as caught:
        row_frames({"move": str(data / name)}, "move", Path())
    result = run("generate", "sample", "-m", model, "--condition", f"move={data / name}")
    assert (result.status, result.lines) == (1, [f"error: {caught.value}"])


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("[[1,2,3]]", "'move': expected 2 features a frame, as in training, found 3"),
        ("[[1,2],", "expected a JSON array or an .npy file as 'move', found '[[1,2],'"),
        ("[[1,NaN]]", "'move': expected finite numbers, found nan in frame 0, feature 1"),
    ],
)
def test_numbers_that_cannot_be_sampled_from(value: str, message: str, model: Path, run: Run) -> None:
    result = run("generate", "sample", "-m", model, "--condition", f"move={value}")
    assert result.status == 1
    assert len(result.lines) == 1 and result.lines[0].startswith(f"error: {message}")
