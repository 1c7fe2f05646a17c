"""A tagger's auxiliary language-modelling loss: each direction of the encoder predicts the word that it reads next."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from seqkit.nn.embedding import UNKNOWN
from seqkit.nn.sequences import token_mask
from seqkit.nn.softmax import IGNORED

_HIDDEN = 50


class AuxiliaryLanguageModel(nn.Module):
    r"""Predicts the next word from what was read left to right, and the one before from what was read right to left.

    .. math:: L = -\sum_t \log p(w_{t+1} \mid \overrightarrow{h}_t) - \sum_t \log p(w_{t-1} \mid \overleftarrow{h}_t)

    each by a softmax over a small tanh layer. Unlike tags, which are sparse, every token provides a training signal
    (Rei 2017, "Semi-supervised multitask learning for sequence labeling"). A sentence's end and beginning are
    predicted too, as word 0. Neither half may have seen the word that it predicts.

    Args:
        input_size: D of the encoder.
        forward_size: the number of leading features that read left to right; the others read right to left.
        num_words: V; words from this index on are treated as unknown.
    """

    def __init__(self, input_size: int, forward_size: int, num_words: int) -> None:
        super().__init__()
        self.num_words = num_words
        self.sizes = (forward_size, input_size - forward_size)
        self.predictors = nn.ModuleList(
            nn.Sequential(nn.Linear(size, _HIDDEN), nn.Tanh(), nn.Linear(_HIDDEN, num_words))
            for size in filter(None, self.sizes)
        )

    def forward(self, outputs: Tensor, lengths: Tensor, words: Tensor) -> Tensor:
        """The loss, in nats, summed over tokens and directions.

        Args:
            outputs: the encoder's outputs, [B, T, D].
            lengths: tokens in each sentence, int64 [B], on the CPU.
            words: id of each token's word, int64 [B, T]; values past a sentence's end have no influence.

        Returns:
            A scalar.
        """
        inside = token_mask(lengths, words)  # [B, T]
        known = words.masked_fill(words >= self.num_words, UNKNOWN).masked_fill(~inside, 0)  # [B, T]
        after, before = functional.pad(known[:, 1:], (0, 1)), functional.pad(known[:, :-1], (1, 0))  # each [B, T]
        halves = [pair for pair in zip(outputs.split(self.sizes, 2), (after, before), strict=True) if pair[0].shape[2]]
        total = outputs.new_zeros(())
        for predict, (half, targets) in zip(self.predictors, halves, strict=True):
            scores = predict(half).float().flatten(0, 1)  # [B · T, V]
            targets = targets.masked_fill(~inside, IGNORED).flatten()  # [B · T]
            total = total + functional.cross_entropy(scores, targets, ignore_index=IGNORED, reduction="sum")
        return total
