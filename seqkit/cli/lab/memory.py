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
    TASKS,
    choice_option,
    count_option,
    inits,
    names_option,
    number_option,
    training_options,
)
from seqkit.cli.options import prepare_torch

__all__ = ["memory"]


@click.command(context_settings=HELP_OPTIONS, short_help="What cells still know after a growing gap.")
@lab_options
@cells_option(("lstm", "gru", "rnn_tanh"))
@names_option(["--tasks", "--task"], "tasks", TASKS, ("copy", "adding", "agreement"), "which tasks")
@count_option("--gap", 100, "largest gap, in steps")
@hidden_option(64)
@count_option("--layers", 1, "levels on top of each other")
@choice_option("--init", inits(), "uniform", "how the recurrent matrices begin; uniform: all weights in ± 1/√hidden")
@number_option(
    "--forget-bias",
    math.nan,
    "bias of forget gates at the beginning",
    least=-math.inf,
    shown="ln 10 gap, with which nine tenths are left after it",
)
@count_option("--train", 2000, "updates")
@number_option(
    "--growth", 0.0, "share of the updates in which the largest gap grows from 1; 0: all gaps from the start", most=1.0
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
    copy         marked symbols, a gap of others, a cue: the marked ones again, each judged by itself
    copy_blanks  the same with a gap of blanks, in which nothing disturbs
    adding       a marked number, a gap of unmarked ones, a marked number: their sum, within 0.04
    agreement    a noun, a gap of other nouns and words: is the verb singular or plural

    All cells get the same sequences, size, initialisation, optimiser and updates. Of the forget bias only cells with a
    forget gate have the use: the default is made for the largest gap, and no other cell is told of it. Gaps are mixed,
    from 1 to the largest, from the first update on. That is hard, for simple networks most of all: with --growth 0.5,
    where the largest gap grows, they learn more (rnn_tanh with the other defaults: agreement 100 %, copy about 50 %).

    Tested is on sequences of another random stream; at short gaps there are so few that most were also trained on;
    copy_blanks has only 64 a gap. A cell whose loss is not finite has no accuracy, and the others go on.

    Writes memory.png and memory.json, anew after each cell.
    """  # noqa: D301 - click keeps the lines after a backspace as they are
    from seqkit.devices import choose_device
    from seqkit.lab.memory import MemoryResult, draw_memory, measure_memory, render_memory
    from seqkit.lab.output import claim_files, write_files
    from seqkit.lab.training import NetworkOptions
    from seqkit.training.progress import Progress

    place = choose_device(device)
    claim_files(output, "memory", force=force)
    prepare_torch(threads)
    if flags["forget_bias"] is None:
        flags["forget_bias"] = math.log(10 * flags["gap"])
    used = {**flags, "device": device, "threads": threads}
    begin = time.perf_counter()

    def write(results: list[MemoryResult]) -> None:
        found = [result.to_json() for result in results]
        write_files(output, "memory", draw_memory(results), used, found, time.perf_counter() - begin)

    results = measure_memory(
        flags["tasks"],
        flags["cells"],
        NetworkOptions(flags["hidden"], flags["layers"], flags["init"], 1.0, flags["forget_bias"]),
        training_options(flags),
        runs=flags["runs"],
        test_size=flags["test"],
        device=place,
        say=Progress(quiet=quiet).say,
        after=write,
    )
    click.echo(render_memory(results))
