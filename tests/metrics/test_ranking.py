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
        if any(right) and not all(right):
            precisions.append(average_precision_score(right, score))
            best = max(value for value, is_right in zip(score, right, strict=True) if is_right)
            reciprocals.append(1 / sum(value >= best for value in score))
    found = ranking(groups, relevant, scores)
    by_group = [[right for right, own in zip(relevant, groups, strict=True) if own == each] for each in set(groups)]
    assert found.groups == len(precisions) and found.left_out == sum(not any(inside) for inside in by_group)
    assert found.all_relevant == sum(all(inside) for inside in by_group)
    if not precisions:
        assert found.map is None and found.mrr is None and found.scores == {}
        return
    assert found.map == pytest.approx(sum(precisions) / len(precisions))
    assert found.mrr == pytest.approx(sum(reciprocals) / len(reciprocals))


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
        "left out: 1 group without a relevant candidate"
    )
    about = {"group": "question", "positive": "yes", "groups": 1, "left_out": 1, "all_relevant": 0}
    assert found.to_json() == {"map": 1.0, "mrr": 1.0, "ranking": about}


def test_groups_of_relevant_candidates_alone_are_no_ranking() -> None:
    found = ranking(["q", "q", "r", "r", "s"], [False, True, True, True, True], [2.0, 1.0, 1.0, 2.0, 1.0], "n", 3.5)
    assert (found.map, found.groups, found.all_relevant) == (0.5, 1, 2)
    assert found.render() == (
        "MAP 0.5000  MRR 0.5000  of 1 group by 'n', relevant: at least 3.5; "
        "left out: 2 groups without an irrelevant candidate"
    )


def test_no_group_has_no_score() -> None:
    found = ranking(["q", "q", "r"], [False, False, True], [2.0, 1.0, 1.0], "n")
    assert found.to_json() == {
        "map": None,
        "mrr": None,
        "ranking": {"group": "n", "positive": "", "groups": 0, "left_out": 1, "all_relevant": 1},
    }
    assert found.render() == (
        "no MAP and MRR: of 2 groups by 'n' none can be ranked, 1 without a relevant candidate, "
        "1 without an irrelevant one (relevant: above 0)"
    )
