"""The directory that a model is: which files it has, that they are whole, and that this version can read them.

``config.json`` names every other file with its size and SHA-256, and carries a checksum of its own content, so that
a changed byte anywhere (but in ``README.md``, which people may edit) is found before anything is used. Files are
written aside and renamed, ``config.json`` last: a directory without it is no model.

Checksums tell damage, not intent: whoever makes a model makes its checksums, too. So a name has to be a plain one, a
file has to be a regular one that lies in the directory, and is read only if it is as long as ``config.json`` says.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from seqkit._version import __version__
from seqkit.errors import ModelError, SettingsError, shown
from seqkit.files import is_plain_name, open_regular

FORMAT_VERSION = 2
CONFIG = "config.json"
FILES = (
    *(CONFIG, "weights.safetensors", "words.json", "characters.json", "vectors.json", "labels.json", "splitter.json"),
    *("units.json", "conditions.json", "context.json", "report.json", "README.md"),
)
"""every name that a file of a model may have"""
_MOST_CONFIG_BYTES = 1 << 20
"""of ``config.json``, which has a few thousand"""


def path_of(given: object, what: str) -> Path:
    """A path that a user gave.

    Args:
        given: a string or a path.
        what: what messages call it.

    Returns:
        The path.

    Raises:
        SettingsError: it is something else, or no path of any system.
    """
    if not isinstance(given, str | os.PathLike) or "\0" in str(given):
        raise SettingsError(f"{what} must be a path, found {shown(given)}")
    return Path(given)


def aside(path: Path) -> Path:
    """Where a file stands while it is being written."""
    return path.with_name(path.name + ".part")


def write_atomically(path: Path, content: bytes, keep: Path | None = None) -> None:
    """Write a file aside, flush it to the disk and rename it, so that a reader finds the old or the new one whole.

    Args:
        path: the file.
        content: its bytes.
        keep: where the old file goes, in the same directory; it is replaced. For a moment there is none at `path`, and
            the old one is there.

    Raises:
        ModelError: it cannot be written.
    """
    part = aside(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(part, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        if keep is not None:
            with suppress(FileNotFoundError):
                os.replace(path, keep)
        os.replace(part, path)
        _flush_names(path.parent)
    except OSError as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise ModelError(f"{path}: cannot be written: {error.strerror or error}") from None


def _flush_names(directory: Path) -> None:
    """See that renamings outlive a loss of power, where the system lets a directory be flushed."""
    with suppress(OSError):
        handle = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def write_config(directory: Path, content: Mapping[str, Any], files: Mapping[str, bytes]) -> None:
    """Write a model directory; of a model that stood there before nothing is left.

    Args:
        directory: where to; created if need be.
        content: what ``config.json`` says beside versions and checksums.
        files: name → content of every other file.

    Raises:
        ModelError: a file cannot be written.
    """
    before = _names_before(directory)
    for name, data in files.items():
        write_atomically(directory / name, data)
    known = {name: _fingerprint(data) for name, data in files.items() if not name.endswith(".md")}
    config = {"format_version": FORMAT_VERSION, "seqkit_version": __version__, **content, "files": known}
    config["checksum"] = _checksum(config)
    write_atomically(directory / CONFIG, _render(config))
    for name in before - {CONFIG, *files}:
        with suppress(OSError):
            (directory / name).unlink()


def _names_before(directory: Path) -> set[str]:
    """The files of the model in a directory, of those names that a model's files may have."""
    with suppress(ModelError, AttributeError, TypeError):
        config = read_json(directory / CONFIG, _read(directory / CONFIG))
        if "seqkit_version" in config:
            return set(config["files"]) & set(FILES)
    return set()


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
    # The functions of os.path, since methods of a path raise for a name that is too long in some versions of Python.
    if not os.path.isfile(path):
        found = "an unfinished training run" if os.path.isdir(directory / "checkpoint") else "none"
        raise ModelError(f"{directory}: expected a model directory with {CONFIG}, found {found}")
    raw = _read(path)
    config = read_json(path, raw)
    version = config.get("format_version") if isinstance(config, dict) else None
    if type(version) is not int or version < 1:
        raise ModelError(f"{path}: expected a model's configuration, found no format_version")
    if version > FORMAT_VERSION:
        expected = f"expected format version {FORMAT_VERSION} or older"
        raise ModelError(f"{path}: {expected}, found {shown(version)}; upgrade seqkit")
    content = {name: value for name, value in config.items() if name != "checksum"}
    # Rendered again, because white space and other ways to write the same values do not show in the checksum.
    try:
        whole = config.get("checksum") == _checksum(content) and raw == _render(config)
    except RecursionError:  # parsed as it could be, written it cannot: no model has lists so deep
        whole = False
    if not whole:
        raise ModelError(f"{path}: damaged: its content does not agree with its checksum")
    known = config.get("files")
    if not isinstance(known, dict):
        raise ModelError(f"{path}: expected the model's files with their checksums, found {type(known).__name__}")
    odd = next((name for name in known if not is_plain_name(name)), None)
    if odd is not None:
        raise ModelError(f"{path}: expected plain file names, found {shown(odd)}")
    return config, {name: _read_known(directory / name, expected) for name, expected in known.items()}


def _read_known(path: Path, expected: object) -> bytes:
    """A file of which ``config.json`` says how long it is and what its checksum is."""
    size = expected.get("bytes") if isinstance(expected, dict) else None
    if type(size) is not int or size < 0:
        raise ModelError(f"{path}: damaged: expected its size and checksum in {CONFIG}, found {shown(expected)}")
    content = _read(path, size)
    if _fingerprint(content) != expected:
        raise ModelError(f"{path}: damaged: its content does not agree with the checksum in {CONFIG}")
    return content


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
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path}: damaged: expected JSON, found: {shown(error)}") from None


def _read(path: Path, size: int | None = None) -> bytes:
    """A regular file that lies in the directory, of the given size; without one, of a size that is no trouble."""
    try:
        if path.is_symlink() and not path.resolve().is_relative_to(path.parent.resolve()):
            raise ModelError(f"{path}: expected a file of the model's own, found a link to {path.resolve()}")
        with open_regular(path) as stream:
            found = os.fstat(stream.fileno()).st_size
            if size is None and found > _MOST_CONFIG_BYTES:
                raise ModelError(f"{path}: expected at most {_MOST_CONFIG_BYTES:,} bytes, found {found:,}")
            if size is not None and found != size:
                raise ModelError(f"{path}: damaged: expected {shown(size)} bytes, as {CONFIG} says, found {found}")
            return stream.read(found)
    except (OSError, RuntimeError) as error:  # the latter of a loop of links
        raise ModelError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None


def _fingerprint(content: bytes) -> dict[str, Any]:
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def _render(config: Mapping[str, Any]) -> bytes:
    return json.dumps(config, indent=2).encode("ascii")


def _checksum(config: Mapping[str, Any]) -> str:
    canonical = json.dumps(config, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode("utf-8")).hexdigest()
