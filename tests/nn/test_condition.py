"""The parts of a condition by their definitions, and the states that it sets."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from seqkit.nn.condition import Condition, InitialState, LabelPart, TextPart, TextUnits, VectorPart
from seqkit.nn.encoder import Encoder
from seqkit.nn.recurrent import make_layer

LABELS = torch.tensor([2, 0, 2])
VALUES = torch.tensor([[1.0, 5.0], [3.0, 5.0], [0.0, 6.0]])
TEXTS = TextUnits(torch.tensor([[3, 2, 4], [2, 0, 0], [0, 0, 0]]), torch.tensor([3, 1, 0]))


def parts() -> tuple[LabelPart, VectorPart, TextPart]:
    torch.manual_seed(0)
    vector = VectorPart(torch.tensor([1.0, 5.0]), torch.tensor([2.0, 0.5]), 4)
    return LabelPart(3, 5), vector, TextPart(6, 3, cell="gru", hidden_size=2, pooling="max")


def test_a_label_is_a_row_of_the_table() -> None:
    part, _, _ = parts()
    assert torch.equal(part(LABELS), part.table.weight[LABELS])
    assert part.output_size == 5


def test_a_vector_is_standardised_and_squashed() -> None:
    _, part, _ = parts()
    standard = torch.tensor([[0.0, 0.0], [1.0, 0.0], [-0.5, 2.0]])
    expected = torch.tanh(standard @ part.project.weight.T + part.project.bias)
    torch.testing.assert_close(part(VALUES), expected)
    assert set(dict(part.named_buffers())) == {"mean", "scale"}  # saved with the model
    far, farther = (part(torch.tensor([[number, 5.0]])) for number in (9.0, 1e9))
    assert torch.equal(far, farther)  # four standard deviations are the most


def test_a_text_is_the_pooled_output_of_an_encoder_whatever_its_batch_mates() -> None:
    _, _, part = parts()
    together = part(TEXTS)
    assert together.shape == (3, part.output_size) == (3, 4)
    for row in range(3):
        length = int(TEXTS.lengths[row])
        alone = part(TextUnits(TEXTS.units[row : row + 1, :length], TEXTS.lengths[row : row + 1]))
        torch.testing.assert_close(alone[0], together[row])
    assert together[2].abs().max() == 0


def test_a_condition_is_its_parts_side_by_side() -> None:
    made = parts()
    condition = Condition(made)
    inputs = (LABELS, VALUES, TEXTS)
    expected = torch.cat([part(given) for part, given in zip(made, inputs, strict=True)], 1)
    assert torch.equal(condition(inputs), expected)
    assert condition.output_size == expected.shape[1] == 13
    condition(inputs).sum().backward()
    assert all(parameter.grad is not None for parameter in condition.parameters())


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_states_have_the_shapes_that_the_encoder_takes(cell: str) -> None:
    torch.manual_seed(0)
    encoder = Encoder(3, cell=cell, hidden_size=4, layers=2, direction="forward")
    initial = InitialState(5, encoder.layers)
    vectors = torch.randn(2, 5)
    state = initial(vectors)
    flat = [part for layer in state for part in layer]
    pairs = zip(flat, initial.weight, initial.bias, strict=True)
    for part, weight, bias in pairs:
        torch.testing.assert_close(part, torch.tanh(vectors @ weight.T + bias))
    output = encoder(torch.randn(2, 3, 3), torch.tensor([3, 3]), state)
    output.outputs.sum().backward()
    assert all(parameter.grad is not None for parameter in initial.parameters())


def test_without_a_condition_the_state_is_learned_and_the_same_for_all() -> None:
    encoder = Encoder(3, hidden_size=4, direction="forward")
    initial = InitialState(0, encoder.layers)
    with torch.no_grad():
        initial.bias[0].fill_(0.3)
    ((hidden, cell),) = initial(torch.zeros(2, 0))
    torch.testing.assert_close(hidden, torch.full((2, 4), 0.3).tanh())
    assert cell.abs().max() == 0


LABEL, VECTOR, TEXT = range(3)


@pytest.mark.parametrize(
    ("number", "given", "message"),
    [
        (LABEL, VALUES, "expected labels int64 [B], found float32 [3, 2]"),
        (LABEL, TEXTS, "expected labels int64 [B], found a text"),
        (VECTOR, VALUES[:, :1], "expected values of shape [B, 2], found float32 [3, 1]"),
        (VECTOR, TEXTS, "expected values of shape [B, 2], found a text"),
        (TEXT, LABELS, "expected texts as units and lengths, found int64 [3]"),
    ],
)
def test_inputs_of_another_kind(number: int, given: Tensor | TextUnits, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        parts()[number](given)
    assert str(caught.value) == message


def test_parts_that_do_not_fit() -> None:
    condition = Condition(parts())
    with pytest.raises(ValueError, match=r"^expected inputs for 3 parts, found 2$"):
        condition((LABELS, VALUES))
    with pytest.raises(ValueError, match=r"^expected inputs for at least one parts, found 0$"):
        Condition([])(())
    for mean, scale in ((torch.zeros(2), torch.ones(3)), (torch.zeros(2), torch.zeros(2))):
        with pytest.raises(ValueError) as caught:
            VectorPart(mean, scale, 4)
        found = f"shapes {list(mean.shape)} and {list(scale.shape)}"
        assert str(caught.value) == f"expected a mean and a positive scale of the same shape [F], found {found}"


def test_what_counts_steps_begins_at_zero() -> None:
    torch.manual_seed(0)
    layers = [make_layer(cell, 2, 5) for cell in ("lstm", "clockwork")]
    initial = InitialState(3, layers)
    assert len(initial.weight) == len(initial.bias) == 3  # h and c, and h alone
    (_, _), (h, clock) = initial(torch.randn(4, 3))
    assert h.any()
    assert torch.equal(clock, torch.zeros(4, 5))
