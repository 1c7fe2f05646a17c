"""spaCy's training data: pairs of a text and its annotations as JSON, and files of documents (``.spacy``)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib import import_module
from typing import Any, TypeVar

from seqkit.errors import DataError, shown
from seqkit.formats.format import Format, ReadOptions, Sample
from seqkit.formats.json_text import sample_objects
from seqkit.formats.objects import Convention, objects_format
from seqkit.formats.spans import SPANS, CharacterSpan, Fault, span_labels
from seqkit.formats.text import Line, Lines
from seqkit.records import Sentence, TextRecord

_R = TypeVar("_R")

_SOURCE = "https://spacy.io/api/data-formats"
_ANNOTATIONS = frozenset({"entities", "cats", "spans", "tags", "heads", "deps", "links", "words", "spaces", "morphs"})


def _is_pair(value: Any) -> bool:
    return (
        isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], dict | list)
    )


def _plain(value: Any, options: ReadOptions) -> dict[str, Any] | None:
    if value is None:  # common annotators leave one in the place of a text that was skipped
        options.left_out["empty places left out"] += 1
        return None
    if not _is_pair(value):
        raise Fault(f'expected ["text", {{"entities": [[start, end, label], …]}}], found {shown(value)}')
    text, annotations = value
    known = annotations if isinstance(annotations, dict) else {"entities": annotations}
    return {"text": text, "spans": known.get("entities") or []} | ({"cats": known["cats"]} if "cats" in known else {})


def _recognise(sample: Sample) -> bool:
    found = [each for each in sample_objects(sample) if each is not None]
    return bool(found) and all(
        _is_pair(each) and isinstance(each[1], dict) and bool(_ANNOTATIONS & each[1].keys()) for each in found
    )


SPACY_JSON = objects_format(
    "spacy_json",
    "texts with annotations as spaCy is trained on",
    _SOURCE,
    Convention(_plain, documents=True),
    _recognise,
)


# --- files of documents -------------------------------------------------------------------------------------------


def _documents(lines: Iterable[Line], name: str) -> Iterator[Any]:
    if not isinstance(lines, Lines):
        raise DataError("expected the bytes of a file of spaCy's, found lines", file=name)
    content = lines.whole()
    if not content:
        return
    try:
        spacy, tokens = import_module("spacy"), import_module("spacy.tokens")
    except ModuleNotFoundError:
        message = "files of spaCy's documents need the package spacy: pip install 'seqkit-nlp[spacy]'"
        raise DataError(message, file=name) from None
    yield from tokens.DocBin().from_bytes(content).get_docs(spacy.blank("xx").vocab)


def _guarded(records: Iterator[_R], name: str) -> Iterator[_R]:
    """Records made by spaCy, which raises whatever it may for bytes that are none of its own, some of it late."""
    try:
        yield from records
    except DataError:
        raise
    except Exception as error:
        raise DataError(
            f"expected documents of spaCy's, found something else: {shown(str(error))}", file=name
        ) from None


def _read_documents(lines: Iterable[Line], name: str, options: ReadOptions) -> Iterator[Sentence]:
    """The sentences of the documents; a document without any is one. The tokens are spaCy's."""

    def sentences() -> Iterator[Sentence]:
        for number, document in enumerate(_documents(lines, name), start=1):
            marked = document.has_annotation("SENT_START")
            for part in document.sents if marked else [document[:]]:
                try:
                    yield from _sentences(part, document, name, options)
                except Fault as fault:
                    raise DataError(f"document {number}: {fault}", file=name) from None

    return _guarded(sentences(), name)


def _sentences(part: Any, document: Any, name: str, options: ReadOptions) -> Iterator[Sentence]:
    kept = [token for token in part if not token.text.isspace()]
    if not kept:
        return
    begin = kept[0].idx
    text = document.text[begin : kept[-1].idx + len(kept[-1].text)]
    offsets = [(token.idx - begin, token.idx - begin + len(token.text)) for token in kept]
    columns = {
        column: [getattr(token, key) or "_" for token in kept]
        for column, key, known in (("upos", "pos_", "POS"), ("xpos", "tag_", "TAG"))
        if document.has_annotation(known)
    }
    entities = [
        CharacterSpan(max(entity.start_char - begin, 0), min(entity.end_char - begin, len(text)), entity.label_)
        for entity in document.ents
        if entity.start < part.end and entity.end > part.start
    ]
    columns[SPANS] = span_labels(text, offsets, entities, options)
    fields = {"cats": dict(document.cats)} if document.cats else {}
    sentence = Sentence([token.text for token in kept], text, offsets, columns, file=name, fields=fields)
    if not sentence.is_aligned():
        raise Fault("the tokens are not where the document says they are")
    yield sentence


def _read_texts(lines: Iterable[Line], name: str, options: ReadOptions) -> Iterator[Sentence | TextRecord]:
    def texts() -> Iterator[Sentence | TextRecord]:
        for document in _documents(lines, name):
            labels = [label for label, value in document.cats.items() if value >= 0.5]
            yield options.record(document.text, {"text": document.text, options.label or "label": labels}, name, 0)

    return _guarded(texts(), name)


SPACY = Format(
    "spacy",
    "documents of spaCy's",
    _SOURCE,
    suffixes=(".spacy",),
    sentences=_read_documents,
    texts=_read_texts,
    has_label=lambda lines, label: _has_labels(lines),
    last_end=lambda data, first: 0,
    whole=lambda lines: True,
    binary=True,
)


def _has_labels(lines: Iterable[Line]) -> bool:
    try:
        document = next(_guarded(_documents(lines, ""), ""), None)
        return document is not None and bool(document.cats) and not document.ents
    except DataError:
        return False
