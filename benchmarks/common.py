"""What the benchmarks share: arguments, alternating turns, the machine beside the figures, tables and JSON.

Times differ from machine to machine, and on a shared one from minute to minute. So what is compared takes turns in one
run, the ratio is the median of the rounds' own ratios, and a matrix product is measured between the rounds: achieved
FLOP/s divided by its rate is the share of the roofline.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch

from seqkit.bench.machine import describe_machine, gemm_rate, onednn_rate, spread
from seqkit.bench.stages import measure_stages
from seqkit.config import BATCH_TOKENS, Settings
from seqkit.corpora.dataset import Dataset
from seqkit.formats.registry import read_sentences
from seqkit.formats.writers import write_records
from seqkit.model.classifier import Classifier
from seqkit.model.tagger import Tagger
from seqkit.training.learner import Learner
from seqkit.training.prepare import prepare
from seqkit.training.progress import Progress
from seqkit.training.trainer import Trainer

RESULTS = Path(__file__).parent / "results"
SIZES = {"cpu": (1024, 2048), "cuda": (4096,)}
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def parser(description: str | None, *, threads: int = 2, rounds: int = 5) -> argparse.ArgumentParser:
    """A parser with the arguments that all benchmarks have.

    Args:
        description: the script's docstring.
        threads: default of ``--threads``.
        rounds: default of ``--rounds``.

    Returns:
        The parser.
    """
    found = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("--threads", type=int, default=threads)
    found.add_argument("--rounds", type=int, default=rounds)
    return found


@dataclass
class Machine:
    """The machine, and the rates of matrix products on it, measured between the rounds of a benchmark.

    Attributes:
        device: where the products are computed.
        rates: product → FLOP/s, each time it was measured.
    """

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    rates: dict[str, list[float]] = field(default_factory=dict)

    def measure(self) -> None:
        """Measure the matrix products once more; called between the rounds."""
        for size in SIZES[self.device.type]:
            for name, dtype in DTYPES.items():
                self._note(f"{name}, {size:,}", gemm_rate(size, dtype, repeats=3, device=self.device))
        if self.device.type == "cpu":
            self._note("fp32 by oneDNN, 1,024", onednn_rate(repeats=3))

    def _note(self, name: str, rate: float | None) -> None:
        if rate is not None:
            self.rates.setdefault(name, []).append(rate)

    def rate(self, precision: str = "fp32") -> float:
        """The median rate of torch's product of 1,024 × 1,024 matrices on the CPU, in FLOP/s: the roofline."""
        return spread(self.rates[f"{precision}, 1,024"]).median

    def shares(self, flops: float, precision: str = "fp32") -> str:
        """FLOP/s as a share of torch's product and, in fp32, of oneDNN's where that was measured."""
        others = self.rates.get("fp32 by oneDNN, 1,024") if precision == "fp32" else None
        beside = f" ({flops / spread(others).median:.0%} of oneDNN's)" if others else ""
        return f"{flops / self.rate(precision):.0%}{beside}"

    def to_json(self) -> dict[str, Any]:
        """The machine for JSON."""
        gpu = {"gpu": torch.cuda.get_device_name(self.device)} if self.device.type == "cuda" else {}
        return {
            **describe_machine(),
            **gpu,
            "gemm_flops": {name: summary(values) for name, values in self.rates.items()},
        }

    def __str__(self) -> str:
        about = describe_machine()
        rates = ", ".join(f"{name}: {spread(values).median / 1e9:,.0f}" for name, values in self.rates.items())
        where = f"{about['processor']}, {about['cores']} cores, {about['threads']} threads, {about['capability']}"
        return f"{where}, torch {about['torch']}; matrix products in GFLOP/s: {rates}"


def summary(values: Sequence[float]) -> dict[str, float]:
    """Median, least and most for JSON."""
    return spread(values)._asdict()


def ratios(own: Sequence[float], other: Sequence[float]) -> list[float]:
    """Each round's own ratio."""
    return [a / b for a, b in zip(own, other, strict=True)]


def shown(values: Sequence[float], form: str = ",.0f") -> str:
    """``median (least … most)``."""
    median, least, most = (format(value, form) for value in spread(values))
    return f"{median} ({least} … {most})"


def alternate(
    turns: Mapping[str, Callable[[], float]], rounds: int, machine: Machine, *, warm: int = 1
) -> dict[str, list[float]]:
    """Let all take turns, round after round.

    Args:
        turns: name → a turn, which returns its speed.
        rounds: the number of measured rounds.
        machine: measured before every round.
        warm: the number of rounds before them that do not count.

    Returns:
        name → its speeds, one per round.
    """
    speeds: dict[str, list[float]] = {name: [] for name in turns}
    for number in range(-warm, rounds):
        if number >= 0:
            machine.measure()
        for name, turn in turns.items():
            speed = turn()
            if number >= 0:
                speeds[name].append(speed)
    return speeds


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def write(name: str, tree: Mapping[str, Any]) -> None:
    """Write results to ``benchmarks/results/NAME.json``."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(tree, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def decode_file(model: Tagger, file: Path, precision: str = "fp32", batch_tokens: int = BATCH_TOKENS) -> float:
    """Tag a column file, from the first line read to the last one written.

    Args:
        model: the tagger.
        file: a column file.
        precision: ``fp32``, ``bf16`` or ``auto``.
        batch_tokens: tokens per batch.

    Returns:
        Seconds.
    """
    with tempfile.TemporaryFile("w", encoding="utf-8") as output:
        began = time.perf_counter()
        pipeline = model.pipeline(precision=precision, batch_tokens=batch_tokens)
        records = pipeline(read_sentences(file), model.options({}).for_output("conll"))
        write_records(records, output, "conll")
        output.flush()
        return time.perf_counter() - began


def stage_table(model: Tagger | Classifier, read: Callable[[], Iterable[Any]], output_format: str) -> str:
    """Where the time goes, as `seqkit bench` shows it, over three rounds in fp32.

    Args:
        model: the model.
        read: opens the file again.
        output_format: what the predictions are written as.

    Returns:
        A Markdown table.
    """
    options = model.options({}).for_output(output_format)
    with tempfile.TemporaryFile("w", encoding="utf-8") as sink:
        write = partial(write_records, stream=sink, output_format=output_format)
        found = measure_stages(model, read, write, rounds=3, options=options)
    rows = [
        [name, f"{1e6 * seconds.median / found.tokens:.2f}", f"{seconds.median / found.total.median:.1%}"]
        for name, seconds in found.seconds.items()
    ]
    return table(["stage", "µs per token", "share"], rows)


class Peer:
    """A worker process in another environment that answers requests, so that its turns alternate with ours.

    Args:
        python: the interpreter of its environment.
        script: a script of ``benchmarks/workers``.
    """

    def __init__(self, python: Path, script: str) -> None:
        if not python.exists():
            raise SystemExit(f"error: {python}: no such file; make the environment with benchmarks/environments.sh")
        file = Path(__file__).parent / "workers" / script
        command = [str(python), str(file)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, do: str, **request: Any) -> Any:
        """Send a request and wait for its answer.

        Args:
            do: what the worker has to do.
            **request: its arguments.

        Returns:
            The answer.
        """
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps({"do": do, **request}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"error: the worker exited instead of answering {do!r}; its own messages are above")
        return json.loads(line)

    def close(self) -> None:
        """End the worker."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def make_learner(settings: Settings, dataset: Dataset, device: torch.device | None = None) -> Learner:
    """An untrained model with its training data, for seqkit's own training loop.

    Args:
        settings: what to train.
        dataset: the data.
        device: where to compute; by default the CPU.

    Returns:
        The learner.
    """
    where = device or torch.device("cpu")
    learner = prepare(settings.complete(dataset), dataset, where, Progress(quiet=True)).learner
    assert learner is not None
    return learner


class TrainingTurns:
    """A learner whose first epoch is cut into rounds, each followed by the other's turn instead of scores on dev.

    Args:
        learner: the real one.
        rounds: the number of rounds.
        batches: batches per round; by default so many that the rounds are exactly one epoch.
        other: the other's turn, given the batches of the round.
    """

    def __init__(
        self, learner: Learner, rounds: int, other: Callable[[Sequence[Any]], None], batches: int | None = None
    ) -> None:
        self.learner = learner
        self.every = learner.batches(0, slice(None))
        self.size = batches or -(-len(self.every) // rounds)
        self.other = other
        self.epoch = 0

    def __getattr__(self, name: str) -> Any:
        """What is the same as in the real learner."""
        return getattr(self.learner, name)

    def batches(self, epoch: int, share: slice = slice(None)) -> Sequence[Any]:
        """The batches of a round, as the trainer asks for them; one process has them all."""
        self.epoch = epoch
        return self.every[epoch * self.size : (epoch + 1) * self.size]

    def evaluate(self) -> dict[str, float]:
        """The other's turn; a score that grows, so that the weights after the last round are kept."""
        self.other(self.batches(self.epoch))
        return {"round": float(self.epoch)}


def train_in_turns(
    learner: Learner, rounds: int, other: Callable[[Sequence[Any]], None], batches: int | None = None
) -> list[dict[str, Any]]:
    """Train through seqkit's own loop, in turns with something else; its settings have one epoch for each round.

    Args:
        learner: what is trained.
        rounds: see `TrainingTurns`.
        other: see `TrainingTurns`.
        batches: see `TrainingTurns`.

    Returns:
        What ``train.jsonl`` has of each round, and its ``batches``.
    """
    turns: Any = TrainingTurns(learner, rounds, other, batches)
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(turns, learner.settings.training, Path(folder), Progress(quiet=True))
        trainer.run()
    return [line | {"batches": turns.batches(number)} for number, line in enumerate(trainer.history)]
