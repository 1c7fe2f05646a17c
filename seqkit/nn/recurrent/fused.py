"""Cells that torch has fused kernels for: simple recurrent networks, GRU, LSTM."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from seqkit.nn.recurrent.layer import RecurrentLayer, State

__all__ = ["GRU", "LSTM", "FusedLayer", "IdentityRNN", "ReluRNN", "TanhRNN"]


class FusedLayer(RecurrentLayer):
    """A layer run by torch's fused kernels (oneDNN on a CPU, cuDNN on a GPU)."""

    blocks = 1
    """how many gates' matrices stand on top of each other"""
    gate_names: tuple[str | None, ...] = (None,)
    """the name of each block that is a gate"""
    kernel: Callable[..., nn.RNNBase]

    def __init__(self, input_size: int, hidden_size: int, **options: Any) -> None:
        super().__init__(input_size, hidden_size, **options)
        self.rnn = type(self).kernel(input_size, hidden_size, batch_first=True)
        self.reset_parameters()

    def recurrent_matrices(self) -> Sequence[Tensor]:
        """See `RecurrentLayer.recurrent_matrices`."""
        return self.recurrent_weight().chunk(self.blocks)

    def input_matrices(self) -> Sequence[Tensor]:
        """See `RecurrentLayer.input_matrices`."""
        return self.rnn.get_parameter("weight_ih_l0").chunk(self.blocks)

    @torch.no_grad()
    def gates(self, x: Tensor, state: State | None = None) -> dict[str, Tensor]:
        """See `RecurrentLayer.gates`; all steps at once, since what each sees is among the outputs."""
        if not any(self.gate_names):
            return {}
        state = self.initial_state(x.shape[0], x) if state is None else state
        outputs = self._kernel(x, tuple(part.unsqueeze(0).contiguous() for part in state), None)[0]  # [B, T, H]
        before = torch.cat([state[0].unsqueeze(1), outputs[:, :-1]], 1)  # [B, T, H]
        weights = dict(self.rnn.named_parameters())
        sums = functional.linear(x, weights["weight_ih_l0"], weights["bias_ih_l0"]) + functional.linear(
            before, weights["weight_hh_l0"], weights["bias_hh_l0"]
        )  # [B, T, blocks · H]
        found = zip(self.gate_names, sums.chunk(self.blocks, 2), strict=True)
        return {name: torch.sigmoid(part) for name, part in found if name is not None}

    def recurrent_weight(self) -> Tensor:
        """See `RecurrentLayer.recurrent_weight`; [blocks · H, H]."""
        return self.rnn.get_parameter("weight_hh_l0")

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


class IdentityRNN(ReluRNN):
    r"""Rectified linear units that begin as a sum of their inputs (Le, Jaitly & Hinton 2015, "A simple way to
    initialize recurrent networks of rectified linear units").

    The equation is that of `ReluRNN`; at the beginning U is the identity, the biases are zero, and W is drawn from a
    normal distribution of standard deviation 0.001.

    Parameters: :math:`H(I + H + 2)`.
    """  # noqa: D205 - one sentence and what follows it

    own_init = "identity"

    def reset_input(self, matrix: Tensor) -> None:
        """See `RecurrentLayer.reset_input`."""
        nn.init.normal_(matrix, 0.0, 0.001)


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

    blocks = 3
    gate_names = ("reset", "update", None)
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

    Parameters: :math:`4H(I + H + 2)`.
    """

    blocks = 4
    gate_names = ("input", "forget", None, "output")
    kernel = nn.LSTM
    state_parts = ("h", "c")

    def forget_biases(self) -> Sequence[Tensor]:
        """See `RecurrentLayer.forget_biases`; the first of the two whose sum it is."""
        return (self.rnn.get_parameter("bias_ih_l0").chunk(4)[1],)

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """See `RecurrentLayer.reset_parameters`; the second bias of the forget gate is zero."""
        super().reset_parameters()
        self.rnn.get_parameter("bias_hh_l0").chunk(4)[1].zero_()
