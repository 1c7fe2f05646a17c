"""Padded batches of sequences: copies to a device, masks, a check of shapes and lengths, and dropout."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def to_device(values: Tensor, device: torch.device) -> Tensor:
    """Copy a tensor to a device, asynchronously where possible: later operations on the device see the copy.

    A copy from ordinary (pageable) memory, or one that is not `non_blocking`, would make the CPU wait until the GPU has
    finished its queue, and then the GPU wait for the CPU.

    Args:
        values: any tensor, usually on the CPU; do not change it afterwards, since the result may be the same tensor.
        device: where it is needed.

    Returns:
        The values on the device; `values` itself if it is there already.
    """
    if values.device == device:
        return values
    if device.type == "cuda" and values.device.type == "cpu":
        values = values.pin_memory()
    # On Apple's GPUs the source may be freed before an asynchronous copy has read it.
    return values.to(device, non_blocking=device.type != "mps")


def running_sum(values: Tensor, dim: int) -> Tensor:
    """The sums of all elements up to each, with a gradient.

    Args:
        values: any tensor of floats.
        dim: along which dimension.

    Returns:
        The sums, of the same shape.
    """
    # A GPU's own is not deterministic, and an error where only such kernels are allowed.
    if values.device.type != "cpu" and torch.are_deterministic_algorithms_enabled():
        return _sum_by_doubling(values, dim)
    return values.cumsum(dim)


def _sum_by_doubling(values: Tensor, dim: int) -> Tensor:
    """The same in log₂ T steps (Hillis & Steele 1986, "Data parallel algorithms")."""
    size, distance = values.shape[dim], 1
    while distance < size:
        later = values.narrow(dim, distance, size - distance) + values.narrow(dim, 0, size - distance)
        values = torch.cat([values.narrow(dim, 0, distance), later], dim)
        distance *= 2
    return values


def length_mask(lengths: Tensor, steps: int) -> Tensor:
    """Where a sequence has a step and not padding.

    Args:
        lengths: the sequences' lengths, int64 [B].
        steps: T, the length that they are padded to.

    Returns:
        [B, T], true within a sequence's length, on the device of `lengths`.
    """
    return torch.arange(steps, device=lengths.device) < lengths[:, None]


def token_mask(lengths: Tensor, like: Tensor) -> Tensor:
    """The `length_mask` of a batch on its device.

    Args:
        lengths: the sequences' lengths, int64 [B], on the CPU.
        like: the batch, [B, T, …].

    Returns:
        [B, T], true within a sequence's length, on the device of `like`.
    """
    return to_device(length_mask(lengths, like.shape[1]), like.device)


def check_padded(values: Tensor, lengths: Tensor, size: int, name: str) -> None:
    """Check that tensors are a padded batch and its lengths.

    Args:
        values: sequences of vectors, to be of shape [B, T, size].
        lengths: to be int64 [B] on the CPU, each in 0…T.
        size: the size of a vector.
        name: what the error message calls `values`.

    Raises:
        ValueError: a shape, type, device or length is wrong.
    """
    if values.dim() != 3 or values.shape[2] != size:
        raise ValueError(f"expected {name} of shape [B, T, {size}], found {list(values.shape)}")
    batch, steps, _ = values.shape
    if lengths.shape != (batch,) or lengths.dtype != torch.int64 or lengths.device.type != "cpu":
        found = f"{lengths.dtype} of shape {list(lengths.shape)} on {lengths.device.type}"
        raise ValueError(f"expected lengths as torch.int64 of shape [{batch}] on cpu, found {found}")
    if batch and not 0 <= int(lengths.min()) <= int(lengths.max()) <= steps:
        raise ValueError(f"expected lengths from 0 to {steps}, found {int(lengths.min())} to {int(lengths.max())}")


class SequenceDropout(nn.Module):
    r"""Dropout of features over a sequence.

    .. math:: y_t = x_t \odot m / (1 - p), \qquad m_d \sim \mathrm{Bernoulli}(1 - p)

    With ``variational=True`` one mask per sequence is drawn and shared by all its steps (Gal & Ghahramani 2016, "A
    theoretically grounded application of dropout in recurrent neural networks"); otherwise every step has its own.

    Args:
        p: the probability of zeroing a feature, 0 ≤ p < 1.
        variational: one mask per sequence (True) or one per step (False).

    Raises:
        ValueError: `p` is not such a probability.
    """

    def __init__(self, p: float, *, variational: bool = True) -> None:
        super().__init__()
        if not 0.0 <= p < 1.0:
            raise ValueError(f"expected a dropout probability in 0 ≤ p < 1, found {p}")
        self.p = p
        self.variational = variational

    def forward(self, x: Tensor) -> Tensor:
        """Apply the mask during training; the identity otherwise.

        Args:
            x: features, [B, T, D].

        Returns:
            The masked and rescaled features, [B, T, D].
        """
        if not self.training or self.p == 0.0:
            return x
        steps = 1 if self.variational else x.shape[1]
        keep = x.new_empty(x.shape[0], steps, x.shape[2]).bernoulli_(1.0 - self.p)  # [B, 1 or T, D]
        return x * keep.div_(1.0 - self.p)  # [B, T, D]

    def extra_repr(self) -> str:
        """The arguments, for `repr`."""
        return f"p={self.p}, variational={self.variational}"
