"""Evaluation from Python: whatever `train` takes, and what cannot be evaluated is told in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from four_tasks import WORDS, classifier, generator, language_model, ngram_model, tagger, texts

import seqkit
from seqkit.config import override
from seqkit.corpora.from_python import from_items
from seqkit.errors import DataError, ModelError, SeqkitError, SettingsError
from seqkit.heads.classification.settings import ClassifySettings
from seqkit.heads.tagging.settings import TagSettings
from seqkit.records import Sentence, TextRecord

PAIRS = [(WORDS[:5], ["B-X", "O", "B-Y", "I-Y", "O"]), (WORDS[5:8], ["O", "O", "B-X"])]
LABELLED = [(" ".join(WORDS[:4]), "a"), (WORDS[4:9], "b")]
FIELDS = [{"kind": "a", "title": "new", "text": WORDS[0]}, {"kind": "b", "title": "old", "text": WORDS[1]}]
LINES = [line for line in texts(9, seed=4) if line]


def jsonl(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


TAGGED = "".join("".join(f"{token} {label}\n" for token, label in zip(*pair, strict=True)) + "\n" for pair in PAIRS)
CASES: dict[str, tuple[Any, list[Any], str, str]] = {
    "tag": (tagger, PAIRS, "test.conll", TAGGED),
    "classify": (
        classifier,
        [(text if isinstance(text, str) else " ".join(text), label) for text, label in LABELLED],
        "test.jsonl",
        jsonl(
            [{"text": text if isinstance(text, str) else " ".join(text), "label": label} for text, label in LABELLED]
        ),
    ),
    "generate": (generator, FIELDS, "test.jsonl", jsonl(FIELDS)),
    "lm": (language_model, LINES, "test.txt", "".join(f"{line}\n" for line in LINES)),
    "ngram": (ngram_model, LINES, "test.txt", "".join(f"{line}\n" for line in LINES)),
}


@pytest.mark.parametrize("name", CASES)
def test_a_pipeline_that_is_given_is_the_one_that_predicts(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make, items, _, _ = CASES[name]
    model = make()
    expected, pipeline = model.evaluate(items).report, model.pipeline()

    def another(**settings: Any) -> Any:
        raise AssertionError("another pipeline was made")

    if name not in ("lm", "ngram"):  # which score a text as a stream
        monkeypatch.setattr(model, "pipeline", another)
    assert model.evaluate(items, pipeline=pipeline).report == expected


@pytest.mark.parametrize("name", CASES)
def test_a_pipeline_has_only_what_can_be(name: str) -> None:
    model = CASES[name][0]()
    for setting, value in (("batch_tokens", 0), ("ahead", True), ("ahead", "8")):
        with pytest.raises(SettingsError) as caught:
            model.pipeline(**{setting: value})
        assert str(caught.value) == f"{setting} must be a whole number of at least 1, found {value!r}"
    with pytest.raises(SettingsError, match="fp8"):
        model.pipeline(precision="fp8")


@pytest.mark.parametrize("name", CASES)
def test_objects_files_folders_and_data_sets_have_the_same_scores(name: str, tmp_path: Path) -> None:
    make, items, file, content = CASES[name]
    model = make()
    (tmp_path / file).write_text(content, encoding="utf-8")
    (tmp_path / file.replace("test", "train")).write_text(content * 3, encoding="utf-8")
    expected = model.evaluate(items).report
    assert expected.sentences == len(items)
    dataset = from_items(model.task.records, items * 3, test=items)
    for data in (iter(items), str(tmp_path / file), tmp_path, dataset):
        assert model.evaluate(data).report == expected
    assert model.evaluate(tmp_path, "train").report.sentences > model.evaluate(tmp_path, "dev").report.sentences


@pytest.mark.parametrize("name", CASES)
def test_what_cannot_be_evaluated_is_told(name: str, tmp_path: Path) -> None:
    model = CASES[name][0]()
    for data, fault in ((tmp_path / "none", "no such file or folder"), ([3], "expected a "), ("nosuch", "no data set")):
        with pytest.raises(DataError, match=fault):
            model.evaluate(data)
    records = [Sentence.from_tokens(["a", "b"], {"label": ["O"]}), TextRecord("a", {"label": None})]
    for odd in records:  # their columns are not checked
        with pytest.raises(DataError, match=r"test:1: expected a "):
            model.evaluate([odd])
    with pytest.raises(DataError, match=r"no sentences found|no texts found|no text found"):
        model.evaluate(None)
    with pytest.raises(SettingsError, match="options: nosuch: unknown name"):
        model.evaluate(CASES[name][1], nosuch=1)
    with pytest.raises(SeqkitError, match="no dev split in "):
        model.evaluate(CASES[name][1], "dev")


def test_the_baseline_of_a_language_model_that_is_tested_on_its_training_text(tmp_path: Path) -> None:
    tiny = {"task": "lm", "encoder": {"hidden": 4}, "training": {"epochs": 1, "batch_size": 2}}
    model = seqkit.train(tiny, tmp_path / "lm", LINES, dev=LINES, device="cpu")
    assert model.evaluate(LINES).report.baseline.name == "5-gram Kneser-Ney"
    for checksums in (None, 5, [1]):
        model.report["checksums"] = checksums
        model.save(tmp_path / "odd")
        with pytest.raises(ModelError, match="expected data, and scores of each split"):
            seqkit.load(tmp_path / "odd")


def test_labels_that_the_model_does_not_know_are_noted() -> None:
    found = classifier().evaluate([("one", "a"), ("two", "news")])
    assert found.notes == ["1 labels of the data are unknown to the model and count as errors: news"]
    assert found.gold == [["a"], ["news"]]


def test_items_fit_settings_that_name_the_labels_otherwise(tmp_path: Path) -> None:
    tiny: dict[str, Any] = {"encoder": {"hidden": 4}, "training": {"epochs": 1}}
    named = override(TagSettings(), {**tiny, "data": {"target": "ner"}})
    model = seqkit.train(named, tmp_path / "tag", PAIRS * 3, device="cpu")
    assert model.evaluate(PAIRS).report.sentences == 2
    topics = override(ClassifySettings(), {**tiny, "data": {"label": "topic"}})
    model = seqkit.train(topics, tmp_path / "classify", LABELLED * 3, device="cpu")
    assert model.evaluate(LABELLED).report.sentences == 2
    assert tagger().evaluate(PAIRS, target="pos").report.sentences == 2
    assert model.evaluate(LABELLED, label="other").gold == [["a"], ["b"]]
