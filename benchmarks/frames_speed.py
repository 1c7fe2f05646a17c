"""Training on sequences of vectors beside the same network in plain torch with packed sequences, in turns.

    python benchmarks/frames_speed.py --threads 1

Two bidirectional LSTM layers of 128 over 40 features, the mean of the states, and a linear layer; sequences of 50 to
500 frames, 32 in a batch, the same batches and kind of optimiser for both. The plain loop has its sequences in memory
as tensors, pads and packs them (``pack_padded_sequence``). Prints frames per second of training and the median of the
rounds' ratios; writes ``benchmarks/results/frames_speed.json``.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from common import Machine, make_learner, parser, ratios, shown, summary, table, train_in_turns, write
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence

from seqkit.config import parse_settings
from seqkit.corpora.from_python import from_items

FEATURES, HIDDEN, LABELS = 40, 128, 10
SHORTEST, LONGEST = 50, 500


class Plain(nn.Module):
    """The network as anybody would write it."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(FEATURES, HIDDEN, num_layers=2, bidirectional=True, batch_first=True)
        self.linear = nn.Linear(2 * HIDDEN, LABELS)

    def forward(self, sequences: list[Tensor]) -> Tensor:
        """Scores of the labels, [B, K]."""
        lengths = torch.tensor([len(each) for each in sequences])
        padded = pad_sequence(sequences, batch_first=True)  # [B, T, F]
        packed = pack_padded_sequence(padded, lengths, batch_first=True, enforce_sorted=False)
        states, _ = pad_packed_sequence(self.lstm(packed)[0], batch_first=True)  # [B, T, 2 H]
        scores: Tensor = self.linear(states.sum(1) / lengths[:, None])
        return scores


def main() -> None:
    """Measure and report."""
    arguments = parser(__doc__, rounds=5)
    arguments.add_argument("--batches", type=int, default=6, help="batches per round")
    options = arguments.parse_args()
    torch.set_num_threads(options.threads)
    machine = Machine()
    draw = np.random.default_rng(1)
    count = 32 * options.batches * options.rounds
    lengths = draw.integers(SHORTEST, LONGEST + 1, count)
    arrays = [draw.normal(size=(length, FEATURES)).astype(np.float32) for length in lengths]
    labels = [row % LABELS for row in range(count)]
    pairs = list(zip(arrays, map(str, labels), strict=True))
    settings = parse_settings(
        {
            "task": "classify",
            "input": "frames",
            "encoder": {"hidden": HIDDEN, "layers": 2, "dropout": 0.0},
            "head": {"pool": "mean", "dropout": 0.0},
            "training": {"epochs": options.rounds, "batch_size": 32, "precision": "fp32", "patience": 0},
        },
        "settings",
    )
    torch.manual_seed(1)
    plain = Plain()
    optimizer = torch.optim.AdamW(plain.parameters(), lr=settings.training.lr)
    tensors = [torch.from_numpy(each) for each in arrays]
    speeds: list[float] = []

    def turn(batches: Sequence[Any]) -> None:
        frames = 0
        began = time.monotonic()
        for batch in batches:
            rows = batch.tolist()
            optimizer.zero_grad()
            scores = plain([tensors[row] for row in rows])
            loss = functional.cross_entropy(scores, torch.tensor([labels[row] for row in rows]))
            loss.backward()
            nn.utils.clip_grad_norm_(plain.parameters(), settings.training.clip or 5.0)
            optimizer.step()
            loss.item()
            frames += int(lengths[rows].sum())
        speeds.append(frames / (time.monotonic() - began))
        machine.measure()

    learner = make_learner(settings, from_items("frames", pairs, dev=pairs[:32]))
    ours = [line["tokens_per_second"] for line in train_in_turns(learner, options.rounds, turn, options.batches)]
    rate = ratios(ours, speeds)
    print(
        table(
            ["", "frames per second"],
            [["seqkit", shown(ours)], ["plain torch, packed", shown(speeds)], ["ratio", shown(rate, ".2f")]],
        )
    )
    found = {"seqkit": summary(ours), "plain": summary(speeds), "ratio": summary(rate)}
    write("frames_speed", {"machine": machine.to_json(), "threads": options.threads, "rounds": options.rounds, **found})


if __name__ == "__main__":
    main()
