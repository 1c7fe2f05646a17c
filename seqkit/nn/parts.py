"""Rows of an output layer a part at a time, so that scores of many labels never exist for all rows together."""

from __future__ import annotations

from torch import Tensor, nn

_CPU_WORKSPACE = 2**25
_GPU_WORKSPACE = 2**28
"""bytes of scores at a time, in float64"""


def row_parts(rows: Tensor, columns: int) -> tuple[Tensor, ...]:
    """Cut rows into parts whose scores fit a workspace.

    Args:
        rows: what scores are made of, [N, D].
        columns: K, the number of scores of a row.

    Returns:
        The parts, in order, each [n, D]; one without rows if there are none.
    """
    allowed = _CPU_WORKSPACE if rows.device.type == "cpu" else _GPU_WORKSPACE
    parts: tuple[Tensor, ...] = rows.split(max(1, allowed // (8 * columns)))
    return parts


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
