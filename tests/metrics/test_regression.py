from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from seqkit.metrics.classification import LeftOut
from seqkit.metrics.regression import RegressionBaseline, pearson, regression_report, spearman

NUMBERS = st.lists(st.tuples(st.integers(-20, 20), st.integers(-20, 20)), min_size=2, max_size=30)


@given(NUMBERS)
def test_correlations_are_those_of_scipy(pairs: list[tuple[int, int]]) -> None:
    x, y = map(list, zip(*pairs, strict=True))
    if len(set(x)) > 1 and len(set(y)) > 1:
        assert pearson(x, y) == pytest.approx(stats.pearsonr(x, y).statistic, abs=1e-9)
        assert spearman(x, y) == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-9)
    else:
        assert pearson(x, y) == spearman(x, y) == 0.0


def test_huge_numbers() -> None:
    assert pearson([1e300, 2e300, 4e300], [-1.0, -2.0, -4.0]) == pytest.approx(-1.0)


def test_the_report() -> None:
    report = regression_report([1.0, 2.0, 4.0], [1.0, 2.0, 3.0], tokens=9, unit="pair")
    assert report.to_json() == {
        "sentences": 3,
        "tokens": 9,
        "mse": pytest.approx(1 / 3),
        "pearson": pytest.approx(0.9819805),
        "spearman": pytest.approx(1.0),
    }
    beside = regression_report([1.0, 2.0], [1.0, 2.0], baseline=RegressionBaseline("ridge", 0.5, 0.25, 0.125))
    assert beside.to_json()["baseline"] == {"name": "ridge", "mse": 0.5, "pearson": 0.25, "spearman": 0.125}
    assert beside.render() == (
        "            mean squared error  Pearson  Spearman\n\n"
        "this model              0.0000   1.0000    1.0000\n"
        "ridge                   0.5000   0.2500    0.1250\n\n"
        "scores of 2 texts"
    )
    left_out = regression_report([], [], baseline=LeftOut("too large"))
    assert left_out.to_json() == {
        "sentences": 0,
        "tokens": 0,
        "mse": 0.0,
        "pearson": 0.0,
        "spearman": 0.0,
        "left_out": {"baseline": "too large"},
    }
    with pytest.raises(ValueError, match=r"^expected numbers for 1 text, found 2$"):
        regression_report([1.0], [1.0, 2.0])
