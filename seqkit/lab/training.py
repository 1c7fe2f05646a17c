"""Models of artificial sequences: how they are made and trained."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from seqkit.config import Settings, parse_settings
from seqkit.errors import ModelError, SettingsError
from seqkit.inputs.building import build_encoder
from seqkit.inputs.frames import FrameInput
from seqkit.lab.recall import Recall
from seqkit.lab.sequences import MemoryTask
from seqkit.model.base import Model
from seqkit.nn.encoder import Encoder
from seqkit.training.learner import Computed, Integers, RecordLearner
from seqkit.training.progress import Progress
from seqkit.training.stepping import Diverged
from seqkit.training.trainer import Trainer

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


@contextmanager
def seeded_weights(seed: int) -> Iterator[None]:
    """Within it a seed decides what is drawn from the global random generator, which is left as it was.

    Args:
        seed: the seed of the run.

    Yields:
        Nothing.
    """
    with torch.random.fork_rng(devices=[]):
        torch.set_rng_state(stream(seed, "weights").get_state())
        yield


def make_encoder(cell: str, input_size: int, network: NetworkOptions, seed: int = 1) -> Encoder:
    """A forward encoder with fresh weights.

    Args:
        cell: a key of `seqkit.nn.recurrent.CELLS`.
        input_size: I.
        network: its other settings.
        seed: the seed of the weights.

    Returns:
        The encoder.

    Raises:
        SettingsError: the settings do not fit the cell.
    """
    settings = _settings(cell, network)
    with seeded_weights(seed), _naming(cell):
        return build_encoder(settings.encoder, input_size)


def make_model(cell: str, task: MemoryTask, network: NetworkOptions, training: TrainingOptions) -> Model:
    """A model that reads the sequences of a task: a forward encoder under a `Recall` head, with fresh weights.

    Args:
        cell: a key of `seqkit.nn.recurrent.CELLS`.
        task: the source of the sequences.
        network: the settings of the encoder.
        training: how it is to be trained, and the seed of the weights.

    Returns:
        The model.

    Raises:
        SettingsError: the settings do not fit the cell.
    """
    lr = task.lr if training.lr is None else training.lr
    settings = _settings(cell, network, lr=lr, clip=training.clip)
    with seeded_weights(training.seed), _naming(cell):
        return Model.assemble(settings, FrameInput(settings, task.input_size), Recall(task))


def _settings(cell: str, network: NetworkOptions, **training: float) -> Settings:
    """The settings of a model, but of its head, of which they say nothing."""
    sizes = {"hidden": network.hidden, "layers": network.layers, "forget_bias": network.forget_bias}
    start = {"init": network.init, "init_gain": network.gain, "direction": "forward", "dropout": 0.0}
    course = {"optimizer": "adam", "schedule": "cosine", "epochs": 1, "precision": "fp32"}
    tree = {
        "frames": {"normalize": "none"},
        "encoder": {"cell": cell, **sizes, **start},
        "training": {**course, **training},
    }
    return parse_settings({"task": "classify", "input": "frames", **tree}, cell)


@contextmanager
def _naming(cell: str) -> Iterator[None]:
    """Let a fault of the settings name the cell."""
    try:
        yield
    except SettingsError as error:
        raise SettingsError(f"{cell}: {error}") from None


def check_networks(cells: Iterable[str], tasks: Iterable[MemoryTask], network: NetworkOptions) -> None:
    """Build every network once, so that settings which do not fit a cell are found before training.

    Args:
        cells: keys of `seqkit.nn.recurrent.CELLS`.
        tasks: the tasks.
        network: the settings of the networks.

    Raises:
        SettingsError: the settings do not fit a cell.
    """
    for task in tasks:
        for cell in cells:
            make_encoder(cell, task.input_size, network)


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
    """The result of training a model.

    Attributes:
        losses: the loss of every update.
        seconds: the time of training alone.
        accuracies: the share of correct answers over each gap that was asked for; None where training stopped early.
        fault: why training stopped early; empty where it did not.
    """

    losses: list[float]
    seconds: float
    accuracies: list[float] | None
    fault: str

    @property
    def loss(self) -> float:
        """The mean of the last tenth of the losses."""
        return mean_of_last_tenth(self.losses)


class DrawingLearner(RecordLearner):
    """Learns from sequences that are drawn for each update, the same ones for every model.

    It is scored on sequences of another random stream, also the same ones for every model. For short gaps there are so
    few different sequences that most are also training sequences.

    Args:
        model: the model, with a `Recall` head.
        options: how it is trained.
        gaps: the gaps to score it at.
        size: the number of sequences for each of them.

    Attributes:
        losses: the loss of every update so far.
    """

    def __init__(self, model: Model, options: TrainingOptions, gaps: Sequence[int], size: int) -> None:
        self.task: MemoryTask = model.head.task
        self.options = options
        self.losses: list[Tensor] = []
        tests = (self.task.records(gap, size, stream(options.seed, "test")) for gap in gaps)
        super().__init__(model, [], list(chain.from_iterable(tests)), None)

    def batches(self, epoch: int, share: slice) -> Sequence[Integers]:
        """See `RecordLearner.batches`; each is drawn when it is asked for, and all but the last one are forgotten."""
        return _Draws(self, stream(self.options.seed, "training"))

    def draw(self, step: int, generator: torch.Generator) -> Integers:
        """Draw what an update learns from.

        Args:
            step: the update, counted from 0.
            generator: the stream of training.

        Returns:
            The numbers of its sequences.
        """
        largest = self.options.largest_gap(step)
        gap = int(torch.randint(min(1, largest), largest + 1, (), generator=generator))
        records = self.task.records(gap, self.options.batch_size, generator)
        self.arrays, self.targets = self.model.input.arrays(records), self.model.head.targets(records)
        return np.arange(len(records))

    def compute(self, batch: Integers, carried: Any = None) -> Computed:
        """See `RecordLearner.compute`."""
        found = super().compute(batch, carried)
        self.losses.append(found.loss.detach())
        return found

    def name(self, batch: Integers) -> str:
        """See `RecordLearner.name`."""
        return f"sequences of {self.task.name}"


class _Draws(Sequence[Any]):
    """The batches of a `DrawingLearner`, one after the other."""

    def __init__(self, learner: DrawingLearner, generator: torch.Generator) -> None:
        self._learner = learner
        self._generator = generator

    def __len__(self) -> int:
        return self._learner.options.steps

    def __getitem__(self, step: Any) -> Any:
        return self._learner.draw(step, self._generator)


def train_model(model: Model, options: TrainingOptions, gaps: Sequence[int], size: int) -> Trained:
    """Train a model of artificial sequences, and measure its accuracy by gap.

    An infinite or NaN loss, gradient or weight ends the training.

    Args:
        model: what `make_model` made for these options; changed in place.
        options: how to train.
        gaps: the gaps to measure at.
        size: the number of sequences for each of them.

    Returns:
        The losses, the time, the accuracies, and the fault if there was one.
    """
    learner = DrawingLearner(model, options, gaps, size)
    fault = ""
    began = time.perf_counter()
    with TemporaryDirectory() as folder:  # of a checkpoint that nobody needs
        trainer = Trainer(learner, model.settings.training, Path(folder), Progress(quiet=True))
        try:
            trainer.run()
        except (Diverged, ModelError) as error:
            fault = str(error).partition(";")[0]  # what it says then is of other commands
    losses = [float(loss) for loss in learner.losses]
    if fault:
        return Trained(losses, time.perf_counter() - began, None, fault)
    line = trainer.history[-1]
    return Trained(losses, line["seconds"], [line["dev"][f"gap {gap}"] for gap in gaps], "")
