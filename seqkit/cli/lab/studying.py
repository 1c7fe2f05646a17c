"""Options of the commands that train networks on artificial sequences."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, get_args

import click

from seqkit.cli.options import Function

if TYPE_CHECKING:
    from seqkit.lab.training import TrainingOptions

__all__ = [
    "TASKS",
    "choice_option",
    "count_option",
    "gains_option",
    "inits",
    "names_option",
    "number_option",
    "training_options",
]

TASKS = ("copy", "copy_blanks", "adding", "agreement")
"""the names of `seqkit.lab.sequences.MEMORY_TASKS`, which help must not import"""


def training_options(flags: Mapping[str, Any]) -> TrainingOptions:
    """How networks are trained, from the flags that say so in every such command."""
    from seqkit.lab.training import TrainingOptions

    names = ("batch_size", "lr", "clip", "gap", "growth", "seed")
    return TrainingOptions(steps=flags["train"], **{name: flags[name] for name in names})


def count_option(flag: str, default: int, help: str, least: int = 1) -> Callable[[Function], Function]:
    """A decorator that adds a flag for a whole number.

    Args:
        flag: its name.
        default: its value where it is not given.
        help: the help text.
        least: the smallest allowed value.

    Returns:
        The decorator.
    """

    def checked(context: click.Context, parameter: click.Parameter, value: int) -> int:
        if value < least:
            raise click.BadParameter(f"expected at least {least}, found {value}", context, parameter)
        return value

    return click.option(flag, type=int, default=default, show_default=True, callback=checked, metavar="N", help=help)


def number_option(
    flag: str, default: float, help: str, *, least: float = 0.0, most: float = math.inf, shown: str = ""
) -> Callable[[Function], Function]:
    """A decorator that adds a flag for a number.

    Args:
        flag: its name.
        default: its value where it is not given; nan for what the command makes of it.
        help: the help text.
        least: the smallest allowed value; what is not a number or not finite is never allowed.
        most: the largest one.
        shown: what the help shows as the default instead of it.

    Returns:
        The decorator.
    """
    ends = [f"at least {least:g}"] * (least > -math.inf) + [f"at most {most:g}"] * (most < math.inf)
    wanted = f"expected a number{' of ' if ends else ''}{' and '.join(ends)}"

    def checked(context: click.Context, parameter: click.Parameter, value: float | None) -> float | None:
        if value is not None and not (least <= value <= most and math.isfinite(value)):
            raise click.BadParameter(f"{wanted}, found {value:g}", context, parameter)
        return value

    given = None if math.isnan(default) else default
    about = f"{help}  [default: {shown or format(default, 'g')}]"
    return click.option(flag, type=float, default=given, callback=checked, metavar="X", help=about)


def names_option(
    flags: Sequence[str], name: str, known: Sequence[str], default: Sequence[str], help: str
) -> Callable[[Function], Function]:
    """A decorator that adds a repeatable flag for names with commas between.

    Args:
        flags: its names.
        name: as what the command receives the names, a tuple, each once.
        known: the names there are.
        default: those that are taken where none is given.
        help: the help text.

    Returns:
        The decorator.
    """

    def parsed(context: click.Context, parameter: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
        names = [each.strip() for text in value for each in text.split(",")]
        for each in names:
            if each not in known:
                raise click.BadParameter(f"expected names among {', '.join(known)}, found {each!r}", context, parameter)
        return tuple(dict.fromkeys(names)) or tuple(default)

    about = f"{help}; repeatable  [default: {','.join(default)}]"
    return click.option(*flags, name, multiple=True, callback=parsed, metavar="NAME,…", help=about)


def choice_option(flag: str, known: Sequence[str], default: str, help: str) -> Callable[[Function], Function]:
    """A decorator that adds a flag for one of some names.

    Args:
        flag: its name.
        known: the names there are.
        default: the one where none is given.
        help: the help text.

    Returns:
        The decorator.
    """
    kind = click.Choice(known)
    return click.option(flag, type=kind, default=default, show_default=True, metavar="|".join(known), help=help)


def inits() -> tuple[str, ...]:
    """The initialisations of recurrent matrices that there are."""
    from seqkit.config import EncoderSettings

    return get_args(EncoderSettings.model_fields["init"].annotation)


def gains_option(function: Function) -> Function:
    """Add ``--gain X,…``, repeatable, as ``gains``; 1 by default."""

    def parsed(context: click.Context, parameter: click.Parameter, value: tuple[str, ...]) -> tuple[float, ...]:
        gains: list[float] = []
        for text in ",".join(value).split(","):
            try:
                gain = float(text)
            except ValueError:
                gain = math.nan
            if not 0.0 < gain < math.inf:
                raise click.BadParameter(f"expected numbers above 0, found {text!r}", context, parameter)
            gains.append(gain)
        return tuple(dict.fromkeys(gains))

    option = click.option(
        "--gain",
        "gains",
        multiple=True,
        default=("1",),
        callback=parsed,
        metavar="X,…",
        help="what the recurrent matrices are multiplied by; repeatable  [default: 1]",
    )
    return option(function)
