"""Checkpoints that take long to write are fewer, and a run goes on from each of them as if it had not stopped."""

from __future__ import annotations

import random
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from seqkit.training import trainer as loop
from seqkit.training.checkpoint import checkpoint_files, write_checkpoint
from seqkit.training.learner import Computed
from seqkit.training.signals import Interrupted
from seqkit.training.trainer import Trainer
from tests.training.pair import Pair, together
from tests.training.regression import BATCHES, Regression, equal, interrupt_after, lines_of, make, weights


class Clock:
    """A clock for each thread, which stands still while nothing is said to take time, and what was written when."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.times = threading.local()
        self.writing = 0.0
        self.written: list[int] = []
        self.copies: list[Path] = []
        monkeypatch.setattr(loop, "time", self)
        monkeypatch.setattr(loop, "write_checkpoint", self._write)

    def monotonic(self) -> float:
        return float(getattr(self.times, "now", 0.0))

    def advance(self, seconds: float) -> None:
        self.times.now = self.monotonic() + seconds

    def _write(self, output: Path, tensors: Any, state: Any) -> None:
        write_checkpoint(output, tensors, state)
        self.written.append(state["counters"]["step"])
        self.copies.append(shutil.copytree(output, output.with_name(f"{output.name} {self.written[-1]}")))
        self.advance(self.writing)


def timed(trainer: Trainer, clock: Clock, seconds: float) -> Trainer:
    """A trainer each step of which takes so long."""
    compute = trainer.learner.compute

    def slow(batch: Any, carried: Any) -> Computed:
        clock.advance(seconds)
        return compute(batch, carried)

    trainer.learner.compute = slow  # type: ignore[method-assign]
    return trainer


def expected_epochs(epochs: int, epoch: float, writing: float) -> list[int]:
    """After which epochs there is a checkpoint, by the rule in words."""
    found, ended = [], -1e9
    now = 0.0
    for number in range(1, epochs + 1):
        now += epoch
        if writing <= 1 or not found or now - ended >= 10 * writing or number == epochs:
            now += writing
            ended = now
            found.append(number)
    return found


@pytest.mark.parametrize("seed", range(8))
def test_slow_checkpoints_take_at_most_a_tenth_of_the_time(
    seed: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    draw = random.Random(seed)
    epochs, step, writing = draw.randint(1, 24), draw.uniform(0.1, 4.0), draw.choice([0.5, 1.0, 1.5, 6.0, 30.0])
    clock = Clock(monkeypatch)
    clock.writing = writing
    timed(make(tmp_path / "run", epochs=epochs), clock, step).run()
    expected = expected_epochs(epochs, BATCHES * step, writing)
    assert [step // BATCHES for step in clock.written] == expected
    if writing <= 1:
        assert len(expected) == epochs
    else:
        spent = writing * (len(expected) - 2)  # all but the first and the last
        assert spent <= clock.monotonic() / 10


def test_a_run_goes_on_from_every_one_of_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Epochs after it are repeated, with equal weights and equal lines of the history."""
    settings: dict[str, Any] = {"epochs": 9, "asgd_patience": 1, "schedule": "plateau", "plateau_patience": 0}
    scores = [0.1, 0.5, 0.4, 0.6, 0.3, 0.2, 0.7, 0.6, 0.5]
    clock = Clock(monkeypatch)
    clock.writing = 2.0
    whole = timed(make(tmp_path / "run", Regression(scores), **settings), clock, 1.4)
    whole.run()
    copies = list(clock.copies)
    assert [number // BATCHES for number in clock.written] == [1, 4, 7, 9]
    for copy in copies:
        # As after a kill: the history has epochs that the checkpoint does not know.
        shutil.copy(tmp_path / "run" / "train.jsonl", copy)
        torch.rand(17)
        again = timed(make(copy, Regression(scores), **settings), clock, 1.4)
        assert again.resume()
        again.learner.evaluated += [{}] * again.epoch  # type: ignore[attr-defined]
        again.run()
        assert equal(weights(again), weights(whole))
        assert (again.best_epoch, again.step) == (whole.best_epoch, whole.step)
        told = [
            [{name: value for name, value in line.items() if "second" not in name} for line in lines_of(folder)]
            for folder in (copy, tmp_path / "run")
        ]
        assert told[0] == told[1]


@pytest.mark.parametrize("steps", [2 * BATCHES - 1, 2 * BATCHES])
def test_a_signal_is_worth_a_checkpoint_at_any_time(
    steps: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    clock = Clock(monkeypatch)
    clock.writing = 100.0
    trainer = timed(make(tmp_path / "run"), clock, 1.0)
    interrupt_after(trainer, steps)
    with pytest.raises(Interrupted):
        trainer.run()
    assert clock.written == [BATCHES, steps]


def test_a_signal_while_dev_is_scored_is_not_left_for_the_next_epoch(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    clock = Clock(monkeypatch)
    clock.writing = 100.0
    trainer = make(tmp_path / "run")
    evaluate = trainer.learner.evaluate

    def interrupted() -> dict[str, float]:
        if trainer.epoch == 1:
            trainer.signals.number = 2
        return evaluate()

    trainer.learner.evaluate = interrupted  # type: ignore[method-assign]
    with pytest.raises(Interrupted):
        trainer.run()
    assert clock.written == [BATCHES, 2 * BATCHES]
    assert trainer.position == 0


def test_the_minutes_that_were_asked_for_hold_however_long_it_takes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    clock = Clock(monkeypatch)
    clock.writing = 100.0
    timed(make(tmp_path / "run", checkpoint_minutes=0.05), clock, 1.0).run()
    assert clock.written == [4, 8, 12, 15]  # a step begins three seconds after the last one ended; and the end


def test_a_finished_run_that_is_resumed_writes_nothing_more(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    clock = Clock(monkeypatch)
    make(tmp_path / "run").run()
    before = checkpoint_files(tmp_path / "run")[0].stat()
    count = len(clock.written)
    again = make(tmp_path / "run")
    assert again.resume()
    again.run()
    assert len(clock.written) == count
    assert checkpoint_files(tmp_path / "run")[0].stat().st_mtime_ns == before.st_mtime_ns


@pytest.mark.parametrize("slow", [0, 1])
def test_all_processes_decide_alike(slow: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Though the clocks of their machines do not agree on how long it took: otherwise one would wait for ever."""
    clock = Clock(monkeypatch)
    trainers: list[Trainer] = []
    for rank in range(2):
        learner = Regression()
        learner.evaluate = lambda: {"score": 0.5}  # type: ignore[method-assign]
        trainers.append(make(tmp_path / str(rank), learner, epochs=8))
    plain, saved = Trainer.checkpoint, ([], [])  # type: ignore[var-annotated]

    def counted(trainer: Trainer) -> None:
        saved[trainer.group.rank].append(trainer.epoch)
        plain(trainer)
        if trainer.group.rank == slow:
            trainer._writing += 5.0

    monkeypatch.setattr(Trainer, "checkpoint", counted)

    def work(group: Pair) -> None:
        trainer = timed(trainers[group.rank], clock, 0.1)
        trainer.group = trainer.stepper.group = group
        trainer.run()

    together(work)
    assert saved[0] == saved[1]
    assert [trainer.epoch for trainer in trainers] == [8, 8]
    assert len(clock.written) == len(saved[0])  # by the first alone
