"""Pairs of texts on the command line: files of every kind, a pipe, evaluation with groups, and what is refused."""

from __future__ import annotations

import io
import json
import random
import re
from pathlib import Path
from typing import Any

import pytest

from seqkit.cli.main import main

FLAGS = ["--quiet", "--epochs", "6", "--hidden", "6", "--lr", "0.03", "--batch-size", "8", "--device", "cpu"]
SMALL = [*FLAGS, "--set", "embedding.word_size=8", "--set", "head.hidden=8", "--set", "training.patience=0"]
THINGS = ["film", "book", "song", "play", "poem"]


def make_rows(count: int, seed: int = 0) -> list[dict[str, str]]:
    draw = random.Random(seed)
    rows = []
    for number in range(count):
        thing, other = draw.choice(THINGS), draw.choice(THINGS)
        label = "yes" if thing == other else "no"
        rows.append({"n": str(number // 4), "q": f"the {thing}", "a": f"a {other}, so to say", "label": label})
    return rows


def write(path: Path, rows: list[dict[str, str]]) -> Path:
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path
    sign = "\t" if path.suffix == ".tsv" else ","
    quote = (lambda cell: cell) if path.suffix == ".tsv" else (lambda cell: f'"{cell}"')
    lines = [sign.join(rows[0]), *(sign.join(map(quote, row.values())) for row in rows)]
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pairs")
    data = folder / "data"
    data.mkdir()
    for number, split in enumerate(("train", "dev", "test")):
        write(data / f"{split}.jsonl", make_rows(80 if split == "train" else 40, number))
    assert (
        main(["classify", "train", str(data), "--text", "q", "--text", "a", "-o", str(folder / "model"), *SMALL]) == 0
    )
    return folder / "model"


def run(*arguments: object) -> int:
    return main(list(map(str, arguments)))


def predicted(capsys: pytest.CaptureFixture[str], *arguments: object) -> list[str]:
    capsys.readouterr()
    assert run(*arguments) == 0
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("suffix", ["jsonl", "tsv", "csv"])
def test_files_of_every_kind_give_the_same(
    suffix: str, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = make_rows(12, 3)
    file = write(tmp_path / f"new.{suffix}", rows)
    lines = predicted(capsys, "classify", "predict", file, "-m", model, "--quiet")
    assert [line.split("\t")[2:] for line in lines] == [[row["q"], row["a"]] for row in rows]
    objects = list(
        map(json.loads, predicted(capsys, "classify", "predict", file, "-m", model, "--output-format=jsonl"))
    )
    assert [(found["q"], found["a"], found["label"]) for found in objects] == [
        (row["q"], row["a"], line.split("\t")[0]) for row, line in zip(rows, lines, strict=True)
    ]
    renamed = write(tmp_path / f"renamed.{suffix}", [{"one": row["q"], "two": row["a"]} for row in rows])
    named = ["--text", "one", "--text", "two"]
    assert predicted(capsys, "classify", "predict", renamed, "-m", model, "--quiet", *named) == lines
    if suffix == "csv":
        assert predicted(capsys, "classify", "predict", file, "-m", model, "--quiet", "--workers", "2") == lines


def test_training_from_a_table_gives_the_same_model_as_from_json(tmp_path: Path) -> None:
    weights = []
    for suffix in ("jsonl", "tsv", "csv"):
        file = write(tmp_path / f"data.{suffix}", make_rows(30))
        command = [
            "classify",
            "train",
            file,
            "--text",
            "q",
            "--text",
            "a",
            "-o",
            tmp_path / suffix,
            *SMALL,
            "--epochs",
            1,
        ]
        assert run(*command) == 0
        weights.append((tmp_path / suffix / "weights.safetensors").read_bytes())
    assert weights[0] == weights[1] == weights[2]


def test_a_pipe(model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    lines = "the film\ta film\n\n\t\nthe book\t\n"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(lines.encode())))
    found = predicted(capsys, "classify", "-m", model, "--quiet")
    assert [line.split("\t")[2:] for line in found] == [["the film", "a film"], ["", ""], ["", ""], ["the book", ""]]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("no tab", "<stdin>:2: expected two texts with a tab between them, found no tab"),
        ("a\tb\tc", "<stdin>:2: expected two texts with a tab between them, found 2 tabs"),
    ],
)
def test_what_is_no_pair_in_a_pipe(
    line: str, message: str, model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(f"a\tb\n{line}\n".encode())))
    assert run("classify", "-m", model, "--quiet") == 1
    told = capsys.readouterr()
    assert told.err == f"error: {message}\n" and told.out.count("\n") == 1


def test_documents_are_no_pairs(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "document.txt"
    file.write_text("One sentence. Another one.\n")
    assert run("classify", "predict", file, "-m", model, "--input", "document", "--quiet") == 1
    message = "expected the fields 'q' and 'a', found 'text'; --text FIELD --text FIELD names those of the two texts"
    assert capsys.readouterr().err == f"error: {file}:1: {message}\n"


def test_evaluation_with_groups_errors_and_confusion(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write(tmp_path / "test.tsv", make_rows(40, 9))
    errors = tmp_path / "errors"
    evaluate = ["classify", "evaluate", data, "-m", model, "--group", "n", "--json", "-", "--errors", errors]
    assert run(*evaluate, "--confusion", tmp_path / "matrix.png", "--quiet") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["ranking"]["group"] == "n" and found["ranking"]["positive"] == "yes"
    about = found["ranking"]
    assert about["groups"] + about["left_out"] + about["all_relevant"] == 10 and 0 < found["map"] <= 1
    assert found["group"] == "n" and (tmp_path / "matrix.png").stat().st_size
    wrong = [line.split("\t") for line in errors.read_text().splitlines()]
    assert len(wrong) == round(40 * (1 - found["accuracy"])) and all(len(row) == 4 for row in wrong)
    for flags, message in (
        (["--positive", "yes"], "--positive says which candidates are relevant, and needs --group"),
        (["--group", "n", "--positive", "so"], "--positive: expected a label among no, yes, found 'so'"),
    ):
        assert run("classify", "evaluate", "no such data", "-m", model, *flags) == 2
        assert capsys.readouterr().err.splitlines()[-1] == f"error: {message}"


def test_data_check_and_stats(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = write(tmp_path / "data.jsonl", make_rows(30))
    flags = ["--text", "q", "--text", "a"]
    check = ["data", "check", data, "--task", "classify", *flags]
    assert run(*check) == 0, capsys.readouterr()
    assert "seqkit classify would learn from 'label'; train 27, dev 3" in capsys.readouterr().out
    assert run("data", "stats", data, *flags) == 0
    assert "tokens per sentence" in capsys.readouterr().out
    data.write_text(data.read_text() + '{"q": "the film", "label": "no"}\n')
    assert run(*check, "--quiet") == 1
    fault = (
        f"{data}:31: expected texts in \"q\" and \"a\", found 'q', 'label'; --text FIELD --text FIELD names those of"
    )
    assert fault in capsys.readouterr().out
    assert run("data", "stats", data, *flags, "--text", "c") == 2
    assert "expected the field of a text, or of two, found 3" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "flags", "message"),
    [
        (
            "q\tb\tlabel\nx\ty\tz\n",
            [],
            "expected columns named 'q' and 'a' and 'label', found 'q', 'b', 'label'; --text ",
        ),
        (
            "x\ty\n",
            [],
            "expected 3 columns (label, q, a) or a header with 'q' and 'a' and 'label', found 2 columns and ",
        ),
        ("z\tx\ty\nz\tx\n", [], "expected 3 tab-separated columns (label, q, a), found 2"),
    ],
)
def test_faults_of_tables(
    content: str, flags: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data.tsv"
    data.write_text(content)
    command = ["classify", "train", data, "--text", "q", "--text", "a", "-o", tmp_path / "model", *SMALL, *flags]
    assert run(*command) == 1
    assert message in capsys.readouterr().err


def test_a_table_without_names_has_the_label_first(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = make_rows(40, 9)
    named = write(tmp_path / "named.tsv", rows)
    bare = tmp_path / "bare.tsv"
    bare.write_text("".join(f"{row['label']}\t{row['q']}\t{row['a']}\n" for row in rows))
    scores = []
    for file in (named, bare):
        assert run("classify", "evaluate", file, "-m", model, "--json", "-", "--quiet") == 0
        scores.append(json.loads(capsys.readouterr().out)["accuracy"])
    assert scores[0] == scores[1]
    columns = ["--columns", "a,label,q"]
    bare.write_text("".join(f"{row['a']}\t{row['label']}\t{row['q']}\n" for row in rows))
    assert run("classify", "evaluate", bare, "-m", model, "--json", "-", "--quiet", *columns) == 0
    assert json.loads(capsys.readouterr().out)["accuracy"] == scores[0]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--text", "q", "--text", "a", "--text", "b"], "expected the field of a text, or of two, found 3"),
        (["--text", "q", "--text", "q"], "text and second must be two different fields, found 'q' and 'q'"),
        (["--text", "q", "--text", "label"], "data.label and data.second must be different fields, both are 'label'"),
        (["--text", "q", "--join", "concat"], "--join is for pairs of texts; DATA are words."),
        (["--text", "q", "--text", "a", "--normalize", "data"], "--normalize is for sequences of vectors; DATA are p"),
        (
            ["--text", "q", "--text", "a", "--regression", "--multi-label"],
            "regression excludes multi_label, which is for",
        ),
    ],
)
def test_flags_that_do_not_fit(
    flags: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write(tmp_path / "data.jsonl", make_rows(30))
    assert run("classify", "train", data, "-o", tmp_path / "model", *flags) == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_flags_of_prediction_that_do_not_fit(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = write(tmp_path / "data.jsonl", make_rows(3))
    assert run("classify", "predict", data, "-m", model, "--text", "q") == 2
    assert "--text is given once; the model reads pairs of texts." in capsys.readouterr().err
    both = ["--text", "q", "--text", "b"]
    assert run("classify", "predict", data, "-m", model, "--quiet", *both) == 1
    assert 'expected texts in "q" and "b", found' in capsys.readouterr().err
    tabs = tmp_path / "tabs.jsonl"
    tabs.write_text('{"q": "a\\tb", "a": "c"}\n')
    assert run("classify", "predict", tabs, "-m", model, "--quiet") == 1
    assert capsys.readouterr().err == f"error: {tabs}:1: a text of the pair contains a tab; use --output-format jsonl\n"


def test_the_recipe_that_is_printed_and_resumed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = write(tmp_path / "data.jsonl", make_rows(30))
    command: list[Any] = ["classify", "train", data, "--text", "q", "--text", "a", *SMALL, "--epochs", 2]
    assert run(*command, "--dry-run") == 0
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(capsys.readouterr().out)
    assert 'input = "pair"' in recipe.read_text() and 'second = "a"' in recipe.read_text()
    assert run("classify", "train", "-c", recipe, "-o", tmp_path / "from-recipe", "--device", "cpu", "--quiet") == 0
    assert run(*command, "-o", tmp_path / "whole") == 0
    assert run(*command, "--epochs", 1, "-o", tmp_path / "resumed") == 0
    assert run(*command, "--resume", "-o", tmp_path / "resumed") == 0
    files = [tmp_path / name / "weights.safetensors" for name in ("from-recipe", "whole", "resumed")]
    assert len({file.read_bytes() for file in files}) == 1
    assert run("info", tmp_path / "whole") == 0
    assert "pair" in capsys.readouterr().out


def test_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{**row, "score": "4.5" if row["label"] == "yes" else "1"} for row in make_rows(60)]
    data = write(tmp_path / "data.tsv", rows)
    command = ["classify", "train", data, "--text", "q", "--text", "a", "--label", "score", "--regression"]
    assert run(*command, "-o", tmp_path / "model", *SMALL) == 0
    assert "Pearson" in capsys.readouterr().out
    lines = predicted(capsys, "classify", "predict", data, "-m", tmp_path / "model", "--quiet")
    assert [line.split("\t")[1:] for line in lines] == [[row["q"], row["a"]] for row in rows]
    assert run("classify", "evaluate", data, "-m", tmp_path / "model", "--confusion", tmp_path / "a.png") == 2
    assert "--confusion needs a model that predicts labels." in capsys.readouterr().err
    assert run("classify", "predict", data, "-m", tmp_path / "model", "--top", "2") == 1
    assert capsys.readouterr().err == "error: options: top is for labels, and this model predicts a number\n"
    assert run("info", tmp_path / "model") == 0
    learned = r"^learned +a number per pair, field score; in training mean \d\.\d+, standard deviation \d\.\d+$"
    assert re.search(learned, capsys.readouterr().out, re.MULTILINE)
    ranked = ["classify", "evaluate", data, "-m", tmp_path / "model", "--group", "n"]
    assert run(*ranked, "--quiet") == 1
    assert "no candidate is irrelevant: every number in field 'score' is above 0, they are 1 to 4.5; --positive X" in (
        capsys.readouterr().err
    )
    assert run(*ranked, "--positive", "4", "--json", "-", "--quiet") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["ranking"]["positive"] == 4.0 and 0 < found["map"] <= 1
    assert run(*ranked, "--positive", "yes") == 2
    assert "error: --positive: where numbers are predicted it is the least one" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "status", "message"),
    [
        (["--set", "data.positive=yes"], 2, "data.positive says which candidates are relevant, and needs data.group"),
        (["--set", "data.group=n", "--multi-label"], 2, "data.group is for models of one label, by whose probability"),
        (["--set", "data.group=topic"], 1, "expected a string or a number in field 'topic', by which candidates are"),
        (["--set", "data.group=n", "--set", "data.positive=4"], 1, "data.positive: expected a label among no, yes"),
    ],
)
def test_faults_of_ranking_before_training(
    flags: list[str], status: int, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write(tmp_path / "data.jsonl", make_rows(40))
    command: list[Any] = ["classify", "train", data, "--text", "q", "--text", "a", *SMALL, *flags]
    for rest in (["--dry-run"], ["-o", tmp_path / "model"]):
        assert run(*command, *rest) == status
        assert message in capsys.readouterr().err
    assert not (tmp_path / "model").exists()


def test_the_embedded_sample(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = ["classify", "train", "-c", "sample-pairs", "--dry-run"]
    assert run(*recipe) == 0
    assert 'text = "premise"' in capsys.readouterr().out
    assert run("classify", "train", "sample-pairs", "--dry-run") == 0
    assert 'second = "hypothesis"' in capsys.readouterr().out
