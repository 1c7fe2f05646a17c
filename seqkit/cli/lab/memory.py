"""``seqkit lab memory``: what cells remember over a growing gap."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import click

from seqkit.cli.group import HELP_OPTIONS
from seqkit.cli.lab import options
from seqkit.cli.options import choice
from seqkit.terminal import show


@click.command(context_settings=HELP_OPTIONS, short_help="What cells remember over a growing gap.")
@options.files
@options.cells("lstm,gru,rnn_tanh")
@options.names(
    "--tasks",
    "--task",
    "tasks",
    kind=click.Choice(options.TASKS),
    default="copy,adding,agreement",
    help="tasks to train on",
)
@options.count("--train", default=2000, help="training updates")
@options.training(layers=1, growth=0.0, batch_size=32, lr=None, forget_bias=None)
@choice(
    "--init",
    known=options.values("init"),
    default="uniform",
    help="initial recurrent matrices; uniform: ± 1/√hidden",
)
@options.count("--test", default=1000, help="test sequences for each gap")
@options.count("--runs", default=1, help="runs of each cell, with consecutive seeds")
def memory(output: Path, force: bool, device: str, threads: int | None, quiet: bool, **flags: Any) -> None:
    """Train cells on tasks that need memory, and measure their accuracy by the length of the gap.

    \b
    copy         marked symbols, a gap of other symbols, a cue: repeat the marked symbols
    copy_blanks  the same, but the gap consists of blanks
    adding       a marked number, a gap of unmarked numbers, a marked number: their sum, within 0.04
    agreement    a noun, a gap of other nouns and words: is the verb singular or plural?

    All cells train on the same sequences, with the same size, initialisation, optimiser and number of updates. The
    default forget bias suits the largest gap; only cells with a forget gate benefit from it. Gaps from 1 to the largest
    are mixed from the first update. This is hard for simple networks: with --growth 0.5, where the largest gap grows,
    they learn more (rnn_tanh with the other defaults: agreement 100 %, copy about 50 %).

    The test sequences come from another random stream. For short gaps there are so few different sequences that most
    are also training sequences; copy_blanks has only 64 for each gap. A cell whose loss becomes infinite or NaN has no
    accuracy, and the others continue.

    Writes memory.png and memory.json, and updates them after each cell.
    """  # noqa: D301 - click keeps the lines after a backspace as they are
    if flags["forget_bias"] is None:
        flags["forget_bias"] = math.log(10 * flags["gap"])
    place, write = options.begin("memory", output, flags, force=force, device=device, threads=threads)
    from seqkit.lab.memory import draw_memory, measure_memory, render_memory
    from seqkit.training.progress import Progress

    results = measure_memory(
        flags["tasks"],
        flags["cells"],
        *options.settings({**flags, "gain": 1.0}),
        runs=flags["runs"],
        test_size=flags["test"],
        device=place,
        say=Progress(quiet=quiet).say,
        after=lambda results: write(draw_memory(results), [result.to_json() for result in results]),
    )
    show(render_memory(results))
