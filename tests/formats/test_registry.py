from __future__ import annotations

import io
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqkit.corpora.check import check
from seqkit.corpora.convert import convert_file
from seqkit.corpora.resolve import resolve
from seqkit.corpora.statistics import statistics
from seqkit.errors import DataError
from seqkit.formats.blocks import cut
from seqkit.formats.format import Description, Format, ReadOptions
from seqkit.formats.registry import FORMATS, describe, detect_format, part_sentences, read_sentences, read_texts
from seqkit.formats.schemes import detect_scheme, invalid_moves
from seqkit.formats.text import Line
from seqkit.records import Sentence

RealFile = Callable[[str], Path]

CONLLU_ROW = "1\ta\ta\tX\t_\t_\t0\troot\t_\t_\n"


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.conllu", "", "conllu"),
        ("a.JSONL", "", "jsonl"),
        ("a.csv", "", "csv"),
        ("a.conll", "", "conll"),
        ("a.iob", "one column\n", "conll"),
        ("a.conll", CONLLU_ROW, "conllu"),
        ("a.txt", "# text = a\n" + CONLLU_ROW, "conllu"),
        ("a.txt", '{"text": "a"}\n', "jsonl"),
        ("a.txt", "", "text"),
        ("a.tsv", "", "tsv"),
        ("a.txt", "The DT O\nUN NNP B-ORG\n\nIt PRP O\nmet VBD O\n\n", "conll"),
        ("a.txt", "-DOCSTART- -X- O\n\nThe DT O\nUN NNP B-ORG\n", "conll"),
        ("a.txt", "# about\nThe O\nUN B-ORG\n", "conll"),
        ("a.txt", "The\tO\nUN\tB-ORG\n", "conll"),
        ("a", "dog NN\nbarks VB\n\ncat NN\nsleeps VB\n", "conll"),
        ("a.txt", "one two\nthree four\n", "text"),
        ("a.txt", "one two\n\nthree four\n\n", "text"),
        ("a.txt", "one sentence here\nanother one\n", "text"),
        ("a.txt", "word\n\nword\n", "text"),
        ("a.tsv", "The\tO\nUN\tB-ORG\n\nIt\tO\n", "conll"),
        ("a.tsv", "pos\ta fine film\nneg\ta bore\n", "tsv"),
        ("a.txt", "pos\ta fine film\n\nneg\ta bore\tx\n", "tsv"),
        ("a.tsv", "no tab at all\n", "tsv"),
    ],
)
def test_detect_format(tmp_path: Path, name: str, text: str, expected: str) -> None:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    assert detect_format(path) == expected
    assert expected in FORMATS


def test_standard_input_needs_a_format() -> None:
    expected = "the format of standard input must be named with --format; seqkit data formats lists them"
    with pytest.raises(DataError, match=f"^{expected}$"):
        read_sentences("-")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_needs_a_format(tmp_path: Path) -> None:
    os.mkfifo(pipe := tmp_path / "pipe")
    expected = f"{pipe}: the format of a pipe or device cannot be detected; name it with --format"
    with pytest.raises(DataError, match=f"^{re.escape(expected)}$"):
        read_sentences(pipe)


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"a b\n\nc")))
    sentences = list(read_sentences("-", "text"))
    assert [(sentence.tokens, sentence.file, sentence.line) for sentence in sentences] == [
        (["a", "b"], "<stdin>", 1),
        ([], "<stdin>", 2),
        (["c"], "<stdin>", 3),
    ]


def test_unknown_formats_and_files_of_texts_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^unknown format 'xml'; seqkit data formats lists them$"):
        read_sentences("a.txt", "xml")
    path = tmp_path / "train.tsv"
    path.write_text("pos\ta fine film\n")
    expected = f"{path}: expected tokens with labels, found labelled texts"
    with pytest.raises(DataError, match=f"^{re.escape(expected)}$"):
        read_sentences(path)


def test_text_uses_the_splitter_and_tokens_do_not(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("ab\tc\u00a0d \n", encoding="utf-8")
    (split,) = read_sentences(path, "text", splitter=lambda text: [(index, index + 1) for index in range(len(text))])
    assert split.tokens == list("ab\tc\u00a0d ")
    for format in ("text", "tokens"):
        (sentence,) = read_sentences(path, format, splitter=None)
        assert (sentence.tokens, sentence.text) == (["ab", "c\u00a0d"], "ab\tc\u00a0d ")
        assert (sentence.offsets, sentence.columns) == ([(0, 2), (3, 6)], {})
    (tokens,) = read_sentences(path, "tokens", splitter=lambda text: [])
    assert tokens.tokens == ["ab", "c\u00a0d"]


ODD = [
    "",
    " \t ",
    "\U0001f469\u200d\U0001f52c",
    "e\u0301",
    "\u05e9\u05dc\u05d5\u05dd",
    "\x00",
    "\u2028",
    "\u00a0",
    "x" * 100_000,
]


def test_lines_in_equal_sentences_out(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("".join(line + "\n" for line in ODD), encoding="utf-8", newline="\n")
    sentences = list(read_sentences(path, "tokens"))
    assert [sentence.text for sentence in sentences] == ODD
    assert [len(sentence) for sentence in sentences] == [0, 0, 1, 1, 1, 1, 1, 1, 1]


@given(st.text(st.characters(exclude_characters="\r\n")))
def test_offsets_cut_tokens_out_of_any_line(line: str) -> None:
    (sentence,) = FORMATS["text"].sentences([(1, line)], "f", ReadOptions())
    assert [line[start:end] for start, end in sentence.offsets] == sentence.tokens
    assert "".join(sentence.tokens) == line.replace(" ", "").replace("\t", "")


# Numbers that the data sets' own descriptions give, or counted from the files with grep.
REAL = [
    ("conll2000/train.txt", "conll", 8936, 211_727, "iob2"),
    ("conll2000/test.txt", "conll", 2012, 47_377, "iob2"),
    ("conll2002-es/esp.train.iob", "conll", 8323, 264_715, "iob2"),
    ("conll2002-es/esp.testa.iob", "conll", 1915, 52_923, "iob2"),
    ("conll2002-es/esp.testb.iob", "conll", 1517, 51_533, "iob2"),
    ("wnut17/train.conll", "conll", 3394, 62_730, "iob2"),
    ("wnut17/dev.conll", "conll", 1009, 15_733, "iob2"),
    ("wnut17/test.conll", "conll", 1287, 23_394, "iob2"),
    ("ud-english-ewt/dev.conllu", "conllu", 2001, 25_147, "none"),
    ("ud-english-ewt/test.conllu", "conllu", 2077, 25_094, "none"),
]


@pytest.mark.parametrize(("name", "format", "sentences", "tokens", "scheme"), REAL)
def test_real_files(real_file: RealFile, name: str, format: str, sentences: int, tokens: int, scheme: str) -> None:
    path = real_file(name)
    assert detect_format(path) == format
    found = list(read_sentences(path))
    assert (len(found), sum(map(len, found))) == (sentences, tokens)
    assert all(
        sentence.text[start:end] == token
        for sentence in found
        for token, (start, end) in zip(sentence.tokens, sentence.offsets, strict=True)
    )
    labels = [sentence.column("upos" if format == "conllu" else "") for sentence in found]
    assert detect_scheme(labels) == scheme
    faults = [fault for sentence in labels for fault in invalid_moves(sentence, scheme)]
    # Each file of the Spanish data has one sentence that was cut in the middle of a name.
    assert len(faults) == (1 if "conll2002" in name else 0)


@pytest.mark.parametrize(
    ("name", "format"),
    [("sst2/dev.tsv", "tsv"), ("trec6/test.tsv", "tsv"), ("tang/dev.jsonl", "jsonl"), ("ptb/dev.txt", "tokens"),
     ("tinyshakespeare/input.txt", "text")],
)  # fmt: skip
def test_real_files_of_other_tasks(real_file: RealFile, name: str, format: str) -> None:
    assert detect_format(real_file(name)) == format


def test_real_conllu_text_is_the_comment(real_file: RealFile) -> None:
    for sentence in read_sentences(real_file("ud-english-ewt/dev.conllu")):
        assert f" text = {sentence.text}" in sentence.conllu.comments


def test_reading_is_fast(real_file: RealFile) -> None:
    """An idle core reads 900,000 tokens a second; the bound leaves room for a busy machine."""
    path = real_file("conll2000/test.txt")
    seconds = []
    for _ in range(3):
        start = time.process_time()
        tokens = sum(map(len, read_sentences(path, "conll")))
        seconds.append(time.process_time() - start)
    assert tokens / min(seconds) > 200_000


def test_a_format_is_one_row_of_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Recognised, read, cut into blocks, counted, checked and written without a change elsewhere."""

    def read(lines: Iterable[Line], name: str, options: ReadOptions) -> Iterator[Sentence]:
        for number, line in lines:
            tokens, labels = zip(*(cell.split("=") for cell in line.removeprefix("%").split()), strict=True)
            yield Sentence.from_tokens(tokens, {"label": list(labels)}, file=name, line=number)

    def write(sentences: Sequence[Sentence]) -> str:
        cells = (zip(one.tokens, one.column("label"), strict=True) for one in sentences)
        return "".join("% " + " ".join(map("=".join, row)) + "\n" for row in cells)

    toy = Format("toy", "toys", recognise=lambda sample: sample.rows[0][0] == "%", sentences=read, write=write)
    table = {"toy": toy, **FORMATS}
    for module in ("formats.registry", "formats.blocks", "corpora.faulty", "corpora.convert", "corpora.dataset"):
        monkeypatch.setattr(f"seqkit.{module}.FORMATS", table)
    path = tmp_path / "train.data"
    path.write_text("% Ada=B-PER met=O\n% Bob=B-PER\n" * 2)
    assert detect_format(path) == "toy"
    assert [one.tokens for one in read_sentences(path)] == [["Ada", "met"], ["Bob"]] * 2
    parts = [part for block in cut([(str(path), Description("toy"))], 20) for part in block]
    assert [one.line for part in parts for one in part_sentences(part, str.split)] == [1, 2, 3, 4]
    assert statistics(resolve(tmp_path))[0]["train"].labels == {"PER": 3}
    assert [str(problem) for problem in check(resolve(path))] == []
    convert_file(path, tmp_path / "out", destination_format="toy", scheme="bioes")
    assert (tmp_path / "out").read_text() == "% Ada=S-PER met=O\n% Bob=S-PER\n" * 2
    with pytest.raises(DataError, match=r"expected labelled texts \(a .tsv, .csv or .jsonl file\), found toys$"):
        read_texts(path, "toy")


def test_flags_that_conllu_does_not_use_are_told(tmp_path: Path) -> None:
    path = tmp_path / "a.conllu"
    path.write_text("1\tAda" + "\t_" * 8 + "\n\n")
    fixed = "CoNLL-U has columns of its own: --columns and --token-column not used; --format conll reads other columns"
    assert describe(path, Description(columns=("id", "word"), token_column="word"))[1] == [f"{path}: {fixed}"]
    assert describe(path)[1] == []
