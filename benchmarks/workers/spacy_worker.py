"""spaCy's side of ``spacy_tagging.py``: runs in spaCy's own environment and answers one request at a time.

A request is a line of JSON on standard input with what to ``do``; the answer is a line of JSON on standard output.
"""

from __future__ import annotations

import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import spacy
import thinc
from spacy.tokens import Doc
from spacy.training import Example, biluo_tags_to_spans, iob_to_biluo

BATCH = 128


def read(file: Path) -> Iterator[list[list[str]]]:
    """The columns of each sentence."""
    rows: list[list[str]] = []
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            if line.strip():
                rows.append(line.split())
            elif rows:
                yield [list(column) for column in zip(*rows, strict=True)]
                rows = []
    if rows:
        yield [list(column) for column in zip(*rows, strict=True)]


class Worker:
    """A tagger and an ner of spaCy's, each a blank pipeline of one component as it is by default.

    Args:
        data: a folder with ``train.txt`` and ``test.txt`` of three columns: word, part of speech, phrase.
    """

    def __init__(self, data: str) -> None:
        self.folder = Path(data)
        self.pipelines: dict[str, Any] = {}
        self.labels: list[list[str]] = []

    def train(self, component: str, epochs: int, seed: int) -> dict[str, float]:
        """Train a component with spaCy's default optimiser and dropout of 0.1.

        Args:
            component: ``tagger`` or ``ner``, whose entities are the phrases.
            epochs: passes over the training data.
            seed: of the initial weights and the order.

        Returns:
            Seconds.
        """
        spacy.util.fix_random_seed(seed)
        pipeline = spacy.blank("en")
        pipeline.add_pipe(component)
        examples = []
        for words, tags, phrases in read(self.folder / "train.txt"):
            doc, gold = Doc(pipeline.vocab, words=words), Doc(pipeline.vocab, words=words, tags=tags)
            gold.ents = biluo_tags_to_spans(gold, iob_to_biluo(phrases))
            examples.append(Example(doc, gold))
        began = time.perf_counter()
        optimizer = pipeline.initialize(lambda: examples)
        generator = random.Random(seed)
        for _ in range(epochs):
            generator.shuffle(examples)
            for batch in spacy.util.minibatch(examples, 64):
                pipeline.update(batch, sgd=optimizer, drop=0.1)
        self.pipelines[component] = pipeline
        return {"seconds": time.perf_counter() - began}

    def decode(self, component: str, source: str, batch: int = BATCH) -> dict[str, float]:
        """One pass over the test split: from `Doc` objects in memory, or from the file to written labels.

        Args:
            component: ``tagger`` or ``ner``.
            source: ``memory`` or ``file``.
            batch: ``batch_size`` of `Language.pipe`.

        Returns:
            Seconds, sentences and tokens.
        """
        pipeline = self.pipelines[component]
        file = self.folder / "test.txt"
        docs = [Doc(pipeline.vocab, words=columns[0]) for columns in read(file)] if source == "memory" else []
        began = time.perf_counter()
        if source == "file":
            made = (Doc(pipeline.vocab, words=columns[0]) for columns in read(file))
            with tempfile.TemporaryFile("w", encoding="utf-8") as output:
                for doc in pipeline.pipe(made, batch_size=batch):
                    docs.append(doc)
                    rows = zip(doc, labels_of(doc, component), strict=True)
                    output.write("".join(f"{token.text}\t{label}\n" for token, label in rows) + "\n")
        else:
            docs = list(pipeline.pipe(docs, batch_size=batch))
        seconds = time.perf_counter() - began
        self.labels = [labels_of(doc, component) for doc in docs]
        return {"seconds": seconds, "sentences": len(docs), "tokens": sum(map(len, docs))}

    def last_labels(self) -> list[list[str]]:
        """The labels that the last pass gave."""
        return self.labels


def labels_of(doc: Doc, component: str) -> list[str]:
    """One label per token; phrases in IOB2."""
    if component == "tagger":
        return [token.tag_ for token in doc]
    return [f"{token.ent_iob_}-{token.ent_type_}" if token.ent_type_ else "O" for token in doc]


def main() -> None:
    """Answer requests until there are no more."""
    channel = os.fdopen(os.dup(1), "w")  # of the answers; whatever else is printed goes where messages go
    os.dup2(2, 1)
    worker: Worker | None = None
    for line in sys.stdin:
        request = json.loads(line)
        do = request.pop("do")
        found: Any
        if do == "start":
            worker = Worker(**request)
            found = {"spacy": spacy.__version__, "thinc": thinc.__version__}
        else:
            found = getattr(worker, do)(**request)
        print(json.dumps(found), file=channel, flush=True)


if __name__ == "__main__":
    main()
