"""Requests: what is asked in JSON is answered in JSON, as prediction answers it; what cannot be asked is told."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from four_tasks import classifier, generator, language_model, ngram_model, tagger, texts

from seqkit.errors import DataError, SeqkitError, SettingsError
from seqkit.formats.blocks import cut
from seqkit.formats.format import Description
from seqkit.formats.writers import to_json
from seqkit.inputs.lookup import type_batch
from seqkit.model import writing
from seqkit.model.requests import block_request
from seqkit.records import ScoredText

MODELS: dict[str, Callable[[], Any]] = {
    "tag": tagger,
    "classify": classifier,
    "lm": language_model,
    "ngram": ngram_model,
}
PART = {"name": "a.txt", "format": "text", "first": 1, "head": None, "data": "a\n"}
BLOCK = "a block is a list of objects with name, format, first, head and data, a string"
TEXTS = [*texts(6, seed=3, longest=5), "", " \t ", "new  Unknown"]


@pytest.fixture(scope="module")
def models() -> dict[str, Any]:
    return {name: make() for name, make in MODELS.items()}


def asked(model: Any, request: object) -> Any:
    """The answer to a request, both sent as JSON."""
    return json.loads(json.dumps(model.answer(json.loads(json.dumps(request))), allow_nan=False))


def close(found: Any, expected: Any) -> None:
    """Equal but for the rounding of sums, which differs with the batch."""
    if isinstance(expected, float):
        assert found == pytest.approx(expected, rel=1e-4, abs=2e-6)
    elif isinstance(expected, dict):
        assert list(found) == list(expected)
        for name, value in expected.items():
            close(found[name], value)
    elif isinstance(expected, list):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            close(one, other)
    else:
        assert found == expected


# --- one text and several -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
def test_one_text(name: str, models: dict[str, Any]) -> None:
    model = models[name]
    for text in TEXTS:
        (expected,) = model.predict([text])
        found = asked(model, {"text": text})
        assert found == expected.to_json()
        assert found["text"] == text


@pytest.mark.parametrize("name", MODELS)
def test_several_texts_are_answered_in_order(name: str, models: dict[str, Any]) -> None:
    model = models[name]
    found = asked(model, {"texts": TEXTS})
    assert list(found) == ["answers"]
    assert found["answers"] == [one.to_json() for one in model.predict(TEXTS)]
    close(found["answers"], [asked(model, {"text": text}) for text in TEXTS])
    assert asked(model, {"texts": []}) == {"answers": []}


@pytest.mark.parametrize("name", ["tag", "classify"])
def test_tokens(name: str, models: dict[str, Any]) -> None:
    tokens = ["new", "a b", "Unknown"]
    (expected,) = models[name].predict([tokens])
    assert asked(models[name], {"tokens": tokens}) == expected.to_json()
    both = asked(models[name], {"texts": ["new", {"tokens": tokens}, {"text": "new"}]})["answers"]
    assert [one["text"] for one in both] == ["new", "new a b Unknown", "new"]


def test_options_stand_beside_the_text(models: dict[str, Any]) -> None:
    text = TEXTS[0]
    (expected,) = models["tag"].predict([text], probs=True, nbest=2)
    assert asked(models["tag"], {"text": text, "probs": True, "nbest": 2}) == expected.to_json()
    several = asked(models["tag"], {"probs": True, "texts": [text, text]})["answers"]
    assert all("prob" in token for one in several for token in one["tokens"])
    assert len(asked(models["classify"], {"text": text, "top": 2})["probs"]) == 2
    assert len(asked(models["classify"], {"text": text})["probs"]) == 3


def test_a_pipeline_answers_request_after_request(models: dict[str, Any]) -> None:
    model = models["tag"]
    pipeline = model.pipeline(batch_tokens=3)
    for text in TEXTS:
        assert model.answer({"text": text}, pipeline)["text"] == text


def test_what_is_no_finite_number_is_null(models: dict[str, Any]) -> None:
    def predict(records: Iterable[Any], options: Any) -> Iterator[ScoredText]:
        return (ScoredText(record.text, -1e9, 1) for record in records)

    one = models["lm"].answer({"text": "a"}, predict)
    assert one == {"text": "a", "log_prob": -1e9, "units": 1, "unknown": 0, "perplexity": None}
    assert models["lm"].answer({"texts": ["a"]}, predict) == {"answers": [one]}
    assert math.isinf(ScoredText("a", -1e9, 1).perplexity)


def test_a_generator_writes_from_its_conditions() -> None:
    model = generator()
    conditions = {"kind": "a", "title": "new"}
    (expected,) = model.generate(conditions, temperature=0, length=9)
    assert asked(model, {**conditions, "temperature": 0, "length": 9}) == expected.to_json()
    several = asked(model, {**conditions, "count": 3, "seed": 1, "length": 9})["answers"]
    assert several == [one.to_json() for one in model.generate(conditions, count=3, seed=1, length=9)]
    # Also where a field is called as an option is, and several at once.
    pipeline = model.pipeline()
    greedy = {"temperature": 0, "length": 9}
    assert model.answer({"condition": conditions, **greedy}, pipeline) == expected.to_json()
    others = [conditions, {"kind": "b", "title": "old"}]
    found = model.answer({"conditions": others, **greedy}, pipeline)
    assert found == {"answers": [one.to_json() for one in model.generate(others, **greedy)]}
    assert model.answer({"conditions": []}, pipeline) == {"answers": []}
    wanted = "a request has a 'condition', an object, or 'conditions', a list of objects"
    for request, fault in (
        ([], "a request is a JSON object, found []"),
        ({"condition": 3}, wanted),
        ({"condition": []}, wanted),
        ({"condition": [conditions]}, wanted),
        ({"conditions": conditions}, wanted),
        ({"condition": conditions, "conditions": others}, wanted),
        ({"conditions": [conditions, 3]}, "expected conditions as a mapping field → value, found 3"),
        ({"conditions": [conditions, None]}, "expected conditions as a mapping field → value, found None"),
    ):
        with pytest.raises(SeqkitError) as caught:
            model.answer(request, pipeline)
        assert str(caught.value) == fault


def test_the_vocabulary_is_embedded_once_a_pipeline(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    monkeypatch.setattr(writing, "type_batch", lambda *given: made.append(given) or type_batch(*given))
    for model, write, given in (
        (generator(), "generate", {"kind": "a", "title": ""}),
        (language_model(), "sample", ""),
    ):
        made.clear()
        pipeline = model.pipeline()
        texts = [getattr(model, write)(given, seed=1, length=5, pipeline=pipeline) for _ in range(3)]
        assert texts[0] == texts[1] == texts[2] == getattr(model, write)(given, seed=1, length=5)
        assert len(made) == 2


# --- blocks of files ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("output_format", ["conll", "jsonl", "inline"])
def test_a_block_of_a_file(output_format: str, models: dict[str, Any], tmp_path: Path) -> None:
    model = models["tag"]
    file = tmp_path / "in.txt"
    file.write_text("".join(f"{text}\n" for text in TEXTS), encoding="utf-8")
    (block,) = cut([(str(file), Description("text"))])
    found = asked(model, block_request(block, output_format, probs=True))
    shown = model.options({"probs": True}).for_output(output_format)
    assert shown.spans == (output_format != "conll")
    expected = list(model.pipeline()(map(model.record, TEXTS), shown))
    tokens = sum(len(one.sentence.tokens) for one in expected)
    assert {name: found[name] for name in ("records", "tokens", "unknown", "fault")} == {
        "records": len(TEXTS),
        "tokens": tokens,
        "unknown": 0,
        "fault": None,
    }
    if output_format == "jsonl":
        assert found["output"] == "".join(to_json(one.to_json()) + "\n" for one in expected)
    assert found["output"].count("\n") == (tokens + len(TEXTS) if output_format == "conll" else len(TEXTS))


@pytest.mark.parametrize(("name", "output_format"), [("lm", "tsv"), ("ngram", "jsonl"), ("classify", "tsv")])
def test_blocks_of_other_tasks(name: str, output_format: str, models: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "in.txt"
    file.write_text("Ω Ω\n\nΩ\n", encoding="utf-8")
    answers = [
        asked(models[name], block_request(block, output_format)) for block in cut([(str(file), Description("text"))], 4)
    ]
    assert [answer["fault"] for answer in answers] == [None] * len(answers)
    assert "".join(answer["output"] for answer in answers).count("\n") == 3
    assert sum(answer["records"] for answer in answers) == 3
    if name in ("lm", "ngram"):
        assert sum(answer["tokens"] for answer in answers) == 6  # with the ends of lines
        assert sum(answer["unknown"] for answer in answers) == 3


def test_the_fault_of_a_block_comes_with_what_is_before_it(models: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "in.txt"
    file.write_bytes(b"one\ntwo\n\xff\nfour\n")  # which JSON cannot hold as it is
    (block,) = cut([(str(file), Description("text"))])
    found = asked(models["tag"], block_request(block, "inline"))
    assert (found["records"], found["output"].count("\n")) == (2, 2)
    assert found["fault"] == f"{file}:3: expected UTF-8 text, found byte 0xff at position 0 (try --encoding latin-1)"


# --- what cannot be asked -----------------------------------------------------------------------------------------

TAGGING = "a request has 'text' or 'tokens' beside options (probs, nbest, lag, lm, lm_weight, beam); this one has "


@pytest.mark.parametrize(
    ("name", "request_", "fault"),
    [
        ("tag", {}, TAGGING + "nothing"),
        ("tag", {"probs": True}, TAGGING + "nothing"),
        ("tag", {"text": "a", "nbset": 3}, TAGGING + "'text', 'nbset'"),
        ("tag", {"txt": "a"}, TAGGING + "'txt'"),
        ("tag", {"text": "a", "tokens": ["a"]}, TAGGING + "'text', 'tokens'"),
        ("tag", {"texts": [{"text": "a", "nbset": 1}]}, TAGGING + "'text', 'nbset'"),
        ("classify", {"text": "a", "label": "x"}, "a request has 'text' or 'tokens' beside options (top); this one has "
         "'text', 'label'"),
        ("lm", {"text": "a", "top": 1}, "a request has 'text' beside options (none); this one has 'text', 'top'"),
        ("lm", {"tokens": ["a"]}, "a request has 'text' beside options (none); this one has 'tokens'"),
        ("ngram", {}, "a request has 'text' beside options (none); this one has nothing"),
        ("tag", {"text": "a", "nbest": 0}, "options: nbest: expected at least 1, found 0"),
        ("tag", {"text": "a", "nbest": 1001}, "options: nbest: expected at most 1000, found 1001"),
        ("tag", {"text": "a", "spans": False}, TAGGING + "'text', 'spans'"),
        ("tag", {"block": [], "spans": False},
         "options: spans: unknown name, expected one of probs, nbest, lag, lm, lm_weight, beam"),
        ("tag", {"text": "a", "probs": "perhaps"}, "options: probs: expected a valid boolean, unable to interpret "
         "input, found 'perhaps'"),
        ("tag", {"texts": "ab"}, "a request for several texts has a list of them as 'texts', and nothing else but "
         "options"),
        ("tag", {"texts": ["a"], "text": "a"}, "a request for several texts has a list of them as 'texts', and nothing "
         "else but options"),
        ("tag", {"block": [], "output_format": "conll", "nbset": 3},
         "options: nbset: unknown name, expected one of probs, nbest, lag, lm, lm_weight, beam"),
        ("tag", {"block": [], "output_format": "tsv"}, "output_format: choose from conll, jsonl, inline, found 'tsv'"),
        ("lm", {"block": [], "output_format": "conll"}, "output_format: choose from tsv, jsonl, found 'conll'"),
        ("tag", [1], "a request is a JSON object, found [1]"),
        ("tag", {"block": 5}, BLOCK),
        ("tag", {"block": [{"x": 1}]}, BLOCK),
        ("tag", {"block": [{**PART, "data": "\ud800"}]}, BLOCK),
        ("tag", {"block": [{**PART, "data": 3}]}, BLOCK),
        ("tag", {"block": [{**PART, "format": "novel"}]}, BLOCK),
        ("tag", {"block": [{**PART, "first": "1"}]}, BLOCK),
        ("tag", {"block": [{**PART, "more": 1}]}, BLOCK),
        ("tag", {"block": {}}, BLOCK),
        ("tag", {"block": ""}, BLOCK),
        ("tag", {"block": [{**PART, "head": "a"}]}, BLOCK),
        ("tag", {"block": [{**PART, "head": {}}]}, BLOCK),
        ("classify", {"block": [{**PART, "format": "tsv", "head": True}]}, BLOCK),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_is_told(name: str, request_: Any, fault: str, models: dict[str, Any]) -> None:
    with pytest.raises(SettingsError) as caught:
        models[name].answer(request_)
    assert str(caught.value) == fault


@pytest.mark.parametrize(
    ("name", "request_", "fault"),
    [
        ("tag", {"text": 3}, 'expected a string in "text", found 3'),
        ("tag", {"text": None}, 'expected a text in "text", found none'),
        ("lm", {"texts": ["a", 3]}, "expected a text in field 'text', found 3"),
        ("tag", {"tokens": "ab"}, "expected a list in \"tokens\", found 'ab'"),
        ("tag", {"tokens": ["a", 1]}, 'expected non-empty strings in "tokens", found 1'),
        ("tag", {"tokens": {"a": 1}}, "expected a list in \"tokens\", found {'a': 1}"),
    ],
)
def test_a_record_of_another_form(name: str, request_: Any, fault: str, models: dict[str, Any]) -> None:
    with pytest.raises(DataError) as caught:
        models[name].answer(request_)
    assert str(caught.value) == fault


WIDTH = "a.txt: a head must be a number of columns and true for tabs, found "
CELLS = "a.txt: a head must be the cells of the first row, found "


@pytest.mark.parametrize(
    ("name", "format", "head", "fault"),
    [
        ("tag", "conll", [], WIDTH + "[]"),
        ("tag", "conll", [True, True], WIDTH + "[True, True]"),
        ("tag", "conll", ["2", False], WIDTH + "['2', False]"),
        ("tag", "conll", [2, 0], WIDTH + "[2, 0]"),
        ("tag", "conll", [0, True], WIDTH + "[0, True]"),
        ("tag", "conll", [10**9, False], WIDTH + "[1000000000, False]"),
        ("tag", "conll", [2, False, 1], WIDTH + "[2, False, 1]"),
        ("classify", "tsv", [["text"]], CELLS + "[['text']]"),
        ("classify", "csv", ["text", None], CELLS + "['text', None]"),
        ("classify", "csv", [], "a.txt:1: expected 2 columns (label and text) or a header with 'text' and 'label', "
         "found 0 columns and no such header"),
        ("tag", "conll", [2, False], None),
        ("classify", "tsv", ["text"], None),
        ("tag", "text", [2, False], None),
    ],
)  # fmt: skip
def test_the_head_of_a_block(name: str, format: str, head: Any, fault: str | None, models: dict[str, Any]) -> None:
    part = {**PART, "format": format, "head": head, "data": "a b\n"}
    found = asked(models[name], {"block": [part]})
    assert (found["fault"], found["records"]) == (fault, int(fault is None))


def test_a_request_without_options_has_those_of_the_pipeline(models: dict[str, Any]) -> None:
    model = models["tag"]
    pipeline = model.pipeline(options=model.options({"probs": True}))
    assert model.answer({"text": "new b"}, pipeline) == model.answer({"text": "new b", "probs": True})
    block = {"block": [{**PART, "data": "new b\n"}], "output_format": "jsonl"}
    assert model.answer(block, pipeline) == model.answer({**block, "probs": True})
    assert "spans" in json.loads(model.answer(block, pipeline)["output"])


@pytest.mark.parametrize(
    ("changes", "kind", "fault"),
    [
        ({"nbset": 3}, SettingsError, "options: nbset: unknown name, expected one of prompt, count, length, "),
        ({"count": 0}, SettingsError, "options: count: expected at least 1, found 0"),
        ({"beam": 2, "top_k": 3}, SettingsError, "options: "),
        ({"allowed": 3}, SettingsError, "options: allowed: unknown name, expected one of "),
        ({"kind": "z"}, DataError, "expected a 'kind' seen in training (a, b), found 'z'"),
        ({"prompt": "Ω"}, SeqkitError, "the prompt has characters that the model does not know: 'Ω'"),
    ],
)
def test_what_a_generator_cannot_be_asked(changes: dict[str, Any], kind: type[Exception], fault: str) -> None:
    with pytest.raises(kind) as caught:
        generator().answer({"kind": "a", "title": "new", **changes})
    assert str(caught.value).startswith(fault)
