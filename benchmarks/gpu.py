"""All that runs on a GPU, tested and measured by one command, without any data but what it makes itself.

    python benchmarks/gpu.py

Runs the tests marked ``gpu``, then, all of it turn by turn in every round: training the reference tagger (word vectors
100, character CNN 50, BiLSTM 2 × 100, CRF) in ``fp32`` and ``auto``; training the language model of ``lm-ptb-small``
(2 × 200 LSTM, 10,000 words, 20 × 20) likewise, beside a plain torch loop of the same network in the same arithmetic;
and decoding with the tagger in ``fp32``, ``bf16`` and ``auto``. Prints medians with their spread and writes
``benchmarks/results/gpu.json``. With ``--device cpu`` it shows that it works, and writes nothing.
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from common import Machine, alternate, parser, ratios, shown, summary, table, write
from torch import Tensor, nn
from torch.nn import functional

from seqkit.config import Settings, TagSettings, load_recipe, override
from seqkit.devices import multiplies_bf16, training_arithmetic
from seqkit.model.tagger import Tagger
from seqkit.training.language_model import LanguageModelTask
from seqkit.training.loop import Trainer
from seqkit.training.progress import Progress
from seqkit.training.run import complete_settings, prepare, task_class
from seqkit.training.task import TrainingTask

ROOT = Path(__file__).resolve().parents[1]
WORDS = 10_000
LABELS = ["O", "O", "O", "B-A", "B-B", "B-C", "I-A", "I-B", "I-C"]


class Round:
    """A task of which a round is an epoch: some batches, other ones each time, and no dev scores.

    Args:
        task: the real one.
        size: batches of a round.
    """

    metric = "score"

    def __init__(self, task: TrainingTask, size: int) -> None:
        self.task = task
        self.every = task.batches(0)
        self.size = size
        self.begin = 0

    def __getattr__(self, name: str) -> Any:
        """What is the same as in the real task."""
        return getattr(self.task, name)

    def batches(self, epoch: int) -> Sequence[Any]:
        """The next ones, from the beginning again where there are no more."""
        found = self.every[self.begin : self.begin + self.size]
        self.begin = (self.begin + self.size) % max(1, len(self.every) - self.size)
        return found

    def evaluate(self) -> dict[str, float]:
        """No scores."""
        return {"score": 0.0}


def make_words(count: int, draw: random.Random) -> list[str]:
    """Words whose frequencies fall as those of a language do, every one of them once at least."""
    ranks = range(1, WORDS - 1)
    chosen = [*ranks, *draw.choices(ranks, [1 / rank for rank in ranks], k=max(0, count - len(ranks)))]
    draw.shuffle(chosen)
    return [f"w{rank:x}" for rank in chosen]


def make_tagged(count: int) -> list[tuple[list[str], list[str]]]:
    """Sentences of 5 to 45 words, and labels that mean nothing."""
    draw = random.Random(1)
    sizes = [draw.randint(5, 45) for _ in range(count)]
    words = iter(make_words(sum(sizes), draw))
    found = []
    for size in sizes:
        tokens = [next(words) for _ in range(size)]
        labels = [draw.choice(LABELS[:6]) for _ in range(size)]
        found.append((tokens, labels))
    return found


def build(settings: Settings, items: list[Any], device: torch.device) -> TrainingTask:
    """The task of some settings over some items."""
    dataset = task_class(settings.kind).from_items(items, items[:20], None)
    return prepare(complete_settings(settings, dataset), dataset, device, Progress(quiet=True))


def own_training(task: Round) -> float:
    """A turn of the training loop; tokens a second."""
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(task, task.settings.training, Path(folder), Progress(quiet=True))
        with training_arithmetic(task.settings.training.precision, task.model.device):
            trainer.run()
    (line,) = trainer.history
    assert line["loss"] == line["loss"]
    return float(line["tokens_per_second"])


class PlainLoop:
    """The same language model as one writes it with torch alone, reading each loss at the end of a turn.

    Args:
        task: seqkit's.
        size: windows of a turn.
        device: where to compute.
    """

    def __init__(self, task: LanguageModelTask, size: int, device: torch.device) -> None:
        self.task, self.device, self.windows = task, device, Round(task, size)
        words, width = task.network.embedding.table.shape
        self.training = task.settings.training
        layers = len(task.network.encoder.layers)
        self.embedding = nn.Embedding(words, width).to(device)
        self.lstm = nn.LSTM(width, width, layers, batch_first=True).to(device)
        self.output = nn.Linear(width, words).to(device)
        self.parameters = [weight for part in (self.embedding, self.lstm, self.output) for weight in part.parameters()]
        self.optimizer = torch.optim.SGD(self.parameters, lr=self.training.lr)
        self.half = self.training.precision == "auto" and device.type == "cuda" and multiplies_bf16(device)

    def turn(self) -> float:
        """A turn; tokens a second."""
        state: tuple[Tensor, Tensor] | None = None
        losses, tokens = [], 0
        with training_arithmetic(self.training.precision, self.device):
            began = time.perf_counter()
            for begin, end, *_ in self.windows.batches(0):
                pair = self.task._streams.window(begin, end)
                inputs, targets = (torch.from_numpy(self.task._table.words[part]).to(self.device) for part in pair)
                self.optimizer.zero_grad()
                with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
                    hidden, state = self.lstm(self.embedding(inputs), state)  # [B, T, H]
                    loss = functional.cross_entropy(self.output(hidden).flatten(0, 1), targets.flatten())
                loss.backward()
                nn.utils.clip_grad_norm_(self.parameters, self.training.clip)
                self.optimizer.step()
                state = (state[0].detach(), state[1].detach())
                losses.append(loss.detach())
                tokens += targets.numel()
            assert torch.stack(losses).isfinite().all()
            return tokens / (time.perf_counter() - began)


def own_decoding(model: Tagger, sentences: list[list[str]], precision: str) -> float:
    """A turn of decoding, from lists of tokens to labels; tokens a second."""
    began = time.perf_counter()
    found = list(model.predict(sentences, spans=False, precision=precision))
    return sum(len(record.labels) for record in found) / (time.perf_counter() - began)


def run_tests() -> dict[str, Any]:
    """The tests marked ``gpu``: whether they pass, and what pytest says at the end."""
    command = [sys.executable, "-m", "pytest", "-m", "gpu", "-q", "-n", "0", "-p", "no:cacheprovider", "tests"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    lines = done.stdout.strip().splitlines()
    if done.returncode:
        print(done.stdout, done.stderr, sep="\n", file=sys.stderr)
    return {"passed": done.returncode == 0, "summary": lines[-1] if lines else ""}


def all_turns(sentences: int, batches: int, device: torch.device) -> dict[str, Callable[[], float]]:
    """Everyone who takes turns.

    Args:
        sentences: how many are decoded.
        batches: of a turn of training.
        device: where to compute.

    Returns:
        Name → a turn, which returns its speed.
    """
    tagged = make_tagged(max(2000, sentences))
    lines = [" ".join(tokens) for tokens, _ in tagged]
    turns: dict[str, Callable[[], float]] = {}
    for precision in ("fp32", "auto"):
        changes = {"epochs": 1, "patience": 0, "schedule": "constant", "precision": precision}
        for batch in (10, 32, 256):
            settings = {"encoder": {"hidden": 100}, "training": {**changes, "batch_size": batch}}
            tagging = build(override(TagSettings(), settings), tagged, device)
            turns[f"tag train {precision} batch {batch}"] = partial(own_training, Round(tagging, batches))
        settings = {"training": {**changes, "lr": 1.0}}
        modelling = build(override(load_recipe("lm-ptb-small").settings, settings), lines, device)
        assert isinstance(modelling, LanguageModelTask)
        turns[f"lm train {precision}"] = partial(own_training, Round(modelling, batches))
        turns[f"lm train {precision}, plain torch"] = PlainLoop(modelling, batches, device).turn
    model = tagging.model
    assert isinstance(model, Tagger)
    decoded = [tokens for tokens, _ in tagged[:sentences]]
    for precision in ("fp32", "bf16", "auto"):
        turns[f"tag predict {precision}"] = partial(own_decoding, model, decoded, precision)
    return turns


def main() -> None:
    """Test, measure and report."""
    arguments = parser(__doc__, threads=torch.get_num_threads(), rounds=7)
    arguments.add_argument("--device", default="cuda")
    arguments.add_argument("--batches", type=int, default=200, help="batches of a turn of training")
    arguments.add_argument("--sentences", type=int, default=20_000, help="sentences that are decoded")
    options = arguments.parse_args()
    torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        arguments.error("expected a CUDA device, found none; --device cpu tries the measuring itself")
    tests = run_tests() if device.type == "cuda" else None
    if tests is not None:
        print(f"tests: {tests['summary']}")
    machine = Machine(device)
    speeds = alternate(all_turns(options.sentences, options.batches, device), options.rounds, machine)
    compared = {
        name: ratios(values, speeds[f"{name}, plain torch"])
        for name, values in speeds.items()
        if f"{name}, plain torch" in speeds
    }
    rows = [
        [name, shown(values), shown(compared[name], ".2f") if name in compared else ""]
        for name, values in speeds.items()
    ]
    print(machine)
    print(table(["", "tokens/s", "× plain torch"], rows))
    if device.type != "cuda":
        return
    tree = {
        "tests": tests,
        "cuda": torch.version.cuda,
        "rounds": options.rounds,
        "tokens_per_second": {name: summary(values) for name, values in speeds.items()},
        "ratios": {name: summary(values) for name, values in compared.items()},
    }
    write("gpu", {"machine": machine.to_json(), **tree})


if __name__ == "__main__":
    main()
