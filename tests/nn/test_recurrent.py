"""Every cell against a loop written from its equation: values, gradients, gates, carried state."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from seqkit.nn.recurrent import CELLS, FusedLayer, RecurrentLayer, State, linear_scan, make_layer
from seqkit.nn.recurrent.unrolled import DepthGatedLSTM

sigmoid, tanh = torch.sigmoid, torch.tanh
Weights = dict[str, Tensor]
Loop = Callable[[Weights, Tensor, list[Tensor]], tuple[list[Tensor], list[Tensor], dict[str, list[Tensor]]]]
"""weights, x [T, I], state [H] each → outputs [H] each, the state after the last step, the gates of every step"""


def split(weights: Weights, count: int) -> list[tuple[Tensor, Tensor, Tensor]]:
    """W [H, I], U [H, H] and b [H] of each gate, whether the layer is torch's, with two biases, or not."""
    if "rnn.weight_ih_l0" in weights:
        w, u = weights["rnn.weight_ih_l0"], weights["rnn.weight_hh_l0"]
        b = weights["rnn.bias_ih_l0"] + weights["rnn.bias_hh_l0"]
    else:
        w, u, b = weights["weight_ih"], weights["weight_hh"], weights["bias"]
    return list(zip(w.chunk(count), u.chunk(count), b.chunk(count), strict=True))


def simple(f: Callable[[Tensor], Tensor]) -> Loop:
    def loop(weights, x, state):
        ((W, U, b),), (h,), outputs = split(weights, 1), state, []
        for x_t in x:
            h = f(W @ x_t + U @ h + b)
            outputs.append(h)
        return outputs, [h], {}

    return loop


def lstm(weights, x, state):
    (h, c), outputs, gates = state, [], {"input": [], "forget": [], "output": []}
    for x_t in x:
        s_i, s_f, s_g, s_o = (W @ x_t + U @ h + b for W, U, b in split(weights, 4))
        i, f, o = sigmoid(s_i), sigmoid(s_f), sigmoid(s_o)
        c = f * c + i * tanh(s_g)
        h = o * tanh(c)
        outputs.append(h)
        for name, gate in zip(gates, (i, f, o), strict=True):
            gates[name].append(gate)
    return outputs, [h, c], gates


def gru(weights, x, state):
    (h,), outputs, gates = state, [], {"reset": [], "update": []}
    (W_r, U_r, b_r), (W_z, U_z, b_z), (W_n, U_n, _) = split(weights, 3)
    b_n, c_n = weights["rnn.bias_ih_l0"].chunk(3)[2], weights["rnn.bias_hh_l0"].chunk(3)[2]
    for x_t in x:
        r = sigmoid(W_r @ x_t + U_r @ h + b_r)
        z = sigmoid(W_z @ x_t + U_z @ h + b_z)
        n = tanh(W_n @ x_t + b_n + r * (U_n @ h + c_n))
        h = (1 - z) * n + z * h
        outputs.append(h)
        gates["reset"].append(r)
        gates["update"].append(z)
    return outputs, [h], gates


def gru_simple(weights, x, state):
    (h,), outputs, gates = state, [], {"update": []}
    (W_z, U_z, b_z), (W_n, U_n, b_n) = split(weights, 2)
    for x_t in x:
        z = sigmoid(W_z @ x_t + U_z @ h + b_z)
        h = (1 - z) * tanh(W_n @ x_t + U_n @ h + b_n) + z * h
        outputs.append(h)
        gates["update"].append(z)
    return outputs, [h], gates


def lstm_peephole(weights, x, state, below=None):
    (h, c), outputs, gates = state, [], {"input": [], "forget": [], "output": []}
    p_i, p_f, p_o = weights["peepholes"]
    for t, x_t in enumerate(x):
        s_i, s_f, s_g, s_o = (W @ x_t + U @ h + b for W, U, b in split(weights, 4))
        i, f = sigmoid(s_i + p_i * c), sigmoid(s_f + p_f * c)
        joined = f * c + i * tanh(s_g)
        if below is not None:
            p_d, q_d = weights["depth_peepholes"]
            d = sigmoid(weights["depth_ih"] @ x_t + p_d * c + q_d * below[t] + weights["depth_bias"])
            joined = joined + d * below[t]
            gates.setdefault("depth", []).append(d)
        c = joined
        o = sigmoid(s_o + p_o * c)
        h = o * tanh(c)
        outputs.append(torch.cat([h, c]) if below is not None else h)
        for name, gate in zip(("input", "forget", "output"), (i, f, o), strict=True):
            gates[name].append(gate)
    return outputs, [h, c], gates


def lstm_coupled(weights, x, state):
    (h, c), outputs, gates = state, [], {"forget": [], "output": []}
    for x_t in x:
        s_f, s_g, s_o = (W @ x_t + U @ h + b for W, U, b in split(weights, 3))
        f, o = sigmoid(s_f), sigmoid(s_o)
        c = f * c + (1 - f) * tanh(s_g)
        h = o * tanh(c)
        outputs.append(h)
        gates["forget"].append(f)
        gates["output"].append(o)
    return outputs, [h, c], gates


def clockwork(weights, x, state):
    (h, clock), outputs, gates = state, [], {"active": []}
    size = len(h)
    modules = min(6, size)
    starts = [module * size // modules for module in range(modules)] + [size]
    for t, x_t in enumerate(x, start=int(clock[0])):
        after, active = h.clone(), torch.zeros_like(h)
        for i in range(modules):
            mine = slice(starts[i], starts[i + 1])
            if t % 2**i == 0:
                read = weights[f"weight_hh.{i}"] @ h[starts[i] :]
                after[mine] = tanh(weights["weight_ih"][mine] @ x_t + weights["bias"][mine] + read)
                active[mine] = 1
        h = after
        outputs.append(h)
        gates["active"].append(active)
    return outputs, [h, torch.full_like(h, (int(clock[0]) + len(x)) % 2 ** (modules - 1))], gates


def mingru(weights, x, state):
    (h,), outputs, gates = state, [], {"update": []}
    (W_z, W_h), (b_z, b_h) = weights["weight_ih"].chunk(2), weights["bias"].chunk(2)
    for x_t in x:
        z = sigmoid(W_z @ x_t + b_z)
        h = (1 - z) * h + z * (W_h @ x_t + b_h)
        outputs.append(h)
        gates["update"].append(z)
    return outputs, [h], gates


def minlstm(weights, x, state):
    (h,), outputs, gates = state, [], {"input": [], "forget": []}
    for x_t in x:
        blocks = zip(weights["weight_ih"].chunk(3), weights["bias"].chunk(3), strict=True)
        s_f, s_i, new = (W @ x_t + b for W, b in blocks)
        f, i = sigmoid(s_f), sigmoid(s_i)
        h = f / (f + i) * h + i / (f + i) * new
        outputs.append(h)
        gates["input"].append(i / (f + i))
        gates["forget"].append(f / (f + i))
    return outputs, [h], gates


def running_sum(weights, x, state):
    (h,), outputs = state, []
    for x_t in x:
        h = h + weights["weight_ih"] @ x_t
        outputs.append(h)
    return outputs, [h], {}


LOOPS: dict[str, Loop] = {
    "lstm": lstm,
    "gru": gru,
    "rnn_tanh": simple(tanh),
    "rnn_relu": simple(torch.relu),
    "irnn": simple(torch.relu),
    "rnn_linear": simple(lambda sums: sums),
    "lstm_peephole": lstm_peephole,
    "lstm_coupled": lstm_coupled,
    "lstm_depth": lstm_peephole,  # of the lowest level; the others have a test of their own
    "gru_simple": gru_simple,
    "clockwork": clockwork,
    "mingru": mingru,
    "minlstm": minlstm,
    "running_sum": running_sum,
}


def unroll(loop: Loop, layer: RecurrentLayer, x: Tensor, state: State) -> tuple[Tensor, State, dict[str, Tensor]]:
    """The loop over each row of a batch by itself."""
    weights = dict(layer.named_parameters())
    rows = [loop(weights, x[row], [part[row] for part in state]) for row in range(len(x))]
    outputs = torch.stack([torch.stack(found) for found, _, _ in rows])
    finals = tuple(torch.stack(parts) for parts in zip(*(final for _, final, _ in rows), strict=True))
    gates = {name: torch.stack([torch.stack(found[name]) for _, _, found in rows]) for name in rows[0][2]}
    return outputs, finals, gates


def randomised(layer: RecurrentLayer) -> RecurrentLayer:
    """In float64, every weight random: a bias or a peephole that is zero would hide a mistake."""
    layer = layer.double()
    with torch.no_grad():
        for weight in layer.parameters():
            weight.normal_(0, 0.7)
    return layer


def random_state(layer: RecurrentLayer, batch: int) -> State:
    counts = torch.randint(0, 32, (batch, 1)).double().expand(batch, layer.hidden_size)
    return tuple(
        counts if part in layer.counters else torch.randn(batch, layer.hidden_size, dtype=torch.float64)
        for part in layer.state_parts
    )


def assert_equals_loop(loop: Loop, layer: RecurrentLayer, x: Tensor, state: State | None) -> None:
    """Outputs, state, gates, and the gradients of input, state and weights."""
    start = layer.initial_state(len(x), x) if state is None else state
    features = [part for name, part in zip(layer.state_parts, start, strict=True) if name not in layer.counters]
    inputs = [x, *(part.requires_grad_() for part in features)]
    outputs, after, gates = unroll(loop, layer, x, start)
    found = layer(x, state)
    torch.testing.assert_close(found, (outputs, after), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(layer.gates(x.detach(), state), {k: v.detach() for k, v in gates.items()})
    pull = torch.randn_like(outputs)
    gradients = []
    for values, last in (found, (outputs, after)):
        loss = (values * pull).sum() + sum(part.square().sum() for part in last)
        wanted = [*inputs, *layer.parameters()]
        gradients.append(torch.autograd.grad(loss, wanted, allow_unused=True, materialize_grads=True))
    if state is None:  # the zeros that it begins with by itself are not those that the loop was given
        gradients = [[x_grad, *rest[len(features) :]] for x_grad, *rest in gradients]
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-9, atol=1e-9)


SIZES = st.tuples(st.integers(1, 4), st.integers(1, 9), st.integers(1, 4), st.integers(1, 7))
"""B, T, I, H"""


@pytest.mark.parametrize("cell", CELLS)
@given(sizes=SIZES, with_state=st.booleans(), seed=st.integers(0, 999))
@settings(max_examples=8, deadline=None, derandomize=True)
def test_every_cell_equals_its_equation(
    cell: str, sizes: tuple[int, int, int, int], with_state: bool, seed: int
) -> None:
    torch.manual_seed(seed)
    batch, steps, input_size, hidden_size = sizes
    layer = randomised(make_layer(cell, input_size, hidden_size))
    x = torch.randn(batch, steps, input_size, dtype=torch.float64, requires_grad=True)
    state = tuple(part.clone() for part in random_state(layer, batch)) if with_state else None
    assert_equals_loop(LOOPS[cell], layer, x, state)


@given(sizes=SIZES, seed=st.integers(0, 999))
@settings(max_examples=8, deadline=None, derandomize=True)
def test_a_depth_gate_lets_the_memory_of_the_level_below_in(sizes: tuple[int, int, int, int], seed: int) -> None:
    torch.manual_seed(seed)
    batch, steps, input_size, hidden_size = sizes
    layer = randomised(make_layer("lstm_depth", input_size, hidden_size, below=True, above=True))
    x = torch.randn(batch, steps, input_size + hidden_size, dtype=torch.float64, requires_grad=True)

    def loop(weights, row, state):
        return lstm_peephole(weights, row[:, :input_size], state, row[:, input_size:])

    assert_equals_loop(loop, layer, x, tuple(part.clone() for part in random_state(layer, batch)))
    counted = sum(weight.numel() for weight in layer.parameters())
    inputs, hidden = input_size, hidden_size
    assert counted == 4 * hidden * (inputs + hidden + 1) + 3 * hidden + hidden * (inputs + 1) + 2 * hidden


def test_the_equation_of_every_cell_is_tested() -> None:
    assert set(CELLS) == set(LOOPS)


@pytest.mark.parametrize("cell", [cell for cell in CELLS if cell not in ("rnn_relu", "irnn")])
def test_gradients_are_those_of_finite_differences(cell: str) -> None:
    # Rectified linear units have a kink, which a finite difference may straddle; the loop above has them, too.
    torch.manual_seed(11)
    layer = randomised(make_layer(cell, 3, 4))
    names, weights = zip(*layer.named_parameters(), strict=True)
    x = torch.randn(2, 5, 3, dtype=torch.float64, requires_grad=True)
    start = [part.clone().requires_grad_(name not in layer.counters) for name, part in
             zip(layer.state_parts, random_state(layer, 2), strict=True)]  # fmt: skip

    def run(x: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        state, given = tuple(rest[: len(start)]), dict(zip(names, rest[len(start) :], strict=True))
        outputs, after = torch.func.functional_call(layer, given, (x, state))
        return outputs, *(part for name, part in zip(layer.state_parts, after, strict=True)
                          if name not in layer.counters)  # fmt: skip

    assert torch.autograd.gradcheck(run, (x, *start, *weights))


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 1, 2), (2, 7, 3), (1, 16, 2), (2, 50, 5), (2, 23, 1024)])
def test_a_scan_equals_the_loop_in_one_block_and_in_many(shape: tuple[int, int, int]) -> None:
    torch.manual_seed(12)
    batch, steps, size = shape
    a, b = (torch.randn(shape, dtype=torch.float64, requires_grad=True) for _ in range(2))
    start = torch.randn(batch, size, dtype=torch.float64, requires_grad=True)
    h, outputs = start, []
    for t in range(steps):
        h = a[:, t] * h + b[:, t]
        outputs.append(h)
    expected, found = torch.stack(outputs, 1), linear_scan(a, b, start)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
    pull = torch.randn(shape, dtype=torch.float64)
    gradients = [torch.autograd.grad((values * pull).sum(), [a, b, start]) for values in (found, expected)]
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-9, atol=1e-9)


def test_a_scan_forgets_where_nothing_is_kept() -> None:
    a, b = torch.ones(1, 30, 2), torch.ones(1, 30, 2)
    a[:, 11] = 0.0
    found = linear_scan(a, b, torch.full((1, 2), 1e30))
    assert found[0, 11:, 0].tolist() == [float(step) for step in range(1, 20)]


def test_gates_of_a_minimal_lstm_that_are_both_shut_are_numbers() -> None:
    layer = make_layer("minlstm", 1, 2)
    with torch.no_grad():
        layer.bias[:4] = torch.tensor([-200.0, -300.0, -200.0, -200.0])
    assert layer.gates(torch.zeros(1, 1, 1))["forget"][0, 0].tolist() == [0.5, 0.0]


@pytest.mark.parametrize("cell", CELLS)
def test_two_windows_with_the_state_equal_one_pass(cell: str) -> None:
    torch.manual_seed(1)
    layer = randomised(make_layer(cell, 3, 6))
    x = torch.randn(2, 47, 3, dtype=torch.float64)
    state = random_state(layer, 2)
    first, between = layer(x[:, :40], state)
    second, end = layer(x[:, 40:], between)
    whole, last = layer(x, state)
    torch.testing.assert_close((torch.cat([first, second], 1), end), (whole, last), rtol=1e-9, atol=1e-9)


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
def test_gates_are_open_between_0_and_1(cell: str) -> None:
    torch.manual_seed(13)
    layer = make_layer(cell, 3, 6, weight_dropout=0.0 if cell in ("mingru", "minlstm", "running_sum") else 0.5)
    gates = layer.gates(torch.randn(2, 5, 3))
    assert bool(gates) == (not cell.startswith(("rnn", "irnn", "running_sum")))
    for gate in gates.values():
        assert gate.shape == (2, 5, 6)
        assert not gate.requires_grad
        assert ((gate >= 0) & (gate <= 1)).all()


@pytest.mark.parametrize("cell", [cell for cell in CELLS if not issubclass(CELLS[cell], FusedLayer)])
def test_under_mixed_precision_what_is_remembered_stays_in_that_of_the_weights(cell: str) -> None:
    layer = make_layer(cell, 3, 6)
    with torch.autocast("cpu", torch.bfloat16):
        _, state = layer(torch.randn(2, 5, 3).bfloat16())
    assert {part.dtype for part in state} == {torch.float32}


@pytest.mark.parametrize("cell", ["lstm", "lstm_peephole", "gru_simple"])
def test_gates_are_those_without_dropout(cell: str) -> None:
    layer, x = make_layer(cell, 3, 6, weight_dropout=0.5), torch.randn(2, 5, 3)
    found = layer.train().gates(x)
    torch.testing.assert_close(found, layer.eval().gates(x))


def test_the_fused_cells_are_those_that_torch_has() -> None:
    fused = {cell for cell, kind in CELLS.items() if issubclass(kind, FusedLayer)}
    assert fused == {"lstm", "gru", "rnn_tanh", "rnn_relu", "irnn"}


def test_only_a_depth_gate_reads_the_memory_of_another_level() -> None:
    for cell in CELLS:
        layer = make_layer(cell, 3, 4, below=True, above=True)
        assert layer.output_size == (8 if isinstance(layer, DepthGatedLSTM) else 4)


def test_unknown_cell() -> None:
    with pytest.raises(ValueError) as caught:
        make_layer("LSTM", 3, 4)
    assert str(caught.value) == f"expected a cell among {', '.join(CELLS)}, found 'LSTM'"
