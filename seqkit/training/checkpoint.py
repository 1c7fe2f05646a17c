"""All that a training run needs to go on where it stopped, in one file, written atomically; no pickle."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from seqkit.artefact import write_atomically
from seqkit.errors import TrainingError

__all__ = ["checkpoint_file", "optimizer_tensors", "read_checkpoint", "restore_optimizer", "write_checkpoint"]

_STATE, _CHECKSUM = "state", "checksum"


def checkpoint_file(output: Path) -> Path:
    """Where a run that writes to `output` keeps its checkpoint."""
    return output / "checkpoint" / "state.safetensors"


def write_checkpoint(output: Path, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
    """Write a checkpoint in place of the last one.

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
    write_atomically(checkpoint_file(output), content)


def read_checkpoint(output: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """Read the checkpoint of a run.

    Args:
        output: the run's output directory.

    Returns:
        Tensors and state as they were written, or None where there is no checkpoint.

    Raises:
        TrainingError: the file is damaged.
    """
    path = checkpoint_file(output)
    if not path.is_file():
        return None
    try:
        with safetensors.safe_open(path, framework="pt") as stream:
            metadata = stream.metadata()
            tensors = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118 - not a mapping
        state = json.loads(metadata[_STATE])
        fault = "" if metadata[_CHECKSUM] == _checksum(tensors, metadata[_STATE]) else "its checksum is another"
    except (OSError, safetensors.SafetensorError, KeyError, TypeError, json.JSONDecodeError) as error:
        fault = str(error) or type(error).__name__
    if fault:
        raise TrainingError(f"{path}: damaged checkpoint ({fault}); start again with --force")
    return tensors, state


def _checksum(tensors: Mapping[str, Tensor], state: str) -> str:
    digest = zlib.crc32(state.encode("utf-8"))
    for name in sorted(tensors):
        tensor = tensors[name]
        digest = zlib.crc32(f"{name} {tensor.dtype} {list(tensor.shape)}".encode(), digest)
        digest = zlib.crc32(tensor.reshape(-1).view(torch.uint8).numpy().data, digest)
    return str(digest)


def optimizer_tensors(optimizer: torch.optim.Optimizer, prefix: str) -> dict[str, Tensor]:
    """The state of an optimiser as named tensors."""
    state = optimizer.state_dict()["state"]
    return {
        f"{prefix}{index}.{name}": torch.as_tensor(value)
        for index, values in state.items()
        for name, value in values.items()
        if value is not None
    }


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor], prefix: str) -> None:
    """Put back what `optimizer_tensors` gave."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        if key.startswith(prefix):
            index, _, name = key[len(prefix) :].partition(".")
            state.setdefault(int(index), {})[name] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
