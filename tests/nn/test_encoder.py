"""The encoder against torch's packed networks; padding, batch mates, directions, carried state."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from seqkit.nn.encoder import CONCATS, DIRECTIONS, SKIPS, Encoder
from seqkit.nn.pooling import make_pooling
from seqkit.nn.recurrent import CELLS
from seqkit.nn.recurrent.layer import reverse_by_length

KERNELS: dict[str, Any] = {
    "lstm": nn.LSTM,
    "gru": nn.GRU,
    "rnn_tanh": nn.RNN,
    "rnn_relu": lambda *args, **options: nn.RNN(*args, nonlinearity="relu", **options),
    "irnn": lambda *args, **options: nn.RNN(*args, nonlinearity="relu", **options),
}
TIGHT = {"rtol": 1e-9, "atol": 1e-10}


def random_encoder(input_size: int = 3, hidden_size: int = 4, **options: Any) -> Encoder:
    """An encoder in float64 whose every weight is random: zero biases would hide mistakes."""
    encoder = Encoder(input_size, hidden_size=hidden_size, **options).double()
    with torch.no_grad():
        for weight in encoder.parameters():
            weight.normal_(0, 0.5)
    return encoder


def random_batch(lengths: list[int], input_size: int = 3, steps: int | None = None) -> tuple[Tensor, Tensor]:
    longest = max(lengths) if steps is None else steps
    return torch.randn(len(lengths), longest, input_size, dtype=torch.float64), torch.tensor(lengths)


def last(encoder: Encoder, outputs: Tensor, lengths: Tensor) -> Tensor:
    """The forward features of the last step and the backward features of the first, [B, D]."""
    return make_pooling("last", encoder.output_size, encoder.forward_size)(outputs, lengths)


def gradients(loss: Tensor, encoder: Encoder, *more: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(loss, [*more, *encoder.parameters()]))


# --- equal to torch's packed networks -----------------------------------------------------------------------------


def packed_twin(encoder: Encoder, cell: str, layers: int, direction: str) -> tuple[nn.RNNBase, list[Tensor]]:
    """torch's network with the same weights, and its weights in the order of the encoder's."""
    hidden_size = encoder.layers[0].hidden_size
    both = direction == "both"
    twin = KERNELS[cell](encoder.input_size, hidden_size, layers, batch_first=True, bidirectional=both).double()
    weights = []
    for number, layer in enumerate(encoder.layers):
        level, reverse = divmod(number, 2 if both else 1)
        for name, weight in layer.rnn.named_parameters():
            same = getattr(twin, name.replace("_l0", f"_l{level}") + ("_reverse" if reverse else ""))
            same.data.copy_(weight.data)
            weights.append(same)
    return twin, weights


def run_packed(twin: nn.RNNBase, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
    """Outputs [B, T, D], final [B, D] and state (each [layers · directions, B, H]); torch cannot pack length zero."""
    rows = lengths.nonzero().squeeze(1)
    packed = pack_padded_sequence(x[rows], lengths[rows], batch_first=True, enforce_sorted=False)
    result, states = twin(packed)
    unpacked, _ = pad_packed_sequence(result, batch_first=True, total_length=x.shape[1])
    outputs = x.new_zeros(*x.shape[:2], unpacked.shape[2]).index_copy(0, rows, unpacked)
    parts = states if isinstance(states, tuple) else (states,)
    state = tuple(x.new_zeros(len(part), len(x), part.shape[2]).index_copy(1, rows, part) for part in parts)
    top = state[0][-2 if twin.bidirectional else -1 :]  # [directions, B, H]
    return outputs, torch.cat(list(top), 1), state


def turned(x: Tensor, lengths: Tensor) -> Tensor:
    """Each sequence reversed, row by row."""
    pairs = zip(x, lengths.tolist(), strict=True)
    return torch.stack([torch.cat([row[:length].flip(0), row[length:]]) for row, length in pairs])


@given(
    cell=st.sampled_from(list(KERNELS)),
    direction=st.sampled_from(DIRECTIONS),
    layers=st.integers(1, 3),
    sizes=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    lengths=st.lists(st.integers(0, 6), min_size=1, max_size=5).filter(any),
    padding=st.integers(0, 2),
    seed=st.integers(0, 999),
)
@example(cell="lstm", direction="both", layers=3, sizes=(3, 4), lengths=[1, 6, 0, 4, 6], padding=2, seed=0)
@example(cell="gru", direction="both", layers=3, sizes=(3, 4), lengths=[0, 1, 1, 5], padding=0, seed=0)
@example(cell="lstm", direction="both", layers=2, sizes=(1, 1), lengths=[3, 3], padding=0, seed=0)
@example(cell="rnn_relu", direction="backward", layers=2, sizes=(2, 3), lengths=[5, 0, 1], padding=1, seed=0)
@settings(max_examples=80, deadline=None, derandomize=True)
def test_equals_the_packed_network(
    cell: str, direction: str, layers: int, sizes: tuple[int, int], lengths: list[int], padding: int, seed: int
) -> None:
    torch.manual_seed(seed)
    encoder = random_encoder(*sizes, cell=cell, layers=layers, direction=direction)
    twin, twin_weights = packed_twin(encoder, cell, layers, direction)
    x, counts = random_batch(lengths, sizes[0], max(lengths) + padding)
    x.requires_grad_()
    if direction == "backward":  # torch has no such network: the forward one over sequences turned round
        reference, final, state = run_packed(twin, turned(x, counts), counts)
        reference = turned(reference, counts)
    else:
        reference, final, state = run_packed(twin, x, counts)
    pull, pull_final = torch.randn_like(reference), torch.randn_like(final)
    expected = torch.autograd.grad((reference * pull).sum() + (final * pull_final).sum(), [x, *twin_weights])
    for return_state in (False, True):
        result = encoder(x, counts, return_state=return_state)
        found_final = last(encoder, result.outputs, counts)
        torch.testing.assert_close((result.outputs, found_final), (reference, final), **TIGHT)
        loss = (result.outputs * pull).sum() + (found_final * pull_final).sum()
        torch.testing.assert_close(gradients(loss, encoder, x), list(expected), **TIGHT)
    stacked = tuple(torch.stack(parts) for parts in zip(*result.state, strict=True))  # (h, c), each [layers, B, H]
    torch.testing.assert_close(stacked, state, **TIGHT)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("shape", [(3, 4), (3, 0), (0, 4), (0, 0)])
def test_nothing_to_read(cell: str, shape: tuple[int, int]) -> None:
    encoder = random_encoder(cell=cell, layers=2)
    x = torch.full((*shape, 3), torch.nan, dtype=torch.float64)
    lengths = torch.zeros(shape[0], dtype=torch.int64)
    result = encoder(x, lengths, return_state=True)
    assert torch.equal(result.outputs, x.new_zeros(*shape, encoder.output_size))
    assert torch.equal(last(encoder, result.outputs, lengths), x.new_zeros(shape[0], encoder.output_size))
    assert [[part.tolist() for part in parts] for parts in result.state] == [
        [[[0.0] * 4] * shape[0]] * len(layer.state_parts) for layer in encoder.layers
    ]


# --- padding and batch mates --------------------------------------------------------------------------------------

VARIANTS = [
    *({"cell": cell, "layers": 2, "concat": concat} for cell in CELLS for concat in CONCATS),
    *({"layers": 2, "concat": concat, "skip": skip} for skip in SKIPS[1:] for concat in CONCATS),
    {"direction": "backward", "layers": 2, "skip": "highway"},
]


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_no_value_depends_on_padding_or_batch_mates(options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    encoder = random_encoder(**options)
    x, lengths = random_batch([4, 1, 0, 6, 3], steps=8)
    pull = torch.randn(5, 8, encoder.output_size, dtype=torch.float64)
    pull_final = torch.randn(5, encoder.output_size, dtype=torch.float64)
    alone = []
    for row, length in enumerate(lengths.tolist()):  # each sequence by itself, nothing padded
        single = x[row : row + 1, :length].clone().requires_grad_()
        result = encoder(single, lengths[row : row + 1], return_state=True)
        final = last(encoder, result.outputs, lengths[row : row + 1])
        loss = (result.outputs * pull[row, :length]).sum() + (final * pull_final[row]).sum()
        weights = [torch.zeros_like(weight) for weight in encoder.parameters()]
        alone.append((result, final, *([single, weights] if length == 0 else _split(gradients(loss, encoder, single)))))
    for garbage in (0.0, 1e300, torch.inf, torch.nan):
        padded = x.clone()
        for row, length in enumerate(lengths.tolist()):
            padded[row, length:] = garbage
        padded.requires_grad_()
        result = encoder(padded, lengths)
        with torch.no_grad():
            carried = encoder(padded, lengths, return_state=True)
            torch.testing.assert_close(carried.outputs, result.outputs, **TIGHT)
        final = last(encoder, result.outputs, lengths)
        loss = (result.outputs * pull).sum() + (final * pull_final).sum()
        of_x, of_weights = _split(gradients(loss, encoder, padded))
        for row, length in enumerate(lengths.tolist()):
            single, single_final, of_single, _ = alone[row]
            torch.testing.assert_close(result.outputs[row, :length], single.outputs[0], **TIGHT)
            torch.testing.assert_close(final[row], single_final[0], **TIGHT)
            torch.testing.assert_close(of_x[row, :length], of_single[0], **TIGHT)
            assert not result.outputs[row, length:].any()
            assert not of_x[row, length:].any()
            for parts, single_parts in zip(carried.state, single.state, strict=True):
                for part, single_part in zip(parts, single_parts, strict=True):
                    torch.testing.assert_close(part[row], single_part[0], **TIGHT)
        summed = [sum(parts) for parts in zip(*(weights for *_, weights in alone), strict=True)]
        torch.testing.assert_close(of_weights, summed, **TIGHT)


def _split(values: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
    return values[0], values[1:]


# --- directions ---------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 6), min_size=1, max_size=5), st.integers(0, 2))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_reversal_is_each_sequence_s_own_and_its_own_inverse(lengths: list[int], padding: int) -> None:
    x, counts = random_batch(lengths, 2, max(lengths) + padding)
    assert torch.equal(reverse_by_length(x, counts), turned(x, counts))
    assert torch.equal(reverse_by_length(reverse_by_length(x, counts), counts), x)


@pytest.mark.parametrize("layers", [1, 3])
def test_what_reverses_a_layer_s_inputs_reverses_its_outputs(layers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is made and copied once a layer."""
    copies: list[list[int]] = []

    def copied(values: Tensor, device: torch.device) -> Tensor:
        copies.append(list(values.shape))
        return values

    monkeypatch.setattr("seqkit.nn.recurrent.layer.to_device", copied)
    x, lengths = random_batch([5, 7, 1, 4])
    random_encoder(layers=layers)(x, lengths)
    assert copies == [[4 * 7]] * layers


def swap_directions(encoder: Encoder, layers: int, concat: str) -> Encoder:
    """The same encoder with the weights of the two directions exchanged."""
    hidden = encoder.layers[0].hidden_size
    swapped = random_encoder(layers=layers, concat=concat)
    order = encoder.layers[layers:] + encoder.layers[:layers]
    if concat == "layerwise":
        order = [encoder.layers[number ^ 1] for number in range(2 * layers)]
    for number, (target, source) in enumerate(zip(swapped.layers, order, strict=True)):
        target.load_state_dict(source.state_dict())
        if (
            concat == "layerwise" and number > 1
        ):  # it reads both directions of the layer below: those are exchanged, too
            matrix = target.rnn.weight_ih_l0.data
            matrix.copy_(torch.cat([matrix[:, hidden:], matrix[:, :hidden]], 1))
    return swapped


@pytest.mark.parametrize("concat", CONCATS)
@pytest.mark.parametrize("layers", [1, 2, 3])
def test_reversing_the_input_swaps_the_directions(concat: str, layers: int) -> None:
    torch.manual_seed(1)
    encoder = random_encoder(layers=layers, concat=concat)
    x, lengths = random_batch([5, 7, 1, 0, 4])
    result = encoder(x, lengths)
    mirrored = swap_directions(encoder, layers, concat)(reverse_by_length(x, lengths), lengths)
    ahead, back = result.outputs.chunk(2, 2)
    expected = reverse_by_length(torch.cat([back, ahead], 2), lengths)
    torch.testing.assert_close(mirrored.outputs, expected, **TIGHT)
    finals = last(encoder, mirrored.outputs, lengths), last(encoder, result.outputs, lengths)
    torch.testing.assert_close(finals[0], torch.cat(finals[1].chunk(2, 1)[::-1], 1), **TIGHT)
    assert (encoder(reverse_by_length(x, lengths), lengths).outputs - expected).abs().max() > 1e-3


def half(encoder: Encoder, stack: int, **options: Any) -> Encoder:
    """One stack of an encoder whose directions meet at the top, as an encoder of its own."""
    single = random_encoder(direction=DIRECTIONS[stack], **options)
    single.stacks[0].load_state_dict(encoder.stacks[stack].state_dict())
    return single


@pytest.mark.parametrize("skip", SKIPS)
@pytest.mark.parametrize("cell", CELLS)
def test_joined_at_the_top_is_two_independent_stacks(cell: str, skip: str) -> None:
    torch.manual_seed(2)
    options: dict[str, Any] = {"cell": cell, "layers": 3, "skip": skip}
    encoder = random_encoder(concat="final", **options)
    x, lengths = random_batch([6, 0, 1, 4])
    result = encoder(x, lengths, return_state=True)
    halves = [half(encoder, stack, **options) for stack in (0, 1)]
    parts = [part(x, lengths, return_state=True) for part in halves]
    assert encoder.forward_size == parts[0].outputs.shape[2]
    torch.testing.assert_close(result.outputs, torch.cat([part.outputs for part in parts], 2), **TIGHT)
    finals = [last(part, found.outputs, lengths) for part, found in zip(halves, parts, strict=True)]
    torch.testing.assert_close(last(encoder, result.outputs, lengths), torch.cat(finals, 1), **TIGHT)
    torch.testing.assert_close(result.state, parts[0].state + parts[1].state, **TIGHT)


@pytest.mark.parametrize("skip", SKIPS)
def test_joined_at_the_top_neither_direction_sees_what_it_has_not_read(skip: str) -> None:
    torch.manual_seed(3)
    for concat in CONCATS:
        encoder = random_encoder(layers=2, concat=concat, skip=skip)
        x, lengths = random_batch([7, 5])
        changed = x.clone()
        changed[:, 3] += 1.0
        ahead, back = ((encoder(x, lengths).outputs - encoder(changed, lengths).outputs) != 0).split(
            [encoder.forward_size, encoder.output_size - encoder.forward_size], 2
        )
        if concat == "final":
            assert not ahead[:, :3].any()
            assert not back[:, 4:].any()
        else:  # the second layer has read both directions of the first
            assert ahead[:, :3].any()
        assert ahead[:, 3:].any(2)[0].all()
        assert back[:, :4].any(2).all()


# --- carried state ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("skip", SKIPS)
@pytest.mark.parametrize("direction", ["forward", "backward"])
@pytest.mark.parametrize("cell", CELLS)
def test_two_windows_with_the_state_equal_one_pass(cell: str, direction: str, skip: str) -> None:
    torch.manual_seed(4)
    encoder = random_encoder(cell=cell, layers=3, direction=direction, skip=skip)
    x, lengths = random_batch([9, 3, 4, 0, 5, 1, 9])  # sequences that end before, at and after the cut; and none
    cut = 4
    whole = encoder(x, lengths, return_state=True)
    windows = [(x[:, :cut], lengths.clamp(max=cut)), (x[:, cut:], (lengths - cut).clamp(min=0))]
    outputs: dict[int, Tensor] = {}
    state = None
    for number in (0, 1) if direction == "forward" else (1, 0):  # a backward reader comes from the right
        result = encoder(*windows[number], state, return_state=True)
        outputs[number], state = result.outputs, result.state
    torch.testing.assert_close(torch.cat([outputs[0], outputs[1]], 1), whole.outputs, **TIGHT)
    torch.testing.assert_close(state, whole.state, **TIGHT)


def test_state_survives_where_there_is_nothing_to_read() -> None:
    encoder = random_encoder(layers=2)
    _, state = encoder(*random_batch([3, 2]), return_state=True)
    nothing = torch.zeros(2, dtype=torch.int64)
    for steps in (0, 3):
        after = encoder(torch.randn(2, steps, 3, dtype=torch.float64), nothing, state, return_state=True).state
        torch.testing.assert_close(after, state, rtol=0, atol=0)


# --- windows of time ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("window", [1, 5, 16])
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("cell", CELLS)
def test_windows_of_time_give_what_one_piece_gives(
    cell: str, direction: str, window: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    for concat in CONCATS if direction == "both" else CONCATS[:1]:
        for skip in SKIPS:
            encoder = random_encoder(cell=cell, layers=2, direction=direction, concat=concat, skip=skip)
            x, lengths = random_batch([17, 17])
            start = tuple(
                tuple(torch.randint(0, 9, (2, 4)).double() for _ in layer.state_parts) for layer in encoder.layers
            )
            whole = encoder(x, lengths, start, return_state=True)  # gradients are wanted: always in one piece
            monkeypatch.setattr("seqkit.nn.recurrent.layer._WINDOW", window)
            with torch.no_grad():
                pieces = encoder(x, lengths, start, return_state=True)
            torch.testing.assert_close(pieces, whole, **TIGHT)


@pytest.mark.parametrize("grad", [True, False])
def test_no_layer_sees_more_than_a_window_unless_a_gradient_is_wanted(
    grad: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seqkit.nn.recurrent.layer._WINDOW", 8)
    encoder = random_encoder(layers=2, direction="both")
    seen: list[int] = []
    for layer in encoder.layers:
        layer.register_forward_pre_hook(lambda _, given: seen.append(given[0].shape[1]))
    with torch.set_grad_enabled(grad):
        encoder(*random_batch([20]))
    assert seen == ([20] * 4 if grad else [8, 8, 4, 4, 8, 8] * 2)


def test_windows_share_one_mask_of_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = random_encoder(cell="gru", layers=1, direction="forward", weight_dropout=0.5)
    x, lengths = random_batch([20])
    found = []
    for window in (100, 3):
        monkeypatch.setattr("seqkit.nn.recurrent.layer._WINDOW", window)
        torch.manual_seed(1)
        with torch.no_grad():
            found.append(encoder(x, lengths).outputs)
    torch.testing.assert_close(*found, **TIGHT)
