"""JSON objects → records: how each program says text, tokens, spans and labels, and the reader that all share.

A `Convention` rewrites what one program writes in the form of `seqkit.formats.jsonl`; which one a file follows is
decided once, when its format is recognised. The objects are lines or the elements of one array.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from seqkit.errors import DataError, shown
from seqkit.formats.columns import TOKEN_COLUMNS
from seqkit.formats.format import NAME_PAIR, Format, ReadOptions, Sample, split_at_spaces
from seqkit.formats.json_text import Container, container_head, last_object_end, objects, sample_objects
from seqkit.formats.manifest import has_frames
from seqkit.formats.spans import SPANS, CharacterSpan, Document, Fault, checked_spans, document_sentences, span_labels
from seqkit.formats.tables import names_of_columns, which_is_which
from seqkit.formats.text import Line
from seqkit.records import Sentence, SplitFunction, TextPair, TextRecord, align

_NOT_COLUMNS = frozenset({"tokens", "text", "spans", "nbest"})
_NOT_KEYS_OF_LABELS = frozenset({"text", "start", "end", "id", "ws", "disabled"})
"""keys of token objects that say where a token is, or, in Prodigy's, what it is"""
_START_KEYS, _END_KEYS, _LABEL_KEYS = (
    ("start", "start_offset"),
    ("end", "end_offset"),
    ("label", "labels", "type", "tag", "entity_group"),
)
_USUAL_SPAN = {"start", "end", "label"}
_TEXT_LABEL_KEYS = ("labels", "accept", "cats")
"""where the labels of a text may be that has no field of the default name, the first counts"""
_TOKEN_FIELDS = TOKEN_COLUMNS | {"sentence", "sent", "text_tokens", "tokenized", "tokenized_text"}
"""keys that lists of tokens often have"""
_LEAST_PROBABLE = 0.5
"""the value from which a category of ``cats`` is a label of the text"""


@dataclass(frozen=True, slots=True)
class Convention:
    """How the objects of one program are read.

    Args:
        plain: rewrites an object as one with ``text``, ``tokens``, ``spans`` and fields; None leaves it out. Raises
            `Fault` for what is no object of this program.
        documents: whether texts are documents, which are cut into sentences.
    """

    plain: Callable[[Any, ReadOptions], dict[str, Any] | None]
    documents: bool = False


def plain_object(value: Any, options: ReadOptions) -> dict[str, Any]:
    """An object that needs no rewriting; see `Convention.plain`."""
    if not isinstance(value, dict):
        raise Fault(f"expected a JSON object, found {shown(value)}")
    return value


# --- records ------------------------------------------------------------------------------------------------------


def read_objects(
    convention: Convention, container: Container, lines: Iterable[Line], name: str, options: ReadOptions
) -> Iterator[Sentence]:
    """Read objects as sentences whose tokens have labels.

    Args:
        convention: how the objects are to be read.
        container: what the objects are in.
        lines: the lines.
        name: the file's name, for messages.
        options: what splits a text into tokens; by default at spaces.

    Yields:
        The sentences; several of an object whose text is a document.

    Raises:
        DataError: an object is faulty.
    """
    for number, record in _rewritten(convention, container, lines, name, options):
        if not convention.documents or record.get("tokens") is not None or not isinstance(record.get("text"), str):
            yield object_sentence(record, options, name, number)
            continue
        try:
            for sentence in _document(record, options):
                sentence.file, sentence.line = name, number
                yield sentence
        except Fault as fault:
            raise DataError(str(fault), file=name, line=number) from None


def read_object_texts(
    convention: Convention, container: Container, lines: Iterable[Line], name: str, options: ReadOptions
) -> Iterator[Sentence | TextRecord]:
    """Read objects as texts with fields; see `read_objects`.

    Args:
        convention: how the objects are to be read.
        container: what the objects are in.
        lines: the lines.
        name: the file's name, for messages.
        options: the keys of the text and of the label, and what splits a text that comes without tokens.

    Yields:
        The texts, one per object.

    Raises:
        DataError: an object is faulty.
    """
    options = replace(options, allow_unlabelled=options.label is None)
    for number, record in _rewritten(convention, container, lines, name, options):
        yield object_text(record, options, name, number)


def _rewritten(
    convention: Convention, container: Container, lines: Iterable[Line], name: str, options: ReadOptions
) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects that a convention does not leave out, and the line of each."""
    in_lines = options.head is not None and list(options.head) == ["lines"]  # which a part of a file may not show
    for number, value in objects(lines, name, "lines" if in_lines else container):
        try:
            record = convention.plain(value, options)
        except Fault as fault:
            raise DataError(str(fault), file=name, line=number) from None
        if record is not None:
            yield number, record


def object_sentence(found: dict[str, Any], options: ReadOptions, file: str = "", line: int = 0) -> Sentence:
    """Make a sentence of an object.

    Args:
        found: the object.
        options: as for `read_objects`.
        file: where it is from, for messages.
        line: its number there, from 1.

    Returns:
        The sentence.

    Raises:
        DataError: it is not of this form.
    """
    try:
        sentence = _sentence(found, options)
    except Fault as fault:
        raise DataError(str(fault), file=file, line=line) from None
    sentence.file, sentence.line = file, line
    return sentence


def object_text(found: dict[str, Any], options: ReadOptions, file: str = "", line: int = 0) -> Sentence | TextRecord:
    """Make a text with fields of an object.

    Args:
        found: the object, whose label becomes a string or a list of strings.
        options: as for `read_object_texts`; without a label it needs none.
        file: where it is from, for messages.
        line: its number there, from 1.

    Returns:
        The text.

    Raises:
        DataError: it is not of this form.
    """
    try:
        text = _text(found, options)
    except Fault as fault:
        raise DataError(str(fault), file=file, line=line) from None
    text.file, text.line = file, line
    return text


def labels_whole_text(record: dict[str, Any], label: str) -> bool:
    """Whether an object has a label for its whole text, and not one for each token.

    Args:
        record: the object.
        label: the key of the label.

    Returns:
        True if it has one.
    """
    value, tokens = record.get(_label_key(record, label)), record.get("tokens")
    one_per_token = isinstance(value, list) and isinstance(tokens, list) and len(value) == len(tokens)
    return value is not None and not one_per_token


def first_has_label(convention: Convention, container: Container, lines: Iterable[Line], label: str) -> bool:
    """Whether the first object has a label for its whole text, and so, presumably, all have.

    Args:
        convention: how the objects are to be read.
        container: what the objects are in.
        lines: the lines.
        label: the key of the label.

    Returns:
        Whether it has; not one whose spans are annotated.
    """
    try:
        _, record = next(_rewritten(convention, container, lines, "", ReadOptions()), (0, {}))
    except DataError:
        return False
    annotated = convention.plain is not plain_object and record.get("spans")
    return labels_whole_text(record, label) and not annotated


def _document(record: dict[str, Any], options: ReadOptions) -> Iterator[Sentence]:
    """The sentences of an object whose text is a document."""
    text = record["text"]
    spans = checked_spans(text, _spans(record.get("spans") or []), options)
    fields = {key: value for key, value in record.items() if key not in ("text", "spans")}
    for _, sentence in document_sentences(Document(text, spans, fields), options):
        if "spans" not in record:  # nobody has looked for any
            del sentence.columns[SPANS]
        yield sentence


def _sentence(record: dict[str, Any], options: ReadOptions) -> Sentence:
    record = _with_tokens(record, options.token_column)
    sentence = _tokens(record, options.split or split_at_spaces, "text")
    _add_columns(sentence, record)
    given = record.get("spans")
    if given is None and "entities" in record and "entities" not in sentence.columns and _are_spans(record["entities"]):
        given = record["entities"]
    if given is not None:
        trim = record.get("tokens") is None
        spans = checked_spans(sentence.text, _spans(given), options, trim=trim)
        sentence.columns[SPANS] = span_labels(sentence.text, sentence.offsets, spans, options)
    known = (_NOT_COLUMNS - {"spans"}) | set(sentence.columns)
    sentence.fields = {key: value for key, value in record.items() if key not in known}
    return sentence


def _text(record: dict[str, Any], options: ReadOptions) -> Sentence | TextRecord:
    record = _with_tokens(record, options.token_column)
    label = options.label
    likely = "" if label is None or options.second else _likely_fields(record, options.text, label)
    if options.second:
        sentence = _pair(record, options)
    else:
        sentence = _tokens(record, options.split or (lambda text: []), options.text, likely)
    sentence.fields = record
    if label is not None:
        key = _label_key(record, label)
        if key not in record:
            raise Fault(f"no field {label!r}; fields: {', '.join(map(repr, record))}{likely}")
        if key != label:
            options.left_out[f"texts whose labels were read from {key!r}"] += 1
        record[label] = label_string(_chosen(record[key]) if key == "cats" else record[key], key)
    return TextRecord(sentence.text, record) if options.split is None and not options.second else sentence


def _pair(record: dict[str, Any], options: ReadOptions) -> Sentence:
    """Two texts, each a string or a list of tokens."""
    names = (options.text, options.second)
    if any(name not in record for name in names):
        found = ", ".join(map(repr, record)) or "no keys"
        raise Fault(f'expected texts in "{names[0]}" and "{names[1]}", found {found}; {NAME_PAIR}')
    first, second = (
        _from_strings(record[name], None)
        if isinstance(record[name], list)
        else _tokens({name: record[name]}, options.split or split_at_spaces, name)
        for name in names
    )
    return TextPair.of(first, second, names)


def _label_key(record: dict[str, Any], label: str) -> str:
    """The key of the labels of a text: the one named or, in the absence of the default one, another usual one."""
    if label in record or label != "label":
        return label
    return next((key for key in _TEXT_LABEL_KEYS if key in record), label)


def _likely_fields(record: dict[str, Any], text: str, label: str) -> str:
    """What a message about a missing field says of the flags that name the fields of an object."""
    if text in record and _label_key(record, label) in record:
        return ""
    texts = [key for key, value in record.items() if isinstance(value, str) and key != label]
    if text not in record and label in record and len(texts) == 2:
        return f"; if these are pairs of texts, --text {texts[0]} --text {texts[1]} says so"
    likely = names_of_columns([key for key, value in record.items() if not isinstance(value, list | dict)])
    if likely is None:
        return ""
    return f"; {which_is_which(text if text in record else likely[0], label if label in record else likely[1])}"


def _likely_tokens(record: dict[str, Any]) -> str:
    """What a message about missing tokens says of the flag that names their field."""
    words = [key for key, value in record.items() if isinstance(value, list) and value and isinstance(value[0], str)]
    tokens = next((key for key in words if key.casefold() in _TOKEN_FIELDS), None)
    return f"; --token-column {tokens} if {tokens!r} has the tokens" if tokens else ""


def _chosen(cats: Any) -> list[str]:
    """The categories of a text, which are given with their probabilities."""
    if not isinstance(cats, dict) or not all(isinstance(value, int | float) for value in cats.values()):
        raise Fault(f'expected categories with numbers in "cats", found {shown(cats)}')
    return [name for name, value in cats.items() if value >= _LEAST_PROBABLE]


def label_string(value: Any, name: str) -> str | list[str]:
    """A label, or several, as the strings that JSON has for them; a `ValueError` of anything else."""
    values = value if isinstance(value, list) else [value]
    for each in values:
        if not isinstance(each, str | int | float) or each != each:  # NaN, which pandas writes for a missing one
            raise Fault(f'expected a string or a list of strings in "{name}", found {shown(value)}')
    labels = [each.strip(" \t") if isinstance(each, str) else json.dumps(each) for each in values]
    return labels if isinstance(value, list) else labels[0]


def _with_tokens(record: dict[str, Any], column: str) -> dict[str, Any]:
    """The object with its tokens under ``"tokens"``; a column that is a position is one of other formats."""
    if column in ("", "tokens") or column.lstrip("-").isdigit():
        return record
    if column not in record:
        raise Fault(f"no token column {column!r}; fields: {', '.join(map(repr, record))}")
    return {**{key: value for key, value in record.items() if key != column}, "tokens": record[column]}


def _tokens(record: dict[str, Any], split: SplitFunction, name: str, hint: str = "") -> Sentence:
    """The text under a key and its tokens, nothing else; `hint` says what to do if there is neither."""
    text, given = record.get(name), record.get("tokens")
    if text is not None and not isinstance(text, str):
        raise Fault(f'expected a string in "{name}", found {shown(text)}')
    if given is None:
        if text is None:
            if name in record:
                raise Fault(f'expected a text in "{name}", found none')
            found = ", ".join(map(repr, record)) or "no keys"
            raise Fault(f'expected "tokens" or "{name}", found {found}{_likely_tokens(record) or hint}')
        return TextRecord(text).cut(split)
    if not isinstance(given, list):
        raise Fault(f'expected a list in "tokens", found {shown(given)}')
    if given and all(isinstance(token, dict) for token in given):
        return _from_objects(given, text)
    return _from_strings(given, text)


def _from_strings(given: list[Any], text: str | None) -> Sentence:
    for token in given:
        if not isinstance(token, str) or not token:
            raise Fault(f'expected non-empty strings in "tokens", found {shown(token)}')
    if text is None:
        return Sentence.from_tokens(given)
    offsets = align(given, text)
    if offsets is None:
        raise Fault('the tokens do not follow one another in "text" with only white space between them')
    return Sentence(given, text, offsets)


def _from_objects(given: list[dict[str, Any]], text: str | None) -> Sentence:
    placed = text is not None and all("start" in token and "end" in token for token in given)
    sentence = _from_strings([token.get("text") for token in given], None if placed else text)
    if text is not None and placed:
        sentence.text, sentence.offsets = text, _places(given, text)
    for key in given[0]:
        column = [token.get(key) for token in given]
        if key not in _NOT_KEYS_OF_LABELS and all(map(_is_label, column)):
            sentence.columns[key] = list(map(str, column))
    return sentence


def _places(given: list[dict[str, Any]], text: str) -> list[tuple[int, int]]:
    offsets: list[tuple[int, int]] = []
    for token in given:
        start, end = token["start"], token["end"]
        whole = type(start) is int and type(end) is int and 0 <= start < end <= len(text)
        if not whole or text[start:end] != token["text"]:
            raise Fault(f'token {token["text"]!r} is not at {start}:{end} in "text"')
        if offsets and start < offsets[-1][1]:
            raise Fault(f"token {token['text']!r} overlaps or precedes the token before it")
        offsets.append((start, end))
    return offsets


def _add_columns(sentence: Sentence, record: dict[str, Any]) -> None:
    for key, value in record.items():
        if key in _NOT_COLUMNS or not isinstance(value, list):
            continue
        if len(value) == len(sentence.tokens) and all(map(_is_label, value)):
            sentence.columns[key] = list(map(str, value))
        elif key in ("labels", "tags"):
            found = f"{len(value)}" if all(map(_is_label, value)) else "other values"
            raise Fault(f'expected {len(sentence.tokens)} strings in "{key}", one per token, found {found}')


def _is_label(value: object) -> bool:
    return (isinstance(value, str) and value != "") or (isinstance(value, int) and not isinstance(value, bool))


# --- spans --------------------------------------------------------------------------------------------------------


def _are_spans(value: Any) -> bool:
    """Whether a value is a list of annotated spans, in any of the forms that `_span` reads."""
    return isinstance(value, list) and all(_is_span(each) for each in value)


def _is_span(value: Any) -> bool:
    if isinstance(value, list):
        return len(value) == 3 and all(type(offset) is int for offset in value[:2]) and isinstance(value[2], str | int)
    return isinstance(value, dict) and any(type(value.get(key)) is int for key in _START_KEYS)


def has_spans(record: dict[str, Any], *keys: str) -> bool:
    """Whether there are annotated spans, at least one, under one of some keys.

    Args:
        record: the object.
        *keys: the keys.

    Returns:
        Whether there are.
    """
    return any(bool(record.get(key)) and _are_spans(record[key]) for key in keys)


def move_spans(record: dict[str, Any], *keys: str) -> dict[str, Any]:
    """An object whose spans are under ``spans``.

    Args:
        record: the object.
        *keys: where they may be, the first that is there counts; a list of other values is left where it is.

    Returns:
        The object, a list of no spans if there were none.
    """
    key = next((key for key in keys if key in record and (record[key] is None or _are_spans(record[key]))), None)
    found = {name: value for name, value in record.items() if name != key}
    found["spans"] = (record[key] if key is not None else None) or []
    return found


def _spans(given: Any) -> list[CharacterSpan]:
    if not isinstance(given, list):
        raise Fault(f'expected a list in "spans", found {shown(given)}')
    return [_span(each) for each in given]


def _span(given: Any) -> CharacterSpan:
    if type(given) is dict and given.keys() == _USUAL_SPAN and type(given["label"]) is str and given["label"]:
        start, end = given["start"], given["end"]
        if type(start) is int and type(end) is int:
            return CharacterSpan(start, end, given["label"])
    if isinstance(given, list) and _is_span(given):
        start, end, label, text = *given, None
    else:
        known = given if isinstance(given, dict) else {}
        start, end, label = (
            next((known[key] for key in keys if key in known), None) for keys in (_START_KEYS, _END_KEYS, _LABEL_KEYS)
        )
        text = known.get("text")
        label = label[0] if isinstance(label, list) and len(label) == 1 else label
    if not _is_label(label) or type(start) is not int or type(end) is not int:
        raise Fault(f'expected spans with "start", "end" and "label", found {shown(given)}')
    return CharacterSpan(start, end, str(label), text if isinstance(text, str) else None)


# --- formats ------------------------------------------------------------------------------------------------------


def objects_format(
    name: str,
    content: str,
    source: str,
    convention: Convention,
    recognise: Callable[[Sample], bool],
    container: Container = "either",
) -> Format:
    """The format of a program that writes JSON objects.

    Args:
        name: what users call it.
        content: what its files contain, for messages.
        source: where it is defined.
        convention: how its objects are read.
        recognise: see `Format.recognise`; it has to be sure. A manifest of sequences of vectors is none of these,
            whatever fields its rows have beside the sequence.
        container: what the objects are in.

    Returns:
        The format.
    """
    either = container == "either"
    return Format(
        name,
        content,
        source,
        recognise=lambda sample: recognise(sample) and not any(map(has_frames, sample_objects(sample))),
        specific=True,
        sentences=partial(read_objects, convention, container),
        texts=partial(read_object_texts, convention, container),
        has_label=partial(first_has_label, convention, container),
        head=(lambda lines, name: (container_head(lines), True)) if either else None,
        usual_head=(lambda lines, name, options: container_head(lines))
        if either
        else lambda lines, name, options: None,
        last_end=last_object_end if either else lambda data, first: 0,
        whole=(lambda lines: container_head(lines) == ["array"]) if either else lambda lines: True,
        label_columns_vary=True,
    )
