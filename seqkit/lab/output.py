"""The files of every command of the lab: a picture, and a JSON file with its numbers and the settings behind them."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqkit._version import __version__
from seqkit.errors import DataError, file_errors
from seqkit.files import write_atomically
from seqkit.formats.writers import finite
from seqkit.metrics.plots import png, require_matplotlib

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_NUMBERS = re.compile(r"\[\n[^\[\]{}\"]*\]")
"""a list of numbers in indented JSON; strings contain no line break"""


def claim_files(directory: Path, name: str, *, force: bool = False) -> None:
    """Check that the picture and the JSON can be drawn and written before the work for them begins.

    Nothing is left behind: the folder is created for good once there is something to put into it.

    Args:
        directory: the output folder.
        name: the name of the command: the files are ``<name>.png`` and ``<name>.json``.
        force: allow the files to exist; they are replaced at the end.

    Raises:
        DataError: one of the files exists, or the folder cannot be used.
        SettingsError: matplotlib is not installed.
    """
    require_matplotlib(f"lab {name}")
    missing = [folder for folder in (directory, *directory.parents) if not os.path.lexists(folder)]
    try:
        with file_errors("cannot be used as output folder", directory):
            directory.mkdir(parents=True, exist_ok=True)
    finally:
        for folder in missing:
            with suppress(OSError):  # not created, or no longer empty
                folder.rmdir()
    for path in _files(directory, name):
        if path.is_dir():
            raise DataError("cannot be written: it is a folder", file=path)
        if path.exists() and not force:
            raise DataError("the file exists; use --force to replace it", file=path)


def remove_files(directory: Path, name: str) -> None:
    """Remove the files of a command, if they exist.

    Args:
        directory: the output folder.
        name: the name of the command.

    Raises:
        DataError: a file cannot be removed.
    """
    for path in _files(directory, name):
        with file_errors("cannot be removed", path):
            path.unlink(missing_ok=True)


def write_files(
    directory: Path, name: str, figure: Figure, settings: Mapping[str, Any], results: Any, seconds: float
) -> None:
    """Write the picture and the JSON of a command.

    Args:
        directory: the output folder.
        name: the name of the command.
        figure: the picture, made by `seqkit.metrics.plots.new_figure`.
        settings: every option with its value.
        results: all numbers in the picture, of JSON's types; a number that is not finite is written as null.
        seconds: how long the work took.

    Raises:
        ModelError: a file cannot be written.
    """
    picture, document = _files(directory, name)
    about = {"task": f"lab {name}", "settings": dict(settings)}
    content = {**about, "results": results, "seconds": seconds, "seqkit_version": __version__}
    indented = json.dumps(finite(content), indent=1, allow_nan=False)
    text = _NUMBERS.sub(lambda numbers: f"[{' '.join(numbers[0][1:-1].split())}]", indented)
    write_atomically(picture, png(figure))
    write_atomically(document, f"{text}\n".encode("ascii"))


def _files(directory: Path, name: str) -> tuple[Path, Path]:
    return directory / f"{name}.png", directory / f"{name}.json"
