"""Files of labelled texts and of text that is cut already: recognised, read, written and read back."""

from __future__ import annotations

import csv
import io
import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqkit.corpora.resolve import resolve
from seqkit.errors import DataError
from seqkit.formats.format import Description, ReadOptions
from seqkit.formats.registry import FORMATS, describe, described_texts, read_sentences, read_texts
from seqkit.formats.text import Lines
from seqkit.heads.generation.settings import GenerateDataSettings, GenerateSettings
from seqkit.heads.language_model.settings import LmSettings
from seqkit.inputs.segmentation import Units
from seqkit.model.gold import read_corpus
from seqkit.records import TextRecord

RealFile = Callable[[str], Path]


def put(path: Path, content: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(content.encode(encoding))
    return path


def texts(path: Path, format: str = "", **options: object) -> list[dict[str, object]]:
    columns = tuple(options.pop("columns", ()))  # type: ignore[call-overload]
    description = describe(path, Description(format, columns), texts=True)[0]
    asked = ReadOptions(**{"label": "label", **options})  # type: ignore[arg-type]
    return [{"text": each.text, **each.fields} for each in described_texts(path, description, asked)]


# --- fastText -----------------------------------------------------------------------------------------------------

FASTTEXT = (
    "__label__pos a fine film\n"
    "__label__pos __label__long a  fine, long film\n"
    "\n"
    "dull and long __label__neg\n"
    "\t__label__neg\tdull __label__long film __label__\n"
)


@pytest.mark.parametrize("name", ["train.txt", "cooking.train", "cooking.valid", "data", "odd.csv", "odd.tsv"])
def test_fasttext_is_recognised_by_its_labels(tmp_path: Path, name: str) -> None:
    content = FASTTEXT.removesuffix(" __label__\n") + "\n"
    assert texts(put(tmp_path / name, content)) == [
        {"text": "a fine film", "label": "pos"},
        {"text": "a  fine, long film", "label": ["pos", "long"]},
        {"text": "dull and long", "label": "neg"},
        {"text": "dull film", "label": ["neg", "long"]},
    ]


def test_fasttext_words_that_only_look_like_labels_stay(tmp_path: Path) -> None:
    file = put(tmp_path / "f", "x__label__a b\n__label__ c\n__label__d\ne\n")
    assert texts(file, "fasttext", text="review", label="stars") == [
        {"text": "x__label__a b", "stars": [], "review": "x__label__a b"},
        {"text": "c", "stars": "", "review": "c"},
        {"text": "", "stars": "d", "review": ""},
        {"text": "e", "stars": [], "review": "e"},
    ]


@pytest.mark.parametrize(
    "content",
    [
        "a fine film\n__label__pos a film\nanother film\n",
        "The word __label__pos stands in the text\n",
        "__label__pos,a fine film\n__label__neg,dull\n",
        '"__label__pos" a fine film\n',
        "",
    ],
)
def test_other_files_are_not_mistaken_for_fasttext(tmp_path: Path, content: str) -> None:
    assert describe(put(tmp_path / "train.txt", content), texts=True)[0].format != "fasttext"


# --- tables -------------------------------------------------------------------------------------------------------


def test_a_table_by_its_columns(tmp_path: Path) -> None:
    file = put(tmp_path / "f.csv", '"fine, long",pos\ndull,neg \n')
    expected = [{"text": "fine, long", "label": "pos"}, {"text": "dull", "label": "neg"}]
    assert texts(file, columns=["text", "label"]) == expected
    named = put(tmp_path / "g.tsv", "Label\tText \nneg\tdull\n")  # names in any order, also in other letters
    assert texts(named, columns=["text", "label"]) == expected[1:]
    options = ReadOptions(label="label")
    description = describe(put(tmp_path / "h.csv", "review,sentiment\ndull,neg\n"), Description("", ("text", "label")))[
        0
    ]
    assert [each.fields for each in described_texts(tmp_path / "h.csv", description, options)] == expected[1:]
    assert options.left_out == {"the first row (review, sentiment) is taken for names of columns, not for a text": 1}


def test_columns_for_sources_and_targets(tmp_path: Path) -> None:
    """Parallel text is a table of two columns."""
    file = put(tmp_path / "pairs.tsv", "ein Haus \ta house\nein Hund\ta dog\n")
    assert texts(file, columns=["source", "target"], text="target", label=None) == [
        {"text": "a house", "source": "ein Haus ", "target": "a house"},
        {"text": "a dog", "source": "ein Hund", "target": "a dog"},
    ]


def test_blanks_around_names_and_labels_do_not_count(tmp_path: Path) -> None:
    assert texts(put(tmp_path / "f.csv", "label , text\npos,  good \n pos ,bad\npos\u00a0,\n")) == [
        {"text": "  good ", "label": "pos"},
        {"text": "bad", "label": "pos"},
        {"text": "", "label": "pos"},
    ]


@pytest.mark.parametrize(
    "first", ["review,sentiment", "text_,Target", "Class;Comment", "Bewertung\tKommentar", "id,body,tag"]
)
def test_names_of_columns_are_no_text(tmp_path: Path, first: str) -> None:
    mark = next(mark for mark in ",;\t" if mark in first)
    cells = first.split(mark)
    file = put(
        tmp_path / ("f.tsv" if mark == "\t" else "f.csv"),
        first + "\n" + mark.join(["a", "b", "c"][: len(cells)]) + "\n",
    )
    label = next(cell for cell in cells if cell.lower() in ("sentiment", "target", "class", "bewertung", "tag"))
    text = next(cell for cell in cells if cell not in (label, "id"))
    for wanted in ("label", None):
        with pytest.raises(DataError) as caught:
            texts(file, label=wanted)
        out = f"say which is which: --set data.text={text} --set data.label={label} (or --text {text} --label {label})"
        if wanted is None:
            columns = ",".join({text: "text", label: "label"}.get(cell, cell) for cell in cells)
            out = f"--columns {columns} names them"
        assert str(caught.value) == f"{file}:1: the first row looks like names of columns: {', '.join(cells)}; {out}"
    assert len(texts(file, text=text, label=label)) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,b\nc,d\n", "expected 'label' among the columns, found text, n"),
        ("a,b\nc,d,e\n", ":2: expected 2 comma-separated columns (text, label), found 3"),
    ],
)
def test_faults_of_columns(tmp_path: Path, content: str, message: str) -> None:
    file = put(tmp_path / "f.csv", content)
    columns = ["text", "n"] if "among" in message else ["text", "label"]
    with pytest.raises(DataError) as caught:
        texts(file, columns=columns)
    assert str(caught.value) == f"{file}{'' if message[0] == ':' else ': '}{message}"


@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.text(st.sampled_from('x,;"\n ä')).filter(lambda text: text)), min_size=1
    )
)
def test_what_separates_cells_is_recognised(pairs: list[tuple[str, str]]) -> None:
    """Whatever the texts contain, also where cells are quoted: what another program wrote."""
    for delimiter, format in ((";", "csv-semicolon"), (",", "csv"), ("\t", "csv-tab")):
        stream = io.StringIO()
        csv.writer(stream, delimiter=delimiter, lineterminator="\n").writerows([("label", "text"), *pairs])
        lines = list(enumerate(stream.getvalue().split("\n")[:-1], start=1))
        description, notes = describe("f.csv", lines=lines, texts=True)
        assert description.format == format
        sign = {";": "semicolons", "\t": "tabs"}.get(delimiter)
        assert notes == [f"f.csv: {sign} separate the columns, read as format {format}"] * (sign is not None)
        found = FORMATS[format].texts(lines, "f.csv", ReadOptions(label="label"))  # type: ignore[misc]
        assert [(each.fields["label"], each.text) for each in found] == pairs


@pytest.mark.parametrize(("encoding", "bom"), [("cp1252", ""), ("latin-1", ""), ("utf-16", ""), ("utf-8", "\ufeff")])
def test_tables_of_excel(tmp_path: Path, encoding: str, bom: str) -> None:
    file = put(tmp_path / "f.csv", bom + 'label;text\r\ngut;"schön; 3,5"\r\nschlecht;übel\r\n', encoding)
    dataset = resolve(file).described(Description(encoding=encoding))
    assert [(each.fields["label"], each.text) for each in dataset.texts("all")] == [
        ("gut", "schön; 3,5"),
        ("schlecht", "übel"),
    ]
    assert dataset.label_field() == "label"


def test_quoted_cells_between_tabs(tmp_path: Path) -> None:
    content = '"id"\t"sentiment"\t"review"\n"7"\t1\t"A ""fine""\tfilm"\n'
    file = put(tmp_path / "f.tsv", content)
    assert describe(file, texts=True) == (
        Description("csv-tab"),
        [f"{file}: the cells are quoted, read as format csv-tab"],
    )
    (found,) = texts(file, text="review", label="sentiment")
    assert found == {"text": 'A "fine"\tfilm', "id": "7", "sentiment": "1", "review": 'A "fine"\tfilm'}
    assert texts(put(tmp_path / "g.tsv", 'pos\t"Fine" film\n')) == [{"text": '"Fine" film', "label": "pos"}]


def test_columns_without_a_name_have_their_position(tmp_path: Path) -> None:
    file = put(tmp_path / "spam.csv", "v1,v2,,\nham,hi,,x\n")
    with pytest.raises(DataError, match=r": v1, v2, , ; say which is which: --set data.text=v2 --set data.label=v1 "):
        texts(file)
    assert texts(file, text="v2", label="v1") == [{"text": "hi", "v1": "ham", "v2": "hi", "2": "", "3": "x"}]


# --- published data sets --------------------------------------------------------------------------------------------

TWO = [{"text": "one two, three", "label": "3"}, {"text": 'x "y"', "label": "4"}]
TITLED = '"3","one","two, three"\n"4","x","""y"""\n'


@pytest.mark.parametrize(
    ("format", "content"),
    [
        ("ag-news", TITLED),
        ("ag-news", "Class Index,Title,Description\n" + TITLED),
        ("ag-news", 'Description,Class Index,Title\n"two, three",3,one\n"""y""",4,x\n'),
        ("dbpedia", TITLED),
        ("dbpedia", "label,title,content\n" + TITLED),
        ("imdb", 'review,sentiment\n"one two, three",3\n"x ""y""",4\n'),
        ("imdb", 'sentiment,review\n3,"one two, three"\n4,"x ""y"""\n'),
        ("imdb", '"one two, three",3\n"x ""y""",4\n'),
    ],
)
def test_published_tables(tmp_path: Path, format: str, content: str) -> None:
    assert texts(put(tmp_path / "train.csv", content), format) == TWO
    assert FORMATS[format].source


def test_columns_of_published_tables_can_be_asked_for(tmp_path: Path) -> None:
    (first, _) = texts(put(tmp_path / "train.csv", TITLED), "ag-news", text="Title", label="Class Index")
    assert first == {"text": "one", "Class Index": "3", "Title": "one", "Description": "two, three"}
    unlabelled = texts(tmp_path / "train.csv", "ag-news", label=None)
    assert unlabelled == TWO


@pytest.mark.parametrize(
    ("format", "text", "label"),
    [("amazon", "reviewText", "overall"), ("amazon", "text", "rating"), ("yelp", "text", "stars")],
)
def test_published_objects(tmp_path: Path, format: str, text: str, label: str) -> None:
    objects = [{"id": "a", label: 5.0, text: "good "}, {"id": "b", label: 1, text: "bad"}]
    file = put(tmp_path / "reviews.json", "\n" + "".join(json.dumps(each) + "\n" for each in objects))
    assert texts(file, format) == [
        {"text": "good ", "id": "a", "label": "5.0"},
        {"text": "bad", "id": "b", "label": "1"},
    ]
    assert [each["label"] for each in texts(file, format, label=None)] == [5.0, 1]
    assert [each[label] for each in texts(file, "jsonl", text=text, label=label)] == ["5.0", "1"]
    with pytest.raises(DataError, match=r"reviews.json:2: no field 'summary'; fields: 'id', "):
        texts(file, format, label="summary")


# --- text that is cut already -----------------------------------------------------------------------------------------

PENN = "the <unk> sat down\na <unk> ran N miles\nthe u.s. co. sat\n"
WIKI = """ \n = Ada = \n \n Ada <unk> , 10 @,@ 000 strong , sat down . \n Bob ran – and ran . \n \n"""
WIKI += " = = A well @-@ known part = = \n"


def told(path: Path) -> tuple[str, list[str]]:
    description, notes = describe(path)
    return description.format, notes


def test_penn_treebank_by_path(tmp_path: Path) -> None:
    for name in ("train.txt", "ptb.train", "wiki.train.tokens"):
        file = put(tmp_path / name, PENN)
        said = "the text is cut into tokens already (<unk>), read as format tokens; --format text overrides this"
        assert told(file) == ("tokens", [f"{file}: {said}"])
        assert [one.tokens for one in read_sentences(file)] == [line.split() for line in PENN.splitlines()]
        assert resolve(file).has_tokens
        assert not resolve(file).described(Description("text")).has_tokens
        assert describe(file, Description("text")) == (Description("text"), [])
        assert describe(file, texts=True)[0].format == "text"  # what a classifier predicts is cut as its training data


def test_models_of_text_take_the_tokens_as_they_are(tmp_path: Path) -> None:
    cut, running = (resolve(put(tmp_path / name, text)) for name, text in (("a", PENN), ("b", "Ada, well.\n")))
    assert LmSettings().complete(cut).data.splitter == "spaces"
    assert LmSettings().complete(running) == LmSettings()
    words = GenerateSettings(data=GenerateDataSettings(unit="word"))
    assert words.complete(cut).data.splitter == "spaces"
    assert words.complete(running) == words
    assert GenerateSettings().complete(cut) == GenerateSettings()  # characters need no words


def test_wikitext_leaves_nothing_out(tmp_path: Path) -> None:
    """By hand: 3 + 11 + 6 + 9 words, and an end for each of the 7 lines, titles and blank ones too."""
    file = put(tmp_path / "wiki.test.tokens", WIKI)
    said = (
        "the text is cut into tokens already (<unk>, @-@, @,@), titles and blank lines count like other lines, "
        "read as format wikitext; --format text overrides this"
    )
    assert told(file) == ("wikitext", [f"{file}: {said}"])
    sentences = list(read_sentences(file))
    assert [len(one.tokens) for one in sentences] == [0, 3, 0, 11, 6, 0, 9]
    assert list(resolve(file).lines("all")) == WIKI.split("\n")[:-1]
    units = Units.word("spaces")
    dataset = resolve(file)
    assert len(read_corpus(dataset, "all", units)[0]) == 3 + 11 + 6 + 9 + 7
    assert len(read_corpus(dataset.described(Description("tokens")), "all", units)[0]) == 3 + 11 + 6 + 9 + 4


def test_spaces_around_punctuation(tmp_path: Path) -> None:
    lines = ["it 's a fine film , really .", "i did n't like it .", 'mr. smith said , " no . "', "why ?", "he left ."]
    file = put(tmp_path / "f.txt", "\n".join(lines) + "\n")
    said = "the text is cut into tokens already (spaces around punctuation), read as format tokens"
    assert told(file) == ("tokens", [f"{file}: {said}; --format text overrides this"])


RUNNING = {
    "prose": 'Ada Lovelace, a writer, met him.\nShe said: no!\n\n"Why?" he asked.\n',
    "about tokens": "The word <unk> stands for others, as in papers.\nHere, too, it is <unk> again.\nAnd here.\n",
    "French": "Tu viens ?\nOui !\nQui est là ? Moi ; et toi : non !\nLe chat, lui, dort.\n",
    "French without commas": "Tu viens ?\nOui !\nQui ?\nMoi !\n",
    "Chinese": "床前明月光，疑是地上霜。\n舉頭望明月，低頭思故鄉。\n春眠不覺曉。\n",
    "code": "def f(a, b):\n    return a . b\n\nx = [1, 2]\nprint(x)\n",
    "a poem": "O rose\nthou art sick\nthe invisible worm\nthat flies in the night\n",
    "words": "Ada\nBob\n.\n,\nCy\n",
    "numbers": "1 . 5\n2\n3\n4\n",
    "titles": "= Ada =\n\nAda was a writer, and more.\n\n== Life ==\n\nShe lived.\n",
    "dots": "...\n. . .\nAda.\nBob, Cy.\n",
    "tweets": "@ada hi there, you\nok . fine\nlol :)\nso good!!\nsee u, later\n",
    "two lines": "a .\nb .\n",
}


@pytest.mark.parametrize("name", RUNNING)
def test_running_text_is_not_mistaken(tmp_path: Path, name: str) -> None:
    file = put(tmp_path / "f.txt", RUNNING[name])
    assert told(file) == ("text", [])
    assert not resolve(file).has_tokens


@pytest.mark.parametrize(
    ("name", "format"),
    [("ptb/train.txt", "tokens"), ("ptb/test.txt", "tokens"), ("tinyshakespeare/input.txt", "text")],
)
def test_real_files(real_file: RealFile, name: str, format: str) -> None:
    assert told(real_file(name))[0] == format


def test_real_running_text(real_file: RealFile, tmp_path: Path) -> None:
    content = real_file("ud-english-ewt/train.conllu").read_text(encoding="utf-8")
    lines = [line.removeprefix("# text = ") for line in content.split("\n") if line.startswith("# text = ")]
    for begin in range(0, len(lines), 400):
        assert told(put(tmp_path / "f.txt", "\n".join(lines[begin : begin + 400])))[0] == "text"


# --- written and read back --------------------------------------------------------------------------------------------

WRITTEN = ("tsv", "csv", "csv-semicolon", "csv-tab", "fasttext", "jsonl")
CELLS = (
    "",
    "a",
    "a b",
    'a "b"',
    "a,b;c",
    "a\tb",
    "a\nb",
    "a\r\nb",
    " a ",
    "__label__x b",
    "\ud800",
    "ü|w",
    "\u2028",
    '"',
)


def read_back(format: str, content: str) -> list[dict[str, object]]:
    read = FORMATS[format].texts
    assert read is not None
    return [each.fields for each in read(Lines([content.encode()], "f"), "f", ReadOptions())]


@pytest.mark.parametrize("format", WRITTEN)
def test_what_is_written_is_read_back_or_refused(format: str) -> None:
    draw = random.Random(7)
    written = refused = 0
    write = FORMATS[format].write_texts
    assert write is not None
    for _ in range(3_000):
        names = ["label", "text", *draw.sample(["title", "n"], draw.choice((0, 0, 1, 2)))]
        draw.shuffle(names)
        few = draw.choice((CELLS[:3], CELLS[:5], CELLS))
        rows = [{name: draw.choice(few) for name in names} for _ in range(draw.randrange(1, 4))]
        for row in rows:
            row["label"] = draw.choice(("pos", "neg", row["label"].strip(), "a b"))
        try:
            content = write([TextRecord(row["text"], dict(row), "f", line) for line, row in enumerate(rows, start=1)])
        except DataError as error:
            refused += 1
            assert str(error).startswith("f:")
            assert str(error).endswith("; --output-format jsonl can")
            continue
        written += 1
        expected = [{name: value.replace("\ud800", "\ufffd") for name, value in row.items()} for row in rows]
        if format == "jsonl":
            expected = rows
        assert read_back(format, content) == expected, content
    assert written > 300
    assert (refused > 100) == (format != "jsonl")


@pytest.mark.parametrize("format", ["tsv", "csv", "csv-semicolon"])
def test_values_of_tables(format: str) -> None:
    write = FORMATS[format].write_texts
    assert write is not None
    mark = {"tsv": "\t", "csv": ",", "csv-semicolon": ";"}[format]
    records = [
        TextRecord("a", {"label": ["x", "y"], "text": "a", "n": 5.0}),
        TextRecord("b", {"label": [], "text": "b", "n": True}),
    ]
    rows = [["label", "text", "n"], ["x|y", "a", "5.0"], ["", "b", "true"]]
    assert write(records) == "".join(mark.join(row) + "\n" for row in rows)
    for value, found in ((None, "None"), ({"a": 1}, "{'a': 1}"), (["a|b"], "['a|b']"), ([1], "[1]")):
        with pytest.raises(DataError) as caught:
            write([TextRecord("a", {"text": "a", "more": value}, "f", 3)])
        expected = f"{format} cannot hold the field 'more' of this text: expected a string or a number, found {found}"
        assert str(caught.value) == f"f:3: {expected}; --output-format jsonl can"
    with pytest.raises(
        DataError, match=r"^f:4: .* the field 'n' of this text: expected a string or a number, found none;"
    ):
        write([TextRecord("a", {"text": "a", "n": "1"}, "f", 3), TextRecord("b", {"text": "b"}, "f", 4)])


def test_fasttext_has_no_other_fields() -> None:
    write = FORMATS["fasttext"].write_texts
    assert write is not None
    assert write([TextRecord("a", {"text": "a b", "label": ["x", "y"]}), TextRecord("c", {"text": "c"})]) == (
        "__label__x __label__y a b\nc\n"
    )
    with pytest.raises(DataError) as caught:
        write([TextRecord("a", {"text": "a", "label": "x", "id": "7"}, "f", 1)])
    assert str(caught.value) == (
        "f:1: fasttext holds a text and its labels, no other fields, found 'id'; --output-format jsonl can"
    )


def test_an_empty_table_is_read_back() -> None:
    (found,) = read_texts_of('text\n""\n')
    assert found == {"text": ""}
    write = FORMATS["csv"].write_texts
    assert write is not None
    assert write([TextRecord("", {"text": ""})]) == 'text\n""\n'


def read_texts_of(content: str) -> list[dict[str, object]]:
    return read_back("csv", content)


def test_a_published_file_is_read_by_name(tmp_path: Path) -> None:
    file = put(tmp_path / "train.csv", TITLED)
    assert [each.text for each in read_texts(file, "ag-news")] == [each["text"] for each in TWO]


def test_a_label_that_is_no_number_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "file.jsonl"
    path.write_text('{"text": "a", "label": 1.5}\n{"text": "b", "label": NaN}\n')
    read = read_texts(path)
    assert next(read).fields["label"] == "1.5"
    with pytest.raises(DataError) as fault:
        next(read)
    assert str(fault.value) == f'{path}:2: expected a string or a list of strings in "label", found nan'
