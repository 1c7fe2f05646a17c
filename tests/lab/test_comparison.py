"""A comparison of cells as a table and as a picture."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from seqkit.lab.comparison import CellRun, draw, render


def needs_matplotlib() -> None:
    pytest.importorskip("matplotlib", reason="needs matplotlib, of the plots extra")


def a_run(cell: str = "gru", **changes: Any) -> CellRun:
    history = [{"epoch": epoch, "dev": {"score": -2.0, "perplexity": 9.0 - epoch}} for epoch in (1, 2, 3)]
    found = CellRun(
        cell=cell,
        settings={"task": "lm", "encoder": {"layers": 1, "hidden": 8, "direction": "forward"}, "training": {"seed": 1}},
        data="text",
        device="cpu, 1 thread",
        scores={"dev": {"perplexity": 1006.5, "loss": 1.8}, "test": {"perplexity": 7.25, "loss": 2.0}},
        parameters={"embedding": 1000, "encoder": 2345, "head": 5},
        tokens_per_second=12345.6,
        best_epoch=3,
        epochs=3,
        seconds=61.25,
        history=history,
    )
    return replace(found, **changes)


def test_the_table_by_hand() -> None:
    lines = render([a_run(), a_run("rnn_tanh", scores={"dev": {"perplexity": 5.0}})]).split("\n")
    assert lines == [
        "cell      perplexity dev  perplexity test  parameters  encoder  units/s  best epoch  seconds",
        "gru             1,006.50             7.25       3,350    2,345   12,346      3 of 3     61.2",
        "rnn_tanh            5.00                –       3,350    2,345   12,346      3 of 3     61.2",
        "",
        "units/s: training units per second, median over epochs; seconds: training and scoring dev every epoch",
        "trained on: cpu, 1 thread",
        "one seed: small differences mean nothing",
    ]


def test_rows_of_different_devices_say_so() -> None:
    needs_matplotlib()
    runs = [a_run(), a_run("rnn_tanh", device="unknown"), a_run("lstm")]
    said = "gru, lstm on cpu, 1 thread; rnn_tanh on unknown: do not compare their speeds and seconds"
    assert render(runs).split("\n")[-2] == f"trained on: {said}"
    assert draw(runs).get_suptitle().split("\n")[2:] == [said]


@pytest.mark.parametrize(
    ("report", "shown"),
    [
        ({"accuracy": 0.9, "f1": 0.5, "precision": 0.1}, ["f1", "0.5000"]),
        ({"accuracy": 0.9, "macro_f1": 0.5}, ["accuracy", "0.9000"]),
        ({"accuracy": 0.9, "macro_f1": 0.5, "micro_f1": 0.25}, ["micro_f1", "0.2500"]),
        ({"perplexity": 3.14159, "exact_match": 0.5}, ["perplexity", "3.14"]),
    ],
)
def test_every_task_has_its_metric(report: dict[str, float], shown: list[str]) -> None:
    head, row, *_ = render([a_run(scores={"dev": report})]).split("\n")
    assert [head.split()[1], row.split()[1]] == shown


def test_the_picture_shows_what_the_rows_say() -> None:
    needs_matplotlib()
    runs = [a_run(), a_run("rnn_tanh", scores={}, parameters={}, history=[], fault="no")]
    figure = draw(runs)
    scores, speeds, sizes, curves = figure.axes
    assert [label.get_text() for label in scores.get_yticklabels()] == ["gru", "rnn_tanh"]
    dots = {float(line.get_xdata()[0]): line.get_markerfacecolor() for line in scores.lines}
    assert dots == {1006.5: "white", 7.25: scores.lines[0].get_color()}  # empty: dev, filled: test
    assert scores.get_title() == "○ dev   ● test"
    assert scores.get_xlabel() == "perplexity (lower is better)"
    assert [text.get_text() for text in scores.texts] == ["7.25", "loss not finite"]
    assert [bar.get_width() for bar in speeds.patches] == [12345.6, 12345.6]
    assert [bar.get_width() for bar in sizes.patches] == [3350, 0, 2345, 0]
    assert [bar.get_alpha() for bar in sizes.patches] == [0.45, 0.45, None, None]  # dark: the encoder
    assert list(curves.lines[0].get_ydata()) == [8.0, 7.0, 6.0]
    assert curves.get_yscale() == "log"
    title = "lm on text: 1 × 8, forward\nseed 1; one seed: small differences mean nothing\ncpu, 1 thread"
    assert figure.get_suptitle() == title


@pytest.mark.parametrize("best", [1, 3])
def test_the_best_epoch_is_marked(best: int) -> None:
    needs_matplotlib()
    curve, dot = draw([a_run(best_epoch=best)]).axes[-1].lines
    assert (list(dot.get_xdata()), list(dot.get_ydata())) == ([best], [9.0 - best])
    assert (dot.get_marker(), dot.get_color()) == ("o", curve.get_color())


def test_of_other_metrics_more_is_better() -> None:
    needs_matplotlib()
    scores, *_ = draw([a_run(scores={"dev": {"accuracy": 0.75}}, history=[])]).axes
    assert scores.get_xlabel() == "accuracy (higher is better)"
    assert scores.get_title() == "● dev"
    assert scores.lines[0].get_markerfacecolor() == scores.lines[0].get_color()


def test_all_cells_can_be_distinguished() -> None:
    needs_matplotlib()
    runs = [a_run(f"cell{number}") for number in range(14)]
    curves = draw(runs).axes[-1]
    colours = {line.get_color() for line in curves.lines if line.get_label().startswith("cell")}
    assert len(colours) == 14
