"""Test scores of the tagging recipes: every recipe with several seeds, without and with pretrained vectors.

    SEQKIT_DATA=../shared/data python benchmarks/tagging_scores.py --vectors glove.6B.100d.txt --threads 2

Writes ``benchmarks/results/tagging_scores.json``, one entry per run, as soon as the run has ended, and prints a table
of means. Runs that the file already has are not repeated unless ``--again`` is given.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results" / "tagging_scores.json"
RUNS = (
    ("pos-ewt", False),
    ("pos-ewt", True),
    ("chunk-conll2000", False),
    ("chunk-conll2000", True),
    ("ner-conll2002-es", False),
    ("ner-wnut17", True),
)
"""recipe, and whether it gets pretrained vectors"""


def run(recipe: str, vectors: Path | None, seed: int, threads: int) -> dict[str, Any]:
    """Train once, through the command line, in a process of its own.

    Args:
        recipe: the recipe's name.
        vectors: the file of vectors, or None.
        seed: the seed.
        threads: processor threads.

    Returns:
        The run's scores on dev and test, its best epoch and its duration in minutes.
    """
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "model"
        command = [sys.executable, "-m", "seqkit", "tag", "train", "-c", recipe, "-o", str(output)]
        command += ["--seed", str(seed), "--threads", str(threads)]
        command += ["--vectors", str(vectors)] if vectors else []
        began = time.monotonic()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        minutes = (time.monotonic() - began) / 60
        report = json.loads((output / "report.json").read_text())
    entry: dict[str, Any] = {"recipe": recipe, "vectors": bool(vectors), "seed": seed, "minutes": round(minutes, 2)}
    for split, scores in report["scores"].items():
        entry[split] = {name: scores[name] for name in ("accuracy", "f1") if name in scores}
        if "strict" in scores:
            entry[split]["strict_f1"] = scores["strict"]["f1"]
    return entry | {"best_epoch": report["training"]["best_epoch"], "threads": threads, "versions": report["versions"]}


def table(entries: list[dict[str, Any]]) -> str:
    """Means over seeds as a Markdown table.

    Args:
        entries: what `run` returned.

    Returns:
        The table.
    """
    lines = [
        "| recipe | vectors | seeds | dev | test | each test score | minutes a run |",
        "|---|---|---|---|---|---|---|",
    ]
    for recipe, vectors in RUNS:
        found = [entry for entry in entries if (entry["recipe"], entry["vectors"]) == (recipe, vectors)]
        if found:
            metric = "f1" if "f1" in found[0]["test"] else "accuracy"
            dev, test = ([100 * entry[split][metric] for entry in found] for split in ("dev", "test"))
            each = " ".join(f"{value:.2f}" for value in test)
            minutes = max(entry["minutes"] for entry in found)
            name = "GloVe 100" if vectors else "none"
            means = f"{statistics.mean(dev):.2f} | **{statistics.mean(test):.2f}**"
            lines.append(f"| {recipe} | {name} | {len(found)} | {means} | {each} | ≤ {minutes:.0f} |")
    return "\n".join(lines)


def main() -> None:
    """Run what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--vectors", type=Path, help="GloVe 6B, 100 dimensions; without them, runs with vectors are left out"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", nargs="+", metavar="RECIPE", help="these recipes only")
    parser.add_argument("--again", action="store_true", help="repeat runs that the results already have")
    options = parser.parse_args()
    for seed in options.seeds:
        for recipe, with_vectors in RUNS:
            if (options.only and recipe not in options.only) or (with_vectors and not options.vectors):
                continue
            entries = json.loads(RESULTS.read_text()) if RESULTS.is_file() else []
            same = [
                entry
                for entry in entries
                if (entry["recipe"], entry["vectors"], entry["seed"]) == (recipe, with_vectors, seed)
            ]
            if same and not options.again:
                continue
            entry = run(recipe, options.vectors if with_vectors else None, seed, options.threads)
            # Another process may have added an entry meanwhile.
            entries = json.loads(RESULTS.read_text()) if RESULTS.is_file() else []
            RESULTS.parent.mkdir(exist_ok=True)
            RESULTS.write_text(json.dumps([old for old in entries if old not in same] + [entry], indent=1) + "\n")
    print(table(json.loads(RESULTS.read_text())))


if __name__ == "__main__":
    main()
