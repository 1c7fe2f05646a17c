from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from seqkit.config.sections import TrainingSettings
from seqkit.training.progress import Progress
from seqkit.training.trainer import NOTE_EVERY, Trainer
from tests.training.regression import BATCHES, Regression, equal, lines_of, make, weights

# --- a run -------------------------------------------------------------------------------------------------------


def test_a_run_equals_a_literal_loop(tmp_path: Path) -> None:
    trainer = make(tmp_path, optimizer="sgd", momentum=0.5, clip=0.7, schedule="cosine", warmup=0.5)
    trainer.run()
    learner = Regression()
    torch.manual_seed(3)
    for layer in learner.network:
        if isinstance(layer, nn.Linear):
            layer.reset_parameters()
    velocity = [torch.zeros_like(p) for p in learner.network.parameters()]
    best = (-math.inf, {})
    for epoch in range(3):
        learner.network.train()
        for number, batch in enumerate(learner.batches(epoch)):
            passed = epoch + number / BATCHES
            rate = 0.05 * passed / 0.5 if passed < 0.5 else 0.025 * (1 + math.cos(math.pi * (passed - 0.5) / 2.5))
            gradients = torch.autograd.grad(learner.compute(batch)[0], list(learner.network.parameters()))
            norm = math.sqrt(sum(float(gradient.square().sum()) for gradient in gradients))
            with torch.no_grad():
                for p, v, gradient in zip(learner.network.parameters(), velocity, gradients, strict=True):
                    v.mul_(0.5).add_(gradient * min(1.0, 0.7 / norm))
                    p -= rate * v
        best = max(best, (learner.evaluate()["score"], learner.evaluated[-1]), key=lambda pair: pair[0])
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


def test_time_and_tokens_of_an_epoch_are_its_own(tmp_path: Path) -> None:
    began = time.monotonic()
    make(tmp_path).run()
    taken = time.monotonic() - began
    lines = lines_of(tmp_path)
    assert 0 < sum(line["seconds"] + line["dev_seconds"] for line in lines) <= taken
    for line in lines:
        assert line["tokens_per_second"] * line["seconds"] == pytest.approx(12 * BATCHES)
    assert 0 < make_resumed(tmp_path).elapsed <= taken


def make_resumed(output: Path) -> Trainer:
    trainer = make(output)
    assert trainer.resume()
    return trainer


def test_train_jsonl_is_json_also_where_a_score_is_no_number(tmp_path: Path) -> None:
    def refuse(name: str) -> None:
        raise AssertionError(f"JSON has no {name}")

    make(tmp_path, Regression(scores=[-math.inf, 0.5, math.nan])).run()
    lines = (tmp_path / "train.jsonl").read_text(encoding="ascii").splitlines()
    scores = [json.loads(line, parse_constant=refuse)["dev"]["score"] for line in lines]
    assert scores == [None, 0.5, None]


def test_loss_and_gradient_norm_are_means_over_the_epoch(tmp_path: Path) -> None:
    """Also where the loss is looked at more than once an epoch."""
    learner = Regression()
    trainer = make(tmp_path, learner, optimizer="sgd", lr=1e-30, epochs=1)
    expected = []
    batches = list(range(BATCHES)) * 9  # more than twice NOTE_EVERY
    assert len(batches) > 2 * NOTE_EVERY
    learner.network[1].p = 0.0
    for batch in batches:
        learner.seen.append([])
        loss = learner.compute(batch)[0]
        gradients = torch.autograd.grad(loss, list(learner.network.parameters()))
        expected.append((loss.item(), math.sqrt(sum(float(gradient.square().sum()) for gradient in gradients))))
    learner.batches = lambda epoch, share: batches  # type: ignore[method-assign]
    trainer.run()
    (line,) = lines_of(tmp_path)
    assert line["loss"] == pytest.approx(sum(loss for loss, _ in expected) / len(expected), rel=1e-5)
    assert line["gradient_norm"] == pytest.approx(sum(norm for _, norm in expected) / len(expected), rel=1e-5)


@pytest.mark.parametrize("schedule", ["constant", "inverse", "cosine", "plateau", "step"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_every_optimiser_runs_with_every_schedule(optimizer: str, schedule: str, tmp_path: Path) -> None:
    trainer = make(tmp_path, optimizer=optimizer, schedule=schedule, epochs=8, warmup=0.5, lr=0.02, plateau_patience=0)
    trainer.learner.network[1].p = 0.0  # type: ignore[index]
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
    learner = Regression(scores=[0.1, 0.7, 0.3, 0.7, 0.2])
    trainer = make(tmp_path, learner, epochs=5)
    trainer.run()
    assert equal(weights(trainer), learner.evaluated[1])  # the first of the two
    assert (trainer.best_epoch, trainer.best_score) == (2, 0.7)
    assert [line["best_epoch"] for line in trainer.history] == [1, 2, 2, 2, 2]
    assert not learner.network.training


def test_the_last_weights_are_left_where_that_is_asked_for(tmp_path: Path) -> None:
    learner = Regression(scores=[0.1, 0.7, 0.3])
    trainer = make(tmp_path, learner, epochs=3, keep="last")
    trainer.run()
    assert equal(weights(trainer), learner.evaluated[2])
    assert not equal(weights(trainer), learner.evaluated[1])
    assert [line["best_epoch"] for line in trainer.history] == [1, 2, 3]


@pytest.mark.parametrize("name", ["patience", "asgd_patience"])
def test_what_waits_for_a_better_score_excludes_the_last_weights(name: str) -> None:
    with pytest.raises(ValueError, match=f"keep last needs {name} 0: that waits for a better dev score"):
        TrainingSettings(keep="last", **{name: 3})


def test_the_moving_average_is_what_is_scored_and_kept(tmp_path: Path) -> None:
    learner = Regression(scores=[0.1, 0.7, 0.3])
    trainer = make(tmp_path, learner, average=0.9)
    assert trainer.stepper.average is not None
    averages = []
    evaluate = learner.evaluate

    def noted() -> dict[str, float]:
        assert trainer.stepper.average is not None
        averages.append({name: weight.clone() for name, weight in trainer.stepper.average.average.items()})
        return evaluate()

    learner.evaluate = noted  # type: ignore[method-assign]
    trainer.run()
    assert equal(learner.evaluated[1], averages[1])
    assert equal(weights(trainer), averages[1])


def test_averaging_begins_where_the_score_no_longer_improves(tmp_path: Path) -> None:
    learner = Regression(scores=[1.0, 0.5, 0.4, 2.0, 0.1])
    trainer = make(tmp_path, learner, epochs=5, asgd_patience=2)
    steps: list[dict[str, Tensor]] = []
    update = trainer.stepper.optimizer.step

    def note(*arguments: Any) -> Any:
        result = update(*arguments)
        steps.append({name: p.detach().clone() for name, p in learner.network.named_parameters()})
        return result

    trainer.stepper.optimizer.step = note  # type: ignore[method-assign, assignment]
    trainer.run()
    # Two epochs without a better score have passed after the third one; the fourth is scored by the mean of its steps.
    for name, value in learner.evaluated[2].items():
        assert torch.equal(value, steps[3 * BATCHES - 1][name])
    for name, value in learner.evaluated[3].items():
        expected = torch.stack([step[name] for step in steps[3 * BATCHES : 4 * BATCHES]]).mean(0)
        assert torch.allclose(value, expected, atol=1e-6)
    assert trainer.best_epoch == 4
    for name, value in weights(trainer).items():
        assert torch.equal(value, learner.evaluated[3][name])


def test_averaging_that_was_triggered_goes_on_after_a_resumption(tmp_path: Path) -> None:
    scores = [1.0, 0.5, 0.4, 0.3, 0.2, 0.1]
    settings = {"asgd_patience": 1, "lr": 0.05}
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
    learner = Regression()
    learner.thawed_later = {0: ("0.weight", "0.bias"), 1: ("0.bias",)}
    trainer = make(tmp_path, learner, epochs=3)
    start = weights(trainer)
    trainer.run()
    first, second, third = learner.evaluated
    changed = [{name for name in start if not torch.equal(a[name], b[name])} for a, b in
               ((start, first), (first, second), (second, third))]  # fmt: skip
    assert changed == [{"3.weight", "3.bias"}, {"0.weight", "3.weight", "3.bias"}, set(start)]


def test_a_network_whose_layers_never_thawed_can_be_trained_on(tmp_path: Path) -> None:
    learner = Regression()
    learner.thawed_later = dict.fromkeys(range(3), ("0.weight", "0.bias"))
    first = make(tmp_path / "first", learner)
    first.run()
    learner.thawed_later = {}
    second = make(tmp_path / "second", learner, epochs=1)
    start = weights(second)
    second.run()
    assert [name for name, weight in weights(second).items() if torch.equal(weight, start[name])] == []


def test_what_a_task_carries_comes_back_from_a_checkpoint(tmp_path: Path) -> None:
    make(tmp_path, Regression(), epochs=1).run()
    learner = Regression()
    trainer = make(tmp_path, learner, epochs=2)
    assert trainer.resume()
    assert learner.unpacked == {"batches": torch.tensor([BATCHES])}
    assert trainer.stepper.carried == BATCHES


@pytest.mark.parametrize(("patience", "epochs"), [(0, 6), (1, 3), (2, 6), (3, 6)])
def test_early_stopping_counts_epochs_without_a_better_score(patience: int, epochs: int, tmp_path: Path) -> None:
    trainer = make(tmp_path, Regression(scores=[0.1, 0.5, 0.5, 0.6, 0.2, 0.3]), epochs=6, patience=patience)
    trainer.run()
    assert len(trainer.history) == epochs
    assert trainer.best_score == (0.5 if patience == 1 else 0.6)


def test_a_time_limit_ends_training_with_the_best_so_far(tmp_path: Path) -> None:
    learner = Regression()
    trainer = make(tmp_path, learner, epochs=100, time_limit=1e-9)
    trainer.run()
    assert [len(epoch) for epoch in learner.seen] == [1]  # one step, which is scored
    assert [line["step"] for line in trainer.history] == [1]
    assert equal(weights(trainer), learner.evaluated[0])


def test_time_counts_on_after_a_resumption(tmp_path: Path) -> None:
    first = make(tmp_path, epochs=2)
    first.run()
    second = make(tmp_path, epochs=100, time_limit=(first.history[0]["seconds"] + 1e-9) / 60)
    assert second.resume()
    assert second.elapsed > 0
    second.elapsed = 3600.0
    second.run()
    assert len(second.history) == 2  # nothing was left of the time


@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_clipping_by_value_limits_every_number_of_a_gradient(momentum: float, tmp_path: Path) -> None:
    trainer = make(tmp_path, epochs=1, optimizer="sgd", momentum=momentum, lr=0.5, clip=1e-4, clip_by="value")
    before = {name: weight.detach().clone() for name, weight in trainer.parameters.items()}
    batch = next(iter(trainer.learner.batches(0)))
    trainer.stepper.step(batch, 0.5, 1, ())
    steps = torch.cat([(weight.detach() - before[name]).flatten().abs() for name, weight in trainer.parameters.items()])
    # Every gradient here is larger than that, so that all steps are of the same length.
    torch.testing.assert_close(steps, torch.full_like(steps, 0.5e-4), rtol=1e-2, atol=0)


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
