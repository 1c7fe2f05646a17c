from __future__ import annotations

import itertools
import json
import random
import re
import subprocess
import sys
import time
import warnings
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from seqkit.formats.schemes import invalid_moves, is_label, spans
from seqkit.metrics.tagging import Score, TaggingReport, _cleaned, tagging_report

PREFIXES = {"iob1": "BI", "iob2": "BI", "bioes": "BIES"}
Sequences = list[list[str]]


def pairs_of_sequences(scheme: str) -> st.SearchStrategy[list[list[tuple[str, str]]]]:
    labels = ["O"] + [f"{prefix}-{kind}" for prefix in PREFIXES[scheme] for kind in ("X", "Y-Z")]
    agreeing = st.sampled_from(labels).map(lambda label: (label, label))
    pair = st.one_of(agreeing, agreeing, st.tuples(st.sampled_from(labels), st.sampled_from(labels)))
    return st.lists(st.lists(pair, max_size=7), min_size=1, max_size=5)


def parted(pairs: list[list[tuple[str, str]]]) -> tuple[Sequences, Sequences]:
    return [[a for a, _ in sentence] for sentence in pairs], [[b for _, b in sentence] for sentence in pairs]


@pytest.mark.parametrize("scheme", list(PREFIXES))
@settings(max_examples=120, deadline=None)
@given(data=st.data())
def test_equals_seqeval(scheme: str, data: st.DataObject) -> None:
    from seqeval.metrics import v1
    from seqeval.metrics.sequence_labeling import accuracy_score, precision_recall_fscore_support
    from seqeval.scheme import IOB1, IOB2, IOBES

    rules = {"iob1": IOB1, "iob2": IOB2, "bioes": IOBES}[scheme]
    gold, predicted = parted(data.draw(pairs_of_sequences(scheme)))
    report = tagging_report(gold, predicted, scheme)
    assert report.default is not None
    assert report.strict is not None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        default = precision_recall_fscore_support(gold, predicted, average="micro")
        strict = v1.precision_recall_fscore_support(gold, predicted, average="micro", scheme=rules)
        macro = precision_recall_fscore_support(gold, predicted, average="macro")
        per_label = precision_recall_fscore_support(gold, predicted, average=None)
    assert (report.default.precision, report.default.recall, report.default.f1) == pytest.approx(default[:3])
    assert (report.strict.precision, report.strict.recall, report.strict.f1) == pytest.approx(strict[:3])
    if report.per_label:
        assert (report.macro.precision, report.macro.recall, report.macro.f1) == pytest.approx(macro[:3])
    rows = [(score.precision, score.recall, score.f1, score.support) for score in report.per_label.values()]
    assert [number for row in rows for number in row] == pytest.approx(
        [float(column[row]) for row in range(len(per_label[0])) for column in per_label]
    )
    if any(gold):
        assert report.accuracy == pytest.approx(accuracy_score(gold, predicted))


def spans_by_hand(labels: list[str]) -> set[tuple[int, int, str]]:
    """The CoNLL rules for IOB2, in a few plain lines."""
    spans, start, kind = set(), 0, ""
    for index, label in enumerate([*labels, "O"]):
        goes_on = label[:2] == "I-" and label[2:] == kind
        if kind and not goes_on:
            spans.add((start, index, kind))
            kind = ""
        if label != "O" and not goes_on:
            start, kind = index, label[2:]
    return spans


@settings(max_examples=100, deadline=None)
@given(pairs_of_sequences("iob2"))
@example([[("I-X", "B-X"), ("I-X", "I-X"), ("I-Y-Z", "I-X")]])
def test_equals_the_rules_by_hand(pairs: list[list[tuple[str, str]]]) -> None:
    gold, predicted = parted(pairs)
    right = [spans_by_hand(labels) for labels in gold]
    found = [spans_by_hand(labels) for labels in predicted]
    correct = sum(len(a & b) for a, b in zip(right, found, strict=True))
    expected = Score.of_counts(correct, sum(map(len, found)), sum(map(len, right)))
    assert tagging_report(gold, predicted, "iob2").default == expected


def test_a_score_by_hand() -> None:
    assert Score.of_counts(correct=2, predicted=4, gold=5) == Score(0.5, 0.4, pytest.approx(4 / 9), 5)
    assert Score.of_counts(0, 0, 3) == Score(0.0, 0.0, 0.0, 3)
    assert Score.of_counts(0, 3, 0) == Score(0.0, 0.0, 0.0, 0)
    assert Score.of_counts(0, 3, 3) == Score(0.0, 0.0, 0.0, 3)


def test_default_and_strict_differ_where_a_sequence_breaks_its_scheme() -> None:
    gold = [["B-X", "I-X", "O"], ["B-Y", "O"]]
    predicted = [["I-X", "I-X", "O"], ["B-Y", "O"]]
    report = tagging_report(gold, predicted, "iob2")
    assert report.default == Score(1.0, 1.0, 1.0, 2)
    assert report.strict == Score(1.0, 0.5, pytest.approx(2 / 3), 2)
    assert report.score == 1.0
    assert report.accuracy == pytest.approx(4 / 5)


@pytest.mark.parametrize("scheme", list(PREFIXES))
def test_spans_end_with_their_sentence(scheme: str) -> None:
    tail = "E-X" if scheme == "bioes" else "I-X"
    head = "I-X" if scheme == "iob1" else "B-X"
    report = tagging_report([[head, tail], [head, tail]], [[head, tail], ["O", "O"]], scheme)
    assert report.default == report.strict == Score(1.0, 0.5, pytest.approx(2 / 3), 2)


@pytest.mark.parametrize("label", ["", "_", "OTHER", "X", "BX", "-", "E-X", "S-X", "U-X", "B", "B-", "I-"])
def test_labels_outside_the_scheme_count_as_errors_and_never_crash(label: str) -> None:
    report = tagging_report([["B-X", "O"], [label, "O"]], [["B-X", "O"], ["O", label]], "iob2")
    assert report.accuracy == 0.5
    assert report.default is not None
    assert report.per_label["X"].recall > 0.0


ODD_LABELS = ["O", "", "-", "X", "BX", "O-X", "U-X"]
ODD_LABELS += [prefix + rest for prefix in "BIES" for rest in ("", "-", "--", "-X", "-Y-Z", "X")]


def marks_span(label: str, scheme: str) -> bool:
    """A prefix alone has the empty kind; after a hyphen there must be a kind."""
    return label != "" and label[0] in PREFIXES[scheme] and label[1:2] in ("-", "") and label[1:] != "-"


def may_follow(before: str, after: str, scheme: str) -> bool:
    same = before[2:] == after[2:]
    if scheme == "iob1":  # B- only separates two adjacent spans of one label
        return after[0] != "B" or (before[0] != "O" and same)
    if scheme == "iob2":
        return after[0] != "I" or (before[0] in "BI" and same)
    is_open = before[0] in "BI"
    return (after[0] in "IE") == is_open and (same or not is_open)


@pytest.mark.parametrize("scheme", list(PREFIXES))
def test_the_same_labels_and_moves_are_legal_as_in_the_data(scheme: str) -> None:
    for label in ODD_LABELS:
        cleaned = [label if marks_span(label, scheme) else "O"]
        assert _cleaned([label], scheme) == cleaned == [label if is_label(label, scheme) else "O"], label
    for labels in itertools.product(ODD_LABELS, repeat=2):
        cleaned = _cleaned(labels, scheme)
        moves = itertools.pairwise(["O", *cleaned, "O"])
        legal = cleaned == list(labels) and all(may_follow(before, after, scheme) for before, after in moves)
        assert legal == (not invalid_moves(labels, scheme)), labels


@given(st.lists(st.sampled_from(ODD_LABELS), max_size=6), st.sampled_from(list(PREFIXES)))
def test_the_same_spans_are_read_as_in_the_data(labels: list[str], scheme: str) -> None:
    kinds = [span.label or "_" for span in spans(labels, scheme)]  # seqeval calls the empty kind so
    report = tagging_report([labels], [labels], scheme)
    assert {kind: score.support for kind, score in report.per_label.items()} == Counter(kinds)


def test_without_spans_the_score_is_zero() -> None:
    report = tagging_report([["O", "O"]], [["O", "O"]], "iob2")
    assert (report.accuracy, report.score, report.per_label) == (1.0, 0.0, {})
    assert report.default == report.strict == Score(0.0, 0.0, 0.0, 0)
    assert report.macro == Score(0.0, 0.0, 0.0, 0)
    assert "accuracy 1.0000 of 2 tokens in 1 sentence" in report.render()


@pytest.mark.parametrize("scheme", ["none", "iob1", "iob2", "bioes"])
@pytest.mark.parametrize("sentences", [[], [[]], [[], []]])
def test_nothing_to_score(scheme: str, sentences: Sequences) -> None:
    report = tagging_report(sentences, sentences, scheme)
    assert (report.tokens, report.sentences, report.accuracy, report.score) == (0, len(sentences), 0.0, 0.0)
    assert report.render().endswith("sentences") or scheme != "none" or len(sentences) == 1
    json.dumps(report.to_json())


def test_labels_of_tokens() -> None:
    report = tagging_report([["N", "V"], ["N"]], [["N", "N"], ["A"]])
    assert report.accuracy == report.score == pytest.approx(1 / 3)
    assert (report.default, report.strict) == (None, None)
    assert report.per_label == {
        "A": Score(0.0, 0.0, 0.0, 0),
        "N": Score(0.5, 0.5, 0.5, 2),
        "V": Score(0.0, 0.0, 0.0, 1),
    }


@given(st.lists(st.lists(st.tuples(st.sampled_from("ABC"), st.sampled_from("ABC")), max_size=6), max_size=4))
@settings(max_examples=60, deadline=None)
def test_labels_of_tokens_by_counting(pairs: list[list[tuple[str, str]]]) -> None:
    gold, predicted = parted(pairs)
    flat = [pair for sentence in pairs for pair in sentence]
    report = tagging_report(gold, predicted, "none")
    expected = {
        label: Score.of_counts(
            flat.count((label, label)), [b for _, b in flat].count(label), [a for a, _ in flat].count(label)
        )
        for label in sorted({label for pair in flat for label in pair})
    }
    assert list(report.per_label) == list(expected)
    for label, score in expected.items():
        found = report.per_label[label]
        assert (found.precision, found.recall, found.f1) == pytest.approx((score.precision, score.recall, score.f1))
        assert found.support == score.support


def test_json_has_the_documented_keys() -> None:
    gold, predicted = [["B-X", "O", "B-Y"]], [["B-X", "I-Y", "O"]]
    report = tagging_report(gold, predicted, "iob2").to_json()
    assert json.loads(json.dumps(report)) == {
        "scheme": "iob2",
        "sentences": 1,
        "tokens": 3,
        "accuracy": pytest.approx(1 / 3),
        "mode": "default",
        "precision": 0.5,
        "recall": 0.5,
        "f1": 0.5,
        "strict": {"precision": 1.0, "recall": 0.5, "f1": pytest.approx(2 / 3)},
        "per_label": {
            "X": {"precision": 1.0, "recall": 1.0, "f1": 1.0, "support": 1},
            "Y": {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 1},
        },
    }
    assert tagging_report([["N"]], [["N"]]).to_json() == {
        "scheme": "none",
        "sentences": 1,
        "tokens": 1,
        "accuracy": 1.0,
        "per_label": {"N": {"precision": 1.0, "recall": 1.0, "f1": 1.0, "support": 1}},
    }


def test_the_table() -> None:
    report = tagging_report([["B-X", "O", "B-Y"]], [["B-X", "I-Y", "O"]], "iob2")
    assert report.render() == "\n".join(
        [
            "           precision    recall        f1   support",
            "",
            "X             1.0000    1.0000    1.0000         1",
            "Y             0.0000    0.0000    0.0000         1",
            "",
            "micro avg     0.5000    0.5000    0.5000         2",
            "macro avg     0.5000    0.5000    0.5000         2",
            "strict        1.0000    0.5000    0.6667         2",
            "",
            "accuracy 0.3333 of 3 tokens in 1 sentence, spans by the CoNLL rules, labels in",
            "IOB2",
        ]
    )


def test_strict_is_shown_only_where_it_differs() -> None:
    same = [["B-X", "I-X"]]
    assert "strict" not in tagging_report(same, same, "iob2").render()
    assert "micro" not in tagging_report(same, same, "none").render()


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_table_fits(width: int) -> None:
    label = "a_label_of_quite_some_length_" * 4
    lines = tagging_report([[label]], [[label]]).render(width).split("\n")
    assert max(map(len, lines)) <= width
    assert any("…" in line for line in lines)


@pytest.mark.parametrize(
    ("gold", "predicted", "scheme", "message"),
    [
        ([["O"]], [], "iob2", "expected labels for 1 sentence, found 0"),
        ([["O"], ["O", "O"]], [["O"], ["O"]], "iob2", "sentence 1: expected 2 labels, found 1"),
        ([["O"]], [["O"]], "bilou", "unknown scheme 'bilou'; known: none, iob1, iob2, bioes"),
    ],
)
def test_what_does_not_fit_is_refused(gold: Sequences, predicted: Sequences, scheme: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        tagging_report(gold, predicted, scheme)


@pytest.mark.parametrize("scheme", ["none", "iob2"])
def test_fifty_thousand_tokens_take_no_time(scheme: str) -> None:
    source = random.Random(0)
    labels = ["O", "O", "O", "B-X", "I-X", "B-Y", "I-Y"]
    gold = [[source.choice(labels) for _ in range(25)] for _ in range(2000)]
    predicted = [[label if source.random() < 0.9 else "O" for label in sentence] for sentence in gold]
    tagging_report(gold[:1], predicted[:1], scheme)  # load the libraries
    begin = time.perf_counter()
    tagging_report(gold, predicted, scheme)
    assert time.perf_counter() - begin < 3.0


def test_the_libraries_are_loaded_when_first_used() -> None:
    code = (
        "import sys, seqkit.metrics.tagging, seqkit.metrics.plots;"
        "assert not {'seqeval', 'sklearn', 'matplotlib', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])


def test_a_report_is_a_value() -> None:
    same = [["B-X", "I-X"]]
    report = tagging_report(same, same, "iob2")
    assert isinstance(report, TaggingReport)
    assert report == tagging_report(same, same, "iob2")
