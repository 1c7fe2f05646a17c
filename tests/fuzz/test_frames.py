"""Sequences of vectors: manifests, arrays, archives, time series and tables of numbers."""

from __future__ import annotations

import io
import random
import zipfile
from pathlib import Path

import numpy as np
from harness import fuzz, put

from seqkit.formats.arrays import unsound
from seqkit.formats.format import Description, ReadOptions
from seqkit.formats.registry import describe, described_frames
from seqkit.records import FrameRecord


def npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def npz(*, compressed: bool = False, **arrays: np.ndarray) -> bytes:
    stream = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(stream, **arrays)  # type: ignore[arg-type]
    return stream.getvalue()


def check(records: list[FrameRecord]) -> None:
    for record in records:
        count, size = record.source.shape
        frames = record.source.read()
        assert frames.dtype == np.float32
        assert frames.shape == (count, size)
        unsound(frames)
        assert record.given()
        assert record.text


def read_all(file: Path, draw: random.Random, format: str) -> None:
    options = ReadOptions(frames=draw.choice(("", "", "", "signal")), faults=draw.choice((None, [])))
    check(list(described_frames(file, describe(file, Description(draw.choice((format, ""))), texts=True)[0], options)))


ARRAYS = (
    npy(np.arange(6, dtype=np.float32).reshape(3, 2)),
    npy(np.arange(12, dtype=">i2").reshape(2, 3, 2)),
    npy(np.asfortranarray(np.ones((3, 2, 2), np.float16))),
    npy(np.array([True, False])),
    npy(np.zeros((0, 3))),
    npy(np.array([None])),
)
WORDS = (
    *(b"(3, 2)", b"(1000000000000,)", b"(0, 1000000000000)", b"'<f8'", b"'|O'", b"True", b"\x93NUMPY", b"()", b"1L"),
    *(b"'descr': ", b"'<U1000000000'", b"'<V9'", b"'<c16'", b"[('a', '<f4')]", b"(" * 100, b"(-1,)", b"PK\3\4"),
    *(b"'>f2'", b"'<f16'", b"'<m8'", b"(2, 0, 2)", b"(0, 0, 1)", b"\xff\xff\xff\xff", b"\0\0\0\0"),
)


def test_arrays(tmp_path: Path) -> None:
    file = tmp_path / "a.npy"

    def read(content: bytes, draw: random.Random) -> None:
        put(file, content)
        read_all(file, draw, "npy")

    fuzz("frame-arrays", read, seeds=ARRAYS, words=WORDS)


def test_archives(tmp_path: Path) -> None:
    file = tmp_path / "a.npz"
    arrays = {"a": np.arange(6, dtype=np.float32).reshape(3, 2), "b/c": np.ones(4, np.int8)}
    others = io.BytesIO()
    with zipfile.ZipFile(others, "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("a.npy", ARRAYS[0])
    seeds = (npz(**arrays), npz(compressed=True, **arrays), npz(x=np.array([None])), npz(), others.getvalue())

    def read(content: bytes, draw: random.Random) -> None:
        put(file, content)
        read_all(file, draw, "npz")

    words = (*WORDS, b"PK\1\2", b"PK\5\6", b"PK\6\6", b"a.npy", b"\1\0", b"\x08\0", b"\x0c\0")
    fuzz("frame-archives", read, seeds=seeds, words=words, multiple=5_000)


ROWS = (
    b'{"frames": "a.npy", "label": "x"}\n{"frames": "all.npz#b/c", "text": "y"}\n',
    b'{"frames": [[1, 2], [3, 4.5]], "label": 3}\n\n{"audio": [1, NaN]}\n',
    b'{"label": "a", "speaker": "s"}\n{"label": "b"}\n',
    b'[{"frames": "all.npy#1"},\n {"signal": "numbers.csv"}]\n',
)
TABLES = (b"frames,label\na.npy,x\nall.npz#a,y\n", b'label\tframes\nx\t"a.npy"\n', b"signal;label\nnumbers.csv;1\n")


def test_manifests(tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(ARRAYS[0])
    (tmp_path / "all.npy").write_bytes(ARRAYS[1])
    (tmp_path / "all.npz").write_bytes(npz(**{"a": np.ones((2, 2)), "b/c": np.ones(3)}))
    (tmp_path / "numbers.csv").write_bytes(b"1,2\n3,4\n")
    (tmp_path / "beside.frames.npy").write_bytes(ARRAYS[1])

    def read(content: bytes, draw: random.Random) -> None:
        file = tmp_path / f"{draw.choice(('train', 'beside'))}.{draw.choice(('jsonl', 'json', 'csv', 'tsv'))}"
        put(file, content)
        read_all(file, draw, draw.choice(("jsonl", "json", "csv", "tsv", "csv-semicolon")))

    words = (
        b'"frames": ',
        b'"audio"',
        b'"path"',
        b".npy",
        b".npz#",
        b"#0",
        b"#1",
        b"../",
        b"[[",
        b"]]",
        b"null",
        b"true",
    )
    fuzz("manifests", read, seeds=(*ROWS, *TABLES), words=words)


SERIES = (
    b"@problemName t\n@dimensions 2\n@classLabel true a b\n@data\n1,2:3,4:a\n5,6.5:7,-8e1:b\n",
    b"# about\n@univariate true\n@equalLength true\n@seriesLength 2\n@classLabel false\n@data\n1,2\n3,4\n",
    b"@timeStamps true\n@classLabel true\n@data\n(0,1),(1,2):x\n",
)


def test_time_series(tmp_path: Path) -> None:
    file = tmp_path / "a.ts"

    def read(content: bytes, draw: random.Random) -> None:
        put(file, content)
        read_all(file, draw, "ts")

    words = (
        b"@data\n",
        b"@classLabel true",
        b"@dimensions ",
        b"@timeStamps",
        b"@equalLength true",
        b"?",
        b":",
        b",",
        b"(",
    )
    fuzz("time-series", read, seeds=SERIES, words=words)


def test_tables_of_numbers(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"

    def read(content: bytes, draw: random.Random) -> None:
        put(file, content)
        read_all(file, draw, "numbers")

    seeds = (b"1,2\n3,4\n", b"x;y\n1,5;2\n3;4\n", b"# s\n1\t2\n\n3\t4\n", b"1 2\n3 4\n")
    fuzz("number-tables", read, seeds=seeds, words=(b";", b",", b"\t", b" ", b"#"))
