"""`train`: data and settings → a model directory. What the command line and Python callers both use."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import torch

from seqkit._version import __version__
from seqkit.config import Recipe, Settings, load_recipe
from seqkit.corpora.dataset import Dataset
from seqkit.corpora.resolve import resolve
from seqkit.devices import precision_context, repeatable
from seqkit.errors import SeqkitError, SettingsError, TrainingError
from seqkit.model.base import Model
from seqkit.model.files import read_config
from seqkit.resources import imported
from seqkit.training.checkpoint import saying_what_is_left
from seqkit.training.distribution import joined
from seqkit.training.output import check_output, claimed_output
from seqkit.training.progress import Progress
from seqkit.training.task import Report, TrainingTask

__all__ = ["TASKS", "Trained", "complete_settings", "prepare", "run", "task_class", "train"]

TASKS = {
    "tag": "seqkit.training.tagging:TaggingTask",
    "classify": "seqkit.training.classification:ClassificationTask",
    "lm": "seqkit.training.language_model:LanguageModelTask",
    "generate": "seqkit.training.generation:GenerationTask",
    "ngram": "seqkit.training.ngram:NgramTask",
}
"""kind (`seqkit.config.Settings.kind`) → where the class that makes such models is; imported when it is needed"""


def task_class(kind: str) -> type[TrainingTask]:
    """The class that makes the models of a kind.

    Args:
        kind: a key of `TASKS`.

    Returns:
        The class.
    """
    found: type[TrainingTask] = imported(TASKS[kind])
    return found


def complete_settings(settings: Settings, dataset: Dataset) -> Settings:
    """Fill in what a data set's card says and the settings leave open."""
    return task_class(settings.kind).complete(settings, dataset)


def prepare(settings: Settings, dataset: Dataset, device: torch.device, progress: Progress) -> TrainingTask:
    """Read the data and build the task, from the seed on.

    Args:
        settings: complete settings.
        dataset: the data.
        device: where to train.
        progress: where messages go.

    Returns:
        The task, its model initialised.

    Raises:
        SeqkitError: the data, the vectors or the settings cannot be used.
    """
    precision_context(settings.training.precision, device)  # a precision that the device lacks is an error now
    for directory in (settings.training.init_from, getattr(settings.embedding, "context", "")):
        if directory:
            read_config(Path(directory))  # before the data, which may take long to read
    torch.manual_seed(settings.training.seed)
    return task_class(settings.kind).prepare(settings, dataset, device, progress)


class Trained(NamedTuple):
    """What a run gives.

    Attributes:
        model: the model with the best score on dev.
        reports: its scores, by split; of several processes the first alone has them.
    """

    model: Model
    reports: dict[str, Report]


def train(
    recipe: str | Path | Recipe | Settings,
    output: str | Path,
    data: str | Path | Dataset | Iterable[Any] | None = None,
    **options: Any,
) -> Model:
    """Train a model and write it to a directory.

    Args:
        recipe: the name of a recipe, a TOML file, or settings.
        output: the directory; refused if it is not empty, unless ``resume=True`` or ``force=True`` is given.
        data: the name of a data set, a file, a folder, a `Dataset`, or any iterable of what the task learns
            from (see its `TrainingTask.from_items`); by default the recipe's data set.
        **options: the other arguments of `run`.

    Returns:
        The model with the best score on dev; its ``report`` holds the scores on dev and, where there is one, test.

    Raises:
        SeqkitError: settings, data or directory cannot be used.
        Interrupted: Ctrl-C or SIGTERM came (a `KeyboardInterrupt`); ``resume=True`` goes on from there.
    """
    return run(recipe, output, data, **options).model


def run(
    recipe: str | Path | Recipe | Settings,
    output: str | Path,
    data: str | Path | Dataset | Iterable[Any] | None = None,
    *,
    dev: Iterable[Any] | None = None,
    test: Iterable[Any] | None = None,
    device: str = "auto",
    resume: bool = False,
    force: bool = False,
    quiet: bool = True,
) -> Trained:
    """Train a model, score it, and write it to a directory.

    Of several processes that ``torchrun`` started, each takes its share of every batch, and the first one writes.

    Args:
        recipe: the name of a recipe, a TOML file, or settings.
        output: the directory; refused if it is not empty, unless `resume` or `force` is given.
        data: the name of a data set, a file, a folder, a `Dataset`, or any iterable of what the task learns
            from (see its `TrainingTask.from_items`); by default the recipe's data set.
        dev: items to choose the best epoch by, where `data` is an iterable; a tenth of `data` is held out otherwise.
        test: items to report on at the end, where `data` is an iterable.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        resume: go on from the checkpoint in `output`, if there is one.
        force: replace what an earlier run wrote to `output`; its model stays there until the new one is trained.
        quiet: print no progress on standard error.

    Returns:
        The model and its scores.

    Raises:
        SeqkitError: settings, data or directory cannot be used.
        SettingsError: several processes cannot share the work.
        Interrupted: Ctrl-C or SIGTERM came; ``resume=True`` goes on from there.
    """
    chosen = load_recipe(recipe) if isinstance(recipe, str | Path) else recipe
    settings = chosen.settings if isinstance(chosen, Recipe) else chosen
    named = chosen.dataset if isinstance(chosen, Recipe) else ""
    kind = task_class(settings.kind)
    output = Path(output)
    with joined(device) as group, ExitStack() as stack:
        if group.size > 1 and not kind.divisible:
            raise SettingsError(f"expected one process, found {group.size}: counting n-grams is not shared")
        quiet = quiet or not group.is_first
        with group.in_turn():
            dataset = _dataset(data if data is not None else named, dev, test, kind, quiet)
        settings = complete_settings(settings, dataset)
        if group.is_first:
            check_output(output, resume=resume, force=force)
        progress = Progress(quiet=quiet)
        stack.enter_context(repeatable(settings.training.deterministic))
        task = prepare(settings, dataset, group.device, progress)
        if not isinstance(data, Dataset):  # which may be used again
            dataset.forget_train()
        if group.is_first:
            # Only now that nothing can be wrong with the input.
            stack.enter_context(claimed_output(output, resume=resume, force=force))
        training = task.fit(output, progress, group, resume=resume)
        reports = _finish(task, training, dataset, output) if group.is_first else {}
        task.model.report = group.tell(task.model.report)[0]
    return Trained(task.model, reports)


def _dataset(data: Any, dev: Any, test: Any, task: type[TrainingTask], quiet: bool) -> Dataset:
    given = isinstance(data, Dataset | str | Path)
    if given and (dev is not None or test is not None):
        raise SettingsError(
            "expected dev and test only beside pairs of tokens and labels, found them beside a data set"
        )
    if isinstance(data, Dataset):
        return data
    if isinstance(data, str | Path):
        if not str(data):
            raise SettingsError("expected data to train on, found none, and the recipe names no data set")
        return resolve(data, quiet=quiet)
    return task.from_items(data, dev, test)


def _finish(task: TrainingTask, training: dict[str, Any], dataset: Dataset, output: Path) -> dict[str, Report]:
    """Write the model, and once more with its scores: whatever goes wrong in scoring, hours of training are kept."""
    model = task.model
    with saying_what_is_left(output):
        model.save(output)
    try:
        reports: dict[str, Report] = task.reports(dataset)
    except SeqkitError as error:
        raise TrainingError(f"{error}; the model itself is complete, in {output}") from None
    model.report |= {
        "data": {
            "name": dataset.name,
            "sentences": {"train": task.size, **{split: report.sentences for split, report in reports.items()}},
        },
        "scores": {name: report.to_json() for name, report in reports.items()},
        "training": training,
        "parameters": model.parameter_counts(),
        "versions": {"seqkit": __version__, "torch": torch.__version__, "python": platform.python_version()},
    }
    with saying_what_is_left(output):
        model.save(output)
    return reports
