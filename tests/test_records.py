from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqkit.errors import DataError
from seqkit.records import Sentence, align

TOKENS = st.lists(st.text(min_size=1, max_size=5), max_size=8)


@given(TOKENS, st.data())
def test_offsets_cut_the_tokens_out_again(tokens: list[str], data: st.DataObject) -> None:
    spaces = data.draw(st.none() | st.lists(st.booleans(), min_size=len(tokens), max_size=len(tokens)))
    sentence = Sentence.from_tokens(tokens, space_after=spaces)
    assert [sentence.text[start:end] for start, end in sentence.offsets] == sentence.tokens == tokens
    assert len(sentence) == len(tokens)
    separators = ["" if spaces is not None and not spaced else " " for spaced in (spaces or [True] * len(tokens))]
    assert (
        sentence.text
        == "".join(part for pair in zip(tokens, separators, strict=True) for part in pair)[: len(sentence.text)]
    )


def test_tokens_are_copied() -> None:
    tokens = ["a"]
    assert Sentence.from_tokens(tokens).tokens is not tokens


@given(
    st.lists(
        st.tuples(st.text("ab\U0001f600\u0301", min_size=1), st.sampled_from(["", " ", "\u00a0", "  "])), max_size=8
    )
)
def test_align_finds_tokens_in_their_text(pieces: list[tuple[str, str]]) -> None:
    tokens = [token for token, _ in pieces]
    text = "".join(token + space for token, space in pieces)
    offsets = align(tokens, text)
    assert offsets is not None
    assert [text[start:end] for start, end in offsets] == tokens


@pytest.mark.parametrize(
    ("tokens", "text"),
    [(["de", "el"], "del"), (["a"], "a b"), (["b"], "a b"), (["a", "b"], "b a"), (["a"], ""), ([], "a"), (["aa"], "a")],
)
def test_align_gives_up(tokens: list[str], text: str) -> None:
    assert align(tokens, text) is None


def test_align_takes_white_space_tokens() -> None:
    assert align(["\u00a0", "a"], " \u00a0 a") == [(1, 2), (3, 4)]
    assert align([], " ") == []


def unnamed() -> Sentence:
    return Sentence.from_tokens(["a"], {"0": ["a"], "1": ["NN"], "2": ["B-X"]}, file="f.conll", line=7)


@pytest.mark.parametrize("target", ["2", "-1", ""])
def test_the_last_column_is_the_default(target: str) -> None:
    assert unnamed().column(target) == ["B-X"]


def test_columns_by_number_and_name() -> None:
    assert unnamed().column("1") == unnamed().column("-2") == ["NN"]
    named = Sentence.from_tokens(["a"], {"form": ["a"], "upos": ["NOUN"], "xpos": ["NN"]})
    assert named.column("upos") == named.column("1") == ["NOUN"]
    assert named.column("") == ["NOUN"]  # in CoNLL-U the last column, misc, is nothing to learn
    del named.columns["upos"]
    assert named.column("") == ["NN"]


@pytest.mark.parametrize("target", ["upos", "ner", "chunk", "pos", "3", "-4"])
def test_missing_columns_are_named(target: str) -> None:
    hint = "; they have no names, so give a number (--target -1 is the last one)" if target.isalpha() else ""
    expected = f"f.conll:7: expected a label column {target!r}, found columns: 0, 1, 2{hint}"
    with pytest.raises(DataError, match=f"^{re.escape(expected)}$"):
        unnamed().column(target)


def test_ner_means_no_last_column_where_columns_have_names() -> None:
    with pytest.raises(DataError, match=r"^expected a label column 'ner', found columns: upos$"):
        Sentence.from_tokens(["a"], {"upos": ["X"]}).column("ner")
    with pytest.raises(
        DataError,
        match=r"^expected a label column, found columns: none; if it has labels, name its --format$",
    ):
        Sentence.from_tokens(["a"]).column("")


@given(st.lists(st.text(min_size=1, max_size=4), max_size=8))
def test_offsets_of_spaced_tokens_are_a_list_in_all_but_memory(tokens: list[str]) -> None:
    offsets = Sentence.from_tokens(tokens).offsets
    ends = [sum(map(len, tokens[: index + 1])) + index for index in range(len(tokens))]
    expected = [(end - len(token), end) for token, end in zip(tokens, ends, strict=True)]
    assert (
        len(offsets) == len(tokens) and offsets == expected and expected == offsets and repr(offsets) == repr(expected)
    )
    assert offsets[1:] == expected[1:] and [offsets[index] for index in range(len(tokens))] == expected
    assert offsets != [*expected, (0, 1)] and offsets != 1
    with pytest.raises(TypeError, match="unhashable"):
        hash(offsets)
