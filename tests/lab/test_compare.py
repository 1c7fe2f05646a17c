"""Cells compared: the same run but for the cell, what is kept of it, and how a comparison goes on."""

from __future__ import annotations

import json
import re
import shutil
import statistics
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import seqkit.lab.compare as module
from seqkit.config import override
from seqkit.corpora.dataset import Dataset
from seqkit.corpora.from_python import from_items
from seqkit.errors import DataError, SettingsError, TrainingError
from seqkit.heads.tagging.settings import TagSettings
from seqkit.lab.compare import compare_cells
from seqkit.lab.comparison import render
from seqkit.model.loading import load
from seqkit.training.run import run
from seqkit.training.signals import Interrupted
from seqkit.training.stepping import Diverged

pytest.importorskip("matplotlib", reason="needs matplotlib, of the plots extra")

CELLS = ("gru", "rnn_tanh")


@pytest.fixture(scope="module")
def dataset(make_pairs: Callable[..., Any]) -> Dataset:
    return from_items("sentences", make_pairs(24), make_pairs(8, 1), make_pairs(8, 2))


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


def place() -> str:
    threads = torch.get_num_threads()
    return f"cpu, {threads} thread{'s' if threads > 1 else ''}"


def without_clock(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows without what the clock says, and without where they were trained."""
    clock = ("seconds", "tokens_per_second", "dev_seconds", "device")
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
        assert row["device"] == place()
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


def test_finished_runs_are_kept(
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
def test_lost_results_are_read_from_the_runs(
    lost: str, compared: Path, dataset: Dataset, settings: TagSettings, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    shutil.copytree(compared, output)
    (output / lost).unlink()
    compare_cells(settings, dataset, CELLS, output, device="cpu", resume=True)
    again = results(output)
    # where it was trained stands in compare.json alone
    assert [row["device"] for row in again] == (["unknown"] * 2 if lost == "compare.json" else [place()] * 2)
    assert without_clock(again) == without_clock(results(compared))
    assert (output / "gru" / "config.json").is_file()


@pytest.mark.parametrize("content", ["", "[]", '{"results": [{"cell": "gru"}]}', '{"results": 3}', "é"])
def test_a_malformed_results_file_is_ignored(
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


def test_an_interrupted_comparison_continues_to_the_same_results(
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
    # a run that was killed after its first epoch
    first = override(settings, {"encoder": {"cell": "rnn_tanh"}, "training": {"epochs": 1}})
    run(first, tmp_path / "rnn_tanh", dataset, device="cpu")
    (tmp_path / "rnn_tanh" / "config.json").unlink()
    compare_cells(settings, dataset, CELLS, tmp_path, device="cpu", resume=True)
    assert [row["device"] for row in results(tmp_path)] == [place(), f"unknown, then {place()}"]
    assert without_clock(results(tmp_path)) == without_clock(results(compared))


def test_other_settings_are_refused_on_resume(
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
    fault = "the loss is nan and the gradient norm nan at step 1, in training sentences 1, 2; try a smaller --lr"
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
    assert re.fullmatch(
        r"the loss is (nan|inf) and the gradient norm (nan|inf) at step \d+, in training sentences [\d, ]+; "
        "try a smaller --lr or --clip, or skip such batches with --on-nan skip",
        one.fault,
    )
    assert (one.scores, one.parameters, one.tokens_per_second) == ({}, {}, 0.0)
    head, row, *_ = render([one]).split("\n")
    assert head.split() == ["cell", "parameters", "encoder", "tokens/s", "best", "epoch", "seconds"]
    assert row.split()[:5] == ["rnn_relu", "–", "–", "0", "–"]


@pytest.mark.parametrize(
    ("training", "message"),
    [
        ({"epochs": 2}, "training.epochs is 2, but the earlier run had 3 epochs"),
        ({"patience": 1}, "training.patience is 1, but the earlier run continued after 1 epoch without a better score"),
        ({"time_limit": 1.0}, "training.time_limit is 1, but the earlier run had 0"),
    ],
)
def test_a_run_that_had_more_is_not_compared(
    training: dict[str, float],
    message: str,
    compared: Path,
    dataset: Dataset,
    settings: TagSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    output = tmp_path / "out"
    shutil.copytree(compared, output)
    if "patience" in training:  # the second epoch was no better than the first
        change_lines(output / "gru", best_epoch=1)
    monkeypatch.setattr(module, "run", only((), []))
    less = override(settings, {"training": training})
    with pytest.raises(SettingsError) as caught:
        compare_cells(less, dataset, ("rnn_relu", *CELLS), output, device="cpu", resume=True)
    assert str(caught.value) == f"{output / 'gru'}: {message}; start again with --force"


@pytest.mark.parametrize(
    ("training", "message"),
    [
        ({"epochs": 2}, "training.epochs is 2, but the earlier run had 3 epochs"),
        ({"time_limit": 1.5}, "training.time_limit is 1.5, but the earlier run continued after 2.0 minutes"),
    ],
)
def test_an_interrupted_run_that_had_more_is_not_compared(
    training: dict[str, float], message: str, compared: Path, dataset: Dataset, settings: TagSettings, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    shutil.copytree(compared / "gru", output / "gru")
    (output / "gru" / "config.json").unlink()
    change_lines(output / "gru", seconds=50.0, dev_seconds=10.0)
    less = override(settings, {"training": training})
    with pytest.raises(SettingsError) as caught:
        compare_cells(less, dataset, CELLS, output, device="cpu", resume=True)
    assert str(caught.value) == f"{output / 'gru'}: {message}; start again with --force"


def change_lines(folder: Path, **changes: float) -> None:
    lines = [json.loads(line) | changes for line in (folder / "train.jsonl").read_text().splitlines()]
    (folder / "train.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_a_run_that_had_less_than_allowed_is_kept(
    compared: Path, dataset: Dataset, settings: TagSettings, tmp_path: Path
) -> None:
    shutil.copytree(compared, tmp_path / "out")
    change_lines(tmp_path / "out" / "gru", best_epoch=2)  # patience would have ended it after the third
    patient = override(settings, {"training": {"patience": 1}})
    (one,) = compare_cells(patient, dataset, CELLS[:1], tmp_path / "out", device="cpu", resume=True)
    assert (one.epochs, one.settings["training"]["patience"]) == (3, 1)


def test_a_row_of_other_data_is_not_kept(
    compared: Path, dataset: Dataset, settings: TagSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(compared, tmp_path / "out")
    found: list[str] = []
    monkeypatch.setattr(module, "run", only((), found, Interrupted()))
    other = replace(dataset, name="others")
    with pytest.raises(Interrupted):
        compare_cells(settings, other, CELLS, tmp_path / "out", device="cpu", resume=True)
    assert found == ["gru"]


def test_of_later_cells_only_finished_runs_are_kept(
    compared: Path, dataset: Dataset, settings: TagSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "out"
    shutil.copytree(compared, output)
    # interrupted after the first cell: the second is done with these settings, and with those it is not
    for epochs, kept in ((3, ["gru", "rnn_tanh"]), (4, ["gru"])):
        longer = override(settings, {"training": {"epochs": epochs}})
        written: list[list[str]] = []
        monkeypatch.setattr(
            module, "write_files", lambda *given, w=written: w.append([row["cell"] for row in given[4]])
        )
        monkeypatch.setattr(module, "run", only(("gru",), [], Interrupted()))
        with suppress(Interrupted):
            compare_cells(longer, dataset, CELLS, output, device="cpu", resume=True)
        assert written[0] == kept


def test_the_device_of_each_run(
    compared: Path, dataset: Dataset, settings: TagSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(compared, tmp_path / "out")
    monkeypatch.setattr(module, "_place", lambda device: "elsewhere")
    cells = (*CELLS, "rnn_relu")
    runs = compare_cells(settings, dataset, cells, tmp_path / "out", device="cpu", resume=True)
    assert [one.device for one in runs] == [place(), place(), "elsewhere"]
    longer = override(settings, {"training": {"epochs": 4}})
    (one,) = compare_cells(longer, dataset, CELLS[:1], tmp_path / "out", device="cpu", resume=True)
    assert one.device == f"{place()}, then elsewhere"


def test_force_starts_again(compared: Path, dataset: Dataset, settings: TagSettings, tmp_path: Path) -> None:
    output = tmp_path / "out"
    shutil.copytree(compared, output)
    (output / "lstm").mkdir()  # no cell of that comparison
    (output / "lstm" / "config.json").write_bytes((output / "gru" / "config.json").read_bytes())
    (output / "rnn_tanh" / "notes.txt").write_text("mine")
    with pytest.raises(TrainingError) as caught:
        compare_cells(settings, dataset, CELLS, output, device="cpu")
    message = f"{output / 'gru'}: expected an empty output directory, found files; use --resume or --force"
    assert str(caught.value) == message
    other = override(settings, {"training": {"epochs": 1}})
    compare_cells(other, dataset, CELLS[1:], output, device="cpu", force=True)
    assert [(row["cell"], row["epochs"]) for row in results(output)] == [("rnn_tanh", 1)]
    assert not (output / "gru").exists()
    assert (output / "lstm" / "config.json").is_file()
    assert (output / "rnn_tanh" / "notes.txt").read_text() == "mine"


def test_results_removed_by_force_do_not_come_back(
    compared: Path, dataset: Dataset, settings: TagSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "out"
    shutil.copytree(compared, output)
    shutil.copytree(compared, output / "lstm")  # not a run's, though of a name that a cell has
    document = json.loads((output / "compare.json").read_text())
    document["settings"]["cells"] += ["lstm", "../out"]
    (output / "compare.json").write_text(json.dumps(document))
    found: list[str] = []
    monkeypatch.setattr(module, "run", only((), found, Interrupted()))
    with pytest.raises(Interrupted):
        compare_cells(settings, dataset, CELLS, output, device="cpu", force=True)
    assert [path.name for path in output.iterdir()] == ["lstm"]
    assert (output / "lstm" / "compare.json").is_file()
    monkeypatch.setattr(module, "run", only(CELLS, found))
    compare_cells(settings, dataset, CELLS, output, device="cpu", resume=True)
    assert found == ["gru", *CELLS]


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
    dropped = override(settings, {"encoder": {"weight_dropout": 0.5}})
    with pytest.raises(SettingsError, match=r"^mingru: encoder: expected a weight_dropout of 0 "):
        compare_cells(dropped, dataset, ("gru", "mingru"), tmp_path / "a", device="cpu")
    assert not (tmp_path / "a").exists()
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "compare.png").touch()
    with pytest.raises(DataError, match=r"compare\.png: the file exists; use --force to replace it$"):
        compare_cells(settings, dataset, CELLS, tmp_path / "b", device="cpu")
