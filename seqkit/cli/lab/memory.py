"""``seqkit lab memory``: what cells still know after a growing gap."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import click

from seqkit.cli.group import HELP_OPTIONS
from seqkit.cli.lab.options import cells_option, hidden_option, lab_options, seed_option
from seqkit.cli.lab.studying import (
    count_option,
    init_option,
    number_option,
    options_used,
    say_unless,
    tasks_option,
)
from seqkit.cli.options import prepare_torch

__all__ = ["memory"]


@click.command(context_settings=HELP_OPTIONS, short_help="What cells still know after a growing gap.")
@lab_options
@cells_option(("lstm", "gru", "rnn_tanh"))
@tasks_option(("copy", "adding", "agreement"), "copy_blanks")
@count_option("--gap", 100, "largest gap, in steps")
@hidden_option(64)
@count_option("--layers", 1, "levels on top of each other")
@init_option("uniform")
@number_option(
    "--forget-bias",
    math.nan,
    "bias of forget gates at the beginning",
    least=-math.inf,
    shown="ln 10 gap, with which nine tenths are left after it",
)
@count_option("--train", 2000, "updates")
@number_option(
    "--growth", 0.0, "share of the updates in which the largest gap grows from 1; 0: all from the start", most=1.0
)
@count_option("--batch-size", 32, "sequences an update")
@number_option(
    "--lr",
    math.nan,
    "learning rate of Adam at the start; it falls to zero as half a cosine",
    least=1e-12,
    shown="0.005; agreement 0.01",
)
@number_option("--clip", 1.0, "largest gradient norm; 0 for no clipping")
@count_option("--test", 1000, "test sequences at each gap")
@count_option("--runs", 1, "trainings of each cell, from seeds that follow each other")
@seed_option
def memory(output: Path, force: bool, device: str, threads: int | None, quiet: bool, **flags: Any) -> None:
    """Train cells on tasks that need memory, and measure which share they get right by the length of the gap.

    \b
    copy         marked symbols, a gap of others, a cue: the marked ones again
    copy_blanks  the same with a gap of blanks, in which nothing disturbs
    adding       a marked number, a gap of unmarked ones, a marked number: their sum, within 0.04
    agreement    a noun, a gap of other nouns and words: is the verb singular or plural

    All cells get the same sequences, size, optimiser and updates; gaps are mixed, from 1 to the largest; tested is on
    fresh sequences. Writes memory.png and memory.json.
    """  # noqa: D301 - click keeps the lines after a backspace as they are
    from seqkit.devices import choose_device
    from seqkit.lab.memory import draw_memory, measure_memory, render_memory
    from seqkit.lab.output import claim_files, write_files
    from seqkit.lab.training import NetworkOptions, TrainingOptions

    place = choose_device(device)
    claim_files(output, "memory", force=force)
    prepare_torch(threads)
    if flags["forget_bias"] is None:
        flags["forget_bias"] = math.log(10 * flags["gap"])
    begin = time.perf_counter()
    results = measure_memory(
        flags["tasks"],
        flags["cells"],
        NetworkOptions(flags["hidden"], flags["layers"], flags["init"], 1.0, flags["forget_bias"]),
        TrainingOptions(
            steps=flags["train"],
            batch_size=flags["batch_size"],
            lr=flags["lr"],
            clip=flags["clip"],
            gap=flags["gap"],
            growth=flags["growth"],
            seed=flags["seed"],
        ),
        runs=flags["runs"],
        test_size=flags["test"],
        device=place,
        say=say_unless(quiet),
    )
    seconds = time.perf_counter() - begin
    found = [result.to_json() for result in results]
    write_files(output, "memory", draw_memory(results), options_used(device, threads, flags), found, seconds)
    click.echo(render_memory(results))
