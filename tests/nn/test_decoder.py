"""The decoder: one operation against steps by its equation, steps against searches, copying against enumeration."""

from __future__ import annotations

import math
import threading
from itertools import product
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from seqkit.nn.attention import Attention
from seqkit.nn.decoder import Decoder, Source, select_source
from seqkit.nn.encoder import Encoder
from seqkit.nn.softmax import IGNORED

END, VOCABULARY, MEMORY, SIZE, HIDDEN = 2, 7, 6, 4, 6


def make(
    cell: str = "lstm",
    *,
    layers: int = 1,
    attention: dict[str, Any] | None = None,
    units: int = VOCABULARY,
    seed: int = 0,
    **options: Any,
) -> Decoder:
    torch.manual_seed(seed)
    size = Decoder.input_size(SIZE, HIDDEN, feeding=options.get("feeding", True))
    stack = Encoder(size, cell=cell, hidden_size=HIDDEN, layers=layers, direction="forward")
    decoder = Decoder(MEMORY, 3, units, SIZE, stack, Attention(HIDDEN, MEMORY, **(attention or {})), **options)
    for parameter in decoder.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return decoder.eval()


def source_of(decoder: Decoder, lengths: list[int], copies: Tensor | None = None, seed: int = 0) -> Source:
    outputs = torch.randn(len(lengths), max(lengths), MEMORY, generator=torch.Generator().manual_seed(seed))
    for row, length in enumerate(lengths):
        outputs[row, length:] = 0.0
    return decoder.read(outputs, torch.tensor(lengths), copies)


def texts(lengths: list[int], largest: int = VOCABULARY) -> Tensor:
    rows = torch.full((len(lengths), max(lengths)), IGNORED)
    for row, length in enumerate(lengths):
        rows[row, :length] = torch.randint(3, largest, (length,))
        rows[row, length - 1] = END
    return rows


OPTIONS: list[dict[str, Any]] = [
    {},
    {"cell": "gru"},
    {"cell": "mingru", "layers": 2},
    {"cell": "lstm_peephole"},
    {"feeding": False},
    {"feeding": False, "cell": "gru", "layers": 2},
    {"attention": {"kind": "dot"}},
    {"attention": {"kind": "additive"}},
    {"attention": {"kind": "additive", "coverage": True}, "feeding": False},
    {"attention": {"kind": "general", "heads": 2}},
    {"attention": {"kind": "dot", "window": 2.0}},
    {"copy": True},
    {"copy": True, "feeding": False},
    {"tied": True},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@torch.no_grad()
def test_known_units_have_the_probabilities_that_a_search_finds_step_by_step(options: dict[str, Any]) -> None:
    decoder = make(**options)
    copies = torch.tensor([[3, 8, 7, 8], [4, 4, 0, 0], [7, 0, 0, 0]]) if options.get("copy") else None
    source = source_of(decoder, [4, 2, 1], copies)
    targets = texts([5, 3, 1], VOCABULARY + 2 if copies is not None else VOCABULARY)
    steps = decoder.steps(source, decoder.before(targets, END))
    together = decoder.target_log_probabilities(source, steps, targets)
    carried, last = decoder.begin(source), torch.full((3,), END)
    for position in range(targets.shape[1]):
        found, carried = decoder.next(last, source, carried)
        assert torch.allclose(found.exp().sum(1), torch.ones(3), atol=1e-5)
        assert not found[:, 0].exp().any()  # padding
        last = targets[:, position].clamp(min=0)
        for row in range(3):
            if targets[row, position] != IGNORED:
                expected = float(found[row, last[row]])
                assert math.exp(float(together[row, position])) == pytest.approx(math.exp(expected), abs=1e-5)
    nats = decoder.nats(source, steps, targets)
    assert float(nats.detach()) == pytest.approx(-float(together.sum().detach()), abs=1e-3)
    inside = (targets != IGNORED)[:, None, :, None]
    assert torch.allclose((steps.weights.sum(3, keepdim=True) * inside), inside.float(), atol=1e-5)
    assert not steps.weights[1, :, :, 2:].any()


@given(
    lengths=st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5)), min_size=1, max_size=4), seed=st.integers(0, 9)
)
@settings(max_examples=25, deadline=None)
def test_one_operation_equals_the_steps_and_its_gradients_theirs(lengths: list[tuple[int, int]], seed: int) -> None:
    decoder = make(seed=seed)
    read, written = [one for one, _ in lengths], [other for _, other in lengths]
    targets = texts(written)
    found: list[tuple[float, list[Tensor]]] = []
    for plain in (True, False):
        decoder.zero_grad()
        outputs = torch.randn(
            len(read), max(read), MEMORY, generator=torch.Generator().manual_seed(seed)
        ).requires_grad_()
        source = decoder.read(outputs, torch.tensor(read))
        units = decoder.before(targets, END)
        if plain:
            assert decoder._is_plain
            steps = decoder.steps(source, units)
        else:
            decoder.sampling, decoder.training = 1e-12, True  # which takes the other way, and next to never a unit
            steps = decoder.steps(source, units)
            decoder.sampling, decoder.training = 0.0, False
        loss = decoder.nats(source, steps, targets)
        loss.backward()
        assert outputs.grad is not None
        gradients = [parameter.grad for parameter in decoder.parameters() if parameter.grad is not None]
        found.append((float(loss.detach()), [outputs.grad, *(each.clone() for each in gradients)]))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-5)
    assert len(found[0][1]) == len(found[1][1]) > 10
    for one, other in zip(found[0][1], found[1][1], strict=True):
        assert torch.allclose(one, other, atol=1e-4)


def test_rounded_products_change_gradients_by_little_and_the_loss_not_at_all() -> None:
    decoder, targets = make(), texts([5, 3])
    found = []
    for products in (None, torch.bfloat16):
        decoder.zero_grad()
        decoder.output.products = products
        source = source_of(decoder, [4, 2])
        loss = decoder.nats(source, decoder.steps(source, decoder.before(targets, END)), targets)
        loss.backward()
        gradients = [each.grad.flatten() for each in decoder.parameters() if each.grad is not None]
        found.append((float(loss.detach()), torch.cat(gradients)))
    assert found[0][0] == found[1][0]
    assert 0 < float((found[0][1] - found[1][1]).norm()) < 0.02 * float(found[0][1].norm())


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@torch.no_grad()
def test_no_text_depends_on_its_batch_or_on_padding(options: dict[str, Any]) -> None:
    decoder = make(**options)
    copies = torch.tensor([[3, 8, 7, 8], [4, 4, 0, 0], [7, 0, 0, 0]]) if options.get("copy") else None
    source, targets = source_of(decoder, [4, 2, 1], copies), texts([5, 3, 1])
    together = decoder.target_log_probabilities(source, decoder.steps(source, decoder.before(targets, END)), targets)
    for row, (read, written) in enumerate(zip([4, 2, 1], [5, 3, 1], strict=True)):
        outputs = torch.randn(3, 4, MEMORY, generator=torch.Generator().manual_seed(0))[row : row + 1, :read]
        own = decoder.read(outputs, torch.tensor([read]), None if copies is None else copies[row : row + 1, :read])
        target = targets[row : row + 1, :written]
        alone = decoder.target_log_probabilities(own, decoder.steps(own, decoder.before(target, END)), target)
        assert torch.allclose(alone[0], together[row, :written], atol=1e-5)
    chosen = select_source(source, torch.tensor([2, 0, 0]))
    again = targets[[2, 0, 0]]
    found = decoder.target_log_probabilities(chosen, decoder.steps(chosen, decoder.before(again, END)), again)
    assert torch.allclose(found, together[[2, 0, 0]], atol=1e-5)


@torch.no_grad()
def test_each_unit_of_the_source_is_copied_with_its_mass() -> None:
    decoder = make(copy=True)
    copies = torch.tensor([[3, 8, 3, 7]])  # 7 and 8 are not in the vocabulary, and 3 is there twice
    source = source_of(decoder, [4], copies)
    carried = decoder.begin(source)
    found, _ = decoder.next(torch.tensor([END]), source, carried)
    steps = decoder.steps(source, torch.tensor([[END]]))
    assert steps.generate is not None
    generate, weights = float(steps.generate), steps.weights[0, 0, 0].tolist()
    written = decoder.output.log_probabilities(steps.features[0]).exp()[0].tolist()
    expected = [generate * p for p in written] + [0.0, 0.0]
    for unit, weight in zip([3, 8, 3, 7], weights, strict=True):
        expected[unit] += (1 - generate) * weight
    assert found.exp()[0].tolist() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("tied", [False, True])
def test_copying_has_the_loss_and_the_gradients_of_the_whole_distribution(tied: bool) -> None:
    """Of which only the right unit's probability is computed with, a few rows of scores at a time."""
    decoder = make(copy=True, tied=tied)
    copies = torch.tensor([[3, 8, 7, 8], [4, 4, 0, 0]])
    source, targets = source_of(decoder, [4, 2], copies), texts([5, 3], VOCABULARY + 2)
    targets[0, :3], targets[1, 0] = torch.tensor([8, 3, 9]), 4  # copied only, both, neither, both
    steps = decoder.steps(source, decoder.before(targets, END))
    assert steps.generate is not None
    written = decoder.output.log_probabilities(steps.features.flatten(0, 1), decoder.table if tied else None).exp()
    shares = steps.generate.flatten().unsqueeze(1)  # [B · L, 1]
    copied = torch.zeros(len(written), VOCABULARY + 3).scatter_add(
        1, copies.repeat_interleave(targets.shape[1], 0), steps.weights.mean(1).flatten(0, 1)
    )  # [B · L, V']
    whole = shares * functional.pad(written, (0, 3)) + (1 - shares) * copied  # [B · L, V']
    inside = targets.flatten() != IGNORED
    expected = -(whole[inside, targets.flatten()[inside]] + 1e-30).log().sum()
    loss = decoder.nats(source, steps, targets)
    torch.testing.assert_close(loss, expected)
    parameters = [each for each in decoder.parameters() if each.requires_grad]
    one = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
    other = torch.autograd.grad(expected, parameters, allow_unused=True)
    assert sum(each is not None for each in one) > 10
    for found, direct in zip(one, other, strict=True):
        torch.testing.assert_close(found, direct)


class _Largest(TorchDispatchMode):
    """Notes how many numbers the largest tensor has that an operation makes."""

    numbers = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        for each in found if isinstance(found, tuple | list) else [found]:
            if isinstance(each, Tensor):
                self.numbers = max(self.numbers, each.numel())
        return found


def test_copying_never_has_the_scores_of_all_units_of_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seqkit.nn.softmax._LEAST_ROWS", 4)
    monkeypatch.setattr("seqkit.nn.softmax.workspace", lambda device: 1)
    monkeypatch.setattr("seqkit.nn.softmax._memory", threading.local())
    decoder = make(copy=True, units=3000)
    source, targets = source_of(decoder, [2] * 8, torch.full((8, 2), 4)), texts([10] * 8)
    steps = decoder.steps(source, decoder.before(targets, END))
    with _Largest() as seen:
        decoder.nats(source, steps, targets).backward()
        with torch.no_grad():
            decoder.target_log_probabilities(source, steps, targets)
    assert 4 * 3000 <= seen.numbers < 3000 * 10


@torch.no_grad()
def test_the_coverage_loss_is_its_equation() -> None:
    decoder = make(attention={"kind": "additive", "coverage": True}, feeding=False)
    source, targets = source_of(decoder, [4, 2]), texts([5, 3])
    steps = decoder.steps(source, decoder.before(targets, END))
    expected = 0.0
    for row, written in enumerate((5, 3)):
        for t, j in product(range(written), range(4)):
            before = sum(float(steps.weights[row, 0, earlier, j]) for earlier in range(t))
            expected += min(float(steps.weights[row, 0, t, j]), before)
    assert float(decoder.coverage_loss(steps, targets).detach()) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("tied", [False, True])
def test_label_smoothing_is_its_equation(tied: bool) -> None:
    decoder = make(tied=tied)
    source, targets = source_of(decoder, [4, 2]), texts([5, 3])
    steps = decoder.steps(source, decoder.before(targets, END))
    table = decoder.table if tied else None
    features = steps.features[targets != IGNORED]
    log_probabilities = decoder.output.log_probabilities(features, table)[:, 1:]
    right = functional.one_hot(targets[targets != IGNORED] - 1, VOCABULARY - 1)
    wanted = 0.8 * right + 0.2 / (VOCABULARY - 1)
    expected = -(wanted * log_probabilities).sum()
    loss = decoder.nats(source, steps, targets, smoothing=0.2)
    assert float(loss.detach()) == pytest.approx(float(expected.detach()), rel=1e-5)
    parameters = [each for each in decoder.parameters() if each.requires_grad]
    one = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
    other = torch.autograd.grad(expected, parameters, allow_unused=True)
    for found, wanted_gradient in zip(one, other, strict=True):
        if found is not None and wanted_gradient is not None:
            assert torch.allclose(found, wanted_gradient, atol=1e-4)


@torch.no_grad()
def test_scheduled_sampling_reads_what_the_decoder_would_have_written() -> None:
    decoder = make()
    source, targets = source_of(decoder, [4]), texts([5])
    best, carried, last = [END], decoder.begin(source), torch.tensor([END])
    for _ in range(4):
        found, carried = decoder.next(last, source, carried)
        last = found.argmax(1)
        best.append(int(last))
    expected = decoder.steps(source, torch.tensor([best])).features
    decoder.sampling, decoder.training = 1.0, True
    assert torch.allclose(decoder.steps(source, decoder.before(targets, END)).features, expected, atol=1e-5)


@torch.no_grad()
def test_words_that_are_read_can_be_dropped() -> None:
    decoder = make(word_dropout=0.5)
    units = torch.full((1, 2000), 4)
    decoder.training = True
    vectors = decoder._embedded(units, None)[0]
    assert decoder.table is not None
    dropped = (vectors == decoder.table[1]).all(1)
    assert float(dropped.float().mean()) == pytest.approx(0.5, abs=0.1)
    assert torch.equal(vectors[~dropped], decoder.table[4].expand(int((~dropped).sum()), -1))


def test_layers_that_do_not_fit() -> None:
    stack = Encoder(SIZE, hidden_size=HIDDEN, direction="forward")
    with pytest.raises(ValueError, match=r"^expected layers that read 10 features, found 4$"):
        Decoder(MEMORY, 3, VOCABULARY, SIZE, stack, Attention(HIDDEN, MEMORY))
