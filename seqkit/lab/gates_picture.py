"""Gates as heat maps, blue where closed and red where open: first the mean of each gate, then all its units."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from seqkit.lab.gates import Floats, GateRecord, LayerGates, shown_step
from seqkit.metrics.plots import FONT, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

MOST_STEPS = 120
"""steps in the picture; of a longer text only the beginning is drawn, as more would not be readable"""
MOST_FRAMES = 2000
"""the same of a sequence of vectors, whose axis has numbers"""
_PANEL = 1.15  # inches: the units of one gate
_LONGEST = 24  # characters of a label


def draw(record: GateRecord, title: str) -> Figure:
    """Draw the gates of a model over a text or a sequence: one column per direction, the layers below each other.

    Args:
        record: the gates.
        title: the title of the picture.

    Returns:
        The picture.

    Raises:
        SettingsError: matplotlib is not installed.
    """
    most = MOST_FRAMES if record.unit else MOST_STEPS
    steps = [shown_step(step) for step in record.steps[:most]]
    levels = [list(layers) for _, layers in groupby(record.layers, lambda layer: layer.level)]
    columns = len(levels[0])
    heights: list[float] = []  # of each level a panel for the means of its gates and one for each gate
    for level in levels:
        gates = len(level[0].gates)
        heights += [0.24 * gates + 0.1, *[_PANEL] * gates]
    width = max(3.4, min(0.21 * len(steps) + 1.0, 7.0 if record.unit else math.inf))
    longest = 3 if record.unit else min(max(map(len, steps)), _LONGEST)
    labels = 0.07 * longest + 0.55  # the titles of a level and the labels of its steps
    figure = new_figure(max(7.0, width * columns + 1.0), sum(heights) + labels * len(levels) + 0.5)
    panels = figure.subplots(len(heights), columns, squeeze=False, gridspec_kw={"height_ratios": heights})
    top = 0
    for level in levels:
        below = top + 1 + len(level[0].gates)
        for column, layer in enumerate(level):
            image = _draw_layer(panels[top:below, column], layer, steps, record)
        top = below
    bar = figure.colorbar(image, ax=figure.axes, fraction=0.03, pad=0.01, aspect=40)
    bar.set_label("activation (0: closed, 1: open)", fontsize=FONT)
    bar.ax.tick_params(labelsize=FONT)
    cut = f", first {most} of {len(record.steps)} steps" if len(record.steps) > most else ""
    about = textwrap.wrap(f"open: {record.shown_opened}", int(13 * figure.get_figwidth()))
    figure.suptitle("\n".join([f"{title}{cut}", *about]), fontsize=FONT + 2, parse_math=False)
    return figure


def _draw_layer(panels: Iterable[Axes], layer: LayerGates, steps: Sequence[str], record: GateRecord) -> AxesImage:
    """Draw the mean of each gate in the first panel, and the units of each gate in one of the others."""
    first, *rest = panels
    means: Floats = np.stack([gate.by_step[: len(steps)] for gate in layer.gates])  # [gates, T]
    image = _heat_map(first, means, record.spacing)
    first.set_title(f"layer {layer.level}, {layer.direction}", fontsize=FONT + 1)
    first.set_yticks(range(len(layer.gates)), [f"{gate.name}, mean" for gate in layer.gates], fontsize=FONT)
    if len(steps) <= 45:
        for (row, step), value in np.ndenumerate(means):
            colour = "white" if abs(value - 0.5) > 0.35 else "black"
            text = f"{value:.2f}"[1:] if value < 0.995 else "1"
            first.text(step * record.spacing, row, text, fontsize=6, color=colour, ha="center", va="center")
    for axes, gate in zip(rest, layer.gates, strict=True):
        _heat_map(axes, gate.values[: len(steps), gate.order].T, record.spacing)  # [H, T]
        axes.set_ylabel(f"{gate.name}\n{gate.values.shape[1]} units", fontsize=FONT)
        axes.set_yticks([])
    for axes in (first, *rest[:-1]):
        axes.set_xticks([])
    if record.unit:
        rest[-1].tick_params(labelsize=FONT)
        rest[-1].set_xlabel("seconds" if record.unit == "seconds" else "frame", fontsize=FONT)
        return image
    shown = [step if len(step) <= _LONGEST else step[: _LONGEST - 1] + "…" for step in steps]
    # no formulas: a token may be a pair of dollar signs
    rest[-1].set_xticks(range(len(steps)), shown, rotation=90, fontsize=FONT, parse_math=False)
    return image


def _heat_map(axes: Axes, values: Floats, spacing: float) -> AxesImage:
    """Values [rows, T] as colours, one step so far from the next."""
    rows, steps = values.shape
    edges = (-spacing / 2, (steps - 0.5) * spacing, rows - 0.5, -0.5)
    return axes.imshow(
        values, cmap="coolwarm", vmin=0.0, vmax=1.0, aspect="auto", interpolation="nearest", extent=edges
    )
