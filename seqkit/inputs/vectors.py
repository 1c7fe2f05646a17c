"""What all inputs of sequences of vectors have in common: how a user of a model gives one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from seqkit.errors import DataError, shown
from seqkit.formats.manifest import row_frames
from seqkit.formats.midi import Piece
from seqkit.inputs.base import Input
from seqkit.records import FrameRecord


class VectorInput(Input):
    """Sequences of vectors, arrays or what frames are made of.

    Args:
        settings: the settings of the model.
    """

    shape = "[N, F]"
    """of an array, for messages"""

    def __init__(self, settings: Any) -> None:
        self.settings = settings
        self.fields = tuple(dict.fromkeys(("frames", settings.data.frames or "frames")))

    def record(self, given: Any) -> FrameRecord:
        """What a user gives as a sequence; see `Input.record`.

        Args:
            given: an array, a list or a tuple of frames, a `Piece`, a record, or a mapping with one of them.

        Returns:
            The sequence.

        Raises:
            DataError: it is something else.
        """
        if isinstance(given, FrameRecord):
            return given
        if isinstance(given, Piece):
            return FrameRecord(given, name=given.file)
        if isinstance(given, Mapping):
            field = self.settings.data.frames
            return row_frames(given, field if field in given else "")
        if isinstance(given, list | tuple) or hasattr(given, "__array__"):
            return row_frames({"frames": given})
        expected = f"a record must be an array of frames {self.shape}, or a mapping with one"
        raise DataError(f"{expected}, found {shown(given)}")
