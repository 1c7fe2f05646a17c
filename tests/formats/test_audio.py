"""Recordings: samples of any kind of file, mixed down and resampled, and every file that is refused."""

from __future__ import annotations

import os
import random
import struct
import sys
from pathlib import Path

import numpy as np
import pytest

from seqkit.errors import DataError, SeqkitError
from seqkit.formats.audio import AudioFile

soundfile = pytest.importorskip("soundfile", reason="needs the extra audio")
pytest.importorskip("scipy", reason="needs the extra audio")


def sine(hertz: float, rate: int, seconds: float = 0.5, loudness: float = 0.5) -> np.ndarray:
    return (loudness * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def write(path: Path, samples: np.ndarray, rate: int = 8000, **how: str) -> AudioFile:
    soundfile.write(path, samples, rate, **how)
    return AudioFile(path)


def message(recording: AudioFile, rate: int = 8000) -> str:
    with pytest.raises(DataError) as caught:
        recording.read(rate)
    return str(caught.value)


@pytest.mark.parametrize(
    ("kind", "subtype", "error"),
    [
        ("WAV", "PCM_U8", 2**-7),
        ("WAV", "PCM_16", 2**-15),
        ("WAV", "PCM_24", 2**-23),
        ("WAV", "PCM_32", 2**-23),
        ("WAV", "FLOAT", 0),
        ("WAV", "DOUBLE", 0),
        ("WAV", "ULAW", 0.02),
        ("WAVEX", "PCM_16", 2**-15),
        ("RF64", "PCM_16", 2**-15),
        ("W64", "PCM_16", 2**-15),
        ("AIFF", "PCM_16", 2**-15),
        ("AU", "PCM_16", 2**-15),
        ("CAF", "PCM_16", 2**-15),
        ("NIST", "PCM_16", 2**-15),
        ("FLAC", "PCM_16", 2**-15),
        ("FLAC", "PCM_24", 2**-23),
        ("OGG", "VORBIS", 0.05),
    ],
)
def test_samples_of_every_type_have_the_same_scale(tmp_path: Path, kind: str, subtype: str, error: float) -> None:
    samples = sine(440, 8000)
    for name in ("a.wav", "a.raw", "no extension"):  # the content tells, not the name
        recording = write(tmp_path / name, samples, format=kind, subtype=subtype)
        read = recording.read(8000)
        assert read.dtype == np.float32
        assert (recording.rate, recording.samples, recording.channels) == (8000, 4000, 1)
        np.testing.assert_allclose(read, samples, atol=error)


def test_the_header_tells_without_a_sample_being_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recording = write(tmp_path / "a.flac", np.zeros((100, 3)), 44100)
    monkeypatch.setattr(soundfile.SoundFile, "read", None)
    assert (recording.rate, recording.samples, recording.channels) == (44100, 100, 3)
    assert recording.samples_at(8000) == 19


def test_channels_are_mixed_down_to_their_mean(tmp_path: Path) -> None:
    draw = np.random.default_rng(1)
    for channels in (2, 3, 8):
        samples = draw.uniform(-1, 1, (1000, channels)).astype(np.float32)
        recording = write(tmp_path / "a.wav", samples, subtype="FLOAT")
        assert recording.channels == channels
        np.testing.assert_allclose(recording.read(8000), samples.astype(np.float64).mean(axis=1), atol=1e-6)


def test_a_recording_of_many_blocks_is_whole(tmp_path: Path) -> None:
    samples = np.random.default_rng(2).uniform(-1, 1, (400_001, 2)).astype(np.float32)
    read = write(tmp_path / "a.wav", samples, 44100, subtype="FLOAT").read(44100)
    np.testing.assert_allclose(read, samples.mean(axis=1), atol=1e-6)


@pytest.mark.parametrize("rate", [1000, 7999, 8000, 11025, 16000, 22050, 44100, 44101, 48000, 96000, 191_999])
@pytest.mark.parametrize("wanted", [8000, 16000, 22051])
def test_resampling_keeps_the_frequency_and_loudness_of_a_tone(tmp_path: Path, rate: int, wanted: int) -> None:
    hertz = 220.0
    recording = write(tmp_path / "a.wav", sine(hertz, rate, seconds=1), rate, subtype="FLOAT")
    read = recording.read(wanted)
    assert read.dtype == np.float32
    assert len(read) == recording.samples_at(wanted)
    assert abs(len(read) - wanted) <= 1
    expected = sine(hertz, wanted, seconds=1)[: len(read)]
    middle = slice(wanted // 10, len(read) - wanted // 10)  # before and after the recording there is silence
    np.testing.assert_allclose(read[middle], expected[middle], atol=5e-3)


def test_the_resampling_filter_is_scipys_own() -> None:
    from scipy.signal import resample_poly

    from seqkit.formats.audio import _low_pass

    samples = np.random.default_rng(7).normal(size=500).astype(np.float32)
    for up, down in ((1, 2), (3, 1), (160, 441), (7, 5)):
        read = resample_poly(samples, up, down, window=_low_pass(max(up, down)))
        np.testing.assert_allclose(read, resample_poly(samples.astype(float), up, down), atol=1e-5)


def test_what_is_above_half_the_rate_is_not_folded_back(tmp_path: Path) -> None:
    read = write(tmp_path / "a.wav", sine(7000, 48000), 48000, subtype="FLOAT").read(8000)
    assert np.abs(read[400:-400]).max() < 0.01


def test_the_number_of_samples_is_known_before_they_are_read(tmp_path: Path) -> None:
    draw = random.Random(3)
    for _ in range(15):
        rate, wanted = draw.choice((8000, 12345, 44100, draw.randrange(500, 50_000))), draw.randrange(500, 50_000)
        recording = write(tmp_path / "a.wav", np.zeros(draw.randrange(1, 3000)), rate)
        assert recording.samples_at(wanted) == len(recording.read(wanted))


# --- what is refused ------------------------------------------------------------------------------------------------


def test_a_fault_names_the_recording_or_the_line_of_its_manifest(tmp_path: Path) -> None:
    missing = tmp_path / "x.wav"
    assert message(AudioFile(missing)) == f"{missing}: cannot be read: No such file or directory"
    told = message(AudioFile(missing, "train.jsonl", 3))
    known = f"train.jsonl:3: recording '{missing}': cannot be read: No such file or directory; looked for in "
    assert told == f"{known}{str(missing.parent)!r}"
    with pytest.raises(DataError) as caught:
        _ = AudioFile(missing).samples
    assert str(caught.value) == f"{missing}: cannot be read: No such file or directory"
    assert message(AudioFile(Path("a\0b.wav"), "train.jsonl", 3)) == (
        r"train.jsonl:3: recording 'a\x00b.wav': cannot be read: embedded null byte"
    )


def test_what_is_not_a_recording_is_refused(tmp_path: Path) -> None:
    assert message(AudioFile(tmp_path)) == f"{tmp_path}: cannot be read: not a file"
    file = tmp_path / "x.wav"
    file.write_bytes(b"")
    assert message(AudioFile(file)) == f"{file}: not a recording that can be read: the file is empty"
    file.write_text("Ada met him.\n", encoding="utf-8")
    told = "it is a text, which begins with 'Ada met him.'"
    assert message(AudioFile(file)) == f"{file}: not a recording that can be read: {told}"
    raw = tmp_path / "x.raw"
    raw.write_bytes(bytes(1000))
    assert message(AudioFile(raw)) == f"{raw}: not a recording that can be read: Format not recognised"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_refused_without_waiting_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.wav")
    assert message(AudioFile(tmp_path / "x.wav")) == f"{tmp_path / 'x.wav'}: cannot be read: not a file"


def test_an_empty_recording_is_refused(tmp_path: Path) -> None:
    for kind in ("wav", "aiff", "ogg"):
        file = tmp_path / f"x.{kind}"
        assert message(write(file, np.zeros(0))) == f"{file}: it has no samples"
    file = tmp_path / "x.flac"  # for which libsndfile writes no header
    assert message(write(file, np.zeros(0))) == f"{file}: not a recording that can be read: the file is empty"


@pytest.mark.parametrize(
    ("value", "shown"), [(np.nan, "nan"), (np.inf, "inf"), (-np.inf, "-inf"), (1e30, "1e+30"), (-3e9, "-3e+09")]
)
@pytest.mark.parametrize("place", [(0, 0), (3999, 1), (399_999, 0)])
def test_samples_that_are_no_sound_are_refused(
    tmp_path: Path, value: float, shown: str, place: tuple[int, int]
) -> None:
    samples = np.zeros((400_000, 2), np.float32)
    samples[place] = value
    file = tmp_path / "x.wav"
    told = message(write(file, samples, subtype="FLOAT"))
    assert told == f"{file}: sample {place[0] + 1:,} is {shown}, expected numbers between -1 and 1"
    assert message(write(file, np.full(10, 1e300), subtype="DOUBLE")).startswith(f"{file}: sample 1 is inf")


def test_loud_samples_of_floating_point_are_read_as_they_are(tmp_path: Path) -> None:
    samples = np.array([0.5, -3, 32767, -(2.0**31)], np.float32)
    np.testing.assert_array_equal(write(tmp_path / "x.wav", samples, subtype="FLOAT").read(8000), samples)


@pytest.mark.parametrize("kind", ["WAV", "WAVEX", "RF64", "AIFF", "AU", "NIST"])
def test_a_header_that_promises_more_samples_than_there_are_is_noticed(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "x.bin"
    write(file, sine(440, 8000), format=kind, subtype="PCM_16")
    content = file.read_bytes()
    extra = 8 if kind == "AIFF" else 0  # its chunk has two numbers before the samples
    header = len(content) - 8000
    for kept in (7998, 4000, 1, 0):
        file.write_bytes(content[: header + kept])
        expected = f"its header promises {8000 + extra:,} bytes of samples, found {kept + extra:,}"
        assert message(AudioFile(file)) == f"{file}: cut short: {expected}"
        with pytest.raises(DataError) as caught:
            _ = AudioFile(file).samples
        assert str(caught.value) == f"{file}: cut short: {expected}"


def test_a_cut_wav_is_noticed_whatever_stands_before_its_samples(tmp_path: Path) -> None:
    file = tmp_path / "x.wav"
    write(file, sine(440, 8000), subtype="PCM_16")
    content = file.read_bytes()
    notes = b"".join(
        b"LIST" + struct.pack("<I", 12 + 7) + b"INFOICMT" + struct.pack("<I", 7) + b"a note\0\0" for _ in range(500)
    )
    begin = content.index(b"data")
    whole = content[:begin] + notes + content[begin:]
    file.write_bytes(whole)
    assert AudioFile(file).samples == 4000
    file.write_bytes(whole[:-100])
    assert message(AudioFile(file)) == (f"{file}: cut short: its header promises 8,000 bytes of samples, found 7,900")


def test_chunks_after_the_samples_do_not_count(tmp_path: Path) -> None:
    file = tmp_path / "x.wav"
    write(file, sine(440, 8000), subtype="PCM_16")
    content = file.read_bytes()
    file.write_bytes(content + b"LIST" + struct.pack("<I", 4) + b"INFO")
    assert AudioFile(file).samples == len(AudioFile(file).read(8000)) == 4000


@pytest.mark.parametrize("length", [0xFFFFFFFF, 0x7FFFF000, 0x80000000])
def test_a_wav_from_a_pipe_whose_length_its_header_does_not_know_is_read_to_its_end(
    tmp_path: Path, length: int
) -> None:
    file = tmp_path / "x.wav"
    samples = sine(440, 8000)
    write(file, samples, subtype="PCM_16")
    content = bytearray(file.read_bytes())
    for place in (4, content.index(b"data") + 4):
        content[place : place + 4] = struct.pack("<I", length)
    file.write_bytes(content)
    np.testing.assert_allclose(AudioFile(file).read(8000), samples, atol=2**-15)


def test_a_flac_that_stops_early_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "x.flac"
    write(file, np.random.default_rng(4).uniform(-0.5, 0.5, 50_000))
    content = file.read_bytes()
    assert AudioFile(file).samples == 50_000
    for kept in range(100, len(content), 3001):
        file.write_bytes(content[:kept])
        told = message(AudioFile(file))
        assert told.startswith((f"{file}: cut short: its header promises 50,000 samples", f"{file}: not a recording"))


def test_a_flac_whose_header_does_not_know_its_length_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "x.flac"
    write(file, sine(440, 8000))
    content = bytearray(file.read_bytes())
    content[21] &= 0xF0
    content[22:26] = bytes(4)
    file.write_bytes(content)
    told = "its header does not say how many samples it has; convert it to wav"
    assert message(AudioFile(file)) == f"{file}: {told}"


@pytest.mark.skipif("MP3" not in soundfile.available_formats(), reason="needs libsndfile with MP3")
def test_an_mp3_is_read_only_if_it_says_how_long_it_is(tmp_path: Path) -> None:
    file = tmp_path / "x.mp3"
    samples = np.random.default_rng(8).uniform(-0.5, 0.5, 20_000)
    content = write(file, samples).path.read_bytes()
    assert AudioFile(file).samples == len(AudioFile(file).read(8000)) == 20_000
    notes = b"ID3\4\0\0" + bytes((0, 0, 40, 3)) + bytes(40 * 128 + 3)
    file.write_bytes(notes + content)
    assert AudioFile(file).samples == len(AudioFile(file).read(8000)) == 20_000
    file.write_bytes(content[: len(content) // 2])
    assert message(AudioFile(file)).startswith(f"{file}: cut short: its header promises 20,000 samples, found ")
    for name in (b"Xing", b"Info"):
        content = content.replace(name, b"none")
    for before in (b"", notes):
        file.write_bytes(before + content)
        told = "its header does not say how many samples it has; convert it to wav"
        assert message(AudioFile(file)) == f"{file}: {told}"


def test_a_w64_that_stops_early_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "x.w64"
    content = write(file, sine(440, 8000)).path.read_bytes()
    file.write_bytes(content[:5000])
    assert message(AudioFile(file)) == f"{file}: cut short: its header promises {len(content)} bytes, found 5000"


def test_an_ogg_that_stops_early_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "x.ogg"
    write(file, np.random.default_rng(5).uniform(-0.5, 0.5, 50_000))
    content = file.read_bytes()
    assert len(AudioFile(file).read(8000)) == AudioFile(file).samples == 50_000
    pages = [place for place in range(len(content)) if content.startswith(b"OggS", place)]
    for kept in (*pages[3:], *range(pages[3] + 1, len(content), 1999), len(content) - 1):
        file.write_bytes(content[:kept])
        told = message(AudioFile(file))
        assert told in (
            f"{file}: cut short: its last page is missing",
            f"{file}: not a recording that can be read: Supported file format but file is malformed",
            f"{file}: it has no samples",
        )


@pytest.mark.parametrize("kind", ["wav", "flac", "ogg", "aiff"])
def test_every_cut_is_noticed(tmp_path: Path, kind: str) -> None:
    file = tmp_path / f"x.{kind}"
    write(file, np.random.default_rng(6).uniform(-0.5, 0.5, 2000))
    content = file.read_bytes()
    for kept in {*range(0, len(content) - 1, 31), *range(len(content) - 20, len(content))}:
        file.write_bytes(content[:kept])
        assert message(AudioFile(file)).startswith(f"{file}: ")


def test_rates_too_far_apart_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "x.wav"
    recording = write(file, np.zeros(100), 10)
    assert len(recording.read(1000)) == 10_000
    told = "recorded at 10 Hz, which is too far from 8,000 Hz for resampling"
    assert message(recording) == f"{file}: {told}"
    with pytest.raises(DataError) as caught:
        recording.samples_at(8000)
    assert str(caught.value) == f"{file}: {told}"
    recording = write(file, np.zeros(100), 200_003)
    assert message(recording) == f"{file}: recorded at 200,003 Hz, whose ratio to 8,000 Hz is too fine for resampling"
    recording = write(file, np.zeros(100), 2_000_000_011)
    assert message(recording) == f"{file}: recorded at 2,000,000,011 Hz, which is too far from 8,000 Hz for resampling"


def test_without_the_extra_one_line_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recording = write(tmp_path / "x.wav", np.zeros(100))
    monkeypatch.setitem(sys.modules, "scipy.signal", None)
    with pytest.raises(SeqkitError) as caught:
        recording.read(16000)
    assert str(caught.value) == 'resampling recordings needs scipy.signal: pip install "seqkit-nlp[audio]"'
    assert len(recording.read(8000)) == 100
    monkeypatch.setitem(sys.modules, "soundfile", None)
    with pytest.raises(SeqkitError) as caught:
        recording.read(8000)
    assert str(caught.value) == 'reading recordings needs soundfile: pip install "seqkit-nlp[audio]"'


# --- segments -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("suffix", "subtype"), [("wav", "PCM_16"), ("flac", "PCM_16"), ("ogg", "VORBIS")])
@pytest.mark.parametrize("rate", [8000, 5000])
def test_a_segment_is_what_a_file_with_it_alone_would_be(tmp_path: Path, suffix: str, subtype: str, rate: int) -> None:
    draw = np.random.default_rng(0)
    whole = write(tmp_path / f"a.{suffix}", draw.uniform(-0.5, 0.5, (8000, 2)), subtype=subtype)
    decoded = whole.read(8000)
    for _ in range(10):
        begin, end = sorted(draw.choice(8001, 2, replace=False).tolist())
        segment = AudioFile(whole.path, start=begin / 8000, end=end / 8000)
        alone = write(tmp_path / "b.wav", decoded[begin:end], subtype="FLOAT")
        assert (segment.samples, segment.samples_at(rate)) == (alone.samples, alone.samples_at(rate))
        np.testing.assert_allclose(segment.read(rate), alone.read(rate), atol=1e-6)
        np.testing.assert_array_equal(np.concatenate(list(segment.blocks(rate))), segment.read(rate))


def test_a_segment_ends_with_its_recording(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", sine(440, 8000)).path
    assert AudioFile(path, start=0.25, end=0.51).samples == 2000  # as rounded times do
    for start, end, expected in (
        (0.25, 0.6, "its segment, 0.25 to 0.6 seconds, goes beyond its 0.5 seconds"),
        (0.5, 0.52, "its segment, 0.5 to 0.52 seconds, has no samples"),
        (0.1, 0.10001, "its segment, 0.1 to 0.10001 seconds, has no samples"),
        (3, 1e15, "its segment, 3 to 1e+15 seconds, goes beyond its 0.5 seconds"),
    ):
        segment = AudioFile(path, "m.jsonl", 3, start, end)
        assert message(segment) == f"m.jsonl:3: recording '{path}': {expected}"
        with pytest.raises(DataError):
            segment.samples  # noqa: B018
