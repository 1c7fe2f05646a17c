"""What the verbs that evaluate share: their options, and how scores are told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import click

from seqkit._version import __version__
from seqkit.cli.options import Function, json_option, model_option, output_file, table_width, usage_unless, write_json

if TYPE_CHECKING:
    from seqkit.corpora.dataset import Dataset
    from seqkit.training.task import Report

__all__ = ["check_error_options", "error_options", "evaluation_options", "show_scores"]


def evaluation_options(function: Function) -> Function:
    """Add DATA, ``--model``, ``--split`` and ``--json``."""
    data = click.argument("data")
    split = click.option(
        "--split", metavar="dev|test", help="which split  [default: test, or dev where there is no test]"
    )
    scores = json_option("write the scores as JSON; - for standard output, instead of the table")
    return data(model_option(split(scores(function))))


def error_options(help: str) -> Callable[[Function], Function]:
    """A decorator that adds ``--errors`` and ``--confusion``; see `check_error_options`.

    Args:
        help: the help text of ``--errors``.

    Returns:
        The decorator.
    """

    def decorate(function: Function) -> Function:
        errors = click.option("--errors", metavar="FILE", callback=output_file, help=help)
        confusion = click.option(
            "--confusion", metavar="FILE.png", callback=output_file, help="draw which labels are taken for which"
        )
        return errors(confusion(function))

    return decorate


def check_error_options(json_file: str | None, errors: str | None, confusion: str | None) -> None:
    """See early that what `error_options` asks for can be done.

    Args:
        json_file: where JSON goes.
        errors: where errors go.
        confusion: where the picture goes.

    Raises:
        UsageError: two results would go to standard output.
        SettingsError: there is nothing here to draw with.
    """
    usage_unless(not json_file == errors == "-", "Expected one of --json and --errors on standard output, found both.")
    if confusion is not None:
        from seqkit.metrics.plots import require_matplotlib

        require_matplotlib()


def show_scores(
    report: Report,
    about: Mapping[str, Any],
    dataset: Dataset,
    seconds: float,
    json_file: str | None,
    *,
    quiet: bool,
    notes: Iterable[str] = (),
    how: str = "",
    table: bool = True,
) -> None:
    """Tell the scores of a model: notes on standard error, JSON where it is asked for, a table on standard output.

    Args:
        report: the scores.
        about: what stands before them in JSON: ``task``, ``split``, ``model`` and whatever else.
        dataset: what the model was scored on.
        seconds: how long that took.
        json_file: the file for JSON, if any; ``-`` for standard output, which the table then is not written to.
        quiet: whether no notes are wanted.
        notes: what the user should be told beside the data set's own notes.
        how: what the table's heading says behind the split.
        table: whether there is room for the table on standard output.

    Raises:
        DataError: the file cannot be written.
    """
    if not quiet:
        for note in [*dataset.notes, *notes]:
            click.echo(note, err=True)
    if json_file is not None:
        scores = report.to_json()
        speed = {"seconds": seconds, "tokens_per_second": scores["tokens"] / max(seconds, 1e-9)}
        source = {"task": about["task"], "data": dataset.name}
        write_json({**source, **about, **scores, **speed, "seqkit_version": __version__}, json_file)
    if table and json_file != "-":
        click.echo(f"{dataset.name} {about['split']}{how}\n\n{report.render(table_width())}")
