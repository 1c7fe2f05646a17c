"""Whole runs on the pretended device: dev scores, checkpoints, reports and the model are those of the CPU."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

import seqkit
from seqkit.config import override
from seqkit.training.checkpoint import checkpoint_files, read_checkpoint
from seqkit.training.run import run
from seqkit.training.signals import Interrupted
from seqkit.training.stepping import Stepper
from seqkit.training.trainer import NOTE_EVERY, Trainer
from tests.pretended.cases import Case, dataset
from tests.pretended.device import TRAINED, WAITS, pretended
from tests.pretended.test_decoding import assert_alike

pytestmark = TRAINED
VARIANTS = [
    {"training.average": "0.9", "training.optimizer": "adam", "training.precision": "fp32"},
    {"training.asgd_patience": "1", "training.optimizer": "sgd", "training.precision": "fp16"},
    {"training.optimizer": "momentum", "training.schedule": "plateau", "training.precision": "bf16"},
]
HEADS = [
    "tag crf",
    "tag softmax",
    "classify attention",
    "classify several",
    "lm full",
    "lm adaptive",
    "generate text",
    "generate attention",
    "translate copy",
    "translate act",
    "translate frames",
]
RUNS = [
    Case(head, ("lstm", "gru", "clockwork", "minlstm")[number % 4], VARIANTS[number % 3])
    for number, head in enumerate(HEADS)
]
AFTER = 3
"""steps after which a run is interrupted, within the second epoch"""


@contextmanager
def watched(stop: int = 0) -> Iterator[None]:
    """No step may wait; after so many a signal comes."""
    plain = Stepper.step

    def step(stepper: Stepper, batch: Any, rate: float, number: int, asked: Any) -> Any:
        if number == stop:
            os.kill(os.getpid(), signal.SIGTERM)
        with WAITS.among() as places:
            found = plain(stepper, batch, rate, number, asked)
        assert places == set()
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Stepper, "step", step)
        yield


def files(output: Path) -> tuple[dict[str, torch.Tensor], list[dict[str, Any]], Any]:
    """What a run leaves: weights, history and scores, without times."""
    model = seqkit.load(output, device="cpu")
    history = [json.loads(line) for line in (output / "train.jsonl").read_text().splitlines()]
    timeless = [{name: value for name, value in line.items() if "second" not in name} for line in history]
    return model.network.state_dict(), timeless, json.loads((output / "report.json").read_text())["scores"]


@pytest.mark.parametrize("case", RUNS, ids=str)
def test_a_run_ends_as_on_the_cpu_and_as_if_it_had_not_been_interrupted(case: Case, tmp_path: Path) -> None:
    settings, data = case.settings(), case.dataset
    rounded = {
        "training": {"precision": "bf16" if settings.training.precision == "fp16" else settings.training.precision}
    }
    run(override(settings, rounded), tmp_path / "cpu", data, device="cpu")
    with pretended():
        with watched():
            run(settings, tmp_path / "whole", data, device="cuda")
        with watched(AFTER), pytest.raises(Interrupted):
            run(settings, tmp_path / "parts", data, device="cuda")
        found = read_checkpoint(tmp_path / "parts")
        assert found is not None and found[1]["counters"]["step"] == AFTER
        with watched():
            run(settings, tmp_path / "parts", data, device="cuda", resume=True)
    whole, parts, cpu = (files(tmp_path / name) for name in ("whole", "parts", "cpu"))
    assert parts[1:] == whole[1:]
    for name, weight in whole[0].items():
        assert torch.equal(parts[0][name], weight)
        torch.testing.assert_close(weight, cpu[0][name], rtol=1e-2, atol=1e-3)
    if settings.training.precision == "fp32":
        assert_alike([line["loss"] for line in whole[1]], [line["loss"] for line in cpu[1]])
        assert_alike(whole[2], cpu[2])


def test_the_loss_is_read_every_20_steps_and_at_the_end_of_an_epoch(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    plain, read = Trainer._note, []

    def note(trainer: Trainer, pending: Any, batches: int) -> None:
        read.append(len(pending))
        plain(trainer, pending, batches)

    monkeypatch.setattr(Trainer, "_note", note)
    case = Case("tag softmax", "rnn_tanh", {"training.batch_size": "1", "training.epochs": "1"})
    with pretended(), watched():
        run(case.settings(), tmp_path, dataset("tag", copies=8), device="cuda")
    assert read == [NOTE_EVERY, NOTE_EVERY, 8]
    assert checkpoint_files(tmp_path)[0].is_file()
