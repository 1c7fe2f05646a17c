"""Streams of recordings and of frames: time and delay of a chunk, and memory over an hour.

    python benchmarks/streaming.py --threads 1

A transcriber of 3 × 200 LSTM, forward, over 40 log-mel features of recordings at 16 kHz, or over arrays of as many at
100 frames a second, by default 3 frames a step; untrained, which changes neither times nor memory. A chunk's time is
that of `accept`; the delay is from the beginning of a step to the end of the chunk with which it is known, without that
time. Linux only. Prints a table and writes ``benchmarks/results/streaming.json``.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import parser, write

from seqkit.bench.machine import describe_machine
from seqkit.config import parse_settings
from seqkit.formats.manifest import row_frames
from seqkit.model.transcriber import Transcriber

RATE = 16_000
FRAME_RATE = 100
CHUNKS = (10, 100, 1000)
SHARES = (0.02, 0.1, 0.5, 1.0)


def model(kind: str, frames: dict[str, Any]) -> Transcriber:
    """A transcriber of recordings or of arrays."""
    encoder = {"hidden": 200, "layers": 3, "direction": "forward"}
    settings = {"task": "transcribe", "encoder": encoder, "frames": frames, "data": {"frame_rate": FRAME_RATE}}
    with tempfile.TemporaryDirectory() as folder:
        row: dict[str, Any] = {"text": "abcdefghijklmnopqrstuvwxyz "}
        if kind == "recordings":
            import soundfile

            row["audio"] = "noise.wav"
            soundfile.write(Path(folder) / "noise.wav", samples(np.random.default_rng(0), RATE), RATE)
        else:
            row["frames"] = np.random.default_rng(0).normal(size=(100, 40))
        torch.manual_seed(0)
        return Transcriber.build(parse_settings(settings, "benchmark"), [row_frames(row, folder=Path(folder))])


def samples(draw: np.random.Generator, count: int) -> np.ndarray[Any, Any]:
    """Noise of 16 bits."""
    return draw.integers(-3000, 3000, count, dtype=np.int16)


def chunks(kind: str, milliseconds: int, seconds: float) -> Iterator[Any]:
    """Chunks of noise of so many milliseconds each."""
    draw = np.random.default_rng(1)
    for _ in range(round(seconds * 1000 / milliseconds)):
        if kind == "recordings":
            yield samples(draw, RATE * milliseconds // 1000)
        else:
            yield draw.normal(size=(FRAME_RATE * milliseconds // 1000, 40)).astype(np.float32)


def resident() -> float:
    """MB of this process that are in memory."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def chunk_times(found: Transcriber, kind: str, milliseconds: int, seconds: float) -> dict[str, float]:
    """Milliseconds that a chunk takes, and how late the steps are that it brings."""
    stream = found.stream()
    step = found.settings.frames.step * 1000 / FRAME_RATE  # milliseconds
    times, delays, steps = [], [], 0
    accept = stream._decided.accept
    counts: list[int] = []
    stream._decided.accept = lambda scores, extent=None: (counts.append(scores.shape[1]), accept(scores, extent))[1]
    for number, chunk in enumerate(chunks(kind, milliseconds, seconds), start=1):
        counts.clear()
        began = time.perf_counter()
        stream.accept(chunk)
        times.append((time.perf_counter() - began) * 1000)
        delays += [number * milliseconds - (steps + n) * step for n in range(sum(counts))]
        steps += sum(counts)
    return {
        "median_ms": float(np.median(times)),
        "p95_ms": float(np.percentile(times, 95)),
        "real_time_factor": sum(times) / 1000 / seconds,
        "delay_mean_ms": float(np.mean(delays)),
        "delay_most_ms": float(max(delays)),
    }


def hour(found: Transcriber, kind: str, seconds: float) -> dict[str, Any]:
    """Resident memory along an hour, in chunks of 100 ms."""
    stream = found.stream()
    total = round(seconds * 10)
    marks = {round(total * share): share for share in SHARES}
    memory: dict[str, float] = {}
    began = time.perf_counter()
    for number, chunk in enumerate(chunks(kind, 100, seconds), start=1):
        stream.accept(chunk)
        if number in marks:
            memory[f"{marks[number]:.0%}"] = resident()
    stream.finish()
    return {
        "frames": stream.extent.frames,
        "resident_mb": memory,
        "growth_mb": memory["100%"] - memory["2%"],
        "seconds": time.perf_counter() - began,
    }


def main() -> None:
    """Measure, print and write."""
    arguments = parser(__doc__, threads=1, rounds=1)
    arguments.add_argument("--seconds", type=float, default=3600.0, help="length of the long sequence")
    arguments.add_argument("--stack", type=int, default=3, help="frames of a step")
    given = arguments.parse_args()
    torch.set_num_threads(given.threads)
    results: dict[str, Any] = {"machine": describe_machine(), "threads": given.threads, "stack": given.stack}
    for kind in ("arrays", "recordings"):
        found = model(kind, {"stack": given.stack})
        results[kind] = {"delay_frames": found.stream().delay, "chunks": {}}
        for milliseconds in CHUNKS:
            chunk_times(found, kind, milliseconds, 2)  # what is made once
            row = chunk_times(found, kind, milliseconds, 30)
            results[kind]["chunks"][str(milliseconds)] = row
            print(
                f"{kind:10}  chunk {milliseconds:5} ms: {row['median_ms']:7.2f} ms (95 %: {row['p95_ms']:7.2f}), "
                f"real time × {row['real_time_factor']:.3f}, delay {row['delay_mean_ms']:.0f} ms on average, "
                f"{row['delay_most_ms']:.0f} ms at most",
                flush=True,
            )
        row = results[kind]["hour"] = hour(found, kind, given.seconds)
        memory = ", ".join(f"{share}: {value:.1f}" for share, value in row["resident_mb"].items())
        print(f"{kind:10}  {row['frames']:,} frames in {row['seconds']:.0f} s; resident MB {memory}", flush=True)
    write("streaming", results)


if __name__ == "__main__":
    main()
