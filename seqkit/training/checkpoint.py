"""All that a training run needs to go on where it stopped, in one file, written aside and renamed; no pickle."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import safetensors
import torch
from torch import Tensor

from seqkit.errors import ModelError, TrainingError, is_out_of_memory, shown
from seqkit.files import open_regular, write_atomically
from seqkit.training.serialising import packed, unpacked

_STATE, _CHECKSUM = "state", "checksum"


def checkpoint_files(output: Path) -> tuple[Path, Path]:
    """Where a run that writes to `output` keeps its last checkpoint, and the one before."""
    return output / "checkpoint" / "state.safetensors", output / "checkpoint" / "previous.safetensors"


def all_files(output: Path) -> tuple[Path, ...]:
    """All that is ever written to ``checkpoint/``: the two checkpoints, and a damaged one that was put aside."""
    last, previous = checkpoint_files(output)
    return last, previous, _put_aside(last)


def features_file(output: Path) -> Path:
    """Where features of recordings are kept beside the checkpoints; of no use without the recordings."""
    return checkpoint_files(output)[0].with_name("features.bin")


def _put_aside(last: Path) -> Path:
    return last.with_name("damaged.safetensors")


def has_checkpoint(output: Path) -> bool:
    """Whether there is a checkpoint to go on from."""
    return any(os.path.lexists(path) for path in checkpoint_files(output))


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
    content = packed(plain, {_STATE: text, _CHECKSUM: _checksum(plain, text)})
    last, previous = checkpoint_files(output)
    write_atomically(last, content, keep=previous)


def read_checkpoint(
    output: Path, warn: Callable[[str], object] = lambda message: None
) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """Read the last whole checkpoint of a run; a damaged one after it is put aside.

    Args:
        output: the run's output directory.
        warn: what is told of a damaged one, where the one before is taken.

    Returns:
        Tensors and state as they were written, or None where there is no checkpoint.

    Raises:
        TrainingError: all there are, are damaged, or one cannot be read.
    """
    faults: list[str] = []
    damaged: list[Path] = []
    for path in checkpoint_files(output):
        if not os.path.lexists(path):
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
                os.replace(other, _put_aside(other))  # or it would take this one's place when the next is written
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
        # As a whole, so that what cannot be read is not taken for damaged.
        with open_regular(path) as stream:
            content = stream.read()
        tensors, metadata = unpacked(content)
        if metadata[_CHECKSUM] != _checksum(tensors, metadata[_STATE]):
            raise _Damaged("its checksum is another")
        return tensors, json.loads(metadata[_STATE])
    except OSError as error:
        raise TrainingError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (safetensors.SafetensorError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise _Damaged(shown(error)) from None
    except (RuntimeError, MemoryError) as error:
        if is_out_of_memory(error):
            raise TrainingError(f"{path}: cannot be read: too little memory") from None
        raise _Damaged(shown(error)) from None


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
