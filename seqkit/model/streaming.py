"""A model over sequences that are still going on: chunks in, answers out as soon as they are certain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from seqkit.devices import precision_context
from seqkit.errors import SettingsError
from seqkit.model.pipeline import check_pipeline, not_finite
from seqkit.nn.network import Encoded
from seqkit.nn.stream import EncoderStream

if TYPE_CHECKING:
    from seqkit.model.base import Model

_PRECISION = "fp32"
"""in which streams are computed, whatever other predictions are computed in"""


class Stream:
    """One model over one sequence after the other. For one thread at a time, of a model that is not trained meanwhile.

    The answers are those of the whole sequence, except where they depend on what comes later than the head waits for
    (see its `seqkit.heads.base.Head.stream`). Time and memory of a chunk do not depend on what came before.

    Args:
        model: a model whose encoder reads forward only.
        options: an object of the task's options class.

    Attributes:
        lag: how many further steps are read before an answer is given; 0 where it is given at once.

    Raises:
        SettingsError: the input, the encoder or the head cannot be streamed, or not with these options.
    """

    def __init__(self, model: Model, options: Any) -> None:
        check_pipeline(model.device, _PRECISION)
        self._model = model
        self._decided = model.head.stream(options)
        self.lag: int = self._decided.lag
        direction = model.settings.encoder.direction
        if direction != "forward":
            raise SettingsError(
                f"encoder.direction is {direction}: the encoder reads a sequence from its end, too, which a stream "
                "does not wait for; train with --direction forward"
            )
        self._vectors = model.input.stream(model.network.input)
        self._encoder = EncoderStream(model.network.eval().encoder)

    @torch.inference_mode()
    def accept(self, chunk: Any) -> list[Any]:
        """Read the next part of a sequence.

        Args:
            chunk: what the input reads, such as a list of tokens; it may be empty.

        Returns:
            The answers that are now certain.

        Raises:
            DataError: the input reads something else.
            ModelError: what the network computes is not finite.
        """
        with precision_context(_PRECISION, self._model.device):
            return self._read(self._vectors.accept(chunk))

    @torch.inference_mode()
    def finish(self) -> list[Any]:
        """End the sequence; what comes next begins another one.

        Returns:
            The answers that are left.

        Raises:
            ModelError: what the network computes is not finite.
        """
        with precision_context(_PRECISION, self._model.device):
            found = [*self._read(self._vectors.finish()), *self._decided.finish()]
        self._encoder.finish()
        return found

    def _read(self, vectors: Tensor) -> list[Any]:
        """The answers after some vectors, [1, t, I]."""
        if not vectors.shape[1]:
            return []
        head, lengths = self._model.head, torch.tensor([vectors.shape[1]])
        scores = head.score(Encoded(self._encoder.accept(vectors), lengths, None))  # [1, t, …]
        if not bool(head.sound(scores, lengths)):
            raise not_finite("what the network computes of the stream", _PRECISION)
        found: list[Any] = self._decided.accept(scores)
        return found
