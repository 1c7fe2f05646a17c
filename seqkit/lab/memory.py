"""What cells still know after a growing gap: accuracy by gap, on artificial sequences."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from seqkit.lab.output import FONT, aligned, new_figure
from seqkit.lab.sequences import MemoryTask, make_memory_task
from seqkit.lab.training import (
    NetworkOptions,
    TrainingOptions,
    accuracy,
    build_network,
    check_networks,
    train_network,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["MemoryCurve", "MemoryResult", "draw_memory", "gap_ladder", "measure_memory", "render_memory"]

_GROWTH = "with --growth simple networks learn more"


@dataclass(frozen=True)
class MemoryCurve:
    """One cell on one task.

    Args:
        cell: its name.
        parameters: numbers learned, those of the head included.
        seeds: of each run.
        accuracies: of each run at each gap; None for a run that came to no end.
        losses: of each run, the mean of the last tenth of its updates' losses.
        seconds: of training alone, all runs together.
        fault: which runs came to no end, and why; empty where all did.
    """

    cell: str
    parameters: int
    seeds: list[int]
    accuracies: list[list[float] | None]
    losses: list[float]
    seconds: float
    fault: str = ""

    @property
    def finished(self) -> list[list[float]]:
        """The accuracies of the runs that came to an end."""
        return [row for row in self.accuracies if row is not None]

    @property
    def mean(self) -> list[float] | None:
        """The mean accuracy at each gap of the runs that came to an end; None where none did."""
        return self._by_gap(lambda column: sum(column) / len(column))

    @property
    def low(self) -> list[float] | None:
        """The lowest accuracy of them at each gap."""
        return self._by_gap(min)

    @property
    def high(self) -> list[float] | None:
        """The highest accuracy of them at each gap."""
        return self._by_gap(max)

    def _by_gap(self, what: Callable[[Sequence[float]], float]) -> list[float] | None:
        return [what(column) for column in zip(*self.finished, strict=True)] or None


@dataclass(frozen=True)
class MemoryResult:
    """All cells on one task.

    Args:
        task: its name.
        unit: what is counted as right or wrong.
        chance: the best expected accuracy of one who has forgotten everything before the gap.
        gaps: at which accuracy was measured.
        network: what the networks were.
        training: how they were trained; its seed is that of the first run, its learning rate that of the task where
            none was given.
        curves: one a cell.
    """

    task: str
    unit: str
    chance: float
    gaps: list[int]
    network: NetworkOptions
    training: TrainingOptions
    curves: list[MemoryCurve]

    def to_json(self) -> dict[str, Any]:
        """The result as a JSON object.

        Returns:
            Its fields; each of ``curves`` with what `MemoryCurve` has, and ``mean``.
        """
        return {**asdict(self), "curves": [{**asdict(curve), "mean": curve.mean} for curve in self.curves]}


def gap_ladder(largest: int) -> list[int]:
    """Gaps to measure at: 1, 2, 5, 10, 20, 50 … and the largest.

    Args:
        largest: the last of them, ≥ 1.

    Returns:
        The gaps, growing.

    Examples:
        >>> gap_ladder(100), gap_ladder(30)
        ([1, 2, 5, 10, 20, 50, 100], [1, 2, 5, 10, 20, 30])
    """
    steps = [digit * 10**power for power in range(len(str(largest))) for digit in (1, 2, 5)]
    return [*(gap for gap in steps if gap < largest), largest]


def measure_memory(
    tasks: Sequence[str],
    cells: Sequence[str],
    network: NetworkOptions,
    training: TrainingOptions,
    *,
    runs: int = 1,
    test_size: int = 1000,
    device: torch.device | None = None,
    say: Callable[[str], None] = lambda line: None,
    after: Callable[[list[MemoryResult]], None] = lambda results: None,
) -> list[MemoryResult]:
    """Train each cell on each task and measure it by gap; every cell with the same sequences, size and optimiser.

    Args:
        tasks: keys of `seqkit.lab.sequences.MEMORY_TASKS`.
        cells: keys of `seqkit.nn.recurrent.CELLS`.
        network: see there.
        training: see there; its seed is that of the first run, and the others follow.
        runs: trainings of each cell, which differ in weights and sequences.
        test_size: test sequences at each gap.
        device: where to compute; the CPU by default.
        say: is told of the progress, a line each time.
        after: is called after each cell with all that has been measured so far.

    Returns:
        One result a task. A run whose loss was not finite has no accuracies, and the others go on.

    Raises:
        SettingsError: there is no such task, or a network cannot be built so; nothing has been trained yet.
    """
    place = device or torch.device("cpu")
    chosen = [make_memory_task(name) for name in tasks]
    check_networks(cells, chosen, network)
    seeds = range(training.seed, training.seed + runs)
    gaps = gap_ladder(training.gap)
    results: list[MemoryResult] = []
    for task in chosen:
        options = replace(training, lr=task.lr if training.lr is None else training.lr)
        curves: list[MemoryCurve] = []
        for cell in cells:
            curves.append(_measure_cell(cell, task, network, options, seeds, gaps, test_size, place, say))
            found = MemoryResult(task.name, task.unit, task.chance, gaps, network, options, list(curves))
            after([*results, found])
        results.append(found)
    return results


def _measure_cell(
    cell: str,
    task: MemoryTask,
    network: NetworkOptions,
    training: TrainingOptions,
    seeds: Sequence[int],
    gaps: Sequence[int],
    test_size: int,
    place: torch.device,
    say: Callable[[str], None],
) -> MemoryCurve:
    accuracies: list[list[float] | None] = []
    losses, faults = [], []
    parameters, seconds = 0, 0.0
    for seed in seeds:
        model = build_network(cell, task, network, seed, place)
        parameters = sum(parameter.numel() for parameter in model.parameters())
        trained = train_network(model, task, replace(training, seed=seed))
        seconds += trained.seconds
        losses.append(trained.loss)
        if trained.fault:
            faults.append(f"seed {seed}: {trained.fault}")
            accuracies.append(None)
            say(f"{task.name} {cell} seed {seed}: {trained.fault}")
            continue
        reached = [accuracy(model, task, gap, test_size, seed) for gap in gaps]
        accuracies.append(reached)
        say(f"{task.name} {cell} seed {seed}: loss {trained.loss:.4f}, {100 * reached[-1]:.1f} % at gap {training.gap}")
    return MemoryCurve(cell, parameters, list(seeds), accuracies, losses, round(seconds, 1), "; ".join(faults))


def render_memory(results: Sequence[MemoryResult]) -> str:
    """Accuracies as a table.

    Args:
        results: of the tasks.

    Returns:
        A table a task, in per cent, the mean of the runs, and how they were trained below it; lines without a line
        ending at the end.
    """
    tables = []
    for result in results:
        head = f"{result.task}, % of {result.unit} right"
        rows = [[head, *(f"gap {gap}" for gap in result.gaps), "parameters", "seconds"]]
        for curve in result.curves:
            shares = ["–"] * len(result.gaps) if curve.mean is None else [f"{100 * share:.1f}" for share in curve.mean]
            rows.append([curve.cell, *shares, f"{curve.parameters:,}", f"{curve.seconds:.0f}"])
        rows.append(["chance", *(f"{100 * result.chance:.1f}" for _ in result.gaps), "", ""])
        faults = [f"{curve.cell}: {curve.fault}" for curve in result.curves if curve.fault]
        tables.append("\n".join([aligned(rows), *faults, _recipe(result), result.training.mixture]))
    notes = [
        "seconds: of training alone; tested on sequences of another random stream: at short gaps there are so few that",
        "most were also trained on, and copy_blanks has only 64 a gap",
    ]
    if not all(result.training.growth for result in results):
        notes.insert(0, f"{_GROWTH} (rnn_tanh with 0.5 and the other defaults: agreement 100 %, copy about 50 %)")
    return "\n\n".join([*tables, "\n".join(notes)])


def _recipe(result: MemoryResult) -> str:
    """How the networks of one task were trained."""
    network, training = result.network, result.training
    seeds = result.curves[0].seeds if result.curves else [training.seed]
    parts = [
        f"init {network.init}",
        f"learning rate {training.lr:g}",
        f"growth {training.growth:g}",
        f"{training.steps} updates",
        f"forget bias {network.forget_bias:.4g}",
        f"seed {seeds[0]}" if len(seeds) == 1 else f"seeds {seeds[0]} … {seeds[-1]}",
    ]
    return ", ".join(parts)


def draw_memory(results: Sequence[MemoryResult]) -> Figure:
    """Draw accuracy by gap, a panel a task.

    Args:
        results: of the tasks, at least one.

    Returns:
        The picture.

    Raises:
        SettingsError: matplotlib is not installed.
    """
    figure = new_figure(4.4 * len(results) + 1.2, 4.0)
    panels = figure.subplots(1, len(results), sharey=True, squeeze=False)[0]
    for axes, result in zip(panels, results, strict=True):
        _draw_task(axes, result)
    panels[0].set_ylabel("right, %", fontsize=FONT + 1)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", fontsize=FONT)
    # On lines of their own, or a picture of one task would be narrower than its title.
    title = f"What is left after the gap; in training,\n{results[0].training.mixture}"
    if not results[0].training.growth:
        title = f"{title}\n({_GROWTH})"
    figure.suptitle(title, fontsize=FONT + 2)
    return figure


def _draw_task(axes: Axes, result: MemoryResult) -> None:
    markers = "osv^D<>PX*hd8p"
    faulty = []
    for number, curve in enumerate(result.curves):
        mean = curve.mean or [math.nan] * len(result.gaps)
        if curve.fault:
            faulty.append(f"{curve.cell}: {len(curve.finished)} of {len(curve.seeds)} runs finite")
        (line,) = axes.plot(
            result.gaps,
            [100 * share for share in mean],
            marker=markers[number % len(markers)],
            markersize=4,
            linewidth=1.4,
            color=f"C{number}" if number < 10 else f"C{number - 10}",
            linestyle="-" if number < 10 else "--",
            label=curve.cell,
        )
        if len(curve.finished) > 1:
            low, high = ([100 * share for share in ends or ()] for ends in (curve.low, curve.high))
            axes.fill_between(result.gaps, low, high, color=line.get_color(), alpha=0.15, linewidth=0)
    if faulty:
        box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.5}
        axes.text(0.02, 0.02, "\n".join(faulty), fontsize=FONT, color="C3", transform=axes.transAxes, bbox=box)
    axes.axhline(100 * result.chance, color="black", linestyle=":", linewidth=1.2, label="chance")
    axes.set_xscale("log")
    axes.set_xticks(result.gaps, [str(gap) for gap in result.gaps], fontsize=FONT)
    axes.minorticks_off()
    axes.set_ylim(0, 103)
    axes.tick_params(labelsize=FONT)
    axes.set_xlabel("gap, steps", fontsize=FONT + 1)
    axes.set_title(f"{result.task}: {result.unit} (chance {100 * result.chance:g} %)", fontsize=FONT + 1)
    axes.grid(alpha=0.3)
