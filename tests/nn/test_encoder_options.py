"""The encoder's options: skip connections against literal loops, every combination, precision, dropout, errors."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor

from seqkit.nn.encoder import CONCATS, DIRECTIONS, SKIPS, Encoder
from seqkit.nn.pooling import make_pooling
from seqkit.nn.recurrent import CELLS, make_layer


def literal(encoder: Encoder, skip: str, directions: tuple[str, ...], x: Tensor) -> tuple[Tensor, Tensor]:
    """One sequence [T, I] through one stack, from the definition; forward and backward features apart."""
    weights = dict(encoder.stacks[0].named_parameters())
    kept: list[list[Tensor]] = [[], []]
    layers = iter(encoder.layers)
    for level in range(len(encoder.layers) // len(directions)):
        halves = []
        for direction in directions:
            y = next(layers)((x if direction == "forward" else x.flip(0)).unsqueeze(0))[0][0]
            halves.append(y if direction == "forward" else y.flip(0))
        y = torch.cat(halves, 1)
        if skip in ("residual", "highway"):
            project = weights.get(f"skips.{level}.project.weight")
            assert (project is None) == (x.shape[1] == y.shape[1])
            around = x if project is None else x @ project.T
            if skip == "residual":
                y = y + around
            else:
                gate = torch.sigmoid(x @ weights[f"skips.{level}.gate.weight"].T + weights[f"skips.{level}.gate.bias"])
                y = gate * y + (1 - gate) * around
        for number, part in enumerate(y.chunk(len(directions), 1)):
            kept[number].append(part)
        x = torch.cat([x, y], 1) if skip == "dense" else y
    ahead, back = (torch.cat(parts if skip == "dense" else parts[-1:], 1) if parts else x[:, :0] for parts in kept)
    return ahead, back


@pytest.mark.parametrize("input_size", [3, 4, 8])  # 4 is the width of one direction, 8 of both
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("skip", SKIPS)
def test_skip_connections_equal_a_literal_loop(skip: str, direction: str, input_size: int) -> None:
    torch.manual_seed(5)
    encoder = Encoder(input_size, hidden_size=4, layers=3, direction=direction, skip=skip).double()
    with torch.no_grad():
        for weight in encoder.parameters():  # biases, too, which start at zero
            weight.normal_(0, 0.5)
    directions = ("forward", "backward") if direction == "both" else (direction,)
    x = torch.randn(4, 5, input_size, dtype=torch.float64, requires_grad=True)
    lengths = torch.tensor([5, 1, 3, 0])
    result = encoder(x, lengths)
    pull = torch.randn_like(result.outputs)
    expected = torch.zeros_like(result.outputs)
    for row, length in enumerate(lengths.tolist()):
        if length:
            single = torch.cat(literal(encoder, skip, directions, x[row, :length]), 1)
            single = torch.cat([single, single.new_zeros(x.shape[1] - length, single.shape[1])])
            expected = expected.index_copy(0, torch.tensor([row]), single.unsqueeze(0))
    torch.testing.assert_close(result.outputs, expected, rtol=1e-9, atol=1e-10)
    inputs = [x, *encoder.parameters()]
    ours, theirs = (torch.autograd.grad((values * pull).sum(), inputs) for values in (result.outputs, expected))
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-10)


COMBINATIONS = [
    *itertools.product(["lstm", "gru"], DIRECTIONS, CONCATS, SKIPS, [1, 3]),
    *itertools.product([cell for cell in CELLS if cell not in ("lstm", "gru")], ["both"], CONCATS, SKIPS, [3]),
]


@pytest.mark.parametrize(("cell", "direction", "concat", "skip", "layers"), COMBINATIONS)
def test_every_combination_of_options_runs_and_trains(
    cell: str, direction: str, concat: str, skip: str, layers: int
) -> None:
    torch.manual_seed(6)
    encoder = Encoder(
        3, cell=cell, hidden_size=9, layers=layers, direction=direction, concat=concat, skip=skip, dropout=0.3
    )
    directions = ("forward", "backward") if direction == "both" else (direction,)
    width = 9 * (layers if skip == "dense" else 1)
    assert encoder.output_size == width * len(directions)
    assert encoder.forward_size == (0 if direction == "backward" else width)
    assert len(encoder.layers) == layers * len(directions)
    longer = 6 if cell == "clockwork" else 1  # whose slowest module moves at every 32nd step
    steps = 6 * longer
    x, lengths = torch.randn(4, steps, 3, requires_grad=True), longer * torch.tensor([6, 1, 0, 4])
    result = encoder(x, lengths, return_state=True)
    assert result.outputs.shape == (4, steps, encoder.output_size)
    final = make_pooling("last", encoder.output_size, encoder.forward_size)(result.outputs, lengths)
    assert final.shape == (4, encoder.output_size)
    ahead, back = encoder.forward_size, encoder.output_size - encoder.forward_size
    for row, length in enumerate(lengths.tolist()):
        last = max(length - 1, 0)
        assert torch.equal(final[row, :ahead], result.outputs[row, last, :ahead])
        assert torch.equal(final[row, ahead:], result.outputs[row, 0, encoder.output_size - back :])
    encoder(x, lengths, result.state).outputs.square().sum().backward()
    for name, parameter in encoder.named_parameters():
        assert parameter.grad is not None and parameter.grad.any(), name
        assert parameter.grad.isfinite().all(), name
    assert x.grad.any(2).any(1).tolist() == [True, True, False, True]


@pytest.mark.parametrize("skip", SKIPS)
@pytest.mark.parametrize("concat", CONCATS)
@pytest.mark.parametrize("cell", CELLS)
def test_mixed_precision_runs_and_is_near(cell: str, concat: str, skip: str) -> None:
    torch.manual_seed(7)
    encoder = Encoder(8, cell=cell, hidden_size=4, layers=2, concat=concat, skip=skip)
    x = torch.randn(4, 6, 8)
    for lengths in (torch.tensor([6, 1, 0, 4]), torch.tensor([6, 6, 6, 6])):
        exact = encoder(x, lengths, return_state=True)
        with torch.autocast("cpu", torch.bfloat16):
            rounded = encoder(x, lengths, return_state=True)
            again = encoder(x, lengths, rounded.state)
        near = 0.1 if cell == "running_sum" else 0.05  # a sum has the errors of all its terms
        torch.testing.assert_close(rounded.outputs.float(), exact.outputs, rtol=0.05, atol=near)
        again.outputs.float().sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in encoder.parameters())


@pytest.mark.parametrize("variational", [True, False])
def test_dropout_falls_on_every_level_and_only_while_training(variational: bool) -> None:
    torch.manual_seed(8)
    encoder = Encoder(3, hidden_size=50, layers=2, skip="dense", dropout=0.5, variational=variational)
    x, lengths = torch.randn(2, 6, 3), torch.tensor([6, 6])
    dropped = encoder(x, lengths).outputs == 0  # [B, T, D], of both levels
    assert 0.4 < dropped.float().mean() < 0.6
    for level in dropped.chunk(4, 2):
        assert torch.equal(level, level[:, :1].expand_as(level)) == variational
        assert 0.3 < level.float().mean() < 0.7
    encoder.eval()
    assert torch.equal(encoder(x, lengths).outputs, encoder(x, lengths).outputs)
    assert not (encoder(x, lengths).outputs == 0).any()


@pytest.mark.parametrize(("options", "lower", "top"), [({"last_dropout": 0.0}, True, False), ({}, True, True)])
def test_the_top_level_may_have_dropout_of_its_own(options: dict[str, float], lower: bool, top: bool) -> None:
    torch.manual_seed(9)
    encoder = Encoder(3, hidden_size=50, layers=2, direction="forward", skip="dense", dropout=0.5, **options)
    outputs = encoder(torch.randn(2, 6, 3), torch.tensor([6, 6])).outputs  # of both levels
    assert [bool((level == 0).any()) for level in outputs.chunk(2, 2)] == [lower, top]


def test_weight_dropout_reaches_every_layer() -> None:
    torch.manual_seed(10)
    encoder = Encoder(3, hidden_size=4, layers=2, weight_dropout=0.3)
    assert {layer.weight_dropout for layer in encoder.layers} == {0.3}
    x, lengths = torch.randn(2, 6, 3), torch.tensor([6, 2])
    assert not torch.equal(encoder(x, lengths).outputs, encoder(x, lengths).outputs)
    encoder.eval()
    assert torch.equal(encoder(x, lengths).outputs, encoder(x, lengths).outputs)


def test_highway_starts_by_favouring_the_way_around() -> None:
    gates = [stack.skips[0].gate for stack in Encoder(3, hidden_size=4, concat="final", skip="highway").stacks]
    assert [gate.bias.tolist() for gate in gates] == [[-1.0] * 4] * 2


# --- errors -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cell": "xlstm"}, f"expected a cell among {', '.join(CELLS)}, found 'xlstm'"),
        ({"direction": "left"}, "expected a direction among forward, backward, both, found 'left'"),
        ({"concat": "sum"}, "expected a concat among layerwise, final, found 'sum'"),
        ({"skip": "add"}, "expected a skip among none, residual, highway, dense, found 'add'"),
        ({"input_size": 0}, "expected input_size of at least 1, found 0"),
        ({"hidden_size": 0}, "expected hidden_size of at least 1, found 0"),
        ({"layers": -1}, "expected layers of at least 1, found -1"),
        ({"dropout": 1.0}, "expected a dropout probability in 0 ≤ p < 1, found 1.0"),
        ({"last_dropout": -1.0}, "expected a dropout probability in 0 ≤ p < 1, found -1.0"),
        ({"weight_dropout": 1.0}, "expected a weight_dropout in 0 ≤ p < 1, found 1.0"),
    ],
)
def test_wrong_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as caught:
        Encoder(**{"input_size": 3, **options})
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("shape", "lengths", "message"),
    [
        ((2, 5, 4), [5, 5], "expected x of shape [B, T, 3], found [2, 5, 4]"),
        ((2, 3), [2, 2], "expected x of shape [B, T, 3], found [2, 3]"),
        ((2, 5, 3), [5], "expected lengths as torch.int64 of shape [2] on cpu, found torch.int64 of shape [1] on cpu"),
        (
            (2, 5, 3),
            [5.0, 5.0],
            "expected lengths as torch.int64 of shape [2] on cpu, found torch.float32 of shape [2] on cpu",
        ),
        ((2, 5, 3), [6, 1], "expected lengths from 0 to 5, found 1 to 6"),
        ((2, 5, 3), [5, -1], "expected lengths from 0 to 5, found -1 to 5"),
    ],
)
def test_wrong_input(shape: tuple[int, ...], lengths: list[int], message: str) -> None:
    with pytest.raises(ValueError) as caught:
        Encoder(3)(torch.zeros(shape), torch.tensor(lengths))
    assert str(caught.value) == message


def test_lengths_on_another_device() -> None:
    with pytest.raises(ValueError) as caught:
        Encoder(3)(torch.zeros(2, 5, 3), torch.zeros(2, dtype=torch.int64, device="meta"))
    assert (
        str(caught.value)
        == "expected lengths as torch.int64 of shape [2] on cpu, found torch.int64 of shape [2] on meta"
    )


def test_wrong_state() -> None:
    encoder = Encoder(3, hidden_size=4, direction="forward", layers=2)
    x, lengths = torch.zeros(2, 5, 3), torch.tensor([5, 5])
    part = torch.zeros(2, 4)
    for state, message in [
        (((part, part),), "expected the states of 2 layers, found 1"),
        (((part, part), (part,)), "expected the state of layer 1 as h, c of shape [2, 4], found [[2, 4]]"),
        (
            ((part, part[:1]), (part, part)),
            "expected the state of layer 0 as h, c of shape [2, 4], found [[2, 4], [1, 4]]",
        ),
    ]:
        with pytest.raises(ValueError) as caught:
            encoder(x, lengths, state)
        assert str(caught.value) == message


@pytest.mark.parametrize("cell", [cell for cell in CELLS if make_layer(cell, 1, 1).recurrent_matrices()])
def test_a_forward_pass_has_one_mask_of_weights_also_where_states_are_asked_for(cell: str) -> None:
    torch.manual_seed(2)
    encoder = Encoder(3, cell=cell, hidden_size=6, direction="forward", weight_dropout=0.5).double().train()
    x, lengths = torch.randn(4, 7, 3, dtype=torch.float64), torch.tensor([7, 2, 5, 3])
    found = []
    for return_state in (False, True):
        torch.manual_seed(3)
        found.append(encoder(x, lengths, return_state=return_state).outputs)
    torch.testing.assert_close(found[1], found[0])


@pytest.mark.parametrize("concat", CONCATS)
def test_depth_gates_read_the_memory_of_their_own_direction(concat: str) -> None:
    torch.manual_seed(4)
    encoder = Encoder(3, cell="lstm_depth", hidden_size=4, layers=3, concat=concat).double()
    with torch.no_grad():
        for weight in encoder.parameters():
            weight.normal_(0, 0.5)
    x, lengths = torch.randn(3, 6, 3, dtype=torch.float64), torch.tensor([6, 2, 4])
    result = encoder(x, lengths, return_state=True)
    layers = encoder.layers  # layerwise: layer by layer, both directions; final: one direction after the other
    order = [[0, 1], [2, 3], [4, 5]] if concat == "layerwise" else [[0, 3], [1, 4], [2, 5]]
    for row, length in enumerate(lengths.tolist()):
        read = [x[row : row + 1, :length]] * 2
        memories: list[Tensor | None] = [None, None]
        for level, numbers in enumerate(order):
            found = []
            for side, number in enumerate(numbers):
                inputs = read[side] if memories[side] is None else torch.cat([read[side], memories[side]], 2)
                output, after = layers[number](inputs.flip(1) if side else inputs)
                torch.testing.assert_close(tuple(part[row : row + 1] for part in result.state[number]), after)
                output = output.flip(1) if side else output
                found.append(output[..., :4])
                memories[side] = output[..., 4:] if level < 2 else None
            read = [torch.cat(found, 2)] * 2 if concat == "layerwise" else found
        top = read[0] if concat == "layerwise" else torch.cat(read, 2)
        torch.testing.assert_close(result.outputs[row, :length], top[0])


@pytest.mark.parametrize("option", [{"init": "identity"}, {"init_gain": 0.5}, {"forget_bias": -3.0}])
def test_every_layer_begins_as_asked_for(option: dict[str, Any]) -> None:
    encoder = Encoder(3, cell="lstm", hidden_size=4, layers=2, **option)
    for layer in encoder.layers:
        matrix = layer.recurrent_matrices()[0]
        assert torch.equal(matrix, torch.eye(4)) == ("init" in option)
        assert float(matrix.detach().norm()) == pytest.approx(1.0 if "init_gain" in option else 2.0)
        assert layer.forget_biases()[0].tolist() == [option.get("forget_bias", 1.0)] * 4


def test_no_dropout_falls_on_the_memory_that_is_handed_up() -> None:
    encoder = Encoder(3, cell="lstm_depth", hidden_size=20, layers=2, direction="forward", dropout=0.5).train()
    seen: list[Tensor] = []
    encoder.layers[1].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    encoder(torch.randn(2, 5, 3), torch.tensor([5, 5]))
    below, memory = seen[0].split(20, 2)
    assert (below == 0).any()
    assert not (memory == 0).any()


@pytest.mark.parametrize("cell", CELLS)
def test_the_precision_of_a_state_does_not_depend_on_batch_mates(cell: str) -> None:
    encoder = Encoder(3, cell=cell, hidden_size=6, direction="forward")
    x = torch.randn(2, 6, 3).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        results = [encoder(x, torch.tensor(lengths), return_state=True) for lengths in ([6, 6], [6, 3])]
    whole, ragged = results
    assert whole.outputs.dtype == ragged.outputs.dtype
    for first, second in zip(whole.state[0], ragged.state[0], strict=True):
        assert first.dtype == second.dtype
        torch.testing.assert_close(first[0], second[0], rtol=0.02, atol=0.02)
