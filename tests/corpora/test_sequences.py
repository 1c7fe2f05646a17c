"""Sequences of vectors from Python objects."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from seqkit.corpora.from_python import from_items
from seqkit.errors import DataError
from seqkit.formats.arrays import ArraySource
from seqkit.records import FrameRecord

ONLY_ROWS = "; only the rows of files name files"
UNEQUAL = "expected 2 numbers in every frame, as in the first, found 1 in frame 1, counted from 0"
ROLL = [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]
GIVEN: dict[str, Any] = {
    "list": ROLL,
    "array": np.array(ROLL),
    "tensor": torch.tensor(ROLL),
    "source": ArraySource(np.array(ROLL)),
    "record": FrameRecord(ArraySource(np.array(ROLL))),
    "mapping": {"frames": ROLL, "label": "a"},
    "pair": (np.array(ROLL), "a"),
    "pair of a list": (ROLL, "a"),
}


@pytest.mark.parametrize("given", GIVEN.values(), ids=GIVEN)
def test_each_kind_of_item(given: Any) -> None:
    dataset = from_items("frames", [given] * 3, dev=[given])
    assert dataset.has_frames
    train, dev = dataset.read_frames(["train", "dev"]).records.values()
    assert [record.source.read().tolist() for record in (*train, *dev)] == [ROLL] * 4
    assert [(record.file, record.line) for record in train] == [("sequences train", line) for line in (1, 2, 3)]
    assert train[0].fields == ({"label": "a"} if isinstance(given, dict | tuple) else {})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("a.npy", "expected a list of frames, each of numbers in \"frames\", found 'a.npy'" + ONLY_ROWS),
        ([[1, 2], [3]], UNEQUAL),
        (7, 'expected a list of frames, each of numbers in "frames", found 7'),
    ],
)
def test_what_is_no_sequence(given: Any, message: str) -> None:
    with pytest.raises(DataError) as caught:
        from_items("frames", [ROLL, given])
    assert str(caught.value) == f"sequences train:2: {message}"
