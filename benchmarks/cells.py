"""Time of every recurrent cell beside torch's fused LSTM of equal size, turn by turn in one process.

    python benchmarks/cells.py --threads 1

One layer, batch 32, input and state of size 200; the depth-gated LSTM also as an upper layer, which has the depth gate.
Sequences of 50 steps for all cells, and of 1,000 for those without a loop over time. A round is one pass of each cell,
forward and backward, and one forward only. Prints medians with their spread, and the median of the rounds' ratios to
the LSTM; writes ``benchmarks/results/cells.json``.
"""

from __future__ import annotations

import time
from typing import Any

import torch
from common import Machine, parser, ratios, shown, summary, table, write
from torch import Tensor

from seqkit.nn.recurrent import CELLS, RecurrentLayer, make_layer

BATCH, SIZE = 32, 200
PARALLEL = ("mingru", "minlstm", "running_sum")


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
    """Measure every cell in turn, round after round.

    Args:
        cells: names of `CELLS`; the LSTM comes first.
        steps: T.
        rounds: the number of measured rounds; two more come before them.

    Returns:
        One row per cell.
    """
    torch.manual_seed(1)
    layers = {cell: make_layer(cell, SIZE, SIZE) for cell in ("lstm", *(cell for cell in cells if cell != "lstm"))}
    if "lstm_depth" in layers:
        layers["lstm_depth, layer 2"] = make_layer("lstm_depth", SIZE, SIZE, below=True)
    x = torch.randn(BATCH, steps, SIZE, requires_grad=True)
    deep = torch.randn(BATCH, steps, 2 * SIZE, requires_grad=True)  # with the memory cells of the layer below
    rows: list[dict[str, Any]] = [
        {"cell": cell, "steps": steps, "parameters": sum(weight.numel() for weight in layer.parameters())}
        for cell, layer in layers.items()
    ]
    for training in (True, False):
        times: dict[str, list[float]] = {cell: [] for cell in layers}
        for _ in range(rounds + 2):
            for cell, layer in layers.items():
                times[cell].append(seconds(layer, deep if "layer 2" in cell else x, training))
        name = "training" if training else "inference"
        for row in rows:
            kept = times[row["cell"]][2:]
            row[name] = {"milliseconds": [1000 * value for value in kept], "ratio": ratios(kept, times["lstm"][2:])}
    return rows


def main() -> None:
    """Measure and report."""
    options = parser(__doc__, threads=1, rounds=7).parse_args()
    torch.set_num_threads(options.threads)
    machine = Machine()
    machine.measure()
    rows = measure(list(CELLS), 50, options.rounds) + measure(list(PARALLEL), 1000, max(3, options.rounds // 3))
    machine.measure()
    lines = []
    for row in rows:
        line = [row["cell"], f"{row['steps']:,}", f"{row['parameters']:,}"]
        for name in ("training", "inference"):
            found = {key: summary(values) for key, values in row[name].items()}
            line += [f"{found['milliseconds']['median']:.1f}", shown(row[name]["ratio"], ".2f")]
            row[name] = found
        lines.append(line)
    print(machine)
    print(table(["cell", "steps", "parameters", "training, ms", "× LSTM", "inference, ms", "× LSTM"], lines))
    write("cells", {"machine": machine.to_json(), "rounds": options.rounds, "rows": rows})


if __name__ == "__main__":
    main()
