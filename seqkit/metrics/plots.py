"""Pictures of results. They need matplotlib, which the extra ``plots`` installs."""

from __future__ import annotations

import io
import warnings
from collections import Counter
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from seqkit.errors import DataError, SettingsError, file_errors
from seqkit.terminal import one_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FONT = 8
"""points of small print: ticks, legends, notes"""
_MOST_LABELS = 50
"""labels in a picture; rarer ones share one row and one column, as more would not be readable"""


def confusion_matrix(
    gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]], most_labels: int | None = None
) -> tuple[list[str], npt.NDArray[np.int64]]:
    """Count how often each label is predicted in place of each other.

    Args:
        gold: the gold labels, one list per sentence.
        predicted: the predicted labels, as many per sentence.
        most_labels: the largest number of different labels; the rarest ones are counted together as the last one.

    Returns:
        The K labels that occur, in the order of code points, and [K, K] int64: how many tokens with the row's gold
        label have the column's predicted label.

    Raises:
        ValueError: there are not as many predicted sentences or labels as gold ones.
    """
    sequences = zip(gold, predicted, strict=True)
    pairs = Counter(pair for right, guess in sequences for pair in zip(right, guess, strict=True))
    frequency = Counter(chain.from_iterable(pairs.elements()))
    labels = sorted(frequency)
    index = {label: position for position, label in enumerate(labels)}
    if most_labels is not None and len(labels) > most_labels:
        by_frequency = sorted(labels, key=lambda label: (-frequency[label], label))
        kept = sorted(by_frequency[: most_labels - 1])
        index = {label: position for position, label in enumerate(kept)}
        rest = "other labels"
        while rest in frequency:  # this may be the name of a label
            rest = f"({rest})"
        labels = [*kept, rest]
    counts = np.zeros((len(labels), len(labels)), dtype=np.int64)  # [K, K]
    for pair, count in pairs.items():
        row, column = (index.get(label, len(labels) - 1) for label in pair)
        counts[row, column] += count
    return labels, counts


def require_matplotlib(what: str = "a confusion matrix") -> None:
    """Check that pictures can be drawn before the work for them begins.

    Args:
        what: what needs matplotlib, for the message.

    Raises:
        SettingsError: matplotlib is not installed.
    """
    try:
        import matplotlib.backends.backend_agg
        import matplotlib.figure  # noqa: F401 - only whether they are there
    except ImportError:
        remedy = "pip install 'seqkit-nlp[plots]'"
        raise SettingsError(f"{what} needs matplotlib, which is not installed: {remedy}") from None


def new_figure(width: float, height: float, what: str = "a picture") -> Figure:
    """An empty figure without a window or global state.

    Args:
        width: in inches, of 120 pixels each.
        height: in inches.
        what: what is drawn, for the message.

    Returns:
        The figure; no part of it will cover another.

    Raises:
        SettingsError: matplotlib is not installed.
    """
    require_matplotlib(what)
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def png(figure: Figure, **options: Any) -> bytes:
    """Render a figure.

    Args:
        figure: see `new_figure`.
        **options: of matplotlib's `savefig`.

    Returns:
        The content of a PNG file.
    """
    drawn = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # characters that the font lacks are drawn as boxes
        figure.savefig(drawn, format="png", **options)
    return drawn.getvalue()


def confusion_matrix_png(
    gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]], path: str | Path, *, unit: str = "token"
) -> str:
    """Draw a confusion matrix, as shares of each gold label; of many labels the most frequent ones.

    Args:
        gold: the gold labels, one list per sentence.
        predicted: the predicted labels, as many per sentence.
        path: the PNG file to write.
        unit: what has a label: a token or a text.

    Returns:
        A line that says which labels share a row and a column; empty if each has its own.

    Raises:
        DataError: there is nothing to draw, or the file cannot be written.
        SettingsError: matplotlib is not installed.
        ValueError: there are not as many predicted sentences or labels as gold ones.
    """
    labels, counts = confusion_matrix(gold, predicted, _MOST_LABELS)
    side = max(4.0, 1.8 + 0.32 * len(labels))  # inches: room for a two-digit number per cell
    figure = new_figure(side + 0.8, side, "a confusion matrix")
    if not labels:
        raise DataError(f"no {unit}s to draw a confusion matrix of")
    _draw(figure.add_subplot(), labels, counts, unit)
    with file_errors("cannot be written", path):
        Path(path).write_bytes(png(figure, dpi=150, bbox_inches="tight"))
    if len(labels) < _MOST_LABELS:
        return ""
    every = len({label for rows in (gold, predicted) for row in rows for label in row})
    if every <= _MOST_LABELS:
        return ""
    kept = f"the {_MOST_LABELS - 1} most frequent of {every:,} labels"
    return f"{path}: {kept} have a row and a column each, all others share one"


def _draw(axes: Axes, labels: list[str], counts: npt.NDArray[np.int64], unit: str) -> None:
    from matplotlib.colors import PowerNorm

    totals = counts.sum(axis=1, keepdims=True)  # [K, 1]
    shares = counts / np.maximum(totals, 1)  # [K, K]; a row of zeros for a label that was only predicted
    # the colour follows the square root of the share, so that confusions of a few per cent are visible
    image = axes.imshow(100 * shares, cmap="Blues", norm=PowerNorm(0.5, vmin=0.0, vmax=100.0))
    labels = list(map(one_line, labels))
    # no formulas: a pair of dollar signs is common in part-of-speech tags
    axes.set_xticks(range(len(labels)), labels, rotation=90, fontsize=FONT, parse_math=False)
    rows = [f"{label} ({total:,})" for label, total in zip(labels, totals[:, 0], strict=True)]
    axes.set_yticks(range(len(labels)), rows, fontsize=FONT, parse_math=False)
    axes.set_xlabel("predicted label", fontsize=FONT)
    axes.set_ylabel(f"gold label ({unit}s)", fontsize=FONT)
    for row, column in zip(*np.nonzero(counts), strict=True):
        share = float(shares[row, column])
        text = "<1" if share < 0.01 else f"{100 * share:.0f}"
        axes.text(column, row, text, ha="center", va="center", fontsize=6, color="white" if share > 0.3 else "black")
    bar = axes.figure.colorbar(image, ax=axes, fraction=0.04, pad=0.02)
    bar.set_label(f"% of the gold label's {unit}s", fontsize=FONT)
    bar.ax.tick_params(labelsize=FONT)
