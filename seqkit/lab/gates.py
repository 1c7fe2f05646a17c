"""The gates of a trained model over one text or sequence of vectors: how far each is open at each step, in every layer
and direction."""  # noqa: D205, D209

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from seqkit.errors import DataError, ModelError
from seqkit.formats.json_text import objects
from seqkit.formats.manifest import KEYS, row_frames
from seqkit.formats.writers import clean
from seqkit.inputs.lookup import LookupInput
from seqkit.inputs.units import UnitInput
from seqkit.metrics.scores import text_table
from seqkit.model.base import Model, Predictor
from seqkit.nn.encoder import Encoder
from seqkit.records import FrameRecord

NAME = "gates"
"""the name of its files"""
CLOSED, OPEN = 0.1, 0.9
"""a gate below the one or above the other is saturated: it passes almost nothing or almost everything"""

Floats = npt.NDArray[np.float32]
_OPENED = {
    "input": "adds new input to the memory",
    "forget": "keeps the memory",
    "output": "outputs the memory",
    "reset": "uses the last state for the candidate",
    "update": "keeps the last state",
    "depth": "adds the memory of the layer below",
    "active": "updates the unit",
}
_OPENED_OF = {
    ("lstm_coupled", "forget"): "keeps the memory and adds no new input",
    ("mingru", "update"): "replaces the last state",
    ("minlstm", "input"): "replaces the last state",
    ("minlstm", "forget"): "keeps the last state",
}
_SIGNS = str.maketrans({"\n": "↵", " ": "␣", "\t": "⇥"})


@dataclass(frozen=True)
class Gate:
    """One gate of one layer over a text or a sequence.

    Args:
        name: its name in the cell's equations.
        values: its activations between 0 and 1, [T, H], the steps in the order of the text or sequence.
    """

    name: str
    values: Floats

    @property
    def by_step(self) -> Floats:
        """The mean over the units at each step, [T]."""
        return np.asarray(self.values.mean(1))

    @property
    def saturated(self) -> tuple[float, float]:
        """The shares of all activations that are below `CLOSED`, and above `OPEN`."""
        return float((self.values < CLOSED).mean()), float((self.values > OPEN).mean())

    @property
    def order(self) -> npt.NDArray[np.int64]:
        """The units, [H], the most open ones first."""
        return np.argsort(-self.values.mean(0), kind="stable")

    def to_json(self) -> dict[str, Any]:
        """The gate as a JSON object.

        Returns:
            ``mean`` of all, the shares ``closed`` and ``open``, ``by_step`` (the mean over units), the ``order`` of the
            units in the picture, and ``values``, a list of the H units at each of the T steps.
        """
        closed, opened = self.saturated
        return {
            "mean": float(self.values.mean()),
            "closed": closed,
            "open": opened,
            "by_step": self.by_step.astype(float).round(4).tolist(),
            "order": self.order.tolist(),
            "values": self.values.astype(float).round(4).tolist(),
        }


@dataclass(frozen=True)
class LayerGates:
    """The gates of one layer.

    Args:
        level: the number of the layer, counted from 1 at the input.
        direction: ``forward`` or ``backward``.
        gates: one record per gate.
    """

    level: int
    direction: str
    gates: Sequence[Gate]


@dataclass(frozen=True)
class GateRecord:
    """The gates of a model over a text or a sequence.

    Args:
        task: the model's task.
        cell: the cell of its encoder.
        steps: what was read at each of the T steps: a token or unit, or the number or time of the step's first frame.
            The first step of a language model or a generator is the end of the line or text before.
        layers: one record per layer and direction.
        unit: what the steps of a sequence are numbered in, ``frames`` or ``seconds``; empty for those of a text.
        spacing: how many of them are from one step to the next.
    """

    task: str
    cell: str
    steps: Sequence[str]
    layers: Sequence[LayerGates]
    unit: str = ""
    spacing: float = 1.0

    @property
    def opened(self) -> dict[str, str]:
        """What each gate does where it is open; gates of one name differ between cells."""
        names = dict.fromkeys(gate.name for layer in self.layers for gate in layer.gates)
        return {name: _OPENED_OF.get((self.cell, name), _OPENED[name]) for name in names}

    @property
    def shown_opened(self) -> str:
        """The same on one line."""
        return "; ".join(f"{name}: {what}" for name, what in self.opened.items())

    def to_json(self) -> dict[str, Any]:
        """The record as a JSON object.

        Returns:
            ``cell``, ``open`` (what each gate does where it is open), ``steps``, for those of a sequence their
            ``unit``, and ``layers``: for each its ``level``, its ``direction`` and its ``gates`` by name.
        """
        layers = [
            {"level": one.level, "direction": one.direction, "gates": {gate.name: gate.to_json() for gate in one.gates}}
            for one in self.layers
        ]
        unit = {"unit": self.unit} if self.unit else {}
        return {"cell": self.cell, "open": self.opened, "steps": list(self.steps), **unit, "layers": layers}

    def render(self) -> str:
        """The record as a table.

        Returns:
            Lines without a final line ending.
        """
        rows = [["layer", "gate", "lowest at", "highest at", "mean", "from", "to", f"< {CLOSED}", f"> {OPEN}"]]
        for layer in self.layers:
            for gate in layer.gates:
                means = gate.by_step  # [T]
                low, high = int(means.argmin()), int(means.argmax())
                places = [self._place(step) for step in (low, high)]
                numbers = [f"{value:.3f}" for value in (float(gate.values.mean()), means[low], means[high])]
                shares = [f"{100 * share:.0f} %" for share in gate.saturated]
                rows.append([f"{layer.level} {layer.direction}", gate.name, *places, *numbers, *shares])
        note = "mean: over units and steps; from, to: mean over units at these steps; <, >: share of saturated units"
        return "\n".join([text_table(rows, 4), "", note, f"open: {self.shown_opened}"])

    def _place(self, step: int) -> str:
        """A step as the table names it."""
        if self.unit:
            return f"{self.steps[step]} s" if self.unit == "seconds" else f"frame {self.steps[step]}"
        return f"{shown_step(self.steps[step])[:20]} ({step + 1})"


def shown_step(step: str) -> str:
    """A step in visible characters.

    Args:
        step: a token or a unit of text.

    Returns:
        The same, with a sign for white space, and U+FFFD for what cannot be printed.
    """
    return clean(step).replace("\n\n", "¶").translate(_SIGNS)  # two, where a generated text ends


def sequence_of(given: str, field: str = "") -> FrameRecord:
    """The sequence of vectors that a user names or writes.

    Args:
        given: the name of an array (``a.npy``, ``all.npz#name``, ``all.npy#row``), a recording (``a.wav``) or a piece
            of music (``a.mid``), or JSON: a list of frames, or an object as in a manifest.
        field: the field of the sequence in an object; by default any of the usual ones.

    Returns:
        The sequence.

    Raises:
        DataError: it is something else, or cannot be read.
    """
    if given.lstrip()[:1] not in ("[", "{"):
        return row_frames({KEYS[0]: given}, folder=Path())
    ((_, row),) = objects([(1, given.replace("\n", " "))], "JSON", "lines")
    if not isinstance(row, dict):
        return row_frames({KEYS[0]: row})
    return row_frames(row, field or next((key for key in KEYS if key in row), KEYS[0]), Path())


def record_gates(model: Predictor, given: Any, conditions: Mapping[str, Any] | None = None) -> GateRecord:
    """Run a model over a text or a sequence of vectors and record the activations of its gates.

    The model reads as it does in use: a tagger or a classifier the text's tokens, a language model the units of one
    line, a generator those of a text that it might have generated; a model of sequences the steps that frames become.

    Args:
        model: a trained model of any task.
        given: one line; for a generator possibly several; for a model of sequences what `sequence_of` takes, an array
            or a record.
        conditions: field → value: the condition of a generator's text.

    Returns:
        The activations.

    Raises:
        DataError: the text is empty or has several lines, the sequence cannot be read, or the condition is missing or
            not valid.
        ModelError: the model's cell has no gates, or it is an n-gram model.
    """
    if not isinstance(model, Model):
        raise ModelError("an n-gram model has no gates; give a model with a network")
    settings: Any = model.settings
    encoder, cell, kind = model.network.encoder, settings.encoder.cell, model.task.records
    unit, spacing = "", 1.0
    if kind == "frames":
        record = sequence_of(given, settings.data.frames) if isinstance(given, str) else model.record(given)
        unit, spacing = "frames", getattr(settings.frames, "step", 1)
        acoustics = getattr(model.input, "acoustics", None)
        if acoustics is not None:
            unit, spacing = "seconds", spacing / acoustics.frame_rate
    else:
        if "\n" in given and kind != "fields":
            raise DataError(f"the text has {given.count(chr(10)) + 1} lines; give one line")
        # A model of fields reads the text among them; any other splits it itself.
        fields = {**(conditions or {}), getattr(settings.data, "target", ""): given}
        record = model.record(fields if kind == "fields" else given)
    if isinstance(model.input, LookupInput):
        steps = model.input.units_of([record])[0]
        if isinstance(model.input, UnitInput):
            steps = [*map(model.input.units.name, steps)]
    else:
        steps = [f"{round(step * spacing, 4):.12g}" for step in range(*model.input.lengths([record]))]
    if all(step == getattr(settings.data, "end", None) for step in steps):
        raise DataError("the text is empty")
    recorded = iter(_record(encoder, lambda: list(model.pipeline()([record]))))
    layers = [
        LayerGates(level, direction, _in_text_order(next(recorded), direction))
        for stack in encoder.directions
        for level in range(1, settings.encoder.layers + 1)
        for direction in stack
    ]
    if not any(layer.gates for layer in layers):
        raise ModelError(f"the cell {cell} has no gates")
    layers.sort(key=lambda layer: layer.level)  # two stacks: the directions of one layer come together
    return GateRecord(model.task.name, cell, steps, layers, unit, spacing)


def _record(encoder: Encoder, run: Callable[[], object]) -> list[dict[str, Tensor]]:
    """The gates of every layer, each [1, T, H], while the encoder reads one record once, a long one in pieces."""
    recorded: dict[nn.Module, list[dict[str, Tensor]]] = {layer: [] for layer in encoder.layers}

    def record(layer: Any, inputs: tuple[Any, ...]) -> None:
        recorded[layer].append(layer.gates(*inputs[:2]))  # x [1, W, I]; with the state before, if there is one

    with ExitStack() as hooks:
        for layer in encoder.layers:
            hooks.enter_context(layer.register_forward_pre_hook(record))
        run()
    return [{name: torch.cat([one[name] for one in pieces], 1) for name in pieces[0]} for pieces in recorded.values()]


def _in_text_order(gates: Mapping[str, Tensor], direction: str) -> list[Gate]:
    """The gates of a layer, each [1, T, H], which a backward layer computes from the end of the text."""
    found = {name: values[0].float().cpu().numpy() for name, values in gates.items()}  # [T, H]
    return [Gate(name, values[::-1] if direction == "backward" else values) for name, values in found.items()]
