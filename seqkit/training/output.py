"""The directory that a run writes to: whether it may, and what an earlier run left there."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from seqkit.artefact import CONFIG, FILES, aside
from seqkit.errors import TrainingError
from seqkit.training.checkpoint import checkpoint_file
from seqkit.training.loop import HISTORY

__all__ = ["check_output", "claim_output"]


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
