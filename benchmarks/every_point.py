"""Not speed: runs that are killed, or whose disk fails, at every single call that changes a file.

    python benchmarks/every_point.py [--scenario force] [--every 1]

Prints, for each scenario and fault, at how many points it was tried, and what was wrong afterwards: a model that is
neither the old nor the new one, a run that cannot be resumed, or one that ends with other weights or scores. Exits with
status 1 if anything was.
"""

from __future__ import annotations

import argparse
import collections
import importlib
import multiprocessing
import sys
import tempfile
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tests.training.conftest import IMPORTED
from tests.training.every_point import SCENARIOS, Lives


def main() -> int:
    """Try all points; 1 if anything was lost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenario", action="append", choices=SCENARIOS, help="all by default")
    parser.add_argument("--every", type=int, default=1, help="try one point in so many")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for module in IMPORTED:  # once, before processes are forked
        importlib.import_module(module)
    wrong = 0
    print("| scenario | fault | points | wrong | seconds |\n|---|---|---|---|---|")
    for scenario in options.scenario or SCENARIOS:
        with tempfile.TemporaryDirectory() as folder:
            lives = Lives(multiprocessing.get_context("fork"), Path(folder), scenario)
            tried: collections.Counter[str] = collections.Counter()
            found: dict[str, list[str]] = collections.defaultdict(list)
            spent: collections.Counter[str] = collections.Counter()
            for fault, at in lives.faults_at(options.every):
                began = time.monotonic()
                if one := lives.check(fault, at):
                    found[fault].append(one)
                    print(one, file=sys.stderr, flush=True)
                tried[fault] += 1
                spent[fault] += int(1000 * (time.monotonic() - began))
            for fault, count in tried.items():
                print(
                    f"| {scenario} | {fault} | {count} | {len(found[fault])} | {spent[fault] / 1000:.0f} |", flush=True
                )
                wrong += len(found[fault])
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
