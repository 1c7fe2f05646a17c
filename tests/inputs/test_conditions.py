"""Fields of records ↔ numbers: what kind a field is of, what is refused, and what comes back from JSON."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import numpy as np
import pytest
from torch import Tensor

from seqkit.errors import DataError, ModelError
from seqkit.heads.generation.settings import GenerateSettings
from seqkit.inputs.conditions import ConditionCodec, parse_fields
from seqkit.nn.condition import TextUnits
from seqkit.records import Sentence

SETTINGS = GenerateSettings()


def records(rows: list[dict[str, Any]]) -> list[Sentence]:
    made = [Sentence.from_tokens(["x"], file="d.jsonl", line=number) for number in range(1, len(rows) + 1)]
    for sentence, row in zip(made, rows, strict=True):
        sentence.fields = row
    return made


ROWS = [
    {"kind": "cat", "size": [1, 2], "title": "one day", "n": 1},
    {"kind": "dog", "size": [3, 2.0], "title": "day two", "n": 2},
    {"kind": "cat", "size": [5, 2], "title": "three", "n": 2},
    {"kind": "dog", "size": [3, 2], "title": "day one", "n": 1},
]
ASKED = "kind,size,title,n"


def codec() -> ConditionCodec:
    return ConditionCodec.build(records(ROWS), parse_fields(ASKED), str.split, SETTINGS)


def message(call: Any, *arguments: Any, **options: Any) -> str:
    with pytest.raises((DataError, ModelError)) as caught:
        call(*arguments, **options)
    return str(caught.value)


def test_kinds_are_found_by_the_values() -> None:
    assert [field.kind for field in codec().fields] == ["label", "vector", "text", "label"]
    assert codec().describe() == [
        "kind: one of 2 labels",
        "size: a vector of 2 numbers",
        "title: a text of 2 different units",
        "n: one of 2 labels",
    ]


def test_many_strings_are_a_text_and_a_kind_that_is_said_counts() -> None:
    rows = records([{"a": str(number // 2)} for number in range(202)])
    assert ConditionCodec.build(rows, [("a", "")], str.split, SETTINGS).fields[0].kind == "text"
    assert ConditionCodec.build(rows[:200], [("a", "")], str.split, SETTINGS).fields[0].kind == "label"
    assert ConditionCodec.build(rows, [("a", "label")], str.split, SETTINGS).fields[0].kind == "label"
    assert ConditionCodec.build(records(ROWS), [("kind", "text")], str.split, SETTINGS).fields[0].kind == "text"


def test_nothing_to_learn_a_vector_from() -> None:
    found = message(ConditionCodec.build, [], [("size", "vector")], str.split, SETTINGS)
    assert found == "no training records with a vector 'size'"


def test_units_seen_once_are_unknown_unless_all_are() -> None:
    units = codec().fields[2].units
    assert units is not None
    assert set(units.words[2:]) == {"day", "one"}
    once = ConditionCodec.build(records([{"a": "b c"}]), [("a", "text")], str.split, SETTINGS).fields[0].units
    assert once is not None
    assert set(once.words[2:]) == {"b", "c"}


def test_vectors_are_standardised_by_the_training_data_and_constants_are_not_magnified() -> None:
    field = codec().fields[1]
    assert field.mean == pytest.approx((3.0, 2.0))
    assert field.scale == pytest.approx((np.sqrt(2.0), np.sqrt(2.0)))
    constant = ConditionCodec.build(records([{"v": [7]}] * 2), [("v", "")], str.split, SETTINGS).fields[0]
    assert constant.scale[0] > 0
    zeros = ConditionCodec.build(records([{"v": [0, 0]}] * 2), [("v", "")], str.split, SETTINGS).fields[0]
    assert min(zeros.scale) > 0
    # So little beside the other numbers is a constant, too, whose rounding is not to be learned.
    nearly = ConditionCodec.build(
        records([{"v": [n * 1e3, 1 + n * 1e-6]} for n in (-1, 1)]), [("v", "")], str.split, SETTINGS
    )
    assert nearly.fields[0].scale == pytest.approx((1e3, 1e3))


def test_records_become_numbers_and_batches() -> None:
    made = codec()
    encoded = [made.encode(row) for row in ({**ROWS[1], "title": "day nine"}, {**ROWS[0], "title": ""})]
    kinds, sizes, titles, numbers = made.batch(encoded)
    assert isinstance(kinds, Tensor) and isinstance(sizes, Tensor) and isinstance(numbers, Tensor)
    assert kinds.tolist() == [1, 0]
    assert sizes.tolist() == [[3, 2], [1, 2]]
    day = made.fields[2].units
    assert day is not None
    assert isinstance(titles, TextUnits)
    assert titles.units.tolist() == [[day.index("day"), 1], [0, 0]]
    assert titles.lengths.tolist() == [2, 0]
    assert numbers.tolist() == [1, 0]


def test_nested_lists_and_arrays_are_one_vector() -> None:
    rows = records([{"v": [[1, 2], [3, 4]]}, {"v": np.arange(4).reshape(2, 2)}])
    made = ConditionCodec.build(rows, [("v", "vector")], str.split, SETTINGS)
    assert [made.encode(row.fields)[0].tolist() for row in rows] == [[1, 2, 3, 4], [0, 1, 2, 3]]  # type: ignore[union-attr]


def test_what_is_read_from_json_encodes_alike() -> None:
    made = codec()
    again = ConditionCodec.from_json(json.loads(json.dumps(made.to_json())), str.split, SETTINGS)
    assert again.fields == made.fields
    for row in ROWS:
        for before, after in zip(made.encode(row), again.encode(row), strict=True):
            assert np.array_equal(before, after)


def test_no_condition_at_all() -> None:
    none = ConditionCodec.build(records(ROWS), parse_fields(" "), str.split, SETTINGS)
    assert none.encode({}) == ()
    assert none.batch([(), ()]) == ()
    assert ConditionCodec.from_json(none.to_json(), str.split, SETTINGS).fields == ()


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"kind": None}, "expected a field 'kind' in the condition, found 'size', 'title', 'n'"),
        ({"kind": "cow"}, "expected a 'kind' seen in training (cat, dog), found 'cow'"),
        ({"kind": ["cat"]}, "expected a string as 'kind', found ['cat']"),
        ({"n": True}, "expected a string as 'n', found True"),
        ({"size": [1, 2, 3]}, "expected a vector of 2 numbers as 'size', found 3"),
        ({"size": "1 2"}, "expected a list of numbers as 'size', found '1 2'"),
        ({"size": [1, "2"]}, "expected a list of numbers as 'size', found [1, '2']"),
        ({"size": [[1], [2, 3]]}, "expected a list of numbers as 'size', found lists of different lengths"),
        ({"size": []}, "expected a list of numbers as 'size', found an empty list"),
        ({"size": [1, float("nan")]}, "expected a list of numbers as 'size', found one that is not finite in float32"),
        ({"size": [1, 1e300]}, "expected a list of numbers as 'size', found one that is not finite in float32"),
        ({"size": [1, 10**400]}, "expected a list of numbers as 'size', found [1, 1" + 35 * "0" + "…"),
        (
            {"size": [["x" * 10**6], *[["y"]] * 10**6]},
            "expected a list of numbers as 'size', found [['" + 37 * "x" + "…",
        ),
        ({"size": [*[1] * 10**6, "x" * 10**6]}, "expected a list of numbers as 'size', found [" + 13 * "1, " + "…"),
        ({"kind": np.eye(2)}, "expected a string as 'kind', found array([[1., 0.], [0., 1.]])"),
        ({"size": [True, False]}, "expected a list of numbers as 'size', found [True, False]"),
    ],
)
def test_what_a_record_must_not_say(change: dict[str, Any], fault: str) -> None:
    row = {**ROWS[0], **change}
    assert message(codec().encode, row) == fault
    assert message(codec().encode, row, "f.jsonl", 7) == f"f.jsonl:7: {fault}"


def test_training_data_that_lacks_a_field_or_changes_its_size() -> None:
    found = message(ConditionCodec.build, records([ROWS[0], {"kind": "cat"}]), [("size", "")], str.split, SETTINGS)
    assert found == "d.jsonl:2: expected a field 'size' in the condition, found 'kind'"
    found = message(ConditionCodec.build, records([{"v": [1, 2]}, {"v": [1]}]), [("v", "")], str.split, SETTINGS)
    assert found == "d.jsonl:2: expected a vector of 2 numbers as 'v', found 1"
    found = message(ConditionCodec.build, records([{"v": {}}]), [("v", "")], str.split, SETTINGS)
    assert found == "d.jsonl:1: expected a string as 'v', found {}"


def test_lists_of_fields() -> None:
    assert parse_fields("form, title:text,x:vector") == [("form", ""), ("title", "text"), ("x", "vector")]
    assert parse_fields("") == []
    assert message(parse_fields, "a:word") == (
        "the kind of a condition must be one of label, vector, text, frames, act, found 'word' in 'a:word'"
    )
    for text in ("a,,b", "a,a", ":label"):
        assert message(parse_fields, text) == (
            f"the condition must be different fields separated by commas, found {text!r}"
        )


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ([], "conditions: expected a JSON object with a list 'fields', found list"),
        ({"fields": [{"name": "a"}]}, "conditions: expected a field's name and its kind, found 'a' and None"),
        ({"fields": [3]}, "conditions: expected a field's name and its kind, found None and None"),
        (
            {"fields": [{"name": "a", "kind": "label", "labels": []}]},
            "labels: the list is empty",
        ),
        (
            {"fields": [{"name": "a", "kind": "text", "words": []}]},
            "words: the list is empty",
        ),
        (
            {"fields": [{"name": "a", "kind": "vector", "mean": [1.0], "scale": []}]},
            "conditions: mean and scale of 'a' must be lists of numbers of equal length",
        ),
        (
            {"fields": [{"name": "a", "kind": "vector", "mean": [1.0], "scale": ["x"]}]},
            "conditions: mean and scale of 'a' must be lists of numbers of equal length",
        ),
        (
            {"fields": [{"name": "a", "kind": "vector", "mean": [10**400], "scale": [1.0]}]},
            "conditions: mean and scale of 'a' must be lists of numbers of equal length",
        ),
        (
            {"fields": [{"name": "a", "kind": "vector", "mean": [1.0], "scale": [1e-60]}]},
            "conditions: scales of 'a' must be positive, found 1e-60",
        ),
        (
            {"fields": [{"name": "a", "kind": "vector", "mean": [1.0], "scale": [0.0]}]},
            "conditions: scales of 'a' must be positive, found 0.0",
        ),
    ],
)
def test_json_that_is_something_else(value: object, fault: str) -> None:
    assert message(ConditionCodec.from_json, value, str.split, SETTINGS) == fault


@pytest.mark.parametrize("rows", [[["a" * 10**6, "b"], ["c", "d"]], [("a" * 10**6, "b"), ["c", "d"]]])
def test_strings_in_lists_are_told_without_room_for_the_longest_of_them_everywhere(rows: list[Any]) -> None:
    made = records([{"v": [1, 2]}, {"v": [3, 4]}])
    learned = ConditionCodec.build(made, [("v", "")], str.split, SETTINGS)
    tracemalloc.start()
    told = message(learned.encode, {"v": rows})
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert told.startswith("expected a list of numbers as 'v', found [")
    assert peak < 8 * 10**6  # characters of four bytes in an array of four
