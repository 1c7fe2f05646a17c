"""Many to many, aligned, of sequences of vectors: a label for every frame, and runs with their times."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from seqkit.errors import SettingsError
from seqkit.formats.runs import (
    LabelReader,
    runs_of,
    to_frames,
    to_steps,
    unit_of,
)
from seqkit.formats.schemes import detect_scheme
from seqkit.formats.writers import clean
from seqkit.heads.base import StepTargets, some
from seqkit.heads.tagging.head import Tagging, refuse_table
from seqkit.heads.tagging.labels import TagCodec
from seqkit.heads.tagging.runs import RunStream
from seqkit.heads.tagging.settings import TagFramesOptions, TagFramesSettings
from seqkit.heads.times import clock_of, seconds_of
from seqkit.inputs.base import Documents
from seqkit.inputs.frames import FrameInput
from seqkit.metrics.frames import FrameTaggingReport, frame_tagging_report
from seqkit.records import FrameRecord, TaggedFrames, TaggedRun
from seqkit.terminal import code

_TOLERANCE = {"seconds": 0.05, "frames": 5.0}
"""by how much both ends of a run may be off; of notes 50 ms are usual (https://mir-eval.readthedocs.io)"""


class FrameTagging(Tagging):
    """A label for every frame, by a CRF or a softmax over the steps of the encoder, each of one or several frames.

    Step t stands for the `frames.stride` frames from frame t · stride on, however many it reads (`frames.stack`): it
    learns the label of frame t · stride + stride // 2, and its own label is that of all of them.

    Args:
        settings: the settings of the model.
        codec: labels ↔ ids of tags.
        input: what the network reads.
        notes: lines for the user on the labels that were read.
        transitions: see `Tagging`.
    """

    def __init__(
        self,
        settings: TagFramesSettings,
        codec: TagCodec,
        input: FrameInput,
        notes: Sequence[str] = (),
        transitions: bool = False,
    ) -> None:
        super().__init__(settings, codec, 0, transitions)
        self.input = input
        self._notes = list(notes)

    @classmethod
    def build(cls, settings: TagFramesSettings, records: Sequence[FrameRecord], input: Any) -> FrameTagging:
        """See `Head.build`."""
        data = settings.data
        # Runs are spans only if that is asked for; what lists of labels mark is to be seen.
        scheme: str = "none" if data.scheme == "auto" else data.scheme
        reader = cls._reader(settings, input, scheme)
        input.lengths(records)  # after which each record knows how many frames it has
        labels = [reader(record) for record in records]
        if data.scheme == "auto" and not reader.runs:
            scheme = detect_scheme(labels)
        codec = TagCodec.build(labels, scheme, data.target)
        refuse_table(len(codec.tags), crf=settings.head.crf, spans=codec.encoding != "none")
        found = cls(settings, codec, input, reader.notes())
        found._notes += found._lost(labels)
        return found

    @classmethod
    def restore(cls, settings: TagFramesSettings, documents: Documents, input: Any) -> FrameTagging:
        """See `Head.restore`."""
        codec = TagCodec.from_json(documents["labels.json"])
        return cls(settings, codec, input, transitions=cls._saved_transitions(settings, codec, documents))

    @property
    def kinds(self) -> list[str]:
        """The labels that runs may have, and that of what is outside of runs if labels mark no spans."""
        labels = list(self.codec.tags.labels)
        return labels if self.codec.encoding == "none" else sorted({label[2:] for label in labels if label != "O"})

    # --- labels ---------------------------------------------------------------------------------------------------

    @staticmethod
    def _reader(settings: TagFramesSettings, input: FrameInput, scheme: str, **options: Any) -> LabelReader:
        data = settings.data
        times = options.get("times") or data.times
        unit = ("seconds" if input.acoustics is not None else "frames") if times == "auto" else times
        target = options.get("target") or data.target
        rate = _asked_rate(input, options.get("frame_rate", 0.0)) or data.frame_rate
        return LabelReader(target, unit, data.outside, scheme, clock_of(input, rate))

    def _labels(self, records: Sequence[FrameRecord], target: str, **options: Any) -> list[list[str]]:
        """One label a frame."""
        if options.get("times") == "auto":
            options["times"] = unit_of(records, target)
        reader = self._reader(self.settings, self.input, self.codec.scheme, target=target, **options)
        self.input.lengths(records)
        return [reader(record) for record in records]

    def targets(self, records: Sequence[FrameRecord]) -> StepTargets:
        """See `Head.targets`."""
        return StepTargets([self.codec.encode(self._steps(row)) for row in self._labels(records, self.codec.target)])

    def _steps(self, labels: Sequence[str]) -> list[str]:
        return to_steps(labels, self.settings.frames.step, self.codec.scheme)

    def _lost(self, labels: Sequence[Sequence[str]]) -> list[str]:
        """Of how many runs no step is left: a line for the user."""
        step, scheme = self.settings.frames.step, self.codec.scheme
        if step == 1:
            return []
        all, kept = (sum(len(runs_of(row, scheme)) for row in rows) for rows in (labels, map(self._steps, labels)))
        lost = f"steps of {step} frames are too long for {all - kept:,} of {all:,} runs, which are lost"
        return [f"{lost}; --set frames.stride={max(1, step // 2)} has shorter ones"] if kept < all else []

    # --- prediction -----------------------------------------------------------------------------------------------

    def decode(
        self, scores: Tensor, lengths: Tensor, records: Sequence[FrameRecord], options: TagFramesOptions
    ) -> list[TaggedFrames]:
        """See `Head.decode`."""
        rate = _asked_rate(self.input, options.frame_rate)
        decoded, tags = self._decoded(scores, lengths, options)
        sizes = lengths.tolist()
        probs = self._token_probs(decoded) if options.probs else [None] * len(records)
        return [
            self._answer(record, row, None if values is None else values[:size], rate)
            for record, row, values, size in zip(records, tags, probs, sizes, strict=True)
        ]

    def _answer(
        self, record: FrameRecord, tags: list[int], probs: list[float] | None, frame_rate: float
    ) -> TaggedFrames:
        count, step = self.input.count(record), self.settings.frames.step
        labels = to_frames(self.codec.decode(tags), step, count, self.codec.scheme)
        found = self.labelled(record, labels, frame_rate)
        if probs is not None:
            found.probs = [prob for prob in probs for _ in range(step)][:count]
            total = np.cumsum([0.0, *found.probs])  # so that each frame is added once
            for run in found.runs:
                run.prob = min(1.0, float(total[run.end] - total[run.start]) / (run.end - run.start))
        return found

    def labelled(self, record: FrameRecord, labels: list[str], frame_rate: float = 0.0) -> TaggedFrames:
        """A sequence with its labels, found or given, and the runs that they make.

        Args:
            record: the sequence.
            labels: one label a frame.
            frame_rate: frames a second of arrays; 0 for the model's.

        Returns:
            As a prediction, without probabilities.
        """
        scheme = self.codec.scheme
        outside = self.settings.data.outside if scheme == "none" else None
        found = TaggedFrames(record, labels, target=self.codec.target, unit=self._unit)
        found.runs = [TaggedRun(*run) for run in runs_of(labels, scheme) if run.label != outside]
        found.seconds = seconds_of(
            record, len(labels), clock_of(self.input, frame_rate or self.settings.data.frame_rate)
        )
        return found

    def stream(self, options: TagFramesOptions) -> RunStream:
        """See `Head.stream` and `RunStream`."""
        return RunStream(
            self._label_stream(options),
            step=self.settings.frames.step,
            scheme=self.codec.scheme,
            outside=self.settings.data.outside if self.codec.scheme == "none" else None,
            clock=clock_of(self.input, _asked_rate(self.input, options.frame_rate) or self.settings.data.frame_rate),
            unit=self._unit,
        )

    @property
    def _unit(self) -> str:
        return self._reader(self.settings, self.input, "none").unit

    def empty(self, record: FrameRecord, options: TagFramesOptions) -> TaggedFrames:
        """See `Head.empty`."""
        return TaggedFrames(record, [], target=self.codec.target, unit=self._unit)

    # --- evaluation -----------------------------------------------------------------------------------------------

    def report(
        self,
        gold: Sequence[Sequence[str]],
        answers: Sequence[TaggedFrames],
        baseline: Any = None,
        tolerance: float | None = None,
        frame_rate: float = 0.0,
    ) -> FrameTaggingReport:
        """See `Head.report` and `seqkit.metrics.frames.frame_tagging_report`; the tolerance is in seconds if known."""
        clock = clock_of(self.input, frame_rate or self.settings.data.frame_rate)
        unit = "frames" if clock is None else "seconds"
        tolerance = _TOLERANCE[unit] if tolerance is None else tolerance
        return frame_tagging_report(
            gold,
            [answer.labels for answer in answers],
            self.codec.scheme,
            outside=self.settings.data.outside,
            tolerance=tolerance,
            unit=unit,
            frames=tolerance if clock is None else tolerance * clock.rate,
        )

    def dev_scores(self, report: FrameTaggingReport) -> dict[str, float]:
        """See `Head.dev_scores`."""
        return {"accuracy": report.accuracy, "run_f1": report.near.f1}

    def error(self, gold: Sequence[str], answer: TaggedFrames) -> str:
        """See `Head.error`: a line for each stretch of frames with a wrong label."""
        pairs = list(zip(gold, answer.labels, strict=True))
        keys = [f"{right}\t{guess}" if right != guess else "" for right, guess in pairs]
        seconds = answer.seconds
        name = " ".join(answer.sentence.text.split())
        stretches = (run for run in runs_of(keys) if run.label)
        rows = []
        for run in stretches:
            places = (
                (run.start, run.end) if seconds is None else (f"{seconds(each):.3f}" for each in (run.start, run.end))
            )
            rows.append("\t".join([name, *map(str, places), run.label]) + "\n")
        return clean("".join(rows))

    # --- what is told ---------------------------------------------------------------------------------------------

    def notes(self, records: Sequence[FrameRecord], targets: Any) -> list[str]:
        """See `Head.notes`."""
        field = repr(self.codec.target)
        if self.codec.encoding != "none":
            learned = f"learning spans from field {field}, marked by {self.codec.scheme}: {some(self.kinds)}"
        else:
            learned = f"learning a label for each frame from field {field}: {some(self.kinds, 8)}"
        return [learned, *self._notes]

    def usage(self) -> str:
        """See `Head.usage`: of `show`."""
        return "FILE -o picture.png"

    def description(self) -> list[str]:
        """See `Head.description`."""
        lines = super().description()
        clock = clock_of(self.input, self.settings.data.frame_rate)
        steps = self.settings.frames.step
        outside = f"{code(self.settings.data.outside)} where there is none"
        lines[0] = f"- Field of the labels: {code(self.codec.target)}, runs in {self._unit}, {outside}"
        if steps > 1:
            lines.append(f"- Resolution: {steps} frames" + (f", {steps / clock.rate:g} seconds" if clock else ""))
        return lines


def _asked_rate(input: FrameInput, frame_rate: float) -> float:
    """The frames a second of arrays that are asked for; a `SettingsError` where the model reads recordings."""
    if frame_rate and input.acoustics is not None:
        raise SettingsError("frame_rate is for arrays; this model reads recordings, which tell it themselves")
    return frame_rate
