"""Scores of an output layer for a part of the rows at a time, so that those of many labels never exist together."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn


def workspace(device: torch.device) -> int:
    """How many bytes of scores should exist at a time on a device."""
    # A CPU loses more to page faults than it gains from more; a GPU needs large products.
    return 2**25 if device.type == "cpu" else 2**28


def row_parts(rows: Tensor, layer: nn.Linear, *, scored: bool) -> Iterator[tuple[slice, Tensor]]:
    """Scores of some rows, part by part; without gradient.

    Args:
        rows: the layer's input, float32 [N, D], or if they are `scored` its output, [N, K].
        layer: the output layer.
        scored: which of the two.

    Yields:
        Which rows, and their scores, [n, K]. Unless they were given, the next part overwrites them: memory of its own
        for each would be left in pieces too small for the next.
    """
    size = max(1, workspace(rows.device) // (8 * layer.out_features))  # whoever reads them may need float64
    buffer = None if scored else rows.new_empty(min(size, len(rows)), layer.out_features)
    for begin in range(0, len(rows), size):
        part = rows[begin : begin + size]
        if buffer is not None:
            with torch.no_grad(), torch.autocast(rows.device.type, enabled=False):
                part = torch.addmm(layer.bias, part, layer.weight.t(), out=buffer[: len(part)])
        yield slice(begin, begin + len(part)), part


def most_score(rows: Tensor, layer: nn.Linear) -> Tensor:
    r"""What no score of a row exceeds in magnitude: :math:`\max_d |x_d| \max_k \sum_d |w_{kd}| + \max_k |b_k|`.

    Args:
        rows: x, what scores are made of, [N, ..., D].
        layer: makes Wx + b of each.

    Returns:
        The bound for each of the N, [N]; not finite where scores might not be.
    """
    weights = layer.weight.abs().sum(1).max()
    bias = 0.0 if layer.bias is None else layer.bias.abs().max()
    return rows.flatten(1).abs().amax(1) * weights + bias  # [N]
