"""What `test_distribution.py` trains, in one process and in several: ``torchrun … together.py FOLDER`` is the latter.

Each process writes what it found to ``FOLDER/RANK.json``: losses, how many units its shares had, checksums of weights,
faults. Models go to ``FOLDER/several``; ``FOLDER/alone`` and ``FOLDER/killed`` are there already.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from seqkit.config import Settings, override, parse_settings
from seqkit.corpora.dataset import Dataset
from seqkit.corpora.samples import generate
from seqkit.corpora.split import Split
from seqkit.errors import SeqkitError
from seqkit.model.base import Model
from seqkit.training.distribution import Group
from seqkit.training.learner import Learner
from seqkit.training.run import run
from seqkit.training.signals import Interrupted

STEPS = 50
SAMPLES = {"tag": "sample-ner", "classify": "sample-reviews", "lm": "sample-sentences", "generate": "sample-names"}
SMALL = {
    "embedding": {"word_size": 10, "dropout": 0.0, "word_dropout": 0.0},
    "encoder": {"hidden": 8, "layers": 1, "dropout": 0.0},
    # What is rounded to bf16 may jump where sums of another order differ by a bit.
    "training": {"batch_size": 5, "lr": 0.01, "epochs": 5, "precision": "fp32"},
}
CHARACTERS = {"char_size": 6, "char_features": 6, "char_dropout": 0.0}
TASKS: dict[str, dict[str, Any]] = {
    # Batches of equal lengths: many have one row.
    "tag": {
        "embedding": CHARACTERS,
        "head": {"lm_loss": 0.2},
        "training": {"equal_lengths": True, "average": 0.9, "epochs": 4},
    },
    # The optimiser that alone takes sparse gradients, which the shares' are not.
    "tag sgd": {"head": {"crf": False}, "training": {"optimizer": "sgd", "lr": 0.1, "clip": 1.0}},
    "tag thawing": {"embedding": CHARACTERS, "training": {"freeze": 2, "batch_tokens": 50}},
    "classify": {"head": {"class_weights": "balanced", "pool": "attention", "dropout": 0.0}},
    # Some windows have no word of the last cluster in one share, some in none: its weights rest then.
    "lm": {
        "head": {"cutoffs": (20, 175), "ar": 2.0, "tar": 1.0, "baseline": 0},
        "encoder": {"hidden": 16},
        "training": {"batch_size": 3, "bptt": 6, "variable_bptt": True, "epochs": 3},
    },
    # One stream: the second process has no part in any batch.
    "lm alone": {
        "head": {"tied": True, "baseline": 0},
        "encoder": {"direction": "both"},
        "training": {"batch_size": 1, "bptt": 10, "optimizer": "sgd", "lr": 1.0, "epochs": 2},
    },
    "generate": {"training": {"batch_size": 3, "epochs": 3}},
}
DROPOUT = {"embedding": {"dropout": 0.3, "word_dropout": 0.1}, "encoder": {"dropout": 0.3}, "training": {"epochs": 2}}


def settings_of(task: str, output: Path, more: dict[str, Any] | None = None) -> Settings:
    """The settings of a row of `TASKS`; what starts from another model starts from that of ``tag``."""
    settings = override(parse_settings({"task": task.split()[0]}, task), SMALL)
    if "freeze" in TASKS[task].get("training", {}):
        settings = override(settings, {"training": {"init_from": str(output / "tag")}})
    return override(override(settings, TASKS[task]), more or {})


def data_of(task: str) -> Dataset:
    """A few dozen items, a number that no batch divides."""
    name = SAMPLES[task.split()[0]]
    corpus = generate(name, {"train": 53, "dev": 5, "test": 0}, seed=1)
    return Dataset(name, {split: Split(content=corpus[split]) for split in ("train", "dev")})


@contextmanager
def watched() -> Iterator[tuple[list[float], list[int], list[int]]]:
    """Of all steps the losses, the units of this process's shares, and how many parameters have no gradient."""
    losses: list[float] = []
    units: list[int] = []
    resting: list[int] = []
    plain = Group.add_up

    def noted(self: Group, parameters: Any, loss: Any, own: int, *rest: Any) -> Any:
        found = plain(self, parameters, loss, own, *rest)
        losses.append(float(found.loss))
        units.append(own)
        resting.append(sum(parameter.grad is None for parameter in parameters))
        return found

    Group.add_up = noted  # type: ignore[method-assign]
    try:
        yield losses, units, resting
    finally:
        Group.add_up = plain  # type: ignore[method-assign]


def checksum(model: Model) -> str:
    state = model.network.state_dict()
    return hashlib.sha256(
        b"".join(bytes(state[name].contiguous().view(torch.uint8).numpy()) for name in state)
    ).hexdigest()


def train_all(output: Path) -> dict[str, dict[str, Any]]:
    """Train every task."""
    found = {}
    for task in TASKS:
        with watched() as (losses, units, resting):
            trained = run(settings_of(task, output), output / task, data_of(task), device="cpu")
        found[task] = {
            "losses": losses[:STEPS],
            "units": units[:STEPS],
            "resting": resting[:STEPS],
            "weights": checksum(trained.model),
            "splits": list(trained.reports),
            "scores": trained.model.report["scores"],
        }
    return found


def interrupted(output: Path, task: str, step: int, rank: int) -> str:
    """Train with dropout, but let one process have a signal during a step."""
    plain = Group.add_up
    left = [step]

    def signalled(self: Group, *arguments: Any) -> Any:
        left[0] -= 1
        if left[0] == 0 and self.rank == rank:
            os.kill(os.getpid(), signal.SIGTERM)
        return plain(self, *arguments)

    Group.add_up = signalled  # type: ignore[method-assign]
    try:
        return checksum(run(settings_of(task, output, DROPOUT), output / "parts", data_of(task), device="cpu").model)
    except Interrupted:
        return f"interrupted with {left[0]} steps left"
    finally:
        Group.add_up = plain  # type: ignore[method-assign]


def fault(function: Callable[[], Any]) -> str:
    try:
        function()
    except SeqkitError as error:
        return f"{type(error).__name__}: {error}"
    return ""


def main(folder: Path) -> None:
    rank = int(os.environ["RANK"])
    torch.set_flush_denormal(True)  # as the command line does
    several, found = folder / "several", {}
    found["tasks"] = train_all(several)
    for task, step in (("tag", 4), ("lm", 9)):
        output, settings = several / f"dropped {task}", settings_of(task, several, DROPOUT)
        with watched() as (losses, _, _):
            whole = run(settings, output / "whole", data_of(task), device="cpu")
        stopped = interrupted(output, task, step, rank=1)
        parts = run(settings, output / "parts", data_of(task), device="cpu", resume=True)
        found[f"dropped {task}"] = {
            "losses": losses,
            "weights": [checksum(whole.model), checksum(parts.model)],
            "stopped": stopped,
            "random": hashlib.sha256(bytes(torch.get_rng_state().numpy())).hexdigest(),
        }
    # What was killed was told on the command line to train on for long.
    killed, epochs = folder / "killed", int((folder / "epochs").read_text())
    settings = override(override(parse_settings({"task": "tag"}, "tag"), SMALL), DROPOUT)
    settings = override(settings, {"training": {"epochs": epochs}})
    found["killed"] = [
        checksum(run(settings, output, folder / "data", device="cpu", resume=output == killed).model)
        for output in (killed, several / "not killed")
    ]
    settings = settings_of("tag", several)
    found["faults"] = [
        fault(lambda: run(settings, folder / "alone" / "tag", data_of("tag"), device="cpu", resume=True)),
        fault(
            lambda: run(override(parse_settings({"task": "lm"}, "lm"), {"head": {"ngram": 2}}), several / "n", ["a"])
        ),
    ]
    # The last: after this the processes have lost each other.
    if rank == 1:
        Learner.size = property(lambda self: 52, lambda self, value: None)  # type: ignore[assignment]
    found["faults"].append(fault(lambda: run(settings, several / "other", data_of("tag"), device="cpu")))
    (folder / f"{rank}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
    # The processes have lost each other, and threads of gloo that still wait may abort one that ends as usual.
    sys.stdout.flush()
    os._exit(0)
