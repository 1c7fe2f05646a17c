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
        delay: how many further units of the input a step of the encoder waits for; of words 0, of frames see
            `seqkit.inputs.frame_stream.VectorStream`.
        extent: of sequences of vectors, how long the one was that was finished last.

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
        self.delay: int = self._vectors.delay
        self.extent: Any = self._vectors.extent
        self._encoder = EncoderStream(model.network.eval().encoder)

    @torch.inference_mode()
    def accept(self, chunk: Any) -> list[Any]:
        """Read the next part of a sequence.

        Args:
            chunk: what the input reads: a list of tokens, frames [n, F], or samples [n]; it may be empty.

        Returns:
            The answers that are now certain.

        Raises:
            DataError: the input reads something else.
            ModelError: what the network computes is not finite.
        """
        with precision_context(_PRECISION, self._model.device):
            return self._read(self._vectors.accept(chunk))

    @torch.inference_mode()
    def finish(self, seconds: float | None = None) -> list[Any]:
        """End the sequence; what comes next begins another one.

        Args:
            seconds: how long a recording was that has been resampled to the model's rate, see
                `seqkit.formats.audio.AudioFile.seconds`; by default as long as the samples that were read.

        Returns:
            The answers that are left.

        Raises:
            DataError: the sequence was too short.
            ModelError: what the network computes is not finite.
        """
        with precision_context(_PRECISION, self._model.device):
            left = self._vectors.finish()  # [1, t, I]
            self.extent = self._vectors.extent if seconds is None else self._vectors.extent._replace(seconds=seconds)
            found = [*self._read(left, self.extent), *self._decided.finish(self.extent)]
        self._encoder.finish()
        return found

    def to_json(self, answer: Any) -> dict[str, Any]:
        """An answer as ``predict --stream`` writes it.

        Args:
            answer: one that `accept` or `finish` gave.

        Returns:
            A JSON object; times in it are in seconds where the model's offline answers have such.
        """
        found: dict[str, Any] = self._decided.to_json(answer)
        return found

    def _read(self, vectors: Tensor, extent: Any = None) -> list[Any]:
        """The answers after some vectors, [1, t, I], with the sequence's extent after its last ones."""
        if not vectors.shape[1]:
            return []
        head, lengths = self._model.head, torch.tensor([vectors.shape[1]])
        scores = head.score(Encoded(self._encoder.accept(vectors), lengths, None))  # [1, t, …]
        if not bool(head.sound(scores, lengths)):
            raise not_finite("what the network computes of the stream", _PRECISION)
        found: list[Any] = self._decided.accept(scores, extent)
        return found
