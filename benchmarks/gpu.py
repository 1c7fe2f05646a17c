"""All that runs on a GPU, tested and measured by one command, on data that it makes itself.

    python benchmarks/gpu.py

Runs the tests marked ``gpu``, then measures in turns: training the reference tagger (word vectors 100, character CNN
50, BiLSTM 2 × 100, CRF) in ``fp32`` and ``auto``; training the language model of ``lm-ptb-small`` (2 × 200 LSTM, 10,000
words, 20 × 20) likewise, beside a plain torch loop of the same network in the same precision; and decoding with the
tagger in ``fp32``, ``bf16`` and ``auto``. Prints medians with their spread and writes ``benchmarks/results/gpu.json``.
``--device cpu`` tries the script without a GPU, and writes nothing.
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
from common import Machine, alternate, make_learner, parser, ratios, shown, summary, table, write
from torch import Tensor, nn
from torch.nn import functional

from seqkit.config import Settings, load_recipe, override
from seqkit.corpora.from_python import from_items
from seqkit.devices import multiplies_bf16, training_arithmetic
from seqkit.heads.tagging.settings import TagSettings
from seqkit.model.tagger import Tagger
from seqkit.tasks import TASKS
from seqkit.training.learner import Learner
from seqkit.training.progress import Progress
from seqkit.training.streams import StreamLearner
from seqkit.training.trainer import Trainer

ROOT = Path(__file__).resolve().parents[1]
WORDS = 10_000
LABELS = ["O", "O", "O", "B-A", "B-B", "B-C", "I-A", "I-B", "I-C"]


class Round:
    """A learner whose epochs are rounds: some batches, the following ones each time, and no scores on dev.

    Args:
        learner: the real one.
        size: batches per round.
    """

    def __init__(self, learner: Learner, size: int) -> None:
        self.learner = learner
        self.every = learner.batches(0, slice(None))
        self.size = size
        self.begin = 0

    def __getattr__(self, name: str) -> Any:
        """What is the same as in the real learner."""
        return getattr(self.learner, name)

    def batches(self, epoch: int, share: slice = slice(None)) -> Sequence[Any]:
        """The next batches, from the beginning again after the last."""
        found = self.every[self.begin : self.begin + self.size]
        self.begin = (self.begin + self.size) % max(1, len(self.every) - self.size)
        return found

    def evaluate(self) -> dict[str, float]:
        """No scores."""
        return {"score": 0.0}


def make_words(count: int, draw: random.Random) -> list[str]:
    """Words with frequencies that fall as in natural language (Zipf), each at least once."""
    ranks = range(1, WORDS - 1)
    chosen = [*ranks, *draw.choices(ranks, [1 / rank for rank in ranks], k=max(0, count - len(ranks)))]
    draw.shuffle(chosen)
    return [f"w{rank:x}" for rank in chosen]


def make_tagged(count: int) -> list[tuple[list[str], list[str]]]:
    """Sentences of 5 to 45 words with random labels."""
    draw = random.Random(1)
    sizes = [draw.randint(5, 45) for _ in range(count)]
    words = iter(make_words(sum(sizes), draw))
    found = []
    for size in sizes:
        tokens = [next(words) for _ in range(size)]
        labels = [draw.choice(LABELS[:6]) for _ in range(size)]
        found.append((tokens, labels))
    return found


def build(settings: Settings, items: list[Any], device: torch.device) -> Learner:
    """An untrained model with items to train on."""
    return make_learner(settings, from_items(TASKS[settings.task].records, items, items[:20]), device)


def own_training(learner: Any) -> float:
    """A turn of the training loop; tokens per second."""
    training = learner.settings.training
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(learner, training, Path(folder), Progress(quiet=True))
        with training_arithmetic(training.precision, learner.model.device):
            trainer.run()
    (line,) = trainer.history
    assert line["loss"] == line["loss"]
    return float(line["tokens_per_second"])


class PlainLoop:
    """The same language model written with torch alone, which reads the losses at the end of a turn.

    Args:
        learner: seqkit's.
        size: windows per turn.
        device: where to compute.
    """

    def __init__(self, learner: StreamLearner, size: int, device: torch.device) -> None:
        self.learner, self.device, self.windows = learner, device, Round(learner, size)
        network: Any = learner.network
        words, width = network.input.embedding.table.shape
        self.training = learner.settings.training
        layers = len(network.encoder.layers)
        self.embedding = nn.Embedding(words, width).to(device)
        self.lstm = nn.LSTM(width, width, layers, batch_first=True).to(device)
        self.output = nn.Linear(width, words).to(device)
        self.parameters = [weight for part in (self.embedding, self.lstm, self.output) for weight in part.parameters()]
        self.optimizer = torch.optim.SGD(self.parameters, lr=self.training.lr)
        self.half = self.training.precision == "auto" and device.type == "cuda" and multiplies_bf16(device)

    def turn(self) -> float:
        """A turn; tokens per second."""
        state: tuple[Tensor, Tensor] | None = None
        losses, tokens = [], 0
        with training_arithmetic(self.training.precision, self.device):
            began = time.perf_counter()
            for begin, end, *_ in self.windows.batches(0):
                pair = self.learner.streams.window(begin, end)
                inputs, targets = (torch.from_numpy(self.learner.table.words[part]).to(self.device) for part in pair)
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
    """A turn of decoding, from lists of tokens to labels; tokens per second."""
    began = time.perf_counter()
    found = model.predicted([model.record(one) for one in sentences], model.pipeline(precision=precision))
    return sum(len(record.labels) for record in found) / (time.perf_counter() - began)


def run_tests(*options: str, limit: float | None = None) -> dict[str, Any]:
    """The tests marked ``gpu``: whether they pass, and pytest's last line; what else it says is printed.

    Args:
        *options: of pytest.
        limit: seconds after which they are ended.

    Returns:
        Names and values for JSON.
    """
    # Only their files, as reading all others takes a minute.
    files = [str(file) for file in (ROOT / "tests").rglob("*.py") if "mark.gpu" in file.read_text(encoding="utf-8")]
    command = [sys.executable, "-m", "pytest", "-m", "gpu", "-n", "0", "-p", "no:cacheprovider", *options, *files]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=limit)
    lines = done.stdout.strip().splitlines()
    if done.returncode or options:
        print(done.stdout, done.stderr, sep="\n")
    return {"passed": done.returncode == 0, "summary": lines[-1] if lines else ""}


def all_turns(sentences: int, batches: int, device: torch.device) -> dict[str, Callable[[], float]]:
    """All that takes turns.

    Args:
        sentences: the number of sentences to decode.
        batches: batches per turn of training.
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
            settings = override(
                TagSettings(), {"encoder": {"hidden": 100}, "training": {**changes, "batch_size": batch}}
            )
            tagging = build(settings, tagged, device)
            turns[f"tag train {precision} batch {batch}"] = partial(own_training, Round(tagging, batches))
        recipe = override(load_recipe("lm-ptb-small").settings, {"training": {**changes, "lr": 1.0}})
        modelling = build(recipe, lines, device)
        assert isinstance(modelling, StreamLearner)
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
    arguments.add_argument("--batches", type=int, default=200, help="batches per turn of training")
    arguments.add_argument("--sentences", type=int, default=20_000, help="the number of sentences to decode")
    options = arguments.parse_args()
    torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        arguments.error("no CUDA device found; --device cpu tries the measurement itself")
    tests = run_tests("-q") if device.type == "cuda" else None
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
