"""Documents: sentences are found in them, predictions are put together again, offsets index the document."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from seqkit.errors import DataError
from seqkit.formats.blocks import cut
from seqkit.formats.documents import sentences_of
from seqkit.formats.format import Description
from seqkit.formats.registry import part_sentences, read_sentences, read_texts
from seqkit.formats.splitting import Splitter
from seqkit.formats.writers import write_records
from seqkit.records import Sentence, TaggedSentence, TaggedSpan, TextRecord, whole_documents

SPLIT = Splitter("words").split
TEXT = "Dr. Ada met Bob\nin Oslo. They sang!\nWell.\n\n  Eve 😀 lives in\tParis.\n"


def read(path: Path) -> list[Sentence]:
    return list(read_sentences(path, "document", splitter=SPLIT))


def tagged(sentence: Sentence, labels: Sequence[str]) -> TaggedSentence:
    """A prediction, each word that is labelled a span of its own."""
    spans = [
        TaggedSpan(start, end, label, sentence.text[start:end], index, index + 1)
        for index, ((start, end), label) in enumerate(zip(sentence.offsets, labels, strict=True))
        if label != "O"
    ]
    found = [label if label == "O" else f"B-{label}" for label in labels]
    return TaggedSentence(sentence, found, [0.5] * len(labels), spans, marks_spans=True)


def test_sentences_know_their_place(tmp_path: Path) -> None:
    path = tmp_path / "in.txt"
    path.write_text(TEXT, encoding="utf-8")
    found = read(path)
    assert [(one.text, one.line, one.start) for one in found] == [
        ("Dr. Ada met Bob in Oslo.", 1, 0),
        ("They sang!", 2, 25),
        ("Well.", 3, 36),
        ("Eve 😀 lives in\tParis.", 5, 2),
    ]
    assert found[0].document is found[2].document is not found[3].document
    for one in found:
        assert one.is_aligned() and one.document is not None
        for token, (start, end) in zip(one.tokens, one.offsets, strict=True):
            assert one.document.text[one.start + start : one.start + end] == token
    texts = list(read_texts(path, "document", label=None))
    assert [(one.text, one.line) for one in texts] == [(TEXT[:41], 1), ("  Eve 😀 lives in\tParis.", 5)]


def test_blocks_cut_between_documents(tmp_path: Path) -> None:
    path = tmp_path / "in.txt"
    path.write_text(TEXT * 20, encoding="utf-8")
    for size in (1, 40, 100, 1 << 19):
        parts = [part for block in cut([(str(path), Description("document"))], size) for part in block]
        again = [one for part in parts for one in part_sentences(part, SPLIT)]
        assert [(one.text, one.line, one.start) for one in again] == [
            (one.text, one.line, one.start) for one in read(path)
        ]


def test_predictions_of_documents_are_put_together() -> None:
    drawn = random.Random(3)
    words = ["Ada", "sang", "Dr.", "Oslo", "1.5", "e\u0301té", "😀", "«Oui»", "well", "日本語", "\u05d0\u05d1"]
    records: list[TaggedSentence] = []
    texts = []
    for _ in range(50):
        parts = (drawn.choice(words) + drawn.choice([" ", "\n", ". ", "! ", "? ", "  "]) for _ in range(30))
        texts.append("".join(parts).strip())
        records += [
            tagged(sentence, [drawn.choice(["O", "O", "PER"]) for _ in sentence.tokens])
            for sentence in sentences_of(texts[-1], SPLIT)
        ]
    found = list(whole_documents(records))
    assert [one.sentence.text for one in found] == texts
    assert sum(len(one.labels) for one in found) == sum(len(one.labels) for one in records)
    for one in found:
        sentence, borders = one.sentence, one.sentences
        assert sentence.is_aligned() and borders is not None
        assert [first for first, _ in borders] == [0, *(last for _, last in borders[:-1])]
        assert borders[-1][1] == len(sentence.tokens) == len(one.labels) == len(one.probs or [])
        spans = [(sentence.offsets[index], label[2:]) for index, label in enumerate(one.labels) if label != "O"]
        assert [((span.start, span.end), span.label) for span in one.spans] == spans
        assert all(sentence.text[span.start : span.end] == span.text for span in one.spans)
        assert all(sentence.tokens[span.first_token] == span.text for span in one.spans)


def test_other_predictions_are_passed_on() -> None:
    alone = [tagged(Sentence.from_tokens(["a", "b"]), ["O", "X"]), TextRecordAnswer()]
    first, second = (list(sentences_of(text, SPLIT)) for text in ("A b. C d.", "A b. C d."))
    documents = [tagged(one, ["O"] * len(one.tokens)) for one in (*first, *second)]
    found = list(whole_documents([alone[0], *documents, alone[1]]))
    assert found[0] is alone[0] and found[-1] is alone[1]
    assert [one.sentence.text for one in found[1:-1]] == ["A b. C d."] * 2  # equal texts are still two documents


class TextRecordAnswer:
    """A prediction of another kind."""

    sentence = TextRecord("a")


def test_how_documents_are_written() -> None:
    records = [
        tagged(one, ["PER", *["O"] * (len(one.tokens) - 1)]) for one in sentences_of("Ada\nsang. Eve won.", SPLIT)
    ]

    def written(form: str) -> str:
        stream = io.StringIO()
        assert write_records(whole_documents(records), stream, form) == 1
        return stream.getvalue()

    rows = "Ada\tB-PER\t0.5000\nsang\tO\t0.5000\n.\tO\t0.5000\n\nEve\tB-PER\t0.5000\nwon\tO\t0.5000\n.\tO\t0.5000\n\n"
    assert written("conll") == rows
    assert written("inline") == "[Ada]PER sang. [Eve]PER won.\n"
    found = json.loads(written("jsonl"))
    assert found["text"] == "Ada\nsang. Eve won."
    assert found["sentences"] == [{"start": 0, "end": 9}, {"start": 10, "end": 18}]
    assert found["spans"][1] == {"start": 10, "end": 13, "label": "PER", "text": "Eve"}


def test_alternatives_are_those_of_sentences() -> None:
    record = tagged(next(sentences_of("Ada sang.", SPLIT)), ["O", "O", "O"])
    record.alternatives = [(["O", "O", "O"], 1.0)]
    with pytest.raises(DataError, match=r"^n-best predictions are those of single sentences, not of documents$"):
        list(whole_documents([record]))


def test_a_document_without_a_word_is_still_one() -> None:
    records = [tagged(one, ["O"] * len(one.tokens)) for one in sentences_of("\u00a0", SPLIT)]
    (found,) = whole_documents(records)
    assert (found.sentence.text, found.labels, found.sentences) == ("\u00a0", [], [])
