"""Speed of tagging by two processes of one thread each over one process of one thread.

    SEQKIT_DATA=../shared/data python benchmarks/two_processes.py --model MODEL

The file is ``conll2000``'s test split, many times over. Whole commands are timed, ``--workers 2`` and ``torchrun`` with
two ranks beside ``--workers 1``, turn by turn; the time that a command takes for a tenth of the file is taken off for
the speed without starting up. Prints medians with their spread and writes ``benchmarks/results/two_processes.json``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from seqkit import __version__
from seqkit.data.resolving import resolve

RESULTS = Path(__file__).parent / "results" / "two_processes.json"
ALONE = [sys.executable, "-m", "seqkit"]
JOINED = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "seqkit"]
WAYS = {
    "one process": (ALONE, ["--workers", "1", "--threads", "1"]),
    "two workers": (ALONE, ["--workers", "2", "--threads", "2"]),
    "two ranks": (JOINED, ["--threads", "1"]),
}


def seconds(way: str, file: Path, model: str) -> tuple[float, bytes]:
    """Tag a file.

    Args:
        way: one of `WAYS`.
        file: the file.
        model: the model's directory.

    Returns:
        How long the whole command took, and what it wrote.
    """
    start, flags = WAYS[way]
    command = [*start, "tag", "predict", str(file), "-m", model, "--device", "cpu", "--quiet", *flags]
    began = time.perf_counter()
    result = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    return time.perf_counter() - began, result.stdout


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="a tagger's directory")
    parser.add_argument("--times", type=int, default=40, help="how many times the test split is repeated")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    test = resolve("conll2000").splits["test"].file
    assert test is not None
    content = test.read_bytes().rstrip() + b"\n\n"
    tokens = sum(1 for line in content.splitlines() if line) * options.times
    whole: dict[str, list[float]] = {way: [] for way in WAYS}
    steady: dict[str, list[float]] = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory() as folder:
        large, small = Path(folder) / "large.conll", Path(folder) / "small.conll"
        few = max(1, options.times // 10)
        large.write_bytes(content * options.times)
        small.write_bytes(content * few)
        for _ in range(options.rounds):
            outputs = set()
            for way in WAYS:
                little, _ = seconds(way, small, options.model)
                all_of_it, output = seconds(way, large, options.model)
                outputs.add(output)
                whole[way].append(tokens / all_of_it)
                steady[way].append(tokens * (1 - few / options.times) / (all_of_it - little))
            assert len(outputs) == 1  # the same bytes
    results = {}
    for name, found in (("with start-up", whole), ("without start-up", steady)):
        for way, speeds in found.items():
            ratios = [speed / alone for speed, alone in zip(speeds, found["one process"], strict=True)]
            row = {"tokens_per_second": statistics.median(speeds), "ratio": statistics.median(ratios)}
            row |= {"least": min(ratios), "most": max(ratios)}
            results[f"{way}, {name}"] = row
            spread = f"{row['ratio']:.2f} ({row['least']:.2f} … {row['most']:.2f})"
            print(f"{way:12} {name:17} {row['tokens_per_second']:10,.0f} tokens/s  {spread} × one process")
    about = {"machine": platform.machine(), "cores": os.cpu_count(), "rounds": options.rounds, "tokens": tokens}
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps({**about, "seqkit": __version__, "speeds": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
