from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from seqkit.cli.data import command
from seqkit.cli.main import main
from seqkit.corpora.cards import load_card
from seqkit.formats.registry import FORMATS
from seqkit.inputs.settings import ReadingSettings

Run = Callable[..., Any]  # the fixture `run`
GOOD = "Ada B-PER\nsang O\n\nBob B-PER\nLee I-PER\nslept O\n\n"


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("SEQKIT_DATA", raising=False)


def test_help_needs_none_of_the_heavy_packages() -> None:
    code = (
        "import sys; from seqkit.cli.main import main; main(['data', '-h']); main(['data', 'check', '-h'])\n"
        "print({'torch', 'numpy', 'pydantic', 'pooch'} & set(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "set()"
    for verb in ("list", "fetch", "check", "stats", "convert"):
        assert f"  {verb} " in done.stdout


def test_list(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = tmp_path / "wnut17"
    here.mkdir()
    for name in ("train", "dev", "test"):
        (here / f"{name}.conll").write_text(GOOD)
    monkeypatch.setenv("SEQKIT_DATA", str(tmp_path))
    assert main(["data", "list"]) == 0
    told = capsys.readouterr()
    rows = {line.split()[0]: line for line in told.out.splitlines()}
    assert told.err == "" and rows["name"].split() == ["name", "task", "language", "where", "licence"]
    assert (
        "embedded" in rows["sample-ner"] and "bring your own" in rows["conll2003"] and "download" in rows["conll2000"]
    )
    assert " here " in rows["wnut17"] and rows["wnut17"].endswith("CC BY 4.0")
    assert main(["data", "list", "--json", "-"]) == 0
    found = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert found["wnut17"]["folder"] == str(here) and found["conll2000"]["folder"] is None
    assert found["ud-english-ewt"]["task"] == "tag" and found["ud-english-ewt"]["target"] == "upos"


def test_fetch(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["data", "fetch", "sample-pos"]) == 0
    told = capsys.readouterr()
    assert told.out == f"{tmp_path / 'cache' / 'sample-pos'}\n"
    assert told.err == "sample-pos: MIT, as seqkit itself\n"
    assert (tmp_path / "cache" / "sample-pos" / "train.conll").is_file()
    assert main(["data", "fetch", "nonesuch"]) == 1
    told = capsys.readouterr()
    assert told.out == "" and told.err.startswith("error: unknown data set 'nonesuch'; choose from an4, ")
    assert told.err.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "suffix"), [("sample-reviews", "tsv"), ("sample-sentences", "txt"), ("digits", "jsonl")]
)
def test_samples_of_other_tasks(name: str, suffix: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["data", "fetch", name, "--quiet"]) == 0
    folder = tmp_path / "cache" / name
    assert capsys.readouterr().out == f"{folder}\n" and (folder / f"train.{suffix}").is_file()
    for data in (name, str(folder)):
        assert main(["data", "check", data]) == 0
        assert capsys.readouterr() == ("", f"{data}: no faults\n")
        assert main(["data", "stats", data, "--json", "-", "--quiet"]) == 0
        found = json.loads(capsys.readouterr().out)
        made = load_card(name).generator
        assert made is not None and [found[part]["sentences"] for part in found] == [made.train, made.dev, made.test]


def test_check(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "a.conll"
    path.write_text(GOOD)
    assert main(["data", "check", str(path)]) == 0
    assert capsys.readouterr() == ("", f"{path}: no faults\n")
    path.write_text(GOOD + "Eve\n\nKim O\nLee I-PER\n\n")
    assert main(["data", "check", str(path)]) == 1
    lines = [
        f"{path}:8: expected 2 columns, found 1",
        f"{path}:11: I-PER may not follow O in iob2; data convert --scheme repairs it",
    ]
    assert capsys.readouterr() == ("\n".join(lines) + "\n", f"{path}: 2 faults\n")
    assert main(["data", "check", str(path), "--json", "-", "--quiet"]) == 1
    told = capsys.readouterr()
    assert told.err == ""
    assert json.loads(told.out)[0] == {"file": str(path), "line": 8, "message": "expected 2 columns, found 1"}
    assert main(["data", "check", str(tmp_path / "none.conll")]) == 1
    assert capsys.readouterr().err == f"error: {tmp_path}/none.conll: no such file or folder\n"


def test_stats(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "train.conll").write_text(GOOD * 10)
    assert main(["data", "stats", str(tmp_path), "--json", str(tmp_path / "stats.json")]) == 0
    told = capsys.readouterr()
    assert told.out.splitlines()[1].split() == ["sentences", "18", "2"]
    assert told.err == f"{tmp_path} has no dev split: the last tenth of train (2 of 20 sentences) is held out\n"
    assert json.loads((tmp_path / "stats.json").read_text())["train"]["labels"] == {"PER": 18}
    assert main(["data", "stats", str(tmp_path), "--json", str(tmp_path / "none" / "stats.json")]) == 1
    assert "none/stats.json: cannot be written as --json: there is no folder" in capsys.readouterr().err


def test_convert(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    source, target = tmp_path / "a.conll", tmp_path / "b.jsonl"
    source.write_text(GOOD)
    assert main(["data", "convert", str(source), str(target), "--columns", "word,ner", "--scheme", "bioes"]) == 0
    assert capsys.readouterr() == ("", "2 sentences\n")
    assert json.loads(target.read_text().splitlines()[1])["ner"] == ["B-PER", "E-PER", "O"]
    assert main(["data", "convert", str(target), "-", "--quiet", "--scheme", "iob2"]) == 0
    assert capsys.readouterr() == (GOOD.replace(" ", "\t"), "")
    assert main(["data", "convert", str(source), str(target), "--output-format", "xml"]) == 1
    assert capsys.readouterr().err == (
        "error: cannot write format 'xml'; "
        "choose from jsonl, conllu, conll, tsv, csv, csv-semicolon, csv-tab, fasttext\n"
    )
    assert main(["data", "convert", str(source)]) == 2


def test_check_says_how_files_were_read(tmp_path: Path, run: Run) -> None:
    for name in ("train.txt", "dev.txt"):
        (tmp_path / name).write_text("Ada U-PER\nsang O\n\nBob B-PER\nLee L-PER\nslept O\n\n", encoding="utf-8")
    result = run("data", "check", tmp_path)
    notes = [
        f"{tmp_path}/train.txt: read as conll; --format overrides this",
        "the labels mark spans in BILOU: 'U-PER' is read as 'S-PER'",
    ]
    assert result.lines == [*notes, f"{tmp_path}: 2 faults"]  # the sentences of dev are in train
    assert result.out.count("the sentence is also in train") == 2
    assert run("data", "check", tmp_path, "--quiet").err == ""


def test_raw_text_is_converted_with_the_splitter_that_fits_it(tmp_path: Path, run: Run) -> None:
    text = "L'ami de l'Italie va à l'école et qu'il aime."
    start = text.index("Italie")
    record = {"text": text, "spans": [{"start": start, "end": start + 6, "label": "LOC"}], "source": "a"}
    (tmp_path / "a.jsonl").write_text(json.dumps(record) + "\n", encoding="utf-8")
    result = run("data", "convert", tmp_path / "a.jsonl", "-")
    assert result.out.split("\n")[:5] == ["L'\tO", "ami\tO", "de\tO", "l'\tO", "Italie\tB-LOC"]
    assert result.lines[0].startswith("raw text is split by 'elision'; spans that start or end inside a token: 0 ")
    assert result.lines[1:] == [f"{tmp_path}/a.jsonl: fields 'source' of a whole text left out: 1", "1 sentence"]
    result = run("data", "convert", "--input", "text", "-", "-", stdin=text)  # which can be read only once
    assert result.out.startswith("L'ami\n")
    assert result.lines == ["1 sentence"]


def test_check_shows_what_a_task_would_learn(tmp_path: Path, run: Run) -> None:
    file = tmp_path / "train.conll"
    file.write_text("Ada B-PER\nsang O\n\nBob B-Per\nslept O\n\n" * 5, encoding="utf-8")
    result = run("data", "check", file, "--task", "tag")
    assert result.status == 1
    assert result.out.startswith("seqkit tag would learn from '1'; train 9, dev 1\n\ntoken  label\nAda    B-PER\n")
    assert result.out.splitlines()[-1] == (
        f"{file}:4: label 'B-Per' (5) differs from 'B-PER' (5) only in case; spell both the same"
    )
    found = json.loads(run("data", "check", file, "--task", "tag", "--json", "-", "--quiet").out)
    assert [problem["line"] for problem in found["problems"]] == [4]
    assert (found["learned"]["target"], found["learned"]["labels"]) == ("1", {"PER": 5, "Per": 4})
    result = run("data", "check", file, "--task", "classify")
    assert (result.status, result.out) == (
        1,
        f"{file}: expected labelled texts (a .tsv, .csv or .jsonl file), found tokens with labels\n",
    )


def test_formats_are_listed(run: Run) -> None:
    result = run("data", "formats")
    assert result.status == 0 and result.lines == []
    assert result.out.splitlines()[0].split() == ["name", "content", "extensions", "written", "source"]
    found = json.loads(run("data", "formats", "--json", "-").out)
    assert [each["name"] for each in found] == list(FORMATS)


@pytest.mark.parametrize("verb", ["check", "stats", "convert"])
def test_flags_that_describe_files_are_those_of_training(verb: str) -> None:
    with click.Context(command) as context:
        found = command.get_command(context, verb)
    assert found is not None
    told = {option.name: option.help for option in found.params if isinstance(option, click.Option)}
    for name, field in ReadingSettings.model_fields.items():
        if name != "format":  # whose list of names each command has elsewhere
            assert told[name] == field.description
