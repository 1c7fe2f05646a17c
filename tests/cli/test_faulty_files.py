"""Faulty files as people have them: each fault is told with file and line, and with what to do about it."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]  # the fixture `run` of the command line
ROWS = "Ann B-PER\nran O\n\nBo B-PER\nsat O\nin O\nOslo B-LOC\n\n"
REVIEWS = "label,text\n" + "pos,a good film\nneg,a bad film\n" * 6
UD = "\t".join(("1", "Ann", "Ann", "PROPN", "NNP", "_", "0", "root", "_", "_")) + "\n"


def line_of(**fields: Any) -> str:
    return json.dumps(fields) + "\n"


FAULTY: dict[str, tuple[str, dict[str, str | bytes], list[str]]] = {
    # name: task, files, what `data check` says of them
    "a row without a label": (
        "tag",
        {"train.conll": ROWS + "Eve\nran O\n\n"},
        ["train.conll:9: expected 2 columns, found 1"],
    ),
    "a token with a space in it": (
        "tag",
        {"train.conll": ROWS + "New York B-LOC\n\n"},
        ["train.conll:9: expected 2 columns, found 3"],
    ),
    "another encoding": (
        "tag",
        {"train.conll": ROWS.encode() + "Éva B-PER\n\n".encode("latin-1")},
        ["train.conll:9: expected UTF-8 text, found byte 0xc9 at position 0 (try --encoding latin-1)"],
    ),
    "a label in another case": (
        "tag",
        {"train.conll": ROWS * 2 + "Eve B-Per\n\n"},
        ["train.conll:17: label 'B-Per' (1) differs from 'B-PER' (4) only in case; spell both the same"],
    ),
    "a label with an invisible character": (
        "tag",
        {"train.conll": ROWS * 2 + "Eve B-PER\u200b\n\n"},
        [
            "train.conll:17: label 'B-PER\\u200b' (1) differs from 'B-PER' (4) only in blanks or invisible characters; "
            "spell both the same"
        ],
    ),
    "a label in another normal form": (
        "classify",
        {"train.csv": REVIEWS + "cafe\u0301,x y\ncafé,z\n"},
        [
            "train.csv:15: label 'café' (1) differs from 'cafe\u0301' (1) only in Unicode normal form; spell both the "
            "same"
        ],
    ),
    "a span that nothing begins": (
        "tag",
        {"train.conll": ROWS + "Eve O\nLee I-PER\n\n"},
        ["train.conll:10: I-PER may not follow O in iob2; data convert --scheme repairs it"],
    ),
    "a label that train does not have": (
        "tag",
        {"train.conll": ROWS, "dev.conll": "Eve B-ORG\n\n"},
        ["dev.conll:1: label 'B-ORG' does not occur in train (1 in dev); correct it or add it to train"],
    ),
    "a sentence in train and in test": (
        "tag",
        {"train.conll": ROWS, "test.conll": "Ann B-PER\nran O\n\n"},
        ["test.conll:1: the sentence is also in train, at train.conll:1; remove one"],
    ),
    "one label everywhere": (
        "tag",
        {"train.conll": "Ann O\nran O\n\nBo O\nsat O\n\n"},
        [
            "train.conll: every token has the label 'O' (4 in all), so there is nothing to learn; --target or --label "
            "names another column"
        ],
    ),
    "a quote that is not closed": (
        "classify",
        {"train.csv": REVIEWS + 'pos,"a good film\n'},
        ["train.csv:14: invalid CSV: a quote is not closed"],
    ),
    "a cell too many": (
        "classify",
        {"train.csv": REVIEWS + "pos,good, really\n"},
        ["train.csv:14: expected 2 comma-separated columns (label, text), found 3"],
    ),
    "an object that is cut off": (
        "classify",
        {"train.jsonl": line_of(label="pos", text="good") * 3 + line_of(label="neg", text="bad") + '{"label": "pos"'},
        ["train.jsonl:5: invalid JSON at character 16"],
    ),
    "an object without its label": (
        "classify",
        {"train.jsonl": line_of(label="pos", text="good") + line_of(label="neg", text="bad") + line_of(text="well")},
        ["train.jsonl:3: no field 'label'; fields: 'text'"],
    ),
    "fewer labels than tokens": (
        "tag",
        {"train.jsonl": line_of(tokens=["a", "b"], labels=["X", "Y"]) + line_of(tokens=["a", "b"], labels=["X"])},
        ['train.jsonl:2: expected 2 strings in "labels", one per token, found 1'],
    ),
    "a span inside a token": (
        "tag",
        {
            "train.jsonl": line_of(text="Ann ran", spans=[{"start": 0, "end": 3, "label": "PER"}])
            + line_of(text="Anna sat", spans=[{"start": 0, "end": 3, "label": "PER"}])
        },
        [
            "train.jsonl:2: span 0:3 ('Ann', PER) starts or ends inside the token 'Anna'; --span-borders widen makes "
            "such spans end with the token, --span-borders narrow before it"
        ],
    ),
    "an id out of order": (
        "tag",
        {"train.conllu": UD + UD.replace("1\tAnn", "3\tBo") + "\n"},
        ["train.conllu:2: expected token id 2, found '3'"],
    ),
    "an empty dev file": (
        "tag",
        {"train.conll": ROWS, "dev.conll": "\n"},
        ["dev.conll: no sentences found"],
    ),
    "texts sorted by label": (
        "classify",
        {"train.csv": "label,text\n" + "".join(f"{'pos' if n < 15 else 'neg'},film {n}\n" for n in range(30))},
        [
            "train.csv: the texts are sorted by label: the last tenth, which is held out as dev, has only 'neg' of 2 "
            "labels; shuffle the lines, or give a dev file"
        ],
    ),
    "damaged compressed data": (
        "tag",
        {"train.conll.gz": gzip.compress(ROWS.encode() * 99)[:-9]},
        [
            "seqkit tag cannot learn from this: train.conll.gz: the compressed data are damaged: Compressed file ended "
            "before the end-of-stream marker was reached"
        ],
    ),
    "texts where tokens are wanted": (
        "tag",
        {"train.tsv": "pos\ta good film\nneg\ta bad film\n"},
        ["seqkit tag cannot learn from this: train.tsv: expected tokens with labels, found labelled texts"],
    ),
    "a folder without train": (
        "lm",
        {"dev.txt": "Ann ran.\n", "mine.txt": "Bo sat.\n"},
        ["seqkit lm cannot learn from this: .: expected a train file, found dev (dev.txt); not taken: mine.txt"],
    ),
}


@pytest.mark.parametrize("name", FAULTY)
def test_the_fault_and_the_way_out_are_told(name: str, tmp_path: Path, run: Run) -> None:
    task, files, expected = FAULTY[name]
    for file, content in files.items():
        (tmp_path / file).write_bytes(content if isinstance(content, bytes) else content.encode())
    result = run("data", "check", tmp_path, "--task", task, "--quiet")
    told = result.out.replace(f"{tmp_path}/", "").replace(f"{tmp_path}:", ".:").splitlines()
    assert result.status == 1
    assert told[len(told) - len(expected) :] == expected
    result = run("data", "check", tmp_path, "--quiet")  # also without a task none is called faultless
    assert result.status == 1 or name in ("texts where tokens are wanted", "a folder without train")
