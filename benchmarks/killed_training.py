"""Trainings on real data, killed at random moments and resumed, end with the weights of an uninterrupted one.

    SEQKIT_DATA=../shared/data python benchmarks/killed_training.py [--task tag] [--kills 20]

Each task trains on a part of a data set, once uninterrupted and once killed with SIGKILL again and again, while it
starts or soon after a checkpoint (it writes three per second), and continued with ``--resume``. Prints the step of each
checkpoint that it goes on from, and whether the weights are equal bit by bit. Exits with status 1 if they are not.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from seqkit.corpora.resolve import resolve
from seqkit.training.checkpoint import checkpoint_files, read_checkpoint

SEQKIT = [sys.executable, "-m", "seqkit"]
TASKS = {
    "tag": ("conll2000", 16_000, ["--epochs=10", "--hidden=100", "--batch-size=10"]),
    "classify": ("sst2", 2_000, ["--epochs=48", "--hidden=100", "--set=head.baseline=false"]),
    "lm": ("ptb", 2_000, ["--epochs=10", "--hidden=100", "--set=head.baseline=0"]),
    "generate": ("tang", 300, ["--epochs=24", "--hidden=32"]),
}
"""task → data set, lines of it to train on, flags"""


def part_of(name: str, most: int, folder: Path) -> Path:
    """The first lines of a data set's files, as a data set of its own."""
    dataset = resolve(name)
    for split in ("train", "dev", "test"):
        file = dataset.splits.get(split)
        if file is not None and file.file is not None:
            path = Path(file.file)
            lines = path.read_text(encoding="utf-8").splitlines(keepends=True)[
                : most if split == "train" else most // 10
            ]
            (folder / f"{split}{path.suffix}").write_text("".join(lines), encoding="utf-8")
    return folder


def lives(command: list[str], output: Path, kills: int, draw: random.Random) -> int:
    """Kill a training so many times, mostly soon after it has written a checkpoint; returns how often it was killed."""
    file = checkpoint_files(output)[0]
    for life in range(kills):
        before = file.stat().st_mtime_ns if file.exists() else 0
        until = time.perf_counter() + (draw.uniform(0.5, 3.0) if draw.random() < 0.2 else 60.0)
        process = subprocess.Popen(
            [*command, "-o", str(output), "--resume"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while process.poll() is None and time.perf_counter() < until:
            if file.exists() and file.stat().st_mtime_ns != before:
                until = min(until, time.perf_counter() + draw.uniform(0.0, 0.4))
                before = file.stat().st_mtime_ns
            time.sleep(0.002)
        process.kill()
        if process.wait() >= 0:  # it had ended before
            return life
        read = read_checkpoint(output, print)
        print(f"  killed at the checkpoint of step {0 if read is None else read[1]['counters']['step']}", flush=True)
    return kills


def main() -> int:
    """Train, kill, resume and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", choices=TASKS, action="append")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    different = 0
    for task in arguments.task or TASKS:
        name, lines, flags = TASKS[task]
        with tempfile.TemporaryDirectory() as folder:
            data, whole, parts = Path(folder) / "data", Path(folder) / "whole", Path(folder) / "parts"
            data.mkdir()
            command = [
                *SEQKIT,
                task,
                "train",
                str(part_of(name, lines, data)),
                *flags,
                "--json=/dev/null",
                "--device=cpu",
            ]
            print(f"{task}, {name}", flush=True)
            subprocess.run([*command, "-o", str(whole), "--quiet"], check=True, stdout=subprocess.DEVNULL)
            often = [*command, "--checkpoint-minutes=0.005"]
            killed = lives(often, parts, arguments.kills, random.Random(f"{arguments.seed} {task}"))
            subprocess.run([*often, "-o", str(parts), "--resume", "--quiet"], check=True, stdout=subprocess.DEVNULL)
            equal = (parts / "weights.safetensors").read_bytes() == (whole / "weights.safetensors").read_bytes()
            print(f"{task}: killed {killed} times, weights {'equal bit by bit' if equal else 'DIFFERENT'}", flush=True)
            different += not equal
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
