"""Settings of the features of recordings."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field, model_validator

from seqkit.config.sections import Section

_FASTEST = 1_000_000
Hertz = Annotated[float, Field(ge=0.0, le=_FASTEST, allow_inf_nan=False)]
Milliseconds = Annotated[float, Field(gt=0.0, le=10_000.0, allow_inf_nan=False)]


class AudioSettings(Section):
    """How a recording becomes frames; nothing in it is random."""

    features: Literal["logmel", "mfcc"] = "logmel"
    """features of a frame: logarithms of the energies of mel filters, or the cepstral coefficients of these (MFCC)"""
    rate: Annotated[int, Field(ge=0, le=_FASTEST)] = 0
    """samples a second that recordings are resampled to; 0: as the training recordings have"""
    window: Milliseconds = 25.0
    """length of the window of a frame in milliseconds"""
    shift: Milliseconds = 10.0
    """distance between frames in milliseconds"""
    bins: Annotated[int, Field(ge=3, le=1000)] = 40
    """mel filters"""
    coefficients: Annotated[int, Field(ge=1, le=1000)] = 13
    """cepstral coefficients of mfcc, the one of order 0 included"""
    low_frequency: Hertz = 20.0
    """lowest frequency of the mel filters in Hz"""
    high_frequency: Hertz = 0.0
    """highest frequency of the mel filters in Hz; 0: half the rate"""
    pre_emphasis: Annotated[float, Field(ge=0.0, le=1.0)] = 0.97
    """share of the sample before that is subtracted from each sample"""
    deltas: Annotated[int, Field(ge=0, le=2)] = 0
    """differences in time that are appended to the features: 1: first, 2: first and second"""
    delta_width: Annotated[int, Field(ge=1, le=100)] = 2
    """frames before and after a frame that its differences are computed from"""

    @property
    def size(self) -> int:
        """Features of a frame."""
        return (self.bins if self.features == "logmel" else self.coefficients) * (1 + self.deltas)

    def window_samples(self, rate: int) -> int:
        """Samples of the window of a frame at a rate."""
        return round(self.window * rate / 1000)

    def shift_samples(self, rate: int) -> int:
        """Samples from one frame to the next at a rate."""
        return round(self.shift * rate / 1000)

    def check(self, rate: int) -> None:
        """See that the settings fit a rate.

        Args:
            rate: samples a second.

        Raises:
            ValueError: they do not.
        """
        high, window = self.high_frequency or rate / 2, self.window_samples(rate)
        if window < 2 or self.shift_samples(rate) < 1:
            raise ValueError(f"window {self.window:g} or shift {self.shift:g} ms is too short for {rate:,} Hz")
        if high > rate / 2:
            raise ValueError(f"high_frequency {high:g} must be at most half the rate of {rate:,} Hz")
        if self.low_frequency >= high:
            raise ValueError(f"low_frequency {self.low_frequency:g} must be below the highest, {high:g} Hz")
        # As the library does: the spectrum has a frequency every `distance` Hz, without the last, and a filter lies
        # between two of the points that are equally far apart in mel.
        points = 1 << (window - 1).bit_length()
        distance, low = rate / points, mel(self.low_frequency)
        step = (mel(high) - low) / (self.bins + 1)
        for number in range(self.bins):
            begin, end = hertz(low + number * step), hertz(low + (number + 2) * step)
            first = math.floor(begin / distance) + 1
            if first * distance >= end or first >= points // 2:
                raise ValueError(
                    f"bins {self.bins} is too many for a window of {self.window:g} ms at {rate:,} Hz: filter "
                    f"{number + 1}, from {begin:.0f} to {end:.0f} Hz, has none of its frequencies; "
                    "use fewer bins or a longer window"
                )

    @model_validator(mode="after")
    def _fit_together(self) -> AudioSettings:
        if self.shift > self.window:
            raise ValueError(f"shift {self.shift:g} must be at most the window of {self.window:g} ms")
        if self.features == "mfcc" and self.coefficients > self.bins:
            raise ValueError(f"coefficients {self.coefficients} must be at most the {self.bins} bins")
        if self.high_frequency and self.low_frequency >= self.high_frequency:
            raise ValueError(
                f"low_frequency {self.low_frequency:g} must be below high_frequency {self.high_frequency:g}"
            )
        if self.rate:
            self.check(self.rate)
        return self


def mel(hertz: float) -> float:
    """A frequency in mel: 1127 ln(1 + Hz / 700)."""
    return 1127.0 * math.log1p(hertz / 700.0)


def hertz(mel: float) -> float:
    """A frequency in Hz, of one in mel."""
    return 700.0 * math.expm1(mel / 1127.0)
