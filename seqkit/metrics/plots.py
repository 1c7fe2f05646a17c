"""Pictures of results. They need matplotlib, which the extra ``plots`` installs."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from seqkit.errors import DataError, SettingsError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["confusion_matrix", "confusion_matrix_png", "require_matplotlib"]

_MOST_LABELS = 50
"""Labels drawn; rarer ones share one row and one column, since more could not be read."""
_FONT = 8  # points
_REST = "other labels"


def confusion_matrix(
    gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]], most_labels: int | None = None
) -> tuple[list[str], npt.NDArray[np.int64]]:
    """Count which label was taken for which.

    Args:
        gold: the right labels, one list a sentence.
        predicted: a tagger's labels, as many a sentence.
        most_labels: at most so many different labels; the rarest ones are counted together as the last.

    Returns:
        The K labels that occur, in the order of code points, and [K, K] int64: how many tokens of the row's gold label
        were given the column's label.

    Raises:
        ValueError: the numbers of sentences or of labels differ.
    """
    pairs: Counter[tuple[str, str]] = Counter()
    for right, guess in zip(gold, predicted, strict=True):
        pairs.update(zip(right, guess, strict=True))
    frequency: Counter[str] = Counter()
    for (right_label, guessed_label), count in pairs.items():
        frequency[right_label] += count
        frequency[guessed_label] += count
    labels = sorted(frequency)
    index = {label: position for position, label in enumerate(labels)}
    if most_labels is not None and len(labels) > most_labels:
        by_frequency = sorted(labels, key=lambda label: (-frequency[label], label))
        kept = sorted(by_frequency[: most_labels - 1])
        index = {label: position for position, label in enumerate(kept)}
        rest = _REST
        while rest in frequency:  # a label may be called so
            rest = f"({rest})"
        labels = [*kept, rest]
    counts = np.zeros((len(labels), len(labels)), dtype=np.int64)  # [K, K]
    for (right_label, guessed_label), count in pairs.items():
        counts[index.get(right_label, len(labels) - 1), index.get(guessed_label, len(labels) - 1)] += count
    return labels, counts


def require_matplotlib(what: str = "a confusion matrix") -> None:
    """See early that pictures can be drawn, and not after an hour's work.

    Args:
        what: what needs them, for the message.

    Raises:
        SettingsError: matplotlib is not installed.
    """
    try:
        import matplotlib.backends.backend_agg
        import matplotlib.figure  # noqa: F401 - only whether they are there
    except ImportError:
        raise SettingsError(
            f"{what} needs matplotlib, which is not installed: pip install 'seqkit-nlp[plots]'"
        ) from None


def confusion_matrix_png(
    gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]], path: str | Path, *, unit: str = "token"
) -> None:
    """Draw which label was taken for which, as shares of each gold label.

    Args:
        gold: the right labels, one list a sentence.
        predicted: a tagger's labels, as many a sentence.
        path: the PNG file to write.
        unit: what has a label each.

    Raises:
        DataError: there is none to draw, or the file cannot be written.
        SettingsError: matplotlib is not installed.
        ValueError: the numbers of sentences or of labels differ.
    """
    require_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    labels, counts = confusion_matrix(gold, predicted, _MOST_LABELS)
    if not labels:
        raise DataError(f"a confusion matrix needs at least one {unit}, found none")
    side = max(4.0, 1.8 + 0.32 * len(labels))  # inches: room for a two-digit number a cell
    figure = Figure(figsize=(side + 0.8, side), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    _draw(figure.add_subplot(), labels, counts, unit)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # a label in a script that the font lacks is drawn as boxes
            figure.savefig(path, format="png", bbox_inches="tight")
    except OSError as error:
        raise DataError(f"cannot be written: {error.strerror or error}", file=path) from None


def _draw(axes: Axes, labels: list[str], counts: npt.NDArray[np.int64], unit: str) -> None:
    from matplotlib.colors import PowerNorm

    totals = counts.sum(axis=1, keepdims=True)  # [K, 1]
    shares = counts / np.maximum(totals, 1)  # [K, K]; a row of zeros for a label that was only predicted
    # the square root of a share darkens its cell: confusions of a few per cent are what the picture is looked at for
    image = axes.imshow(100 * shares, cmap="Blues", norm=PowerNorm(0.5, vmin=0.0, vmax=100.0))
    # labels are spelled as they are: a pair of dollar signs, common in part-of-speech tags, is no formula
    axes.set_xticks(range(len(labels)), labels, rotation=90, fontsize=_FONT, parse_math=False)
    rows = [f"{label} ({total:,})" for label, total in zip(labels, totals[:, 0], strict=True)]
    axes.set_yticks(range(len(labels)), rows, fontsize=_FONT, parse_math=False)
    axes.set_xlabel("predicted label", fontsize=_FONT)
    axes.set_ylabel(f"gold label ({unit}s)", fontsize=_FONT)
    for row, column in zip(*np.nonzero(counts), strict=True):
        share = float(shares[row, column])
        text = "<1" if share < 0.01 else f"{100 * share:.0f}"
        axes.text(column, row, text, ha="center", va="center", fontsize=6, color="white" if share > 0.3 else "black")
    bar = axes.figure.colorbar(image, ax=axes, fraction=0.04, pad=0.02)
    bar.set_label(f"% of the gold label's {unit}s", fontsize=_FONT)
    bar.ax.tick_params(labelsize=_FONT)
