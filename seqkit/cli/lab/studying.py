"""Options of the commands that train networks on artificial sequences."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, get_args

import click

from seqkit.cli.options import Function

__all__ = [
    "count_option",
    "gains_option",
    "init_option",
    "inits_option",
    "number_option",
    "options_used",
    "say_unless",
    "task_option",
    "tasks_option",
]


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


def named(known: Callable[[], Sequence[str]]) -> Callable[..., tuple[str, ...]]:
    """A click callback that reads names with commas between, from a flag that may be repeated.

    Args:
        known: gives the names there are.

    Returns:
        The callback; its value is a tuple of names, each once.
    """

    def parsed(context: click.Context, parameter: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
        names = [name.strip() for text in value for name in text.split(",")]
        for name in names:
            if name not in known():
                message = f"expected names among {', '.join(known())}, found {name!r}"
                raise click.BadParameter(message, context, parameter)
        return tuple(dict.fromkeys(names))

    return parsed


def tasks_option(default: tuple[str, ...], *others: str) -> Callable[[Function], Function]:
    """A decorator that adds ``--tasks NAME,…``, also called ``--task``, repeatable.

    Args:
        default: the tasks that are taken where none is named.
        *others: the other tasks there are.

    Returns:
        The decorator; the command receives ``tasks``.
    """
    return click.option(
        "--tasks",
        "--task",
        "tasks",
        multiple=True,
        default=(",".join(default),),
        callback=named(lambda: (*default, *others)),
        metavar="NAME,…",
        help=f"which tasks; repeatable  [default: {','.join(default)}]",
    )


def task_option(names: tuple[str, ...], default: str) -> Callable[[Function], Function]:
    """A decorator that adds ``--task NAME``.

    Args:
        names: the tasks there are.
        default: the one where none is named.

    Returns:
        The decorator.
    """
    return click.option(
        "--task",
        type=click.Choice(names),
        default=default,
        show_default=True,
        metavar="|".join(names),
        help="what the deep network is trained on; see seqkit lab memory",
    )


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


def _inits() -> tuple[str, ...]:
    from seqkit.config import EncoderSettings

    return get_args(EncoderSettings.model_fields["init"].annotation)


def init_option(default: str) -> Callable[[Function], Function]:
    """A decorator that adds ``--init NAME``.

    Args:
        default: the initialisation where none is named.

    Returns:
        The decorator.
    """
    names = _inits()
    return click.option(
        "--init",
        type=click.Choice(names),
        default=default,
        show_default=True,
        metavar="|".join(names),
        help="how the recurrent matrices begin; uniform: all weights in ± 1/√hidden",
    )


def inits_option(default: tuple[str, ...]) -> Callable[[Function], Function]:
    """A decorator that adds ``--init NAME,…``, repeatable.

    Args:
        default: the initialisations where none is named.

    Returns:
        The decorator; the command receives ``inits``.
    """
    return click.option(
        "--init",
        "inits",
        multiple=True,
        default=(",".join(default),),
        callback=named(_inits),
        metavar="NAME,…",
        help=f"how the recurrent matrices begin: {', '.join(_inits())}; repeatable  [default: {','.join(default)}]",
    )


def say_unless(quiet: bool) -> Callable[[str], None]:
    """What tells of the progress.

    Args:
        quiet: whether nothing is to be said.

    Returns:
        A function of a line.
    """
    return (lambda line: None) if quiet else (lambda line: click.echo(line, err=True))


def options_used(device: str, threads: int | None, flags: dict[str, Any]) -> dict[str, Any]:
    """Every option with its value, as the JSON file has them.

    Args:
        device: of ``--device``.
        threads: of ``--threads``.
        flags: all others.

    Returns:
        The settings.
    """
    return {**flags, "device": device, "threads": threads}
