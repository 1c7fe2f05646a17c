"""A small network trained on artificial sequences, as long and as hard as the lab wants it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from seqkit.config import TrainingSettings
from seqkit.errors import SettingsError
from seqkit.lab.sequences import MemoryTask
from seqkit.nn.encoder import Encoder
from seqkit.training.optimisation import Schedule, clip_gradient, make_optimizer

__all__ = [
    "NetworkOptions",
    "SequenceNetwork",
    "Trained",
    "TrainingOptions",
    "accuracy",
    "build_encoder",
    "build_network",
    "check_networks",
    "stream",
    "train_network",
]

Built = TypeVar("Built")

_STREAMS = ("weights", "training", "test", "noise", "directions")


def stream(seed: int, purpose: str) -> torch.Generator:
    """A generator of the CPU for one of the things that a seed decides, independent of the others.

    Args:
        seed: of the run.
        purpose: what is drawn from it: ``weights``, ``training``, ``test``, ``noise`` or ``directions``.

    Returns:
        The generator.
    """
    # torch reads 32 bits of a seed: the purposes have to differ in those.
    return torch.Generator().manual_seed((seed + 0x9E37_79B9 * _STREAMS.index(purpose)) % 2**32)


@dataclass(frozen=True)
class NetworkOptions:
    r"""What a network is, but for its cell.

    Args:
        hidden: H, the size of the state.
        layers: the number of levels.
        init: how the recurrent matrices begin; see `seqkit.nn.recurrent.RecurrentLayer`.
        gain: what they are multiplied by.
        forget_bias: the bias b of a forget gate at the beginning. Of what is known :math:`\sigma(b)^T` is left after T
            steps: 1/e with b = ln T, nine tenths with ln 10 T (Tallec & Ollivier 2018, "Can recurrent neural networks
            warp time?").
    """

    hidden: int = 64
    layers: int = 1
    init: str = "auto"
    gain: float = 1.0
    forget_bias: float = 1.0


@dataclass(frozen=True)
class TrainingOptions:
    r"""How a network is trained: Adam, its learning rate falling to zero as half a cosine.

    The gap of each batch is drawn evenly from 1 … g, where g is `gap`, or grows to it linearly with the steps during
    the share `growth` of them. Long gaps alone teach nothing: of what an LSTM of forget bias 1 knew, it has after 100
    steps :math:`\sigma(1)^{100} \approx 10^{-14}`, and a GRU less. Short ones teach to hold on, and that a state which
    is held is of use at long ones too. Growing from the shortest gap helps every cell, the simple ones most of all.

    Args:
        steps: updates.
        batch_size: sequences an update.
        lr: the learning rate at the start; None for that of the task.
        clip: the largest norm of a gradient; 0 for any.
        gap: the largest gap.
        growth: see above; 0 for all gaps from the start.
        seed: of weights and sequences.
    """

    steps: int = 2000
    batch_size: int = 32
    lr: float | None = None
    clip: float = 1.0
    gap: int = 100
    growth: float = 0.0
    seed: int = 1

    def largest_gap(self, step: int) -> int:
        """The g of one update.

        Args:
            step: which, counted from 0.

        Returns:
            g, at least 1 unless no gap is wanted at all.
        """
        share = min(1.0, (step + 1) / (self.growth * self.steps)) if self.growth else 1.0
        return min(self.gap, max(1, round(share * self.gap)))

    @property
    def mixture(self) -> str:
        """What gaps there are in training, in words."""
        if not self.growth:
            return f"gaps mixed from 1 to {self.gap} from the first update on"
        return f"gaps mixed from 1 to a largest that grows to {self.gap} in {100 * self.growth:g} % of the updates"


def _encoder(cell: str, input_size: int, options: NetworkOptions) -> Encoder:
    """seqkit's encoder, reading forward, without dropout."""
    return Encoder(
        input_size,
        cell=cell,
        hidden_size=options.hidden,
        layers=options.layers,
        direction="forward",
        init=options.init,
        init_gain=options.gain,
        forget_bias=options.forget_bias,
    )


class SequenceNetwork(nn.Module):
    """seqkit's encoder, read forward, under a linear head.

    Args:
        cell: a key of `seqkit.nn.recurrent.CELLS`.
        task: what it is to learn; its sizes are read.
        options: see there.
    """

    def __init__(self, cell: str, task: MemoryTask, options: NetworkOptions) -> None:
        super().__init__()
        self.encoder = _encoder(cell, task.input_size, options)
        self.head = nn.Linear(self.encoder.output_size, task.output_size)

    def forward(self, x: Tensor, answers: int) -> Tensor:
        """Answer at the last steps.

        Args:
            x: inputs, [B, T, I].
            answers: A.

        Returns:
            The answers, [B, A, D].
        """
        lengths = torch.full((x.shape[0],), x.shape[1])  # [B]
        outputs = self.encoder(x, lengths).outputs[:, -answers:]  # [B, A, H]
        result: Tensor = self.head(outputs)  # [B, A, D]
        return result


def build_network(
    cell: str, task: MemoryTask, options: NetworkOptions, seed: int, device: torch.device
) -> SequenceNetwork:
    """A network with fresh weights; the generator of the process is left as it was.

    Args:
        cell: see `SequenceNetwork`.
        task: see `SequenceNetwork`.
        options: see `SequenceNetwork`.
        seed: of the weights.
        device: where the network is to be.

    Returns:
        The network.

    Raises:
        SettingsError: it cannot be built so.
    """
    return _seeded(lambda: SequenceNetwork(cell, task, options), cell, seed).to(device)


def build_encoder(cell: str, input_size: int, options: NetworkOptions, seed: int) -> Encoder:
    """The encoder of a network alone, with fresh weights; the generator of the process is left as it was.

    Args:
        cell: see `SequenceNetwork`.
        input_size: I.
        options: see `SequenceNetwork`.
        seed: of the weights.

    Returns:
        The encoder, on the CPU.

    Raises:
        SettingsError: it cannot be built so.
    """
    return _seeded(lambda: _encoder(cell, input_size, options), cell, seed)


def _seeded(build: Callable[[], Built], cell: str, seed: int) -> Built:
    with torch.random.fork_rng(devices=[]):
        torch.set_rng_state(stream(seed, "weights").get_state())
        try:
            return build()
        except ValueError as error:
            raise SettingsError(f"{cell}: {error}") from None


def check_networks(cells: Iterable[str], tasks: Iterable[MemoryTask], options: NetworkOptions) -> None:
    """Build every network once, so that options which one cannot have are found before the first is trained.

    Args:
        cells: see `SequenceNetwork`.
        tasks: see `SequenceNetwork`.
        options: see `SequenceNetwork`.

    Raises:
        SettingsError: one cannot be built so.
    """
    for task in tasks:
        for cell in cells:
            build_network(cell, task, options, 0, torch.device("cpu"))


class Trained(NamedTuple):
    """What came of a training.

    Attributes:
        losses: of every update's batch.
        seconds: of training alone.
        fault: why it came to no end; empty where it did.
    """

    losses: list[float]
    seconds: float
    fault: str

    @property
    def loss(self) -> float:
        """The mean of the last tenth of the losses."""
        last = self.losses[-max(1, len(self.losses) // 10) :]
        return sum(last) / len(last)


def train_network(
    network: SequenceNetwork,
    task: MemoryTask,
    options: TrainingOptions,
    after: Callable[[int, float], None] = lambda step, loss: None,
) -> Trained:
    """Train a network on sequences drawn for each update, the same ones for every network.

    It is no `seqkit.training.loop.Trainer`, because there are no epochs, no dev set, no files and no checkpoints. A
    loss that is not finite ends it.

    Args:
        network: changed in place.
        task: where the sequences come from.
        options: see there.
        after: is called after every gradient, before the update, with the number of the update and the loss.

    Returns:
        Losses, time, and the fault if there was one.
    """
    lr = task.lr if options.lr is None else options.lr
    settings = TrainingSettings(optimizer="adam", lr=lr, clip=options.clip, schedule="cosine", epochs=1)
    optimizer, schedule = make_optimizer(settings, network.parameters()), Schedule(settings)
    generator = stream(options.seed, "training")
    device = network.head.weight.device
    losses: list[float] = []
    begin, fault = time.perf_counter(), ""
    network.train()
    for step in range(options.steps):
        largest = options.largest_gap(step)
        gap = int(torch.randint(min(1, largest), largest + 1, (), generator=generator))
        inputs, targets = (
            part.to(device) for part in task.batch(gap, options.batch_size, generator)
        )  # [B, T, I], [B, A]
        loss = task.loss(network(inputs, targets.shape[1]), targets)
        losses.append(loss.item())
        if not math.isfinite(losses[-1]):
            fault = f"loss not finite at update {step + 1}"
            break
        optimizer.zero_grad()
        loss.backward()
        after(step, losses[-1])
        clip_gradient(optimizer, network.parameters(), options.clip)
        for group in optimizer.param_groups:
            group["lr"] = schedule.rate(step / options.steps)
        optimizer.step()
    # After the last update no loss tells of it.
    if not fault and not all(bool(weights.isfinite().all()) for weights in network.parameters()):
        fault = f"weights not finite after update {options.steps}"
    return Trained(losses, time.perf_counter() - begin, fault)


@torch.no_grad()
def accuracy(network: SequenceNetwork, task: MemoryTask, gap: int, size: int, seed: int) -> float:
    """The share of right answers over a gap.

    Args:
        network: any.
        task: where the sequences come from.
        gap: the gap of all of them.
        size: how many.
        seed: of the training; the test sequences are of another random stream, the same for every network. At short
            gaps there are so few different ones that most were also trained on.

    Returns:
        Right answers by answers.
    """
    device = network.head.weight.device
    inputs, targets = task.batch(gap, size, stream(seed, "test"))  # [B, T, I], [B, A]
    network.eval()
    right = 0
    for some, wanted in zip(inputs.split(500), targets.split(500), strict=True):
        answers = network(some.to(device), wanted.shape[1])  # [B, A, D]
        right += int(task.right(answers, wanted.to(device)).sum())
    return right / targets.numel()
