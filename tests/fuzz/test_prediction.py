"""Inputs of prediction, as the commands read them, and what they write: all comes out, and is read back."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from harness import fuzz, put
from records import SEEDS, WORDS, checked, mend, outcome, shown

from seqkit.cli.predict import described
from seqkit.formats.blocks import cut
from seqkit.formats.format import Description
from seqkit.formats.registry import FORMATS, part_texts, read_sentences
from seqkit.formats.schemes import from_spans, spans
from seqkit.formats.splitting import SPLITTERS, Splitter
from seqkit.formats.writers import clean, write_records
from seqkit.model.requests import _parts, block_records, block_request
from seqkit.records import ClassifiedText, Sentence, TaggedSentence, TaggedSpan
from seqkit.serving.process import read_message, write_message
from seqkit.tasks import TASKS

ALL_SEEDS = [seed for format in SEEDS for seed in SEEDS[format]]
ALL_WORDS = [word for format in WORDS for word in WORDS[format]]


def reader(task: str, splitter: str) -> Any:
    """What of a model decides how records are read."""
    data = SimpleNamespace(text="text")
    return SimpleNamespace(
        task=TASKS[task],
        input=SimpleNamespace(split=Splitter(splitter).split),
        settings=SimpleNamespace(data=data),
    )


def read_input(model: Any, file: Path, given: str | None) -> Iterator[Sentence]:
    """The records of a file, as the command that predicts reads them."""
    for block in cut([(str(file), described(str(file), Description(given or ""), model.task, True))]):
        yield from block_records(model, block)


TAGGERS = [reader("tag", kind) for kind in SPLITTERS]
CLASSIFIER = reader("classify", next(iter(SPLITTERS)))


def tagged(sentence: Sentence, draw: random.Random) -> TaggedSentence:
    """A prediction: spans, a probability for each token, and the second best."""
    marks = sorted({draw.randrange(len(sentence) + 1) for _ in range(2)})
    found = [(*marks, "PER")] if len(marks) == 2 else []
    labels = from_spans(found, len(sentence), "iob2")
    places = [
        (sentence.offsets[span.start][0], sentence.offsets[span.end - 1][1], span) for span in spans(labels, "iob2")
    ]
    return TaggedSentence(
        sentence,
        labels,
        probs=[0.5] * len(sentence),
        spans=[
            TaggedSpan(start, end, span.label, sentence.text[start:end], span.start, span.end, 0.5)
            for start, end, span in places
        ],
        marks_spans=True,
    )


def written(records: list[TaggedSentence], output_format: str) -> list[str]:
    stream = io.StringIO()
    assert write_records(records, stream, output_format) == len(records)
    stream.getvalue().encode()
    return stream.getvalue().split("\n")[:-1]


def test_tagging(tmp_path: Path) -> None:
    file = tmp_path / "input.txt"

    def read(content: bytes, draw: random.Random) -> None:
        put(file, content)
        model, given = draw.choice(TAGGERS), draw.choice((None, *FORMATS))
        found, fault = outcome(read_input(model, file, given))
        if fault is not None:
            raise fault
        known = described(str(file), Description(given or ""), TASKS["tag"], True).format
        whole = read_sentences(file, known, splitter=model.input.split, allow_unlabelled=True)
        assert list(map(shown, found)) == list(map(shown, whole))
        records = [tagged(sentence, draw) for sentence in found]

        objects = [json.loads(line) for line in written(records, "jsonl")]
        assert len(objects) == len(records)
        for one, record in zip(objects, records, strict=True):
            sentence = record.sentence
            assert one["text"] == mend(sentence.text, "jsonl")
            assert [token["label"] for token in one["tokens"]] == record.labels
            assert [(token["start"], token["end"]) for token in one["tokens"]] == list(sentence.offsets)

        rows = iter(written(records, "conll"))
        for record in records:
            row = next(rows)
            if row.startswith("# text = ") and "\t" not in row:  # of rows that could be read as something else
                row = next(rows)
            for token, label in zip(record.sentence.tokens, record.labels, strict=True):
                assert row.split("\t") == [clean(token), label, "0.5000"]
                row = next(rows)
            assert row == ""
        assert next(rows, None) is None

        lines = written(records, "inline")
        assert len(lines) == len(records)
        for line, record in zip(lines, records, strict=True):
            text = clean(record.sentence.text)
            assert line == text if not record.spans else len(line) == len(text) + len("[]PER")

    fuzz("tagging", read, seeds=ALL_SEEDS, words=ALL_WORDS)


def test_classifying(tmp_path: Path) -> None:
    file = tmp_path / "input.txt"

    def read(content: bytes, draw: random.Random) -> None:
        put(file, content)
        found = [checked(one) for one in read_input(CLASSIFIER, file, draw.choice((None, *FORMATS)))]
        top = draw.choice((None, 2))
        records = [ClassifiedText(sentence, ["a"], {"a": 0.75, "b": 0.25}, top=top) for sentence in found]
        for output_format in ("jsonl", "tsv"):
            stream = io.StringIO()
            assert write_records(records, stream, output_format) == len(found)
            stream.getvalue().encode()
            assert stream.getvalue().count("\n") == len(found)

    fuzz("classifying", read, seeds=ALL_SEEDS, words=ALL_WORDS)


def test_sent_blocks(tmp_path: Path) -> None:
    """What a process is sent is what another one would have read; lines are those of the input, for scoring them."""
    file = tmp_path / "input"

    def read(content: bytes, draw: random.Random) -> None:
        put(file, content)
        format = draw.choice(("text", "csv", "tsv", "jsonl"))
        stream = io.BytesIO()
        blocks = list(cut([(str(file), Description(format))] * 2, draw.choice((1, 50, 1 << 19))))
        for block in blocks:
            write_message(stream, block_request(block, "jsonl"))
        stream.seek(0)
        sent = [_parts(read_message(stream)["block"]) for _ in blocks]
        assert not stream.read()
        split = Splitter("spaces").split
        here = outcome(one for block in blocks for part in block for one in part_texts(part, split))
        there = outcome(one for block in sent for part in block for one in part_texts(part, split))
        assert (list(map(shown, here[0])), str(here[1])) == (list(map(shown, there[0])), str(there[1]))
        assert b"".join(part.data for block in sent for part in block) == content * 2
        texts = [line for block in sent for part in block for _, line in part.lines()]
        ends = content.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        ends += b"\n" * (not ends.endswith(b"\n") and ends != b"")
        assert "".join(f"{text}\n" for text in texts).encode() == ends * 2

    fuzz("sent-blocks", read, seeds=ALL_SEEDS, words=ALL_WORDS)
