"""Trainings of real data, killed at random moments and resumed, end with the weights of one that is left in peace.

    SEQKIT_DATA=../shared/data python benchmarks/killed_training.py [--task tag] [--kills 20]

Each task trains for two short epochs on a part of a data set, once in peace and once killed with SIGKILL again and
again, at moments drawn between the start of the process and its expected end; after each it goes on with ``--resume``.
Prints how far each life came and whether the weights are equal to the bit. Exits 1 where they are not.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from seqkit.data.resolving import resolve
from seqkit.training.checkpoint import read_checkpoint

SEQKIT = [sys.executable, "-m", "seqkit"]
TASKS = {
    "tag": ("conll2000", 16_000, ["--epochs=2", "--hidden=100", "--batch-size=10"]),
    "classify": ("sst2", 2_000, ["--epochs=2", "--hidden=100", "--set=head.baseline=false"]),
    "lm": ("ptb", 2_000, ["--epochs=2", "--hidden=100", "--set=head.baseline=0"]),
    "generate": ("tang", 300, ["--epochs=2", "--hidden=32"]),
}
"""task → data set, lines of it that are trained on, flags"""


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


def lives(command: list[str], output: Path, kills: int, seconds: float, draw: random.Random) -> None:
    """Kill a training so many times, wherever it is."""
    life = 0
    while life < kills:
        began = time.perf_counter()
        process = subprocess.Popen([*command, "-o", str(output), "--resume"], stderr=subprocess.DEVNULL)
        try:
            process.wait(draw.uniform(0.5, seconds))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            life += 1
        read = read_checkpoint(output, print)
        step = 0 if read is None else read[1]["counters"]["step"]
        print(
            f"  {time.perf_counter() - began:5.1f} s, status {process.returncode}, checkpoint of step {step}",
            flush=True,
        )
        if process.returncode >= 0:  # it was over before the moment came
            break


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
            began = time.perf_counter()
            subprocess.run([*command, "-o", str(whole), "--quiet"], check=True, stdout=subprocess.DEVNULL)
            seconds = time.perf_counter() - began
            print(f"{task}, {name}: {seconds:.1f} s in peace", flush=True)
            draw = random.Random(f"{arguments.seed} {task}")
            often = [*command, "--checkpoint-minutes=0.005"]
            lives(often, parts, arguments.kills, 2.0 * seconds / arguments.kills + 4.0, draw)
            subprocess.run([*often, "-o", str(parts), "--resume", "--quiet"], check=True, stdout=subprocess.DEVNULL)
            equal = all((parts / file).read_bytes() == (whole / file).read_bytes() for file in ("weights.safetensors",))
            print(f"{task}: weights {'equal to the bit' if equal else 'DIFFERENT'}", flush=True)
            different += not equal
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
