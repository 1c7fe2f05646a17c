"""seqkit beside Flair on Flair's network, decoding and training, turn by turn in one run.

    SEQKIT_DATA=../shared/data python benchmarks/flair_tagging.py --flair ENVIRONMENTS/flair --vectors glove.6B.100d.txt

Pretrained word vectors of size 100 (the same on both sides, frozen, as is Flair's default; without ``--vectors`` the
same random ones), a bidirectional LSTM of 2 × 25 over characters of size 25, one bidirectional LSTM of 2 × 200, a CRF;
``conll2000``, phrases; fp32. Flair's linear layer between embeddings and LSTM is left out, so that the networks are the
same, which makes Flair faster. Flair runs in its own environment (``environments.sh``) with as many torch threads.

Training: one epoch at batch 32 with the trainer of each, cut into rounds that take turns; then both tag the dev and the
test split. Both use Adam with seqkit's default learning rate of 0.002; after one epoch Flair's dev score is better with
it than with its own default (SGD with 0.1).

Decoding, with the trained models: from tokenised sentences in memory to labels and spans, and from the file to written
labels; Flair at batches of 32 and 128, seqkit by default and at batches of as many tokens as these have on average.
Flair's ``predict`` clears the embeddings of all sentences of the call after each batch, so ``--at-once`` says how many
sentences, sorted by length, are given per call: by default one batch.

Prints tables and writes ``benchmarks/results/flair_tagging.json``.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from common import (
    Machine,
    Peer,
    alternate,
    decode_file,
    make_learner,
    parser,
    ratios,
    shown,
    summary,
    table,
    train_in_turns,
    write,
)

from seqkit.bench.flops import TRAINED, forward_flops
from seqkit.config import BATCH_TOKENS, override
from seqkit.corpora.resolve import resolve
from seqkit.formats.registry import read_sentences
from seqkit.heads.tagging.settings import TagSettings
from seqkit.metrics.tagging import tagging_report
from seqkit.model.tagger import Tagger
from seqkit.records import Sentence
from seqkit.training.learner import Learner

TARGET = "chunk"
BATCH = 32
BATCHES = (32, 128)
EMBEDDING = {"word_size": 0, "chars": "lstm", "char_size": 25, "char_features": 50}


def write_splits(folder: Path) -> None:
    """The same three files for both: token and label; dev is the last tenth of train."""
    data = resolve("conll2000")
    for split in ("train", "dev", "test"):
        with (folder / f"{split}.txt").open("w", encoding="utf-8") as file:
            for sentence in data.sentences(split):
                rows = zip(sentence.tokens, sentence.column(TARGET), strict=True)
                file.write("".join(f"{token} {label}\n" for token, label in rows) + "\n")


def write_random_vectors(folder: Path) -> Path:
    """Random vectors for the training words, used without ``--vectors``: the speed is the same."""
    words = sorted({token.lower() for sentence in read_sentences(folder / "train.txt") for token in sentence.tokens})
    generator = random.Random(1)
    file = folder / "vectors.txt"
    with file.open("w", encoding="utf-8") as output:
        for word in words:
            output.write(" ".join([word, *(f"{generator.gauss(0.0, 0.4):.4f}" for _ in range(100))]) + "\n")
    return file


def prepared(folder: Path, vectors: Path, rounds: int, rate: float, dropout: float, seed: int) -> Learner:
    """seqkit's tagger, untrained; its settings have one epoch for each round."""
    changes: dict[str, dict[str, Any]] = {
        "embedding": {**EMBEDDING, "vectors": str(vectors), "dropout": dropout},
        "encoder": {"hidden": 200, "dropout": dropout},
        "training": {"epochs": rounds, "batch_size": BATCH, "lr": rate, "precision": "fp32", "seed": seed},
    }
    return make_learner(override(TagSettings(), changes), resolve(str(folder)))


def train(learner: Learner, peer: Peer, rounds: int, machine: Machine, settings: dict[str, Any]) -> dict[str, Any]:
    """One epoch of both, in turns; returns sentences per second of each round."""
    theirs: list[dict[str, float]] = []

    def turn(_: Sequence[Any]) -> None:
        theirs.append(peer.ask("train", **({} if theirs else {"turns": rounds, "batch": BATCH, **settings})))
        machine.measure()

    lines = train_in_turns(learner, rounds, turn)
    own = [sum(map(len, line["batches"])) / line["seconds"] for line in lines]
    speeds = [line["sentences"] / line["seconds"] for line in theirs]
    tokens = [line["tokens_per_second"] for line in lines]
    return {"seqkit": own, "flair": speeds, "seqkit_tokens": tokens}


def scores(model: Tagger, peer: Peer, folder: Path) -> dict[str, dict[str, float]]:
    """F1 of both on dev and test, computed by the same function."""
    found: dict[str, dict[str, float]] = {"seqkit": {}, "flair": {}}
    for split in ("dev", "test"):
        sentences = list(read_sentences(folder / f"{split}.txt"))
        gold = [sentence.column("") for sentence in sentences]
        labels = {"seqkit": [record.labels for record in model.predicted(sentences)]}
        labels["flair"] = peer.ask("labels", split=split)
        for name, predicted in labels.items():
            report = tagging_report(gold, predicted, "iob2").default
            assert report is not None
            found[name][split] = 100 * report.f1
    return found


def own_turn(model: Tagger, file: Path, source: str, batch_tokens: int) -> Callable[[], float]:
    """A turn of seqkit's decoding; sentences per second."""
    memory = [Sentence.from_tokens(sentence.tokens) for sentence in read_sentences(file)]

    def turn() -> float:
        if source == "file":
            return len(memory) / decode_file(model, file, "fp32", batch_tokens)
        began = time.perf_counter()
        assert len(list(model.predict(memory, batch_tokens=batch_tokens))) == len(memory)
        return len(memory) / (time.perf_counter() - began)

    return turn


def their_turn(peer: Peer, batch: int, source: str, at_once: int) -> Callable[[], float]:
    """A turn of Flair's decoding; sentences per second."""

    def turn() -> float:
        found = peer.ask("decode", batch=batch, at_once=at_once or batch, source=source)
        return float(found["sentences"] / found["seconds"])

    return turn


def main() -> None:
    """Measure and report."""
    arguments = parser(__doc__, rounds=5)
    arguments.add_argument("--flair", type=Path, required=True, help="folder of Flair's virtual environment")
    arguments.add_argument("--vectors", type=Path, help="GloVe 6B, 100 dimensions; random ones by default")
    arguments.add_argument("--at-once", type=int, default=0, help="sentences per call of Flair's predict; 0: one batch")
    arguments.add_argument("--rate", type=float, default=2e-3, help="seqkit's learning rate (Adam)")
    arguments.add_argument(
        "--dropout", type=float, default=0.33, help="seqkit's dropout, of word vectors and of outputs"
    )
    arguments.add_argument("--flair-rate", type=float, default=2e-3, help="Flair's learning rate")
    arguments.add_argument("--flair-optimizer", default="Adam", help="of torch.optim")
    arguments.add_argument("--flair-storage", default="none", choices=["none", "cpu"], help="embeddings_storage_mode")
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument(
        "--only-training", action="store_true", help="no decoding and no test scores: for choosing settings"
    )
    options = arguments.parse_args()
    torch.set_num_threads(options.threads)
    torch.set_flush_denormal(True)
    machine = Machine()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "data"
        folder.mkdir()
        write_splits(folder)
        vectors = options.vectors or write_random_vectors(folder)
        peer = Peer(options.flair / "bin" / "python", "flair_worker.py")
        about = {"threads": options.threads, "seed": options.seed, "hidden": 200, "reproject": False}
        versions = peer.ask("start", data=str(folder), vectors=str(vectors.resolve()), **about)
        learner = prepared(folder, vectors, options.rounds, options.rate, options.dropout, options.seed)
        theirs = {"rate": options.flair_rate, "optimizer": options.flair_optimizer, "storage": options.flair_storage}
        training = train(learner, peer, options.rounds, machine, theirs)
        model = learner.model
        assert isinstance(model, Tagger)
        found = scores(model, peer, folder)
        test = list(read_sentences(folder / "test.txt"))
        tokens = sum(map(len, test))
        turns: dict[str, Callable[[], float]] = {}
        for source in ("memory", "file"):
            turns[f"{source}, seqkit"] = own_turn(model, folder / "test.txt", source, BATCH_TOKENS)
            for batch in BATCHES:
                size = round(batch * tokens / len(test))
                turns[f"{source}, seqkit {batch}"] = own_turn(model, folder / "test.txt", source, size)
                turns[f"{source}, flair {batch}"] = their_turn(peer, batch, source, options.at_once)
        decoding = {} if options.only_training else alternate(turns, options.rounds, machine)
        peer.close()
    flops = forward_flops(model.network, sum(len(token) for one in test for token in one.tokens) / tokens)
    tree = report(training, decoding, found, machine, flops, tokens / len(test))
    if not options.only_training:
        write("flair_tagging", {"machine": machine.to_json(), "peer": versions, "rounds": options.rounds, **tree})


def report(
    training: dict[str, Any],
    decoding: dict[str, list[float]],
    found: dict[str, dict[str, float]],
    machine: Machine,
    flops: float,
    length: float,
) -> dict[str, Any]:
    """Print the tables; the results for JSON.

    Args:
        training: what `train` returned.
        decoding: sentences per second of each turn.
        found: what `scores` returned.
        machine: the rates of the matrix products.
        flops: of the forward pass, per token.
        length: tokens per sentence in the test split.

    Returns:
        The results.
    """
    print(machine)
    ratio = ratios(training["seqkit"], training["flair"])
    share = TRAINED * flops * summary(training["seqkit_tokens"])["median"] / machine.rate()
    head = ["training, batch 32", "sentences/s", "× Flair", "roofline", "dev F1", "test F1"]
    rows = [
        ["seqkit", shown(training["seqkit"]), shown(ratio, ".1f"), f"{share:.0%}"],
        ["Flair", shown(training["flair"]), "1", ""],
    ]
    for row, name in zip(rows, ("seqkit", "flair"), strict=True):
        row += [f"{found[name]['dev']:.2f}", f"{found[name]['test']:.2f}" if decoding else ""]
    print(table(head, rows))
    tree: dict[str, Any] = {
        "flops_per_token": flops,
        "training": {name: summary(values) for name, values in training.items()} | {"ratio": summary(ratio)},
        "scores": found,
        "decoding": {name: summary(values) for name, values in decoding.items()},
        "ratios": {},
    }
    rows = []
    for name, speeds in decoding.items():
        source, who = name.split(", ")
        row = [source, who, shown(speeds), f"{flops * length * summary(speeds)['median'] / machine.rate():.0%}"]
        for batch in BATCHES:
            of = ratios(speeds, decoding[f"{source}, flair {batch}"])
            tree["ratios"][f"{name} / flair {batch}"] = summary(of)
            row.append(shown(of, ".1f"))
        rows.append(row)
    if rows:
        print(table(["from", "decoding", "sentences/s", "roofline", *(f"× Flair {batch}" for batch in BATCHES)], rows))
    return tree


if __name__ == "__main__":
    main()
