"""The fixed lag against enumeration of what it may decide, and against Viterbi over the whole sequence."""

from __future__ import annotations

import itertools
import math
import random
import tracemalloc

import pytest
import torch
from torch import Tensor

from seqkit.formats.schemes import invalid_moves, inventory, legal_moves
from seqkit.nn.crf import CRF
from seqkit.nn.lag import LaggedViterbi


def random_crf(seed: int, tags: int, legal: float = 1.0) -> CRF:
    """Random scores, and random constraints under which tag 0 may stand everywhere."""
    torch.manual_seed(seed)
    start, moves, end = (torch.rand(shape) < legal for shape in ((tags,), (tags, tags), (tags,)))
    start[0] = end[0] = True
    moves[0], moves[:, 0] = True, True
    crf = CRF(tags, start=start, transition=moves, end=end).double()
    with torch.no_grad():
        for scores in crf.parameters():
            scores.normal_()
    return crf


def decided(
    crf: CRF, emissions: Tensor, lag: int, chunks: list[int] | None = None, classes: Tensor | None = None
) -> list[int]:
    """The tags of one sequence, [T, K], read in chunks of some sizes."""
    stream = crf.lagged(lag, emissions.dtype, classes)
    sizes = [len(emissions)] if chunks is None else chunks
    tags: list[int] = []
    for chunk in emissions.split(sizes):
        tags += stream.accept(chunk.unsqueeze(0))[0].tolist()
    return [*tags, *stream.finish().flatten().tolist()]


def enumerated(crf: CRF, emissions: Tensor, lag: int, classes: list[int]) -> list[int]:
    """The same from the definition: of all sequences through what was decided, the best one that far."""
    start, moves, end = (scores.tolist() for scores in crf._scores(torch.float64))
    rows = emissions.tolist()
    found: list[int] = []

    def best(steps: int, ended: bool) -> tuple[int, ...]:
        scores = {}
        for tags in itertools.product(range(crf.num_tags), repeat=steps):
            if all(classes[tag] == classes[other] for tag, other in zip(tags, found, strict=False)):
                score = start[tags[0]] + sum(row[tag] for row, tag in zip(rows, tags, strict=False))
                score += sum(moves[one][other] for one, other in itertools.pairwise(tags))
                scores[tags] = score + (end[tags[-1]] if ended else 0.0)
        return max(scores, key=lambda tags: scores[tags])

    for step in range(len(rows)):
        ended = step + lag >= len(rows)
        found.append(best(min(len(rows), step + lag + 1), ended)[step])
    return found


@pytest.mark.parametrize("legal", [1.0, 0.6])
def test_every_tag_is_that_of_the_best_path_so_far_through_what_was_decided(legal: float) -> None:
    draw = random.Random(int(legal * 10))
    differ = 0
    for seed in range(100):
        tags, steps, lag = draw.randint(1, 3), draw.randint(1, 6), draw.randint(0, 6)
        crf, emissions = random_crf(seed, tags, legal), torch.randn(steps, tags, dtype=torch.float64)
        classes = list(range(tags)) if seed % 2 else [tag // 2 for tag in range(tags)]
        expected = [classes[tag] for tag in enumerated(crf, emissions, lag, classes)]
        found = decided(crf, emissions, lag, classes=torch.tensor(classes))
        assert [classes[tag] for tag in found] == expected
        best = crf.viterbi(emissions[None], torch.tensor([steps]))[0][0].tolist()
        differ += expected != [classes[tag] for tag in best]
    assert differ > 3


def test_a_lag_as_long_as_the_sequence_gives_the_best_one_exactly_whatever_the_chunks() -> None:
    draw = random.Random(0)
    for seed in range(40):
        tags, steps = draw.randint(1, 9), draw.randint(1, 150)
        crf, emissions = random_crf(seed, tags, 0.7).float(), torch.randn(steps, tags).round(decimals=1)  # with ties
        expected = crf.viterbi(emissions[None], torch.tensor([steps]))[0][0].tolist()
        assert decided(crf, emissions, steps) == expected
        assert decided(crf, emissions, 10 * steps, [1] * steps) == expected
        lag, cut = draw.randint(0, 8), draw.randint(0, steps)
        assert decided(crf, emissions, lag, [cut, steps - cut]) == decided(crf, emissions, lag)


def test_rows_are_decided_each_by_itself() -> None:
    crf, emissions = random_crf(1, 5), torch.randn(7, 20, 5, dtype=torch.float64)
    stream = crf.lagged(3, torch.float64)
    found = torch.cat([stream.accept(emissions[:, :9]), stream.accept(emissions[:, 9:]), stream.finish()], 1)
    assert found.tolist() == [decided(crf, row, 3) for row in emissions]


def test_a_stream_begins_anew_after_its_end_and_may_be_empty() -> None:
    crf, emissions = random_crf(2, 4), torch.randn(1, 12, 4, dtype=torch.float64)
    stream = crf.lagged(2, torch.float64)
    assert stream.finish().numel() == 0
    assert stream.accept(emissions[:, :0]).shape == (1, 0)
    first = [stream.accept(emissions).tolist(), stream.finish().tolist()]
    assert [stream.accept(emissions).tolist(), stream.finish().tolist()] == first
    assert len(first[0][0]) == 10


@pytest.mark.parametrize("lag", [0, 1, 2, 5])
def test_what_is_decided_keeps_to_the_scheme(lag: int) -> None:
    names = inventory(["B-A", "B-B"], "bioes")
    start, moves, end = map(torch.from_numpy, legal_moves(names, "bioes"))
    crf = CRF(len(names), start=start, transition=moves, end=end)
    torch.manual_seed(lag)
    for steps in range(1, 30):
        labels = [names[tag] for tag in decided(crf, 5 * torch.randn(steps, len(names)), lag)]
        faults = invalid_moves(labels, "bioes")
        if lag == 0:  # then a label is decided before it is known that the sequence ends with it
            faults = [fault for fault in faults if "may not end" not in fault[1]]
        assert faults == []


def test_a_step_without_a_legal_tag_is_no_error() -> None:
    nothing = torch.full((2, 2), -math.inf)
    stream = LaggedViterbi(torch.zeros(2), nothing, torch.zeros(2), 1)
    assert stream.accept(torch.randn(1, 50, 2)).shape == (1, 49)
    assert stream.finish().shape == (1, 1)


def test_a_negative_lag_is_refused() -> None:
    with pytest.raises(ValueError) as caught:
        CRF(2).lagged(-1)
    assert str(caught.value) == "expected a lag of at least 0, found -1"


def test_scores_stay_small_and_nothing_is_kept_of_a_long_sequence() -> None:
    crf = random_crf(3, 4).float()
    stream = crf.lagged(10)
    emissions = 20 + torch.randn(1, 1000, 4)
    tracemalloc.start()
    for number in range(20):
        assert stream.accept(emissions).shape == (1, 990 if number == 0 else 1000)
        kept = len(stream._paths._older) + len(stream._paths._newer)
        assert kept <= 10
        if number == 5:
            before = tracemalloc.get_traced_memory()[0]
    assert tracemalloc.get_traced_memory()[0] - before < 10_000
    tracemalloc.stop()
    assert stream._scores is not None
    assert stream._scores.abs().max() < 33 * 30
