"""Word vectors: character features against oracles, tables, given vectors; and the network around them."""

from __future__ import annotations

from itertools import pairwise, product
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

from seqkit.inputs.arrays import TypeTable
from seqkit.inputs.lookup import LookupBatch, LookupModule
from seqkit.nn import embedding as embedding_module
from seqkit.nn.embedding import CHARACTER_FEATURES, CharacterCNN, CharacterLSTM, TypeBatch, WordEmbedding
from seqkit.nn.encoder import Encoder
from seqkit.nn.network import Network
from seqkit.nn.sequences import SequenceDropout

ALPHABET = 7
TIGHT = {"rtol": 1e-9, "atol": 1e-10}

Characters = CharacterCNN | CharacterLSTM

words_of_characters = st.lists(st.lists(st.integers(1, ALPHABET - 1), min_size=1, max_size=9), min_size=1, max_size=6)


def random_features(kind: str, seed: int = 0, **options: Any) -> Characters:
    """Character features in float64 whose every weight is random."""
    torch.manual_seed(seed)
    features = CHARACTER_FEATURES[kind](ALPHABET, embedding_size=3, output_size=6, **options).double()
    with torch.no_grad():
        for weight in features.parameters():
            weight.normal_()
        features.table[0] = 0.0
    return features


def padded(words: list[list[int]], more: int = 0) -> tuple[Tensor, Tensor]:
    longest = max(len(word) for word in words) + more
    rows = [[*word, *[0] * (longest - len(word))] for word in words]
    return torch.tensor(rows), torch.tensor([len(word) for word in words])


def by_windows(features: CharacterCNN, word: list[int]) -> Tensor:
    """Every window of K characters that touches the word, zeros outside it: largest response of each filter."""
    width, size = features.kernel_size, features.table.shape[1]
    responses = []
    for start in range(-(width - 1), len(word)):
        inside = (features.table[word[at]] if 0 <= at < len(word) else None for at in range(start, start + width))
        window = torch.cat([torch.zeros(size).double() if vector is None else vector for vector in inside])
        responses.append(features.filters.weight @ window + features.filters.bias)
    return torch.stack(responses).amax(0)


def by_packed_lstm(features: CharacterLSTM, word: list[int]) -> Tensor:
    """Last states of torch's bidirectional LSTM over a packed word."""
    twin = nn.LSTM(3, 3, batch_first=True, bidirectional=True).double()
    for layer, suffix in zip(features.encoder.layers, ("", "_reverse"), strict=True):
        for name, weight in layer.rnn.named_parameters():
            # Not a copy: the gradients are to arrive at the original.
            delattr(twin, name + suffix)
            setattr(twin, name + suffix, weight)
    twin._flat_weights = [getattr(twin, name) for name in twin._flat_weights_names]
    packed = pack_padded_sequence(features.table[word].unsqueeze(0), torch.tensor([len(word)]), batch_first=True)
    return twin(packed)[1][0].flatten()


ORACLES: dict[str, Any] = {"cnn": by_windows, "lstm": by_packed_lstm}


@given(
    kind=st.sampled_from(["cnn", "lstm"]),
    words=words_of_characters,
    kernel=st.integers(1, 4),
    more=st.integers(0, 3),
    looked_up=st.booleans(),
)
@example(kind="cnn", words=[[1], [2, 3]], kernel=4, more=0, looked_up=True)  # a filter wider than any word
@settings(max_examples=60, deadline=None, derandomize=True)
def test_character_features_equal_the_oracle(
    kind: str, words: list[list[int]], kernel: int, more: int, looked_up: bool
) -> None:
    features = random_features(kind, **({"kernel_size": kernel} if kind == "cnn" else {}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(embedding_module, "_FEW_CHARACTERS", ALPHABET if looked_up else ALPHABET - 1)
        result = features(*padded(words, more))
    expected = torch.stack([ORACLES[kind](features, word) for word in words])
    torch.testing.assert_close(result, expected, **TIGHT)
    pull = torch.randn_like(expected)
    weights = list(features.parameters())
    ours, theirs = (torch.autograd.grad((values * pull).sum(), weights) for values in (result, expected))
    torch.testing.assert_close(ours, theirs, **TIGHT)
    assert not ours[0][0].any()  # padding learns nothing


@pytest.mark.parametrize("kind", CHARACTER_FEATURES)
def test_words_of_one_and_of_thousands_of_characters(kind: str) -> None:
    features = random_features(kind)
    words = [[3], torch.randint(1, ALPHABET, (5000,)).tolist(), [4, 4]]
    result = features(*padded(words))
    expected = torch.stack([ORACLES[kind](features, word) for word in words])
    torch.testing.assert_close(result, expected, **TIGHT)


@pytest.mark.parametrize("kind", CHARACTER_FEATURES)
@pytest.mark.parametrize("longest", [1, 4])
def test_a_word_without_characters_has_finite_features(kind: str, longest: int) -> None:
    for options in [{"kernel_size": 1}, {"kernel_size": 3}] if kind == "cnn" else [{}]:
        features = random_features(kind, **options)
        result = features(torch.tensor([[0] * longest, [2] * longest]), torch.tensor([0, longest]))
        nothing = features.filters.bias if kind == "cnn" else torch.zeros(6).double()
        torch.testing.assert_close(result[0], nothing, **TIGHT)
        torch.testing.assert_close(result[1], ORACLES[kind](features, [2] * longest), **TIGHT)


@pytest.mark.parametrize("few", [0, 512])
def test_no_words_have_no_features(few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding_module, "_FEW_CHARACTERS", few)
    assert CharacterCNN(ALPHABET, output_size=6)(torch.zeros(0, 4).long(), torch.zeros(0).long()).shape == (0, 6)


def test_looked_up_features_do_not_depend_on_the_other_words() -> None:
    features = random_features("cnn").float()
    words = [torch.randint(1, ALPHABET, (size,)).tolist() for size in (3, 5, 5, 9, 2)]
    together = features(*padded(words))
    alone = torch.cat([features(*padded([word])) for word in words])
    assert together.equal(alone)


@pytest.mark.parametrize("kind", CHARACTER_FEATURES)
def test_character_dropout_only_while_training(kind: str) -> None:
    features = random_features(kind, dropout=0.5)
    arguments = padded([[1, 2, 3, 4]] * 8)
    assert len(set(features(*arguments)[:, 0].tolist())) > 1
    features.eval()
    assert torch.equal(features(*arguments), random_features(kind)(*arguments))


@pytest.mark.parametrize(("asked", "given_size"), [(50, 50), (51, 50)])
def test_size_of_character_lstm_is_even(asked: int, given_size: int) -> None:
    features = CharacterLSTM(ALPHABET, output_size=asked)
    assert features.output_size == given_size
    assert features(*padded([[1, 2], [3]])).shape == (2, given_size)


def type_batch(words: list[int], characters: list[list[int]], cuts: list[int]) -> TypeBatch:
    """Forms with their characters in groups that end at the cuts."""
    bounds = [0, *cuts, len(words)]
    groups = [padded(characters[begin:end]) for begin, end in pairwise(bounds) if end > begin]
    index = torch.tensor(words, dtype=torch.int64)
    return TypeBatch(index, index, tuple(group for group, _ in groups), tuple(lengths for _, lengths in groups))


@given(
    kind=st.sampled_from(["cnn", "lstm"]),
    words=st.lists(
        st.integers(1, 40).map(lambda length: [1 + length % (ALPHABET - 1)] * length), min_size=1, max_size=9
    ),
)
@settings(max_examples=40, deadline=None, derandomize=True)
def test_grouping_words_by_length_changes_nothing(kind: str, words: list[list[int]]) -> None:
    words.sort(key=len)
    numbers = list(range(2, 2 + len(words)))
    embedding = WordEmbedding(20, 5, characters=random_features(kind)).double()
    bounds = np.cumsum([0, *map(len, words)])
    flat = np.array([character for word in words for character in word])
    index = np.arange(len(words))
    groups = list(TypeTable(index, index, flat, bounds).groups(index))
    grouped = TypeBatch(
        torch.tensor(numbers),
        torch.tensor(numbers),
        tuple(torch.from_numpy(group.characters) for group in groups),
        tuple(torch.from_numpy(group.lengths) for group in groups),
    )
    results = [
        embedding(forms)
        for forms in (
            grouped,
            type_batch(numbers, words, []),  # all in one
            type_batch(numbers, words, list(range(1, len(words)))),  # each by itself
        )
    ]
    pull = torch.randn_like(results[0])
    learnt = [torch.autograd.grad((result * pull).sum(), list(embedding.parameters())) for result in results]
    for result, gradient in zip(results[1:], learnt[1:], strict=True):
        torch.testing.assert_close(result, results[0], **TIGHT)
        torch.testing.assert_close(gradient, learnt[0], **TIGHT)


# --- tables -------------------------------------------------------------------------------------------------------


def given_vectors(size: int) -> Tensor:
    torch.manual_seed(1)
    return torch.cat([torch.zeros(2, size), torch.randn(6, size).half().float()])


PARTS = [
    (join, word_size, vector_size, kind)
    for join, word_size, vector_size, kind in product(["concat", "sum"], [0, 4, 5], [0, 4], [None, *CHARACTER_FEATURES])
    if (word_size or vector_size or kind) and not (join == "sum" and vector_size and word_size != vector_size)
]


@pytest.mark.parametrize(("join", "word_size", "vector_size", "kind"), PARTS)
def test_parts_stand_in_order_and_output_size_is_theirs(
    join: str, word_size: int, vector_size: int, kind: str | None
) -> None:
    vectors = given_vectors(vector_size) if vector_size else None
    characters = None if kind is None else CHARACTER_FEATURES[kind](ALPHABET, output_size=6)
    embedding = WordEmbedding(9, word_size, vectors=vectors, join=join, characters=characters)
    forms = type_batch([2, 5, 7], [[1], [2, 3], [4, 5, 6]], [1])._replace(vectors=torch.tensor([3, 0, 1]))
    parts = [] if embedding.table is None else [embedding.table[[2, 5, 7]]]
    if vectors is not None and join == "sum":
        parts = [parts[0] + vectors[[3, 0, 1]]]
    elif vectors is not None:
        parts.append(vectors[[3, 0, 1]])
    if characters is not None:
        parts.append(torch.cat([characters(*group) for group in zip(forms.characters, forms.lengths, strict=True)]))
    result = embedding(forms)
    assert result.shape == (3, embedding.output_size)
    assert torch.equal(result, torch.cat(parts, 1))
    if result.requires_grad:  # given vectors alone learn nothing
        result.sum().backward()
    assert all(parameter.grad.any() for parameter in embedding.parameters())


def test_added_to_given_vectors_the_table_starts_at_zero_and_learns_a_correction() -> None:
    vectors = given_vectors(4)
    embedding = WordEmbedding(8, 4, vectors=vectors, join="sum")
    forms = TypeBatch(torch.tensor([3, 1]), torch.tensor([5, 2]), (), ())
    assert torch.equal(embedding(forms), vectors[[5, 2]])
    embedding(forms).sum().backward()
    assert embedding.table.grad.any(1).nonzero().flatten().tolist() == [1, 3]


def test_given_vectors_are_kept_in_half_precision_and_frozen() -> None:
    embedding = WordEmbedding(8, 4, vectors=given_vectors(3))
    assert embedding.state_dict()["vectors"].dtype == torch.float16
    assert [name for name, _ in embedding.named_parameters()] == ["table"]
    assert embedding(TypeBatch(torch.tensor([2]), torch.tensor([2]), (), ())).dtype == torch.float32


def test_trained_vectors_start_with_a_squared_norm_of_one_and_padding_at_zero() -> None:
    torch.manual_seed(2)
    table = WordEmbedding(5000, 50).table.detach()
    assert not table[0].any()
    assert table.abs().max() <= (3 / 50) ** 0.5
    assert table[1:].square().sum(1).mean().item() == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("kind", [None, *CHARACTER_FEATURES])
def test_a_batch_without_words(kind: str | None) -> None:
    characters = None if kind is None else CHARACTER_FEATURES[kind](ALPHABET, output_size=6)
    embedding = WordEmbedding(9, 4, vectors=given_vectors(3), characters=characters)
    assert embedding(type_batch([], [], [])).shape == (0, embedding.output_size)


def test_word_dropout_takes_words_for_unknown_in_each_table_by_itself() -> None:
    torch.manual_seed(3)
    vectors = given_vectors(4)
    vectors[1] = 9.0
    embedding = WordEmbedding(3, 4, vectors=vectors, word_dropout=0.3)
    forms = TypeBatch(torch.full((4000,), 2), torch.full((4000,), 5), (), ())
    words, given_part = embedding(forms).detach().chunk(2, 1)
    unknown = [(words == embedding.table[1]).all(1), (given_part == vectors[1]).all(1)]
    for rows, part, known in zip(unknown, (words, given_part), (embedding.table[2], vectors[5]), strict=True):
        assert rows.float().mean().item() == pytest.approx(0.3, abs=0.03)
        assert (part[~rows] == known).all()
    assert (unknown[0] & unknown[1]).float().mean().item() == pytest.approx(0.09, abs=0.02)
    embedding.eval()
    assert torch.equal(embedding(forms)[0], torch.cat([embedding.table[2], vectors[5]]))
    assert len(embedding(forms).unique(dim=0)) == 1


def test_type_dropout_drops_whole_words_and_keeps_the_expectation() -> None:
    torch.manual_seed(4)
    embedding = WordEmbedding(3, 4, vectors=given_vectors(4), type_dropout=0.25)
    forms = TypeBatch(torch.full((4000,), 2), torch.full((4000,), 5), (), ())
    whole = torch.cat([embedding.table[2], embedding.vectors[5].float()])
    found = embedding(forms)
    kept = found.any(1)
    assert kept.float().mean().item() == pytest.approx(0.75, abs=0.03)
    torch.testing.assert_close(found[kept], (whole / 0.75).expand(int(kept.sum()), -1))
    found.sum().backward()
    torch.testing.assert_close(embedding.table.grad[2], (kept.sum() / 0.75).expand(4), rtol=1e-4, atol=0)
    assert torch.equal(embedding.eval()(forms), whole.expand(4000, -1))


def test_forms_move_but_their_lengths_stay() -> None:
    moved = type_batch([2, 3], [[1], [2, 3]], [1]).to(torch.device("meta"))
    assert {part.device.type for part in (moved.words, moved.vectors, *moved.characters)} == {"meta"}
    assert {part.device.type for part in moved.lengths} == {"cpu"}


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (
            (9, 5),
            {"vectors": given_vectors(4), "join": "sum"},
            "expected vectors of size 5 to add to the word table, found 4",
        ),
        ((9, 5), {"type_dropout": 1.0}, "expected a type_dropout in 0 ≤ p < 1, found 1.0"),
        ((9, 5), {"join": "add"}, "expected a join among concat, sum, found 'add'"),
        ((9, 0), {}, "no features: use word embeddings, pretrained vectors or character features"),
    ],
)
def test_wrong_options(arguments: tuple[int, int], options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as caught:
        WordEmbedding(*arguments, **options)
    assert str(caught.value) == message


# --- network ------------------------------------------------------------------------------------------------------


def test_network_encodes_the_vectors_of_the_words_of_each_sentence() -> None:
    torch.manual_seed(4)
    embedding = WordEmbedding(9, 4, characters=CharacterCNN(ALPHABET, output_size=6))
    encoder = Encoder(10, hidden_size=3)
    network = Network(LookupModule(embedding), encoder, nn.Linear(6, 2), dropout=0.5).eval()
    types = type_batch([4, 2, 7], [[1], [2, 3], [4, 5, 6]], [1])
    index, lengths = torch.tensor([[2, 1, 2, 0], [0, 0, 0, 0], [1, 0, 0, 0]]), torch.tensor([4, 0, 1])
    batch = LookupBatch(lengths, index, types.words, types)
    result = network(batch)
    vectors = embedding(types)
    again = network(LookupBatch(lengths, index, types.words, vectors=vectors))
    expected = encoder(vectors[index], lengths)
    assert torch.equal(result.outputs, expected.outputs)
    assert torch.equal(again.outputs, expected.outputs)
    network.train()
    assert isinstance(network.dropout, SequenceDropout) and network.dropout.variational
    assert not torch.equal(network(batch).outputs, expected.outputs)


def test_network_with_nothing_but_empty_sentences() -> None:
    network = Network(LookupModule(WordEmbedding(9, 4)), Encoder(4, hidden_size=3), nn.Linear(6, 2))
    types, index = type_batch([], [], []), torch.zeros(2, 0, dtype=torch.int64)
    result = network(LookupBatch(torch.zeros(2, dtype=torch.int64), index, types.words, types))
    assert result.outputs.shape == (2, 0, 6)


# --- one-hot input ------------------------------------------------------------------------------------------------


def forms_of(words: list[int], vectors: list[int] | None = None) -> TypeBatch:
    return TypeBatch(torch.tensor(words), torch.tensor(vectors or [0] * len(words)), (), ())


def test_a_one_hot_word_is_its_place() -> None:
    embedding = WordEmbedding(5, 0, one_hot=True)
    assert embedding.output_size == 5
    assert embedding.table is None
    assert not list(embedding.parameters())
    found = embedding(forms_of([4, 1, 2]))
    assert torch.equal(found, torch.eye(5)[[4, 1, 2]])


def test_given_vectors_stand_beside_the_place() -> None:
    given_vectors = torch.arange(6.0).view(3, 2)
    embedding = WordEmbedding(4, 0, vectors=given_vectors, one_hot=True)
    assert embedding.output_size == 6
    found = embedding(forms_of([3, 1], [2, 0]))
    assert torch.equal(found, torch.tensor([[0.0, 0, 0, 1, 4, 5], [0, 1, 0, 0, 0, 1]]))


def test_one_hot_input_is_an_embedding_whose_table_is_the_input_weights() -> None:
    torch.manual_seed(0)
    table = torch.randn(7, 3)
    dense, places = Encoder(3, cell="rnn_tanh", hidden_size=4), Encoder(7, cell="rnn_tanh", hidden_size=4)
    weights = dense.state_dict()
    places.load_state_dict({name: w @ table.T if "weight_ih" in name else w for name, w in weights.items()})
    words, lengths = torch.tensor([[3, 6, 1], [2, 2, 5]]), torch.tensor([3, 3])
    expected = dense(table[words], lengths).outputs
    found = places(WordEmbedding(7, 0, one_hot=True)(forms_of(list(range(7))))[words], lengths).outputs
    torch.testing.assert_close(found, expected)


def test_a_one_hot_word_may_be_dropped() -> None:
    torch.manual_seed(0)
    embedding = WordEmbedding(5, 0, one_hot=True, word_dropout=0.5)
    found = embedding(forms_of([4] * 400))
    assert 150 < int(found[:, 4].sum()) < 250
    assert torch.equal(found[:, 1], 1 - found[:, 4])  # taken for unknown


def test_a_one_hot_word_has_the_precision_of_its_network() -> None:
    assert WordEmbedding(5, 0, one_hot=True).double()(forms_of([3])).dtype == torch.float64
    assert not WordEmbedding(5, 0, one_hot=True).state_dict()
