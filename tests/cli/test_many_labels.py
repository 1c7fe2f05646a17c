"""Many labels on the command line: what is left out of answers and reports is said, and the model is complete."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import seqkit
from seqkit.heads.classification import baseline
from seqkit.heads.classification.baseline import NAME
from seqkit.heads.classification.settings import MOST_PROBS, ClassifySettings
from seqkit.model.classifier import Classifier
from seqkit.records import Sentence

from .conftest import Run

MANY = MOST_PROBS + 9


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier of many labels that has learned nothing, and data."""
    place = tmp_path_factory.mktemp("many")
    rows = [Sentence(["a"], "a", [(0, 1)], fields={"text": "a", "label": f"L{number}"}) for number in range(MANY)]
    settings = ClassifySettings.model_validate({"embedding": {"word_size": 4}, "encoder": {"hidden": 2}})
    Classifier.build(settings, rows).save(place / "model")
    lines = [f"L{number}\ta\n" for number in [*range(MANY), 5, 5, 3]]
    (place / "data.tsv").write_text("label\ttext\n" + "".join(lines), encoding="utf-8")
    return place


def test_what_is_left_out_of_answers_is_said(run: Run, many: Path) -> None:
    command = ("classify", "predict", "-m", many / "model", "--input", "text")
    found = run(*command, "--output-format", "jsonl", stdin="a\n")
    answer = json.loads(found.out)
    assert (len(answer["probs"]), answer["probs_left_out"]) == (MOST_PROBS, 9)
    assert found.lines[-1] == ("only the most probable of all labels are written of each text; --top N writes more")
    assert "most probable" not in run(*command, stdin="a\n").err  # the label alone is what was asked for
    assert "most probable" not in run(*command, "--output-format", "jsonl", "--top", "1009", stdin="a\n").err


def test_what_is_left_out_of_a_report_is_said(run: Run, many: Path, tmp_path: Path) -> None:
    command = ("classify", "evaluate", many / "data.tsv", "-m", many / "model")
    line = f"scores are kept of the 1,000 most frequent labels of {MANY:,}; accuracy and averages are of all"
    found = run(*command)
    assert line in found.lines
    assert f"… {MANY - 100:,} rarer labels" in found.out.splitlines()
    assert sum(row.startswith("L") for row in found.out.splitlines()) == 100
    kept = json.loads(run(*command, "--json", "-").out)
    assert len(kept["per_label"]) == 1000
    assert (kept["per_label"]["L5"]["support"], kept["per_label"]["L3"]["support"]) == (3, 2)
    assert kept["left_out"] == {"per_label": line}
    assert line not in run(*command, "--quiet").err


def test_which_labels_a_picture_shows_is_said(run: Run, many: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    picture = tmp_path / "matrix.png"
    found = run("classify", "evaluate", many / "data.tsv", "-m", many / "model", "--confusion", picture)
    assert f"{picture}: the 49 most frequent of {MANY:,} labels have a row and a column each, all others share one" in (
        found.lines
    )


def test_a_model_is_described_in_short(run: Run, many: Path) -> None:
    (labels,) = (row for row in run("info", many / "model").out.splitlines() if row.startswith("labels "))
    assert labels.endswith(f" … ({MANY:,} in all)") and len(labels.split()) < 110


@pytest.mark.parametrize("quiet", [False, True])
def test_a_model_whose_baseline_runs_out_of_memory_is_complete(
    quiet: bool, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def out_of_memory(*arguments: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(baseline, "_fit", out_of_memory)
    text = "".join(f"{label}\ta {word} film\n" for label, word in (("pos", "good"), ("neg", "bad")) * 10)
    for split in ("train", "dev"):
        (tmp_path / f"{split}.tsv").write_text(f"label\ttext\n{text}", encoding="utf-8")
    flags = ["--hidden", "4", "--epochs", "1", *(["--quiet"] if quiet else [])]
    found = run("classify", "train", tmp_path, "-o", tmp_path / "model", *flags)
    reason = f"{NAME} was not trained: out of memory"
    assert found.status == 0
    assert (f"dev: {reason}" in found.lines) != quiet
    dev = seqkit.load(tmp_path / "model").report["scores"]["dev"]
    assert dev["left_out"] == {"baseline": reason} and "baseline" not in dev
