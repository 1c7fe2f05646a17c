"""The verb ``train``, which all tasks have: data and settings → a model directory and a report."""

from __future__ import annotations

import shlex
import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from seqkit.cli.group import HELP_OPTIONS
from seqkit.cli.options import (
    asked_of_words,
    device_options,
    json_option,
    quiet_option,
    settings_from_flags,
    settings_options,
    table_width,
    usage_unless,
    with_second_text,
    write_json,
)
from seqkit.cli.outputs import keep_inputs
from seqkit.errors import SettingsError
from seqkit.serving.process import prepare_torch
from seqkit.terminal import show, tell
from seqkit.torchrun import Launch

if TYPE_CHECKING:
    from seqkit.config import Recipe
    from seqkit.tasks import Task

_ABOUT_DATA = """
DATA is the name of a data set (seqkit data list), a folder with train, dev and test files, or one file; by default
the data set of the recipe. Without a dev split a tenth of train is held out: the last one or, of sequences of
vectors, some speakers or one in ten.

Settings, weakest first: defaults, the recipe, --set, a flag of its own.
"""


def train_command(task: Task) -> click.Command:
    """Make the verb ``train`` of a task.

    Args:
        task: the task.

    Returns:
        The command.
    """

    @click.command(
        "train",
        short_help="Train a model and report on dev and test.",
        help=f"{task.train}\n{_ABOUT_DATA}",
        context_settings=HELP_OPTIONS,
    )
    @click.argument("data", required=False)
    @click.option("-o", "--output", "place", metavar="DIR", help="directory of the model")
    @settings_options(task)
    @device_options
    @click.option(
        "--resume",
        is_flag=True,
        help="continue from the checkpoint in --output, or from the beginning if there is none",
    )
    @click.option(
        "--force",
        is_flag=True,
        help="replace what is in --output; the old model only once the new one is trained",
    )
    @click.option("--dry-run", is_flag=True, help="print the settings as a recipe and the model's layers, and stop")
    @quiet_option
    @json_option(
        "write the model's report (scores, data, versions) as JSON; - for standard output, instead of the tables"
    )
    def train(
        data: str | None,
        place: str | None,
        recipe: str | None,
        assignments: tuple[str, ...],
        device: str,
        threads: int | None,
        resume: bool,
        force: bool,
        dry_run: bool,
        quiet: bool,
        json_file: str | None,
        **given: Any,
    ) -> int:
        given = with_second_text(given)
        launch = Launch.from_environment()
        silent = quiet or launch.rank > 0
        usage_unless(not (resume and force), "--resume and --force exclude each other.")
        usage_unless(data or recipe, "Missing argument 'DATA', and no recipe names a data set.")
        input = None if recipe or not data else input_of(data, task, assignments, given, quiet=silent)
        chosen = settings_from_flags(task.name, recipe, assignments, given, input=input, quiet=silent)
        if (
            recipe
            and data
            and not silent
            and chosen.settings.row.records != "frames"
            and input_of(data, task, quiet=True) == "frames"
        ):
            tell(f"{data}: {recipe} is for words: the texts of the sequences are read, not their vectors")
        data = data or chosen.dataset
        usage_unless(data, "Missing argument 'DATA', and no recipe names a data set.")
        usage_unless(place or dry_run, "Missing option '-o' / '--output'.")  # also where a shell's variable was empty
        files = [recipe] if recipe and recipe.endswith(".toml") else []
        keep_inputs(*files, data=data, settings=chosen.settings, output=Path(place) if place else None)
        prepare_torch(threads)
        from seqkit.training.run import run
        from seqkit.training.signals import Interrupted

        if not place or dry_run:
            if launch.rank == 0:
                _dry_run(chosen, data, device, quiet)
            return 0
        output = Path(place)
        try:
            trained = run(chosen, output, data, device=device, resume=resume, force=force, quiet=quiet)
        except KeyboardInterrupt as error:
            if launch.rank == 0:
                tell(_how_to_go_on(output, launch))
            return 128 + (error.number if isinstance(error, Interrupted) else signal.SIGINT)
        if launch.rank:
            return 0
        for split, part in () if quiet else trained.reports.items():
            for line in getattr(part, "left_out", {}).values():
                tell(f"{split}: {line}")
        if json_file:
            write_json(trained.model.report, json_file)
        if json_file != "-":
            tables = [f"{split}\n\n{part.render(table_width())}" for split, part in trained.reports.items()]
            show("\n\n".join(tables))
        return 0

    return train


def input_of(
    data: str, task: Task, assignments: Sequence[str] = (), flags: dict[str, Any] | None = None, *, quiet: bool
) -> str | None:
    """What a task reads of some data: of sequences the texts beside them, if a setting of words is asked for.

    Args:
        data: the name of a data set, a folder or a file.
        task: the task.
        assignments: the values of ``--set``.
        flags: the flags of settings, see `settings_from_flags`.
        quiet: whether nothing is said, nor a download shown.

    Returns:
        What settings have under ``input``; None for what the task reads first.

    Raises:
        SeqkitError: there is no such data.
    """
    if len(task.rows) == 1:
        return None
    from seqkit.config import parse_assignments
    from seqkit.corpora.resolve import resolve
    from seqkit.formats.format import Description, column_names

    flags = flags or {}
    asked: dict[str, Any] = {}
    with suppress(SettingsError):  # of which `settings_from_flags` tells
        asked = parse_assignments(assignments).get("data", {})
    asked |= {
        name.removeprefix("data__"): value
        for name, value in flags.items()
        if name.startswith("data__") and value is not None
    }
    if asked.get("frames"):
        return "frames"
    if asked.get("second"):
        return "pair"
    columns, format, encoding = (str(asked.get(name, "")) for name in ("columns", "format", "encoding"))
    dataset = resolve(data, quiet=quiet).described(Description(format, column_names(columns), encoding=encoding))
    if dataset.card is not None and dataset.card.input == "pair" and not {"text", "token_column"} & set(asked):
        return "pair"
    if not dataset.reads_frames(named="text" in asked or "token_column" in asked):
        return None
    of_words = asked_of_words(task, assignments, flags)
    if not of_words or not dataset.has_texts(asked.get("text") or "text"):
        return "frames"
    if not quiet:
        tell(f"{data}: {of_words} is for words: the texts of the sequences are read, not their vectors")
    return None


def _how_to_go_on(output: Path, launch: Launch) -> str:
    from seqkit.training.checkpoint import has_checkpoint

    if not has_checkpoint(output):
        return "interrupted before the first checkpoint"
    return f"interrupted; a checkpoint is saved, continue with: {again(launch.command)}"


def again(command: str = "seqkit") -> str:
    """The command that goes on with what this one was doing.

    Args:
        command: how seqkit was started.

    Returns:
        The command, for a shell.
    """
    arguments = click.get_current_context().find_root().obj or ("…",)
    return f"{command} {shlex.join(word for word in arguments if word not in ('--resume', '--force'))} --resume"


def _dry_run(chosen: Recipe, data: str, device: str, quiet: bool) -> None:
    import tomli_w
    import torch

    from seqkit.config import to_toml
    from seqkit.corpora.reading import training_data
    from seqkit.corpora.resolve import resolve
    from seqkit.devices import choose_device, precision_context
    from seqkit.training.prepare import prepare
    from seqkit.training.progress import Progress

    dataset = training_data(resolve(data, quiet=quiet), chosen.settings)
    settings = chosen.settings.complete(dataset)
    place = choose_device(device)
    precision_context(settings.training.precision, place)  # a precision that the device lacks is an error here, too
    if not getattr(
        getattr(settings, "embedding", None), "context", ""
    ):  # a context model reads the data, and so needs its numbers
        place = torch.device("meta")  # where a network takes no memory, however large it is
    with place:
        model = prepare(settings, dataset, place, Progress(quiet=quiet)).model
    layers = "\n".join(f"# {line}" for line in str(getattr(model, "network", model)).split("\n"))
    counts = model.parameter_counts()
    parts = ", ".join(f"{name} {count:,}" for name, count in counts.items())
    sizes = f"# {sum(counts.values()):,} parameters: {parts}"
    show(tomli_w.dumps({"dataset": data}) + to_toml(model.settings) + f"{layers}\n{sizes}")
