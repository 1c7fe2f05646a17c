"""Text that is read while it is still being written: cut anywhere, it is what `read_lines` reads of the whole."""

from __future__ import annotations

import io
import random
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from seqkit.errors import DataError
from seqkit.formats.live import Piece, read_pieces, whole_lines
from seqkit.formats.text import read_lines


class Dribble(io.RawIOBase):
    """A pipe that gives a few bytes at a time, and now and then has nothing."""

    def __init__(self, data: bytes, draw: random.Random, waits: bool) -> None:
        self.data, self.draw, self.waits = data, draw, waits

    def read(self, size: int = -1) -> bytes | None:  # type: ignore[override]
        if self.waits and self.draw.random() < 0.2:
            return None
        size = self.draw.randint(1, 9)
        found, self.data = self.data[:size], self.data[size:]
        return found


class Terminal:
    """What `sys.stdin` is of a process, with a pipe of our own."""

    def __init__(self, raw: io.RawIOBase) -> None:
        self.buffer = self
        self.raw = raw


@pytest.fixture
def pieces(monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    monkeypatch.setattr("seqkit.formats.live._PAUSE", 0.0)

    def read(data: bytes, seed: int = 0, encoding: str = "") -> Iterator[Piece]:
        draw = random.Random(seed)
        monkeypatch.setattr(sys, "stdin", Terminal(Dribble(data, draw, seed % 2 == 0)))
        return read_pieces("-", encoding)

    return read  # type: ignore[return-value]


def test_cut_anywhere_lines_are_those_of_the_whole(pieces, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    draw = random.Random(1)
    file = tmp_path / "in.txt"
    for seed in range(300):
        marks = ["a", "bc", " ", "\t", "\n", "\r\n", "\r", "é", "😀", "\u2028", "\x0b", "word"]
        text = "".join(draw.choices(marks, k=draw.randint(0, 30)))
        data = (b"\xef\xbb\xbf" if seed % 5 == 0 else b"") + text.encode()
        file.write_bytes(data)
        found = list(pieces(data, seed))
        lines = [(piece.line, piece.text) for piece in whole_lines(iter(found))]
        assert lines == list(read_lines(file))
        assert [piece.ended for piece in found[-1:]] == [True] * bool(lines)
        for before, after in pairwise(found):  # no word is cut
            assert before.ended or before.text[-1] in " \t" or not after.text


def test_whatever_the_bytes_are_lines_and_faults_are_those_of_the_whole(pieces, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    draw = random.Random(2)
    file = tmp_path / "in.txt"
    marks = [
        b"a",
        b"\xff",
        b"\0",
        b"\xc3",
        b"\xa9",
        b" ",
        b"\n",
        b"\r",
        b"PK\x03\x04",
        b"\xef\xbb\xbf",
        b"\x1f\x8b",
        b"b c",
    ]
    faults = 0
    for seed in range(500):
        data = b"".join(draw.choices(marks, k=draw.randint(0, 12)))
        file.write_bytes(data)
        expected, found = [], []  # type: ignore[var-annotated]
        for lines, kept in ((read_lines(file), expected), (whole_lines(pieces(data, seed)), found)):
            try:
                kept += [(line[0], line[1]) for line in lines]
            except DataError as error:
                kept.append(str(error).rpartition(".txt:")[2].rpartition("<stdin>:")[2])
                faults += 1
        if not (data.startswith(b"\x1f\x8b") or b"\0" in data[:8]):  # a file that is unpacked; UTF-16 of a few bytes
            assert found == expected
    assert faults > 300


def test_a_word_comes_as_soon_as_what_ends_it() -> None:
    seen: list[Piece] = []
    given = [b"Ada ", b"met", b" Bo", b"\r", b"\n\nC", b""]
    expected = [
        [],
        [Piece(1, "Ada ", False)],
        [],
        [Piece(1, "met ", False)],
        [Piece(1, "Bo", True)],
        [Piece(2, "", True)],
    ]
    found: list[list[Piece]] = []

    class Writer(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:
            found.append(seen[:])
            seen.clear()
            return given.pop(0)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", Terminal(Writer()))
        for piece in read_pieces("-"):
            seen.append(piece)
    assert found == expected
    assert seen == [Piece(3, "C", False), Piece(3, "", True)]


def test_other_encodings(pieces) -> None:  # type: ignore[no-untyped-def]
    for encoding in ("latin-1", "utf-16", "utf-16-le", "cp1252"):
        found = whole_lines(pieces("é è\n\nü".encode(encoding), 3, encoding))
        assert [piece.text for piece in found] == ["é è", "", "ü"]


@pytest.mark.parametrize(
    ("data", "before", "message"),
    [
        (
            b"a b\nc \xc3\xa9 \xff d\n",
            ["a b", "c é "],
            "<stdin>:2: expected UTF-8 text, found byte 0xff at position 5 (try --encoding latin-1)",
        ),
        (
            b"a b c\xc3",
            ["a b "],
            "<stdin>:1: expected UTF-8 text, found byte 0xc3 at position 5 (try --encoding latin-1)",
        ),
        (b"PK\x03\x04 a", [], "<stdin>:1: expected UTF-8 text, found a zip file or a document of an office program; "),
        (b"\xff\xfea\0 \0", [], "<stdin>:1: expected UTF-8 text, found UTF-16; --encoding utf-16 reads it"),
    ],
)
def test_faults_have_their_place_and_what_came_before(pieces, data: bytes, before: list[str], message: str) -> None:  # type: ignore[no-untyped-def]
    for seed in range(20):
        found: list[str] = []
        with pytest.raises(DataError) as caught:
            for piece in pieces(data, seed):
                found += [""] * (piece.line - len(found))
                found[-1] += piece.text
        assert found == before
        assert str(caught.value).startswith(message)


def test_a_long_word_takes_linear_time(pieces) -> None:  # type: ignore[no-untyped-def]
    """Each byte is looked at once, not again with each that follows."""
    word = b"x" * 200_000
    assert [piece.text for piece in whole_lines(pieces(word, 1))] == [word.decode()]
