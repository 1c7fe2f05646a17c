"""The verb ``sample``: text that a language model or a generator writes, and pieces of a language model of frames."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from seqkit.cli.group import HELP_OPTIONS, task_name
from seqkit.cli.options import (
    checked_options,
    choice,
    device_options,
    model_option,
    quiet_option,
    section_options,
    usage_unless,
)
from seqkit.cli.outputs import keep_inputs, output_file
from seqkit.cli.predict import trained_row
from seqkit.errors import DataError
from seqkit.metrics.scores import plural
from seqkit.resources import imported
from seqkit.serving.process import prepare_torch, say
from seqkit.tasks import TASKS
from seqkit.terminal import tell

if TYPE_CHECKING:
    from seqkit.inputs.conditions import ConditionCodec
    from seqkit.records import WrittenFrames, WrittenText

_LINES = partial(imported, "seqkit.heads.language_model.settings:LmSampling")
_FRAMES = partial(imported, "seqkit.heads.frame_model.settings:FrameSampling")
_TEXTS = partial(imported, "seqkit.heads.generation.settings:GenerateOptions")

_CONDITION = click.option(
    "--condition",
    "conditions",
    multiple=True,
    metavar="FIELD=VALUE",
    help="what to write from, one for each field; vectors and frames are JSON arrays or names of array files",
)

_FILES = (".mid", ".midi", ".npy")
"""what pieces are written as"""
_OUTPUT = click.option(
    "-o", "--output", metavar="FILE.mid|FILE.npy", callback=output_file,
    help="of a model of frames: the file to write; several pieces are numbered, FILE-1.mid, …",
)  # fmt: skip
_PICTURE = click.option(
    "--picture", metavar="FILE.png", callback=output_file, help="of a model of frames: also draw a piano roll"
)


def _command(options: Callable[[], Any], *further: Any) -> Callable[[Callable[..., int]], click.Command]:
    """A decorator that makes a command which writes text, with the flags that such commands have in common."""
    decorators = (
        click.command("sample", short_help="Write text.", context_settings=HELP_OPTIONS),
        model_option,
        *further,
        section_options(options),
        choice(
            "--output-format",
            known=["text", "jsonl"],
            default="text",
            help="the texts alone, or JSON objects with their log-probabilities",
        ),
        device_options,
        quiet_option,
    )

    def decorate(function: Any) -> Any:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate


@_command(_LINES, section_options(_FRAMES, besides=_LINES), _OUTPUT, _PICTURE)
def sample_lines(
    directory: Path,
    output_format: str,
    device: str,
    threads: int | None,
    quiet: bool,
    output: str | None,
    picture: str | None,
    **given: Any,
) -> int:
    """Write text, unit by unit; unknown units are never written. Or, of a model of frames, music, frame by frame.

    A model of frames reads --prompt, --count, --length, --temperature and --seed, and the flags that only it has:
    --prompt is a file then, a MIDI file, FILE.npy or FILE.npz#NAME.
    """
    row = trained_row(directory, TASKS[task_name()])
    of_frames = row.records == "frames"
    section = _FRAMES() if of_frames else _LINES()
    asked = given if of_frames else {**given, "output": output, "picture": picture}
    options = checked_options(section, asked, row)
    keep_inputs(directory, *filter(None, [given["prompt"] if of_frames else None]))
    if of_frames:
        _check_written(output, picture)
    prepare_torch(threads)
    from seqkit.model.loading import load

    model = load(directory, device, task=task_name())
    if of_frames:
        _refuse_other_keys(model.input.keys, str(output))
        options["prompt"] = _read_prompt(options.get("prompt", ""), quiet)
    found = model.sample(**options)
    if of_frames:
        assert output is not None
        _write_pieces(found, output, picture, model.settings.data.frames_per_quarter, output_format, quiet)
    else:
        _show(found, output_format)
    return 0


def _check_written(output: str | None, picture: str | None) -> None:
    known = ", ".join(_FILES)
    usage_unless(output, "Missing option '-o' / '--output': a model of frames writes FILE.mid or FILE.npy.")
    is_known = str(output).lower().endswith(_FILES)
    usage_unless(is_known, f"Invalid value for '--output': expected a file {known}, found {output!r}")
    if picture is not None:
        from seqkit.metrics.plots import require_matplotlib

        is_picture = picture.lower().endswith(".png")
        usage_unless(is_picture, f"Invalid value for '--picture': expected FILE.png, found {picture!r}")
        require_matplotlib("a piano roll")


def _refuse_other_keys(keys: int, output: str) -> None:
    from seqkit.formats.piano import KEYS

    if keys != KEYS and not output.lower().endswith(".npy"):
        name = Path(output).with_suffix(".npy").name
        raise DataError(
            f"a MIDI file has the {KEYS} keys of a piano, and this model has {keys:,}; -o {name} has its frames"
        )


def _read_prompt(file: str, quiet: bool) -> Any:
    """The beginning of a piece; what is left out of it is said."""
    if not file:
        return ""
    from seqkit.formats.format import notes_on
    from seqkit.formats.manifest import row_frames
    from seqkit.formats.midi import Piece

    record = row_frames({"frames": file}, folder=Path())
    if isinstance(record.source, Piece) and not (quiet or record.source.silence):
        for note in notes_on(file, Counter(record.source.left_out)):
            tell(note)
    return record


def _write_pieces(
    pieces: Sequence[WrittenFrames], output: str, picture: str | None, per_quarter: int, output_format: str, quiet: bool
) -> None:
    """Write each piece to a file of its own, and its picture."""
    from seqkit.formats.arrays import write_array
    from seqkit.formats.midi import write_midi
    from seqkit.formats.writers import to_json
    from seqkit.metrics.piano_roll import piano_roll_png

    for number, piece in enumerate(pieces, start=1):
        path = _numbered(output, number, len(pieces))
        if path.suffix.lower() == ".npy":
            write_array(path, piece.frames)
        else:
            write_midi(path, piece.frames, frames_per_quarter=per_quarter, tempo=piece.tempo)
        if picture is not None:
            drawn = _numbered(picture, number, len(pieces))
            note = piano_roll_png(piece.frames, drawn, prompt=piece.prompt, frames_per_quarter=per_quarter)
            if note and not quiet:
                tell(note)
        if output_format == "jsonl":
            print(to_json({"file": str(path), **piece.to_json()}), flush=True)
        elif not quiet:
            after = f" after {plural(piece.prompt, 'frame')} of the prompt" if piece.prompt else ""
            added = plural(len(piece.frames) - piece.prompt, "frame")
            tell(f"{path}: {added}{after}, {piece.nats_per_frame:.4f} nats a frame")


def _numbered(file: str, number: int, count: int) -> Path:
    """The file of one of several: its number before the suffix."""
    path = Path(file)
    return path if count == 1 else path.with_name(f"{path.stem}-{number:0{len(str(count))}d}{path.suffix}")


@_command(_TEXTS, _CONDITION)
def sample_texts(
    directory: Path,
    conditions: tuple[str, ...],
    output_format: str,
    device: str,
    threads: int | None,
    quiet: bool,
    **given: Any,
) -> int:
    """Write text, unit by unit, until it ends; unknown units are never written."""
    options = checked_options(_TEXTS(), given, TASKS[task_name()])
    keep_inputs(directory)
    prepare_torch(threads)
    from seqkit.model.loading import load

    model = load(directory, device, task=task_name())
    pipeline = model.pipeline(say=say(quiet))
    _show(model.generate(parse_conditions(conditions, model.head.codec), pipeline=pipeline, **options), output_format)
    return 0


def _show(texts: Sequence[WrittenText], output_format: str) -> None:
    """Write texts to standard output; those of several lines are separated by a blank line."""
    from seqkit.formats.writers import clean, to_json

    apart = any("\n" in text.text for text in texts)
    ended = True  # whether a blank line was written last, or nothing
    for text in texts:
        if output_format == "jsonl":
            print(to_json(text.to_json()), flush=True)
            continue
        print(("\n" if apart and not ended else "") + clean(text.text), flush=True)
        ended = text.text.endswith("\n")


def parse_conditions(given: Sequence[str], codec: ConditionCodec) -> dict[str, Any]:
    """Read ``field=value`` as often as it was given.

    Args:
        given: the values of ``--condition``.
        codec: the fields that the model knows.

    Returns:
        Field → value; of a vector, its numbers; of frames, what reads them.

    Raises:
        DataError: a field is not one of the model's, or a vector cannot be read.
        UsageError: a value is not of this form, or a field stands twice.
    """
    kinds = {field.name: field.kind for field in codec.fields}
    found: dict[str, Any] = {}
    for text in given:
        name, sign, value = text.partition("=")
        usage_unless(sign and name, f"Invalid value for '--condition': expected FIELD=VALUE, found {text!r}")
        if name not in kinds:
            known = ", ".join(map(repr, kinds)) or "none"
            raise DataError(f"expected a condition among {known}, found {name!r}")
        usage_unless(name not in found, f"Invalid value for '--condition': {name!r} is given twice")
        read = {"vector": _vector, "frames": _frames}.get(kinds[name])
        found[name] = value if read is None else read(value, name)
    return found


def _frames(value: str, name: str) -> Any:
    if value.lstrip().startswith("["):
        return _numbers(value, name)
    from seqkit.formats.manifest import row_frames

    return row_frames({name: value}, name, Path())


def _vector(value: str, name: str) -> Any:
    if value.endswith(".npy"):
        from seqkit.formats.arrays import load_array

        return load_array(Path(value))
    return _numbers(value, name)


def _numbers(value: str, name: str) -> Any:
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        raise DataError(f"expected a JSON array or an .npy file as {name!r}, found {value!r:.40}") from None
