"""The clockwork recurrent network: modules that are updated at different rates."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from seqkit.nn.recurrent.layer import RecurrentLayer, State

_MOST_MODULES = 6


class ClockworkRNN(RecurrentLayer):
    r"""The clockwork recurrent network (Koutník et al. 2014, "A clockwork RNN").

    The state has g modules of (nearly) equal sizes; module i = 1 … g is updated at every
    :math:`P_i = 2^{i-1}`-th step, and reads itself and the slower ones:

    .. math::
        h_t^i = \begin{cases}
            \tanh\left(W^i x_t + b^i + \sum_{j \ge i} U^{ij} h_{t-1}^j\right) & t \bmod P_i = 0 \\
            h_{t-1}^i & \text{otherwise}
        \end{cases}

    Steps are counted from 0, so that every module sees the first input; g = min(6, H). Parameters:
    :math:`H(I + 1) + \sum_i H_i (H_i + … + H_g)`, with equal modules :math:`H(I + 1) + H^2 (g + 1) / 2g`.
    """

    state_parts = ("h", "clock")
    counters = ("clock",)

    def __init__(self, input_size: int, hidden_size: int, **options: Any) -> None:
        super().__init__(input_size, hidden_size, **options)
        count = min(_MOST_MODULES, hidden_size)
        self.starts = [module * hidden_size // count for module in range(count)]
        self.sizes = [end - begin for begin, end in pairwise([*self.starts, hidden_size])]
        self.weight_ih = nn.Parameter(torch.empty(hidden_size, input_size))
        shapes = [(size, hidden_size - start) for size, start in zip(self.sizes, self.starts, strict=True)]
        self.weight_hh = nn.ParameterList(nn.Parameter(torch.empty(shape)) for shape in shapes)
        self.bias = nn.Parameter(torch.empty(hidden_size))
        self.longest = 2 ** (count - 1)
        self.reset_parameters()

    def recurrent_matrices(self) -> Sequence[Tensor]:
        """See `RecurrentLayer.recurrent_matrices`: a matrix for each module, [H_i, H_i + … + H_g]."""
        return list(self.weight_hh)

    def recurrent_weight(self) -> Tensor:
        """See `RecurrentLayer.recurrent_weight`; [H, H], zero for modules that are not read."""
        rows = [functional.pad(part, (start, 0)) for part, start in zip(self.weight_hh, self.starts, strict=True)]
        return torch.cat(rows, 0)

    def forward(self, x: Tensor, state: State | None = None, recurrent: Tensor | None = None) -> tuple[Tensor, State]:
        """See `RecurrentLayer.forward`."""
        h, clock = self.begin(x, state, self.bias.dtype)  # each [B, H]
        active = self._active(x.shape[1], clock)  # [B, T, H]
        recurrent = self.dropped() if recurrent is None else recurrent
        a = functional.linear(x, self.weight_ih, self.bias).transpose(0, 1).contiguous()  # [T, B, H]
        transposed = (self.recurrent_weight() if recurrent is None else recurrent).to(a.dtype).t()  # [H, H]
        outputs: list[Tensor] = []
        for summand, updated in zip(a.unbind(0), active.unbind(1), strict=True):
            h = torch.where(updated, torch.tanh(torch.addmm(summand, h, transposed).to(h.dtype)), h)  # [B, H]
            outputs.append(h)
        # Kept below the longest period, after which the pattern repeats, it is a small integer, exact in any precision.
        clock = (clock + x.shape[1] % self.longest).remainder(self.longest)  # [B, H]
        return torch.stack(outputs, 1), (h, clock)

    @torch.no_grad()
    def gates(self, x: Tensor, state: State | None = None) -> dict[str, Tensor]:
        """See `RecurrentLayer.gates`; which units are updated."""
        return {"active": self._active(x.shape[1], self.begin(x, state, self.bias.dtype)[1]).to(self.bias.dtype)}

    def _active(self, steps: int, clock: Tensor) -> Tensor:
        """Which units are updated at which step, bool [B, T, H]."""
        ticks = clock[:, :1].long() + torch.arange(steps, device=clock.device)  # [B, T]
        active = [(ticks.remainder(2**module) == 0).unsqueeze(2) for module in range(len(self.sizes))]  # each [B, T, 1]
        return torch.cat([part.expand(-1, -1, size) for part, size in zip(active, self.sizes, strict=True)], 2)
