"""Cells without a fused kernel: the product with the input comes before the loop over time, which has few operations.

The state stays in the precision of the weights, also under mixed precision.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from seqkit.nn.recurrent.layer import RecurrentLayer, State


class UnrolledLayer(RecurrentLayer):
    """A layer that computes its steps one by one.

    A cell is its `step`, from a = W x_t + b, the state before, and U; rows of W, b and U are blocks of H, a gate each.
    """

    gate_names: tuple[str, ...] = ()
    """the names of the gates that `step` returns"""
    output_parts = 1
    """how many parts of the state an output consists of"""

    def __init__(self, input_size: int, hidden_size: int, **options: Any) -> None:
        super().__init__(input_size, hidden_size, **options)
        self.weight_ih = nn.Parameter(torch.empty(self.blocks * hidden_size, input_size))
        self.weight_hh = nn.Parameter(torch.empty(self.blocks * hidden_size, hidden_size))
        self.bias = nn.Parameter(torch.empty(self.blocks * hidden_size))
        self.add_parameters()
        self.reset_parameters()

    def add_parameters(self) -> None:
        """Create the parameters of the cell other than W, U and b."""

    def step(self, a: Tensor, state: State, recurrent: Tensor, extra: Tensor | None) -> tuple[State, State]:
        """Take one step.

        Args:
            a: W x_t + b, [B, blocks · H].
            state: the state before, [B, H] each.
            recurrent: Uᵀ, [H, blocks · H].
            extra: the second result of `inputs` at this step, [B, …], or None.

        Returns:
            The state after, h_t first, and the gates of `gate_names`, [B, H] each.
        """
        raise NotImplementedError  # pragma: no cover - every cell overrides it

    def inputs(self, x: Tensor, state: State) -> tuple[Tensor, Tensor | None]:
        """The terms that do not depend on the state, for all steps.

        Args:
            x: inputs, [B, T, I].
            state: the state before the first step, [B, H] each.

        Returns:
            W x_t + b, [B, T, blocks · H], and further inputs of `step`, [B, T, …], or None.
        """
        return functional.linear(x, self.weight_ih, self.bias), None

    def forward(self, x: Tensor, state: State | None = None, recurrent: Tensor | None = None) -> tuple[Tensor, State]:
        """See `RecurrentLayer.forward`."""
        states = self._unroll(x, state, self.dropped() if recurrent is None else recurrent, None)
        parts = [torch.stack([step[part] for step in states], 1) for part in range(self.output_parts)]  # each [B, T, H]
        return parts[0] if len(parts) == 1 else torch.cat(parts, 2), states[-1]

    @torch.no_grad()
    def gates(self, x: Tensor, state: State | None = None) -> dict[str, Tensor]:
        """See `RecurrentLayer.gates`."""
        gates: list[State] = []
        self._unroll(x, state, None, gates)
        parts = zip(self.gate_names, zip(*gates, strict=True), strict=True)
        return {name: torch.stack(part, 1) for name, part in parts}

    def _unroll(
        self, x: Tensor, state: State | None, recurrent: Tensor | None, gates: list[State] | None
    ) -> list[State]:
        """The state after every step; the gates of every step are appended to `gates`."""
        state = self.begin(x, state, self.bias.dtype)
        a, extra = self.inputs(x, state)  # [B, T, blocks · H], [B, T, …]
        # The values of one step are adjacent in memory, which makes the loop faster.
        steps = a.transpose(0, 1).contiguous().unbind(0)  # T × [B, blocks · H]
        extras = [None] * len(steps) if extra is None else extra.unbind(1)
        # Under mixed precision `a` has the lower precision: one cast before the loop instead of one in every step.
        transposed = (self.weight_hh if recurrent is None else recurrent).to(a.dtype).t()  # [H, blocks · H]
        states: list[State] = []
        for summand, further in zip(steps, extras, strict=True):
            state, found = self.step(summand, state, transposed, further)
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
    r"""Long short-term memory whose gates read the memory cell (Gers & Schmidhuber 2000, "Recurrent nets that time and
    count").

    .. math::
        i_t &= \sigma(W_i x_t + U_i h_{t-1} + p_i \odot c_{t-1} + b_i) \\
        f_t &= \sigma(W_f x_t + U_f h_{t-1} + p_f \odot c_{t-1} + b_f) \\
        g_t &= \tanh(W_g x_t + U_g h_{t-1} + b_g) \\
        c_t &= f_t \odot c_{t-1} + i_t \odot g_t \\
        o_t &= \sigma(W_o x_t + U_o h_{t-1} + p_o \odot c_t + b_o) \\
        h_t &= o_t \odot \tanh(c_t)

    The peepholes p are initially zero. Parameters: :math:`4H(I + H + 1) + 3H`.
    """  # noqa: D205 - one sentence and what follows it

    blocks = 4
    forget_block = 1
    state_parts = ("h", "c")
    gate_names: tuple[str, ...] = ("input", "forget", "output")

    def add_parameters(self) -> None:
        """See `UnrolledLayer.add_parameters`."""
        self.peepholes = nn.Parameter(torch.empty(3, self.hidden_size))

    def step(self, a: Tensor, state: State, recurrent: Tensor, extra: Tensor | None) -> tuple[State, State]:
        """See `UnrolledLayer.step`; `extra`, [B, H], if not None, is added to the memory cell."""
        h, c = state
        sums = torch.addmm(a, h, recurrent).to(c.dtype).chunk(4, 1)  # 4 × [B, H]
        by_input, by_forget, by_output = self.peepholes  # each [H]
        i = torch.sigmoid(torch.addcmul(sums[0], by_input, c))  # [B, H]
        f = torch.sigmoid(torch.addcmul(sums[1], by_forget, c))  # [B, H]
        kept = f * c if extra is None else torch.addcmul(extra, f, c)  # [B, H]
        c = torch.addcmul(kept, i, torch.tanh(sums[2]))  # [B, H]
        o = torch.sigmoid(torch.addcmul(sums[3], by_output, c))  # [B, H]
        return (o * torch.tanh(c), c), (i, f, o)


class CoupledLSTM(UnrolledLayer):
    r"""Long short-term memory that forgets exactly as much as it adds (Greff et al. 2017, "LSTM: a search space
    odyssey": coupled input and forget gate; theirs also has peepholes).

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

    The gate and the candidate of Cho et al. 2014, with the reset gate always open. Parameters: :math:`2H(I + H + 1)`.
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
    r"""Long short-term memory whose memory cells are connected from layer to layer by a gate (Yao et al. 2015,
    "Depth-gated LSTM").

    .. math::
        d_t &= \sigma(W_d x_t + p_d \odot c_{t-1} + q_d \odot c'_t + b_d) \\
        c_t &= d_t \odot c'_t + f_t \odot c_{t-1} + i_t \odot g_t

    with c' the memory cells of the layer below, without dropout, and the rest as in `PeepholeLSTM`; the lowest layer is
    a `PeepholeLSTM`. p and q are initially zero. Parameters: :math:`4H(I + H + 1) + 3H`, and :math:`H(I + 1) + 2H` for
    the depth gate.

    Args:
        input_size: I, the features of a step.
        hidden_size: H.
        below: whether there is a layer below, whose memory cells are the last H of the I + H features of an input.
        above: whether there is a layer above, which reads the memory cells: outputs are h_t and c_t side by side,
            [B, T, 2 H].
        **options: see `RecurrentLayer`.
    """  # noqa: D205 - one sentence and what follows it

    def __init__(
        self, input_size: int, hidden_size: int, *, below: bool = False, above: bool = False, **options: Any
    ) -> None:
        self.below = below
        super().__init__(input_size, hidden_size, **options)
        if below:
            self.gate_names = (*self.gate_names, "depth")
        if above:
            self.output_parts = 2
            self.output_size = 2 * hidden_size

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
        """See `UnrolledLayer.inputs`; further inputs: those of the depth gate and the cells below, [B, T, 2, H]."""
        if not self.below:
            return super().inputs(x, state)
        x, memory = x[..., : self.input_size], x[..., self.input_size :].to(self.bias.dtype)  # [B, T, I], [B, T, H]
        sums = functional.linear(x, self.depth_ih, self.depth_bias)  # [B, T, H]
        sums = torch.addcmul(sums.to(memory.dtype), self.depth_peepholes[1], memory)  # [B, T, H]
        return functional.linear(x, self.weight_ih, self.bias), torch.stack([sums, memory], 2)

    def step(self, a: Tensor, state: State, recurrent: Tensor, extra: Tensor | None) -> tuple[State, State]:
        """See `UnrolledLayer.step`."""
        if extra is None:
            return super().step(a, state, recurrent, None)
        sums, memory = extra.unbind(1)  # each [B, H]
        d = torch.sigmoid(torch.addcmul(sums, self.depth_peepholes[0], state[1]))  # [B, H]
        after, gates = super().step(a, state, recurrent, d * memory)
        return after, (*gates, d)
