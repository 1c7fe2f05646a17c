"""JSON Lines: one JSON object per line."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from seqkit.errors import DataError, shown
from seqkit.formats.format import DEFAULTS, Format, ReadOptions, Sample, split_at_spaces
from seqkit.formats.schemes import from_spans
from seqkit.formats.text import Line, is_blank
from seqkit.formats.writers import label_columns, to_json
from seqkit.records import Sentence, SplitFunction, TextRecord, align

_NOT_COLUMNS = frozenset({"tokens", "text", "spans", "nbest"})

_DEEPEST = 100
"""how deep lists and objects may be nested"""

R = TypeVar("R", bound=Sentence | TextRecord)


class _Fault(ValueError):
    """What is wrong with one object, before the file and line are known."""


def read_jsonl(lines: Iterable[Line], name: str, options: ReadOptions = DEFAULTS) -> Iterator[Sentence]:
    """Read one JSON object per line as a sentence.

    Tokens come from ``"tokens"``, a list of strings or of objects ``{"text", "start", "end", …}``, or else from
    ``"text"``, which is split. Label columns are every list of strings (or whole numbers) beside them that is as long,
    and every key with such a value in all token objects. ``"spans"``, a list of ``{"start", "end", "label"}`` in
    characters of the text, becomes an IOB2 column ``"ner"``. Everything else is in the sentence's `fields`.

    Args:
        lines: numbered lines; blank ones are skipped.
        name: the file's name, for messages.
        options: what splits a text into tokens; by default at spaces.

    Returns:
        An iterator over the sentences, one per object.

    Raises:
        DataError: while iterating: a line is not a JSON object or not of this form, tokens do not follow one another in
            the text, or a span does not start and end at a token's borders.
    """
    return _read(lines, name, lambda record: _sentence(record, options))


def read_jsonl_texts(lines: Iterable[Line], name: str, options: ReadOptions) -> Iterator[Sentence | TextRecord]:
    """Read one JSON object per line as a text with fields.

    Args:
        lines: numbered lines; blank ones are skipped.
        name: the file's name, for messages.
        options: the keys of the text and of the label (a string, a whole number, true or false, or a list of such), and
            what splits a text that comes without ``"tokens"``.

    Returns:
        An iterator over the texts, one per object; its `fields` are the whole object, the label as a string or a list
        of strings.

    Raises:
        DataError: while iterating: a line is not a JSON object or not of this form, or a key is missing.
    """
    return _read(lines, name, lambda record: _text(record, options))


def object_sentence(found: dict[str, Any], options: ReadOptions, file: str = "", line: int = 0) -> Sentence:
    """Make a sentence of an object that is no line of a file; see `read_jsonl`.

    Args:
        found: the object.
        options: as for `read_jsonl`.
        file: where it is from, for messages.
        line: its number there, from 1.

    Returns:
        The sentence.

    Raises:
        DataError: it is not of this form.
    """
    return _placed(lambda each: _sentence(each, options), found, file, line)


def object_text(found: dict[str, Any], options: ReadOptions, file: str = "", line: int = 0) -> Sentence | TextRecord:
    """Make a text with fields of an object that is no line of a file; see `read_jsonl_texts`.

    Args:
        found: the object, whose label becomes a string or a list of strings.
        options: as for `read_jsonl_texts`; without a label it needs none.
        file: where it is from, for messages.
        line: its number there, from 1.

    Returns:
        The text.

    Raises:
        DataError: it is not of this form.
    """
    return _placed(lambda each: _text(each, options), found, file, line)


def labels_whole_text(record: dict[str, Any], label: str) -> bool:
    """Whether an object has a label for its whole text, and not one for each token.

    Args:
        record: the object.
        label: the key of the label.

    Returns:
        True if it has one.
    """
    value, tokens = record.get(label), record.get("tokens")
    one_per_token = isinstance(value, list) and isinstance(tokens, list) and len(value) == len(tokens)
    return value is not None and not one_per_token


def _first_has_label(lines: Iterable[Line], label: str) -> bool:
    """Whether the first object has a label for its whole text, and so, presumably, all have."""
    line = next((line for _, line in lines if not is_blank(line)), "")
    try:
        return labels_whole_text(_object(line), label)
    except _Fault:
        return False


def _read(lines: Iterable[Line], name: str, make: Callable[[dict[str, Any]], R]) -> Iterator[R]:
    for number, line in lines:
        if is_blank(line):
            continue
        yield _placed(lambda each: make(_object(each)), line, name, number)


def _placed(make: Callable[[Any], R], given: Any, file: str, line: int) -> R:
    """A record that knows where it is from."""
    try:
        record = make(given)
    except _Fault as fault:
        raise DataError(str(fault), file=file, line=line) from None
    record.file, record.line = file, line
    return record


def _object(line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:  # ValueError: also a number of thousands of digits
        place = f" at character {error.pos + 1}" if isinstance(error, json.JSONDecodeError) else ""
        raise _Fault(f"invalid JSON{place}") from None
    if not isinstance(found, dict):
        raise _Fault(f"expected a JSON object, found {shown(found)}")
    if line.count("[") + line.count("{") > _DEEPEST and _is_deep(found):
        raise _Fault(f"lists and objects are nested more than {_DEEPEST} deep")
    return found


def _is_deep(value: Any) -> bool:
    """Whether a value is nested too deep for the code that uses it, most of which is recursive."""
    level = [value]
    for _ in range(_DEEPEST):
        inside = (each.values() if isinstance(each, dict) else each for each in level)
        level = [each for values in inside for each in values if isinstance(each, dict | list)]
        if not level:
            return False
    return True


def _sentence(record: dict[str, Any], options: ReadOptions) -> Sentence:
    record = _with_tokens(record, options.token_column)
    sentence = _tokens(record, options.split or split_at_spaces, "text")
    _add_columns(sentence, record)
    if record.get("spans") is not None:
        sentence.columns["ner"] = _span_labels(sentence, record["spans"])
    known = (_NOT_COLUMNS - {"spans"}) | set(sentence.columns)
    sentence.fields = {key: value for key, value in record.items() if key not in known}
    return sentence


def _text(record: dict[str, Any], options: ReadOptions) -> Sentence | TextRecord:
    record = _with_tokens(record, options.token_column)
    sentence = _tokens(record, options.split or (lambda text: []), options.text)
    sentence.fields, label = record, options.label
    if label is not None:
        if label not in record:
            raise _Fault(f"no field {label!r}; fields: {', '.join(map(repr, record))}")
        record[label] = label_string(record[label], label)
    return TextRecord(sentence.text, record) if options.split is None else sentence


def label_string(value: Any, name: str) -> str | list[str]:
    """A label, or several, as the strings that JSON has for them; a `ValueError` of anything else."""
    values = value if isinstance(value, list) else [value]
    for each in values:
        if not isinstance(each, str | int | float):
            raise _Fault(f'expected a string or a list of strings in "{name}", found {shown(value)}')
    labels = [each.strip(" \t") if isinstance(each, str) else json.dumps(each) for each in values]
    return labels if isinstance(value, list) else labels[0]


def _with_tokens(record: dict[str, Any], column: str) -> dict[str, Any]:
    """The object with its tokens under ``"tokens"``; a column that is a position is one of other formats."""
    if column in ("", "tokens") or column.lstrip("-").isdigit():
        return record
    if column not in record:
        raise _Fault(f"no token column {column!r}; fields: {', '.join(map(repr, record))}")
    return {**{key: value for key, value in record.items() if key != column}, "tokens": record[column]}


def _tokens(record: dict[str, Any], split: SplitFunction, name: str) -> Sentence:
    """The text under a key and its tokens, nothing else."""
    text, given = record.get(name), record.get("tokens")
    if text is not None and not isinstance(text, str):
        raise _Fault(f'expected a string in "{name}", found {shown(text)}')
    if given is None:
        if text is None:
            if name in record:
                raise _Fault(f'expected a text in "{name}", found none')
            raise _Fault(f'expected "tokens" or "{name}", found ' + (", ".join(map(repr, record)) or "no keys"))
        return TextRecord(text).cut(split)
    if not isinstance(given, list):
        raise _Fault(f'expected a list in "tokens", found {shown(given)}')
    if given and all(isinstance(token, dict) for token in given):
        return _from_objects(given, text)
    return _from_strings(given, text)


def _from_strings(given: list[Any], text: str | None) -> Sentence:
    for token in given:
        if not isinstance(token, str) or not token:
            raise _Fault(f'expected non-empty strings in "tokens", found {shown(token)}')
    if text is None:
        return Sentence.from_tokens(given)
    offsets = align(given, text)
    if offsets is None:
        raise _Fault('the tokens do not follow one another in "text" with only white space between them')
    return Sentence(given, text, offsets)


def _from_objects(given: list[dict[str, Any]], text: str | None) -> Sentence:
    placed = text is not None and all("start" in token and "end" in token for token in given)
    sentence = _from_strings([token.get("text") for token in given], None if placed else text)
    if text is not None and placed:
        sentence.text, sentence.offsets = text, _places(given, text)
    for key in given[0]:
        column = [token.get(key) for token in given]
        if key not in ("text", "start", "end") and all(map(_is_label, column)):
            sentence.columns[key] = list(map(str, column))
    return sentence


def _places(given: list[dict[str, Any]], text: str) -> list[tuple[int, int]]:
    offsets: list[tuple[int, int]] = []
    for token in given:
        start, end = token["start"], token["end"]
        if not _are_offsets(start, end, text) or text[start:end] != token["text"]:
            raise _Fault(f'token {token["text"]!r} is not at {start}:{end} in "text"')
        if offsets and start < offsets[-1][1]:
            raise _Fault(f"token {token['text']!r} overlaps or precedes the token before it")
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
            raise _Fault(f'expected {len(sentence.tokens)} strings in "{key}", one per token, found {found}')


def _span_labels(sentence: Sentence, given: Any) -> list[str]:
    """Spans in characters → IOB2 labels."""
    if not isinstance(given, list):
        raise _Fault(f'expected a list in "spans", found {shown(given)}')
    starts = {start: index for index, (start, _) in enumerate(sentence.offsets)}
    ends = {end: index + 1 for index, (_, end) in enumerate(sentence.offsets)}
    spans: list[tuple[int, int, str]] = []
    for span in given:
        if not isinstance(span, dict) or not isinstance(span.get("label"), str) or not span["label"]:
            raise _Fault(f'expected spans with "start", "end" and "label", found {shown(span)}')
        start, end = span.get("start"), span.get("end")
        if not _are_offsets(start, end, sentence.text):
            raise _Fault(f"span {start}:{end} is outside the text of {len(sentence.text)} characters")
        if start not in starts or end not in ends:
            covered = sentence.text[start:end]
            raise _Fault(f"span {start}:{end} ({covered!r}) does not start and end at token boundaries")
        spans.append((starts[start], ends[end], span["label"]))
    try:
        return from_spans(spans, len(sentence.tokens), "iob2")
    except ValueError:
        raise _Fault("spans overlap") from None


def _are_offsets(start: object, end: object, text: str) -> bool:
    return type(start) is int and type(end) is int and 0 <= start < end <= len(text)


def _is_label(value: object) -> bool:
    return (isinstance(value, str) and value != "") or (isinstance(value, int) and not isinstance(value, bool))


# --- writing ------------------------------------------------------------------------------------------------------


def _write(sentences: Sequence[Sentence]) -> str:
    return "".join(to_json(_written(sentence)) + "\n" for sentence in sentences)


def _written(sentence: Sentence) -> dict[str, Any]:
    """``{"text", "tokens", …}``, tokens as strings if they can be found again in the text by order alone."""
    tokens: list[Any] = sentence.tokens
    if align(sentence.tokens, sentence.text) != sentence.offsets:
        pairs = zip(sentence.tokens, sentence.offsets, strict=True)
        tokens = [{"text": token, "start": start, "end": end} for token, (start, end) in pairs]
    # Spans have become a column, which may have been rewritten; its labels would be those of the spans again.
    fields = {name: value for name, value in sentence.fields.items() if name not in ("spans", "text", "tokens")}
    return {"text": sentence.text, "tokens": tokens, **fields, **label_columns(sentence)}


def _write_texts(records: Sequence[TextRecord]) -> str:
    return "".join(to_json(record.fields) + "\n" for record in records)


def _recognise(sample: Sample) -> bool:
    first = next((line for line in sample.lines if not is_blank(line)), "")
    return first.startswith("{") and first.rstrip(" \t").endswith("}")


JSONL = Format(
    "jsonl",
    "JSON objects",
    suffixes=(".jsonl", ".ndjson", ".json"),
    recognise=_recognise,
    sentences=read_jsonl,
    texts=read_jsonl_texts,
    has_label=_first_has_label,
    write=_write,
    write_texts=_write_texts,
    label_columns_vary=True,
)
