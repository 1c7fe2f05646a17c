from __future__ import annotations

import json
import re
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqkit.errors import ModelError
from seqkit.inputs.vocabulary import PAD, UNKNOWN, LabelVocabulary, Normaliser, Vocabulary

WORDS = st.text(max_size=4)
PROPERTY = settings(max_examples=50, deadline=None)


def exactly(text: str) -> str:
    return f"^{re.escape(text)}$"


class TestNormaliser:
    @pytest.mark.parametrize(
        ("lowercase", "digits", "expected"),
        [(False, False, "Ab1²٣"), (True, False, "ab1²٣"), (False, True, "Ab0²0"), (True, True, "ab0²0")],
    )
    def test_does_what_it_is_set_to(self, lowercase: bool, digits: bool, expected: str) -> None:
        assert Normaliser(lowercase, digits)("Ab1²٣") == expected  # a raised 2 is no decimal digit, an Arabic 3 is

    @PROPERTY
    @given(WORDS)
    def test_digits_go_in_every_word_that_has_one(self, word: str) -> None:
        expected = "".join("0" if character.isdecimal() else character for character in word)
        assert Normaliser(digits=True)(word) == expected

    def test_default_changes_nothing(self) -> None:
        assert Normaliser()("ÀB1") == "ÀB1"


class TestVocabulary:
    def test_two_indices_are_reserved(self) -> None:
        vocabulary = Vocabulary(["a"])
        assert (PAD, UNKNOWN) == (0, 1)
        assert list(vocabulary) == ["<pad>", "<unk>", "a"]
        assert (len(vocabulary), vocabulary[2], vocabulary.index("a")) == (3, "a", 2)

    def test_a_word_that_does_not_occur_is_left_out(self) -> None:
        assert Vocabulary.build({"a": 0, "b": 1}).words == ("<pad>", "<unk>", "b")

    def test_unseen_words_share_an_index(self) -> None:
        assert Vocabulary(["a"]).indices(["b", "a", "c", ""]) == [1, 2, 1, 1]

    def test_a_token_spelled_like_a_reserved_one_never_pads(self) -> None:
        vocabulary = Vocabulary.build(Counter({"<unk>": 9, "<pad>": 8, "a": 7}))
        assert vocabulary.words == ("<pad>", "<unk>", "<pad>", "a")
        assert vocabulary.indices(["<unk>", "<pad>", "a"]) == [1, 2, 3]
        assert Vocabulary([]).index("<pad>") == UNKNOWN
        assert Vocabulary(["<unk>", "a"]).indices(["<unk>", "a"]) == [1, 3]
        assert Vocabulary.from_json(vocabulary.to_json()) == vocabulary

    def test_membership(self) -> None:
        vocabulary = Vocabulary(["a"])
        assert "a" in vocabulary
        assert "b" not in vocabulary
        assert "<unk>" not in vocabulary
        assert "<pad>" not in vocabulary
        assert 2 not in vocabulary

    def test_frequent_words_come_first_and_ties_in_order(self) -> None:
        counts = {"b": 2, "a": 2, "c": 3, "d": 1}
        assert Vocabulary.build(counts).words[2:] == ("c", "a", "b", "d")
        assert Vocabulary.build(counts, min_count=2).words[2:] == ("c", "a", "b")
        assert Vocabulary.build(counts, max_size=2).words[2:] == ("c", "a")
        assert Vocabulary.build(counts, max_size=0).words[2:] == ()

    @PROPERTY
    @given(st.dictionaries(WORDS, st.integers(1, 5)), st.randoms())
    def test_the_order_of_the_corpus_does_not_matter(self, counts: dict[str, int], random: object) -> None:
        shuffled = list(counts.items())
        random.shuffle(shuffled)  # type: ignore[attr-defined]
        assert Vocabulary.build(dict(shuffled)) == Vocabulary.build(counts)

    @PROPERTY
    @given(st.lists(WORDS, unique=True), st.lists(WORDS))
    def test_every_word_finds_its_own_index(self, words: list[str], asked: list[str]) -> None:
        vocabulary = Vocabulary(words)
        assert vocabulary.indices(words) == list(range(2, len(words) + 2))
        assert vocabulary.indices(asked) == [vocabulary.index(word) for word in asked]
        assert all(vocabulary[vocabulary.index(word)] == word for word in asked if word in vocabulary)

    @PROPERTY
    @given(st.lists(WORDS, unique=True))
    def test_json_round_trip(self, words: list[str]) -> None:
        vocabulary = Vocabulary(words)
        again = Vocabulary.from_json(json.loads(json.dumps(vocabulary.to_json())))
        assert again == vocabulary
        assert hash(again) == hash(vocabulary)
        assert again.indices(words) == vocabulary.indices(words)

    def test_equality_is_of_words_in_order(self) -> None:
        assert Vocabulary(["a", "b"]) != Vocabulary(["b", "a"])
        assert Vocabulary(["a"]) != ["<pad>", "<unk>", "a"]

    def test_a_lone_surrogate_survives(self) -> None:
        vocabulary = Vocabulary(["\udce9"])
        assert Vocabulary.from_json(json.loads(json.dumps(vocabulary.to_json()))) == vocabulary

    def test_a_repeated_word_is_refused(self) -> None:
        with pytest.raises(ValueError, match=exactly("expected every word once, found 'a' twice")):
            Vocabulary(["b", "a", "a"])

    @pytest.mark.parametrize(
        ("value", "message"),
        [
            (["<pad>"], "expected a JSON object with 'words' only, found ['<pad>']"),
            ({}, "expected a JSON object with 'words' only, found {}"),
            ({"word": []}, "expected a JSON object with 'words' only, found {'word': []}"),
            ({"words": "ab"}, "expected a list of strings, found str"),
            ({"words": ["<pad>", 3]}, "expected a list of strings, found 3 at 1"),
            ({"words": []}, "the list is empty"),
            ({"words": ["a", "b"]}, "expected <pad> and <unk> at the beginning, found ['a', 'b']"),
            ({"words": ["<pad>", "<unk>", "a", "a"]}, "expected every word once, found 'a' twice"),
        ],
    )
    def test_other_json_is_refused(self, value: object, message: str) -> None:
        with pytest.raises(ModelError, match=exactly(f"words: {message}")):
            Vocabulary.from_json(value)

    def test_shows_its_size(self) -> None:
        assert repr(Vocabulary(["a"])) == "Vocabulary(3 strings)"


class TestLabelVocabulary:
    def test_is_sorted_and_reserves_nothing(self) -> None:
        labels = LabelVocabulary.build(["O", "B", "O", "A"])
        assert list(labels) == ["A", "B", "O"]
        assert (len(labels), labels[0], labels.index("O")) == (3, "A", 2)
        assert "A" in labels
        assert "<pad>" not in labels

    def test_unseen_labels_have_no_index(self) -> None:
        assert LabelVocabulary(["A"]).indices(["A", "B"]) == [0, -1]

    @PROPERTY
    @given(st.lists(WORDS, min_size=1))
    def test_json_round_trip(self, names: list[str]) -> None:
        labels = LabelVocabulary.build(names)
        again = LabelVocabulary.from_json(json.loads(json.dumps(labels.to_json())))
        assert again == labels
        assert hash(again) == hash(labels)
        assert [again[index] for index in again.indices(names)] == names

    def test_equality_is_of_labels_in_order(self) -> None:
        assert LabelVocabulary(["a", "b"]) != LabelVocabulary(["b", "a"])
        assert LabelVocabulary(["a"]) != ("a",)

    def test_a_repeated_label_is_refused(self) -> None:
        with pytest.raises(ValueError, match=exactly("expected every label once, found 'O' twice")):
            LabelVocabulary(["O", "O"])

    @pytest.mark.parametrize(
        ("value", "message"),
        [
            (None, "expected a JSON object with 'labels' only, found None"),
            ({"labels": {}}, "expected a list of strings, found dict"),
            ({"labels": []}, "the list is empty"),
            ({"labels": ["O", "O"]}, "expected every label once, found 'O' twice"),
        ],
    )
    def test_other_json_is_refused(self, value: object, message: str) -> None:
        with pytest.raises(ModelError, match=exactly(f"labels: {message}")):
            LabelVocabulary.from_json(value)

    def test_shows_its_labels(self) -> None:
        assert repr(LabelVocabulary(["O"])) == "LabelVocabulary(['O'])"
