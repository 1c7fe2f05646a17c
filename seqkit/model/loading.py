"""Reading a model directory: the one table of which class a task's models have."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import safetensors
import safetensors.torch

from seqkit.artefact import read_config, read_json
from seqkit.config import parse_settings
from seqkit.devices import choose_device
from seqkit.errors import ModelError, SettingsError
from seqkit.model.base import Documents, Model
from seqkit.resources import imported

__all__ = ["MODELS", "NO_NETWORK", "load", "load_as", "model_class"]

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
    except (SettingsError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{directory}: damaged: {error}") from None
    if task is not None and settings.task != task:
        raise ModelError(f"{directory}: expected a model of `seqkit {task}`, found one of `seqkit {settings.task}`")
    parsed = {name: read_json(directory / name, data) for name, data in files.items() if name.endswith(".json")}
    documents = Documents(parsed, str(directory))
    if not isinstance(parsed.get("report.json", {}), dict):
        raise ModelError(f"{directory / 'report.json'}: expected a JSON object, found something else")
    try:
        weights = safetensors.torch.load(files["weights.safetensors"])
    except KeyError:
        raise ModelError(documents.lacking("weights.safetensors")) from None
    except safetensors.SafetensorError as error:
        raise ModelError(f"{directory}: damaged: {error}") from None
    model = model_class(settings.kind).restore(settings, documents, weights)
    try:
        model.network.load_state_dict(weights)
    except RuntimeError as error:
        fault = str(error).splitlines()[-1].strip()
        raise ModelError(f"{directory}: weights do not fit the model's settings: {fault}") from None
    model.network.eval().to(place)
    return model
