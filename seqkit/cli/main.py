"""The command `seqkit`: finds the subcommand, renders faults as one line, sets exit statuses."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

import click

from seqkit import __version__
from seqkit.errors import SeqkitError

__all__ = ["cli", "main"]

COMMANDS = {
    "tag": ("seqkit.cli.tag", "Label every token: parts of speech, entities, chunks."),
    "data": ("seqkit.cli.data", "List, fetch, check, describe and convert data sets."),
    "info": ("seqkit.cli.info", "Describe a model."),
}
"""name → the module whose attribute ``command`` is the command, and its line in the listing"""


class _Root(click.Group):
    """Subcommands that are imported only when they are run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order of `COMMANDS`."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(COMMANDS[cmd_name][0]).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The listing of commands, without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])


@click.command(cls=_Root, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="seqkit")
def cli() -> None:
    """Tag, classify, model and generate sequences with one recurrent encoder.

    \b
    seqkit tag train sample-ner -c sample-ner -o model
    echo "Ada Lovelace met Charles Babbage in London." | seqkit tag -m model

    Results go to standard output, everything else to standard error.
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: the arguments after the program's name; by default those of the process.

    Returns:
        The exit status: 0 done, 1 a fault in data, model or environment, 2 wrong usage, 130 interrupted.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            errors = "strict" if stream is sys.stdout else "backslashreplace"
            stream.reconfigure(encoding="utf-8", errors=errors)
    try:
        status = cli.main(None if arguments is None else list(arguments), prog_name="seqkit", standalone_mode=False)
        sys.stdout.flush()
        return status if isinstance(status, int) else 0
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except SeqkitError as error:
        print(f"error: {one_line(str(error))}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # Whoever read the results has gone: nothing is left to say, and the interpreter must not say it at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (KeyboardInterrupt, click.Abort):
        return 130


def one_line(message: str) -> str:
    """A message on one line, whatever was in the data it quotes."""
    return " ".join(part for part in message.splitlines() if part)
