"""``seqkit generate``: train, sample, evaluate."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from seqkit.cli import predicting
from seqkit.cli.evaluating import evaluation_options, show_scores
from seqkit.cli.group import HELP_OPTIONS, Commands
from seqkit.cli.lm import sampling_options, show_texts
from seqkit.cli.options import (
    WHERE_GPU_HAS_IT,
    FiniteRange,
    batch_options,
    device_options,
    model_option,
    prepare_torch,
    quiet_option,
    usage_unless,
)
from seqkit.cli.training import train_command
from seqkit.errors import DataError

if TYPE_CHECKING:
    from seqkit.inputs.conditions import ConditionCodec

__all__ = ["command"]


@click.group(cls=Commands, context_settings=HELP_OPTIONS)
def command() -> None:
    """Write text from a label, a title, a vector of numbers, or any mix of them.

    \b
    seqkit generate train tang -c generate-tang -o poet   learn from a data set, a folder or a file
    seqkit generate sample -m poet --condition form=… --condition title=…
    seqkit generate evaluate tang -m poet                 perplexity and exact match on the test split
    """  # noqa: D301 - click keeps the lines after a backspace as they are


command.add_command(
    train_command(
        "generate",
        {
            "--condition": "data.condition",
            "--target": "data.target",
            "--unit": "data.unit",
            "--tied/--no-tied": "head.tied",
        },
        short_help="Train a generator and report on dev and test.",
        about="Train a generator on the texts of DATA and what they are written from, and report on dev and test.",
    )
)


@command.command(short_help="Write text.")
@model_option
@click.option(
    "--condition",
    "conditions",
    multiple=True,
    metavar="FIELD=VALUE",
    help="what to write from, one for each field; a vector is a JSON array or the name of an .npy file",
)
@click.option("--prompt", default="", metavar="TEXT", help="how every text begins")
@click.option("--acrostic", default="", metavar="CHARACTERS", help="what the lines begin with, a character each")
@sampling_options
@click.option(
    "--length-penalty",
    type=FiniteRange(min=0.0),
    default=1.0,
    show_default=True,
    metavar="X",
    help="what --beam finds is ranked by log p / units to the power of X; 0 prefers short texts",
)
@device_options
@quiet_option
def sample(
    directory: Path,
    conditions: tuple[str, ...],
    prompt: str,
    acrostic: str,
    count: int,
    length: int,
    temperature: float,
    top_k: int,
    top_p: float,
    beam: int,
    seed: int | None,
    output_format: str,
    length_penalty: float,
    device: str,
    threads: int | None,
    quiet: bool,
) -> int:
    """Write text, unit by unit, until it ends; a unit that the model does not know is never written."""
    drawing = (temperature, top_k, top_p) != (1.0, 0, 1.0)
    usage_unless(not (beam and drawing), "Expected one of --beam and --temperature, --top-k, --top-p, found both.")
    usage_unless(not (prompt and acrostic), "Expected one of --prompt and --acrostic, found both.")
    prepare_torch(threads)
    from seqkit.model.generator import Generator
    from seqkit.model.loading import load_as

    model = load_as(Generator, directory, device)
    given = parse_conditions(conditions, model.codec)
    texts = model.generate(
        given,
        count=count,
        prompt=prompt,
        acrostic=acrostic,
        length=length,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        beam=beam,
        length_penalty=length_penalty,
        seed=seed,
    )
    show_texts(texts, output_format)
    return 0


def parse_conditions(given: Sequence[str], codec: ConditionCodec) -> dict[str, Any]:
    """Read ``field=value`` as often as it was said.

    Args:
        given: the values of ``--condition``.
        codec: the fields that the model knows.

    Returns:
        Field → value; of a vector, its numbers.

    Raises:
        DataError: a field is not one of the model's, stands twice, or a vector cannot be read.
        UsageError: a value is not of this form.
    """
    kinds = {field.name: field.kind for field in codec.fields}
    found: dict[str, Any] = {}
    for text in given:
        name, sign, value = text.partition("=")
        usage_unless(sign and name, f"Invalid value for '--condition': expected FIELD=VALUE, found {text!r}")
        if name not in kinds:
            known = ", ".join(map(repr, kinds)) or "none"
            raise DataError(f"expected a condition among {known}, found {name!r}")
        usage_unless(name not in found, f"Invalid value for '--condition': expected {name!r} once, found it twice")
        found[name] = _vector(value, name) if kinds[name] == "vector" else value
    return found


def _vector(value: str, name: str) -> Any:
    if value.endswith(".npy"):
        from seqkit.formats.arrays import load_array

        return load_array(Path(value))
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        raise DataError(f"expected a JSON array or an .npy file as {name!r}, found {value!r:.40}") from None


@command.command(short_help="Measure how well a generator writes.")
@evaluation_options
@batch_options(WHERE_GPU_HAS_IT)
@device_options
@quiet_option
def evaluate(
    data: str,
    directory: Path,
    split: str | None,
    json_file: str | None,
    batch_tokens: int,
    precision: str,
    device: str,
    threads: int | None,
    quiet: bool,
) -> int:
    """Measure on DATA how well a model foretells texts, and how many it writes exactly as they should be.

    What it writes is the likeliest unit after another. DATA is the name of a data set (seqkit data list), a folder with
    train, dev and test files, or one file.
    """
    prepare_torch(threads)
    from seqkit.corpora.resolve import resolve
    from seqkit.model.generator import Generator
    from seqkit.model.loading import load_as
    from seqkit.training.generation import evaluate_generator, read_records

    model = load_as(Generator, directory, device)
    dataset = resolve(data, quiet=quiet)  # may download, which is not timed
    chosen = dataset.evaluation_split(split)
    tokens = predicting.batch_tokens(batch_tokens, quiet)
    began = time.perf_counter()
    records = read_records(dataset, chosen, model.settings.data.target)
    report = evaluate_generator(model, records, batch_tokens=tokens, precision=precision)
    seconds = time.perf_counter() - began
    about = {"task": "generate", "split": chosen, "model": str(directory)}
    show_scores(report, about, dataset, seconds, json_file, quiet=quiet)
    return 0
