"""``seqkit tag``: train, evaluate, predict."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from seqkit.cli import predicting
from seqkit.cli.evaluating import check_error_options, error_options, evaluation_options, show_scores
from seqkit.cli.group import HELP_OPTIONS, PredictByDefault
from seqkit.cli.jobs import Counts, Job, Work
from seqkit.cli.options import (
    WHERE_LABELS_AGREE,
    at_least_1,
    batch_options,
    device_options,
    opened,
    prediction_options,
    prepare_torch,
    quiet_option,
    workers_option,
)
from seqkit.cli.predicting import counted, format_of, predict_inputs, say_speed, teller
from seqkit.cli.training import train_command
from seqkit.errors import DataError
from seqkit.formats.blocks import Block, cut

if TYPE_CHECKING:
    from seqkit.corpora.dataset import Split
    from seqkit.model.streaming import KeptWords
    from seqkit.model.tagger import Tagger
    from seqkit.records import Sentence, TaggedSentence

__all__ = ["command", "read_input"]

_INPUTS = ["text", "tokens", "conll", "conllu", "jsonl"]
_OUTPUTS = ["conll", "jsonl", "inline"]


@click.group(cls=PredictByDefault, context_settings=HELP_OPTIONS)
def command() -> None:
    """Label every token: parts of speech, entities, chunks.

    \b
    seqkit tag train conll2000 -o chunker         learn from a data set, a folder or a file
    seqkit tag evaluate conll2000 -m chunker      report on the test split
    seqkit tag -m chunker < text.txt              tag one sentence a line (short for predict)
    """  # noqa: D301 - click keeps the lines after a backspace as they are


command.add_command(
    train_command(
        "tag",
        {
            "--target": "data.target",
            "--scheme": "data.scheme",
            "--crf/--no-crf": "head.crf",
            "--context": "embedding.context",
        },
        short_help="Train a tagger and report on dev and test.",
        about="Train a tagger on DATA and report on dev and test.",
    )
)


@command.command(short_help="Score a tagger on labelled data.")
@evaluation_options
@click.option("--target", metavar="COLUMN", help="label column  [default: the model's]")
@error_options("write the sentences with errors, a token a line: token, right label, predicted label")
@batch_options(WHERE_LABELS_AGREE)
@device_options
@quiet_option
def evaluate(
    data: str,
    directory: Path,
    split: str | None,
    target: str | None,
    json_file: str | None,
    errors: str | None,
    confusion: str | None,
    batch_tokens: int,
    precision: str,
    device: str,
    threads: int | None,
    quiet: bool,
) -> int:
    """Score a model on DATA: accuracy, and precision, recall and F1 of spans as seqeval has them.

    DATA is the name of a data set (seqkit data list), a folder with train, dev and test files, or one file.
    """
    check_error_options(json_file, errors, confusion)
    prepare_torch(threads)
    from seqkit.corpora.resolve import resolve
    from seqkit.model.loading import load_as
    from seqkit.model.precision import AutoPrecision
    from seqkit.model.tagger import Tagger
    from seqkit.training.evaluation import gold_labels, score

    model = load_as(Tagger, directory, device)
    dataset = resolve(data, quiet=quiet)  # may download, which is not timed
    chosen = dataset.evaluation_split(split)
    began = time.perf_counter()
    sentences = dataset.sentences(chosen, model.splitter.split)
    _refuse_empty(sentences, dataset.splits, chosen)
    gold = gold_labels(model, sentences, target)
    auto = AutoPrecision(None if quiet else partial(click.echo, err=True))
    tokens = predicting.batch_tokens(batch_tokens, quiet)
    predicted = list(model.predict(sentences, spans=False, batch_tokens=tokens, precision=precision, auto=auto))
    report = score(model, gold, predicted)
    seconds = time.perf_counter() - began
    if errors is not None:
        _write_errors(errors, gold, predicted)
    if confusion is not None:
        from seqkit.metrics.plots import confusion_matrix_png

        confusion_matrix_png(gold, [record.labels for record in predicted], confusion)
    about = {"task": "tag", "split": chosen, "model": str(directory)}
    notes = _unknown_labels(model, gold)
    show_scores(report, about, dataset, seconds, json_file, quiet=quiet, notes=notes, table=errors != "-")
    return 0


def _unknown_labels(model: Tagger, gold: Sequence[Sequence[str]]) -> Iterator[str]:
    known = {label for tag in range(len(model.codec.tags.labels)) for label in model.codec.decode([tag])} | {"O"}
    known |= {label.replace("B-", "I-", 1) for label in known} | {label.replace("I-", "B-", 1) for label in known}
    unknown = sorted({label for labels in gold for label in labels} - known)
    if unknown:
        shown = ", ".join(unknown[:5]) + (", …" if len(unknown) > 5 else "")
        yield f"{len(unknown)} labels of the data are unknown to the model and count as errors: {shown}"


def _refuse_empty(sentences: Sequence[Sentence], splits: Mapping[str, Split], split: str) -> None:
    if not any(sentence.tokens for sentence in sentences):
        file = splits[split].file if split in splits else None
        raise DataError("expected at least one sentence, found none", file=file)


def _write_errors(file: str, gold: Sequence[Sequence[str]], predicted: Sequence[TaggedSentence]) -> None:
    from seqkit.formats.writers import clean, rows

    with opened(file) as stream:
        for labels, record in zip(gold, predicted, strict=True):
            if list(labels) != record.labels:
                stream.write(clean(rows([record.sentence.tokens, labels, record.labels])))


@command.command(short_help="Tag files or standard input.")
@prediction_options(_INPUTS, _OUTPUTS, "columns, JSON objects with character offsets, or [brackets]LABEL in the text")
@click.option("--probs", is_flag=True, help="also the probability of every label (conll), and of every span (jsonl)")
@click.option(
    "--nbest",
    type=int,
    default=1,
    callback=at_least_1,
    metavar="N",
    help="the N best label sequences with the probability of each",
)
@batch_options(WHERE_LABELS_AGREE)
@workers_option
@device_options
@quiet_option
def predict(
    files: tuple[str, ...],
    directory: Path,
    input_format: str | None,
    output_format: str,
    probs: bool,
    nbest: int,
    batch_tokens: int,
    precision: str,
    workers: int,
    device: str,
    threads: int | None,
    quiet: bool,
) -> int:
    """Tag the sentences of files or of standard input, in order, none left out."""
    options = {
        "output_format": output_format,
        "probs": probs,
        "nbest": nbest,
        "batch_tokens": batch_tokens,
        "precision": precision,
        "quiet": quiet,
    }
    job = Job(__name__, str(directory), options, device, threads)
    told = predict_inputs(job, files, input_format, _INPUTS, workers, quiet)
    if told is not None:
        say_speed(*told, "sentence")
    return 0


def work(job: Job) -> Work:
    """What a process does that tags blocks; see `seqkit.cli.jobs.prepare`."""
    prepare_torch(job.threads, job.share)
    from seqkit.formats.writers import write_records
    from seqkit.model.loading import load_as
    from seqkit.model.precision import AutoPrecision
    from seqkit.model.tagger import Tagger

    model = load_as(Tagger, job.model, job.device)
    options = job.options
    words: KeptWords = {}
    auto = AutoPrecision(teller(job))
    tokens = predicting.batch_tokens(options["batch_tokens"], options["quiet"])

    def tag(block: Block, stream: TextIO, counts: Counts) -> None:
        records = model.predict(
            counted(read_block(block, model), counts),
            probs=options["probs"],
            spans=options["output_format"] != "conll",
            nbest=options["nbest"],
            batch_tokens=tokens,
            chunk_sentences=sys.maxsize,
            precision=options["precision"],
            auto=auto,
            words=words,
        )
        write_records(records, stream, options["output_format"])

    return tag


def read_input(file: str, input_format: str | None, model: Tagger, quiet: bool) -> Iterator[Sentence]:
    """The sentences of one input as `predict` reads them; that they can be read is seen at once."""
    found = format_of(file, input_format, _INPUTS, quiet)
    return chain.from_iterable(read_block(block, model) for block in cut([(file, found)]))


def read_block(block: Block, model: Tagger) -> Iterator[Sentence]:
    """The sentences of a block."""
    from seqkit.formats.registry import part_sentences

    return chain.from_iterable(part_sentences(part, model.splitter.split) for part in block)
