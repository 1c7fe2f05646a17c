from __future__ import annotations

import json
import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, pre_tokenizers
from tokenizers.models import BPE as BPEModel
from tokenizers.trainers import BpeTrainer

from seqkit.errors import ModelError
from seqkit.formats.splitting import SPLITTERS, Splitter
from seqkit.inputs.segmentation import LONGEST_PIECE, UNIT_KINDS, Units, _parts

TEXT = ["the cat sat on the mat", "the other cat ate", "thé chat, déjà vu", "", "2,000 cats: 猫"]
BPE = Units.train_bpe(TEXT, 300)
ALL = [Units.word("english"), Units.char(), BPE]

without_surrogates = st.text(st.characters(exclude_categories=("Cs",)), max_size=40)


def test_every_kind_is_tested() -> None:
    assert {units.kind for units in ALL} == set(UNIT_KINDS)


def test_units_are_equal_to_what_splits_alike_and_to_nothing_else() -> None:
    for units in ALL:
        assert [units == other for other in [*ALL, None, units.to_json()]] == [units is other for other in [*ALL, 0, 0]]
        assert units == Units.from_json(units.to_json()) and len({units, Units.from_json(units.to_json())}) == 1


@pytest.mark.parametrize("kind", SPLITTERS)
def test_words_are_those_of_the_splitter(kind: str) -> None:
    for text in TEXT:
        found = Units.word(kind).split(text)
        assert found == [text[start:end] for start, end in Splitter(kind).split(text)]
        # Put together and cut again they are the same words, whatever the white space was.
        assert Units.word(kind).split(Units.word(kind).join(found)) == found


@settings(max_examples=200, deadline=None)
@given(without_surrogates, st.sampled_from(["char", "bpe"]))
def test_characters_and_byte_pairs_give_back_every_text(text: str, kind: str) -> None:
    units = BPE if kind == "bpe" else Units.char()
    assert units.join(units.split(text)) == text


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.sampled_from(["No.", "7", "J.", "Ada", "can't", "(", ":)", "猫", " ", "  ", "\u0600", "\t", "é", "_", "a"])
    ),
    st.sampled_from([*SPLITTERS, "char", "bpe"]),
    st.integers(1, 9),
)
def test_a_text_in_pieces_has_the_same_units(parts: list[str], kind: str, size: int) -> None:
    units = BPE if kind == "bpe" else Units.char() if kind == "char" else Units.word(kind)
    text = "".join(parts)
    pieces = list(units.pieces(text, size))
    assert "".join(pieces) == text
    assert [unit for piece in pieces for unit in units.split(piece)] == units.split(text)


def test_a_text_is_parted_where_it_may_be() -> None:
    assert list(Units.char().pieces("abcde", 2)) == ["ab", "cd", "e"]
    assert list(Units.word().pieces("to be or No. 7", 2)) == ["to", " be", " or", " No. 7"]
    assert list(Units.word().pieces("猫猫猫", 1)) == ["猫猫猫"]


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=10), st.sampled_from(range(len(ALL))))
def test_any_string_can_be_cut(text: str, number: int) -> None:
    assert all(ALL[number].split("\ud800" + text))


def longest_piece(text: str) -> int:
    """Characters between borders, of what may follow a space without the space."""
    pieces = [text[begin:end] for _, (begin, end) in BPE._load().pre_tokenizer.pre_tokenize_str(text)]
    return max((len(piece.removeprefix(" ")) if piece.strip() else len(piece) for piece in pieces), default=0)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.sampled_from(["a", "é", "猫", "'", "'s", "7", "-", " ", "\t"]).flatmap(
            lambda one: st.sampled_from([1, 2, 40, LONGEST_PIECE, LONGEST_PIECE + 1, 70_000]).map(lambda n: one * n)
        ),
        max_size=6,
    )
)
def test_only_what_has_no_border_between_words_for_long_is_cut(runs: list[str]) -> None:
    text = "".join(runs)
    assert BPE.join(BPE.split(text)) == text
    parts = list(_parts(text, BPE._load().pre_tokenizer))
    assert "".join(parts) == text
    assert max(map(longest_piece, parts)) <= LONGEST_PIECE
    if longest_piece(text) <= LONGEST_PIECE:
        assert BPE.split(text) == BPE._load().encode(text).tokens


def test_what_is_learned_of_running_text_is_what_the_library_learns_of_it() -> None:
    draw = random.Random(1)
    words = ["".join(draw.choices("abcdeé猫", k=draw.choice([1, 3, 9, 80, LONGEST_PIECE - 1]))) for _ in range(40)]
    lines = [" ".join(draw.choices(words, k=30)) for _ in range(20)]
    tokenizer = Tokenizer(BPEModel())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = BpeTrainer(vocab_size=400, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(lines, trainer)
    found = Units.train_bpe(lines, 400)
    assert found.to_json()["tokenizer"]["model"]["merges"] == json.loads(tokenizer.to_str())["model"]["merges"]
    assert [found.split(line) for line in lines] == [tokenizer.encode(line).tokens for line in lines]


def test_learning_from_a_run_without_a_border_takes_no_longer_than_from_its_pieces() -> None:
    run = "é" * 200_000
    whole = Units.train_bpe([run], 300)
    assert whole == Units.train_bpe([run[at : at + LONGEST_PIECE] for at in range(0, len(run), LONGEST_PIECE)], 300)
    assert whole.join(whole.split(run)) == run


def test_byte_pairs_are_all_listed_and_frequent_words_are_one_unit() -> None:
    listed = list(BPE.inventory())
    assert 256 < len(listed) == len(set(listed)) <= 300
    assert {unit for text in TEXT for unit in BPE.split(text)} <= set(listed)
    assert BPE.split("the cat") == ["the", "Ġcat"]
    assert BPE.split("\n") != ["\n"]  # so that nothing in a text is taken for the end of a line


def test_half_a_character_is_replaced() -> None:
    (first, *_) = BPE.split("\U0001f600")
    assert BPE.join([first]) == "\ufffd"


def test_a_tokenizer_that_shortens_or_fills_up_does_neither_here() -> None:
    tree = BPE.to_json()
    short = {"max_length": 1, "strategy": "LongestFirst", "stride": 0, "direction": "Right"}
    long = {"strategy": {"Fixed": 9}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0, "pad_type_id": 0}
    tree["tokenizer"] = {**tree["tokenizer"], "truncation": short, "padding": {**long, "pad_token": "x"}}
    assert Units.from_json(tree).split(TEXT[0]) == BPE.split(TEXT[0])


def test_byte_pairs_need_room_for_every_byte() -> None:
    with pytest.raises(ValueError, match=r"^a byte-pair vocabulary needs at least 256 units, one per byte, found 255$"):
        Units.train_bpe(TEXT, 255)
    assert len(list(Units.train_bpe([], 256).inventory())) == 256


@pytest.mark.parametrize("units", ALL, ids=repr)
def test_written_and_read_back(units: Units) -> None:
    again = Units.from_json(units.to_json())
    assert again == units and hash(again) == hash(units)
    assert [again.split(text) for text in TEXT] == [units.split(text) for text in TEXT]
    assert [again != other for other in ALL].count(False) == 1


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ([], "[]"),
        ({}, "{}"),
        ({"kind": "syllable"}, "{'kind': 'syllable'}"),
        ({"kind": "char", "splitter": None}, "{'kind': 'char', 'splitter': None}"),
        ({"kind": "bpe"}, "{'kind': 'bpe'}"),
        ({"kind": 3}, "{'kind': 3}"),
    ],
)
def test_what_is_no_units(value: object, found: str) -> None:
    with pytest.raises(ModelError) as caught:
        Units.from_json(value)
    expected = "units: expected a JSON object with a kind (word, char, bpe) and its fields"
    assert str(caught.value) == f"{expected}, found {found}"


@pytest.mark.parametrize(
    ("change", "expected", "found"),
    [
        ({"decoder": None}, "with decoder ByteLevel", "None"),
        ({"model": {"type": "Unigram"}}, "with model BPE", "'Unigram'"),
        ({"model": "BPE"}, "with model BPE", "'BPE'"),
        ({"added_tokens": [{"id": 0, "content": "a"}]}, "with added_tokens []", "[{'id': 0, 'content': 'a'}]"),
        ({"normalizer": {"type": "Lowercase"}}, "with normalizer None", "'Lowercase'"),
        ({"post_processor": {"type": "ByteLevel"}}, "with post_processor None", "'ByteLevel'"),
        (
            {"pre_tokenizer": {"type": "Split", "pattern": {"Regex": "(a+)+$"}}},  # of no end
            "with pre_tokenizer ByteLevel",
            "'Split'",
        ),
        ({"model": {"type": "BPE", "dropout": 0.5}}, "without dropout", "0.5"),
        *(
            ({"model": {"type": "BPE", name: "x"}}, f"without {name}", "'x'")
            for name in ("unk_token", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk", "byte_fallback")
        ),
        ({"model": {"type": "BPE", "ignore_merges": True}}, "without ignore_merges", "True"),
    ],
)
def test_a_tokenizer_with_other_parts_is_refused(change: dict[str, object], expected: str, found: str) -> None:
    tree = {"kind": "bpe", "tokenizer": {**BPE.to_json()["tokenizer"], **change}}
    with pytest.raises(ModelError, match=f"^{re.escape(f'units: expected a tokenizer {expected}, found {found}')}$"):
        Units.from_json(tree)


@pytest.mark.parametrize("tokenizer", [None, {}, 3, "x"])
def test_what_is_no_tokenizer(tokenizer: object) -> None:
    with pytest.raises(ModelError, match=r"^units: expected a tokenizer with added_tokens \[\], found "):
        Units.from_json({"kind": "bpe", "tokenizer": tokenizer})


def test_byte_pairs_that_the_library_does_not_take() -> None:
    tree = BPE.to_json()["tokenizer"]
    tree = {**tree, "model": {**tree["model"], "merges": [["no", "such"]]}}
    with pytest.raises(ModelError, match=r"^units: the tokenizer cannot be read: "):
        Units.from_json({"kind": "bpe", "tokenizer": tree})
