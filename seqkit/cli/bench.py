"""``seqkit bench``: how fast a model labels a file, and where the time goes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from seqkit.cli.group import HELP_OPTIONS
from seqkit.cli.options import (
    at_least_1,
    batch_options,
    device_options,
    json_option,
    model_option,
    usage_unless,
    write_json,
)
from seqkit.cli.outputs import keep_inputs
from seqkit.errors import ModelError
from seqkit.metrics.scores import plural, text_table
from seqkit.serving.process import prepare_torch
from seqkit.terminal import show, tell

if TYPE_CHECKING:
    from seqkit.bench.stages import Measured


@click.command(context_settings=HELP_OPTIONS)
@click.argument("file", metavar="FILE")
@model_option
@click.option("--input", "input_format", metavar="FORMAT", help="input format  [default: detected]")
@click.option("--rounds", type=int, default=5, show_default=True, callback=at_least_1, metavar="N", help="repetitions")
@json_option("write the measurements as JSON; - for standard output, instead of the table")
@batch_options
@device_options
def command(
    file: str,
    directory: Path,
    input_format: str | None,
    rounds: int,
    json_file: str | None,
    device: str,
    threads: int | None,
    **options: Any,
) -> None:
    """Measure how fast a tagger or a classifier labels FILE, from reading its first line to writing the last label.

    Prints the time of each stage, and the share of the roofline: the FLOP/s of the network divided by those of a matrix
    product of 1,024 rows on this processor in the same run, of torch's and of oneDNN's in fp32. The labels themselves
    are not printed; with --precision auto, standard error says which precision was chosen.
    """
    usage_unless(file != "-", "FILE is read several times, so it cannot be -.")
    keep_inputs(directory, file)
    prepare_torch(threads)
    from seqkit.bench.machine import describe_machine
    from seqkit.bench.stages import measure_stages
    from seqkit.formats.writers import write_records
    from seqkit.model.loading import load

    model = load(directory, device)
    read = _reader(model, file, input_format)
    output_format = model.task.writes[0]
    shown = model.options({}).for_output(output_format)
    with open(os.devnull, "w", encoding="utf-8") as sink:
        write = partial(write_records, stream=sink, output_format=output_format)
        found = measure_stages(model, read, write, rounds=rounds, say=tell, options=shown, **options)
    if json_file != "-":
        show(_table(found))
    if json_file is not None:
        about = {"model": str(directory), "file": file, "rounds": rounds, **options}
        write_json({**about, **found.to_json(), "machine": describe_machine()}, json_file)


def _reader(model: Any, file: str, input_format: str | None) -> Callable[[], Iterator[Any]]:
    """What opens the file again, as prediction reads it."""
    from seqkit.cli.predict import described
    from seqkit.formats.blocks import cut
    from seqkit.formats.format import Description
    from seqkit.model.requests import block_records

    if model.task.records not in ("sentences", "texts"):
        raise ModelError(f"seqkit bench needs a model that labels text, not one of `seqkit {model.task.name}`")
    description = described(file, Description(input_format or ""), model.task, True)
    return lambda: chain.from_iterable(block_records(model, block) for block in cut([(file, description)]))


def _table(found: Measured) -> str:
    """The measurements as text."""
    rows = [[" " * 20, "seconds", "µs per token", "share"]]
    for name, seconds in [*found.seconds.items(), ("all", found.total)]:
        middle = seconds.median
        share = middle / found.total.median
        rows.append([name, f"{middle:.3f}", f"{1e6 * middle / found.tokens:.2f}", f"{share:.1%}"])
    total = f"{plural(found.sentences, 'sentence')}, {plural(found.tokens, 'token')}"
    slowest, fastest = (found.tokens / seconds for seconds in (found.total.most, found.total.least))
    speed = f"{found.tokens_per_second:,.0f} tokens/s ({slowest:,.0f} … {fastest:,.0f})"
    lines = [text_table(rows), "", f"{total}: {speed}"]
    if found.gemm is not None:
        work = f"{found.flops / 1e6:.2f} MFLOP per token: {found.flops * found.tokens_per_second / 1e9:.1f} GFLOP/s"
        lines.append(f"{work} in {found.precision}")
    for name, part, rate in (("torch", found.share, found.gemm), ("oneDNN", found.onednn_share, found.onednn)):
        if rate is not None:
            lines.append(f"{part:.0%} of {name}'s matrix product, {rate.median / 1e9:.0f} GFLOP/s")
    return "\n".join(lines)
