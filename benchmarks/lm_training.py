"""Speed of training a language model, beside the same network in a plain torch loop, turn by turn in one process.

    SEQKIT_DATA=../shared/data python benchmarks/lm_training.py --threads 2

The recipe ``lm-ptb-small`` (2 × 200 LSTM, 10,000 words, 20 streams × 20 steps, SGD with clipping by norm), without
dropout. Both start from the same weights and read the same windows, so that their losses must agree, which is checked.
A round is some windows through seqkit's own training loop, then the same windows through the plain loop. Prints medians
with their spread and the median of the rounds' ratios: seqkit by default (``auto``) and in fp32, beside plain torch in
fp32, and both in mixed precision (bf16). Writes ``benchmarks/results/lm_training.json``.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import torch
from common import Machine, make_learner, parser, ratios, shown, summary, table, train_in_turns, write
from torch import Tensor, nn
from torch.nn import functional

from seqkit.bench.flops import TRAINED, forward_flops
from seqkit.config import load_recipe, override
from seqkit.corpora.resolve import resolve
from seqkit.training.streams import StreamLearner, Window

RECIPE = "lm-ptb-small"


class PlainModel(nn.Module):
    """The network written with torch alone; it has no padding, which is id 0 in seqkit."""

    def __init__(self, words: int, size: int, layers: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(words, size)
        self.lstm = nn.LSTM(size, size, layers)
        self.output = nn.Linear(size, words)

    def forward(self, inputs: Tensor, state: tuple[Tensor, Tensor] | None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Inputs [T, B] → scores [T, B, V]."""
        hidden, state = self.lstm(self.embedding(inputs), state)
        return self.output(hidden), state


def plain_copy(network: Any) -> PlainModel:
    """The plain network with the present weights of seqkit's."""
    table, output = network.input.embedding.table, network.head.next
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
        learner: seqkit's, with whose weights it starts.
    """

    def __init__(self, learner: StreamLearner) -> None:
        self.learner = learner
        self.memory: tuple[Tensor, Tensor] | None = None
        self.model = plain_copy(learner.network)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=learner.settings.training.lr)
        self.speeds: list[float] = []
        self.losses: list[float] = []

    def turn(self, windows: Sequence[Window]) -> None:
        """Train on some windows."""
        training = self.learner.settings.training
        self.model.train()
        total, tokens = 0.0, 0
        began = time.monotonic()
        for begin, end, *_ in windows:
            inputs, targets = (
                torch.from_numpy(self.learner.table.words[part]).t() - 1  # [T, B]
                for part in self.learner.streams.window(begin, end)
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
        precision: seqkit's ``auto``, the default, or ``fp32``, beside plain torch in fp32; or ``bf16`` of both.
        rounds: the number of turns of each.
        windows: windows per turn.
        machine: measured after every round.

    Returns:
        Tokens per second of both and the ratios of the rounds, with their spread; the largest difference of the losses;
        the FLOPs per token.
    """
    # The recipe's learning rate of 20 would let rounding errors grow until the losses cannot be compared.
    changes = {"epochs": rounds, "schedule": "constant", "lr": 1.0, "patience": 0, "precision": precision}
    # With dropout the losses would differ, since each draws its own masks; Zaremba's small network has none either.
    none = {"embedding": {"dropout": 0.0}, "encoder": {"dropout": 0.0}}
    settings = override(load_recipe(RECIPE).settings, {"training": changes, **none})
    learner = make_learner(settings, resolve("ptb"))
    assert isinstance(learner, StreamLearner)
    plain = PlainLoop(learner)

    def turn(batches: Sequence[Window]) -> None:
        plain.turn(batches)
        machine.measure()

    lines = train_in_turns(learner, rounds, turn, windows)
    ours = [line["tokens_per_second"] for line in lines]
    apart = max(abs(line["loss"] - loss) for line, loss in zip(lines, plain.losses, strict=True))
    assert apart < (0.001 if precision == "fp32" else 0.1), f"the losses should be equal, but differ by {apart}"
    speeds = {"seqkit": ours, "plain": plain.speeds, "ratio": ratios(ours, plain.speeds)}
    found: dict[str, Any] = {name: summary(values) for name, values in speeds.items()}
    return {**found, "shown": speeds, "loss_difference": apart, "flops_per_token": forward_flops(learner.network, 0.0)}


def main() -> None:
    """Measure and report."""
    arguments = parser(__doc__, rounds=7)
    arguments.add_argument("--windows", type=int, default=40, help="windows per round")
    arguments.add_argument("--precision", nargs="+", default=["auto", "fp32", "bf16"], choices=["auto", "fp32", "bf16"])
    options = arguments.parse_args()
    torch.set_num_threads(options.threads)
    machine = Machine()
    rows, results = [], {}
    for precision in options.precision:
        found = results[precision] = measure(precision, options.rounds, options.windows, machine)
        speeds = found.pop("shown")
        flops = TRAINED * found["flops_per_token"]
        # Where only part of the work is in bf16 there is no single roofline.
        share = found["share"] = flops * found["seqkit"]["median"] / machine.rate() if precision == "fp32" else None
        row = [precision, shown(speeds["seqkit"]), shown(speeds["plain"]), shown(speeds["ratio"], ".2f")]
        rows.append([*row, "" if share is None else f"{share:.0%}", f"{found['loss_difference']:.1g}"])
    print(machine)
    print(table(["precision", "seqkit, tokens/s", "plain torch", "ratio", "roofline", "difference of losses"], rows))
    about = {"rounds": options.rounds, "windows": options.windows}
    write("lm_training", {"machine": machine.to_json(), **about, "training": results})


if __name__ == "__main__":
    main()
