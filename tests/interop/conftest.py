"""The two releases of torchtext that matter; either, both or none may be there."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


def installed(version: str, place: str) -> ModuleType:
    """torchtext, if it is of this version and loads beside this torch; else the test skips and says where it runs."""
    needs = f"needs torchtext {version}, which {place}"
    try:
        torchtext = importlib.import_module("torchtext")
    except (ImportError, OSError) as error:  # 0.18's compiled part ends in an OSError beside another torch
        pytest.skip(f"{needs}, found none that loads: {str(error).splitlines()[0]}")
    if not torchtext.__version__.startswith(version):
        pytest.skip(f"{needs}, found {torchtext.__version__}")
    return torchtext


@pytest.fixture
def torchtext_06(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """torchtext 0.6.0."""
    ssl = importlib.import_module("ssl")  # its Vectors turn off the check of certificates, for the whole process
    monkeypatch.setattr(ssl, "_create_default_https_context", ssl._create_default_https_context)
    return installed("0.6.0", "the extra 'dev' has")


@pytest.fixture
def torchtext_018() -> ModuleType:
    """torchtext 0.18.0, which warns that it is the last."""
    torchtext = installed("0.18.0", "`make test-torch23` sets up")
    torchtext.disable_torchtext_deprecation_warning()
    for part in ("data.functional", "datasets", "vocab"):
        importlib.import_module(f"torchtext.{part}")
    return torchtext


@pytest.fixture
def run_readme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], dict[str, Any]]:
    """`run_readme(0)`: run the first block of Python in README's section on torchtext, in an empty folder."""
    readme = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
    section = readme.partition("\n## From torchtext\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"```python\n(.*?)```", section, re.DOTALL)

    def run(number: int) -> dict[str, Any]:
        monkeypatch.chdir(tmp_path)
        names: dict[str, Any] = {}
        exec(blocks[number], names)
        return names

    return run
