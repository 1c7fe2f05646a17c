from __future__ import annotations

import operator
import random
from collections.abc import Sequence
from functools import cache, reduce
from itertools import groupby

import pytest

from seqkit.metrics.frames import edit_distance, frame_tagging_report


def runs(labels: Sequence[str]) -> list[tuple[str, int, int]]:
    found, place = [], 0
    for label, same in groupby(labels):
        size = len(list(same))
        if label != "O":
            found.append((label, place, place + size))
        place += size
    return found


def most_pairs(gold: list[tuple[str, int, int]], other: list[tuple[str, int, int]], tolerance: float) -> int:
    """The most pairs of near runs, by trying all."""
    if not gold:
        return 0
    (label, start, end), *rest = gold
    best = most_pairs(rest, other, tolerance)
    for place, (name, first, last) in enumerate(other):
        if name == label and abs(first - start) <= tolerance and abs(last - end) <= tolerance:
            best = max(best, 1 + most_pairs(rest, other[:place] + other[place + 1 :], tolerance))
    return best


def by_recursion(one: Sequence[str], other: Sequence[str]) -> int:
    @cache
    def least(i: int, j: int) -> int:
        if not i or not j:
            return i + j
        return min(least(i - 1, j) + 1, least(i, j - 1) + 1, least(i - 1, j - 1) + (one[i - 1] != other[j - 1]))

    return least(len(one), len(other))


def test_the_edit_distance_is_that_of_its_definition() -> None:
    draw = random.Random(1)
    for _ in range(300):
        one, other = ([draw.choice("abc") for _ in range(draw.randint(0, 8))] for _ in range(2))
        assert edit_distance(one, other) == by_recursion(one, other)


def test_scores_of_runs_are_those_of_trying_all_pairs() -> None:
    draw = random.Random(2)
    for _ in range(300):
        size = draw.randint(1, 16)
        gold, predicted = ([[draw.choice("aabbO")] * draw.randint(1, 3) for _ in range(size)] for _ in range(2))
        right, guess = (reduce(operator.iadd, rows, [])[:size] for rows in (gold, predicted))
        tolerance = draw.choice([0, 1, 2])
        report = frame_tagging_report([right], [guess], tolerance=tolerance)
        one, other = runs(right), runs(guess)
        near, exact = most_pairs(one, other, tolerance), len(set(one) & set(other))
        for score, count in ((report.near, near), (report.exact, exact)):
            assert score.precision == pytest.approx(count / len(other) if other else 0)
            assert score.recall == pytest.approx(count / len(one) if one else 0)
        assert report.run_errors == by_recursion([run[0] for run in one], [run[0] for run in other])
        assert report.accuracy == sum(map(str.__eq__, right, guess)) / size


def test_a_report_as_json_and_as_a_table() -> None:
    report = frame_tagging_report(
        [list("OaabbO"), list("OO")], [list("OOabbb"), list("OO")], tolerance=0.5, unit="seconds", frames=1
    )
    found = report.to_json()
    assert found == {
        "scheme": "none",
        "sentences": 2,
        "tokens": 8,
        "accuracy": 0.75,
        "runs": {
            "count": 2,
            "exact": {"precision": 0.0, "recall": 0.0, "f1": 0.0},
            "near": {"precision": 1.0, "recall": 1.0, "f1": 1.0},
            "tolerance": 0.5,
            "unit": "seconds",
            "errors": 0,
            "error_rate": 0.0,
        },
        "per_label": {
            "O": {"precision": 0.75, "recall": 0.75, "f1": 0.75, "support": 4},
            "a": {"precision": 1.0, "recall": 0.5, "f1": pytest.approx(2 / 3), "support": 2},
            "b": {"precision": pytest.approx(2 / 3), "recall": 1.0, "f1": 0.8, "support": 2},
        },
    }
    assert " ".join(report.render().split("\n\n")[-1].split()) == (
        "accuracy 0.7500 of 8 frames in 2 sequences; labels of runs in their order: error rate 0.00 % of 2 runs; "
        "near: both ends within 0.5 seconds"
    )


def test_spans_count_by_their_scheme() -> None:
    gold, predicted = ["B-x", "I-x", "B-x", "O"], ["B-x", "I-x", "I-x", "O"]
    report = frame_tagging_report([gold], [predicted], "iob2")
    assert (report.exact.support, report.exact.f1, report.run_errors) == (2, 0.0, 1)


def test_as_many_labels_are_expected() -> None:
    with pytest.raises(ValueError, match=r"^expected labels for 1 sequence, found 0$"):
        frame_tagging_report([["a"]], [])
    with pytest.raises(ValueError, match=r"^sequence 0: expected 1 label, found 2$"):
        frame_tagging_report([["a"]], [["a", "a"]])
