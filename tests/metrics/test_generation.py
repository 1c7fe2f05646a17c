from __future__ import annotations

import math

import pytest

from seqkit.metrics.generation import GenerationReport
from seqkit.metrics.perplexity import PerplexityReport
from seqkit.metrics.slots import SayingScores, SlotErrors


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


def test_scores_of_texts_that_say_acts() -> None:
    one, five = SayingScores(1, 3, 50.0, SlotErrors(1, 2, 12)), SayingScores(5, 14, 40.0, SlotErrors(0, 7, 56))
    report = GenerationReport(PerplexityReport(-20.0, 10, 4), 1, None, 3, beam=20, saying=(one, five))
    found = report.to_json()
    assert found["bleu"] == 50.0
    assert found["slot_errors"] == {"rate": 0.25, "missing": 1, "redundant": 2, "slots": 12}
    rate = {"rate": 0.125, "missing": 0, "redundant": 7, "slots": 56}
    assert found["best"] == {"count": 5, "texts": 14, "bleu": 40.0, "slot_errors": rate}
    assert report.render().splitlines()[2:7] == [
        "exact match       0.2500 of the texts, written with a beam of 20",
        "BLEU                50.00",
        "slot errors         25.00 % (1 missing, 2 redundant of 12 slots)",
        "BLEU, best 5        40.00",
        "slot errors, best 5 12.50 % (0 missing, 7 redundant of 56 slots)",
    ]
