"""Scores of the recipes of translation, greedy and by beam search.

    SEQKIT_DATA=../shared/data python benchmarks/translate_scores.py /tmp/translations --threads 2

Trains each case with each seed through the command line, in a process of its own, and evaluates the model on dev and
test. Models that are in the folder are not trained again. Writes ``benchmarks/results/translate_scores.json``, and
prints a table: BLEU of the words as they are, of commands the percentage that is right altogether. Pronunciation has a
benchmark of its own, `pronunciation.py`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

RESULTS = Path(__file__).parent / "results" / "translate_scores.json"
BEAMS = (1, 5)


class Case(NamedTuple):
    """What is trained.

    Attributes:
        recipe: the recipe's name.
        data: the data set.
        flags: flags of training.
        score: what counts.
        splits: the splits that are scored.
    """

    recipe: str
    data: str
    flags: tuple[str, ...] = ()
    score: str = "bleu"
    splits: tuple[str, ...] = ("dev", "test")


CASES = {
    "multi30k de → en": Case("translate-multi30k", "multi30k", ("--source", "de", "--target", "en")),
    "multi30k en → de": Case("translate-multi30k", "multi30k", ("--source", "en", "--target", "de")),
    "scan-simple": Case("translate-scan", "scan-simple", (), "exact_match", ("test",)),
    "scan-length": Case("translate-scan", "scan-length", (), "exact_match", ("test",)),
}


def seqkit(*arguments: object) -> None:
    """Call the command line in a process of its own."""
    command = [sys.executable, "-m", "seqkit", "translate", *map(str, arguments)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def run(case: Case, output: Path, seed: int, threads: int) -> dict[str, Any]:
    """Train, unless the model is there, and score.

    Args:
        case: what.
        output: the model's directory.
        seed: the seed.
        threads: processor threads.

    Returns:
        Split and width of the beam → percentage, and the minutes of training.
    """
    began = time.monotonic()
    found: dict[str, Any] = {"seed": seed, "threads": threads}
    if not (output / "config.json").exists():
        seqkit("train", case.data, "-c", case.recipe, "-o", output, "--seed", seed, "--threads", threads, *case.flags)
        found["minutes"] = round((time.monotonic() - began) / 60, 1)
    for split in case.splits:
        for beam in BEAMS:
            scores = output.with_suffix(f".{split}-{beam}.json")
            asked = ("--split", split, "--beam", beam, "--bleu-tokens", "none", "--json", scores)
            seqkit("evaluate", case.data, "-m", output, *asked, "--threads", threads)
            value = json.loads(scores.read_text("utf-8"))[case.score]
            found[f"{split} {beam}"] = value if case.score == "bleu" else 100 * value
    return found


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder for models")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", nargs="+", choices=CASES, default=[*CASES], help="these cases only")
    options = parser.parse_args()
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for name in options.only:
        plain = name.replace(" → ", "-").replace(" ", "-")
        before = {entry["seed"]: entry for entry in results.get(name, [])}
        for seed in options.seeds:
            found = run(CASES[name], options.folder / f"{plain}-{seed}", seed, options.threads)
            before[seed] = before.get(seed, {}) | found
        results[name] = [before[seed] for seed in sorted(before)]
        RESULTS.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", "utf-8")
        for split in CASES[name].splits:
            for beam in BEAMS:
                each = [entry[f"{split} {beam}"] for entry in results[name]]
                spread = " ".join(f"{value:.2f}" for value in each)
                print(f"{name}, {split}, beam {beam}: {statistics.mean(each):.2f} ({spread})")


if __name__ == "__main__":
    main()
