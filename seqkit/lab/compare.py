"""Cells compared: one task, one recipe, one seed, and nothing different but the recurrent cell."""

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
from seqkit.errors import SettingsError, TrainingError
from seqkit.lab.comparison import UNKNOWN, CellRun, draw
from seqkit.lab.output import claim_files, remove_files, write_files
from seqkit.metrics.scores import plural
from seqkit.model.build import build_encoder
from seqkit.model.files import CONFIG, read_config
from seqkit.nn.recurrent import CELLS
from seqkit.training.checkpoint import has_checkpoint
from seqkit.training.loop import HISTORY
from seqkit.training.output import check_output, claimed_output, remove_model
from seqkit.training.progress import Progress
from seqkit.training.run import run
from seqkit.training.stepping import Diverged

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
        force: throw away what an earlier comparison wrote to `output`, of all its cells, before anything is trained.
        quiet: print no progress on standard error.

    Returns:
        One record a cell, in order; a cell whose loss was not finite has no scores, and the others go on.

    Raises:
        SeqkitError: settings, data or directory cannot be used.
        SettingsError: a cell cannot be built so, there is no network, or what is to be gone on with was trained for
            longer than it now should be; nothing has been trained yet.
        Interrupted: Ctrl-C or SIGTERM came; ``resume=True`` goes on from there.
    """
    if settings.ngram:
        raise SettingsError("expected settings of a network, whose cell can be another, found those of n-grams")
    choose_device(device)  # one that is not there is an error now
    chosen = {cell: override(settings, {"encoder": {"cell": cell}}, cell) for cell in cells}
    for cell, own in chosen.items():
        _see_that_it_can_be_built(cell, own)
        check_output(output / cell, resume=resume, force=force)
        if resume:
            _see_that_it_was_not_trained_for_longer(own, output / cell)
    claim_files(output, NAME, force=force or resume)
    if force:
        _remove(output, cells)
    done = _earlier(output)
    progress = Progress(quiet=quiet)
    runs: list[CellRun] = []
    for number, (cell, own) in enumerate(chosen.items(), start=1):
        found = done.pop(cell, None)
        if found is not None and _is_same(found, own, dataset, output / cell):
            progress.say(f"{cell} ({number} of {len(cells)}): done")
        else:
            progress.say(f"{cell} ({number} of {len(cells)})")
            found = _train(own, dataset, output / cell, device, found, quiet=quiet)
        runs.append(found)
        # What is done of the cells that are still to come is kept in the file, too.
        later = [
            row for name, row in done.items() if name in chosen and _is_same(row, chosen[name], dataset, output / name)
        ]
        write_files(output, NAME, draw(runs), _about(settings, dataset, cells), _rows([*runs, *later]), _spent(runs))
    return runs


def _see_that_it_can_be_built(cell: str, settings: Settings) -> None:
    """Some cells want sizes of a certain kind: that is found before the first one is trained."""
    try:
        with torch.random.fork_rng(devices=[]):
            build_encoder(settings.encoder, settings.encoder.hidden)
    except SettingsError as error:
        raise SettingsError(f"{cell}: {error}") from None


def _see_that_it_was_not_trained_for_longer(settings: Settings, output: Path) -> None:
    """One may go on for longer; but a run that had more than the others will have is none to compare them with."""
    lines, training = _history(output), settings.training
    stale = max([line["epoch"] - line["best_epoch"] for line in lines[:-1]], default=0)  # and it went on
    minutes = sum(line["seconds"] + line["dev_seconds"] for line in lines[:-1]) / 60
    limit = _time_limit(output, training.time_limit)
    found = {}
    if len(lines) > training.epochs:
        found["epochs"] = f"one of {plural(len(lines), 'epoch')}"
    if 0 < training.patience <= stale:
        found["patience"] = f"one that went on after {plural(stale, 'epoch')} without a better score"
    if limit != training.time_limit:
        found["time_limit"] = f"one with {limit:g}"  # which may have cut its last epoch short
    elif 0 < training.time_limit <= minutes:
        found["time_limit"] = f"one that went on after {minutes:.1f} minutes"
    for name, what in found.items():
        expected = f"expected a run with training.{name} = {getattr(training, name):g}"
        raise SettingsError(f"{output}: {expected}, found {what}; start again with --force")


def _time_limit(output: Path, default: float) -> float:
    """The limit of a finished run; `default` where there is none."""
    if not (output / CONFIG).is_file():
        return default
    return float(read_config(output)[0]["settings"].get("training", {}).get("time_limit", 0.0))


def _remove(output: Path, cells: Sequence[str]) -> None:
    """Remove an earlier comparison: what is left of it when this one is interrupted would be taken for this one's."""
    others = [cell for cell in CELLS if cell in _cells_in(output) and cell not in cells]
    for folder in [output / cell for cell in (*cells, *others)]:
        if folder.is_dir():
            # A folder that no run wrote to, of a cell not asked for, is someone else's.
            foreign = suppress(TrainingError) if folder.name in others else nullcontext()
            with foreign, claimed_output(folder, resume=False, force=True):
                remove_model(folder)
            with suppress(OSError):  # something else is in it
                folder.rmdir()
    remove_files(output, NAME)


def _train(
    settings: Settings, dataset: Dataset, output: Path, device: str, earlier: CellRun | None, *, quiet: bool
) -> CellRun:
    """Train one cell, or go on with it; `earlier` is what the file says of it so far."""
    cell = settings.encoder.cell
    begun, before = has_checkpoint(output), _history(output)
    began = time.monotonic()
    fault, report = "", {}
    try:
        # Its folder is empty, or what is there is to be gone on with. The model itself is let go at once.
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
    """Where it is trained now."""
    place = str(choose_device(device))
    return f"{place}, {plural(torch.get_num_threads(), 'thread')}" if place == "cpu" else place


def _history(output: Path) -> list[dict[str, Any]]:
    path = output / HISTORY
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text(encoding="ascii").splitlines()]


def _earlier(output: Path) -> dict[str, CellRun]:
    """What an earlier comparison found; nothing where its file is of another form: each run knows how it stands."""
    try:
        found = {row["cell"]: CellRun(**row) for row in _document(output)["results"]}
    except (OSError, ValueError, TypeError, KeyError):
        return {}
    return found


def _cells_in(output: Path) -> set[str]:
    """The cells of an earlier comparison, as far as its file says."""
    try:
        return set(map(str, _document(output)["settings"]["cells"]))
    except (OSError, ValueError, TypeError, KeyError):
        return set()


def _document(output: Path) -> Any:
    return json.loads((output / f"{NAME}.json").read_text(encoding="ascii"))


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
