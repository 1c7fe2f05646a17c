from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from seqkit.corpora import faulty
from seqkit.corpora.cards import load_card
from seqkit.corpora.check import check
from seqkit.corpora.dataset import Dataset
from seqkit.corpora.faulty import Problem
from seqkit.corpora.from_python import from_items
from seqkit.corpora.preview import preview
from seqkit.corpora.resolve import resolve
from seqkit.corpora.statistics import render_statistics, statistics
from seqkit.errors import DataError
from seqkit.formats import tables
from seqkit.formats.format import Description
from seqkit.formats.registry import describe
from seqkit.formats.splitting import Splitter
from seqkit.records import labels_of_text
from seqkit.tasks import TASKS
from seqkit.training.run import train

GOOD = "Ada B-PER\nsang O\n\nBob B-PER\nLee I-PER\nslept O\n\n"


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    monkeypatch.setenv("SEQKIT_CACHE", str(tmp_path / "cache"))
    if "real_file" not in request.fixturenames:
        monkeypatch.delenv("SEQKIT_DATA", raising=False)


def faults(path: Path, target: str | None = None) -> list[str]:
    """What `check` finds, the folder cut off."""
    return [str(problem).replace(f"{path}/", "") for problem in check(resolve(path), target)]


def put(folder: Path, **files: str | bytes) -> Path:
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        data = content if isinstance(content, bytes) else content.encode("utf-8")
        (folder / name.replace("__", ".")).write_bytes(data)
    return folder


def test_no_faults(tmp_path: Path) -> None:
    assert faults(put(tmp_path, train__conll=GOOD, dev__conll="Eve B-PER\nwon O\n\n")) == []


def test_every_fault_is_named_not_only_the_first(tmp_path: Path) -> None:
    train = (
        b"Ada B-PER\nsang O x\nwell O\n\n"  # 2: three columns; what follows is a sentence torn off, not one that starts
        b"Bob B-PER\nLee\nslept O\n\n"  # 6: one column
        b"Eve B-\xff\nwon O\n\n"  # 9: not UTF-8
        b"Kim O\nLee I-PER\n\n"  # 13: a span that nothing begins
        b"a O\nb I-LOC\nc O\nd I-LOC\n"  # 16, 18
    )
    assert faults(put(tmp_path, train__conll=train, dev__conll=GOOD)) == [
        "train.conll:2: expected 2 columns, found 3",
        "train.conll:6: expected 2 columns, found 1",
        "train.conll:9: expected UTF-8 text, found byte 0xff at position 6 (try --encoding latin-1)",
        "train.conll:13: I-PER may not follow O in iob2; data convert --scheme repairs it",
        "train.conll:16: I-LOC may not follow O in iob2; data convert --scheme repairs it",
        "train.conll:18: I-LOC may not follow O in iob2; data convert --scheme repairs it",
    ]


def test_a_broken_line_keeps_its_label_out_of_the_other_faults(tmp_path: Path) -> None:
    assert faults(put(tmp_path, train__conll=b"\xefx O\n\n" + GOOD.encode())) == [
        "train.conll:1: expected UTF-8 text, found byte 0xef at position 0 (try --encoding latin-1)",
    ]


def test_a_label_outside_the_scheme(tmp_path: Path) -> None:
    assert faults(put(tmp_path, train__conll=GOOD * 20 + "Kim PER\nwon O\n\n")) == [
        "train.conll:141: PER is not a label of iob2; correct it"
    ]
    # A column that marks no spans has no scheme to break.
    assert faults(put(tmp_path, train__conll="Ada PROPN\nsang VERB\n\nI B-X\n\n")) == []


def test_line_endings_and_a_byte_order_mark(tmp_path: Path) -> None:
    train = ("\ufeff" + GOOD + "Kim O\nLee I-PER\n\n").replace("\n", "\r\n")
    assert faults(put(tmp_path, train__conll=train)) == [
        "train.conll:9: I-PER may not follow O in iob2; data convert --scheme repairs it"
    ]
    assert faults(put(tmp_path, train__conll=train.replace("\r\n", "\r"))) == [
        "train.conll:9: I-PER may not follow O in iob2; data convert --scheme repairs it"
    ]


def test_only_the_first_line_may_have_a_byte_order_mark(tmp_path: Path) -> None:
    put(tmp_path, train__conll=GOOD + "\ufeffEve B-PER\n\n", dev__conll="Eve B-PER\n\n")
    assert faults(tmp_path) == []  # the mark is a part of the token: these are two sentences


def test_only_the_first_line_tells_a_foreign_file(tmp_path: Path) -> None:
    assert faults(put(tmp_path, train__conll=GOOD.encode() + b"PK\x8b B-PER\n\n")) == [
        "train.conll:8: expected UTF-8 text, found byte 0x8b at position 2 (try --encoding latin-1)"
    ]
    foreign = put(tmp_path, train__conll=b"PK\x03\x04 O\n" + GOOD.encode())
    what = "a zip file or a document of an office program; unpack it, or save it as text or CSV, first"
    with pytest.raises(DataError, match=f"train.conll:1: expected UTF-8 text, found {what}$"):
        check(resolve(foreign))


def test_sentences_that_occur_in_two_splits(tmp_path: Path) -> None:
    put(
        tmp_path,
        train__conll=GOOD * 2,
        dev__conll="Eve B-PER\n\nBob O\nLee O\nslept O\n\n",
        test__conll="Eve B-PER\n\n",
    )
    assert faults(tmp_path) == [
        "dev.conll:3: the sentence is also in train, at train.conll:4; remove one",
        "test.conll:1: the sentence is also in dev, at dev.conll:1; remove one",
    ]


def test_labels_that_do_not_occur_in_train(tmp_path: Path) -> None:
    put(tmp_path, train__conll=GOOD, test__conll="in O\nRome B-LOC\n\nOslo B-LOC\nslept O\n\n")
    assert faults(tmp_path) == [
        "test.conll:2: label 'B-LOC' does not occur in train (2 in test); correct it or add it to train"
    ]


@pytest.mark.parametrize("content", ["", "\n\n", "-DOCSTART- O\n\n"])
def test_a_file_without_a_sentence(content: str, tmp_path: Path) -> None:
    assert faults(put(tmp_path, train__conll=content)) == ["train.conll: no sentences found"]


def test_a_file_without_labels(tmp_path: Path) -> None:
    assert faults(put(tmp_path, train__conll="Ada\nsang\n\n")) == [
        "train.conll:1: expected at least 2 columns (token and label), found 1"
    ]


ROW = "{}\t{}\tx\t{}\t_\t_\t_\t_\t_\t_\n"


def test_conllu(tmp_path: Path) -> None:
    words = ["cannot", "go", "on"]
    sentence = "# text = cannot go on\n1-2\tcannot" + "\t_" * 8 + "\n"
    sentence += "".join(ROW.format(place, word, "X") for place, word in enumerate(words, start=1)) + "\n"
    broken = ROW.format(1, "a", "X") + "2\tb\n" + ROW.format(3, "c", "X") + "\n" + ROW.format(2, "d", "X") + "\n"
    new = (
        ROW.format(1, "e", "X")
        + "2-3\tfg"
        + "\t_" * 8
        + "\n"
        + ROW.format(2, "f", "X")
        + ROW.format(3, "g", "Y")
        + "\n"
    )
    assert faults(put(tmp_path, train__conllu=sentence, dev__conllu=broken + new)) == [
        "dev.conllu:2: expected 10 tab-separated columns, found 2",
        "dev.conllu:5: expected token id 1, found '2'",
        "dev.conllu:10: label 'Y' does not occur in train (1 in dev); correct it or add it to train",
    ]


def test_jsonl(tmp_path: Path) -> None:
    lines = ['{"tokens": ["a"], "labels": ["B-X"]}', "{", '{"tokens": ["a", "b"], "labels": ["O", "I-X"]}', '{"x": 1}']
    assert faults(put(tmp_path, train__jsonl="\n".join(lines))) == [
        "train.jsonl:2: invalid JSON at character 2",
        "train.jsonl:3: I-X may not follow O in iob2; data convert --scheme repairs it",
        'train.jsonl:4: expected "tokens" or "text", found \'x\'',
    ]


def test_text(tmp_path: Path) -> None:
    put(tmp_path, train__txt="One line.\n\nAnother one.\n", dev__txt=b"One line.\n\xff\n")
    assert faults(tmp_path) == [
        "dev.txt:1: the sentence is also in train, at train.txt:1; remove one",
        "dev.txt:2: expected UTF-8 text, found byte 0xff at position 0 (try --encoding latin-1)",
    ]


def test_a_lone_file_and_a_target(tmp_path: Path) -> None:
    path = put(tmp_path, sents__conll="Ada I-PER NNP\nsang I-X VBD\n\na B-PER DT\n\n") / "sents.conll"
    assert faults(path) == []
    assert [problem.line for problem in check(resolve(path), "1")] == [1, 2]
    path.write_text("Ada B-PER NNP\nsang I-X VBD\n\n")
    assert [str(problem) for problem in check(resolve(path), "1")] == [
        f"{path}:2: I-X may not follow B-PER in iob2; data convert --scheme repairs it"
    ]
    with pytest.raises(DataError, match="expected a label column 'ner2', found columns: 0, 1, 2"):
        check(resolve(path), "ner2")


def test_pairs_have_numbers_for_lines() -> None:
    pairs = [(["a"], ["B-X"]), ([], []), (["b", "c"], ["O", "I-X"])]
    assert check(from_items("sentences", pairs, dev=pairs[:1])) == [
        Problem("pairs train", 3, "I-X may not follow O in iob2; data convert --scheme repairs it"),
        Problem("pairs dev", 1, "the sentence is also in train, at pairs train:1; remove one"),
    ]


def test_files_that_are_not_the_cards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQKIT_DATA", str(tmp_path))
    (tmp_path / "wnut17").mkdir()
    put(tmp_path / "wnut17", train__conll=GOOD, dev__conll="Eve B-PER\n", test__conll="Kim B-PER\n")
    found = [str(problem) for problem in check(resolve("wnut17"))]
    assert len(found) == 3
    checksum = load_card("wnut17").files[0].sha256
    assert found[0] == f"{tmp_path}/wnut17/train.conll: not the file of the card, whose SHA-256 is {checksum}"


def test_thousands_of_faults_are_found_in_one_pass(tmp_path: Path) -> None:
    found = faults(put(tmp_path, train__conll="a O\nb\n\n" * 5000))
    assert len(found) == 5001 and found[-1] == "train.conll:14999: expected 2 columns, found 1"


def test_many_faults_of_one_sentence_are_found_in_one_pass(tmp_path: Path) -> None:
    found = faults(put(tmp_path, train__conll="a O\nb\n" * 5000))
    assert len(found) == 5001 and found[-1] == "train.conll:10000: expected 2 columns, found 1"


def test_too_many_open_quotes_end_the_search(tmp_path: Path) -> None:
    """Behind each of them all that follows is one row, so that each would be read again to its end."""
    some = faults(put(tmp_path, train__csv="label,text\nx,y\n" + 'a","""\n' * 10))
    assert some == [f"train.csv:{line}: invalid CSV: a quote is not closed" for line in range(3, 13)]
    many = faults(put(tmp_path, train__csv="label,text\nx,y\n" + 'a","""\n' * 1000))
    assert len(many) == 22
    assert "train.csv:23: too many quotes are not closed; the lines from 24 on were not checked" in many


CONTROLS = ["\t", "\n", "\r", "\x1b", "\0", "\x7f", "\x85", "\u2028"]


@pytest.mark.parametrize("control", CONTROLS)
def test_labels_with_control_characters_are_faults_of_their_lines(tmp_path: Path, control: str) -> None:
    label = f"X{control}Y"
    fault = f"the label {label!r} has a control character; replace it"
    tokens = [{"tokens": ["a", "b"], "tags": ["O", "X"]}, {"tokens": ["c", "d"], "tags": ["O", label]}]
    spans = [{"text": "a b", "spans": []}, {"text": "c d", "spans": [{"start": 0, "end": 1, "label": label}]}]
    texts = [{"text": "a", "label": "x"}, {"text": "b", "label": label}]
    several = [{"text": "a", "label": ["x"]}, {"text": "b", "label": ["x", label]}]
    for number, rows in enumerate((tokens, spans, texts, several)):
        path = put(tmp_path / str(number), train__jsonl="".join(json.dumps(row) + "\n" for row in rows))
        told = fault.replace("'X", "'B-X") if rows is spans else fault
        assert f"train.jsonl:2: {told}" in faults(path)
        data = resolve(str(path / "train.jsonl"))
        with pytest.raises(DataError, match=f"train.jsonl:2: {re.escape(told)}$"):
            if rows is tokens or rows is spans:
                [one.column("") for one in data.sentences("all")]
            else:
                [labels_of_text(one, "label", rows is several) for one in data.texts("all")]


def test_labels_with_control_characters_from_columns_tables_and_python(tmp_path: Path) -> None:
    fault = "the label 'X\\x1bY' has a control character; replace it"
    put(tmp_path, train__conll="a O\nb P\n\nc O\nd X\x1bY\n\n", dev__conll="e O\nf P\n\n")
    assert faults(tmp_path) == [f"train.conll:5: {fault}"]
    quoted = 'label,text\nx,a\n"X\nY",b\n'
    assert "train.csv:3: the label 'X\\nY' has a control character; replace it" in faults(
        put(tmp_path / "a", train__csv=quoted)
    )
    pairs = from_items("sentences", [(["a"], ["O"]), (["b"], ["X\x1bY"])], dev=[(["a"], ["O"])])
    with pytest.raises(DataError, match=f"^pairs train:2: {re.escape(fault)}$"):
        [one.column("") for one in pairs.sentences("train")]
    with pytest.raises(DataError, match=f"^texts train:2: {re.escape(fault)}$"):
        [
            labels_of_text(one, "label")
            for one in from_items("texts", [("a", "x"), ("b", "X\x1bY")], [("a", "x")]).texts("train")
        ]


# --- labels beside words ----------------------------------------------------------------------------------------------


def test_labels_before_words_are_texts(tmp_path: Path) -> None:
    words = ["good", "bad", "fine", "poor", "nice", "dull", "great", "awful"]
    path = (
        put(tmp_path, train__tsv="".join(f"{('pos', 'neg')[n % 2]}\t{word}\n" for n, word in enumerate(words)))
        / "train.tsv"
    )
    assert describe(path)[0].format == describe(path, texts=True)[0].format == "tsv"
    assert check(resolve(str(path))) == []
    assert [(one.fields["label"], one.text) for one in resolve(str(path)).texts("all")][:2] == [
        ("pos", "good"),
        ("neg", "bad"),
    ]
    with pytest.raises(DataError, match=r"train\.tsv: expected tokens with labels, found labelled texts$"):
        resolve(str(path)).sentences("all")


def test_words_before_labels_are_columns_and_that_is_said(tmp_path: Path) -> None:
    path = put(tmp_path, train__tsv="".join(f"{word}\t{'XY'[word == 'b']}\n" for word in "abcd")) / "train.tsv"
    description, notes = describe(path)
    told = "each row is read as a token and its label; --format tsv reads a label and a text"
    assert (description.format, notes) == ("conll", [f"{path}: {told}"])
    path.write_text(path.read_text() + "\n")
    assert describe(path)[1] == []


def test_of_very_many_faults_the_first_are_listed(tmp_path: Path) -> None:
    found = faults(put(tmp_path, train__conll="a O\nb O\n\n" + "b O\nc\n" * 12_000, dev__conll="a O\n\nc\n"))
    assert found[0] == "train.conll:5: expected 2 columns, found 1"
    assert found[9_999:] == [
        "train.conll:20003: expected 2 columns, found 1",
        "train.conll:20003: too many faults; the lines from 20004 on were not checked",
        "dev.conll:3: too many faults; the lines from 4 on were not checked",
        "and 1 more fault, not listed",
    ]


def test_faults_with_long_labels_are_not_all_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faulty, "_MOST_CHARACTERS", 20_000)
    content = "".join(f"a {'x' * 3_000}{number}\n\n" for number in range(100))
    found = faults(put(tmp_path, train__conll="a O\nb P\n\n", dev__conll=content))
    assert len(found) == 11 and found[-1] == "and 90 more faults, not listed"


def test_a_quote_that_is_not_closed_does_not_take_the_rest_of_a_large_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The module csv would need four bytes for each character."""
    monkeypatch.setattr(tables, "_LONGEST_CELL", 4_096)
    found = faults(put(tmp_path, train__csv='label,text\nx,"' + f"{'some words ' * 100}\n" * 60))
    open_quote = "invalid CSV: a cell has more than 4,096 characters, or a quote is not closed"
    assert found[:2] == ["train.csv: no sentences found", f"train.csv:2: {open_quote}"]
    assert len(found) == 61


def test_a_label_as_long_as_the_file_is_not_named_whole(tmp_path: Path) -> None:
    put(tmp_path, train__conll="a O\nb B-X\n\n", dev__conll=f"a B-{'X' * 9000}\n\n")
    (found,) = faults(tmp_path)
    assert found.startswith("dev.conll:1: label 'B-XXX")
    assert found.endswith("XXX' does not occur in train (1 in dev); correct it or add it to train")
    assert len(found) == len("dev.conll:1: ") + 2000


def test_labels_of_words_among_ranges_and_empty_nodes_have_their_lines(tmp_path: Path) -> None:
    rest = "\t_" * 8 + "\n"
    rows = ["0.1\tx" + rest, ROW.format(1, "a", "X"), "1.1\tx" + rest, "2-3\tbc" + rest, ROW.format(2, "b", "Y")]
    rows += ["2.1\tx" + rest, ROW.format(3, "c", "Z")]
    put(tmp_path, train__conllu=ROW.format(1, "a", "X") + "\n", dev__conllu="".join(rows) + "\n")
    assert faults(tmp_path) == [
        "dev.conllu:5: label 'Y' does not occur in train (1 in dev); correct it or add it to train",
        "dev.conllu:7: label 'Z' does not occur in train (1 in dev); correct it or add it to train",
    ]


def test_known_faults_of_a_real_set(real_file: Callable[[str], Path]) -> None:
    path = real_file("conll2002-es/esp.train.iob")
    found = [problem for problem in check(resolve("conll2002-es")) if "is also in" not in problem.message]
    assert (
        Problem(
            str(path),
            221619,
            "I-LOC may not follow the start of the sentence in iob2; data convert --scheme repairs it",
        )
        in found
    )


def test_statistics(tmp_path: Path) -> None:
    put(tmp_path, train__conll=GOOD, dev__conll="Ada B-PER\nwon O\n\nAda B-PER\n\nat O\nRome B-LOC\n\n")
    found, _ = statistics(resolve(tmp_path))
    assert list(found) == ["train", "dev"]
    assert json.loads(json.dumps(found["dev"].to_json())) == {
        "sentences": 3,
        "empty": 0,
        "tokens": 5,
        "types": 4,
        "lengths": {"mean": 5 / 3, "50%": 2, "90%": 2, "99%": 2, "100%": 2},
        "unseen_tokens": 3 / 5,
        "unseen_types": 3 / 4,
        "scheme": "iob2",
        "labels": {"PER": 2, "LOC": 1},
    }
    assert found["train"].unseen_tokens is None and found["train"].labels == {"PER": 2}
    assert (
        render_statistics(found, most=1)
        == """\
                     train    dev
sentences                2      3
  without tokens         0      0
tokens                   5      5
word types               5      4
unknown tokens              60.0%
unknown word types          75.0%
tokens per sentence    2.5    1.7
  50% quantile           2      2
  90% quantile           3      2
  99% quantile           3      2
  100% quantile          3      2
spans (iob2)
  PER                    2      2
  1 more                 0      1
"""
    )


def test_statistics_of_tags_and_of_text(tmp_path: Path) -> None:
    tags, _ = statistics(resolve(put(tmp_path, sents__conll="a X\nb Y\n\nc X\n\n") / "sents.conll"))
    assert list(tags) == ["all"] and tags["all"].scheme == "none" and tags["all"].labels == {"X": 2, "Y": 1}
    text, _ = statistics(resolve(put(tmp_path, lines__txt="One line.\n\n") / "lines.txt"))
    assert (text["all"].sentences, text["all"].empty, text["all"].tokens, text["all"].labels) == (2, 1, 3, {})
    assert "labels" not in render_statistics(text)


def test_statistics_count_a_held_out_split(tmp_path: Path) -> None:
    found, _ = statistics(resolve(put(tmp_path, train__conll=GOOD * 10)))
    assert (found["train"].sentences, found["dev"].sentences) == (18, 2)


def test_equal_texts_are_distinguished_by_the_arrays_beside_them(tmp_path: Path) -> None:
    texts = ["one", "two", "one"]
    lines = "".join(json.dumps({"text": text}) + "\n" for text in texts)
    put(tmp_path, train__jsonl=lines, dev__txt="one\n\n")
    images = np.linspace(0.0, 1.0, 3 * 2000).reshape(3, 2, 1000)  # whose repr would be shortened
    np.save(tmp_path / "train.image.npy", images)
    np.save(tmp_path / "dev.image.npy", images[:1] + 1e-9)
    assert faults(tmp_path) == []
    np.save(tmp_path / "dev.image.npy", images[2:])
    assert faults(tmp_path) == ["dev.txt:1: the sentence is also in train, at train.jsonl:3; remove one"]
    np.save(tmp_path / "train.image.npy", images[:2])
    assert faults(tmp_path)[0] == (
        "train.jsonl: train.image.npy: expected 3 rows, one per record of train.jsonl, found 2"
    )


def test_equal_texts_are_distinguished_by_nested_numbers(tmp_path: Path) -> None:
    rows = [json.dumps({"text": "one", "image": [[0, 1], [1, shade]]}) + "\n" for shade in (0, 1)]
    assert faults(put(tmp_path, train__jsonl=rows[0], dev__jsonl=rows[1])) == []
    assert len(faults(put(tmp_path, train__jsonl=rows[0], dev__jsonl=rows[0]))) == 1


@pytest.mark.parametrize("extension", ["jsonl", "tsv"])
def test_texts_may_have_several_labels(extension: str, tmp_path: Path) -> None:
    rows = {"train": [["a", "b"], ["b"], ["c"]], "dev": [["a", "c"], ["b", "x"]]}
    for split, labels in rows.items():
        texts = [f"{split} text {number}" for number in range(len(labels))]
        if extension == "jsonl":
            lines = [json.dumps({"text": text, "label": label}) for text, label in zip(texts, labels, strict=True)]
        else:
            pairs = zip(labels, texts, strict=True)
            lines = ["label\ttext", *(f"{'|'.join(label)}\t{text}" for label, text in pairs)]
        (tmp_path / f"{split}.{extension}").write_text("\n".join(lines) + "\n")
    file = str(tmp_path / f"dev.{extension}")
    line = 2 if extension == "jsonl" else 3
    assert check(resolve(tmp_path)) == [
        Problem(file, line, "label 'x' does not occur in train (1 in dev); correct it or add it to train")
    ]
    numbers, _ = statistics(resolve(tmp_path))
    assert numbers["train"].labels == {"b": 2, "a": 1, "c": 1} and numbers["dev"].labels["c"] == 1


def test_a_sign_in_a_label_does_not_make_it_several(tmp_path: Path) -> None:
    (tmp_path / "train.tsv").write_text("label\ttext\nx|y\tone text\nz\tanother text\n")
    (tmp_path / "test.tsv").write_text("label\ttext\nx\ta third text\nx|y\tthe last text\n")
    file = str(tmp_path / "test.tsv")
    assert check(resolve(tmp_path)) == [
        Problem(file, 2, "label 'x' does not occur in train (1 in test); correct it or add it to train")
    ]


def test_raw_text_is_split_as_training_splits_it(tmp_path: Path) -> None:
    text = "L'homme de l'Italie va à l'école et qu'il aime."
    start = text.index("Italie")
    record = {"text": text, "spans": [{"start": start, "end": start + len("Italie"), "label": "LOC"}]}
    other = {"text": text.replace("aime", "dort"), "spans": record["spans"]}
    path = tmp_path / "train.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in (record, other)), encoding="utf-8")
    found = resolve(path)
    assert check(found, task="tag") == []
    learned = preview(found, TASKS["tag"])
    numbers, notes = statistics(found)
    assert numbers["all"].labels == {"LOC": 2}
    assert numbers["all"].tokens == 2 * len(Splitter("elision").split(text))
    assert notes == [note for note in learned.notes if "elision" in note]


@pytest.mark.skipif(not os.path.isdir("/dev/fd"), reason="descriptors have no names")
def test_a_pipe_is_read_once(tmp_path: Path) -> None:
    def piped() -> Dataset:
        reader, writer = os.pipe()
        os.write(writer, b"Ada B-PER\nsang O\n\n" * 100)
        os.close(writer)
        return resolve(f"/dev/fd/{reader}").described(Description("conll"))

    assert check(piped()) == []
    assert statistics(piped())[0]["all"].sentences == 100
    found = piped()
    told = "a pipe or device can be read only once, and training needs its data several times; write the data to a file"
    with pytest.raises(DataError) as fault:
        train({"task": "tag"}, tmp_path / "model", found)
    assert str(fault.value) == f"{found.name}: {told} first"
    assert len(found.sentences("all")) == 100


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_a_file_in_utf_16_has_one_fault(encoding: str, tmp_path: Path) -> None:
    put(tmp_path, train__conll=(GOOD + "Zoë B-PER\n\n").encode(encoding))
    with pytest.raises(DataError, match=rf"train.conll:1: expected UTF-8 text, found UTF-16.*{encoding} reads it$"):
        check(resolve(tmp_path))


def test_zstandard_is_checked_as_it_is_read(tmp_path: Path) -> None:
    import zstandard

    put(tmp_path, train__conll__zst=zstandard.compress(GOOD.encode()))
    assert faults(tmp_path) == []


def test_some_sentences_without_labels(tmp_path: Path) -> None:
    lone = json.dumps({"tokens": ["Ann", "ran"], "ner": ["B-PER", "O"]}) + "\n"
    put(tmp_path, train__jsonl=lone * 2, dev__jsonl='{"tokens": ["Bo", "sat"]}\n')
    told = "the tokens have no labels, which those of others have; label them, or leave it out"
    assert faults(tmp_path) == [f"dev.jsonl:1: {told}"]
