"""Cells compared: the same run but for the cell, what is kept of it, and how a comparison goes on."""

from __future__ import annotations

import json
import shutil
import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import seqkit.lab.compare as module
from seqkit.config import TagSettings, override
from seqkit.data.dataset import Dataset
from seqkit.data.given import from_pairs
from seqkit.errors import DataError, SettingsError, TrainingError
from seqkit.lab.compare import compare_cells
from seqkit.lab.comparison import CellRun, draw, render
from seqkit.model import load
from seqkit.training.loop import Diverged, Interrupted
from seqkit.training.run import run

pytest.importorskip("matplotlib", reason="needs matplotlib, of the plots extra")

CELLS = ("gru", "rnn_tanh")


@pytest.fixture(scope="module")
def dataset(make_pairs: Callable[..., Any]) -> Dataset:
    return from_pairs(make_pairs(24), make_pairs(8, 1), make_pairs(8, 2))


@pytest.fixture(scope="module")
def settings(tiny_settings: Callable[..., TagSettings]) -> TagSettings:
    return tiny_settings("training.epochs=3", "embedding.chars=none")


@pytest.fixture(scope="module")
def compared(dataset: Dataset, settings: TagSettings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a finished comparison. Not to be changed."""
    output = tmp_path_factory.mktemp("compared") / "out"
    compare_cells(settings, dataset, CELLS, output, device="cpu")
    return output


def results(output: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads((output / "compare.json").read_text())["results"]
    return rows


def without_clock(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows without what the clock says."""
    clock = ("seconds", "tokens_per_second", "dev_seconds")
    for row in rows:
        for line in (row, *row["history"]):
            for name in clock:
                line.pop(name, None)
    return list(rows)


def only(cells: Sequence[str], found: list[str], fault: BaseException | None = None) -> Callable[..., Any]:
    """A `run` that does what it should for some cells, notes which, and for others ends in a fault."""

    def instead(settings: Any, *arguments: Any, **options: Any) -> Any:
        found.append(settings.encoder.cell)
        if settings.encoder.cell not in cells:
            assert fault is not None, "expected nothing more to be trained"
            raise fault
        return run(settings, *arguments, **options)

    return instead


def test_a_row_says_what_the_run_found(compared: Path, dataset: Dataset, settings: TagSettings) -> None:
    found = json.loads((compared / "compare.json").read_text())
    assert found["task"] == "lab compare"
    assert found["settings"]["cells"] == list(CELLS)
    assert "cell" not in found["settings"]["encoder"]
    assert found["settings"]["training"]["seed"] == settings.training.seed
    assert [row["cell"] for row in found["results"]] == list(CELLS)
    for row in found["results"]:
        model = load(compared / row["cell"])
        lines = [json.loads(line) for line in (compared / row["cell"] / "train.jsonl").read_text().splitlines()]
        assert row["history"] == lines and row["epochs"] == len(lines) == 3
        assert row["scores"] == model.report["scores"] and set(row["scores"]) == {"dev", "test"}
        assert row["parameters"] == model.parameter_counts()
        assert row["tokens_per_second"] == statistics.median(line["tokens_per_second"] for line in lines)
        assert lines[row["best_epoch"] - 1]["dev"]["f1"] == max(line["dev"]["f1"] for line in lines)
        assert row["seconds"] == pytest.approx(sum(line["seconds"] + line["dev_seconds"] for line in lines))
        assert (row["data"], row["fault"]) == ("pairs", "")
        assert row["settings"]["encoder"]["cell"] == row["cell"] == model.settings.encoder.cell
    assert found["seconds"] == pytest.approx(sum(row["seconds"] for row in found["results"]))
    assert (compared / "compare.png").read_bytes().startswith(b"\x89PNG")


def test_nothing_differs_but_the_cell(compared: Path, dataset: Dataset, settings: TagSettings, tmp_path: Path) -> None:
    one, other = (row["settings"] for row in results(compared))
    assert one["encoder"].pop("cell") != other["encoder"].pop("cell")
    assert one == other
    # and each is what `train` makes of these settings
    run(override(settings, {"encoder": {"cell": "gru"}}), tmp_path / "alone", dataset, device="cpu")
    weights = [(folder / "weights.safetensors").read_bytes() for folder in (tmp_path / "alone", compared / "gru")]
    assert weights[0] == weights[1]


def test_what_is_done_stays(
    compared: Path, dataset: Dataset, settings: TagSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(compared, tmp_path / "out")
    before = results(compared)
    found: list[str] = []
    monkeypatch.setattr(module, "run", only((), found))
    runs = compare_cells(settings, dataset, CELLS, tmp_path / "out", device="cpu", resume=True)
    assert (found, [one.cell for one in runs], results(tmp_path / "out")) == ([], list(CELLS), before)
    # one more cell: it alone is trained
    monkeypatch.setattr(module, "run", only(("rnn_relu",), found))
    runs = compare_cells(settings, dataset, ("rnn_relu", *CELLS), tmp_path / "out", device="cpu", resume=True)
    assert (found, [one.cell for one in runs]) == (["rnn_relu"], ["rnn_relu", *CELLS])
    assert results(tmp_path / "out")[1:] == before


@pytest.mark.parametrize("lost", ["compare.json", "gru/config.json"])
def test_what_is_lost_is_found_again(
    lost: str, compared: Path, dataset: Dataset, settings: TagSettings, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    shutil.copytree(compared, output)
    (output / lost).unlink()
    compare_cells(settings, dataset, CELLS, output, device="cpu", resume=True)
    assert without_clock(results(output)) == without_clock(results(compared))
    assert (output / "gru" / "config.json").is_file()


@pytest.mark.parametrize("content", ["", "[]", '{"results": [{"cell": "gru"}]}', '{"results": 3}', "é"])
def test_a_file_of_another_form_is_no_hindrance(
    content: str,
    compared: Path,
    dataset: Dataset,
    settings: TagSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "compare.json").write_text(content, encoding="utf-8")
    found: list[str] = []
    monkeypatch.setattr(module, "run", only((), found, Interrupted()))
    with pytest.raises(Interrupted):
        compare_cells(settings, dataset, CELLS, tmp_path, device="cpu", resume=True)
    assert found == ["gru"]


def test_an_interrupted_comparison_goes_on_to_the_same_end(
    compared: Path, dataset: Dataset, settings: TagSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[str] = []
    with monkeypatch.context() as patch:
        patch.setattr(module, "run", only(("gru",), found, Interrupted()))
        with pytest.raises(Interrupted):
            compare_cells(settings, dataset, CELLS, tmp_path, device="cpu")
    assert found == ["gru", "rnn_tanh"]
    assert [row["cell"] for row in results(tmp_path)] == ["gru"]
    assert (tmp_path / "compare.png").is_file()
    # a run that was killed in the middle of its second epoch
    first = override(settings, {"encoder": {"cell": "rnn_tanh"}, "training": {"epochs": 1}})
    run(first, tmp_path / "rnn_tanh", dataset, device="cpu")
    (tmp_path / "rnn_tanh" / "config.json").unlink()
    compare_cells(settings, dataset, CELLS, tmp_path, device="cpu", resume=True)
    assert without_clock(results(tmp_path)) == without_clock(results(compared))


def test_other_settings_are_no_continuation(
    compared: Path, dataset: Dataset, settings: TagSettings, tmp_path: Path
) -> None:
    shutil.copytree(compared, tmp_path / "out")
    other = override(settings, {"training": {"lr": 0.5}})
    with pytest.raises(TrainingError, match=r"expected a checkpoint with training\.lr = 0\.5, found 0\.01; .*--force$"):
        compare_cells(other, dataset, CELLS, tmp_path / "out", device="cpu", resume=True)
    longer = override(settings, {"training": {"epochs": 4}})
    compare_cells(longer, dataset, CELLS[:1], tmp_path / "out", device="cpu", resume=True)
    (row,) = results(tmp_path / "out")
    assert row["epochs"] == 4
    assert [line["loss"] for line in row["history"][:3]] == [line["loss"] for line in results(compared)[0]["history"]]


def test_a_cell_that_diverges_does_not_stop_the_others(
    dataset: Dataset, settings: TagSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault = "expected a finite loss and gradient, found loss nan and gradient norm nan at step 1; try a smaller --lr"
    found: list[str] = []
    monkeypatch.setattr(module, "run", only(("gru",), found, Diverged(fault)))
    runs = compare_cells(settings, dataset, ("rnn_relu", "gru"), tmp_path, device="cpu")
    assert [bool(one.scores) for one in runs] == [False, True]
    assert [one.fault for one in runs] == [fault, ""]
    assert render(runs).split("\n")[-1] == f"rnn_relu: {fault}"
    # it would do so again
    compare_cells(settings, dataset, ("rnn_relu", "gru"), tmp_path, device="cpu", resume=True)
    assert found == ["rnn_relu", "gru"]


def test_a_comparison_in_which_all_diverge(dataset: Dataset, settings: TagSettings, tmp_path: Path) -> None:
    wild = override(settings, {"training": {"lr": 1e30, "optimizer": "sgd", "clip": 0.0}})
    (one,) = compare_cells(wild, dataset, ["rnn_relu"], tmp_path, device="cpu")
    assert one.fault.startswith("expected a finite loss and gradient, found loss ")
    assert (one.scores, one.parameters, one.tokens_per_second) == ({}, {}, 0.0)
    head, row, *_ = render([one]).split("\n")
    assert head.split() == ["cell", "parameters", "encoder", "tokens/s", "best", "epoch", "seconds"]
    assert row.split()[:5] == ["rnn_relu", "–", "–", "0", "–"]


def test_force_begins_anew(compared: Path, dataset: Dataset, settings: TagSettings, tmp_path: Path) -> None:
    output = tmp_path / "out"
    shutil.copytree(compared, output)
    with pytest.raises(TrainingError) as caught:
        compare_cells(settings, dataset, CELLS, output, device="cpu")
    message = f"{output / 'gru'}: expected an empty output directory, found files; use --resume or --force"
    assert str(caught.value) == message
    other = override(settings, {"training": {"epochs": 1}})
    compare_cells(other, dataset, CELLS[1:], output, device="cpu", force=True)
    assert [(row["cell"], row["epochs"]) for row in results(output)] == [("rnn_tanh", 1)]
    assert (output / "gru" / "config.json").is_file()  # which nobody asked about


def test_faults_are_found_before_anything_is_trained(
    dataset: Dataset, settings: TagSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "run", only((), []))
    (tmp_path / "rnn_tanh").mkdir()
    (tmp_path / "rnn_tanh" / "notes.txt").write_text("mine")
    for options in ({"resume": False}, {"force": True}):
        with pytest.raises(TrainingError, match=r"rnn_tanh: expected "):
            compare_cells(settings, dataset, CELLS, tmp_path, device="cpu", **options)
    with pytest.raises(SettingsError, match=r"^no_such_cell: encoder\.cell: expected "):
        compare_cells(settings, dataset, ("gru", "no_such_cell"), tmp_path / "a", device="cpu")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "compare.png").touch()
    with pytest.raises(DataError, match=r"compare\.png: expected no file of this name, found one; use --force$"):
        compare_cells(settings, dataset, CELLS, tmp_path / "b", device="cpu")


# --- table and picture --------------------------------------------------------------------------------------------


def a_run(cell: str = "gru", **changes: Any) -> CellRun:
    history = [{"epoch": epoch, "dev": {"score": -2.0, "perplexity": 9.0 - epoch}} for epoch in (1, 2, 3)]
    found = CellRun(
        cell=cell,
        settings={"task": "lm", "encoder": {"layers": 1, "hidden": 8, "direction": "forward"}, "training": {"seed": 1}},
        data="text",
        device="cpu, 1 thread",
        scores={"dev": {"perplexity": 1006.5, "loss": 1.8}, "test": {"perplexity": 7.25, "loss": 2.0}},
        parameters={"embedding": 1000, "encoder": 2345, "head": 5},
        tokens_per_second=12345.6,
        best_epoch=3,
        epochs=3,
        seconds=61.25,
        history=history,
    )
    return replace(found, **changes)


def test_the_table_by_hand() -> None:
    lines = render([a_run(), a_run("rnn_tanh", scores={"dev": {"perplexity": 5.0}})]).split("\n")
    assert lines == [
        "cell      perplexity dev  perplexity test  parameters  encoder  tokens/s  best epoch  seconds",
        "gru             1,006.50             7.25       3,350    2,345    12,346      3 of 3     61.2",
        "rnn_tanh            5.00                –       3,350    2,345    12,346      3 of 3     61.2",
        "",
        "tokens/s: training tokens a second, median over epochs; seconds: training, and scoring dev after each epoch",
    ]


@pytest.mark.parametrize(
    ("report", "shown"),
    [
        ({"accuracy": 0.9, "f1": 0.5, "precision": 0.1}, ["f1", "0.5000"]),
        ({"accuracy": 0.9, "macro_f1": 0.5}, ["accuracy", "0.9000"]),
        ({"accuracy": 0.9, "macro_f1": 0.5, "micro_f1": 0.25}, ["micro_f1", "0.2500"]),
        ({"perplexity": 3.14159, "exact_match": 0.5}, ["perplexity", "3.14"]),
    ],
)
def test_every_task_has_its_figure(report: dict[str, float], shown: list[str]) -> None:
    head, row, *_ = render([a_run(scores={"dev": report})]).split("\n")
    assert [head.split()[1], row.split()[1]] == shown


def test_the_picture_shows_what_the_rows_say() -> None:
    runs = [a_run(), a_run("rnn_tanh", scores={}, parameters={}, history=[], fault="no")]
    figure = draw(runs)
    scores, speeds, sizes, curves = figure.axes
    assert [label.get_text() for label in scores.get_yticklabels()] == ["gru", "rnn_tanh"]
    assert sorted(float(line.get_xdata()[0]) for line in scores.lines) == [7.25, 1006.5]
    assert [text.get_text() for text in scores.texts] == ["7.25", "loss not finite"]
    assert [bar.get_width() for bar in speeds.patches] == [12345.6, 12345.6]
    assert [bar.get_width() for bar in sizes.patches] == [3350, 0, 2345, 0]
    assert list(curves.lines[0].get_ydata()) == [8.0, 7.0, 6.0]
    assert curves.get_yscale() == "log"
    assert figure.get_suptitle() == "lm on text: 1 × 8, forward, seed 1, cpu, 1 thread"


def test_as_many_cells_as_there_are_can_be_told_apart() -> None:
    runs = [a_run(f"cell{number}") for number in range(14)]
    curves = draw(runs).axes[-1]
    colours = {line.get_color() for line in curves.lines if line.get_label().startswith("cell")}
    assert len(colours) == 14
