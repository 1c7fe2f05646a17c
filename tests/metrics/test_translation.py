"""Scores of translations: by sacrebleu's own functions, and where they would mislead."""

from __future__ import annotations

import math

import pytest

from seqkit.metrics.translation import TranslationReport, corpus_bleu, translation_scores

pytest.importorskip("sacrebleu")
pytest.importorskip("jiwer")


def test_bleu_of_units_is_sacrebleus_where_texts_are_long_enough() -> None:
    from sacrebleu.metrics import BLEU

    gold = [[["a", "b", "c", "d", "e"], ["a", "b", "c", "d"]], [["f", "g", "h", "i", "j", "k"]]]
    found = [["a", "b", "c", "d", "f"], ["f", "g", "i", "h", "j", "k"]]
    streams = [["a b c d e", "f g h i j k"], ["a b c d", "f g h i j k"]]
    expected = BLEU(tokenize="none").corpus_score(["a b c d f", "f g i h j k"], streams).score
    assert corpus_bleu(gold, found) == pytest.approx(expected)
    assert 0 < expected < 100


def test_bleu_of_short_texts_is_not_zero_where_they_are_right() -> None:
    gold = [[["a"]], [["b", "c"]], [["d", "e"]]]
    assert corpus_bleu(gold, [["a"], ["b", "c"], ["d", "e"]]) == pytest.approx(100)
    assert corpus_bleu(gold, [["a"], ["b", "c"], ["x"]]) < corpus_bleu(gold, [["a"], ["b", "c"], ["d"]]) < 100
    assert corpus_bleu([[[]]], [[]]) == 0.0
    assert corpus_bleu([], []) == 0.0


def test_bleu_of_units_counts_spaces() -> None:
    right, written = list("the old dog sees me"), list("theolddogseesme")
    assert corpus_bleu([[right]], [right]) == pytest.approx(100)
    assert corpus_bleu([[right]], [written]) < 60
    assert corpus_bleu([[["a b", "c"]]], [["a", "b", "c"]]) < 100


def test_scores_and_error_rates_by_hand() -> None:
    scores, signatures, errors = translation_scores([["a b c d"], ["e f g h"]], ["a b c d", "e f g"])
    assert scores["bleu"] == pytest.approx(100 * math.exp(1 - 8 / 7))  # all n-grams are right, and 7 words for 8
    assert scores["ter"] == pytest.approx(100 / 8)
    assert errors == {"wer": 1 / 8, "cer": 2 / 14}
    assert signatures["bleu"].startswith("nrefs:1|case:mixed|eff:no|tok:none")
    assert translation_scores([], []) == ({}, {}, {})


def test_bleu_of_texts_of_fewer_than_four_words_is_told_to_mean_little() -> None:
    lines = TranslationReport(2, 8, -1.0, 0, 2, 100.0, {"bleu": 0.0}, short=True).render().splitlines()
    assert "BLEU of units  100.00" in lines
    assert "BLEU counts runs of four words, and most right texts are shorter; that of units takes shorter runs" in lines
    assert TranslationReport(2, 8, -1.0, 0, 2, 100.0, sourceless=3).to_json()["sourceless"] == 3


def test_the_report_in_words() -> None:
    report = TranslationReport(2, 8, -8 * math.log(2), 1, 1, 50.0, {"bleu": 12.345}, {"bleu": "x"}, {"wer": 0.25})
    assert (report.perplexity, report.exact_match) == (pytest.approx(2.0), 0.5)
    assert report.render() == "\n".join(
        [
            "perplexity       2.00",
            "loss             0.6931 nats per unit",
            "BLEU             12.35",
            "word error rate  25.00 %",
            "exact match      50.00 %",
            "",
            "2 texts, 8 units with their ends; 1 is unknown to the model",
            "BLEU x",
        ]
    )
