"""The command of a task, made from its row in `seqkit.tasks`: train, evaluate, and its verbs of use."""

from __future__ import annotations

from inspect import cleandoc

import click

from seqkit.cli.evaluate import evaluate_command
from seqkit.cli.group import HELP_OPTIONS, Commands, PredictByDefault
from seqkit.cli.options import OF_WORDS
from seqkit.cli.predict import predict_command
from seqkit.cli.train import train_command
from seqkit.resources import imported
from seqkit.tasks import Task


def command(task: Task) -> click.Group:
    """Make the command of a task.

    Args:
        task: its row.

    Returns:
        The command, with its verbs.
    """
    kind = PredictByDefault if "predict" in task.verbs else Commands
    group = kind(task.name, help=cleandoc(task.help or task.summary), context_settings=HELP_OPTIONS)
    group.add_command(train_command(task))
    group.add_command(evaluate_command(task))
    verbs = {verb: place for row in task.rows for verb, place in row.verbs.items()}
    for verb, place in verbs.items():
        group.add_command(imported(place) if place else predict_command(task, verb))
    if all(row.records == "frames" for row in task.rows):
        for option in (option for verb in group.commands.values() for option in verb.params):
            if isinstance(option, click.Option) and str(option.name).rpartition("__")[2] in OF_WORDS:
                option.hidden = True  # it is refused with a reason, and need not be listed
    return group
