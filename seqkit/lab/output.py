"""What every command of the lab writes: a picture, and a JSON file with all that is drawn and what made it."""

from __future__ import annotations

import io
import json
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqkit._version import __version__
from seqkit.errors import DataError
from seqkit.formats.writers import clean, finite
from seqkit.metrics.plots import require_matplotlib
from seqkit.model.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["FONT", "aligned", "claim_files", "new_figure", "remove_files", "write_files"]

FONT = 8
"""points of small print: ticks, legends, notes"""
_LEAF = re.compile(r"\[\n[^\[\]{}\"]*\]")
"""a list of numbers in JSON; no line break stands within a string"""


def claim_files(directory: Path, name: str, *, force: bool = False) -> None:
    """See early that picture and JSON can be drawn and written, and not after an hour's work.

    Args:
        directory: where they go; created if need be.
        name: what the command is called: the files are ``<name>.png`` and ``<name>.json``.
        force: whether they may be there already, to be replaced at the end.

    Raises:
        DataError: one of the files is there, or the directory cannot be used.
        SettingsError: matplotlib is not installed.
    """
    require_matplotlib(f"lab {name}")
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"cannot be used as output directory: {error.strerror or error}", file=directory) from None
    for path in _files(directory, name):
        if path.is_dir():
            raise DataError("expected a file to write, found a directory", file=path)
        if path.exists() and not force:
            raise DataError("expected no file of this name, found one; use --force", file=path)


def remove_files(directory: Path, name: str) -> None:
    """Remove what a command wrote, where something of it is there.

    Args:
        directory: where it is.
        name: what the command is called.

    Raises:
        DataError: a file cannot be removed.
    """
    for path in _files(directory, name):
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise DataError(f"cannot be removed: {error.strerror or error}", file=path) from None


def write_files(
    directory: Path,
    name: str,
    figure: Figure,
    settings: Mapping[str, Any],
    results: Any,
    seconds: float,
) -> None:
    """Write a command's picture and its JSON.

    Args:
        directory: where they go.
        name: what the command is called.
        figure: the picture, as `new_figure` made it.
        settings: what made the results: every option with its value.
        results: all that is drawn, of JSON's types; a number that is not finite is written as null.
        seconds: how long the work took.

    Raises:
        ModelError: a file cannot be written.
    """
    picture, document = _files(directory, name)
    content = {
        "task": f"lab {name}",
        "settings": dict(settings),
        "results": results,
        "seconds": seconds,
        "seqkit_version": __version__,
    }
    text = _LEAF.sub(_folded, json.dumps(finite(content), indent=1, allow_nan=False)) + "\n"
    drawn = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a word in a script that the font lacks is drawn as boxes
        figure.savefig(drawn, format="png")
    write_atomically(picture, drawn.getvalue())
    write_atomically(document, text.encode("ascii"))


def new_figure(width: float, height: float) -> Figure:
    """An empty picture that belongs to no window, and so leaves nothing behind in matplotlib.

    Args:
        width: in inches, of 120 pixels each.
        height: in inches.

    Returns:
        The figure; its parts are laid out so that none covers another.

    Raises:
        SettingsError: matplotlib is not installed.
    """
    require_matplotlib("a picture")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def aligned(rows: Sequence[Sequence[str]], names: int = 1) -> str:
    """A table as text.

    Args:
        rows: the cells of each line, the headings first; every line has as many.
        names: so many columns at the left are names; the others hold numbers, which end below each other.

    Returns:
        Lines without a line ending at the end.
    """
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if column < names else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append(clean("  ".join(cells)).rstrip())
    return "\n".join(lines)


def _folded(numbers: re.Match[str]) -> str:
    """A list of numbers on one line."""
    return "[" + " ".join(numbers[0][1:-1].split()) + "]"


def _files(directory: Path, name: str) -> tuple[Path, Path]:
    return directory / f"{name}.png", directory / f"{name}.json"
