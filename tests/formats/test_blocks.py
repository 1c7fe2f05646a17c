"""Blocks hold what their inputs hold: the same records, lines and faults, wherever they are cut."""

from __future__ import annotations

import io
import os
import random
import sys
import threading
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from seqkit.errors import DataError
from seqkit.formats import blocks
from seqkit.formats.blocks import Block, cut
from seqkit.formats.format import Description
from seqkit.formats.registry import describe, part_sentences, part_texts, read_sentences, read_texts
from seqkit.formats.text import known_encoding
from seqkit.records import Sentence

ENDS = ["\n", "\r\n", "\r"]
PIECES: dict[str, list[str]] = {
    "text": ["Ada", " ", "\t", "é", "\u2028", "\x85", "\ufeff", "\x00"],
    "conll": ["Ada O", "met\tO", "\t", " ", "# a comment", "# id = 1", "# O", "-DOCSTART- O", "Ada", "a  b"],
    "conllu": ["1\tAda" + 8 * "\t_", "2\tmet" + 8 * "\t_", "# text = Ada", "1-2\tx" + 8 * "\t_", "# x", "\t"],
    "jsonl": ['{"text": "Ada met"}', '{"tokens": ["a"], "text": "a", "ner": ["O"]}', "{", " ", '{"text": 1}'],
    "csv": ["pos,Ada", '"', "text", ",", "label", 'neg,"a', 'b"', '""', "label,text", " ", '5" disk', "x", "\ufeff"],
    "tsv": ["pos\tAda", '"', "text", "\t", "label", "label\ttext", " ", "x"],
}


GOOD = {
    "conll": ["Ada O\n", "met O\n", "# a comment\n", "# O\n", "-DOCSTART- O\n", "\n", " \n"],
    "conllu": [
        "1\tAda" + 8 * "\t_" + "\n\n",
        "# text = Ada\n",
        "\n",
        "# x\n",
        "1\ta" + 8 * "\t_" + "\n2\tb" + 8 * "\t_" + "\n\n",
    ],
    "jsonl": ['{"text": "Ada met"}\n', '{"tokens": ["a"], "text": "a", "ner": ["O"]}\n', "\n"],
}


def split(text: str) -> list[tuple[int, int]]:
    """One token: all of it."""
    return [(0, len(text))] if text else []


def outcome(records: Iterator[Sentence]) -> tuple[list[Sentence], str]:
    """What comes, and the fault that it ends in."""
    found: list[Sentence] = []
    try:
        for record in records:
            found.append(record)
    except DataError as error:
        return found, str(error)
    return found, ""


def from_blocks(inputs: list[tuple[str, str]], size: int) -> Iterator[Sentence]:
    for block in cut([(file, describe(file, Description(format))[0]) for file, format in inputs], size):
        for part in block:
            texts = part.format in ("csv", "tsv")
            yield from part_texts(part, split) if texts else part_sentences(part, split)


def whole(file: Path, format: str) -> Iterator[Sentence]:
    if format in ("csv", "tsv"):
        return read_texts(file, format, label=None, splitter=split)
    return read_sentences(file, format, splitter=split, allow_unlabelled=True)


def content(draw: random.Random, format: str) -> bytes:
    """Lines of a format, faults and all, with line endings of every kind."""
    ends = draw.choice([["\n"], ["\r\n"], ["\r"], ENDS])
    faulty = draw.random() < 0.3
    pieces = PIECES[format] if faulty else GOOD.get(format, PIECES[format])
    text = draw.choice(["", "", "\ufeff"])
    for _ in range(draw.randrange(30)):
        text += draw.choice(pieces) + (draw.choice(ends) if draw.random() < 0.8 else "")
        text += draw.choice(ends) if draw.random() < 0.3 else ""
    data = text.encode()
    return data + b"\xff\n" if draw.random() < 0.05 else data


@pytest.mark.parametrize("format", PIECES)
def test_blocks_of_any_size_hold_what_the_file_holds(format: str, tmp_path: Path) -> None:
    draw = random.Random(format)
    file = tmp_path / "in"
    records = 0
    for _ in range(200):
        data = content(draw, format)
        file.write_bytes(data)
        expected = outcome(whole(file, format))
        for size in (1, draw.randrange(2, 60), 10_000):
            assert outcome(from_blocks([(str(file), format)], size)) == expected, (data, size)
        records += len(expected[0])
    assert records > 150


@pytest.mark.parametrize("size", [1, 100, 1 << 19])
def test_a_width_that_only_a_late_row_tells(size: int, tmp_path: Path) -> None:
    file = tmp_path / "in.conll"
    rows = "Ada O\n# O\n\n# not O\nmet O\n\n"
    for head in ("# a comment\n" * 10_001, "# O\n\n" * 30, "\n \n-DOCSTART- O\n\n" * 9):
        file.write_text(head + rows)
        expected = outcome(whole(file, "conll"))
        assert outcome(from_blocks([(str(file), "conll")], size)) == expected
        assert [sentence.tokens for sentence in expected[0]][-2:] == [["Ada", "#"], ["met"]]


def test_blocks_are_about_as_large_as_wanted(tmp_path: Path) -> None:
    file = tmp_path / "in"
    file.write_text("".join(f"{number}\n" + "\n" * (number % 7 == 0) for number in range(5000)))
    for format in ("text", "conll"):
        sizes = [sum(len(part.data) for part in block) for block in cut([(str(file), Description(format))], 1000)]
        assert all(900 < size <= 1000 for size in sizes[:-1])
        assert sum(sizes) == file.stat().st_size


def test_a_sentence_longer_than_a_block_stays_whole(tmp_path: Path) -> None:
    file = tmp_path / "in"
    lines = ["short", "x" * 100_000, "", "y" * 5000, "short"]
    file.write_text("\n".join(lines))
    found = [part.data.decode() for block in cut([(str(file), Description("text"))], 100) for part in block]
    assert "".join(found) == "\n".join(lines)
    assert any(part.startswith("x" * 100_000 + "\n") for part in found)


def test_small_files_share_a_block(tmp_path: Path) -> None:
    inputs = []
    for number in range(9):
        file = tmp_path / str(number)
        file.write_text(f"{number}\n" * number)
        inputs.append((str(file), Description("text")))
    found = list(cut(inputs, 40))
    assert [[Path(part.name).name for part in block] for block in found] == [list("1234"), list("56"), list("78")]
    assert [part.data for part in chain.from_iterable(found)] == [f"{n}\n".encode() * n for n in range(1, 9)]
    assert [len(block) for block in cut(inputs[5:8:2], 22)] == [1, 1]  # which together are too many


def test_what_comes_before_an_unreadable_file_is_given_first(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("Ada\n")
    missing = str(tmp_path / "none")
    found = cut([(str(tmp_path / "a"), Description("text")), (missing, Description("text"))])
    assert [part.data for part in next(found)] == [b"Ada\n"]
    with pytest.raises(DataError) as caught:
        next(found)
    assert str(caught.value) == f"{missing}: cannot be read: No such file or directory"


# --- pipes --------------------------------------------------------------------------------------------------------


class Pipe:
    """Standard input that a test writes to."""

    def __init__(self) -> None:
        reading, self.writing = os.pipe()
        self.buffer = open(reading, "rb")  # noqa: SIM115 - closed below

    def write(self, data: bytes) -> None:
        os.write(self.writing, data)


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pipe]:
    found = Pipe()
    monkeypatch.setattr(sys, "stdin", found)
    yield found
    found.buffer.close()


def data_of(block: Block) -> bytes:
    (part,) = block
    assert part.name == "<stdin>"
    return part.data


def test_a_pipe_that_pauses_ends_a_block(pipe: Pipe) -> None:
    found = cut([("-", Description("text"))])
    pipe.write(b"Ada met\nhim")
    assert data_of(next(found)) == b"Ada met\n"  # the rest is no line yet
    pipe.write(b" there\n")
    assert data_of(next(found)) == b"him there\n"
    pipe.write(b"a\nb")
    os.close(pipe.writing)
    assert b"".join(map(data_of, found)) == b"a\nb"


def test_a_sentence_that_comes_in_pieces_is_waited_for(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "_PATIENCE", 0.001)
    pieces = [b"Ada O\n", b"met O\r", b"\n\r\nhim O\n"]

    def write() -> None:
        for piece in pieces:
            pipe.write(piece)
            threading.Event().wait(0.02)
        os.close(pipe.writing)

    writer = threading.Thread(target=write)
    writer.start()
    found = [data_of(block) for block in cut([("-", Description("conll"))])]
    writer.join()
    assert b"".join(found) == b"".join(pieces)
    assert found[0].startswith(b"Ada O\nmet O\r\n\r\n")  # whatever came together, no sentence is parted


def test_a_pipe_that_never_pauses_fills_its_blocks(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "_PATIENCE", 60.0)
    lines = [f"{number:09}\n".encode() for number in range(40_000)]
    writer = threading.Thread(target=lambda: (pipe.write(b"".join(lines)), os.close(pipe.writing)))
    writer.start()
    found = [data_of(block) for block in cut([("-", Description("text"))], 100_000)]
    writer.join()
    assert b"".join(found) == b"".join(lines)
    assert [len(data) for data in found] == [100_000] * 4


def test_where_a_pipe_cannot_be_asked_its_blocks_are_filled(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise OSError("no socket")  # as on Windows

    monkeypatch.setattr("select.select", refuse)
    pipe.write(b"Ada\n")
    threading.Timer(0.1, lambda: (pipe.write(b"met\n"), os.close(pipe.writing))).start()
    assert [data_of(block) for block in cut([("-", Description("text"))])] == [b"Ada\nmet\n"]


def test_a_pipe_told_not_to_wait_is_waited_for(pipe: Pipe) -> None:
    os.set_blocking(pipe.buffer.fileno(), False)
    threading.Timer(0.1, lambda: (pipe.write(b"Ada\n"), os.close(pipe.writing))).start()
    assert [data_of(block) for block in cut([("-", Description("text"))])] == [b"Ada\n"]


def test_standard_input_that_is_no_file_of_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"Ada\nmet")))
    assert [data_of(block) for block in cut([("-", Description("text"))], 4)] == [b"Ada\n", b"met"]


def test_parts_are_read_as_the_description_of_their_file_says(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"words": ["Ada", "met"]}\n' * 5, encoding="utf-8")
    description = describe(path, Description(token_column="words"))[0]
    for read in (part_sentences, part_texts):
        parts = [part for block in cut([(str(path), description)], 40) for part in block]
        assert len(parts) > 1
        assert [one.text for part in parts for one in read(part, lambda text: [])] == ["Ada met"] * 5


@pytest.mark.parametrize("size", [1, 7, 30, 1 << 19])
def test_names_of_columns_that_change_between_blocks(size: int, tmp_path: Path) -> None:
    path = tmp_path / "file.conllup"
    path.write_text("# global.columns = FORM LEMMA\nmet\tmeet\n\n# global.columns = LEMMA FORM\nbe\twas\n")
    parts = (part for block in cut([(str(path), Description("conllup"))], size) for part in block)
    found, fault = outcome(sentence for part in parts for sentence in part_sentences(part, None))
    assert [sentence.tokens for sentence in found] == [["met"]]
    assert fault == f"{path}:4: the columns are named once more, and differ"


@pytest.mark.parametrize("size", [1, 7, 30, 1 << 19])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("encoding", ["iso2022_jp", "shift_jis", "hz", "utf-16"])
def test_records_before_a_fault_of_the_encoding(size: int, end: str, encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_bytes("".join(f"{word}{end}" for word in ("Ann", "日本", "Bo", "Cy")).encode(encoding) + b"\xff\xff\xdc")
    given = Description("text", encoding=encoding)
    expected = f"{path}:5: the text is not in the encoding {known_encoding(encoding)} ("
    whole, fault = outcome(read_sentences(path, "text", encoding=encoding))
    parts = (part for block in cut([(str(path), given)], size) for part in block)
    found, again = outcome(sentence for part in parts for sentence in part_sentences(part, None))
    assert [sentence.text for sentence in found] == ["Ann", "日本", "Bo", "Cy"] == [one.text for one in whole]
    assert fault.startswith(expected)
    assert again == fault


def test_texts_whose_tokens_have_a_key_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "file.jsonl"
    path.write_text('{"words": ["Ann", "ran"]}\n{"words": ["Bo"]}\n')
    given = Description("jsonl", token_column="words")
    parts = (part for block in cut([(str(path), given)], 1) for part in block)
    assert [text.text for part in parts for text in part_texts(part, None)] == ["Ann ran", "Bo"]
