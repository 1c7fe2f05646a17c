from __future__ import annotations

import gzip
import re
import struct
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from seqkit.errors import DataError
from seqkit.inputs import pretrained as module
from seqkit.inputs.pretrained import Vectors, read_vectors

ROWS = {"the": [0.5, -1.25, 2.0], "É": [1e-3, 3.0, -4.5], "3.14": [0.0, 1.0, 2.0]}


def text(rows: dict[str, list[float]], header: bool = False) -> bytes:
    lines = [f"{len(rows)} {len(next(iter(rows.values())))}"] if header else []
    lines += [" ".join([word, *map(str, values)]) for word, values in rows.items()]
    return ("\n".join(lines) + "\n").encode()


def binary(rows: dict[str, list[float]], newline: bytes = b"\n") -> bytes:
    size = len(next(iter(rows.values())))
    body = [
        word.encode("utf-8", "surrogateescape") + b" " + struct.pack(f"<{size}f", *values) + newline
        for word, values in rows.items()
    ]
    return f"{len(rows)} {size}\n".encode() + b"".join(body)


def check(vectors: Vectors, rows: dict[str, list[float]]) -> None:
    assert vectors.words == list(rows)
    assert vectors.matrix.dtype == np.float32
    np.testing.assert_array_equal(vectors.matrix, np.array(list(rows.values()), dtype=np.float32))


def fault(tmp_path: Path, content: bytes, message: str, line: int | None = None, **options: int) -> None:
    path = tmp_path / "vectors"
    path.write_bytes(content)
    where = f"{path}: " if line is None else f"{path}:{line}: "
    with pytest.raises(DataError, match=f"^{re.escape(where + message)}$"):
        read_vectors(path, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "content",
    [
        text(ROWS),
        text(ROWS, header=True),
        text(ROWS).replace(b"\n", b"\r\n"),
        text(ROWS).replace(b"\n", b" \n"),  # fastText ends lines so
        text(ROWS).replace(b" ", b"\t"),
        text(ROWS, header=True).replace(b" ", b"\t"),
        text(ROWS).replace(b" ", b"  "),
        text(ROWS).rstrip(b"\n"),
        text(ROWS) + b"\n\n",
        b"\xef\xbb\xbf" + text(ROWS),
        binary(ROWS),
        binary(ROWS, newline=b""),
    ],
    ids=[
        "glove",
        "header",
        "crlf",
        "trailing-space",
        "tabs",
        "header-tabs",
        "spaces",
        "no-newline",
        "blank-end",
        "bom",
        "binary",
        "binary-gensim",
    ],
)
@pytest.mark.parametrize("compressed", [False, True])
def test_every_format_gives_the_same(tmp_path: Path, content: bytes, compressed: bool) -> None:
    path = tmp_path / "vectors"
    path.write_bytes(gzip.compress(content) if compressed else content)
    vectors = read_vectors(path)
    check(vectors, ROWS)
    assert (len(vectors), vectors.size) == (3, 3)
    vectors.matrix[0] = 0.0  # writable: an embedding may go on training it


@settings(max_examples=40, deadline=None)
@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n\r\t "), min_size=1, max_size=5),
        st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=3, max_size=3),
        min_size=1,
        max_size=8,
    ),
    st.sampled_from(["text", "header", "binary", "binary without line endings"]),
)
@example({"0000": [1.5306963919321697e-23, 0.0, 0.0]}, "binary")  # begins like a line of text, with a digit
def test_values_survive_exactly(
    tmp_path_factory: pytest.TempPathFactory, rows: dict[str, list[float]], layout: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "vectors"
    rows = {word: values for word, values in rows.items() if not word.startswith("\ufeff")}  # taken for a mark of order
    if not rows:
        return
    if layout.startswith("binary"):
        path.write_bytes(binary(rows, b"" if "without" in layout else b"\n"))
    else:
        path.write_bytes(text(rows, header=layout == "header"))
    check(read_vectors(path), rows)


@pytest.mark.parametrize("word", ["\x0b", "a\x0cb", "\x01", "\u2028"])
def test_only_spaces_and_tabs_part_the_first_word_from_its_values(tmp_path: Path, word: str) -> None:
    path = tmp_path / "vectors"
    for content in (text({word: [1.0, 2.0]}), text({word: [1.0, 2.0]}, header=True), binary({word: [1.0, 2.0]})):
        path.write_bytes(content)
        check(read_vectors(path), {word: [1.0, 2.0]})


@pytest.mark.parametrize("content", [text(ROWS), text(ROWS, header=True), binary(ROWS)])
@pytest.mark.parametrize("limit", [0, 1, 2, 3, 9])
def test_only_the_first_vectors(tmp_path: Path, content: bytes, limit: int) -> None:
    path = tmp_path / "vectors"
    path.write_bytes(content)
    check_rows = dict(list(ROWS.items())[:limit])
    vectors = read_vectors(path, limit=limit)
    assert vectors.words == list(check_rows)
    assert vectors.matrix.shape == (len(check_rows), 3)


def test_what_follows_the_limit_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "vectors"
    path.write_bytes(b"a 1 2\nb x y\n")
    check(read_vectors(path, limit=1), {"a": [1.0, 2.0]})


def test_the_first_of_equal_words_counts(tmp_path: Path) -> None:
    path = tmp_path / "vectors"
    for content in (b"a 1 2\nb 3 4\na 5 6\n", b"3 2\na 1 2\nb 3 4\na 5 6\n"):
        path.write_bytes(content)
        check(read_vectors(path), {"a": [1.0, 2.0], "b": [3.0, 4.0]})
    values = struct.Struct("<2f").pack
    path.write_bytes(b"3 2\na " + values(1, 2) + b"b " + values(3, 4) + b"a " + values(5, 6))
    check(read_vectors(path), {"a": [1.0, 2.0], "b": [3.0, 4.0]})


def test_words_with_spaces_and_odd_white_space(tmp_path: Path) -> None:
    path = tmp_path / "vectors"
    rows = {"a": [1.0, 2.0], ". . .": [3.0, 4.0], "at x@y.com": [5.0, 6.0], "\u00a0": [7.0, 8.0], "b\x85": [9.0, 1.0]}
    path.write_bytes(text(rows))
    check(read_vectors(path), rows)
    path.write_bytes(text(rows, header=True))
    check(read_vectors(path), rows)


def test_many_blocks_and_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BLOCK", 7)
    monkeypatch.setattr(module, "_CHUNK", 31)
    rows = {f"word{index}": [float(index), index / 8, -1.0] for index in range(100)}
    for content in (text(rows), text(rows, header=True), binary(rows), binary(rows, b"")):
        path = tmp_path / "vectors"
        path.write_bytes(content)
        check(read_vectors(path), rows)


@pytest.mark.parametrize("first", [10.0, 2.6e-44, 1.7e-43])
def test_a_line_ending_among_the_bytes_of_a_value_is_none(tmp_path: Path, first: float) -> None:
    value = struct.unpack("<f", b"\n\n\n\n")[0]
    path = tmp_path / "vectors"
    rows = {"the": [value, first, value], "of": [first, value, value]}
    path.write_bytes(binary(rows))
    check(read_vectors(path), {word: list(map(float, values)) for word, values in rows.items()})


def test_a_word_cut_within_a_character_is_decoded_with_replacement(tmp_path: Path) -> None:
    path = tmp_path / "vectors"
    path.write_bytes(binary({"a": [1.0, 2.0], "b\udcc3": [3.0, 4.0]}))
    assert read_vectors(path).words == ["a", "b\ufffd"]


@pytest.mark.parametrize(
    ("content", "message", "line"),
    [
        (b"", "the file is empty", 1),
        (b"\n", "expected a word and its values, found an empty line", 1),
        (b"word\n", "expected a word and its values, or a header of two numbers, found 'word'", 1),
        (b"one two\n", "expected a word and its values, or a header of two numbers, found 'one two'", 1),
        (b"a 1 2\nb 3\n", "expected 2 values, found 1", 2),
        (b"a 1 2\nb 3 4 5\n", "expected 2 values, found 3", 2),
        (b"a 1 2\nb", "expected 2 values, found 0", 2),
        (b"a 1 2\n 3 4\n", "the word before the 2 values is missing", 2),
        (b"a 1 2\n\nb 3 x\n", "expected finite numbers, found 'x'", 3),
        (b"a 1 2\nb 1_0 3\n", "expected finite numbers, found '1_0'", 2),
        (b"a 1 2\nb 3 nan\n", "expected finite numbers, found 'nan'", 2),
        (b"a 1 2\nb 3 1e39\n", "expected finite numbers, found '1e39'", 2),
        (b"a 1 2\nb 3 -\n", "expected finite numbers, found '-'", 2),
        (b"a 1 2 3\nb 4-5 6\nc 7 8 9\n", "expected 3 values, found 2", 2),
        (b"a 1 2 3\nb 4-5 6 7\nc 7 8 9\n", "expected finite numbers, found '4-5'", 2),
        (b"a 1 2\n\xff 3 4\n", "expected UTF-8 text, found byte 0xff in a word", 2),
        (b"2 2\na 1 2\nb 3\n", "expected 2 values, found 1", 3),
        (b"2 0\n", "the size of a vector must be at least 1, found 0", 1),
        (b"2 30\na 1 2\nb 3\n", "vectors of size 30 do not fit in a file of 15 bytes", 1),
        (
            b"2 100000000000000000\na 1 2\n",
            "vectors of size 100000000000000000 do not fit in a file of 27 bytes",
            1,
        ),
        (b"9" * 5000 + b" 2\na 1 2\n", "expected 1 values, found 2", 2),
        (b"1 " + b"9" * 400 + b"\n", "expected finite numbers, found '" + "9" * 400 + "'", 1),
        (b"3 2\na 1 2\nb 3 4\n", "expected 3 vectors, as the first line says, found 2", None),
        (b"1 2\na 1 2\nb 3 4\n", "expected 1 vectors, as the first line says, found 2", None),
        (b"3 2\n", "expected 3 vectors, as the first line says, found 0", None),
        (binary(ROWS)[:-5], "expected 3 vectors, as the first line says, found 2", None),
        (binary(ROWS)[:12], "expected 3 vectors, as the first line says, found 0", None),
        (
            binary({"a": [1.0, float("nan")]}),
            "the vector of 'a' has values that are not finite",
            None,
        ),
        (gzip.compress(text(ROWS), mtime=0)[:-12], "the gzip file is cut short", None),
    ],
)
def test_faults_are_named(tmp_path: Path, content: bytes, message: str, line: int | None) -> None:
    fault(tmp_path, content, message, line)


@pytest.mark.parametrize(
    ("start", "kind"),
    [
        (b"PK\x03\x04", "a zip archive (unpack it first)"),
        (b"\xba\x16\x4f\x2f", "a fastText model (its vectors are in the .vec file)"),
        (b"\x80\x04", "a Python pickle"),
    ],
)
def test_other_files_are_recognised(tmp_path: Path, start: bytes, kind: str) -> None:
    message = f"expected vectors as text or word2vec binary, gzipped or not, found {kind}"
    fault(tmp_path, start + bytes(100), message)


def test_a_damaged_gzip_file(tmp_path: Path) -> None:
    content = bytearray(gzip.compress(text({f"w{index}": [float(index), 1.5] for index in range(500)})))
    content[60:90] = bytes(30)
    path = tmp_path / "vectors"
    path.write_bytes(bytes(content))
    with pytest.raises(DataError, match=f"^{re.escape(str(path))}"):
        read_vectors(path)


def test_a_binary_file_without_spaces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LONGEST_WORD", 64)
    monkeypatch.setattr(module, "_CHUNK", 32)
    fault(tmp_path, b"2 2\n" + b"\x01" * 500, "expected words and float32 values, found no space after a word")


def test_a_vector_longer_than_what_is_read_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CHUNK", 16)
    rows = {"a": [float(value) for value in range(100)], "b": [1.5] * 100}
    path = tmp_path / "vectors"
    path.write_bytes(binary(rows))
    assert read_vectors(path).matrix.tolist() == list(rows.values())
    fault(tmp_path, binary(rows)[:-9], "expected 2 vectors, as the first line says, found 1")


@pytest.mark.parametrize("start", [b"", b"a 1 2\n", b"2 2\na 1 2\n"], ids=["first", "second", "third"])
@pytest.mark.parametrize("compressed", [False, True])
def test_a_line_without_an_end(tmp_path: Path, start: bytes, compressed: bool) -> None:
    """Packed it may be a thousand times as long as the file: it is never read at once."""
    content = start + b"b 1 2" + b" " * (3 << 20)
    what = (
        "a word and 2 values, found a line of more than 1048704"
        if start
        else "a word and its values, found a line of more than 1048576"
    )
    fault(tmp_path, gzip.compress(content) if compressed else content, f"expected {what} bytes", start.count(b"\n") + 1)


def test_a_word_with_spaces_before_many_values(tmp_path: Path) -> None:
    path = tmp_path / "vectors"
    path.write_bytes(b"a" + b" 1" * 500 + b"\n b  1 1 c " + b" 1" * 499 + b"  2 \n")
    vectors = read_vectors(path)
    assert vectors.words == ["a", "b  1 1 c"]
    assert vectors.matrix[1].tolist() == [1.0] * 499 + [2.0]


def test_a_missing_file(tmp_path: Path) -> None:
    path = tmp_path / "none"
    with pytest.raises(DataError, match=f"^{re.escape(str(path))}: cannot be read: No such file or directory$"):
        read_vectors(path)


def test_older_numpy_only_warns_of_text_that_is_no_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def only_warns(string: bytes, dtype: object, sep: str) -> np.ndarray:
        warnings.warn("string or file could not be read to its end", DeprecationWarning, stacklevel=2)
        return np.zeros(4, dtype=np.float32)

    monkeypatch.setattr(np, "fromstring", only_warns)
    fault(tmp_path, b"a 1 2\nb 3 x\n", "expected finite numbers, found 'x'", 2)
