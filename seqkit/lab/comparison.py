"""The records of a comparison of cells, as a table and as a picture."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from typing import TYPE_CHECKING, Any

from seqkit.metrics.plots import FONT, new_figure
from seqkit.metrics.scores import text_table
from seqkit.tasks import find_task
from seqkit.terminal import one_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

METRICS = ("perplexity", "f1", "micro_f1", "cer", "accuracy", "loss")
"""the scores that models are compared by: the first one that a report has"""
_LOWER = ("perplexity", "cer", "loss")
"""those of which lower is better"""
ONE_SEED = "one seed: small differences mean nothing"
UNKNOWN = "unknown"
"""the device of a run whose record is lost"""
_SPLITS = ("dev", "test")


@dataclass(frozen=True)
class CellRun:
    """The result of one cell.

    Args:
        cell: the name of the cell; its model is in the folder of that name.
        settings: the settings of the run.
        data: the name of the data set.
        device: the device, and on a CPU the number of threads; `UNKNOWN` for training without a record.
        scores: split → its report, as ``--json`` of ``evaluate`` has it; empty where training stopped early.
        parameters: part of the model → number of its trainable parameters.
        tokens_per_second: tokens of training data, or steps of an encoder that reads sequences of vectors, per second
            of training, the median over epochs.
        best_epoch: the epoch with the best score on dev, counted from 1.
        epochs: the number of epochs.
        seconds: the time of training and of scoring dev after every epoch.
        history: the lines of ``train.jsonl``, one per epoch.
        fault: why training stopped early; empty where it did not.
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
        """One score of one split; None where there is none."""
        found = self.scores.get(split, {}).get(metric)
        return None if found is None else float(found)

    @property
    def total(self) -> int:
        """The number of all parameters."""
        return sum(self.parameters.values())


def _metric(runs: Sequence[CellRun]) -> str:
    """The score that the runs are compared by."""
    known = {name for one in runs for report in one.scores.values() for name in report}
    return next((metric for metric in METRICS if metric in known), "accuracy")


def _unit(runs: Sequence[CellRun]) -> str:
    """What is counted in training, such as tokens or frames."""
    settings = runs[0].settings
    return f"{find_task(settings['task'], 'settings', settings.get('input')).unit}s"


def _splits(runs: Sequence[CellRun]) -> list[str]:
    return [split for split in _SPLITS if any(split in one.scores for one in runs)]


def _shown(value: float | None, metric: str) -> str:
    return "–" if value is None else f"{value:,.2f}" if metric == "perplexity" else f"{value:.4f}"


def _places(runs: Sequence[CellRun]) -> str:
    """The device of all runs, or which one was trained where."""
    places = dict.fromkeys(one.device for one in runs)
    if len(places) == 1:
        return next(iter(places))
    found = [f"{', '.join(one.cell for one in runs if one.device == place)} on {place}" for place in places]
    return f"{'; '.join(found)}: do not compare their speeds and seconds"


def render(runs: Sequence[CellRun]) -> str:
    """The comparison as a table.

    Args:
        runs: the records of `compare_cells`.

    Returns:
        Lines without a final line ending.
    """
    metric, splits = _metric(runs), _splits(runs)
    head = [f"{metric} {split}" for split in splits]
    rows = [["cell", *head, "parameters", "encoder", f"{_unit(runs)}/s", "best epoch", "seconds"]]
    for one in runs:
        scores = [_shown(one.score(split, metric), metric) for split in splits]
        sizes = [f"{one.total:,}", f"{one.parameters.get('encoder', 0):,}"] if one.parameters else ["–", "–"]
        best = f"{one.best_epoch} of {one.epochs}" if one.scores else "–"
        rows.append([one.cell, *scores, *sizes, f"{one.tokens_per_second:,.0f}", best, f"{one.seconds:,.1f}"])
    counted = f"{_unit(runs)}/s: training {_unit(runs)} per second, median over epochs"
    speed = f"{counted}; seconds: training and scoring dev every epoch"
    faults = [one_line(f"{one.cell}: {one.fault}") for one in runs if one.fault]
    return "\n".join([text_table(rows), "", speed, f"trained on: {_places(runs)}", ONE_SEED, *faults])


def draw(runs: Sequence[CellRun]) -> Figure:
    """Draw the comparison: scores, speed, size, and the score on dev by epoch.

    Args:
        runs: the records of `compare_cells`, at least one.

    Returns:
        The picture.

    Raises:
        SettingsError: matplotlib is not installed.
    """
    from matplotlib import colormaps

    metric, splits = _metric(runs), _splits(runs)
    table = colormaps["tab20"].colors  # type: ignore[attr-defined]  # pairs of a strong and a pale colour
    colours = list(islice(cycle([*table[::2], *table[1::2]]), len(runs)))
    figure = new_figure(10.0, 5.2 + 0.28 * len(runs))
    grid = figure.add_gridspec(2, 3, height_ratios=[1.0 + 0.28 * len(runs), 3.6])
    scores = figure.add_subplot(grid[0, 0])
    _draw_scores(scores, runs, metric, splits, colours)
    speeds, sizes = (figure.add_subplot(grid[0, column], sharey=scores) for column in (1, 2))
    _draw_bars(
        speeds, [one.tokens_per_second for one in runs], colours, f"training {_unit(runs)} per second (median epoch)"
    )
    _draw_bars(sizes, [one.total for one in runs], colours, "parameters (dark: encoder)", alpha=0.45)
    sizes.barh(range(len(runs)), [one.parameters.get("encoder", 0) for one in runs], color=colours, height=0.6)
    _draw_curves(figure.add_subplot(grid[1, :]), runs, metric, colours)
    settings = runs[0].settings
    encoder, seed = settings["encoder"], settings["training"]["seed"]
    size = f"{encoder['layers']} × {encoder['hidden']}, {encoder['direction']}"
    title = f"{settings['task']} on {runs[0].data}: {size}\nseed {seed}; {ONE_SEED}"
    figure.suptitle("\n".join([title, *textwrap.wrap(_places(runs), 110)]), fontsize=FONT + 2, parse_math=False)
    return figure


def _draw_scores(
    axes: Axes, runs: Sequence[CellRun], metric: str, splits: Sequence[str], colours: Sequence[Any]
) -> None:
    axes.set_yticks(range(len(runs)), [one.cell for one in runs], fontsize=FONT)
    axes.set_ylim(len(runs) - 0.4, -0.6)  # the first at the top
    for row, (one, colour) in enumerate(zip(runs, colours, strict=True)):
        if not one.scores:
            axes.text(0.5, row, "loss not finite", fontsize=FONT, transform=axes.get_yaxis_transform(), ha="center")
        for split in splits:
            value, last = one.score(split, metric), split == splits[-1]
            if value is not None:
                axes.plot(value, row, "o", color=colour, markerfacecolor=colour if last else "white", markersize=6)
            if value is not None and last:
                text: dict[str, Any] = {"textcoords": "offset points", "ha": "center", "fontsize": FONT - 1}
                axes.annotate(_shown(value, metric), (value, row), (0, 6), **text)
    axes.set_title("   ".join(f"{'●' if split == splits[-1] else '○'} {split}" for split in splits), fontsize=FONT)
    better = "lower" if metric in _LOWER else "higher"
    axes.set_xlabel(f"{metric} ({better} is better)", fontsize=FONT)
    axes.margins(x=0.18)
    axes.grid(axis="y", alpha=0.3)
    axes.tick_params(labelsize=FONT)


def _draw_bars(
    axes: Axes, values: Sequence[float], colours: Sequence[Any], label: str, alpha: float | None = None
) -> None:
    axes.barh(range(len(values)), values, color=colours, height=0.6, alpha=alpha)
    for row, value in enumerate(values):
        axes.annotate(f"{value:,.0f}", (value, row), (3, 0), textcoords="offset points", va="center", fontsize=FONT)
    axes.set_xlim(0, 1.3 * max(*values, 1))
    axes.set_xlabel(label, fontsize=FONT)
    axes.locator_params("x", nbins=4, integer=True)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.tick_params(labelsize=FONT, labelleft=False)


def _draw_curves(axes: Axes, runs: Sequence[CellRun], metric: str, colours: Sequence[Any]) -> None:
    for one, colour in zip(runs, colours, strict=True):
        known = {line["epoch"]: line["dev"][metric] for line in one.history if line["dev"].get(metric) is not None}
        if known:
            marker = "." if len(known) < 30 else ""
            axes.plot([*known], [*known.values()], "-", color=colour, linewidth=1.3, label=one.cell, marker=marker)
        if one.best_epoch in known:
            axes.plot(one.best_epoch, known[one.best_epoch], "o", color=colour, markersize=6)
    if metric == "perplexity":
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:,.4g}")
        axes.yaxis.set_minor_formatter("{x:,.4g}")
    axes.set_xlabel("epoch (dot: the best epoch, whose model is kept)", fontsize=FONT)
    axes.set_ylabel(f"{metric} on dev", fontsize=FONT)
    axes.locator_params("x", nbins=9, integer=True)
    axes.tick_params(labelsize=FONT, which="both")
    axes.grid(alpha=0.3)
    if axes.lines:
        axes.legend(fontsize=FONT, loc="center left", bbox_to_anchor=(1.0, 0.5))
