"""Sequences of vectors: arrays as they are, recordings as features; read when a batch needs them."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from seqkit.config.sections import Settings
from seqkit.errors import DataError, ModelError, SettingsError, shown
from seqkit.formats.arrays import ArraySource, unsound
from seqkit.formats.audio import AudioFile, shown_rates
from seqkit.inputs.acoustics import Acoustics
from seqkit.inputs.base import Documents, Sources
from seqkit.inputs.feature_store import FeatureStore
from seqkit.inputs.frame_statistics import Statistics, statistics_of
from seqkit.inputs.frame_stream import VectorStream
from seqkit.inputs.vectors import VectorInput
from seqkit.inputs.warping import Warping
from seqkit.nn.frames import FrameLayer
from seqkit.nn.sequences import to_device
from seqkit.records import FrameRecord

Floats = NDArray[np.float32]

_PART = 4096
"""frames of an array that a stream of a file reads at a time"""


@dataclass(frozen=True)
class FrameBatch:
    """A batch of sequences of vectors.

    Attributes:
        frames: float32 [B, N, F], zero past a sequence's end.
        frame_lengths: frames of each sequence, int64 [B], on the CPU.
        lengths: steps of the encoder that they become, int64 [B], on the CPU.
    """

    frames: Tensor
    frame_lengths: Tensor
    lengths: Tensor

    def to(self, device: torch.device) -> FrameBatch:
        """The same on a device, the lengths still on the CPU."""
        return replace(self, frames=to_device(self.frames, device))


class FrameArrays:
    """Sequences of vectors that are read when a batch needs them.

    Args:
        records: the sequences.
        frame_lengths: frames of each, int64 [S].
        lengths: steps of the encoder that they become, int64 [S].
        statistics: what each is normalised by, where that is said by all sequences of its speaker.
    """

    def __init__(
        self,
        records: Sequence[FrameRecord],
        frame_lengths: NDArray[np.int64],
        lengths: NDArray[np.int64],
        statistics: Sequence[Statistics | None],
    ) -> None:
        self.records = records
        self.frame_lengths = frame_lengths
        self.lengths = lengths
        self.statistics = statistics


def _bytes(frames: Floats) -> memoryview:
    return np.ascontiguousarray(frames).data.cast("B") if frames.size else memoryview(b"")


class FrameModule(nn.Module):
    """The layer in front of the encoder: a batch → [B, T, I].

    Args:
        layer: what normalises, augments, convolves and stacks frames.
    """

    def __init__(self, layer: FrameLayer) -> None:
        super().__init__()
        self.layer = layer
        self.output_size = layer.output_size

    def forward(self, batch: FrameBatch) -> Tensor:
        """The steps of a batch, [B, T, I]."""
        steps: Tensor = self.layer(batch.frames, batch.frame_lengths)
        return steps


def _usual_rate(records: Sequence[FrameRecord]) -> int:
    """The rate that most recordings have, of several the highest."""
    rates = Counter(record.source.rate for record in records if isinstance(record.source, AudioFile))
    return max(rates, key=lambda rate: (rates[rate], rate))


def _factors(most: float, count: int) -> NDArray[np.float64]:
    """Random factors between 1 − most and 1 + most, [count]."""
    return 1 + most * (2 * torch.rand(count, dtype=torch.float64).numpy() - 1)


def _resampled(frames: Floats, count: int) -> Floats:
    """Frames [N, F] → as many as are wanted, [count, F], by linear interpolation; the first and last stay."""
    if len(frames) == count:
        return frames
    places = np.linspace(0, len(frames) - 1, count)  # [count]
    before = np.minimum(places.astype(np.int64), max(0, len(frames) - 2))  # [count]
    after = np.minimum(before + 1, len(frames) - 1)  # [count]
    share = (places - before)[:, None].astype(np.float32)  # [count, 1]
    found: Floats = frames[before] * (1 - share) + frames[after] * share
    return found


def _refuse_unused(settings: Any, *, is_audio: bool) -> None:
    """Refuse settings of recordings for arrays, of arrays for recordings, and a warp of what may be no spectrum."""
    if not is_audio and (changed := settings.audio.changed()):
        raise SettingsError(f"audio.{changed[0]} is for recordings, and these sequences are arrays; leave it out")
    if settings.frames.warp and not settings.frames.spectrum and not is_audio:
        raise SettingsError(
            "frames.warp moves a spectrum, and these sequences are arrays of anything; "
            "say by --set frames.spectrum=logmel or mfcc what they hold"
        )
    if settings.frames.spectrum and (is_audio or not settings.frames.warp):
        why = "of recordings it follows from audio.features" if is_audio else "it is for frames.warp alone"
        raise SettingsError(f"frames.spectrum says what arrays hold; {why}; leave it out")
    if is_audio and settings.data.frame_rate:
        how = "of recordings it follows from audio.shift"
        raise SettingsError(f"data.frame_rate is for arrays, and these sequences are recordings; {how}")


class FrameInput(VectorInput):
    """Sequences of vectors.

    Args:
        settings: the settings of the model.
        size: F.
        rate: samples a second of recordings; None where sequences are arrays.
        mean: what is subtracted from each feature, [F].
        scale: what the difference is multiplied by, [F].
        store: keeps features of the recordings of training, which are needed in every epoch.
    """

    def __init__(
        self,
        settings: Any,
        size: int,
        rate: int | None = None,
        mean: Tensor | None = None,
        scale: Tensor | None = None,
        store: FeatureStore | None = None,
    ) -> None:
        super().__init__(settings)
        self.size = size
        self.acoustics = None if rate is None else Acoustics(settings.audio, rate)
        if rate is None:
            self._warping = Warping.of_arrays(settings.frames.spectrum, size)
        else:
            self._warping = Warping.of_recordings(settings.audio, rate)
        self._mean, self._scale = mean, scale
        self._store = store
        self.optional_fields = (settings.data.speaker,) if self.surveys else ()
        self._speakers: dict[str | None, Statistics] = {}  # of `surveyed`

    @classmethod
    def build(cls, settings: Any, records: Sequence[FrameRecord], sources: Sources) -> FrameInput:
        """See `Input.build`: all training sequences are read once, for the statistics of their features."""
        first = records[0].source
        is_audio = isinstance(first, AudioFile)
        rate = (settings.audio.rate or _usual_rate(records)) if is_audio else None
        if isinstance(settings, Settings):  # not one field of several, which may be of both kinds
            _refuse_unused(settings, is_audio=is_audio)
        size = settings.audio.size if is_audio else first.shape[1]
        if not size:
            raise records[0].fault("the frames have no features")
        how = [settings.audio.model_dump(mode="json"), rate]
        store = FeatureStore(how, size, sources.features, take_up=sources.resumes) if is_audio else None
        found = cls(settings, size, rate, store=store)
        if settings.frames.normalize == "data":
            mean, scale = found._statistics(records)
            found._mean, found._scale = torch.from_numpy(mean), torch.from_numpy(scale)
        elif found.surveys and all(found.speaker(record) is None for record in records):
            raise SettingsError(
                f"frames.normalize is speaker, but no sequence has a field {shown(settings.data.speaker)}; "
                "name it by --set data.speaker, or use --set frames.normalize=sequence"
            )
        return found

    @classmethod
    def restore(cls, settings: Any, documents: Documents) -> FrameInput:
        """See `Input.restore`."""
        tree = documents["frames.json"]
        size, rate = (tree.get("features"), tree.get("rate")) if isinstance(tree, dict) else (None, None)
        sound = rate is None or (type(rate) is int and 0 < rate <= 1_000_000)
        if type(size) is not int or not 0 < size <= 1_000_000 or not sound:
            expected = 'expected {"features": N, "rate": N or null}'
            raise ModelError(f"{documents.place}: frames.json: {expected}, found {shown(tree)}")
        return cls(settings, size, rate)

    def documents(self) -> dict[str, Any]:
        """See `Input.documents`."""
        return {"frames.json": {"features": self.size, "rate": self.acoustics.rate if self.acoustics else None}}

    @property
    def dropout(self) -> float:
        """See `Input.dropout`."""
        return float(self.settings.frames.dropout)

    def module(self) -> FrameModule:
        """See `Input.module`."""
        frames = self.settings.frames
        return FrameModule(
            FrameLayer(
                self.size,
                mean=self._mean,
                scale=self._scale,
                noise=frames.noise,
                offset=frames.offset,
                time_masks=frames.time_masks,
                time_mask_width=frames.time_mask,
                time_mask_share=0.2,
                feature_masks=frames.feature_masks,
                feature_mask_width=min(frames.feature_mask, self.size),
                convolutions=frames.convolutions,
                channels=frames.channels,
                kernel=frames.kernel,
                causal=frames.causal,
                stack=frames.stack,
                stride=frames.step,
            )
        )

    def stream(self, module: nn.Module) -> VectorStream:
        """See `Input.stream` and `VectorStream`; a chunk is frames [n, F] or, of recordings, samples [n]."""
        how = self.settings.frames.normalize
        if how in ("sequence", "speaker"):
            whole = "the whole sequence" if how == "sequence" else "all sequences of a speaker"
            raise SettingsError(
                f"frames.normalize is {how}: the mean of {whole} is subtracted, which a stream does not wait for; "
                "train with --set frames.normalize=data"
            )
        assert isinstance(module, FrameModule)
        return VectorStream(self, module.layer)

    # --- reading --------------------------------------------------------------------------------------------------

    def read(self, record: FrameRecord, *, keep: bool = False) -> Floats:
        """The frames of a sequence, checked.

        Args:
            record: the sequence.
            keep: whether features of a recording are needed again.

        Returns:
            float32 [N, F].

        Raises:
            DataError: they cannot be read, or are no finite numbers, none, or of another size.
        """
        if record.vectors is not None:
            return record.vectors
        self._check_kind(record)
        if self.acoustics is not None and self._store is not None:
            kept = self._store.get(record.source.path, record.source.segment)
            if kept is not None:
                return kept
        try:
            frames = record.source.read() if self.acoustics is None else self._features(record.source)
        except DataError as error:
            raise record.fault_of(error) if self.acoustics is None else error from None
        self._refuse(record, *frames.shape)
        if fault := unsound(frames):
            raise record.fault(fault)
        if keep and self.acoustics is not None and self._store is not None:
            self._store.add(record.source.path, np.ascontiguousarray(frames), record.source.segment)
        return frames

    def _features(self, recording: AudioFile) -> Floats:
        assert self.acoustics is not None
        return self.acoustics(recording.read(self.acoustics.rate))

    def settle(self, file: Path) -> None:
        """See `Input.settle`."""
        if self._store is not None:
            self._store.settle(file)

    def parts(self, record: FrameRecord) -> Iterator[Floats]:
        """A sequence in parts, as `stream` takes them, so that a long one need not be in memory.

        Args:
            record: the sequence.

        Yields:
            Frames [n, F], or samples [n] of a recording at the model's rate.

        Raises:
            DataError: it cannot be read, has no frames, or frames of another size; numbers are not looked at.
        """
        self.count(record)
        if self.acoustics is not None:
            yield from record.source.blocks(self.acoustics.rate)
            return
        try:
            source = record.source
            yield from source.parts(_PART) if isinstance(source, ArraySource) else [source.read()]
        except DataError as error:
            raise record.fault_of(error) from None

    def _check_kind(self, record: FrameRecord) -> None:
        if isinstance(record.source, AudioFile) != (self.acoustics is not None):
            kinds = ("a recording", "an array of frames")
            expected, found = kinds if self.acoustics is not None else kinds[::-1]
            raise record.fault(f"expected {expected}, as the model was trained on, found {found}")

    def _refuse(self, record: FrameRecord, count: int, size: int) -> None:
        if size != self.size:
            raise record.fault(self.other_size(size))
        if not count:
            raise record.fault("the sequence has no frames" if self.acoustics is None else self.too_short)

    def other_size(self, size: int) -> str:
        """The message that frames have another number of features."""
        return f"expected {self.size} features a frame, as in training, found {size}"

    @property
    def too_short(self) -> str:
        """The message that there are no frames of a recording."""
        return f"the recording is shorter than one window of {self.settings.audio.window:g} ms (--set audio.window)"

    def count(self, record: FrameRecord) -> int:
        """Frames of a sequence, from its header alone; those of a recording are as many as this model makes of it.

        Args:
            record: the sequence, which notes their number for its `len`.

        Returns:
            N.

        Raises:
            DataError: it cannot be read, has no frames, or frames of another size.
        """
        self._check_kind(record)
        if self.acoustics is None:
            try:
                count, size = record.source.shape
            except DataError as error:
                raise record.fault_of(error) from None
        else:
            count, size = self.acoustics.frames(record.source.samples_at(self.acoustics.rate)), self.size
        self._refuse(record, count, size)
        record.frames = int(count)
        return record.frames

    def check(self, records: Sequence[FrameRecord]) -> int:
        """See `Input.check`: reads every sequence."""
        return zlib.crc32(
            b"".join(zlib.crc32(_bytes(self.read(record, keep=True))).to_bytes(4, "little") for record in records)
        )

    def steps(self, frames: Any) -> Any:
        """Steps of the encoder that numbers of frames become."""
        step = self.settings.frames.step
        return (frames + step - 1) // step

    def arrays(self, records: Sequence[FrameRecord]) -> FrameArrays:
        """See `Input.arrays`; only the lengths are read."""
        counts = np.array([self.count(record) for record in records], dtype=np.int64)
        statistics = [self._speakers.get(self.speaker(record)) if self._speakers else None for record in records]
        return FrameArrays(records, counts, self.steps(counts), statistics)

    def collate(self, arrays: FrameArrays, rows: NDArray[np.int64]) -> FrameBatch:
        """See `Input.collate`."""
        return self._batch(arrays, rows, arrays.frame_lengths[rows])

    def training_batch(self, arrays: FrameArrays, rows: NDArray[np.int64], targets: Any) -> FrameBatch:
        """See `Input.training_batch`: with `speed` and `warp` changed, but no shorter than the targets need."""
        counts = arrays.frame_lengths[rows]  # [B]
        if most := getattr(self.settings.frames, "speed", 0.0):
            needed = getattr(targets, "needed", None)  # steps, of each record
            least = 1 if needed is None else needed[rows] * self.settings.frames.step
            counts = np.maximum(np.rint(counts / _factors(most, len(rows))).astype(np.int64), least)
        if most := self.settings.frames.warp:
            return self._batch(arrays, rows, counts, _factors(most, len(rows)))
        return self._batch(arrays, rows, counts)

    def _batch(
        self,
        arrays: FrameArrays,
        rows: NDArray[np.int64],
        counts: NDArray[np.int64],
        warps: NDArray[np.float64] | None = None,
    ) -> FrameBatch:
        """Some sequences as a batch, each of so many frames, between which numbers are interpolated."""
        frames = np.zeros((len(rows), int(counts.max(initial=0)), self.size), dtype=np.float32)  # [B, N, F]
        for place, (row, count) in enumerate(zip(rows.tolist(), counts.tolist(), strict=True)):
            warp = None if warps is None else float(warps[place])
            frames[place, :count] = _resampled(self._normalised(arrays, row, warp), count)
        return FrameBatch(torch.from_numpy(frames), torch.from_numpy(counts), torch.from_numpy(self.steps(counts)))

    def _normalised(self, arrays: FrameArrays, row: int, warp: float | None = None) -> Floats:
        """Frames, warped if asked, after what is normalised by their own sequence or by those of their speaker."""
        record, count = arrays.records[row], int(arrays.frame_lengths[row])
        frames = self.read(record)
        if len(frames) != count:
            raise record.fault(f"expected {count:,} frames, found {len(frames):,}: the file has changed meanwhile")
        if warp is not None:
            frames = self._warping(frames, warp)
        if self.settings.frames.normalize not in ("sequence", "speaker"):
            return frames
        mean, scale = arrays.statistics[row] or statistics_of([frames], self.size)
        return (frames - mean) * scale

    def _statistics(self, records: Iterable[FrameRecord]) -> Statistics:
        return statistics_of((self.read(record, keep=True) for record in records), self.size)

    def speaker(self, record: FrameRecord) -> str | None:
        """Who speaks in a sequence, for `surveyed`; None where that is not known."""
        speaker = record.fields.get(self.settings.data.speaker)
        return None if speaker is None or speaker == "" else str(speaker)

    @property
    def surveys(self) -> bool:
        """See `Input.surveys`: where frames are normalised by all sequences of their speaker."""
        how: str = self.settings.frames.normalize
        return how == "speaker"

    def surveyed(self, records: Sequence[FrameRecord]) -> FrameInput:
        """See `Input.surveyed`; a sequence without a speaker is normalised by itself."""
        if not self.surveys:
            return self
        speakers: dict[str | None, list[FrameRecord]] = {}
        for record in records:
            if (speaker := self.speaker(record)) is not None:
                speakers.setdefault(speaker, []).append(record)
        found = copy(self)
        found._speakers = {speaker: self._statistics(spoken) for speaker, spoken in speakers.items()}
        return found

    def lengths(self, records: Sequence[FrameRecord]) -> list[int]:
        """See `Input.lengths`."""
        return list(map(int, self.steps(np.array([self.count(record) for record in records], dtype=np.int64))))

    def facts(self, records: Sequence[FrameRecord]) -> tuple[dict[str, Any], list[str]]:
        """See `Input.facts`: what recordings become, and how many are resampled for it."""
        if self.acoustics is None:
            return {}, []
        rates = Counter(record.source.rate for record in records)
        told = [self.description()[0].removeprefix("- Input: ")]
        if set(rates) != {self.acoustics.rate}:
            why = "as audio.rate says" if self.settings.audio.rate else "as most have; --set audio.rate=N changes this"
            told.append(f"recordings at {shown_rates(rates)} are read at {self.acoustics.rate:,} Hz, {why}")
        return {}, told

    def description(self) -> list[str]:
        """See `Input.description`."""
        if self.acoustics is None:
            return [f"- Input: frames of {self.size} features"]
        audio = self.settings.audio
        return [
            f"- Input: recordings at {self.acoustics.rate:,} Hz as {self.size} features ({audio.features}), "
            f"{self.acoustics.frame_rate:g} frames a second"
        ]
