"""The softmax over words: the fused loss equals torch's, values and gradients; padding never has probability."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from seqkit.nn import softmax
from seqkit.nn.softmax import IGNORED, Softmax, linear_cross_entropy


def problem(size: int, inputs: int, words: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Features, weight and bias in float64, and targets of which about a quarter is ignored."""
    torch.manual_seed(seed)
    x, weight, bias = (
        torch.randn(*shape, dtype=torch.float64, requires_grad=True)
        for shape in ((size, inputs), (words, inputs), (words,))
    )
    targets = torch.randint(0, words, (size,)).masked_fill(torch.rand(size) < 0.25, IGNORED)
    return x, weight, bias, targets


def plain(x: Tensor, weight: Tensor, bias: Tensor, targets: Tensor) -> Tensor:
    scores = functional.linear(x, weight, bias)
    return functional.cross_entropy(scores, targets, ignore_index=IGNORED, reduction="sum")


@pytest.fixture(params=[1, 3, 128])
def least_rows(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Parts of so many rows."""
    monkeypatch.setattr(softmax, "workspace", lambda device: 1)
    monkeypatch.setattr(softmax, "_LEAST_ROWS", request.param)
    return int(request.param)


@pytest.mark.parametrize("size", [0, 1, 7])
def test_the_fused_loss_equals_torchs(least_rows: int, size: int) -> None:
    x, weight, bias, targets = problem(size, 4, 6)
    results = [function(x, weight, bias, targets) for function in (linear_cross_entropy, plain)]
    gradients = [torch.autograd.grad(3 * result, [x, weight, bias]) for result in results]
    torch.testing.assert_close(results[0], results[1])
    torch.testing.assert_close(gradients[0], gradients[1])


@pytest.mark.parametrize("size", [1, 7])
def test_the_smoothed_loss_equals_torchs_over_all_words_but_padding(least_rows: int, size: int) -> None:
    x, weight, bias, targets = problem(size, 4, 6)
    targets = torch.where(targets == 0, 1, targets)
    padded = torch.cat([torch.full_like(bias[:1], -torch.inf), bias[1:]])
    found = linear_cross_entropy(x, weight, padded, targets, smoothing=0.3)
    scores = functional.linear(x, weight, bias)[:, 1:]
    shifted = torch.where(targets == IGNORED, IGNORED, targets - 1)
    expected = functional.cross_entropy(scores, shifted, ignore_index=IGNORED, reduction="sum", label_smoothing=0.3)
    torch.testing.assert_close(found, expected)
    pairs = [torch.autograd.grad(3 * each, [x, weight, bias]) for each in (found, expected)]
    torch.testing.assert_close(*pairs)


def test_an_adaptive_softmax_is_not_smoothed() -> None:
    layer = Softmax(8, 40, cutoffs=[10])
    with pytest.raises(ValueError, match=r"^label smoothing needs a full softmax, and this one is adaptive$"):
        layer.loss(torch.zeros(2, 8), torch.tensor([1, 2]), smoothing=0.1)


def test_gradients_are_those_of_finite_differences(least_rows: int) -> None:
    *inputs, targets = problem(5, 3, 4)
    assert torch.autograd.gradcheck(lambda *args: linear_cross_entropy(*args, targets), inputs)


@pytest.mark.parametrize("wanted", [(0,), (1,), (2,), (0, 2)])
def test_only_what_is_asked_for_gets_a_gradient(wanted: tuple[int, ...]) -> None:
    *inputs, targets = problem(5, 3, 4)
    chosen = [tensor.detach().requires_grad_(number in wanted) for number, tensor in enumerate(inputs)]
    linear_cross_entropy(*chosen, targets).backward()
    plain(*inputs, targets).backward()
    for number, (tensor, reference) in enumerate(zip(chosen, inputs, strict=True)):
        if number in wanted:
            torch.testing.assert_close(tensor.grad, reference.grad)
        else:
            assert tensor.grad is None


def test_backward_twice_accumulates() -> None:
    x, weight, bias, targets = problem(5, 3, 4)
    loss = linear_cross_entropy(x, weight, bias, targets)
    loss.backward(retain_graph=True)
    once = weight.grad.clone()
    (loss * 2).backward()
    torch.testing.assert_close(weight.grad, 3 * once)


def test_memory_is_kept_and_nothing_of_what_was_in_it() -> None:
    problems = [problem(size, 4, words, seed) for seed, (size, words) in enumerate([(9, 33), (2, 3), (9, 40), (5, 16)])]
    with torch.inference_mode():
        first = linear_cross_entropy(*problems[0])
    kept = softmax._workspace(problems[0][0], 2, 3).data_ptr()
    assert softmax._workspace(problems[0][0], 9, 33).data_ptr() == kept
    for inputs in problems:
        torch.testing.assert_close(linear_cross_entropy(*inputs), plain(*inputs))
        single = [tensor.float() for tensor in inputs[:3]]
        torch.testing.assert_close(linear_cross_entropy(*single, inputs[3]), plain(*single, inputs[3]))
    assert torch.equal(linear_cross_entropy(*problems[0]), first)


def test_threads_do_not_share_memory() -> None:
    with ThreadPoolExecutor(1) as other:
        places = [other.submit(lambda: softmax._workspace(torch.zeros(1), 4, 4).data_ptr()).result()]
        places.append(softmax._workspace(torch.zeros(1), 4, 4).data_ptr())
    assert len(set(places)) == 2


def test_scores_far_apart_stay_exact() -> None:
    x = torch.tensor([[1.0], [1.0], [-1.0]])
    weight, bias = torch.tensor([[-3e4], [0.0], [3e4]]), torch.zeros(3)
    targets = torch.tensor([0, 2, 2])
    assert linear_cross_entropy(x, weight, bias, targets).item() == pytest.approx(6e4 + 0.0 + 6e4)


def test_the_same_in_mixed_precision_as_without() -> None:
    torch.manual_seed(1)
    layer, features, targets = Softmax(8, 9), torch.randn(5, 8), torch.randint(1, 9, (5,))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = [layer.loss(features, targets), layer.log_probabilities(features)]
        mixed.append(layer.target_log_probabilities(features.bfloat16(), targets))
    assert torch.equal(mixed[0], layer.loss(features, targets))
    assert torch.equal(mixed[1], layer.log_probabilities(features))
    assert torch.equal(mixed[2], layer.target_log_probabilities(features.bfloat16(), targets))
    assert {result.dtype for result in mixed} == {torch.float32}


@pytest.mark.parametrize("kind", ["own", "tied", "tied, projected"])
def test_features_in_bfloat16_have_an_exact_loss_and_nearly_exact_gradients(least_rows: int, kind: str) -> None:
    layer, table = build(kind)
    features, targets = torch.randn(7, 16).bfloat16(), torch.tensor([1, 2, IGNORED, 3, 11, 7, 5])
    results = []
    for x in (features, features.float()):
        x.requires_grad_()
        learnt = [x, *layer.parameters(), *([] if table is None else [table])]
        loss = layer.loss(x, targets, table)
        results.append((loss, [gradient.float() for gradient in torch.autograd.grad(loss, learnt)]))
    assert torch.equal(results[0][0], results[1][0])
    for found, exact in zip(results[0][1], results[1][1], strict=True):
        torch.testing.assert_close(found, exact, rtol=0.05, atol=0.02 * exact.abs().max().item())


LAYERS: dict[str, dict[str, Any]] = {
    "own": {},
    "tied": {"tied_size": 16},
    "tied, projected": {"tied_size": 5},
    "adaptive": {"cutoffs": [3, 7]},
}


def build(kind: str) -> tuple[Softmax, Tensor | None]:
    torch.manual_seed(2)
    options = LAYERS[kind]
    layer = Softmax(16, 12, **options)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.normal_()
    return layer, torch.randn(12, options["tied_size"], requires_grad=True) if "tied_size" in options else None


@pytest.mark.parametrize("kind", LAYERS)
def test_probabilities_sum_to_one_and_padding_has_none(kind: str) -> None:
    layer, table = build(kind)
    found = layer.log_probabilities(torch.randn(6, 16), table)
    assert found.shape == (6, 12)
    assert found[:, 0].isneginf().all()
    assert found[:, 1:].isfinite().all()
    torch.testing.assert_close(found.exp().sum(1), torch.ones(6))


@pytest.mark.parametrize("kind", LAYERS)
def test_loss_and_target_probabilities_are_those_of_all_words(kind: str) -> None:
    layer, table = build(kind)
    features = torch.randn(6, 16)
    targets = torch.tensor([1, 2, IGNORED, 3, 11, 7])
    known = targets != IGNORED
    expected = torch.zeros(6)
    expected[known] = layer.log_probabilities(features, table).detach()[known, targets[known]]
    torch.testing.assert_close(layer.target_log_probabilities(features, targets, table), expected)
    torch.testing.assert_close(layer.loss(features, targets, table), -expected.sum())
    with torch.no_grad():
        torch.testing.assert_close(layer.loss(features, targets, table), -expected.sum())


def test_an_adaptive_softmax_scores_few_rows_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    layer, _ = build(next(kind for kind in LAYERS if "cutoffs" in LAYERS[kind]))
    features, targets = torch.randn(9, 16), torch.tensor([1, 2, 5, IGNORED, 11, 7, 4, 3, 2])
    whole = layer.target_log_probabilities(features, targets)
    monkeypatch.setattr("seqkit.nn.softmax._ADAPTIVE_ROWS", 3)
    seen: list[int] = []
    layer.adaptive.head.register_forward_pre_hook(lambda _, given: seen.append(len(given[0])))
    torch.testing.assert_close(layer.target_log_probabilities(features, targets), whole)
    assert seen == [3, 3, 2]


@pytest.mark.parametrize("kind", LAYERS)
def test_gradients_of_the_loss_are_those_of_all_words(kind: str) -> None:
    layer, table = build(kind)
    features = torch.randn(6, 16, requires_grad=True)
    targets = torch.tensor([1, 2, IGNORED, 3, 11, 7])
    learnt = [features, *layer.parameters(), *([] if table is None else [table])]
    known = targets != IGNORED
    literal = -layer.log_probabilities(features, table)[known, targets[known]].sum()
    expected = torch.autograd.grad(literal, learnt)
    torch.testing.assert_close(torch.autograd.grad(layer.loss(features, targets, table), learnt), expected)
    assert all(gradient.any() for gradient in expected)


@pytest.mark.parametrize("kind", ["own", "tied", "tied, projected"])
def test_the_loss_of_a_mixture_and_its_gradients_are_those_of_all_words(least_rows: int, kind: str) -> None:
    layer, table = build(kind)
    features = torch.randn(6, 16, requires_grad=True)
    targets = torch.tensor([1, 2, IGNORED, 3, 11, 7])
    share, others = torch.rand(6, requires_grad=True), torch.rand(6, requires_grad=True)
    learnt = [features, share, others, *layer.parameters(), *([] if table is None else [table])]
    known = targets != IGNORED
    written = layer.log_probabilities(features, table)[known, targets[known]].exp()
    literal = -(share * torch.zeros(6).index_put((known,), written) + others).log().sum()
    found = layer.mixture_loss(features, targets, share, others, table)
    torch.testing.assert_close(found, literal)
    expected = torch.autograd.grad(literal, learnt)
    assert all(gradient.any() for gradient in expected)
    for factor in (1.0, 3.0):
        scaled = torch.autograd.grad(factor * found, learnt, retain_graph=True)
        torch.testing.assert_close(scaled, tuple(factor * gradient for gradient in expected))
    with torch.no_grad():
        torch.testing.assert_close(layer.mixture_loss(features, targets, share, others, table), literal)


def test_gradients_of_a_mixture_are_those_of_finite_differences(least_rows: int) -> None:
    *inputs, targets = problem(5, 3, 4)
    parts = [torch.rand(5, dtype=torch.float64).add(0.1).requires_grad_() for _ in range(2)]
    mixed = softmax._LinearMixture.apply
    assert torch.autograd.gradcheck(
        lambda x, weight, bias, share, others: mixed(x, weight, bias, targets, share, others, torch.float64),
        [*inputs, *parts],
    )


@pytest.mark.parametrize("kind", LAYERS)
def test_nothing_but_ignored_places(kind: str) -> None:
    layer, table = build(kind)
    features, targets = torch.randn(3, 16, requires_grad=True), torch.full((3,), IGNORED)
    loss = layer.loss(features, targets, table)
    assert loss.item() == 0.0
    assert torch.equal(layer.target_log_probabilities(features, targets, table), torch.zeros(3))


def test_own_padding_row_learns_nothing() -> None:
    layer = Softmax(3, 4)
    layer.loss(torch.randn(5, 3), torch.tensor([1, 2, 3, 1, 2])).backward()
    assert not layer.weight.grad[0].any()
    assert layer.bias.grad[0] == 0
    assert layer.weight.grad[1:].any(1).all()


def test_parameters_of_each_kind() -> None:
    names = {kind: [name for name, _ in build(kind)[0].named_parameters()] for kind in LAYERS}
    assert set(names["own"]) == {"weight", "bias"}
    assert names["tied"] == ["bias"]
    assert names["tied, projected"] == ["bias", "project.weight"]
    assert set(build("own")[0].state_dict()) == {"weight", "bias"}


@pytest.mark.parametrize(
    ("words", "options", "message"),
    [
        (1, {}, "expected padding and at least one word, found 1 rows"),
        (9, {"tied_size": 3, "cutoffs": [4]}, "cutoffs cannot be combined with a tied table, choose one of them"),
        (9, {"cutoffs": []}, "expected ascending cutoffs in 2 … 8, found []"),
        (9, {"cutoffs": [1]}, "expected ascending cutoffs in 2 … 8, found [1]"),
        (9, {"cutoffs": [5, 5]}, "expected ascending cutoffs in 2 … 8, found [5, 5]"),
        (9, {"cutoffs": [3, 5]}, "expected at least 16 features for 2 cutoffs, found 3"),
        (9, {"cutoffs": [4, 9]}, "expected ascending cutoffs in 2 … 8, found [4, 9]"),
    ],
)
def test_wrong_options(words: int, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as caught:
        Softmax(3, words, **options)
    assert str(caught.value) == message


def test_wrong_table() -> None:
    layer = Softmax(3, 9, tied_size=4)
    for table, found in ((None, "none"), (torch.zeros(9, 3), "[9, 3]")):
        with pytest.raises(ValueError) as caught:
            layer.log_probabilities(torch.zeros(1, 3), table)
        assert str(caught.value) == f"expected an embedding table of shape [9, 4], found {found}"


def test_products_round_the_gradient_and_not_the_loss() -> None:
    torch.manual_seed(0)
    exact = Softmax(16, 50)
    features, targets = torch.randn(30, 16, requires_grad=True), torch.randint(1, 50, (30,))
    loss = exact.loss(features, targets)
    (expected,) = torch.autograd.grad(loss, features)
    exact.products = torch.bfloat16
    rounded = exact.loss(features, targets)
    (found,) = torch.autograd.grad(rounded, features)
    assert torch.equal(rounded, loss)
    assert not torch.equal(found, expected)
    assert torch.allclose(found, expected, rtol=0.05, atol=0.02)
