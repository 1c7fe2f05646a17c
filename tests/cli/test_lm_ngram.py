"""``seqkit lm train --ngram``: what each verb does with a model of counts, and what stands beside a network."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]
LINES = ["to be or not to be", "that is the question", "do be do be do"] * 8
TINY = ["--hidden=12", "--epochs=1", "--batch-size=2", "--set=embedding.word_size=8"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("text")
    for split, lines in (("train", LINES), ("dev", LINES[:3]), ("test", [*LINES[:4], "to live"])):
        (found / f"{split}.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return found


@pytest.fixture(scope="module")
def model(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from seqkit.cli.main import main

    made = tmp_path_factory.mktemp("models") / "ngram"
    assert main(["lm", "train", str(folder), "--ngram", "3", "-o", str(made), "--quiet"]) == 0
    return made


def test_train_reports_and_says_what_it_did(run: Run, folder: Path, tmp_path: Path) -> None:
    result = run("lm", "train", folder, "--ngram", "3", "-o", tmp_path / "lm", "--unit", "char")
    assert result.status == 0
    assert result.out.startswith("dev\n\nperplexity ")
    assert "baseline" not in result.out
    assert re.fullmatch(r"3-gram Kneser-Ney: counted in \d+\.\d seconds", result.lines[-1])
    again = run("lm", "train", folder, "--ngram", "3", "-o", tmp_path / "lm", "--unit", "char")
    expected = f"error: {tmp_path / 'lm'}: expected an empty output directory, found files; use --resume or --force"
    assert (again.status, again.lines) == (1, [expected])


def test_a_dry_run_shows_the_counts(run: Run, folder: Path, tmp_path: Path) -> None:
    result = run("lm", "train", folder, "--ngram", "2", "--dry-run", "--quiet")
    assert result.status == 0
    assert "\nngram = 2\n" in result.out
    shape = [line for line in result.out.splitlines() if line.startswith("# ")]
    assert shape[0] == "# 2-gram Kneser-Ney, 11 + 15 n-grams"
    assert shape[1] == "# 38 parameters: probabilities 26, backoffs 12"
    recipe = tmp_path / "ngram.toml"
    recipe.write_text(result.out, encoding="utf-8")
    assert run("lm", "train", "-c", recipe, "-o", tmp_path / "lm", "--quiet").status == 0


def test_evaluate(run: Run, folder: Path, model: Path) -> None:
    found = json.loads(run("lm", "evaluate", folder, "-m", model, "--json", "-", "--quiet").out)
    assert (found["task"], found["split"], found["units"], found["unknown"]) == ("lm", "test", 28, 1)
    report = json.loads((model / "report.json").read_text())
    assert found["perplexity"] == report["scores"]["test"]["perplexity"]
    dev = run("lm", "evaluate", folder, "-m", model, "--split", "dev", "--window", "3", "--precision", "bf16")
    assert dev.out.startswith(f"{folder} dev, window 3\n\nperplexity ")
    dynamic = run("lm", "evaluate", folder, "-m", model, "--dynamic", "0.1")
    expected = "error: dynamic evaluation needs a model with a network, not 3-gram Kneser-Ney"
    assert (dynamic.status, dynamic.out, dynamic.lines[-1]) == (1, "", expected)


def test_score_and_sample(run: Run, model: Path) -> None:
    scored = run("lm", "score", "-m", model, "--output-format=jsonl", stdin="to be or not to be\nto do or not to do\n")
    first, second = (json.loads(line) for line in scored.out.splitlines())
    assert first["log_prob"] > second["log_prob"]
    assert (first["units"], first["unknown"]) == (7, 0)
    options = ["--count=3", "--seed=1", "--prompt", "to be", "--temperature=0.8", "--top-k=5", "--top-p=0.9"]
    drawn = run("lm", "sample", "-m", model, *options)
    assert (drawn.status, drawn.err) == (0, "")
    assert [line[:5] for line in drawn.out.splitlines()] == ["to be"] * 3
    assert run("lm", "sample", "-m", model, *options).out == drawn.out
    beam = run("lm", "sample", "-m", model, "--beam=3", "--count=2", "--length=9", "--output-format=jsonl")
    likeliest = [json.loads(line) for line in beam.out.splitlines()]
    assert likeliest[0]["text"] in LINES
    assert likeliest[0]["log_prob"] > likeliest[1]["log_prob"]


def test_info(run: Run, model: Path) -> None:
    rows = dict(line.split(None, 1) for line in run("info", model).out.splitlines()[:8] if line)
    assert rows["n-grams"] == "order 3, Kneser-Ney, no network"
    assert rows["parameters"].endswith(")") and "probabilities" in rows["parameters"]
    assert json.loads(run("info", model, "--json").out)["settings"]["head"]["ngram"] == 3
    sections = re.findall(r"^\[(\w+)\]$", run("info", model).out, re.MULTILINE)
    assert sections == ["data", "head"]  # nothing of an encoder


def test_a_network_stands_beside_its_baseline(run: Run, folder: Path, tmp_path: Path) -> None:
    trained = run("lm", "train", folder, "-o", tmp_path / "lm", "--device=cpu", "--quiet", *TINY)
    rows = re.findall(r"^(this model|5-gram Kneser-Ney)  +([\d.]+)$", trained.out, re.MULTILINE)
    assert [name for name, _ in rows] == ["this model", "5-gram Kneser-Ney"] * 2  # on dev and on test
    scores = json.loads((tmp_path / "lm" / "report.json").read_text())["scores"]
    for split, (_, shown) in zip(("dev", "test"), rows[1::2], strict=True):
        assert scores[split]["baseline"]["name"] == "5-gram Kneser-Ney"
        assert float(shown) == pytest.approx(scores[split]["baseline"]["perplexity"], abs=0.01)
    counted = run("lm", "train", folder, "-o", tmp_path / "ngram", "--ngram=5", "--json", "-", "--quiet")
    alone = json.loads(counted.out)["scores"]["test"]["perplexity"]
    assert scores["test"]["baseline"]["perplexity"] == pytest.approx(alone)
    found = json.loads(run("lm", "evaluate", folder, "-m", tmp_path / "lm", "--json", "-", "--quiet").out)
    assert found["baseline"] == scores["test"]["baseline"]
    for file, expected in (("dev.txt", scores["dev"]["baseline"]), ("train.txt", None)):  # it was not measured there
        other = run("lm", "evaluate", folder / file, "-m", tmp_path / "lm", "--json", "-", "--quiet")
        assert json.loads(other.out).get("baseline") == expected
    assert re.search(r"\n +perplexity [\d.]+  of 5-gram Kneser-Ney\n", run("info", tmp_path / "lm").out)
    without = run("lm", "train", folder, "-o", tmp_path / "b", "--set=head.baseline=0", "--quiet", *TINY)
    assert "Kneser-Ney" not in without.out


@pytest.mark.parametrize(
    ("arguments", "status", "fault"),
    [
        (["--ngram=21"], 2, "error: command line: head.ngram: expected at most 20, found 21"),
        (
            ["--ngram=2", "--init-from=x"],
            2,
            "error: command line: head.ngram and training.init_from exclude each other: n-grams are counted from the "
            "text alone",
        ),
    ],
)
def test_faults_of_settings(
    run: Run, folder: Path, tmp_path: Path, arguments: list[str], status: int, fault: str
) -> None:
    result = run("lm", "train", folder, "-o", tmp_path / "lm", *arguments)
    assert (result.status, result.lines[-1]) == (status, fault)


def test_a_network_cannot_start_from_counts(run: Run, folder: Path, model: Path, tmp_path: Path) -> None:
    result = run("lm", "train", folder, "-o", tmp_path / "lm", "--init-from", model, "--device=cpu", "--quiet")
    expected = f"error: {model}: a model with a network is needed, and this one has n-grams instead"
    assert (result.status, result.lines) == (1, [expected])


def test_text_that_is_cut_already_is_taken_as_it_is(run: Run, tmp_path: Path) -> None:
    """By hand: 4 + 3 words and 2 ends of lines in a split, and of WikiText a title of 3 words and every blank line."""
    texts = {"train": "the <unk> sat down\n\na <unk> ran\n", "dev": "the <unk> sat down\na <unk> ran\n"}
    for split, text in texts.items():
        (tmp_path / f"{split}.txt").write_text(text, encoding="utf-8")
    result = run("lm", "train", tmp_path, "--ngram", "2", "-o", tmp_path / "lm")
    said = "the text is cut into tokens already (<unk>), read as format tokens; --format text overrides this"
    assert result.lines[:3] == [
        f"{tmp_path}/train.txt: {said}",
        f"{tmp_path}: blank lines left out: train 1",
        f"{tmp_path}: train 2 lines, 9 words, dev 2 lines, 9 words",
    ]
    result = run("lm", "evaluate", tmp_path, "-m", tmp_path / "lm", "--split", "train")
    assert f"{tmp_path}: blank lines left out: train 1" in result.lines
    tiny = ["--epochs", "1", "--hidden", "4", "--set", "embedding.word_size=4"]
    result = run("generate", "train", tmp_path, "--unit", "word", "-o", tmp_path / "g", *tiny)
    assert result.lines[0] == f"{tmp_path}/train.txt: {said}" and said not in "".join(result.lines[1:])
    assert "vocabulary: 6 units" in result.lines
    for split, text in texts.items():
        (tmp_path / f"{split}.txt").write_text(f" \n = Ada = \n \n{text}", encoding="utf-8")
    result = run("lm", "train", tmp_path, "--ngram", "2", "-o", tmp_path / "wiki")
    assert result.lines[1] == f"{tmp_path}: train 6 lines, 16 words, dev 5 lines, 15 words"
    assert "titles and blank lines count like other lines, read as format wikitext" in result.lines[0]
