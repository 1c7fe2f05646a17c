from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from seqkit.errors import DataError, ModelError
from seqkit.heads.base import LabelSetTargets
from seqkit.heads.classification.labels import ClassCodec
from seqkit.records import Sentence, labels_of_text


def text(**fields: Any) -> Sentence:
    return Sentence(["a"], "a", [(0, 1)], file="f", line=7, fields=fields)


def test_one_label_a_text() -> None:
    codec = ClassCodec.build([["y"], ["x"], ["y"]])
    assert codec.encode([["x"], ["y"], ["z"]]) == [[0], [1], [-1]]
    assert codec.choose({"y": 0.4, "x": 0.3}) == ["y"]


def test_several_labels_a_text() -> None:
    codec = ClassCodec.build([["y", "x"], [], ["z"]], multi=True)
    assert codec.encode([["z", "x"], [], ["w", "y"]]) == [[2, 0], [], [1]]
    assert LabelSetTargets([[2, 0], [], [1]], 3).collate(np.array([0, 1, 2])).tolist() == [
        [True, False, True],
        [False, False, False],
        [False, True, False],
    ]
    assert codec.choose({"y": 0.9, "z": 0.51, "x": 0.5}) == ["y", "z"]
    assert codec.choose({"y": 0.1}) == []


def test_balanced_weights_give_each_label_the_same_part() -> None:
    rows = [["x"]] * 6 + [["y"]] * 3 + [["z"]]
    codec = ClassCodec.build(rows)
    assert (codec.balanced_weights(rows) * np.array([6, 3, 1])).tolist() == pytest.approx([10 / 3] * 3)
    several = ClassCodec.build([["x"]], multi=True)
    assert several.balanced_weights([["x"], [], [], []]).tolist() == [3.0]
    assert several.balanced_weights([["x"]]).tolist() == [1.0]  # a label of every text weighs something all the same


@pytest.mark.parametrize(
    ("value", "multi", "expected"),
    [
        ("x", False, ["x"]),
        ("x|y", False, ["x|y"]),
        ("x | y|x", True, ["x", "y"]),
        ("", True, []),
        (["x"], False, ["x"]),
        (["y|z", "x"], True, ["y|z", "x"]),
        ([], True, []),
    ],
)
def test_labels_of_a_text(value: object, multi: bool, expected: list[str]) -> None:
    assert labels_of_text(text(label=value), "label", multi) == expected


@pytest.mark.parametrize(
    ("fields", "multi", "message"),
    [
        ({"topic": "x", "id": "7"}, False, "f:7: expected a field 'label', found 'topic', 'id'"),
        ({}, False, "f:7: expected a field 'label', found none"),
        ({"label": ""}, False, "f:7: expected a label in field 'label', found an empty one"),
        ({"label": "x||y"}, True, "f:7: expected a label in field 'label', found an empty one"),
        ({"label": []}, False, "f:7: expected one label in field 'label', found none"),
        ({"label": [1.5]}, False, "f:7: expected a string or a list of strings in field 'label', found [1.5]"),
        ({"label": 3}, True, "f:7: expected a string or a list of strings in field 'label', found 3"),
        ({"label": None}, True, "f:7: expected a string or a list of strings in field 'label', found None"),
        (
            {"label": ["x", "y"]},
            False,
            "f:7: expected one label in field 'label', found 2 (x, y); --multi-label learns several",
        ),
    ],
)
def test_faults_of_a_text(fields: dict[str, Any], multi: bool, message: str) -> None:
    with pytest.raises(DataError) as caught:
        labels_of_text(text(**fields), "label", multi)
    assert str(caught.value) == message


def test_too_few_labels() -> None:
    for rows, multi, message in (
        (
            [["x"], ["x"]],
            False,
            "expected at least two different labels in field 'topic' of the training data, found only 'x'",
        ),
        ([], False, "expected at least two different labels in field 'topic' of the training data, found none"),
        ([[]], True, "expected labels in field 'topic' of the training data, found none"),
    ):
        with pytest.raises(DataError) as caught:
            ClassCodec.build(rows, multi, label="topic")
        assert str(caught.value) == message


def test_json() -> None:
    codec = ClassCodec.build([["x", "y"]], True, "review", "topic")
    again = ClassCodec.from_json(json.loads(json.dumps(codec.to_json())))
    assert (again.labels, again.multi, again.text, again.label) == (codec.labels, True, "review", "topic")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (3, "labels: expected multi_label (true or false), text and label (strings), found None, None and None"),
        (
            {"labels": ["x"], "multi_label": 1, "text": "t", "label": "l"},
            "labels: expected multi_label (true or false), text and label (strings), found 1, 't' and 'l'",
        ),
        (
            {"labels": [], "multi_label": False, "text": "t", "label": "l"},
            "labels: the list is empty",
        ),
    ],
)
def test_json_of_another_form(value: object, message: str) -> None:
    with pytest.raises(ModelError) as caught:
        ClassCodec.from_json(value)
    assert str(caught.value) == message
