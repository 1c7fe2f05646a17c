"""Features of recordings equal a reference written from their definition, however the recording is cut."""

from __future__ import annotations

import random
import subprocess
import sys

import numpy as np
import pytest

from seqkit.errors import SettingsError
from seqkit.inputs.audio_settings import AudioSettings

pytest.importorskip("kaldi_native_fbank", reason="needs the extra audio")

from seqkit.inputs.acoustics import Acoustics


def noise(samples: int, seed: int = 0) -> np.ndarray:
    """Noise with a tone, and as loud as speech."""
    times = np.arange(samples)
    return (np.random.default_rng(seed).normal(scale=0.05, size=samples) + 0.3 * np.sin(0.2 * times) + 0.02).astype(
        np.float32
    )


def mel(hertz: np.ndarray | float) -> np.ndarray:
    return 1127 * np.log(1 + np.asarray(hertz) / 700)


def reference(samples: np.ndarray, settings: AudioSettings, rate: int) -> np.ndarray:
    """The features by their definition, in float64, with a loop for every sum."""
    length, shift = round(settings.window * rate / 1000), round(settings.shift * rate / 1000)
    points = 2
    while points < length:
        points *= 2
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / (length - 1))
    edges = np.linspace(mel(settings.low_frequency), mel(settings.high_frequency or rate / 2), settings.bins + 2)
    place = mel(np.arange(points // 2) * rate / points)
    rows = []
    for begin in range(0, len(samples) - length + 1, shift):
        frame = samples[begin : begin + length].astype(np.float64)
        frame = frame - frame.mean()
        before = np.concatenate([frame[:1], frame[:-1]])
        frame = (frame - settings.pre_emphasis * before) * hann**0.85
        power = np.abs(np.fft.rfft(frame, points)[: points // 2]) ** 2
        row = []
        for left, centre, right in zip(edges, edges[1:], edges[2:], strict=False):
            triangle = np.minimum((place - left) / (centre - left), (right - place) / (right - centre))
            row.append(np.log(max(2.0**-23, power @ np.maximum(triangle, 0))))
        rows.append(row)
    features = np.array(rows).reshape(-1, settings.bins)
    if settings.features == "mfcc":
        order, number = np.arange(settings.coefficients)[:, None], np.arange(settings.bins)
        cosines = np.sqrt(2 / settings.bins) * np.cos(np.pi * order * (number + 0.5) / settings.bins)
        cosines[0] /= np.sqrt(2)
        features = features @ cosines.T * (1 + 11 * np.sin(np.pi * order.T / 22))
    columns = [features]
    for _ in range(settings.deltas):
        columns.append(slopes(columns[-1], settings.delta_width))
    return np.concatenate(columns, axis=1)


def slopes(features: np.ndarray, width: int) -> np.ndarray:
    """The slope of the straight line that fits a frame and those around it best, by least squares."""
    padded = np.pad(features, ((width, width), (0, 0)), mode="edge")
    times = np.arange(-width, width + 1)
    return np.array([np.polyfit(times, padded[t : t + 2 * width + 1], 1)[0] for t in range(len(features))])


CASES = [
    (8000, {}),
    (16000, {"bins": 80}),
    (16000, {"features": "mfcc"}),
    (8000, {"features": "mfcc", "bins": 23, "coefficients": 23, "deltas": 2}),
    (11025, {"window": 20.0, "shift": 10.0, "bins": 24, "low_frequency": 0.0, "high_frequency": 4000.0}),
    (44100, {"window": 46.4, "shift": 11.7, "bins": 64, "deltas": 1, "delta_width": 3}),
    (22050, {"window": 25.0, "shift": 25.0, "bins": 30, "pre_emphasis": 0.0, "deltas": 2, "delta_width": 1}),
    (
        48000,
        {"window": 5.0, "shift": 1.0, "bins": 10, "high_frequency": 20000.0, "features": "mfcc", "coefficients": 1},
    ),
    (1000, {"window": 100.0, "shift": 33.3, "bins": 12, "low_frequency": 5.0, "pre_emphasis": 1.0}),
]


@pytest.mark.parametrize(("rate", "values"), CASES)
def test_features_equal_their_definition(rate: int, values: dict) -> None:
    settings = AudioSettings(**values)
    acoustics = Acoustics(settings, rate)
    samples = noise(rate // 2 + 7)
    features = acoustics(samples)
    expected = reference(samples, settings, rate)
    assert features.dtype == np.float32
    assert features.shape == expected.shape == (acoustics.frames(len(samples)), acoustics.size)
    np.testing.assert_allclose(features, expected, rtol=1e-3, atol=1e-3)


def test_features_equal_their_definition_with_settings_drawn_at_random() -> None:
    draw = random.Random(1)
    compared = 0
    while compared < 40:
        rate = draw.choice((4000, 8000, 11025, 16000, 22050, 32000, 44100))
        window = draw.uniform(5, 60)
        values = {
            "features": draw.choice(("logmel", "mfcc")),
            "window": window,
            "shift": draw.uniform(2, window),
            "bins": draw.randrange(3, 60),
            "low_frequency": draw.uniform(0, 300),
            "high_frequency": draw.choice((0.0, draw.uniform(1000, rate / 2))),
            "pre_emphasis": draw.random(),
            "deltas": draw.randrange(3),
            "delta_width": draw.randrange(1, 4),
        }
        values["coefficients"] = draw.randrange(1, values["bins"] + 1)
        settings = AudioSettings(**values)
        try:
            acoustics = Acoustics(settings, rate)
        except SettingsError:  # more filters than the window has frequencies
            continue
        samples = noise(draw.randrange(rate // 4), compared)
        features = acoustics(samples)
        assert features.shape == (acoustics.frames(len(samples)), acoustics.size)
        if len(features):
            np.testing.assert_allclose(features, reference(samples, settings, rate), rtol=1e-3, atol=1e-3)
        compared += 1


def test_a_tone_is_loudest_in_the_filter_around_its_frequency() -> None:
    settings = AudioSettings(low_frequency=100.0, high_frequency=7000.0)
    centres = np.linspace(mel(100.0), mel(7000.0), settings.bins + 2)[1:-1]
    for hertz in (300, 1000, 2500, 6000):
        tone = np.sin(2 * np.pi * hertz * np.arange(8000) / 16000).astype(np.float32)
        loudest = Acoustics(settings, 16000)(tone).mean(axis=0).argmax()
        assert loudest == np.abs(centres - mel(hertz)).argmin()


def test_a_stream_gives_the_same_numbers_however_it_is_cut() -> None:
    draw = random.Random(2)
    for number in range(60):
        settings = AudioSettings(
            features=draw.choice(("logmel", "mfcc")), deltas=draw.randrange(3), delta_width=draw.randrange(1, 5)
        )
        acoustics = Acoustics(settings, 8000)
        samples = noise(draw.choice((0, 1, 199, 200, 280, 700, draw.randrange(6000))), number)
        longest = draw.choice((1, 2, 79, 80, 81, 500, 6000))
        stream, parts, begin = acoustics.stream(), [], 0
        while begin < len(samples):
            size = draw.randrange(1, longest + 1)
            parts.append(stream.accept(samples[begin : begin + size]))
            begin += size
        behind = acoustics.frames(len(samples)) - sum(map(len, parts))
        assert 0 <= behind <= settings.deltas * settings.delta_width
        parts.append(stream.finish())
        np.testing.assert_array_equal(np.concatenate(parts), acoustics(samples))


def test_a_long_recording_that_the_library_is_given_in_blocks_equals_its_parts() -> None:
    acoustics = Acoustics(AudioSettings(deltas=2), 8000)
    samples = noise(150_001)
    stream = acoustics.stream()
    parts = [stream.accept(samples[begin : begin + 1000]) for begin in range(0, len(samples), 1000)]
    np.testing.assert_array_equal(np.concatenate([*parts, stream.finish()]), acoustics(samples))


def test_nothing_is_random_and_silence_is_finite() -> None:
    acoustics = Acoustics(AudioSettings(deltas=2), 8000)
    np.testing.assert_array_equal(acoustics(noise(4000)), acoustics(noise(4000)))
    silence = acoustics(np.zeros(4000, np.float32))
    np.testing.assert_allclose(silence[:, :40], np.log(2.0**-23), rtol=1e-6)
    assert not silence[:, 40:].any()
    assert np.isfinite(acoustics(np.float32(2.0**31) * np.sign(noise(4000)))).all()  # the loudest that is read


def test_a_recording_shorter_than_a_window_has_no_frames() -> None:
    acoustics = Acoustics(AudioSettings(deltas=2), 8000)
    for samples in (0, 1, 199):
        assert acoustics.frames(samples) == 0
        assert acoustics(noise(samples)).shape == (0, 120)
    assert acoustics(noise(200)).shape == (1, 120)


def test_frames_a_second_are_those_of_whole_samples() -> None:
    assert Acoustics(AudioSettings(), 8000).frame_rate == 100
    assert Acoustics(AudioSettings(), 11025).frame_rate == 11025 / 110
    for rate in range(8000, 48000, 97):  # the library counts samples in float32, and cuts off what is not whole
        acoustics = Acoustics(AudioSettings(bins=10), rate)
        assert len(acoustics(noise(rate // 20))) == acoustics.frames(rate // 20)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"shift": 30.0}, "shift 30 must be at most the window of 25 ms"),
        ({"features": "mfcc", "bins": 10}, "coefficients 13 must be at most the 10 bins"),
        ({"low_frequency": 500.0, "high_frequency": 400.0}, "low_frequency 500 must be below high_frequency 400"),
        ({"rate": 8000, "high_frequency": 4001.0}, "high_frequency 4001 must be at most half the rate of 8,000 Hz"),
    ],
)
def test_settings_fit_together(values: dict, message: str) -> None:
    with pytest.raises(ValueError, match="1 validation error") as caught:
        AudioSettings(**values)
    assert f"Value error, {message} [" in str(caught.value)


@pytest.mark.parametrize(
    ("values", "rate", "message"),
    [
        ({"high_frequency": 5000.0}, 8000, "high_frequency 5000 must be at most half the rate of 8,000 Hz"),
        ({"low_frequency": 4000.0}, 8000, "low_frequency 4000 must be below the highest, 4000 Hz"),
        ({"shift": 0.01}, 8000, "window 25 or shift 0.01 ms is too short for 8,000 Hz"),
        ({"window": 0.1, "shift": 0.1}, 8000, "window 0.1 or shift 0.1 ms is too short for 8,000 Hz"),
        (
            {"bins": 100},
            8000,
            "bins 100 is too many for a window of 25 ms at 8,000 Hz: filter 2, from 33 to 61 Hz, has none of its "
            "frequencies; use fewer bins or a longer window",
        ),
    ],
)
def test_settings_fit_the_rate(values: dict, rate: int, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Acoustics(AudioSettings(**values), rate)
    assert str(caught.value) == f"settings: audio: {message}"


def test_as_many_bins_are_accepted_as_the_library_takes() -> None:
    kaldi = pytest.importorskip("kaldi_native_fbank")
    draw = random.Random(3)
    for _ in range(300):
        rate, bins = draw.choice((4000, 8000, 11025, 16000)), draw.randrange(3, 200)
        window = (draw.randrange(8, 700) + 0.25) * 1000 / rate  # rounded and cut off this is the same
        settings = AudioSettings(window=window, shift=window, bins=bins, low_frequency=draw.choice((0.0, 20.0, 133.3)))
        options = kaldi.FbankOptions()
        options.frame_opts.samp_freq = rate
        options.frame_opts.frame_length_ms = window
        options.mel_opts.num_bins = bins
        options.mel_opts.low_freq = settings.low_frequency
        try:
            kaldi.OnlineFbank(options)
            taken = True
        except ValueError:
            taken = False
        try:
            settings.check(rate)
            accepted = True
        except ValueError:
            accepted = False
        assert taken == accepted, (rate, settings)


def test_settings_import_neither_torch_nor_numpy() -> None:
    code = (
        "import sys, seqkit.inputs.audio_settings\n"
        "print(sorted({'torch', 'numpy', 'kaldi_native_fbank', 'scipy'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert result.stdout == "[]\n"
