"""Sentences as numbers against literal loops: nothing lost, look-ups as documented, batches laid out right."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from seqkit.inputs import arrays as arrays_module
from seqkit.inputs.arrays import Indexer, TokenArrays, TypeTable
from seqkit.inputs.vocabulary import PAD, UNKNOWN, Normaliser, Vocabulary

Sentences = list[list[str]]

tokens = st.one_of(
    st.sampled_from(["the", "The", "cat", "1984", "<unk>", "<pad>", "a", "…", "naïve", "🧑‍🚀", "\x00", "\ud800", "#"]),
    st.text(st.characters(exclude_categories=()), min_size=1, max_size=12),
)
sentence_lists = st.lists(st.lists(tokens, max_size=6), max_size=6)
random_sentences = settings(max_examples=80, deadline=None, derandomize=True)

WORDS = Vocabulary(["the", "cat", "0000", "a", "naïve", "<pad>"])
CHARACTERS = Vocabulary("thecaTn0…🧑\u200d\x00\ud800#<")
VECTORS = Vocabulary(["The", "the", "cat", "0000", "a", "naïve"])


def make_indexer(vectors: Vocabulary | None = VECTORS) -> Indexer:
    return Indexer(WORDS, CHARACTERS, vectors, Normaliser(lowercase=True, digits=True))


def spellings(arrays: TokenArrays, sentences: Sentences) -> dict[int, str]:
    """Form → the token it stands for; every occurrence has to agree."""
    found: dict[int, str] = {}
    flat = [token for sentence in sentences for token in sentence]
    for form, token in zip(arrays.types.tolist(), flat, strict=True):
        assert found.setdefault(form, token) == token
    assert len(set(found.values())) == len(found)  # and no token has two forms
    return found


def characters_of(table: TypeTable, form: int) -> list[int]:
    return table.characters[table.bounds[form] : table.bounds[form + 1]].tolist()


@given(sentence_lists)
@example([])
@example([[], []])
@example([["a"], [], ["a", "b"]])
@random_sentences
def test_every_token_is_there_in_order_with_its_numbers(sentences: Sentences) -> None:
    arrays = make_indexer()(sentences)
    assert arrays.lengths.tolist() == [len(sentence) for sentence in sentences]
    assert arrays.offsets[0] == 0 and arrays.offsets[-1] == len(arrays.types)
    found = spellings(arrays, sentences)
    assert sorted(found) == list(range(len(arrays.table.words)))
    for form, token in found.items():
        word = token.lower()
        word = "".join("0" if character.isdecimal() else character for character in word)
        assert arrays.table.words[form] == WORDS.index(word)
        assert characters_of(arrays.table, form) == [CHARACTERS.index(character) for character in token]
    for column in (arrays.offsets, arrays.table.words, arrays.table.vectors, arrays.table.characters):
        assert column.dtype == np.int64
    assert arrays.types.dtype == np.int32


@pytest.mark.parametrize(
    ("form", "found"),
    [
        ("The", "The"),  # as it is spelled
        ("CAT", "cat"),  # in lower case
        ("1984", "0000"),  # normalised
        ("#Cat", "cat"),  # without what stands around its letters and digits
        ("__the...", "the"),
        ("naïve!", "naïve"),
        ("ca-t", None),
        ("dog", None),
        ("!!!", None),
        ("<unk>", None),
    ],
)
def test_given_vectors_are_found_under_the_first_spelling_that_has_one(form: str, found: str | None) -> None:
    expected = UNKNOWN if found is None else VECTORS.index(found)
    assert make_indexer().table([form]).vectors.tolist() == [expected]


def test_without_given_vectors_there_is_nothing_to_look_up() -> None:
    assert make_indexer(None).table(["The", "dog"]).vectors.tolist() == [PAD, PAD]


def test_long_runs_of_punctuation_take_no_long_time() -> None:
    word = "a" + "!" * 100_000 + "a"
    began = time.perf_counter()
    table = make_indexer().table([word, word + "!"])
    assert time.perf_counter() - began < 2.0  # quadratic work would be minutes
    assert table.vectors.tolist() == [UNKNOWN, UNKNOWN]
    assert np.diff(table.bounds).tolist() == [100_002, 100_003]


# --- batches ------------------------------------------------------------------------------------------------------


@given(sentence_lists, st.data())
@random_sentences
def test_a_batch_equals_a_literal_loop(sentences: Sentences, data: st.DataObject) -> None:
    arrays = make_indexer()(sentences)
    number = st.integers(0, max(0, len(sentences) - 1))
    rows = data.draw(st.lists(number, max_size=5 if sentences else 0))
    batch = arrays.batch(np.array(rows, dtype=np.int64))
    found = spellings(arrays, sentences)
    chosen = [sentences[row] for row in rows]
    longest = max(map(len, chosen), default=0)
    assert batch.lengths.tolist() == [len(sentence) for sentence in chosen]
    assert batch.index.shape == (len(rows), longest)
    words = [found[form] for form in batch.types.tolist()]
    assert sorted(words) == sorted({token for sentence in chosen for token in sentence})
    assert [len(word) for word in words] == sorted(len(word) for word in words)
    for row, sentence in zip(batch.index.tolist(), chosen, strict=True):
        assert [words[position] for position in row[: len(sentence)]] == sentence
        assert row[len(sentence) :] == [0] * (longest - len(sentence))


@given(st.lists(st.lists(st.integers(-1, 99), max_size=6), min_size=1, max_size=6), st.data())
@random_sentences
def test_values_are_laid_out_as_in_a_literal_loop(values: list[list[int]], data: st.DataObject) -> None:
    arrays = make_indexer()([["a"] * len(row) for row in values])
    rows = data.draw(st.lists(st.integers(0, len(values) - 1), max_size=5))
    flat = np.array([value for row in values for value in row], dtype=np.int32)
    matrix, inside = arrays.padded(flat, np.array(rows, dtype=np.int64))
    longest = max((len(values[row]) for row in rows), default=0)
    assert matrix.dtype == np.int32
    assert matrix.shape == inside.shape == (len(rows), longest)
    assert matrix.tolist() == [values[row] + [0] * (longest - len(values[row])) for row in rows]
    assert inside.tolist() == [[column < len(values[row]) for column in range(longest)] for row in rows]


# --- groups of words ----------------------------------------------------------------------------------------------


@given(st.lists(st.text("thecat", max_size=30), unique=True, max_size=40), st.sampled_from([8, 64, 1 << 18]))
@example(["", "t"], 64)
@example([], 64)
@random_sentences
def test_groups_hold_every_word_in_order_with_little_padding(words: list[str], area: int) -> None:
    table = make_indexer().table(words)
    order = table.by_length(np.arange(len(words)))
    lengths = [len(words[form]) for form in order]
    assert sorted(order.tolist()) == list(range(len(words)))
    assert lengths == sorted(lengths)
    # Equally long words stay in the order in which they came: batches are the same in every run.
    assert order.tolist() == sorted(range(len(words)), key=lambda form: len(words[form]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arrays_module, "_GROUP_CHARACTERS", area)
        groups = list(table.groups(order))
    seen: list[list[int]] = []
    for group in groups:
        rows, width = group.characters.shape
        assert group.characters.dtype == group.lengths.dtype == np.int64
        assert width == max(1, *group.lengths)
        assert width <= 2 * group.lengths[0] + 4
        assert rows == 1 or rows * width <= area
        for row, length in zip(group.characters.tolist(), group.lengths.tolist(), strict=True):
            assert row[length:] == [PAD] * (width - length)
            seen.append(row[:length])
    assert seen == [characters_of(table, form) for form in order]


def test_a_very_long_word_is_in_a_group_of_its_own() -> None:
    words = ["t", "he", "c" * 100_000, "c" * 99_999]
    table = make_indexer().table(words)
    groups = list(table.groups(table.by_length(np.arange(4))))
    assert [group.lengths.tolist() for group in groups] == [[1, 2], [99_999], [100_000]]
    assert [group.characters.shape for group in groups] == [(2, 2), (1, 99_999), (1, 100_000)]
