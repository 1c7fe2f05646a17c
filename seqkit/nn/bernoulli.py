"""Keys that are on or off, independently of each other: a Bernoulli distribution for each."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class Bernoulli(nn.Module):
    r"""The probability that each of K keys is on, by a linear layer.

    .. math::
        p_k = \sigma(w_k \cdot h + b_k), \qquad -\ln p(y) = -\sum_k y_k \ln p_k + (1 - y_k) \ln(1 - p_k)

    as in Boulanger-Lewandowski, Bengio & Vincent 2012, "Modeling temporal dependencies in high-dimensional
    sequences", https://arxiv.org/abs/1206.6392.

    Args:
        input_size: D of the encoder.
        keys: K.
    """

    def __init__(self, input_size: int, keys: int) -> None:
        super().__init__()
        self.linear = nn.Linear(input_size, keys)

    def forward(self, outputs: Tensor) -> Tensor:
        """The logit of every key.

        Args:
            outputs: the encoder's outputs, […, D].

        Returns:
            ln p / (1 − p), float32 […, K].
        """
        logits: Tensor = self.linear(outputs)  # […, K]
        return logits.float()


def nats(logits: Tensor, frames: Tensor) -> Tensor:
    """−ln p of frames.

    Args:
        logits: of every key, […, K].
        frames: zeros and ones, […, K].

    Returns:
        The sum over the keys, […].
    """
    each = functional.binary_cross_entropy_with_logits(logits, frames.to(logits.dtype), reduction="none")  # […, K]
    return each.sum(-1)


def mean_nats(logits: Tensor, frames: Tensor, inside: Tensor | None = None) -> Tensor:
    """−ln p of frames, the mean over all frames of all sequences.

    Args:
        logits: of every key, [B, T, K].
        frames: zeros and ones, [B, T, K].
        inside: which frames are in a sequence and not padding, bool [B, T]; None for all.

    Returns:
        A scalar, 0 where there is no frame.
    """
    each = nats(logits, frames)  # [B, T]
    if inside is None:
        return each.sum() / max(1, each.numel())
    return each.masked_fill(~inside, 0.0).sum() / inside.sum().clamp(min=1)


def sample(
    logits: Tensor, *, temperature: float = 1.0, low: int = 0, high: int = -1, generator: torch.Generator | None = None
) -> Tensor:
    r"""Draw frames.

    .. math:: y_k \sim \mathrm{Bernoulli}(\sigma(z_k / \tau))

    Args:
        logits: z of every key, […, K].
        temperature: τ; the smaller, the more probable are the frames. At 0 a key is on if its probability is more
            than a half.
        low: the lowest key that may be on.
        high: the highest one; negative from the end.
        generator: where random numbers come from.

    Returns:
        Zeros and ones, float32 […, K].

    Raises:
        ValueError: the temperature is negative, or there is no key from `low` to `high`.
    """
    keys = logits.shape[-1]
    high = high % keys if -keys <= high < keys else -1
    if not temperature >= 0.0:
        raise ValueError(f"expected a temperature of at least 0, found {temperature}")
    if not 0 <= low <= high:
        raise ValueError(f"expected low ≤ high among {keys} keys, found {low} to {high}")
    if temperature == 0.0:
        frames = (logits > 0).float()  # […, K]
    else:
        chances = torch.rand(logits.shape, generator=generator, device=logits.device)  # […, K], in [0, 1)
        frames = (chances < torch.sigmoid(logits / temperature)).float()  # […, K]
    frames[..., :low] = 0.0
    frames[..., high + 1 :] = 0.0
    return frames
