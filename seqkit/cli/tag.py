"""``seqkit tag``: train, evaluate, predict."""

from __future__ import annotations

import shlex
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from seqkit import __version__
from seqkit.cli.group import HELP_OPTIONS, Commands
from seqkit.cli.options import (
    at_least_1,
    batch_options,
    device_options,
    json_option,
    model_option,
    opened,
    output_file,
    prepare_torch,
    quiet_option,
    settings_from_flags,
    settings_options,
    write_json,
)
from seqkit.config import Recipe, to_toml
from seqkit.errors import DataError

if TYPE_CHECKING:
    from seqkit.data.dataset import Split
    from seqkit.data.sentence import Sentence
    from seqkit.data.tagged import TaggedSentence
    from seqkit.model import Model

__all__ = ["command"]

_TAG_FLAGS = {"--target": "data.target", "--scheme": "data.scheme", "--crf/--no-crf": "head.crf"}
_INPUTS = ["text", "tokens", "conll", "conllu", "jsonl"]
_OUTPUTS = ["conll", "jsonl", "inline"]


class _PredictByDefault(Commands):
    """A group whose options alone, without a verb, mean ``predict``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put ``predict`` in front of options that are not the group's own."""
        if args and args[0].startswith("-") and args[0] not in ("-h", "--help"):
            verb = next((word for word in args if word in self.commands and not Path(word).exists()), None)
            if verb is not None:
                raise click.UsageError(f"expected {verb!r} before the options: seqkit tag {verb} …", ctx)
            args = ["predict", *args]
        elif args and args[0] not in self.commands and Path(args[0]).is_file():
            raise click.UsageError(f"expected a verb before the file: seqkit tag predict {args[0]} …", ctx)
        return super().parse_args(ctx, args)


@click.group(cls=_PredictByDefault, context_settings=HELP_OPTIONS)
def command() -> None:
    """Label every token: parts of speech, entities, chunks.

    \b
    seqkit tag train conll2000 -o chunker         learn from a data set, a folder or a file
    seqkit tag evaluate conll2000 -m chunker      report on the test split
    seqkit tag -m chunker < text.txt              tag one sentence a line (short for predict)
    """  # noqa: D301 - click keeps the lines after a backspace as they are


@command.command(short_help="Train a tagger and report on dev and test.")
@click.argument("data", required=False)
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="DIR", help="where the model goes")
@settings_options(_TAG_FLAGS)
@device_options
@click.option("--resume", is_flag=True, help="go on from the checkpoint in --output, or start where there is none")
@click.option("--force", is_flag=True, help="replace the model or run in --output")
@click.option("--dry-run", is_flag=True, help="print the settings as a recipe and the model's shape, and stop")
@quiet_option
@json_option("write the model's report (scores, data, versions) as JSON; - for standard output, instead of the tables")
def train(
    data: str | None,
    output: Path | None,
    recipe: str | None,
    assignments: tuple[str, ...],
    device: str,
    threads: int | None,
    resume: bool,
    force: bool,
    dry_run: bool,
    quiet: bool,
    json_file: str | None,
    **flags: Any,
) -> int:
    """Train a tagger on DATA and report on dev and test.

    DATA is the name of a data set (seqkit data list), a folder with train, dev and test files, or one file; by default
    the data set of the recipe. Without a dev split the last tenth of train is held out.

    Settings, weakest first: defaults, the recipe, --set, a flag of its own.
    """
    chosen = settings_from_flags(recipe, assignments, flags)
    data = data or chosen.dataset
    _require(data, "Missing argument 'DATA', and no recipe names a data set.")
    _require(output or dry_run, "Missing option '-o' / '--output'.")
    _require(not (resume and force), "Expected one of --resume and --force, found both.")
    prepare_torch(threads)
    if output is None or dry_run:
        _dry_run(chosen, data, device, quiet)
        return 0
    from seqkit.training.loop import Interrupted
    from seqkit.training.run import run

    try:
        trained = run(chosen, output, data, device=device, resume=resume, force=force, quiet=quiet)
    except (Interrupted, KeyboardInterrupt):
        click.echo(_how_to_go_on(output), err=True)
        return 130
    if json_file:
        write_json(trained.model.report, json_file)
    if json_file != "-":
        click.echo("\n\n".join(f"{split}\n\n{part.render(_width())}" for split, part in trained.reports.items()))
    return 0


def _require(condition: object, message: str) -> None:
    if not condition:
        raise click.UsageError(message)


def _how_to_go_on(output: Path) -> str:
    from seqkit.training.checkpoint import checkpoint_file

    if not checkpoint_file(output).is_file():
        return "interrupted before there was anything to save"
    arguments = click.get_current_context().find_root().obj or ("tag", "train", "…")
    again = shlex.join(word for word in arguments if word not in ("--resume", "--force"))
    return f"interrupted; a checkpoint is saved, go on with: seqkit {again} --resume"


def _dry_run(chosen: Recipe, data: str, device: str, quiet: bool) -> None:
    import tomli_w

    from seqkit.data.dataset import resolve
    from seqkit.devices import choose_device
    from seqkit.training.progress import Progress
    from seqkit.training.run import complete_settings, prepare

    dataset = resolve(data, quiet=quiet)
    settings = complete_settings(chosen.settings, dataset)
    task = prepare(settings, dataset, choose_device(device), Progress(quiet=quiet))
    model = task.model
    click.echo(tomli_w.dumps({"dataset": data}) + to_toml(task.settings))
    for line in str(model.network).splitlines():
        click.echo(f"# {line}")
    counts = model.parameter_counts()
    parts = ", ".join(f"{name} {count:,}" for name, count in counts.items())
    click.echo(f"# {sum(counts.values()):,} parameters: {parts}")


@command.command(short_help="Score a tagger on labelled data.")
@click.argument("data")
@model_option
@click.option("--split", metavar="dev|test", help="which split  [default: test, or dev where there is no test]")
@click.option("--target", metavar="COLUMN", help="label column  [default: the model's]")
@json_option("write the scores as JSON; - for standard output, instead of the table")
@click.option(
    "--errors",
    metavar="FILE",
    callback=output_file,
    help="write the sentences with errors, a token a line: token, right label, predicted label",
)
@click.option("--confusion", metavar="FILE.png", callback=output_file, help="draw which labels are taken for which")
@batch_options
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
    _require(not json_file == errors == "-", "Expected one of --json and --errors on standard output, found both.")
    if confusion is not None:
        from seqkit.metrics.plots import require_matplotlib

        require_matplotlib()
    prepare_torch(threads)
    from seqkit.data.dataset import resolve
    from seqkit.model import load
    from seqkit.training.evaluation import gold_labels, score

    model = load(directory, device)
    dataset = resolve(data, quiet=quiet)  # may download, which is not timed
    chosen = dataset.evaluation_split(split)
    began = time.perf_counter()
    sentences = dataset.sentences(chosen, model.splitter.split)
    _refuse_empty(sentences, dataset.splits, chosen)
    gold = gold_labels(model, sentences, target)
    predicted = list(model.predict(sentences, spans=False, batch_tokens=batch_tokens, precision=precision))
    report = score(model, gold, predicted)
    seconds = time.perf_counter() - began
    if not quiet:
        for note in [*dataset.notes, *_unknown_labels(model, gold)]:
            click.echo(note, err=True)
    if errors is not None:
        _write_errors(errors, gold, predicted)
    if confusion is not None:
        from seqkit.metrics.plots import confusion_matrix_png

        confusion_matrix_png(gold, [record.labels for record in predicted], confusion)
    if json_file is not None:
        about = {"task": "tag", "data": dataset.name, "split": chosen, "model": str(directory)}
        speed = {"seconds": seconds, "tokens_per_second": report.tokens / max(seconds, 1e-9)}
        write_json({**about, **report.to_json(), **speed, "seqkit_version": __version__}, json_file)
    if "-" not in (json_file, errors):
        click.echo(f"{dataset.name} {chosen}\n\n{report.render(_width())}")
    return 0


def _unknown_labels(model: Model, gold: Sequence[Sequence[str]]) -> Iterator[str]:
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
    from seqkit.data.writers import clean, rows

    with opened(file) as stream:
        for labels, record in zip(gold, predicted, strict=True):
            if list(labels) != record.labels:
                stream.write(clean(rows([record.sentence.tokens, labels, record.labels])))


@command.command(short_help="Tag files or standard input.")
@click.argument("files", nargs=-1, metavar="[FILE…|-]")
@model_option
@click.option(
    "--input",
    "input_format",
    type=click.Choice(_INPUTS),
    metavar="|".join(_INPUTS),
    help="what comes in  [default: text; of a file what its name and content say]",
)
@click.option(
    "--output-format",
    type=click.Choice(_OUTPUTS),
    default="conll",
    show_default=True,
    metavar="|".join(_OUTPUTS),
    help="what goes out: columns, JSON objects with character offsets, or [brackets]LABEL in the text",
)
@click.option("--probs", is_flag=True, help="also the probability of every label (conll), and of every span (jsonl)")
@click.option(
    "--nbest",
    type=int,
    default=1,
    callback=at_least_1,
    metavar="N",
    help="the N best label sequences with the probability of each",
)
@batch_options
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
    device: str,
    threads: int | None,
    quiet: bool,
) -> int:
    """Tag the sentences of files or of standard input, in order, none left out."""
    prepare_torch(threads)
    from seqkit.data.writers import write_records
    from seqkit.model import CHUNK_SENTENCES, load

    model = load(directory, device)
    live = sys.stdin.isatty() and files in ((), ("-",))
    if live and not quiet:
        click.echo(f"reading {input_format or 'text'} from the terminal; Ctrl-D ends it", err=True)
    began = time.perf_counter()
    readers = [_read(file, input_format, model, quiet) for file in files or ("-",)]
    counts = [0, 0]
    records = model.predict(
        _counted(chain.from_iterable(readers), counts),
        probs=probs,
        spans=output_format != "conll",
        nbest=nbest,
        batch_tokens=batch_tokens,
        chunk_sentences=1 if live else CHUNK_SENTENCES,
        precision=precision,
    )
    write_records(_flushed(records) if live else records, sys.stdout, output_format)
    sys.stdout.flush()
    seconds = time.perf_counter() - began
    if not quiet and not live:
        total = f"{_plural(counts[0], 'sentence')}, {_plural(counts[1], 'token')}"
        click.echo(f"{total} in {seconds:.2f} s: {counts[1] / max(seconds, 1e-9):,.0f} tokens/s", err=True)
    return 0


def _read(file: str, input_format: str | None, model: Model, quiet: bool) -> Iterator[Sentence]:
    """A reader of one input; that a file is there and can be read is seen before the first one is tagged."""
    from seqkit.data.formats import detect_format, is_pipe, read_sentences
    from seqkit.data.text import read_lines

    read_once = file == "-" or is_pipe(file)  # so its content cannot be looked at
    found = input_format or ("text" if read_once else detect_format(file))
    if found in ("tsv", "csv"):
        expected = ", ".join(_INPUTS)
        raise DataError(f"expected one of the formats {expected}, found {found}; say which with --input", file=file)
    if not read_once:
        next(read_lines(file), None)
        if input_format is None and found != "text" and Path(file).suffix in (".txt", "") and not quiet:
            click.echo(f"{file}: read as {found}; --input says otherwise", err=True)
    return read_sentences(file, found, splitter=model.splitter.split, allow_unlabelled=True)


def _counted(sentences: Iterator[Sentence], counts: list[int]) -> Iterator[Sentence]:
    for sentence in sentences:
        counts[0] += 1
        counts[1] += len(sentence.tokens)
        yield sentence


def _flushed(records: Iterator[TaggedSentence]) -> Iterator[TaggedSentence]:
    """Records for someone who types and waits: what was written is shown before the next line is read."""
    for record in records:
        yield record
        sys.stdout.flush()


def _plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _width() -> int:
    return min(100, shutil.get_terminal_size().columns)
