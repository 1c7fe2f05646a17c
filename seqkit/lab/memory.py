"""What cells still know after a growing gap: accuracy by gap, on artificial sequences."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch

from seqkit.lab.output import FONT, aligned, new_figure
from seqkit.lab.sequences import make_memory_task
from seqkit.lab.training import NetworkOptions, TrainingOptions, accuracy, build_network, train_network

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["MemoryCurve", "MemoryResult", "draw_memory", "gap_ladder", "measure_memory", "render_memory"]


@dataclass(frozen=True)
class MemoryCurve:
    """One cell on one task.

    Args:
        cell: its name.
        parameters: numbers learned, those of the head included.
        seeds: of each run.
        accuracies: of each run at each gap.
        losses: of each run, the mean of the last tenth of its updates' losses.
        seconds: of training, all runs together.
    """

    cell: str
    parameters: int
    seeds: list[int]
    accuracies: list[list[float]]
    losses: list[float]
    seconds: float

    @property
    def mean(self) -> list[float]:
        """The mean accuracy of the runs at each gap."""
        return [sum(column) / len(column) for column in zip(*self.accuracies, strict=True)]

    @property
    def low(self) -> list[float]:
        """The lowest accuracy of the runs at each gap."""
        return [min(column) for column in zip(*self.accuracies, strict=True)]

    @property
    def high(self) -> list[float]:
        """The highest accuracy of the runs at each gap."""
        return [max(column) for column in zip(*self.accuracies, strict=True)]


@dataclass(frozen=True)
class MemoryResult:
    """All cells on one task.

    Args:
        task: its name.
        chance: the best expected accuracy of one who has forgotten everything before the gap.
        gaps: at which accuracy was measured.
        lr: the learning rate at the start.
        curves: one a cell.
    """

    task: str
    chance: float
    gaps: list[int]
    lr: float
    curves: list[MemoryCurve] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """The result as a JSON object.

        Returns:
            ``task``, ``chance``, ``gaps``, ``lr`` and ``curves``; each with what `MemoryCurve` has, and ``mean``.
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

    Returns:
        One result a task.

    Raises:
        SettingsError: there is no such task, or a network cannot be built so.
    """
    place = device or torch.device("cpu")
    results = []
    for name in tasks:
        task = make_memory_task(name)
        lr = task.lr if training.lr is None else training.lr
        result = MemoryResult(name, task.chance, gap_ladder(training.gap), lr)
        for cell in cells:
            begin = time.perf_counter()
            curve = MemoryCurve(cell, 0, [], [], [], 0.0)
            for seed in range(training.seed, training.seed + runs):
                model = build_network(cell, task, network, seed, place)
                losses = train_network(model, task, replace(training, seed=seed))
                last = losses[-max(1, len(losses) // 10) :]
                curve.seeds.append(seed)
                curve.losses.append(sum(last) / len(last))
                curve.accuracies.append([accuracy(model, task, gap, test_size, seed) for gap in result.gaps])
                reached = f"{100 * curve.accuracies[-1][-1]:.1f} % at gap {training.gap}"
                say(f"{name} {cell} seed {seed}: loss {curve.losses[-1]:.4f}, {reached}")
            parameters = sum(parameter.numel() for parameter in model.parameters())
            seconds = round(time.perf_counter() - begin, 1)
            result.curves.append(replace(curve, parameters=parameters, seconds=seconds))
        results.append(result)
    return results


def render_memory(results: Sequence[MemoryResult]) -> str:
    """Accuracies as a table.

    Args:
        results: of the tasks.

    Returns:
        A table a task, in per cent, the mean of the runs; lines without a line ending at the end.
    """
    tables = []
    for result in results:
        rows = [[f"{result.task}, % right", *(f"gap {gap}" for gap in result.gaps), "parameters", "seconds"]]
        for curve in result.curves:
            shares = [f"{100 * share:.1f}" for share in curve.mean]
            rows.append([curve.cell, *shares, f"{curve.parameters:,}", f"{curve.seconds:.0f}"])
        rows.append(["chance", *(f"{100 * result.chance:.1f}" for _ in result.gaps), "", ""])
        tables.append(aligned(rows))
    return "\n\n".join(tables)


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
    panels[0].set_ylabel("answers that are right, %", fontsize=FONT + 1)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper", fontsize=FONT)
    figure.suptitle("What is left after the gap: accuracy on fresh sequences", fontsize=FONT + 3)
    return figure


def _draw_task(axes: Axes, result: MemoryResult) -> None:
    markers = "osv^D<>PX*hd8p"
    for number, curve in enumerate(result.curves):
        (line,) = axes.plot(
            result.gaps,
            [100 * share for share in curve.mean],
            marker=markers[number % len(markers)],
            markersize=4,
            linewidth=1.4,
            color=f"C{number}" if number < 10 else f"C{number - 10}",
            linestyle="-" if number < 10 else "--",
            label=curve.cell,
        )
        if len(curve.seeds) > 1:
            low, high = [100 * share for share in curve.low], [100 * share for share in curve.high]
            axes.fill_between(result.gaps, low, high, color=line.get_color(), alpha=0.15, linewidth=0)
    axes.axhline(100 * result.chance, color="black", linestyle=":", linewidth=1.2, label="chance")
    axes.set_xscale("log")
    axes.set_xticks(result.gaps, [str(gap) for gap in result.gaps], fontsize=FONT)
    axes.minorticks_off()
    axes.set_ylim(0, 103)
    axes.tick_params(labelsize=FONT)
    axes.set_xlabel("gap, steps", fontsize=FONT + 1)
    axes.set_title(f"{result.task} (chance {100 * result.chance:g} %)", fontsize=FONT + 1)
    axes.grid(alpha=0.3)
