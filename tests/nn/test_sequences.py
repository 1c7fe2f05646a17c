from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from seqkit.nn.crf import CRF
from seqkit.nn.recurrent import make_layer
from seqkit.nn.search import filter_probabilities
from seqkit.nn.sequences import _sum_by_doubling, length_mask, running_sum


def test_true_within_each_length() -> None:
    expected = torch.tensor([[True, True, False], [False, False, False], [True, True, True]])
    assert torch.equal(length_mask(torch.tensor([2, 0, 3]), 3), expected)


def test_nothing_to_mask() -> None:
    assert length_mask(torch.zeros(2, dtype=torch.int64), 0).shape == (2, 0)
    assert length_mask(torch.zeros(0, dtype=torch.int64), 4).shape == (0, 4)


# --- sums that are the same every time ----------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (3, 5), (7, 2), (64, 3), (100, 1), (0, 2), (3, 0)])
@pytest.mark.parametrize("dim", [0, 1])
def test_running_sums_by_doubling_are_running_sums_with_their_gradient(shape: tuple[int, int], dim: int) -> None:
    values = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    found, expected = _sum_by_doubling(values, dim), values.cumsum(dim)
    torch.testing.assert_close(found, expected)
    assert torch.equal(running_sum(values, dim), expected)
    factors = torch.randn(shape, dtype=torch.float64)
    one, other = (torch.autograd.grad((sums * factors).sum(), values)[0] for sums in (found, expected))
    torch.testing.assert_close(one, other)


class _NoCumulativeSums(TorchDispatchMode):
    """A device whose cumulative sums are not deterministic, as those of CUDA are."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.overloadpacket is torch.ops.aten.cumsum or func.overloadpacket is torch.ops.aten.cumsum_:
            raise RuntimeError("cumsum_cuda_kernel does not have a deterministic implementation")
        return func(*args, **(kwargs or {}))


@pytest.fixture
def deterministic() -> Iterator[None]:
    """Only deterministic kernels, and a device that has not all of them: torch's ``meta`` stands for it."""
    torch.use_deterministic_algorithms(True)
    try:
        with _NoCumulativeSums():
            yield
    finally:
        torch.use_deterministic_algorithms(False)


@pytest.mark.usefixtures("deterministic")
def test_no_layer_and_no_decoding_needs_a_sum_that_is_not_deterministic() -> None:
    x = torch.zeros(2, 70, 3, device="meta")
    layer = make_layer("running_sum", 3, 4).to("meta")
    layer(x)[0].sum().backward()
    tags, _ = CRF(3).to("meta").viterbi(x, torch.tensor([70, 70]))
    assert tags.shape == (2, 70)
    assert filter_probabilities(x[0], top_p=0.5).shape == (70, 3)
    with pytest.raises(RuntimeError, match="deterministic"):
        x.cumsum(1)
