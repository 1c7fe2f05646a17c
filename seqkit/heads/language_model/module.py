"""Many to many, shifted: every unit of a text predicted from those before it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor, nn

from seqkit.nn.sequences import SequenceDropout, token_mask
from seqkit.nn.softmax import IGNORED, Softmax


class LanguageModelLoss(NamedTuple):
    """The result of `LanguageModelHead.loss`.

    Attributes:
        objective: the training objective, a scalar with gradient: nats per unit, including the backward half and the
            regularisers.
        nats: the summed negative log-likelihood of the units read left to right, without gradient, for perplexity.
        units: the number of these units.
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
    models"). Neither half may have seen what it predicts: a bidirectional encoder needs ``concat="final"``.

    Args:
        input_size: D of the encoder.
        forward_size: the number of leading features that read left to right, ≥ 1; the others read right to left.
        num_words: V, padding included.
        tied_size: E, the columns of the embedding table that is also the output matrix of both halves (with a separate
            bias for each); None for separate matrices.
        cutoffs: the clusters of an adaptive softmax; None for a full one. See `Softmax`.
        dropout: the probability of dropping a feature of the outputs.
        variational: one dropout mask a sequence instead of one per step.
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
            raise ValueError(f"expected forward_size from 1 to {input_size}, found {forward_size}")
        self.forward_size = forward_size
        self.dropout = SequenceDropout(dropout, variational=variational)
        self.ar = ar
        self.tar = tar
        backward_size = input_size - forward_size
        self.next = Softmax(forward_size, num_words, tied_size=tied_size, cutoffs=cutoffs)
        self.previous = None
        if backward_size:
            self.previous = Softmax(backward_size, num_words, tied_size=tied_size, cutoffs=cutoffs)

    def loss(
        self,
        outputs: Tensor,
        lengths: Tensor,
        targets: Tensor,
        previous: Tensor | None = None,
        table: Tensor | None = None,
    ) -> LanguageModelLoss:
        """The training objective and, separately, the log-likelihood for perplexity.

        Args:
            outputs: the encoder's outputs, [B, T, D].
            lengths: units in each sequence, int64 [B], on the CPU.
            targets: the unit after each, int64 [B, T], on the CPU or the device of the outputs; values past a
                sequence's end have no influence.
            previous: the unit before each, int64 [B, T], likewise, `IGNORED` for positions without one; None leaves
                the backward half out.
            table: the embedding table, [V, E], if weights are tied.

        Returns:
            The objective, the sum of nats and the number of units.
        """
        units = int(lengths.sum())
        inside: Tensor | None = None
        if units < targets.numel():
            inside, known = token_mask(lengths, outputs), token_mask(lengths, targets)  # [B, T] each
            targets = targets.masked_fill(~known, IGNORED)  # [B, T]
            previous = None if previous is None else previous.masked_fill(~known, IGNORED)  # [B, T]
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
            outputs: the encoder's outputs, […, D], or only the features that read left to right.
            table: the embedding table, [V, E], if weights are tied.

        Returns:
            float32 […, V]; -inf for padding.
        """
        ahead = outputs[..., : self.forward_size].reshape(-1, self.forward_size)  # [N, F]
        found = self.next.log_probabilities(ahead, table)  # [N, V]
        return found.view(*outputs.shape[:-1], -1)  # […, V]

    def target_log_probabilities(self, outputs: Tensor, targets: Tensor, table: Tensor | None = None) -> Tensor:
        """The log-probability of the actual next unit, without gradient.

        Args:
            outputs: the encoder's outputs, […, D], or only the features that read left to right.
            targets: the unit after each, int64 […]; `IGNORED` for positions without one.
            table: the embedding table, [V, E], if weights are tied.

        Returns:
            float32 […], in nats; 0 for positions without a target.
        """
        ahead = outputs[..., : self.forward_size].reshape(-1, self.forward_size)  # [N, F]
        return self.next.target_log_probabilities(ahead, targets.flatten(), table).view(targets.shape)  # […]


def _mean_square(x: Tensor, inside: Tensor | None) -> Tensor:
    """The mean of the squares of [B, T, D] in float32, over the positions [B, T] inside, or all."""
    squares = x.float().square()  # [B, T, D]
    if inside is None:
        return squares.sum() / max(1, x.numel())
    count = inside.sum() * x.shape[2]
    return squares.masked_fill(~inside.unsqueeze(2), 0.0).sum() / count.clamp(min=1)
