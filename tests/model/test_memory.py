"""Too little memory: fewer tokens at a time, the same results in the same order, a fault that names the sentence."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from four_tasks import TASKS, ngram_model, score, tag, tagger, texts

from seqkit.errors import DataError
from seqkit.model.pipeline import BatchSize, halving
from seqkit.records import Sentence

LINES = texts(150)
pytestmark = pytest.mark.usefixtures("watchdog")


@contextmanager
def memory_for(model: Any, tokens: int, error: type[Exception] = MemoryError) -> Iterator[list[int]]:
    """No batch of more tokens fits; gives the sizes of those that were tried."""
    tried: list[int] = []

    def refuse(_: object, given: tuple[torch.Tensor, ...]) -> None:
        tried.append(given[0].shape[0] * given[0].shape[1])
        if tried[-1] > tokens:
            raise error("out of memory")

    handle = model.network.encoder.register_forward_pre_hook(refuse)
    yield tried
    handle.remove()


def sentences(lengths: list[int]) -> list[Sentence]:
    return [Sentence.from_tokens(["a"] * length, file="in.txt", line=n) for n, length in enumerate(lengths, 1)]


def lengths_of(records: Any) -> list[int]:
    return list(map(len, records))


def equal(found: Any, expected: Any) -> None:
    """The same but for rounding, which the batches decide on."""
    if isinstance(expected, float):
        assert found == pytest.approx(expected, rel=1e-4, abs=1e-5)
    elif isinstance(expected, list | tuple):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            equal(one, other)
    elif isinstance(expected, dict):
        equal(list(found.items()), list(expected.items()))
    else:
        assert found == expected


@pytest.mark.parametrize("error", [MemoryError, RuntimeError, torch.cuda.OutOfMemoryError])
@pytest.mark.parametrize("task", TASKS)
def test_batches_are_halved_until_they_fit_and_results_stay(task: str, error: type[Exception]) -> None:
    build, predict = TASKS[task]
    model = build()
    expected = list(predict(model, LINES))
    said: list[str] = []
    pipeline = model.pipeline(batch_tokens=512, say=said.append)
    with memory_for(model, 150, error) as tried:
        equal(list(predict(model, LINES, pipeline)), expected)
        halvings = [size for size in tried if size > 150]
        assert [line.split("; ")[1] for line in said] == ["going on with 256", "going on with 128"][: len(said)]
        assert said[0] == f"out of memory with batches of 512 {model.task.unit}s; going on with 256"
        assert len(halvings) == len(said) == 2 and pipeline.size.tokens == 128
        before = len(tried)
        equal(list(predict(model, LINES, pipeline)), expected)  # what was learned is kept
        assert max(tried[before:]) <= 150
    assert len(said) == 2


def test_memory_of_decisions_counts_too(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tagger()
    options = {"probs": True, "nbest": 2}
    expected = list(tag(model, LINES, **options))
    decode, said = model.network.head.decode, []

    def refuse(emissions: torch.Tensor, *rest: Any, **more: Any) -> Any:
        if emissions.shape[0] * emissions.shape[1] > 200:
            raise MemoryError
        return decode(emissions, *rest, **more)

    monkeypatch.setattr(model.network.head, "decode", refuse)
    equal(list(tag(model, LINES, model.pipeline(batch_tokens=8192, say=said.append), **options)), expected)
    assert said and len(said) == len(set(said))


def test_a_library_user_is_warned() -> None:
    model = tagger()
    with (
        memory_for(model, 700),
        pytest.warns(RuntimeWarning, match=r"^out of memory with batches of 1,0\d\d tokens; going on with 5\d\d$"),
    ):
        list(model.predict(sentences([10] * 100 + [20])))


@pytest.mark.parametrize("task", ["tag", "lm"])
def test_a_sentence_that_does_not_fit_is_named_after_those_before_it(task: str) -> None:
    build, predict = TASKS[task]
    model, said = build(), []
    found = []
    with memory_for(model, 30), pytest.raises(DataError) as caught:
        for record in predict(model, sentences([3, 4, 5, 60, 6]), model.pipeline(batch_tokens=100, say=said.append)):
            found.append(record[0])
    assert [len(text.split()) for text in found] == [3, 4, 5]
    tokens = 60 + (task == "lm")  # the end of the line before it is read, too
    shown = "'a a a a a a a a a a a a a a a a a a a a…"
    what = f"one {model.task.record} of {tokens} {model.task.unit}s"
    assert str(caught.value) == f"in.txt:4: out of memory with {what}, {shown}"
    assert len(said) == 1  # it was tried by itself at once


def test_a_sentence_of_no_file_is_shown() -> None:
    model = tagger()
    with memory_for(model, 2), pytest.raises(DataError) as caught:
        model.tag("a b c")
    assert str(caught.value) == "out of memory with one sentence of 3 tokens, 'a b c'"


def test_counts_of_ngrams_that_do_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    model, said = ngram_model(), []
    expected = list(score(model, LINES))
    within = model._scores

    def refuse(part: list[Sentence]) -> Any:
        if len(part) > 40:
            raise MemoryError
        return within(part)

    monkeypatch.setattr(model, "_scores", refuse)
    equal(list(score(model, LINES, model.pipeline(batch_tokens=8192, say=said.append))), expected)
    assert len(said) >= 2


@pytest.mark.parametrize("raised", [ZeroDivisionError(), RuntimeError("mat1 and mat2 shapes"), DataError("a fault")])
def test_other_faults_are_left_alone(raised: Exception) -> None:
    def predict(part: Any, size: int) -> list[Any]:
        raise raised

    with pytest.raises(type(raised)) as caught:
        list(halving(sentences([1, 2]), BatchSize(9), lengths_of, predict))
    assert caught.value is raised


def test_every_sentence_comes_once_and_in_order_whatever_fits() -> None:
    lengths = [5, 1, 9, 0, 2, 2, 14, 3, 1, 1, 1, 30, 2]
    for most in (30, 31, 45, 71):
        seen: list[int] = []

        def predict(part: Any, size: int, most: int = most, seen: list[int] = seen) -> list[int]:
            total = sum(max(1, len(one)) for one in part)
            if total > most:
                raise MemoryError
            seen.append(total)
            return [one.line for one in part]

        size = BatchSize(8192, lambda line: None)
        found = list(halving(sentences(lengths), size, lengths_of, predict))
        assert found == list(range(1, len(lengths) + 1))
        assert sum(seen) == sum(lengths) + 1  # an empty one takes a place, too


def test_a_sentence_that_fits_no_batch_leaves_the_batches_of_others_as_they_were() -> None:
    def predict(part: Any, size: int) -> list[Any]:
        if sum(map(len, part)) > 20:
            raise MemoryError
        return [one.line for one in part]

    size = BatchSize(8192, lambda line: None)
    with pytest.raises(DataError, match=r"^in\.txt:2: out of memory with one sentence of 30 tokens, "):
        list(halving(sentences([5, 30]), size, lengths_of, predict))
    assert size.tokens == 8192


LIMITED = """
import resource, torch
from pathlib import Path
from four_tasks import tagger
from seqkit.records import Sentence

torch.set_num_threads(1)
model = tagger({"encoder": {"hidden": 200, "cell": "mingru"}})
sentences = [Sentence.from_tokens(["a"] * (20 + n % 4)) for n in range(1500)]
expected = [found.labels for found in model.predict(sentences, batch_tokens=500)]
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (30 << 20),) * 2)
pipeline = model.pipeline(batch_tokens=1 << 20, say=print)
print([found.labels for found in pipeline(sentences, model.options({}))] == expected)
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="Linux only")
def test_a_limit_of_the_system_is_lived_with() -> None:
    # A cell of torch's own operations: kernels of oneDNN want memory that the heap may hold free and not give back.
    path = os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run([sys.executable, "-c", LIMITED], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    *said, last = done.stdout.splitlines()
    assert last == "True" and said
    assert all(line.startswith("out of memory with batches of ") for line in said)


def test_records_without_tokens_are_divided_too() -> None:
    """Each takes as much as one with a token."""
    said: list[str] = []
    size = BatchSize(512, said.append)
    empty = sentences([0] * 8)
    size.halve(empty, lengths_of(empty))
    assert [list(map(len, part)) for part in size.divide(empty, lengths_of)] == [[0] * 4] * 2
    assert said == ["out of memory with batches of 8 tokens; going on with 4"]
