"""Networks trained on artificial sequences: the same ones for each, growing gaps, accuracy by gap."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from seqkit.errors import SettingsError
from seqkit.lab.memory import MemoryCurve, MemoryResult, draw_memory, gap_ladder, measure_memory, render_memory
from seqkit.lab.sequences import Adding, Copying, SequenceBatch
from seqkit.lab.training import (
    NetworkOptions,
    Trained,
    TrainingOptions,
    make_model,
    stream,
    train_model,
)
from seqkit.model.base import Model
from seqkit.nn.recurrent import CELLS

SMALL = NetworkOptions(hidden=12)


class Recording(Copying):
    """A task that keeps what it gave."""

    def __init__(self) -> None:
        super().__init__()
        self.given: list[Tensor] = []

    def batch(self, gap: int, size: int, generator: torch.Generator) -> SequenceBatch:
        found = super().batch(gap, size, generator)
        self.given.append(found.inputs)
        return found


def train(cell: str, task: Copying, options: TrainingOptions, gap: int = 1, size: int = 1) -> Trained:
    return train_model(make_model(cell, task, SMALL, options), options, [gap], size)


def test_every_cell_sees_the_same_sequences_and_is_tested_on_others() -> None:
    options = TrainingOptions(steps=6, batch_size=3, gap=7, growth=0.5, seed=4)
    first, second = Recording(), Recording()
    train("gru", first, options, 7, 50)
    train("rnn_tanh", second, options, 7, 50)
    assert len(first.given) == len(second.given) == 7
    for one, other in zip(first.given, second.given, strict=True):
        assert torch.equal(one, other)
    tested_on = {tuple(row.flatten().tolist()) for row in first.given[0]}
    trained_on = {tuple(row.flatten().tolist()) for batch in first.given[1:] for row in batch}
    assert not trained_on & tested_on


def test_what_a_seed_decides_is_independent() -> None:
    purposes = ("weights", "training", "test", "noise", "directions")
    drawn = [torch.rand(4, generator=stream(seed, purpose)) for purpose in purposes for seed in (1, 2)]
    assert len({tuple(each.tolist()) for each in drawn}) == len(drawn)
    assert torch.equal(torch.rand(4, generator=stream(3, "test")), torch.rand(4, generator=stream(3, "test")))


def test_gaps_are_mixed_and_the_largest_grows() -> None:
    options = TrainingOptions(steps=100, batch_size=1, gap=20, growth=0.5)
    assert [options.largest_gap(step) for step in (0, 24, 49, 50, 99)] == [1, 10, 20, 20, 20]
    assert TrainingOptions(steps=100, gap=20, growth=0.0).largest_gap(0) == 20
    assert TrainingOptions(steps=100, gap=0, growth=0.5).largest_gap(60) == 0
    task = Recording()
    train("rnn_tanh", task, options)
    gaps = [batch.shape[1] - 6 for batch in task.given[1:]]  # the first one is for the test
    assert all(1 <= gap <= options.largest_gap(step) for step, gap in enumerate(gaps))
    assert set(gaps[50:]) >= {1, 2, 19, 20} or len(set(gaps[50:])) > 12


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_gated_networks_learn_to_remember_across_noise(cell: str) -> None:
    task = Copying(symbols=1, alphabet=2)
    options = TrainingOptions(steps=150, batch_size=16, lr=0.02, gap=6, growth=0.5)
    found = train(cell, task, options, 6, 300)
    assert sum(found.losses[-10:]) < 1.0 < sum(found.losses[:10])
    assert found.accuracies is not None
    assert found.accuracies[0] > 0.95


def share(model: Model, task: Copying, gap: int, size: int) -> float:
    report: dict[str, float] = model.dev_report(task.records(gap, size, stream(1, "test")))
    return report[f"gap {gap}"]


def test_an_untrained_network_is_at_chance() -> None:
    task = Copying()
    assert share(make_model("gru", task, SMALL, TrainingOptions()), task, 5, 1000) == pytest.approx(0.25, abs=0.05)


def test_accuracy_counts_every_answer_of_every_sequence() -> None:
    task = Copying()
    model = make_model("gru", task, SMALL, TrainingOptions())
    model.head.score = lambda encoded: encoded.batch.frames[:, :3, :4]  # type: ignore[method-assign]  # as shown
    assert share(model, task, 3, 1203) == 1.0
    half = task.records(3, 10, stream(1, "test"))
    for record in half:
        record.fields["answers"] = np.array([9, *record.fields["answers"][1:]])
    assert model.dev_report(half) == {"gap 3": pytest.approx(2 / 3)}


def test_the_learning_rate_falls_to_zero() -> None:
    task, options = Adding(), TrainingOptions(steps=5, batch_size=2, lr=1e-3, gap=3)
    model = make_model("rnn_tanh", task, SMALL, options)
    before = [parameter.detach().clone() for parameter in model.network.parameters()]
    losses = train_model(model, options, [1], 1).losses
    after = [parameter.detach() for parameter in model.network.parameters()]
    moved = max(float((new - old).abs().max()) for new, old in zip(after, before, strict=True))
    assert len(losses) == 5
    # Adam moves a weight by the learning rate at most a step: 1e-3 times the sum of half a cosine at 0, ⅕ … ⅘
    assert 0.0 < moved < 3.1e-3


@pytest.mark.parametrize("cell", CELLS)
def test_every_cell_can_be_measured(cell: str) -> None:
    options = TrainingOptions(steps=2, batch_size=2, gap=3)
    (result,) = measure_memory(["agreement"], [cell], NetworkOptions(6), options, test_size=8)
    (curve,) = result.curves
    assert result.gaps == [1, 2, 3]
    assert len(curve.finished[0]) == 3
    assert curve.parameters > 0


def test_runs_follow_each_other_in_their_seeds_and_repeat() -> None:
    options = TrainingOptions(steps=4, batch_size=4, gap=2, seed=5)
    lines: list[str] = []
    (both,) = measure_memory(["copy"], ["gru"], SMALL, options, runs=2, test_size=40, say=lines.append)
    (second,) = measure_memory(["copy"], ["gru"], SMALL, TrainingOptions(4, 4, gap=2, seed=6), test_size=40)
    assert both.curves[0].seeds == [5, 6]
    assert both.curves[0].accuracies[1] == second.curves[0].accuracies[0]
    assert [line.split(":")[0] for line in lines] == ["copy gru seed 5", "copy gru seed 6"]


def test_ladders_end_at_the_largest_gap() -> None:
    assert gap_ladder(1) == [1]
    assert gap_ladder(2) == [1, 2]
    assert gap_ladder(1000)[-4:] == [100, 200, 500, 1000]


def test_the_learning_rate_is_the_tasks_own_unless_one_is_given() -> None:
    options = TrainingOptions(steps=3, batch_size=2, gap=2)
    own, same, other = (
        measure_memory(["agreement"], ["gru"], SMALL, replace(options, lr=lr), test_size=9)[0]
        for lr in (None, 0.01, 0.5)
    )
    assert (own.training.lr, same.training.lr, other.training.lr) == (0.01, 0.01, 0.5)
    assert own.curves[0].losses == same.curves[0].losses != other.curves[0].losses


def test_faults_of_the_settings_are_named() -> None:
    with pytest.raises(SettingsError) as caught:
        measure_memory(["recall"], ["gru"], SMALL, TrainingOptions(steps=1))
    assert str(caught.value) == "unknown task 'recall'; known: copy, copy_blanks, adding, agreement"
    with pytest.raises(SettingsError) as caught:
        measure_memory(["copy"], ["gru"], NetworkOptions(layers=0), TrainingOptions(steps=1))
    assert str(caught.value) == "gru: encoder.layers: expected at least 1, found 0"


def test_every_network_is_built_before_the_first_is_trained() -> None:
    lines: list[str] = []
    with pytest.raises(SettingsError) as caught:
        measure_memory(["copy"], ["gru", "nonesuch"], SMALL, TrainingOptions(steps=1), say=lines.append)
    assert str(caught.value).startswith("nonesuch: ")
    assert lines == []


def test_results_are_reported_after_each_cell() -> None:
    told: list[list[tuple[str, int]]] = []
    options = TrainingOptions(steps=1, batch_size=2, gap=1)

    def after(results: list[MemoryResult]) -> None:
        told.append([(result.task, len(result.curves)) for result in results])

    final = measure_memory(["copy", "adding"], ["gru", "running_sum"], SMALL, options, test_size=2, after=after)
    assert told == [[("copy", 1)], [("copy", 2)], [("copy", 2), ("adding", 1)], [("copy", 2), ("adding", 2)]]
    assert [len(result.curves) for result in final] == [2, 2]


def test_a_cell_that_diverges_has_a_fault_and_no_accuracy_and_the_others_continue() -> None:
    options = TrainingOptions(steps=4, batch_size=2, gap=90)
    lines: list[str] = []
    network = NetworkOptions(hidden=12, init="orthogonal", gain=1e9)
    (result,) = measure_memory(["copy"], ["rnn_relu", "gru"], network, options, test_size=9, say=lines.append)
    wrong, right = result.curves
    assert wrong.fault.startswith("seed 1: the loss is ")
    assert lines[0] == f"copy rnn_relu {wrong.fault}"
    assert (wrong.accuracies, wrong.mean) == ([None], None)
    assert right.fault == ""
    assert right.mean == right.finished[0]


def test_accuracy_at_a_gap_is_measured_at_it_with_so_many_sequences(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[list[int], int, int]] = []

    def spy(model: Model, options: TrainingOptions, gaps: list[int], size: int) -> Trained:
        asked.append((gaps, size, options.seed))
        return Trained([1.0], 12.5, [gap / 100 for gap in gaps], "")

    monkeypatch.setattr("seqkit.lab.memory.train_model", spy)
    options = TrainingOptions(steps=1, batch_size=2, gap=7, seed=3)
    (result,) = measure_memory(["copy"], ["gru"], SMALL, options, runs=2, test_size=17)
    assert asked == [([1, 2, 5, 7], 17, 3), ([1, 2, 5, 7], 17, 4)]
    assert result.curves[0].accuracies == [[0.01, 0.02, 0.05, 0.07]] * 2
    assert result.curves[0].seconds == 25.0  # those of training alone


def test_parameters_are_those_of_encoder_and_head() -> None:
    (result,) = measure_memory(["copy"], ["rnn_tanh"], NetworkOptions(5), TrainingOptions(1, 2, gap=1), test_size=2)
    assert result.curves[0].parameters == 5 * (7 + 5 + 2) + 4 * (5 + 1)


RESULT = MemoryResult(
    "copy",
    "symbols",
    0.25,
    [1, 10],
    NetworkOptions(init="uniform", forget_bias=4.60517),
    TrainingOptions(lr=0.005, gap=10),
    [
        MemoryCurve("gru", 1234, [1, 2], [[1.0, 0.9], [0.9, 0.6]], [0.1, 0.2], 3.0),
        MemoryCurve("x", 5, [1, 2], [[0.3, 0.2], None], [1.0, math.nan], 0.4, "seed 2: loss not finite at update 3"),
        MemoryCurve("y", 5, [1, 2], [None, None], [math.nan, math.nan], 0.4, "seed 1: so; seed 2: so"),
    ],
)


def test_the_table_has_means_chance_faults_and_how_it_was_trained() -> None:
    assert render_memory([RESULT]).splitlines() == [
        "copy, % of symbols right  gap 1  gap 10  parameters  seconds",
        "gru                        95.0    75.0       1,234        3",
        "x                          30.0    20.0           5        0",
        "y                             –       –           5        0",
        "chance                     25.0    25.0",
        "x: seed 2: loss not finite at update 3",
        "y: seed 1: so; seed 2: so",
        "init uniform, learning rate 0.005, growth 0, 2000 updates, forget bias 4.605, seeds 1 … 2",
        "gaps mixed from 1 to 10 from the first update on",
        "",
        "with --growth simple networks learn more (rnn_tanh with 0.5 and the other defaults: agreement 100 %, "
        "copy about 50 %)",
        "seconds: training only. The test sequences come from another random stream; for short gaps there are so few",
        "different sequences that most are also training sequences, and copy_blanks has only 64 for each gap.",
    ]


def test_the_gaps_are_reported() -> None:
    grown = TrainingOptions(gap=30, growth=0.5).mixture
    assert grown == "gaps mixed from 1 to a largest, which grows to 30 in 50 % of the updates"


def test_json_has_every_run_and_the_mean() -> None:
    found = RESULT.to_json()
    assert found["curves"][0]["accuracies"] == [[1.0, 0.9], [0.9, 0.6]]
    assert found["curves"][0]["mean"] == pytest.approx([0.95, 0.75])
    assert (found["curves"][1]["mean"], found["curves"][2]["mean"]) == ([0.3, 0.2], None)
    assert found["curves"][1]["accuracies"] == [[0.3, 0.2], None]
    assert found["network"]["init"] == "uniform"
    assert found["training"]["lr"] == 0.005
    assert (found["task"], found["chance"], found["gaps"]) == ("copy", 0.25, [1, 10])


def test_the_picture_has_a_panel_per_task_and_a_line_per_cell_and_chance() -> None:
    pytest.importorskip("matplotlib")
    figure = draw_memory([RESULT, RESULT])
    assert len(figure.axes) == 2
    axes = figure.axes[1]
    assert axes.get_title() == "copy: symbols (chance 25 %)"
    assert [line.get_label() for line in axes.lines] == ["gru", "x", "y", "chance"]
    assert axes.lines[0].get_ydata().tolist() == pytest.approx([95.0, 75.0])  # type: ignore[union-attr]
    assert len(axes.collections) == 1  # the range of the two runs
    assert [text.get_text() for text in axes.texts] == ["x: 1 of 2 runs finite\ny: 0 of 2 runs finite"]
    title = "Accuracy after the gap, trained with\ngaps mixed from 1 to 10 from the first update on"
    assert figure.get_suptitle() == f"{title}\n(with --growth simple networks learn more)"
