"""Gates as heat maps: blue where closed, red where open; the mean of each gate, then every unit by itself."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from seqkit.lab.gates import Floats, Gate, GateRecord, LayerGates, shown_step
from seqkit.lab.output import FONT, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

__all__ = ["MOST_STEPS", "draw"]

MOST_STEPS = 120
"""steps drawn; of a longer text its beginning, since more could not be read"""
_PANEL = 1.15  # inches: the units of one gate
_LONGEST = 24  # characters of a label


def draw(record: GateRecord, title: str) -> Figure:
    """Draw the gates of a model over a text: a column a direction, the levels below each other.

    Args:
        record: the gates.
        title: what stands above.

    Returns:
        The picture.

    Raises:
        SettingsError: matplotlib is not installed.
    """
    steps = [shown_step(step) for step in record.steps[:MOST_STEPS]]
    levels = [
        [one for one in record.layers if one.level == level] for level in sorted({o.level for o in record.layers})
    ]
    columns = len(levels[0])
    longest = min(max(map(len, steps)), _LONGEST)
    heights = [[0.24 * len(level[0].gates) + 0.1, *[_PANEL] * len(level[0].gates)] for level in levels]
    width = max(3.4, 0.21 * len(steps) + 1.0)
    height = sum(map(sum, heights)) + (0.07 * longest + 0.55) * len(levels)  # with the labels of steps, and titles
    figure = new_figure(max(7.0, width * columns + 1.0), height + 0.5)
    grid = figure.add_gridspec(
        sum(map(len, heights)), columns, height_ratios=[one for level in heights for one in level]
    )
    image, top = None, 0
    for level, rows in zip(levels, heights, strict=True):
        for column, layer in enumerate(level):
            panels = [figure.add_subplot(grid[top + row, column]) for row in range(len(rows))]
            image = _draw_layer(panels, layer, steps)
        top += len(rows)
    assert image is not None
    bar = figure.colorbar(image, ax=figure.axes, fraction=0.03, pad=0.01, aspect=40)
    bar.set_label("activation (0: closed, 1: open)", fontsize=FONT)
    bar.ax.tick_params(labelsize=FONT)
    cut = f", first {MOST_STEPS} of {len(record.steps)} steps" if len(record.steps) > MOST_STEPS else ""
    about = textwrap.wrap(f"open: {record.shown_opened}", int(13 * figure.get_figwidth()))
    figure.suptitle("\n".join([f"{title}{cut}", *about]), fontsize=FONT + 2, parse_math=False)
    return figure


def _draw_layer(panels: Sequence[Axes], layer: LayerGates, steps: Sequence[str]) -> AxesImage:
    """The mean of each gate in the first panel, the units of each gate in one of the others."""
    first, *rest = panels
    means: Floats = np.stack([gate.by_step[: len(steps)] for gate in layer.gates])  # [gates, T]
    image = _heat(first, means)
    first.set_title(f"layer {layer.level}, {layer.direction}", fontsize=FONT + 1)
    first.set_yticks(range(len(layer.gates)), [f"{gate.name}, mean" for gate in layer.gates], fontsize=FONT)
    if len(steps) <= 45:
        for (row, step), value in np.ndenumerate(means):
            colour = "white" if abs(value - 0.5) > 0.35 else "black"
            first.text(
                step,
                row,
                f"{value:.2f}"[1:] if value < 0.995 else "1",
                fontsize=6,
                color=colour,
                ha="center",
                va="center",
            )
    for axes, gate in zip(rest, layer.gates, strict=True):
        _draw_units(axes, gate, len(steps))
    for axes in panels[:-1]:
        axes.set_xticks([])
    shown = [step if len(step) <= _LONGEST else step[: _LONGEST - 1] + "…" for step in steps]
    # a pair of dollar signs among the tokens is no formula
    panels[-1].set_xticks(range(len(steps)), shown, rotation=90, fontsize=FONT, parse_math=False)
    return image


def _draw_units(axes: Axes, gate: Gate, steps: int) -> None:
    _heat(axes, gate.values[:steps, gate.order].T)  # [H, T]
    axes.set_ylabel(f"{gate.name}\n{gate.values.shape[1]} units", fontsize=FONT)
    axes.set_yticks([])


def _heat(axes: Axes, values: Floats) -> AxesImage:
    return axes.imshow(values, cmap="coolwarm", vmin=0.0, vmax=1.0, aspect="auto", interpolation="nearest")
