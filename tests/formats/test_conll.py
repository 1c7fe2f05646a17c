from __future__ import annotations

import io
import re
import tracemalloc
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqkit.errors import DataError
from seqkit.formats import conll as module
from seqkit.formats import text as text_module
from seqkit.formats.conll import read_conll, split_row
from seqkit.formats.conllu import CONLLU_COLUMNS, read_conllu
from seqkit.formats.format import ReadOptions
from seqkit.formats.text import Lines
from seqkit.records import Sentence


def conll(text: str, columns: Sequence[str] | None = None, allow_unlabelled: bool = False) -> list[Sentence]:
    lines = enumerate(text.split("\n"), start=1)
    return list(read_conll(lines, "f", ReadOptions(columns=columns, allow_unlabelled=allow_unlabelled)))


def conllu(text: str) -> list[Sentence]:
    return list(read_conllu(enumerate(text.split("\n"), start=1), "f"))


def row(number: str, form: str, misc: str = "_") -> str:
    return "\t".join([number, form, "_", "X", "_", "_", "0", "root", "_", misc])


def tokens(sentences: list[Sentence]) -> list[list[str]]:
    return [sentence.tokens for sentence in sentences]


# CoNLL columns


def test_sentences_columns_and_lines() -> None:
    first, second = conll("\n\nThe DT O\nUN NNP B-ORG\n\n \t\nmet VBD O\n")
    assert (first.tokens, first.text, first.offsets) == (["The", "UN"], "The UN", [(0, 3), (4, 6)])
    assert first.columns == {"0": ["The", "UN"], "1": ["DT", "NNP"], "2": ["O", "B-ORG"]}
    assert (first.file, first.line, second.tokens, second.line) == ("f", 3, ["met"], 7)


@given(
    st.lists(
        st.lists(st.tuples(*[st.text(st.characters(exclude_characters="\t\n\r "), min_size=1)] * 2), min_size=1),
        max_size=4,
    ),
    st.sampled_from(["\t", " ", "  "]),
)
def test_what_was_written_is_read(sentences: list[list[tuple[str, str]]], separator: str) -> None:
    """Whatever the tokens are: `#`, lone surrogates, exotic white space."""
    text = "".join("".join(f"{a}{separator}{b}\n" for a, b in rows) + "\n" for rows in sentences)
    if "-DOCSTART-" not in text:
        found = [list(zip(each.tokens, each.columns["1"], strict=True)) for each in conll(text)]
        assert found == sentences


def test_tab_rows_keep_white_space_in_cells() -> None:
    (sentence,) = conll("New York\tB-LOC\n\u00a0\tO\n\u2028x \tO\n")
    assert sentence.tokens == ["New York", "\u00a0", "\u2028x "]
    assert [sentence.text[start:end] for start, end in sentence.offsets] == sentence.tokens


def test_space_rows_are_cut_at_runs_of_spaces() -> None:
    (sentence,) = conll("  a   X \nb\u00a0c X\n")
    assert sentence.tokens == ["a", "b\u00a0c"]
    assert split_row(" a  X ") == ["a", "X"]
    assert split_row("\ta\t") == ["", "a", ""]


def test_document_starts_are_left_out() -> None:
    text = "-DOCSTART- -X- O O\n\na N O O\n-DOCSTART- -X- O O\nb N O O\n-DOCSTART-\n\n"
    assert tokens(conll(text)) == [["a"], ["b"]]


def test_comments_are_left_out_and_hash_tokens_kept() -> None:
    text = "# id\n# a = b c\n# # O\n#tag NN O\n# # O\n\n# next\n# X O\na X O\n"
    assert tokens(conll(text)) == [["#", "#tag", "#"], ["#", "a"]]


def test_a_comment_as_wide_as_the_file() -> None:
    assert tokens(conll("# sent_id = 1\na N X O\n")) == [["a"]]


def test_hash_tokens_at_the_start_of_a_tab_separated_file() -> None:
    text = "# text = one two\n#\tO\n#b\tO\n\n# about c\nc\tO\n"
    assert tokens(conll(text)) == [["#", "#b"], ["c"]]
    assert tokens(conll("#a\tO\n#\tO\n")) == [["#a", "#"]]


def test_files_without_sentences() -> None:
    assert conll("") == conll("\n\n") == conll("# only a comment\n") == conll("-DOCSTART- O\n\n") == []


def test_named_columns_say_where_the_token_is() -> None:
    (sentence,) = conll("1 Rome B-LOC\n", columns=("id", "word", "ner"))
    assert sentence.tokens == ["Rome"]
    assert sentence.columns == {"id": ["1"], "word": ["Rome"], "ner": ["B-LOC"]}
    assert sentence.columns["word"] is sentence.tokens


def test_unlabelled_input() -> None:
    sentences = conll("a\nb\n\nc\n", allow_unlabelled=True)
    assert tokens(sentences) == [["a", "b"], ["c"]]
    assert [sentence.columns for sentence in sentences] == [{}, {}]
    (sentence,) = conll("a\n", columns=("word", "ner"), allow_unlabelled=True)
    assert (sentence.tokens, sentence.columns) == (["a"], {})
    (sentence,) = conll("a O\n", columns=("word", "ner"), allow_unlabelled=True)
    assert sentence.columns == {"word": ["a"], "ner": ["O"]}


@pytest.mark.parametrize(
    ("text", "columns", "message"),
    [
        ("a X O\nb X\n", None, "f:2: expected 3 columns, found 2"),
        ("a\tO\n\nb\tX\tO\n", None, "f:3: expected 2 columns, found 3"),
        ("a X O\nb\n", None, "f:2: expected 3 columns, found 1"),
        ("a X\n# mid = x\n", None, "f:2: expected 2 columns, found 4"),
        ("\na\nb\n", None, "f:2: expected at least 2 columns (token and label), found 1"),
        ("a\nb X\n", None, "f:1: expected at least 2 columns (token and label), found 1"),
        ("a X\n", ("word", "pos", "ner"), "f:1: expected 3 columns (word, pos, ner), found 2"),
        ("a\tX\n\tO\n", None, "f:2: empty token in column 1"),
        ("a\tX\nb\t\n", None, "f:2: empty label in column 2"),
        ("1\t\tO\n", ("id", "word", "ner"), "f:1: empty token in column 2"),
    ],
)
def test_faults_in_columns(text: str, columns: tuple[str, ...] | None, message: str) -> None:
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        conll(text, columns)


def test_fault_in_unlabelled_input() -> None:
    with pytest.raises(DataError, match=r"^f:2: expected 1 column, found 2$"):
        conll("a\nb c\n", allow_unlabelled=True)


def test_sentences_come_one_at_a_time() -> None:
    seen = []
    lines = [(1, "a X"), (2, ""), (3, "b X"), (4, "")]
    reader = read_conll((seen.append(number) or (number, line) for number, line in lines), "f")
    assert next(reader).tokens == ["a"]
    assert seen == [1, 2]


_ROWS = st.sampled_from(
    [
        "a X",
        "b  Y",
        "c\tX",
        "d\tY",
        "",
        "",
        " ",
        "\t",
        "#",
        "# x",
        "# a = b",
        "# X",
        "#\tX",
        "-DOCSTART- X",
        "e",
        "f X Z",
        "g\t",
    ]
)


@given(st.lists(_ROWS, max_size=14), st.booleans(), st.integers(1, 30))
@settings(max_examples=600, deadline=None, derandomize=True)
def test_blocks_are_read_as_rows_are_one_at_a_time(rows: list[str], unlabelled: bool, size: int) -> None:
    """The short cut for whole runs of plain rows, against reading row by row."""
    text = "\n".join(rows).encode()

    def outcome(lines: Any, **attributes: Any) -> list[Any]:
        found: list[Any] = []
        with pytest.MonkeyPatch.context() as patch:
            for name, value in attributes.items():
                patch.setattr(module, name, value)
            try:
                found.extend(read_conll(lines, "f", ReadOptions(allow_unlabelled=unlabelled)))
            except DataError as error:
                found.append(str(error))
        return found

    def parts() -> Iterator[bytes]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(text_module, "PART_BYTES", size)
            yield from text_module._parts(io.BytesIO(text))

    whole = outcome(Lines([text] if text else [], "f"))
    assert whole == outcome(Lines(parts(), "f"))
    assert whole == outcome(list(Lines([text] if text else [], "f")))
    assert whole == outcome(Lines([text] if text else [], "f"), _plain_columns=lambda *_: None)


@pytest.mark.parametrize("end", [" ", "\t", "-DOCSTART- -X-"])
def test_sentences_come_one_at_a_time_whatever_ends_them(end: str) -> None:
    read = 0

    def parts() -> Iterator[bytes]:
        nonlocal read
        for _ in range(100):
            read += 1
            yield f"a X\nb Y\n{end}\n".encode() * 200

    assert next(read_conll(Lines(parts(), "f"), "f")).tokens == ["a", "b"]
    assert read < 5


def test_a_sentence_that_is_whole_comes_before_a_fault() -> None:
    """Also where white space ends it, and the fault stands among what is read next."""
    parts = [b"a X\n \nb", b" X\n\xff"]
    reader = read_conll(Lines([b"".join(parts)], "f"), "f")
    assert next(reader).tokens == ["a"]
    reader = read_conll(Lines([b"a X\n \n", b"b \xff\n"], "f"), "f")
    assert next(reader).tokens == ["a"]
    with pytest.raises(
        DataError,
        match=r"^f:3: expected UTF-8 text, found byte 0xff at position 2 \(try --encoding latin-1\)$",
    ):
        next(reader)


def test_plain_rows_take_the_short_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_read_rows", None)
    found = list(read_conll(Lines([b"a X\nb Y\n\n\nc Z\n"], "f"), "f"))
    assert [(sentence.tokens, sentence.columns["1"], sentence.line) for sentence in found] == [
        (["a", "b"], ["X", "Y"], 1),
        (["c"], ["Z"], 5),
    ]


@pytest.mark.parametrize("form", ["# comment {}", "", "-DOCSTART- O {}"])
def test_a_long_run_of_lines_before_the_first_row_is_not_kept(form: str) -> None:
    lines = chain(((number, form.format(number)) for number in range(1, 60_001)), [(60_001, "a O"), (60_002, "")])
    tracemalloc.start()
    try:
        (sentence,) = read_conll(lines, "f")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (sentence.tokens, sentence.line) == (["a"], 60_001)
    assert peak < 3_000_000  # bytes; all of the lines would take more than 5,000,000


def test_what_a_long_run_of_hashes_is_taken_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LONGEST_HEAD", 3)
    assert tokens(conll("# id a\n# id b\n# id c\n# id d\nx O\n")) == [["x"]]
    assert tokens(conll("#\tO\n#\tO\n\n#\tO\n#\tO\nx\tO\n")) == [["#", "#"], ["#", "#", "x"]]


def test_blank_lines_part_hash_tokens_before_the_first_other_row() -> None:
    assert tokens(conll("\n#\tO\n\n \n#\tO\n-DOCSTART-\n\nc\tO\n")) == [["#"], ["#"], ["c"]]


# CoNLL-U


def test_conllu_text_and_columns() -> None:
    text = "# sent_id = 1\n# text = Do  n't!\n" + "\n".join([row("1", "Do"), row("2", "n't"), row("3", "!")]) + "\n\n"
    (sentence,) = conllu(text)
    assert (sentence.tokens, sentence.text) == (["Do", "n't", "!"], "Do  n't!")
    assert sentence.offsets == [(0, 2), (4, 7), (7, 8)]
    assert tuple(sentence.columns) == CONLLU_COLUMNS
    assert sentence.columns["upos"] == ["X", "X", "X"]
    assert sentence.columns["form"] is sentence.tokens
    assert sentence.conllu.comments == [" sent_id = 1", " text = Do  n't!"]
    assert (sentence.file, sentence.line) == ("f", 3)


def test_conllu_ranges_and_empty_nodes_are_no_tokens() -> None:
    text = "\n".join(
        ["# text = don't go", row("1-2", "don't"), row("1", "do"), row("2", "n't"), row("2.1", "e"), row("3", "go")]
    )
    (sentence,) = conllu(text)
    assert (sentence.tokens, sentence.text) == (["do", "n't", "go"], "don't go")
    assert sentence.conllu.other_rows == [(0, row("1-2", "don't")), (2, row("2.1", "e"))]
    assert sentence.line == 3


@pytest.mark.parametrize("comment", ["# text = al fin.\n", ""])
def test_conllu_text_is_rebuilt_where_words_do_not_stand_in_it(comment: str) -> None:
    rows = [row("1-2", "al"), row("1", "a"), row("2", "el"), row("3", "fin", "SpaceAfter=No"), row("4", ".")]
    (sentence,) = conllu(comment + "\n".join(rows))
    assert sentence.text == "a el fin."
    assert [sentence.text[start:end] for start, end in sentence.offsets] == sentence.tokens
    assert sentence.columns["form"] is sentence.tokens


def test_conllu_ranges_carry_the_spacing_of_their_words() -> None:
    rows = [row("1-2", "don't", "SpaceAfter=No"), row("1", "do"), row("2", "n't"), row("3", ","), row("4", "ok")]
    (sentence,) = conllu("\n".join(rows))
    assert sentence.text == "don't, ok"


def test_conllu_needs_no_last_blank_line_and_skips_extra_ones() -> None:
    assert tokens(conllu(f"\n\n{row('1', 'a')}\n\n\n{row('1', 'b')}")) == [["a"], ["b"]]
    assert conllu("# comment\n\n") == []


def test_conllu_blocks_without_words_leave_nothing_to_the_next_sentence() -> None:
    (sentence,) = conllu(f"# lost\n{row('0.1', 'e')}\n\n{row('1', 'a')}\n")
    assert (sentence.tokens, sentence.conllu.comments, sentence.conllu.other_rows) == (["a"], [], [])
    (sentence,) = conllu(f"# text = b\n\n{row('1', 'a')}\n")
    assert (sentence.text, sentence.conllu.comments) == ("a", [])


def test_conllu_comments_belong_to_their_sentence() -> None:
    first, second = conllu(f"# one\n{row('1', '#')}\n\n# two\n{row('1', 'b')}\n")
    assert (first.conllu.comments, first.tokens, second.conllu.comments) == ([" one"], ["#"], [" two"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1\ta\tb", "f:1: expected 10 tab-separated columns, found 3"),
        (f"{row('1', 'a')}\n2 b _ X _ _ 0 root _ _", "f:2: expected 10 tab-separated columns, found 1"),
        (f"{row('1', 'a')}\n{row('1', 'b')}", "f:2: expected token id 2, found '1'"),
        (row("x", "a"), "f:1: expected token id 1, found 'x'"),
        (row("1-", "a"), "f:1: expected token id 1, found '1-'"),
        (row("1", ""), "f:1: empty word in column 2"),
        (row("1-2", ""), "f:1: empty word in column 2"),
        (row("1", "a", ""), "f:1: column 10 is empty; write _ for no value"),
        (row("3-2", "a"), "f:1: expected token id 1, found '3-2'"),
        (row("1-0", "a"), "f:1: expected token id 1, found '1-0'"),
        (row("0-0", "a"), "f:1: expected token id 1, found '0-0'"),
        (row("2-3", "a"), "f:1: expected token id 1, found '2-3'"),
        (row("1-²", "a"), "f:1: expected token id 1, found '1-²'"),
        (row("1-" + "9" * 10, "a"), "f:1: expected token id 1, found '1-9999999999'"),
        (row("²", "a"), "f:1: expected token id 1, found '²'"),
        (row("1.²", "a"), "f:1: expected token id 1, found '1.²'"),
        (f"{row('1-3', 'ab')}\n{row('1', 'a')}\n{row('2-3', 'b')}", "f:3: expected token id 2, found '2-3'"),
        (f"{row('1-2', 'ab')}\n{row('1-2', 'ab')}", "f:2: expected token id 1, found '1-2'"),
    ],
)
def test_faults_in_conllu(text: str, message: str) -> None:
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        conllu(text)


def test_a_conllu_range_beyond_the_sentence_tells_no_spacing() -> None:
    (sentence,) = conllu(f"{row('1-999999999', 'ab', 'SpaceAfter=No')}\n{row('1', 'a')}\n{row('2', 'b')}\n")
    assert (sentence.text, len(sentence.conllu.other_rows)) == ("a b", 1)


@pytest.mark.parametrize("row", [" B-X\tAnn", "B-X \tAnn", "B-X\tAnn ", " B-X \tAnn\t "])
def test_blanks_around_a_label_before_the_token_are_removed_on_either_path(row: str) -> None:
    options = ReadOptions(columns=["label", "word"])
    for lines in (Lines([f"{row}\nO\tran\n".encode()], ""), enumerate([row, "O\tran"], 1)):
        (found,) = read_conll(lines, "", options)
        assert found.columns["label"] == ["B-X", "O"]
        assert [token.strip() for token in found.tokens] == ["Ann", "ran"]
