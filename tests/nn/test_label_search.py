"""The search for labels with a language model finds what enumeration finds."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from seqkit.nn.label_search import JudgedLabels, LabelUnits, label_beam_search, sequences_together
from seqkit.nn.search import SearchState

WIDE = 10_000


class Pairs:
    """A language model by a table of pairs of units, which counts what it has read; units are not labels."""

    def __init__(self, labels: int, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        size = labels + 3
        self.table = torch.randn(size, size, generator=generator, dtype=torch.float64).log_softmax(1)
        self.units, self.end = list(range(labels, 0, -1)), labels + 1
        self.calls: list[int] = []

    def log_prob(self, labels: tuple[int, ...]) -> float:
        units = [self.end, *(self.units[label] for label in labels), self.end]
        return sum(self.table[before, unit].item() for before, unit in itertools.pairwise(units))

    def step(self, last: Tensor, state: SearchState) -> tuple[Tensor, SearchState]:
        ((sums,),) = state
        assert sums.shape == last.shape
        self.calls.append(len(last))
        return self.table[last], ((sums + last,),)

    def model(self) -> LabelUnits:
        state: SearchState = ((torch.zeros(1, dtype=torch.int64),),)
        return LabelUnits(self.step, state, torch.tensor([self.end]), torch.tensor(self.units), self.end)


def some(seed: int, lengths: list[int], labels: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    shape = len(lengths), max(lengths, default=0), labels
    return (2 * torch.randn(shape, generator=generator, dtype=torch.float64)).log_softmax(2)  # [B, T, K]


def searched(values: Tensor, lengths: list[int], pairs: Pairs, **options: float) -> list[list[JudgedLabels]]:
    return label_beam_search(
        lambda rows, step: values[rows, step],
        torch.tensor(lengths, dtype=torch.int64),
        pairs.model(),
        **options,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("seed", range(20))
def test_a_wide_beam_finds_what_enumeration_finds(seed: int) -> None:
    labels, weight = 1 + seed % 4, (0.0, 0.3, 1.0, 2.5)[seed % 4]
    lengths = [seed % 5, 3, 0, 1 + seed % 4]
    values, pairs = some(seed, lengths, labels), Pairs(labels, seed)
    found = searched(values, lengths, pairs, weight=weight, beam=WIDE, nbest=WIDE)
    for row, length in enumerate(lengths):
        expected = []
        for each in itertools.product(range(labels), repeat=length):
            own, lm = sum(values[row, step, label].item() for step, label in enumerate(each)), pairs.log_prob(each)
            expected.append(JudgedLabels([*each], own + weight * lm, own, lm))
        expected.sort(key=lambda one: -one.score)
        assert [one.labels for one in found[row]] == [one.labels for one in expected]
        for one, other in zip(found[row], expected, strict=True):
            assert one[1:] == pytest.approx(other[1:])


@pytest.mark.parametrize("seed", range(10))
def test_beam_1_is_greedy_and_weight_0_is_the_tagger_alone(seed: int) -> None:
    lengths, labels = [7, 4, 1], 5
    values, pairs = some(seed, lengths, labels), Pairs(labels, seed)
    for row, (best,) in enumerate(searched(values, lengths, pairs, weight=0.7, beam=1)):
        before, expected = pairs.end, []
        for step in range(lengths[row]):
            read = pairs.table[before, pairs.units]  # [K]
            expected.append(int((values[row, step] + 0.7 * read).argmax()))
            before = pairs.units[expected[-1]]
        assert best.labels == expected
        assert best.lm == pytest.approx(pairs.log_prob(tuple(expected)))
    for row, (best,) in enumerate(searched(values, lengths, pairs, weight=0.0, beam=3)):
        assert best.labels == values[row, : lengths[row]].argmax(1).tolist()
        assert best.score == best.log_prob == pytest.approx(values[row, : lengths[row]].amax(1).sum().item())


@pytest.mark.parametrize("seed", range(10))
def test_sequences_do_not_depend_on_each_other(seed: int) -> None:
    lengths = torch.randint(0, 9, (6,), generator=torch.Generator().manual_seed(seed)).tolist()
    values, pairs = some(seed, lengths, 4), Pairs(4, seed)
    together = searched(values, lengths, pairs, weight=0.8, beam=4, nbest=3)
    for row, length in enumerate(lengths):
        assert searched(values[row : row + 1], [length], pairs, weight=0.8, beam=4, nbest=3) == [together[row]]


def test_a_wider_beam_judges_nothing_worse_than_enumeration_and_reads_all_prefixes_together() -> None:
    lengths, pairs = [6, 5], Pairs(6, 3)
    values = some(3, lengths, 6)
    best = [one[0].score for one in searched(values, lengths, pairs, weight=1.0, beam=WIDE)]
    pairs.calls.clear()
    narrow = [one[0].score for one in searched(values, lengths, pairs, weight=1.0, beam=4)]
    assert all(score <= most + 1e-9 for score, most in zip(narrow, best, strict=True))
    assert pairs.calls == [2, 8, 8, 8, 8, 8, 4]


def test_impossible_labels_come_last() -> None:
    pairs = Pairs(2, 0)
    pairs.table[:, pairs.units[1]] = -math.inf
    values = some(0, [2], 2)
    (found,) = searched(values, [2], pairs, weight=0.5, beam=4, nbest=4)
    assert found[0].labels == [0, 0] and [one.score for one in found[1:]] == [-math.inf] * 3
    (found,) = searched(values, [2], pairs, weight=0.0, beam=4, nbest=4)
    assert all(math.isfinite(one.score) for one in found)


def test_no_sequences_and_widths() -> None:
    pairs = Pairs(2, 0)
    assert searched(some(0, [], 2), [], pairs, weight=1.0, beam=2) == []
    for beam, nbest in ((0, 1), (2, 3), (2, 0)):
        with pytest.raises(ValueError, match=f"found {nbest} and {beam}$"):
            searched(some(0, [1], 2), [1], pairs, weight=1.0, beam=beam, nbest=nbest)
    assert sequences_together(20, pairs.model(), 5000) == 2**25 // 800_000
    assert sequences_together(10_000, pairs.model(), 1_000_000) == 1
