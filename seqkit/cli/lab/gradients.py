"""``seqkit lab gradients``: how far back a gradient reaches, and how large it is in each layer during training."""

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
    gains_option,
    inits,
    names_option,
    number_option,
    training_options,
)
from seqkit.cli.options import prepare_torch

__all__ = ["gradients"]


@click.command(context_settings=HELP_OPTIONS, short_help="How far back a gradient reaches, for several cells.")
@lab_options
@cells_option(("lstm", "gru", "rnn_tanh", "rnn_linear"))
@names_option(
    ["--init"],
    "inits",
    inits(),
    ("orthogonal", "uniform"),
    f"how the recurrent matrices begin: {', '.join(inits())}",
)
@gains_option
@hidden_option(64)
@number_option("--forget-bias", 1.0, "bias of forget gates at the beginning", least=-math.inf)
@number_option("--scale", 1.0, "standard deviation of the inputs, which are normal noise")
@count_option("--steps", 100, "how far back, in steps", least=2)
@count_option("--networks", 3, "networks of each kind; the picture shows their mean and range")
@count_option("--train", 300, "updates of the deep network; 0 for no training", least=0)
@choice_option("--task", TASKS, "agreement", "what the deep network is trained on; see seqkit lab memory")
@count_option("--layers", 3, "levels of the deep network")
@count_option("--gap", 100, "largest gap that it is trained with, in steps")
@number_option(
    "--growth", 0.5, "share of the updates in which that gap grows from 1; 0: all gaps from the start", most=1.0
)
@number_option("--lr", 5e-3, "learning rate of Adam at the start; it falls to zero as half a cosine", least=1e-12)
@number_option("--clip", 1.0, "largest gradient norm; 0 for no clipping")
@count_option("--batch-size", 16, "sequences of a measurement or an update")
@seed_option
def gradients(output: Path, force: bool, device: str, threads: int | None, quiet: bool, **flags: Any) -> None:
    """Measure the gradient that reaches the state k steps before a loss, by k, for cells and initialisations.

    The loss is the last output in a random direction; the rate is the factor a step that the norm falls or grows by,
    fitted on the far half. The norm is the geometric mean over sequences and networks. For a linear network the rate is
    the spectral radius of the recurrent matrix. Vanishing means less than a tenth after 100 steps, exploding more than
    ten times as much, lost at k that nothing at all reaches the state k steps before. All this is computed on the CPU
    in double precision, whatever --device is.

    Then a deep network of each cell, with the first --init and --gain, is trained on --device on a task that needs
    memory; shown are its gradients by k before and after, and by layer during training, and what it gets right over the
    largest gap, on sequences of another random stream.

    Writes gradients.png and gradients.json, anew after each cell.
    """
    from seqkit.devices import choose_device
    from seqkit.lab.gradient_picture import draw_gradients, render_gradients
    from seqkit.lab.gradients import GradientCurve, TrainingCurve, measure_gradients, train_and_measure
    from seqkit.lab.output import claim_files, write_files
    from seqkit.lab.sequences import make_memory_task
    from seqkit.lab.training import NetworkOptions, check_networks
    from seqkit.training.progress import Progress

    place = choose_device(device)
    claim_files(output, "gradients", force=force)
    prepare_torch(threads)
    task = make_memory_task(flags["task"])
    deep = NetworkOptions(flags["hidden"], flags["layers"], flags["inits"][0], flags["gains"][0], flags["forget_bias"])
    check_networks(flags["cells"], [task] if flags["train"] else [], deep)
    used = {**flags, "device": device, "threads": threads}
    begin = time.perf_counter()
    say = Progress(quiet=quiet).say

    def write(curves: list[GradientCurve], trained: list[TrainingCurve]) -> None:
        found = {"curves": [each.to_json() for each in curves], "training": [each.to_json() for each in trained]}
        figure = draw_gradients(curves, trained, flags["task"])
        write_files(output, "gradients", figure, used, found, time.perf_counter() - begin)

    curves = measure_gradients(
        flags["cells"],
        flags["inits"],
        flags["gains"],
        hidden=flags["hidden"],
        steps=flags["steps"],
        batch_size=flags["batch_size"],
        networks=flags["networks"],
        scale=flags["scale"],
        forget_bias=flags["forget_bias"],
        seed=flags["seed"],
        say=say,
        after=lambda curves: write(curves, []),
    )
    trained = []
    if flags["train"]:
        trained = train_and_measure(
            flags["cells"],
            task,
            deep,
            training_options(flags),
            steps=flags["steps"],
            batch_size=flags["batch_size"],
            device=place,
            say=say,
            after=lambda trained: write(curves, trained),
        )
    click.echo(render_gradients(curves, trained))
