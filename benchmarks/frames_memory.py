"""Resident memory of a training on sequences of vectors that are larger than it: a million frames in 2,000 records.

    python benchmarks/frames_memory.py    (Linux)

Makes 2,000 sequences of 500 frames of 100 features (400 MB) in a temporary folder in three ways: an array a file that a
manifest names, one array [2000, 500, 100] beside a manifest, and members of one archive. Each is trained on for an
epoch by a process of its own, beside one with a hundredth of the sequences, and the most memory that was resident is
printed; writes ``benchmarks/results/frames_memory.json``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from common import table, write
from numpy.typing import NDArray

FRAMES, FEATURES = 500, 100
LAYOUTS = ("files", "beside", "archive")
_TRAIN = """
import re, sys
import seqkit
settings = {"task": "classify", "input": "frames", "encoder": {"hidden": 16}, "training": {"epochs": 1}}
seqkit.train(settings, sys.argv[2], sys.argv[1], device="cpu")
# Unlike that of getrusage, this peak does not begin with what the process was started from had.
print(1024 * int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1]))
"""


def make(folder: Path, layout: str, count: int) -> int:
    """Write the sequences; how many bytes of numbers they are."""
    draw = np.random.default_rng(1)
    folder.mkdir()
    rows = [{"label": "ab"[row % 2]} for row in range(count)]

    def sequence(row: int) -> NDArray[np.float32]:
        return draw.normal(row % 2, 1, (FRAMES, FEATURES)).astype(np.float32)

    if layout == "files":
        for row in range(count):
            np.save(folder / f"{row}.npy", sequence(row))
            rows[row]["frames"] = f"{row}.npy"
    elif layout == "beside":
        shape = (count, FRAMES, FEATURES)
        whole = np.lib.format.open_memmap(folder / "train.frames.npy", "w+", np.float32, shape)
        for row in range(count):
            whole[row] = sequence(row)
        whole.flush()
    else:
        np.savez(folder / "all.npz", **{str(row): sequence(row) for row in range(count)})
        for row in range(count):
            rows[row]["frames"] = f"all.npz#{row}"
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return count * FRAMES * FEATURES * 4


def resident(folder: Path, output: Path) -> tuple[int, float]:
    """Bytes that were resident at most while training, and seconds."""
    began = time.monotonic()
    command: Sequence[str] = [sys.executable, "-c", _TRAIN, str(folder), str(output)]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(found.stdout.split()[-1]), time.monotonic() - began


def main() -> None:
    """Measure and report."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--sequences", type=int, default=2_000)
    options = arguments.parse_args()
    rows, results = [], {}
    with tempfile.TemporaryDirectory() as place:
        for layout in LAYOUTS:
            found = {}
            for name, count in (("few", options.sequences // 100), ("all", options.sequences)):
                folder = Path(place) / f"{layout} {name}"
                size = make(folder, layout, count)
                memory, seconds = resident(folder, Path(place) / f"model {layout} {name}")
                found[name] = {"data": size, "resident": memory, "seconds": seconds}
                for file in folder.iterdir():
                    file.unlink()
            results[layout] = found
            more = found["all"]["resident"] - found["few"]["resident"]
            shown = [f"{value / 1e6:,.0f}" for value in (found["all"]["data"], found["all"]["resident"], more)]
            rows.append([layout, *shown, f"{found['all']['seconds']:.0f}"])
    print(table(["layout", "data, MB", "resident at most, MB", "more than with a hundredth, MB", "seconds"], rows))
    write("frames_memory", {"sequences": options.sequences, "layouts": results})


if __name__ == "__main__":
    main()
