"""Embedding + encoder + head as one module: the numbers of a batch → the encoder's outputs."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from seqkit.nn.dropout import SequenceDropout
from seqkit.nn.embedding import FormBatch, WordEmbedding
from seqkit.nn.encoder import Encoder, EncoderOutput

__all__ = ["Network"]


class Network(nn.Module):
    """The trainable whole of a model.

    Args:
        embedding: unique words → vectors.
        encoder: sequences of vectors → sequences of vectors.
        head: a module of `seqkit.heads` whose input size is the encoder's output size.
        dropout: the probability of dropping a feature of a word's vector, one mask a sentence.
    """

    def __init__(self, embedding: WordEmbedding, encoder: Encoder, head: nn.Module, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.embedding = embedding
        self.encoder = encoder
        self.head = head
        self.dropout = SequenceDropout(dropout)

    def forward(self, forms: FormBatch, index: Tensor, lengths: Tensor) -> EncoderOutput:
        """Encode a batch of sentences.

        Args:
            forms: the unique words of the batch, U of them.
            index: the position of every token's word among them, int64 [B, T].
            lengths: tokens in each sentence, int64 [B], on the CPU.

        Returns:
            See `EncoderOutput`.
        """
        return self.encode(self.embedding(forms), index, lengths)

    def encode(self, vectors: Tensor, index: Tensor, lengths: Tensor) -> EncoderOutput:
        """Encode a batch of sentences whose words have their vectors already.

        Args:
            vectors: one vector a unique word, [U, I].
            index: the position of every token's word among them, int64 [B, T].
            lengths: tokens in each sentence, int64 [B], on the CPU.

        Returns:
            See `EncoderOutput`.
        """
        x = functional.embedding(index, vectors)  # [B, T, I]
        output: EncoderOutput = self.encoder(self.dropout(x), lengths)
        return output
