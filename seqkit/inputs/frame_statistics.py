"""Mean and deviation of the features of frames, by which they are normalised."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Statistics = tuple[Floats, Floats]
"""what is subtracted from each feature, [F], and what the difference is multiplied by, [F]"""

_LEAST_DEVIATION = 1e-6
"""share of the greatest absolute value below which a feature is constant, and is not divided by its deviation"""


class Moments:
    """Mean and deviation of each feature, from one sequence after another (Chan, Golub & LeVeque 1983).

    Args:
        size: F.
    """

    def __init__(self, size: int) -> None:
        self.count = 0
        self.mean = np.zeros(size)
        self.squares = np.zeros(size)
        self.largest = np.zeros(size)

    def add(self, frames: Floats) -> None:
        """Take the frames [N, F] of a sequence."""
        many = frames.astype(np.float64)
        count, mean = len(many), many.mean(0)
        shift, total = mean - self.mean, self.count + count
        self.squares += ((many - mean) ** 2).sum(0) + shift**2 * (self.count * count / total)
        self.mean += shift * (count / total)
        self.count = total
        self.largest = np.maximum(self.largest, np.abs(many).max(0))

    def normalisation(self) -> Statistics:
        """What is subtracted, and what the difference is multiplied by: of constant features 1."""
        deviation = np.sqrt(self.squares / max(1, self.count))
        # The inverse of a deviation that is too small for normal numbers of float32 would be too large for it.
        varies = deviation > np.maximum(_LEAST_DEVIATION * self.largest, np.finfo(np.float32).tiny)
        return self.mean.astype(np.float32), np.where(varies, 1 / np.where(varies, deviation, 1), 1).astype(np.float32)


def statistics_of(sequences: Iterable[Floats], size: int) -> Statistics:
    """What the frames of some sequences are normalised by.

    Args:
        sequences: each float32 [N, F].
        size: F.

    Returns:
        What is subtracted from each feature, and what the difference is multiplied by.
    """
    moments = Moments(size)
    for frames in sequences:
        moments.add(frames)
    return moments.normalisation()
