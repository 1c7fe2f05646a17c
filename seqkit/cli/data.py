"""``seqkit data``: the catalogue of data sets; checking, counting and converting files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from seqkit.cli.group import HELP_OPTIONS, Commands
from seqkit.cli.options import (
    borders_option,
    choice,
    described_by,
    format_option,
    json_option,
    layout_options,
    quiet_option,
    texts_option,
    write_json,
)
from seqkit.cli.outputs import keep_inputs
from seqkit.errors import DataError
from seqkit.resources import imported
from seqkit.tasks import TASKS
from seqkit.terminal import one_line, show, tell

if TYPE_CHECKING:
    from seqkit.corpora.dataset import Dataset

_DATA = click.argument("data_set", metavar="DATA")
_JSON = json_option("write the result as JSON; - for standard output, instead of the table")
_READ_AS = format_option("--format", help="format of the files  [default: by their names and content]")
_TARGET = click.option(
    "--target",
    "--label-column",
    "--label",
    metavar="COLUMN",
    help="label column: a name, or a position from 0 (-1: the last); for labelled texts, the field of the label",
)


_TEXT = click.option(
    "--text", metavar="FIELD", default="text", show_default=True, help="field of the text, for labelled texts"
)
_TEXTS = texts_option("--text", "--source", "texts", default="text, or those of a named data set")
_FRAMES = click.option(
    "--frames",
    "frames_field",
    metavar="FIELD",
    default="",
    help="field of sequences of vectors: array file, recording or numbers  [default: frames, audio, path or file]",
)


_REGRESSION = click.option(
    "--regression", is_flag=True, help="the labels of texts are numbers  [default: where nearly all look like such]"
)


@click.group(cls=Commands, context_settings=HELP_OPTIONS)
def command() -> None:
    """List, fetch, check, describe and convert data sets.

    DATA is the name of a data set, a folder with train, dev (valid, val) and test files, or one file. A named data set
    is searched in each folder of $SEQKIT_DATA, then in the cache ($SEQKIT_CACHE, or the platform's default), then
    downloaded.
    """


@command.command("list")
@_JSON
def list_data(json_file: str | None) -> None:
    """List the data sets that seqkit knows, and where each is."""
    from seqkit.corpora.cards import list_cards
    from seqkit.formats.writers import aligned

    fields = {"name", "task", "language", "licence", "description", "homepage", "target"}
    rows = [{**card.model_dump(include=fields), **_where(card)} for card in list_cards()]
    columns = ["name", "task", "language", "where", "licence"]
    _print(rows, json_file, aligned([columns, *([row[column] for column in columns] for row in rows)]))


def _where(card: Any) -> dict[str, str | None]:
    from seqkit.corpora.resolve import find_folder

    if card.generator is not None:
        return {"where": "embedded", "folder": None}
    folder = find_folder(card)[0]
    if folder is not None:
        return {"where": "here", "folder": str(folder)}
    return {"where": "download" if card.downloadable else "bring your own", "folder": None}


@command.command("fetch", short_help="Download a data set, or write a sample.")
@click.argument("name")
@quiet_option
def fetch_data(name: str, quiet: bool) -> None:
    """Download data set NAME into the cache, or write a sample there, and print its folder.

    Checksums are those of the data set's card; a download that differs is deleted.
    """
    from seqkit.corpora.cards import load_card
    from seqkit.corpora.fetch import fetch

    print(fetch(load_card(name), quiet=quiet))


@command.command("formats", short_help="List the formats that can be read.")
@_JSON
def list_formats(json_file: str | None) -> None:
    """List the formats that can be read, their extensions, which can be written, and where each is defined."""
    from seqkit.formats.registry import FORMATS
    from seqkit.formats.writers import aligned

    rows = [
        {
            "name": each.name,
            "content": each.content,
            "extensions": " ".join((*each.suffixes, *each.usual_suffixes)),
            "written": "yes" if each.write or each.write_texts or each.name == "npz" else "",
            "source": each.source,
        }
        for each in FORMATS.values()
    ]
    columns = ["name", "content", "extensions", "written", "source"]
    _print(rows, json_file, aligned([columns, *([row[column] for column in columns] for row in rows)]))


def _of_texts(dataset: Dataset, texts: tuple[str, ...]) -> tuple[Dataset, str]:
    """A data set whose texts come in pairs if two fields are named, and the field of the (first) text."""
    from seqkit.formats.format import Description

    known = texts or (dataset.card.texts if dataset.card is not None else ())
    return dataset.described(Description(second=known[1])) if len(known) > 1 else dataset, (*known, "text")[0]


@command.command("check", short_help="List every fault of a data set.")
@_DATA
@choice("--task", known=list(TASKS), help="also show what this task would learn: the first records, the labels")
@_TARGET
@_REGRESSION
@_TEXTS
@_FRAMES
@_READ_AS
@layout_options
@borders_option
@_JSON
@quiet_option
def check_data(
    data_set: str,
    task: str | None,
    target: str | None,
    regression: bool,
    texts: tuple[str, ...],
    frames_field: str,
    json_file: str | None,
    quiet: bool,
    **layout: Any,
) -> int:
    """List every fault of DATA, one per line, with file and line; exit with status 1 if there is one.

    Faults are lines that are not UTF-8, rows of the wrong width, label sequences that their scheme does not allow,
    labels that differ only in case, width or what nobody sees, labels that do not occur in train, sentences that occur
    in two splits, texts sorted by label of which the last tenth is held out, files without a sentence, and files of a
    named data set that differ from the published ones. A text may have several labels: a list in JSON, or labels with
    | between them.
    """
    from dataclasses import asdict

    from seqkit.corpora.check import check
    from seqkit.corpora.faulty import Problem
    from seqkit.corpora.preview import preview
    from seqkit.corpora.resolve import resolve

    keep_inputs(data=data_set)
    found = resolve(data_set, quiet=quiet).described(described_by(**layout))
    found, text = _of_texts(found, texts)
    notes, table, learned = list(found.notes), "", None
    refusals = None if task is None else imported("seqkit.model.trial:refusals")  # otherwise nothing waits for torch
    problems: list[Problem] = []
    refused = (DataError,) if task is not None else ()
    try:
        problems = check(found, target, task, text, notes, frames_field, refusals, regression=regression)
        if task is not None:
            learned = preview(found, TASKS[task], target, text, frames_field, regression=regression)
            table, notes = learned.render(), learned.notes
    except refused as error:  # also of what the task needs and the data do not have
        if str(error) not in map(str, problems):
            problems.append(Problem("", 0, f"seqkit {task} cannot learn from this: {error}"))
    listed = [asdict(problem) for problem in problems]
    result = listed if task is None else {"problems": listed, "learned": learned and asdict(learned)}
    _print(result, json_file, table + "".join(f"{one_line(problem)}\n" for problem in problems))
    if not quiet:
        count = f"{found.name}: {len(problems) or 'no'} fault{'' if len(problems) == 1 else 's'}"
        for note in (*notes, count):
            tell(note)
    return 1 if problems else 0


@command.command("stats", short_help="Count what is in a data set: sentences, tokens, labels, sequences.")
@_DATA
@_TARGET
@_REGRESSION
@_TEXTS
@_FRAMES
@_READ_AS
@layout_options
@borders_option
@_JSON
@quiet_option
def stats_data(
    data_set: str,
    target: str | None,
    regression: bool,
    texts: tuple[str, ...],
    frames_field: str,
    json_file: str | None,
    quiet: bool,
    **layout: Any,
) -> None:
    """Count the sentences, tokens, labels and unknown words of DATA, or its sequences of vectors."""
    from seqkit.corpora.resolve import resolve
    from seqkit.corpora.sequences import render_sequences, sequence_statistics
    from seqkit.corpora.statistics import render_statistics, statistics

    keep_inputs(data=data_set)
    found = resolve(data_set, quiet=quiet).described(described_by(**layout))
    found, text = _of_texts(found, texts)
    numbers: dict[str, Any]
    if frames_field or found.reads_frames(named=text != "text"):
        numbers, notes = sequence_statistics(found, frames_field, target)
        table = render_sequences(numbers)
    else:
        numbers, notes = statistics(found, target, text, regression=regression)
        table = render_statistics(numbers)
    _print({split: part.to_json() for split, part in numbers.items()}, json_file, table)
    for note in () if quiet else notes:
        tell(note)


@command.command("convert")
@click.argument("source", metavar="IN")
@click.argument("destination", metavar="OUT")
@format_option("--input", "--format", help="format of IN: conll, conllu, jsonl, text, tokens, …  [default: detected]")
@click.option(
    "--output-format",
    metavar="FORMAT",
    help="format of OUT: conll, conllu, jsonl; of texts jsonl, tsv, csv, fasttext  [default: by its extension]",
)
@choice(
    "--scheme",
    known=["iob1", "iob2", "bioes", "bilou", "bmes", "bmewo", "io"],
    help="rewrite span labels in this scheme; invalid sequences are repaired, and what io loses is counted",
)
@_TEXT
@_FRAMES
@click.option("--label", metavar="FIELD", help="field of a label for a whole text  [default: label, if there is one]")
@layout_options
@borders_option
@quiet_option
def convert_data(
    source: str,
    destination: str,
    output_format: str | None,
    scheme: str | None,
    text: str,
    frames_field: str,
    label: str | None,
    quiet: bool,
    **layout: Any,
) -> None:
    """Convert file IN to file OUT; - is standard input or output.

    Sentences whose tokens have labels stay such, and so do texts with a label or other fields. Sequences of vectors
    become an archive of arrays (.npz) or JSON lines with all numbers in them (.jsonl).
    """
    from pathlib import Path

    from seqkit.corpora.convert import convert_file
    from seqkit.corpora.dataset import Dataset
    from seqkit.corpora.split import Split

    keep_inputs(source, data=source, written={} if destination == "-" else {"OUT": destination})
    given = described_by(**layout)
    notes: list[str] = []
    convert_file(
        source,
        destination,
        source_format=given.format or None,
        destination_format=output_format,
        scheme=scheme,
        columns=given.columns,
        token_column=given.token_column,
        encoding=given.encoding,
        span_borders=given.span_borders,
        text=text,
        label=label,
        splitter=Dataset(source, {"all": Split(Path(source), given)}).splitter("sentences", text, notes=notes),
        notes=notes,
        frames=frames_field,
    )
    for note in () if quiet else notes:
        tell(note)


def _print(result: object, json_file: str | None, text: str) -> None:
    """Write a result as JSON if asked for, and print it unless JSON goes to standard output."""
    if json_file is not None:
        write_json(result, json_file)
    if json_file != "-" and text:
        show(text.removesuffix("\n"))
