"""Prodigy: a text a line, with tokens, spans or options, and the annotator's answer.

Which texts were rejected or ignored is seen to when a split is read, see `seqkit.corpora.label_columns.accepted`.
"""

from __future__ import annotations

from typing import Any

from seqkit.formats.format import ReadOptions, Sample
from seqkit.formats.json_text import sample_objects
from seqkit.formats.objects import Convention, has_spans, objects_format, plain_object

_ANSWERS = ("accept", "reject", "ignore")


def _plain(value: Any, options: ReadOptions) -> dict[str, Any]:
    """An object with spans, none if it says nothing of them, and with tokens that are no white space."""
    record = dict(plain_object(value, options))
    tokens = record.get("tokens")
    if isinstance(tokens, list):
        words = [token for token in tokens if not _is_space(token)]
        if len(words) < len(tokens):
            options.left_out["tokens of white space left out"] += len(tokens) - len(words)
            record["tokens"] = words
    if record.get("spans") is None:
        record["spans"] = []
    return record


def _is_space(token: Any) -> bool:
    text = token.get("text") if isinstance(token, dict) else None
    return isinstance(text, str) and text.isspace()


def _recognise(sample: Sample) -> bool:
    found = sample_objects(sample)
    return (
        bool(found)
        and all(
            isinstance(each, dict) and isinstance(each.get("text"), str) and each.get("answer") in _ANSWERS
            for each in found
        )
        and any(
            "_task_hash" in each or "accept" in each or "tokens" in each or has_spans(each, "spans") for each in found
        )
    )


PRODIGY = objects_format(
    "prodigy",
    "texts with annotations and the answers of an annotator",
    "https://prodi.gy/docs/api-interfaces",
    Convention(_plain),
    _recognise,
)
