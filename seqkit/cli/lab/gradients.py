"""``seqkit lab gradients``: how far back gradients reach, and how large they are in each layer during training."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from seqkit.cli.group import HELP_OPTIONS
from seqkit.cli.lab import options
from seqkit.cli.options import FiniteRange, choice, usage_unless
from seqkit.cli.outputs import keep_inputs
from seqkit.terminal import one_line, show

_FOR_NETWORKS = (
    *("cells", "inits", "gains", "scale", "networks", "train", "task"),
    *("hidden", "layers", "forget_bias", "gap", "growth", "lr", "clip"),
)
"""parameters that a trained model has no use for"""


@click.command(context_settings=HELP_OPTIONS, short_help="How far back gradients reach, for several cells.")
@click.argument("data", required=False)
@click.option("-m", "--model", "directory", metavar="DIR", help="measure this trained model, which reads DATA")
@options.files
@options.cells("lstm,gru,rnn_tanh,rnn_linear")
@options.names(
    "--init",
    "inits",
    kind=click.Choice(options.values("init")),
    default="orthogonal,uniform",
    help=f"initial recurrent matrices: {', '.join(options.values('init'))}",
)
@options.names(
    "--gain",
    "gains",
    kind=FiniteRange(0.0, min_open=True),
    default="1",
    metavar="X,…",
    help="factor of the initial recurrent matrices",
)
@options.number("--scale", default=1.0, help="standard deviation of the inputs, which are Gaussian noise")
@options.count("--steps", type=click.IntRange(2, options.MOST), default=100, help="how many steps back to measure")
@options.count("--networks", default=3, help="networks of each kind; the picture shows their mean and range")
@options.count("--train", type=click.IntRange(0, options.MOST), default=300, help="training updates; 0: no training")
@choice("--task", known=options.TASKS, default="agreement", help="training task; see seqkit lab memory")
@options.training(layers=3, growth=0.5, batch_size=16, lr=5e-3, forget_bias=1.0)
def gradients(output: Path, force: bool, device: str, threads: int | None, quiet: bool, **flags: Any) -> None:
    """Measure the gradient that reaches the state k steps before the loss, for several cells and initialisations.

    The loss is the last output projected on a random direction. The norm of the gradient is the geometric mean over
    sequences and networks; the rate is the factor per step by which it falls or grows, fitted on the far half of the
    steps. For a linear network the rate is the spectral radius of the recurrent matrix. Vanishing: less than a tenth is
    left after 100 steps. Exploding: more than ten times as much. Lost at k: no gradient reaches the state k steps back.
    All this is computed on the CPU in double precision, whatever --device is.

    Networks read noise; where DATA is given, sequences of vectors of at least --steps steps: a data set, a folder or a
    file, each feature normalised. With -m a trained model is measured instead, of any task that reads DATA's texts or
    sequences; of two directions the forward one.

    Then a network of --layers layers is trained for each cell, with the first --init and --gain, on --device, on a task
    that needs memory. The output shows the gradients by k before and after training, the gradients of each layer during
    training, and the accuracy at the largest gap, on sequences from another random stream.

    Writes gradients.png and gradients.json, and updates them after each cell.
    """
    directory, data = flags["directory"], flags["data"]
    usage_unless(data or not directory, "Missing argument 'DATA', which the model reads.")
    unused = _FOR_NETWORKS if directory else ("scale",) if data else ()
    context = click.get_current_context()
    for parameter in context.command.params:
        given = context.get_parameter_source(parameter.name or "") is ParameterSource.COMMANDLINE
        told = f"{parameter.opts[0]} is not for {'a trained model' if directory else 'networks that read DATA'}."
        usage_unless(not (given and parameter.name in unused), told)
    keep_inputs(*([directory] if directory else ()), data=data, output=output)
    place, write = options.begin("gradients", output, flags, force=force, device=device, threads=threads)
    from seqkit.corpora.resolve import resolve
    from seqkit.lab.gradient_picture import draw_gradients, render_gradients
    from seqkit.lab.gradients import GradientCurve, TrainingCurve, measure_gradients, train_and_measure
    from seqkit.lab.reading import measure_model, read_inputs
    from seqkit.lab.sequences import make_memory_task
    from seqkit.lab.training import check_networks
    from seqkit.model.loading import load
    from seqkit.training.progress import Progress

    say = Progress(quiet=quiet).say
    dataset = resolve(data, quiet=quiet) if data else None
    if dataset is not None and directory:
        sizes = {name: flags[name] for name in ("steps", "batch_size", "seed")}
        found = [measure_model(load(directory), dataset, **sizes, say=say)]
        about = {"read": dataset.name, "model": one_line(f"{Path(directory).resolve().name}, trained")}
        write(draw_gradients(found, [], **about), {"curves": list(map(asdict, found)), "training": []})
        show(render_gradients(found, []))
        return
    task = make_memory_task(flags["task"])
    network, training = options.settings({**flags, "init": flags["inits"][0], "gain": flags["gains"][0]})
    check_networks(flags["cells"], [task] if flags["train"] else [], network)
    read = None if dataset is None else read_inputs(dataset, flags["steps"], flags["batch_size"], say)
    noise = "noise" if dataset is None else dataset.name

    def update(curves: list[GradientCurve], trained: list[TrainingCurve]) -> None:
        results = {"curves": list(map(asdict, curves)), "training": list(map(asdict, trained))}
        write(draw_gradients(curves, trained, flags["task"], read=noise), results)

    names = ("cells", "inits", "gains", "hidden", "steps", "batch_size", "networks", "scale", "forget_bias", "seed")
    chosen = {name: flags[name] for name in names}
    curves = measure_gradients(**chosen, read=read, say=say, after=lambda curves: update(curves, []))
    trained = []
    if flags["train"]:
        chosen = {"steps": flags["steps"], "batch_size": flags["batch_size"], "device": place, "say": say}
        chosen["after"] = lambda trained: update(curves, trained)
        trained = train_and_measure(flags["cells"], task, network, training, **chosen)
    show(render_gradients(curves, trained))
