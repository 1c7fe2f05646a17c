"""A small network trained on artificial sequences."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from seqkit.config import TrainingSettings
from seqkit.errors import SettingsError
from seqkit.lab.sequences import MemoryTask
from seqkit.nn.encoder import Encoder
from seqkit.training.optimisation import Schedule, clip_gradient, make_optimizer

_STREAMS = ("weights", "training", "test", "noise", "directions")


def stream(seed: int, purpose: str) -> torch.Generator:
    """A random stream on the CPU for one purpose, independent of those for the others.

    Args:
        seed: the seed of the run.
        purpose: ``weights``, ``training``, ``test``, ``noise`` or ``directions``.

    Returns:
        The generator.
    """
    # torch uses 32 bits of a seed: the purposes must differ in those.
    return torch.Generator().manual_seed((seed + 0x9E37_79B9 * _STREAMS.index(purpose)) % 2**32)


@dataclass(frozen=True)
class NetworkOptions:
    r"""The settings of a network, without its cell.

    Args:
        hidden: H, the size of the state.
        layers: the number of layers.
        init: the initialisation of the recurrent matrices; see `seqkit.nn.recurrent.RecurrentLayer`.
        gain: the factor of these matrices.
        forget_bias: the initial bias b of a forget gate. After T steps :math:`\sigma(b)^T` of the memory is left: 1/e
            with b = ln T, nine tenths with ln 10 T (Tallec & Ollivier 2018, "Can recurrent neural networks warp
            time?").
    """

    hidden: int = 64
    layers: int = 1
    init: str = "auto"
    gain: float = 1.0
    forget_bias: float = 1.0


@dataclass(frozen=True)
class TrainingOptions:
    r"""How a network is trained: with Adam, whose learning rate falls to zero along half a cosine.

    The gap of each batch is drawn uniformly from 1 … g, where g is `gap`, or grows linearly from 1 to `gap` during the
    share `growth` of the updates. Nothing is learned from long gaps alone: after 100 steps an LSTM with forget bias 1
    keeps :math:`\sigma(1)^{100} \approx 10^{-14}` of its memory, and a GRU less. With short gaps a network learns to
    keep its state, which then also helps over long ones. Growing gaps help every cell, simple ones most of all.

    Args:
        steps: the number of updates.
        batch_size: sequences per update.
        lr: the initial learning rate; None for that of the task.
        clip: the largest norm of a gradient; 0 for no limit.
        gap: the largest gap.
        growth: see above; 0 for all gaps from the start.
        seed: the seed of weights and sequences.
    """

    steps: int = 2000
    batch_size: int = 32
    lr: float | None = None
    clip: float = 1.0
    gap: int = 100
    growth: float = 0.0
    seed: int = 1

    def largest_gap(self, step: int) -> int:
        """The largest gap of an update.

        Args:
            step: the update, counted from 0.

        Returns:
            g, at least 1 unless `gap` is 0.
        """
        share = min(1.0, (step + 1) / (self.growth * self.steps)) if self.growth else 1.0
        return min(self.gap, max(1, round(share * self.gap)))

    @property
    def mixture(self) -> str:
        """The gaps in training, in words."""
        if not self.growth:
            return f"gaps mixed from 1 to {self.gap} from the first update on"
        return f"gaps mixed from 1 to a largest, which grows to {self.gap} in {100 * self.growth:g} % of the updates"


class SequenceNetwork(nn.Module):
    """A forward encoder under a linear head, with fresh weights; the global random generator is left as it was.

    Args:
        cell: a key of `seqkit.nn.recurrent.CELLS`.
        input_size: I.
        output_size: D.
        options: the settings of the network.
        seed: the seed of the weights.

    Raises:
        SettingsError: the settings do not fit the cell.
    """

    def __init__(self, cell: str, input_size: int, output_size: int, options: NetworkOptions, seed: int = 1) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.set_rng_state(stream(seed, "weights").get_state())
            try:
                self.encoder = Encoder(
                    input_size,
                    cell=cell,
                    hidden_size=options.hidden,
                    layers=options.layers,
                    direction="forward",
                    init=options.init,
                    init_gain=options.gain,
                    forget_bias=options.forget_bias,
                )
            except ValueError as error:
                raise SettingsError(f"{cell}: {error}") from None
            self.head = nn.Linear(self.encoder.output_size, output_size)

    @classmethod
    def of(cls, cell: str, task: MemoryTask, options: NetworkOptions, seed: int = 1) -> SequenceNetwork:
        """A network of the input and output size of a task."""
        return cls(cell, task.input_size, task.output_size, options, seed)

    def forward(self, x: Tensor, answers: int) -> Tensor:
        """Answer at the last steps.

        Args:
            x: inputs, [B, T, I].
            answers: A.

        Returns:
            The answers, [B, A, D].
        """
        lengths = torch.full((x.shape[0],), x.shape[1])  # [B]
        result: Tensor = self.head(self.encoder(x, lengths).outputs[:, -answers:])  # [B, A, D]
        return result


def check_networks(cells: Iterable[str], tasks: Iterable[MemoryTask], options: NetworkOptions) -> None:
    """Build every network once, so that settings which do not fit a cell are found before training.

    Args:
        cells: keys of `seqkit.nn.recurrent.CELLS`.
        tasks: the tasks.
        options: the settings of the networks.

    Raises:
        SettingsError: the settings do not fit a cell.
    """
    for task in tasks:
        for cell in cells:
            SequenceNetwork.of(cell, task, options)


def mean_of_last_tenth(values: Sequence[float]) -> float:
    """The mean of the last tenth of some values, at least of the last one.

    Args:
        values: at least one.

    Returns:
        The mean.
    """
    last = values[-max(1, len(values) // 10) :]
    return sum(last) / len(last)


class Trained(NamedTuple):
    """The result of training a network.

    Attributes:
        losses: the loss of every update.
        seconds: the time of training alone.
        fault: why training stopped early; empty where it did not.
    """

    losses: list[float]
    seconds: float
    fault: str

    @property
    def loss(self) -> float:
        """The mean of the last tenth of the losses."""
        return mean_of_last_tenth(self.losses)


def train_network(
    network: SequenceNetwork,
    task: MemoryTask,
    options: TrainingOptions,
    after: Callable[[int, float], None] = lambda step, loss: None,
) -> Trained:
    """Train a network on sequences that are drawn for each update, the same ones for every network.

    This is not a `seqkit.training.loop.Trainer`: there are no epochs, no dev set, no files and no checkpoints. An
    infinite or NaN loss ends the training.

    Args:
        network: changed in place.
        task: the source of the sequences.
        options: how to train.
        after: called after the backward pass and before the update, with the number of the update and the loss.

    Returns:
        The losses, the time, and the fault if there was one.
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
        inputs, targets = task.batch(gap, options.batch_size, generator)  # [B, T, I], [B, A]
        inputs, targets = inputs.to(device), targets.to(device)
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
    # No loss is computed after the last update.
    if not fault and not all(bool(weights.isfinite().all()) for weights in network.parameters()):
        fault = f"weights not finite after update {options.steps}"
    return Trained(losses, time.perf_counter() - begin, fault)


@torch.no_grad()
def accuracy(network: SequenceNetwork, task: MemoryTask, gap: int, size: int, seed: int) -> float:
    """The share of correct answers over a gap.

    Args:
        network: the network.
        task: the source of the sequences.
        gap: the gap of all sequences.
        size: the number of sequences.
        seed: the seed of the training; the test sequences come from another random stream, the same for every network.
            For short gaps there are so few different sequences that most are also training sequences.

    Returns:
        The share.
    """
    device = network.head.weight.device
    inputs, targets = task.batch(gap, size, stream(seed, "test"))  # [B, T, I], [B, A]
    network.eval()
    right = 0
    for some, wanted in zip(inputs.split(500), targets.split(500), strict=True):
        answers = network(some.to(device), wanted.shape[1])  # [B, A, D]
        right += int(task.right(answers, wanted.to(device)).sum())
    return right / targets.numel()
