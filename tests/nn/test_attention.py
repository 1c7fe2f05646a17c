"""Attention against its equations as literal loops, and that padding is never looked at."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from seqkit.nn.attention import Attention

KINDS: list[dict[str, Any]] = [
    {"kind": "dot"},
    {"kind": "general"},
    {"kind": "additive"},
    {"kind": "general", "heads": 2},
    {"kind": "additive", "heads": 3},
    {"kind": "dot", "window": 2.0},
    {"kind": "additive", "heads": 2, "window": 4.0},
    {"kind": "additive", "coverage": True},
    {"kind": "additive", "heads": 2, "coverage": True},
]


def make(options: dict[str, Any], size: int = 6) -> Attention:
    torch.manual_seed(1)
    attention = Attention(size, size, **options).double()
    for parameter in attention.parameters():
        torch.nn.init.normal_(parameter)
    return attention


def literal(attention: Attention, query: Tensor, memory: Tensor, covered: Tensor | None) -> tuple[Tensor, Tensor]:
    """One query, [Q], over the steps of one sequence, [T, M]: the equations of the class, number by number."""
    heads, steps = attention.heads, len(memory)
    q = query if attention.query is None else attention.query(query)
    weights = torch.zeros(heads, steps, dtype=torch.float64)
    means = []
    for head in range(heads):
        own = q.chunk(heads)[head]
        energies = []
        for step in range(steps):
            key = (memory[step] if attention.key is None else attention.key(memory[step])).chunk(heads)[head]
            if attention.energy is None:
                energy = sum(float(a) * float(b) for a, b in zip(own, key, strict=True))
                energy /= math.sqrt(len(own)) if heads > 1 else 1
            else:
                inner = own + key
                if attention.coverage is not None and covered is not None:
                    inner = inner + attention.coverage[head] * covered[head, step]
                energy = sum(
                    float(v) * math.tanh(float(each)) for v, each in zip(attention.energy[head], inner, strict=True)
                )
            if attention.centre is not None:
                share = 1 / (1 + math.exp(-float(attention.centre(query))))
                centre = share * (steps - 1)
                energy -= (step - centre) ** 2 / (2 * (attention.window / 2) ** 2)
            energies.append(energy)
        total = sum(math.exp(energy) for energy in energies)
        weights[head] = torch.tensor([math.exp(energy) / total for energy in energies])
        values = [memory[step] if attention.value is None else attention.value(memory[step]) for step in range(steps)]
        means.append(sum(weights[head, step] * values[step].chunk(heads)[head] for step in range(steps)))
    return torch.cat(means), weights


@pytest.mark.parametrize("options", KINDS, ids=str)
@torch.no_grad()
def test_attention_is_its_equation(options: dict[str, Any]) -> None:
    attention = make(options)
    lengths = torch.tensor([4, 1, 3])
    memory, queries = torch.randn(3, 4, 6).double(), torch.randn(3, 1, 6).double()
    covered = torch.rand(3, attention.heads, 4).double() if options.get("coverage") else None
    means, weights = attention(queries, attention.prepare(memory, lengths), covered)
    for row, length in enumerate(lengths.tolist()):
        seen = None if covered is None else covered[row]
        expected = literal(attention, queries[row, 0], memory[row, :length], seen)
        assert torch.allclose(means[row, 0], expected[0])
        assert torch.allclose(weights[row, :, 0, :length], expected[1])


@given(
    options=st.sampled_from([each for each in KINDS if not each.get("coverage")]),
    lengths=st.lists(st.integers(1, 7), min_size=1, max_size=4),
    queries=st.integers(1, 4),
    seed=st.integers(0, 99),
)
@settings(max_examples=40, deadline=None)
def test_rows_sum_to_one_over_the_source_and_padding_and_other_queries_have_no_influence(
    options: dict[str, Any], lengths: list[int], queries: int, seed: int
) -> None:
    attention = make(options)
    torch.manual_seed(seed)
    steps = max(lengths)
    memory, asked = torch.randn(len(lengths), steps, 6).double(), torch.randn(len(lengths), queries, 6).double()
    prepared = attention.prepare(memory, torch.tensor(lengths))
    means, weights = attention(asked, prepared)
    assert torch.allclose(weights.sum(3), torch.ones(len(lengths), attention.heads, queries).double())
    for row, length in enumerate(lengths):
        assert not weights[row, :, :, length:].any()
        own = attention.prepare(memory[row : row + 1, :length], torch.tensor([length]))
        for number in range(queries):
            alone = attention(asked[row : row + 1, number : number + 1], own)
            assert torch.allclose(alone[0][0, 0], means[row, number])
            assert torch.allclose(alone[1][0, :, 0], weights[row, :, number, :length])
    changed = memory.clone()
    for row, length in enumerate(lengths):
        changed[row, length:] = 1e6
    assert torch.allclose(attention(asked, attention.prepare(changed, torch.tensor(lengths)))[0], means)


def test_a_narrow_window_looks_at_its_centre() -> None:
    attention = make({"kind": "dot", "window": 0.05})
    queries = torch.randn(1, 1, 6).double()
    _, weights = attention(queries, attention.prepare(torch.randn(1, 9, 6).double() * 0.1, torch.tensor([9])))
    centre = 8 * torch.sigmoid(attention.centre(queries))  # type: ignore[misc]
    assert weights.argmax() == int(centre.round())


def test_lengths_are_exact_in_half_precision() -> None:
    attention = make({"kind": "general", "window": 3.0}).float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        prepared = attention.prepare(torch.randn(2, 395, 6), torch.tensor([395, 257]))
    assert prepared.keys.dtype == torch.bfloat16 and prepared.lengths.tolist() == [395.0, 257.0]


def test_dropped_weights_are_scaled_and_only_in_training() -> None:
    attention = make({"kind": "dot", "dropout": 0.5})
    memory = attention.prepare(torch.ones(1, 4000, 6).double(), torch.tensor([4000]))
    means, weights = attention.train()(torch.zeros(1, 1, 6).double(), memory)
    assert means.mean() == pytest.approx(1.0, abs=0.1)
    assert means.mean() != 1.0
    assert weights.sum() == pytest.approx(1.0)
    assert torch.allclose(attention.eval()(torch.zeros(1, 1, 6).double(), memory)[0], torch.ones(1, 1, 6).double())


@pytest.mark.parametrize(
    ("sizes", "options", "message"),
    [
        ((4, 4), {"kind": "cosine"}, "expected an attention among dot, general, additive, found 'cosine'"),
        ((4, 6), {"kind": "dot"}, "dot needs vectors of one size, and these have 4 and 6; use general"),
        (
            (4, 6),
            {"heads": 4},
            "4 heads need general or additive attention and sizes that they divide, found sizes of 4 and 6 by kind "
            "general",
        ),
        (
            (4, 4),
            {"kind": "dot", "heads": 2},
            "2 heads need general or additive attention and sizes that they divide, found sizes of 4 and 4 by kind dot",
        ),
        ((4, 4), {"coverage": True}, "coverage needs additive attention, found general"),
    ],
)
def test_options_that_do_not_fit(sizes: tuple[int, int], options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as caught:
        Attention(*sizes, **options)
    assert str(caught.value) == message
