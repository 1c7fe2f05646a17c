"""``seqkit generate``: what is written goes to standard output, faults are one line and status 1."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seqkit.cli.sample import _show
from seqkit.records import WrittenText

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Run = Callable[..., Any]  # the fixture `run`

TINY = ["--hidden=24", "--epochs=25", "--lr=0.02", "--batch-size=8", "--set=embedding.word_size=8", "--quiet"]
ROWS = [
    {"kind": "sun", "size": [0.0, 1.0], "text": "ab\nba\n"},
    {"kind": "moon", "size": [1.0, 0.0], "text": "bb\naa\n"},
]
SUN = ["--condition", "kind=sun", "--condition", "size=[0, 1]"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("poems")
    for split, count in (("train", 12), ("dev", 2), ("test", 4)):
        lines = [json.dumps(ROWS[number % 2]) + "\n" for number in range(count)]
        (folder / f"{split}.jsonl").write_text("".join(lines), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from seqkit.cli.main import main

    output = tmp_path_factory.mktemp("models") / "poet"
    assert main(["generate", "train", str(data), "-o", str(output), "--condition", "kind,size", *TINY]) == 0
    return output


@pytest.fixture
def model(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "poet"))


def test_training_reports_and_writes_the_settings(data: Path, tmp_path: Path, run: Run) -> None:
    flags = [argument for argument in TINY if not argument.startswith("--epochs")]
    result = run("generate", "train", data, "-o", tmp_path / "m", "--epochs=1", *flags, "--json", "-")
    assert (result.status, result.err) == (0, "")
    assert set(json.loads(result.out)["scores"]) == {"dev", "test"}
    dry = run("generate", "train", data, "--dry-run", "--tied", "--unit", "word", "--quiet", "--target", "text")
    assert (dry.status, dry.err) == (0, "")
    tree = tomllib.loads(dry.out)
    assert tree["task"] == "generate"
    assert tree["data"]["condition"] == "kind,size"
    assert (tree["data"]["unit"], tree["head"]["tied"]) == ("word", True)


def test_evaluation(data: Path, model: Path, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "scores.json"
    result = run("generate", "evaluate", data, "-m", model, "--json", file)
    assert (result.status, result.err) == (0, "")
    scores = json.loads(file.read_text())
    assert (scores["task"], scores["split"], scores["sentences"]) == ("generate", "test", 4)
    assert {"loss", "perplexity", "exact_match", "seconds", "tokens_per_second", "seqkit_version"} <= set(scores)
    assert scores["exact_match"] == 1.0
    assert "exact match       1.0000" in result.out
    on_dev = run("generate", "evaluate", data, "-m", model, "--split", "dev", "--json", "-", "--batch-tokens", 3)
    assert json.loads(on_dev.out)["perplexity"] == pytest.approx(scores["perplexity"], abs=1e-4)


def test_sampling(model: Path, run: Run, tmp_path: Path) -> None:
    greedy = run("generate", "sample", "-m", model, *SUN, "--temperature", 0)
    assert (greedy.status, greedy.out, greedy.err) == (0, "ab\nba\n\n", "")
    np.save(tmp_path / "size.npy", np.array([1.0, 0.0]))
    vector = f"size={tmp_path / 'size.npy'}"
    result = run("generate", "sample", "-m", model, "--condition", "kind=moon", "--condition", vector, "--top-k", 1)
    assert result.out == "bb\naa\n\n"
    result = run("generate", "sample", "-m", model, *SUN, "--beam", 3, "--count", 2, "--output-format", "jsonl")
    best, second = map(json.loads, result.out.splitlines())
    assert best["text"] == "ab\nba\n" and best["ended"] and best["units"] == 7
    assert best["log_prob"] > second["log_prob"]
    options = ["--count", 4, "--seed", 3, "--temperature", 1.5, "--top-p", 0.9, "--length", 30]
    one, two = (run("generate", "sample", "-m", model, *SUN, *options) for _ in range(2))
    assert one.out == two.out != ""
    result = run("generate", "sample", "-m", model, *SUN, "--prompt", "b", "--output-format", "jsonl")
    assert json.loads(result.out)["text"].startswith("b")


def test_texts_of_several_lines_are_parted_by_one_blank_line() -> None:
    assert shown("ab\nba\n", "bb\naa\n") == "ab\nba\n\nbb\naa\n\n"
    assert shown("ab\nba", "bb\naa", "b") == "ab\nba\n\nbb\naa\n\nb\n"
    assert shown("ab", "ba") == "ab\nba\n"


def shown(*texts: str) -> str:
    with contextlib.redirect_stdout(io.StringIO()) as out:
        _show([WrittenText(text, -1.0, 3, True) for text in texts], "text")
    return out.getvalue()


def test_fields_that_nobody_named(tmp_path: Path, run: Run) -> None:
    odd = {"a": {"b": 1}, "c": [["d"]], "e": None, "f": [[1], [2, 3]], "g": True, "h,i": "x", "j": [[1, 2], [3, 4]]}
    for split, rows in (("train", ROWS * 2), ("dev", [{**ROWS[0], "kind": "star"}])):
        lines = [json.dumps({**row, **odd}) + "\n" for row in rows]
        (tmp_path / f"{split}.jsonl").write_text("".join(lines), encoding="utf-8")
    result = run("generate", "train", tmp_path, "-o", tmp_path / "m", *TINY)
    assert (result.status, result.lines) == (1, [
        f"error: {tmp_path / 'dev.jsonl'}:1: expected a 'kind' seen in training (moon, sun), found 'star' "
        "(conditions found: kind,size,j; --condition names others, or none)"
    ])  # fmt: skip
    assert run("generate", "train", tmp_path, "-o", tmp_path / "m", *TINY, "--condition", "j").status == 0


def test_acrostics(model: Path, run: Run) -> None:
    result = run("generate", "sample", "-m", model, *SUN, "--acrostic", "bab", "--count", 5, "--output-format=jsonl")
    for line in result.out.splitlines():
        lines = json.loads(line)["text"].split("\n")
        assert [text[0] for text in lines[:3]] == list("bab")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--condition", "kind=sun"], "expected a field 'size' in the condition, found 'kind'"),
        ([], "expected a field 'kind' in the condition, found none"),
        (["--condition", "kind=star", "--condition", "size=[0,1]"],
         "expected a 'kind' seen in training (moon, sun), found 'star'"),
        (["--condition", "kind=sun", "--condition", "size=[0,1,2]"],
         "expected a vector of 2 numbers as 'size', found 3"),
        (["--condition", "kind=sun", "--condition", "size=[0,"],
         "expected a JSON array or an .npy file as 'size', found '[0,'"),
        (["--condition", "kind=sun", "--condition", "size=" + "[" * 100_000],
         "expected a JSON array or an .npy file as 'size', found '" + "[" * 39),
        (["--condition", "kind=sun", "--condition", "size=7"], "expected a list of numbers as 'size', found 7"),
        (["--condition", "form=sonnet"], "expected a condition among 'kind', 'size', found 'form'"),
        ([*SUN, "--prompt", "azb"], "the prompt has characters that the model does not know: 'z'"),
        ([*SUN, "--acrostic", "z"], "no unit of the model begins with 'z', as the acrostic needs"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line_and_status_1(arguments: list[str], message: str, model: Path, run: Run) -> None:
    result = run("generate", "sample", "-m", model, *arguments)
    assert (result.status, result.out, result.err) == (1, "", f"error: {message}\n")


def test_an_array_that_is_not_there(model: Path, run: Run) -> None:
    result = run("generate", "sample", "-m", model, "--condition", "kind=sun", "--condition", "size=none.npy")
    assert (result.status, result.out, len(result.lines)) == (1, "", 1)
    assert result.err == "error: none.npy: cannot be read: No such file or directory\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--condition", "kind"], "Invalid value for '--condition': expected FIELD=VALUE, found 'kind'"),
        (
            ["--condition", "kind=sun", "--condition", "kind=sun"],
            "Invalid value for '--condition': 'kind' is given twice",
        ),
        (["--prompt", "a", "--acrostic", "a"], "--prompt and --acrostic exclude each other"),
        (
            ["--beam", "2", "--top-k", "3"],
            "--beam excludes --temperature, --top-k and --top-p, which are for sampling",
        ),
        (["--temperature", "-1"], "-1"),
        (["--length-penalty", "1000"], "Invalid value for '--length-penalty': expected at most 10, found 1000.0"),
        (["--length-penalty", "nan"], "Invalid value for '--length-penalty': expected a finite number, found nan"),
        (["--count", "0"], "expected at least 1, found 0"),
    ],
)
def test_wrong_usage_is_status_2(arguments: list[str], message: str, model: Path, run: Run) -> None:
    result = run("generate", "sample", "-m", model, *arguments)
    assert (result.status, result.out) == (2, "")
    assert message in result.err


def test_models_and_data_that_do_not_fit(data: Path, model: Path, ner_model: Path, tmp_path: Path, run: Run) -> None:
    result = run("generate", "sample", "-m", ner_model)
    assert result.err == f"error: {ner_model}: expected a model of `seqkit generate`, found one of `seqkit tag`\n"
    file = tmp_path / "other.jsonl"
    file.write_text('{"kind": "sun", "size": [1, 2], "text": "a"}\n{"kind": "pluto", "size": [1, 2], "text": "a"}\n')
    result = run("generate", "evaluate", file, "-m", model)
    assert (result.status, result.out) == (1, "")
    assert result.err == f"error: {file}:2: expected a 'kind' seen in training (moon, sun), found 'pluto'\n"
    result = run("generate", "train", data, "-o", tmp_path / "m", "--condition", "form")
    assert (result.status, len(result.lines)) == (1, 2)  # what is read is told first
    assert result.lines[-1] == (
        f"error: {data / 'train.jsonl'}:1: expected a field 'form' in the condition, found 'kind', 'size', 'text'"
    )
    assert run("generate", "train", data, "-o", tmp_path / "m", "--direction", "both").status == 2


def test_help_names_all_verbs(run: Run) -> None:
    result = run("generate", "--help")
    assert result.status == 0
    for verb in ("train", "sample", "evaluate"):
        assert verb in result.out
        assert run("generate", verb, "-h").status == 0
