"""Poolings against one sentence at a time, and against what they promise of padding and empty sentences."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from seqkit.nn.pooling import POOLINGS, AttentionPooling, Pooling, make_pooling

NAMES = ["mean", "max", "last", "attention", "concat"]
SIZE, FORWARD = 6, 4


def build(name: str) -> Pooling:
    torch.manual_seed(0)
    pooling = make_pooling(name, SIZE, FORWARD)
    for parameter in pooling.parameters():
        nn.init.normal_(parameter)
    return pooling


def pool_one(pooling: Pooling, name: str, sentence: Tensor) -> Tensor:
    """One sentence [T, D] by its definition: the oracle of this file."""
    if not len(sentence):
        return torch.zeros(pooling.output_size)
    last = torch.cat((sentence[-1, :FORWARD], sentence[0, FORWARD:]))
    if name == "last":
        return last
    if name == "mean":
        return sentence.mean(0)
    if name == "max":
        return sentence.max(0).values
    if name == "concat":
        return torch.cat((last, sentence.max(0).values, sentence.mean(0)))
    assert isinstance(pooling, AttentionPooling)
    weights = torch.softmax(
        torch.stack([pooling.query @ torch.tanh(pooling.projection(token)) for token in sentence]), 0
    )
    return sum((weight * token for weight, token in zip(weights, sentence, strict=True)), torch.zeros(SIZE))


def test_names() -> None:
    assert list(POOLINGS) == NAMES


@pytest.mark.parametrize("name", NAMES)
@given(lengths=st.lists(st.integers(0, 5), min_size=1, max_size=4), padding=st.integers(0, 2), seed=st.integers(0, 99))
@settings(max_examples=20, deadline=None, derandomize=True)
def test_equals_one_sentence_at_a_time(name: str, lengths: list[int], padding: int, seed: int) -> None:
    pooling = build(name)
    generator = torch.Generator().manual_seed(seed)
    outputs = torch.randn(len(lengths), max(lengths) + padding, SIZE, generator=generator) - 3  # maxima below zero too
    pooled = pooling(outputs, torch.tensor(lengths))
    assert pooled.shape == (len(lengths), pooling.output_size)
    for row, length in enumerate(lengths):
        torch.testing.assert_close(pooled[row], pool_one(pooling, name, outputs[row, :length]))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("padding", [math.nan, math.inf])
def test_padding_never_matters(name: str, padding: float) -> None:
    pooling, lengths = build(name), torch.tensor([3, 0, 5, 1])
    outputs = torch.randn(4, 6, SIZE)
    outside = torch.arange(6) >= lengths[:, None]  # [B, T]
    clean = outputs.masked_fill(outside[:, :, None], 0).requires_grad_()
    dirty = outputs.masked_fill(outside[:, :, None], padding).requires_grad_()
    expected, found = pooling(clean, lengths), pooling(dirty, lengths)
    assert found.equal(expected)
    inputs = list(pooling.parameters())
    wanted = torch.autograd.grad(expected.square().sum(), [clean, *inputs])
    gradients = torch.autograd.grad(found.square().sum(), [dirty, *inputs])
    torch.testing.assert_close(gradients, wanted)
    assert gradients[0][outside].eq(0).all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("batch", "steps"), [(0, 3), (2, 0), (2, 3)])
def test_nothing_to_pool(name: str, batch: int, steps: int) -> None:
    pooling = build(name)
    outputs = torch.randn(batch, steps, SIZE, requires_grad=True)
    pooled = pooling(outputs, torch.zeros(batch, dtype=torch.int64))
    assert pooled.equal(torch.zeros(batch, pooling.output_size))
    if pooled.requires_grad:
        pooled.sum().backward()
        assert outputs.grad is not None and outputs.grad.eq(0).all()


def test_every_parameter_learns() -> None:
    pooling = build("attention")
    pooling(torch.randn(3, 4, SIZE), torch.tensor([4, 2, 1])).square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in pooling.parameters())


@pytest.mark.parametrize("name", NAMES)
def test_reduced_precision_is_kept(name: str) -> None:
    pooling = build(name).to(torch.bfloat16)
    outputs, lengths = torch.randn(2, 4, SIZE).to(torch.bfloat16), torch.tensor([4, 0])
    pooled = pooling(outputs, lengths)
    assert pooled.dtype == torch.bfloat16
    torch.testing.assert_close(pooled.float(), build(name)(outputs.float(), lengths), rtol=0.05, atol=0.05)


@pytest.mark.parametrize("name", NAMES)
def test_windows_of_a_long_sentence_give_what_one_piece_gives(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pooling = build(name).double()
    outputs, lengths = torch.randn(3, 20, SIZE, dtype=torch.float64), torch.tensor([20, 13, 0])
    whole = pooling(outputs, lengths)
    monkeypatch.setattr("seqkit.nn.pooling._WINDOW", 6)
    with torch.no_grad():
        torch.testing.assert_close(pooling(outputs, lengths), whole.detach(), rtol=1e-12, atol=1e-14)


def test_last_is_the_final_state_of_both_directions() -> None:
    torch.manual_seed(0)
    network, pooling = nn.LSTM(3, 4, batch_first=True, bidirectional=True), make_pooling("last", 8, 4)
    x, lengths = torch.randn(3, 7, 3), torch.tensor([7, 2, 5])
    packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    outputs, (final, _) = network(packed)
    outputs, _ = nn.utils.rnn.pad_packed_sequence(outputs, batch_first=True)
    assert pooling(outputs, lengths).equal(torch.cat((final[0], final[1]), 1))


@pytest.mark.parametrize(("forward_size", "step"), [(SIZE, 2), (0, 0)], ids=["forward", "backward"])
def test_last_of_one_direction(forward_size: int, step: int) -> None:
    outputs = torch.randn(1, 4, SIZE)
    assert make_pooling("last", SIZE, forward_size)(outputs, torch.tensor([3])).equal(outputs[:, step])


def test_attention_starts_as_the_mean_and_its_weights_sum_to_one() -> None:
    outputs, lengths = torch.randn(3, 4, SIZE), torch.tensor([4, 2, 0])
    pooling = make_pooling("attention", SIZE, FORWARD)
    torch.testing.assert_close(pooling(outputs, lengths), make_pooling("mean", SIZE, FORWARD)(outputs, lengths))
    pooling = build("attention")
    assert isinstance(pooling, AttentionPooling)
    weights = pooling.weights(outputs, lengths)
    torch.testing.assert_close(weights.sum(1), torch.tensor([1.0, 1.0, 0.0]))
    assert weights[1, 2:].eq(0).all() and weights[2].eq(0).all()


def test_sizes_are_shown() -> None:
    assert repr(make_pooling("mean", 4, 2)) == "MeanPooling(4, 4)"
    assert make_pooling("concat", 4, 2).output_size == 12


def test_unusable_settings() -> None:
    with pytest.raises(
        ValueError, match=r"expected a pooling among mean, max, last, attention, concat, found 'median'"
    ):
        make_pooling("median", 4, 2)
    for size, forward in ((0, 0), (4, 5), (4, -1)):
        found = rf"found input_size={size} and forward_size={forward}"
        with pytest.raises(ValueError, match=rf"expected input_size of at least 1 and forward_size from 0 .*{found}"):
            make_pooling("last", size, forward)


def test_unusable_inputs() -> None:
    pooling, outputs, lengths = make_pooling("mean", 4, 2), torch.zeros(2, 3, 4), torch.tensor([3, 1])
    with pytest.raises(ValueError, match=r"expected outputs of shape \[B, T, 4\], found \[2, 3, 3\]"):
        pooling(outputs[:, :, :3], lengths)
    expected = r"expected lengths as torch\.int64 of shape \[2\] on cpu, found"
    with pytest.raises(ValueError, match=rf"{expected} torch\.int64 of shape \[1\] on cpu"):
        pooling(outputs, lengths[:1])
    with pytest.raises(ValueError, match=rf"{expected} torch\.float32 of shape \[2\] on cpu"):
        pooling(outputs, lengths.float())
    with pytest.raises(ValueError, match=r"expected lengths from 0 to 3, found 1 to 4"):
        pooling(outputs, lengths + torch.tensor([1, 0]))
