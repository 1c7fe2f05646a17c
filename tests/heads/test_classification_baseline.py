from __future__ import annotations

from seqkit.heads.classification.baseline import NAME, TfidfBaseline
from seqkit.heads.classification.labels import ClassCodec

TRAIN = [f"a film that is {word} {mark}".split() for word in ("good", "fine", "bad", "dull") for mark in "!.?"]
LABELS = [["pos"]] * 6 + [["neg"]] * 6


def test_it_learns_words() -> None:
    codec = ClassCodec.build(LABELS)
    baseline = TfidfBaseline(codec, TRAIN, codec.encode(LABELS), TRAIN[::3], LABELS[::3])
    assert baseline.predict([["so", "GOOD"], ["a", "dull", "one"]]) == [["pos"], ["neg"]]
    score = baseline.score([["good"], ["bad"], ["x"]], [["pos"], ["neg"], ["never seen"]])
    assert (score.name, score.accuracy) == (NAME, 2 / 3)
    assert baseline.predict([]) == []


def test_it_learns_the_order_of_two_words() -> None:
    texts = [["not", "good", "but", "bad"], ["not", "bad", "but", "good"]] * 4
    labels = [["neg"], ["pos"]] * 4
    codec = ClassCodec.build(labels)
    assert TfidfBaseline(codec, texts, codec.encode(labels), texts, labels).predict(texts) == labels


def test_it_learns_several_labels() -> None:
    texts = [["war"], ["love"], ["war", "love"], ["tea"]] * 5
    labels = [["war"], ["love"], ["love", "war"], []] * 5
    codec = ClassCodec.build(labels, multi=True)
    baseline = TfidfBaseline(codec, texts, codec.encode(labels), texts, labels)
    assert [sorted(row) for row in baseline.predict(texts[:4])] == [["war"], ["love"], ["love", "war"], []]


def test_a_label_that_every_text_has() -> None:
    texts, labels = [["war"], ["love"], ["tea"]] * 2, [["x"]] * 6
    codec = ClassCodec.build(labels, multi=True)
    assert TfidfBaseline(codec, texts, codec.encode(labels), texts, labels).predict([["war"]]) == [["x"]]
