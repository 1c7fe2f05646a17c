"""Speed of tagging with two processes of one thread each, relative to one process of one thread.

    SEQKIT_DATA=../shared/data python benchmarks/two_processes.py --model MODEL

The file is the test split of ``conll2000``, repeated many times. Whole commands are timed, ``--workers 2`` and
``torchrun`` with two ranks beside ``--workers 1``, turn by turn; for the speed without start-up, the time for a tenth
of the file is subtracted. Prints medians with their spread and writes ``benchmarks/results/two_processes.json``.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from common import Machine, parser, ratios, shown, summary, write

from seqkit.corpora.resolve import resolve

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
        The seconds of the whole command, and its output.
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
    arguments = parser(__doc__, threads=1)
    arguments.add_argument("--model", required=True, help="a tagger's directory")
    arguments.add_argument("--times", type=int, default=40, help="repetitions of the test split, at least 2")
    options = arguments.parse_args()
    if options.times < 2:
        arguments.error("--times must be at least 2")
    torch.set_num_threads(options.threads)
    machine = Machine()
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
            machine.measure()
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
            ratio = ratios(speeds, found["one process"])
            results[f"{way}, {name}"] = {"tokens_per_second": summary(speeds), "ratio": summary(ratio)}
            print(f"{way:12} {name:17} {shown(speeds)} tokens/s  {shown(ratio, '.2f')} × one process")
    print(machine)
    tree = {"rounds": options.rounds, "tokens": tokens, "speeds": results}
    write("two_processes", {"machine": machine.to_json(), **tree})


if __name__ == "__main__":
    main()
