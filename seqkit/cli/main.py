"""The command `seqkit`: finds the subcommand, renders faults as one line, sets exit statuses."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

import click

from seqkit._version import __version__
from seqkit.cli.group import HELP_OPTIONS, Commands
from seqkit.errors import describe
from seqkit.resources import imported
from seqkit.tasks import TASKS
from seqkit.terminal import Screen, screened_errors, tell
from seqkit.waiting import is_left

COMMANDS = {
    "lab": ("seqkit.cli.lab:command", "Study networks: gradients, memory, gates, cells compared."),
    "data": ("seqkit.cli.data:command", "List, fetch, check, describe and convert data sets."),
    "info": ("seqkit.cli.info:command", "Describe a model."),
    "bench": ("seqkit.cli.bench:command", "Measure how fast a model labels a file, and where the time goes."),
}
"""name → where the command is, and its line in the listing; the commands of tasks stand in `TASKS`"""

FAULT, INTERRUPTED = 1, 130


class _Root(Commands):
    """Subcommands that are imported only when they are run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, those of tasks first."""
        return [*TASKS, *COMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        if cmd_name in TASKS:
            found: click.Command = imported("seqkit.cli.task:command")(TASKS[cmd_name])
            return found
        return imported(COMMANDS[cmd_name][0]) if cmd_name in COMMANDS else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The listing of commands, without importing any."""
        with formatter.section("Commands"):
            rows = [(name, task.summary) for name, task in TASKS.items()]
            rows += [(name, summary) for name, (_, summary) in COMMANDS.items()]
            formatter.write_dl(rows)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; ends quietly where click would print or exit by itself."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            return INTERRUPTED
        except BrokenPipeError:
            return 0  # whoever read the results has had enough


@click.command(cls=_Root, context_settings=HELP_OPTIONS)
@click.version_option(__version__, prog_name="seqkit")
def cli() -> None:
    """Tag, classify, model and generate sequences with one recurrent encoder: train, measure, use.

    \b
    seqkit tag train sample-ner -c sample-ner -o model
    echo "Jordan flew from Jordan to Paris on Monday." | seqkit tag -m model

    Results go to standard output, everything else to standard error.
    """  # noqa: D301 - click keeps the lines after a backspace as they are


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: the arguments after the program's name; by default those of the process.

    Returns:
        The exit status: 0 done, 1 a fault in data, model or environment, 2 wrong usage, 130 interrupted.
    """
    _prepare_streams()
    if arguments is not None:
        with screened_errors():
            return _finished(_run(list(arguments)))
    sys.stderr = Screen(sys.stderr)  # also for what is said when the process ends
    status = _finished(_run(sys.argv[1:]))
    if status >= INTERRUPTED:  # a second Ctrl-C would end the end with a traceback
        with contextlib.suppress(ValueError):  # in a thread
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        if is_left():
            os._exit(status)
    return status


def _finished(status: int) -> int:
    """Write what the streams hold; the exit status."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError as error:
            _drop(stream)
            # A full disk may show only now. Where a log cannot be written the results are none the worse.
            if status == 0 and stream is sys.stdout and not isinstance(error, BrokenPipeError):
                _say(describe(error) or str(error))
                status = FAULT
    return status


def _run(arguments: list[str]) -> int:
    try:
        # The arguments go along for commands that say how to repeat them.
        status = cli.main(arguments, prog_name="seqkit", standalone_mode=False, obj=tuple(arguments))
        return status if isinstance(status, int) else 0
    except click.ClickException as error:
        _show_usage_fault(error)
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except Exception as error:
        line = describe(error)
        if line is None:
            raise
        _say(line)
        return FAULT


def _prepare_streams() -> None:
    r"""UTF-8 and ``\n`` everywhere, whatever the locale; and a stream even where the process was given none."""
    missing = [name for name in ("stdin", "stdout", "stderr") if getattr(sys, name) is None]
    for name in missing:
        _occupy(name)
    for name in missing:
        # Results that go nowhere are a fault, and so is input from nowhere: opened the wrong way, both fail.
        place = os.open(os.devnull, os.O_RDONLY if name == "stdout" else os.O_WRONLY)
        mode = "r" if name == "stdin" else "w"
        setattr(sys, name, open(place, mode, encoding="utf-8", closefd=False))  # noqa: SIM115 - never closed
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace", newline="\n")
    for stream in (sys.stdin, sys.stdout):  # what shares a terminal with us may have told it not to wait
        with contextlib.suppress(OSError, ValueError, AttributeError):
            os.set_blocking(stream.fileno(), True)


def _occupy(name: str) -> None:
    """Put something in the place of the first stream that is missing, where the next file would stand otherwise.

    What stands for input and results can be neither read nor written, by the name ``/dev/stdin`` or ``/dev/stdout``
    either; the null device could. Messages may go nowhere.
    """
    import socket

    if name != "stderr" and hasattr(socket, "AF_UNIX"):
        os.set_inheritable(socket.socket(socket.AF_UNIX).detach(), True)
    else:
        os.set_inheritable(os.open(os.devnull, os.O_WRONLY), True)


def _drop(stream: Any) -> None:
    """Let a stream that cannot be written lead nowhere, or the interpreter complains about it when it ends."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _say(message: str, before: str = "") -> None:
    """Print a fault on one line, whatever was in the data that it quotes; of several processes the first one does."""
    if os.environ.get("WORLD_SIZE", "1") not in ("", "1") and not _first_to_tell():
        return
    line = " ".join(part for part in message.replace("\r\n", "\n").split("\n") if part)
    sys.stderr.write(before)
    tell(f"error: {line}")


def _first_to_tell() -> bool:
    # Where one process fails torchrun ends all the others: let there be time to say why.
    with contextlib.suppress(ValueError):  # in a thread
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    from seqkit.torchrun import first_to_tell

    return first_to_tell()


def _show_usage_fault(error: click.ClickException) -> None:
    """What is wrong with the arguments, on one line, after the usage."""
    context = getattr(error, "ctx", None)
    usage = "" if context is None else f"{context.get_usage()}\nTry '{context.command_path} --help' for help.\n"
    _say(error.format_message(), usage)
