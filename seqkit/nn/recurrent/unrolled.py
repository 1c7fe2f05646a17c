"""Cells without a fused kernel: the product with the input before the loop over time, few operations a step in it.

What is remembered stays in the precision of the weights, also under mixed precision.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from seqkit.nn.recurrent.layer import RecurrentLayer, State

__all__ = ["CoupledLSTM", "DepthGatedLSTM", "LinearRNN", "PeepholeLSTM", "SimpleGRU", "UnrolledLayer"]


class UnrolledLayer(RecurrentLayer):
    """A layer whose steps are taken one by one.

    A cell is its `step`, from a = W x_t + b, the state before, and U; rows of W, b and U are blocks of H, a gate each.
    """

    blocks = 1
    """how many blocks W, b and U have"""
    forget_block: int | None = None
    gate_names: tuple[str, ...] = ()
    """the names of what `step` gives beside the state"""

    def __init__(self, input_size: int, hidden_size: int, **options: Any) -> None:
        super().__init__(input_size, hidden_size, **options)
        self.weight_ih = nn.Parameter(torch.empty(self.blocks * hidden_size, input_size))
        self.weight_hh = nn.Parameter(torch.empty(self.blocks * hidden_size, hidden_size))
        self.bias = nn.Parameter(torch.empty(self.blocks * hidden_size))
        self.add_parameters()
        self.reset_parameters()

    def add_parameters(self) -> None:
        """Create what the cell has beside W, U and b."""

    def recurrent_matrices(self) -> Sequence[Tensor]:
        """See `RecurrentLayer.recurrent_matrices`."""
        return self.weight_hh.chunk(self.blocks)

    def input_matrices(self) -> Sequence[Tensor]:
        """See `RecurrentLayer.input_matrices`."""
        return self.weight_ih.chunk(self.blocks)

    def forget_biases(self) -> Sequence[Tensor]:
        """See `RecurrentLayer.forget_biases`."""
        return () if self.forget_block is None else (self.bias.chunk(self.blocks)[self.forget_block],)

    def recurrent_weight(self) -> Tensor:
        """See `RecurrentLayer.recurrent_weight`; [blocks · H, H]."""
        return self.weight_hh

    def step(self, a: Tensor, state: State, recurrent: Tensor, extra: Tensor | None) -> tuple[State, State]:
        """Take one step.

        Args:
            a: W x_t + b, [B, blocks · H].
            state: the state before, [B, H] each.
            recurrent: Uᵀ, [H, blocks · H].
            extra: what `inputs` gives beside, of this step, [B, …].

        Returns:
            The state after, h_t first, and the gates of `gate_names`, [B, H] each.
        """
        raise NotImplementedError  # pragma: no cover - every cell overrides it

    def inputs(self, x: Tensor, state: State) -> tuple[Tensor, Tensor | None]:
        """What does not depend on the steps before, for all steps.

        Args:
            x: inputs, [B, T, I].
            state: the state before the first step, [B, H] each.

        Returns:
            W x_t + b, [B, T, blocks · H], and what else a step needs to know, [B, T, …], or None.
        """
        return functional.linear(x, self.weight_ih, self.bias), None

    def forward(self, x: Tensor, state: State | None = None, recurrent: Tensor | None = None) -> tuple[Tensor, State]:
        """See `RecurrentLayer.forward`."""
        states = self._unroll(x, state, self.dropped() if recurrent is None else recurrent)
        return torch.stack([step[0] for step in states], 1), states[-1]  # [B, T, H]

    @torch.no_grad()
    def gates(self, x: Tensor, state: State | None = None) -> dict[str, Tensor]:
        """See `RecurrentLayer.gates`."""
        gates: list[State] = []
        self._unroll(x, state, None, gates)
        return {
            name: torch.stack(part, 1) for name, part in zip(self.gate_names, zip(*gates, strict=True), strict=True)
        }

    def _unroll(
        self, x: Tensor, state: State | None, recurrent: Tensor | None, gates: list[State] | None = None
    ) -> list[State]:
        """The state after every step; `gates` is given those of every step."""
        state = self.begin(x, state, self.bias.dtype)
        a, extra = self.inputs(x, state)  # [B, T, blocks · H], [B, T, …]
        # A step of all sequences together in memory: as fast as can be in the loop.
        steps = a.transpose(0, 1).contiguous().unbind(0)  # T × [B, blocks · H]
        extras = [None] * len(steps) if extra is None else extra.unbind(1)
        # Under mixed precision `a` has the lower one: a cast before the loop instead of one in every step.
        transposed = (self.weight_hh if recurrent is None else recurrent).to(a.dtype).t()  # [H, blocks · H]
        states: list[State] = []
        for given, beside in zip(steps, extras, strict=True):
            state, found = self.step(given, state, transposed, beside)
            states.append(state)
            if gates is not None:
                gates.append(found)
        return states


class LinearRNN(UnrolledLayer):
    r"""The simple recurrent network without a nonlinearity, whose gradients are powers of one matrix.

    .. math:: h_t = W x_t + b + U h_{t-1}

    Hence :math:`\partial h_t / \partial h_{t-k} = U^k`, which vanishes or explodes as the k-th power of the spectral
    radius of U (Bengio, Simard & Frasconi 1994; Pascanu, Mikolov & Bengio 2013). Parameters: :math:`H(I + H + 1)`.
    """

    def step(self, a: Tensor, state: State, recurrent: Tensor, extra: Tensor | None) -> tuple[State, State]:
        """See `UnrolledLayer.step`."""
        return (torch.addmm(a, state[0], recurrent).to(state[0].dtype),), ()  # [B, H]


class PeepholeLSTM(UnrolledLayer):
    r"""Long short-term memory whose gates see the memory cell (Gers & Schmidhuber 2000, "Recurrent nets that time and
    count").

    .. math::
        i_t &= \sigma(W_i x_t + U_i h_{t-1} + p_i \odot c_{t-1} + b_i) \\
        f_t &= \sigma(W_f x_t + U_f h_{t-1} + p_f \odot c_{t-1} + b_f) \\
        g_t &= \tanh(W_g x_t + U_g h_{t-1} + b_g) \\
        c_t &= f_t \odot c_{t-1} + i_t \odot g_t \\
        o_t &= \sigma(W_o x_t + U_o h_{t-1} + p_o \odot c_t + b_o) \\
        h_t &= o_t \odot \tanh(c_t)

    The peepholes p begin at zero. Parameters: :math:`4H(I + H + 1) + 3H`.
    """  # noqa: D205 - one sentence and what follows it

    blocks = 4
    forget_block = 1
    state_parts = ("h", "c")
    gate_names: tuple[str, ...] = ("input", "forget", "output")

    def add_parameters(self) -> None:
        """See `UnrolledLayer.add_parameters`."""
        self.peepholes = nn.Parameter(torch.empty(3, self.hidden_size))

    def step(self, a: Tensor, state: State, recurrent: Tensor, extra: Tensor | None) -> tuple[State, State]:
        """See `UnrolledLayer.step`."""
        return self._step(a, state, recurrent, None)

    def _step(self, a: Tensor, state: State, recurrent: Tensor, added: Tensor | None) -> tuple[State, State]:
        """Take one step; `added` [B, H] joins the memory cell."""
        h, c = state
        sums = torch.addmm(a, h, recurrent).to(c.dtype).chunk(4, 1)  # 4 × [B, H]
        by_input, by_forget, by_output = self.peepholes  # each [H]
        i = torch.sigmoid(torch.addcmul(sums[0], by_input, c))  # [B, H]
        f = torch.sigmoid(torch.addcmul(sums[1], by_forget, c))  # [B, H]
        kept = f * c if added is None else torch.addcmul(added, f, c)  # [B, H]
        c = torch.addcmul(kept, i, torch.tanh(sums[2]))  # [B, H]
        o = torch.sigmoid(torch.addcmul(sums[3], by_output, c))  # [B, H]
        return (o * torch.tanh(c), c), (i, f, o)


class CoupledLSTM(UnrolledLayer):
    r"""Long short-term memory that forgets just as much as it takes in (Greff et al. 2017, "LSTM: a search space
    odyssey": coupled input and forget gate; theirs has peepholes, too).

    .. math::
        f_t &= \sigma(W_f x_t + U_f h_{t-1} + b_f) \\
        g_t &= \tanh(W_g x_t + U_g h_{t-1} + b_g) \\
        o_t &= \sigma(W_o x_t + U_o h_{t-1} + b_o) \\
        c_t &= f_t \odot c_{t-1} + (1 - f_t) \odot g_t \\
        h_t &= o_t \odot \tanh(c_t)

    Parameters: :math:`3H(I + H + 1)`.
    """  # noqa: D205 - one sentence and what follows it

    blocks = 3
    forget_block = 0
    state_parts = ("h", "c")
    gate_names = ("forget", "output")

    def step(self, a: Tensor, state: State, recurrent: Tensor, extra: Tensor | None) -> tuple[State, State]:
        """See `UnrolledLayer.step`."""
        h, c = state
        sums = torch.addmm(a, h, recurrent).to(c.dtype).chunk(3, 1)  # 3 × [B, H]
        f, o = torch.sigmoid(sums[0]), torch.sigmoid(sums[2])  # each [B, H]
        c = torch.lerp(torch.tanh(sums[1]), c, f)  # [B, H]
        return (o * torch.tanh(c), c), (f, o)


class SimpleGRU(UnrolledLayer):
    r"""The gated recurrent unit without its reset gate.

    .. math::
        z_t &= \sigma(W_z x_t + U_z h_{t-1} + b_z) \\
        n_t &= \tanh(W_n x_t + U_n h_{t-1} + b_n) \\
        h_t &= (1 - z_t) \odot n_t + z_t \odot h_{t-1}

    The gate and the candidate of Cho et al. 2014, the reset gate open. Parameters: :math:`2H(I + H + 1)`.
    """

    blocks = 2
    gate_names = ("update",)

    def step(self, a: Tensor, state: State, recurrent: Tensor, extra: Tensor | None) -> tuple[State, State]:
        """See `UnrolledLayer.step`."""
        h = state[0]
        update, new = torch.addmm(a, h, recurrent).to(h.dtype).chunk(2, 1)  # each [B, H]
        z = torch.sigmoid(update)  # [B, H]
        return (torch.lerp(torch.tanh(new), h, z),), (z,)


class DepthGatedLSTM(PeepholeLSTM):
    r"""Long short-term memory whose memory cells are connected from level to level through a gate (Yao et al. 2015,
    "Depth-gated LSTM").

    .. math::
        d_t &= \sigma(W_d x_t + p_d \odot c_{t-1} + q_d \odot c'_t + b_d) \\
        c_t &= d_t \odot c'_t + f_t \odot c_{t-1} + i_t \odot g_t

    with c' the memory cells of the level below, on which no dropout falls, and all else as in `PeepholeLSTM`, which the
    lowest level is. p and q begin at zero. Parameters: :math:`4H(I + H + 1) + 3H`, and :math:`H(I + 1) + 2H` of the
    depth gate.

    Args:
        input_size: I, the features of a step.
        hidden_size: H.
        below: there is a level below, whose memory cells are the last H of the I + H features of an input.
        above: there is a level above, which is to see the memory cells: outputs are h_t and c_t side by side,
            [B, T, 2 H].
        **options: see `RecurrentLayer`.
    """  # noqa: D205 - one sentence and what follows it

    def __init__(
        self, input_size: int, hidden_size: int, *, below: bool = False, above: bool = False, **options: Any
    ) -> None:
        self.below = below
        self.above = above
        super().__init__(input_size, hidden_size, **options)
        if below:
            self.gate_names = (*self.gate_names, "depth")

    @property
    def output_size(self) -> int:
        """The features of an output: H, or 2 H for a level above."""
        return self.hidden_size * (2 if self.above else 1)

    def add_parameters(self) -> None:
        """See `UnrolledLayer.add_parameters`."""
        super().add_parameters()
        if self.below:
            self.depth_ih = nn.Parameter(torch.empty(self.hidden_size, self.input_size))
            self.depth_bias = nn.Parameter(torch.empty(self.hidden_size))
            self.depth_peepholes = nn.Parameter(torch.empty(2, self.hidden_size))

    def input_matrices(self) -> Sequence[Tensor]:
        """See `RecurrentLayer.input_matrices`."""
        return (*super().input_matrices(), *((self.depth_ih,) if self.below else ()))

    def inputs(self, x: Tensor, state: State) -> tuple[Tensor, Tensor | None]:
        """See `UnrolledLayer.inputs`; beside: what opens the depth gate, and what it lets through, [B, T, 2, H]."""
        if not self.below:
            return super().inputs(x, state)
        x, memory = x[..., : self.input_size], x[..., self.input_size :].to(self.bias.dtype)  # [B, T, I], [B, T, H]
        sums = functional.linear(x, self.depth_ih, self.depth_bias)  # [B, T, H]
        sums = torch.addcmul(sums.to(memory.dtype), self.depth_peepholes[1], memory)  # [B, T, H]
        return functional.linear(x, self.weight_ih, self.bias), torch.stack([sums, memory], 2)

    def step(self, a: Tensor, state: State, recurrent: Tensor, extra: Tensor | None) -> tuple[State, State]:
        """See `UnrolledLayer.step`."""
        if extra is None:
            return self._step(a, state, recurrent, None)
        sums, memory = extra.unbind(1)  # each [B, H]
        d = torch.sigmoid(torch.addcmul(sums, self.depth_peepholes[0], state[1]))  # [B, H]
        after, gates = self._step(a, state, recurrent, d * memory)
        return after, (*gates, d)

    def forward(self, x: Tensor, state: State | None = None, recurrent: Tensor | None = None) -> tuple[Tensor, State]:
        """See `RecurrentLayer.forward`, and of the sizes of `x` and of the outputs the class."""
        states = self._unroll(x, state, self.dropped() if recurrent is None else recurrent)
        parts = range(2 if self.above else 1)
        return torch.cat([torch.stack([step[part] for step in states], 1) for part in parts], 2), states[-1]
