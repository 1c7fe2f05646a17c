"""Optimisers, learning-rate schedules and the moving average of weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from seqkit.config import TrainingSettings


class PlainSGD(torch.optim.Optimizer):
    r"""Stochastic gradient descent, :math:`\theta \leftarrow \theta - \eta\, c\, g`, and nothing else, on a CPU.

    A gradient that is too long is not shortened: the step is, by :math:`c = \min(1, m / \lVert g \rVert)`, which is the
    same with one pass less over all weights. A table of word vectors may have a sparse gradient, of the rows of the
    batch's words alone; the others are not touched.

    Args:
        parameters: what it updates.
        lr: :math:`\eta`.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], lr: float) -> None:
        super().__init__(list(parameters), {"lr": lr})
        self.share = 1.0

    @torch.no_grad()
    def clip(self, most: float, by: str = "norm") -> Tensor:
        """Let the next step be as if the gradient were no longer, or had no larger numbers, than this.

        Args:
            most: m; 0 for any.
            by: ``norm`` or ``value``.

        Returns:
            The gradient's norm as it was.
        """
        parts: list[Tensor] = []
        for parameter in self._updated():
            assert parameter.grad is not None
            if parameter.grad.is_sparse:
                parameter.grad = parameter.grad.coalesce()
            parts.append(parameter.grad.values() if parameter.grad.is_sparse else parameter.grad)
        norm = _norm(parts)
        # As `torch.nn.utils.clip_grad_norm_` has it.
        self.share = min(1.0, most / (float(norm) + 1e-6)) if most and by == "norm" else 1.0
        if most and by == "value":
            for part in parts:
                part.clamp_(-most, most)
        return norm

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient.

        Args:
            closure: not used.
        """
        rate = -self.param_groups[0]["lr"] * self.share
        updated = self._updated()
        whole = [parameter for parameter in updated if not _gradient(parameter).is_sparse]
        if whole:
            weights: list[Tensor] = list(whole)
            torch._foreach_add_(weights, [_gradient(parameter) for parameter in whole], alpha=rate)
        for parameter in updated:
            gradient = _gradient(parameter)
            if gradient.is_sparse:
                gradient = gradient.coalesce()
                parameter.index_add_(0, gradient.indices()[0], gradient.values(), alpha=rate)

    def _updated(self) -> list[nn.Parameter]:
        return [parameter for parameter in self.param_groups[0]["params"] if parameter.grad is not None]


def _gradient(parameter: nn.Parameter) -> Tensor:
    assert parameter.grad is not None
    return parameter.grad


def _norm(gradients: list[Tensor]) -> Tensor:
    """The norm of all of them together, a scalar."""
    if not gradients:
        return torch.zeros(())
    norm: Tensor = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
    return norm


def make_optimizer(settings: TrainingSettings, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """Build the optimiser that the settings name, in its fused form where torch has one for the device.

    Args:
        settings: optimizer, lr, momentum and weight_decay are read.
        parameters: what it updates.

    Returns:
        The optimiser.
    """
    wanted = [parameter for parameter in parameters if parameter.requires_grad]
    plain = settings.optimizer == "sgd" and not settings.momentum and not settings.weight_decay
    if plain and wanted and all(parameter.device.type == "cpu" for parameter in wanted):
        return PlainSGD(wanted, settings.lr)
    kinds: dict[str, tuple[type[torch.optim.Optimizer], dict[str, Any]]] = {
        "sgd": (torch.optim.SGD, {"momentum": settings.momentum}),
        "adam": (torch.optim.Adam, {"betas": (0.9, 0.999)}),
        "adamw": (torch.optim.AdamW, {"betas": (0.9, 0.999)}),
    }
    kind, options = kinds[settings.optimizer]
    options = {**options, "lr": settings.lr, "weight_decay": settings.weight_decay}
    # torch 2.3 takes SGD's fused form on the CPU, and has none to step with.
    fused = torch.__version__ >= "2.4" or all(parameter.device.type != "cpu" for parameter in wanted)
    try:
        found = kind(wanted, **{**options, "fused": fused or None})
    except RuntimeError:  # this device has no fused form
        found = kind(wanted, **options)
    _begin_momentum(found)
    return found


def _begin_momentum(optimizer: torch.optim.Optimizer) -> None:
    """Give SGD its momentum, zero at first, where there is none yet.

    Its fused form fails where some parameters have one and others, frozen until now, have none; and the memory of the
    first step is not filled where that step is left out because its gradient is not finite.
    """
    for group in optimizer.param_groups:
        for parameter in group["params"] if group.get("momentum") else ():
            if optimizer.state[parameter].get("momentum_buffer") is None:
                optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)


def optimizer_tensors(optimizer: torch.optim.Optimizer, prefix: str) -> dict[str, Tensor]:
    """The state of an optimiser as named tensors, for a checkpoint."""
    state = optimizer.state_dict()["state"]
    return {
        f"{prefix}{index}.{name}": torch.as_tensor(value)
        for index, values in state.items()
        for name, value in values.items()
        if value is not None
    }


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor], prefix: str) -> None:
    """Put back what `optimizer_tensors` gave."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        if key.startswith(prefix):
            index, _, name = key[len(prefix) :].partition(".")
            state.setdefault(int(index), {})[name] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    _begin_momentum(optimizer)


def clip_gradient(
    optimizer: torch.optim.Optimizer, parameters: Iterable[nn.Parameter], most: float, by: str = "norm"
) -> Tensor:
    """Let the next step be that of a gradient no longer than this (Pascanu, Mikolov & Bengio 2013), or without numbers
    beyond it (Mikolov 2012), which turns it, too.

    Args:
        optimizer: takes the step.
        parameters: what it updates; their gradients are changed, unless the optimiser shortens its step instead.
        most: the largest norm or value; 0 for any.
        by: ``norm`` or ``value``.

    Returns:
        The gradient's norm as it was, a scalar.
    """  # noqa: D205 - one sentence and what follows it
    if isinstance(optimizer, PlainSGD):
        return optimizer.clip(most, by)
    limited = list(parameters)
    if most and by == "norm":
        return nn.utils.clip_grad_norm_(limited, most)
    norm = _norm([parameter.grad for parameter in limited if parameter.grad is not None])
    if most:
        nn.utils.clip_grad_value_(limited, most)
    return norm


class Schedule:
    r"""The learning rate as a function of the epochs passed, e (a fraction within an epoch).

    - ``constant``: :math:`\eta_0`
    - ``inverse``: :math:`\eta_0 / (1 + d \lfloor e \rfloor)` (inverse-time decay, by whole epochs)
    - ``cosine``: :math:`\eta_0 \tfrac12 (1 + \cos(\pi (e - w) / (E - w)))` (Loshchilov & Hutter 2017)
    - ``plateau``: :math:`\eta_0 f^k`, k the number of plateaus met
    - ``step``: :math:`\eta_0 f^{\max(0, \lfloor e \rfloor + 1 - s)}`, s epochs at the full rate (Zaremba et al. 2014)

    During the first w epochs (warm-up) the rate grows linearly from zero.

    Args:
        settings: lr, schedule, warmup, decay, epochs, plateau_factor, plateau_patience, step_after and step_factor are
            read.
    """

    def __init__(self, settings: TrainingSettings) -> None:
        self.settings = settings
        self.best = -math.inf
        self.stale = 0
        self.plateaus = 0

    def rate(self, epoch: float) -> float:
        """The learning rate after so many epochs, counted from 0."""
        settings = self.settings
        if epoch < settings.warmup:
            return settings.lr * epoch / settings.warmup
        if settings.schedule == "inverse":
            return settings.lr / (1.0 + settings.decay * math.floor(epoch))
        if settings.schedule == "cosine":
            share = min(1.0, (epoch - settings.warmup) / (settings.epochs - settings.warmup))
            return settings.lr * 0.5 * (1.0 + math.cos(math.pi * share))
        if settings.schedule == "plateau":
            return settings.lr * settings.plateau_factor**self.plateaus
        if settings.schedule == "step":
            return settings.lr * settings.step_factor ** max(0, math.floor(epoch) + 1 - settings.step_after)
        return settings.lr

    def observe(self, score: float) -> None:
        """Take note of a dev score, higher is better; the plateau schedule counts epochs without a better one."""
        if score > self.best:
            self.best, self.stale = score, 0
            return
        self.stale += 1
        if self.stale > self.settings.plateau_patience:
            self.plateaus, self.stale = self.plateaus + 1, 0

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"best": self.best, "stale": self.stale, "plateaus": self.plateaus}

    def restore(self, state: dict[str, Any]) -> None:
        """Take up what `state` gave."""
        self.best, self.stale, self.plateaus = state["best"], state["stale"], state["plateaus"]


class _Average:
    """An average of the weights over the steps of a run, and its use in their place.

    Args:
        parameters: the weights to follow, by name.
    """

    def __init__(self, parameters: dict[str, nn.Parameter]) -> None:
        self.parameters = parameters
        self.updates: int | Tensor = 0
        self.average: dict[str, Tensor] = {name: parameter.detach().clone() for name, parameter in parameters.items()}

    def share(self, updates: Any) -> Any:
        """How much the newest weights count, between 0 and 1, after so many updates: a number, or a scalar tensor."""
        raise NotImplementedError  # pragma: no cover - both kinds override it

    @torch.no_grad()
    def update(self, taken: Tensor | None = None) -> None:
        """Take in the weights as they are after a step.

        Args:
            taken: whether there was one, a scalar that is not read; by default there was.
        """
        current = [parameter.detach() for parameter in self.parameters.values()]
        if taken is None:
            self.updates += 1
            torch._foreach_lerp_(list(self.average.values()), current, self.share(self.updates))
            return
        self.updates = self.updates + taken.long()
        share = torch.where(taken, self.share(self.updates), 0)
        for average, weight in zip(self.average.values(), current, strict=True):
            average.lerp_(weight, share.to(weight.dtype))

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Put the average in place of the weights for a while."""
        kept = {name: parameter.detach().clone() for name, parameter in self.parameters.items()}
        _copy(self.average, self.parameters)
        try:
            yield
        finally:
            _copy(kept, self.parameters)


class MovingAverage(_Average):
    r"""Exponential moving average of the weights, :math:`\bar\theta \leftarrow d\,\bar\theta + (1 - d)\,\theta`.

    The decay starts low, :math:`\min(d, (1 + n)/(10 + n))` after n updates, so that the first weights are soon
    forgotten (Polyak & Juditsky 1992; as in Szegedy et al. 2016).

    Args:
        parameters: the weights to follow, by name.
        decay: d, 0 < d < 1.
    """

    def __init__(self, parameters: dict[str, nn.Parameter], decay: float) -> None:
        super().__init__(parameters)
        self.decay = decay

    def share(self, updates: Any) -> Any:
        """See the class."""
        decay = (1 + updates) / (10 + updates)
        return 1.0 - (decay.clamp(max=self.decay) if isinstance(decay, Tensor) else min(self.decay, decay))


class RunningAverage(_Average):
    r"""The mean of the weights after every step since it began, :math:`\bar\theta = \frac1n \sum_{i=1}^n \theta_i`.

    Begun when the score on dev no longer improves, it is non-monotonically triggered averaging (Merity, Keskar &
    Socher 2018, "Regularizing and optimizing LSTM language models").

    Args:
        parameters: the weights to follow, by name.
    """

    def share(self, updates: Any) -> Any:
        """See the class."""
        return 1.0 / updates


@torch.no_grad()
def _copy(source: dict[str, Tensor], target: dict[str, nn.Parameter]) -> None:
    for name, value in source.items():
        target[name].copy_(value)
