"""One recurrent layer over a padded batch in one direction, the sequences of one length or of several.

Padding comes last in either direction: backward is each sequence reversed by its own length. Without gradients a long
sequence goes through in windows of time, the state carried from one to the next, from the end on where the layer reads
backward: the result is that of one piece, and of gates, which take several times as much as outputs, there are never
more than a window's.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from seqkit.nn.device import to_device
from seqkit.nn.recurrent import RecurrentLayer, State

__all__ = ["reverse_by_length", "run_layer"]

_WINDOW = 1 << 13
"""steps that a layer takes in one piece where no gradient is wanted"""


def reverse_by_length(x: Tensor, lengths: Tensor) -> Tensor:
    """Reverse each sequence within its own length; padding stays where it is.

    Args:
        x: sequences, [B, T, D].
        lengths: their lengths, [B], on the CPU.

    Returns:
        The reversed sequences, [B, T, D]. Applying it twice gives `x`.
    """
    steps = x.shape[1]
    if bool((lengths == steps).all()):
        return x.flip(1)
    positions = torch.arange(steps).unsqueeze(0)  # [1, T]
    mirrored = lengths.unsqueeze(1) - 1 - positions  # [B, T]
    index = torch.where(mirrored >= 0, mirrored, positions)  # [B, T]
    index += torch.arange(len(lengths)).unsqueeze(1) * steps  # among all rows
    rows: Tensor = _Swap.apply(x.flatten(0, 1), to_device(index.flatten(), x.device))  # type: ignore[no-untyped-call]
    return rows.view_as(x)  # [B, T, D]


class _Swap(torch.autograd.Function):
    """Rows in another order, one that is its own inverse: several times as fast as `gather`, backwards too."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, order: Tensor) -> Tensor:
        ctx.save_for_backward(order)
        return rows.index_select(0, order)  # [N, D]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return _Swap.apply(gradient, ctx.saved_tensors[0]), None  # type: ignore[no-untyped-call]


def run_layer(
    layer: RecurrentLayer, x: Tensor, lengths: Tensor, state: State | None, backward: bool, carry: bool
) -> tuple[Tensor, State]:
    """Run one layer in one direction.

    Args:
        layer: the layer.
        x: inputs, [B, T, I].
        lengths: steps of each sequence, int64 [B], on the CPU.
        state: the state before the first step that is taken; zeros by default.
        backward: from the last step to the first.
        carry: whether the state is wanted: each sequence's own last, whatever the padding.

    Returns:
        Outputs, [B, T, H], and the state.
    """
    equal = bool((lengths == x.shape[1]).all())
    if equal and x.shape[1] > _WINDOW and not torch.is_grad_enabled():
        return _run_in_windows(layer, x, state, backward)
    if backward:
        x = reverse_by_length(x, lengths)  # [B, T, I]
    ragged = carry and not equal
    outputs, state = _run_ragged(layer, x, lengths, state) if ragged else layer(x, state)  # [B, T, H]
    return (reverse_by_length(outputs, lengths) if backward else outputs), state


def _run_in_windows(layer: RecurrentLayer, x: Tensor, state: State | None, backward: bool) -> tuple[Tensor, State]:
    """Run in windows of time, each from the state that the one before it ended in."""
    steps = x.shape[1]
    outputs: Tensor | None = None
    recurrent = layer.dropped()  # one mask for all windows
    begins = range(0, steps, _WINDOW)
    for begin in reversed(begins) if backward else begins:
        window = slice(begin, min(steps, begin + _WINDOW))
        piece, state = layer(x[:, window].flip(1) if backward else x[:, window], state, recurrent)  # [B, W, H]
        if outputs is None:  # in the precision that the layer has by itself
            outputs = piece.new_empty(x.shape[0], steps, layer.output_size)  # [B, T, H]
        outputs[:, window] = piece.flip(1) if backward else piece
    assert outputs is not None and state is not None
    return outputs, state


def _run_ragged(layer: RecurrentLayer, x: Tensor, lengths: Tensor, state: State | None) -> tuple[Tensor, State]:
    """Run in pieces between the distinct lengths, so that every sequence's state stops at its own last step."""
    state = layer.initial_state(x.shape[0], x) if state is None else state
    outputs: Tensor | None = None
    cuts = [0, *(int(length) for length in lengths.unique() if length > 0)]
    recurrent = layer.dropped()  # one mask for all pieces
    for begin, end in pairwise(cuts):
        rows = to_device((lengths >= end).nonzero().squeeze(1), x.device)  # [R]
        before = tuple(part[rows] for part in state)
        piece, after = layer(x[rows, begin:end], before, recurrent)  # [R, end − begin, H]
        if outputs is None:  # in the precision that the layer has by itself
            outputs = piece.new_zeros(x.shape[0], x.shape[1], layer.output_size)  # [B, T, H]
        outputs[rows, begin:end] = piece
        state = tuple(part.to(new.dtype).index_copy(0, rows, new) for part, new in zip(state, after, strict=True))
    return x.new_zeros(x.shape[0], x.shape[1], layer.output_size) if outputs is None else outputs, state
