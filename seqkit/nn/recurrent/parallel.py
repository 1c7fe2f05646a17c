"""Cells whose gates do not depend on the state, so that all steps are computed together: one scan instead of a loop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from seqkit.nn.recurrent.layer import RecurrentLayer, State
from seqkit.nn.sequences import running_sum

# A step over so many numbers keeps a CPU busy, and a blocked scan would process all of them twice.
_SEQUENTIAL_FROM = 2048


def linear_scan(a: Tensor, b: Tensor, start: Tensor) -> Tensor:
    r"""All steps of a linear recurrence, :math:`h_t = a_t \odot h_{t-1} + b_t`.

    A scan in blocks (Blelloch 1990, "Prefix sums and their applications"): every block of about :math:`\sqrt T` steps
    starts from zero, all blocks in parallel; then the state before each block is computed; then both are combined. No
    division and no logarithm is used, so that a may be zero. A CPU with enough work in each step uses one block.

    Args:
        a: the factor of the step before, [B, T, H], T ≥ 1.
        b: the summand, [B, T, H].
        start: h_0, [B, H].

    Returns:
        h_1 … h_T, [B, T, H].
    """
    steps: Tensor = _LinearScan.apply(a, b, start)  # type: ignore[no-untyped-call]
    return steps


class _LinearScan(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, start: Tensor) -> Tensor:
        h = _scan(a, b, start)
        ctx.save_for_backward(a, h, start)
        return h

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        # ∂L/∂h_t = g_t + a_{t+1} ∂L/∂h_{t+1}: the same recurrence, from the last step to the first.
        a, h, start = ctx.saved_tensors  # [B, T, H], [B, T, H], [B, H]
        following = functional.pad(a[:, 1:], (0, 0, 0, 1))  # [B, T, H]
        by_b = _scan(following, gradient, torch.zeros_like(start), backward=True)  # [B, T, H]
        by_a = torch.cat([(by_b[:, 0] * start).unsqueeze(1), by_b[:, 1:] * h[:, :-1]], 1)  # [B, T, H]
        return by_a, by_b, by_b[:, 0] * a[:, 0]


def _in_sequence(a: Tensor, b: Tensor, start: Tensor, backward: bool) -> Tensor:
    """One step after the other; [B, T, H]."""
    steps = a.shape[1]
    h, before = a.new_empty(a.shape), start
    for step in reversed(range(steps)) if backward else range(steps):
        before = torch.addcmul(b[:, step], a[:, step], before, out=h[:, step])  # [B, H]
    return h


def _scan(a: Tensor, b: Tensor, start: Tensor, *, backward: bool = False) -> Tensor:
    """The recurrence in about √T blocks of about √T steps, if `backward` from the last step to the first; [B, T, H]."""
    if a.device.type == "cpu" and start.numel() >= _SEQUENTIAL_FROM:
        return _in_sequence(a, b, start, backward)
    batch, steps, size = a.shape
    length = int(steps**0.5)
    blocks = -(-steps // length)
    spare = blocks * length - steps
    if spare:  # padding at the end that is reached last
        a, b = (functional.pad(part, (0, 0, spare, 0) if backward else (0, 0, 0, spare)) for part in (a, b))
    a, b = (part.reshape(batch * blocks, length, size) for part in (a, b))  # [B · N, L, H]
    nothing, whole = a.new_zeros(()), a.new_ones(())
    own = _in_sequence(a, b, nothing.expand(len(a), size), backward).unflatten(0, (batch, blocks))  # [B, N, L, H]
    kept = _in_sequence(a, nothing.expand_as(a), whole.expand(len(a), size), backward)  # [B · N, L, H]
    kept = kept.unflatten(0, (batch, blocks))  # [B, N, L, H]; the factor of the state before the block
    last = 0 if backward else -1
    ends = _in_sequence(kept[:, :, last], own[:, :, last], start, backward)  # [B, N, H]
    edge = start.unsqueeze(1)  # [B, 1, H]
    begins = torch.cat([ends[:, 1:], edge] if backward else [edge, ends[:, :-1]], 1)  # [B, N, H]
    h: Tensor = own.addcmul_(kept, begins.unsqueeze(2)).flatten(1, 2)  # [B, N · L, H]
    return h[:, spare:] if backward else h[:, :steps]


class ParallelLayer(RecurrentLayer):
    """A layer without recurrent matrices: blocks of W and b, a gate or a candidate each, and a scan.

    Args:
        input_size: I, the features of a step.
        hidden_size: H, the features of the state.
        **options: see `RecurrentLayer`.

    Raises:
        ValueError: `weight_dropout` is not 0.
    """

    def __init__(self, input_size: int, hidden_size: int, **options: Any) -> None:
        super().__init__(input_size, hidden_size, **options)
        if self.weight_dropout:
            raise ValueError(f"expected a weight_dropout of 0 without recurrent weights, found {self.weight_dropout}")
        self.weight_ih = nn.Parameter(torch.empty(self.blocks * hidden_size, input_size))
        self.bias = nn.Parameter(torch.empty(self.blocks * hidden_size))
        self.reset_parameters()

    def recurrent_weight(self) -> None:
        """See `RecurrentLayer.recurrent_weight`: there is none."""
        return

    def keep(self, sums: Sequence[Tensor]) -> Tensor:
        """The share of the state that is kept, [B, T, H] in 0 … 1, from the blocks of W x_t + b, each [B, T, H]."""
        raise NotImplementedError  # pragma: no cover - both cells override it

    def forward(self, x: Tensor, state: State | None = None, recurrent: Tensor | None = None) -> tuple[Tensor, State]:
        """See `RecurrentLayer.forward`."""
        (start,) = self.begin(x, state, self.weight_ih.dtype)  # [B, H]
        sums = self._sums(x)  # blocks × [B, T, H]
        kept = self.keep(sums)  # [B, T, H]
        outputs = linear_scan(kept, torch.addcmul(sums[-1], kept, sums[-1], value=-1), start)  # [B, T, H]
        return outputs, (outputs[:, -1],)

    def _sums(self, x: Tensor) -> Sequence[Tensor]:
        """The blocks of W x_t + b, each [B, T, H]; one product each: later operations are faster on whole tensors."""
        weights = self.weight_ih.chunk(self.blocks)
        biases = [None] if self.bias is None else self.bias.chunk(self.blocks)
        return [
            functional.linear(x, weight, bias).to(weight.dtype) for weight, bias in zip(weights, biases, strict=True)
        ]


class MinGRU(ParallelLayer):
    r"""The minimal gated recurrent unit (Feng et al. 2024, "Were RNNs all we needed?").

    .. math::
        z_t &= \sigma(W_z x_t + b_z) \\
        h_t &= (1 - z_t) \odot h_{t-1} + z_t \odot (W_h x_t + b_h)

    Parameters: :math:`2H(I + 1)`.
    """

    blocks = 2

    def keep(self, sums: Sequence[Tensor]) -> Tensor:
        """See `ParallelLayer.keep`: 1 − z."""
        return torch.sigmoid(-sums[0])

    @torch.no_grad()
    def gates(self, x: Tensor, state: State | None = None) -> dict[str, Tensor]:
        """See `RecurrentLayer.gates`."""
        return {"update": torch.sigmoid(self._sums(x)[0])}


class MinLSTM(ParallelLayer):
    r"""The minimal LSTM, its two gates adding up to one (Feng et al. 2024, "Were RNNs all we needed?").

    .. math::
        f_t &= \sigma(W_f x_t + b_f) \\
        i_t &= \sigma(W_i x_t + b_i) \\
        h_t &= \frac{f_t}{f_t + i_t} \odot h_{t-1} + \frac{i_t}{f_t + i_t} \odot (W_h x_t + b_h)

    Parameters: :math:`3H(I + 1)`.
    """

    blocks = 3
    forget_block = 0

    def keep(self, sums: Sequence[Tensor]) -> Tensor:
        """See `ParallelLayer.keep`: f / (f + i) = σ(ln f − ln i), which is finite even if both are nearly zero."""
        return torch.sigmoid(functional.logsigmoid(sums[0]) - functional.logsigmoid(sums[1]))

    @torch.no_grad()
    def gates(self, x: Tensor, state: State | None = None) -> dict[str, Tensor]:
        """See `RecurrentLayer.gates`; as shares of their sum."""
        kept = self.keep(self._sums(x))  # [B, T, H]
        return {"input": 1 - kept, "forget": kept}


class RunningSum(ParallelLayer):
    r"""The sum of all inputs so far, without regard to their order: a continuous bag of words (Mikolov et al. 2013).

    .. math:: h_t = h_{t-1} + W x_t

    The baseline for all cells that are sensitive to order. Parameters: :math:`HI`.
    """

    forgets = False

    def __init__(self, input_size: int, hidden_size: int, **options: Any) -> None:
        super().__init__(input_size, hidden_size, **options)
        self.register_parameter("bias", None)  # it would add up over the steps

    def forward(self, x: Tensor, state: State | None = None, recurrent: Tensor | None = None) -> tuple[Tensor, State]:
        """See `RecurrentLayer.forward`."""
        (start,) = self.begin(x, state, self.weight_ih.dtype)  # [B, H]
        outputs = running_sum(self._sums(x)[0], 1) + start.unsqueeze(1)  # [B, T, H]
        return outputs, (outputs[:, -1],)
