"""``seqkit info``: what a model is and how well it does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from seqkit.artefact import read_config, read_json
from seqkit.cli.group import HELP_OPTIONS
from seqkit.config import Settings, parse_settings, to_toml
from seqkit.errors import ModelError

__all__ = ["command"]


@click.command(context_settings=HELP_OPTIONS)
@click.argument("directory", type=click.Path(path_type=Path), metavar="DIR")
@click.option("--json", "as_json", is_flag=True, help="as JSON")
def command(directory: Path, as_json: bool) -> None:
    """Describe the model in DIR: data, labels, scores, settings, versions. Its files are verified."""
    config, files = read_config(directory)
    about: dict[str, Any] = {name: config.get(name) for name in ("format_version", "seqkit_version")}
    settings = _settings(directory, config)
    labels, report = (_document(directory, files, name) for name in ("labels.json", "report.json"))
    if as_json:
        sizes = {name: len(content) for name, content in files.items()}
        about |= {"settings": settings.model_dump(mode="json"), "labels": labels, "files": sizes, "report": report}
        click.echo(json.dumps(about, indent=2))
        return
    size = sum(map(len, files.values())) / 1e6
    rows = [("model", f"{directory}: {settings.task}, {size:.1f} MB, format version {about['format_version']}")]
    try:
        rows += _rows(labels, report)
    except (AttributeError, KeyError, TypeError, ValueError) as error:  # written by something else than seqkit
        raise ModelError(f"{directory}: damaged: labels or report of another form than expected ({error})") from None
    for name, value in rows:
        click.echo(f"{name:<10}  {value}")
    click.echo(f"\n{to_toml(settings)}", nl=False)


_SCORES = ("f1", "precision", "recall", "accuracy", "micro_f1", "macro_f1")
"""scores to show, in this order"""


def _rows(labels: dict[str, Any], report: dict[str, Any]) -> list[tuple[str, str]]:
    """What a person wants to know, each with its name; nothing of what a report does not hold."""
    rows: list[tuple[str, str]] = []
    data = report.get("data", {}).get("name")
    if data:
        target = labels.get("target")
        rows.append(("data", f"{data}, column {target}" if target else data))
    tags, scheme = labels.get("labels", []), labels.get("scheme", "none")
    kinds = tags if scheme == "none" else sorted({tag[2:] for tag in tags if tag[1:2] == "-"})
    rows.append(("labels", " ".join(kinds) + ("" if scheme == "none" else f"  (spans, {str(scheme).upper()})")))
    for split, scores in report.get("scores", {}).items():
        names = [name for name in _SCORES if name in scores]
        shown = "  ".join(f"{name} {scores[name]:.4f}" for name in names)
        rows.append((split, f"{shown}  ({scores['sentences']:,} sentences)"))
        if "baseline" in scores:
            rows.append(("", f"accuracy {scores['baseline']['accuracy']:.4f}  of {scores['baseline']['name']}"))
    parts = report.get("parameters", {})
    if parts:
        listed = ", ".join(f"{name} {count:,}" for name, count in parts.items())
        rows.append(("parameters", f"{sum(parts.values()):,} ({listed})"))
    versions = report.get("versions", {})
    if versions:
        rows.append(("versions", ", ".join(f"{name} {version}" for name, version in versions.items())))
    return rows


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
