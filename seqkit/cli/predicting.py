"""What the verbs that predict share: which format an input has, terminals, and how fast it went."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from seqkit.cli.jobs import Answer, Counts, Job, answer, prepare
from seqkit.cli.options import usage_unless
from seqkit.errors import DataError, SeqkitError
from seqkit.formats.blocks import cut
from seqkit.formats.text import read_lines
from seqkit.metrics.scores import plural
from seqkit.torchrun import Launch

if TYPE_CHECKING:
    from seqkit.model.memory import BatchTokens
    from seqkit.records import Sentence

__all__ = ["batch_tokens", "counted", "format_of", "predict_inputs", "say_speed", "teller"]


def _is_live(files: Sequence[str], input_format: str | None, quiet: bool) -> bool:
    """Whether someone types and waits for each answer; if so, that is said.

    Args:
        files: the inputs, none for standard input.
        input_format: what was said of their format.
        quiet: say nothing.

    Returns:
        Whether it is so.
    """
    live = sys.stdin.isatty() and tuple(files) in ((), ("-",))
    if live and not quiet:
        click.echo(f"reading {input_format or 'text'} from the terminal; Ctrl-D ends it", err=True)
    return live


def format_of(file: str, given: str | None, known: Sequence[str], quiet: bool) -> str:
    """The format of one input; that the file is there and can be read is seen here.

    Args:
        file: the file, or ``-``.
        given: what the user said; None to find out.
        known: the formats that can be read.
        quiet: do not say what was found where the file's name does not tell.

    Returns:
        The format; ``text`` for what can be read only once and so not be looked at.

    Raises:
        DataError: the file cannot be read or is in another format.
    """
    from seqkit.formats.registry import detect_format, is_pipe  # numpy comes along, which no help text needs

    read_once = file == "-" or is_pipe(file)
    if given is None and not read_once and "tsv" in known and Path(file).suffix.lower() == ".tsv":
        given = "tsv"
    found = given or ("text" if read_once else detect_format(file))
    if found not in known:
        expected = ", ".join(known)
        raise DataError(f"expected one of the formats {expected}, found {found}; say which with --input", file=file)
    if not read_once:
        next(iter(read_lines(file)), None)
        if given is None and found != "text" and Path(file).suffix in (".txt", "") and not quiet:
            click.echo(f"{file}: read as {found}; --input says otherwise", err=True)
    return found


def counted(sentences: Iterator[Sentence], counts: list[int]) -> Iterator[Sentence]:
    """Count a stream while it passes.

    Args:
        sentences: the stream.
        counts: sentences and tokens so far; changed.

    Yields:
        The sentences.
    """
    for sentence in sentences:
        counts[0] += 1
        counts[1] += len(sentence.tokens)
        yield sentence


def predict_inputs(
    job: Job, files: Sequence[str], input_format: str | None, known: Sequence[str], workers: int, quiet: bool
) -> tuple[Counts, float] | None:
    """Predict files or standard input, in this process or in several, and write the results in order.

    Args:
        job: what to do.
        files: the inputs, none for standard input.
        input_format: what was said of their format.
        known: the formats that can be read.
        workers: how many processes to start; 1 for none.
        quiet: say nothing.

    Returns:
        How much was predicted, and the seconds it took; None where nobody should be told.

    Raises:
        SeqkitError: an input, the model or a process is at fault; what was predicted before has been written.
    """
    names = tuple(files) or ("-",)
    launch = Launch.from_environment()
    quiet = quiet or launch.rank > 0

    def find() -> list[tuple[str, str]]:
        return [(file, format_of(file, input_format, known, quiet)) for file in names]

    if launch.size > 1:
        _refuse_for_ranks(names, workers, launch)
        from seqkit.cli.ranks import joined_ranks

        crew: AbstractContextManager[Iterator[Answer]] = joined_ranks(job, find, launch)
    else:
        crew = _alone(job, find()) if workers == 1 else _with_workers(job, find(), workers)
    with crew as answers:
        live = _is_live(files, input_format, quiet)
        began = time.perf_counter()
        total = [0, 0, 0]
        sys.stdout.flush()
        for found in answers:
            _write(found.text)
            if found.fault is not None:
                raise SeqkitError(found.fault)
            total = [sum(pair) for pair in zip(total, found.counts, strict=True)]
    return None if quiet or live else (total, time.perf_counter() - began)


def _write(content: bytes) -> None:
    """Write all of it: without a buffer, as with PYTHONUNBUFFERED, a pipe may take but a part at a time."""
    rest = memoryview(content)
    while rest:
        rest = rest[sys.stdout.buffer.write(rest) :]
    sys.stdout.buffer.flush()


@contextmanager
def _alone(job: Job, inputs: Iterable[tuple[str, str]]) -> Iterator[Iterator[Answer]]:
    work = prepare(job)
    yield (answer(work, block) for block in cut(inputs))


@contextmanager
def _with_workers(job: Job, inputs: Iterable[tuple[str, str]], count: int) -> Iterator[Iterator[Answer]]:
    from seqkit.cli.workers import started_workers

    with started_workers(job, count) as crew:
        yield crew.answers(cut(inputs))


def _refuse_for_ranks(files: Sequence[str], workers: int, launch: Launch) -> None:
    """See that processes started by ``torchrun`` can share the work; the first one says if not."""
    from seqkit.formats.registry import is_pipe

    faults = []
    if workers > 1:
        faults.append("Expected one of --workers and torchrun, found both.")
    for file in files:
        if file == "-" or is_pipe(file):
            name = "standard input" if file == "-" else f"{file}, a pipe or device"
            faults.append(f"Expected files, which each process of torchrun can read, found {name}.")
    if faults and launch.rank:
        click.get_current_context().exit(
            0
        )  # any other status, and torchrun would end the first one before it has said it
    usage_unless(not faults, "".join(faults[:1]))


def teller(job: Job) -> Callable[[str], None] | None:
    """Who is told how a process predicts: of several processes the first tells it.

    Args:
        job: what the process does.

    Returns:
        A function that takes a line; None to be silent.
    """
    silent = job.options["quiet"] or job.place > 0 or Launch.from_environment().rank > 0
    return None if silent else partial(click.echo, err=True)


def batch_tokens(size: int, quiet: bool) -> BatchTokens:
    """Tokens a batch; that memory makes them fewer is said on standard error, by each of several processes.

    Args:
        size: how many at first.
        quiet: say nothing.

    Returns:
        What a model's `predict` takes.
    """
    from seqkit.model.memory import BatchTokens

    return BatchTokens(size, _nothing if quiet else partial(click.echo, err=True))


def _nothing(line: str) -> None:
    """Say nothing."""


def say_speed(counts: Sequence[int], seconds: float, noun: str) -> None:
    """Say on standard error how much was predicted and how fast.

    Args:
        counts: sentences and tokens.
        seconds: how long it took.
        noun: what a sentence is called.
    """
    total = f"{plural(counts[0], noun)}, {plural(counts[1], 'token')}"
    click.echo(f"{total} in {seconds:.2f} s: {counts[1] / max(seconds, 1e-9):,.0f} tokens/s", err=True)
