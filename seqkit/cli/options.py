"""Options that several commands share, and the options that are settings under a short name."""

from __future__ import annotations

import gc
import json
import math
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TextIO, TypeVar, get_args, get_origin

import click

from seqkit.errors import DataError, SettingsError

if TYPE_CHECKING:
    from seqkit.config import Recipe

__all__ = [
    "WHERE_GPU_HAS_IT",
    "WHERE_LABELS_AGREE",
    "FiniteRange",
    "at_least_1",
    "batch_options",
    "device_options",
    "json_option",
    "model_option",
    "opened",
    "output_file",
    "precision_option",
    "prediction_options",
    "prepare_torch",
    "quiet_option",
    "settings_from_flags",
    "settings_options",
    "table_width",
    "usage_unless",
    "workers_option",
    "write_json",
]

Function = TypeVar("Function", bound=Callable[..., Any])

SETTING_FLAGS = {
    "--cell": "encoder.cell",
    "--layers": "encoder.layers",
    "--hidden": "encoder.hidden",
    "--direction": "encoder.direction",
    "--dropout": "encoder.dropout",
    "--vectors": "embedding.vectors",
    "--chars": "embedding.chars",
    "--epochs": "training.epochs",
    "--batch-size": "training.batch_size",
    "--optimizer": "training.optimizer",
    "--lr": "training.lr",
    "--clip": "training.clip",
    "--patience": "training.patience",
    "--time-limit": "training.time_limit",
    "--checkpoint-minutes": "training.checkpoint_minutes",
    "--on-nan": "training.on_nan",
    "--deterministic": "training.deterministic",
    "--precision": "training.precision",
    "--init-from": "training.init_from",
    "--freeze": "training.freeze",
    "--seed": "training.seed",
}
"""flags of every ``train`` command that are settings; the settings give type, default and help"""

SWITCHES = ("--multi-label", "--deterministic")
"""flags that only turn something on"""

_METAVARS = {
    "--cell": "NAME",
    "--init-from": "MODEL",
    "--context": "MODEL",
    "--condition": "FIELD,…",
    "--freeze": "N",
    "--vectors": "FILE",
    "--time-limit": "MINUTES",
    "--checkpoint-minutes": "MINUTES",
    "--target": "COLUMN",
}

# --- settings -----------------------------------------------------------------------------------------------------


def _field(task: str, path: str) -> Any:
    """A setting of a task, with the default that it has there."""
    from seqkit.config import SETTINGS  # here and below only where it is needed: pydantic takes a while to load

    section, name = path.split(".")
    return type(SETTINGS[task].model_fields[section].default).model_fields[name]


def _default(task: str, path: str) -> Any:
    from seqkit.config import SETTINGS

    section, name = path.split(".")
    return getattr(SETTINGS[task].model_fields[section].default, name)


def _type(task: str, path: str) -> Any:
    """The click type of a setting; ranges are left to the settings, which know all faults at once."""
    annotation = _field(task, path).annotation
    if get_origin(annotation) is Literal:
        return click.Choice(get_args(annotation))
    return annotation if annotation in (int, float, str) else str


def _metavar(task: str, flag: str, path: str) -> str:
    annotation = _field(task, path).annotation
    if get_origin(annotation) is Literal and flag not in _METAVARS:
        return "|".join(get_args(annotation))
    return _METAVARS.get(flag) or {int: "N", float: "X"}.get(annotation, "TEXT")


def _help(task: str, flag: str, path: str) -> str:
    """What the settings say of a flag, and its default unless that is to have none."""
    field, default = _field(task, path), _default(task, path)
    told = field.description
    if flag in _METAVARS and get_origin(field.annotation) is Literal:
        told = f"{told}: {', '.join(get_args(field.annotation))}"
    if "/" in flag:
        default = flag.split("/")[0 if default else 1]
    elif isinstance(default, float):
        default = f"{default:g}"
    return told if default == "" else f"{told}  [default: {default}]"


def settings_options(task: str, extra: dict[str, str] | None = None) -> Callable[[Function], Function]:
    """A decorator that adds the flags of `SETTING_FLAGS`, a command's own, ``--recipe`` and ``--set``.

    Args:
        task: whose settings the flags are.
        extra: flag → setting, for flags that only this command has; ``--x/--no-x`` for a switch.

    Returns:
        The decorator; the command receives all of them as keyword arguments for `settings_from_flags`.
    """
    from seqkit.config import recipe_names

    flags = {**(extra or {}), **SETTING_FLAGS}

    def decorate(function: Function) -> Function:
        for flag, path in reversed(flags.items()):
            kind: dict[str, Any] = (
                {} if "/" in flag else {"type": _type(task, path), "metavar": _metavar(task, flag, path)}
            )
            if flag in SWITCHES:
                kind = {"is_flag": True, "flag_value": True}
            name = path.replace(".", "__")
            function = click.option(flag, name, default=None, help=_help(task, flag, path), **kind)(function)
        function = click.option(
            "--set",
            "assignments",
            multiple=True,
            metavar="SECTION.KEY=VALUE",
            help="any setting of a recipe (--dry-run shows them all); repeatable",
        )(function)
        recipe = click.option(
            "-c",
            "--recipe",
            metavar="NAME|FILE.toml",
            help=f"settings to start from: a file, or one of {', '.join(recipe_names(task))}",
        )
        return recipe(function)

    return decorate


def settings_from_flags(task: str, recipe: str | None, assignments: tuple[str, ...], flags: dict[str, Any]) -> Recipe:
    """Settings, weakest first: defaults, the recipe, ``--set``, a flag of its own.

    Args:
        task: whose settings are wanted.
        recipe: the value of ``--recipe``.
        assignments: the values of ``--set``.
        flags: ``section__key`` → value of every other flag; None where it was not given.

    Returns:
        The recipe with its settings replaced.

    Raises:
        SettingsError: the recipe cannot be used.
        UsageError: a flag or ``--set`` cannot be used.
    """
    from seqkit.config import Recipe, load_recipe, override, parse_assignments, parse_settings

    chosen = load_recipe(recipe) if recipe else Recipe(settings=parse_settings({"task": task}, task))
    found = chosen.settings.task
    if found != task:
        raise SettingsError(f"{recipe}: expected a recipe of `seqkit {task}`, found one of `seqkit {found}`")
    tree: dict[str, dict[str, Any]] = {}
    for path, value in flags.items():
        if value is not None:
            section, name = path.split("__")
            tree.setdefault(section, {})[name] = value
    try:
        settings = override(chosen.settings, parse_assignments(assignments), "--set")
        return chosen.model_copy(update={"settings": override(settings, tree, "command line")})
    except SettingsError as error:
        raise click.UsageError(str(error)) from None


# --- options ------------------------------------------------------------------------------------------------------


class FiniteRange(click.FloatRange):
    """A number in a range, which infinity and what is no number are not, whatever the range."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """See `click.ParamType.convert`."""
        found = super().convert(value, param, ctx)
        if not math.isfinite(found):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return found


def at_least_1(context: click.Context, parameter: click.Parameter, value: int | None) -> int | None:
    """A click callback: see that a number, where it is given, is 1 or more.

    Args:
        context: the command's context.
        parameter: the option.
        value: its value.

    Returns:
        The value.

    Raises:
        BadParameter: it is smaller.
    """
    if value is not None and value < 1:
        raise click.BadParameter(f"expected at least 1, found {value}", context, parameter)
    return value


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
    path = Path(value)
    if path.is_dir():
        raise DataError(f"cannot be written as {parameter.opts[0]}: Is a directory", file=path)
    if not path.parent.is_dir():
        raise DataError(f"cannot be written as {parameter.opts[0]}: there is no folder {path.parent}", file=path)
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise DataError(f"cannot be written as {parameter.opts[0]}: Permission denied", file=path)
    return value


def device_options(function: Function) -> Function:
    """Add ``--device`` and ``--threads``."""
    threads = click.option(
        "--threads", type=int, callback=at_least_1, metavar="N", help="processor threads  [default: all cores]"
    )
    device = click.option(
        "--device", default="auto", show_default=True, metavar="auto|cpu|cuda|cuda:N|mps", help="where to compute"
    )
    return device(threads(function))


def prediction_options(inputs: Sequence[str], outputs: Sequence[str], told: str) -> Callable[[Function], Function]:
    """A decorator that adds FILES, ``--model``, ``--input`` and ``--output-format``.

    Args:
        inputs: formats of what comes in.
        outputs: formats of what goes out, the default first.
        told: what these are.

    Returns:
        The decorator.
    """
    files = click.argument("files", nargs=-1, metavar="[FILE…|-]")
    input_format = click.option(
        "--input",
        "input_format",
        type=click.Choice(inputs),
        metavar="|".join(inputs),
        help="what comes in  [default: text; of a file what its name and content say]",
    )
    output_format = click.option(
        "--output-format",
        type=click.Choice(outputs),
        default=outputs[0],
        show_default=True,
        metavar="|".join(outputs),
        help=f"what goes out: {told}",
    )
    return lambda function: files(model_option(input_format(output_format(function))))


MOST_WORKERS = 256
WHERE_GPU_HAS_IT = "on a GPU that has it"
WHERE_LABELS_AGREE = "where it is fast and the labels of the first 128 sentences of a process agree with fp32"
"""when ``--precision auto`` is bf16"""


def batch_options(auto: str) -> Callable[[Function], Function]:
    """A decorator that adds ``--batch-tokens`` and ``--precision``, which prediction has everywhere.

    Args:
        auto: when ``--precision auto`` is bf16.

    Returns:
        The decorator.
    """
    from seqkit.config import BATCH_TOKENS

    tokens = click.option(
        "--batch-tokens",
        type=int,
        default=BATCH_TOKENS,
        show_default=True,
        callback=at_least_1,
        metavar="N",
        help="tokens a batch; a longer sentence is one by itself",
    )
    return lambda function: tokens(precision_option(auto)(function))


def _some_workers(context: click.Context, parameter: click.Parameter, value: int) -> int:
    at_least_1(context, parameter, value)
    if value > MOST_WORKERS:  # they are started all at once
        raise click.BadParameter(f"expected at most {MOST_WORKERS}, found {value}", context, parameter)
    return value


def workers_option(function: Function) -> Function:
    """Add ``--workers``."""
    option = click.option(
        "--workers",
        type=int,
        default=1,
        show_default=True,
        callback=_some_workers,
        metavar="N",
        help="processes that share the input and the threads; worth their start for large inputs",
    )
    return option(function)


def precision_option(auto: str) -> Callable[[Function], Function]:
    """A decorator that adds ``--precision``.

    Args:
        auto: when ``auto`` is bf16.

    Returns:
        The decorator.
    """
    names = ["auto", "fp32", "bf16"]
    option = click.option(
        "--precision",
        type=click.Choice(names),
        default="fp32",
        show_default=True,
        metavar="|".join(names),
        help=f"arithmetic of the encoder; auto is bf16 {auto}",
    )
    return option


def model_option(function: Function) -> Function:
    """Add ``--model``."""
    kind = click.Path(path_type=Path)
    option = click.option(
        "-m", "--model", "directory", type=kind, required=True, metavar="DIR", help="the model's directory"
    )
    return option(function)


def json_option(help: str) -> Callable[[Function], Function]:
    """A decorator that adds ``--json FILE|-``.

    Args:
        help: the help text.

    Returns:
        The decorator; the command receives ``json_file``.
    """
    return click.option("--json", "json_file", metavar="FILE|-", callback=output_file, help=help)


def quiet_option(function: Function) -> Function:
    """Add ``--quiet``."""
    return click.option("--quiet", is_flag=True, help="nothing on standard error but faults")(function)


# --- what commands share ------------------------------------------------------------------------------------------


def prepare_torch(threads: int | None, share: int = 1) -> None:
    """Settings of the process that all commands which compute share.

    Args:
        threads: processor threads; None leaves torch's choice.
        share: how many processes share them.
    """
    import numpy as np
    import torch

    if share > 1:
        threads = max(1, (threads or torch.get_num_threads()) // share)
    if threads is not None:
        torch.set_num_threads(threads)
    for kind in (np.float32, np.float64):
        np.finfo(kind)  # once asked, NumPy 1 does not look again, and warn of the zeros that it would find from here on
    torch.set_flush_denormal(True)
    gc.freeze()  # what torch brings with it stays: a third of a second, each time that garbage is looked for there


def usage_unless(condition: object, message: str) -> None:
    """See that arguments fit together.

    Args:
        condition: what has to be true.
        message: what is wrong otherwise.

    Raises:
        UsageError: it is not.
    """
    if not condition:
        raise click.UsageError(message)


def table_width() -> int:
    """Columns of a table on standard output: those of the terminal, 100 at most."""
    return min(100, shutil.get_terminal_size().columns)


def opened(file: str) -> AbstractContextManager[TextIO]:
    """Open a file of results.

    Args:
        file: its name, or ``-`` for standard output.

    Returns:
        A context manager that gives the stream.

    Raises:
        DataError: the file cannot be written.
    """
    if file == "-":
        return nullcontext(sys.stdout)
    try:
        return open(file, "w", encoding="utf-8", errors="replace", newline="\n")
    except OSError as error:
        raise DataError(f"cannot be written: {error.strerror or error}", file=file) from None


def write_json(value: object, file: str) -> None:
    """Write results as JSON.

    Args:
        value: anything of JSON's types; a number that is not finite is written as null.
        file: the file's name, or ``-`` for standard output.

    Raises:
        DataError: the file cannot be written.
    """
    from seqkit.formats.writers import finite

    with opened(file) as stream:
        stream.write(json.dumps(finite(value), indent=2, allow_nan=False) + "\n")
