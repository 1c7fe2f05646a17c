"""Texts with annotated spans as doccano exports them, and as they are often kept.

========================  ==============================================================================
doccano, JSONL            ``{"text", "label": [[start, end, "PER"], …]}``, earlier ``"labels"``
doccano, with relations   ``{"text", "entities": [{"id", "label", "start_offset", "end_offset"}, …], …}``
earlier versions          ``{"text", "annotations": [{"label", "start_offset", "end_offset", "user"}, …]}``
elsewhere                 ``{"text", "entities": [[start, end, "PER"], …]}``
========================  ==============================================================================

A text is a document, which is cut into sentences. Texts with labels for the whole text need no format of their own.
"""

from __future__ import annotations

from typing import Any

from seqkit.formats.format import ReadOptions, Sample
from seqkit.formats.json_text import sample_objects
from seqkit.formats.objects import Convention, has_spans, move_spans, objects_format, plain_object

_KEYS = ("label", "labels", "entities", "annotations")


def _plain(value: Any, options: ReadOptions) -> dict[str, Any]:
    return move_spans(plain_object(value, options), *_KEYS)


def _recognise(sample: Sample) -> bool:
    found = sample_objects(sample)
    plain = all(isinstance(each, dict) and "text" in each and not {"spans", "tokens"} & each.keys() for each in found)
    return plain and any(has_spans(each, *_KEYS) for each in found)


DOCCANO = objects_format(
    "doccano",
    "texts with annotated spans",
    "https://doccano.github.io/doccano/tutorial/",
    Convention(_plain, documents=True),
    _recognise,
)
