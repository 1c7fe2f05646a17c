"""Models that earlier versions saved load, and predict what they predicted then."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from seqkit.model.files import FILES, FORMAT_VERSION, read_config
from seqkit.tasks import TASKS

FORMATS = Path(__file__).resolve().parent
VERSIONS = [f"v{number}" for number in range(1, FORMAT_VERSION + 1)]
KEPT = [path.parent for path in sorted(FORMATS.glob("v*/*/config.json"))]


@pytest.fixture(scope="module")
def make() -> ModuleType:
    """The script that wrote them."""
    spec = importlib.util.spec_from_file_location("formats_make", FORMATS / "make.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("version", VERSIONS)
def test_every_format_version_is_kept(version: str) -> None:
    folders = [path for path in KEPT if path.parent.name == version]
    configs = [read_config(folder)[0] for folder in folders]
    assert {config["format_version"] for config in configs} == {int(version[1:])}
    tasks = {"ngram" if config["settings"]["head"].get("ngram") else config["settings"]["task"] for config in configs}
    assert tasks >= {"tag", "classify", "lm", "generate", "ngram"}
    expected = json.loads((FORMATS / version / "expected.json").read_text(encoding="ascii"))
    assert set(expected) == {folder.name for folder in folders}


def test_no_version_is_kept_that_is_not_known() -> None:
    assert sorted({path.parent.name for path in KEPT}) == sorted(VERSIONS)


@pytest.mark.parametrize("directory", KEPT, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_a_kept_model_predicts_what_it_did(directory: Path, make: ModuleType) -> None:
    expected = json.loads((directory.parent / "expected.json").read_text(encoding="ascii"))[directory.name]
    assert expected
    compare(make.predictions(directory.name, directory), expected)


def compare(found: Any, expected: Any) -> None:
    """Equal but for the rounding of numbers, which differs with processors and versions of torch."""
    assert type(found) is type(expected)
    if isinstance(expected, float):
        assert found == pytest.approx(expected, rel=1e-5, abs=1e-5)
    elif isinstance(expected, list):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            compare(one, other)
    elif isinstance(expected, dict):
        assert list(found) == list(expected)
        compare(list(found.values()), list(expected.values()))
    else:
        assert found == expected


@pytest.mark.parametrize(
    ("found", "expected"), [([1.0], [1.1]), ([1], [2]), ([1], [1.0]), ({"a": 1}, {"b": 1}), ([], [1]), ("a", "b")]
)
def test_what_differs_is_noticed(found: Any, expected: Any) -> None:
    with pytest.raises(AssertionError):
        compare(found, expected)


def test_the_present_version_keeps_every_kind_of_model_and_file(make: ModuleType) -> None:
    folders = [path for path in KEPT if path.parent.name == VERSIONS[-1]]
    assert {path.name for path in folders} == set(make.KINDS)
    kinds = {name or task.name for task in TASKS.values() for name in task.models}
    assert {path.name.split("-")[0] for path in folders} == kinds
    kept = [read_config(path)[0]["settings"] for path in folders]
    rows = {(row.name, row.input_name) for task in TASKS.values() for row in task.rows}
    assert {(settings["task"], settings.get("input", "words")) for settings in kept} == rows
    assert {file.name for path in folders for file in path.iterdir()} == set(FILES)
    for path in folders:
        assert sum(file.stat().st_size for file in path.iterdir()) <= 20_480, path


def test_what_is_kept_is_not_written_again(make: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in make.KINDS:
        (tmp_path / VERSIONS[-1] / kind).mkdir(parents=True)
    monkeypatch.setattr(make, "FORMATS", tmp_path)
    with pytest.raises(SystemExit) as caught:
        make.main()
    assert str(caught.value).endswith(": files of a version are written once and then kept as they are")
    assert {path.name for path in (tmp_path / VERSIONS[-1]).iterdir()} == set(make.KINDS)
