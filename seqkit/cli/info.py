"""`seqkit info`: what a model is and how well it does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from seqkit.artefact import read_config, read_json
from seqkit.config import Settings, override, to_toml

__all__ = ["command"]


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("directory", type=click.Path(path_type=Path), metavar="DIR")
@click.option("--json", "as_json", is_flag=True, help="as JSON")
def command(directory: Path, as_json: bool) -> None:
    """Describe the model in DIR: settings, labels, scores, versions. Its files are verified."""
    config, files = read_config(directory)
    report = read_json(directory / "report.json", files["report.json"])
    labels = read_json(directory / "labels.json", files["labels.json"])
    sizes = {name: len(data) for name, data in files.items()}
    about = {name: config[name] for name in ("format_version", "seqkit_version")}
    if as_json:
        tree: dict[str, Any] = {**about, "settings": config["settings"], "labels": labels, "files": sizes, "report": report}
        click.echo(json.dumps(tree, indent=2))
        return
    click.echo(f"task {config['settings']['task']}, format version {about['format_version']}, seqkit {about['seqkit_version']}")
    click.echo(f"labels ({labels['scheme']}): {' '.join(labels['labels'])}")
    for name, size in sizes.items():
        click.echo(f"{name}: {size:,} bytes")
    for name, count in report.get("parameters", {}).items():
        click.echo(f"{name}: {count:,} parameters")
    for split, scores in report.get("scores", {}).items():
        shown = ", ".join(f"{key} {value:.4f}" for key, value in scores.items() if isinstance(value, float))
        click.echo(f"{split}: {shown}")
    click.echo()
    click.echo(to_toml(override(Settings(), config["settings"])))
