"""Every cell against a loop written from its equation, and how it is initialised."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from seqkit.nn.recurrent import CELLS, RecurrentLayer, State, make_layer

GATES = {"lstm": 4, "gru": 3, "rnn_tanh": 1, "rnn_relu": 1}

Step = Callable[[list[Tensor], list[Tensor], list[Tensor]], State]


def rnn_tanh_step(a: list[Tensor], u: list[Tensor], state: list[Tensor]) -> State:
    return (torch.tanh(a[0] + u[0]),)


def rnn_relu_step(a: list[Tensor], u: list[Tensor], state: list[Tensor]) -> State:
    return (torch.where(a[0] + u[0] > 0, a[0] + u[0], 0.0),)


def gru_step(a: list[Tensor], u: list[Tensor], state: list[Tensor]) -> State:
    r = torch.sigmoid(a[0] + u[0])
    z = torch.sigmoid(a[1] + u[1])
    n = torch.tanh(a[2] + r * u[2])
    return ((1 - z) * n + z * state[0],)


def lstm_step(a: list[Tensor], u: list[Tensor], state: list[Tensor]) -> State:
    i = torch.sigmoid(a[0] + u[0])
    f = torch.sigmoid(a[1] + u[1])
    g = torch.tanh(a[2] + u[2])
    o = torch.sigmoid(a[3] + u[3])
    c = f * state[1] + i * g
    return (o * torch.tanh(c), c)


STEPS: dict[str, Step] = {
    "lstm": lstm_step,
    "gru": gru_step,
    "rnn_tanh": rnn_tanh_step,
    "rnn_relu": rnn_relu_step,
}


def unroll(cell: str, layer: RecurrentLayer, x: Tensor, state: State) -> tuple[Tensor, State]:
    """One row and one step at a time: a = W x_t + b and u = U h_{t−1} + b' of each gate, then the cell's equation."""
    weights = dict(layer.named_parameters())
    w, u = (weights[f"rnn.weight_{kind}_l0"].chunk(GATES[cell]) for kind in ("ih", "hh"))  # gates × [H, I], [H, H]
    b, b2 = (weights[f"rnn.bias_{kind}_l0"].chunk(GATES[cell]) for kind in ("ih", "hh"))  # gates × [H]
    rows, finals = [], []
    for row in range(x.shape[0]):
        memory = [part[row] for part in state]  # each [H]
        outputs = []
        for step in x[row]:
            inputs = [matrix @ step + bias for matrix, bias in zip(w, b, strict=True)]
            recurrent = [matrix @ memory[0] + bias for matrix, bias in zip(u, b2, strict=True)]
            memory = list(STEPS[cell](inputs, recurrent, memory))
            outputs.append(memory[0])
        rows.append(torch.stack(outputs))
        finals.append(memory)
    return torch.stack(rows), tuple(torch.stack(parts) for parts in zip(*finals, strict=True))


def random_layer(cell: str, input_size: int, hidden_size: int) -> RecurrentLayer:
    """A layer in float64 whose every weight is random: a bias that is zero would hide a mistake."""
    layer = make_layer(cell, input_size, hidden_size).double()
    with torch.no_grad():
        for weight in layer.parameters():
            weight.normal_(0, 0.7)
    return layer


def random_state(layer: RecurrentLayer, batch: int) -> State:
    return tuple(torch.randn(batch, layer.hidden_size, dtype=torch.float64) for _ in layer.state_parts)


@given(
    cell=st.sampled_from(list(CELLS)),
    sizes=st.tuples(*[st.integers(1, 5)] * 4),
    with_state=st.booleans(),
    seed=st.integers(0, 999),
)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_every_cell_equals_its_equation(
    cell: str, sizes: tuple[int, int, int, int], with_state: bool, seed: int
) -> None:
    torch.manual_seed(seed)
    batch, steps, input_size, hidden_size = sizes
    layer = random_layer(cell, input_size, hidden_size)
    x = torch.randn(batch, steps, input_size, dtype=torch.float64, requires_grad=True)
    state = random_state(layer, batch) if with_state else None
    start = layer.initial_state(batch, x) if state is None else state
    pull = torch.randn(batch, steps, hidden_size, dtype=torch.float64)
    gradients = []
    results = layer(x, state), unroll(cell, layer, x, start)
    for outputs, after in results:
        loss = (outputs * pull).sum() + sum(part.square().sum() for part in after)
        gradients.append(torch.autograd.grad(loss, [x, *layer.parameters()]))
    torch.testing.assert_close(results[0], results[1], rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-9, atol=1e-9)


def test_the_equation_of_every_cell_is_tested() -> None:
    assert set(CELLS) == set(STEPS) == set(GATES)


@pytest.mark.parametrize("cell", CELLS)
def test_two_windows_with_the_state_equal_one_pass(cell: str) -> None:
    torch.manual_seed(1)
    layer = random_layer(cell, 3, 4)
    x = torch.randn(2, 9, 3, dtype=torch.float64)
    state = random_state(layer, 2)
    first, between = layer(x[:, :4], state)
    second, end = layer(x[:, 4:], between)
    whole, last = layer(x, state)
    torch.testing.assert_close((torch.cat([first, second], 1), end), (whole, last), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("cell", CELLS)
def test_initial_state_is_zero_and_takes_after_the_input(cell: str) -> None:
    layer = make_layer(cell, 3, 4)
    state = layer.initial_state(2, torch.ones(1, dtype=torch.float64))
    assert len(state) == len(layer.state_parts)
    for part in state:
        assert part.shape == (2, 4)
        assert part.dtype == torch.float64
        assert not part.any()


@pytest.mark.parametrize("cell", CELLS)
def test_parameter_count_is_as_documented(cell: str) -> None:
    inputs, hidden = 5, 7
    counted = sum(weight.numel() for weight in make_layer(cell, inputs, hidden).parameters())
    assert counted == GATES[cell] * hidden * (inputs + hidden + 2)
    factor = "" if GATES[cell] == 1 else str(GATES[cell])
    assert f"Parameters: :math:`{factor}H(I + H + 2)`." in str(CELLS[cell].__doc__)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("sizes", [(5, 7), (9, 1), (1, 6)])
def test_initial_weights(cell: str, sizes: tuple[int, int]) -> None:
    torch.manual_seed(2)
    inputs, hidden = sizes
    weights = dict(make_layer(cell, inputs, hidden).named_parameters())
    for block in weights["rnn.weight_hh_l0"].chunk(GATES[cell]):
        assert block.shape == (hidden, hidden)
        torch.testing.assert_close(block @ block.T, torch.eye(hidden), rtol=0, atol=1e-5)
    bound = math.sqrt(6 / (inputs + hidden))
    for block in weights["rnn.weight_ih_l0"].chunk(GATES[cell]):
        assert block.shape == (hidden, inputs)
        assert block.abs().max() <= bound
    bias = weights["rnn.bias_ih_l0"] + weights["rnn.bias_hh_l0"]
    expected = torch.zeros(GATES[cell], hidden)
    if cell == "lstm":
        expected[1] = 1.0  # the forget gate: exactly 1, not 1 in each of the two biases
    assert torch.equal(bias.view(GATES[cell], hidden), expected)


@pytest.mark.parametrize("cell", CELLS)
def test_input_matrices_fill_the_range_of_each_gate_by_itself(cell: str) -> None:
    # Taken over all gates at once the bound would be smaller by √(5/2) for an LSTM whose sizes are equal.
    torch.manual_seed(3)
    weights = dict(make_layer(cell, 64, 64).named_parameters())["rnn.weight_ih_l0"]
    bound = math.sqrt(6 / (64 + 64))
    assert 0.97 * bound < weights.abs().max() <= bound
    assert weights.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.05)


def test_initial_weights_follow_the_seed() -> None:
    layers = []
    for seed in (4, 4, 5):
        torch.manual_seed(seed)
        layers.append(make_layer("lstm", 3, 4).state_dict()["rnn.weight_hh_l0"])
    assert torch.equal(layers[0], layers[1])
    assert not torch.equal(layers[0], layers[2])


def test_unknown_cell() -> None:
    with pytest.raises(ValueError) as caught:
        make_layer("LSTM", 3, 4)
    assert str(caught.value) == "expected a cell among lstm, gru, rnn_tanh, rnn_relu, found 'LSTM'"


# --- dropped recurrent connections ---------------------------------------------------------------------------------


@pytest.mark.parametrize("with_state", [True, False])
@pytest.mark.parametrize("cell", CELLS)
def test_weight_dropout_is_the_same_layer_with_a_dropped_recurrent_matrix(cell: str, with_state: bool) -> None:
    torch.manual_seed(5)
    layer, twin = make_layer(cell, 3, 6, weight_dropout=0.4), make_layer(cell, 3, 6)
    x = torch.randn(2, 5, 3)
    state = tuple(torch.randn(2, 6) for _ in layer.state_parts) if with_state else None
    own = layer.get_parameter("rnn.weight_hh_l0")
    torch.manual_seed(6)
    outputs, after = layer(x, state)
    torch.manual_seed(6)
    dropped = functional.dropout(own.detach(), 0.4)
    twin.load_state_dict({**layer.state_dict(), "rnn.weight_hh_l0": dropped})
    expected, last = twin(x, state)
    torch.testing.assert_close((outputs, after), (expected, last))
    outputs.sum().backward()
    expected.sum().backward()
    kept = dropped != 0
    assert 0 < kept.sum() < kept.numel()
    torch.testing.assert_close(own.grad, torch.where(kept, twin.get_parameter("rnn.weight_hh_l0").grad / 0.6, 0.0))
    for name in ("rnn.weight_ih_l0", "rnn.bias_ih_l0", "rnn.bias_hh_l0"):
        torch.testing.assert_close(layer.get_parameter(name).grad, twin.get_parameter(name).grad)


def test_weight_dropout_keeps_the_expectation() -> None:
    torch.manual_seed(7)
    layer = make_layer("rnn_relu", 1, 8, weight_dropout=0.5)
    with torch.no_grad():
        for weight in layer.parameters():  # nothing negative: the cell is linear
            weight.abs_()
        x, state = torch.rand(1, 1, 1), (torch.rand(1, 8),)
        mean = torch.stack([layer(x, state)[0] for _ in range(2000)]).mean(0)
    torch.testing.assert_close(mean, layer.eval()(x, state)[0], rtol=0.1, atol=0)


@pytest.mark.parametrize("cell", CELLS)
def test_weight_dropout_leaves_names_and_predictions_as_they_are(cell: str) -> None:
    torch.manual_seed(8)
    layer, twin = make_layer(cell, 3, 6, weight_dropout=0.4), make_layer(cell, 3, 6)
    twin.load_state_dict(layer.state_dict())
    x = torch.randn(2, 5, 3)
    assert not torch.equal(layer(x)[0], layer(x)[0])
    assert torch.equal(layer.eval()(x)[0], twin(x)[0])


@pytest.mark.parametrize("p", [-0.1, 1.0])
def test_weight_dropout_is_no_probability(p: float) -> None:
    with pytest.raises(ValueError) as caught:
        make_layer("lstm", 3, 4, weight_dropout=p)
    assert str(caught.value) == f"expected a weight_dropout in 0 ≤ p < 1, found {p}"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("cell", CELLS)
def test_weight_dropout_on_a_gpu(cell: str) -> None:
    """Without cuDNN's warning that its weights had to be moved."""
    torch.manual_seed(9)
    layer = make_layer(cell, 3, 6, weight_dropout=0.4).cuda()
    layer(torch.randn(2, 5, 3, device="cuda"))[0].sum().backward()
    assert all(weight.grad.any() for weight in layer.parameters())
