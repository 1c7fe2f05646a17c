"""All that runs on a GPU, tested and measured by one command, without any data but what it makes itself.

    python benchmarks/gpu.py

Runs the tests marked ``gpu``, then, in turns of rounds: training the reference tagger (word vectors 100, character CNN
50, BiLSTM 2 × 100, CRF) in ``fp32`` and ``auto``; training the language model of ``lm-ptb-small`` (2 × 200 LSTM, 10,000
words, 20 × 20) likewise, beside a plain torch loop of the same network in the same arithmetic; and decoding with the
tagger in ``fp32``, ``bf16`` and ``auto``. Prints medians with their spread and writes ``benchmarks/results/gpu.json``.
With ``--device cpu`` it shows that it works, and writes nothing.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from seqkit import __version__
from seqkit.config import Settings, TagSettings, load_recipe, override
from seqkit.devices import training_arithmetic
from seqkit.model.tagger import Tagger
from seqkit.training.language_model import LanguageModelTask
from seqkit.training.loop import Trainer
from seqkit.training.progress import Progress
from seqkit.training.run import complete_settings, prepare, task_class
from seqkit.training.task import TrainingTask

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "gpu.json"
WORDS = 10_000
LABELS = ["O", "O", "O", "B-A", "B-B", "B-C", "I-A", "I-B", "I-C"]


class Rounds:
    """A task some of whose batches, other ones each time, are an epoch; it has no dev scores.

    Args:
        task: the real one.
        batches: batches of an epoch.
    """

    metric = "score"

    def __init__(self, task: TrainingTask, batches: int) -> None:
        self.task = task
        self.count = batches

    def __getattr__(self, name: str) -> Any:
        """What is the same as in the real task."""
        return getattr(self.task, name)

    def batches(self, epoch: int) -> Sequence[Any]:
        """The next ones, from the beginning again where there are no more."""
        found = self.task.batches(0)
        begin = epoch * self.count % max(1, len(found) - self.count)
        return found[begin : begin + self.count]

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


def trained_speed(task: TrainingTask, batches: int) -> list[float]:
    """Tokens a second of each round through the training loop, the first one left out: libraries are set up in it."""
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(Rounds(task, batches), task.settings.training, Path(folder), Progress(quiet=True))
        with training_arithmetic(task.settings.training.precision, task.model.device):
            trainer.run()
    assert all(line["loss"] == line["loss"] for line in trainer.history)
    return [line["tokens_per_second"] for line in trainer.history][1:]


def plain_speed(task: LanguageModelTask, rounds: int, windows: int, device: torch.device) -> list[float]:
    """The same of a language model as one writes it with torch alone, reading each loss at the end of a round."""
    words, size = task.network.embedding.table.shape
    layers = len(task.network.encoder.layers)
    parts = nn.Embedding(words, size), nn.LSTM(size, size, layers, batch_first=True), nn.Linear(size, words)
    embedding, lstm, output = (part.to(device) for part in parts)
    parameters = [parameter for part in parts for parameter in part.parameters()]
    training = task.settings.training
    optimizer = torch.optim.SGD(parameters, lr=training.lr)
    half = training.precision == "auto" and device.type == "cuda" and torch.cuda.is_bf16_supported()
    cut, speeds = Rounds(task, windows), []
    for epoch in range(rounds + 1):
        state, losses, tokens = None, [], 0
        began = time.perf_counter()
        for begin, end in cut.batches(epoch):
            pair = task._streams.window(begin, end)
            inputs, targets = (torch.from_numpy(task._table.words[part]).to(device) for part in pair)  # [B, T]
            optimizer.zero_grad()
            with torch.autocast(device.type, torch.bfloat16, enabled=half):
                hidden, state = lstm(embedding(inputs), state)  # [B, T, H]
                loss = functional.cross_entropy(output(hidden).flatten(0, 1), targets.flatten())
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, training.clip)
            optimizer.step()
            state = tuple(part.detach() for part in state)
            losses.append(loss.detach())
            tokens += targets.numel()
        assert torch.stack(losses).isfinite().all()
        speeds.append(tokens / (time.perf_counter() - began))
    return speeds[1:]


def decoded_speed(model: Tagger, sentences: list[list[str]], precision: str, rounds: int) -> list[float]:
    """Tokens a second from lists of tokens to labels, the first round left out."""
    tokens, speeds = sum(map(len, sentences)), []
    for _ in range(rounds + 1):
        began = time.perf_counter()
        found = list(model.predict(sentences, spans=False, precision=precision))
        speeds.append(tokens / (time.perf_counter() - began))
        assert sum(len(record.labels) for record in found) == tokens
    return speeds[1:]


def gemm_rate(device: torch.device, dtype: torch.dtype) -> float:
    """What a matrix product of 4,096 × 4,096 × 4,096 (on a CPU of a quarter of that each way) reaches, in FLOP/s."""
    size = 4096 if device.type == "cuda" else 1024
    left, right = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    rounds = []
    for _ in range(10):
        _wait(device)
        began = time.perf_counter()
        torch.mm(left, right)
        _wait(device)
        rounds.append(time.perf_counter() - began)
    return 2 * size**3 / statistics.median(rounds)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def run_tests() -> dict[str, Any]:
    """The tests marked ``gpu``: whether they pass, and what pytest says at the end."""
    command = [sys.executable, "-m", "pytest", "-m", "gpu", "-q", "-n", "0", "-p", "no:cacheprovider", "tests"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    lines = done.stdout.strip().splitlines()
    if done.returncode:
        print(done.stdout, done.stderr, sep="\n", file=sys.stderr)
    return {"passed": done.returncode == 0, "summary": lines[-1] if lines else ""}


def main() -> None:
    """Test, measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--batches", type=int, default=200, help="batches of a round of training")
    parser.add_argument("--sentences", type=int, default=20_000, help="sentences that are decoded")
    options = parser.parse_args()
    device = torch.device(options.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        parser.error("expected a CUDA device, found none; --device cpu tries the measuring itself")
    tests = run_tests() if device.type == "cuda" else None
    if tests is not None:
        print(f"tests: {tests['summary']}")
    results: dict[str, dict[str, float]] = {}

    def measure(name: str, speeds: Callable[[], list[float]]) -> None:
        found = speeds()
        results[name] = {"median": statistics.median(found), "least": min(found), "most": max(found)}
        print(f"{name}: {results[name]['median']:,.0f} tokens/s ({min(found):,.0f} … {max(found):,.0f})")

    tagged = make_tagged(max(2000, options.sentences))
    lines = [" ".join(tokens) for tokens, _ in tagged]
    epochs = {"epochs": options.rounds + 1, "patience": 0, "schedule": "constant"}
    for precision in ("fp32", "auto"):
        changes = {**epochs, "precision": precision}
        for batch in (10, 32, 256):
            training = {"training": {**changes, "batch_size": batch}}
            tagging = build(override(TagSettings(), {"encoder": {"hidden": 100}, **training}), tagged, device)
            speeds = lambda task=tagging: trained_speed(task, options.batches)  # noqa: E731
            measure(f"tag train {precision} batch {batch}", speeds)
        modelling = build(
            override(load_recipe("lm-ptb-small").settings, {"training": {**changes, "lr": 1.0}}), lines, device
        )
        assert isinstance(modelling, LanguageModelTask)
        speeds = lambda task=modelling: trained_speed(task, options.batches)  # noqa: E731
        measure(f"lm train {precision}", speeds)
        plain = lambda task=modelling: plain_speed(task, options.rounds, options.batches, device)  # noqa: E731
        with training_arithmetic(precision, device):
            measure(f"lm train {precision}, plain torch", plain)
    model = tagging.model
    assert isinstance(model, Tagger)
    sentences = [tokens for tokens, _ in tagged[: options.sentences]]
    for precision in ("fp32", "bf16", "auto"):
        measure(f"tag predict {precision}", lambda p=precision: decoded_speed(model, sentences, p, options.rounds))
    rates = {str(dtype).removeprefix("torch."): gemm_rate(device, dtype) for dtype in (torch.float32, torch.bfloat16)}
    for name, rate in rates.items():
        print(f"matrix product in {name}: {rate / 1e12:.1f} TFLOP/s")
    if device.type != "cuda":
        return
    about = {"device": torch.cuda.get_device_name(device), "machine": platform.machine(), "rounds": options.rounds}
    versions = {"seqkit": __version__, "torch": torch.__version__, "cuda": torch.version.cuda}
    RESULTS.parent.mkdir(exist_ok=True)
    tree = {**about, **versions, "tests": tests, "gemm_flops": rates, "tokens_per_second": results}
    RESULTS.write_text(json.dumps(tree, indent=1) + "\n")


if __name__ == "__main__":
    main()
