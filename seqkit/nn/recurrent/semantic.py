"""A cell that is told what to say, and how that shrinks as it is said."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from seqkit.nn.recurrent.layer import State
from seqkit.nn.recurrent.unrolled import UnrolledLayer
from seqkit.nn.sequences import to_device, token_mask


class SemanticLSTM(UnrolledLayer):
    r"""Long short-term memory with a dialogue act that a reading gate consumes (Wen et al. 2015, "Semantically
    conditioned LSTM-based natural language generation for spoken dialogue systems").

    .. math::
        i_t &= \sigma(W_i x_t + U_i h_{t-1} + b_i) \\
        f_t &= \sigma(W_f x_t + U_f h_{t-1} + b_f) \\
        g_t &= \tanh(W_g x_t + U_g h_{t-1} + b_g) \\
        o_t &= \sigma(W_o x_t + U_o h_{t-1} + b_o) \\
        r_t &= \sigma(W_r x_t + U_r h_{t-1} + b_r) \\
        d_t &= r_t \odot d_{t-1} \\
        c_t &= f_t \odot c_{t-1} + i_t \odot g_t + \tanh(W_d d_t) \\
        h_t &= o_t \odot \tanh(c_t)

    The first d, which has a one for each thing to say, is a part of the first state. The factor α of the paper, on
    :math:`U_r h_{t-1}`, is a part of U_r here; the biases are not in the paper. That of the reading gate starts as
    those of forget gates. Parameters: :math:`4H(I + H + 1) + F(I + 2H + 1)`.

    Args:
        input_size: I, the features of a step.
        hidden_size: H.
        act_size: F, the size of d.
        **options: see `RecurrentLayer`.

    Raises:
        ValueError: the act has no size, or see `RecurrentLayer`.
    """  # noqa: D205 - one sentence and what follows it

    blocks = 4
    forget_block = 1
    state_parts = ("h", "c", "d")
    given = ("d",)
    gate_names = ("input", "forget", "output", "reading")

    def __init__(self, input_size: int, hidden_size: int, act_size: int, **options: Any) -> None:
        if act_size < 1:
            raise ValueError("the cell sc_lstm needs a dialogue act, whose size is the act_size")
        self.act_size = act_size
        super().__init__(input_size, hidden_size, **options)
        self._acts: Tensor | None = None

    @property
    def state_sizes(self) -> tuple[int, ...]:
        """See `RecurrentLayer.state_sizes`."""
        return (self.hidden_size, self.hidden_size, self.act_size)

    def add_parameters(self) -> None:
        """See `UnrolledLayer.add_parameters`."""
        self.reading_ih = nn.Parameter(torch.empty(self.act_size, self.input_size))
        self.reading_hh = nn.Parameter(torch.empty(self.act_size, self.hidden_size))
        self.reading_bias = nn.Parameter(torch.empty(self.act_size))
        self.act_hh = nn.Parameter(torch.empty(self.hidden_size, self.act_size))

    def input_matrices(self) -> Sequence[Tensor]:
        """See `RecurrentLayer.input_matrices`; also those from and to the act, which are filled as they are."""
        return (*super().input_matrices(), self.reading_ih, self.reading_hh, self.act_hh)

    def forget_biases(self) -> Sequence[Tensor]:
        """See `RecurrentLayer.forget_biases`."""
        return (*super().forget_biases(), self.reading_bias)

    def inputs(self, x: Tensor, state: State) -> tuple[Tensor, Tensor | None]:
        """See `UnrolledLayer.inputs`; further inputs: those of the reading gate, [B, T, F]."""
        return super().inputs(x, state)[0], functional.linear(x, self.reading_ih, self.reading_bias)

    def step(self, a: Tensor, state: State, recurrent: Tensor, extra: Tensor | None) -> tuple[State, State]:
        """See `UnrolledLayer.step`; the last gate is [B, F]."""
        assert extra is not None
        h, c, d = state
        sums = torch.addmm(a, h, recurrent).to(c.dtype).chunk(4, 1)  # 4 × [B, H]
        i, f, o = torch.sigmoid(sums[0]), torch.sigmoid(sums[1]), torch.sigmoid(sums[3])  # each [B, H]
        r = torch.sigmoid(extra.to(d.dtype) + functional.linear(h, self.reading_hh).to(d.dtype))  # [B, F]
        d = r * d  # [B, F]
        told = torch.tanh(functional.linear(d, self.act_hh)).to(c.dtype)  # [B, H]
        c = torch.addcmul(torch.addcmul(told, f, c), i, torch.tanh(sums[2]))  # [B, H]
        return (o * torch.tanh(c), c, d), (i, f, o, r)

    def _unroll(
        self, x: Tensor, state: State | None, recurrent: Tensor | None, gates: list[State] | None
    ) -> list[State]:
        states = super()._unroll(x, state, recurrent, gates)
        if self.training and torch.is_grad_enabled():
            first = self.begin(x, state, self.bias.dtype)[2]  # [B, F]
            self._acts = torch.stack([first, *(d for _, _, d in states)], 1)  # [B, T + 1, F]
        return states

    def take_acts(self) -> Tensor | None:
        """What there was of the act in the last call in training.

        Returns:
            d before the first step and after each, [B, T + 1, F], the first time that it is asked for; otherwise None.
        """
        acts, self._acts = self._acts, None
        return acts


def reading_cost(acts: Tensor, lengths: Tensor, *, eta: float = 1e-4, xi: float = 100.0) -> Tensor:
    r"""The cost of an act that is not said, or said at once (Wen et al. 2015).

    .. math:: \|d_T\|_1 + \sum_{t=1}^{T} \sum_k \eta\, (\xi^{|d_{tk} - d_{t-1, k}|} - 1)

    The paper has a norm in the exponent, the authors' program the single differences, as here. What it adds for
    steps that change nothing is left out, so that the length of a text costs nothing.

    Args:
        acts: d before the first step and after each, [B, T + 1, F].
        lengths: steps of each sequence, int64 [B], on the CPU, each at least 1.
        eta: η.
        xi: ξ.

    Returns:
        A scalar, the sum over sequences.
    """
    last = to_device(lengths, acts.device).view(-1, 1, 1).expand(-1, 1, acts.shape[2])  # [B, 1, F]
    left = acts.gather(1, last).abs().sum()
    change = acts.diff(dim=1).abs()  # [B, T, F]
    change = change * token_mask(lengths, change).unsqueeze(2)  # [B, T, F]
    return left + eta * torch.expm1(change * math.log(xi)).sum()
