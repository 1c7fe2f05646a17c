"""Pairs of sequences: their soft alignment, their comparison, and both as one vector."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from seqkit.nn.encoder import Encoder
from seqkit.nn.pooling import Pooling
from seqkit.nn.sequences import token_mask


def align(first: Tensor, second: Tensor, first_lengths: Tensor, second_lengths: Tensor) -> tuple[Tensor, Tensor]:
    r"""Align the steps of two sequences by attention (Parikh et al. 2016; Chen et al. 2017, equations 11 to 13).

    .. math:: e_{ij} = a_i \cdot b_j, \quad
        \tilde a_i = \sum_j \frac{\exp e_{ij}}{\sum_k \exp e_{ik}} b_j, \quad
        \tilde b_j = \sum_i \frac{\exp e_{ij}}{\sum_k \exp e_{kj}} a_i

    Args:
        first: a, [B, T, D]; values past a sequence's end have no influence.
        second: b, [B, U, D].
        first_lengths: steps of each first sequence, int64 [B], on the CPU.
        second_lengths: steps of each second sequence, int64 [B], on the CPU.

    Returns:
        ã, [B, T, D], and b̃, [B, U, D]: zeros past a sequence's end, and where the other sequence is empty.
    """
    steps = first.shape[1], second.shape[1]
    # A long text and a short one that are padded alike would take the square of the long one's length.
    first = first[:, : _longest(first_lengths)]  # [B, T', D]
    second = second[:, : _longest(second_lengths)]  # [B, U', D]
    inside_first = token_mask(first_lengths, first)  # [B, T']
    inside_second = token_mask(second_lengths, second)  # [B, U']
    first = torch.where(inside_first[:, :, None], first, 0)  # [B, T', D]
    second = torch.where(inside_second[:, :, None], second, 0)  # [B, U', D]
    energy = first @ second.transpose(1, 2)  # [B, T', U']
    inside = inside_first[:, :, None] & inside_second[:, None, :]  # [B, T', U']
    # The least finite number instead of -inf, so that a row of padding alone gives no NaN.
    energy = energy.masked_fill(~inside, torch.finfo(energy.dtype).min)  # [B, T', U']
    to_second = torch.where(inside, energy.softmax(2), 0)  # [B, T', U']
    to_first = torch.where(inside, energy.softmax(1), 0)  # [B, T', U']
    to_first = to_first.transpose(1, 2)  # [B, U', T']
    found = ((to_second @ second, steps[0]), (to_first @ first, steps[1]))  # [B, T', D], [B, U', D]
    aligned, other = (functional.pad(each, (0, 0, 0, size - each.shape[1])) for each, size in found)
    return aligned, other  # [B, T, D], [B, U, D]


def _longest(lengths: Tensor) -> int:
    return int(lengths.max()) if len(lengths) else 0


class Comparison(nn.Module):
    r"""Two encoded sequences, each compared with the other: the core of ESIM (Chen et al. 2017).

    .. math:: m_a = \mathrm{composition}(\mathrm{ReLU}(W [a; \tilde a; a - \tilde a; a \odot \tilde a] + w))

    and the same for b, with ã and b̃ of `align`, and one recurrent encoder for both.

    Args:
        input_size: D.
        composition: sequences of vectors → sequences of vectors; its input size is the size of the projection.
        dropout: the probability of dropping a projected feature.

    Attributes:
        input_size: D.
        output_size: that of the composition.
        forward_size: that of the composition.
    """

    def __init__(self, input_size: int, composition: Encoder, dropout: float = 0.0) -> None:
        super().__init__()
        self.input_size = input_size
        self.projection = nn.Linear(4 * input_size, composition.input_size)
        nn.init.xavier_uniform_(self.projection.weight)
        nn.init.zeros_(self.projection.bias)
        self.dropout = nn.Dropout(dropout)
        self.composition = composition
        self.output_size = composition.output_size
        self.forward_size = composition.forward_size

    def forward(self, outputs: Tensor, lengths: Tensor) -> Tensor:
        """Compare the sequences of B pairs.

        Args:
            outputs: those of an encoder, [2 B, T, D], all first sequences before all second ones.
            lengths: steps of each, int64 [2 B], on the CPU.

        Returns:
            [2 B, T, D'], zero past a sequence's end.
        """
        (first, second), (before, after) = outputs.chunk(2), lengths.chunk(2)  # [B, T, D], [B], twice each
        aligned = torch.cat(align(first, second, before, after))  # [2 B, T, D]
        compared = torch.cat([outputs, aligned, outputs - aligned, outputs * aligned], 2)  # [2 B, T, 4 D]
        projected = self.dropout(torch.relu(self.projection(compared)))  # [2 B, T, P]
        composed: Tensor = self.composition(projected, lengths).outputs  # [2 B, T, D']
        return composed


class PairPooling(nn.Module):
    r"""Two sequences as one vector, :math:`[u; v; |u - v|; u \odot v]` of their pooled vectors (Conneau et al. 2017).

    Args:
        pooling: outputs of sequences → vectors, with an `output_size`; see `seqkit.nn.pooling`.
        comparison: outputs of both → those that are pooled; None to pool what the encoder gave.

    Attributes:
        input_size: D.
        output_size: four times the size of a pooled vector.
    """

    def __init__(self, pooling: Pooling, comparison: Comparison | None = None) -> None:
        super().__init__()
        self.comparison = comparison
        self.pooling = pooling
        self.input_size = pooling.input_size if comparison is None else comparison.input_size
        self.output_size = 4 * pooling.output_size

    def forward(self, outputs: Tensor, lengths: Tensor) -> Tensor:
        """Pool B pairs.

        Args:
            outputs: [2 B, T, D] of an encoder, all first sequences before all second ones; values past a sequence's end
                have no influence.
            lengths: [2 B] int64 on the CPU, each in 0…T.

        Returns:
            [B, output_size].
        """
        if self.comparison is not None:
            outputs = self.comparison(outputs, lengths)  # [2 B, T, D']
        pooled: Tensor = self.pooling(outputs, lengths)  # [2 B, P]
        first, second = pooled.chunk(2)  # [B, P] each
        return torch.cat([first, second, (first - second).abs(), first * second], 1)  # [B, 4 P]
