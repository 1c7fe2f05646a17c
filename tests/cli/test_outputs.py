"""No result is written over what it is about: the model, the data, the recipe."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from seqkit.cli import outputs
from seqkit.training.trainer import HISTORY

Run = Callable[..., Any]  # the fixture `run`

TINY = ["--hidden=2", "--epochs=1", "--batch-size=64", "--set=embedding.word_size=2", "--threads=1", "--device=cpu"]


@pytest.fixture
def model(ner_model: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(ner_model, tmp_path / "model"))


@pytest.fixture
def data(corpus: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(corpus, tmp_path / "data"))


@pytest.fixture
def unchanged(tmp_path: Path) -> Callable[[], None]:
    """See that no file has changed since, and that there is no other."""

    def content() -> dict[str, str]:
        files = (path for path in tmp_path.rglob("*") if path.is_file())
        return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

    before: dict[str, str] = {}

    def check() -> None:
        if before:
            assert content() == before
        else:
            before.update(content())

    return check


def command(words: list[object], **places: Path) -> list[str]:
    """The words, with the names of places in them."""
    found = []
    for word in map(str, words):
        name, slash, rest = word.partition("/")
        found.append(f"{places[name]}{slash}{rest}" if name in places else word)
    return found


EVALUATE = ["tag", "evaluate", "DATA", "-m", "MODEL", "--threads=1"]


@pytest.mark.parametrize(
    ("words", "target"),
    [
        *(([*EVALUATE, flag], "DATA/test.conll") for flag in ("--json", "--errors")),
        *(([*EVALUATE, flag], "DATA/train.conll") for flag in ("--json", "--errors")),
        *(([*EVALUATE, "--json"], f"MODEL/{name}") for name in ("report.json", "config.json", "README.md", HISTORY)),
        ([*EVALUATE, "--errors"], "MODEL/weights.safetensors"),
        (["tag", "evaluate", "DATA/test.conll", "-m", "MODEL", "--json"], "DATA/test.conll"),
        (["data", "check", "DATA", "--json"], "DATA/dev.conll"),
        (["data", "stats", "DATA/dev.conll", "--json"], "DATA/dev.conll"),
        (["bench", "DATA/dev.conll", "-m", "MODEL", "--json"], "DATA/dev.conll"),
        (["bench", "DATA/dev.conll", "-m", "MODEL", "--json"], "MODEL/labels.json"),
        (["tag", "train", "DATA", "-o", "OUT", *TINY, "--json"], "DATA/train.conll"),
        (["tag", "train", "DATA", "-o", "OUT", *TINY, "-c", "FILES/recipe.toml", "--json"], "FILES/recipe.toml"),
        (["tag", "train", "DATA", "-o", "OUT", *TINY, "--vectors", "FILES/v.txt", "--json"], "FILES/v.txt"),
        (["tag", "train", "DATA", "-o", "OUT", *TINY, "--init-from", "MODEL", "--json"], "MODEL/report.json"),
        (["tag", "train", "DATA", "-o", "OUT", *TINY, "--context", "MODEL", "--json"], "MODEL/report.json"),
    ],
    ids=lambda value: "" if isinstance(value, str) else " ".join(value[:2] + value[-1:]),
)
@pytest.mark.parametrize("way", ["as it is", "symbolic link", "hard link"])
def test_an_output_may_not_be_an_input(
    way: str, words: list[str], target: str, data: Path, model: Path, tmp_path: Path, unchanged: Callable, run: Run
) -> None:
    files = tmp_path / "files"
    files.mkdir()
    (files / "recipe.toml").write_text("task = 'tag'\n")
    (files / "v.txt").write_text("a 1 2\nb 3 4\n")
    *found, flag, place = command([*words, target], DATA=data, MODEL=model, FILES=files, OUT=tmp_path / "out")
    if way != "as it is":
        link = tmp_path / "link.json"
        (link.symlink_to if way == "symbolic link" else link.hardlink_to)(place)
        place = str(link)
    unchanged()
    result = run(*found, flag, place)
    message = f"error: {place}: cannot be written as {flag}: this command reads it\n"
    assert (result.status, result.out, result.err) == (1, "", message)
    unchanged()


def test_a_checkpoint_is_part_of_a_model(data: Path, model: Path, unchanged: Callable, run: Run) -> None:
    (model / "checkpoint").mkdir(exist_ok=True)
    (model / "checkpoint" / "last").write_bytes(b"x")
    unchanged()
    result = run(*command([*EVALUATE, "--json", "MODEL/checkpoint/last"], DATA=data, MODEL=model))
    assert result.err == f"error: {model}/checkpoint/last: cannot be written as --json: this command reads it\n"
    unchanged()


def test_a_file_is_not_converted_onto_itself(data: Path, tmp_path: Path, unchanged: Callable, run: Run) -> None:
    link = tmp_path / "link.jsonl"
    link.symlink_to(data / "dev.conll")
    unchanged()
    for place in (data / "dev.conll", data / ".." / "data" / "dev.conll", link):
        result = run("data", "convert", data / "dev.conll", place, "--output-format", "jsonl")
        message = f"error: {place}: cannot be written as OUT: this command reads it\n"
        assert (result.status, result.out, result.err) == (1, "", message)
        unchanged()


def test_two_results_need_two_files(data: Path, model: Path, tmp_path: Path, run: Run) -> None:
    words = command(
        [*EVALUATE, "--errors", tmp_path / "x", "--json", tmp_path / "data" / ".." / "x"], DATA=data, MODEL=model
    )
    result = run(*words)
    assert result.status == 1
    assert result.err.endswith("writes it, too\n")
    assert not (tmp_path / "x").exists()
    words = command([*EVALUATE, "--errors", os.devnull, "--json", os.devnull], DATA=data, MODEL=model)
    assert run(*words).status == 0


@pytest.mark.parametrize("read", ["DATA", "MODEL as --init-from", "MODEL as --context"])
def test_the_output_directory_may_not_be_one_that_is_read(
    read: str, data: Path, model: Path, tmp_path: Path, unchanged: Callable, run: Run
) -> None:
    place, _, flag = read.partition(" as ")
    output = tmp_path / "link"
    output.symlink_to({"DATA": data, "MODEL": model}[place])
    words = ["tag", "train", data, "-o", output, *TINY, "--force", *([flag, model] if flag else [])]
    unchanged()
    result = run(*words)
    message = f"error: {output}: cannot be the output directory: this command reads it\n"
    assert (result.status, result.out, result.err) == (1, "", message)
    unchanged()


def test_the_same_in_the_lab(data: Path, model: Path, unchanged: Callable, run: Run) -> None:
    unchanged()
    for words, output in (
        (["gates", "Ada", "-m", model], model),
        (["compare", data, "--task=tag", "--cells=lstm"], data),
    ):
        result = run("lab", *words, "-o", output, "--force")
        message = f"error: {output}: cannot be the output directory: this command reads it\n"
        assert (result.status, result.out, result.err) == (1, "", message)
    unchanged()


@pytest.mark.parametrize("name", ["report.json", "REPORT.JSON", "train.jsonl"])
def test_the_report_of_training_is_not_written_over_a_file_of_the_model(
    name: str, data: Path, tmp_path: Path, run: Run
) -> None:
    (tmp_path / "out").mkdir()
    result = run("tag", "train", data, "-o", tmp_path / "out", *TINY, "--json", tmp_path / "out" / name)
    place = tmp_path / "out" / name
    message = f"error: {place}: cannot be written as --json: the model in --output has a file of this name\n"
    assert (result.status, result.out, result.err) == (1, "", message)
    assert list((tmp_path / "out").iterdir()) == []


def test_the_name_of_the_history_is_that_of_the_trainer() -> None:
    assert outputs._HISTORY == HISTORY


@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell")
@pytest.mark.parametrize(
    "line",
    [
        "tag predict words.txt -m model >> words.txt",
        "tag predict -m model < words.txt >> words.txt",
        "data convert data/dev.conll - >> data/dev.conll",
        "data stats data --json - >> data/train.conll",
        "info model >> model/config.json",
        "tag evaluate data -m model --json /dev/stdout >> data/test.conll",
    ],
)
def test_standard_output_may_not_be_an_input(
    line: str, data: Path, model: Path, tmp_path: Path, unchanged: Callable
) -> None:
    (tmp_path / "words.txt").write_text("Ada\n")
    unchanged()
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    words = f"'{sys.executable}' -m seqkit {line}"
    done = subprocess.run(words, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    message = "error: standard output is a file that this command reads; write to another one\n"
    if "/dev/stdout" in line:
        message = "error: /dev/stdout: cannot be written as --json: this command reads it\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", message)
    unchanged()


@pytest.mark.skipif(sys.platform == "win32", reason="needs pipes with names")
def test_other_files_pipes_and_devices_are_written_as_before(data: Path, model: Path, tmp_path: Path, run: Run) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE) as reader:
        assert run("data", "stats", data, "--json", pipe).status == 0
        content, _ = reader.communicate(timeout=30)
        assert content.startswith(b"{")
    for place in (os.devnull, model / "evaluation.json", model / "evaluation.json", data / "statistics.json"):
        assert run("data", "stats", data, "--json", place).status == 0
    for _ in range(2):
        assert run("tag", "evaluate", data, "-m", model, "--threads=1", "--json", model / "scores.json").status == 0
