"""Numbers that are none, files that cannot be written: what the loop does and what is left."""

from __future__ import annotations

import errno
import math
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from seqkit.errors import TrainingError
from seqkit.training.checkpoint import checkpoint_files
from seqkit.training.learner import Computed
from seqkit.training.stepping import Diverged
from seqkit.training.trainer import NORM_POINTS, Trainer
from tests.training.regression import BATCHES, Regression, equal, lines_of, make, weights


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_ends_training(value: float, tmp_path: Path) -> None:
    learner = Regression()
    trainer = make(tmp_path, learner)
    plain = learner.compute

    def broken(batch: int, carried: Any) -> Computed:
        found = plain(batch, carried)
        return found._replace(loss=found.loss * (value if trainer.step == 6 else 1.0))

    learner.compute = broken  # type: ignore[method-assign]
    with pytest.raises(TrainingError) as caught:
        trainer.run()
    where = f"at step 7, in batch {learner.seen[-1][-1]}"
    advice = "try a smaller --lr or --clip, or skip such batches with --on-nan skip"
    expected = f"the loss is {value:g} and the gradient norm nan {where}; {advice}"
    assert str(caught.value) == expected or (
        value == math.inf and str(caught.value) == expected.replace("norm nan", "norm inf")
    )


def test_a_gradient_that_is_not_finite_ends_training_before_it_spoils_the_weights(tmp_path: Path) -> None:
    learner = Regression()
    trainer = make(tmp_path, learner)
    trainer.parameters["0.weight"].register_hook(lambda gradient: gradient * math.inf)
    with pytest.raises(TrainingError, match=r"the loss is \d\.\d+ and the gradient norm (inf|nan) at step 1, in batch"):
        trainer.run()
    assert all(torch.isfinite(weight).all() for weight in weights(trainer).values())


def spoil(learner: Regression, batches: set[int]) -> None:
    """Let the losses of some batches be no numbers."""
    plain = learner.compute

    def loss(batch: int, carried: Any) -> Computed:
        found = plain(batch, carried)
        return found._replace(loss=found.loss * (math.nan if batch in batches else 1.0))

    learner.compute = loss  # type: ignore[method-assign]


def test_batches_that_are_skipped_are_counted_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    learner = Regression()
    spoil(learner, {1, 3})
    trainer = make(tmp_path, learner, quiet=False, on_nan="skip")
    trainer.run()
    for line in lines_of(tmp_path):
        assert line["skipped"] == 2
        assert math.isfinite(line["loss"]) and line["loss"] > 0
        norms = [norm for norm in line["gradient_norms"] if norm]
        assert len(norms) == BATCHES - 2  # a stretch without a step has a zero
        assert line["gradient_norm"] == pytest.approx(sum(norms) / len(norms), rel=1e-4)
    assert trainer.step == 3 * BATCHES
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning")]
    assert told == [f"warning: 2 of {BATCHES} batches skipped, their loss or gradient was not finite"] * 3


def test_an_epoch_of_skipped_batches_ends_training(tmp_path: Path) -> None:
    learner = Regression()
    trainer = make(tmp_path, learner, on_nan="skip", epochs=3)
    end = trainer._end_epoch

    def then_spoil() -> None:
        end()
        spoil(learner, set(range(BATCHES)))

    trainer._end_epoch = then_spoil  # type: ignore[method-assign]
    with pytest.raises(Diverged) as caught:
        trainer.run()
    found = f"none of the {BATCHES} batches of epoch 2 had a finite loss and gradient"
    assert str(caught.value) == f"{found}; try a smaller --lr"
    again = make(tmp_path)
    assert again.resume()  # from the end of the first
    assert again.step == BATCHES


@pytest.mark.parametrize("minutes", [0.0, 1e-9])
def test_the_last_good_checkpoint_outlives_a_divergence(minutes: float, tmp_path: Path) -> None:
    """Also where the loss is looked at later, as on a GPU, and where it is the weights that are too large."""
    for number, late in enumerate((False, True)):
        learner = Regression()
        trainer = make(tmp_path / str(number), learner, checkpoint_minutes=minutes)
        if late:
            trainer.stepper.device = torch.device("meta")
        plain = learner.compute

        def loss(batch: int, carried: Any, trainer: Trainer = trainer, plain: Any = plain) -> Computed:
            if trainer.step == 7:
                with torch.no_grad():
                    trainer.parameters["0.bias"].fill_(math.inf)
            return plain(batch, carried)

        learner.compute = loss  # type: ignore[method-assign, assignment]
        with pytest.raises(Diverged, match=r"at step 8, in batch \d"):
            trainer.run()
        again = make(tmp_path / str(number))
        assert again.resume()
        assert again.step == (7 if minutes else 5)
        assert all(torch.isfinite(weight).all() for weight in weights(again).values())
        again.run()


def test_weights_that_overflowed_are_neither_scored_nor_kept(tmp_path: Path) -> None:
    trainer = make(tmp_path, checkpoint_minutes=1e-9)
    step = trainer.stepper.step

    def broken(*arguments: Any) -> Any:
        found = step(*arguments)
        if trainer.step == 8:
            with torch.no_grad():
                trainer.parameters["3.weight"][0, 0] = math.nan
        return found

    trainer.stepper.step = broken  # type: ignore[method-assign]
    with pytest.raises(Diverged, match=r"the weights 3.weight are not finite after step 9;"):
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
    learner = Regression()
    order = [step % BATCHES for step in range(2 * NORM_POINTS + 7)]
    learner.batches = lambda epoch, share: order  # type: ignore[method-assign]
    learner.seen.append([])
    trainer = make(tmp_path, learner, epochs=2)
    norms: list[float] = []
    step = trainer.stepper.step

    def noting(*arguments: Any) -> Any:
        found = step(*arguments)
        norms.append(float(found[0].norm))
        return found

    trainer.stepper.step = noting  # type: ignore[method-assign]
    trainer.run()
    for epoch, line in enumerate(lines_of(tmp_path)):
        part = norms[epoch * len(order) : (epoch + 1) * len(order)]
        stretches: list[list[float]] = [[] for _ in range(NORM_POINTS)]
        for place, norm in enumerate(part):
            stretches[place * NORM_POINTS // len(order)].append(norm)
        expected = [sum(stretch) / len(stretch) for stretch in stretches]
        assert line["gradient_norms"] == pytest.approx(expected, rel=1e-5)
