"""``seqkit lab``: studies of recurrent networks."""

from __future__ import annotations

import click

from seqkit.cli.group import HELP_OPTIONS, Commands
from seqkit.cli.lab.compare import compare
from seqkit.cli.lab.gates import gates
from seqkit.cli.lab.gradients import gradients
from seqkit.cli.lab.memory import memory

__all__ = ["command"]


@click.group(cls=Commands, context_settings=HELP_OPTIONS)
def command() -> None:
    """Study recurrent networks. Every command writes a picture, and its numbers as JSON, to -o DIR.

    \b
    seqkit lab gradients -o lab                 how far back gradients reach
    seqkit lab memory -o lab                    what cells remember over a growing gap
    seqkit lab compare -c sample-ner -o lab     cells on one task: score, size, speed
    seqkit lab gates -m model -o lab "A text."  the gates of a trained model over a text
    """  # noqa: D301 - click keeps the lines after a backspace as they are


for study in (gradients, memory, compare, gates):
    command.add_command(study)
