"""``seqkit lab gates``: what the gates of a trained model do over a text."""

from __future__ import annotations

import time
from pathlib import Path

import click

from seqkit.cli.generate import parse_conditions
from seqkit.cli.group import HELP_OPTIONS
from seqkit.cli.lab.options import lab_options
from seqkit.cli.options import model_option, prepare_torch, usage_unless

__all__ = ["gates"]


@click.command(short_help="Draw what the gates of a trained model do over a text.", context_settings=HELP_OPTIONS)
@click.argument("text", required=False, metavar="[TEXT|-]")
@model_option
@click.option(
    "--condition", "conditions", multiple=True, metavar="FIELD=VALUE", help="what a generator's text is written from"
)
@lab_options
def gates(
    text: str | None,
    directory: Path,
    conditions: tuple[str, ...],
    output: Path,
    force: bool,
    device: str,
    threads: int | None,
    quiet: bool,
) -> int:
    """Draw how far the gates of a trained model are open at each step of TEXT, or of one line of standard input.

    The model may be of any task; the text is cut as the model cuts it. gates.png shows the mean of each gate and every
    unit, for each layer and direction; gates.json has all the numbers.
    """
    prepare_torch(threads)
    from seqkit.lab.gates import NAME, record_gates
    from seqkit.lab.gates_picture import draw
    from seqkit.lab.output import claim_files, write_files
    from seqkit.model.generator import Generator
    from seqkit.model.loading import load

    model = load(directory, device)
    usage_unless(isinstance(model, Generator) or not conditions, "Expected --condition with a generator only.")
    given = parse_conditions(conditions, model.codec) if isinstance(model, Generator) else {}
    read = _standard_input() if text in (None, "-") else str(text)
    claim_files(output, NAME, force=force)
    began = time.perf_counter()
    record = record_gates(model, read, given)
    seconds = time.perf_counter() - began
    encoder = model.settings.encoder
    size = f"{encoder.layers} × {encoder.hidden}"
    figure = draw(
        record, f"gates of {directory.resolve().name}: {model.task}, {record.cell} {size}, {encoder.direction}"
    )
    settings = {"model": str(directory), "task": model.task, "text": read, "conditions": given, "device": device}
    write_files(
        output, NAME, figure, {**settings, "encoder": encoder.model_dump(mode="json")}, record.to_json(), seconds
    )
    click.echo(record.render())
    return 0


def _standard_input() -> str:
    from seqkit.formats.text import read_lines

    return "\n".join(line for _, line in read_lines("-"))
