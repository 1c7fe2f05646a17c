"""JSON Lines: one JSON object per line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any

from seqkit.formats.format import DEFAULTS, Format, ReadOptions, Sample
from seqkit.formats.manifest import object_frames, object_rows
from seqkit.formats.objects import Convention, first_has_label, plain_object, read_object_texts, read_objects
from seqkit.formats.text import Line, is_blank
from seqkit.formats.writers import label_columns, to_json
from seqkit.records import Sentence, TextRecord, align

_OBJECTS = Convention(plain_object)


def read_jsonl(lines: Iterable[Line], name: str, options: ReadOptions = DEFAULTS) -> Iterator[Sentence]:
    """Read one JSON object per line as a sentence.

    Tokens come from ``"tokens"``, a list of strings or of objects ``{"text", "start", "end", …}``, or else from
    ``"text"``, which is split. Label columns are every list of strings (or whole numbers) beside them that is as long,
    and every key with such a value in all token objects. ``"spans"`` (or ``"entities"``), a list of ``{"start", "end",
    "label"}`` or ``[start, end, label]`` in characters of the text, becomes an IOB2 column ``"ner"``; see
    `seqkit.formats.spans`. Everything else is in the sentence's `fields`.

    Args:
        lines: numbered lines; blank ones are skipped.
        name: the file's name, for messages.
        options: what splits a text into tokens, by default at spaces; what becomes of a span that starts or ends inside
            a token.

    Returns:
        An iterator over the sentences, one per object.

    Raises:
        DataError: while iterating: a line is not a JSON object or not of this form, tokens do not follow one another in
            the text, or a span is not in the text.
    """
    return read_objects(_OBJECTS, "lines", lines, name, options)


def read_jsonl_texts(lines: Iterable[Line], name: str, options: ReadOptions) -> Iterator[Sentence | TextRecord]:
    """Read one JSON object per line as a text with fields.

    Args:
        lines: numbered lines; blank ones are skipped.
        name: the file's name, for messages.
        options: the keys of the text and of the label (a string, a number, true or false, or a list of such), and what
            splits a text that comes without ``"tokens"``.

    Returns:
        An iterator over the texts, one per object; its `fields` are the whole object, the label as a string or a list
        of strings.

    Raises:
        DataError: while iterating: a line is not a JSON object or not of this form, or a key is missing.
    """
    return read_object_texts(_OBJECTS, "lines", lines, name, options)


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
    source="https://jsonlines.org",
    suffixes=(".jsonl", ".ndjson", ".json"),
    recognise=_recognise,
    sentences=read_jsonl,
    texts=read_jsonl_texts,
    frames=partial(object_frames, "lines"),
    rows=partial(object_rows, "lines"),
    has_label=partial(first_has_label, _OBJECTS, "lines"),
    write=_write,
    write_texts=_write_texts,
    label_columns_vary=True,
)
