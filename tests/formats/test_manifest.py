"""Rows that name sequences of vectors: what each name means, and every fault in one line."""

from __future__ import annotations

import json
import os
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seqkit.errors import DataError
from seqkit.formats.format import ReadOptions
from seqkit.formats.manifest import has_frames, row_frames
from seqkit.formats.registry import describe, described_frames
from seqkit.records import FrameRecord

WANTED = 'expected a field "frames" or "audio" with a sequence of vectors'
NUMBERS = np.arange(6, dtype=np.float32).reshape(3, 2)


def read(file: Path, **options: Any) -> list[FrameRecord]:
    return list(described_frames(file, describe(file, texts=True)[0], ReadOptions(**options)))


def fault(call: Any, *arguments: Any, **options: Any) -> str:
    with pytest.raises(DataError) as caught:
        call(*arguments, **options)
    return str(caught.value)


def manifest(folder: Path, *rows: Any, name: str = "train.jsonl") -> Path:
    file = folder / name
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


# --- segments -----------------------------------------------------------------------------------------------------


def test_segments_of_arrays_are_in_frames(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    whole = draw.normal(size=(50, 3)).astype(np.float32)
    np.save(tmp_path / "a.npy", whole)
    np.save(tmp_path / "column.npy", np.asfortranarray(whole))
    np.savez(tmp_path / "all.npz", one=whole, two=whole)
    np.save(tmp_path / "rows.npy", np.stack([whole - 1, whole]))
    for name in ("a.npy", "column.npy", "all.npz#two", "rows.npy#1"):
        cuts = [sorted(draw.choice(51, 2, replace=False).tolist()) for _ in range(20)]
        rows = [{"frames": name, "start": start, "end": end} for start, end in cuts]
        rows += [{"frames": name, "offset": start, "duration": end - start} for start, end in cuts]
        file = manifest(tmp_path, *rows)
        left_out: Counter[str] = Counter()
        records = read(file, left_out=left_out)
        for row, (start, end), record in zip(rows, cuts * 2, records, strict=True):
            assert record.source.shape == (end - start, 3)
            assert record.source.read().tolist() == whole[start:end].tolist()
            assert np.concatenate(list(record.source.parts(7))).tolist() == whole[start:end].tolist()
            assert record.given() == row
        assert left_out == {
            "segments read, 'start' and 'end' in frames": 20,
            "segments read, 'offset' and 'duration' in frames": 20,
        }
    table = tmp_path / "t.csv"
    table.write_text("frames,start,end,label\na.npy,3,5,x\n")
    (record,) = read(table)
    assert record.source.read().tolist() == whole[3:5].tolist()


def test_segments_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", NUMBERS)
    (tmp_path / "t.csv").write_text("1,2\n3,4\n")
    for row, expected in (
        ({"start": 0, "end": 4}, "its segment, 0 to 4 frames, goes beyond its 3 frames"),
        ({"start": 2, "end": 2}, "expected a segment of some length in 'start' and 'end', found 2 to 2"),
        ({"start": -1, "end": 2}, "expected a segment of some length in 'start' and 'end', found -1 to 2"),
        ({"offset": 1, "duration": -1}, "expected a segment of some length in 'offset' and 'duration', found 1 to 0"),
        (
            {"start": 0.0, "end": 1.5},
            "expected a segment of an array in frames, whole numbers, found 0 to 1.5; cut it out first",
        ),
    ):
        file = manifest(tmp_path, {"frames": "a.npy", **row})
        assert fault(read, file) == f"{file}:1: 'a.npy': {expected}"
    file = manifest(tmp_path, {"frames": "t.csv", "start": 0, "end": 1})
    expected = "only segments of recordings and arrays (.npy, .npz) are read; cut this one out first"
    assert fault(read, file) == f"{file}:1: 't.csv': {expected}"


def test_what_names_no_segment_is_read_whole_and_told(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", NUMBERS)
    for row, first, pair in (
        ({"duration": 3}, "duration", "'offset' and 'duration'"),
        ({"start": "00:00:01", "end": "00:00:02"}, "start", "'start' and 'end'"),
        ({"start": 1, "end": float("nan")}, "start", "'start' and 'end'"),
        ({"end": True}, "end", "'start' and 'end'"),
    ):
        left_out: Counter[str] = Counter()
        (record,) = read(manifest(tmp_path, {"frames": "a.npy", **row}), left_out=left_out)
        assert record.source.shape == (3, 2) and not record.segment
        assert left_out == {f"read whole: {first!r} names no segment without numbers in {pair}": 1}
    left_out = Counter()
    (record,) = read(manifest(tmp_path, {"frames": [[1], [2]], "start": 0, "end": 1}), left_out=left_out)
    assert record.source.shape == (2, 1)
    assert left_out == {"read whole: 'start' names a segment only where a row names a file": 1}


# --- names of files -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a b.npy", "größe.npy", "sub/a.npy", "a#1.npy", "no#1/a.npy", "../up.npy", "A.NPY"])
def test_names_are_relative_to_the_manifest(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "data"
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    np.save(folder / "x.npy", NUMBERS)
    os.replace(folder / "x.npy", folder / name)
    (record,) = read(manifest(folder, {"frames": name, "label": "yes"}))
    assert record.source.read().tolist() == NUMBERS.tolist()
    assert (record.name, record.given(), record.fields) == (name, {"frames": name}, {"label": "yes"})


def test_absolute_names(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", NUMBERS)
    (tmp_path / "elsewhere").mkdir()
    (record,) = read(manifest(tmp_path / "elsewhere", {"frames": str(tmp_path / "a.npy")}))
    assert record.source.shape == (3, 2)


def test_parts_of_files(tmp_path: Path) -> None:
    np.savez(tmp_path / "all.npz", **{"one": NUMBERS, "deep/er": NUMBERS + 1, "a#b": NUMBERS + 2})
    np.save(tmp_path / "all.npy", np.stack([NUMBERS, NUMBERS + 3]))
    os.makedirs(tmp_path / "x#y")
    np.savez_compressed(tmp_path / "x#y" / "z.npz", only=NUMBERS + 4)
    names = ["all.npz#one", "all.npz#deep/er", "all.npz#a#b", "all.npy#1", "x#y/z.npz#only", "x#y/z.npz"]
    records = read(manifest(tmp_path, *({"frames": name} for name in names)))
    assert [record.source.read()[0, 0] for record in records] == [0, 1, 2, 3, 4, 4]


def test_a_field_of_another_name(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", NUMBERS)
    file = manifest(tmp_path, {"signal": "a.npy", "frames": 25})
    (record,) = read(file, frames="signal")
    assert (record.key, record.fields) == ("signal", {"frames": 25})
    expected = "expected a field 'sensor' with a sequence of vectors, found 'signal', 'frames'"
    assert fault(read, file, frames="sensor") == f"{file}:1: {expected}"


def test_of_fields_that_may_name_a_sequence_one_that_does_counts(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", NUMBERS)
    (record,) = read(manifest(tmp_path, {"audio": None, "path": "notes.docx", "file": "a.npy", "label": "x"}))
    assert (record.key, record.fields) == ("file", {"audio": None, "path": "notes.docx", "label": "x"})


def test_tables(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", NUMBERS)
    for name, text in {
        "a.csv": 'frames,label\n"a.npy",yes\n',
        "b.tsv": "label\tframes\nyes\ta.npy\n",
        "c.csv": "label;frames\nyes;a.npy\n",
    }.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
        (record,) = read(tmp_path / name)
        assert (record.source.shape, record.fields, record.line) == ((3, 2), {"label": "yes"}, 2)
    (tmp_path / "d.csv").write_text("a.npy,yes\na.npy,no\n", encoding="utf-8")
    expected = "expected a first row with the names of the columns, such as frames, found a.npy, yes"
    assert fault(read, tmp_path / "d.csv") == f"{tmp_path / 'd.csv'}:1: {expected}; --columns names them"
    assert [record.name for record in read(tmp_path / "d.csv", columns=("frames", "label"))] == ["a.npy", "a.npy"]


def test_an_array_of_json(tmp_path: Path) -> None:
    file = tmp_path / "all.json"
    file.write_text('[\n {"frames": [[1, 2]], "label": "a"},\n {"frames": [[3, 4]], "label": "b"}]\n')
    assert [(record.source.read().tolist(), record.line) for record in read(file)] == [([[1, 2]], 2), ([[3, 4]], 3)]


def broken(folder: Path) -> None:
    np.save(folder / "four.npy", np.zeros((2, 2, 2, 2)))
    np.save(folder / "three.npy", np.zeros((2, 2, 2)))
    np.save(folder / "number.npy", np.float32(1))
    np.save(folder / "complex.npy", np.zeros((2, 2), complex))
    np.save(folder / "text.npy", np.array([["a"]]))
    np.save(folder / "objects.npy", np.array([[1, None]], dtype=object))
    (folder / "folder.npy").mkdir()
    (folder / "empty.npy").write_bytes(b"")
    (folder / "text.npz").write_bytes(b"no archive")
    np.savez(folder / "two.npz", a=NUMBERS, b=NUMBERS)
    np.savez(folder / "objects.npz", a=np.array([None]))
    with zipfile.ZipFile(folder / "none.npz", "w") as archive:
        archive.writestr("readme", "nothing")
    content = (folder / "two.npz").read_bytes()
    (folder / "cut.npz").write_bytes(content[: len(content) // 2])
    place = content.index(NUMBERS.tobytes())
    (folder / "bit.npz").write_bytes(content[:place] + b"\x01" + content[place + 1 :])
    (folder / "words.csv").write_text("1,2\n3,x\n")
    (folder / "ragged.csv").write_text("1,2\n3\n")
    (folder / "empty.csv").write_text("a,b\n")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("no.npy", "cannot be read: No such file or directory; looked for in {folder}"),
        ("no.npz", "cannot be read: No such file or directory; looked for in {folder}"),
        ("no.npz#a", "cannot be read: No such file or directory; looked for in {folder}"),
        ("no.csv", "cannot be read: No such file or directory; looked for in {folder}"),
        ("folder.npy", "cannot be read: not a regular file"),
        ("empty.npy", "not an array of numbers (.npy): EOF: reading magic string, expected 8 bytes got 0"),
        ("four.npy", "expected an array [frames, features], found one of shape [2, 2, 2, 2]"),
        ("four.npy#1", "expected an array [frames, features], found one of shape [2, 2, 2]"),
        ("three.npy", "expected one, found 2 sequences; name one of them, such as three.npy#0"),
        ("three.npy#2", "no row '2': it has 2, counted from 0"),
        ("three.npy#-1", "no row '-1': it has 2, counted from 0"),
        ("three.npy#²", "no row '²': it has 2, counted from 0"),
        ("number.npy", "expected an array [frames, features], found one of shape []"),
        ("complex.npy", "not an array of numbers (.npy): its type is complex128"),
        ("text.npy", "not an array of numbers (.npy): its type is <U1"),
        (
            "objects.npy",
            "not an array of numbers (.npy): its type is object; "
            "save sequences of different lengths as members of an .npz file",
        ),
        ("text.npz", "not an archive of arrays (.npz): File is not a zip file"),
        ("cut.npz", "not an archive of arrays (.npz): File is not a zip file"),
        ("bit.npz#a", "not an array of numbers: Bad CRC-32 for file 'a.npy'"),
        ("two.npz", "expected one, found 2 arrays; name one of them, such as two.npz#a"),
        ("two.npz#c", "no array 'c'; it has 'a', 'b'"),
        ("none.npz", "expected one, found 0 arrays"),
        (
            "objects.npz",
            "not an array of numbers: its type is object; "
            "save sequences of different lengths as members of an .npz file",
        ),
        ("words.csv", "line 2: expected a number in column 2, found 'x'"),
        ("ragged.csv", "line 2: expected 2 numbers, as in the first row, found 1"),
        ("empty.csv", "expected a frame of numbers a row, found no row"),
        ("a.mat", "in no format that seqkit reads; convert it to npy or npz"),
    ],
)
def test_faults_of_files_name_the_row_and_the_file_once(tmp_path: Path, name: str, expected: str) -> None:
    broken(tmp_path)
    file = manifest(tmp_path, {"frames": [[1.0]]}, {"frames": name})
    assert fault(read, file) == f"{file}:2: {name!r}: {expected}".replace("{folder}", repr(str(tmp_path)))


def test_names_that_no_system_takes(tmp_path: Path) -> None:
    for name in ("a\0b.npy", "a\0b.npz", "x" * 5000 + ".npy", "\ud800.npy", "#" * 3000 + ".npz#" * 300):
        file = manifest(tmp_path, {"frames": name})
        found = fault(read, file)
        assert found.startswith(f"{file}:1: ")
        assert "cannot be read: " in found


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    if not hasattr(os, "mkfifo"):
        pytest.skip("no pipes with names here")
    for name in ("a.npy", "a.npz"):
        os.mkfifo(tmp_path / name)
        file = manifest(tmp_path, {"frames": name})
        assert fault(read, file) == f"{file}:1: {name!r}: cannot be read: not a regular file"


# --- numbers in rows ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([[1, 2.5], [3, 4]], [[1, 2.5], [3, 4]]),
        ([1, 2, 3], [[1], [2], [3]]),
        ([[True, False]], [[1, 0]]),
        ([[]], [[]]),
        ([[10**25]], [[1e25]]),
        ([[1e300]], [[float("inf")]]),
        (((1, 2), (3, 4)), [[1, 2], [3, 4]]),
        (np.array([[1, 2]], dtype=">i2"), [[1, 2]]),
        (np.array([[True]]), [[1]]),
        ([np.array([1.0, 2.0]), np.array([3.0, 4.0])], [[1, 2], [3, 4]]),
    ],
)
def test_lists_and_arrays(given: Any, expected: Any) -> None:
    found = row_frames({"frames": given}).source.read()
    assert found.dtype == np.float32
    assert found.tolist() == np.array(expected, np.float32).tolist()


def test_literals_that_are_no_json(tmp_path: Path) -> None:
    file = tmp_path / "train.jsonl"
    file.write_text('{"frames": [[NaN, -Infinity]]}\n')
    assert str(read(file)[0].source.read().tolist()) == "[[nan, -inf]]"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([[1, 2], [3]], "expected 2 numbers in every frame, as in the first, found 1 in frame 1, counted from 0"),
        ([[1, "2"]], "expected a number, found '2' in frame 0, feature 1, counted from 0"),
        ([[1], [None]], "expected a number, found None in frame 1, feature 0, counted from 0"),
        ([1, "x"], "expected a number, found 'x' in frame 1, counted from 0"),
        ([1, [2]], "expected a number, found [2] in frame 1, counted from 0"),
        ([[1], 2], "expected a list of numbers, found 2 in frame 1, counted from 0"),
        ([[10**400]], "a number is too large"),
        ([[[1]]], "expected an array [frames, features], found one of shape [1, 1, 1]"),
        (np.array([["a"]]), "expected an array of numbers, found one of type <U1"),
        (np.array([[1j]]), "expected an array of numbers, found one of type complex128"),
        (
            np.ma.masked_less(np.array([[1.0], [-9.0]]), 0),
            "expected numbers, found a masked array of which some are missing; fill them in",
        ),
        ([], 'expected a list of frames, each of numbers in "frames", found []'),
        (None, 'expected a list of frames, each of numbers in "frames", found None'),
        ({}, 'expected a list of frames, each of numbers in "frames", found {}'),
        (3.5, 'expected a list of frames, each of numbers in "frames", found 3.5'),
        (np.float32(3), 'expected a list of frames, each of numbers in "frames", found np.float32(3.0)'),
        (
            "secret.npy",
            "expected a list of frames, each of numbers in \"frames\", found 'secret.npy'; "
            "only the rows of files name files",
        ),
    ],
)
def test_faults_of_numbers(given: Any, expected: str) -> None:
    assert fault(row_frames, {"frames": given}).replace("found 3.0", "found np.float32(3.0)") == expected
    told = fault(row_frames, {"frames": given}, file="train.jsonl", line=7)
    assert told.startswith("train.jsonl:7: ")


def test_a_masked_array_without_a_masked_number_is_an_array() -> None:
    assert row_frames({"frames": np.ma.masked_less(np.array([[1.0], [9.0]]), 0)}).source.read().tolist() == [[1], [9]]


def test_faults_of_rows(tmp_path: Path) -> None:
    for row, expected in (
        ([1], "expected an object, found [1]"),
        (
            {"label": "x"},
            f"{WANTED}, found 'label'; --frames names another one",
        ),
        (
            {},
            f"{WANTED}, found no fields; --frames names another one",
        ),
        ({"frames": ""}, "expected the name of a file, or a list of frames in \"frames\", found ''"),
    ):
        file = manifest(tmp_path, {"frames": [1]}, row)
        assert fault(read, file) == f"{file}:2: {expected}"
    file.write_text('{"frames": [1], "frames": [2]}\n')
    assert fault(read, file) == f"{file}:1: the key 'frames' occurs twice in an object"
    file.write_text('{"frames": [1]}\n{"frames": [1}\n')
    assert fault(read, file) == f"{file}:2: invalid JSON at character 14"


def test_all_faults_can_be_found_at_once(tmp_path: Path) -> None:
    file = manifest(tmp_path, {"frames": "no.npy"}, {"frames": [1]}, [], {"frames": [[None]]})
    faults: list[DataError] = []
    assert [record.line for record in read(file, faults=faults)] == [2]
    assert [error.line for error in faults] == [1, 3, 4]


def test_rows_with_sequences_are_told_from_others() -> None:
    for row in ({"frames": "a.npy"}, {"path": "x.npz#3"}, {"file": "a.WAV"}, {"frames": [[1]]}, {"frames": "a.csv"}):
        assert has_frames(row)
    for other in ({"frames": 25}, {"file": "a.txt", "text": "x"}, {"path": "a.csv"}, {"text": "a.npy"}, [], "a.npy"):
        assert not has_frames(other)


@pytest.mark.parametrize(
    "fields",
    [
        {"text": "abcd", "labels": [{"start": 2, "end": 7, "label": "c"}]},
        {"text": "abcd", "spans": [{"start": 0, "end": 1, "label": "c"}], "answer": "accept"},
        {"data": {"text": "abcd"}, "annotations": []},
    ],
)
def test_fields_beside_a_sequence_may_be_those_of_other_formats(tmp_path: Path, fields: dict[str, Any]) -> None:
    path = tmp_path / "a.jsonl"
    for row, expected in ({**fields, "frames": "a.npy"}, True), (fields, False):
        path.write_text(json.dumps(row) + "\n", encoding="utf-8")
        assert (describe(path)[0].format == "jsonl") is expected
        path.with_suffix(".json").write_text(json.dumps([row]), encoding="utf-8")
        assert (describe(path.with_suffix(".json"))[0].format == "json") is expected


# --- an array beside ----------------------------------------------------------------------------------------------


def test_rows_of_an_array_beside_the_file(tmp_path: Path) -> None:
    array = np.arange(12, dtype=np.float32).reshape(2, 3, 2)
    np.save(tmp_path / "train.frames.npy", array)
    file = tmp_path / "train.jsonl"
    file.write_text('\n{"label": "a", "file": "original.txt"}\n\n{"label": "b"}\n')
    records = read(file)
    assert [record.source.read().tolist() for record in records] == array.tolist()
    assert [record.line for record in records] == [2, 4]
    assert records[1].given() == {"frames": "train.frames.npy#1"}
    assert records[0].fields == {"label": "a", "file": "original.txt"}
    np.save(tmp_path / "train.frames.npy", np.zeros((2, 4)))  # one number a frame
    assert [record.source.shape for record in read(file)] == [(4, 1), (4, 1)]


def test_faults_of_an_array_beside_the_file(tmp_path: Path) -> None:
    file = manifest(tmp_path, {"label": "a"}, {"label": "b"})
    array = tmp_path / "train.frames.npy"
    np.save(array, np.zeros((1, 3, 2)))
    assert fault(read, file) == f"{file}:2: train.frames.npy has 1 rows, and there are more records; each needs one"
    np.save(array, np.zeros((3, 3, 2)))
    assert fault(read, file) == f"{file}: expected 3 records, one per row of train.frames.npy, found 2"
    np.save(array, np.zeros(2))
    expected = "expected an array [records, frames, features] beside train.jsonl, found one of shape [2]"
    assert fault(read, file) == f"{array}: {expected}"
    np.save(array, np.array([None]))
    hint = "; save sequences of different lengths as members of an .npz file"
    assert fault(read, file) == f"{array}: not an array of numbers (.npy): its type is object{hint}"
    file.write_text("")
    np.save(array, np.zeros((3, 3, 2)))
    assert fault(read, file) == f"{file}: expected 3 records, one per row of train.frames.npy, found 0"


# --- other files --------------------------------------------------------------------------------------------------


def test_tables_of_numbers(tmp_path: Path) -> None:
    for name, text in {
        "a.csv": "1,2.5\n3,4\n",
        "b.csv": "x,y\n1,2.5\n\n3,4\n",
        "c.tsv": "# sensor\n1\t2.5\n3\t4\n",
        "d.csv": "1;2,5\n3;4\n",
    }.items():
        (tmp_path / name).write_text(text)
        (record,) = read(tmp_path / name)
        assert (record.source.read().tolist(), record.name) == ([[1, 2.5], [3, 4]], str(tmp_path / name))
    for text in ("1,2.5\n", "x,y\n1,2.5\n", "1;2,5"):  # a single frame
        (tmp_path / "one.csv").write_text(text)
        assert [record.source.read().tolist() for record in read(tmp_path / "one.csv")] == [[[1, 2.5]]]
    (tmp_path / "e.txt").write_text("1 2.5\n3 4 \n")
    (record,) = read(manifest(tmp_path, {"frames": "e.txt"}))
    assert record.source.read().tolist() == [[1, 2.5], [3, 4]]
    (tmp_path / "f.csv").write_text("label,text\n1,5\n0,7\n")
    assert describe(tmp_path / "f.csv", texts=True)[0].format == "csv"
    (tmp_path / "g.csv").write_text("1,2\n3\n")
    assert (
        fault(read, tmp_path / "g.csv") == f"{tmp_path / 'g.csv'}:2: expected 2 numbers, as in the first row, found 1"
    )


TS = """# a comment
@problemName Toy
@timeStamps false
@missing false
@univariate false
@dimensions 2
@equalLength false
@classLabel true up down
@data
1,2,3:4,5,6:up
-1e1,0:0.5,.5:down
"""
MISSING = "a value is missing in dimension 2, frame 2; fill it in, or leave the sequence out"
UNEQUAL = "expected 3 numbers in every dimension, as in the first, found 2 in dimension 2"


def test_time_series(tmp_path: Path) -> None:
    file = tmp_path / "Toy_TRAIN.ts"
    file.write_text(TS)
    records = read(file)
    assert [record.source.read().tolist() for record in records] == [[[1, 4], [2, 5], [3, 6]], [[-10, 0.5], [0, 0.5]]]
    assert [(record.fields, record.line) for record in records] == [({"label": "up"}, 10), ({"label": "down"}, 11)]
    plain = tmp_path / "toy.data"
    plain.write_text(TS)
    assert describe(plain)[0].format == "ts"
    file.write_text("@problemName x\n@univariate true\n@classLabel false\n@data\n1,2,3\n")
    assert [(each.source.shape, each.fields) for each in read(file)] == [((3, 1), {})]


@pytest.mark.parametrize(
    ("old", "new", "line", "expected"),
    [
        ("5,6:up", "?,6:up", 10, f"sequence 1: {MISSING}"),
        ("5,6:up", "NaN,6:up", 10, f"sequence 1: {MISSING}"),
        ("5,6:up", "x,6:up", 10, "sequence 1: expected a number, found 'x' in dimension 2, frame 2"),
        ("5,6:up", "5:up", 10, f"sequence 1: {UNEQUAL}"),
        (":down", "", 11, "sequence 2: expected one of the labels of @classLabel (up, down), found '0.5,.5'"),
        (":0.5,.5", "", 11, "sequence 2: expected 2 dimensions, found 1"),
        ("@equalLength false", "@equalLength true", 11, "sequence 2: expected 3 frames, as @equalLength says, found 2"),
        (
            "@timeStamps false",
            "@timeStamps true",
            3,
            "sequences with time stamps are not read; write values at equal distances, with @timeStamps false",
        ),
        ("@dimensions 2", "@dimensions two", 6, "expected a number of dimensions, found '@dimensions two'"),
        ("@data\n", "", 9, "expected a line @data before the sequences, found '1,2,3:4,5,6:up'"),
    ],
)
def test_faults_of_time_series(tmp_path: Path, old: str, new: str, line: int, expected: str) -> None:
    file = tmp_path / "x.ts"
    file.write_text(TS.replace(old, new))
    assert fault(read, file) == f"{file}:{line}: {expected}"
    file.write_text("@problemName x\n")
    assert fault(read, file) == f"{file}: expected a line @data and sequences after it, found none"


def test_all_faults_of_time_series_can_be_found_at_once(tmp_path: Path) -> None:
    file = tmp_path / "x.ts"
    file.write_text(TS + "1:2:up\n?:2:up\n3:4:x\n5:6:down\n")
    faults: list[DataError] = []
    assert [record.line for record in read(file, faults=faults)] == [10, 11, 12, 15]
    assert [error.line for error in faults] == [13, 14]
