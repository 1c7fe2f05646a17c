"""The gradient that reaches earlier states against explicit products of Jacobians, and its rate against theory."""

from __future__ import annotations

import math
from dataclasses import asdict

import pytest
import torch
from torch import Tensor

from seqkit.errors import SettingsError
from seqkit.lab.decay import decay_rate, geometric_mean, lost_at, row_norms, verdict
from seqkit.lab.gradient_picture import draw_gradients, render_gradients
from seqkit.lab.gradients import (
    WARM_UP,
    curve_of,
    measure_gradients,
    spectral_radius,
    state_gradients,
    train_and_measure,
)
from seqkit.lab.sequences import Adding, Copying
from seqkit.lab.training import NetworkOptions, TrainingOptions, make_model, stream
from seqkit.nn.encoder import Encoder
from seqkit.nn.recurrent import CELLS, make_layer
from seqkit.nn.recurrent.clockwork import ClockworkRNN


def linear_encoder(matrix: Tensor) -> Encoder:
    size = len(matrix)
    encoder = Encoder(size, cell="rnn_linear", hidden_size=size, direction="forward").double()
    with torch.no_grad():
        encoder.layers[0].recurrent_matrices()[0].copy_(matrix)
    return encoder


def normal(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def measured_rate(matrix: Tensor, steps: int, seed: int) -> float:
    size = len(matrix)
    norms = state_gradients(linear_encoder(matrix), normal(4, steps, size), normal(4, size, seed=seed), steps)
    return decay_rate(norms.mean(2)[:, 0].tolist())


# --- against explicit products --------------------------------------------------------------------------------------


def test_linear_gradients_are_powers_of_the_transposed_matrix() -> None:
    matrix, v = 0.5 * normal(5, 5), normal(3, 5, seed=2)
    norms = state_gradients(linear_encoder(matrix), normal(3, 7, 5), v, 6)  # [K, L, B]
    assert norms.shape == (6, 1, 3)
    expected = v
    for k in range(6):
        expected = expected @ matrix
        assert torch.allclose(norms[k, 0], expected.norm(dim=1))


@pytest.mark.parametrize("cell", ["lstm", "lstm_peephole", "gru", "rnn_tanh", "clockwork"])
def test_gradients_are_products_of_the_jacobians_of_the_whole_state(cell: str) -> None:
    torch.manual_seed(3)
    encoder = Encoder(4, cell=cell, hidden_size=6, direction="forward").double()
    (layer,) = encoder.layers
    x, v = normal(1, 5, 4), normal(1, 6, seed=2)
    norms = state_gradients(encoder, x, v, 4)[:, 0, 0]  # [K]
    kept = [number for number, name in enumerate(layer.state_parts) if name not in layer.counters]

    state = layer.initial_state(1, x)
    jacobians = []
    for step in range(5):
        given = state

        def after(flat: Tensor, given: tuple[Tensor, ...] = given, step: int = step) -> Tensor:
            parts = list(given)
            for place, number in enumerate(kept):
                parts[number] = flat[None, 6 * place : 6 * place + 6]
            state = layer(x[:, step : step + 1], tuple(parts))[1]
            return torch.cat([state[number] for number in kept], 1)[0]

        flat = torch.cat([given[number] for number in kept], 1)[0].detach()
        jacobians.append(torch.autograd.functional.jacobian(after, flat))
        state = tuple(part.detach() for part in layer(x[:, step : step + 1], given)[1])
    reached = torch.cat([v[0], torch.zeros(6 * (len(kept) - 1), dtype=torch.float64)])  # h stands first
    for k in range(4):
        reached = jacobians[4 - k].T @ reached
        assert torch.allclose(norms[k], reached.norm(), rtol=1e-8), k


def test_deep_networks_have_a_norm_for_each_layer_and_the_top_one_is_as_if_alone() -> None:
    torch.manual_seed(1)
    encoder = Encoder(3, cell="rnn_linear", hidden_size=4, layers=2, direction="forward").double()
    v = normal(2, 4)
    norms = state_gradients(encoder, normal(2, 5, 3), v, 5)
    assert norms.shape == (5, 2, 2)
    top = encoder.layers[1].recurrent_matrices()[0]
    assert torch.allclose(norms[2, 1], (v @ torch.linalg.matrix_power(top, 3)).norm(dim=1))
    assert float(norms[:, 0].min()) > 0


@pytest.mark.parametrize("steps", [0, 6])
def test_there_must_be_as_many_steps_as_one_looks_back(steps: int) -> None:
    with pytest.raises(ValueError) as caught:
        state_gradients(linear_encoder(torch.eye(2).double()), normal(1, 5, 2), normal(1, 2), steps)
    assert str(caught.value) == f"expected 1 to 5 steps back, found {steps}"


# --- theory: the rate of a linear network is its spectral radius ----------------------------------------------------


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("size", [8, 24, 64])
@pytest.mark.parametrize("radius", [0.6, 1.0, 1.5])
def test_the_rate_is_the_spectral_radius_of_a_random_matrix(size: int, seed: int, radius: float) -> None:
    matrix = normal(size, size, seed=seed)
    matrix *= radius / torch.linalg.eigvals(matrix).abs().max()
    assert measured_rate(matrix, 400, seed) == pytest.approx(radius, rel=0.02)


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("size", [4, 12])
def test_the_rate_is_the_spectral_radius_of_a_triangular_matrix_whose_norm_is_far_larger(size: int, seed: int) -> None:
    matrix = torch.triu(normal(size, size, seed=seed), 1) + torch.diag(torch.linspace(0.3, 0.9, size).double())
    assert float(torch.linalg.matrix_norm(matrix, 2)) > 1.5 * 0.9
    assert measured_rate(matrix, 400, seed) == pytest.approx(0.9, rel=0.02)


@pytest.mark.parametrize(
    ("init", "gain"), [("orthogonal", 1.0), ("orthogonal", 1.2), ("uniform", 1.0), ("xavier", 1.0)]
)
def test_the_lab_finds_the_spectral_radius_of_linear_networks_as_they_begin(init: str, gain: float) -> None:
    (curve,) = measure_gradients(["rnn_linear"], [init], [gain], hidden=32, steps=200, networks=3)
    assert curve.spectral_radius is not None
    assert curve.rate == pytest.approx(curve.spectral_radius, rel=0.02)
    if init == "orthogonal":
        assert curve.spectral_radius == pytest.approx(gain, rel=1e-5)
    assert (curve.cell, curve.init, curve.gain) == ("rnn_linear", init, gain)


def test_only_one_square_matrix_has_a_spectral_radius() -> None:
    assert spectral_radius(make_layer("rnn_tanh", 2, 4, init="identity", init_gain=0.5)) == pytest.approx(0.5)
    assert spectral_radius(make_layer("lstm", 2, 4)) is None
    assert spectral_radius(make_layer("running_sum", 2, 4)) is None


# --- rates and what they are called ---------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [0.1, 0.9, 1.0, 1.3])
def test_the_rate_of_a_geometric_curve_is_its_factor_wherever_it_starts(rate: float) -> None:
    norms = [7.0 * rate**k + (5.0 * (rate / 4) ** k) for k in range(1, 41)]
    assert decay_rate(norms) == pytest.approx(rate, rel=1e-3)
    assert decay_rate([3.0, 3.0 * rate]) == pytest.approx(rate)


def test_what_a_double_cannot_hold_does_not_bend_the_rate() -> None:
    assert decay_rate([0.01**k for k in range(1, 400)]) == pytest.approx(0.01)
    assert decay_rate([100.0**k for k in range(1, 150)] + [math.inf] * 9) == pytest.approx(100.0)
    assert decay_rate([1.0, math.inf, math.nan]) == math.inf


def test_an_exact_zero_means_that_the_gradient_is_lost_and_an_underflow_does_not() -> None:
    norms = [1.0] * 5 + [0.0] * 95
    assert (decay_rate(norms), lost_at(norms), verdict(0.0, 6)) == (0.0, 6, "lost at 6")
    assert (decay_rate([0.0, 0.0]), lost_at([0.0, 0.0])) == (0.0, 1)
    assert lost_at([0.01**k for k in range(1, 400)]) is None
    assert lost_at([1.0, math.inf, 0.0]) is None
    assert lost_at([1.0, math.nan, math.nan]) is None
    assert lost_at([1.0, 0.5]) is None


def test_the_gradient_of_a_relu_network_whose_units_are_off_is_lost() -> None:
    encoder = Encoder(3, cell="rnn_relu", hidden_size=4, direction="forward")
    with torch.no_grad():
        for name, parameter in encoder.named_parameters():
            if "bias" in name:
                parameter.fill_(-100.0)
    curve = curve_of("rnn_relu", NetworkOptions(4), [encoder], [normal(2, 12, 3)], 9, 1)
    assert (curve.norms, curve.reached, curve.rate, curve.lost) == ([0.0] * 9, [0.0] * 9, 0.0, 1)
    assert (asdict(curve)["lost"], asdict(curve)["verdict"]) == (1, "lost at 1")
    assert "lost at 1" in render_gradients([curve], [])
    pytest.importorskip("matplotlib")
    (axes,) = draw_gradients([curve], []).axes
    assert axes.get_legend().get_texts()[0].get_text() == "auto, gain 1: lost at 1"  # type: ignore[union-attr]


def test_means_are_geometric_over_what_is_not_zero() -> None:
    given = torch.tensor([[1.0, 100.0, 10.0], [4.0, 0.0, 9.0], [0.0, 0.0, 0.0], [2.0, math.inf, 1.0]]).double()
    assert geometric_mean(given).tolist() == pytest.approx([10.0, 6.0, 0.0, math.inf])
    assert math.isnan(float(geometric_mean(torch.tensor([[1.0, math.nan]]))))


def test_norms_are_right_where_squares_are_too_small_or_too_large() -> None:
    rows = torch.tensor([[3e-200, 4e-200], [3e200, 4e200], [0.0, 0.0], [1.0, math.inf]], dtype=torch.float64)
    assert row_norms(rows).tolist() == pytest.approx([5e-200, 5e200, 0.0, math.inf])


def test_sequences_and_networks_are_averaged_in_the_same_way() -> None:
    matrices = [0.5 * normal(3, 3, seed=seed) for seed in (1, 2)]
    encoders, inputs = [linear_encoder(matrix) for matrix in matrices], [normal(4, 6, 3), normal(4, 6, 3)]
    together = curve_of("x", NetworkOptions(3), encoders, inputs, 5, 1)
    generator = stream(1, "directions")
    v = torch.cat([torch.randn(4, 3, generator=generator, dtype=torch.float64) for _ in matrices])  # [8, 3]
    v = v / v.norm(dim=1, keepdim=True)
    expected = torch.cat([(v[4 * n : 4 * n + 4] @ m @ m).norm(dim=1) for n, m in enumerate(matrices)])  # [8]
    assert together.norms[1] == pytest.approx(float(expected.log().mean().exp()))
    assert together.low[1] == pytest.approx(min(float(part.log().mean().exp()) for part in expected.split(4)))
    assert together.reached == [1.0] * 5


def test_the_rate_is_that_of_the_far_half_alone() -> None:
    near, far = [2.0**k for k in range(1, 31)], [2.0**30 * 0.9**k for k in range(30)]
    assert decay_rate(near + far) == pytest.approx(0.9)
    # A Jordan block grows for long before it shrinks: v M^k has a factor of k to the 5.
    matrix = 0.9 * torch.eye(6).double() + torch.diag(torch.ones(5).double(), 1)
    rate = measured_rate(matrix, 300, 1)
    assert 0.9 < rate < 0.9 * (300 / 150) ** (5 / 150)
    near_rate = decay_rate([float(torch.linalg.matrix_power(matrix, k).norm()) for k in range(1, 151)])
    assert near_rate > rate + 0.01


def test_a_curve_is_of_all_layers_together() -> None:
    torch.manual_seed(1)
    encoder = Encoder(3, cell="rnn_tanh", hidden_size=4, layers=2, direction="forward").double().eval()
    x = normal(1, 9, 3)
    curve = curve_of("rnn_tanh", NetworkOptions(4, 2), [encoder], [x], 5, 3)
    v = torch.randn(1, 4, generator=stream(3, "directions"), dtype=torch.float64)
    norms = state_gradients(encoder, x, v / v.norm(), 5)[:, :, 0]  # [K, L]
    assert curve.norms == pytest.approx(norms.norm(dim=1).tolist())
    assert float((norms.norm(dim=1) / norms.amax(1)).max()) > 1.01
    other = curve_of("rnn_tanh", NetworkOptions(4, 2), [encoder], [x], 5, 4)
    assert other.norms != curve.norms


def test_larger_inputs_saturate_a_tanh_network() -> None:
    small, large = (
        measure_gradients(["rnn_tanh"], ["orthogonal"], [1.0], hidden=8, steps=20, networks=1, scale=scale)[0].rate
        for scale in (1e-3, 3.0)
    )
    assert large < 0.8
    assert small > 0.95


def test_every_module_of_a_clockwork_network_has_moved_before_the_first_state() -> None:
    layer = make_layer("clockwork", 2, 12)
    assert isinstance(layer, ClockworkRNN)
    assert layer.longest <= WARM_UP


def test_results_are_reported_after_each_cell_and_wrong_settings_before() -> None:
    told: list[int] = []
    lines: list[str] = []
    with pytest.raises(SettingsError):
        measure_gradients(["gru", "nonesuch"], ["auto"], [1.0], hidden=4, steps=3, say=lines.append)
    training = TrainingOptions(steps=1, batch_size=2, gap=3)
    with pytest.raises(SettingsError):
        train_and_measure(["gru", "nonesuch"], Adding(), NetworkOptions(4), training, steps=3, say=lines.append)
    assert lines == []
    measure_gradients(
        ["gru", "irnn"],
        ["auto"],
        [1.0, 2.0],
        hidden=4,
        steps=3,
        networks=1,
        after=lambda curves: told.append(len(curves)),
    )
    train_and_measure(
        ["gru", "irnn"],
        Adding(),
        NetworkOptions(4),
        training,
        steps=3,
        after=lambda curves: told.append(len(curves)),
    )
    assert told == [2, 4, 1, 2]


@pytest.mark.parametrize(
    ("rate", "name"),
    [(0.5, "vanishing"), (0.977, "vanishing"), (0.978, "neither"), (1.0, "neither"), (1.1, "exploding")],
)
def test_verdicts(rate: float, name: str) -> None:
    assert verdict(rate) == name


def test_gain_makes_a_tanh_network_vanish_and_a_linear_one_explode() -> None:
    small, large = measure_gradients(["rnn_tanh"], ["orthogonal"], [0.5, 1.0], hidden=16, steps=40, networks=1)
    assert small.rate < large.rate < 1.0
    (linear,) = measure_gradients(["rnn_linear"], ["identity"], [2.0], hidden=8, steps=40, networks=1)
    assert verdict(linear.rate) == linear.verdict == asdict(linear)["verdict"] == "exploding"


def test_a_larger_forget_bias_lets_an_lstm_reach_further() -> None:
    rates = [
        measure_gradients(["lstm"], ["uniform"], [1.0], hidden=16, steps=60, networks=1, forget_bias=bias)[0].rate
        for bias in (0.0, 1.0, 4.0)
    ]
    assert rates == sorted(rates)
    assert rates[2] > 0.95


@pytest.mark.parametrize("cell", CELLS)
def test_every_cell_can_be_measured(cell: str) -> None:
    (curve,) = measure_gradients([cell], ["auto"], [1.0], hidden=8, steps=6, batch_size=2, networks=2)
    assert len(curve.norms) == 6
    for low, norm, high in zip(curve.low, curve.norms, curve.high, strict=True):
        assert 0.0 < low <= norm * (1 + 1e-9) <= high * (1 + 1e-8) < math.inf
    training = TrainingOptions(steps=1, batch_size=2, gap=3)
    (trained,) = train_and_measure([cell], Adding(), NetworkOptions(8, 2), training, steps=6, batch_size=2)
    assert trained.after is not None
    assert len(trained.after.norms) == 6
    assert [0.0 < norm < math.inf for (norm,) in trained.layers] == [True, True]


def test_a_network_that_explodes_in_training_is_reported_not_refused() -> None:
    network, training = NetworkOptions(6, 1, "orthogonal", 1e12), TrainingOptions(steps=3, batch_size=2, gap=9)
    trained = train_and_measure(["rnn_relu"], Copying(), network, training, steps=30, batch_size=2)
    (curve,) = trained
    assert not math.isfinite(curve.losses[-1])
    assert curve.fault.endswith(f" at step {len(curve.losses)}, in sequences of copy")
    assert (curve.after, curve.accuracy) == (None, None)
    assert (asdict(curve)["after"], asdict(curve)["accuracy"]) == (None, None)
    assert curve.before.rate > 1e6
    curves = measure_gradients(["rnn_relu"], ["orthogonal"], [1e12], hidden=6, steps=30, networks=1)
    lines = render_gradients(curves, trained).splitlines()
    assert "exploding" in lines[1]
    assert lines[4].split()[2:] == ["–"] * 4
    assert lines[6] == f"rnn_relu: {curve.fault}"
    pytest.importorskip("matplotlib")
    panels = draw_gradients(curves, trained).axes
    assert [text.get_text() for text in panels[1].get_legend().get_texts()][1] == f"after: {curve.fault}"  # type: ignore[union-attr]
    assert panels[2].get_title() == f"rnn_relu, in training: {curve.fault}"


def test_the_same_seed_gives_the_same_curve_and_leaves_the_process_generator() -> None:
    before = torch.get_rng_state()
    first, again, other = (
        measure_gradients(["gru"], ["auto"], [1.0], hidden=6, steps=5, networks=1, seed=seed)[0] for seed in (1, 1, 2)
    )
    assert torch.equal(torch.get_rng_state(), before)
    assert first == again
    assert first.norms != other.norms


def test_a_network_that_cannot_be_built_is_a_fault_of_the_settings() -> None:
    with pytest.raises(SettingsError) as caught:
        measure_gradients(["lstm"], ["zeros"], [1.0], hidden=6, steps=5)
    known = "'auto', 'orthogonal', 'identity', 'xavier' or 'uniform'"
    assert str(caught.value) == f"lstm: encoder.init: expected {known}, found 'zeros'"


# --- during training ------------------------------------------------------------------------------------------------


def test_the_first_norms_by_layer_are_those_of_the_first_batch() -> None:
    task, network = Adding(), NetworkOptions(hidden=5, layers=2)
    training = TrainingOptions(steps=3, batch_size=4, gap=6, growth=0.0, seed=7)
    (curve,) = train_and_measure(["gru"], task, network, training, steps=10, batch_size=2)
    model = make_model("gru", task, network, training)
    generator = stream(7, "training")
    gap = int(torch.randint(1, 7, (), generator=generator))
    inputs, targets = task.batch(gap, 4, generator)
    encoder = model.network.encoder
    outputs = encoder(inputs, torch.full((4,), gap + 2)).outputs  # [B, T, H]
    loss = task.loss(model.head.module(outputs[:, -1:]), targets)
    loss.backward()
    assert curve.losses[0] == pytest.approx(loss.item())
    assert [len(norms) for norms in curve.layers] == [3, 3]
    for norms, layer in zip(curve.layers, encoder.layers, strict=True):
        flat = torch.cat([parameter.grad.flatten() for parameter in layer.parameters()])  # type: ignore[union-attr]
        assert norms[0] == pytest.approx(float(flat.norm()), rel=1e-5)
    assert curve.after is not None
    assert len(curve.before.norms) == len(curve.after.norms) == 10
    assert curve.before.norms != curve.after.norms
    assert curve.accuracy is not None
    assert 0.0 <= curve.accuracy <= 1.0


def test_tables_and_pictures_show_every_cell() -> None:
    cells = ["rnn_linear", "gru", "rnn_relu", "irnn", "lstm"]
    curves = measure_gradients(cells, ["auto"], [1.0, 0.5], hidden=4, steps=5, networks=1)
    training = TrainingOptions(steps=2, batch_size=2, gap=3)
    trained = train_and_measure(cells, Copying(), NetworkOptions(4, 2), training, steps=5, batch_size=2)
    text = render_gradients(curves, trained)
    assert "rnn_linear  auto  1     neither           1.0000           1.0000        1.0e+00" in text
    assert text.splitlines()[0].split()[-5:] == ["norm", "at", "k", "=", "5"]
    assert "layer 2" in text
    pytest.importorskip("matplotlib")
    figure = draw_gradients(curves, trained, "copy")
    shown = [axes.get_title() for axes in figure.axes if axes.get_visible()]
    assert len(shown) == 3 * len(cells)
    assert shown[0] == "rnn_linear, 1 layer, untrained"
    assert "rnn_relu, 2 layers, trained on copy" in shown
    partly = draw_gradients(curves, trained[:2], "copy")
    assert sum(axes.get_visible() for axes in partly.axes) == len(cells) + 2 * 2
    alone = draw_gradients(curves, [])
    assert sum(axes.get_visible() for axes in alone.axes) == len(cells)
    assert "layer" not in render_gradients(curves, [])


def test_many_curves_have_one_legend_and_differ_in_colour_and_style() -> None:
    pytest.importorskip("matplotlib")
    curves = measure_gradients(["gru"], ["orthogonal", "uniform"], [0.5, 1.0, 2.0], hidden=4, steps=5, networks=1)
    figure = draw_gradients(curves, [])
    (axes,) = figure.axes
    assert axes.get_legend() is None
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [f"{c.init}, gain {c.gain:g}" for c in curves]
    assert len({(line.get_color(), line.get_linestyle()) for line in axes.get_lines()}) == 6


def test_a_rate_needs_two_distances() -> None:
    with pytest.raises(ValueError) as caught:
        decay_rate([1.0])
    assert str(caught.value) == "expected norms at two or more distances, found 1"
