"""``seqkit info``: what a model is and how well it does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from seqkit.cli.group import HELP_OPTIONS
from seqkit.config import Settings, parse_settings, to_toml
from seqkit.errors import ModelError, shown
from seqkit.model.files import read_config, read_json

__all__ = ["command"]

_DOCUMENTS = {"tag": "labels", "classify": "labels", "lm": "units", "generate": "conditions"}
"""task → the document that says what a model learned"""
_SCORES = ("f1", "precision", "recall", "accuracy", "macro_f1", "loss", "perplexity", "bits_per_unit", "exact_match")


@click.command(context_settings=HELP_OPTIONS)
@click.argument("directory", type=click.Path(path_type=Path), metavar="DIR")
@click.option("--json", "as_json", is_flag=True, help="as JSON")
def command(directory: Path, as_json: bool) -> None:
    """Describe the model in DIR: data, what it learned, scores, settings, versions. Its files are verified."""
    config, files = read_config(directory)
    about: dict[str, Any] = {name: config.get(name) for name in ("format_version", "seqkit_version")}
    settings = _settings(directory, config)
    learned = _DOCUMENTS[settings.task]
    document, report = (_document(directory, files, f"{name}.json") for name in (learned, "report"))
    if as_json:
        sizes = {name: len(content) for name, content in files.items()}
        about |= {"settings": settings.model_dump(mode="json"), learned: document, "files": sizes, "report": report}
        click.echo(json.dumps(about, indent=2))
        return
    size = sum(map(len, files.values())) / 1e6
    rows = [("model", f"{directory}: {settings.task}, {size:.1f} MB, format version {about['format_version']}")]
    try:
        rows += _rows(settings, document, report)
    except (
        AttributeError,
        KeyError,
        TypeError,
        ValueError,
        OverflowError,
    ) as error:  # written by something else than seqkit
        raise ModelError(
            f"{directory}: damaged: {learned} or report of another form than expected ({shown(error)})"
        ) from None
    for name, value in rows:
        click.echo(f"{name:<10}  {value}")
    # What a network would be like says nothing of a model without one.
    click.echo(f"\n{to_toml(settings, ('task', 'data', 'head') if settings.ngram else None)}", nl=False)


def _rows(settings: Settings, document: dict[str, Any], report: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What a person wants to know, each with its name; nothing of what a report does not hold."""
    data = report.get("data", {}).get("name")
    if data:
        target = document.get("target")
        yield "data", f"{data}, column {target}" if target else data
    yield _LEARNED[settings.task](document)
    if settings.ngram:
        yield "n-grams", f"order {settings.ngram} at most, Kneser-Ney, no network"
    for split, scores in report.get("scores", {}).items():
        shown = "  ".join(f"{name} {scores[name]:.4f}" for name in _SCORES if name in scores)
        yield split, f"{shown}  ({scores['sentences']:,} {_COUNTED[settings.task]})"
        if "baseline" in scores:
            beside = scores["baseline"]
            shown = "  ".join(f"{name} {beside[name]:.4f}" for name in ("accuracy", "perplexity") if name in beside)
            yield "", f"{shown}  of {beside['name']}"
    parts = report.get("parameters", {})
    if parts:
        listed = ", ".join(f"{name} {count:,}" for name, count in parts.items())
        yield "parameters", f"{sum(parts.values()):,} ({listed})"
    versions = report.get("versions", {})
    if versions:
        yield "versions", ", ".join(f"{name} {version}" for name, version in versions.items())


def _tags(document: dict[str, Any]) -> tuple[str, str]:
    tags, scheme = document.get("labels", []), document.get("scheme")
    kinds = tags if scheme == "none" else sorted({tag[2:] for tag in tags if tag[1:2] == "-"})
    return "labels", " ".join(kinds) + ("" if scheme == "none" else f"  (spans, {str(scheme).upper()})")


def _classes(document: dict[str, Any]) -> tuple[str, str]:
    several = "  (a text may have several)" if document.get("multi_label") else ""
    return "labels", " ".join(document.get("labels", [])) + several


def _units(document: dict[str, Any]) -> tuple[str, str]:
    return "unit", str(document["kind"])


def _conditions(document: dict[str, Any]) -> tuple[str, str]:
    fields = (f"{field['name']} ({field['kind']})" for field in document["fields"])
    return "condition", ", ".join(fields) or "none"


_LEARNED = {"tag": _tags, "classify": _classes, "lm": _units, "generate": _conditions}
_COUNTED = {"tag": "sentences", "classify": "texts", "lm": "lines", "generate": "texts"}


def _settings(directory: Path, config: dict[str, Any]) -> Settings:
    if not isinstance(config.get("settings"), dict):
        raise ModelError(f"{directory}: expected settings in config.json, found none")
    return parse_settings(config["settings"], str(directory / "config.json"))


def _document(directory: Path, files: dict[str, bytes], name: str) -> dict[str, Any]:
    if name not in files:
        raise ModelError(f"{directory}: expected {name} among the model's files, found {', '.join(sorted(files))}")
    found = read_json(directory / name, files[name])
    if not isinstance(found, dict):
        raise ModelError(f"{directory / name}: expected a JSON object, found something else")
    return found
