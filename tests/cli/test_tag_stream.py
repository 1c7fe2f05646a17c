"""``seqkit tag predict --stream`` and ``tag evaluate --lag``."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import seqkit
from seqkit.config import override
from seqkit.heads.tagging.settings import TagSettings
from seqkit.records import Sentence

Run = Callable[..., Any]  # the fixture `run`

TEXT = "Ada Lovelace met him.\n\nIn Paris\n#tag I\nI\nO B-X\n-DOCSTART-\nword tag\n5 6 7\nvery very good\nWho?"
TINY = {
    "embedding": {"word_size": 12, "char_size": 6, "char_features": 6, "word_dropout": 0.0, "dropout": 0.0},
    "encoder": {"hidden": 8, "dropout": 0.0, "direction": "forward"},
    "training": {"epochs": 2, "batch_size": 8, "lr": 0.02},
}

PLACE = {"MASTER_ADDR": "localhost", "MASTER_PORT": "29500"}


@pytest.fixture(scope="module")
def models(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Taggers that read forward: a CRF over spans, and a softmax over letters."""
    folder = tmp_path_factory.mktemp("forward")
    softmax = {"data": {"target": "1", "scheme": "none"}, "head": {"crf": False}}
    for name, tree in {"crf": {}, "softmax": softmax}.items():
        seqkit.train(override(override(TagSettings(), TINY), tree), folder / name, corpus, device="cpu")
    return {name: folder / name for name in ("crf", "softmax")}


# --- equal to what is predicted of the whole ----------------------------------------------------------------------


@pytest.mark.parametrize("form", ["text", "tokens"])
@pytest.mark.parametrize(("name", "flags"), [("crf", ["--lag=40"]), ("softmax", []), ("softmax", ["--probs"])])
def test_the_output_is_that_of_the_whole(
    form: str, name: str, flags: list[str], models: dict[str, Path], tmp_path: Path, run: Run
) -> None:
    probs = [flag for flag in flags if flag == "--probs"]
    whole = run("tag", "predict", "-m", models[name], "--input", form, "--quiet", *probs, stdin=TEXT)
    found = run("tag", "predict", "--stream", "-m", models[name], "--input", form, "--quiet", *flags, stdin=TEXT)
    assert (found.status, found.out, found.err) == (0, whole.out, "")
    file = tmp_path / "in.txt"
    file.write_text(TEXT, encoding="utf-8")
    again = run("tag", "predict", file, file, "--stream", "-m", models[name], "--input", form, "--quiet", *flags)
    assert (again.status, again.out, again.err) == (0, 2 * whole.out, "")


def test_what_is_counted_and_what_is_assumed_is_said(models: dict[str, Path], run: Run) -> None:
    result = run("tag", "predict", "--stream", "-m", models["crf"], stdin="Ada met Bo\nIn Paris\n")
    assert (
        result.lines[0] == "each label is decided 8 tokens later, or at the end of its sentence; --lag N changes that"
    )
    assert result.lines[1].startswith("2 sentences, 5 tokens in ")
    for flags in (["-m", models["crf"], "--lag", "2"], ["-m", models["softmax"]]):
        result = run("tag", "predict", "--stream", *flags, stdin="Ada met Bo\n")
        assert [line.split(" in ")[0] for line in result.lines] == ["1 sentence, 3 tokens"]


# --- while the input is still coming ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "flags", "steps"),
    [
        (
            "softmax",
            ["--input", "tokens"],
            [("He saw ", ["He", "saw"]), ("Rom", []), ("e ", ["Rome"]), ("\n", [""]), ("I", []), (" do ", ["I", "do"])],
        ),
        (
            "crf",
            ["--input", "tokens", "--lag", "2"],
            [("He saw a ", ["He"]), ("b ", ["saw"]), ("c\n", ["a", "b", "c", ""]), ("He do it ", ["He"])],
        ),
        ("crf", ["--lag", "1"], [("He saw", []), (" it\n", ["He", "saw", "it", ""]), ("\n", [""]), ("Now", [])]),
    ],
)
@pytest.mark.usefixtures("watchdog")
def test_answers_come_before_the_pipe_is_closed(
    name: str, flags: list[str], steps: list[tuple[str, list[str]]], models: dict[str, Path]
) -> None:
    words = [sys.executable, "-m", "seqkit", "tag", "predict", "--stream", "-m", str(models[name]), "--quiet", *flags]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        stuck = threading.Timer(50, process.kill)
        stuck.start()
        for written, rows in steps:
            process.stdin.write(written)
            process.stdin.flush()
            assert [process.stdout.readline().rstrip("\n").split("\t")[0] for _ in rows] == rows
        process.stdin.close()
        process.stdout.read()
        stuck.cancel()
    assert process.returncode == 0


def test_what_came_before_a_fault_is_written(models: dict[str, Path], run: Run) -> None:
    result = run("tag", "predict", "--stream", "-m", models["softmax"], "--quiet", stdin=b"He met\nsaw \xff it\n")
    assert [row.split("\t")[0] for row in result.out.split("\n")] == ["He", "met", "", ""]
    assert (result.status, result.lines) == (
        1,
        ["error: <stdin>:2: expected UTF-8 text, found byte 0xff at position 4 (try --encoding latin-1)"],
    )


def test_an_empty_input_gives_nothing(models: dict[str, Path], run: Run) -> None:
    result = run("tag", "predict", "--stream", "-m", models["softmax"], "--quiet")
    assert (result.status, result.out, result.err) == (0, "", "")


# --- what cannot be streamed --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "status", "message"),
    [
        (["--output-format", "jsonl"], 2, "--stream writes conll only, not jsonl."),
        (["--workers", "2"], 2, "--workers and --stream exclude each other: one process reads a stream."),
        (["--precision", "bf16"], 2, "--stream computes in fp32 only, not bf16."),
        (
            ["--batch-tokens", "8192"],
            2,
            "--batch-tokens and --stream exclude each other: a stream makes no batches.",
        ),
        (
            ["--columns", "a,b"],
            2,
            "--columns and --stream exclude each other: a stream reads lines of words, without columns.",
        ),
        (
            ["--token-column", "1"],
            2,
            "--token-column and --stream exclude each other: a stream reads lines of words, without columns.",
        ),
        (["--input", "conll"], 1, "-: --stream reads lines of text or tokens (--input), found conll"),
        (["--nbest", "2"], 1, "nbest: the best sequences of labels are those of whole sentences, not of a stream"),
        (
            ["--probs"],
            1,
            "probs: probabilities of labels by a CRF need the whole sentence, which neither a stream nor a lag waits "
            "for",
        ),
        (
            ["--nbest", "2", "--lag", "3"],
            2,
            "Invalid value for '--nbest': the best sequences of labels are those of whole sentences, which --lag "
            "excludes",
        ),
        (["--lag", "-3"], 2, "Invalid value for '--lag': expected at least 0, found -3"),
    ],
)
def test_what_makes_no_sense_of_a_stream_is_refused(
    flags: list[str], status: int, message: str, models: dict[str, Path], run: Run
) -> None:
    result = run("tag", "predict", "--stream", "-m", models["crf"], *flags, stdin="a\n")
    assert (result.status, result.out, result.lines[-1]) == (status, "", f"error: {message}")


def test_torchrun_and_other_directions_are_refused(
    ner_model: Path, models: dict[str, Path], monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    result = run("tag", "predict", "--stream", "-m", ner_model, stdin="a\n")
    assert (result.status, result.out, result.lines) == (
        1,
        "",
        [
            "error: encoder.direction is both: the encoder reads a sequence from its end, too, which a stream does not "
            "wait for; train with --direction forward"
        ],
    )
    for name, value in {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0", **PLACE}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("seqkit.cli.main._first_to_tell", lambda: True)
    result = run("tag", "predict", "--stream", "-m", models["crf"], stdin="a\n")
    assert result.lines[-1] == "error: torchrun and --stream exclude each other: one process reads a stream."


def test_other_tasks_have_no_such_flag(run: Run) -> None:
    for task, verb in (("classify", "predict"), ("lm", "score")):
        result = run(task, verb, "--stream", "-m", "x")
        assert result.status == 2
        assert result.lines[-1].startswith("error: No such option '--stream'.")


# --- evaluation ---------------------------------------------------------------------------------------------------


def test_evaluation_tells_what_a_lag_changes(corpus: Path, models: dict[str, Path], run: Run) -> None:
    whole = json.loads(run("tag", "evaluate", corpus, "-m", models["crf"], "--json", "-").out)
    assert not {"lag", "lag_differing", "without_lag"} & set(whole)
    tagger = seqkit.load(models["crf"])
    lines = (corpus / "test.conll").read_text().split("\n\n")
    sentences = [Sentence.from_tokens([row.split()[0] for row in line.splitlines()]) for line in lines]
    for lag in (0, 1, 50):
        found = json.loads(run("tag", "evaluate", corpus, "-m", models["crf"], "--lag", lag, "--json", "-").out)
        pairs = zip(tagger.predict(sentences), tagger.predict(sentences, lag=lag), strict=True)
        labels = [pair for one, other in pairs for pair in zip(one.labels, other.labels, strict=True)]
        assert found["lag"] == lag
        assert found["lag_differing"] == sum(one != other for one, other in labels) / len(labels)
        assert found["without_lag"] == {name: whole[name] for name in ("accuracy", "precision", "recall", "f1")}
    assert {name: found[name] for name in whole if "second" not in name} == {
        name: value for name, value in whole.items() if "second" not in name
    }
    table = run("tag", "evaluate", corpus, "-m", models["crf"], "--lag", 50)
    assert f"{corpus} test, lag 50\n" in table.out
    accuracy, f1 = whole["accuracy"], whole["f1"]
    closing = " ".join(table.out.split("\n\n")[-1].split())
    assert closing == (
        "each label decided 50 tokens later: 0.000% of the labels differ from those decided at the end of the sentence "
        f"(accuracy {accuracy:.4f}, F1 {f1:.4f})"
    )


def test_labels_that_are_certain_at_once_do_not_change(corpus: Path, models: dict[str, Path], run: Run) -> None:
    found = json.loads(run("tag", "evaluate", corpus, "-m", models["softmax"], "--lag", "0", "--json", "-").out)
    assert (found["lag_differing"], found["without_lag"]) == (0.0, {"accuracy": found["accuracy"]})
