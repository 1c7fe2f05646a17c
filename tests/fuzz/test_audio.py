"""Recordings of every kind, and their features."""

from __future__ import annotations

import io
import random
from pathlib import Path

import numpy as np
import pytest
from harness import fuzz, put

from seqkit.formats.audio import AudioFile

soundfile = pytest.importorskip("soundfile", reason="needs the extra audio")
pytest.importorskip("scipy", reason="needs the extra audio")


def recording(kind: str, subtype: str, channels: int = 1) -> bytes:
    stream = io.BytesIO()
    samples = np.random.default_rng(1).uniform(-0.5, 0.5, (600, channels))
    soundfile.write(stream, samples, 8000, format=kind, subtype=subtype)
    return stream.getvalue()


SEEDS = tuple(
    recording(*how)
    for how in (
        ("WAV", "PCM_16"),
        ("WAV", "FLOAT", 2),
        ("WAV", "IMA_ADPCM"),
        ("WAVEX", "PCM_24"),
        ("RF64", "PCM_16"),
        ("AIFF", "PCM_16"),
        ("AU", "ULAW"),
        ("NIST", "PCM_16"),
        ("FLAC", "PCM_16", 2),
        ("FLAC", "PCM_24"),
        ("OGG", "VORBIS"),
        ("W64", "PCM_16"),
        ("CAF", "PCM_16"),
    )
)
WORDS = (
    *(b"RIFF", b"RIFX", b"RF64", b"WAVE", b"fmt ", b"data", b"fact", b"LIST", b"ds64", b"FORM", b"AIFC", b"COMM"),
    *(b"SSND", b".snd", b"fLaC", b"OggS", b"OggS\0\4", b"\1vorbis", b"OpusHead", b"NIST_1A\n", b"sample_count -i 9"),
    *(
        b"\xff\xff\xff\xff",
        b"\0\0\0\0",
        b"\1\0\0\0",
        b"\0\0\0\1",
        b"\0\0\x80\x7f",
        b"\xff\xff\xff\x7f",
        b"\x7f\xc0\0\0",
    ),
)


def test_audio(tmp_path: Path) -> None:
    file = tmp_path / "recording"

    def read(content: bytes, draw: random.Random) -> None:
        put(file, content)
        found = AudioFile(file, *draw.choice(((), ("train.jsonl", 3))))
        rate = draw.choice((8000, 8000, 16000, 11025, found.rate))
        samples = found.read(rate)
        assert samples.dtype == np.float32
        assert samples.shape == (found.samples_at(rate),)
        assert len(samples)
        assert np.isfinite(samples).all()

    fuzz("audio", read, seeds=SEEDS, words=WORDS, multiple=20_000)
