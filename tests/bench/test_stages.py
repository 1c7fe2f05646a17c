"""The clock around the parts, and the table of parts of a model's work."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import seqkit.bench.stages as stages
from seqkit.bench.flops import forward_flops
from seqkit.bench.machine import Spread
from seqkit.bench.stages import STAGES, Measured, StageClock, measure_stages
from seqkit.config import override
from seqkit.errors import DataError
from seqkit.heads.classification.settings import ClassifySettings
from seqkit.heads.tagging.settings import TagSettings
from seqkit.model import pipeline
from seqkit.model.classifier import Classifier
from seqkit.model.tagger import Tagger
from seqkit.records import Sentence

TINY: dict[str, dict[str, Any]] = {"embedding": {"word_size": 4, "char_features": 4}, "encoder": {"hidden": 3}}
TOKENS = [["Ada", "met", "him"], [], ["In", "Paris"]]


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Time that passes only when a test says so."""
    now = SimpleNamespace(seconds=0.0)
    monkeypatch.setattr(stages.time, "perf_counter", lambda: now.seconds)
    return now


@pytest.fixture
def tagger() -> Tagger:
    settings = override(TagSettings(), TINY)
    return Tagger.build(settings, [Sentence.from_tokens(TOKENS[0], {"label": ["B-PER", "O", "O"]})])


def test_nested_stages_each_count_their_own_time(time: SimpleNamespace) -> None:
    clock = StageClock(torch.device("cpu"))
    time.seconds += 100.0
    with clock.stage("outer"):
        time.seconds += 1.0
        with clock.stage("inner"):
            time.seconds += 2.0
        time.seconds += 4.0
        with clock.stage("inner"):
            time.seconds += 8.0
    time.seconds += 100.0
    assert clock.seconds == {"outer": 5.0, "inner": 10.0}


def test_a_stage_that_fails_has_ended(time: SimpleNamespace) -> None:
    clock = StageClock(torch.device("cpu"))
    with clock.stage("outer"):
        with pytest.raises(ZeroDivisionError), clock.stage("inner"):
            time.seconds += 1.0
            raise ZeroDivisionError
        time.seconds += 2.0
    assert clock.seconds == {"outer": 2.0, "inner": 1.0}


def test_an_iterator_counts_without_the_use_of_its_items(time: SimpleNamespace) -> None:
    def items() -> Iterator[int]:
        for number in range(3):
            time.seconds += 1.0
            yield number
        time.seconds += 10.0

    clock = StageClock(torch.device("cpu"))
    found = []
    for number in clock.iterate(items(), "made"):
        time.seconds += 100.0
        found.append(number)
    assert (found, clock.seconds) == ([0, 1, 2], {"made": 13.0})


def test_around_a_method_and_only_inside_the_context(time: SimpleNamespace) -> None:
    class Owner:
        def double(self, number: int, *, plus: int = 0) -> int:
            time.seconds += 1.0
            return 2 * number + plus

    owner, clock = Owner(), StageClock(torch.device("cpu"))
    with clock.around(owner, "double", "doubling"):
        assert owner.double(3, plus=1) == 7
    assert owner.double(3) == 6
    assert clock.seconds == {"doubling": 1.0} and not vars(owner)


def test_the_rounds_of_a_tagger(tagger: Tagger, monkeypatch: pytest.MonkeyPatch) -> None:
    rates = iter([10.0, 30.0])
    asked: list[torch.dtype] = []

    def gemm_rate(*, dtype: torch.dtype) -> float:
        asked.append(dtype)
        return next(rates)

    monkeypatch.setattr(stages, "gemm_rate", gemm_rate)
    monkeypatch.setattr(stages, "onednn_rate", lambda: 1.0)
    written: list[list[list[str]]] = []

    def write(records: Iterable[Any]) -> None:
        found = list(records)
        written.append([record.labels for record in found])
        assert not any(record.spans for record in found)  # which columns do not show

    read = partial(map, Sentence.from_tokens, TOKENS)
    found = measure_stages(
        tagger, read, write, rounds=2, precision="bf16", options=tagger.options({}).for_output("conll")
    )
    assert len(written) == 3 and [len(labels) for labels in written[0]] == [3, 0, 2]  # one round is not counted
    assert (found.sentences, found.tokens) == (3, 5)
    assert tuple(found.seconds) == STAGES
    assert all(seconds.least > 0.0 for seconds in found.seconds.values())
    assert sum(seconds.least for seconds in found.seconds.values()) <= found.total.most
    assert found.flops == forward_flops(tagger.network, sum(map(len, ["Ada", "met", "him", "In", "Paris"])) / 5)
    assert found.gemm == (20.0, 10.0, 30.0) and asked == [torch.bfloat16] * 2
    assert (found.precision, found.onednn) == ("bf16", None)  # whose product is of fp32


@pytest.mark.parametrize(("fast", "times", "chosen"), [(False, 60, "fp32"), (True, 60, "bf16"), (True, 1, "fp32")])
def test_the_product_has_the_precision_that_auto_chose(
    fast: bool, times: int, chosen: str, tagger: Tagger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "multiplies_bf16", lambda device: fast)
    asked: list[torch.dtype] = []
    monkeypatch.setattr(stages, "gemm_rate", lambda *, dtype: (asked.append(dtype), 1.0)[1])
    monkeypatch.setattr(stages, "onednn_rate", lambda: 2.0)
    said: list[str] = []
    read = partial(map, Sentence.from_tokens, TOKENS * times)
    found = measure_stages(tagger, read, list, rounds=2, precision="auto", say=said.append)
    assert (found.precision, found.onednn is None) == (chosen, chosen == "bf16")
    assert asked == [torch.bfloat16 if chosen == "bf16" else torch.float32] * 2
    assert len(said) == 1 and said[0].startswith(f"precision auto: {chosen}")


def test_the_clock_is_removed_from_the_model(tagger: Tagger) -> None:
    network = tagger.network
    parts = [tagger.input.indexer, network.input.embedding, network.encoder, network.head, tagger.head]
    before = [set(vars(part)) for part in parts]
    measure_stages(tagger, partial(map, Sentence.from_tokens, TOKENS), list, rounds=1)
    assert [set(vars(part)) for part in parts] == before


def test_a_classifier(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "gemm_rate", lambda **_: 1.0)
    monkeypatch.setattr(stages, "onednn_rate", lambda: None)
    texts = [Sentence.from_tokens(tokens) for tokens in TOKENS if tokens]
    for text, label in zip(texts, "ab", strict=True):
        text.fields = {"label": label}
    model = Classifier.build(override(ClassifySettings(), TINY), texts)
    found = measure_stages(model, partial(map, Sentence.from_tokens, TOKENS), list, rounds=1, precision="fp32")
    assert all(found.seconds[name].median > 0.0 for name in ("words", "encoder", "head"))
    assert found.seconds["characters"].most == 0.0  # it has none
    assert found.onednn is found.onednn_share is None


def test_derived_figures() -> None:
    found = Measured(
        {}, Spread(2.0, 1.0, 4.0), 3, 100, 6.0, "fp32", Spread(1000.0, 900.0, 1100.0), Spread(1500.0, 1.0, 1600.0)
    )
    assert (found.tokens_per_second, found.share, found.onednn_share) == (50.0, 0.3, 0.2)
    assert found._replace(gemm=None).share is None


def test_no_tokens(tagger: Tagger) -> None:
    with pytest.raises(DataError) as caught:
        measure_stages(tagger, lambda: iter([Sentence.from_tokens([])]), list)
    assert str(caught.value) == "there are no tokens to label"
