"""Many to one: the outputs for a text's tokens are pooled, and scores of labels are computed for the whole text."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from seqkit.nn.parts import row_parts
from seqkit.nn.pooling import make_pooling
from seqkit.nn.softmax import IGNORED, linear_cross_entropy


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

    Attributes:
        late: whether `score` gives pooled vectors, which are fewer numbers than probabilities.

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
        self.late = num_labels > self.pooling.output_size
        self.register_buffer("weights", weights, persistent=False)  # only training needs them

    def _pooled(self, outputs: Tensor, lengths: Tensor) -> Tensor:
        """What scores are made of, in float32, also under mixed precision, [B, D']."""
        with torch.autocast(outputs.device.type, enabled=False):
            pooled: Tensor = self.dropout(self.pooling(outputs.float(), lengths))  # [B, D']
        return pooled

    def _scores(self, pooled: Tensor) -> Tensor:
        """Scores of labels, [B, K]."""
        with torch.autocast(pooled.device.type, enabled=False):
            scores: Tensor = self.output(pooled)  # [B, K]
        return scores

    def loss(self, outputs: Tensor, lengths: Tensor, targets: Tensor) -> Tensor:
        """The training loss in nats, the mean over texts.

        Args:
            outputs: the encoder's outputs, [B, T, D].
            lengths: tokens in each text, int64 [B], on the CPU.
            targets: with one label per text its id, int64 [B], or `IGNORED` for a label that training has not seen;
                with several zeros and ones, [B, K].

        Returns:
            A scalar.
        """
        pooled = self._pooled(outputs, lengths)  # [B, D']
        if self.late and not self.multi_label and self.weights is None:
            with torch.autocast(outputs.device.type, enabled=False):
                total = linear_cross_entropy(pooled, self.output.weight, self.output.bias, targets)
            return total / max(1, len(targets))
        scores = self._scores(pooled)  # [B, K]
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
        scores = self._scores(self._pooled(outputs, lengths))  # [B, K]
        probabilities = scores.sigmoid() if self.multi_label else scores.softmax(1)  # [B, K]
        return probabilities + (scores - scores)  # 0 of each, or NaN where a score overflowed, which may have hidden it

    @torch.no_grad()
    def score(self, outputs: Tensor, lengths: Tensor) -> Tensor:
        """What `probabilities` are made of.

        Args:
            outputs: the encoder's outputs, [B, T, D].
            lengths: tokens in each text, int64 [B], on the CPU.

        Returns:
            The probabilities of labels, [B, K]; if there are more labels than features, the pooled vectors, [B, D'].
        """
        return self._pooled(outputs, lengths) if self.late else self.decode(outputs, lengths)

    @torch.no_grad()
    def probabilities(self, scores: Tensor) -> Iterator[Tensor]:
        """The probabilities of labels, of a part of the texts at a time if there are many labels.

        Args:
            scores: what `score` gave for N texts.

        Yields:
            p(label | text), [n, K], of the next n texts; those of the texts after them may overwrite it.
        """
        softened = scores.new_empty(0)
        for _, part in row_parts(scores, self.output, scored=not self.late):
            if not self.late:
                yield part
            elif self.multi_label:
                yield part.sigmoid_()
            else:
                yield torch.softmax(part, 1, out=softened.resize_(part.shape))
