from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from seqkit import files
from seqkit.errors import TrainingError
from seqkit.model.lock import LOCK, held, see_free
from seqkit.training.run import run

ROOT = Path(__file__).resolve().parents[2]
Make = Callable[..., Any]
HOLDER = """
import sys, time
from pathlib import Path
from seqkit.model.lock import held
with held(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(1000)
"""


def taken(output: Path, holder: str) -> str:
    return f"{output}: the output directory is in use by {holder}"


def fault_of(function: Callable[..., Any], *arguments: Any, **options: Any) -> str:
    with pytest.raises(TrainingError) as caught:
        function(*arguments, **options)
    return str(caught.value)


def test_a_lock_is_held_for_a_while_and_leaves_nothing(tmp_path: Path) -> None:
    see_free(tmp_path)
    me = f"process {os.getpid()} on {socket.gethostname()!r}"
    with held(tmp_path):
        assert json.loads((tmp_path / LOCK).read_text()) == {"process": os.getpid(), "host": socket.gethostname()}
        assert fault_of(see_free, tmp_path) == taken(tmp_path, me)
        assert fault_of(held(tmp_path).__enter__) == taken(tmp_path, me)
    see_free(tmp_path)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ZeroDivisionError), held(tmp_path):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_two_trainings_cannot_share_a_directory(make_pairs: Make, tiny_settings: Make, tmp_path: Path) -> None:
    output = tmp_path / "m"
    output.mkdir()
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, output], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        options = {"dev": make_pairs(4, 1), "device": "cpu"}
        for more in ({}, {"resume": True}, {"force": True}):
            message = fault_of(run, tiny_settings(), output, make_pairs(12), **more, **options)
            assert message == taken(output, f"process {holder.pid} on {socket.gethostname()!r}")
        assert [path.name for path in output.iterdir()] == [LOCK]
    finally:
        holder.kill()
        holder.communicate()
    # Of a process that was killed the file is left, and no lock.
    assert (output / LOCK).exists()
    run(tiny_settings("training.epochs=1"), output, make_pairs(12), **options)
    assert (output / "config.json").is_file()
    assert not (output / LOCK).exists()


def test_a_directory_in_use_is_told_before_data_are_read(tiny_settings: Make, tmp_path: Path) -> None:
    output, data = tmp_path / "m", tmp_path / "data"
    for folder in (output, data):
        folder.mkdir()
    for name in ("train.conll", "dev.conll"):
        (data / name).write_text("Ada B-PER\nslept\n")  # a fault that reading would find
    with held(output):
        message = fault_of(run, tiny_settings(), output, data, device="cpu", quiet=True)
    assert message == taken(output, f"process {os.getpid()} on {socket.gethostname()!r}")


@pytest.mark.parametrize("content", [b"", b"x", b"[]", b'{"process": "x"}', b'{"process": 1e999, "host": 3}'])
def test_a_holder_need_not_say_who_it_is(content: bytes, tmp_path: Path) -> None:
    with held(tmp_path):
        (tmp_path / LOCK).write_bytes(content)
        assert fault_of(see_free, tmp_path) == taken(tmp_path, "another process")


def test_what_a_killed_run_left_in_the_lock_file_is_not_part_of_what_the_next_one_writes(tmp_path: Path) -> None:
    with held(tmp_path):
        (file,) = tmp_path.iterdir()
    file.write_text(json.dumps({"process": 1, "host": "a host with a much longer name than this one " * 9}))
    with held(tmp_path):
        assert json.loads(file.read_text()) == {"process": os.getpid(), "host": socket.gethostname()}
        assert fault_of(see_free, tmp_path) == taken(tmp_path, f"process {os.getpid()} on {socket.gethostname()!r}")


def test_a_directory_that_was_made_again_is_another_runs(tmp_path: Path) -> None:
    output = tmp_path / "m"
    output.mkdir()
    first = held(output)
    first.__enter__()
    shutil.rmtree(output)
    output.mkdir()
    with held(output):
        first.__exit__(None, None, None)
        assert "in use by process" in fault_of(see_free, output)


def test_a_file_system_without_locks_is_no_obstacle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fcntl = pytest.importorskip("fcntl")

    def unsupported(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    with held(tmp_path), held(tmp_path):
        see_free(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_lock_file_that_is_removed_meanwhile_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another run ends between our opening and our locking its file: what we have then is no file of the directory."""
    plain, calls = files.take_lock, []

    def removing(handle: int) -> bool:
        if not calls:
            (tmp_path / LOCK).unlink()
        calls.append(handle)
        return plain(handle)

    monkeypatch.setattr(files, "take_lock", removing)
    with held(tmp_path):
        monkeypatch.undo()
        assert len(calls) == 2
        assert "in use by process" in fault_of(see_free, tmp_path)


def test_two_are_never_inside_together(tmp_path: Path) -> None:
    """A lock belongs to an opened file, so that threads keep each other out as processes do."""
    inside = tmp_path / "inside"

    def now_and_then(_: int) -> int:
        entered = 0
        for _ in range(200):
            with suppress(TrainingError), held(tmp_path):
                inside.touch(exist_ok=False)  # fails where another is inside
                inside.unlink()
                entered += 1
        return entered

    with ThreadPoolExecutor(8) as pool:
        entered = list(pool.map(now_and_then, range(8)))
    assert sum(entered) > 0
    assert list(tmp_path.iterdir()) == []
