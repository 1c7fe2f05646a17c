"""Reading a model directory: the one table of which class a task's models have."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TypeVar

import safetensors
import safetensors.torch
from torch import Tensor

from seqkit.config import parse_settings
from seqkit.devices import choose_device
from seqkit.errors import ModelError, SettingsError, shown
from seqkit.model.base import Documents, Model
from seqkit.model.files import read_config, read_json
from seqkit.resources import imported

__all__ = ["MODELS", "NO_NETWORK", "load", "load_as", "model_class", "read_weights"]

_Kind = TypeVar("_Kind", bound=Model)

MODELS = {
    "tag": "seqkit.model.tagger:Tagger",
    "classify": "seqkit.model.classifier:Classifier",
    "lm": "seqkit.model.language_model:LanguageModel",
    "generate": "seqkit.model.generator:Generator",
    "ngram": "seqkit.model.ngram_model:NgramLanguageModel",
}
"""kind (`seqkit.config.Settings.kind`) → where the class of such models is; imported when it is needed"""
NO_NETWORK = "expected a language model with a network, found one of n-grams"


def model_class(kind: str) -> type[Model]:
    """The class of the models of a kind.

    Args:
        kind: a key of `MODELS`.

    Returns:
        The class.
    """
    found: type[Model] = imported(MODELS[kind])
    return found


def load_as(kind: type[_Kind], directory: str | Path, device: str = "cpu") -> _Kind:
    """Read a model of one task.

    Args:
        kind: the class that the model has to be of.
        directory: see `load`.
        device: see `load`.

    Returns:
        The model.

    Raises:
        ModelError: as `load` does, or the model is of another task, or has no network where one is wanted.
    """
    model = load(directory, device, task=kind.task)
    if not isinstance(model, kind):  # of the task, but without the network that is wanted
        raise ModelError(f"{directory}: {NO_NETWORK}")
    return model


def load(directory: str | Path, device: str = "cpu", *, task: str | None = None) -> Model:
    """Read a model.

    Args:
        directory: what ``seqkit … train -o`` or `Model.save` wrote.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        task: the task that the model has to be of; any by default.

    Returns:
        The model, of the class that its task has; its predictions are bit-equal to those made before it was saved.

    Raises:
        ModelError: the directory is no model, damaged, of a newer format version, or of another task.
    """
    directory = Path(directory)
    place = choose_device(device)
    config, files = read_config(directory)
    try:
        settings = parse_settings(config["settings"], str(directory / "config.json"))
    except (SettingsError, KeyError) as error:
        raise ModelError(f"{directory}: damaged: {error}") from None
    if task is not None and settings.task != task:
        raise ModelError(f"{directory}: expected a model of `seqkit {task}`, found one of `seqkit {settings.task}`")
    parsed = {name: read_json(directory / name, data) for name, data in files.items() if name.endswith(".json")}
    documents = Documents(parsed, str(directory))
    _check_report(parsed.get("report.json", {}), f"{directory / 'report.json'}")
    if "weights.safetensors" not in files:
        raise ModelError(documents.lacking("weights.safetensors"))
    weights = read_weights(files.pop("weights.safetensors"), f"{directory / 'weights.safetensors'}")
    weights = {_current_name(name): tensor for name, tensor in weights.items()}
    model = model_class(settings.kind).restore(settings, documents, weights)
    model.network.eval().to(place)
    return model


def _current_name(weight: str) -> str:
    """What a weight of a model of format version 1 is called now."""
    return re.sub(r"(stacks\.\d+\.)levels\.", r"\1layers.", weight)


def _check_report(report: object, place: str) -> None:
    """See that a report has the form that a model card is made from; which numbers are in it is its own affair."""
    if not isinstance(report, dict):
        raise ModelError(f"{place}: expected a JSON object, found something else")
    data, scores = (report.get(name, {}) for name in ("data", "scores"))
    splits = list(scores.values()) if isinstance(scores, dict) else [None]
    beside = [scores.get("baseline") for scores in splits if isinstance(scores, dict)]
    known = [each for each in beside if each is not None]
    if not isinstance(data, dict) or not all(isinstance(each, dict) for each in [*splits, *known]):
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
    try:
        return safetensors.torch.load(content)
    except (safetensors.SafetensorError, KeyError, ValueError, TypeError, RuntimeError, OverflowError) as error:
        raise ModelError(f"{place}: damaged: expected tensors, found: {shown(error)}") from None
