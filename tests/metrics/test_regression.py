from __future__ import annotations

import math
import random
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from seqkit.metrics.classification import LeftOut
from seqkit.metrics.regression import RegressionBaseline, pearson, regression_report, spearman
from seqkit.metrics.scores import shown_score

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


def exact(x: list[float], y: list[float]) -> float:
    """Pearson's correlation by fractions of whole numbers."""
    first, second = ([Fraction(value) for value in values] for values in (x, y))
    means = sum(first) / len(first), sum(second) / len(second)
    a, b = ([value - mean for value in values] for values, mean in zip((first, second), means, strict=True))
    product = sum(one * other for one, other in zip(a, b, strict=True))
    square = product**2 / (sum(one * one for one in a) * sum(one * one for one in b))
    return math.copysign(math.sqrt(square), product)


@pytest.mark.parametrize("offset", [0.0, 1.0, 1e3, 1e6, 1e9, 1e12, 1e13, -1e13])
@pytest.mark.parametrize("scale", [1.0, 1e-3])
def test_an_offset_takes_no_digits(offset: float, scale: float) -> None:
    draw = random.Random(7)
    x = [offset + scale * draw.random() * 100 for _ in range(200)]  # rounded as any data are
    y = [value + 3 * offset + scale * draw.random() * 50 for value in x]
    assert pearson(x, y) == pytest.approx(exact(x, y), abs=1e-12)


@pytest.mark.parametrize("factor", [1e-300, 1e-200, 1e200, 1e307])
def test_a_scale_takes_no_digits(factor: float) -> None:
    x, y = [1.0, 2.0, 4.0, 3.0], [2.0, 1.0, 5.0, 9.0]
    assert pearson([factor * value for value in x], y) == pytest.approx(exact(x, y), abs=1e-12)


def test_errors_on_a_small_scale_have_digits() -> None:
    report = regression_report([1e-5, 3e-5], [2e-5, 5e-5], baseline=RegressionBaseline("ridge", 1e-9, 0.5, 0.5))
    assert [line.split()[-3] for line in report.render().splitlines()[2:4]] == ["2.5e-10", "1e-09"]
    assert shown_score("mse", report.mse) == "2.5e-10" and shown_score("pearson", 0.5) == "0.5000"


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
        "this model                   0   1.0000    1.0000\n"
        "ridge                      0.5   0.2500    0.1250\n\n"
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
