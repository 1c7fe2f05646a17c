from __future__ import annotations

import io
import json

import pytest

from seqkit.errors import DataError
from seqkit.formats.writers import write_records
from seqkit.records import ClassifiedText, ScoredText, Sentence


def record(
    text: str = "a\tb", labels: tuple[str, ...] = ("y",), multi: bool = False, top: int | None = None
) -> ClassifiedText:
    sentence = Sentence([], text, [], file="f", line=3)
    return ClassifiedText(sentence, list(labels), {"y": 0.75, "x": 0.2000004, "z": 0.05}, multi, top)


def written(found: ClassifiedText | ScoredText, output_format: str) -> str:
    stream = io.StringIO()
    assert write_records([found], stream, output_format) == 1
    return stream.getvalue()


@pytest.mark.parametrize(
    ("found", "line"),
    [
        (record(), "y\t0.7500\ta\tb\n"),
        (record(top=2), "y|x\t0.7500|0.2000\ta\tb\n"),
        (record(top=9), "y|x|z\t0.7500|0.2000|0.0500\ta\tb\n"),
        (record(labels=("y", "x"), multi=True), "y|x\t0.7500|0.2000\ta\tb\n"),
        (record(labels=(), multi=True), "\t\ta\tb\n"),
        (record("\ud800"), "y\t0.7500\t\ufffd\n"),
    ],
)
def test_tsv(found: ClassifiedText, line: str) -> None:
    assert written(found, "tsv") == line


def test_tsv_of_a_line_with_its_probability() -> None:
    assert written(ScoredText("a\tb\ud800", -1.5, 3), "tsv") == "-1.5000\t3\t1.6487\ta\tb\ufffd\n"
    with pytest.raises(DataError, match=r"^the text or a label contains a line break; use --output-format jsonl$"):
        written(ScoredText("a\nb", -1.5, 3), "tsv")


def test_jsonl() -> None:
    one = json.loads(written(record("a\nb"), "jsonl"))
    assert one == {"text": "a\nb", "label": "y", "probs": {"y": 0.75, "x": 0.2, "z": 0.05}}
    several = json.loads(written(record(labels=("y", "x"), multi=True, top=1), "jsonl"))
    assert several == {"text": "a\tb", "label": ["y", "x"], "probs": {"y": 0.75}}
    assert json.loads(written(record(labels=(), multi=True), "jsonl"))["label"] == []


def test_what_a_line_cannot_hold() -> None:
    for text in ("a\nb", "a\rb"):
        with pytest.raises(DataError) as caught:
            written(record(text), "tsv")
        assert str(caught.value) == "f:3: the text or a label contains a line break; use --output-format jsonl"
    with pytest.raises(
        DataError,
        match=r"^unknown output format 'xml'; choose from conll, jsonl, inline, tsv, textgrid, audacity, text$",
    ):
        written(record(), "xml")
