from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from seqkit.heads.classification.module import IGNORED, ClassificationHead
from seqkit.nn.pooling import POOLINGS, make_pooling

B, T, D, F, K = 4, 5, 6, 3, 3
LENGTHS = torch.tensor([5, 3, 1, 0])


@pytest.fixture
def outputs() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    found = torch.randn(B, T, D, generator=generator)
    for row, length in enumerate(LENGTHS.tolist()):
        found[row, length:] = 0
    return found


def make(pool: str = "mean", **options: object) -> ClassificationHead:
    torch.manual_seed(1)
    return ClassificationHead(make_pooling(pool, D, F), K, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("multi", [False, True])
@pytest.mark.parametrize("pool", list(POOLINGS))
def test_every_pooling_learns_and_decodes(pool: str, multi: bool, outputs: Tensor) -> None:
    head = make(pool, multi_label=multi)
    targets = torch.tensor([[1, 0, 1], [0, 0, 0], [1, 1, 1], [0, 1, 0]]) if multi else torch.tensor([0, 1, 2, 1])
    outputs.requires_grad_()
    head.loss(outputs, LENGTHS, targets).backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in head.parameters())
    assert outputs.grad is not None and not outputs.grad[3].any() and not outputs.grad[1, 3:].any()
    probabilities = head.decode(outputs, LENGTHS)  # [B, K]
    assert probabilities.shape == (B, K) and not probabilities.requires_grad
    if not multi:
        assert probabilities.sum(1).tolist() == pytest.approx([1.0] * B)


def test_the_loss_of_one_label_by_hand(outputs: Tensor) -> None:
    weights = torch.tensor([1.0, 2.0, 0.5])
    head = make(weights=weights)
    targets = torch.tensor([2, IGNORED, 0, 1])
    logs = head.decode(outputs, LENGTHS).log()
    expected = -(0.5 * logs[0, 2] + 1.0 * logs[2, 0] + 2.0 * logs[3, 1]) / B
    assert head.loss(outputs, LENGTHS, targets).item() == pytest.approx(float(expected))


def test_the_loss_of_several_labels_by_hand(outputs: Tensor) -> None:
    weights = torch.tensor([1.0, 2.0, 0.5])
    head = make(weights=weights, multi_label=True)
    targets = torch.tensor([[1, 0, 1], [0, 0, 0], [1, 1, 1], [0, 1, 0]])
    p = head.decode(outputs, LENGTHS)
    expected = -(weights * targets * p.log() + (1 - targets) * (1 - p).log()).sum() / B
    assert head.loss(outputs, LENGTHS, targets).item() == pytest.approx(float(expected))


def test_batch_mates_and_padding_change_nothing(outputs: Tensor) -> None:
    head = make("attention")
    together = head.decode(outputs, LENGTHS)
    for row, length in enumerate(LENGTHS.tolist()):
        alone = head.decode(outputs[row : row + 1, :length], LENGTHS[row : row + 1])
        assert alone[0].tolist() == pytest.approx(together[row].tolist(), abs=1e-6)


def test_dropout_is_for_training_only(outputs: Tensor) -> None:
    head = make(dropout=0.5)
    targets = torch.tensor([0, 1, 2, 0])
    assert len({head.loss(outputs, LENGTHS, targets).item() for _ in range(4)}) > 1
    head.eval()
    assert len({head.loss(outputs, LENGTHS, targets).item() for _ in range(4)}) == 1


def test_scores_are_float32_under_mixed_precision(outputs: Tensor) -> None:
    head = make()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = head.decode(outputs, LENGTHS)
    assert mixed.dtype == torch.float32 and torch.equal(mixed, head.decode(outputs, LENGTHS))


def test_weights_are_no_part_of_what_is_saved() -> None:
    assert set(make(weights=torch.ones(K)).state_dict()) == set(make().state_dict())


def test_an_empty_batch() -> None:
    loss = make().loss(torch.zeros(0, 0, D), torch.zeros(0, dtype=torch.int64), torch.zeros(0, dtype=torch.int64))
    assert loss.item() == 0.0


def test_the_loss_without_weights_is_the_cross_entropy(outputs: Tensor) -> None:
    head = make()
    targets = torch.tensor([0, 1, 2, 0])
    scores = head.output(head.pooling(outputs, LENGTHS))
    expected = functional.cross_entropy(scores, targets).item()
    assert head.loss(outputs, LENGTHS, targets).item() == pytest.approx(expected)


def test_faults() -> None:
    with pytest.raises(ValueError, match=r"^expected weights of shape \[3\], found \[2\]$"):
        make(weights=torch.ones(2))
    with pytest.raises(ValueError, match=r"^expected a pooling among mean, max, last, attention, concat, found 'sum'$"):
        make("sum")
