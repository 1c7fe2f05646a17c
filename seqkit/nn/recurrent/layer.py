"""The base class of recurrent layers, and one layer over a padded batch in one direction.

Padding comes last in either direction: backward, each sequence is reversed by its own length. Without gradients a long
sequence is processed in windows of time with the state carried from one to the next, starting from the end if the
layer reads backward. The result equals that of one piece, but gates, which take several times the memory of the
outputs, exist for one window at a time only.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise, starmap
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from seqkit.nn.sequences import to_device

State = tuple[Tensor, ...]

INITS = ("auto", "orthogonal", "identity", "xavier", "uniform")


class RecurrentLayer(nn.Module):
    r"""One recurrent layer in one direction: :math:`(x [B, T, I], \text{state}) → (h_1 … h_T [B, T, H], \text{state})`.

    Args:
        input_size: I, the features of a step.
        hidden_size: H, the features of the state.
        weight_dropout: the probability of dropping a connection between the states of two steps (DropConnect: Wan et
            al. 2013; on recurrent weights: Merity, Keskar & Socher 2018). During training each call of `forward` draws
            one mask of the recurrent matrices for all its steps and sequences, unless masked matrices are passed.
        init: the initialisation of the recurrent matrices, one of `INITS`; see `reset_parameters`. Without recurrent
            matrices only ``uniform`` has an effect.
        init_gain: the factor by which their initial values are multiplied; the spectral radius of an orthogonal or
            identity matrix.
        forget_bias: the initial bias of the forget gates, if the cell has any. 1 lets a cell remember until it learns
            to forget (Gers, Schmidhuber & Cummins 2000; Jozefowicz, Zaremba & Sutskever 2015).

    Attributes:
        output_size: the size of an output, H.
        state_parts: the names of the parts of the state, a tensor [B, H] each, or of another of the `state_sizes`.
        counters: those of them that count steps: they are not features, and no gradient flows through them.
        given: those of them that no step can do without, and that whoever uses the layer sets first.
        forgets: whether the state can lose what was read. A state that cannot is not carried along a stream, where it
            would grow without limit.

    Raises:
        ValueError: `weight_dropout` is not a probability below 1, `init` is unknown, or the cell has no recurrent
            weights to drop.
    """

    state_parts: tuple[str, ...] = ("h",)
    counters: tuple[str, ...] = ()
    given: tuple[str, ...] = ()
    forgets = True
    own_init = "orthogonal"
    """what ``auto`` means"""
    blocks = 1
    """how many blocks of H rows, one for each gate or candidate, the weights have"""
    forget_block: int | None = None
    """which of them is the forget gate"""
    weight_names = ("weight_ih", "weight_hh", "bias")
    """the names of the parameters W, U and b"""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        weight_dropout: float = 0.0,
        init: str = "auto",
        init_gain: float = 1.0,
        forget_bias: float = 1.0,
    ) -> None:
        super().__init__()
        if not 0.0 <= weight_dropout < 1.0:
            raise ValueError(f"expected a weight_dropout in 0 ≤ p < 1, found {weight_dropout}")
        if init not in INITS:
            raise ValueError(f"expected an init among {', '.join(INITS)}, found {init!r}")
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.output_size = hidden_size
        self.weight_dropout = weight_dropout
        self.init = self.own_init if init == "auto" else init
        self.init_gain = init_gain
        self.forget_bias = forget_bias

    @property
    def state_sizes(self) -> tuple[int, ...]:
        """The features of each part of the state: H."""
        return (self.hidden_size,) * len(self.state_parts)

    # --- initialisation -----------------------------------------------------------------------------------------

    def recurrent_weight(self) -> Tensor | None:
        """All recurrent matrices as the one tensor that `forward` accepts instead; None if the cell has none."""
        return self.get_parameter(self.weight_names[1])

    def recurrent_matrices(self) -> Sequence[Tensor]:
        """The weights of the previous state, a matrix [H or fewer, H or fewer] for each gate."""
        weight = self.recurrent_weight()
        return () if weight is None else weight.chunk(self.blocks)

    def input_matrices(self) -> Sequence[Tensor]:
        """The weights of the input, a matrix [H, I] for each gate."""
        return self.get_parameter(self.weight_names[0]).chunk(self.blocks)

    def forget_biases(self) -> Sequence[Tensor]:
        """The biases [H] of forget gates."""
        if self.forget_block is None:
            return ()
        return (self.get_parameter(self.weight_names[2]).chunk(self.blocks)[self.forget_block],)

    @torch.no_grad()
    def reset_parameters(self) -> None:
        r"""Initialise recurrent matrices by `init`, input matrices Xavier-uniform, the rest with zeros, forget biases.

        Each gate's matrix is initialised separately. ``orthogonal`` (Saxe, McClelland & Ganguli 2014): all singular
        values are one, so that a linear recurrence neither shrinks nor stretches the state; ``identity`` (Le, Jaitly &
        Hinton 2015); ``xavier``: uniform in :math:`\pm\sqrt{6 / (\text{rows} + \text{columns})}` (Glorot & Bengio
        2010); ``uniform``: every weight of the layer in :math:`\pm 1/\sqrt{H}`.
        """
        if any(parameter.is_meta for parameter in self.parameters()):
            return  # torch's meta device: no memory to fill
        for parameter in self.parameters():
            parameter.zero_()
        if self.init == "uniform":
            bound = self.hidden_size**-0.5
            for parameter in self.parameters():
                parameter.uniform_(-bound, bound)
        else:
            fill = {"orthogonal": nn.init.orthogonal_, "identity": nn.init.eye_, "xavier": nn.init.xavier_uniform_}
            for matrix in self.recurrent_matrices():
                fill[self.init](matrix)
            for matrix in self.input_matrices():
                self.reset_input(matrix)
        for matrix in self.recurrent_matrices():
            matrix.mul_(self.init_gain)
        for bias in self.forget_biases():
            bias.fill_(self.forget_bias)

    def reset_input(self, matrix: Tensor) -> None:
        """Fill one gate's input matrix, [H, I]."""
        nn.init.xavier_uniform_(matrix)

    # --- use ----------------------------------------------------------------------------------------------------

    def begin(self, x: Tensor, state: State | None, dtype: torch.dtype) -> State:
        """The state before the first step, in the precision in which the cell keeps it; zeros if `state` is None."""
        state = self.initial_state(x.shape[0], x) if state is None else state
        return tuple(part.to(dtype) for part in state)

    def initial_state(self, batch_size: int, like: Tensor) -> State:
        """The state before the first step: zeros.

        Args:
            batch_size: B.
            like: a tensor whose device and dtype the state takes.

        Returns:
            One tensor [B, H] for each name in `state_parts`, or of another of the `state_sizes`.
        """
        return tuple(like.new_zeros(batch_size, size) for size in self.state_sizes)

    def dropped(self) -> Tensor | None:
        """Draw a mask of the recurrent matrices that several calls of `forward` can share.

        Returns:
            The matrices with some connections set to zero; None without weight dropout and outside training.
        """
        weight = self.recurrent_weight() if self.training and self.weight_dropout else None
        return None if weight is None else functional.dropout(weight, self.weight_dropout)

    def forward(self, x: Tensor, state: State | None = None, recurrent: Tensor | None = None) -> tuple[Tensor, State]:
        """Run the cell over a whole batch of sequences.

        Args:
            x: inputs, [B, T, I], T ≥ 1.
            state: the state before the first step, a tuple of [B, H]; zeros by default.
            recurrent: the result of `dropped`, which is called by default.

        Returns:
            The outputs h_1 … h_T, [B, T, H], and the state after the last step.
        """
        raise NotImplementedError  # pragma: no cover - every cell overrides it

    def gates(self, x: Tensor, state: State | None = None) -> dict[str, Tensor]:
        """The activations of the cell's gates over a sequence, without dropout.

        Args:
            x: inputs, [B, T, I], T ≥ 1.
            state: the state before the first step; zeros by default.

        Returns:
            The name of each gate with its activations in 0 … 1, [B, T, H]; empty for a cell without gates.
        """
        return {}


# --- one layer in one direction -----------------------------------------------------------------------------------

_WINDOW = 1 << 13
"""steps that a layer processes in one piece if no gradient is needed"""


def reverse_by_length(x: Tensor, lengths: Tensor) -> Tensor:
    """Reverse each sequence within its own length; padding stays where it is.

    Args:
        x: sequences, [B, T, D].
        lengths: their lengths, [B], on the CPU.

    Returns:
        The reversed sequences, [B, T, D]. Applying it twice gives `x`.
    """
    return _reversed(x, _mirror(lengths, x))


def _mirror(lengths: Tensor, x: Tensor) -> Tensor | None:
    """Where each step of all rows stands when every sequence is reversed, int64 [B · T]; None if all are equally long.

    Sequences `x`, [B, T, …], say on which device it is needed.
    """
    steps = x.shape[1]
    if bool((lengths == steps).all()):
        return None
    positions = torch.arange(steps).unsqueeze(0)  # [1, T]
    mirrored = lengths.unsqueeze(1) - 1 - positions  # [B, T]
    index = torch.where(mirrored >= 0, mirrored, positions)  # [B, T]
    index += torch.arange(len(lengths)).unsqueeze(1) * steps  # among all rows
    return to_device(index.flatten(), x.device)


def _reversed(x: Tensor, mirror: Tensor | None) -> Tensor:
    """Sequences, [B, T, D], in the order that `_mirror` gives."""
    if mirror is None:
        return x.flip(1)
    rows: Tensor = _Permutation.apply(x.flatten(0, 1), mirror)  # type: ignore[no-untyped-call]
    return rows.view_as(x)  # [B, T, D]


class _Permutation(torch.autograd.Function):
    """Rows in another order that is its own inverse: several times as fast as `gather`, in the backward pass too."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, order: Tensor) -> Tensor:
        ctx.save_for_backward(order)
        return rows.index_select(0, order)  # [N, D]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return _Permutation.apply(gradient, ctx.saved_tensors[0]), None  # type: ignore[no-untyped-call]


def run_layer(
    layer: RecurrentLayer, x: Tensor, lengths: Tensor, state: State | None, backward: bool, return_state: bool
) -> tuple[Tensor, State]:
    """Run one layer in one direction.

    Args:
        layer: the layer.
        x: inputs, [B, T, I].
        lengths: steps of each sequence, int64 [B], on the CPU.
        state: the state before the first step in the layer's direction; zeros by default.
        backward: from the last step to the first.
        return_state: whether the state is needed: each sequence's own last one, in spite of padding.

    Returns:
        Outputs, [B, T, H], and the state.
    """
    batch, steps, _ = x.shape
    equal = bool((lengths == steps).all())
    if equal and steps > _WINDOW and not torch.is_grad_enabled():
        rows = torch.arange(batch, device=x.device)
        windows = [(rows, slice(begin, begin + _WINDOW)) for begin in range(0, steps, _WINDOW)]
        return _run_pieces(layer, x, state, reversed(windows) if backward else windows, flip=backward)
    mirror = _mirror(lengths, x) if backward else None  # of inputs and outputs alike
    if backward:
        x = _reversed(x, mirror)  # [B, T, I]
    if return_state and not equal:  # in pieces between the distinct lengths, so that each state stops at its own end
        ends = [0, *(int(length) for length in lengths.unique() if length > 0)]
        longer = [to_device((lengths >= end).nonzero().squeeze(1), x.device) for end in ends[1:]]  # each [R]
        pieces = zip(longer, starmap(slice, pairwise(ends)), strict=True)
        outputs, state = _run_pieces(layer, x, state, pieces, flip=False)  # [B, T, H]
    else:
        outputs, state = layer(x, state)  # [B, T, H]
    return (_reversed(outputs, mirror) if backward else outputs), state


def _run_pieces(
    layer: RecurrentLayer, x: Tensor, state: State | None, pieces: Iterable[tuple[Tensor, slice]], flip: bool
) -> tuple[Tensor, State]:
    """Run a layer piece by piece, each from the state that its rows have so far.

    Args:
        layer: the layer.
        x: inputs, [B, T, I].
        state: the state before the first piece; zeros by default.
        pieces: rows, int64 [R], and the steps of each piece.
        flip: whether the steps of a piece are taken in reverse.

    Returns:
        Outputs, [B, T, H], zero outside the pieces, and the state.
    """
    batch, steps, _ = x.shape
    state = layer.initial_state(batch, x) if state is None else state
    outputs: Tensor | None = None
    recurrent = layer.dropped()  # one mask for all pieces
    for rows, window in pieces:
        piece = x[rows, window]  # [R, W, I]
        before = tuple(part[rows] for part in state)
        piece, after = layer(piece.flip(1) if flip else piece, before, recurrent)  # [R, W, H]
        if outputs is None:  # in the precision of the layer's own outputs
            outputs = piece.new_zeros(batch, steps, layer.output_size)  # [B, T, H]
        outputs[rows, window] = piece.flip(1) if flip else piece
        state = tuple(part.to(new.dtype).index_copy(0, rows, new) for part, new in zip(state, after, strict=True))
    return x.new_zeros(batch, steps, layer.output_size) if outputs is None else outputs, state
