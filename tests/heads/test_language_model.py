"""The language-model head equals a literal loop over units, its regularisers their equations; none sees the future."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from seqkit.heads.language_model.head import LanguageModelling
from seqkit.heads.language_model.module import LanguageModelHead
from seqkit.nn.encoder import Encoder
from seqkit.nn.network import Encoded
from seqkit.nn.softmax import IGNORED

LENGTHS = torch.tensor([5, 1, 0, 3])
KINDS: dict[str, dict[str, Any]] = {"own": {}, "tied": {"tied_size": 3}, "adaptive": {"cutoffs": [4]}}


def problem(kind: str, forward: int) -> tuple[LanguageModelHead, Tensor, Tensor, Tensor, Tensor | None]:
    """A head, outputs [4, 5, 9], next and previous units [4, 5], and the table of a tied head."""
    torch.manual_seed(forward)
    head = LanguageModelHead(9, forward, 7, **KINDS[kind])
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.normal_()
    outputs = torch.randn(4, 5, 9, requires_grad=True)
    table = torch.randn(7, 3, requires_grad=True) if kind == "tied" else None
    return head, outputs, torch.randint(1, 7, (4, 5)), torch.randint(1, 7, (4, 5)), table


@pytest.mark.parametrize("forward", [4, 9])
@pytest.mark.parametrize("kind", KINDS)
def test_equals_a_literal_loop(kind: str, forward: int) -> None:
    head, outputs, targets, previous, table = problem(kind, forward)
    previous[0, 0] = IGNORED
    nats = both = torch.zeros(())
    for row, size in enumerate(LENGTHS.tolist()):
        for step in range(size):
            vector = outputs[row, step]
            nats = nats - head.next.log_probabilities(vector[None, :forward], table)[0, targets[row, step]]
            if head.previous is not None and previous[row, step] != IGNORED:
                found = head.previous.log_probabilities(vector[None, forward:], table)[0]
                both = both - found[previous[row, step]]
    loss = head.loss(outputs, LENGTHS, targets, previous, table)
    assert loss.units == 9
    torch.testing.assert_close(loss.nats, nats.detach())
    torch.testing.assert_close(loss.objective, (nats + both) / 9)
    alone = head.loss(outputs, LENGTHS, targets, None, table)
    torch.testing.assert_close(alone.objective, nats / 9)
    learnt = [outputs, *head.next.parameters()]
    gradients = [torch.autograd.grad(result, learnt) for result in (alone.objective, nats / 9)]
    torch.testing.assert_close(gradients[0], gradients[1])


@pytest.mark.parametrize("kind", KINDS)
def test_probabilities_of_targets_make_the_loss(kind: str) -> None:
    head, outputs, targets, _, table = problem(kind, 4)
    inside = torch.arange(5) < LENGTHS[:, None]
    targets = targets.masked_fill(~inside, IGNORED)
    found = head.target_log_probabilities(outputs, targets, table)
    every = head.log_probabilities(outputs, table)
    assert every.shape == (4, 5, 7)
    assert every[..., 0].isneginf().all()
    expected = every.gather(2, targets.clamp(min=0).unsqueeze(2)).squeeze(2).masked_fill(~inside, 0)
    torch.testing.assert_close(found, expected.detach())
    torch.testing.assert_close(head.loss(outputs, LENGTHS, targets, None, table).nats, -found.sum())
    assert torch.equal(head.log_probabilities(outputs[..., :4], table), every)


def test_padding_has_no_part() -> None:
    torch.manual_seed(1)
    head = LanguageModelHead(4, 2, 6, ar=2.0, tar=1.0)
    outputs, units, lengths = torch.randn(2, 4, 4), torch.randint(1, 6, (2, 4)), torch.tensor([2, 4])
    other_outputs, other_units = outputs.clone(), units.clone()
    other_outputs[0, 2:], other_units[0, 2:] = 9.0, 5
    found = [head.loss(x, lengths, y, y) for x, y in ((outputs, units), (other_outputs, other_units))]
    assert torch.equal(found[0].objective, found[1].objective)
    assert torch.equal(found[0].nats, found[1].nats)


@pytest.mark.parametrize("lengths", [[4, 4], [3, 2], [1, 1]])
def test_regularisers_equal_their_equations(lengths: list[int]) -> None:
    torch.manual_seed(2)
    head = LanguageModelHead(3, 3, 6, ar=2.0, tar=0.5)
    outputs, units = torch.randn(2, 4, 3), torch.randint(1, 6, (2, 4))
    loss = head.loss(outputs, torch.tensor(lengths), units)
    squares = torch.cat([row[:size].square().flatten() for row, size in zip(outputs, lengths, strict=True)])
    moves = torch.cat([row[:size].diff(dim=0).square().flatten() for row, size in zip(outputs, lengths, strict=True)])
    expected = loss.nats / loss.units + 2.0 * squares.mean() + (0.5 * moves.mean() if len(moves) else 0)
    torch.testing.assert_close(loss.objective, expected)
    head.eval()
    torch.testing.assert_close(head.loss(outputs, torch.tensor(lengths), units).objective, loss.nats / loss.units)


def test_activations_are_regularised_after_dropout_and_moves_before() -> None:
    torch.manual_seed(3)
    units, lengths = torch.randint(1, 6, (1, 4)), torch.tensor([4])
    outputs = torch.ones(1, 4, 50)
    # A mask a step, so that outputs which never move do so once they are dropped.
    head = LanguageModelHead(50, 50, 6, dropout=0.5, variational=False, ar=1.0, tar=1.0)
    torch.manual_seed(4)
    dropped = head.dropout(outputs)
    torch.manual_seed(4)
    loss = head.loss(outputs, lengths, units)
    assert dropped.diff(dim=1).any()
    torch.testing.assert_close(loss.objective, loss.nats / 4 + dropped.square().mean())


def test_dropout_is_one_mask_a_sequence_and_none_outside_training() -> None:
    head = LanguageModelHead(5, 3, 6, dropout=0.5)
    assert head.dropout.variational
    assert not LanguageModelHead(5, 3, 6, variational=False).dropout.variational
    outputs, units, lengths = torch.randn(2, 4, 5), torch.randint(1, 6, (2, 4)), torch.tensor([4, 4])
    head.eval()
    assert torch.equal(head.loss(outputs, lengths, units).nats, head.loss(outputs, lengths, units).nats)
    head.train()
    assert not torch.equal(head.loss(outputs, lengths, units).nats, head.loss(outputs, lengths, units).nats)


@pytest.mark.parametrize("kind", KINDS)
def test_every_parameter_learns(kind: str) -> None:
    head, outputs, targets, previous, table = problem(kind, 4)
    head.loss(outputs, LENGTHS, targets, previous, table).objective.backward()
    assert all(parameter.grad.any() for parameter in head.parameters())
    assert outputs.grad.any()
    assert table is None or table.grad.any()


def test_no_prediction_depends_on_what_comes_later() -> None:
    """Another unit at t + 1 leaves every log-probability up to t as it was, and going backward those after it."""
    torch.manual_seed(4)
    encoder = Encoder(3, hidden_size=4, layers=2, direction="both", concat="final").eval()
    head = LanguageModelHead(encoder.output_size, encoder.forward_size, 7).eval()
    x = torch.randn(1, 6, 3)
    changed = x.clone()
    changed[0, 4] += 1.0
    lengths = torch.tensor([6])
    before, after = (encoder(inputs, lengths).outputs for inputs in (x, changed))
    assert torch.equal(head.log_probabilities(before)[0, :4], head.log_probabilities(after)[0, :4])
    assert not torch.equal(head.log_probabilities(before)[0, 4:], head.log_probabilities(after)[0, 4:])
    backward = [outputs[0, :, encoder.forward_size :] for outputs in (before, after)]
    assert torch.equal(*(head.previous.log_probabilities(features)[5:] for features in backward))


def test_nothing_to_predict() -> None:
    head = LanguageModelHead(4, 4, 6, ar=1.0, tar=1.0)
    for steps in (0, 3):
        outputs = torch.randn(2, steps, 4, requires_grad=True)
        loss = head.loss(outputs, torch.tensor([0, 0]), torch.ones(2, steps, dtype=torch.int64))
        assert (loss.objective.item(), loss.nats.item(), loss.units) == (0.0, 0.0, 0)
        loss.objective.backward()


@pytest.mark.parametrize("forward", [0, 5])
def test_no_features_that_read_left_to_right(forward: int) -> None:
    with pytest.raises(ValueError) as caught:
        LanguageModelHead(4, forward, 6)
    assert str(caught.value) == f"expected forward_size from 1 to 4, found {forward}"


@pytest.mark.parametrize("forward", [9, 4])
@pytest.mark.parametrize("kind", ["own", "adaptive"])
def test_a_window_and_the_unit_after_it_say_what_comes_before_and_after(kind: str, forward: int) -> None:
    """Targets are given on the CPU; an adaptive softmax looks there for the words that it has to compute."""
    module, outputs, *_ = problem(kind, forward)
    units = torch.randint(1, 7, (4, 6))
    head = LanguageModelling(
        SimpleNamespace(training=SimpleNamespace(variable_bptt=False), head=SimpleNamespace()), None
    )  # type: ignore[arg-type]
    head.settings.head.tied = False
    head.module = module
    encoded = Encoded(outputs, torch.full((4,), 5), SimpleNamespace())
    previous = torch.cat([torch.full((4, 1), IGNORED), units[:, :4]], 1)
    expected = module.loss(outputs, encoded.lengths, units[:, 1:], previous)
    torch.testing.assert_close(head.loss(encoded, units).mean, expected.nats / 20)
    one, other = (
        torch.autograd.grad(loss, outputs)[0] for loss in (head.loss(encoded, units).mean, expected.objective)
    )
    assert torch.equal(one, other)


class _Apple(Tensor):
    """Numbers on a device without float64."""

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return torch.device("mps")

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = super().__torch_function__(func, types, args, kwargs or {})
        if isinstance(found, Tensor) and found.dtype is torch.float64:
            raise TypeError("Cannot convert a MPS Tensor to float64 dtype")
        return found


def test_texts_are_scored_also_where_there_is_no_float64(monkeypatch: pytest.MonkeyPatch) -> None:
    head = LanguageModelling(SimpleNamespace(head=SimpleNamespace(tied=False)), None)  # type: ignore[arg-type]
    steps = torch.tensor([[-1.0, -2.0], [-0.5, 0.0]]).as_subclass(_Apple)
    following = torch.tensor([[1, 2], [1, IGNORED]]).as_subclass(_Apple)
    monkeypatch.setattr(head, "following", lambda encoded: following)
    head.module = SimpleNamespace(target_log_probabilities=lambda *arguments: steps)  # type: ignore[assignment]
    found = head.score(Encoded(torch.zeros(2, 2, 1), torch.tensor([2, 1]), None))
    assert found.tolist() == [[-3.0, 1.0], [-0.5, 1.0]]
