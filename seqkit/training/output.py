"""The directory that a run writes to: whether it may, and what an earlier run left there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from seqkit.errors import TrainingError
from seqkit.files import aside
from seqkit.model.files import CONFIG, FILES, complete, staged_files
from seqkit.model.lock import LOCK, held, see_free
from seqkit.training.checkpoint import all_files, features_file, has_checkpoint
from seqkit.training.trainer import HISTORY


def check_output(output: Path, *, resume: bool, force: bool) -> None:
    """See that a run may write to a directory, and leave it as it is.

    Args:
        output: the directory.
        resume: what is there may stay.
        force: what a run wrote there may be removed.

    Raises:
        TrainingError: it is not empty, or no directory, or another run writes to it.
    """
    if not os.path.exists(output):  # a method of a path raises for a name that is too long
        return
    see_free(output)
    checkpoints = all_files(output)[0].parent
    try:
        linked = checkpoints.is_symlink()
        worthless = {output / LOCK, *_unfinished(output)}
        if checkpoints.is_dir() and worthless.issuperset(checkpoints.iterdir()):
            worthless.add(checkpoints)
        present = not worthless.issuperset(output.iterdir())
        # With --resume other files may stand there, a log say, but none that would be written over.
        replaced = not resume or not worthless.issuperset(_written_files(output))
        foreign = present and replaced and not _is_run(output)
    except OSError as error:
        raise TrainingError(_unusable(output, error)) from None
    if linked:  # what is in there may be anybody's
        raise TrainingError(f"{checkpoints}: expected a directory for checkpoints, found a link")
    if present and not (resume or force):
        raise TrainingError(f"{output}: expected an empty output directory, found files; use --resume or --force")
    if resume and (output / CONFIG).is_file() and not checkpoints.is_dir():
        raise TrainingError(f"{output}: expected a checkpoint to go on from, found a model alone; use --force")
    if foreign:
        raise TrainingError(f"{output}: expected a model or a training run to replace, found other files")


@contextmanager
def claimed_output(output: Path, *, resume: bool, force: bool) -> Iterator[None]:
    """Make a directory ready for a run, and keep other runs out of it.

    Args:
        output: the directory; created if need be.
        resume: what is there stays.
        force: what an earlier run would go on from is removed, and nothing else.

    Yields:
        Nothing; until the end no other run can claim it.

    Raises:
        TrainingError: it is not empty, or no directory, or another run writes to it.
    """
    check_output(output, resume=resume, force=force)
    checkpoints = all_files(output)[0].parent
    with ExitStack() as stack:
        try:
            output.mkdir(parents=True, exist_ok=True)
            stack.enter_context(held(output))
            complete(output)
            if force and not resume:
                _remove_run(output)
            checkpoints.mkdir(exist_ok=True)  # says that a run began here, whenever it ends
        except OSError as error:
            raise TrainingError(_unusable(output, error)) from None
        yield
        with suppress(OSError):  # there are checkpoints
            checkpoints.rmdir()


def remove_model(output: Path) -> None:
    """Remove the model in a directory.

    Args:
        output: the directory.
    """
    for path in _written_files(output):
        path.unlink()


def _remove_run(output: Path) -> None:
    """Remove what a run would go on from; the model stays until another is written in its place."""
    last, *others = all_files(output)
    for path in (*others, last):  # the last one at last: with it the earlier run is complete, and without it gone
        path.unlink(missing_ok=True)
    for path in _written_files(output):
        if path.name not in FILES:
            path.unlink()


def _written_files(output: Path) -> list[Path]:
    """The files in a directory that bear a name which a run writes to."""
    return [path for path in (*_names(output), *_unfinished(output)) if path.is_file()]


def _unfinished(output: Path) -> list[Path]:
    """Where a run that was killed may have left files that it had not finished, or that are of no use by themselves."""
    staged = [] if (output / CONFIG).exists() else staged_files(output)
    features = features_file(output)
    return [*map(aside, [*_names(output), features]), features, *staged]


def _names(output: Path) -> list[Path]:
    return [*(output / name for name in (*FILES, HISTORY)), *all_files(output)]


def _is_run(output: Path) -> bool:
    """Whether a run wrote to a directory; a ``config.json`` or ``train.jsonl`` may well be someone else's."""
    if has_checkpoint(output):
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
