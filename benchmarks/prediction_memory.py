"""Resident memory of prediction from a long pipe: with the model loaded, along the way, and at its peak.

    python benchmarks/prediction_memory.py --tagger MODEL --classifier MODEL --lines 1000000

Sentences are generated as they are needed; a fifth of their words are new, so that memory grows if words are kept. One
line is answered before the first measurement. Linux only. Prints a table and writes
``benchmarks/results/prediction_memory.json``.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from common import write

from seqkit.bench.machine import describe_machine

SHARES = (0.1, 0.5, 1.0)
LETTERS = "etaoinshrdlcumwfgypbvk"


def sentences(count: int) -> Iterator[bytes]:
    """Lines of text of 5 to 35 words.

    Args:
        count: the number of lines.

    Yields:
        The lines.
    """
    draw = random.Random(1)
    known = ["".join(draw.choices(LETTERS, k=draw.randint(1, 10))) for _ in range(20_000)]
    for _ in range(count):
        words = draw.choices(known, k=draw.randint(4, 28))
        words += ["".join(draw.choices(LETTERS, k=draw.randint(6, 14))) for _ in range(len(words) // 4)]
        yield (" ".join(words) + " .\n").encode()


def resident(process: int, field: str = "VmRSS") -> float:
    """Memory of a process.

    Args:
        process: its id.
        field: ``VmRSS``, or ``VmHWM`` for the peak so far.

    Returns:
        Megabytes.
    """
    status = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith(field))


def feed(stream: IO[bytes], count: int) -> None:
    """Write all lines.

    Args:
        stream: the other process's standard input.
        count: the number of lines.
    """
    for line in sentences(count):
        stream.write(line)
    stream.flush()


def measure(arguments: list[str], ends: bytes, count: int) -> dict[str, float]:
    """Predict from a pipe.

    Args:
        arguments: the command line of seqkit.
        ends: the last output line of an answer; empty where an answer is one line.
        count: the number of lines.

    Returns:
        Megabytes: ``loaded``, ``at 10 %`` and so on, ``peak``, ``above loaded``.
    """
    command = [sys.executable, "-m", "seqkit", *arguments, "--quiet"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(b"One line .\n")
        process.stdin.flush()
        while (line := process.stdout.readline()) != ends and ends:
            if not line:
                raise SystemExit(process.wait())  # it has said why
        found = {"loaded": resident(process.pid)}
        feeder = threading.Thread(target=feed, args=(process.stdin, count))
        feeder.start()
        due = {round(count * share): f"at {share:.0%}" for share in SHARES}
        done = 0
        for line in process.stdout:
            done += not ends or line == ends
            if done in due:
                found[due.pop(done)] = resident(process.pid)
                if not due:
                    break
        found["peak"] = resident(process.pid, "VmHWM")
        feeder.join()
        process.stdin.close()
        assert process.wait() == 0
    return {**found, "above loaded": found["peak"] - found["loaded"]}


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tagger", help="a tagger's directory")
    parser.add_argument("--classifier", help="a classifier's directory")
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    if not options.tagger and not options.classifier:
        parser.error("give --tagger, --classifier or both")
    runs: dict[str, tuple[list[str], bytes]] = {}
    if options.tagger:
        tag = ["tag", "predict", "-m", options.tagger]
        runs["tag, text → conll"] = (tag, b"\n")
        runs["tag, tokens → conll"] = ([*tag, "--input", "tokens"], b"\n")
        runs["tag, text → jsonl"] = ([*tag, "--output-format", "jsonl", "--probs"], b"")
    if options.classifier:
        runs["classify, text → tsv"] = (["classify", "predict", "-m", options.classifier], b"")
    results = {}
    for name, (arguments, ends) in runs.items():
        results[name] = measure([*arguments, "--threads", str(options.threads)], ends, options.lines)
        print(f"{name:22}", *(f"{what} {size:,.0f} MB" for what, size in results[name].items()), sep="  ", flush=True)
    tree = {"threads": options.threads, "lines": options.lines, "megabytes": results}
    write("prediction_memory", {"machine": describe_machine(), **tree})


if __name__ == "__main__":
    main()
