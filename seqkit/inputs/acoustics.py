"""Features of recordings: log-mel energies or MFCC of short windows, and their differences in time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqkit.errors import SettingsError
from seqkit.inputs.audio_settings import AudioSettings
from seqkit.resources import extra

Floats = NDArray[np.float32]

_BLOCK = 1 << 16
"""samples that the library is given at a time: it takes a Python number of each"""


class Acoustics:
    """Samples of a recording → frames of features, as Kaldi defines them (https://kaldi-asr.org/doc/feat.html).

    A frame is a window of samples without its mean, pre-emphasised, times Povey's window, cos² to the power 0.85; its
    power spectrum, summed by triangles of equal width in mel = 1127 ln(1 + Hz / 700), no sum below 2⁻²³; the logarithms
    of these. MFCC are their orthonormal DCT-II, of which coefficient i is multiplied by 1 + 11 sin(π i / 22). There is
    no dither and no energy. The windows lie wholly inside the recording: of one that is shorter than a window there
    are no frames, which the caller has to refuse with the recording's name.

    Args:
        settings: what a frame is.
        rate: samples a second of all recordings that come.

    Raises:
        SettingsError: the settings do not fit the rate.
    """

    def __init__(self, settings: AudioSettings, rate: int) -> None:
        self.settings = settings
        self.rate = rate
        self._library = extra("kaldi_native_fbank", "audio", "computing features of recordings")
        self._window, self._shift = settings.window_samples(rate), settings.shift_samples(rate)
        try:
            settings.check(rate)
            self._extractor()  # its float32 may find a filter empty that is not quite
        except ValueError as error:
            raise SettingsError(f"settings: audio: {error}") from None

    @property
    def size(self) -> int:
        """Features of a frame."""
        return self.settings.size

    @property
    def frame_rate(self) -> float:
        """Frames a second."""
        return self.rate / self._shift

    def frames(self, samples: int) -> int:
        """How many frames there are of so many samples; 0 of fewer than a window has."""
        return 0 if samples < self._window else 1 + (samples - self._window) // self._shift

    def __call__(self, samples: Floats) -> Floats:
        """Compute the features of a whole recording.

        Args:
            samples: [samples], of full scale 1 as `seqkit.formats.audio.AudioFile.read` gives them, which is what the
                library expects.

        Returns:
            float32 [frames, size].
        """
        stream = self.stream()
        return np.concatenate([stream.accept(samples), stream.finish()])

    def stream(self) -> AcousticStream:
        """Features of a recording that comes in parts: together the same numbers, however it is cut."""
        return AcousticStream(self._extractor(), self.rate, self.settings)

    def _extractor(self) -> Any:
        settings, library = self.settings, self._library
        if settings.features == "mfcc":
            options = library.MfccOptions()
            options.use_energy = False
            options.num_ceps = settings.coefficients
        else:
            options = library.FbankOptions()
        frame, mel = options.frame_opts, options.mel_opts
        frame.samp_freq, frame.dither, frame.preemph_coeff = self.rate, 0.0, settings.pre_emphasis
        # The library cuts off what is not a whole sample, in float32: half a sample more makes that exact.
        frame.frame_length_ms = (self._window + 0.5) * 1000 / self.rate
        frame.frame_shift_ms = (self._shift + 0.5) * 1000 / self.rate
        mel.num_bins, mel.low_freq, mel.high_freq = settings.bins, settings.low_frequency, settings.high_frequency
        return library.OnlineMfcc(options) if settings.features == "mfcc" else library.OnlineFbank(options)


class AcousticStream:
    """Features of one recording that comes in parts; it keeps less than a window and the frames that deltas wait for.

    Args:
        extractor: the library's, at its beginning.
        rate: samples a second.
        settings: what a frame is.
    """

    def __init__(self, extractor: Any, rate: int, settings: AudioSettings) -> None:
        self._extractor = extractor
        self._rate = rate
        self._done = 0
        """frames that the extractor has given, which it counts on"""
        self._differences = [_Differences(settings.delta_width) for _ in range(settings.deltas)]
        self._waiting = [np.empty((0, extractor.dim), np.float32) for _ in range(1 + settings.deltas)]
        """of the features, their differences, and the differences of these: frames that a later one still lacks"""

    def accept(self, samples: Floats) -> Floats:
        """Take the next samples.

        Args:
            samples: [samples], any number.

        Returns:
            float32 [frames, size]: the frames that are complete now. With deltas these are up to
            deltas × delta_width behind.
        """
        parts = []
        for begin in range(0, len(samples), _BLOCK):
            self._extractor.accept_waveform(self._rate, samples[begin : begin + _BLOCK].tolist())
            parts.append(self._frames())
        return self._complete(np.concatenate(parts) if parts else self._frames(), last=False)

    def finish(self) -> Floats:
        """End the recording.

        Returns:
            float32 [frames, size]: the last frames, those that deltas have waited for.
        """
        self._extractor.input_finished()
        return self._complete(self._frames(), last=True)

    def _frames(self) -> Floats:
        ready = self._extractor.num_frames_ready
        frames = [self._extractor.get_frame(number) for number in range(self._done, ready)]
        if not frames:
            return np.empty((0, self._extractor.dim), np.float32)
        copied = np.stack(frames)  # the extractor owns its frames
        self._extractor.pop(len(frames))
        self._done = ready
        return copied

    def _complete(self, frames: Floats, *, last: bool) -> Floats:
        if not self._differences:
            return frames
        columns = [frames]
        for differences in self._differences:
            columns.append(differences(columns[-1], last=last))
        self._waiting = [
            np.concatenate([held, new]) if len(new) else held for held, new in zip(self._waiting, columns, strict=True)
        ]
        ready = len(self._waiting[-1])
        complete = np.concatenate([held[:ready] for held in self._waiting], axis=1)
        self._waiting = [held[ready:] for held in self._waiting]
        return complete


class _Differences:
    """d_t = Σ n (x_{t+n} − x_{t−n}) / (2 Σ n²) over n = 1 … width, the first and the last x repeated at the ends.

    The slope of the regression of a feature over time; Young et al., The HTK Book, section 5.6
    (https://www.danielpovey.com/files/htkbook.pdf).
    """

    def __init__(self, width: int) -> None:
        self._width = width
        self._held: Floats | None = None

    def __call__(self, frames: Floats, *, last: bool) -> Floats:
        """The differences of the frames, and at the end of all, that have enough after them."""
        width = self._width
        if self._held is None:
            if not len(frames):
                return frames
            self._held = np.repeat(frames[:1], width, axis=0)
        held = np.concatenate([self._held, frames])
        if last:
            held = np.concatenate([held, np.repeat(held[-1:], width, axis=0)])
        ready = max(0, len(held) - 2 * width)
        total = np.zeros((ready, held.shape[1]), np.float32)
        for n in range(1, width + 1):
            total += np.float32(n) * (held[width + n : width + n + ready] - held[width - n : width - n + ready])
        self._held = held[ready:]
        total /= np.float32(2 * sum(n * n for n in range(1, width + 1)))
        return total
