"""``seqkit lab compare``: cells compared on one task."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from seqkit.cli.group import HELP_OPTIONS
from seqkit.cli.lab.options import cells_option, lab_options
from seqkit.cli.options import at_least_1, prepare_torch, settings_from_flags, usage_unless
from seqkit.cli.training import again

__all__ = ["compare"]

_FLAGS = {
    "--hidden": ("encoder.hidden", "size of the state of one direction"),
    "--layers": ("encoder.layers", "levels on top of each other"),
    "--epochs": ("training.epochs", "passes over the training data at most"),
}


def _settings_flags(function: Any) -> Any:
    """Add the flags of settings; every other setting has ``--set``."""
    seed = click.option(
        "--seed",
        "training__seed",
        type=click.IntRange(min=0),
        metavar="N",
        help="of weights, order and dropout  [default: the recipe's]",
    )
    function = seed(function)
    for flag, (path, about) in reversed(_FLAGS.items()):
        name = path.replace(".", "__")
        about = f"{about}  [default: the recipe's]"
        function = click.option(flag, name, type=int, callback=at_least_1, metavar="N", help=about)(function)
    return function


@click.command(short_help="Train one model with several cells and compare.", context_settings=HELP_OPTIONS)
@click.argument("data", required=False)
@click.option(
    "-c", "--recipe", metavar="NAME|FILE.toml", help="what to train: a recipe of any task (seqkit TASK train -h)"
)
@click.option(
    "--task",
    type=click.Choice(["tag", "classify", "lm", "generate"]),
    metavar="tag|classify|lm|generate",
    help="the task, with its default settings, where there is no recipe",
)
@cells_option(("lstm", "gru", "rnn_tanh"))
@_settings_flags
@click.option(
    "--set", "assignments", multiple=True, metavar="SECTION.KEY=VALUE", help="any setting of a recipe; repeatable"
)
@lab_options
@click.option("--resume", is_flag=True, help="go on with the comparison in --output: what is done there stays")
def compare(
    data: str | None,
    recipe: str | None,
    task: str | None,
    cells: tuple[str, ...],
    assignments: tuple[str, ...],
    output: Path,
    force: bool,
    resume: bool,
    device: str,
    threads: int | None,
    quiet: bool,
    **given: Any,
) -> int:
    """Train the same model on DATA once with each cell, and compare scores, sizes, speed and epochs to the best one.

    DATA is the name of a data set (seqkit data list), a folder with train, dev and test files, or one file; by default
    the data set of the recipe. Nothing differs but the cell. Every model is kept, in the folder of its cell in
    --output; compare.png and compare.json are there after each.
    """
    usage_unless(recipe or task, "Missing option '-c' / '--recipe' or '--task'.")
    usage_unless(not (resume and force), "Expected one of --resume and --force, found both.")
    own = [text for text in assignments if text.partition("=")[0].strip() == "encoder.cell"]
    usage_unless(not own, "Expected --cells, found --set encoder.cell.")
    if task is None:
        from seqkit.config import load_recipe

        assert recipe is not None
        task = load_recipe(recipe).settings.task
    chosen = settings_from_flags(task, recipe, assignments, given)
    data = data or chosen.dataset
    usage_unless(data, "Missing argument 'DATA', and no recipe names a data set.")
    prepare_torch(threads)
    from seqkit.corpora.resolve import resolve
    from seqkit.lab.compare import compare_cells
    from seqkit.lab.comparison import render
    from seqkit.training.signals import Interrupted

    dataset = resolve(data, quiet=quiet)
    options: dict[str, Any] = {"device": device, "resume": resume, "force": force, "quiet": quiet}
    try:
        runs = compare_cells(chosen.settings, dataset, cells, output, **options)
    except (Interrupted, KeyboardInterrupt):
        click.echo(f"interrupted; go on with: {again()}", err=True)
        return 130
    click.echo(render(runs))
    return 0
