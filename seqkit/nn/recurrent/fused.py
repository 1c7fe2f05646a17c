"""Cells for which torch has fused kernels: simple recurrent networks, GRU, LSTM."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from seqkit.nn.recurrent.layer import RecurrentLayer, State

_FEW = 16
"""sequences for which a single step by itself is faster than by the kernel of many steps"""


def cast_type(device: torch.device) -> torch.dtype | None:
    """The type that fused kernels are to compute in under autocast, where torch's own choice is wrong.

    On a GPU autocast runs them in float16 whatever type it is asked for; under bfloat16 the loss is not scaled, and
    small gradients would become zero. They run in bfloat16 where cuDNN can, and else in float32, which is rounded to
    TF32 in its products.

    Args:
        device: where the layer is.

    Returns:
        The type; None for that of the weights or, under another autocast, torch's choice.
    """
    if device.type != "cuda" or _autocast_type() is not torch.bfloat16:
        return None
    return torch.bfloat16 if _has_bf16_kernels(device) else torch.float32


def _autocast_type() -> torch.dtype | None:
    """What autocast rounds to on a GPU, if it is active."""
    if not torch.is_autocast_enabled():  # with no argument it is about CUDA devices, in every release
        return None
    if hasattr(torch, "get_autocast_dtype"):
        return torch.get_autocast_dtype("cuda")
    return torch.get_autocast_gpu_dtype()  # before torch 2.4


@lru_cache
def _has_bf16_kernels(device: torch.device) -> bool:
    """Whether one kernel computes all steps in bfloat16, tried once: cuDNN from 9.13 on, if torch was built with it.

    Otherwise torch computes the steps one by one, which takes many times as long, or there is an error.
    """
    exact = torch.autocast(device.type, enabled=False)
    with suppress(RuntimeError), torch.inference_mode(False), torch.enable_grad(), exact:
        layer = nn.utils.skip_init(nn.LSTM, 8, 8, device=device, dtype=torch.bfloat16)  # which draws no random numbers
        outputs = layer(torch.zeros(2, 1, 8, device=device, dtype=torch.bfloat16))[0]  # [T, B, H]
        outputs.sum().backward()
        return "RnnBackward" in type(outputs.grad_fn).__name__
    return False


def _rounds() -> bool:
    """Whether autocast is active on a CPU."""
    if hasattr(torch, "get_autocast_dtype"):
        return torch.is_autocast_enabled("cpu")
    return torch.is_autocast_cpu_enabled()  # before torch 2.4


class FusedLayer(RecurrentLayer):
    """A layer run by torch's fused kernels (oneDNN on a CPU, cuDNN on a GPU)."""

    gate_names: tuple[str | None, ...] = (None,)
    """the name of each block that is a gate"""
    weight_names = ("rnn.weight_ih_l0", "rnn.weight_hh_l0", "rnn.bias_ih_l0")
    kernel: Callable[..., nn.RNNBase]
    cell: Callable[..., Any]
    """one step of the kernel"""

    def __init__(self, input_size: int, hidden_size: int, **options: Any) -> None:
        super().__init__(input_size, hidden_size, **options)
        self.rnn = type(self).kernel(input_size, hidden_size, batch_first=True)
        self.reset_parameters()

    @torch.no_grad()
    def gates(self, x: Tensor, state: State | None = None) -> dict[str, Tensor]:
        """See `RecurrentLayer.gates`; all steps at once, since the states that they depend on are among the outputs."""
        state = self.initial_state(x.shape[0], x) if state is None else state
        outputs = self.forward(x, state, self.recurrent_weight())[0]  # [B, T, H], without dropout and hooks
        before = torch.cat([state[0].unsqueeze(1), outputs[:, :-1]], 1)  # [B, T, H]
        w_ih, w_hh, b_ih, b_hh = self.rnn.parameters()
        sums = functional.linear(x, w_ih, b_ih) + functional.linear(before, w_hh, b_hh)  # [B, T, blocks · H]
        found = zip(self.gate_names, sums.chunk(self.blocks, 2), strict=True)
        return {name: torch.sigmoid(part) for name, part in found if name is not None}

    def forward(self, x: Tensor, state: State | None = None, recurrent: Tensor | None = None) -> tuple[Tensor, State]:
        """See `RecurrentLayer.forward`."""
        recurrent = self.dropped() if recurrent is None else recurrent
        state = self.initial_state(x.shape[0], x) if state is None else state
        dtype = cast_type(x.device)
        if dtype is None:
            return self._run(x, state, recurrent, None)
        with torch.autocast(x.device.type, enabled=False):
            return self._run(x.to(dtype), tuple(part.to(dtype) for part in state), recurrent, dtype)

    def _run(
        self, x: Tensor, state: State, recurrent: Tensor | None, dtype: torch.dtype | None
    ) -> tuple[Tensor, State]:
        """The layer with its own recurrent matrix or another one, its weights in a type of its own if one is given."""
        if x.shape[1] == 1 and len(x) <= _FEW and recurrent is None and self._is_plain(x):
            # oneDNN arranges all weights anew in every call, which takes several times as long as a step itself.
            after = type(self).cell(x[:, 0], state if len(state) > 1 else state[0], *self.rnn.parameters())
            final = after if len(state) > 1 else (after,)  # each [B, H]
            return final[0].unsqueeze(1), tuple(final)
        initial = tuple(part.unsqueeze(0).contiguous() for part in state)  # each [1, B, H]
        first = initial if len(initial) > 1 else initial[0]
        if recurrent is None and dtype in (None, self.rnn.weight_hh_l0.dtype):
            outputs, last = self.rnn(x, first)  # [B, T, H]
            final = last if len(initial) > 1 else (last,)  # each [1, B, H]
        else:
            outputs, *final = self._kernel(x, first, recurrent, dtype)
        return outputs, tuple(part.squeeze(0) for part in final)

    def _is_plain(self, x: Tensor) -> bool:
        """Whether x is computed on a CPU, in the precision of the weights, and without a gradient."""
        exact = x.device.type == "cpu" and x.dtype == self.rnn.weight_hh_l0.dtype
        return exact and not torch.is_grad_enabled() and not _rounds()

    def _kernel(
        self, x: Tensor, first: Tensor | State, recurrent: Tensor | None, dtype: torch.dtype | None
    ) -> tuple[Tensor, ...]:
        """The computation of `self.rnn` with other weights: outputs and the parts of the last state."""
        w_ih, w_hh, b_ih, b_hh = self.rnn.parameters()
        weights: list[Tensor] = [w_ih, w_hh if recurrent is None else recurrent, b_ih, b_hh]
        if x.is_cuda or dtype is not None:  # cuDNN needs its weights contiguous in memory, or warns that it copies them
            together = torch.cat([weight.flatten() for weight in weights]).to(dtype or w_ih.dtype)
            parts = together.split([weight.numel() for weight in weights])
            weights = [part.view_as(weight) for part, weight in zip(parts, weights, strict=True)]
        kernel: Callable[..., tuple[Tensor, ...]] = getattr(torch._VF, self.rnn.mode.lower())
        # with biases, one layer, no dropout between layers, training, one direction, batch first
        return kernel(x, first, weights, True, 1, 0.0, True, False, True)


class TanhRNN(FusedLayer):
    r"""The simple recurrent network with tanh (Elman 1990, "Finding structure in time").

    .. math:: h_t = \tanh(W x_t + b + U h_{t-1} + b')

    Parameters: :math:`H(I + H + 2)`.
    """

    kernel = staticmethod(lambda *args, **kwargs: nn.RNN(*args, nonlinearity="tanh", **kwargs))
    cell = torch.rnn_tanh_cell


class ReluRNN(FusedLayer):
    r"""The simple recurrent network with rectified linear units.

    .. math:: h_t = \max(0, W x_t + b + U h_{t-1} + b')

    Parameters: :math:`H(I + H + 2)`.
    """

    kernel = staticmethod(lambda *args, **kwargs: nn.RNN(*args, nonlinearity="relu", **kwargs))
    cell = torch.rnn_relu_cell


class IdentityRNN(ReluRNN):
    r"""Rectified linear units that are initialised as a sum of their inputs (Le, Jaitly & Hinton 2015, "A simple way to
    initialize recurrent networks of rectified linear units").

    The equation is that of `ReluRNN`; initially U is the identity, the biases are zero, and W is drawn from a normal
    distribution with standard deviation 0.001.

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

    The reset gate acts after the recurrent product, as in torch's and cuDNN's kernels.
    Parameters: :math:`3H(I + H + 2)`.
    """

    blocks = 3
    gate_names = ("reset", "update", None)
    kernel = nn.GRU
    cell = torch.gru_cell


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
    forget_block = 1
    gate_names = ("input", "forget", None, "output")
    kernel = nn.LSTM
    cell = torch.lstm_cell
    state_parts = ("h", "c")

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """See `RecurrentLayer.reset_parameters`; the second bias of the forget gate is zero."""
        super().reset_parameters()
        self.rnn.get_parameter("bias_hh_l0").chunk(4)[1].zero_()
