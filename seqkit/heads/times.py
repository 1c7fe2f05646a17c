"""When frames are, for heads whose answers have times."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from seqkit.formats.runs import Clock, duration
from seqkit.inputs.frames import FrameInput
from seqkit.records import FrameRecord


def clock_of(input: FrameInput, frame_rate: float) -> Clock | None:
    """When the frames of a model are: of recordings as their features are made, of arrays as somebody says.

    Args:
        input: what the network reads.
        frame_rate: frames a second of arrays; 0 where that is unknown.

    Returns:
        The clock; None where it is not known when frames are.
    """
    if input.acoustics is not None:
        rate = input.acoustics.rate
        return Clock(input.acoustics.frame_rate, input.settings.audio.window_samples(rate) / rate)
    return Clock(frame_rate, 1 / frame_rate) if frame_rate else None


def seconds_of(record: FrameRecord, frames: int, clock: Clock | None) -> Callable[[int], float] | None:
    """When each frame of a sequence begins.

    Args:
        record: the sequence.
        frames: N.
        clock: when frames are.

    Returns:
        A frame's number → the time in seconds, of N frames also the end, N; None without a clock.
    """
    if clock is None:
        return None
    return partial(clock.seconds, frames=frames, duration=duration(record, clock))
