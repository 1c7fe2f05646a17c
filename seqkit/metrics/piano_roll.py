"""Pieces of music as pictures: time from left to right, a row a key."""

from __future__ import annotations

import math
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seqkit.errors import DataError, file_errors
from seqkit.formats.piano import FRAMES_PER_QUARTER, KEYS, LOWEST, key_name
from seqkit.metrics.plots import FONT, new_figure, png

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_FRAMES = 800
"""frames in the picture; of a longer piece only the beginning is drawn, as more would not be readable"""
_ROW = 0.13  # inches
_BLACK = {1, 3, 6, 8, 10}
"""the black keys of an octave from C"""
_COLOURS = {"prompt": "#7a8794", "continuation": "#d1495b", "piece": "#2e6f95"}


def piano_roll_png(
    frames: ArrayLike,
    path: str | Path,
    *,
    prompt: int = 0,
    frames_per_quarter: int = FRAMES_PER_QUARTER,
    title: str = "",
) -> str:
    """Draw a piece.

    Args:
        frames: zeros and ones, [N, 88].
        path: the PNG file to write.
        prompt: how many frames at the beginning were given; those after them have another colour.
        frames_per_quarter: how many frames are a quarter note.
        title: stands above the picture.

    Returns:
        A line that says how much of the piece is drawn; empty if all is.

    Raises:
        DataError: there is nothing to draw, or the file cannot be written.
        SettingsError: matplotlib is not installed.
        ValueError: the frames have another shape.
    """
    roll = np.asarray(frames)
    if roll.ndim != 2 or roll.shape[1] != KEYS:
        raise ValueError(f"expected frames of shape [N, {KEYS}], found {list(roll.shape)}")
    if not len(roll):
        raise DataError("no frames to draw a piano roll of")
    shown = roll[:MOST_FRAMES] > 0  # [N, 88]
    sounding = np.flatnonzero(shown.any(0))
    low, high = (int(sounding[0]), int(sounding[-1])) if len(sounding) else (27, 51)
    low, high = max(0, low - 2), min(KEYS - 1, high + 2)
    width = min(24.0, max(6.0, 0.055 * len(shown) + 1.2))
    figure = new_figure(width, max(2.4, _ROW * (high - low + 1) + 1.1), "a piano roll")
    axes = figure.add_subplot()
    _draw_keys(axes, low, high)
    prompt = min(prompt, len(shown))
    parts = [("prompt", 0, prompt), ("continuation" if prompt else "piece", prompt, len(shown))]
    for name, begin, end in parts:
        _draw_notes(axes, shown[begin:end], begin, frames_per_quarter, name)
    if prompt > 0:
        axes.axvline(prompt / frames_per_quarter, color="black", linewidth=0.8)
        axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2, fontsize=FONT, frameon=False)
    quarters = len(shown) / frames_per_quarter
    step = 4 * math.ceil(quarters / 4 / (4 * width)) if quarters > 8 else 1
    axes.set_xlim(0, quarters)
    axes.set_xticks(np.arange(0, quarters + 1e-9, step))
    axes.tick_params(labelsize=FONT)
    axes.set_xlabel("time in quarter notes", fontsize=FONT)
    axes.set_ylabel("key", fontsize=FONT)
    axes.grid(axis="x", color="#c9c9c9", linewidth=0.4)
    axes.set_axisbelow(True)
    if title:
        axes.set_title(title, fontsize=FONT + 2, parse_math=False)
    with file_errors("cannot be written", path):
        Path(path).write_bytes(png(figure))
    cut = len(roll) - len(shown)
    return f"{path}: the first {MOST_FRAMES:,} of {len(roll):,} frames are drawn" if cut else ""


def _draw_keys(axes: Axes, low: int, high: int) -> None:
    """Rows of keys, the black ones shaded; named are every C and the other white keys as far as there is room."""
    for key in range(low, high + 1):
        if (key + LOWEST) % 12 in _BLACK:
            axes.axhspan(key - 0.5, key + 0.5, color="#eeeeee", linewidth=0)
        elif (key + LOWEST) % 12 == 0:
            axes.axhline(key - 0.5, color="#9a9a9a", linewidth=0.5)
    named = [key for key in range(low, high + 1) if (key + LOWEST) % 12 in (0, 4, 7)]
    named = named or [low, high]
    axes.set_yticks(named, list(map(key_name, named)))
    axes.set_ylim(low - 0.5, high + 0.5)


def _draw_notes(axes: Axes, roll: NDArray[np.bool_], begin: int, frames_per_quarter: int, name: str) -> None:
    """Bars from where a key begins to sound to where it ends."""
    label = name
    for key in np.flatnonzero(roll.any(0)):
        bars = []
        for on, run in groupby(enumerate(roll[:, key]), lambda pair: pair[1]):
            places = [place for place, _ in run]
            if on:
                bars.append(((begin + places[0]) / frames_per_quarter, len(places) / frames_per_quarter))
        axes.broken_barh(bars, (key - 0.42, 0.84), color=_COLOURS[name], linewidth=0, label=label)
        label = "_nolegend_"
