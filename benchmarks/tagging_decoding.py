"""Speed of decoding, from a file to written labels, beside the machine's matrix product in the same run.

    SEQKIT_DATA=../shared/data python benchmarks/tagging_decoding.py --threads 2

Trains the reference tagger (word vectors 100, character CNN 50, BiLSTM 2 × 100, CRF) on ``conll2000`` for one epoch
unless ``--model`` names one, then decodes the test file several times, in fp32 and in bf16 in turn. Prints medians with
their spread, the share of the roofline and the time of each stage, and writes
``benchmarks/results/tagging_decoding.json``.
"""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

import torch
from common import Machine, alternate, decode_file, parser, shown, stage_table, summary, table, write

from seqkit.bench.flops import forward_flops
from seqkit.config import override
from seqkit.corpora.resolve import resolve
from seqkit.formats.registry import read_sentences
from seqkit.heads.tagging.settings import TagSettings
from seqkit.model.loading import load
from seqkit.model.tagger import Tagger
from seqkit.training.run import train

REFERENCE = {"encoder": {"hidden": 100}, "training": {"epochs": 1}}
PRECISIONS = ("fp32", "bf16")


def main() -> None:
    """Measure and report."""
    arguments = parser(__doc__)
    arguments.add_argument("--model", help="a model; by default the reference tagger is trained")
    options = arguments.parse_args()
    torch.set_num_threads(options.threads)
    torch.set_flush_denormal(True)
    data = resolve("conll2000")
    file = data.splits["test"].file
    assert file is not None
    with tempfile.TemporaryDirectory() as folder:
        if options.model is None:
            train(override(TagSettings(), REFERENCE), Path(folder) / "model", data)
        model = load(options.model or Path(folder) / "model")
    assert isinstance(model, Tagger)
    sentences = list(read_sentences(file))
    tokens = sum(map(len, sentences))
    flops = forward_flops(model.network, sum(len(token) for one in sentences for token in one.tokens) / tokens)

    def turn(precision: str) -> float:
        return tokens / decode_file(model, file, precision)

    machine = Machine()
    turns = {precision: partial(turn, precision) for precision in PRECISIONS}
    speeds = alternate(turns, options.rounds, machine)
    rows, results = [], {}
    for precision, found in speeds.items():
        each = summary(found)
        share = flops * each["median"] / machine.rate(precision)
        results[precision] = {**each, "sentences_per_second": each["median"] * len(sentences) / tokens, "share": share}
        rows.append(
            [
                precision,
                shown(found),
                f"{results[precision]['sentences_per_second']:,.0f}",
                machine.shares(flops * each["median"], precision),
            ]
        )
    print(machine)
    print(f"{flops / 1e6:.2f} MFLOP per token")
    print(table(["precision", "tokens/s", "sentences/s", "roofline"], rows))
    print(stage_table(model, partial(read_sentences, file), "conll"))
    tree = {"rounds": options.rounds, "flops_per_token": flops, "decoding": results}
    write("tagging_decoding", {"machine": machine.to_json(), **tree})


if __name__ == "__main__":
    main()
