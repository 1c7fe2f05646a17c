from __future__ import annotations

import math

import pytest

from seqkit.records import ScoredText, WrittenText


def test_perplexity_is_the_inverse_of_the_geometric_mean_of_the_probabilities() -> None:
    record = ScoredText("to be", math.log(0.5 * 0.25 * 0.125), 3)
    assert record.perplexity == pytest.approx(4.0)
    assert ScoredText("never", -1e6, 1).perplexity == math.inf


def test_records_as_json() -> None:
    assert ScoredText("to be", -3.0, 3).to_json() == {
        "text": "to be",
        "log_prob": -3.0,
        "units": 3,
        "unknown": 0,
        "perplexity": math.e,
    }
    assert WrittenText("to be", -3.0, 2, True).to_json() == {
        "text": "to be",
        "log_prob": -3.0,
        "units": 2,
        "ended": True,
    }
