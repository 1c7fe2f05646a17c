"""How scores and sizes are told: error rates in percent everywhere, and one of a thing in the singular."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]


def written(file: Path, count: int, **fields: Any) -> Path:
    rows = [{"frames": [[number % 2], [1 - number % 2], [0.5]] * 3, **fields} for number in range(count)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


FLAGS = ["--device=cpu", "--hidden=2", "--layers=1", "--epochs=1"]


def test_error_rates_of_texts_are_in_percent(tmp_path: Path, run: Run) -> None:
    pytest.importorskip("jiwer")
    data = written(tmp_path / "m.jsonl", 2, text="ab")
    result = run("transcribe", "train", data, "-o", tmp_path / "model", *FLAGS)
    assert result.status == 0, result.err
    assert "m.jsonl: train 1 sequence, dev 1 sequence" in result.err
    (dev,) = (json.loads(line)["dev"] for line in (tmp_path / "model" / "train.jsonl").read_text("utf-8").splitlines())
    told = f"cer {100 * dev['cer']:.2f} %  wer {100 * dev['wer']:.2f} %"
    assert told in result.err
    assert re.search(rf"characters +{100 * dev['cer']:.2f} %", result.out)


def test_error_rates_of_runs_are_in_percent(tmp_path: Path, run: Run) -> None:
    data, scores = written(tmp_path / "m.jsonl", 2, labels=["a", "b", "b"] * 3), tmp_path / "scores.json"
    trained = run("tag", "train", data, "-o", tmp_path / "model", "--quiet", *FLAGS)
    assert trained.status == 0, trained.err
    result = run("tag", "evaluate", data, "-m", tmp_path / "model", "--split=dev", "--json", scores, "--quiet")
    assert result.status == 0, result.err
    runs = json.loads(scores.read_text(encoding="utf-8"))["runs"]
    assert f"error rate {100 * runs['error_rate']:.2f} % of {runs['count']} runs" in " ".join(result.out.split())
    assert "of 9 frames in 1 sequence;" in " ".join(result.out.split())


def test_one_of_a_thing(tmp_path: Path, run: Run) -> None:
    result = run("data", "check", written(tmp_path / "m.jsonl", 1))
    assert "all: 1 sequence, 9 frames of 1 feature" in result.err + result.out
