from __future__ import annotations

import io
import json
import math
import random
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqkit.errors import DataError
from seqkit.formats.conll import read_conll
from seqkit.formats.format import ReadOptions
from seqkit.formats.jsonl import read_jsonl
from seqkit.formats.registry import read_sentences
from seqkit.formats.schemes import spans as read_spans
from seqkit.formats.writers import WRITERS, OpenRows, clean, format_conll, format_inline, to_json, write_records
from seqkit.records import Sentence, TaggedSentence, TaggedSpan


def record_of(sentence: Sentence, labels: list[str], scheme: str) -> TaggedSentence:
    record = TaggedSentence(sentence, labels, marks_spans=scheme != "none")
    for first, last, label in read_spans(labels, scheme):
        start, end = sentence.offsets[first][0], sentence.offsets[last - 1][1]
        record.spans.append(TaggedSpan(start, end, label, sentence.text[start:end], first, last))
    return record


def ada(probs: list[float] | None = None, alternatives: list[tuple[list[str], float]] | None = None) -> TaggedSentence:
    text = " Ada  Lovelace met Bob."
    sentence = Sentence(["Ada", "Lovelace", "met", "Bob", "."], text, [(1, 4), (6, 14), (15, 18), (19, 22), (22, 23)])
    labels = ["B-PER", "I-PER", "O", "B-PER", "O"]
    record = record_of(sentence, labels, "iob2")
    record.probs, record.alternatives = probs, alternatives
    return record


def tagged(tokens: list[str], labels: list[str], scheme: str = "none") -> TaggedSentence:
    return record_of(Sentence.from_tokens(tokens, file="in", line=3), labels, scheme)


NO_TOKENS = TaggedSentence(Sentence([], "  ", []), [], marks_spans=True)
PROBS = [0.5, 1.0, 1 / 3, 0.99999, 0.0]
ALL_O = (["O"] * 5, 0.25)


def test_conll() -> None:
    assert format_conll(ada()) == "Ada\tB-PER\nLovelace\tI-PER\nmet\tO\nBob\tB-PER\n.\tO\n\n"
    assert format_conll(ada(PROBS)).split("\n")[1:4] == [
        "Lovelace\tI-PER\t1.0000",
        "met\tO\t0.3333",
        "Bob\tB-PER\t1.0000",
    ]
    assert format_conll(NO_TOKENS) == "\n"


def test_conll_nbest() -> None:
    record = TaggedSentence(Sentence.from_tokens(["a"]), ["X"], alternatives=[(["X"], 0.93), (["Y"], 0.07)])
    assert format_conll(record) == "# nbest = 1 prob = 0.9300\na\tX\n\n# nbest = 2 prob = 0.0700\na\tY\n\n"
    empty = TaggedSentence(Sentence.from_tokens([]), [], alternatives=[([], 1.0)])
    assert format_conll(empty) == "# nbest = 1 prob = 1.0000\n\n"
    empty.alternatives = []
    assert format_conll(empty) == format_inline(empty) == "\n"


def test_jsonl() -> None:
    found = json.loads(WRITERS["jsonl"](ada()))
    assert list(found) == ["text", "tokens", "spans"]
    assert found["text"] == " Ada  Lovelace met Bob."
    assert found["tokens"][1] == {"text": "Lovelace", "start": 6, "end": 14, "label": "I-PER"}
    assert found["spans"] == [
        {"start": 1, "end": 14, "label": "PER", "text": "Ada  Lovelace"},
        {"start": 19, "end": 22, "label": "PER", "text": "Bob"},
    ]
    assert json.loads(WRITERS["jsonl"](NO_TOKENS)) == {"text": "  ", "tokens": [], "spans": []}


def test_jsonl_probabilities_and_nbest() -> None:
    record = ada(PROBS, [(ada().labels, 0.75), ALL_O])
    record.spans[0].prob = 2 / 3
    found = json.loads(WRITERS["jsonl"](record))
    assert [token["prob"] for token in found["tokens"]] == [0.5, 1.0, 0.333333, 0.99999, 0.0]
    assert found["spans"][0]["prob"] == 0.666667
    assert "prob" not in found["spans"][1]
    assert found["nbest"][1] == {"labels": ["O"] * 5, "prob": 0.25}


def test_jsonl_is_readable_and_one_line() -> None:
    line = WRITERS["jsonl"](tagged(["日本", "a\nb\u2028"], ["X", "Y"]))
    assert "日本" in line
    assert line.count("\n") == 1


def test_inline_keeps_the_original_text() -> None:
    assert format_inline(ada()) == " [Ada  Lovelace]PER met [Bob]PER.\n"
    assert format_inline(ada(alternatives=[(ada().labels, 0.75), ALL_O])) == (
        "0.7500\t [Ada  Lovelace]PER met [Bob]PER.\n0.2500\t Ada  Lovelace met Bob.\n"
    )
    assert format_inline(tagged(["No", "names"], ["O", "O"], "iob2")) == "No names\n"
    assert format_inline(NO_TOKENS) == "  \n"


def test_inline_adjacent_spans() -> None:
    record = tagged(["Ada", "Bob", "C"], ["S-PER", "S-PER", "S-ORG"], "bioes")
    assert format_inline(record) == "[Ada]PER [Bob]PER [C]ORG\n"


def test_inline_without_spans() -> None:
    assert format_inline(tagged(["Ada", "met"], ["PROPN", "VERB"])) == "Ada_PROPN met_VERB\n"


def test_inline_has_one_form_for_a_whole_output() -> None:
    """Whether labels mark spans is known of the model; labels of a single sentence may not tell."""
    assert format_inline(tagged(["Ada", "met"], ["B-PER", "O"], "none")) == "Ada_B-PER met_O\n"
    assert format_inline(tagged(["No", "names"], ["O", "O"], "none")) == "No_O names_O\n"
    record = ada()
    record.spans = []  # as where spans were not asked for
    assert format_inline(record) == " [Ada  Lovelace]PER met [Bob]PER.\n"


@pytest.mark.parametrize("token", ["a\tb", "a\nb", "a\rb"])
def test_conll_refuses_what_it_cannot_hold(token: str) -> None:
    expected = "in:3: a token contains a tab or line break; use --output-format jsonl"
    with pytest.raises(DataError, match=f"^{re.escape(expected)}$"):
        format_conll(tagged([token, "x"], ["X", "Y"]))
    assert json.loads(WRITERS["jsonl"](tagged([token], ["X"])))["tokens"][0]["text"] == token


def test_conll_refuses_empty_tokens() -> None:
    expected = "in:3: empty token; use --output-format jsonl"
    with pytest.raises(DataError, match=f"^{re.escape(expected)}$"):
        format_conll(tagged([""], ["X"]))


def test_inline_refuses_line_breaks_only() -> None:
    assert format_inline(tagged(["a\tb"], ["X"])) == "a\tb_X\n"
    with pytest.raises(DataError, match=r"^in:3: a token contains a tab or line break; use --output-format jsonl$"):
        format_inline(tagged(["a\nb"], ["X"]))


def test_lone_surrogates() -> None:
    record = tagged(["a\ud800", "é"], ["X", "Y"])
    assert format_conll(record) == "a\ufffd\tX\né\tY\n\n"
    assert format_inline(record) == "a\ufffd_X é_Y\n"
    line = WRITERS["jsonl"](record)
    assert "\\ud800" in line
    assert json.loads(line.encode())["tokens"][0]["text"] == "a\ud800"
    assert clean("\udfff\U0001f600") == "\ufffd\U0001f600"


@given(st.text(st.characters(), max_size=8))
def test_json_loads_back(text: str) -> None:
    pair = re.search("[\ud800-\udbff][\udc00-\udfff]", text)
    if not pair:
        assert json.loads(to_json(text).encode("utf-8")) == text


ANY_TOKENS = st.lists(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\t\r\n"), min_size=1), max_size=6
)


@given(ANY_TOKENS, st.data())
def test_what_is_written_is_read_back(tokens: list[str], data: st.DataObject) -> None:
    labels = data.draw(st.lists(st.sampled_from(["O", "B-X", "I-X"]), min_size=len(tokens), max_size=len(tokens)))
    record = tagged(tokens, labels, "iob2")
    (from_json,) = read_jsonl([(1, WRITERS["jsonl"](record).rstrip("\n"))], "f", ReadOptions(lambda text: []))
    assert (from_json.text, from_json.offsets, from_json.tokens) == (
        record.sentence.text,
        record.sentence.offsets,
        tokens,
    )
    assert from_json.columns.get("label", []) == labels
    lines = enumerate(format_conll(record).split("\n"), start=1)
    if tokens and "-DOCSTART-" not in tokens:
        (from_columns,) = read_conll(lines, "f")
        assert (from_columns.tokens, from_columns.columns["1"]) == (tokens, labels)


def test_write_records() -> None:
    stream = io.StringIO()
    assert write_records(iter([ada(), NO_TOKENS, ada()]), stream, "inline") == 3
    assert stream.getvalue() == format_inline(ada()) + "  \n" + format_inline(ada())
    assert list(WRITERS) == ["conll", "jsonl", "inline", "tsv", "textgrid", "audacity", "text"]


def test_unknown_output_format() -> None:
    known = "conll, jsonl, inline, tsv, textgrid, audacity, text"
    with pytest.raises(DataError, match=rf"^unknown output format 'xml'; choose from {known}$"):
        write_records([], io.StringIO(), "xml")


def test_writing_is_fast(real_file: Callable[[str], Path]) -> None:
    """An idle core writes 2,500,000 tokens a second; the bound leaves room for a busy machine."""
    sentences = list(read_sentences(real_file("conll2000/test.txt"), "conll"))
    records = [record_of(sentence, sentence.column(""), "iob2") for sentence in sentences]
    seconds = []
    for _ in range(3):
        start = time.process_time()
        write_records(records, io.StringIO(), "conll")
        seconds.append(time.process_time() - start)
    assert sum(map(len, sentences)) / min(seconds) > 500_000


def test_what_is_not_finite_is_null() -> None:
    assert to_json({"a": [math.inf, (1.5, -math.inf)], "b": {"c": math.nan, "d": "NaN"}}) == (
        '{"a": [null, [1.5, null]], "b": {"c": null, "d": "NaN"}}'
    )


# --- rows of a sentence that is still going on --------------------------------------------------------------------


@pytest.mark.parametrize("probs", [False, True])
def test_rows_that_are_written_one_by_one_are_those_of_the_whole(probs: bool) -> None:
    """Where the first tokens leave it open how rows will be read, they wait; the comment is that of the whole."""
    draw = random.Random(0)
    words = ["word", "I", "a", "B-X", "#tag", "#", "-DOCSTART-", "5", "6", "very", "very", "1", "tokens", "met", "Ada"]
    for _ in range(500):
        tokens = draw.choices(words, k=draw.randint(0, 6))
        cells = [[draw.choice(["O", "B-X", "tag"]), *(["0.5000"] if probs else [])] for _ in tokens]
        labels = [cell[0] for cell in cells]
        record = TaggedSentence(Sentence.from_tokens(tokens), labels, [0.5] * len(tokens) if probs else None)
        rows, found, given, known = OpenRows("in.txt", 3), "", 0, 0
        while given < len(tokens):
            more = draw.randint(1, 3)
            decided = draw.randint(known, min(len(tokens), given + more))
            found += rows.add(tokens[given : given + more], cells[known:decided])
            given, known = given + more, decided
        found += rows.add([], cells[known:], ended=True)
        whole = format_conll(record)
        later = "-DOCSTART-" in tokens[1:]  # which is read as a token among others
        assert found == whole or (later and found == whole[whole.index("\n") + 1 :])
        again = (
            list(read_conll(enumerate(found.splitlines(), 1), "in.txt", ReadOptions(token_column="0")))
            if tokens
            else []
        )
        assert [each.tokens for each in again] == [tokens] * bool(tokens)


def test_rows_wait_for_a_thousand_tokens_at_most() -> None:
    rows = OpenRows("", 1)
    sizes = [len(rows.add(["O"], [["O"]])) for _ in range(1002)]
    assert sizes[:999] == [0] * 999
    assert sizes[999] == len("# text = " + " ".join(["O"] * 1000)) + 1 + 4000
    assert sizes[1000:] == [4, 4]


def test_a_label_with_a_space_at_its_end_is_refused_with_its_place() -> None:
    with pytest.raises(DataError) as caught:
        OpenRows("in.txt", 3).add(["met"], [["A "]])
    assert str(caught.value) == "in.txt:3: the label 'A ' has a space at its end; use --output-format jsonl"
