"""``seqkit data``: the catalogue of data sets, and files looked through, counted and converted."""

from __future__ import annotations

from typing import Any

import click

from seqkit.cli.group import HELP_OPTIONS, Commands
from seqkit.cli.options import json_option, quiet_option, write_json

__all__ = ["command"]

_JSON = json_option("write the result as JSON; - for standard output, instead of the table")
_TARGET = click.option("--target", metavar="COLUMN", help="label column: a name, or a position counted from 0")


@click.group(cls=Commands, context_settings=HELP_OPTIONS)
def command() -> None:
    """List, fetch, check, describe and convert data sets.

    DATA is the name of a data set, a folder with train, dev (valid, val) and test files, or one file. A named data set
    is looked for in each folder of $SEQKIT_DATA, then in the cache ($SEQKIT_CACHE, or the platform's own), then
    downloaded.
    """


@command.command("list")
@_JSON
def list_data(json_file: str | None) -> None:
    """The data sets that seqkit knows, and where each is."""
    from seqkit.corpora.cards import list_cards

    rows = []
    for card in list_cards():
        place, folder = _where(card)
        shown = card.model_dump(include={"name", "task", "language", "licence", "description", "homepage", "target"})
        rows.append({**shown, "where": place, "folder": folder})
    if json_file is not None:
        write_json(rows, json_file)
    if json_file != "-":
        table = [("name", "task", "language", "where", "licence")]
        table += [(row["name"], row["task"], row["language"], row["where"], row["licence"]) for row in rows]
        widths = [max(len(row[column]) for row in table) for column in range(4)]
        for *cells, licence in table:
            line = [cell.ljust(width) for cell, width in zip(cells, widths, strict=True)]
            click.echo("  ".join([*line, licence]))


def _where(card: Any) -> tuple[str, str | None]:
    from seqkit.corpora.resolve import find_folder

    if card.generator is not None:
        return "embedded", None
    folder, _ = find_folder(card)
    if folder is not None:
        return "here", str(folder)
    return ("download" if card.downloadable else "bring your own"), None


@command.command("fetch", short_help="Download a data set, or write a sample.")
@click.argument("name")
@quiet_option
def fetch_data(name: str, quiet: bool) -> None:
    """Download data set NAME into the cache and print its folder; a sample is written there.

    Checksums are those of the data set's card; a download that differs is thrown away.
    """
    from seqkit.corpora.cards import load_card
    from seqkit.corpora.fetch import fetch

    click.echo(str(fetch(load_card(name), quiet=quiet)))


@command.command("check", short_help="Name every fault of a data set.")
@click.argument("data_set", metavar="DATA")
@_TARGET
@_JSON
@quiet_option
def check_data(data_set: str, target: str | None, json_file: str | None, quiet: bool) -> int:
    """Name every fault of DATA, one a line, with file and line; exit with 1 where there is one.

    Faults are lines that are not UTF-8, rows of the wrong width, label sequences that their scheme does not allow,
    labels that train does not have, sentences that stand in two splits, files without a sentence, and files of a named
    data set that are not as published.
    """
    from dataclasses import asdict

    from seqkit.corpora.check import check
    from seqkit.corpora.resolve import resolve

    found = resolve(data_set, quiet=quiet)
    problems = check(found, target)
    if json_file is not None:
        write_json([asdict(problem) for problem in problems], json_file)
    if json_file != "-":
        for problem in problems:
            click.echo(str(problem))
    if not quiet:
        _say(found.notes)
        click.echo(f"{found.name}: {len(problems) or 'no'} fault{'' if len(problems) == 1 else 's'}", err=True)
    return 1 if problems else 0


@command.command("stats")
@click.argument("data_set", metavar="DATA")
@_TARGET
@_JSON
@quiet_option
def stats_data(data_set: str, target: str | None, json_file: str | None, quiet: bool) -> None:
    """Count the sentences, tokens, labels and unseen words of DATA."""
    from seqkit.corpora.resolve import resolve
    from seqkit.corpora.statistics import render_statistics, statistics

    found = resolve(data_set, quiet=quiet)
    numbers = statistics(found, target)
    if json_file is not None:
        write_json({split: part.to_json() for split, part in numbers.items()}, json_file)
    if json_file != "-":
        click.echo(render_statistics(numbers), nl=False)
    if not quiet:
        _say(found.notes)


@command.command("convert")
@click.argument("source", metavar="IN")
@click.argument("destination", metavar="OUT")
@click.option(
    "--input", "source_format", metavar="FORMAT", help="format of IN: conll, conllu, jsonl, text, tokens  [found out]"
)
@click.option("--output-format", metavar="FORMAT", help="format of OUT: conll, conllu, jsonl  [by its extension]")
@click.option(
    "--scheme",
    type=click.Choice(["iob1", "iob2", "bioes"]),
    help="rewrite span labels in this scheme, illegal ones mended",
)
@click.option("--columns", metavar="NAME,…", help="names of a column file's columns, in order")
@quiet_option
def convert_data(
    source: str,
    destination: str,
    source_format: str | None,
    output_format: str | None,
    scheme: str | None,
    columns: str | None,
    quiet: bool,
) -> None:
    """Convert file IN to file OUT; - is standard input or output."""
    from seqkit.corpora.convert import convert_file
    from seqkit.formats.splitting import Splitter

    count = convert_file(
        source,
        destination,
        source_format=source_format,
        destination_format=output_format,
        scheme=scheme,
        columns=columns.split(",") if columns else None,
        splitter=Splitter("words").split,
    )
    if not quiet:
        click.echo(f"{count:,} sentences", err=True)


def _say(notes: list[str]) -> None:
    for note in notes:
        click.echo(note, err=True)
