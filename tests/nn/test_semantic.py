"""The cell that is given a dialogue act: its equation as a loop, its costs, and its place in encoders and decoders."""

from __future__ import annotations

import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from seqkit.nn.attention import Attention
from seqkit.nn.condition import InitialState
from seqkit.nn.decoder import Decoder
from seqkit.nn.encoder import Encoder
from seqkit.nn.recurrent import CELLS, make_layer
from seqkit.nn.recurrent.semantic import SemanticLSTM, reading_cost
from seqkit.nn.softmax import IGNORED

sigmoid, tanh = torch.sigmoid, torch.tanh


def make(inputs: int, hidden: int, size: int) -> SemanticLSTM:
    layer = make_layer("sc_lstm", inputs, hidden, act_size=size).double()
    assert isinstance(layer, SemanticLSTM)
    with torch.no_grad():
        for weight in layer.parameters():
            weight.normal_(0, 0.7)
    return layer


def loop(layer: SemanticLSTM, x: Tensor, h: Tensor, c: Tensor, d: Tensor) -> tuple[list[Tensor], ...]:
    """One sequence, [T, I], step by step: h, c, d and the gates after each."""
    w = dict(layer.named_parameters())
    blocks = [list(each) for each in zip(*(w[n].chunk(4) for n in ("weight_ih", "weight_hh", "bias")), strict=True)]
    hs, cs, ds, gates = [], [], [], []
    for x_t in x:
        s_i, s_f, s_g, s_o = (W @ x_t + U @ h + b for W, U, b in blocks)
        r = sigmoid(w["reading_ih"] @ x_t + w["reading_hh"] @ h + w["reading_bias"])
        d = r * d
        c = sigmoid(s_f) * c + sigmoid(s_i) * tanh(s_g) + tanh(w["act_hh"] @ d)
        h = sigmoid(s_o) * tanh(c)
        hs.append(h), cs.append(c), ds.append(d), gates.append(torch.cat([sigmoid(s_i), sigmoid(s_f), sigmoid(s_o), r]))
    return hs, cs, ds, gates


SIZES = st.tuples(st.integers(1, 3), st.integers(1, 6), st.integers(1, 4), st.integers(1, 5), st.integers(1, 6))
"""B, T, I, H, F"""


@given(sizes=SIZES, seed=st.integers(0, 999))
@settings(max_examples=12, deadline=None, derandomize=True)
def test_the_cell_equals_its_equation(sizes: tuple[int, int, int, int, int], seed: int) -> None:
    torch.manual_seed(seed)
    batch, steps, inputs, hidden, size = sizes
    layer = make(inputs, hidden, size)
    counted = sum(weight.numel() for weight in layer.parameters())
    assert counted == 4 * hidden * (inputs + hidden + 1) + size * (inputs + 2 * hidden + 1)
    x = torch.randn(batch, steps, inputs, dtype=torch.float64, requires_grad=True)
    shapes = ((batch, hidden), (batch, hidden), (batch, size))
    state = tuple(torch.randn(*shape, dtype=torch.float64, requires_grad=True) for shape in shapes)
    outputs, after = layer(x, state)
    rows = [loop(layer, x[row], *(part[row] for part in state)) for row in range(batch)]
    expected = torch.stack([torch.stack(row[0]) for row in rows])  # [B, T, H]
    torch.testing.assert_close(outputs, expected, rtol=1e-10, atol=1e-10)
    for part in range(3):
        last = torch.stack([row[part][-1] for row in rows])
        torch.testing.assert_close(after[part], last, rtol=1e-10, atol=1e-10)
    acts = layer.take_acts()
    left = torch.stack([torch.stack(row[2]) for row in rows])  # [B, T, F]
    left = torch.cat([state[2].unsqueeze(1), left], 1)
    torch.testing.assert_close(acts, left, rtol=1e-10, atol=1e-10)
    assert layer.take_acts() is None
    found = torch.cat([*layer.gates(x.detach(), state).values()], 2)  # [B, T, 3 H + F]
    torch.testing.assert_close(found, torch.stack([torch.stack(row[3]) for row in rows]).detach())
    pull = torch.randn_like(outputs)
    wanted = [x, *state, *layer.parameters()]
    gradients = [
        torch.autograd.grad((value * pull).sum() + rest.square().sum(), wanted)
        for value, rest in ((outputs, acts), (expected, left))
    ]
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-9, atol=1e-9)


@given(sizes=SIZES, seed=st.integers(0, 999))
@settings(max_examples=12, deadline=None, derandomize=True)
def test_costs_are_those_of_the_equation_and_not_of_padding(sizes: tuple[int, ...], seed: int) -> None:
    torch.manual_seed(seed)
    batch, steps, _, _, size = sizes
    lengths = torch.randint(1, steps + 1, (batch,))
    first = torch.rand(batch, size, dtype=torch.float64)
    acts = first.unsqueeze(1) * torch.rand(batch, steps, size, dtype=torch.float64).cumprod(1)
    expected = 0.0
    for row, length in enumerate(lengths.tolist()):
        before = first[row]
        for step in range(length):
            expected += sum(0.01 * (5.0 ** abs(float(a - b)) - 1) for a, b in zip(acts[row, step], before, strict=True))
            before = acts[row, step]
        expected += float(before.abs().sum())
    cost = reading_cost(torch.cat([first.unsqueeze(1), acts], 1), lengths, eta=0.01, xi=5.0)
    assert float(cost) == pytest.approx(expected, rel=1e-9)
    acts[torch.arange(steps) >= lengths.unsqueeze(1)] = 7.0
    assert float(reading_cost(torch.cat([first.unsqueeze(1), acts], 1), lengths, eta=0.01, xi=5.0)) == pytest.approx(
        expected, rel=1e-9
    )


def test_an_act_only_shrinks_and_nothing_comes_of_none() -> None:
    torch.manual_seed(0)
    layer = make(2, 3, 4)
    act = torch.tensor([[1.0, 0.0, 1.0, 0.0]], dtype=torch.float64)
    zeros = torch.zeros(1, 3, dtype=torch.float64)
    layer(torch.randn(1, 5, 2, dtype=torch.float64), (zeros, zeros, act))
    acts = layer.take_acts()
    assert acts is not None
    assert (acts[..., [1, 3]] == 0).all()
    assert (acts.diff(dim=1) <= 0).all()


def test_only_networks_that_are_given_an_act_have_the_cell() -> None:
    assert "sc_lstm" not in CELLS
    with pytest.raises(ValueError, match="the cell sc_lstm needs a dialogue act, whose size is the act_size"):
        Encoder(3, cell="sc_lstm", hidden_size=2)
    encoder = Encoder(3, cell="sc_lstm", hidden_size=2, direction="forward", act_size=5)
    shapes = re.escape("h, c, d of shape [[1, 2], [1, 2], [1, 5]], found [[1, 2], [1, 2], [1, 2]]")
    with pytest.raises(ValueError, match=shapes):
        encoder(torch.zeros(1, 1, 3), torch.tensor([1]), ((torch.zeros(1, 2),) * 3,))
    state = InitialState(4, encoder.layers)
    with pytest.raises(ValueError, match="expected a part of the state to be given"):
        state(torch.zeros(1, 4))
    with pytest.raises(ValueError, match="expected no part of the state to be given"):
        InitialState(4, Encoder(3, hidden_size=2).layers)(torch.zeros(1, 4), torch.zeros(1, 5))
    act = torch.rand(1, 5)
    ((_, _, given_part),) = state(torch.rand(1, 4), act)
    assert given_part is act


@pytest.mark.parametrize("feeding", [False, True])
def test_a_decoder_reads_the_act_step_by_step_as_at_once(feeding: bool) -> None:
    torch.manual_seed(0)
    size, hidden, memory = 3, 4, 5
    stack = Encoder(
        Decoder.input_size(size, hidden, feeding=feeding),
        cell="sc_lstm",
        hidden_size=hidden,
        direction="forward",
        act_size=6,
    )
    decoder = Decoder(memory, memory, 8, size, stack, Attention(hidden, memory), feeding=feeding)
    act = torch.randint(0, 2, (2, 6)).float()
    outputs, lengths = torch.randn(2, 3, memory), torch.tensor([3, 3])
    targets = torch.tensor([[3, 4, 5, 2], [6, 2, IGNORED, IGNORED]])
    source = decoder.read(outputs, lengths, act=act)
    steps = decoder.steps(source, decoder.before(targets, 2))
    assert steps.acts is not None
    state, left = decoder.begin(source), []
    for units in decoder.before(targets, 2).unbind(1):
        _, state = decoder.next(units, source, state)
        left.append(state.layers[0][2])
    torch.testing.assert_close(steps.acts[:, :, 1], torch.stack(left, 1))
    expected = reading_cost(torch.stack([act, *left], 1), torch.tensor([4, 2]))
    torch.testing.assert_close(decoder.reading_loss(steps, targets), expected)
    decoder.eval()
    with torch.no_grad():
        without = decoder.steps(source, decoder.before(targets, 2))
    assert without.acts is None
    assert float(decoder.reading_loss(without, targets)) == 0.0


def test_under_mixed_precision_the_state_stays_in_that_of_the_weights() -> None:
    layer = make(2, 3, 4).float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        outputs, state = layer(torch.randn(1, 5, 2), (torch.zeros(1, 3), torch.zeros(1, 3), torch.ones(1, 4)))
    acts = layer.take_acts()
    assert acts is not None
    assert {part.dtype for part in (outputs, acts, *state)} == {torch.float32}
