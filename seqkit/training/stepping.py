"""One step of training: loss, gradient, clipping, update; and what is done where memory or numbers run out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from seqkit.config import TrainingSettings
from seqkit.errors import TrainingError, is_out_of_memory
from seqkit.nn.embedding import WordEmbedding
from seqkit.training.distribution import Group
from seqkit.training.optimisation import (
    MovingAverage,
    PlainSGD,
    RunningAverage,
    clip_gradient,
    make_optimizer,
    optimizer_tensors,
    restore_optimizer,
)
from seqkit.training.progress import Progress

__all__ = ["Diverged", "Learnable", "Stepper", "Taken"]


class Learnable(Protocol):
    """What a step needs to know of a task; `seqkit.training.task.TrainingTask` says what each means."""

    @property
    def network(self) -> nn.Module:
        """What is trained."""

    def loss(self, batch: Any) -> tuple[Tensor, int, int]:
        """The loss of a batch, a scalar with gradient; how many units it is the mean of; how many tokens it has."""

    def divided(self, batch: Any, count: int) -> Sequence[Any]:
        """A batch in so many parts, or fewer where it is smaller, for each of which `loss` can be asked in turn."""

    def named(self, batch: Any) -> str:
        """What messages call a batch: which sentences it has."""

    def state(self) -> dict[str, Tensor]:
        """What is carried from batch to batch."""

    def restore(self, state: dict[str, Tensor]) -> None:
        """Take up what is carried from batch to batch; of nothing, begin anew."""


class Diverged(TrainingError):
    """The loss, its gradient or the weights are not finite: these settings do not train this network."""


class Taken(NamedTuple):
    """What is to be noted of a step.

    Attributes:
        loss: a scalar.
        norm: the norm of its gradient before clipping, a scalar.
        units: what the loss is the mean of.
        tokens: how many there were.
        batch: what was learned from.
    """

    loss: Tensor
    norm: Tensor
    units: int
    tokens: int
    batch: Any


class Stepper:
    """Takes the steps of a training.

    Args:
        task: what is trained.
        settings: how.
        group: the processes that train together; all take the same steps.
        progress: where messages go.

    Attributes:
        parameters: the trained parameters, by name.
        optimizer: what updates them.
        average: the average of the weights, where there is one.
        parts: how many parts a batch is computed in, more than one after memory ran out.
    """

    def __init__(self, task: Learnable, settings: TrainingSettings, group: Group, progress: Progress) -> None:
        self.task = task
        self.settings = settings
        self.group = group
        self.progress = progress
        self.parameters = {name: p for name, p in task.network.named_parameters() if p.requires_grad}
        self.optimizer = make_optimizer(settings, self.parameters.values())
        self.average: MovingAverage | RunningAverage | None = None
        if settings.average:
            self.average = MovingAverage(self.parameters, settings.average)
        self.device = next(iter(self.parameters.values())).device
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=settings.precision == "fp16")
        self.parts = 1
        self._nothing = torch.zeros((), device=self.device)

    def use_sparse_gradients(self, training: bool) -> None:
        """Let tables of word vectors have sparse gradients while training, where the optimiser makes use of it."""
        # Several processes add whole gradients up, which takes one message.
        sparse = training and isinstance(self.optimizer, PlainSGD) and self.group.size == 1
        for module in self.task.network.modules():
            if isinstance(module, WordEmbedding):
                module.sparse_gradient = sparse

    def take(self, batch: Any, rate: float, step: int, asked: Sequence[bool]) -> tuple[Taken, tuple[bool, ...]]:
        """Take a step.

        Args:
            batch: this process's share of what is learned from; None for an empty one.
            rate: the learning rate.
            step: the number of the step, for messages.
            asked: flags of this process.

        Returns:
            What is to be noted; and of every flag, whether any process raised it.

        Raises:
            Diverged: loss or gradient are not finite. Where reading them would wait for the device, `see_finite` tells.
            TrainingError: memory is too small for the smallest part of a batch.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        loss, units, tokens = (self._nothing, 0, 0) if batch is None else self._gradient(batch)
        trained = [parameter for parameter in self.parameters.values() if parameter.requires_grad]
        loss, units, tokens, flags = self.group.add_up(trained, loss, units, tokens, asked)
        self.scaler.unscale_(self.optimizer)
        norm = clip_gradient(self.optimizer, self.parameters.values(), self.settings.clip, self.settings.clip_by)
        taken = Taken(loss, norm, units, tokens, batch)
        skip = self.settings.on_nan == "skip"
        if (skip or self.device.type == "cpu") and not self.is_finite(taken):
            self.see_finite(taken, step)
            self.task.restore({})  # what it carries on may be spoilt
            if not self.scaler.is_enabled():
                return taken, flags
        self.scaler.step(self.optimizer)  # which leaves out a step itself, if it is enabled
        self.scaler.update()
        if self.average is not None:
            self.average.update()
        return taken, flags

    # --- checkpoints -------------------------------------------------------------------------------------------

    def tensors(self) -> dict[str, Tensor]:
        """What a checkpoint keeps of the optimiser and the average."""
        average = {} if self.average is None else self.average.average
        return optimizer_tensors(self.optimizer, "optimizer.") | {
            f"average.{name}": weight for name, weight in average.items()
        }

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps beside `tensors`."""
        return {"scaler": self.scaler.state_dict()} | (
            {} if self.average is None else {"updates": self.average.updates}
        )

    def restore(self, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
        """Take up what `tensors` and `state` gave.

        Args:
            tensors: with others of the checkpoint.
            state: with others of the checkpoint.
        """
        restore_optimizer(self.optimizer, tensors, "optimizer.")
        self.scaler.load_state_dict(state["scaler"])
        if self.settings.asgd_patience and "updates" in state:
            self.average = RunningAverage(self.parameters)
        if self.average is not None:
            self.average.average = {name: tensors[f"average.{name}"].to(self.device) for name in self.parameters}
            self.average.updates = state["updates"]

    # --- numbers that are none ---------------------------------------------------------------------------------

    def is_finite(self, taken: Taken) -> bool:
        """Whether a step's loss is a number, and its gradient: one too large for fp16 only makes the scaler skip it."""
        return math.isfinite(float(taken.loss)) and (self.scaler.is_enabled() or math.isfinite(float(taken.norm)))

    def see_finite(self, taken: Taken, step: int) -> None:
        """Tell of a loss or a gradient that is not finite, unless such steps are to be skipped.

        Args:
            taken: the step.
            step: its number.

        Raises:
            Diverged: it is not.
        """
        if self.is_finite(taken) or self.settings.on_nan == "skip":
            return
        found = f"found loss {float(taken.loss):g} and gradient norm {float(taken.norm):g} at step {step}"
        named = [] if taken.batch is None else [self.task.named(taken.batch)]
        where = " or ".join([*named, *(["another process's share"] if self.group.size > 1 else [])])
        advice = "try a smaller --lr or --clip, or leave such batches out by --on-nan skip"
        raise Diverged(f"expected a finite loss and gradient, {found}, in {where}; {advice}")

    def see_finite_weights(self, step: int) -> None:
        """See that the weights may be kept: a step can be too long even where its gradient is finite.

        Args:
            step: the number of the last step.

        Raises:
            Diverged: they may not.
        """
        weights = [weight.detach() for weight in self.parameters.values()]
        norms = torch.stack(torch._foreach_norm(weights))
        if bool(torch.isfinite(norms).all()):
            return
        for name, weight in zip(self.parameters, weights, strict=True):
            if not bool(torch.isfinite(weight).all()):  # the norm of large numbers may be infinite
                found = f"found others in {name} after step {step}"
                raise Diverged(f"expected finite weights, {found}; try a smaller --lr or --clip")

    # --- too little memory -------------------------------------------------------------------------------------

    def _gradient(self, batch: Any) -> tuple[Tensor, int, int]:
        """Compute loss and gradient of a batch, in as many parts as memory asks for."""
        before = self.task.state()
        while True:
            parts = [batch] if self.parts == 1 else self.task.divided(batch, self.parts)
            try:
                return self._gradient_of(parts)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                fault = " ".join(str(error).split())[:200]
            # Outside the handler, whose exception keeps the tensors of the step alive.
            self._divide_further(batch, len(parts), fault)
            self.task.restore(before)

    def _divide_further(self, batch: Any, parts: int, fault: str) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        count = len(self.task.divided(batch, 2 * parts))
        if count <= parts:
            expected = f"expected enough memory for {self.task.named(batch)}, each by itself"
            found = f"found too little ({fault})" if fault else "found too little"
            raise TrainingError(f"{expected}, {found}; try a smaller --hidden")
        self.parts = max(self.parts, 2 * parts)
        self.progress.say(
            f"warning: out of memory: from here on a batch is computed in {self.parts} parts, with the same gradient"
        )

    def _gradient_of(self, parts: Sequence[Any]) -> tuple[Tensor, int, int]:
        r"""Loss and gradient of a batch from those of its parts, :math:`\nabla\ell = \sum_i u_i \nabla\ell_i / u`."""
        if len(parts) == 1:
            loss, units, tokens = self.task.loss(parts[0])
            self.scaler.scale(loss).backward()
            return loss.detach(), units, tokens
        total, all_units, all_tokens, first = self._nothing, 0, 0, 0
        for part in parts:
            loss, units, tokens = self.task.loss(part)
            first = first or units
            # By a share that is about 1, since what is scaled for fp16 has no room for a factor of hundreds.
            self.scaler.scale(loss * (units / max(1, first))).backward()
            total = total + loss.detach() * units
            all_units += units
            all_tokens += tokens
        for parameter in self.parameters.values():
            if parameter.grad is not None:
                parameter.grad.mul_(first / max(1, all_units))
        return total / max(1, all_units), all_units, all_tokens
