r"""One recurrent layer in one direction: the equation of a cell, unrolled over time.

Every layer is called as ``(x [B, T, I], state) → (outputs [B, T, H], state)``. A state is a tuple of tensors
[B, H], one for each thing the cell remembers: ``(h,)``, or ``(h, c)`` for the LSTM. `CELLS` has one row a cell.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["CELLS", "RecurrentLayer", "State", "make_layer"]

State = tuple[Tensor, ...]


class RecurrentLayer(nn.Module):
    """What every recurrent layer offers: its sizes, the parts of its state, and `forward`.

    Args:
        input_size: I, the features of a step.
        hidden_size: H, the features of the state.
        weight_dropout: the probability of dropping a connection between the states of two steps (DropConnect: Wan et
            al. 2013; on recurrent weights: Merity, Keskar & Socher 2018). While training each call of `forward` draws
            one mask of the recurrent matrices for all its steps and sequences, unless it is given them.

    Raises:
        ValueError: `weight_dropout` is no probability below 1.
    """

    state_parts: tuple[str, ...] = ("h",)

    def __init__(self, input_size: int, hidden_size: int, *, weight_dropout: float = 0.0) -> None:
        super().__init__()
        if not 0.0 <= weight_dropout < 1.0:
            raise ValueError(f"expected a weight_dropout in 0 ≤ p < 1, found {weight_dropout}")
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.weight_dropout = weight_dropout

    def initial_state(self, batch_size: int, like: Tensor) -> State:
        """The state before the first step: zeros.

        Args:
            batch_size: B.
            like: a tensor whose device and dtype the state takes.

        Returns:
            One tensor [B, H] for each name in `state_parts`.
        """
        return tuple(like.new_zeros(batch_size, self.hidden_size) for _ in self.state_parts)

    def dropped(self) -> Tensor | None:
        """Draw a mask of the recurrent matrices, for calls of `forward` that are to share it.

        Returns:
            The matrices without the connections that were dropped; None where none are: without weight dropout, and
            outside training.
        """
        raise NotImplementedError  # pragma: no cover - every row of CELLS overrides it

    def forward(self, x: Tensor, state: State | None = None, recurrent: Tensor | None = None) -> tuple[Tensor, State]:
        """Run the cell over a whole batch of sequences.

        Args:
            x: inputs, [B, T, I], T ≥ 1.
            state: the state before the first step, a tuple of [B, H]; zeros by default.
            recurrent: what `dropped` gave; by default it is asked.

        Returns:
            The outputs h_1 … h_T, [B, T, H], and the state after the last step.
        """
        raise NotImplementedError  # pragma: no cover - every row of CELLS overrides it


class FusedLayer(RecurrentLayer):
    """A layer run by torch's fused kernels (oneDNN on a CPU, cuDNN on a GPU)."""

    gates = 1
    kernel: Callable[..., nn.RNNBase]

    def __init__(self, input_size: int, hidden_size: int, *, weight_dropout: float = 0.0) -> None:
        super().__init__(input_size, hidden_size, weight_dropout=weight_dropout)
        self.rnn = type(self).kernel(input_size, hidden_size, batch_first=True)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Orthogonal recurrent matrices, Xavier-uniform input matrices (each gate by itself), zero biases.

        Orthogonal: Saxe et al. 2014; its eigenvalues have modulus one, so that gradients neither vanish nor explode
        through the recurrence at the start. Xavier: Glorot & Bengio 2010.
        """
        weights = dict(self.rnn.named_parameters())
        for gate in weights["weight_hh_l0"].chunk(self.gates):  # [H, H]
            nn.init.orthogonal_(gate)
        for gate in weights["weight_ih_l0"].chunk(self.gates):  # [H, I]
            nn.init.xavier_uniform_(gate)
        nn.init.zeros_(weights["bias_ih_l0"])
        nn.init.zeros_(weights["bias_hh_l0"])

    def dropped(self) -> Tensor | None:
        """See `RecurrentLayer.dropped`; [gates · H, H]."""
        if not (self.training and self.weight_dropout):
            return None
        return functional.dropout(self.rnn.get_parameter("weight_hh_l0"), self.weight_dropout)  # [gates · H, H]

    def forward(self, x: Tensor, state: State | None = None, recurrent: Tensor | None = None) -> tuple[Tensor, State]:
        """See `RecurrentLayer.forward`."""
        initial = None if state is None else tuple(part.unsqueeze(0).contiguous() for part in state)  # each [1, B, H]
        recurrent = self.dropped() if recurrent is None else recurrent
        outputs, *final = self._kernel(x, initial, recurrent)  # [B, T, H], each [1, B, H]
        return outputs, tuple(part.squeeze(0) for part in final)

    def _kernel(self, x: Tensor, initial: State | None, recurrent: Tensor | None) -> tuple[Tensor, ...]:
        """Outputs and the parts of the last state."""
        if recurrent is not None:
            if initial is None:
                initial = tuple(part.unsqueeze(0) for part in self.initial_state(x.shape[0], x))
            return self._dropped_kernel(x, initial, recurrent)
        outputs, final = self.rnn(x, initial if initial is None or len(self.state_parts) > 1 else initial[0])
        return (outputs, *final) if len(self.state_parts) > 1 else (outputs, final)

    def _dropped_kernel(self, x: Tensor, initial: State, recurrent: Tensor) -> tuple[Tensor, ...]:
        """What `self.rnn` computes, with another recurrent matrix than its own."""
        own: dict[str, Tensor] = {**dict(self.rnn.named_parameters()), "weight_hh_l0": recurrent}
        weights = list(own.values())
        if x.is_cuda:  # cuDNN wants its weights one after another in memory, and warns where it has to move them
            together = torch.cat([weight.flatten() for weight in weights])
            parts = together.split([weight.numel() for weight in weights])
            weights = [part.view_as(weight) for part, weight in zip(parts, weights, strict=True)]
        function: Any = getattr(torch._VF, self.rnn.mode.lower())
        first = initial if len(self.state_parts) > 1 else initial[0]
        # with biases, one layer, no dropout between layers, training, one direction, batch first
        result: tuple[Tensor, ...] = function(x, first, weights, True, 1, 0.0, True, False, True)
        return result


class TanhRNN(FusedLayer):
    r"""The simple recurrent network with tanh (Elman 1990, "Finding structure in time").

    .. math:: h_t = \tanh(W x_t + b + U h_{t-1} + b')

    Parameters: :math:`H(I + H + 2)`.
    """

    kernel = staticmethod(lambda *args, **kwargs: nn.RNN(*args, nonlinearity="tanh", **kwargs))


class ReluRNN(FusedLayer):
    r"""The simple recurrent network with rectified linear units.

    .. math:: h_t = \max(0, W x_t + b + U h_{t-1} + b')

    Parameters: :math:`H(I + H + 2)`.
    """

    kernel = staticmethod(lambda *args, **kwargs: nn.RNN(*args, nonlinearity="relu", **kwargs))


class GRU(FusedLayer):
    r"""The gated recurrent unit (Cho et al. 2014, "Learning phrase representations using RNN encoder–decoder").

    .. math::
        r_t &= \sigma(W_r x_t + b_r + U_r h_{t-1} + b'_r) \\
        z_t &= \sigma(W_z x_t + b_z + U_z h_{t-1} + b'_z) \\
        n_t &= \tanh(W_n x_t + b_n + r_t \odot (U_n h_{t-1} + b'_n)) \\
        h_t &= (1 - z_t) \odot n_t + z_t \odot h_{t-1}

    The reset gate acts after the recurrent product, as torch's and cuDNN's kernels have it.
    Parameters: :math:`3H(I + H + 2)`.
    """

    gates = 3
    kernel = nn.GRU


class LSTM(FusedLayer):
    r"""Long short-term memory with a forget gate (Hochreiter & Schmidhuber 1997; Gers, Schmidhuber & Cummins 2000).

    .. math::
        i_t &= \sigma(W_i x_t + b_i + U_i h_{t-1} + b'_i) \\
        f_t &= \sigma(W_f x_t + b_f + U_f h_{t-1} + b'_f) \\
        g_t &= \tanh(W_g x_t + b_g + U_g h_{t-1} + b'_g) \\
        o_t &= \sigma(W_o x_t + b_o + U_o h_{t-1} + b'_o) \\
        c_t &= f_t \odot c_{t-1} + i_t \odot g_t \\
        h_t &= o_t \odot \tanh(c_t)

    The forget gate's bias starts at 1, so that the cell remembers until it learns to forget (Jozefowicz, Zaremba &
    Sutskever 2015). Parameters: :math:`4H(I + H + 2)`.
    """

    gates = 4
    kernel = nn.LSTM
    state_parts = ("h", "c")

    def reset_parameters(self) -> None:
        """As every fused layer, and a forget-gate bias of 1."""
        super().reset_parameters()
        bias = dict(self.rnn.named_parameters())["bias_ih_l0"]  # [4 H]; the other bias stays zero, so their sum is 1
        with torch.no_grad():
            bias[self.hidden_size : 2 * self.hidden_size].fill_(1.0)


CELLS: dict[str, type[RecurrentLayer]] = {
    "lstm": LSTM,
    "gru": GRU,
    "rnn_tanh": TanhRNN,
    "rnn_relu": ReluRNN,
}


def make_layer(cell: str, input_size: int, hidden_size: int, *, weight_dropout: float = 0.0) -> RecurrentLayer:
    """Build the layer that `CELLS` has under a name.

    Args:
        cell: a key of `CELLS`.
        input_size: I.
        hidden_size: H.
        weight_dropout: see `RecurrentLayer`.

    Returns:
        The layer, initialised.

    Raises:
        ValueError: no such cell, or `weight_dropout` is no probability below 1.
    """
    if cell not in CELLS:
        raise ValueError(f"expected a cell among {', '.join(CELLS)}, found {cell!r}")
    return CELLS[cell](input_size, hidden_size, weight_dropout=weight_dropout)
