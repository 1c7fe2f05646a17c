"""Token columns, read in blocks as fast as can be, and line by line."""

from __future__ import annotations

import random
from collections.abc import Iterable

from harness import fuzz

from seqkit.data.columns import read_conll
from seqkit.data.sentence import Sentence
from seqkit.data.text import Lines
from seqkit.errors import SeqkitError

SEEDS = (
    b"Ada B-PER\nmet O\n\nhim O\n. O\n",
    b"-DOCSTART- -X- O O\n\nEU NNP B-NP B-ORG\nrejects VBZ B-VP O\n\n# NN O O\n",
    b"# a comment\nAda\tB-PER\n\n# id = 1\nmet\tO\n",
    b"\xef\xbb\xbfAda\r\nmet\r\n\r\nhim\r\n",
    "Zoë  B-PER\r日本 O\r\ré\u0301 O\r".encode(),
)
WORDS = (b"-DOCSTART-", b"B-PER", b"I-LOC", b"O", b"# a = b", b"#")


def checked(sentence: Sentence) -> tuple[int, list[str], dict[str, list[str]]]:
    assert len(sentence.tokens) == len(sentence.offsets) > 0
    placed = zip(sentence.offsets, sentence.tokens, strict=True)
    assert all(sentence.text[start:end] == token != "" for (start, end), token in placed)
    assert all(len(column) == len(sentence.tokens) and "" not in column for column in sentence.columns.values())
    return sentence.line, sentence.tokens, sentence.columns


def read_columns(content: bytes, draw: random.Random) -> None:
    columns = draw.choice((None, None, ["form", "label"], ["0", "word", "tag", "ner"]))
    unlabelled = draw.random() < 0.5

    def read(lines: Iterable[tuple[int, str]]) -> tuple[list[object], SeqkitError | None]:
        found: list[object] = []
        try:
            for sentence in read_conll(lines, "file", columns=columns, allow_unlabelled=unlabelled):
                found.append(checked(sentence))
        except SeqkitError as error:
            return found, error
        return found, None

    found, fault = read(Lines([content], "file"))
    again, other = read(iter(Lines([content], "file")))
    assert (found, str(fault)) == (again, str(other))
    if fault is not None:
        raise fault


def test_columns() -> None:
    fuzz("columns", read_columns, seeds=SEEDS, words=WORDS)
