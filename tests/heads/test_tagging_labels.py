from __future__ import annotations

from itertools import pairwise, product
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqkit.errors import DataError, ModelError
from seqkit.formats.schemes import convert, from_spans, invalid_moves
from seqkit.heads.tagging.labels import TagCodec
from seqkit.inputs.vocabulary import LabelVocabulary

SCHEMES = ("iob1", "iob2", "bioes")
# Every kind as a single token, as a pair, and beside a span of its own kind: all tags of both kinds occur.
SPANS = [(0, 1, "A"), (1, 2, "A"), (2, 4, "B"), (4, 6, "B"), (7, 8, "B"), (9, 12, "A")]
LENGTH = 13

tilings = st.lists(st.tuples(st.integers(1, 3), st.sampled_from(["", "A", "B"])), max_size=6)


def codec_of(scheme: str) -> TagCodec:
    return TagCodec.build([from_spans(SPANS, LENGTH, scheme)], scheme, "ner")


def spans_of(tiling: list[tuple[int, str]]) -> tuple[list[tuple[int, int, str]], int]:
    spans, position = [], 0
    for size, kind in tiling:
        if kind:
            spans.append((position, position + size, kind))
        position += size
    return spans, position


@pytest.mark.parametrize("scheme", [*SCHEMES, "auto"])
def test_the_model_learns_the_complete_bioes_set_whatever_the_file_has(scheme: str) -> None:
    codec = TagCodec.build([from_spans(SPANS, LENGTH, "iob1" if scheme == "auto" else scheme)], scheme, "ner")
    assert codec.scheme == ("iob1" if scheme == "auto" else scheme)
    assert (codec.encoding, codec.target) == ("bioes", "ner")
    assert codec.tags.labels == ("B-A", "B-B", "E-A", "E-B", "I-A", "I-B", "O", "S-A", "S-B")


def test_a_kind_seen_once_gets_all_its_tags() -> None:
    assert TagCodec.build([["B-X", "O"]], "iob2", "").tags.labels == ("B-X", "E-X", "I-X", "O", "S-X")


@pytest.mark.parametrize("scheme", SCHEMES)
@given(tiling=tilings)
def test_labels_come_back_from_their_tags(scheme: str, tiling: list[tuple[int, str]]) -> None:
    spans, length = spans_of(tiling)
    codec, labels = codec_of(scheme), from_spans(spans, length, scheme)
    tags = codec.encode(labels)
    assert [codec.tags[tag] for tag in tags] == from_spans(spans, length, "bioes")
    assert codec.decode(tags) == labels
    assert codec.spans(tags) == spans


@pytest.mark.parametrize("scheme", SCHEMES)
@given(data=st.data())
def test_illegal_labels_are_repaired_by_the_conll_rules(scheme: str, data: st.DataObject) -> None:
    prefixes = "BIES" if scheme == "bioes" else "BI"
    choices = ["O", *(f"{prefix}-{kind}" for prefix in prefixes for kind in "AB")]
    labels = data.draw(st.lists(st.sampled_from(choices), max_size=7))
    codec = codec_of(scheme)
    repaired = codec.decode(codec.encode(labels))
    assert repaired == convert(labels, scheme, scheme)
    assert invalid_moves(repaired, scheme) == []
    assert codec.decode(codec.encode(repaired)) == repaired


def test_repair_by_hand() -> None:
    codec = codec_of("iob2")
    assert codec.decode(codec.encode(["I-A", "I-A", "I-B", "O", "I-B"])) == ["B-A", "I-A", "B-B", "O", "B-B"]


def test_labels_without_spans_are_their_own_tags() -> None:
    labels = ["NOUN", "VERB", "B", "NOUN"]
    codec = TagCodec.build([labels], "auto", "upos")
    assert (codec.scheme, codec.encoding, codec.legal_moves()) == ("none", "none", None)
    assert codec.tags.labels == ("B", "NOUN", "VERB")
    assert codec.encode(labels) == [1, 2, 0, 1]
    assert codec.decode([1, 2, 0, 1]) == labels
    assert codec.spans([1, 2, 0, 1]) == []
    assert codec.touching(1) == []


def test_scheme_none_leaves_span_labels_alone() -> None:
    codec = TagCodec.build([["I-A", "O", "B-A"]], "none", "")
    assert codec.tags.labels == ("B-A", "I-A", "O")
    assert codec.decode(codec.encode(["I-A", "I-A"])) == ["I-A", "I-A"]


def test_labels_unseen_in_training_are_minus_one() -> None:
    assert codec_of("iob2").encode(["B-NEW", "I-NEW", "B-A"])[:2] == [-1, -1]
    assert TagCodec.build([["X", "Y"]], "auto", "").encode(["Z", "X"]) == [-1, 0]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_legal_moves_are_those_of_bioes(scheme: str) -> None:
    codec = codec_of(scheme)
    moves = codec.legal_moves()
    assert moves is not None
    start, transition, end = moves
    names = codec.tags.labels
    for size in (1, 2, 3):
        for tags in product(range(len(names)), repeat=size):
            legal = start[tags[0]] and end[tags[-1]] and all(transition[a, b] for a, b in pairwise(tags))
            assert legal == (invalid_moves([names[tag] for tag in tags], "bioes") == [])


@pytest.mark.parametrize("scheme", SCHEMES)
def test_classes_and_touching_say_what_is_written(scheme: str) -> None:
    """What a token's label is follows from its tag's class and from whether it touches the one before."""
    codec = codec_of(scheme)
    names = codec.tags.labels
    written: dict[tuple[int, bool], set[str]] = {}
    for tags in product(range(len(names)), repeat=3):
        if not invalid_moves([names[tag] for tag in tags], "bioes"):
            touches = tags[:2] in codec.touching(tags[1])
            written.setdefault((int(codec.classes[tags[1]]), touches), set()).add(codec.decode(tags)[1])
    assert all(len(labels) == 1 for labels in written.values())
    assert len(written) == {"iob1": 5, "iob2": 5, "bioes": 9}[scheme]  # O, and of each kind B and I, or all four


def test_one_label_only_is_nothing_to_learn() -> None:
    with pytest.raises(DataError) as caught:
        TagCodec.build([["O", "O"], ["O"]], "auto", "ner")
    assert (
        str(caught.value)
        == "expected at least two different labels in column 'ner' of the training data, found only 'O'"
    )
    with pytest.raises(DataError) as caught:
        TagCodec.build([[], []], "auto", "")
    assert (
        str(caught.value)
        == "expected at least two different labels in the last column of the training data, found none"
    )


def test_a_scheme_whose_spans_do_not_occur_is_nothing_to_learn() -> None:
    with pytest.raises(DataError) as caught:
        TagCodec.build([["NOUN", "VERB"], ["ADJ", "X"]], "iob2", "upos")
    assert str(caught.value) == "expected labels in iob2 in column 'upos' of the training data, found 'ADJ'"


@pytest.mark.parametrize("scheme", [*SCHEMES, "none"])
def test_json_round_trip(scheme: str) -> None:
    codec = TagCodec.build([["N", "V\ud800", "–"]], "none", "2") if scheme == "none" else codec_of(scheme)
    again = TagCodec.from_json(codec.to_json())
    assert (again.tags, again.scheme, again.target, again.encoding) == (
        codec.tags,
        codec.scheme,
        codec.target,
        codec.encoding,
    )
    assert np.array_equal(again.classes, codec.classes)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "labels: expected a scheme and a target, found None and None"),
        ([1], "labels: expected a scheme and a target, found None and None"),
        (
            {"labels": ["a"], "scheme": "bilou", "target": ""},
            "labels: expected a scheme and a target, found 'bilou' and ''",
        ),
        (
            {"labels": ["a"], "scheme": "iob2", "target": 1},
            "labels: expected a scheme and a target, found 'iob2' and 1",
        ),
        (
            {"scheme": "iob2", "target": ""},
            "labels: expected a list of strings, found NoneType",
        ),
        ({"labels": [], "scheme": "none", "target": ""}, "labels: the list is empty"),
        (
            {"labels": ["a", "a"], "scheme": "none", "target": ""},
            "labels: expected every label once, found 'a' twice",
        ),
    ],
)
def test_json_faults(value: Any, message: str) -> None:
    with pytest.raises(ModelError) as caught:
        TagCodec.from_json(value)
    assert str(caught.value) == message


def test_a_codec_can_be_made_of_its_parts() -> None:
    codec = TagCodec(LabelVocabulary(["O", "S-A", "B-A", "E-A", "I-A"]), "iob2", "")
    assert codec.decode([1, 2, 4, 3, 0]) == ["B-A", "B-A", "I-A", "I-A", "O"]


def test_a_label_outside_the_given_scheme_is_refused() -> None:
    with pytest.raises(DataError) as caught:
        TagCodec.build([["B-PER", "NOUN", "O"]], "iob2", "ner")
    assert str(caught.value) == "expected labels in iob2 in column 'ner' of the training data, found 'NOUN'"
