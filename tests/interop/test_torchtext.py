"""What needs no torchtext: objects that are none of its, and its objects' forms as they are documented."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from seqkit.errors import DataError
from seqkit.interop import torchtext as interop


def fault(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        call()


def test_torchtext_is_not_imported() -> None:
    code = (
        "import sys, seqkit.interop.torchtext as t; assert t.__name__ in sys.modules; print('torchtext' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert result.stdout == "False\n"


# --- vocabularies -------------------------------------------------------------------------------------------------


def newer(strings: list[str], default: int | None) -> SimpleNamespace:
    """What 0.18's Vocab offers."""
    return SimpleNamespace(get_itos=lambda: strings, get_default_index=lambda: default)


@pytest.mark.parametrize(
    ("strings", "default", "words"),
    [
        (["<unk>", "<pad>", "the", "cat"], 0, ["the", "cat"]),
        (["the", "cat", "<pad>", "<unk>"], 3, ["the", "cat"]),
        (["[UNK]", "the", "<eos>"], 0, ["the", "<eos>"]),
        (["the", "cat"], None, ["the", "cat"]),
        (["<unk>", "the", "cat"], -1, ["the", "cat"]),
        (["the", "cat"], 2, ["the", "cat"]),
        (["<unk>", "the"], None, ["the"]),
        ([], None, []),
    ],
)
def test_the_unknown_and_the_padding_string_are_no_words(
    strings: list[str], default: int | None, words: list[str]
) -> None:
    older = SimpleNamespace(itos=strings, stoi={}, unk_index=default)
    for vocab in (newer(strings, default), older):
        found = interop.vocabulary(vocab)
        assert list(found)[2:] == words
        assert found.indices([*words, "no such word"]) == [*range(2, len(words) + 2), 1]


def test_another_padding_string() -> None:
    assert list(interop.vocabulary(newer(["[PAD]", "<pad>", "x"], None), pad="[PAD]"))[2:] == ["<pad>", "x"]


def test_what_is_no_vocabulary() -> None:
    expected = "expected a torchtext Vocab (with get_itos and get_default_index, or itos), found "
    fault(lambda: interop.vocabulary(["the"]), expected + "list")
    fault(lambda: interop.vocabulary(None), expected + "NoneType")
    fault(
        lambda: interop.vocabulary(newer(["a", "b", "a"], None)),
        "torchtext Vocab: expected every word once, found 'a' twice",
    )


# --- vectors ------------------------------------------------------------------------------------------------------


def given(words: list[str] | None, matrix: Any) -> SimpleNamespace:
    return SimpleNamespace(itos=words, stoi={}, vectors=matrix)


def test_vectors_are_float32_whatever_they_were() -> None:
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        matrix = torch.tensor([[0.5, -1.0], [2.0, 0.25]], dtype=dtype, requires_grad=True)
        found = interop.vectors(given(["a", "b"], matrix))
        assert found.words == ["a", "b"]
        assert found.matrix.dtype == "float32"
        assert found.matrix.tolist() == [[0.5, -1.0], [2.0, 0.25]]


def test_the_last_of_equal_words_counts_as_in_torchtext() -> None:
    found = interop.vectors(given(["a", "b", "a"], torch.tensor([[1.0], [2.0], [3.0]])))
    assert (found.words, found.matrix.tolist()) == (["a", "b"], [[3.0], [2.0]])


def test_what_has_no_vectors_of_words() -> None:
    expected = "expected torchtext Vectors (with itos and vectors), "
    fault(lambda: interop.vectors("glove.6B.100d"), expected + "found str")
    fault(lambda: interop.vectors(given(["a"], None)), expected + "found a SimpleNamespace without vectors")
    fault(lambda: interop.vectors(given(None, None)), expected + "found a SimpleNamespace without vectors")
    fault(lambda: interop.vectors(given(["a"], [[1.0]])), expected + "found a SimpleNamespace without vectors")
    fault(
        lambda: interop.vectors(given(["a"], torch.ones(2, 3))),
        expected + "one row per word, found 1 words and 2 × 3 values",
    )
    fault(
        lambda: interop.vectors(given(["a"], torch.ones(1))), expected + "one row per word, found 1 words and 1 values"
    )
    parts = type("CharNGram", (SimpleNamespace,), {})(itos=["2gram-ab"], stoi={}, vectors=torch.ones(1, 2))
    fault(
        lambda: interop.vectors(parts),
        "CharNGram has vectors of character n-grams; use a Vocab of 0.6 that loaded them",
    )


# --- data sets ----------------------------------------------------------------------------------------------------

ROW = [["He", "ran"], ["PRP", "VBD"], ["B-NP", "B-VP"]]


@pytest.mark.parametrize(("target", "column"), [("", 2), (-1, 2), ("-1", 2), (2, 2), (1, 1), (-2, 1), (0, 0)])
def test_rows_of_columns(target: str | int, column: int) -> None:
    assert list(interop.pairs([ROW, tuple(map(tuple, ROW))], target=target)) == [(ROW[0], ROW[column])] * 2


def test_items_are_read_when_they_are_asked_for() -> None:
    read: list[int] = []

    def rows() -> Any:
        for number in range(3):
            read.append(number)
            yield ROW

    found = interop.pairs(rows())
    assert read == []
    next(found)
    assert read == [0]


@pytest.mark.parametrize(
    "item", [[["He", "ran"]], ["He", "ran"], "He ran", [["He"], [1]], [["He"], "x"], [[["H", "e"]], ["x"]], 7, None, []]
)
def test_items_that_are_no_columns(item: Any) -> None:
    shown = repr(item)
    message = f"torchtext item:2: expected columns of strings: tokens and their labels, found {shown}"
    fault(lambda: list(interop.pairs([ROW, item])), message)


def test_a_column_that_is_not_there() -> None:
    message = "torchtext item:1: expected a label column '3', found columns: 0, 1, 2"
    fault(lambda: list(interop.pairs([ROW], target=3)), message)


def test_labels_and_texts_in_either_order() -> None:
    items = [
        (1, "fine"),
        ("fine", 1),
        ["pos", "fine"],
        (1, ["so", "fine"]),
        (["so", "fine"], 1),
        ("pos", ["so", "fine"]),
    ]
    text, tokens = "fine", ["so", "fine"]
    expected = [(text, "1"), (text, "1"), (text, "pos"), (tokens, "1"), (tokens, "1"), (tokens, "pos")]
    assert list(interop.texts(items)) == expected


@pytest.mark.parametrize(
    "item",
    [
        ("fine",),
        "ab",
        (1, 2),
        (True, "fine"),
        (1.5, "fine"),
        ("a", 1, "b"),
        (["so"], ["fine"]),
        (1, torch.ones(2)),
        7,
        {},
    ],
)
def test_items_that_are_no_labelled_texts(item: Any) -> None:
    message = f"torchtext item:1: expected a label and a text or its tokens, found {item!r}"
    fault(lambda: list(interop.texts([item])), message)


def test_columns_of_longer_rows() -> None:
    assert list(interop.texts([("gj04", 1, "fine")], text=2, label=1)) == [("fine", "1")]
    assert list(interop.lines([("en", "so fine")], text=1)) == ["so fine"]


def test_a_long_item_is_shown_in_one_short_line() -> None:
    with pytest.raises(DataError) as caught:
        list(interop.texts([(1, torch.ones(30, 30))]))
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 160


def test_lines_and_lists_of_tokens() -> None:
    items = ["a b\n", "a b", "\n", "", "a\r\n", ["a", "b"], [], ["a", "<eos>", "<eos>", "b"], ["b", "<eos>"], ["<eos>"]]
    expected = ["a b", "a b", "", "", "a", "a b", "", "a", "", "b", "b", ""]
    assert list(interop.lines(items)) == expected


@pytest.mark.parametrize("item", [("en", "hello"), 7, None, ["a", 1], {"text": "hello"}])
def test_items_that_are_no_lines(item: Any) -> None:
    fault(
        lambda: list(interop.lines(["x", item])),
        f"torchtext item:2: expected a line of text or its tokens, found {item!r}",
    )


@pytest.mark.parametrize("token", [" ", "", "New York", "a\n"])
def test_tokens_that_a_line_cannot_hold(token: str) -> None:
    message = f"torchtext item:1: a token contains white space or is empty: {token!r}; tokens are joined by spaces"
    fault(lambda: list(interop.lines([["a", token]])), message)


@pytest.mark.parametrize("call", [interop.pairs, interop.texts, interop.lines])
@pytest.mark.parametrize(
    "dataset", [None, 7, "AG_NEWS", b"x", {"train": []}, newer([], None)], ids=lambda value: type(value).__name__
)
def test_what_is_no_data_set_is_told_at_once(call: Callable[[Any], Any], dataset: Any) -> None:
    message = f"expected a torchtext data set or an iterator over one, found {type(dataset).__name__}"
    fault(lambda: call(dataset), message)


def test_of_an_iterator_over_a_data_set_its_examples_are_taken() -> None:
    rows = [(1, "fine"), (2, "dull")]
    loader = torch.utils.data.DataLoader(rows, batch_size=2, collate_fn=lambda batch: torch.zeros(len(batch)))
    assert list(interop.texts(loader)) == [("fine", "1"), ("dull", "2")]
    subset = torch.utils.data.Subset(rows, [1])  # as torch's random_split gives
    assert list(interop.texts(subset)) == [("dull", "2")]
