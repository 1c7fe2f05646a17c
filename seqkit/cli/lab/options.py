"""Options that the commands of the lab share."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from seqkit.cli.options import FiniteRange, Function, SettingChoice, device_options, quiet_option
from seqkit.serving.process import prepare_torch

if TYPE_CHECKING:
    import torch
    from matplotlib.figure import Figure

    from seqkit.lab.training import NetworkOptions, TrainingOptions

TASKS = ("copy", "copy_blanks", "adding", "agreement")
"""the keys of `seqkit.lab.sequences.MEMORY_TASKS`, which help must not import"""

MOST = 2**31 - 1
"""of what is counted"""
count = partial(click.option, type=click.IntRange(1, MOST), show_default=True, metavar="N")
number = partial(click.option, type=FiniteRange(0.0), show_default=True, metavar="X")


def values(name: str) -> tuple[str, ...]:
    """The values of a setting of the encoder.

    Args:
        name: ``cell`` or ``init``.

    Returns:
        The values, in order.
    """
    from seqkit.config import EncoderSettings

    return get_args(EncoderSettings.model_fields[name].annotation)


def files(function: Function) -> Function:
    """Add ``--output`` (as ``output``), ``--force``, ``--device``, ``--threads`` and ``--quiet``."""
    output = click.option(
        "-o", "--output", type=click.Path(path_type=Path), required=True, metavar="DIR", help="output folder"
    )
    force = click.option("--force", is_flag=True, help="replace the files of an earlier call in --output")
    return output(force(device_options(quiet_option(function))))


def names(
    *flags: str, kind: click.ParamType[Any], default: str, help: str, metavar: str = "NAME,…", every: Sequence[str] = ()
) -> Callable[[Function], Function]:
    """A decorator that adds a flag for values separated by commas, which may be repeated.

    Args:
        *flags: the flag and the name of the parameter, which becomes a tuple without repetitions.
        kind: the type of a value.
        default: the values where the flag is not given.
        help: the help text.
        metavar: the value in the help.
        every: the meaning of ``all``.

    Returns:
        The decorator.
    """

    def parsed(context: click.Context, parameter: click.Parameter, given: tuple[str, ...]) -> tuple[Any, ...]:
        texts = [text.strip() for text in ",".join(given).split(",")]
        if every and texts == ["all"]:
            return tuple(every)
        return tuple(dict.fromkeys(kind.convert(text, parameter, context) for text in texts))

    about = f"{help}; repeatable  [default: {default}]"
    return click.option(*flags, multiple=True, default=[default], callback=parsed, metavar=metavar, help=about)


def cells(default: str) -> Callable[[Function], Function]:
    """A decorator that adds ``--cells``.

    Args:
        default: the cells where none are given, separated by commas.

    Returns:
        The decorator.
    """
    known = values("cell")
    about = "cells to compare, or all"
    return names(
        "--cells",
        "--cell",
        "cells",
        kind=SettingChoice("encoder.cell", known),
        default=default,
        help=about,
        every=known,
    )


def training(
    *, layers: int, growth: float, batch_size: int, lr: float | None, forget_bias: float | None
) -> Callable[[Function], Function]:
    """A decorator that adds the options of training on artificial sequences that commands share.

    Args:
        layers: the default of ``--layers``.
        growth: the default of ``--growth``.
        batch_size: the default of ``--batch-size``.
        lr: the default of ``--lr``; None for the learning rate of each task.
        forget_bias: the default of ``--forget-bias``; None for a bias that suits the gap.

    Returns:
        The decorator.
    """
    bias_shown = forget_bias is not None or "ln(10 gap), which keeps nine tenths over the largest gap"
    bias: dict[str, Any] = {"default": forget_bias, "show_default": bias_shown, "help": "initial bias of forget gates"}
    rate_shown = lr is not None or "0.005; agreement: 0.01"
    cosine = "initial learning rate of Adam, which falls to zero along half a cosine"
    growing = "share of the updates in which the largest gap grows from 1; 0: all gaps from the start"
    options = [
        count("--hidden", default=64, help="size of the state"),
        count("--layers", default=layers, help="layers of the trained network"),
        number("--forget-bias", type=FiniteRange(-1e30), **bias),
        count("--gap", default=100, help="largest gap in training, in steps"),
        number("--growth", type=FiniteRange(0.0, 1.0), default=growth, help=growing),
        number("--lr", type=FiniteRange(1e-12), default=lr, show_default=rate_shown, help=cosine),
        number("--clip", default=1.0, help="largest gradient norm; 0: no clipping"),
        count("--batch-size", default=batch_size, help="sequences per update"),
        count("--seed", type=click.IntRange(0), default=1, help="random seed: the same seed, the same results"),
    ]

    def decorate(function: Function) -> Function:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def settings(flags: Mapping[str, Any]) -> tuple[NetworkOptions, TrainingOptions]:
    """The network and its training.

    Args:
        flags: the values of `training`, ``--train``, ``init`` and ``gain``.

    Returns:
        The options of both.
    """
    from seqkit.lab.training import NetworkOptions, TrainingOptions

    network = {name: flags[name] for name in ("hidden", "layers", "init", "gain", "forget_bias")}
    training = {name: flags[name] for name in ("batch_size", "lr", "clip", "gap", "growth", "seed")}
    return NetworkOptions(**network), TrainingOptions(flags["train"], **training)


def begin(
    name: str, output: Path, flags: Mapping[str, Any], *, force: bool, device: str, threads: int | None
) -> tuple[torch.device, Callable[[Figure, Any], None]]:
    """Check the device and the output files, and start the clock.

    Args:
        name: the name of the command.
        output: the output folder.
        flags: the values of the command's own options.
        force: replace existing files.
        device: the value of ``--device``.
        threads: the value of ``--threads``.

    Returns:
        The device, and a function that writes a picture and results.
    """
    from seqkit.devices import choose_device
    from seqkit.lab.output import claim_files, write_files

    place = choose_device(device)
    claim_files(output, name, force=force)
    prepare_torch(threads)
    began = time.perf_counter()

    def write(figure: Figure, results: Any) -> None:
        used = {**flags, "device": device, "threads": threads}
        write_files(output, name, figure, used, results, time.perf_counter() - began)

    return place, write
