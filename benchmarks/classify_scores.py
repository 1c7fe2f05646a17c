"""Test scores of the classification recipes: several seeds, and every pooling on the same data.

    SEQKIT_DATA=../shared/data python benchmarks/classify_scores.py --vectors glove.6B.100d.txt --threads 2

Writes ``benchmarks/results/classify_scores.json``, one entry per run, as soon as the run has ended, and prints a
table of means. Runs that the file already has are not repeated unless ``--again`` is given. The baseline is trained on
the same texts, without pretrained vectors; where sequences of vectors are read there is none.
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

RESULTS = Path(__file__).parent / "results" / "classify_scores.json"
_OF_TEXTS = ("classify-sst2", "classify-trec6", "classify-sick", "classify-sick-relatedness")
RECIPES = (
    *_OF_TEXTS,
    *("classify-babi-1", "classify-babi-4", "classify-fsdd", "classify-natops", "classify-japanese-vowels"),
)
SCORES = ("accuracy", "macro_f1", "pearson", "spearman", "mse")
POOLINGS = ("mean", "max", "last", "attention", "concat")


def run(recipe: str, pool: str, vectors: Path | None, seed: int, threads: int) -> dict[str, Any]:
    """Train once, through the command line, in a process of its own.

    Args:
        recipe: the recipe's name.
        pool: the pooling.
        vectors: the file of vectors, for recipes of texts.
        seed: the seed.
        threads: processor threads.

    Returns:
        The run's scores on dev and test beside the baseline's, its best epoch and its duration in minutes.
    """
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "model"
        command = [sys.executable, "-m", "seqkit", "classify", "train", "-c", recipe, "-o", str(output)]
        command += ["--pool", pool, "--seed", str(seed), "--threads", str(threads)]
        command += ["--vectors", str(vectors)] if recipe in _OF_TEXTS else []
        began = time.monotonic()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        minutes = (time.monotonic() - began) / 60
        report = json.loads((output / "report.json").read_text())
    entry: dict[str, Any] = {"recipe": recipe, "pool": pool, "seed": seed, "minutes": round(minutes, 2)}
    for split, scores in report["scores"].items():
        entry[split] = {name: scores[name] for name in SCORES if name in scores}
        if "baseline" in scores:
            entry[split]["baseline"] = _deciding(scores["baseline"])
    return entry | {"best_epoch": report["training"]["best_epoch"], "threads": threads, "versions": report["versions"]}


def _deciding(scores: dict[str, Any]) -> float:
    """The accuracy, or of numbers Pearson's correlation."""
    found: float = scores["accuracy"] if "accuracy" in scores else scores["pearson"]
    return found


def table(entries: list[dict[str, Any]]) -> str:
    """Mean accuracies, of numbers correlations, over seeds as a Markdown table.

    Args:
        entries: what `run` returned.

    Returns:
        The table.
    """
    lines = [
        "| recipe | pooling | seeds | dev | test | each test accuracy | minutes a run |",
        "|---|---|---|---|---|---|---|",
    ]
    for recipe in RECIPES:
        of_recipe = [entry for entry in entries if entry["recipe"] == recipe]
        for pool in POOLINGS:
            found = sorted((entry for entry in of_recipe if entry["pool"] == pool), key=lambda entry: entry["seed"])
            if found:
                dev, test = ([100 * _deciding(entry[split]) for entry in found] for split in ("dev", "test"))
                each = " ".join(f"{value:.2f}" for value in test)
                minutes = max(entry["minutes"] for entry in found)
                means = f"{statistics.mean(dev):.2f} | **{statistics.mean(test):.2f}**"
                lines.append(f"| {recipe} | {pool} | {len(found)} | {means} | {each} | ≤ {minutes:.0f} |")
        if of_recipe and "baseline" in of_recipe[0]["test"]:
            dev, test = (100 * of_recipe[0][split]["baseline"] for split in ("dev", "test"))
            lines.append(f"| {recipe} | (tf-idf + logistic or ridge regression) | | {dev:.2f} | {test:.2f} | | |")
    return "\n".join(lines)


def main() -> None:
    """Run what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vectors", type=Path, help="GloVe 6B, 100 dimensions, for recipes of texts")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", nargs="+", metavar="RECIPE", default=RECIPES, help="these recipes only")
    parser.add_argument("--pool", nargs="+", choices=POOLINGS, default=POOLINGS, help="these poolings only")
    parser.add_argument("--again", action="store_true", help="repeat runs that the results already have")
    options = parser.parse_args()
    if options.vectors is None and set(options.only) & set(_OF_TEXTS):
        parser.error(f"--vectors is needed for {', '.join(_OF_TEXTS)}")
    for recipe in options.only:
        for pool in options.pool:
            for seed in options.seeds:
                entries = json.loads(RESULTS.read_text()) if RESULTS.is_file() else []
                key = (recipe, pool, seed)
                same = [entry for entry in entries if (entry["recipe"], entry["pool"], entry["seed"]) == key]
                if same and not options.again:
                    continue
                entry = run(recipe, pool, options.vectors, seed, options.threads)
                # Another process may have added an entry meanwhile.
                entries = json.loads(RESULTS.read_text()) if RESULTS.is_file() else []
                RESULTS.parent.mkdir(exist_ok=True)
                RESULTS.write_text(json.dumps([old for old in entries if old not in same] + [entry], indent=1) + "\n")
    print(table(json.loads(RESULTS.read_text())))


if __name__ == "__main__":
    main()
