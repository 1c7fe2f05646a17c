"""Norms of gradients by the distance from the loss: their mean, their rate, and where they become zero."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import linear_regression

import torch
from torch import Tensor

_TINY, _HUGE = 1e-280, 1e280
"""norms outside of this range are not exact in double precision, or become infinite or NaN"""


def row_norms(vectors: Tensor) -> Tensor:
    """The Euclidean norm of each row, scaled so that the squares of small numbers do not become zero.

    Args:
        vectors: [M, N].

    Returns:
        The norms, [M].
    """
    largest = vectors.abs().amax(1, keepdim=True)  # [M, 1]
    scale = torch.where((largest > 0) & largest.isfinite(), largest, torch.ones_like(largest))
    norms: Tensor = torch.linalg.vector_norm(vectors / scale, dim=1) * scale[:, 0]
    return norms


def geometric_mean(norms: Tensor) -> Tensor:
    """The geometric mean of the numbers of each row that are not zero.

    Args:
        norms: ≥ 0, [M, N].

    Returns:
        The means, [M]; zero where all numbers are.
    """
    some = norms != 0  # [M, N]
    logs = torch.where(some, norms, torch.ones_like(norms)).log().sum(1)  # [M]
    return torch.where(some.any(1), (logs / some.sum(1).clamp(min=1)).exp(), torch.zeros_like(logs))


def lost_at(norms: Sequence[float]) -> int | None:
    """Where a gradient becomes exactly zero, for example because all units of a ReLU network are off.

    A zero after numbers near the limits of double precision does not count: it is an underflow.

    Args:
        norms: the norms for k = 1, 2 ….

    Returns:
        The smallest k whose norm is exactly zero; None where there is none.
    """
    ended = next((number for number, norm in enumerate(norms) if not _TINY < norm < _HUGE), len(norms))
    return ended + 1 if ended < len(norms) and norms[ended] == 0.0 else None


def decay_rate(norms: Sequence[float]) -> float:
    r"""The factor per step, :math:`e^b` where b is the slope of ln norm over k on the far half.

    On the near half the other directions have not died out yet. Norms near the limits of double precision are left out
    before the half is taken.

    Args:
        norms: the norms for k = 1, 2 …, at least two.

    Returns:
        The rate; 0 where the gradient is lost or too small after two steps, infinite where it is too large then.

    Raises:
        ValueError: there are fewer than two.
    """
    if len(norms) < 2:
        raise ValueError(f"expected norms at two or more distances, found {len(norms)}")
    if lost_at(norms) is not None:
        return 0.0
    reached = next((k for k, norm in enumerate(norms) if not _TINY < norm < _HUGE), len(norms))
    if reached < 2:
        return 0.0 if norms[reached] <= _TINY else math.inf
    begin = min(reached // 2, reached - 2)
    logs = [math.log(norm) for norm in norms[begin:reached]]
    return math.exp(linear_regression(range(len(logs)), logs).slope)


def verdict(rate: float, lost: int | None = None) -> str:
    """The name of a rate: over 100 steps a vanishing gradient loses nine tenths, an exploding one grows tenfold.

    Args:
        rate: see `decay_rate`.
        lost: see `lost_at`.

    Returns:
        ``lost at`` and where, ``vanishing``, ``exploding`` or ``neither``.
    """
    if lost is not None:
        return f"lost at {lost}"
    if rate < 10 ** (-1 / 100):
        return "vanishing"
    return "exploding" if rate > 10 ** (1 / 100) else "neither"
