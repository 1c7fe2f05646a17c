"""The parts of a condition by their definitions, and the states that it sets."""

from __future__ import annotations

import pytest
import torch

from seqkit.nn.condition import (
    Condition,
    FieldInput,
    FramePart,
    FrameSequences,
    InitialState,
    LabelPart,
    TextPart,
    TextUnits,
    VectorPart,
)
from seqkit.nn.encoder import Encoder
from seqkit.nn.frames import FrameLayer
from seqkit.nn.recurrent import make_layer

LABELS = torch.tensor([2, 0, 2])
VALUES = torch.tensor([[1.0, 5.0], [3.0, 5.0], [0.0, 6.0]])
TEXTS = TextUnits(torch.tensor([[3, 2, 4], [2, 0, 0], [0, 0, 0]]), torch.tensor([3, 1, 0]))


FRAMES = FrameSequences(torch.arange(18.0).view(3, 3, 2), torch.tensor([3, 0, 2]))


def parts() -> tuple[LabelPart, VectorPart, TextPart, FramePart]:
    torch.manual_seed(0)
    vector = VectorPart(torch.tensor([1.0, 5.0]), torch.tensor([2.0, 0.5]), 4)
    frames = FramePart(FrameLayer(2), cell="gru", hidden_size=1)
    return LabelPart(3, 5), vector, TextPart(6, 3, cell="gru", hidden_size=2, pooling="max"), frames


def test_a_label_is_a_row_of_the_table() -> None:
    part, _, _, _ = parts()
    assert torch.equal(part(LABELS), part.table.weight[LABELS])
    assert part.output_size == 5


def test_a_vector_is_standardised_and_squashed() -> None:
    _, part, _, _ = parts()
    standard = torch.tensor([[0.0, 0.0], [1.0, 0.0], [-0.5, 2.0]])
    expected = torch.tanh(standard @ part.project.weight.T + part.project.bias)
    torch.testing.assert_close(part(VALUES), expected)
    assert set(dict(part.named_buffers())) == {"mean", "scale"}  # saved with the model
    far, farther = (part(torch.tensor([[number, 5.0]])) for number in (9.0, 1e9))
    assert torch.equal(far, farther)  # four standard deviations are the most


def test_a_text_is_the_pooled_output_of_an_encoder_whatever_its_batch_mates() -> None:
    _, _, part, _ = parts()
    together = part(TEXTS)
    assert together.shape == (3, part.output_size) == (3, 4)
    for row in range(3):
        length = int(TEXTS.lengths[row])
        alone = part(TextUnits(TEXTS.units[row : row + 1, :length], TEXTS.lengths[row : row + 1]))
        torch.testing.assert_close(alone[0], together[row])
    assert together[2].abs().max() == 0


@pytest.mark.parametrize(("stack", "stride"), [(1, 1), (2, 2), (3, 2)])
@pytest.mark.parametrize("convolutions", [0, 2])
@pytest.mark.parametrize("pooling", ["mean", "max", "last", "attention", "concat"])
def test_a_sequence_of_vectors_is_the_pooled_output_of_an_encoder_whatever_its_batch_mates(
    stack: int, stride: int, convolutions: int, pooling: str
) -> None:
    torch.manual_seed(0)
    mean, scale = torch.randn(3), torch.rand(3) + 0.5
    layer = FrameLayer(3, mean=mean, scale=scale, stack=stack, stride=stride, convolutions=convolutions, channels=5)
    part = FramePart(layer, cell="gru", hidden_size=2, pooling=pooling).eval()
    lengths = [7, 1, 0, 4]
    sequences = [torch.randn(length, 3) for length in lengths]
    for padding in (0.0, torch.nan):
        frames = torch.full((4, 9, 3), padding)
        for row, sequence in enumerate(sequences):
            frames[row, : len(sequence)] = sequence
        together = part(FrameSequences(frames, torch.tensor(lengths)))
        assert together.shape == (4, part.output_size)
        for row, sequence in enumerate(sequences):
            alone = part(FrameSequences(sequence[None], torch.tensor([len(sequence)])))
            torch.testing.assert_close(alone[0], together[row])
        assert together[2].abs().max() == 0
    if not convolutions:  # by the definition: windows of standardised frames, zeros past the end, one after another
        padded = torch.cat([(sequences[0] - mean) * scale, torch.zeros(stack, 3)])
        steps = torch.stack([padded[begin : begin + stack].flatten() for begin in range(0, 7, stride)])
        count = torch.tensor([len(steps)])
        expected = part.pooling(part.encoder(steps[None], count).outputs, count)
        torch.testing.assert_close(together[0], expected[0])


def test_dropout_of_a_sequence_of_vectors_is_for_training() -> None:
    torch.manual_seed(0)
    part = FramePart(FrameLayer(4), hidden_size=3, dropout=0.5)
    given = FrameSequences(torch.randn(2, 5, 4), torch.tensor([5, 3]))
    assert not torch.equal(part(given), part(given))
    assert torch.equal(part.eval()(given), part(given))


def test_a_condition_is_its_parts_side_by_side() -> None:
    made = parts()
    condition = Condition(made)
    inputs = (LABELS, VALUES, TEXTS, FRAMES)
    expected = torch.cat([part(given) for part, given in zip(made, inputs, strict=True)], 1)
    assert torch.equal(condition(inputs), expected)
    assert condition.output_size == expected.shape[1] == 15
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


LABEL, VECTOR, TEXT, SEQUENCE = range(4)


@pytest.mark.parametrize(
    ("number", "given", "message"),
    [
        (LABEL, VALUES, "expected labels int64 [B], found float32 [3, 2]"),
        (LABEL, TEXTS, "expected labels int64 [B], found a text"),
        (VECTOR, VALUES[:, :1], "expected values of shape [B, 2], found float32 [3, 1]"),
        (VECTOR, TEXTS, "expected values of shape [B, 2], found a text"),
        (TEXT, LABELS, "expected texts as units and lengths, found int64 [3]"),
        (TEXT, FRAMES, "expected texts as units and lengths, found sequences of vectors"),
        (SEQUENCE, VALUES, "expected sequences of vectors and lengths, found float32 [3, 2]"),
        (SEQUENCE, TEXTS, "expected sequences of vectors and lengths, found a text"),
    ],
)
def test_inputs_of_another_kind(number: int, given: FieldInput, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        parts()[number](given)
    assert str(caught.value) == message


def test_parts_that_do_not_fit() -> None:
    condition = Condition(parts())
    with pytest.raises(ValueError, match=r"^expected inputs for 4 parts, found 2$"):
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
