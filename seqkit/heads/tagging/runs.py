"""Runs of labels of a sequence of vectors that is still going on, each as soon as it has ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from torch import Tensor

from seqkit.formats.runs import Clock, runs_of
from seqkit.heads.tagging.stream import LabelStream, StepLabel
from seqkit.inputs.frame_stream import Extent
from seqkit.records import TaggedRun


@dataclass(slots=True)
class TimedRun(TaggedRun):
    """A run of a stream.

    Args:
        times: its start and end in seconds; None where that is not known.
    """

    times: tuple[float, float] | None = None


class RunStream:
    """See `seqkit.heads.base.Head.stream`; the answers are a `TimedRun` for each run, in order.

    A run has ended where the label of the next step begins another one, or with the sequence. What is kept of one that
    goes on does not grow.

    Args:
        labels: what decides on the labels of steps.
        step: frames of a step.
        scheme: how labels mark spans.
        outside: the label that marks no run.
        clock: when frames are; None where that is not known.
        unit: what ``start`` and ``end`` are in JSON.

    Attributes:
        lag: how many steps a label waits for others.
    """

    def __init__(
        self, labels: LabelStream, *, step: int, scheme: str, outside: str | None, clock: Clock | None, unit: str
    ) -> None:
        self._labels, self._step, self._scheme, self._outside = labels, step, scheme, outside
        self._clock, self._unit = clock, unit
        self.lag = labels.lag
        self._begin()

    def _begin(self) -> None:
        self._steps = 0  # whose labels are known
        self._held: list[str] = []  # the first and the last label of the run that may go on
        self._start, self._total, self._last = 0, 0.0, 0.0  # its first step, its probabilities, the last one of these

    def accept(self, scores: Tensor, extent: Extent | None = None) -> list[TimedRun]:
        """Read the next steps.

        Args:
            scores: what `TaggingHead.score` gave, [1, t, K] or [1, t, D].
            extent: not used.

        Returns:
            The runs that have ended.
        """
        return self._ended(self._labels.accept(scores))

    def finish(self, extent: Extent) -> list[TimedRun]:
        """End the sequence; what comes next begins another one.

        Args:
            extent: how long it was.

        Returns:
            The runs that had not ended before.
        """
        found = self._ended(self._labels.finish())
        if self._held:
            (run,) = runs_of(self._held, self._scheme)
            beyond = self._steps * self._step - extent.frames  # frames that the last step has too few
            total = self._total * self._step - self._last * beyond
            found += self._made(self._start * self._step, extent.frames, run.label, total, extent)
        self._begin()
        return found

    def _ended(self, answers: Sequence[StepLabel]) -> list[TimedRun]:
        labels = [*self._held, *(answer.label for answer in answers)]
        probs = [answer.prob or 0.0 for answer in answers]
        sums = list(accumulate(probs, initial=0.0))  # of the first n steps that are new
        shift = len(self._held)
        runs = runs_of(labels, self._scheme)
        goes_on = runs.pop() if runs and runs[-1].end == len(labels) else None
        found: list[TimedRun] = []
        for run in runs:
            start, total = self._beginning(run.start, sums[run.end - shift])
            total -= sums[max(0, run.start - shift)]
            found += self._made(
                start * self._step, (self._steps + run.end - shift) * self._step, run.label, total * self._step
            )
        if goes_on is None:
            self._held = []
        else:
            start, total = self._beginning(goes_on.start, sums[-1])
            self._start, self._total = start, total - sums[max(0, goes_on.start - shift)]
            self._held = [labels[goes_on.start], *labels[goes_on.start + 1 :][-1:]]
        self._steps += len(answers)
        self._last = probs[-1] if probs else self._last
        return found

    def _beginning(self, place: int, total: float) -> tuple[int, float]:
        """The first step of a run, and a sum of probabilities with those of its steps that came before."""
        if self._held and not place:
            return self._start, self._total + total
        return self._steps + place - len(self._held), total

    def _made(self, start: int, end: int, label: str, total: float, extent: Extent | None = None) -> list[TimedRun]:
        """A run of frames, unless it is outside of runs."""
        if label == self._outside:
            return []
        run = TimedRun(start, end, label, min(1.0, total / (end - start)) if self._labels.probs else None)
        if self._clock is not None:
            frames = -1 if extent is None else extent.frames  # the end, which lies elsewhere, has not come
            duration = 0.0 if extent is None else self._clock.duration(extent.frames, extent.seconds)
            run.times = (self._clock.seconds(start, frames, duration), self._clock.seconds(end, frames, duration))
        return [run]

    def to_json(self, answer: TimedRun) -> dict[str, Any]:
        """An answer as a JSON object, as `seqkit.records.TaggedFrames.to_json` has it."""
        return answer.to_json(answer.times, self._unit)
