"""A model directory that is damaged, or not of this version, gives one line."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from seqkit.model.files import FORMAT_VERSION

Run = Callable[..., Any]  # the fixture `run`

FILES = [
    "config.json",
    "weights.safetensors",
    "words.json",
    "characters.json",
    "labels.json",
    "splitter.json",
    "report.json",
]


@pytest.fixture
def broken(ner_model: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(ner_model, tmp_path / "model"))


def test_every_file_of_a_model_is_named_here(ner_model: Path) -> None:
    others = {"README.md", "train.jsonl"}  # for people
    assert {path.name for path in ner_model.iterdir() if path.is_file()} == {*FILES} | others


@pytest.mark.parametrize("place", [0.0, 0.5, 1.0], ids=["first", "middle", "last"])
@pytest.mark.parametrize("name", FILES)
def test_a_changed_byte_is_seen(name: str, place: float, broken: Path, run: Run) -> None:
    content = bytearray((broken / name).read_bytes())
    content[round(place * (len(content) - 1))] ^= 0x01
    (broken / name).write_bytes(content)
    for command in (["tag", "-m", broken], ["info", broken]):
        result = run(*command, stdin=b"Ada\n")
        assert (result.status, result.out, len(result.lines)) == (1, "", 1)
        assert re.match(rf"error: {re.escape(str(broken / name))}: (damaged: |expected )", result.err), result.err


@pytest.mark.parametrize("name", FILES)
def test_a_cut_file_is_seen(name: str, broken: Path, run: Run) -> None:
    (broken / name).write_bytes((broken / name).read_bytes()[:-7])
    result = run("tag", "-m", broken, stdin=b"Ada\n")
    assert (result.status, result.out, len(result.lines)) == (1, "", 1)
    assert result.err.startswith(f"error: {broken / name}: damaged: "), result.err


@pytest.mark.parametrize("name", FILES[1:])
def test_a_missing_file_is_seen(name: str, broken: Path, run: Run) -> None:
    (broken / name).unlink()
    result = run("tag", "-m", broken, stdin=b"Ada\n")
    assert result.err == f"error: {broken / name}: cannot be read: No such file or directory\n"
    assert (result.status, result.out) == (1, "")


def _rewrite(model: Path, change: Callable[[dict], None]) -> None:
    """Change the configuration of a model, and its checksum with it."""
    config = json.loads((model / "config.json").read_text())
    change(config)
    del config["checksum"]
    canonical = json.dumps(config, sort_keys=True, separators=(",", ":"))
    config["checksum"] = hashlib.sha256(canonical.encode()).hexdigest()
    (model / "config.json").write_text(json.dumps(config, indent=2))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda c: c.update(format_version=FORMAT_VERSION + 1),
            rf"expected format version {FORMAT_VERSION} or older, found {FORMAT_VERSION + 1}; upgrade seqkit",
        ),
        (lambda c: c.update(format_version="1"), r"expected a model's configuration, found no format_version"),
        (lambda c: c.pop("format_version"), r"expected a model's configuration, found no format_version"),
        (lambda c: c.pop("settings"), r"damaged: 'settings'"),
        (lambda c: c.update(settings=3), r"damaged: .*: expected sections of settings, found 3"),
        (lambda c: c["settings"]["encoder"].update(hidden=9), r".*weights do not fit the model's settings: .*"),
        (lambda c: c["settings"]["encoder"].update(hiden=9), r".*encoder\.hiden: unknown name, expected one of .*"),
        (lambda c: c.pop("files"), r"expected the model's files with their checksums, found NoneType"),
        (lambda c: c["files"].pop("words.json"), r"words\.json is missing among the model's files: [a-z., ]+"),
        (lambda c: c["files"].update({"../x": {}}), r"expected plain file names, found '\.\./x'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_configuration_that_cannot_be_used(
    change: Callable[[dict], None], message: str, broken: Path, run: Run
) -> None:
    _rewrite(broken, change)
    result = run("tag", "-m", broken, stdin=b"Ada\n")
    assert (result.status, result.out) == (1, "")
    assert re.fullmatch(rf"error: {re.escape(str(broken))}(/config\.json)?: ({message})\n", result.err), result.err


def test_labels_or_a_report_of_another_form(broken: Path, run: Run) -> None:
    content = b'{"labels": ["O", ""], "scheme": "iob2", "target": 3}'
    (broken / "labels.json").write_bytes(content)
    (broken / "report.json").write_bytes(b'{"scores": {"dev": {"f1": "high"}}}')
    for name in ("labels.json", "report.json"):
        data = (broken / name).read_bytes()
        known = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        _rewrite(broken, lambda config, name=name, known=known: config["files"].update({name: known}))
    for command in (["tag", "-m", broken], ["info", broken]):
        result = run(*command, stdin=b"Ada\n")
        assert (result.status, result.out, len(result.lines)) == (1, "", 1)
        assert re.match(
            r"error: .*(labels: expected a scheme and a target, found|damaged: labels or report)", result.err
        )


def test_a_report_that_is_no_object(broken: Path, run: Run) -> None:
    (broken / "report.json").write_bytes(b"[]")
    known = {"bytes": 2, "sha256": hashlib.sha256(b"[]").hexdigest()}
    _rewrite(broken, lambda config: config["files"].update({"report.json": known}))
    for command in (["tag", "-m", broken], ["info", broken]):
        result = run(*command, stdin=b"Ada\n")
        assert (result.status, result.out) == (1, "")
        assert result.err == f"error: {broken / 'report.json'}: expected a JSON object, found something else\n"


def test_a_newer_model_is_named_by_info_too(broken: Path, run: Run) -> None:
    _rewrite(broken, lambda config: config.update(format_version=FORMAT_VERSION + 1))
    result = run("info", broken)
    expected = f"expected format version {FORMAT_VERSION} or older, found {FORMAT_VERSION + 1}; upgrade seqkit"
    message = f"error: {broken / 'config.json'}: {expected}\n"
    assert (result.status, result.out, result.err) == (1, "", message)


def test_no_fault_leaves_a_traceback_in_a_process_of_its_own(broken: Path) -> None:
    (broken / "labels.json").write_bytes(b"\x80")
    found = subprocess.run(
        [sys.executable, "-m", "seqkit", "info", str(broken)], capture_output=True, text=True, timeout=60
    )
    message = f"error: {broken / 'labels.json'}: damaged: expected 239 bytes, as config.json says, found 1\n"
    assert (found.returncode, found.stdout, found.stderr) == (1, "", message)
