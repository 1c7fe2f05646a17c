"""The training loop: epochs, dev scores, early stopping, the best weights, checkpoints, resuming. It knows no task."""

from __future__ import annotations

import json
import math
import time
from contextlib import nullcontext
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seqkit._version import __version__
from seqkit.config import TrainingSettings
from seqkit.devices import arithmetic
from seqkit.errors import TrainingError, shown
from seqkit.files import write_atomically
from seqkit.formats.writers import finite
from seqkit.metrics.scores import shown_score
from seqkit.training.checkpoint import read_checkpoint, saying_what_is_left, write_checkpoint
from seqkit.training.distribution import ALONE, Group, Tensors
from seqkit.training.learner import Learner
from seqkit.training.optimisation import RunningAverage, Schedule
from seqkit.training.progress import Progress
from seqkit.training.signals import Interrupted, Signals
from seqkit.training.stepping import Diverged, Step, Stepper

HISTORY = "train.jsonl"
NOTE_EVERY = 20
"""steps between looks at the loss: reading it from a GPU waits for the GPU"""
NORM_POINTS = 50
"""stretches of an epoch, of equally many steps, for each of which the mean norm of the gradient is kept"""
CHEAP_SECONDS = 1.0
"""a checkpoint that takes no longer is written at the end of every epoch"""
CHECKPOINT_SPACING = 10
"""the end of an epoch has none if the last one took longer, and ended less than so many times its duration ago"""


class Trainer:
    """Trains a network.

    Args:
        learner: what is trained.
        settings: how.
        output: where ``train.jsonl`` and ``checkpoint/`` go.
        progress: where messages go.
        group: the processes that train together; all take the same steps, and the first one writes.
    """

    def __init__(
        self, learner: Learner, settings: TrainingSettings, output: Path, progress: Progress, group: Group = ALONE
    ) -> None:
        self.learner = learner
        self.settings = settings
        self.output = output
        self.progress = progress
        self.group = group
        self.stepper = Stepper(learner, settings, group, progress)
        self.parameters = self.stepper.parameters
        self._begin_alike()
        self.schedule = Schedule(settings)
        self.epoch = 0
        self.position = 0
        self.step = 0
        self.rate = 0.0
        self.stale = 0
        self.best_score = self.best_tie = -math.inf
        self.best_epoch = 0
        self.best_weights: dict[str, Tensor] = {}
        self.history: list[dict[str, Any]] = []
        self.sums = {"loss": 0.0, "units": 0, "tokens": 0, "norm": 0.0, "seconds": 0.0}
        self.norms: list[list[float]] = []
        self.elapsed = 0.0
        self.signals = Signals()
        self._clock = self._checkpointed = time.monotonic()
        self._writing = 0.0
        self._saved = (0, 0)

    def _begin_alike(self) -> None:
        """See that all processes have the same settings, data and weights; from here on each draws its own masks.

        Raises:
            TrainingError: they have not.
        """
        own = self._fingerprint()
        for name, value in self.group.tell(own)[0].items():
            if own.get(name) != value:
                other = f"{own.get(name)} in process {self.group.rank}"
                raise TrainingError(f"{name} must be the same in all processes: it is {value} in the first and {other}")
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
        self._clock = self._checkpointed = time.monotonic()
        self.stepper.use_sparse_gradients(True)
        with self.progress, self.signals.noted():
            while self.epoch < self.settings.epochs and not self._is_over():
                self._train_epoch()
                try:
                    self._end_epoch()
                except Interrupted:
                    if self.position:  # the epoch has not been evaluated
                        self.checkpoint()
                    raise
            if self._saved != (self.epoch, self.step):
                self.checkpoint()
        for parameter in self.parameters.values():
            parameter.requires_grad_(True)  # also what was still frozen at the end
        with torch.no_grad():
            for name, weight in self.best_weights.items():
                self.parameters[name].copy_(weight)
        self.stepper.use_sparse_gradients(False)
        self.learner.network.eval()

    def _train_epoch(self) -> None:
        batches = self.learner.batches(self.epoch, self.group.share)
        frozen = self.learner.frozen(self.epoch)
        for name, parameter in self.parameters.items():
            parameter.requires_grad_(name not in frozen)
        advance = self.progress.epoch(f"epoch {self.epoch + 1}", len(batches), self.position)
        self.learner.network.train()
        pending: list[Step] = []
        began = time.monotonic()
        while self.position < len(batches):
            self.rate = self.schedule.rate(self.epoch + self.position / len(batches))
            asked = (bool(self.signals) or self._checkpoint_due(), self._out_of_time())
            taken, (save, stop) = self.stepper.step(batches[self.position], self.rate, self.step + 1, asked)
            save = save or (self.group.size == 1 and bool(self.signals))  # it may have come meanwhile
            pending.append(taken)
            self.step += 1
            self.position += 1
            if save or stop or len(pending) == NOTE_EVERY or self.position == len(batches):
                self._note(pending, len(batches))
                pending = []
                self.sums["seconds"] += time.monotonic() - began
                began = time.monotonic()
                if save:
                    self.checkpoint()
            if stop:
                break
            mean = self.sums["loss"] / max(1, self.sums["units"])
            advance(f"loss {mean:.4f}")
        self.sums["seconds"] += time.monotonic() - began

    def _note(self, pending: list[Step], batches: int) -> None:
        """Record the last steps, up to `position`."""
        first = self.position - len(pending)
        for place, waited in enumerate(pending):
            taken = waited._replace(loss=waited.loss.cpu(), norm=waited.norm.cpu())  # fetched once
            self.stepper.check_finite(taken, self.step - len(pending) + place + 1)
            self.sums["tokens"] += taken.tokens
            if not self.stepper.is_finite(taken):
                self.sums["skipped"] = self.sums.get("skipped", 0) + 1
                continue
            self.sums["loss"] += float(taken.loss) * taken.units
            self.sums["units"] += taken.units
            norm = float(taken.norm)
            if not math.isfinite(norm):
                self.sums["overflows"] = self.sums.get("overflows", 0) + 1
                continue
            self.sums["norm"] += norm
            stretch = (first + place) * min(NORM_POINTS, batches) // batches
            self.norms += [[0.0, 0.0]] * (stretch + 1 - len(self.norms))
            total, count = self.norms[stretch]
            self.norms[stretch] = [total + norm, count + 1]

    def _end_epoch(self) -> None:
        if not self.sums["units"] and self.sums.get("skipped"):
            raise Diverged(
                f"none of the {self.position} batches of epoch {self.epoch + 1} had a finite loss and gradient; "
                "try a smaller --lr"
            )
        self.stepper.check_finite_weights(self.step)
        average = self.stepper.average
        began = time.monotonic()
        with nullcontext() if average is None else average.applied():
            scores = self._evaluate()
            score = next(iter(scores.values()))
            # Of equal scores, which small dev data often have, the one with the smaller loss is better.
            tie = -scores.get("loss", math.inf)
            better = self.settings.keep == "last" or (score, tie) > (self.best_score, self.best_tie)
            if better:
                self.best_score, self.best_tie = score, tie
                self.best_epoch, self.stale = self.epoch + 1, 0
                self.best_weights = {name: p.detach().clone() for name, p in self.parameters.items()}
            else:
                self.stale += 1
        self.schedule.observe(score)
        if average is None and 0 < self.settings.asgd_patience <= self.stale:
            self.stepper.average = RunningAverage(self.parameters)
            self.progress.say(f"no better dev score for {self.stale} epochs: averaging the weights from here on")
        self._record(scores, time.monotonic() - began, better)
        self.epoch += 1
        self.position = 0
        self.sums = dict.fromkeys(("loss", "units", "tokens", "norm", "seconds"), 0)
        self.norms = []
        if self.group.any(bool(self.signals) or self._checkpoint_due() or not self._is_too_soon()):
            self.checkpoint()

    def _evaluate(self) -> dict[str, float]:
        """Scores on dev, by the first process. One alone stops at a signal, and evaluates again when it goes on."""
        with self.signals.raised() if self.group.size == 1 else nullcontext():
            found = self.learner.evaluate() if self.group.is_first else None
        scores: dict[str, float] = self.group.tell(found)[0]
        return scores

    def _record(self, scores: dict[str, float], dev_seconds: float, better: bool) -> None:
        skipped = self.sums.get("skipped", 0)
        taken = max(1, self.position - self.sums.get("overflows", 0) - skipped)  # steps that had a gradient
        line = {
            "epoch": self.epoch + 1,
            "step": self.step,
            "loss": self.sums["loss"] / max(1, self.sums["units"]),
            "dev": scores,
            "best_epoch": self.best_epoch,
            "lr": self.rate,
            "gradient_norm": self.sums["norm"] / taken,
            "gradient_norms": [float(f"{total / max(1, count):.6g}") for total, count in self.norms],
            "skipped": skipped,
            "tokens_per_second": self.sums["tokens"] / max(1e-9, self.sums["seconds"]),
            "seconds": self.sums["seconds"],
            "dev_seconds": dev_seconds,
        }
        self.history.append(line)
        if self.group.is_first:
            lines = "".join(json.dumps(finite(entry)) + "\n" for entry in self.history)
            with saying_what_is_left(self.output):
                write_atomically(self.output / HISTORY, lines.encode("ascii"))
        if skipped:
            self.progress.say(
                f"warning: {skipped} of {self.position} batches skipped, their loss or gradient was not finite"
            )
        shown = "  ".join(f"{name} {shown_score(name, value)}" for name, value in scores.items())
        mark = "*" if better else " "
        self.progress.say(
            f"epoch {self.epoch + 1:>3}/{self.settings.epochs}  loss {line['loss']:.4f}  dev {shown} {mark}"
            f"  lr {line['lr']:.2g}  {line['tokens_per_second']:,.0f} {self.learner.unit}s/s"
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

    def _is_too_soon(self) -> bool:
        """Whether an epoch may end without a checkpoint, so that a large network's take at most a tenth of the time."""
        passed = time.monotonic() - self._checkpointed
        return self._writing > CHEAP_SECONDS and passed < CHECKPOINT_SPACING * self._writing

    def checkpoint(self) -> None:
        """Write a checkpoint.

        Raises:
            Interrupted: a signal asked for it.
            Diverged: the weights are not finite, so that the last checkpoint is the better one.
            TrainingError: it cannot be written; the last one is still whole.
        """
        began = time.monotonic()
        self.stepper.check_finite_weights(self.step)
        tensors = self._weights() | self.stepper.tensors()
        tensors |= {f"best.{name}": weight for name, weight in self.best_weights.items()}
        for rank, own in enumerate(self.group.collect(self._own_tensors())):
            tensors |= {_of_process(rank) + name: tensor for name, tensor in own.items()}
        state = {
            "seqkit_version": __version__,
            "fingerprint": self._fingerprint(),
            "counters": {name: getattr(self, name) for name in _COUNTERS},
            "elapsed": self._spent(),
            "schedule": self.schedule.state(),
            **self.stepper.state(),
        }
        if self.group.is_first:
            with saying_what_is_left(self.output):
                write_checkpoint(self.output, tensors, state)
        asked = self.group.any(bool(self.signals))  # and nobody ends before it is written
        self._checkpointed = time.monotonic()
        self._writing = self._checkpointed - began
        self._saved = (self.epoch, self.step)
        if asked:
            raise Interrupted(self.signals.number)

    def resume(self) -> bool:
        """Take up the checkpoint in the output directory, which only the first process reads.

        Returns:
            Whether there was one.

        Raises:
            TrainingError: it is damaged, or of other settings or data.
        """
        read = read_checkpoint(self.output, self.progress.say) if self.group.is_first else None
        state, tensors = self.group.tell(*((None, {}) if read is None else (read[1], read[0])))
        if state is None:
            return False
        try:
            self._take_up(tensors, state)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError, RuntimeError) as error:
            written = state.get("seqkit_version", __version__) if isinstance(state, dict) else __version__
            by = f", {written}," if written != __version__ else ""
            fault = f"{error} is missing" if isinstance(error, KeyError) else shown(error)
            raise TrainingError(
                f"{self.output}: the checkpoint is not in the format of this seqkit, {__version__} ({fault}); "
                f"start again with --force, or continue with the seqkit{by} that wrote it"
            ) from None
        self._saved = (self.epoch, self.step)
        return True

    def _take_up(self, tensors: Tensors, state: dict[str, Any]) -> None:
        found = {"processes": 1, **state["fingerprint"]}
        found.setdefault("training records", found.get("training sentences"))  # as older checkpoints call them
        for name, value in json.loads(json.dumps({"processes": 1, **self._fingerprint()})).items():
            other = found.get(name, value if name in self._arithmetic else self.learner.default(name))
            if other != value:
                expected = f"expected a checkpoint with {name} = {value}, found {other}"
                rounded = f" sums would be rounded differently: resume with {name} as it was, or"
                mend = rounded if name in self._arithmetic else ""
                raise TrainingError(f"{self.output}: {expected};{mend} start again with --force")
        self._take(tensors)
        device = self.stepper.device
        best = {name: tensors[f"best.{name}"].to(device) for name in self.parameters if f"best.{name}" in tensors}
        self.best_weights = best
        for name in _COUNTERS:
            if name in state["counters"]:  # older checkpoints have fewer
                setattr(self, name, state["counters"][name])
        self.elapsed = state["elapsed"]
        self.schedule.restore(state["schedule"])
        self.stepper.restore(tensors, state)
        mine = _of_process(self.group.rank)
        self._restore_own({name[len(mine) :]: tensor for name, tensor in tensors.items() if name.startswith(mine)})

    @cached_property
    def _arithmetic(self) -> dict[str, str]:
        """See `arithmetic`; older checkpoints say nothing of it."""
        return arithmetic(self.stepper.device) if self.settings.deterministic else {}

    def _fingerprint(self) -> dict[str, Any]:
        # One process says nothing of it, as before there could be several.
        found: dict[str, Any] = {"processes": self.group.size} if self.group.size > 1 else {}
        if self.settings.deterministic:  # with others the same sums may round differently
            found |= {
                "threads": torch.get_num_threads(),
                "torch": str(torch.__version__),
                "device": self.stepper.device.type,
                **self._arithmetic,
            }
        return {**self.learner.fingerprint(), **found}

    def _weights(self) -> Tensors:
        return {f"weights.{name}": weight for name, weight in self.parameters.items()}

    @torch.no_grad()
    def _take(self, tensors: Tensors) -> None:
        for name, parameter in self.parameters.items():
            parameter.copy_(tensors[f"weights.{name}"])

    def _own_tensors(self) -> Tensors:
        """What every process has for itself: its random state, and what its share of the task carries along."""
        tensors = {"random.cpu": torch.get_rng_state(), "parts": torch.tensor(self.stepper.parts)}
        if self.stepper.device.type == "cuda":
            tensors["random.cuda"] = torch.cuda.get_rng_state(self.stepper.device)
        if self.stepper.device.type == "mps":
            tensors["random.mps"] = torch.mps.get_rng_state()
        return tensors | {f"carried.{name}": tensor for name, tensor in self.learner.pack(self.stepper.carried).items()}

    def _restore_own(self, tensors: Tensors) -> None:
        carried = {
            name.removeprefix("carried."): value for name, value in tensors.items() if name.startswith("carried.")
        }
        self.stepper.carried = self.learner.unpack(carried)
        self.stepper.parts = int(tensors.get("parts", 1))
        torch.set_rng_state(tensors["random.cpu"])
        if "random.cuda" in tensors and self.stepper.device.type == "cuda":
            torch.cuda.set_rng_state(tensors["random.cuda"], self.stepper.device)
        if "random.mps" in tensors and self.stepper.device.type == "mps":
            torch.mps.set_rng_state(tensors["random.mps"])


def _of_process(rank: int) -> str:
    """What the names of a process's own tensors begin with; those of the first have no mark."""
    return f"process.{rank}." if rank else ""


_COUNTERS = (
    "epoch", "position", "step", "rate", "stale", "best_score", "best_tie", "best_epoch", "history", "sums", "norms",
)  # fmt: skip
