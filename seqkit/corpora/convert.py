"""Converting files of sentences or of texts with fields to another format, sentences to another label scheme."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from seqkit.corpora.convert_sequences import convert_sequences
from seqkit.corpora.dataset import Dataset
from seqkit.corpora.label_columns import OF_SPANS, read_notation
from seqkit.corpora.split import Split
from seqkit.errors import DataError
from seqkit.formats.format import Description, OnSpanBorder, ReadOptions, notes_on
from seqkit.formats.notation import NOTATIONS, joined_spans, write_notation
from seqkit.formats.registry import (
    FORMATS,
    USUAL_SUFFIXES,
    describe,
    described_sentences,
    described_texts,
    is_pipe,
    sentence_reader,
    text_reader,
)
from seqkit.formats.schemes import SCHEMES, convert, detect_scheme
from seqkit.formats.spans import SPANS
from seqkit.formats.text import Lines, data_suffix, read_lines
from seqkit.formats.writers import clean
from seqkit.metrics.scores import plural
from seqkit.records import Sentence, SplitFunction, TextRecord


def convert_file(
    source: str | Path,
    destination: str | Path,
    *,
    source_format: str | None = None,
    destination_format: str | None = None,
    scheme: str | None = None,
    columns: Sequence[str] | None = None,
    token_column: str = "",
    encoding: str = "",
    span_borders: OnSpanBorder = "refuse",
    text: str = "text",
    label: str | None = None,
    splitter: SplitFunction | None = None,
    notes: list[str] | None = None,
    frames: str = "",
) -> int:
    """Convert a file of sentences whose tokens have labels, or of texts with labels and other fields.

    CoNLL-U converted to CoNLL-U is unchanged, ranges and empty nodes included. In CoNLL-U output, columns that the
    format does not have are written to ``misc`` as ``name=label``. Several labels of a text have ``|`` between them in
    a table.

    Args:
        source: the file to read, or ``-`` for standard input.
        destination: the file to write, or ``-`` for standard output; it may be the source.
        source_format: one of `seqkit.formats.registry.FORMATS`; by default detected.
        destination_format: ``conll``, ``conllu`` or ``jsonl`` for sentences, ``tsv``, ``csv``, ``csv-semicolon``,
            ``fasttext`` or ``jsonl`` for texts; by default the destination's extension tells, and standard output is
            ``conll``.
        scheme: ``iob1``, ``iob2``, ``bioes`` or one of `seqkit.formats.notation.NOTATIONS`: rewrite every column of
            span labels so, and repair invalid sequences.
        columns: names for the columns of the source.
        token_column: the column of its tokens.
        encoding: its encoding.
        span_borders: what becomes of a span that starts or ends inside a token.
        text: the field of a text in the source.
        label: the field of a label for a whole text in the source; by default ``label`` where there is one.
        splitter: splits raw text into tokens.
        notes: receives lines for the user, the last one how many records of which kind there were.
        frames: the field of a sequence of vectors in the source; empty for the usual ones. Files of such sequences are
            converted to ``npz`` or ``jsonl``, see `seqkit.corpora.convert_sequences`.

    Returns:
        The number of records.

    Raises:
        DataError: the source has a fault, the destination cannot be written, its format is not known or cannot
            represent the source so that it is read back, or there are no span labels to rewrite.
        BrokenPipeError: standard output is closed.
    """
    given = Description(source_format or "", tuple(columns or ()), token_column, encoding, span_borders)
    if frames or (str(source) != "-" and Dataset(str(source), {"all": Split(Path(source), given)}).has_frames):
        suffix = Path(destination).suffix.lower()
        kind = destination_format or USUAL_SUFFIXES.get(suffix, "jsonl" if str(destination) == "-" else suffix)
        found = describe(source, given, texts=True)[0]
        return convert_sequences(source, destination, found, kind, frames, [] if notes is None else notes)
    wanted = _wanted(destination, destination_format)
    description, said = describe(source, given)
    if FORMATS[wanted].write is None or FORMATS[description.format].sentences is None:
        description, said = describe(source, given, texts=True)
    options = ReadOptions(splitter, allow_unlabelled=True, text=text, label=label).of(description)
    records: Sequence[Any]
    if _has_texts(source, description, wanted, label):
        if scheme is not None:
            raise DataError("texts have no labels for tokens, whose scheme could be rewritten", file=source)
        content, records, record = *_texts(source, description, wanted, options), "text"
    else:
        content, records, record = *_sentences(source, description, wanted, options, scheme, said), "sentence"
    count = len(records)
    data = content.encode("utf-8")  # before the file is opened: a fault leaves it unchanged
    said += _refuse_misread(data, destination, wanted, records, options)
    try:
        if str(destination) == "-":
            sys.stdout.flush()
            sys.stdout.buffer.write(data)
        else:
            Path(destination).write_bytes(data)
    except BrokenPipeError:
        raise  # not a fault: the command line exits silently
    except OSError as error:
        raise DataError(f"cannot be written: {error.strerror or error}", file=destination) from None
    if notes is not None:
        notes += [*said, *notes_on(source, options.left_out), plural(count, record)]
    return count


def _refuse_misread(
    data: bytes, destination: str | Path, wanted: str, records: Sequence[Any], options: ReadOptions
) -> list[str]:
    """See that content is read back as the records it is of; a note if its format has to be named for that."""
    texts = any(isinstance(record, TextRecord) for record in records)
    lines = Lines([data], str(destination))
    description, _ = describe("", Description(wanted), texts=texts, lines=lines)
    own = ReadOptions(text="text" if wanted == "fasttext" else options.text, allow_unlabelled=True).of(description)
    read: Iterator[Any] = (text_reader(wanted, "", None) if texts else sentence_reader(wanted, ""))(lines, "", own)
    for record in records:
        if not (texts or record.tokens or wanted == "jsonl"):
            continue  # columns have no row for it
        found = None
        with suppress(DataError):
            found = next(read, None)
        if found is None or _content(found) != _content(record):
            message = f"{wanted} would not be read back as this {'text' if texts else 'sentence'}"
            instead = "" if wanted == "jsonl" else "; --output-format jsonl can hold it"
            raise DataError(message + instead, file=record.file, line=record.line)
    if USUAL_SUFFIXES.get(data_suffix(destination)) != wanted or is_pipe(destination):
        return []
    taken = describe(destination, texts=texts, lines=lines)[0].format
    told = f"{destination}: looks like format {taken}; --format {wanted} reads it as it was written"
    return [told] if taken != description.format else []


def _content(record: Any) -> object:
    """What has to be the same when a record is read back."""
    return clean(record.text) if isinstance(record, TextRecord) else list(map(clean, record.tokens))


def _wanted(destination: str | Path, asked: str | None) -> str:
    """The format of the destination."""
    suffix = Path(destination).suffix.lower()
    wanted = asked or ("conll" if str(destination) == "-" else USUAL_SUFFIXES.get(suffix))
    writers = [name for name, format in FORMATS.items() if format.write or format.write_texts]
    if wanted is None:
        known = ", ".join(suffix for suffix, name in USUAL_SUFFIXES.items() if name in writers)
        message = f"the extension does not tell the format; use one of {known}, or --output-format"
        raise DataError(message, file=destination)
    if wanted not in writers:
        raise DataError(f"cannot write format {wanted!r}; choose from {', '.join(writers)}")
    return wanted


def _has_texts(source: str | Path, description: Description, wanted: str, label: str | None) -> bool:
    """Whether a source is to be read as texts with fields, which the destination has to hold."""
    form, target = FORMATS[description.format], FORMATS[wanted]
    if form.sentences is None:
        found = True
    elif form.texts is None or form.has_label is None or str(source) == "-" or is_pipe(source):
        found = target.write is None
    else:
        found = target.write is None or form.has_label(read_lines(source, description.encoding), label or "label")
    if found and target.write_texts is None:
        raise _no_fields(wanted, source)
    if found and form.texts is None:
        others = ", ".join(name for name, format in FORMATS.items() if format.write)
        message = f"{wanted} holds a label for a whole text, not labels for tokens"
        raise DataError(f"{message}; --output-format {others} can", file=source)
    return found


def _no_fields(wanted: str, source: str | Path) -> DataError:
    others = ", ".join(name for name, format in FORMATS.items() if format.write_texts)
    message = f"{wanted} holds labels for tokens, not a label or other fields of a whole text"
    return DataError(f"{message}; --output-format {others} can", file=source)


def _texts(
    source: str | Path, description: Description, wanted: str, options: ReadOptions
) -> tuple[str, Sequence[TextRecord]]:
    """The content of the destination, and the texts in it."""
    read = described_texts(
        source, description, ReadOptions(text=options.text, label=options.label, left_out=options.left_out)
    )
    records = [TextRecord(each.text, {**each.fields}, each.file, each.line) for each in read]
    label = options.label or "label"
    for record in records:
        record.fields.setdefault(options.text, record.text)
        if wanted != "jsonl" and record.fields.pop("tokens", None) is not None:
            options.left_out["lists of tokens left out, whose text is kept"] += 1
        if isinstance(value := record.fields.get(label), str):
            record.fields[label] = value.strip()
        if wanted == "fasttext":  # which has no names
            for name, field in (("text", options.text), ("label", label)):
                if field in record.fields:
                    record.fields[name] = record.fields.pop(field)
    write = FORMATS[wanted].write_texts
    assert write is not None
    return write(records), records


def _sentences(
    source: str | Path,
    description: Description,
    wanted: str,
    options: ReadOptions,
    scheme: str | None,
    said: list[str],
) -> tuple[str, Sequence[Sentence]]:
    """The content of the destination, and the sentences in it."""
    sentences = list(described_sentences(source, description, options))
    for note in _rewrite(sentences, scheme, source) if scheme is not None else ():
        said.append(f"{source}: {note}")
    names = (name for each in sentences for name in each.fields if name not in OF_SPANS or SPANS not in each.columns)
    lost = Counter(names) if wanted != "jsonl" else {}
    if lost and not any(sentence.columns for sentence in sentences):  # texts alone, which have nothing else to keep
        raise _no_fields(wanted, source)
    for name, times in lost.items():
        options.left_out[f"fields {name!r} of a whole text left out"] += times
    write = FORMATS[wanted].write
    assert write is not None
    return write(sentences), sentences


def _rewrite(sentences: Sequence[Sentence], scheme: str, source: str | Path) -> list[str]:
    """Rewrite every column of span labels, in place; notes for the user."""
    if scheme not in (*SCHEMES[:-1], *NOTATIONS):
        raise DataError(f"unknown scheme {scheme!r}; choose from {', '.join((*SCHEMES[:-1], *NOTATIONS))}")
    names = list(dict.fromkeys(name for sentence in sentences for name in sentence.columns))
    found, notes, joined = False, [], 0
    for name in names:
        holders = [sentence for sentence in sentences if name in sentence.columns]
        if any(sentence.columns[name] is sentence.tokens for sentence in holders):
            continue
        notes += [f"{name}: {note}" for note in read_notation([holders], name)]
        present = detect_scheme(sentence.columns[name] for sentence in holders)
        if present == "none":
            continue
        found = True
        for sentence in holders:
            labels = convert(sentence.columns[name], present, "bioes" if scheme in NOTATIONS else scheme)
            joined += joined_spans(labels) if scheme == "io" else 0
            sentence.columns[name] = write_notation(labels, scheme) if scheme in NOTATIONS else labels
    if not found and sentences:
        raise DataError(f"no column of span labels (B-…, I-…) among {', '.join(names)}", file=source)
    return [*notes, f"touching spans that io joins: {joined:,}"] if joined else notes
