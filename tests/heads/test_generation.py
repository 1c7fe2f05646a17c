"""The generation head against its equation, step by step, and against a language model without a condition."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from seqkit.config import override
from seqkit.errors import SettingsError
from seqkit.heads.generation.module import IGNORED, GenerationHead
from seqkit.heads.generation.settings import GenerateSettings
from seqkit.inputs.lookup import LookupBatch, LookupModule
from seqkit.model.generator import Generator
from seqkit.nn.condition import Condition, LabelPart
from seqkit.nn.embedding import TypeBatch, WordEmbedding
from seqkit.nn.encoder import Encoder
from seqkit.nn.network import Network
from seqkit.nn.search import sample
from seqkit.records import TextRecord

V, E, C, H = 7, 3, 4, 5
FORMS = TypeBatch(torch.arange(V), torch.arange(V), (), ())


def make_network(cell: str = "lstm", tied: bool = False, conditional: bool = True) -> Network:
    torch.manual_seed(0)
    encoder = Encoder(E + C * conditional, cell=cell, hidden_size=H, layers=2, direction="forward", concat="final")
    condition = Condition([LabelPart(3, C)]) if conditional else None
    head = GenerationHead(H, V, condition, encoder.layers, tied_size=E if tied else None)
    return Network(LookupModule(WordEmbedding(V, E)), encoder, head)


def table_of(network: Network, tied: bool) -> Tensor | None:
    return network.input.embedding.table if tied else None


def batch_of(index: Tensor, lengths: Tensor) -> LookupBatch:
    return LookupBatch(lengths, index, FORMS.words, FORMS)


def run(network: Network, index: Tensor, lengths: Tensor, labels: Tensor | None) -> Tensor:
    head = network.head
    assert isinstance(head, GenerationHead)
    beginning = head.begin(() if labels is None else (labels,), len(index))
    return network(batch_of(index, lengths), features=beginning.features, state=beginning.state).outputs


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("conditional", [False, True])
def test_loss_and_scores_are_those_of_one_step_after_another(tied: bool, conditional: bool) -> None:
    network = make_network(tied=tied, conditional=conditional)
    head = network.head
    assert isinstance(head, GenerationHead)
    index = torch.tensor([[2, 4, 3], [2, 5, 0]])
    targets = torch.tensor([[4, 3, 2], [5, 2, IGNORED]])
    lengths = torch.tensor([3, 2])
    labels = torch.tensor([1, 2]) if conditional else None
    table = table_of(network, tied)
    outputs = run(network, index, lengths, labels)
    found = head.target_log_probabilities(outputs, targets, table)
    expected = torch.zeros(2, 3)
    for row in range(2):
        beginning = head.begin(() if labels is None else (labels[row : row + 1],), 1)
        state = beginning.state
        for t in range(int(lengths[row])):
            batch = batch_of(index[row : row + 1, t : t + 1], torch.tensor([1]))
            output = network(batch, features=beginning.features, state=state, return_state=True)
            state = output.state
            log_probabilities = head.log_probabilities(output.outputs[:, 0], table)[0]
            assert log_probabilities[0] == -torch.inf
            assert float(log_probabilities.exp().sum().detach()) == pytest.approx(1.0, abs=1e-5)
            expected[row, t] = log_probabilities[targets[row, t]]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(head.loss(outputs, targets, table), -expected.sum() / 5, atol=1e-5, rtol=1e-5)


def test_every_parameter_is_trained_and_the_condition_matters() -> None:
    network = make_network()
    head = network.head
    assert isinstance(head, GenerationHead)
    index, targets, lengths = torch.tensor([[2, 4]]), torch.tensor([[4, 2]]), torch.tensor([2])
    one, other = (run(network, index, lengths, torch.tensor([label])) for label in (0, 1))
    assert (one - other).abs().min() > 0
    head.loss(one, targets).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_no_output_sees_what_comes_later() -> None:
    network = make_network()
    lengths = torch.tensor([4])
    outputs = run(network, torch.tensor([[2, 3, 4, 5]]), lengths, torch.tensor([0]))
    changed = run(network, torch.tensor([[2, 3, 6, 6]]), lengths, torch.tensor([0]))
    assert torch.equal(outputs[:, :2], changed[:, :2])
    assert (outputs[:, 2:] - changed[:, 2:]).abs().max() > 0


def test_it_learns_to_write_what_the_condition_says() -> None:
    network = make_network()
    head = network.head
    assert isinstance(head, GenerationHead)
    texts = torch.tensor([[3, 4, 5, 2], [5, 5, 2, 0], [6, 2, 0, 0]])  # 2 ends a text, and begins it
    lengths = torch.tensor([4, 3, 2])
    inputs = functional.pad(texts[:, :-1], (1, 0), value=2)
    targets = texts.masked_fill(texts == 0, IGNORED)
    labels = torch.arange(3)
    optimizer = torch.optim.Adam(network.parameters(), 0.03)
    for _ in range(120):
        optimizer.zero_grad()
        loss = head.loss(run(network, inputs, lengths, labels), targets)
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 0.05
    beginning = head.begin((labels,), 3)
    assert beginning.features is not None
    vectors = network.input.embedding(FORMS)

    def step(last: Tensor, state: tuple[tuple[Tensor, ...], ...]) -> tuple[Tensor, tuple[tuple[Tensor, ...], ...]]:
        *layers, (features,) = state
        ones = torch.ones(len(last), dtype=torch.int64)
        batch = LookupBatch(ones, last[:, None], FORMS.words, vectors=vectors)
        output = network(batch, features=features, state=tuple(layers), return_state=True)
        assert output.state is not None
        return head.log_probabilities(output.outputs[:, 0]), (*output.state, (features,))

    begin = (*beginning.state, (beginning.features,))
    found = sample(step, begin, torch.full((3,), 2), end=2, length=9, temperature=0)
    assert [one.tokens for one in found] == [[3, 4, 5], [5, 5], [6]]


def test_an_input_for_no_condition() -> None:
    head = make_network(conditional=False).head
    assert isinstance(head, GenerationHead)
    with pytest.raises(ValueError, match=r"^expected no condition inputs, found 1$"):
        head.begin((torch.tensor([0]),), 1)


RECORDS = [TextRecord("ab", {"text": "ab", "kind": kind, "poem": "ba"}) for kind in "abab"]


@pytest.mark.parametrize("condition", ["text", "kind, text", "text:text", "kind:label, text:label"])
def test_the_condition_is_not_the_text_itself(condition: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Generator.build(override(GenerateSettings(), {"data": {"condition": condition}}), RECORDS)
    assert str(caught.value) == "data.condition and data.target must be different fields, both have 'text'"
    other = override(GenerateSettings(), {"data": {"condition": condition, "target": "poem"}})
    assert "text" in [field.name for field in Generator.build(other, RECORDS).head.codec.fields]
