"""The smallest learner there is, for the tests of the loop: what is trained, and what is done to its trainer."""

from __future__ import annotations

import json
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from seqkit.config import TrainingSettings
from seqkit.training.learner import Computed
from seqkit.training.progress import Progress
from seqkit.training.trainer import Trainer

BATCHES = 5


class Regression:
    """A learner of the smallest kind: a linear map with dropout, learned from a few random rows.

    It carries along how many batches of the epoch it has seen.
    """

    unit = "token"

    def __init__(self, scores: Sequence[float] = (), called: str = "regression") -> None:
        draw = torch.Generator().manual_seed(0)
        self.x = torch.randn(BATCHES, 4, 3, generator=draw)
        self.y = torch.randn(BATCHES, 4, 2, generator=draw)
        self.network = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.3), nn.Tanh(), nn.Linear(4, 2))
        self.scores = list(scores)
        self.called = called
        self.seen: list[list[int]] = []
        self.evaluated: list[dict[str, Tensor]] = []
        self.thawed_later: dict[int, tuple[str, ...]] = {}
        self.unpacked: dict[str, Tensor] = {}

    def batches(self, epoch: int, share: slice = slice(None)) -> Sequence[int]:
        self.seen.append([])
        return torch.randperm(BATCHES, generator=torch.Generator().manual_seed(epoch)).tolist()

    def compute(self, batch: int, carried: Any = None) -> Computed:
        self.seen[-1].append(batch)
        loss = (self.network(self.x[batch]) - self.y[batch]).square().mean()
        return Computed(loss, 4, 12, len(self.seen[-1]))

    def evaluate(self) -> dict[str, float]:
        self.network.eval()
        self.evaluated.append({name: weight.clone() for name, weight in self.network.state_dict().items()})
        error = float((self.network(self.x) - self.y).square().mean().detach())
        return {"score": self.scores[len(self.evaluated) - 1] if self.scores else -error, "error": error}

    def frozen(self, epoch: int) -> frozenset[str]:
        return frozenset(self.thawed_later.get(epoch, ()))

    def join(self, carried: Sequence[Any]) -> Any:
        return carried[0]

    def pack(self, carried: Any) -> dict[str, Tensor]:
        return {} if carried is None else {"batches": torch.tensor([carried])}

    def unpack(self, tensors: Mapping[str, Tensor]) -> Any:
        self.unpacked = dict(tensors)
        return int(tensors["batches"]) if tensors else None

    def divide(self, batch: int, count: int) -> Sequence[int]:
        return [batch]

    def name(self, batch: int) -> str:
        return f"batch {batch}"

    def default(self, name: str) -> Any:
        return {"rows": 20}.get(name)

    def fingerprint(self) -> dict[str, Any]:
        return {"name": self.called, "rows": 20}


def make(output: Path, learner: Regression | None = None, quiet: bool = True, **settings: Any) -> Trainer:
    torch.manual_seed(3)
    learner = learner or Regression()
    torch.manual_seed(3)
    for layer in learner.network:
        if isinstance(layer, nn.Linear):
            layer.reset_parameters()
    output.mkdir(exist_ok=True)
    training = TrainingSettings(**{"epochs": 3, "lr": 0.05, **settings})
    return Trainer(learner, training, output, Progress(quiet=quiet))  # type: ignore[arg-type]


def weights(trainer: Trainer) -> dict[str, Tensor]:
    return {name: weight.clone() for name, weight in trainer.learner.network.state_dict().items()}


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def interrupt_after(trainer: Trainer, steps: int) -> None:
    """Do what the signal handler does, in the step after which the trainer is to stop."""
    compute = trainer.learner.compute

    def counted(batch: Any, carried: Any) -> Computed:
        if trainer.step + 1 == steps:
            trainer.signals.number = signal.SIGINT
        return compute(batch, carried)

    trainer.learner.compute = counted  # type: ignore[method-assign]


def lines_of(output: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (output / "train.jsonl").read_text(encoding="ascii").splitlines()]
