from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import get_entities

from seqkit.formats.schemes import (
    Span,
    convert,
    detect_scheme,
    from_spans,
    invalid_moves,
    inventory,
    legal_moves,
    spans,
)

SPAN_SCHEMES = ("iob1", "iob2", "bioes")
ANY_LABELS = st.lists(
    st.sampled_from(["O", *(f"{prefix}-{kind}" for prefix in "BIES" for kind in ("PER", "creative-work"))]), max_size=9
)


@st.composite
def span_lists(draw: st.DrawFn) -> tuple[list[Span], int]:
    """Spans that do not overlap, many of them adjacent, and a sentence's length."""
    lengths = draw(st.lists(st.tuples(st.integers(1, 4), st.sampled_from(["X", "Y", None])), max_size=7))
    found, position = [], 0
    for length, kind in lengths:
        if kind is not None:
            found.append(Span(position, position + length, kind))
        position += length
    return found, position


# One sentence in all three schemes, written by hand: two adjacent people, a place of three tokens, a lone name.
BY_HAND = {
    "iob1": ["I-P", "B-P", "I-P", "O", "I-L", "I-L", "I-L", "I-P"],
    "iob2": ["B-P", "B-P", "I-P", "O", "B-L", "I-L", "I-L", "B-P"],
    "bioes": ["S-P", "B-P", "E-P", "O", "B-L", "I-L", "E-L", "S-P"],
}


@pytest.mark.parametrize("source", SPAN_SCHEMES)
@pytest.mark.parametrize("target", SPAN_SCHEMES)
def test_convert_by_hand(source: str, target: str) -> None:
    assert convert(BY_HAND[source], source, target) == BY_HAND[target]
    assert spans(BY_HAND[source], source) == [(0, 1, "P"), (1, 3, "P"), (4, 7, "L"), (7, 8, "P")]
    assert detect_scheme([BY_HAND[source]]) == source


def test_bare_prefixes_have_the_empty_kind() -> None:
    labels = ["B", "I", "O", "B"]
    assert spans(labels, "iob2") == [(0, 2, ""), (3, 4, "")]
    assert convert(labels, "iob2", "bioes") == ["B", "E", "O", "S"]
    assert detect_scheme([["B", "E"], ["S"]]) == "bioes"


@given(ANY_LABELS)
def test_spans_are_those_of_seqeval(labels: list[str]) -> None:
    expected = [(first, last + 1, kind) for kind, first, last in get_entities(labels)]
    assert spans(labels, "iob2") == spans(labels, "bioes") == spans(labels, "iob1") == expected


@given(span_lists(), st.sampled_from(SPAN_SCHEMES), st.sampled_from(SPAN_SCHEMES))
def test_spans_survive_writing_reading_and_converting(case: tuple[list[Span], int], scheme: str, other: str) -> None:
    found, length = case
    labels = from_spans(found, length, scheme)
    assert len(labels) == length
    assert spans(labels, scheme) == found
    assert invalid_moves(labels, scheme) == []
    assert convert(convert(labels, scheme, other), other, scheme) == labels


@given(ANY_LABELS, st.sampled_from(SPAN_SCHEMES))
def test_convert_repairs_and_keeps_spans(labels: list[str], scheme: str) -> None:
    repaired = convert(labels, scheme, scheme)
    assert invalid_moves(repaired, scheme) == []
    assert spans(repaired, scheme) == spans(labels, scheme)


def test_none_changes_nothing() -> None:
    labels = ["NOUN", "I-X", "O"]
    assert convert(labels, "none", "bioes") == convert(labels, "iob2", "none") == labels
    assert spans(labels, "none") == [] == invalid_moves(labels, "none")
    assert inventory(labels, "none") == ["I-X", "NOUN", "O"]
    assert all(moves.all() for moves in legal_moves(labels, "none"))


@pytest.mark.parametrize(
    ("sequences", "scheme"),
    [
        ([["NOUN", "VERB"]], "none"),
        ([["O", "O"]], "none"),
        ([], "none"),
        ([["B-X", "I-X"], ["NOUN"]], "none"),
        ([["B-"]], "none"),
        ([["O", "B-X", "I-X"]], "iob2"),
        ([["B-X", "I-X", "O", "I-X"]], "iob2"),  # the stray I is a slip: B stands where IOB1 has none
        ([["O", "I-X", "B-X"], ["O"]], "iob1"),
        ([["I-X", "O", "I-Y"]], "iob1"),
        ([["I-X", "I-Y", "B-Y"]], "iob1"),
        ([["B-X", "I-X"], ["O", "S-X"]], "bioes"),
        ([["B-X", "E-X"]], "bioes"),
    ],
)
def test_detect_scheme(sequences: list[list[str]], scheme: str) -> None:
    assert detect_scheme(iter(sequences)) == scheme


@pytest.mark.parametrize(
    ("labels", "scheme", "faults"),
    [
        (["O", "I-X"], "iob2", [(1, "I-X may not follow O in iob2")]),
        (["I-X"], "iob2", [(0, "I-X may not follow the start of the sentence in iob2")]),
        (["B-X", "I-Y", "I-Y"], "iob2", [(1, "I-Y may not follow B-X in iob2")]),
        (["O", "B-X"], "iob1", [(1, "B-X may not follow O in iob1")]),
        (["B-X", "O"], "bioes", [(1, "O may not follow B-X in bioes")]),
        (["B-X"], "bioes", [(0, "B-X may not end a sentence in bioes")]),
        (["S-X", "E-X"], "bioes", [(1, "E-X may not follow S-X in bioes")]),
        (["E-X", "NN"], "iob2", [(0, "E-X is not a label of iob2"), (1, "NN is not a label of iob2")]),
    ],
)
def test_invalid_moves_say_where_and_what(labels: list[str], scheme: str, faults: list[tuple[int, str]]) -> None:
    assert invalid_moves(labels, scheme) == faults


@pytest.mark.parametrize("scheme", SPAN_SCHEMES)
def test_legal_moves_by_enumeration(scheme: str) -> None:
    """What the moves allow are exactly the sequences that writing some spans gives."""
    labels = inventory(["I-X", "B-Y"], scheme)
    start, move, end = legal_moves(labels, scheme)
    assert (start.dtype, move.dtype, end.dtype) == (np.bool_, np.bool_, np.bool_)
    for length in (1, 2, 3):
        for path in product(range(len(labels)), repeat=length):
            written = [labels[index] for index in path]
            allowed = start[path[0]] and end[path[-1]] and all(move[a, b] for a, b in pairwise(path))
            assert allowed == (from_spans(spans(written, scheme), length, scheme) == written)
            assert allowed == (invalid_moves(written, scheme) == [])


def test_legal_moves_treat_foreign_labels_as_outside() -> None:
    start, move, end = legal_moves(["O", "weird", "B-X", "I-X"], "iob2")
    assert start.tolist() == [True, True, True, False]
    assert (move[1] == move[0]).all()
    assert (move[:, 1] == move[:, 0]).all()
    assert end.all()


def test_legal_moves_of_no_labels() -> None:
    assert [moves.shape for moves in legal_moves([], "iob2")] == [(0,), (0, 0), (0,)]


def test_inventory_is_closed() -> None:
    assert inventory(["E-X", "B"], "bioes") == ["B", "B-X", "E", "E-X", "I", "I-X", "O", "S", "S-X"]
    assert inventory(["I-X"], "iob2") == ["B-X", "I-X", "O"]
    assert inventory(["O", "strange"], "iob2") == ["O", "strange"]


@pytest.mark.parametrize("wrong", [[(1, 1, "X")], [(0, 4, "X")], [(-1, 1, "X")], [(0, 2, "X"), (1, 3, "Y")]])
def test_from_spans_refuses(wrong: list[tuple[int, int, str]]) -> None:
    start, end, _ = wrong[-1]
    with pytest.raises(ValueError, match=f"^span {start}:{end} is empty, outside the 3 tokens, or overlaps another$"):
        from_spans(wrong, 3, "iob2")


def test_unknown_schemes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^unknown scheme 'bilou'; choose from iob1, iob2, bioes, none$"):
        spans(["O"], "bilou")
    with pytest.raises(ValueError, match=r"^scheme 'none' has no spans$"):
        from_spans([], 1, "none")
