"""Hostile texts in all that a model, data, a recipe, a name or the environment can hold: none commands the terminal."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from seqkit.model.files import read_config, write_config
from seqkit.terminal import one_line

Run = Callable[..., Any]  # the fixture `run`

HOSTILE = {
    "clears the screen": "\x1b[2J",
    "a link": "\x1b]8;;https://example.org\x1b\\x\x1b]8;;\x1b\\",
    "sets the clipboard": "\x1b]52;c;eA==\x07",
    "prints over": "x\rerror: no",
    "C1": "\x9b2J\x85\x90x\x9c",
    "backspaces": "xyz\b\b\b\x7f\0",
    "right to left": "\u202eabc\u2066\u2069",
    "separators": "a\u2028error: no\u2029b",
    "markup": "[red][link=https://example.org]x[/link]:boom:",
}
ALL = "".join(HOSTILE.values())
IN_AN_ARGUMENT = ALL.replace("\0", "")
IN_A_NAME = ALL.replace("\0", "").replace("/", "_").replace("\\", "_").replace(":", "_")
IN_A_LABEL = "".join(mark for mark in ALL if unicodedata.category(mark) not in ("Cc", "Zl", "Zp")).replace(" ", "")
IN_A_CELL = ALL.replace("\r", "").replace("\0", "").replace("\u2028", "").replace("\u2029", "").replace("\x85", "")


def is_harmless(text: str) -> bool:
    """Whether a text has no control character but line feeds, and nothing that changes the order of what is shown."""
    kinds = {unicodedata.category(mark) for mark in text if mark != "\n"}
    return not kinds & {"Cc", "Cs", "Zl", "Zp"} and not re.search("[\u202a-\u202e\u2066-\u2069]", text)


def check(result: Any, *shown: str) -> None:
    """Nothing harmful on either stream; texts that are to be seen as they are, but for escapes."""
    assert is_harmless(result.out), ascii(result.out)
    assert is_harmless(result.err), ascii(result.err)
    for text in shown:
        assert one_line(text) in result.out + result.err, (result.out, result.err)


def changed(value: Any, text: str, place: tuple[Any, ...] = ()) -> Iterator[Any]:
    """A JSON value with each of its strings, and each name, changed in turn."""
    if isinstance(value, str):
        yield value + text
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield {(name + text if name == each else each): other for each, other in value.items()}
            for other in changed(inner, text):
                yield {**value, name: other}
    elif isinstance(value, list):
        for number, inner in enumerate(value[:3]):
            for other in changed(inner, text):
                yield [*value[:number], other, *value[number + 1 :]]


@pytest.fixture
def hostile_folder(corpus: Path, tmp_path: Path) -> Path:
    """A folder with a hostile name, tokens and labels."""
    folder = tmp_path / f"data{IN_A_NAME}"
    folder.mkdir()
    for split in ("train", "dev", "test"):
        text = (corpus / f"{split}.conll").read_text(encoding="utf-8")
        text = text.replace(" B-PER\n", f" B-{IN_A_LABEL}\n", 1).replace("Jordan", f"Jordan{ALL[:4]}")
        (folder / f"{split}.conll").write_text(text, encoding="utf-8")
    return folder


# --- models -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["settings", "report.json", "labels.json"])
def test_every_text_of_a_model(
    part: str, ner_model: Path, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    monkeypatch.setattr(os, "fsync", lambda handle: None)  # of a hundred models
    config, files = read_config(ner_model)
    settings = config["settings"]
    value = settings if part == "settings" else json.loads(files[part])
    directory = tmp_path / "model"
    described = 0
    for number, other in enumerate(changed(value, ALL)):
        content = {} if part == "settings" else {part: json.dumps(other).encode()}
        write_config(directory, {"settings": other if part == "settings" else settings}, {**files, **content})
        result = run("info", directory)
        check(result)
        described += result.out != ""  # also where such a model cannot be loaded, as is said then
        if number % 25 == 0 and part != "report.json":
            check(run("tag", "evaluate", corpus, "-m", directory, "--threads=1"))
    assert described > 5 or part == "settings"


def test_info_shows_labels_and_data_with_escapes(ner_model: Path, tmp_path: Path, run: Run) -> None:
    config, files = read_config(ner_model)
    report, labels = (json.loads(files[name]) for name in ("report.json", "labels.json"))
    report["data"]["name"] = ALL
    labels["target"] = ALL
    changed = {"report.json": json.dumps(report).encode(), "labels.json": json.dumps(labels).encode()}
    write_config(tmp_path / IN_A_NAME, {"settings": config["settings"]}, {**files, **changed})
    result = run("info", tmp_path / IN_A_NAME)
    assert result.status == 0
    check(result, f"data        {ALL}, column {ALL}", f"{tmp_path / IN_A_NAME}: tag")
    exact = run("info", tmp_path / IN_A_NAME, "--json")
    assert json.loads(exact.out)["report"]["data"]["name"] == ALL


def test_the_card_of_a_model_with_hostile_labels(corpus: Path, tmp_path: Path) -> None:
    import seqkit
    from seqkit.model.tagger import Tagger

    model = seqkit.load(_with_label(tmp_path, corpus))
    assert isinstance(model, Tagger)
    model.report["data"] = {"name": "a`\n# b"}
    card = model.card()
    assert is_harmless(card)
    assert "\nTrained with seqkit on ``a`\\n# b``\n" in card
    assert "\n- Labels: LOC, `[x](https://example.org)\\x1b[2J`\n" in card


def _with_label(folder: Path, corpus: Path) -> Path:
    import seqkit
    from seqkit.config import override
    from seqkit.heads.tagging.settings import TagSettings

    labels = ["B-LOC", "B-PER", "I-LOC", "I-PER", "O"]
    data = {"train": [(["a", "b"], ["B-LOC", "I-LOC"]), (["c", "d"], ["B-PER", "I-PER"]), (["e"], ["O"])] * 3}
    tree = {"embedding": {"word_size": 4, "chars": "none"}, "encoder": {"hidden": 2}, "training": {"epochs": 1}}
    seqkit.train(override(TagSettings(), tree), folder / "plain", data, device="cpu", quiet=True)
    config, files = read_config(folder / "plain")
    text = files["labels.json"].decode()
    assert all(json.dumps(label) in text for label in labels)
    text = text.replace("-PER", "-" + json.dumps("[x](https://example.org)\x1b[2J")[1:-1])
    write_config(folder / "hostile", {"settings": config["settings"]}, {**files, "labels.json": text.encode()})
    return folder / "hostile"


# --- data, names, flags -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        ["data", "check", "DATA"],
        ["data", "check", "DATA", "--task", "tag"],
        ["data", "check", "DATA", "--task", "classify"],
        ["data", "stats", "DATA"],
        ["data", "check", "DATA/train.conll", "--columns", IN_AN_ARGUMENT],
        ["data", "stats", "DATA/train.conll", "--target", IN_AN_ARGUMENT],
        ["data", "convert", "DATA/train.conll", "DATA/none/out.conll"],
        ["data", "convert", "DATA/none", "-"],
        ["tag", "evaluate", "DATA", "-m", "MODEL", "--threads=1"],
        ["tag", "evaluate", "DATA/none", "-m", "MODEL"],
        ["tag", "evaluate", "DATA", "-m", "DATA"],
        ["tag", "train", "DATA", "-o", "DATA", "--threads=1"],
        ["tag", "train", "DATA", "-o", "OUT", "--threads=1", "--hidden=2", "--epochs=1", "--batch-size=64"],
        ["tag", "train", "DATA", "-o", "OUT", "--threads=1", "--dry-run"],
        ["tag", "predict", "DATA/none", "-m", "MODEL"],
        ["info", "DATA"],
        ["bench", "DATA/none", "-m", "MODEL"],
        ["lab", "compare", "DATA", "--task", "tag", "--cells", IN_AN_ARGUMENT, "-o", "OUT"],
        ["lab", "gates", "Ada" + IN_AN_ARGUMENT, "-m", "MODEL", "-o", "OUT"],
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_names_and_contents(words: list[str], hostile_folder: Path, ner_model: Path, tmp_path: Path, run: Run) -> None:
    places = {"DATA": hostile_folder, "MODEL": ner_model, "OUT": tmp_path / f"out{IN_A_NAME}"}
    for name, place in places.items():
        words = [re.sub(rf"^{name}(?=/|$)", lambda _, place=place: str(place), word) for word in words]
    result = run(*words)
    if "dry-run" in words[-1]:  # a recipe, which says the same in other characters
        recipe = tmp_path / "recipe.toml"
        recipe.write_text(result.out, encoding="utf-8")
        again = run("tag", "train", "-c", recipe, "--dry-run", "--threads=1")
        assert (again.status, again.out) == (0, result.out)
    check(result)
    assert result.out or result.err


@pytest.mark.parametrize("words", [["data", "check"], ["data", "stats"], ["tag", "train", "-o", "out"]])
def test_labels_that_are_refused(words: list[str], hostile_folder: Path, run: Run) -> None:
    path = hostile_folder / "train.conll"
    label = f"B-{IN_A_CELL.replace(' ', '')}"
    path.write_text(path.read_text(encoding="utf-8").replace(f"B-{IN_A_LABEL}", label), encoding="utf-8")
    result = run(*words[:2], hostile_folder, *words[2:])
    assert result.status == 1
    check(result, "has a control character; replace it")


@pytest.mark.parametrize(
    "words",
    [
        [IN_AN_ARGUMENT],
        ["tag", IN_AN_ARGUMENT],
        ["tag", "train", IN_AN_ARGUMENT],
        ["tag", "train", "sample-ner", "-o", "x", f"--{IN_AN_ARGUMENT}"],
        ["tag", "train", "sample-ner", "-o", "x", "--epochs", IN_AN_ARGUMENT],
        ["tag", "train", "sample-ner", "-o", "x", "--cell", IN_AN_ARGUMENT],
        ["tag", "train", "sample-ner", "-o", "x", "--set", IN_AN_ARGUMENT],
        ["tag", "train", "sample-ner", "-o", "x", "--set", f"{IN_AN_ARGUMENT}={IN_AN_ARGUMENT}"],
        ["tag", "train", "sample-ner", "-o", "x", "--set", f"training.lr={IN_AN_ARGUMENT}"],
        ["tag", "train", "sample-ner", "-o", "x", "--optimizer", IN_AN_ARGUMENT],
        ["tag", "train", "sample-ner", "-o", "x", "-c", IN_AN_ARGUMENT],
        ["tag", "train", "sample-ner", "-o", "x", "--format", IN_AN_ARGUMENT],
        ["tag", "train", "sample-ner", "-o", "x", "--device", IN_AN_ARGUMENT],
        ["tag", "predict", IN_AN_ARGUMENT, "-m", IN_AN_ARGUMENT],
        ["generate", "sample", "-m", IN_AN_ARGUMENT, "--condition", IN_AN_ARGUMENT],
        ["data", "fetch", IN_AN_ARGUMENT],
        ["data", "list", "--json", f"{IN_AN_ARGUMENT}/x"],
        ["data", "convert", IN_AN_ARGUMENT, "x", "--output-format", IN_AN_ARGUMENT],
        ["info", IN_AN_ARGUMENT],
        ["lab", "memory", "-o", "x", "--tasks", IN_AN_ARGUMENT],
    ],
    ids=lambda words: " ".join(words[:2]).encode("unicode_escape").decode()[:20],
)
def test_arguments(words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    monkeypatch.chdir(tmp_path)
    result = run(*words)
    assert (result.status in (1, 2), result.out) == (True, "")
    check(result)


@pytest.mark.parametrize("part", ["name", "value", "section", "task", "dataset", "syntax"])
def test_recipes(part: str, tmp_path: Path, run: Run) -> None:
    quoted = json.dumps(ALL.replace("\x7f", ""))
    recipe = {
        "name": f"task = 'tag'\n[training]\n{quoted} = 1",
        "value": f"task = 'tag'\n[encoder]\ncell = {quoted}",
        "section": f"task = 'tag'\n[{quoted}]\nx = 1",
        "task": f"task = {quoted}",
        "dataset": f"task = 'tag'\ndataset = {quoted}",
        "syntax": f"task = {ALL}",
    }
    file = tmp_path / f"recipe{IN_A_NAME}.toml"
    file.write_text(recipe[part], encoding="utf-8")
    result = run("tag", "train", "-c", file, "-o", tmp_path / "model")
    assert (result.status, result.out) == (1, "")
    check(result)


@pytest.mark.parametrize("name", ["SEQKIT_DATA", "SEQKIT_CACHE", "WORLD_SIZE"])
def test_the_environment(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    value = str(tmp_path / IN_A_NAME)
    monkeypatch.setenv(name, value)
    if name == "WORLD_SIZE":
        monkeypatch.setattr(signal, "signal", lambda *_: None)  # one that has to end, torchrun's, ignores SIGTERM
        result = run("tag", "predict", "-m", tmp_path)
        check(result, "expected WORLD_SIZE as torchrun sets it, found")
    else:
        (tmp_path / IN_A_NAME / "conll2003").mkdir(parents=True)
        check(run("data", "stats", "conll2003"))
        check(run("data", "list"))


def test_files_of_odd_bytes(tmp_path: Path, run: Run) -> None:
    file = tmp_path / "odd.conll"
    for content in (b"\x1b[2J\xff x\n", b"a \x1b[2J\nb\n", b"# " + ALL.encode() + b"\n" + ALL.encode() + b" x\n"):
        file.write_bytes(content)
        check(run("data", "check", file))
    (tmp_path / "odd.jsonl").write_text(json.dumps({ALL: ALL}) + "\n")
    check(run("data", "check", tmp_path / "odd.jsonl", "--task", "classify"))
    (tmp_path / "odd.tsv").write_text(f"label\t{ALL[:5]}\n{ALL[:4]}\tx\n")
    check(run("data", "check", tmp_path / "odd.tsv", "--task", "classify"))


# --- what programs read -------------------------------------------------------------------------------------------


def test_predictions_are_exact(ner_model: Path, run: Run) -> None:
    text = "Ada\x1b[2J met\x1b[31m \u202ehim\x9b2J\x07"
    found = run("tag", "-m", ner_model, "--output-format", "jsonl", "--threads=1", stdin=text).out
    assert json.loads(found)["text"] == text
    assert "\u202ehim\x9b" in found
    found = run("tag", "-m", ner_model, "--input=tokens", "--threads=1", stdin=text).out
    assert [row.split("\t")[0] for row in found.split("\n")[:-2]] == text.split(" ")


def test_converted_files_and_samples_are_exact(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "in.conll").write_text("Ada\x1b[31m\tO\nmet\u202e\tO\n\n", encoding="utf-8")
    result = run("data", "convert", tmp_path / "in.conll", "-")
    assert (result.status, result.out) == (0, "Ada\x1b[31m\tO\nmet\u202e\tO\n\n")

    class Written:
        text = "Ada\x1b[31m met\x1b[0m \u202ehim"

    class Writer:
        def sample(self, **options: object) -> list[Written]:
            return [Written()]

    monkeypatch.setattr("seqkit.model.loading.load", lambda *_, **__: Writer())
    result = run("lm", "sample", "-m", "none")
    assert (result.status, result.out) == (0, Written.text + "\n")


# --- a terminal ---------------------------------------------------------------------------------------------------

_OF_A_BAR = re.compile(r"\x1b\[(?:[0-9;]*m|2K|\d*A|\?25[lh])|\r")
"""colours, a line erased, the cursor up, hidden and shown: what a progress bar needs"""


def in_a_terminal(*words: object) -> str:
    """What seqkit writes to a pseudo-terminal, on both streams."""
    import pty

    outer, inner = pty.openpty()
    command = [sys.executable, "-m", "seqkit", *map(str, words)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TERM": "xterm-256color", "COLUMNS": "400"}
    running = subprocess.Popen(command, stdin=inner, stdout=inner, stderr=inner, env=environment)
    os.close(inner)
    found = b""
    while True:
        try:
            block = os.read(outer, 1 << 16)
        except OSError:  # as Linux says that nobody has the other end
            break
        if not block:
            break
        found += block
    os.close(outer)
    running.wait(timeout=60)
    return found.decode("utf-8")


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_a_progress_bar_alone_moves_the_cursor(hostile_folder: Path, tmp_path: Path) -> None:
    place = tmp_path / f"out{IN_A_NAME}"
    flags = ["--threads=1", "--hidden=2", "--epochs=1", "--batch-size=8", "--set=embedding.word_size=4"]
    shown = in_a_terminal("tag", "train", hostile_folder, "-o", place, *flags)
    assert "\x1b[" in shown  # the bar
    assert "epoch 1" in shown
    assert is_harmless(_OF_A_BAR.sub("", shown)), ascii(_OF_A_BAR.sub("", shown))
    assert one_line(hostile_folder) in shown.replace("\r\n", "")
    shutil.rmtree(place, ignore_errors=True)


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_a_fault_in_a_terminal(tmp_path: Path) -> None:
    shown = in_a_terminal("info", tmp_path / IN_A_NAME)
    path = one_line(tmp_path / IN_A_NAME)
    assert shown == f"error: {path}: expected a model directory with config.json, found none\r\n"
