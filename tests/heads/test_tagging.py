from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from seqkit.corpora.dataset import Dataset
from seqkit.corpora.split import Split
from seqkit.formats.schemes import invalid_moves, inventory, legal_moves
from seqkit.heads.tagging.module import DecodedTags, TaggingHead, TagSegment
from seqkit.heads.tagging.settings import TagSettings
from seqkit.model.loading import load
from seqkit.nn.auxiliary import AuxiliaryLanguageModel
from seqkit.records import Sentence
from seqkit.training.prepare import prepare
from seqkit.training.progress import Progress

TAGS = inventory(["S-A", "S-B"], "bioes")
K = len(TAGS)


def moves() -> tuple[Tensor, Tensor, Tensor]:
    start, transition, end = (torch.from_numpy(part) for part in legal_moves(TAGS, "bioes"))
    return start, transition, end


def make_head(crf: bool, constrained: bool = True, seed: int = 0, num_tags: int = K) -> TaggingHead:
    """A head whose outputs are its emissions, so that tests choose the scores."""
    torch.manual_seed(seed)
    head = TaggingHead(num_tags, num_tags, crf=crf, moves=moves() if constrained else None)
    with torch.no_grad():
        head.emission.weight.copy_(torch.eye(num_tags))
        for parameter in head.crf.parameters():
            parameter.normal_()
    return head


def is_legal(tags: Sequence[int]) -> bool:
    return not invalid_moves([TAGS[tag] for tag in tags], "bioes")


@torch.no_grad()
def enumerate_paths(head: TaggingHead, emissions: Tensor, constrained: bool) -> tuple[list[tuple[int, ...]], Tensor]:
    """Every sequence of tags that may be, and the logarithm of the probability of each: the obvious way."""
    crf, size = head.crf, head.emission.out_features
    paths = [p for p in product(range(size), repeat=len(emissions)) if not constrained or is_legal(p)]
    nothing = torch.zeros(size, size)
    start, moves, end = (
        nothing[0] if crf.start_transitions is None else crf.start_transitions,
        nothing if crf.transitions is None else crf.transitions,
        nothing[0] if crf.end_transitions is None else crf.end_transitions,
    )
    scores = torch.stack(
        [
            start[path[0]]
            + sum((emissions[t, tag] for t, tag in enumerate(path)), torch.zeros(()))
            + sum((moves[a, b] for a, b in pairwise(path)), torch.zeros(()))
            + end[path[-1]]
            for path in paths
        ]
    )
    return paths, scores.log_softmax(0)


# --- loss --------------------------------------------------------------------------------------------------------


def test_crf_loss_is_the_mean_negative_log_likelihood_by_enumeration() -> None:
    head = make_head(crf=True)
    outputs = torch.randn(3, 3, K)
    lengths = torch.tensor([3, 1, 2])
    gold = [["B-A", "E-A", "S-A"], ["O"], ["S-B", "S-B"]]
    targets = torch.full((3, 3), -1)
    expected = 0.0
    for row, tags in enumerate(gold):
        numbers = tuple(TAGS.index(tag) for tag in tags)
        targets[row, : len(tags)] = torch.tensor(numbers)
        paths, logs = enumerate_paths(head, outputs[row, : len(tags)], constrained=True)
        expected -= logs[paths.index(numbers)].item() / 3
    assert head.loss(outputs, lengths, targets).item() == pytest.approx(expected, rel=1e-5)


def test_softmax_loss_is_cross_entropy_by_hand() -> None:
    """-log σ of the right label of every token, padding left out, over the number of sentences."""
    head = make_head(crf=False, constrained=False, num_tags=2)
    outputs = torch.tensor([[[0.0, 1.0], [2.0, 0.0]], [[0.0, 0.0], [9.0, -9.0]]])
    targets = torch.tensor([[1, 0], [0, -1]])
    expected = (np.log(1 + np.exp(-1)) + np.log(1 + np.exp(-2)) + np.log(2)) / 2
    assert head.loss(outputs, torch.tensor([2, 1]), targets).item() == pytest.approx(expected, rel=1e-6)


def test_the_language_modelling_loss_is_weighted_and_added() -> None:
    torch.manual_seed(0)
    auxiliary = AuxiliaryLanguageModel(6, 4, 5)
    head = TaggingHead(6, 3, crf=False, auxiliary=auxiliary, auxiliary_weight=0.25)
    outputs, lengths = torch.randn(2, 3, 6), torch.tensor([3, 2])
    tags, words = torch.tensor([[0, 1, 2], [2, 1, -1]]), torch.tensor([[2, 3, 4], [4, 2, 0]])
    expected = head.loss(outputs, lengths, tags) + 0.25 * auxiliary(outputs, lengths, words) / 2
    assert torch.isclose(head.loss(outputs, lengths, tags, words), expected)


@pytest.mark.parametrize("crf", [True, False])
def test_a_tag_never_seen_has_no_part_in_the_loss(crf: bool) -> None:
    """Of a CRF's sentence nothing is left, of a softmax's that token is missing; gradients stay finite."""
    head = make_head(crf)
    outputs = torch.randn(2, 3, K, requires_grad=True)
    lengths = torch.tensor([3, 2])
    targets = torch.tensor([[TAGS.index("O"), -1, TAGS.index("O")], [TAGS.index("S-A"), TAGS.index("O"), -1]])
    loss = head.loss(outputs, lengths, targets)
    second = head.loss(outputs[1:], lengths[1:], targets[1:])
    if crf:
        assert torch.isclose(loss * 2, second)
    else:
        logs = outputs[0].log_softmax(1)
        assert torch.isclose(loss * 2, second - logs[0, TAGS.index("O")] - logs[2, TAGS.index("O")])
    loss.backward()
    assert outputs.grad is not None
    assert torch.isfinite(outputs.grad).all()
    assert not outputs.grad[0, 1].any()


@pytest.mark.parametrize("crf", [True, False])
def test_empty_sentences_and_batches_cost_nothing(crf: bool) -> None:
    head = make_head(crf)
    for batch, steps in ((0, 0), (2, 0), (2, 3)):
        outputs = torch.randn(batch, steps, K)
        lengths = torch.zeros(batch, dtype=torch.int64)
        assert head.loss(outputs, lengths, torch.full((batch, steps), -1)).item() == 0.0
        decoded = head.decode(head.emissions(outputs), lengths, probabilities=True, nbest=2)
        assert decoded.tags.shape == (batch, steps)
        assert decoded.marginals is not None
        assert not decoded.marginals.any()
        assert not decoded.tags.any()


def test_loss_is_in_float32_under_mixed_precision() -> None:
    head = make_head(crf=True)
    outputs, lengths = torch.randn(2, 3, K), torch.tensor([3, 2])
    targets = torch.full((2, 3), TAGS.index("O"))
    with torch.autocast("cpu", torch.bfloat16):
        loss = head.loss(outputs, lengths, targets)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(head.loss(outputs, lengths, targets).item(), rel=0.02)


# --- decoding ----------------------------------------------------------------------------------------------------


@given(
    seed=st.integers(0, 2**31),
    lengths=st.lists(st.integers(0, 9), min_size=1, max_size=5),
    scale=st.sampled_from([0.1, 1.0, 10.0, 1e4]),
    crf=st.booleans(),
)
def test_no_illegal_sequence_is_ever_emitted(seed: int, lengths: list[int], scale: float, crf: bool) -> None:
    head = make_head(crf, seed=seed)
    outputs = torch.randn(len(lengths), max(lengths), K) * scale
    decoded = head.decode(head.emissions(outputs), torch.tensor(lengths), nbest=3)
    assert decoded.alternatives is not None
    assert decoded.alternative_log_probs is not None
    for row, length in enumerate(lengths):
        assert is_legal(decoded.tags[row, :length].tolist())
        assert not decoded.tags[row, length:].any()
        for path, log_prob in zip(decoded.alternatives[row], decoded.alternative_log_probs[row], strict=True):
            assert log_prob == -torch.inf or is_legal(path[:length].tolist())


@pytest.mark.parametrize("constrained", [True, False])
@pytest.mark.parametrize("crf", [True, False])
@pytest.mark.parametrize("length", [1, 2, 3])
def test_best_marginals_and_nbest_equal_enumeration(crf: bool, constrained: bool, length: int) -> None:
    head = make_head(crf, constrained, seed=length)
    outputs = torch.randn(2, 4, K)
    lengths = torch.tensor([length, 4])
    decoded = head.decode(head.emissions(outputs), lengths, probabilities=True, nbest=3)
    paths, logs = enumerate_paths(head, outputs[0, :length], constrained)
    order = logs.argsort(descending=True)[:3]
    assert decoded.tags[0].tolist() == [*paths[order[0]], *[0] * (4 - length)]
    assert decoded.alternatives is not None
    assert decoded.alternative_log_probs is not None
    assert [tuple(path[:length]) for path in decoded.alternatives[0].tolist()] == [paths[number] for number in order]
    assert torch.allclose(decoded.alternative_log_probs[0], logs[order].double(), atol=1e-5)
    marginals = torch.zeros(length, K)
    for path, probability in zip(paths, logs.exp(), strict=True):
        marginals[torch.arange(length), list(path)] += probability
    if head.independent:
        assert decoded.chosen is not None
        assert decoded.chosen[0].tolist() == pytest.approx([*marginals.amax(1).tolist(), *[0.0] * (4 - length)])
    else:
        assert decoded.marginals is not None
        assert torch.allclose(decoded.marginals[0, :length], marginals, atol=1e-5)
        assert not decoded.marginals[0, length:].any()


def test_fewer_legal_sequences_than_asked_for_have_probability_zero() -> None:
    decoded = make_head(crf=False).decode(torch.randn(1, 1, K), torch.tensor([1]), nbest=5)
    assert decoded.alternative_log_probs is not None
    assert (decoded.alternative_log_probs[0] > -torch.inf).tolist() == [True, True, True, False, False]  # O, S-A, S-B
    assert float(decoded.alternative_log_probs.exp().sum()) == pytest.approx(1.0)


def test_outputs_of_the_encoder_are_not_taken_for_scores() -> None:
    head = TaggingHead(7, K)
    expected = rf"expected emissions of shape \[B, T, {K}\], found \[1, 2, 7\]"
    with pytest.raises(ValueError, match=f"^{expected}$"):
        head.decode(torch.zeros(1, 2, 7), torch.tensor([2]))
    with pytest.raises(ValueError, match=f"^{expected}$"):
        head.segment_probabilities(torch.zeros(1, 2, 7), torch.tensor([2]), [])


def test_nothing_more_than_asked_for_is_computed() -> None:
    head = make_head(crf=True)
    assert (
        head.decode(torch.randn(1, 2, K), torch.tensor([2]))[1:]
        == DecodedTags(torch.zeros(0))[1:]
        == (None, None, None, None)
    )


@pytest.mark.parametrize("crf", [True, False])
def test_probabilities_of_a_long_sentence_keep_their_digits(crf: bool) -> None:
    """Scores of 3,000 tokens are large, and the probability of the best sequence is the difference of two of them."""
    head = make_head(crf)
    outputs = torch.full((1, 3000, K), -30.0)
    outputs[0, :, TAGS.index("O")] = 30.0
    outputs[0, 1500, TAGS.index("S-A")] = 30.0
    gap = 0.0
    if crf:
        o, s = TAGS.index("O"), TAGS.index("S-A")
        transitions = head.crf.transitions.detach()
        gap = float(2 * transitions[o, o] - transitions[o, s] - transitions[s, o])
    expected = sorted([1 / (1 + np.exp(gap)), 1 / (1 + np.exp(-gap))], reverse=True)
    decoded = head.decode(head.emissions(outputs), torch.tensor([3000]), nbest=2)
    assert decoded.alternative_log_probs is not None
    assert decoded.alternative_log_probs[0].exp().tolist() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("crf", [True, False])
def test_segment_probabilities_equal_enumeration(crf: bool) -> None:
    head = make_head(crf)
    outputs, lengths = torch.randn(2, 4, K), torch.tensor([4, 2])
    wanted = [(0, 1, ["B-A", "E-A"]), (1, 0, ["S-B"]), (0, 0, ["O", "O", "S-A", "S-A"]), (0, 3, ["O"]), (0, 0, ["I-A"])]
    segments = [TagSegment(row, first, [TAGS.index(tag) for tag in tags]) for row, first, tags in wanted]
    found = head.segment_probabilities(head.emissions(outputs), lengths, segments)
    for (row, first, tags), value in zip(segments, found.tolist(), strict=True):
        paths, logs = enumerate_paths(head, outputs[row, : lengths[row]], constrained=True)
        same = [
            float(log.exp()) for p, log in zip(paths, logs, strict=True) if list(p[first:][: len(tags)]) == list(tags)
        ]
        assert value == pytest.approx(sum(same), abs=1e-6)
    assert head.segment_probabilities(head.emissions(outputs), lengths, []).shape == (0,)


def learner_of(settings: TagSettings, train: list[Sentence], dev: list[Sentence]) -> Any:
    dataset = Dataset("made", {"train": Split(content=train), "dev": Split(content=dev)})
    return prepare(settings, dataset, torch.device("cpu"), Progress(quiet=True)).learner


# --- language modelling beside tags, unseen labels ---------------------------------------------------------------


def test_neighbours_are_learned_and_left_out_of_the_saved_model(
    make_sentences: Callable[..., list[Sentence]], tiny_settings: Callable[..., TagSettings], tmp_path: Path
) -> None:
    settings = tiny_settings("head.lm_loss=0.1", "data.target=label")
    learner = learner_of(settings, make_sentences(12), make_sentences(4, 1))
    learner.compute(learner.batches(0, slice(None))[0]).loss.backward()
    gradients = {name: parameter.grad for name, parameter in learner.network.named_parameters()}
    assert all(gradient is not None for gradient in gradients.values())
    extra = [gradient for name, gradient in gradients.items() if "auxiliary" in name]
    assert extra
    assert all(gradient is not None and gradient.any() for gradient in extra)
    learner.model.save(tmp_path)
    kept = safetensors.torch.load_file(tmp_path / "weights.safetensors")
    assert set(kept) == {name for name in learner.network.state_dict() if "auxiliary" not in name}
    again = load(tmp_path)
    assert again.parameter_counts() == learner.model.parameter_counts()
    record, other = again.tag(["Ada", "saw", "Rome"], probs=True), learner.model.tag(["Ada", "saw", "Rome"], probs=True)
    assert (record.labels, record.probs) == (other.labels, other.probs)


@pytest.mark.parametrize("crf", ["true", "false"])
@pytest.mark.parametrize("scheme", ["iob2", "none"])
def test_labels_unseen_in_training_count_as_errors(
    scheme: str, crf: str, make_sentences: Callable[..., list[Sentence]], tiny_settings: Callable[..., TagSettings]
) -> None:
    train = make_sentences(12, 0, scheme)
    settings = tiny_settings("data.target=label", f"head.crf={crf}")
    model = learner_of(settings, train, train).model
    predicted = [record.labels for record in model.predict(train)]
    right = [Sentence.from_tokens(s.tokens, {"label": labels}) for s, labels in zip(train, predicted, strict=True)]
    report = model.evaluate_records(right).report
    assert report.accuracy == 1.0
    new = "B-NEW" if scheme == "iob2" else "NEW"
    right[0].columns["label"][0] = new
    report = model.evaluate_records(right).report
    tokens = sum(map(len, train))
    assert report.accuracy == pytest.approx((tokens - 1) / tokens)
    missed = report.per_label["NEW"]
    assert (missed.support, missed.recall, missed.precision) == (1, 0.0, 0.0)
