"""Starting a model from another one's embedding, encoder and vocabulary, whatever heads the two have."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, TypeVar

import torch
from torch import Tensor

from seqkit.config import Settings, override
from seqkit.errors import SettingsError
from seqkit.inputs.lookup import LookupInput
from seqkit.model.base import Model
from seqkit.nn.network import Network

_AnySettings = TypeVar("_AnySettings", bound=Settings)

_EMBEDDING = ("word_size", "one_hot", "chars", "char_size", "char_features", "char_kernel")
_ENCODER = ("cell", "hidden", "layers", "skip")
_LAYER = re.compile(r"encoder\.stacks\.(\d+)\.(layers|skips)\.(\d+)\.(.+)")
_WORDS, _CHARACTERS, _LOWEST = "word vectors", "characters", "layer 1 "
_Parts = dict[str, dict[str, tuple[str, Tensor]]]


def adopt(settings: _AnySettings, start: Model) -> _AnySettings:
    """Give settings the sizes of the model that is started from; what is no size (dropout, training) stays.

    Args:
        settings: of the model to be trained.
        start: the model to start from.

    Returns:
        The settings.

    Raises:
        SettingsError: the sizes do not fit the task.
    """
    theirs: Any = start.settings
    if not (isinstance(start.input, LookupInput) and hasattr(getattr(settings, "embedding", None), "word_size")):
        place = settings.training.init_from
        raise SettingsError(f"--init-from {place}: a model can only start from another where both read words or units")
    encoder: dict[str, Any] = {name: getattr(theirs.encoder, name) for name in _ENCODER}
    if settings.encoder.direction == "both":
        # Of a model that reads in one direction one stack is taken, and the other is new.
        encoder["concat"] = theirs.encoder.concat if theirs.encoder.direction == "both" else "final"
    embedding = {name: getattr(theirs.embedding, name) for name in _EMBEDDING}
    if start.input.indexer.vectors is not None:
        embedding["vectors_join"] = theirs.embedding.vectors_join
    data = {name: getattr(theirs.data, name) for name in ("lowercase", "digits")}
    tree = {"data": data, "embedding": embedding, "encoder": encoder}
    return override(settings, tree, f"--init-from {settings.training.init_from}")


@torch.no_grad()
def transfer(start: Model, model: Model) -> frozenset[str]:
    """Copy what two networks have in common, each part as a whole or not at all.

    A part is the word table, the character features, or one level of the encoder in one direction, however the two
    encoders join their directions. Where the model has further words or characters, these keep their initial values;
    and so do the weights of what its lowest level reads beside a word's vector.

    Args:
        start: the model to start from.
        model: the model to be trained, built with the vocabularies of `start` first.

    Returns:
        The names of the parameters that were taken.
    """
    theirs = _parts(start.network)
    before, after = start.network.input.embedding, model.network.input.embedding
    same_words = before.output_size - before.one_hot == after.output_size - after.one_hot
    columns = (before.one_hot, after.one_hot)
    taken: set[str] = set()
    for part, tensors in _parts(model.network).items():
        others = theirs.get(part, {})
        widens = same_words and part.startswith(_LOWEST)
        if others.keys() != tensors.keys() or not all(
            _fits(others[key][1], tensor, key == "table", widens) for key, (_, tensor) in tensors.items()
        ):
            continue
        for key, (name, tensor) in tensors.items():
            _copy(others[key][1], tensor, columns if widens else (0, 0))
            taken.add(name)
    return frozenset(taken)


def _copy(other: Tensor, tensor: Tensor, places: tuple[int, int]) -> None:
    """Copy a parameter into one that may be larger; the first columns are of one-hot words, so many in each."""
    theirs, ours = places
    if theirs and other.dim() == 2 and other.shape != tensor.shape:
        tensor[:, ours : ours + other.shape[1] - theirs].copy_(other[:, theirs:])
        other = other[:, :theirs]
    tensor[tuple(map(slice, other.shape))].copy_(other)


def _parts(network: Network) -> _Parts:
    """What a network can take from another: part → what a parameter is in it → its name and itself."""
    directions = network.encoder.directions
    parts: _Parts = {}
    for name, parameter in network.named_parameters():
        layer = _LAYER.fullmatch(name)
        if layer:
            stack, kind, level, rest = int(layer[1]), layer[2], int(layer[3]), layer[4]
            if kind == "layers":
                column, _, rest = rest.partition(".")
                part = f"layer {level + 1} {directions[stack][int(column)]}"
            else:
                part = f"layer {level + 1} around {' and '.join(directions[stack])}"
        elif name == "input.embedding.table":
            part, rest = _WORDS, "table"
        elif name.startswith("input.embedding.characters."):
            part, rest = _CHARACTERS, name.removeprefix("input.embedding.characters.")
        else:
            continue
        parts.setdefault(part, {})[rest] = (name, parameter)
    return parts


def _fits(other: Tensor, tensor: Tensor, grows: bool, widens: bool) -> bool:
    """Whether one parameter can be copied into another that may have more rows, or more columns."""
    if grows:
        return other.shape[1:] == tensor.shape[1:] and len(other) <= len(tensor)
    if widens and other.dim() == 2:
        return len(other) == len(tensor) and other.shape[1] <= tensor.shape[1]
    return other.shape == tensor.shape


def describe(start: Model, model: Model, taken: Iterable[str]) -> str:
    """What was taken and what is new, on one line.

    Args:
        start: the model that was started from.
        model: the model to be trained.
        taken: what `transfer` gave.

    Returns:
        The line.
    """
    kept = set(taken)
    found: dict[bool, list[str]] = {True: [], False: []}
    for part, tensors in _parts(model.network).items():
        old = all(name in kept for name, _ in tensors.values())
        words = f" ({len(start.input.indexer.words) - 2:,} of {len(model.input.indexer.words) - 2:,})"
        found[old].append(part + (words if old and part == _WORDS else ""))
    if start.input.indexer.vectors is model.input.indexer.vectors is not None:
        found[True].append("pretrained vectors")
    shown = ", ".join(found[True]) or "nothing"
    return f"taken from {model.settings.training.init_from}: {shown}; new: {', '.join([*found[False], 'head'])}"


def thawing_groups(taken: Iterable[str]) -> list[frozenset[str]]:
    """The parameters that were taken, in the order in which they thaw: the top level first, the embedding last.

    Args:
        taken: what `transfer` gave.

    Returns:
        Groups of names (gradual unfreezing, Howard & Ruder 2018).
    """
    groups: dict[int, set[str]] = {}
    for name in taken:
        layer = _LAYER.fullmatch(name)
        groups.setdefault(int(layer[3]) if layer else -1, set()).add(name)
    return [frozenset(groups[level]) for level in sorted(groups, reverse=True)]
