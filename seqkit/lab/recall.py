"""What is asked at the end of an artificial sequence, as a head: a class or a number at each of its last steps."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from seqkit.heads.base import Head, Loss, RecordTargets
from seqkit.inputs.base import Documents, Input
from seqkit.lab.sequences import MemoryTask
from seqkit.nn.encoder import Encoder
from seqkit.nn.network import Encoded
from seqkit.nn.sequences import to_device
from seqkit.records import FrameRecord


class Answers(NamedTuple):
    """Answers to what a sequence asks.

    Attributes:
        gap: the sequence's gap.
        right: which of them are correct.
    """

    gap: int
    right: list[bool]


class Recall(Head):
    """A linear layer that answers at the last steps. No other head predicts numbers, or at some steps alone.

    Models with it are measured and not kept: they are made by `seqkit.model.base.Model.assemble`, and have no files.

    Args:
        task: what is asked.
    """

    module: nn.Linear

    def __init__(self, task: MemoryTask) -> None:
        self.task = task

    @classmethod
    def build(cls, settings: Any, records: Sequence[FrameRecord], input: Input) -> Recall:
        """Not used, see the class."""
        raise NotImplementedError

    @classmethod
    def restore(cls, settings: Any, documents: Documents, input: Input) -> Recall:
        """Not used, see the class."""
        raise NotImplementedError

    def documents(self) -> dict[str, Any]:
        """See `Head.documents`."""
        return {}

    def make_module(self, encoder: Encoder, inputs: nn.Module, *, training: bool) -> nn.Linear:
        """See `Head.make_module`."""
        self.module = nn.Linear(encoder.output_size, self.task.output_size)
        return self.module

    def targets(self, records: Sequence[FrameRecord]) -> RecordTargets:
        """See `Head.targets`, [S, A]."""
        return RecordTargets(np.array([record.fields["answers"] for record in records]))

    def score(self, encoded: Encoded) -> Tensor:
        """See `Head.score`, [B, A, D]."""
        rows, back = torch.arange(len(encoded.lengths)), torch.arange(-self.task.answers, 0)  # [B], [A]
        steps = encoded.lengths[:, None] + back  # [B, A]
        last = encoded.outputs[
            to_device(rows[:, None], encoded.outputs.device), to_device(steps, encoded.outputs.device)
        ]
        found: Tensor = self.module(last)  # [B, A, D]
        return found

    def loss(self, encoded: Encoded, targets: Tensor) -> Loss:
        """See `Head.loss`; the units are sequences."""
        return Loss(self.task.loss(self.score(encoded), targets), len(targets))

    def decode(self, scores: Tensor, lengths: Tensor, records: Sequence[FrameRecord], options: Any) -> list[Answers]:
        """See `Head.decode`: which answers are correct."""
        wanted = to_device(self.targets(records).collate(np.arange(len(records))), scores.device)  # [B, A]
        gaps = [record.fields["gap"] for record in records]
        return list(map(Answers, gaps, self.task.right(scores, wanted).tolist()))

    def empty(self, record: FrameRecord, options: Any) -> Answers:
        """See `Head.empty`: nothing is asked."""
        return Answers(record.fields["gap"], [])

    def gold(self, records: Sequence[FrameRecord], **options: Any) -> list[list[str]]:
        """See `Head.gold`."""
        return [list(map(str, record.fields["answers"])) for record in records]

    def report(self, gold: Any, answers: Sequence[Answers], baseline: Any = None) -> dict[str, float]:
        """The share of correct answers for each gap; see `Head.report`."""
        found: defaultdict[int, list[bool]] = defaultdict(list)
        for gap, right in answers:
            found[gap] += right
        return {f"gap {gap}": sum(right) / len(right) for gap, right in found.items()}

    def dev_scores(self, report: dict[str, float]) -> dict[str, float]:
        """See `Head.dev_scores`."""
        return report
