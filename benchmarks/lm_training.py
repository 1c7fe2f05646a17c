"""Speed of training a language model, beside the same network in a plain torch loop, turn by turn in one process.

    SEQKIT_DATA=../shared/data python benchmarks/lm_training.py --threads 2

The recipe ``lm-ptb-small`` (2 × 200 LSTM, 10,000 words, 20 streams × 20 steps, gradient descent with a clipped norm).
Both start from the same weights and read the same windows, so that their losses must agree, which is checked. A round
is some windows through seqkit's own training loop, then the same ones through the plain loop. Prints medians with
their spread and the median of the rounds' ratios: seqkit as it is by default (``auto``) and in fp32, beside plain torch
in fp32, and both in mixed precision (bf16). Writes ``benchmarks/results/lm_training.json``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from seqkit import __version__
from seqkit.config import load_recipe, override
from seqkit.data.resolving import resolve
from seqkit.training.language_model import LanguageModelTask
from seqkit.training.loop import Trainer
from seqkit.training.progress import Progress
from seqkit.training.run import prepare

RESULTS = Path(__file__).parent / "results" / "lm_training.json"
RECIPE = "lm-ptb-small"


class PlainModel(nn.Module):
    """The network as one writes it with torch alone; padding, which seqkit numbers 0, is no word here."""

    def __init__(self, words: int, size: int, layers: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(words, size)
        self.lstm = nn.LSTM(size, size, layers)
        self.output = nn.Linear(size, words)

    def forward(self, inputs: Tensor, state: tuple[Tensor, Tensor] | None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Inputs [T, B] → scores [T, B, V]."""
        hidden, state = self.lstm(self.embedding(inputs), state)
        return self.output(hidden), state


def plain_copy(task: LanguageModelTask) -> PlainModel:
    """The plain network with the weights that seqkit's has now."""
    network = task.network
    table, output = network.embedding.table, network.head.next
    layers = network.encoder.layers
    plain = PlainModel(len(table) - 1, table.shape[1], len(layers))
    with torch.no_grad():
        plain.embedding.weight.copy_(table[1:])
        plain.output.weight.copy_(output.weight[1:])
        plain.output.bias.copy_(output.bias[1:])
        for number, layer in enumerate(layers):
            for name, weight in layer.rnn.named_parameters():
                plain.lstm.get_parameter(name.replace("_l0", f"_l{number}")).copy_(weight)
    return plain


class Rounds:
    """The language model's task with a few windows as an epoch, and the plain loop over them in place of dev.

    Args:
        task: the real one.
        windows: how many windows a round has.
    """

    metric = "score"

    def __init__(self, task: LanguageModelTask, windows: int) -> None:
        self.task = task
        self.windows = windows
        self.epoch = 0
        self.memory: tuple[Tensor, Tensor] | None = None
        self.model = plain_copy(task)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=task.settings.training.lr)
        self.speeds: list[float] = []
        self.losses: list[float] = []

    def __getattr__(self, name: str) -> Any:
        """What is the same as in the real task."""
        return getattr(self.task, name)

    def batches(self, epoch: int) -> Sequence[tuple[int, int]]:
        """The windows of a round, as the trainer asks for them."""
        self.epoch = epoch
        return self.task.batches(0)[epoch * self.windows : (epoch + 1) * self.windows]

    def evaluate(self) -> dict[str, float]:
        """Instead of dev scores: the plain loop's turn."""
        training = self.task.settings.training
        self.model.train()
        total, tokens = 0.0, 0
        began = time.monotonic()
        for begin, end in self.batches(self.epoch):
            inputs, targets = (
                torch.from_numpy(self.task._table.words[part]).t() - 1  # [T, B]
                for part in self.task._streams.window(begin, end)
            )
            if self.memory is not None:
                self.memory = (self.memory[0].detach(), self.memory[1].detach())
            self.optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=training.precision == "bf16"):
                scores, self.memory = self.model(inputs, self.memory)  # [T, B, V]
                loss = functional.cross_entropy(scores.flatten(0, 1), targets.flatten())
            loss.backward()
            nn.utils.clip_grad_norm_(self.model.parameters(), training.clip)
            self.optimizer.step()
            total += loss.item() * targets.numel()
            tokens += targets.numel()
        self.speeds.append(tokens / (time.monotonic() - began))
        self.losses.append(total / tokens)
        return {"score": 0.0}


def gemm_rate() -> float:
    """What a matrix product reaches here, in FLOP/s: fp32, 1,024 × 1,024 × 1,024."""
    left, right = torch.randn(1024, 1024), torch.randn(1024, 1024)
    rounds = []
    for _ in range(10):
        began = time.perf_counter()
        torch.mm(left, right)
        rounds.append(time.perf_counter() - began)
    return 2 * 1024**3 / statistics.median(rounds)


def measure(precision: str, rounds: int, windows: int) -> dict[str, Any]:
    """Train in turns.

    Args:
        precision: of seqkit ``auto``, the default, or ``fp32``, beside plain torch in fp32; or ``bf16`` of both.
        rounds: how many turns each has.
        windows: how many windows a turn has.

    Returns:
        Tokens a second of both and the ratios of the rounds, with their spread; how far losses are apart.
    """
    # Their rate of 20 would let rounding errors grow until losses are hard to compare.
    changes = {"epochs": rounds, "schedule": "constant", "lr": 1.0, "patience": 0, "precision": precision}
    # Nor would losses be equal if each dropped other features; so none are dropped, as in Zaremba's small network.
    none = {"embedding": {"dropout": 0.0}, "encoder": {"dropout": 0.0}}
    settings = override(load_recipe(RECIPE).settings, {"training": changes, **none})
    task = prepare(settings, resolve("ptb"), torch.device("cpu"), Progress(quiet=True))
    assert isinstance(task, LanguageModelTask)
    turns = Rounds(task, windows)
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(turns, settings.training, Path(folder), Progress(quiet=True))
        trainer.run()
    ours = [line["tokens_per_second"] for line in trainer.history]
    losses = [line["loss"] for line in trainer.history]
    apart = max(abs(a - b) for a, b in zip(losses, turns.losses, strict=True))
    assert apart < (0.001 if precision == "fp32" else 0.1), f"expected equal losses, found them {apart} apart"
    ratios = [a / b for a, b in zip(ours, turns.speeds, strict=True)]
    found: dict[str, Any] = {
        name: {"median": statistics.median(values), "least": min(values), "most": max(values)}
        for name, values in (("seqkit", ours), ("plain", turns.speeds), ("ratio", ratios))
    }
    return {**found, "loss_difference": apart}


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--windows", type=int, default=40, help="windows of a round")
    parser.add_argument("--precision", nargs="+", default=["auto", "fp32", "bf16"], choices=["auto", "fp32", "bf16"])
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rates = [gemm_rate()]
    results = {}
    for precision in options.precision:
        found = results[precision] = measure(precision, options.rounds, options.windows)
        rates.append(gemm_rate())
        for name, form in (("seqkit", ",.0f"), ("plain", ",.0f"), ("ratio", ".2f")):
            median, least, most = (format(found[name][key], form) for key in ("median", "least", "most"))
            print(f"{precision} {name:>6}: {median} {'' if name == 'ratio' else 'tokens/s '}({least} … {most})")
        print(f"{precision} losses at most {found['loss_difference']:.1g} apart")
    print(f"matrix product: {statistics.median(rates) / 1e9:.0f} GFLOP/s, {options.threads} threads")
    about = {
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "threads": options.threads,
        "rounds": options.rounds,
        "windows": options.windows,
    }
    versions = {"seqkit": __version__, "torch": torch.__version__}
    RESULTS.parent.mkdir(exist_ok=True)
    tree = {**about, **versions, "gemm_flops": statistics.median(rates), "training": results}
    RESULTS.write_text(json.dumps(tree, indent=1) + "\n")


if __name__ == "__main__":
    main()
