from __future__ import annotations

import json
from pathlib import Path

import pytest

from seqkit.corpora.check import check
from seqkit.corpora.dataset import Dataset
from seqkit.corpora.from_python import from_items
from seqkit.corpora.resolve import resolve
from seqkit.corpora.split import Split
from seqkit.corpora.statistics import statistics
from seqkit.errors import DataError
from seqkit.formats.registry import read_texts
from seqkit.formats.splitting import Splitter
from seqkit.records import Sentence

WORDS = Splitter("words").split
TSV = "pos\tso good!\nneg\tso bad\n"


def put(path: Path, content: str) -> Path:
    path.write_text(content, encoding="utf-8")
    return path


def test_the_three_formats_say_the_same(tmp_path: Path) -> None:
    objects = [{"label": "pos", "text": "so good!"}, {"label": "neg", "text": "so bad"}]
    files = [
        put(tmp_path / "a.tsv", TSV),
        put(tmp_path / "b.csv", 'text,label\nso good!,pos\n"so bad",neg\n'),
        put(tmp_path / "c.jsonl", "".join(json.dumps(each) + "\n" for each in objects)),
        put(tmp_path / "d.txt", TSV.replace("so", "so very")),
    ]
    for file in files[:3]:
        found = list(read_texts(file, splitter=WORDS))
        assert [(each.tokens, each.fields) for each in found] == [
            (["so", "good", "!"], objects[0]),
            (["so", "bad"], objects[1]),
        ]
        assert all(
            each.text[a:b] == token for each in found for token, (a, b) in zip(each.tokens, each.offsets, strict=True)
        )
        assert [each.file for each in found] == [str(file)] * 2
    assert [each.fields["label"] for each in read_texts(files[3])] == ["pos", "neg"]  # detected by content


def test_one_word_texts_in_a_tsv_file(tmp_path: Path) -> None:
    found = list(read_texts(put(tmp_path / "names.tsv", "fr\tPierre\nfr\tLuc\nde\tUwe\n")))
    assert [(each.fields["label"], each.text) for each in found] == [("fr", "Pierre"), ("fr", "Luc"), ("de", "Uwe")]


def test_labels_of_objects(tmp_path: Path) -> None:
    values = ["x", 3, True, ["a", "b"], [], [1]]
    lines = [json.dumps({"review": "a b", "stars": value, "vector": [0.5]}) for value in values]
    found = list(read_texts(put(tmp_path / "f.jsonl", "\n".join(lines)), text="review", label="stars"))
    assert [each.fields["stars"] for each in found] == ["x", "3", "true", ["a", "b"], [], ["1"]]
    assert found[0].fields["vector"] == [0.5] and found[0].fields["review"] == "a b"


def test_objects_with_tokens(tmp_path: Path) -> None:
    file = put(tmp_path / "f.jsonl", '{"tokens": ["a", "b c"], "label": ["x", "y"]}\n')
    (found,) = read_texts(file, splitter=str.split)
    assert (found.tokens, found.text, found.fields["label"]) == (["a", "b c"], "a b c", ["x", "y"])


def test_a_label_is_not_needed_if_none_is_asked_for(tmp_path: Path) -> None:
    (found,) = read_texts(put(tmp_path / "f.jsonl", '{"text": "a", "title": "t"}\n'), label=None)
    assert found.fields == {"text": "a", "title": "t"}
    assert [each.text for each in read_texts(put(tmp_path / "g.tsv", "one two\nthree\n"), label=None)] == [
        "one two",
        "three",
    ]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("f.jsonl", '{"text": "a"}\n', "f.jsonl:1: no field 'label'; fields: 'text'"),
        (
            "f.jsonl",
            '{"text": "a", "label": null}\n',
            'f.jsonl:1: expected a string or a list of strings in "label", found None',
        ),
        ("f.jsonl", '{"label": "a"}\n', 'f.jsonl:1: expected "tokens" or "text", found \'label\''),
        (
            "f.jsonl",
            '{"text": "a", "label": {"x": 0.5}}\n',
            "f.jsonl:1: expected a string or a list of strings in \"label\", found {'x': 0.5}",
        ),
        (
            "f.jsonl",
            '{"text": "a", "label": ["x", null]}\n',
            "f.jsonl:1: expected a string or a list of strings in \"label\", found ['x', None]",
        ),
        (
            "f.conllu",
            "",
            "f.conllu: expected labelled texts (a .tsv, .csv or .jsonl file), found tokens with labels",
        ),
        (
            "f.txt",
            "a text\n",
            "f.txt: expected labelled texts (a .tsv, .csv or .jsonl file), found lines without labels",
        ),
    ],
)
def test_faults(tmp_path: Path, name: str, content: str, message: str) -> None:
    with pytest.raises(DataError) as caught:
        list(read_texts(put(tmp_path / name, content)))
    assert str(caught.value) == f"{tmp_path}/{message}"


def test_an_unknown_format() -> None:
    with pytest.raises(DataError, match=r"^unknown format 'jsonll'; did you mean 'jsonl'\?$"):
        read_texts("-", "jsonll")


# --- data sets -----------------------------------------------------------------------------------------------------


def test_the_last_tenth_of_the_texts_is_held_out(tmp_path: Path) -> None:
    file = put(tmp_path / "f.tsv", "".join(f"{number % 2}\ttext {number}\n" for number in range(20)))
    dataset = resolve(file)
    assert [each.text for each in dataset.texts("dev", WORDS)] == ["text 18", "text 19"]
    assert len(dataset.texts("train", WORDS)) == 18 and len(dataset.texts("all")) == 20
    note = f"{file} has no dev split: the last tenth of train (2 of 20 sentences) is held out"
    assert dataset.read_texts(WORDS, ["dev", "train", "all"]).notes == [note]
    assert list(dataset.lines("dev")) == ["text 18", "text 19"]


def test_texts_from_python_are_split_by_the_splitter() -> None:
    dataset = from_items(
        "texts", [("so good!", "pos"), (["so", "bad"], ["neg", "sad"]), ("", "pos")], dev=[("x", "pos")]
    )
    found = dataset.texts("train", WORDS)
    assert [each.tokens for each in found] == [["so", "good", "!"], ["so", "bad"], []]
    assert [each.fields["label"] for each in found] == ["pos", ["neg", "sad"], "pos"]
    assert found[0].offsets == [(0, 2), (3, 7), (7, 8)]


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ("ab c", "texts dev:2: expected a pair (text, label), found 'ab c'"),
        ((3, "a"), "texts dev:2: expected a pair (text, label), found (3, 'a'); the text comes first"),
        (("a", {}), 'texts dev:2: expected a string or a list of strings in "label", found {}'),
        ((["a", ""], "x"), "texts dev:2: texts and tokens must be strings, and tokens not empty, found ''"),
    ],
)
def test_malformed_items(item: object, message: str) -> None:
    with pytest.raises(DataError) as caught:
        from_items("texts", [("a", "x")], dev=[("a", "x"), item])  # type: ignore[list-item]
    assert str(caught.value) == message


def test_sentences_that_have_no_label() -> None:
    with pytest.raises(DataError, match=r"^pairs train:1: no field 'label'; fields: none$"):
        from_items("sentences", [(["a"], ["X"])]).texts("train")
    with pytest.raises(DataError, match=r"^texts: no sentences found$"):
        from_items("texts", [("", "x")]).texts("train", WORDS)


# --- check and statistics ------------------------------------------------------------------------------------------


def faults(dataset: Dataset, *target: str) -> list[str]:
    return [f"{Path(each.file).name}:{each.line}: {each.message}" for each in check(dataset, *target)]


def test_every_fault_of_a_table(tmp_path: Path) -> None:
    put(tmp_path / "train.csv", 'topic,text\nx,one two\ny\ny,"three"\n"",four\nz,five,six\n')
    (tmp_path / "dev.csv").write_bytes(b"text,topic\none two,x\nseven,w\n\xff,x\neight,w\n")
    assert faults(resolve(tmp_path), "topic") == [
        "train.csv:3: expected 2 comma-separated columns (topic, text), found 1",
        "train.csv:5: expected a label in field 'topic', found an empty one",
        "train.csv:6: expected 2 comma-separated columns (topic, text), found 3",
        f"dev.csv:2: the sentence is also in train, at {tmp_path}/train.csv:2; remove one",
        "dev.csv:4: expected UTF-8 text, found byte 0xff at position 0 (try --encoding latin-1)",
    ]
    put(tmp_path / "train.csv", "topic,text\nx,one two\ny,three\n")
    assert "dev.csv:3: label 'w' does not occur in train (2 in dev); correct it or add it to train" in faults(
        resolve(tmp_path), "topic"
    )
    assert faults(resolve(tmp_path))[0] == (
        "train.csv:1: expected columns named 'text' and 'label', found 'topic', 'text'; say which is which: "
        "--set data.text=text --set data.label=topic (or --text text --label topic)"
    )


def test_every_fault_of_objects(tmp_path: Path) -> None:
    lines = ['{"text": "a b", "label": ["x", "y"]}', '{"text": "c"}', "[1]", '{"text": "d", "label": "x"}', ""]
    put(tmp_path / "train.jsonl", "\n".join(lines))
    put(tmp_path / "test.jsonl", "\n".join(lines[:1]))
    assert faults(resolve(tmp_path)) == [
        "train.jsonl:2: no field 'label'; fields: 'text'",
        "train.jsonl:3: expected a JSON object, found [1]",
        f"test.jsonl:1: the sentence is also in train, at {tmp_path}/train.jsonl:1; remove one",
    ]


def test_labelled_texts_are_distinguished_from_tagged_sentences(tmp_path: Path) -> None:
    assert resolve("trec6", download=False, quiet=True).label_field() == "label" if _has("trec6") else True
    for content, field in (
        ('{"tokens": ["a"], "label": ["X"]}', None),
        ('{"text": "a", "label": "X"}', "label"),
        ('{"text": "a"}', None),
        ("not JSON", None),
    ):
        assert resolve(put(tmp_path / "f.jsonl", content)).label_field() == field
    assert resolve(put(tmp_path / "f.tsv", "a\tX\n")).label_field() is None
    assert resolve(put(tmp_path / "f.tsv", "X\ta b c\n")).label_field("other") == "other"
    assert from_items("texts", [("a", "x")]).label_field() == "label"
    assert Dataset("d", {"all": Split(content=[])}).label_field() is None


def _has(name: str) -> bool:
    try:
        resolve(name, download=False, quiet=True)
    except DataError:
        return False
    return True


def test_statistics_count_labels_of_texts(tmp_path: Path) -> None:
    put(tmp_path / "train.tsv", "x\ta b c\ny\td\nx\ta\n")
    put(tmp_path / "test.tsv", "y\ta z\n")
    found, _ = statistics(resolve(tmp_path))
    assert found["train"].labels == {"x": 1, "y": 1} and found["dev"].labels == {"x": 1}
    assert found["test"].scheme == "none" and found["test"].labels == {"y": 1}
    assert found["test"].unseen_tokens == 0.5


def test_lines_are_records_of_a_text_where_no_label_is_asked_for(tmp_path: Path) -> None:
    file = put(tmp_path / "names.txt", "Ada\n\nBob Lee\n")
    for format in (None, "tokens"):
        found = list(read_texts(file, format, label=None))
        assert [(each.text, each.fields, each.line) for each in found] == [
            ("Ada", {"text": "Ada"}, 1),
            ("Bob Lee", {"text": "Bob Lee"}, 3),
        ]


def test_the_field_of_the_text_may_have_another_name_also_where_nothing_is_read() -> None:
    content = [Sentence([], "", [], fields={"poem": "so good", "text": 3}), Sentence.from_tokens(["as", "given"])]
    found = Dataset("given", {"train": Split(content=content), "dev": Split(content=content)}).texts(
        "train", WORDS, text="poem", label=None
    )
    assert [(each.text, each.tokens) for each in found] == [("so good", ["so", "good"]), ("as given", ["as", "given"])]


def test_texts_may_be_mappings() -> None:
    dataset = from_items("texts", [{"text": "so good", "label": "pos"}, {"label": ["neg"], "text": ["so", "bad"]}] * 2)
    found = dataset.texts("train", WORDS)
    assert [(one.tokens, one.fields["label"]) for one in found[:2]] == [
        (["so", "good"], "pos"),
        (["so", "bad"], ["neg"]),
    ]
    with pytest.raises(DataError) as caught:
        from_items("texts", [{"text": "a", "topic": "x"}]).texts("train")
    flags = "--set data.text=text --set data.label=topic (or --text text --label topic)"
    expected = f"texts train:1: no field 'label'; fields: 'text', 'topic'; say which is which: {flags}"
    assert str(caught.value) == expected
