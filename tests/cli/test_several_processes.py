"""What the commands of several processes print, each of them called here by itself; together: `tests/training`."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch.distributed as dist

from seqkit.training.signals import Interrupted

Run = Callable[..., Any]  # the fixture `run`


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], None]]:
    """`started(rank)`: be one of two processes that ``torchrun`` started, whose store is here."""
    store = dist.TCPStore("localhost", 0, is_master=True, wait_for_workers=False)
    handler = signal.getsignal(signal.SIGTERM)

    def become(rank: int) -> None:
        told = {"RANK": rank, "WORLD_SIZE": 2, "LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": 2, "MASTER_ADDR": "localhost"}
        for name, value in {**told, "MASTER_PORT": store.port}.items():
            monkeypatch.setenv(name, str(value))

    yield become
    signal.signal(signal.SIGTERM, handler)


@pytest.mark.parametrize(
    ("arguments", "status"), [(["--epochs=none"], 2), (["--epochs=-1"], 2), (["--recipe=none.toml"], 1)]
)
@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_fault_of_all_is_told_by_the_first_to_find_it(
    arguments: list[str], status: int, order: tuple[int, int], started: Callable[[int], None], tmp_path: Path, run: Run
) -> None:
    alone = run("tag", "train", "sample-ner", "-o", tmp_path / "m", *arguments)
    assert alone.status == status
    assert alone.err.count("error: ") == 1
    results = []
    for rank in order:
        started(rank)
        results.append(run("tag", "train", "sample-ner", "-o", tmp_path / "m", *arguments))
    assert [result.status for result in results] == [status] * 2
    assert [result.err for result in results] == [alone.err, ""]


@pytest.mark.parametrize("rank", [0, 1])
def test_the_first_process_prints_the_report(
    rank: int, started: Callable[[int], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    report = SimpleNamespace(render=lambda width: "the scores")
    trained = SimpleNamespace(model=SimpleNamespace(report={"x": 1}), reports={"dev": report})
    monkeypatch.setattr("seqkit.training.run.run", lambda *_, **__: trained)
    started(rank)
    result = run("tag", "train", "sample-ner", "-o", tmp_path)
    assert (result.status, result.out) == (0, "" if rank else "dev\n\nthe scores\n")
    result = run("tag", "train", "sample-ner", "-o", tmp_path, "--json", "-")
    assert (result.status, result.out) == (0, "" if rank else '{\n  "x": 1\n}\n')
    file = tmp_path / "scores.json"
    assert run("tag", "train", "sample-ner", "-o", tmp_path, "--json", file).status == 0
    assert file.exists() == (rank == 0)


@pytest.mark.parametrize("rank", [0, 1])
def test_the_first_process_says_how_to_go_on(
    rank: int, started: Callable[[int], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise Interrupted

    monkeypatch.setattr("seqkit.training.run.run", interrupted)
    (tmp_path / "checkpoint").mkdir()
    (tmp_path / "checkpoint" / "state.safetensors").touch()
    started(rank)
    result = run("tag", "train", "sample-ner", "-o", tmp_path)
    command = f"torchrun --nproc-per-node 2 -m seqkit tag train sample-ner -o {tmp_path} --resume"
    message = f"interrupted; a checkpoint is saved, continue with: {command}\n"
    assert (result.status, result.out, result.err) == (130, "", "" if rank else message)


@pytest.mark.parametrize("rank", [0, 1])
def test_the_first_process_shows_the_settings(
    rank: int, started: Callable[[int], None], tiny: list[str], run: Run
) -> None:
    started(rank)
    result = run("tag", "train", "sample-ner", "--dry-run", *tiny)
    assert result.status == 0
    assert ("[training]" in result.out) == (rank == 0)
    assert (result.err == "") == (rank == 1)
