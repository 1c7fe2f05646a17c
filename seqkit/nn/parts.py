"""Rows of an output layer a part at a time, so that scores of many labels never exist for all rows together."""

from __future__ import annotations

from torch import Tensor

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
