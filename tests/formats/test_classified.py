from __future__ import annotations

import io
import json

import pytest

from seqkit.errors import DataError
from seqkit.formats.writers import write_classified
from seqkit.records import ClassifiedText, Sentence


def record(text: str = "a\tb", labels: tuple[str, ...] = ("y",), multi: bool = False) -> ClassifiedText:
    sentence = Sentence([], text, [], file="f", line=3)
    return ClassifiedText(sentence, list(labels), {"y": 0.75, "x": 0.2000004, "z": 0.05}, multi)


def written(found: ClassifiedText, output_format: str, top: int | None = None) -> str:
    stream = io.StringIO()
    assert write_classified([found], stream, output_format, top) == 1
    return stream.getvalue()


@pytest.mark.parametrize(
    ("found", "top", "line"),
    [
        (record(), None, "y\t0.7500\ta\tb\n"),
        (record(), 2, "y|x\t0.7500|0.2000\ta\tb\n"),
        (record(), 9, "y|x|z\t0.7500|0.2000|0.0500\ta\tb\n"),
        (record(labels=("y", "x"), multi=True), None, "y|x\t0.7500|0.2000\ta\tb\n"),
        (record(labels=(), multi=True), None, "\t\ta\tb\n"),
        (record("\ud800"), None, "y\t0.7500\t\ufffd\n"),
    ],
)
def test_tsv(found: ClassifiedText, top: int | None, line: str) -> None:
    assert written(found, "tsv", top) == line


def test_jsonl() -> None:
    one = json.loads(written(record("a\nb"), "jsonl"))
    assert one == {"text": "a\nb", "label": "y", "probs": {"y": 0.75, "x": 0.2, "z": 0.05}}
    several = json.loads(written(record(labels=("y", "x"), multi=True), "jsonl", 1))
    assert several == {"text": "a\tb", "label": ["y", "x"], "probs": {"y": 0.75}}
    assert json.loads(written(record(labels=(), multi=True), "jsonl"))["label"] == []


def test_what_a_line_cannot_hold() -> None:
    for text in ("a\nb", "a\rb"):
        with pytest.raises(DataError) as caught:
            written(record(text), "tsv")
        assert str(caught.value) == (
            "f:3: expected texts without line breaks, found one with them; --output-format jsonl can hold it"
        )
    with pytest.raises(DataError, match=r"^expected an output format among tsv, jsonl, found 'xml'$"):
        written(record(), "xml")
