"""One model used by eight threads at once, each in its own way: what each gets is what it gets alone."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from four_tasks import classifier, classify, foretell, generator, language_model, ngram_model, score, tag, tagger, texts

from seqkit.model.loading import load

THREADS = 8
LINES = texts(10_000, 1, 8)
FEW = LINES[:600]

TAGGING: list[dict[str, Any]] = [
    {},
    {"probs": True},
    {"nbest": 3},
    {"batch_tokens": 500},
    {"ahead": 700, "precision": "auto"},
    {"precision": "bf16"},
    {"probs": True, "batch_tokens": 2000},
    {"nbest": 2, "probs": True, "ahead": 999},
]
PREDICTING: list[dict[str, Any]] = [
    {},
    {"batch_tokens": 100},
    {"precision": "bf16"},
    {"precision": "auto"},
    {"batch_tokens": 3000},
]


@pytest.fixture(autouse=True)
def frequent_switches() -> Iterator[None]:
    """Threads take turns much more often than by default, which shows what must not be interrupted."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def together(calls: list[Callable[[], Any]]) -> list[Any]:
    """What calls give that all begin at the same moment, each in a thread of its own."""
    begin = threading.Barrier(len(calls))

    def run(call: Callable[[], Any]) -> Any:
        begin.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


def check(fresh: Callable[[], Any], calls: Callable[[Any], list[Callable[[], Any]]]) -> None:
    """Compare with one call after the other; of a model that nobody has used before, so that nothing is made ready."""
    expected = [call() for call in calls(fresh())]
    for found, wanted in zip(together(calls(fresh())), expected, strict=True):
        assert found == wanted


def read_again(build: Callable[[], Any], folder: Path) -> Callable[[], Any]:
    """Makes the same model again and again, from its files."""
    build().save(folder)
    return lambda: load(folder)


def test_eight_threads_tag_ten_thousand_sentences_as_one_does(tmp_path: Path) -> None:
    fresh = read_again(tagger, tmp_path / "model")
    check(
        fresh,
        lambda model: [
            lambda share=number: list(tag(model, LINES[share::THREADS], **TAGGING[share])) for number in range(THREADS)
        ],
    )


@pytest.mark.parametrize("cell", ["gru", "mingru", "lstm_peephole", "clockwork"])
def test_eight_threads_tag_the_same_sentences_with_any_cell(cell: str, tmp_path: Path) -> None:
    changes = {"encoder": {"cell": cell, "layers": 2, "skip": "highway"}, "data": {"splitter": "english"}}
    fresh = read_again(lambda: tagger(changes), tmp_path / "model")
    check(fresh, lambda model: [lambda: list(tag(model, FEW[:300], probs=True))] * THREADS)


@pytest.mark.parametrize("pool", ["mean", "max", "last", "attention", "concat"])
def test_eight_threads_classify_as_one_does(pool: str, tmp_path: Path) -> None:
    fresh = read_again(lambda: classifier({"head": {"pool": pool}}), tmp_path / "model")
    check(
        fresh,
        lambda model: [
            lambda share=number: list(classify(model, FEW[share:], **PREDICTING[share % len(PREDICTING)]))
            for number in range(THREADS)
        ],
    )


@pytest.mark.parametrize("kind", ["network", "adaptive", "n-grams"])
def test_eight_threads_score_and_sample_as_one_does(kind: str, tmp_path: Path) -> None:
    changes = {"head": {"cutoffs": [20]}, "encoder": {"hidden": 8}} if kind == "adaptive" else {}
    fresh = read_again(ngram_model if kind == "n-grams" else lambda: language_model(changes), tmp_path / "model")
    sampling: list[dict[str, Any]] = [{"seed": 1}, {"beam": 3}, {"temperature": 0.5, "top_k": 5, "seed": 2}]

    def calls(model: Any) -> list[Callable[[], Any]]:
        scored = [lambda share=n: list(score(model, FEW[share:], **PREDICTING[share])) for n in range(4)]
        written = [lambda options=options: model.sample(count=3, length=60, **options) for options in sampling]
        return [*scored, *written, lambda: model.perplexity(FEW[:200])]

    check(fresh, calls)


def test_dynamic_evaluation_leaves_the_weights_to_the_others(tmp_path: Path) -> None:
    fresh = read_again(language_model, tmp_path / "model")

    def calls(model: Any) -> list[Callable[[], Any]]:
        still = [lambda: list(score(model, FEW[:400]))] * 6
        return [*still, *[lambda: model.perplexity(FEW[:60], dynamic=0.1)] * 2]

    check(fresh, calls)


def test_eight_threads_generate_and_foretell_as_one_does(tmp_path: Path) -> None:
    fresh = read_again(generator, tmp_path / "model")
    conditions = [{"kind": "a", "title": "abc"}, {"kind": "b", "title": "ba"}]

    def calls(model: Any) -> list[Callable[[], Any]]:
        options: list[dict[str, Any]] = [{"seed": 3}, {"beam": 2}, {"temperature": 0}, {"seed": 4, "top_p": 0.8}]
        written = [lambda each=each: model.generate(conditions, count=2, length=40, **each) for each in options]
        foretold = [lambda share=n: list(foretell(model, FEW[share:300], **PREDICTING[share])) for n in range(4)]
        return [*written, *foretold]

    check(fresh, calls)
