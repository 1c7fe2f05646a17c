"""Flair's side of ``flair_tagging.py``: runs in Flair's own environment and answers one request at a time.

A request is a line of JSON on standard input with what to ``do``; the answer is a line of JSON on standard output.
What Flair itself prints goes to standard error. The trainer is Flair's own: a plugin stops it between two batches until
its next turn, so that the turns of one epoch alternate with somebody else's.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import flair
import numpy as np
import torch
from flair.data import Corpus, Dictionary, Sentence
from flair.datasets import ColumnCorpus
from flair.embeddings import CharacterEmbeddings, StackedEmbeddings, WordEmbeddings
from flair.models import SequenceTagger
from flair.trainers import ModelTrainer
from flair.trainers.plugins import TrainerPlugin

LABEL = "chunk"


def read_tokens(file: Path) -> list[list[str]]:
    """The sentences of a column file, as one reads it by hand: faster than Flair's reader of corpora."""
    sentences: list[list[str]] = [[]]
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            if line.strip():
                sentences[-1].append(line.split(maxsplit=1)[0])
            elif sentences[-1]:
                sentences.append([])
    return [sentence for sentence in sentences if sentence]


def labels_of(sentence: Sentence) -> list[str]:
    """Spans → one IOB2 label a token."""
    labels = ["O"] * len(sentence)
    for span in sentence.get_spans(LABEL):
        kind = span.get_label(LABEL).value
        for place, token in enumerate(span.tokens):
            labels[token.idx - 1] = f"{'I' if place else 'B'}-{kind}"
    return labels


class Turns(TrainerPlugin):
    """Stops the trainer after so many batches until its next turn.

    Args:
        batches: of a turn.
    """

    def __init__(self, batches: int) -> None:
        super().__init__()
        self.batches = batches
        self.took = self.sentences = self.tokens = 0.0
        self.began = 0.0

    @TrainerPlugin.hook
    def before_training_batch(self, batch_no: int, batch: list[Sentence], **_: Any) -> None:
        """Answers for the turn that is over, waits, and begins the next."""
        if batch_no % self.batches == 0:
            if batch_no:
                self.took = time.perf_counter() - self.began
                answer(self.turn())
                assert ask()["do"] == "train"
            self.sentences = self.tokens = 0
            self.began = time.perf_counter()
        self.sentences += len(batch)
        self.tokens += sum(map(len, batch))

    @TrainerPlugin.hook
    def after_training_epoch(self, **_: Any) -> None:
        """The clock stops before the scores on dev."""
        self.took = time.perf_counter() - self.began

    def turn(self) -> dict[str, float]:
        """What the last turn did."""
        return {"seconds": self.took, "sentences": self.sentences, "tokens": self.tokens}


class Worker:
    """One tagger and its data.

    Args:
        data: a folder with ``train.txt``, ``dev.txt`` and ``test.txt`` of two columns.
        vectors: a text file of word vectors, of 100 dimensions.
        threads: of torch.
        seed: of everything random.
        hidden: units of one direction.
        reproject: Flair's linear layer between the embeddings and the LSTM.
    """

    def __init__(self, data: str, vectors: str, threads: int, seed: int, hidden: int, reproject: bool) -> None:
        torch.set_num_threads(threads)
        torch.set_flush_denormal(True)  # as seqkit's side
        flair.device = torch.device("cpu")
        flair.set_seed(seed)
        self.folder = Path(data)
        files = {f"{split}_file": f"{split}.txt" for split in ("train", "dev", "test")}
        self.corpus: Corpus = ColumnCorpus(data, {0: "text", 1: LABEL}, **files)
        characters = Dictionary(add_unk=True)
        for sentence in self.corpus.train:
            for token in sentence:
                for character in token.text:
                    characters.add_item(character)
        # As `WordEmbeddings(file)` does, which wants gensim for nothing but reading the file.
        words: dict[str, int] = {}
        rows = []
        with open(vectors, encoding="utf-8") as lines:
            for line in lines:
                word, *numbers = line.rstrip("\n").split(" ")
                words[word] = len(rows)
                rows.append(np.array(numbers, dtype=np.float32))
        given = WordEmbeddings(None, vocab=words, embedding_length=len(rows[0]), name="given")
        with torch.no_grad():
            given.embedding.weight[:-1] = torch.from_numpy(np.stack(rows))
        self.model = SequenceTagger(
            StackedEmbeddings([given, CharacterEmbeddings(characters)]),
            self.corpus.make_label_dictionary(LABEL),
            LABEL,
            hidden_size=hidden,
            reproject_embeddings=reproject,
        )
        self.model.eval()

    def train(self, turns: int, batch: int, rate: float, optimizer: str, storage: str) -> dict[str, float]:
        """One epoch, in turns; returns what the last of them took."""
        batches = -(-len(self.corpus.train) // batch)
        plugin = Turns(-(-batches // turns))
        with tempfile.TemporaryDirectory() as folder:
            ModelTrainer(self.model, self.corpus).train(
                folder,
                learning_rate=rate,
                mini_batch_size=batch,
                max_epochs=1,
                optimizer=getattr(torch.optim, optimizer),
                embeddings_storage_mode=storage,
                use_final_model_for_eval=True,
                save_final_model=False,
                create_file_logs=False,
                create_loss_file=False,
                plugins=[plugin],
            )
        self.model.eval()
        return plugin.turn()

    def decode(self, batch: int, at_once: int, source: str, split: str = "test") -> dict[str, float]:
        """One pass over a split: from sentences in memory, or from the file to written labels.

        Args:
            batch: Flair's ``mini_batch_size``.
            at_once: how many sentences one call of ``predict`` is given, in the order of their lengths; 0: all.
            source: ``memory`` or ``file``.
            split: which split.

        Returns:
            Seconds, sentences and tokens.
        """
        file = self.folder / f"{split}.txt"
        sentences = [Sentence(tokens) for tokens in read_tokens(file)] if source == "memory" else []
        began = time.perf_counter()
        if source == "file":
            sentences = [Sentence(tokens) for tokens in read_tokens(file)]
        ordered = sorted(sentences, key=len, reverse=True) if at_once else sentences
        size = at_once or len(ordered)
        for start in range(0, len(ordered), size):
            self.model.predict(ordered[start : start + size], mini_batch_size=batch)
        if source == "file":
            with tempfile.TemporaryFile("w", encoding="utf-8") as output:
                for sentence in sentences:
                    rows = zip(sentence, labels_of(sentence), strict=True)
                    output.write("".join(f"{token.text}\t{label}\n" for token, label in rows) + "\n")
        seconds = time.perf_counter() - began
        self.labels = [labels_of(sentence) for sentence in sentences]
        return {"seconds": seconds, "sentences": len(sentences), "tokens": sum(map(len, sentences))}

    def parameters(self) -> dict[str, int]:
        """How many parameters are trained."""
        return {"trained": sum(weight.numel() for weight in self.model.parameters() if weight.requires_grad)}


def ask() -> dict[str, Any]:
    """The next request; the end of requests ends the process."""
    line = sys.stdin.readline()
    if not line:
        sys.exit()
    request: dict[str, Any] = json.loads(line)
    return request


def answer(found: Any) -> None:
    """Answer a request."""
    print(json.dumps(found), file=CHANNEL, flush=True)


def main() -> None:
    """Answer requests until there are no more."""
    worker: Worker | None = None
    while True:
        request = ask()
        do = request.pop("do")
        if do == "start":
            worker = Worker(**request)
            versions = {"flair": flair.__version__, "torch": torch.__version__}
            answer(versions | worker.parameters())
        elif do == "labels":
            assert worker is not None
            worker.decode(128, 0, "memory", **request)
            answer(worker.labels)
        else:
            answer(getattr(worker, do)(**request))


CHANNEL = os.fdopen(os.dup(1), "w")  # of the answers; whatever else is printed goes where messages go
os.dup2(2, 1)

if __name__ == "__main__":
    main()
