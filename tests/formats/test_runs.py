from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seqkit.errors import DataError
from seqkit.formats.audio import AudioFile
from seqkit.formats.runs import Clock, LabelReader, Run, duration, runs_of, to_frames, to_steps, unit_of
from seqkit.formats.schemes import spans
from seqkit.records import FrameRecord


class Vectors:
    def __init__(self, count: int) -> None:
        self.shape = (count, 2)

    def read(self) -> Any:
        return np.zeros(self.shape, np.float32)


def record(labels: Any, count: int = 6, **fields: Any) -> FrameRecord:
    return FrameRecord(
        Vectors(count), name="a.npy", fields={"labels": labels, **fields}, file="d.jsonl", line=3, frames=count
    )


def run(start: Any, end: Any, label: Any = "a") -> dict[str, Any]:
    return {"start": start, "end": end, "label": label}


CLOCK = Clock(100.0, 0.025)
FRAMES = LabelReader("labels", "frames")
SECONDS = LabelReader("labels", "seconds", clock=Clock(10.0, 0.1))


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (list("abcabc"), "abcabc"),
        (["O", 1, 1, 2.5, "O", "O"], ["O", "1", "1", "2.5", "O", "O"]),
        ([], "OOOOOO"),
        ([run(1, 3), run(4.0, 6, "b")], "OaaObb"),
        ([run(4, 6, "b"), run(1, 3)], "OaaObb"),
        ([{**run(0, 6), "prob": 0.5}], "aaaaaa"),
        ('[{"start": 1,\n"end": 3, "label": "a"}]', "OaaOOO"),
        (np.array(list("abcabc")), "abcabc"),
        ((run(1, 2),), "OaOOOO"),
        ([run(0, 1, 7)], "7OOOOO"),
    ],
)
def test_labels_are_read_as_they_are_given(labels: Any, expected: Any) -> None:
    assert FRAMES(record(labels)) == list(expected)


LIST = "expected a list of labels, one a frame, or of runs with start, end and label in field 'labels'"
PLACE = "d.jsonl:3: 'a.npy': "


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (list("abc"), "expected 6 labels in field 'labels', one a frame, found 3"),
        (["a"] * 5 + [None], "expected a label in field 'labels', found None"),
        (["a"] * 5 + [""], "expected a label in field 'labels', found an empty one"),
        (["a"] * 5 + [True], "expected a label in field 'labels', found True"),
        (["a"] * 5 + [run(1, 2)], "expected a label in field 'labels', found {'start': 1, 'end': 2, 'label': 'a'}"),
        (["a"] * 5 + ["a\tb"], "the label 'a\\tb' has a control character; replace it"),
        ([float("nan")] * 6, "expected a label in field 'labels', found nan"),
        (
            "a b c",
            f"{LIST}, found 'a b c'",
        ),
        (
            None,
            f"{LIST}, found None",
        ),
        ([run(1, 2), "a"], "run 2: expected an object with start, end and label, found 'a'"),
        ([{"start": 1, "end": 2}], "run 1: expected an object with start, end and label, found {'start': 1, 'end': 2}"),
        ([run(1, 2), run(3, 3)], "run 2, 3 to 3 frames, does not end after its start"),
        ([run(3, 1)], "run 1, 3 to 1 frames, does not end after its start"),
        ([run(-1, 1)], "run 1, -1 to 1 frames, begins before the sequence"),
        ([run(1, 7)], "run 1, 1 to 7 frames, goes beyond the 6 frames of the sequence"),
        ([run(0, 4), run(3, 5, "b")], "two runs overlap: 0 to 4 and 3 to 5 frames"),
        ([run(3, 5), run(0, 4, "b")], "two runs overlap: 0 to 4 and 3 to 5 frames"),
        ([run(0, 1.5)], "run 1: expected a frame, a whole number, as end, found 1.5; --times seconds reads seconds"),
        ([run("1", 2)], "run 1: expected a number as start, found '1'"),
        ([run(0, True)], "run 1: expected a number as end, found True"),
        ([run(0, float("inf"))], "run 1: expected a number as end, found inf"),
        ([run(0, 10**400)], "run 1: expected a number as end, found " + "1" + "0" * 79 + "…"),
        ([run(0, 1, "")], "run 1: expected a label in field 'labels', found an empty one"),
        ([run(0, 1, ["a"])], "run 1: expected a label in field 'labels', found ['a']"),
    ],
)
def test_what_is_wrong_with_labels_is_said_in_one_line(labels: Any, message: str) -> None:
    with pytest.raises(DataError) as caught:
        LabelReader("labels", "frames")(record(labels))
    assert str(caught.value) == PLACE + message


def test_a_missing_field_is_named() -> None:
    with pytest.raises(DataError) as caught:
        LabelReader("phones", "frames")(record([], speaker="s"))
    expected = "expected a field 'phones' with labels, found 'labels', 'speaker'; --target names another one"
    assert str(caught.value) == PLACE + expected


def test_a_table_with_invalid_json_in_a_cell() -> None:
    with pytest.raises(DataError) as caught:
        FRAMES(record('[{"start": 1'))
    assert str(caught.value) == "d.jsonl:3: invalid JSON at character 13"


def test_seconds_need_to_know_how_many_frames_there_are() -> None:
    with pytest.raises(DataError) as caught:
        LabelReader("labels", "seconds")(record([run(0.1, 0.2)]))
    told = "the runs are in seconds, and the frames a second of the arrays are not known; --frame-rate N says them"
    assert str(caught.value) == PLACE + told


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([run(0, 0.71)], "run 1, 0 to 0.71 seconds, goes beyond the 0.6 seconds of the sequence"),
        (
            [run(0, 6)],
            "run 1, 0 to 6 seconds, goes beyond the 0.6 seconds of the sequence; --times frames reads frames",
        ),
        ([run(0, 0.3), run(0.299, 0.4)], "two runs overlap: 0 to 0.3 and 0.299 to 0.4 seconds"),
    ],
)
def test_what_is_wrong_with_seconds(labels: Any, message: str) -> None:
    with pytest.raises(DataError) as caught:
        SECONDS(record(labels))
    assert str(caught.value) == PLACE + message


def test_seconds_cover_the_frames_whose_middle_they_cover_by_brute_force() -> None:
    draw = random.Random(1)
    for _ in range(200):
        clock = Clock(draw.choice([100.0, 62.5, 80.0, 33.3]), draw.choice([0.025, 0.02, 0.04]))
        count = draw.randint(1, 60)
        found = FrameRecord(Vectors(count), fields={}, frames=count)
        length = duration(found, clock)
        times = sorted(round(draw.uniform(0, length), 4) for _ in range(2 * draw.randint(1, 4)))
        pairs = enumerate(zip(times[::2], times[1::2], strict=True))
        runs = [run(start, end, f"l{number}") for number, (start, end) in pairs if start < end]
        found.fields["labels"] = draw.sample(runs, len(runs))
        reader = LabelReader("labels", "seconds", clock=clock)
        labels = reader(found)
        for frame, label in enumerate(labels):
            middle = frame / clock.rate + clock.window / 2
            inside = [one["label"] for one in runs if one["start"] <= middle < one["end"]]
            near = any(abs(middle - one[end]) < 1e-8 for one in runs for end in ("start", "end"))
            assert near or [label] == (inside or ["O"])
        kept = len({label for label in labels} - {"O"})
        assert (reader.runs, reader.short) == (len(runs), len(runs) - kept)


def test_times_of_runs_are_read_back_as_the_same_frames() -> None:
    draw = random.Random(2)
    for _ in range(200):
        clock, count = Clock(draw.choice([100.0, 62.5]), 0.025), draw.randint(1, 40)
        labels = [draw.choice("aabbO") for _ in range(count)]
        found = FrameRecord(Vectors(count), frames=count)
        length = (count - 1) / clock.rate + clock.window
        runs = [
            run(
                round(clock.seconds(one.start, count, length), 6),
                round(clock.seconds(one.end, count, length), 6),
                one.label,
            )
            for one in runs_of(labels)
            if one.label != "O"
        ]
        found.fields["labels"] = runs
        assert LabelReader("labels", "seconds", clock=clock)(found) == labels
        ends = [clock.seconds(frame, count, length) for frame in range(count + 1)]
        assert ends == sorted(ends)
        assert (ends[0], ends[-1]) == (0.0, length)


def test_a_run_may_go_beyond_the_end_by_the_length_of_a_frame() -> None:
    assert SECONDS(record([run(0.4, 0.69)])) == list("OOOOaa")


def test_runs_as_spans_keep_their_borders() -> None:
    reader = LabelReader("labels", "frames", scheme="iob2")
    assert reader(record([run(0, 2), run(2, 4), run(5, 6, "b")])) == ["B-a", "I-a", "B-a", "I-a", "O", "B-b"]
    assert reader.joined == 0


def test_notes_say_what_became_of_runs() -> None:
    reader = LabelReader("labels", "seconds", clock=Clock(10.0, 0.1))
    assert reader.notes() == []
    reader(record([run(0, 0.2), run(0.2, 0.3), run(0.41, 0.44, "b")]))
    assert reader.notes() == [
        "the runs of field 'labels' are read in seconds (--times)",
        "1 of the 3 runs are so short that they label no frame",
        "1 runs begin where one of the same label ends, and are learned as one with it; --scheme iob2 keeps them apart",
    ]


@pytest.mark.parametrize(
    ("rows", "unit"),
    [
        ([[run(1, 2)], list("abc")], "frames"),
        ([[run(1, 2)], [run(1, 2.0)]], "frames"),
        ([[run(1, 2)], [run(0, 2.5)]], "seconds"),
        ([list("abc")], "frames"),
        ([None, 3, [run(float("inf"), "x")], [{"start": float("nan")}], [1, run(0.5, 1)]], "frames"),
        (['[{"start": 0.5, "end": 1, "label": "a"}]'], "seconds"),
    ],
)
def test_fractions_show_that_runs_are_in_seconds(rows: list[Any], unit: str) -> None:
    assert unit_of([record(row) for row in rows], "labels") == unit


def test_runs_of_recordings_are_in_seconds(tmp_path: Path) -> None:
    assert unit_of([FrameRecord(AudioFile(tmp_path / "a.wav"), fields={"labels": [run(1, 2)]})], "labels") == "seconds"


def test_runs_of_labels() -> None:
    assert runs_of(list("aabOb")) == [Run(0, 2, "a"), Run(2, 3, "b"), Run(3, 4, "O"), Run(4, 5, "b")]
    assert runs_of(["B-x", "I-x", "B-x", "O"], "iob2") == [Run(0, 2, "x"), Run(2, 3, "x")]
    assert runs_of([]) == []


def test_steps_have_the_label_of_their_middle_frame() -> None:
    assert to_steps(list("aabbbcO"), 3, "none") == ["a", "b", "O"]
    assert to_frames(["a", "b", "O"], 3, 7, "none") == list("aaabbbO")
    draw = random.Random(3)
    for _ in range(300):
        count, step = draw.randint(1, 30), draw.randint(1, 6)
        labels = [draw.choice("aabO") for _ in range(count)]
        steps = to_steps(labels, step, "none")
        assert steps == [labels[min(first + step // 2, count - 1)] for first in range(0, count, step)]
        assert to_frames(steps, step, count, "none") == [steps[frame // step] for frame in range(count)]


def test_spans_survive_in_steps_whose_middle_they_cover() -> None:
    draw = random.Random(4)
    for _ in range(300):
        count, step, scheme = draw.randint(1, 30), draw.randint(1, 6), draw.choice(["iob1", "iob2", "bioes"])
        places = sorted(draw.sample(range(count + 1), min(count + 1, 2 * draw.randint(1, 3)) // 2 * 2))
        runs = [run(start, end, draw.choice("xy")) for start, end in zip(places[::2], places[1::2], strict=False)]
        labels = LabelReader("labels", "frames", scheme=scheme)(record(runs, count))
        steps = to_steps(labels, step, scheme)
        middles = [min(first + step // 2, count - 1) for first in range(0, count, step)]
        expected = [next((i for i, one in enumerate(runs) if one["start"] <= m < one["end"]), None) for m in middles]
        found: list[int | None] = [None] * len(steps)
        kept = sorted({number for number in expected if number is not None})
        for number, span in zip(kept, spans(steps, scheme), strict=True):
            assert span.label == runs[number]["label"]
            found[span.start : span.end] = [number] * (span.end - span.start)
        assert found == expected
        again = to_frames(steps, step, count, scheme)
        assert len(again) == count
        assert to_steps(again, step, scheme) == steps
