"""Any field of labels of frames: read, or refused in one line; and what is read is written in every form."""

from __future__ import annotations

import json
import random
from functools import partial

from harness import fuzz

from seqkit.errors import DataError
from seqkit.formats.runs import Clock, LabelReader, duration, field_values, runs_of, to_frames, to_steps, unit_of
from seqkit.formats.schemes import SCHEMES
from seqkit.formats.writers import WRITERS
from seqkit.metrics.frames import frame_tagging_report
from seqkit.records import FrameRecord, TaggedFrames, TaggedRun

RUNS = b'[{"start": 0, "end": 3, "label": "a"}, {"start": 3.0, "end": 5, "label": 7}]'
SEEDS = (
    RUNS,
    b'[{"start": 0.25, "end": 0.5, "label": "a"}, {"start": 0.5, "end": 0.875, "label": "a"}]',
    b'["a", "a", "b", "O", 1, 1.5, "a", "B-x"]',
    b'["B-x", "I-x", "O", "B-y", "B-y", "I-y", "O", "O"]',
    b"[]",
    json.dumps(RUNS.decode()).encode(),
)
WORDS = (
    *(b'{"start": 1, "end": 2, "label": "b"}', b'"start"', b'"end"', b'"label"', b'"B-x"', b'"I-x"', b'"O"', b'""'),
    *(b"null", b"true", b"[", b"]", b"{", b"}", b",", b":", b'"\\u0000"', b'"\\ud800"', b'"\\u2028"', b"-1", b"1e400"),
)


class Vectors:
    shape = (8, 2)


def test_frame_labels() -> None:
    def read(content: bytes, draw: random.Random) -> None:
        try:
            value = json.loads(content)
        except (ValueError, RecursionError):
            value = content.decode("utf-8", "surrogateescape")
        record = FrameRecord(Vectors(), name="a.npy", fields={"labels": value}, file="d.jsonl", line=1, frames=8)
        clock = draw.choice((None, Clock(8.0, 0.125), Clock(100.0, 0.025)))
        unit_of([record], "labels")
        scheme = draw.choice(SCHEMES)
        reader = LabelReader("labels", draw.choice(("frames", "seconds")), "O", scheme, clock)
        labels = reader(record)
        reader.notes()
        assert len(labels) == 8
        assert all(isinstance(label, str) and label for label in labels)
        step = draw.randint(1, 9)
        steps = to_steps(labels, step, scheme)
        assert len(steps) == -(-8 // step)
        again = to_frames(steps, step, 8, scheme)
        assert len(again) == 8
        frame_tagging_report([labels], [again], scheme, tolerance=draw.choice((0.0, 1.5)))
        answer = TaggedFrames(record, labels, [TaggedRun(*run) for run in runs_of(labels, scheme) if run.label != "O"])
        if clock is not None:
            answer.seconds = partial(clock.seconds, frames=8, duration=duration(record, clock))
        for form in ("jsonl", "textgrid", "audacity"):
            try:
                WRITERS[form](answer).encode()
            except DataError:
                assert form != "jsonl"
                assert clock is None
        if scheme == "none":
            values = field_values(FrameRecord(Vectors(), fields=answer.to_json(), frames=8), "labels")
            same = FrameRecord(Vectors(), fields={"labels": values}, frames=8)
            assert LabelReader("labels", "frames")(same) == labels

    fuzz("frame_labels", read, seeds=SEEDS, words=WORDS)
