"""Speed of decoding, from a file to written labels, beside the machine's matrix product in the same run.

    SEQKIT_DATA=../shared/data python benchmarks/tagging_decoding.py --threads 2

Trains the reference tagger (word vectors 100, character CNN 50, BiLSTM 2 × 100, CRF) on ``conll2000`` for one epoch
unless ``--model`` names one, then decodes the test file several rounds. Prints medians with their spread and writes
``benchmarks/results/tagging_decoding.json``.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import statistics
import tempfile
import time
from pathlib import Path

import torch

from seqkit import __version__
from seqkit.config import TagSettings, override
from seqkit.data.formats import read_sentences
from seqkit.data.resolving import resolve
from seqkit.data.writers import write_records
from seqkit.model import load
from seqkit.model.tagger import Tagger
from seqkit.training.run import train

RESULTS = Path(__file__).parent / "results" / "tagging_decoding.json"
REFERENCE = {"encoder": {"hidden": 100}, "training": {"epochs": 1}}


def gemm_rate() -> float:
    """What a matrix product reaches here, in FLOP/s: fp32, 1,024 × 1,024 × 1,024."""
    left, right = torch.randn(1024, 1024), torch.randn(1024, 1024)
    rounds = []
    for _ in range(10):
        began = time.perf_counter()
        torch.mm(left, right)
        rounds.append(time.perf_counter() - began)
    return 2 * 1024**3 / statistics.median(rounds)


def decode(model: Tagger, file: Path, precision: str) -> tuple[float, int, int]:
    """Read, tag and write one file.

    Args:
        model: the tagger.
        file: a column file.
        precision: ``fp32`` or ``bf16``.

    Returns:
        Seconds, sentences and tokens.
    """
    began = time.perf_counter()
    sentences = list(read_sentences(file))
    output = io.StringIO()
    write_records(model.predict(sentences, spans=False, precision=precision), output, "conll")
    seconds = time.perf_counter() - began
    tokens = sum(map(len, sentences))
    assert output.getvalue().count("\t") == tokens
    return seconds, len(sentences), tokens


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="a model; by default the reference tagger is trained")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    data = resolve("conll2000")
    file = data.splits["test"].file
    assert file is not None
    with tempfile.TemporaryDirectory() as folder:
        if options.model is None:
            train(override(TagSettings(), REFERENCE), Path(folder) / "model", data)
        model = load(options.model or Path(folder) / "model")
    results: dict[str, dict[str, float]] = {}
    speeds: dict[str, list[float]] = {"fp32": [], "bf16": []}
    rates = []
    for _ in range(options.rounds):
        rates.append(gemm_rate())
        for precision, found in speeds.items():
            seconds, sentences, tokens = decode(model, file, precision)
            found.append(tokens / seconds)
    for precision, found in speeds.items():
        median = statistics.median(found)
        results[precision] = {"tokens_per_second": median, "least": min(found), "most": max(found)}
        results[precision]["sentences_per_second"] = median * sentences / tokens
        spread = f"{min(found):,.0f} … {max(found):,.0f}"
        print(f"{precision}: {median:,.0f} tokens/s ({spread}), {median * sentences / tokens:,.0f} sentences/s")
    print(f"matrix product: {statistics.median(rates) / 1e9:.0f} GFLOP/s, {options.threads} threads")
    about = {
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "threads": options.threads,
        "rounds": options.rounds,
    }
    versions = {"seqkit": __version__, "torch": torch.__version__}
    RESULTS.parent.mkdir(exist_ok=True)
    tree = {**about, **versions, "gemm_flops": statistics.median(rates), "decoding": results}
    RESULTS.write_text(json.dumps(tree, indent=1) + "\n")


if __name__ == "__main__":
    main()
