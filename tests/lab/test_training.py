"""What happens within a training, and within the measurement after it."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from seqkit.errors import SettingsError
from seqkit.lab.sequences import Adding, Copying, SequenceBatch
from seqkit.lab.training import (
    NetworkOptions,
    SequenceNetwork,
    Trained,
    TrainingOptions,
    accuracy,
    check_networks,
    stream,
    train_network,
)

SMALL = NetworkOptions(hidden=8)


def moved(clip: float) -> float:
    """The longest way of a weight in three updates."""
    network = SequenceNetwork.of("rnn_tanh", Adding(), SMALL)
    before = [parameter.detach().clone() for parameter in network.parameters()]
    train_network(network, Adding(), TrainingOptions(steps=3, batch_size=2, gap=3, clip=clip))
    return max(float((new.detach() - old).abs().max()) for new, old in zip(network.parameters(), before, strict=True))


def test_gradients_are_clipped() -> None:
    # Adam divides by the gradient's size + 1e-8: only one far below is felt.
    assert 0.0 < moved(1e-12) < 1e-3 * moved(1.0)
    assert moved(0.0) == pytest.approx(moved(1e9))


def test_test_sequences_are_of_another_random_stream_than_training() -> None:
    task = Copying()
    asked: list[Tensor] = []

    class Spy(Copying):
        def batch(self, gap: int, size: int, generator: torch.Generator) -> SequenceBatch:
            found = super().batch(gap, size, generator)
            asked.append(found.inputs)
            return found

    accuracy(SequenceNetwork.of("gru", task, SMALL), Spy(), 30, 20, 5)
    assert torch.equal(asked[0], task.batch(30, 20, stream(5, "test")).inputs)
    trained_on = task.batch(30, 20, stream(5, "training")).inputs
    assert not any(torch.equal(one, other) for one in asked[0] for other in trained_on)


def test_networks_train_in_one_mode_and_answer_in_the_other() -> None:
    modes: list[bool] = []

    class Spy(SequenceNetwork):
        def forward(self, x: Tensor, answers: int) -> Tensor:
            modes.append(self.training)
            return super().forward(x, answers)

    network = Spy.of("gru", Adding(), SMALL)
    accuracy(network.train(), Adding(), 3, 4, 1)
    assert modes == [False]
    train_network(network, Adding(), TrainingOptions(steps=2, batch_size=2, gap=3))
    assert modes == [False, True, True]


def test_the_loss_is_the_mean_of_the_last_tenth() -> None:
    assert Trained([*[9.0] * 18, 1.0, 2.0], 0.0, "").loss == 1.5
    assert Trained([9.0, 4.0], 0.0, "").loss == 4.0


def test_a_loss_that_is_not_finite_ends_training() -> None:
    seen: list[int] = []
    network = SequenceNetwork.of("rnn_relu", Copying(), NetworkOptions(64, init="orthogonal", gain=3.0))
    options = TrainingOptions(steps=30, batch_size=2, gap=900, growth=0.0)
    trained = train_network(network, Copying(), options, lambda step, loss: seen.append(step))
    assert trained.fault == f"loss not finite at update {len(trained.losses)}"
    assert not math.isfinite(trained.losses[-1])
    assert len(seen) == len(trained.losses) - 1 < 30
    sound = train_network(SequenceNetwork.of("gru", Copying(), SMALL), Copying(), TrainingOptions(2, 2, gap=3))
    assert sound.fault == ""
    assert sound.seconds > 0


def test_weights_that_are_not_finite_after_the_last_update_are_a_fault() -> None:
    def spoil(step: int, loss: float) -> None:
        assert network.head.weight.grad is not None
        network.head.weight.grad.fill_(math.nan)

    network = SequenceNetwork.of("gru", Adding(), SMALL)
    trained = train_network(network, Adding(), TrainingOptions(steps=1, batch_size=2, gap=3), spoil)
    assert trained.fault == "weights not finite after update 1"


def test_an_encoder_repeats_itself_and_leaves_the_generator() -> None:
    before = torch.get_rng_state()
    first, again, other = (SequenceNetwork("gru", 4, 1, SMALL, seed).encoder for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    weights = [next(encoder.parameters()) for encoder in (first, again, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_networks_are_checked_for_every_task_and_cell() -> None:
    check_networks(["gru", "clockwork"], [Adding(), Copying()], SMALL)
    check_networks(["gru"], [], NetworkOptions(layers=0))
    with pytest.raises(SettingsError) as caught:
        check_networks(["gru", "lstm"], [Adding()], NetworkOptions(layers=0))
    assert str(caught.value) == "gru: expected layers of at least 1, found 0"
