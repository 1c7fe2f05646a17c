"""Many to many, shifted: every unit of a text predicted from those before it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor, nn

from seqkit.nn.device import to_device
from seqkit.nn.dropout import SequenceDropout
from seqkit.nn.masks import length_mask
from seqkit.nn.softmax import IGNORED, Softmax

__all__ = ["LanguageModelHead", "LanguageModelLoss"]


class LanguageModelLoss(NamedTuple):
    """What `LanguageModelHead.loss` finds.

    Attributes:
        objective: what training minimises, a scalar with gradient: nats a unit, the backward half's and the
            regularisers' share included.
        nats: the negative log-likelihood of the units read left to right, summed, without gradient: what perplexity
            is made of.
        units: how many they are.
    """

    objective: Tensor
    nats: Tensor
    units: int


class LanguageModelHead(nn.Module):
    r"""Predicts the next unit from what was read left to right, and the one before from what was read right to left.

    .. math::
        L = \frac1N \sum_t \left( -\log p(w_{t+1} \mid \overrightarrow{h}_t)
            - \log p(w_{t-1} \mid \overleftarrow{h}_t) \right)
            + \alpha \,\overline{(m \odot h)^2} + \beta \,\overline{(h_t - h_{t+1})^2}

    with h the encoder's outputs, m their dropout mask, and a bar for the mean over steps and features: activation
    and temporal activation regularisation (Merity, Keskar & Socher 2018, "Regularizing and optimizing LSTM language
    models"). Neither half may have seen what it predicts: an encoder in both directions has to be joined at the top.

    Args:
        input_size: D of the encoder.
        forward_size: how many leading features read left to right, ≥ 1; the others read right to left.
        num_words: V, padding included.
        tied_size: E, the columns of the embedding table that is also the output matrix of both halves (with a bias of
            its own for each); None for matrices of their own.
        cutoffs: the clusters of an adaptive softmax; None for a full one. See `Softmax`.
        dropout: the probability of dropping a feature of the outputs.
        variational: one dropout mask a sequence instead of one a step.
        ar: α.
        tar: β.

    Raises:
        ValueError: no feature reads left to right, or see `Softmax`.
    """

    def __init__(
        self,
        input_size: int,
        forward_size: int,
        num_words: int,
        *,
        tied_size: int | None = None,
        cutoffs: Sequence[int] | None = None,
        dropout: float = 0.0,
        variational: bool = True,
        ar: float = 0.0,
        tar: float = 0.0,
    ) -> None:
        super().__init__()
        if not 1 <= forward_size <= input_size:
            raise ValueError(f"expected 1 … {input_size} features that read left to right, found {forward_size}")
        self.forward_size = forward_size
        self.dropout = SequenceDropout(dropout, variational=variational)
        self.ar = ar
        self.tar = tar
        backward_size = input_size - forward_size
        self.next = Softmax(forward_size, num_words, tied_size=tied_size, cutoffs=cutoffs)
        self.previous = (
            Softmax(backward_size, num_words, tied_size=tied_size, cutoffs=cutoffs) if backward_size else None
        )

    def loss(
        self,
        outputs: Tensor,
        lengths: Tensor,
        targets: Tensor,
        previous: Tensor | None = None,
        table: Tensor | None = None,
    ) -> LanguageModelLoss:
        """The training loss and, apart, what perplexity is made of.

        Args:
            outputs: the encoder's outputs, [B, T, D].
            lengths: units in each sequence, int64 [B], on the CPU.
            targets: the unit after each, int64 [B, T]; what stands past a sequence's end does not matter.
            previous: the unit before each, int64 [B, T], `IGNORED` where there is none to predict; None leaves the
                backward half out.
            table: the embedding table, [V, E], if it is tied.

        Returns:
            The objective, the sum of nats and the number of units.
        """
        units = int(lengths.sum())
        inside: Tensor | None = None
        if units < targets.numel():
            inside = to_device(length_mask(lengths, targets.shape[1]), targets.device)  # [B, T]
            targets = targets.masked_fill(~inside, IGNORED)  # [B, T]
            previous = None if previous is None else previous.masked_fill(~inside, IGNORED)  # [B, T]
        dropped = self.dropout(outputs)  # [B, T, D]
        ahead, behind = dropped[..., : self.forward_size], dropped[..., self.forward_size :]  # [B, T, F], [B, T, D − F]
        total = self.next.loss(ahead.flatten(0, 1), targets.flatten(), table)
        nats = total.detach()
        if self.previous is not None and previous is not None:
            total = total + self.previous.loss(behind.flatten(0, 1), previous.flatten(), table)
        objective = total / max(1, units)
        if self.ar and self.training:
            objective = objective + self.ar * _mean_square(dropped, inside)
        if self.tar and self.training and outputs.shape[1] > 1:
            both = None if inside is None else inside[:, 1:]  # [B, T − 1]
            objective = objective + self.tar * _mean_square(outputs[:, 1:] - outputs[:, :-1], both)
        return LanguageModelLoss(objective, nats, units)

    def log_probabilities(self, outputs: Tensor, table: Tensor | None = None) -> Tensor:
        """The log-probability of every unit as the next.

        Args:
            outputs: the encoder's outputs, […, D], or what of them reads left to right.
            table: the embedding table, [V, E], if it is tied.

        Returns:
            float32 […, V]; -inf for padding.
        """
        ahead = outputs[..., : self.forward_size].reshape(-1, self.forward_size)  # [N, F]
        found = self.next.log_probabilities(ahead, table)  # [N, V]
        return found.view(*outputs.shape[:-1], -1)  # […, V]

    def target_log_probabilities(self, outputs: Tensor, targets: Tensor, table: Tensor | None = None) -> Tensor:
        """The log-probability of the unit that does come next, without gradient.

        Args:
            outputs: the encoder's outputs, […, D], or what of them reads left to right.
            targets: the unit after each, int64 […]; `IGNORED` where there is none.
            table: the embedding table, [V, E], if it is tied.

        Returns:
            float32 […], in nats; 0 where there is no target.
        """
        ahead = outputs[..., : self.forward_size].reshape(-1, self.forward_size)  # [N, F]
        return self.next.target_log_probabilities(ahead, targets.flatten(), table).view(targets.shape)  # […]


def _mean_square(x: Tensor, inside: Tensor | None) -> Tensor:
    """The mean of the squares of [B, T, D] in float32, over the places [B, T] that count."""
    squares = x.float().square()  # [B, T, D]
    if inside is None:
        return squares.sum() / max(1, x.numel())
    count = inside.sum() * x.shape[2]
    return squares.masked_fill(~inside.unsqueeze(2), 0.0).sum() / count.clamp(min=1)
