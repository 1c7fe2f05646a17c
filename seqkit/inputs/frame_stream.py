"""Sequences of vectors that come in chunks: frames, or samples of a recording, → the steps of an encoder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqkit.errors import DataError, shown
from seqkit.formats.arrays import unsound
from seqkit.formats.manifest import row_frames
from seqkit.nn.frames import FrameLayer

if TYPE_CHECKING:
    from seqkit.inputs.frames import FrameInput

Floats = NDArray[np.float32]

_LOUDEST = 2.0**31
"""of a sample, where 1 is full scale, as in recordings that are files"""
_FULL_SCALE = 2.0**15
"""of samples of 16 bits"""


class Extent(NamedTuple):
    """How long a sequence was.

    Attributes:
        frames: its frames.
        seconds: its duration, if it was a recording; otherwise None.
    """

    frames: int
    seconds: float | None = None


class VectorStream:
    """Sequences of vectors that come in chunks; see `seqkit.inputs.base.Input.stream`.

    What is kept are the samples of a window and the frames that a later step depends on, however long a sequence is.

    Args:
        input: what is read.
        layer: what makes steps of frames.

    Attributes:
        delay: how many frames after its first a step waits for: those of differences in time (``audio.deltas`` ×
            ``audio.delta_width``), of convolutions (half a kernel less half a frame each, unless they are causal) and
            of stacking (``frames.stack`` − 1). In recordings the last of them also has to have come to the end of its
            window.
        extent: how long the sequence is that was finished last.
    """

    def __init__(self, input: FrameInput, layer: FrameLayer) -> None:
        self._input, self._layer = input, layer
        audio = input.settings.audio if input.acoustics is not None else None
        self.delay = layer.delay + (0 if audio is None else audio.deltas * audio.delta_width)
        self.extent = Extent(0)
        self._begin()

    def _begin(self) -> None:
        self._acoustics = None if self._input.acoustics is None else self._input.acoustics.stream()
        self._steps = self._layer.stream()
        self._frames = self._samples = 0  # that have come

    def accept(self, chunk: Any) -> Tensor:
        """Read the next part of a sequence. One that is faulty is not read, and the sequence may go on.

        Args:
            chunk: frames, [n, F], an array, a tensor or a list of lists; or, of recordings, samples, [n], of one
                channel at the model's rate, of floating point with full scale 1 or of 16 bits. It may be empty.

        Returns:
            The steps that are known now, [1, t, I].

        Raises:
            DataError: it is something else, or has numbers that are not finite.
        """
        if isinstance(chunk, Tensor):
            chunk = chunk.detach().cpu()
            chunk = chunk.float().numpy() if chunk.is_floating_point() else chunk.numpy()
        if self._acoustics is None:
            return self._read(self._checked_frames(chunk))
        samples = self._checked_samples(chunk)
        self._samples += len(samples)
        return self._read(self._acoustics.accept(samples))

    def finish(self) -> Tensor:
        """End the sequence; what comes next begins another one.

        Returns:
            The steps that are left, [1, t, I].

        Raises:
            DataError: it was a recording shorter than the window of a frame.
        """
        nothing = np.zeros((0, self._input.size), np.float32)
        steps = self._read(nothing if self._acoustics is None else self._acoustics.finish())
        steps = torch.cat([steps, self._steps.finish().unsqueeze(0)], 1)  # [1, t, I]
        acoustics, samples, frames = self._input.acoustics, self._samples, self._frames
        self.extent = Extent(frames, None if acoustics is None else samples / acoustics.rate)
        self._begin()
        if samples and not frames:
            raise DataError(self._input.too_short)
        return steps

    def _read(self, frames: Floats) -> Tensor:
        """The steps that are known after further frames, [1, t, I]."""
        self._frames += len(frames)
        device = self._layer.mean.device
        return self._steps.accept(torch.tensor(frames).to(device)).unsqueeze(0)

    def _checked_frames(self, chunk: Any) -> Floats:
        """Frames as float32 [n, F]."""
        if hasattr(chunk, "__len__") and not len(chunk):
            return np.zeros((0, self._input.size), np.float32)
        if not isinstance(chunk, list | tuple | np.ndarray):
            raise DataError(f"a chunk of a stream must be frames, a list or an array [n, F], found {shown(chunk)}")
        source = row_frames({"frames": chunk}).source
        if source.shape[1] != self._input.size:
            raise DataError(self._input.other_size(source.shape[1]))
        frames: Floats = source.read()
        if fault := unsound(frames, self._frames):
            raise DataError(fault)
        return frames

    def _checked_samples(self, chunk: Any) -> Floats:
        """Samples as float32 [n], of full scale 1."""
        try:
            found = np.asarray(chunk)
        except (ValueError, TypeError, OverflowError):  # rows of different lengths
            found = np.asarray(None)
        if found.shape == (0,):
            return np.zeros(0, np.float32)
        whole = found.dtype.kind == "i" and found.dtype.itemsize == 2
        if found.ndim != 1 or not (whole or found.dtype.kind == "f"):
            kind = f"{found.dtype} {list(found.shape)}" if found.ndim else shown(chunk)
            expected = "a chunk of a stream must be samples [n] of one channel, of floating point or int16"
            raise DataError(f"{expected}, found {kind}")
        with np.errstate(over="ignore", invalid="ignore"):
            samples: Floats = found.astype(np.float32)
            if whole:
                samples /= np.float32(_FULL_SCALE)
            loud = ~(np.abs(samples) <= _LOUDEST)  # so is NaN
        if bool(loud.any()):
            row = int(loud.argmax())
            place = f"sample {self._samples + row + 1:,} is {samples[row]:g}"
            raise DataError(f"{place}, expected numbers between -1 and 1")
        return samples
