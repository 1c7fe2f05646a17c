from __future__ import annotations

import itertools
import re
from functools import partial

import pytest

from seqkit.errors import DataError
from seqkit.formats.intervals import file_stem
from seqkit.formats.runs import Clock
from seqkit.formats.writers import WRITERS
from seqkit.records import FrameRecord, TaggedFrames, TaggedRun


def tagged(runs: list[tuple[int, int, str]], count: int, *, known: bool = True) -> TaggedFrames:
    clock = Clock(10.0, 0.1)
    seconds = partial(clock.seconds, frames=count, duration=count / 10) if known else None
    labels = ["O"] * count
    for start, end, label in runs:
        labels[start:end] = [label] * (end - start)
    source = FrameRecord(None, name="x/a.wav", key="audio", file="d.jsonl", line=2, frames=count)
    return TaggedFrames(source, labels, [TaggedRun(*run) for run in runs], seconds=seconds, unit="seconds")


def intervals(text: str) -> list[tuple[float, float, str]]:
    """The intervals of a TextGrid in the long form, read as its definition says: numbers and quoted texts count."""
    values = re.findall(r'"((?:[^"]|"")*)"|(?<![\w\[])(\d+(?:\.\d+)?)(?![\w\]])', text)
    flat = [quoted.replace('""', '"') if quoted or not number else float(number) for quoted, number in values]
    assert flat[:4] == ["ooTextFile", "TextGrid", 0.0, flat[3]]
    assert flat[4:7] == [1.0, "IntervalTier", "labels"]
    assert flat[7:9] == [0.0, flat[3]]
    found = [(flat[place], flat[place + 1], flat[place + 2]) for place in range(10, len(flat), 3)]
    assert len(found) == flat[9]
    assert found[0][0] == 0
    assert found[-1][1] == flat[3]
    assert all(one[1] == other[0] for one, other in itertools.pairwise(found))
    return found


def test_a_textgrid_covers_the_whole_sequence() -> None:
    text = WRITERS["textgrid"](tagged([(1, 3, "a"), (3, 4, 'say "b"'), (6, 8, "ü")], 10))
    expected = [(0, 0.1, ""), (0.1, 0.3, "a"), (0.3, 0.4, 'say "b"'), (0.4, 0.6, ""), (0.6, 0.8, "ü"), (0.8, 1, "")]
    assert intervals(text) == expected
    assert intervals(WRITERS["textgrid"](tagged([], 3))) == [(0, 0.3, "")]
    assert intervals(WRITERS["textgrid"](tagged([(0, 3, "a")], 3))) == [(0, 0.3, "a")]


def test_labels_of_audacity() -> None:
    rows = WRITERS["audacity"](tagged([(1, 3, "a"), (6, 8, "b c")], 10))
    assert rows == "0.100000\t0.300000\ta\n0.600000\t0.800000\tb c\n"
    assert WRITERS["audacity"](tagged([], 3)) == ""


@pytest.mark.parametrize("form", ["textgrid", "audacity"])
def test_without_a_rate_there_are_no_seconds(form: str) -> None:
    with pytest.raises(DataError) as caught:
        WRITERS[form](tagged([(0, 1, "a")], 3, known=False))
    told = "it is not known how many frames a second the arrays have, so runs have no times in seconds"
    assert str(caught.value) == f"d.jsonl:2: 'x/a.wav': {told}; --frame-rate N says it"


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("a.wav", "a"),
        ("../../etc/passwd.wav", "passwd"),
        ("C:\\x\\a.b.wav", "a.b"),
        ("all.npz#../0007", "all-.._0007"),
        ("", "sequence-7"),
        ("..", ".."),
        ("a\n\0.wav", "a__"),
    ],
)
def test_files_are_called_as_sequences_are(name: str, stem: str) -> None:
    found = file_stem(FrameRecord(None, name=name, line=7))
    assert found == stem
    assert not set(found) & set("/\\\0")


def test_json_has_runs_in_both_units_where_they_are_known() -> None:
    found = tagged([(1, 3, "a")], 10)
    found.runs[0].prob = 0.12345678
    run = {"start": 0.1, "end": 0.3, "label": "a", "start_frame": 1, "end_frame": 3, "prob": 0.123457}
    assert found.to_json() == {"audio": "x/a.wav", "labels": [run], "unit": "seconds"}
    found.unit = "frames"
    run = {"start": 1, "end": 3, "label": "a", "start_second": 0.1, "end_second": 0.3, "prob": 0.123457}
    assert found.to_json() == {"audio": "x/a.wav", "labels": [run], "unit": "frames"}
    found.seconds = None
    run = {"start": 1, "end": 3, "label": "a", "prob": 0.123457}
    assert found.to_json() == {"audio": "x/a.wav", "labels": [run], "unit": "frames"}
