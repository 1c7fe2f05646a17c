"""Cells compared: one task, one recipe, one seed; only the recurrent cell differs."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from seqkit.config import Settings, override
from seqkit.corpora.dataset import Dataset
from seqkit.devices import choose_device
from seqkit.errors import ModelError, SettingsError, TrainingError
from seqkit.inputs.building import build_encoder
from seqkit.lab.comparison import UNKNOWN, CellRun, draw
from seqkit.lab.output import claim_files, remove_files, write_files
from seqkit.metrics.scores import plural
from seqkit.model.files import CONFIG, read_config
from seqkit.nn.recurrent import CELLS
from seqkit.training.checkpoint import has_checkpoint
from seqkit.training.output import check_output, claimed_output, remove_model
from seqkit.training.progress import Progress
from seqkit.training.run import run
from seqkit.training.stepping import Diverged
from seqkit.training.trainer import HISTORY

NAME = "compare"
"""the name of its files"""
_UNREADABLE = (OSError, ValueError, TypeError, KeyError)
"""the file of an earlier comparison does not exist, or has another form"""


def compare_cells(
    settings: Settings,
    dataset: Dataset,
    cells: Sequence[str],
    output: Path,
    *,
    device: str = "auto",
    resume: bool = False,
    force: bool = False,
    quiet: bool = True,
) -> list[CellRun]:
    """Train the same model once with each cell, and write a table of the results.

    Everything else is equal: the data and their order, the seed, the sizes, the optimiser and its budget. Each model is
    kept in a folder named after its cell; ``compare.json`` and ``compare.png`` are written again after each cell.

    Args:
        settings: the settings of any task; their cell is not used.
        dataset: the data.
        cells: keys of `seqkit.nn.recurrent.CELLS`.
        output: the output folder.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        resume: continue an earlier comparison in `output`: finished models stay as they are.
        force: remove the files of an earlier comparison in `output`, of all its cells, before training.
        quiet: print no progress on standard error.

    Returns:
        One record per cell, in order; a cell that diverges has no scores, and the others continue.

    Raises:
        SeqkitError: the settings, the data or the folder cannot be used.
        SettingsError: the settings do not fit a cell, there is no network, or a run to continue was trained for longer
            than the settings allow; nothing has been trained yet.
        Interrupted: Ctrl-C or SIGTERM; ``resume=True`` continues.
    """
    if settings.kind:
        raise SettingsError("an n-gram model has no cell to compare; use the settings of a network")
    choose_device(device)  # a device that does not exist is an error before training
    chosen = {cell: override(settings, {"encoder": {"cell": cell}}, cell) for cell in cells}
    for cell, own in chosen.items():
        _check_network(cell, own)
        check_output(output / cell, resume=resume, force=force)
        if resume:
            _check_budget(own, output / cell)
    claim_files(output, NAME, force=force or resume)
    if force:
        _remove(output, cells)
    earlier: dict[str, CellRun] = {}
    with suppress(*_UNREADABLE):
        earlier = {row["cell"]: CellRun(**row) for row in _document(output)["results"]}
    finished = {
        cell: one
        for cell, one in earlier.items()
        if cell in chosen and _is_same(one, chosen[cell], dataset, output / cell)
    }
    common = settings.model_dump(mode="json", exclude={"encoder": {"cell"}})
    about = {"data": dataset.name, "cells": list(cells), **common}
    progress = Progress(quiet=quiet)
    runs: list[CellRun] = []
    for number, (cell, own) in enumerate(chosen.items(), start=1):
        found = finished.pop(cell, None)
        progress.say(f"{cell} ({number} of {len(cells)}){': done' if found else ''}")
        runs.append(found or _train(own, dataset, output / cell, device, earlier.get(cell), quiet=quiet))
        # The file also keeps the finished runs of the cells that follow.
        rows = [asdict(one) for one in (*runs, *finished.values())]
        write_files(output, NAME, draw(runs), about, rows, sum(one.seconds for one in runs))
    return runs


def _check_network(cell: str, settings: Settings) -> None:
    """Some cells need certain sizes: check that before the first one is trained."""
    try:
        with torch.random.fork_rng(devices=[]):
            build_encoder(settings.encoder, settings.encoder.hidden)
    except SettingsError as error:
        raise SettingsError(f"{cell}: {error}") from None


def _check_budget(settings: Settings, output: Path) -> None:
    """A run may continue for longer, but one that had more than the others will have cannot be compared with them."""
    lines, training = _history(output), settings.training
    stale = max([line["epoch"] - line["best_epoch"] for line in lines[:-1]], default=0)  # after which it continued
    minutes = sum(line["seconds"] + line["dev_seconds"] for line in lines[:-1]) / 60
    limit = training.time_limit
    if (output / CONFIG).is_file():
        with suppress(ModelError):  # a damaged model is written again
            limit = read_config(output)[0]["settings"].get("training", {}).get("time_limit", 0.0)
    no_better = plural(stale, "epoch")
    for exceeded, name, past in (
        (len(lines) > training.epochs, "epochs", f"had {plural(len(lines), 'epoch')}"),
        (0 < training.patience <= stale, "patience", f"continued after {no_better} without a better score"),
        (limit != training.time_limit, "time_limit", f"had {limit:g}"),  # which may have shortened its last epoch
        (0 < training.time_limit <= minutes, "time_limit", f"continued after {minutes:.1f} minutes"),
    ):
        if exceeded:
            now = f"training.{name} is {getattr(training, name):g}"
            raise SettingsError(f"{output}: {now}, but the earlier run {past}; start again with --force")


def _remove(output: Path, cells: Sequence[str]) -> None:
    """Remove an earlier comparison: if this one is interrupted, ``--resume`` must not find parts of the earlier one."""
    others: list[str] = []
    with suppress(*_UNREADABLE):
        earlier = set(map(str, _document(output)["settings"]["cells"]))
        others = [cell for cell in CELLS if cell in earlier and cell not in cells]
    remove_files(output, NAME)  # first: what is named there counts as finished
    for folder in [output / cell for cell in (*cells, *others)]:
        if folder.is_dir():
            # A folder of a cell that is not compared now may be the user's own, not written by a run.
            foreign = suppress(TrainingError) if folder.name in others else nullcontext()
            with foreign, claimed_output(folder, resume=False, force=True):
                remove_model(folder)
            with suppress(OSError):  # the folder has other files
                folder.rmdir()


def _train(
    settings: Settings, dataset: Dataset, output: Path, device: str, earlier: CellRun | None, *, quiet: bool
) -> CellRun:
    """Train one cell, or continue its training; `earlier` is its row of the earlier comparison."""
    cell = settings.encoder.cell
    begun, before = has_checkpoint(output), _history(output)
    began = time.monotonic()
    fault, report = "", {}
    try:
        # The folder is empty or has a run to continue. The model itself is not kept in memory.
        report = run(settings, output, dataset, device=device, resume=True, quiet=quiet).model.report
    except Diverged as error:
        fault = str(error)
        Progress(quiet=quiet).say(f"{cell}: {fault}")
    lines = _history(output)
    places = [_place(device)] if len(lines) > len(before) or not begun else []
    if begun:
        known = earlier is not None and bool(before) and list(earlier.history) == before
        places.insert(0, earlier.device if earlier is not None and known else UNKNOWN)
    training = report.get("training", {})
    return CellRun(
        cell=cell,
        settings=settings.model_dump(mode="json"),
        data=dataset.name,
        device=", then ".join(dict.fromkeys(places)),
        scores=report.get("scores", {}),
        parameters=report.get("parameters", {}),
        tokens_per_second=statistics.median([line["tokens_per_second"] for line in lines] or [0.0]),
        best_epoch=training.get("best_epoch", 0),
        epochs=len(lines),
        seconds=training.get("seconds", time.monotonic() - began),
        history=lines,
        fault=fault,
    )


def _place(device: str) -> str:
    """The device, and on a CPU the number of threads."""
    place = str(choose_device(device))
    return f"{place}, {plural(torch.get_num_threads(), 'thread')}" if place == "cpu" else place


def _history(output: Path) -> list[dict[str, Any]]:
    path = output / HISTORY
    lines = path.read_text(encoding="ascii").splitlines() if path.is_file() else []
    return [json.loads(line) for line in lines]


def _document(output: Path) -> Any:
    """The file of an earlier comparison; see `_UNREADABLE`."""
    return json.loads((output / f"{NAME}.json").read_text(encoding="ascii"))


def _is_same(found: CellRun, settings: Settings, dataset: Dataset, output: Path) -> bool:
    """Whether an earlier run had the same settings and data, and its model still exists."""
    same = (found.settings, found.data) == (settings.model_dump(mode="json"), dataset.name)
    return same and bool(found.fault or (output / CONFIG).is_file())
