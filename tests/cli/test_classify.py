from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from seqkit.cli.main import main

Run = Callable[..., Any]

TINY = ["--hidden=4", "--epochs=2", "--lr=0.05", "--set=embedding.word_size=6", "--device=cpu"]
WORDS = {"pos": ["good", "fine", "great"], "neg": ["bad", "dull", "sad"]}


def table(count: int, first: int = 0) -> str:
    rows = []
    for number in range(first, first + count):
        label = ("pos", "neg")[number % 2]
        rows.append(f"{label}\tfilm {number} was {WORDS[label][number % 3]} .\n")
    return "".join(rows)


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("texts")
    for split, count in (("train", 40), ("dev", 10), ("test", 10)):
        (folder / f"{split}.tsv").write_text(table(count, 100 * len(split)), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def model(texts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("models") / "opinions"
    assert main(["classify", "train", str(texts), "-o", str(output), "--quiet", *TINY]) == 0
    return output


# --- train ---------------------------------------------------------------------------------------------------------


def test_train_reports_the_baseline_in_the_same_table(texts: Path, tmp_path: Path, run: Run) -> None:
    result = run(
        "classify", "train", texts, "-o", tmp_path / "m", "--pool", "attention", *TINY, "--json", tmp_path / "r"
    )
    assert result.status == 0, result.err
    assert f"{texts}: train 40 texts, 200 tokens, dev 10 texts, 50 tokens, test 10 texts, 50 tokens" in result.lines
    assert "learning one label per text: neg (20), pos (20)" in result.lines
    assert result.out.count("tf-idf + logistic regression") == result.out.count("this model") == 2
    report = json.loads((tmp_path / "r").read_text())
    assert report["scores"]["test"]["baseline"]["name"] == "tf-idf + logistic regression"
    assert json.loads((tmp_path / "m" / "config.json").read_text())["settings"]["head"]["pool"] == "attention"
    assert (tmp_path / "m" / "checkpoint").is_dir()


def test_train_several_labels_from_objects(tmp_path: Path, run: Run) -> None:
    lines = [{"review": f"w{number} good", "topics": [["a"], ["a", "b"], []][number % 3]} for number in range(30)]
    data = tmp_path / "f.jsonl"
    data.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    flags = [*TINY, "--set=data.text=review", "--set=data.label=topics", "--set=head.class_weights=balanced"]
    result = run("classify", "train", data, "-o", tmp_path / "m", "--multi-label", *flags)
    assert result.status == 0, result.err
    assert "learning any number of labels per text: a (18), b (9)" in result.lines
    assert "micro avg" in result.out and "with every label right" in result.out
    result = run("classify", "-m", tmp_path / "m", "--output-format", "jsonl", stdin="a good one\n")
    assert isinstance(json.loads(result.out)["label"], list)
    again = run("classify", "evaluate", data, "-m", tmp_path / "m", "--confusion", tmp_path / "c.png")
    assert again.status == 2 and "--confusion needs a model of one label per text." in again.err


def test_dry_run_prints_settings_that_a_recipe_has(texts: Path, tmp_path: Path, run: Run) -> None:
    result = run("classify", "train", texts, "--dry-run", "--pool", "last", *TINY)
    assert (
        result.status == 0 and 'pool = "last"' in result.out and "# ClassificationHead" not in result.out.split("#")[0]
    )
    recipe = tmp_path / "mine.toml"
    recipe.write_text(result.out, encoding="utf-8")
    again = run("classify", "train", "-c", recipe, "--dry-run")
    assert again.out == result.out


# --- evaluate ------------------------------------------------------------------------------------------------------


def test_evaluate_json_has_the_keys_of_the_contract(texts: Path, model: Path, run: Run) -> None:
    result = run("classify", "evaluate", texts, "-m", model, "--json", "-")
    assert (result.status, result.err) == (0, "")
    found = json.loads(result.out)
    assert list(found) == [
        *("task", "data", "split", "model", "sentences", "tokens", "accuracy", "macro_f1", "per_label", "baseline"),
        *("seconds", "tokens_per_second", "seqkit_version"),
    ]
    assert (found["task"], found["split"], found["sentences"], found["tokens"]) == ("classify", "test", 10, 50)
    report = json.loads((model / "report.json").read_text())["scores"]["test"]
    assert {name: found[name] for name in report} == report


def test_evaluate_other_data_has_no_baseline(model: Path, tmp_path: Path, run: Run) -> None:
    (tmp_path / "f.csv").write_text('text,label\n"film 1, was good",pos\n', encoding="utf-8")
    result = run("classify", "evaluate", tmp_path / "f.csv", "-m", model)
    assert result.status == 0 and "tf-idf" not in result.out
    assert result.out.splitlines()[0] == f"{tmp_path}/f.csv all"


def test_evaluate_tells_unknown_labels_and_counts_them_as_errors(model: Path, tmp_path: Path, run: Run) -> None:
    (tmp_path / "f.tsv").write_text("news\ta good film\nmore\ta bad film\n", encoding="utf-8")
    result = run("classify", "evaluate", tmp_path / "f.tsv", "-m", model, "--errors", "-")
    assert result.lines == ["2 labels of the data are unknown to the model and count as errors: more, news"]
    assert [line.split("\t")[::2] for line in result.out.splitlines()] == [
        ["news", "a good film"],
        ["more", "a bad film"],
    ]


def test_evaluate_draws_the_confusion(texts: Path, model: Path, tmp_path: Path, run: Run) -> None:
    pytest.importorskip("matplotlib", reason="needs matplotlib, of the plots extra")
    assert run("classify", "evaluate", texts, "-m", model, "--confusion", tmp_path / "c.png").status == 0
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")


# --- predict -------------------------------------------------------------------------------------------------------


def test_predict_keeps_every_line_in_order(model: Path, run: Run) -> None:
    lines = ["film was good .", "", "  ", "so\tdull", "x" * 5000]
    for arguments in (["predict"], []):
        result = run("classify", *arguments, "-m", model, stdin="\n".join(lines) + "\n")
        assert result.status == 0
        rows = [line.split("\t", 2) for line in result.out.splitlines()]
        assert [row[2] for row in rows] == lines
        assert all(row[0] in ("pos", "neg") and 0.5 <= float(row[1]) <= 1 for row in rows)
        assert result.err.startswith("5 texts, 7 tokens in ")


def test_predict_top(model: Path, run: Run) -> None:
    result = run("classify", "-m", model, "--top", "2", "--quiet", stdin="film was good\n")
    labels, probs, text = result.out.rstrip("\n").split("\t")
    assert sorted(labels.split("|")) == ["neg", "pos"] and text == "film was good"
    assert sum(map(float, probs.split("|"))) == pytest.approx(1.0, abs=2e-4)
    found = json.loads(run("classify", "-m", model, "--top", "1", "--output-format", "jsonl", stdin="film\n").out)
    assert list(found["probs"]) == [found["label"]]
    assert run("classify", "-m", model, "--top", "0", stdin="film\n").status == 2


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("f.tsv", "x\tone two\ny\tthree\n", ["one two", "three"]),
        ("f.tsv", "one\ntwo\n", ["one", "two"]),
        ("f.tsv", "id\ttext\n7\tone two\n", ["one two"]),
        ("f.csv", 'text\n"one, two"\n', ["one, two"]),
        ("f.jsonl", '{"text": "one"}\n{"tokens": ["two", "three"], "label": 5}\n', ["one", "two three"]),
        ("f.txt", "one two three\nfour\n", ["one two three", "four"]),
    ],
)
def test_predict_reads_files_with_and_without_labels(
    name: str, content: str, expected: list[str], model: Path, tmp_path: Path, run: Run
) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    result = run("classify", "predict", tmp_path / name, "-m", model, "--output-format", "jsonl")
    assert result.status == 0, result.err
    assert [json.loads(line)["text"] for line in result.out.splitlines()] == expected


def test_what_is_written_is_read_back(model: Path, tmp_path: Path, run: Run) -> None:
    rows = run("classify", "-m", model, "--quiet", stdin="a good film\na bad film\n").out
    (tmp_path / "f.tsv").write_text("label\tprob\ttext\n" + rows, encoding="utf-8")
    found = json.loads(run("classify", "evaluate", tmp_path / "f.tsv", "-m", model, "--json", "-").out)
    assert found["accuracy"] == 1.0


def test_info_names_the_labels_and_the_baseline(model: Path, texts: Path, run: Run) -> None:
    lines = run("info", model).out.splitlines()
    assert lines[1].split(maxsplit=1) == ["data", str(texts)] and lines[2].split() == ["labels", "neg", "pos"]
    assert lines[3].startswith("dev         accuracy ") and " macro_f1 " in lines[3]
    assert lines[4].split(maxsplit=2)[2].endswith("of tf-idf + logistic regression")


# --- faults --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("pos\ta good film\nneg\n", "f.tsv:2: expected 2 tab-separated columns (label, text), found 1"),
        ("pos\ta good film\nneg\ta\n\tb\n", "f.tsv:3: expected a label in field 'label', found an empty one"),
        ("no label here\n", "f.tsv:1: expected 2 columns (label and text) or a header with 'text' and 'label', "
         "found 1 column and no such header"),
        ("topic\ttext\nx\ty\n", "f.tsv:1: expected columns named 'text' and 'label', found 'topic', 'text'; "
         "say which is which: --set data.text=text --set data.label=topic (or --text text --label topic)"),
    ],
)  # fmt: skip
def test_unlabelled_data_is_one_clear_line(
    content: str, message: str, model: Path, texts: Path, tmp_path: Path, run: Run
) -> None:
    data = tmp_path / "f.tsv"
    data.write_text(content, encoding="utf-8")
    for arguments in (["train", data, "-o", tmp_path / "m", *TINY], ["evaluate", data, "-m", model]):
        result = run("classify", *arguments)
        assert (result.status, result.out) == (1, "")
        assert result.lines[-1] == f"error: {tmp_path}/{message}"
    assert not (tmp_path / "m").exists()


def test_data_of_another_task(model: Path, tmp_path: Path, run: Run) -> None:
    (tmp_path / "f.conllu").write_text("", encoding="utf-8")
    expected = "expected labelled texts (a .tsv, .csv or .jsonl file), found tokens with labels"
    result = run("classify", "evaluate", tmp_path / "f.conllu", "-m", model)
    assert result.lines == [f"error: {tmp_path}/f.conllu: {expected}"]
    result = run("classify", "predict", tmp_path / "f.conllu", "-m", model)
    assert result.status == 1 and result.lines == [
        f"error: {tmp_path}/f.conllu: the format is conllu, but this command reads text, tokens, document, tsv, csv, "
        "jsonl; say which with --input"
    ]
    result = run("tag", "-m", model, stdin="a\n")
    assert result.lines == [f"error: {model}: expected a model of `seqkit tag`, found one of `seqkit classify`"]


def test_a_fault_in_the_middle_comes_after_the_results_before_it(model: Path, run: Run) -> None:
    stdin = '{"text": "one"}\n{"title": "two"}\n'
    result = run("classify", "-m", model, "--input", "jsonl", stdin=stdin)
    assert result.status == 1 and result.out.endswith("\tone\n") and result.out.count("\n") == 1
    assert result.lines == ['error: <stdin>:2: expected "tokens" or "text", found \'title\'']


def test_a_field_that_is_not_there(texts: Path, model: Path, run: Run) -> None:
    result = run("classify", "evaluate", texts, "-m", model, "--label", "topic", "--json", "-")
    assert result.status == 0  # without names the first column is the label, whatever it is called
    result = run("classify", "evaluate", texts, "-m", model, "--json", "-", "--errors", "-")
    assert result.status == 2


def test_a_first_line_of_column_names_is_refused_or_suspected(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "texts.tsv"
    rows = "pos\tgood film\nneg\tbad film\n" * 8
    file.write_text("opinion\ton what\n" + rows, encoding="utf-8")
    result = run("classify", "train", file, "--dry-run")
    assert (
        "warning: only the first text has the label 'opinion'; if that line names the columns, say which to use: "
        "--set data.label=NAME --set data.text=NAME"
    ) in result.lines
    file.write_text("sentiment\treview\n" + rows, encoding="utf-8")
    result = run("classify", "train", file, "--dry-run")
    assert result.lines == [
        f"error: {file}:1: the first row looks like names of columns: sentiment, review; say which is which: "
        "--set data.text=review --set data.label=sentiment (or --text review --label sentiment)"
    ]
    named = run("classify", "train", file, "--dry-run", "--set", "data.label=sentiment", "--set", "data.text=review")
    assert "learning one label per text: neg (7), pos (8)" in named.lines
    assert "warning" not in named.err
