"""`train`: data and settings → a model directory. What the command line and Python callers both use."""

from __future__ import annotations

import inspect
import platform
import time
from collections.abc import Iterable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, NamedTuple

import torch

from seqkit._version import __version__
from seqkit.config import BATCH_TOKENS, Recipe, Settings, load_recipe, parse_settings
from seqkit.corpora.dataset import Dataset
from seqkit.corpora.from_python import from_items
from seqkit.corpora.reading import training_data
from seqkit.corpora.resolve import resolve
from seqkit.devices import repeatable, training_arithmetic
from seqkit.errors import SettingsError, TrainingError, describe, nearest, shown
from seqkit.heads.base import Report
from seqkit.model.base import Predictor
from seqkit.model.files import path_of
from seqkit.model.pipeline import BatchSize
from seqkit.tasks import TASKS
from seqkit.training.checkpoint import features_file, has_checkpoint, saying_what_is_left
from seqkit.training.distribution import Group, training_group
from seqkit.training.learner import Learner
from seqkit.training.output import check_output, claimed_output
from seqkit.training.prepare import Prepared, prepare
from seqkit.training.progress import Progress
from seqkit.training.trainer import Trainer


class Trained(NamedTuple):
    """What a run gives.

    Attributes:
        model: the model with the best score on dev.
        reports: its scores, by split; of several processes the first alone has them.
    """

    model: Any
    reports: dict[str, Report]


def train(
    recipe: str | Path | Recipe | Settings | Mapping[str, Any],
    output: str | Path,
    data: str | Path | Dataset | Iterable[Any] | None = None,
    *,
    dev: Iterable[Any] | None = None,
    test: Iterable[Any] | None = None,
    device: str = "auto",
    resume: bool = False,
    force: bool = False,
    quiet: bool = True,
    **others: Any,
) -> Any:
    """Train a model and write it to a directory.

    Args:
        recipe: the name of a recipe, a TOML file, or settings, also as a mapping section → name → value.
        output: the directory; refused if it is not empty, unless ``resume=True`` or ``force=True`` is given.
        data: the name of a data set, a file, a folder, a `Dataset`, a table or any iterable of what the task learns
            from, or a mapping split → such (see `seqkit.corpora.from_python.from_items`); by default the recipe's data
            set.
        dev: items to choose the best epoch by, where `data` is an iterable; a tenth of `data` is held out otherwise.
        test: items to report on at the end, where `data` is an iterable.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        resume: go on from the checkpoint in `output`, if there is one.
        force: replace what an earlier run wrote to `output`; its model stays there until the new one is trained.
        quiet: print no progress on standard error.
        **others: none; settings go into the recipe, as the error says.

    Returns:
        The model with the best score on dev, a `seqkit.model.base.Predictor`; its ``report`` holds the scores on dev
        and, where there is one, test.

    Raises:
        SeqkitError: settings, data or directory cannot be used.
        SettingsError: an argument is a setting, which goes into the recipe, or does not exist.
        Interrupted: Ctrl-C or SIGTERM came (a `KeyboardInterrupt`); ``resume=True`` goes on from there.

    Examples:
        Of pairs, with two texts to choose the best epoch by:

        >>> import tempfile
        >>> settings = {"task": "classify", "training": {"epochs": 1}, "encoder": {"hidden": 4}}
        >>> pairs = [("a fine film", "good"), ("never again", "bad")]
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     model = train(settings, folder, pairs, dev=pairs, device="cpu")
        >>> sorted(model.classify("fine").probs)
        ['bad', 'good']

        Of mappings, as of the rows of a table:

        >>> rows = [{"tokens": ["Ada", "slept"], "labels": ["PER", "O"]}]
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     model = train({"task": "tag", "training": {"epochs": 1}}, folder, rows * 4, device="cpu")
        >>> len(model.tag(["Ada", "slept"]).labels)
        2
    """
    if others:
        raise SettingsError(_not_an_argument(recipe, *next(iter(others.items()))))
    return run(recipe, output, data, dev=dev, test=test, device=device, resume=resume, force=force, quiet=quiet).model


def _not_an_argument(recipe: Any, name: str, value: Any) -> str:
    """What to say of an argument that `train` does not have: where it goes, if it is a setting."""
    settings, _ = _settings_of(recipe)
    known = [*inspect.signature(train).parameters][:-1]
    for section, field in type(settings).model_fields.items():
        if isinstance(field.annotation, type) and name in getattr(field.annotation, "model_fields", {}):
            how = f'{{"{section}": {{"{name}": {shown(value)}}}}}'
            if not isinstance(recipe, Mapping):
                given = (
                    f"seqkit.load_recipe({str(recipe)!r}).settings" if isinstance(recipe, str | Path) else "settings"
                )
                how = f"seqkit.config.override({given}, {how})"
            return f"{name} is a setting: {section}.{name}; pass it in the recipe: {how}"
    return f"train has no argument {name!r}{nearest(name, known)}; it has {', '.join(known)}"


def _settings_of(recipe: Any) -> tuple[Settings, str]:
    """The settings of a recipe, and the data set that it names."""
    chosen = load_recipe(recipe) if isinstance(recipe, str | Path) else recipe
    settings, named = (chosen.settings, chosen.dataset) if isinstance(chosen, Recipe) else (chosen, "")
    if isinstance(settings, Settings):
        return settings, named
    try:
        return parse_settings(settings, "settings"), named
    except SettingsError:
        for input in ("frames", "pair") if isinstance(settings, Mapping) and "input" not in settings else ():
            with suppress(SettingsError):  # settings that only sequences of vectors, or pairs of texts, have
                return parse_settings({**settings, "input": input}, "settings"), named
        raise


def run(
    recipe: str | Path | Recipe | Settings | Mapping[str, Any],
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
        recipe: the name of a recipe, a TOML file, or settings, also as a mapping section → name → value.
        output: the directory; refused if it is not empty, unless `resume` or `force` is given.
        data: the name of a data set, a file, a folder, a `Dataset`, a table or any iterable of what the task learns
            from, or a mapping split → such (see `seqkit.corpora.from_python.from_items`); by default the recipe's data
            set.
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
        TrainingError: the directory is in use, or its checkpoint is not for these settings.
        Interrupted: Ctrl-C or SIGTERM came; ``resume=True`` goes on from there.
    """
    settings, named = _settings_of(recipe)
    output = path_of(output, "the output directory")
    with training_group(device) as group, ExitStack() as stack:
        if group.size > 1 and settings.kind:
            raise SettingsError(f"n-grams are counted by one process, and {group.size} were started")
        quiet = quiet or not group.is_first
        with group.in_turn():
            dataset = _dataset(data if data is not None else named, dev, test, settings, quiet)
            settings = _settings_of_data(recipe, settings, dataset)
        dataset = training_data(dataset, settings)
        dataset.refuse_untrainable()
        settings = settings.complete(dataset)
        if group.is_first:
            check_output(output, resume=resume, force=force)
        progress = Progress(quiet=quiet)
        stack.enter_context(repeatable(settings.training.deterministic))
        prepared = prepare(settings, dataset, group.device, progress, features_file(output), resumes=resume)
        if not isinstance(data, Dataset):  # which may be used again
            dataset.forget_train()
        if group.is_first:
            # Only now that nothing can be wrong with the input.
            stack.enter_context(claimed_output(output, resume=resume, force=force))
            if prepared.learner is not None:
                prepared.model.input.settle(features_file(output))
        if prepared.learner is not None:
            training = _fit(prepared.learner, output, progress, group, resume=resume)
        elif resume and has_checkpoint(output):
            fault = "n-grams are counted at once, and cannot go on from the checkpoint that is there"
            raise TrainingError(f"{output}: {fault}; start again with --force")
        else:
            training = dict(prepared.training)
        reports = _finish(prepared, training, dataset, output) if group.is_first else {}
        prepared.model.report = group.tell(prepared.model.report)[0]
    return Trained(prepared.model, reports)


def _settings_of_data(recipe: Any, settings: Settings, dataset: Dataset) -> Settings:
    """The settings, where a mapping does not say what is read: as on the command line, sequences of vectors.

    Texts beside them are read where it has a setting that only words have.

    Raises:
        SettingsError: it has such a setting, and there are no texts.
    """
    if not isinstance(recipe, Mapping) or "input" in recipe or settings.row.records in ("frames", "pairs"):
        return settings
    is_pair = dataset.card is not None and dataset.card.input == "pair"
    if is_pair and not {"text", "token_column"} & set(recipe.get("data", {})):
        return parse_settings({**recipe, "input": "pair"}, "settings")
    if all(row.records != "frames" for row in TASKS[settings.row.name].rows):
        return settings
    data: Any = settings.data
    asked = recipe.get("data", {})
    if not dataset.described(settings.description()).reads_frames(named="text" in asked or "token_column" in asked):
        return settings
    try:
        return parse_settings({**recipe, "input": "frames"}, "settings")
    except SettingsError:
        if dataset.has_texts(data.text):
            return settings
        raise


def _dataset(data: Any, dev: Any, test: Any, settings: Settings, quiet: bool) -> Dataset:
    given = isinstance(data, Dataset | str | Path)
    if given and (dev is not None or test is not None):
        raise SettingsError("dev and test go with training data from Python, not with a data set, which has its own")
    if isinstance(data, Dataset):
        return data
    if isinstance(data, str | Path):
        if not str(data):
            raise SettingsError("no data to train on: none was given, and the recipe names no data set")
        return resolve(data, quiet=quiet)
    return from_items(settings.row.records, data, dev, test, settings.label, settings.texts)


def _fit(learner: Learner, output: Path, progress: Progress, group: Group, *, resume: bool) -> dict[str, Any]:
    """Train; what the report says of it."""
    learner.batch_size = BatchSize(BATCH_TOKENS, progress.say, learner.settings.row)
    training = learner.settings.training
    trainer = Trainer(learner, training, output, progress, group)
    if resume and trainer.resume():
        if trainer.epoch < training.epochs:
            progress.say(f"resuming at epoch {trainer.epoch + 1}, step {trainer.step}")
        else:
            asked = f"--epochs is {training.epochs}"
            progress.say(f"the run has had {trainer.epoch} epochs, and {asked}: nothing is left to train")
    if learner.rounds:
        progress.say("precision auto: fp32, with bf16 products in the gradient of the softmax over the vocabulary")
    began = time.monotonic()
    with training_arithmetic(training.precision, group.device):
        trainer.run()
    progress.say(f"{training.keep} epoch {trainer.best_epoch}, {(time.monotonic() - began) / 60:.1f} minutes")
    spent = sum(line["seconds"] + line["dev_seconds"] for line in trainer.history)
    return {"best_epoch": trainer.best_epoch, "epochs": trainer.epoch, "seconds": spent}


def _finish(prepared: Prepared, training: dict[str, Any], dataset: Dataset, output: Path) -> dict[str, Report]:
    """Write the model, and once more with its scores: whatever goes wrong in scoring, hours of training are kept."""
    model: Predictor = prepared.model
    with saying_what_is_left(output):
        model.save(output)
    try:
        reports: dict[str, Report] = prepared.reports(dataset)
    except Exception as error:
        line = describe(error)
        if line is None:
            raise
        raise TrainingError(f"{line}; the model itself is complete, in {output}") from None
    model.report |= {
        **(prepared.learner.facts if prepared.learner is not None else {}),
        "data": {
            "name": dataset.name,
            "sentences": {"train": prepared.size, **{split: report.sentences for split, report in reports.items()}},
        },
        "scores": {name: report.to_json() for name, report in reports.items()},
        "training": training,
        "parameters": model.parameter_counts(),
        "versions": {"seqkit": __version__, "torch": torch.__version__, "python": platform.python_version()},
    }
    with saying_what_is_left(output):
        model.save(output)
    return reports
