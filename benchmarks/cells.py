"""Time of every recurrent cell beside torch's fused LSTM of equal size, turn by turn in one process.

    python benchmarks/cells.py --threads 1

One layer, batch 32, input and state of 200; the depth-gated LSTM also as a higher level, which has its gate. Sequences
of 50 steps for all cells, and of 1,000 for those that need no loop over time. A round is one pass of each cell, forward
and backward, and one forward only; told are medians with their spread, and the median of the rounds' ratios to the
LSTM. Writes ``benchmarks/results/cells.json``.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seqkit import __version__
from seqkit.nn.recurrent import CELLS, RecurrentLayer, make_layer

RESULTS = Path(__file__).parent / "results" / "cells.json"
BATCH, SIZE = 32, 200
PARALLEL = ("mingru", "minlstm", "cbow")


def seconds(layer: RecurrentLayer, x: Tensor, training: bool) -> float:
    """The time of one pass."""
    began = time.perf_counter()
    if training:
        layer(x)[0].sum().backward()
    else:
        with torch.inference_mode():
            layer(x)
    return time.perf_counter() - began


def measure(cells: list[str], steps: int, rounds: int) -> list[dict[str, Any]]:
    """Every cell in turn, round after round.

    Args:
        cells: names of `CELLS`; the LSTM comes first.
        steps: T.
        rounds: how many count; two more come before them.

    Returns:
        One row a cell.
    """
    torch.manual_seed(1)
    layers = {cell: make_layer(cell, SIZE, SIZE) for cell in ("lstm", *(cell for cell in cells if cell != "lstm"))}
    if "lstm_depth" in layers:
        layers["lstm_depth, level 2"] = make_layer("lstm_depth", SIZE, SIZE, below=True)
    x = torch.randn(BATCH, steps, SIZE, requires_grad=True)
    deep = torch.randn(BATCH, steps, 2 * SIZE, requires_grad=True)  # with the memory of the level below
    rows: list[dict[str, Any]] = [
        {"cell": cell, "steps": steps, "parameters": sum(weight.numel() for weight in layer.parameters())}
        for cell, layer in layers.items()
    ]
    for training in (True, False):
        times: dict[str, list[float]] = {cell: [] for cell in layers}
        for _ in range(rounds + 2):
            for cell, layer in layers.items():
                times[cell].append(seconds(layer, deep if "level 2" in cell else x, training))
        name = "training" if training else "inference"
        for row in rows:
            kept = times[row["cell"]][2:]
            ratios = [own / lstm for own, lstm in zip(kept, times["lstm"][2:], strict=True)]
            row[name] = {
                "milliseconds": [1000 * value for value in (statistics.median(kept), min(kept), max(kept))],
                "ratio": [statistics.median(ratios), min(ratios), max(ratios)],
            }
    return rows


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rows = measure(list(CELLS), 50, arguments.rounds) + measure(list(PARALLEL), 1000, max(3, arguments.rounds // 3))
    print(
        "| cell | steps | parameters | training, ms | × LSTM | inference, ms | × LSTM |\n|---|---|---|---|---|---|---|"
    )
    for row in rows:
        shown = [row["cell"], f"{row['steps']:,}", f"{row['parameters']:,}"]
        for name in ("training", "inference"):
            middle, least, most = row[name]["ratio"]
            shown += [f"{row[name]['milliseconds'][0]:.1f}", f"{middle:.2f} ({least:.2f} … {most:.2f})"]
        print(f"| {' | '.join(shown)} |")
    machine = {"processor": platform.processor() or platform.machine(), "threads": arguments.threads}
    versions = {"seqkit": __version__, "torch": torch.__version__, "python": platform.python_version()}
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps({"machine": machine, "versions": versions, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
