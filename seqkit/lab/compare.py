"""Cells compared: one task, one recipe, one seed, and nothing different but the recurrent cell."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from seqkit.artefact import CONFIG
from seqkit.config import Settings, override
from seqkit.data.dataset import Dataset
from seqkit.devices import choose_device
from seqkit.errors import SettingsError
from seqkit.lab.comparison import CellRun, draw
from seqkit.lab.output import claim_files, write_files
from seqkit.metrics.scores import plural
from seqkit.model.build import build_encoder
from seqkit.training.loop import HISTORY, Diverged
from seqkit.training.output import check_output
from seqkit.training.progress import Progress
from seqkit.training.run import run

__all__ = ["NAME", "compare_cells"]

NAME = "compare"
"""what its files are called"""


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
    """Train the same model once with each cell, and write what came of it.

    Everything else is equal: the data and their order, the seed, the sizes, the optimiser and its budget. Each model is
    kept in a folder of its cell's name; ``compare.json`` and ``compare.png`` are written anew after each.

    Args:
        settings: what to train, of any task; its cell has no influence.
        dataset: the data.
        cells: keys of `seqkit.nn.recurrent.CELLS`.
        output: where everything goes.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        resume: go on with an earlier comparison in `output`: models that are finished stay as they are.
        force: throw away what an earlier comparison wrote to `output`.
        quiet: print no progress on standard error.

    Returns:
        One record a cell, in order; a cell whose loss was not finite has no scores, and the others go on.

    Raises:
        SeqkitError: settings, data or directory cannot be used.
        SettingsError: a cell cannot be built so, or there is no network; nothing has been trained yet.
        Interrupted: Ctrl-C or SIGTERM came; ``resume=True`` goes on from there.
    """
    if settings.ngram:
        raise SettingsError("expected settings of a network, whose cell can be another, found those of n-grams")
    place = str(choose_device(device))
    place = f"{place}, {plural(torch.get_num_threads(), 'thread')}" if place == "cpu" else place
    chosen = {cell: override(settings, {"encoder": {"cell": cell}}, cell) for cell in cells}
    for cell, one in chosen.items():
        _see_that_it_can_be_built(cell, one)
        check_output(output / cell, resume=resume, force=force)
    claim_files(output, NAME, force=force or resume)
    done = _earlier(output) if resume else {}
    progress = Progress(quiet=quiet)
    runs: list[CellRun] = []
    for number, (cell, one) in enumerate(chosen.items(), start=1):
        found = done.get(cell)
        if found is not None and _is_same(found, one, dataset, output / cell):
            progress.say(f"{cell} ({number} of {len(cells)}): done")
        else:
            progress.say(f"{cell} ({number} of {len(cells)})")
            found = _train(cell, one, dataset, output / cell, device, place, resume=resume, force=force, quiet=quiet)
        runs.append(found)
        # What is done of the cells that are still to come is kept in the file, too.
        rest = [one for name, one in done.items() if name in cells and name not in {one.cell for one in runs}]
        write_files(output, NAME, draw(runs), _about(settings, dataset, cells), _rows([*runs, *rest]), _spent(runs))
    return runs


def _see_that_it_can_be_built(cell: str, settings: Settings) -> None:
    """Some cells want sizes of a certain kind: that is found before the first one is trained."""
    try:
        with torch.random.fork_rng(devices=[]):
            build_encoder(settings.encoder, settings.encoder.hidden)
    except ValueError as error:
        raise SettingsError(f"{cell}: {error}") from None


def _train(
    cell: str,
    settings: Settings,
    dataset: Dataset,
    output: Path,
    device: str,
    place: str,
    *,
    resume: bool,
    force: bool,
    quiet: bool,
) -> CellRun:
    began = time.monotonic()
    fault, report = "", {}
    try:
        report = run(
            settings, output, dataset, device=device, resume=resume, force=force, quiet=quiet
        ).model.report  # what it keeps of the model is let go at once
    except Diverged as error:
        fault = str(error)
        Progress(quiet=quiet).say(f"{cell}: {fault}")
    lines = _history(output)
    training = report.get("training", {})
    return CellRun(
        cell=cell,
        settings=settings.model_dump(mode="json"),
        data=dataset.name,
        device=place,
        scores=report.get("scores", {}),
        parameters=report.get("parameters", {}),
        tokens_per_second=statistics.median([line["tokens_per_second"] for line in lines] or [0.0]),
        best_epoch=training.get("best_epoch", 0),
        epochs=len(lines),
        seconds=training.get("seconds", time.monotonic() - began),
        history=lines,
        fault=fault,
    )


def _history(output: Path) -> list[dict[str, Any]]:
    path = output / HISTORY
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text(encoding="ascii").splitlines()]


def _earlier(output: Path) -> dict[str, CellRun]:
    """What an earlier comparison found; nothing where its file is of another form: each run knows how it stands."""
    try:
        rows = json.loads((output / f"{NAME}.json").read_text(encoding="ascii"))["results"]
        found = {row["cell"]: CellRun(**row) for row in rows}
    except (OSError, ValueError, TypeError, KeyError):
        return {}
    return found


def _is_same(found: CellRun, settings: Settings, dataset: Dataset, output: Path) -> bool:
    """Whether an earlier run was of the same settings and data, and its model is still there."""
    same = (found.settings, found.data) == (settings.model_dump(mode="json"), dataset.name)
    return same and bool(found.fault or (output / CONFIG).is_file())


def _about(settings: Settings, dataset: Dataset, cells: Sequence[str]) -> dict[str, Any]:
    tree = settings.model_dump(mode="json")
    del tree["encoder"]["cell"]
    return {"data": dataset.name, "cells": list(cells), **tree}


def _rows(runs: Sequence[CellRun]) -> list[dict[str, Any]]:
    return [asdict(one) for one in runs]


def _spent(runs: Sequence[CellRun]) -> float:
    return sum(one.seconds for one in runs)
