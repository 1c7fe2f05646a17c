"""Embedding + encoder + head as one module: the numbers of a batch → the encoder's outputs."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from seqkit.nn.dropout import SequenceDropout
from seqkit.nn.embedding import TypeBatch, WordEmbedding
from seqkit.nn.encoder import Encoder, EncoderOutput
from seqkit.nn.recurrent import State

__all__ = ["Network"]


class Network(nn.Module):
    """The trainable whole of a model.

    Args:
        embedding: unique words → vectors.
        encoder: sequences of vectors → sequences of vectors.
        head: a module of `seqkit.heads` whose input size is the encoder's output size.
        dropout: the probability of dropping a feature of a word's vector.
        variational: one mask a sentence instead of one a word.
        context: another network, frozen, whose outputs are features of this one's words.
    """

    def __init__(
        self,
        embedding: WordEmbedding,
        encoder: Encoder,
        head: nn.Module,
        *,
        dropout: float = 0.0,
        variational: bool = True,
        context: Network | None = None,
    ) -> None:
        super().__init__()
        self.context = context
        self.embedding = embedding
        self.encoder = encoder
        self.head = head
        self.dropout = SequenceDropout(dropout, variational=variational)

    def forward(self, types: TypeBatch, index: Tensor, lengths: Tensor, **options: Any) -> EncoderOutput:
        """Encode a batch of sentences.

        Args:
            types: the unique words of the batch, U of them.
            index: the position of every token's word among them, int64 [B, T].
            lengths: tokens in each sentence, int64 [B], on the CPU.
            **options: the other arguments of `encode`.

        Returns:
            See `EncoderOutput`.
        """
        return self.encode(self.embedding(types), index, lengths, **options)

    def encode(
        self,
        vectors: Tensor,
        index: Tensor,
        lengths: Tensor,
        *,
        features: Tensor | None = None,
        state: tuple[State, ...] | None = None,
        return_state: bool = False,
    ) -> EncoderOutput:
        """Encode a batch of sentences whose words have their vectors already.

        Args:
            vectors: one vector a unique word, [U, I]; there may be rows that no token asks for.
            index: the position of every token's word among them, int64 or int32 [B, T].
            lengths: tokens in each sentence, int64 [B], on the CPU.
            features: further features of each token, put beside its word's vector, [B, T, C].
            state: the encoder's state before the first step; zeros by default.
            return_state: also return the state after the last step.

        Returns:
            See `EncoderOutput`.
        """
        x = functional.embedding(index, vectors)  # [B, T, I]
        if features is not None:
            x = torch.cat([x, features.to(x.dtype)], 2)  # [B, T, I + C]
        output: EncoderOutput = self.encoder(self.dropout(x), lengths, state, return_state=return_state)
        return output
