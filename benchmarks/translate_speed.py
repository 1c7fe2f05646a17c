"""Training of a translator beside the same network in plain torch, in turns.

    python benchmarks/translate_speed.py --threads 1

A bidirectional LSTM of 2 x 256 over vectors of 256, and a decoder: an LSTM of 512 with input feeding, general attention
and a softmax over 8,000 words; label smoothing 0.1, Adam. Pairs of 5 to 25 random words, 64 in a batch, the same
batches for both, without dropout. The plain loop packs the source (``pack_padded_sequence``), takes a step of
``nn.LSTMCell`` after the other, and computes the scores of all steps at once. With ``--no-feeding`` neither has input
feeding, and the plain loop's decoder is one call of ``nn.LSTM``. Prints words of the source per second of training and
the median of the rounds' ratios; writes ``benchmarks/results/translate_speed.json``.
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

WORDS, SIZE, HIDDEN = 8000, 256, 512
SHORTEST, LONGEST = 5, 25


class Plain(nn.Module):
    """The network as anybody would write it."""

    def __init__(self, feeding: bool) -> None:
        super().__init__()
        self.feeding = feeding
        self.source, self.target = nn.Embedding(WORDS, SIZE), nn.Embedding(WORDS, SIZE)
        self.encoder = nn.LSTM(SIZE, HIDDEN // 2, bidirectional=True, batch_first=True)
        self.cell = nn.LSTMCell(SIZE + HIDDEN, HIDDEN) if feeding else nn.LSTM(SIZE, HIDDEN, batch_first=True)
        self.bridge_h, self.bridge_c = nn.Linear(HIDDEN, HIDDEN), nn.Linear(HIDDEN, HIDDEN)
        self.energy = nn.Linear(HIDDEN, HIDDEN, bias=False)
        self.readout = nn.Linear(2 * HIDDEN, HIDDEN)
        self.output = nn.Linear(HIDDEN, WORDS)

    def forward(self, sources: list[Tensor], targets: list[Tensor]) -> Tensor:
        """The loss."""
        lengths = torch.tensor([len(each) for each in sources])
        x = self.source(pad_sequence(sources, batch_first=True))  # [B, T, E]
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        outputs, (h, _) = self.encoder(packed)
        memory, _ = pad_packed_sequence(outputs, batch_first=True)  # [B, T, 2 H]
        inside = torch.arange(memory.shape[1]) < lengths[:, None]  # [B, T]
        last = torch.cat([h[0], h[1]], 1)  # [B, 2 H]
        state = torch.tanh(self.bridge_h(last)), torch.tanh(self.bridge_c(last))
        right = pad_sequence(targets, batch_first=True, padding_value=-100)  # [B, L]
        read = functional.pad(right[:, :-1].clamp(min=0), (1, 0), value=1)  # [B, L]
        y, keys = self.target(read), self.energy(memory)  # [B, L, E], [B, T, H]

        def look(states: Tensor) -> Tensor:
            energies = torch.bmm(states, keys.transpose(1, 2)).masked_fill(~inside[:, None], -torch.inf)  # [B, L, T]
            seen = torch.bmm(energies.softmax(2), memory)  # [B, L, 2 H]
            found: Tensor = torch.tanh(self.readout(torch.cat([states, seen], 2)))  # [B, L, H]
            return found

        if self.feeding:
            fed, features = torch.zeros(len(y), HIDDEN), []
            for step in y.unbind(1):
                state = self.cell(torch.cat([step, fed], 1), state)
                fed = look(state[0].unsqueeze(1)).squeeze(1)  # [B, H]
                features.append(fed)
            found = torch.stack(features, 1)  # [B, L, H]
        else:
            found = look(self.cell(y, (state[0].unsqueeze(0), state[1].unsqueeze(0)))[0])
        scores = self.output(found)  # [B, L, V]
        return functional.cross_entropy(scores.flatten(0, 1), right.flatten(), label_smoothing=0.1)


def main() -> None:
    """Measure and report."""
    arguments = parser(__doc__, rounds=5)
    arguments.add_argument("--batches", type=int, default=6, help="batches per round")
    arguments.add_argument("--no-feeding", action="store_true", help="without input feeding")
    options = arguments.parse_args()
    torch.set_num_threads(options.threads)
    machine = Machine()
    draw = np.random.default_rng(1)
    count = 64 * options.batches * options.rounds
    # Word number n is called wn.
    sources = [draw.integers(2, WORDS, length) for length in draw.integers(SHORTEST, LONGEST + 1, count)]
    targets = [draw.integers(2, WORDS, max(2, len(row) + int(draw.integers(-3, 4)))) for row in sources]
    named = [" ".join(f"w{number}" for number in row) for row in (*sources, *targets)]
    rows = [{"source": a, "target": b} for a, b in zip(named[:count], named[count:], strict=True)]
    settings = parse_settings(
        {
            "task": "translate",
            "data": {"splitter": "spaces"},
            "embedding": {"word_size": SIZE, "dropout": 0.0},
            "encoder": {"hidden": HIDDEN // 2, "dropout": 0.0},
            "head": {"hidden": HIDDEN, "size": SIZE, "dropout": 0.0, "feeding": not options.no_feeding},
            "training": {"epochs": options.rounds, "batch_size": 64, "schedule": "constant"},
        },
        "settings",
    )
    torch.manual_seed(1)
    plain = Plain(not options.no_feeding)
    optimizer = torch.optim.Adam(plain.parameters(), lr=settings.training.lr)
    left = [torch.from_numpy(each) for each in sources]
    right = [torch.cat([torch.from_numpy(each), torch.tensor([1])]) for each in targets]
    speeds: list[float] = []

    def turn(batches: Sequence[Any]) -> None:
        words = 0
        began = time.monotonic()
        for batch in batches:
            chosen = batch.tolist()
            optimizer.zero_grad()
            loss = plain([left[row] for row in chosen], [right[row] for row in chosen])
            loss.backward()
            nn.utils.clip_grad_norm_(plain.parameters(), settings.training.clip)
            optimizer.step()
            loss.item()
            words += sum(len(left[row]) for row in chosen)
        speeds.append(words / (time.monotonic() - began))
        machine.measure()

    learner = make_learner(settings, from_items("fields", rows, dev=rows[:2], label="target"))
    ours = [line["tokens_per_second"] for line in train_in_turns(learner, options.rounds, turn, options.batches)]
    rate = ratios(ours, speeds)
    print(
        table(
            ["", "words per second"],
            [["seqkit", shown(ours)], ["plain torch", shown(speeds)], ["ratio", shown(rate, ".2f")]],
        )
    )
    found = {"seqkit": summary(ours), "plain": summary(speeds), "ratio": summary(rate)}
    about = {"machine": machine.to_json(), "threads": options.threads, "rounds": options.rounds}
    write("translate_speed", {**about, "feeding": not options.no_feeding, **found})


if __name__ == "__main__":
    main()
