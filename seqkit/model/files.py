"""The directory that a model is: which files it has, that they are whole, and that this version can read them.

``config.json`` names every other file with its size and SHA-256, and carries a checksum of its own content, so that
a changed byte anywhere (but in ``README.md``, which people may edit) is found before anything is used. A directory
without it is no model. It is also what makes writing a model one step: see `write_config`.

Checksums tell damage, not intent: whoever makes a model makes its checksums, too. So a name has to be a plain one, a
file has to be a regular one that lies in the directory, and is read only if it is as long as ``config.json`` says.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, TypeGuard

from seqkit._version import __version__
from seqkit.errors import ModelError, SettingsError, shown
from seqkit.files import create, flush, flush_names, is_plain_name, open_regular, rename, write_atomically
from seqkit.model.lock import held, holds

FORMAT_VERSION = 2
CONFIG = "config.json"
FILES = (
    *(CONFIG, "weights.safetensors", "words.json", "characters.json", "vectors.json", "labels.json", "splitter.json"),
    *("units.json", "conditions.json", "context.json", "frames.json", "symbols.json", "target.json"),
    *("report.json", "README.md"),
)
"""every name that a file of a model may have"""
_STAGED = re.compile(f"(?:{'|'.join(map(re.escape, FILES))})\\.[0-9a-f]{{16}}")
_DIGEST = re.compile("[0-9a-f]{64}")
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
    if not isinstance(given, str | os.PathLike) or "\0" in str(given) or not str(given):
        raise SettingsError(f"{what} must be a path, found {shown(given)}")
    return Path(given)


def write_config(directory: Path, content: Mapping[str, Any], files: Mapping[str, bytes]) -> None:
    """Write a model directory, in one step for its readers; of a model that stood there before nothing is left.

    1. Files with other content than those there are written aside, each under a name that has its checksum.
    2. ``config.json`` is replaced, which is one renaming: before it the old model is there, after it the new one, whose
       files are found aside.
    3. These get their own names, and the README, which is for people, follows.

    Whenever the process ends in here, `read_config` finds the old model or the new one, and the next writing completes
    what is left to do.

    Args:
        directory: where to; created if need be.
        content: what ``config.json`` says beside versions and checksums.
        files: name → content of every other file.

    Raises:
        ModelError: a file cannot be written or renamed, or there are files with a model's names that are no model's;
            before the second step the old model, or what is there, is as it was, and afterwards the new one is there.
        TrainingError: another process writes to the directory.
    """
    cards = {name: data for name, data in files.items() if name.endswith(".md")}
    sums = {name: _fingerprint(data) for name, data in files.items() if name not in cards}
    config = {"format_version": FORMAT_VERSION, "seqkit_version": __version__, **content, "files": sums}
    config["checksum"] = _checksum(config)
    rendered = _render(config)
    within_run = holds(directory)  # which has seen that the directory may be written to
    with _refusals(directory):
        directory.mkdir(parents=True, exist_ok=True)
        with nullcontext() if within_run else held(directory, patience=10.0):
            complete(directory)
            replaces_model = bool(_known_files(directory))
            foreign = sorted(name for name in FILES if os.path.lexists(directory / name))
            if foreign and not replaces_model and not within_run:
                if CONFIG in foreign:
                    _read(directory / CONFIG)  # where it cannot be read, it is not known whose it is
                raise ModelError(f"{directory}: expected a model or no files of its names, found {', '.join(foreign)}")
            places = {name: _staged(directory / name, found) for name, found in sums.items()}
            written: list[Path] = []
            try:
                for name, place in places.items():
                    if _has(directory / name, files[name]):
                        continue
                    with _refusals(directory / name):
                        if _has(place, files[name]):
                            flush(place)  # the process that wrote it may have been killed before it did
                        else:
                            written.append(place)
                            create(place, files[name])
                flush_names(directory)
                write_atomically(directory / CONFIG, rendered)
            except BaseException:
                if not _has(directory / CONFIG, rendered, unreadable=True):
                    _remove(written)
                raise
            _rename_staged(directory, sums)
            for name, data in cards.items():
                if not _has(directory / name, data):
                    write_atomically(directory / name, data)
            others = set(FILES) - {CONFIG, *files} if replaces_model else set()
            _remove([*(directory / name for name in others), *set(staged_files(directory)).difference(places.values())])


@contextmanager
def _refusals(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ModelError(f"{path}: cannot be written: {error.strerror or error}") from None


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def complete(directory: Path) -> None:
    """Give the files of a model their own names, where a process was killed after it had replaced ``config.json``.

    Args:
        directory: the model, or any other directory.
    """
    if staged_files(directory):
        _rename_staged(directory, _known_files(directory))


def staged_files(directory: Path) -> list[Path]:
    """Files of a model that have not got their own names yet, or never will.

    Args:
        directory: the model, or any other directory.

    Returns:
        Their paths.
    """
    return [path for path in directory.iterdir() if _STAGED.fullmatch(path.name)] if directory.is_dir() else []


def _staged(path: Path, fingerprint: Mapping[str, Any]) -> Path:
    """Where a file of a model stands until ``config.json`` tells of it."""
    return path.with_name(f"{path.name}.{fingerprint['sha256'][:16]}")


def _rename_staged(directory: Path, fingerprints: Mapping[str, Mapping[str, Any]]) -> None:
    for name, found in fingerprints.items():
        staged = _staged(directory / name, found)
        try:
            if staged.exists():
                rename(staged, directory / name)
        except PermissionError:
            continue  # somebody has the old one open, on Windows; until the next writing it is found where it is
        except OSError as error:
            raise ModelError(f"{directory / name}: cannot be renamed: {error.strerror or error}") from None
    flush_names(directory)


def _has(path: Path, content: bytes, *, unreadable: bool = False) -> bool:
    """Whether a file is there that has this content; of one that cannot be read, `unreadable`."""
    try:
        about = path.lstat()
        if not stat.S_ISREG(about.st_mode) or about.st_size != len(content):
            return False
        place = 0
        with open_regular(path) as stream:
            while block := stream.read(1 << 20):
                if not content.startswith(block, place):
                    return False
                place += len(block)
        return place == len(content)
    except FileNotFoundError:
        return False
    except OSError:
        return unreadable


def _known_files(directory: Path) -> dict[str, Any]:
    """What the ``config.json`` in a directory says of files that a model may have; nothing if it is no model's."""
    with suppress(ModelError, AttributeError, TypeError):
        config = read_json(directory / CONFIG, _read(directory / CONFIG))
        if "seqkit_version" in config:
            return {name: found for name, found in config["files"].items() if name in FILES and _is_known(found)}
    return {}


def read_config(directory: Path) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Read a model directory and verify it.

    Args:
        directory: the model.

    Returns:
        What ``config.json`` says, and the content of every file that it names.

    Raises:
        ModelError: the directory is no model, of a newer format version, or damaged.
    """
    seen: tuple[int, int] | None = None
    while True:
        version = _version(directory / CONFIG)
        config = _read_configuration(directory)
        try:
            return config, {name: _read_known(directory / name, expected) for name, expected in config["files"].items()}
        except ModelError:
            if version == seen:
                raise
            seen = version  # it may have been replaced meanwhile: what is read is one version of a model, or damaged


def _version(path: Path) -> tuple[int, int]:
    """What differs between a file and another in its place, though it had the same content."""
    try:
        about = os.stat(path)
    except (OSError, ValueError):  # of which reading will say what is wrong
        return 0, 0
    return about.st_ino, about.st_mtime_ns


def _read_configuration(directory: Path) -> dict[str, Any]:
    """What ``config.json`` says, verified."""
    path = directory / CONFIG
    # The functions of os.path, since methods of a path raise for a name that is too long in some versions of Python.
    if not os.path.isfile(path):
        found = "an unfinished training run" if os.path.isdir(directory / "checkpoint") else "none"
        found = "a file" if os.path.isfile(directory) else found
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
    checked: dict[str, Any] = config
    return checked


def _is_known(found: object) -> TypeGuard[dict[str, Any]]:
    """Whether something has the form of a file's size and checksum; the checksum becomes a part of a name."""
    size, digest = (found.get("bytes"), found.get("sha256")) if isinstance(found, dict) else (None, None)
    return type(size) is int and size >= 0 and isinstance(digest, str) and bool(_DIGEST.fullmatch(digest))


def _read_known(path: Path, expected: object) -> bytes:
    """A file of which ``config.json`` says how long it is and what its checksum is."""
    if not _is_known(expected):
        raise ModelError(f"{path}: damaged: expected its size and checksum in {CONFIG}, found {shown(expected)}")
    fault = ModelError(f"{path}: damaged: its content does not agree with the checksum in {CONFIG}")
    # Aside, where it has not got its name yet; and once more, where it got it between the two looks.
    for place in (path, _staged(path, expected), path):
        try:
            content = _read(place, expected["bytes"])
        except ModelError as error:
            fault = error if place is path else fault
            continue
        if _fingerprint(content) == expected:
            return content
    raise fault


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
