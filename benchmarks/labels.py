"""Memory and time by the number of labels: training and evaluating a tagger and a classifier, and their reports alone.

    python benchmarks/labels.py --items 200000 --limit 6

Data is generated: tokens, and texts of five tokens, each with one of K labels. Each command is a process of its own
that may take so many GB. ``--checkout`` measures another checkout of seqkit. Linux only. Prints a table and writes
``benchmarks/results/labels.json``.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from common import table, write

ROOT = Path(__file__).resolve().parents[1]
SIZES = (100, 1_000, 10_000, 100_000)
SMALL = ["--epochs", "1", "--hidden", "16", "--set", "embedding.word_size=16", "--threads", "1", "--quiet"]
TOGETHER = {"tag": "100", "classify": "1000"}
"""sentences and texts of a batch"""

REPORTS = """
import json, random, sys
from seqkit.metrics.classification import classification_report
from seqkit.metrics.plots import confusion_matrix
from seqkit.metrics.tagging import tagging_report
draw, size, items = random.Random(1), int(sys.argv[1]), int(sys.argv[2])
gold = [[f"label{number % size}"] for number in range(items)]
found = [row if draw.random() < 0.7 else [f"label{draw.randrange(size)}"] for row in gold]
for report in (tagging_report(gold, found), classification_report(gold, found)):
    json.dumps(report.to_json()), report.render(80)
confusion_matrix(gold, found, 50)
"""


def tokens(labels: int, count: int, draw: random.Random) -> Iterator[tuple[str, str]]:
    """Tokens with their labels; a tenth has any label.

    Args:
        labels: K.
        count: the number of tokens.
        draw: a random generator.

    Yields:
        Token and label.
    """
    for number in range(count):
        right = number % labels
        yield f"word{right}", f"label{right if draw.random() < 0.9 else draw.randrange(labels)}"


def make_data(folder: Path, task: str, labels: int, items: int) -> None:
    """Write train and dev of a task.

    Args:
        folder: where to.
        task: ``tag`` or ``classify``.
        labels: K.
        items: tokens or texts of train; dev has a twentieth.
    """
    draw = random.Random(labels)
    folder.mkdir()
    for split, count in (("train", items), ("dev", items // 20)):
        if task == "tag":
            rows = [f"{token}\t{label}\n" for token, label in tokens(labels, count, draw)]
            rows = [row + ("\n" if number % 10 == 9 else "") for number, row in enumerate(rows)]
            (folder / f"{split}.conll").write_text("".join(rows), encoding="utf-8")
        else:
            pairs = tokens(labels, count, draw)
            rows = [f"{label}\tthis is a {token} text\n" for token, label in pairs]
            (folder / f"{split}.tsv").write_text("label\ttext\n" + "".join(rows), encoding="utf-8")


def measured(command: list[str], checkout: Path, limit: float, minutes: float) -> dict[str, Any]:
    """Run a process.

    Args:
        command: its arguments.
        checkout: whose seqkit it imports.
        limit: GB that it may take; more is a fault of allocation.
        minutes: after so many it is ended.

    Returns:
        Its exit status, seconds, peak resident MB, and the last line on standard error if it failed.
    """

    def bound() -> None:
        resource.setrlimit(resource.RLIMIT_DATA, (int(limit * 1e9),) * 2)

    environment = {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    began = time.monotonic()
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            command, cwd=checkout, env=environment, stdout=subprocess.DEVNULL, stderr=errors, preexec_fn=bound
        )
        status, usage = 0, None
        while True:
            found, status, usage = os.wait4(process.pid, os.WNOHANG)
            if found:
                break
            if time.monotonic() - began > 60 * minutes:
                process.kill()
            time.sleep(0.05)
        process.returncode = os.waitstatus_to_exitcode(status)
        errors.seek(0)
        said = errors.read().decode("utf-8", "replace").strip().splitlines()
    last = said[-1][:300] if said and process.returncode else ""
    seconds = time.monotonic() - began
    return {"status": process.returncode, "seconds": seconds, "megabytes": usage.ru_maxrss / 1024, "fault": last}


def commands(folder: Path, labels: int, items: int) -> Iterator[tuple[str, list[str]]]:
    """What is measured at one size; data is made before it is needed.

    Args:
        folder: an empty one.
        labels: K.
        items: tokens or texts.

    Yields:
        A name and a command.
    """
    launcher = [sys.executable, "-m", "seqkit"]
    for task, options in (("tag", ["--no-crf", "--chars", "none", "--scheme", "none"]), ("classify", [])):
        data, model = str(folder / task), str(folder / f"{task}-model")
        make_data(folder / task, task, labels, items)
        train = [*launcher, task, "train", data, "-o", model, *options, *SMALL, "--batch-size", TOGETHER[task]]
        yield f"{task} train", train
        yield f"{task} evaluate", [*launcher, task, "evaluate", data, "-m", model, "--split", "dev", "--threads", "1"]
    yield "reports", [sys.executable, "-c", REPORTS, str(labels), str(items)]


def main() -> None:
    """Measure, print the table and write the JSON."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--items", type=int, default=200_000, help="tokens, and texts")
    arguments.add_argument("--limit", type=float, default=6.0, help="GB of a process")
    arguments.add_argument("--minutes", type=float, default=10.0, help="after which a process is ended")
    arguments.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="numbers of labels")
    arguments.add_argument("--checkout", type=Path, default=ROOT, help="the seqkit to measure")
    arguments.add_argument("--name", default="labels", help="name of the JSON file")
    chosen = arguments.parse_args()
    results: dict[str, dict[str, Any]] = {}
    for labels in chosen.sizes:
        with tempfile.TemporaryDirectory() as folder:
            for name, command in commands(Path(folder), labels, chosen.items):
                found = measured(command, chosen.checkout.resolve(), chosen.limit, chosen.minutes)
                results.setdefault(name, {})[str(labels)] = found
                print(f"{labels:,} {name}: {found}", file=sys.stderr, flush=True)
    rows = []
    for name, sizes in results.items():
        cells = [
            f"{one['megabytes']:,.0f} MB, {one['seconds']:.0f} s"
            + (f", failed ({one['status']})" if one["status"] else "")
            for one in sizes.values()
        ]
        rows.append([name, *cells])
    print(table(["", *(f"{labels:,} labels" for labels in chosen.sizes)], rows))
    write(chosen.name, {"items": chosen.items, "limit_gb": chosen.limit, "results": results})


if __name__ == "__main__":
    main()
