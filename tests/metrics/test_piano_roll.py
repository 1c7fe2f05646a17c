from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from seqkit.errors import DataError
from seqkit.metrics.piano_roll import piano_roll_png

matplotlib_image = pytest.importorskip("matplotlib.image")

COLOURS = {"prompt": (0x7A, 0x87, 0x94), "continuation": (0xD1, 0x49, 0x5B), "piece": (0x2E, 0x6F, 0x95)}


def drawn(path: Path) -> dict[str, int]:
    """How many points have the colour of each part."""
    picture = np.rint(255 * matplotlib_image.imread(path)[..., :3]).astype(int)
    return {name: int((picture == colour).all(-1).sum()) for name, colour in COLOURS.items()}


def roll(frames: int) -> np.ndarray:
    found = np.zeros((frames, 88), np.uint8)
    found[:, 30] = found[::2, 40] = 1
    return found


def test_a_piece_has_one_colour(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    assert piano_roll_png(roll(40), file, title="a $x$ b") == ""
    found = drawn(file)
    assert found["piece"] > 1000
    assert found["prompt"] == found["continuation"] == 0


def test_prompt_and_continuation_have_colours_of_their_own(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    piano_roll_png(roll(40), file, prompt=10, frames_per_quarter=2)
    found = drawn(file)
    assert found["piece"] == 0
    assert found["continuation"] > 2 * found["prompt"] > 0
    piano_roll_png(roll(40), file, prompt=99)
    assert drawn(file)["continuation"] < 500  # only in the legend


def test_of_a_long_piece_the_beginning_is_drawn(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    assert piano_roll_png(roll(1_000), file) == f"{file}: the first 800 of 1,000 frames are drawn"


def test_silence(tmp_path: Path) -> None:
    piano_roll_png(np.zeros((3, 88)), tmp_path / "a.png")
    assert drawn(tmp_path / "a.png")["piece"] == 0


def test_nothing_to_draw(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        piano_roll_png(np.zeros((0, 88)), tmp_path / "a.png")
    assert str(caught.value) == "no frames to draw a piano roll of"
    with pytest.raises(ValueError, match=r"expected frames of shape \[N, 88\], found \[3, 87\]"):
        piano_roll_png(np.zeros((3, 87)), tmp_path / "a.png")
    with pytest.raises(DataError) as caught:
        piano_roll_png(roll(3), tmp_path / "x" / "a.png")
    assert str(caught.value) == f"{tmp_path / 'x' / 'a.png'}: cannot be written: No such file or directory"
