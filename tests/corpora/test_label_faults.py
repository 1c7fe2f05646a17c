"""Labels that are meant to be the same, that teach nothing, or that an order hides."""

from __future__ import annotations

import random
import unicodedata

import pytest

from seqkit.corpora.label_faults import near_duplicates, nothing_to_learn, sorted_by_label


@pytest.mark.parametrize(
    ("rare", "usual", "how"),
    [
        ("B-Per", "B-PER", "case"),
        ("b-ＰER", "b-PER", "width"),
        (unicodedata.normalize("NFD", "café"), "café", "Unicode normal form"),
        ("pos ", "pos", "blanks or invisible characters"),
        ("pos\u200b", "pos", "blanks or invisible characters"),
        ("po\u00a0s", "po s", "blanks or invisible characters"),
        ("Ｐos", "pos", "spelling that nobody sees"),
    ],
)
def test_near_duplicates(rare: str, usual: str, how: str) -> None:
    expected = f"label {rare!r} (2) differs from {usual!r} (1,200) only in {how}; spell both the same"
    assert list(near_duplicates({"O": 7, rare: 2, usual: 1200, "other": 3})) == [(rare, expected)]


def test_of_equally_frequent_labels_one_is_told() -> None:
    assert [label for label, _ in near_duplicates({"b": 1, "B": 1, "c": 1})] == ["b"]


def test_labels_that_differ_visibly_are_not_told() -> None:
    assert list(near_duplicates({"B-PER": 1, "I-PER": 1, "B_PER": 1, "5": 1, "5.0": 1, "é": 1, "e": 1, "": 1})) == []


def test_one_label_teaches_nothing() -> None:
    assert nothing_to_learn({"a": 1, "b": 1}, "text") == nothing_to_learn({}, "text") == ""
    assert nothing_to_learn({"O": 1200}, "token") == (
        "every token has the label 'O' (1,200 in all), so there is nothing to learn; --target or --label names another "
        "column"
    )


def test_texts_sorted_by_label() -> None:
    labels = ["neg"] * 30 + ["pos"] * 30
    assert sorted_by_label(labels) == (
        "the texts are sorted by label: the last tenth, which is held out as dev, has only 'pos' of 2 labels; shuffle "
        "the lines, or give a dev file"
    )
    assert sorted_by_label(labels[20:39]) == ""  # few texts may be in any order
    assert sorted_by_label(["a"] * 100) == ""
    shuffled = random.Random(0)
    for kinds in (2, 5, 20):
        for _ in range(200):
            drawn = [shuffled.randrange(kinds) for _ in range(200)]
            assert sorted_by_label([f"l{label}" for label in drawn]) == ""


@pytest.mark.parametrize("like", ["0", "\u041e", "\u03bf"])
def test_what_looks_like_the_label_of_tokens_outside_is_told(like: str) -> None:
    what = "a character that looks like the letter O"
    expected = f"label {like!r} (2) differs from 'O' (900) only in {what}; spell both the same"
    assert list(near_duplicates({"O": 900, like: 2, "B-PER": 3, "1": 4})) == [(like, expected)]
    assert list(near_duplicates({"0": 900, "1": 2})) == []
