"""One step of training: loss, gradient, clipping, update; and what is done where memory or numbers run out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from seqkit.config import TrainingSettings
from seqkit.errors import TrainingError, is_out_of_memory
from seqkit.training.distribution import Group
from seqkit.training.learner import Computed, Learner
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


class Diverged(TrainingError):
    """The loss, its gradient or the weights are not finite: these settings do not train this network."""


class Step(NamedTuple):
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
        learner: what is trained.
        settings: how.
        group: the processes that train together; all take the same steps.
        progress: where messages go.

    Attributes:
        parameters: the trained parameters, by name.
        optimizer: what updates them.
        average: the average of the weights, where there is one.
        parts: how many parts a batch is computed in, more than one after memory ran out.
        carried: what the next batch begins with.
    """

    def __init__(self, learner: Learner, settings: TrainingSettings, group: Group, progress: Progress) -> None:
        self.learner = learner
        self.settings = settings
        self.group = group
        self.progress = progress
        self.parameters = {name: p for name, p in learner.network.named_parameters() if p.requires_grad}
        self.optimizer = make_optimizer(settings, self.parameters.values())
        self.average: MovingAverage | RunningAverage | None = None
        if settings.average:
            self.average = MovingAverage(self.parameters, settings.average)
        self.device = next(iter(self.parameters.values())).device
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=settings.precision == "fp16")
        self.parts = 1
        self.carried: Any = None
        self._nothing = torch.zeros((), device=self.device)
        self.scaler.scale(self._nothing)  # otherwise it has no scale before the first loss, which an empty share lacks

    def use_sparse_gradients(self, training: bool) -> None:
        """Let tables of word vectors have sparse gradients while training, where the optimiser makes use of it."""
        # Several processes add whole gradients up, which takes one message.
        sparse = training and isinstance(self.optimizer, PlainSGD) and self.group.size == 1
        for module in self.learner.network.modules():
            if hasattr(module, "sparse_gradient"):
                module.sparse_gradient = sparse  # type: ignore[assignment]

    def step(self, batch: Any, rate: float, number: int, asked: Sequence[bool]) -> tuple[Step, tuple[bool, ...]]:
        """Take a step: forward, backward, clip, update.

        Args:
            batch: this process's share of what is learned from; None for an empty one.
            rate: the learning rate.
            number: the number of the step, for messages.
            asked: flags of this process.

        Returns:
            What is to be noted; and of every flag, whether any process raised it.

        Raises:
            Diverged: loss or gradient are not finite; where reading them would wait, `check_finite` tells.
            TrainingError: memory is too small for the smallest part of a batch.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        found = Computed(self._nothing, 0, 0, self.carried) if batch is None else self._forward_backward(batch)
        trained = [parameter for parameter in self.parameters.values() if parameter.requires_grad]
        loss, units, tokens, flags = self.group.add_up(trained, found.loss, found.units, found.tokens, asked)
        self.scaler.unscale_(self.optimizer)
        norm = clip_gradient(self.optimizer, self.parameters.values(), self.settings.clip, self.settings.clip_by)
        self.carried = found.carried
        step = Step(loss, norm, units, tokens, batch)
        skips, taken = self.settings.on_nan == "skip", None
        if skips and self._skips_itself:
            taken = self._left_out(step)
        elif (skips or self.device.type == "cpu") and not self.is_finite(step):
            self.check_finite(step, number)
            self.carried = None  # it may be NaN
            if not self.scaler.is_enabled():
                return step, flags
        self.scaler.step(self.optimizer)  # which leaves out a step itself, if it is enabled
        self.scaler.update()
        if self.average is not None:
            self.average.update(taken)
        return step, flags

    @property
    def _skips_itself(self) -> bool:
        """Whether the optimiser can be told on the device to leave out a step, so that nobody waits to be told."""
        return self.device.type != "cpu" and getattr(self.optimizer, "_step_supports_amp_scaling", False)

    def _left_out(self, step: Step) -> Tensor | None:
        """Let the next step be left out, and what is carried begin anew, if loss or gradient are not finite.

        Args:
            step: the step.

        Returns:
            Whether it will be taken, a scalar of the device; None where the scaler decides that.
        """
        finite = step.loss.isfinite()
        if not self.scaler.is_enabled():
            finite = finite & step.norm.isfinite()
            self.optimizer.found_inf = (~finite).float()  # type: ignore[attr-defined]
        self.carried = _zero_unless(finite, self.carried)
        return None if self.scaler.is_enabled() else finite

    def _forward_backward(self, batch: Any) -> Computed:
        r"""Loss and gradient of a batch, in as many parts as memory asks for.

        Of parts they are :math:`\ell = \sum_i u_i \ell_i / u` and :math:`\nabla\ell = \sum_i u_i \nabla\ell_i / u`.
        """
        while True:
            parts = [batch] if self.parts == 1 else self.learner.divide(batch, self.parts)
            try:
                found: list[Computed] = []
                for part in parts:
                    computed = self.learner.compute(part, self.carried)
                    # By a share that is about 1, since what is scaled for fp16 has no room for a factor of hundreds.
                    share = computed.units / max(1, found[0].units if found else computed.units)
                    scaled = computed.loss if len(parts) == 1 else computed.loss * share
                    self.scaler.scale(scaled).backward()
                    found.append(computed._replace(loss=computed.loss.detach()))
                return self._joined(found)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                fault = " ".join(str(error).split())[:200]
            # Outside the handler, whose exception keeps the tensors of the step alive.
            self._divide_further(batch, len(parts), fault)

    def _joined(self, parts: Sequence[Computed]) -> Computed:
        """What parts of a batch gave, as that of the whole."""
        if len(parts) == 1:
            return parts[0]
        units = sum(part.units for part in parts)
        for parameter in self.parameters.values():
            if parameter.grad is not None:
                parameter.grad.mul_(parts[0].units / max(1, units))
        total = torch.stack([part.loss * part.units for part in parts]).sum()
        carried = self.learner.join([part.carried for part in parts])
        return Computed(total / max(1, units), units, sum(part.tokens for part in parts), carried)

    def _divide_further(self, batch: Any, parts: int, fault: str) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        count = len(self.learner.divide(batch, 2 * parts))
        if count <= parts:
            reason = f" ({fault})" if fault else ""
            raise TrainingError(
                f"out of memory{reason} with {self.learner.name(batch)}, each by itself; try a smaller --hidden"
            )
        self.parts = max(self.parts, 2 * parts)
        self.progress.say(
            f"warning: out of memory: from here on a batch is computed in {self.parts} parts, with the same gradient"
        )

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
            {} if self.average is None else {"updates": int(self.average.updates)}
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

    # --- NaN and infinity -----------------------------------------------------------------------------------------

    def is_finite(self, step: Step) -> bool:
        """Whether loss and gradient of a step are finite: a gradient too large for fp16 only makes the scaler skip."""
        return math.isfinite(float(step.loss)) and (self.scaler.is_enabled() or math.isfinite(float(step.norm)))

    def check_finite(self, step: Step, number: int) -> None:
        """Tell of a loss or a gradient that is not finite, unless such steps are to be skipped.

        Args:
            step: the step.
            number: its number.

        Raises:
            Diverged: it is not.
        """
        if self.is_finite(step) or self.settings.on_nan == "skip":
            return
        named = [] if step.batch is None else [self.learner.name(step.batch)]
        where = " or ".join([*named, *(["another process's share"] if self.group.size > 1 else [])])
        raise Diverged(
            f"the loss is {float(step.loss):g} and the gradient norm {float(step.norm):g} at step {number}, in "
            f"{where}; try a smaller --lr or --clip, or skip such batches with --on-nan skip"
        )

    def check_finite_weights(self, number: int) -> None:
        """Check that the weights may be kept: a step can be too long even where its gradient is finite.

        Args:
            number: the number of the last step.

        Raises:
            Diverged: they may not.
        """
        weights = [weight.detach() for weight in self.parameters.values()]
        norms = torch.stack(torch._foreach_norm(weights))
        if bool(torch.isfinite(norms).all()):
            return
        for name, weight in zip(self.parameters, weights, strict=True):
            if not bool(torch.isfinite(weight).all()):  # the norm of large numbers may be infinite
                raise Diverged(f"the weights {name} are not finite after step {number}; try a smaller --lr or --clip")


def _zero_unless(finite: Tensor, carried: Any) -> Any:
    """What is carried along, tuples of tensors, or zeros, with which everything begins."""
    if isinstance(carried, tuple):
        return tuple(_zero_unless(finite, part) for part in carried)
    return torch.where(finite, carried, 0) if isinstance(carried, Tensor) else carried
