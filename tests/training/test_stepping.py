"""A step where memory or numbers run out, for every task."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from seqkit.config import override
from seqkit.errors import TrainingError
from seqkit.torchrun import Launch
from seqkit.training.distribution import ALONE, Group, Together
from seqkit.training.learner import Computed, Learner
from seqkit.training.optimisation import RunningAverage, clip_gradient
from seqkit.training.prepare import prepare
from seqkit.training.progress import Progress
from seqkit.training.stepping import Diverged, Stepper
from seqkit.training.streams import Window
from tests.training.together import data_of, settings_of

pytestmark = pytest.mark.usefixtures("watchdog")
TASKS = ["tag", "tag sgd", "classify", "lm", "generate"]


def make(task: str, **training: Any) -> Learner:
    """A learner without dropout, which draws nothing, so that a batch and its parts are alike."""
    settings = override(settings_of(task, Path()), {"training": {"lr": 0.01, **training}})
    learner = prepare(settings, data_of(task), torch.device("cpu"), Progress(quiet=True)).learner
    assert learner is not None
    return learner


def batches_of(learner: Learner) -> list[Any]:
    """The batches of the first epoch."""
    return list(learner.batches(0, slice(None)))


def stepper_of(learner: Learner) -> Stepper:
    stepper = Stepper(learner, learner.settings.training, ALONE, Progress())
    stepper.use_sparse_gradients(True)
    return stepper


def size_of(batch: Any) -> int:
    return len(batch.rows[batch.first : batch.last]) if isinstance(batch, Window) else len(batch)


def limited(learner: Learner, most: int, error: Exception, free: int = 0) -> list[int]:
    """Let memory be too small for more than so many sentences after some calls; gives the sizes that were tried."""
    plain, tried = learner.compute, []

    def compute(batch: Any, carried: Any) -> Computed:
        tried.append(size_of(batch))
        found = plain(batch, carried)
        if tried[-1] > most and len(tried) > free:
            raise error
        return found

    learner.compute = compute  # type: ignore[method-assign]
    return tried


def train(learner: Learner, steps: int = 12) -> tuple[Stepper, list[tuple[float, int, int]]]:
    stepper = stepper_of(learner)
    learner.network.train()
    taken = [stepper.step(batch, 0.01, 1, ())[0] for batch in batches_of(learner)[:steps]]
    return stepper, [(float(each.loss), each.units, each.tokens) for each in taken]


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(
    "error", [MemoryError(), torch.cuda.OutOfMemoryError("CUDA out of memory."), RuntimeError("can't allocate memory")]
)
def test_a_batch_that_does_not_fit_is_computed_in_parts(
    task: str, error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the same gradient, whatever is carried along; and it is said."""
    size = 3 if task == "lm" else 5
    more = {"batch_size": size, "equal_lengths": False}
    whole, parts = make(task, **more), make(task, **more)
    most = size // 2
    tried = limited(parts, most, error, free=2)  # then a language model carries something along
    one, expected = train(whole)
    capsys.readouterr()
    other, found = train(parts)
    assert tried[:4] == [size, size, size, 1 if task == "lm" else 3]  # the larger part of five comes first
    assert other.parts == 4
    assert max(tried[6:]) <= most
    assert [row[1:] for row in found] == [row[1:] for row in expected]
    assert [row[0] for row in found] == pytest.approx([row[0] for row in expected], rel=1e-4)
    for name, weight in one.parameters.items():
        torch.testing.assert_close(other.parameters[name], weight, rtol=1e-3, atol=1e-5)
    carried, expected_carried = parts.pack(other.carried), whole.pack(one.carried)
    assert carried.keys() == expected_carried.keys() and bool(carried) == (task == "lm")
    for name, state in expected_carried.items():
        torch.testing.assert_close(carried[name], state, rtol=1e-3, atol=1e-5)
    warnings = capsys.readouterr().err.splitlines()
    assert warnings == [
        f"warning: out of memory: from here on a batch is computed in {count} parts, with the same gradient"
        for count in (2, 4)
    ]


@pytest.mark.parametrize("task", ["tag", "lm"])
def test_a_sentence_that_does_not_fit_by_itself_is_named(task: str) -> None:
    broken = make(task)
    limited(broken, 0, RuntimeError("DefaultCPUAllocator: can't allocate memory:\nyou tried"))
    with pytest.raises(TrainingError) as caught:
        train(broken, 1)
    named = broken.name(batches_of(broken)[0])
    told = "DefaultCPUAllocator: can't allocate memory: you tried"
    assert str(caught.value) == f"out of memory ({told}) with {named}, each by itself; try a smaller --hidden"
    assert all(parameter.grad is None for parameter in broken.network.parameters())


def test_other_errors_are_not_taken_for_too_little_memory() -> None:
    broken = make("tag")
    limited(broken, 0, RuntimeError("shapes do not fit"))
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        train(broken, 1)


@pytest.mark.parametrize("task", TASKS)
def test_parts_are_the_batch_in_its_order(task: str) -> None:
    made = make(task)
    batch = batches_of(made)[0]
    for count in range(1, 8):
        parts = made.divide(batch, count)
        assert len(parts) == min(count, size_of(batch))
        assert all(size_of(part) for part in parts)
        if isinstance(batch, Window):
            bounds = [bound for part in parts for bound in (part.first, part.last)]
            assert bounds[0] == 0 and bounds[-1] == size_of(batch) and bounds[1:-1:2] == bounds[2::2]
        else:
            assert [row for part in parts for row in part] == list(batch)


def test_batches_are_named_for_messages() -> None:
    tag, lm = make("tag"), make("lm")
    assert tag.name([6, 2]) == "training sentences 3, 7"
    assert tag.name([6]) == "training sentence 7"
    assert tag.name(range(40)).endswith("30, 31, 32, …")
    length = lm.streams.length  # type: ignore[attr-defined]
    numbers = lm.corpora["train"].numbers  # type: ignore[attr-defined]
    begin, end = 20, 31
    expected = []
    for row in range(3):
        lines = [1 + sum(numbers[:place] == 0) for place in range(row * length + begin, row * length + end)]
        expected.append(f"{lines[0]} to {lines[-1]}" if lines[0] != lines[-1] else f"{lines[0]}")
    assert lm.name(Window(begin, end, range(3))) == f"training lines {', '.join(expected)}"
    assert lm.name(Window(begin, end, range(3), 1, 2)) == f"training lines {expected[1]}"


# --- numbers that are none ---------------------------------------------------------------------------------------


def spoil(learner: Learner, calls: set[int], value: float) -> None:
    """Let some losses, counted from 0, be no numbers."""
    plain, count = learner.compute, iter(range(1000))

    def compute(batch: Any, carried: Any) -> Computed:
        found = plain(batch, carried)
        return found._replace(loss=found.loss * (value if next(count) in calls else 1.0))

    learner.compute = compute  # type: ignore[method-assign]


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_batch_without_a_finite_loss_is_left_out_if_that_is_asked_for(task: str, value: float) -> None:
    more = {"on_nan": "skip", "average": 0.9}
    broken, fine = make(task, **more), make(task, **more)
    spoil(broken, {2, 5}, value)
    stepper, found = train(broken, 5)
    other = stepper_of(fine)
    fine.network.train()
    for number, batch in enumerate(batches_of(fine)[:5]):
        if number != 2:
            other.step(batch, 0.01, 1, ())
        else:
            other.carried = None  # what a language model carries along begins anew
    assert not math.isfinite(found[2][0])
    assert stepper.average is not None and other.average is not None
    assert stepper.average.updates == 4
    for name, weight in stepper.parameters.items():
        assert torch.equal(weight, other.parameters[name])
        assert torch.equal(stepper.average.average[name], other.average.average[name])


def test_nothing_is_left_of_a_batch_that_was_skipped() -> None:
    """Not even for a process that has no part in the next one."""
    broken = make("tag", on_nan="skip")
    spoil(broken, {1}, math.nan)
    stepper, _ = train(broken, 2)
    before = {name: weight.detach().clone() for name, weight in stepper.parameters.items()}
    taken, _ = stepper.step(None, 0.01, 3, ())
    assert (float(taken.loss), float(taken.norm), taken.units) == (0.0, 0.0, 0)
    assert all(parameter.grad is None for parameter in stepper.parameters.values())
    assert all(torch.equal(weight, before[name]) for name, weight in stepper.parameters.items())


@pytest.mark.parametrize("task", TASKS)
def test_it_ends_training_otherwise_and_the_sentences_are_named(task: str) -> None:
    broken = make(task)
    spoil(broken, {0}, math.nan)
    before = {name: weight.detach().clone() for name, weight in broken.network.named_parameters()}
    with pytest.raises(Diverged) as caught:
        train(broken, 1)
    where = f"at step 1, in {broken.name(batches_of(broken)[0])}"
    advice = "try a smaller --lr or --clip, or skip such batches with --on-nan skip"
    assert str(caught.value) == f"the loss is nan and the gradient norm nan {where}; {advice}"
    for name, weight in broken.network.named_parameters():
        assert torch.equal(weight, before[name])


def test_weights_that_are_not_finite_are_not_kept() -> None:
    stepper = stepper_of(make("tag"))
    stepper.check_finite_weights(7)
    name, weight = list(stepper.parameters.items())[2]
    with torch.no_grad():
        weight.view(-1)[-1] = math.inf
    with pytest.raises(Diverged) as caught:
        stepper.check_finite_weights(7)
    assert str(caught.value) == f"the weights {name} are not finite after step 7; try a smaller --lr or --clip"


# --- devices that nobody waits for --------------------------------------------------------------------------------


def on_a_gpu(stepper: Stepper, monkeypatch: pytest.MonkeyPatch) -> Stepper:
    """Let it take its steps as on a GPU: whether they are finite is not read."""

    def read(*arguments: Any) -> bool:
        raise AssertionError("waits for the device")

    monkeypatch.setattr(stepper, "device", torch.device("cuda"))
    monkeypatch.setattr(stepper, "is_finite", read)
    return stepper


FUSED = pytest.mark.skipif(torch.__version__ < "2.4", reason="this torch has no fused optimisers on a CPU")


@FUSED
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize(
    ("optimizer", "average"), [({"optimizer": "adam"}, "moving"), ({"optimizer": "sgd", "momentum": 0.9}, "running")]
)
def test_a_batch_is_left_out_without_waiting_for_the_device(
    task: str, value: float, optimizer: dict[str, Any], average: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a CPU, where that is read: also the first batch, and what is carried along begins anew."""
    more = {"on_nan": "skip", **optimizer, "average": 0.9 if average == "moving" else 0.0}
    steppers = []
    for waits in (True, False):
        learner = make(task, **more)
        spoil(learner, {0, 3}, value)
        stepper = stepper_of(learner)
        if average == "running":
            stepper.average = RunningAverage(stepper.parameters)
        if not waits:
            on_a_gpu(stepper, monkeypatch)
        learner.network.train()
        for batch in batches_of(learner)[:6]:
            stepper.step(batch, 0.01, 1, ())
        steppers.append(stepper)
    one, other = steppers
    for name, weight in one.parameters.items():
        assert torch.equal(other.parameters[name], weight)
    assert one.average is not None and other.average is not None
    assert int(other.average.updates) == one.average.updates == 4
    assert other.state()["updates"] == 4
    for name, weight in one.average.average.items():
        torch.testing.assert_close(other.average.average[name], weight, rtol=1e-5, atol=1e-7)
    for name, state in one.learner.pack(one.carried).items():
        assert torch.equal(other.learner.pack(other.carried)[name], state)


@FUSED
def test_what_is_carried_along_is_zero_after_a_batch_that_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    learner = make("lm", on_nan="skip", optimizer="adam")
    spoil(learner, {1}, math.nan)
    stepper = on_a_gpu(stepper_of(learner), monkeypatch)
    learner.network.train()
    first, second = batches_of(learner)[:2]
    stepper.step(first, 0.01, 1, ())
    assert all(state.any() for state in learner.pack(stepper.carried).values())
    stepper.step(second, 0.01, 2, ())
    carried = learner.pack(stepper.carried)
    assert carried and not any(state.any() for state in carried.values())


def test_without_clipping_gradients_are_left_alone() -> None:
    """They were multiplied by one, or by NaN where the norm is infinite."""
    weights = [torch.nn.Parameter(torch.ones(2)), torch.nn.Parameter(torch.ones(3)), torch.nn.Parameter(torch.ones(1))]
    optimizer = torch.optim.Adam(weights)
    for by in ("norm", "value"):
        weights[0].grad, weights[1].grad = torch.tensor([3.0, 0.0]), torch.tensor([0.0, -4.0, 0.0])
        versions = [weight.grad._version for weight in weights[:2] if weight.grad is not None]
        assert float(clip_gradient(optimizer, weights, 0.0, by)) == 5.0
        assert [weight.grad._version for weight in weights[:2] if weight.grad is not None] == versions
        weights[0].grad = torch.tensor([math.inf, 1.0])
        assert float(clip_gradient(optimizer, weights, 0.0, by)) == math.inf
        assert weights[0].grad.tolist() == [math.inf, 1.0]
    for weight in weights:
        weight.grad = None
    assert float(clip_gradient(optimizer, weights, 0.0)) == 0.0


class _Shares(Group):
    """A group of two, seen from the process whose share of the first batch is empty; the other one finds ones."""

    def __init__(self) -> None:
        super().__init__(Launch(rank=0, size=2, local_rank=0, local_size=2), torch.device("cpu"))

    def add_up(
        self, parameters: Sequence[torch.nn.Parameter], loss: Tensor, units: int, tokens: int, asked: Sequence[bool]
    ) -> Together:
        for parameter in parameters:
            parameter.grad = torch.ones_like(parameter) * 2.0**16
        return Together(loss.detach(), units, tokens, tuple(asked))


def test_with_fp16_the_first_share_of_a_process_may_be_empty() -> None:
    """There is no loss to scale, and yet a gradient, that of the others, to be scaled back."""
    learner = make("tag")
    settings = learner.settings.training.model_copy(update={"precision": "fp16", "optimizer": "adam", "clip": 0.0})
    stepper = Stepper(learner, settings, _Shares(), Progress(quiet=True))
    before = {name: weight.detach().clone() for name, weight in stepper.parameters.items()}
    for number in (1, 2):
        stepper.step(None, 0.01, number, ())
    assert stepper.scaler.get_scale() == 2.0**16
    for name, weight in stepper.parameters.items():
        assert weight.grad is not None and bool((weight.grad == 1.0).all())
        torch.testing.assert_close(weight.detach(), before[name] - 0.02)


@pytest.mark.parametrize("task", ["tag", "tag sgd"])
def test_a_loss_that_is_scaled_for_fp16_changes_no_step(task: str) -> None:
    """But one whose gradient has no room even so, which is left out, and the next ones are scaled by less."""
    plain, scaled = make(task, clip=0.5), make(task, clip=0.5)
    expected, _ = train(plain, 6)
    stepper = stepper_of(scaled)
    stepper.scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    scaled.network.train()
    for batch in batches_of(scaled)[:6]:
        stepper.step(batch, 0.01, 1, ())
    for name, weight in expected.parameters.items():
        torch.testing.assert_close(stepper.parameters[name], weight, rtol=1e-4, atol=1e-6)
    before = {name: weight.detach().clone() for name, weight in stepper.parameters.items()}
    hook = next(iter(stepper.parameters.values())).register_hook(lambda gradient: gradient * math.inf)
    stepper.step(batches_of(scaled)[0], 0.01, 7, ())
    hook.remove()
    assert all(torch.equal(weight, before[name]) for name, weight in stepper.parameters.items())
    assert stepper.scaler.get_scale() == 4.0
    stepper.step(batches_of(scaled)[0], 0.01, 8, ())
    assert not all(torch.equal(weight, before[name]) for name, weight in stepper.parameters.items())
