"""Starting a model from another one's embedding, encoder and vocabulary, whatever heads the two have."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, TypeVar

import torch

from seqkit.config import Settings, override
from seqkit.errors import SettingsError
from seqkit.model import Model, load

__all__ = ["adopt", "describe", "load_start", "thawing_groups", "transfer"]

_AnySettings = TypeVar("_AnySettings", bound=Settings)

_EMBEDDING = ("word_size", "vectors_join", "chars", "char_size", "char_hidden", "char_kernel")
_ENCODER = ("cell", "hidden", "layers", "skip")
_LEVEL = re.compile(r"encoder\.stacks\.\d+\.(?:levels|skips)\.(\d+)\.")


def load_start(settings: Settings) -> Model | None:
    """The model that settings say to start from, or None.

    Args:
        settings: of the model to be trained.

    Returns:
        The model.

    Raises:
        ModelError: it cannot be read.
        SettingsError: its units are not those of the model to be trained.
    """
    directory = settings.training.init_from
    if not directory:
        return None
    start = load(directory)
    theirs, ours = _unit(start.settings), _unit(settings)
    if theirs != ours:
        hint = "; --context takes a model of characters" if (theirs, settings.task) == ("char", "tag") else ""
        raise SettingsError(f"{directory}: expected a model of unit {ours} to start from, found one of {theirs}{hint}")
    return start


def _unit(settings: Settings) -> str:
    return str(getattr(settings.data, "unit", "word"))


def adopt(settings: _AnySettings, start: Model | None) -> _AnySettings:
    """Give settings the sizes of the model that is started from; what is no size (dropout, training) stays.

    Args:
        settings: of the model to be trained.
        start: the model to start from, or None.

    Returns:
        The settings.

    Raises:
        SettingsError: the sizes do not fit the task.
    """
    if start is None:
        return settings
    theirs = start.settings
    encoder: dict[str, Any] = {name: getattr(theirs.encoder, name) for name in _ENCODER}
    if theirs.encoder.direction == "both" and settings.encoder.direction != "forward":
        encoder |= {"direction": "both", "join": theirs.encoder.join}
    elif settings.encoder.direction == "both":
        encoder["join"] = "top"  # one of the two stacks is theirs, and the other is new
    tree = {
        "data": {name: getattr(theirs.data, name) for name in ("lowercase", "digits")},
        "embedding": {name: getattr(theirs.embedding, name) for name in _EMBEDDING},
        "encoder": encoder,
    }
    return override(settings, tree, settings.training.init_from)


@torch.no_grad()
def transfer(start: Model, model: Model) -> frozenset[str]:
    """Copy what two networks have in common; a vocabulary that begins with the other's has its rows.

    Args:
        start: the model to start from.
        model: the model to be trained, built with the vocabularies of `start` first.

    Returns:
        The names of the parameters that were taken, in whole or in part.
    """
    theirs = start.network.state_dict()
    taken: set[str] = set()
    for name, tensor in model.network.state_dict().items():
        other = theirs.get(name)
        if other is None or not name.startswith(("embedding.", "encoder.")):
            continue
        grows = name.endswith(".table") and other.shape[1:] == tensor.shape[1:] and len(other) <= len(tensor)
        if other.shape == tensor.shape or grows:
            tensor[: len(other)].copy_(other)
            taken.add(name)
    return frozenset(taken)


def describe(start: Model, model: Model, taken: Iterable[str]) -> str:
    """What was taken and what is new, on one line.

    Args:
        start: the model that was started from.
        model: the model to be trained.
        taken: what `transfer` gave.

    Returns:
        The line.
    """
    names = [name for name, _ in model.network.named_parameters() if not name.startswith("context.")]
    kept = set(taken)
    parts = {_part(name) for name in names if name in kept}
    new = {_part(name) for name in names if name not in kept}
    words = f"{len(start.indexer.words):,} of {len(model.indexer.words):,} words"
    shown = f"{', '.join(sorted(parts)) or 'nothing'} ({words})"
    return f"taken from {model.settings.training.init_from}: {shown}; new: {', '.join(sorted(new)) or 'nothing'}"


def _part(name: str) -> str:
    pieces = name.split(".")
    return ".".join(pieces[:3] if pieces[0] == "encoder" else pieces[: 2 if pieces[0] == "embedding" else 1])


def thawing_groups(taken: Iterable[str]) -> list[frozenset[str]]:
    """The parameters that were taken, in the order in which they thaw: the top level first, the embedding last.

    Args:
        taken: what `transfer` gave.

    Returns:
        Groups of names (gradual unfreezing, Howard & Ruder 2018).
    """
    groups: dict[int, set[str]] = {}
    for name in taken:
        level = _LEVEL.match(name)
        groups.setdefault(int(level[1]) if level else -1, set()).add(name)
    return [frozenset(groups[level]) for level in sorted(groups, reverse=True)]
