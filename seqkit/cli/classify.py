"""``seqkit classify``: train, evaluate, predict."""

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
    usage_unless,
    workers_option,
)
from seqkit.cli.predicting import counted, format_of, predict_inputs, say_speed, teller
from seqkit.cli.training import train_command
from seqkit.errors import DataError
from seqkit.formats.blocks import Block, cut

if TYPE_CHECKING:
    from seqkit.corpora.dataset import Split
    from seqkit.model.classifier import Classifier
    from seqkit.model.streaming import KeptWords
    from seqkit.records import ClassifiedText, Sentence

__all__ = ["command", "read_input"]

_INPUTS = ["text", "tokens", "tsv", "csv", "jsonl"]
_OUTPUTS = ["tsv", "jsonl"]


@click.group(cls=PredictByDefault, context_settings=HELP_OPTIONS)
def command() -> None:
    """Label every text: sentiment, topic, one label or several.

    \b
    seqkit classify train sst2 -o opinions           learn from a data set, a folder or a file
    seqkit classify evaluate sst2 -m opinions        report on the test split
    seqkit classify -m opinions < texts.txt          label one text a line (short for predict)
    """  # noqa: D301 - click keeps the lines after a backspace as they are


command.add_command(
    train_command(
        "classify",
        {"--pool": "head.pool", "--multi-label": "head.multi_label"},
        short_help="Train a classifier and report on dev and test.",
        about="Train a classifier on DATA, and a simple baseline beside it, and report on dev and test.",
    )
)


@command.command(short_help="Score a classifier on labelled data.")
@evaluation_options
@click.option("--label", metavar="FIELD", help="field that holds the label  [default: the model's]")
@error_options("write the texts with errors, one a line: right label, predicted label, text")
@batch_options(WHERE_LABELS_AGREE)
@device_options
@quiet_option
def evaluate(
    data: str,
    directory: Path,
    split: str | None,
    label: str | None,
    json_file: str | None,
    errors: str | None,
    confusion: str | None,
    batch_tokens: int,
    precision: str,
    device: str,
    threads: int | None,
    quiet: bool,
) -> int:
    """Score a model on DATA: accuracy, and precision, recall and F1 of each label, beside the baseline's accuracy.

    DATA is the name of a data set (seqkit data list), a folder with train, dev and test files, or one file.
    """
    check_error_options(json_file, errors, confusion)
    prepare_torch(threads)
    from seqkit.corpora.resolve import resolve
    from seqkit.model.classifier import Classifier
    from seqkit.model.loading import load_as
    from seqkit.model.precision import AutoPrecision
    from seqkit.training.classification import baseline_of, gold_classes, score_texts

    model = load_as(Classifier, directory, device)
    usage_unless(
        confusion is None or not model.codec.multi,
        "Expected a model of one label a text for --confusion, found several.",
    )
    dataset = resolve(data, quiet=quiet)  # may download, which is not timed
    chosen = dataset.evaluation_split(split)
    field = label or model.codec.label
    began = time.perf_counter()
    texts = dataset.texts(chosen, model.splitter.split, text=model.codec.text, label=field)
    _refuse_empty(texts, dataset.splits, chosen)
    gold = gold_classes(model, texts, field)
    auto = AutoPrecision(None if quiet else partial(click.echo, err=True))
    tokens = predicting.batch_tokens(batch_tokens, quiet)
    predicted = list(model.predict(texts, batch_tokens=tokens, precision=precision, auto=auto))
    report = score_texts(model, gold, predicted, baseline_of(model, dataset.name, chosen, len(texts)))
    seconds = time.perf_counter() - began
    if errors is not None:
        _write_errors(errors, gold, predicted)
    if confusion is not None:
        from seqkit.metrics.plots import confusion_matrix_png

        confusion_matrix_png(gold, [record.labels for record in predicted], confusion, unit="text")
    about = {"task": "classify", "split": chosen, "model": str(directory)}
    notes = _unknown_labels(model, gold)
    show_scores(report, about, dataset, seconds, json_file, quiet=quiet, notes=notes, table=errors != "-")
    return 0


def _unknown_labels(model: Classifier, gold: Sequence[Sequence[str]]) -> Iterator[str]:
    unknown = sorted({label for labels in gold for label in labels} - set(model.codec.labels))
    if unknown:
        shown = ", ".join(unknown[:5]) + (", …" if len(unknown) > 5 else "")
        yield f"{len(unknown)} labels of the data are unknown to the model and count as errors: {shown}"


def _refuse_empty(texts: Sequence[Sentence], splits: Mapping[str, Split], split: str) -> None:
    if not texts:
        file = splits[split].file if split in splits else None
        raise DataError("expected at least one text, found none", file=file)


def _write_errors(file: str, gold: Sequence[Sequence[str]], predicted: Sequence[ClassifiedText]) -> None:
    from seqkit.formats.writers import clean
    from seqkit.records import LABEL_SEPARATOR

    with opened(file) as stream:
        for labels, record in zip(gold, predicted, strict=True):
            if set(labels) != set(record.labels):
                # one line each, whatever the text holds
                text = " ".join(record.sentence.text.splitlines())
                stream.write(clean(f"{LABEL_SEPARATOR.join(labels)}\t{record.label}\t{text}\n"))


@command.command(short_help="Label the texts of files or of standard input.")
@prediction_options(_INPUTS, _OUTPUTS, "label, probability and text between tabs, or JSON objects")
@click.option(
    "--top",
    type=int,
    callback=at_least_1,
    metavar="K",
    help="the K most probable labels  [default: the predicted one (tsv), all with their probabilities (jsonl)]",
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
    top: int | None,
    batch_tokens: int,
    precision: str,
    workers: int,
    device: str,
    threads: int | None,
    quiet: bool,
) -> int:
    """Label the texts of files or of standard input, in order, none left out.

    A text is a line, or what stands in the text column of a table or under the text's key of a JSON object; a label
    beside it is left alone. Several labels stand in one column with | between them, and so do their probabilities.
    """
    options = {
        "output_format": output_format,
        "top": top,
        "batch_tokens": batch_tokens,
        "precision": precision,
        "quiet": quiet,
    }
    job = Job(__name__, str(directory), options, device, threads)
    told = predict_inputs(job, files, input_format, _INPUTS, workers, quiet)
    if told is not None:
        say_speed(*told, "text")
    return 0


def work(job: Job) -> Work:
    """What a process does that labels blocks of texts; see `seqkit.cli.jobs.prepare`."""
    prepare_torch(job.threads, job.share)
    from seqkit.formats.writers import write_classified
    from seqkit.model.classifier import Classifier
    from seqkit.model.loading import load_as
    from seqkit.model.precision import AutoPrecision

    model = load_as(Classifier, job.model, job.device)
    options = job.options
    words: KeptWords = {}
    auto = AutoPrecision(teller(job))
    tokens = predicting.batch_tokens(options["batch_tokens"], options["quiet"])

    def classify(block: Block, stream: TextIO, counts: Counts) -> None:
        records = model.predict(
            counted(read_block(block, model), counts),
            batch_tokens=tokens,
            chunk_sentences=sys.maxsize,
            precision=options["precision"],
            auto=auto,
            words=words,
        )
        write_classified(records, stream, options["output_format"], options["top"])

    return classify


def read_input(file: str, input_format: str | None, model: Classifier, quiet: bool) -> Iterator[Sentence]:
    """The texts of one input as `predict` reads them; that they can be read is seen at once."""
    found = format_of(file, input_format, _INPUTS, quiet)
    return chain.from_iterable(read_block(block, model) for block in cut([(file, found)]))


def read_block(block: Block, model: Classifier) -> Iterator[Sentence]:
    """The texts of a block."""
    from seqkit.formats.registry import part_texts

    return chain.from_iterable(part_texts(part, model.splitter.split, model.codec.text) for part in block)
