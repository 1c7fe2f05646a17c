"""``predict --stream``: answers are written while the input is still coming."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

from seqkit.errors import DataError, describe, shown
from seqkit.formats.audio import AudioFile
from seqkit.formats.format import Description, ReadOptions, split_at_spaces
from seqkit.formats.json_text import line_value
from seqkit.formats.live import read_bytes, read_pieces, whole_lines
from seqkit.formats.registry import described_frames, is_pipe
from seqkit.formats.text import is_blank
from seqkit.formats.writers import OpenRows, to_json
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
    bound_kernels()
    prepare_torch(job.threads)
    from seqkit.model.loading import load

    model = load(job.model, job.device, task=job.task)
    frames = model.task.records == "frames"
    for file, description in inputs:
        if not frames and description.format not in _READ:
            found = f"found {description.format}"
            raise DataError(f"--stream reads lines of {' or '.join(_READ)} (--input), {found}", file=file)
    stream = model.stream(**job.options)
    if stream.lag and job.options.get("lag") is None and not job.quiet:
        later = f"{stream.lag} {model.task.step}s later, or at the end of its {model.task.record}"
        tell(f"each label is decided {later}; --lag N changes that")
    if frames:
        if any(_is_live(file) for file, _ in inputs) and not job.quiet:
            tell(_expected(model))
        return _answers(_symbols(stream, model, job.output_format, inputs))
    split: SplitFunction = model.input.split
    return _answers(chain.from_iterable(_rows(stream, split, file, description) for file, description in inputs))


def _answers(found: Iterator[tuple[str, int, bool]]) -> Iterator[Answer]:
    give_back = memory_returner()
    try:
        for output, tokens, ended in found:
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


# --- sequences of vectors -----------------------------------------------------------------------------------------

_CONTAINERS = {b"RIFF": "WAV", b"RF64": "WAV", b"fLaC": "FLAC", b"OggS": "Ogg", b"FORM": "AIFF", b".snd": "AU"}
"""first bytes of recordings that have a header → what they are"""


class _Chunk(NamedTuple):
    """What comes next of a sequence of vectors.

    Attributes:
        content: frames or samples, perhaps none.
        ended: whether the sequence ends with them.
        fault: a message → the error that says where they came from.
        seconds: where the sequence ends, how long it was, if it was a recording in a file.
    """

    content: Any
    ended: bool
    fault: Callable[[str], DataError]
    seconds: float | None = None


def _is_live(file: str) -> bool:
    return file == "-" or is_pipe(file)


def _name(file: str) -> str:
    return "<stdin>" if file == "-" else file


def _expected(model: Any) -> str:
    """What is read of a pipe, for the user."""
    if model.input.acoustics is not None:
        rate = model.input.acoustics.rate
        return f"reading raw samples: signed 16 bit, little endian, one channel, {rate:,} Hz"
    return f"reading frames: a JSON list of {model.input.size} numbers a line; an empty line ends a sequence"


def _symbols(
    stream: Stream, model: Any, output_format: str, inputs: Sequence[tuple[str, Description]]
) -> Iterator[tuple[str, int, bool]]:
    """The output, of how many new frames it comes, and whether a sequence ends with it.

    Text of a sequence is a line. Of objects, one a line, an empty line stands between two sequences.
    """
    text = model.head.open_text() if output_format == "text" else None
    sequences, begun = 0, False
    for chunk in chain.from_iterable(_chunks(model, file, description) for file, description in inputs):
        output = "" if begun or not sequences or text is not None else "\n"
        begun = True
        try:
            answers = stream.accept(chunk.content)
            output += _written(stream, text, answers)
            if chunk.ended:
                if output:  # before a fault of what is left
                    yield output, 0, False
                output = _written(stream, text, stream.finish(chunk.seconds))
        except DataError as error:
            raise chunk.fault(str(error)) from None
        if chunk.ended:
            if text is not None:
                text.end()
                output += "\n"
            sequences, begun = sequences + 1, False
        yield output, stream.extent.frames if chunk.ended else 0, chunk.ended


def _written(stream: Stream, text: Any, answers: Sequence[Any]) -> str:
    if text is not None:
        found: str = text.add(answer.symbol for answer in answers)
        return found
    return "".join(f"{to_json(stream.to_json(answer))}\n" for answer in answers)


def _chunks(model: Any, file: str, description: Description) -> Iterator[_Chunk]:
    """What an input has, as it comes; what comes before a fault is given first."""
    if not _is_live(file):
        for record in described_frames(
            file, description, ReadOptions(frames=description.text or model.settings.data.frames)
        ):
            yield from (_Chunk(part, False, record.fault) for part in model.input.parts(record))
            yield _Chunk(
                (), True, record.fault, record.source.seconds if isinstance(record.source, AudioFile) else None
            )
    elif model.input.acoustics is not None:
        yield from _samples(file)
    else:
        yield from _lines(file, description.encoding)


def _samples(file: str) -> Iterator[_Chunk]:
    """Raw samples of 16 bits, one sequence."""
    import numpy as np

    def fault(message: str) -> DataError:
        return DataError(message, file=_name(file))

    rest, begun = b"", False
    for data in read_bytes(file):
        whole = rest + data
        if not begun:
            if len(whole) < 4:
                rest = whole
                continue
            if kind := _CONTAINERS.get(whole[:4]):
                raise fault(f"expected raw samples without a header, found a recording ({kind}); name it as a file")
            begun = True
        cut = len(whole) - len(whole) % 2
        yield _Chunk(np.frombuffer(whole[:cut], "<i2"), False, fault)
        rest = whole[cut:]
    if begun or rest:
        yield _Chunk(np.frombuffer(rest[: len(rest) - len(rest) % 2], "<i2"), True, fault)
    if len(rest) % 2:
        raise fault("the last sample is cut short: it has one byte of two")


def _lines(file: str, encoding: str) -> Iterator[_Chunk]:
    """Frames, one a line, of sequences with empty lines between them."""
    name, open = _name(file), False
    for line, text, _ in whole_lines(read_pieces(file, encoding)):

        def fault(message: str, line: int = line) -> DataError:
            return DataError(message, file=name, line=line)

        if not is_blank(text):
            frame = line_value(text, name, line)
            if not isinstance(frame, list) or not all(isinstance(number, int | float) for number in frame):
                raise fault(f"expected a frame, a list of numbers, found {shown(text)}")
            yield _Chunk([frame], False, fault)
        elif open:
            yield _Chunk((), True, fault)
        open = not is_blank(text)
    if open:
        yield _Chunk((), True, fault)
