from __future__ import annotations

import io
import re
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqkit.errors import DataError
from seqkit.formats import text
from seqkit.formats.text import Lines, is_blank, read_lines


def lines_of(data: bytes) -> list[str]:
    found = list(Lines(io.BytesIO(data), "f"))
    assert [number for number, _ in found] == list(range(1, len(found) + 1))
    return [line for _, line in found]


@pytest.mark.parametrize("ending", [b"\n", b"\r\n", b"\r"])
def test_line_endings(ending: bytes) -> None:
    assert lines_of(b"a" + ending + ending + b"b" + ending) == ["a", "", "b"]
    assert lines_of(b"a" + ending + b"b") == ["a", "b"]


def test_mixed_line_endings() -> None:
    assert lines_of(b"a\rb\r\nc\n\nd") == ["a", "b", "c", "", "d"]


@pytest.mark.parametrize("character", ["\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029", "\x00"])
def test_other_separators_are_characters(character: str) -> None:
    assert lines_of(f"a{character}b\n".encode()) == [f"a{character}b"]
    assert not is_blank(character)


def test_byte_order_mark_goes_at_the_start_only() -> None:
    assert lines_of(b"\xef\xbb\xbfa\n\xef\xbb\xbfb") == ["a", "\ufeffb"]
    assert lines_of(b"\xef\xbb\xbf") == []
    assert lines_of(b"\xef\xbb\xbf\n") == [""]
    assert lines_of(b"") == []


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\ufeff")), max_size=6))
def test_lines_survive(lines: list[str]) -> None:
    assert lines_of("".join(line + "\n" for line in lines).encode()) == lines


def test_bad_bytes_are_named_by_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "latin.txt"
    path.write_bytes("fine\nespañol\n".encode("latin-1"))
    expected = f"{path}:2: expected UTF-8 text, found byte 0xf1 at position 4 (try --encoding latin-1)"
    with pytest.raises(DataError, match=f"^{re.escape(expected)}$"):
        list(read_lines(path))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    missing = tmp_path / "missing.txt"
    with pytest.raises(DataError, match=f"^{re.escape(str(missing))}: cannot be read: No such file or directory$"):
        list(read_lines(missing))
    with pytest.raises(DataError, match=f"^{re.escape(str(tmp_path))}: cannot be read: "):
        list(read_lines(tmp_path))


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO("é\nb".encode()), encoding="ascii"))
    assert list(read_lines("-")) == [(1, "é"), (2, "b")]
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"\xff"), encoding="ascii"))
    with pytest.raises(
        DataError,
        match=r"^<stdin>:1: expected UTF-8 text, found byte 0xff at position 0 \(try --encoding latin-1\)$",
    ):
        list(read_lines("-"))


def test_blank_means_ascii_spaces_and_tabs() -> None:
    assert is_blank("")
    assert is_blank(" \t ")
    assert not is_blank("\u00a0")
    assert not is_blank("\ufeff")


def test_a_stream_that_begins_within_a_file() -> None:
    assert list(Lines([b"\xef\xbb\xbfa\r\n"], "f", 5)) == [(5, "\ufeffa")]
    with pytest.raises(
        DataError,
        match=r"^f:6: expected UTF-8 text, found byte 0xff at position 0 \(try --encoding latin-1\)$",
    ):
        list(Lines([b"a\r\xff\xfe\n"], "f", 5))


@given(st.binary(max_size=60), st.integers(1, 9))
@settings(max_examples=400, deadline=None, derandomize=True)
def test_parts_of_any_size_give_the_same_lines(content: bytes, size: int) -> None:
    def outcome(parts: Iterable[bytes]) -> list[object]:
        found: list[object] = []
        try:
            found.extend(Lines(parts, "f"))
        except DataError as error:
            found.append(str(error))
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text, "PART_BYTES", size)
        small = outcome(text._parts(io.BytesIO(content)))
    assert small == outcome(io.BytesIO(content))  # line by line
    assert small == outcome([content] if content else [])


def test_lines_come_in_blocks() -> None:
    assert list(Lines([b"a\nb\n", b"", b"\n\nc"], "f", 5).blocks()) == [(5, ["a", "b"]), (7, ["", "", "c"])]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("content", ["label,text\nx,y\n", "a é\n", "{}"])
def test_utf_16_without_a_byte_order_mark(encoding: str, content: str, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content.encode(encoding))
    expected = f"{path}:1: expected UTF-8 text, found UTF-16 without a byte-order mark; --encoding {encoding} reads it"
    with pytest.raises(DataError, match=f"^{re.escape(expected)}$"):
        list(read_lines(path))
    assert [line for _, line in read_lines(path, encoding)] == content.splitlines()


@pytest.mark.parametrize(
    ("start", "what"),
    [
        (b"PK\x03\x04", "a zip file or a document of an office program; unpack it, or save it as text or CSV, first"),
        (b"\xd0\xcf\x11\xe0", "a document of an office program; save it as text or CSV first"),
        (b"PAR1", "a Parquet file; from Python, seqkit.train takes the table that pandas reads from it"),
    ],
)
def test_files_that_are_no_text(start: bytes, what: str) -> None:
    with pytest.raises(DataError, match=f"^f:1: expected UTF-8 text, found {re.escape(what)}$"):
        list(Lines([start + b"\0\1\2"], "f"))


def test_a_nul_elsewhere_is_a_character() -> None:
    for content in ("a\0b c", "ab\0\0", "a\0", "\0"):
        assert list(Lines([content.encode()], "f")) == [(1, content)]
