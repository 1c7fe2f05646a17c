"""The verb ``evaluate``, which all tasks have: a model and data → scores."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from seqkit._version import __version__
from seqkit.cli.group import HELP_OPTIONS
from seqkit.cli.options import (
    Function,
    batch_options,
    checked_options,
    device_options,
    flag_name,
    json_option,
    model_option,
    of_ensemble,
    opened,
    quiet_option,
    section_options,
    table_width,
    usage_unless,
    write_json,
)
from seqkit.cli.outputs import keep_inputs, named_by_options, output_file
from seqkit.cli.predict import trained_row
from seqkit.errors import SettingsError
from seqkit.serving.process import prepare_torch, say
from seqkit.terminal import one_line, show, tell

if TYPE_CHECKING:
    from seqkit.tasks import Task

_ABOUT_DATA = """
DATA is the name of a data set (seqkit data list), a folder with train, dev and test files, or one file.
"""


def _error_options(told: str) -> Callable[[Function], Function]:
    """A decorator that adds ``--errors`` and ``--confusion``, where predictions are right or wrong."""

    def decorate(function: Function) -> Function:
        if not told:
            return function
        errors = click.option("--errors", metavar="FILE", callback=output_file, help=told)
        confusion = click.option(
            "--confusion", metavar="FILE.png", callback=output_file, help="save a confusion matrix as a picture"
        )
        return errors(confusion(function))

    return decorate


def evaluate_command(task: Task) -> click.Command:
    """Make the verb ``evaluate`` of a task.

    Args:
        task: the task.

    Returns:
        The command.
    """

    @click.command(
        "evaluate",
        short_help="Score a model on data.",
        help=f"{task.evaluate}\n{_ABOUT_DATA}",
        context_settings=HELP_OPTIONS,
    )
    @click.argument("data")
    @model_option
    @click.option(
        "--split", metavar="train|dev|test", help="split to score on  [default: test, or dev where there is none]"
    )
    @json_option("write the scores as JSON; - for standard output, instead of the table")
    @section_options(*(row.evaluation_class for row in task.rows))
    @_error_options(task.errors)
    @batch_options
    @device_options
    @quiet_option
    def evaluate(
        data: str,
        directory: Path,
        split: str | None,
        json_file: str | None,
        batch_tokens: int,
        precision: str,
        device: str,
        threads: int | None,
        quiet: bool,
        errors: str | None = None,
        confusion: str | None = None,
        **given: Any,
    ) -> int:
        directory = of_ensemble(directory, given, task)
        row = trained_row(directory, task)
        options = checked_options(row.evaluation_class(), given, row)
        usage_unless(not json_file == errors == "-", "--json and --errors cannot both go to standard output.")
        keep_inputs(directory, *named_by_options(row.evaluation_class(), options), data=data)
        if confusion is not None:
            from seqkit.metrics.plots import require_matplotlib

            is_picture = confusion.lower().endswith(".png")
            usage_unless(is_picture, f"Invalid value for '--confusion': expected FILE.png, found {confusion!r}")
            require_matplotlib()
        prepare_torch(threads)
        from seqkit.corpora.resolve import resolve
        from seqkit.heads.base import Head
        from seqkit.model.loading import load

        model = load(directory, device, task=task.name)
        silent = errors is not None and type(model.head).error is Head.error
        usage_unless(not silent, "--errors needs a model whose predictions are right or wrong.")
        # The picture is of one label per token or text.
        usage_unless(confusion is None or model.head.has_labels, "--confusion needs a model that predicts labels.")
        multi = confusion is not None and getattr(getattr(model.head, "codec", None), "multi", False)
        usage_unless(not multi, f"--confusion needs a model of one label per {model.task.record}.")
        try:
            model.check_evaluation(options, named=flag_name)
        except SettingsError as error:
            raise click.UsageError(str(error)) from None
        dataset = resolve(data, quiet=quiet)  # may download, which is not timed
        chosen = dataset.evaluation_split(split)
        began = time.perf_counter()
        pipeline = model.pipeline(batch_tokens=batch_tokens, precision=precision, say=say(quiet))
        found = model.evaluate(dataset, split, pipeline=pipeline, **options)
        seconds = time.perf_counter() - began
        if errors is not None:
            with opened(errors) as stream:
                for gold, answer in zip(found.gold, found.answers, strict=True):
                    stream.write(model.head.error(gold, answer))
        if confusion is not None:
            from seqkit.metrics.plots import confusion_matrix_png

            unit = model.task.unit if model.head.scores_steps else model.task.record
            shared = confusion_matrix_png(found.gold, [answer.labels for answer in found.answers], confusion, unit=unit)
            found = found._replace(notes=[*found.notes, *filter(None, [shared])])
        if not quiet:
            for note in [*found.notes, *getattr(found.report, "left_out", {}).values()]:
                tell(note)
        if json_file is not None:
            scores = found.report.to_json()
            about = {"task": task.name, "data": dataset.name, "split": chosen, "model": str(directory), **options}
            about.update(found.tuned or {})
            speed = {"seconds": seconds, "tokens_per_second": scores["tokens"] / max(seconds, 1e-9)}
            write_json({**about, **scores, **speed, "seqkit_version": __version__}, json_file)
        if "-" not in (errors, json_file):
            how = "".join(f", {name} {value}" for name, value in options.items())
            show(f"{one_line(dataset.name)} {chosen}{how}\n\n{found.report.render(table_width())}")
        return 0

    return evaluate
