"""Spectra moved along the frequencies in training: against real resampling of recordings, and between both features."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch

from seqkit.config import override
from seqkit.errors import SettingsError
from seqkit.formats.arrays import ArraySource
from seqkit.formats.audio import AudioFile
from seqkit.heads.tagging.settings import TagFramesSettings
from seqkit.inputs.acoustics import Acoustics, _Differences
from seqkit.inputs.audio_settings import AudioSettings
from seqkit.inputs.base import NO_SOURCES
from seqkit.inputs.frames import FrameInput
from seqkit.inputs.warping import Warping
from seqkit.records import FrameRecord

BINS = 30


def cosines(lifter: float) -> np.ndarray:
    """The orthonormal DCT-II of `BINS` filters, liftered: [M, M]."""
    orders, places = np.arange(BINS)[:, None], np.arange(BINS) + 0.5
    matrix = np.cos(np.pi * orders * places / BINS) * np.sqrt(np.where(orders == 0, 1, 2) / BINS)
    return matrix * (1 + lifter / 2 * np.sin(np.pi * orders / lifter)) if lifter else matrix


@pytest.mark.parametrize("features", ["logmel", "mfcc"])
@pytest.mark.parametrize("blocks", [1, 3])
def test_a_factor_of_one_changes_nothing(features: Literal["logmel", "mfcc"], blocks: int) -> None:
    frames = np.random.default_rng(1).normal(size=(7, 13 * blocks)).astype(np.float32)
    bins = 13 if features == "logmel" else 40
    np.testing.assert_allclose(Warping(features, 13, blocks, bins, 100, 4000, 22)(frames, 1.0), frames, atol=1e-5)


@pytest.mark.parametrize("lifter", [0.0, 22.0])
@pytest.mark.parametrize("factor", [0.85, 0.9, 1.2])
def test_coefficients_are_those_of_the_moved_spectrum(lifter: float, factor: float) -> None:
    """A smooth spectrum, whose series has few members, is moved alike as energies and as coefficients."""
    low, high = 100.0, 6000.0
    spectrum = (np.random.default_rng(2).normal(size=(5, 4)) @ cosines(0.0)[:4]).astype(np.float32)  # [N, M]
    moved = Warping("logmel", BINS, 1, BINS, low, high)(spectrum, factor)
    transform = cosines(lifter)
    coefficients = Warping("mfcc", BINS, 1, BINS, low, high, lifter)(
        (spectrum @ transform.T).astype(np.float32), factor
    )
    back = coefficients @ np.linalg.inv(transform).T
    span = spectrum.max() - spectrum.min()
    assert np.abs(back - moved).max() < 0.06 * span < np.abs(spectrum - moved).max()


@pytest.mark.parametrize("lifter", [0.0, 22.0])
@pytest.mark.parametrize("factor", [0.85, 0.9, 1.2])
def test_coefficients_are_those_of_their_series_read_at_other_places(lifter: float, factor: float) -> None:
    """The inverse of the orthonormal transform between the filters, term by term, and the transform of what is read."""
    low, high, size = 100.0, 6000.0, 13
    coefficients = np.random.default_rng(5).normal(size=size) * 10
    plain = coefficients / [1 + lifter / 2 * math.sin(math.pi * n / lifter) if lifter else 1.0 for n in range(size)]
    first, last = (1127 * math.log1p(hertz / 700) for hertz in (low, high))
    distance = (last - first) / (BINS + 1)
    spectrum = np.zeros(BINS)
    for number in range(BINS):
        hertz = 700 * math.expm1((first + (number + 1) * distance) / 1127) / factor
        place = (1127 * math.log1p(hertz / 700) - first) / distance - 1
        place = min(max(place, 0.0), BINS - 1.0)
        terms = [
            value * math.sqrt((2 if n else 1) / BINS) * math.cos(math.pi * n * (place + 0.5) / BINS)
            for n, value in enumerate(plain)
        ]
        spectrum[number] = sum(terms)
    found = Warping("mfcc", size, 1, BINS, low, high, lifter)(coefficients[None].astype(np.float32), factor)
    np.testing.assert_allclose(found[0], (cosines(lifter) @ spectrum)[:size], rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("features", ["logmel", "mfcc"])
@pytest.mark.parametrize("factor", [0.9, 1.1])
def test_a_tone_is_moved_as_its_frequency(features: Literal["logmel", "mfcc"], factor: float) -> None:
    """Features of tones at f, warped, are nearer to those of tones at factor · f than to any others'."""
    rate = 16_000
    acoustics = Acoustics(AudioSettings(features=features, bins=60, coefficients=60, low_frequency=100.0), rate)
    warping = Warping.of_recordings(acoustics.settings, rate)
    seconds = np.arange(rate // 4) / rate

    def tone(hertz: float) -> np.ndarray:
        return acoustics((0.5 * np.sin(2 * np.pi * hertz * seconds)).astype(np.float32)).mean(0, keepdims=True)

    for hertz in (500.0, 1500.0, 3000.0):
        warped = warping(tone(hertz), factor)
        factors = [0.8, 0.9, 1.0, 1.1, 1.2]
        distances = [np.linalg.norm(warped - tone(other * hertz)) for other in factors]
        assert factors[int(np.argmin(distances))] == factor


def test_differences_in_time_are_moved_as_the_features() -> None:
    settings = AudioSettings(features="mfcc", deltas=2)
    acoustics = Acoustics(settings, 8000)
    samples = np.random.default_rng(3).normal(size=8000).astype(np.float32) * 0.1
    frames = acoustics(samples)
    warped = Warping.of_recordings(settings, 8000)(frames, 1.1)
    alone = Warping.of_recordings(AudioSettings(features="mfcc"), 8000)
    np.testing.assert_allclose(warped[:, :13], alone(frames[:, :13], 1.1), atol=1e-4)
    differences = _Differences(settings.delta_width)(warped[:, :13], last=True)
    np.testing.assert_allclose(warped[:, 13:26], differences, atol=1e-4)


def made(arrays: list[np.ndarray], **frames: object) -> tuple[FrameInput, list[FrameRecord]]:
    records = [FrameRecord(ArraySource(array)) for array in arrays]
    return FrameInput.build(override(TagFramesSettings(), {"frames": frames}), records, NO_SOURCES), records


@pytest.mark.parametrize("normalize", ["data", "sequence"])
def test_each_sequence_of_a_training_batch_has_a_factor_of_its_own(normalize: str) -> None:
    draw = np.random.default_rng(4)
    arrays = [draw.normal(size=(6, 13)).astype(np.float32)] * 3
    input, records = made(arrays, warp=0.2, spectrum="mfcc", normalize=normalize)
    read = input.arrays(records)
    torch.manual_seed(1)
    batch = input.training_batch(read, np.arange(3), None).frames
    torch.manual_seed(1)
    factors = 1 + 0.2 * (2 * torch.rand(3, dtype=torch.float64) - 1)
    for row, factor in enumerate(factors.tolist()):
        expected = Warping("mfcc", 13)(arrays[row], factor)
        if normalize == "sequence":
            expected = (expected - expected.mean(0)) / expected.std(0)
        np.testing.assert_allclose(batch[row], expected, atol=1e-4)
    asked = input.collate(read, np.arange(3)).frames
    assert torch.equal(asked[0], asked[1])  # what is asked for is not moved


ARRAYS = [np.ones((3, 13), np.float32)]


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (
            {"warp": 0.1},
            "frames.warp moves a spectrum, and these sequences are arrays of anything; "
            "say by --set frames.spectrum=logmel or mfcc what they hold",
        ),
        (
            {"spectrum": "mfcc"},
            "frames.spectrum says what arrays hold; it is for frames.warp alone; leave it out",
        ),
    ],
)
def test_what_is_warped_has_to_be_said(frames: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        made(ARRAYS, **frames)
    assert str(caught.value) == message


def test_what_recordings_become_is_known(tmp_path: Path) -> None:
    soundfile = pytest.importorskip("soundfile")
    soundfile.write(tmp_path / "a.wav", np.zeros(8000), 8000)
    settings = override(TagFramesSettings(), {"frames": {"warp": 0.1, "spectrum": "mfcc"}})
    with pytest.raises(SettingsError) as caught:
        FrameInput.build(settings, [FrameRecord(AudioFile(tmp_path / "a.wav"))], NO_SOURCES)
    assert str(caught.value) == (
        "frames.spectrum says what arrays hold; of recordings it follows from audio.features; leave it out"
    )
