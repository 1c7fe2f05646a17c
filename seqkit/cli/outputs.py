"""What a command writes may not be what it reads: a result would destroy the model or the data that it is about."""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import click

from seqkit.errors import DataError, SeqkitError
from seqkit.files import open_regular

if TYPE_CHECKING:
    from seqkit.config.sections import Options, Settings

_WRITTEN = "seqkit.outputs"
"""where a click context keeps the files that a command writes: flag → file"""

_HISTORY = "train.jsonl"
"""`seqkit.training.trainer.HISTORY`, which need not be imported to know it"""

_MOST_CONFIG_BYTES = 1 << 20
"""of ``config.json``, which has a few thousand"""

_Identity = tuple[int, int]
"""device and number of a file, by whatever name or link it is reached"""


def output_file(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """A click callback: see early that a file can be written, and not after an hour's work.

    Args:
        context: the command's context.
        parameter: the option.
        value: the file, or ``-`` for standard output.

    Returns:
        The value.

    Raises:
        DataError: it cannot be written.
    """
    if value is None or value == "-" or context.resilient_parsing:
        return value
    path, flag = Path(value), parameter.opts[0]
    if path.is_dir():
        raise DataError(f"cannot be written as {flag}: Is a directory", file=path)
    if not path.parent.is_dir():
        raise DataError(f"cannot be written as {flag}: there is no folder {path.parent}", file=path)
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise DataError(f"cannot be written as {flag}: Permission denied", file=path)
    context.meta.setdefault(_WRITTEN, {})[flag] = value
    return value


def named_by_options(kind: type[Options], options: Mapping[str, Any]) -> list[str]:
    """The files and folders that options of prediction or evaluation name, of several models between commas each.

    Args:
        kind: the class of the options.
        options: option → value.

    Returns:
        Their names.
    """
    given = [str(options.get(name) or "") for name in kind.places()]
    return [name for each in given for name in {each, *map(str.strip, each.split(","))} if name]


def keep_inputs(
    *read: str | Path,
    data: str | None = None,
    settings: Settings | None = None,
    output: Path | None = None,
    written: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """See that no file which this command writes is one that it reads, by another name or a link either.

    The files are those of `output_file`, standard output where it is a file, and those given here. Pipes and devices
    may be both.

    Args:
        *read: files, ``-``, or model directories; what does not exist counts for nothing.
        data: the name of a data set, a folder or a file.
        settings: settings, some of which name files and models.
        output: the output directory: none of those that are read may be it, and no other file may be one of its own.
        written: what the command calls a file → the file.

    Raises:
        DataError: one is; the message names the flag.
    """
    context = click.get_current_context(silent=True)
    targets = {**(context.meta.get(_WRITTEN, {}) if context else {}), **written}
    _refuse_twice(targets)
    if output is not None:
        _refuse_inside(targets, output)
    identities = {flag: found for flag, file in targets.items() if (found := _identity(file))}
    standard_output = _identity("-", sys.stdout)
    if not (identities or standard_output or output is not None):
        return
    places: list[str | Path] = [*read]
    if settings is not None:
        places += [getattr(getattr(settings, section), name) for section, name in settings.elsewhere()]
    files, folders = _files_of_data(data) if data is not None else ([], [])
    if output is not None and any(_is_same_folder(folder, output) for folder in (*folders, *places)):
        raise DataError("cannot be the output directory: this command reads it", file=output)
    files += [file for place in places for file in _files_of(place)]
    known = {found for file in files if (found := _identity(file, sys.stdin))}
    for flag, found in identities.items():
        if found in known:
            raise DataError(f"cannot be written as {flag}: this command reads it", file=targets[flag])
    if standard_output in known:
        raise DataError("standard output is a file that this command reads; write to another one")


def _is_same_folder(one: str | Path, other: str | Path) -> bool:
    return os.path.isdir(one) and os.path.isdir(other) and os.path.samefile(one, other)


def _refuse_twice(targets: dict[str, str]) -> None:
    places: dict[str, str] = {}
    for flag, file in targets.items():
        place = os.path.realpath(file)
        if place in places and (_identity(file) or not os.path.exists(file)):
            raise DataError(f"cannot be written as {flag}: {places[place]} writes it, too", file=file)
        places[place] = flag


def _refuse_inside(targets: dict[str, str], output: Path) -> None:
    from seqkit.model.files import FILES

    for flag, file in targets.items():
        folder, name = os.path.split(os.path.realpath(file))
        inside = os.path.realpath(output)
        if folder == inside and name.lower() in (*(known.lower() for known in FILES), _HISTORY):
            raise DataError(f"cannot be written as {flag}: the model in --output has a file of this name", file=file)


def _identity(file: str | Path, stream: object = None) -> _Identity | None:
    """Which file it is, through all links; None if there is none, or if it is a pipe, a device or a folder."""
    with suppress(OSError, ValueError, AttributeError):
        found = os.fstat(stream.fileno()) if str(file) == "-" else os.stat(file)  # type: ignore[attr-defined]
        if stat.S_ISREG(found.st_mode):
            return found.st_dev, found.st_ino
    return None


def _files_of(place: str | Path) -> Iterator[str | Path]:
    """A file, or the files of a model: those that its configuration names, or that bear a name of seqkit's."""
    if not os.path.isdir(place):
        yield place
        return
    from seqkit.model.files import CONFIG, FILES

    names = {*FILES, _HISTORY}
    with (
        suppress(OSError, ValueError, KeyError, TypeError, RecursionError),
        open_regular(Path(place) / CONFIG) as stream,
    ):
        names |= {str(name) for name in json.loads(stream.read(_MOST_CONFIG_BYTES))["files"]}
    yield from (Path(place, name) for name in names)
    yield from Path(place).glob("*/*")  # checkpoints


def _files_of_data(data: str) -> tuple[list[str | Path], list[str | Path]]:
    """The files of a data set, whatever its splits are; and its folders."""
    from seqkit.corpora.resolve import resolve
    from seqkit.formats.registry import COMPANIONS

    with suppress(SeqkitError):  # of which the command will say what is wrong
        dataset = resolve(data, download=False, quiet=True)
        places = [split.file for split in dataset.splits.values() if split.file is not None]
        files = list(_within(places))
        beside = [file.with_suffix(suffix) for file in files for suffix in COMPANIONS]
        folders = [place if place.is_dir() else place.parent for place in places]
        return [*files, *beside], [] if os.path.isfile(data) else [data, *folders]
    return [], []


def _within(places: Iterable[Path]) -> Iterator[Path]:
    for place in places:
        if place.is_dir():
            yield from (Path(folder, name) for folder, _, names in os.walk(place) for name in names)
        else:
            yield place
