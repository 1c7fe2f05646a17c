"""Speed of training a language model, beside the same network in a plain torch loop, turn by turn in one process.

    SEQKIT_DATA=../shared/data python benchmarks/lm_training.py --threads 2

The recipe ``lm-ptb-small`` (2 × 200 LSTM, 10,000 words, 20 streams × 20 steps, gradient descent with a clipped norm).
Both start from the same weights and read the same windows, so that their losses must agree, which is checked. A round
is some windows through seqkit's own training loop, then the same ones through the plain loop. Prints medians with
their spread and the median of the rounds' ratios: seqkit as it is by default (``auto``) and in fp32, beside plain torch
in fp32, and both in mixed precision (bf16). Writes ``benchmarks/results/lm_training.json``.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import torch
from common import Machine, parser, ratios, shown, summary, table, train_in_turns, write
from torch import Tensor, nn
from torch.nn import functional

from seqkit.bench.flops import TRAINED, forward_flops
from seqkit.config import load_recipe, override
from seqkit.corpora.resolve import resolve
from seqkit.training.language_model import LanguageModelTask
from seqkit.training.progress import Progress
from seqkit.training.run import prepare

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


class PlainLoop:
    """The plain loop over the same windows.

    Args:
        task: seqkit's, whose weights it begins with.
    """

    def __init__(self, task: LanguageModelTask) -> None:
        self.task = task
        self.memory: tuple[Tensor, Tensor] | None = None
        self.model = plain_copy(task)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=task.settings.training.lr)
        self.speeds: list[float] = []
        self.losses: list[float] = []

    def turn(self, windows: Sequence[tuple[int, int]]) -> None:
        """Train on some windows."""
        training = self.task.settings.training
        self.model.train()
        total, tokens = 0.0, 0
        began = time.monotonic()
        for begin, end, *_ in windows:
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


def measure(precision: str, rounds: int, windows: int, machine: Machine) -> dict[str, Any]:
    """Train in turns.

    Args:
        precision: of seqkit ``auto``, the default, or ``fp32``, beside plain torch in fp32; or ``bf16`` of both.
        rounds: how many turns each has.
        windows: how many windows a turn has.
        machine: is measured after every round.

    Returns:
        Tokens a second of both and the ratios of the rounds, with their spread; how far losses are apart; the FLOPs of
        a token.
    """
    # Their rate of 20 would let rounding errors grow until losses are hard to compare.
    changes = {"epochs": rounds, "schedule": "constant", "lr": 1.0, "patience": 0, "precision": precision}
    # Nor would losses be equal if each dropped other features; so none are dropped, as in Zaremba's small network.
    none = {"embedding": {"dropout": 0.0}, "encoder": {"dropout": 0.0}}
    settings = override(load_recipe(RECIPE).settings, {"training": changes, **none})
    task = prepare(settings, resolve("ptb"), torch.device("cpu"), Progress(quiet=True))
    assert isinstance(task, LanguageModelTask)
    plain = PlainLoop(task)

    def turn(batches: Sequence[tuple[int, int]]) -> None:
        plain.turn(batches)
        machine.measure()

    lines = train_in_turns(task, rounds, turn, windows)
    ours = [line["tokens_per_second"] for line in lines]
    apart = max(abs(line["loss"] - loss) for line, loss in zip(lines, plain.losses, strict=True))
    assert apart < (0.001 if precision == "fp32" else 0.1), f"expected equal losses, found them {apart} apart"
    speeds = {"seqkit": ours, "plain": plain.speeds, "ratio": ratios(ours, plain.speeds)}
    found: dict[str, Any] = {name: summary(values) for name, values in speeds.items()}
    return {**found, "shown": speeds, "loss_difference": apart, "flops_per_token": forward_flops(task.network, 0.0)}


def main() -> None:
    """Measure and report."""
    arguments = parser(__doc__, rounds=7)
    arguments.add_argument("--windows", type=int, default=40, help="windows of a round")
    arguments.add_argument("--precision", nargs="+", default=["auto", "fp32", "bf16"], choices=["auto", "fp32", "bf16"])
    options = arguments.parse_args()
    torch.set_num_threads(options.threads)
    machine = Machine()
    rows, results = [], {}
    for precision in options.precision:
        found = results[precision] = measure(precision, options.rounds, options.windows, machine)
        speeds = found.pop("shown")
        flops = TRAINED * found["flops_per_token"]
        # What is done in bf16 only in part has no one roofline.
        share = found["share"] = flops * found["seqkit"]["median"] / machine.rate() if precision == "fp32" else None
        row = [precision, shown(speeds["seqkit"]), shown(speeds["plain"]), shown(speeds["ratio"], ".2f")]
        rows.append([*row, "" if share is None else f"{share:.0%}", f"{found['loss_difference']:.1g}"])
    print(machine)
    print(table(["arithmetic", "seqkit, tokens/s", "plain torch", "ratio", "roofline", "losses apart"], rows))
    about = {"rounds": options.rounds, "windows": options.windows}
    write("lm_training", {"machine": machine.to_json(), **about, "training": results})


if __name__ == "__main__":
    main()
