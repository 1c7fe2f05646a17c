from __future__ import annotations

import torch

from seqkit.nn.sequences import length_mask


def test_true_within_each_length() -> None:
    expected = torch.tensor([[True, True, False], [False, False, False], [True, True, True]])
    assert torch.equal(length_mask(torch.tensor([2, 0, 3]), 3), expected)


def test_nothing_to_mask() -> None:
    assert length_mask(torch.zeros(2, dtype=torch.int64), 0).shape == (2, 0)
    assert length_mask(torch.zeros(0, dtype=torch.int64), 4).shape == (0, 4)
