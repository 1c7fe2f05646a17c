"""Gradients drawn and tabulated: by distance from the loss, and by layer during training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from seqkit.lab.gradients import GradientCurve, TrainingCurve
from seqkit.lab.output import FONT, aligned, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_gradients", "render_gradients"]

_COLUMNS = 4
"""panels side by side; more cells go below"""
_FLOOR, _CEILING = 1e-30, 1e15
"""norms by distance that are outside are not drawn: what is lost in a float is lost"""
_LEAST = 1e-8
"""norms of a layer below are not drawn: nothing is left to learn"""
_MOST_TOLD = 4
"""with more curves in a panel a legend would cover them: there is one for all cells, and the table has the rates"""
_STYLES = ("-", "--", ":", "-.")


def render_gradients(curves: Sequence[GradientCurve], trained: Sequence[TrainingCurve]) -> str:
    """Rates as tables.

    Args:
        curves: of networks as they begin.
        trained: of deep networks in training; may be empty.

    Returns:
        Lines without a line ending at the end.
    """
    last = len(curves[0].norms)
    rows = [["cell", "init", "gain", "verdict", "rate a step", "spectral radius", f"norm at k = {last}"]]
    for curve in curves:
        radius = "-" if curve.spectral_radius is None else f"{curve.spectral_radius:.4f}"
        start = [curve.cell, curve.init, f"{curve.gain:g}", curve.verdict]
        rows.append([*start, f"{curve.rate:.4f}", radius, f"{curve.norms[-1]:.1e}"])
    tables = [aligned(rows, names=4)]
    if trained:
        heads = [f"layer {level}" for level in range(1, len(trained[0].layers) + 1)]
        rows = [["trained", "rate before", "rate after", *heads, "loss", "% right"]]
        rows += [_trained_row(each) for each in trained]
        tables.append(aligned(rows))
        faults = [f"{each.cell}: {each.fault}" for each in trained if each.fault]
        note = "layers: norm of their parameters' gradient, mean of the last tenth of the updates, as is the loss"
        tables.append("\n".join([*faults, note]))
    return "\n\n".join(tables)


def _trained_row(trained: TrainingCurve) -> list[str]:
    if trained.after is None or trained.accuracy is None:
        return [trained.cell, f"{trained.before.rate:.4f}", *["–"] * (len(trained.layers) + 3)]
    tail = max(1, len(trained.losses) // 10)
    norms = [f"{sum(layer[-tail:]) / tail:.1e}" for layer in trained.layers]
    loss, share = f"{sum(trained.losses[-tail:]) / tail:.4f}", f"{100 * trained.accuracy:.1f}"
    return [trained.cell, f"{trained.before.rate:.4f}", f"{trained.after.rate:.4f}", *norms, loss, share]


def draw_gradients(curves: Sequence[GradientCurve], trained: Sequence[TrainingCurve], task: str = "") -> Figure:
    """Draw a column of panels a cell: as it begins, before and after training, and by layer during it.

    Args:
        curves: of networks as they begin, at least one.
        trained: of deep networks in training; may be empty.
        task: what they were trained on.

    Returns:
        The picture.

    Raises:
        SettingsError: matplotlib is not installed.
    """
    cells = list(dict.fromkeys(curve.cell for curve in curves))
    columns = min(_COLUMNS, len(cells))
    blocks, height = -(-len(cells) // columns), 3 if trained else 1
    figure = new_figure(3.5 * columns + 0.5, 2.9 * blocks * height + 0.6)
    panels = figure.subplots(blocks * height, columns, squeeze=False)
    for axes in panels.flat:
        axes.set_visible(False)
    shown: list[list[Axes]] = [[], [], []]
    for number, cell in enumerate(cells):
        block, column = divmod(number, columns)
        rows = [panels[block * height + row][column] for row in range(height)]
        # In a picture drawn on the way some cells are not trained yet.
        known = [each for each in trained if each.cell == cell]
        for kind, axes in enumerate(rows if known else rows[:1]):
            axes.set_visible(True)
            axes.set_yscale("log")
            axes.grid(alpha=0.3)
            axes.tick_params(labelsize=FONT)
            shown[kind].append(axes)
        _draw_beginning(rows[0], [curve for curve in curves if curve.cell == cell])
        for each in known:
            _draw_trained(rows[1], each, task)
            _draw_layers(rows[2], each)
        if column == 0:
            for axes in rows[:2]:
                axes.set_ylabel("norm of the gradient\nat the state k steps back", fontsize=FONT)
            for axes in rows[2:]:
                axes.set_ylabel("norm of the gradient\nof a layer's parameters", fontsize=FONT)
    for group in shown:
        _share_limits(group)
    figure.suptitle("How far back a gradient reaches", fontsize=FONT + 4)
    if panels[0][0].get_legend() is None:
        figure.legend(*panels[0][0].get_legend_handles_labels(), loc="outside right upper", fontsize=FONT)
    note = "1 layer at the beginning: reads noise; geometric mean of several networks and their range"
    if trained:
        note += f". {_layers(trained[0])}: reads {task}; one network"
    ends = f"Curves end outside of {_FLOOR:.0e} … {_CEILING:.0e}, those of layers below {_LEAST:.0e}"
    figure.supxlabel(f"{note}.\nA state's parts count together. {ends}.", fontsize=FONT - 1)
    return figure


def _draw_beginning(axes: Axes, curves: Sequence[GradientCurve]) -> None:
    """Initialisations differ in colour, gains in the style of the line; with one initialisation gains in colour."""
    inits = list(dict.fromkeys(curve.init for curve in curves))
    gains = list(dict.fromkeys(curve.gain for curve in curves))
    few = len(curves) <= _MOST_TOLD
    for curve in curves:
        color, style = inits.index(curve.init), gains.index(curve.gain)
        color, style = (style, 0) if len(inits) == 1 else (color, style)
        label = f"{curve.init}, gain {curve.gain:g}" + (f": {_told(curve)}" if few else "")
        _draw_curve(axes, curve, label, f"C{color % 10}", _STYLES[style % len(_STYLES)])
    _finish(axes, f"{curves[0].cell}, 1 layer, at the beginning", "k, steps back", legend=few)


def _draw_trained(axes: Axes, trained: TrainingCurve, task: str) -> None:
    _draw_curve(axes, trained.before, f"before: {_told(trained.before)}", "C7")
    if trained.after is None:
        axes.plot([], [], linestyle="none", marker="x", color="C3", label=f"after: {trained.fault}")
    else:
        _draw_curve(axes, trained.after, f"after: {_told(trained.after)}", "C3")
    _finish(axes, f"{trained.cell}, {_layers(trained)}, trained on {task}", "k, steps back")


def _draw_layers(axes: Axes, trained: TrainingCurve) -> None:
    for number, norms in enumerate(trained.layers):
        title = f"layer {number + 1}" + (" (reads the input)" if number == 0 and len(trained.layers) > 1 else "")
        drawn = [norm if _LEAST < norm < _CEILING else float("nan") for norm in norms]
        axes.plot(range(1, len(norms) + 1), drawn, linewidth=0.9, color=f"C{number % 10}", label=title)
    end = trained.fault if trained.accuracy is None else f"{100 * trained.accuracy:.0f} % right at the end"
    axes.set_xlim(0, len(trained.losses) + 1)  # also where nothing is drawn any more
    _finish(axes, f"{trained.cell}, in training: {end}", "update")


def _told(curve: GradientCurve) -> str:
    return f"× {curve.rate:.3f} a step" if curve.lost is None else curve.verdict


def _draw_curve(axes: Axes, curve: GradientCurve, label: str, color: str, style: str = "-") -> None:
    steps = range(1, len(curve.norms) + 1)

    def clipped(norms: Sequence[float]) -> list[float]:
        return [norm if _FLOOR < norm < _CEILING else float("nan") for norm in norms]

    axes.plot(steps, clipped(curve.norms), linewidth=1.5, color=color, linestyle=style, label=label)
    axes.fill_between(steps, clipped(curve.low), clipped(curve.high), color=color, alpha=0.2, linewidth=0)


def _finish(axes: Axes, title: str, across: str, *, legend: bool = True) -> None:
    axes.set_title(title, fontsize=FONT + 1)
    axes.set_xlabel(across, fontsize=FONT)
    if legend:
        axes.legend(fontsize=FONT - 1.5, loc="lower left")


def _layers(trained: TrainingCurve) -> str:
    return "1 layer" if len(trained.layers) == 1 else f"{len(trained.layers)} layers"


def _share_limits(group: Sequence[Axes]) -> None:
    """The same axis for every cell, or they could not be compared."""
    if not group:
        return
    limits = [axes.get_ylim() for axes in group]
    low, high = min(low for low, _ in limits), max(high for _, high in limits)
    for axes in group:
        axes.set_ylim(low, high)
