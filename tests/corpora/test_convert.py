from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from seqkit.corpora.convert import convert_file
from seqkit.errors import DataError
from seqkit.formats.registry import read_sentences, read_texts

CONLL = "Ada\tNNP\tB-P\nLovelace\tNNP\tI-P\nspoke\tVBD\tO\n\nBob\tNNP\tB-P\n\n"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "in.conll"
    path.write_text(CONLL, encoding="utf-8")
    return path


def test_conll_to_jsonl_and_back(source: Path, tmp_path: Path) -> None:
    assert convert_file(source, tmp_path / "out.jsonl") == 2
    first = json.loads((tmp_path / "out.jsonl").read_text(encoding="utf-8").split("\n")[0])
    assert first == {
        "text": "Ada Lovelace spoke",
        "tokens": ["Ada", "Lovelace", "spoke"],
        "1": ["NNP", "NNP", "VBD"],
        "2": ["B-P", "I-P", "O"],
    }
    assert convert_file(tmp_path / "out.jsonl", tmp_path / "back.conll") == 2
    assert (tmp_path / "back.conll").read_text(encoding="utf-8") == CONLL


def test_every_span_column_changes_its_scheme(source: Path) -> None:
    convert_file(source, source, scheme="bioes")
    assert source.read_text() == CONLL.replace("I-P", "E-P").replace("Bob\tNNP\tB-P", "Bob\tNNP\tS-P")


def test_conll_to_conllu(source: Path, tmp_path: Path) -> None:
    convert_file(source, tmp_path / "out.conllu", columns=("word", "xpos", "ner"))
    lines = (tmp_path / "out.conllu").read_text(encoding="utf-8").split("\n")
    assert lines[:2] == ["# text = Ada Lovelace spoke", "1\tAda\t_\t_\tNNP\t_\t_\t_\t_\tner=B-P"]
    (first, _) = read_sentences(tmp_path / "out.conllu")
    assert (first.tokens, first.columns["xpos"]) == (["Ada", "Lovelace", "spoke"], ["NNP", "NNP", "VBD"])


def test_conllu_spacing_from_offsets(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text('{"text": "Go,  go!", "tokens": ["Go", ",", "go", "!"], "odd": ["a|b", "c", "d", "e"]}\n')
    convert_file(path, tmp_path / "out.conllu")
    (sentence,) = read_sentences(tmp_path / "out.conllu")
    assert (sentence.text, sentence.offsets) == ("Go,  go!", [(0, 2), (2, 3), (5, 7), (7, 8)])
    assert sentence.columns["misc"] == ["odd=a\\pb|SpaceAfter=No", "odd=c", "odd=d|SpaceAfter=No", "odd=e"]


def test_tokens_with_gaps_become_objects(tmp_path: Path) -> None:
    line = {"text": "a b a", "tokens": [{"text": "a", "start": 4, "end": 5}]}
    path = tmp_path / "in.jsonl"
    path.write_text(json.dumps(line) + "\n")
    convert_file(path, tmp_path / "out.jsonl")
    assert json.loads((tmp_path / "out.jsonl").read_text()) == line


def test_a_lemma_that_equals_the_word_stays(tmp_path: Path) -> None:
    path = tmp_path / "in.conllu"
    path.write_text("1\t.\t.\tPUNCT\t_\t_\t0\troot\t_\t_\n\n")
    convert_file(path, tmp_path / "out.jsonl")
    assert json.loads((tmp_path / "out.jsonl").read_text())["lemma"] == ["."]
    convert_file(path, tmp_path / "out.conllu")
    assert (tmp_path / "out.conllu").read_text() == path.read_text()


def test_plain_text_becomes_unlabelled_columns(tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    path = tmp_path / "in.txt"
    path.write_text("é b\n\nc\n", encoding="utf-8")
    assert convert_file(path, "-") == 3
    assert capsysbinary.readouterr().out == "é\nb\n\n\nc\n\n".encode()
    convert_file(path, tmp_path / "out.conllu")
    assert len(list(read_sentences(tmp_path / "out.conllu"))) == 2


def test_conllu_is_written_as_it_was_read(real_file: Callable[[str], Path], tmp_path: Path) -> None:
    """With its multiword ranges, empty nodes and comments."""
    path = real_file("ud-english-ewt/dev.conllu")
    convert_file(path, tmp_path / "out.conllu")
    assert (tmp_path / "out.conllu").read_bytes() == path.read_bytes()


def test_real_columns_are_written_as_they_were_read(real_file: Callable[[str], Path], tmp_path: Path) -> None:
    path = real_file("wnut17/test.conll")
    convert_file(path, tmp_path / "out.jsonl", scheme="bioes")
    convert_file(tmp_path / "out.jsonl", tmp_path / "out.conll", scheme="iob2")
    assert (tmp_path / "out.conll").read_bytes() == path.read_bytes()


def test_a_field_without_a_name_is_no_column(tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text('{"text": "a", "label": "x"}\n{"text": "b", "label": "y", "": "c"}\n', encoding="utf-8")
    message = f"^{source}:2: tsv cannot hold a field without a name; give it one, or use a .jsonl file$"
    with pytest.raises(DataError, match=message):
        convert_file(source, tmp_path / "out.tsv")


def test_faults(source: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^cannot write format 'text'; choose from jsonl, conllu, conll, .*fasttext"):
        convert_file(source, tmp_path / "out.csv", destination_format="text")
    for name in ("out.xyz", "out", "out.txt"):
        extensions = (
            ".jsonl, .ndjson, .json, .conllu, .csv, "
            ".conll, .iob, .iob1, .iob2, .iobes, .bio, .bioes, .col, .ner, .pos, .tsv"
        )
        expected = (
            f"{tmp_path / name}: the extension does not tell the format; use one of {extensions}, or --output-format"
        )
        with pytest.raises(DataError, match=f"^{re.escape(expected)}$"):
            convert_file(source, tmp_path / name)
        assert not (tmp_path / name).exists()
        assert convert_file(source, tmp_path / name, destination_format="conll") == 2
    assert convert_file(source, tmp_path / "out.bio") == 2
    assert (tmp_path / "out.bio").read_bytes() == source.read_bytes() == (tmp_path / "out").read_bytes()
    with pytest.raises(
        DataError, match=r"^unknown scheme 'none'; choose from iob1, iob2, bioes, bilou, bmes, bmewo, io$"
    ):
        convert_file(source, tmp_path / "out.conll", scheme="none")
    with pytest.raises(DataError, match=f"^{re.escape(str(tmp_path))}: cannot be written: "):
        convert_file(source, tmp_path, destination_format="conll")
    source.write_text("a NN\n\n")
    expected = f"{source}: no column of span labels (B-…, I-…) among 0, 1"
    with pytest.raises(DataError, match=f"^{re.escape(expected)}$"):
        convert_file(source, tmp_path / "out.conll", scheme="bioes")
    assert not (tmp_path / "out.conll").exists()


@pytest.mark.parametrize("name", ["out.conll", "out.conllu"])
@pytest.mark.parametrize("token", ["a\tb", "a\nb"])
def test_a_fault_leaves_the_destination_alone(tmp_path: Path, name: str, token: str) -> None:
    (tmp_path / name).write_text("kept")
    path = tmp_path / "in.jsonl"
    path.write_text(json.dumps({"tokens": [token]}) + "\n")
    expected = f"{path}:1: a token contains a tab or line break; use a .jsonl file"
    with pytest.raises(DataError, match=f"^{re.escape(expected)}$"):
        convert_file(path, tmp_path / name)
    assert (tmp_path / name).read_text() == "kept"


@pytest.mark.parametrize(
    ("records", "line"),
    [
        ([{"tokens": ["a"]}, {"tokens": ["b", "10 000"]}], 2),  # cut at the space where there are no tabs
        ([{"tokens": ["a"], "ner": ["O"]}, {"tokens": []}, {"tokens": ["b"]}], 3),  # rows of two widths
        ([{"tokens": ["#a"]}], 1),  # a comment where no other row tells how wide rows are
        ([{"tokens": [" "], "ner": ["\u0020"]}], 1),  # a blank line
    ],
)
def test_columns_that_would_be_read_otherwise(tmp_path: Path, records: list[dict], line: int) -> None:
    source, target = tmp_path / "in.jsonl", tmp_path / "out.conll"
    source.write_text("".join(json.dumps(record) + "\n" for record in records))
    with pytest.raises(DataError) as caught:
        convert_file(source, target)
    assert str(caught.value) == (
        f"{source}:{line}: columns would not be read back as these tokens and labels; use a .jsonl file"
    )
    assert not target.exists()
    convert_file(source, tmp_path / "out.jsonl")
    assert [one.tokens for one in read_sentences(tmp_path / "out.jsonl")] == [one["tokens"] for one in records]


def test_many_empty_nodes_and_ranges_stay_in_their_order(tmp_path: Path) -> None:
    rest = "\t_" * 8
    rows = [f"0.1\tx{rest}", f"0.2\tx{rest}"]
    for number in range(1, 40, 2):
        rows += [f"{number}-{number + 1}\tab{rest}", f"{number}\ta{rest}", f"{number}.1\tx{rest}"]
        rows += [f"{number + 1}\tb{rest}", f"{number + 1}.1\tx{rest}", f"{number + 1}.2\tx{rest}"]
    source = tmp_path / "in.conllu"
    source.write_text("\n".join(["# text = x", *rows, "", ""]))
    convert_file(source, tmp_path / "out.conllu")
    assert (tmp_path / "out.conllu").read_text() == source.read_text()


# --- texts with fields ----------------------------------------------------------------------------------------------

TEXTS = 'label,text\npos,"fine, ""so"" fine"\nneg ,dull\n'


def test_texts_keep_their_labels_in_every_format(tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_text(TEXTS)
    expected = [{"label": "pos", "text": 'fine, "so" fine'}, {"label": "neg", "text": "dull"}]
    for name in ("a.jsonl", "b.tsv", "c.ft", "d.txt", "e.csv"):  # each from the one before
        format = {"c.ft": "fasttext", "d.txt": "csv-semicolon"}.get(name)
        notes: list[str] = []
        given = {"d.txt": "fasttext", "e.csv": "csv-semicolon"}.get(name)
        assert convert_file(source, tmp_path / name, source_format=given, destination_format=format, notes=notes) == 2
        assert notes == ["2 texts"]
        source = tmp_path / name
        assert [each.fields for each in read_texts(source, format)] == expected
    assert source.read_text() == TEXTS.replace("neg ", "neg")


def test_other_fields_of_texts_are_kept_or_refused(tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text('{"id": 7, "text": "a b", "label": ["x", "y"]}\n')
    convert_file(source, tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text() == "id,text,label\n7,a b,x|y\n"
    convert_file(source, tmp_path / "out.jsonl")
    assert (tmp_path / "out.jsonl").read_text() == source.read_text()
    others = "--output-format jsonl, tsv, csv, csv-semicolon, csv-tab, fasttext can"
    refusals = {
        "conll": f"{source}: conll holds labels for tokens, not a label or other fields of a whole text; {others}",
        "conllu": f"{source}: conllu holds labels for tokens, not a label or other fields of a whole text; {others}",
        "fasttext": (
            f"{source}:1: fasttext holds a text and its labels, no other fields, found 'id'; --output-format jsonl can"
        ),
    }
    for format, message in refusals.items():
        with pytest.raises(DataError) as caught:
            convert_file(source, tmp_path / "out", destination_format=format)
        assert str(caught.value) == message
    source.write_text('{"text": "a b", "stars": 5.0}\n')  # without a label of the usual name
    with pytest.raises(DataError, match=r"in.jsonl: conll holds labels for tokens, not "):
        convert_file(source, tmp_path / "out.conll")
    assert convert_file(source, tmp_path / "out.tsv") == 1
    assert (tmp_path / "out.tsv").read_text() == "text\tstars\na b\t5.0\n"
    assert not (tmp_path / "out").exists()


def test_named_fields_of_texts(tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_text("review,sentiment\ngood,pos\n")
    convert_file(source, tmp_path / "out.txt", destination_format="fasttext", text="review", label="sentiment")
    assert (tmp_path / "out.txt").read_text() == "__label__pos good\n"
    with pytest.raises(DataError, match=r"in.csv:1: the first row looks like names of columns: review, sentiment; "):
        convert_file(source, tmp_path / "out.jsonl")


def test_sentences_are_no_texts_with_labels(source: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        convert_file(source, tmp_path / "out.tsv")
    assert str(caught.value) == (
        f"{source}: tsv holds a label for a whole text, not labels for tokens; --output-format jsonl, conllu, conll can"
    )
    texts = tmp_path / "in.tsv"
    texts.write_text("pos\ta b c d\n")
    with pytest.raises(DataError, match=r"in.tsv: texts have no labels for tokens, whose scheme could be rewritten$"):
        convert_file(texts, tmp_path / "out.jsonl", scheme="bioes")


def test_fields_of_tagged_sentences(tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text('{"id": 7, "text": "a b", "tokens": ["a", "b"], "ner": ["B-X", "O"]}\n')
    notes: list[str] = []
    convert_file(source, tmp_path / "out.jsonl", notes=notes)
    assert json.loads((tmp_path / "out.jsonl").read_text()) == json.loads(source.read_text())
    assert notes == ["1 sentence"]
    convert_file(source, tmp_path / "out.conll", notes=notes)
    assert notes[1:] == [f"{source}: fields 'id' of a whole text left out: 1", "1 sentence"]


def test_texts_that_come_as_tokens(tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text('{"tokens": ["a", "b"], "label": "x"}\n')
    notes: list[str] = []
    convert_file(source, tmp_path / "out.csv", notes=notes)
    assert (tmp_path / "out.csv").read_text() == "label,text\nx,a b\n"
    assert notes == [f"{source}: lists of tokens left out, whose text is kept: 1", "1 text"]
