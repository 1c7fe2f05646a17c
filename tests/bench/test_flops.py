"""The useful FLOPs of a network, against a count by hand and torch's own counter."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from seqkit.bench.flops import forward_flops
from seqkit.heads.classification.module import ClassificationHead
from seqkit.heads.language_model.module import LanguageModelHead
from seqkit.heads.tagging.module import TaggingHead
from seqkit.inputs.lookup import LookupModule
from seqkit.nn.auxiliary import AuxiliaryLanguageModel
from seqkit.nn.embedding import CharacterCNN, CharacterLSTM, WordEmbedding
from seqkit.nn.encoder import Encoder
from seqkit.nn.network import Network
from seqkit.nn.pooling import make_pooling


def tagger(characters: CharacterCNN | CharacterLSTM | None, auxiliary: AuxiliaryLanguageModel | None = None) -> Network:
    embedding = WordEmbedding(30, 10, characters=characters)
    encoder = Encoder(embedding.output_size, cell="lstm", hidden_size=7, direction="both")
    return Network(LookupModule(embedding), encoder, TaggingHead(14, 5, auxiliary=auxiliary))


def body(size: int) -> int:
    """BiLSTM of 2 × 7, scores of 5 tags, moves between them."""
    return 2 * (2 * 4 * 7 * (size + 7) + 14 * 5 + 5 * 5)


def test_of_a_tagger_by_hand() -> None:
    assert forward_flops(tagger(None), 4.5) == body(10)
    convolved = CharacterCNN(9, embedding_size=3, output_size=4, kernel_size=3)
    assert forward_flops(tagger(convolved), 4.5) == body(14) + 2 * (3 * 3 * 4) * (4.5 + 2)
    recurrent = CharacterLSTM(9, embedding_size=3, output_size=4)
    assert forward_flops(tagger(recurrent), 4.5) == body(14) + 2 * (2 * 4 * 2 * (3 + 2)) * 4.5


def test_a_classifier_scores_labels_once_per_text() -> None:
    encoder = Encoder(10, cell="lstm", hidden_size=7, direction="both")
    network = Network(LookupModule(WordEmbedding(30, 10)), encoder, ClassificationHead(make_pooling("mean", 14, 7), 5))
    assert forward_flops(network, 4.0, 20.0) == pytest.approx(2 * (2 * 4 * 7 * (7 + 10) + 14 * 5 / 20))


def test_the_context_network_reads_each_character_and_a_space() -> None:
    network = tagger(None)
    encoder = Encoder(3, cell="lstm", hidden_size=4, direction="forward")
    network.input.context = Network(LookupModule(WordEmbedding(9, 3)), encoder, nn.Identity())
    assert forward_flops(network, 4.5) == body(10) + 2 * (4 * 4 * (4 + 3)) * 5.5


def test_computations_of_training_only_are_not_counted() -> None:
    assert forward_flops(tagger(None, AuxiliaryLanguageModel(14, 7, 20)), 1.0) == body(10)


def test_matrix_products_are_counted_as_torch_counts_them() -> None:
    network = tagger(None)
    network.encoder = Encoder(10, cell="lstm_peephole", hidden_size=7, direction="both")  # torch counts no fused LSTM
    lengths = torch.full((3,), 6)
    with FlopCounterMode(display=False) as counter:
        outputs = network.encoder(torch.randn(3, 6, 10), lengths).outputs
        network.head.emission(outputs)
    beside = 2 * (2 * 3 * 7 + 5 * 5)  # peepholes and moves between tags are no matrix products
    assert forward_flops(network, 0.0) == counter.get_total_flops() / 18 + beside


@pytest.mark.parametrize("tied", [False, True])
def test_a_softmax_counts_with_tied_and_with_own_weights(tied: bool) -> None:
    embedding = WordEmbedding(30, 7)
    head = LanguageModelHead(7, 7, 30, tied_size=7 if tied else None)
    network = Network(LookupModule(embedding), Encoder(7, cell="lstm", hidden_size=7, direction="forward"), head)
    assert forward_flops(network, 0.0) == 2 * (4 * 7 * (7 + 7) + 7 * 30)
