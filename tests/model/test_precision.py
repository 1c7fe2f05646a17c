"""``auto``: bf16 is taken if the first sentences say so, what is given for these is fp32's, and it is told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain

import pytest
import torch

from seqkit.cli.options import WHERE_LABELS_AGREE
from seqkit.errors import DataError
from seqkit.model import precision
from seqkit.model.loading import load
from seqkit.model.precision import CHECKED_SENTENCES, AutoPrecision, in_precision
from seqkit.records import Sentence

CPU = torch.device("cpu")
Record = tuple[str, str, Sequence[str]]


class Stub:
    """A model: who was asked for what. The labels of a sentence are its tokens; in bf16 a token "odd" is another."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []
        self.said: list[str] = []
        self.auto = AutoPrecision(self.said.append)
        self.read = 0

    def predict(self, sentences: Iterable[Sentence], chosen: str) -> Iterator[Record]:
        self.asked.append((chosen, 0))
        for sentence in sentences:
            self.asked[-1] = (chosen, self.asked[-1][1] + 1)
            labels = ["even" if token == "odd" and chosen == "bf16" else token for token in sentence.tokens]
            yield chosen, sentence.text, labels

    def stream(self, count: int, odd: Iterable[int] = (), fault: int | None = None) -> Iterator[Sentence]:
        for number in range(count):
            self.read += 1
            if number == fault:
                raise DataError("a fault")
            yield Sentence.from_tokens([str(number), "odd" if number in odd else "plain"])

    def run(self, wanted: str, sentences: Iterator[Sentence], ahead: int = 4096) -> Iterator[Record]:
        return in_precision(
            wanted, self.predict, sentences, lambda record: record[2], device=CPU, ahead=ahead, auto=self.auto
        )


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Stub:
    """On a machine that multiplies bf16."""
    monkeypatch.setattr(precision, "multiplies_bf16", lambda device: True)
    return Stub()


@pytest.mark.parametrize("wanted", ["fp32", "bf16"])
def test_what_is_asked_for_by_name_is_not_checked(stub: Stub, wanted: str) -> None:
    found = list(stub.run(wanted, stub.stream(300)))
    assert [record[0] for record in found] == [wanted] * 300
    assert (stub.asked, stub.said) == ([(wanted, 300)], [])


def test_bf16_is_taken_where_the_first_labels_agree(stub: Stub) -> None:
    found = list(stub.run("auto", stub.stream(1000, odd=[CHECKED_SENTENCES])))  # the first that is not checked
    assert [int(text.split()[0]) for _, text, _ in found] == list(range(1000))
    assert [record[0] for record in found] == ["fp32"] * 128 + ["bf16"] * 872
    assert stub.asked == [("fp32", 128), ("bf16", 128), ("bf16", 872)]
    message = "precision auto: bf16 from here on, since the 256 labels of the first 128 sentences agree with fp32"
    assert stub.said == [message]


def test_fp32_is_taken_where_a_label_differs(stub: Stub) -> None:
    found = list(stub.run("auto", stub.stream(1000, odd=[3, CHECKED_SENTENCES - 1])))
    assert [record[0] for record in found] == ["fp32"] * 1000
    message = "precision auto: fp32, since in bf16 2 of the 256 labels of the first 128 sentences differ"
    assert stub.said == [message]


@pytest.mark.parametrize("count", [0, 1, CHECKED_SENTENCES])
def test_few_sentences_are_not_worth_a_check(stub: Stub, count: int) -> None:
    found = list(stub.run("auto", stub.stream(count, odd=[0])))
    assert [record[0] for record in found] == ["fp32"] * count
    assert stub.asked == [("fp32", count)]
    assert stub.said == ["precision auto: fp32, since there are too few sentences to check bf16"]


def test_nobody_waits_for_the_check(stub: Stub) -> None:
    records = stub.run("auto", stub.stream(300), ahead=CHECKED_SENTENCES - 1)
    next(records)
    assert stub.read == 1
    assert {record[0] for record in records} == {"fp32"}
    assert stub.said == ["precision auto: fp32, since too few sentences are read ahead to check bf16"]


def test_without_bf16_in_hardware(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "multiplies_bf16", lambda device: False)
    assert {record[0] for record in stub.run("auto", stub.stream(300))} == {"fp32"}
    assert stub.said == ["precision auto: fp32, since bf16 is not fast here"]


@pytest.mark.parametrize("fault", [0, 5, CHECKED_SENTENCES, CHECKED_SENTENCES + 5, 900])
def test_what_came_before_a_fault_is_given_first(stub: Stub, fault: int) -> None:
    found: list[Record] = []
    with pytest.raises(DataError, match="a fault"):
        for record in stub.run("auto", stub.stream(1000, fault=fault)):
            found.append(record)
    assert len(found) == fault


def test_silence_is_possible(stub: Stub) -> None:
    sentences = stub.stream(300)
    found = in_precision("auto", stub.predict, sentences, lambda record: record[2], device=CPU, ahead=4096)
    assert len(list(found)) == 300


def test_a_check_without_labels_decides_nothing(stub: Stub) -> None:
    empty = [Sentence.from_tokens([])] * CHECKED_SENTENCES
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
    for count, ahead in ((300, 4096), (5, 4096), (300, 1)):
        assert [record[0] for record in stub.run("auto", stub.stream(count, odd=[0]), ahead)] == [chosen] * count
    assert stub.asked == [(chosen, 300), (chosen, 5), (chosen, 300)]
    assert len(stub.said) == 2 and stub.said[1].startswith(f"precision auto: {chosen}")  # too few, said once


def test_a_stream_that_ends_in_a_fault_while_it_is_checked_decides_nothing(stub: Stub) -> None:
    with pytest.raises(DataError, match="a fault"):
        list(stub.run("auto", stub.stream(300, fault=CHECKED_SENTENCES)))
    assert (stub.auto.chosen, stub.said) == (None, [])


def test_the_option_tells_how_many_are_checked() -> None:
    assert f"the first {CHECKED_SENTENCES} sentences" in WHERE_LABELS_AGREE


def test_a_tagger_checks_itself(stub: Stub, trained: str, make_sentences: Callable[..., list[Sentence]]) -> None:
    model, sentences = load(trained), make_sentences(200, 3)
    exact = list(model.predict(sentences))
    found = list(model.predict(sentences, precision="auto", auto=stub.auto))
    assert [record.sentence for record in found] == sentences
    assert [record.labels for record in found[:CHECKED_SENTENCES]] == [
        record.labels for record in exact[:CHECKED_SENTENCES]
    ]
    total = sum(map(len, sentences[:CHECKED_SENTENCES]))
    assert len(stub.said) == 1
    assert f"{total:,} labels of the first 128 sentences" in stub.said[0]
