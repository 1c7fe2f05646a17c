"""What the verbs that evaluate share: how scores are told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import click

from seqkit import __version__
from seqkit.cli.options import table_width, write_json

if TYPE_CHECKING:
    from seqkit.data.dataset import Dataset
    from seqkit.training.task import Report

__all__ = ["show_scores"]


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
