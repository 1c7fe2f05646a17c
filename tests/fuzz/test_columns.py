"""Token columns, read in blocks as fast as can be, and line by line; CoNLL-U."""

from __future__ import annotations

import random

from harness import fuzz
from records import SEEDS, WORDS, outcome

from seqkit.formats.conll import read_conll
from seqkit.formats.conllu import read_conllu
from seqkit.formats.format import ReadOptions
from seqkit.formats.text import Lines


def read_columns(content: bytes, draw: random.Random) -> None:
    columns = draw.choice((None, None, ["form", "label"], ["0", "word", "tag", "ner"]))
    unlabelled = draw.random() < 0.5
    lines = Lines([content], "file")
    options = ReadOptions(columns=columns, allow_unlabelled=unlabelled)
    found, fault = outcome(read_conll(lines, "file", options))
    again, other = outcome(read_conll(iter(lines), "file", options))
    assert found == again
    # Of two faults in a sentence that of the encoding is seen first where more than a line is decoded at once.
    assert str(fault) == str(other) or (fault and other and fault.line > other.line and "UTF-8" in str(fault))
    if fault is not None:
        raise fault


def read_universal(content: bytes, draw: random.Random) -> None:
    found, fault = outcome(read_conllu(Lines([content], "file"), "file"))
    assert all(sentence.tokens == sentence.columns["form"] for sentence in found)
    if fault is not None:
        raise fault


def test_columns() -> None:
    fuzz("columns", read_columns, seeds=SEEDS["conll"], words=WORDS["conll"])


def test_conllu() -> None:
    fuzz("conllu", read_universal, seeds=SEEDS["conllu"], words=WORDS["conllu"])
