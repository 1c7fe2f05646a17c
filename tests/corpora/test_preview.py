"""What a task would learn is what training reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from seqkit.corpora.preview import Preview, preview
from seqkit.corpora.resolve import resolve
from seqkit.errors import DataError
from seqkit.tasks import TASKS


def put(folder: Path, name: str, content: str) -> Path:
    (folder / name).write_text(content, encoding="utf-8")
    return folder / name


def learned(path: Path, task: str, target: str | None = None) -> Preview:
    return preview(resolve(path), TASKS[task], target)


def test_tokens_and_their_spans(tmp_path: Path) -> None:
    rows = "Ada\tNNP\tB-PER\nsang\tVBD\tO\n\nBob\tNNP\tB-PER\nLee\tNNP\tI-PER\nin\tIN\tO\nOslo\tNNP\tB-LOC\n\n"
    found = learned(put(tmp_path, "train.conll", rows * 5), "tag")
    assert (found.task, found.target, found.scheme, found.broken) == ("tag", "2", "iob2", 0.0)
    assert found.labels == {"PER": 9, "LOC": 4}  # of the nine sentences that are not held out
    assert found.sizes == {"train": 9, "dev": 1}
    assert found.rows[:3] == [["Ada", "B-PER"], ["sang", "O"], ["", ""]]
    assert found.render().startswith(
        "seqkit tag would learn from '2'; train 9, dev 1\n\ntoken  label\nAda    B-PER\nsang   O\n"
    )
    assert "\nspans (iob2): 2\n  PER  9\n  LOC  4\n" in found.render()
    tags = learned(tmp_path / "train.conll", "tag", "1")
    assert (tags.scheme, tags.labels) == ("none", {"NNP": 17, "VBD": 5, "IN": 4})


def test_labels_that_break_their_scheme(tmp_path: Path) -> None:
    path = put(tmp_path, "train.conll", "Ada B-PER\nsang O\nLee I-PER\n\n" * 10)
    found = learned(path, "tag")
    assert found.broken == pytest.approx(1 / 3)
    assert found.render().endswith("labels that break the scheme: 33.33%\n\n")


def test_long_sentences_and_long_cells_are_cut(tmp_path: Path) -> None:
    rows = "".join(f"{letter * 70} O\n" for letter in "abcdefghijklmnop") + "\n"
    found = learned(put(tmp_path, "train.conll", rows * 2), "tag")
    assert found.rows[0] == ["a" * 59 + "…", "O"]
    assert found.rows[11:14] == [["l" * 59 + "…", "O"], ["…", ""], ["", ""]]


def test_texts_with_labels(tmp_path: Path) -> None:
    found = learned(put(tmp_path, "train.tsv", "pos\tgood film\nneg\tbad film\n" * 10), "classify")
    assert found.header == ["label", "text"]
    assert found.rows == [["pos", "good film"], ["neg", "bad film"], ["pos", "good film"]]
    assert found.labels == {"neg": 9, "pos": 9}
    several = put(tmp_path, "more.jsonl", '{"text": "a b", "topic": ["x", "y"]}\n{"text": "c", "topic": ["x"]}\n' * 5)
    found = learned(several, "classify", "topic")
    assert (found.rows[0], found.labels) == (["x, y", "a b"], {"x": 9, "y": 5})


def test_lines_and_fields(tmp_path: Path) -> None:
    found = learned(put(tmp_path, "train.txt", "Ada sang.\nBob slept.\n" * 6), "lm")
    assert found.rows[0] == ["1", "Ada · sang · ."]
    assert (found.labels, found.sizes) == ({}, {"train": 11, "dev": 1})
    poems = put(tmp_path, "poems.jsonl", '{"title": "Rain", "text": "it rains"}\n' * 10)
    found = learned(poems, "generate")
    assert (found.header, found.rows[0]) == (["title", "text"], ["Rain", "it rains"])


def test_of_two_columns_without_names_the_first_is_translated(tmp_path: Path) -> None:
    (tmp_path / "train.tsv").write_text("the cat sees\tla kato vidas\na dog\tiu hundo\n", encoding="utf-8")
    found = preview(resolve(tmp_path / "train.tsv"), TASKS["translate"])
    assert (found.header, found.rows[0]) == (["source", "target"], ["the cat sees", "la kato vidas"])


def test_what_a_task_cannot_learn_from(tmp_path: Path) -> None:
    path = put(tmp_path, "train.txt", "Ada sang.\nBob slept.\n")
    with pytest.raises(DataError, match=r"^.*train.txt: expected labelled texts .*, found lines without labels$"):
        learned(path, "classify")
    (tmp_path / "a").mkdir()
    put(tmp_path / "a", "dev.txt", "x\n")
    with pytest.raises(DataError, match=r"/a: expected a train file, found dev \(dev.txt\)$"):
        learned(tmp_path / "a", "lm")
