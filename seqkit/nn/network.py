"""Input module + encoder + head as one module: a batch → the encoder's outputs."""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from seqkit.nn.encoder import Encoder, EncoderOutput
from seqkit.nn.recurrent import State
from seqkit.nn.sequences import SequenceDropout


class Encoded(NamedTuple):
    """What a network makes of a batch; all that a head reads.

    Attributes:
        outputs: the encoder's outputs, [B, T, D], zero past a sequence's end.
        lengths: steps of each sequence, int64 [B], on the CPU.
        batch: what was encoded.
        state: the encoder's state after the last step, if it was asked for.
    """

    outputs: Tensor
    lengths: Tensor
    batch: Any
    state: tuple[State, ...] | None = None


class Network(nn.Module):
    """The trainable whole of a model.

    Args:
        input: a module batch → [B, T, I] with an `output_size`.
        encoder: sequences of vectors → sequences of vectors.
        head: a module whose input size is the encoder's output size.
        dropout: the probability of dropping a feature of the input's vectors.
        variational: one dropout mask a sequence instead of one per step.
    """

    input: Any
    encoder: Encoder
    head: Any

    def __init__(
        self, input: nn.Module, encoder: Encoder, head: nn.Module, *, dropout: float = 0.0, variational: bool = True
    ) -> None:
        super().__init__()
        self.input = input
        self.encoder = encoder
        self.head = head
        self.dropout = SequenceDropout(dropout, variational=variational)

    def forward(
        self,
        batch: Any,
        *,
        state: tuple[State, ...] | None = None,
        features: Tensor | None = None,
        return_state: bool = False,
    ) -> Encoded:
        """Encode a batch.

        Args:
            batch: what the input module reads, B sequences; its `lengths` are their steps, int64 [B], on the CPU.
            state: the encoder's state before the first step; zeros by default.
            features: further features of every step, [B, C].
            return_state: also return the state after the last step.

        Returns:
            See `Encoded`.
        """
        x: Tensor = self.input(batch)  # [B, T, I]
        if features is not None:
            further = features.unsqueeze(1).expand(-1, x.shape[1], -1)  # [B, T, C]
            x = torch.cat([x, further.to(x.dtype)], 2)  # [B, T, I + C]
        output = cast("EncoderOutput", self.encoder(self.dropout(x), batch.lengths, state, return_state=return_state))
        return Encoded(output.outputs, batch.lengths, batch, output.state)
