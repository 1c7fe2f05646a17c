from __future__ import annotations

import math

import pytest

from seqkit.metrics.perplexity import Baseline, PerplexityReport


def test_a_fair_die() -> None:
    report = PerplexityReport(-10 * math.log(6), 10, 2)
    assert report.loss == pytest.approx(math.log(6))
    assert report.perplexity == pytest.approx(6.0)
    assert report.bits_per_unit == pytest.approx(math.log2(6))
    assert report.score == -report.loss


def test_the_figures_have_the_names_that_programs_rely_on() -> None:
    report = PerplexityReport(-20.0, 10, 2, 3, "char")
    assert report.to_json() == {
        "sentences": 2,
        "tokens": 10,
        "units": 10,
        "unit": "char",
        "unknown": 3,
        "loss": 2.0,
        "perplexity": math.exp(2.0),
        "bits_per_unit": 2.0 / math.log(2.0),
    }


def test_the_figures_as_text() -> None:
    assert PerplexityReport(-20000.0, 10000, 2, 3, "char").render().split("\n") == [
        "perplexity         7.39",
        "loss             2.0000 nats per character",
        "bits             2.8854 per character",
        "",
        "10,000 characters, 2 ends of lines among them; 3 are unknown to the model",
    ]
    assert PerplexityReport(-20.0, 10, 2).render().endswith("10 words, 2 ends of lines among them")


def test_a_baseline_stands_beside_it() -> None:
    report = PerplexityReport(-20000.0, 10000, 2, baseline=Baseline("5-gram Kneser-Ney", 1234.567))
    assert report.to_json()["baseline"] == {"name": "5-gram Kneser-Ney", "perplexity": 1234.567}
    assert report.render().split("\n")[3:] == [
        "",
        "                   perplexity",
        "",
        "this model               7.39",
        "5-gram Kneser-Ney    1,234.57",
        "",
        "10,000 words, 2 ends of lines among them",
    ]


def test_nothing_and_the_impossible() -> None:
    assert PerplexityReport(0.0, 0, 0).perplexity == 1.0
    assert PerplexityReport(-1e6, 10, 1).perplexity == math.inf
