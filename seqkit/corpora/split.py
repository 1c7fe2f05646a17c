"""One split of a data set: its files, and how each is to be read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from seqkit.errors import DataError, file_errors
from seqkit.formats.format import UNDESCRIBED, Description, ReadOptions
from seqkit.formats.manifest import ARRAY_SUFFIXES, AUDIO_SUFFIXES, beside, has_frames
from seqkit.formats.midi import MIDI_SUFFIXES
from seqkit.formats.registry import COMPANIONS, FORMATS, describe, is_pipe
from seqkit.formats.text import data_suffix, read_lines

LOOKED_AT = 20
"""lines of a file by which it is known whether they name sequences of vectors"""
_SHOWN = 3
"""files of a folder of which it is said that they are unlike the first"""
NO_DATA = frozenset(
    {".md", ".rst", ".log", ".pdf", ".html", ".py", ".sh", ".toml", ".yaml", ".yml", ".ini", ".conf", ".npy", ".npz"}
    | {".safetensors", ".pt", ".bin", ".zip", ".tar", ".png", ".jpg", ".svg", ".sha256", ".md5", ".part", ".lock"}
)
"""extensions of what lies beside data in a folder; any other file is judged by its content"""
VECTORS = frozenset({*ARRAY_SUFFIXES, *AUDIO_SUFFIXES})
"""extensions of those that are data where no other file is: a manifest beside them names them"""


def data_files(paths: Sequence[Path]) -> list[Path]:
    """The files of a folder that are data, and not about data or annotations beside others.

    Args:
        paths: the files.

    Returns:
        Those; where there are none, the arrays and recordings.
    """
    kept = [path for path in paths if not path.name.startswith(".")]
    no_data = NO_DATA | COMPANIONS | VECTORS
    found = [path for path in kept if not {path.suffix.lower(), data_suffix(path)} & no_data]
    return found or vector_files(kept)


def vector_files(paths: Sequence[Path]) -> list[Path]:
    """Arrays and recordings that do not belong to another file, as ``train.image.npy`` does.

    Args:
        paths: the files of a folder.

    Returns:
        The files.
    """
    found = [path for path in paths if path.suffix.lower() in VECTORS and not path.name.startswith(".")]
    others = {path.stem for path in paths if path.suffix.lower() not in VECTORS}
    return [path for path in found if path.stem.rpartition(".")[0] not in others or path.suffix.lower() != ".npy"]


def sequence_files(folder: Path) -> tuple[list[Path], list[Path]]:
    """The files of a folder, and of the folders in it, that are read as sequences of vectors.

    Those are its manifests where it has any, and otherwise the arrays, tables of numbers, recordings and pieces of
    music.

    Args:
        folder: the folder.

    Returns:
        The files, and all others, each sorted by name.

    Raises:
        DataError: the folder cannot be read, or there are none.
    """
    with file_errors("cannot be read", folder):
        inside = sorted(path for path in folder.rglob("*") if path.is_file())
    manifests: list[Path] = []
    sequences: list[Path] = []
    for path in inside:
        if path.name.startswith("."):
            continue
        suffix = path.suffix.lower()
        if suffix in VECTORS or suffix in MIDI_SUFFIXES:
            sequences.append(path)
        elif not {suffix, data_suffix(path)} & (NO_DATA | COMPANIONS):
            kind = _kind_of_sequences(path)
            manifests += [path] if kind == "manifest" else []
            sequences += [path] if kind == "sequence" else []
    found = manifests or sequences
    if not found:
        raise DataError("no sequences of vectors in this folder: no manifest, array, recording or piece", file=folder)
    taken = set(found)
    return found, [path for path in inside if path not in taken]


def _kind_of_sequences(path: Path) -> str:
    """Whether a file is a ``manifest``, a ``sequence`` or several of them, or something else."""
    with suppress(DataError):
        description = describe(path, texts=True)[0]
        form = FORMATS[description.format]
        if form.frames is None:
            return ""
        if form.rows is None:
            return "sequence"
        lines = islice(read_lines(path, description.encoding), LOOKED_AT)
        rows = form.rows(lines, str(path), ReadOptions().of(description))
        if beside(path) is not None or any(has_frames(row) for _, row in rows):
            return "manifest"
    return ""


@dataclass(slots=True)
class Split:
    """One split: a file to read, a folder of files, or records in memory.

    Args:
        file: the file or folder, or None for records in memory.
        description: how it is to be read, as far as that is known.
        content: the records in memory; the fields of a `TextRecord` are read as a JSON object is.
        left_out: what the reader of its lines left out or changed; see `ReadOptions`.
    """

    file: Path | None = None
    description: Description = UNDESCRIBED
    content: list[Any] | None = None
    left_out: Counter[str] = field(default_factory=Counter)
    _located: dict[bool, list[tuple[Path, Description, list[str]]]] = field(default_factory=dict)

    def located(self, *, texts: bool = False) -> list[tuple[Path, Description, list[str]]]:
        """The files, how each is to be read, and notes for the user; see `describe`."""
        if texts not in self._located:
            self._located[texts] = [(path, *describe(path, self.description, texts=texts)) for path in self.files()]
        return self._located[texts]

    def files(self) -> list[Path]:
        """The file, or the files of the folder and the folders in it, sorted by name.

        Those are left out that belong to another file, such as annotations beside a text, or are no data.

        Returns:
            The files.

        Raises:
            DataError: the folder cannot be read, or there are none.
        """
        assert self.file is not None
        if not self.file.is_dir():
            return [self.file]
        with file_errors("cannot be read", self.file):
            inside = sorted(path for path in self.file.rglob("*") if path.is_file())
        found = data_files(inside)
        if not found:
            raise DataError("no files to read in this folder", file=self.file)
        return found

    @property
    def is_pipe(self) -> bool:
        """Whether it can be read only once."""
        return self.file is not None and (str(self.file) == "-" or is_pipe(self.file))

    @property
    def nothing_found(self) -> str:
        """What to say where no sequence of vectors is in it."""
        alone = names_alone(*self.first(texts=True)) if self.file is not None and not self.is_pipe else []
        return (
            f"no rows found, only the names of columns: {', '.join(alone)}"
            if alone
            else "no sequences of vectors found"
        )

    def first(self, *, texts: bool = False) -> tuple[Path, Description]:
        """The first file, and how it is to be read."""
        return self.located(texts=texts)[0][:2]


def in_layout_of(known: Description | None, own: Description) -> Description:
    """How a file is to be read that may be too small to show its layout.

    Args:
        known: how the first file of the data set is read.
        own: what the file itself shows.

    Returns:
        The columns of the first file where the file is in the same format and does not show its own.
    """
    if known is None or own.format != known.format or own.token_column:
        return own
    return replace(own, token_column=known.token_column, columns=own.columns or known.columns)


def names_alone(path: Path, description: Description) -> list[str]:
    """The names of the columns of a table that has nothing else.

    Args:
        path: the file.
        description: how it is read.

    Returns:
        The names; none of a file that has rows, or none in which columns have names.
    """
    form = FORMATS[description.format]
    if form.rows is None or form.head is None:
        return []
    with suppress(DataError):
        if next(
            iter(form.rows(read_lines(path, description.encoding), str(path), ReadOptions().of(description))), None
        ):
            return []
        head, _ = form.head(read_lines(path, description.encoding), str(path))
        return list(map(str, head or ()))
    return []


def add_layout(notes: list[str], files: Sequence[tuple[Path, Description, list[str]]]) -> None:
    """Add what was found out of how files are to be read, once for all files of which it is the same.

    Args:
        notes: those of the data set, which grow.
        files: see `Split.located`.
    """
    for file, _, found in files:
        for note in found:
            if not any(known.endswith(note.removeprefix(f"{file}")) for known in notes):
                notes.append(note)
    first = files[0][1].format
    others = [f"{file}: read as {own.format}" for file, own, found in files if own.format != first and not found]
    notes += [f"{other}, unlike the first file of the folder, read as {first}" for other in others[:_SHOWN]]
    if len(others) > _SHOWN:
        notes.append(f"{files[0][0].parent}: {len(others) - _SHOWN:,} more files are read unlike the first")
