"""Streams of text → windows: truncated back-propagation through time, the state carried from window to window."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from seqkit.devices import precision_context
from seqkit.heads.base import Report
from seqkit.inputs.streams import Corpus, window_bounds
from seqkit.inputs.units import window_batch
from seqkit.metrics.perplexity import Baseline
from seqkit.model.language_model import LanguageModel, next_state
from seqkit.model.ngram_model import NgramLanguageModel
from seqkit.model.scoring import UnitPredictor
from seqkit.nn.recurrent import State
from seqkit.training.learner import MOST_NAMED, Computed, Learner

BASELINE_UNITS = 1 << 23
"""a longer training text gets no baseline: counting it would take a gigabyte and more, which no network here needs"""

States = tuple[State, ...]


class Window(NamedTuple):
    """Some steps of parallel streams.

    Attributes:
        begin: the first step.
        end: the step after the last.
        rows: the streams of this process.
        first: the first of them that is read.
        last: the one after the last; None for all.
    """

    begin: int
    end: int
    rows: range
    first: int = 0
    last: int | None = None


class CarriedState:
    """What a learner has that carries the state of the encoder from one window to the next.

    Attributes:
        model: see `Learner`.
    """

    model: Any

    def join(self, carried: Sequence[States | None]) -> States | None:
        """See `Learner.join`."""
        if len(carried) == 1:
            return carried[0]
        layers = zip(*(state for state in carried if state is not None), strict=True)
        return tuple(tuple(torch.cat(parts) for parts in zip(*layer, strict=True)) for layer in layers)

    def pack(self, carried: States | None) -> dict[str, Tensor]:
        """See `Learner.pack`."""
        layers = carried or ()
        return {f"{layer}.{part}": tensor for layer, parts in enumerate(layers) for part, tensor in enumerate(parts)}

    def unpack(self, tensors: Mapping[str, Tensor]) -> States | None:
        """See `Learner.unpack`."""
        layers: dict[int, list[Tensor]] = {}
        for name in sorted(tensors, key=lambda name: [int(number) for number in name.split(".")]):
            layers.setdefault(int(name.split(".")[0]), []).append(tensors[name].to(self.model.device))
        return tuple(map(tuple, layers.values())) or None


class StreamLearner(CarriedState, Learner):
    """Learns a language model from a text that is cut into as many streams as a batch has rows.

    The streams are read in parallel, window by window. The state is carried from window to window, no gradient with
    it, and begins at zero in every epoch.

    Args:
        model: the model.
        corpora: train, dev and, where there is one, test.
        start: a checksum of what else training depends on.
    """

    model: LanguageModel

    def __init__(self, model: LanguageModel, corpora: Mapping[str, Corpus], start: int = 0) -> None:
        train = corpora["train"]
        super().__init__(model, train.lines, corpora["dev"].checksum(train.checksum(start)))
        self.corpora = corpora
        self.table = model.input.indexer.table(train.types)
        self.streams = train.streams(model.settings.training.batch_size)

    def batches(self, epoch: int, share: slice) -> Sequence[Window | None]:
        """See `Learner.batches`: the windows of all streams."""
        training = self.model.settings.training
        bounds = window_bounds(
            self.streams.length,
            training.bptt,
            variable=training.variable_bptt,
            seed=(training.seed & 0xFFFFFFFF, epoch),
        )
        rows = range(self.streams.batch)[share]
        return [Window(*bound, rows) if rows else None for bound in bounds]

    def compute(self, batch: Window, carried: States | None) -> Computed:
        """See `Learner.compute`; the units are those that are predicted."""
        begin, end, rows, first, last = batch
        some, model = rows[first:last], self.model
        streams = slice(some.start, some.stop, some.step)
        inputs, targets = (part[streams] for part in self.streams.window(begin, end))  # [B, T], [B, T]
        state = None if begin == 0 else _some_rows(carried, slice(first, last))
        with precision_context(model.settings.training.precision, model.device):
            window = window_batch(self.table, inputs).to(model.device)
            encoded = model.encode(window, state=state, return_state=True)
            units_read = np.concatenate([inputs[:, :1], targets], 1)  # [B, T + 1]
            mean, units = model.head.loss(encoded, torch.from_numpy(self.table.words[units_read]))
        return Computed(mean, units, units, next_state(model.network.encoder, encoded.state))

    def divide(self, batch: Window, count: int) -> Sequence[Window]:
        """See `Learner.divide`: the same steps of fewer streams."""
        bounds = np.linspace(0, len(batch.rows), min(count, len(batch.rows)) + 1).astype(int).tolist()
        return [batch._replace(first=first, last=last) for first, last in pairwise(bounds)]

    def name(self, batch: Window) -> str:
        """See `Learner.name`: the lines that the window touches in each stream, counted from 1."""
        ends = np.flatnonzero(self.corpora["train"].numbers == 0)  # of the lines
        rows = batch.rows[batch.first : batch.last]
        spans = []
        for row in rows[:MOST_NAMED]:
            first, last = np.searchsorted(ends, row * self.streams.length + np.array([batch.begin, batch.end - 1])) + 1
            spans.append(f"{first:,}" if first == last else f"{first:,} to {last:,}")
        return f"training lines {', '.join(spans)}" + (", …" if len(rows) > MOST_NAMED else "")

    def evaluate(self) -> dict[str, float]:
        """See `Learner.evaluate`: dev as one stream."""
        return self.model.head.dev_scores(self.model.evaluate_records(self.corpora["dev"]).report)

    def reports(self, dataset: Any) -> dict[str, Report]:
        """See `Learner.reports`; with the perplexity of the baseline, which is counted here."""
        order, train = self.model.settings.head.baseline, self.corpora["train"]
        scored = [split for split in self.corpora if split != "train"]
        self.facts["checksums"] = {split: self.corpora[split].checksum() for split in scored}
        counted = None
        if order and len(train) <= BASELINE_UNITS:
            counted = NgramLanguageModel.beside(self.model.input, train, order)
        return perplexity_reports(self.model, self.corpora, counted)


def perplexity_reports(
    model: UnitPredictor, corpora: Mapping[str, Corpus], baseline: NgramLanguageModel | None = None
) -> dict[str, Report]:
    """Score a language model on dev and, where there is one, test.

    Args:
        model: the model.
        corpora: split → text.
        baseline: a simpler model to report on beside it.

    Returns:
        Split → report.
    """
    found: dict[str, Report] = {}
    for name in ("dev", "test"):
        corpus = corpora.get(name)
        if corpus is not None:
            beside = None
            if baseline is not None:
                beside = Baseline(baseline.name, baseline.evaluate_records(corpus).report.perplexity)
            found[name] = model.evaluate_records(corpus, baseline=beside).report
    return found


def _some_rows(state: States | None, rows: slice) -> States | None:
    """The state of some streams."""
    if state is None or rows == slice(0, None):
        return state
    return tuple(tuple(part[rows] for part in parts) for parts in state)
