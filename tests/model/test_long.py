"""Sentences of any length: nothing cut off, the same as in one piece, and memory in proportion to the length."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from four_tasks import TASKS, WORDS, classifier, classify, generator, ngram_model, score, tag, tagger

from seqkit.nn.pooling import POOLINGS

LONG, WINDOW = 2_000, 300
"""tokens, and a window a good deal smaller than it really is"""
PLACES = ("seqkit.nn.recurrent.layer._WINDOW", "seqkit.nn.pooling._WINDOW", "seqkit.nn.softmax._ADAPTIVE_ROWS")


def line(tokens: int) -> str:
    return " ".join(WORDS[number * number % 59] for number in range(tokens))


def in_windows_and_in_one_piece(predict: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Any]:
    with monkeypatch.context() as patch:
        for place in PLACES:
            patch.setattr(place, WINDOW)
        windows = list(predict())
    return windows, list(predict())


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn_tanh", "mingru", "minlstm", "running_sum"])
def test_a_long_sentence_is_tagged_as_in_one_piece(cell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tagger({"encoder": {"cell": cell, "layers": 2}})
    lines = ["a b", line(LONG), "c"]
    windows, whole = in_windows_and_in_one_piece(lambda: tag(model, lines, probs=True, nbest=2), monkeypatch)
    for found, expected in zip(windows, whole, strict=True):
        assert (found[0], found[1]) == (expected[0], expected[1])
        assert found[2] == pytest.approx(expected[2], abs=1e-4)
        assert [path for path, _ in found[4]] == [path for path, _ in expected[4]]
    assert [len(found[1]) for found in windows] == [2, LONG, 1]


@pytest.mark.parametrize("pool", POOLINGS)
def test_a_long_text_is_classified_as_in_one_piece(pool: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = classifier({"head": {"pool": pool}})
    windows, whole = in_windows_and_in_one_piece(lambda: classify(model, [line(LONG), "a"]), monkeypatch)
    for found, expected in zip(windows, whole, strict=True):
        assert found[:2] == expected[:2]
        assert found[2] == pytest.approx(expected[2], abs=1e-5)


ADAPTIVE = {"head": {"cutoffs": [20]}, "encoder": {"hidden": 8}}


@pytest.mark.parametrize(("task", "changes"), [("lm", {}), ("lm", ADAPTIVE), ("generate", {})], ids=str)
def test_a_long_line_is_scored_as_in_one_piece(
    task: str, changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    build, predict = TASKS[task]
    model = build(changes)
    windows, whole = in_windows_and_in_one_piece(lambda: predict(model, [line(LONG), "a"]), monkeypatch)
    for found, expected in zip(windows, whole, strict=True):
        if task == "lm":
            assert found[:2] == expected[:2]
            assert found[2] == pytest.approx(expected[2], rel=1e-6)
        else:
            assert found == pytest.approx(expected, rel=1e-6)


def test_a_long_condition_is_read_as_in_one_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    model = generator()
    condition = {"kind": "a", "title": line(LONG)}
    windows, whole = in_windows_and_in_one_piece(
        lambda: [one.text for one in model.generate(condition, seed=1, length=20)], monkeypatch
    )
    assert windows == whole


def test_counts_of_ngrams_score_a_long_line() -> None:
    ((text, units, log_prob),) = score(ngram_model(), [line(LONG)])
    assert (len(text.split()), units) == (LONG, LONG + 1)
    assert -20 * LONG < log_prob < 0


MEASURED = """
import re, sys
from pathlib import Path
from four_tasks import language_model, tagger
from test_long import line

def peak():  # not getrusage, whose peak is at least that of the process which started this one
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])

model = {"tag": tagger, "lm": language_model}[sys.argv[1]]({"encoder": {"hidden": 128}})
use = model.score if sys.argv[1] == "lm" else model.predict
text, tokens = line(40_000), 40_000
list(use([line(10_000)]))
before = peak()
list(use([text]))
print((peak() - before) * 1024 // (tokens - 10_000))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux only")
@pytest.mark.parametrize("task", ["tag", "lm"])
def test_a_token_more_takes_the_bytes_that_are_stated(task: str) -> None:
    path = os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, task],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    # Vectors of words, 36 numbers; outputs of each direction, 128, and both beside each other; and strings and numbers
    # of a few hundred bytes. In one piece there would be four gates of 128 for each direction, too.
    assert 0 < int(done.stdout) < 4 * (36 + 4 * 128) + 1500
