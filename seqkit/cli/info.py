"""``seqkit info``: what a model is and how well it does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from seqkit.cli.group import HELP_OPTIONS
from seqkit.cli.outputs import keep_inputs
from seqkit.config import parse_settings, to_toml
from seqkit.errors import ModelError, SeqkitError, shown
from seqkit.metrics.scores import figure, plural
from seqkit.model.files import read_config, read_json
from seqkit.terminal import one_line, show

_MOST_LABELS = 100
_SCORES = (
    "map",
    "mrr",
    "pearson",
    "spearman",
    "mse",
    "f1",
    "precision",
    "recall",
    "accuracy",
    "macro_f1",
    "loss",
    "perplexity",
    "bits_per_unit",
    "bleu",
    "wer",
    "exact_match",
)


@click.command(context_settings=HELP_OPTIONS)
@click.argument("directory", type=click.Path(path_type=Path), metavar="DIR")
@click.option("--json", "as_json", is_flag=True, help="print JSON")
def command(directory: Path, as_json: bool) -> None:
    """Describe the model in DIR: data, what it learned, scores, settings, versions; and see that it can be loaded."""
    keep_inputs(directory)
    config, files = read_config(directory)
    about: dict[str, Any] = {name: config.get(name) for name in ("format_version", "seqkit_version")}
    settings = parse_settings(config.get("settings"), str(directory / "config.json"))
    learned = settings.row.learned or next((name for name in _LEARNED if f"{name}.json" in files), "")
    report = _document(directory, files, "report.json")
    found = {learned: _document(directory, files, f"{learned}.json")} if learned else {}
    reading = _document(directory, files, "frames.json") if "frames.json" in files else {}
    sizes = {name: len(content) for name, content in files.items()}
    if as_json:
        fault = _fault(directory, config, files)
        about |= {
            "settings": settings.model_dump(mode="json"),
            **found,
            **({"frames": reading} if reading else {}),
            "files": sizes,
            "report": report,
        }
        print(json.dumps({**about, "fault": fault and str(fault)}, indent=2))
        if fault is not None:
            raise fault
        return
    size = sum(sizes.values()) / 1e6
    rows = [("model", f"{directory}: {settings.task}, {size:.1f} MB, format version {about['format_version']}")]
    try:
        rows += _input(reading)
        rows += _rows(settings, learned, found.get(learned, {}), report)
    # Something else than seqkit may have written them.
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise ModelError(f"{directory}: damaged: {learned} or report has another form ({shown(error)})") from None
    # What a network would be like says nothing of a model without one.
    chosen = to_toml(settings, ("task", "data", "head") if settings.kind else None)
    show("\n".join([*(f"{name:<10}  {one_line(value)}" for name, value in rows), "", chosen.rstrip("\n")]))
    fault = _fault(directory, config, files)
    if fault is not None:
        raise fault


def _fault(directory: Path, config: dict[str, Any], files: dict[str, bytes]) -> SeqkitError | None:
    """Why a model cannot be loaded, all its files being whole; None if it can be. It is done as `seqkit.load` does."""
    from seqkit.model.loading import restored  # help does not wait for torch

    try:
        restored(directory, config, files)
    except SeqkitError as error:
        return error
    return None


def _input(reading: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What a model of sequences of vectors reads."""
    if reading.get("rate") is not None:
        yield "input", f"recordings, read at {reading['rate']:,} Hz"
    elif reading:
        yield (
            "input",
            f"frames of {reading['keys']:,} keys"
            if "keys" in reading
            else f"frames of {reading['features']:,} features",
        )


def _rows(settings: Any, learned: str, document: dict[str, Any], report: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What a person wants to know, each with its name; nothing of what a report does not hold."""
    data = report.get("data", {}).get("name")
    if data:
        target = document.get("target")
        yield "data", f"{data}, column {target}" if target else data
    yield from _LEARNED[learned](document, settings.row.record) if learned in _LEARNED else ()
    if settings.kind == "ngram":
        yield "n-grams", f"order {settings.head.ngram}, Kneser-Ney, no network"
    for split, scores in report.get("scores", {}).items():
        shown = "  ".join(f"{name} {figure(name, scores[name])}" for name in _SCORES if scores.get(name) is not None)
        yield split, f"{shown}  ({plural(scores['sentences'], settings.row.record)})"
        if "baseline" in scores:
            beside = scores["baseline"]
            shown = "  ".join(
                f"{name} {figure(name, beside[name])}"
                for name in ("accuracy", "perplexity", "pearson", "mse")
                if name in beside
            )
            yield "", f"{shown}  of {beside['name']}"
    parts = report.get("parameters", {})
    if parts:
        listed = ", ".join(f"{name} {count:,}" for name, count in parts.items())
        yield "parameters", f"{sum(parts.values()):,} ({listed})"
    versions = report.get("versions", {})
    if versions:
        yield "versions", ", ".join(f"{name} {version}" for name, version in versions.items())


def _labels(document: dict[str, Any], record: str) -> Iterator[tuple[str, str]]:
    if "deviation" in document:
        found = f"in training mean {document['mean']:.4g}, standard deviation {document['deviation']:.4g}"
        yield "learned", f"a number per {record}, field {document['label']}; {found}"
        return
    labels, scheme = document.get("labels", []), document.get("scheme", "none")
    kinds = labels if scheme == "none" else sorted({label[2:] for label in labels if label[1:2] == "-"})
    several = f"  (a {record} may have several)" if document.get("multi_label") else ""
    rest = f" … ({len(kinds):,} in all)" if len(kinds) > _MOST_LABELS else ""
    spans = "" if scheme == "none" else f"  (spans, {str(scheme).upper()})"
    yield "labels", f"{' '.join(kinds[:_MOST_LABELS])}{rest}{several}{spans}"


def _units(document: dict[str, Any], record: str) -> Iterator[tuple[str, str]]:
    yield "unit", str(document["kind"])


def _conditions(document: dict[str, Any], record: str) -> Iterator[tuple[str, str]]:
    fields = (f"{field['name']} ({field['kind']})" for field in document["fields"])
    yield "condition", ", ".join(fields) or "none"


def _target(document: dict[str, Any], record: str) -> Iterator[tuple[str, str]]:
    yield "writes", f"unit {document['units']['kind']}"


_LEARNED = {"target": _target, "labels": _labels, "units": _units, "conditions": _conditions}
"""the document that says what a model learned → its rows"""


def _document(directory: Path, files: dict[str, bytes], name: str) -> dict[str, Any]:
    if name not in files:
        raise ModelError(f"{directory}: {name} is missing among the model's files: {', '.join(sorted(files))}")
    found = read_json(directory / name, files[name])
    if not isinstance(found, dict):
        raise ModelError(f"{directory / name}: expected a JSON object, found something else")
    return found
