"""`seqkit lab gradients` and `seqkit lab memory`: files, tables, faults."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from seqkit import __version__
from seqkit.cli.lab.options import TASKS
from seqkit.lab.sequences import MEMORY_TASKS
from seqkit.lab.training import train_model
from seqkit.metrics.plots import new_figure
from seqkit.nn.recurrent import CELLS

pytest.importorskip("matplotlib")

if TYPE_CHECKING:
    from tests.cli.conftest import Run

MEMORY = ["lab", "memory", "--hidden=4", "--train=3", "--batch-size=4", "--gap=3", "--test=20", "--device=cpu"]
GRADIENTS = [
    "lab",
    "gradients",
    "--hidden=6",
    "--steps=40",
    "--batch-size=2",
    "--networks=1",
    "--gap=3",
    "--device=cpu",
]
PNG = b"\x89PNG\r\n"


def read(folder: Path, name: str) -> dict:
    assert (folder / f"{name}.png").read_bytes().startswith(PNG)
    content = json.loads((folder / f"{name}.json").read_text(encoding="ascii"))
    assert content["task"] == f"lab {name}"
    assert content["seqkit_version"] == __version__
    assert content["seconds"] > 0
    return content


def test_memory_draws_writes_and_prints_accuracy_by_gap(run: Run, tmp_path: Path) -> None:
    result = run(*MEMORY, "--cells=gru,rnn_tanh", "--runs=2", "-o", tmp_path / "lab")
    assert result.status == 0, result.err
    content = read(tmp_path / "lab", "memory")
    assert [each["task"] for each in content["results"]] == ["copy", "adding", "agreement"]
    assert [each["cell"] for each in content["results"][0]["curves"]] == ["gru", "rnn_tanh"]
    assert content["results"][2]["gaps"] == [1, 2, 3]
    assert content["settings"]["forget_bias"] == pytest.approx(3.4012, abs=1e-4)  # ln 30
    assert content["settings"]["init"] == "uniform"
    lines = result.out.splitlines()
    head = ["copy,", "%", "of", "symbols", "right", "gap", "1", "gap", "2", "gap", "3", "parameters", "seconds"]
    assert lines[0].split() == head
    assert lines[3].split() == ["chance", "25.0", "25.0", "25.0"]
    assert lines[4] == "init uniform, learning rate 0.005, growth 0, 3 updates, forget bias 3.401, seeds 1 … 2"
    assert lines[5] == "gaps mixed from 1 to 3 from the first update on"
    assert len(result.lines) == 12
    assert result.lines[0].startswith("copy gru seed 1: loss ")


def test_memory_repeats_itself_and_says_nothing_if_it_is_to_be_quiet(run: Run, tmp_path: Path) -> None:
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        result = run(*MEMORY, "--task=copy_blanks", "--cell=lstm", "--seed=3", "--quiet", "-o", folder)
        assert (result.status, result.err) == (0, "")
    first, second = (read(folder, "memory")["results"][0] for folder in folders)
    assert first["curves"][0]["accuracies"] == second["curves"][0]["accuracies"]
    assert first["curves"][0]["losses"] == second["curves"][0]["losses"]
    assert first["task"] == "copy_blanks"


def test_gradients_draw_write_and_print_rates(run: Run, tmp_path: Path) -> None:
    cells = "--cells=rnn_linear,gru"
    result = run(*GRADIENTS, cells, "--init=orthogonal,uniform", "--gain=0.9,1", "--train=3", "-o", tmp_path)
    assert result.status == 0, result.err
    found = read(tmp_path, "gradients")["results"]
    assert [(each["cell"], each["init"], each["gain"]) for each in found["curves"][:5]] == [
        ("rnn_linear", "orthogonal", 0.9),
        ("rnn_linear", "orthogonal", 1.0),
        ("rnn_linear", "uniform", 0.9),
        ("rnn_linear", "uniform", 1.0),
        ("gru", "orthogonal", 0.9),
    ]
    first = found["curves"][0]
    assert first["rate"] == pytest.approx(first["spectral_radius"], rel=1e-4)
    assert first["spectral_radius"] == pytest.approx(0.9)
    assert first["verdict"] == "vanishing"
    assert len(first["norms"]) == 40
    assert [len(each["layers"]) for each in found["training"]] == [3, 3]
    assert [len(norms) for norms in found["training"][0]["layers"]] == [3, 3, 3]
    lines = result.out.splitlines()
    assert lines[0].split()[:4] == ["cell", "init", "gain", "verdict"]
    assert lines[1].split()[:6] == ["rnn_linear", "orthogonal", "0.9", "vanishing", "0.9000", "0.9000"]
    assert result.lines[0] == "rnn_linear orthogonal gain 0.9: × 0.9000 per step, vanishing"
    assert result.lines[-1].startswith("gru: gradient per step × ")


def test_gradients_without_training(run: Run, tmp_path: Path) -> None:
    result = run(*GRADIENTS, "--cell=irnn", "--train=0", "--quiet", "-o", tmp_path)
    assert (result.status, result.err) == (0, "")
    assert read(tmp_path, "gradients")["results"]["training"] == []
    assert "trained" not in result.out


def test_every_cell_runs_in_both(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Pictures are drawn anew after each cell, which is not what this is about.
    for draw in ("gradient_picture.draw_gradients", "memory.draw_memory"):
        monkeypatch.setattr(f"seqkit.lab.{draw}", lambda *_, **__: new_figure(1.0, 1.0))
    assert run(*MEMORY, "--cells=all", "--task=copy", "-o", tmp_path).status == 0
    assert run(*GRADIENTS, "--cells=all", "--init=auto", "--train=0", "--steps=6", "-o", tmp_path).status == 0
    (result,) = read(tmp_path, "memory")["results"]
    assert [each["cell"] for each in result["curves"]] == list(CELLS)
    found = read(tmp_path, "gradients")["results"]
    assert [each["cell"] for each in found["curves"]] == list(CELLS)


@pytest.mark.parametrize(("command", "name"), [(MEMORY, "memory"), (GRADIENTS, "gradients")])
def test_what_is_there_is_kept_unless_forced(run: Run, tmp_path: Path, command: list[str], name: str) -> None:
    path = tmp_path / f"{name}.json"
    path.write_text("mine")
    result = run(*command, "--cell=gru", "--train=1", "-o", tmp_path)
    assert result.status == 1
    assert result.err == f"error: {path}: the file exists; use --force to replace it\n"
    assert path.read_text() == "mine"
    assert run(*command, "--cell=gru", "--train=1", "--force", f"--seed={2**63 - 1}", "-o", tmp_path).status == 0
    read(tmp_path, name)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([*MEMORY, "--task=recall"], "'recall' is not one of 'copy', 'copy_blanks', 'adding', 'agreement'."),
        ([*MEMORY, "--gap=0"], "0 is not in the range 1<=x<=2147483647."),
        ([*MEMORY, "--gap=9223372036854775808"], "9223372036854775808 is not in the range 1<=x<=2147483647."),
        ([*GRADIENTS, "--steps=2147483648"], "2147483648 is not in the range 2<=x<=2147483647."),
        ([*MEMORY, "--growth=1.5"], "1.5 is not in the range 0.0<=x<=1.0."),
        ([*MEMORY, "--lr=0"], "0.0 is not in the range x>=1e-12."),
        ([*MEMORY, "--lr=1e31"], "1e31 is too large; the largest number is 1e+30."),
        ([*MEMORY, "--clip=1e308"], "1e308 is too large; the largest number is 1e+30."),
        ([*MEMORY, "--forget-bias=nan"], "nan is not a finite number."),
        ([*MEMORY, "--forget-bias=inf"], "inf is not a finite number."),
        ([*MEMORY, "--forget-bias=-1e308"], "-1e+308 is not in the range x>=-1e+30."),
        ([*MEMORY, "--forget-bias=1e308"], "1e308 is too large; the largest number is 1e+30."),
        ([*GRADIENTS, "--gain=1e31"], "1e31 is too large; the largest number is 1e+30."),
        (
            [*GRADIENTS, "--init=zeros"],
            "'zeros' is not one of 'auto', 'orthogonal', 'identity', 'xavier', 'uniform'.",
        ),
        ([*GRADIENTS, "--gain=1,-1"], "-1.0 is not in the range x>0.0."),
        ([*GRADIENTS, "--gain=x"], "'x' is not a valid float range."),
        ([*GRADIENTS, "-m", "model"], "Missing argument 'DATA', which the model reads."),
        (["lab", "gradients", "data", "-m", "m", "--cells=gru"], "--cells is not for a trained model."),
        (["lab", "gradients", "data", "-m", "m", "--train=3"], "--train is not for a trained model."),
        ([*GRADIENTS, "data", "--scale=2"], "--scale is not for networks that read DATA."),
        ([*GRADIENTS, "--cells=rnn"], "'rnn' is not one of "),
    ],
)
def test_wrong_usage(run: Run, tmp_path: Path, arguments: list[str], message: str) -> None:
    result = run(*arguments, "-o", tmp_path / "lab")
    assert result.status == 2
    assert result.lines[-1].startswith("error: ")
    assert result.lines[-1].endswith(message) or message in result.lines[-1]
    assert not (tmp_path / "lab").exists()


def test_a_device_that_is_not_there_is_a_fault(run: Run, tmp_path: Path) -> None:
    for command in (MEMORY, GRADIENTS):
        result = run(*command, "--device=tpu", "-o", tmp_path)
        assert result.status == 1
        assert result.err == "error: expected a device auto, cpu, cuda, cuda:N or mps, found 'tpu'\n"
        assert list(tmp_path.iterdir()) == []


def test_the_tasks_of_the_commands_are_those_of_the_lab(run: Run) -> None:
    assert tuple(MEMORY_TASKS) == TASKS
    for command in ("memory", "gradients"):
        text = run("lab", command, "--help").out
        assert all(name in text for name in TASKS)


@pytest.mark.parametrize(("command", "name"), [([*MEMORY, "--task=copy"], "memory"), (GRADIENTS, "gradients")])
def test_what_was_measured_before_an_interrupt_is_kept(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str], name: str
) -> None:
    calls: list[object] = []

    def interrupted(*arguments: Any) -> Any:
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return train_model(*arguments)

    monkeypatch.setattr(f"seqkit.lab.{name}.train_model", interrupted)
    assert run(*command, "--train=2", "--cells=gru,rnn_tanh", "-o", tmp_path).status == 130
    found = read(tmp_path, name)["results"]
    curves = found[0]["curves"] if name == "memory" else found["training"]
    assert [each["cell"] for each in curves] == ["gru"]


def test_cells_that_diverge_are_told_from_those_at_chance(run: Run, tmp_path: Path) -> None:
    result = run(*GRADIENTS, "--cells=rnn_relu", "--init=orthogonal", "--gain=1e30", "--train=2", "-o", tmp_path)
    assert result.status == 0, result.err
    (trained,) = read(tmp_path, "gradients")["results"]["training"]
    fault = "the loss is nan and the gradient norm nan at step 1, in sequences of agreement"
    assert trained["fault"] == fault
    assert (trained["accuracy"], trained["after"]) == (None, None)
    assert f"rnn_relu: {fault}" in result.out
    result = run(*MEMORY, "--cells=gru", "--task=adding", "--lr=1e30", "--clip=0", "--force", "-o", tmp_path)
    assert result.status == 0, result.err
    (curve,) = read(tmp_path, "memory")["results"][0]["curves"]
    assert (curve["mean"], curve["accuracies"]) == (None, [None])
    assert curve["fault"].startswith("seed 1: the loss is ")
    assert f"gru: {curve['fault']}" in result.out.splitlines()
    assert result.out.splitlines()[1].split()[:4] == ["gru", "–", "–", "–"]


def test_gradients_over_data_and_of_a_trained_model(run: Run, tmp_path: Path) -> None:
    rows = [{"frames": [[n % 2, k] for k in range(12)], "label": "ab"[n % 2]} for n in range(20)]
    data = tmp_path / "data.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    small = ["--hidden=4", "--steps=9", "--batch-size=2", "--networks=1", "--train=0", "--cell=gru", "--device=cpu"]
    result = run("lab", "gradients", data, *small, "-o", tmp_path / "data")
    assert result.status == 0, result.err
    told = "20 of 20 sequences have at least 9 steps; read are the first 12 steps of 2 of them"
    assert result.lines[0] == told
    content = read(tmp_path / "data", "gradients")
    assert [len(curve["norms"]) for curve in content["results"]["curves"]] == [9, 9]
    assert content["settings"]["data"] == str(data)
    trained = ["--set=encoder.hidden=4", "--epochs=1", "--quiet", "--device=cpu"]
    assert run("classify", "train", data, "-o", tmp_path / "model", *trained).status == 0
    given = ["lab", "gradients", data, "-m", tmp_path / "model", "--batch-size=2", "-o", tmp_path / "lab"]
    result = run(*given, "--steps=9")
    assert result.status == 0, result.err
    assert result.lines == [told]
    assert [line.split()[0] for line in result.out.splitlines()] == ["cell", "lstm"]
    (curve,) = read(tmp_path / "lab", "gradients")["results"]["curves"]
    assert (curve["cell"], len(curve["norms"])) == ("lstm", 9)
    refused = run(*given, "--force")
    assert (refused.status, refused.out) == (1, "")
    expected = "expected a sequence of at least 100 steps, found none longer than 12; measure fewer with --steps"
    assert refused.err == f"error: {expected}\n"
