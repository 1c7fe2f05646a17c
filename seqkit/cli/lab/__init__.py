"""``seqkit lab``: gradients, memory, gates, and cells compared."""

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
    """Study networks. Every command writes a picture and a JSON file with all that is drawn to -o DIR.

    \b
    seqkit lab gradients -o lab                 how far back a gradient reaches
    seqkit lab memory -o lab                    what cells still know after a gap that grows
    seqkit lab compare -c sample-ner -o lab     cells on one task: score, size, speed
    seqkit lab gates -m model -o lab "A text."  what the gates of a trained model do
    """  # noqa: D301 - click keeps the lines after a backspace as they are


command.add_command(gradients)
command.add_command(memory)
command.add_command(compare)
command.add_command(gates)
