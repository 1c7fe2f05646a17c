"""Annotated spans: what becomes of them, and the formats of the programs that write them."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from seqkit.corpora.check import check
from seqkit.corpora.dataset import Dataset
from seqkit.corpora.resolve import resolve
from seqkit.errors import DataError
from seqkit.formats.blocks import cut
from seqkit.formats.format import ReadOptions, split_at_spaces
from seqkit.formats.registry import FORMATS, describe, detect_format, part_sentences, read_sentences, read_texts
from seqkit.formats.schemes import spans as token_spans
from seqkit.formats.spans import CharacterSpan, Document, Fault, checked_spans, document_sentences, span_labels
from seqkit.formats.splitting import Splitter
from seqkit.records import Sentence

WORDS, SPACES = Splitter("words").split, Splitter("spaces").split
Span = tuple[int, int, str]

# --- spans --------------------------------------------------------------------------------------------------------


def labels(text: str, *spans: tuple[Any, ...], borders: Any = "refuse") -> tuple[str, dict[str, int]]:
    options = ReadOptions(span_borders=borders)
    found = checked_spans(text, [CharacterSpan(*span) for span in spans], options)
    return " ".join(span_labels(text, split_at_spaces(text), found, options)), dict(options.left_out)


OVERLAP = "spans left out because they overlap longer ones"


def test_the_longest_of_overlapping_spans_is_kept() -> None:
    text = "a b c d"
    assert labels(text, (2, 3, "X"), (0, 5, "Y")) == ("B-Y I-Y I-Y O", {OVERLAP: 1})
    assert labels(text, (0, 3, "X"), (2, 5, "Y")) == ("B-X I-X O O", {OVERLAP: 1})
    assert labels(text, (0, 1, "X"), (0, 1, "Y")) == ("B-X O O O", {OVERLAP: 1})
    assert labels(text, (0, 1, "X"), (0, 1, "X"), (2, 3, "X")) == ("B-X B-X O O", {})


def test_spans_chosen_by_a_slow_rule() -> None:
    """The rule once more, by comparing every pair."""
    draw = random.Random(1)
    for _ in range(300):
        count = draw.randrange(1, 9)
        text = " ".join("abcdefgh"[:count])
        spans = []
        for _ in range(draw.randrange(8)):
            first = draw.randrange(count)
            last = draw.randrange(first, count)
            spans.append((2 * first, 2 * last + 1, draw.choice("XY")))
        kept: list[Span] = []
        for span in sorted(dict.fromkeys(spans), key=lambda each: (each[0] - each[1], each[0])):
            if all(span[1] <= other[0] or other[1] <= span[0] for other in kept):
                kept.append(span)
        found, left_out = labels(text, *spans)
        expected = sorted((start // 2, end // 2 + 1, label) for start, end, label in kept)
        assert [tuple(span) for span in token_spans(found.split(), "iob2")] == expected
        assert left_out.get(OVERLAP, 0) == len(set(spans)) - len(kept)


def test_spans_that_end_inside_a_token() -> None:
    text = "one Romeos two"
    with pytest.raises(Fault) as fault:
        labels(text, (4, 9, "X"))
    assert str(fault.value) == (
        "span 4:9 ('Romeo', X) starts or ends inside the token 'Romeos'; --span-borders widen makes such spans end "
        "with the token, --span-borders narrow before it"
    )
    inside = "spans that start or end inside a token, "
    assert labels(text, (4, 9, "X"), borders="widen") == ("O B-X O", {inside + "widened": 1})
    assert labels(text, (1, 9, "X"), borders="widen") == ("B-X I-X O", {inside + "widened": 1})
    assert labels(text, (1, 12, "X"), borders="narrow") == ("O B-X O", {inside + "narrowed": 1})
    none = "spans left out because they cover no whole token"
    assert labels(text, (5, 9, "X"), borders="narrow") == ("O O O", {inside + "narrowed": 1, none: 1})


def test_white_space_at_the_ends_is_removed() -> None:
    removed = "spans with white space at their ends, which was removed"
    assert labels("a b  c", (1, 5, "X")) == ("O B-X O", {removed: 1})
    only = "spans left out because they cover only white space"
    assert labels("a b  c", (3, 5, "X")) == ("O O O", {only: 1})


@pytest.mark.parametrize(
    ("span", "message"),
    [
        ((0, 0, "X"), "span 0:0 (X) is empty or reversed"),
        ((2, 1, "X"), "span 2:1 (X) is empty or reversed"),
        ((0, 4, "X"), "span 0:4 (X) is outside the text of 3 characters"),
        ((-1, 1, "X"), "span -1:1 (X) is outside the text of 3 characters"),
        ((0, 1, "X", "b"), "span 0:1 (X) is 'a' in the text, but 'b' is given"),
    ],
)
def test_spans_that_cannot_be(span: tuple[Any, ...], message: str) -> None:
    with pytest.raises(Fault) as fault:
        labels("a b", span)
    assert str(fault.value) == message


UTF_16 = "texts whose spans count UTF-16 units, not characters"
LINE_BREAKS = "texts whose spans count line breaks of two characters as one, not characters"


def test_offsets_in_other_units() -> None:
    assert labels("\U0001f600 Ann", (3, 6, "X", "Ann")) == ("O B-X", {UTF_16: 1})
    assert labels("\U0001f600 Ann", (3, 6, "X")) == ("O B-X", {UTF_16: 1})
    assert labels("\U0001f600 Ann", (2, 5, "X", "Ann")) == ("O B-X", {})
    assert labels("\U0001f600 Ann", (2, 5, "X")) == ("O B-X", {})
    assert labels("a \r\n Ann", (4, 7, "X", "Ann"))[1] == {LINE_BREAKS: 1}
    with pytest.raises(Fault) as fault:  # inside the pair of units
        labels("\U0001f600 Ann", (1, 6, "X", "Ann"))
    assert str(fault.value) == "span 1:6 (X) is ' Ann' in the text, but 'Ann' is given"


def test_documents_are_cut_at_line_breaks_but_not_inside_a_span() -> None:
    text = "Ann ran.\n\nBo\r\nDee met\rCy."
    spans = [CharacterSpan(0, 3, "P"), CharacterSpan(10, 17, "P"), CharacterSpan(22, 25, "P")]
    found = list(document_sentences(Document(text, spans, {"id": 1}), ReadOptions(SPACES)))
    assert [(begin, one.text, one.columns["ner"]) for begin, one in found] == [
        (0, "Ann ran.", ["B-P", "O"]),
        (10, "Bo\r\nDee met", ["B-P", "I-P", "O"]),
        (22, "Cy.", ["B-P"]),
    ]
    assert all(one.text == text[begin : begin + len(one.text)] for begin, one in found)
    ((begin, empty),) = document_sentences(Document("", [], {}), ReadOptions())
    assert (begin, empty.text, empty.tokens) == (0, "", [])


# --- every format: what is written by a small writer is read back ---------------------------------------------------

PIECES = ("Ann", "é\u0301", "日本", "\U0001f600", "\U0001f469\u200d\U0001f467", "x", "\U00020000b", "met", "7", "ß.")


def random_document(draw: random.Random, breaks: str) -> tuple[str, list[Span]]:
    """A text of tokens with spaces between them and some line breaks, and spans at borders that do not overlap."""
    text, spans = "", []
    place = 0
    tokens: list[tuple[int, int, int]] = []
    for line in range(draw.randrange(1, 4)):
        for _ in range(draw.randrange(5)):
            token = draw.choice(PIECES)
            tokens.append((len(text), len(text) + len(token), line))
            text += token + draw.choice((" ", "  "))
        text += breaks
    while place < len(tokens):
        last = min(len(tokens) - 1, place + draw.randrange(3))
        if draw.random() < 0.5 and tokens[place][2] == tokens[last][2]:
            spans.append((tokens[place][0], tokens[last][1], draw.choice(("PER", "LOC"))))
        place = last + 1
    return text, spans


def units(text: str, offset: int) -> int:
    return len(text[:offset].encode("utf-16-le")) // 2


def as_utf_16(text: str, spans: list[Span]) -> list[Span]:
    return [(units(text, start), units(text, end), label) for start, end, label in spans]


def write_doccano(path: Path, documents: list[tuple[str, list[Span]]]) -> None:
    lines = [json.dumps({"id": n, "text": text, "label": spans}) for n, (text, spans) in enumerate(documents)]
    path.with_suffix(".jsonl").write_text("\n".join(lines), encoding="utf-8")


def write_relations(path: Path, documents: list[tuple[str, list[Span]]]) -> None:
    records = [
        {
            "text": text,
            "entities": [{"id": 1, "label": label, "start_offset": s, "end_offset": e} for s, e, label in spans],
            "relations": [],
        }
        for text, spans in documents
    ]
    path.with_suffix(".jsonl").write_text("\n".join(map(json.dumps, records)), encoding="utf-8")


def write_label_studio(path: Path, documents: list[tuple[str, list[Span]]]) -> None:
    tasks = []
    for text, spans in documents:
        moved = zip(spans, as_utf_16(text, spans), strict=True)
        result = [
            {
                "type": "labels",
                "to_name": "text",
                "from_name": "label",
                "value": {"start": start, "end": end, "labels": [label], "text": text[span[0] : span[1]]},
            }
            for span, (start, end, label) in moved
        ]
        tasks.append({"id": 1, "annotations": [{"result": result, "was_cancelled": False}], "data": {"text": text}})
    path.with_suffix(".json").write_text(json.dumps(tasks, indent=1), encoding="utf-8")


def write_minimal(path: Path, documents: list[tuple[str, list[Span]]]) -> None:
    tasks = []
    for text, spans in documents:
        regions = [{"start": s, "end": e, "text": text[s:e], "labels": [label]} for s, e, label in spans]
        found = {"text": text, "id": 1, "annotator": 1, "annotation_id": 3, "lead_time": 2.5}
        tasks.append(found | ({"label": regions} if regions else {}))
    path.with_suffix(".json").write_text(json.dumps(tasks), encoding="utf-8")


def write_spacy(path: Path, documents: list[tuple[str, list[Span]]]) -> None:
    pairs = [[text, {"entities": spans}] for text, spans in documents]
    path.with_suffix(".json").write_text(json.dumps(pairs), encoding="utf-8")


def write_annotator(path: Path, documents: list[tuple[str, list[Span]]]) -> None:
    pairs = [None, *([text, {"entities": spans}] for text, spans in documents)]
    content = json.dumps({"classes": ["PER"], "annotations": pairs})
    path.with_suffix(".json").write_text(content, encoding="utf-8")


def write_brat(path: Path, documents: list[tuple[str, list[Span]]]) -> None:
    path.mkdir()
    for number, (text, spans) in enumerate(documents):
        (path / f"{number}.txt").write_bytes(text.encode())
        rows = [f"T{n}\t{label} {s} {e}\t{text[s:e]}\n" for n, (s, e, label) in enumerate(spans)]
        (path / f"{number}.ann").write_bytes(("".join(rows) + "#1\tNote T1\tsure\n").encode())


def write_lines(path: Path, documents: list[tuple[str, list[Span]]]) -> None:
    records = [
        {"text": text, "spans": [{"start": s, "end": e, "label": label} for s, e, label in spans]}
        for text, spans in documents
    ]
    path.with_suffix(".jsonl").write_text("\n".join(map(json.dumps, records)), encoding="utf-8")


def write_prodigy(path: Path, documents: list[tuple[str, list[Span]]]) -> None:
    records = []
    for text, spans in documents:
        tokens = [
            {"text": text[s:e], "start": s, "end": e, "id": n, "ws": True}
            for n, (s, e) in enumerate(split_at_spaces(text))
        ]
        given = {"spans": [{"start": s, "end": e, "label": label} for s, e, label in spans]} if spans else {}
        records.append({"text": text, "tokens": tokens, **given, "answer": "accept"})
    path.with_suffix(".jsonl").write_text("\n".join(map(json.dumps, records)), encoding="utf-8")


def write_webanno(path: Path, documents: list[tuple[str, list[Span]]]) -> None:
    lines = ["#FORMAT=WebAnno TSV 3.3", "#T_SP=de.x.ner.type.NamedEntity|identifier|value", "", ""]
    offset = 0
    for number, (text, spans) in enumerate(documents, start=1):
        lines += ["", "#Text=" + text.replace("\\", "\\\\")]
        for n, (s, e) in enumerate(split_at_spaces(text), start=1):
            inside = [(k, each) for k, each in enumerate(spans, start=1) if each[0] <= s and e <= each[1]]
            value = f"{inside[0][1][2]}[{inside[0][0]}]" if inside else "_"
            place = f"{offset + units(text, s)}-{offset + units(text, e)}"
            lines.append(f"{number}-{n}\t{place}\t{text[s:e]}\t{'*' if inside else '_'}\t{value}\t")
        offset += units(text, len(text)) + 1
    path.with_suffix(".tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def spans_of(sentence: Sentence) -> list[tuple[str, str]]:
    found = token_spans(sentence.columns["ner"] if "ner" in sentence.columns else sentence.column(""), "iob2")
    return [
        (sentence.text[sentence.offsets[first][0] : sentence.offsets[last - 1][1]], label)
        for first, last, label in found
    ]


Writer = Callable[[Path, list[tuple[str, list[Span]]]], None]
WRITERS: dict[str, tuple[Writer, str, tuple[str, ...]]] = {
    "doccano": (write_doccano, "doccano", ("\n", "\r\n", "\r")),
    "doccano with relations": (write_relations, "doccano", ("\n", "\r\n")),
    "Label Studio": (write_label_studio, "label_studio", ("\n", "\r\n")),
    "Label Studio, minimal": (write_minimal, "label_studio", ("\n", "\r\n")),
    "spaCy": (write_spacy, "spacy_json", ("\n", "\r\n")),
    "an annotator for spaCy": (write_annotator, "spacy_json", ("\n",)),
    "brat": (write_brat, "brat", ("\n", "\r\n", "\r")),
    "JSON Lines": (write_lines, "jsonl", ("\n", "\r\n", "")),
    "Prodigy": (write_prodigy, "prodigy", ("", " ")),
    "WebAnno": (write_webanno, "webanno", ("",)),
}


@pytest.mark.parametrize("name", WRITERS)
def test_spans_are_read_as_they_were_written(name: str, tmp_path: Path) -> None:
    write, format, breaks = WRITERS[name]
    draw = random.Random(name)
    for number in range(60):
        documents = [random_document(draw, draw.choice(breaks)) for _ in range(draw.randrange(1, 6))]
        documents = [("Ann met x", [(0, 3, "PER")]), *((text, spans) for text, spans in documents if text.split())]
        write(tmp_path / str(number), documents)
        (path,) = tmp_path.glob(f"{number}*")
        dataset = resolve(path)
        assert dataset.splits["all"].first()[1].format == format
        read = dataset.read_sentences(SPACES, ["all"]).records["all"]
        expected = [(text[s:e], label) for text, spans in documents for s, e, label in spans]
        if format == "brat":  # the files are sorted by name, as here
            assert len(documents) < 10
        assert [span for sentence in read for span in spans_of(sentence)] == expected
        tokens = [text[s:e] for text, _ in documents for s, e in SPACES(text)]
        assert [token for sentence in read for token in sentence.tokens] == tokens
        assert all(sentence.is_aligned() for sentence in read)


# --- each format -----------------------------------------------------------------------------------------------------


def put(folder: Path, name: str, content: Any) -> Path:
    path = folder / name
    if isinstance(content, str):
        path.write_text(content, encoding="utf-8")
    else:
        path.write_text("\n".join(map(json.dumps, content)), encoding="utf-8")
    return path


def read_all(path: Path) -> tuple[list[Sentence], list[str]]:
    found = resolve(path).read_sentences(WORDS, ["all"])
    return found.records["all"], [note.replace(str(path), "F") for note in found.notes]


def read_labels(path: Path) -> list[tuple[str, Any]]:
    found = resolve(path).read_texts(WORDS, ["all"])
    return [(record.text, record.fields["label"]) for record in found.records["all"]]


def columns(sentences: list[Sentence]) -> list[str]:
    return [" ".join(sentence.column("")) for sentence in sentences]


def test_texts_with_labels(tmp_path: Path) -> None:
    for name, records in {
        "doccano": [{"id": 1, "text": "a", "label": ["pos"]}, {"id": 2, "text": "b", "label": ["neg"]}],
        "older": [{"id": 1, "text": "a", "labels": ["pos"]}, {"id": 2, "text": "b", "labels": ["neg"]}],
        "cats": [{"text": "a", "cats": {"pos": 1, "neg": 0}}, {"text": "b", "cats": {"pos": 0.1, "neg": 0.9}}],
        "choice": [
            {"text": "a", "accept": ["pos"], "answer": "accept"},
            {"text": "b", "accept": ["neg"], "answer": "accept"},
        ],
    }.items():
        path = put(tmp_path, f"{name}.jsonl", records)
        assert resolve(path).label_field() == "label"
        assert read_labels(path) == [("a", ["pos"]), ("b", ["neg"])]
    tasks = [
        {"annotations": [{"result": [{"type": "choices", "value": {"choices": [label]}}]}], "data": {"review": text}}
        for text, label in (("a", "pos"), ("b", "neg"))
    ]
    path = put(tmp_path, "tasks.json", json.dumps(tasks))
    assert resolve(path).label_field() == "label"
    assert read_labels(path) == [("a", ["pos"]), ("b", ["neg"])]
    pairs = [["a", {"cats": {"pos": 1.0, "neg": 0.0}}], ["b", {"cats": {"pos": 0.0, "neg": 1.0}}]]
    assert read_labels(put(tmp_path, "pairs.json", json.dumps(pairs))) == [("a", ["pos"]), ("b", ["neg"])]


def test_labels_that_are_numbers(tmp_path: Path) -> None:
    records = [{"stars": 5.0, "text": "a"}, {"stars": 1, "text": "b"}, {"stars": True, "text": "c"}]
    path = put(tmp_path, "x.jsonl", records)
    found = list(read_texts(path, label="stars"))
    assert [record.fields["stars"] for record in found] == ["5.0", "1", "true"]


def test_prodigy(tmp_path: Path) -> None:
    def record(text: str, answer: str, **more: Any) -> dict[str, Any]:
        tokens = [{"text": text[s:e], "start": s, "end": e, "id": n} for n, (s, e) in enumerate(split_at_spaces(text))]
        return {"text": text, "tokens": tokens, **more, "answer": answer}

    space = {"text": "\n", "start": 2, "end": 3, "id": 1}
    with_space = record("Al\nran", "accept")
    with_space["tokens"] = [
        {"text": "Al", "start": 0, "end": 2, "id": 0},
        space,
        {"text": "ran", "start": 3, "end": 6, "id": 2},
    ]
    path = put(
        tmp_path,
        "p.jsonl",
        [
            record("It rained", "accept"),
            record(
                "Al met Bo", "accept", spans=[{"start": 7, "end": 9, "token_start": 2, "token_end": 2, "label": "PER"}]
            ),
            record("Bo slept", "reject", spans=[{"start": 3, "end": 8, "label": "PER"}]),
            with_space,
        ],
    )
    sentences, notes = read_all(path)
    assert columns(sentences) == ["O O", "O O B-PER", "O O"]
    assert notes[:2] == ["F: read as prodigy; --format overrides this", "F: left out 1 with answer 'reject'"]
    assert "F: tokens of white space left out: 1" in notes
    assert check(resolve(path)) == []


def test_one_label_column_for_a_whole_file(tmp_path: Path) -> None:
    path = put(
        tmp_path,
        "x.jsonl",
        [
            {"tokens": ["a", "b"], "tags": ["B-X", "O"], "words": ["c", "d"], "offset": [0, 7]},
            {"tokens": ["c"], "tags": ["O"], "words": ["c"], "offset": [8], "other": ["y"]},
        ],
    )
    assert columns(read_all(path)[0]) == ["B-X O", "O"]


def test_label_studio(tmp_path: Path) -> None:
    def region(start: int, end: int, label: str) -> dict[str, Any]:
        return {"type": "labels", "to_name": "t", "value": {"start": start, "end": end, "labels": [label]}}

    tasks = [
        {
            "data": {"t": "Al met Bo", "u": "v"},
            "annotations": [{"was_cancelled": True, "result": []}, {"result": [region(0, 2, "P")]}],
        },
        {"data": {"t": "x", "u": "v"}, "annotations": [{"result": [region(0, 1, "Q")]}, {"result": []}]},
        {"data": {"t": "y", "u": "v"}, "annotations": []},
        {"data": {"t": "z", "u": "v"}, "completions": [{"result": [region(0, 1, "R"), {"type": "relation"}]}]},
    ]
    path = put(tmp_path, "x.json", json.dumps(tasks, indent=2))
    sentences, notes = read_all(path)
    assert columns(sentences) == ["B-P O O", "B-Q", "B-R"]
    assert notes == [
        "F: read as label_studio; --format overrides this",
        "F: annotations left out because they were cancelled: 1",
        "F: tasks of which the first of several annotations was read: 1",
        "F: tasks left out because nobody annotated them: 1",
        "F: annotations of type 'relation' left out: 1",
    ]
    assert sentences[1].line == 2 + json.dumps(tasks[0], indent=2).count("\n") + 1
    assert check(resolve(path)) == []


def test_what_is_to_be_predicted_needs_no_annotations(tmp_path: Path) -> None:
    tasks = [{"data": {"review": "Al ran"}, "annotations": []}, {"data": {"review": "x"}, "annotations": []}]
    path = put(tmp_path, "x.json", json.dumps(tasks))
    assert detect_format(path) == "label_studio"
    read = list(read_sentences(path, allow_unlabelled=True))
    assert [(one.text, one.columns) for one in read] == [("Al ran", {}), ("x", {})]
    assert [one.text for one in read_texts(path, label=None)] == ["Al ran", "x"]
    assert list(read_sentences(path)) == []
    path = put(tmp_path, "x.jsonl", [{"text": "Romeos", "label": [[0, 5, "PER"]]}])
    block = next(cut([(str(path), describe(path)[0])]))
    assert [one.tokens for part in block for one in part_sentences(part, WORDS)] == [["Romeos"]]


def test_columns_of_label_studio(tmp_path: Path) -> None:
    path = put(tmp_path, "x.conll", "-DOCSTART- -X- O\nAnn -X- _ B-PER\nmet -X- _ O\n\nBo -X- _ B-PER\n\n")
    assert columns(read_all(path)[0]) == ["B-PER O", "B-PER"]


def test_brat(tmp_path: Path) -> None:
    text = "Ann met\nBo and Cy Dee.\n"
    rows = "T1\tPER 0 3\tAnn\nT2\tPER 8 10;15 17\tBo Cy\n"
    rows += "R1\tknows Arg1:T1 Arg2:T2\t\n*\tEquiv T1 T2\nE1\tMeet:T3\nA1\tN T1\n"
    path = put(tmp_path, "x.txt", text)
    put(tmp_path, "x.ann", rows)
    put(tmp_path, "annotation.conf", "[entities]\nPER\n")
    sentences, notes = read_all(path)
    assert columns(sentences) == ["B-PER O", "B-PER I-PER I-PER O O"]
    assert [sentence.line for sentence in sentences] == [1, 2]
    assert notes == [
        "F: read as brat; --format overrides this",
        "F: spans in several parts, read from the first to the last character: 1",
    ]
    assert columns(read_all(tmp_path)[0]) == columns(sentences)
    put(tmp_path, "x.ann", "T1 PER 0 3 Ann\n")
    with pytest.raises(DataError) as fault:
        read_all(path)
    expected = "expected an entity like T1<tab>PER 0 3<tab>Ann, found 'T1 PER 0 3 Ann'"
    assert str(fault.value) == f"{tmp_path / 'x.ann'}:1: {expected}"
    assert f"{tmp_path / 'x.ann'}:1: {expected}" in [str(problem) for problem in check(resolve(path))]


def test_faults_of_brat_name_the_annotation(tmp_path: Path) -> None:
    path = put(tmp_path, "x.txt", "Ann met.\nRomeos ran.\n")
    for row, message in {
        "T2\tPER 9 14\tRomeo": (
            "span 9:14 ('Romeo', PER) starts or ends inside the token 'Romeos'; --span-borders widen makes such spans "
            "end with the token, --span-borders narrow before it"
        ),
        "T2\tPER 9 14\tJulia": "span 9:14 (PER) is 'Romeo' in the text, but 'Julia' is given",
        "T2\tPER 9 44": "span 9:44 (PER) is outside the text of 21 characters",
    }.items():
        put(tmp_path, "x.ann", f"T1\tPER 0 3\tAnn\n{row}\n")
        with pytest.raises(DataError) as fault:
            read_all(path)
        assert str(fault.value) == f"{tmp_path / 'x.ann'}:2: {message}"
        assert str(fault.value) in [str(problem) for problem in check(resolve(path))]
    (tmp_path / "x.ann").unlink()
    with pytest.raises(DataError) as fault:
        list(read_sentences(path, "brat"))
    assert str(fault.value) == f"{path}: expected annotations of brat's in x.ann, found no such file"
    assert [str(problem) for problem in check(resolve(path))] == []


WEBANNO = r"""#FORMAT=WebAnno TSV 3.3
#T_SP=de.tudarmstadt.ukp.dkpro.core.api.lexmorph.type.pos.POS|PosValue|coarseValue
#T_SP=de.tudarmstadt.ukp.dkpro.core.api.ner.type.NamedEntity|identifier|value
#T_RL=de.tudarmstadt.ukp.dkpro.core.api.syntax.type.dependency.Dependency|DependencyType|BT_x.POS
#T_SP=webanno.custom.Quote|


#Text=Ann-Bo met \U0001f600 *a|b.
1-1	0-6	Ann-Bo	NE	NOUN	_	_	_	_	*[3]
1-1.1	4-6	Bo	_	_	*	PER	_	_	_
1-2	7-10	met	V	VERB	*[1]|*[2]	LOC[1]|ORG\_X[2]	_	_	*[3]
1-3	11-13	\U0001f600	_	_	*[2]	ORG\_X[2]	_	_	_
1-4	14-18	\*a\|b	N	NOUN	_	_	_	_	_
1-5	18-19	.	_	_	_	_	_	_	_
"""


def test_webanno(tmp_path: Path) -> None:
    content = re.sub(r"(?m)^(1-.*)$", r"\1\t", WEBANNO.replace(r"\U0001f600", "\U0001f600"))
    path = put(tmp_path, "x.tsv", content)
    assert detect_format(path) == "webanno"
    with pytest.raises(DataError) as fault:
        list(read_sentences(path))
    assert str(fault.value) == (
        f"{path}:9: span 4:6 ('Bo', NamedEntity) starts or ends inside the token 'Ann-Bo'; --span-borders widen makes "
        "such spans end with the token, --span-borders narrow before it"
    )
    options = ReadOptions(span_borders="widen")
    from seqkit.formats.text import read_lines

    read = FORMATS["webanno"].sentences
    assert read is not None
    (sentence,) = read(read_lines(path), "f", options)
    assert sentence.text == "Ann-Bo met \U0001f600 *a|b."
    assert sentence.tokens == ["Ann-Bo", "met", "\U0001f600", "*a|b", "."]
    assert {name: " ".join(column) for name, column in sentence.columns.items()} == {
        "PosValue": "NE V _ N _",
        "coarseValue": "NOUN VERB _ NOUN _",
        "identifier": "B-NamedEntity B-NamedEntity I-NamedEntity O O",
        "Quote": "B-Quote I-Quote O O O",
        "value": "B-PER B-ORG_X I-ORG_X O O",
    }
    assert list(sentence.columns)[-1] == "value"
    assert options.left_out["layers of relations or chains left out (Dependency)"] == 1
    assert options.left_out[OVERLAP] == 2  # one of each feature
    put(tmp_path, "x.tsv", content.replace("1-5\t18-19", "1-5\t18"))
    with pytest.raises(
        DataError, match=r":14: expected a row of numbers, offsets, a token and 7 features, separated by"
    ):
        list(read_sentences(path))


def test_arrays(tmp_path: Path) -> None:
    records = [{"text": "good", "label": "pos"}, {"text": "bad", "label": "neg"}]
    for content in (
        json.dumps(records),
        json.dumps(records, indent=1),
        json.dumps({"version": 1, "names": ["a"], "data": records}),
        json.dumps({"version": 1, "data": records}, indent=2),
    ):
        path = put(tmp_path, "x.json", content)
        assert detect_format(path) == "json"
        assert read_labels(path) == [("good", "pos"), ("bad", "neg")]
        assert check(resolve(path)) == []
    assert detect_format(put(tmp_path, "y.json", records)) == "jsonl"
    for content, message in {
        '[\n {"text": "a",\n  "tokens": ["b"]}\n]': (
            '2: the tokens do not follow one another in "text" with only white space between them'
        ),
        '[\n {"text": "a"},\n {"text": \n b}]': "3: invalid JSON at character 2 of line 4",
        '[{"text": "a"}': "1: invalid JSON at character 15",
        '[{"text": "a"}\n 7]': "2: invalid JSON at character 2",
        '[{"text": "a"},\n 7]': "2: expected a JSON object, found 7",
        '{\n "a": [{"text": "a"}], "b": [{"text": "a"}]}': (
            "1: expected an array, or an object with one array of records in it, found keys: a, b"
        ),
    }.items():
        path = put(tmp_path, "x.json", content)
        with pytest.raises(DataError) as fault:
            list(read_sentences(path, splitter=WORDS))
        assert str(fault.value) == f"{path}:{message}"
        assert str(fault.value) in [str(problem) for problem in check(resolve(path))]


@pytest.mark.parametrize(
    "content",
    [
        "[ O\nAnn B-PER\n\nBo B-PER\n",
        "[\n{\nx\n",
        "[laughter] it is\n",
        "{ O\n} O\n\n",
        '{"text": "a", "lab\n{"text": "b"}\n',
        "{ O\n",
        '{"text": "a"}\n{"text": "b"}\n',
    ],
)
def test_what_is_no_array(content: str, tmp_path: Path) -> None:
    assert detect_format(put(tmp_path, "x.data", content)) in ("conll", "text", "jsonl")


def test_spacy_documents(tmp_path: Path) -> None:
    spacy = pytest.importorskip("spacy")
    from spacy.tokens import Doc, DocBin, Span as SpacySpan  # noqa: I001

    nlp = spacy.blank("en")
    document = Doc(nlp.vocab, ["Ann", "met", "\n", "Bo", "."], [True, False, False, False, False])
    document.ents = [SpacySpan(document, 0, 1, "PER"), SpacySpan(document, 3, 4, "PER")]
    document[3].is_sent_start = True
    for token, kind in zip(document, ("PROPN", "VERB", "SPACE", "PROPN", "PUNCT"), strict=True):
        token.pos_ = kind
    document.cats = {"pos": 1.0, "neg": 0.0}
    path = tmp_path / "x.spacy"
    path.write_bytes(DocBin(attrs=["ENT_IOB", "ENT_TYPE", "POS", "SENT_START"], docs=[document]).to_bytes())
    sentences, notes = read_all(path)
    assert notes == []
    assert [(one.text, one.columns) for one in sentences] == [
        ("Ann met", {"upos": ["PROPN", "VERB"], "ner": ["B-PER", "O"]}),
        ("Bo.", {"upos": ["PROPN", "PUNCT"], "ner": ["B-PER", "O"]}),
    ]
    assert read_labels(path) == [("Ann met\nBo.", ["pos"])]
    assert resolve(path).label_field() is None
    assert check(resolve(path)) == []
    path.write_bytes(b"x" * 100)
    with pytest.raises(DataError, match=r"x\.spacy: expected documents of spaCy's, found something else: "):
        read_all(path)


def test_spacy_is_an_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "spacy", None)
    path = tmp_path / "x.spacy"
    path.write_bytes(b"\x78\x9c\x00\xff")
    with pytest.raises(DataError) as fault:
        list(read_sentences(path))
    assert (
        str(fault.value)
        == f"{path}: files of spaCy's documents need the package spacy: pip install 'seqkit-nlp[spacy]'"
    )


def test_every_format_says_where_it_is_defined() -> None:
    assert [name for name, each in FORMATS.items() if "https://" not in each.source] == []


def test_a_data_set_of_documents(tmp_path: Path) -> None:
    for split in ("train", "dev"):
        (tmp_path / split).mkdir()
        put(tmp_path / split, "1.txt", "Ann met.\n")
        put(tmp_path / split, "1.ann", "T1\tPER 0 3\tAnn\n")
    found: Dataset = resolve(tmp_path)
    assert columns(found.sentences("dev", WORDS)) == ["B-PER O O"]
