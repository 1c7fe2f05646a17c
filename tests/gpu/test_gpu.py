"""What only a GPU can show: that it is not waited for, that runs repeat and resume, and results equal to the CPU's."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import seqkit
from seqkit.config import override
from seqkit.model.base import Model
from seqkit.training.run import run
from seqkit.training.signals import Interrupted
from tests.pretended.cases import HEADS, Case, dataset
from tests.pretended.test_decoding import DECODINGS, OTHERS, assert_alike
from tests.pretended.test_runs import AFTER, watched
from tests.pretended.test_steps import CASES, learner_of, some, stepper_of

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
CUDA = torch.device("cuda", 0)


@contextmanager
def refused() -> Iterator[None]:
    """What waits for the GPU is an error meanwhile."""
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("case", CASES[:: len(HEADS) + 3] + some(), ids=str)
def test_a_step_does_not_wait(case: Case) -> None:
    learner = learner_of(case, CUDA)
    stepper = stepper_of(learner)
    batches = list(learner.batches(0, slice(None)))
    stepper.step(batches[0], 0.01, 1, ())  # sets libraries up, which may wait
    with refused():
        losses = [stepper.step(batch, 0.01, 2, ())[0].loss for batch in batches * 2]
    assert all(bool(loss.isfinite()) for loss in losses)


@pytest.mark.parametrize("case", some(), ids=str)
def test_training_in_fp32_ends_with_the_weights_of_the_cpu(case: Case) -> None:
    def trained(device: torch.device) -> dict[str, Tensor]:
        learner = learner_of(case, device)
        stepper = stepper_of(learner)
        for number in range(4):
            for batch in learner.batches(number, slice(None)):
                stepper.step(batch, 0.1, number + 1, ())
        return {name: weight.detach().cpu() for name, weight in stepper.parameters.items()}

    expected = trained(torch.device("cpu"))
    for name, weight in trained(CUDA).items():
        torch.testing.assert_close(weight, expected[name], rtol=1e-3, atol=1e-4)


def weights_of(output: Path) -> dict[str, Tensor]:
    found: Any = seqkit.load(output, device="cpu")
    assert isinstance(found, Model)
    return dict(found.network.state_dict())


def lines_of(output: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (output / "train.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if "second" not in name} for line in lines]


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16", "auto"])
@pytest.mark.parametrize("case", some("tag crf", "classify attention", "lm full", "generate text"), ids=str)
def test_a_deterministic_run_repeats_and_resumes_bit_by_bit(case: Case, precision: str, tmp_path: Path) -> None:
    settings = override(case.settings(precision=precision), {"training": {"deterministic": True, "epochs": 3}})
    settings = override(settings, {"embedding": {"dropout": 0.3}, "encoder": {"dropout": 0.3}})
    data = dataset(case.task)
    for name in ("first", "second"):
        run(settings, tmp_path / name, data, device="cuda")
    with watched(AFTER), pytest.raises(Interrupted):
        run(settings, tmp_path / "parts", data, device="cuda")
    run(settings, tmp_path / "parts", data, device="cuda", resume=True)
    first = weights_of(tmp_path / "first")
    for name in ("second", "parts"):
        other = weights_of(tmp_path / name)
        assert all(torch.equal(other[part], weight) for part, weight in first.items())
        assert lines_of(tmp_path / name) == lines_of(tmp_path / "first")


@pytest.mark.parametrize("name", DECODINGS)
def test_prediction_in_fp32_is_that_of_the_cpu(name: str) -> None:
    """Labels, probabilities, scores, and texts that are drawn, searched and written."""
    make, decode, _ = DECODINGS[name]
    for changes in ({}, *OTHERS[name.split()[0]]):
        model = make(changes)
        expected = decode(copy.deepcopy(model), "fp32")
        assert_alike(decode(model.to(CUDA), "fp32"), expected)
