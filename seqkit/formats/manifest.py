"""Manifests: rows that name sequences of vectors, with their labels and texts beside them.

A field of a row has the sequence: the name of an array file (``a.npy``; of several arrays ``all.npz#name`` or
``all.npy#row``), the name of a table of numbers (``a.csv``) or of a recording (``a.wav``), all relative to the
manifest, or the numbers themselves, a list of frames. Rows without such a field have the rows of an array beside the
manifest: ``a.frames.npy`` beside ``a.jsonl``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqkit.errors import DataError, no_such_file, shown
from seqkit.formats.arrays import ArrayFile, ArraySource, array_files
from seqkit.formats.format import Format, ReadOptions, Sample
from seqkit.formats.json_text import Container, objects
from seqkit.formats.midi import MIDI_SUFFIXES, Piece, read_midi
from seqkit.formats.number_tables import NumberTable, number_of
from seqkit.formats.text import Line, data_suffix
from seqkit.records import FrameRecord

KEYS = ("frames", "audio", "audio_filepath", "path", "file", "file_name", "filename")
"""fields that may name a sequence, in any case; the last ones may as well name something else"""
_SURE_KEYS = KEYS[:2]
ARRAY_SUFFIXES = (".npy", ".npz")
AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".oga", ".opus", ".aif", ".aiff", ".au", ".mp3")
TABLE_SUFFIXES = (".csv", ".tsv", ".txt")
_OTHER_ARRAYS = (".mat", ".pt", ".pth", ".pkl", ".pickle", ".h5", ".hdf5", ".parquet", ".arrow", ".feather", ".ark")
_OTHER_SOUNDS = (".m4a", ".aac", ".wma", ".mp4", ".webm", ".amr", ".3gp", ".mka", ".mov", ".mkv")
"""what sequences are often in that no reader here knows, which only a message tells"""
_ARRAY_IN_FILE = re.compile(r"\.np[yz](?=#)", re.IGNORECASE)
_MOST_SIGNS = 8
"""of names of files with ``#`` in them so many are tried"""


def has_frames(row: object, field: str = "") -> bool:
    """Whether a row has a sequence of vectors.

    Args:
        row: the row.
        field: the field that is asked for; by default any of the usual ones.

    Returns:
        Whether it has: numbers, or the name of a file of arrays or sound.
    """
    return isinstance(row, Mapping) and any(_is_sequence(row, key) for key in ((field,) if field else _usual(row)))


def may_have_frames(columns: Sequence[str]) -> bool:
    """Whether the rows of a table with such columns may have sequences of vectors, and no texts.

    Args:
        columns: the names of the columns.

    Returns:
        Whether they may.
    """
    return "text" not in columns and bool(_usual(dict.fromkeys(columns)))


def _usual(row: Mapping[str, Any], keys: Sequence[str] = KEYS) -> list[str]:
    """The fields of a row that have one of some names, in the order of these; in any case, such as ``Audio``."""
    found = [key for key in keys if key in row]
    if len(found) == len(row):
        return found
    folded = {key.casefold(): key for key in row if isinstance(key, str) and key not in found}
    return found + [folded[key] for key in keys if key in folded and key not in found]


def _named(value: Any) -> Any:
    """What a field has; of a recording as Hugging Face describes it, ``{"path": …}``, the name of its file."""
    path = value.get("path") if isinstance(value, Mapping) else None
    return path if isinstance(path, str) else value


def not_read(row: object) -> str:
    """Why a row that has no text seems to name a sequence and yet has none that can be read.

    Args:
        row: the row.

    Returns:
        What is wrong and what to do; empty where the row may as well be a text with its fields.
    """
    if not isinstance(row, Mapping) or not row or {"text", "tokens"} & row.keys():
        return ""
    if has_frames(row) or any(_has_words(value) for key, value in row.items() if key not in _usual(row)):
        return ""
    for name in (_named(row[key]) for key in _usual(row, KEYS[:3])):
        if isinstance(name, str) and name:
            return f"{shown(name)}: {unreadable(name)}"
    if any(is_sequence(value, key) or _is_numbers_list(value) for key, value in row.items()):
        fields = ", ".join(map(repr, row))
        return f"which field has the sequence? name it with --frames FIELD (fields: {fields})"
    return ""


def unreadable(name: str) -> str:
    """What to say of a file whose name has no extension of a format with sequences of vectors.

    Args:
        name: its name.

    Returns:
        The message.
    """
    suffix = Path(name).suffix
    if not suffix:
        known = "an array (.npy, .npz), a table (.csv), a recording (.wav, .flac, .ogg) or a piece of music (.mid)"
        return f"expected the name of {known}"
    into = "npy or npz" if suffix.lower() in _OTHER_ARRAYS else "wav or flac"
    into = into if suffix.lower() in (*_OTHER_ARRAYS, *_OTHER_SOUNDS) else "wav, flac, npy or npz"
    return f"in no format that seqkit reads; convert it to {into}"


def _has_words(value: Any) -> bool:
    """Whether a value may be a text, or the tokens of one: of one word only a label is."""
    return (
        isinstance(value, list) and any(isinstance(each, str) for each in value)
        if not isinstance(value, str)
        else (" " in value.strip())
    )


def _is_numbers_list(value: Any) -> bool:
    return isinstance(value, list) and len(value) > 1 and all(isinstance(each, int | float) for each in value)


def _is_sequence(row: Mapping[str, Any], key: str) -> bool:
    """Whether what a row has under a key looks like a sequence: a table of numbers only where it is called frames."""
    value = _named(row.get(key))
    if isinstance(value, str):
        known = ARRAY_SUFFIXES + AUDIO_SUFFIXES + MIDI_SUFFIXES
        return (_ARRAY_IN_FILE.search(value) is not None or value.lower().endswith(known)) or (
            key.casefold() == "frames" and data_suffix(value) in TABLE_SUFFIXES
        )
    return isinstance(value, list) and len(value) > 0 and isinstance(value[0], list | int | float)


def is_sequence(value: Any, name: str) -> bool:
    """Whether a value of a field is a sequence of vectors: one or more vectors and not one vector of numbers.

    Args:
        value: the value.
        name: the field.

    Returns:
        True for a list of lists, an array [N, F], a sequence that was opened, and the name of a file with one.
    """
    if isinstance(value, np.ndarray):
        return value.ndim == 2
    if isinstance(value, list | tuple):
        first: Any = value[0] if len(value) else None
        is_vector = isinstance(first, list | tuple | np.ndarray)
        return is_vector and not (len(first) and isinstance(first[0], list | tuple | np.ndarray))
    return isinstance(value, FrameRecord) or (isinstance(value, str) and has_frames({name: value}, name))


def all_sequences(rows: Iterable[Mapping[str, Any]], name: str) -> bool:
    """Whether a field of some rows holds sequences of vectors.

    Args:
        rows: the rows.
        name: the field.

    Returns:
        Whether that of the first row is one; a text may end as the name of a file does, but not all texts do.
    """
    values = (row.get(name) for row in rows)
    first = next(values, None)
    return is_sequence(first, name) and (not isinstance(first, str) or all(is_sequence(each, name) for each in values))


def _key_of(row: Mapping[str, Any], field: str, beside: bool) -> str | None:
    """The field of a row with its sequence; None where there is none, or an array beside the file has it."""
    if field:
        return field if field in row else None
    usual = _usual(row)
    found = next((key for key in usual if _is_sequence(row, key)), None)
    return found or next(iter(_usual(row, _SURE_KEYS) if beside else usual), None)


def beside(manifest: str | Path) -> Path | None:
    """The array beside a manifest, if there is one.

    Args:
        manifest: the manifest.

    Returns:
        The file.
    """
    path = Path(manifest)
    if not path.name:
        return None
    found = path.with_name(f"{path.name.removesuffix(path.suffix)}.frames.npy")
    return found if os.path.isfile(found) else None


# --- readers ------------------------------------------------------------------------------------------------------


def object_rows(
    container: Container, lines: Iterable[Line], name: str, options: ReadOptions
) -> Iterator[tuple[int, Any]]:
    """Read JSON objects that name sequences of vectors.

    Args:
        container: what the objects are in.
        lines: numbered lines.
        name: the file's name.
        options: not used.

    Yields:
        The objects, each with its line.

    Raises:
        DataError: invalid JSON.
    """
    last = ""

    def seen() -> Iterator[Line]:
        nonlocal last
        for number, line in lines:
            last = line
            yield number, line

    try:
        yield from objects(seen(), name, container, once=True)
    except DataError as error:
        if not error.reason.startswith("invalid JSON") or last.lstrip().startswith(("{", "[")):
            raise
        expected = 'a JSON object with a sequence or the name of its file, such as {"audio": "x.wav"}'
        known = has_frames({"frames": last.strip()})
        hint = "; give the name of the file itself as an argument" if known and name == "<stdin>" else ""
        found = f"expected {expected}, found {shown(last.strip())}{hint}"
        raise DataError(found, file=error.file, line=error.line) from None


def object_frames(
    container: Container, lines: Iterable[Line], name: str, options: ReadOptions
) -> Iterator[FrameRecord]:
    """Read the sequences of vectors that JSON objects name; see `object_rows`.

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
    return frames_of_rows(object_rows(container, lines, name, options), name, options)


def frames_of_rows(rows: Iterable[tuple[int, Any]], name: str, options: ReadOptions) -> Iterator[FrameRecord]:
    """Read rows that name sequences of vectors.

    Args:
        rows: each row, a mapping, and its line; all of a file that has an array beside it, or after those that come
            before.
        name: the file's name.
        options: the field of the sequence.

    Yields:
        The sequences.

    Raises:
        DataError: anything wrong with a row.
    """
    array = beside(name)
    folder = Path(name).parent
    expected = 0
    if array is not None:
        shape = ArrayFile(array).shape
        if len(shape) not in (2, 3):
            wanted = f"expected an array [records, frames, features] beside {os.path.basename(name)}"
            raise DataError(f"{wanted}, found one of shape {list(shape)}", file=array)
        expected = shape[0]
    number, taken = options.rows_before, 0
    for number, (line, row) in enumerate(rows, start=number + 1):  # noqa: B020
        if not isinstance(row, dict):
            yield from _kept(
                options, _raise, DataError(f"expected an object, found {shown(row)}", file=name, line=line)
            )
            continue
        key = _key_of(row, options.frames, array is not None)
        if key is None and array is not None:
            taken += 1
            if number > expected:
                message = f"{array.name} has {expected:,} rows, and there are more records; each needs one"
                raise DataError(message, file=name, line=line)
            where = ArrayFile(array, str(number - 1))
            said = f"{array.name}#{number - 1}"
            yield from _kept(options, made, partial(ArraySource, where), "frames", said, row, name, line)
        else:
            for found in _kept(options, row_frames, row, options.frames, folder, name, line):
                if isinstance(found.source, Piece):
                    options.left_out.update(found.source.left_out)
                if note := _note_on_segment(found):
                    options.left_out[note] += 1
                yield found
    if array is not None and number < expected and (taken or not number):
        raise DataError(f"expected {expected:,} records, one per row of {array.name}, found {number:,}", file=name)


def array_frames(lines: Iterable[Line], name: str, options: ReadOptions) -> Iterator[FrameRecord]:
    """The sequences of vectors of a file of arrays, which have no labels.

    Args:
        lines: not read.
        name: the file.
        options: what receives what is left out.

    Yields:
        The sequences.

    Raises:
        DataError: the file cannot be read.
    """
    path = Path(name)
    for found in array_files(path, options.left_out):
        said = f"{name}#{found.member}" if found.member else name
        yield from _kept(options, made, partial(ArraySource, found), "frames", said, {}, name, 0)


def number_frames(lines: Iterable[Line], name: str, options: ReadOptions) -> Iterator[FrameRecord]:
    """A table of numbers, which is one sequence of vectors without a label.

    Args:
        lines: not read.
        name: the file.
        options: not used.

    Returns:
        The one sequence.

    Raises:
        DataError: while iterating: the file cannot be read.
    """
    path = Path(name)
    return _kept(options, made, partial(_table, path), "frames", name, {}, name, 0)


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
    yield made(partial(_located, path.name, path.parent, "", 0), "audio", name, {}, name, 0)


def _kept(options: ReadOptions, make: Callable[..., FrameRecord], *arguments: Any) -> Iterator[FrameRecord]:
    """A record; none where it is faulty and all faults are to be found."""
    try:
        yield make(*arguments)
    except DataError as error:
        if options.faults is None:
            raise
        options.faults.append(DataError(error.reason, file=error.file, line=error.line))  # without its traceback


def _raise(error: DataError) -> FrameRecord:
    raise error


# --- one record ---------------------------------------------------------------------------------------------------


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
    key = _key_of(row, field, beside=False)
    if key is None:
        found = ", ".join(map(repr, row)) or "no fields"
        wanted = f"a field {field!r}" if field else 'a field "frames" or "audio"'
        hint = "" if field else "; --frames names another one"
        raise DataError(f"expected {wanted} with a sequence of vectors, found {found}{hint}", file=file, line=line)
    value = _named(row[key])
    fields = {name: each for name, each in row.items() if name != key}
    if isinstance(value, str):
        if value and folder is not None:
            segment = _segment_of(fields)
            record = made(partial(_located, value, folder, file, line, segment), key, value, fields, file, line)
            record.segment = {name: fields[name] for name in segment.names} if segment is not None else {}
            return record
    elif _has_items(value):
        return made(lambda: ArraySource(numbers(value)), key, "", fields, file, line)
    wanted = "the name of a file, or a list of frames" if folder is not None else "a list of frames, each of numbers"
    hint = "; only the rows of files name files" if isinstance(value, str) and folder is None else ""
    raise DataError(f'expected {wanted} in "{key}", found {shown(value)}{hint}', file=file, line=line)


class _Segment(NamedTuple):
    """The part of a recording or an array that a row is about.

    Attributes:
        names: the fields that say it.
        start: where it begins, in seconds or frames.
        end: where it ends.
    """

    names: tuple[str, str]
    start: float
    end: float


_SEGMENTS = (("start", "end"), ("offset", "duration"))
"""fields of a segment; the second pair is that of NeMo's manifests, see
https://docs.nvidia.com/nemo-framework/user-guide/latest/nemotoolkit/asr/datasets.html"""


def _segment_of(fields: Mapping[str, Any]) -> _Segment | None:
    """The segment that the fields of a row name; None unless both of a pair are numbers."""
    for names in _SEGMENTS:
        start, end = (_time_of(fields.get(name)) for name in names)
        if start is not None and end is not None:
            return _Segment(names, start, start + end if names[1] == "duration" else end)
    return None


def segment_fields(row: Mapping[str, Any]) -> tuple[str, ...]:
    """The fields of a row that say which part of a file it is about.

    Args:
        row: the row.

    Returns:
        Their names; none of a row that names no file with a sequence of vectors.
    """
    segment = _segment_of(row)
    named = segment is not None and any(isinstance(each, str) and is_sequence(each, name) for name, each in row.items())
    return segment.names if segment is not None and named else ()


def _time_of(value: Any) -> float | None:
    """A number, a whole one as an integer; also one in a cell of a table. None of anything else."""
    if isinstance(value, str):
        value = int(value) if value.isascii() and value.isdecimal() and len(value) < 16 else number_of(value)
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e15  # NaN is not
    return value if is_number else None


def _note_on_segment(record: FrameRecord) -> str:
    """What to say of a row with fields that name a segment, or might."""
    if record.segment:
        unit = "seconds" if not hasattr(record.source, "shape") else "frames"
        return f"segments read, {' and '.join(map(repr, record.segment))} in {unit}"
    found = next((name for names in _SEGMENTS for name in names if record.fields.get(name) not in (None, "")), None)
    if found is None:
        return ""
    if not record.name:
        return f"read whole: {found!r} names a segment only where a row names a file"
    names = next(names for names in _SEGMENTS if found in names)
    return f"read whole: {found!r} names no segment without numbers in {' and '.join(map(repr, names))}"


def _has_items(value: Any) -> bool:
    """Whether a value is a list or an array of something."""
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple):
        return len(shape) > 0
    return isinstance(value, list | tuple) and len(value) > 0


def made(make: Callable[[], Any], key: str, name: str, fields: dict[str, Any], file: str, line: int) -> FrameRecord:
    """Make a sequence of vectors, whose faults name it.

    Args:
        make: makes its source.
        key: the field that named it.
        name: what it was called there.
        fields: the other fields of its row.
        file: the file of the row.
        line: the line of the row.

    Returns:
        The sequence.

    Raises:
        DataError: the source has a fault.
    """
    record = FrameRecord(None, key, name, fields, file, line)
    try:
        record.source = make()
    except ValueError as error:  # of its numbers or shape
        raise record.fault(str(error)) from None
    except DataError as error:  # of a file that it lies in
        raise record.fault_of(error) from None
    return record


def _located(name: str, folder: Path, file: str, line: int, segment: _Segment | None = None) -> Any:
    """What a row names: a recording, a table of numbers, an array file, or a part of one after ``#``; or a segment."""
    path, member = _place(name, folder)
    suffix = path.suffix.lower()
    if segment is not None and not 0 <= segment.start < segment.end:
        said = " and ".join(map(repr, segment.names))
        raise ValueError(f"expected a segment of some length in {said}, found {segment.start:g} to {segment.end:g}")
    if suffix in AUDIO_SUFFIXES:
        from seqkit.formats.audio import AudioFile

        return AudioFile(path, file, line, *(segment[1:] if segment is not None else ()))
    if segment is not None and suffix not in ARRAY_SUFFIXES:
        raise ValueError("only segments of recordings and arrays (.npy, .npz) are read; cut this one out first")
    if suffix in (*MIDI_SUFFIXES, *ARRAY_SUFFIXES) or data_suffix(path) in TABLE_SUFFIXES:
        _refuse_missing(path)
    if suffix in MIDI_SUFFIXES:
        return read_midi(path)
    if data_suffix(path) in TABLE_SUFFIXES:
        return _table(path)
    if suffix not in ARRAY_SUFFIXES:
        raise ValueError(unreadable(name))
    if not member:
        several = [found.member for found in array_files(path)]
        if len(several) != 1:
            kind = "arrays" if suffix == ".npz" else "sequences"
            example = f"; name one of them, such as {path.name}#{several[0]}" if several else ""
            raise ValueError(f"expected one, found {len(several):,} {kind}{example}")
        member = several[0]
    if segment is None:
        return ArraySource(ArrayFile(path, member))
    if not isinstance(segment.start, int) or not isinstance(segment.end, int):
        found = f"found {segment.start:g} to {segment.end:g}"
        raise ValueError(f"expected a segment of an array in frames, whole numbers, {found}; cut it out first")
    return ArraySource(ArrayFile(path, member), (segment.start, segment.end))


def _place(name: str, folder: Path) -> tuple[Path, str]:
    """The file that a name means, and what is named in it: names of files may have ``#``, too."""
    ends = [match.end() for match in _ARRAY_IN_FILE.finditer(name)][:_MOST_SIGNS]
    if not ends or os.path.exists(folder / name):
        return _file(name, folder), ""
    end = next((end for end in ends if os.path.isfile(_file(name[:end], folder))), ends[0])
    return _file(name[:end], folder), name[end + 1 :]


def _file(name: str, folder: Path) -> Path:
    """The file of a name, which may have the backslashes of Windows, or ``~`` for the folder of the user."""
    if ("\\" in name or name.startswith("~")) and not os.path.exists(folder / name):
        name = name.replace("\\", "/")
        name = os.path.expanduser(name) if name.startswith("~/") else name
    return folder / name


def _refuse_missing(path: Path) -> None:
    try:
        path.stat()
    except FileNotFoundError:
        raise ValueError(no_such_file(path)) from None
    except (OSError, ValueError):  # which its reader tells
        return


def _table(path: Path) -> NumberTable:
    found = NumberTable(path)
    if not found.shape[0]:
        raise DataError("expected a frame of numbers a row, found no row", file=path)
    return found


def numbers(value: Any) -> NDArray[Any]:
    """Frames that are given as they are.

    Args:
        value: an array, a tensor, or a list of frames, each a list of numbers or a number.

    Returns:
        An array of numbers, that of the value if it has one.

    Raises:
        ValueError: it has something else than numbers, or frames of different lengths.
    """
    if np.ma.is_masked(value):  # not of a masked array without a masked number
        raise ValueError("expected numbers, found a masked array of which some are missing; fill them in")
    if hasattr(type(value), "detach") and not value.is_complex():  # a tensor, on any device and of any type
        value = value.detach().cpu().float()
    try:
        found = np.asarray(value)
    except (ValueError, TypeError, OverflowError, RuntimeError):  # RuntimeError: of tensors in a list
        found = np.empty(0, dtype=object)
    if found.dtype.kind in "biuf":
        with np.errstate(over="ignore"):
            return found if isinstance(value, np.ndarray) else found.astype(np.float32)
    if not isinstance(value, list | tuple):
        raise ValueError(f"expected an array of numbers, found one of type {found.dtype}")
    _refuse_list(value)
    try:
        return np.asarray(value, dtype=np.float64)  # whole numbers beyond those of 64 bits
    except OverflowError:
        raise ValueError("a number is too large") from None


def _refuse_list(frames: list[Any] | tuple[Any, ...]) -> None:
    """Raise for the first thing in a list that makes it no list of frames."""
    nested = isinstance(frames[0], list | tuple)
    size = len(frames[0]) if nested else 1
    for place, frame in enumerate(frames):
        where = f"in frame {place}, counted from 0"
        if isinstance(frame, list | tuple) != nested:
            expected = "a list of numbers" if nested else "a number"
            raise ValueError(f"expected {expected}, found {shown(frame)} {where}")
        inside = frame if nested else [frame]
        for feature, each in enumerate(inside):
            if not isinstance(each, int | float):
                place_in_frame = f"in frame {place}, feature {feature}, counted from 0" if nested else where
                raise ValueError(f"expected a number, found {shown(each)} {place_in_frame}")
        if len(inside) != size:
            expected = f"expected {size:,} numbers in every frame, as in the first"
            raise ValueError(f"{expected}, found {len(inside):,} {where}")


# --- formats ------------------------------------------------------------------------------------------------------


def _is_numbers(sample: Sample) -> bool:
    """Whether a table has nothing but numbers: then it has neither texts nor tokens."""
    if sample.suffix not in (".csv", ".tsv") or not sample.rows:
        return False
    delimiter = next((each for each in "\t;," if each in sample.rows[-1]), None)
    rows = [row.replace(",", ".").split(";") if delimiter == ";" else row.split(delimiter) for row in sample.rows]
    named = {cell.strip().lower() for cell in rows[0]} & {"text", "label", *KEYS}
    beyond = rows[1:] or rows  # the first may have names
    return not named and all(number_of(cell) is not None for cells in beyond for cell in cells)


def _opened(name: str, content: str, source: str, suffixes: tuple[str, ...], frames: Any) -> Format:
    return Format(name, content, source, suffixes=suffixes, frames=frames, binary=True, opens=True)


_NUMPY = "https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html"
NPY = _opened("npy", "an array of numbers", _NUMPY, (".npy",), array_frames)
NPZ = _opened("npz", "arrays of numbers", _NUMPY, (".npz",), array_frames)
AUDIO = _opened(
    "audio", "a recording", "https://libsndfile.github.io/libsndfile/formats.html", AUDIO_SUFFIXES, audio_frames
)
NUMBERS = Format(
    "numbers",
    "a table of numbers, a frame a row",
    "https://www.rfc-editor.org/rfc/rfc4180",
    recognise=_is_numbers,
    specific=True,
    frames=number_frames,
    opens=True,
)
