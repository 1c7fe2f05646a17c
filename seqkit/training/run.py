"""`train`: data and settings → a model directory. What the command line and Python callers both use."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from seqkit import __version__
from seqkit.artefact import CONFIG, FILES, aside
from seqkit.config import Recipe, Settings, load_recipe, override
from seqkit.data.dataset import Dataset, from_pairs, resolve
from seqkit.data.labels import is_label
from seqkit.data.sentence import Sentence
from seqkit.data.splitting import Splitter
from seqkit.data.tag_codec import TagCodec
from seqkit.data.vectors import Vectors, read_vectors
from seqkit.devices import choose_device, precision_context
from seqkit.errors import DataError, SettingsError, TrainingError
from seqkit.metrics.tagging import TaggingReport
from seqkit.model import Model
from seqkit.training.checkpoint import checkpoint_file
from seqkit.training.evaluation import evaluate
from seqkit.training.loop import HISTORY, Trainer
from seqkit.training.progress import Progress
from seqkit.training.tagging import TaggingTask

__all__ = ["Trained", "check_output", "claim_output", "complete_settings", "prepare", "run", "train"]

Pairs = Iterable[tuple[Sequence[str], Sequence[str]]]


def complete_settings(settings: Settings, dataset: Dataset) -> Settings:
    """Fill in what a data set's card says and the settings leave open: the label column and the scheme."""
    tree: dict[str, Any] = {}
    if not settings.data.target and dataset.target:
        tree["target"] = dataset.target
    asks_other_column = settings.data.target not in ("", dataset.target)
    if settings.data.scheme == "auto" and dataset.scheme != "auto" and not asks_other_column:
        tree["scheme"] = dataset.scheme
    return override(settings, {"data": tree})


def prepare(settings: Settings, dataset: Dataset, device: torch.device, progress: Progress) -> TaggingTask:
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
    splitter = Splitter(settings.data.splitter).split
    # The test split is not used before the end, where a fault in it would come too late.
    parts = {name: dataset.sentences(name, splitter) for name in ("train", "dev", "test") if dataset.has(name)}
    for name, part in parts.items():
        _check_labelled(dataset, name, part, settings.data.target)
    train_set, dev_set = parts["train"], parts["dev"]
    for note in dataset.notes:
        progress.say(note)
    told = ", ".join(f"{name} {len(part):,} sentences, {sum(map(len, part)):,} tokens" for name, part in parts.items())
    progress.say(f"{dataset.name}: {told}")
    vectors = None
    if settings.embedding.vectors:
        vectors = read_vectors(settings.embedding.vectors, limit=settings.embedding.vectors_limit or None)
        if settings.embedding.vectors_join == "sum" and settings.embedding.word_size:
            settings = override(settings, {"embedding": {"word_size": vectors.size}})
    torch.manual_seed(settings.training.seed)
    task = TaggingTask(settings, train_set, dev_set, vectors, device)
    for line in _label_notes(task.model.codec, train_set[0], settings.data.target):
        progress.say(line)
    if vectors is not None:
        progress.say(_coverage(task.model, train_set, vectors))
    return task


def _label_notes(codec: TagCodec, sentence: Sentence, target: str) -> Iterator[str]:
    """What is learned: which column, in which scheme; and a warning where span labels will be taken as plain ones."""
    labels = codec.tags.labels
    column = f"column {target!r}" if target in sentence.columns or not sentence.columns else "the last column"
    if codec.encoding != "none":
        kinds = sorted({label[2:] for label in labels if label != "O"})
        yield f"learning spans from {column}, marked by {codec.scheme}: {', '.join(kinds)}"
        return
    shown = ", ".join(labels[:8]) + (f", … ({len(labels)} in all)" if len(labels) > 8 else "")
    yield f"learning a label a token from {column}: {shown}"
    odd = [label for label in labels if not is_label(label, "bioes")]
    if 0 < len(odd) < len(labels) / 2 and any(label[:2] in ("B-", "S-") for label in labels):
        yield (
            f"warning: {odd[0]!r} is a label of no span scheme, so that every label is taken for itself; "
            "`seqkit data check` says where it stands"
        )


def _check_labelled(dataset: Dataset, split: str, sentences: Sequence[Sentence], target: str) -> None:
    """See that there is something to learn from or to score, and a label for all of it."""
    labelled = [sentence for sentence in sentences if sentence.tokens]
    if not labelled:
        file = dataset.splits[split].file if split in dataset.splits else None
        raise DataError("expected at least one sentence, found none", file=file or f"{dataset.name} {split}")
    for sentence in labelled:
        sentence.column(target)


class Trained(NamedTuple):
    """What a run gives.

    Attributes:
        model: the model with the best score on dev.
        reports: its scores, by split.
    """

    model: Model
    reports: dict[str, TaggingReport]


def train(
    recipe: str | Path | Recipe | Settings,
    output: str | Path,
    data: str | Path | Dataset | Pairs | None = None,
    **options: Any,
) -> Model:
    """Train a model and write it to a directory.

    Args:
        recipe: the name of a recipe, a TOML file, or settings.
        output: the directory; refused if it is not empty, unless ``resume=True`` or ``force=True`` is given.
        data: the name of a data set, a file, a folder, a `Dataset`, or any iterable of ``(tokens, labels)``; by
            default the recipe's data set.
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
    data: str | Path | Dataset | Pairs | None = None,
    *,
    dev: Pairs | None = None,
    test: Pairs | None = None,
    device: str = "auto",
    resume: bool = False,
    force: bool = False,
    quiet: bool = True,
) -> Trained:
    """Train a model, score it, and write it to a directory.

    Args:
        recipe: the name of a recipe, a TOML file, or settings.
        output: the directory; refused if it is not empty, unless `resume` or `force` is given.
        data: the name of a data set, a file, a folder, a `Dataset`, or any iterable of ``(tokens, labels)``; by
            default the recipe's data set.
        dev: pairs to choose the best epoch by, where `data` is pairs; a tenth of `data` is held out otherwise.
        test: pairs to report on at the end, where `data` is pairs.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        resume: go on from the checkpoint in `output`, if there is one.
        force: throw away what an earlier run wrote to `output`.
        quiet: print no progress on standard error.

    Returns:
        The model and its scores.

    Raises:
        SeqkitError: settings, data or directory cannot be used.
        SettingsError: several processes were started (``torchrun``).
        Interrupted: Ctrl-C or SIGTERM came; ``resume=True`` goes on from there.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise SettingsError("expected one process, found several: training does not share its work yet")
    chosen = load_recipe(recipe) if isinstance(recipe, str | Path) else recipe
    settings = chosen.settings if isinstance(chosen, Recipe) else chosen
    named = chosen.dataset if isinstance(chosen, Recipe) else ""
    dataset = _dataset(data if data is not None else named, dev, test)
    settings = complete_settings(settings, dataset)
    output = Path(output)
    check_output(output, resume=resume, force=force)
    progress = Progress(quiet=quiet)
    place = choose_device(device)
    task = prepare(settings, dataset, place, progress)
    claim_output(output, resume=resume, force=force)  # only now that nothing can be wrong with the input
    trainer = Trainer(task, settings.training, output, progress)
    if resume and trainer.resume():
        progress.say(f"resuming at epoch {trainer.epoch + 1}, step {trainer.step}")
    began = time.monotonic()
    trainer.run()
    progress.say(f"best epoch {trainer.best_epoch}, {(time.monotonic() - began) / 60:.1f} minutes")
    return Trained(task.model, _finish(task, trainer, dataset, output))


def check_output(output: Path, *, resume: bool, force: bool) -> None:
    """See that a run may write to a directory, and leave it as it is.

    Args:
        output: the directory.
        resume: what is there may stay.
        force: what a run wrote there may be removed.

    Raises:
        TrainingError: it is not empty, or no directory.
    """
    if not output.exists():
        return
    try:
        present = any(output.iterdir())
        # With --resume other files may stand there, a log say, but none that would be written over.
        foreign = present and (not resume or bool(_written_files(output))) and not _is_run(output)
    except OSError as error:
        raise TrainingError(_unusable(output, error)) from None
    if present and not (resume or force):
        raise TrainingError(f"{output}: expected an empty output directory, found files; use --resume or --force")
    if resume and (output / CONFIG).is_file() and not checkpoint_file(output).is_file():
        raise TrainingError(f"{output}: expected a checkpoint to go on from, found a model alone; use --force")
    if foreign:
        raise TrainingError(f"{output}: expected a model or a training run to replace, found other files")


def claim_output(output: Path, *, resume: bool, force: bool) -> None:
    """Make a directory ready for a run.

    Args:
        output: the directory; created if need be.
        resume: what is there stays.
        force: what a run wrote there is removed, and nothing else.

    Raises:
        TrainingError: it is not empty, or no directory.
    """
    check_output(output, resume=resume, force=force)
    try:
        if force and not resume:
            for path in _written_files(output):
                path.unlink()
            with suppress(OSError):  # not there, or not empty
                checkpoint_file(output).parent.rmdir()
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrainingError(_unusable(output, error)) from None


def _written_files(output: Path) -> list[Path]:
    """The files in a directory that bear a name which a run writes to."""
    paths = [*(output / name for name in (*FILES, HISTORY)), checkpoint_file(output)]
    return [path for path in (*paths, *map(aside, paths)) if path.is_file()]


def _is_run(output: Path) -> bool:
    """Whether a run wrote to a directory; a ``config.json`` or ``train.jsonl`` may well be someone else's."""
    if checkpoint_file(output).is_file():
        return True
    marks = {CONFIG: b'"seqkit_version"', HISTORY: b'{"epoch": 1, "step": '}
    for name, mark in marks.items():
        path = output / name
        if path.is_file():
            with open(path, "rb") as stream:
                if mark in stream.read(200):
                    return True
    return False


def _unusable(output: Path, error: OSError) -> str:
    return f"{output}: cannot be used as output directory: {error.strerror or error}"


def _dataset(data: str | Path | Dataset | Pairs, dev: Pairs | None, test: Pairs | None) -> Dataset:
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
        return resolve(data)
    return from_pairs(data, dev, test)


def _coverage(model: Model, sentences: Sequence[Sentence], vectors: Vectors) -> str:
    """How many of the training words have a given vector."""
    forms: dict[str, int] = {}
    for sentence in sentences:
        for token in sentence.tokens:
            forms[token] = forms.get(token, 0) + 1
    found = model.indexer.table(list(forms)).vectors > 1  # [U]
    tokens = np.array(list(forms.values()))  # [U]
    shares = f"{found.mean():.1%} of the training words, {tokens[found].sum() / max(1, tokens.sum()):.1%} of the tokens"
    model.report["vectors"] = {"words": len(vectors), "size": vectors.size, "found": float(found.mean())}
    return f"vectors: {len(vectors):,} words of size {vectors.size}, found for {shares}"


def _finish(task: TaggingTask, trainer: Trainer, dataset: Dataset, output: Path) -> dict[str, TaggingReport]:
    """Score the best weights, write the model."""
    model = task.model
    splitter = model.splitter.split
    reports: dict[str, TaggingReport] = {"dev": evaluate(model, dataset.sentences("dev", splitter))}
    if dataset.has("test"):
        reports["test"] = evaluate(model, dataset.sentences("test", splitter))
    spent = sum(line["seconds"] + line["dev_seconds"] for line in trainer.history)
    model.report |= {
        "data": {
            "name": dataset.name,
            "sentences": {"train": task.size, **{split: report.sentences for split, report in reports.items()}},
        },
        "scores": {name: report.to_json() for name, report in reports.items()},
        "training": {"best_epoch": trainer.best_epoch, "epochs": trainer.epoch, "seconds": spent},
        "parameters": model.parameter_counts(),
        "versions": {"seqkit": __version__, "torch": torch.__version__, "python": platform.python_version()},
    }
    model.save(output)
    return reports
