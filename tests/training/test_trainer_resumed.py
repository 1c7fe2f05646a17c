"""A run that stops, however it does, goes on as if it had not."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest
import torch

import seqkit
from seqkit.errors import TrainingError
from seqkit.training.checkpoint import checkpoint_files, write_checkpoint
from seqkit.training.distribution import ProcessLost
from seqkit.training.learner import Computed
from seqkit.training.signals import Interrupted
from seqkit.training.trainer import Trainer
from tests.training.regression import BATCHES, Regression, equal, interrupt_after, lines_of, make, weights


@pytest.mark.parametrize("steps", range(1, 3 * BATCHES + 1))
def test_a_resumed_run_ends_with_the_weights_of_an_uninterrupted_one(steps: int, tmp_path: Path) -> None:
    """Wherever it was interrupted, within an epoch or at its end."""
    settings: dict[str, Any] = {"average": 0.8, "schedule": "plateau", "plateau_patience": 0}
    scores = [0.5, 0.4, 0.6]
    whole = make(tmp_path / "whole", Regression(scores), **settings)
    whole.run()
    first = make(tmp_path / "parts", Regression(scores), **settings)
    interrupt_after(first, steps)
    with pytest.raises(Interrupted):
        first.run()
    assert first.step == steps
    torch.rand(17)  # the state of the generator comes from the checkpoint
    second = make(tmp_path / "parts", Regression(scores), **settings)
    second.learner.evaluated += [{}] * ((steps - 1) // BATCHES)  # type: ignore[attr-defined]
    assert second.resume()
    second.run()
    assert equal(weights(second), weights(whole))
    assert second.step == whole.step
    assert second.best_epoch == whole.best_epoch

    def told(trainer: Trainer) -> list[dict[str, Any]]:
        return [{k: v for k, v in line.items() if "second" not in k} for line in trainer.history]

    assert told(second) == told(whole)
    assert lines_of(tmp_path / "parts") == second.history


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
@pytest.mark.parametrize("schedule", ["constant", "inverse", "cosine"])
def test_a_run_may_be_interrupted_again_and_again(optimizer: str, schedule: str, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"optimizer": optimizer, "schedule": schedule, "momentum": 0.9, "warmup": 1.0}
    whole = make(tmp_path / "whole", **settings)
    whole.run()
    for steps in (2, 3, 9, 14):
        trainer = make(tmp_path / "parts", **settings)
        assert trainer.resume() == (steps > 2)
        interrupt_after(trainer, steps)
        with pytest.raises(Interrupted):
            trainer.run()
    trainer = make(tmp_path / "parts", **settings)
    trainer.resume()
    trainer.run()
    assert equal(weights(trainer), weights(whole))


def test_what_did_not_fit_before_is_not_tried_again(tmp_path: Path) -> None:
    """A batch that was divided draws its dropout masks in parts, from the first step after a resumption too."""

    class Small(Regression):
        """Memory takes two of the four rows of a batch, which is seen after the masks were drawn."""

        refused = 0

        def compute(self, batch: Any, carried: Any = None) -> Computed:
            number, rows = batch if isinstance(batch, tuple) else (batch, [0, 1, 2, 3])
            loss = (self.network(self.x[number, rows]) - self.y[number, rows]).square().mean()
            if len(rows) > 2:
                self.refused += 1
                raise MemoryError
            return Computed(loss, len(rows), 3 * len(rows))

        def divide(self, batch: Any, count: int) -> list[Any]:
            return [(batch, list(range(begin, 4, count))) for begin in range(count)]

    whole, first, second = Small(), Small(), Small()
    uninterrupted = make(tmp_path / "whole", whole)
    uninterrupted.run()
    stopped = make(tmp_path / "parts", first)
    interrupt_after(stopped, 3)
    with pytest.raises(Interrupted):
        stopped.run()
    resumed = make(tmp_path / "parts", second)
    assert resumed.resume()
    resumed.run()
    assert [learner.refused for learner in (whole, first, second)] == [1, 1, 0]
    assert equal(weights(resumed), weights(uninterrupted))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_taken_at_the_end_of_a_step(number: signal.Signals, tmp_path: Path) -> None:
    learner = Regression()
    trainer = make(tmp_path, learner)
    plain = learner.compute

    def signalled(batch: int, carried: Any) -> Computed:
        if trainer.step == 6:
            os.kill(os.getpid(), number)
        return plain(batch, carried)

    learner.compute = signalled  # type: ignore[method-assign]
    before = signal.getsignal(number)
    with pytest.raises(Interrupted) as caught:
        trainer.run()
    assert caught.value.number == number
    assert trainer.step == 7
    assert checkpoint_files(tmp_path)[0].is_file()
    assert signal.getsignal(number) is before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("epoch", [1, 2, 3])
def test_a_signal_ends_evaluation_at_once_and_it_is_done_again(
    epoch: int, number: signal.Signals, tmp_path: Path
) -> None:
    settings: dict[str, Any] = {"average": 0.8, "schedule": "plateau", "plateau_patience": 0}
    whole = make(tmp_path / "whole", **settings)
    whole.run()
    learner = Regression()
    trainer = make(tmp_path / "parts", learner, **settings)
    evaluate = learner.evaluate

    def signalled() -> dict[str, float]:
        if trainer.epoch + 1 == epoch:
            os.kill(os.getpid(), number)
            raise AssertionError("not reached")
        return evaluate()

    learner.evaluate = signalled  # type: ignore[method-assign]
    with pytest.raises(Interrupted) as caught:
        trainer.run()
    assert caught.value.number == number
    assert (trainer.step, trainer.best_epoch < epoch) == (epoch * BATCHES, True)
    second = make(tmp_path / "parts", **settings)
    assert second.resume()
    second.run()
    assert equal(weights(second), weights(whole))
    assert (second.best_epoch, second.best_score) == (whole.best_epoch, whole.best_score)
    assert len(second.history) == 3


def test_a_second_signal_ends_at_once(tmp_path: Path) -> None:
    learner = Regression()
    trainer = make(tmp_path, learner)

    def signalled(batch: int, carried: Any) -> Computed:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        raise AssertionError("not reached")

    learner.compute = signalled  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        trainer.run()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_run_in_another_thread_leaves_signals_alone(tmp_path: Path) -> None:
    trainer = make(tmp_path)
    thread = threading.Thread(target=trainer.run)
    thread.start()
    thread.join()
    assert len(trainer.history) == 3


def test_there_may_be_nothing_to_resume(tmp_path: Path) -> None:
    assert make(tmp_path).resume() is False


def test_a_finished_run_can_be_trained_on(tmp_path: Path) -> None:
    whole = make(tmp_path / "whole", epochs=4)
    whole.run()
    make(tmp_path / "parts", epochs=2).run()
    trainer = make(tmp_path / "parts", epochs=4)
    assert trainer.resume()
    trainer.run()
    assert equal(weights(trainer), weights(whole))
    again = make(tmp_path / "parts", epochs=4)
    assert again.resume()
    again.run()
    assert again.step == whole.step
    assert equal(weights(again), weights(whole))


def test_a_checkpoint_of_another_task_is_refused(tmp_path: Path) -> None:
    make(tmp_path, epochs=1).run()
    trainer = make(tmp_path, Regression(called="other"))
    before = weights(trainer)
    with pytest.raises(TrainingError) as caught:
        trainer.resume()
    assert str(caught.value) == (
        f"{tmp_path}: expected a checkpoint with name = other, found regression; start again with --force"
    )
    assert equal(weights(trainer), before)


@pytest.mark.parametrize(
    ("tensors", "state", "written", "fault"),
    [
        ({"a": torch.ones(1)}, {}, "", "'fingerprint' is missing); "),
        ({"a": torch.ones(1)}, {"seqkit_version": seqkit.__version__}, "", "'fingerprint' is missing); "),
        ({"a": torch.ones(1)}, {"seqkit_version": "9.9", "fingerprint": []}, ", 9.9,", ""),
        ({"a": torch.ones(1)}, [], "", ""),
        ({}, {"fingerprint": {"name": "regression", "rows": 20}}, "", "'weights.0.weight' is missing); "),
        ({"weights.0.weight": torch.ones(2)}, {"fingerprint": {"name": "regression", "rows": 20}}, "", ""),
    ],
)
def test_a_whole_checkpoint_of_another_content(
    tensors: Any, state: Any, written: str, fault: str, tmp_path: Path
) -> None:
    write_checkpoint(tmp_path, tensors, state)
    with pytest.raises(TrainingError) as caught:
        make(tmp_path).resume()
    told = f"{tmp_path}: the checkpoint is not in the format of this seqkit, {seqkit.__version__} ({fault}"
    assert str(caught.value).startswith(told)
    what_to_do = f"); start again with --force, or continue with the seqkit{written} that wrote it"
    assert str(caught.value).endswith(what_to_do)


def test_checkpoints_between_epochs(tmp_path: Path) -> None:
    """Every so many minutes; here after every step, and a run that died goes on from the last one."""
    whole = make(tmp_path / "whole")
    whole.run()
    trainer = make(tmp_path / "parts", checkpoint_minutes=1e-9)
    plain = trainer.learner.compute

    def dies(batch: int, carried: Any) -> Computed:
        if trainer.step == 8:
            raise ZeroDivisionError
        return plain(batch, carried)

    trainer.learner.compute = dies  # type: ignore[method-assign]
    with pytest.raises(ZeroDivisionError):
        trainer.run()
    again = make(tmp_path / "parts")
    assert again.resume()
    assert (again.epoch, again.position, again.step) == (1, 3, 8)
    again.run()
    assert equal(weights(again), weights(whole))


@pytest.mark.parametrize(("was", "fits"), [(20, True), (19, False)])
def test_a_checkpoint_that_is_older_than_a_setting_had_its_default(was: int, fits: bool, tmp_path: Path) -> None:
    class Older(Regression):
        def fingerprint(self) -> dict[str, Any]:
            return {"name": self.called}

    class Newer(Regression):
        def default(self, name: str) -> Any:
            return {"rows": was}.get(name)

    make(tmp_path, Older(), epochs=1).run()
    trainer = make(tmp_path, Newer(), epochs=2)
    if fits:
        assert trainer.resume()
        return
    with pytest.raises(TrainingError) as caught:
        trainer.resume()
    assert str(caught.value) == f"{tmp_path}: expected a checkpoint with rows = 20, found 19; start again with --force"


def test_a_handler_that_was_replaced_meanwhile_stays(tmp_path: Path) -> None:
    """Where another process is lost SIGTERM is ignored, until what was wrong has been said."""
    trainer = make(tmp_path)
    before = signal.getsignal(signal.SIGTERM)

    def lost(*_: object) -> Any:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise ProcessLost("expected 2 processes")

    trainer.learner.compute = lost  # type: ignore[method-assign]
    try:
        with pytest.raises(ProcessLost):
            trainer.run()
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("kind", ["cuda", "mps"])
def test_the_random_state_of_a_gpu_is_kept(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise dropout would draw other masks after a resumption."""
    state, restored = torch.tensor([7, 8, 9], dtype=torch.uint8), []
    place = torch.device(kind)
    monkeypatch.setattr(getattr(torch, kind), "get_rng_state", lambda *device: state)
    monkeypatch.setattr(getattr(torch, kind), "set_rng_state", lambda found, *device: restored.append(found))
    first, second = make(tmp_path / "one"), make(tmp_path / "other")
    own = first._own_tensors()
    assert not [name for name in own if name.startswith("random.") and name != "random.cpu"]
    second._restore_own(own)
    for trainer in (first, second):
        monkeypatch.setattr(trainer.stepper, "device", place)
    second._restore_own(own)  # as of a checkpoint of a CPU
    assert restored == []
    own = first._own_tensors()
    assert torch.equal(own[f"random.{kind}"], state)
    second._restore_own(own)
    assert len(restored) == 1 and torch.equal(restored[0], state)
