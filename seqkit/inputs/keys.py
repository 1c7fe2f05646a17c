"""Sequences of keys that are on or off, such as those of a piano: each frame predicted from all before it."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from seqkit.errors import DataError, ModelError, shown
from seqkit.formats.midi import Piece
from seqkit.formats.piano import KEYS
from seqkit.inputs.base import Documents, Sources
from seqkit.inputs.vectors import VectorInput
from seqkit.nn.sequences import to_device
from seqkit.records import FrameRecord

Bits = NDArray[np.uint8]
Integers = NDArray[np.int64]

MOST_KEYS = 10_000
"""of a frame: more would not be keys"""


_OF_TEXTS = "--unit char makes a language model of the texts beside the sequences"


def _text_beside(record: FrameRecord) -> str:
    """What to say of a sequence of other numbers than keys that has a text."""
    return f"; {_OF_TEXTS}" if isinstance(record.fields.get("text"), str) else ""


@dataclass(frozen=True)
class KeyBatch:
    """Some frames of several sequences.

    Attributes:
        frames: zeros and ones, float32 [B, T, K], zero past a sequence's end.
        previous: the frame before each first one, float32 [B, K]; zeros at the beginning of a sequence.
        lengths: frames of each, int64 [B], on the CPU.
    """

    frames: Tensor
    previous: Tensor
    lengths: Tensor

    def to(self, device: torch.device) -> KeyBatch:
        """The same on a device, the lengths still on the CPU."""
        return replace(self, frames=to_device(self.frames, device), previous=to_device(self.previous, device))


class KeyArrays:
    """Sequences of frames, eight keys a byte.

    Args:
        frames: zeros and ones of each sequence, uint8 [N, K].
        keys: K.

    Attributes:
        lengths: the frames of each, int64 [S].
    """

    def __init__(self, frames: Sequence[Bits], keys: int) -> None:
        self.keys = keys
        self.lengths = np.array([len(each) for each in frames], dtype=np.int64)
        self._packed = [np.packbits(each, axis=1) for each in frames]  # each [N, ⌈K / 8⌉]

    def frames(self, row: int, begin: int, end: int) -> Bits:
        """Some frames of a sequence, uint8 [N, K]."""
        return np.unpackbits(self._packed[row][begin:end], axis=1, count=self.keys)

    def room(self, row: int) -> tuple[int, int]:
        """How many keys are free below the lowest that is on anywhere in a sequence, and above the highest."""
        used = np.bitwise_or.reduce(self._packed[row], axis=0)  # [⌈K / 8⌉]
        on = np.flatnonzero(np.unpackbits(used, count=self.keys))
        return (int(on[0]), self.keys - 1 - int(on[-1])) if len(on) else (0, 0)

    def checksum(self) -> int:
        """A checksum of all frames."""
        found = 0
        for each in self._packed:
            found = zlib.crc32(each.tobytes(), zlib.crc32(str(each.shape).encode(), found))
        return found


class KeyModule(nn.Module):
    """A batch → the frame before each, [B, T, K].

    Args:
        keys: K.
    """

    def __init__(self, keys: int) -> None:
        super().__init__()
        self.output_size = keys

    def forward(self, batch: KeyBatch) -> Tensor:
        """The vectors that the encoder reads, of which none is of the frame to predict."""
        return torch.cat([batch.previous.unsqueeze(1), batch.frames[:, :-1]], 1)  # [B, T, K]


class KeyInput(VectorInput):
    """Sequences of frames of zeros and ones.

    Args:
        settings: the settings of the model.
        keys: K.
    """

    shape = "[N, K]"

    def __init__(self, settings: Any, keys: int) -> None:
        super().__init__(settings)
        self.keys = keys

    @classmethod
    def build(cls, settings: Any, records: Sequence[FrameRecord], sources: Sources) -> KeyInput:
        """See `Input.build`."""
        _, keys = _shape(records[0], settings.data.frames_per_quarter)
        if keys > MOST_KEYS:
            raise records[0].fault(f"expected at most {MOST_KEYS:,} keys a frame, found {keys:,}")
        if not keys:
            raise records[0].fault("the frames have no keys")
        return cls(settings, keys)

    @classmethod
    def restore(cls, settings: Any, documents: Documents) -> KeyInput:
        """See `Input.restore`."""
        tree = documents["frames.json"]
        keys = tree.get("keys") if isinstance(tree, dict) else None
        if type(keys) is not int or not 0 < keys <= MOST_KEYS:
            raise ModelError(f'{documents.place}: frames.json: expected {{"keys": N}}, found {shown(tree)}')
        return cls(settings, keys)

    def documents(self) -> dict[str, Any]:
        """See `Input.documents`."""
        return {"frames.json": {"keys": self.keys}}

    @property
    def dropout(self) -> float:
        """See `Input.dropout`."""
        return float(self.settings.frames.dropout)

    def module(self) -> KeyModule:
        """See `Input.module`."""
        return KeyModule(self.keys)

    # --- reading --------------------------------------------------------------------------------------------------

    def read(self, record: FrameRecord) -> Bits:
        """The frames of a sequence, checked.

        Args:
            record: the sequence; of a MIDI file frames are made as the settings say.

        Returns:
            uint8 [N, K].

        Raises:
            DataError: they cannot be read, are no zeros and ones, none, or of another size.
        """
        source, per_quarter = record.source, self.settings.data.frames_per_quarter
        _refuse_recording(record)
        try:
            found: NDArray[Any] = source.frames(per_quarter) if isinstance(source, Piece) else source.read()
        except DataError as error:
            raise record.fault_of(error) from None
        if found.shape[1] != self.keys:
            raise record.fault(f"expected {self.keys} keys a frame, as in training, found {found.shape[1]}")
        if not len(found):
            raise record.fault("the sequence has no frames")
        wrong = (found != 0) & (found != 1)  # [N, K]
        if wrong.any():
            frame, key = np.argwhere(wrong)[0].tolist()
            wrong_one = f"found {found[frame, key]:g} in frame {frame}, key {key}"
            raise record.fault(f"expected zeros and ones, {wrong_one}{_text_beside(record)}")
        return found.astype(np.uint8)

    def check(self, records: Sequence[FrameRecord]) -> int:
        """See `Input.check`: reads every sequence."""
        return self.arrays(records).checksum()

    def arrays(self, records: Sequence[FrameRecord]) -> KeyArrays:
        """See `Input.arrays`."""
        return KeyArrays([self.read(record) for record in records], self.keys)

    def collate(self, arrays: KeyArrays, rows: Integers) -> KeyBatch:
        """See `Input.collate`."""
        return self.window(arrays, rows, 0, int(arrays.lengths[rows].max(initial=0)))

    def window(
        self, arrays: KeyArrays, rows: Integers, begin: int, end: int, shifts: Integers | None = None
    ) -> KeyBatch:
        """Some frames of several sequences.

        Args:
            arrays: the sequences.
            rows: which of them, [B].
            begin: the first frame.
            end: the one after the last.
            shifts: by how many keys each sequence is moved up, [B]; none by default.

        Returns:
            The batch.
        """
        lengths = np.clip(arrays.lengths[rows] - begin, 0, end - begin)  # [B]
        found = np.zeros((len(rows), int(lengths.max(initial=0)) + 1, self.keys), np.float32)  # [B, 1 + T, K]
        for place, row in enumerate(rows.tolist()):
            frames = arrays.frames(row, max(0, begin - 1), begin + int(lengths[place]))
            if shifts is not None:
                frames = np.roll(frames, int(shifts[place]), axis=1)  # into room that is free, see `KeyArrays.room`
            first = int(begin == 0)
            found[place, first : first + len(frames)] = frames
        both = torch.from_numpy(found)
        return KeyBatch(both[:, 1:], both[:, 0], torch.from_numpy(lengths))

    def lengths(self, records: Sequence[FrameRecord]) -> list[int]:
        """See `Input.lengths`."""
        return [_shape(record, self.settings.data.frames_per_quarter)[0] for record in records]

    def description(self) -> list[str]:
        """See `Input.description`."""
        return [f"- Input: frames of {self.keys} keys, {self.settings.data.frames_per_quarter} a quarter note"]


def _refuse_recording(record: FrameRecord) -> None:
    if not hasattr(type(record.source), "shape"):
        beside = _text_beside(record)
        beside += ", and `seqkit transcribe` learns from recordings" if beside else ""
        raise record.fault(f"expected frames of keys that are on or off, found a recording{beside}")


def _shape(record: FrameRecord, frames_per_quarter: int) -> tuple[int, int]:
    """How many frames and keys a sequence has."""
    source = record.source
    _refuse_recording(record)
    try:
        return (source.count(frames_per_quarter), KEYS) if isinstance(source, Piece) else source.shape
    except DataError as error:
        raise record.fault_of(error) from None
