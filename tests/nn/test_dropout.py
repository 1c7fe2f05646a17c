"""Dropout over sequences: one mask per sequence, the expectation kept, nothing done outside training."""

from __future__ import annotations

import pytest
import torch

from seqkit.nn.sequences import SequenceDropout


def test_one_mask_a_sequence() -> None:
    torch.manual_seed(0)
    x = torch.rand(6, 9, 40) + 0.5
    y = SequenceDropout(0.4)(x)
    kept = y != 0  # [B, T, D]
    assert torch.equal(kept, kept[:, :1].expand_as(kept))
    assert len({tuple(mask) for mask in kept[:, 0].tolist()}) == 6  # another one for every sequence
    torch.testing.assert_close(y[kept], x[kept] / 0.6)


def test_one_mask_a_step_without_variational() -> None:
    torch.manual_seed(0)
    x = torch.rand(3, 9, 40) + 0.5
    y = SequenceDropout(0.4, variational=False)(x)
    kept = y != 0
    assert len({tuple(mask) for mask in kept.flatten(0, 1).tolist()}) == 3 * 9
    torch.testing.assert_close(y[kept], x[kept] / 0.6)


@pytest.mark.parametrize("variational", [True, False])
@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_the_expectation_is_kept_and_features_drop_with_probability_p(variational: bool, p: float) -> None:
    torch.manual_seed(1)
    batch, steps, size = 200, 3, 400
    y = SequenceDropout(p, variational=variational)(torch.ones(batch, steps, size, dtype=torch.float64))
    draws = batch * size * (1 if variational else steps)
    assert (y == 0).double().mean().item() == pytest.approx(p, abs=4 * (p * (1 - p) / draws) ** 0.5)
    assert y.mean().item() == pytest.approx(1.0, abs=4 * (p / (1 - p) / draws) ** 0.5)


@pytest.mark.parametrize("variational", [True, False])
def test_identity_outside_training_and_without_dropout(variational: bool) -> None:
    x = torch.randn(2, 3, 4)
    assert SequenceDropout(0.9, variational=variational).eval()(x) is x
    assert SequenceDropout(0.0, variational=variational)(x) is x


@pytest.mark.parametrize("variational", [True, False])
def test_gradients_pass_through_the_same_mask(variational: bool) -> None:
    torch.manual_seed(2)
    x = torch.ones(4, 5, 6, requires_grad=True)
    y = SequenceDropout(0.5, variational=variational)(x)
    y.sum().backward()
    assert torch.equal(x.grad, y)
    assert set(y.unique().tolist()) == {0.0, 2.0}


@pytest.mark.parametrize("shape", [(0, 3, 4), (2, 0, 4)])
def test_nothing_to_drop(shape: tuple[int, int, int]) -> None:
    assert SequenceDropout(0.5)(torch.ones(shape)).shape == shape


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_dtype_is_kept(dtype: torch.dtype) -> None:
    assert SequenceDropout(0.5)(torch.ones(2, 3, 4, dtype=dtype)).dtype == dtype


@pytest.mark.parametrize("p", [-0.1, 1.0, float("nan")])
def test_no_probability(p: float) -> None:
    with pytest.raises(ValueError) as caught:
        SequenceDropout(p)
    assert str(caught.value) == f"expected a dropout probability in 0 ≤ p < 1, found {p}"


def test_repr_names_the_arguments() -> None:
    assert repr(SequenceDropout(0.25, variational=False)) == "SequenceDropout(p=0.25, variational=False)"
