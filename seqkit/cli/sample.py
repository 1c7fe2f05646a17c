"""The verb ``sample``: text that a language model or a generator writes."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from seqkit.cli.group import HELP_OPTIONS
from seqkit.cli.options import (
    checked_options,
    choice,
    device_options,
    model_option,
    quiet_option,
    section_options,
    usage_unless,
)
from seqkit.cli.outputs import keep_inputs
from seqkit.errors import DataError
from seqkit.resources import imported
from seqkit.serving.process import prepare_torch

if TYPE_CHECKING:
    from seqkit.inputs.conditions import ConditionCodec
    from seqkit.records import WrittenText

_LINES = partial(imported, "seqkit.heads.language_model.settings:LmSampling")
_TEXTS = partial(imported, "seqkit.heads.generation.settings:GenerateOptions")

_CONDITION = click.option(
    "--condition",
    "conditions",
    multiple=True,
    metavar="FIELD=VALUE",
    help="what to write from, one for each field; vectors and frames are JSON arrays or names of array files",
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


@_command(_LINES)
def sample_lines(
    directory: Path, output_format: str, device: str, threads: int | None, quiet: bool, **given: Any
) -> int:
    """Write text, unit by unit; unknown units are never written."""
    options = checked_options(_LINES(), given)
    keep_inputs(directory)
    prepare_torch(threads)
    from seqkit.model.loading import load

    _show(load(directory, device, task=_task()).sample(**options), output_format)
    return 0


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
    options = checked_options(_TEXTS(), given)
    keep_inputs(directory)
    prepare_torch(threads)
    from seqkit.model.loading import load

    model = load(directory, device, task=_task())
    _show(model.generate(parse_conditions(conditions, model.head.codec), **options), output_format)
    return 0


def _task() -> str:
    """The task whose verb this is: the name of the command around it."""
    group = click.get_current_context().parent
    assert group is not None and group.command.name is not None
    return group.command.name


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
