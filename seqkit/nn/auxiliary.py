"""A language-modelling objective beside a tagger's: each direction of the encoder predicts the word it reads next."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from seqkit.nn.device import to_device
from seqkit.nn.masks import length_mask

__all__ = ["AuxiliaryLanguageModel"]

UNKNOWN = 1
_IGNORED = -1
_HIDDEN = 50


class AuxiliaryLanguageModel(nn.Module):
    r"""Predicts the next word from what was read left to right, and the one before from what was read right to left.

    .. math:: L = -\sum_t \log p(w_{t+1} \mid \overrightarrow{h}_t) - \sum_t \log p(w_{t-1} \mid \overleftarrow{h}_t)

    each by a softmax over a small tanh layer. Unlike tags, which are sparse, every token teaches the encoder something
    here (Rei 2017, "Semi-supervised multitask learning for sequence labeling"). A sentence's end and beginning are
    predicted too, as word 0. Neither half may have seen the word that it predicts.

    Args:
        input_size: D of the encoder.
        forward_size: how many leading features read left to right; the others read right to left.
        num_words: V; words from this index on count as unknown.
    """

    def __init__(self, input_size: int, forward_size: int, num_words: int) -> None:
        super().__init__()
        self.num_words = num_words
        self.sizes = (forward_size, input_size - forward_size)
        self.predictors = nn.ModuleList(
            nn.Sequential(nn.Linear(size, _HIDDEN), nn.Tanh(), nn.Linear(_HIDDEN, num_words))
            for size in self.sizes
            if size
        )

    def forward(self, outputs: Tensor, lengths: Tensor, words: Tensor) -> Tensor:
        """The loss, in nats, summed over tokens and directions.

        Args:
            outputs: the encoder's outputs, [B, T, D].
            lengths: tokens in each sentence, int64 [B], on the CPU.
            words: index of each token's word, int64 [B, T]; what stands past a sentence's end does not matter.

        Returns:
            A scalar.
        """
        inside = to_device(length_mask(lengths, words.shape[1]), words.device)  # [B, T]
        known = words.masked_fill(words >= self.num_words, UNKNOWN).masked_fill(~inside, 0)  # [B, T]
        after = functional.pad(known[:, 1:], (0, 1)).masked_fill(~inside, _IGNORED)  # [B, T]
        before = functional.pad(known[:, :-1], (1, 0)).masked_fill(~inside, _IGNORED)  # [B, T]
        halves = zip(outputs.split(self.sizes, 2), (after, before), strict=True)
        total = outputs.new_zeros(())
        for predict, (half, targets) in zip(
            self.predictors, [pair for pair in halves if pair[0].shape[2]], strict=True
        ):
            scores = predict(half).float()  # [B, T, V]
            total = total + functional.cross_entropy(
                scores.flatten(0, 1), targets.flatten(), ignore_index=_IGNORED, reduction="sum"
            )
        return total
