"""What the verbs that predict share: which format an input has, terminals, and how fast it went."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from seqkit.errors import DataError
from seqkit.metrics.scores import plural

if TYPE_CHECKING:
    from seqkit.data.sentence import Sentence

__all__ = ["counted", "flushed", "input_format_of", "is_live", "say_speed"]

_Record = TypeVar("_Record")


def is_live(files: Sequence[str], input_format: str | None, quiet: bool) -> bool:
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


def input_format_of(file: str, given: str | None, known: Sequence[str], quiet: bool) -> str:
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
    from seqkit.data.formats import detect_format, is_pipe
    from seqkit.data.text import read_lines

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


def flushed(records: Iterator[_Record]) -> Iterator[_Record]:
    """Records for someone who types and waits: what was written is shown before the next line is read.

    Args:
        records: the records.

    Yields:
        The same.
    """
    for record in records:
        yield record
        sys.stdout.flush()


def say_speed(counts: Sequence[int], noun: str, seconds: float) -> None:
    """Say on standard error how much was predicted and how fast.

    Args:
        counts: sentences and tokens.
        noun: what a sentence is called.
        seconds: how long it took.
    """
    total = f"{plural(counts[0], noun)}, {plural(counts[1], 'token')}"
    click.echo(f"{total} in {seconds:.2f} s: {counts[1] / max(seconds, 1e-9):,.0f} tokens/s", err=True)
