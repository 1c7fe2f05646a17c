"""The real data sets, where the environment says they are."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def real_file() -> Callable[[str], Path]:
    """``folder/file`` of a data set in one of the folders of ``$SEQKIT_DATA``; skips the test where none has it."""

    def find(name: str) -> Path:
        folders = [folder for folder in os.environ.get("SEQKIT_DATA", "").split(os.pathsep) if folder]
        for folder in folders:
            if (Path(folder) / name).is_file():
                return Path(folder) / name
        pytest.skip(f"needs {name} in a folder of $SEQKIT_DATA ({', '.join(folders) or 'not set'})")

    return find
