"""A training that is killed at any moment loses nothing: when it has been resumed, its weights are the same bits."""

from __future__ import annotations

import json
import random
import signal
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from tests.training import killed

KILLS = 20
NEVER = 0


def life(processes: Any, task: str, output: Path, minutes: float, step: int, draw: random.Random) -> object:
    """Train until the end, or until a drawn moment about a step; gives ``killed``, ``done`` or a fault."""
    here, there = processes.Pipe(duplex=False)
    process = processes.Process(target=killed.train, args=(task, output, minutes, there))
    process.start()
    there.close()
    if step == NEVER:
        return last_word(here)
    if draw.random() < 0.15:
        here.poll(draw.uniform(0.0, 0.5))  # while it reads its data and its checkpoint, before the first step
    else:
        while here.recv() < step:
            pass
        time.sleep(draw.uniform(0.0, 0.01))  # in the middle of a step, of a checkpoint, of an evaluation
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    return "killed"


def last_word(here: Connection) -> object:
    word = None
    while True:
        try:
            word = here.recv()
        except EOFError:
            return word


def without_times(output: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (output / "train.jsonl").read_text(encoding="ascii").splitlines()]
    return [{name: value for name, value in line.items() if "second" not in name} for line in lines]


@pytest.mark.slow
@pytest.mark.parametrize("task", killed.TASKS)
def test_killed_at_20_moments_a_run_ends_with_the_weights_of_one_left_in_peace(
    task: str, processes: Any, tmp_path: Path
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    draw = random.Random(task)
    assert life(processes, task, whole, 0.0, NEVER, draw) == "done"
    last = without_times(whole)[-1]["step"]
    for step in sorted(draw.choices(range(2, last - 20), k=KILLS)):
        # A checkpoint after every step, so that many are killed while they write one, or at the end of epochs alone.
        minutes = draw.choice([1e-9, 1e-9, 1e-9, 0.0])
        assert life(processes, task, parts, minutes, step, draw) == "killed"
    assert not (parts / "config.json").exists()
    assert life(processes, task, parts, 0.0, NEVER, draw) == "done"
    assert (parts / "weights.safetensors").read_bytes() == (whole / "weights.safetensors").read_bytes()
    assert without_times(parts) == without_times(whole)
    scores = [json.loads((folder / "report.json").read_text())["scores"] for folder in (parts, whole)]
    assert scores[0] == scores[1]
    assert not [path for path in parts.rglob("*") if path.name.endswith(".part") or path.name == ".seqkit.lock"]
