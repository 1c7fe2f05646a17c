"""``seqkit lab compare``: several cells on one task."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import click

from seqkit.cli.group import HELP_OPTIONS
from seqkit.cli.lab import options
from seqkit.cli.options import choice, settings_from_flags, usage_unless
from seqkit.cli.outputs import keep_inputs
from seqkit.cli.train import again, input_of
from seqkit.serving.process import prepare_torch
from seqkit.tasks import TASKS
from seqkit.terminal import show, tell

_setting = partial(click.option, type=click.IntRange(1), metavar="N")


@click.command(short_help="Train one model with several cells and compare them.", context_settings=HELP_OPTIONS)
@click.argument("data", required=False)
@click.option("-c", "--recipe", metavar="NAME|FILE.toml", help="a recipe of any task; seqkit TASK train -h lists them")
@choice("--task", known=tuple(TASKS), help="a task with its default settings, instead of -c")
@options.cells("lstm,gru,rnn_tanh")
@_setting("--hidden", "encoder__hidden", help="size of the state of one direction  [default: from the recipe]")
@_setting("--layers", "encoder__layers", help="number of layers  [default: from the recipe]")
@_setting("--epochs", "training__epochs", help="largest number of epochs  [default: from the recipe]")
@_setting("--seed", "training__seed", type=click.IntRange(0), help="random seed  [default: from the recipe]")
@click.option("--set", "assignments", multiple=True, metavar="SECTION.KEY=VALUE", help="any setting; repeatable")
@options.files
@click.option("--resume", is_flag=True, help="continue the comparison in --output: finished models stay")
def compare(
    data: str | None,
    recipe: str | None,
    task: str | None,
    cells: tuple[str, ...],
    assignments: tuple[str, ...],
    output: Path,
    threads: int | None,
    **flags: Any,
) -> int:
    """Train the same model on DATA with each cell, and compare scores, sizes, speed and the number of epochs.

    DATA is the name of a data set (seqkit data list), a folder with train, dev and test files, or one file; by default
    the data set of the recipe. Only the cell differs. Every model is kept, in a folder named after its cell.

    Writes compare.png and compare.json, and updates them after each cell.
    """
    how = {name: flags.pop(name) for name in ("device", "resume", "force", "quiet")}
    usage_unless(recipe or task, "Missing option '-c' / '--recipe' or '--task'.")
    usage_unless(not (how["resume"] and how["force"]), "--resume and --force exclude each other.")
    own = [text for text in assignments if text.partition("=")[0].strip() == "encoder.cell"]
    usage_unless(not own, "Use --cells instead of --set encoder.cell.")
    input = None
    if task is not None and data:
        input = input_of(data, TASKS[task], assignments, flags, quiet=how["quiet"])
    if task is None:
        from seqkit.config import load_recipe

        assert recipe is not None
        task = load_recipe(recipe).settings.task
    chosen = settings_from_flags(task, recipe, assignments, flags, input=input, quiet=how["quiet"])
    data = data or chosen.dataset
    usage_unless(data, "Missing argument 'DATA', and no recipe names a data set.")
    files = [recipe] if recipe and recipe.endswith(".toml") else []
    keep_inputs(*files, data=data, settings=chosen.settings, output=output)
    prepare_torch(threads)
    from seqkit.corpora.resolve import resolve
    from seqkit.lab.compare import compare_cells
    from seqkit.lab.comparison import render
    from seqkit.training.signals import Interrupted

    dataset = resolve(data, quiet=how["quiet"])
    try:
        runs = compare_cells(chosen.settings, dataset, cells, output, **how)
    except (Interrupted, KeyboardInterrupt):
        tell(f"interrupted; continue with: {again()}")
        return 130
    show(render(runs))
    return 0
