"""Arrays beside a file of records: a row a record, nothing that executes, faults told by file."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seqkit.errors import DataError
from seqkit.formats.arrays import ArrayFile, ArraySource, array_files, attach_arrays, load_array
from seqkit.records import Sentence


def records(count: int) -> list[Sentence]:
    return [Sentence.from_tokens(["x"]) for _ in range(count)]


def message(call: Any, *arguments: Any) -> str:
    with pytest.raises(DataError) as caught:
        call(*arguments)
    return str(caught.value)


def test_arrays_beside_a_file_are_fields(tmp_path: Path) -> None:
    file = tmp_path / "train.jsonl"
    np.save(tmp_path / "train.image.npy", np.arange(8.0).reshape(4, 2))
    np.save(tmp_path / "train.move.npy", np.arange(8.0).reshape(4, 2, 1))
    np.save(tmp_path / "dev.image.npy", np.zeros((1, 2)))
    found = records(4)
    attach_arrays(found, file)
    sentence = found[0]
    assert sentence.fields["image"].tolist() == [0.0, 1.0]
    move = sentence.fields["move"]  # a sequence of vectors, which is not read yet
    assert (move.name, move.source.shape, move.source.read().tolist()) == ("train.move.npy#0", (2, 1), [[0.0], [1.0]])
    fault = message(attach_arrays, records(3), file)
    assert fault == f"{tmp_path / 'train.image.npy'}: expected 3 rows, one per record of train.jsonl, found 4"


def test_the_name_of_a_file_may_have_parts(tmp_path: Path) -> None:
    np.save(tmp_path / "names.train.x.npy", np.zeros((2, 3)))
    np.save(tmp_path / "names.test.x.npy", np.ones((1, 3)))
    np.save(tmp_path / "names.x.npy", np.ones((9, 3)))
    found = records(1)
    attach_arrays(found, tmp_path / "names.test.jsonl")
    assert [one.fields for one in found] == [{"x": pytest.approx(1)}]


def test_a_number_a_record_is_a_vector_of_one(tmp_path: Path) -> None:
    np.save(tmp_path / "train.age.npy", np.array([7, 8], dtype=np.int16))
    found = records(2)
    attach_arrays(found, tmp_path / "train.jsonl")
    assert [one.fields["age"].tolist() for one in found] == [[7], [8]]


@pytest.mark.parametrize(
    "header",
    [
        "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000000, 8), }",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (10000000000000000000000000, 8), }",
        "{'descr': '<f8', 'fortran_order'",
        "{'descr': {'a': 1}, 'fortran_order': False, 'shape': (1,), }",
        "(" * 20_000,
    ],
)
def test_headers_that_lie(tmp_path: Path, header: str) -> None:
    file = tmp_path / "train.image.npy"
    file.write_bytes(after(header))
    found = message(load_array, file)
    assert found.startswith(f"{file}: not an array of numbers (.npy): ")
    assert "\n" not in found


def after(header: str) -> bytes:
    """The beginning of a file with this header."""
    return b"\x93NUMPY\x01\x00" + (len(header) + 1).to_bytes(2, "little") + header.encode() + b"\n"


def test_a_header_that_leaves_the_number_of_rows_open(tmp_path: Path) -> None:
    """NumPy 1 reads as many as there are, NumPy 2 refuses it."""
    file = tmp_path / "train.image.npy"
    file.write_bytes(after("{'descr': '<f8', 'fortran_order': False, 'shape': (-1, 2), }") + bytes(48))
    try:
        found = load_array(file)
    except DataError as error:
        assert str(error).startswith(f"{file}: not an array of numbers (.npy): ")
    else:
        assert found.tolist() == [[0.0, 0.0]] * 3


def test_no_room_is_made_for_numbers_that_are_not_there(tmp_path: Path) -> None:
    """A system that lends memory before it has it gives such room, and numpy asks for it."""
    file = tmp_path / "train.image.npy"
    np.save(file, np.zeros(3))
    content = file.read_bytes()
    file.write_bytes(content.replace(b"(3,), }" + b" " * 8, b"(300000000,), }"))
    tracemalloc.start()
    found = message(load_array, file)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    expected = (
        f"{file}: not an array of numbers (.npy): it has 24 of the 2400000000 bytes of numbers that its header promises"
    )
    assert found == expected
    assert peak < 1 << 20
    file.write_bytes(content[:-1])
    assert message(load_array, file).endswith("it has 23 of the 24 bytes of numbers that its header promises")


@pytest.mark.parametrize("shape", [(10**12, 0, 2), (3, 4, 0)])
def test_rows_without_frames_or_features_are_not_gone_through(tmp_path: Path, shape: tuple[int, ...]) -> None:
    np.save(tmp_path / "a.npy", np.zeros((0, 0, 0), np.float32))
    content = (tmp_path / "a.npy").read_bytes().replace(b"(0, 0, 0), }" + b" " * 20, f"{shape}, }}".encode().ljust(32))
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(DataError) as caught:
        list(array_files(tmp_path / "a.npy"))
    expected = "expected sequences with frames and features, found an array of shape"
    assert str(caught.value) == f"{tmp_path / 'a.npy'}: {expected} {list(shape)}"


def test_an_archive_is_no_array(tmp_path: Path) -> None:
    file = tmp_path / "train.image.npy"
    file.write_bytes(b"PK\x03\x04 and no more")
    assert message(load_array, file).startswith(f"{file}: not an array of numbers (.npy): the magic string")


def test_arrays_that_are_none(tmp_path: Path) -> None:
    file = tmp_path / "train.image.npy"
    file.write_bytes(b"something else")
    assert message(load_array, file).startswith(f"{file}: not an array of numbers (.npy): ")
    np.save(file, np.array(["a"]))
    assert message(load_array, file) == f"{file}: not an array of numbers (.npy): its type is <U1"
    np.save(file, np.array([{}], dtype=object), allow_pickle=True)
    assert "allow_pickle" in message(load_array, file)
    np.save(file, np.float64(3))
    fault = message(attach_arrays, records(4), tmp_path / "train.jsonl")
    assert fault == f"{file}: expected 4 rows, one per record of train.jsonl, found a single number"


def test_parts_of_a_sequence_are_the_whole(tmp_path: Path) -> None:
    whole = np.random.default_rng(0).normal(size=(4, 23, 3))
    arrays = {
        "rows.npy": whole,
        "columns.npy": np.asfortranarray(whole),
        "one.npy": whole[0].astype(">f4"),
        "turned.npy": np.asfortranarray(whole[1]),
        "flat.npy": (whole[2, :, 0] * 9).astype(np.int16),
    }
    for name, array in arrays.items():
        np.save(tmp_path / name, array)
    np.savez(tmp_path / "all.npz", a=whole[3])
    files = [ArrayFile(tmp_path / name, member) for name in ("rows.npy", "columns.npy") for member in "03"]
    files += [ArrayFile(tmp_path / name) for name in ("one.npy", "turned.npy", "flat.npy")]
    for array in (*files, ArrayFile(tmp_path / "all.npz", "a"), whole[0], whole[0, :, 1]):
        source = ArraySource(array)
        for most in (1, 5, 22, 23, 4096):
            parts = list(source.parts(most))
            assert {part.dtype for part in parts} == {np.dtype(np.float32)}
            assert max(map(len, parts)) <= most
            np.testing.assert_array_equal(np.concatenate(parts), source.read())
