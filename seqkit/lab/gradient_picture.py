"""Tables and a picture of gradients: by distance from the loss, and by layer during training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from seqkit.lab.gradients import GradientCurve, TrainingCurve
from seqkit.lab.training import mean_of_last_tenth
from seqkit.metrics.plots import FONT, new_figure
from seqkit.metrics.scores import plural, text_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLUMNS = 4
"""panels in a row; more cells go below"""
_FLOOR, _CEILING = 1e-30, 1e15
"""norms outside of this range are not drawn: they are lost in single precision"""
_LEAST = 1e-8
"""smaller norms of a layer are not drawn: nothing is left to learn"""
_MOST_LABELS = 4
"""with more curves in a panel a legend would cover them: there is one for all cells, and the table has the rates"""
_PANELS = ("at the state k steps back", "at the state k steps back", "of a layer's parameters")
"""the gradients in the three kinds of panel"""
_STYLES = ("-", "--", ":", "-.")


def render_gradients(curves: Sequence[GradientCurve], trained: Sequence[TrainingCurve]) -> str:
    """Rates as tables.

    Args:
        curves: the curves of untrained networks.
        trained: the curves of networks in training; may be empty.

    Returns:
        Lines without a final line ending.
    """
    last = len(curves[0].norms)
    rows = [["cell", "init", "gain", "verdict", "rate per step", "spectral radius", f"norm at k = {last}"]]
    for curve in curves:
        radius = "-" if curve.spectral_radius is None else f"{curve.spectral_radius:.4f}"
        start = [curve.cell, curve.init, f"{curve.gain:g}", curve.verdict]
        rows.append([*start, f"{curve.rate:.4f}", radius, f"{curve.norms[-1]:.1e}"])
    tables = [text_table(rows, names=4)]
    if trained:
        heads = [f"layer {level}" for level in range(1, len(trained[0].layers) + 1)]
        rows = [["trained", "rate before", "rate after", *heads, "loss", "% right"], *map(_trained_row, trained)]
        faults = [f"{each.cell}: {each.fault}" for each in trained if each.fault]
        note = (
            "layers: norm of the gradient of their parameters; it and the loss are means of the last tenth of updates"
        )
        tables += [text_table(rows), "\n".join([*faults, note])]
    return "\n\n".join(tables)


def _trained_row(trained: TrainingCurve) -> list[str]:
    start = [trained.cell, f"{trained.before.rate:.4f}"]
    if trained.after is None or trained.accuracy is None:
        return [*start, *["–"] * (len(trained.layers) + 3)]
    norms = [f"{mean_of_last_tenth(layer):.1e}" for layer in trained.layers]
    loss, share = f"{mean_of_last_tenth(trained.losses):.4f}", f"{100 * trained.accuracy:.1f}"
    return [*start, f"{trained.after.rate:.4f}", *norms, loss, share]


def draw_gradients(
    curves: Sequence[GradientCurve],
    trained: Sequence[TrainingCurve],
    task: str = "",
    *,
    read: str = "noise",
    model: str = "",
) -> Figure:
    """Draw a column of panels for each cell: untrained, before and after training, and by layer during training.

    Args:
        curves: the curves of untrained networks, at least one.
        trained: the curves of networks in training; may be empty, or have only some of the cells.
        task: the name of the training task.
        read: what the first panels are measured over.
        model: what they are measured of, instead of untrained networks.

    Returns:
        The picture.

    Raises:
        SettingsError: matplotlib is not installed.
    """
    cells = list(dict.fromkeys(curve.cell for curve in curves))
    columns = min(_COLUMNS, len(cells))
    blocks, height = -(-len(cells) // columns), 3 if trained else 1
    figure = new_figure(3.5 * columns + 0.5, 2.9 * blocks * height + 0.6)
    grid = figure.add_gridspec(blocks * height, columns)
    first: list[Axes] = []  # of each kind of panel
    for number, cell in enumerate(cells):
        block, column = divmod(number, columns)
        known = [each for each in trained if each.cell == cell]
        panels = [figure.add_subplot(grid[block * height + row, column]) for row in range(3 if known else 1)]
        first += panels[len(first) :]
        for kind, axes in enumerate(panels):
            if axes is not first[kind]:
                axes.sharey(first[kind])  # or the cells could not be compared
            axes.set_yscale("log")
            axes.grid(alpha=0.3)
            axes.tick_params(labelsize=FONT)
            if column == 0:
                axes.set_ylabel(f"norm of the gradient\n{_PANELS[kind]}", fontsize=FONT)
        _draw_beginning(panels[0], [curve for curve in curves if curve.cell == cell], model or "1 layer, untrained")
        for each in known:
            _draw_trained(panels[1], each, task)
            _draw_layers(panels[2], each)
    figure.suptitle("How far back gradients reach", fontsize=FONT + 4)
    if first[0].get_legend() is None:
        figure.legend(*first[0].get_legend_handles_labels(), loc="outside right upper", fontsize=FONT)
    note = f"Untrained networks of 1 layer read {read}: geometric mean of several networks and their range."
    if model:
        note = f"A trained model reads {read}."
    if trained:
        note += f" One network of {plural(len(trained[0].layers), 'layer')} is trained on {task}."
    limits = f"Norms outside of {_FLOOR:.0e} … {_CEILING:.0e}, and those of layers below {_LEAST:.0e}, are not drawn"
    figure.supxlabel(f"{note}\nAll parts of a state count together. {limits}.", fontsize=FONT - 1)
    return figure


def _draw_beginning(axes: Axes, curves: Sequence[GradientCurve], of: str) -> None:
    """Colours show the initialisation and line styles the gain; with one initialisation colours show the gain."""
    inits = list(dict.fromkeys(curve.init for curve in curves))
    gains = list(dict.fromkeys(curve.gain for curve in curves))
    few = len(curves) <= _MOST_LABELS
    for curve in curves:
        color, style = inits.index(curve.init), gains.index(curve.gain)
        color, style = (style, 0) if len(inits) == 1 else (color, style)
        label = f"{curve.init}, gain {curve.gain:g}" + (f": {_summary(curve)}" if few else "")
        _draw_curve(axes, curve, label, f"C{color % 10}", _STYLES[style % len(_STYLES)])
    _finish(axes, f"{curves[0].cell}, {of}", "k, steps back", legend=few)


def _draw_trained(axes: Axes, trained: TrainingCurve, task: str) -> None:
    _draw_curve(axes, trained.before, f"before: {_summary(trained.before)}", "C7")
    if trained.after is None:
        axes.plot([], [], linestyle="none", marker="x", color="C3", label=f"after: {trained.fault}")
    else:
        _draw_curve(axes, trained.after, f"after: {_summary(trained.after)}", "C3")
    _finish(axes, f"{trained.cell}, {plural(len(trained.layers), 'layer')}, trained on {task}", "k, steps back")


def _draw_layers(axes: Axes, trained: TrainingCurve) -> None:
    for number, norms in enumerate(trained.layers):
        title = f"layer {number + 1}" + (" (reads the input)" if number == 0 and len(trained.layers) > 1 else "")
        updates = range(1, len(norms) + 1)
        axes.plot(updates, _within(norms, _LEAST), linewidth=0.9, color=f"C{number % 10}", label=title)
    end = trained.fault if trained.accuracy is None else f"{100 * trained.accuracy:.0f} % right at the end"
    axes.set_xlim(0, len(trained.losses) + 1)  # also where nothing is drawn any more
    _finish(axes, f"{trained.cell}, in training: {end}", "update")


def _summary(curve: GradientCurve) -> str:
    return f"× {curve.rate:.3f} per step" if curve.lost is None else curve.verdict


def _draw_curve(axes: Axes, curve: GradientCurve, label: str, color: str, style: str = "-") -> None:
    steps = range(1, len(curve.norms) + 1)
    norms, low, high = (_within(values, _FLOOR) for values in (curve.norms, curve.low, curve.high))
    axes.plot(steps, norms, linewidth=1.5, color=color, linestyle=style, label=label)
    axes.fill_between(steps, low, high, color=color, alpha=0.2, linewidth=0)


def _within(norms: Sequence[float], least: float) -> list[float]:
    """The norms, with NaN for those that are not drawn."""
    return [norm if least < norm < _CEILING else float("nan") for norm in norms]


def _finish(axes: Axes, title: str, across: str, *, legend: bool = True) -> None:
    axes.set_title(title, fontsize=FONT + 1)
    axes.set_xlabel(across, fontsize=FONT)
    if legend:
        axes.legend(fontsize=FONT - 1.5, loc="lower left")
