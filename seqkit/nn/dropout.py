"""Dropout whose mask is drawn once a sequence instead of once a step."""

from __future__ import annotations

from torch import Tensor, nn

__all__ = ["SequenceDropout"]


class SequenceDropout(nn.Module):
    r"""Dropout of features over a sequence.

    .. math:: y_t = x_t \odot m / (1 - p), \qquad m_d \sim \mathrm{Bernoulli}(1 - p)

    With ``variational=True`` one mask a sequence is drawn and shared by all its steps (Gal & Ghahramani 2016, "A
    theoretically grounded application of dropout in recurrent neural networks"); otherwise every step has its own.

    Args:
        p: the probability of zeroing a feature, 0 ≤ p < 1.
        variational: one mask a sequence (True) or one a step (False).

    Raises:
        ValueError: `p` is no such probability.
    """

    def __init__(self, p: float, *, variational: bool = True) -> None:
        super().__init__()
        if not 0.0 <= p < 1.0:
            raise ValueError(f"expected a dropout probability in 0 ≤ p < 1, found {p}")
        self.p = p
        self.variational = variational

    def forward(self, x: Tensor) -> Tensor:
        """Apply the mask while training; the identity otherwise.

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
