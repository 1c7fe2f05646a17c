"""``seqkit lab gates``: the gates of a trained model over a text or a sequence of vectors."""

from __future__ import annotations

import time
from pathlib import Path

import click

from seqkit.cli.group import HELP_OPTIONS
from seqkit.cli.lab import options
from seqkit.cli.options import model_option, usage_unless
from seqkit.cli.outputs import keep_inputs
from seqkit.cli.sample import parse_conditions
from seqkit.serving.process import prepare_torch
from seqkit.terminal import one_line, show


@click.command(
    short_help="Draw the gates of a trained model over a text or a recording.", context_settings=HELP_OPTIONS
)
@click.argument("text", required=False, metavar="[TEXT|SEQUENCE|-]")
@model_option
@click.option("--condition", "conditions", multiple=True, metavar="FIELD=VALUE", help="condition of a generator's text")
@options.files
def gates(
    text: str | None,
    directory: Path,
    conditions: tuple[str, ...],
    output: Path,
    force: bool,
    device: str,
    threads: int | None,
    quiet: bool,
) -> None:
    """Draw how far the gates of a trained model are open at each step of TEXT, or of one line of standard input.

    The model may be of any task; the text is split as the model splits it. For a model of sequences of vectors SEQUENCE
    is a recording (a.wav), an array (a.npy, all.npz#name, all.npy#row), a piece of music (a.mid), or JSON: a list of
    frames, or an object as in a manifest. The axis then has frame numbers, or seconds.

    gates.png shows the mean of each gate and all its units, for each layer and direction; gates.json has all the
    numbers.
    """
    keep_inputs(directory, output=output)
    prepare_torch(threads)
    from seqkit.formats.text import read_lines
    from seqkit.lab.gates import NAME, record_gates
    from seqkit.lab.gates_picture import draw
    from seqkit.lab.output import claim_files, write_files
    from seqkit.model.loading import load

    model = load(directory, device)
    has_fields = model.task.records == "fields"
    usage_unless(has_fields or not conditions, f"--condition is not for a model of seqkit {model.task.name}.")
    given = parse_conditions(conditions, model.head.codec) if has_fields else {}
    if text is None or text == "-":
        text = "\n".join(line for _, line in read_lines("-"))
    claim_files(output, NAME, force=force)
    began = time.perf_counter()
    record = record_gates(model, text, given)
    seconds = time.perf_counter() - began
    encoder = model.settings.encoder
    size = f"{encoder.layers} × {encoder.hidden}, {encoder.direction}"
    title = one_line(f"gates of {directory.resolve().name}: {record.task}, {record.cell} {size}")
    read = {"sequence" if record.unit else "text": text}
    settings = {"model": str(directory), "task": record.task, **read, "conditions": given, "device": device}
    settings["encoder"] = encoder.model_dump(mode="json")
    write_files(output, NAME, draw(record, title), settings, record.to_json(), seconds)
    show(record.render())
