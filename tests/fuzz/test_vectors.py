"""Files of numbers: word vectors in every format, and arrays beside a file."""

from __future__ import annotations

import gzip
import io
import random
import struct
from pathlib import Path

import numpy as np
from harness import fuzz, put

from seqkit.formats.arrays import attach_arrays, load_array
from seqkit.inputs.pretrained import read_vectors
from seqkit.records import FrameRecord, Sentence

TEXT = (
    b"the 0.1 -2.5 3e-2\nof 1 2 3\n. . . 4 5 6\n",
    "2 2\nZoë 1 2\nx y\t3 4\r\n".encode(),
    b"a 1\nb 2\n\nc -3\n",
)
BINARY = (
    b"2 3\n" + b"".join(word + b" " + struct.pack("<3f", 1, -2.5, 1e-3) + b"\n" for word in (b"Ada", b"met")),
    b"1 2\nx " + struct.pack("<2f", 0.5, float("nan")),
)
PACKED = tuple(gzip.compress(content, mtime=0) for content in (*TEXT, *BINARY))


def test_vectors(tmp_path: Path) -> None:
    file = tmp_path / "vectors"

    def read(content: bytes, draw: random.Random) -> None:
        put(file, gzip.compress(content, 1) if draw.random() < 0.1 else content)
        vectors = read_vectors(file, limit=draw.choice((None, None, 0, 1, 3)))
        assert vectors.matrix.shape == (len(vectors), vectors.size)
        assert len(set(vectors.words)) == len(vectors)
        assert np.isfinite(vectors.matrix).all()

    words = (b"2 3\n", b"1000000000000 3\n", b"2 1000000000000\n", b"9" * 5000, b" 1 2 3", b"nan", b"  ", b"\x80\x04")
    fuzz("vectors", read, seeds=(*TEXT, *BINARY, *PACKED), words=words)


def npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


ARRAYS = (
    npy(np.arange(6, dtype=np.float32).reshape(3, 2)),
    npy(np.arange(3)),
    npy(np.asfortranarray(np.ones((3, 2, 2), ">f8"))),
    npy(np.array(["a", "b"])),
    npy(np.zeros((0, 3), np.int8)),
)


def test_arrays(tmp_path: Path) -> None:
    file = tmp_path / "train.image.npy"

    def read(content: bytes, draw: random.Random) -> None:
        put(file, content)
        array = load_array(file)
        assert array.dtype.kind in "iuf"
        assert array.nbytes <= len(content)
        sentences = [Sentence.from_tokens(["x"]) for _ in range(draw.choice((len(array) if array.ndim else 1, 3)))]
        attach_arrays(sentences, tmp_path / "train.jsonl")
        several = array.ndim == 3  # each of which is a sequence of vectors
        rows = [sentence.fields["image"] for sentence in sentences]
        assert all(isinstance(row, FrameRecord) if several else row.ndim for row in rows)

    words = (b"(3, 2)", b"(1000000000000,)", b"(0, 1000000000000)", b"'<f8'", b"'|O'", b"True", b"\x93NUMPY", b"()")
    words = (
        *words,
        b"'descr': ",
        b"'<U1000000000'",
        b"'<V9'",
        b"[('a', '<f4')]",
        b"(" * 100,
        b"1L",
        b"(-1,)",
        b"PK\3\4",
    )
    fuzz("arrays", read, seeds=ARRAYS, words=words)
