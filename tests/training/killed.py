"""What `test_killed.py` trains in processes of its own, which it kills."""

from __future__ import annotations

from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from seqkit.config import Settings, override, parse_settings
from seqkit.errors import SeqkitError
from seqkit.training.run import run
from seqkit.training.stepping import Stepper
from tests.training.together import DROPOUT, SMALL, data_of

TASKS: dict[str, dict[str, Any]] = {
    "tag": {
        "embedding": {"char_size": 6, "char_features": 6, "char_dropout": 0.1},
        "training": {"average": 0.9, "schedule": "inverse", "epochs": 24},
    },
    "classify": {
        "head": {"pool": "attention", "baseline": False},
        "training": {"optimizer": "adamw", "weight_decay": 0.01, "schedule": "cosine", "warmup": 1.5, "epochs": 24},
    },
    # State that is carried, windows of lengths that are drawn, an average that begins on the way.
    "lm": {
        "encoder": {"weight_dropout": 0.2},
        "head": {"baseline": 0},
        "training": {
            "batch_size": 3,
            "bptt": 6,
            "variable_bptt": True,
            "optimizer": "sgd",
            "lr": 1.0,
            "asgd_patience": 1,
            "epochs": 8,
        },
    },
    # Stops early; the momentum goes with it.
    "generate": {
        "training": {
            "optimizer": "sgd",
            "momentum": 0.9,
            "lr": 0.5,
            "schedule": "plateau",
            "plateau_patience": 0,
            "patience": 12,
            "epochs": 60,
        },
    },
}


def settings_of(task: str, checkpoint_minutes: float) -> Settings:
    """The settings of a row of `TASKS`, with dropout of every kind."""
    settings = override(override(parse_settings({"task": task}, task), SMALL), DROPOUT)
    return override(override(settings, TASKS[task]), {"training": {"checkpoint_minutes": checkpoint_minutes}})


def train(task: str, output: Path, checkpoint_minutes: float, told: Connection) -> None:
    """Train, or go on with it, telling the number of every step; at the end ``done``, or what was wrong."""
    torch.set_num_threads(1)
    step = Stepper.step

    def telling(stepper: Stepper, batch: Any, rate: float, number: int, asked: Any) -> Any:
        told.send(number)
        return step(stepper, batch, rate, number, asked)

    Stepper.step = telling  # type: ignore[method-assign]
    try:
        run(settings_of(task, checkpoint_minutes), output, data_of(task), device="cpu", resume=True)
        told.send("done")
    except SeqkitError as error:
        told.send(str(error))
