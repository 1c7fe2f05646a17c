"""JSON objects, one a line → `Sentence` records."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from seqkit.errors import DataError
from seqkit.formats.schemes import from_spans
from seqkit.formats.text import is_blank
from seqkit.records import Sentence, align

__all__ = ["first_object_has", "read_jsonl", "read_jsonl_texts"]

_NOT_COLUMNS = frozenset({"tokens", "text", "spans", "nbest"})

_DEEPEST = 100
"""lists and objects in one another"""

Splitter = Callable[[str], list[tuple[int, int]]]


class _Fault(Exception):
    """What is wrong with one object, before the file and line are known."""


def read_jsonl(lines: Iterable[tuple[int, str]], name: str, splitter: Splitter) -> Iterator[Sentence]:
    """Read one JSON object a line.

    Tokens come from ``"tokens"``, a list of strings or of objects ``{"text", "start", "end", …}``, or else from
    ``"text"`` by the splitter. Label columns are every list of strings (or whole numbers) beside them that is as long,
    and every key with such a value in all token objects. ``"spans"``, a list of ``{"start", "end", "label"}`` in
    characters of the text, becomes an IOB2 column ``"ner"``. What is none of these stands in the sentence's `fields`.

    Args:
        lines: numbered lines; blank ones are skipped.
        name: the file's name, for messages.
        splitter: text → token offsets.

    Returns:
        An iterator over the sentences, one an object.

    Raises:
        DataError: while iterating: a line is no JSON object or not of this form, tokens do not stand in the text one
            after another, or a span does not begin and end with a token.
    """
    return _read(lines, name, lambda record: _sentence(record, splitter))


def read_jsonl_texts(
    lines: Iterable[tuple[int, str]], name: str, splitter: Splitter, *, text: str = "text", label: str | None = "label"
) -> Iterator[Sentence]:
    """Read one text with its label a line, from JSON objects.

    Args:
        lines: numbered lines; blank ones are skipped.
        name: the file's name, for messages.
        splitter: text → token offsets, where an object has no ``"tokens"``.
        text: the key of the text.
        label: the key of the label, a string, a whole number, true or false, or a list of such; None where none is
            needed.

    Returns:
        An iterator over the texts, one sentence an object; its `fields` are the whole object, the label as a string or
        a list of strings.

    Raises:
        DataError: while iterating: a line is no JSON object or not of this form, or a key is missing.
    """
    return _read(lines, name, lambda record: _text(record, splitter, text, label))


def first_object_has(lines: Iterable[tuple[int, str]], label: str) -> bool:
    """Whether the first object has a label for the whole of its text, and so, as it seems, all have.

    Args:
        lines: numbered lines.
        label: the key of the label.

    Returns:
        False also where the first line is no JSON object.
    """
    line = next((line for _, line in lines if not is_blank(line)), "")
    try:
        record = _object(line)
    except _Fault:
        return False
    value, tokens = record.get(label), record.get("tokens")
    a_token_each = isinstance(value, list) and isinstance(tokens, list) and len(value) == len(tokens)
    return value is not None and not a_token_each


def _read(
    lines: Iterable[tuple[int, str]], name: str, make: Callable[[dict[str, Any]], Sentence]
) -> Iterator[Sentence]:
    for number, line in lines:
        if is_blank(line):
            continue
        try:
            sentence = make(_object(line))
        except _Fault as fault:
            raise DataError(str(fault), file=name, line=number) from None
        sentence.file, sentence.line = name, number
        yield sentence


def _object(line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:  # ValueError: also a number of thousands of digits
        place = f" at character {error.pos + 1}" if isinstance(error, json.JSONDecodeError) else ""
        raise _Fault(f"expected a JSON object, found faulty JSON{place}") from None
    if not isinstance(found, dict):
        raise _Fault(f"expected a JSON object, found {_kind(found)}")
    if line.count("[") + line.count("{") > _DEEPEST and _is_deep(found):
        raise _Fault(f"expected a JSON object, found one in which more than {_DEEPEST} lists and objects are nested")
    return found


def _is_deep(value: Any) -> bool:
    """Whether something is nested deeper than what reads it further, mostly by recursion, may be asked to follow."""
    level = [value]
    for _ in range(_DEEPEST):
        inside = (each.values() if isinstance(each, dict) else each for each in level)
        level = [each for values in inside for each in values if isinstance(each, dict | list)]
        if not level:
            return False
    return True


def _sentence(record: dict[str, Any], splitter: Splitter) -> Sentence:
    sentence = _tokens(record, splitter, "text")
    _add_columns(sentence, record)
    if record.get("spans") is not None:
        sentence.columns["ner"] = _span_labels(sentence, record["spans"])
    known = _NOT_COLUMNS | set(sentence.columns)
    sentence.fields = {key: value for key, value in record.items() if key not in known}
    return sentence


def _text(record: dict[str, Any], splitter: Splitter, text: str, label: str | None) -> Sentence:
    sentence = _tokens(record, splitter, text)
    sentence.fields = record
    if label is not None:
        if record.get(label) is None:
            found = "null there" if label in record else ", ".join(map(repr, record))
            raise _Fault(f"expected a field {label!r}, found {found}")
        record[label] = _label(record[label], label)
    return sentence


def _label(value: Any, name: str) -> str | list[str]:
    """A label, or several, as strings."""
    values = value if isinstance(value, list) else [value]
    for each in values:
        if not isinstance(each, str | int):
            kind = "a list with something else in it" if isinstance(value, list) else _kind(value)
            raise _Fault(f'expected a string or a list of strings as "{name}", found {kind}')
    labels = [json.dumps(each) if isinstance(each, bool) else str(each) for each in values]
    return labels if isinstance(value, list) else labels[0]


def _tokens(record: dict[str, Any], splitter: Splitter, name: str) -> Sentence:
    """The text under a key and its tokens, nothing else."""
    text, given = record.get(name), record.get("tokens")
    if text is not None and not isinstance(text, str):
        raise _Fault(f'expected a string as "{name}", found {_kind(text)}')
    if given is None:
        if text is None:
            raise _Fault(f'expected "tokens" or "{name}", found ' + (", ".join(map(repr, record)) or "no keys"))
        offsets = splitter(text)
        return Sentence([text[start:end] for start, end in offsets], text, offsets)
    if not isinstance(given, list):
        raise _Fault(f'expected a list as "tokens", found {_kind(given)}')
    if given and all(isinstance(token, dict) for token in given):
        return _from_objects(given, text)
    return _from_strings(given, text)


def _from_strings(given: list[Any], text: str | None) -> Sentence:
    for token in given:
        if not isinstance(token, str) or not token:
            raise _Fault(f"expected tokens that are strings and not empty, found {_kind(token)}")
    if text is None:
        return Sentence.from_tokens(given)
    offsets = align(given, text)
    if offsets is None:
        raise _Fault('expected tokens that stand one after another in "text", only white space between them')
    return Sentence(given, text, offsets)


def _from_objects(given: list[dict[str, Any]], text: str | None) -> Sentence:
    placed = text is not None and all("start" in token and "end" in token for token in given)
    sentence = _from_strings([token.get("text") for token in given], None if placed else text)
    if text is not None and placed:
        sentence.text, sentence.offsets = text, _places(given, text)
    for key, value in given[0].items():
        if key not in ("text", "start", "end") and _is_label(value):
            column = [token.get(key) for token in given]
            if all(map(_is_label, column)):
                sentence.columns[key] = list(map(str, column))
    return sentence


def _places(given: list[dict[str, Any]], text: str) -> list[tuple[int, int]]:
    offsets: list[tuple[int, int]] = []
    for token in given:
        start, end = token["start"], token["end"]
        if not _are_offsets(start, end, text) or text[start:end] != token["text"]:
            raise _Fault(f'expected token {token["text"]!r} at {start}:{end} in "text", found something else there')
        if offsets and start < offsets[-1][1]:
            raise _Fault(f"expected tokens in the order of the text, found {token['text']!r} inside or before another")
        offsets.append((start, end))
    return offsets


def _add_columns(sentence: Sentence, record: dict[str, Any]) -> None:
    for key, value in record.items():
        if key in _NOT_COLUMNS or not isinstance(value, list):
            continue
        if len(value) == len(sentence.tokens) and all(map(_is_label, value)):
            sentence.columns[key] = list(map(str, value))
        elif key in ("labels", "tags"):
            found = f"{len(value)}" if all(map(_is_label, value)) else "something else among them"
            raise _Fault(f'expected {len(sentence.tokens)} strings as "{key}", one a token, found {found}')


def _span_labels(sentence: Sentence, given: Any) -> list[str]:
    """Spans in characters → IOB2 labels."""
    if not isinstance(given, list):
        raise _Fault(f'expected a list as "spans", found {_kind(given)}')
    starts = {start: index for index, (start, _) in enumerate(sentence.offsets)}
    ends = {end: index + 1 for index, (_, end) in enumerate(sentence.offsets)}
    spans: list[tuple[int, int, str]] = []
    for span in given:
        if not isinstance(span, dict) or not isinstance(span.get("label"), str) or not span["label"]:
            raise _Fault(f'expected spans with "start", "end" and "label", found {json.dumps(span)}')
        start, end = span.get("start"), span.get("end")
        if not _are_offsets(start, end, sentence.text):
            length = len(sentence.text)
            raise _Fault(f"expected spans inside the text of {length} characters, found {start}:{end}")
        if start not in starts or end not in ends:
            found = f"{start}:{end} ({sentence.text[start:end]!r})"
            raise _Fault(f"expected spans that begin and end with a token, found {found}")
        spans.append((starts[start], ends[end], span["label"]))
    try:
        return from_spans(spans, len(sentence.tokens), "iob2")
    except ValueError:
        raise _Fault("expected spans that do not overlap, found overlapping ones") from None


def _are_offsets(start: object, end: object, text: str) -> bool:
    return type(start) is int and type(end) is int and 0 <= start < end <= len(text)


def _is_label(value: object) -> bool:
    return (isinstance(value, str) and value != "") or (isinstance(value, int) and not isinstance(value, bool))


def _kind(value: object) -> str:
    """What a JSON value is, in words."""
    if value == "" or value is None:
        return "an empty string" if value == "" else "null"
    names = {dict: "an object", list: "a list", str: "a string", bool: "true or false"}
    return names.get(type(value), "a number")
