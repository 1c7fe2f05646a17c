"""seqkit beside spaCy's taggers for the CPU, decoding the same file turn by turn in one run.

    SEQKIT_DATA=../shared/data python benchmarks/spacy_tagging.py --spacy ENVIRONMENTS/spacy --threads 2

``conll2000``, tokenised text. spaCy: a blank English pipeline of one component with its default network for the CPU
(`HashEmbedCNN` of 96, four layers), once `tagger` (parts of speech) and once `ner` (a transition-based parser; the
phrases are its entities), through ``Language.pipe`` in one process. seqkit: the reference tagger (word vectors 100,
character CNN 50, BiLSTM 2 × 100, CRF) for each column. All are trained for one epoch, so that the labels are realistic.
Their accuracies are printed beside the speeds, but do not compare what the two can learn.

Decoding is from sentences in memory (spaCy: `Doc` objects; seqkit: `Sentence` objects) to labels, and from the file to
written labels. spaCy's networks compute on one thread, and ``--threads`` is for torch only, so also run it with
``--threads 1``. Prints a table and writes ``benchmarks/results/spacy_tagging.json``, by number of threads.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from common import RESULTS, Machine, Peer, alternate, decode_file, parser, ratios, shown, summary, table, write

from seqkit.config import override
from seqkit.corpora.resolve import resolve
from seqkit.heads.tagging.settings import TagSettings
from seqkit.model.loading import load
from seqkit.model.tagger import Tagger
from seqkit.records import Sentence
from seqkit.training.run import train

COMPONENTS = {"tagger": "pos", "ner": "chunk"}
"""spaCy's component → the column that it is trained on"""
REFERENCE = {"encoder": {"hidden": 100}, "training": {"epochs": 1}}


def write_splits(folder: Path) -> dict[str, list[list[str]]]:
    """All of train and test in three columns; the labels of test."""
    data = resolve("conll2000")
    gold: dict[str, list[list[str]]] = {}
    for split in ("train", "dev", "test"):
        sentences = data.sentences(split)
        with (folder / f"{split}.txt").open("w", encoding="utf-8") as file:
            for one in sentences:
                rows = zip(one.tokens, one.column("pos"), one.column("chunk"), strict=True)
                file.write("".join(" ".join(row) + "\n" for row in rows) + "\n")
        gold = {column: [one.column(column) for one in sentences] for column in COMPONENTS.values()}
    return gold


def accuracy(labels: list[list[str]], gold: list[list[str]]) -> float:
    """The share of tokens with the right label."""
    pairs = [pair for rows in zip(labels, gold, strict=True) for pair in zip(*rows, strict=True)]
    return sum(a == b for a, b in pairs) / len(pairs)


def own_turn(model: Tagger, sentences: list[Sentence], file: Path, source: str) -> Callable[[], float]:
    """A turn of seqkit; tokens per second."""
    tokens = sum(map(len, sentences))

    def turn() -> float:
        if source == "file":
            return tokens / decode_file(model, file, "fp32")
        began = time.perf_counter()
        assert len(list(model.predict(sentences))) == len(sentences)
        return tokens / (time.perf_counter() - began)

    return turn


def their_turn(peer: Peer, component: str, source: str, batch: int) -> Callable[[], float]:
    """A turn of spaCy; tokens per second."""

    def turn() -> float:
        found = peer.ask("decode", component=component, source=source, batch=batch)
        return float(found["tokens"] / found["seconds"])

    return turn


def main() -> None:
    """Measure and report."""
    arguments = parser(__doc__, rounds=5)
    arguments.add_argument("--spacy", type=Path, required=True, help="folder of spaCy's virtual environment")
    arguments.add_argument("--epochs", type=int, default=1, help="of both toolkits")
    arguments.add_argument("--batch", type=int, default=128, help="batch_size of spaCy's pipe")
    options = arguments.parse_args()
    torch.set_num_threads(options.threads)
    torch.set_flush_denormal(True)
    machine = Machine()
    accuracies: dict[str, float] = {}
    turns: dict[str, Callable[[], float]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        gold = write_splits(folder)
        data = resolve("conll2000")
        peer = Peer(options.spacy / "bin" / "python", "spacy_worker.py")
        versions = peer.ask("start", data=str(folder))
        for component, column in COMPONENTS.items():
            peer.ask("train", component=component, epochs=options.epochs, seed=1)
            changes = {"data": {"target": column}, "training": {"epochs": options.epochs}}
            train(override(TagSettings(), {**REFERENCE, **changes}), folder / column, data)
            model = load(folder / column)
            assert isinstance(model, Tagger)
            sentences = [Sentence.from_tokens(one.tokens) for one in data.sentences("test")]
            peer.ask("decode", component=component, source="memory", batch=options.batch)
            accuracies[f"spaCy {component}"] = accuracy(peer.ask("last_labels"), gold[column])
            own = [record.labels for record in model.predicted(sentences)]
            accuracies[f"seqkit {column}"] = accuracy(own, gold[column])
            for source in ("memory", "file"):
                file = folder / "test.txt"
                turns[f"{source}, spaCy {component}"] = their_turn(peer, component, source, options.batch)
                turns[f"{source}, seqkit {column}"] = own_turn(model, sentences, file, source)
        speeds = alternate(turns, options.rounds, machine)
        peer.close()
    print(machine)
    rows = []
    found = {name: summary(values) for name, values in speeds.items()}
    compared = {}
    for name, values in speeds.items():
        source, who = name.split(", ")
        row = [source, who, f"{accuracies[who]:.2%}", shown(values)]
        for component, column in COMPONENTS.items():
            if who == f"seqkit {column}":
                of = ratios(values, speeds[f"{source}, spaCy {component}"])
                compared[f"{name} / spaCy {component}"] = summary(of)
                row.append(shown(of, ".1f"))
        rows.append([*row, *[""] * (5 - len(row))])
    print(table(["from", "tagger", "accuracy", "tokens/s", "× spaCy's of the same column"], rows))
    results = RESULTS / "spacy_tagging.json"
    tree = json.loads(results.read_text()) if results.is_file() else {}
    entry = {"machine": machine.to_json(), "peer": versions, "rounds": options.rounds, "accuracy": accuracies}
    write(
        "spacy_tagging",
        {**tree, f"{options.threads} threads": {**entry, "tokens_per_second": found, "ratios": compared}},
    )


if __name__ == "__main__":
    main()
