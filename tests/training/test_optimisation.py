from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from seqkit.config import TrainingSettings
from seqkit.training.optimisation import (
    MovingAverage,
    PlainSGD,
    RunningAverage,
    Schedule,
    clip_gradient,
    make_optimizer,
    optimizer_tensors,
    restore_optimizer,
)

LR = 0.4


def schedule(**values: Any) -> Schedule:
    return Schedule(TrainingSettings(lr=LR, **values))


# --- schedules ---------------------------------------------------------------------------------------------------


@given(epoch=st.floats(0, 50))
def test_constant(epoch: float) -> None:
    assert schedule().rate(epoch) == LR


@given(epoch=st.floats(0, 50), decay=st.floats(0, 1))
def test_inverse_time_goes_by_whole_epochs(epoch: float, decay: float) -> None:
    assert schedule(schedule="inverse", decay=decay).rate(epoch) == pytest.approx(LR / (1 + decay * int(epoch)))


def test_inverse_time_by_hand() -> None:
    """The values of NCRF++'s learning rate after 0, 1 and 2 epochs with a decay of 0.05."""
    rates = [Schedule(TrainingSettings(lr=0.015, schedule="inverse")).rate(epoch) for epoch in (0.99, 1.0, 2.5)]
    assert rates == pytest.approx([0.015, 0.0142857, 0.0136364], rel=1e-5)


@given(epoch=st.floats(0, 12), warmup=st.floats(0, 4))
def test_cosine_with_warm_up(epoch: float, warmup: float) -> None:
    rate = schedule(schedule="cosine", epochs=10, warmup=warmup).rate(epoch)
    if epoch < warmup:
        assert rate == pytest.approx(LR * epoch / warmup)
    else:
        share = min(1.0, (epoch - warmup) / (10 - warmup))
        assert rate == pytest.approx(LR * (1 + math.cos(math.pi * share)) / 2, abs=1e-12)


def test_cosine_at_its_ends_and_middle() -> None:
    cosine = schedule(schedule="cosine", epochs=10, warmup=2.0)
    assert cosine.rate(0) == 0.0
    assert cosine.rate(1) == pytest.approx(LR / 2)
    assert cosine.rate(2) == LR
    assert cosine.rate(6) == pytest.approx(LR / 2)
    assert cosine.rate(10) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("kind", ["constant", "inverse", "cosine", "plateau", "step"])
def test_every_schedule_warms_up_linearly_from_zero(kind: str) -> None:
    warming = schedule(schedule=kind, warmup=3.0)
    assert [warming.rate(epoch) for epoch in (0, 0.75, 1.5, 2.25)] == pytest.approx([0, LR / 4, LR / 2, LR * 3 / 4])


def test_plateau_by_hand() -> None:
    """Two epochs may pass without a better score; the third one is a plateau, and counting begins anew."""
    plateau = schedule(schedule="plateau", plateau_patience=2, plateau_factor=0.1)
    rates = []
    for score in (0.5, 0.6, 0.6, 0.5, 0.4, 0.3, 0.2, 0.7, 0.1, 0.1, 0.1):
        plateau.observe(score)
        rates.append(plateau.rate(1.0) / LR)
    assert rates == pytest.approx([1, 1, 1, 1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.01])


def test_step_by_hand() -> None:
    """Zaremba's small network: four epochs at the full rate, then half of it, a quarter, …"""
    step = schedule(schedule="step", step_after=4, step_factor=0.5)
    assert [step.rate(epoch) / LR for epoch in (0.0, 3.99, 4.0, 4.5, 5.0, 12.9)] == [1, 1, 0.5, 0.5, 0.25, 0.5**9]


def test_a_schedule_goes_on_from_its_state() -> None:
    first = schedule(schedule="plateau", plateau_patience=1)
    for score in (0.5, 0.4, 0.4, 0.4):
        first.observe(score)
    second = schedule(schedule="plateau", plateau_patience=1)
    second.restore(first.state())
    for score in (0.4, 0.6, 0.1, 0.1):
        first.observe(score)
        second.observe(score)
        assert second.rate(1.0) == first.rate(1.0)
    assert second.state() == first.state()


# --- moving average ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("decay", [0.5, 0.99])
def test_moving_average_equals_a_literal_loop(decay: float) -> None:
    torch.manual_seed(0)
    parameters = {"a": nn.Parameter(torch.randn(3, 2)), "b": nn.Parameter(torch.randn(()))}
    expected = {name: parameter.detach().double() for name, parameter in parameters.items()}
    average = MovingAverage(parameters, decay)
    for update in range(1, 40):
        with torch.no_grad():
            for parameter in parameters.values():
                parameter += torch.randn_like(parameter)
        average.update()
        d = min(decay, (1 + update) / (10 + update))
        expected = {name: d * expected[name] + (1 - d) * parameters[name].detach().double() for name in parameters}
    for name, value in expected.items():
        assert torch.allclose(average.average[name].double(), value, atol=1e-6)
    assert average.updates == 39


def test_running_average_is_the_mean_of_what_it_was_shown() -> None:
    torch.manual_seed(0)
    parameter = nn.Parameter(torch.randn(4))
    average = RunningAverage({"p": parameter})
    seen = []
    for _ in range(7):
        with torch.no_grad():
            parameter.normal_()
        average.update()
        seen.append(parameter.detach().clone())
    assert torch.allclose(average.average["p"], torch.stack(seen).mean(0), atol=1e-6)  # not what it began with


def test_the_average_stands_in_for_a_while() -> None:
    parameter = nn.Parameter(torch.tensor([1.0, 2.0]))
    average = MovingAverage({"p": parameter}, 0.9)
    with torch.no_grad():
        parameter.fill_(12.0)
    average.update()  # decay 2/11: 2/11 · (1, 2) + 9/11 · 12
    with pytest.raises(KeyError), average.applied():
        assert torch.allclose(parameter, torch.tensor([110.0, 112.0]) / 11)
        raise KeyError
    assert torch.equal(parameter, torch.tensor([12.0, 12.0]))
    assert parameter.requires_grad


# --- optimisers --------------------------------------------------------------------------------------------------


def steps(settings: TrainingSettings, gradients: list[float]) -> float:
    """One weight, from 1, after these gradients."""
    weight = nn.Parameter(torch.tensor([1.0], dtype=torch.float64))
    optimizer = make_optimizer(settings, [weight])
    for gradient in gradients:
        weight.grad = torch.tensor([gradient], dtype=torch.float64)
        optimizer.step()
    return weight.item()


def test_sgd_with_momentum_and_decay_by_hand() -> None:
    settings = TrainingSettings(optimizer="sgd", lr=0.1, momentum=0.5, weight_decay=0.2)
    weight, velocity = 1.0, 0.0
    for gradient in (1.0, -2.0, 0.5):
        velocity = 0.5 * velocity + gradient + 0.2 * weight
        weight -= 0.1 * velocity
    assert steps(settings, [1.0, -2.0, 0.5]) == pytest.approx(weight)


@pytest.mark.parametrize("kind", ["adam", "adamw"])
def test_adam_and_its_two_ways_of_weight_decay_by_hand(kind: str) -> None:
    settings = TrainingSettings(optimizer=kind, lr=0.1, weight_decay=0.2)
    weight, first, second = 1.0, 0.0, 0.0
    for step, gradient in enumerate((1.0, -2.0, 0.5), 1):
        if kind == "adamw":
            weight -= 0.1 * 0.2 * weight
        else:
            gradient += 0.2 * weight
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        weight -= 0.1 * (first / (1 - 0.9**step)) / (math.sqrt(second / (1 - 0.999**step)) + 1e-8)
    assert steps(settings, [1.0, -2.0, 0.5]) == pytest.approx(weight)


def test_frozen_parameters_are_left_out() -> None:
    parameters = [nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(3), requires_grad=False)]
    optimizer = make_optimizer(TrainingSettings(), parameters)
    assert [len(group["params"]) for group in optimizer.param_groups] == [1]


def test_without_a_fused_form_the_plain_one_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    class Old(torch.optim.Adam):
        def __init__(self, parameters: Any, **options: Any) -> None:
            if "fused" in options:
                raise RuntimeError("`fused=True` requires all the params to be on CUDA")
            super().__init__(parameters, **options)

    monkeypatch.setattr(torch.optim, "Adam", Old)
    assert isinstance(make_optimizer(TrainingSettings(), [nn.Parameter(torch.ones(2))]), Old)


@pytest.mark.parametrize("by", ["norm", "value"])
@pytest.mark.parametrize("clip", [0.0, 0.5, 100.0])
@pytest.mark.parametrize("sparse", [False, True])
def test_plain_sgd_is_that_of_torch_after_clipping(clip: float, sparse: bool, by: str) -> None:
    torch.manual_seed(0)
    table, weight = torch.randn(9, 4), torch.randn(4, 3)
    settings = TrainingSettings(optimizer="sgd", lr=0.3)
    ours = [nn.Parameter(table.clone()), nn.Parameter(weight.clone()), nn.Parameter(torch.randn(2))]
    theirs = [nn.Parameter(parameter.detach().clone()) for parameter in ours]
    plain, other = make_optimizer(settings, ours), torch.optim.SGD(theirs, lr=0.3)
    assert isinstance(plain, PlainSGD)
    for step in range(3):
        words = torch.tensor([1, 5, 5, step, 8])  # one of them twice
        for parameters, as_sparse in ((ours, sparse), (theirs, False)):
            for parameter in parameters:
                parameter.grad = None  # the third one never has a gradient
            vectors = nn.functional.embedding(words, parameters[0], sparse=as_sparse)
            (vectors @ parameters[1]).square().sum().backward()
        found = clip_gradient(plain, ours, clip, by)
        expected = nn.utils.clip_grad_norm_(theirs, clip if clip and by == "norm" else math.inf)
        assert torch.allclose(found, expected)
        if clip and by == "value":
            nn.utils.clip_grad_value_(theirs, clip)
        plain.step()
        other.step()
        for mine, reference in zip(ours, theirs, strict=True):
            assert torch.allclose(mine, reference, atol=1e-6)


@pytest.mark.parametrize(
    ("most", "by", "expected"),
    [
        (0.0, "norm", [3.0, -4.0]),
        (0.0, "value", [3.0, -4.0]),
        (2.5, "norm", [1.5, -2.0]),
        (3.5, "value", [3.0, -3.5]),
        (9.0, "norm", [3.0, -4.0]),
        (9.0, "value", [3.0, -4.0]),
    ],
)
def test_clipping_by_hand(most: float, by: str, expected: list[float]) -> None:
    weight = nn.Parameter(torch.zeros(2))
    weight.grad = torch.tensor([3.0, -4.0])
    norm = clip_gradient(make_optimizer(TrainingSettings(), [weight]), [weight], most, by)
    assert float(norm) == pytest.approx(5.0)  # as it was
    assert weight.grad.tolist() == pytest.approx(expected)


def test_only_gradient_descent_without_more_is_plain() -> None:
    weight = nn.Parameter(torch.ones(1))
    for values in ({"momentum": 0.5}, {"weight_decay": 0.1}, {"optimizer": "adam"}):
        assert not isinstance(make_optimizer(TrainingSettings(**{"optimizer": "sgd", **values}), [weight]), PlainSGD)


def test_momentum_begins_when_a_frozen_parameter_thaws() -> None:
    """The fused form of SGD failed where some parameters had a momentum and others none; older checkpoints lack it."""
    settings = TrainingSettings(optimizer="sgd", momentum=0.9, lr=0.5, weight_decay=0.0)
    for kept in (True, False):
        weights = [nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(2))]
        optimizer = make_optimizer(settings, weights)
        weights[0].grad = torch.ones(2)
        optimizer.step()
        if not kept:
            tensors = {name: one for name, one in optimizer_tensors(optimizer, "o.").items() if name.startswith("o.0.")}
            optimizer = make_optimizer(settings, weights)
            restore_optimizer(optimizer, tensors, "o.")
        weights[0].grad, weights[1].grad = torch.ones(2), torch.ones(2)
        optimizer.step()
        # 1, then 0.9 · 1 + 1 and 1, each times the rate.
        assert weights[0].tolist() == pytest.approx([-0.5 * (1 + 1.9)] * 2)
        assert weights[1].tolist() == pytest.approx([-0.5] * 2)


@pytest.mark.parametrize("decay", [0.5, 0.99, 0.0])
def test_an_average_told_on_the_device_that_there_was_no_step_leaves_it_out(decay: float) -> None:
    """Without reading what it is told; the same numbers as where only steps are told."""
    steps = [True, False, True, True, False, True]
    found = []
    for told in (True, False):
        weight = nn.Parameter(torch.tensor([0.0, 1.0]))
        kind = MovingAverage({"w": weight}, decay) if decay else RunningAverage({"w": weight})
        for number, taken in enumerate(steps):
            if taken:
                with torch.no_grad():
                    weight.add_(number + 1.0)
            if told:
                kind.update(torch.tensor(taken))
            elif taken:
                kind.update()
        assert int(kind.updates) == 4
        found.append(kind.average["w"])
    torch.testing.assert_close(*found)


@pytest.mark.parametrize(("version", "fused"), [("2.3.1", None), ("2.4.0", True)])
def test_the_fused_form_is_taken_where_torch_can_step_with_it(
    version: str, fused: bool | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "__version__", version)
    settings = TrainingSettings(optimizer="sgd", momentum=0.9, lr=0.5)
    parameter = nn.Parameter(torch.ones(2))
    optimizer = make_optimizer(settings, [parameter, nn.Parameter(torch.ones(1), requires_grad=False)])
    assert type(optimizer) is torch.optim.SGD
    (group,) = optimizer.param_groups
    assert group["params"] == [parameter] and group.get("fused") == fused
    assert (group["lr"], group["momentum"]) == (0.5, 0.9)
