"""One training loop for all tasks: steps, dev scores, early stopping, the best weights, checkpoints and resuming."""

from __future__ import annotations

import json
import math
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from seqkit.artefact import write_atomically
from seqkit.config import TrainingSettings
from seqkit.data.writers import finite
from seqkit.errors import TrainingError
from seqkit.nn.embedding import WordEmbedding
from seqkit.training.checkpoint import optimizer_tensors, read_checkpoint, restore_optimizer, write_checkpoint
from seqkit.training.distribution import ALONE, Group, Tensors
from seqkit.training.optimisation import (
    MovingAverage,
    PlainSGD,
    RunningAverage,
    Schedule,
    clip_gradient,
    make_optimizer,
)
from seqkit.training.progress import Progress

__all__ = ["HISTORY", "Diverged", "Interrupted", "Task", "Trainer"]

HISTORY = "train.jsonl"
NOTE_EVERY = 20
"""steps between looks at the loss: reading it from a GPU waits for the GPU"""


class Task(Protocol):
    """What the loop needs to know of a task; `seqkit.training.task.TrainingTask` says what each means."""

    metric: str

    @property
    def network(self) -> nn.Module:
        """What is trained."""

    def batches(self, epoch: int) -> Sequence[Any]:
        """This process's shares of an epoch's batches, in their order, reproducibly; None for an empty one."""

    def loss(self, batch: Any) -> tuple[Tensor, int, int]:
        """The loss of a batch, a scalar with gradient; how many units it is the mean of; how many tokens it has."""

    def evaluate(self) -> dict[str, float]:
        """Scores on dev; under `metric` the one to maximise."""

    def frozen(self, epoch: int) -> frozenset[str]:
        """The names of the parameters that are not trained in an epoch."""

    def state(self) -> dict[str, Tensor]:
        """What the task carries from batch to batch."""

    def restore(self, state: dict[str, Tensor]) -> None:
        """Take up what `state` gave."""

    def before(self, name: str) -> Any:
        """What a part of the fingerprint was for checkpoints that are older than it."""

    def fingerprint(self) -> dict[str, Any]:
        """What must agree for a checkpoint to be taken up: settings and data."""


_Noted = tuple[Tensor, Tensor, int]
"""of a step its loss, the norm of its gradient, and its units"""


class Diverged(TrainingError):
    """The loss or its gradient is not finite: these settings do not train this network."""


class Interrupted(KeyboardInterrupt):
    """Training was interrupted by a signal; a checkpoint has been written."""


class Trainer:
    """Trains the network of a task.

    Args:
        task: what is trained.
        settings: how.
        output: where ``train.jsonl`` and ``checkpoint/`` go.
        progress: where messages go.
        group: the processes that train together; all take the same steps, and the first one writes.
    """

    def __init__(
        self, task: Task, settings: TrainingSettings, output: Path, progress: Progress, group: Group = ALONE
    ) -> None:
        self.task = task
        self.settings = settings
        self.output = output
        self.progress = progress
        self.group = group
        self.parameters = {name: p for name, p in task.network.named_parameters() if p.requires_grad}
        self._begin_alike()
        self.optimizer = make_optimizer(settings, self.parameters.values())
        self.schedule = Schedule(settings)
        self.average: MovingAverage | RunningAverage | None = None
        if settings.average:
            self.average = MovingAverage(self.parameters, settings.average)
        self.device = next(iter(self.parameters.values())).device
        self._nothing = torch.zeros((), device=self.device)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=settings.precision == "fp16")
        self.epoch = 0
        self.position = 0
        self.step = 0
        self.rate = 0.0
        self.stale = 0
        self.best_score = -math.inf
        self.best_epoch = 0
        self.best_weights: dict[str, Tensor] = {}
        self.history: list[dict[str, Any]] = []
        self.sums = {"loss": 0.0, "units": 0, "tokens": 0, "norm": 0.0, "seconds": 0.0}
        self.elapsed = 0.0
        self._signal = 0

    def _begin_alike(self) -> None:
        """See that all processes have the same settings, data and weights; from here on each draws its own masks.

        Raises:
            TrainingError: they have not.
        """
        own = self._fingerprint()
        for name, value in self.group.tell(own)[0].items():
            if own.get(name) != value:
                found = f"found {own.get(name)} in process {self.group.rank}"
                raise TrainingError(f"expected the same {name} in all processes, {value} as in the first, {found}")
        self._take(self.group.tell(None, self._weights())[1])
        if not self.group.is_first:
            torch.manual_seed(int(np.random.SeedSequence((self.settings.seed, self.group.rank)).generate_state(1)[0]))

    # --- running -----------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Train until the epochs, the patience or the time is over, then leave the best weights in the network.

        Raises:
            Interrupted: Ctrl-C or SIGTERM came; a checkpoint has been written.
            Diverged: the loss or its gradient is not finite.
        """
        self._clock = time.monotonic()
        self._checkpointed = time.monotonic()
        # Several processes add whole gradients up, which takes one message.
        self._use_sparse_gradients(isinstance(self.optimizer, PlainSGD) and self.group.size == 1)
        with self.progress, self._signals():
            while self.epoch < self.settings.epochs and not self._is_over():
                self._train_epoch()
                self._end_epoch()
        for parameter in self.parameters.values():
            parameter.requires_grad_(True)  # also what was still frozen at the end
        with torch.no_grad():
            for name, weight in self.best_weights.items():
                self.parameters[name].copy_(weight)
        self._use_sparse_gradients(False)
        self.task.network.eval()

    def _use_sparse_gradients(self, sparse: bool) -> None:
        for module in self.task.network.modules():
            if isinstance(module, WordEmbedding):
                module.sparse_gradient = sparse

    def _train_epoch(self) -> None:
        batches = self.task.batches(self.epoch)
        frozen = self.task.frozen(self.epoch)
        for name, parameter in self.parameters.items():
            parameter.requires_grad_(name not in frozen)
        advance = self.progress.epoch(f"epoch {self.epoch + 1}", len(batches), self.position)
        self.task.network.train()
        pending: list[_Noted] = []
        began = time.monotonic()
        while self.position < len(batches):
            self.rate = self.schedule.rate(self.epoch + self.position / len(batches))
            noted, save, stop = self._step(batches[self.position])
            pending.append(noted)
            self.position += 1
            if save or len(pending) == NOTE_EVERY or self.position == len(batches):
                self._note(pending)
                pending = []
                self.sums["seconds"] += time.monotonic() - began
                began = time.monotonic()
                if save:
                    self.checkpoint()
            if stop:
                self._note(pending)
                break
            mean = self.sums["loss"] / max(1, self.sums["units"])
            advance(f"loss {mean:.4f}")
        self.sums["seconds"] += time.monotonic() - began

    def _step(self, batch: Any) -> tuple[_Noted, bool, bool]:
        """Take a step; give what is to be noted of it, whether a checkpoint is due, and whether the time is over."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate
        loss, units, tokens = (self._nothing, 0, 0) if batch is None else self.task.loss(batch)
        self.optimizer.zero_grad(set_to_none=True)
        scaled = self.scaler.scale(loss)
        if batch is not None:
            scaled.backward()
        trained = [parameter for parameter in self.parameters.values() if parameter.requires_grad]
        asked = (bool(self._signal) or self._checkpoint_due(), self._out_of_time())
        loss, units, tokens, (save, stop) = self.group.add_up(trained, loss, units, tokens, asked)
        self.scaler.unscale_(self.optimizer)
        norm = clip_gradient(self.optimizer, self.parameters.values(), self.settings.clip, self.settings.clip_by)
        if norm.device.type == "cpu" and self._is_fatal(float(norm)):  # from elsewhere it is read in `_note`
            self._not_finite(float(loss), float(norm), self.step + 1)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.average is not None:
            self.average.update()
        self.step += 1
        self.sums["tokens"] += tokens
        save = save or (self.group.size == 1 and bool(self._signal))  # it may have come meanwhile
        return (loss, norm, units), save, stop

    def _note(self, pending: list[_Noted]) -> None:
        for step, (loss, gradient_norm, units) in enumerate(pending, self.step - len(pending) + 1):
            value, norm = float(loss), float(gradient_norm)
            if not math.isfinite(value) or self._is_fatal(norm):
                self._not_finite(value, norm, step)
            self.sums["loss"] += value * units
            self.sums["units"] += units
            if math.isfinite(norm):
                self.sums["norm"] += norm
            else:
                self.sums["overflows"] = self.sums.get("overflows", 0) + 1

    def _is_fatal(self, norm: float) -> bool:
        """Whether a gradient spoils the weights: in fp16 one that is not finite only makes the scaler skip the step."""
        return self.settings.precision != "fp16" and not math.isfinite(norm)

    def _not_finite(self, loss: float, norm: float, step: int) -> NoReturn:
        found = f"found loss {loss:g} and gradient norm {norm:g} at step {step}"
        raise Diverged(f"expected a finite loss and gradient, {found}; try a smaller --lr or --clip")

    def _end_epoch(self) -> None:
        network_average = self.average.applied() if self.average is not None else nullcontext()
        began = time.monotonic()
        with network_average:
            scores: dict[str, float] = self.group.tell(self.task.evaluate() if self.group.is_first else None)[0]
            score = scores[self.task.metric]
            better = score > self.best_score
            if better:
                self.best_score, self.best_epoch, self.stale = score, self.epoch + 1, 0
                self.best_weights = {name: p.detach().clone() for name, p in self.parameters.items()}
            else:
                self.stale += 1
        self.schedule.observe(score)
        if self.average is None and 0 < self.settings.average_trigger <= self.stale:
            self.average = RunningAverage(self.parameters)
            self.progress.say(f"no better score on dev for {self.stale} epochs: weights are averaged from here on")
        self._record(scores, time.monotonic() - began, better)
        self.epoch += 1
        self.position = 0
        self.sums = dict.fromkeys(self.sums, 0)
        self.checkpoint()

    def _record(self, scores: dict[str, float], dev_seconds: float, better: bool) -> None:
        taken = max(1, self.position - self.sums.get("overflows", 0))  # steps that had a gradient
        line = {
            "epoch": self.epoch + 1,
            "step": self.step,
            "loss": self.sums["loss"] / max(1, self.sums["units"]),
            "dev": scores,
            "best_epoch": self.best_epoch,
            "lr": self.rate,
            "gradient_norm": self.sums["norm"] / taken,
            "tokens_per_second": self.sums["tokens"] / max(1e-9, self.sums["seconds"]),
            "seconds": self.sums["seconds"],
            "dev_seconds": dev_seconds,
        }
        self.history.append(line)
        if self.group.is_first:
            lines = "".join(json.dumps(finite(entry)) + "\n" for entry in self.history)
            write_atomically(self.output / HISTORY, lines.encode("ascii"))
        shown = "  ".join(f"{name} {value:.4f}" for name, value in scores.items())
        mark = "*" if better else " "
        self.progress.say(
            f"epoch {self.epoch + 1:>3}/{self.settings.epochs}  loss {line['loss']:.4f}  dev {shown} {mark}"
            f"  lr {line['lr']:.2g}  {line['tokens_per_second']:,.0f} tokens/s"
        )

    def _is_over(self) -> bool:
        # However short the time, there is one score on dev, and weights that got it.
        return 0 < self.settings.patience <= self.stale or (
            bool(self.best_weights) and self.group.any(self._out_of_time())
        )

    def _out_of_time(self) -> bool:
        return 0 < self.settings.time_limit * 60 <= self._spent()

    def _spent(self) -> float:
        """Seconds of training so far, also before a resumption."""
        return self.elapsed + time.monotonic() - self._clock

    # --- checkpoints -------------------------------------------------------------------------------------------

    def _checkpoint_due(self) -> bool:
        minutes = self.settings.checkpoint_minutes
        return 0 < minutes * 60 <= time.monotonic() - self._checkpointed

    def checkpoint(self) -> None:
        """Write a checkpoint.

        Raises:
            Interrupted: a signal asked for it.
        """
        tensors = self._weights()
        tensors |= {f"best.{name}": weight for name, weight in self.best_weights.items()}
        tensors |= optimizer_tensors(self.optimizer, "optimizer.")
        for rank, own in enumerate(self.group.collect(self._own_tensors())):
            tensors |= {_of_process(rank) + name: tensor for name, tensor in own.items()}
        state = {
            "fingerprint": self._fingerprint(),
            "counters": {name: getattr(self, name) for name in _COUNTERS},
            "elapsed": self._spent(),
            "schedule": self.schedule.state(),
            "scaler": self.scaler.state_dict(),
        }
        if self.average is not None:
            tensors |= {f"average.{name}": weight for name, weight in self.average.average.items()}
            state["updates"] = self.average.updates
        if self.group.is_first:
            write_checkpoint(self.output, tensors, state)
        self._checkpointed = time.monotonic()
        if self.group.any(bool(self._signal)):  # and nobody ends before it is written
            raise Interrupted

    def resume(self) -> bool:
        """Take up the checkpoint in the output directory, which only the first process reads.

        Returns:
            Whether there was one.

        Raises:
            TrainingError: it is damaged, or of other settings or data.
        """
        read = read_checkpoint(self.output) if self.group.is_first else None
        state, tensors = self.group.tell(*((None, {}) if read is None else (read[1], read[0])))
        if state is None:
            return False
        found = {"processes": 1, **state["fingerprint"]}
        for name, value in json.loads(json.dumps({"processes": 1, **self._fingerprint()})).items():
            other = found.get(name, self.task.before(name))
            if other != value:
                expected = f"expected a checkpoint with {name} = {value}"
                raise TrainingError(f"{self.output}: {expected}, found {other}; start again with --force")
        self._take(tensors)
        best = {name: tensors[f"best.{name}"].to(self.device) for name in self.parameters if f"best.{name}" in tensors}
        self.best_weights = best
        restore_optimizer(self.optimizer, tensors, "optimizer.")
        for name in _COUNTERS:
            setattr(self, name, state["counters"][name])
        self.elapsed = state["elapsed"]
        self.schedule.restore(state["schedule"])
        self.scaler.load_state_dict(state["scaler"])
        if self.settings.average_trigger and "updates" in state:
            self.average = RunningAverage(self.parameters)
        if self.average is not None:
            self.average.average = {name: tensors[f"average.{name}"].to(self.device) for name in self.parameters}
            self.average.updates = state["updates"]
        mine = _of_process(self.group.rank)
        self._restore_own({name[len(mine) :]: tensor for name, tensor in tensors.items() if name.startswith(mine)})
        return True

    def _fingerprint(self) -> dict[str, Any]:
        # One process says nothing of it, as before there could be several.
        processes = {"processes": self.group.size} if self.group.size > 1 else {}
        return {**self.task.fingerprint(), **processes}

    def _weights(self) -> Tensors:
        return {f"weights.{name}": weight for name, weight in self.parameters.items()}

    @torch.no_grad()
    def _take(self, tensors: Tensors) -> None:
        for name, parameter in self.parameters.items():
            parameter.copy_(tensors[f"weights.{name}"])

    def _own_tensors(self) -> Tensors:
        """What every process has for itself: its random state, and what its share of the task carries along."""
        tensors = {"random.cpu": torch.get_rng_state()}
        if self.device.type == "cuda":
            tensors["random.cuda"] = torch.cuda.get_rng_state(self.device)
        return tensors | {f"task.{name}": tensor for name, tensor in self.task.state().items()}

    def _restore_own(self, tensors: Tensors) -> None:
        self.task.restore(
            {name.removeprefix("task."): value for name, value in tensors.items() if name.startswith("task.")}
        )
        torch.set_rng_state(tensors["random.cpu"])
        if "random.cuda" in tensors and self.device.type == "cuda":
            torch.cuda.set_rng_state(tensors["random.cuda"], self.device)

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Turn Ctrl-C and SIGTERM into a flag that is looked at between steps; a second one ends at once."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def note(number: int, frame: FrameType | None) -> None:
            if self._signal:
                raise KeyboardInterrupt
            self._signal = number

        before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _of_process(rank: int) -> str:
    """What the names of a process's own tensors begin with; those of the first have no mark."""
    return f"process.{rank}." if rank else ""


_COUNTERS = ("epoch", "position", "step", "rate", "stale", "best_score", "best_epoch", "history", "sums")
