"""The directory that a model is: which files it has, that they are whole, and that this version can read them.

``config.json`` names every other file with its size and SHA-256, and carries a checksum of its own content, so that
a changed byte anywhere (but in ``README.md``, which people may edit) is found before anything is used. Files are
written aside and renamed, ``config.json`` last: a directory without it is no model.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seqkit import __version__
from seqkit.errors import ModelError

__all__ = ["FORMAT_VERSION", "read_config", "read_json", "write_atomically", "write_config"]

FORMAT_VERSION = 1
CONFIG = "config.json"


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file aside, flush it to the disk and rename it, so that a reader finds the old or the new one whole.

    Args:
        path: the file.
        content: its bytes.

    Raises:
        ModelError: it cannot be written.
    """
    aside = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(aside, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(aside, path)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise ModelError(f"{path}: cannot be written: {error.strerror or error}") from None


def write_config(directory: Path, content: Mapping[str, Any], files: Mapping[str, bytes]) -> None:
    """Write a model directory.

    Args:
        directory: where to; created if need be.
        content: what ``config.json`` says beside versions and checksums.
        files: name → content of every other file.

    Raises:
        ModelError: a file cannot be written.
    """
    for name, data in files.items():
        write_atomically(directory / name, data)
    known = {name: _fingerprint(data) for name, data in files.items() if not name.endswith(".md")}
    config = {"format_version": FORMAT_VERSION, "seqkit_version": __version__, **content, "files": known}
    config["checksum"] = _checksum(config)
    write_atomically(directory / CONFIG, json.dumps(config, indent=2).encode("ascii"))


def read_config(directory: Path) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Read a model directory and verify it.

    Args:
        directory: the model.

    Returns:
        What ``config.json`` says, and the content of every file that it names.

    Raises:
        ModelError: the directory is no model, of a newer format version, or damaged.
    """
    path = directory / CONFIG
    if not path.is_file():
        found = "an unfinished training run" if (directory / "checkpoint").is_dir() else "none"
        raise ModelError(f"{directory}: expected a model directory with {CONFIG}, found {found}")
    config = read_json(path, _read(path))
    version = config.get("format_version") if isinstance(config, dict) else None
    if not isinstance(version, int):
        raise ModelError(f"{path}: expected a model's configuration, found no format_version")
    if version > FORMAT_VERSION:
        raise ModelError(f"{path}: expected format version {FORMAT_VERSION} or older, found {version}; upgrade seqkit")
    if config.get("checksum") != _checksum({name: value for name, value in config.items() if name != "checksum"}):
        raise ModelError(f"{path}: damaged: its content does not agree with its checksum")
    files: dict[str, bytes] = {}
    for name, expected in config["files"].items():
        if Path(name).name != name or name in ("", ".", ".."):
            raise ModelError(f"{path}: expected plain file names, found {name!r}")
        content = _read(directory / name)
        if _fingerprint(content) != expected:
            raise ModelError(f"{directory / name}: damaged: its content does not agree with the checksum in {CONFIG}")
        files[name] = content
    return config, files


def read_json(path: Path, content: bytes) -> Any:
    """Parse a JSON file of a model.

    Args:
        path: what error messages call it.
        content: its bytes.

    Returns:
        The value.

    Raises:
        ModelError: it is not JSON.
    """
    try:
        return json.loads(content.decode("utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise ModelError(f"{path}: damaged: expected JSON, found: {error}") from None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror or error}") from None


def _fingerprint(content: bytes) -> dict[str, Any]:
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def _checksum(config: Mapping[str, Any]) -> str:
    canonical = json.dumps(config, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode("utf-8")).hexdigest()
