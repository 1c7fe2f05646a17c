from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seqkit.errors import DataError
from seqkit.metrics.frame_pictures import (
    _COLOURS,
    _PALE,
    _SPACE,
    Bar,
    Peak,
    Stretch,
    _coloured,
    _levels,
    runs_png,
    transcription_png,
)

matplotlib_image = pytest.importorskip("matplotlib.image")


def count(path: Path, colour: str) -> int:
    """How many points have a colour."""
    picture = np.rint(255 * matplotlib_image.imread(path)[..., :3]).astype(int)
    return int((picture == [int(colour[place : place + 2], 16) for place in (1, 3, 5)]).all(-1).sum())


def stretch(frames: int = 40, size: int = 3, rate: float = 0.0, name: str = "x.npy") -> Stretch:
    values = np.random.default_rng(0).normal(size=(frames, size)).astype(np.float32)
    return Stretch(values, np.arange(frames + 1) / (rate or 1.0), bool(rate), name)


def bars(places: list[tuple[int, int, str]]) -> list[Bar]:
    return [Bar(*place) for place in places]


def test_bars_are_as_wide_as_their_runs_and_equal_labels_have_one_colour(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    found = bars([(0, 10, "a"), (10, 40, "b")])
    right = bars([(0, 20, "a"), (20, 40, "b")])
    runs_png(file, stretch(), [("found", found), ("right", right)], labels=["a", "b", "c"], note="half")
    points = [count(file, colour) for colour in _PALE[:3]]
    assert points[1] / points[0] == pytest.approx(50 / 30, rel=0.05)
    assert points[2] == 0
    runs_png(file, stretch(), [("found", found)], labels=["c", "b", "a"], note="")
    assert count(file, _PALE[1]) > 2 * count(file, _PALE[2]) > 100


def test_a_legend_has_the_labels_that_fit_into_none_of_their_bars(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    heights = []
    for label in ("short", "long $x$ " * 30):
        runs_png(file, stretch(), [("found", bars([(0, 30, label), (31, 32, "short")]))], labels=[], note="")
        heights.append(matplotlib_image.imread(file).shape[0])
    assert heights[1] > heights[0]


def test_many_labels_share_colours(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    places = [(place, place + 1, f"label {place}") for place in range(40)]
    runs_png(file, stretch(), [("found", bars(places))], labels=[], note="")
    assert all(count(file, colour) > 20 for colour in (*_PALE, *_COLOURS))


def test_symbols_of_the_text_are_coloured_and_others_are_not(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    posteriors = np.zeros((20, 4), np.float32)  # blank, a, b, space
    posteriors[:, 0] = 1
    posteriors[3:6] = [0, 1, 0, 0]
    posteriors[9:12] = [0, 0.1, 0.6, 0.3]
    given: dict[str, Any] = {"times": np.arange(20) * 2.0 + 1, "posteriors": posteriors, "symbols": ["a", "b", " "]}
    transcription_png(file, stretch(), peaks=[Peak("a", 9.0, 1.0)], found="a", right="a $b", **given)
    assert count(file, _COLOURS[0]) > 100
    assert count(file, _COLOURS[1]) == 0
    tall = matplotlib_image.imread(file).shape[0]
    peaks = [Peak("a", 9.0, 1.0), Peak("b", 21.0, 0.6), Peak(" ", 23.0, 0.3)]
    transcription_png(file, stretch(), peaks=peaks, found="ab ", **given)
    assert all(count(file, colour) > 50 for colour in (_COLOURS[0], _COLOURS[1], _SPACE))
    assert matplotlib_image.imread(file).shape[0] == tall
    transcription_png(file, stretch(), peaks=[], found="", **given)
    assert count(file, _COLOURS[0]) == 0


def test_neighbours_do_not_cover_each_other() -> None:
    """In every row a symbol ends before the next one begins, as long as there are rows."""
    draw = np.random.default_rng(1)
    for _ in range(50):
        times = np.cumsum(draw.uniform(0.05, 0.4, 30))
        peaks = [Peak("w" * int(draw.integers(1, 3)), float(time), 1.0) for time in times]
        edges = np.array([0.0, times[-1] + 1])
        levels = _levels(peaks, edges, 2.0 * edges[-1])  # two inches a second
        for level in set(levels):
            row = [
                (2 * peak.time, 0.085 * len(peak.symbol)) for peak, at in zip(peaks, levels, strict=True) if at == level
            ]
            for (left, before), (right, after) in pairwise(row):
                assert right - left >= (before + after) / 2 - 1e-9
        assert levels[0] == 0


def test_features_that_differ_in_scale_are_compared_with_themselves() -> None:
    values = np.random.default_rng(2).normal(size=(200, 3)).astype(np.float32)
    alike = Stretch(values, np.arange(201.0), False, "")
    assert np.array_equal(_coloured(alike)[0], values)
    assert _coloured(alike)[1] == "value"
    mixed, told = _coloured(Stretch(values * [100, 1, 1] + 5, np.arange(201.0), False, ""))
    assert told == "deviation from\neach feature's mean"
    assert mixed.mean(0) == pytest.approx(np.zeros(3), abs=1e-9)
    assert mixed.std(0) == pytest.approx(np.ones(3))
    energies = Stretch(values * [100, 1, 1], np.arange(201.0), True, "", "mel band", True)
    assert _coloured(energies)[1] == "log energy"


@pytest.mark.parametrize("values", [np.zeros((1, 1)), np.full((3, 2), 7.0)])
def test_frames_without_any_difference(values: np.ndarray, tmp_path: Path) -> None:
    drawn = Stretch(values.astype(np.float32), np.arange(len(values) + 1.0), False, "new\nline $")
    runs_png(tmp_path / "a.png", drawn, [("found", [])], labels=[], note="")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        runs_png(tmp_path / "no" / "a.png", stretch(), [("found", [])], labels=[], note="")
    assert str(caught.value) == f"{tmp_path / 'no' / 'a.png'}: cannot be written: No such file or directory"
