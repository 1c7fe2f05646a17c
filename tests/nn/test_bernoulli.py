from __future__ import annotations

import itertools
import math

import pytest
import torch

from seqkit.nn.bernoulli import Bernoulli, mean_nats, nats, sample
from seqkit.nn.sequences import length_mask


def probability(logits: torch.Tensor, frame: tuple[int, ...]) -> float:
    """p of a frame, key by key."""
    found = 1.0
    for logit, on in zip(logits.tolist(), frame, strict=True):
        p = 1 / (1 + math.exp(-logit))
        found *= p if on else 1 - p
    return found


class TestNats:
    def test_of_all_frames(self) -> None:
        torch.manual_seed(0)
        logits = 3 * torch.randn(5)
        frames = list(itertools.product((0, 1), repeat=5))
        found = nats(logits.expand(32, 5), torch.tensor(frames, dtype=torch.uint8))  # [32]
        expected = [-math.log(probability(logits, frame)) for frame in frames]
        torch.testing.assert_close(found, torch.tensor(expected), rtol=1e-5, atol=1e-6)
        assert float((-found).exp().sum()) == pytest.approx(1.0, abs=1e-5)

    def test_extremes_are_finite(self) -> None:
        found = nats(torch.tensor([[1e4, -1e4], [1e4, -1e4]]), torch.tensor([[1, 0], [0, 1]]))
        assert found.tolist() == [0.0, 2e4]

    def test_mean_over_frames_of_all_sequences(self) -> None:
        torch.manual_seed(1)
        logits, frames = torch.randn(3, 4, 7, requires_grad=True), torch.randint(2, (3, 4, 7))
        lengths = torch.tensor([4, 1, 0])
        found = mean_nats(logits, frames, length_mask(lengths, 4))
        inside = [nats(logits[b, t], frames[b, t]) for b in range(3) for t in range(int(lengths[b]))]
        torch.testing.assert_close(found, torch.stack(inside).mean())
        found.backward()
        assert logits.grad is not None
        assert not logits.grad[1, 1:].any()
        logits = logits.detach()
        torch.testing.assert_close(mean_nats(logits, frames), nats(logits, frames).mean())
        assert float(mean_nats(logits[:, :0], frames[:, :0])) == 0.0
        assert float(mean_nats(logits, frames, torch.zeros(3, 4, dtype=torch.bool))) == 0.0

    def test_gradient_is_probability_minus_key(self) -> None:
        torch.manual_seed(2)
        logits, frames = torch.randn(1, 6, 3, dtype=torch.double, requires_grad=True), torch.randint(2, (1, 6, 3))
        mean_nats(logits, frames).backward()
        torch.testing.assert_close(logits.grad, (torch.sigmoid(logits) - frames).detach() / 6)


class TestSample:
    @pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
    def test_frequencies(self, temperature: float) -> None:
        logits = torch.linspace(-3, 3, 7)
        drawn = sample(logits.expand(20_000, 7), temperature=temperature, generator=torch.Generator().manual_seed(1))
        expected = torch.tensor([1 / (1 + math.exp(-z / temperature)) for z in logits.tolist()])
        torch.testing.assert_close(drawn.mean(0), expected, atol=0.015, rtol=0)
        covariance = torch.cov(drawn.T)
        assert float((covariance - covariance.diag().diag()).abs().max()) < 0.01  # independent of each other

    def test_most_probable(self) -> None:
        assert sample(torch.tensor([-1.0, 0.0, 1e-6, 9.0]), temperature=0).tolist() == [0, 0, 1, 1]

    @pytest.mark.parametrize(
        ("low", "high", "on"), [(0, -1, [0, 1, 2, 3]), (1, 2, [1, 2]), (3, 3, [3]), (0, -3, [0, 1])]
    )
    @pytest.mark.parametrize("temperature", [0.0, 1.0])
    def test_keys_outside_are_off(self, low: int, high: int, on: list[int], temperature: float) -> None:
        found = sample(torch.full((2, 3, 4), 100.0), temperature=temperature, low=low, high=high)
        assert found.flatten(0, 1).unique(dim=0).tolist() == [[float(key in on) for key in range(4)]]

    def test_seeds(self) -> None:
        def draw(seed: int) -> list[float]:
            return sample(torch.zeros(99), generator=torch.Generator().manual_seed(seed)).tolist()

        assert draw(1) == draw(1) != draw(2)

    @pytest.mark.parametrize("how", [{"low": 2, "high": 1}, {"low": -1}, {"high": 4}, {"high": -5}])
    def test_no_such_keys(self, how: dict[str, int]) -> None:
        with pytest.raises(ValueError, match="expected low ≤ high among 4 keys, found"):
            sample(torch.zeros(4), **how)

    @pytest.mark.parametrize("temperature", [-1.0, math.nan])
    def test_no_temperature(self, temperature: float) -> None:
        with pytest.raises(ValueError, match="expected a temperature of at least 0, found"):
            sample(torch.zeros(4), temperature=temperature)


def test_module() -> None:
    module = Bernoulli(3, 5)
    found = module(torch.ones(2, 4, 3))
    assert (found.shape, found.dtype) == ((2, 4, 5), torch.float32)
    torch.testing.assert_close(found[0, 0], module.linear.weight.sum(1) + module.linear.bias)
