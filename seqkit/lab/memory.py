"""What cells remember over a growing gap: accuracy by gap, on artificial sequences."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from seqkit.lab.sequences import make_memory_task
from seqkit.lab.training import NetworkOptions, TrainingOptions, check_networks, make_model, train_model
from seqkit.metrics.plots import FONT, new_figure
from seqkit.metrics.scores import text_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_GROWTH = "with --growth simple networks learn more"


@dataclass(frozen=True)
class MemoryCurve:
    """One cell on one task.

    Args:
        cell: the name of the cell.
        parameters: the number of parameters, including those of the head.
        seeds: the seed of each run.
        accuracies: the accuracies of each run, one for each gap; None for a run that stopped early.
        losses: the loss of each run, the mean over the last tenth of its updates.
        seconds: the time of training alone, of all runs.
        fault: which runs stopped early, and why; empty where none did.
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
        """The accuracies of the runs that did not stop early."""
        return [row for row in self.accuracies if row is not None]

    @property
    def mean(self) -> list[float] | None:
        """The mean accuracy of these runs at each gap; None where there are none."""
        return [sum(column) / len(column) for column in zip(*self.finished, strict=True)] or None


@dataclass(frozen=True)
class MemoryResult:
    """All cells on one task.

    Args:
        task: the name of the task.
        unit: what is counted as correct or wrong.
        chance: the best expected accuracy without memory across the gap.
        gaps: the gaps at which accuracy was measured.
        network: the settings of the networks.
        training: how they were trained; the seed is that of the first run, the learning rate that of the task where
            none was given.
        curves: one per cell.
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
            Its fields; each of ``curves`` has the fields of `MemoryCurve` and ``mean``.
        """
        return {**asdict(self), "curves": [{**asdict(curve), "mean": curve.mean} for curve in self.curves]}


def gap_ladder(largest: int) -> list[int]:
    """The gaps to measure at: 1, 2, 5, 10, 20, 50 … and the largest.

    Args:
        largest: the last gap, ≥ 1.

    Returns:
        The gaps in growing order.

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
    """Train each cell on each task and measure its accuracy by gap; all with the same sequences, size and optimiser.

    Args:
        tasks: keys of `seqkit.lab.sequences.MEMORY_TASKS`.
        cells: keys of `seqkit.nn.recurrent.CELLS`.
        network: the settings of the networks.
        training: how to train them; its seed is that of the first run, and the others have the following ones.
        runs: trainings of each cell, which differ in weights and sequences.
        test_size: test sequences for each gap.
        device: where to compute; the CPU by default.
        say: called with a line of progress after each run.
        after: called after each cell with all results so far.

    Returns:
        One result per task. A run whose loss became infinite or NaN has no accuracies, and the others continue.

    Raises:
        SettingsError: there is no such task, or the settings do not fit a cell; nothing has been trained yet.
    """
    chosen = [make_memory_task(name) for name in tasks]
    check_networks(cells, chosen, network)
    gaps = gap_ladder(training.gap)
    seeds = list(range(training.seed, training.seed + runs))
    results: list[MemoryResult] = []
    for task in chosen:
        options = replace(training, lr=task.lr if training.lr is None else training.lr)
        result = MemoryResult(task.name, task.unit, task.chance, gaps, network, options, [])
        results.append(result)
        for cell in cells:
            accuracies: list[list[float] | None] = []
            losses, faults, seconds = [], [], 0.0
            for seed in seeds:
                own = replace(options, seed=seed)
                model = make_model(cell, task, network, own).to(device or "cpu")
                trained = train_model(model, own, gaps, test_size)
                seconds += trained.seconds
                losses.append(trained.loss)
                accuracies.append(trained.accuracies)
                if trained.accuracies is None:
                    outcome = trained.fault
                    faults.append(f"seed {seed}: {outcome}")
                else:
                    share = 100 * trained.accuracies[-1]
                    outcome = f"loss {trained.loss:.4f}, {share:.1f} % right at gap {training.gap}"
                say(f"{task.name} {cell} seed {seed}: {outcome}")
            parameters = sum(model.parameter_counts().values())
            about = (cell, parameters, seeds, accuracies, losses, round(seconds, 1), "; ".join(faults))
            result.curves.append(MemoryCurve(*about))
            after(results)
    return results


def render_memory(results: Sequence[MemoryResult]) -> str:
    """Accuracies as tables.

    Args:
        results: the results of the tasks.

    Returns:
        For each task a table of the mean accuracy of the runs, in per cent, and how they were trained; lines without a
        final line ending.
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
        tables.append("\n".join([text_table(rows), *faults, _recipe(result), result.training.mixture]))
    notes = (
        "seconds: training only. The test sequences come from another random stream; for short gaps there are so few\n"
        "different sequences that most are also training sequences, and copy_blanks has only 64 for each gap."
    )
    if not all(result.training.growth for result in results):
        notes = f"{_GROWTH} (rnn_tanh with 0.5 and the other defaults: agreement 100 %, copy about 50 %)\n{notes}"
    return "\n\n".join([*tables, notes])


def _recipe(result: MemoryResult) -> str:
    """How the networks of one task were trained."""
    network, training, seeds = result.network, result.training, result.curves[0].seeds
    seed = f"seed {seeds[0]}" if len(seeds) == 1 else f"seeds {seeds[0]} … {seeds[-1]}"
    rates = f"learning rate {training.lr:g}, growth {training.growth:g}, {training.steps} updates"
    return f"init {network.init}, {rates}, forget bias {network.forget_bias:.4g}, {seed}"


def draw_memory(results: Sequence[MemoryResult]) -> Figure:
    """Draw accuracy by gap, with one panel per task.

    Args:
        results: the results of the tasks, at least one.

    Returns:
        The picture.

    Raises:
        SettingsError: matplotlib is not installed.
    """
    figure = new_figure(4.4 * len(results) + 1.2, 4.0)
    panels = figure.subplots(1, len(results), sharey=True, squeeze=False)[0]
    for axes, result in zip(panels, results, strict=True):
        _draw_task(axes, result)
    panels[0].set_ylabel("accuracy, %", fontsize=FONT + 1)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right center", fontsize=FONT)
    # Several lines, or a picture of one task would be narrower than its title.
    hint = "" if results[0].training.growth else f"\n({_GROWTH})"
    figure.suptitle(f"Accuracy after the gap, trained with\n{results[0].training.mixture}{hint}", fontsize=FONT + 2)
    return figure


def _draw_task(axes: Axes, result: MemoryResult) -> None:
    markers = "osv^D<>PX*hd8p"
    faulty = []
    for number, curve in enumerate(result.curves):
        mean = 100 * np.array(curve.mean or [math.nan] * len(result.gaps))  # [gaps]
        colour, style = f"C{number % 10}", markers[number % len(markers)] + ("-" if number < 10 else "--")
        axes.plot(result.gaps, mean, style, color=colour, markersize=4, linewidth=1.4, label=curve.cell)
        if curve.fault:
            faulty.append(f"{curve.cell}: {len(curve.finished)} of {len(curve.seeds)} runs finite")
        if len(curve.finished) > 1:
            runs = 100 * np.array(curve.finished)  # [runs, gaps]
            axes.fill_between(result.gaps, runs.min(0), runs.max(0), color=colour, alpha=0.15, linewidth=0)
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
