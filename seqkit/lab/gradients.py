r"""How far back a gradient reaches: its norm at the state k steps before the loss, and layer by layer during training.

What reaches the state :math:`s_{t-k}` from a loss :math:`\ell` at step t is a product of k Jacobians,
:math:`\partial\ell/\partial s_{t-k} = J_{t-k+1}^\top \cdots J_t^\top\, \partial\ell/\partial s_t`, which shrinks or
grows geometrically (Hochreiter 1991; Bengio, Simard & Frasconi 1994; Pascanu, Mikolov & Bengio 2013). In a linear
network every factor is the recurrent matrix, and the rate is that matrix's spectral radius.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from seqkit.lab.decay import decay_rate, geometric_mean, lost_at, row_norms, verdict
from seqkit.lab.sequences import MemoryTask
from seqkit.lab.training import (
    NetworkOptions,
    TrainingOptions,
    accuracy,
    build_encoder,
    build_network,
    check_networks,
    stream,
    train_network,
)
from seqkit.nn.encoder import Encoder
from seqkit.nn.recurrent import RecurrentLayer

__all__ = [
    "GradientCurve",
    "TrainingCurve",
    "curve_of",
    "measure_gradients",
    "spectral_radius",
    "state_gradients",
    "train_and_measure",
]

WARM_UP = 32
"""steps before the first state that is looked at, so that it is none that only a beginning has: as many as the slowest
module of a clockwork network rests"""


def state_gradients(encoder: Encoder, x: Tensor, directions: Tensor, steps: int) -> Tensor:
    r"""The gradient that reaches earlier states from :math:`\ell = v \cdot h_T`, the last output in some direction.

    The states are what the network hands from step to step, all of a layer's together (h and c of an LSTM). The
    network is run step by step, and every state is kept in the graph.

    Args:
        encoder: reads forward; without dropout, or in its mode of use.
        x: inputs, [B, T, I].
        directions: v, [B, D].
        steps: K, at most T.

    Returns:
        The norms at the states T − 1 … T − K, [K, L, B], L being the layers.

    Raises:
        ValueError: there are fewer than K steps.
    """
    batch, total = x.shape[:2]
    if not 1 <= steps <= total:
        raise ValueError(f"expected 1 … {total} steps back, found {steps}")
    layers = encoder.layers
    before = total - steps
    state = tuple(layer.initial_state(batch, x) for layer in layers)
    if before:
        with torch.no_grad():
            given = encoder(x[:, :before], torch.full((batch,), before), return_state=True).state
        assert given is not None
        state = given
    one = torch.ones(batch, dtype=torch.int64)  # [B]
    seen: list[list[Tensor]] = []  # for each step and layer, the parts of the state that gradients flow through
    outputs = x
    for step in range(before, total):
        state = tuple(tuple(map(_own, parts)) for parts in state)
        seen += [_features(layer, parts) for layer, parts in zip(layers, state, strict=True)]
        encoded = encoder(x[:, step : step + 1], one, state, return_state=True)
        assert encoded.state is not None
        outputs, state = encoded.outputs, encoded.state  # [B, 1, D]
    loss = (outputs[:, 0] * directions).sum()
    flat = [part for parts in seen for part in parts]
    found = torch.autograd.grad(loss, flat, allow_unused=True)
    known = iter(
        torch.zeros_like(part) if gradient is None else gradient for part, gradient in zip(flat, found, strict=True)
    )  # each [B, H]
    norms = [row_norms(torch.cat([next(known) for _ in parts], 1)) for parts in seen]  # each [B]
    return torch.stack(norms).view(steps, len(layers), batch).flip(0)  # [K, L, B]


def _own(part: Tensor) -> Tensor:
    """The same numbers as a tensor of its own, so that h of a step is no way to c of the same step."""
    return part.view_as(part) if part.requires_grad else part.detach().clone().requires_grad_()


def _features(layer: RecurrentLayer, parts: Sequence[Tensor]) -> list[Tensor]:
    return [part for name, part in zip(layer.state_parts, parts, strict=True) if name not in layer.counters]


def spectral_radius(layer: RecurrentLayer) -> float | None:
    """The largest modulus of an eigenvalue of the recurrent matrix.

    Args:
        layer: any.

    Returns:
        The radius; None where there is not just one matrix from state to state, or not of finite numbers.
    """
    matrices = layer.recurrent_matrices()
    if len(matrices) != 1 or list(matrices[0].shape) != [layer.hidden_size] * 2 or not matrices[0].isfinite().all():
        return None
    return float(torch.linalg.eigvals(matrices[0].detach().double().cpu()).abs().max())


@dataclass(frozen=True)
class GradientCurve:
    """What reaches the state k steps before the loss, k = 1, 2 ….

    Args:
        cell: the cell's name.
        init: how the recurrent matrices begin.
        gain: what they are multiplied by.
        norms: the geometric mean over all sequences of all networks that the gradient reaches; 0 where it reaches none.
        reached: the share of sequences that it reaches.
        low: the smallest of the networks, each with the geometric mean of its own sequences.
        high: the largest of them.
        rate: see `decay_rate`.
        lost: see `lost_at`.
        spectral_radius: see there; the geometric mean of the networks.
    """

    cell: str
    init: str
    gain: float
    norms: list[float]
    reached: list[float]
    low: list[float]
    high: list[float]
    rate: float
    lost: int | None
    spectral_radius: float | None

    @property
    def verdict(self) -> str:
        """See `seqkit.lab.decay.verdict`."""
        return verdict(self.rate, self.lost)

    def to_json(self) -> dict[str, Any]:
        """The curve as a JSON object.

        Returns:
            Its fields and ``verdict``.
        """
        return {**asdict(self), "verdict": self.verdict}


def curve_of(
    cell: str, network: NetworkOptions, encoders: Sequence[Encoder], inputs: Sequence[Tensor], steps: int, seed: int
) -> GradientCurve:
    """Measure networks of one kind, in double precision on the CPU.

    Args:
        cell: what the curve is called.
        network: what it is said to be.
        encoders: the networks; they are left as they are.
        inputs: of each, [B, T, I].
        steps: K.
        seed: of the directions.

    Returns:
        The curve of all layers together.
    """
    generator = stream(seed, "directions")
    rows, radii = [], []
    for encoder, x in zip(encoders, inputs, strict=True):
        model = copy.deepcopy(encoder).cpu().double().eval()
        v = torch.randn(x.shape[0], model.output_size, generator=generator, dtype=torch.float64)  # [B, D]
        norms = state_gradients(model, x.cpu().double(), v / v.norm(dim=1, keepdim=True), steps)  # [K, L, B]
        rows.append(row_norms(norms.transpose(1, 2).flatten(0, 1)).view(steps, -1))  # [K, B]
        radii.append(spectral_radius(model.layers[0]) if len(model.layers) == 1 else None)
    table = torch.cat([geometric_mean(row)[None] for row in rows])  # [networks, K]
    every = torch.cat(rows, 1)  # [K, networks · B]
    mean = geometric_mean(every).tolist()  # [K]
    reached = (every != 0).double().mean(1).tolist()  # [K]
    known = [radius for radius in radii if radius is not None]
    radius = math.prod(known) ** (1 / len(known)) if known else None
    low, high = table.amin(0).tolist(), table.amax(0).tolist()
    about = (cell, network.init, network.gain)
    return GradientCurve(*about, mean, reached, low, high, decay_rate(mean), lost_at(mean), radius)


def measure_gradients(
    cells: Sequence[str],
    inits: Sequence[str],
    gains: Sequence[float],
    *,
    hidden: int = 64,
    steps: int = 100,
    batch_size: int = 16,
    networks: int = 3,
    scale: float = 1.0,
    forget_bias: float = 1.0,
    seed: int = 1,
    say: Callable[[str], None] = lambda line: None,
    after: Callable[[list[GradientCurve]], None] = lambda curves: None,
) -> list[GradientCurve]:
    """Networks as they begin, one layer, fed with noise: every cell by every initialisation by every gain.

    Args:
        cells: keys of `seqkit.nn.recurrent.CELLS`.
        inits: see `seqkit.nn.recurrent.RecurrentLayer`.
        gains: what the recurrent matrices are multiplied by.
        hidden: H, and the size of an input.
        steps: K, how far back.
        batch_size: sequences a network.
        networks: how many of each kind, which differ in weights, inputs and directions.
        scale: the standard deviation of the inputs, which are normal and independent.
        forget_bias: the bias of forget gates.
        seed: of the first network; the others follow.
        say: is told of the progress, a line each time.
        after: is called after each cell with all that has been measured so far.

    Returns:
        The curves, cell by cell.

    Raises:
        SettingsError: a network cannot be built so; nothing has been measured yet.
    """
    curves: list[GradientCurve] = []
    shape = (batch_size, WARM_UP + steps, hidden)
    seeds = range(seed, seed + networks)
    # The same inputs for every kind.
    inputs = [scale * torch.randn(shape, generator=stream(each, "noise")) for each in seeds]
    kinds = [NetworkOptions(hidden, 1, init, gain, forget_bias) for init in inits for gain in gains]
    for cell in cells:
        for network in kinds:
            build_encoder(cell, hidden, network, seed)
    for cell in cells:
        for network in kinds:
            encoders = [build_encoder(cell, hidden, network, each) for each in seeds]
            curves.append(curve_of(cell, network, encoders, inputs, steps, seed))
            rate = f"× {curves[-1].rate:.4f} a step, {curves[-1].verdict}"
            say(f"{cell} {network.init} gain {network.gain:g}: {rate}")
        after(curves)
    return curves


@dataclass(frozen=True)
class TrainingCurve:
    """A deep network in training.

    Args:
        cell: the cell's name.
        losses: of every update.
        layers: for each layer, from the input up, the norm of its parameters' gradient at every update, unclipped.
        before: what reached earlier states of all layers before training.
        after: the same after it; None where it came to no end.
        accuracy: the share of right answers over the largest gap, on sequences of another random stream; None likewise.
        fault: why training came to no end; empty where it did.
    """

    cell: str
    losses: list[float]
    layers: list[list[float]]
    before: GradientCurve
    after: GradientCurve | None
    accuracy: float | None
    fault: str = ""

    def to_json(self) -> dict[str, Any]:
        """The curve as a JSON object.

        Returns:
            Its fields.
        """
        after = None if self.after is None else self.after.to_json()
        return {**asdict(self), "before": self.before.to_json(), "after": after}


def train_and_measure(
    cells: Sequence[str],
    task: MemoryTask,
    network: NetworkOptions,
    training: TrainingOptions,
    *,
    steps: int = 100,
    batch_size: int = 16,
    device: torch.device | None = None,
    say: Callable[[str], None] = lambda line: None,
    after: Callable[[list[TrainingCurve]], None] = lambda curves: None,
) -> list[TrainingCurve]:
    """Train deep networks on an artificial task, and measure before, on the way and after.

    Args:
        cells: keys of `seqkit.nn.recurrent.CELLS`.
        task: where the sequences come from.
        network: see there.
        training: see there.
        steps: K, how far back before and after, in sequences of the task with at least such a gap.
        batch_size: sequences for this.
        device: where to train; the CPU by default.
        say: is told of the progress, a line each time.
        after: is called after each cell with all that has been measured so far.

    Returns:
        One curve a cell.

    Raises:
        SettingsError: a network cannot be built so; nothing has been trained yet.
    """
    place = device or torch.device("cpu")
    probe = [task.batch(WARM_UP + steps, batch_size, stream(training.seed, "noise")).inputs]
    check_networks(cells, [task], network)
    curves: list[TrainingCurve] = []
    for cell in cells:
        model = build_network(cell, task, network, training.seed, place)
        before = curve_of(cell, network, [model.encoder], probe, steps, training.seed)
        layers: list[list[float]] = [[] for _ in model.encoder.layers]

        def note(step: int, loss: float, model: Any = model, layers: list[list[float]] = layers) -> None:
            for norms, layer in zip(layers, model.encoder.layers, strict=True):
                gradients = [each.grad for each in layer.parameters() if each.grad is not None]
                norms.append(float(torch.stack(torch._foreach_norm(gradients)).norm()) if gradients else 0.0)

        trained = train_network(model, task, training, note)
        if trained.fault:
            curves.append(TrainingCurve(cell, trained.losses, layers, before, None, None, trained.fault))
            say(f"{cell}: {trained.fault}")
        else:
            later = curve_of(cell, network, [model.encoder], probe, steps, training.seed)
            share = accuracy(model, task, training.gap, 500, training.seed)
            curves.append(TrainingCurve(cell, trained.losses, layers, before, later, share))
            rates = f"{before.rate:.3f} before, {later.rate:.3f} after {training.steps} updates"
            say(f"{cell}: gradient a step {rates}, {100 * share:.1f} % right at gap {training.gap}")
        after(curves)
    return curves
