from __future__ import annotations

import math

import pytest

from seqkit.metrics.generation import GenerationReport
from seqkit.metrics.perplexity import PerplexityReport


def test_shares_and_their_json() -> None:
    report = GenerationReport(PerplexityReport(-20.0, 10, 4, unknown=2, unit="char"), exact=1, alike=2, ended=3)
    assert (report.exact_match, report.same_lines) == (0.25, 0.5)
    found = report.to_json()
    assert found["loss"] == 2.0
    assert found["perplexity"] == pytest.approx(math.exp(2))
    assert (found["exact_match"], found["same_lines"], found["ended"]) == (0.25, 0.5, 0.75)
    assert (found["sentences"], found["tokens"], found["unknown"]) == (4, 10, 2)
    shown = report.render(80)
    assert "exact match       0.2500" in shown
    assert "same lines        0.5000" in shown
    assert "4 texts, 10 units with their ends; 2 are unknown to the model" in shown


def test_no_texts() -> None:
    report = GenerationReport(PerplexityReport(0.0, 0, 0), 0, None, 0)
    assert report.exact_match == report.to_json()["ended"] == 0.0
    assert "unknown" not in report.render(80)


def test_texts_of_one_line_are_not_compared_by_lines() -> None:
    report = GenerationReport(PerplexityReport(-20.0, 10, 4), exact=1, alike=None, ended=3)
    assert report.same_lines is None
    assert "same_lines" not in report.to_json()
    assert "same lines" not in report.render(80)
