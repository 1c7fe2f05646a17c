from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from seqkit.errors import DataError
from seqkit.formats.format import ReadOptions
from seqkit.formats.jsonl import read_jsonl
from seqkit.formats.registry import read_sentences, read_texts
from seqkit.records import Sentence


def by_letters(text: str) -> list[tuple[int, int]]:
    return [match.span() for match in re.finditer(r"\w+|[^\w ]", text)]


def read(*records: Any) -> list[Sentence]:
    lines = [record if isinstance(record, str) else json.dumps(record) for record in records]
    return list(read_jsonl(enumerate(lines, start=1), "f", ReadOptions(by_letters)))


def test_tokens_and_columns() -> None:
    first, second = read(
        {"id": 7, "tokens": ["Ada", "met"], "tags": ["B-P", "O"], "ids": [1, 0], "other": ["x"], "mixed": [{}, "a"]},
        {"tokens": ["x"], "nbest": ["y"], "flags": [True]},
    )
    assert (first.tokens, first.text, first.offsets) == (["Ada", "met"], "Ada met", [(0, 3), (4, 7)])
    assert first.columns == {"tags": ["B-P", "O"], "ids": ["1", "0"]}
    assert (first.file, first.line, second.line, second.columns) == ("f", 1, 2, {})


def test_tokens_are_found_in_the_text() -> None:
    (sentence,) = read({"text": " It's  é.", "tokens": ["It", "'s", "é", "."]})
    assert (sentence.text, sentence.offsets) == (" It's  é.", [(1, 3), (3, 5), (7, 8), (8, 9)])


def test_token_objects() -> None:
    objects = [
        {"text": "a", "start": 2, "end": 3, "label": "X", "upos": "N", "prob": 0.5},
        {"text": "a", "start": 4, "end": 5, "label": "O"},
    ]
    (sentence,) = read({"text": "a a a", "tokens": objects})
    assert (sentence.tokens, sentence.text, sentence.offsets) == (["a", "a"], "a a a", [(2, 3), (4, 5)])
    assert sentence.columns == {"label": ["X", "O"]}
    (without_text,) = read({"tokens": objects})
    assert (without_text.text, without_text.offsets) == ("a a", [(0, 1), (2, 3)])


def test_text_alone_is_split() -> None:
    (sentence,) = read({"text": "Rome, now", "label": "news"})
    assert (sentence.tokens, sentence.columns) == (["Rome", ",", "now"], {})


def test_spans_become_iob2() -> None:
    spans = [{"start": 5, "end": 9, "label": "PER"}, {"start": 0, "end": 4, "label": "PER"}]
    (sentence,) = read({"text": "Anna Lena Rome", "spans": [*spans, {"start": 10, "end": 14, "label": "LOC"}]})
    assert sentence.columns == {"ner": ["B-PER", "B-PER", "B-LOC"]}
    (plain,) = read({"text": "No names", "spans": []})
    assert plain.columns == {"ner": ["O", "O"]}


def test_empty_sentences_and_blank_lines() -> None:
    first, second = read({"tokens": [], "labels": []}, "  ", {"text": ""})
    assert (first.tokens, second.tokens, second.line) == ([], [], 3)


def test_lone_surrogates_and_nul_survive() -> None:
    (sentence,) = read(r'{"tokens": ["\ud800", "\u0000", "\ud83d\ude00"]}')
    assert sentence.tokens == ["\ud800", "\x00", "\U0001f600"]


ORDER = 'the tokens do not follow one another in "text" with only white space between them'


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ('{"tokens": ["a"', "invalid JSON at character 16"),
        ("[" * 100_000, "invalid JSON"),
        (
            '{"text": "a", "x": ' + "[" * 100 + "]" * 100 + "}",
            "lists and objects are nested more than 100 deep",
        ),
        (
            '{"text": "a", "x": ' + '{"a": [' * 50 + "]}" * 50 + "}",
            "lists and objects are nested more than 100 deep",
        ),
        ("[1]", "expected a JSON object, found [1]"),
        ("7", "expected a JSON object, found 7"),
        ({"words": ["a"], "x": 1}, "expected \"tokens\" or \"text\", found 'words', 'x'"),
        ({}, 'expected "tokens" or "text", found no keys'),
        ({"text": 3}, 'expected a string in "text", found 3'),
        ({"tokens": "a b"}, "expected a list in \"tokens\", found 'a b'"),
        ({"tokens": ["a", ""]}, "expected non-empty strings in \"tokens\", found ''"),
        ({"tokens": ["a", None]}, 'expected non-empty strings in "tokens", found None'),
        ({"tokens": ["a", {"text": "b"}]}, "expected non-empty strings in \"tokens\", found {'text': 'b'}"),
        ({"tokens": [{"start": 1}]}, 'expected non-empty strings in "tokens", found None'),
        ({"tokens": ["de", "el"], "text": "del"}, ORDER),
        (
            {"text": "ab", "tokens": [{"text": "b", "start": 0, "end": 1}]},
            "token 'b' is not at 0:1 in \"text\"",
        ),
        (
            {"text": "ab", "tokens": [{"text": "b", "start": -1, "end": 2}]},
            "token 'b' is not at -1:2 in \"text\"",
        ),
        (
            {"text": "ab", "tokens": [{"text": "b", "start": 1, "end": 2}, {"text": "ab", "start": 0, "end": 2}]},
            "token 'ab' overlaps or precedes the token before it",
        ),
        ({"tokens": ["a", "b"], "labels": ["O"]}, 'expected 2 strings in "labels", one per token, found 1'),
        (
            {"tokens": ["a"], "tags": [None]},
            'expected 1 strings in "tags", one per token, found other values',
        ),
        ({"text": "a", "spans": {}}, 'expected a list in "spans", found {}'),
        (
            {"text": "a", "spans": [{"start": 0}]},
            'expected spans with "start", "end" and "label", found {\'start\': 0}',
        ),
        (
            {"text": "a", "spans": [{"start": 0, "end": 2, "label": "X"}]},
            "span 0:2 (X) is outside the text of 1 characters",
        ),
        (
            {"text": "Romeo", "spans": [{"start": 0, "end": 4, "label": "X"}]},
            "span 0:4 ('Rome', X) starts or ends inside the token 'Romeo'; --span-borders widen makes such spans "
            "end with the token, --span-borders narrow before it",
        ),
    ],
)
def test_faults(record: Any, message: str) -> None:
    with pytest.raises(DataError, match=f"^{re.escape('f:2: ' + message)}"):
        read({"text": "fine"}, record)


def test_a_hundred_lists_in_one_another_are_read() -> None:
    deep = "[" * 99 + "]" * 99
    sentences = read('{"text": "a", "x": ' + deep + "}", '{"text": "b", "x": [' + "[]," * 200 + "[]]}")
    assert [json.dumps(sentences[0].fields["x"]), len(sentences[1].fields["x"])] == [deep, 201]


@pytest.mark.parametrize("keys", [("reviewText", "overall"), ("text", "stars"), ("sentence", "label")])
def test_a_fault_names_the_flags_of_fields_that_are_there(keys: tuple[str, str], tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"id": 1, keys[0]: "a text", keys[1]: 5}) + "\n")
    flags = f"--set data.text={keys[0]} --set data.label={keys[1]} (or --text {keys[0]} --label {keys[1]})"
    with pytest.raises(DataError) as caught:
        list(read_texts(path))
    assert str(caught.value).endswith(f"; say which is which: {flags}")
    assert len(list(read_texts(path, text=keys[0], label=keys[1]))) == 1


@pytest.mark.parametrize("key", ["words", "Tokens", "sentence"])
def test_a_fault_names_the_flag_of_tokens_that_are_there(key: str, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({key: ["a", "b"], "tags": ["X", "Y"]}) + "\n")
    expected = f"expected \"tokens\" or \"text\", found '{key}', 'tags'"
    message = f"{path}:1: {expected}; --token-column {key} if '{key}' has the tokens"
    with pytest.raises(DataError) as caught:
        list(read_sentences(path))
    assert str(caught.value) == message
    assert [each.tokens for each in read_sentences(path, token_column=key)] == [["a", "b"]]


@pytest.mark.parametrize("key", ["label", "type", "tag", "entity_group"])
def test_usual_keys_of_the_label_of_a_span(key: str, tmp_path: Path) -> None:
    spans = [{"start": 0, "end": 3, key: "PER"}]
    for field in ("spans", "entities"):
        path = tmp_path / "a.jsonl"
        path.write_text(json.dumps({"text": "Ada slept", field: spans}) + "\n")
        assert [each.column("ner") for each in read_sentences(path)] == [["B-PER", "O"]]
