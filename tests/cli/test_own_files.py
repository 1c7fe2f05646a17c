"""Files that are described by flags: what is said in training holds for the model, flags of evaluation go before it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]  # the fixture `run`
SMALL = ["--epochs", 1, "--hidden", 3, "--set", "embedding.word_size=4", "--set", "embedding.chars=none", "--quiet"]
ROWS = "".join(f"doc {number} Ann{number} B-PER x\ndoc {number} rän O y\n\n" for number in range(12))


def put(folder: Path, name: str, content: str | bytes) -> Path:
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder / name


def scores(run: Run, *arguments: object) -> dict[str, Any]:
    result = run(*arguments, "--json", "-", "--quiet")
    assert result.status == 0, result.err
    found: dict[str, Any] = json.loads(result.out)
    return found


def test_columns_of_another_order_and_encoding(tmp_path: Path, run: Run) -> None:
    file = put(tmp_path, "all.col", ROWS.encode("latin-1"))
    model = tmp_path / "model"
    layout = ["--columns", "document,number,word,entity,more", "--encoding", "latin-1"]
    assert run("tag", "train", file, "-o", model, "--label-column", "entity", *layout, *SMALL).status == 0
    config = json.loads((model / "config.json").read_text())
    assert config["settings"]["data"]["encoding"] == "latin-1"
    assert json.loads(run("info", model, "--json").out)["settings"]["data"]["target"] == "entity"
    found = scores(run, "tag", "evaluate", file, "-m", model)  # as the model was told
    assert (found["tokens"], found["per_label"]["PER"]["support"]) == (24, 12)
    other = put(tmp_path, "other.conll", "Ann1 B-PER\nrän O\n\n" * 3)
    layout = ["--columns", "word,entity", "--encoding", "utf-8"]
    found = scores(run, "tag", "evaluate", other, "-m", model, *layout)  # which goes before
    assert (found["tokens"], found["per_label"]["PER"]["support"]) == (6, 3)
    result = run("tag", "predict", file, "-m", model, "--token-column", 2, "--encoding", "latin-1", "--quiet")
    assert result.out.splitlines()[1].startswith("rän\t")
    again = run(
        *("tag", "predict", file, "-m", model, "--token-column", 2, "--encoding", "latin-1", "--quiet"),
        *("--workers", 2),
    )
    assert again.out == result.out


def test_a_column_that_is_not_there(tmp_path: Path, run: Run) -> None:
    file = put(tmp_path, "all.col", ROWS)
    result = run("tag", "train", file, "-o", tmp_path / "m", "--token-column", "word", *SMALL)
    assert (result.status, result.lines) == (
        1,
        [f"error: {file}: no token column 'word'; the columns are 0, 1, 2, 3, 4"],
    )
    result = run("tag", "train", file, "-o", tmp_path / "m", "--format", "conl", *SMALL)
    assert result.status == 2 and "unknown format 'conl'; did you mean 'conll'?" in result.err
    result = run("tag", "train", file, "-o", tmp_path / "m", "--encoding", "latin", *SMALL)
    assert result.status in (0, 2)
    result = run("tag", "train", file, "-o", tmp_path / "m", "--encoding", "klingon", *SMALL)
    assert result.status == 2 and "unknown encoding 'klingon'" in result.err


def test_texts_and_labels_under_other_names(tmp_path: Path, run: Run) -> None:
    rows = "id,review,mood\n" + "".join(f"{n},a {'good' if n % 2 else 'bad'} film,{n % 2}\n" for n in range(40))
    file = put(tmp_path, "all.csv", rows)
    model = tmp_path / "model"
    names = ["--text", "review", "--label", "mood"]
    assert run("classify", "train", file, "-o", model, *names, *SMALL[:-1], "--quiet").status == 0
    found = scores(run, "classify", "evaluate", file, "-m", model)
    assert sorted(found["per_label"]) == ["0", "1"]
    result = run("classify", "predict", file, "-m", model, "--quiet")
    assert result.status == 0 and result.out.splitlines()[0].split("\t")[2] == "a bad film"
    other = put(tmp_path, "other.jsonl", '{"comment": "a bad film"}\n')
    again = run("classify", "predict", other, "-m", model, "--text", "comment", "--quiet")
    assert again.out == result.out.splitlines()[0] + "\n"
    again = run("classify", "predict", other, "-m", model, "--quiet")
    assert (again.status, again.out) == (1, "")


def test_spans_inside_tokens(tmp_path: Path, run: Run) -> None:
    rows = "".join(
        json.dumps({"text": f"Ann{n}s ran", "spans": [{"start": 0, "end": 3, "label": "PER"}]}) + "\n"
        for n in range(12)
    )
    file = put(tmp_path, "all.jsonl", rows)
    result = run("tag", "train", file, "-o", tmp_path / "m", *SMALL)
    assert result.status == 1 and "--span-borders widen" in result.err
    model = tmp_path / "model"
    assert run("tag", "train", file, "-o", model, "--span-borders", "widen", *SMALL).status == 0
    assert scores(run, "tag", "evaluate", file, "-m", model)["per_label"]["PER"]["support"] == 12
    found = run("data", "stats", file, "--span-borders", "narrow", "--json", "-")
    assert json.loads(found.out)["all"]["labels"] == {"O": 24}


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ([], "english"),
        (["--splitter", "spaces"], "spaces"),
    ],
)
def test_the_splitter_fits_the_tokens_or_is_the_one_that_was_asked_for(
    options: list[str], kind: str, tmp_path: Path, run: Run
) -> None:
    file = put(tmp_path, "all.conll", "It O\n's O\nfar O\nto O\nBlue B-LOC\nOslo I-LOC\n. O\n\n" * 12)
    result = run("tag", "train", file, "-o", tmp_path / "m", *SMALL[:-1], *options)
    assert result.status == 0
    said = "raw text is split by 'english', which leaves 100.0% of the tokens of all whole ('words': 85.7%)"
    assert (said in result.lines) == (not options)
    assert json.loads((tmp_path / "m" / "config.json").read_text())["settings"]["data"]["splitter"] == kind


@pytest.mark.parametrize("scheme", ["bilou", "bmes", "bmewo", "iob1", "bioes"])
def test_schemes_are_converted_there_and_back(scheme: str, tmp_path: Path, run: Run) -> None:
    rows = "Ann\tB-PER\nLee\tI-PER\nmet\tO\nBo\tB-PER\nEve\tB-PER\nin\tO\nOslo\tB-LOC\n\n"
    file = put(tmp_path, "a.conll", rows * 4)
    assert run("data", "convert", file, tmp_path / "b.conll", "--scheme", scheme).status == 0
    assert (tmp_path / "b.conll").read_text() != rows * 4
    assert run("data", "convert", tmp_path / "b.conll", tmp_path / "c.conll", "--scheme", "iob2").status == 0
    assert (tmp_path / "c.conll").read_text() == rows * 4


def test_what_io_loses_is_counted(tmp_path: Path, run: Run) -> None:
    file = put(tmp_path, "a.conll", "Ann\tB-PER\nBo\tB-PER\nmet\tO\n\n" * 3)
    result = run("data", "convert", file, "-", "--scheme", "io")
    assert result.out.startswith("Ann\tPER\nBo\tPER\nmet\tO\n")
    assert f"{file}: touching spans that io joins: 3" in result.lines


def test_pairs_of_texts(tmp_path: Path, run: Run) -> None:
    file = put(tmp_path, "pairs.txt", "".join(f"the house {n}\tdas Haus {n}\n" for n in range(12)))
    model = tmp_path / "model"
    assert run("generate", "train", file, "-o", model, "--format", "parallel", *SMALL[:4], "--quiet").status == 0
    data = json.loads((model / "config.json").read_text())["settings"]["data"]
    assert (data["target"], data["condition"]) == ("target", "source")
    assert scores(run, "generate", "evaluate", file, "-m", model)["sentences"] == 12
