"""Recordings: wav, flac, ogg and whatever else libsndfile reads, as samples of one channel at the rate asked for.

Where a format tells its length, a file that was cut short is noticed: wav (RIFF, RF64, W64), AIFF, AU, CAF, SPHERE,
FLAC, Ogg and MP3.
"""

from __future__ import annotations

import math
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqkit.errors import DataError, no_such_file, shown
from seqkit.resources import extra

_BLOCK = 1 << 18
"""numbers that are decoded at a time: what a header promises is never allocated before it is there"""
_LOUDEST = 2.0**31
"""of a sample, where 1 is full scale: samples of floating point may be integers of 32 bits, no more"""
_WIDEST = 100
"""ratio of two rates between which there is resampling"""
_FINEST = 200_000
"""of a ratio of rates the largest number, which the length of the resampling filter grows with"""
_UNKNOWN = 0x7FFFF000
"""bytes of samples, or more, that programs promise in the header of a file whose length they do not know: of a pipe"""
_NO_LENGTH = 1 << 62
"""frames, or more, that libsndfile gives for a header without their number"""
_SEGMENT_ROUNDING = 0.05
"""seconds by which a segment may go beyond the end of its recording, as rounded times do"""
_OGG_PAGE = 27 + 255 + 255 * 255
"""bytes of the largest Ogg page"""
_SPHERE = re.compile(rb"^(channel_count|sample_count|sample_n_bytes) -i (\d{1,18})\s*$", re.MULTILINE)

_CUT_W64 = re.compile(r"riff : (\d+) \(should be (\d+)\)")
"""in what libsndfile notes of a header"""


class _Header(NamedTuple):
    """What the header of a recording says."""

    rate: int
    samples: int
    channels: int


@dataclass(frozen=True)
class AudioFile:
    """A recording, of which nothing is read before it is needed.

    Args:
        path: the file.
        file: the manifest that names it, for messages; empty if none does.
        line: the line in that file.
        start: where the segment begins that is read, in seconds.
        end: where it ends; None for the end of the recording.
    """

    path: Path
    file: str = ""
    line: int = 0
    start: float = 0.0
    end: float | None = None

    @property
    def segment(self) -> tuple[float, float] | None:
        """Where the segment begins and ends, in seconds; None where the whole recording is read."""
        return None if self.end is None else (self.start, self.end)

    @property
    def rate(self) -> int:
        """Samples a second of each channel, as its header says."""
        return self._header.rate

    @property
    def samples(self) -> int:
        """Samples of each channel in the segment, as its header says."""
        begin, end = self._bounds(self.rate, self._header.samples)
        return end - begin

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return self.samples / self.rate

    @property
    def channels(self) -> int:
        """Channels, as its header says."""
        return self._header.channels

    def samples_at(self, rate: int) -> int:
        """How many samples `read` gives.

        Args:
            rate: samples a second.

        Returns:
            Their number, from the header.

        Raises:
            DataError: as of `read`, as far as the header tells.
        """
        return math.ceil(self.samples * self._ratio(rate, self.rate))

    def read(self, rate: int) -> NDArray[np.float32]:
        """Decode the recording: the mean of its channels, resampled.

        Args:
            rate: samples a second that are wanted.

        Returns:
            float32 [samples at that rate]. Full scale is 1, whatever the type of the samples in the file; only samples
            of floating point, and resampling at a loud edge, go beyond.

        Raises:
            DataError: the file is not there, not a recording, cut short or empty, or has samples that are no sound
                (NaN, infinite or beyond 2³¹); or its rate is too far from the one that is wanted.
        """
        return np.concatenate(list(self.blocks(rate)))

    def blocks(self, rate: int) -> Iterator[NDArray[np.float32]]:
        """Decode the recording part by part; it is whole in memory only where it has to be resampled.

        Args:
            rate: samples a second that are wanted.

        Yields:
            Together what `read` gives.

        Raises:
            DataError: see `read`; what comes before the fault is given first.
        """
        with self._opened() as recording:
            ratio = self._ratio(rate, recording.samplerate)
            if ratio == 1:
                yield from self._decoded(recording)
                return
            samples = np.concatenate(list(self._decoded(recording)))
        up, down = ratio.numerator, ratio.denominator
        resampled: NDArray[np.float32] = _signal().resample_poly(samples, up, down, window=_low_pass(max(up, down)))
        yield resampled

    def _decoded(self, recording: Any) -> Iterator[NDArray[np.float32]]:
        """The mean of the channels at the rate of the recording, as soundfile has opened it."""
        done, end = self._bounds(recording.samplerate, recording.frames)
        most = max(1, _BLOCK // recording.channels)
        if done:
            recording.seek(done)
        while done < end:
            block = recording.read(min(most, end - done), dtype="float32", always_2d=True)
            if not len(block):
                raise self._fault(f"cut short: its header promises {recording.frames:,} samples, found {done:,}")
            self._refuse_no_sound(block, done)
            yield block[:, 0] if block.shape[1] == 1 else block.mean(axis=1, dtype=np.float32)
            done += len(block)

    @cached_property
    def _header(self) -> _Header:
        with self._opened() as recording:
            return _Header(recording.samplerate, recording.frames, recording.channels)

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        """The recording as soundfile opens it, after what the header tells has been checked."""
        soundfile = extra("soundfile", "audio", "reading recordings")
        try:
            is_file = stat.S_ISREG(self.path.stat().st_mode)
        except (OSError, ValueError) as error:  # ValueError: no system takes such a name
            if isinstance(error, FileNotFoundError) and self.file:
                raise self._fault(no_such_file(self.path)) from None
            raise self._fault(f"cannot be read: {getattr(error, 'strerror', None) or error}") from None
        if not is_file:  # opening a pipe would wait for ever
            raise self._fault("cannot be read: not a file")
        try:
            with open(self.path, "rb", buffering=0) as stream:
                missing = _missing(stream)
                stream.seek(0)
                # The descriptor, not the name: by some names soundfile expects samples without a header.
                with soundfile.SoundFile(stream.fileno(), closefd=False) as recording:
                    if missing:
                        raise self._fault(f"cut short: {missing}")
                    if cut := _CUT_W64.search(recording.extra_info) if recording.format == "W64" else None:
                        raise self._fault(f"cut short: its header promises {cut[1]} bytes, found {cut[2]}")
                    if recording.frames >= _NO_LENGTH or (recording.format == "MP3" and not _tells_length(self.path)):
                        raise self._fault("its header does not say how many samples it has; convert it to wav")
                    if recording.frames < 1:
                        raise self._fault("it has no samples")
                    yield recording
        except OSError as error:
            raise self._fault(f"cannot be read: {error.strerror or error}") from None
        except soundfile.SoundFileError as error:
            reason = _no_sound(self.path) or str(getattr(error, "error_string", error)).rstrip(".")
            raise self._fault(f"not a recording that can be read: {reason}") from None

    def _ratio(self, rate: int, own: int) -> Fraction:
        """What the number of samples is multiplied by."""
        ratio = Fraction(rate, own)
        if max(ratio, 1 / ratio) > _WIDEST:
            raise self._fault(f"recorded at {own:,} Hz, which is too far from {rate:,} Hz for resampling")
        if max(ratio.numerator, ratio.denominator) > _FINEST:
            raise self._fault(f"recorded at {own:,} Hz, whose ratio to {rate:,} Hz is too fine for resampling")
        return ratio

    def _bounds(self, rate: int, samples: int) -> tuple[int, int]:
        """The first sample of the segment and the one after its last, of so many in the recording."""
        if self.end is None:
            return 0, samples
        begin, end = round(self.start * rate), round(self.end * rate)
        segment = f"its segment, {self.start:g} to {self.end:g} seconds,"
        if end > samples + _SEGMENT_ROUNDING * rate:
            raise self._fault(f"{segment} goes beyond its {samples / rate:g} seconds")
        if begin >= min(end, samples):
            raise self._fault(f"{segment} has no samples")
        return begin, min(end, samples)

    def _refuse_no_sound(self, block: NDArray[np.float32], done: int) -> None:
        loudness = np.abs(block).max(axis=1)
        if loudness.max() <= _LOUDEST:  # not so where there is a NaN
            return
        row = int((~(loudness <= _LOUDEST)).argmax())
        channel = int((~(np.abs(block[row]) <= _LOUDEST)).argmax())
        raise self._fault(f"sample {done + row + 1:,} is {block[row, channel]:g}, expected numbers between -1 and 1")

    def _fault(self, reason: str) -> DataError:
        if self.file:
            return DataError(f"recording {shown(str(self.path), 300)}: {reason}", file=self.file, line=self.line)
        return DataError(reason, file=self.path)


def _no_sound(path: Path) -> str:
    """What a file that is no recording is, where its first bytes tell."""
    with open(path, "rb") as stream:
        start = stream.read(512)
    if not start:
        return "the file is empty"
    if any(byte < 32 and byte not in b"\t\n\r\f\x1b" for byte in start):
        return ""
    try:
        text = start.decode("utf-8", "strict" if len(start) < 512 else "ignore")
    except UnicodeDecodeError:
        return ""
    return f"it is a text, which begins with {shown(text.split(chr(10), 1)[0].strip(), 40)}"


def shown_rates(rates: Mapping[int, int]) -> str:
    """The rates of recordings, as messages tell them.

    Args:
        rates: samples a second → how many recordings have them.

    Returns:
        Such as ``8,000 Hz (2), 16,000 Hz (30)``; of a single rate without the number.
    """
    if len(rates) == 1:
        return f"{next(iter(rates)):,} Hz"
    return ", ".join(f"{rate:,} Hz ({rates[rate]:,})" for rate in sorted(rates))


def _signal() -> Any:
    return extra("scipy.signal", "audio", "resampling recordings")


@lru_cache(maxsize=8)
def _low_pass(factor: int) -> NDArray[np.float32]:
    """The filter that `scipy.signal.resample_poly` makes of its own accord, every time."""
    taps: NDArray[np.float32] = _signal().firwin(20 * factor + 1, 1 / factor, window=("kaiser", 5.0))
    return taps.astype(np.float32)


def _missing(stream: BinaryIO) -> str:
    """What a file lacks of what it promises where libsndfile says nothing; empty if nothing is known to be missing.

    Sources: the chunks of RIFF and RF64 (https://www.itu.int/rec/R-REC-BS.2088) and of AIFF
    (https://www.loc.gov/preservation/digital/formats/fdd/fdd000005.shtml), the header of AU
    (https://pubs.opengroup.org/external/auformat.html), SPHERE (https://www.nist.gov/itl/iad/mig/tools) and the pages
    of Ogg (https://www.rfc-editor.org/rfc/rfc3533#section-6).
    """
    size = stream.seek(0, 2)
    stream.seek(0)
    head = stream.read(1024)
    kind = head[:4]
    if kind == b"OggS":
        return _missing_pages(stream, size)
    if kind in (b"RIFF", b"RIFX", b"RF64", b"FORM"):
        promised, found = _chunk_of_samples(stream, size, "little" if kind in (b"RIFF", b"RF64") else "big")
    elif kind in (b".snd", b"dns.") and len(head) >= 12:
        order = ">" if kind == b".snd" else "<"
        begin, promised = (int(number) for number in np.frombuffer(head, f"{order}u4", 2, 4))
        found = size - begin
    elif kind == b"NIST":
        told = {name: int(number) for name, number in _SPHERE.findall(head)}
        promised, found = (math.prod(told.values()) if len(told) == 3 else 0), size - len(head)
    else:
        return ""
    if found < promised < _UNKNOWN or (kind == b"RF64" and found < promised):
        return f"its header promises {promised:,} bytes of samples, found {max(0, found):,}"
    return ""


def _chunk_of_samples(stream: BinaryIO, size: int, order: Any) -> tuple[int, int]:
    """The bytes that the chunk of samples promises, and those that follow it in the file."""
    place, long = 12, 0
    while place + 8 <= size:
        stream.seek(place)
        begin = stream.read(24)
        name, length = begin[:4], int.from_bytes(begin[4:8], order)
        if name == b"ds64":  # sizes of more than 32 bits
            long = int.from_bytes(begin[16:24], order)
        if name in (b"data", b"SSND", b"BODY"):
            return long or length, size - place - 8
        place += 8 + length + length % 2
    return 0, 0


def _tells_length(path: Path) -> bool:
    """Whether an MP3 says how long it is: for one that does not libsndfile guesses, and reads no further.

    Source: https://www.codeproject.com/Articles/8295/MPEG-Audio-Frame-Header (Xing, Info and VBRI headers).
    """
    with open(path, "rb") as stream:
        begin = stream.read(10)
        if begin[:3] == b"ID3":  # https://id3.org/id3v2.4.0-structure: 7 bits of the size in each byte
            stream.seek(10 + sum(bits << 7 * place for place, bits in enumerate(reversed(begin[6:10]))))
        else:
            stream.seek(0)
        head = stream.read(4096)
    return any(name in head for name in (b"Xing", b"Info", b"VBRI"))


def _missing_pages(stream: BinaryIO, size: int) -> str:
    """What the end of an Ogg file lacks: a whole page that says it is the last of its stream."""
    stream.seek(max(0, size - _OGG_PAGE))
    end = stream.read(_OGG_PAGE)
    page = end[end.rfind(b"OggS\0") :]
    segments = page[27 : 27 + page[26]] if len(page) > 26 else b""
    if len(page) > 26 and page[5] & 4 and len(page) >= 27 + page[26] + sum(segments):
        return ""
    return "its last page is missing"
