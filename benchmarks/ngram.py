"""Perplexity and speed of n-gram models with Kneser-Ney smoothing, by order.

    SEQKIT_DATA=../shared/data python benchmarks/ngram.py --threads 1

Words of ``ptb`` (10,000 types, 82,430 words in test with the ends of lines); Mikolov et al. (2011) report 141.2 for
order 5. A round counts the training text, computes the probabilities and scores dev and test; reading the files is
timed once. Prints medians with their spread, the process's peak memory, and how many lines per second are scored
independently, and writes ``benchmarks/results/ngram.json``.
"""

from __future__ import annotations

import resource
import time
from typing import Any

import numpy as np
import torch
from common import parser, summary, write

from seqkit.bench.machine import describe_machine
from seqkit.config import override
from seqkit.corpora.resolve import resolve
from seqkit.heads.language_model.settings import LmSettings
from seqkit.inputs.segmentation import Units
from seqkit.inputs.streams import Corpus
from seqkit.model.gold import read_corpus
from seqkit.model.ngram_model import NgramLanguageModel


def measure(order: int, units: Units, corpora: dict[str, Corpus], rounds: int) -> tuple[dict[str, Any], float]:
    """Count, score, and time both.

    Args:
        order: the maximal length of an n-gram.
        units: text ↔ units.
        corpora: train, dev and test.
        rounds: the number of rounds.

    Returns:
        Perplexities, sizes and seconds; and the seconds for scoring the lines of test, each independently.
    """
    settings = override(LmSettings(), {"head": {"ngram": order}})
    seconds: dict[str, list[float]] = {"fit": [], "evaluate": []}
    for _ in range(rounds):
        began = time.perf_counter()
        model = NgramLanguageModel.count(settings, units, corpora["train"])
        fitted = time.perf_counter()
        scores = {split: model.evaluate_records(corpora[split]).report.perplexity for split in ("dev", "test")}
        seconds["fit"].append(fitted - began)
        seconds["evaluate"].append(time.perf_counter() - fitted)
    test = corpora["test"]
    words = [test.types[number] for number in test.numbers.tolist()]
    lines = " ".join(words).split("\n")[:-1]
    began = time.perf_counter()
    scored = sum(record.log_prob for record in model.score(lines))
    per_line = time.perf_counter() - began
    assert np.isclose(scored, model.log_prob(test)), (
        "the lines should have the same log-probability as the text that they make up"
    )
    counts = [len(level.keys) - (number == 0) for number, level in enumerate(model.kneser_ney.levels)]
    found = {"perplexity": scores, "ngrams": counts, **{name: summary(values) for name, values in seconds.items()}}
    return found, per_line


def main() -> None:
    """Measure and report."""
    arguments = parser(__doc__, threads=1, rounds=5)
    arguments.add_argument("--orders", type=int, nargs="+", default=[1, 2, 3, 4, 5, 6])
    options = arguments.parse_args()
    torch.set_num_threads(options.threads)
    units, dataset = Units.word("spaces"), resolve("ptb")
    began = time.perf_counter()
    corpora = {split: read_corpus(dataset, split, units)[0] for split in ("train", "dev", "test")}
    reading = time.perf_counter() - began
    print(f"read in {reading:.1f} s")
    results, lines = {}, {}
    for order in options.orders:
        found, lines[order] = measure(order, units, corpora, options.rounds)
        results[order] = found
        perplexities = ", ".join(f"{split} {value:.2f}" for split, value in found["perplexity"].items())
        times = ", ".join(
            "{} {median:.2f} s ({least:.2f} … {most:.2f})".format(name, **found[name]) for name in ("fit", "evaluate")
        )
        print(f"order {order}: {perplexities}; {sum(found['ngrams']):,} n-grams; {times}")
    per_second = {order: corpora["test"].lines / seconds for order, seconds in lines.items()}
    print(", ".join(f"order {order}: {speed:,.0f} lines/s" for order, speed in per_second.items()))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(f"peak memory {peak / 1e6:,.0f} MB")
    about = {"machine": describe_machine() | {"numpy": np.__version__}, "rounds": options.rounds}
    write(
        "ngram",
        {**about, "reading": reading, "peak_bytes": peak, "lines_per_second": per_second, "orders": results},
    )


if __name__ == "__main__":
    main()
