"""Requests: JSON in, JSON out; one record, several, or a block of a file."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import chain
from typing import Any

from seqkit.corpora.dataset import text_lines
from seqkit.errors import SettingsError, describe, shown
from seqkit.formats.intervals import FILE_SUFFIXES, file_stem
from seqkit.formats.midi import Piece
from seqkit.formats.registry import FORMATS, part_frames, part_sentences, part_texts
from seqkit.formats.text import Part
from seqkit.formats.writers import WRITERS, finite, write_records
from seqkit.records import TextRecord, whole_documents


def answer(model: Any, request: Mapping[str, Any], pipeline: Any) -> dict[str, Any]:
    """See `seqkit.model.base.Predictor.answer`."""
    if not isinstance(request, Mapping):
        raise SettingsError(f"a request is a JSON object, found {shown(request)}")
    given = dict(request)
    if "block" in given:
        parts = _parts(given.pop("block"))
        output_format = given.pop("output_format", model.task.writes[0])
        if output_format not in model.task.writes:
            known = ", ".join(model.task.writes)
            raise SettingsError(f"output_format: choose from {known}, found {shown(output_format)}")
        return _block(model, parts, output_format, _options(model, given, pipeline).for_output(output_format), pipeline)
    known = model.task.options_class().model_fields
    if named := sorted(given.keys() & model.task.options_class().places()):
        raise SettingsError(f"a request cannot name files of this machine, and {named[0]!r} is one")
    options = _options(model, {name: given.pop(name) for name in list(given) if name in known}, pipeline)
    several = given.pop("texts", None)
    if several is None:
        (found,) = pipeline([_record(model, given)], options)
        return dict(finite(found.to_json()))
    if given or not isinstance(several, list):
        raise SettingsError("a request for several texts has a list of them as 'texts', and nothing else but options")
    name = "frames" if model.task.records == "frames" else "text"
    records = [_record(model, one if isinstance(one, Mapping) else {name: one}) for one in several]
    return {"answers": [finite(found.to_json()) for found in pipeline(records, options)]}


def _options(model: Any, given: Mapping[str, Any], pipeline: Any) -> Any:
    """The options of a request; those of the pipeline where it has none."""
    return model.options(given) if given or getattr(pipeline, "options", None) is None else pipeline.options


def _record(model: Any, given: Mapping[str, Any]) -> Any:
    """The record that a request is about."""
    fields, optional = model.input.fields, model.input.optional_fields
    named = given.keys() - set(optional)
    if (fields or not given) and (len(named) != 1 or not named <= set(fields)):
        needed = " or ".join(map(repr, fields or ("text",)))
        needed += "".join(f", perhaps {name!r}," for name in optional)
        options = ", ".join(model.task.options_class().model_fields) or "none"
        found = ", ".join(map(repr, given)) or "nothing"
        raise SettingsError(f"a request has {needed} beside options ({options}); this one has {found}")
    return model.record(given)


def block_request(parts: Sequence[Part], output_format: str, **options: Any) -> dict[str, Any]:
    """The request for a block of a file.

    Args:
        parts: the block.
        output_format: how the answers are written.
        **options: options of prediction; by default those of the pipeline.

    Returns:
        What `answer` takes, all of JSON's types.
    """
    block = [{**asdict(part), "data": part.data.decode("utf-8", "surrogateescape")} for part in parts]
    return {"block": block, "output_format": output_format, **options}


def _parts(given: Any) -> list[Part]:
    try:
        parts = [Part(**{**part, "data": part["data"].encode("utf-8", "surrogateescape")}) for part in given]
        named = all(isinstance(part.name, str) and part.format in FORMATS for part in parts)
        rows = all(type(part.first) is int and isinstance(part.head, list | tuple | None) for part in parts)
        columns = all(
            isinstance(part.columns, list | tuple)
            and all(
                isinstance(each, str) for each in (part.token_column, part.text, part.second, part.below, *part.columns)
            )
            and isinstance(part.comment_rows, bool)
            for part in parts
        )
        if isinstance(given, list) and named and rows and columns:
            return parts
    except (TypeError, KeyError, AttributeError, UnicodeEncodeError):
        pass
    raise SettingsError("a block is a list of objects with name, format, first, head and data, a string")


def block_records(model: Any, parts: Sequence[Part], left_out: Counter[str] | None = None) -> Iterator[Any]:
    """The records of a block, as a model's task reads them.

    Args:
        model: the model.
        parts: the block.
        left_out: receives what was left out of sequences of vectors, a line for each file → how often.

    Yields:
        The records, in order.

    Raises:
        DataError: a piece of music has no note that the model could score.
    """
    task = model.task
    split = model.input.split
    if task.records == "lines":
        for part in parts:
            if FORMATS[part.format].line_per_record:
                yield from (TextRecord(line, file=part.name, line=number) for number, line in part.lines())
                continue
            for record in part_texts(part, None, model.settings.data.text):
                yield from (TextRecord(line, file=part.name, line=record.line) for line in text_lines(record.text))
    elif task.records == "frames":
        for part in parts:
            counts: Counter[str] = Counter()
            for record in part_frames(part, model.settings.data.frames, counts):
                if isinstance(record.source, Piece) and record.source.silence:
                    raise record.fault(record.source.silence)
                yield record
            if left_out is not None:
                left_out.update({f"{part.name}: {what}": count for what, count in counts.items()})
    elif task.records == "sentences":
        yield from chain.from_iterable(part_sentences(part, split) for part in parts)
    else:
        data = model.settings.data
        source, second = getattr(data, "source", ""), getattr(data, "second", "")
        field = source or getattr(data, "text", "text")
        read = (part_texts(part, split, field, second, text_first=bool(source)) for part in parts)
        yield from chain.from_iterable(read)


def _block(model: Any, parts: Sequence[Part], output_format: str, options: Any, pipeline: Any) -> dict[str, Any]:
    stream = io.StringIO()
    counts = {"records": 0, "tokens": 0, "unknown": 0, "shortened": 0}
    fault = None
    left_out: Counter[str] = Counter()
    files: list[tuple[str, str]] = []

    def counted() -> Iterator[Any]:
        for found in whole_documents(pipeline(block_records(model, parts, left_out), options)):
            counts["records"] += 1
            counts["tokens"] += found.units if hasattr(found, "units") else len(found.sentence)
            counts["unknown"] += getattr(found, "unknown", 0)
            counts["shortened"] += output_format == "jsonl" and getattr(found, "shortened", False)
            yield found

    try:
        if output_format in FILE_SUFFIXES:
            files.extend((file_stem(found.sentence), WRITERS[output_format](found)) for found in counted())
        else:
            write_records(counted(), stream, output_format)
    except Exception as error:
        fault = describe(error)
        if fault is None:
            raise
    more = {name: value for name, value in (("files", files), ("left_out", dict(left_out))) if value}
    return {"output": stream.getvalue(), **more, **counts, "fault": fault}
