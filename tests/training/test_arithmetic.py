"""The arithmetic that training data are read with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch

from seqkit.training.learner import RecordLearner
from tests.training.test_stepping import make


def test_what_training_records_are_read_as_is_computed_as_in_prediction(monkeypatch: pytest.MonkeyPatch) -> None:
    """The features of a frozen language model would else be rounded as torch's default has it."""
    learner: Any = make("tag")
    active: list[str] = []

    @contextmanager
    def noted(precision: str, device: torch.device) -> Iterator[None]:
        active.append(precision)
        yield
        active.pop()

    plain, seen = learner.model.input.arrays, []

    def arrays(records: Any) -> Any:
        seen.append(list(active))
        return plain(records)

    monkeypatch.setattr("seqkit.training.learner.precision_context", noted)
    monkeypatch.setattr(learner.model.input, "arrays", arrays)
    RecordLearner(learner.model, learner.dev, learner.dev, None)
    assert seen == [["fp32"]] and not active
