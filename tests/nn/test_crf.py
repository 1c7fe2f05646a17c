"""The CRF against enumeration of all tag sequences, and against what it promises of padding, batches and extremes."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from seqkit.formats.schemes import inventory, legal_moves
from seqkit.nn import chain, viterbi
from seqkit.nn.crf import CRF

Problem = tuple[CRF, Tensor, Tensor]


def enumerate_paths(crf: CRF, emissions: Tensor) -> list[tuple[float, tuple[int, ...]]]:
    """Score and tags of every legal sequence for emissions [T, K], best first: the oracle of this file."""
    start, moves, end = (
        torch.where(legal, torch.zeros(()) if scores is None else scores.double(), -torch.inf).tolist()
        for scores, legal in (
            (crf.start_transitions, crf.legal_start),
            (crf.transitions, crf.legal_transitions),
            (crf.end_transitions, crf.legal_end),
        )
    )
    rows = emissions.double().tolist()
    if not rows:
        return [(0.0, ())]
    paths = []
    for tags in itertools.product(range(crf.num_tags), repeat=len(rows)):
        score = start[tags[0]] + end[tags[-1]] + sum(row[tag] for row, tag in zip(rows, tags, strict=True))
        score += sum(moves[i][j] for i, j in itertools.pairwise(tags))
        if score > -math.inf:
            paths.append((score, tags))
    return sorted(paths, reverse=True)


def log_sum(scores: list[float]) -> float:
    return torch.tensor(scores, dtype=torch.float64).logsumexp(0).item() if scores else -math.inf


def make_problem(seed: int, tags: int, lengths: list[int], scale: float = 1.0, legal: float = 0.7) -> Problem:
    """A random CRF with random constraints, emissions in float64 and lengths."""
    generator = torch.Generator().manual_seed(seed)

    def some(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator) < legal

    crf = CRF(tags, start=some(tags), transition=some(tags, tags), end=some(tags)).double()
    with torch.no_grad():
        for parameter in crf.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    emissions = torch.randn(len(lengths), max(lengths), tags, generator=generator, dtype=torch.float64) * scale
    return crf, emissions, torch.tensor(lengths)


problems = st.builds(
    make_problem,
    seed=st.integers(0, 10**6),
    tags=st.integers(1, 4),
    lengths=st.lists(st.integers(0, 4), min_size=1, max_size=4),
    scale=st.sampled_from([1.0, 30.0, 400.0, 1e4]),  # the last two are beyond what scaled probabilities can hold
    legal=st.sampled_from([0.5, 0.8, 1.0]),
)
random_sizes = settings(max_examples=40, deadline=None, derandomize=True)


@given(problems)
@random_sizes
def test_likelihood_equals_enumeration(problem: Problem) -> None:
    crf, emissions, lengths = problem
    normalizer = crf.normalizer(emissions, lengths).tolist()
    for row, length in enumerate(lengths.tolist()):
        paths = enumerate_paths(crf, emissions[row, :length])
        total = log_sum([score for score, _ in paths])
        assert normalizer[row] == pytest.approx(total, rel=1e-12, abs=1e-12)
        for score, tags in paths[:: max(1, len(paths) // 5)]:
            given_tags = torch.tensor([[*tags, *[0] * (emissions.shape[1] - length)]], dtype=torch.int64)
            arguments = emissions[row : row + 1], given_tags, lengths[row : row + 1]
            assert crf.score(*arguments).item() == pytest.approx(score, rel=1e-12, abs=1e-12)
            assert crf.log_likelihood(*arguments).item() == pytest.approx(score - total, rel=1e-12, abs=1e-8)


@given(problems, st.integers(1, 7), st.booleans())
@random_sizes
def test_best_and_n_best_equal_enumeration(problem: Problem, n: int, grouped: bool) -> None:
    crf, emissions, lengths = problem
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(viterbi, "_LEAST_GROUPED", 0 if grouped else 1 << 60)
        patch.setattr(viterbi, "LOWER_EVERY", 2)
        best, best_scores = crf.viterbi(emissions, lengths)
        tags, scores = crf.nbest(emissions, lengths, n)
    assert tags.shape == (*scores.shape, emissions.shape[1])
    for row, length in enumerate(lengths.tolist()):
        paths = [*enumerate_paths(crf, emissions[row, :length])[:n], *[(-math.inf, (0,) * length)] * n][:n]
        assert best_scores[row].item() == pytest.approx(paths[0][0], rel=1e-12, abs=1e-12)
        assert best[row].tolist() == [*paths[0][1], *[0] * (emissions.shape[1] - length)]
        for rank, (score, path) in enumerate(paths):
            assert scores[row, rank].item() == pytest.approx(score, rel=1e-12, abs=1e-12)
            assert tags[row, rank].tolist() == [*path, *[0] * (emissions.shape[1] - length)]


@pytest.mark.parametrize("tags", [1, 3])
def test_no_more_sequences_are_searched_than_there_are(tags: int, monkeypatch: pytest.MonkeyPatch) -> None:
    searched = []

    def counted(part: chain.Chain, groups: viterbi.TransitionGroups | None, n: int) -> tuple[Tensor, Tensor]:
        searched.append(n)
        return viterbi.n_best_paths(part, groups, n)

    monkeypatch.setattr("seqkit.nn.crf.n_best_paths", counted)
    found, scores = CRF(tags).nbest(torch.randn(2, 5, tags), torch.tensor([1, 2]), 5000)
    assert searched == [tags**2]
    assert (found.shape, scores.shape) == ((2, 5000, 5), (2, 5000))
    assert scores.isfinite().sum(1).tolist() == [tags, tags**2]
    assert scores[:, tags**2 :].isneginf().all() and not found[:, tags**2 :].any()
    for length in (5, 3000):
        CRF(3).nbest(torch.randn(1, length, 3), torch.tensor([length]), 100)
    assert searched[1:] == [100, 100]


@given(st.integers(0, 999), st.integers(2, 24), st.integers(1, 5), st.integers(1, 3))
@random_sizes
def test_grouping_moves_changes_nothing(seed: int, tags: int, kinds: int, batch: int) -> None:
    """Few kinds of tags, each with what may follow it, as marks of spans have; to some of them nothing leads."""
    generator = torch.Generator().manual_seed(seed)
    kind = torch.randint(0, kinds, (tags,), generator=generator)
    legal = (torch.rand(kinds + 1, tags, generator=generator) < 0.3)[kind]  # [K, K]
    crf = CRF(tags, transition=legal)
    lengths = torch.randint(0, 40, (batch,), generator=generator)
    emissions = torch.randn(batch, int(lengths.max()), tags, generator=generator)
    found = []
    for least in (0, 1 << 60):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(viterbi, "_LEAST_GROUPED", least)
            found.append((*crf.viterbi(emissions, lengths), *crf.nbest(emissions, lengths, 2)))
    assert all(grouped.equal(plain) for grouped, plain in zip(*found, strict=True))


def test_moves_of_span_marks_are_grouped() -> None:
    labels = inventory([f"{mark}-{kind}" for mark in "BIES" for kind in "abcdef"], "bioes")
    legal = torch.from_numpy(legal_moves(labels, "bioes")[1])
    moves = viterbi._group_transitions(legal.numpy().tobytes(), len(labels))
    assert moves is not None and moves.considered() == 13 * 13 + 6 * 2 * 2 < len(labels) ** 2 / 3
    assert viterbi._group_transitions(torch.ones(5, 5, dtype=torch.bool).numpy().tobytes(), 5) is None


@given(problems)
@random_sizes
def test_probabilities_equal_enumeration(problem: Problem) -> None:
    crf, emissions, lengths = problem
    marginals = crf.marginals(emissions, lengths)
    variables = crf.forward_backward(emissions, lengths)
    torch.testing.assert_close(variables.normalizer, crf.normalizer(emissions, lengths))
    for row, length in enumerate(lengths.tolist()):
        paths = enumerate_paths(crf, emissions[row, :length])
        total = log_sum([score for score, _ in paths])
        expected = torch.zeros_like(emissions[row])
        for score, tags in paths:
            expected[range(length), list(tags)] += math.exp(score - total)
        torch.testing.assert_close(marginals[row], expected, rtol=0, atol=1e-9)
        if paths and length:
            product = (variables.alpha + variables.beta - variables.normalizer[:, None, None]).exp()
            torch.testing.assert_close(product[row], expected, rtol=0, atol=1e-9)
        # Every run of tokens, with the tags of the best sequence and with others.
        spans = [(first, last) for first in range(length) for last in range(first + 1, length + 1)]
        chosen = paths[:: max(1, len(paths) // 3)]
        segments = [(row, first, tags[first:last]) for _, tags in chosen for first, last in spans]
        found = crf.segment_log_probability(variables, emissions, segments).exp().tolist()
        for (_, first, run), probability in zip(segments, found, strict=True):
            carry = [score for score, tags in paths if tags[first : first + len(run)] == run]
            assert probability == pytest.approx(math.exp(log_sum(carry) - total), abs=1e-9)


def gold_tags(crf: CRF, emissions: Tensor, lengths: Tensor) -> Tensor:
    """Legal tags: a good sequence for other emissions."""
    return crf.viterbi(emissions.flip(0), lengths)[0]


@pytest.mark.parametrize("padding", [math.nan, math.inf, -1e30])
def test_padding_never_matters(padding: float) -> None:
    crf, emissions, lengths = make_problem(7, 3, [4, 2, 0, 1], legal=0.9)
    tags = gold_tags(crf, emissions, lengths)
    outside = torch.arange(7) >= lengths[:, None]  # [B, 7], two steps longer than the longest row needs
    wide = torch.zeros(4, 7, 3, dtype=torch.float64)
    wide[:, :4] = emissions
    wide = wide.masked_fill(outside[:, :, None], padding).requires_grad_()
    wide_tags = torch.zeros(4, 7, dtype=torch.int64)
    wide_tags[:, :4] = tags
    wide_tags.masked_fill_(outside, -100)
    emissions.requires_grad_()
    torch.testing.assert_close(crf.score(wide, wide_tags, lengths), crf.score(emissions, tags, lengths))
    expected, found = crf.log_likelihood(emissions, tags, lengths), crf.log_likelihood(wide, wide_tags, lengths)
    torch.testing.assert_close(found, expected)
    gradient = torch.autograd.grad(found.sum(), wide)[0]
    torch.testing.assert_close(gradient[:, :4], torch.autograd.grad(expected.sum(), emissions)[0])
    assert gradient[outside].eq(0).all()
    assert crf.viterbi(wide, lengths)[0][:, :4].equal(crf.viterbi(emissions, lengths)[0])
    assert crf.nbest(wide, lengths, 3)[0][:, :, :4].equal(crf.nbest(emissions, lengths, 3)[0])
    torch.testing.assert_close(crf.marginals(wide, lengths)[:, :4], crf.marginals(emissions, lengths))
    variables = crf.forward_backward(wide, lengths)
    assert variables.alpha[outside].isneginf().all() and variables.beta[outside].isneginf().all()
    assert crf.segment_log_probability(variables, wide, [(1, 1, [0, 0])]).isneginf().all()  # reaches past the end


def test_batch_mates_never_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(1)
    crf, lengths = CRF(5), torch.tensor([7, 3, 7, 1, 0, 5])
    emissions, tags = torch.randn(6, 7, 5), torch.randint(0, 5, (6, 7))
    kept = emissions.clone()
    together = crf.viterbi(emissions, lengths)
    likelihood, marginals = crf.log_likelihood(emissions, tags, lengths), crf.marginals(emissions, lengths)
    for row, length in enumerate(lengths.tolist()):
        alone = emissions[row : row + 1, :length], lengths[row : row + 1]
        best, score = crf.viterbi(*alone)
        assert best.equal(together[0][row : row + 1, :length]) and score.equal(together[1][row : row + 1])
        single = crf.log_likelihood(alone[0], tags[row : row + 1, :length], alone[1])
        torch.testing.assert_close(single, likelihood[row : row + 1])
        torch.testing.assert_close(crf.marginals(*alone), marginals[row : row + 1, :length])
    n_best = crf.nbest(emissions, lengths, 4)
    monkeypatch.setattr(chain, "_CPU_WORKSPACE", 1)  # one row at a time
    in_parts = *crf.viterbi(emissions, lengths), *crf.nbest(emissions, lengths, 4)
    assert all(whole.equal(part) for whole, part in zip((*together, *n_best), in_parts, strict=True))
    assert emissions.equal(kept)


@given(problems)
@random_sizes
def test_inputs_stay_as_they_are(problem: Problem) -> None:
    crf, emissions, lengths = problem
    before = emissions.clone(), lengths.clone(), [parameter.clone() for parameter in crf.parameters()]
    tags = crf.viterbi(emissions, lengths)[0]
    crf.log_likelihood(emissions, tags, lengths)
    crf.nbest(emissions, lengths, 2)
    crf.marginals(emissions, lengths)
    crf.forward_backward(emissions, lengths)
    assert emissions.equal(before[0]) and lengths.equal(before[1])
    assert all(now.equal(then) for now, then in zip(crf.parameters(), before[2], strict=True))


@pytest.mark.parametrize("trainable", [True, False])
def test_illegal_sequences_are_never_emitted(trainable: bool) -> None:
    # O, B-X, I-X: I-X neither begins a sentence nor follows O.
    legal = torch.ones(3, 3, dtype=torch.bool)
    legal[0, 2] = False
    crf = CRF(3, start=torch.tensor([True, True, False]), transition=legal, trainable=trainable)
    if trainable:
        with torch.no_grad():
            crf.transitions[0, 2] = crf.start_transitions[2] = 1e6  # learnt scores cannot lift a constraint
    emissions = torch.randn(20, 9, 3, generator=torch.Generator().manual_seed(0)) * 50
    emissions[:, :, 2] += 1000
    lengths = torch.arange(20) % 10
    tags, _ = crf.viterbi(emissions, lengths)
    sequences = torch.cat((tags[:, None], crf.nbest(emissions, lengths, 5)[0]), 1)  # [B, 6, T]
    assert not sequences[:, :, 0].eq(2).any()
    assert not (sequences[:, :, :-1].eq(0) & sequences[:, :, 1:].eq(2)).any()
    assert crf.marginals(emissions, lengths)[:, 0, 2].eq(0).all()
    bad = torch.tensor([[2, 2], [0, 2]])
    likelihood = crf.log_likelihood(emissions[:2, :2].requires_grad_(), bad, torch.tensor([2, 2]))
    assert likelihood.isneginf().all()
    variables = crf.forward_backward(emissions, lengths)
    assert crf.segment_log_probability(variables, emissions, [(9, 0, [2]), (9, 3, [0, 2])]).isneginf().all()


def test_illegal_gold_leaves_finite_gradients() -> None:
    legal = torch.tensor([[True, False], [True, True]])
    crf, emissions = CRF(2, transition=legal), torch.randn(1, 3, 2, requires_grad=True)
    likelihood = crf.log_likelihood(emissions, torch.tensor([[0, 1, 1]]), torch.tensor([3]))
    assert likelihood.item() == -math.inf
    likelihood.sum().backward()
    assert emissions.grad is not None and emissions.grad.isfinite().all()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in crf.parameters())
    assert crf.transitions.grad is not None and crf.transitions.grad[0, 1] == 0


def test_no_legal_sequence_at_all() -> None:
    nothing = torch.zeros(2, 2, dtype=torch.bool)
    crf, emissions, lengths = CRF(2, transition=nothing), torch.randn(2, 3, 2, requires_grad=True), torch.tensor([3, 1])
    likelihood = crf.log_likelihood(emissions, torch.zeros(2, 3, dtype=torch.int64), lengths)
    assert likelihood[0].isneginf() and likelihood[1].isfinite()
    assert crf.normalizer(emissions, lengths)[0].isneginf()
    gradients = torch.autograd.grad(likelihood.sum(), [emissions, *crf.parameters()])
    assert all(gradient.isfinite().all() for gradient in gradients)
    tags, scores = crf.viterbi(emissions, lengths)
    assert tags[0].eq(0).all() and scores[0].isneginf() and scores[1].isfinite()
    assert crf.nbest(emissions, lengths, 2)[1][0].isneginf().all()
    assert crf.marginals(emissions, lengths)[0].eq(0).all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_reduced_precision_is_computed_in_full(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    crf, emissions, tags = CRF(4), torch.randn(2, 5, 4).to(dtype).requires_grad_(), torch.randint(0, 4, (2, 5))
    lengths = torch.tensor([5, 3])
    expected = crf.log_likelihood(emissions.float(), tags, lengths)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = crf.log_likelihood(emissions, tags, lengths)
        best = crf.viterbi(emissions, lengths)
    assert found.dtype == torch.float32 and found.equal(expected)
    assert best[0].equal(crf.viterbi(emissions.float(), lengths)[0]) and best[1].dtype == torch.float32
    found.sum().backward()
    assert emissions.grad is not None and emissions.grad.dtype == dtype


def test_untrained_moves_leave_a_softmax_tagger() -> None:
    crf, emissions, lengths = CRF(4, trainable=False), torch.randn(3, 5, 4), torch.full((3,), 5)
    assert not list(crf.parameters())
    assert set(crf.state_dict()) == {"legal_start", "legal_transitions", "legal_end"}
    assert crf.viterbi(emissions, lengths)[0].equal(emissions.argmax(2))
    torch.testing.assert_close(crf.marginals(emissions, lengths), emissions.softmax(2))


def test_constraints_are_copied_and_saved() -> None:
    legal = torch.eye(3, dtype=torch.bool)
    crf = CRF(3, transition=legal)
    legal.fill_(True)
    assert int(crf.legal_transitions.sum()) == 3
    other = CRF(3)
    other.load_state_dict(crf.state_dict())
    emissions, lengths = torch.randn(2, 4, 3), torch.tensor([4, 2])
    assert other.normalizer(emissions, lengths).equal(crf.normalizer(emissions, lengths))
    assert repr(crf) == "CRF(num_tags=3, legal_transitions=3)"
    assert all(parameter.abs().max() <= 0.1 for parameter in crf.parameters())


@pytest.mark.parametrize(("batch", "steps"), [(0, 3), (2, 0), (2, 3)])
def test_nothing_to_do(batch: int, steps: int) -> None:
    crf, lengths = CRF(3), torch.zeros(batch, dtype=torch.int64)
    emissions, tags = torch.randn(batch, steps, 3, requires_grad=True), torch.zeros(batch, steps, dtype=torch.int64)
    likelihood = crf.log_likelihood(emissions, tags, lengths)
    assert likelihood.shape == (batch,) and likelihood.eq(0).all()
    assert crf.viterbi(emissions, lengths)[0].shape == (batch, steps)
    n_best_tags, n_best_scores = crf.nbest(emissions, lengths, 2)
    assert n_best_tags.shape == (batch, 2, steps) and n_best_scores.tolist() == [[0, -math.inf]] * batch
    assert crf.marginals(emissions, lengths).eq(0).all()
    assert crf.segment_log_probability(crf.forward_backward(emissions, lengths), emissions, []).shape == (0,)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_tags": 0}, r"expected at least one tag, found num_tags=0"),
        (
            {"num_tags": 2, "transition": torch.ones(2, 3, dtype=torch.bool)},
            r"expected transitions as torch\.bool of shape \[2, 2\], found torch\.bool of shape \[2, 3\]",
        ),
        ({"num_tags": 2, "start": torch.ones(2)}, r"expected start as .* found torch\.float32 of shape \[2\]"),
        (
            {"num_tags": 2, "end": torch.ones(3, dtype=torch.bool)},
            r"expected end as .* found torch\.bool of shape \[3\]",
        ),
    ],
)
def test_unusable_constraints(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CRF(**arguments)


def test_unusable_inputs() -> None:
    crf, emissions, lengths = CRF(3), torch.zeros(2, 4, 3), torch.tensor([4, 2])
    tags = torch.zeros(2, 4, dtype=torch.int64)
    with pytest.raises(ValueError, match=r"expected emissions of shape \[B, T, 3\], found \[2, 4, 2\]"):
        crf.viterbi(emissions[:, :, :2], lengths)
    with pytest.raises(
        ValueError, match=r"expected lengths as torch\.int64 of shape \[2\] on cpu, found torch\.int64 of "
    ):
        crf.normalizer(emissions, torch.tensor([4]))
    with pytest.raises(ValueError, match=r"found torch\.float32 of shape \[2\] on cpu"):
        crf.marginals(emissions, lengths.float())
    with pytest.raises(ValueError, match=r"expected lengths from 0 to 4, found 2 to 5"):
        crf.nbest(emissions, torch.tensor([5, 2]), 2)
    with pytest.raises(ValueError, match=r"expected n of at least 1, found 0"):
        crf.nbest(emissions, lengths, 0)
    with pytest.raises(
        ValueError, match=r"expected tags as torch\.int64 of shape \[2, 4\], found torch\.int64 of shape "
    ):
        crf.score(emissions, tags[:, :3], lengths)
    with pytest.raises(ValueError, match=r"expected tags from 0 to 2, found 0 to 3"):
        crf.log_likelihood(emissions, tags + torch.tensor([3, 0, 0, 0]), lengths)
    variables = crf.forward_backward(emissions, lengths)
    for segment, found in (
        ((0, 3, [0, 0]), "2 at row 0, token 3"),
        ((2, 0, [0]), "1 at row 2"),
        ((0, 0, []), "0 at row 0"),
    ):
        with pytest.raises(ValueError, match=rf"expected a segment of one or more tags within \[2, 4\], found {found}"):
            crf.segment_log_probability(variables, emissions, [segment])
    with pytest.raises(ValueError, match=r"expected tags from 0 to 2, found -1 to 3"):
        crf.segment_log_probability(variables, emissions, [(0, 0, [-1, 3])])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_equals_cpu() -> None:
    crf, emissions, lengths = make_problem(9, 4, [6, 4, 0, 1], legal=1.0)
    tags = gold_tags(crf, emissions, lengths)

    def everything(device: str) -> list[Tensor]:
        crf.to(device)
        scores = emissions.to(device).requires_grad_()
        likelihood = crf.log_likelihood(scores, tags.to(device), lengths)
        gradients = torch.autograd.grad(likelihood.sum(), [scores, *crf.parameters()])
        best = *crf.viterbi(scores, lengths), *crf.nbest(scores, lengths, 3)
        variables = crf.forward_backward(scores, lengths)
        segment = crf.segment_log_probability(variables, scores, [(0, 1, [2, 3]), (1, 0, [0])])
        return [likelihood, *gradients, *best, crf.marginals(scores, lengths), *variables, segment]

    for found, expected in zip(everything("cuda"), everything("cpu"), strict=True):
        torch.testing.assert_close(found.cpu(), expected)
