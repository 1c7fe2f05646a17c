"""Generators: what they write is what they find likely, is never unknown, obeys an acrostic, and survives saving."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from seqkit.config import override
from seqkit.errors import SeqkitError
from seqkit.heads.generation.module import IGNORED
from seqkit.heads.generation.settings import GenerateSettings
from seqkit.heads.generation.verse import LINE_ENDS, line_lengths
from seqkit.inputs.units import target_text
from seqkit.model.generator import Generator
from seqkit.model.loading import load
from seqkit.nn.network import Encoded
from seqkit.records import TextRecord, WrittenText

ROWS: list[dict[str, Any]] = [
    {"kind": "a", "size": [0.0, 1.0], "title": "new moon", "text": "ab\uff0cba\u3002"},
    {"kind": "b", "size": [2.0, 1.0], "title": "old moon", "text": "bbb\uff0caab\u3002"},
    {"kind": "a", "size": [0.0, 3.0], "title": "old sun", "text": "aa\uff0cbb\u3002"},
    {"kind": "b", "size": [2.0, 3.0], "title": "new sun", "text": "aba\uff0cbab\u3002"},
]
TINY = {
    "data": {"condition": "kind:label,size,title:text"},
    "embedding": {"word_size": 6},
    "encoder": {"hidden": 8},
    "head": {"label_size": 3, "vector_size": 4, "text_hidden": 3},
}


def build(tree: dict[str, Any] | None = None, seed: int = 0, rows: list[dict[str, Any]] = ROWS) -> Generator:
    torch.manual_seed(seed)
    tuned = override(override(GenerateSettings(), TINY), tree or {})
    model = Generator.build(tuned, [TextRecord("", fields=row) for row in rows])
    model.network.eval()
    return model


def fault(call: Any, *arguments: Any, **options: Any) -> str:
    with pytest.raises(SeqkitError) as caught:
        call(*arguments, **options)
    return str(caught.value)


TREES: list[dict[str, Any]] = [
    {},
    {"head": {"tied": True}, "encoder": {"cell": "gru", "layers": 2}},
    {"data": {"condition": "none"}},
    {"data": {"unit": "word", "splitter": "characters"}, "embedding": {"chars": "cnn"}},
    {"data": {"unit": "bpe", "bpe_size": 257}, "head": {"pool": "attention"}},
    {"head": {"attention": "general"}},
    {"head": {"attention": "additive", "tied": True}, "data": {"condition": "title:text,kind:text"}},
    {"data": {"condition": "size"}, "encoder": {"cell": "rnn_tanh", "skip": "dense", "layers": 2}},
]


@pytest.mark.parametrize("tree", TREES, ids=str)
def test_what_a_beam_finds_is_as_likely_as_scoring_says(tree: dict[str, Any]) -> None:
    model = build(tree)
    found = model.generate(ROWS[1], beam=30, count=30, length=4, length_penalty=0)
    assert len({one.text for one in found}) > 1
    assert [one.log_prob for one in found] == sorted((one.log_prob for one in found), reverse=True)
    for one in found:
        if one.ended and model.input.units.split(one.text) and model.input.units.kind != "bpe":
            ((total, units),) = model.log_probs([{**ROWS[1], "text": one.text}])
            assert one.log_prob == pytest.approx(total, abs=1e-4)
            assert one.units == units


@pytest.mark.parametrize("tree", TREES, ids=str)
def test_saved_and_read_again_it_writes_the_same(tree: dict[str, Any], tmp_path: Path) -> None:
    model = build(tree)
    model.save(tmp_path / "model")
    again = load(tmp_path / "model")
    assert isinstance(again, Generator)
    options: dict[str, Any] = {"count": 3, "seed": 5, "length": 9}
    assert model.generate(ROWS, **options) == again.generate(ROWS, **options)
    assert model.perplexity(ROWS) == again.perplexity(ROWS)
    assert "seqkit generate sample -m THIS_FOLDER" in (tmp_path / "model" / "README.md").read_text()


def test_every_parameter_gets_a_gradient_and_targets_are_the_units_that_follow() -> None:
    model = build()
    rows = np.array([1, 0])
    encoded = encoded_rows(model, ROWS, rows)
    index = model.input.indexer.words.index
    assert encoded.lengths.tolist() == [9, 7]
    for row, targets in zip(rows, model.head.following(encoded).tolist(), strict=True):
        text = ROWS[row]["text"]
        assert targets == [*map(index, text), model.input.end] + [IGNORED] * (8 - len(text))
    found = model.head.loss(encoded, None)
    assert found.units == 16
    found.mean.backward()
    for name, parameter in model.network.named_parameters():
        assert parameter.grad is not None, name


def encoded_rows(model: Generator, given: list[dict[str, Any]], rows: NDArray[np.int64]) -> Encoded:
    """What the network makes of some of the records."""
    records = [model.record(row) for row in given]
    conditions = model.head.conditions(records).collate(rows)
    return model.encode(model.input.collate(model.input.arrays(records), rows), conditions)


def test_scores_do_not_depend_on_batch_mates() -> None:
    model = build()
    together = model.log_probs(ROWS)
    for record, (total, units) in zip(ROWS, together, strict=True):
        ((alone, count),) = model.log_probs([record])
        assert alone == pytest.approx(total, abs=1e-5)
        assert count == units
    loss = -sum(total for total, _ in together) / sum(units for _, units in together)
    assert model.perplexity(ROWS) == pytest.approx(math.exp(loss))


@pytest.mark.parametrize("kind", ["general", "additive"])
def test_with_attention_no_text_depends_on_the_titles_of_others_and_empty_ones_are_read(kind: str) -> None:
    model = build({"head": {"attention": kind}})
    given = [*ROWS, {**ROWS[0], "title": ""}, {**ROWS[1], "title": "new old " * 9}]
    together = model.log_probs([TextRecord("", fields=row) for row in given])
    alone = [model.log_probs([TextRecord("", fields=row)])[0] for row in given]
    assert [score for score, _ in together] == pytest.approx([score for score, _ in alone], abs=1e-5)
    assert together[0] != together[4]


def test_attention_needs_something_to_look_at() -> None:
    rows = [TextRecord("", fields=row) for row in ROWS]
    tree = {"data": {"condition": "kind:label"}, "head": {"attention": "general"}}
    message = "head.attention looks at texts and sequences of vectors, and no condition is one"
    assert fault(Generator.build, override(override(GenerateSettings(), TINY), tree), rows) == message
    uneven = override(override(GenerateSettings(), TINY), {"head": {"attention": "dot"}})
    found = fault(Generator.build, uneven, rows)
    assert found == "head.attention: dot needs vectors of one size, and these have 8 and 6; use general"


def test_a_perplexity_that_is_too_large_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Generator, "log_probs", lambda self, records: [(-1e6, 2)])
    assert build().perplexity(ROWS[:1]) == math.inf


def test_the_condition_matters_and_each_text_follows_its_own() -> None:
    model = build()
    alone = [model.generate(row, temperature=0, length=12)[0] for row in ROWS]
    together = model.generate(ROWS, temperature=0, length=12)
    assert [one.text for one in together] == [one.text for one in alone]
    assert model.log_probs([ROWS[0]]) != model.log_probs([{**ROWS[0], "kind": "b"}])


def test_unknown_and_padding_are_never_written_and_a_seed_repeats_itself() -> None:
    model = build({"data": {"min_count": 7}})  # only some characters are known
    assert model.input.indexer.words.index("\uff0c") == 1
    with torch.no_grad():
        assert model.head.module.output.bias is not None
        model.head.module.output.bias[1] = 5.0  # the unknown one is by far the likeliest
    texts = model.generate(ROWS[0], count=50, length=10, seed=1)
    assert set("".join(one.text for one in texts)) <= set("ab")
    assert texts == model.generate(ROWS[0], count=50, length=10, seed=1)
    assert texts != model.generate(ROWS[0], count=50, length=10, seed=2)
    assert texts != model.generate(ROWS[0], count=50, length=10)


def test_a_prompt_begins_every_text_and_its_probability_is_left_out() -> None:
    model = build()
    whole = "ab\uff0c"
    for one in model.generate(ROWS[0], prompt="ab", beam=100, count=100, length=2):
        assert one.text.startswith("ab")
        if one.text == whole and one.ended:
            ((total, _),) = model.log_probs([{**ROWS[0], "text": whole}])
            begun = sum(float(score) for score in scores_of(model, whole, ROWS[0])[:2])
            assert one.log_prob == pytest.approx(total - begun, abs=1e-4)
    words = build({"data": {"unit": "word", "splitter": "spaces"}}, rows=[{**row, "text": "one two"} for row in ROWS])
    (found,) = words.generate(ROWS[0], prompt="one", length=2, seed=0)
    assert found.text.split(" ")[0] == "one"
    assert set(found.text.split()) <= {"one", "two"}


def scores_of(model: Generator, text: str, row: dict[str, Any]) -> list[float]:
    """ln p of each unit."""
    encoded = encoded_rows(model, [{**row, "text": text}], np.array([0]))
    targets = model.head.following(encoded)
    scores: list[float] = model.head.module.target_log_probabilities(encoded.outputs, targets)[0].tolist()
    return scores


def acrostic(model: Generator, row: dict[str, Any], acrostic: str | None = None, **options: Any) -> list[WrittenText]:
    """Texts whose lines begin with given characters, if there are any."""
    return model.generate(row, allowed=None if acrostic is None else model.acrostic(acrostic), **options)


@given(
    seed=st.integers(0, 500),
    initials=st.text("ab", min_size=1, max_size=5),
    spare=st.integers(1, 12),
    unit=st.sampled_from(["char", "word"]),
)
@settings(max_examples=40, deadline=None)
def test_acrostics_are_always_obeyed(seed: int, initials: str, spare: int, unit: str) -> None:
    model = build({"data": {"unit": unit, "splitter": "characters"}}, seed)
    length = 2 * len(initials) + spare
    drawn = acrostic(model, ROWS[0], initials, count=6, length=length, seed=seed)
    found = acrostic(model, ROWS[0], initials, beam=2, count=2, length=length)
    for one in (*drawn, *found):
        ends = [index for index, character in enumerate(one.text) if character in LINE_ENDS]
        starts = [0, *(end + 1 for end in ends)]
        assert "".join(one.text[start] for start in starts[: len(initials)]) == initials
        assert min(line_lengths(one.text)[: len(initials)]) >= 1
        assert len(ends) >= len(initials)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prompt": "axb"}, "the prompt has characters that the model does not know: 'x'"),
        ({"acrostic": "ax"}, "no unit of the model begins with 'x', as the acrostic needs"),
        (
            {"acrostic": "a", "prompt": "b"},
            "prompt and allowed exclude each other: an acrostic is about the whole text",
        ),
        (
            {"acrostic": "aa", "length": 4},
            "the acrostic does not fit: 2 lines need at least 5 units, and the greatest length is 4",
        ),
        ({"count": 0}, "options: count: expected at least 1, found 0"),
        ({"beam": 1, "length_penalty": -1.0}, "options: length_penalty: expected at least 0, found -1.0"),
        ({"beam": 1, "length_penalty": 1000}, "options: length_penalty: expected at most 10, found 1000"),
        ({"beam": -1}, "options: beam: expected at least 0, found -1"),
        ({"temperature": -1.0}, "options: temperature: expected at least 0, found -1.0"),
        ({"top_p": 0.0}, "options: top_p: expected greater than 0, found 0.0"),
    ],
)
def test_what_cannot_be_written(options: dict[str, Any], message: str) -> None:
    assert fault(acrostic, build(), ROWS[0], **options) == message


def test_an_acrostic_needs_a_character() -> None:
    assert fault(acrostic, build(), ROWS[0], acrostic="") == "the acrostic is empty"


def test_conditions_that_cannot_be_used() -> None:
    model = build()
    row = ROWS[0]
    assert fault(model.generate, {"kind": "a"}) == "expected a field 'size' in the condition, found 'kind'"
    assert fault(model.generate) == "expected a field 'kind' in the condition, found none"
    assert fault(model.generate, {**row, "kind": "c"}) == "expected a 'kind' seen in training (a, b), found 'c'"
    assert fault(model.generate, {**row, "size": [1]}) == "expected a vector of 2 numbers as 'size', found 1"
    assert fault(build({"data": {"unit": "bpe", "bpe_size": 257}}).acrostic, "a") == (
        "an acrostic needs a model of characters or words, not of byte pairs"
    )
    plain = build(rows=[{**one, "text": "ab"} for one in ROWS])
    assert fault(acrostic, plain, row, acrostic="a") == (
        f"an acrostic needs a model of texts with lines, which end with one of {LINE_ENDS!r}"
    )


def test_nothing_to_learn_from() -> None:
    assert fault(build, rows=[{**row, "text": ""} for row in ROWS]) == (
        "all texts in field 'text' of the training data are empty"
    )
    assert fault(build, {"data": {"condition": "form"}}) == (
        "expected a field 'form' in the condition, found 'kind', 'size', 'title', 'text'"
    )
    assert fault(build, {"data": {"target": "poem"}}) == (
        "expected a text in field 'poem', the fields are 'kind', 'size', 'title', 'text'"
    )
    assert fault(build, rows=[{**ROWS[0], "text": 3}]) == "expected a text in field 'text', found 3"


def test_the_text_of_a_record() -> None:
    assert target_text(TextRecord("own"), "text") == "own"
    assert target_text(TextRecord("own", fields={"poem": "other"}), "poem") == "other"
    record = TextRecord("own", file="f.jsonl", line=3, fields={"a": "b"})
    assert fault(target_text, record, "poem") == "f.jsonl:3: expected a text in field 'poem', the fields are 'a'"


@pytest.mark.parametrize(
    ("texts", "written", "exact", "alike"),
    [
        (["ab\nba", "ab\nba", "bb", "ab"], ["ab\nba", "ba\nab", "aa", "b"], 1, 3),
        (["ab\nba", "b"], ["ab\nbab", "bb"], 0, 0),
        (["ab\nba", "ab", "b"], ["ab\nba…", "ab…", "b"], 1, 1),  # what did not come to an end is something else
        (["ab", "b"], ["ab", "a"], 1, None),  # texts of one line have no form
    ],
)
def test_what_is_written_is_compared_with_the_texts(
    texts: list[str], written: list[str], exact: int, alike: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = build()
    rows = [{**ROWS[0], "text": text} for text in texts]
    given: dict[str, Any] = {}

    def generate(conditions: Any, allowed: Any, pipeline: Any, options: Any) -> list[list[WrittenText]]:
        given.update(options, conditions=list(conditions))
        return [[WrittenText(text.removesuffix("…"), -1.0, 1, not text.endswith("…"))] for text in written]

    monkeypatch.setattr(model, "_written", generate)
    records = [TextRecord("", fields=row) for row in rows]
    report = model.evaluate_records(records).report
    assert (report.exact, report.alike) == (exact, alike)
    assert report.ended == sum(not text.endswith("…") for text in written)
    assert given["conditions"] == records and given["temperature"] == 0
    assert given["length"] > max(map(len, texts)) + 1  # so that what is too long is seen to be
