"""``seqkit lm``: what each verb prints, and the faults that users meet."""

from __future__ import annotations

import json
import math
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]
LINES = ["to be or not to be", "that is the question", "do be do be do"] * 8
TINY = ["--hidden=12", "--epochs=8", "--lr=0.05", "--optimizer=adam", "--batch-size=2", "--set=embedding.word_size=8"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("text")
    for split, lines in (("train", LINES), ("dev", LINES[:3]), ("test", LINES[:4])):
        (found / f"{split}.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return found


@pytest.fixture(scope="module")
def models(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    from seqkit.cli.main import main

    made = {}
    for unit in ("word", "char"):
        made[unit] = tmp_path_factory.mktemp("models") / unit
        arguments = ["lm", "train", folder, "-o", made[unit], "--unit", unit, "--device=cpu", "--quiet", *TINY]
        assert main([str(argument) for argument in arguments]) == 0
    return made


def test_train_reports_on_dev_and_test(run: Run, folder: Path, tmp_path: Path) -> None:
    result = run("lm", "train", folder, "-o", tmp_path / "lm", "--device=cpu", "--json", "-", "--quiet", *TINY)
    assert (result.status, result.err) == (0, "")
    scores = json.loads(result.out)["scores"]
    assert {name: part["units"] for name, part in scores.items()} == {"dev": 18, "test": 25}
    assert math.exp(scores["test"]["loss"]) == pytest.approx(scores["test"]["perplexity"])


def test_evaluate_gives_the_figures_that_programs_rely_on(run: Run, folder: Path, models: dict[str, Path]) -> None:
    result = run("lm", "evaluate", folder, "-m", models["word"], "--json", "-", "--quiet")
    assert (result.status, result.err) == (0, "")
    found = json.loads(result.out)
    common = {"task", "data", "split", "sentences", "tokens", "seconds", "tokens_per_second", "model", "seqkit_version"}
    assert set(found) == common | {"loss", "perplexity", "bits_per_unit", "units", "unit", "unknown", "baseline"}
    assert (found["task"], found["split"], found["units"], found["sentences"]) == ("lm", "test", 25, 4)
    assert found["bits_per_unit"] == pytest.approx(found["loss"] / math.log(2))
    table = run("lm", "evaluate", folder, "-m", models["word"], "--split", "dev", "--window", "3")
    assert table.status == 0
    assert table.out.startswith(f"{folder} dev, window 3\n\nperplexity ")
    assert table.out.endswith("18 words, 3 ends of lines among them\n")


def test_dynamic_evaluation_is_an_option(run: Run, folder: Path, models: dict[str, Path]) -> None:
    options = ["--json", "-", "--split", "dev", "--dynamic", "0.1", "--window", "5"]
    found = json.loads(run("lm", "evaluate", folder, "-m", models["word"], *options).out)
    assert (found["dynamic"], found["window"]) == (0.1, 5)
    shown = run("lm", "evaluate", folder, "-m", models["word"], "--dynamic", "0.1").out
    assert shown.startswith(f"{folder} test, dynamic 0.1, window 20\n")
    too_large = run("lm", "evaluate", folder, "-m", models["word"], "--dynamic", "1e300", "--json", "-")
    assert (too_large.status, too_large.out) == (1, "")
    fault = "dynamic evaluation at rate 1e+300 makes the weights infinite; try a smaller rate"
    assert too_large.lines[-1] == f"error: {fault}"
    refused = run("lm", "evaluate", folder, "-m", models["word"], "--dynamic", "-1")
    assert refused.status == 2
    assert "Invalid value for '--dynamic': expected at least 0, found -1.0" in refused.err


def test_score_gives_a_line_for_each_line(run: Run, models: dict[str, Path], tmp_path: Path) -> None:
    text = "to be or not to be\n\nto do\tor be\n"
    result = run("lm", "score", "-m", models["char"], "--output-format", "jsonl", stdin=text)
    assert result.status == 0
    records = [json.loads(line) for line in result.out.splitlines()]
    assert [record["text"] for record in records] == text.splitlines()
    assert [record["units"] for record in records] == [19, 1, 12]
    for record in records:
        assert list(record) == ["text", "log_prob", "units", "unknown", "perplexity"]
        assert record["perplexity"] == pytest.approx(math.exp(-record["log_prob"] / record["units"]))
    assert result.lines[-2].startswith("3 lines, 32 units in ")
    assert result.lines[-1] == "1 of the units are unknown to the model; all are scored as one unknown unit"  # the tab
    assert [record["unknown"] for record in records] == [0, 0, 1]
    file = tmp_path / "text.txt"
    file.write_text(text, encoding="utf-8")
    table = run("lm", "score", file, "-", "-m", models["char"], "--quiet", stdin="to be")
    rows = [line.split("\t", 3) for line in table.out.splitlines()]
    assert [row[3] for row in rows] == [*text.splitlines(), "to be"]
    assert [float(row[0]) for row in rows[:3]] == pytest.approx([record["log_prob"] for record in records], abs=1e-3)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_score_reads_a_pipe_whole(run: Run, models: dict[str, Path], tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=("to be\nor not\n",))
    writer.start()
    result = run("lm", "score", pipe, "-m", models["word"], "--output-format=jsonl", "--quiet")
    writer.join()
    assert [json.loads(line)["text"] for line in result.out.splitlines()] == ["to be", "or not"]


@pytest.mark.parametrize(
    ("extension", "format"),
    [("conll", "conll"), ("CONLLU", "conllu")],
)
def test_score_reads_no_file_of_another_format_as_text(
    extension: str, format: str, run: Run, models: dict[str, Path], tmp_path: Path
) -> None:
    file, plain = tmp_path / f"a.{extension}", tmp_path / "a.txt"
    for path in (file, plain):
        path.write_text('{"text": "to be"}\n')
    refused = run("lm", "score", file, "-m", models["char"])
    reads = "text, jsonl, csv, tsv"
    fault = f"the format is {format}, but this command reads {reads}; --input text reads its lines as they are"
    assert (refused.status, refused.out, refused.err) == (1, "", f"error: {file}: {fault}\n")
    forced = run("lm", "score", file, "-m", models["char"], "--input", "text", "--quiet")
    assert forced.status == 0 and forced.out == run("lm", "score", plain, "-m", models["char"], "--quiet").out != ""


@pytest.mark.parametrize(
    ("extension", "content"),
    [
        ("jsonl", '{"n": 1, "text": "to be\\nor not"}\n{"n": 2, "text": ""}\n'),
        ("csv", 'n,text\n1,"to be\nor not"\n2,\n'),
        ("tsv", "n\ttext\n1\tto be\n1\tor not\n2\t\n"),
    ],
)
def test_score_reads_the_texts_of_records_line_by_line(
    extension: str, content: str, run: Run, models: dict[str, Path], tmp_path: Path
) -> None:
    file = tmp_path / f"a.{extension}"
    file.write_text(content)
    expected = run("lm", "score", "-m", models["char"], "--quiet", stdin="to be\nor not\n\n").out
    found = run("lm", "score", file, "-m", models["char"], "--quiet")
    assert (found.out, found.err) == (expected, "")
    named = tmp_path / f"b.{extension}"
    named.write_text(content.replace("text", "said"))
    assert run("lm", "score", named, "-m", models["char"], "--quiet", "--text", "said").out == expected


def test_what_was_learned_is_likelier(run: Run, models: dict[str, Path]) -> None:
    for model in models.values():
        out = run("lm", "score", "-m", model, "--output-format=jsonl", stdin="to be or not to be\nto do or not to do\n")
        first, second = (json.loads(line)["log_prob"] for line in out.out.splitlines())
        assert first > second


def test_sample_writes_texts(run: Run, models: dict[str, Path]) -> None:
    result = run("lm", "sample", "-m", models["word"], "--count=3", "--seed=1", "--prompt", "to be")
    assert (result.status, result.err) == (0, "")
    assert len(result.out.splitlines()) == 3
    assert all(line.startswith("to be") for line in result.out.splitlines())
    assert run("lm", "sample", "-m", models["word"], "--count=3", "--seed=1", "--prompt", "to be").out == result.out
    several = run("lm", "sample", "-m", models["char"], "--count=2", "--lines=2", "--seed=1", "--output-format=jsonl")
    for line in several.out.splitlines():
        record = json.loads(line)
        assert set(record) == {"text", "log_prob", "units", "ended"}
        assert record["text"].count("\n") == 1
    beam = run("lm", "sample", "-m", models["word"], "--beam=3", "--count=2", "--length=5")
    assert len(set(beam.out.splitlines())) == 2


@pytest.mark.parametrize(
    ("arguments", "status", "fault"),
    [
        (["--prompt", "æ"], 1, "error: the prompt has characters that the model does not know: 'æ'"),
        (["--beam=2", "--top-k=3"], 2, "--beam excludes --temperature, --top-k and --top-p, which are for sampling"),
        (["--count=0"], 2, "Invalid value for '--count': expected at least 1, found 0"),
        (["--temperature=nan"], 2, "Invalid value for '--temperature': expected a finite number, found nan"),
        (["--temperature=inf"], 2, "Invalid value for '--temperature': expected a finite number, found inf"),
        (["--top-p=nan"], 2, "Invalid value for '--top-p': expected a finite number, found nan"),
        (["--temperature=-1"], 2, "Invalid value for '--temperature': expected at least 0, found -1.0"),
        (["--seed=-1"], 2, "Invalid value for '--seed': expected at least 0, found -1"),
        (["--top-p=0"], 2, "Invalid value for '--top-p': expected greater than 0, found 0.0"),
    ],
)
def test_faults_of_sampling(run: Run, models: dict[str, Path], arguments: list[str], status: int, fault: str) -> None:
    result = run("lm", "sample", "-m", models["char"], *arguments)
    assert (result.status, result.out) == (status, "")
    assert result.lines[-1].removeprefix("Error: ").removeprefix("usage: ").endswith(fault)


def test_faults_of_data_and_model(run: Run, models: dict[str, Path], ner_model: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty.txt"
    empty.write_text("\n \n", encoding="utf-8")
    nothing = "no text found"
    for verb in (["train", empty, "-o", tmp_path / "lm"], ["evaluate", empty, "-m", models["word"]]):
        result = run("lm", *verb, "--device=cpu", "--quiet")
        assert (result.status, result.out, result.lines) == (1, "", [f"error: {empty}: {nothing}"])
    assert not (tmp_path / "lm").exists()
    result = run("lm", "sample", "-m", ner_model)
    expected = f"error: {ner_model}: expected a model of `seqkit lm`, found one of `seqkit tag`"
    assert (result.status, result.lines) == (1, [expected])
    missing = tmp_path / "missing.txt"
    result = run("lm", "score", "-", missing, "-m", models["word"], stdin="to be\n")
    assert (result.status, result.out) == (1, "")
    assert result.lines[-1] == f"error: {missing}: cannot be read: No such file or directory"


@pytest.mark.parametrize(
    ("direction", "reason"),
    [
        ("backward", "encoder.direction: a language model reads forward, or both with encoder.concat final"),
        (
            "both",
            "encoder.direction: both needs encoder.concat final in a language model; with layerwise, upper layers have "
            "seen the words that they are to predict",
        ),
    ],
)
def test_a_direction_that_sees_the_future_is_refused_with_the_reason(
    run: Run, folder: Path, tmp_path: Path, direction: str, reason: str
) -> None:
    flags = ["--direction", direction, "--set=encoder.concat=layerwise"]
    result = run("lm", "train", folder, "-o", tmp_path / "lm", *flags)
    assert result.status == 2
    assert result.lines[-1] == f"error: command line: {reason}"
    assert not (tmp_path / "lm").exists()
