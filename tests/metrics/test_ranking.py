from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from seqkit.metrics.ranking import ranking

CANDIDATES = st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=1, max_size=30)


@given(CANDIDATES, st.randoms(use_true_random=False))
def test_the_scores_are_those_of_each_group_by_scikit_learn(candidates: list[tuple[int, bool]], drawn: object) -> None:
    groups, relevant = map(list, zip(*candidates, strict=True))
    scores = [float(number) for number in range(len(groups))]
    drawn.shuffle(scores)  # type: ignore[attr-defined]
    precisions, reciprocals = [], []
    for group in set(groups):
        inside = [row for row, each in enumerate(groups) if each == group]
        right, score = [relevant[row] for row in inside], [scores[row] for row in inside]
        if any(right):
            precisions.append(average_precision_score(right, score))
            best = max(value for value, is_right in zip(score, right, strict=True) if is_right)
            reciprocals.append(1 / sum(value >= best for value in score))
    found = ranking(groups, relevant, scores)
    assert found.groups == len(precisions) and found.left_out == len(set(groups)) - len(precisions)
    assert found.map == pytest.approx(sum(precisions) / max(1, len(precisions)))
    assert found.mrr == pytest.approx(sum(reciprocals) / max(1, len(reciprocals)))


@given(CANDIDATES)
def test_equal_scores_flatter_in_no_order(candidates: list[tuple[int, bool]]) -> None:
    groups, relevant = map(list, zip(*candidates, strict=True))
    found = ranking(groups, relevant, [0.0] * len(groups))
    assert found == ranking(groups[::-1], relevant[::-1], [0.0] * len(groups))
    worst = ranking(groups, relevant, [0.0 if each else 1.0 for each in relevant])
    assert found == worst


def test_what_is_told() -> None:
    found = ranking(["q", "q", "r"], [True, False, False], [2.0, 1.0, 1.0], "question", "yes")
    assert found.render() == (
        "MAP 1.0000  MRR 1.0000  of 1 group by 'question', relevant: 'yes'; "
        "1 group without a relevant candidate left out"
    )
    about = {"group": "question", "positive": "yes", "groups": 1, "left_out": 1}
    assert found.to_json() == {"map": 1.0, "mrr": 1.0, "ranking": about}
