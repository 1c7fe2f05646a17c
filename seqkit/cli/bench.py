"""``seqkit bench``: how fast a model labels a file, and where the time goes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from seqkit.cli.group import HELP_OPTIONS
from seqkit.cli.options import (
    WHERE_LABELS_AGREE,
    at_least_1,
    batch_options,
    device_options,
    json_option,
    model_option,
    prepare_torch,
    usage_unless,
    write_json,
)
from seqkit.errors import ModelError
from seqkit.metrics.scores import plural

if TYPE_CHECKING:
    from seqkit.bench.stages import Measured
    from seqkit.model.base import Model
    from seqkit.records import Sentence

__all__ = ["command"]


@click.command(context_settings=HELP_OPTIONS)
@click.argument("file", metavar="FILE")
@model_option
@click.option("--input", "input_format", metavar="FORMAT", help="format of FILE  [default: found out]")
@click.option("--rounds", type=int, default=5, show_default=True, callback=at_least_1, metavar="N", help="rounds")
@json_option("write the measurements as JSON; - for standard output, instead of the table")
@batch_options(WHERE_LABELS_AGREE)
@device_options
def command(
    file: str,
    directory: Path,
    input_format: str | None,
    rounds: int,
    json_file: str | None,
    batch_tokens: int,
    precision: str,
    device: str,
    threads: int | None,
) -> int:
    """Measure how fast a tagger or a classifier labels FILE, from its first line to the last label written.

    Tells the seconds of every part of the work, and the share of the roofline: the arithmetic that the network needs a
    second, over what torch's product of matrices of 1,024 rows, and oneDNN's in fp32, reach on this processor in the
    same run. Nothing is written but the measurements; standard error says what --precision auto became.
    """
    usage_unless(file != "-", "Expected a file that can be read several times, found -.")
    prepare_torch(threads)
    from seqkit.bench.machine import describe_machine
    from seqkit.bench.stages import measure_stages
    from seqkit.model.loading import load

    model = load(directory, device)
    options: dict[str, Any] = {"batch_tokens": batch_tokens, "precision": precision}
    say = partial(click.echo, err=True)
    with open(os.devnull, "w", encoding="utf-8") as sink:
        read, write, more = _work(model, file, input_format, sink)
        found = measure_stages(model, read, write, rounds=rounds, say=say, **options, **more)  # type: ignore[arg-type]
    if json_file != "-":
        click.echo(_table(found))
    if json_file is not None:
        about = {"model": str(directory), "file": file, "rounds": rounds, **options}
        write_json({**about, **_tree(found), "machine": describe_machine()}, json_file)
    return 0


def _work(
    model: Model, file: str, input_format: str | None, sink: TextIO
) -> tuple[Callable[[], Iterable[Sentence]], Callable[[Iterable[Any]], object], dict[str, Any]]:
    """What the task's own ``predict`` does: how it reads, how it writes, and what else its model is asked for."""
    from seqkit.model.classifier import Classifier
    from seqkit.model.tagger import Tagger

    if isinstance(model, Tagger):
        from seqkit.cli.tag import read_input as read_tokens
        from seqkit.formats.writers import write_records

        write = partial(write_records, stream=sink, output_format="conll")
        return partial(read_tokens, file, input_format, model, True), write, {"spans": False}
    if isinstance(model, Classifier):
        from seqkit.cli.classify import read_input as read_texts
        from seqkit.formats.writers import write_classified

        write = partial(write_classified, stream=sink, output_format="tsv")
        return partial(read_texts, file, input_format, model, True), write, {}
    raise ModelError(f"expected a tagger or a classifier, found a model of `seqkit {model.task}`")


def _table(found: Measured) -> str:
    """The measurements for people."""
    lines = [f"{'':20}{'seconds':>9}{'µs a token':>12}{'share':>8}"]
    for name, seconds in [*found.seconds.items(), ("all", found.total)]:
        middle = seconds.median
        share = middle / found.total.median
        lines.append(f"{name:20}{middle:9.3f}{1e6 * middle / found.tokens:12.2f}{share:8.1%}")
    total = f"{plural(found.sentences, 'sentence')}, {plural(found.tokens, 'token')}"
    slowest, fastest = (found.tokens / seconds for seconds in (found.total.most, found.total.least))
    speed = f"{found.tokens_per_second:,.0f} tokens/s ({slowest:,.0f} … {fastest:,.0f})"
    lines += ["", f"{total}: {speed}"]
    if found.gemm is not None:
        work = f"{found.flops / 1e6:.2f} MFLOP a token: {found.flops * found.tokens_per_second / 1e9:.1f} GFLOP/s"
        lines.append(f"{work} in {found.precision}")
        lines.append(f"{found.share:.0%} of torch's matrix product, {found.gemm.median / 1e9:.0f} GFLOP/s")
    if found.onednn is not None:
        lines.append(f"{found.onednn_share:.0%} of oneDNN's matrix product, {found.onednn.median / 1e9:.0f} GFLOP/s")
    return "\n".join(lines)


def _tree(found: Measured) -> dict[str, Any]:
    """The measurements for JSON."""
    return {
        "sentences": found.sentences,
        "tokens": found.tokens,
        "tokens_per_second": found.tokens_per_second,
        "seconds": found.total._asdict(),
        "stages": {name: seconds._asdict() for name, seconds in found.seconds.items()},
        "flops_per_token": found.flops,
        "gemm_flops": None if found.gemm is None else found.gemm._asdict(),
        "roofline_share": found.share,
        "onednn_flops": None if found.onednn is None else found.onednn._asdict(),
        "onednn_share": found.onednn_share,
        "arithmetic": found.precision,
    }
