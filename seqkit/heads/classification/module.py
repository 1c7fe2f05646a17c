"""Many to one: the outputs for a text's tokens are pooled, and scores of labels are computed for the whole text."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from seqkit.nn.parts import row_parts
from seqkit.nn.softmax import IGNORED, linear_cross_entropy


class PooledHead(nn.Module):
    """Numbers from the pooled outputs of an encoder: an affine layer, perhaps with a hidden one before it.

    Args:
        pooling: outputs of an encoder → vectors, with an `output_size`.
        output_size: how many numbers.
        hidden: the size of a layer with ReLU before the last one; 0 for none.
        dropout: the probability of dropping a feature of the pooled vector, and of the hidden layer.
    """

    def __init__(self, pooling: nn.Module, output_size: int, *, hidden: int = 0, dropout: float = 0.0) -> None:
        super().__init__()
        self.pooling = pooling
        self.dropout = nn.Dropout(dropout)
        size = int(pooling.output_size)  # type: ignore[arg-type]
        self.hidden = nn.Linear(size, hidden) if hidden else None
        self.output = nn.Linear(hidden or size, output_size)
        for layer in filter(None, (self.hidden, self.output)):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def _pooled(self, outputs: Tensor, lengths: Tensor) -> Tensor:
        """What the last layer reads, in float32, also under mixed precision, [B, D']."""
        with torch.autocast(outputs.device.type, enabled=False):
            pooled: Tensor = self.dropout(self.pooling(outputs.float(), lengths))  # [B, P]
            if self.hidden is not None:
                pooled = self.dropout(torch.relu(self.hidden(pooled)))  # [B, H]
        return pooled

    def _scores(self, pooled: Tensor) -> Tensor:
        """What the last layer gives, [B, K]."""
        with torch.autocast(pooled.device.type, enabled=False):
            scores: Tensor = self.output(pooled)  # [B, K]
        return scores


class RegressionHead(PooledHead):
    r"""A number from the pooled outputs of an encoder, :math:`\mu + \sigma s`, where s is what the last layer gives.

    The loss is the squared error of standardised numbers, :math:`(s - (y - \mu) / \sigma)^2`.

    Args:
        pooling: see `PooledHead`.
        mean: μ, the mean of the training targets.
        deviation: σ, their standard deviation.
        hidden: see `PooledHead`.
        dropout: see `PooledHead`.
    """

    def __init__(
        self, pooling: nn.Module, mean: float, deviation: float, *, hidden: int = 0, dropout: float = 0.0
    ) -> None:
        super().__init__(pooling, 1, hidden=hidden, dropout=dropout)
        self.mean = mean
        self.deviation = deviation

    def loss(self, outputs: Tensor, lengths: Tensor, targets: Tensor) -> Tensor:
        """The training loss, the mean over texts.

        Args:
            outputs: the encoder's outputs, [B, T, D].
            lengths: tokens in each text, int64 [B], on the CPU.
            targets: the standardised numbers, float32 [B].

        Returns:
            A scalar.
        """
        found = self._scores(self._pooled(outputs, lengths)).squeeze(1)  # [B]
        return functional.mse_loss(found, targets.to(found))

    @torch.no_grad()
    def score(self, outputs: Tensor, lengths: Tensor) -> Tensor:
        """The predicted numbers.

        Args:
            outputs: the encoder's outputs, [B, T, D].
            lengths: tokens in each text, int64 [B], on the CPU.

        Returns:
            [B, 1].
        """
        return self._scores(self._pooled(outputs, lengths)).double() * self.deviation + self.mean  # [B, 1]


class ClassificationHead(PooledHead):
    r"""Scores of labels from the pooled outputs of an encoder.

    With one label per text the loss is the cross-entropy :math:`-w_y \log \mathrm{softmax}(s)_y`; with several, each
    label is decided independently, :math:`-\sum_k w_k y_k \log \sigma(s_k) + (1 - y_k) \log \sigma(-s_k)`.

    Args:
        pooling: see `PooledHead`.
        num_labels: K.
        multi_label: whether a text may have several labels, or none.
        weights: w above, [K]; None for equal weights.
        hidden: see `PooledHead`.
        dropout: see `PooledHead`.

    Attributes:
        late: whether `score` gives what the last layer reads, which are fewer numbers than probabilities.

    Raises:
        ValueError: the number of weights differs from the number of labels.
    """

    weights: Tensor | None

    def __init__(
        self,
        pooling: nn.Module,
        num_labels: int,
        *,
        multi_label: bool = False,
        weights: Tensor | None = None,
        hidden: int = 0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(pooling, num_labels, hidden=hidden, dropout=dropout)
        if weights is not None and weights.shape != (num_labels,):
            raise ValueError(f"expected weights of shape [{num_labels}], found {list(weights.shape)}")
        self.multi_label = multi_label
        self.late = num_labels > self.output.in_features
        self.register_buffer("weights", weights, persistent=False)  # only training needs them

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
