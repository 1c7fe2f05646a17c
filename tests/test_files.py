from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from seqkit.files import is_plain_name, locked, open_regular


@pytest.mark.parametrize(
    "name", ["a", "train.conll", "en_ewt-ud-train.conllu", "console.json", "com", "nul-1", "9", "_x"]
)
def test_plain_names(name: str) -> None:
    assert is_plain_name(name)


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", ".a", "a/b", "a\\b", "C:a", "a\n", "a\0", "é", "a b", "con", "NUL.txt", "lpt1.a.b", "x" * 101],
)
def test_names_that_are_not_plain(name: str) -> None:
    assert not is_plain_name(name)


def test_regular_files_alone_are_opened(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"content")
    with open_regular(tmp_path / "a") as stream:
        assert stream.read() == b"content"
    others = [tmp_path, Path(os.devnull)]
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        others.append(tmp_path / "pipe")
    for path in others:
        with pytest.raises(OSError, match="not a regular file"):
            open_regular(path)
    with pytest.raises(OSError, match="null"):
        open_regular(tmp_path / "a\0b")
    with pytest.raises(FileNotFoundError):
        open_regular(tmp_path / "none")


def test_a_lock_is_held_by_one_and_leaves_nothing(tmp_path: Path) -> None:
    order: list[str] = []

    def second() -> None:
        with locked(tmp_path / "lock"):
            order.append("second")

    other = threading.Thread(target=second)
    with locked(tmp_path / "lock"):
        other.start()
        other.join(0.2)
        order.append("first")
    other.join(60)
    assert order == ["first", "second"]
    assert list(tmp_path.iterdir()) == []


def test_a_lock_ends_with_its_process(tmp_path: Path) -> None:
    code = f"""
import os
from pathlib import Path
from seqkit.files import locked
with locked(Path({str(tmp_path / "lock")!r})):
    os._exit(0)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    assert (tmp_path / "lock").exists()
    with locked(tmp_path / "lock"):
        pass
    assert list(tmp_path.iterdir()) == []
