"""``predict --stream``: answers are written while the input is still coming."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from seqkit.errors import DataError, describe
from seqkit.formats.format import Description, split_at_spaces
from seqkit.formats.live import read_pieces, whole_lines
from seqkit.formats.writers import OpenRows
from seqkit.serving.process import Answer, Job, bound_kernels, memory_returner, prepare_torch
from seqkit.terminal import tell

if TYPE_CHECKING:
    from seqkit.model.streaming import Stream
    from seqkit.records import SplitFunction

_READ = ("text", "tokens")
"""formats that can be read word by word or line by line"""


def streamed(job: Job, inputs: Sequence[tuple[str, Description]]) -> Iterator[Answer]:
    """Answer while the inputs are still coming.

    Args:
        job: what to do.
        inputs: names of files, or ``-``, and how they are read.

    Returns:
        An iterator over what can be written, as `seqkit.model.base.Predictor.answer` gives it for blocks of files.

    Raises:
        DataError: an input is in another format than text or tokens.
        SettingsError: the model cannot be streamed, or not with these options.
    """
    for file, description in inputs:
        if description.format not in _READ:
            found = f"found {description.format}"
            raise DataError(f"--stream reads lines of {' or '.join(_READ)} (--input), {found}", file=file)
    bound_kernels()
    prepare_torch(job.threads)
    from seqkit.model.loading import load

    model = load(job.model, job.device, task=job.task)
    stream = model.stream(**job.options)
    if stream.lag and job.options.get("lag") is None and not job.quiet:
        tell(f"each label is decided {stream.lag} tokens later, or at the end of its sentence; --lag N changes that")
    return _answers(stream, model.input.split, inputs)


def _answers(stream: Stream, split: SplitFunction, inputs: Sequence[tuple[str, Description]]) -> Iterator[Answer]:
    give_back = memory_returner()
    try:
        for file, description in inputs:
            for output, tokens, ended in _rows(stream, split, file, description):
                yield {"output": output, "records": int(ended), "tokens": tokens, **_NOTHING}
                give_back()
    except Exception as error:
        fault = describe(error)
        if fault is None:
            raise
        yield {"output": "", "records": 0, "tokens": 0, **_NOTHING, "fault": fault}


_NOTHING: dict[str, Any] = {"unknown": 0, "shortened": 0, "fault": None}


def _rows(stream: Stream, split: SplitFunction, file: str, description: Description) -> Iterator[tuple[str, int, bool]]:
    """Rows of one input, of how many new tokens they come, and whether a sentence ends with them."""
    pieces = read_pieces(file, description.encoding)
    if description.format == "tokens":
        split = split_at_spaces
    else:  # how a line is split depends on all of it
        pieces = whole_lines(pieces)
    rows: OpenRows | None = None
    for line, text, ended in pieces:
        rows = rows or OpenRows("<stdin>" if file == "-" else file, line)
        tokens = [text[start:end] for start, end in split(text)]
        answers = [*stream.accept(tokens), *(stream.finish() if ended else ())]
        cells = [[each.label] if each.prob is None else [each.label, f"{each.prob:.4f}"] for each in answers]
        yield rows.add(tokens, cells, ended), len(tokens), ended
        rows = None if ended else rows
