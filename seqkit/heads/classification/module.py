"""Many to one: the outputs for a text's tokens are pooled, and scores of labels are computed for the whole text."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from seqkit.nn.pooling import make_pooling
from seqkit.nn.softmax import IGNORED


class ClassificationHead(nn.Module):
    r"""Scores of labels from the pooled outputs of an encoder.

    With one label per text the loss is the cross-entropy :math:`-w_y \log \mathrm{softmax}(s)_y`; with several, each
    label is decided independently, :math:`-\sum_k w_k y_k \log \sigma(s_k) + (1 - y_k) \log \sigma(-s_k)`.

    Args:
        input_size: D of the encoder.
        forward_size: the number of its leading features that read left to right.
        num_labels: K.
        pool: the pooling, a key of `seqkit.nn.pooling.POOLINGS`.
        multi_label: whether a text may have several labels, or none.
        weights: w above, [K]; None for equal weights.
        dropout: the probability of dropping a feature of the pooled vector.

    Raises:
        ValueError: the pooling is unknown, or the number of weights differs from the number of labels.
    """

    weights: Tensor | None

    def __init__(
        self,
        input_size: int,
        forward_size: int,
        num_labels: int,
        *,
        pool: str = "max",
        multi_label: bool = False,
        weights: Tensor | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if weights is not None and weights.shape != (num_labels,):
            raise ValueError(f"expected weights of shape [{num_labels}], found {list(weights.shape)}")
        self.pooling = make_pooling(pool, input_size, forward_size)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(self.pooling.output_size, num_labels)
        nn.init.xavier_uniform_(self.output.weight)
        nn.init.zeros_(self.output.bias)
        self.multi_label = multi_label
        self.register_buffer("weights", weights, persistent=False)  # only training needs them

    def _scores(self, outputs: Tensor, lengths: Tensor) -> Tensor:
        """Scores of labels in float32, also under mixed precision, [B, K]."""
        with torch.autocast(outputs.device.type, enabled=False):
            pooled = self.pooling(outputs.float(), lengths)  # [B, D']
            scores: Tensor = self.output(self.dropout(pooled))  # [B, K]
        return scores

    def loss(self, outputs: Tensor, lengths: Tensor, targets: Tensor) -> Tensor:
        """The training loss in nats, the mean over texts.

        Args:
            outputs: the encoder's outputs, [B, T, D].
            lengths: tokens in each text, int64 [B], on the CPU.
            targets: with one label per text its id, int64 [B], or `IGNORED` for a label that training has not seen;
                with several zeros and ones, int64 [B, K].

        Returns:
            A scalar.
        """
        scores = self._scores(outputs, lengths)  # [B, K]
        if self.multi_label:
            total = functional.binary_cross_entropy_with_logits(
                scores, targets.to(scores), pos_weight=self.weights, reduction="sum"
            )
        else:
            total = functional.cross_entropy(
                scores, targets, weight=self.weights, ignore_index=IGNORED, reduction="sum"
            )
        return total / max(1, len(targets))

    @torch.no_grad()
    def decode(self, outputs: Tensor, lengths: Tensor) -> Tensor:
        """The probabilities of labels.

        Args:
            outputs: the encoder's outputs, [B, T, D].
            lengths: tokens in each text, int64 [B], on the CPU.

        Returns:
            p(label | text), [B, K]: with one label per text they sum to 1, with several they are independent; NaN where
            a score is not finite.
        """
        scores = self._scores(outputs, lengths)  # [B, K]
        probabilities = scores.sigmoid() if self.multi_label else scores.softmax(1)  # [B, K]
        return probabilities + (scores - scores)  # 0 of each, or NaN where a score overflowed, which may have hidden it
