"""Sequences of vectors as pictures, with what a model finds in them on the same axis of time."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqkit.errors import file_errors
from seqkit.metrics.plots import FONT, new_figure, png
from seqkit.terminal import one_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_FRAMES = 1500
"""frames in a picture; of a longer stretch only the beginning is drawn, as more would not be readable"""
_DOUBTED = 0.1
"""the least posterior with which a symbol that is not in the text is drawn"""
_SPREAD = 4.0
"""how many times as much as half of the others a feature may vary where all have the same colours"""
_CHARACTER = 0.085
"""inches of a character at the size of labels"""
_LEVELS = 4
"""rows for symbols that are close together"""
_MARGINS = 1.6
"""inches beside the panels: names of axes, the bar of colours"""
_TITLE_LINES = 3
_LONGEST = 30
"""characters of a label in a legend"""
_COLOURS = (
    "#1f77b4",
    "#d62728",
    "#2ca02c",
    "#9467bd",
    "#ff7f0e",
    "#8c564b",
    "#e377c2",
    "#17becf",
    "#bcbd22",
    "#3b3b98",
)
_PALE = ("#aec7e8", "#ff9896", "#98df8a", "#c5b0d5", "#ffbb78", "#c49c94", "#f7b6d2", "#9edae5", "#dbdb8d", "#a3a3e0")
_BLANK, _SPACE = "#9a9a9a", "#5b6b7a"


@dataclass(frozen=True)
class Stretch:
    """A stretch of a sequence of vectors, and what pictures call it.

    Args:
        frames: its frames, as they are read, [N, F].
        edges: when each begins and the last one ends, [N + 1].
        in_seconds: whether these are seconds, or numbers of frames.
        name: what the sequence is called.
        features: what a feature is.
        one_scale: whether all features are measured alike; None where that is to be seen.
    """

    frames: NDArray[np.float32]
    edges: NDArray[np.float64]
    in_seconds: bool
    name: str
    features: str = "feature"
    one_scale: bool | None = None


class Peak(NamedTuple):
    """A symbol of a text.

    Args:
        symbol: the symbol.
        time: the middle of the steps in which its posterior is largest.
        posterior: how large it is there.
    """

    symbol: str
    time: float
    posterior: float


class Bar(NamedTuple):
    """A run of a label.

    Args:
        start: when it begins.
        end: when it ends.
        label: its label.
    """

    start: float
    end: float
    label: str


def transcription_png(
    path: str | Path,
    stretch: Stretch,
    *,
    times: NDArray[np.float64],
    posteriors: NDArray[np.float32],
    symbols: Sequence[str],
    peaks: Sequence[Peak],
    found: str,
    right: str | None = None,
) -> None:
    """Draw a sequence, and below it how probable the blank and each symbol are at every step.

    Symbols of the text are coloured, and stand above their peaks; others that reach `_DOUBTED` are dashed.

    Args:
        path: the PNG file to write.
        stretch: what is drawn of the sequence.
        times: the middle of each step, [T].
        posteriors: the probabilities of the blank and of K symbols, [T, K + 1].
        symbols: the K symbols.
        peaks: the symbols of the text.
        found: the text.
        right: the right text, where it is known.

    Raises:
        DataError: the file cannot be written.
        SettingsError: matplotlib is not installed.
    """
    width = _width(stretch, 0.7 * _CHARACTER * sum(len(peak.symbol) + 1 for peak in peaks))
    figure, panel = _panels(stretch, width, 1.9)
    lines = [f"found: {found}", *([] if right is None else [f"right: {right}"])]
    _title(figure, stretch, lines, width)
    panel.plot(times, posteriors[:, 0], color=_BLANK, linewidth=0.8, label="blank", zorder=1)
    spoken = dict.fromkeys(peak.symbol for peak in peaks if peak.symbol != " ")
    colours = {symbol: _COLOURS[number % len(_COLOURS)] for number, symbol in enumerate(spoken)} | {" ": _SPACE}
    said = {peak.symbol for peak in peaks}
    other = "other symbols"
    levels = _levels(peaks, stretch.edges, width - _MARGINS)
    for column, symbol in enumerate(symbols, start=1):
        values = posteriors[:, column]
        if symbol in said:
            panel.fill_between(times, values, color=colours[symbol], alpha=0.25, linewidth=0)
            panel.plot(times, values, color=colours[symbol], linewidth=1.2)
        elif len(values) and values.max() >= _DOUBTED:
            panel.plot(times, values, color="black", linewidth=0.7, linestyle=(0, (2, 1.5)), label=other)
            other = "_nolegend_"
            place = int(values.argmax())
            panel.annotate(
                _visible(symbol), (times[place], values[place]), (0, 1), textcoords="offset points", ha="center",
                fontsize=FONT - 1, parse_math=False,
            )  # fmt: skip
    for peak, level in zip(peaks, levels, strict=True):
        height = 1.06 + 0.13 * level
        line = {"color": colours[peak.symbol], "linewidth": 0.6, "linestyle": ":"}
        panel.plot([peak.time, peak.time], [peak.posterior, height], **line)  # type: ignore[arg-type]
        text = panel.text(
            peak.time, height, _visible(peak.symbol), color=colours[peak.symbol], fontsize=FONT + 2, weight="bold",
            ha="center", va="bottom", parse_math=False,
        )  # fmt: skip
        text.set_in_layout(False)  # beside the panel there is room for half of one
    panel.set_ylim(0, 1.2 + 0.13 * max(levels, default=0))
    panel.set_yticks([0, 0.5, 1])
    panel.grid(axis="y", color="#dddddd", linewidth=0.5)
    panel.set_ylabel("posterior", fontsize=FONT)
    panel.legend(loc="upper right", bbox_to_anchor=(1.0, -0.1), ncols=2, fontsize=FONT, frameon=False)
    _save(figure, path)


def runs_png(
    path: str | Path, stretch: Stretch, rows: Sequence[tuple[str, Sequence[Bar]]], *, labels: Sequence[str], note: str
) -> None:
    """Draw a sequence, and below it rows of bars with the names of labels.

    A legend has the labels that are too long for all of their bars.

    Args:
        path: the PNG file to write.
        stretch: what is drawn of the sequence.
        rows: names and bars, from top to bottom.
        labels: the labels that have colours of their own, whichever of them are drawn.
        note: stands above the picture.

    Raises:
        DataError: the file cannot be written.
        SettingsError: matplotlib is not installed.
    """
    most = max((len(bars) for _, bars in rows), default=0)
    width = _width(stretch, 0.3 * most)
    height = 0.15 + 0.42 * len(rows)
    figure, panel = _panels(stretch, width, height)
    _title(figure, stretch, [note] if note else [], width)
    known = list(dict.fromkeys([*labels, *(bar.label for _, bars in rows for bar in bars)]))
    palette = (*_PALE, *_COLOURS) if len(known) > len(_PALE) else _PALE
    colours = {label: palette[number % len(palette)] for number, label in enumerate(known)}
    begin, end = float(stretch.edges[0]), float(stretch.edges[-1])
    for row, (_, bars) in enumerate(rows):
        for bar in bars:
            panel.broken_barh(
                [(bar.start, bar.end - bar.start)], (-row - 0.42, 0.84), color=colours[bar.label], edgecolor="white",
                linewidth=0.7,
            )  # fmt: skip
    panel.set_yticks([-row for row in range(len(rows))], [name for name, _ in rows], fontsize=FONT)
    panel.set_ylim(-len(rows) + 0.45, 0.55)
    panel.tick_params(axis="y", length=0)
    named: set[str] = set()
    figure.draw_without_rendering()  # after which panels have their sizes
    for row, (_, bars) in enumerate(rows):
        for bar in bars:
            start, stop = max(bar.start, begin), min(bar.end, end)
            if _is_named(panel, start, stop, -row, bar.label, colours[bar.label]):
                named.add(bar.label)
    drawn = {bar.label for _, bars in rows for bar in bars}
    _add_legend(figure, panel, {label: colours[label] for label in known if label in drawn - named}, height)
    _save(figure, path)


def _add_legend(figure: Figure, panel: Axes, colours: dict[str, str], height: float) -> None:
    """Name colours below a panel of some height."""
    if not colours:
        return
    shortened = {label: _shortened(label) for label in colours}
    for label, colour in colours.items():
        panel.broken_barh([], (0, 0), color=colour, label=shortened[label])
    columns = max(1, int((figure.get_figwidth() - _MARGINS) / (_CHARACTER * max(map(len, shortened.values())) + 0.5)))
    legend = panel.legend(
        loc="upper left", bbox_to_anchor=(0.0, -0.3 / height), ncols=columns, fontsize=FONT, frameon=False,
        handlelength=1.0,
    )  # fmt: skip
    for text in legend.get_texts():
        text.set_parse_math(False)
    # The panels, whose sizes the names in the bars fit, keep them.
    figure.set_figheight(figure.get_figheight() + 0.1 + 0.17 * -(-len(colours) // columns))


def _is_named(panel: Axes, start: float, stop: float, row: float, label: str, colour: str) -> bool:
    """Write a label into its bar if it fits there, upright otherwise if that does."""
    (left, bottom), (right, top) = panel.transData.transform([(start, row - 0.42), (stop, row + 0.42)])
    dark = sum(int(colour[place : place + 2], 16) * part for place, part in ((1, 0.3), (3, 0.59), (5, 0.11))) < 128
    text = panel.text(
        (start + stop) / 2, row, one_line(label), fontsize=FONT, ha="center", va="center_baseline", parse_math=False,
        color="white" if dark else "black",
    )  # fmt: skip
    for rotation in (0, 90):
        text.set_rotation(rotation)
        box = text.get_window_extent()
        if box.width <= right - left - 2 and box.height <= top - bottom - 2:
            return True
    text.remove()
    return False


# --- what both have in common -------------------------------------------------------------------------------------


def _width(stretch: Stretch, least: float) -> float:
    """Inches of a picture that needs some for what stands in the lower panel."""
    return min(24.0, max(7.5, 0.018 * len(stretch.frames) + _MARGINS, least + _MARGINS))


def _panels(stretch: Stretch, width: float, height: float) -> tuple[Figure, Axes]:
    """A figure with the frames as colours, and an empty panel of some height below on the same axis of time."""
    above = min(2.4, max(1.2, 0.07 * stretch.frames.shape[1]))
    figure = new_figure(width, above + height + 1.1, "a picture of a sequence")
    # The bar of colours has a column of its own, so that both panels are equally wide.
    grid = figure.add_gridspec(2, 2, width_ratios=[1, 0.12 / (width - _MARGINS)], height_ratios=[above, height])
    top = figure.add_subplot(grid[0, 0])
    panel = figure.add_subplot(grid[1, 0], sharex=top)
    values, meaning = _coloured(stretch)
    low, high = np.percentile(values, [1, 99.5])
    high = high if high > low else low + 1
    size = values.shape[1]
    image = top.pcolormesh(
        stretch.edges, np.arange(size + 1) - 0.5, values.T, cmap="magma", vmin=low, vmax=high,
        rasterized=True,
    )  # fmt: skip
    bar = figure.colorbar(image, cax=figure.add_subplot(grid[0, 1]))
    bar.set_label(meaning, fontsize=FONT)
    bar.ax.tick_params(labelsize=FONT)
    top.set_ylabel(stretch.features, fontsize=FONT)
    top.tick_params(labelsize=FONT, labelbottom=False)
    _whole_numbers(top.yaxis, 6)
    panel.set_xlim(float(stretch.edges[0]), float(stretch.edges[-1]))
    panel.set_xlabel("seconds" if stretch.in_seconds else "frame", fontsize=FONT)
    panel.tick_params(labelsize=FONT)
    panel.locator_params(axis="x", nbins=max(6, int(1.2 * width)), integer=not stretch.in_seconds)
    for side in ("top", "right"):
        panel.spines[side].set_visible(False)
    return figure, panel


def _whole_numbers(axis: object, most: int) -> None:
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(most, integer=True))  # type: ignore[attr-defined]


def _coloured(stretch: Stretch) -> tuple[NDArray[np.float64], str]:
    """Numbers that can share one scale of colours, [N, F], and what they are."""
    values = stretch.frames.astype(np.float64)
    spread = values.std(0)  # [F]
    changing = spread[spread > 0]
    alike = stretch.one_scale
    if alike is None:
        alike = not len(changing) or float(changing.max()) <= _SPREAD * float(np.median(changing))
    if alike:
        return values, "log energy" if stretch.one_scale else "value"
    return (values - values.mean(0)) / np.where(spread > 0, spread, 1.0), "deviation from\neach feature's mean"


def _title(figure: Figure, stretch: Stretch, lines: Sequence[str], width: float) -> None:
    """The name of the sequence and further lines, each shortened to what can be read."""
    most = int((width - _MARGINS) * 72 / (0.605 * (FONT + 1)))  # characters of a line
    wrapped = [one_line(stretch.name)]
    for line in lines:
        wrapped += textwrap.wrap(
            one_line(line), most, subsequent_indent=7 * " ", max_lines=_TITLE_LINES, placeholder=" …"
        )
    figure.axes[0].set_title(
        "\n".join(wrapped), loc="left", fontsize=FONT + 1, family="monospace", parse_math=False
    )  # fmt: skip


def _levels(peaks: Sequence[Peak], edges: NDArray[np.float64], width: float) -> list[int]:
    """In which row above the panel each symbol stands, so that neighbours do not cover each other."""
    scale = width / float(edges[-1] - edges[0])  # inches a second, or a frame
    ends = [float("-inf")] * _LEVELS  # of each row, in inches
    found = []
    for peak in peaks:
        middle, half = peak.time * scale, _CHARACTER * len(_visible(peak.symbol)) / 2
        level = next((level for level, end in enumerate(ends) if middle - half >= end), int(np.argmin(ends)))
        ends[level] = middle + half
        found.append(level)
    return found


def _shortened(label: str) -> str:
    text = one_line(label)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _visible(symbol: str) -> str:
    return one_line(symbol).replace(" ", "␣")


def _save(figure: Figure, path: str | Path) -> None:
    with file_errors("cannot be written", path):
        Path(path).write_bytes(png(figure, pil_kwargs={"optimize": True}))
