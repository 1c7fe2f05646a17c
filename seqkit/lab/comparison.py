"""How cells did on one task: the records of a comparison, as a table and as a picture."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from seqkit.lab.output import FONT, aligned, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["METRICS", "ONE_SEED", "UNKNOWN", "CellRun", "draw", "render"]

METRICS = ("perplexity", "f1", "micro_f1", "accuracy")
"""the figures that models are judged by, the first that a report has; of perplexity alone less is better"""
ONE_SEED = "one seed: small differences mean nothing"
UNKNOWN = "unknown"
"""where a run was trained whose record is lost"""
_SPLITS = ("dev", "test")


@dataclass(frozen=True)
class CellRun:
    """How one cell did.

    Args:
        cell: its name; its model is in the folder of that name.
        settings: what it was trained with.
        data: the data set's name.
        device: where it was trained, and with how many threads on a processor; `UNKNOWN` of what was trained before
            there was a record of it.
        scores: split → its report, as ``--json`` of ``evaluate`` has it; empty where training came to no end.
        parameters: the parts of the model → how many trainable numbers each has.
        tokens_per_second: tokens of training data a second of training, the median over epochs.
        best_epoch: the epoch with the best score on dev, counted from 1.
        epochs: how many there were.
        seconds: of training and of scoring dev after every epoch.
        history: the lines of ``train.jsonl``, one an epoch.
        fault: why training came to no end; empty where it did.
    """

    cell: str
    settings: Mapping[str, Any]
    data: str
    device: str
    scores: Mapping[str, Mapping[str, Any]]
    parameters: Mapping[str, int]
    tokens_per_second: float
    best_epoch: int
    epochs: int
    seconds: float
    history: Sequence[Mapping[str, Any]]
    fault: str = ""

    def score(self, split: str, metric: str) -> float | None:
        """One figure of one split; None where there is none."""
        found = self.scores.get(split, {}).get(metric)
        return None if found is None else float(found)

    @property
    def total(self) -> int:
        """The number of all parameters."""
        return sum(self.parameters.values())


def _metric(runs: Sequence[CellRun]) -> str:
    """The figure that the runs are judged by."""
    known = {name for one in runs for report in one.scores.values() for name in report}
    return next((metric for metric in METRICS if metric in known), METRICS[-1])


def _splits(runs: Sequence[CellRun]) -> list[str]:
    return [split for split in _SPLITS if any(split in one.scores for one in runs)]


def _shown(value: float | None, metric: str) -> str:
    return "–" if value is None else f"{value:,.2f}" if metric == "perplexity" else f"{value:.4f}"


def _places(runs: Sequence[CellRun]) -> str:
    """Where they were trained; which one where, if not all at the same place."""
    places = dict.fromkeys(one.device for one in runs)
    if len(places) == 1:
        return next(iter(places))
    found = [f"{', '.join(one.cell for one in runs if one.device == place)} on {place}" for place in places]
    return f"{'; '.join(found)}: speeds and seconds cannot be compared"


def render(runs: Sequence[CellRun]) -> str:
    """The comparison as a table.

    Args:
        runs: what `compare_cells` gave.

    Returns:
        Lines without a line ending at the end.
    """
    metric, splits = _metric(runs), _splits(runs)
    head = [f"{metric} {split}" for split in splits]
    rows = [["cell", *head, "parameters", "encoder", "tokens/s", "best epoch", "seconds"]]
    for one in runs:
        scores = [_shown(one.score(split, metric), metric) for split in splits]
        sizes = [f"{one.total:,}", f"{one.parameters.get('encoder', 0):,}"] if one.parameters else ["–", "–"]
        best = f"{one.best_epoch} of {one.epochs}" if one.scores else "–"
        rows.append([one.cell, *scores, *sizes, f"{one.tokens_per_second:,.0f}", best, f"{one.seconds:,.1f}"])
    notes = [
        "tokens/s: training tokens a second, median over epochs; seconds: training, and scoring dev after each epoch"
    ]
    notes += [f"trained on: {_places(runs)}", ONE_SEED, *(f"{one.cell}: {one.fault}" for one in runs if one.fault)]
    return "\n".join([aligned(rows), "", *notes])


def draw(runs: Sequence[CellRun]) -> Figure:
    """The comparison as a picture: scores, speed, size, and the score on dev by epoch.

    Args:
        runs: what `compare_cells` gave, one or more.

    Returns:
        The picture.

    Raises:
        SettingsError: matplotlib is not installed.
    """
    metric, splits = _metric(runs), _splits(runs)
    figure = new_figure(10.0, 5.2 + 0.28 * len(runs))
    grid = figure.add_gridspec(2, 3, height_ratios=[1.0 + 0.28 * len(runs), 3.6])
    colours = _colours(len(runs))
    first = figure.add_subplot(grid[0, 0])
    _draw_scores(first, runs, metric, splits, colours)
    others = [figure.add_subplot(grid[0, column], sharey=first) for column in (1, 2)]
    _draw_bars(others[0], [one.tokens_per_second for one in runs], colours, "training tokens a second (median epoch)")
    encoders = [one.parameters.get("encoder", 0) for one in runs]
    _draw_bars(others[1], [one.total for one in runs], colours, "parameters (dark: encoder)", encoders)
    for axes in others:
        axes.tick_params(labelleft=False)
    _draw_curves(figure.add_subplot(grid[1, :]), runs, metric, colours)
    about = runs[0]
    encoder = about.settings["encoder"]
    title = (
        f"{about.settings['task']} on {about.data}: {encoder['layers']} × {encoder['hidden']}, {encoder['direction']}"
    )
    notes = [f"seed {about.settings['training']['seed']}; {ONE_SEED}", *textwrap.wrap(_places(runs), 110)]
    figure.suptitle("\n".join([title, *notes]), fontsize=FONT + 2, parse_math=False)
    return figure


def _colours(count: int) -> list[Any]:
    """A colour a run: ten strong ones, then ten pale ones."""
    from matplotlib import colormaps

    table = colormaps["tab20"].colors  # type: ignore[attr-defined]  # pairs of a strong and a pale one
    order = [*table[::2], *table[1::2]]
    return [order[index % len(order)] for index in range(count)]


def _name_rows(axes: Axes, runs: Sequence[CellRun]) -> None:
    axes.set_yticks(range(len(runs)), [one.cell for one in runs], fontsize=FONT)
    axes.set_ylim(len(runs) - 0.4, -0.6)  # the first at the top


def _draw_scores(
    axes: Axes, runs: Sequence[CellRun], metric: str, splits: Sequence[str], colours: Sequence[Any]
) -> None:
    _name_rows(axes, runs)
    better = "less" if metric == "perplexity" else "more"
    axes.set_xlabel(f"{metric} ({better} is better)", fontsize=FONT)
    for row, (one, colour) in enumerate(zip(runs, colours, strict=True)):
        if not one.scores:
            axes.text(0.5, row, "loss not finite", fontsize=FONT, transform=axes.get_yaxis_transform(), ha="center")
        for split in splits:
            value = one.score(split, metric)
            filled = colour if split == splits[-1] else "white"
            if value is not None:
                axes.plot(value, row, "o", color=colour, markerfacecolor=filled, markersize=6)
        value = one.score(splits[-1], metric) if splits else None
        if value is not None:
            axes.annotate(
                _shown(value, metric), (value, row), (0, 6), textcoords="offset points", ha="center", fontsize=FONT - 1
            )
    marks = (
        {"dev": "○ dev", "test": "● test"}
        if len(splits) > 1
        else dict.fromkeys(splits, f"● {splits[0]}" if splits else "")
    )
    axes.set_title("   ".join(marks[split] for split in splits), fontsize=FONT)
    axes.margins(x=0.18)
    axes.grid(axis="y", alpha=0.3)
    axes.tick_params(labelsize=FONT)


def _draw_bars(
    axes: Axes, values: Sequence[float], colours: Sequence[Any], label: str, inner: Sequence[float] | None = None
) -> None:
    rows = range(len(values))
    axes.barh(rows, values, color=colours, height=0.6, alpha=1.0 if inner is None else 0.45)
    if inner is not None:
        axes.barh(rows, inner, color=colours, height=0.6)
    for row, value in zip(rows, values, strict=True):
        axes.annotate(f"{value:,.0f}", (value, row), (3, 0), textcoords="offset points", va="center", fontsize=FONT)
    axes.set_xlim(0, 1.3 * max(*values, 1))
    axes.set_xlabel(label, fontsize=FONT)
    axes.xaxis.set_major_locator(_few_ticks())
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.tick_params(labelsize=FONT)


def _few_ticks(count: int = 4) -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(count, integer=True)


def _draw_curves(axes: Axes, runs: Sequence[CellRun], metric: str, colours: Sequence[Any]) -> None:
    for one, colour in zip(runs, colours, strict=True):
        points = [(line["epoch"], line["dev"].get(metric)) for line in one.history]
        known = [(epoch, value) for epoch, value in points if value is not None]
        if not known:
            continue
        epochs, values = zip(*known, strict=True)
        axes.plot(
            epochs, values, "-", color=colour, linewidth=1.3, label=one.cell, marker="." if len(known) < 30 else ""
        )
        if one.best_epoch in epochs:
            axes.plot(one.best_epoch, values[epochs.index(one.best_epoch)], "o", color=colour, markersize=6)
    if metric == "perplexity":
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:,.4g}")
        axes.yaxis.set_minor_formatter("{x:,.4g}")
    axes.set_xlabel("epoch (dot: the best one, which is kept)", fontsize=FONT)
    axes.set_ylabel(f"{metric} on dev", fontsize=FONT)
    axes.xaxis.set_major_locator(_few_ticks(9))
    axes.tick_params(labelsize=FONT, which="both")
    axes.grid(alpha=0.3)
    if axes.lines:
        axes.legend(fontsize=FONT, loc="center left", bbox_to_anchor=(1.0, 0.5))
