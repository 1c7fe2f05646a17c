"""Many to many, shifted: every unit of a text predicted from those before it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from seqkit.errors import SettingsError
from seqkit.heads.base import Head, Loss
from seqkit.heads.language_model.module import LanguageModelHead
from seqkit.inputs.base import Documents
from seqkit.inputs.units import UnitInput, target_text
from seqkit.inputs.vocabulary import UNKNOWN
from seqkit.metrics.perplexity import Baseline, PerplexityReport
from seqkit.nn.chain import working_type
from seqkit.nn.encoder import Encoder
from seqkit.nn.network import Encoded
from seqkit.nn.sequences import to_device
from seqkit.nn.softmax import IGNORED
from seqkit.records import ScoredText


class UnitHead(Head):
    """What predicts the units of a text one after the other.

    Args:
        settings: the settings of the model.
        input: the units that it reads, which are those that it predicts.
    """

    def __init__(self, settings: Any, input: UnitInput) -> None:
        self.settings = settings
        self.input = input
        self._embedding: Any = None

    @property
    def table(self) -> Tensor | None:
        """The embedding table, [V, E], where the output layer shares it."""
        table: Tensor | None = self._embedding.table if self.settings.head.tied else None
        return table

    def following(self, encoded: Encoded) -> Tensor:
        """The unit after each step of a batch, int64 [B, T]: the end of the text last, `IGNORED` past it."""
        ids = encoded.batch.ids  # [B, T]
        lengths = to_device(encoded.lengths, ids.device).unsqueeze(1)  # [B, 1]
        steps = torch.arange(ids.shape[1], device=ids.device)  # [T]
        following: Tensor = ids.roll(-1, 1).masked_fill(steps == lengths - 1, self.input.end)  # [B, T]
        return following.masked_fill(steps >= lengths, IGNORED)

    def targets(self, records: Sequence[Any]) -> None:
        """See `Head.targets`: the input says them."""

    def score(self, encoded: Encoded) -> Tensor:
        """See `Head.score`: ln p of each text, and how many of its units are unknown, [B, 2]."""
        following = self.following(encoded)  # [B, T]
        steps: Tensor = self.module.target_log_probabilities(encoded.outputs, following, self.table)  # [B, T]
        dtype = working_type(steps.device)
        return torch.stack([steps.to(dtype).sum(1), (following == UNKNOWN).sum(1).to(dtype)], 1)  # [B, 2]

    def decode(self, scores: Tensor, lengths: Tensor, records: Sequence[Any], options: Any) -> list[ScoredText]:
        """See `Head.decode`."""
        field = self.input.field
        return [
            ScoredText(target_text(record, field), log_prob, units, int(unknown))
            for record, (log_prob, unknown), units in zip(records, scores.tolist(), lengths.tolist(), strict=True)
        ]

    def empty(self, record: Any, options: Any) -> ScoredText:
        """See `Head.empty`; there is none, since every text has an end."""
        raise AssertionError(record)  # pragma: no cover

    def learned(self, records: Sequence[Any]) -> Iterator[Sequence[str]]:
        """See `Head.learned`: the texts."""
        for record in records:
            yield [target_text(record, self.input.field)]

    def report(
        self, gold: Sequence[Sequence[str]], answers: Sequence[ScoredText], baseline: Baseline | None = None
    ) -> PerplexityReport:
        """See `Head.report`: the perplexity of texts, each scored by itself."""
        totals = (sum(values) for values in zip(*((a.log_prob, a.units, a.unknown) for a in answers), strict=True))
        log_prob, units, unknown = totals if answers else (0.0, 0, 0)
        return PerplexityReport(log_prob, int(units), len(answers), int(unknown), self.input.units.kind, baseline)

    def dev_scores(self, report: PerplexityReport) -> dict[str, float]:
        """See `Head.dev_scores`."""
        return {"score": report.score, "perplexity": report.perplexity}

    def notes(self, records: Sequence[Any], targets: Any) -> list[str]:
        """See `Head.notes`."""
        return [f"vocabulary: {len(self.input.indexer.words) - 2:,} units"]


class LanguageModelling(UnitHead):
    """The next unit, of a stream of text."""

    drops_outputs = True
    baseline_scores = Baseline
    module: LanguageModelHead

    @classmethod
    def build(cls, settings: Any, records: Any, input: Any) -> LanguageModelling:
        """See `Head.build`."""
        return cls(settings, input)

    @classmethod
    def restore(cls, settings: Any, documents: Documents, input: Any) -> LanguageModelling:
        """See `Head.restore`."""
        return cls(settings, input)

    def documents(self) -> dict[str, Any]:
        """See `Head.documents`: none but those of the input."""
        return {}

    def make_module(self, encoder: Encoder, inputs: nn.Module, *, training: bool) -> LanguageModelHead:
        """See `Head.make_module`."""
        settings = self.settings
        self._embedding = inputs.embedding
        last = settings.encoder.last_dropout
        try:
            self.module = LanguageModelHead(
                encoder.output_size,
                encoder.forward_size,
                len(self.input.indexer.words),
                tied_size=settings.embedding.word_size if settings.head.tied else None,
                cutoffs=settings.head.cutoffs or None,
                dropout=last if last >= 0 else settings.encoder.dropout,
                variational=settings.encoder.variational,
                ar=settings.head.ar,
                tar=settings.head.tar,
            )
        except ValueError as error:
            raise SettingsError(f"head: {error}") from None
        return self.module

    def loss(self, encoded: Encoded, targets: Tensor) -> Loss:
        """See `Head.loss`; the units are those predicted, of a window in which all sequences are equally long.

        Args:
            encoded: the window.
            targets: its first unit and the one after each, int64 [B, T + 1], on the CPU, where an adaptive softmax
                looks up what it has to compute.

        Returns:
            The loss.
        """
        previous = functional.pad(targets[:, :-2], (1, 0), value=IGNORED)  # [B, T]
        targets = targets[:, 1:]  # [B, T]
        found = self.module.loss(encoded.outputs, encoded.lengths, targets, previous, self.table)
        objective, training = found.objective, self.settings.training
        if training.variable_bptt:  # a unit counts as much in a short window as in a long one
            objective = objective * (targets.shape[1] / training.bptt)
        # What is shown is what perplexity is made of; the gradient is that of the regularised objective.
        return Loss(objective + (found.nats / found.units - objective).detach(), found.units)

    def description(self) -> list[str]:
        """See `Head.description`."""
        return [f"- Units: {self.input.units.kind}, {len(self.input.indexer.words) - 2:,} known"]
