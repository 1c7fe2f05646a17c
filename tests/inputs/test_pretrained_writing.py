from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from seqkit.errors import DataError
from seqkit.inputs.pretrained import Vectors, read_vectors, write_vectors

WORDS = st.text(st.characters(codec="utf-8", exclude_characters=" "), min_size=1).filter(lambda word: word[0] != "\n")


@given(words=st.lists(WORDS, unique=True, max_size=5), size=st.integers(1, 5), data=st.data())
def test_what_is_written_is_read_back(
    words: list[str], size: int, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "written.bin"
    values = st.floats(width=32, allow_nan=False, allow_infinity=False)
    matrix = data.draw(arrays.arrays(np.float32, (len(words), size), elements=values))
    write_vectors(Vectors(words, matrix), path)
    found = read_vectors(path)
    assert found.words == words
    assert found.matrix.tobytes() == matrix.tobytes()  # -0.0 as well


@given(
    size=st.integers(1, 4), values=st.binary(min_size=48, max_size=48), words=st.lists(WORDS, min_size=3, max_size=3)
)
def test_values_that_look_like_text_are_none(
    size: int, values: bytes, words: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    printable = bytes(32 + byte % 64 for byte in values)  # spaces and digits among them
    matrix = np.frombuffer(printable, dtype="<f4")[: 3 * size].reshape(3, size)
    path = tmp_path_factory.getbasetemp() / "printable.bin"
    numbered = [f"{number}{word}" for number, word in enumerate(words)]
    write_vectors(Vectors(numbered, matrix), path)
    found = read_vectors(path)
    assert (found.words, found.matrix.tobytes()) == (numbered, matrix.tobytes())


def test_a_file_cut_short_anywhere_is_noticed(tmp_path: Path) -> None:
    write_vectors(Vectors(["the", "☃"], np.array([[0.5, -1.0], [2.0, 3.25]], dtype=np.float32)), tmp_path / "whole")
    content = (tmp_path / "whole").read_bytes()
    for size in range(len(content)):
        (tmp_path / "cut").write_bytes(content[:size])
        with pytest.raises(DataError):
            read_vectors(tmp_path / "cut")


def test_any_layout_and_byte_order_is_written_alike(tmp_path: Path) -> None:
    matrix = np.arange(12, dtype=np.float32).reshape(3, 4)
    for number, same in enumerate([np.asfortranarray(matrix), matrix.astype(">f4"), np.repeat(matrix, 2, 0)[::2]]):
        write_vectors(Vectors(["a", "b", "c"], same), tmp_path / str(number))
        np.testing.assert_array_equal(read_vectors(tmp_path / str(number)).matrix, matrix)


@pytest.mark.parametrize(
    ("word", "value", "message"),
    [
        ("", 1.0, "words must not be empty, contain a space or begin with a line break, found ''"),
        ("New York", 1.0, "words must not be empty, contain a space or begin with a line break, found 'New York'"),
        ("\nx", 1.0, r"words must not be empty, contain a space or begin with a line break, found '\nx'"),
        ("\ud800", 1.0, r"the word '\ud800' cannot be encoded in UTF-8"),
        ("x", np.nan, "the vector of 'x' has values that are not finite"),
        ("x", np.inf, "the vector of 'x' has values that are not finite"),
    ],
)
def test_what_the_format_cannot_hold_is_refused_before_the_file_is_touched(
    tmp_path: Path, word: str, value: float, message: str
) -> None:
    path = tmp_path / "vectors.bin"
    path.write_bytes(b"old")
    with pytest.raises(DataError, match=f"^{re.escape(f'{path}: {message}')}$"):
        write_vectors(Vectors(["a", word], np.array([[1.0], [value]], dtype=np.float32)), path)
    assert path.read_bytes() == b"old"


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"^{re.escape(str(tmp_path))}: cannot be written: "):
        write_vectors(Vectors(["a"], np.ones((1, 2), dtype=np.float32)), tmp_path)


@pytest.mark.parametrize("words", [["a"], ["a", "b", "c"]])
def test_words_and_vectors_that_are_not_as_many_leave_the_file_alone(words: list[str], tmp_path: Path) -> None:
    (tmp_path / "v.bin").write_bytes(b"before")
    with pytest.raises(ValueError):
        write_vectors(Vectors(words, np.zeros((2, 3), dtype=np.float32)), tmp_path / "v.bin")
    assert (tmp_path / "v.bin").read_bytes() == b"before"
