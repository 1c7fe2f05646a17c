"""Options that several commands share, and the options that are settings under a short name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin

import click

from seqkit.config import Recipe, Settings, load_recipe, override, parse_assignments

__all__ = ["device_options", "model_option", "prepare_torch", "settings_from_flags", "settings_options"]

Function = TypeVar("Function", bound=Callable[..., Any])

SETTING_FLAGS = {
    "--cell": "encoder.cell",
    "--hidden": "encoder.hidden",
    "--layers": "encoder.layers",
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
    "--precision": "training.precision",
    "--seed": "training.seed",
}
"""flags of every ``train`` command that are settings; the settings give type, default and help"""


def _field(path: str) -> Any:
    section, name = path.split(".")
    return type(getattr(Settings(), section)).model_fields[name]


def _type(path: str) -> Any:
    """The click type of a setting; ranges are left to the settings, which know all faults at once."""
    annotation = _field(path).annotation
    if get_origin(annotation) is Literal:
        return click.Choice(get_args(annotation))
    return annotation if annotation in (int, float, str) else str


def settings_options(extra: dict[str, str] | None = None) -> Callable[[Function], Function]:
    """A decorator that adds the flags of `SETTING_FLAGS`, a command's own, ``--recipe`` and ``--set``.

    Args:
        extra: flag → setting, for flags that only this command has; ``--x/--no-x`` for a switch.

    Returns:
        The decorator; the command receives all of them as keyword arguments for `settings_from_flags`.
    """
    flags = {**SETTING_FLAGS, **(extra or {})}

    def decorate(function: Function) -> Function:
        for flag, path in reversed(flags.items()):
            field = _field(path)
            default = "none" if field.default in ("", None) else field.default
            text = f"{field.description}  [{default}]"
            kind: dict[str, Any] = {} if "/" in flag else {"type": _type(path), "metavar": _metavar(path)}
            option = click.option(flag, path.replace(".", "__"), default=None, help=text, **kind)
            function = option(function)
        function = click.option(
            "--set", "assignments", multiple=True, metavar="SECTION.KEY=VALUE", help="any setting; repeatable"
        )(function)
        recipe = click.option("-c", "--recipe", metavar="NAME|FILE.toml", help="settings to start from: the name of a recipe, or a file")
        return recipe(function)

    return decorate


def _metavar(path: str) -> str | None:
    annotation = _field(path).annotation
    if get_origin(annotation) is Literal:
        return "|".join(get_args(annotation))
    return {int: "N", float: "X"}.get(annotation, "FILE" if path.endswith("vectors") else "TEXT")


def settings_from_flags(recipe: str | None, assignments: tuple[str, ...], flags: dict[str, Any]) -> Recipe:
    """Settings, weakest first: defaults, the recipe, ``--set``, a flag of its own.

    Args:
        recipe: the value of ``--recipe``.
        assignments: the values of ``--set``.
        flags: ``section__key`` → value of every other flag; None where it was not given.

    Returns:
        The recipe with its settings replaced.

    Raises:
        SettingsError: a setting cannot be used.
    """
    chosen = load_recipe(recipe) if recipe else Recipe()
    settings = override(chosen.settings, parse_assignments(assignments), "--set")
    tree: dict[str, dict[str, Any]] = {}
    for path, value in flags.items():
        if value is not None:
            section, name = path.split("__")
            tree.setdefault(section, {})[name] = value
    return chosen.model_copy(update={"settings": override(settings, tree, "command line")})


def device_options(function: Function) -> Function:
    """Add ``--device`` and ``--threads``."""
    threads = click.option("--threads", type=click.IntRange(min=1), metavar="N", help="processor threads  [all cores]")
    device = click.option(
        "--device", default="auto", show_default=True, metavar="auto|cpu|cuda|cuda:N|mps", help="where to compute"
    )
    return device(threads(function))


def model_option(function: Function) -> Function:
    """Add ``--model``."""
    kind = click.Path(path_type=Path)
    return click.option("-m", "--model", "directory", type=kind, required=True, metavar="DIR", help="model directory")(function)


def prepare_torch(threads: int | None) -> None:
    """Settings of the process that all commands which compute share.

    Args:
        threads: processor threads; None leaves torch's choice.
    """
    import torch

    if threads is not None:
        torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
