"""`seqkit tag`: train, evaluate and use taggers."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from seqkit import __version__
from seqkit.cli.options import device_options, model_option, prepare_torch, settings_from_flags, settings_options
from seqkit.config import to_toml
from seqkit.errors import DataError

if TYPE_CHECKING:
    from seqkit.data.sentence import Sentence
    from seqkit.data.tagged import TaggedSentence
    from seqkit.model import Model

__all__ = ["command"]

_TAG_FLAGS = {"--target": "data.target", "--scheme": "data.scheme", "--crf/--no-crf": "head.crf"}


class _PredictByDefault(click.Group):
    """A group whose options alone, without a verb, mean ``predict``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put ``predict`` in front of options that are not the group's own."""
        if args and args[0].startswith("-") and args[0] not in ("-h", "--help"):
            args = ["predict", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_PredictByDefault, context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Label every token: parts of speech, entities, chunks.

    \b
    seqkit tag train conll2000 -o chunker         learn from a data set, a folder or a file
    seqkit tag evaluate conll2000 -m chunker      seqeval report on the test split
    seqkit tag -m chunker < text.txt              tag one sentence a line
    """


@command.command()
@click.argument("data", required=False)
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="DIR", help="where the model goes")
@settings_options(_TAG_FLAGS)
@device_options
@click.option("--resume", is_flag=True, help="go on from the checkpoint in --output, or start where there is none")
@click.option("--force", is_flag=True, help="replace the model or run in --output")
@click.option("--dry-run", is_flag=True, help="print the settings as TOML and the model's shape, and stop")
@click.option("--quiet", is_flag=True, help="no progress")
@click.option("--json", "json_file", metavar="FILE|-", help="also write the report as JSON")
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
    the data set of the recipe.
    """
    chosen = settings_from_flags(recipe, assignments, flags)
    if data is None and not chosen.dataset:
        raise click.UsageError("Missing argument 'DATA', and no recipe names a data set.")
    if output is None and not dry_run:
        raise click.UsageError("Missing option '-o' / '--output'.")
    prepare_torch(threads)
    if dry_run:
        _dry_run(chosen, data or chosen.dataset, device)
        return 0
    from seqkit.training.loop import Interrupted
    from seqkit.training.run import run

    assert output is not None
    try:
        trained = run(chosen, output, data, device=device, resume=resume, force=force, quiet=quiet)
    except Interrupted:
        words = ["seqkit", "tag", "train", *sys.argv[sys.argv.index("train") + 1 :]] if "train" in sys.argv else []
        again = " ".join(word for word in words if word not in ("--resume", "--force")) or "the same command"
        print(f"interrupted; a checkpoint is saved, go on with: {again} --resume", file=sys.stderr)
        return 130
    if json_file:
        _write_json(trained.model.report, json_file)
    if json_file != "-":
        for split, report in trained.reports.items():
            click.echo(f"{split}\n\n{report.render(_width())}\n")
    return 0


def _dry_run(chosen: Any, data: str, device: str) -> None:
    from seqkit.data.dataset import resolve
    from seqkit.model import choose_device
    from seqkit.training.progress import Progress
    from seqkit.training.run import complete_settings, prepare

    dataset = resolve(data)
    settings = complete_settings(chosen.settings, dataset)
    task = prepare(settings, dataset, choose_device(device), Progress(quiet=True))
    click.echo(to_toml(settings))
    counts = task.model.parameter_counts()
    for line in [*str(task.model.network).splitlines(), *(f"{name}: {count:,} parameters" for name, count in counts.items())]:
        click.echo(f"# {line}")
    click.echo(f"# total: {sum(counts.values()):,} parameters")


@command.command()
@click.argument("data")
@model_option
@device_options
@click.option("--split", metavar="dev|test", help="which split  [test, or dev where there is no test]")
@click.option("--target", help="label column  [the model's]")
@click.option("--json", "json_file", metavar="FILE|-", help="write the scores as JSON")
@click.option("--errors", type=click.Path(path_type=Path), metavar="FILE", help="write the sentences with errors: token, gold, predicted")
@click.option("--confusion", type=click.Path(path_type=Path), metavar="FILE.png", help="draw which labels are taken for which")
@click.option("--batch-tokens", type=click.IntRange(min=1), metavar="N", help="tokens a batch  [8192]")
@click.option("--precision", type=click.Choice(["auto", "fp32", "bf16"]), default="fp32", show_default=True, help="arithmetic")
def evaluate(
    data: str,
    directory: Path,
    device: str,
    threads: int | None,
    split: str | None,
    target: str | None,
    json_file: str | None,
    errors: Path | None,
    confusion: Path | None,
    batch_tokens: int | None,
    precision: str,
) -> int:
    """Score a model on DATA: accuracy, and precision, recall and F1 of spans as seqeval has them."""
    prepare_torch(threads)
    from seqkit.data.dataset import resolve
    from seqkit.model import BATCH_TOKENS, load
    from seqkit.training.evaluation import gold_labels, score

    model = load(directory, device)
    began = time.perf_counter()
    dataset = resolve(data)
    chosen = dataset.evaluation_split(split)
    sentences = dataset.sentences(chosen, model.splitter.split)
    gold = gold_labels(model, sentences, target)
    batch = batch_tokens or BATCH_TOKENS
    predicted = list(model.predict(sentences, spans=False, batch_tokens=batch, precision=precision))
    report = score(model, gold, predicted)
    seconds = time.perf_counter() - began
    for note in dataset.notes:
        click.echo(note, err=True)
    if errors is not None:
        _write_errors(errors, gold, predicted)
    if confusion is not None:
        from seqkit.metrics.plots import confusion_matrix_png

        confusion_matrix_png(gold, [record.labels for record in predicted], confusion)
    if json_file:
        common = {
            "task": "tag",
            "data": dataset.name,
            "split": chosen,
            "seconds": seconds,
            "tokens_per_second": report.tokens / max(seconds, 1e-9),
            "model": str(directory),
            "seqkit_version": __version__,
        }
        _write_json({**common, **report.to_json()}, json_file)
    if json_file != "-":
        click.echo(f"{dataset.name} {chosen}\n\n{report.render(_width())}")
    return 0


@command.command()
@click.argument("files", nargs=-1, metavar="[FILE…|-]")
@model_option
@device_options
@click.option(
    "--input", "input_format", type=click.Choice(["text", "tokens", "conll", "conllu", "jsonl"]),
    help="what comes in  [text; of a file what its name and content say]",
)
@click.option("--output-format", type=click.Choice(["conll", "jsonl", "inline"]), default="conll", show_default=True, help="what goes out")
@click.option("--probs", is_flag=True, help="also the probability of every label, and with jsonl of every span")
@click.option("--nbest", type=click.IntRange(min=1), default=1, metavar="N", help="also the N best label sequences with their probabilities")
@click.option("--batch-tokens", type=click.IntRange(min=1), metavar="N", help="tokens a batch  [8192]")
@click.option("--precision", type=click.Choice(["auto", "fp32", "bf16"]), default="fp32", show_default=True, help="arithmetic")
@click.option("--quiet", is_flag=True, help="no summary on standard error")
def predict(
    files: tuple[str, ...],
    directory: Path,
    device: str,
    threads: int | None,
    input_format: str | None,
    output_format: str,
    probs: bool,
    nbest: int,
    batch_tokens: int | None,
    precision: str,
    quiet: bool,
) -> int:
    """Tag the sentences of files or of standard input, in order, none left out."""
    prepare_torch(threads)
    from seqkit.data.writers import write_records
    from seqkit.model import BATCH_TOKENS, CHUNK_SENTENCES, load

    model = load(directory, device)
    live = sys.stdin.isatty() and files in ((), ("-",))
    began = time.perf_counter()
    counts = [0, 0]
    sentences = _counted(chain.from_iterable(_read(file, input_format, model) for file in files or ("-",)), counts)
    records = model.predict(
        sentences,
        probs=probs,
        spans=output_format != "conll",
        nbest=nbest,
        batch_tokens=batch_tokens or BATCH_TOKENS,
        chunk_sentences=1 if live else CHUNK_SENTENCES,
        precision=precision,
    )
    write_records(_flushed(records) if live else records, sys.stdout, output_format)
    sys.stdout.flush()
    seconds = time.perf_counter() - began
    if not quiet and not live:
        speed = counts[1] / max(seconds, 1e-9)
        click.echo(f"{counts[0]:,} sentences, {counts[1]:,} tokens in {seconds:.2f} s: {speed:,.0f} tokens/s", err=True)
    return 0


def _read(file: str, input_format: str | None, model: Model) -> Iterator[Sentence]:
    from seqkit.data.formats import detect_format, read_sentences

    found = input_format or ("text" if file == "-" else detect_format(file))
    if found in ("tsv", "csv"):
        raise DataError(f"expected text, tokens, conll, conllu or jsonl, found {found}; say which with --input", file=file)
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


def _write_errors(path: Path, gold: Sequence[Sequence[str]], predicted: Sequence[TaggedSentence]) -> None:
    with _opened(path) as stream:
        for labels, record in zip(gold, predicted, strict=True):
            if list(labels) != record.labels:
                rows = zip(record.sentence.tokens, labels, record.labels, strict=True)
                stream.write("".join(f"{token}\t{right}\t{guess}\n" for token, right, guess in rows) + "\n")


def _write_json(value: Any, target: str) -> None:
    text = json.dumps(value, indent=2)
    if target == "-":
        click.echo(text)
        return
    with _opened(Path(target)) as stream:
        stream.write(text + "\n")


def _opened(path: Path) -> Any:
    try:
        return open(path, "w", encoding="utf-8", errors="replace", newline="\n")
    except OSError as error:
        raise DataError(f"cannot be written: {error.strerror or error}", file=path) from None


def _width() -> int:
    import shutil

    return min(100, shutil.get_terminal_size().columns)
