"""``seqkit lab compare`` and ``seqkit lab gates``, on models of all tasks."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, get_args

import pytest

from seqkit.config import EncoderSettings
from seqkit.training.signals import Interrupted

pytest.importorskip("matplotlib", reason="needs matplotlib, of the plots extra")

from seqkit.tasks import TASKS

Run = Callable[..., Any]  # the fixture `run`

CELLS = ("gru", "rnn_tanh")
ALL_CELLS = ", ".join(map(repr, get_args(EncoderSettings.model_fields["cell"].annotation)))
TINY = ["--hidden=4", "--layers=1", "--epochs=1", "--threads=1", "--device=cpu", "--set=embedding.word_size=6"]
DATA = {
    "tag": ("data.conll", "Ada B-PER\nmet O\nBo B-PER\n\n" * 20),
    "classify": ("data.tsv", "label\ttext\n" + "good\ta fine day\nbad\ta grey day\n" * 20),
    "lm": ("data.txt", "Ada met Bo\nBo met Ada\n" * 20),
    "generate": ("data.jsonl", '{"kind": "a", "text": "aba"}\n{"kind": "b", "text": "bab"}\n' * 20),
}
METRIC = {"tag": "f1", "classify": "accuracy", "lm": "perplexity", "generate": "perplexity"}
TEXT = {"tag": "Ada met Bo", "classify": "a fine day", "lm": "Ada met Bo", "generate": "aba"}


def options_of(task: str, folder: Path, cells: Sequence[str] = CELLS) -> list[object]:
    name, text = DATA[task]
    (folder / name).write_text(text, encoding="utf-8")
    target = ["--set=data.target=1"] if task == "tag" else []
    return [folder / name, f"--task={task}", *TINY, *target, f"--cells={','.join(cells)}"]


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The directory of a finished comparison of a task, made when it is first asked for. Not to be changed."""
    from seqkit.cli.main import main

    folder = tmp_path_factory.mktemp("compared")

    def compare(task: str) -> Path:
        output = folder / task
        if not output.exists():
            arguments = ["lab", "compare", *options_of(task, folder), "-o", output, "--quiet"]
            assert main([str(word) for word in arguments]) == 0
        return output

    return compare


@pytest.mark.parametrize("task", DATA)
def test_compare_in_every_task(task: str, compared: Callable[[str], Path], run: Run) -> None:
    output = compared(task)
    assert sorted(path.name for path in output.iterdir()) == ["compare.json", "compare.png", *CELLS]
    found = json.loads((output / "compare.json").read_text())
    assert (found["task"], [row["cell"] for row in found["results"]]) == ("lab compare", list(CELLS))
    assert found["settings"]["task"] == task
    assert METRIC[task] in found["results"][0]["scores"]["dev"]
    # its models are models
    assert run("info", output / "gru").status == 0
    again = run("lab", "compare", *options_of(task, output.parent), "-o", output, "--resume")
    assert (again.status, again.lines) == (0, ["gru (1 of 2): done", "rnn_tanh (2 of 2): done"])
    lines = again.out.splitlines()
    assert lines[0].split()[:3] == ["cell", METRIC[task], "dev"]
    assert [line.split()[0] for line in lines[1:3]] == list(CELLS)
    unit = TASKS[task].unit
    assert lines[4].startswith(f"{unit}s/s: training {unit}s per second, median over epochs")


def test_a_recipe_says_task_and_data(tmp_path: Path, run: Run) -> None:
    options_of("classify", tmp_path)
    recipe = tmp_path / "r.toml"
    recipe.write_text(f'task = "classify"\ndataset = "{tmp_path}/data.tsv"\n[encoder]\nlayers = 2\nhidden = 3\n')
    given = ["-c", recipe, *TINY[1:], "--seed=5", "--cell=gru", "--cell", "rnn_tanh, gru"]
    result = run("lab", "compare", *given, "-o", tmp_path / "out", "--quiet")
    assert (result.status, result.err) == (0, "")
    found = json.loads((tmp_path / "out" / "compare.json").read_text())
    assert found["settings"]["cells"] == list(CELLS)
    encoder = found["settings"]["encoder"]
    assert (encoder["hidden"], encoder["layers"], found["settings"]["training"]["seed"]) == (3, 1, 5)


def test_interrupted_it_says_how_to_continue(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    import seqkit.lab.compare as module

    def interrupted(*arguments: object, **options: object) -> None:
        raise Interrupted

    monkeypatch.setattr(module, "run", interrupted)
    given = ["lab", "compare", *options_of("lm", tmp_path), "-o", tmp_path / "out", "--force"]
    result = run(*given)
    assert (result.status, result.out) == (130, "")
    assert result.lines[-1] == f"interrupted; continue with: seqkit {' '.join(map(str, given[:-1]))} --resume"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Missing option '-c' / '--recipe' or '--task'."),
        (["--task=tag"], "Missing argument 'DATA', and no recipe names a data set."),
        (["-c", "sample-ner", "--cells=lstm,nope"], f"'nope' is not one of {ALL_CELLS}."),
        (["-c", "sample-ner", "--cells="], f"'' is not one of {ALL_CELLS}."),
        (["-c", "sample-ner", "--cells=all,lstm"], f"'all' is not one of {ALL_CELLS}."),
        (["-c", "sample-ner", "--resume", "--force"], "--resume and --force exclude each other."),
        (["-c", "sample-ner", "--set", "encoder.cell=gru"], "Use --cells instead of --set encoder.cell."),
        (["-c", "sample-ner", "--set", "nope"], "expected section.key=value, found 'nope'"),
        (["-c", "sample-ner", "--epochs=0"], "Invalid value for '--epochs': 0 is not in the range x>=1."),
    ],
)
def test_wrong_usage_of_compare(arguments: list[str], message: str, tmp_path: Path, run: Run) -> None:
    result = run("lab", "compare", *arguments, "-o", tmp_path / "out")
    assert (result.status, result.out) == (2, "")
    assert result.lines[-1].startswith("error: ") and result.lines[-1].endswith(message)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.conll", "-c", "sample-ner"], "nowhere.conll"),
        (["-c", "nowhere"], "there is no recipe 'nowhere'; choose one of "),
        (
            ["-c", "sample-ner", "--task", "lm"],
            "sample-ner: expected a recipe of `seqkit lm`, found one of `seqkit tag`",
        ),
        (["-c", "sample-ner", "--device", "tpu"], "expected a device auto, cpu, cuda, cuda:N or mps, found 'tpu'"),
        (
            ["-c", "sample-sentences", "--set=head.ngram=3"],
            "an n-gram model has no cell to compare; use the settings of a network",
        ),
    ],
)
def test_faults_of_compare(arguments: list[str], message: str, tmp_path: Path, run: Run) -> None:
    result = run("lab", "compare", *arguments, "-o", tmp_path / "out")
    assert (result.status, result.out, len(result.lines)) == (1, "", 1)
    assert result.err.startswith("error: ") and message in result.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("task", DATA)
def test_gates_in_every_task(task: str, compared: Callable[[str], Path], tmp_path: Path, run: Run) -> None:
    given = ["--condition=kind=a"] if task == "generate" else []
    options = ["-m", compared(task) / "gru", "-o", tmp_path / "out", *given]
    result = run("lab", "gates", TEXT[task], *options)
    assert (result.status, result.err) == (0, "")
    head, *rows = result.out.partition("\n\n")[0].splitlines()
    assert head.startswith("layer")
    directions = ["forward"] if task in ("lm", "generate") else ["forward", "backward"]
    assert [row.split()[:3] for row in rows] == [
        ["1", name, gate] for name in directions for gate in ("reset", "update")
    ]
    found = json.loads((tmp_path / "out" / "gates.json").read_text())
    assert (found["task"], found["settings"]["text"]) == ("lab gates", TEXT[task])
    assert found["settings"]["conditions"] == ({"kind": "a"} if task == "generate" else {})
    steps = found["results"]["steps"]
    values = found["results"]["layers"][0]["gates"]["update"]["values"]
    assert (len(values), len(values[0])) == (len(steps), 4)
    assert (tmp_path / "out" / "gates.png").read_bytes().startswith(b"\x89PNG")
    # the same from standard input; what is there is not written over
    refused = run("lab", "gates", "-", *options, stdin=f"{TEXT[task]}\n")
    message = f"error: {tmp_path / 'out' / 'gates.png'}: the file exists; use --force to replace it\n"
    assert (refused.status, refused.err) == (1, message)
    again = run("lab", "gates", *options, "--force", stdin=f"{TEXT[task]}\n")
    assert (again.status, again.out) == (0, result.out)
    assert json.loads((tmp_path / "out" / "gates.json").read_text())["results"] == found["results"]


@pytest.mark.parametrize(
    ("task", "cell", "arguments", "status", "message"),
    [
        ("lm", "rnn_tanh", ["Ada"], 1, "the cell rnn_tanh has no gates"),
        ("lm", "gru", [""], 1, "the text is empty"),
        ("lm", "gru", ["-"], 1, "the text has 2 lines; give one line"),
        ("generate", "gru", ["aba"], 1, "expected a field 'kind' in the condition, found 'text'"),
        ("generate", "gru", ["aba", "--condition=a=b"], 1, "expected a condition among 'kind', found 'a'"),
        ("lm", "gru", ["Ada", "--condition=a=b"], 2, "--condition is not for a model of seqkit lm."),
        ("lm", "gru", ["Ada", "--device=tpu"], 1, "expected a device auto, cpu, cuda, cuda:N or mps, found 'tpu'"),
        ("lm", "nowhere", ["Ada"], 1, "expected a model directory with config.json, found none"),
    ],
)
def test_faults_of_gates(
    task: str,
    cell: str,
    arguments: list[str],
    status: int,
    message: str,
    compared: Callable[[str], Path],
    tmp_path: Path,
    run: Run,
) -> None:
    result = run("lab", "gates", *arguments, "-m", compared(task) / cell, "-o", tmp_path / "out", stdin="a\nb\n")
    assert (result.status, result.out) == (status, "")
    assert result.lines[-1].startswith("error: ") and message in result.lines[-1]
    assert status == 2 or len(result.lines) == 1
    assert not (tmp_path / "out").exists()


def test_gates_finds_out_first_whether_it_may_write(
    compared: Callable[[str], Path], tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    import seqkit.lab.gates as module

    monkeypatch.setattr(module, "record_gates", None)
    (tmp_path / "gates.json").touch()
    result = run("lab", "gates", "Ada", "-m", compared("lm") / "gru", "-o", tmp_path)
    message = f"error: {tmp_path / 'gates.json'}: the file exists; use --force to replace it\n"
    assert (result.status, result.err) == (1, message)


def test_compare_refuses_to_continue_a_run_that_had_more(
    compared: Callable[[str], Path], run: Run, tmp_path: Path
) -> None:
    import shutil

    shutil.copytree(compared("lm"), tmp_path / "out")
    given = ["lab", "compare", *options_of("lm", tmp_path), "-o", tmp_path / "out"]
    assert run(*given, "--epochs=2", "--resume", "--quiet").status == 0
    result = run(*given, "--resume", "--quiet")
    expected = "training.epochs is 1, but the earlier run had 2 epochs"
    assert (result.status, result.out) == (1, "")
    assert result.err == f"error: {tmp_path / 'out' / 'gru'}: {expected}; start again with --force\n"


def test_gates_of_a_model_without_a_network(tmp_path: Path, run: Run) -> None:
    (tmp_path / "data.txt").write_text(DATA["lm"][1])
    trained = run("lm", "train", tmp_path / "data.txt", "-o", tmp_path / "model", "--ngram=2", "--quiet")
    assert trained.status == 0
    result = run("lab", "gates", "Ada", "-m", tmp_path / "model", "-o", tmp_path / "out")
    assert (result.status, result.err) == (1, "error: an n-gram model has no gates; give a model with a network\n")


def test_without_matplotlib(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    for name in ("matplotlib.backends.backend_agg", "matplotlib.figure"):
        monkeypatch.setitem(sys.modules, name, None)
    result = run("lab", "compare", *options_of("lm", tmp_path), "-o", tmp_path / "out")
    assert (result.status, result.out) == (1, "")
    message = "error: lab compare needs matplotlib, which is not installed: pip install 'seqkit-nlp[plots]'"
    assert result.lines == [message]


def test_sequences_of_vectors(tmp_path: Path, run: Run) -> None:
    rows = [{"frames": [[n % 2, n], [1, 2], [3, n]], "label": "ab"[n % 2]} for n in range(20)]
    data = tmp_path / "data.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    given = ["lab", "compare", data, "--task=classify", *TINY[:-1], "--cells=gru,rnn_tanh", "-o", tmp_path / "cells"]
    result = run(*given)
    assert result.status == 0, result.err
    head, first, *_ = result.out.splitlines()
    assert head.split() == ["cell", "accuracy", "dev", "parameters", "encoder", "frames/s", "best", "epoch", "seconds"]
    assert first.startswith("gru")
    assert "frames/s: training frames per second, median over epochs; seconds:" in result.out
    found = json.loads((tmp_path / "cells" / "compare.json").read_text())
    assert found["settings"]["input"] == "frames"
    again = run(*given, "--resume")
    assert (again.status, again.lines) == (0, ["gru (1 of 2): done", "rnn_tanh (2 of 2): done"])
    options = ["-m", tmp_path / "cells" / "gru", "-o", tmp_path / "gates"]
    text = json.dumps(rows[0])
    result = run("lab", "gates", text, *options)
    assert (result.status, result.err) == (0, "")
    document = json.loads((tmp_path / "gates" / "gates.json").read_text())
    assert (document["settings"]["sequence"], document["results"]["unit"]) == (text, "frames")
    assert document["results"]["steps"] == ["0", "1", "2"]
    again = run("lab", "gates", "-", *options, "--force", stdin=f"{text}\n")
    assert (again.status, again.out) == (0, result.out)
    refused = run("lab", "gates", "Ada", *options, "--force")
    expected = (
        "'Ada': expected the name of an array (.npy, .npz), a table (.csv), a recording (.wav, .flac, .ogg) or a "
        "piece of music (.mid)"
    )
    assert (refused.status, refused.err) == (1, f"error: {expected}\n")
