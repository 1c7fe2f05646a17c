"""``translate show``: how much each unit of a translation looks at each of its source, as a picture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from seqkit.cli.group import HELP_OPTIONS
from seqkit.cli.options import device_options, json_option, model_option, quiet_option, usage_unless, write_json
from seqkit.cli.outputs import keep_inputs, output_file
from seqkit.serving.process import prepare_torch
from seqkit.terminal import show, tell


@click.command("show", short_help="Draw what a translation looks at.", context_settings=HELP_OPTIONS)
@click.argument("text")
@model_option
@click.option("-o", "--output", required=True, metavar="FILE.png", callback=output_file, help="the picture to write")
@click.option("--written", metavar="TEXT", help="draw this translation  [default: the one that the model finds]")
@json_option("also write the numbers of the picture as JSON")
@device_options
@quiet_option
def show_attention(
    text: str,
    directory: Path,
    output: str,
    written: str | None,
    json_file: str | None,
    device: str,
    threads: int | None,
    quiet: bool,
) -> int:
    """Translate TEXT, and draw how much each unit that is written looks at each that is read: the attention weights.

    Every row sums to one. With several heads the mean of theirs is drawn. The translation goes to standard output. A
    model that reads more than a text is given a JSON object: '{"source": "a light", "upos": "DET NOUN"}'.
    """
    is_picture = output.lower().endswith(".png")
    usage_unless(is_picture, f"Invalid value for '--output': expected FILE.png, found {output!r}")
    from seqkit.metrics.plots import require_matplotlib

    require_matplotlib("a picture of attention")
    keep_inputs(directory)
    prepare_torch(threads)
    from seqkit.metrics.attention_picture import attention_png
    from seqkit.model.loading import load

    model: Any = load(directory, device, task="translate")
    found: dict[str, Any] = model.attention(_given(text), written)
    note = attention_png(output, found["source"], found["target"], found["weights"])
    if json_file is not None:
        write_json(found, json_file)
    if json_file != "-":
        show(found["text"])
    if note and not quiet:
        tell(note)
    return 0


def _given(text: str) -> str | dict[str, Any]:
    """A text, or the fields of a record as a JSON object."""
    if text.lstrip().startswith("{"):
        try:
            found = json.loads(text)
        except ValueError:
            return text
        if isinstance(found, dict):
            return found
    return text
