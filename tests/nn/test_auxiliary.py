"""The language-modelling objective equals a literal loop over tokens, and padding has no part in it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from seqkit.nn.auxiliary import AuxiliaryLanguageModel


def literal(module: AuxiliaryLanguageModel, outputs: Tensor, lengths: list[int], words: list[list[int]]) -> Tensor:
    """Every token by itself: the loss of the word after it and of the word before it; 0 beyond the sentence."""
    forward, backward = module.sizes
    predictors = iter(module.predictors)
    ahead = next(predictors) if forward else None
    behind = next(predictors) if backward else None
    total = torch.zeros(())
    for row, size in enumerate(lengths):
        known = [0, *(word if word < module.num_words else 1 for word in words[row][:size]), 0]
        for step in range(size):
            vector = outputs[row, step]
            if ahead is not None:
                total = total - ahead(vector[:forward]).log_softmax(0)[known[step + 2]]
            if behind is not None:
                total = total - behind(vector[forward:]).log_softmax(0)[known[step]]
    return total


@pytest.mark.parametrize("forward", [0, 3, 5])
def test_equals_a_literal_loop(forward: int) -> None:
    torch.manual_seed(forward)
    module = AuxiliaryLanguageModel(5, forward, 6)
    outputs, lengths = torch.randn(4, 5, 5), [5, 1, 0, 3]
    words = torch.randint(1, 9, (4, 5))
    found = module(outputs, torch.tensor(lengths), words)
    assert torch.allclose(found, literal(module, outputs, lengths, words.tolist()), rtol=1e-5)


def test_padding_has_no_part() -> None:
    torch.manual_seed(1)
    module = AuxiliaryLanguageModel(4, 2, 6)
    outputs, words, lengths = torch.randn(2, 4, 4), torch.randint(1, 6, (2, 4)), torch.tensor([2, 4])
    other_outputs, other_words = outputs.clone(), words.clone()
    other_outputs[0, 2:], other_words[0, 2:] = 9.0, 5
    assert torch.equal(module(outputs, lengths, words), module(other_outputs, lengths, other_words))


def test_the_halves_of_an_encoder_have_not_seen_what_they_predict() -> None:
    """With ``concat="final"`` another word at t + 1 leaves the loss of predicting from tokens up to t as it was."""
    from seqkit.nn.encoder import Encoder

    torch.manual_seed(2)
    encoder = Encoder(3, hidden_size=4, layers=2, concat="final").eval()
    x = torch.randn(1, 6, 3)
    changed = x.clone()
    changed[0, 4] += 1.0
    lengths = torch.tensor([6])
    before, after = encoder(x, lengths).outputs, encoder(changed, lengths).outputs
    half = encoder.forward_size
    assert torch.equal(before[0, :4, :half], after[0, :4, :half])
    assert torch.equal(before[0, 5:, half:], after[0, 5:, half:])
