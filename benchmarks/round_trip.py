"""Random tokens through every writer and back through the reader of its format: each has to be read as it was written.

    python benchmarks/round_trip.py --tokens 1000000

Tokens are any Unicode strings, and those that some format gives a meaning: ``-DOCSTART-``, ``#``, ``# text = x``, names
of columns, labels, numbers, byte-order marks, line separators, quotes. Of each kind of output files are written as
``predict`` and ``data convert`` write them, in which a record that a format refuses is left out and counted. They are
read as every command reads a file: by the extension of its name and with its format named, whole and in blocks. Prints
a table and writes ``benchmarks/results/round_trip.json``. (``inline`` is no format that is read.)
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, zip_longest
from pathlib import Path
from typing import Any, NamedTuple

from seqkit.corpora.convert import convert_file
from seqkit.errors import DataError
from seqkit.formats.blocks import cut
from seqkit.formats.format import Description, ReadOptions
from seqkit.formats.registry import describe, described_sentences, described_texts, part_sentences, part_texts
from seqkit.formats.writers import WRITERS
from seqkit.records import ClassifiedText, Sentence, TaggedSentence

MEANT = (
    *("#", "##", "#tag", "# a", "# a = b", "# text = ", "# text = x", "#begin document (x); part 000", "#end document"),
    *(
        "# global.columns = ID FORM",
        "#FORMAT=WebAnno TSV 3.3",
        "-DOCSTART-",
        "-DOCSTART-x",
        "-DOCSTART- ",
        "-X-",
        "://",
    ),
    *(
        "0",
        "1",
        "2",
        "3",
        "1-2",
        "1.1",
        "0.5000",
        "_",
        "=",
        "|",
        "word",
        "Token",
        "form",
        "pos",
        "tag",
        "text",
        "label",
    ),
    *(
        "sentence",
        "Sentence #",
        "O",
        "o",
        "B",
        "I",
        "B-X",
        "I-X",
        "S_X",
        "X-B",
        "b-x",
        "<s>",
        "</s>",
        "<unk>",
        "__label__x",
    ),
    *(
        '"',
        "'",
        '""',
        "\\",
        "\\n",
        "{",
        "}",
        "[",
        "]",
        '{"text":',
        ",",
        ";",
        "sep=;",
        "a b",
        " ",
        "  ",
        " a",
        "a ",
        "://x",
    ),
    *(
        "\u00a0",
        "\u2028",
        "\u2029",
        "\u0085",
        "\v",
        "\f",
        "\x1c",
        "\x1b[31m",
        "\0",
        "\0\0",
        "a\0b\0",
        "\0a\0b",
        "\u200b",
    ),
    *(
        "\ufeff",
        "\ufeffa",
        "e\u0301",
        "\u202e",
        "\U0001f469\u200d\U0001f680",
        "PAR1",
        "BZh91AY&SY",
        "%PDF-1.4",
        "PK\3\4",
    ),
)
"""tokens that some format gives a meaning"""
UNHELD = ("a\tb", "\t", "a\nb", "a\r\nb", "\r")
"""tokens that not every format can hold"""
POOLS = (
    MEANT,
    MEANT,
    (*MEANT, *UNHELD),
    ("1", "2", "3"),
    ("O", "B-X"),
    ("#", "a"),
    ("I",),
    ("a", "b"),
    ("-DOCSTART-", "a"),
    ("word", "tag"),
)
LABELS = (("O", "B-X", "I-X"), ("N", "V", "pos", "word"), ("O",), ("A", "x y"), ("1", "2"))


class Written(NamedTuple):
    """A file, and what should be read from it: the tokens of a sentence, or a text, and labels."""

    expected: list[tuple[list[str] | str, Any]]
    refused: int


@dataclass
class Row:
    """What happened to the tokens of one kind of output."""

    name: str
    tokens: int = 0
    written: int = 0
    read: int = 0
    refused: int = 0
    lost: int = 0
    seconds: float = 0.0


def any_token(draw: random.Random, pool: Sequence[str]) -> str:
    """One of the pool, or any string without tabs and line breaks."""
    if draw.random() < 0.6:
        return draw.choice(pool)
    top = draw.choice((0x7F, 0x250, 0x3100, 0xD7FF, 0x10FFFF))
    points = (draw.randrange(1, top) for _ in range(draw.randrange(1, 6)))
    return "".join(chr(point) for point in points if not 0xD800 <= point < 0xE000 and point not in (9, 10, 13)) or "a"


def sentences(draw: random.Random, most: int) -> Iterator[tuple[list[str], list[str]]]:
    """Tokens and labels of the sentences of one file."""
    pool, labels = draw.choice(POOLS), draw.choice(LABELS)
    for _ in range(draw.choice((1, 1, 2, most))):
        size = draw.choice((0, 1, 1, 2, 3, 5, 8, 30))
        tokens = [any_token(draw, pool) for _ in range(size)]
        if draw.random() < 0.1:
            tokens = [str(number) for number in range(1, size + 1)]
        elif draw.random() < 0.1:
            tokens = [draw.choice(pool)] * size
        yield tokens, [draw.choice(labels) for _ in tokens]


def predicted(output_format: str, kind: str) -> Callable[[random.Random, Path], Written]:
    """What writes a file of predicted labels of tokens; `kind` is ``probs``, ``nbest``, ``document`` or empty."""

    def write(draw: random.Random, path: Path) -> Written:
        expected: list[tuple[list[str] | str, Any]] = []
        refused, content = 0, []
        for number, (tokens, labels) in enumerate(sentences(draw, 60), start=1):
            record = TaggedSentence(Sentence.from_tokens(tokens, file="in", line=number), labels)
            borders = [0, len(tokens)]
            if kind == "probs":
                record.probs = [draw.random() for _ in tokens]
            elif kind == "nbest":
                record.alternatives = [(labels, 0.75), (labels, 0.25)]
            elif kind == "document":
                borders = sorted({0, draw.randrange(len(tokens) + 1), len(tokens)})
                record.sentences = list(pairwise(borders))
            try:
                content.append(WRITERS[output_format](record))
            except DataError:
                refused += len(tokens)
                continue
            if output_format == "jsonl":
                expected.append((tokens, labels))
                continue
            for begin, end in pairwise(borders):
                expected += [(tokens[begin:end], labels[begin:end])] * (2 if kind == "nbest" else 1) * (begin < end)
        path.write_text("".join(content), encoding="utf-8", newline="")
        return Written(expected, refused)

    return write


def classified(output_format: str, multi: bool) -> Callable[[random.Random, Path], Written]:
    """What writes a file of texts with predicted labels."""

    def write(draw: random.Random, path: Path) -> Written:
        expected: list[tuple[list[str] | str, Any]] = []
        refused, content = 0, []
        for tokens, _ in sentences(draw, 60):
            text = " ".join(tokens)
            labels = draw.sample(["pos", "neg", "topic", "a b"], draw.randrange(3) if multi else 1)
            record = ClassifiedText(Sentence([], text, []), labels, dict.fromkeys(labels, 0.5), multi)
            try:
                content.append(WRITERS[output_format](record))
                expected.append(
                    (text, (labels if output_format == "jsonl" else "|".join(labels)) if multi else labels[0])
                )
            except DataError:
                refused += len(tokens)
        path.write_text("".join(content), encoding="utf-8", newline="")
        return Written(expected, refused)

    return write


def converted(destination_format: str, texts: bool) -> Callable[[random.Random, Path], Written]:
    """What writes a file by ``data convert`` from one of JSON objects, without the records that it refuses."""

    def write(draw: random.Random, path: Path) -> Written:
        records: list[dict[str, Any]] = []
        for tokens, labels in sentences(draw, 60):
            if texts:
                records.append({"text": " ".join(tokens), "label": draw.choice(("pos", "neg"))})
            elif tokens or destination_format == "jsonl":
                records.append({"tokens": tokens, "upos": labels})
        source, refused = path.with_name("source.jsonl"), 0
        while records:
            source.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
            try:
                convert_file(source, path, destination_format=destination_format)
                break
            except DataError as error:
                gone = records.pop((error.line or 1) - 1)
                refused += len(gone["text"].split(" ") if texts else gone["tokens"])
        else:
            path.write_text("")
        if texts:
            return Written([(one["text"], one["label"]) for one in records], refused)
        return Written([(one["tokens"], one["upos"]) for one in records], refused)

    return write


def _read_back(
    path: Path, output_format: str, texts: bool, columns: tuple[str, ...], size: int
) -> Iterator[list[tuple[list[str] | str, Any]]]:
    """What is read: with the format named and without, whole and in blocks."""
    for format in (output_format, ""):
        description, _ = describe(path, Description(format, columns), texts=texts)
        blocks = (part for block in cut([(str(path), description)], size) for part in block)
        if texts:
            options = ReadOptions(label="label", left_out=Counter())
            yield [(one.text, one.fields["label"]) for one in described_texts(path, description, options)]
            yield [(one.text, one.fields["label"]) for part in blocks for one in part_texts(part, None)]
            continue
        options = ReadOptions(allow_unlabelled=True, left_out=Counter())
        for several in (
            described_sentences(path, description, options),
            (one for part in blocks for one in part_sentences(part, None)),
        ):
            yield [
                (one.tokens, next((one.columns[name] for name in ("upos", "label", "1") if name in one.columns), []))
                for one in several
            ]


KINDS: dict[str, tuple[Callable[[random.Random, Path], Written], str, str, bool, tuple[str, ...]]] = {
    "predict conll": (predicted("conll", ""), "conll", "conll", False, ()),
    "predict conll --probs": (predicted("conll", "probs"), "conll", "conll", False, ()),
    "predict conll --nbest 2": (predicted("conll", "nbest"), "conll", "conll", False, ()),
    "predict conll, documents": (predicted("conll", "document"), "conll", "conll", False, ()),
    "predict jsonl": (predicted("jsonl", "probs"), "jsonl", "jsonl", False, ()),
    "predict jsonl --nbest 2": (predicted("jsonl", "nbest"), "jsonl", "jsonl", False, ()),
    "predict jsonl, documents": (predicted("jsonl", "document"), "jsonl", "jsonl", False, ()),
    "classify tsv": (classified("tsv", False), "tsv", "tsv", True, ("label", "probability", "text")),
    "classify tsv, several": (classified("tsv", True), "tsv", "tsv", True, ("label", "probability", "text")),
    "classify jsonl": (classified("jsonl", True), "jsonl", "jsonl", True, ()),
    "convert conll": (converted("conll", False), "conll", "conll", False, ()),
    "convert conllu": (converted("conllu", False), "conllu", "conllu", False, ()),
    "convert jsonl": (converted("jsonl", False), "jsonl", "jsonl", False, ()),
    "convert jsonl, texts": (converted("jsonl", True), "jsonl", "jsonl", True, ()),
    "convert tsv": (converted("tsv", True), "tsv", "tsv", True, ()),
    "convert csv": (converted("csv", True), "csv", "csv", True, ()),
    "convert csv-semicolon": (converted("csv-semicolon", True), "csv", "csv-semicolon", True, ()),
    "convert fasttext": (converted("fasttext", True), "ft", "fasttext", True, ()),
}
"""kind of output → what writes a file, its extension and format, whether of texts, its columns if they need names"""


def round_trip(name: str, count: int, seed: int, folder: Path) -> Row:
    """Write and read files of one kind until so many tokens were drawn.

    Args:
        name: one of `KINDS`.
        count: the number of tokens.
        seed: of the draws.
        folder: where the files are.

    Returns:
        What happened to the tokens; every one that is not read back is lost.
    """
    write, suffix, output_format, texts, columns = KINDS[name]
    draw, row = random.Random(f"{name} {seed}"), Row(name)
    path = folder / f"out.{suffix}"
    began = time.perf_counter()
    while row.tokens < count:
        expected, refused = write(draw, path)
        sizes = [len(one.split(" ")) if isinstance(one, str) else len(one) for one, _ in expected]
        row.tokens += sum(sizes) + refused
        row.written += sum(sizes)
        row.refused += refused
        if not expected:
            row.tokens += 1
            continue
        lost = 0
        for found in _read_back(path, output_format, texts, columns, draw.choice((300, 1 << 19))):
            if found != expected:
                pairs = zip_longest(expected, found)
                lost = max(lost, 1, sum(size for size, (a, b) in zip(sizes, pairs, strict=False) if a != b))
        row.read += sum(sizes) - lost
        row.lost += lost
    row.seconds = time.perf_counter() - began
    return row


def main() -> None:
    """Run all kinds, print the table and write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=[*KINDS])
    given = parser.parse_args()
    found = []
    print(
        "| output | tokens | written | read back | refused | lost | seconds |\n|---|--:|--:|--:|--:|--:|--:|",
        flush=True,
    )
    with tempfile.TemporaryDirectory() as folder:
        for name in [given.only] if given.only else KINDS:
            row = round_trip(name, given.tokens, given.seed, Path(folder))
            found.append(vars(row))
            figures = (row.tokens, row.written, row.read, row.refused, row.lost)
            print(f"| {name} | {' | '.join(f'{figure:,}' for figure in figures)} | {row.seconds:.0f} |", flush=True)
    results = Path(__file__).parent / "results" / "round_trip.json"
    if not given.only:
        results.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
