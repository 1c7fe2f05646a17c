"""The encoder over a sequence that comes in chunks: the state after each is that before the next."""

from __future__ import annotations

import torch
from torch import Tensor

from seqkit.nn.encoder import Encoder
from seqkit.nn.recurrent import State


class EncoderStream:
    """An encoder that only reads forward, over one sequence after the other, each in chunks of any size.

    The outputs are those of the whole sequence; what is kept does not grow with it.

    Args:
        encoder: the encoder, set to evaluation.

    Raises:
        ValueError: it also reads backward, from the end of a sequence, which has not come yet.
    """

    def __init__(self, encoder: Encoder) -> None:
        if any(directions != ("forward",) for directions in encoder.directions):
            raise ValueError("expected an encoder of direction forward")
        self._encoder = encoder
        self._state: tuple[State, ...] | None = None

    def accept(self, x: Tensor) -> Tensor:
        """Read the next steps.

        Args:
            x: their vectors, [B, t, I]; t may be 0.

        Returns:
            The outputs of these steps, [B, t, D].
        """
        lengths = torch.full((x.shape[0],), x.shape[1])  # [B]
        outputs, self._state = self._encoder(x, lengths, self._state, return_state=True)
        found: Tensor = outputs
        return found

    def finish(self) -> None:
        """End the sequence; what comes next begins another one."""
        self._state = None
