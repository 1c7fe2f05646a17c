"""Runs of labels in files of other programs, a file for each sequence: TextGrids of Praat and labels of Audacity."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from seqkit.records import FrameRecord, TaggedFrames

FILE_SUFFIXES = {"textgrid": ".TextGrid", "audacity": ".txt"}
"""output formats of which a file holds one record → the extension of such files"""


def file_stem(record: FrameRecord) -> str:
    """What the file of a sequence is called, without extension: as its array or recording, whatever folder that is in.

    Args:
        record: the sequence.

    Returns:
        A name without separators of paths.

    Examples:
        >>> from seqkit.records import FrameRecord
        >>> [file_stem(FrameRecord(None, name=name, line=3)) for name in ("a/x.wav", "all.npz#0007", "")]
        ['x', 'all-0007', 'sequence-3']
    """
    whole, _, member = record.name.partition("#")
    stem = PurePath(whole.replace("\\", "/")).stem
    name = "-".join(filter(None, (stem, member))) or f"sequence-{record.line}"
    return "".join(char if char.isprintable() and char not in '/\\:*?"<>|' else "_" for char in name)


def format_textgrid(record: TaggedFrames) -> str:
    """One prediction as a TextGrid with one tier of intervals, in the long form, whose file is UTF-8.

    What no run covers is an interval without text. Definition:
    https://www.fon.hum.uva.nl/praat/manual/TextGrid_file_formats.html

    Args:
        record: the prediction.

    Returns:
        The lines of the file.

    Raises:
        DataError: it is not known how many frames a second there are.
    """
    intervals = list(_covering(record))
    end = intervals[-1][1]
    lines = [
        'File type = "ooTextFile"',
        'Object class = "TextGrid"',
        "",
        "xmin = 0 ",
        f"xmax = {end} ",
        "tiers? <exists> ",
        "size = 1 ",
        "item []: ",
        "    item [1]:",
        '        class = "IntervalTier" ',
        f"        name = {_quoted(record.target)} ",
        "        xmin = 0 ",
        f"        xmax = {end} ",
        f"        intervals: size = {len(intervals)} ",
    ]
    for number, (start, stop, label) in enumerate(intervals, start=1):
        lines += [
            f"        intervals [{number}]:",
            f"            xmin = {start} ",
            f"            xmax = {stop} ",
            f"            text = {_quoted(label)} ",
        ]
    return "\n".join(lines) + "\n"


def format_audacity(record: TaggedFrames) -> str:
    """One prediction as rows of start, end and label, separated by tabs, in seconds.

    Definition: https://manual.audacityteam.org/man/importing_and_exporting_labels.html

    Args:
        record: the prediction.

    Returns:
        A row for each run.

    Raises:
        DataError: it is not known how many frames a second there are.
    """
    times = record.times()
    rows = [f"{start:.6f}\t{end:.6f}\t{run.label}\n" for (start, end), run in zip(times, record.runs, strict=True)]
    return "".join(rows)


def _covering(record: TaggedFrames) -> Iterator[tuple[str, str, str]]:
    """Start, end and label of intervals one after another, which cover the sequence."""
    times = record.times()
    assert record.seconds is not None
    done, place = 0, _number(0.0)
    for run, (start, end) in zip(record.runs, times, strict=True):
        if run.start > done:
            yield place, _number(start), ""
            place = _number(start)
        yield place, _number(end), run.label
        done, place = run.end, _number(end)
    if done < len(record.labels):
        yield place, _number(record.seconds(len(record.labels))), ""


def _number(seconds: float) -> str:
    return f"{seconds:.6f}".rstrip("0").rstrip(".")


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'
