from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqkit.metrics.classification import Baseline, classification_report

LABELS = ["x", "y", "zebra"]


@given(st.lists(st.tuples(st.sampled_from(LABELS), st.sampled_from(LABELS)), min_size=1, max_size=12))
def test_one_label_a_text_equals_scikit_learn(pairs: list[tuple[str, str]]) -> None:
    from sklearn.metrics import accuracy_score, precision_recall_fscore_support

    gold, predicted = [a for a, _ in pairs], [b for _, b in pairs]
    report = classification_report([[a] for a in gold], [[b] for b in predicted])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        columns = precision_recall_fscore_support(gold, predicted)
        macro = precision_recall_fscore_support(gold, predicted, average="macro")
    assert report.score == report.accuracy == pytest.approx(accuracy_score(gold, predicted))
    assert (report.macro.precision, report.macro.recall, report.macro.f1) == pytest.approx(macro[:3])
    rows = [(score.precision, score.recall, score.f1, score.support) for score in report.per_label.values()]
    assert np.array(rows) == pytest.approx(np.array(columns).T)
    assert report.micro is None


@given(st.lists(st.tuples(st.sets(st.sampled_from(LABELS)), st.sets(st.sampled_from(LABELS))), min_size=1, max_size=9))
def test_several_labels_a_text_equal_scikit_learn(pairs: list[tuple[set[str], set[str]]]) -> None:
    from sklearn.metrics import accuracy_score, f1_score

    gold, predicted = ([[int(label in pair[side]) for label in LABELS] for pair in pairs] for side in (0, 1))
    report = classification_report([sorted(a) for a, _ in pairs], [sorted(b) for _, b in pairs], multi=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert report.accuracy == pytest.approx(accuracy_score(gold, predicted))
        assert report.score == pytest.approx(f1_score(gold, predicted, average="micro"))


def test_a_label_never_seen_is_missed() -> None:
    report = classification_report([["x"], ["new"]], [["x"], ["x"]])
    assert report.accuracy == 0.5
    assert report.per_label["new"].support == 1 and report.per_label["new"].f1 == 0.0


def test_json_has_the_contract_s_keys() -> None:
    report = classification_report([["x"], ["y"]], [["x"], ["x"]], tokens=9, baseline=Baseline("b", 0.5, 0.25))
    found = json.loads(json.dumps(report.to_json()))
    assert list(found) == ["sentences", "tokens", "accuracy", "macro_f1", "per_label", "baseline"]
    assert (found["sentences"], found["tokens"], found["accuracy"]) == (2, 9, 0.5)
    assert found["baseline"] == {"name": "b", "accuracy": 0.5, "macro_f1": 0.25}
    assert found["per_label"]["x"] == {"precision": 0.5, "recall": 1.0, "f1": pytest.approx(2 / 3), "support": 1}
    several = classification_report([["x", "y"]], [["x"]], multi=True).to_json()
    assert several["micro_f1"] == pytest.approx(2 / 3) and several["accuracy"] == 0.0


def test_the_table_shows_model_and_baseline_together() -> None:
    report = classification_report([["x"], ["y"]], [["x"], ["x"]], baseline=Baseline("bag of words", 0.75, 0.7))
    assert report.render(60).splitlines() == [
        "           precision    recall        f1   support",
        "",
        "x             0.5000    1.0000    0.6667         1",
        "y             0.0000    0.0000    0.0000         1",
        "",
        "macro avg     0.2500    0.5000    0.3333         2",
        "",
        "               accuracy  macro f1",
        "",
        "this model       0.5000    0.3333",
        "bag of words     0.7500    0.7000",
        "",
        "accuracy 0.5000 of 2 texts",
    ]
    several = classification_report([["x" * 80]], [["x" * 80]], multi=True).render(60)
    assert "…" in several and max(map(len, several.splitlines())) <= 60
    assert "micro avg" in several and several.endswith("accuracy 1.0000 of 1 text with every label right")


def test_another_number_of_texts() -> None:
    with pytest.raises(ValueError, match=r"^expected labels for 1 text, found 2$"):
        classification_report([["x"]], [["x"], ["y"]])
