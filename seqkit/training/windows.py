"""Sequences → windows: truncated back-propagation through time, the state carried from window to window of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqkit.devices import precision_context
from seqkit.inputs.batching import training_batches
from seqkit.inputs.keys import KeyArrays
from seqkit.inputs.streams import window_bounds
from seqkit.model.language_model import next_state
from seqkit.training.learner import Computed, RecordLearner
from seqkit.training.streams import CarriedState, States

Integers = NDArray[np.int64]


class PieceWindow(NamedTuple):
    """Some frames of several sequences.

    Attributes:
        begin: the first frame.
        end: the one after the last.
        rows: the sequences that have such frames, the longest first, [B].
        shifts: by how many keys each is moved up, [B].
        first: the first of them that is read.
        last: the one after the last.
    """

    begin: int
    end: int
    rows: Integers
    shifts: Integers
    first: int
    last: int


class WindowLearner(CarriedState, RecordLearner):
    """Learns from sequences of frames, each predicted from all before it.

    A batch of sequences of near-equal length is read window by window, the state carried on and no gradient with it.
    Every sequence begins at zero; one that has ended leaves the batch.
    """

    model: Any
    arrays: KeyArrays

    def batches(self, epoch: int, share: slice) -> Sequence[Any]:
        """See `Learner.batches`: a `PieceWindow` each, those of a batch of sequences before those of the next one."""
        training: Any = self.settings.training
        seed = (training.seed & 0xFFFFFFFF, epoch)
        lengths = self.arrays.lengths
        groups = training_batches(
            lengths,
            batch_size=training.batch_size,
            batch_tokens=training.batch_tokens,
            equal=training.equal_lengths,
            seed=seed,
        )
        shifts = self._shifts(seed)
        found: list[PieceWindow | None] = []
        for group in groups:
            rows = group[np.argsort(-lengths[group], kind="stable")]
            mine = rows[share]
            for begin, end in window_bounds(int(lengths[rows[0]]), training.bptt):
                active = mine[lengths[mine] > begin]  # the first ones: they are sorted
                whole = PieceWindow(begin, end, active, shifts[active], 0, len(active))
                found.append(whole if len(active) else None)
        return found

    def _shifts(self, seed: tuple[int, ...]) -> Integers:
        """By how many keys each sequence is moved up in an epoch, as far as there is room, [S]."""
        most = int(self.model.settings.frames.transpose)
        if not most:
            return np.zeros(len(self.arrays.lengths), np.int64)
        below, above = np.minimum(self._room, most).T  # [S] each
        shifts: Integers = np.random.default_rng((*seed, 1)).integers(-below, above + 1)
        return shifts

    @cached_property
    def _room(self) -> Integers:
        """Free keys below and above each sequence, [S, 2]."""
        rows = range(len(self.arrays.lengths))
        return np.array([self.arrays.room(row) for row in rows], np.int64)

    def compute(self, batch: Any, carried: States | None = None) -> Computed:
        """See `Learner.compute`; the units are the frames that are predicted."""
        model, some = self.model, slice(batch.first, batch.last)
        state = None
        if batch.begin and carried is not None:
            state = tuple(tuple(part[some] for part in parts) for parts in carried)
        window = model.input.window(self.arrays, batch.rows[some], batch.begin, batch.end, batch.shifts[some])
        with precision_context(self.settings.training.precision, model.device):
            encoded = model.encode(window.to(model.device), state=state, return_state=True)
            mean, units = model.head.loss(encoded, None)
        return Computed(mean, units, units, next_state(model.network.encoder, encoded.state))

    def divide(self, batch: Any, count: int) -> Sequence[Any]:
        """See `Learner.divide`: the same frames of fewer sequences."""
        bounds = np.linspace(0, len(batch.rows), min(count, len(batch.rows)) + 1).astype(int).tolist()
        return [batch._replace(first=first, last=last) for first, last in pairwise(bounds)]

    def name(self, batch: Any) -> str:
        """See `Learner.name`."""
        return super().name(batch.rows[batch.first : batch.last])
