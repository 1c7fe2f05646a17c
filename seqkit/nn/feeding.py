"""The loop of a decoder with input feeding, as one operation: an LSTM, attention by products, and what both become.

Steps depend on each other, so they are computed one by one, in as few operations as they can be: all that does not
depend on the step before is computed for all steps at once, before the loop or, of the gradients of weights, after it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

_Gradients = tuple[Tensor | None, ...]


class FeedingLoop(torch.autograd.Function):
    r"""All steps of a decoder.

    .. math::
        z_t &= p_t + R\,[h_{t-1}; a_{t-1}], \qquad (h_t, c_t) = \mathrm{LSTM}(z_t, c_{t-1}) \\
        \alpha_t &= \mathrm{softmax}(K h_t + \mathrm{mask}), \qquad
        a_t = \tanh(W h_t + V^\top \alpha_t + b) \odot d_t

    Arguments of `apply`:

    - p: what the inputs and the biases add to the gates, in torch's order i, f, g, o, [L, B, 4 H];
    - h_0, c_0: the first state, [B, H] each; a_0 is zero;
    - R: [4 H, H + A];
    - K: the keys, [B, T, H]; V: the values, each already multiplied with the output's weights, [B, T, A];
    - mask: 0, or −∞ at padding, [B, T];
    - W: [A, H]; b: [A];
    - d: the dropout mask with its scale, [L, B, A], or None;
    - the type to which the factors of the gradients' products are rounded, or None for that of R.

    It gives the features a_t, [L, B, A], and the weights α_t, [L, B, T], without a gradient. Products are of the type
    of R, everything else is float32.
    """

    @staticmethod
    def forward(
        ctx: Any,
        pre: Tensor,
        h: Tensor,
        c: Tensor,
        recurrent: Tensor,
        keys: Tensor,
        values: Tensor,
        mask: Tensor,
        weight: Tensor,
        bias: Tensor,
        dropped: Tensor | None,
        products: torch.dtype | None,
    ) -> tuple[Tensor, Tensor]:
        """The equations, step by step."""
        steps, batch, _ = pre.shape
        size, features, dtype = h.shape[1], len(weight), recurrent.dtype
        joined = pre.new_empty(steps + 1, batch, size + features, dtype=dtype)  # [L + 1, B, H + A]
        joined[0, :, :size], joined[0, :, size:] = h, 0.0
        gates = pre.new_empty(steps, batch, 4 * size)  # [L, B, 4 H]
        cells = pre.new_empty(steps + 1, batch, size)  # [L + 1, B, H]
        cells[0] = c
        squashed = pre.new_empty(steps, batch, size)  # [L, B, H]; tanh of the memory cells
        weights = pre.new_empty(steps, batch, keys.shape[1])  # [L, B, T]
        outputs = pre.new_empty(steps, batch, features)  # [L, B, A]; before dropout
        across, over = recurrent.t(), weight.t()  # [H + A, 4 H], [H, A]
        transposed = values.transpose(1, 2)  # [B, A, T]
        with torch.autocast(pre.device.type, enabled=False):
            for t in range(steps):
                z = torch.add(pre[t], torch.mm(joined[t], across), out=gates[t])  # [B, 4 H]
                z[:, : 2 * size].sigmoid_()
                z[:, 2 * size : 3 * size].tanh_()
                z[:, 3 * size :].sigmoid_()
                i, f, g, o = z.chunk(4, 1)  # each [B, H]
                c = torch.addcmul(f * cells[t], i, g, out=cells[t + 1])  # [B, H]
                torch.tanh(c, out=squashed[t])
                h = torch.mul(o, squashed[t])  # [B, H]
                now = joined[t + 1, :, :size].copy_(h)  # [B, H]
                energies = torch.bmm(keys, now.unsqueeze(2)).squeeze(2)  # [B, T]
                looked = torch.softmax(energies.float().add_(mask), 1)  # [B, T]
                weights[t] = looked
                seen = torch.bmm(transposed, looked.to(dtype).unsqueeze(2)).squeeze(2)  # [B, A]
                a = torch.tanh((torch.mm(now, over) + seen).float().add_(bias), out=outputs[t])  # [B, A]
                joined[t + 1, :, size:] = a if dropped is None else a * dropped[t]
        ctx.save_for_backward(
            joined, gates, cells, squashed, weights, outputs, recurrent, keys, values, weight, dropped
        )
        ctx.products = products or dtype
        ctx.mark_non_differentiable(weights)
        found = outputs if dropped is None else outputs * dropped
        return found.clone() if dropped is None else found, weights

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, by_features: Tensor, _: Tensor) -> _Gradients:
        """Their derivatives, from the last step to the first."""
        joined, gates, cells, squashed, weights, outputs, recurrent, keys, values, weight, dropped = ctx.saved_tensors
        steps, batch, size = squashed.shape
        dtype = ctx.products
        recurrent, weight, keys, values = (each.to(dtype) for each in (recurrent, weight, keys, values))
        by_gates = torch.empty_like(gates)  # [L, B, 4 H]
        by_sums = torch.empty_like(outputs)  # [L, B, A]; of what tanh was taken
        by_energies = torch.empty_like(weights)  # [L, B, T]
        by_h, by_a, by_c = (gates.new_zeros(batch, each) for each in (size, outputs.shape[2], size))
        transposed = keys.transpose(1, 2)  # [B, H, T]
        with torch.autocast(gates.device.type, enabled=False):
            for t in range(steps - 1, -1, -1):
                by_a = by_a + by_features[t]  # [B, A]
                if dropped is not None:
                    by_a = by_a.mul_(dropped[t])
                by_sum = torch.ops.aten.tanh_backward(by_a, outputs[t])  # [B, A]
                by_sums[t] = by_sum
                rounded = by_sum.to(dtype)  # [B, A]
                by_weights = torch.bmm(values, rounded.unsqueeze(2)).squeeze(2).float()  # [B, T]
                by_energy = torch.ops.aten._softmax_backward_data(by_weights, weights[t], 1, torch.float32)  # [B, T]
                by_energies[t] = by_energy
                seen = torch.bmm(transposed, by_energy.to(dtype).unsqueeze(2)).squeeze(2)  # [B, H]
                by_h = by_h + torch.mm(rounded, weight) + seen  # [B, H]
                i, f, g, o = gates[t].chunk(4, 1)  # each [B, H]
                by_c = by_c + torch.ops.aten.tanh_backward(by_h * o, squashed[t])  # [B, H]
                z = by_gates[t]  # [B, 4 H]
                z[:, :size] = torch.ops.aten.sigmoid_backward(by_c * g, i)
                z[:, size : 2 * size] = torch.ops.aten.sigmoid_backward(by_c * cells[t], f)
                z[:, 2 * size : 3 * size] = torch.ops.aten.tanh_backward(by_c * i, g)
                z[:, 3 * size :] = torch.ops.aten.sigmoid_backward(by_h * squashed[t], o)
                by_c = by_c * f  # [B, H]
                back = torch.mm(z.to(dtype), recurrent).float()  # [B, H + A]
                by_h, by_a = back[:, :size], back[:, size:]  # [B, H], [B, A]
            flat, sums = by_gates.to(dtype).flatten(0, 1), by_sums.to(dtype)  # [L · B, 4 H], [L, B, A]
            before = joined.to(dtype)  # [L + 1, B, H + A]
            by_recurrent = torch.mm(flat.t(), before[:-1].flatten(0, 1))  # [4 H, H + A]
            states = before[1:, :, :size]  # [L, B, H]
            by_weight = torch.mm(sums.flatten(0, 1).t(), states.reshape(-1, size))  # [A, H]
            by_keys = torch.bmm(by_energies.to(dtype).permute(1, 2, 0), states.transpose(0, 1))  # [B, T, H]
            by_values = torch.bmm(weights.to(dtype).permute(1, 2, 0), sums.transpose(0, 1))  # [B, T, A]
        by_bias = by_sums.sum((0, 1))  # [A]
        found = (each.to(joined.dtype) for each in (by_recurrent, by_keys, by_values, by_weight))
        by_recurrent, by_keys, by_values, by_weight = found
        return by_gates, by_h, by_c, by_recurrent, by_keys, by_values, None, by_weight, by_bias, None, None
