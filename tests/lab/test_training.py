"""What happens within a training, and within the measurement after it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from seqkit.errors import SettingsError
from seqkit.lab.gradients import watch_gradients
from seqkit.lab.sequences import MEMORY_TASKS, Adding, Copying, MemoryTask, SequenceBatch
from seqkit.lab.training import (
    DrawingLearner,
    NetworkOptions,
    Trained,
    TrainingOptions,
    check_networks,
    make_encoder,
    make_model,
    stream,
    train_model,
)
from seqkit.model.base import Model

SMALL = NetworkOptions(hidden=8)


def trained(cell: str, task: MemoryTask, options: TrainingOptions, network: NetworkOptions = SMALL) -> Trained:
    return train_model(make_model(cell, task, network, options), options, [1], 1)


def reference(cell: str, task: MemoryTask, options: TrainingOptions, gaps: list[int], size: int) -> Trained:
    """The same training as a plain loop: draw, forward, backward, clip, Adam with half a cosine."""
    network = make_model(cell, task, SMALL, options).network
    encoder, head = network.encoder, network.head
    parameters = [*encoder.parameters(), *head.parameters()]
    adam = torch.optim.Adam(parameters)

    def answers(inputs: Tensor, count: int) -> Tensor:
        outputs = encoder(inputs, torch.full((len(inputs),), inputs.shape[1])).outputs
        found: Tensor = head(outputs[:, -count:])  # [B, A, D]
        return found

    draws, losses = stream(options.seed, "training"), []
    for step in range(options.steps):
        largest = options.largest_gap(step)
        gap = int(torch.randint(min(1, largest), largest + 1, (), generator=draws))
        inputs, targets = task.batch(gap, options.batch_size, draws)
        loss = task.loss(answers(inputs, targets.shape[1]), targets)
        losses.append(loss.item())
        adam.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, options.clip)
        adam.param_groups[0]["lr"] = task.lr * 0.5 * (1 + math.cos(math.pi * step / options.steps))
        adam.step()
    shares = []
    with torch.no_grad():
        for gap in gaps:
            inputs, targets = task.batch(gap, size, stream(options.seed, "test"))
            shares.append(float(task.right(answers(inputs, targets.shape[1]), targets).double().mean()))
    return Trained(losses, 0.0, shares, "")


@pytest.mark.parametrize("cell", ["lstm", "rnn_tanh"])
@pytest.mark.parametrize("name", MEMORY_TASKS)
def test_training_is_that_of_a_plain_loop(cell: str, name: str) -> None:
    task, options = MEMORY_TASKS[name], TrainingOptions(steps=25, batch_size=6, gap=9, growth=0.5, seed=3)
    expected = reference(cell, task, options, [1, 4, 9], 40)
    found = train_model(make_model(cell, task, SMALL, options), options, [1, 4, 9], 40)
    assert found.losses == pytest.approx(expected.losses, rel=1e-5)
    assert found.accuracies == pytest.approx(expected.accuracies, abs=0.03)
    assert found.fault == ""


def moved(clip: float) -> float:
    """The longest way of a weight in three updates."""
    options = TrainingOptions(steps=3, batch_size=2, gap=3, clip=clip)
    model = make_model("rnn_tanh", Adding(), SMALL, options)
    before = [parameter.detach().clone() for parameter in model.network.parameters()]
    train_model(model, options, [1], 1)
    after = [parameter.detach() for parameter in model.network.parameters()]
    return max(float((new - old).abs().max()) for new, old in zip(after, before, strict=True))


def test_gradients_are_clipped() -> None:
    # Adam divides by the gradient's size + 1e-8: only one far below is felt.
    assert 0.0 < moved(1e-12) < 1e-3 * moved(1.0)
    assert moved(0.0) == pytest.approx(moved(1e9))


class Spy(Copying):
    """A task that keeps what it gave."""

    def __init__(self) -> None:
        super().__init__()
        self.given: list[Tensor] = []

    def batch(self, gap: int, size: int, generator: torch.Generator) -> SequenceBatch:
        found = super().batch(gap, size, generator)
        self.given.append(found.inputs)
        return found


def test_test_sequences_are_of_another_random_stream_than_training() -> None:
    task, options = Spy(), TrainingOptions(steps=1, gap=30, seed=5)
    learner = DrawingLearner(make_model("gru", task, SMALL, options), options, [30], 20)
    (tested,) = task.given
    assert torch.equal(tested, Copying().batch(30, 20, stream(5, "test")).inputs)
    assert [record.fields["gap"] for record in learner.dev] == [30] * 20
    on = Copying().batch(30, 20, stream(5, "training")).inputs
    assert not any(torch.equal(one, other) for one in tested for other in on)


def test_models_train_in_one_mode_and_answer_in_the_other() -> None:
    modes: list[bool] = []
    options = TrainingOptions(steps=2, batch_size=2, gap=3)
    model = make_model("gru", Adding(), SMALL, options)
    model.network.register_forward_pre_hook(lambda network, _: modes.append(network.training))
    train_model(model, options, [3], 4)
    assert modes == [True, True, False]


def test_a_sequence_is_the_record_of_its_vectors_and_answers() -> None:
    task = Copying()
    inputs, targets = task.batch(5, 3, stream(1, "test"))
    records = task.records(5, 3, stream(1, "test"))
    for record, frames, answers in zip(records, inputs, targets, strict=True):
        assert np.array_equal(record.source.read(), frames.numpy())
        assert (record.fields["answers"].tolist(), record.fields["gap"]) == (answers.tolist(), 5)
        assert (record.frames, record.source.shape) == (11, (11, 7))


def answered(model: Model, task: MemoryTask, lengths: dict[int, int]) -> list[list[bool]]:
    records = [one for gap, size in lengths.items() for one in task.records(gap, size, stream(1, "test"))]
    return [found.right for found in model.predicted(records)]


def test_answers_do_not_depend_on_sequences_of_other_lengths() -> None:
    task, options = Copying(), TrainingOptions()
    model = make_model("gru", task, SMALL, options)
    alone = [answered(model, task, {gap: 7}) for gap in (9, 2)]
    assert answered(model, task, {9: 7, 2: 7}) == alone[0] + alone[1]


def test_the_loss_is_the_mean_of_the_last_tenth() -> None:
    assert Trained([*[9.0] * 18, 1.0, 2.0], 0.0, None, "").loss == 1.5
    assert Trained([9.0, 4.0], 0.0, None, "").loss == 4.0


def test_a_loss_that_is_not_finite_ends_training() -> None:
    network = NetworkOptions(64, init="orthogonal", gain=3.0)
    found = trained("rnn_relu", Copying(), TrainingOptions(steps=30, batch_size=2, gap=900), network)
    assert found.accuracies is None
    assert not math.isfinite(found.losses[-1])
    assert len(found.losses) < 30
    start = f"the loss is {found.losses[-1]:g} and the gradient norm "
    assert found.fault.startswith(start)
    assert found.fault.endswith(f" at step {len(found.losses)}, in sequences of copy")
    sound = trained("gru", Copying(), TrainingOptions(2, 2, gap=3))
    assert sound.fault == ""
    assert sound.accuracies is not None
    assert sound.seconds > 0


def test_weights_that_are_not_finite_after_the_last_update_are_a_fault() -> None:
    options = TrainingOptions(steps=1, batch_size=2, gap=3)
    model = make_model("gru", Copying(), SMALL, options)

    def spoil(changed: Tensor) -> None:
        changed.data.fill_(math.inf)

    model.head.module.weight.register_post_accumulate_grad_hook(spoil)
    found = train_model(model, options, [1], 1)
    assert (len(found.losses), found.accuracies) == (1, None)
    assert found.fault == "the weights head.weight are not finite after step 1"


def test_scores_that_are_not_finite_are_a_fault() -> None:
    options = TrainingOptions(steps=1, batch_size=2, gap=3)
    model = make_model("gru", Copying(), SMALL, options)
    model.head.score = lambda encoded: encoded.outputs[:, :3, :4] * (1.0 if torch.is_grad_enabled() else math.inf)
    found = train_model(model, options, [1], 1)
    assert found.accuracies is None
    causes = "training diverged (try a smaller --lr), the weights are damaged, or a given number is too large"
    assert found.fault == f"what the network computes of 'sequence 0' is not finite, or too large: {causes}"


def test_gradients_are_watched_before_they_are_clipped() -> None:
    options = TrainingOptions(steps=2, batch_size=4, gap=3, clip=1e-9)
    model = make_model("gru", Adding(), NetworkOptions(5, 2), options)
    watched = watch_gradients(model.network.encoder)
    train_model(model, options, [1], 1)
    assert [[len(norms) for norms in layer] for layer in watched] == [[2] * 4, [2] * 4]
    assert all(float(norms[0]) > 1e-6 for layer in watched for norms in layer)


def test_an_encoder_repeats_itself_and_leaves_the_generator() -> None:
    before = torch.get_rng_state()
    first, again, other = (make_encoder("gru", 4, SMALL, seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    weights = [next(encoder.parameters()) for encoder in (first, again, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_networks_are_checked_for_every_task_and_cell() -> None:
    check_networks(["gru", "clockwork"], [Adding(), Copying()], SMALL)
    check_networks(["gru"], [], NetworkOptions(layers=0))
    with pytest.raises(SettingsError) as caught:
        check_networks(["gru", "lstm"], [Adding()], NetworkOptions(layers=0))
    assert str(caught.value) == "gru: encoder.layers: expected at least 1, found 0"
