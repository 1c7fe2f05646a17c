"""Attention as a heat map: what is read from left to right, what is written from top to bottom."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from seqkit.errors import file_errors
from seqkit.metrics.plots import FONT, new_figure, png

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_UNITS = 120
"""units of a side in a picture; of a longer text only the beginning is drawn, as more would not be readable"""
_LONGEST = 24
"""characters of a label"""
_CELL, _CHARACTER, _MARGIN = 0.24, 0.085, 0.45
"""inches of a cell, of a character of a label, and around all"""
_TITLE = 90
"""characters of a line of the title"""


def attention_figure(source: Sequence[str], target: Sequence[str], weights: Sequence[Sequence[float]]) -> Figure:
    """Draw how much each unit that is written looks at each that is read.

    Args:
        source: the units that are read.
        target: the units that are written; an empty one is the end.
        weights: a row for each unit of the target, a column for each of the source.

    Returns:
        The picture.

    Raises:
        SettingsError: matplotlib is not installed.
    """
    read, written = [*map(_label, source[:MOST_UNITS])], [_label(unit) for unit in target[:MOST_UNITS]]
    shown = np.array([row[:MOST_UNITS] for row in weights[:MOST_UNITS]]).reshape(len(written), len(read))  # [L, T]
    left = _CHARACTER * max(map(len, written), default=0) + _MARGIN
    above = _CHARACTER * max(map(len, read), default=0) + _MARGIN
    width, height = max(2.5, _CELL * len(read)), max(1.2, _CELL * len(written))
    right = 1.0
    figure = new_figure(left + width + right, above + height + _MARGIN)
    total = figure.get_size_inches()
    axes = figure.add_axes((left / total[0], _MARGIN / total[1], width / total[0], height / total[1]))
    image = axes.imshow(shown, cmap="Blues", vmin=0.0, vmax=1.0, aspect="auto", interpolation="nearest")
    axes.xaxis.tick_top()
    axes.set_xticks(range(len(read)), read, rotation=90, fontsize=FONT, parse_math=False)
    axes.set_yticks(range(len(written)), written, fontsize=FONT, parse_math=False)
    axes.tick_params(length=0)
    axes.set_xlabel("read", fontsize=FONT)
    axes.set_ylabel("written", fontsize=FONT)
    bar = figure.add_axes(((left + width + 0.25) / total[0], _MARGIN / total[1], 0.12 / total[0], height / total[1]))
    figure.colorbar(image, cax=bar).ax.tick_params(labelsize=FONT)
    return figure


def attention_png(path: str, source: Sequence[str], target: Sequence[str], weights: Sequence[Sequence[float]]) -> str:
    """Write the picture of `attention_figure`.

    Args:
        path: the file.
        source: see `attention_figure`.
        target: see `attention_figure`.
        weights: see `attention_figure`.

    Returns:
        A line that says if not all is drawn; otherwise empty.

    Raises:
        SettingsError: matplotlib is not installed.
        DataError: the file cannot be written.
    """
    content = png(attention_figure(source, target, weights))
    with file_errors("cannot be written", path):
        Path(path).write_bytes(content)
    if max(len(source), len(target)) > MOST_UNITS:
        return f"{path}: the first {MOST_UNITS} units of each side are drawn; --json writes all"
    return ""


def _label(unit: str) -> str:
    shown = {"": "(end)", " ": "(space)"}.get(unit, unit)
    return textwrap.shorten(shown, _LONGEST, placeholder="…") if len(shown) > _LONGEST else shown
