"""The verb that predicts files or standard input: ``predict`` and, of a language model, ``score``."""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import replace
from inspect import cleandoc
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from seqkit.cli.group import HELP_OPTIONS
from seqkit.cli.options import (
    batch_options,
    checked_options,
    described_by,
    device_options,
    of_ensemble,
    prediction_options,
    quiet_option,
    refuse_flag,
    refuse_unshown,
    section_options,
    stream_option,
    usage_unless,
    workers_option,
)
from seqkit.cli.outputs import keep_inputs, named_by_options
from seqkit.errors import DataError, SeqkitError, file_errors, shortened
from seqkit.formats.format import Description
from seqkit.formats.intervals import FILE_SUFFIXES
from seqkit.formats.text import data_suffix, read_lines
from seqkit.metrics.scores import plural
from seqkit.serving.process import Answer, Job, open_model
from seqkit.terminal import one_line, tell
from seqkit.torchrun import Launch

if TYPE_CHECKING:
    from seqkit.formats.format import Format
    from seqkit.formats.text import Part
    from seqkit.tasks import Task

Inputs = list[tuple[str, Description, int]]
"""names of files, or ``-``, how they are read, and their sizes where several processes have to have the same"""
_LOOKED_AT = 400
"""lines in which a fault is found before anything is written"""
_SHOWN = 5
"""files of a folder that are not read and named"""
_SPEAKERS_BYTES = 1 << 26
"""bytes of rows that are predicted together where all sequences of a speaker have to be: some 500,000 rows"""
_STREAMED = ("text", "jsonl")
"""output formats of sequences of vectors that are still going on"""
Requests = Callable[[Inputs], Iterator[Any]]


def predict_command(task: Task, verb: str) -> click.Command:
    """Make the verb that predicts.

    Args:
        task: the task.
        verb: what it is called.

    Returns:
        The command.
    """

    @click.command(
        verb,
        short_help=task.predict.partition("\n")[0].partition(", in order")[0] + ".",
        help=cleandoc(task.predict),
        context_settings=HELP_OPTIONS,
    )
    @prediction_options(task)
    @section_options(*(row.options_class for row in task.rows))
    @folder_option(task)
    @stream_option(task)
    @batch_options
    @workers_option
    @device_options
    @quiet_option
    def predict(
        files: tuple[str, ...],
        directory: Path,
        input_format: str | None,
        columns: str | None,
        token_column: str | None,
        encoding: str | None,
        output_format: str | None,
        batch_tokens: int,
        precision: str,
        workers: int,
        device: str,
        threads: int | None,
        quiet: bool,
        text_field: str | tuple[str, ...] | None = None,
        frames_field: str | None = None,
        folder: Path | None = None,
        stream: bool = False,
        **given: Any,
    ) -> int:
        directory = of_ensemble(directory, given, task)
        row = trained_row(directory, task)
        options = checked_options(row.options_class(), given, row)
        texts = text_field if isinstance(text_field, tuple) else (text_field,) if text_field else ()
        of_words = {"--text": text_field or None, "--token-column": token_column}
        others = of_words if row.records == "frames" else {"--frames": frames_field}
        for flag in (flag for flag, value in others.items() if value is not None):
            refuse_flag(flag, row, has=lambda other: (other.records == "frames") != (row.records == "frames"))
        output_format = output_format or row.writes[0]
        usage_unless(
            output_format in row.writes,
            f"Invalid value for '--output-format': this model's are {', '.join(row.writes)}, found {output_format!r}.",
        )
        refuse_unshown(row.options_class(), options, output_format)
        written = Files(folder, output_format) if output_format in FILE_SUFFIXES else None
        usage_unless(folder is None or written, f"--output-dir is for {' and '.join(FILE_SUFFIXES)}.")
        job = Job(task.name, str(directory), options, output_format, batch_tokens, precision, quiet, device, threads)

        def requests(inputs: Inputs) -> Iterator[Any]:
            from seqkit.formats.blocks import cut  # all formats, for which help texts need not wait
            from seqkit.model.requests import block_request

            for block in cut([(file, description) for file, description, _ in inputs], **_size(directory)):
                for part in () if input_format or quiet else filter(_is_json, block):
                    tell(f"{part.name}: read as text, though it looks like JSON Lines; --format jsonl reads its fields")
                yield block_request(block, output_format)

        launch = Launch.from_environment()
        quiet = quiet or launch.rank > 0
        names = files_in(files, row, quiet=quiet) or ("-",)
        keep_inputs(directory, *names, *named_by_options(row.options_class(), options))
        asked = described_by(input_format, columns, token_column, encoding)
        folder_of_all = files[0] if len(files) == 1 and os.path.isdir(files[0]) else ""
        usage_unless(
            len(texts) in ((0, 2) if row.records == "pairs" else (0, 1)),
            f"--text is given {'once' if len(texts) == 1 else 'twice'}; the model reads {row.content}.",
        )
        first, second = (*texts, "", "")[:2]
        asked = replace(asked, text=first or frames_field or "", second=second, below=folder_of_all)
        live = sys.stdin.isatty() and names == ("-",)

        def find() -> Inputs:
            trained = trained_description(directory)
            found = [(file, described(file, asked, row, quiet, trained)) for file in names]
            _refuse_for_files(found, columns, frames_field)
            return [(*one, os.path.getsize(one[0]) if launch.size > 1 else 0) for one in found]

        if stream:
            _refuse_for_streams(job, row, workers, launch, names)
        with _streamed(job, find) if stream else _answers(job, find, requests, workers, launch, names) as answers:
            if live and not (quiet or (stream and row.records == "frames")):
                tell(f"reading {input_format or 'text'} from the terminal; Ctrl-D ends it")
            began = time.perf_counter()
            total = {"records": 0, "tokens": 0, "unknown": 0, "shortened": 0}
            left_out: Counter[str] = Counter()
            sys.stdout.flush()
            for found in answers:
                left_out.update(found.get("left_out", {}))
                _write(found.get("output", "") if written is None else written.take(found.get("files", [])))
                if found["fault"] is not None:
                    raise SeqkitError(found["fault"])
                total = {name: total[name] + found[name] for name in total}
            _write("" if written is None else written.rest())
            seconds = time.perf_counter() - began
        for what, times in () if quiet else left_out.items():
            tell(shortened(f"{what}: {times:,}"))
        if not (quiet or live):
            counted = f"{plural(total['records'], row.record)}, {plural(total['tokens'], row.unit)}"
            tell(f"{counted} in {seconds:.2f} s: {total['tokens'] / max(seconds, 1e-9):,.0f} {row.unit}s/s")
            if total["unknown"]:
                scored = "; all are scored as one unknown unit" if task.name == "lm" else ""
                tell(f"{total['unknown']:,} of the units are unknown to the model{scored}")
            if total["shortened"]:
                tell("only the most probable of all labels are written of each text; --top N writes more")
        return 0

    return predict


def _is_json(part: Part) -> bool:
    """Whether a pipe, which is not looked at before it is read as text, begins with an object of JSON Lines."""
    from seqkit.formats.registry import is_pipe

    begins = part.first == 1 and part.format == "text" and part.data.startswith((b'{"', b'{ "'))
    return begins and (part.name == "<stdin>" or is_pipe(part.name))


def _refuse_for_files(found: Sequence[tuple[str, Description]], columns: str | None, frames_field: str | None) -> None:
    """Refuse what describes files of other formats than any of these."""
    from seqkit.formats.registry import FORMATS

    forms = [FORMATS[description.format] for _, description in found]
    needed = {
        "--columns names the columns of tables": columns is None or any(form.head is not None for form in forms),
        "--frames names a field of manifests": frames_field is None or not all(form.opens for form in forms),
    }
    file = "standard input" if found[0][0] == "-" else one_line(found[0][0])
    for what, is_used in needed.items():
        usage_unless(is_used, f"{what}, and {file} has none: it is read as {forms[0].name}.")


class Files:
    """Where output goes of which a file holds one record: files of a folder, or one on standard output.

    Args:
        folder: the folder, which is made; None for standard output.
        output_format: the output format, a key of `FILE_SUFFIXES`.

    Raises:
        DataError: the folder cannot be made.
    """

    def __init__(self, folder: Path | None, output_format: str) -> None:
        self.folder = folder
        self.suffix = FILE_SUFFIXES[output_format]
        self._names: Counter[str] = Counter()
        self._only: str | None = None
        if folder is not None:
            with file_errors("the folder cannot be made", folder):
                folder.mkdir(parents=True, exist_ok=True)

    def take(self, files: Sequence[Sequence[str]]) -> str:
        """Write files, each under its name or, where there was that name, with a number; nothing is overwritten.

        Args:
            files: pairs of a name and a text.

        Returns:
            Nothing, for standard output; see `rest`.

        Raises:
            DataError: a file cannot be written or is there already, or there is no folder for more than one.
        """
        for name, text in files:
            if self.folder is None:
                if self._only is not None:
                    raise DataError("a file of this format holds one record, and there are several; --output-dir DIR")
                self._only = text
                continue
            folded = name.casefold()
            while self._names[folded]:  # also where only the case differs, which some systems do not tell apart
                self._names[folded] += 1
                name = f"{name}-{self._names[folded]}"
                folded = name.casefold()
            self._names[folded] += 1
            path = self.folder / f"{name}{self.suffix}"
            with file_errors("cannot be written", path), path.open("x", encoding="utf-8", newline="\n") as stream:
                stream.write(text)
        return ""

    def rest(self) -> str:
        """What is written to standard output at the end."""
        return self._only or ""


def folder_option(task: Task) -> Callable[[Any], Any]:
    """A decorator that adds ``--output-dir``, if the task has formats of which a file holds one record.

    Args:
        task: the task.

    Returns:
        The decorator.
    """
    formats = [name for row in task.rows for name in row.writes if name in FILE_SUFFIXES]
    told = f"folder for {' and '.join(formats)}, of which a file holds one record; it may be on standard output alone"
    option = click.option("--output-dir", "folder", type=click.Path(path_type=Path), metavar="DIR", help=told)
    return option if formats else lambda function: function


def files_in(files: Sequence[str], row: Task, *, quiet: bool) -> tuple[str, ...]:
    """The files, and of a folder those of its files that are read, see `seqkit.corpora.split.sequence_files`.

    Args:
        files: names of files and folders.
        row: the task, as a model has it.
        quiet: do not say which files of a folder are not read.

    Returns:
        Names of files.

    Raises:
        DataError: a folder has no sequences of vectors.
    """
    if row.records != "frames" or not any(map(os.path.isdir, files)):
        return tuple(files)
    from seqkit.corpora.split import sequence_files

    found: list[str] = []
    for file in files:
        if not os.path.isdir(file):
            found.append(file)
            continue
        inside, others = sequence_files(Path(file))
        found += map(str, inside)
        if others and not quiet:
            names = [str(path.relative_to(file)) for path in others[:_SHOWN]]
            rest = f" and {len(others) - _SHOWN:,} more" if len(others) > _SHOWN else ""
            tell(f"{file}: {plural(len(inside), 'file')} read, not {', '.join(names)}{rest}")
    return tuple(found)


def trained_row(directory: Path, task: Task) -> Task:
    """The row of a task for what a model reads.

    Args:
        directory: the model.
        task: the task.

    Returns:
        The row; the first one if the model cannot be read, of which its loader says what is wrong.
    """
    try:
        return task.of(json.loads((directory / "config.json").read_bytes())["settings"].get("input", task.input_name))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, SeqkitError):
        return task


def trained_description(directory: Path) -> Description:
    """Which columns the data had that a model learned from.

    Args:
        directory: the model.

    Returns:
        What its settings say; nothing if it cannot be read, of which its loader says what is wrong.
    """
    from seqkit.formats.format import column_names

    data = _trained_settings(directory, "data")
    try:
        return Description(columns=column_names(data["columns"]), token_column=data["token_column"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return Description()


def _trained_settings(directory: Path, section: str) -> dict[str, Any]:
    """A section of a model's settings; nothing if it cannot be read, of which its loader says what is wrong."""
    try:
        found = json.loads((directory / "config.json").read_bytes())["settings"][section]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _size(directory: Path) -> dict[str, int]:
    """The bytes of input that are predicted together, where all sequences of a speaker have to be."""
    of_speakers = _trained_settings(directory, "frames").get("normalize") == "speaker"
    return {"size": _SPEAKERS_BYTES} if of_speakers else {}


def _as_trained(file: str, found: Description, trained: Description) -> str:
    """What to tell of a file of columns that has those of training; nothing if it has its own."""
    from seqkit.formats.columns import token_place
    from seqkit.formats.registry import FORMATS

    head = FORMATS[found.format].head
    if found.format != "conll" or head is None or not (trained.columns or trained.token_column):
        return ""
    with suppress(DataError):
        width, _, *names = head(read_lines(file, found.encoding), file)[0] or (0, False)
        if names or width < 2 or len(trained.columns) not in (0, width):
            return ""
        place = token_place(trained.columns or [*map(str, range(width))], trained.token_column)
        if trained.columns:
            return f"the columns are those of training: {', '.join(trained.columns)}; --columns overrides this"
        return f"the tokens are in column {place} (counted from 0) as in training; --token-column overrides this"
    return ""


def described(
    file: str, given: Description, task: Task, quiet: bool, trained: Description | None = None
) -> Description:
    """How one input is to be read; that the file is there and can be read is checked here.

    Args:
        file: the file, or ``-``.
        given: what the user said; the rest is found out.
        task: the task, which reads what has its records.
        quiet: do not say what was found where the file's name does not tell.
        trained: which columns the data of training had, which a file of as many columns has, too.

    Returns:
        The description; the format is ``text`` for what can be read only once and so not be looked at.

    Raises:
        DataError: the file cannot be read or is in another format.
    """
    # numpy comes along, which no help text needs
    from seqkit.formats.registry import FORMATS, USUAL_SUFFIXES, describe, is_pipe

    given = replace(given, target="-1")  # labels are not read, so that none has to be found
    read_once = file == "-" or is_pipe(file)
    notes: list[str] = []
    if read_once:
        found = replace(given, format=given.format or ("jsonl" if task.records == "frames" else "text"))
    elif task.records == "lines" and not given.format:  # whose lines may look like anything
        found = replace(given, format=USUAL_SUFFIXES.get(data_suffix(file), "text"))
    else:
        found, notes = describe(file, given, texts=task.records != "sentences")
        unsaid = trained is not None and not (given.columns or given.token_column)
        if trained is not None and unsaid and (note := _as_trained(file, found, trained)):
            known = replace(given, columns=trained.columns, token_column=trained.token_column)
            found, notes = describe(file, known, texts=task.records != "sentences")
            notes.append(f"{file}: {note}")
    if not _is_read(FORMATS[found.format], task):
        reads = task.reads
        lines = task.records == "lines"
        which = f"--input {reads[0]} reads its lines as they are" if lines else "say which with --input"
        message = f"the format is {found.format}, but this command reads {', '.join(reads)}; {which}"
        raise DataError(message, file=file)
    if not read_once and not FORMATS[found.format].opens:
        deque(islice(read_lines(file, found.encoding), _LOOKED_AT), maxlen=0)
        for note in () if quiet else notes:
            tell(note)
    return found


def _is_read(form: Format, task: Task) -> bool:
    """Whether files of a format have records of a task."""
    if task.records == "lines":
        return form.name in task.reads
    reader = {"sentences": form.sentences, "frames": form.frames}.get(task.records, form.texts)
    return reader is not None


def _write(text: str) -> None:
    """Write all of it: without a buffer, as with PYTHONUNBUFFERED, a pipe may take but a part at a time."""
    rest = memoryview(text.encode("utf-8", "backslashreplace"))
    while rest:
        rest = rest[sys.stdout.buffer.write(rest) :]
    sys.stdout.buffer.flush()


# --- streams ------------------------------------------------------------------------------------------------------


def _streamed(job: Job, find: Callable[[], Inputs]) -> AbstractContextManager[Iterator[Answer]]:
    from seqkit.cli.stream import streamed

    return nullcontext(streamed(job, [(file, description) for file, description, _ in find()]))


def _refuse_for_streams(job: Job, task: Task, workers: int, launch: Launch, names: Sequence[str]) -> None:
    """Check that nothing is asked for that makes no sense of an input that is still coming, or would be ignored."""
    from seqkit.formats.registry import is_pipe

    forms = task.writes[:1] if task.records != "frames" else [name for name in _STREAMED if name in task.writes]
    usage_unless(task.options_class().streams, "--stream is not for what this model reads.")
    only = " and ".join(forms)
    usage_unless(job.output_format in forms, f"--stream writes {only} only, not {job.output_format}.")
    usage_unless(workers == 1, "--workers and --stream exclude each other: one process reads a stream.")
    if launch.size > 1:
        _refuse_for_ranks(
            (), workers, launch, ["torchrun and --stream exclude each other: one process reads a stream."]
        )
    usage_unless(job.precision == "fp32", f"--stream computes in fp32 only, not {job.precision}.")
    reasons = {"batch_tokens": "a stream makes no batches"}
    if task.records != "frames":
        reasons |= dict.fromkeys(("columns", "token_column"), "a stream reads lines of words, without columns")
    elif any(name == "-" or is_pipe(name) for name in names):
        live = "what comes through a pipe is samples, or frames a line, and has no fields"
        reasons |= dict.fromkeys(("input_format", "columns", "frames_field"), live)
    context = click.get_current_context()
    for parameter in context.command.params:
        is_given = context.get_parameter_source(str(parameter.name)) is ParameterSource.COMMANDLINE
        reason = reasons.get(str(parameter.name), "") if is_given else ""
        usage_unless(not reason, f"{parameter.opts[0]} and --stream exclude each other: {reason}.")


# --- processes ----------------------------------------------------------------------------------------------------


def _answers(
    job: Job, find: Callable[[], Inputs], requests: Requests, workers: int, launch: Launch, names: Sequence[str]
) -> AbstractContextManager[Iterator[Answer]]:
    """The answers of this process, of workers, or of the processes of ``torchrun``."""
    if launch.size > 1:
        _refuse_for_ranks(names, workers, launch)
        from seqkit.serving.ranks import joined_ranks

        return joined_ranks(job, find, requests, launch)
    found = requests(find())  # first, so that a fault of the files is seen before the model is loaded
    return nullcontext(map(open_model(job), found)) if workers == 1 else _with_workers(job, found, workers)


@contextmanager
def _with_workers(job: Job, requests: Iterator[Any], count: int) -> Iterator[Iterator[Answer]]:
    from seqkit.serving.workers import started_workers

    with started_workers(job, count) as crew:
        yield crew.answers(requests)


def _refuse_for_ranks(files: Sequence[str], workers: int, launch: Launch, known: Sequence[str] = ()) -> None:
    """Check that processes started by ``torchrun`` can share the work; the first one says if not."""
    from seqkit.formats.registry import is_pipe

    faults = [*known, *(["--workers and torchrun exclude each other."] if workers > 1 else [])]
    for file in files:
        if file == "-" or is_pipe(file):
            name = "standard input" if file == "-" else f"{file}, a pipe or device"
            faults.append(f"torchrun needs files, which each of its processes can read, not {name}.")
    if faults and launch.rank:
        # With any other status torchrun would end the first process before it has said why.
        click.get_current_context().exit(0)
    usage_unless(not faults, "".join(faults[:1]))
