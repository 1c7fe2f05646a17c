"""Options that the commands of the lab share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import click

from seqkit.cli.options import Function, at_least_1, device_options, quiet_option

__all__ = ["cells_option", "hidden_option", "lab_options", "seed_option"]


def lab_options(function: Function) -> Function:
    """Add ``--output`` (as ``output``), ``--force``, ``--device``, ``--threads`` and ``--quiet``."""
    kind = click.Path(path_type=Path)
    output = click.option(
        "-o", "--output", type=kind, required=True, metavar="DIR", help="where the picture and the JSON file go"
    )
    force = click.option("--force", is_flag=True, help="replace what an earlier call wrote to --output")
    return output(force(device_options(quiet_option(function))))


def cells_option(default: tuple[str, ...]) -> Callable[[Function], Function]:
    """A decorator that adds ``--cells NAME,…``, also called ``--cell``, repeatable.

    Args:
        default: the cells that are taken where none is named.

    Returns:
        The decorator; the command receives ``cells``, a tuple of names, each once.
    """

    def parsed(context: click.Context, parameter: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
        from seqkit.config import EncoderSettings

        known = get_args(EncoderSettings.model_fields["cell"].annotation)
        given = [name.strip() for text in value for name in text.split(",")]
        if given == ["all"]:
            return tuple(known)
        for name in given:
            if name not in known:
                message = f"expected cells among {', '.join(known)}, or all, found {name!r}"
                raise click.BadParameter(message, context, parameter)
        return tuple(dict.fromkeys(given)) or default

    return click.option(
        "--cells",
        "--cell",
        "cells",
        multiple=True,
        callback=parsed,
        metavar="NAME,…",
        help=f"which cells, or all; repeatable  [default: {','.join(default)}]",
    )


def hidden_option(default: int) -> Callable[[Function], Function]:
    """A decorator that adds ``--hidden``.

    Args:
        default: the size where none is given.

    Returns:
        The decorator.
    """
    return click.option(
        "--hidden",
        type=int,
        default=default,
        show_default=True,
        callback=at_least_1,
        metavar="N",
        help="size of the state",
    )


def seed_option(function: Function) -> Function:
    """Add ``--seed``, 1 by default."""
    kind: Any = click.IntRange(min=0, max=2**63 - 1)
    option = click.option(
        "--seed", type=kind, default=1, show_default=True, metavar="N", help="the same seed gives the same figures"
    )
    return option(function)
