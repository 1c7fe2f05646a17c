"""The smallest task there is, for the tests of the loop: what is trained, and what is done to its trainer."""

from __future__ import annotations

import json
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from seqkit.config import TrainingSettings
from seqkit.training.loop import Trainer
from seqkit.training.progress import Progress

BATCHES = 5


class Regression:
    """A task of the smallest kind: a linear map with dropout, learned from a few random rows."""

    metric = "score"

    def __init__(self, scores: Sequence[float] = (), name: str = "regression") -> None:
        draw = torch.Generator().manual_seed(0)
        self.x = torch.randn(BATCHES, 4, 3, generator=draw)
        self.y = torch.randn(BATCHES, 4, 2, generator=draw)
        self.network = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.3), nn.Tanh(), nn.Linear(4, 2))
        self.scores = list(scores)
        self.name = name
        self.seen: list[list[int]] = []
        self.evaluated: list[dict[str, Tensor]] = []
        self.thawed_later: dict[int, tuple[str, ...]] = {}
        self.restored: dict[str, Tensor] = {}

    def batches(self, epoch: int) -> Sequence[int]:
        self.seen.append([])
        return torch.randperm(BATCHES, generator=torch.Generator().manual_seed(epoch)).tolist()

    def loss(self, batch: int) -> tuple[Tensor, int, int]:
        self.seen[-1].append(batch)
        return (self.network(self.x[batch]) - self.y[batch]).square().mean(), 4, 12

    def evaluate(self) -> dict[str, float]:
        self.network.eval()
        self.evaluated.append({name: weight.clone() for name, weight in self.network.state_dict().items()})
        error = float((self.network(self.x) - self.y).square().mean().detach())
        return {"score": self.scores[len(self.evaluated) - 1] if self.scores else -error, "error": error}

    def frozen(self, epoch: int) -> frozenset[str]:
        return frozenset(self.thawed_later.get(epoch, ()))

    def state(self) -> dict[str, Tensor]:
        return {"batches": torch.tensor([len(self.seen[-1])])}

    def restore(self, state: dict[str, Tensor]) -> None:
        self.restored = state

    def divided(self, batch: int, count: int) -> Sequence[int]:
        return [batch]

    def named(self, batch: int) -> str:
        return f"batch {batch}"

    def before(self, name: str) -> Any:
        return {"rows": 20}.get(name)

    def fingerprint(self) -> dict[str, Any]:
        return {"name": self.name, "rows": 20}


def make(output: Path, task: Regression | None = None, quiet: bool = True, **settings: Any) -> Trainer:
    torch.manual_seed(3)
    task = task or Regression()
    torch.manual_seed(3)
    for layer in task.network:
        if isinstance(layer, nn.Linear):
            layer.reset_parameters()
    output.mkdir(exist_ok=True)
    return Trainer(task, TrainingSettings(**{"epochs": 3, "lr": 0.05, **settings}), output, Progress(quiet=quiet))


def weights(trainer: Trainer) -> dict[str, Tensor]:
    return {name: weight.clone() for name, weight in trainer.task.network.state_dict().items()}


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def interrupt_after(trainer: Trainer, steps: int) -> None:
    """Do what the signal handler does, in the step after which the trainer is to stop."""
    loss = trainer.task.loss

    def counted(batch: Any) -> tuple[Tensor, int, int]:
        if trainer.step + 1 == steps:
            trainer.signals.number = signal.SIGINT
        return loss(batch)

    trainer.task.loss = counted  # type: ignore[method-assign]


def lines_of(output: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (output / "train.jsonl").read_text(encoding="ascii").splitlines()]
