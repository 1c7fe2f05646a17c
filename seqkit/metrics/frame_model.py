"""How well a model predicts frames of keys: nats a frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from seqkit.metrics.scores import plural


@dataclass(frozen=True)
class FrameReport:
    r"""The scores of a model on sequences of frames.

    .. math:: \ell = -\frac{1}{\sum_s N_s} \sum_s \sum_{n=1}^{N_s} \ln p(y_{s,n} \mid y_{s,1} \dots y_{s,n-1})

    Args:
        loss: nats a frame, :math:`\ell`: the mean over all frames of all sequences.
        loss_by_sequence: the mean over the sequences of the mean over the frames of each, in which every sequence
            counts the same, however long it is.
        frames: the number of frames.
        sentences: the number of sequences.
    """

    loss: float
    loss_by_sequence: float
    frames: int
    sentences: int

    def to_json(self) -> dict[str, Any]:
        """The report as a JSON object.

        Returns:
            ``sentences`` (sequences), ``tokens``, ``units`` and ``frames`` (the same number), ``loss`` (nats a frame)
            and ``loss_by_sequence``.
        """
        return {
            "sentences": self.sentences,
            "tokens": self.frames,
            "units": self.frames,
            "frames": self.frames,
            "loss": self.loss,
            "loss_by_sequence": self.loss_by_sequence,
        }

    def render(self, width: int = 80) -> str:
        """The report as text.

        Args:
            width: not used: the lines are short.

        Returns:
            Lines without a final line ending.
        """
        return "\n".join(
            [
                f"loss  {self.loss:9.4f} nats a frame, the mean over all frames",
                f"      {self.loss_by_sequence:9.4f} nats a frame, the mean over sequences of their means",
                "",
                f"{plural(self.frames, 'frame')} of {plural(self.sentences, 'sequence')}",
            ]
        )
