"""Inputs made to take time or memory beyond proportion: long lines, many columns, much of what is rare.

Where time grew with the square of the size, these would take minutes: each has to end within that of one case.
Memory is counted for a tenth of the size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from harness import SPARE_BYTES, limited_memory, limited_time, put

from seqkit.corpora.check import check
from seqkit.corpora.convert import convert_file
from seqkit.corpora.resolve import resolve
from seqkit.corpora.statistics import statistics
from seqkit.errors import SeqkitError
from seqkit.formats.blocks import cut
from seqkit.formats.conll import read_conll
from seqkit.formats.conllu import read_conllu
from seqkit.formats.format import Description, ReadOptions
from seqkit.formats.jsonl import read_jsonl
from seqkit.formats.registry import FORMATS, describe, part_sentences, part_texts
from seqkit.formats.splitting import SPLITTERS, Splitter
from seqkit.formats.tables import read_table
from seqkit.formats.text import Lines
from seqkit.heads.generation.verse import line_lengths
from seqkit.inputs.pretrained import read_vectors
from seqkit.inputs.segmentation import Units

ONE_BY_ONE = 512
"""bytes of memory for a byte of the longest sentence, where sentences are not kept"""
KEPT = 1_000
"""bytes of memory for a byte of the file, where they are"""

SPLIT = Splitter("words").split
Make = Callable[[int], bytes]


def drain(records: Iterable[object]) -> int:
    try:
        return sum(1 for _ in records)
    except SeqkitError:
        return -1


def stays_small(read: Callable[[bytes], object], make: Make, size: int, multiple: int) -> None:
    read(make(10))  # what is imported and made once
    with limited_time():
        read(make(size))
    content = make(size // 10)
    with limited_memory(multiple * len(content) + SPARE_BYTES):
        read(content)


def row(number: object, word: str = "a", tag: str = "_") -> bytes:
    return f"{number}\t{word}\t_\t{tag}\t_\t_\t_\t_\t_\t_\n".encode()


COLUMNS: dict[str, Make] = {
    "a sentence": lambda n: b"a O\n" * n,
    "sentences": lambda n: b"a O\n\n" * n,
    "lines that end with a carriage return": lambda n: b"a O\r" * n,
    "rows that need a closer look": lambda n: b"a  O\n" * n,
    "columns": lambda n: b"a " * n + b"\n",
    "rows of many columns": lambda n: (b"a\t" * (n // 10) + b"b\n") * 10,
    "comments": lambda n: b"# a\n" * n,
    "hashes": lambda n: b"#\tO\n" * n,
    "starts of documents": lambda n: b"-DOCSTART- O\n" * n + b"a O\n",
    "blank lines": lambda n: b" \n" * n + b"\n" * n,
}
UNIVERSAL: dict[str, Make] = {
    "a sentence": lambda n: b"".join(map(row, range(1, n // 10))),
    "a text of spaces": lambda n: b"# text = " + b" " * n + b"\n" + row(1),
    "comments": lambda n: b"# text = a\n" * n + row(1),
    "ranges": lambda n: b"".join(row(f"{i}-{n // 20}") + row(i) for i in range(1, n // 20)),
    "empty nodes": lambda n: row("1.1") * (n // 10) + row(1),
}
KNOWN: dict[tuple[str, str], Make] = {
    ("conllup", "columns"): lambda n: (
        b"# global.columns = FORM " + b" ".join(b"C%d" % i for i in range(n)) + b"\na" + b"\tb" * n + b"\n"
    ),
    ("conllup", "names again"): lambda n: b"# global.columns = ID FORM X\n" * n,
    ("conll2009", "arguments"): lambda n: (b"1" + b"\t0" * 11 + b"\t_\t_" + b"\t_" * n + b"\n\n") * 3,
    ("conll2012", "entities within others"): lambda n: b"d 0 0 a X * - - - - " + b"(X" * n + b"*" + b")" * n + b" -\n",
    ("conll2012", "entities"): lambda n: b"".join(b"d 0 %d a X * - - - - (X)(Y) -\n" % i for i in range(n // 10)),
    ("token-table", "rows"): lambda n: b"sent_id,word,tag\n1,a,O\n" + b",b,O\n" * n,
    ("token-table", "sentences"): lambda n: b"sent_id,word,tag\n" + b"1,b,O\n2,a,O\n" * n,
    ("token-table", "blank lines"): lambda n: b"\n" * n + b"sent_id,word,tag\n" + b" \n" * n,
    ("conll", "columns"): lambda n: b"".join(b"%d\t" % i + b"a\t" * (n // 400) + b"\n" for i in range(400)),
    ("conll", "blank cells"): lambda n: b"a\tb" + b"\t" * n + b"\n",
    ("conll", "names"): lambda n: b"word\tner\t" + b"\t".join(b"c%d" % i for i in range(n)) + b"\n",
    ("conll", "comments"): lambda n: b"#\tb\tc\na\tO\tO\n\n" * n,
}
OBJECTS: dict[str, Make] = {
    "objects": lambda n: b'{"text":"a"}\n' * (n // 4),
    "depth": lambda n: b'{"text":"a","x":' + b"[" * n + b"]" * n + b"}",
    "open lists": lambda n: b"[" * n,
    "keys": lambda n: b'{"text":"a"' + b"".join(b',"k%d":1' % i for i in range(n // 4)) + b"}",
    "columns of one token": lambda n: b'{"tokens":["a"]' + b"".join(b',"k%d":["O"]' % i for i in range(n // 4)) + b"}",
    "token objects": lambda n: b'{"tokens":[' + b'{"text":"a","l":"O"},' * (n // 4) + b'{"text":"b","l":"O"}]}',
    "spans": lambda n: (
        b'{"text":"' + b"a " * (n // 8) + b'","spans":['
        + b",".join(b'{"start":%d,"end":%d,"label":"X"}' % (2 * i, 2 * i + 1) for i in range(n // 8)) + b"]}"
    ),
    "nested spans": lambda n: (
        b'{"text":"' + b"a " * (n // 8) + b'","spans":['
        + b",".join(b'{"start":%d,"end":%d,"label":"X"}' % (2 * i, n // 4 - 2 * i - 1) for i in range(n // 20)) + b"]}"
    ),
    "a number": lambda n: b'{"text":"a","x":' + b"9" * n + b"}",
    "a fraction": lambda n: b'{"text":"a","x":0.' + b"9" * n + b"}",
}  # fmt: skip
DOCUMENTS: dict[str, tuple[str, Make]] = {
    "lines": ("doccano", lambda n: b'{"text":"' + b"a\\n" * (n // 4) + b'","label":[[0,1,"X"]]}'),
    "spans": (
        "doccano",
        lambda n: b'{"text":"' + b"a\\n" * (n // 8) + b'","label":['
        + b",".join(b'[%d,%d,"X"]' % (2 * i, 2 * i + 1) for i in range(n // 8)) + b"]}",
    ),
    "units": (
        "doccano",
        lambda n: b'{"text":"' + "\U0001f600 ".encode() * (n // 16) + b'","label":['
        + b",".join(b'[%d,%d,"X"]' % (3 * i, 3 * i + 2) for i in range(n // 16)) + b"]}",
    ),
    "an array": ("json", lambda n: b'[' + b'{"text":"a"},\n' * (n // 4) + b'{"text":"b"}]'),
    "open arrays": ("json", lambda n: b'[' * n),
    "an object": ("json", lambda n: b'{"a":[' + b'{"text":"a"},\n' * (n // 4) + b'{"text":"b"}]}'),
    "keys": ("json", lambda n: b'{' + b",".join(b'"k%d":1' % i for i in range(n // 4)) + b"}"),
    "pairs": ("spacy_json", lambda n: b'[' + b'["a",{"entities":[[0,1,"X"]]}],\n' * (n // 8) + b"null]"),
    "rows": (
        "webanno",
        lambda n: b"#FORMAT=WebAnno TSV 3.3\n#T_SP=a|b\n\n#Text=x\n"
        + b"".join(b"1-%d\t%d-%d\ta\tX[1]\n" % (i, 2 * i, 2 * i + 1) for i in range(1, n // 10)),
    ),
    "a cell": (
        "webanno",
        lambda n: b"#FORMAT=WebAnno TSV 3.3\n#T_SP=a|b\n1-1\t0-1\ta\t" + b"X|" * n + b"[" * n + b"\n",
    ),
    "layers": ("webanno", lambda n: b"#FORMAT=WebAnno TSV 3.3\n" + b"#T_SP=a|b\n" * (n // 10) + b"1-1\t0-1\ta\t_\n"),
}  # fmt: skip
TABLES: dict[str, Make] = {
    "rows": lambda n: b"a,b\ta\n" * n,
    "names": lambda n: b"text," + b",".join(b"c%d" % i for i in range(n)) + b"\n",
    "tabs and names": lambda n: b"text\t" + b"\t".join(b"c%d" % i for i in range(n)) + b"\n",
    "lines in quotes": lambda n: b'text\n"' + b"a\n" * n + b'"\n',
    "quotes in quotes": lambda n: b'text\n"' + b'""' * n + b'"\n',
    "open quotes": lambda n: b'a","""\n' * n,
}


@pytest.mark.parametrize(("format", "name"), KNOWN)
def test_columns_of_other_formats(format: str, name: str, tmp_path: Path) -> None:
    def read(content: bytes) -> int:
        put(tmp_path / "f", content)
        found, _ = describe(tmp_path / "f", Description(format))
        options = ReadOptions(allow_unlabelled=True).of(found)
        reader = FORMATS[format].sentences
        assert reader is not None
        return drain(reader(Lines([content], "f"), "f", options))

    stays_small(read, KNOWN[format, name], 100_000, KEPT)


@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.parametrize("one_by_one", [False, True], ids=["blocks", "lines"])
def test_columns(name: str, one_by_one: bool) -> None:
    def read(content: bytes) -> int:
        lines = Lines([content], "f")
        return drain(read_conll(iter(lines) if one_by_one else lines, "f", ReadOptions(allow_unlabelled=True)))

    stays_small(read, COLUMNS[name], 200_000, ONE_BY_ONE)


@pytest.mark.parametrize("name", UNIVERSAL)
def test_conllu(name: str) -> None:
    stays_small(lambda content: drain(read_conllu(Lines([content], "f"), "f")), UNIVERSAL[name], 200_000, ONE_BY_ONE)


@pytest.mark.parametrize("name", OBJECTS)
def test_jsonl(name: str) -> None:
    stays_small(
        lambda content: drain(read_jsonl(Lines([content], "f"), "f", ReadOptions(SPLIT))),
        OBJECTS[name],
        200_000,
        ONE_BY_ONE,
    )


@pytest.mark.parametrize("name", DOCUMENTS)
def test_documents(name: str) -> None:
    format, make = DOCUMENTS[name]
    read = FORMATS[format].sentences
    assert read is not None
    stays_small(lambda content: drain(read(Lines([content], "f"), "f", ReadOptions(SPLIT))), make, 200_000, ONE_BY_ONE)


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("format", ["tsv", "csv", "csv-semicolon"])
def test_tables(name: str, format: str) -> None:
    def read(content: bytes) -> int:
        return drain(read_table(Lines([content], "f"), "f", format, ReadOptions()))

    stays_small(read, TABLES[name], 150_000, ONE_BY_ONE)


@pytest.mark.parametrize("format", FORMATS)
def test_blocks(format: str, tmp_path: Path) -> None:
    shapes: list[Make] = [
        *(lambda n: b"a" * n, lambda n: b"\n" * n, lambda n: b"\r" * n, lambda n: b" " * n, lambda n: b"# a\n" * n),
        *(lambda n: b'"\n' * n, lambda n: b'a","""\n' * n, lambda n: b"-DOCSTART- O\n\n" * n),
    ]
    part = part_texts if FORMATS[format].sentences is None else part_sentences

    def read(content: bytes) -> int:
        put(tmp_path / "f", content)
        blocks = cut([(str(tmp_path / "f"), Description(format))])
        return drain(sentence for block in blocks for one in block for sentence in part(one, SPLIT))

    for make in shapes:
        stays_small(read, make, 50_000, ONE_BY_ONE)


PIECES = (
    *(".", "a", "\u0301", "a.", "www.", "http://", "a@", "@", ":-", "a-", "a'", "1,", "A&", ".!", "No. ", "A. ", " "),
    *("\U0001f469\u200d", "\u1100", "\u0600", "\u0915\u094d", "a\u0301", "n't", "\n", "('", "\ufffd"),
)


@pytest.mark.parametrize("kind", SPLITTERS)
def test_splitting(kind: str) -> None:
    split = Splitter(kind).split
    flags = "\U0001f1e6".encode()  # each half of one once looked back at all before it
    stays_small(lambda content: split(content.decode()), lambda n: flags * n, 200_000, ONE_BY_ONE)
    for piece in PIECES:
        stays_small(
            lambda content: split(content.decode()), lambda n, piece=piece: (piece * n).encode(), 10_000, ONE_BY_ONE
        )


def test_lines_of_text() -> None:
    stays_small(lambda content: line_lengths(content.decode()), lambda n: "，a".encode() * n, 200_000, ONE_BY_ONE)
    units = Units.word()
    for piece in (b"a", b".", b"a ", b". "):
        make = lambda n, piece=piece: piece * n  # noqa: E731
        stays_small(lambda content: drain(units.pieces(content.decode(), 10)), make, 100_000, ONE_BY_ONE)


FAULTY: dict[str, tuple[str, Make]] = {
    "rows of two widths": (".conll", lambda n: b"a O\nb\n" * n),
    "bytes that are no text": (".conll", lambda n: b"\xff a\n" * n),
    "labels": (".conll", lambda n: b"".join(b"a B-%d\nb E-%d\n" % (i, i) for i in range(n))),
    "numbers": (".conllu", lambda n: (row(1) + row(3)) * n),
    "objects": (".jsonl", lambda n: b"{\n" * n),
    "open quotes": (".csv", lambda n: b"label,text\nx,y\n" + b'a","""\n' * n),
    "narrow rows": (".tsv", lambda n: b"label\ttext\n" + b"a\n" * n),
}


@pytest.mark.parametrize("name", FAULTY)
def test_check(name: str, tmp_path: Path) -> None:
    suffix, make = FAULTY[name]

    def read(content: bytes) -> object:
        put(tmp_path / f"train{suffix}", content)
        return check(resolve(tmp_path))

    stays_small(read, make, 20_000, KEPT)


def test_check_of_labels_among_empty_nodes(tmp_path: Path) -> None:
    put(tmp_path / "train.conllu", row(1, "a", "X") + b"\n" + row(1, "b", "Y") + b"\n")

    def read(content: bytes) -> None:
        put(tmp_path / "dev.conllu", content)
        (problem,) = check(resolve(tmp_path))
        assert problem.line == 2

    stays_small(read, lambda n: b"".join(row(f"{i - 1}.1") + row(i, "c", "Z") for i in range(1, n)), 40_000, KEPT)


@pytest.mark.parametrize("suffix", [".conll", ".conllu", ".jsonl"])
def test_keeping(suffix: str, tmp_path: Path) -> None:
    shapes: list[Make] = [lambda n: b"\n" * n, lambda n: b"a\n" * n, lambda n: b"a b c d\n" * n, lambda n: b"a " * n]

    def read(content: bytes) -> None:
        put(tmp_path / "all.txt", content)
        convert_file(tmp_path / "all.txt", tmp_path / f"out{suffix}", source_format="text", splitter=SPLIT)
        if content.strip():
            statistics(resolve(tmp_path / "all.txt"))

    for make in shapes:
        stays_small(read, make, 10_000, KEPT)


def test_vectors(tmp_path: Path) -> None:
    shapes: list[Make] = [
        lambda n: (
            b"a" + b" 1" * (n // 2) + b"\nb c" + b" 1" * (n // 2) + b"\n"
        ),  # a word with a space before its values
        lambda n: b"a 1\n" + b"a " * (n // 2) + b"1\n",
        lambda n: b"a 1\nb 0." + b"9" * (n // 2) + b"\n",
        lambda n: b"1 %d\na " % n + bytes(4 * n),
        lambda n: b"a 1\n" + b"\n" * n,
        lambda n: b"".join(b"w%d 1\n" % i for i in range(n // 4)),
    ]

    def read(content: bytes) -> None:
        put(tmp_path / "v", content)
        drain(read_vectors(tmp_path / "v").words)

    for make in shapes:
        stays_small(read, make, 400_000, ONE_BY_ONE)
