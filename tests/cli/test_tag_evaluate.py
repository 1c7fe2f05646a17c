"""``seqkit tag evaluate``: the report, its JSON, and the other files."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import seqkit

Run = Callable[..., Any]  # the fixture `run`

COMMON_KEYS = {
    "task",
    "data",
    "split",
    "sentences",
    "tokens",
    "seconds",
    "tokens_per_second",
    "model",
    "seqkit_version",
}
SPAN_KEYS = {"accuracy", "precision", "recall", "f1", "mode", "scheme", "per_label"}


def test_evaluate_prints_a_report(corpus: Path, ner_model: Path, run: Run) -> None:
    result = run("tag", "evaluate", corpus, "-m", ner_model)
    assert (result.status, result.err) == (0, "")
    assert re.match(rf"{corpus} test\n\n +precision +recall +f1 +support\n", result.out)
    kept = json.loads((ner_model / "report.json").read_text())["scores"]["test"]
    assert f"accuracy {kept['accuracy']:.4f} of" in result.out
    assert f"{kept['f1']:.4f}" in result.out


def test_what_auto_became_is_said(corpus: Path, ner_model: Path, run: Run) -> None:
    result = run("tag", "evaluate", corpus, "-m", ner_model, "--precision", "auto")
    assert (result.status, result.err.count("precision auto: fp32, since ")) == (0, 1)  # of 12 sentences
    quiet = run("tag", "evaluate", corpus, "-m", ner_model, "--precision", "auto", "--quiet")
    assert (quiet.status, quiet.out, quiet.err) == (0, result.out, "")


def test_evaluate_json_keys(corpus: Path, ner_model: Path, run: Run) -> None:
    result = run("tag", "evaluate", corpus, "-m", ner_model, "--json", "-")
    assert (result.status, result.err) == (0, "")
    found = json.loads(result.out)
    assert set(found) == COMMON_KEYS | SPAN_KEYS | {"strict"}
    about = {"task": "tag", "data": str(corpus), "split": "test", "sentences": 12, "model": str(ner_model)}
    assert {key: found[key] for key in about} == about
    assert (found["mode"], found["scheme"], found["seqkit_version"]) == ("default", "iob2", seqkit.__version__)
    assert found["tokens_per_second"] == pytest.approx(found["tokens"] / found["seconds"])
    assert all(set(scores) == {"precision", "recall", "f1", "support"} for scores in found["per_label"].values())
    assert {"PER", "LOC"} <= set(found["per_label"])
    kept = json.loads((ner_model / "report.json").read_text())["scores"]["test"]
    assert {key: found[key] for key in kept} == kept


def test_evaluate_json_keys_without_spans(corpus: Path, pos_model: Path, run: Run) -> None:
    found = json.loads(run("tag", "evaluate", corpus, "-m", pos_model, "--json", "-").out)
    assert set(found) == COMMON_KEYS | {"accuracy", "scheme", "per_label"}
    assert found["scheme"] == "none"


def test_evaluate_json_to_a_file(corpus: Path, ner_model: Path, tmp_path: Path, run: Run) -> None:
    result = run("tag", "evaluate", corpus, "-m", ner_model, "--split", "dev", "--json", tmp_path / "dev.json")
    assert (result.status, result.err) == (0, "")
    assert result.out.startswith(f"{corpus} dev\n")
    assert json.loads((tmp_path / "dev.json").read_text())["split"] == "dev"


def test_evaluate_one_file_as_a_whole(corpus: Path, ner_model: Path, run: Run) -> None:
    found = json.loads(run("tag", "evaluate", corpus / "train.conll", "-m", ner_model, "--json", "-").out)
    assert (found["split"], found["sentences"]) == ("all", 60)


def test_evaluate_says_what_is_held_out(corpus: Path, ner_model: Path, run: Run) -> None:
    arguments = ["tag", "evaluate", corpus / "train.conll", "-m", ner_model, "--split", "dev"]
    result = run(*arguments)
    assert (result.status, result.lines) == (
        0,
        [f"{corpus / 'train.conll'} has no dev split: the last tenth of train (6 of 60 sentences) is held out"],
    )
    assert run(*arguments, "--quiet").err == ""


def test_evaluate_another_column(corpus: Path, pos_model: Path, run: Run) -> None:
    arguments = ["tag", "evaluate", corpus, "-m", pos_model, "--json", "-"]
    own, other = (json.loads(run(*arguments, *extra).out) for extra in ([], ["--target", "2"]))
    assert own["accuracy"] > 0.0 == other["accuracy"]  # labels never seen in training count as errors
    again = json.loads(run(*arguments, "--target", "-2").out)
    assert again.pop("target") == "-2"
    assert own == {**again, **{k: own[k] for k in ("seconds", "tokens_per_second")}}


@pytest.mark.parametrize(
    "flags",
    [["--batch-tokens", "1"], ["--batch-tokens", "100000"], ["--device", "cpu", "--threads", "1"]],
    ids=" ".join,
)
def test_evaluation_flags_change_no_score(flags: list[str], corpus: Path, ner_model: Path, run: Run) -> None:
    plain = run("tag", "evaluate", corpus, "-m", ner_model)
    assert run("tag", "evaluate", corpus, "-m", ner_model, *flags) == plain


@pytest.mark.parametrize("precision", ["auto", "fp32", "bf16"])
def test_precision_of_evaluation(precision: str, corpus: Path, ner_model: Path, run: Run) -> None:
    assert run("tag", "evaluate", corpus, "-m", ner_model, "--precision", precision).status == 0


def test_errors_are_the_sentences_with_errors(corpus: Path, ner_model: Path, tmp_path: Path, run: Run) -> None:
    file = tmp_path / "errors.tsv"
    result = run("tag", "evaluate", corpus, "-m", ner_model, "--errors", file)
    assert (result.status, result.err) == (0, "")
    blocks = [block.split("\n") for block in file.read_text(encoding="utf-8").removesuffix("\n\n").split("\n\n")]
    model = seqkit.load(ner_model)
    expected = []
    for block in (corpus / "test.conll").read_text(encoding="utf-8").removesuffix("\n").split("\n\n"):
        rows = [row.split(" ") for row in block.split("\n")]
        guesses = model.tag([row[0] for row in rows]).labels
        if guesses != [row[2] for row in rows]:
            expected.append([f"{row[0]}\t{row[2]}\t{guess}" for row, guess in zip(rows, guesses, strict=True)])
    assert blocks == expected
    shown = run("tag", "evaluate", corpus, "-m", ner_model, "--errors", "-")
    assert (shown.status, shown.err, shown.out) == (0, "", file.read_text(encoding="utf-8"))


def test_no_errors_are_an_empty_file(ner_model: Path, tmp_path: Path, run: Run) -> None:
    tagged = run("tag", "-m", ner_model, "--input", "tokens", stdin="Ada met him .\nHe was in Paris .\n").out
    (tmp_path / "test.conll").write_text(tagged, encoding="utf-8")
    result = run("tag", "evaluate", tmp_path, "-m", ner_model, "--errors", tmp_path / "errors", "--json", "-")
    assert json.loads(result.out)["accuracy"] == 1.0
    assert (tmp_path / "errors").read_bytes() == b""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("flag", ["--errors", "--json", "--confusion"])
def test_a_file_that_cannot_be_written_is_named(
    flag: str, corpus: Path, ner_model: Path, tmp_path: Path, run: Run
) -> None:
    full = tmp_path / "full.png"
    full.symlink_to("/dev/full")
    if flag == "--confusion":
        pytest.importorskip("matplotlib", reason="needs matplotlib, of the plots extra")
    result = run("tag", "evaluate", corpus, "-m", ner_model, flag, full)
    assert (result.status, result.out) == (1, "")
    assert result.err == f"error: {full}: cannot be written: No space left on device\n"


@pytest.mark.parametrize("name", ["-", "c.foo", "png"])
def test_a_confusion_matrix_is_a_png_file(
    name: str, corpus: Path, ner_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("tag", "evaluate", corpus, "-m", ner_model, "--confusion", name)
    assert (result.status, result.out, list(tmp_path.iterdir())) == (2, "", [])
    fault = f"error: Invalid value for '--confusion': expected FILE.png, found '{name}'"
    assert result.lines[-1] == fault


def test_confusion(corpus: Path, ner_model: Path, tmp_path: Path, run: Run) -> None:
    pytest.importorskip("matplotlib", reason="needs matplotlib, of the plots extra")
    result = run("tag", "evaluate", corpus, "-m", ner_model, "--confusion", tmp_path / "confusion.png")
    assert (result.status, result.err) == (0, "")
    assert (tmp_path / "confusion.png").read_bytes().startswith(b"\x89PNG\r\n")
