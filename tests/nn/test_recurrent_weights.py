"""How many weights a cell has, how they begin, and recurrent connections that are dropped."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from seqkit.nn.recurrent import CELLS, INITS, FusedLayer, RecurrentLayer, make_layer
from seqkit.nn.recurrent.clockwork import ClockworkRNN

FORGETFUL = ["lstm", "lstm_peephole", "lstm_coupled", "lstm_depth", "minlstm"]
RECURRENT = [cell for cell in CELLS if make_layer(cell, 1, 1).recurrent_matrices()]
FUSED = [cell for cell in CELLS if issubclass(CELLS[cell], FusedLayer)]

COUNTS: dict[str, tuple[str, Callable[[int, int], int]]] = {
    "lstm": ("4H(I + H + 2)", lambda i, h: 4 * h * (i + h + 2)),
    "gru": ("3H(I + H + 2)", lambda i, h: 3 * h * (i + h + 2)),
    "rnn_tanh": ("H(I + H + 2)", lambda i, h: h * (i + h + 2)),
    "rnn_relu": ("H(I + H + 2)", lambda i, h: h * (i + h + 2)),
    "irnn": ("H(I + H + 2)", lambda i, h: h * (i + h + 2)),
    "rnn_linear": ("H(I + H + 1)", lambda i, h: h * (i + h + 1)),
    "lstm_peephole": ("4H(I + H + 1) + 3H", lambda i, h: 4 * h * (i + h + 1) + 3 * h),
    "lstm_coupled": ("3H(I + H + 1)", lambda i, h: 3 * h * (i + h + 1)),
    "lstm_depth": ("4H(I + H + 1) + 3H", lambda i, h: 4 * h * (i + h + 1) + 3 * h),
    "gru_simple": ("2H(I + H + 1)", lambda i, h: 2 * h * (i + h + 1)),
    "clockwork": ("H(I + 1) + H^2 (g + 1) / 2g", lambda i, h: h * (i + 1) + h * h * 7 // 12),
    "mingru": ("2H(I + 1)", lambda i, h: 2 * h * (i + 1)),
    "minlstm": ("3H(I + 1)", lambda i, h: 3 * h * (i + 1)),
    "running_sum": ("HI", lambda i, h: h * i),
}


@pytest.mark.parametrize("cell", CELLS)
def test_parameter_count_is_as_documented(cell: str) -> None:
    formula, count = COUNTS[cell]
    assert f":math:`{formula}`" in " ".join(str(CELLS[cell].__doc__).split())
    for inputs, hidden in ((5, 12), (7, 6)):
        counted = sum(weight.numel() for weight in make_layer(cell, inputs, hidden).parameters())
        assert counted == count(inputs, hidden)


def test_modules_of_a_clockwork_whose_sizes_differ_cover_the_state() -> None:
    layer = make_layer("clockwork", 2, 8)
    assert isinstance(layer, ClockworkRNN)
    assert layer.sizes == [1, 1, 2, 1, 1, 2]
    moves = layer.gates(torch.zeros(1, 64, 2))["active"][0].sum(0)  # [H]
    assert (64 / moves).tolist() == [1, 2, 4, 4, 8, 16, 32, 32]
    assert [list(part.shape) for part in layer.weight_hh] == [[1, 8], [1, 7], [2, 6], [1, 4], [1, 3], [2, 2]]


# --- how they begin -----------------------------------------------------------------------------------------------


def bias_of(layer: RecurrentLayer) -> Tensor:
    """The bias of every unit of every gate, the sum of two where there are two."""
    weights = dict(layer.named_parameters())
    if "rnn.bias_ih_l0" in weights:
        return weights["rnn.bias_ih_l0"] + weights["rnn.bias_hh_l0"]
    return weights.get("bias", torch.zeros(layer.hidden_size))


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("sizes", [(5, 7), (9, 1), (1, 6)])
def test_initial_weights(cell: str, sizes: tuple[int, int]) -> None:
    torch.manual_seed(2)
    inputs, hidden = sizes
    layer = make_layer(cell, inputs, hidden)
    for block in layer.recurrent_matrices():
        rows = len(block)
        assert block.shape == (rows, hidden) or cell == "clockwork"
        expected = torch.eye(rows)
        torch.testing.assert_close(block @ block.T, expected, rtol=0, atol=1e-5)
        if cell == "irnn":
            assert torch.equal(block, expected)
    bound = 0.01 if cell == "irnn" else math.sqrt(6 / (inputs + hidden))
    for block in layer.input_matrices():
        assert block.shape == (hidden, inputs)
        assert block.any()
        assert block.abs().max() <= bound
    forgets = [bias.tolist() for bias in layer.forget_biases()]
    assert forgets == ([[1.0] * hidden] if cell in FORGETFUL else [])
    assert bias_of(layer).sum() == (hidden if cell in FORGETFUL else 0)  # 1, not 1 in each of two biases; else zero
    for name, weight in layer.named_parameters():
        if "peepholes" in name:
            assert not weight.any()


def test_initial_weights_of_a_depth_gate() -> None:
    torch.manual_seed(2)
    layer = make_layer("lstm_depth", 5, 7, below=True)
    assert len(layer.input_matrices()) == 5
    for block in layer.input_matrices():
        assert 0.5 * math.sqrt(6 / 12) < block.abs().max() <= math.sqrt(6 / 12)
    weights = dict(layer.named_parameters())
    assert not any(weights[name].any() for name in ("depth_bias", "depth_peepholes", "peepholes"))


@pytest.mark.parametrize("cell", [cell for cell in CELLS if cell != "irnn"])
def test_input_matrices_fill_the_range_of_each_gate_by_itself(cell: str) -> None:
    # Taken over all gates at once the bound would be smaller by √(5/2) for an LSTM whose sizes are equal.
    torch.manual_seed(3)
    weights = torch.cat(list(make_layer(cell, 64, 64).input_matrices()))
    bound = math.sqrt(6 / (64 + 64))
    assert 0.97 * bound < weights.abs().max() <= bound
    assert weights.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.05)


def test_input_weights_of_identity_units_are_small() -> None:
    torch.manual_seed(3)
    weights = torch.cat(list(make_layer("irnn", 64, 64).input_matrices()))
    assert weights.std().item() == pytest.approx(0.001, rel=0.05)


@pytest.mark.parametrize("cell", RECURRENT)
@pytest.mark.parametrize("init", INITS)
def test_recurrent_matrices_begin_as_asked_for(cell: str, init: str) -> None:
    torch.manual_seed(4)
    layer = make_layer(cell, 5, 24, init=init, init_gain=0.5)
    for block in layer.recurrent_matrices():
        rows, columns = block.shape
        whole = block.detach() / 0.5
        if init == "orthogonal" or (init == "auto" and cell != "irnn"):
            torch.testing.assert_close(whole @ whole.T, torch.eye(rows), rtol=0, atol=1e-5)
        elif init in ("auto", "identity"):  # auto: of irnn
            assert torch.equal(whole, torch.eye(rows, columns))
        else:
            bound = math.sqrt(6 / (rows + columns)) if init == "xavier" else 24**-0.5
            assert 0.6 * bound < whole.abs().max() <= bound * 1.000001


@pytest.mark.parametrize("cell", CELLS)
def test_uniform_weights_are_torchs_own_but_for_the_forget_bias(cell: str) -> None:
    torch.manual_seed(5)
    layer = make_layer(cell, 30, 36, init="uniform", forget_bias=0.25)
    if cell == "lstm":
        assert torch.equal(bias_of(layer)[36:72], torch.full((36,), 0.25))
    forgets = [bias.clone() for bias in layer.forget_biases()]
    assert all(torch.equal(bias, torch.full((36,), 0.25)) for bias in forgets)
    with torch.no_grad():
        for bias in layer.forget_biases():
            bias.zero_()
    for name, weight in layer.named_parameters():
        assert 0.5 / 6 < weight.abs().max() <= 1 / 6, name


@pytest.mark.parametrize("cell", FORGETFUL)
def test_forget_gates_begin_as_open_as_asked_for(cell: str) -> None:
    gates = make_layer(cell, 2, 3, forget_bias=2.0).gates(torch.zeros(1, 1, 2))
    opened = 1 / (1 + math.exp(-2.0))
    expected = opened / (opened + 0.5) if cell == "minlstm" else opened
    torch.testing.assert_close(gates["forget"], torch.full((1, 1, 3), expected))


def test_initial_weights_follow_the_seed() -> None:
    layers = []
    for seed in (4, 4, 5):
        torch.manual_seed(seed)
        layers.append(make_layer("lstm", 3, 4).state_dict()["rnn.weight_hh_l0"])
    assert torch.equal(layers[0], layers[1])
    assert not torch.equal(layers[0], layers[2])


def test_unknown_init() -> None:
    with pytest.raises(ValueError) as caught:
        make_layer("lstm", 3, 4, init="zeros")
    expected = "expected an init among auto, orthogonal, identity, xavier, uniform, found 'zeros'"
    assert str(caught.value) == expected


# --- dropped recurrent connections ---------------------------------------------------------------------------------


def drop_matrices(layer: RecurrentLayer, twin: RecurrentLayer, p: float) -> dict[str, Tensor]:
    """Give the twin the layer's weights, its recurrent matrix with connections dropped; returns what was kept."""
    state = layer.state_dict()
    if isinstance(layer, ClockworkRNN):
        whole = torch.zeros(layer.hidden_size, layer.hidden_size)
        for part, start in zip(layer.weight_hh, layer.starts, strict=True):
            whole[start : start + len(part), start:] = part.detach()
        dropped = functional.dropout(whole, p)
        parts = {
            f"weight_hh.{number}": dropped[start : start + len(part), start:]
            for number, (part, start) in enumerate(zip(layer.weight_hh, layer.starts, strict=True))
        }
    else:
        name = "rnn.weight_hh_l0" if "rnn.weight_hh_l0" in state else "weight_hh"
        parts = {name: functional.dropout(state[name], p)}
    twin.load_state_dict({**state, **parts})
    return {name: part != 0 for name, part in parts.items()}


@pytest.mark.parametrize("with_state", [True, False])
@pytest.mark.parametrize("cell", RECURRENT)
def test_weight_dropout_is_the_same_layer_with_a_dropped_recurrent_matrix(cell: str, with_state: bool) -> None:
    torch.manual_seed(5)
    # Orthogonal: of an identity most connections are zero without being dropped.
    layer, twin = make_layer(cell, 3, 6, weight_dropout=0.4, init="orthogonal"), make_layer(cell, 3, 6)
    x = torch.randn(2, 5, 3)
    state = None
    if with_state:
        state = tuple(torch.zeros(2, 6) if part in layer.counters else torch.randn(2, 6) for part in layer.state_parts)
    torch.manual_seed(6)
    outputs, after = layer(x, state)
    torch.manual_seed(6)
    kept = drop_matrices(layer, twin, 0.4)
    expected, last = twin(x, state)
    torch.testing.assert_close((outputs, after), (expected, last))
    outputs.sum().backward()
    expected.sum().backward()
    assert 0 < sum(int(mask.sum()) for mask in kept.values()) < sum(mask.numel() for mask in kept.values())
    for name, weight in layer.named_parameters():
        other = twin.get_parameter(name).grad
        assert weight.grad is not None and other is not None
        wanted = torch.where(kept[name], other / 0.6, 0.0) if name in kept else other
        torch.testing.assert_close(weight.grad, wanted)


def test_weight_dropout_keeps_the_expectation() -> None:
    torch.manual_seed(7)
    layer = make_layer("rnn_relu", 1, 8, weight_dropout=0.5)
    with torch.no_grad():
        for weight in layer.parameters():  # nothing negative: the cell is linear
            weight.abs_()
        x, state = torch.rand(1, 1, 1), (torch.rand(1, 8),)
        mean = torch.stack([layer(x, state)[0] for _ in range(2000)]).mean(0)
    torch.testing.assert_close(mean, layer.eval()(x, state)[0], rtol=0.1, atol=0)


@pytest.mark.parametrize("cell", RECURRENT)
def test_weight_dropout_leaves_names_and_predictions_as_they_are(cell: str) -> None:
    torch.manual_seed(8)
    layer, twin = make_layer(cell, 3, 6, weight_dropout=0.4, init="orthogonal"), make_layer(cell, 3, 6)
    twin.load_state_dict(layer.state_dict())
    x = torch.randn(2, 5, 3)
    assert not torch.equal(layer(x)[0], layer(x)[0])
    assert torch.equal(layer.eval()(x)[0], twin(x)[0])


@pytest.mark.parametrize("p", [-0.1, 1.0])
def test_weight_dropout_is_no_probability(p: float) -> None:
    with pytest.raises(ValueError) as caught:
        make_layer("lstm", 3, 4, weight_dropout=p)
    assert str(caught.value) == f"expected a weight_dropout in 0 ≤ p < 1, found {p}"


@pytest.mark.parametrize("cell", sorted(set(CELLS) - set(RECURRENT)))
def test_nothing_to_drop(cell: str) -> None:
    assert make_layer(cell, 3, 4).dropped() is None
    with pytest.raises(ValueError) as caught:
        make_layer(cell, 3, 4, weight_dropout=0.5)
    expected = "expected a weight_dropout of 0 without recurrent weights, found 0.5"
    assert str(caught.value) == expected


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("cell", RECURRENT)
def test_weight_dropout_on_a_gpu(cell: str) -> None:
    """Without cuDNN's warning that its weights had to be moved."""
    torch.manual_seed(9)
    layer = make_layer(cell, 3, 6, weight_dropout=0.4).cuda()
    layer(torch.randn(2, 40, 3, device="cuda"))[0].sum().backward()
    assert all(weight.grad.any() for weight in layer.parameters())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("cell", CELLS)
def test_every_cell_on_a_gpu_equals_that_on_the_cpu(cell: str) -> None:
    torch.manual_seed(10)
    layer = make_layer(cell, 3, 6).double()
    x = torch.randn(2, 40, 3, dtype=torch.float64)
    expected, after = layer(x)
    found, last = layer.cuda()(x.cuda())
    torch.testing.assert_close((found.cpu(), tuple(part.cpu() for part in last)), (expected, after))
