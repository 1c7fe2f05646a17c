"""Many to many, shifted: every frame of keys predicted from those before it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from torch import Tensor, nn

from seqkit.heads.base import Head, Loss
from seqkit.inputs.base import Documents
from seqkit.inputs.keys import KeyInput
from seqkit.metrics.frame_model import FrameReport
from seqkit.nn.bernoulli import Bernoulli, mean_nats, nats
from seqkit.nn.chain import working_type
from seqkit.nn.encoder import Encoder
from seqkit.nn.network import Encoded
from seqkit.nn.sequences import token_mask
from seqkit.records import FrameRecord, ScoredFrames


class FrameModelling(Head):
    """The next frame: a Bernoulli distribution for each key.

    Args:
        input: the frames that are read, which are those that are predicted.
    """

    module: Bernoulli

    def __init__(self, input: KeyInput) -> None:
        self.input = input

    @classmethod
    def build(cls, settings: Any, records: Sequence[Any], input: Any) -> FrameModelling:
        """See `Head.build`."""
        return cls(input)

    @classmethod
    def restore(cls, settings: Any, documents: Documents, input: Any) -> FrameModelling:
        """See `Head.restore`."""
        return cls(input)

    def documents(self) -> dict[str, Any]:
        """See `Head.documents`: none but those of the input."""
        return {}

    def make_module(self, encoder: Encoder, inputs: nn.Module, *, training: bool) -> Bernoulli:
        """See `Head.make_module`."""
        self.module = Bernoulli(encoder.output_size, self.input.keys)
        return self.module

    def targets(self, records: Sequence[Any]) -> None:
        """See `Head.targets`: the input says them."""

    def loss(self, encoded: Encoded, targets: Any) -> Loss:
        """See `Head.loss`: nats a frame."""
        inside = token_mask(encoded.lengths, encoded.outputs)  # [B, T]
        return Loss(mean_nats(self.module(encoded.outputs), encoded.batch.frames, inside), int(encoded.lengths.sum()))

    def score(self, encoded: Encoded) -> Tensor:
        """See `Head.score`: ln p of each sequence, [B, 1]."""
        each = nats(self.module(encoded.outputs), encoded.batch.frames)  # [B, T]
        each = each.masked_fill(~token_mask(encoded.lengths, encoded.outputs), 0.0)  # [B, T]
        return -each.to(working_type(each.device)).sum(1, keepdim=True)

    def decode(self, scores: Tensor, lengths: Tensor, records: Sequence[Any], options: Any) -> list[ScoredFrames]:
        """See `Head.decode`."""
        found = zip(records, scores[:, 0].tolist(), lengths.tolist(), strict=True)
        return [ScoredFrames(record, log_prob, frames) for record, log_prob, frames in found]

    def empty(self, record: Any, options: Any) -> ScoredFrames:
        """See `Head.empty`; there is none, since every sequence has a frame."""
        raise AssertionError(record)  # pragma: no cover

    def gold(self, records: Sequence[Any], **options: Any) -> list[list[str]]:
        """See `Head.gold`: there are no labels."""
        return []

    def learned(self, records: Sequence[FrameRecord]) -> Iterator[Sequence[str]]:
        """See `Head.learned`: the frames, of which the input has a checksum."""
        yield from ()

    def report(
        self, gold: Sequence[Sequence[str]], answers: Sequence[ScoredFrames], baseline: Any = None
    ) -> FrameReport:
        """See `Head.report`."""
        frames = sum(answer.units for answer in answers)
        loss = -math.fsum(answer.log_prob for answer in answers) / max(1, frames)
        by_sequence = math.fsum(answer.nats_per_frame for answer in answers) / max(1, len(answers))
        return FrameReport(loss, by_sequence, frames, len(answers))

    def dev_scores(self, report: FrameReport) -> dict[str, float]:
        """See `Head.dev_scores`."""
        return {"score": -report.loss, "loss": report.loss}

    def usage(self) -> str:
        """See `Head.usage`."""
        return "-o piece.mid"

    def notes(self, records: Sequence[Any], targets: Any) -> list[str]:
        """See `Head.notes`."""
        return [f"{sum(self.input.lengths(records)):,} frames of {self.input.keys} keys to learn from"]

    def description(self) -> list[str]:
        """See `Head.description`."""
        return ["- Predicts each frame of keys from those before it"]
