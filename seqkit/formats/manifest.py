"""Manifests: rows that name sequences of vectors, with their labels and texts beside them.

A field of a row has the sequence: the name of an array file (``a.npy``; of several arrays ``all.npz#name`` or
``all.npy#row``), the name of a recording (``a.wav``), both relative to the manifest, or the numbers themselves, a list
of frames. Rows without such a field have the rows of an array beside the manifest: ``a.frames.npy`` beside ``a.jsonl``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqkit.errors import DataError, shown
from seqkit.formats.arrays import ArrayFile, ArraySource, array_files
from seqkit.formats.format import Format, ReadOptions
from seqkit.formats.json_text import Container, objects
from seqkit.formats.midi import MIDI_SUFFIXES, Piece, read_midi
from seqkit.formats.text import Line
from seqkit.records import FrameRecord

KEYS = ("frames", "audio", "audio_filepath", "path", "file")
"""fields that may name a sequence, the first that is there counts"""
ARRAY_SUFFIXES = (".npy", ".npz")
AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".oga", ".opus", ".aif", ".aiff", ".au", ".mp3")


def has_frames(row: object, field: str = "") -> bool:
    """Whether a row has a sequence of vectors.

    Args:
        row: the row.
        field: the field that is asked for; by default any of the usual ones.

    Returns:
        Whether it has: numbers, or the name of a file of arrays or sound.
    """
    if not isinstance(row, Mapping):
        return False
    value = next((row[key] for key in ((field,) if field else KEYS) if key in row), None)
    if isinstance(value, str):
        return value.partition("#")[0].lower().endswith(ARRAY_SUFFIXES + AUDIO_SUFFIXES + MIDI_SUFFIXES)
    return isinstance(value, list) and len(value) > 0 and isinstance(value[0], list | int | float)


def beside(manifest: str | Path) -> Path | None:
    """The array beside a manifest, if there is one.

    Args:
        manifest: the manifest.

    Returns:
        The file.
    """
    path = Path(manifest)
    found = path.with_name(f"{path.name.removesuffix(path.suffix)}.frames.npy")
    return found if found.is_file() else None


def object_frames(
    container: Container, lines: Iterable[Line], name: str, options: ReadOptions
) -> Iterator[FrameRecord]:
    """Read JSON objects that name sequences of vectors.

    Args:
        container: what the objects are in.
        lines: numbered lines.
        name: the file's name.
        options: the field of the sequence.

    Returns:
        An iterator over the sequences.

    Raises:
        DataError: while iterating: anything wrong with a row.
    """
    return frames_of_rows(objects(lines, name, container), name, options)


def array_frames(lines: Iterable[Line], name: str, options: ReadOptions) -> Iterator[FrameRecord]:
    """The sequences of vectors of a file of arrays, which have no labels.

    Args:
        lines: not read.
        name: the file.
        options: not used.

    Yields:
        The sequences.

    Raises:
        DataError: the file cannot be read.
    """
    path = Path(name)
    for number, found in enumerate(array_files(path), start=1):
        said = f"{path.name}#{found.member}" if found.member else path.name
        yield _made(partial(ArraySource, found), "frames", said, {}, name, number)


def frames_of_rows(rows: Iterable[tuple[int, Any]], name: str, options: ReadOptions) -> Iterator[FrameRecord]:
    """Read rows that name sequences of vectors.

    Args:
        rows: each row, a mapping, and its line.
        name: the file's name.
        options: the field of the sequence, and whether the rows are only a part of the file.

    Yields:
        The sequences.

    Raises:
        DataError: anything wrong with a row.
    """
    array = beside(name)
    folder = Path(name).parent
    expected = -1
    if array is not None:
        shape = ArrayFile(array).header()[0]
        expected = shape[0] if len(shape) > 1 else 0
    number = 0
    for line, row in rows:
        if not isinstance(row, dict):
            raise DataError(f"expected an object, found {shown(row)}", file=name, line=line)
        key = next((key for key in ((options.frames,) if options.frames else KEYS) if key in row), None)
        if key is None and array is not None:
            if number >= expected:
                raise DataError(f"{array.name} has {expected:,} rows, and there are more records", file=name, line=line)
            source = ArrayFile(array, str(number))
            yield _made(partial(ArraySource, source), "frames", f"{array.name}#{number}", row, name, line)
        else:
            found = row_frames(row, options.frames, folder, name, line)
            if isinstance(found.source, Piece):
                options.left_out.update(found.source.left_out)
            yield found
        number += 1
    if array is not None and 0 < number < expected and not options.part:
        raise DataError(f"expected {expected:,} records, one per row of {array.name}, found {number:,}", file=name)


def audio_frames(lines: Iterable[Line], name: str, options: ReadOptions) -> Iterator[FrameRecord]:
    """A recording, of which vectors are made; it has no label.

    Args:
        lines: not read.
        name: the file.
        options: not used.

    Yields:
        The one sequence.
    """
    path = Path(name)
    yield _made(partial(_located, path.name, path.parent, "", 0), "audio", path.name, {}, name, 0)


def row_frames(
    row: Mapping[str, Any], field: str = "", folder: Path | None = None, file: str = "", line: int = 0
) -> FrameRecord:
    """Make a sequence of vectors of a row.

    Args:
        row: its fields.
        field: the one of the sequence; by default any of the usual ones.
        folder: what names of files are relative to; None where a row may name none.
        file: where it is from, for messages.
        line: its line there.

    Returns:
        The sequence.

    Raises:
        DataError: the row has no sequence, or one that cannot be read.
    """
    key = next((key for key in ((field,) if field else KEYS) if key in row), None)
    if key is None:
        found = ", ".join(map(repr, row)) or "no fields"
        wanted = f"a field {field!r}" if field else 'a field "frames" or "audio"'
        hint = "" if field else "; --frames names another one"
        raise DataError(f"expected {wanted} with a sequence of vectors, found {found}{hint}", file=file, line=line)
    value = row[key]
    fields = {name: each for name, each in row.items() if name != key}
    if isinstance(value, str) and value and folder is not None:
        return _made(partial(_located, value, folder, file, line), key, value, fields, file, line)
    if isinstance(value, list | np.ndarray) and len(value):
        return _made(lambda: ArraySource(_numbers(value)), key, "", fields, file, line)
    wanted = "the name of a file, or a list of frames" if folder is not None else "a list of frames, each of numbers"
    raise DataError(f'expected {wanted} in "{key}", found {shown(value)}', file=file, line=line)


def _made(make: Any, key: str, name: str, fields: dict[str, Any], file: str, line: int) -> FrameRecord:
    try:
        return FrameRecord(make(), key, name, fields, file, line)
    except ValueError as error:  # of a shape
        raise DataError(f"{shown(name)}: {error}" if name else str(error), file=file, line=line) from None
    except DataError as error:  # of a file that the row names
        if not file or str(error).startswith(f"{file}:") or not line:
            raise
        raise DataError(str(error), file=file, line=line) from None


def _located(name: str, folder: Path, file: str, line: int) -> Any:
    """What a row names: a recording, an array file, or a part of one after ``#``."""
    path, member = folder / name, ""
    if "#" in name and not path.exists():
        whole, _, member = name.rpartition("#")
        path = folder / whole
    if path.suffix.lower() in AUDIO_SUFFIXES:
        from seqkit.formats.audio import AudioFile

        return AudioFile(path, file, line)
    if path.suffix.lower() in MIDI_SUFFIXES:
        return read_midi(path)
    if path.suffix.lower() not in ARRAY_SUFFIXES:
        known = "an array (.npy, .npz), a recording (.wav, .flac, .ogg) or a piece of music (.mid)"
        raise ValueError(f"expected the name of {known}")
    if path.suffix.lower() == ".npz" and not member:
        members = [found.member for found in array_files(path)]
        if len(members) != 1:
            raise ValueError(f"it has {len(members)} arrays; name one as {path.name}#NAME")
        member = members[0]
    return ArraySource(ArrayFile(path, member))


def _numbers(value: Any) -> NDArray[np.float32]:
    try:
        found = np.asarray(value)
        if found.dtype.kind in "biuf":
            return found.astype(np.float32)
    except (ValueError, TypeError, OverflowError):
        pass
    if isinstance(value, list) and all(isinstance(frame, list) for frame in value):
        sizes = {len(frame) for frame in value}
        if len(sizes) > 1:
            raise ValueError(f"expected frames of one length, found {', '.join(map(str, sorted(sizes)[:5]))} numbers")
    raise ValueError("expected a list of frames, each a list of numbers")


def _binary(name: str, content: str, source: str, suffixes: tuple[str, ...], frames: Any) -> Format:
    return Format(name, content, source, suffixes=suffixes, frames=frames, binary=True, opens=True)


_NUMPY = "https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html"
NPY = _binary("npy", "an array of numbers", _NUMPY, (".npy",), array_frames)
NPZ = _binary("npz", "arrays of numbers", _NUMPY, (".npz",), array_frames)
AUDIO = _binary(
    "audio", "a recording", "https://libsndfile.github.io/libsndfile/formats.html", AUDIO_SUFFIXES, audio_frames
)
