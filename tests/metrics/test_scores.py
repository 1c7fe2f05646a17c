"""Tables of text, and scores of labels."""

from __future__ import annotations

import numpy as np
import pytest

from seqkit.metrics.classification import classification_report
from seqkit.metrics.scores import MOST_LABELS, text_table
from seqkit.metrics.tagging import tagging_report

ROWS = [["cell", "kind", "score"], ["lstm", "a", "0.5"], ["rnn_tanh", "", "10.25"]]


def test_text_is_aligned_to_the_left_and_numbers_to_the_right() -> None:
    assert text_table(ROWS, 2).split("\n") == [
        "cell      kind  score",
        "lstm      a       0.5",
        "rnn_tanh        10.25",
    ]
    assert text_table([["a", "b"], ["", ""]]) == "a  b\n"


def test_an_empty_row_is_an_empty_line() -> None:
    assert text_table([["a", "bc"], [], ["d", "e"]]) == "a  bc\n\nd   e"


def test_a_wide_table_is_cut_in_its_first_column() -> None:
    names = ["n" * 40, "short"]
    table = text_table([["", "score"], *([name, "1.0"] for name in names)], width=30)
    assert table.split("\n") == [" " * 25 + "score", "n" * 22 + "…    1.0", "short" + " " * 22 + "1.0"]
    assert text_table(ROWS, width=30) == text_table(ROWS)
    narrow = text_table([["", "score"], [names[0], "1.0"]], width=1)
    assert narrow.split("\n")[1] == "n" * 8 + "…    1.0"


@pytest.mark.parametrize("labels", [MOST_LABELS, MOST_LABELS + 1, 20_000])
def test_scores_of_many_labels_are_exact_and_few_are_kept(labels: int) -> None:
    draw = np.random.default_rng(labels)
    gold, found = draw.integers(0, labels, 30_000), draw.integers(0, labels, 30_000)
    found = np.where(draw.random(30_000) < 0.6, gold, found)
    support, guessed = (np.bincount(numbers, minlength=labels) for numbers in (gold, found))
    right = np.bincount(gold[gold == found], minlength=labels)
    occurs = support + guessed > 0
    f1 = 2 * right[occurs] / (support + guessed)[occurs]
    rows = [[[f"L{number}"] for number in numbers.tolist()] for numbers in (gold, found)]
    for report in (tagging_report(*rows), classification_report(*rows)):
        kept = report.to_json()
        assert report.accuracy == (gold == found).mean()
        assert report.macro.f1 == pytest.approx(f1.mean())
        ranked = sorted(np.flatnonzero(occurs), key=lambda number: (-support[number], f"L{number}"))[:MOST_LABELS]
        assert list(kept["per_label"]) == sorted(f"L{number}" for number in ranked)
        assert all(kept["per_label"][f"L{number}"]["support"] == support[number] for number in ranked)
        assert ("left_out" in kept) == (occurs.sum() > MOST_LABELS)
        assert len(report.render().splitlines()) < 120
