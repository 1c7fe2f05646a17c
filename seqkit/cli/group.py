"""The click group of every level of the command line: commands in the order of their writing, slips of typing named."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from seqkit.errors import nearest
from seqkit.torchrun import Launch

HELP_OPTIONS = {"help_option_names": ["-h", "--help"]}
"""context settings of every command"""


_SHARED = ("train", "predict", "score")
"""verbs that all processes of a ``torchrun`` work at together; of any other the first does the whole"""


class Commands(click.Group):
    """A group that lists its commands in the order they were added and suggests one where a name is misspelled."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order the commands were added: train comes before evaluate."""
        return list(self.commands)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Without arguments show the help, and end as wrong usage does."""
        if not args and not ctx.resilient_parsing:
            print(ctx.get_help(), file=sys.stderr)
            ctx.exit(2)
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the arguments begin with.

        Args:
            ctx: the context of the group.
            args: the arguments after the group's own options.

        Returns:
            The command's name, the command, and the arguments after its name.

        Raises:
            UsageError: there is no such command; the message names the nearest one.
        """
        name = args[0]
        if not ctx.resilient_parsing and not name.startswith("-") and self.get_command(ctx, name) is None:
            known = self.list_commands(ctx)
            expected = f"expected a command among {', '.join(known)}"
            raise click.UsageError(f"{expected}, found {name!r}{nearest(name, known)}", ctx)
        found = super().resolve_command(ctx, args)
        is_shared = isinstance(found[1], click.Group) or found[0] in _SHARED
        if not is_shared and not {"-h", "--help"} & set(args) and Launch.from_environment().rank:
            ctx.exit(0)
        return found


def task_name() -> str:
    """The task whose verb is running: the name of the command around it."""
    group = click.get_current_context().parent
    assert group is not None and group.command.name is not None
    return group.command.name


class PredictByDefault(Commands):
    """A group whose options alone, without a verb, mean ``predict``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put ``predict`` in front of options that are not the group's own."""
        if args and args[0].startswith("-") and args[0] not in ("-h", "--help"):
            verb = next((word for word in args if word in self.commands and not Path(word).exists()), None)
            if verb is not None:
                raise click.UsageError(f"expected {verb!r} before the options: {ctx.command_path} {verb} …", ctx)
            args = ["predict", *args]
        elif args and args[0] not in self.commands and Path(args[0]).is_file():
            raise click.UsageError(f"expected a verb before the file: {ctx.command_path} predict {args[0]} …", ctx)
        return super().parse_args(ctx, args)
