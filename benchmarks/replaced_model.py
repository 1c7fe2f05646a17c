"""Not speed: a model that is loaded again and again while other runs replace it with ``--force``.

    python benchmarks/replaced_model.py [--runs 100] [--loads 10000]

One process trains and replaces the model, with seeds that alternate, so that there are two versions; this one loads it
and compares all of it with what either version is. Prints how many loads gave the one and the other. Exits with status
1 if any was refused or was neither.
"""

from __future__ import annotations

import argparse
import collections
import multiprocessing
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

from seqkit.model.loading import load

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tests.training.every_point import train


def replace_again_and_again(output: Path, runs: int, loads: Any) -> None:
    """Train with ``--force``, at least so many runs, until there have been enough loads."""
    run = 0
    while run < runs or loads.value > 0:
        train("fresh", output, seed=run % 2, force=True)
        run += 1
    print(f"{run} runs with --force", flush=True)


def version_of(folder: Path) -> str:
    """Which version a model is: its seed, and whether it has its scores already."""
    model = load(folder)
    scores = "with scores" if model.report.get("scores") else "without scores yet"
    total = sum(float(weight.double().abs().sum()) for weight in model.weights().values())
    return f"seed {model.settings.training.seed}, {scores}, sum of weights {total:.9f}"


def main() -> int:
    """Load while it is replaced; 1 if a load was neither version."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--loads", type=int, default=10_000)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        known = set()
        for seed in (0, 1):
            train("fresh", Path(place) / str(seed), seed=seed)
            whole = version_of(Path(place) / str(seed))
            known |= {whole, whole.replace("with scores", "without scores yet")}
        output = Path(place) / "m"
        train("fresh", output, seed=0)
        left = multiprocessing.Value("q", options.loads)
        writer = multiprocessing.Process(target=replace_again_and_again, args=(output, options.runs, left))
        writer.start()
        found: collections.Counter[str] = collections.Counter()
        while writer.is_alive():
            try:
                version = version_of(output)
            except Exception as error:
                version = f"refused: {type(error).__name__}: {error}"
            found[version if version in known or version.startswith("refused") else f"neither: {version}"] += 1
            left.value -= 1
        writer.join()
    for version, count in sorted(found.items()):
        print(f"{count:>7,} loads: {version}")
    return int(bool(found.keys() - known) or writer.exitcode != 0)


if __name__ == "__main__":
    sys.exit(main())
