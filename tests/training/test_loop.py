from __future__ import annotations

import errno
import json
import math
import os
import shutil
import signal
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import seqkit
from seqkit.config import TrainingSettings
from seqkit.errors import TrainingError
from seqkit.training.checkpoint import checkpoint_files, write_checkpoint
from seqkit.training.loop import NORM_POINTS, NOTE_EVERY, Trainer
from seqkit.training.progress import Progress
from seqkit.training.signals import Interrupted
from seqkit.training.stepping import Diverged

BATCHES = 5


class Regression:
    """A task of the smallest kind: a linear map with dropout, learned from a few random rows."""

    metric = "score"

    def __init__(self, scores: Sequence[float] = (), name: str = "regression") -> None:
        draw = torch.Generator().manual_seed(0)
        self.x = torch.randn(BATCHES, 4, 3, generator=draw)
        self.y = torch.randn(BATCHES, 4, 2, generator=draw)
        self.network = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.3), nn.Tanh(), nn.Linear(4, 2))
        self.scores = list(scores)
        self.name = name
        self.seen: list[list[int]] = []
        self.evaluated: list[dict[str, Tensor]] = []
        self.thawed_later: dict[int, tuple[str, ...]] = {}
        self.restored: dict[str, Tensor] = {}

    def batches(self, epoch: int) -> Sequence[int]:
        self.seen.append([])
        return torch.randperm(BATCHES, generator=torch.Generator().manual_seed(epoch)).tolist()

    def loss(self, batch: int) -> tuple[Tensor, int, int]:
        self.seen[-1].append(batch)
        return (self.network(self.x[batch]) - self.y[batch]).square().mean(), 4, 12

    def evaluate(self) -> dict[str, float]:
        self.network.eval()
        self.evaluated.append({name: weight.clone() for name, weight in self.network.state_dict().items()})
        error = float((self.network(self.x) - self.y).square().mean().detach())
        return {"score": self.scores[len(self.evaluated) - 1] if self.scores else -error, "error": error}

    def frozen(self, epoch: int) -> frozenset[str]:
        return frozenset(self.thawed_later.get(epoch, ()))

    def state(self) -> dict[str, Tensor]:
        return {"batches": torch.tensor([len(self.seen[-1])])}

    def restore(self, state: dict[str, Tensor]) -> None:
        self.restored = state

    def divided(self, batch: int, count: int) -> Sequence[int]:
        return [batch]

    def named(self, batch: int) -> str:
        return f"batch {batch}"

    def before(self, name: str) -> Any:
        return {"rows": 20}.get(name)

    def fingerprint(self) -> dict[str, Any]:
        return {"name": self.name, "rows": 20}


def make(output: Path, task: Regression | None = None, quiet: bool = True, **settings: Any) -> Trainer:
    torch.manual_seed(3)
    task = task or Regression()
    torch.manual_seed(3)
    for layer in task.network:
        if isinstance(layer, nn.Linear):
            layer.reset_parameters()
    output.mkdir(exist_ok=True)
    return Trainer(task, TrainingSettings(**{"epochs": 3, "lr": 0.05, **settings}), output, Progress(quiet=quiet))


def weights(trainer: Trainer) -> dict[str, Tensor]:
    return {name: weight.clone() for name, weight in trainer.task.network.state_dict().items()}


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def interrupt_after(trainer: Trainer, steps: int) -> None:
    """Do what the signal handler does, in the step after which the trainer is to stop."""
    loss = trainer.task.loss

    def counted(batch: Any) -> tuple[Tensor, int, int]:
        if trainer.step + 1 == steps:
            trainer.signals.number = signal.SIGINT
        return loss(batch)

    trainer.task.loss = counted  # type: ignore[method-assign]


def lines_of(output: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (output / "train.jsonl").read_text(encoding="ascii").splitlines()]


# --- a run -------------------------------------------------------------------------------------------------------


def test_a_run_equals_a_literal_loop(tmp_path: Path) -> None:
    trainer = make(tmp_path, optimizer="sgd", momentum=0.5, clip=0.7, schedule="cosine", warmup=0.5)
    trainer.run()
    task = Regression()
    torch.manual_seed(3)
    for layer in task.network:
        if isinstance(layer, nn.Linear):
            layer.reset_parameters()
    velocity = [torch.zeros_like(p) for p in task.network.parameters()]
    best = (-math.inf, {})
    for epoch in range(3):
        task.network.train()
        for number, batch in enumerate(task.batches(epoch)):
            passed = epoch + number / BATCHES
            rate = 0.05 * passed / 0.5 if passed < 0.5 else 0.025 * (1 + math.cos(math.pi * (passed - 0.5) / 2.5))
            gradients = torch.autograd.grad(task.loss(batch)[0], list(task.network.parameters()))
            norm = math.sqrt(sum(float(gradient.square().sum()) for gradient in gradients))
            with torch.no_grad():
                for p, v, gradient in zip(task.network.parameters(), velocity, gradients, strict=True):
                    v.mul_(0.5).add_(gradient * min(1.0, 0.7 / norm))
                    p -= rate * v
        best = max(best, (task.evaluate()["score"], task.evaluated[-1]), key=lambda pair: pair[0])
    for name, weight in weights(trainer).items():
        assert torch.allclose(weight, best[1][name], atol=1e-6)


def test_train_jsonl_has_one_line_an_epoch(tmp_path: Path) -> None:
    trainer = make(tmp_path, schedule="inverse", decay=1.0)
    trainer.run()
    lines = lines_of(tmp_path)
    assert [line["epoch"] for line in lines] == [1, 2, 3]
    assert [line["step"] for line in lines] == [BATCHES, 2 * BATCHES, 3 * BATCHES]
    assert [line["lr"] for line in lines] == pytest.approx([0.05, 0.025, 0.05 / 3])
    keys = {
        "epoch",
        "step",
        "loss",
        "dev",
        "best_epoch",
        "lr",
        "gradient_norm",
        "gradient_norms",
        "skipped",
        "tokens_per_second",
        "seconds",
        "dev_seconds",
    }
    for line in lines:
        assert set(line) == keys
        assert set(line["dev"]) == {"score", "error"}
        assert line["loss"] > 0
        assert line["gradient_norm"] > 0
        assert line["tokens_per_second"] > 0
    assert lines == trainer.history


def test_loss_and_gradient_norm_are_means_over_the_epoch(tmp_path: Path) -> None:
    """Also where the loss is looked at more than once an epoch."""
    task = Regression()
    trainer = make(tmp_path, task, optimizer="sgd", lr=1e-30, epochs=1)
    expected = []
    batches = list(range(BATCHES)) * 9  # more than twice NOTE_EVERY
    assert len(batches) > 2 * NOTE_EVERY
    task.network[1].p = 0.0
    for batch in batches:
        task.seen.append([])
        loss = task.loss(batch)[0]
        gradients = torch.autograd.grad(loss, list(task.network.parameters()))
        expected.append((loss.item(), math.sqrt(sum(float(gradient.square().sum()) for gradient in gradients))))
    task.batches = lambda epoch: batches  # type: ignore[method-assign]
    trainer.run()
    (line,) = lines_of(tmp_path)
    assert line["loss"] == pytest.approx(sum(loss for loss, _ in expected) / len(expected), rel=1e-5)
    assert line["gradient_norm"] == pytest.approx(sum(norm for _, norm in expected) / len(expected), rel=1e-5)


@pytest.mark.parametrize("schedule", ["constant", "inverse", "cosine", "plateau", "step"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_every_optimiser_runs_with_every_schedule(optimizer: str, schedule: str, tmp_path: Path) -> None:
    trainer = make(tmp_path, optimizer=optimizer, schedule=schedule, epochs=8, warmup=0.5, lr=0.02, plateau_patience=0)
    trainer.task.network[1].p = 0.0  # type: ignore[index]
    trainer.run()
    losses = [line["loss"] for line in trainer.history]
    assert losses[-1] < losses[0]


def test_clipping_bounds_the_step(tmp_path: Path) -> None:
    trainer = make(tmp_path, optimizer="sgd", lr=1.0, clip=1e-3, epochs=1)
    before = weights(trainer)
    trainer.run()
    moved = math.sqrt(sum(float((weight - before[name]).square().sum()) for name, weight in weights(trainer).items()))
    assert 0 < moved <= BATCHES * 1e-3 * (1 + 1e-4)


def test_without_clipping_the_gradient_is_taken_as_it_is(tmp_path: Path) -> None:
    runs = []
    for name, clip in (("a", 0.0), ("b", 1e9)):
        trainer = make(tmp_path / name, clip=clip)
        trainer.run()
        runs.append(weights(trainer))
    assert equal(*runs)


# --- best weights, early stopping, time --------------------------------------------------------------------------


def test_the_best_weights_on_dev_are_left_in_the_network(tmp_path: Path) -> None:
    task = Regression(scores=[0.1, 0.7, 0.3, 0.7, 0.2])
    trainer = make(tmp_path, task, epochs=5)
    trainer.run()
    assert equal(weights(trainer), task.evaluated[1])  # the first of the two
    assert (trainer.best_epoch, trainer.best_score) == (2, 0.7)
    assert [line["best_epoch"] for line in trainer.history] == [1, 2, 2, 2, 2]
    assert not task.network.training


def test_the_moving_average_is_what_is_scored_and_kept(tmp_path: Path) -> None:
    task = Regression(scores=[0.1, 0.7, 0.3])
    trainer = make(tmp_path, task, average=0.9)
    assert trainer.stepper.average is not None
    averages = []
    evaluate = task.evaluate

    def noted() -> dict[str, float]:
        assert trainer.stepper.average is not None
        averages.append({name: weight.clone() for name, weight in trainer.stepper.average.average.items()})
        return evaluate()

    task.evaluate = noted  # type: ignore[method-assign]
    trainer.run()
    assert equal(task.evaluated[1], averages[1])
    assert equal(weights(trainer), averages[1])


def test_averaging_begins_where_the_score_no_longer_improves(tmp_path: Path) -> None:
    task = Regression(scores=[1.0, 0.5, 0.4, 2.0, 0.1])
    trainer = make(tmp_path, task, epochs=5, average_trigger=2)
    steps: list[dict[str, Tensor]] = []
    update = trainer.stepper.optimizer.step

    def note(*arguments: Any) -> Any:
        result = update(*arguments)
        steps.append({name: p.detach().clone() for name, p in task.network.named_parameters()})
        return result

    trainer.stepper.optimizer.step = note  # type: ignore[method-assign, assignment]
    trainer.run()
    # Two epochs without a better score have passed after the third one; the fourth is scored by the mean of its steps.
    for name, value in task.evaluated[2].items():
        assert torch.equal(value, steps[3 * BATCHES - 1][name])
    for name, value in task.evaluated[3].items():
        expected = torch.stack([step[name] for step in steps[3 * BATCHES : 4 * BATCHES]]).mean(0)
        assert torch.allclose(value, expected, atol=1e-6)
    assert trainer.best_epoch == 4
    for name, value in weights(trainer).items():
        assert torch.equal(value, task.evaluated[3][name])


def test_averaging_that_was_triggered_goes_on_after_a_resumption(tmp_path: Path) -> None:
    scores = [1.0, 0.5, 0.4, 0.3, 0.2, 0.1]
    settings = {"average_trigger": 1, "lr": 0.05}
    whole = make(tmp_path / "whole", Regression(scores=scores), epochs=6, **settings)
    whole.run()
    make(tmp_path / "parts", Regression(scores=scores[:4]), epochs=4, **settings).run()
    second = make(tmp_path / "parts", Regression(scores=scores[4:]), epochs=6, **settings)
    assert second.resume()
    second.run()
    assert whole.stepper.average is not None and second.stepper.average is not None
    assert second.stepper.average.updates == whole.stepper.average.updates == 4 * BATCHES
    for name, value in whole.stepper.average.average.items():
        assert torch.equal(second.stepper.average.average[name], value)


def test_frozen_parameters_stay_as_they_are_for_an_epoch(tmp_path: Path) -> None:
    task = Regression()
    task.thawed_later = {0: ("0.weight", "0.bias"), 1: ("0.bias",)}
    trainer = make(tmp_path, task, epochs=3)
    start = weights(trainer)
    trainer.run()
    first, second, third = task.evaluated
    changed = [{name for name in start if not torch.equal(a[name], b[name])} for a, b in
               ((start, first), (first, second), (second, third))]  # fmt: skip
    assert changed == [{"3.weight", "3.bias"}, {"0.weight", "3.weight", "3.bias"}, set(start)]


def test_what_a_task_carries_comes_back_from_a_checkpoint(tmp_path: Path) -> None:
    make(tmp_path, Regression(), epochs=1).run()
    task = Regression()
    assert make(tmp_path, task, epochs=2).resume()
    assert task.restored == {"batches": torch.tensor([BATCHES])}


@pytest.mark.parametrize(("patience", "epochs"), [(0, 6), (1, 3), (2, 6), (3, 6)])
def test_early_stopping_counts_epochs_without_a_better_score(patience: int, epochs: int, tmp_path: Path) -> None:
    trainer = make(tmp_path, Regression(scores=[0.1, 0.5, 0.5, 0.6, 0.2, 0.3]), epochs=6, patience=patience)
    trainer.run()
    assert len(trainer.history) == epochs
    assert trainer.best_score == (0.5 if patience == 1 else 0.6)


def test_a_time_limit_ends_training_with_the_best_so_far(tmp_path: Path) -> None:
    task = Regression()
    trainer = make(tmp_path, task, epochs=100, time_limit=1e-9)
    trainer.run()
    assert [len(epoch) for epoch in task.seen] == [1]  # one step, which is scored
    assert [line["step"] for line in trainer.history] == [1]
    assert equal(weights(trainer), task.evaluated[0])


def test_time_counts_on_after_a_resumption(tmp_path: Path) -> None:
    first = make(tmp_path, epochs=2)
    first.run()
    second = make(tmp_path, epochs=100, time_limit=(first.history[0]["seconds"] + 1e-9) / 60)
    assert second.resume()
    assert second.elapsed > 0
    second.elapsed = 3600.0
    second.run()
    assert len(second.history) == 2  # nothing was left of the time


# --- faults ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_ends_training(value: float, tmp_path: Path) -> None:
    task = Regression()
    trainer = make(tmp_path, task)
    plain = task.loss

    def broken(batch: int) -> tuple[Tensor, int, int]:
        loss, units, tokens = plain(batch)
        return loss * (value if trainer.step == 6 else 1.0), units, tokens

    task.loss = broken  # type: ignore[method-assign]
    with pytest.raises(TrainingError) as caught:
        trainer.run()
    found = f"found loss {value:g} and gradient norm nan at step 7, in batch {task.seen[-1][-1]}"
    advice = "try a smaller --lr or --clip, or leave such batches out by --on-nan skip"
    expected = f"expected a finite loss and gradient, {found}; {advice}"
    assert str(caught.value) == expected or (value == math.inf and str(caught.value) == expected.replace("nan", "inf"))


def test_a_gradient_that_is_not_finite_ends_training_before_it_spoils_the_weights(tmp_path: Path) -> None:
    task = Regression()
    trainer = make(tmp_path, task)
    trainer.parameters["0.weight"].register_hook(lambda gradient: gradient * math.inf)
    with pytest.raises(TrainingError, match=r"found loss \d\.\d+ and gradient norm (inf|nan) at step 1, in batch"):
        trainer.run()
    assert all(torch.isfinite(weight).all() for weight in weights(trainer).values())


def spoil(task: Regression, batches: set[int]) -> None:
    """Let the losses of some batches be no numbers."""
    plain = task.loss

    def loss(batch: int) -> tuple[Tensor, int, int]:
        found, units, tokens = plain(batch)
        return found * (math.nan if batch in batches else 1.0), units, tokens

    task.loss = loss  # type: ignore[method-assign]


def test_batches_that_are_skipped_are_counted_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    task = Regression()
    spoil(task, {1, 3})
    trainer = make(tmp_path, task, quiet=False, on_nan="skip")
    trainer.run()
    for line in lines_of(tmp_path):
        assert line["skipped"] == 2
        assert math.isfinite(line["loss"]) and line["loss"] > 0
        norms = [norm for norm in line["gradient_norms"] if norm]
        assert len(norms) == BATCHES - 2  # a stretch without a step has a zero
        assert line["gradient_norm"] == pytest.approx(sum(norms) / len(norms), rel=1e-4)
    assert trainer.step == 3 * BATCHES
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning")]
    assert told == [f"warning: 2 of {BATCHES} batches skipped, without a finite loss and gradient"] * 3


def test_an_epoch_of_skipped_batches_ends_training(tmp_path: Path) -> None:
    task = Regression()
    trainer = make(tmp_path, task, on_nan="skip", epochs=3)
    end = trainer._end_epoch

    def then_spoil() -> None:
        end()
        spoil(task, set(range(BATCHES)))

    trainer._end_epoch = then_spoil  # type: ignore[method-assign]
    with pytest.raises(Diverged) as caught:
        trainer.run()
    expected = "expected a batch with a finite loss and gradient in epoch 2"
    assert str(caught.value) == f"{expected}, found none of {BATCHES}; try a smaller --lr"
    again = make(tmp_path)
    assert again.resume()  # from the end of the first
    assert again.step == BATCHES


@pytest.mark.parametrize("minutes", [0.0, 1e-9])
def test_the_last_good_checkpoint_outlives_a_divergence(minutes: float, tmp_path: Path) -> None:
    """Also where the loss is looked at later, as on a GPU, and where it is the weights that are too large."""
    for number, late in enumerate((False, True)):
        task = Regression()
        trainer = make(tmp_path / str(number), task, checkpoint_minutes=minutes)
        if late:
            trainer.stepper.device = torch.device("meta")
        plain = task.loss

        def loss(batch: int, trainer: Trainer = trainer, plain: Any = plain) -> tuple[Tensor, int, int]:
            if trainer.step == 7:
                with torch.no_grad():
                    trainer.parameters["0.bias"].fill_(math.inf)
            return plain(batch)

        task.loss = loss  # type: ignore[method-assign, assignment]
        with pytest.raises(Diverged, match=r"at step 8, in batch \d"):
            trainer.run()
        again = make(tmp_path / str(number))
        assert again.resume()
        assert again.step == (7 if minutes else 5)
        assert all(torch.isfinite(weight).all() for weight in weights(again).values())
        again.run()


def test_weights_that_overflowed_are_neither_scored_nor_kept(tmp_path: Path) -> None:
    trainer = make(tmp_path, checkpoint_minutes=1e-9)
    take = trainer.stepper.take

    def broken(*arguments: Any) -> Any:
        found = take(*arguments)
        if trainer.step == 8:
            with torch.no_grad():
                trainer.parameters["3.weight"][0, 0] = math.nan
        return found

    trainer.stepper.take = broken  # type: ignore[method-assign]
    with pytest.raises(Diverged, match=r"expected finite weights, found others in 3.weight after step 9;"):
        trainer.run()
    again = make(tmp_path)
    assert again.resume()
    assert again.step == 8


def test_a_checkpoint_that_cannot_be_written_ends_training_and_says_what_is_left(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"average": 0.8}
    whole = make(tmp_path / "whole", **settings)
    whole.run()
    trainer = make(tmp_path / "full", **settings)

    def full(*_: object) -> Any:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    epoch = trainer._train_epoch
    with pytest.MonkeyPatch.context() as patch, pytest.raises(TrainingError) as caught:

        def then_fill() -> None:
            epoch()
            if trainer.epoch == 1:
                patch.setattr("os.fsync", full)

        trainer._train_epoch = then_fill  # type: ignore[method-assign]
        trainer.run()
    path = tmp_path / "full" / "train.jsonl"  # which is written first
    kept = "the last checkpoint is whole, go on from it with --resume"
    assert str(caught.value) == f"{path}: cannot be written: No space left on device; {kept}"
    with pytest.MonkeyPatch.context() as patch, pytest.raises(TrainingError) as caught:
        patch.setattr("os.fsync", full)
        trainer.checkpoint()
    path = checkpoint_files(tmp_path / "full")[0]
    assert str(caught.value) == f"{path}: cannot be written: No space left on device; {kept}"
    again = make(tmp_path / "full", **settings)
    assert again.resume()
    again.run()
    assert equal(weights(again), weights(whole))
    assert lines_of(tmp_path / "full")[0]["epoch"] == 1


def test_an_output_directory_that_vanishes_is_made_again(tmp_path: Path) -> None:
    trainer = make(tmp_path / "m")
    epoch = trainer._train_epoch

    def vanishing() -> None:
        shutil.rmtree(tmp_path / "m")
        epoch()

    trainer._train_epoch = vanishing  # type: ignore[method-assign]
    trainer.run()
    assert [line["epoch"] for line in lines_of(tmp_path / "m")] == [1, 2, 3]
    assert make(tmp_path / "m").resume()


def test_the_history_of_the_norm_has_a_point_a_stretch_of_steps(tmp_path: Path) -> None:
    task = Regression()
    order = [step % BATCHES for step in range(2 * NORM_POINTS + 7)]
    task.batches = lambda epoch: order  # type: ignore[method-assign]
    task.seen.append([])
    trainer = make(tmp_path, task, epochs=2)
    norms: list[float] = []
    take = trainer.stepper.take

    def noting(*arguments: Any) -> Any:
        found = take(*arguments)
        norms.append(float(found[0].norm))
        return found

    trainer.stepper.take = noting  # type: ignore[method-assign]
    trainer.run()
    for epoch, line in enumerate(lines_of(tmp_path)):
        part = norms[epoch * len(order) : (epoch + 1) * len(order)]
        stretches: list[list[float]] = [[] for _ in range(NORM_POINTS)]
        for place, norm in enumerate(part):
            stretches[place * NORM_POINTS // len(order)].append(norm)
        expected = [sum(stretch) / len(stretch) for stretch in stretches]
        assert line["gradient_norms"] == pytest.approx(expected, rel=1e-5)


# --- interruption and resumption ---------------------------------------------------------------------------------


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
    second.task.evaluated += [{}] * ((steps - 1) // BATCHES)  # type: ignore[attr-defined]
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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_taken_at_the_end_of_a_step(number: signal.Signals, tmp_path: Path) -> None:
    task = Regression()
    trainer = make(tmp_path, task)
    plain = task.loss

    def signalled(batch: int) -> tuple[Tensor, int, int]:
        if trainer.step == 6:
            os.kill(os.getpid(), number)
        return plain(batch)

    task.loss = signalled  # type: ignore[method-assign]
    before = signal.getsignal(number)
    with pytest.raises(Interrupted) as caught:
        trainer.run()
    assert caught.value.number == number
    assert trainer.step == 7
    assert checkpoint_files(tmp_path)[0].is_file()
    assert signal.getsignal(number) is before


def test_a_second_signal_ends_at_once(tmp_path: Path) -> None:
    task = Regression()
    trainer = make(tmp_path, task)

    def signalled(batch: int) -> tuple[Tensor, int, int]:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        raise AssertionError("not reached")

    task.loss = signalled  # type: ignore[method-assign]
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
    trainer = make(tmp_path, Regression(name="other"))
    before = weights(trainer)
    with pytest.raises(TrainingError) as caught:
        trainer.resume()
    assert str(caught.value) == (
        f"{tmp_path}: expected a checkpoint with name = other, found regression; start again with --force"
    )
    assert equal(weights(trainer), before)


@pytest.mark.parametrize(
    ("tensors", "state", "found"),
    [
        ({"a": torch.ones(1)}, {}, "an older one: 'fingerprint'"),
        ({"a": torch.ones(1)}, {"seqkit_version": "9.9", "fingerprint": []}, "9.9: "),
        ({"a": torch.ones(1)}, [], "none: "),
        ({}, {"fingerprint": {"name": "regression", "rows": 20}}, "an older one: 'weights.0.weight'"),
        ({"weights.0.weight": torch.ones(2)}, {"fingerprint": {"name": "regression", "rows": 20}}, "an older one: "),
    ],
)
def test_a_whole_checkpoint_of_another_content(tensors: Any, state: Any, found: str, tmp_path: Path) -> None:
    write_checkpoint(tmp_path, tensors, state)
    with pytest.raises(TrainingError) as caught:
        make(tmp_path).resume()
    expected = f"{tmp_path}: expected a checkpoint of seqkit {seqkit.__version__}, found another's ({found}"
    assert str(caught.value).startswith(expected)
    assert str(caught.value).endswith("); start again with --force")


def test_checkpoints_between_epochs(tmp_path: Path) -> None:
    """Every so many minutes; here after every step, and a run that died goes on from the last one."""
    whole = make(tmp_path / "whole")
    whole.run()
    trainer = make(tmp_path / "parts", checkpoint_minutes=1e-9)
    plain = trainer.task.loss

    def dies(batch: int) -> tuple[Tensor, int, int]:
        if trainer.step == 8:
            raise ZeroDivisionError
        return plain(batch)

    trainer.task.loss = dies  # type: ignore[method-assign]
    with pytest.raises(ZeroDivisionError):
        trainer.run()
    again = make(tmp_path / "parts")
    assert again.resume()
    assert (again.epoch, again.position, again.step) == (1, 3, 8)
    again.run()
    assert equal(weights(again), weights(whole))


# --- what is said ------------------------------------------------------------------------------------------------


def test_an_epoch_is_a_line_on_standard_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make(tmp_path, Regression(scores=[0.25, 0.125]), quiet=False, epochs=2).run()
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("epoch   1/2  loss ")
    assert "dev score 0.2500  error " in lines[0]
    assert " *  lr 0.05  " in lines[0]
    assert "*" not in lines[1]
    assert lines[1].endswith(" tokens/s")


def test_quiet_says_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make(tmp_path).run()
    assert capsys.readouterr() == ("", "")


def test_a_terminal_gets_a_bar(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    progress = Progress()
    for _ in range(2):  # one after the other
        with progress:
            progress.say("a message [not markup]")
            advance = progress.epoch("epoch 1", 3, 1)
            advance("loss 0.5")
            progress.epoch("epoch 2", 3)("")
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("a message [not markup]") == 2


@pytest.mark.parametrize(("was", "fits"), [(20, True), (19, False)])
def test_a_checkpoint_that_is_older_than_a_setting_had_its_default(was: int, fits: bool, tmp_path: Path) -> None:
    class Older(Regression):
        def fingerprint(self) -> dict[str, Any]:
            return {"name": self.name}

    class Newer(Regression):
        def before(self, name: str) -> Any:
            return {"rows": was}.get(name)

    make(tmp_path, Older(), epochs=1).run()
    trainer = make(tmp_path, Newer(), epochs=2)
    if fits:
        assert trainer.resume()
        return
    with pytest.raises(TrainingError) as caught:
        trainer.resume()
    assert str(caught.value) == f"{tmp_path}: expected a checkpoint with rows = 20, found 19; start again with --force"


@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_clipping_by_value_limits_every_number_of_a_gradient(momentum: float, tmp_path: Path) -> None:
    trainer = make(tmp_path, epochs=1, optimizer="sgd", momentum=momentum, lr=0.5, clip=1e-4, clip_by="value")
    before = {name: weight.detach().clone() for name, weight in trainer.parameters.items()}
    batch = next(iter(trainer.task.batches(0)))
    trainer.stepper.take(batch, 0.5, 1, ())
    steps = torch.cat([(weight.detach() - before[name]).flatten().abs() for name, weight in trainer.parameters.items()])
    # Every gradient here is larger than that, so that all steps are of the same length.
    torch.testing.assert_close(steps, torch.full_like(steps, 0.5e-4), rtol=1e-2, atol=0)
