"""``auto``: bf16 is taken if the first sentences say so, what is given for these is fp32's, and it is told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

import click
import pytest
import torch
from four_tasks import language_model, score, texts

from seqkit.cli.options import precision_option
from seqkit.errors import DataError
from seqkit.model import pipeline
from seqkit.model.loading import load
from seqkit.model.pipeline import CHECKED_RECORDS, Pipeline
from seqkit.records import Sentence
from seqkit.tasks import TASKS

Record = tuple[str, str, Sequence[str]]


class Labelled:
    """A model of which a pipeline asks where it is and what its labels are."""

    device = torch.device("cpu")
    has_labels = True
    task = TASKS["tag"]
    surveys = False

    @property
    def input(self) -> Labelled:
        return self

    @property
    def head(self) -> Labelled:
        return self

    def options(self, given: object) -> object:
        return given

    def labels(self, answer: Record) -> Sequence[str]:
        return answer[2]


class Asked(Pipeline):
    """Who was asked for what. The labels of a sentence are its tokens; in bf16 a token "odd" is another."""

    asked: list[tuple[str, int]]

    def _predict(self, chunk: Sequence[Sentence], options: Any, precision: str) -> Iterator[Record]:
        self.asked.append((precision, len(chunk)))
        for sentence in chunk:
            labels = ["even" if token == "odd" and precision == "bf16" else token for token in sentence.tokens]
            yield precision, sentence.text, labels


class Stub:
    """Pipelines of one model, the one for ``auto`` kept, and streams that know how far they were read."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []
        self.said: list[str] = []
        self.auto = self.made("auto", self.said.append)
        self.read = 0

    def made(self, wanted: str, say: Callable[[str], None] | None = None) -> Asked:
        found = Asked(Labelled(), precision=wanted, say=say)  # type: ignore[arg-type]
        found.asked = self.asked
        return found

    def stream(self, count: int, odd: Iterable[int] = (), fault: int | None = None) -> Iterator[Sentence]:
        for number in range(count):
            self.read += 1
            if number == fault:
                raise DataError("a fault")
            yield Sentence.from_tokens([str(number), "odd" if number in odd else "plain"])

    def run(self, wanted: str, sentences: Iterator[Sentence], ahead: int = 4096) -> Iterator[Record]:
        asked = self.auto if wanted == "auto" else self.made(wanted, self.said.append)
        asked.ahead = ahead
        return asked(sentences, None)


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Stub:
    """On a machine that multiplies bf16."""
    monkeypatch.setattr(pipeline, "multiplies_bf16", lambda device: True)
    return Stub()


@pytest.mark.parametrize("wanted", ["fp32", "bf16"])
def test_what_is_asked_for_by_name_is_not_checked(stub: Stub, wanted: str) -> None:
    found = list(stub.run(wanted, stub.stream(300)))
    assert [record[0] for record in found] == [wanted] * 300
    assert (stub.asked, stub.said) == ([(wanted, 300)], [])


def test_bf16_is_taken_where_the_first_labels_agree(stub: Stub) -> None:
    found = list(stub.run("auto", stub.stream(1000, odd=[CHECKED_RECORDS])))  # the first that is not checked
    assert [int(text.split()[0]) for _, text, _ in found] == list(range(1000))
    assert [record[0] for record in found] == ["fp32"] * 128 + ["bf16"] * 872
    assert stub.asked == [("fp32", 128), ("bf16", 128), ("bf16", 872)]
    message = "precision auto: bf16 from here on, since the 256 labels of the first 128 sentences agree with fp32"
    assert stub.said == [message]


def test_fp32_is_taken_where_a_label_differs(stub: Stub) -> None:
    found = list(stub.run("auto", stub.stream(1000, odd=[3, CHECKED_RECORDS - 1])))
    assert [record[0] for record in found] == ["fp32"] * 1000
    message = "precision auto: fp32, since in bf16 2 of the 256 labels of the first 128 sentences differ"
    assert stub.said == [message]


@pytest.mark.parametrize("count", [0, 1, CHECKED_RECORDS])
def test_few_sentences_are_not_worth_a_check(stub: Stub, count: int) -> None:
    found = list(stub.run("auto", stub.stream(count, odd=[0])))
    assert [record[0] for record in found] == ["fp32"] * count
    assert stub.asked == [("fp32", count)]
    assert stub.said == ["precision auto: fp32, since there are too few sentences to check bf16"]


def test_nobody_waits_for_the_check(stub: Stub) -> None:
    for ahead in (1, CHECKED_RECORDS - 1):
        stub.read = 0
        records = stub.run("auto", stub.stream(300), ahead)
        next(records)
        assert stub.read == ahead
        assert {record[0] for record in records} == {"fp32"}
    assert stub.said == ["precision auto: fp32, since too few sentences are read ahead to check bf16"]


def test_without_bf16_in_hardware(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "multiplies_bf16", lambda device: False)
    assert {record[0] for record in stub.run("auto", stub.stream(300))} == {"fp32"}
    assert stub.said == ["precision auto: fp32, since bf16 is not fast here"]


@pytest.mark.parametrize("fault", [0, 5, CHECKED_RECORDS, CHECKED_RECORDS + 5, 900])
def test_what_came_before_a_fault_is_given_first(stub: Stub, fault: int) -> None:
    found: list[Record] = []
    with pytest.raises(DataError, match="a fault"):
        for record in stub.run("auto", stub.stream(1000, fault=fault)):
            found.append(record)
    assert len(found) == fault


def test_silence_is_possible(stub: Stub) -> None:
    silent = stub.made("auto")
    assert len(list(silent(stub.stream(300), None))) == 300
    assert (silent.chosen, stub.said) == ("bf16", [])


def test_a_check_without_labels_decides_nothing(stub: Stub) -> None:
    empty = [Sentence.from_tokens([])] * CHECKED_RECORDS
    found = list(stub.run("auto", chain(empty, stub.stream(300))))
    assert {record[0] for record in found} == {"fp32"} and len(found) == 428
    assert stub.said == ["precision auto: fp32, since the first 128 sentences have no labels to check bf16 by"]
    assert stub.auto.chosen is None


@pytest.mark.parametrize(("odd", "chosen"), [([], "bf16"), ([3], "fp32")])
def test_the_first_stream_that_can_be_checked_decides_for_all(stub: Stub, odd: list[int], chosen: str) -> None:
    for _ in range(2):
        assert {record[0] for record in stub.run("auto", stub.stream(5))} == {"fp32"}
    assert stub.auto.chosen is None
    list(stub.run("auto", stub.stream(300, odd=odd)))
    assert stub.auto.chosen == chosen
    stub.asked.clear()
    for count, ahead in ((300, 4096), (5, 4096), (300, 150)):
        assert [record[0] for record in stub.run("auto", stub.stream(count, odd=[0]), ahead)] == [chosen] * count
    assert stub.asked == [(chosen, 300), (chosen, 5), (chosen, 150), (chosen, 150)]
    assert len(stub.said) == 2 and stub.said[1].startswith(f"precision auto: {chosen}")  # too few, said once


def test_a_stream_that_ends_in_a_fault_while_it_is_checked_decides_nothing(stub: Stub) -> None:
    with pytest.raises(DataError, match="a fault"):
        list(stub.run("auto", stub.stream(300, fault=CHECKED_RECORDS)))
    assert (stub.auto.chosen, stub.said) == (None, [])


def test_the_option_tells_how_many_are_checked() -> None:
    option = click.command()(precision_option(lambda precision: None)).params[0]
    assert isinstance(option, click.Option) and option.help is not None
    assert f"the first {CHECKED_RECORDS} records" in option.help


def test_where_nothing_is_labelled_there_is_no_check() -> None:
    model, lines, said = language_model(), texts(150), []
    auto = model.pipeline(precision="auto", say=said.append)
    assert list(score(model, lines, auto)) == list(score(model, lines))  # on a CPU
    assert said == []


def test_a_tagger_checks_itself(stub: Stub, trained: str, make_sentences: Callable[..., list[Sentence]]) -> None:
    model, sentences, said = load(trained), make_sentences(200, 3), []
    exact = list(model.predict(sentences))
    found = list(model.pipeline(precision="auto", say=said.append)(sentences, model.options({})))
    assert [record.sentence for record in found] == sentences
    assert [record.labels for record in found[:CHECKED_RECORDS]] == [
        record.labels for record in exact[:CHECKED_RECORDS]
    ]
    total = sum(map(len, sentences[:CHECKED_RECORDS]))
    assert len(said) == 1
    assert f"{total:,} labels of the first 128 sentences" in said[0]
