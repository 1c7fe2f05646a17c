"""CTC against enumeration of all paths, and against what it promises of padding, batches and impossible texts."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from seqkit.nn.ctc import BLANK, CTC, Alignment, align, greedy, log_likelihood, steps_needed

Text = tuple[int, ...]


def spelled(path: Text) -> Text:
    """Equal neighbours merged, then blanks removed: the definition."""
    return tuple(symbol for symbol, _ in itertools.groupby(path) if symbol != BLANK)


def paths(rows: Tensor) -> list[tuple[Tensor, Text]]:
    """ln p and symbols of every path through log-probabilities [T, K + 1]: the oracle of this file."""
    steps, size = rows.shape
    zero = rows.new_zeros(())
    return [
        (sum((rows[step, symbol] for step, symbol in enumerate(path)), zero), path)
        for path in itertools.product(range(size), repeat=steps)
    ]


def enumerated(rows: Tensor, text: Text) -> Tensor:
    """ln p(text), the sum over all paths that spell it; -inf if there are none."""
    found = [score for score, path in paths(rows) if spelled(path) == text]
    return torch.stack(found).logsumexp(0) if found else rows.new_tensor(-math.inf)


def padded(texts: list[Text], width: int = 0) -> Tensor:
    width = max(width, *map(len, texts))
    return torch.tensor([[*text, *[BLANK] * (width - len(text))] for text in texts], dtype=torch.int64)


def problem(seed: int) -> tuple[Tensor, Tensor, list[Text]]:
    """Random scores [B, T, K + 1] in float64, lengths and texts that are possible, some of them barely or empty."""
    generator = torch.Generator().manual_seed(seed)

    def number(low: int, high: int) -> int:
        return int(torch.randint(low, high + 1, (), generator=generator))

    symbols, batch = number(1, 3), number(1, 3)
    lengths = [number(0, 5) for _ in range(batch)]
    texts = []
    for length in lengths:
        text = tuple(number(1, symbols) for _ in range(number(0, length)))
        while steps_needed(text) > length:
            text = text[1:]
        texts.append(text)
    scores = torch.randn(batch, max(lengths), symbols + 1, generator=generator, dtype=torch.float64) * 2
    return scores, torch.tensor(lengths), texts


@pytest.mark.parametrize("seed", range(60))
def test_likelihood_and_gradient_equal_enumeration(seed: int) -> None:
    scores, lengths, texts = problem(seed)
    scores.requires_grad_()
    found = log_likelihood(scores.log_softmax(2), lengths, padded(texts))
    rows = [row[:length].log_softmax(1) for row, length in zip(scores, lengths.tolist(), strict=True)]
    expected = torch.stack([enumerated(row, text) for row, text in zip(rows, texts, strict=True)])
    torch.testing.assert_close(found, expected)
    weights = torch.arange(1.0, len(texts) + 1, dtype=torch.float64)
    (slope,) = torch.autograd.grad((found * weights).sum(), scores)
    (expected_slope,) = torch.autograd.grad((expected * weights).sum() + 0 * scores.sum(), scores)
    torch.testing.assert_close(slope, expected_slope)


@pytest.mark.parametrize("seed", range(20))
def test_probabilities_of_all_texts_sum_to_one(seed: int) -> None:
    rows = torch.randn(4, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).log_softmax(1)
    texts = [text for size in range(5) for text in itertools.product((1, 2), repeat=size)]
    found = log_likelihood(rows.expand(len(texts), -1, -1), torch.full((len(texts),), 4), padded(texts))
    assert found.exp().sum().item() == pytest.approx(1.0)
    possible = torch.tensor([steps_needed(text) <= 4 for text in texts])
    assert torch.equal(found > -math.inf, possible)
    assert possible.any()
    assert not possible.all()


def test_steps_needed_is_the_shortest_path() -> None:
    for size in range(4):
        for text in itertools.product((1, 2), repeat=size):
            shortest = next(
                steps
                for steps in range(8)
                if any(spelled(path) == text for path in itertools.product(range(3), repeat=steps))
            )
            assert steps_needed(text) == shortest


@pytest.mark.parametrize("seed", range(30))
def test_greedy_is_the_best_path_and_says_where_its_symbols_are(seed: int) -> None:
    scores, lengths, _ = problem(seed)
    values = scores.log_softmax(2)
    for row, length, found in zip(values, lengths.tolist(), greedy(values, lengths), strict=True):
        path = max(paths(row[:length]), key=lambda scored: scored[0].item())[1]
        assert found == alignment(row, path)


def alignment(row: Tensor, path: Text) -> Alignment:
    """What a path says, step by step."""
    symbols, first, last, posteriors = [], [], [], []
    step = 0
    for symbol, run in itertools.groupby(path):
        size = len(list(run))
        if symbol != BLANK:
            symbols.append(symbol)
            first.append(step)
            last.append(step + size - 1)
            posteriors.append(max(row[at, symbol].exp().item() for at in range(step, step + size)))
        step += size
    return Alignment(symbols, first, last, pytest.approx(posteriors))  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(40))
def test_forced_alignment_is_the_best_path_of_the_text(seed: int) -> None:
    scores, lengths, texts = problem(seed)
    values = scores.log_softmax(2)
    answers = align(values, lengths, padded(texts, 6))
    for row, length, text, found in zip(values, lengths.tolist(), texts, answers, strict=True):
        spelling = [(score.item(), path) for score, path in paths(row[:length]) if spelled(path) == text]
        assert found == alignment(row, max(spelling)[1])


def test_forced_alignment_of_the_greedy_text_is_the_greedy_alignment() -> None:
    generator = torch.Generator().manual_seed(5)
    values = (torch.randn(5, 40, 6, generator=generator) * 3).log_softmax(2)
    lengths = torch.tensor([40, 1, 0, 23, 39])
    found = greedy(values, lengths)
    assert align(values, lengths, padded([tuple(one.symbols) for one in found])) == found


def test_equal_neighbours_are_two_symbols_only_with_a_blank_between() -> None:
    path = torch.tensor([[1, 1, 0, 1, 2, 2, 0, 0]])
    values = torch.nn.functional.one_hot(path, 3).float().mul(9).log_softmax(2)
    (found,) = greedy(values, torch.tensor([8]))
    assert (found.symbols, found.first, found.last) == ([1, 1, 2], [0, 3, 4], [1, 3, 5])


def make_module(dropout: float = 0.0) -> CTC:
    torch.manual_seed(3)
    return CTC(5, 3, dropout=dropout)


LENGTHS, TEXTS = torch.tensor([6, 0, 4, 5]), [(1, 1, 2), (), (3,), ()]


def test_loss_is_the_mean_over_sequences() -> None:
    module, outputs = make_module(), torch.randn(4, 6, 5)
    values = module.log_probabilities(outputs)
    expected = [enumerated(row[:n], text) for row, n, text in zip(values, LENGTHS.tolist(), TEXTS, strict=True)]
    assert module.loss(outputs, LENGTHS, padded(TEXTS)).item() == pytest.approx(-sum(expected).item() / 4, rel=1e-5)
    torch.testing.assert_close(values.exp().sum(2), torch.ones(4, 6))


def test_padding_and_batch_mates_have_no_influence() -> None:
    module, outputs = make_module(), torch.randn(4, 6, 5)
    wide = torch.cat([outputs, torch.full((4, 2, 5), 1e4)], 1)
    for row, length in enumerate(LENGTHS.tolist()):
        wide[row, length:] = 1e4
    wide.requires_grad_()
    together = module.loss(wide, LENGTHS, padded(TEXTS, 5)) * 4
    (slope,) = torch.autograd.grad(together, wide)
    total = 0.0
    for row, length in enumerate(LENGTHS.tolist()):
        alone = outputs[row : row + 1, :length].clone().requires_grad_()
        loss = module.loss(alone, LENGTHS[row : row + 1], padded(TEXTS[row : row + 1]))
        (expected,) = torch.autograd.grad(loss, alone)
        torch.testing.assert_close(slope[row, :length], expected[0])
        assert not slope[row, length:].any()
        total += loss.item()
    assert together.item() == pytest.approx(total, rel=1e-5)


def test_values_past_the_end_may_even_be_no_numbers() -> None:
    values = torch.randn(4, 6, 4).log_softmax(2)
    broken = values.clone()
    for row, length in enumerate(LENGTHS.tolist()):
        broken[row, length:] = math.nan
    texts = padded(TEXTS)
    assert torch.equal(log_likelihood(broken, LENGTHS, texts), log_likelihood(values, LENGTHS, texts))
    assert greedy(broken, LENGTHS) == greedy(values, LENGTHS)
    assert align(broken, LENGTHS, texts) == align(values, LENGTHS, texts)
    broken.requires_grad_()
    (slope,) = torch.autograd.grad(log_likelihood(broken, LENGTHS, texts).sum(), broken)
    assert slope.isfinite().all()


@pytest.mark.parametrize("shape", [(0, 4), (3, 0), (0, 0)])
@pytest.mark.parametrize("width", [0, 2])
def test_nothing_to_read(shape: tuple[int, int], width: int) -> None:
    module, outputs = make_module(), torch.randn(*shape, 5, requires_grad=True)
    lengths, texts = torch.zeros(shape[0], dtype=torch.int64), torch.zeros(shape[0], width, dtype=torch.int64)
    loss = module.loss(outputs, lengths, texts)
    loss.backward()
    assert loss.item() == 0.0
    assert not module.output.weight.grad.any()
    nothing = [Alignment([], [], [], [])] * shape[0]
    values = module.log_probabilities(outputs)
    assert greedy(values, lengths) == align(values, lengths, texts) == nothing
    assert torch.equal(log_likelihood(values, lengths, texts), torch.zeros(shape[0]))


def test_impossible_texts_are_refused_and_have_no_probability() -> None:
    module, outputs = make_module(), torch.randn(3, 4, 5, requires_grad=True)
    lengths, texts = torch.tensor([4, 4, 0]), padded([(1, 2, 3), (1, 1, 2, 2), (1,)])
    message = (
        "expected at least 6 steps for the text of row 1, found 4; use fewer frames a step, or leave the record out"
    )
    with pytest.raises(ValueError) as caught:
        module.loss(outputs, lengths, texts)
    assert str(caught.value) == message
    values = module.log_probabilities(outputs)
    with pytest.raises(ValueError) as caught:
        align(values, lengths, texts)
    assert str(caught.value) == message
    found = log_likelihood(values, lengths, texts)
    assert found.isneginf().tolist() == [False, True, True]
    found[0].backward(retain_graph=True)
    assert outputs.grad is not None
    assert outputs.grad.isfinite().all()
    assert not outputs.grad[1:].any()
    outputs.grad = None
    found[1:].sum().backward()
    assert not outputs.grad.any()  # type: ignore[attr-defined]


def test_mixed_precision_computes_in_float32() -> None:
    module, outputs = make_module(), torch.randn(4, 6, 5)
    expected = module.loss(outputs.bfloat16(), LENGTHS, padded(TEXTS))
    with torch.autocast("cpu", torch.bfloat16):
        found = module.loss(outputs.bfloat16(), LENGTHS, padded(TEXTS))
        assert module.log_probabilities(outputs).dtype == torch.float32
    assert found.dtype == torch.float32
    assert torch.equal(found, expected)


def test_dropout_is_for_training_only() -> None:
    module, outputs = make_module(0.5), torch.randn(4, 6, 5)
    assert not torch.equal(module.log_probabilities(outputs), module.log_probabilities(outputs))
    module.eval()
    assert torch.equal(module.log_probabilities(outputs), module.log_probabilities(outputs))


def test_it_learns() -> None:
    module = make_module()
    outputs, lengths, texts = torch.randn(4, 12, 5), torch.tensor([12, 9, 10, 5]), [(1, 1, 2), (), (3, 2), (2,)]
    optimizer = torch.optim.Adam(module.parameters(), 0.1)
    losses = []
    for _ in range(100):
        optimizer.zero_grad()
        loss = module.loss(outputs, lengths, padded(texts))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 3
    assert losses == sorted(losses, reverse=True)


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (torch.zeros(1, 2, dtype=torch.int64), "expected targets as torch.int64 of shape [2, L], found torch.int64 of"),
        (torch.zeros(2, 2), "expected targets as torch.int64 of shape [2, L], found torch.float32 of shape [2, 2]"),
        (torch.tensor([[1, 4], [1, 0]]), "expected symbols from 1 to 3, found 0 to 4"),
        (torch.tensor([[1, -1], [1, 0]]), "expected symbols from 1 to 3, found -1 to 1"),
        (torch.tensor([[0, 1], [1, 0]]), "expected blanks only past the end of a text, found one before a symbol"),
    ],
)
def test_wrong_targets(targets: Tensor, message: str) -> None:
    module, outputs, lengths = make_module(), torch.randn(2, 4, 5), torch.tensor([4, 4])
    values = module.log_probabilities(outputs)
    for call in (
        lambda: module.loss(outputs, lengths, targets),
        lambda: log_likelihood(values, lengths, targets),
        lambda: align(values, lengths, targets),
    ):
        with pytest.raises(ValueError) as caught:
            call()
        assert str(caught.value).startswith(message)


def test_wrong_arguments() -> None:
    with pytest.raises(ValueError) as caught:
        CTC(5, 0)
    assert str(caught.value) == "expected at least one symbol, found num_symbols=0"
    with pytest.raises(ValueError) as caught:
        greedy(torch.zeros(2, 3, 4), torch.tensor([3, 4]))
    assert str(caught.value) == "expected lengths from 0 to 3, found 3 to 4"
    assert repr(make_module()).startswith("CTC(\n  num_symbols=3\n")
