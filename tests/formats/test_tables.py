from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqkit.errors import DataError
from seqkit.formats.format import Description, ReadOptions
from seqkit.formats.registry import described_texts
from seqkit.formats.tables import Row, read_table

UNNAMED = "expected 2 columns (label and text) or a header with 'text' and 'label'"
NAMED = "expected columns named 'text' and 'label'"


def which(text: str, label: str) -> str:
    return f"say which is which: --set data.text={text} --set data.label={label} (or --text {text} --label {label})"


def rows(content: str, format: str = "tsv", /, **options: object) -> list[Row]:
    lines = enumerate(content.split("\n")[: -1 if content.endswith("\n") else None], start=1)
    return list(read_table(lines, "f", format, ReadOptions(**{"label": "label", **options})))  # type: ignore[arg-type]


def test_two_columns_without_names_are_label_and_text() -> None:
    assert rows('pos\ta "fine" film\n\nneg\t dull \n') == [
        Row(1, {"label": "pos", "text": 'a "fine" film'}),
        Row(3, {"label": "neg", "text": " dull "}),
    ]


def test_a_first_row_with_both_names_names_the_columns() -> None:
    text = "id\tsentence\ttopic\n7\thello\tx\n"
    assert rows(text, text="sentence", label="topic") == [Row(2, {"id": "7", "sentence": "hello", "topic": "x"})]


def test_texts_alone() -> None:
    assert rows("a b\nc\n", label=None) == [Row(1, {"text": "a b"}), Row(2, {"text": "c"})]
    assert rows("text\nc\n", label=None) == [Row(2, {"text": "c"})]
    assert rows("x\ty z\n", label=None) == [Row(1, {"label": "x", "text": "y z"})]


def test_rows_of_empty_cells_are_no_blank_lines() -> None:
    assert rows("x\ty\n\t\n \n", head=["label", "text"])[1:] == [Row(2, {"label": "", "text": ""})]
    assert rows('text\n""\n\n  \nb\n', "csv", label=None) == [Row(2, {"text": ""}), Row(5, {"text": "b"})]


def test_known_columns() -> None:
    assert rows("text\tlabel\n", head=["text", "label"]) == [Row(1, {"text": "text", "label": "label"})]


def test_quoted_cells_keep_commas_quotes_and_line_breaks() -> None:
    text = 'text,label\n"a, ""b""\n\nc",x\n\n plain ,y\n'
    assert rows(text, "csv") == [
        Row(2, {"text": 'a, "b"\n\nc', "label": "x"}),
        Row(6, {"text": " plain ", "label": "y"}),
    ]


@given(st.lists(st.tuples(*[st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\r\0"))] * 2)))
def test_csv_reads_what_the_module_csv_wrote(pairs: list[tuple[str, str]]) -> None:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows([("text", "label"), *pairs])
    found = [(row.cells["text"], row.cells["label"]) for row in rows(stream.getvalue(), "csv")]
    assert found == pairs


def test_a_long_cell_is_not_refused() -> None:
    long = "word " * 40_000
    assert rows(f"x,{long}\n", "csv")[0].cells["text"] == long


@pytest.mark.parametrize(
    ("text", "format", "message"),
    [
        ("a\tb\tc\n", "tsv", f"f:1: {UNNAMED}, found 3 columns and no such header; --columns NAME,… names them; "
            f"if the first row has names, {which('NAME', 'NAME')}"),
        ("word\n", "tsv", f"f:1: {UNNAMED}, found 1 column and no such header"),
        ("x\tone\ny\ttwo\tthree\n", "tsv", "f:2: expected 2 tab-separated columns (label, text), found 3"),
        ("text,label\none\n", "csv", "f:2: expected 2 comma-separated columns (text, label), found 1"),
        ("text\ttopic\none\tx\n", "tsv", f"f:1: {NAMED}, found 'text', 'topic'; {which('text', 'topic')}"),
        ("Text,Label\none,x\n", "csv", f"f:1: {NAMED}, found 'Text', 'Label'; {which('Text', 'Label')}"),
        ("text\tlabel\tlabel\n", "tsv", "f:1: several columns are named 'label'"),
        ('x,one\ny,"two\nz,three\n', "csv", "f:2: invalid CSV: a quote is not closed"),
        ('x,"one"two\n', "csv", "f:1: invalid CSV: ',' expected after '\"'"),
    ],
)  # fmt: skip
def test_faults(text: str, format: str, message: str) -> None:
    with pytest.raises(DataError) as caught:
        rows(text, format)
    assert str(caught.value) == message


def test_the_limit_on_cells_is_that_of_the_process_again() -> None:
    limit = csv.field_size_limit()
    lines = enumerate(["label,text", f"x,{'a' * (limit + 1)}", 'x,"'], start=1)
    table = read_table(lines, "f", "csv", ReadOptions(label="label"))
    assert len(next(table).cells["text"]) == limit + 1
    assert csv.field_size_limit() == limit
    with pytest.raises(DataError, match="quote is not closed"):
        next(table)
    assert csv.field_size_limit() == limit


@pytest.mark.parametrize("first", ["sep=,", "sep=;", '"sep=;"', "SEP=;", "sep=,,,"])
@pytest.mark.parametrize("format", ["csv", "csv-semicolon"])
def test_a_line_that_tells_the_separator_is_no_row(first: str, format: str) -> None:
    separator = "," if format == "csv" else ";"
    table = f"label{separator}text\nx{separator}sep=\n"
    assert rows(f"{first}\n{table}", format) == [Row(3, {"label": "x", "text": "sep="})]
    assert rows("sep=;\n", "csv", label=None, head=["text"]) == []
    assert rows("a\nsep=;\n", "csv", label=None) == [Row(1, {"text": "a"}), Row(2, {"text": "sep=;"})]


@pytest.mark.parametrize("given", [{}, {"columns": ("label", "text")}])
def test_a_first_row_with_a_label_of_its_own_is_told(given: dict[str, tuple[str, ...]], tmp_path: Path) -> None:
    def notes(content: str) -> list[str]:
        path = tmp_path / "a.csv"
        path.write_text(content)
        options = ReadOptions(text="text", label="label")
        assert len(list(described_texts(path, Description("csv", **given), options))) == content.count("\n")  # type: ignore[arg-type]
        return list(options.left_out)

    body = "".join(f"{'good' if row % 2 else 'bad'},text {row}\n" for row in range(12))
    found = "the first row is read as the text 'Gutachten', the only one with the label 'Urteil'"
    expected = f"{found}; if these are names of columns, {which('Gutachten', 'Urteil')}; such first rows"
    assert notes("Urteil,Gutachten\n" + body) == [expected]
    assert notes(body) == []
    assert notes(body + "other,text\n") == []
    assert notes("Urteil,Gutachten\n" + body + "other,text\n") == []
    assert notes("Urteil,Gutachten\n" + body[: len(body) // 3]) == []
