r"""How far back gradients reach: their norm at the state k steps before the loss, and for each layer during training.

The gradient of a loss :math:`\ell` at step t at the state :math:`s_{t-k}` contains a product of k Jacobians,
:math:`\partial\ell/\partial s_{t-k} = J_{t-k+1}^\top \cdots J_t^\top\, \partial\ell/\partial s_t`, which falls or
grows geometrically (Hochreiter 1991; Bengio, Simard & Frasconi 1994; Pascanu, Mikolov & Bengio 2013). In a linear
network every factor is the recurrent matrix, and the rate is that matrix's spectral radius.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor, nn

from seqkit.lab.decay import decay_rate, geometric_mean, lost_at, row_norms, verdict
from seqkit.lab.sequences import MemoryTask
from seqkit.lab.training import (
    NetworkOptions,
    TrainingOptions,
    check_networks,
    make_encoder,
    make_model,
    stream,
    train_model,
)
from seqkit.nn.encoder import Encoder
from seqkit.nn.recurrent import RecurrentLayer

WARM_UP = 32
"""steps before the first measured state, so that it is not typical of a beginning: the longest period of a clockwork
network"""


def state_gradients(encoder: Encoder, x: Tensor, directions: Tensor, steps: int) -> Tensor:
    r"""The gradient at earlier states of :math:`\ell = v \cdot h_T`, the last output projected on a direction.

    A state is everything that a layer passes from step to step (h and c of an LSTM). The network runs step by step, and
    every state stays in the graph.

    Args:
        encoder: a forward encoder, without dropout or in evaluation mode.
        x: inputs, [B, T, I].
        directions: v, [B, D].
        steps: K, at most T.

    Returns:
        The norms at the states T − 1 … T − K, [K, L, B], for L layers.

    Raises:
        ValueError: there are fewer than K steps.
    """
    batch, total = x.shape[:2]
    if not 1 <= steps <= total:
        raise ValueError(f"expected 1 to {total} steps back, found {steps}")
    layers = encoder.layers
    before = total - steps
    state = tuple(layer.initial_state(batch, x) for layer in layers)
    if before:
        with torch.no_grad():
            given = encoder(x[:, :before], torch.full((batch,), before), return_state=True).state
        assert given is not None
        state = given
    one = torch.ones(batch, dtype=torch.int64)  # [B]
    seen: list[list[Tensor]] = []  # for each step and layer, the differentiable parts of the state
    outputs = x
    for step in range(before, total):
        state = tuple(tuple(map(_own, parts)) for parts in state)
        seen += [_features(layer, parts) for layer, parts in zip(layers, state, strict=True)]
        encoded = encoder(x[:, step : step + 1], one, state, return_state=True)
        assert encoded.state is not None
        outputs, state = encoded.outputs, encoded.state  # [B, 1, D]
    loss = (outputs[:, 0] * directions).sum()
    flat = [part for parts in seen for part in parts]
    gradients = iter(torch.autograd.grad(loss, flat, materialize_grads=True))  # each [B, H]; 0 where there is none
    norms = [row_norms(torch.cat([next(gradients) for _ in parts], 1)) for parts in seen]  # each [B]
    return torch.stack(norms).view(steps, len(layers), batch).flip(0)  # [K, L, B]


def _own(part: Tensor) -> Tensor:
    """The same numbers as a separate tensor, so that no gradient flows from c to h of the same step."""
    return part.view_as(part) if part.requires_grad else part.detach().clone().requires_grad_()


def _features(layer: RecurrentLayer, parts: Sequence[Tensor]) -> list[Tensor]:
    return [part for name, part in zip(layer.state_parts, parts, strict=True) if name not in layer.counters]


def spectral_radius(layer: RecurrentLayer) -> float | None:
    """The largest absolute value of an eigenvalue of the recurrent matrix.

    Args:
        layer: the layer.

    Returns:
        The radius; None where there is not exactly one square recurrent matrix of finite numbers.
    """
    matrices = layer.recurrent_matrices()
    if len(matrices) != 1 or list(matrices[0].shape) != [layer.hidden_size] * 2 or not matrices[0].isfinite().all():
        return None
    return float(torch.linalg.eigvals(matrices[0].detach().double().cpu()).abs().max())


@dataclass(frozen=True)
class GradientCurve:
    """The norm of the gradient at the state k steps before the loss, for k = 1, 2 ….

    Args:
        cell: the name of the cell.
        init: the initialisation of the recurrent matrices.
        gain: the factor of these matrices.
        norms: the geometric mean over all sequences of all networks whose gradient is not 0; 0 where there is none.
        reached: the share of sequences whose gradient is not 0.
        low: the smallest geometric mean of the sequences of one network.
        high: the largest one.
        rate: see `decay_rate`.
        lost: see `lost_at`.
        spectral_radius: see there; the geometric mean over the networks.
        verdict: see `seqkit.lab.decay.verdict`.
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
    verdict: str


def curve_of(
    cell: str, network: NetworkOptions, encoders: Sequence[Encoder], inputs: Sequence[Tensor], steps: int, seed: int
) -> GradientCurve:
    """Measure networks of one kind, in double precision on the CPU.

    Args:
        cell: the name of the cell.
        network: the settings of the networks.
        encoders: the networks; they are not changed.
        inputs: the inputs of each network, [B, T, I].
        steps: K.
        seed: the seed of the directions.

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
    about, rate, lost = (cell, network.init, network.gain), decay_rate(mean), lost_at(mean)
    return GradientCurve(*about, mean, reached, low, high, rate, lost, radius, verdict(rate, lost))


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
    read: Tensor | None = None,
    say: Callable[[str], None] = lambda line: None,
    after: Callable[[list[GradientCurve]], None] = lambda curves: None,
) -> list[GradientCurve]:
    """Measure untrained networks of one layer that read noise, or data: every cell with every initialisation and gain.

    Args:
        cells: keys of `seqkit.nn.recurrent.CELLS`.
        inits: see `seqkit.nn.recurrent.RecurrentLayer`.
        gains: factors of the recurrent matrices.
        hidden: H, and the size of an input of noise.
        steps: K, the number of steps back.
        batch_size: sequences per network.
        networks: networks of each kind, which differ in weights, inputs and directions.
        scale: the standard deviation of the inputs, which are normal and independent.
        forget_bias: the initial bias of forget gates.
        seed: the seed of the first network; the others have the following ones.
        read: the inputs of every network, [B, T, I], T at least K, instead of noise.
        say: called with a line of progress after each kind.
        after: called after each cell with all curves so far.

    Returns:
        The curves, cell by cell.

    Raises:
        SettingsError: the settings do not fit a cell; nothing has been measured yet.
    """
    curves: list[GradientCurve] = []
    shape = (batch_size, WARM_UP + steps, hidden)
    seeds = range(seed, seed + networks)
    # The same inputs for every kind.
    noise = (scale * torch.randn(shape, generator=stream(each, "noise")) for each in seeds)
    inputs = list(noise) if read is None else [read] * networks
    size = inputs[0].shape[2]
    kinds = [NetworkOptions(hidden, 1, init, gain, forget_bias) for init in inits for gain in gains]
    for cell, network in product(cells, kinds):
        make_encoder(cell, size, network)
    for cell in cells:
        for network in kinds:
            encoders = [make_encoder(cell, size, network, each) for each in seeds]
            curve = curve_of(cell, network, encoders, inputs, steps, seed)
            curves.append(curve)
            say(f"{cell} {network.init} gain {network.gain:g}: × {curve.rate:.4f} per step, {curve.verdict}")
        after(curves)
    return curves


@dataclass(frozen=True)
class TrainingCurve:
    """A network in training.

    Args:
        cell: the name of the cell.
        losses: the loss of every update.
        layers: for each layer, from the input up, the norm of the gradient of its parameters at every update, before
            clipping.
        before: the gradients at earlier states of all layers before training.
        after: the same after training; None where it stopped early.
        accuracy: the share of correct answers over the largest gap, on sequences from another random stream; None
            where training stopped early.
        fault: why training stopped early; empty where it did not.
    """

    cell: str
    losses: list[float]
    layers: list[list[float]]
    before: GradientCurve
    after: GradientCurve | None
    accuracy: float | None
    fault: str = ""


def watch_gradients(encoder: Encoder) -> list[list[list[Tensor]]]:
    """Note the norm of the gradient of every parameter from now on, before it is clipped.

    Args:
        encoder: what is to be trained.

    Returns:
        For each layer and each of its parameters the norms, a scalar for each backward pass.
    """

    def watched(parameter: nn.Parameter) -> list[Tensor]:
        norms: list[Tensor] = []

        def note(changed: Tensor) -> None:
            assert changed.grad is not None
            norms.append(changed.grad.norm())

        parameter.register_post_accumulate_grad_hook(note)
        return norms

    return [list(map(watched, layer.parameters())) for layer in encoder.layers]


def _together(norms: Sequence[Sequence[Tensor]]) -> list[float]:
    """The norms of the parameters of a layer as those of the layer."""
    return [float(torch.stack(each).norm()) for each in zip(*filter(None, norms), strict=True)]


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
    """Train networks on an artificial task, and measure their gradients before, during and after training.

    Args:
        cells: keys of `seqkit.nn.recurrent.CELLS`.
        task: the source of the sequences.
        network: the settings of the networks.
        training: how to train them.
        steps: K, the number of steps back, in sequences of the task with a longer gap.
        batch_size: sequences for this measurement.
        device: where to train; the CPU by default.
        say: called with a line of progress after each cell.
        after: called after each cell with all curves so far.

    Returns:
        One curve per cell.

    Raises:
        SettingsError: the settings do not fit a cell; nothing has been trained yet.
    """
    probe = [task.batch(WARM_UP + steps, batch_size, stream(training.seed, "noise")).inputs]
    check_networks(cells, [task], network)
    curves: list[TrainingCurve] = []
    for cell in cells:
        model = make_model(cell, task, network, training).to(device or "cpu")
        encoder = model.network.encoder
        before = curve_of(cell, network, [encoder], probe, steps, training.seed)
        norms = watch_gradients(encoder)
        trained = train_model(model, training, [training.gap], 500)
        layers = list(map(_together, norms))
        later, share, outcome = None, None, trained.fault
        if trained.accuracies is not None:
            later = curve_of(cell, network, [encoder], probe, steps, training.seed)
            (share,) = trained.accuracies
            rates = f"{before.rate:.3f} before, {later.rate:.3f} after {training.steps} updates"
            outcome = f"gradient per step × {rates}; {100 * share:.1f} % correct at gap {training.gap}"
        curves.append(TrainingCurve(cell, trained.losses, layers, before, later, share, trained.fault))
        say(f"{cell}: {outcome}")
        after(curves)
    return curves
