"""What the gates of a trained model do over a text: how far each is open at each step, in every layer and direction."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from seqkit.errors import DataError, ModelError
from seqkit.inputs.streams import END as END_OF_LINE
from seqkit.lab.output import aligned
from seqkit.model.base import Model
from seqkit.model.classifier import Classifier
from seqkit.model.generation import END as END_OF_TEXT
from seqkit.model.generation import record_sentence
from seqkit.model.generator import Generator
from seqkit.model.language_model import LanguageModel
from seqkit.model.streaming import as_sentence
from seqkit.model.tagger import Tagger
from seqkit.nn.encoder import Encoder

__all__ = ["CLOSED", "NAME", "OPEN", "Floats", "Gate", "GateRecord", "LayerGates", "record_gates", "shown_step"]

NAME = "gates"
"""what its files are called"""
CLOSED, OPEN = 0.1, 0.9
"""a gate below the one or above the other is saturated: its unit passes next to nothing, or all"""

Floats = npt.NDArray[np.float32]
_OPENED = {
    "input": "takes the new in",
    "forget": "keeps the memory",
    "output": "shows the memory",
    "reset": "lets the candidate see the last state",
    "update": "keeps the last state",
    "depth": "adds the memory of the level below",
    "active": "the unit is computed anew",
}
_OPENED_OF = {
    ("lstm_coupled", "forget"): "keeps the memory, and takes nothing new in",
    ("mingru", "update"): "puts the new in the place of the last state",
    ("minlstm", "input"): "puts the new in the place of the last state",
    ("minlstm", "forget"): "keeps the last state",
}
_SIGNS = {END_OF_TEXT: "¶", END_OF_LINE: "↵", " ": "␣", "\t": "⇥"}


@dataclass(frozen=True)
class Gate:
    """One gate of one layer over a text.

    Args:
        name: what it is called in the cell's equation.
        values: its activations between 0 and 1, [T, H], the steps in the order of the text.
    """

    name: str
    values: Floats

    @property
    def by_step(self) -> Floats:
        """The mean over the units at each step, [T]."""
        mean: Floats = self.values.mean(1)  # [T]
        return mean

    @property
    def closed(self) -> float:
        """The share of all activations that are below `CLOSED`."""
        return float((self.values < CLOSED).mean())

    @property
    def open(self) -> float:
        """The share of all activations that are above `OPEN`."""
        return float((self.values > OPEN).mean())

    @property
    def order(self) -> npt.NDArray[np.int64]:
        """The units, [H], those that are open most first."""
        order: npt.NDArray[np.int64] = np.argsort(-self.values.mean(0), kind="stable")  # [H]
        return order

    def to_json(self) -> dict[str, Any]:
        """The gate as a JSON object.

        Returns:
            ``mean`` of all, the shares ``closed`` and ``open``, ``by_step`` (the mean over units), the ``order`` of the
            units in the picture, and ``values``, a list of the H units at each of the T steps.
        """
        return {
            "mean": float(self.values.mean()),
            "closed": self.closed,
            "open": self.open,
            "by_step": [round(float(value), 4) for value in self.by_step],
            "order": self.order.tolist(),
            "values": [[round(float(value), 4) for value in step] for step in self.values],
        }


@dataclass(frozen=True)
class LayerGates:
    """The gates of one layer.

    Args:
        level: of the encoder, counted from 1 at the input.
        direction: ``forward`` or ``backward``.
        gates: one record a gate.
    """

    level: int
    direction: str
    gates: Sequence[Gate]


@dataclass(frozen=True)
class GateRecord:
    """The gates of a model over a text.

    Args:
        task: the model's task.
        cell: the cell of its encoder.
        steps: what was read at each of the T steps. A language model and a generator read what ended the last line or
            text first.
        layers: one record a layer and direction.
    """

    task: str
    cell: str
    steps: Sequence[str]
    layers: Sequence[LayerGates]

    @property
    def opened(self) -> dict[str, str]:
        """What each gate does where it is open: gates of one name do not do the same in all cells."""
        names = dict.fromkeys(gate.name for layer in self.layers for gate in layer.gates)
        return {name: _OPENED_OF.get((self.cell, name), _OPENED[name]) for name in names}

    @property
    def shown_opened(self) -> str:
        """The same on one line."""
        return "; ".join(f"{name}: {what}" for name, what in self.opened.items())

    def to_json(self) -> dict[str, Any]:
        """The record as a JSON object.

        Returns:
            ``cell``, ``open`` (what each gate does where it is open), ``steps`` and ``layers``: for each its ``level``,
            its ``direction`` and its ``gates`` by name.
        """
        layers = [
            {"level": one.level, "direction": one.direction, "gates": {gate.name: gate.to_json() for gate in one.gates}}
            for one in self.layers
        ]
        return {"cell": self.cell, "open": self.opened, "steps": list(self.steps), "layers": layers}

    def render(self) -> str:
        """The record as a table.

        Returns:
            Lines without a line ending at the end.
        """
        rows = [["layer", "gate", "lowest at", "highest at", "mean", "from", "to", f"< {CLOSED}", f"> {OPEN}"]]
        for layer in self.layers:
            for gate in layer.gates:
                means = gate.by_step  # [T]
                low, high = int(means.argmin()), int(means.argmax())
                places = [f"{shown_step(self.steps[step])[:20]} ({step + 1})" for step in (low, high)]
                figures = [f"{value:.3f}" for value in (float(gate.values.mean()), means[low], means[high])]
                shares = [f"{100 * share:.0f} %" for share in (gate.closed, gate.open)]
                rows.append([f"{layer.level} {layer.direction}", gate.name, *places, *figures, *shares])
        note = "mean: over units and steps; from, to: the means over units at the steps named; <, >: shares saturated"
        return "\n".join([aligned(rows, 4), "", note, f"open: {self.shown_opened}"])


def shown_step(step: str) -> str:
    """What is read at a step, as a person can see it.

    Args:
        step: a token or a unit of text.

    Returns:
        The same; a sign in place of white space.
    """
    return "".join(_SIGNS.get(character, character) for character in step) if step != END_OF_TEXT else _SIGNS[step]


def record_gates(model: Model, text: str, conditions: Mapping[str, Any] | None = None) -> GateRecord:
    """Let a model read a text, and note what its gates do.

    The model reads as it does in use: a tagger or a classifier the text's tokens, a language model the units of one
    line, a generator those of a text that it might have written.

    Args:
        model: a trained model of any task.
        text: one line; a generator's text may have several.
        conditions: field → value of what a generator's text is written from.

    Returns:
        The gates' activations.

    Raises:
        DataError: there is nothing to read, or a condition is missing or cannot be used.
        ModelError: the model's cell has no gates, or the model is one of n-grams.
    """
    if model.settings.ngram:
        raise ModelError("expected a model with a network, found one of n-grams")
    encoder = model.network.encoder
    settings = model.settings.encoder
    steps, read = _reading(model, text, conditions or {})
    with _noted(encoder) as found:
        read()
    names = [
        (level, direction)
        for stack in encoder.directions
        for level in range(1, settings.layers + 1)
        for direction in stack
    ]
    layers = [
        LayerGates(level, direction, _in_text_order(gates, direction))
        for (level, direction), gates in zip(names, found, strict=True)
    ]
    if not any(layer.gates for layer in layers):
        raise ModelError(f"expected a cell with gates, found {settings.cell}")
    layers.sort(key=lambda layer: layer.level)  # of two stacks the levels stand beside each other
    return GateRecord(model.task, settings.cell, steps, layers)


def _reading(model: Model, text: str, conditions: Mapping[str, Any]) -> tuple[list[str], Callable[[], object]]:
    """What the model reads at each step, and how to make it read."""
    read: Callable[[], object]
    if isinstance(model, Generator):
        units = model.units.split(text)
        record = record_sentence({**conditions, model.settings.data.target: text})
        steps, read = [END_OF_TEXT, *units], partial(model.log_probs, [record])
    elif isinstance(model, LanguageModel):
        units = model.units.split(_one_line(text))
        steps, read = [END_OF_LINE, *units], partial(model.score, text)
    else:
        assert isinstance(model, Tagger | Classifier)
        sentence = as_sentence(_one_line(text), model.splitter)
        units = steps = sentence.tokens
        read = partial(list, model.predict([sentence]))
    if not units:
        raise DataError("expected a text with at least one token or unit, found none")
    return steps, read


def _one_line(text: str) -> str:
    lines = text.count("\n") + 1
    if lines > 1:
        raise DataError(f"expected one line of text, found {lines}")
    return text


@contextmanager
def _noted(encoder: Encoder) -> Iterator[list[dict[str, Tensor]]]:
    """While the encoder is used, once and for one text, every layer notes its gates, each [1, T, H]."""
    layers = encoder.layers
    found: list[dict[str, Tensor]] = [{} for _ in layers]
    called: set[int] = set()

    def noting(place: int) -> Callable[[Any, tuple[Any, ...]], None]:
        def note(layer: Any, given: tuple[Any, ...]) -> None:
            assert place not in called, "expected a text that is read in one piece"
            called.add(place)
            found[place] |= layer.gates(*given[:2])  # x [1, T, I]; with the state before the first step, if given

        return note

    hooks = [layer.register_forward_pre_hook(noting(place)) for place, layer in enumerate(layers)]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()


def _in_text_order(gates: Mapping[str, Tensor], direction: str) -> list[Gate]:
    """The gates of a layer, each [1, T, H], which a backward one has from the text's end on."""
    found = {name: values[0].float().cpu().numpy() for name, values in gates.items()}  # [T, H]
    return [Gate(name, values[::-1] if direction == "backward" else values) for name, values in found.items()]
