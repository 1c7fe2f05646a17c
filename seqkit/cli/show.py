"""The verb ``show``: a picture of a sequence of vectors with what a model finds in it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from seqkit.cli.group import HELP_OPTIONS, task_name
from seqkit.cli.options import (
    FiniteRange,
    at_least_1,
    described_by,
    device_options,
    format_option,
    json_option,
    layout_options,
    model_option,
    quiet_option,
    usage_unless,
    write_json,
)
from seqkit.cli.outputs import keep_inputs, output_file
from seqkit.cli.predict import described, files_in
from seqkit.errors import DataError
from seqkit.formats.format import Description, ReadOptions
from seqkit.metrics.scores import plural
from seqkit.serving.process import prepare_torch
from seqkit.tasks import TASKS, Task
from seqkit.terminal import tell

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from seqkit.metrics.frame_pictures import Stretch
    from seqkit.records import FrameRecord, TaggedFrames

Drawn = tuple[dict[str, Any], str]
"""what was drawn, of JSON's types, and a line for the user"""


class _Asked(NamedTuple):
    """What is to be drawn of the first of some records, and where to.

    Attributes:
        output: the PNG file.
        start: where the stretch begins, in seconds or frames; None for the beginning.
        end: where it ends; None for the end.
        target: the field of what is right; None for the model's.
    """

    output: str
    start: float | None
    end: float | None
    target: str | None


def _command(draw: Callable[[Any, list[FrameRecord], _Asked], Drawn]) -> click.Command:
    """Make the command; its help is the docstring of what draws."""
    told = "field of the sequence: array file, recording or numbers  [default: the model's]"
    decorators = (
        click.command(
            "show", short_help="Draw a sequence and what the model finds in it.", help=draw.__doc__,
            context_settings=HELP_OPTIONS,
        ),
        click.argument("file", metavar="FILE"),
        model_option,
        click.option(
            "-o", "--output", required=True, metavar="FILE.png", callback=output_file, help="the picture to write"
        ),
        json_option("also write the numbers of the picture as JSON"),
        click.option(
            "--record", "number", type=int, default=1, show_default=True, callback=at_least_1, metavar="N",
            help="which sequence of FILE, counted from 1",
        ),
        click.option(
            "--start", type=FiniteRange(min=0), metavar="X",
            help="where the stretch to draw begins: seconds, or frames of unknown rate",
        ),
        click.option("--end", type=FiniteRange(min=0), metavar="X", help="where it ends"),
        click.option("--target", metavar="FIELD", help="field of what is right  [default: the model's, if there]"),
        format_option("--input", "--format", help="input format  [default: by the file's name and content]"),
        layout_options,
        click.option("--frames", "frames_field", metavar="FIELD", help=told),
        device_options,
        quiet_option,
    )  # fmt: skip

    def show(
        file: str,
        directory: Path,
        output: str,
        json_file: str | None,
        number: int,
        start: float | None,
        end: float | None,
        target: str | None,
        input_format: str | None,
        columns: str | None,
        token_column: str | None,
        encoding: str | None,
        frames_field: str | None,
        device: str,
        threads: int | None,
        quiet: bool,
    ) -> int:
        usage_unless(
            output.lower().endswith(".png"), f"Invalid value for '--output': expected FILE.png, found {output!r}"
        )
        usage_unless(end is None or (start or 0) < end, f"--end must be after --start, found {end}.")
        from seqkit.metrics.plots import require_matplotlib

        require_matplotlib("a picture of a sequence")
        keep_inputs(directory, file)
        prepare_torch(threads)
        from seqkit.model.loading import load

        task = TASKS[task_name()]
        model = load(directory, device, task=task.name)
        usage_unless(
            model.task.records == "frames",
            f"show draws sequences of vectors, and this model reads {model.task.record}s.",
        )
        asked = described_by(input_format, columns, token_column, encoding)
        records = _chosen(model, task.of("frames"), file, asked, frames_field, number, quiet)
        record = records[0]
        keep_inputs(directory, file, Path(record.file).parent / record.name.partition("#")[0])
        numbers, note = draw(model, records, _Asked(output, start, end, target))
        if json_file is not None:
            write_json(numbers, json_file)
        if note and not quiet:
            tell(note)
        return 0

    function: Any = show
    for decorator in reversed(decorators):
        function = decorator(function)
    command: click.Command = function
    return command


def _chosen(
    model: Any, row: Task, file: str, asked: Description, field: str | None, number: int, quiet: bool
) -> list[FrameRecord]:
    """The sequence to draw, and after it those that it is normalised with."""
    from seqkit.formats.registry import described_frames

    options = ReadOptions(frames=field or model.settings.data.frames)
    records = chain.from_iterable(
        described_frames(each, described(each, asked, row, quiet), options)
        for each in files_in([file], row, quiet=quiet)
    )
    found: FrameRecord | None = None
    others: list[FrameRecord] = []
    count = 0
    for count, record in enumerate(records, start=1):
        if count == number:
            found = record
            if not model.input.surveys:
                break
        elif model.input.surveys:
            others.append(record)
    if found is None:
        told = f"expected --record to be one of its {plural(count, 'sequence')}, found {number:,}"
        raise DataError(told if count else "it has no sequence", file="<stdin>" if file == "-" else file)
    speaker = model.input.speaker(found) if model.input.surveys else None
    return [found, *(each for each in others if speaker is not None and model.input.speaker(each) == speaker)]


# --- the stretch --------------------------------------------------------------------------------------------------


def _edges(count: int, seconds: Callable[[int], float] | None) -> NDArray[np.float64]:
    """Where N frames begin and the last one ends, in seconds where they are known, [N + 1]."""
    import numpy as np

    return np.array([float(each if seconds is None else seconds(each)) for each in range(count + 1)])


def _stretch(
    model: Any, record: FrameRecord, edges: NDArray[np.float64], in_seconds: bool, asked: _Asked
) -> tuple[Stretch, slice, str]:
    """What is drawn of a sequence, the frames that are asked for, and a line that says if fewer are drawn."""
    import numpy as np

    from seqkit.metrics.frame_pictures import MOST_FRAMES, Stretch

    frames = model.input.read(record)  # [N, F]
    unit = "seconds" if in_seconds else "frames"
    whole = float(edges[-1])
    if asked.start is not None and asked.start >= whole:
        raise record.fault(f"expected --start before its end, {whole:,.6g} {unit}, found {asked.start:,.6g}")
    begin = 0 if asked.start is None else int(np.searchsorted(edges, asked.start, side="right")) - 1
    end = len(frames) if asked.end is None else max(begin + 1, int(np.searchsorted(edges[:-1], asked.end)))
    last = min(end, begin + MOST_FRAMES)
    features, one_scale = "feature", None
    if model.input.acoustics is not None:
        one_scale = model.settings.audio.features == "logmel" and not model.settings.audio.deltas
        features = "mel band" if model.settings.audio.features == "logmel" else "MFCC"
    drawn = Stretch(frames[begin:last], edges[begin : last + 1], in_seconds, record.text, features, one_scale)
    note = ""
    if last < end:
        places = f"{unit} {edges[begin]:,.6g} to {edges[last]:,.6g} of {whole:,.6g}"
        note = f"{asked.output}: {places} are drawn; --start and --end choose others"
    return drawn, slice(begin, end), note


# --- transcriptions -----------------------------------------------------------------------------------------------


def _draw_text(model: Any, records: list[FrameRecord], asked: _Asked) -> Drawn:
    """Draw a sequence, and below it how probable each symbol is over time.

    FILE is a recording, an array, or a manifest, of which --record N takes the Nth sequence. Above are the frames as
    they are before normalisation, below the posteriors of CTC: the blank in grey, and the symbols of the text that is
    found, each named above its peak. Others that reach 0.1 are dashed.
    """
    import numpy as np

    from seqkit.metrics.frame_pictures import Peak, transcription_png

    record = records[0]
    answer = next(model.posteriors(records))
    step, count, symbols = model.settings.frames.step, len(record), model.head.names
    edges, in_seconds = _edges(count, answer.seconds), answer.seconds is not None
    drawn, wanted, note = _stretch(model, record, edges, in_seconds, asked)
    firsts = np.arange(0, count, step)  # [T]
    times = (edges[firsts] + edges[np.minimum(firsts + step, count)]) / 2  # [T]
    shown = slice(wanted.start // step, -(-(wanted.start + len(drawn.frames)) // step))
    peaks = []
    for spoken in answer.symbols:
        first, last = max(spoken.start // step, shown.start), min(-(-spoken.end // step), shown.stop)
        values = answer.posteriors[first:last, spoken.id]
        if len(values):
            highest = times[first:last][values >= values.max() - 0.01]
            peaks.append(Peak(spoken.symbol, float(highest.mean()), float(values.max())))
    # A byte that completes a character is called as the character.
    called = {each.id: each.symbol for each in answer.symbols}
    names = [called.get(id, name) for id, name in enumerate(symbols, start=1)]
    target = asked.target or model.head.field
    known = asked.target is not None or isinstance(record.fields.get(target), str)
    right = model.head.gold([record], target=target)[0][0] if known else None
    transcription_png(
        asked.output, drawn, times=times[shown], posteriors=answer.posteriors[shown], symbols=names, peaks=peaks,
        found=answer.text, right=right,
    )  # fmt: skip
    steps = slice(wanted.start // step, -(-wanted.stop // step))
    inside = [each for each in answer.symbols if each.start < wanted.stop and each.end > wanted.start]
    numbers = {
        "sequence": record.text,
        "unit": "seconds" if in_seconds else "frames",
        "found": answer.text,
        "right": right,
        "symbols": [each.to_json(answer.seconds) for each in inside],
        "times": [round(float(time), 6) for time in times[steps]],
        "columns": [None, *symbols],
        "posteriors": [[round(float(value), 6) for value in row] for row in answer.posteriors[steps]],
    }
    return numbers, note


# --- labels -------------------------------------------------------------------------------------------------------


def _draw_labels(model: Any, records: list[FrameRecord], asked: _Asked) -> Drawn:
    """Draw a sequence, and below it the labels that are found, and the right ones where FILE has some.

    FILE is a recording, an array, or a manifest, of which --record N takes the Nth sequence. Above are the frames as
    they are before normalisation. The model has to be one of sequences of vectors.
    """
    from seqkit.metrics.frame_pictures import Bar, runs_png

    record = records[0]
    answer = next(model.predict(records, ahead=1))
    count, edges = len(record), _edges(len(record), answer.seconds)
    drawn, wanted, note = _stretch(model, record, edges, answer.seconds is not None, asked)
    target = asked.target or model.head.codec.target
    rows: list[tuple[str, TaggedFrames]] = [("found", answer)]
    agreement = ""
    if asked.target is not None or target in record.fields:
        (labels,) = model.head.gold([record], target=target)
        rows.append(("right", model.head.labelled(record, labels)))
        equal = sum(one == other for one, other in zip(answer.labels, labels, strict=True))
        agreement = f"{100 * equal / count:.1f} % of the frames have the right label"

    last = wanted.start + len(drawn.frames)
    bars = [
        (name, [Bar(float(edges[run.start]), float(edges[run.end]), run.label)
                for run in tagged.runs if run.start < last and run.end > wanted.start])
        for name, tagged in rows
    ]  # fmt: skip
    runs_png(asked.output, drawn, bars, labels=model.head.kinds, note=agreement)
    numbers: dict[str, Any] = {"sequence": record.text, "unit": answer.to_json()["unit"], "found": None, "right": None}
    for name, tagged in rows:
        given = zip(tagged.runs, tagged.to_json()[tagged.target], strict=True)
        numbers[name] = [each for run, each in given if run.start < wanted.stop and run.end > wanted.start]
    return numbers, note


show_text = _command(_draw_text)
show_labels = _command(_draw_labels)
