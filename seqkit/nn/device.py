"""Numbers from the CPU onto another device, without waiting for it."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["to_device"]


def to_device(values: Tensor, device: torch.device) -> Tensor:
    """Values on a device. The copy is only ordered: whatever the device computes later will find it made.

    A copy from ordinary memory, or one that is not `non_blocking`, would make the CPU wait until the GPU has done all
    that was ordered before, and then the GPU for the CPU.

    Args:
        values: any tensor, most often of the CPU; not to be changed afterwards, as the result may be this very tensor.
        device: where it is needed.

    Returns:
        The values there; `values` itself if it is there already.
    """
    if values.device == device:
        return values
    if device.type == "cuda" and values.device.type == "cpu":
        values = values.pin_memory()
    # Apple's GPUs may read what is copied after it has been given back.
    return values.to(device, non_blocking=device.type != "mps")
