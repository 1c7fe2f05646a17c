"""Records that are texts: tables, JSON lines for each task, plain lines; and what their fields become."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
import torch
from harness import fuzz, put
from records import CLASSIFIED, SEEDS, TAGGED, WORDS, checked, outcome

from seqkit.formats.format import ReadOptions
from seqkit.formats.jsonl import read_jsonl, read_jsonl_texts
from seqkit.formats.registry import FORMATS, read_sentences, read_texts
from seqkit.formats.splitting import SPLITTERS, Splitter
from seqkit.formats.tables import read_table
from seqkit.formats.text import Lines
from seqkit.formats.writers import to_json
from seqkit.heads.classification.labels import ClassCodec
from seqkit.heads.generation.settings import GenerateSettings
from seqkit.heads.generation.verse import line_lengths
from seqkit.inputs import streams
from seqkit.inputs.conditions import KINDS, ConditionCodec, can_be_written, parse_fields
from seqkit.inputs.segmentation import Units
from seqkit.inputs.streams import Corpus
from seqkit.records import TextPair, labels_of_text

SETTINGS = GenerateSettings()
SPLIT = {kind: Splitter(kind).split for kind in SPLITTERS}


@pytest.mark.parametrize("format", ["tsv", "csv", "csv-semicolon"])
def test_tables(format: str) -> None:
    def read(content: bytes, draw: random.Random) -> None:
        columns = draw.choice((None, None, ("label", "text"), ("text", "label", "n")))
        options = ReadOptions(label="label" if draw.random() < 0.7 else None, columns=columns)
        for row in read_table(Lines([content], "file"), "file", format, options):
            assert row.line >= 1
            assert "text" in row.cells

    fuzz(format, read, seeds=SEEDS[format], words=WORDS[format])


def test_jsonl() -> None:
    def read(content: bytes, draw: random.Random) -> None:
        for sentence in read_jsonl(Lines([content], "file"), "file", ReadOptions(SPLIT[draw.choice(list(SPLIT))])):
            checked(sentence)
            to_json(sentence.fields).encode()

    fuzz("jsonl", read, seeds=TAGGED, words=WORDS["jsonl"])


def test_classified() -> None:
    def read(content: bytes, draw: random.Random) -> None:
        multi = draw.random() < 0.5
        rows = []
        for sentence in read_jsonl_texts(Lines([content], "file"), "file", ReadOptions(SPLIT["words"], label="label")):
            rows.append(labels_of_text(checked(sentence), "label", multi))
            to_json(sentence.fields).encode()
        codec = ClassCodec.build(rows, multi)
        codec.balanced_weights(rows)
        # All are known.
        assert [[codec.labels.labels[index] for index in ids] for ids in codec.encode(rows)] == list(map(list, rows))
        ClassCodec.from_json(codec.to_json())

    fuzz("classified", read, seeds=CLASSIFIED, words=WORDS["jsonl"])


@pytest.mark.parametrize("format", ["jsonl", "tsv", "csv", "text"])
def test_pairs(format: str) -> None:
    """Every record is a pair whose texts are those of its fields, and stays one when it is written and read again."""
    rows = [{"label": "x", "text": "a b", "n": "a\u00e9, c"}, {"label": "y", "text": "", "n": "d"}]
    joints = {"tsv": "\t", "csv": ",", "text": "\t"}
    seeds = [
        "".join(json.dumps(row) + "\n" for row in rows)
        if format == "jsonl"
        else "".join(joints[format].join(row) + "\n" for row in (rows[0], *(list(row.values()) for row in rows)))
        if format != "text"
        else "".join(f"{row['text']}\t{row['n']}\n" for row in rows)
    ]

    def read(content: bytes, draw: random.Random) -> None:
        label = "label" if draw.random() < 0.5 and format != "text" else None
        options = ReadOptions(SPLIT["words"], label=label, second="n")
        lines = Lines([content], "file")
        form = FORMATS[format]
        reader = form.sentences if format == "text" else form.texts
        assert reader is not None
        for pair in reader(lines, "file", options):
            assert isinstance(pair, TextPair) and pair.names == ("text", "n")
            checked(pair)
            first, second = pair.sides
            assert [*first, *second] == pair.tokens and pair.text == "\t".join(pair.texts)
            if "tokens" not in pair.fields and isinstance(pair.fields["text"], str):
                assert pair.texts[0] == pair.fields["text"]
            to_json(pair.given()).encode()

    fuzz(
        f"pairs-{format}",
        read,
        seeds=[seed.encode() for seed in seeds],
        words=WORDS["jsonl" if format == "jsonl" else "tsv"],
    )


def test_conditions() -> None:
    def read(content: bytes, draw: random.Random) -> None:
        texts, _ = outcome(read_jsonl_texts(Lines([content], "file"), "file", ReadOptions(SPLIT["words"])))
        texts = texts[draw.randrange(len(texts) + 1) :]  # of records that differ little can be learned
        for sentence in texts:
            for value in sentence.fields.values():
                can_be_written(value)
        names = sorted({name for sentence in texts for name in sentence.fields}) or ["label"]
        asked = [
            (name, draw.choice(("", *KINDS))) for name in draw.sample(names, min(len(names), draw.choice((1, 1, 2))))
        ]
        codec = ConditionCodec.build(texts, asked, Units.char().split, SETTINGS)
        again = ConditionCodec.from_json(codec.to_json(), Units.char().split, SETTINGS)
        encoded = [codec.encode(sentence.fields, "file", sentence.line) for sentence in texts]
        for batch, other in zip(codec.batch(encoded), again.batch(encoded), strict=True):
            pairs = zip(batch, other, strict=True) if isinstance(batch, tuple) else [(batch, other)]
            assert all(torch.equal(values, others) for values, others in pairs)

    seeds = (
        *(*CLASSIFIED, *TAGGED, b'{"text": "a", "title": "A"}\n{"text": "b", "title": "B", "image": [1]}\n'),
        b'{"text": "a", "move": [[1, 2], [3, 4]]}\n{"text": "b", "move": [[5, 6]]}\n',
    )
    fuzz(
        "conditions",
        read,
        seeds=seeds,
        words=(b'"title":', b'"image":', b"[1, 2]", b"[[1, 2]]", b'"a.npz#b"', b'"a.wav"', *WORDS["jsonl"]),
    )


def test_named_fields() -> None:
    def read(content: bytes, draw: random.Random) -> None:
        for name, kind in parse_fields(content.decode("utf-8", "surrogateescape")):
            assert name
            assert kind in ("", *KINDS)

    fuzz("named-fields", read, seeds=(b"form,title:text", b"a:b:label,c"), words=(b":label", b":", b","))


@pytest.mark.parametrize("format", ["text", "tokens"])
def test_lines(format: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file.txt"

    def read(content: bytes, draw: random.Random) -> None:
        put(file, content)
        kind = draw.choice(list(SPLIT))
        sentences = [checked(sentence) for sentence in read_sentences(file, format, splitter=SPLIT[kind])]
        texts = [sentence.text for sentence in sentences]
        ends = content.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        assert "".join(f"{text}\n" for text in texts).encode() in (ends, ends + b"\n")
        assert len(list(read_texts(file, format, label=None))) == sum(bool(text.strip(" \t")) for text in texts)
        units = draw.choice((Units.char(), Units.word(kind)))
        monkeypatch.setattr(streams, "_MEMORY_UNITS", draw.choice((1 << 20, 7)))
        corpus = Corpus.read(texts, units)
        assert sum(corpus.counts().values()) == len(corpus)

    fuzz(format, read, seeds=SEEDS["text"], words=WORDS["text"])


@pytest.mark.parametrize("kind", list(SPLITTERS))
def test_splitting(kind: str) -> None:
    """Any string, also one with lone surrogates: in order, nothing but white space left out."""

    def read(content: bytes, draw: random.Random) -> None:
        text = content.decode("utf-8", draw.choice(("replace", "surrogateescape")))
        end = 0
        for start, following in SPLIT[kind](text):
            assert end <= start < following <= len(text)
            assert not text[end:start].strip()
            end = following
        assert not text[end:].strip()

    fuzz(f"splitting-{kind}", read, seeds=SEEDS["text"], words=WORDS["text"])


def test_verse() -> None:
    def read(content: bytes, draw: random.Random) -> None:
        text = content.decode("utf-8", "surrogateescape")
        lengths = line_lengths(text)
        assert sum(lengths) == sum(character not in "，。！？\n" for character in text)

    fuzz("verse", read, seeds=SEEDS["text"], words=WORDS["text"])
