"""Speed of classifying texts, from a file to written labels, beside scikit-learn's TF-IDF and logistic regression.

    SEQKIT_DATA=../shared/data python benchmarks/classify_throughput.py --threads 2

All texts of ``sst2`` (train, dev and test), one per line. seqkit: the recipe ``classify-sst2`` (character CNN 50,
BiLSTM 2 × 200, attention) trained for one epoch, without pretrained vectors unless ``--vectors`` names a file.
scikit-learn: its `TfidfVectorizer` with words and pairs of words, and `LogisticRegression`, which has almost nothing to
compute, on one thread; so the ratio shows what a network costs. Both take turns in one process. Prints tables, also of
the time of each stage, and writes ``benchmarks/results/classify_throughput.json``.
"""

from __future__ import annotations

import tempfile
import time
from functools import partial
from pathlib import Path

import sklearn
import torch
from common import Machine, alternate, parser, ratios, shown, stage_table, summary, table, write
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from seqkit.bench.flops import forward_flops
from seqkit.config import load_recipe, override
from seqkit.corpora.resolve import resolve
from seqkit.formats.format import split_at_spaces
from seqkit.formats.registry import read_sentences
from seqkit.formats.writers import write_records
from seqkit.model.classifier import Classifier
from seqkit.model.loading import load
from seqkit.training.run import train

RECIPE = "classify-sst2"


def main() -> None:
    """Measure and report."""
    arguments = parser(__doc__)
    arguments.add_argument("--vectors", default="", help="GloVe 6B, 100 dimensions; none by default")
    options = arguments.parse_args()
    torch.set_num_threads(options.threads)
    torch.set_flush_denormal(True)
    data = resolve("sst2")
    splits = {split: data.texts(split, split_at_spaces) for split in ("train", "dev", "test")}
    changes = {"embedding": {"vectors": options.vectors}, "head": {"baseline": False}, "training": {"epochs": 1}}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        train(override(load_recipe(RECIPE).settings, changes), folder / "model", data)
        model = load(folder / "model")
        assert isinstance(model, Classifier)
        baseline = make_pipeline(TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True), LogisticRegression(C=10.0))
        baseline.fit([one.text for one in splits["train"]], [one.fields["label"] for one in splits["train"]])
        file = folder / "texts.txt"
        lines = [one.text for split in splits.values() for one in split]
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")

        read = partial(read_sentences, file, "text", splitter=model.input.splitter.split)

        def own() -> float:
            began = time.perf_counter()
            with tempfile.TemporaryFile("w", encoding="utf-8") as output:
                write_records(model.predict(read()), output, "tsv")
            return len(lines) / (time.perf_counter() - began)

        def other() -> float:
            began = time.perf_counter()
            with file.open(encoding="utf-8") as input, tempfile.TemporaryFile("w", encoding="utf-8") as output:
                texts = input.read().splitlines()
                output.writelines(
                    f"{label}\t{text}\n" for label, text in zip(baseline.predict(texts), texts, strict=True)
                )
            return len(lines) / (time.perf_counter() - began)

        machine = Machine()
        speeds = alternate({"seqkit": own, "scikit-learn": other}, options.rounds, machine)
        stages = stage_table(model, read, "tsv")
        test = splits["test"]
        right = [one.fields["label"] for one in test]
        found = {"seqkit": [record.labels[0] for record in model.predict([one.text for one in test])]}
        found["scikit-learn"] = list(baseline.predict([one.text for one in test]))
    tokens = [token for split in splits.values() for one in split for token in one.tokens]
    flops = forward_flops(model.network, sum(map(len, tokens)) / len(tokens), len(tokens) / len(lines))
    ratio = ratios(speeds["seqkit"], speeds["scikit-learn"])
    achieved = flops * len(tokens) / len(lines) * summary(speeds["seqkit"])["median"]
    accuracy = {name: sum(map(str.__eq__, labels, right)) / len(right) for name, labels in found.items()}
    rows = [
        ["seqkit", shown(speeds["seqkit"]), shown(ratio, ".2f"), machine.shares(achieved), f"{accuracy['seqkit']:.2%}"],
        ["scikit-learn", shown(speeds["scikit-learn"]), "1", "", f"{accuracy['scikit-learn']:.2%}"],
    ]
    print(machine)
    print(table(["", "texts/s", "ratio", "roofline", "test accuracy"], rows))
    print(stages)
    tree = {
        "rounds": options.rounds,
        "flops_per_token": flops,
        "share": achieved / machine.rate(),
        "texts_per_second": {name: summary(values) for name, values in speeds.items()},
        "ratio": summary(ratio),
        "accuracy": accuracy,
    }
    versions = {"scikit-learn": sklearn.__version__}
    write("classify_throughput", {"machine": machine.to_json(), "peer": versions, **tree})


if __name__ == "__main__":
    main()
