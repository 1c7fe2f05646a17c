"""What every recurrent layer offers: its sizes, the parts of its state, how its weights begin, and `forward`."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["INITS", "RecurrentLayer", "State"]

State = tuple[Tensor, ...]

INITS = ("auto", "orthogonal", "identity", "xavier", "uniform")


class RecurrentLayer(nn.Module):
    r"""One recurrent layer in one direction: :math:`(x [B, T, I], \text{state}) → (h_1 … h_T [B, T, H], \text{state})`.

    Args:
        input_size: I, the features of a step.
        hidden_size: H, the features of the state.
        weight_dropout: the probability of dropping a connection between the states of two steps (DropConnect: Wan et
            al. 2013; on recurrent weights: Merity, Keskar & Socher 2018). While training each call of `forward` draws
            one mask of the recurrent matrices for all its steps and sequences, unless it is given them.
        init: how the recurrent matrices begin, one of `INITS`; see `reset_parameters`. A cell without any can only use
            ``uniform``.
        init_gain: what they are multiplied by; the spectral radius of an orthogonal or identity matrix.
        forget_bias: the bias of a forget gate at the beginning. 1 lets a cell remember until it learns to forget
            (Gers, Schmidhuber & Cummins 2000; Jozefowicz, Zaremba & Sutskever 2015). Cells without one have no use for
            it.

    Attributes:
        state_parts: the names of what the cell remembers, a tensor [B, H] each.
        counters: those of them that count steps: they are no features, and no gradient flows through them.
        forgets: whether what was read can be lost. What cannot is not carried along a stream, where it grows for ever.

    Raises:
        ValueError: `weight_dropout` is no probability below 1, `init` has none of its values, or the cell has no
            recurrent weights to drop.
    """

    state_parts: tuple[str, ...] = ("h",)
    counters: tuple[str, ...] = ()
    forgets = True
    own_init = "orthogonal"
    """what ``auto`` means"""

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
        self.weight_dropout = weight_dropout
        self.init = self.own_init if init == "auto" else init
        self.init_gain = init_gain
        self.forget_bias = forget_bias

    @property
    def output_size(self) -> int:
        """The features of an output: H."""
        return self.hidden_size

    # --- how the weights begin ----------------------------------------------------------------------------------

    def recurrent_matrices(self) -> Sequence[Tensor]:
        """The part of the weights that meets the state before, a matrix [H or fewer, H or fewer] for each gate."""
        raise NotImplementedError  # pragma: no cover - every cell overrides it

    def input_matrices(self) -> Sequence[Tensor]:
        """The part of the weights that meets the input, a matrix [H, I] for each gate."""
        raise NotImplementedError  # pragma: no cover - every cell overrides it

    def forget_biases(self) -> Sequence[Tensor]:
        """The biases [H] of forget gates; none by default."""
        return ()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        r"""Begin anew: recurrent matrices by `init`, input matrices Xavier-uniform, all else zero, forget gates biased.

        Each gate's matrix by itself. ``orthogonal`` (Saxe, McClelland & Ganguli 2014): all singular values are one, so
        that a linear recurrence neither shrinks nor stretches what it carries; ``identity`` (Le, Jaitly & Hinton
        2015); ``xavier``: uniform in :math:`\pm\sqrt{6 / (\text{rows} + \text{columns})}` (Glorot & Bengio 2010);
        ``uniform``: every weight of the layer in :math:`\pm 1/\sqrt{H}`.
        """
        if any(parameter.is_meta for parameter in self.parameters()):
            return  # without memory there is nothing to fill: weights follow, see seqkit.model.restoring
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
        """The state before the first step, in the precision that it is remembered in; zeros where none is given."""
        state = self.initial_state(x.shape[0], x) if state is None else state
        return tuple(part.to(dtype) for part in state)

    def initial_state(self, batch_size: int, like: Tensor) -> State:
        """The state before the first step: zeros.

        Args:
            batch_size: B.
            like: a tensor whose device and dtype the state takes.

        Returns:
            One tensor [B, H] for each name in `state_parts`.
        """
        return tuple(like.new_zeros(batch_size, self.hidden_size) for _ in self.state_parts)

    def recurrent_weight(self) -> Tensor | None:
        """All recurrent matrices in the one tensor that `forward` takes in their place; None for none."""
        raise NotImplementedError  # pragma: no cover - every cell overrides it

    def dropped(self) -> Tensor | None:
        """Draw a mask of the recurrent matrices, for calls of `forward` that are to share it.

        Returns:
            The matrices without the connections that were dropped; None where none are: without weight dropout, and
            outside training.
        """
        weight = self.recurrent_weight() if self.training and self.weight_dropout else None
        return None if weight is None else functional.dropout(weight, self.weight_dropout)

    def forward(self, x: Tensor, state: State | None = None, recurrent: Tensor | None = None) -> tuple[Tensor, State]:
        """Run the cell over a whole batch of sequences.

        Args:
            x: inputs, [B, T, I], T ≥ 1.
            state: the state before the first step, a tuple of [B, H]; zeros by default.
            recurrent: what `dropped` gave; by default it is asked.

        Returns:
            The outputs h_1 … h_T, [B, T, H], and the state after the last step.
        """
        raise NotImplementedError  # pragma: no cover - every cell overrides it

    def gates(self, x: Tensor, state: State | None = None) -> dict[str, Tensor]:
        """What the gates of the cell do over a sequence, without dropout.

        Args:
            x: inputs, [B, T, I], T ≥ 1.
            state: the state before the first step; zeros by default.

        Returns:
            The name of each gate with its activations in 0 … 1, [B, T, H]; nothing for a cell without gates.
        """
        return {}
