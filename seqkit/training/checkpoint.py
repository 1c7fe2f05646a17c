"""All that a training run needs to go on where it stopped, in one file, written aside and renamed; no pickle."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from seqkit.artefact import write_atomically
from seqkit.errors import ModelError, TrainingError

__all__ = ["checkpoint_files", "has_checkpoint", "read_checkpoint", "saying_what_is_left", "write_checkpoint"]

_STATE, _CHECKSUM = "state", "checksum"


def checkpoint_files(output: Path) -> tuple[Path, Path]:
    """Where a run that writes to `output` keeps its last checkpoint, and the one before."""
    return output / "checkpoint" / "state.safetensors", output / "checkpoint" / "previous.safetensors"


def has_checkpoint(output: Path) -> bool:
    """Whether there is a checkpoint to go on from."""
    return any(path.is_file() for path in checkpoint_files(output))


def write_checkpoint(output: Path, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
    """Write a checkpoint; the last one is kept beside it, in case that the file is damaged later.

    Whenever the process ends in here, `read_checkpoint` finds the last one or the new one.

    Args:
        output: the run's output directory.
        tensors: weights, optimiser state, random states.
        state: everything else, as a JSON object.

    Raises:
        ModelError: it cannot be written; the last one is then still whole.
    """
    plain = {name: tensor.detach().to("cpu").contiguous() for name, tensor in tensors.items()}
    text = json.dumps(state)
    content = safetensors.torch.save(plain, metadata={_STATE: text, _CHECKSUM: _checksum(plain, text)})
    last, previous = checkpoint_files(output)
    write_atomically(last, content, keep=previous)


def read_checkpoint(
    output: Path, warn: Callable[[str], object] = lambda message: None
) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """Read the last whole checkpoint of a run; a damaged one after it is removed.

    Args:
        output: the run's output directory.
        warn: what is told of a damaged one, where the one before is taken.

    Returns:
        Tensors and state as they were written, or None where there is no checkpoint.

    Raises:
        TrainingError: all there are, are damaged.
    """
    faults: list[str] = []
    damaged: list[Path] = []
    for path in checkpoint_files(output):
        if not path.is_file():
            continue
        try:
            found = _read(path)
        except _Damaged as error:
            faults.append(f"{path}: damaged checkpoint ({error})")
            damaged.append(path)
            continue
        for fault, other in zip(faults, damaged, strict=True):
            warn(f"warning: {fault}; going on from the one before")
            with suppress(OSError):
                other.unlink()  # or the next checkpoint to be written would take this one's place by it
        return found
    if faults:
        raise TrainingError(f"{' and '.join(faults)}; start again with --force")
    return None


@contextmanager
def saying_what_is_left(output: Path) -> Iterator[None]:
    """Where a file of a run cannot be written, say whether the run can go on later.

    Args:
        output: the run's output directory.

    Yields:
        Nothing.

    Raises:
        TrainingError: in place of a `ModelError`.
    """
    try:
        yield
    except ModelError as error:
        kept = "; the last checkpoint is whole, go on from it with --resume" if has_checkpoint(output) else ""
        raise TrainingError(f"{error}{kept}") from None


class _Damaged(Exception):
    """A checkpoint that cannot be used."""


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    try:
        with safetensors.safe_open(path, framework="pt") as stream:
            metadata = stream.metadata()
            tensors = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118 - not a mapping
        if metadata[_CHECKSUM] != _checksum(tensors, metadata[_STATE]):
            raise _Damaged("its checksum is another")
        return tensors, json.loads(metadata[_STATE])
    except (OSError, safetensors.SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise _Damaged(" ".join(str(error).split()) or type(error).__name__) from None


def _checksum(tensors: Mapping[str, Tensor], state: str) -> str:
    digest = zlib.crc32(state.encode("utf-8"))
    for name in sorted(tensors):
        tensor = tensors[name]
        digest = zlib.crc32(f"{name} {tensor.dtype} {list(tensor.shape)}".encode(), digest)
        flat = tensor.reshape(-1)
        if flat.stride(0) != 1:  # of a single number it may be anything
            flat = flat.clone(memory_format=torch.contiguous_format)
        digest = zlib.crc32(flat.view(torch.uint8).numpy().data, digest)
    return str(digest)
