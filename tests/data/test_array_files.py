"""Arrays beside a file of records: a row a record, nothing that executes, faults told by file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seqkit.data.array_files import attach_arrays, load_array
from seqkit.data.sentence import Sentence
from seqkit.errors import DataError


def records(count: int) -> list[Sentence]:
    return [Sentence.from_tokens(["x"]) for _ in range(count)]


def message(call: Any, *arguments: Any) -> str:
    with pytest.raises(DataError) as caught:
        call(*arguments)
    return str(caught.value)


def test_arrays_beside_a_file_are_fields(tmp_path: Path) -> None:
    file = tmp_path / "train.jsonl"
    np.save(tmp_path / "train.image.npy", np.arange(8.0).reshape(4, 2, 1))
    np.save(tmp_path / "dev.image.npy", np.zeros((1, 2)))
    (sentence, *_) = attach_arrays(records(4), file)
    assert sentence.fields["image"].tolist() == [[0.0], [1.0]]
    fault = message(attach_arrays, records(3), file)
    assert fault == f"{tmp_path / 'train.image.npy'}: expected 3 rows, one a record of train.jsonl, found 4"


def test_arrays_that_are_none(tmp_path: Path) -> None:
    file = tmp_path / "train.image.npy"
    file.write_bytes(b"something else")
    assert message(load_array, file).startswith(f"{file}: expected an array of numbers (.npy), found ")
    np.save(file, np.array(["a"]))
    assert message(load_array, file) == f"{file}: expected an array of numbers (.npy), found <U1"
    np.save(file, np.array([{}], dtype=object), allow_pickle=True)
    assert "allow_pickle" in message(load_array, file)
    np.save(file, np.float64(3))
    fault = message(attach_arrays, records(4), tmp_path / "train.jsonl")
    assert fault == f"{file}: expected 4 rows, one a record of train.jsonl, found a single number"
