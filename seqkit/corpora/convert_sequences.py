"""Converting files of sequences of vectors: to an archive of arrays, or to JSON lines with all numbers in them."""

from __future__ import annotations

import json
import os
import re
import sys
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from seqkit.errors import DataError
from seqkit.files import aside, rename
from seqkit.formats.arrays import unsound
from seqkit.formats.audio import AudioFile
from seqkit.formats.format import Description, ReadOptions, notes_on
from seqkit.formats.registry import described_frames
from seqkit.formats.writers import clean
from seqkit.metrics.scores import plural
from seqkit.records import FrameRecord

WRITTEN = ("npz", "jsonl")
"""formats that hold sequences of vectors"""


def convert_sequences(
    source: str | Path, destination: str | Path, description: Description, wanted: str, key: str, notes: list[str]
) -> int:
    """Convert a file of sequences of vectors.

    Args:
        source: the file to read.
        destination: the file to write, or ``-`` for standard output; it may be the source.
        description: how the source is read.
        wanted: ``npz``, which holds the vectors alone, or ``jsonl``, which holds them as lists, and other fields too.
        key: the field of the sequence in the source; empty for the usual ones.
        notes: receives lines for the user, the last one how many sequences there were.

    Returns:
        The number of sequences.

    Raises:
        DataError: the source has a fault or names recordings, or the destination cannot be written.
        BrokenPipeError: standard output is closed.
    """
    if wanted not in WRITTEN:
        raise DataError(f"{wanted} cannot hold sequences of vectors; --output-format jsonl or npz can", file=source)
    options = ReadOptions(frames=key).of(description)
    records = list(described_frames(source, description, options))
    if wanted == "npz" and str(destination) == "-":
        raise DataError("an archive of arrays cannot go to standard output; name a file", file=source)
    write = _write_archive if wanted == "npz" else _write_lines
    try:
        if str(destination) == "-":
            sys.stdout.flush()
            write(sys.stdout.buffer, records, options.left_out)
        else:
            part = aside(Path(destination))  # the source is read while this is written
            try:
                with open(part, "wb") as stream:
                    write(stream, records, options.left_out)
                rename(part, Path(destination))
            except BaseException:
                with suppress(OSError):
                    part.unlink(missing_ok=True)
                raise
    except BrokenPipeError:
        raise  # not a fault: the command line exits silently
    except OSError as error:
        raise DataError(f"cannot be written: {error.strerror or error}", file=destination) from None
    notes += [*notes_on(source, options.left_out), plural(len(records), "sequence")]
    return len(records)


def _vectors(record: FrameRecord) -> Any:
    if isinstance(record.source, AudioFile):
        raise record.fault("recordings are not converted: a manifest names them")
    try:
        frames = record.source.read()
    except DataError as error:
        raise record.fault_of(error) from None
    if fault := unsound(frames):
        raise record.fault(fault)
    return frames


def _write_archive(stream: BinaryIO, records: Sequence[FrameRecord], left_out: Counter[str]) -> None:
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name, record in zip(_names(records), records, strict=True):
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, _vectors(record), allow_pickle=False)
            for field in record.fields:
                left_out[f"fields {field!r} left out, which an archive of arrays cannot hold"] += 1


def _names(records: Sequence[FrameRecord]) -> Iterator[str]:
    """The names of members: those that the sequences have, or their numbers."""
    names = [record.name if record.line else os.path.basename(record.name) for record in records]
    own = [re.sub(r"\.np[yz]$", "", name.rpartition("#")[2] or name) for name in names]
    if all(own) and len(set(own)) == len(own) and not any("\0" in name or len(name) > 200 for name in own):
        yield from map(clean, own)
        return
    digits = len(str(max(0, len(records) - 1)))
    yield from (f"{row:0{digits}}" for row in range(len(records)))


def _write_lines(stream: BinaryIO, records: Sequence[FrameRecord], left_out: Counter[str]) -> None:
    for record in records:
        frames = [
            [float(str(value)) for value in frame] for frame in _vectors(record)
        ]  # as short as float32 can be told
        fields = {clean(name): value for name, value in record.fields.items()}
        key = "frames" if "frames" not in fields else record.key
        stream.write((json.dumps({key: frames, **fields}, ensure_ascii=False) + "\n").encode("utf-8", "replace"))
