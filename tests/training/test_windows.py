"""Sequences of frames, learned window by window: nothing is lost, and the state is carried."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from seqkit import load
from seqkit.config import override
from seqkit.corpora.dataset import Dataset
from seqkit.corpora.split import Split
from seqkit.formats.arrays import ArraySource
from seqkit.heads.frame_model.settings import FrameModelSettings
from seqkit.model.frame_model import FrameLanguageModel
from seqkit.records import FrameRecord
from seqkit.training.run import run
from seqkit.training.signals import Interrupted
from seqkit.training.stepping import Stepper
from seqkit.training.windows import PieceWindow, WindowLearner

KEYS = 12


def pieces(seed: int, size: int) -> list[FrameRecord]:
    draw = np.random.default_rng(seed)
    rolls = [(draw.random((draw.integers(1, 40), KEYS)) < 0.3).astype(np.float32) for _ in range(size)]
    for roll in rolls:
        roll[:, [0, 1, KEYS - 1]] = 0
    return [FrameRecord(ArraySource(roll)) for roll in rolls]


def settings(**sections: dict[str, Any]) -> FrameModelSettings:
    tiny: dict[str, Any] = {"encoder": {"hidden": 5, "layers": 2}, "training": {"bptt": 7, "batch_size": 3}}
    for name, values in sections.items():
        tiny[name] = {**tiny.get(name, {}), **values}
    return override(FrameModelSettings(), tiny)


def learner(size: int = 11, **sections: dict[str, Any]) -> WindowLearner:
    torch.manual_seed(0)
    train = pieces(1, size)
    model = FrameLanguageModel.build(settings(**sections), train)
    return WindowLearner(model, train, pieces(2, 3), None)


def windows(found: WindowLearner, epoch: int, share: slice = slice(None)) -> Iterator[PieceWindow]:
    yield from (window for window in found.batches(epoch, share) if window is not None)


@pytest.mark.parametrize("size", [1, 2, 11])
def test_every_frame_is_in_one_window(size: int) -> None:
    found = learner(size)
    lengths = found.arrays.lengths
    orders = set()
    for epoch in range(5):
        seen = [np.zeros(length, int) for length in lengths]
        order: list[int] = []
        for window in windows(found, epoch):
            assert window.end - window.begin <= 7
            for row in window.rows.tolist():
                seen[row][window.begin : window.end] += 1
            order += window.rows.tolist()
        assert all((each == 1).all() for each in seen)
        orders.add(tuple(order))
    assert len(orders) > 1 or size < 11
    again = [window.rows.tolist() for window in windows(found, 3)]
    assert again == [window.rows.tolist() for window in windows(found, 3)]


def test_shares_are_the_whole() -> None:
    found = learner()
    whole = found.batches(0, slice(None))
    shares = [found.batches(0, slice(rank, None, 2)) for rank in (0, 1)]
    assert all(len(share) == len(whole) for share in shares)
    for window, *parts in zip(whole, *shares, strict=True):
        rows = [row for part in parts if part is not None for row in part.rows.tolist()]
        assert sorted(rows) == sorted(window.rows.tolist())


def test_the_carried_state_gives_the_loss_of_whole_sequences() -> None:
    found = learner()
    found.network.eval()
    total = frames = 0.0
    carried = None
    with torch.no_grad():
        for window in windows(found, 0):
            computed = found.compute(window, carried)
            carried = computed.carried
            total += float(computed.loss) * computed.units
            frames += computed.units
    answers = list(found.model.predict(pieces(1, 11)))
    assert frames == sum(answer.units for answer in answers)
    assert total == pytest.approx(-sum(answer.log_prob for answer in answers), rel=1e-5)


def test_no_gradient_flows_from_window_to_window() -> None:
    found = learner()
    first, second = list(windows(found, 0))[:2]
    assert second.begin == 7
    carried = found.compute(first).carried
    assert not any(part.requires_grad for parts in carried for part in parts)


def test_parts_of_a_batch_are_the_whole() -> None:
    """As where memory ran out."""
    found = learner()
    found.network.eval()
    carried = None
    for window in windows(found, 0):
        whole = found.compute(window, carried)
        parts = [found.compute(part, carried) for part in found.divide(window, 2)]
        assert sum(part.units for part in parts) == whole.units
        mean = sum(float(part.loss.detach()) * part.units for part in parts) / whole.units
        assert mean == pytest.approx(float(whole.loss.detach()), rel=1e-5)
        carried = found.join([part.carried for part in parts])
        for layer, other in zip(carried, whole.carried, strict=True):
            for one, two in zip(layer, other, strict=True):
                torch.testing.assert_close(one, two)
        packed = found.unpack(found.pack(carried))
        assert all(torch.equal(a, b) for x, y in zip(packed, carried, strict=True) for a, b in zip(x, y, strict=True))


def test_pieces_are_transposed_as_far_as_there_is_room() -> None:
    found = learner(frames={"transpose": 5})
    seen = {int(shift) for epoch in range(30) for window in windows(found, epoch) for shift in window.shifts}
    assert min(seen) <= -2
    assert max(seen) >= 1
    for window in windows(found, 3):
        room = np.array([found.arrays.room(row) for row in window.rows])
        assert (-room[:, 0] <= window.shifts).all()
        assert (window.shifts <= room[:, 1]).all()
        batch = found.model.input.window(found.arrays, window.rows, window.begin, window.end, window.shifts)
        plain = found.model.input.window(found.arrays, window.rows, window.begin, window.end)
        assert batch.frames.sum((1, 2)).tolist() == plain.frames.sum((1, 2)).tolist()
    assert not any(window.shifts.any() for window in windows(learner(), 0))


def test_a_batch_has_a_name() -> None:
    found = learner(2)
    (window, *_) = windows(found, 0)
    assert found.name(window) == "training sequences 1, 2"


@pytest.mark.parametrize("steps", [1, 3, 9])
def test_a_resumed_run_ends_with_the_files_of_an_uninterrupted_one(steps: int, tmp_path: Path) -> None:
    chosen = settings(
        encoder={"dropout": 0.3}, frames={"transpose": 2, "dropout": 0.1}, training={"epochs": 3, "average": 0.9}
    )
    data = Dataset("invented", {"train": Split(content=pieces(1, 7)), "dev": Split(content=pieces(2, 3))})
    run(chosen, tmp_path / "whole", data, device="cpu")
    taken, plain = count(1), Stepper.step

    def step(stepper: Stepper, *arguments: Any) -> Any:
        if next(taken) == steps:
            os.kill(os.getpid(), signal.SIGINT)
        return plain(stepper, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Stepper, "step", step)
        with pytest.raises(Interrupted):
            run(chosen, tmp_path / "parts", data, device="cpu")
    run(chosen, tmp_path / "parts", data, resume=True, device="cpu")
    weights = [(tmp_path / name / "weights.safetensors").read_bytes() for name in ("whole", "parts")]
    assert weights[0] == weights[1]
    assert load(tmp_path / "parts").report["scores"] == load(tmp_path / "whole").report["scores"]
