"""Options that several commands share, and the options that are settings under a short name."""

from __future__ import annotations

import json
import math
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TextIO, TypeVar, get_args, get_origin

import click

from seqkit.cli.outputs import output_file
from seqkit.errors import DataError, SettingsError, file_errors
from seqkit.tasks import TASKS, Task
from seqkit.terminal import tell

if TYPE_CHECKING:
    from seqkit.config import Recipe
    from seqkit.config.sections import Options, Settings
    from seqkit.formats.format import Description

Function = TypeVar("Function", bound=Callable[..., Any])

SETTING_FLAGS = {
    "--format": "data.format",
    "--columns": "data.columns",
    "--token-column": "data.token_column",
    "--encoding": "data.encoding",
    "--span-borders": "data.span_borders",
    "--splitter": "data.splitter",
    "--cell": "encoder.cell",
    "--layers": "encoder.layers",
    "--hidden": "encoder.hidden",
    "--direction": "encoder.direction",
    "--dropout": "encoder.dropout",
    "--vectors": "embedding.vectors",
    "--chars": "embedding.chars",
    "--epochs": "training.epochs",
    "--batch-size": "training.batch_size",
    "--optimizer": "training.optimizer",
    "--lr": "training.lr",
    "--clip": "training.clip",
    "--patience": "training.patience",
    "--time-limit": "training.time_limit",
    "--checkpoint-minutes": "training.checkpoint_minutes",
    "--on-nan": "training.on_nan",
    "--deterministic": "training.deterministic",
    "--precision": "training.precision",
    "--init-from": "training.init_from",
    "--freeze": "training.freeze",
    "--seed": "training.seed",
}
"""flags of every ``train`` command that are settings; the settings give type, default and help"""

OF_WORDS = ("token_column", "span_borders")
"""what describes files of words alone, and is part of what describes any files"""

OLD_FLAGS = {"--window": "--bptt"}
"""flags of ``train`` that an earlier version had → their present names"""

_METAVARS = {
    "--cell": "NAME",
    "--init-from": "MODEL",
    "--context": "MODEL",
    "--condition": "FIELD,…",
    "--freeze": "N",
    "--format": "FORMAT",
    "--columns": "NAME,…",
    "--token-column": "COLUMN",
    "--encoding": "NAME",
    "--splitter": "NAME",
    "--text": "FIELD",
    "--vectors": "FILE",
    "--time-limit": "MINUTES",
    "--checkpoint-minutes": "MINUTES",
    "--target": "COLUMN",
    "--acrostic": "CHARACTERS",
    "--label": "FIELD",
    "--keys": "LOW-HIGH",
}
_ALL_NAMES = {"--target": "--target,--label-column,--label"}
"""flags of options that have the further names which they have in training"""

# --- flags of settings --------------------------------------------------------------------------------------------


class SettingChoice(click.Choice[str]):
    """The values of a setting; those that an earlier version had are taken, too, and left to `settings_from_flags`.

    Args:
        setting: ``section.name``.
        choices: the values.
    """

    def __init__(self, setting: str, choices: Sequence[str]) -> None:
        super().__init__(choices)
        self.setting = setting

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """See `click.ParamType.convert`."""
        from seqkit.config.renamed import current_value

        super().convert(current_value(self.setting, value), param, ctx)
        return value


def _flag(flag: str, setting: str, field: Any, default: Any) -> Callable[[Function], Function]:
    """An option for one field of a settings class, with its type, default and help; a flag may have further names."""
    names = flag.split(",")
    flag = names[0]
    annotation, told = field.annotation, field.description or ""
    kinds = [kind for kind in get_args(annotation) if kind is not type(None)] or [annotation]
    kinds = [get_args(kind)[0] if get_origin(kind) is Annotated else kind for kind in kinds]
    kind: dict[str, Any] = {}
    if get_origin(annotation) is Literal:
        choices = get_args(annotation)
        kind = {"type": SettingChoice(setting, choices), "metavar": _METAVARS.get(flag) or "|".join(choices)}
        told += f": {', '.join(choices)}" if flag in _METAVARS else ""
    elif annotation is bool:
        kind = {} if "/" in flag else {"is_flag": True, "flag_value": True}
    else:
        # Ranges are left to the settings, which tell all faults at once.
        number = kinds[0] if kinds[0] in (int, float) else str
        kind = {"type": number, "metavar": _METAVARS.get(flag) or {int: "N", float: "X"}.get(number, "TEXT")}
    if "/" in flag:
        default = flag.split("/")[0 if default else 1]
    elif isinstance(default, float):
        default = f"{default:g}"
    shows = default in ("", None) or default is False or "[default" in told
    name = setting.replace(".", "__")
    return click.option(*names, name, default=None, help=told if shows else f"{told}  [default: {default}]", **kind)


SECOND_TEXT = "second"
"""the setting in section data that names the second text of a pair"""
_TEXT_HELP = "field of the text; given twice, the fields of both texts of a pair"


def one_or_two(context: click.Context, parameter: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    """A click callback: see that a flag is given twice at most.

    Args:
        context: the command's context.
        parameter: the option.
        value: its values.

    Returns:
        The values.

    Raises:
        BadParameter: there are more.
    """
    if len(value) > 2:
        raise click.BadParameter(f"expected the field of a text, or of two, found {len(value)}", context, parameter)
    return value


def texts_option(*names: str, default: str) -> Callable[[Function], Function]:
    """A decorator that adds ``--text``, which may be given twice.

    Args:
        *names: the flag, further names of it and, if it is another, the name of the parameter.
        default: what is read where it is not given.

    Returns:
        The decorator.
    """
    told = f"{_TEXT_HELP}  [default: {default}]"
    return click.option(*names, multiple=True, metavar="FIELD", callback=one_or_two, help=told)


def _texts_flag(flag: str, setting: str, field: Any, default: Any) -> Callable[[Function], Function]:
    """``--text`` as a setting; see `with_second_text`."""
    return texts_option(flag, setting.replace(".", "__"), default=default)


def with_second_text(flags: dict[str, Any]) -> dict[str, Any]:
    """The flags of settings with each text under the name of its own setting.

    Args:
        flags: see `settings_from_flags`; of ``--text`` that may be given twice all values.

    Returns:
        The flags.
    """
    texts = flags.get("data__text")
    if not isinstance(texts, tuple):
        return flags
    first, second = (*texts, None, None)[:2]
    return {**flags, "data__text": first, f"data__{SECOND_TEXT}": second}


def section_options(
    *sections: Callable[[], Any], besides: Callable[[], Any] | None = None
) -> Callable[[Function], Function]:
    """A decorator that adds a flag for every field of a settings class, or of several that one command may need.

    Args:
        *sections: each gives a class; of fields of the same name the first one counts.
        besides: gives another class, whose fields have flags already.

    Returns:
        The decorator; the command receives them as keyword arguments, None where a flag was not given.
    """

    def decorate(function: Function) -> Function:
        fields = {name: field for section in reversed(sections) for name, field in section().model_fields.items()}
        fields |= sections[0]().model_fields
        there = besides().model_fields if besides is not None else {}
        for name, field in reversed(fields.items()):
            if name in there:
                continue
            flag = f"--{name.replace('_', '-')}"
            function = _flag(_ALL_NAMES.get(flag, flag), name, field, field.default)(function)
        return function

    return decorate


def refuse_flag(
    flag: str, row: Task, reader: str = "the model reads", has: Callable[[Task], bool] = lambda row: True
) -> None:
    """Refuse a flag, or the name of a setting, that is for another of the inputs that a task may have.

    Args:
        flag: the flag.
        row: the task over what is read.
        reader: what reads it, or is it.
        has: whether a row of the task has the flag.

    Raises:
        UsageError: always.
    """
    rows = [each for each in TASKS[row.name].rows if each.content != row.content]
    found = [each for each in rows if has(each)] or (rows if len(rows) == 1 else [])
    other = found[0].content if found else "another input"
    raise click.UsageError(f"{flag} is for {other}; {reader} {row.content}.")


def checked_options(section: Any, given: dict[str, Any], row: Task) -> dict[str, Any]:
    """Check the values of the flags that `section_options` added.

    Args:
        section: the settings class.
        given: flag → value; None where it was not given.
        row: the task over what the model reads.

    Returns:
        The values that were given, and those that follow from them.

    Raises:
        UsageError: one cannot be used.
    """
    from seqkit.config.recipes import validated

    values = {name: value for name, value in given.items() if value is not None}
    for name in values:
        if name not in section.model_fields or (name in OF_WORDS and row.records == "frames"):
            classes = ("options_class", "evaluation_class")
            refuse_flag(
                flag_name(name),
                row,
                has=lambda other: any(name in getattr(other, each)().model_fields for each in classes),  # noqa: B023
            )
    try:
        checked: dict[str, Any] = validated(section, values, "options").model_dump(exclude_unset=True)
    except SettingsError as error:
        fault = str(error).removeprefix("options: ")
        raise click.UsageError(re.sub(rf"\b({'|'.join(section.model_fields)})\b(: )?", _as_flag, fault)) from None
    return checked


def refuse_unshown(section: type[Options], options: dict[str, Any], output_format: str) -> None:
    """Refuse options that ask for what an output format does not show.

    Args:
        section: the class of the options.
        options: those that were given.
        output_format: the format.

    Raises:
        UsageError: there is such an option.
    """
    for name, forms in section.shown_in.items():
        asked = name in options and options[name] != section.model_fields[name].default
        needed = " or ".join(forms)
        usage_unless(
            not asked or output_format in forms,
            f"{flag_name(name)} needs --output-format {needed}; {output_format} does not show it.",
        )


def flag_name(name: str) -> str:
    """The flag of an option."""
    return f"--{name.replace('_', '-')}"


def _as_flag(name: re.Match[str]) -> str:
    flag = flag_name(name[1])
    return f"Invalid value for '{flag}': " if name[2] else flag


def settings_options(task: Task) -> Callable[[Function], Function]:
    """A decorator that adds the flags of `SETTING_FLAGS`, a task's own, ``--recipe`` and ``--set``.

    Args:
        task: whose settings the flags are.

    Returns:
        The decorator; the command receives all of them as keyword arguments for `settings_from_flags`.
    """
    from seqkit.config import recipe_names

    def decorate(function: Function) -> Function:
        flags = {flag: setting for row in task.rows for flag, setting in row.flags.items()}
        for flag, setting in reversed({**flags, **SETTING_FLAGS}.items()):
            section, name = setting.split(".")
            known_fields = [row.settings_class().model_fields.get(section) for row in task.rows]
            default = next(
                (field.default for field in known_fields if field is not None and hasattr(field.default, name)), None
            )
            if default is not None:
                fields = [getattr(field.default, SECOND_TEXT, None) for field in known_fields if field is not None]
                make = _texts_flag if setting == "data.text" and any(fields) else _flag
                function = make(flag, setting, type(default).model_fields[name], getattr(default, name))(function)
                for old in (old for old, new in OLD_FLAGS.items() if new == flag):
                    kind, place = type(getattr(default, name)), f"old__{setting.replace('.', '__')}"
                    function = click.option(old, place, type=kind, hidden=True)(function)
        function = click.option(
            "--set",
            "assignments",
            multiple=True,
            metavar="SECTION.KEY=VALUE",
            help="any setting of a recipe (--dry-run shows them all); repeatable",
        )(function)
        names = ", ".join(recipe_names(task.name))
        recipe = click.option(
            "-c",
            "--recipe",
            metavar="NAME|FILE.toml",
            help=f"settings to start from: a file{', or one of ' + names if names else ''}",
        )
        return recipe(function)

    return decorate


def settings_from_flags(
    task: str,
    recipe: str | None,
    assignments: tuple[str, ...],
    flags: dict[str, Any],
    *,
    input: str | None = None,
    quiet: bool = False,
) -> Recipe:
    """Settings, weakest first: defaults, the recipe, ``--set``, a flag of its own.

    Args:
        task: whose settings are wanted.
        recipe: the value of ``--recipe``.
        assignments: the values of ``--set``.
        flags: ``section__key`` → value of every other flag; None where it was not given.
        input: what is read, where no recipe says it; by default what the task reads first.
        quiet: do not tell which names are those of an earlier version.

    Returns:
        The recipe with its settings replaced.

    Raises:
        SettingsError: the recipe cannot be used.
        UsageError: a flag or ``--set`` cannot be used.
    """
    from seqkit.config import Recipe, load_recipe, parse_assignments, parse_settings
    from seqkit.config.renamed import current_names

    tree: dict[str, Any] = {"task": task} if input is None else {"task": task, "input": input}
    chosen = load_recipe(recipe, task) if recipe else Recipe(settings=parse_settings(tree, task))
    found = chosen.settings.task
    if found != task:
        raise SettingsError(f"{recipe}: expected a recipe of `seqkit {task}`, found one of `seqkit {found}`")
    tree = {}
    reader = f"{recipe} reads" if recipe else "DATA are"
    notes = [f"{recipe}: {note}" for note in chosen.notes]
    for path, value in flags.items():
        if value is not None:
            *old, section, name = path.split("__")
            _refuse_other_input(section, name, chosen.settings.row, reader, flag=value)
            tree.setdefault(section, {})[name] = value
            if old:
                was, now = next((was, now) for was, now in OLD_FLAGS.items() if now.endswith(name.replace("_", "-")))
                both = flags.get(f"{section}__{name}") is not None
                usage_unless(not both, f"{was} is now {now}, and both are given; keep {now}.")
                notes.append(f"{was} is now {now}")
    try:
        asked = parse_assignments(assignments)
        for section, values in asked.items():
            for name in values:
                _refuse_other_input(section, name, chosen.settings.row, reader)
        notes += [*current_names(asked)[1], *current_names(tree)[1]]
        chosen = chosen.model_copy(update={"settings": _overridden(chosen.settings, current_names(asked)[0], tree)})
    except SettingsError as error:
        raise click.UsageError(str(error)) from None
    for note in () if quiet else notes:
        tell(f"note: {note}")
    return chosen


def _overridden(settings: Settings, asked: Mapping[str, Any], flags: Mapping[str, Any]) -> Settings:
    """Settings after ``--set``, and after flags, which may put right what does not fit together without them."""
    from seqkit.config import override

    try:
        return override(override(settings, asked, "--set"), flags, "command line")
    except SettingsError as error:
        if any(set(values) & set(asked.get(name, ())) for name, values in flags.items()):
            raise  # a wrong value stays a fault, though a flag has another one
        both = {name: {**asked.get(name, {}), **flags.get(name, {})} for name in (*asked, *flags)}
        with suppress(SettingsError):
            return override(settings, both, "command line")
        raise error


def _refuse_other_input(section: str, name: str, row: Task, reader: str, *, flag: Any = None) -> None:
    """Refuse a setting that the task has over another input only; by its flag, if it has a value from one."""
    if _is_of_other_input(section, name, row):
        refuse_flag(_shown_setting(section, name, row, flag), row, reader, lambda other: _has(section, name, other))


def _is_of_other_input(section: str, name: str, row: Task) -> bool:
    """Whether a task has a setting, but not over this input."""
    return not _has(section, name, row) and any(_has(section, name, other) for other in TASKS[row.name].rows)


def _has(section: str, name: str, row: Task) -> bool:
    """Whether a task has a setting over an input."""
    field = row.settings_class().model_fields.get(section)
    known = getattr(field.annotation, "model_fields", {}) if field is not None else {}
    return name in known and not (row.records == "frames" and section == "data" and name in OF_WORDS)


def _shown_setting(section: str, name: str, row: Task, flag: Any) -> str:
    """A setting as messages call it: by its flag, if it has a value from one."""
    shown = f"{section}.{name}"
    if flag is None:
        return shown
    flags = {**SETTING_FLAGS, **{key: value for each in TASKS[row.name].rows for key, value in each.flags.items()}}
    named = next((key for key, value in flags.items() if value == shown), shown)
    return named.split(",")[0].split("/")[-1 if flag is False else 0]


def asked_of_words(task: Task, assignments: Sequence[str], flags: dict[str, Any]) -> str:
    """The first setting that is asked for and that a task has over words alone.

    Args:
        task: the task.
        assignments: the values of ``--set``.
        flags: see `settings_from_flags`.

    Returns:
        Its flag or name; empty if there is none.
    """
    from seqkit.config import parse_assignments

    row = task.of("frames")
    asked: dict[tuple[str, str], Any] = {}
    for path, value in flags.items():
        if value is not None:
            *_, section, name = path.split("__")
            asked[section, name] = value
    with suppress(SettingsError):  # of which `settings_from_flags` says what is wrong
        for section, values in parse_assignments(assignments).items():
            asked |= {(section, name): None for name in values}
    found = (_shown_setting(*where, row, flag) for where, flag in asked.items() if _is_of_other_input(*where, row))
    return next(found, "")


# --- options ------------------------------------------------------------------------------------------------------


class FiniteRange(click.FloatRange):
    """A number in a range, never infinite nor NaN, nor greater than a setting may be."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """See `click.ParamType.convert`."""
        from seqkit.config.sections import GREATEST

        found = super().convert(value, param, ctx)
        if not math.isfinite(found):
            self.fail(f"{value} is not a finite number.", param, ctx)
        if found > GREATEST:
            self.fail(f"{value} is too large; the largest number is {GREATEST:g}.", param, ctx)
        return found


_MOST = {"workers": 256, "threads": 1024}
"""processes and threads, which are started all at once"""


def at_least_1(context: click.Context, parameter: click.Parameter, value: int | None) -> int | None:
    """A click callback: see that a number, where it is given, is 1 or more, and no more than a setting may be.

    Args:
        context: the command's context.
        parameter: the option.
        value: its value.

    Returns:
        The value.

    Raises:
        BadParameter: it is not.
    """
    most = _MOST.get(str(parameter.name), 2**31 - 1)
    if value is not None and not 1 <= value <= most:
        expected = "at least 1" if value < 1 else f"at most {most}"
        raise click.BadParameter(f"expected {expected}, found {value}", context, parameter)
    return value


def choice(*names: str, known: Sequence[str], **options: Any) -> Callable[[Function], Function]:
    """A decorator that adds a flag for one of several values.

    Args:
        *names: the flag and, if it is another, the name of the parameter.
        known: the values.
        **options: of `click.option`.

    Returns:
        The decorator.
    """
    return click.option(*names, type=click.Choice(known), show_default=True, metavar="|".join(known), **options)


def device_options(function: Function) -> Function:
    """Add ``--device`` and ``--threads``."""
    threads = click.option(
        "--threads", type=int, callback=at_least_1, metavar="N", help="processor threads  [default: all cores]"
    )
    device = click.option(
        "--device", default="auto", show_default=True, metavar="auto|cpu|cuda|cuda:N|mps", help="where to compute"
    )
    return device(threads(function))


def _known_format(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    if value is not None:
        from seqkit.formats.registry import format_named

        try:
            format_named(value)
        except DataError as error:
            raise click.BadParameter(str(error), context, parameter) from None
    return value


def format_option(*names: str, help: str) -> Callable[[Function], Function]:
    """A decorator that adds an option for the format of a file that is read.

    Args:
        *names: the flags.
        help: its help.

    Returns:
        The decorator; the command receives ``input_format``.
    """
    told = f"{help}; seqkit data formats lists all"
    return click.option(*names, "input_format", metavar="FORMAT", callback=_known_format, help=told)


def layout_options(function: Function) -> Function:
    """Add the options that describe files: ``--columns``, ``--token-column`` and ``--encoding``.

    They are those of `seqkit.inputs.settings.ReadingSettings`, which a command that loads no settings cannot ask.
    """
    told = "names of the columns of files, in order, separated by commas  [default: those of the files or their format]"
    columns = click.option("--columns", metavar="NAME,…", help=told)
    told = "column of the tokens: a name, or a position from 0  [default: that of the format or of the first lines]"
    tokens = click.option("--token-column", metavar="COLUMN", help=told)
    encoding = click.option("--encoding", metavar="NAME", help="encoding of text files  [default: utf-8]")
    return columns(tokens(encoding(function)))


def borders_option(function: Function) -> Function:
    """Add ``--span-borders``, where labels are read."""
    told = (
        "spans that start or end inside a token are a fault (refuse), take the token (widen) or leave it out (narrow)"
    )
    return choice("--span-borders", known=["refuse", "widen", "narrow"], default="refuse", help=told)(function)


def described_by(
    input_format: str | None,
    columns: str | None,
    token_column: str | None,
    encoding: str | None,
    span_borders: str = "refuse",
) -> Description:
    """What the flags of `format_option`, `layout_options` and `borders_option` say.

    Args:
        input_format: the format.
        columns: names of columns, separated by commas.
        token_column: the column of the tokens.
        encoding: the encoding.
        span_borders: what becomes of a span that starts or ends inside a token.

    Returns:
        The description.
    """
    from seqkit.formats.format import Description, column_names

    borders: Any = span_borders
    return Description(input_format or "", column_names(columns or ""), token_column or "", encoding or "", borders)


def prediction_options(task: Task) -> Callable[[Function], Function]:
    """A decorator that adds FILES, ``--model``, ``--input``, ``--output-format`` and what describes the files.

    Args:
        task: the task; its rows for other inputs have further formats.

    Returns:
        The decorator.
    """
    files = click.argument("files", nargs=-1, metavar="[FILE…|-]")
    inputs = list(dict.fromkeys(name for row in task.rows for name in row.reads))
    outputs = list(dict.fromkeys(name for row in task.rows for name in row.writes))
    if len(inputs) == 1:
        source = f"read every file as {inputs[0]}, whatever its extension"
        input_format = choice("--input", "--format", "input_format", known=inputs, help=source)
    else:
        source = f"input format: {', '.join(inputs)}, …  [default: text; for a file, by its name and content]"
        input_format = format_option("--input", "--format", help=source)
    written = "; ".join(dict.fromkeys(row.written for row in task.rows))
    usual = " or ".join(dict.fromkeys(row.writes[0] for row in task.rows))
    told = f"output format: {written}  [default: {usual}]"
    output_format = click.option("--output-format", type=click.Choice(outputs), metavar="|".join(outputs), help=told)
    of_pairs = any(row.records == "pairs" for row in task.rows)
    text = click.option("--text", "text_field", metavar="FIELD", help="field of the text  [default: the model's]")
    text = texts_option("--text", "text_field", default="the model's") if of_pairs else text
    told = "field of the sequence: array file, recording or numbers  [default: the model's]"
    frames = click.option("--frames", "frames_field", metavar="FIELD", help=told)
    fields: dict[str, Callable[[Any], Any]] = {"texts": text, "lines": text, "frames": frames}

    def decorate(function: Function) -> Function:
        shown = output_format(function)
        for row in task.rows:
            shown = fields[row.records](shown) if row.records in fields else shown
        return files(model_option(input_format(layout_options(shown))))

    return decorate


def batch_options(function: Function) -> Function:
    """Add ``--batch-tokens`` and ``--precision``, which prediction has everywhere."""
    from seqkit.config import BATCH_TOKENS

    tokens = click.option(
        "--batch-tokens",
        type=int,
        default=BATCH_TOKENS,
        show_default=True,
        callback=at_least_1,
        metavar="N",
        help="tokens per batch, or steps where frames are read; a longer record is a batch of its own",
    )
    return tokens(precision_option(function))


workers_option = click.option(
    "--workers",
    type=int,
    default=1,
    show_default=True,
    callback=at_least_1,
    metavar="N",
    help="worker processes that share the input and the threads; worth their start-up for large inputs",
)
"""adds ``--workers``"""


def stream_option(task: Task) -> Callable[[Function], Function]:
    """A decorator that adds ``--stream``, where models of the task can do so.

    Args:
        task: the task.

    Returns:
        The decorator; the command receives ``stream`` where the flag exists.
    """
    rows = [row for row in task.rows if row.options_class().streams]
    answer = "symbol" if task.name == "transcribe" else "label"
    told = f"answer while the input is still coming: each {answer} as soon as it is certain (direction forward only)"
    if any(row.records == "frames" for row in rows):
        told += (
            "; of recordings standard input is raw samples, signed 16 bit little endian, one channel, at the model's "
            "rate; of arrays it is JSON lists of numbers, a frame a line, an empty line after each sequence"
        )
    return click.option("--stream", is_flag=True, help=told) if rows else lambda function: function


precision_option = choice(
    "--precision",
    known=["auto", "fp32", "bf16"],
    default="fp32",
    help="arithmetic of the encoder; auto is bf16 where it is fast, if no label of the first 128 records changes",
)
"""adds ``--precision``"""

model_option = click.option(
    "-m",
    "--model",
    "directory",
    type=click.Path(path_type=Path),
    required=True,
    metavar="DIR",
    help="the model's directory",
)
"""adds ``--model``"""


def of_ensemble(directory: Path, options: dict[str, Any], row: Task) -> Path:
    """The first of several models that ``-m`` names between commas, of a task that has ensembles.

    Args:
        directory: what the user named.
        options: the options given, which get the other models.
        row: the task.

    Returns:
        The model's directory.
    """
    names = [name.strip() for name in str(directory).split(",")]
    if len(names) == 1 or directory.exists() or "ensemble" not in row.options_class().model_fields:
        return directory
    options["ensemble"] = ",".join(filter(None, [*names[1:], options.get("ensemble")]))
    return Path(names[0])


quiet_option = click.option("--quiet", is_flag=True, help="print errors only")
"""adds ``--quiet``"""


def json_option(help: str) -> Callable[[Function], Function]:
    """A decorator that adds ``--json FILE|-``.

    Args:
        help: the help text.

    Returns:
        The decorator; the command receives ``json_file``.
    """
    return click.option("--json", "json_file", metavar="FILE|-", callback=output_file, help=help)


# --- what commands share ------------------------------------------------------------------------------------------


def usage_unless(condition: object, message: str) -> None:
    """See that arguments fit together.

    Args:
        condition: what has to be true.
        message: what is wrong otherwise.

    Raises:
        UsageError: it is not.
    """
    if not condition:
        raise click.UsageError(message)


def table_width() -> int:
    """Columns of a table on standard output: those of the terminal, 100 at most."""
    return min(100, shutil.get_terminal_size().columns)


@contextmanager
def opened(file: str) -> Iterator[TextIO]:
    """Open a file of results.

    Args:
        file: its name, or ``-`` for standard output.

    Yields:
        The stream. A file that cannot be opened, written or closed is a `DataError`.
    """
    if file == "-":
        yield sys.stdout
        return
    with (
        file_errors("cannot be written", file),
        open(file, "w", encoding="utf-8", errors="replace", newline="\n") as stream,
    ):
        yield stream


def write_json(value: object, file: str) -> None:
    """Write results as JSON.

    Args:
        value: anything of JSON's types; a number that is not finite is written as null.
        file: the file's name, or ``-`` for standard output.

    Raises:
        DataError: the file cannot be written.
    """
    from seqkit.formats.writers import finite

    with opened(file) as stream:
        stream.write(json.dumps(finite(value), indent=2, allow_nan=False) + "\n")
