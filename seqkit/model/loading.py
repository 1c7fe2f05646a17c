"""Reading a model directory."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from seqkit.config import parse_settings
from seqkit.devices import choose_device
from seqkit.errors import ModelError, SettingsError, shown
from seqkit.inputs.base import Documents
from seqkit.model.base import Model
from seqkit.model.files import path_of, read_config, read_json
from seqkit.tasks import TASKS


def load(directory: str | Path, device: str = "cpu", *, task: str | None = None, network: bool = False) -> Any:
    """Read a model.

    Args:
        directory: what ``seqkit … train -o`` or `Model.save` wrote.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        task: the task that the model has to be of; any by default.
        network: whether it has to have a network.

    Returns:
        The model, a `seqkit.model.base.Predictor` of the class that its task has; its predictions are bit-equal to
        those made before it was saved.

    Raises:
        ModelError: the directory is no model, damaged, of a newer format version, of another task, or has no network
            where one is needed.
        SettingsError: `directory` is no path, or this machine has no such device.
    """
    directory = path_of(directory, "a model's directory")
    place = choose_device(device)
    return restored(directory, *read_config(directory), task=task, network=network).to(place)


def restored(
    directory: Path,
    config: Mapping[str, Any],
    files: dict[str, bytes],
    *,
    task: str | None = None,
    network: bool = False,
) -> Any:
    """Make a model of what was read of its directory.

    Args:
        directory: what messages call it.
        config: see `seqkit.model.files.read_config`.
        files: see `seqkit.model.files.read_config`; the weights are taken out, so that there is memory for the model.
        task: see `load`.
        network: see `load`.

    Returns:
        The model, on the CPU.

    Raises:
        ModelError: see `load`.
    """
    saved = config.get("settings")
    name = saved.get("task") if isinstance(saved, dict) else None
    if isinstance(name, str) and name not in TASKS:
        raise ModelError(f"{directory}: there is no task {shown(name)} in this installation of seqkit")
    try:
        settings = parse_settings(config["settings"], str(directory / "config.json"))
    except (SettingsError, KeyError) as error:
        raise ModelError(f"{directory}: damaged: {error}") from None
    if task is not None and settings.task != task:
        raise ModelError(f"{directory}: expected a model of `seqkit {task}`, found one of `seqkit {settings.task}`")
    kind = settings.row.model_class(settings)
    if network and not issubclass(kind, Model):
        raise ModelError(f"{directory}: a model with a network is needed, and this one has n-grams instead")
    parsed = {name: read_json(directory / name, data) for name, data in files.items() if name.endswith(".json")}
    _check_report(parsed.get("report.json", {}), f"{directory / 'report.json'}")
    if "weights.safetensors" not in files:
        raise ModelError(Documents(parsed, str(directory)).missing("weights.safetensors"))
    weights = read_weights(files.pop("weights.safetensors"), f"{directory / 'weights.safetensors'}")
    if config["format_version"] == 1:
        weights = {_current_name(name): tensor for name, tensor in weights.items()}
    return kind.restore(settings, Documents(parsed, str(directory), weights))


def _current_name(weight: str) -> str:
    """What a weight of a model of format version 1 is called now."""
    weight = re.sub(r"(stacks\.\d+\.)levels\.", r"\1layers.", weight)
    weight = re.sub(r"^context\.embedding\.", "input.context.input.embedding.", weight)
    return re.sub(r"^(embedding|context)\.", r"input.\1.", weight)


def _check_report(report: object, place: str) -> None:
    """See that a report has the form that a model card is made from; which numbers are in it is its own affair."""
    if not isinstance(report, dict):
        raise ModelError(f"{place}: expected a JSON object, found something else")
    data, scores, sums = (report.get(name, {}) for name in ("data", "scores", "checksums"))
    splits = list(scores.values()) if isinstance(scores, dict) else [None]
    known = [each["baseline"] for each in splits if isinstance(each, dict) and each.get("baseline") is not None]
    if not all(isinstance(each, dict) for each in [data, sums, *splits, *known]):
        raise ModelError(f"{place}: expected data, and scores of each split, as JSON objects, found something else")
    if not all(isinstance(each.get("accuracy", 0.0), float) and isinstance(each.get("name"), str) for each in known):
        raise ModelError(f"{place}: expected names and scores of baselines, found something else")


def read_weights(content: bytes, place: str) -> dict[str, Tensor]:
    """Parse a file of tensors. Its header says where each is, and has to account for every byte.

    Args:
        content: the file.
        place: what error messages call it.

    Returns:
        Name → tensor.

    Raises:
        ModelError: it is no such file, or has numbers of a kind that torch does not have.
    """
    # Without being touched: having freed so much once, glibc does not give the memory of a dropped model back to the
    # system, and the next one that is loaded need not ask for it page by page. It looks at blocks up to 32 MiB only.
    torch.empty(min(2 * len(content), 1 << 25), dtype=torch.uint8)
    try:
        return safetensors.torch.load(content)
    except (safetensors.SafetensorError, KeyError, ValueError, TypeError, RuntimeError, OverflowError) as error:
        raise ModelError(f"{place}: damaged: expected tensors, found: {shown(error)}") from None
