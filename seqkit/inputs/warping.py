"""Spectra moved along the frequencies, as a longer or shorter vocal tract moves them: other speakers, for training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from seqkit.inputs.audio_settings import AudioSettings, hertz, mel

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Warping:
    """Features of a spectrum → those of the spectrum whose frequencies are multiplied by a factor.

    Both kinds of features are linear in the logarithms of the energies of mel filters, so that the warp is a matrix: of
    log-mel energies, linear interpolation between filters; of cepstral coefficients, the cosine series that they are
    the coefficients of, read at other places and transformed back (Jaitly & Hinton 2013, "Vocal tract length
    perturbation (VTLP) improves speech recognition"; Panchapagesan & Alwan 2009,
    https://doi.org/10.1016/j.csl.2008.02.003). Beyond the filters, the last one is repeated.

    Attributes:
        features: the kind of the features.
        size: features of each block.
        blocks: how often the features stand in a frame: themselves and their differences in time, which are as linear.
        bins: mel filters that the features were made from.
        low: lowest frequency of the filters, in Hz.
        high: highest frequency of the filters, in Hz.
        lifter: what cepstral coefficient i was multiplied by is 1 + lifter / 2 · sin(π i / lifter); 0: nothing.
    """

    features: Literal["logmel", "mfcc"]
    size: int
    blocks: int = 1
    bins: int = 40
    low: float = 0.0
    high: float = 8000.0
    lifter: float = 0.0

    @classmethod
    def of_recordings(cls, settings: AudioSettings, rate: int) -> Warping:
        """That of the features of recordings at a rate."""
        blocks = 1 + settings.deltas
        high = settings.high_frequency or rate / 2
        size = settings.size // blocks
        return cls(settings.features, size, blocks, settings.bins, settings.low_frequency, high, lifter=22.0)

    @classmethod
    def of_arrays(cls, features: Literal["", "logmel", "mfcc"], size: int) -> Warping:
        """That of features of which only the kind is known: filters up to 8,000 Hz, and no lifter."""
        return cls("mfcc", size, bins=max(40, size)) if features == "mfcc" else cls("logmel", size, bins=size)

    def matrix(self, factor: float) -> Floats:
        """What a block of features, as a column, is multiplied by.

        Args:
            factor: of the frequencies; above 1 a peak of the spectrum moves up.

        Returns:
            float32 [size, size].
        """
        edges = np.linspace(mel(self.low), mel(self.high), self.bins + 2)  # the filters' centres and outer ends
        centres = edges[1:-1]  # [M]
        read = np.array([mel(hertz(centre) / factor) for centre in centres])  # [M]
        places = np.clip(
            (read - centres[0]) / (edges[1] - edges[0]), 0, self.bins - 1
        )  # [M], in filters from the first
        if self.features == "logmel":
            rows = np.stack([np.interp(places, np.arange(self.bins), unit) for unit in np.eye(self.bins)], axis=1)
            return rows.astype(np.float32)  # [M, M]
        orders = np.arange(self.size)  # [C]
        scale = np.sqrt(np.where(orders == 0, 1, 2) / self.bins)  # of the orthonormal transform, [C]
        series = np.cos(np.pi * orders * (places[:, None] + 0.5) / self.bins) * scale  # [M, C]
        back = (np.cos(np.pi * orders * (np.arange(self.bins)[:, None] + 0.5) / self.bins) * scale).T  # [C, M]
        lift = 1 + self.lifter / 2 * np.sin(np.pi * orders / self.lifter) if self.lifter else np.ones(self.size)  # [C]
        found: Floats = (lift[:, None] * (back @ series) / lift).astype(np.float32)  # [C, C]
        return found

    def __call__(self, frames: Floats, factor: float) -> Floats:
        """Warp frames.

        Args:
            frames: float32 [N, blocks · size].
            factor: see `matrix`.

        Returns:
            float32 of the same shape.
        """
        blocks = frames.reshape(len(frames), self.blocks, self.size)
        warped: Floats = (blocks @ self.matrix(factor).T).reshape(frames.shape)
        return warped
