"""``seqkit lm``: train, evaluate, score, sample."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from seqkit.cli import predicting
from seqkit.cli.evaluating import evaluation_options, show_scores
from seqkit.cli.group import HELP_OPTIONS, Commands
from seqkit.cli.jobs import Counts, Job, Work
from seqkit.cli.options import (
    WHERE_GPU_HAS_IT,
    FiniteRange,
    at_least_1,
    batch_options,
    device_options,
    model_option,
    precision_option,
    prepare_torch,
    quiet_option,
    usage_unless,
    workers_option,
)
from seqkit.cli.predicting import predict_inputs
from seqkit.cli.training import train_command
from seqkit.metrics.scores import plural

if TYPE_CHECKING:
    from seqkit.formats.blocks import Block
    from seqkit.records import WrittenText

__all__ = ["command", "sampling_options", "show_texts"]

_FORMATS = ["tsv", "jsonl"]


@click.group(cls=Commands, context_settings=HELP_OPTIONS)
def command() -> None:
    """Language models: how likely text is, and text that they write.

    \b
    seqkit lm train ptb -c lm-ptb-small -o lm            learn from a data set, a folder or a file
    seqkit lm train ptb --ngram 5 -o lm5                 count n-grams instead of training a network
    seqkit lm evaluate ptb -m lm                         perplexity of the test split
    seqkit lm score -m lm < text.txt                     log-probability and perplexity of each line
    seqkit lm sample -m lm --prompt "the company" --count 3
    """  # noqa: D301 - click keeps the lines after a backspace as they are


command.add_command(
    train_command(
        "lm",
        {
            "--unit": "data.unit",
            "--bptt": "training.bptt",
            "--tied/--no-tied": "head.tied",
            "--ngram": "head.ngram",
        },
        short_help="Train a language model and report on dev and test.",
        about=(
            "Train a language model on the text of DATA, one stream of lines, and report on dev and test. With --ngram "
            "N the n-grams of the text are counted instead, once: of the settings only the data's count then."
        ),
    )
)


@command.command(short_help="Measure the perplexity of a text.")
@evaluation_options
@click.option(
    "--dynamic",
    type=FiniteRange(min=0.0),
    default=0.0,
    metavar="RATE",
    help="dynamic evaluation: after each window a step of so large a rate towards what was read  [default: none]",
)
@click.option(
    "--window",
    type=int,
    callback=at_least_1,
    metavar="N",
    help="units computed together; changes the result of dynamic evaluation only  [default: 256, dynamic: 20]",
)
@precision_option(WHERE_GPU_HAS_IT)
@device_options
@quiet_option
def evaluate(
    data: str,
    directory: Path,
    split: str | None,
    json_file: str | None,
    dynamic: float,
    window: int | None,
    precision: str,
    device: str,
    threads: int | None,
    quiet: bool,
) -> int:
    """Measure the perplexity of DATA, read as one stream: every unit is predicted from all before it.

    A model of n-grams predicts it from the few before it in its line.

    DATA is the name of a data set (seqkit data list), a folder with train, dev and test files, or one file.
    """
    prepare_torch(threads)
    from seqkit.corpora.resolve import resolve
    from seqkit.metrics.perplexity import Baseline
    from seqkit.model.base_language_model import BaseLanguageModel
    from seqkit.model.loading import load_as
    from seqkit.model.stream import STATIC_WINDOW
    from seqkit.training.language_model import evaluate_stream, read_corpus
    from seqkit.training.task import recorded_baseline

    model = load_as(BaseLanguageModel, directory, device)
    dataset = resolve(data, quiet=quiet)  # may download, which is not timed
    chosen = dataset.evaluation_split(split)
    steps = window or (20 if dynamic else STATIC_WINDOW)
    began = time.perf_counter()
    corpus = read_corpus(dataset, chosen, model.units)
    baseline = recorded_baseline(Baseline, model, dataset.name, chosen, corpus.lines)
    report = evaluate_stream(model, corpus, window=steps, dynamic=dynamic, precision=precision, baseline=baseline)
    seconds = time.perf_counter() - began
    about: dict[str, Any] = {"task": "lm", "split": chosen, "model": str(directory)}
    how = ""
    if dynamic:
        about |= {"dynamic": dynamic, "window": steps}
        how = f", dynamic evaluation at rate {dynamic:g} every {steps} units"
    show_scores(report, about, dataset, seconds, json_file, quiet=quiet, how=how)
    return 0


@command.command(short_help="Say how likely each line is.")
@click.argument("files", nargs=-1, metavar="[FILE…|-]")
@model_option
@click.option(
    "--output-format",
    type=click.Choice(_FORMATS),
    default="tsv",
    show_default=True,
    metavar="|".join(_FORMATS),
    help="log-probability, units, perplexity and text between tabs; or JSON objects",
)
@batch_options(WHERE_GPU_HAS_IT)
@workers_option
@device_options
@quiet_option
def score(
    files: tuple[str, ...],
    directory: Path,
    output_format: str,
    batch_tokens: int,
    precision: str,
    workers: int,
    device: str,
    threads: int | None,
    quiet: bool,
) -> int:
    """Say how likely each line of files or of standard input is, each by itself, in order, none left out.

    The log-probability is in nats, the end of the line included.
    """
    options = {"output_format": output_format, "batch_tokens": batch_tokens, "precision": precision, "quiet": quiet}
    job = Job(__name__, str(directory), options, device, threads)
    told = predict_inputs(job, files, "text", ["text"], workers, quiet)
    if told is not None:
        (lines, units, unknown), seconds = told
        speed = f"{units / max(seconds, 1e-9):,.0f} units/s"
        click.echo(f"{plural(lines, 'line')}, {units:,} units in {seconds:.2f} s: {speed}", err=True)
        if unknown:
            click.echo(f"{unknown:,} of the units are unknown to the model, which finds them all alike", err=True)
    return 0


def work(job: Job) -> Work:
    """What a process does that scores blocks of lines; see `seqkit.cli.jobs.prepare`."""
    prepare_torch(job.threads, job.share)
    from seqkit.formats.blocks import part_lines
    from seqkit.formats.writers import clean, to_json
    from seqkit.model.base_language_model import BaseLanguageModel
    from seqkit.model.loading import load_as
    from seqkit.records import Sentence

    model = load_as(BaseLanguageModel, job.model, job.device)
    options = job.options
    tokens = predicting.batch_tokens(options["batch_tokens"], options["quiet"])

    def score(block: Block, stream: TextIO, counts: Counts) -> None:
        lines = (
            Sentence([], line, [], file=part.name, line=number) for part in block for number, line in part_lines(part)
        )
        records = model.score(lines, batch_tokens=tokens, chunk_lines=sys.maxsize, precision=options["precision"])
        for record in records:
            counts[0] += 1
            counts[1] += record.units
            counts[2] += record.unknown
            if options["output_format"] == "jsonl":
                stream.write(to_json(record.to_json()) + "\n")
            else:
                # The text comes last, so that tabs in it do no harm.
                stream.write(clean(f"{record.log_prob:.4f}\t{record.units}\t{record.perplexity:.4f}\t{record.text}\n"))

    return score


def sampling_options(function: Any) -> Any:
    """Add the flags of choosing what is written, which all commands that write text have."""
    options = [
        click.option("--count", type=int, default=1, callback=at_least_1, metavar="N", help="how many  [default: 1]"),
        click.option(
            "--length", type=int, default=200, show_default=True, callback=at_least_1, metavar="N", help="units at most"
        ),
        click.option(
            "--temperature",
            type=FiniteRange(min=0.0),
            default=1.0,
            show_default=True,
            metavar="X",
            help="below 1: likely units become likelier; above 1: less so; 0: always the likeliest",
        ),
        click.option(
            "--top-k",
            type=click.IntRange(min=0),
            default=0,
            metavar="N",
            help="draw from the N likeliest units only  [default: all]",
        ),
        click.option(
            "--top-p",
            type=FiniteRange(min=0.0, max=1.0, min_open=True),
            default=1.0,
            metavar="X",
            help="draw from the likeliest units that together have this probability  [default: all]",
        ),
        click.option(
            "--beam",
            type=click.IntRange(min=0),
            default=0,
            metavar="N",
            help="search for the likeliest instead of drawing, with a beam of this width, --count at least",
        ),
        click.option(
            "--seed",
            type=click.IntRange(min=0, max=2**63 - 1),
            metavar="N",
            help="the same seed gives the same texts",
        ),
        click.option(
            "--output-format",
            type=click.Choice(["text", "jsonl"]),
            default="text",
            show_default=True,
            metavar="text|jsonl",
            help="the texts alone, or JSON objects with their log-probabilities",
        ),
    ]
    for option in reversed(options):
        function = option(function)
    return function


def show_texts(texts: Sequence[WrittenText], output_format: str) -> None:
    """Write texts to standard output; those of several lines stand apart.

    Args:
        texts: the texts.
        output_format: ``text`` or ``jsonl``.
    """
    from seqkit.formats.writers import clean, to_json

    apart = any("\n" in text.text for text in texts)
    ended = True  # whether a blank line was written last, or nothing
    for text in texts:
        if output_format == "jsonl":
            click.echo(to_json(text.to_json()))
            continue
        click.echo(("\n" if apart and not ended else "") + clean(text.text))
        ended = text.text.endswith("\n")


@command.command(short_help="Write text.")
@model_option
@click.option("--prompt", default="", metavar="TEXT", help="how every text begins")
@sampling_options
@click.option(
    "--lines",
    type=click.IntRange(min=0),
    default=1,
    show_default=True,
    metavar="N",
    help="stop at the end of so many lines; 0: only --length stops",
)
@device_options
@quiet_option
def sample(
    directory: Path,
    prompt: str,
    count: int,
    length: int,
    temperature: float,
    top_k: int,
    top_p: float,
    beam: int,
    seed: int | None,
    output_format: str,
    lines: int,
    device: str,
    threads: int | None,
    quiet: bool,
) -> int:
    """Write text, unit by unit; a unit that the model does not know is never written."""
    drawing = (temperature, top_k, top_p) != (1.0, 0, 1.0)
    usage_unless(not (beam and drawing), "Expected one of --beam and --temperature, --top-k, --top-p, found both.")
    prepare_torch(threads)
    from seqkit.model.base_language_model import BaseLanguageModel
    from seqkit.model.loading import load_as

    model = load_as(BaseLanguageModel, directory, device)
    texts = model.sample(
        prompt,
        count=count,
        length=length,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        beam=beam,
        lines=lines,
        seed=seed,
    )
    show_texts(texts, output_format)
    return 0
