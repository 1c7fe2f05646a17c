"""``seqkit bench``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import seqkit.bench.stages as stages
from seqkit.bench.stages import STAGES

Run = Callable[..., Any]  # the fixture `run`


@pytest.fixture(autouse=True)
def rate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "gemm_rate", lambda **_: 1e11)
    monkeypatch.setattr(stages, "onednn_rate", lambda: 2e11)


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("bench") / "texts.tsv"
    file.write_text("label\ttext\n" + "good\ta fine film\nbad\ta dull one\n" * 4, encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def opinions(texts: Path) -> Path:
    from seqkit.config import override
    from seqkit.heads.classification.settings import ClassifySettings
    from seqkit.training.run import train

    changes = {"embedding": {"word_size": 4}, "encoder": {"hidden": 3}, "training": {"epochs": 1}}
    train(override(ClassifySettings(), changes), texts.parent / "model", texts)
    return texts.parent / "model"


def test_the_table_of_a_tagger(ner_model: Path, corpus: Path, run: Run) -> None:
    result = run("bench", corpus / "test.conll", "-m", ner_model, "--rounds", "1")
    assert (result.status, result.err) == (0, "")
    head, *rows, blank, speed, work, share, onednn = result.out.splitlines()
    assert head.split() == ["seconds", "µs", "per", "token", "share"]
    assert [row[:20].rstrip() for row in rows] == [*STAGES, "all"]
    assert sum(float(row.split()[-1].rstrip("%")) for row in rows[:-1]) == pytest.approx(100.0, abs=0.5)
    assert blank == "" and speed.startswith("12 sentences, ") and " tokens/s (" in speed
    assert work.endswith(" GFLOP/s in fp32")
    assert share.endswith("% of torch's matrix product, 100 GFLOP/s")
    assert onednn.endswith("% of oneDNN's matrix product, 200 GFLOP/s")


def test_json_to_a_file_and_instead_of_the_table(ner_model: Path, corpus: Path, tmp_path: Path, run: Run) -> None:
    command = ["bench", corpus / "test.conll", "-m", ner_model, "--rounds=2", "--precision=bf16", "--batch-tokens=64"]
    shown = run(*command, "--json", "-")
    assert (shown.status, shown.err) == (0, "")
    found = json.loads(shown.out)
    assert found["rounds"] == 2 and found["precision"] == "bf16" and found["batch_tokens"] == 64
    assert (found["model"], found["file"]) == (str(ner_model), str(corpus / "test.conll"))
    assert list(found["stages"]) == list(STAGES)
    assert set(found["seconds"]) == {"median", "least", "most"}
    assert found["tokens_per_second"] == pytest.approx(found["tokens"] / found["seconds"]["median"])
    assert found["roofline_share"] == pytest.approx(found["flops_per_token"] * found["tokens_per_second"] / 1e11)
    assert (found["arithmetic"], found["onednn_flops"], found["onednn_share"]) == ("bf16", None, None)
    assert found["machine"]["threads"] >= 1
    file = tmp_path / "found.json"
    beside = run(*command, "--json", file)
    assert beside.out.startswith(" ") and set(json.loads(file.read_text())) == set(found)


def test_the_choice_of_auto_is_reported(ner_model: Path, corpus: Path, run: Run) -> None:
    result = run("bench", corpus / "test.conll", "-m", ner_model, "--rounds=1", "--precision=auto", "--json=-")
    assert result.status == 0 and result.err.count("precision auto: fp32, since ") == 1  # of 12 sentences
    found = json.loads(result.out)
    assert (found["precision"], found["arithmetic"]) == ("auto", "fp32")
    assert found["onednn_share"] == pytest.approx(found["roofline_share"] / 2)


def test_a_classifier_and_its_formats(opinions: Path, texts: Path, tmp_path: Path, run: Run) -> None:
    found = json.loads(run("bench", texts, "-m", opinions, "--rounds=1", "--json=-").out)
    assert (found["sentences"], found["tokens"]) == (8, 24)
    bare = tmp_path / "bare.txt"
    bare.write_text("a fine film\n", encoding="utf-8")
    found = json.loads(run("bench", bare, "-m", opinions, "--rounds=1", "--input=text", "--json=-").out)
    assert (found["sentences"], found["tokens"]) == (1, 3)


def test_another_task_is_refused(tmp_path: Path, tiny: list[str], run: Run) -> None:
    text = tmp_path / "text.txt"
    text.write_text("a b c\n" * 20, encoding="utf-8")
    assert run("lm", "train", text, "-o", tmp_path / "lm", *tiny[:2], "--quiet").status == 0
    result = run("bench", text, "-m", tmp_path / "lm")
    assert (result.status, result.out) == (1, "")
    assert result.lines == ["error: seqkit bench needs a model that labels text, not one of `seqkit lm`"]


def test_faults(ner_model: Path, tmp_path: Path, run: Run) -> None:
    result = run("bench", "-", "-m", ner_model)
    assert result.status == 2
    assert result.lines[-1] == "error: FILE is read several times, so it cannot be -."
    missing = run("bench", tmp_path / "none.conll", "-m", ner_model)
    assert missing.status == 1
    assert missing.lines == [f"error: {tmp_path / 'none.conll'}: cannot be read: No such file or directory"]
    empty = tmp_path / "empty.conll"
    empty.write_text("", encoding="utf-8")
    found = run("bench", empty, "-m", ner_model)
    assert (found.status, found.lines) == (1, ["error: there are no tokens to label"])
    few = run("bench", empty, "-m", ner_model, "--rounds", "0")
    assert few.status == 2 and few.lines[-1] == "error: Invalid value for '--rounds': expected at least 1, found 0"
