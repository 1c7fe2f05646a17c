"""Which places of a padded batch lie within its sequences."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["length_mask"]


def length_mask(lengths: Tensor, steps: int) -> Tensor:
    """Where a sequence has a step and not padding.

    Args:
        lengths: the sequences' lengths, int64 [B].
        steps: T, the length that they are padded to.

    Returns:
        [B, T], true within a sequence's length, on the device of `lengths`.
    """
    return torch.arange(steps, device=lengths.device) < lengths[:, None]
