from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from seqkit.nn.alignment import Comparison, PairPooling, align
from seqkit.nn.encoder import Encoder
from seqkit.nn.pooling import MaxPooling, make_pooling

D = 3
FIRST, SECOND = torch.tensor([4, 1, 0, 2, 0]), torch.tensor([2, 5, 3, 0, 0])


def drawn(steps: int, seed: int) -> Tensor:
    return torch.randn(len(FIRST), steps, D, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def looped(a: list[list[float]], b: list[list[float]]) -> list[list[float]]:
    """For each step of a the mean of the steps of b, weighted by the softmax of dot products."""
    found = []
    for one in a:
        weights = [math.exp(sum(x * y for x, y in zip(one, other, strict=True))) for other in b]
        total = sum(weights)
        mean = [sum(w * other[d] for w, other in zip(weights, b, strict=True)) / total if b else 0.0 for d in range(D)]
        found.append(mean)
    return found


def test_the_alignment_is_that_of_a_literal_loop_whatever_the_padding() -> None:
    a, b = drawn(4, 1), drawn(5, 2)
    for row, (m, n) in enumerate(zip(FIRST.tolist(), SECOND.tolist(), strict=True)):
        a[row, m:], b[row, n:] = torch.nan, torch.inf
    to_b, to_a = align(a, b, FIRST, SECOND)
    for row, (m, n) in enumerate(zip(FIRST.tolist(), SECOND.tolist(), strict=True)):
        first, second = a[row, :m].tolist(), b[row, :n].tolist()
        for found, expected, size in ((to_b, looped(first, second), m), (to_a, looped(second, first), n)):
            assert torch.allclose(found[row, :size], torch.tensor(expected, dtype=torch.float64).reshape(size, D))
            assert not found[row, size:].any()


def pooling(pool: str = "max", *, attention: bool = True) -> PairPooling:
    torch.manual_seed(0)
    comparison = Comparison(D, Encoder(4, hidden_size=3)) if attention else None
    size = 6 if attention else D
    return PairPooling(make_pooling(pool, size, 3), comparison).double()


def test_u_v_their_distance_and_their_product() -> None:
    outputs = torch.cat([drawn(4, 1), drawn(4, 2)])
    lengths = torch.cat([FIRST, SECOND.clamp(max=4)])
    outputs = torch.where(torch.arange(4)[None, :, None] < lengths[:, None, None], outputs, 0)
    found = pooling(attention=False)(outputs, lengths)
    u, v = MaxPooling(D, D)(outputs, lengths).chunk(2)
    assert torch.equal(found, torch.cat([u, v, (u - v).abs(), u * v], 1))


@pytest.mark.parametrize("attention", [True, False])
def test_neither_padding_nor_other_pairs_change_a_pair_and_exchanged_texts_exchange_u_and_v(attention: bool) -> None:
    a, b = drawn(5, 1), drawn(5, 2)
    join, lengths = pooling(attention=attention), torch.cat([FIRST, SECOND])
    outputs = torch.where(torch.arange(5)[None, :, None] < lengths[:, None, None], torch.cat([a, b]), 0)
    together = join(outputs, lengths)
    for row in range(len(FIRST)):
        places = torch.tensor([row, row + len(FIRST)])
        steps = int(lengths[places].max())
        alone = join(outputs[places, :steps], lengths[places])
        assert torch.allclose(alone[0], together[row])
        first, second, *rest = alone[0].chunk(4)
        turned = join(outputs[places.flip(0), :steps], lengths[places.flip(0)])[0]
        assert torch.allclose(turned, torch.cat([second, first, *rest]))


def test_every_parameter_gets_a_gradient_and_empty_texts_none_that_is_not_finite() -> None:
    join = pooling("concat")
    outputs = torch.cat([drawn(5, 1), drawn(5, 2)]).requires_grad_()
    join(outputs, torch.cat([FIRST, SECOND])).square().sum().backward()
    assert all(each.grad is not None and each.grad.isfinite().all() and each.grad.any() for each in join.parameters())
    assert outputs.grad is not None and outputs.grad.isfinite().all()


def test_no_words_at_all() -> None:
    assert pooling()(torch.zeros(2, 0, D, dtype=torch.float64), torch.zeros(2, dtype=torch.int64)).shape == (1, 24)
